//! Aggregations whose windows follow from the rows of each key. All rows go to the owners of their keys, who put them in the
//! order of their time (`in_time`), cut them into windows (`cut`) and summarise those.
//!
//! A window leaves when it is over and everything up to there has been looked at, so windows leave in the order in which they
//! are over, those of one instant in the order of their keys, however rows were cut into batches. Where rows have no event time,
//! they come in the order of the stream, and windows wait for its end to be put in order.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Int64Array, TimestampNanosecondArray, UInt32Array,
    UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow_core::order::Keys;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::sorter::{Sorted, Sorter};
use dataflow_core::time::{BEGINNING, END, Instant};
use dataflow_core::transform::{Emits, Route};
use dataflow_core::units::Bytes;
use dataflow_core::{
    Batch, Error, Flow, Output, Place, Places, Result, Stage, StageContext, StagePlan, Times,
};

use super::cut::{Cut, Kind, State, Windows};
use super::groups::Groups;
use super::passing::Passing;
use super::total::too_large;
use super::window::PROVISIONAL;
use super::work::Work;
use crate::calls::States;
use crate::columns::conform;
use crate::late::in_time;
use crate::saved::{keyed, largest};
use dataflow_core::in_time::InTime;

/// The two stages of such an aggregation.
pub(super) fn stages(work: &Arc<Work>, cut: &Cut) -> Vec<StagePlan> {
    let timed = cut.timed;
    let first = first(work, timed);
    let of = Arc::clone(work);
    let cut = cut.clone();
    let mut last = StagePlan::local("windows of rows", move |context| {
        Sequence::new(context, &of, &cut)
    });
    last.route = if work.keys.is_empty() {
        Route::Gather
    } else {
        Route::Keyed
    };
    last.ordered = !timed;
    last.emits = Emits::SortedAtEnd;
    last.stateful = true;
    last.copied = true;
    last.amplifies = true;
    last.timed = timed;
    vec![first, last]
}

/// The two stages of an aggregation over windows of time whose calls mind the order of rows.
pub(super) fn stages_by_time(work: &Arc<Work>) -> Vec<StagePlan> {
    let of = Arc::clone(work);
    let mut last = StagePlan::local("windows in order", move |context| {
        InWindows::new(context, &of)
    });
    last.route = Route::Keyed;
    last.emits = Emits::SortedAtEnd;
    last.stateful = true;
    last.copied = true;
    last.amplifies = true;
    last.timed = true;
    vec![first(work, true), last]
}

/// The first of the stages of whatever takes rows in order.
pub(super) fn first(work: &Arc<Work>, timed: bool) -> StagePlan {
    let of = Arc::clone(work);
    let mut first = StagePlan::local("keys and inputs", move |context| {
        Given::new(&context, &of, timed)
    });
    first.places = true;
    first.sides = timed;
    first.timed = timed;
    first
}

/// Evaluates keys and inputs; rows that are too late to be put in order leave.
struct Given {
    work: Arc<Work>,
    passing: Passing,
    timed: bool,
    sealed: Instant,
}

impl Given {
    fn new(context: &StageContext, work: &Arc<Work>, timed: bool) -> Result<Self> {
        let alone = context.workers == 1 || work.types.is_empty();
        Ok(Self {
            passing: Passing::new(work, alone)?,
            work: Arc::clone(work),
            timed,
            sealed: BEGINNING,
        })
    }
}

impl Stage for Given {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let batch = match self.timed && self.work.windowed.is_none() {
            true => in_time(batch, self.sealed, self.work.late(), out)?,
            false => batch,
        };
        let charge = batch.charge().cloned();
        let mut rows = self.work.read(&batch, self.sealed, out)?;
        let (order, times, places) = (rows.order.take(), rows.times.take(), rows.places.clone());
        let given = self
            .passing
            .batch(rows)?
            .with_order(order)
            .with_times(times);
        out.send(0, given.with_places(places).with_charge(charge));
        Ok(Flow::Ready)
    }

    fn on_watermark(&mut self, time: Instant, _: &mut dyn Output) -> Result<Flow> {
        self.sealed = time;
        Ok(Flow::Ready)
    }

    fn bytes(&self) -> usize {
        self.passing.bytes()
    }
}

