//! Windows that overlap: each is put together of panes, and a pane is merged a few times however many windows it is in.
//!
//! Panes stand in a queue, in the order of their windows. Where a window leaves, panes are taken in at the back and let go at the
//! front, and the sum of the queue is asked for. Accumulators cannot be undone, so the queue is two stacks (the well-known
//! way to make a queue with a running sum): the back has one running sum; the front has, for each of its panes, the sum from
//! there to the front's end. When the front is used up, the back becomes the front, in one pass.
//!
//! Rows that were too late for the first windows of their pane make a pane of their own, which may belong between those in
//! the queue. There are few of them: they are kept beside the queue and merged into each window that they are in.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array};
use dataflow_core::batch::rows_of;
use dataflow_core::order::Keys;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::time::{BEGINNING, Instant};
use dataflow_core::window::Grid;
use dataflow_core::{Batch, Output, Result, StageContext};

use super::groups::Groups;
use super::total::too_large;
use super::window::Windowed;
use super::work::Work;
use crate::calls::States;
use crate::saved::largest;

/// The names under which panes are saved, and the end of the window that left last.
const PANES: &str = "panes";
const END_OF_LAST: &str = "end";

/// With fewer keys than this, those that are gone do no harm. Tests have few.
const FEW_KEYS: usize = if cfg!(test) { 8 } else { 1024 };

/// States of some keys.
#[derive(Clone)]
struct Part {
    keys: Vec<u32>,
    states: Vec<ArrayRef>,
}

/// Rows that are in the same windows: from the one that ends at `first` to the one that ends at `last`.
struct Pane {
    first: Instant,
    last: Instant,
    part: Part,
}

/// A pane at the front: when it goes, its keys, and the sum of the front from there on.
struct Front {
    last: Instant,
    keys: Vec<u32>,
    sum: Part,
}

/// A window that is leaving.
struct Leaving {
    states: States,
    keys: Vec<u32>,
    order: BinaryArray,
    at: usize,
}

/// The windows of the keys that one worker owns.
pub(super) struct Sliding {
    context: StageContext,
    work: Arc<Work>,
    grid: Arc<dyn Grid>,
    keys: Groups,
    order: Keys,
    /// Panes whose first window has not left yet.
    coming: VecDeque<Pane>,
    back: VecDeque<Pane>,
    back_sum: States,
    front: Vec<Front>,
    aside: Vec<Pane>,
    /// The `last` of the newest pane in the queue.
    newest: Instant,
    /// In how many panes of the queue each key is.
    panes: Vec<u32>,
    /// The end of the window that left last.
    end: Instant,
    leaving: Option<Leaving>,
    bytes: usize,
}

impl Sliding {
    /// No panes yet.
    pub(super) fn new(
        context: &StageContext,
        work: &Arc<Work>,
        grid: &Arc<dyn Grid>,
    ) -> Result<Self> {
        let types = &work.types[2..];
        Ok(Self {
            context: context.clone(),
            grid: Arc::clone(grid),
            keys: Groups::new(types, context.memory)?,
            order: Keys::ascending(types)?,
            coming: VecDeque::new(),
            back: VecDeque::new(),
            back_sum: States::new(&work.calls),
            front: Vec::new(),
            aside: Vec::new(),
            newest: BEGINNING,
            panes: Vec::new(),
            end: BEGINNING,
            leaving: None,
            bytes: 0,
            work: Arc::clone(work),
        })
    }

    /// Takes panes in, in the order of their windows: the ends of the first and the last, other keys, and states.
    pub(super) fn take(&mut self, keys: &[ArrayRef], states: Vec<ArrayRef>) -> Result<()> {
        let end = |column: usize| keys[column].as_primitive::<Int64Type>().values();
        self.add(end(0), end(1), keys, &states)?;
        too_large(self.bytes, &self.context)
    }

