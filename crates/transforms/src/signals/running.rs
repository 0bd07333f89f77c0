//! The stage of transforms that look at signals in order: finds each row's signal, and hands the samples to what remembers it.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, LargeBinaryArray};
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::time::Instant;
use dataflow_core::transform::{Emits, Route};
use dataflow_core::units::Bytes;
use dataflow_core::{Batch, Error, Flow, Output, Result, Stage, StageContext, StagePlan};
use dataflow_signal::{Memory, Saved};

use super::Signals;
use crate::columns::{KeySet, Keyed};
use crate::in_turn::KeyNumbers;

/// What is done with the samples of signals.
pub(super) trait Work: Send + 'static {
    /// What remembers one signal.
    type Of: Memory;

    /// One that remembers nothing, for the column of this number.
    fn make(&self, column: usize) -> Self::Of;

    /// Takes rows in.
    fn take(&mut self, rows: Rows<'_, Self::Of>, leaving: &mut Leaving) -> Result<()>;

    /// No more rows come: what was held back leaves.
    fn end(&mut self, known: Known<'_, Self::Of>, leaving: &mut Leaving) -> Result<()> {
        let _ = (known, leaving);
        Ok(())
    }

    /// How far what leaves is complete, when rows are so up to `watermark`.
    fn progress(&self, watermark: Instant) -> Instant {
        watermark
    }

    /// Writes down what is held besides what remembers the signals.
    fn save(&self, into: &mut dyn Save) -> Result<()> {
        let _ = into;
        Ok(())
    }

    /// Goes on with that.
    fn restore(&mut self, known: &mut Keys, from: &Restored<'_>) -> Result<()> {
        let _ = (known, from);
        Ok(())
    }

    /// Bytes held besides what remembers the signals.
    fn bytes(&self) -> usize {
        0
    }
}

/// Batches that leave.
pub(super) type Leaving = VecDeque<Batch>;

/// Rows, and the signals that they are of.
pub(super) struct Rows<'a, M> {
    /// The rows, in order.
    pub(super) batch: Batch,
    /// Their keys, a column each.
    pub(super) keys: Vec<ArrayRef>,
    /// The number of each row's key.
    pub(super) numbers: &'a [u32],
    /// The samples of each column, NaN where there is no number.
    pub(super) samples: Vec<Vec<f64>>,
    /// What remembers the signals: those of a key side by side.
    pub(super) signals: &'a mut [M],
}

impl<M> Rows<'_, M> {
    /// The keys that rows have, each with its rows; none where they are all of one.
    pub(super) fn of_keys(&self) -> Vec<(u32, Option<Vec<u32>>)> {
        let Some(first) = self.numbers.first() else {
            return Vec::new();
        };
        if self.numbers.iter().all(|number| number == first) {
            return vec![(*first, None)];
        }
        let mut order: Vec<u32> = (0..self.numbers.len() as u32).collect();
        let key = |row: &u32| self.numbers[*row as usize];
        order.sort_by_key(key);
        let each = order.chunk_by(|a, b| key(a) == key(b));
        each.map(|rows| (key(&rows[0]), Some(rows.to_vec())))
            .collect()
    }

    /// Calls for each signal with its key and column, its samples, and the rows that these are of where they are not all.
    pub(super) fn each_signal(
        &mut self,
        mut of: impl FnMut(&mut M, (u32, usize), &mut Vec<f64>, Option<&[u32]>),
    ) {
        let columns = self.samples.len();
        for (key, rows) in self.of_keys() {
            let signals = &mut self.signals[key as usize * columns..][..columns];
            for (column, (signal, all)) in signals.iter_mut().zip(&mut self.samples).enumerate() {
                match &rows {
                    None => of(signal, (key, column), all, None),
                    Some(rows) => {
                        let mut some = rows.iter().map(|row| all[*row as usize]).collect();
                        of(signal, (key, column), &mut some, Some(rows));
                    }
                }
            }
        }
    }
}

