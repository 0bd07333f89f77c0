//! Rolling windows: for each row, the rows of its key that lead up to it.
//!
//! A window is put together of blocks. The rows of a key are numbered; four neighbours make a block, four blocks a larger one, and
//! so on. A block is summarised once, and a window of n rows consists of a few rows at either end and a few blocks of each size
//! in between, so a row costs some log n merges however long the window is, whatever the accumulators. Rows and blocks
//! are let go when no later window can hold them.

pub(super) mod saved;

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_select::interleave::interleave;
use dataflow_core::accumulator::OrderClass;
use dataflow_core::time::Instant;
use dataflow_core::window::Lookback;
use dataflow_core::{Places, Result};

use crate::calls::{Calls, States};

/// So many neighbours make a block.
const FAN: u64 = 4;

/// Something that is kept: which chunk, which row of it.
type Kept = (u32, u32);

/// A row of a key.
#[derive(Clone, Copy, Debug)]
struct Row {
    at: Kept,
    time: Instant,
    /// Its number among all rows.
    number: u64,
}

/// A queue of numbered things, of which the first ones are let go.
#[derive(Debug)]
struct Numbered<T> {
    first: u64,
    list: VecDeque<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            first: 0,
            list: VecDeque::new(),
        }
    }
}

impl<T: Copy> Numbered<T> {
    fn get(&self, number: u64) -> T {
        self.list[(number - self.first) as usize]
    }

    fn next(&self) -> u64 {
        self.first + self.list.len() as u64
    }
}

#[derive(Debug, Default)]
struct Key {
    rows: Numbered<Row>,
    /// Blocks of four rows, of sixteen, ...
    blocks: Vec<Numbered<Kept>>,
    /// The first row of the last window.
    start: u64,
}

/// Columns, how many rows they have, and how many of those are kept.
struct Chunk {
    columns: Vec<ArrayRef>,
    rows: usize,
    kept: usize,
}

/// Columns of which rows are kept, until all of them are let go.
#[derive(Default)]
struct Chunks {
    list: Vec<Option<Chunk>>,
    bytes: usize,
    /// Rows in chunks, and those of them that are kept still.
    rows: usize,
    kept: usize,
}

impl Chunks {
    /// Keeps all rows of these columns.
    fn add(&mut self, columns: Vec<ArrayRef>, rows: usize) -> u32 {
        self.bytes += bytes(&columns);
        self.rows += rows;
        self.kept += rows;
        let free = self.list.iter().position(Option::is_none);
        let at = free.unwrap_or(self.list.len());
        let chunk = Some(Chunk {
            columns,
            rows,
            kept: rows,
        });
        match free {
            Some(free) => self.list[free] = chunk,
            None => self.list.push(chunk),
        }
        at as u32
    }

    fn let_go(&mut self, (chunk, _): Kept) {
        let place = &mut self.list[chunk as usize];
        let Some(held) = place else {
            return;
        };
        held.kept -= 1;
        self.kept -= 1;
        if held.kept == 0 {
            self.bytes -= bytes(&held.columns);
            self.rows -= held.rows;
            *place = None;
        }
    }

    /// Whether most of what is held is not kept any more, but shares a chunk with something that is.
    fn is_sparse(&self) -> bool {
        self.rows > SPARSE && self.rows > 4 * self.kept
    }

