//! The table's rows that can still match: arrays in the order of time, in which the rows of a key are a list.
//!
//! A key has pointers into its list that move on as the rows of the main side do, so a lookup costs as many steps as the table has
//! new rows of the key. When twice as many rows are held as were needed the last time, what is not needed is forgotten and the
//! rest is put together: each row is copied a bounded number of times.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow_schema::SchemaRef;
use arrow_select::interleave::{interleave, interleave_record_batch};
use dataflow_core::batch::rows_of;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::time::Instant;
use dataflow_core::{Batch, Places, Result, Times};

use super::keys::KeyTable;
use super::ordered::times_of;
use crate::saved::keyed;

/// No row.
pub(super) const NONE: u32 = u32::MAX;

/// Fewer rows, or keys, than this are not worth forgetting. Tests have few.
const FEW: usize = if cfg!(test) { 8 } else { 4096 };

/// How many rows are put together at once.
const TOGETHER: usize = 64 << 10;

/// What is known of a key: the first and the last of its rows, and how far the main side has gone through them.
#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
    reached: [u32; 2],
}

const EMPTY: List = List {
    first: NONE,
    last: NONE,
    reached: [NONE; 2],
};

/// A pointer of a key.
#[derive(Clone, Copy)]
pub(super) enum Pointer {
    Low,
    High,
}

/// The table's rows that can still match.
pub(super) struct Held {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// Of each row: its batch and its number there, its time, its place, its key, and the next row of the key.
    at: Vec<(u32, u32)>,
    times: Vec<Instant>,
    places: Vec<u64>,
    keys: Vec<u32>,
    next: Vec<u32>,
    lists: Vec<List>,
    bytes: usize,
    /// How many were needed when it was looked at last.
    needed: usize,
    /// And how many keys.
    needed_keys: usize,
    /// For each batch its position among those in use, while columns are made.
    slots: Vec<u32>,
}

impl Held {
    /// Without rows.
    pub(super) fn new(schema: &SchemaRef) -> Self {
        Self {
            schema: Arc::clone(schema),
            batches: Vec::new(),
            at: Vec::new(),
            times: Vec::new(),
            places: Vec::new(),
            keys: Vec::new(),
            next: Vec::new(),
            lists: Vec::new(),
            bytes: 0,
            needed: 0,
            needed_keys: 0,
            slots: Vec::new(),
        }
    }

    /// Takes rows in, which come in order. `rows` are the columns that leave.
    pub(super) fn push(
        &mut self,
        rows: RecordBatch,
        times: &[Instant],
        places: impl Iterator<Item = u64>,
        keys: &[u32],
    ) {
        let which = self.batches.len() as u32;
        self.bytes += Batch::new(rows.clone()).bytes();
        self.batches.push(rows);
        self.times.extend_from_slice(times);
        self.keys.extend_from_slice(keys);
        self.places.extend(places);
        let most = keys.iter().max().map_or(0, |key| *key as usize + 1);
        self.lists.resize(most.max(self.lists.len()), EMPTY);
        for (row, key) in keys.iter().enumerate() {
            let number = self.at.len() as u32;
            self.at.push((which, row as u32));
            self.next.push(NONE);
            self.link(number, *key);
        }
    }

    /// Writes down all rows behind their keys, in the order in which they came.
    pub(super) fn save(
        &self,
        name: &'static str,
        keys: &KeyTable,
        into: &mut dyn Save,
    ) -> Result<()> {
        let mut start = 0;
        for rows in &self.batches {
            let here = start..start + rows.num_rows();
            start = here.end;
            let of_keys = keys.columns(&self.keys[here.clone()])?;
            let batch = keyed(of_keys, rows.columns().to_vec(), rows.num_rows())?;
            let times = Times::new(self.times[here.clone()].to_vec());
            let places = Places::Each(self.places[here].to_vec().into());
            into.rows(name, batch.with_times(Some(times)).with_places(places));
        }
        Ok(())
    }

