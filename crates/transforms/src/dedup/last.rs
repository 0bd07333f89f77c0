//! The last row of each key stays, if none follows within the span. Until that is known, it is held.
//!
//! Rows come in order, and each leaves a span later if it is still the last of its key then: so a queue of what is to be looked at
//! gives them back in order.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use dataflow_core::batch::rows_of;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::time::{END, Instant};
use dataflow_core::{Batch, Output, Places, Result, Times};

use super::{DUPLICATES, FEW, look_again_at};
use crate::held::{At, Held, NOTHING};
use crate::in_turn::{KeyNumbers, Rows};
use crate::per_key::{PerKey, Work};
use crate::saved::PIECE;

/// The name under which rows are saved that may stay.
const LAST: &str = "last";

/// A row that may stay: when it happened, its key, and its number among all rows.
type Hopeful = (Instant, u32, u64);

/// Keeps last rows.
pub(super) struct Last {
    of: Arc<PerKey>,
    within: i64,
    batch_rows: usize,
    /// What rows look like, once it is known.
    schema: Option<SchemaRef>,
    /// The last row of each key, with its time and place behind its columns.
    held: Held,
    /// The number of that row.
    number: Vec<u64>,
    numbered: u64,
    queue: VecDeque<Hopeful>,
    /// All rows before this have been taken in, and those that stay may leave.
    until: Option<Instant>,
    look_at: usize,
}

impl Last {
    /// Without rows.
    pub(super) fn new(of: &Arc<PerKey>, within: i64, batch_rows: usize) -> Self {
        Self {
            of: Arc::clone(of),
            within,
            batch_rows,
            schema: None,
            held: Held::new(std::iter::empty()),
            number: Vec::new(),
            numbered: 0,
            queue: VecDeque::new(),
            until: None,
            look_at: look_again_at(0),
        }
    }

    /// What is held of rows. The first rows tell what all look like.
    fn columns_of(
        &mut self,
        came: &RecordBatch,
        times: &ScalarBuffer<i64>,
        places: &ScalarBuffer<u64>,
    ) -> Vec<ArrayRef> {
        let mut columns = came.columns().to_vec();
        columns.push(Arc::new(Int64Array::new(times.clone(), None)));
        columns.push(Arc::new(UInt64Array::new(places.clone(), None)));
        if self.schema.is_none() {
            let types: Vec<DataType> = columns.iter().map(|c| c.data_type().clone()).collect();
            self.held = Held::new(types.iter());
            self.schema = Some(came.schema());
        }
        columns
    }

    /// The next row that stays, if time has come to `now`, or ended: its key, and where it is.
    fn next(&mut self, now: Option<Instant>, keys: &mut KeyNumbers) -> Option<(u32, At)> {
        while let Some((time, key, number)) = self.queue.front().copied() {
            if now.is_some_and(|now| time.saturating_add(self.within) >= now) {
                return None;
            }
            self.queue.pop_front();
            if self.is_last(key, number) {
                keys.changes.mark_one(key);
                return Some((key, self.held.clear(key as usize)));
            }
        }
        None
    }

    fn is_last(&self, key: u32, number: u64) -> bool {
        self.number[key as usize] == number && self.held.of(key as usize) != NOTHING
    }

    /// Rows that were held, as they came; those at hand are in `columns`. Also their times and places.
    fn rows(&self, rows: &[At], columns: &[ArrayRef]) -> Result<(Batch, Vec<u64>)> {
        let mut columns = self.held.gather(rows, columns)?;
        let (places, times) = (columns.pop(), columns.pop());
        let times = times.map(|times| times.as_primitive::<Int64Type>().values().clone());
        let places = places.map(|places| places.as_primitive::<UInt64Type>().values().to_vec());
        let schema = self
            .schema
            .clone()
            .unwrap_or_else(|| Arc::new(arrow_schema::Schema::empty()));
        let batch = rows_of(schema, columns, rows.len())?;
        let batch = Batch::new(batch).with_times(times.map(Times::new));
        Ok((batch, places.unwrap_or_default()))
    }

