//! The last stage of an aggregation over windows of time: groups leave when their windows have ended, in the order of (end, key).
//!
//! Groups that leave are told by their first key. The table is made anew when most of its groups have left, so a group is
//! copied once at most, however long the stream is. What does not fit into memory is spilled as runs sorted by (end, key), of
//! which each watermark takes what has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BinaryArray, Int64Array};
use arrow_schema::DataType;
use dataflow_core::external::{OpenRuns, piece_bytes, piece_rows};
use dataflow_core::order::Keys;
use dataflow_core::saved::{Changes, Restored, Save, Share};
use dataflow_core::time::{BEGINNING, END, Instant};
use dataflow_core::{Batch, Flow, Output, Result, Stage, StageContext};

use super::groups::Groups;
use super::partial::batch_bytes;
use super::passing::is_rows;
use super::sliding::Sliding;
use super::total::Combine;
use super::window::PROVISIONAL;
use super::work::{GROUPS, Work};
use crate::calls::States;

/// The name under which spilled groups are saved.
const RUNS: &str = "runs";

/// What a group's time is set to when it has left.
const LEFT: Instant = BEGINNING;

/// Groups of the keys that one worker owns, by window.
pub(super) struct Closing {
    context: StageContext,
    work: Arc<Work>,
    groups: Groups,
    states: States,
    assigned: Vec<u32>,
    /// The groups that have changed, or left, since they were saved.
    changes: Changes,
    /// When each group leaves, and how many have left.
    leaves: Vec<Instant>,
    left: usize,
    /// What the first stage on this worker holds.
    held: Arc<AtomicUsize>,
    runs: OpenRuns,
    /// Sorts by the end alone: what is less than the next end has ended.
    ends: Keys,
    sliding: Option<Sliding>,
    leaving: Option<Leaving>,
    early: Option<Early>,
}

/// Groups of which is told what they have so far.
struct Early {
    groups: Vec<u32>,
    order: BinaryArray,
    at: usize,
}

/// Groups that leave.
struct Leaving {
    until: Instant,
    /// Those in memory, in order, and the next one.
    groups: Vec<u32>,
    order: BinaryArray,
    at: usize,
    /// Those on disk.
    combine: Option<Box<Combine>>,
    /// Whether all groups have been handed to the windows that overlap.
    gathered: bool,
    /// Up to where those have all their panes.
    complete: Instant,
}

/// Up to where windows are complete when panes with these keys were taken, which come in the order of their first windows: those
/// that end before the first window of the last pane are.
fn complete_to(keys: &[ArrayRef]) -> Instant {
    let firsts = keys[0].as_primitive::<Int64Type>().values();
    let last = firsts.last().copied().unwrap_or(BEGINNING);
    last.saturating_sub(1)
}

impl Closing {
    /// Without groups.
    pub(super) fn new(context: StageContext, work: &Arc<Work>) -> Result<Self> {
        let overlaps = work
            .windowed
            .as_ref()
            .filter(|windowed| windowed.has_panes());
        let sliding = overlaps.map(|windowed| Sliding::new(&context, work, &windowed.grid));
        Ok(Self {
            groups: Groups::new(&work.types, context.memory)?,
            states: States::new(&work.calls),
            assigned: Vec::new(),
            changes: Changes::default(),
            leaves: Vec::new(),
            left: 0,
            held: work.held.by(context.worker),
            runs: OpenRuns::new(&context, Arc::clone(&work.states)),
            ends: Keys::ascending(&[DataType::Int64])?,
            sliding: sliding.transpose()?,
            leaving: None,
            early: None,
            work: Arc::clone(work),
            context,
        })
    }

    /// Its own share of the memory, and what the first stage on this worker does not use of the other.
    fn budget(&self) -> usize {
        let held = self.held.load(Ordering::Relaxed);
        let lent = self.context.memory.saturating_sub(held);
        self.context.memory.saturating_add(lent)
    }

    fn live(&self, until: Instant) -> (Vec<u32>, Vec<u32>) {
        let live = (0..self.leaves.len() as u32).filter(|g| self.leaves[*g as usize] != LEFT);
        live.partition(|group| self.leaves[*group as usize] <= until)
    }

    fn clear(&mut self) -> Result<()> {
        self.states.clear();
        self.changes.all();
        self.leaves.clear();
        self.left = 0;
        self.groups.clear()
    }

