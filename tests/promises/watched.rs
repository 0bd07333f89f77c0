//! Folders that are watched: files are read as they land, when they are complete and in that order, until the run is stopped; and runs
//! that are stopped or killed meanwhile go on with the bytes of one run over everything.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::data::Numbers;
use crate::going_on::{Begun, LIMIT, expect_same, rows_read, run, shown, snapshots, written};
use crate::memory::constant;
use crate::program::{self, component};
use crate::time::{Reading, readings};

/// A folder in which files land, and a pipeline over it.
struct Watched {
    folder: tempfile::TempDir,
}

impl Watched {
    fn new(pipeline: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("in")).expect("made");
        fs::write(folder.path().join("pipeline.toml"), pipeline).expect("written");
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a whole file there.
    fn land(&self, name: &str, text: &str) {
        let whole = self.at("whole");
        fs::write(&whole, text).expect("written");
        let path = self.at("in").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::rename(whole, path).expect("moved");
    }

    fn begin(&self, workers: u64, settings: &[&str]) -> Begun {
        let mut command = run(self.folder.path(), workers);
        command.args(settings).args(["-v", "--format", "json"]);
        Begun::start(self.folder.path(), command)
    }
}

/// Waits until the log has told so often that a file has come.
fn wait_for_files(begun: &mut Begun, many: usize) {
    begun.wait_until("files have come", |begun| {
        begun.said().matches("has come").count() >= many
    });
}

const COPY: &str = r#"
[sources.rows]
type = "file"
path = "in"
watch = true
file_column = "file"

[transforms.some]
type = "limit"
inputs = ["rows"]
rows = 9

[sinks.out]
type = "file"
inputs = ["some"]
path = "out.csv"
"#;

#[test]
fn files_are_read_in_the_order_in_which_they_are_complete() {
    let watched = Watched::new(COPY);
    watched.land("m.csv", "x\n1\n2\n");
    watched.land("d.csv", "x\n0\n");
    let mut begun = watched.begin(2, &[]);
    begun.wait_until("it reads", |begun| begun.said().contains("the run starts"));
    // A moment for the watch to begin: what lands before is found by name.
    std::thread::sleep(Duration::from_millis(1500));
    let mut slow = fs::File::create(watched.at("in/c.csv")).expect("created");
    slow.write_all(b"x\n5\n").expect("written");
    watched.land("z.csv", "x\n3\n");
    watched.land(".hidden.csv", "x\n99\n");
    watched.land("deep/er/a.csv", "x\n4\n");
    wait_for_files(&mut begun, 2);
    slow.write_all(b"6\n").expect("written");
    drop(slow);
    wait_for_files(&mut begun, 3);
    watched.land("b.csv", "x\n7\n8\n9\n");
    let report = begun.end().expect_code(0).report();
    let out = fs::read_to_string(watched.at("out.csv")).expect("written");
    let expected = [
        "x,file",
        "0,in/d.csv",
        "1,in/m.csv",
        "2,in/m.csv",
        "3,in/z.csv",
        "4,in/deep/er/a.csv",
        "5,in/c.csv",
        "6,in/c.csv",
        "7,in/b.csv",
        "8,in/b.csv",
    ];
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
    assert!(component(&report, "rows")["rows_out"].as_u64() >= Some(9));
}

#[test]
fn without_snapshots_a_stop_leaves_nothing() {
    let watched = Watched::new(COPY);
    watched.land("a.csv", "x\n1\n");
    let mut begun = watched.begin(1, &[]);
    begun.wait_until("it reads", |begun| begun.said().contains("the run starts"));
    begun.signal(libc::SIGTERM);
    let outcome = begun.end();
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    assert_eq!(program::files(&watched.at("in")), ["a.csv"]);
    assert!(!watched.at("out.csv").exists());
}

