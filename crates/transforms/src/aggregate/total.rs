//! The last stage: the owner of a key merges its states and finishes in order. When memory is full, states are spilled as
//! sorted runs; where rows seldom share a group, those that still come are set aside instead (`parts`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch};
use dataflow_core::runs::{MergedRuns, Run};
use dataflow_core::saved::{Changes, Restored, Save, Share};
use dataflow_core::units::Bytes;
use dataflow_core::{Batch, Error, Flow, Output, Result, Stage, StageContext};

use super::groups::{Groups, InOrder};
use super::in_order;
use super::nearby::Nearby;
use super::partial::batch_bytes;
use super::parts::{Files, Parts};
use super::passing::is_rows;
use super::work::{GROUPS, TAKEN_IN, Work, runs_of_equal};
use crate::calls::States;
use crate::saved::dealt_sum;
use dataflow_core::external::{Runs, piece_bytes, piece_rows};

/// Below this, a state over the budget is no reason to stop.
const TOLERATED: usize = 16 << 20;

/// The error for states that cannot be divided further and are far over the budget.
pub(crate) fn too_large(states: usize, context: &StageContext) -> Result<()> {
    if states <= TOLERATED.max(4 * context.memory) {
        return Ok(());
    }
    let message = format!(
        "the states of very few groups take {}, of a budget of {} for this stage, and one group cannot be spilled in parts",
        Bytes(states as u64).for_people(),
        Bytes(context.memory as u64).for_people()
    );
    let help = "raise `memory` in [engine], or use an accumulator whose state is bounded: a quantile instead of \
        an exact mode or list";
    Err(Error::resource(message)
        .component(context.id.to_string())
        .help(help))
}

/// The names under which spilled groups are saved, and whether rows are set aside.
const RUNS: &str = "runs";
const SET_ASIDE: &str = "set_aside";

/// Final groups of the keys that one worker owns.
pub(crate) struct Total {
    context: StageContext,
    work: Arc<Work>,
    groups: Groups,
    states: States,
    assigned: Vec<u32>,
    /// The groups that have changed since they were saved.
    changes: Changes,
    nearby: Nearby,
    /// What the first stage on this worker holds.
    held: Arc<AtomicUsize>,
    /// Rows taken in since there were no groups.
    rows: u64,
    runs: Runs,
    /// Rows that come are set aside.
    aside: bool,
    parts: Option<Parts>,
    ending: Ending,
}

enum Ending {
    /// Rows may still come.
    NotYet,
    /// Rows that were set aside come back, part after part; the one that is being read comes first.
    Parts(Option<Files>, VecDeque<Files>),
    /// All groups are in memory; `at` is the next to leave.
    Held { order: InOrder, at: usize },
    /// They come from disk.
    Spilled(Box<Combine>, Box<MergedRuns>),
    /// All have left.
    Over,
}

impl Total {
    /// Without groups.
    pub(crate) fn new(context: StageContext, work: &Arc<Work>) -> Result<Self> {
        Ok(Self {
            groups: Groups::new(&work.types, context.memory)?,
            states: States::new(&work.calls),
            assigned: Vec::new(),
            changes: Changes::default(),
            nearby: Nearby::new(context.memory),
            runs: Runs::new(&context, Arc::clone(&work.states)),
            held: work.held.by(context.worker),
            rows: 0,
            aside: false,
            parts: None,
            work: Arc::clone(work),
            context,
            ending: Ending::NotYet,
        })
    }

    /// Its own share of the memory, and what the first stage on this worker does not use of the other.
    fn budget(&self) -> usize {
        let lent = self
            .context
            .memory
            .saturating_sub(self.held.load(Ordering::Relaxed));
        self.context.memory.saturating_add(lent)
    }

