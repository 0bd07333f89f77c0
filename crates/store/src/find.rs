//! Finds the snapshots in a folder: the newest that is usable, and what is wrong with those that are newer.

use std::sync::Arc;

use dataflow_core::{Error, Result};

use crate::books::list;
use crate::disk::Disk;
use crate::manifest::{Manifest, Unread};
use crate::names;
use crate::snapshot::Snapshot;

/// What is there.
#[derive(Default)]
pub(crate) struct Found {
    /// The newest snapshot whose files are all there.
    pub current: Option<Arc<Manifest>>,
    /// The one before it.
    pub before: Option<Arc<Manifest>>,
    /// What is wrong with newer ones, or with all; the newest comes first.
    pub problems: Vec<Error>,
    /// The largest number that a snapshot has, usable or not.
    pub last: u64,
}

impl Found {
    /// The snapshots that are usable, the newest first.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Arc<Manifest>> {
        self.current.iter().chain(&self.before)
    }
}

/// Looks for the two newest snapshots, without reading their parts.
pub(crate) fn find(disk: &Arc<dyn Disk>) -> Result<Found> {
    let names = list(disk.as_ref(), "")?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| names::manifest_number(name))
        .collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let mut found = Found {
        last: numbers.first().copied().unwrap_or(0),
        ..Found::default()
    };
    for number in numbers {
        match usable(disk, number) {
            Ok(manifest) if found.current.is_none() => found.current = Some(manifest),
            Ok(manifest) => {
                found.before = Some(manifest);
                break;
            }
            // What is wrong with one that is older is nobody's concern.
            Err(_) if found.current.is_some() => {}
            Err(Unread::Damaged(error)) => found.problems.push(error),
            Err(Unread::Newer(error)) => {
                found.problems = vec![error];
                break;
            }
        }
    }
    Ok(found)
}

fn usable(disk: &Arc<dyn Disk>, number: u64) -> Result<Arc<Manifest>, Unread> {
    let manifest = Arc::new(Manifest::read(disk.as_ref(), number)?);
    let snapshot = Snapshot::new(Arc::clone(disk), Arc::clone(&manifest), Vec::new());
    snapshot.look().map_err(Unread::Damaged)?;
    Ok(manifest)
}

/// The newest snapshot of which every byte is as it was written, and what is wrong with newer ones. `None` if there are none
/// at all; the error of the newest if none is usable.
pub(crate) fn verified(
    disk: &Arc<dyn Disk>,
    found: &Found,
) -> Result<Option<(Arc<Manifest>, Vec<Error>)>> {
    let mut problems = found.problems.clone();
    for manifest in found.kept() {
        let snapshot = Snapshot::new(Arc::clone(disk), Arc::clone(manifest), Vec::new());
        match snapshot.verify() {
            Ok(()) => return Ok(Some((Arc::clone(manifest), problems))),
            Err(error) => problems.push(error),
        }
    }
    match problems.into_iter().next() {
        Some(problem) => Err(unusable(problem)),
        None => Ok(None),
    }
}

/// None is usable: says what can be done.
pub(crate) fn unusable(problem: Error) -> Error {
    problem.help("restore the file from a copy, or begin anew with `--fresh`")
}
