//! From rows in order to stretches: the instants between a row and the next one of its key, and the values at either side.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::time::{BEGINNING, END, Instant};
use dataflow_core::{Batch, Output, Place, Places, Result, StageContext, Times};

use super::sweep::Sweep;
use super::{Method, Plan};
use crate::held::{At, Held, NOTHING, here};
use crate::in_turn::{KeyNumbers, Rows};
use crate::per_key::{PerKey, Work};
use dataflow_core::in_time::InTime;

/// The columns of a stretch that come between its key and its values: its last instant, and the times of the rows at either side.
/// Its key is told by its columns rather than a number, so that a stretch finds its owner on any number of workers.
pub(super) const LAST: usize = 0;
pub(super) const FROM: usize = 1;
pub(super) const TO: usize = 2;
pub(super) const VALUES: usize = 3;

/// The names under which rows and stretches are saved.
const OPEN: &str = "open";
const STRETCHES: &str = "stretches";

/// The rows of the keys that one worker owns.
pub(super) struct Resampling {
    of: Arc<PerKey>,
    plan: Arc<Plan>,
    /// The last row of each key, and when it happened.
    held: Held,
    happened: Vec<Instant>,
    /// Those rows in the order of time, and some that were the last of their key once.
    open: VecDeque<(Instant, u32)>,
    /// The row taken in last, of whose key and instant there may be another, which then counts.
    tail: Option<Tail>,
    stretches: InTime,
    schema: SchemaRef,
    numbered: u64,
    sweep: Sweep,
}

/// A row by itself.
struct Tail {
    key: u32,
    time: Instant,
    columns: Vec<ArrayRef>,
}

/// A stretch: its key, where the rows at either side are, its first and last instant, and when those rows happened.
struct Stretch {
    key: u32,
    before: At,
    next: At,
    first: Instant,
    last: Instant,
    from: Instant,
    to: Instant,
}

/// With fewer rows than this in the queue that are not the last of their key, they do no harm. Tests have few.
const FEW: usize = if cfg!(test) { 4 } else { 4096 };

impl Resampling {
    /// Without rows.
    pub(super) fn new(context: &StageContext, of: &Arc<PerKey>, plan: &Arc<Plan>) -> Self {
        let values = of.value_types();
        let sides = match plan.method {
            Method::Linear => 2,
            Method::Previous | Method::None => 1,
        };
        let of_sides: Vec<DataType> = values
            .iter()
            .cycle()
            .take(sides * values.len())
            .cloned()
            .collect();
        let keys = of.keys.iter().map(|key| key.field().data_type().clone());
        let mut types: Vec<DataType> = keys.collect();
        types.extend(vec![DataType::Int64; VALUES]);
        types.extend(of_sides.iter().cloned());
        let field = |(at, of): (usize, DataType)| Field::new(at.to_string(), of, true);
        let fields: Vec<Field> = types.into_iter().enumerate().map(field).collect();
        // Rows and stretches wait side by side.
        let half = StageContext {
            memory: context.memory / 2,
            ..context.clone()
        };
        Self {
            held: Held::new(values.iter()),
            happened: Vec::new(),
            open: VecDeque::new(),
            tail: None,
            stretches: InTime::new(&half),
            schema: Arc::new(Schema::new(fields)),
            numbered: 0,
            sweep: Sweep::new(plan, &of_sides, context.batch_rows),
            of: Arc::clone(of),
            plan: Arc::clone(plan),
        }
    }

    /// The stretch of instants that ends with a row of its key at `to`, if an instant lies in it.
    fn stretch(&self, key: u32, before: At, next: At, to: Instant) -> Option<Stretch> {
        let from = self.happened[key as usize];
        let first = self.plan.grid.from(from).filter(|first| *first < to)?;
        let gap = to.abs_diff(from);
        let filled = self.plan.limit.is_none_or(|limit| gap <= limit as u64);
        let last = match filled {
            true => self.plan.grid.before(to)?,
            // Then only the row itself is on the grid, if it is.
            false => Some(first).filter(|first| *first == from)?,
        };
        Some(Stretch {
            key,
            before,
            next,
            first,
            last,
            from,
            to,
        })
    }

