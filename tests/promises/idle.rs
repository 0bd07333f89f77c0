//! Idle means idle: a pipeline that waits for input uses next to no processor time.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program;

/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(5);
/// The processor time that it may use meanwhile: one tick of the clock that the system counts in.
const ALLOWED: f64 = 0.010;

/// Seconds of processor time that a process and its threads have used.
fn used(process: u32) -> f64 {
    // In nanoseconds, thread by thread: finer than the ticks of `stat`.
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let mut nanoseconds = 0_u64;
    for task in tasks {
        let path = task.expect("a thread").path().join("schedstat");
        // A thread that has ended since has nothing more to say.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let first = text.split_whitespace().next();
        nanoseconds += first.and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    }
    nanoseconds as f64 / 1e9
}

/// Ends the process when the test is over, however it ends.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path, pipeline: &str) -> Waiting {
    std::fs::write(folder.join("pipeline.toml"), pipeline).expect("written");
    let mut command: Command = program::dataflow();
    command
        .current_dir(folder)
        .args(["run", "pipeline.toml", "--workers", "2"])
        .args(["--metrics", "127.0.0.1:0"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    Waiting(command.stderr(Stdio::null()).spawn().expect("it starts"))
}

/// Waits until nothing happens any more: start-up is over.
fn settle(process: u32) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut before = -1.0;
    while used(process) - before > 0.0005 {
        assert!(Instant::now() < deadline, "it never comes to rest");
        before = used(process);
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn a_pipeline_that_waits_for_standard_input_is_idle() {
    let _alone = program::alone();
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = r#"
        [sources.lines]
        type = "file"
        path = "-"
        format = "jsonl"
        columns.a = { type = "int64" }
        [transforms.kept]
        type = "filter"
        inputs = ["lines"]
        where = "a > 1"
        [transforms.groups]
        type = "aggregate"
        inputs = ["kept"]
        by = ["a"]
        compute.rows = "count(*)"
        [sinks.out]
        type = "file"
        inputs = ["groups"]
        path = "out.csv"
    "#;
    let waiting = start(folder.path(), pipeline);
    let process = waiting.0.id();
    settle(process);
    let before = used(process);
    std::thread::sleep(WATCHED);
    let used = used(process) - before;
    assert!(
        used < ALLOWED,
        "{used:.4} s of processor time in {WATCHED:?}"
    );
}

#[test]
fn between_the_rows_of_a_slow_source_there_is_rest() {
    let _alone = program::alone();
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = r#"
        [sources.rows]
        type = "generate"
        preset = "sensors"
        rows = 1000
        rate = "2/s"
        [sinks.out]
        type = "null"
        inputs = ["rows"]
    "#;
    let waiting = start(folder.path(), pipeline);
    let process = waiting.0.id();
    std::thread::sleep(Duration::from_secs(2));
    let before = used(process);
    std::thread::sleep(WATCHED);
    let used = used(process) - before;
    // Ten rows come meanwhile, one or two at a time; each costs some wakings, of less than a millisecond together.
    assert!(
        used < 2.0 * ALLOWED,
        "{used:.4} s of processor time in {WATCHED:?}"
    );
}
