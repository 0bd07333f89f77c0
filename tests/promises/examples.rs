//! Ready pipelines run as they are, and worked examples give what they say.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::program::{self, finish, pipelines};

const LIMIT: Duration = Duration::from_secs(120);

/// The files of a folder with this extension, or none where there is no such folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

/// The program, started in a folder.
fn start_in(folder: &Path, command: &str, pipeline: &Path, more: &[&str]) -> Command {
    let mut program = program::dataflow();
    program
        .current_dir(folder)
        .arg(command)
        .arg(pipeline)
        .args(more);
    program
}

#[test]
fn every_ready_pipeline_runs_without_settings() {
    for pipeline in pipelines() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = start_in(folder.path(), "run", &pipeline, &["--rows", "1000"]);
        let outcome = finish(run, LIMIT);
        assert_eq!(
            outcome.code,
            Some(0),
            "{}\n{}",
            pipeline.display(),
            outcome.stderr
        );
        let left = program::files(folder.path());
        assert!(
            left.iter().all(|name| !name.contains(".partial")),
            "{left:?}"
        );
    }
}

#[test]
fn every_ready_pipeline_is_fine_and_passes_its_own_tests() {
    for pipeline in pipelines() {
        let folder = tempfile::tempdir().expect("a folder");
        for command in ["validate", "test", "explain", "graph"] {
            let outcome = finish(start_in(folder.path(), command, &pipeline, &[]), LIMIT);
            assert_eq!(
                outcome.code,
                Some(0),
                "{command} {}\n{}{}",
                pipeline.display(),
                outcome.stdout,
                outcome.stderr
            );
        }
    }
}

#[test]
fn every_ready_pipeline_has_a_test_of_its_own() {
    for pipeline in pipelines() {
        let text = std::fs::read_to_string(&pipeline).expect("readable");
        assert!(
            text.contains("[[tests]]"),
            "{} has no [[tests]]",
            pipeline.display()
        );
    }
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    for name in program::files(from) {
        let target = to.join(&name);
        std::fs::create_dir_all(target.parent().expect("it is below")).expect("a folder");
        std::fs::copy(from.join(&name), target).expect("copied");
    }
}

/// With `UPDATE_EXPECTED=1` in the environment the expected files are written anew.
#[test]
fn every_worked_example_gives_what_it_says() {
    let examples = entries(&program::root().join("examples")).into_iter();
    let with_pipeline = examples.filter(|folder| folder.join("pipeline.toml").exists());
    for example in with_pipeline {
        let place = tempfile::tempdir().expect("a folder");
        copy(&example, place.path());
        let expected = example.join("expected");
        let run = start_in(place.path(), "run", Path::new("pipeline.toml"), &[]);
        let outcome = finish(run, LIMIT);
        let name = example.display();
        assert_eq!(outcome.code, Some(0), "{name}\n{}", outcome.stderr);
        let out = place.path().join("out");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            copy(&out, &expected);
        }
        let files = program::files(&expected);
        assert!(!files.is_empty(), "{name}/expected is empty");
        for file in files {
            let found = if file == "stdout" {
                outcome.stdout.clone().into_bytes()
            } else {
                let path = out.join(&file);
                std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {file}: {error}"))
            };
            let expected = std::fs::read(expected.join(&file)).expect("readable");
            assert!(
                found == expected,
                "{name}/expected/{file} differs; found:\n{}",
                String::from_utf8_lossy(&found)
            );
        }
    }
}