/// The names under which a stage saves what it holds.
pub(super) const ROWS: &str = "rows";
pub(super) const RESULTS: &str = "results";
pub(super) const NUMBERED: &str = "numbered";
const LAST_FILE: &str = "file";
const KEYS: &str = "keys";
const WINDOWS: &str = "windows";

/// The windows of the keys that one worker owns.
struct Sequence {
    context: StageContext,
    work: Arc<Work>,
    cut: Cut,
    /// What a batch looks like: keys and inputs, none of them a dictionary.
    schema: SchemaRef,
    rows: Option<InTime>,
    keys: Groups,
    windows: Windows,
    states: States,
    values: Option<Keys>,
    order: Keys,
    /// Rows so far: their numbers are what places are to the accumulators.
    numbered: u64,
    until: Instant,
    ending: bool,
    leaving: Option<Leaving>,
    /// Open windows of which is told what they have so far.
    early: Option<Leaving>,
    /// Where rows have no time: what has left waits to be put in order.
    results: Option<Sorter>,
    sorted: Option<Sorted>,
    assigned: Vec<u32>,
    pairs: (Vec<u32>, Vec<u32>),
}

/// What a batch of keys and inputs looks like without dictionaries.
pub(super) fn plain_schema(work: &Work) -> SchemaRef {
    let keys = work.types.iter().cloned().zip(0..);
    let keys = keys.map(|(data_type, at)| Field::new(format!("key.{at}"), data_type, true));
    let inputs = work.inputs.iter().zip(0..);
    let inputs = inputs
        .map(|(input, at)| Field::new(format!("input.{at}"), input.data_type().clone(), true));
    Arc::new(Schema::new(keys.chain(inputs).collect::<Vec<_>>()))
}

/// Windows that leave, in order.
struct Leaving {
    windows: Vec<u32>,
    order: BinaryArray,
    at: usize,
}

impl Leaving {
    /// The next windows, so many at most, with their order keys.
    fn next(&mut self, limit: usize) -> Option<(Vec<u32>, BinaryArray)> {
        let until = (self.at + limit).min(self.windows.len());
        let some = self.windows[self.at..until].to_vec();
        let order = self.order.slice(self.at, some.len());
        self.at = until;
        (!some.is_empty()).then_some((some, order))
    }
}

impl Sequence {
    fn new(context: StageContext, work: &Arc<Work>, cut: &Cut) -> Result<Self> {
        let values = match &cut.kind {
            Kind::Change { of } => {
                let types: Vec<DataType> = of
                    .iter()
                    .map(|i| work.inputs[*i].data_type().clone())
                    .collect();
                Some(Keys::ascending(&types)?)
            }
            _ => None,
        };
        let mut order = vec![DataType::Boolean, DataType::Int64];
        order.extend(work.types.iter().cloned());
        order.push(DataType::UInt64);
        Ok(Self {
            schema: plain_schema(work),
            rows: cut.timed.then(|| InTime::new(&context)),
            keys: Groups::new(&work.types, context.memory)?,
            windows: Windows::new(&cut.kind),
            states: States::new(&work.calls),
            values,
            order: Keys::ascending(&order)?,
            numbered: 0,
            until: BEGINNING,
            ending: false,
            leaving: None,
            early: None,
            results: (!cut.timed).then(|| Sorter::new(&context)),
            sorted: None,
            assigned: Vec::new(),
            pairs: (Vec::new(), Vec::new()),
            cut: cut.clone(),
            work: Arc::clone(work),
            context,
        })
    }

    /// Takes rows in, which come in order.
    fn take(&mut self, batch: &Batch) -> Result<()> {
        let columns = batch.rows().columns();
        let (keys, inputs) = columns.split_at(self.work.types.len());
        self.assign(keys, batch.len())?;
        let at = positions(batch, self.cut.timed)?;
        let values = match (&self.values, &self.cut.kind) {
            (Some(keys), Kind::Change { of }) => {
                let of: Vec<ArrayRef> =
                    of.iter().map(|input| Arc::clone(&inputs[*input])).collect();
                Some(keys.encode(&of)?)
            }
            _ => None,
        };
        let (rows, windows) = &mut self.pairs;
        let times = batch
            .times()
            .filter(|_| self.cut.spans)
            .map(|times| &times.at()[..]);
        self.windows
            .take(&self.assigned, &at, times, values.as_ref(), rows, windows);
        self.states.resize(self.windows.list.len());
        let first = Place::new(0, self.numbered)?;
        self.numbered += batch.len() as u64;
        let places = Places::From(first);
        let whole = rows.len() == batch.len();
        if whole {
            self.states
                .update(Some(windows), batch.len(), inputs, &places)?;
        } else {
            let some = UInt32Array::from(rows.clone());
            let inputs = arrow_select::take::take_arrays(inputs, &some, None)?;
            let places = places.take(rows.iter().map(|row| *row as usize));
            self.states
                .update(Some(windows), some.len(), &inputs, &places)?;
        }
        if let Some(now) = at.last() {
            self.windows.tick(*now);
            if self.cut.timed {
                // More rows of this very instant may follow.
                self.leave(Some(*now))?;
            } else {
                self.leave(None)?;
            }
        }
        self.too_large()
    }

