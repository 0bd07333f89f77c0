//! Idle means idle: a pipeline that waits for input uses next to no processor time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program;

/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(10);
/// The processor time that it may use meanwhile.
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

/// A pipeline that runs; the process is ended when the test is over, however it ends.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    /// Starts a pipeline on two workers, with metrics, and waits until those answer.
    fn start(folder: &Path, pipeline: &str) -> Self {
        std::fs::write(folder.join("pipeline.toml"), pipeline).expect("written");
        let mut command: Command = program::dataflow();
        command
            .current_dir(folder)
            .args(["run", "pipeline.toml", "--workers", "2"])
            .args(["--metrics", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut told = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut line = String::new();
        told.read_line(&mut line).expect("it says where it listens");
        let address = line
            .trim()
            .strip_prefix("metrics at http://")
            .and_then(|rest| rest.strip_suffix("/metrics"));
        let address = address.unwrap_or_else(|| panic!("not an address: {line}"));
        let running = Self {
            address: address.to_string(),
            child,
        };
        assert!(running.get("/healthz").ends_with("ok\n"));
        running
    }

    /// What it answers over HTTP.
    fn get(&self, path: &str) -> String {
        program::get(&self.address, path)
    }

    /// Waits until a component has taken so many rows.
    fn wait_for_rows(&self, component: &str, least: u64) {
        let start = format!("dataflow_rows_in_total{{component=\"{component}\"");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.get("/metrics");
            let line = answer.lines().find(|line| line.starts_with(&start));
            let rows = line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
            if rows.expect("it is counted from the start") >= least {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{rows:?} rows came to {component}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The processor time that it uses while it is watched. Start-up and the last answer are over before.
    fn watch(mut self) -> f64 {
        std::thread::sleep(Duration::from_secs(2));
        let before = used(self.child.id());
        std::thread::sleep(WATCHED);
        let used = used(self.child.id()) - before;
        let ended = self.child.try_wait().expect("it can be asked");
        assert!(ended.is_none(), "it was to be running all the time");
        used
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_pipeline_whose_source_is_silent_is_idle() {
    let _alone = program::alone();
    let folder = tempfile::tempdir().expect("a folder");
    // The rows of one source have gone all the way; the other will say something in a quarter of an hour.
    let pipeline = r#"
        [sources.quick]
        type = "generate"
        preset = "sensors"
        rows = 20000
        [sources.silent]
        type = "generate"
        preset = "sensors"
        rows = 20000
        rate = "0.001/s"
        [transforms.kept]
        type = "filter"
        inputs = ["quick", "silent"]
        where = "temperature > 0"
        [transforms.groups]
        type = "aggregate"
        inputs = ["kept"]
        by = ["device"]
        compute.rows = "count(*)"
        [sinks.out]
        type = "file"
        inputs = ["groups"]
        path = "out.csv"
    "#;
    let running = Running::start(folder.path(), pipeline);
    running.wait_for_rows("kept", 20_000);
    let used = running.watch();
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
    let running = Running::start(folder.path(), pipeline);
    running.wait_for_rows("out", 1);
    let used = running.watch();
    // Twenty rows come meanwhile; each wakes the cutter, the desk, a reader and a sink, for half a millisecond together, and two where
    // others keep the caches busy. Looking every millisecond would take some ten times that.
    assert!(
        used < ALLOWED + 20.0 * 0.002,
        "{used:.4} s of processor time in {WATCHED:?}"
    );
}

#[test]
fn a_run_that_waits_for_files_is_idle() {
    let _alone = program::alone();
    let folder = tempfile::tempdir().expect("a folder");
    let text = |from: u32| {
        let lines: String = (from..from + 1000).map(|at| format!("{at},1\n")).collect();
        format!("time,x\n{lines}")
    };
    std::fs::create_dir(folder.path().join("in")).expect("made");
    std::fs::write(folder.path().join("in/a.csv"), text(0)).expect("written");
    let pipeline = r#"
        [state]
        dir = "state"
        every = "1s"
        [sources.rows]
        type = "file"
        path = "in"
        watch = true
        time = { column = "time", unit = "s" }
        [transforms.windows]
        type = "aggregate"
        inputs = ["rows"]
        window = { type = "tumbling", size = "100s" }
        compute.sum = "sum(x)"
        [sinks.out]
        type = "file"
        inputs = ["windows"]
        path = "out.csv"
        roll = { rows = 5 }
    "#;
    let running = Running::start(folder.path(), pipeline);
    // Windows that have ended leave while nothing more comes.
    running.wait_for_rows("out", 9);
    std::fs::write(folder.path().join("b.csv"), text(1000)).expect("written");
    std::fs::rename(folder.path().join("b.csv"), folder.path().join("in/b.csv")).expect("moved");
    running.wait_for_rows("out", 19);
    // Files get their names, and then there is nothing to be done.
    let deadline = Instant::now() + Duration::from_secs(30);
    let parts = || {
        program::files(folder.path())
            .into_iter()
            .filter(|name| name.starts_with("out"))
            .count()
    };
    while parts() < 3 {
        assert!(Instant::now() < deadline, "{} parts", parts());
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(2));
    let used = running.watch();
    assert!(
        used < ALLOWED,
        "{used:.4} s of processor time in {WATCHED:?}"
    );
}
