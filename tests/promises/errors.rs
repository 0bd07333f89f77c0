//! Bad input: the message says what happened, to which file and row, and what to do; nothing appears under a final name.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::program::{self, Outcome, component, run};

const SINK: &str =
    "\n[sinks.out]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"out/rows.jsonl\"\n";

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }
    folder
}

/// A source of one path, and a sink.
fn copy(path: &str, more: &str) -> String {
    format!("[sources.rows]\ntype = \"file\"\npath = \"{path}\"\n{more}{SINK}")
}

/// Runs and fails with this code and these words, leaving nothing behind, on one worker and on three.
fn fails(folder: &Path, pipeline: &str, code: i32, words: &[&str]) {
    for workers in ["1", "3"] {
        run(folder, pipeline, &["--workers", workers])
            .expect_code(code)
            .expect_words(words);
        let out = folder.join("out");
        let left = if out.exists() {
            program::files(&out)
        } else {
            Vec::new()
        };
        assert!(
            left.is_empty(),
            "{left:?} should not be there, after\n{pipeline}"
        );
    }
}

#[test]
fn what_validate_can_find_is_said_before_anything_is_read() {
    let place = folder(&[("data.csv", "a\n1\n"), ("empty/.hidden", "")]);
    for (path, words) in [
        ("dato.csv", ["`dato.csv`", "did you mean `data.csv`?"]),
        ("empty", ["there are no files in `empty`", "check the path"]),
        ("*.parquet", ["`*.parquet`", "help:"]),
        ("none/*.csv", ["`none`", "check the path"]),
    ] {
        let pipeline = copy(path, "");
        fails(place.path(), &pipeline, 1, &["pipeline.toml:3:8", "^^^"]);
        fails(place.path(), &pipeline, 1, &words);
        let mut validate = program::dataflow();
        validate.current_dir(place.path());
        validate.args(["validate", "pipeline.toml"]);
        program::finish(validate, Duration::from_secs(60)).expect_code(78);
        // With a mistake in the pipeline as well, it is the pipeline that is wrong.
        let both = format!("{pipeline}bogus = 1\n");
        fails(place.path(), &both, 78, &words);
    }
}

#[test]
fn text_that_cannot_be_read_names_file_and_row() {
    let place = folder(&[
        ("few.csv", "a,b\n1,2\n3\n5,6\n"),
        ("number.csv", "a,b\n1,2\n\n3,4x\n5,6\n"),
        ("bad.jsonl", "{\"a\":1}\n\nnot json\n{\"a\":3}\n"),
        ("long.jsonl", "{\"a\":1}\n{\"a\":2\n"),
    ]);
    let help = "help: mend the row; or set `on_error = \"drop\"`";
    let typed = "columns.b = { type = \"int64\" }\n";
    for (path, more, words) in [
        ("few.csv", "", ["1 field", "2 columns", "(few.csv, row 2)"]),
        (
            "number.csv",
            typed,
            ["`4x`", "column `b`", "(number.csv, row 2)"],
        ),
        (
            "bad.jsonl",
            "",
            ["not JSON", "rows: ", "(bad.jsonl, row 2)"],
        ),
        (
            "long.jsonl",
            "",
            ["not JSON", "rows: ", "(long.jsonl, row 2)"],
        ),
    ] {
        fails(place.path(), &copy(path, more), 1, &words);
        fails(place.path(), &copy(path, more), 1, &[help]);
    }
}

#[test]
fn an_expression_that_fails_names_the_row_that_it_failed_on() {
    let place = folder(&[("a.csv", "n,t\n1,5\n0,x7\n2,9\n")]);
    let select = |expression: &str| {
        format!(
            "[sources.read]\ntype = \"file\"\npath = \"a.csv\"\n[transforms.rows]\ntype = \"select\"\ninputs = [\"read\"]\ncompute.y = \"{expression}\"\n{SINK}"
        )
    };
    for (expression, words) in [
        ("cast(t as bigint)", ["x7", "(a.csv, row 2)"]),
        ("10 / n", ["rows: ", "(a.csv, row 2)"]),
        (
            "n + 9223372036854775807",
            ["does not fit", "(a.csv, row 1)"],
        ),
    ] {
        fails(place.path(), &select(expression), 1, &words);
    }
    let filter = format!(
        "[sources.read]\ntype = \"file\"\npath = \"a.csv\"\n[transforms.rows]\ntype = \"filter\"\ninputs = [\"read\"]\nwhere = \"10 / n > 1\"\n{SINK}"
    );
    fails(place.path(), &filter, 1, &["(a.csv, row 2)", "help:"]);
}