    /// The stretch of a key that has no further row: the row itself, if it is on the grid.
    fn end(&mut self, key: u32, keys: &mut KeyNumbers) -> Option<Stretch> {
        keys.changes.mark_one(key);
        let from = self.happened[key as usize];
        let before = self.held.clear(key as usize);
        let is_on = self.plan.grid.from(from) == Some(from);
        (is_on && before != NOTHING).then_some(Stretch {
            key,
            before,
            next: before,
            first: from,
            last: from,
            from,
            to: from,
        })
    }

    fn push(&mut self, some: &[Stretch], columns: &[ArrayRef], keys: &KeyNumbers) -> Result<()> {
        if some.is_empty() {
            return Ok(());
        }
        let instants = |of: fn(&Stretch) -> Instant| -> ArrayRef {
            Arc::new(some.iter().map(of).map(Some).collect::<Int64Array>())
        };
        let numbers: Vec<u32> = some.iter().map(|stretch| stretch.key).collect();
        let mut made: Vec<ArrayRef> = keys.keys(&numbers)?;
        made.push(instants(|stretch| stretch.last));
        made.push(instants(|stretch| stretch.from));
        made.push(instants(|stretch| stretch.to));
        let before: Vec<At> = some.iter().map(|stretch| stretch.before).collect();
        made.extend(self.held.gather(&before, columns)?);
        if self.plan.method == Method::Linear {
            let next: Vec<At> = some.iter().map(|stretch| stretch.next).collect();
            made.extend(self.held.gather(&next, columns)?);
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), made)?;
        let firsts: Vec<Instant> = some.iter().map(|stretch| stretch.first).collect();
        let batch = Batch::new(rows)
            .with_times(Some(Times::new(firsts)))
            .with_places(Places::From(Place(self.numbered)));
        self.numbered += some.len() as u64;
        self.stretches.push(batch)
    }

    /// Takes rows in, each the only one of its key and instant.
    fn feed(
        &mut self,
        of_rows: &[u32],
        times: &[Instant],
        columns: &[ArrayRef],
        keys: &KeyNumbers,
    ) -> Result<()> {
        let mut some = Vec::new();
        for (row, (key, time)) in of_rows.iter().zip(times).enumerate() {
            let before = self.held.put(*key as usize, row);
            if before != NOTHING {
                some.extend(self.stretch(*key, before, here(row), *time));
            }
            self.happened[*key as usize] = *time;
            self.open.push_back((*time, *key));
        }
        self.push(&some, columns, keys)?;
        self.held.keep(of_rows, columns)?;
        if self.open.len() > 2 * self.held.len() + FEW {
            let open = std::mem::take(&mut self.open).into_iter();
            self.open = open
                .filter(|(time, key)| self.is_last(*time, *key))
                .collect();
        }
        Ok(())
    }

    fn end_tail(&mut self, tail: Tail, keys: &mut KeyNumbers) -> Result<()> {
        keys.changes.mark_one(tail.key);
        self.feed(&[tail.key], &[tail.time], &tail.columns, keys)
    }

    /// Ends the keys that have been silent for longer than is filled, or all.
    fn end_silent(&mut self, now: Instant, keys: &mut KeyNumbers) -> Result<()> {
        let mut some = Vec::new();
        while let Some((time, key)) = self.open.front().copied() {
            let goes_on = match self.plan.limit {
                _ if now == END => false,
                Some(limit) => time.saturating_add(limit) >= now,
                None => true,
            };
            let is_last = self.is_last(time, key);
            if goes_on && is_last {
                break;
            }
            self.open.pop_front();
            if is_last {
                some.extend(self.end(key, keys));
            }
        }
        self.push(&some, &self.held.nothing(), keys)
    }

    fn is_last(&self, time: Instant, key: u32) -> bool {
        self.happened[key as usize] == time && self.held.of(key as usize) != NOTHING
    }
}

