//! Standard input: rows go on as they arrive, only one source reads it, and only a run waits for it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::program::{self, Outcome};

/// Longer than a start takes on a busy machine.
const SOON: Duration = Duration::from_secs(60);

fn pipeline(folder: &Path, text: &str) {
    std::fs::write(folder.join("pipeline.toml"), text).expect("written");
}

fn copy(source: &str) -> String {
    format!(
        "[sources.rows]\ntype = \"file\"\npath = \"-\"\n{source}\n[sinks.out]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"-\"\nformat = \"jsonl\"\n"
    )
}

fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = program::dataflow();
    command.current_dir(folder).args(words);
    command
}

/// Runs with a standard input that is written to and stays open; the first line of output must come all the same.
fn first_line(folder: &Path, input: &str) -> (String, Child) {
    let mut command = command(folder, &["run", "pipeline.toml", "--quiet"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let stdin = child.stdin.as_mut().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("written");
    stdin.flush().expect("flushed");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = output.read_line(&mut line);
        let _ = send.send(line);
    });
    let line = receive.recv_timeout(SOON).unwrap_or_default();
    (line, child)
}

#[test]
fn rows_go_on_before_the_next_ones_arrive() {
    let place = tempfile::tempdir().expect("a folder");
    let declared = "columns.a = { type = \"int64\" }";
    for (source, input, expected) in [
        (
            format!("format = \"jsonl\"\n{declared}"),
            "{\"a\":1,\"b\":2}\n",
            "{\"a\":1}\n",
        ),
        (
            "format = { jsonl = { infer_rows = 1 } }".to_string(),
            "{\"a\":1}\n",
            "{\"a\":1}\n",
        ),
        (
            format!("format = \"csv\"\n{declared}"),
            "b;a\nx;7\n",
            "{\"a\":7}\n",
        ),
        (
            "format = { csv = { infer_rows = 1 } }".to_string(),
            "a,b\n1,x\n",
            "{\"a\":1,\"b\":\"x\"}\n",
        ),
    ] {
        pipeline(place.path(), &copy(&source));
        let (line, mut child) = first_line(place.path(), input);
        // Without its standard input it ends.
        drop(child.stdin.take());
        let status = child.wait().expect("it ends");
        assert_eq!(line, expected, "{source}");
        assert!(status.success(), "{source}");
    }
}

/// Whatever standard input holds is given in two parts, cut anywhere.
#[test]
fn what_is_read_does_not_depend_on_how_it_arrives() {
    let place = tempfile::tempdir().expect("a folder");
    let text = "a;b,c\n1;x\n2;\"y\nz\"\n3.5;w\n";
    pipeline(place.path(), &copy(""));
    let mut known: Option<String> = None;
    for cut in [0, 2, 5, 9, 15, text.len()] {
        let mut command = command(place.path(), &["run", "pipeline.toml", "--quiet"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(&text.as_bytes()[..cut]).expect("written");
        stdin.flush().expect("flushed");
        std::thread::sleep(Duration::from_millis(50));
        stdin.write_all(&text.as_bytes()[cut..]).expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.lines().count(), 3, "{output}");
        assert_eq!(*known.get_or_insert(output.clone()), output, "{cut}");
    }
}

/// Runs a command whose standard input stays open and silent.
fn with_silent_input(folder: &Path, words: &[&str]) -> Outcome {
    let mut sleeping = Command::new("sleep")
        .arg("300")
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut command = command(folder, words);
    command.stdin(sleeping.stdout.take().expect("a pipe"));
    let outcome = program::finish(command, SOON);
    sleeping.kill().expect("it sleeps");
    sleeping.wait().expect("it ends");
    outcome
}

#[test]
fn only_a_run_waits_for_standard_input() {
    let place = tempfile::tempdir().expect("a folder");
    let declared = "format = \"csv\"\ncolumns.a = { type = \"int64\" }";
    pipeline(place.path(), &copy(declared));
    for words in [
        &["validate", "pipeline.toml"][..],
        &["validate", "pipeline.toml", "--offline"],
        &["graph", "pipeline.toml"],
        &["explain", "pipeline.toml"],
    ] {
        with_silent_input(place.path(), words).expect_code(0);
    }
    pipeline(place.path(), &copy("format = \"csv\""));
    let words = [
        "standard input is not looked at before a run",
        "not checked, since standard input is read by a run alone: `rows`, `out`",
        "declare `format`",
    ];
    with_silent_input(place.path(), &["validate", "pipeline.toml"])
        .expect_code(0)
        .expect_words(&words);
    for command in ["graph", "explain"] {
        with_silent_input(place.path(), &[command, "pipeline.toml"])
            .expect_code(78)
            .expect_words(&words);
    }
}

#[test]
fn declared_columns_of_standard_input_must_be_there() {
    let place = tempfile::tempdir().expect("a folder");
    let source = "format = \"csv\"\ncolumns.a = { type = \"int64\" }\ncolumns.c = { type = \"text\", optional = true }";
    pipeline(place.path(), &copy(source));
    std::fs::write(place.path().join("fine.csv"), "a,b\n1,x\n").expect("written");
    std::fs::write(place.path().join("other.csv"), "b,c\n1,x\n").expect("written");
    let with = |name: &str| {
        let file = std::fs::File::open(place.path().join(name)).expect("it is there");
        let mut command = command(place.path(), &["run", "pipeline.toml", "--quiet"]);
        command.stdin(file);
        program::finish(command, SOON)
    };
    let outcome = with("fine.csv").expect_code(0);
    assert_eq!(outcome.stdout, "{\"a\":1,\"c\":null}\n");
    with("other.csv").expect_code(1).expect_words(&[
        "there is no column `a`, which is declared",
        "optional = true",
    ]);
}

#[test]
fn one_source_reads_standard_input() {
    let place = tempfile::tempdir().expect("a folder");
    let text = "[sources.one]\ntype = \"file\"\npath = \"-\"\n[sources.two]\ntype = \"file\"\npath = \"-\"\nformat = \"csv\"\ncolumns.a = { type = \"int64\" }\n[sinks.out]\ntype = \"console\"\ninputs = [\"one\", \"two\"]\n";
    pipeline(place.path(), text);
    with_silent_input(place.path(), &["validate", "pipeline.toml"])
        .expect_code(78)
        .expect_words(&[
            "standard input is read by `one` already",
            "pipeline.toml:6:8",
        ]);
    pipeline(place.path(), &copy("format = \"parquet\""));
    with_silent_input(place.path(), &["run", "pipeline.toml"])
        .expect_code(78)
        .expect_words(&["parquet cannot be read from standard input"]);
}

#[test]
fn floats_that_json_has_no_number_for_come_back() {
    let place = tempfile::tempdir().expect("a folder");
    let text = "{\"a\":1,\"b\":\"NaN\",\"c\":\"x\"}\n{\"a\":\"Infinity\",\"b\":\"-Infinity\",\"c\":\"NaN\"}\n{\"a\":0.5,\"b\":null,\"c\":1}\n";
    std::fs::write(place.path().join("a.jsonl"), text).expect("written");
    let select = "[sources.rows]\ntype = \"file\"\npath = \"a.jsonl\"\n[transforms.sum]\ntype = \"select\"\ninputs = [\"rows\"]\ncompute.twice = \"2 * a\"\ncompute.minus = \"-b\"\ncompute.text = \"c || '!'\"\n[sinks.out]\ntype = \"file\"\ninputs = [\"sum\"]\npath = \"-\"\nformat = \"jsonl\"\n";
    pipeline(place.path(), select);
    let command = command(place.path(), &["run", "pipeline.toml", "--quiet"]);
    let outcome = program::finish(command, SOON).expect_code(0);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].contains("\"twice\":2.0"), "{}", lines[0]);
    assert!(
        lines[1].contains("\"twice\":\"Infinity\",\"minus\":\"Infinity\",\"text\":\"NaN!\""),
        "{}",
        lines[1]
    );
}

