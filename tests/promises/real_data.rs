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