    /// Goes on with rows that were written down. Those of each key come in the order in which they came before.
    pub(super) fn restore(
        &mut self,
        name: &str,
        keys: &mut KeyTable,
        width: usize,
        (from, share): (&Restored<'_>, Share<'_>),
    ) -> Result<()> {
        let mut numbers = Vec::new();
        from.rows(name, share, &mut |batch| {
            let (of_keys, columns) = batch.rows().columns().split_at(width);
            keys.assign(of_keys, batch.len(), &mut numbers)?;
            let rows = rows_of(Arc::clone(&self.schema), columns.to_vec(), batch.len())?;
            let times = times_of(&batch)?;
            let places = batch.places();
            let places = (0..batch.len()).map(|row| places.get(row).map_or(0, |place| place.0));
            self.push(rows, &times, places, &numbers);
            Ok(())
        })
    }

    fn link(&mut self, number: u32, key: u32) {
        let list = &mut self.lists[key as usize];
        match list.last {
            NONE => list.first = number,
            last => self.next[last as usize] = number,
        }
        list.last = number;
    }

    /// The last row of a key before a time, or up to it. Times must not go back.
    #[inline]
    pub(super) fn last_before(
        &mut self,
        pointer: Pointer,
        key: u32,
        time: Instant,
        or_at: bool,
    ) -> u32 {
        let Some(list) = self.lists.get_mut(key as usize) else {
            return NONE;
        };
        let reached = &mut list.reached[pointer as usize];
        loop {
            let next = match *reached {
                NONE => list.first,
                row => self.next[row as usize],
            };
            let goes_on = next != NONE && {
                let at = self.times[next as usize];
                at < time || (or_at && at == time)
            };
            if !goes_on {
                return *reached;
            }
            *reached = next;
        }
    }

    /// The row of a key behind another; its first row behind none.
    #[inline]
    pub(super) fn behind(&self, key: u32, row: u32) -> u32 {
        match row {
            NONE => self.lists.get(key as usize).map_or(NONE, |list| list.first),
            row => self.next[row as usize],
        }
    }

    /// When a row happened.
    #[inline]
    pub(super) fn time(&self, row: u32) -> Instant {
        self.times[row as usize]
    }

    /// Where a row stands.
    pub(super) fn place(&self, row: u32) -> u64 {
        self.places[row as usize]
    }

    /// The times of rows; none for no row.
    pub(super) fn times_of(&self, rows: &[u32]) -> Vec<Option<Instant>> {
        let time = |row: &u32| (*row != NONE).then(|| self.time(*row));
        rows.iter().map(time).collect()
    }