#[test]
fn what_does_not_fit_stops_the_run_and_names_the_file() {
    for (name, text, words) in [
        (
            "b.csv",
            "y\n1\n",
            &["in/b.csv", "no column `x`", "in/a.csv"][..],
        ),
        ("b.csv", "x,y\n1,2\n", &["in/b.csv", "a column `y`"]),
        ("b.parquet", "x\n1\n", &["in/b.parquet"]),
    ] {
        let watched = Watched::new(COPY);
        watched.land("a.csv", "x\n1\n");
        let begun = watched.begin(2, &[]);
        watched.land(name, text);
        let outcome = begun.end();
        assert_ne!(outcome.code, Some(0), "{}", outcome.stderr);
        outcome.expect_words(words);
    }
}

#[test]
fn a_file_that_grows_when_it_was_taken_is_told_once() {
    let watched = Watched::new(COPY);
    watched.land("a.csv", "x\n1\n");
    let mut begun = watched.begin(1, &[]);
    begun.wait_until("it reads", |begun| begun.said().contains("the run starts"));
    watched.land("b.csv", "x\n2\n");
    wait_for_files(&mut begun, 1);
    for _ in 0..3 {
        let file = fs::OpenOptions::new()
            .append(true)
            .open(watched.at("in/b.csv"));
        file.expect("is there").write_all(b"3\n").expect("written");
    }
    begun.wait_until("it is told", |begun| begun.said().contains("has changed"));
    watched.land("c.csv", "x\n4\n5\n6\n7\n8\n9\n10\n11\n");
    let outcome = begun.end().expect_code(0);
    assert_eq!(outcome.stderr.matches("has changed").count(), 1);
}

/// What `validate` says of a source with these settings, in a folder with one file.
fn refused(source: &str, more: &str, words: &[&str]) {
    let watched = Watched::new(&format!(
        "[sources.rows]\ntype = \"file\"\n{source}\n{more}[sinks.out]\ntype = \"null\"\ninputs = [\"rows\"]\n"
    ));
    watched.land("a.csv", "x\n1\n");
    fs::create_dir(watched.at("empty")).expect("made");
    let mut command = program::dataflow();
    command
        .current_dir(watched.folder.path())
        .args(["validate", "pipeline.toml"]);
    let outcome = program::finish(command, LIMIT);
    assert_ne!(outcome.code, Some(0), "{source}");
    outcome.expect_words(words);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    for (source, words) in [
        (
            "path = \"-\"",
            &["standard input is no folder", "leave `watch` out"][..],
        ),
        (
            "path = \"\"\nsample = { preset = \"sensors\" }",
            &["`path` is empty", "sample"],
        ),
        (
            "path = \"in/a.csv\"",
            &["`in/a.csv` is a file", "data/*.csv"],
        ),
        ("path = \"none\"", &["no file or folder `none`"]),
        ("path = \"empty\"", &["no file is there yet", "columns.x"]),
        (
            "path = \"empty\"\ncolumns.x = { optional = true }",
            &["no file is there yet", "with their types"],
        ),
    ] {
        refused(&format!("watch = true\n{source}"), "", words);
    }
    let table = "[sources.other]\ntype = \"generate\"\npreset = \"sensors\"\nrows = 10\n[transforms.both]\ntype = \"lookup\"\ninputs = [\"other\"]\ntable = \"rows\"\non = { device = \"x\" }\n[sinks.none]\ntype = \"null\"\ninputs = [\"both\"]\n";
    refused(
        "path = \"in\"\nwatch = true\ncolumns.x = { type = \"text\" }",
        table,
        &["`rows` does not end while it is watched"],
    );
    let union = "[sources.other]\ntype = \"file\"\npath = \"in\"\n[sinks.all]\ntype = \"file\"\npath = \"all.csv\"\ninputs = [\"rows\", \"other\"]\n";
    refused(
        "path = \"in\"\nwatch = true",
        union,
        &["name it last in the `inputs`"],
    );
}