impl Work for Resampling {
    fn take(
        &mut self,
        rows: Rows,
        keys: &mut KeyNumbers,
        _: &mut dyn Output,
    ) -> Result<Option<Batch>> {
        self.held.resize(keys.len());
        self.happened.resize(keys.len(), BEGINNING);
        let columns = self.of.values(rows.batch.rows())?;
        let times = rows.times()?;
        let (Some(key), Some(time)) = (rows.keys.last(), times.last()) else {
            return Ok(None);
        };
        match self.tail.take() {
            Some(tail) if (tail.key, tail.time) != (rows.keys[0], times[0]) => {
                self.end_tail(tail, keys)?
            }
            _ => {}
        }
        let last = rows.keys.len() - 1;
        let counts =
            |row: &usize| (rows.keys[*row], times[*row]) != (rows.keys[*row + 1], times[*row + 1]);
        let counting: Vec<u32> = (0..last).filter(counts).map(|row| row as u32).collect();
        let of_tail = UInt32Array::from(vec![last as u32]);
        self.tail = Some(Tail {
            key: *key,
            time: *time,
            columns: arrow_select::take::take_arrays(&columns, &of_tail, None)?,
        });
        if counting.len() == last {
            self.feed(&rows.keys[..last], &times[..last], &columns, keys)?;
            return Ok(None);
        }
        let of_keys: Vec<u32> = counting
            .iter()
            .map(|row| rows.keys[*row as usize])
            .collect();
        let times: Vec<i64> = counting.iter().map(|row| times[*row as usize]).collect();
        let columns =
            arrow_select::take::take_arrays(&columns, &UInt32Array::from(counting), None)?;
        self.feed(&of_keys, &times, &columns, keys)?;
        Ok(None)
    }

    fn reached(&mut self, time: Instant, keys: &mut KeyNumbers) -> Result<()> {
        if let Some(tail) = self.tail.take() {
            self.end_tail(tail, keys)?;
        }
        self.end_silent(time, keys)?;
        let until = match time {
            END => END,
            _ => self.progress(time),
        };
        self.stretches.let_go(until)?;
        self.sweep.go_until(until);
        Ok(())
    }

    fn more(&mut self, keys: &mut KeyNumbers) -> Result<Option<Batch>> {
        self.sweep.next(&mut self.stretches, keys)
    }

    fn progress(&self, watermark: Instant) -> Instant {
        // All workers write up to one instant, whatever keys they have: so what they write together is in order.
        let limit = self.plan.limit;
        limit.map_or(BEGINNING, |limit| watermark.saturating_sub(limit))
    }

    fn save(&mut self, keys: &mut KeyNumbers, into: &mut dyn Save) -> Result<()> {
        let held = &self.held;
        let is_held = |key: u32| (key as usize) < held.slots() && held.of(key as usize) != NOTHING;
        let columns = |some: &[u32]| -> Result<Vec<ArrayRef>> {
            let times = some.iter().map(|key| self.happened[*key as usize]);
            let rows: Vec<At> = some.iter().map(|key| held.of(*key as usize)).collect();
            let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(times))];
            columns.extend(held.gather(&rows, &held.nothing())?);
            Ok(columns)
        };
        keys.save_changes(OPEN, is_held, columns, into)?;
        self.stretches.save(STRETCHES, into);
        self.sweep.save(keys, into)
    }

    fn restore(
        &mut self,
        keys: &mut KeyNumbers,
        from: &Restored<'_>,
        share: Share<'_>,
    ) -> Result<()> {
        let mut open: Vec<(Instant, u32)> = Vec::new();
        from.rows(OPEN, share, &mut |batch| {
            let (numbers, columns) = keys.restored(&batch)?;
            self.held.resize(keys.len());
            self.happened.resize(keys.len(), BEGINNING);
            let times = columns[0].as_primitive::<Int64Type>().values();
            for (row, (key, time)) in numbers.iter().zip(times).enumerate() {
                self.held.put(*key as usize, row);
                self.happened[*key as usize] = *time;
                open.push((*time, *key));
            }
            self.held.keep(&numbers, &columns[1..])
        })?;
        open.sort_unstable();
        self.open.extend(open);
        // The places of stretches start anew: those of one instant are put in the order of their keys later.
        let schema = Arc::clone(&self.schema);
        self.stretches.restore(STRETCHES, (from, share), schema)?;
        self.sweep.restore(keys, from, share)
    }

    fn bytes(&self) -> (usize, usize) {
        let open = size_of::<(Instant, u32)>() * self.open.capacity();
        let of_keys = self.held.bytes() + 8 * self.happened.capacity() + open;
        (of_keys + self.sweep.bytes(), self.stretches.bytes())
    }
}
