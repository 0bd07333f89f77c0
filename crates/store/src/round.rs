//! Compaction: a round merges the runs of parts that have many, and moves what keeps a segment that is mostly dead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dataflow_core::{Error, Result};

use crate::content::PartKey;
use crate::disk::{Disk, failed};
use crate::manifest::{Kind, Manifest, Part, Section};
use crate::merge::Merge;
use crate::names;
use crate::rows::RowsWriter;
use crate::section::Segment;

/// The most runs that are merged at once: a batch of each is in memory.
const MOST: usize = 32;

/// When runs are merged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    /// Fewer bytes than this are merged only when they are in many runs: a file of its own costs more than they do.
    pub small: u64,
    /// So many runs are many.
    pub many: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            small: 1 << 20,
            many: 8,
        }
    }
}

/// What is to be done to the parts of a snapshot.
pub(crate) struct Round {
    /// It is held, so that its files stay.
    pub _manifest: Arc<Manifest>,
    pub segment: u64,
    pub tasks: Vec<Task>,
}

/// Neighbouring sections of a part that become one.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub key: PartKey,
    pub from: Vec<Section>,
    /// There is nothing below, so that nobody needs to hear what is gone.
    pub bottom: bool,
}

/// What was done: the next commit puts it in place.
pub(crate) struct Outcome {
    pub segment: u64,
    pub replaced: Vec<(Task, Section)>,
}

/// What is due.
pub(crate) fn due(manifest: &Manifest, lengths: &BTreeMap<u64, u64>, tuning: Tuning) -> Vec<Task> {
    let mut tasks: Vec<Task> = Vec::new();
    for (key, part) in &manifest.parts {
        if let Some(first) = merge_from(part, tuning) {
            let first = first.max(part.sections.len().saturating_sub(MOST));
            tasks.push(Task {
                key: key.clone(),
                from: part.sections[first..].to_vec(),
                bottom: first == 0,
            });
        }
    }
    let merged: BTreeSet<Section> = tasks.iter().flat_map(|task| task.from.clone()).collect();
    tasks.extend(moves(manifest, lengths, &merged));
    tasks
}

/// The first run that is not larger than all newer ones together: it and those are merged.
///
/// What stays is then at most half as large from run to run. So there are as many as the logarithm of the size, and each row
/// is written as often.
fn merge_from(part: &Part, tuning: Tuning) -> Option<usize> {
    if part.kind != Kind::Rows {
        return None;
    }
    let mut newer = part.sections.iter().map(|run| run.length).sum::<u64>();
    for (at, run) in part.sections.iter().enumerate() {
        let all = newer;
        newer -= run.length;
        let runs = part.sections.len() - at;
        if runs > 1 && run.length <= newer {
            return (all >= tuning.small || runs >= tuning.many).then_some(at);
        }
    }
    None
}

/// What is left in segments of which less than half is in use.
fn moves<'a>(
    manifest: &'a Manifest,
    lengths: &BTreeMap<u64, u64>,
    merged: &'a BTreeSet<Section>,
) -> impl Iterator<Item = Task> + 'a {
    let mut used: BTreeMap<u64, u64> = BTreeMap::new();
    for section in manifest.sections() {
        *used.entry(section.segment).or_default() += section.length;
    }
    let length = |segment: &u64| lengths.get(segment).copied().unwrap_or(0);
    used.retain(|segment, used| 2 * *used < length(segment));
    let sections = manifest.parts.iter().flat_map(|(key, part)| {
        let sections = part.sections.iter();
        sections.map(move |section| (key, *section))
    });
    sections
        .filter(move |(_, section)| {
            used.contains_key(&section.segment) && !merged.contains(section)
        })
        .map(|(key, section)| Task {
            key: key.clone(),
            from: vec![section],
            bottom: false,
        })
}