    fn spill(&mut self) -> Result<()> {
        if self.groups.len() == 0 {
            return Ok(());
        }
        in_order::may_spill(&self.work.calls, &self.context)?;
        self.nearby.settle(&mut self.states)?;
        let order = self.groups.sorted(&self.work.order)?;
        let target = piece_bytes(self.context.memory);
        let bytes = self.states.bytes() + order.bytes();
        let limit = piece_rows(target, self.groups.len(), bytes, self.context.batch_rows);
        let mut pieces = order.order.chunks(limit);
        let (work, groups, states) = (&self.work, &self.groups, &self.states);
        self.runs.write(|| {
            let Some(piece) = pieces.next() else {
                return Ok(None);
            };
            let batch = work.written(groups, states, piece)?;
            Ok(Some(batch.with_order(Some(order_of(&order, piece)))))
        })?;
        drop(order);
        self.rows = 0;
        self.changes.all();
        self.states.clear();
        self.groups.clear()
    }

    /// Takes in rows, or states.
    fn take_in(&mut self, batch: &Batch) -> Result<()> {
        let columns = batch.rows().columns();
        let (keys, rest) = columns.split_at(self.work.types.len());
        self.groups.assign(keys, &mut self.assigned)?;
        self.states.resize(self.groups.len());
        self.changes.mark(&self.assigned);
        if is_rows(batch.rows(), keys.len()) {
            self.rows += batch.len() as u64;
            self.nearby
                .add(&mut self.states, &self.assigned, rest, batch.places())?;
        } else {
            self.states.merge(&self.assigned, rest)?;
        }
        let bytes = self.bytes();
        if bytes + self.groups.sorting_bytes() > self.budget() {
            self.aside |= !self.work.reducing_pays(self.rows, bytes);
            self.spill()?;
        }
        Ok(())
    }

    fn set_aside(&mut self, batch: &Batch) -> Result<()> {
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => {
                let made = Parts::new(&self.context, &self.work.types, batch.rows())?;
                self.parts.insert(made)
            }
        };
        parts.add(batch)
    }

    /// Takes in the next batch of what was set aside. Behind the last one of a part, its groups are complete but for what
    /// other runs have of them.
    fn next_of_parts(&mut self) -> Result<()> {
        let Ending::Parts(reading, waiting) = &mut self.ending else {
            return Ok(());
        };
        if let Some(run) = reading {
            match run.next()? {
                Some(batch) => return self.take_in(&batch),
                None => *reading = None,
            }
            return self.spill();
        }
        if let Some(part) = waiting.pop_front() {
            // Its files go when they have been read.
            *reading = Some(part);
            return Ok(());
        }
        self.merge_runs()
    }

    fn merge_runs(&mut self) -> Result<()> {
        let runs = self.runs.merged(self.context.batch_rows)?;
        let combine = Combine::new(&self.work, &self.context);
        self.ending = Ending::Spilled(Box::new(combine), Box::new(runs));
        Ok(())
    }

    /// The next finished rows; none when all have left.
    fn finished(&mut self, out: &mut dyn Output) -> Result<Option<Batch>> {
        match &mut self.ending {
            Ending::NotYet | Ending::Parts(..) | Ending::Over => Ok(None),
            Ending::Held { order, at } => {
                let bytes = self.states.bytes() + order.bytes();
                let target = batch_bytes(self.context.memory);
                let limit = piece_rows(target, order.order.len(), bytes, self.context.batch_rows);
                let end = (*at + limit).min(order.order.len());
                let some = &order.order[*at..end];
                *at = end;
                if some.is_empty() {
                    return Ok(None);
                }
                self.states.tell(some, out);
                let values = self.states.values(some)?;
                let keys = self.groups.keys(some)?;
                self.work
                    .finish(keys, &values, order_of(order, some), out)
                    .map(Some)
            }
            Ending::Spilled(combine, runs) => {
                let Some(combined) = combine.next(&mut || runs.next())? else {
                    return Ok(None);
                };
                let states = combine.states();
                states.tell(&combined.groups, out);
                let values = states.values(&combined.groups)?;
                let (keys, order) = (combined.keys, combined.order);
                self.work.finish(keys, &values, order, out).map(Some)
            }
        }
    }
}

