//! Snapshots through the program: who may go on with them and who may not, what stops a run and what it leaves, what is said.

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::ptr::null_mut;

use tempfile::TempDir;

use crate::going_on::{
    Begun, LIMIT, expect_same, remove, rows_read, run, shown, snapshots, written,
};
use crate::program::{self, Outcome};

/// A second and a half of work.
const ROWS: u64 = 30_000;
const STATE: &str = "[state]\ndir = \"state\"\nevery = \"20ms\"\n";
const PIPELINE: &str = r#"
name = "readings"

[sources.rows]
type = "generate"
preset = "sensors"
rows = 30_000
rate = "20k/s"

[transforms.warm]
type = "filter"
inputs = ["rows"]
where = "temperature > 60"

[transforms.groups]
type = "aggregate"
inputs = ["rows"]
by = { device = "device", minute = "date_trunc('minute', timestamp)" }
compute.mean = "mean(temperature)"

[sinks.warm_rows]
type = "file"
inputs = ["warm"]
path = "out/warm.csv"

[sinks.means]
type = "file"
inputs = ["groups"]
path = "out/means.parquet"
"#;

/// The files that a pipeline writes when nothing disturbs it.
type Files = Vec<(String, Vec<u8>)>;

/// A folder of a pipeline with `[state]`, and what the pipeline writes without.
fn place(state: &str, pipeline: &str) -> (TempDir, Files) {
    let folder = tempfile::tempdir().expect("a folder");
    let expected = undisturbed(folder.path(), pipeline);
    write(folder.path(), &format!("{pipeline}{state}"));
    (folder, expected)
}

fn undisturbed(folder: &Path, pipeline: &str) -> Files {
    let hurried = pipeline.replace("rate = \"20k/s\"\n", "");
    write(folder, &hurried);
    program::finish(run(folder, 2), LIMIT).expect_code(0);
    let files = written(&folder.join("out"));
    remove(folder, &["out"]);
    files
}

fn write(folder: &Path, pipeline: &str) {
    fs::write(folder.join("pipeline.toml"), pipeline).expect("written");
}

/// Runs to the end.
fn finish(folder: &Path, more: &[&str]) -> Outcome {
    let mut command = run(folder, 3);
    command.args(more);
    program::finish(command, LIMIT)
}

fn begin(folder: &Path) -> Begun {
    Begun::start(folder, run(folder, 2))
}

/// Kills a run behind its second snapshot, so that there is one before the newest.
fn killed(folder: &Path) {
    let mut begun = begin(folder);
    begun.wait_for_snapshot_after(1);
    begun.kill();
    assert!(snapshots(folder) >= 2);
}

/// The run goes on, and its files are those that it writes when nothing disturbs it.
fn goes_on(folder: &Path, expected: &Files) -> Outcome {
    let outcome = finish(folder, &["--format", "json"])
        .expect_code(0)
        .expect_words(&["goes on from snapshot"]);
    expect_same(&folder.join("out"), expected, "gone on with");
    let report = outcome.report();
    let read = program::component(&report, "rows")["rows_out"].as_u64();
    assert!(
        read.is_some_and(|read| read < ROWS),
        "it begins past zero: {read:?}"
    );
    outcome
}

fn state_of(folder: &Path, words: &[&str]) -> Outcome {
    let mut command = program::dataflow();
    command.current_dir(folder).arg("state").args(words);
    program::finish(command, LIMIT)
}

/// Nothing is there but what is hidden.
fn expect_hidden(folder: &Path) {
    for (name, _) in written(&folder.join("out")) {
        assert!(name.starts_with('.'), "{name} is there");
    }
}

