//! Goes through the instants of the grid: each gives a row for every key whose stretch it lies in, in the order of the keys.
//!
//! All keys have the same grid, so the stretches that an instant lies in are mostly those of the instant before. They are a
//! list in the order of their keys, which those that end leave and those that begin are merged into.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampNanosecondArray,
};
use arrow_buffer::ScalarBuffer;
use arrow_schema::DataType;
use dataflow_core::external::sort_by_bytes;
use dataflow_core::saved::{Changes, Restored, Save, Share};
use dataflow_core::time::{BEGINNING, END, Instant};
use dataflow_core::{Batch, Error, Result, Times};

use super::stretches::{FROM, LAST, TO, VALUES};
use super::{Method, Plan};
use crate::held::{At, Held, NOTHING};
use crate::in_turn::KeyNumbers;
use crate::saved::{PIECE, largest};
use dataflow_core::in_time::InTime;

/// The names under which active stretches are saved, and the instant that was written last.
const ACTIVE: &str = "active";
const INSTANT: &str = "instant";

/// A stretch that the instant lies in.
#[derive(Clone, Copy)]
struct Active {
    key: u32,
    last: Instant,
    from: Instant,
    to: Instant,
}

/// Stretches that come in the order of their first instants.
struct Coming {
    keys: Vec<u32>,
    firsts: ScalarBuffer<i64>,
    lasts: ScalarBuffer<i64>,
    from: ScalarBuffer<i64>,
    to: ScalarBuffer<i64>,
    values: Vec<ArrayRef>,
    at: usize,
}

/// Rows that are to be written.
#[derive(Default)]
struct Made {
    keys: Vec<u32>,
    instants: Vec<Instant>,
    values: Vec<At>,
    /// Where they lie on their lines: the times at either side.
    sides: Vec<(Instant, Instant)>,
}

/// The instants of all keys, in order.
pub(super) struct Sweep {
    plan: Arc<Plan>,
    batch_rows: usize,
    /// The values of active stretches, by key.
    values: Held,
    active: Vec<Active>,
    /// The keys whose active stretch has changed since it was saved.
    changes: Changes,
    coming: Option<Coming>,
    /// The instant that is being written, and for how many of the active stretches it was.
    instant: Instant,
    written: usize,
    /// Instants before this may be written; at the end, all.
    until: Option<Instant>,
}

impl Sweep {
    /// Nothing yet. Stretches have values of these types.
    pub(super) fn new(plan: &Arc<Plan>, types: &[DataType], batch_rows: usize) -> Self {
        Self {
            plan: Arc::clone(plan),
            batch_rows,
            values: Held::new(types.iter()),
            active: Vec::new(),
            changes: Changes::default(),
            coming: None,
            instant: BEGINNING,
            written: 0,
            until: None,
        }
    }

    /// Lets the instants before `until` be written: the stretches of all of them are there.
    pub(super) fn go_until(&mut self, until: Instant) {
        self.until = Some(until);
    }

    /// The next rows, at most a batch; none when all have been written that may.
    pub(super) fn next(
        &mut self,
        stretches: &mut InTime,
        keys: &mut KeyNumbers,
    ) -> Result<Option<Batch>> {
        let mut made = Made::default();
        while made.keys.len() < self.batch_rows
            && let Some(until) = self.until
        {
            if self.written < self.active.len() {
                self.write(&mut made);
                continue;
            }
            match self.advance(until, made.keys.is_empty(), stretches, keys)? {
                Step::Taken => {}
                Step::Reads => break,
                Step::None => self.until = None,
            }
        }
        match made.keys.is_empty() {
            true => Ok(None),
            false => self.batch(&made, keys).map(Some),
        }
    }

    /// Writes rows of the instant.
    fn write(&mut self, made: &mut Made) {
        let room = self.batch_rows - made.keys.len();
        let until = self.active.len().min(self.written + room);
        for active in &self.active[self.written..until] {
            let known = self.plan.method != Method::None || active.from == self.instant;
            made.keys.push(active.key);
            made.instants.push(self.instant);
            made.values.push(match known {
                true => self.values.of(active.key as usize),
                false => NOTHING,
            });
            if self.plan.method == Method::Linear {
                made.sides.push((active.from, active.to));
            }
        }
        self.written = until;
    }