    fn too_large(&self) -> Result<()> {
        let held = self.state_bytes();
        if held <= TOLERATED.max(2 * self.context.memory) {
            return Ok(());
        }
        let message = format!(
            "{} windows are open and take {}, of a budget of {} for this stage; such windows cannot be spilled",
            self.windows.len(),
            Bytes(held as u64).for_people(),
            Bytes(self.context.memory as u64).for_people()
        );
        Err(Error::resource(message)
            .component(self.context.id.to_string())
            .help("raise `memory` in [engine], or use fewer keys or shorter windows"))
    }

    fn state_bytes(&self) -> usize {
        self.keys.bytes() + self.windows.bytes() + self.states.bytes()
    }

    /// Puts the windows in order that were over before an instant; all that are over, without one.
    fn leave(&mut self, before: Option<Instant>) -> Result<()> {
        let windows = self.windows.leave(before);
        if windows.is_empty() {
            return Ok(());
        }
        self.leaving = Some(self.in_order(&windows)?);
        Ok(())
    }

    /// Windows in the order in which they are over, and then of their keys; those that are open go by their last row.
    fn in_order(&self, windows: &[u32]) -> Result<Leaving> {
        let list = &self.windows.list;
        let of = |window: &u32| &list[*window as usize];
        let over = |window: &u32| match of(window).state {
            State::Over(at, _) => at,
            _ => of(window).last,
        };
        // Where rows have no time, results are put in order when all are there.
        let stayed = windows.iter().map(|w| Some(self.cut.timed && of(w).stayed));
        let stayed: BooleanArray = stayed.collect();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(stayed),
            Arc::new(Int64Array::from_iter_values(windows.iter().map(over))),
        ];
        let keys: Vec<u32> = windows.iter().map(|window| of(window).key).collect();
        columns.extend(columns_of_keys(&self.work.types, &self.keys, &keys)?);
        columns.push(Arc::new(UInt64Array::from_iter_values(
            windows.iter().map(|w| of(w).number),
        )));
        let encoded = self.order.encode(&columns)?;
        let order = dataflow_core::external::sort_by_bytes(0..windows.len() as u32, |at| {
            encoded.value(at as usize)
        });
        Ok(Leaving {
            order: BinaryArray::from_iter_values(
                order.iter().map(|at| encoded.value(*at as usize)),
            ),
            windows: order.iter().map(|at| windows[*at as usize]).collect(),
            at: 0,
        })
    }

    /// The next rows of the windows that leave.
    fn next(&mut self, out: &mut dyn Output) -> Result<Option<Batch>> {
        let Some(leaving) = &mut self.leaving else {
            return Ok(None);
        };
        let Some((some, order)) = leaving.next(self.context.batch_rows) else {
            self.leaving = None;
            return self.forget().map(|()| None);
        };
        let columns = self.columns_of(&some)?;
        let list = &self.windows.list;
        let each = some.iter().map(|window| &list[*window as usize]);
        let times = self.cut.timed.then(|| {
            let happened = each.map(|window| match (&self.cut.kind, window.state) {
                (Kind::Session { .. }, State::Over(at, _)) => at - 1,
                _ => window.last,
            });
            Times::new(happened.collect::<Vec<_>>())
        });
        self.states.tell(&some, out);
        let values = self.states.values(&some)?;
        some.iter()
            .for_each(|window| self.windows.has_left(*window));
        self.work
            .finish_with(columns, &values, order, times, out)
            .map(Some)
    }

    /// The next rows of what is told early.
    fn next_early(&mut self) -> Result<Option<Batch>> {
        let next = self.early.as_mut();
        let Some((some, order)) = next.and_then(|early| early.next(self.context.batch_rows)) else {
            self.early = None;
            return Ok(None);
        };
        let columns = self.columns_of(&some)?;
        let values = self.states.values(&some)?;
        self.work.finish_early(columns, &values, order).map(Some)
    }

    /// What comes before the computed columns of windows.
    fn columns_of(&self, some: &[u32]) -> Result<Vec<ArrayRef>> {
        let list = &self.windows.list;
        let each = || some.iter().map(|window| &list[*window as usize]);
        let mut columns: Vec<ArrayRef> = Vec::new();
        if self.cut.spans {
            let column = |instants: Vec<Instant>| -> ArrayRef {
                Arc::new(TimestampNanosecondArray::from(instants).with_timezone("UTC"))
            };
            columns.push(column(each().map(|window| window.first).collect()));
            columns.push(column(each().map(|window| window.last).collect()));
        }
        if self.cut.counts() {
            let complete = each().map(|window| Some(matches!(window.state, State::Over(_, true))));
            columns.push(Arc::new(complete.collect::<BooleanArray>()));
        }
        let keys: Vec<u32> = each().map(|window| window.key).collect();
        columns.extend(columns_of_keys(&self.work.types, &self.keys, &keys)?);
        Ok(columns)
    }

    /// Finds the numbers of the keys of rows that were saved. Returns the columns behind the keys.
    fn assign_saved(&mut self, batch: &Batch) -> Result<Vec<ArrayRef>> {
        let (keys, rest) = batch.rows().columns().split_at(self.work.types.len());
        self.assign(keys, batch.len())?;
        Ok(rest.to_vec())
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

    /// Forgets what has left, when it is most of what is held.
    fn forget(&mut self) -> Result<()> {
        if let Some(kept) = self.windows.renumbered() {
            let states = self.states.state(&kept)?;
            let numbers: Vec<u32> = (0..kept.len() as u32).collect();
            self.states.clear();
            self.states.resize(kept.len());
            self.states.merge(&numbers, &states)?;
        }
        if self.work.types.is_empty() {
            return Ok(());
        }
        if let Some(kept) = self.windows.renumbered_keys() {
            let keys = self.keys.keys(&kept)?;
            self.keys.clear()?;
            if !kept.is_empty() {
                self.keys.assign(&keys, &mut self.assigned)?;
            }
        }
        Ok(())
    }
}