/// All signals at the end.
pub(super) struct Known<'a, M> {
    pub(super) keys: &'a KeyNumbers,
    pub(super) signals: &'a mut [M],
    /// How many a key has.
    pub(super) columns: usize,
}

/// The keys of rows, and their numbers.
pub(super) struct Keys {
    /// None where there are no keys.
    set: Option<KeySet>,
    pub(super) numbers: KeyNumbers,
}

impl Keys {
    fn new(signals: &Signals, memory: usize) -> Result<Self> {
        let ascending = vec![false; signals.keys.len()];
        let set = match signals.keys.is_empty() {
            true => None,
            false => Some(KeySet::new(signals.keys.clone(), &ascending)?),
        };
        Ok(Self {
            set,
            numbers: KeyNumbers::new(&signals.types(), memory)?,
        })
    }

    /// The rows whose keys can be evaluated, their keys and the numbers of these; bad rows leave.
    pub(super) fn split(
        &mut self,
        batch: Batch,
        numbers: &mut Vec<u32>,
        out: &mut dyn Output,
    ) -> Result<(Batch, Vec<ArrayRef>)> {
        let Some(set) = &self.set else {
            self.numbers.assign(&[], batch.len(), numbers)?;
            return Ok((batch, Vec::new()));
        };
        let Keyed { batch, keys, bad } = set.split(batch)?;
        if !bad.is_empty() {
            out.bad(bad)?;
        }
        self.numbers.assign(&keys, batch.len(), numbers)?;
        Ok((batch, keys))
    }
}

/// The plan of such a stage.
pub(super) fn plan<W: Work>(
    name: &'static str,
    signals: &Signals,
    make: impl Fn(&StageContext) -> W + Send + Sync + 'static,
) -> StagePlan {
    let signals = Arc::new(signals.clone());
    let mut plan = StagePlan::local(name, move |context| {
        let work = make(&context);
        Running::new(context, &signals, work)
    });
    plan.route = Route::Gather;
    plan.ordered = true;
    plan.emits = Emits::InOrder;
    plan.stateful = true;
    plan.copied = true;
    plan
}

/// The name under which is saved what is remembered of the signals of each key.
const REMEMBERED: &str = "remembered";

/// How many batches leave before others get their turn.
const BATCHES: usize = 16;

/// Below this, what is over the budget is no reason to stop.
const TOLERATED: usize = 16 << 20;

struct Running<W: Work> {
    context: StageContext,
    signals: Arc<Signals>,
    work: W,
    keys: Keys,
    of: Vec<W::Of>,
    /// Bytes held by them.
    bytes: usize,
    /// The numbers of the keys of the rows at hand.
    assigned: Vec<u32>,
    leaving: Leaving,
}

impl<W: Work> Running<W> {
    fn new(context: StageContext, signals: &Arc<Signals>, work: W) -> Result<Self> {
        Ok(Self {
            keys: Keys::new(signals, context.memory)?,
            signals: Arc::clone(signals),
            work,
            of: Vec::new(),
            bytes: 0,
            assigned: Vec::new(),
            leaving: Leaving::new(),
            context,
        })
    }

    /// There is something that remembers the signals of each key.
    fn resize(&mut self) {
        let columns = self.signals.names.len();
        while self.of.len() < self.keys.numbers.len() * columns {
            let made = self.work.make(self.of.len() % columns);
            self.bytes += made.bytes();
            self.of.push(made);
        }
    }

    /// The bytes of what remembers the signals of these keys.
    fn bytes_of(&self, keys: &[u32]) -> usize {
        let columns = self.signals.names.len();
        let of = |key: &u32| &self.of[*key as usize * columns..][..columns];
        let each = keys.iter().flat_map(of);
        each.map(Memory::bytes).sum()
    }

    fn too_large(&self) -> Result<()> {
        let held = self.bytes();
        if held <= TOLERATED.max(2 * self.context.memory) {
            return Ok(());
        }
        let message = format!(
            "what is remembered of {} signals takes {}, of a budget of {} for this stage, and cannot be spilled",
            self.of.len(),
            Bytes(held as u64).for_people(),
            Bytes(self.context.memory as u64).for_people()
        );
        Err(Error::resource(message)
            .component(self.context.id.to_string())
            .help(
                "raise `memory` in [engine], or use fewer keys, or shorter windows and distances",
            ))
    }

