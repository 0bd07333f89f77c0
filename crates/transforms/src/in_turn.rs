//! The rows of keys, in the order of (time, key, place), as the watermark passes.
//!
//! Rows come in the order of (time, place) from [`InTime`]. What is left is to put the rows of one instant in the order of their
//! keys. They are in memory, unless there are very many: then they are sorted on disk.

use std::collections::VecDeque;

use arrow_array::{ArrayRef, BinaryArray, UInt32Array};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, SchemaRef};
use dataflow_core::external::sort_by_bytes;
use dataflow_core::order::Keys;
use dataflow_core::saved::{Changes, Restored, Save, Share};
use dataflow_core::sorter::{Sorted, Sorter};
use dataflow_core::time::Instant;
use dataflow_core::{Batch, Error, Result, StageContext};

use crate::aggregate::groups::Groups;
use crate::columns::column;
use crate::saved::{PIECE, keyed};
use dataflow_core::in_time::InTime;

/// The keys met so far, each with a number.
pub(crate) struct KeyNumbers {
    /// How many columns they have.
    columns: usize,
    /// None where there are no keys: all rows are of one.
    groups: Option<Groups>,
    order: Keys,
    /// The keys' bytes, whose order is the keys'.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The keys of which something has changed since that was saved.
    pub(crate) changes: Changes,
}

impl KeyNumbers {
    /// None yet, of keys of these types.
    pub(crate) fn new(types: &[DataType], memory: usize) -> Result<Self> {
        Ok(Self {
            columns: types.len(),
            groups: match types.is_empty() {
                true => None,
                false => Some(Groups::new(types, memory)?),
            },
            order: Keys::ascending(types)?,
            bytes: Vec::new(),
            ends: Vec::new(),
            changes: Changes::default(),
        })
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        match &self.groups {
            Some(groups) => groups.len(),
            None => 1,
        }
    }

    /// The number of each row's key.
    pub(crate) fn assign(
        &mut self,
        keys: &[ArrayRef],
        rows: usize,
        numbers: &mut Vec<u32>,
    ) -> Result<()> {
        let Some(groups) = &mut self.groups else {
            numbers.clear();
            numbers.resize(rows, 0);
            return Ok(());
        };
        groups.assign(keys, numbers)?;
        let new: Vec<u32> = (self.ends.len() as u32..groups.len() as u32).collect();
        if new.is_empty() {
            return Ok(());
        }
        for key in self.order.encode(&groups.keys(&new)?)?.iter() {
            self.bytes.extend_from_slice(key.unwrap_or_default());
            self.ends.push(self.bytes.len());
        }
        Ok(())
    }

    /// The bytes of a key.
    #[inline]
    pub(crate) fn bytes_of(&self, number: u32) -> &[u8] {
        if self.groups.is_none() {
            return &[];
        }
        let at = number as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }

    /// The keys with these numbers, a column each.
    pub(crate) fn keys(&self, numbers: &[u32]) -> Result<Vec<ArrayRef>> {
        match &self.groups {
            Some(groups) => groups.keys(numbers),
            None => Ok(Vec::new()),
        }
    }

    /// Saves what has changed: what `columns` has of some keys beside them, if they are held; of the others there is nothing any more.
    pub(crate) fn save_changes(
        &mut self,
        name: &'static str,
        is_held: impl Fn(u32) -> bool,
        columns: impl Fn(&[u32]) -> Result<Vec<ArrayRef>>,
        into: &mut dyn Save,
    ) -> Result<()> {
        let mut changes = std::mem::take(&mut self.changes);
        let write = |some: &[u32]| self.saved(some, columns(some)?);
        let numbered = changes.numbered(self.len(), PIECE, is_held, write);
        self.changes = changes;
        into.numbered(name, numbered?);
        Ok(())
    }

    /// Rows to be saved: the keys with these numbers, and columns beside them.
    pub(crate) fn saved(&self, numbers: &[u32], columns: Vec<ArrayRef>) -> Result<Batch> {
        keyed(self.keys(numbers)?, columns, numbers.len())
    }

    /// The numbers of the keys of rows that were saved, and the columns beside them.
    pub(crate) fn restored(&mut self, batch: &Batch) -> Result<(Vec<u32>, Vec<ArrayRef>)> {
        let (keys, columns) = batch.rows().columns().split_at(self.columns);
        let mut numbers = Vec::new();
        self.assign(keys, batch.len(), &mut numbers)?;
        Ok((numbers, columns.to_vec()))
    }

    /// Forgets all keys but these, which from now on are numbered in this order.
    pub(crate) fn renumber(&mut self, kept: &[u32]) -> Result<()> {
        let Some(groups) = &mut self.groups else {
            return Ok(());
        };
        let keys = groups.keys(kept)?;
        groups.clear()?;
        self.changes.all();
        self.bytes.clear();
        self.ends.clear();
        if kept.is_empty() {
            return Ok(());
        }
        self.assign(&keys, kept.len(), &mut Vec::new())
    }

