//! The main side's rows in the order in which they leave: by time, those of one instant by key, those of one key by place.
//!
//! They come by (time, place); rows of one instant are put in order where they stand. Only those that do not fit into a batch, all
//! of one instant, are sorted by themselves, on disk if they are many.

use std::collections::VecDeque;

use arrow_array::UInt32Array;
use arrow_buffer::ScalarBuffer;
use arrow_schema::SchemaRef;
use dataflow_core::external::sort_by_bytes;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::sorter::{Sorted, Sorter};
use dataflow_core::time::Instant;
use dataflow_core::{Batch, Error, Result, StageContext};

use super::Work;
use super::keys::KeyTable;
use dataflow_core::in_time::InTime;

/// Rows in order, with the numbers of their keys and what they are put in order by.
pub(super) struct Rows {
    pub(super) batch: Batch,
    pub(super) keys: Vec<u32>,
    pub(super) times: ScalarBuffer<i64>,
}

/// Rows that wait until they may leave, and leave in order.
pub(super) struct Ordered {
    context: StageContext,
    waiting: InTime,
    /// What was looked at, to see whether an instant goes on.
    ahead: VecDeque<Batch>,
    /// The instant whose rows are being sorted by themselves.
    instant: Option<Instant>,
    sorter: Sorter,
    sorted: Option<Sorted>,
}

impl Ordered {
    pub(super) fn new(context: &StageContext) -> Self {
        Self {
            waiting: InTime::new(context),
            ahead: VecDeque::new(),
            instant: None,
            sorter: Sorter::new(context),
            sorted: None,
            context: context.clone(),
        }
    }

    /// Takes rows in; each leaves when the watermark is more than `wait` behind its time.
    pub(super) fn push(&mut self, batch: Batch, wait: i64) -> Result<()> {
        let times = times_of(&batch)?;
        self.waiting.push_until(batch, |row| {
            times[row].saturating_add(wait).saturating_add(1)
        })
    }

    /// Bytes of the rows that wait.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.bytes()
    }

    /// Writes the rows that wait to disk.
    pub(super) fn spill(&mut self) -> Result<()> {
        self.waiting.spill()
    }

    /// Writes down the rows that wait. Not while rows are going.
    pub(super) fn save(&self, name: &'static str, into: &mut dyn Save) {
        self.waiting.save(name, into);
    }

    /// Takes over rows that waited, of columns such as these.
    pub(super) fn restore(
        &mut self,
        name: &str,
        from: (&Restored<'_>, Share<'_>),
        schema: SchemaRef,
    ) -> Result<()> {
        self.waiting.restore(name, from, schema)
    }

    /// Begins to let go of the rows that the watermark allows to leave.
    pub(super) fn let_go(&mut self, watermark: Instant) -> Result<()> {
        self.waiting.let_go(watermark)
    }

    /// The next rows.
    pub(super) fn next(&mut self, work: &Work, keys: &mut KeyTable) -> Result<Option<Rows>> {
        loop {
            if let Some(sorted) = &mut self.sorted {
                match sorted.next(self.context.batch_rows)? {
                    Some(batch) => return rows(batch, work, keys).map(Some),
                    None => self.sorted = None,
                }
            }
            let Some(batch) = self.pull()? else {
                return Ok(None);
            };
            let times = times_of(&batch)?;
            let (first, last) = (times[0], times[batch.len() - 1]);
            let goes_on = match self.peek()? {
                Some(next) => next == last,
                None => false,
            };
            if self.instant == Some(first) || (goes_on && first == last) {
                let here = times.partition_point(|time| *time <= first);
                self.sort(batch.slice(0, here), work, keys)?;
                self.instant = Some(first);
                if here < batch.len() {
                    self.ahead.push_front(batch.slice(here, batch.len() - here));
                }
                if here < batch.len() || !goes_on {
                    self.instant = None;
                    self.sorted = Some(self.sorter.finish()?);
                    self.sorter = Sorter::new(&self.context);
                }
                continue;
            }
            if !goes_on {
                return in_order(batch, work, keys).map(Some);
            }
            let before = times.partition_point(|time| *time < last);
            self.ahead
                .push_front(batch.slice(before, batch.len() - before));
            return in_order(batch.slice(0, before), work, keys).map(Some);
        }
    }

    fn pull(&mut self) -> Result<Option<Batch>> {
        match self.ahead.pop_front() {
            Some(batch) => Ok(Some(batch)),
            None => self.waiting.next(),
        }
    }

    /// When the next row happened.
    fn peek(&mut self) -> Result<Option<Instant>> {
        if self.ahead.is_empty() {
            self.ahead.extend(self.waiting.next()?);
        }
        let next = self.ahead.front();
        next.map(|batch| Ok(times_of(batch)?[0])).transpose()
    }

    fn sort(&mut self, batch: Batch, work: &Work, keys: &mut KeyTable) -> Result<()> {
        self.sorter.push(rows(batch, work, keys)?.batch)?;
        if self.sorter.bytes() > self.context.memory {
            self.sorter.spill()?;
        }
        Ok(())
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.waiting.bytes() + self.sorter.bytes()
    }
}

/// When the rows of a batch happened.
pub(super) fn times_of(batch: &Batch) -> Result<ScalarBuffer<i64>> {
    let times = batch
        .times()
        .ok_or_else(|| Error::internal("rows to be joined came without event time"))?;
    Ok(times.at().clone())
}

/// Rows with what they are put in order by, as they come.
fn rows(batch: Batch, work: &Work, keys: &mut KeyTable) -> Result<Rows> {
    let times = times_of(&batch)?;
    let mut numbers = Vec::new();
    keys.assign(&work.keys(0, batch.rows()), batch.len(), &mut numbers)?;
    let order = keys.order(&times, &numbers, batch.places())?;
    Ok(Rows {
        batch: batch.with_order(Some(order)),
        keys: numbers,
        times,
    })
}

/// Rows that come by (time, place), those of one instant put in the order of their keys.
fn in_order(batch: Batch, work: &Work, keys: &mut KeyTable) -> Result<Rows> {
    let mut rows = rows(batch, work, keys)?;
    let Some(order) = permutation(&rows, keys) else {
        return Ok(rows);
    };
    rows.keys = order.iter().map(|row| rows.keys[*row as usize]).collect();
    rows.batch = rows.batch.take(&UInt32Array::from(order))?;
    Ok(rows)
}

/// The order of rows that come by (time, place); none where they are in order.
fn permutation(rows: &Rows, keys: &KeyTable) -> Option<Vec<u32>> {
    let (times, numbers) = (&rows.times, &rows.keys);
    let mut order: Option<Vec<u32>> = None;
    let key = |row: u32| keys.key(numbers[row as usize]);
    let mut start = 0;
    while start < times.len() {
        let mut end = start + 1;
        let mut sorted = true;
        while end < times.len() && times[end] == times[start] {
            let (before, here) = (end as u32 - 1, end as u32);
            sorted &= numbers[end] == numbers[end - 1] || key(before) <= key(here);
            end += 1;
        }
        if !sorted {
            let order = order.get_or_insert_with(|| (0..times.len() as u32).collect());
            let sorted = sort_by_bytes(start as u32..end as u32, key);
            order[start..end].copy_from_slice(&sorted);
        }
        start = end;
    }
    order
}