    /// How many rows are held.
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let row = size_of::<(u32, u32)>() + 2 * size_of::<u64>() + 2 * size_of::<u32>();
        self.bytes + row * self.at.capacity() + size_of::<List>() * self.lists.capacity()
    }

    /// Whether so many rows came since it was last looked at that this should be done again.
    pub(super) fn is_due(&self) -> bool {
        self.len() >= FEW + 2 * self.needed
    }

    /// Forgets rows that are not needed: `needed` is told a row's time, and that of the next row of its key.
    pub(super) fn forget(
        &mut self,
        needed: impl Fn(Instant, Option<Instant>) -> bool,
    ) -> Result<()> {
        let is_needed = |row: &u32| {
            let next = self.next[*row as usize];
            let next = (next != NONE).then(|| self.times[next as usize]);
            needed(self.times[*row as usize], next)
        };
        let kept: Vec<u32> = (0..self.len() as u32).filter(is_needed).collect();
        self.needed = kept.len();
        if kept.len() == self.len() {
            return Ok(());
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let mut together = Vec::new();
        for some in kept.chunks(TOGETHER) {
            let indices = some.iter().map(|row| {
                let (batch, row) = self.at[*row as usize];
                (batch as usize, row as usize)
            });
            together.push(interleaved(
                &self.schema,
                &batches,
                &indices.collect::<Vec<_>>(),
            )?);
        }
        self.bytes = together
            .iter()
            .map(|rows| Batch::new(rows.clone()).bytes())
            .sum();
        self.batches = together;
        let at = |number: usize| ((number / TOGETHER) as u32, (number % TOGETHER) as u32);
        self.at = (0..kept.len()).map(at).collect();
        self.times = kept.iter().map(|row| self.times[*row as usize]).collect();
        self.places = kept.iter().map(|row| self.places[*row as usize]).collect();
        self.keys = kept.iter().map(|row| self.keys[*row as usize]).collect();
        self.link_all();
        Ok(())
    }

    fn link_all(&mut self) {
        self.next = vec![NONE; self.len()];
        self.lists.fill(EMPTY);
        for row in 0..self.len() {
            self.link(row as u32, self.keys[row]);
        }
    }

    /// Forgets keys without rows, if they are most of them; `also` are numbers of keys that are in use elsewhere, and are changed to
    /// the new ones.
    pub(super) fn forget_keys(&mut self, keys: &mut KeyTable, also: &mut [u32]) -> Result<()> {
        if keys.len() < FEW + 2 * self.needed_keys {
            return Ok(());
        }
        let mut new = vec![NONE; keys.len()];
        for key in self.keys.iter().chain(also.iter()) {
            new[*key as usize] = 0;
        }
        let kept: Vec<u32> = (0..keys.len() as u32)
            .filter(|key| new[*key as usize] != NONE)
            .collect();
        self.needed_keys = kept.len();
        if 2 * kept.len() > keys.len() {
            return Ok(());
        }
        keys.keep(&kept)?;
        kept.iter()
            .zip(0..)
            .for_each(|(old, at)| new[*old as usize] = at);
        let used = self.keys.iter_mut().chain(also.iter_mut());
        used.for_each(|key| *key = new[*key as usize]);
        self.lists = vec![EMPTY; kept.len()];
        self.link_all();
        Ok(())
    }

    /// The columns of rows; nulls for no row.
    pub(super) fn columns(&mut self, rows: &[u32]) -> Result<Vec<ArrayRef>> {
        self.slots.clear();
        self.slots.resize(self.batches.len(), NONE);
        let mut used: Vec<&RecordBatch> = Vec::new();
        let mut indices: Vec<(u32, u32)> = Vec::with_capacity(rows.len());
        let mut none = false;
        for row in rows {
            if *row == NONE {
                none = true;
                indices.push((NONE, 0));
                continue;
            }
            let (batch, row) = self.at[*row as usize];
            let slot = &mut self.slots[batch as usize];
            if *slot == NONE {
                *slot = used.len() as u32;
                used.push(&self.batches[batch as usize]);
            }
            indices.push((*slot, row));
        }
        if let [one] = used.as_slice() {
            let at = indices
                .iter()
                .map(|(batch, row)| (*batch != NONE).then_some(*row));
            let at: UInt32Array = match none {
                true => at.collect(),
                false => UInt32Array::from_iter_values(at.flatten()),
            };
            return Ok(arrow_select::take::take_arrays(one.columns(), &at, None)?);
        }
        let empty = used.len();
        let of = |(batch, row): &(u32, u32)| match *batch {
            NONE => (empty, 0),
            batch => (batch as usize, *row as usize),
        };
        let indices: Vec<(usize, usize)> = indices.iter().map(of).collect();
        let fields = self.schema.fields().iter().enumerate();
        let columns = fields.map(|(at, field)| {
            let null = new_null_array(field.data_type(), 1);
            let mut parts: Vec<&dyn Array> = used.iter().map(|b| b.column(at).as_ref()).collect();
            if none {
                parts.push(null.as_ref());
            }
            Ok(interleave(&parts, &indices)?)
        });
        columns.collect()
    }
}

/// Rows of several batches, which may have no columns.
fn interleaved(
    schema: &SchemaRef,
    batches: &[&RecordBatch],
    indices: &[(usize, usize)],
) -> Result<RecordBatch> {
    if schema.fields().is_empty() {
        let options = RecordBatchOptions::new().with_row_count(Some(indices.len()));
        let none = Vec::new();
        return Ok(RecordBatch::try_new_with_options(
            Arc::clone(schema),
            none,
            &options,
        )?);
    }
    Ok(interleave_record_batch(batches, indices)?)
}