    /// The order keys of rows: their times, their keys, and what tells them apart then.
    pub(crate) fn order(&self, times: &[Instant], keys: &[u32], then: &[u64]) -> BinaryArray {
        let lengths = keys.iter().map(|key| 16 + self.bytes_of(*key).len());
        let ends = OffsetBuffer::<i32>::from_lengths(lengths);
        let mut bytes = Vec::with_capacity(ends.last().map_or(0, |end| *end as usize));
        for ((time, key), then) in times.iter().zip(keys).zip(then) {
            bytes.extend_from_slice(&(*time ^ i64::MIN).to_be_bytes());
            bytes.extend_from_slice(self.bytes_of(*key));
            bytes.extend_from_slice(&then.to_be_bytes());
        }
        BinaryArray::new(ends, Buffer::from_vec(bytes), None)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let groups = self.groups.as_ref().map_or(0, Groups::bytes);
        groups + self.bytes.capacity() + 8 * self.ends.capacity() + self.changes.bytes()
    }
}

/// Rows in order.
pub(crate) struct Rows {
    /// The rows, with their times.
    pub(crate) batch: Batch,
    /// The numbers of their keys.
    pub(crate) keys: Vec<u32>,
}

impl Rows {
    /// When they happened.
    pub(crate) fn times(&self) -> Result<&ScalarBuffer<i64>> {
        let times = self.batch.times().ok_or_else(|| lost("times"))?;
        Ok(times.at())
    }

    /// Where they stand.
    pub(crate) fn places(&self) -> Result<ScalarBuffer<u64>> {
        let places = self.batch.places().numbers(self.batch.len());
        Ok(places.ok_or_else(|| lost("places"))?.values().clone())
    }
}

fn lost(what: &str) -> Error {
    Error::internal(format!("rows that are in order have lost their {what}"))
}

/// Rows of keys that go in order.
pub(crate) struct InTurn {
    context: StageContext,
    /// The columns that are the keys.
    columns: Vec<String>,
    pub(crate) keys: KeyNumbers,
    rows: InTime,
    /// An instant of whose rows there may be more, and those that are there.
    instant: Option<Instant>,
    waiting: Vec<Batch>,
    waiting_bytes: usize,
    /// Those of them that are too many for memory.
    many: Option<Sorter>,
    going: Option<Sorted>,
    /// What goes then: the rows of whole instants.
    next: VecDeque<Batch>,
    /// The ranks of keys, while rows are being put in order.
    ranks: Vec<u32>,
}

impl InTurn {
    /// Without rows. Keys are the columns with these names, of these types.
    pub(crate) fn new(
        context: &StageContext,
        columns: &[String],
        types: &[DataType],
    ) -> Result<Self> {
        Ok(Self {
            keys: KeyNumbers::new(types, context.memory)?,
            columns: columns.to_vec(),
            rows: InTime::new(context),
            instant: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            many: None,
            going: None,
            next: VecDeque::new(),
            ranks: Vec::new(),
            context: context.clone(),
        })
    }

    /// Takes rows in.
    pub(crate) fn push(&mut self, batch: Batch) -> Result<()> {
        self.rows.push(batch)
    }

    /// Begins to let go of all rows that the watermark has passed.
    pub(crate) fn let_go(&mut self, watermark: Instant) -> Result<()> {
        self.rows.let_go(watermark)
    }

    /// Writes down the rows that wait. Not while rows are going.
    pub(crate) fn save(&self, name: &'static str, into: &mut dyn Save) {
        self.rows.save(name, into);
    }

    /// Takes over rows that waited, of columns such as these.
    pub(crate) fn restore(
        &mut self,
        name: &str,
        from: (&Restored<'_>, Share<'_>),
        schema: SchemaRef,
    ) -> Result<()> {
        self.rows.restore(name, from, schema)
    }

    /// The next rows; none when all have gone that may.
    pub(crate) fn next(&mut self) -> Result<Option<Rows>> {
        loop {
            if let Some(going) = &mut self.going {
                if let Some(batch) = going.next(self.context.batch_rows)? {
                    return self.numbered(batch.with_order(None)).map(Some);
                }
                self.going = None;
            }
            if let Some(batch) = self.next.pop_front() {
                return self.in_order(batch).map(Some);
            }
            let batch = self.rows.next()?;
            match batch {
                Some(batch) if self.columns.is_empty() => {
                    return self.numbered(batch).map(Some);
                }
                Some(batch) => self.cut(&batch)?,
                None if self.instant.is_some() => self.end_instant()?,
                None => return Ok(None),
            }
        }
    }

    /// Sets the rows of the last instant aside, of which there may be more.
    fn cut(&mut self, batch: &Batch) -> Result<()> {
        let times = batch.times().ok_or_else(|| lost("times"))?.at();
        let Some(last) = times.last().copied() else {
            return Ok(());
        };
        let goes_on = |instant: Instant| times.partition_point(|time| *time <= instant);
        let same = self.instant.map_or(0, goes_on);
        if same > 0 {
            self.wait(batch.slice(0, same))?;
        }
        if same == batch.len() {
            return Ok(());
        }
        self.end_instant()?;
        let whole = times.partition_point(|time| *time < last).max(same);
        if whole > same {
            self.next.push_back(batch.slice(same, whole - same));
        }
        self.instant = Some(last);
        self.wait(batch.slice(whole, batch.len() - whole))
    }