    /// Takes in rows, or states.
    fn take_in(&mut self, batch: &Batch) -> Result<()> {
        let columns = batch.rows().columns();
        let (keys, rest) = columns.split_at(self.work.types.len());
        self.groups.assign(keys, &mut self.assigned)?;
        self.states.resize(self.groups.len());
        self.leaves.resize(self.groups.len(), LEFT);
        let ends = keys[0].as_primitive::<Int64Type>().values();
        for (group, end) in self.assigned.iter().zip(ends) {
            self.leaves[*group as usize] = *end;
        }
        self.changes.mark(&self.assigned);
        if is_rows(batch.rows(), keys.len()) {
            let groups = Some(self.assigned.as_slice());
            self.states
                .update(groups, batch.len(), rest, batch.places())?;
        } else {
            self.states.merge(&self.assigned, rest)?;
        }
        if self.groups.bytes() + self.states.bytes() + self.groups.sorting_bytes() > self.budget() {
            self.spill()?;
        }
        Ok(())
    }

    /// Writes some groups to disk and forgets all.
    fn spill(&mut self) -> Result<()> {
        let (some, _) = self.live(END);
        let (groups, order) = self.groups.some_in_order(&self.work.order, &some)?;
        let target = piece_bytes(self.context.memory);
        let bytes = self.states.bytes();
        let limit = piece_rows(target, groups.len(), bytes, self.context.batch_rows);
        let (work, table, states) = (&self.work, &self.groups, &self.states);
        let mut at = 0;
        self.runs.write(|| {
            let end = (at + limit).min(groups.len());
            let piece = &groups[at..end];
            if piece.is_empty() {
                return Ok(None);
            }
            let batch = work.written(table, states, piece)?;
            let batch = batch.with_order(Some(order.slice(at, piece.len())));
            at = end;
            Ok(Some(batch))
        })?;
        self.clear()
    }

    /// The next rows of what is told early.
    fn next_early(&mut self) -> Result<Option<Batch>> {
        let Some(early) = &mut self.early else {
            return Ok(None);
        };
        let end = (early.at + self.context.batch_rows).min(early.groups.len());
        let some = &early.groups[early.at..end];
        if some.is_empty() {
            self.early = None;
            return Ok(None);
        }
        let order = early.order.slice(early.at, some.len());
        early.at = end;
        let mut keys = self.groups.keys(some)?;
        let values = self.states.values(some)?;
        self.work.put_windows(&mut keys);
        self.work.finish_early(keys, &values, order).map(Some)
    }

    /// Begins to let go what has ended at `until`.
    fn let_go(&mut self, until: Instant) -> Result<()> {
        let mut combine = None;
        let (ended, _) = self.live(until);
        let (mut groups, mut order) = (Vec::new(), BinaryArray::from_vec(Vec::new()));
        if self.runs.is_empty() {
            (groups, order) = self.groups.some_in_order(&self.work.order, &ended)?;
        } else {
            // What else there is of these groups is on disk: there they meet.
            if !ended.is_empty() {
                self.spill()?;
            }
            combine = Some(Box::new(Combine::new(&self.work, &self.context)));
        }
        self.leaving = Some(Leaving {
            until,
            groups,
            order,
            at: 0,
            combine,
            gathered: false,
            complete: BEGINNING,
        });
        Ok(())
    }

    /// Takes what has left out of the table, if it is most of it.
    fn forget(&mut self, left: &[u32]) -> Result<()> {
        for group in left {
            self.leaves[*group as usize] = LEFT;
        }
        self.changes.mark(left);
        self.left += left.len();
        let live = self.leaves.len() - self.left;
        if live > self.left || self.left == 0 {
            return Ok(());
        }
        let (some, _) = self.live(END);
        let mut columns = self.groups.keys(&some)?;
        let states = self.states.state(&some)?;
        let leaves: Vec<Instant> = some
            .iter()
            .map(|group| self.leaves[*group as usize])
            .collect();
        self.clear()?;
        if live > 0 {
            self.groups.assign(&columns, &mut self.assigned)?;
            self.states.resize(self.groups.len());
            self.states.merge(&self.assigned, &states)?;
            self.leaves = leaves;
        }
        columns.clear();
        Ok(())
    }

