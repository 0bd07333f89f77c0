//! Input that grows from run to run: ten runs one after another, each over what is new alone, leave what one run over everything
//! leaves. What is new where it must not be is refused, and so are files that were replaced.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use dataflow::{Pipeline, Report};

use crate::data::{self, Numbers};
use crate::sameness::{read, same};
use crate::time::{self, Reading, readings};
use crate::{program, row_time, time_joins};

/// How many runs follow one another.
const RUNS: usize = 10;

/// A folder with input, what runs leave that go on, and what one run leaves.
struct Growing {
    folder: tempfile::TempDir,
    numbers: Numbers,
    /// Rows that all runs together have read.
    rows: u64,
}

impl Growing {
    fn new() -> Self {
        let growing = Self {
            folder: tempfile::tempdir().expect("a folder"),
            numbers: Numbers::new(11),
            rows: 0,
        };
        std::fs::create_dir(growing.input()).expect("made");
        growing
    }

    fn input(&self) -> PathBuf {
        self.folder.path().join("input")
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs with other workers and batches each time. The error's text where it fails.
    fn run(&mut self, text: &str, out: &Path) -> Result<(Option<u64>, Report), String> {
        let workers = 1 + self.numbers.below(3);
        let batch_rows = [17, 100, 8192][self.numbers.below(3) as usize];
        let pipeline = Pipeline::from_text(text)
            .set("out", out.display().to_string())
            .set("engine.workers", workers.to_string())
            .set("engine.batch_rows", batch_rows.to_string())
            .load()
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        let running = pipeline.start().map_err(|error| error.to_string())?;
        let from = running.goes_on_from();
        let report = running.finish().map_err(|error| error.to_string())?;
        Ok((from, report))
    }

    /// A run that goes on from those before it.
    fn go_on(&mut self, text: &str) -> Result<(Option<u64>, Report), String> {
        let state = self.folder.path().join("state");
        let state = format!("[state]\ndir = \"{}\"\n", state.display());
        let out = self.out("kept");
        // A table may follow a key, and no key a table of something else.
        let text = text.replacen("[sources", &format!("{state}[sources"), 1);
        self.run(&text, &out)
    }

    /// One step: the input has grown, a run goes on, and another one begins anew.
    fn step(&mut self, text: &str, step: usize) {
        let (from, report) = self
            .go_on(text)
            .unwrap_or_else(|e| panic!("step {step}: {e}"));
        assert_eq!(from.is_some(), step > 0, "step {step}");
        self.rows += rows_read(&report);
        let whole = self.out("whole");
        let _ = std::fs::remove_dir_all(&whole);
        let (_, report) = self
            .run(text, &whole)
            .unwrap_or_else(|e| panic!("whole: {e}"));
        assert_eq!(
            self.rows,
            rows_read(&report),
            "only new rows are read, step {step}"
        );
        same(
            &read(&whole),
            &read(&self.out("kept")),
            &format!("step {step}"),
        );
    }

    fn refused(&mut self, text: &str, words: &[&str]) {
        let error = self
            .go_on(text)
            .err()
            .unwrap_or_else(|| panic!("{words:?}"));
        for word in words.iter().chain(&["--fresh"]) {
            assert!(error.contains(word), "`{word}` is missing in: {error}");
        }
    }
}

/// Rows that all sources have read.
fn rows_read(report: &Report) -> u64 {
    let sources = report.numbers.components.iter();
    let sources = sources.filter(|component| component.label.family == "source");
    sources.map(|source| source.rows_out).sum()
}

/// Appends readings to a file of CSV, which gets a header if it is new.
fn append(path: &Path, rows: &[Reading]) {
    let new = !path.exists();
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.append(true).create(true).open(path).expect("opened");
    if new {
        writeln!(file, "time,device,x").expect("written");
    }
    for row in rows {
        writeln!(file, "{},d{},{}", row.time, row.device, row.x).expect("written");
    }
}

/// The rows of one of the runs.
fn part(rows: &[Reading], step: usize) -> &[Reading] {
    let each = rows.len() / RUNS;
    &rows[step * each..(step + 1) * each]
}

#[test]
fn windows_go_on_with_a_file_that_grows() {
    let mut growing = Growing::new();
    // Some are late, which is judged by the rows before them in the file, whoever has read those.
    let rows = readings(1500, 5, 60);
    let text = time::source(&growing.input(), "20s", "") + &time::windows();
    for step in 0..RUNS {
        append(&growing.input().join("a.csv"), part(&rows, step));
        growing.step(&text, step);
    }
    let late = std::fs::read_to_string(growing.out("kept").join("tumbling_any.late.jsonl"));
    assert!(!late.expect("written").is_empty(), "some rows are late");
}

#[test]
fn windows_go_on_with_new_files() {
    let mut growing = Growing::new();
    let rows = readings(1500, 5, 15);
    let text = time::source(&growing.input(), "20s", "") + &time::windows();
    for step in 0..RUNS {
        let name = format!("{step}.csv");
        append(&growing.input().join(name), part(&rows, step));
        growing.step(&text, step);
    }
}

#[test]
fn rows_in_time_go_on_with_files_that_grow_and_new_ones() {
    let mut growing = Growing::new();
    let rows = readings(1500, 6, 15);
    let text = time::source(&growing.input(), "20s", "") + &row_time::pipeline();
    for step in 0..RUNS {
        let name = format!("{}.csv", step / 2);
        append(&growing.input().join(name), part(&rows, step));
        growing.step(&text, step);
    }
}

#[test]
fn joins_over_time_go_on_with_both_inputs() {
    let mut growing = Growing::new();
    let folders = ["main", "other"].map(|name| growing.input().join(name));
    for folder in &folders {
        std::fs::create_dir(folder).expect("made");
    }
    let paths = folders
        .each_ref()
        .map(|folder| folder.display().to_string());
    let text = time_joins::joins(&paths[0], &paths[1], "20s");
    let (main, other) = (readings(1000, 5, 15), readings(1000, 7, 15));
    for step in 0..RUNS {
        append(&folders[0].join("a.csv"), part(&main, step));
        append(&folders[1].join(format!("{step}.csv")), part(&other, step));
        growing.step(&text, step);
    }
}

/// Groups, all that a group can hold, and a join, in files of every format.
const ORDER_FREE: &str = r#"
[transforms.positive]
type = "filter"
inputs = ["rows"]
where = "y > 3"
[transforms.groups]
type = "aggregate"
inputs = ["positive"]
by = ["key"]
compute.n = "count(*)"
compute.sum = "sum(x)"
compute.most = "max(n)"
compute.q = "quantile(y, 0.9)"
compute.words = "count_distinct(word)"
[transforms.total]
type = "aggregate"
inputs = ["rows"]
compute.n = "count(*)"
compute.sum = "sum(x)"
compute.mean = "mean(y)"
[transforms.joined]
type = "join"
inputs = ["groups"]
table = "counts"
on = ["key"]
kind = "full"
prefix = "c_"
[transforms.counts]
type = "aggregate"
inputs = ["more"]
by = ["key"]
compute.n = "count(*)"
"#;

fn sinks(outputs: &[&str]) -> String {
    let extensions = ["csv", "csv.gz", "jsonl", "parquet", "arrow"];
    let each = outputs.iter().flat_map(|output| {
        extensions.map(|extension| {
            let id = format!("{output}_{extension}").replace('.', "_");
            format!("[sinks.{id}]\ntype = \"file\"\ninputs = [\"{output}\"]\npath = \"${{out}}/{output}.{extension}\"\n")
        })
    });
    each.collect()
}

fn source(id: &str, path: &Path) -> String {
    let path = path.display();
    format!(
        "[sources.{id}]\ntype = \"file\"\npath = \"{path}\"\n{}",
        data::TYPES
    )
}

fn append_text(path: &Path, rows: &[data::Row], write: fn(&Path, &[data::Row])) {
    let part = path.with_extension("part");
    write(&part, rows);
    let text = std::fs::read_to_string(&part).expect("text");
    std::fs::remove_file(&part).expect("removed");
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    let new = match path.exists() && is_csv {
        true => text.split_once('\n').map_or("", |(_, rows)| rows),
        false => &text,
    };
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.append(true).create(true).open(path).expect("opened");
    file.write_all(new.as_bytes()).expect("written");
}

/// Where nothing shows which rows came first, files may come and grow anywhere.
#[test]
fn groups_and_joins_go_on_with_files_anywhere() {
    for (extension, write) in [
        ("csv", data::write_csv as fn(&Path, &[data::Row])),
        ("jsonl", data::write_jsonl),
    ] {
        let mut growing = Growing::new();
        let more = growing.input().join("more");
        std::fs::create_dir(&more).expect("made");
        let text = "params = { out = \"\" }\n".to_string()
            + &source("rows", &growing.input().join(format!("*.{extension}")))
            + &source("more", &more)
            + ORDER_FREE
            + &sinks(&["groups", "total", "joined"]);
        let rows = data::rows(1200);
        for step in 0..RUNS {
            let rows = &rows[step * 120..][..120];
            // In front of all others, between them, and at the ends of those that were there.
            for (at, name) in [(0, 9 - step), (1, step / 2), (2, 5)] {
                let path = growing.input().join(format!("{name}.{extension}"));
                append_text(&path, &rows[at * 30..][..30], write);
            }
            let path = more.join(format!("{}.{extension}", (step * 7) % 10));
            append_text(&path, &rows[90..], write);
            growing.step(&text, step);
        }
    }
}

/// Windows whose rows may come in any order, of files that are later in time and earlier by their names.
#[test]
fn windows_that_mind_no_order_go_on_with_files_in_front() {
    let mut growing = Growing::new();
    let rows = readings(1500, 5, 15);
    let mut text = time::source(&growing.input(), "20s", "");
    for (id, window) in [
        ("tumbling", "type = \"tumbling\", size = \"10m\""),
        (
            "sliding",
            "type = \"sliding\", size = \"30m\", every = \"5m\"",
        ),
    ] {
        text += &format!(
            "[transforms.{id}]\ntype = \"aggregate\"\ninputs = [\"readings\"]\nby = [\"device\"]\nwindow = {{ {window} }}\n\
             compute.n = \"count(*)\"\ncompute.mean = \"mean(x)\"\n"
        );
    }
    text += &sinks(&["tumbling", "sliding"]);
    for step in 0..RUNS - 1 {
        let name = format!("{}.csv", RUNS - step);
        append(&growing.input().join(name), part(&rows, step));
        growing.step(&text, step);
    }
    // What is new is of a time whose windows were written.
    let old = growing.input().join("old.csv");
    append(&old, part(&rows, 3));
    growing.refused(&text, &["old.csv", "in time too", "readings: "]);
    std::fs::remove_file(&old).expect("removed");
    growing.step(&text, RUNS);
}

#[test]
fn parquet_files_go_on_with_new_ones() {
    let mut growing = Growing::new();
    let text = "params = { out = \"\" }\n".to_string()
        + &source("rows", &growing.input().join("*.parquet"))
        + "[transforms.groups]\ntype = \"aggregate\"\ninputs = [\"rows\"]\nby = [\"key\"]\ncompute.first = \"first(id)\"\ncompute.sum = \"sum(x)\"\n\
           [transforms.kept]\ntype = \"filter\"\ninputs = [\"rows\"]\nwhere = \"n > 0\"\n"
        + &sinks(&["groups", "kept"]);
    let rows = data::rows(900);
    for step in 0..RUNS {
        let csv = growing.folder.path().join("part.csv");
        data::write_csv(&csv, &rows[step * 90..][..90]);
        let to = growing.input().join(format!("{step}.parquet"));
        let convert = "params = { out = \"\" }\n".to_string()
            + &source("rows", &csv)
            + &format!(
                "[sinks.out]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"{}\"\n",
                to.display()
            );
        growing.run(&convert, Path::new("")).expect("converted");
        growing.step(&text, step);
    }
}

/// Rows as they are, in their order: what is new must come behind.
#[test]
fn what_is_new_and_not_behind_is_refused() {
    let mut growing = Growing::new();
    let text = time::source(&growing.input(), "20s", "") + &sinks(&["readings"]);
    let rows = readings(400, 5, 15);
    let path = |name: &str| growing.input().join(name);
    let (a, aa, b, c) = (path("a.csv"), path("aa.csv"), path("b.csv"), path("c.csv"));
    append(&a, part(&rows, 0));
    append(&b, part(&rows, 1));
    growing.step(&text, 0);
    append(&aa, part(&rows, 2));
    growing.refused(&text, &["aa.csv` is new", "b.csv", "readings: "]);
    std::fs::rename(&aa, &c).expect("renamed");
    growing.step(&text, 1);
    let before = std::fs::read(&a).expect("readable");
    append(&a, part(&rows, 3));
    growing.refused(&text, &["a.csv` has grown", "c.csv"]);
    std::fs::write(&a, &before[..before.len() - 5]).expect("written");
    growing.refused(&text, &["a.csv` had", "bytes"]);
    // Of the same size, and other rows.
    let mut other = before.clone();
    let last = other.len() - 2;
    other[last] = if other[last] == b'1' { b'2' } else { b'1' };
    std::fs::write(&a, &other).expect("written");
    growing.refused(&text, &["a.csv` is not the file"]);
    std::fs::remove_file(&a).expect("removed");
    growing.refused(&text, &["a.csv` was read, and is not there"]);
    std::fs::write(&a, &before).expect("written");
    growing.step(&text, 2);
}

#[test]
fn a_line_that_nothing_ends_may_not_go_on() {
    let mut growing = Growing::new();
    let text = "params = { out = \"\" }\n".to_string()
        + &format!(
            "[sources.rows]\ntype = \"file\"\npath = \"{}\"\n",
            growing.input().display()
        )
        + "[transforms.sum]\ntype = \"aggregate\"\ninputs = [\"rows\"]\ncompute.sum = \"sum(x)\"\n"
        + &sinks(&["sum"]);
    let (a, b) = (growing.input().join("a.csv"), growing.input().join("b.csv"));
    std::fs::write(&a, "x\n1\n2").expect("written");
    growing.step(&text, 0);
    std::fs::write(&b, "x\n4\n").expect("written");
    growing.step(&text, 1);
    std::fs::write(&a, "x\n1\n23\n").expect("written");
    growing.refused(&text, &["a.csv` has grown", "nothing ended its last line"]);
}

/// A table that was loaded was complete: its rows were looked up.
#[test]
fn tables_that_were_loaded_may_not_grow() {
    let mut growing = Growing::new();
    let table = growing.folder.path().join("table.csv");
    std::fs::write(&table, "device,name\nd1,one\n").expect("written");
    let text = time::source(&growing.input(), "20s", "")
        + &format!(
            "[sources.table]\ntype = \"file\"\npath = \"{}\"\n",
            table.display()
        )
        + "[transforms.named]\ntype = \"lookup\"\ninputs = [\"readings\"]\ntable = \"table\"\non = [\"device\"]\n\
           [transforms.sorted]\ntype = \"sort\"\ninputs = [\"readings\"]\nby = [\"x\"]\n\
           [transforms.later]\ntype = \"lookup\"\ninputs = [\"sorted\"]\ntable = \"table\"\non = [\"device\"]\n"
        + &sinks(&["named", "later"]);
    let rows = readings(200, 3, 15);
    for step in 0..3 {
        append(&growing.input().join("a.csv"), part(&rows, step));
        growing.step(&text, step);
    }
    // Nothing is read, and what was held leaves at the end: behind the table all the same.
    for step in 3..RUNS {
        growing.step(&text, step);
    }
    std::fs::write(&table, "device,name\nd1,one\nd2,two\n").expect("written");
    growing.refused(
        &text,
        &["table.csv` has grown", "`table`", "were read already"],
    );
}

/// The program says the same, and its exit code is that of a failed run.
#[test]
fn the_program_refuses_replaced_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = "[state]\ndir = \"state\"\nevery = { rows = 2 }\n[sources.rows]\ntype = \"file\"\npath = \"a.csv\"\n\
         [sinks.out]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"out.csv\"\n";
    let file = folder.path().join("a.csv");
    std::fs::write(&file, "x\n1\n2\n3\n").expect("written");
    program::run(folder.path(), pipeline, &[]).expect_code(0);
    std::fs::write(&file, "x\n9\n2\n3\n4\n").expect("written");
    let words = ["`a.csv` is not the file that was read", "--fresh"];
    program::run(folder.path(), pipeline, &[])
        .expect_code(1)
        .expect_words(&words);
    program::run(folder.path(), pipeline, &["--fresh"]).expect_code(0);
    let none = pipeline.replace("rows = 2", "rows = 0");
    program::run(folder.path(), &none, &[])
        .expect_code(78)
        .expect_words(&["every 0 rows"]);
}

/// Two that do not hang together: one that has been read to its end may grow while the other is far longer.
#[test]
fn a_short_input_may_grow_beside_a_long_one() {
    let mut growing = Growing::new();
    let text = time::source(&growing.input(), "20s", "")
        + &format!(
            "[sources.long]\ntype = \"file\"\npath = \"{}/long.txt\"\nformat = \"csv\"\n",
            growing.input().display()
        )
        + &sinks(&["readings", "long"]);
    let long: Vec<Reading> = readings(60_000, 5, 15);
    append(&growing.input().join("long.txt"), &long);
    let rows = readings(100, 5, 15);
    for step in 0..3 {
        append(&growing.input().join("a.csv"), part(&rows, step));
        growing.step(&text, step);
    }
}