    fn wait(&mut self, batch: Batch) -> Result<()> {
        self.waiting_bytes += batch.bytes();
        self.waiting.push(batch);
        if self.waiting_bytes > self.context.memory / 4 {
            self.waiting_bytes = 0;
            for batch in std::mem::take(&mut self.waiting) {
                self.sort(batch)?;
            }
        } else if self.waiting.len() > MANY {
            self.waiting = vec![together(&self.waiting)?];
        }
        Ok(())
    }

    fn sort(&mut self, batch: Batch) -> Result<()> {
        let rows = self.numbered(batch)?;
        let order = self.keys.order(rows.times()?, &rows.keys, &rows.places()?);
        let context = &self.context;
        let sorter = self.many.get_or_insert_with(|| Sorter::new(context));
        sorter.push(rows.batch.with_order(Some(order)))?;
        if sorter.bytes() > context.memory / 4 {
            sorter.spill()?;
        }
        Ok(())
    }

    /// All rows of the instant are there.
    fn end_instant(&mut self) -> Result<()> {
        self.instant = None;
        self.waiting_bytes = 0;
        let some = std::mem::take(&mut self.waiting);
        if self.many.is_none() {
            if !some.is_empty() {
                self.next.push_back(together(&some)?);
            }
            return Ok(());
        }
        for batch in some {
            self.sort(batch)?;
        }
        self.going = match self.many.take() {
            Some(mut sorter) => Some(sorter.finish()?),
            None => None,
        };
        Ok(())
    }

    fn numbered(&mut self, batch: Batch) -> Result<Rows> {
        let keys = self.columns.iter().map(|name| column(batch.rows(), name));
        let keys = keys.collect::<Result<Vec<ArrayRef>>>()?;
        let mut numbers = Vec::new();
        self.keys.assign(&keys, batch.len(), &mut numbers)?;
        Ok(Rows {
            batch,
            keys: numbers,
        })
    }

    /// Puts the rows of each instant in the order of their keys.
    fn in_order(&mut self, batch: Batch) -> Result<Rows> {
        let rows = self.numbered(batch)?;
        let times = rows.times()?;
        let mut neighbours = times.windows(2).zip(rows.keys.windows(2));
        let sorted = neighbours.all(|(times, keys)| {
            times[0] != times[1]
                || keys[0] == keys[1]
                || self.keys.bytes_of(keys[0]) < self.keys.bytes_of(keys[1])
        });
        if sorted {
            return Ok(rows);
        }
        let ranks = self.ranks(&rows.keys);
        let mut order: Vec<(Instant, u32, u32)> = times
            .iter()
            .zip(&ranks)
            .zip(0..)
            .map(|((time, rank), row)| (*time, *rank, row))
            .collect();
        order.sort_unstable();
        let order: Vec<u32> = order.into_iter().map(|(_, _, row)| row).collect();
        Ok(Rows {
            keys: order.iter().map(|row| rows.keys[*row as usize]).collect(),
            batch: rows.batch.take(&UInt32Array::from(order))?,
        })
    }

    /// For each row, how many of these rows' keys come before its own.
    fn ranks(&mut self, keys: &[u32]) -> Vec<u32> {
        self.ranks.resize(self.keys.len(), UNKNOWN);
        let ranks = &mut self.ranks;
        let first = |key: &&u32| std::mem::replace(&mut ranks[**key as usize], 0) == UNKNOWN;
        let distinct: Vec<u32> = keys.iter().filter(first).copied().collect();
        let sorted = sort_by_bytes(distinct.iter().copied(), |key| self.keys.bytes_of(key));
        for (key, rank) in sorted.iter().zip(0..) {
            self.ranks[*key as usize] = rank;
        }
        let found = keys.iter().map(|key| self.ranks[*key as usize]).collect();
        for key in distinct {
            self.ranks[key as usize] = UNKNOWN;
        }
        found
    }

    /// Bytes held of rows.
    pub(crate) fn bytes(&self) -> usize {
        let many = self.many.as_ref().map_or(0, Sorter::bytes);
        self.rows.bytes() + self.waiting_bytes + many
    }
}

/// No rank is known.
const UNKNOWN: u32 = u32::MAX;

/// More batches of one instant than this are put together.
const MANY: usize = 64;

fn together(batches: &[Batch]) -> Result<Batch> {
    if let [one] = batches {
        return Ok(one.clone());
    }
    let all: Vec<&Batch> = batches.iter().collect();
    let rows = |(at, batch): (usize, &Batch)| (0..batch.len()).map(move |row| (at, row));
    let rows = batches.iter().enumerate().flat_map(rows);
    Batch::interleave(&all, &rows.collect::<Vec<_>>())
}
