//! The sink family: where rows go, in their defined order, and how they become visible all at once.

use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::saved::{Restored, Save};
use crate::{Batch, Result};

/// Where rows go, checked: nothing has been created yet.
pub trait Sink: Send + Sync {
    /// Starts to write. Called once a run, on the worker that holds the sink.
    ///
    /// # Errors
    /// When the place cannot be written to.
    fn open(&self, context: &SinkContext) -> Result<Box<dyn Writer>>;

    /// Goes on with what a writer of an earlier run has written, if that left something to go on with: cuts it back to where it was then.
    /// Called in place of `open`.
    ///
    /// # Errors
    /// When what was written is gone, or cannot be gone on with.
    fn resume(&self, context: &SinkContext, from: &Restored<'_>) -> Result<Box<dyn Writer>> {
        let _ = from;
        self.open(context)
    }

    /// Where its rows appear, for the check that no two sinks get in each other's way.
    fn targets(&self) -> Vec<Target> {
        Vec::new()
    }

    /// Lines for `explain`.
    fn explain(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A place that a sink writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file under its final name, as it was written; or a pattern of such names, which is compared as it stands.
    File(String),
    /// Standard output, all at once when the run is complete. Any number of sinks may do so, one after the other.
    Printed,
    /// Standard output, rows as they come: nothing else may be printed there.
    Streamed,
}

/// What tells whether two paths are one: absolute, and without `.`, `..` and doubled `/`. Links are not followed.
pub fn place_of(path: &str) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| Path::new(path).to_path_buf());
    let mut place = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(place.pop()),
            other => place.push(other),
        }
    }
    place
}

/// What a sink is told when it is opened.
#[derive(Clone)]
pub struct SinkContext {
    /// The component's id.
    pub id: Arc<str>,
    /// The program's standard output, or whatever the embedding program gives instead.
    pub stdout: Arc<Mutex<dyn Write + Send>>,
    /// The terminal's width in columns, if standard output is one.
    pub width: Option<usize>,
    /// Whether other sinks print to standard output, too.
    pub shares_stdout: bool,
    /// Whether snapshots are made: then what appears before the end must not be taken back by a run that goes on from one.
    pub snapshots: bool,
}

/// Writes rows. It sees them in their defined order; how they are cut into batches must not shape what it writes.
///
/// `prepare` of every sink comes before the first `commit`; dropped without a commit it removes what it began.
pub trait Writer: Send {
    /// Takes rows.
    ///
    /// # Errors
    /// When they cannot be written (a full disk), or not in this form.
    fn write(&mut self, batch: &Batch) -> Result<()>;

    /// Writes down where it is, so that another run can go on from here. What was written so far is made durable. It is called again
    /// only when the snapshot that it was called for is durable.
    ///
    /// # Errors
    /// When that fails.
    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        let _ = into;
        Ok(())
    }

    /// Everything was written: makes it durable under a temporary name.
    ///
    /// # Errors
    /// When that fails.
    fn prepare(&mut self) -> Result<Receipt>;

    /// Makes it visible under its final name.
    ///
    /// # Errors
    /// When that fails.
    fn commit(&mut self) -> Result<()>;

    /// Bytes written so far, for the metrics.
    fn bytes(&self) -> u64 {
        0
    }
}

/// What a sink has ready to become visible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Rows written.
    pub rows: u64,
    /// Bytes written.
    pub bytes: u64,
    /// The files, by their final names.
    pub files: Vec<FileReceipt>,
}

/// What a sink has ready for one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReceipt {
    /// Its final name.
    pub path: String,
    /// Rows written to it.
    pub rows: u64,
    /// Bytes written to it.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_to_write_a_path_are_one_place() {
        let place = place_of("out/x.csv");
        assert!(place.is_absolute());
        let absolute = place.to_str().expect("text").to_string();
        for path in ["./out/x.csv", "out//x.csv", "out/../out/./x.csv", &absolute] {
            assert_eq!(place_of(path), place, "{path}");
        }
        assert_ne!(place_of("out/y.csv"), place);
        assert_eq!(place_of("/../x"), Path::new("/x"));
    }
}
