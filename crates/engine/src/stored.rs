//! What a folder of snapshots holds, for people who ask.

use std::path::Path;

use dataflow_core::{Error, Result};
use dataflow_store::{Owner, Store};

use crate::resume::manifest_of;

/// The newest snapshot in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// Its number.
    pub number: u64,
    /// The sources, by id, and how far they were read.
    pub sources: Vec<StoredSource>,
    /// What operators held, in the order of their components' ids.
    pub parts: Vec<StoredPart>,
}

/// How far a source was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSource {
    /// Its id.
    pub id: String,
    /// Rows read, good and bad.
    pub rows: u64,
    /// Files read to their end.
    pub files_read: usize,
    /// Files that there were.
    pub files: usize,
}

/// What the operators of a component held on a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    /// The component's id.
    pub component: String,
    /// The operator.
    pub operator: String,
    /// The worker.
    pub worker: u32,
    /// Bytes on disk.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
}

/// The newest snapshot in a folder, which another process may be writing to; none if there is none.
///
/// # Errors
/// When it cannot be read.
pub fn stored(folder: &Path) -> Result<Option<StoredState>> {
    if !folder.exists() {
        return Ok(None);
    }
    let Some(snapshot) = Store::read_only(folder)?.latest()? else {
        return Ok(None);
    };
    let manifest = manifest_of(&snapshot, folder)?;
    let sources = manifest.facts.sources.iter().map(|(id, at)| StoredSource {
        id: id.clone(),
        rows: at.splits.values().map(|split| split.rows).sum(),
        files_read: at.splits.values().filter(|split| split.whole).count(),
        files: at.splits.len(),
    });
    let parts = snapshot.parts().map(|(key, part)| StoredPart {
        component: key.component.clone(),
        operator: key.operator.clone(),
        worker: key.worker,
        bytes: part.bytes,
        rows: part.rows,
    });
    Ok(Some(StoredState {
        number: snapshot.number(),
        sources: sources.collect(),
        parts: parts.collect(),
    }))
}

/// Removes all snapshots from a folder.
///
/// # Errors
/// When a run is using it, or it cannot be done.
pub fn reset(folder: &Path, pipeline: &str) -> Result<()> {
    if !folder.exists() {
        return Err(Error::resource("there is no such folder").file(folder.display().to_string()));
    }
    Store::open(folder, &Owner::this_process(pipeline))?.reset()
}