    /// Goes on to the next instant, if it is before `until`. Stretches are read only if that `may_read`.
    fn advance(
        &mut self,
        until: Instant,
        may_read: bool,
        stretches: &mut InTime,
        keys: &mut KeyNumbers,
    ) -> Result<Step> {
        let (instant, values, changes) = (self.instant, &mut self.values, &mut self.changes);
        self.active.retain(|active| {
            let stays = active.last > instant;
            if !stays {
                values.clear(active.key as usize);
                changes.mark_one(active.key);
            }
            stays
        });
        self.written = self.active.len();
        if self.coming.is_none() {
            if !may_read {
                return Ok(Step::Reads);
            }
            self.read(stretches, keys)?;
        }
        // An active stretch has further instants.
        let goes_on = self.active.first().map(|_| instant + self.plan.grid.every);
        let begins = self.coming.as_ref().map(|coming| coming.firsts[coming.at]);
        let next = match (goes_on, begins) {
            (Some(goes_on), Some(begins)) => goes_on.min(begins),
            (one, other) => match one.or(other) {
                Some(next) => next,
                None => return Ok(Step::None),
            },
        };
        if next >= until && until != END {
            return Ok(Step::None);
        }
        let ends = self
            .coming
            .as_ref()
            .is_some_and(|c| c.firsts.last() == Some(&next));
        if ends && !may_read {
            return Ok(Step::Reads);
        }
        let begin = self.begin(next, stretches, keys)?;
        self.merge(begin, keys);
        self.instant = next;
        self.written = 0;
        Ok(Step::Taken)
    }

    /// Reads the next stretches. What is active of those before is kept.
    fn read(&mut self, stretches: &mut InTime, keys: &mut KeyNumbers) -> Result<()> {
        if let Some(coming) = self.coming.take() {
            self.values.keep(&coming.keys, &coming.values)?;
        }
        self.coming = match stretches.next()? {
            Some(batch) => Some(Coming::of(&batch, keys)?),
            None => None,
        };
        self.values.resize(keys.len());
        Ok(())
    }

    /// The stretches that begin with an instant.
    fn begin(
        &mut self,
        instant: Instant,
        stretches: &mut InTime,
        keys: &mut KeyNumbers,
    ) -> Result<Vec<Active>> {
        let mut begin = Vec::new();
        while let Some(coming) = &mut self.coming {
            while coming.firsts.get(coming.at) == Some(&instant) {
                let at = coming.at;
                self.values.put(coming.keys[at] as usize, at);
                self.changes.mark_one(coming.keys[at]);
                begin.push(Active {
                    key: coming.keys[at],
                    last: coming.lasts[at],
                    from: coming.from[at],
                    to: coming.to[at],
                });
                coming.at += 1;
            }
            if coming.at < coming.firsts.len() {
                break;
            }
            self.read(stretches, keys)?;
        }
        Ok(begin)
    }

    /// Puts stretches among those that are active, in the order of their keys.
    fn merge(&mut self, mut begin: Vec<Active>, keys: &KeyNumbers) {
        if begin.is_empty() {
            return;
        }
        let bytes = |active: &Active| keys.bytes_of(active.key);
        if !begin.is_sorted_by(|a, b| bytes(a) < bytes(b)) {
            let order = sort_by_bytes(0..begin.len(), |at| bytes(&begin[at]));
            begin = order.into_iter().map(|at| begin[at]).collect();
        }
        if self.active.is_empty() {
            self.active = begin;
            return;
        }
        let before = std::mem::take(&mut self.active);
        self.active.reserve(before.len() + begin.len());
        let mut begin = begin.into_iter().peekable();
        for active in before {
            while let Some(first) = begin.next_if(|first| bytes(first) < bytes(&active)) {
                self.active.push(first);
            }
            self.active.push(active);
        }
        self.active.extend(begin);
    }

    fn batch(&self, made: &Made, keys: &KeyNumbers) -> Result<Batch> {
        let at_hand = match &self.coming {
            Some(coming) => coming.values.clone(),
            None => self.values.nothing(),
        };
        let mut values = self.values.gather(&made.values, &at_hand)?;
        if self.plan.method == Method::Linear {
            let next = values.split_off(values.len() / 2);
            let pairs = values.iter().zip(&next);
            values = pairs
                .map(|(before, next)| made.on_lines(before, next))
                .collect();
        }
        let instants = TimestampNanosecondArray::from(made.instants.clone());
        let mut columns: Vec<ArrayRef> = vec![Arc::new(instants.with_timezone("UTC"))];
        columns.extend(keys.keys(&made.keys)?);
        columns.extend(values);
        let order = keys.order(&made.instants, &made.keys, &vec![0; made.keys.len()]);
        let rows = RecordBatch::try_new(Arc::clone(&self.plan.fields), columns)?;
        let times = Times::new(made.instants.clone());
        Ok(Batch::new(rows)
            .with_times(Some(times))
            .with_order(Some(order)))
    }