#[test]
fn a_second_run_on_the_same_folder_is_refused_and_told_of_the_first() {
    let (place, expected) = place(STATE, PIPELINE);
    let mut first = begin(place.path());
    first.wait_for_snapshot_after(0);
    let process = format!("process {}", first.process());
    let words = [
        "in use by the pipeline `readings`",
        &process,
        "since 20",
        "help: wait for it or stop it",
    ];
    finish(place.path(), &[])
        .expect_code(1)
        .expect_words(&words);
    finish(place.path(), &["--fresh"])
        .expect_code(1)
        .expect_words(&words);
    state_of(place.path(), &["reset", "pipeline.toml", "--yes"])
        .expect_code(1)
        .expect_words(&words);
    // Looking is allowed.
    let looked = state_of(place.path(), &["show", "pipeline.toml"]).expect_code(0);
    assert!(looked.stdout.starts_with("snapshot "), "{}", looked.stdout);
    // The first one does not mind.
    let first = first.end();
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    expect_same(&place.path().join("out"), &expected, "the first run");
}

#[test]
fn a_changed_pipeline_is_refused_and_told_what_changed() {
    let (place, expected) = place(STATE, PIPELINE);
    killed(place.path());
    let changed = |from: &str, to: &str, words: &[&str]| {
        assert!(PIPELINE.contains(from), "{from}");
        write(
            place.path(),
            &format!("{}{STATE}", PIPELINE.replace(from, to)),
        );
        let outcome = finish(place.path(), &[])
            .expect_code(78)
            .expect_words(words)
            .expect_words(&["(state)", "help: begin anew with `--fresh`"]);
        assert!(!outcome.stderr.contains("goes on"), "{}", outcome.stderr);
    };
    changed("> 60", "> 61", &["`warm` was changed"]);
    changed(
        "compute.mean = ",
        "compute.most = \"max(temperature)\"\ncompute.mean = ",
        &["`groups` was changed"],
    );
    changed(
        "[sinks.means]",
        "[sinks.averages]",
        &["`averages` is new, `means` is gone"],
    );
    // What changes no result may be another.
    let engine = "[engine]\nworkers = 1\nmemory = \"64MiB\"\nbatch_rows = 77\n[metrics]\nlisten = \"127.0.0.1:0\"\n";
    let state = STATE.replace("20ms", "1h");
    let faster = PIPELINE.replace("20k/s", "40k/s");
    write(place.path(), &format!("{faster}{engine}{state}"));
    goes_on(place.path(), &expected);
}

#[test]
fn fresh_begins_anew() {
    let (place, expected) = place(STATE, PIPELINE);
    killed(place.path());
    let outcome = finish(place.path(), &["--fresh", "--format", "json"]).expect_code(0);
    assert!(!outcome.stderr.contains("goes on"), "{}", outcome.stderr);
    let report = outcome.report();
    assert_eq!(program::component(&report, "rows")["rows_out"], ROWS);
    expect_same(&place.path().join("out"), &expected, "begun anew");
}

