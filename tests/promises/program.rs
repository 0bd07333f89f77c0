//! The built program, as a person would start it, and what came of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program that this build made: it lies two folders above the test's own executable.
pub fn path() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("target/<profile>/deps/<test>");
    let program = folder.join(format!("dataflow{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "{} is missing: run `cargo test --workspace`, which builds it",
        program.display()
    );
    program
}

/// A command that starts the program, without what the environment of the tests might change.
pub fn dataflow() -> Command {
    let mut command = Command::new(path());
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ has a parent").to_path_buf()
}

/// Held by tests that measure time or processor use, so that they do not measure each other.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a finished program left.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Fails the test unless the exit code is this one.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Fails the test unless standard error has all these words.
    pub fn expect_words(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                self.stderr.contains(word),
                "`{word}` is missing in:\n{}",
                self.stderr
            );
        }
        self
    }

    /// The closing report of `--format json`.
    pub fn report(&self) -> Value {
        let line = self.stderr.lines().rfind(|line| line.starts_with('{'));
        let line = line.unwrap_or_else(|| panic!("no report in:\n{}", self.stderr));
        serde_json::from_str(line).expect("the report is JSON")
    }
}

/// The entry of one component in a report.
pub fn component<'a>(report: &'a Value, id: &str) -> &'a Value {
    let components = report["components"].as_array().expect("components");
    let found = components.iter().find(|component| component["id"] == id);
    found.unwrap_or_else(|| panic!("no `{id}` in {report:#}"))
}

/// Runs a command to its end; fails the test when that takes longer than the time limit.
pub fn finish(mut command: Command, limit: Duration) -> Outcome {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let id = child.id() as libc::pid_t;
    let (over, watch) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let late = watch.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if late {
            // SAFETY: the process is ours, and is not waited for before this thread has ended or been told.
            unsafe { libc::kill(id, libc::SIGKILL) };
        }
        late
    });
    let started = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    drop(over);
    let late = watchdog.join().expect("the watchdog ends");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !late,
        "still running after {:?}:\n{stderr}",
        started.elapsed()
    );
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr,
    }
}

/// Writes a pipeline into a folder and runs it there with a JSON report.
pub fn run(folder: &Path, pipeline: &str, arguments: &[&str]) -> Outcome {
    let file = folder.join("pipeline.toml");
    std::fs::write(&file, pipeline).expect("the pipeline is written");
    let mut command = dataflow();
    command
        .current_dir(folder)
        .args(["run", "pipeline.toml", "--format", "json"]);
    command.args(arguments);
    finish(command, Duration::from_secs(240))
}

/// What a run that serves its metrics answers over HTTP.
pub fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("asks");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    answer
}

/// All ready pipelines.
pub fn pipelines() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("pipelines")).expect("pipelines/");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "pipelines/ holds no pipeline");
    found
}

/// The names of all files in a folder and the folders in it, sorted.
pub fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("it is below").display();
                names.push(name.to_string());
            }
        }
    }
    names.sort();
    names
}

#[test]
fn it_tells_its_version() {
    let output = dataflow().arg("--version").output().expect("starts");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("dataflow "));
}