    /// Puts what is kept, told one by one, into a chunk of its own.
    fn gather<'k>(&mut self, kept: impl Iterator<Item = &'k mut Kept>) -> Result<()> {
        let kept: Vec<&mut Kept> = kept.collect();
        let rows: Vec<Kept> = kept.iter().map(|at| **at).collect();
        let columns = self.take(&rows)?;
        *self = Self::default();
        let chunk = self.add(columns, rows.len());
        kept.into_iter()
            .zip(0..)
            .for_each(|(at, row)| *at = (chunk, row));
        Ok(())
    }

    /// Some rows, put together.
    fn take(&self, rows: &[Kept]) -> Result<Vec<ArrayRef>> {
        let mut used: Vec<u32> = rows.iter().map(|(chunk, _)| *chunk).collect();
        used.sort_unstable();
        used.dedup();
        let position = |chunk: u32| used.partition_point(|used| *used < chunk);
        let mut last = (u32::MAX, 0);
        let mut index = |(chunk, row): &Kept| {
            if last.0 != *chunk {
                last = (*chunk, position(*chunk));
            }
            (last.1, *row as usize)
        };
        let indices: Vec<(usize, usize)> = rows.iter().map(&mut index).collect();
        let chunks: Vec<&Vec<ArrayRef>> = used
            .iter()
            .filter_map(|chunk| self.list[*chunk as usize].as_ref())
            .map(|chunk| &chunk.columns)
            .collect();
        let width = chunks.first().map_or(0, |columns| columns.len());
        let column = |at: usize| {
            let arrays: Vec<&dyn Array> =
                chunks.iter().map(|columns| columns[at].as_ref()).collect();
            Ok(interleave(&arrays, &indices)?)
        };
        (0..width).map(column).collect()
    }
}

/// With fewer rows than this, those that are not kept do no harm. Tests have few.
const SPARSE: usize = if cfg!(test) { 64 } else { 65_536 };

fn bytes(columns: &[ArrayRef]) -> usize {
    columns
        .iter()
        .map(|column| column.get_array_memory_size())
        .sum()
}

/// What each row looks back at.
pub(super) struct Rolling {
    lookback: Lookback,
    calls: Arc<Calls>,
    /// How many sizes of blocks there are.
    levels: usize,
    keys: Vec<Key>,
    rows: Chunks,
    blocks: Chunks,
    held: usize,
}

/// The windows of some rows: the states of each, and the time of its first row.
pub(super) struct Looked {
    pub(super) states: States,
    pub(super) starts: Vec<Instant>,
}

impl Rolling {
    /// Windows that look so far back.
    pub(super) fn new(lookback: Lookback, calls: &Arc<Calls>) -> Self {
        let levels = match (calls.order_class(), lookback) {
            // What takes one row after another cannot be put together.
            (OrderClass::Sequence, _) => 0,
            (_, Lookback::Span(_)) => 16,
            (_, Lookback::Rows(rows)) => (1..16)
                .take_while(|level| 2 * FAN.pow(*level) <= rows)
                .count(),
        };
        Self {
            lookback,
            calls: Arc::clone(calls),
            levels,
            keys: Vec::new(),
            rows: Chunks::default(),
            blocks: Chunks::default(),
            held: 0,
        }
    }

    /// Takes rows in, in order, and says what each looks back at.
    pub(super) fn take(
        &mut self,
        keys: &[u32],
        times: &[Instant],
        first: u64,
        inputs: &[ArrayRef],
    ) -> Result<Looked> {
        let chunk = self.rows.add(inputs.to_vec(), keys.len());
        let most = keys.iter().max().map_or(0, |key| *key as usize + 1);
        self.keys
            .resize_with(most.max(self.keys.len()), Key::default);
        self.held += keys.len();
        let mut windows: Vec<(u32, u64, u64)> = Vec::with_capacity(keys.len());
        for (row, (key, time)) in keys.iter().zip(times).enumerate() {
            let of = &mut self.keys[*key as usize];
            let number = of.rows.next();
            of.rows.list.push_back(Row {
                at: (chunk, row as u32),
                time: *time,
                number: first + row as u64,
            });
            match self.lookback {
                Lookback::Rows(rows) => of.start = (number + 1).saturating_sub(rows),
                Lookback::Span(span) => {
                    let after = time.saturating_sub(span);
                    while of.rows.get(of.start).time <= after && of.start < number {
                        of.start += 1;
                    }
                }
            }
            windows.push((*key, of.start, number + 1));
        }
        self.make_blocks(keys)?;
        let looked = self.look(&windows)?;
        self.let_go(keys);
        if self.rows.is_sparse() {
            let rows = self.keys.iter_mut().flat_map(|key| &mut key.rows.list);
            self.rows.gather(rows.map(|row| &mut row.at))?;
        }
        if self.blocks.is_sparse() {
            let blocks = self.keys.iter_mut().flat_map(|key| &mut key.blocks);
            self.blocks
                .gather(blocks.flat_map(|level| &mut level.list))?;
        }
        Ok(looked)
    }

