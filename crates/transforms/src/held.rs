//! Rows that are held, each in a slot: the last row of each key, say.
//!
//! Rows are copied out of the batch that they came in, those of a batch into one chunk, and are read back together, a column at a
//! time. When most rows in chunks are in no slot any more, those that are are put together, so a row is copied a few times at
//! most and the memory is about twice that of the rows held.

use arrow_array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow_schema::DataType;
use arrow_select::interleave::interleave;
use dataflow_core::Result;

/// Where a row is: a chunk, and which row of it.
pub(crate) type At = (u32, u32);

/// No row: what is read there is null.
pub(crate) const NOTHING: At = (0, 0);

/// The chunk of rows of the batch at hand, as long as it is at hand.
const HERE: u32 = u32::MAX;

/// Row `row` of the batch at hand.
pub(crate) fn here(row: usize) -> At {
    (HERE, row as u32)
}

/// More chunks than this are put together.
const CHUNKS: usize = 256;

/// With fewer rows than this in no slot, they do no harm. Tests have few.
const FEW: usize = if cfg!(test) { 4 } else { 4096 };

/// Rows in slots.
pub(crate) struct Held {
    /// The first chunk is one row of nulls.
    chunks: Vec<Vec<ArrayRef>>,
    slots: Vec<At>,
    /// Rows in chunks, and slots that have one.
    rows: usize,
    live: usize,
    bytes: usize,
}

impl Held {
    /// Without rows, of columns of these types.
    pub(crate) fn new<'t>(types: impl Iterator<Item = &'t DataType>) -> Self {
        Self {
            chunks: vec![types.map(|of| new_null_array(of, 1)).collect()],
            slots: Vec::new(),
            rows: 0,
            live: 0,
            bytes: 0,
        }
    }

    /// Makes room for so many slots.
    pub(crate) fn resize(&mut self, slots: usize) {
        self.slots.resize(slots, NOTHING);
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The row in a slot.
    #[inline]
    pub(crate) fn of(&self, slot: usize) -> At {
        self.slots[slot]
    }

    /// Puts a row of the batch at hand into a slot. Returns the one that was there.
    #[inline]
    pub(crate) fn put(&mut self, slot: usize, row: usize) -> At {
        let before = std::mem::replace(&mut self.slots[slot], here(row));
        self.live += usize::from(before == NOTHING);
        before
    }

    /// Empties a slot. Returns the row that was there.
    pub(crate) fn clear(&mut self, slot: usize) -> At {
        let before = std::mem::replace(&mut self.slots[slot], NOTHING);
        self.live -= usize::from(before != NOTHING);
        before
    }

    /// One row of nulls, where no rows are at hand.
    pub(crate) fn nothing(&self) -> Vec<ArrayRef> {
        self.chunks[0].clone()
    }

    /// Columns of rows that are held or, where they are at hand, in `columns`.
    pub(crate) fn gather(&self, rows: &[At], columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let at_hand = self.chunks.len();
        let indices: Vec<(usize, usize)> = rows
            .iter()
            .map(|(chunk, row)| match *chunk {
                HERE => (at_hand, *row as usize),
                chunk => (chunk as usize, *row as usize),
            })
            .collect();
        let gathered = columns.iter().enumerate().map(|(at, column)| {
            let mut arrays: Vec<&dyn Array> = Vec::with_capacity(at_hand + 1);
            arrays.extend(self.chunks.iter().map(|chunk| chunk[at].as_ref()));
            arrays.push(column.as_ref());
            Ok(interleave(&arrays, &indices)?)
        });
        gathered.collect()
    }

    /// Keeps the rows of the batch at hand, which goes, that are in one of these slots: row `i` may be in `slots[i]` only.
    pub(crate) fn keep(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let chunk = self.chunks.len() as u32;
        let mut kept: Vec<u32> = Vec::new();
        for (row, slot) in slots.iter().enumerate() {
            let at = &mut self.slots[*slot as usize];
            if *at == here(row) {
                *at = (chunk, kept.len() as u32);
                kept.push(row as u32);
            }
        }
        if kept.is_empty() {
            return Ok(());
        }
        self.rows += kept.len();
        let kept = UInt32Array::from(kept);
        let columns = arrow_select::take::take_arrays(columns, &kept, None)?;
        self.bytes += bytes_of(&columns);
        self.chunks.push(columns);
        self.tidy()
    }

    /// Puts the rows that are in slots together, when that is worth it.
    fn tidy(&mut self) -> Result<()> {
        let waste = self.rows - self.live.min(self.rows);
        if self.chunks.len() <= CHUNKS && waste <= self.live + FEW {
            return Ok(());
        }
        let used = self.slots.iter().filter(|at| **at != NOTHING);
        let used: Vec<At> = used.copied().collect();
        let columns = self.gather(&used, &self.nothing())?;
        self.rows = used.len();
        self.bytes = bytes_of(&columns);
        self.chunks.truncate(1);
        self.chunks.push(columns);
        let used = self.slots.iter_mut().filter(|at| **at != NOTHING);
        used.zip(0..).for_each(|(at, row)| *at = (1, row));
        Ok(())
    }

    /// From now on, slot `i` is what slot `kept[i]` was. Those that go must be empty.
    pub(crate) fn renumber(&mut self, kept: &[u32]) {
        self.slots = kept.iter().map(|slot| self.slots[*slot as usize]).collect();
    }

    /// How many slots have a row.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + size_of::<At>() * self.slots.capacity()
    }
}