#[test]
fn a_signal_stops_behind_a_snapshot_and_the_next_run_goes_on() {
    let (place, expected) = place(&STATE.replace("20ms", "1h"), PIPELINE);
    let rate = std::time::Duration::from_millis(300);
    for signal in [libc::SIGTERM, libc::SIGINT] {
        remove(place.path(), &["state", "out"]);
        let mut begun = begin(place.path());
        begun.wait_until("it writes", |_| {
            !written(&place.path().join("out")).is_empty()
        });
        std::thread::sleep(rate);
        begun.signal(signal);
        let outcome = begun.end();
        assert_eq!(outcome.code, Some(75), "{}", outcome.stderr);
        let said = "stopped; `dataflow run pipeline.toml` goes on from here\n";
        assert_eq!(outcome.stderr, said, "and that is no error");
        expect_hidden(place.path());
        // None was due, so it is the one for the stop.
        assert_eq!(snapshots(place.path()), 1);
        assert!(rows_read(&shown(place.path(), &[])) > 0);
        goes_on(place.path(), &expected);
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let (place, expected) = place(STATE, PIPELINE);
    let mut begun = begin(place.path());
    begun.wait_for_snapshot_after(1);
    begun.signal(libc::SIGTERM);
    begun.signal(libc::SIGINT);
    let outcome = begun.end();
    // The last snapshot may have been faster than the second signal.
    assert!(
        matches!(outcome.code, Some(130 | 75)),
        "{:?} {}",
        outcome.code,
        outcome.stderr
    );
    expect_hidden(place.path());
    goes_on(place.path(), &expected);
}

#[test]
fn a_last_snapshot_that_takes_too_long_is_not_waited_for() {
    let (place, expected) = place(&format!("{STATE}grace = \"1us\"\n"), PIPELINE);
    let mut begun = begin(place.path());
    begun.wait_for_snapshot_after(1);
    begun.signal(libc::SIGTERM);
    let outcome = begun.end();
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    outcome.expect_words(&["took longer than `grace`", "goes on from the one before"]);
    expect_hidden(place.path());
    goes_on(place.path(), &expected);
}

#[test]
fn without_snapshots_a_signal_ends_the_run_for_good() {
    let (place, _) = place("", PIPELINE);
    let mut begun = begin(place.path());
    begun.wait_until("it writes", |_| {
        !written(&place.path().join("out")).is_empty()
    });
    begun.signal(libc::SIGTERM);
    let outcome = begun.end();
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    outcome.expect_words(&["stopped by a signal", "nothing was written"]);
    assert!(written(&place.path().join("out")).is_empty());
}

/// Ten files, a tenth of a second each.
fn files(folder: &Path) {
    fs::create_dir(folder.join("in")).expect("a folder");
    for file in 0..10 {
        let rows = (0..1000).map(|row| format!("{file},{}\n", (row * 7) % 31));
        let text = format!("file,n\n{}", rows.collect::<String>());
        fs::write(folder.join(format!("in/{file}.csv")), text).expect("written");
    }
}

const OF_FILES: &str = "[sources.rows]\ntype = \"file\"\npath = \"in\"\ncolumns.n = { type = \"int64\" }\nrate = \"20k/s\"\n[transforms.sums]\ntype = \"aggregate\"\ninputs = [\"rows\"]\nby = [\"file\"]\ncompute.sum = \"sum(n)\"\n[sinks.copy]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"out/copy.csv\"\n[sinks.sums_file]\ntype = \"file\"\ninputs = [\"sums\"]\npath = \"out/sums.csv\"\n";

#[test]
fn what_was_wrong_can_be_mended_and_the_run_gone_on_with() {
    let place = tempfile::tempdir().expect("a folder");
    files(place.path());
    let expected = undisturbed(place.path(), OF_FILES);
    let slowly = OF_FILES.replace("20k/s", "5k/s");
    write(place.path(), &format!("{slowly}{STATE}"));
    let eighth = place.path().join("in/8.csv");
    let good = fs::read_to_string(&eighth).expect("text");
    fs::write(&eighth, good.replacen("8,21\n", "8,2x\n", 1)).expect("written");
    for _ in 0..2 {
        finish(place.path(), &[]).expect_code(1).expect_words(&[
            "rows: ",
            "`2x`",
            "(in/8.csv, row ",
        ]);
        expect_hidden(place.path());
        let read = rows_read(&shown(place.path(), &[]));
        assert!((1000..=8000).contains(&read), "{read} rows were read");
    }
    fs::write(&eighth, good).expect("written");
    let outcome = finish(place.path(), &["--format", "json"])
        .expect_code(0)
        .expect_words(&["goes on from snapshot"]);
    let report = outcome.report();
    let read = program::component(&report, "rows")["rows_out"].as_u64();
    assert!(read.is_some_and(|read| read <= 9000), "{read:?}");
    expect_same(&place.path().join("out"), &expected, "mended");
}

/// A disk of its own for what is below a folder, as long as this is there.
struct Disk(PathBuf);

impl Disk {
    /// None where that is not allowed.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(folder).expect("a folder");
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]);
        let done = mount.arg(folder).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success())
            .then(|| Self(folder.to_path_buf()))
    }

    fn make_room(&self, size: &str) {
        let options = format!("remount,size={size}");
        let done = Command::new("mount")
            .args(["-o", &options])
            .arg(&self.0)
            .status();
        assert!(done.is_ok_and(|status| status.success()), "it is larger");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "unmounted");
    }
}

