//! A table in memory, and an index of it: the rows of each key, in the order of the table or of the time from which they hold.
//!
//! The batches are those that came, and all workers hold the same ones: nothing is copied. Each worker has an index of its own.

use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, new_null_array};
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave;
use dataflow_core::order::key_hash;
use dataflow_core::time::{BEGINNING, END, Instant};
use dataflow_core::units::Bytes;
use dataflow_core::{Batch, Error, Places, Result, StageContext};
use hashbrown::HashTable;

use super::valid::{Valid, instants};
use crate::columns::column;
use crate::matching::Keep;

/// What the index takes for each row: where it is, which key it has, its place among those of the key, and a slot of the hash table.
const PER_ROW: usize = 32;
/// What it takes besides where rows hold for a time.
const PER_INTERVAL: usize = 24;

/// A table that is being loaded.
pub(super) struct Loading {
    batches: Vec<Batch>,
    rows: usize,
    /// Bytes of the batches, which all workers share.
    bytes: usize,
}

impl Loading {
    pub(super) fn new() -> Self {
        Self {
            batches: Vec::new(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Takes rows in.
    ///
    /// # Errors
    /// When they do not fit into the memory.
    pub(super) fn add(&mut self, batch: Batch, timed: bool, context: &StageContext) -> Result<()> {
        let batch = batch.with_charge(None).with_hash(None);
        self.rows += batch.len();
        self.bytes += batch.bytes();
        self.batches.push(batch);
        let index = PER_ROW + if timed { PER_INTERVAL } else { 0 };
        let all = self.bytes + self.rows * index * context.workers;
        let share = context.memory.saturating_mul(context.workers);
        if all <= share {
            return Ok(());
        }
        let message = format!(
            "the table takes more than {} of memory, which is the share of this stage; {} rows of it take {}",
            Bytes(share as u64).for_people(),
            self.rows,
            Bytes(all as u64).for_people(),
        );
        Err(Error::resource(message).component(&*context.id).help(
            "use `join`, which sorts both sides and spills what does not fit; or raise `memory` in [engine]",
        ))
    }

    /// Bytes held by this worker, of which what is shared counts in part.
    pub(super) fn bytes(&self, workers: usize) -> usize {
        self.bytes / workers.max(1) + self.rows * PER_ROW
    }

    /// What came.
    pub(super) fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// Rows held.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// All rows are in: makes the index.
    ///
    /// # Errors
    /// When the rows are not what was declared.
    pub(super) fn close(&mut self, valid: Option<&Valid>, held: &SchemaRef) -> Result<Table> {
        let batches = std::mem::take(&mut self.batches);
        Table::new(&batches, valid, held)
    }
}

/// A table with its index. Rows have numbers in the order of the table.
pub(super) struct Table {
    batches: Vec<RecordBatch>,
    keys: Vec<BinaryArray>,
    /// A row of nulls, for what matches nothing.
    nulls: Vec<ArrayRef>,
    /// The batch of each row, and the row in it.
    rows: Vec<(u32, u32)>,
    /// The number of each key, and the number of a row that has it.
    numbers: HashTable<(u32, u32)>,
    /// Where the rows of each key start, and behind the last where they end.
    starts: Vec<u32>,
    /// The rows of the first key, then of the second, and so on.
    of_keys: Vec<u32>,
    times: Option<Times>,
}

/// When the rows of each key hold, in the order of the time from which they do.
struct Times {
    from: Vec<Instant>,
    to: Vec<Instant>,
    /// The latest `to` of the rows of the key up to here.
    latest: Vec<Instant>,
}

impl Table {
    fn new(batches: &[Batch], valid: Option<&Valid>, held: &SchemaRef) -> Result<Self> {
        let keys = batches.iter().map(|batch| batch.order().cloned());
        let keys = keys.collect::<Option<Vec<_>>>();
        let fields = held.fields().iter();
        let mut table = Self {
            batches: batches.iter().map(|batch| batch.rows().clone()).collect(),
            keys: keys.ok_or_else(|| Error::internal("rows of a table came without keys"))?,
            nulls: fields.map(|f| new_null_array(f.data_type(), 1)).collect(),
            rows: in_order(batches),
            numbers: HashTable::new(),
            starts: Vec::new(),
            of_keys: Vec::new(),
            times: None,
        };
        table.index();
        if let Some(valid) = valid {
            table.times = Some(table.times(valid)?);
        }
        Ok(table)
    }

    /// The rows as they came, in batches. Their numbers in the order of the table stand for their places.
    pub(super) fn written(&self) -> Vec<Batch> {
        let none = self.batches.iter().map(|rows| vec![0; rows.num_rows()]);
        let mut places: Vec<Vec<u64>> = none.collect();
        for ((batch, row), number) in self.rows.iter().zip(0..) {
            places[*batch as usize][*row as usize] = number;
        }
        let batches = self.batches.iter().zip(&self.keys).zip(places);
        let batch = |((rows, keys), places): ((&RecordBatch, &BinaryArray), Vec<u64>)| {
            Batch::new(rows.clone())
                .with_order(Some(keys.clone()))
                .with_places(Places::Each(places.into()))
        };
        batches.map(batch).collect()
    }

    fn key(&self, row: u32) -> &[u8] {
        let (batch, row) = self.rows[row as usize];
        self.keys[batch as usize].value(row as usize)
    }

    /// Numbers the keys as they come, and lists the rows of each.
    fn index(&mut self) {
        let mut numbers: HashTable<(u32, u32)> = HashTable::new();
        let mut key_of = Vec::with_capacity(self.rows.len());
        let mut counts: Vec<u32> = Vec::new();
        for row in 0..self.rows.len() as u32 {
            let key = self.key(row);
            let entry = numbers.entry(
                key_hash(key),
                |(_, other)| self.key(*other) == key,
                |(_, other)| key_hash(self.key(*other)),
            );
            let new = (counts.len() as u32, row);
            let number = entry.or_insert(new).get().0;
            if number as usize == counts.len() {
                counts.push(0);
            }
            counts[number as usize] += 1;
            key_of.push(number);
        }
        let mut next = 0;
        self.starts = counts.iter().map(|count| (next, next += count).0).collect();
        self.starts.push(next);
        let mut free = self.starts.clone();
        self.of_keys = vec![0; self.rows.len()];
        for (row, key) in key_of.into_iter().enumerate() {
            let at = &mut free[key as usize];
            self.of_keys[*at as usize] = row as u32;
            *at += 1;
        }
        self.numbers = numbers;
    }

    /// Sorts the rows of each key by the time from which they hold.
    fn times(&mut self, valid: &Valid) -> Result<Times> {
        let [from, to] = valid.names();
        let of = |name: &str, open: Instant| -> Result<Vec<Vec<Instant>>> {
            let batches = self.batches.iter();
            batches
                .map(|rows| instants(&column(rows, name)?, open))
                .collect()
        };
        let (from, to) = (of(from, BEGINNING)?, of(to, END)?);
        let at = |times: &[Vec<Instant>], row: u32| {
            let (batch, row) = self.rows[row as usize];
            times[batch as usize][row as usize]
        };
        let mut latest = Vec::with_capacity(self.rows.len());
        for key in self.starts.windows(2) {
            let rows = &mut self.of_keys[key[0] as usize..key[1] as usize];
            rows.sort_unstable_by_key(|row| (at(&from, *row), *row));
            let mut so_far = BEGINNING;
            for row in rows {
                so_far = so_far.max(at(&to, *row));
                latest.push(so_far);
            }
        }
        let each =
            |times: &[Vec<Instant>]| self.of_keys.iter().map(|row| at(times, *row)).collect();
        Ok(Times {
            from: each(&from),
            to: each(&to),
            latest,
        })
    }

    /// The rows of a key that hold at a time, if times count, in the order of the table.
    pub(super) fn find(&self, key: &[u8], time: Option<Instant>, keep: Keep, found: &mut Vec<u32>) {
        found.clear();
        let same = |(_, row): &(u32, u32)| self.key(*row) == key;
        let Some((number, _)) = self.numbers.find(key_hash(key), same) else {
            return;
        };
        let start = self.starts[*number as usize] as usize;
        let end = self.starts[*number as usize + 1] as usize;
        match (&self.times, time, keep) {
            (Some(times), Some(time), _) => {
                let begun = times.from[start..end].partition_point(|from| *from <= time);
                let open = (start..start + begun).rev();
                let open = open.take_while(|at| times.latest[*at] > time);
                found.extend(
                    open.filter(|at| times.to[*at] > time)
                        .map(|at| self.of_keys[at]),
                );
                found.sort_unstable();
                match keep {
                    Keep::First => found.truncate(1),
                    Keep::Last => drop(found.drain(..found.len().saturating_sub(1))),
                    Keep::All => {}
                }
            }
            (_, _, Keep::First) => found.push(self.of_keys[start]),
            (_, _, Keep::Last) => found.push(self.of_keys[end - 1]),
            (_, _, Keep::All) => found.extend_from_slice(&self.of_keys[start..end]),
        }
    }

    /// A column of some rows; null where there is none.
    ///
    /// # Errors
    /// When Arrow cannot put them together.
    pub(super) fn gather(&self, columns: &[usize], rows: &[Option<u32>]) -> Result<Vec<ArrayRef>> {
        // Only the batches in use: putting arrays together costs something for each that is given.
        let batch = |row: &u32| self.rows[*row as usize].0;
        let mut used: Vec<u32> = rows.iter().flatten().map(batch).collect();
        used.sort_unstable();
        used.dedup();
        let place = |row: &Option<u32>| {
            row.map_or((0, 0), |row| {
                let (batch, row) = self.rows[row as usize];
                (1 + used.partition_point(|b| *b < batch), row as usize)
            })
        };
        let places: Vec<(usize, usize)> = rows.iter().map(place).collect();
        let gathered = columns.iter().map(|at| {
            let batches = used.iter().map(|b| self.batches[*b as usize].column(*at));
            let arrays = std::iter::once(&self.nulls[*at]).chain(batches);
            let arrays: Vec<&dyn Array> = arrays.map(|array| array.as_ref()).collect();
            Ok(interleave(&arrays, &places)?)
        });
        gathered.collect()
    }
}

/// The rows of all batches in the order of their places.
fn in_order(batches: &[Batch]) -> Vec<(u32, u32)> {
    let rows = |(number, batch): (usize, &Batch)| {
        (0..batch.len() as u32).map(move |row| (number as u32, row))
    };
    let mut all: Vec<(u32, u32)> = batches.iter().enumerate().flat_map(rows).collect();
    // Stable: rows that were made of one row have its place, and come in order.
    all.sort_by_key(|(batch, row)| batches[*batch as usize].places().get(*row as usize));
    all
}
