//! Runs that are killed at any moment: what others write that go on from there, on other workers and with other batches, is
//! what an undisturbed run writes, byte for byte.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::data::{self, Numbers};
use crate::going_on::{LIMIT, expect_same, remove, run, snapshots, written};
use crate::program;
use crate::sameness;
use crate::time::{files, readings, write};

/// After so many kills a run is let go on to its end.
const MOST_KILLS: u32 = 6;

/// Runs a pipeline to its end, or kills it after some time. Returns what it said, if it ended.
fn attempt(folder: &Path, numbers: &mut Numbers, kill_within: Option<Duration>) -> Option<String> {
    let mut command = run(folder, 1 + numbers.below(3));
    let batch_rows = [100, 300, 8192][numbers.below(3) as usize];
    command.args(["--set", &format!("engine.batch_rows={batch_rows}")]);
    let Some(within) = kill_within else {
        let outcome = program::finish(command, LIMIT).expect_code(0);
        return Some(outcome.stderr);
    };
    let said = std::fs::File::create(folder.join("said")).expect("created");
    let child = command.stdout(Stdio::null()).stderr(said).spawn();
    let mut child = child.expect("starts");
    // Mostly when there is a snapshot that was not there before; sometimes at any moment.
    let awaited = snapshots(folder) + u64::from(numbers.below(4) > 0);
    let mut until = None;
    let some = Duration::from_micros(numbers.below(within.as_micros() as u64) / 2);
    while until.is_none_or(|until| Instant::now() < until) {
        if until.is_none() && snapshots(folder) >= awaited {
            until = Some(Instant::now() + some);
        }
        if let Some(status) = child.try_wait().expect("known") {
            let said = std::fs::read_to_string(folder.join("said")).expect("text");
            assert!(status.success(), "{status}: {said}");
            return Some(said);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // SIGKILL: nothing can be tidied up.
    child.kill().expect("killed");
    child.wait().expect("gone");
    None
}

/// Removes what an archive of arrays was made of: it stays for a run that goes on.
fn remove_kept(folder: &Path) {
    for name in program::files(folder) {
        if name.starts_with(".several.npz.") {
            std::fs::remove_file(folder.join(name)).expect("removed");
        }
    }
}

/// Kills runs of a pipeline and lets others go on, several times over.
fn survives(text: &str, seed: u64) {
    // More of them for a long look: `just soak`.
    let rounds = std::env::var("KILL_ROUNDS").ok();
    let rounds = rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(3);
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = folder.path().join("pipeline.toml");
    let text = text.replace("params = { out = \"\" }\n", "");
    let mut numbers = Numbers::new(seed);
    std::fs::write(&pipeline, text.replace("${out}", "undisturbed")).expect("written");
    let began = Instant::now();
    attempt(folder.path(), &mut numbers, None);
    let took = began.elapsed();
    let expected = written(&folder.path().join("undisturbed"));
    let state = "[state]\ndir = \"state\"\nevery = \"1ms\"\n";
    std::fs::write(
        &pipeline,
        state.to_string() + &text.replace("${out}", "killed"),
    )
    .expect("written");
    let (mut kills, mut gone_on) = (0, 0);
    for _ in 0..rounds {
        remove(folder.path(), &["state", "killed"]);
        let mut left = MOST_KILLS;
        let said = loop {
            match attempt(folder.path(), &mut numbers, (left > 0).then_some(took)) {
                Some(said) => break said,
                None => (kills, left) = (kills + 1, left - 1),
            }
        };
        gone_on += usize::from(said.contains("goes on from snapshot"));
        remove_kept(&folder.path().join("killed"));
        expect_same(&folder.path().join("killed"), &expected, "after kills");
    }
    println!("{kills} kills, {gone_on} of {rounds} ends went on from a snapshot");
    assert!(kills > 0 && gone_on > 0);
}

#[test]
fn every_transform_survives_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = data::rows(30_000);
    // So many stages share it that a table of `lookup` would not fit into what is usual.
    let memory = "[engine]\nmemory = \"1GiB\"\n";
    let text = sameness::transforms(folder.path(), &rows);
    survives(&format!("{memory}{text}"), 1);
}

#[test]
fn every_window_survives_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = readings(20_000, 5, 60);
    write(
        folder.path(),
        &files(&rows, |at, _| format!("{}.csv", at % 3)),
    );
    let text = crate::time::source(folder.path(), "20s", "") + &crate::time::windows();
    survives(&text, 2);
}

/// Sinks that write one file after the other: by rows, by size, by time, and all at once.
const ROLLED: &str = r#"
[transforms.seen]
type = "sort"
inputs = ["readings"]
by_time = true

[sinks.by_rows]
type = "file"
inputs = ["seen"]
path = "${out}/rows.csv"
roll = { rows = 777 }

[sinks.by_size]
type = "file"
inputs = ["seen"]
path = "${out}/size.jsonl"
roll = { bytes = "100kB" }

[sinks.by_time]
type = "file"
inputs = ["seen"]
path = "${out}/time.parquet"
roll = { every = "1h", rows = 5_000 }

[sinks.compressed]
type = "file"
inputs = ["seen"]
path = "${out}/all.csv.gz"
roll = { every = "2h", bytes = "50kB", rows = 4_000 }
"#;

#[test]
fn files_that_roll_survive_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = readings(20_000, 5, 60);
    write(
        folder.path(),
        &files(&rows, |at, _| format!("{}.csv", at % 3)),
    );
    let text = crate::time::source(folder.path(), "20s", "") + ROLLED;
    survives(&text, 5);
}

/// Arrays for NumPy, whose heads and places are known at the end.
const ARRAYS: &str = r#"
[transforms.seen]
type = "sort"
inputs = ["readings"]
by_time = true

[transforms.numbers]
type = "select"
inputs = ["seen"]
keep = ["time", "x"]
compute.twice = "2 * x"

[transforms.number]
type = "select"
inputs = ["seen"]
keep = ["x"]

[sinks.one]
type = "file"
inputs = ["number"]
path = "${out}/one.npy"

[sinks.several]
type = "file"
inputs = ["numbers"]
path = "${out}/several.npz"

[sinks.rolled]
type = "file"
inputs = ["numbers"]
path = "${out}/rolled.npz"
roll = { rows = 3_000 }

[sinks.rolled_one]
type = "file"
inputs = ["number"]
path = "${out}/rolled.npy"
roll = { rows = 777 }
"#;

#[test]
fn arrays_survive_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = readings(20_000, 5, 60);
    write(
        folder.path(),
        &files(&rows, |at, _| format!("{}.csv", at % 3)),
    );
    let text = crate::time::source(folder.path(), "20s", "") + ARRAYS;
    survives(&text, 7);
}

#[test]
fn transforms_over_time_survive_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = readings(20_000, 5, 60);
    write(
        folder.path(),
        &files(&rows, |at, _| format!("{}.csv", at % 3)),
    );
    let text = crate::time::source(folder.path(), "20s", "") + &crate::row_time::pipeline();
    survives(&text, 3);
}

#[test]
fn joins_over_time_survive_kills() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    for (folder, rows) in folders.iter().zip([20_000, 15_000]) {
        let rows = readings(rows, 5, 50);
        write(
            folder.path(),
            &files(&rows, |at, _| format!("{}.csv", at % 3)),
        );
    }
    let paths = folders.each_ref().map(|f| f.path().display().to_string());
    survives(&crate::time_joins::joins(&paths[0], &paths[1], "20s"), 4);
}
