//! Pipelines with snapshots, each in a folder of its own: what is stored of them, and what they have written.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{self, Outcome};

/// Longer than any run takes.
pub const LIMIT: Duration = Duration::from_secs(120);

/// `dataflow run pipeline.toml` in a folder, on so many workers.
pub fn run(folder: &Path, workers: u64) -> Command {
    let mut command = program::dataflow();
    command
        .current_dir(folder)
        .args(["run", "pipeline.toml", "--workers", &workers.to_string()]);
    command
}

/// The number of the newest snapshot in the folder's `state`, 0 before the first.
pub fn snapshots(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder.join("state"));
    let names = entries.into_iter().flatten().flatten();
    let number = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("MANIFEST-")?.parse().ok()
    };
    names.filter_map(number).max().unwrap_or(0)
}

/// What `dataflow state show` says in JSON, with these settings.
pub fn shown(folder: &Path, settings: &[String]) -> Value {
    let mut command = program::dataflow();
    command
        .current_dir(folder)
        .args(["state", "show", "pipeline.toml", "--format", "json"])
        .args(settings.iter().flat_map(|setting| ["--set", setting]));
    let outcome: Outcome = program::finish(command, LIMIT).expect_code(0);
    serde_json::from_str(&outcome.stdout).expect("JSON")
}

/// How many rows of all sources the newest snapshot knows to have been read.
pub fn rows_read(shown: &Value) -> u64 {
    let sources = shown["sources"].as_array().into_iter().flatten();
    let rows = sources.map(|source| source["rows"].as_u64().expect("a number"));
    rows.sum()
}

/// All files in a folder, and what is in them; but for the rows of an archive of arrays, which stay for a run that goes on.
pub fn written(folder: &Path) -> Vec<(String, Vec<u8>)> {
    if !folder.exists() {
        return Vec::new();
    }
    let stays = |name: &String| name.starts_with('.') && name.contains(".npz.");
    let names = program::files(folder)
        .into_iter()
        .filter(|name| !stays(name));
    let read = |name: String| {
        let bytes = std::fs::read(folder.join(&name)).expect("readable");
        (name, bytes)
    };
    names.map(read).collect()
}

/// Fails the test unless a folder has these files, with these bytes, and nothing else.
pub fn expect_same(folder: &Path, expected: &[(String, Vec<u8>)], how: &str) {
    let found = written(folder);
    let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&found), names(expected), "{how}");
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        assert!(
            found == expected,
            "{how}: {name} differs: {} bytes, {} bytes{}",
            found.len(),
            expected.len(),
            first_difference(found, expected)
        );
    }
}

/// The first lines of two texts that are not the same, with their number.
fn first_difference(found: &[u8], expected: &[u8]) -> String {
    let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (found, expected) = (lines(found), lines(expected));
    let pairs = found.lines().zip(expected.lines()).zip(1..);
    let mut different = pairs.filter(|((found, expected), _)| found != expected);
    let count = different.clone().count();
    different
        .next()
        .map_or_else(String::new, |((found, expected), line)| {
            let cut = |line: &str| line.chars().take(500).collect::<String>();
            format!(
                "; {count} lines, the first is {line}:\n  {}\n  {}",
                cut(found),
                cut(expected)
            )
        })
}

/// Removes folders, if they are there.
pub fn remove(folder: &Path, names: &[&str]) {
    for name in names {
        let _ = std::fs::remove_dir_all(folder.join(name));
    }
}

/// A run that is under way. What it says on standard error goes to a file.
pub struct Begun {
    child: Child,
    folder: PathBuf,
    said: PathBuf,
}

impl Begun {
    /// Starts a command in a folder.
    pub fn start(folder: &Path, mut command: Command) -> Self {
        // Several of them may be under way in one folder.
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let said = folder.join(format!("said-{number}"));
        let file = File::create(&said).expect("created");
        let child = command.stdout(Stdio::null()).stderr(file).spawn();
        Self {
            child: child.expect("starts"),
            folder: folder.to_path_buf(),
            said,
        }
    }

    /// The process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.said).expect("text")
    }

    /// Waits until there is a snapshot with a larger number than `number`. The run must not be over by then.
    pub fn wait_for_snapshot_after(&mut self, number: u64) {
        self.wait_until("there is a new snapshot", |begun| {
            snapshots(&begun.folder) > number
        });
    }

    /// Waits until something is so, which must be before the run is over.
    pub fn wait_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !is_so(self) {
            let ended = self.child.try_wait().expect("known");
            assert!(ended.is_none(), "over before {what}:\n{}", self.said());
            assert!(Instant::now() < deadline, "too late: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        let process = libc::pid_t::try_from(self.child.id()).expect("a process");
        // SAFETY: the process is ours, and was not waited for yet.
        let sent = unsafe { libc::kill(process, signal) };
        assert_eq!(sent, 0, "the signal was sent");
    }

    /// Ends it as a kill does: nothing can be tidied up.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        let status = self.child.wait().expect("gone");
        assert!(!status.success(), "over before the kill:\n{}", self.said());
    }

    /// Waits for its end.
    pub fn end(mut self) -> Outcome {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("known") {
                break status;
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        };
        Outcome {
            code: status.code(),
            stdout: String::new(),
            stderr: self.said(),
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
