//! The sink family: where rows go, in their defined order, and how they become visible all at once.

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::{Batch, Result};

/// Where rows go, checked: nothing has been created yet.
pub trait Sink: Send + Sync {
    /// Starts to write. Called once a run, on the worker that holds the sink.
    ///
    /// # Errors
    /// When the place cannot be written to.
    fn open(&self, context: &SinkContext) -> Result<Box<dyn Writer>>;

    /// The paths that appear under their final names, for the check that no two sinks share one.
    fn targets(&self) -> Vec<String> {
        Vec::new()
    }

    /// Lines for `explain`.
    fn explain(&self) -> Vec<String> {
        Vec::new()
    }
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