#[test]
fn an_integer_sum_that_overflows_names_its_column() {
    let place = folder(&[("a.csv", "n\n9223372036854775807\n1\n")]);
    let pipeline = format!(
        "[sources.read]\ntype = \"file\"\npath = \"a.csv\"\n[transforms.rows]\ntype = \"aggregate\"\ninputs = [\"read\"]\ncompute.total = \"sum(n)\"\n{SINK}"
    );
    fails(place.path(), &pipeline, 1, &["rows: ", "sum(n)", "help:"]);
}

#[test]
fn files_of_other_columns_are_an_error_that_names_both() {
    let place = folder(&[("in/1.csv", "a,b\n1,2\n"), ("in/2.csv", "a,c\n1,2\n")]);
    fails(
        place.path(),
        &copy("in", ""),
        1,
        &["`b`", "in/1.csv", "in/2.csv", "schema = \"union\""],
    );
    run(place.path(), &copy("in", "schema = \"union\"\n"), &[]).expect_code(0);
    let rows = std::fs::read_to_string(place.path().join("out/rows.jsonl")).expect("written");
    assert_eq!(
        rows,
        "{\"a\":1,\"b\":2,\"c\":null}\n{\"a\":1,\"b\":null,\"c\":2}\n"
    );
}

#[test]
fn damaged_parquet_is_an_error_that_names_the_file() {
    let place = folder(&[]);
    let make = "[sources.rows]\ntype = \"generate\"\npreset = \"sensors\"\nrows = 20_000\n[sinks.out]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"whole.parquet\"\n";
    run(place.path(), make, &[]).expect_code(0);
    let whole = std::fs::read(place.path().join("whole.parquet")).expect("written");
    std::fs::write(place.path().join("cut.parquet"), &whole[..whole.len() / 2]).expect("written");
    let mut damaged = whole.clone();
    damaged[1000..1064].fill(0xff);
    std::fs::write(place.path().join("damaged.parquet"), &damaged).expect("written");
    let again = "make or copy it again";
    // The footer is looked at when the pipeline is checked, the pages are not.
    fails(
        place.path(),
        &copy("cut.parquet", ""),
        1,
        &["cut.parquet", again],
    );
    fails(
        place.path(),
        &copy("damaged.parquet", ""),
        1,
        &["damaged.parquet", again],
    );
    // Behind a whole one, the cut one is met on the way.
    std::fs::create_dir(place.path().join("both")).expect("a folder");
    for (from, to) in [("whole", "a"), ("cut", "b")] {
        let (from, to) = (format!("{from}.parquet"), format!("both/{to}.parquet"));
        std::fs::rename(place.path().join(from), place.path().join(to)).expect("moved");
    }
    fails(
        place.path(),
        &copy("both", ""),
        1,
        &["both/b.parquet", again],
    );
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_with_the_reason() {
    let place = folder(&[("a.csv", "a\n1\n")]);
    let write_to = |path: &str| {
        format!(
            "[sources.rows]\ntype = \"file\"\npath = \"a.csv\"\n[sinks.elsewhere]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"{path}\"\nformat = \"csv\"\n{SINK}"
        )
    };
    for (path, words) in [
        ("/dev/full", ["elsewhere: ", "No space left", "make room"]),
        ("/proc/none/x.csv", ["elsewhere: ", "/proc/none", "help:"]),
        (
            "a.csv/x.csv",
            ["elsewhere: ", "a.csv/x.csv", "Not a directory"],
        ),
    ] {
        fails(place.path(), &write_to(path), 1, &words);
    }
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let place = folder(&[]);
    let disk = place.path().join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(&disk)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        // Only an administrator may make a small disk; `/dev/full` is tried above everywhere.
        return;
    }
    for extension in ["csv", "jsonl", "parquet", "arrow"] {
        let pipeline = format!(
            "[sources.rows]\ntype = \"generate\"\npreset = \"sensors\"\nrows = 50_000\n[sinks.full]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"disk/x.{extension}\"\n{SINK}"
        );
        let outcome = run(place.path(), &pipeline, &[]);
        let left = program::files(&disk);
        let unmounted = (outcome.code, left);
        if unmounted.0 != Some(1) || !unmounted.1.is_empty() {
            unmount(&disk);
            panic!("{extension}: {unmounted:?}\n{}", outcome.stderr);
        }
        outcome.expect_words(&["full: ", "No space left", "make room"]);
    }
    let spill = "[engine]\nmemory = \"1MiB\"\nspill = { dir = \"disk\" }\n[sources.read]\ntype = \"generate\"\npreset = \"sensors\"\nrows = 50_000\n[transforms.rows]\ntype = \"sort\"\ninputs = [\"read\"]\nby = \"temperature\"\n";
    let outcome = run(place.path(), &format!("{spill}{SINK}"), &[]);
    let left = program::files(&disk);
    unmount(&disk);
    outcome
        .expect_code(1)
        .expect_words(&["rows: ", "No space left", "make room"]);
    assert!(left.is_empty(), "{left:?}");
}