fn bytes_of(columns: &[ArrayRef]) -> usize {
    columns.iter().map(|c| c.get_buffer_memory_size()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Int64Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn rows_stay_in_their_slots_however_many_come() {
        let types = [DataType::Int64, DataType::Utf8];
        let mut held = Held::new(types.iter());
        held.resize(40);
        let mut expected: Vec<Option<i64>> = vec![None; 40];
        let mut number = 0_i64;
        for round in 0..400_u32 {
            let numbers: Vec<i64> = (number..number + 7).collect();
            number += 7;
            let columns: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from(numbers.clone())),
                Arc::new(StringArray::from_iter_values(
                    numbers.iter().map(i64::to_string),
                )),
            ];
            let slots: Vec<u32> = (0..7).map(|i| (round * 7 + i * i) % 39).collect();
            for (row, slot) in slots.iter().enumerate() {
                let before = held.put(*slot as usize, row);
                let read = held.gather(&[before], &columns).expect("reads");
                let read = read[0].as_primitive::<Int64Type>().iter().next().flatten();
                assert_eq!(read, expected[*slot as usize]);
                expected[*slot as usize] = Some(numbers[row]);
            }
            if round % 3 == 0 {
                held.clear(round as usize % 39);
                expected[round as usize % 39] = None;
            }
            held.keep(&slots, &columns).expect("keeps");
            let all: Vec<At> = (0..40).map(|slot| held.of(slot)).collect();
            let read = held.gather(&all, &columns).expect("reads");
            let numbers: Vec<Option<i64>> = read[0].as_primitive::<Int64Type>().iter().collect();
            assert_eq!(numbers, expected);
            let texts: Vec<Option<String>> = read[1]
                .as_string::<i32>()
                .iter()
                .map(|text| text.map(str::to_string))
                .collect();
            let of_numbers = expected.iter().map(|x| x.map(|x| x.to_string()));
            assert_eq!(texts, of_numbers.collect::<Vec<_>>());
            assert_eq!(held.len(), expected.iter().flatten().count());
            assert!(held.rows <= 2 * held.live + FEW + 7);
        }
        let kept = [3, 7, 38];
        for slot in (0..40).filter(|slot| !kept.contains(slot)) {
            held.clear(slot as usize);
        }
        held.renumber(&kept);
        let read = held.gather(&[held.of(2)], &held.chunks[0].clone());
        let read = read.expect("reads")[0].clone();
        assert_eq!(
            read.as_primitive::<Int64Type>().iter().next().flatten(),
            expected[38]
        );
        assert!(held.bytes() > 0);
    }
}