#[test]
fn a_run_may_begin_before_the_first_file() {
    let columns = "path = \"in\"\ncolumns.x = { type = \"int64\" }\ncolumns.note = { type = \"text\", optional = true }";
    let watched = Watched::new(&COPY.replace("path = \"in\"", columns));
    let mut begun = watched.begin(2, &[]);
    begun.wait_until("it waits", |begun| begun.said().contains("the run starts"));
    watched.land("b.csv", "note,x\n,1\n");
    wait_for_files(&mut begun, 1);
    watched.land("a.csv", "x,note\n2,b\n3,\n4,\n5,\n6,\n7,\n8,\n9,\n");
    begun.end().expect_code(0);
    let out = fs::read_to_string(watched.at("out.csv")).expect("written");
    assert!(
        out.starts_with("x,note,file\n1,,in/b.csv\n2,b,in/a.csv\n"),
        "{out}"
    );
    // A file without a declared column is refused.
    let begun = watched.begin(2, &["--set", "transforms.some.rows=100"]);
    watched.land("c.csv", "note\n1\n");
    let outcome = begun.end();
    assert_ne!(outcome.code, Some(0));
    outcome.expect_words(&["in/c.csv", "no column `x`, which is declared"]);
}

/// Windows, rows in order, and what is late, in files that roll.
const EVERYTHING: &str = r#"
[state]
dir = "state"
every = "5ms"

[sources.readings]
type = "file"
path = "in/*.csv"
watch = true
time = { column = "time", unit = "ns", lateness = "20s" }

[transforms.sums]
type = "aggregate"
inputs = ["readings"]
by = ["device"]
window = { type = "tumbling", size = "10m" }
compute.rows = "count(*)"
compute.first = "first(x)"
compute.sum = "sum(x)"

[sinks.windows]
type = "file"
inputs = ["sums"]
path = "out/windows.csv"

[sinks.rows]
type = "file"
inputs = ["readings"]
path = "out/rows.csv"
roll = { rows = 700 }
"#;

/// Files of rows in the order of time, by names in that order.
fn parts(rows: &[Reading], each: usize) -> Vec<(String, String)> {
    let text = |(at, rows): (usize, &[Reading])| {
        let line = |row: &Reading| format!("{},d{},{}\n", row.time, row.device, row.x);
        let lines: String = rows.iter().map(line).collect();
        (format!("{at:03}.csv"), format!("time,device,x\n{lines}"))
    };
    rows.chunks(each).enumerate().map(text).collect()
}

/// What one run leaves over all files at once.
fn undisturbed(pipeline: &str, files: &[(String, String)]) -> Vec<(String, Vec<u8>)> {
    let whole = Watched::new(pipeline);
    files.iter().for_each(|(name, text)| whole.land(name, text));
    let begun = whole.begin(2, &["--set", "sources.readings.watch=false"]);
    begun.end().expect_code(0);
    written(&whole.at("out"))
}

/// Lets files land before and while runs go on that are stopped in some way; the last run waits for no more. How many were stopped.
fn disturbed(files: &[(String, String)], seed: u64, stop: impl Fn(Begun)) -> (Watched, usize) {
    let watched = Watched::new(EVERYTHING);
    let mut numbers = Numbers::new(seed);
    let mut stopped = 0;
    // The first run finds the columns in the first file.
    let (first, mut left) = files.split_at(1);
    watched.land(&first[0].0, &first[0].1);
    while !left.is_empty() {
        let (now, rest) = left.split_at(left.len().min(1 + numbers.below(4) as usize));
        let (before, meanwhile) = now.split_at(numbers.below(2) as usize);
        before
            .iter()
            .for_each(|(name, text)| watched.land(name, text));
        let snapshot = snapshots(watched.folder.path());
        let mut begun = watched.begin(1 + numbers.below(3), &[]);
        begun.wait_until("it runs", |begun| begun.said().contains("the run starts"));
        meanwhile
            .iter()
            .for_each(|(name, text)| watched.land(name, text));
        if numbers.below(3) > 0 {
            begun.wait_for_snapshot_after(snapshot);
        }
        std::thread::sleep(Duration::from_micros(numbers.below(60_000)));
        stop(begun);
        stopped += 1;
        left = rest;
    }
    let last = watched.begin(2, &["--set", "sources.readings.watch=false"]);
    last.end().expect_code(0);
    (watched, stopped)
}

