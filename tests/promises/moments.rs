//! Kills at the moments that hurt most: between two steps of a snapshot, between what sinks prepare and what they make visible,
//! between two files. Only builds with debug assertions can be killed there.
#![cfg(debug_assertions)]

use std::path::Path;

use dataflow::core::Moment;

use crate::data::Numbers;
use crate::going_on::{LIMIT, expect_same, remove, run, written};
use crate::program;

/// The passes of a moment at which the process is killed: the first ones, and some in the middle of the run.
const PASSES: [u64; 4] = [1, 2, 3, 7];

/// Rows that are written as they come, in both kinds of files that do so; groups that are written at the end, also to a file that must
/// not exist; a file per value; and a picture, which must not exist either.
const PIPELINE: &str = r#"
[sources.rows]
type = "generate"
preset = "sensors"
rows = 60_000
rate = "150k/s"

[transforms.warm]
type = "filter"
inputs = ["rows"]
where = "temperature > 60"

[transforms.groups]
type = "aggregate"
inputs = ["rows"]
by = { device = "device", minute = "date_trunc('minute', timestamp)" }
compute.mean = "mean(temperature)"
compute.most = "max(vibration)"

[sinks.warm_text]
type = "file"
inputs = ["warm"]
path = "out/warm.csv"

[sinks.warm_columns]
type = "file"
inputs = ["warm"]
path = "out/warm.parquet"
if_exists = "fail"

[sinks.groups_once]
type = "file"
inputs = ["groups"]
path = "out/groups.jsonl"
if_exists = "fail"

[sinks.groups_by_device]
type = "file"
inputs = ["groups"]
path = "out/by/{device}.arrow"
if_exists = "fail"

[sinks.warm_picture]
type = "plot"
inputs = ["warm"]
path = ["out/warm.png", "out/warm.svg"]
kind = "line"
x = "timestamp"
y = "temperature"
by = "device"
width = 300
height = 200
if_exists = "fail"
"#;

const STATE: &str = "[state]\ndir = \"state\"\nevery = \"5ms\"\n";

/// Runs to the end, or to a moment. Returns whether the process was killed there.
fn attempt(folder: &Path, numbers: &mut Numbers, until: Option<(Moment, u64)>) -> bool {
    let mut command = run(folder, 1 + numbers.below(3));
    let batch_rows = [500, 8192][numbers.below(2) as usize];
    command.args(["--set", &format!("engine.batch_rows={batch_rows}")]);
    if let Some((moment, pass)) = until {
        command.env(Moment::VARIABLE, format!("{moment}:{pass}"));
    }
    let outcome = program::finish(command, LIMIT);
    match outcome.code {
        None if until.is_some() => true,
        _ => {
            outcome.expect_code(0);
            false
        }
    }
}

/// What has its final name is whole, whenever that is looked at.
fn expect_whole(folder: &Path, expected: &[(String, Vec<u8>)], how: &str) {
    let hidden = |name: &str| name.rsplit('/').next().is_some_and(|n| n.starts_with('.'));
    for (name, found) in written(folder) {
        if hidden(&name) {
            continue;
        }
        let known = expected.iter().find(|(known, _)| *known == name);
        let (_, whole) = known.unwrap_or_else(|| panic!("{how}: {name} is there"));
        assert!(found == *whole, "{how}: {name} is not whole");
    }
}

#[test]
fn a_kill_at_the_worst_moments_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pipeline, out) = (
        folder.path().join("pipeline.toml"),
        folder.path().join("out"),
    );
    let mut numbers = Numbers::new(11);
    std::fs::write(&pipeline, PIPELINE).expect("written");
    attempt(folder.path(), &mut numbers, None);
    let expected = written(&out);
    assert!(expected.len() > 10, "{} files", expected.len());
    std::fs::write(&pipeline, format!("{STATE}{PIPELINE}")).expect("written");
    for moment in Moment::ALL {
        let mut kills = 0;
        for pass in PASSES {
            remove(folder.path(), &["state", "out"]);
            let how = format!("killed at {moment}, pass {pass}");
            if !attempt(folder.path(), &mut numbers, Some((moment, pass))) {
                // It does not come by so often.
                break;
            }
            kills += 1;
            expect_whole(&out, &expected, &how);
            // The run that goes on is killed there as well.
            if attempt(folder.path(), &mut numbers, Some((moment, 1))) {
                kills += 1;
                expect_whole(&out, &expected, &how);
            }
            attempt(folder.path(), &mut numbers, None);
            expect_same(&out, &expected, &how);
        }
        println!("{moment}: {kills} kills");
        assert!(kills > 0, "no run was killed at {moment}");
    }
}
