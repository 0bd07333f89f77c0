//! The example runs as its page says.

use std::process::Command;

#[test]
fn it_runs_and_prints_rows() {
    let output = Command::new(env!("CARGO_BIN_EXE_dataflow-embedding-example"))
        .output()
        .expect("starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(!output.stdout.is_empty());
}
