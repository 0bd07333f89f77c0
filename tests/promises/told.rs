//! What a run says of itself: the report, the log, and what it says when whoever reads its output has enough.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::program::{self, component};

const LIMIT: Duration = Duration::from_secs(120);

fn command(folder: &std::path::Path, pipeline: &str, arguments: &[&str]) -> program::Outcome {
    std::fs::write(folder.join("pipeline.toml"), pipeline).expect("written");
    let mut command = program::dataflow();
    command.current_dir(folder).args(["run", "pipeline.toml"]);
    command.args(arguments);
    program::finish(command, LIMIT)
}

/// Ten rows; rows 3 and 7 (from 1) cannot be read as numbers.
fn with_bad_rows(folder: &std::path::Path) {
    std::fs::write(
        folder.join("in.csv"),
        "x\n1\n2\nno\n4\n5\n6\nnever\n8\n9\n10\n",
    )
    .expect("written");
}

const COUNTED: &str = r#"
    [sources.rows]
    type = "file"
    path = "in.csv"
    columns.x = { type = "int64" }
    on_error = "drop"
    [transforms.big]
    type = "filter"
    inputs = ["rows"]
    where = "x > 4"
    [transforms.kinds]
    type = "route"
    inputs = ["big"]
    routes = { nine = "x = 9", even = "x % 2 = 0" }
    [sinks.out]
    type = "file"
    inputs = ["kinds.even"]
    path = "out.csv"
"#;

#[test]
fn rows_that_leave_where_nobody_reads_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    with_bad_rows(folder.path());
    let outcome = program::run(folder.path(), COUNTED, &["--metrics-file", "numbers.prom"]);
    let report = outcome.expect_code(0).report();
    assert_eq!(component(&report, "big")["rows_by_output"]["rejected"], 3);
    assert_eq!(component(&report, "big")["rows_out"], 5);
    let kinds = &component(&report, "kinds")["rows_by_output"];
    assert_eq!(
        (&kinds["nine"], &kinds["even"], &kinds["other"]),
        (&1.into(), &3.into(), &1.into())
    );
    assert_eq!(component(&report, "kinds")["rows_out"], 3);
    let numbers = std::fs::read_to_string(folder.path().join("numbers.prom")).expect("written");
    for (line, rows) in [
        (
            "dataflow_port_rows_total{component=\"big\",pipeline=\"pipeline\",type=\"filter\",port=\"rejected\"}",
            3,
        ),
        (
            "dataflow_port_rows_total{component=\"kinds\",pipeline=\"pipeline\",type=\"route\",port=\"other\"}",
            1,
        ),
        (
            "dataflow_late_rows_total{component=\"big\",pipeline=\"pipeline\",type=\"filter\"}",
            0,
        ),
        (
            "dataflow_memory_limit_bytes{pipeline=\"pipeline\"}",
            256 << 20,
        ),
    ] {
        let wanted = format!("{line} {rows}");
        assert!(numbers.lines().any(|l| l == wanted), "{wanted}\n{numbers}");
    }
    let dropped = "dataflow_discarded_rows_total{component=\"rows\"";
    let dropped = numbers.lines().find(|line| line.starts_with(dropped));
    assert!(
        dropped.is_some_and(|line| line.ends_with(" 2")),
        "{numbers}"
    );
}

#[test]
fn late_rows_that_nobody_reads_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = "time,x\n2025-01-01T00:00:00Z,1\n2025-01-01T00:05:00Z,2\n2025-01-01T00:00:01Z,3\n";
    std::fs::write(folder.path().join("in.csv"), rows).expect("written");
    let pipeline = r#"
        [sources.rows]
        type = "file"
        path = "in.csv"
        time = { column = "time", lateness = "30s" }
        [transforms.minutes]
        type = "aggregate"
        inputs = ["rows"]
        window = { type = "tumbling", size = "1m" }
        compute.n = "count(*)"
        [sinks.out]
        type = "file"
        inputs = ["minutes"]
        path = "out.csv"
    "#;
    let arguments = ["--metrics-file", "numbers.prom"];
    command(folder.path(), pipeline, &arguments)
        .expect_code(0)
        .expect_words(&["1 late row left out", "`minutes.late`", "`lateness`"]);
    let numbers = std::fs::read_to_string(folder.path().join("numbers.prom")).expect("written");
    // The watermark is the newest time less the lateness.
    for line in [
        "dataflow_late_rows_total{component=\"minutes\",pipeline=\"pipeline\",type=\"aggregate\"} 1",
        "dataflow_watermark_timestamp_seconds{component=\"rows\",pipeline=\"pipeline\",type=\"file\"} 1735689870",
    ] {
        assert!(numbers.lines().any(|l| l == line), "{line}\n{numbers}");
    }
    assert!(numbers.contains("dataflow_watermark_lag_seconds{component=\"rows\""));
    let report = program::run(folder.path(), pipeline, &["--set", "engine.open_files=1"]);
    let report = report.expect_code(0).report();
    assert_eq!(component(&report, "minutes")["late_rows_left_out"], 1);
}

