//! What an aggregation does with a batch: keys and inputs on the way in, finished columns on the way out.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch, UInt32Array};
use arrow_schema::{DataType, SchemaRef};
use dataflow_core::order::Keys;
use dataflow_core::saved::{Changes, Save};
use dataflow_core::time::{BEGINNING, Instant};
use dataflow_core::{Batch, Output, Places, Result, Times};
use dataflow_expressions::{Computations, Expression, Failure};

use super::cut::{Cut, Kind};
use super::groups::Groups;
use super::window::{PROVISIONAL, Windowed, last_instants};
use crate::calls::{Calls, States};
use crate::columns::{KeyColumn, reject_once};
use crate::one_group::{Given, OneGroup};
use crate::saved::{PIECE, hashes};

/// A checked aggregation.
pub(crate) struct Work {
    /// The keys; none means that all rows are one group.
    pub(crate) keys: Vec<KeyColumn>,
    /// The windows; what tells them apart comes before the keys.
    pub(crate) windowed: Option<Windowed>,
    /// Windows that follow from the rows of each key.
    pub(crate) cut: Option<Cut>,
    /// The types of all that groups are told apart by.
    pub(crate) types: Vec<DataType>,
    /// Their order.
    pub(crate) order: Keys,
    /// Arguments and filters of the calls, each once.
    pub(crate) inputs: Vec<Expression>,
    /// The calls, over the inputs' numbers.
    pub(crate) calls: Arc<Calls>,
    /// What is computed of the calls' values.
    pub(crate) computations: Computations,
    /// The columns that leave.
    pub(crate) output: SchemaRef,
    /// The columns between the stages and on disk: keys and states.
    pub(crate) states: SchemaRef,
    /// What each worker's first stage holds.
    pub(crate) held: Held,
    /// How often open windows are told before their time.
    pub(crate) emit: Option<Duration>,
}

/// The bytes that the first stage of each worker holds. What it does not hold of its share, the last stage may.
#[derive(Default)]
pub(crate) struct Held(Mutex<Vec<Arc<AtomicUsize>>>);

impl Held {
    /// The count of a worker.
    pub(crate) fn by(&self, worker: usize) -> Arc<AtomicUsize> {
        let mut workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if workers.len() <= worker {
            workers.resize_with(worker + 1, Arc::default);
        }
        Arc::clone(&workers[worker])
    }
}

/// The port of late rows: behind that of early results.
pub(super) fn late_port(early: bool) -> usize {
    if early { PROVISIONAL + 1 } else { PROVISIONAL }
}

/// The names under which groups are saved, and how many rows went into them: by that is judged whether reducing pays.
pub(super) const GROUPS: &str = "groups";
pub(super) const TAKEN_IN: &str = "taken_in";

/// The keys and inputs of rows, those that failed taken out.
pub(crate) struct Rows {
    pub(crate) keys: Vec<ArrayRef>,
    pub(crate) inputs: Vec<ArrayRef>,
    pub(crate) rows: usize,
    pub(crate) places: Places,
    pub(crate) times: Option<Times>,
    /// Sort keys, where the rows are of a sorted run.
    pub(crate) order: Option<BinaryArray>,
}

impl Rows {
    /// Some of the rows.
    pub(crate) fn take(self, rows: &UInt32Array) -> Result<Self> {
        let at = || rows.values().iter().map(|row| *row as usize);
        let order = match &self.order {
            Some(order) => {
                let taken = arrow_select::take::take(order, rows, None)?;
                Some(BinaryArray::from(taken.to_data()))
            }
            None => None,
        };
        Ok(Self {
            keys: arrow_select::take::take_arrays(&self.keys, rows, None)?,
            inputs: arrow_select::take::take_arrays(&self.inputs, rows, None)?,
            rows: rows.len(),
            places: self.places.take(at()),
            times: self.times.map(|times| times.take(at())),
            order,
        })
    }
}

/// Reducing pays where the states are so many times smaller than the rows that went into them.
const SMALLER: u64 = 2;