    /// The rows that stay, in order.
    fn leaving(
        &self,
        some: &[(u32, At)],
        columns: &[ArrayRef],
        keys: &KeyNumbers,
    ) -> Result<Option<Batch>> {
        if some.is_empty() {
            return Ok(None);
        }
        let (of_keys, rows): (Vec<u32>, Vec<At>) = some.iter().copied().unzip();
        let (batch, places) = self.rows(&rows, columns)?;
        let times = batch.times().map(|times| times.at().clone());
        let order = keys.order(&times.unwrap_or_default(), &of_keys, &places);
        Ok(Some(batch.with_order(Some(order))))
    }

    /// Forgets keys without a row, when there may be many, and rows in the queue that do not stay.
    fn forget(&mut self, keys: &mut KeyNumbers) -> Result<()> {
        let queue = std::mem::take(&mut self.queue);
        self.queue = match queue.len() > 2 * self.held.len() + FEW {
            true => queue
                .into_iter()
                .filter(|(_, key, number)| self.is_last(*key, *number))
                .collect(),
            false => queue,
        };
        if self.number.len() < self.look_at {
            return Ok(());
        }
        let has_row = |key: &u32| self.held.of(*key as usize) != NOTHING;
        let kept: Vec<u32> = (0..self.number.len() as u32).filter(has_row).collect();
        if 2 * kept.len() > self.number.len() {
            self.look_at = look_again_at(self.number.len());
            return Ok(());
        }
        self.look_at = look_again_at(kept.len());
        keys.renumber(&kept)?;
        let mut new = vec![u32::MAX; self.number.len()];
        for (old, at) in kept.iter().zip(0..) {
            new[*old as usize] = at;
        }
        let queue = std::mem::take(&mut self.queue).into_iter();
        let queue = queue.filter(|(_, key, number)| self.is_last(*key, *number));
        self.queue = queue
            .map(|(time, key, number)| (time, new[key as usize], number))
            .collect();
        self.held.renumber(&kept);
        self.number = kept.iter().map(|key| self.number[*key as usize]).collect();
        Ok(())
    }
}

/// Rows with keys before their columns, which keep the names under which they leave.
fn with_keys(came: Batch, keys: Vec<ArrayRef>, places: Vec<u64>) -> Result<Batch> {
    let of_keys = keys.iter().enumerate();
    let of_keys =
        of_keys.map(|(at, key)| Field::new(at.to_string(), key.data_type().clone(), true));
    let schema = came.schema();
    let fields = of_keys.map(Arc::new).chain(schema.fields().iter().cloned());
    let fields: Vec<FieldRef> = fields.collect();
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    let columns = keys
        .into_iter()
        .chain(came.rows().columns().iter().cloned());
    let rows = rows_of(Arc::new(schema), columns.collect(), came.len())?;
    Ok(came
        .with_rows(rows)
        .with_places(Places::Each(places.into())))
}

impl Work for Last {
    fn take(
        &mut self,
        rows: Rows,
        keys: &mut KeyNumbers,
        out: &mut dyn Output,
    ) -> Result<Option<Batch>> {
        let (times, places) = (rows.times()?.clone(), rows.places()?);
        let came = self.of.as_they_came(rows.batch)?;
        let columns = self.columns_of(came.rows(), &times, &places);
        self.held.resize(keys.len());
        self.number.resize(keys.len(), 0);
        let (mut leaving, mut dropped, mut followed) = (Vec::new(), Vec::new(), Vec::new());
        for (row, (key, time)) in rows.keys.iter().zip(&times).enumerate() {
            while let Some(stays) = self.next(Some(*time), keys) {
                leaving.push(stays);
            }
            let before = self.held.put(*key as usize, row);
            if before != NOTHING {
                dropped.push(before);
                followed.push(row);
            }
            self.number[*key as usize] = self.numbered;
            self.queue.push_back((*time, *key, self.numbered));
            self.numbered += 1;
        }
        if !dropped.is_empty() && out.wants(DUPLICATES) {
            let (batch, _) = self.rows(&dropped, &columns)?;
            let times: Vec<i64> = followed.iter().map(|row| times[*row]).collect();
            let of_keys: Vec<u32> = followed.iter().map(|row| rows.keys[*row]).collect();
            let places: Vec<u64> = followed.iter().map(|row| places[*row]).collect();
            let order = keys.order(&times, &of_keys, &places);
            out.send(DUPLICATES, batch.with_order(Some(order)));
        } else {
            out.unread(DUPLICATES, dropped.len());
        }
        let batch = self.leaving(&leaving, &columns, keys)?;
        self.held.keep(&rows.keys, &columns)?;
        self.forget(keys)?;
        Ok(batch)
    }