#[test]
fn shown_rows_are_the_first_ones_under_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    with_bad_rows(folder.path());
    let alone = command(folder.path(), COUNTED, &["--show", "big:3", "--quiet"]).expect_code(0);
    let rows: Vec<&str> = alone.stdout.lines().map(str::trim).collect();
    assert_eq!(rows, ["x", "─", "5", "6", "8", "… 2 rows left out …"]);
    let two = ["--show", "big:1", "--show", "big.rejected", "--quiet"];
    let two = command(folder.path(), COUNTED, &two).expect_code(0).stdout;
    let lines: Vec<&str> = two.lines().map(str::trim).collect();
    assert_eq!((lines[0], lines[1]), ("big", "x"), "{two}");
    let second = lines.iter().position(|line| *line == "big.rejected");
    let second = second.unwrap_or_else(|| panic!("{two}"));
    assert_eq!(
        (lines[second - 1], &lines[second + 3..second + 6]),
        ("", &["1", "2", "4"][..])
    );
    let outcome = command(folder.path(), COUNTED, &["--show", "out"]).expect_code(78);
    outcome.expect_words(&[
        "`out` is a sink: no rows come out of it",
        "`--show kinds.even`",
    ]);
}

#[test]
fn each_reason_is_told_once_with_its_count_and_its_first_row() {
    let folder = tempfile::tempdir().expect("a folder");
    with_bad_rows(folder.path());
    // The closing report says it on its own.
    let outcome = command(folder.path(), COUNTED, &[]).expect_code(0);
    assert!(!outcome.stderr.contains("WARN"), "{}", outcome.stderr);
    let outcome = outcome.expect_words(&["2 bad rows", "such as in.csv:3"]);
    drop(outcome);
    let outcome = command(folder.path(), COUNTED, &["--log-level", "warn"]).expect_code(0);
    let warned = outcome.stderr.lines().filter(|line| line.contains("WARN"));
    let warned: Vec<&str> = warned.collect();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(
        warned[0].contains("count=2") && warned[0].contains("in.csv:3"),
        "{warned:?}"
    );

    let mut peek = program::dataflow();
    peek.current_dir(folder.path()).args(["peek", "in.csv"]);
    std::fs::write(folder.path().join("in.csv"), "x,y\n1,2\n3,4,5\n6,7\n").expect("written");
    program::finish(peek, LIMIT)
        .expect_code(0)
        .expect_words(&["left out 1 bad row"]);
}