impl Work {
    /// A word for the windows, if there are any.
    pub(crate) fn windows(&self) -> Option<&'static str> {
        let grid = self
            .windowed
            .as_ref()
            .map(|windowed| match windowed.overlaps {
                true => "sliding window",
                false => "window of time",
            });
        let cut = self.cut.as_ref().map(|cut| match cut.kind {
            Kind::Session { .. } => "session",
            Kind::Count { .. } => "window of rows",
            Kind::Change { .. } => "run of equal values",
            Kind::Rolling(_) => "row",
            Kind::File => "file",
        });
        grid.or(cut)
    }

    /// The port of late rows.
    pub(crate) fn late(&self) -> usize {
        late_port(self.emit.is_some())
    }

    /// Whether what leaves has event time.
    pub(crate) fn is_timed(&self) -> bool {
        self.windowed.is_some() || self.cut.as_ref().is_some_and(|cut| cut.timed)
    }

    /// Groups with their states, as they travel and are written down.
    pub(super) fn written(&self, groups: &Groups, states: &States, some: &[u32]) -> Result<Batch> {
        let mut columns = groups.keys(some)?;
        columns.extend(states.state(some)?);
        let rows = RecordBatch::try_new(Arc::clone(&self.states), columns)?;
        Ok(Batch::new(rows))
    }

    /// Saves groups with their states.
    pub(super) fn save(
        &self,
        (groups, states): (&Groups, &States),
        some: &[u32],
        into: &mut dyn Save,
    ) -> Result<()> {
        for piece in some.chunks(PIECE) {
            into.rows(GROUPS, self.written(groups, states, piece)?);
        }
        Ok(())
    }

    /// Saves the groups that have changed, with their states, as far as they are still held.
    pub(super) fn save_changes(
        &self,
        (groups, states): (&Groups, &States),
        changes: &mut Changes,
        is_held: impl Fn(u32) -> bool,
        into: &mut dyn Save,
    ) -> Result<()> {
        let write = |some: &[u32]| self.written(groups, states, some);
        let numbered = changes.numbered(groups.len(), PIECE, is_held, write)?;
        into.numbered(GROUPS, numbered);
        Ok(())
    }

    /// How many keys do not count for who owns a group: where windows overlap, all of a key meet.
    pub(super) fn unrouted(&self) -> usize {
        let overlaps = self.windowed.as_ref().filter(|w| w.has_panes());
        overlaps.map_or(0, Windowed::keys)
    }

    /// The hash by which rows that were saved find the owner of their key.
    pub(super) fn owners(&self) -> impl Fn(&Batch) -> Result<Vec<u64>> + '_ {
        |batch| {
            let routed = self.unrouted()..self.types.len();
            let keys = &batch.rows().columns()[routed.clone()];
            hashes(&self.types[routed], keys, batch.len())
        }
    }

    /// Whether it pays to keep so many bytes of states instead of so many rows.
    pub(crate) fn reducing_pays(&self, rows: u64, states: usize) -> bool {
        let bytes = rows * 8 * (self.keys.len() + self.inputs.len()) as u64;
        bytes >= SMALLER * states as u64
    }

    /// Evaluates keys and inputs, and reports the rows that fail and those that are too late; windows that end at `sealed` or
    /// before have left.
    pub(crate) fn read(
        &self,
        batch: &Batch,
        sealed: Instant,
        out: &mut dyn Output,
    ) -> Result<Rows> {
        let mut failed = Vec::new();
        let mut keys = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            let (values, failures) = key.evaluate(batch.rows())?;
            keys.push(values);
            failed.extend(failures);
        }
        let mut inputs = Vec::with_capacity(self.inputs.len());
        let mut failures: Vec<(usize, Failure)> = Vec::new();
        for (number, input) in self.inputs.iter().enumerate() {
            let evaluated = input.evaluate(batch.rows());
            inputs.push(evaluated.values);
            failures.extend(
                evaluated
                    .failed
                    .into_iter()
                    .map(|failure| (number, failure)),
            );
        }
        failed.extend(self.that_count(failures, &inputs));
        let (kept_batch, bad, kept) = reject_once(batch, failed)?;
        if let Some(kept) = kept {
            out.bad(bad)?;
            keys = arrow_select::take::take_arrays(&keys, &kept, None)?;
            inputs = arrow_select::take::take_arrays(&inputs, &kept, None)?;
        }
        let rows = Rows {
            keys,
            inputs,
            rows: kept_batch.len(),
            places: kept_batch.places().clone(),
            times: kept_batch.times().cloned(),
            order: kept_batch.order().cloned(),
        };
        match &self.windowed {
            Some(windowed) => windowed.assign(rows, &kept_batch, sealed, out),
            None => Ok(rows),
        }
    }

    /// The failures of rows that some call would have taken in: not those that its filter keeps away.
    fn that_count(&self, failures: Vec<(usize, Failure)>, inputs: &[ArrayRef]) -> Vec<Failure> {
        let lets = |filter: usize, row: usize| {
            let filter: &BooleanArray = inputs[filter].as_boolean();
            filter.is_valid(row) && filter.value(row)
        };
        let counts = |(input, failure): &(usize, Failure)| {
            self.calls
                .uses(*input, |filter| lets(filter, failure.row as usize))
        };
        failures
            .into_iter()
            .filter(counts)
            .map(|(_, failure)| failure)
            .collect()
    }

    /// Keys and the calls' values as rows that leave, with their order; those whose computation fails are bad rows.
    pub(crate) fn finish(
        &self,
        mut keys: Vec<ArrayRef>,
        values: &[ArrayRef],
        order: BinaryArray,
        out: &mut dyn Output,
    ) -> Result<Batch> {
        let times = self.put_windows(&mut keys);
        self.finish_with(keys, values, order, times, out)
    }

    /// Puts the columns of windows of time in the place of the key that tells them apart. Returns when their rows happened.
    pub(crate) fn put_windows(&self, keys: &mut Vec<ArrayRef>) -> Option<Times> {
        let windowed = self.windowed.as_ref()?;
        let ends = keys.remove(0);
        keys.splice(0..0, windowed.columns(&ends));
        Some(last_instants(&ends))
    }

    /// The same with what comes before the computed columns, windows included.
    pub(crate) fn finish_with(
        &self,
        keys: Vec<ArrayRef>,
        values: &[ArrayRef],
        order: BinaryArray,
        times: Option<Times>,
        out: &mut dyn Output,
    ) -> Result<Batch> {
        let (computed, failed) = self.computations.finish(&keys, values);
        let columns = keys.into_iter().chain(computed).collect();
        let rows = RecordBatch::try_new(Arc::clone(&self.output), columns)?;
        let batch = Batch::new(rows).with_order(Some(order)).with_times(times);
        let (batch, bad, _) = reject_once(&batch, failed)?;
        if !bad.is_empty() {
            out.bad(bad)?;
        }
        Ok(batch)
    }

    /// The columns of what is told early of a window. What cannot be computed yet is left out: the window's own row will tell.
    pub(crate) fn finish_early(
        &self,
        keys: Vec<ArrayRef>,
        values: &[ArrayRef],
        order: BinaryArray,
    ) -> Result<Batch> {
        let (computed, failed) = self.computations.finish(&keys, values);
        let columns = keys.into_iter().chain(computed).collect();
        let rows = RecordBatch::try_new(Arc::clone(&self.output), columns)?;
        let batch = Batch::new(rows).with_order(Some(order));
        Ok(reject_once(&batch, failed)?.0)
    }
}