fn order_of(order: &InOrder, groups: &[u32]) -> BinaryArray {
    BinaryArray::from_iter_values(groups.iter().map(|group| order.key(*group)))
}

impl Stage for Total {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        if self.aside && is_rows(batch.rows(), self.work.types.len()) {
            self.set_aside(&batch)?;
        } else {
            self.take_in(&batch)?;
        }
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        if matches!(self.ending, Ending::Parts(..)) {
            self.next_of_parts()?;
            return Ok(Flow::More);
        }
        while let Some(batch) = self.finished(out)? {
            out.send(0, batch);
            if out.full() {
                return Ok(Flow::More);
            }
        }
        self.ending = Ending::Over;
        self.states.clear();
        self.groups.clear()?;
        Ok(Flow::Ready)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.nearby.settle(&mut self.states)?;
        // Another run may have left rows aside, and none of the runs that came before them.
        if self.runs.is_empty() && self.parts.is_none() {
            let order = self.groups.sorted(&self.work.order)?;
            self.ending = Ending::Held { order, at: 0 };
            return self.more(out);
        }
        self.spill()?;
        match self.parts.take() {
            Some(parts) => self.ending = Ending::Parts(None, parts.finish()?),
            None => self.merge_runs()?,
        }
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.nearby.settle(&mut self.states)?;
        let held = (&self.groups, &self.states);
        self.work
            .save_changes(held, &mut self.changes, |_| true, into)?;
        self.runs.save(RUNS, into);
        into.value(TAKEN_IN, self.rows.into());
        into.value(SET_ASIDE, self.aside.into());
        match &mut self.parts {
            Some(parts) => parts.save(into),
            None => Ok(()),
        }
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let work = Arc::clone(&self.work);
        let owners = work.owners();
        let share = Share::Keyed(&owners);
        // The sum over all workers stays what it was, however often they change.
        self.rows = dealt_sum(from, TAKEN_IN)?;
        // What was spilled comes first: of a group it is the older part.
        self.runs.restore(RUNS, from, share)?;
        from.rows(GROUPS, share, &mut |batch| self.take_in(&batch))?;
        self.parts = Parts::restored(&self.context, &self.work.types, from, share)?;
        // Rows of a key stay behind those that were set aside, wherever these were.
        self.aside |= from.values(SET_ASIDE)?.contains(&true.into());
        Ok(())
    }

    fn bytes(&self) -> usize {
        let ending = match &self.ending {
            Ending::Held { order, .. } => order.bytes(),
            Ending::Spilled(combine, _) => combine.states.bytes(),
            Ending::NotYet | Ending::Parts(..) | Ending::Over => 0,
        };
        let parts = self.parts.as_ref().map_or(0, Parts::bytes);
        self.groups.bytes() + self.states.bytes() + self.nearby.bytes() + parts + ending
    }

    fn keys(&self) -> usize {
        self.groups.len()
    }
}

/// Merges the states of equal keys that come from several runs.
pub(super) struct Combine {
    context: StageContext,
    work: Arc<Work>,
    states: States,
    /// The last key so far, as a row: more of it may come.
    held: Option<(RecordBatch, BinaryArray)>,
    ended: bool,
}

/// Groups whose states are complete.
pub(super) struct Combined {
    /// Their keys, a column each.
    pub(super) keys: Vec<ArrayRef>,
    pub(super) order: BinaryArray,
    /// Their numbers among the states.
    pub(super) groups: Vec<u32>,
}

impl Combine {
    pub(super) fn new(work: &Arc<Work>, context: &StageContext) -> Self {
        Self {
            context: context.clone(),
            work: Arc::clone(work),
            states: States::new(&work.calls),
            held: None,
            ended: false,
        }
    }

    /// The states that belong to what was returned last.
    pub(super) fn states(&self) -> &States {
        &self.states
    }