    /// Takes panes in whose first windows may be others than those among the keys.
    fn add(
        &mut self,
        firsts: &[Instant],
        lasts: &[Instant],
        keys: &[ArrayRef],
        states: &[ArrayRef],
    ) -> Result<()> {
        let mut numbers = Vec::new();
        match keys.len() {
            2 => numbers.resize(firsts.len(), 0),
            _ => self.keys.assign(&keys[2..], &mut numbers)?,
        }
        let known = numbers
            .iter()
            .map(|key| *key as usize + 1)
            .max()
            .unwrap_or(0);
        self.panes.resize(known.max(self.panes.len()), 0);
        let mut start = 0;
        while start < numbers.len() {
            let of = (firsts[start], lasts[start]);
            let same = (start..numbers.len()).take_while(|row| (firsts[*row], lasts[*row]) == of);
            let length = same.count();
            let part = Part {
                keys: numbers[start..start + length].to_vec(),
                states: states
                    .iter()
                    .map(|array| array.slice(start, length))
                    .collect(),
            };
            start += length;
            let (first, last) = of;
            if first > last {
                continue;
            }
            self.bytes += part.bytes();
            // Mostly behind all others; not where panes were saved whose first windows have left.
            let before = |pane: &Pane| (pane.first, pane.last) <= of;
            let at = self.coming.partition_point(before);
            self.coming.insert(at, Pane { first, last, part });
        }
        Ok(())
    }

    /// The next rows of windows that end at `until` or before; none when all have left.
    pub(super) fn next(&mut self, until: Instant, out: &mut dyn Output) -> Result<Option<Batch>> {
        loop {
            if let Some(batch) = self.rows(out)? {
                return Ok(Some(batch));
            }
            let Some(end) = self.next_end().filter(|end| *end <= until) else {
                return Ok(None);
            };
            self.end = end;
            self.let_go(end)?;
            self.take_in(end)?;
            self.leave()?;
        }
    }

    /// The end of the next window that holds anything.
    fn next_end(&self) -> Option<Instant> {
        let coming = self.coming.front().map(|pane| pane.first);
        let held = self.back.len() + self.front.len() + self.aside.len() > 0;
        let next = self.grid.next(self.end);
        match coming {
            Some(first) if !held || first < next => Some(first),
            _ if !held || next <= self.end => None,
            _ => Some(next),
        }
    }

    /// Lets go of the panes that a window has left behind.
    fn let_go(&mut self, end: Instant) -> Result<()> {
        self.aside.retain(|pane| pane.last >= end);
        loop {
            if self.front.is_empty() && self.back.front().is_some_and(|pane| pane.last < end) {
                self.turn()?;
            }
            match self.front.last() {
                Some(front) if front.last < end => {}
                _ => break,
            }
            if let Some(front) = self.front.pop() {
                for key in front.keys {
                    self.panes[key as usize] -= 1;
                }
            }
        }
        if self.front.is_empty()
            && self.back.is_empty()
            && self.coming.is_empty()
            && self.aside.is_empty()
        {
            self.keys.clear()?;
            self.panes.clear();
            self.back_sum.clear();
            self.newest = BEGINNING;
        } else {
            self.forget_keys()?;
        }
        Ok(())
    }

