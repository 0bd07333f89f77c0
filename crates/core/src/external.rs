//! Sorting by key bytes, and sorted runs on disk that are merged a bounded number at a time.

use std::sync::Arc;

use crate::runs::{Merge, Merged, MergedRuns, Run};
use crate::saved::{Restored, Save, Share};
use crate::stage::Spilled;
use crate::{Batch, Result, StageContext};
use arrow_schema::SchemaRef;

/// The most runs that are merged at once: each holds one batch in memory.
const FAN_IN: usize = 64;

/// Sorts items by their key bytes, equal keys by the items themselves.
///
/// The bytes that all keys share are skipped and the next eight are compared as a number, which decides nearly always.
pub fn sort_by_bytes<'k, T: Copy + Ord>(
    items: impl Iterator<Item = T> + Clone,
    key: impl Fn(T) -> &'k [u8],
) -> Vec<T> {
    let mut shared: Option<&[u8]> = None;
    for item in items.clone() {
        let key = key(item);
        shared = Some(match shared {
            None => key,
            Some(so_far) => &so_far[..common(so_far, key)],
        });
    }
    let skip = shared.map_or(0, <[u8]>::len);
    let mut entries: Vec<(u64, T)> = items
        .map(|item| (prefix(&key(item)[skip..]), item))
        .collect();
    entries.sort_unstable_by(|(a, x), (b, y)| {
        a.cmp(b)
            .then_with(|| key(*x)[skip..].cmp(&key(*y)[skip..]))
            .then_with(|| x.cmp(y))
    });
    entries.into_iter().map(|(_, item)| item).collect()
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// The first eight bytes as a number that compares as they do. A shorter key is filled with zeros, so equal numbers
/// still need the bytes compared.
fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = key.len().min(8);
    bytes[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(bytes)
}

/// The bytes that a piece of a run should have, so that all heads of a merge fit into half of the memory.
pub fn piece_bytes(memory: usize) -> usize {
    (memory / (2 * FAN_IN)).clamp(16 << 10, 1 << 20)
}

/// How many rows make a piece of `target` bytes, given the bytes of some rows.
pub fn piece_rows(target: usize, rows: usize, bytes: usize, most: usize) -> usize {
    let per_row = (bytes / rows.max(1)).max(1);
    (target / per_row).clamp(1, most.max(1))
}

/// Sorted runs on disk.
pub struct Runs {
    context: StageContext,
    schema: SchemaRef,
    list: Vec<Arc<dyn Spilled>>,
    largest: usize,
}

impl Runs {
    /// No runs yet.
    pub fn new(context: &StageContext, schema: SchemaRef) -> Self {
        Self {
            context: context.clone(),
            schema,
            list: Vec::new(),
            largest: 0,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Writes a run: `next` gives sorted batches with order keys until it gives none.
    pub fn write(&mut self, next: impl FnMut() -> Result<Option<Batch>>) -> Result<()> {
        let run = self.written(next)?;
        self.list.push(run);
        Ok(())
    }

    fn written(
        &mut self,
        mut next: impl FnMut() -> Result<Option<Batch>>,
    ) -> Result<Arc<dyn Spilled>> {
        let spill = Arc::clone(&self.context.spill);
        let mut writer = None;
        let target = piece_bytes(self.context.memory);
        while let Some(batch) = next()? {
            // Rows may have fewer columns than were declared, so what comes tells.
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(spill.begin(&self.context.id, batch.schema())?),
            };
            let rows = piece_rows(target, batch.len(), batch.bytes(), batch.len());
            for start in (0..batch.len()).step_by(rows) {
                let piece = batch.slice(start, rows.min(batch.len() - start));
                self.largest = self.largest.max(piece.bytes());
                writer.write(&piece)?;
            }
        }
        let writer = match writer {
            Some(writer) => writer,
            None => spill.begin(&self.context.id, Arc::clone(&self.schema))?,
        };
        writer.finish().map(Arc::from)
    }

    /// Writes down which runs there are.
    pub fn save(&self, name: &'static str, into: &mut dyn Save) {
        self.list.iter().for_each(|run| into.run(name, run, 0));
    }

    /// Takes over the runs that were there.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn restore(&mut self, name: &str, from: &Restored<'_>, share: Share<'_>) -> Result<()> {
        let runs = from.runs(name, share)?.into_iter();
        self.list.extend(runs.map(|(run, _)| run));
        // How large their pieces are is not known: as large as this stage would make them.
        self.largest = self.largest.max(piece_bytes(self.context.memory));
        Ok(())
    }

    /// All runs as one, in order; equal keys come in the order in which their runs were written.
    pub fn merged(&mut self, limit: usize) -> Result<MergedRuns> {
        loop {
            let heads = self.context.memory / 2 / self.largest.max(1);
            let fan_in = heads.clamp(2, FAN_IN);
            if self.list.len() <= fan_in {
                return merge(std::mem::take(&mut self.list), limit);
            }
            let mut rest = std::mem::take(&mut self.list).into_iter();
            loop {
                let some: Vec<_> = rest.by_ref().take(fan_in).collect();
                if some.is_empty() {
                    break;
                }
                let mut merged = merge(some, limit)?;
                let run = self.written(|| merged.next())?;
                self.list.push(run);
            }
        }
    }
}

/// How many open runs of a level make one of the next.
const PER_LEVEL: usize = 8;

/// Sorted runs on disk whose rows are taken a part at a time, the least first, while further runs are written.
///
/// Runs of like size are put together, so that few are open at a time and no row is written again often.
pub struct OpenRuns {
    context: StageContext,
    schema: SchemaRef,
    list: Vec<OpenRun>,
    merge: Option<Merge>,
}

struct OpenRun {
    level: usize,
    reader: Box<dyn Run>,
    /// How many rows were read.
    read: u64,
    /// What was read and not taken yet.
    head: Option<Batch>,
    ended: bool,
    /// The file, which is removed when all was read.
    file: Arc<dyn Spilled>,
}

impl OpenRun {
    fn open(level: usize, file: Arc<dyn Spilled>) -> Result<Self> {
        Ok(Self {
            level,
            reader: file.read()?,
            read: 0,
            head: None,
            ended: false,
            file,
        })
    }

    /// Leaves out rows that were taken already.
    fn skip(&mut self, rows: u64) -> Result<()> {
        let mut left = rows;
        while left > 0 {
            let Some(batch) = self.next()? else { break };
            let taken = left.min(batch.len() as u64) as usize;
            left -= taken as u64;
            if taken < batch.len() {
                self.head = Some(batch.slice(taken, batch.len() - taken));
            }
        }
        Ok(())
    }
}

impl Run for OpenRun {
    fn next(&mut self) -> Result<Option<Batch>> {
        match self.head.take() {
            Some(batch) => Ok(Some(batch)),
            None => {
                let next = self.reader.next()?;
                self.read += next.as_ref().map_or(0, |batch| batch.len() as u64);
                Ok(next)
            }
        }
    }
}

impl OpenRuns {
    /// No runs yet.
    pub fn new(context: &StageContext, schema: SchemaRef) -> Self {
        Self {
            context: context.clone(),
            schema,
            list: Vec::new(),
            merge: None,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Writes a run: `next` gives sorted batches with order keys until it gives none. Not while rows are being taken.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, next: impl FnMut() -> Result<Option<Batch>>) -> Result<()> {
        self.open(0, next)?;
        for level in 0.. {
            let of_level = |run: &OpenRun| run.level == level;
            if self.list.iter().filter(|run| of_level(run)).count() < PER_LEVEL {
                if self.list.iter().all(|run| run.level <= level) {
                    return Ok(());
                }
                continue;
            }
            let (some, rest) = std::mem::take(&mut self.list)
                .into_iter()
                .partition(of_level);
            self.list = rest;
            let runs: Vec<OpenRun> = some;
            let runs = runs.into_iter().map(|run| Box::new(run) as Box<dyn Run>);
            let mut merged = MergedRuns::new(runs.collect(), self.context.batch_rows);
            self.open(level + 1, || merged.next())?;
        }
        Ok(())
    }

    fn open(&mut self, level: usize, next: impl FnMut() -> Result<Option<Batch>>) -> Result<()> {
        let mut runs = Runs::new(&self.context, Arc::clone(&self.schema));
        let file = runs.written(next)?;
        self.list.push(OpenRun::open(level, file)?);
        Ok(())
    }

    /// Writes down which runs there are, and how much of each has been taken. Not while rows are being taken.
    pub fn save(&self, name: &'static str, into: &mut dyn Save) {
        for run in &self.list {
            let head = run.head.as_ref().map_or(0, Batch::len) as u64;
            into.run(name, &run.file, run.read - head);
        }
    }

    /// Takes over the runs that were there.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn restore(&mut self, name: &str, from: &Restored<'_>, share: Share<'_>) -> Result<()> {
        let runs = from.runs(name, share)?;
        let least = runs.iter().map(|(run, _)| run.rows().max(1)).min();
        for (file, taken) in runs {
            // Runs of like size are of one level.
            let times = file.rows().max(1) / least.unwrap_or(1);
            let mut run = OpenRun::open(times.ilog(PER_LEVEL as u64) as usize, file)?;
            run.skip(taken)?;
            self.list.push(run);
        }
        Ok(())
    }

    /// The next rows, at most `limit`, whose keys are less than `bound`; none if there are no more of them.
    ///
    /// # Errors
    /// When a run cannot be read.
    pub fn next_before(&mut self, limit: usize, bound: Option<&[u8]>) -> Result<Option<Batch>> {
        let runs = self.list.len();
        let merge = self.merge.get_or_insert_with(|| Merge::new(runs));
        loop {
            match merge.next_before(limit, bound)? {
                Merged::Rows(batch) => return Ok(Some(batch)),
                Merged::Starved(run) => match self.list[run].next()? {
                    Some(batch) => merge.feed(run, batch)?,
                    None => {
                        self.list[run].ended = true;
                        merge.end(run);
                    }
                },
                Merged::End => break,
            }
        }
        if let Some(merge) = self.merge.take() {
            for (run, rest) in self.list.iter_mut().zip(merge.into_rests()) {
                run.head = rest;
            }
        }
        self.list.retain(|run| run.head.is_some() || !run.ended);
        Ok(None)
    }
}

fn merge(runs: Vec<Arc<dyn Spilled>>, limit: usize) -> Result<MergedRuns> {
    let readers = runs
        .iter()
        .map(|run| run.read())
        .collect::<Result<Vec<_>>>()?;
    Ok(MergedRuns::new(readers, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_sort_as_slices_do() {
        let words: Vec<&[u8]> = vec![
            b"shared/zebra",
            b"shared/a",
            b"shared/",
            b"shared/aaaaaaaab",
            b"shared/aaaaaaaaa",
            b"shared/a\0",
            b"shared/a",
        ];
        let sorted = sort_by_bytes(0..words.len() as u32, |i| words[i as usize]);
        let mut expected: Vec<u32> = (0..words.len() as u32).collect();
        expected.sort_by_key(|i| (words[*i as usize], *i));
        assert_eq!(sorted, expected);
        assert!(sort_by_bytes(0..0_u32, |_| &[]).is_empty());
    }
}
