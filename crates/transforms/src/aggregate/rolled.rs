//! Aggregations over rolling windows: a result for each row, in the order of (time, key, place). All rows go to the owners of
//! their keys, who put them in the order of their time and look back (`rolling`).

use std::sync::Arc;

use arrow_array::{ArrayRef, TimestampNanosecondArray, UInt64Array};
use arrow_schema::{DataType, SchemaRef};
use dataflow_core::order::Keys;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::sorter::{Sorted, Sorter};
use dataflow_core::time::{BEGINNING, END, Instant};
use dataflow_core::transform::{Emits, Route};
use dataflow_core::units::Bytes;
use dataflow_core::window::Lookback;
use dataflow_core::{
    Batch, Error, Flow, Output, Places, Result, Stage, StageContext, StagePlan, Times,
};

use super::groups::Groups;
use super::rolling::Rolling;
use super::rolling::saved::Held;
use super::sequence::{NUMBERED, RESULTS, ROWS, first, plain_schema, positions};
use super::work::Work;
use crate::columns::conform;
use crate::saved::{keyed, largest};
use dataflow_core::in_time::InTime;

/// The two stages of such an aggregation.
pub(super) fn stages(work: &Arc<Work>, lookback: Lookback, timed: bool) -> Vec<StagePlan> {
    let of = Arc::clone(work);
    let mut last = StagePlan::local("rolling windows", move |context| {
        Rolled::new(context, &of, lookback, timed)
    });
    last.route = match work.keys.is_empty() {
        true => Route::Gather,
        false => Route::Keyed,
    };
    last.ordered = !timed;
    last.emits = Emits::SortedAtEnd;
    last.stateful = true;
    last.copied = true;
    last.amplifies = true;
    last.timed = timed;
    vec![first(work, timed), last]
}

/// The rows of the keys that one worker owns.
struct Rolled {
    context: StageContext,
    work: Arc<Work>,
    timed: bool,
    schema: SchemaRef,
    rows: Option<InTime>,
    keys: Groups,
    assigned: Vec<u32>,
    rolling: Rolling,
    order: Keys,
    /// Rows so far.
    numbered: u64,
    /// Results that wait to be put in order: of the instant that more rows may have, or all where rows have no time.
    waiting: Sorter,
    /// The instant of those that wait.
    now: Instant,
    leaving: Option<Sorted>,
    pending: Option<Batch>,
    /// Up to when rows have been worked on, when all that were released have been.
    until: Instant,
    drained: bool,
    ending: bool,
}

impl Rolled {
    fn new(
        context: StageContext,
        work: &Arc<Work>,
        lookback: Lookback,
        timed: bool,
    ) -> Result<Self> {
        let mut order = vec![DataType::Int64];
        order.extend(work.types.iter().cloned());
        order.push(DataType::UInt64);
        Ok(Self {
            schema: plain_schema(work),
            rows: timed.then(|| InTime::new(&context)),
            keys: Groups::new(&work.types, context.memory)?,
            assigned: Vec::new(),
            rolling: Rolling::new(lookback, &work.calls),
            order: Keys::ascending(&order)?,
            numbered: 0,
            waiting: Sorter::new(&context),
            now: BEGINNING,
            leaving: None,
            pending: None,
            until: BEGINNING,
            drained: true,
            ending: false,
            timed,
            work: Arc::clone(work),
            context,
        })
    }

    fn assign(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        match keys.is_empty() {
            true => {
                self.assigned.clear();
                self.assigned.resize(rows, 0);
                Ok(())
            }
            false => self.keys.assign(keys, &mut self.assigned),
        }
    }

    /// Takes rows in, which come in order, and makes their results.
    fn take(&mut self, batch: &Batch, out: &mut dyn Output) -> Result<()> {
        let columns = batch.rows().columns();
        let (keys, inputs) = columns.split_at(self.work.types.len());
        self.assign(keys, batch.len())?;
        let at = positions(batch, self.timed)?;
        let looked = self
            .rolling
            .take(&self.assigned, &at, self.numbered, inputs)?;
        self.numbered += batch.len() as u64;
        self.too_large()?;
        let place = |row| batch.places().get(row).map(|place| place.0);
        let places = UInt64Array::from_iter((0..batch.len()).map(place));
        let times: ArrayRef = Arc::new(arrow_array::Int64Array::from(at.clone()));
        let order: Vec<ArrayRef> = [times]
            .into_iter()
            .chain(keys.iter().map(Arc::clone))
            .chain([Arc::new(places) as ArrayRef])
            .collect();
        let order = self.order.encode(&order)?;
        let mut before: Vec<ArrayRef> = Vec::new();
        let mut times = None;
        if self.timed {
            let column = |instants: Vec<Instant>| -> ArrayRef {
                Arc::new(TimestampNanosecondArray::from(instants).with_timezone("UTC"))
            };
            before.push(column(looked.starts));
            before.push(column(at.clone()));
            times = Some(Times::new(at));
        }
        before.extend(keys.iter().map(Arc::clone));
        let all: Vec<u32> = (0..batch.len() as u32).collect();
        looked.states.tell(&all, out);
        let values = looked.states.values(&all)?;
        let result = self.work.finish_with(before, &values, order, times, out)?;
        self.waiting.push(result)?;
        if self.waiting.bytes() > self.context.memory {
            self.waiting.spill()?;
        }
        Ok(())
    }

    fn too_large(&self) -> Result<()> {
        let held = self.rolling.bytes() + self.keys.bytes();
        if held <= TOLERATED.max(2 * self.context.memory) {
            return Ok(());
        }
        let message = format!(
            "the rows that are looked back at take {}, of a budget of {} for this stage, and cannot be spilled",
            Bytes(held as u64).for_people(),
            Bytes(self.context.memory as u64).for_people()
        );
        Err(Error::resource(message)
            .component(self.context.id.to_string())
            .help("raise `memory` in [engine], or use fewer keys or shorter windows"))
    }