fn unmount(disk: &Path) {
    let done = std::process::Command::new("umount").arg(disk).status();
    assert!(done.is_ok_and(|status| status.success()), "unmounted");
}

/// 2,000 rows, of which every 20th cannot be cast.
fn with_failures() -> tempfile::TempDir {
    let mut text = "n,t\n".to_string();
    for row in 1..=2000 {
        let value = if row % 20 == 0 {
            "x".to_string()
        } else {
            row.to_string()
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{row},{value}");
    }
    folder(&[("a.csv", &text)])
}

fn casting(more: &str) -> String {
    format!(
        "[sources.read]\ntype = \"file\"\npath = \"a.csv\"\ncolumns.t = {{ type = \"text\" }}\n[transforms.rows]\ntype = \"select\"\ninputs = [\"read\"]\ncompute.t = \"cast(t as bigint)\"\n{more}{SINK}"
    )
}

#[test]
fn rows_that_are_dropped_are_counted_with_their_reason() {
    let place = with_failures();
    let outcome = run(place.path(), &casting("on_error = \"drop\"\n"), &[]).expect_code(0);
    let report = outcome.report();
    let rows = component(&report, "rows");
    assert_eq!(
        (rows["rows_in"].as_u64(), rows["rows_out"].as_u64()),
        (Some(2000), Some(1900)),
        "{rows:#}"
    );
    let errors = rows["errors"].as_array().expect("a list");
    assert_eq!(errors.len(), 1, "{rows:#}");
    assert_eq!(errors[0]["count"], 100);
    assert!(
        errors[0]["first"]
            .as_str()
            .is_some_and(|first| first.contains("cast(t as bigint)"))
    );
}

#[test]
fn rows_on_the_errors_port_say_why_and_where_they_failed() {
    let place = with_failures();
    let port = "[sinks.bad]\ntype = \"file\"\ninputs = [\"*.errors\"]\npath = \"out/bad.jsonl\"\n";
    let mut first = None;
    for workers in ["1", "2", "8"] {
        run(place.path(), &casting(port), &["--workers", workers]).expect_code(0);
        let text = std::fs::read_to_string(place.path().join("out/bad.jsonl")).expect("written");
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines.len(), 100);
        for (index, line) in lines.iter().enumerate() {
            assert_eq!(line["component"], "rows");
            assert_eq!(line["file"], "a.csv");
            assert_eq!(line["row"], 20 * (index + 1));
            assert!(
                line["reason"].as_str().is_some_and(|r| !r.is_empty()),
                "{line}"
            );
            assert!(
                line["message"]
                    .as_str()
                    .is_some_and(|m| m.contains("cast(t as bigint)")),
                "{line}"
            );
            assert!(
                line["data"].as_str().is_some_and(|d| d.contains("x")),
                "{line}"
            );
        }
        assert_eq!(
            *first.get_or_insert_with(|| text.clone()),
            text,
            "{workers} workers"
        );
    }
}

#[test]
fn too_many_bad_rows_stop_the_run_at_the_same_row_whatever_the_workers() {
    let place = with_failures();
    for (limit, enough) in [("99", "100"), ("\"1%\"", "\"5%\"")] {
        let stop = casting(&format!("on_error = \"drop\"\nmax_errors = {limit}\n"));
        let mut messages = Vec::new();
        for workers in ["1", "2", "8"] {
            let outcome = run(place.path(), &stop, &["--workers", workers]).expect_code(1);
            let Outcome { stderr, .. } = outcome.expect_words(&["rows: ", "max_errors"]);
            messages.push(stderr);
            assert!(!place.path().join("out/rows.jsonl").exists());
        }
        assert!(
            messages.iter().all(|message| *message == messages[0]),
            "{messages:#?}"
        );
        let go_on = casting(&format!("on_error = \"drop\"\nmax_errors = {enough}\n"));
        run(place.path(), &go_on, &[]).expect_code(0);
        std::fs::remove_file(place.path().join("out/rows.jsonl")).expect("written");
    }
}