/// Keys with these numbers, a column each.
fn columns_of_keys(types: &[DataType], table: &Groups, keys: &[u32]) -> Result<Vec<ArrayRef>> {
    match types.is_empty() {
        true => Ok(Vec::new()),
        false => table.keys(keys),
    }
}

/// What the order of rows goes by: when they happened or, where they have no time, where they stand.
pub(super) fn positions(batch: &Batch, timed: bool) -> Result<Vec<Instant>> {
    match (timed, batch.times()) {
        (true, Some(times)) => Ok(times.at().to_vec()),
        (false, _) => {
            let place = |row| batch.places().get(row).map(|place| place.0 as Instant);
            let places: Option<Vec<Instant>> = (0..batch.len()).map(place).collect();
            places.ok_or_else(|| Error::internal("rows came without places to be taken in order"))
        }
        _ => Err(Error::internal(
            "rows came without event time to be taken in order",
        )),
    }
}

/// Below this, windows over the budget are no reason to stop.
const TOLERATED: usize = 16 << 20;

impl Stage for Sequence {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let batch = conform(batch, &self.schema)?;
        match &mut self.rows {
            Some(rows) => {
                rows.push(batch)?;
                Ok(Flow::Ready)
            }
            None => {
                self.take(&batch)?;
                self.more(out)
            }
        }
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        while let Some(batch) = self.next_early()? {
            out.send(PROVISIONAL, batch);
            if out.full() {
                return Ok(Flow::More);
            }
        }
        loop {
            while let Some(batch) = self.next(out)? {
                match &mut self.results {
                    Some(results) => {
                        results.push(batch)?;
                        if results.bytes() > self.context.memory {
                            results.spill()?;
                        }
                    }
                    None => {
                        out.send(0, batch);
                        if out.full() {
                            return Ok(Flow::More);
                        }
                    }
                }
            }
            let next = match &mut self.rows {
                Some(rows) => rows.next()?,
                None => None,
            };
            if let Some(batch) = next {
                self.take(&batch)?;
                continue;
            }
            if self.until != BEGINNING {
                let until = std::mem::replace(&mut self.until, BEGINNING);
                match until {
                    END => self.windows.end_all(),
                    _ => self.windows.tick(until),
                }
                self.leave(None)?;
                continue;
            }
            break;
        }
        if !self.ending {
            return Ok(Flow::Ready);
        }
        if let Some(mut results) = self.results.take() {
            self.sorted = Some(results.finish()?);
        }
        while let Some(sorted) = &mut self.sorted {
            match sorted.next(self.context.batch_rows)? {
                Some(batch) => out.send(0, batch),
                None => self.sorted = None,
            }
            if out.full() {
                return Ok(Flow::More);
            }
        }
        Ok(Flow::Ready)
    }

    fn on_watermark(&mut self, time: Instant, out: &mut dyn Output) -> Result<Flow> {
        let Some(rows) = &mut self.rows else {
            return Ok(Flow::Ready);
        };
        rows.let_go(time)?;
        self.until = time;
        self.more(out)
    }

    fn on_pulse(&mut self, out: &mut dyn Output) -> Result<Flow> {
        if !out.wants(PROVISIONAL) {
            return Ok(Flow::Ready);
        }
        let open = self.windows.open();
        self.early = Some(self.in_order(&open)?);
        self.more(out)
    }

    fn progress(&self, watermark: Instant) -> Instant {
        self.windows.progress(watermark)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        if let Some(rows) = &mut self.rows {
            rows.let_go(END)?;
        }
        self.until = END;
        self.ending = true;
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        if let Some(rows) = &self.rows {
            rows.save(ROWS, into);
        }
        if let Some(results) = &self.results {
            results.save(RESULTS, into);
        }
        into.value(NUMBERED, self.numbered.into());
        into.value(LAST_FILE, self.windows.last_file().into());
        let (types, table, states) = (&self.work.types, &self.keys, &self.states);
        let known = |keys: &[u32], columns| {
            keyed(columns_of_keys(types, table, keys)?, columns, keys.len())
        };
        let write_window = |keys: &[u32], some: &[u32], mut columns: Vec<ArrayRef>| {
            columns.extend(states.state(some)?);
            known(keys, columns)
        };
        self.windows
            .save((KEYS, WINDOWS), known, write_window, into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let work = Arc::clone(&self.work);
        let owners = work.owners();
        let share = Share::Keyed(&owners);
        if let Some(rows) = &mut self.rows {
            rows.restore(ROWS, (from, share), Arc::clone(&self.schema))?;
        }
        if let Some(results) = &mut self.results {
            // Their order has all that tells them apart, so they may be anywhere.
            let schema = Arc::clone(&work.output);
            results.restore(RESULTS, (from, Share::Dealt), schema)?;
        }
        // Numbers only say which of a window's rows came first, and all have come up to the file that was met last.
        self.numbered = largest(from, NUMBERED)?.unwrap_or(0).unsigned_abs();
        let file = largest(from, LAST_FILE)?.unwrap_or(0);
        self.windows.go_on_in(file.unsigned_abs() as u32);
        from.rows(KEYS, share, &mut |batch| {
            let columns = self.assign_saved(&batch)?;
            self.windows.restore_keys(&self.assigned, &columns);
            Ok(())
        })?;
        from.rows(WINDOWS, share, &mut |batch| {
            let columns = self.assign_saved(&batch)?;
            let (known, states) = columns.split_at(Windows::COLUMNS);
            let windows = self.windows.restore(&self.assigned, known);
            self.states.resize(self.windows.list.len());
            self.states.merge(&windows, states)
        })
    }

    fn bytes(&self) -> usize {
        let rows = self.rows.as_ref().map_or(0, InTime::bytes);
        let results = self.results.as_ref().map_or(0, Sorter::bytes);
        self.state_bytes() + rows + results
    }

    fn keys(&self) -> usize {
        self.keys.len()
    }
}