    /// Forgets keys that are in no pane any more, when they are most of them.
    fn forget_keys(&mut self) -> Result<()> {
        if self.panes.len() < FEW_KEYS || self.work.types.len() == 2 {
            return Ok(());
        }
        let mut used: Vec<bool> = self.panes.iter().map(|panes| *panes > 0).collect();
        for pane in self.coming.iter().chain(&self.aside) {
            pane.part
                .keys
                .iter()
                .for_each(|key| used[*key as usize] = true);
        }
        let used: Vec<u32> = set(&used).collect();
        if 2 * used.len() > self.panes.len() {
            return Ok(());
        }
        let columns = self.keys.keys(&used)?;
        let sums = self.back_sum.state(&used)?;
        let mut new = vec![u32::MAX; self.panes.len()];
        used.iter()
            .zip(0..)
            .for_each(|(old, at)| new[*old as usize] = at);
        self.panes = used.iter().map(|key| self.panes[*key as usize]).collect();
        let panes = self
            .coming
            .iter_mut()
            .chain(&mut self.aside)
            .chain(&mut self.back);
        let parts = panes.map(|pane| &mut pane.part);
        for part in parts.chain(self.front.iter_mut().map(|front| &mut front.sum)) {
            part.keys
                .iter_mut()
                .for_each(|key| *key = new[*key as usize]);
        }
        for front in &mut self.front {
            front
                .keys
                .iter_mut()
                .for_each(|key| *key = new[*key as usize]);
        }
        self.keys.clear()?;
        let mut numbers = Vec::new();
        if !used.is_empty() {
            self.keys.assign(&columns, &mut numbers)?;
        }
        self.back_sum.clear();
        self.back_sum.resize(used.len());
        self.back_sum.merge(&numbers, &sums)
    }

    /// The back becomes the front.
    fn turn(&mut self) -> Result<()> {
        let mut sum = States::new(&self.work.calls);
        let mut known = vec![false; self.panes.len()];
        let mut keys: Vec<u32> = Vec::new();
        sum.resize(self.panes.len());
        while let Some(pane) = self.back.pop_back() {
            sum.merge(&pane.part.keys, &pane.part.states)?;
            for key in &pane.part.keys {
                if !std::mem::replace(&mut known[*key as usize], true) {
                    keys.push(*key);
                }
            }
            self.front.push(Front {
                last: pane.last,
                keys: pane.part.keys,
                sum: Part {
                    states: sum.state(&keys)?,
                    keys: keys.clone(),
                },
            });
        }
        self.back_sum.clear();
        Ok(())
    }

    /// Takes the panes in whose first window this is.
    fn take_in(&mut self, end: Instant) -> Result<()> {
        self.back_sum.resize(self.panes.len());
        while self.coming.front().is_some_and(|pane| pane.first <= end) {
            let Some(pane) = self.coming.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(pane.part.bytes());
            if pane.last < self.newest {
                self.aside.push(pane);
                continue;
            }
            self.newest = pane.last;
            self.back_sum.merge(&pane.part.keys, &pane.part.states)?;
            for key in &pane.part.keys {
                self.panes[*key as usize] += 1;
            }
            self.back.push_back(pane);
        }
        Ok(())
    }

    /// Puts the window together.
    fn leave(&mut self) -> Result<()> {
        let mut states = States::new(&self.work.calls);
        states.resize(self.panes.len());
        if let Some(front) = self.front.last() {
            states.merge(&front.sum.keys, &front.sum.states)?;
        }
        let mut in_back = vec![false; self.panes.len()];
        let back = self.back.iter().flat_map(|pane| &pane.part.keys);
        back.for_each(|key| in_back[*key as usize] = true);
        let in_back: Vec<u32> = set(&in_back).collect();
        states.merge(&in_back, &self.back_sum.state(&in_back)?)?;
        let mut here: Vec<bool> = self.panes.iter().map(|panes| *panes > 0).collect();
        for pane in &self.aside {
            states.merge(&pane.part.keys, &pane.part.states)?;
            pane.part
                .keys
                .iter()
                .for_each(|key| here[*key as usize] = true);
        }
        let here: Vec<u32> = set(&here).collect();
        let (keys, order) = match self.work.types.len() {
            2 => (here, BinaryArray::from_vec(vec![b""])),
            _ => self.keys.some_in_order(&self.order, &here)?,
        };
        self.leaving = Some(Leaving {
            states,
            keys,
            order,
            at: 0,
        });
        Ok(())
    }

