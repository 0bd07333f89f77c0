//! `[state] from`: transforms that begin with the state of others, as though the rows of those had come before the first.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::program::{self, Outcome};

const TRANSFORMS: &str = r#"
[transforms.totals]
type = "aggregate"
inputs = ["rows"]
by = ["device"]
compute.n = "count(*)"
compute.sum = "sum(x)"
compute.first = "first(x)"
compute.middle = "median(x)"

[transforms.before]
type = "lag"
inputs = ["rows"]
by = ["device"]
rows = 2
columns = ["x"]

[sinks.out]
type = "file"
inputs = ["totals"]
path = "out/totals.csv"

[sinks.out2]
type = "file"
inputs = ["before"]
path = "out/before.csv"
"#;

/// `[state]` and other settings, a source over `path` with this id, and the transforms.
fn write_pipeline(folder: &Path, head: &str, (id, path): (&str, &str), transforms: &str) {
    let source =
        format!("[sources.{id}]\ntype = \"file\"\npath = {path}\ntime = {{ column = \"at\" }}\n");
    let transforms = transforms.replace("\"rows\"", &format!("\"{id}\""));
    let text = format!("{head}\n{source}{transforms}");
    fs::write(folder.join("pipeline.toml"), text).expect("written");
}

fn readings(range: std::ops::Range<u32>) -> String {
    let mut text = String::from("at,device,x\n");
    for i in range {
        let second = i / 3;
        let _ = writeln!(
            text,
            "2025-01-01T{:02}:{:02}:{:02}Z,d{},{}",
            second / 3600,
            second / 60 % 60,
            second % 60,
            i * i % 11,
            f64::from(i * 7919 % 1000) / 8.0
        );
    }
    text
}

/// A folder in which a pipeline over `2024.csv` has left its state in `trained`; there is `2025.csv` too.
fn trained(memory: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("2024.csv"), readings(0..6_000)).expect("written");
    fs::write(folder.path().join("2025.csv"), readings(6_000..9_000)).expect("written");
    let head = format!("[state]\ndir = \"trained\"\n[engine]\nmemory = \"{memory}\"");
    write_pipeline(
        folder.path(),
        &head,
        ("archive", "\"2024.csv\""),
        TRANSFORMS,
    );
    run(folder.path(), 3).expect_code(0);
    fs::remove_dir_all(folder.path().join("out")).expect("there");
    folder
}

fn run(folder: &Path, workers: u32) -> Outcome {
    let mut command = program::dataflow();
    command
        .current_dir(folder)
        .args(["run", "pipeline.toml", "--workers", &workers.to_string()]);
    program::finish(command, std::time::Duration::from_secs(60))
}

fn written(folder: &Path) -> (String, String) {
    let read = |name: &str| fs::read_to_string(folder.join("out").join(name)).expect("there");
    (read("totals.csv"), read("before.csv"))
}

#[test]
fn a_pipeline_begins_with_the_state_of_another() {
    for memory in ["1B", "256MiB"] {
        let folder = trained(memory);
        let folder = folder.path();
        let engine = format!("[engine]\nmemory = \"{memory}\"");
        let both = "[\"2024.csv\", \"2025.csv\"]";
        write_pipeline(folder, &engine, ("rows", both), TRANSFORMS);
        run(folder, 1).expect_code(0);
        let (totals, before) = written(folder);
        for (workers, kept) in [(1, ""), (3, ""), (2, "dir = \"live\"\n")] {
            let head = format!("[state]\nfrom = \"trained\"\n{kept}{engine}");
            write_pipeline(folder, &head, ("live", "\"2025.csv\""), TRANSFORMS);
            let said = ["begins with the state of `before`, `totals`"];
            run(folder, workers).expect_code(0).expect_words(&said);
            let (of_totals, of_before) = written(folder);
            assert_eq!(of_totals, totals, "{workers} workers, {memory}");
            let (header, rows) = of_before.split_once('\n').expect("a header");
            assert!(before.starts_with(header));
            assert!(before.ends_with(rows), "{workers} workers, {memory}");
            assert_eq!(rows.lines().count(), 3_000, "only rows of its own");
        }
        // What it has saved itself comes first.
        let said = run(folder, 1).expect_code(0);
        assert!(said.stderr.contains("goes on from snapshot"), "{said:?}");
        assert_eq!(written(folder).0, totals);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = trained("256MiB");
    let folder = folder.path();
    let from = "[state]\nfrom = \"trained\"";
    let live = ("live", "\"2025.csv\"");
    let other = TRANSFORMS.replace("rows = 2", "rows = 3");
    write_pipeline(folder, from, live, &other);
    run(folder, 2)
        .expect_code(78)
        .expect_words(&["`before`", "other settings", "trained"]);
    let other = TRANSFORMS
        .replace("totals", "sums")
        .replace(".before", ".earlier")
        .replace("\"before\"", "\"earlier\"");
    write_pipeline(folder, from, live, &other);
    run(folder, 2).expect_code(78).expect_words(&[
        "no transform of this pipeline",
        "`totals` (aggregate)",
        "`earlier` (lag)",
    ]);
    write_pipeline(folder, "[state]\nfrom = \"nowhere\"", live, TRANSFORMS);
    run(folder, 2).expect_code(1).expect_words(&["nowhere"]);
    fs::create_dir(folder.join("empty")).expect("made");
    write_pipeline(folder, "[state]\nfrom = \"empty\"", live, TRANSFORMS);
    run(folder, 2)
        .expect_code(1)
        .expect_words(&["no snapshot", "empty"]);
    assert!(!folder.join("out").exists(), "nothing was written");
}