#[test]
fn a_full_disk_is_told_and_the_snapshot_before_is_good() {
    // A group for every row: what is held grows all the time.
    let grows = PIPELINE.replace("date_trunc('minute', timestamp)", "timestamp");
    let (place, expected) = place(STATE, &grows);
    let Some(disk) = Disk::mount(&place.path().join("state"), "256k") else {
        eprintln!("skipped: only an administrator may make a small disk");
        return;
    };
    finish(place.path(), &[]).expect_code(1).expect_words(&[
        "No space left",
        "state/",
        "help: make room on that disk",
    ]);
    expect_hidden(place.path());
    assert!(rows_read(&shown(place.path(), &[])) > 0);
    disk.make_room("64m");
    goes_on(place.path(), &expected);
    drop(disk);
}

#[test]
fn a_folder_that_is_none_or_of_something_else_is_refused() {
    let place = tempfile::tempdir().expect("a folder");
    write(place.path(), &format!("{PIPELINE}{STATE}"));
    let state = place.path().join("state");
    fs::write(&state, "a file").expect("written");
    let words = ["(state)", "is no folder", "help: "];
    finish(place.path(), &[])
        .expect_code(1)
        .expect_words(&words);
    for words in [
        &["show", "pipeline.toml"][..],
        &["reset", "pipeline.toml", "--yes"],
    ] {
        state_of(place.path(), words)
            .expect_code(1)
            .expect_words(&["(state)", "is no folder"]);
    }
    assert_eq!(fs::read(&state).expect("it is still there"), b"a file");
    fs::remove_file(&state).expect("removed");
    fs::create_dir(&state).expect("a folder");
    fs::write(state.join("letters.txt"), "mine").expect("written");
    let words = [
        "(state)",
        "`letters.txt` is in it",
        "nothing was changed",
        "help: choose",
    ];
    for more in [&[][..], &["--fresh"]] {
        finish(place.path(), more)
            .expect_code(1)
            .expect_words(&words);
    }
    assert_eq!(program::files(&state), ["letters.txt"]);
}

/// Flips a bit in the middle of what only this snapshot has: the newest segment.
fn damage(state: &Path, snapshot: u64) {
    let manifest = state.join(format!("MANIFEST-{snapshot}"));
    let text = fs::read_to_string(&manifest).expect("text");
    let segment = text.split("\"segment\":").skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok()
    });
    let segment = segment.max().expect("it names one");
    let path = state.join(format!("parts/{segment}.part"));
    let mut bytes = fs::read(&path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");
}

#[test]
fn a_damaged_snapshot_is_told_and_the_one_before_is_taken() {
    let (place, expected) = place(STATE, PIPELINE);
    killed(place.path());
    let newest = snapshots(place.path());
    damage(&place.path().join("state"), newest);
    let before = format!("goes on from snapshot {}", newest - 1);
    let outcome = finish(place.path(), &[]).expect_code(0).expect_words(&[
        "a file of the snapshots is damaged",
        "state/parts/",
        &before,
    ]);
    expect_same(&place.path().join("out"), &expected, "from the one before");
    assert!(!outcome.stderr.contains("error"), "{}", outcome.stderr);
}

#[test]
fn damaged_snapshots_are_told_and_how_to_begin_anew() {
    let (place, expected) = place(STATE, PIPELINE);
    killed(place.path());
    let newest = snapshots(place.path());
    for snapshot in [newest, newest - 1] {
        damage(&place.path().join("state"), snapshot);
    }
    let words = [
        "a file of the snapshots is damaged",
        "state/parts/",
        "help: ",
        "`--fresh`",
    ];
    finish(place.path(), &[])
        .expect_code(1)
        .expect_words(&words);
    finish(place.path(), &["--fresh"]).expect_code(0);
    expect_same(&place.path().join("out"), &expected, "begun anew");
}