/// Early results come while a window is open, and change nothing of what it says when it has ended.
#[test]
fn open_windows_are_told_early() {
    let place = tempfile::tempdir().expect("a folder");
    let text = |emit: &str| {
        format!(
            "[sources.rows]\ntype = \"file\"\npath = \"-\"\nformat = \"csv\"\ntime = {{ column = \"time\" }}\n\
             columns.time = {{ type = \"timestamp\" }}\ncolumns.device = {{ type = \"text\" }}\n\
             [transforms.minutes]\ntype = \"aggregate\"\ninputs = [\"rows\"]\nby = [\"device\"]\n\
             window = {{ type = \"tumbling\", size = \"1m\" }}\ncompute.n = \"count(*)\"\n{emit}\
             [transforms.sessions]\ntype = \"aggregate\"\ninputs = [\"rows\"]\n\
             window = {{ type = \"session\", gap = \"1h\" }}\ncompute.n = \"count(*)\"\n{emit}\
             [sinks.minutes_file]\ntype = \"file\"\ninputs = [\"minutes\"]\npath = \"minutes.csv\"\n\
             [sinks.sessions_file]\ntype = \"file\"\ninputs = [\"sessions\"]\npath = \"sessions.csv\"\n"
        )
    };
    // A live clock is believed once sixteen rows agree.
    let row = |at: usize| format!("2025-01-01T00:00:{at:02}Z,{}\n", ["b", "a"][at % 2]);
    let rows = "time,device\n".to_string() + &(0..20).map(row).collect::<String>();
    let mut written = Vec::new();
    for output in ["minutes", "sessions"] {
        let early = format!(
            "[sinks.early]\ntype = \"file\"\ninputs = [\"{output}.provisional\"]\npath = \"-\"\nformat = \"jsonl\"\nprovisional = true\n"
        );
        pipeline(place.path(), &(text("emit = \"20ms\"\n") + &early));
        let (line, mut child) = first_line(place.path(), &rows);
        let first: serde_json::Value = serde_json::from_str(&line).expect("a row of JSON");
        assert_eq!(first["window_start"].as_str().map(str::len), Some(20));
        let device = first.get("device").and_then(|device| device.as_str());
        assert_eq!(device, (output == "minutes").then_some("a"), "{line}");
        assert!(
            (1..=20).contains(&first["n"].as_i64().unwrap_or(0)),
            "{line}"
        );
        drop(child.stdin.take());
        assert!(child.wait().expect("it ends").success());
        written.push(
            ["minutes.csv", "sessions.csv"]
                .map(|name| std::fs::read_to_string(place.path().join(name)).expect("written")),
        );
    }
    pipeline(place.path(), &text(""));
    let mut plain = command(place.path(), &["run", "pipeline.toml", "--quiet"]);
    let file = place.path().join("rows.csv");
    std::fs::write(&file, &rows).expect("written");
    plain.stdin(std::fs::File::open(&file).expect("readable"));
    assert!(plain.status().expect("it runs").success());
    let plain = ["minutes.csv", "sessions.csv"]
        .map(|name| std::fs::read_to_string(place.path().join(name)).expect("written"));
    assert_eq!(written, [plain.clone(), plain]);
}