impl Round {
    /// Does the work; what it began is removed if it fails, or is told to stop.
    pub(crate) fn run(&self, disk: &Arc<dyn Disk>, stop: &AtomicBool) -> Result<Outcome> {
        let done = self.write(disk, stop);
        if done.is_err() {
            // Whatever stays is removed when the store is opened next.
            let _ = disk.remove(&names::segment(self.segment));
        }
        done
    }

    fn write(&self, disk: &Arc<dyn Disk>, stop: &AtomicBool) -> Result<Outcome> {
        let mut segment = Segment::create(disk.as_ref(), self.segment)?;
        let mut replaced = Vec::new();
        for task in &self.tasks {
            let section = match &task.from[..] {
                [moved] => segment.section().copy(disk.as_ref(), moved)?,
                _ => merge(disk, &mut segment, task, stop)?,
            };
            replaced.push((task.clone(), section));
        }
        segment.sync(disk.as_ref())?;
        Ok(Outcome {
            segment: self.segment,
            replaced,
        })
    }
}

fn merge(
    disk: &Arc<dyn Disk>,
    segment: &mut Segment,
    task: &Task,
    stop: &AtomicBool,
) -> Result<Section> {
    let path = segment.path().to_string();
    let unwritten =
        |e: &std::io::Error| failed(disk.as_ref(), "merge parts of snapshots", &path, e);
    let mut merge = Merge::open(disk, &task.from, !task.bottom)?;
    let mut out = RowsWriter::begin(segment, &merge.schema()).map_err(|e| unwritten(&e))?;
    while let Some(rows) = merge.next()? {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::resource("the store is closed"));
        }
        out.write(&rows).map_err(|e| unwritten(&e))?;
    }
    out.finish().map_err(|e| unwritten(&e))
}

impl Outcome {
    /// Puts the new sections where the old ones were; a part that is another one by now stays as it is.
    pub(crate) fn apply(&self, manifest: &mut Manifest) {
        for (task, section) in &self.replaced {
            let Some(part) = manifest.parts.get_mut(&task.key) else {
                continue;
            };
            let length = task.from.len();
            let at = part
                .sections
                .windows(length)
                .position(|runs| runs == task.from);
            if let Some(at) = at {
                part.sections.splice(at..at + length, [*section]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(lengths: &[u64]) -> Part {
        let section = |length: &u64| Section {
            segment: 1,
            offset: 0,
            length: *length,
            rows: 1,
            checksum: 0,
        };
        Part {
            kind: Kind::Rows,
            sections: lengths.iter().map(section).collect(),
        }
    }

    #[test]
    fn runs_are_merged_from_the_first_that_the_newer_ones_outgrow() {
        let tuning = Tuning { small: 0, many: 8 };
        for (lengths, expected) in [
            (&[][..], None),
            (&[5], None),
            (&[5, 3], None),
            (&[5, 3, 1], None),
            (&[5, 3, 2], Some(0)),
            (&[9, 3, 3], Some(1)),
            (&[100, 50, 20, 20], Some(2)),
        ] {
            assert_eq!(merge_from(&part(lengths), tuning), expected, "{lengths:?}");
        }
        let patient = Tuning {
            small: 100,
            many: 3,
        };
        assert_eq!(merge_from(&part(&[1, 1]), patient), None);
        assert_eq!(merge_from(&part(&[1, 1, 1]), patient), Some(0));
    }

    #[test]
    fn each_row_is_written_about_as_often_as_the_logarithm_of_the_deltas() {
        let tuning = Tuning { small: 0, many: 2 };
        let (mut lengths, mut written) = (Vec::new(), 0);
        for _ in 0..1024 {
            lengths.push(1);
            written += 1;
            while let Some(at) = merge_from(&part(&lengths), tuning) {
                let merged: u64 = lengths.drain(at..).sum();
                lengths.push(merged);
                written += merged;
            }
            assert!(lengths.len() <= 11, "{lengths:?}");
        }
        assert!(written <= 12 * 1024, "{written}");
    }
}