/// The windows of time of the keys that one worker owns, filled in order: rows wait until their window has ended, and are then
/// taken in the order of their time, window after window.
struct InWindows {
    context: StageContext,
    work: Arc<Work>,
    schema: SchemaRef,
    rows: InTime,
    groups: Groups,
    states: States,
    assigned: Vec<u32>,
    /// The end of the window that is being filled.
    end: Instant,
    /// Rows of windows behind it.
    pending: Option<Batch>,
    numbered: u64,
    /// Whether all rows that may go have gone.
    drained: bool,
    leaving: Option<Leaving>,
}

impl InWindows {
    fn new(context: StageContext, work: &Arc<Work>) -> Result<Self> {
        Ok(Self {
            schema: plain_schema(work),
            rows: InTime::new(&context),
            groups: Groups::new(&work.types, context.memory)?,
            states: States::new(&work.calls),
            assigned: Vec::new(),
            end: BEGINNING,
            pending: None,
            numbered: 0,
            drained: true,
            leaving: None,
            work: Arc::clone(work),
            context,
        })
    }

    /// Takes in the rows of the window that is being filled; those behind them wait until it has left.
    fn take(&mut self, batch: &Batch) -> Result<()> {
        let ends = batch
            .rows()
            .column(0)
            .as_primitive::<Int64Type>()
            .values()
            .clone();
        if self.groups.len() > 0 && ends[0] != self.end {
            self.pending = Some(batch.clone());
            return self.leave();
        }
        self.end = ends[0];
        let here = ends.partition_point(|end| *end <= self.end);
        if here < batch.len() {
            self.pending = Some(batch.slice(here, batch.len() - here));
        }
        let batch = batch.slice(0, here);
        let (keys, inputs) = batch.rows().columns().split_at(self.work.types.len());
        self.groups.assign(keys, &mut self.assigned)?;
        self.states.resize(self.groups.len());
        let places = Places::From(Place::new(0, self.numbered)?);
        self.numbered += here as u64;
        self.states
            .update(Some(&self.assigned), here, inputs, &places)?;
        too_large(self.states.bytes(), &self.context)
    }

