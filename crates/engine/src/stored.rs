//! What a folder of snapshots holds, for people who ask.

use std::collections::BTreeMap;
use std::path::Path;

use dataflow_core::{Error, Result};
use dataflow_store::{Owner, Snapshot, Store};

use crate::resume::manifest_of;
use crate::snapshots::keys_of;

/// The newest snapshot in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// Its number.
    pub number: u64,
    /// When it was taken, in nanoseconds since 1970.
    pub taken: i64,
    /// The sources, by id, and how far they were read.
    pub sources: Vec<StoredSource>,
    /// What components held, in the order of their ids.
    pub components: Vec<StoredComponent>,
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

/// What a component held, on all workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredComponent {
    /// Its id.
    pub id: String,
    /// Keys, groups or windows: where several of its operators have some, of the one that has most.
    pub keys: u64,
    /// Rows, those of keys among them: at least so many as there are, since one that changes may be there several times.
    pub rows: u64,
    /// Bytes on disk, with those that had been spilled.
    pub bytes: u64,
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
        taken: manifest.taken,
        components: components(&snapshot)?,
        sources: sources.collect(),
        parts: parts.collect(),
    }))
}

/// What there is of each component.
fn components(snapshot: &Snapshot) -> Result<Vec<StoredComponent>> {
    let mut all: BTreeMap<&str, StoredComponent> = BTreeMap::new();
    let mut keys: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (key, part) in snapshot.parts() {
        let of = all.entry(&key.component).or_default();
        of.rows += part.rows;
        of.bytes += part.bytes;
        *keys.entry((&key.component, &key.operator)).or_default() += keys_of(snapshot, key)?;
    }
    for ((component, _), keys) in keys {
        let of = all.entry(component).or_default();
        of.keys = of.keys.max(keys);
    }
    let mut all: BTreeMap<String, StoredComponent> = all
        .into_iter()
        .map(|(id, of)| (id.to_string(), of))
        .collect();
    for file in snapshot.files() {
        all.entry(file.key.component.clone()).or_default().bytes += file.bytes;
    }
    let named = all.into_iter();
    Ok(named.map(|(id, of)| StoredComponent { id, ..of }).collect())
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