    /// The next finished rows, or nothing yet, of groups that leave; none when all have left.
    fn next(&mut self, out: &mut dyn Output) -> Result<Option<Option<Batch>>> {
        let Some(leaving) = &mut self.leaving else {
            return Ok(None);
        };
        // Windows of which all panes are there leave before more panes are taken: of a long time, few are held.
        if let Some(sliding) = &mut self.sliding
            && let Some(batch) = sliding.next(leaving.complete.min(leaving.until), out)?
        {
            return Ok(Some(Some(batch)));
        }
        if let Some(combine) = &mut leaving.combine {
            let bound = leaving.until.checked_add(1).map(|next| {
                let next: ArrayRef = Arc::new(Int64Array::from(vec![next]));
                self.ends.encode(&[next])
            });
            let bound = bound.transpose()?;
            let bound = bound.as_ref().map(|bound| bound.value(0));
            let limit = self.context.batch_rows;
            let runs = &mut self.runs;
            let Some(keys) = combine.next(&mut || runs.next_before(limit, bound))? else {
                leaving.combine = None;
                return Ok(Some(None));
            };
            return match &mut self.sliding {
                Some(sliding) => {
                    leaving.complete = complete_to(&keys.keys);
                    sliding.take(&keys.keys, combine.states().state(&keys.groups)?)?;
                    Ok(Some(None))
                }
                None => {
                    let states = combine.states();
                    states.tell(&keys.groups, out);
                    let values = states.values(&keys.groups)?;
                    self.work
                        .finish(keys.keys, &values, keys.order, out)
                        .map(|b| Some(Some(b)))
                }
            };
        }
        if leaving.at < leaving.groups.len() {
            let target = batch_bytes(self.context.memory);
            let (groups, bytes) = (self.groups.len(), self.states.bytes());
            let limit = piece_rows(target, groups, bytes, self.context.batch_rows);
            let end = (leaving.at + limit).min(leaving.groups.len());
            let some = &leaving.groups[leaving.at..end];
            let order = leaving.order.slice(leaving.at, some.len());
            leaving.at = end;
            let keys = self.groups.keys(some)?;
            return match &mut self.sliding {
                Some(sliding) => {
                    leaving.complete = complete_to(&keys);
                    sliding.take(&keys, self.states.state(some)?)?;
                    Ok(Some(None))
                }
                None => {
                    self.states.tell(some, out);
                    let values = self.states.values(some)?;
                    self.work
                        .finish(keys, &values, order, out)
                        .map(|b| Some(Some(b)))
                }
            };
        }
        if !std::mem::replace(&mut leaving.gathered, true) {
            let left = std::mem::take(&mut leaving.groups);
            self.forget(&left)?;
        }
        let until = self
            .leaving
            .as_ref()
            .map_or(BEGINNING, |leaving| leaving.until);
        if let Some(sliding) = &mut self.sliding
            && let Some(batch) = sliding.next(until, out)?
        {
            return Ok(Some(Some(batch)));
        }
        self.leaving = None;
        Ok(None)
    }
}

impl Stage for Closing {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        self.take_in(&batch)?;
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        while let Some(batch) = self.next_early()? {
            out.send(PROVISIONAL, batch);
            if out.full() {
                return Ok(Flow::More);
            }
        }
        while let Some(batch) = self.next(out)? {
            if let Some(batch) = batch {
                out.send(0, batch);
                if out.full() {
                    return Ok(Flow::More);
                }
            }
        }
        Ok(Flow::Ready)
    }

    fn on_watermark(&mut self, time: Instant, out: &mut dyn Output) -> Result<Flow> {
        self.let_go(time)?;
        self.more(out)
    }

    fn on_pulse(&mut self, out: &mut dyn Output) -> Result<Flow> {
        if !out.wants(PROVISIONAL) {
            return Ok(Flow::Ready);
        }
        if !self.runs.is_empty() {
            out.note("no early results while windows are on disk", 1);
            return Ok(Flow::Ready);
        }
        let (open, _) = self.live(END);
        let (groups, order) = self.groups.some_in_order(&self.work.order, &open)?;
        let at = 0;
        self.early = Some(Early { groups, order, at });
        self.more(out)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.let_go(END)?;
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        let (held, leaves) = ((&self.groups, &self.states), &self.leaves);
        let is_held = |group: u32| leaves[group as usize] != LEFT;
        self.work
            .save_changes(held, &mut self.changes, is_held, into)?;
        self.runs.save(RUNS, into);
        match &self.sliding {
            Some(sliding) => sliding.save(into),
            None => Ok(()),
        }
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let work = Arc::clone(&self.work);
        let owners = work.owners();
        let share = Share::Keyed(&owners);
        self.runs.restore(RUNS, from, share)?;
        from.rows(GROUPS, share, &mut |batch| self.take_in(&batch))?;
        match &mut self.sliding {
            Some(sliding) => sliding.restore(from, share),
            None => Ok(()),
        }
    }

    fn bytes(&self) -> usize {
        let sliding = self.sliding.as_ref().map_or(0, Sliding::bytes);
        self.groups.bytes() + self.states.bytes() + 8 * self.leaves.capacity() + sliding
    }

    fn keys(&self) -> usize {
        self.groups.len() - self.left
    }
}