    /// Writes down the stretches that are active. Not while rows may be written.
    pub(super) fn save(&mut self, keys: &KeyNumbers, into: &mut dyn Save) -> Result<()> {
        into.value(INSTANT, self.instant.into());
        let mut of_key = vec![None; keys.len()];
        for active in &self.active {
            of_key[active.key as usize] = Some(*active);
        }
        let is_held = |key: u32| of_key[key as usize].is_some();
        let write = |some: &[u32]| {
            let instants = |of: fn(&Active) -> Instant| -> ArrayRef {
                let active = some.iter().filter_map(|key| of_key[*key as usize].as_ref());
                Arc::new(Int64Array::from_iter_values(active.map(of)))
            };
            let values = some.iter().map(|key| self.values.of(*key as usize));
            let values: Vec<At> = values.collect();
            let mut columns = vec![
                instants(|active| active.last),
                instants(|active| active.from),
                instants(|active| active.to),
            ];
            columns.extend(self.values.gather(&values, &self.values.nothing())?);
            keys.saved(some, columns)
        };
        let numbered = self.changes.numbered(keys.len(), PIECE, is_held, write)?;
        into.numbered(ACTIVE, numbered);
        Ok(())
    }

    /// Goes on with stretches that were active.
    pub(super) fn restore(
        &mut self,
        keys: &mut KeyNumbers,
        from: &Restored<'_>,
        share: Share<'_>,
    ) -> Result<()> {
        // All workers write up to one instant. One that has stopped before has no active stretch.
        self.instant = largest(from, INSTANT)?.unwrap_or(BEGINNING);
        from.rows(ACTIVE, share, &mut |batch| {
            let (numbers, columns) = keys.restored(&batch)?;
            self.values.resize(keys.len());
            let instants = |at: usize| columns[at].as_primitive::<Int64Type>().values();
            let (lasts, froms, tos) = (instants(LAST), instants(FROM), instants(TO));
            let mut begin = Vec::with_capacity(numbers.len());
            for (row, key) in numbers.iter().enumerate() {
                self.values.put(*key as usize, row);
                begin.push(Active {
                    key: *key,
                    last: lasts[row],
                    from: froms[row],
                    to: tos[row],
                });
            }
            self.values.keep(&numbers, &columns[VALUES..])?;
            self.merge(begin, keys);
            Ok(())
        })?;
        self.written = self.active.len();
        Ok(())
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.values.bytes() + size_of::<Active>() * self.active.capacity()
    }
}

/// What became of a step to the next instant.
enum Step {
    /// It was taken.
    Taken,
    /// It needs stretches to be read, and those at hand are still in use.
    Reads,
    /// There is none yet.
    None,
}

impl Coming {
    fn of(batch: &Batch, keys: &mut KeyNumbers) -> Result<Self> {
        let (numbers, columns) = keys.restored(batch)?;
        let times = batch.times();
        let firsts = times.ok_or_else(|| Error::internal("stretches came without times"))?;
        let instants = |at: usize| columns[at].as_primitive::<Int64Type>().values().clone();
        Ok(Self {
            keys: numbers,
            firsts: firsts.at().clone(),
            lasts: instants(LAST),
            from: instants(FROM),
            to: instants(TO),
            values: columns[VALUES..].to_vec(),
            at: 0,
        })
    }
}

impl Made {
    /// What lies on the lines between values.
    fn on_lines(&self, before: &ArrayRef, next: &ArrayRef) -> ArrayRef {
        let before = before.as_primitive::<Float64Type>();
        let next = next.as_primitive::<Float64Type>();
        let each = self.instants.iter().zip(&self.sides).enumerate();
        let values = each.map(|(row, (instant, (from, to)))| {
            if before.is_null(row) || instant == from {
                return before.is_valid(row).then(|| before.value(row));
            }
            let share = instant.abs_diff(*from) as f64 / to.abs_diff(*from) as f64;
            let line = |next: f64| before.value(row) + (next - before.value(row)) * share;
            next.is_valid(row).then(|| line(next.value(row)))
        });
        Arc::new(values.collect::<Float64Array>())
    }
}