    fn remembered(&self, keys: &[u32]) -> ArrayRef {
        let columns = self.signals.names.len();
        let blob = |key: &u32| {
            let mut bytes = Vec::new();
            let of = &self.of[*key as usize * columns..][..columns];
            of.iter().for_each(|signal| signal.save(&mut bytes));
            bytes
        };
        Arc::new(LargeBinaryArray::from_iter_values(keys.iter().map(blob)))
    }

    fn remember(&mut self, keys: &[u32], blobs: &ArrayRef) -> Result<()> {
        self.resize();
        let columns = self.signals.names.len();
        let (before, wrong) = (self.bytes_of(keys), || {
            Error::data("what was saved of a signal is not of this filter")
        });
        for (key, blob) in keys.iter().zip(blobs.as_binary::<i64>()) {
            let mut saved = Saved::new(blob.ok_or_else(wrong)?);
            for signal in &mut self.of[*key as usize * columns..][..columns] {
                signal.restore(&mut saved).ok_or_else(wrong)?;
            }
            saved.is_over().then_some(()).ok_or_else(wrong)?;
        }
        self.bytes = self.bytes - before + self.bytes_of(keys);
        Ok(())
    }
}

impl<W: Work> Stage for Running<W> {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let mut assigned = std::mem::take(&mut self.assigned);
        let (batch, keys) = self.keys.split(batch, &mut assigned, out)?;
        if batch.is_empty() {
            return Ok(Flow::Ready);
        }
        self.resize();
        let mut touched = assigned.clone();
        touched.sort_unstable();
        touched.dedup();
        self.keys.numbers.changes.mark(&touched);
        let before = self.bytes_of(&touched);
        let rows = Rows {
            samples: self.signals.samples(batch.rows())?,
            batch,
            keys,
            numbers: &assigned,
            signals: &mut self.of,
        };
        self.work.take(rows, &mut self.leaving)?;
        self.bytes = self.bytes - before + self.bytes_of(&touched);
        self.assigned = assigned;
        self.too_large()?;
        self.more(out)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        for _ in 0..BATCHES {
            match self.leaving.pop_front() {
                Some(batch) => out.send(0, batch),
                None => return Ok(Flow::Ready),
            }
            if out.full() {
                break;
            }
        }
        Ok(match self.leaving.is_empty() {
            true => Flow::Ready,
            false => Flow::More,
        })
    }

    fn progress(&self, watermark: Instant) -> Instant {
        self.work.progress(watermark)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let known = Known {
            keys: &self.keys.numbers,
            signals: &mut self.of,
            columns: self.signals.names.len(),
        };
        self.work.end(known, &mut self.leaving)?;
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.resize();
        let mut changes = std::mem::take(&mut self.keys.numbers.changes);
        let numbers = &self.keys.numbers;
        let write = |some: &[u32]| numbers.saved(some, vec![self.remembered(some)]);
        let numbered = changes.numbered(numbers.len(), AT_ONCE, |_| true, write);
        self.keys.numbers.changes = changes;
        let numbered = numbered?;
        into.numbered(REMEMBERED, numbered);
        self.work.save(into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        from.rows(REMEMBERED, Share::Dealt, &mut |batch| {
            let (keys, columns) = self.keys.numbers.restored(&batch)?;
            self.remember(&keys, &columns[0])
        })?;
        self.work.restore(&mut self.keys, from)
    }

    fn bytes(&self) -> usize {
        self.bytes + self.work.bytes() + self.keys.numbers.bytes()
    }

    fn keys(&self) -> usize {
        self.keys.numbers.len()
    }
}

/// How many keys are written down at once: each may remember much.
const AT_ONCE: usize = if cfg!(test) { 3 } else { 256 };