impl OneGroup for Work {
    fn calls(&self) -> &Arc<Calls> {
        &self.calls
    }

    fn read(&self, batch: &Batch, out: &mut dyn Output) -> Result<Given> {
        let rows = Work::read(self, batch, BEGINNING, out)?;
        Ok(Given {
            inputs: rows.inputs,
            rows: rows.rows,
            places: rows.places,
        })
    }

    fn finish(&self, values: Vec<ArrayRef>, out: &mut dyn Output) -> Result<Batch> {
        let order = BinaryArray::from_vec(vec![b""]);
        Work::finish(self, Vec::new(), &values, order, out)
    }
}

/// The first row of each run of equal keys, and the number of each row's run.
pub(crate) fn runs_of_equal(order: &BinaryArray, before: Option<&[u8]>) -> (UInt32Array, Vec<u32>) {
    let mut firsts: Vec<u32> = Vec::new();
    let mut groups = Vec::with_capacity(order.len());
    let mut last = before;
    let mut group: u32 = 0;
    for (row, key) in order.iter().enumerate() {
        let key = key.unwrap_or_default();
        if last != Some(key) {
            group = firsts.len() as u32 + u32::from(before.is_some());
            firsts.push(row as u32);
            last = Some(key);
        }
        groups.push(group);
    }
    (firsts.into(), groups)
}
