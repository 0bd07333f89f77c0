//! Broken pipelines and what is said about them.

use std::path::Path;

#[path = "harness/fake.rs"]
mod fake;
mod harness;

#[test]
fn broken_pipelines_get_the_expected_messages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let count = harness::check(&folder, &fake::catalog());
    assert!(count >= 40, "only {count} broken pipelines");
}

#[test]
fn every_caret_stands_on_a_character() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    for entry in std::fs::read_dir(&folder).expect("the folder") {
        let name = entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !name.ends_with(".toml") {
            continue;
        }
        let loaded = harness::load_in(&folder, &name, &fake::catalog());
        for problem in loaded.report.problems.list() {
            if let Some(span) = problem.span {
                let spot = loaded.report.texts.spot(span, problem.within.as_ref());
                assert!(spot.is_some(), "{name}: {} stands nowhere", problem.message);
            }
        }
    }
}