    /// The next rows of the window that is leaving.
    fn rows(&mut self, out: &mut dyn Output) -> Result<Option<Batch>> {
        let Some(leaving) = &mut self.leaving else {
            return Ok(None);
        };
        let until = (leaving.at + self.context.batch_rows).min(leaving.keys.len());
        let some = &leaving.keys[leaving.at..until];
        if some.is_empty() {
            self.leaving = None;
            return Ok(None);
        }
        let ends: ArrayRef = Arc::new(Int64Array::from(vec![self.end; some.len()]));
        let mut keys = vec![ends];
        if self.work.types.len() > 2 {
            keys.extend(self.keys.keys(some)?);
        }
        let order = Windowed::order(self.end, &leaving.order.slice(leaving.at, some.len()));
        leaving.states.tell(some, out);
        let values = leaving.states.values(some)?;
        leaving.at = until;
        self.work.finish(keys, &values, order, out).map(Some)
    }

    /// Writes down all panes. What is known of the front is a sum for each stretch of windows: that is a pane as well.
    pub(super) fn save(&self, into: &mut dyn Save) -> Result<()> {
        into.value(END_OF_LAST, self.end.into());
        let panes = self.coming.iter().chain(&self.back).chain(&self.aside);
        for pane in panes {
            self.save_pane(pane.first, pane.last, &pane.part, into)?;
        }
        let mut first = BEGINNING;
        for front in self.front.iter().rev() {
            if first <= front.last {
                self.save_pane(first, front.last, &front.sum, into)?;
                first = self.grid.next(front.last);
            }
        }
        Ok(())
    }

    fn save_pane(
        &self,
        first: Instant,
        last: Instant,
        part: &Part,
        into: &mut dyn Save,
    ) -> Result<()> {
        let rows = part.keys.len();
        let instants = |at| -> ArrayRef { Arc::new(Int64Array::from(vec![at; rows])) };
        let mut columns = vec![instants(first), instants(last)];
        if self.work.types.len() > 2 {
            columns.extend(self.keys.keys(&part.keys)?);
        }
        columns.extend(part.states.iter().cloned());
        let rows = rows_of(Arc::clone(&self.work.states), columns, rows)?;
        into.rows(PANES, Batch::new(rows));
        Ok(())
    }

    /// Goes on with panes as if none of them had been in a window yet: they are for those windows only that have not left.
    pub(super) fn restore(&mut self, from: &Restored<'_>, share: Share<'_>) -> Result<()> {
        self.end = largest(from, END_OF_LAST)?.unwrap_or(BEGINNING);
        // Windows leave when time is past them, which is so on all workers alike.
        let next = match self.end {
            BEGINNING => BEGINNING,
            end => self.grid.next(end),
        };
        from.rows(PANES, share, &mut |batch| {
            let columns = batch.rows().columns();
            let (keys, states) = columns.split_at(self.work.types.len());
            let end = |column: usize| keys[column].as_primitive::<Int64Type>().values();
            let firsts: Vec<Instant> = end(0).iter().map(|first| next.max(*first)).collect();
            self.add(&firsts, end(1), keys, states)
        })?;
        // Most of them were in the queue, which may take more than what comes may.
        self.bytes = 0;
        Ok(())
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let front = self
            .front
            .iter()
            .map(|front| front.sum.bytes())
            .sum::<usize>();
        let panes = self.back.iter().chain(&self.aside);
        let panes = panes.map(|pane| pane.part.bytes()).sum::<usize>();
        self.keys.bytes() + self.back_sum.bytes() + self.bytes + front + panes
    }
}

impl Part {
    fn bytes(&self) -> usize {
        // Panes that came together share buffers: each counts its own part of them.
        let share = |array: &ArrayRef| {
            let whole = |_| array.get_buffer_memory_size();
            array
                .to_data()
                .get_slice_memory_size()
                .unwrap_or_else(whole)
        };
        4 * self.keys.len() + self.states.iter().map(share).sum::<usize>()
    }
}

/// Which are set.
fn set(each: &[bool]) -> impl Iterator<Item = u32> + '_ {
    (0..each.len() as u32).filter(|at| each[*at as usize])
}