    /// The next groups, given the merged runs; none at their end.
    pub(super) fn next(
        &mut self,
        runs: &mut dyn FnMut() -> Result<Option<Batch>>,
    ) -> Result<Option<Combined>> {
        while !self.ended {
            let batch = runs()?;
            self.ended = batch.is_none();
            let (keys, order) = self.merge(batch)?;
            // While more may come, the last group waits.
            let groups = order.len() - usize::from(!self.ended);
            let finished: Vec<u32> = (0..groups as u32).collect();
            if !self.ended {
                self.hold(&keys, &order, groups)?;
            }
            if finished.is_empty() {
                continue;
            }
            return Ok(Some(Combined {
                keys: keys.iter().map(|key| key.slice(0, groups)).collect(),
                order: order.slice(0, groups),
                groups: finished,
            }));
        }
        Ok(None)
    }

    /// Merges what was held and what came; says the keys and the order of its groups.
    fn merge(&mut self, batch: Option<Batch>) -> Result<(Vec<ArrayRef>, BinaryArray)> {
        let held = self.held.take();
        let mut parts: Vec<(RecordBatch, BinaryArray, Vec<u32>)> = Vec::new();
        let before = held.as_ref().map(|(_, order)| order.value(0).to_vec());
        if let Some((row, order)) = held {
            parts.push((row, order, vec![0]));
        }
        let mut firsts = None;
        if let Some(batch) = batch {
            let order = batch.order().cloned();
            let order = order.ok_or_else(|| Error::internal("a run came without order keys"))?;
            let (first, groups) = runs_of_equal(&order, before.as_deref());
            firsts = Some(first);
            parts.push((batch.rows().clone(), order, groups));
        }
        let groups = parts
            .last()
            .and_then(|(.., groups)| groups.last())
            .map_or(0, |last| *last as usize + 1);
        self.states.clear();
        self.states.resize(groups);
        let types = self.work.types.len();
        let mut keys: Vec<Vec<ArrayRef>> = Vec::new();
        let mut orders: Vec<ArrayRef> = Vec::new();
        for (at, (rows, order, groups)) in parts.iter().enumerate() {
            self.states.merge(groups, &rows.columns()[types..])?;
            let is_batch = at + 1 == parts.len();
            match firsts.as_ref().filter(|_| is_batch) {
                Some(firsts) => {
                    keys.push(arrow_select::take::take_arrays(
                        &rows.columns()[..types],
                        firsts,
                        None,
                    )?);
                    orders.push(arrow_select::take::take(order, firsts, None)?);
                }
                None => {
                    keys.push(rows.columns()[..types].to_vec());
                    orders.push(Arc::new(order.clone()));
                }
            }
        }
        too_large(self.states.bytes(), &self.context)?;
        joined(types, &keys, &orders)
    }

    fn hold(&mut self, keys: &[ArrayRef], order: &BinaryArray, group: usize) -> Result<()> {
        let mut columns: Vec<ArrayRef> = keys.iter().map(|key| key.slice(group, 1)).collect();
        columns.extend(self.states.state(&[group as u32])?);
        let row = RecordBatch::try_new(Arc::clone(&self.work.states), columns)?;
        self.held = Some((row, order.slice(group, 1)));
        Ok(())
    }
}

/// The parts' keys and orders, one behind the other.
fn joined(
    types: usize,
    keys: &[Vec<ArrayRef>],
    orders: &[ArrayRef],
) -> Result<(Vec<ArrayRef>, BinaryArray)> {
    if orders.is_empty() {
        return Ok((Vec::new(), BinaryArray::from_vec(Vec::new())));
    }
    let together = |parts: Vec<&dyn Array>| arrow_select::concat::concat(&parts);
    let keys = (0..types).map(|at| together(keys.iter().map(|part| part[at].as_ref()).collect()));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let order = together(orders.iter().map(|order| order.as_ref()).collect())?;
    Ok((keys, BinaryArray::from(order.to_data())))
}
