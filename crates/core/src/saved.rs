//! What a stage holds, taken out so that another run can go on with it, on any number of workers.
//!
//! A stage writes what it holds under names of its own: small values, rows, and runs that are on disk already. Whoever goes on
//! is given what the stages on *all* workers of the earlier run wrote, and takes its share: the rows whose keys it owns, or
//! those of the workers that it stands in for.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{BooleanArray, UInt32Array};
use serde_json::Value;

use crate::order::{owner, shard};
use crate::stage::{Spill, Spilled};
use crate::{Batch, Result};

/// A run on disk, and how many of its rows have been taken.
pub type Taken = (Arc<dyn Spilled>, u64);

/// Where a stage writes what it holds.
pub trait Save {
    /// A small value.
    fn value(&mut self, name: &'static str, value: Value);

    /// Rows, behind those that were given under this name before. All of a name have the same columns and carry the same facts
    /// (places, times, order keys).
    fn rows(&mut self, name: &'static str, batch: Batch);

    /// A run on disk, of which the first `from` rows have been taken already.
    fn run(&mut self, name: &'static str, run: &Arc<dyn Spilled>, from: u64);

    /// Numbered rows, over those that were given under this name the time before. Once a stage has given some under a name, it
    /// does so whenever it is saved, even if nothing has changed. They are read like other rows, in the order of their numbers.
    fn numbered(&mut self, name: &'static str, rows: Numbered);
}

/// What has become of rows that each have a number, for as long as the stage holds them.
#[derive(Default)]
pub struct Numbered {
    /// Whether all that was given before is gone.
    pub anew: bool,
    /// Rows that are new or have changed, with their numbers. All have the same columns, and order keys if any has.
    pub rows: Vec<(Vec<u32>, Batch)>,
    /// Rows that are gone.
    pub gone: Vec<u32>,
}

/// Which numbered rows have changed since they were saved. Nothing is noted before they were saved once.
#[derive(Default)]
pub struct Changes {
    /// A bit for each number; none before the first time.
    bits: Option<Vec<u64>>,
}

impl Changes {
    /// These have changed, or are new.
    #[inline]
    pub fn mark(&mut self, numbers: &[u32]) {
        if let Some(bits) = &mut self.bits {
            numbers.iter().for_each(|number| set(bits, *number));
        }
    }

    /// This one has changed, or is new.
    #[inline]
    pub fn mark_one(&mut self, number: u32) {
        if let Some(bits) = &mut self.bits {
            set(bits, number);
        }
    }

    /// All have changed their numbers, or are gone.
    pub fn all(&mut self) {
        self.bits = None;
    }

    /// What has changed, ascending, and whether that is everything: so it is the first time, and behind [`all`](Self::all).
    /// There are `count` numbers. From now on changes are noted anew.
    pub fn take(&mut self, count: usize) -> (bool, Vec<u32>) {
        let fresh = vec![0; count.div_ceil(64)];
        let Some(bits) = self.bits.replace(fresh) else {
            return (true, (0..count as u32).collect());
        };
        let mut changed = Vec::new();
        for (at, word) in bits.into_iter().enumerate() {
            let mut left = word;
            while left != 0 {
                changed.push(at as u32 * 64 + left.trailing_zeros());
                left &= left - 1;
            }
        }
        (false, changed)
    }

    /// What has changed, for a snapshot: the rows of those that `is_held` says are there, written by `write` for so many at once;
    /// the others are gone. There are `count` numbers.
    ///
    /// # Errors
    /// When `write` fails.
    pub fn numbered(
        &mut self,
        count: usize,
        at_once: usize,
        is_held: impl Fn(u32) -> bool,
        mut write: impl FnMut(&[u32]) -> Result<Batch>,
    ) -> Result<Numbered> {
        let (anew, changed) = self.take(count);
        let (held, gone): (Vec<u32>, Vec<u32>) = changed.into_iter().partition(|n| is_held(*n));
        let pieces = held.chunks(at_once.max(1));
        let rows = pieces.map(|some| Ok((some.to_vec(), write(some)?)));
        Ok(Numbered {
            anew,
            rows: rows.collect::<Result<_>>()?,
            gone: if anew { Vec::new() } else { gone },
        })
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bits.as_ref().map_or(0, |bits| 8 * bits.capacity())
    }
}

fn set(bits: &mut Vec<u64>, number: u32) {
    let at = number as usize / 64;
    if at >= bits.len() {
        bits.resize(at + 1, 0);
    }
    bits[at] |= 1 << (number % 64);
}

/// What one stage on one worker wrote.
#[derive(Default)]
pub struct Saved {
    /// Values by name.
    pub values: BTreeMap<&'static str, Value>,
    /// Rows by name.
    pub rows: BTreeMap<&'static str, Vec<Batch>>,
    /// Runs by name.
    pub runs: BTreeMap<&'static str, Vec<Taken>>,
    /// Numbered rows by name.
    pub numbered: BTreeMap<&'static str, Numbered>,
}

impl Saved {
    /// Writes all of it elsewhere.
    pub fn give(self, into: &mut dyn Save) {
        let values = self.values.into_iter();
        values.for_each(|(name, value)| into.value(name, value));
        for (name, batches) in self.rows {
            batches.into_iter().for_each(|batch| into.rows(name, batch));
        }
        for (name, runs) in self.runs {
            runs.iter()
                .for_each(|(run, taken)| into.run(name, run, *taken));
        }
        for (name, rows) in self.numbered {
            into.numbered(name, rows);
        }
    }
}

impl Save for Saved {
    fn value(&mut self, name: &'static str, value: Value) {
        self.values.insert(name, value);
    }

    fn rows(&mut self, name: &'static str, batch: Batch) {
        let batch = batch.with_charge(None).with_hash(None);
        self.rows.entry(name).or_default().push(batch);
    }

    fn run(&mut self, name: &'static str, run: &Arc<dyn Spilled>, from: u64) {
        let runs = self.runs.entry(name).or_default();
        runs.push((Arc::clone(run), from));
    }

    fn numbered(&mut self, name: &'static str, mut numbered: Numbered) {
        for (_, batch) in &mut numbered.rows {
            *batch = batch.clone().with_charge(None).with_hash(None);
        }
        self.numbered.insert(name, numbered);
    }
}

/// What one stage of an earlier run wrote, on each of its workers.
pub trait Parts {
    /// How many workers that run had.
    fn workers(&self) -> usize;

    /// A value.
    ///
    /// # Errors
    /// When it cannot be read.
    fn value(&self, worker: usize, name: &str) -> Result<Option<Value>>;

    /// Gives the rows of a name, batch by batch.
    ///
    /// # Errors
    /// When they cannot be read, or `each` fails.
    fn rows(
        &self,
        worker: usize,
        name: &str,
        each: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()>;

    /// The runs of a name, and how many rows of each have been taken.
    ///
    /// # Errors
    /// When they cannot be found.
    fn runs(&self, worker: usize, name: &str) -> Result<Vec<Taken>>;
}

/// The hash of the key of each row, by which rows find their owner.
pub type HashOf<'a> = &'a dyn Fn(&Batch) -> Result<Vec<u64>>;

/// Which of the rows that all workers wrote one worker takes.
#[derive(Clone, Copy)]
pub enum Share<'a> {
    /// Those whose keys it owns.
    Keyed(HashOf<'a>),
    /// Those of the workers that it stands in for. Each is stood in for by one.
    Dealt,
    /// All that one worker wrote: every worker wrote the same.
    Same,
}

/// What one worker is to go on with.
pub struct Restored<'a> {
    parts: &'a dyn Parts,
    worker: usize,
    workers: usize,
    spill: Arc<dyn Spill>,
    id: Arc<str>,
}

impl<'a> Restored<'a> {
    /// The share of a worker of so many. Runs that have to be cut are written anew with `spill`, for the component `id`.
    pub fn new(
        parts: &'a dyn Parts,
        (worker, workers): (usize, usize),
        spill: Arc<dyn Spill>,
        id: Arc<str>,
    ) -> Self {
        Self {
            parts,
            worker,
            workers,
            spill,
            id,
        }
    }

    /// A value as each of the earlier workers wrote it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn values(&self, name: &str) -> Result<Vec<Value>> {
        let all = (0..self.parts.workers()).map(|worker| self.parts.value(worker, name));
        all.filter_map(Result::transpose).collect()
    }

    /// The values of the earlier workers that this one stands in for.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn dealt_values(&self, name: &str) -> Result<Vec<Value>> {
        let mine = self.dealt().map(|worker| self.parts.value(worker, name));
        mine.filter_map(Result::transpose).collect()
    }

    /// Whether each worker goes on with just what it wrote itself.
    pub fn is_unchanged(&self) -> bool {
        self.parts.workers() == self.workers
    }

    fn dealt(&self) -> impl Iterator<Item = usize> {
        let (worker, workers) = (self.worker, self.workers);
        (0..self.parts.workers()).filter(move |earlier| earlier % workers == worker)
    }

    /// The earlier workers of whose rows some may be for this one.
    fn of(&self, share: Share<'_>) -> Vec<usize> {
        match share {
            Share::Same => vec![0],
            Share::Keyed(_) if !self.is_unchanged() => (0..self.parts.workers()).collect(),
            Share::Keyed(_) | Share::Dealt => self.dealt().collect(),
        }
    }

    /// Gives this worker's rows of a name, batch by batch, in the order in which each worker wrote them.
    ///
    /// # Errors
    /// When they cannot be read, or `each` fails.
    pub fn rows(
        &self,
        name: &str,
        share: Share<'_>,
        each: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        for earlier in self.of(share) {
            self.parts.rows(earlier, name, &mut |batch| {
                let batch = self.mine(batch, share)?;
                if batch.is_empty() {
                    Ok(())
                } else {
                    each(batch)
                }
            })?;
        }
        Ok(())
    }

    fn mine(&self, batch: Batch, share: Share<'_>) -> Result<Batch> {
        let Share::Keyed(hash) = share else {
            return Ok(batch);
        };
        if self.is_unchanged() {
            return Ok(batch);
        }
        let hashes = hash(&batch)?;
        let owned = hashes
            .iter()
            .map(|hash| Some(owner(shard(*hash), self.workers) == self.worker));
        batch.filter(&owned.collect::<BooleanArray>())
    }

    /// This worker's runs of a name, and how many rows of each have been taken.
    ///
    /// # Errors
    /// When they cannot be read, or written anew.
    pub fn runs(&self, name: &str, share: Share<'_>) -> Result<Vec<Taken>> {
        let mut runs = Vec::new();
        for earlier in self.of(share) {
            for (run, from) in self.parts.runs(earlier, name)? {
                match share {
                    Share::Keyed(_) if !self.is_unchanged() => {
                        runs.extend(self.cut(&run, from, share)?.map(|run| (run, 0)));
                    }
                    _ => runs.push((run, from)),
                }
            }
        }
        Ok(runs)
    }

    /// A run of what is for this worker in another; none if nothing is.
    fn cut(
        &self,
        run: &Arc<dyn Spilled>,
        from: u64,
        share: Share<'_>,
    ) -> Result<Option<Arc<dyn Spilled>>> {
        let mut reader = run.read()?;
        let mut skip = from;
        let mut writer = None;
        while let Some(batch) = reader.next()? {
            let skipped = skip.min(batch.len() as u64) as usize;
            skip -= skipped as u64;
            let batch = self.mine(batch.slice(skipped, batch.len() - skipped), share)?;
            if batch.is_empty() {
                continue;
            }
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(self.spill.begin(&self.id, batch.schema())?),
            };
            writer.write(&batch)?;
        }
        let finished = writer.map(crate::stage::SpillWriter::finish).transpose()?;
        Ok(finished.map(Arc::from))
    }
}

/// Rows in pieces of at most so many, for stages whose batches would be very large.
pub fn in_pieces(batch: &Batch, rows: usize) -> impl Iterator<Item = Batch> + '_ {
    let rows = rows.max(1);
    let starts = (0..batch.len()).step_by(rows);
    starts.map(move |start| batch.slice(start, rows.min(batch.len() - start)))
}

/// Some rows of a batch, as one of its own: what is saved must not keep a large batch alive for few of its rows.
///
/// # Errors
/// When Arrow cannot put them together.
pub fn copied(batch: &Batch, rows: impl IntoIterator<Item = u32>) -> Result<Batch> {
    batch.take(&UInt32Array::from_iter_values(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once_and_everything_the_first_time() {
        let mut changes = Changes::default();
        changes.mark(&[3, 1]);
        assert_eq!(changes.take(4), (true, vec![0, 1, 2, 3]));
        assert_eq!(changes.take(4), (false, vec![]));
        changes.mark(&[200, 1, 64, 1]);
        changes.mark_one(63);
        assert_eq!(changes.take(201), (false, vec![1, 63, 64, 200]));
        assert_eq!(changes.take(201), (false, vec![]));
        changes.mark_one(7);
        changes.all();
        changes.mark_one(0);
        assert_eq!(changes.take(2), (true, vec![0, 1]));
        assert_eq!(changes.take(2), (false, vec![]));
        assert!(changes.bytes() > 0);
    }
}
