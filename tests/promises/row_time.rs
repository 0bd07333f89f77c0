//! Transforms that take rows in the order of their time: the same rows for any files, and what others find in the same rows.

use std::fmt::Write as _;

use crate::sameness::run;
use crate::time::{
    few, files, json_lines, nanoseconds, readings, same_in_any_files, source, write,
};

/// Every such transform, by device and over all rows, alone and behind others.
const TRANSFORMS: &str = r#"
[transforms.plausible]
type = "filter"
inputs = ["readings"]
where = "x < 990"
[transforms.lagged]
type = "lag"
inputs = ["plausible"]
by = ["device"]
rows = 2
columns = ["x"]
compute.label = "concat(device, '-', x)"
[transforms.lagged_all]
type = "lag"
inputs = ["plausible"]
compute.before = "device"
[transforms.changed]
type = "delta"
inputs = ["plausible"]
by = { parity = "x % 2", device = "device" }
columns = ["x", "time"]
[transforms.sped]
type = "rate"
inputs = ["plausible"]
by = ["device"]
per = "1m"
columns = ["x"]
[transforms.counted]
type = "rate"
inputs = ["plausible"]
counter = true
columns = ["x"]
[transforms.first]
type = "dedup"
inputs = ["plausible"]
by = { device = "device", tens = "x % 10" }
within = "3m"
[transforms.last]
type = "dedup"
inputs = ["plausible"]
by = ["device"]
within = "30s"
keep = "last"
[transforms.held]
type = "resample"
inputs = ["plausible"]
by = ["device"]
every = "13s"
columns = ["x"]
limit = "2m"
[transforms.on_lines]
type = "resample"
inputs = ["plausible"]
by = ["device"]
every = "41s"
method = "linear"
columns = ["x"]
[transforms.grid]
type = "resample"
inputs = ["plausible"]
every = "5s"
method = "none"
columns = ["x", "device"]
limit = "1h"
[transforms.in_time]
type = "sort"
inputs = ["plausible"]
by_time = true
[transforms.of_changes]
type = "aggregate"
inputs = ["changed"]
by = ["device"]
window = { type = "tumbling", size = "10m" }
compute.steps = "sum(delta_x)"
compute.last = "last(delta_x)"
[transforms.of_lines]
type = "delta"
inputs = ["on_lines"]
by = ["device"]
columns = ["x"]
[transforms.once]
type = "dedup"
inputs = ["last.duplicates"]
by = ["device"]
within = "1m"
[transforms.of_held]
type = "resample"
inputs = ["held"]
every = "1m"
columns = ["x", "device"]
limit = "10m"
[transforms.before_in_time]
type = "lag"
inputs = ["in_time"]
columns = ["device"]
"#;

const OUTPUTS: [&str; 20] = [
    "lagged",
    "lagged_all",
    "changed",
    "sped",
    "counted",
    "first",
    "first.duplicates",
    "last",
    "last.duplicates",
    "held",
    "on_lines",
    "grid",
    "in_time",
    "of_changes",
    "of_lines",
    "once",
    "before_in_time",
    "of_held",
    "lagged.late",
    "once.late",
];

pub(crate) fn pipeline() -> String {
    let mut text = TRANSFORMS.to_string();
    for output in OUTPUTS {
        let id = output.replace('.', "_");
        let _ = write!(
            text,
            "[sinks.{id}_file]\ntype = \"file\"\ninputs = [\"{output}\"]\npath = \"${{out}}/{output}.jsonl\"\n"
        );
    }
    text
}

#[test]
fn the_same_rows_in_other_files_are_the_same_in_time() {
    same_in_any_files(&readings(2000, 6, 15), &pipeline(), |file| {
        file.contains("late")
    });
}