    /// Summarises the blocks that are whole now.
    fn make_blocks(&mut self, keys: &[u32]) -> Result<()> {
        let mut touched = keys.to_vec();
        touched.sort_unstable();
        touched.dedup();
        for level in 0..self.levels {
            let mut made: Vec<(u32, u64)> = Vec::new();
            for key in &touched {
                let of = &mut self.keys[*key as usize];
                if of.blocks.len() <= level {
                    // Blocks whose first part is gone already are never made.
                    let blocks = Numbered {
                        first: parts_of(of, level).0.div_ceil(FAN),
                        list: VecDeque::new(),
                    };
                    of.blocks.push(blocks);
                }
                let next = parts_of(of, level).1 / FAN;
                let have = of.blocks[level]
                    .next()
                    .max(parts_of(of, level).0.div_ceil(FAN));
                if of.blocks[level].list.is_empty() {
                    of.blocks[level].first = have;
                }
                made.extend((have..next).map(|block| (*key, block)));
            }
            if made.is_empty() {
                return Ok(());
            }
            let mut states = States::new(&self.calls);
            states.resize(made.len());
            let groups: Vec<u32> = (0..made.len() as u32).collect();
            if level == 0 {
                let each = |(key, block): &(u32, u64)| {
                    let rows = &self.keys[*key as usize].rows;
                    (block * FAN..(block + 1) * FAN).map(|row| rows.get(row))
                };
                let rows: Vec<Row> = made.iter().flat_map(each).collect();
                let groups: Vec<u32> = groups
                    .iter()
                    .flat_map(|group| [*group; FAN as usize])
                    .collect();
                self.update(&mut states, &groups, &rows)?;
            } else {
                for part in 0..FAN {
                    let at = |(key, block): &(u32, u64)| {
                        self.keys[*key as usize].blocks[level - 1].get(block * FAN + part)
                    };
                    let parts: Vec<Kept> = made.iter().map(at).collect();
                    states.merge(&groups, &self.blocks.take(&parts)?)?;
                }
            }
            let chunk = self.blocks.add(states.state(&groups)?, made.len());
            for ((key, _), row) in made.into_iter().zip(0..) {
                self.keys[key as usize].blocks[level]
                    .list
                    .push_back((chunk, row));
            }
        }
        Ok(())
    }

    fn update(&self, states: &mut States, groups: &[u32], rows: &[Row]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let kept: Vec<Kept> = rows.iter().map(|row| row.at).collect();
        let inputs = self.rows.take(&kept)?;
        let places = Places::Each(rows.iter().map(|row| row.number).collect());
        states.update(Some(groups), rows.len(), &inputs, &places)
    }

    /// Puts windows together: of a key, from one row up to another.
    fn look(&self, windows: &[(u32, u64, u64)]) -> Result<Looked> {
        let mut states = States::new(&self.calls);
        states.resize(windows.len());
        let (mut left, mut right) = (Side::default(), Side::default());
        let mut blocks: Vec<(Vec<u32>, Vec<Kept>)> = Vec::new();
        let mut starts = Vec::with_capacity(windows.len());
        for (window, (key, from, to)) in windows.iter().enumerate() {
            let window = window as u32;
            let of = &self.keys[*key as usize];
            starts.push(of.rows.get(*from).time);
            let (mut from, mut to) = (*from, *to);
            let whole = |level: usize, block: u64| {
                of.blocks
                    .get(level)
                    .is_some_and(|blocks| block >= blocks.first && block < blocks.next())
            };
            // Rows up to the first block, and behind the last one.
            while from < to
                && !(from.is_multiple_of(FAN) && whole(0, from / FAN) && from + FAN <= to)
            {
                left.add(window, of.rows.get(from));
                from += 1;
            }
            let behind = right.rows.len();
            while from < to && !to.is_multiple_of(FAN) {
                to -= 1;
                right.add(window, of.rows.get(to));
            }
            right.rows[behind..].reverse();
            let (mut from, mut to) = (from / FAN, to / FAN);
            let (mut count, mut level, mut last) = (0, 0, Vec::new());
            let mut add = |count: usize, at: Kept| {
                if blocks.len() <= count {
                    blocks.push((Vec::new(), Vec::new()));
                }
                blocks[count].0.push(window);
                blocks[count].1.push(at);
            };
            while from < to {
                let up = |block: u64| block.is_multiple_of(FAN) && whole(level + 1, block / FAN);
                while from < to && !(up(from) && from + FAN <= to) {
                    add(count, of.blocks[level].get(from));
                    count += 1;
                    from += 1;
                }
                while from < to && !to.is_multiple_of(FAN) {
                    to -= 1;
                    last.push(of.blocks[level].get(to));
                }
                from /= FAN;
                to /= FAN;
                level += 1;
            }
            for at in last.into_iter().rev() {
                add(count, at);
                count += 1;
            }
        }
        self.update(&mut states, &left.windows, &left.rows)?;
        for (windows, parts) in blocks {
            states.merge(&windows, &self.blocks.take(&parts)?)?;
        }
        self.update(&mut states, &right.windows, &right.rows)?;
        Ok(Looked { states, starts })
    }

