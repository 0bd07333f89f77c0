//! The books of a store: which snapshots there are, how a new one is added, and which files nobody needs any more.
//!
//! All of it is done by whoever calls, one after the other. The threads are in `keeper`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use dataflow_core::{Error, Moment, Result};

use crate::additions::Additions;
use crate::changes::Changes;
use crate::disk::{Disk, failed};
use crate::find::{self, Found};
use crate::manifest::Manifest;
use crate::names;
use crate::round::{Outcome, Round, Tuning, due};
use crate::snapshot::Snapshot;

/// What became of a draft.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The number of the snapshot.
    pub number: u64,
    /// What was written for it; parts that did not change are not written again.
    pub bytes: u64,
    /// How long it took, from when it was its turn until it was durable.
    pub took: Duration,
    /// What went wrong beside it. The snapshot is fine; old files take more room than they should.
    pub warnings: Vec<Error>,
}

/// The books of one store.
pub(crate) struct Books {
    disk: Arc<dyn Disk>,
    tuning: Tuning,
    found: Found,
    /// A commit was made by this process, so that what it goes on from is settled.
    moved: bool,
    next_segment: u64,
    /// Snapshots that somebody reads or that stay for other reasons.
    held: Vec<Weak<Manifest>>,
    /// Snapshots whose manifest could neither be completed nor taken back.
    doubtful: Vec<Arc<Manifest>>,
    /// Files that are or were part of a snapshot: others in their folder are the caller's.
    adopted: BTreeSet<String>,
    /// The segment of the round that is under way.
    busy: Option<u64>,
    outcome: Option<Outcome>,
    warnings: Vec<Error>,
}