#[test]
fn nothing_appears_under_any_final_name_when_one_of_several_sinks_fails() {
    let place = folder(&[]);
    let pipeline = "[sources.rows]\ntype = \"generate\"\npreset = \"sensors\"\nrows = 30_000\n[transforms.bad]\ntype = \"select\"\ninputs = [\"rows\"]\ncompute.y = \"1 / (date_part('second', timestamp) - 59)\"\n[sinks.fine]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"out/{device}/fine.parquet\"\n[sinks.wrong]\ntype = \"file\"\ninputs = [\"bad\"]\npath = \"out/wrong.csv\"\n";
    let pipeline = pipeline.replace(
        "1 / (date_part('second', timestamp) - 59)",
        "1 / cast(date_part('second', timestamp) - 59 as bigint)",
    );
    fails(place.path(), &pipeline, 1, &["bad: ", "row ", "help:"]);
}

/// A folder with the broken pipelines, and the files that some of them read.
fn broken_pipelines() -> tempfile::TempDir {
    let sensors =
        "timestamp,device,temperature,vibration,voltage\n2025-01-01T00:00:00Z,a,20.5,0.1,4.2\n";
    let place = folder(&[
        ("sensors.csv", sensors),
        ("other.csv", sensors),
        (
            "events.csv",
            "timestamp,user,amount\n2025-01-01T00:00:00Z,a,20.5\n",
        ),
        ("text.csv", "temperature\nwarm\n"),
    ]);
    let usage = "[sources.made]\ntype = \"generate\"\nrows = 1\ncolumns.device = { kind = \"categories\", count = 2 }\ncolumns.pod_cpu_seconds = { kind = \"normal\" }\ncolumns.pod_memory_seconds = { kind = \"normal\" }\n[sinks.file]\ntype = \"file\"\ninputs = [\"made\"]\npath = \"usage.parquet\"\n";
    run(place.path(), usage, &[]).expect_code(0);
    std::fs::remove_file(place.path().join("pipeline.toml")).expect("written");
    // Those that the loader's own tests know, and those that only real components have something to say about.
    for folder in ["crates/pipeline/tests/broken", "tests/promises/broken"] {
        let broken = program::root().join(folder);
        for name in program::files(&broken) {
            let to = place.path().join(&name);
            std::fs::create_dir_all(to.parent().expect("it is below")).expect("a folder");
            std::fs::copy(broken.join(&name), to).expect("copied");
        }
    }
    place
}

/// What `validate` says of a broken pipeline; lines starting with `#!` name what else the person said.
fn messages(folder: &Path, file: &str) -> String {
    let text = std::fs::read_to_string(folder.join(file)).expect("a readable pipeline");
    let mut command = program::dataflow();
    command.current_dir(folder).args(["validate", file]);
    for line in text.lines().filter_map(|line| line.strip_prefix("#! ")) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "env" => {
                let (name, value) = rest.split_once('=').expect("NAME=value");
                command.env(name, value);
            }
            "offline" => {
                command.arg("--offline");
            }
            word => {
                command.arg(format!("--{word}")).arg(rest);
            }
        }
    }
    let outcome = program::finish(command, Duration::from_secs(60));
    let wrong = outcome.stderr.contains("error");
    assert_eq!(
        outcome.code,
        Some(if wrong { 78 } else { 0 }),
        "{file}: {}",
        outcome.stderr
    );
    let here = folder.canonicalize().expect("it is there");
    outcome
        .stderr
        .replace(&here.display().to_string(), "<here>")
}

/// With `UPDATE_EXPECTED=1` in the environment the expected messages are written anew.
#[test]
fn broken_pipelines_get_the_expected_messages_from_the_real_catalog() {
    let broken = broken_pipelines();
    let golden = program::root().join("tests/promises/broken.expected");
    let names = program::files(broken.path()).into_iter();
    let files: Vec<String> = names
        .filter(|name| name.ends_with(".toml") && !name.contains('/'))
        .collect();
    assert!(files.len() >= 40, "only {} broken pipelines", files.len());
    let mut found = String::new();
    for file in &files {
        let shown = messages(broken.path(), file);
        assert!(!shown.is_empty(), "{file}: nothing is said about it");
        // Writing to a string cannot fail.
        let _ = write!(found, "===== {file}\n{shown}\n");
    }
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&golden, &found).expect("written");
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    let differs = expected.lines().zip(found.lines()).find(|(a, b)| a != b);
    assert!(
        expected == found,
        "the messages changed, first at {differs:?}; if they are right, run again with UPDATE_EXPECTED=1"
    );
}