/// What Polars and pandas, which hold everything in memory, make of the same rows: see `golden/make_row_time.py`.
#[test]
fn rows_in_time_are_those_that_others_find() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("golden/row_time.json")).expect("JSON");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("windows.csv");
    std::fs::write(&path, include_str!("golden/windows.csv")).expect("written");
    let mut text = format!(
        "params = {{ out = \"\" }}\n[sources.readings]\ntype = \"file\"\npath = \"{}\"\ntime = {{ column = \"time\", lateness = \"10s\" }}\n",
        path.display()
    );
    let by = "by = [\"device\"]\n";
    for (id, from, kind, more) in [
        ("lag", "readings", "lag", format!("{by}compute.lag = \"x\"")),
        (
            "lag3",
            "lag",
            "lag",
            format!("{by}rows = 3\ncompute.lag3 = \"state\""),
        ),
        (
            "delta",
            "lag3",
            "delta",
            format!("{by}compute.delta = \"x\""),
        ),
        (
            "rate",
            "delta",
            "rate",
            format!("{by}per = \"1m\"\ncompute.rate = \"x\""),
        ),
        (
            "before",
            "rate",
            "rate",
            format!("{by}counter = true\ncompute.counter = \"x\""),
        ),
        (
            "last",
            "readings",
            "dedup",
            "by = [\"device\", \"state\"]\nwithin = \"90s\"\nkeep = \"last\"".into(),
        ),
        (
            "first",
            "readings",
            "dedup",
            "by = [\"device\", \"state\"]\nwithin = \"90s\"".into(),
        ),
        (
            "held",
            "readings",
            "resample",
            format!("{by}every = \"47s\"\ncolumns = [\"x\"]"),
        ),
        (
            "line",
            "readings",
            "resample",
            format!("{by}every = \"47s\"\nmethod = \"linear\"\ncolumns = [\"x\"]"),
        ),
        (
            "exact",
            "readings",
            "resample",
            format!("{by}every = \"47s\"\nmethod = \"none\"\ncolumns = [\"x\"]"),
        ),
    ] {
        let _ = write!(
            text,
            "[transforms.{id}]\ntype = \"{kind}\"\ninputs = [\"{from}\"]\n{more}\n\
             [sinks.{id}_file]\ntype = \"file\"\ninputs = [\"{id}\"]\npath = \"${{out}}/{id}.jsonl\"\n"
        );
    }
    let (written, _) = run(&text, few("64MiB").last().expect("a setting"));
    let found = |name: &str, columns: &[&str]| -> Vec<Vec<serde_json::Value>> {
        let lines = json_lines(&written[&format!("{name}.jsonl")]);
        let value = |line: &serde_json::Value, column: &str| match column {
            "time" => nanoseconds(line["time"].as_str().expect("a time")).into(),
            column => line[column].clone(),
        };
        let row = |line| columns.iter().map(|column| value(line, column)).collect();
        lines.iter().map(row).collect()
    };
    let before = ["time", "device", "lag", "lag3", "delta", "rate", "counter"];
    near(&found("before", &before), &golden["before"], "before");
    let row = ["time", "device", "state", "x"];
    near(&found("last", &row), &golden["last"], "last");
    near(&found("first", &row), &golden["first"], "first");
    let on_grid = ["time", "device", "x"];
    let mut grid = found("held", &on_grid);
    for name in ["line", "exact"] {
        let more = found(name, &on_grid);
        assert_eq!(more.len(), grid.len(), "{name}");
        for (row, mut more) in grid.iter_mut().zip(more) {
            assert_eq!(row[..2], more[..2], "{name}");
            row.extend(more.pop());
        }
    }
    near(&grid, &golden["grid"], "grid");
}

/// Whether rows are the same, but for what rounding does.
fn near(found: &[Vec<serde_json::Value>], expected: &serde_json::Value, name: &str) {
    let expected = expected.as_array().expect("rows");
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        let expected = expected.as_array().expect("a row");
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            let same = match (a.as_f64(), b.as_f64()) {
                _ if a.is_i64() && b.is_i64() => a == b,
                (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * b.abs().max(1.0),
                _ => a == b,
            };
            assert!(same, "{name}: {found:?} {expected:?}");
        }
    }
}

/// Where only the number of rows is asked for, no column is read: rows have none then.
#[test]
fn rows_without_columns_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = readings(500, 3, 10);
    write(folder.path(), &files(&rows, |_, _| "all.csv".into()));
    let mut text = source(folder.path(), "20s", "");
    let made = [
        ("sort", "type = \"sort\"\nby_time = true\n", 500),
        ("lag", "type = \"lag\"\ncompute.before = \"x\"\n", 500),
        ("rate", "type = \"rate\"\ncolumns = [\"x\"]\n", 500),
        ("dedup", "type = \"dedup\"\nwithin = \"1ns\"\n", 500),
        (
            "dedup_last",
            "type = \"dedup\"\nwithin = \"1ns\"\nkeep = \"last\"\n",
            500,
        ),
        (
            "resample",
            "type = \"resample\"\nevery = \"10s\"\ncolumns = [\"x\"]\n",
            250,
        ),
        (
            "asof",
            "type = \"asof\"\ntable = \"readings\"\nprefix = \"t_\"\n",
            500,
        ),
        (
            "ahead",
            "type = \"asof\"\ndirection = \"forward\"\ntable = \"readings\"\nprefix = \"t_\"\n",
            500,
        ),
        (
            "interval",
            "type = \"interval\"\ntable = \"readings\"\non = [\"time\"]\nprefix = \"t_\"\nwithin = \"1ns\"\n",
            500,
        ),
        (
            "session",
            "type = \"aggregate\"\nwindow = { type = \"session\", gap = \"4s\" }\ncompute.n = \"count(*)\"\n",
            500,
        ),
        (
            "rolling",
            "type = \"aggregate\"\nwindow = { type = \"rolling\", size = 4 }\ncompute.n = \"count(*)\"\n",
            500,
        ),
    ];
    for (id, transform, _) in &made {
        let _ = write!(
            text,
            "[transforms.{id}]\ninputs = [\"readings\"]\n{transform}[transforms.{id}_rows]\ntype = \"aggregate\"\ninputs = [\"{id}\"]\n\
             compute.rows = \"count(*)\"\n[sinks.{id}_file]\ntype = \"file\"\ninputs = [\"{id}_rows\"]\npath = \"${{out}}/{id}.jsonl\"\n"
        );
    }
    for setting in few("64MiB") {
        let (written, _) = run(&text, setting);
        for (id, _, count) in &made {
            let line = &json_lines(&written[&format!("{id}.jsonl")])[0];
            assert_eq!(line["rows"], *count, "{id} {setting:?}");
        }
    }
}