#[test]
fn a_report_in_json_is_the_last_line_and_comes_with_quiet_too() {
    let folder = tempfile::tempdir().expect("a folder");
    with_bad_rows(folder.path());
    for more in [
        &["--quiet"][..],
        &["--log-level", "warn", "--metrics", "127.0.0.1:0"],
    ] {
        let outcome = program::run(folder.path(), COUNTED, more).expect_code(0);
        let last = outcome.stderr.lines().last().expect("a line");
        let report: Value = serde_json::from_str(last).expect("the last line is the report");
        assert_eq!(report["outputs"][0]["rows"], 3);
        assert_eq!(
            outcome.stderr.lines().count() == 1,
            more[0] == "--quiet",
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn each_file_of_a_partitioned_sink_has_its_own_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = r#"
        [sources.rows]
        type = "generate"
        preset = "sensors"
        rows = 2000
        [sinks.out]
        type = "file"
        inputs = ["rows"]
        path = "out/{device}.csv"
    "#;
    let report = program::run(folder.path(), pipeline, &[])
        .expect_code(0)
        .report();
    let output = &report["outputs"][0];
    let files = output["files"].as_array().expect("files");
    assert!(files.len() > 5 && output["file_count"] == files.len());
    let sum = |key: &str| {
        files
            .iter()
            .map(|file| file[key].as_u64().expect("a number"))
            .sum::<u64>()
    };
    assert_eq!(
        (output["rows"].as_u64(), output["bytes"].as_u64()),
        (Some(sum("rows")), Some(sum("bytes")))
    );
    let told = command(folder.path(), pipeline, &[]).expect_code(0).stderr;
    let line = format!("wrote {} files below out/ (2,000 rows, ", files.len());
    assert!(told.contains(&line), "{told}");
}

#[test]
fn the_log_tells_what_the_run_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = r#"
        [sources.rows]
        type = "generate"
        preset = "sensors"
        rows = 200000
        [transforms.sorted]
        type = "sort"
        inputs = ["rows"]
        by = ["temperature"]
        [sinks.out]
        type = "file"
        inputs = ["sorted"]
        path = "out.csv"
    "#;
    let small = ["--memory", "8MiB", "--workers", "2"];
    let told = command(folder.path(), pipeline, &[&small[..], &["-v"]].concat())
        .expect_code(0)
        .stderr;
    for event in [
        "the run starts",
        "counted what there is to read",
        "read to the end",
        "committed",
        "the run is complete",
    ] {
        assert_eq!(told.matches(event).count(), 1, "{event}:\n{told}");
    }
    assert_eq!(told.matches("begins to spill").count(), 1, "{told}");
    assert!(!told.contains("WARN") && !told.contains("DEBUG"), "{told}");
    let more = command(folder.path(), pipeline, &[&small[..], &["-vv"]].concat()).expect_code(0);
    more.expect_words(&["laid out", "spilled a run", "opened", "finished"]);
    // Designed to spill: no warning at the usual level.
    let told = command(folder.path(), pipeline, &small)
        .expect_code(0)
        .stderr;
    assert!(!told.contains("WARN"), "{told}");
}

#[test]
fn an_error_is_a_line_of_a_json_log() {
    let folder = tempfile::tempdir().expect("a folder");
    with_bad_rows(folder.path());
    let strict = COUNTED.replace("on_error = \"drop\"", "");
    let outcome = command(folder.path(), &strict, &["--log-format", "json"]).expect_code(1);
    let last = outcome.stderr.lines().last().expect("a line");
    let line: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(
        (&line["level"], &line["fields"]["exit_code"]),
        (&"ERROR".into(), &1.into())
    );
    let message = line["fields"]["message"].as_str().expect("a message");
    assert!(message.contains("in.csv"), "{message}");
    let outcome = command(
        folder.path(),
        "[sources.x]\ntype = \"flie\"\n",
        &["--log-format", "json"],
    );
    let last = outcome.stderr.lines().last().expect("a line").to_string();
    outcome.expect_code(78);
    let line: Value = serde_json::from_str(&last).expect("JSON");
    assert!(
        line["fields"]["message"]
            .as_str()
            .expect("a message")
            .contains("flie")
    );
}

#[test]
fn a_reader_that_has_enough_ends_its_output_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = r#"
        [sources.rows]
        type = "generate"
        preset = "sensors"
        rows = 100000
        [sinks.print]
        type = "console"
        inputs = ["rows"]
        format = "csv"
        [sinks.out]
        type = "file"
        inputs = ["rows"]
        path = "out.csv"
    "#;
    std::fs::write(folder.path().join("pipeline.toml"), pipeline).expect("written");
    for arguments in [
        &["run", "pipeline.toml"][..],
        &["peek", "out.csv", "-n", "50000"],
    ] {
        let mut command = program::dataflow();
        command
            .current_dir(folder.path())
            .args(arguments)
            .args(["--quiet"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        reader.read_line(&mut line).expect("a line");
        drop(reader);
        let output = child.wait_with_output().expect("ends");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), &*told),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
    let written = std::fs::read_to_string(folder.path().join("out.csv")).expect("complete");
    assert_eq!(written.lines().count(), 100_001);
}