/// A sink of `rows` that writes to this path.
fn sink(id: &str, path: &str) -> String {
    format!("[sinks.{id}]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"{path}\"\n")
}

#[test]
fn two_sinks_never_write_one_file() {
    let place = folder(&[("a.csv", "n,t\n1,x\n2,y\n")]);
    let source = "[sources.rows]\ntype = \"file\"\npath = \"a.csv\"\n";
    let absolute = place.path().canonicalize().expect("it is there");
    let absolute = format!("{}/out/x.csv", absolute.display());
    for other in [
        "./out/x.csv",
        "out//x.csv",
        "out/../out/x.csv",
        absolute.as_str(),
    ] {
        let pipeline = format!("{source}{}{}", sink("one", "out/x.csv"), sink("two", other));
        fails(place.path(), &pipeline, 78, &["`one` writes to", other]);
    }
    // What a pattern makes is known when the rows are in.
    for (first, second, file) in [
        ("out/{t}.csv", "./out/x.csv", "out/x.csv"),
        ("out/{t}.csv", "out/{t}{{}}.csv", ""),
        ("out/x{n}.csv", "out/{t}1.csv", "out/x1.csv"),
    ] {
        let pipeline = format!("{source}{}{}", sink("one", first), sink("two", second));
        if file.is_empty() {
            run(place.path(), &pipeline, &[]).expect_code(0);
            std::fs::remove_dir_all(place.path().join("out")).expect("removed");
            continue;
        }
        let words = ["two: `one` writes this file, too", file, "help:"];
        fails(place.path(), &pipeline, 1, &words);
    }
}

#[test]
fn rows_that_are_printed_as_they_come_are_alone() {
    let place = folder(&[("a.csv", "n,t\n1,x\n2,y\n")]);
    let source = "[sources.rows]\ntype = \"file\"\npath = \"a.csv\"\n";
    let console = |id: &str, more: &str| {
        format!("[sinks.{id}]\ntype = \"console\"\ninputs = [\"rows\"]\n{more}")
    };
    for (one, two) in [
        (sink("one", "-"), sink("two", "-")),
        (sink("one", "-"), console("two", "")),
        (console("one", ""), sink("two", "-")),
        (
            console("one", "format = \"csv\"\n"),
            console("two", "format = \"jsonl\"\n"),
        ),
    ] {
        let pipeline = format!("{source}{one}{two}");
        let words = ["`one` writes to standard output already", "help:"];
        fails(place.path(), &pipeline, 78, &words);
    }
    let pipeline = format!("{source}{}{}", console("one", ""), console("two", ""));
    let outcome = run(place.path(), &pipeline, &["--quiet"]).expect_code(0);
    let table = "rows\nn  t\n─  ─\n1  x\n2  y\n\n";
    assert_eq!(outcome.stdout, format!("{table}{table}"));
}

#[test]
fn a_select_tells_of_wrong_names_and_wrong_expressions_at_once() {
    let place = folder(&[("a.csv", "n,t\n1,x\n2,y\n")]);
    let pipeline = format!(
        "[sources.read]\ntype = \"file\"\npath = \"a.csv\"\n[transforms.rows]\ntype = \"select\"\ninputs = [\"read\"]\nkeep = [\"m\", \"z\"]\ncompute.z = \"n + nn\"\n{SINK}"
    );
    let words = ["no column `m`", "no column `nn`", "2 errors"];
    fails(place.path(), &pipeline, 78, &words);
}

#[test]
fn mistakes_in_declared_columns_are_told_at_once_and_in_their_place() {
    let place = folder(&[]);
    let pipeline = format!(
        "[sources.rows]\ntype = \"generate\"\ncolumns.x = {{ kind = \"normal\", mean = \"a\" }}\n{SINK}"
    );
    let words = ["pipeline.toml:3:39: error", "found the text \"a\""];
    fails(place.path(), &pipeline, 78, &words);
    let pipeline = format!(
        "[sources.rows]\ntype = \"generate\"\ncolumns.x = {{ kind = \"normal\" }}\ncolumns.y = {{ kind = \"categories\", values = [\"a\", \"b\"], weights = [1.0] }}\nanomalies = {{ rate = 3.0, columns = [\"z\"] }}\n{SINK}"
    );
    let words = ["`rate` is 3", "no column `z`", "weights", "3 errors"];
    fails(place.path(), &pipeline, 78, &words);
}
