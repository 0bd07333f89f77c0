//! The program's surface: exit codes, and where things are printed. Its being here also has the program built for tests.

use std::process::{Command, Output};

fn dataflow(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dataflow"))
        .args(arguments)
        .output()
        .expect("starts")
}

#[test]
fn wrong_usage_is_2_and_goes_to_standard_error() {
    let output = dataflow(&["rum"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("similar subcommand exists: 'run'"));
}

#[test]
fn a_level_that_does_not_exist_is_wrong_usage() {
    for level in ["loud", "info,dataflow_engine=loud"] {
        let output = dataflow(&["list", "--log-level", level]);
        assert_eq!(output.status.code(), Some(2));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            told.contains("`loud` is no level: write error, warn, info, debug or trace"),
            "{told}"
        );
    }
    assert!(
        dataflow(&["list", "--log-level", "warn,dataflow_engine=debug"])
            .status
            .success()
    );
}

#[test]
fn an_error_is_told_whatever_is_logged() {
    for level in ["off", "dataflow_engine=debug"] {
        let log = ["--log-format", "json", "--log-level", level];
        let output = dataflow(&[&["run", "no-such-file.toml"], &log[..]].concat());
        assert_eq!(output.status.code(), Some(78));
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("no-such-file.toml"),
            "{level}"
        );
    }
}

#[test]
fn a_bad_pipeline_is_78() {
    let output = dataflow(&["run", "no-such-file.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-file.toml"));
}

#[test]
fn lists_and_pages_go_to_standard_output() {
    for arguments in [
        &["list"][..],
        &["show", "file"],
        &["schema"],
        &["new", "summary"],
        &["completions", "bash"],
    ] {
        let output = dataflow(arguments);
        assert!(
            output.status.success() && !output.stdout.is_empty(),
            "{arguments:?}"
        );
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
    let output = dataflow(&["show", "avg"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean `mean`?"));
}