impl Books {
    /// Looks at what is there, and removes what a crash has left.
    pub(crate) fn open(disk: Arc<dyn Disk>, tuning: Tuning) -> Result<Self> {
        for folder in [names::PARTS, names::FILES] {
            let made = disk.make_folder(folder);
            made.map_err(|e| failed(disk.as_ref(), "make a folder for snapshots", folder, &e))?;
        }
        sync_folder(disk.as_ref(), "")?;
        let found = find::find(&disk)?;
        let mut books = Self {
            next_segment: 1 + last_segment(disk.as_ref())?,
            disk,
            tuning,
            moved: false,
            held: Vec::new(),
            doubtful: Vec::new(),
            adopted: BTreeSet::new(),
            busy: None,
            outcome: None,
            warnings: Vec::new(),
            found,
        };
        // Nobody is at work, so that what no snapshot names is a leftover.
        books.adopted = list(books.disk.as_ref(), names::FILES)?
            .into_iter()
            .collect();
        books.sweep_later();
        let known: Vec<_> = books.found.kept().cloned().collect();
        books.adopted = known
            .iter()
            .flat_map(|kept| kept.files.keys().cloned())
            .collect();
        Ok(books)
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// What a draft goes on from: an error if there are snapshots and none is usable.
    pub(crate) fn base(&self) -> Result<Option<&Arc<Manifest>>> {
        match (&self.found.current, self.found.problems.first()) {
            (None, Some(problem)) => Err(problem.clone()),
            (current, _) => Ok(current.as_ref()),
        }
    }

    /// The newest snapshot of which every byte is as it was written.
    ///
    /// As long as nothing was committed, drafts go on from this one.
    pub(crate) fn latest(&mut self) -> Result<Option<Snapshot>> {
        let verified = find::verified(&self.disk, &self.found)?;
        let Some((manifest, problems)) = verified else {
            return Ok(None);
        };
        self.hold(&manifest);
        if !self.moved && self.found.current.as_ref() != Some(&manifest) {
            self.found.current = Some(Arc::clone(&manifest));
            self.found.before = None;
            self.found.problems.clone_from(&problems);
        }
        Ok(Some(Snapshot::new(
            Arc::clone(&self.disk),
            manifest,
            problems,
        )))
    }

    fn hold(&mut self, manifest: &Arc<Manifest>) {
        self.held.retain(|held| held.strong_count() > 0);
        self.held.push(Arc::downgrade(manifest));
    }

    /// Writes a snapshot. When this returns it is durable; when it fails, the one before is the newest, and the outcome of
    /// the compaction waits for the next try.
    pub(crate) fn commit(
        &mut self,
        changes: &Changes,
        facts: serde_json::Value,
    ) -> Result<Committed> {
        let began = Instant::now();
        let base = self.base()?.cloned();
        let mut next = base.as_deref().map_or_else(Manifest::nothing, Clone::clone);
        (next.number, next.facts) = (self.found.last + 1, facts);
        if let Some(outcome) = &self.outcome {
            outcome.apply(&mut next);
        }
        let mut writing = Additions::new(Arc::clone(&self.disk), self.next_segment);
        self.next_segment += 1;
        let added = writing.apply(changes, &mut next);
        let written = added.and_then(|()| self.complete(&next));
        let bytes = match written {
            Ok(bytes) => bytes + writing.bytes(),
            Err(error) => {
                self.withdraw(next, &writing);
                return Err(error);
            }
        };
        self.enter(Arc::new(next));
        Ok(Committed {
            number: self.found.last,
            bytes,
            took: began.elapsed(),
            warnings: std::mem::take(&mut self.warnings),
        })
    }

    /// Makes durable that the files are there, and then the manifest.
    fn complete(&self, next: &Manifest) -> Result<u64> {
        let disk = self.disk.as_ref();
        Moment::SegmentWritten.pass();
        sync_folder(disk, names::PARTS)?;
        if !next.files.is_empty() {
            sync_folder(disk, names::FILES)?;
        }
        let bytes = next.write(disk)?;
        Moment::ManifestWritten.pass();
        let (from, to) = (names::unfinished(next.number), names::manifest(next.number));
        let renamed = disk.rename(&from, &to);
        renamed.map_err(|e| failed(disk, "complete a snapshot", &to, &e))?;
        Moment::ManifestRenamed.pass();
        sync_folder(disk, "")?;
        Ok(bytes)
    }

    /// Takes back a snapshot that failed. Where it may be there in spite of all, its files stay and its number is not used again.
    fn withdraw(&mut self, failed: Manifest, writing: &Additions) {
        let disk = self.disk.as_ref();
        let _ = disk.remove(&names::unfinished(failed.number));
        let manifest = names::manifest(failed.number);
        let absent = match disk.remove(&manifest) {
            Ok(()) => disk.sync_folder("").is_ok(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if absent {
            writing.remove();
        } else {
            self.found.last = failed.number;
            self.doubtful.push(Arc::new(failed));
        }
    }

    /// A snapshot is durable: it is the newest from now on.
    fn enter(&mut self, next: Arc<Manifest>) {
        self.adopted.extend(next.files.keys().cloned());
        self.found.last = next.number;
        self.found.before = self.found.current.replace(next);
        self.found.problems.clear();
        self.moved = true;
        self.doubtful.clear();
        self.outcome = None;
    }

    /// Removes the files that no manifest names that stays.
    ///
    /// Nothing as long as one is damaged that is newer than what is used: it may name any file, and somebody may restore it.
    pub(crate) fn sweep(&mut self) -> Result<()> {
        match self.found.problems.is_empty() {
            true => self.sweep_manifests().and_then(|()| self.sweep_files()),
            false => Ok(()),
        }
    }

    fn sweep_manifests(&self) -> Result<()> {
        let disk = self.disk.as_ref();
        for name in list(disk, "")? {
            let number = names::manifest_number(&name);
            let stays = |number| self.staying().any(|kept| kept.number == number);
            if names::is_unfinished(&name) || number.is_some_and(|number| !stays(number)) {
                remove(disk, &name)?;
            }
        }
        Ok(())
    }

    fn sweep_files(&mut self) -> Result<()> {
        let disk = self.disk.as_ref();
        let held: Vec<Arc<Manifest>> = self.held.iter().filter_map(Weak::upgrade).collect();
        let live = || self.staying().chain(&held);
        let mut segments: BTreeSet<u64> = live().flat_map(|kept| kept.segments()).collect();
        segments.extend(self.busy);
        segments.extend(self.outcome.as_ref().map(|outcome| outcome.segment));
        for name in list(disk, names::PARTS)? {
            let number = names::segment_number(&name);
            if number.is_some_and(|number| !segments.contains(&number)) {
                remove(disk, &format!("{}/{name}", names::PARTS))?;
            }
        }
        let files: BTreeSet<String> = live().flat_map(|kept| kept.files.keys().cloned()).collect();
        let unused: Vec<String> = self.adopted.difference(&files).cloned().collect();
        for name in unused {
            remove(self.disk.as_ref(), &names::file(&name))?;
            self.adopted.remove(&name);
        }
        Ok(())
    }

    /// The same after a commit, where a file that cannot be removed is no reason to say that the commit failed.
    pub(crate) fn sweep_later(&mut self) {
        if let Err(error) = self.sweep() {
            self.warnings.push(error);
        }
    }

    /// The snapshots whose manifests stay.
    fn staying(&self) -> impl Iterator<Item = &Arc<Manifest>> {
        self.found.kept().chain(&self.doubtful)
    }

    /// What compaction has to do, if it is not at work and something is due.
    pub(crate) fn round(&mut self) -> Result<Option<Round>> {
        let Some(current) = self.found.current.clone() else {
            return Ok(None);
        };
        if self.busy.is_some() || self.outcome.is_some() {
            return Ok(None);
        }
        let tasks = due(&current, &self.lengths(&current)?, self.tuning);
        if tasks.is_empty() {
            return Ok(None);
        }
        let segment = self.next_segment;
        self.next_segment += 1;
        self.busy = Some(segment);
        self.hold(&current);
        Ok(Some(Round {
            _manifest: current,
            segment,
            tasks,
        }))
    }

    fn lengths(&self, manifest: &Manifest) -> Result<BTreeMap<u64, u64>> {
        let length = |number: u64| {
            let path = names::segment(number);
            let file = self.disk.open(&path);
            let file =
                file.map_err(|e| failed(self.disk.as_ref(), "read a snapshot", &path, &e))?;
            Ok((number, file.length()))
        };
        manifest.segments().into_iter().map(length).collect()
    }

    /// A round has ended; the next commit puts its outcome in place.
    pub(crate) fn finish(&mut self, outcome: Result<Outcome>) {
        self.busy = None;
        match outcome {
            Ok(outcome) => self.outcome = Some(outcome),
            Err(error) => self.warnings.push(error),
        }
    }

    /// Keeps a warning for the next commit.
    pub(crate) fn warn(&mut self, error: Error) {
        self.warnings.push(error);
    }

    /// Removes all snapshots. A number that was used is not used again while the store is open.
    pub(crate) fn reset(&mut self) -> Result<()> {
        let last = self.found.last;
        self.found = Found {
            last,
            ..Found::default()
        };
        self.outcome = None;
        self.doubtful.clear();
        let disk = self.disk.as_ref();
        let names = list(disk, "")?;
        let mut numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| names::manifest_number(name))
            .collect();
        numbers.sort_unstable();
        for number in numbers {
            remove(disk, &names::manifest(number))?;
            // The oldest goes first and for good: a crash must not bring back one that is older than the last. And no file
            // goes before its manifest, which would be a damaged one.
            sync_folder(disk, "")?;
        }
        self.sweep()
    }
}

fn sync_folder(disk: &dyn Disk, folder: &str) -> Result<()> {
    let synced = disk.sync_folder(folder);
    synced.map_err(|e| failed(disk, "make a snapshot durable", folder, &e))
}

pub(crate) fn list(disk: &dyn Disk, folder: &str) -> Result<Vec<String>> {
    let listed = disk.list(folder);
    listed.map_err(|e| failed(disk, "look at the files of snapshots", folder, &e))
}

fn remove(disk: &dyn Disk, path: &str) -> Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed(disk, "remove a file of old snapshots", path, &error))
        }
        _ => Ok(()),
    }
}

fn last_segment(disk: &dyn Disk) -> Result<u64> {
    let names = list(disk, names::PARTS)?;
    let numbers = names.iter().filter_map(|name| names::segment_number(name));
    Ok(numbers.max().unwrap_or(0))
}