    /// Lets go of what no later window of these keys can hold.
    fn let_go(&mut self, keys: &[u32]) {
        for key in keys {
            let of = &mut self.keys[*key as usize];
            let start = match self.lookback {
                Lookback::Rows(rows) => (of.rows.next() + 1).saturating_sub(rows),
                Lookback::Span(_) => of.start,
            };
            self.held -= forget(of, start, &mut self.rows, &mut self.blocks);
        }
    }

    /// Lets go of all rows that are no newer than an instant. Returns how many keys have rows still, of how many.
    pub(super) fn forget_before(&mut self, time: Instant) -> (usize, usize) {
        let Lookback::Span(span) = self.lookback else {
            return (self.keys.len(), self.keys.len());
        };
        let after = time.saturating_sub(span);
        let mut used = 0;
        for of in &mut self.keys {
            let old = of.rows.list.partition_point(|row| row.time <= after);
            let start = of.rows.first + old as u64;
            of.start = of.start.max(start);
            self.held -= forget(of, start, &mut self.rows, &mut self.blocks);
            used += usize::from(!of.rows.list.is_empty());
        }
        (used, self.keys.len())
    }

    /// The keys that have rows, who from now on are numbered in this order.
    pub(super) fn renumbered(&mut self) -> Vec<u32> {
        let has_rows = |key: &u32| !self.keys[*key as usize].rows.list.is_empty();
        let kept: Vec<u32> = (0..self.keys.len() as u32).filter(has_rows).collect();
        let mut keys: Vec<Option<Key>> = std::mem::take(&mut self.keys)
            .into_iter()
            .map(Some)
            .collect();
        self.keys = kept
            .iter()
            .filter_map(|key| keys[*key as usize].take())
            .collect();
        kept
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes
            + self.blocks.bytes
            + self.held * (size_of::<Row>() + 12)
            + self.keys.len() * size_of::<Key>()
    }
}

/// The first part of blocks of a level that is there, and the one behind the last.
fn parts_of(key: &Key, level: usize) -> (u64, u64) {
    match level.checked_sub(1) {
        None => (key.rows.first, key.rows.next()),
        Some(below) => (key.blocks[below].first, key.blocks[below].next()),
    }
}

/// Lets go of a key's rows before `start`, and of the blocks that hold one. Returns how many rows these were.
fn forget(key: &mut Key, start: u64, rows: &mut Chunks, blocks: &mut Chunks) -> usize {
    let mut gone = 0;
    while key.rows.first < start {
        let Some(row) = key.rows.list.pop_front() else {
            break;
        };
        rows.let_go(row.at);
        key.rows.first += 1;
        gone += 1;
    }
    let mut size = FAN;
    for level in &mut key.blocks {
        while level.first * size < start {
            let Some(at) = level.list.pop_front() else {
                break;
            };
            blocks.let_go(at);
            level.first += 1;
        }
        size = size.saturating_mul(FAN);
    }
    gone
}

/// Rows at one end of windows.
#[derive(Default)]
struct Side {
    windows: Vec<u32>,
    rows: Vec<Row>,
}

impl Side {
    fn add(&mut self, window: u32, row: Row) {
        self.windows.push(window);
        self.rows.push(row);
    }
}
