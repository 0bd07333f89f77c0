//! Real data, which is not part of the project: it is read in place, in a folder beside it. Where that is absent the tests say so.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::sameness::run;
use crate::time::{few, json_lines, nanoseconds};

/// The folder of real data, if it is there; with `CI=true` it must be.
fn shared() -> Option<PathBuf> {
    let folder = ["..", "shared", "data"]
        .iter()
        .fold(crate::program::root(), |folder, name| folder.join(name));
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var("CI").is_err(),
        "{} is missing",
        folder.display()
    );
    println!("skipped: needs {}", folder.display());
    None
}

/// What Polars makes of the same series: see `golden/make_hours.py`.
#[test]
fn series_brought_to_hours_are_those_that_others_find() {
    let Some(folder) = shared() else { return };
    let golden: Value = serde_json::from_str(include_str!("golden/hours.json")).expect("JSON");
    let golden = golden.as_object().expect("series");
    let mut text = String::from("params = { out = \"\" }\n");
    for (number, name) in golden.keys().enumerate() {
        let path = folder.join("nab").join(name);
        let _ = write!(
            text,
            "[sources.series{number}]\ntype = \"file\"\npath = \"{}\"\ncolumns.value = {{ type = \"float64\" }}\n\
             time = {{ column = \"timestamp\", lateness = \"1d\" }}\n\
             [transforms.hours{number}]\ntype = \"aggregate\"\ninputs = [\"series{number}\"]\n\
             window = {{ type = \"tumbling\", size = \"1h\" }}\n\
             compute = {{ n = \"count(*)\", mean = \"mean(value)\", most = \"max(value)\" }}\n\
             [transforms.held{number}]\ntype = \"resample\"\ninputs = [\"series{number}\"]\nevery = \"1h\"\ncolumns = [\"value\"]\n",
            path.display()
        );
        for output in ["hours", "held"] {
            let _ = write!(
                text,
                "[sinks.{output}{number}_file]\ntype = \"file\"\ninputs = [\"{output}{number}\"]\npath = \"${{out}}/{output}{number}.jsonl\"\n"
            );
        }
    }
    for setting in few("64MiB") {
        let (written, _) = run(&text, setting);
        for (number, (name, series)) in golden.iter().enumerate() {
            let hours = json_lines(&written[&format!("hours{number}.jsonl")]);
            same(&hours, &series["windows"], name, |row| {
                vec![
                    seconds(&row["window_start"]),
                    row["n"].clone(),
                    row["mean"].clone(),
                    row["most"].clone(),
                ]
            });
            let held = json_lines(&written[&format!("held{number}.jsonl")]);
            same(&held, &series["held"], name, |row| {
                vec![seconds(&row["time"]), row["value"].clone()]
            });
        }
    }
}

fn seconds(time: &Value) -> Value {
    (nanoseconds(time.as_str().expect("a time")) / 1_000_000_000).into()
}

/// Compares every 24th row, and how many there are; floats within what rounding does.
fn same(found: &[Value], golden: &Value, name: &str, row: impl Fn(&Value) -> Vec<Value>) {
    assert_eq!(golden["rows"], found.len(), "{name}");
    let expected = golden["some"].as_array().expect("rows");
    assert_eq!(expected.len(), found.len().div_ceil(24), "{name}");
    for (found, expected) in found.iter().step_by(24).zip(expected) {
        let expected = expected.as_array().expect("a row");
        for (a, b) in row(found).iter().zip(expected) {
            let (a, b) = (a.as_f64().expect("a number"), b.as_f64().expect("one"));
            let near = (a - b).abs() <= 1e-12 * b.abs();
            assert!(near, "{name}: {found} {expected:?}");
        }
    }
}

/// A pipeline that reads a trace and counts what is in its columns.
fn counted(path: &std::path::Path, settings: &str, column: &str) -> String {
    format!(
        "params = {{ out = \"\" }}\n[sources.trace]\ntype = \"file\"\npath = \"{}\"\n{settings}\n\
         [transforms.counted]\ntype = \"aggregate\"\ninputs = [\"trace\"]\n\
         compute = {{ rows = \"count(*)\", unlike = \"count(*) filter (where isnan({column}))\", most = \"max({column}) filter (where not isnan({column}))\" }}\n\
         [sinks.counted_file]\ntype = \"file\"\ninputs = [\"counted\"]\npath = \"${{out}}/counted.jsonl\"\n",
        path.display()
    )
}

/// Rows, those that are no number, and the largest: see what NumPy and the files' descriptions say.
#[test]
fn traces_of_all_kinds_are_read() {
    let Some(folder) = shared() else { return };
    let folder = folder.join("waveform");
    let second = "sampling = { column = \"time\", rate = 1e6 }";
    let nameless = "format = { csv = { header = false, names = [\"time\", \"voltage\"] } }\nsampling = { column = \"time\" }";
    let found = "sampling = { column = \"time\" }";
    for (name, settings, column, rows, unlike, most) in [
        ("chirp.npz", "", "data", 10_000, 0, 1.0),
        ("multi_tone.npz", "", "data", 10_000, 0, 1.5),
        ("edge_cases/all_nan.npz", "", "data", 1000, 1000, f64::NAN),
        ("edge_cases/empty.npz", "", "data", 0, 0, f64::NAN),
        ("edge_cases/extreme_large.npz", "", "data", 1000, 0, 1e100),
        ("sine_1khz.csv", second, "voltage", 10_000, 0, 1.0),
        ("sine_1khz.csv", found, "voltage", 10_000, 0, 1.0),
        ("no_header.csv", nameless, "voltage", 10_000, 0, 1.0),
        (
            "multichannel.csv",
            "sampling = { column = \"time\", rate = 999.0 }",
            "ch2",
            1000,
            0,
            1.0,
        ),
    ] {
        for setting in few("64MiB") {
            let (written, report) = run(&counted(&folder.join(name), settings, column), setting);
            let counted = &json_lines(&written["counted.jsonl"])[0];
            assert_eq!(counted["rows"], rows, "{name}");
            assert_eq!(counted["unlike"], unlike, "{name}");
            match counted["most"].as_f64() {
                Some(found) => {
                    assert!(found <= most * 1.2 && found > most * 0.8, "{name}: {found}")
                }
                None => assert!(most.is_nan(), "{name}"),
            }
            assert_eq!(report.numbers.components[0].notes, [], "{name}");
        }
    }
}