#[test]
fn a_run_that_is_stopped_goes_on_where_it_was() {
    let files = parts(&readings(12_000, 5, 0), 400);
    let expected = undisturbed(EVERYTHING, &files);
    let (watched, stopped) = disturbed(&files, 5, |begun| {
        begun.signal(libc::SIGTERM);
        begun.end().expect_code(75);
    });
    assert!(stopped > 5, "{stopped} stops");
    expect_same(&watched.at("out"), &expected, "after stops");
}

#[test]
fn a_run_that_is_killed_goes_on_where_it_was() {
    let files = parts(&readings(12_000, 5, 0), 400);
    let expected = undisturbed(EVERYTHING, &files);
    for seed in [1, 2] {
        let (watched, stopped) = disturbed(&files, seed, Begun::kill);
        assert!(stopped > 5, "{stopped} kills");
        expect_same(&watched.at("out"), &expected, "after kills");
    }
}

#[test]
fn the_order_in_which_files_came_outlives_a_stop_and_what_was_read_may_go() {
    let pipeline = EVERYTHING.replace("time = ", "file_column = \"file\"\ntime = ");
    let watched = Watched::new(&pipeline);
    let files = parts(&readings(1200, 5, 0), 400);
    let texts: Vec<&str> = files.iter().map(|(_, text)| text.as_str()).collect();
    watched.land("m.csv", texts[0]);
    let mut begun = watched.begin(2, &[]);
    begun.wait_for_snapshot_after(1);
    watched.land("c.csv", texts[1]);
    wait_for_files(&mut begun, 1);
    watched.land("b.csv", texts[2]);
    wait_for_files(&mut begun, 2);
    begun.signal(libc::SIGTERM);
    begun.end().expect_code(75);
    // A run that has read a file needs it no more.
    let mut begun = watched.begin(1, &[]);
    begun.wait_until("all has been read", |begun| {
        begun.said().contains("the run starts")
            && rows_read(&shown(watched.folder.path(), &[])) == 1200
    });
    begun.signal(libc::SIGTERM);
    begun.end().expect_code(75);
    fs::remove_file(watched.at("in/m.csv")).expect("removed");
    let last = watched.begin(2, &["--set", "sources.readings.watch=false"]);
    last.end().expect_code(0);
    let mut order = Vec::new();
    let mut rows = 0;
    for (name, bytes) in written(&watched.at("out")) {
        if !name.starts_with("rows") {
            continue;
        }
        let text = String::from_utf8(bytes).expect("text");
        for line in text.lines().skip(1) {
            let file = line.rsplit(',').next().expect("a column").to_string();
            rows += 1;
            if order.last() != Some(&file) {
                order.push(file);
            }
        }
    }
    assert_eq!(order, ["in/m.csv", "in/c.csv", "in/b.csv"]);
    assert_eq!(rows, 1200);
}

#[test]
fn many_files_take_what_few_take() {
    let of = |files: usize| {
        let pipeline = COPY
            .replace("rows = 9", &format!("rows = {}", 2 * files))
            .replace(
                "[sources",
                "[engine]\nworkers = 2\nmemory = \"16MiB\"\n[sources",
            );
        let watched = Watched::new(&pipeline);
        watched.land("first.csv", "a,b\n1,1\n2,2\n");
        let begun = watched.begin(2, &["--quiet"]);
        for file in 1..files {
            watched.land(
                &format!("{file:05}.csv"),
                &format!("a,b\n{file},1\n{file},2\n"),
            );
        }
        let report = begun.end().expect_code(0).report();
        report["peak_memory_bytes"].as_u64().expect("it is told")
    };
    constant("10,000 files that land", of(1_000), of(10_000));
}