#[test]
fn what_is_stored_is_shown_and_removed() {
    let place = tempfile::tempdir().expect("a folder");
    write(place.path(), PIPELINE);
    for command in ["show", "reset"] {
        state_of(place.path(), &[command, "pipeline.toml"])
            .expect_code(2)
            .expect_words(&["pipeline.toml keeps no snapshots: it has no `[state]`"]);
    }
    write(place.path(), &format!("{PIPELINE}{STATE}"));
    let none = state_of(place.path(), &["show", "pipeline.toml"]).expect_code(0);
    assert_eq!(none.stdout, "no snapshot in state\n");
    assert!(shown(place.path(), &[]).is_null());
    killed(place.path());
    let text = state_of(place.path(), &["show", "pipeline.toml"]).expect_code(0);
    let found = shown(place.path(), &[]);
    let number = snapshots(place.path());
    assert_eq!(found["snapshot"], number);
    assert_eq!(found["sources"][0]["id"], "rows");
    let rows = rows_read(&found);
    assert!(rows > 0 && rows <= ROWS, "{rows} rows");
    let first = format!("snapshot {number}, taken ");
    assert!(text.stdout.starts_with(&first), "{}", text.stdout);
    let lines: Vec<&str> = text.stdout.lines().collect();
    assert!(lines[1].starts_with("  rows: "), "{}", text.stdout);
    let groups = lines.iter().find(|line| line.starts_with("  groups: "));
    assert!(
        groups.is_some_and(|line| line.contains(" keys, ") && line.ends_with(" held")),
        "{}",
        text.stdout
    );
    let components = found["components"].as_array().expect("a list");
    let groups = components.iter().find(|of| of["id"] == "groups");
    assert!(
        groups.is_some_and(|of| of["keys"].as_u64() > Some(1)),
        "{found:#}"
    );
    assert!(
        text.stdout.contains("of 1 file to the end"),
        "{}",
        text.stdout
    );
    for component in ["warm_rows", "groups", "means"] {
        let parts = found["parts"].as_array().expect("a list");
        let holds = parts.iter().any(|part| part["component"] == component);
        assert!(holds, "{component} is not in {found:#}");
    }
    // Nobody is there to be asked.
    state_of(place.path(), &["reset", "pipeline.toml"])
        .expect_code(2)
        .expect_words(&["nobody is there to be asked", "`--yes`"]);
    assert_eq!(snapshots(place.path()), number);
    state_of(place.path(), &["reset", "pipeline.toml", "--yes"])
        .expect_code(0)
        .expect_words(&["removed the snapshots in state"]);
    assert!(shown(place.path(), &[]).is_null());
    state_of(place.path(), &["reset", "pipeline.toml", "--yes"]).expect_code(0);
}

/// `dataflow state reset` on a terminal on which somebody answers.
fn asked(folder: &Path, answer: &str) -> Outcome {
    let (mut ours, mut theirs) = (-1, -1);
    let (name, settings, size) = (null_mut(), null_mut(), null_mut());
    // SAFETY: both numbers are ours to be filled; no name, settings or size are given.
    let opened = unsafe { libc::openpty(&mut ours, &mut theirs, name, settings, size) };
    assert_eq!(opened, 0, "a terminal");
    // SAFETY: both were just opened and are nobody else's.
    let (ours, theirs) = unsafe { (fs::File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    std::io::Write::write_all(&mut &ours, answer.as_bytes()).expect("answered");
    let mut command = program::dataflow();
    command
        .current_dir(folder)
        .args(["state", "reset", "pipeline.toml"])
        .stdin(theirs);
    program::finish(command, LIMIT)
}

#[test]
fn whoever_removes_snapshots_is_asked() {
    let place = tempfile::tempdir().expect("a folder");
    write(place.path(), &format!("{PIPELINE}{STATE}"));
    killed(place.path());
    let question = "remove all snapshots in state? [y/N] ";
    for answer in ["n\n", "\n", "what\n"] {
        asked(place.path(), answer)
            .expect_code(2)
            .expect_words(&[question, "nothing was removed"]);
        assert!(snapshots(place.path()) > 0);
    }
    asked(place.path(), "y\n")
        .expect_code(0)
        .expect_words(&[question, "removed the snapshots in state"]);
    assert_eq!(snapshots(place.path()), 0);
}