    /// The next rows that were released, cut where the instant changes: results of one instant leave together.
    fn next_rows(&mut self) -> Result<Option<Batch>> {
        match self.pending.take() {
            Some(batch) => Ok(Some(batch)),
            None => match &mut self.rows {
                Some(rows) => rows.next(),
                None => Ok(None),
            },
        }
    }

    /// Works on a batch of rows with times: what is older than its last instant may leave when it has been worked on.
    fn step(&mut self, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let at = positions(&batch, true)?;
        let (first, last) = (at[0], at[at.len() - 1]);
        if first > self.now && self.waiting.rows() > 0 {
            self.leaving = Some(self.waiting.finish()?);
            self.waiting = Sorter::new(&self.context);
            self.pending = Some(batch);
            return Ok(());
        }
        let older = at.partition_point(|time| *time < last);
        // The rows of the instant that waits come first; then all up to the last instant; then that one.
        let cut = match (first == self.now && self.waiting.rows() > 0, older) {
            (true, _) => at.partition_point(|time| *time <= first),
            (false, 0) => at.len(),
            (false, older) => older,
        };
        if cut < batch.len() {
            self.pending = Some(batch.slice(cut, batch.len() - cut));
        }
        self.now = at[cut - 1];
        self.take(&batch.slice(0, cut), out)
    }

    /// Forgets keys that were silent for longer than is looked back.
    fn forget(&mut self) -> Result<()> {
        let (used, all) = self.rolling.forget_before(self.until);
        if self.work.types.is_empty() || all < FEW || 2 * used > all {
            return Ok(());
        }
        let kept = self.rolling.renumbered();
        let keys = self.keys.keys(&kept)?;
        self.keys.clear()?;
        if !kept.is_empty() {
            self.keys.assign(&keys, &mut self.assigned)?;
        }
        Ok(())
    }
}

/// The name under which the rows are saved that are looked back at.
const HELD: &str = "held";

/// With fewer keys than this, silent ones do no harm. Tests have few.
const FEW: usize = if cfg!(test) { 4 } else { 1024 };

/// Below this, what is held over the budget is no reason to stop.
const TOLERATED: usize = 16 << 20;

impl Stage for Rolled {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let batch = conform(batch, &self.schema)?;
        match &mut self.rows {
            Some(rows) => rows.push(batch)?,
            None => self.take(&batch, out)?,
        }
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        loop {
            while let Some(leaving) = &mut self.leaving {
                match leaving.next(self.context.batch_rows)? {
                    Some(batch) => out.send(0, batch),
                    None => self.leaving = None,
                }
                if out.full() {
                    return Ok(Flow::More);
                }
            }
            if self.drained {
                return Ok(Flow::Ready);
            }
            match self.next_rows()? {
                Some(batch) => self.step(batch, out)?,
                None => {
                    self.drained = true;
                    self.forget()?;
                    if self.timed || self.ending {
                        self.leaving = Some(self.waiting.finish()?);
                        self.waiting = Sorter::new(&self.context);
                    }
                }
            }
        }
    }

    fn on_watermark(&mut self, time: Instant, out: &mut dyn Output) -> Result<Flow> {
        let Some(rows) = &mut self.rows else {
            return Ok(Flow::Ready);
        };
        rows.let_go(time)?;
        self.until = time;
        self.drained = false;
        self.more(out)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        if let Some(rows) = &mut self.rows {
            rows.let_go(END)?;
        }
        self.drained = false;
        self.ending = true;
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        if let Some(rows) = &self.rows {
            rows.save(ROWS, into);
        }
        self.waiting.save(RESULTS, into);
        into.value(NUMBERED, self.numbered.into());
        for held in self.rolling.held()? {
            let keys = match self.work.types.is_empty() {
                true => Vec::new(),
                false => self.keys.keys(&held.keys)?,
            };
            let batch = keyed(keys, held.columns, held.keys.len())?
                .with_times(Some(Times::new(held.times)))
                .with_places(Places::Each(held.numbers.into()));
            into.rows(HELD, batch);
        }
        Ok(())
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let work = Arc::clone(&self.work);
        let owners = work.owners();
        let share = Share::Keyed(&owners);
        if let Some(rows) = &mut self.rows {
            rows.restore(ROWS, (from, share), Arc::clone(&self.schema))?;
        }
        // The order of results has all that tells them apart, so they may be anywhere.
        let results = (from, Share::Dealt);
        self.waiting
            .restore(RESULTS, results, Arc::clone(&work.output))?;
        // Numbers only say which of a key's rows came first: behind the largest, all are new.
        self.numbered = largest(from, NUMBERED)?.unwrap_or(0).unsigned_abs();
        from.rows(HELD, share, &mut |batch| {
            let (keys, columns) = batch.rows().columns().split_at(work.types.len());
            self.assign(keys, batch.len())?;
            let places = batch.places().numbers(batch.len());
            let numbers = places.map_or_else(Vec::new, |places| places.values().to_vec());
            self.rolling.hold(Held {
                keys: self.assigned.clone(),
                times: positions(&batch, true)?,
                numbers,
                columns: columns.to_vec(),
            });
            Ok(())
        })?;
        self.rolling.held_again()
    }

    fn bytes(&self) -> usize {
        let rows = self.rows.as_ref().map_or(0, InTime::bytes);
        self.rolling.bytes() + self.keys.bytes() + rows + self.waiting.bytes()
    }

    fn keys(&self) -> usize {
        self.keys.len()
    }
}