    fn leave(&mut self) -> Result<()> {
        let all: Vec<u32> = (0..self.groups.len() as u32).collect();
        let (windows, order) = self.groups.some_in_order(&self.work.order, &all)?;
        self.leaving = Some(Leaving {
            windows,
            order,
            at: 0,
        });
        Ok(())
    }

    fn next(&mut self, out: &mut dyn Output) -> Result<Option<Batch>> {
        let Some(leaving) = &mut self.leaving else {
            return Ok(None);
        };
        let Some((some, order)) = leaving.next(self.context.batch_rows) else {
            self.leaving = None;
            self.states.clear();
            self.groups.clear()?;
            return Ok(None);
        };
        self.states.tell(&some, out);
        let values = self.states.values(&some)?;
        let keys = self.groups.keys(&some)?;
        self.work.finish(keys, &values, order, out).map(Some)
    }
}

impl Stage for InWindows {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        let batch = conform(batch, &self.schema)?;
        let ends = batch
            .rows()
            .column(0)
            .as_primitive::<Int64Type>()
            .values()
            .clone();
        self.rows.push_until(batch, |row| ends[row])?;
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        loop {
            while let Some(batch) = self.next(out)? {
                out.send(0, batch);
                if out.full() {
                    return Ok(Flow::More);
                }
            }
            if let Some(batch) = self.pending.take() {
                self.take(&batch)?;
                continue;
            }
            if self.drained {
                return Ok(Flow::Ready);
            }
            match self.rows.next()? {
                Some(batch) => self.take(&batch)?,
                None => {
                    self.drained = true;
                    self.leave()?;
                }
            }
        }
    }

    fn on_watermark(&mut self, time: Instant, out: &mut dyn Output) -> Result<Flow> {
        self.rows.let_go(time)?;
        self.drained = false;
        self.more(out)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.rows.let_go(END)?;
        self.drained = false;
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        // A window is filled and leaves in one go, so there is nothing but rows.
        self.rows.save(ROWS, into);
        Ok(())
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let work = Arc::clone(&self.work);
        let owners = work.owners();
        let rows = (from, Share::Keyed(&owners));
        self.rows.restore(ROWS, rows, Arc::clone(&self.schema))
    }

    fn bytes(&self) -> usize {
        self.rows.bytes() + self.groups.bytes() + self.states.bytes()
    }

    fn keys(&self) -> usize {
        self.groups.len()
    }
}