    fn reached(&mut self, time: Instant, _: &mut KeyNumbers) -> Result<()> {
        self.until = Some(time);
        Ok(())
    }

    fn more(&mut self, keys: &mut KeyNumbers) -> Result<Option<Batch>> {
        let Some(until) = self.until else {
            return Ok(None);
        };
        let now = Some(until).filter(|until| *until != END);
        let mut leaving = Vec::new();
        while leaving.len() < self.batch_rows
            && let Some(stays) = self.next(now, keys)
        {
            leaving.push(stays);
        }
        if leaving.len() < self.batch_rows {
            self.until = None;
        }
        self.leaving(&leaving, &self.held.nothing(), keys)
    }

    fn save(&mut self, keys: &mut KeyNumbers, into: &mut dyn Save) -> Result<()> {
        let mut changes = std::mem::take(&mut keys.changes);
        let has_row = |key: u32| self.held.of(key as usize) != NOTHING;
        let numbered = changes.numbered(self.held.slots(), PIECE, has_row, |some| {
            let rows: Vec<At> = some.iter().map(|key| self.held.of(*key as usize)).collect();
            let (came, places) = self.rows(&rows, &self.held.nothing())?;
            with_keys(came, keys.keys(some)?, places)
        });
        keys.changes = changes;
        into.numbered(LAST, numbered?);
        Ok(())
    }

    fn restore(
        &mut self,
        keys: &mut KeyNumbers,
        from: &Restored<'_>,
        share: Share<'_>,
    ) -> Result<()> {
        let mut hopeful: Vec<(Instant, u32)> = Vec::new();
        from.rows(LAST, share, &mut |batch| {
            let (numbers, columns) = keys.restored(&batch)?;
            let all = batch.rows().num_columns();
            let own: Vec<usize> = (all - columns.len()..all).collect();
            let batch = batch.clone().with_rows(batch.rows().project(&own)?);
            let rows = Rows {
                batch,
                keys: numbers,
            };
            let (times, places) = (rows.times()?, rows.places()?);
            let columns = self.columns_of(rows.batch.rows(), times, &places);
            self.held.resize(keys.len());
            for (row, key) in rows.keys.iter().enumerate() {
                self.held.put(*key as usize, row);
                hopeful.push((times[row], *key));
            }
            self.held.keep(&rows.keys, &columns)
        })?;
        // Those of several workers are put in one order; their numbers only tell rows apart.
        hopeful.sort_by_cached_key(|(time, key)| (*time, keys.bytes_of(*key).to_vec()));
        self.number.resize(keys.len(), 0);
        for (time, key) in hopeful {
            self.number[key as usize] = self.numbered;
            self.queue.push_back((time, key, self.numbered));
            self.numbered += 1;
        }
        Ok(())
    }

    fn progress(&self, watermark: Instant) -> Instant {
        watermark.saturating_sub(self.within)
    }

    fn bytes(&self) -> (usize, usize) {
        let queue = size_of::<Hopeful>() * self.queue.capacity();
        (self.held.bytes() + queue + 8 * self.number.capacity(), 0)
    }
}
