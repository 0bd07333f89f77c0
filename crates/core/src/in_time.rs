//! Rows put in the order of their time: held until the watermark says that nothing older comes, then handed on in the order of
//! (time, place).
//!
//! Batches are held as they came, each sorted by itself, and give their oldest rows: nothing is copied twice, and rows that came
//! in order are handed on as slices. What does not fit into memory goes to disk as sorted runs.

use crate::external::{OpenRuns, piece_bytes, piece_rows};
use crate::runs::{Merge, Merged};
use crate::saved::{Restored, Save, Share};
use crate::time::{END, Instant};
use crate::{Batch, Error, Result, StageContext};
use arrow_array::{BinaryArray, UInt32Array};
use arrow_schema::SchemaRef;

/// When a row may go, when it happened, and where it stands.
type Turn = (Instant, Instant, u64);

/// A batch that is held, in order.
struct Held {
    batch: Batch,
    turns: Vec<Turn>,
    /// The first row that has not gone.
    at: usize,
}

/// Rows that go in order.
pub struct InTime {
    context: StageContext,
    held: Vec<Held>,
    bytes: usize,
    rows: usize,
    runs: Option<OpenRuns>,
    going: Option<Going>,
}

/// What is going.
struct Going {
    /// Those in memory: which batch, which row.
    order: Vec<(u32, u32)>,
    at: usize,
    /// Where there are runs on disk: everything below this key goes, the runs (0) and those in memory (1) merged.
    disk: Option<(Option<Vec<u8>>, Merge)>,
}

impl InTime {
    /// Without rows.
    pub fn new(context: &StageContext) -> Self {
        Self {
            context: context.clone(),
            held: Vec::new(),
            bytes: 0,
            rows: 0,
            runs: None,
            going: None,
        }
    }

    /// Takes rows in, which must have times and places. Each goes when the watermark is beyond its time.
    pub fn push(&mut self, batch: Batch) -> Result<()> {
        let times = batch.times().ok_or_else(|| without("times"))?.at().clone();
        self.push_until(batch, |row| times[row].saturating_add(1))
    }

    /// The same for rows some of which are late: those go as if they had happened at their horizon.
    ///
    /// # Errors
    /// As [`InTime::push`].
    pub fn push_all(&mut self, batch: Batch) -> Result<()> {
        let times = batch.times().ok_or_else(|| without("times"))?.clone();
        let at = |row: usize| times.at()[row].max(times.horizon(row));
        self.push_at(batch, |row| (at(row).saturating_add(1), at(row)))
    }

    /// The same; row `i` goes, with all that go at the same watermark, when the watermark has reached `goes(i)`.
    ///
    /// # Errors
    /// As [`InTime::push`].
    pub fn push_until(&mut self, batch: Batch, goes: impl Fn(usize) -> Instant) -> Result<()> {
        let times = batch.times().ok_or_else(|| without("times"))?.at().clone();
        self.push_at(batch, |row| (goes(row), times[row]))
    }

    fn push_at(&mut self, batch: Batch, at: impl Fn(usize) -> (Instant, Instant)) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let places = batch.places().clone();
        let turn = |row: usize| {
            let place = places.get(row).ok_or_else(|| without("places"))?;
            let (goes, time) = at(row);
            Ok((goes, time, place.0))
        };
        let mut turns = (0..batch.len()).map(turn).collect::<Result<Vec<Turn>>>()?;
        let mut batch = batch.with_charge(None).with_hash(None).with_order(None);
        if !turns.is_sorted() {
            let mut order: Vec<(Turn, u32)> = turns.into_iter().zip(0..).collect();
            order.sort_unstable();
            turns = order.iter().map(|(turn, _)| *turn).collect();
            let rows = UInt32Array::from_iter_values(order.into_iter().map(|(_, row)| row));
            batch = batch.take(&rows)?;
        }
        self.bytes += bytes_of(&batch);
        self.rows += batch.len();
        self.held.push(Held {
            batch,
            turns,
            at: 0,
        });
        if self.bytes > self.context.memory {
            self.spill()?;
        }
        Ok(())
    }

    /// Begins to let go of all rows that the watermark has passed.
    pub fn let_go(&mut self, watermark: Instant) -> Result<()> {
        let disk = match self.runs.as_ref().is_some_and(|runs| !runs.is_empty()) {
            true => Some((bound(watermark), Merge::new(2).without_keys())),
            false => None,
        };
        self.going = Some(Going {
            order: self.ripe(watermark),
            at: 0,
            disk,
        });
        Ok(())
    }

    /// The rows in memory that the watermark has passed, in order; from now on they count as gone.
    fn ripe(&mut self, watermark: Instant) -> Vec<(u32, u32)> {
        let mut ripe: Vec<(Turn, (u32, u32))> = Vec::new();
        let mut sorted = true;
        for (which, held) in self.held.iter_mut().enumerate() {
            let until = held.turns.partition_point(|turn| turn.0 <= watermark);
            let rows = held.at..until.max(held.at);
            if let (Some(last), Some(first)) = (ripe.last(), held.turns[rows.clone()].first()) {
                sorted &= last.0 <= *first;
            }
            let turns = held.turns[rows.clone()].iter().copied();
            ripe.extend(turns.zip(rows.map(|row| (which as u32, row as u32))));
            held.at = until.max(held.at);
        }
        if !sorted {
            // Batches are sorted, each by itself: a sort that merges runs has little to do.
            ripe.sort();
        }
        self.rows -= ripe.len();
        ripe.into_iter().map(|(_, row)| row).collect()
    }

    /// The next rows that go, at most as many as a batch should have; none when all have gone that may.
    #[expect(
        clippy::should_implement_trait,
        reason = "an error may come in place of rows"
    )]
    pub fn next(&mut self) -> Result<Option<Batch>> {
        let Some(going) = &mut self.going else {
            return Ok(None);
        };
        let limit = self.context.batch_rows;
        let Some((bound, merge)) = &mut going.disk else {
            let next = from_memory(&self.held, &going.order, &mut going.at, limit)?;
            if next.is_none() {
                self.gone();
            }
            return Ok(next);
        };
        loop {
            match merge.next(limit)? {
                Merged::Rows(batch) => return Ok(Some(batch)),
                Merged::End => break,
                Merged::Starved(0) => {
                    let runs = self.runs.as_mut();
                    let next = runs.map(|runs| runs.next_before(limit, bound.as_deref()));
                    match next.transpose()?.flatten() {
                        Some(batch) => merge.feed(0, batch)?,
                        None => merge.end(0),
                    }
                }
                Merged::Starved(run) => {
                    let (order, at) = (&going.order, &mut going.at);
                    match from_memory(&self.held, order, at, limit)? {
                        Some(batch) => merge.feed(run, keyed(batch, &self.held, order, *at))?,
                        None => merge.end(run),
                    }
                }
            }
        }
        self.gone();
        Ok(None)
    }

    fn gone(&mut self) {
        self.going = None;
        self.held.retain(|held| held.at < held.turns.len());
        self.bytes = self.held.iter().map(|held| bytes_of(&held.batch)).sum();
    }

    /// Writes everything in memory to disk; not while rows are going.
    pub fn spill(&mut self) -> Result<()> {
        let rows = self.rows;
        let order = self.ripe(END);
        let Some(schema) = self.held.first().map(|held| held.batch.schema()) else {
            return Ok(());
        };
        let runs = self.runs.get_or_insert_with(|| open(&self.context, schema));
        let target = piece_bytes(self.context.memory);
        let limit = piece_rows(target, rows, self.bytes, self.context.batch_rows);
        let (held, mut at) = (&self.held, 0);
        runs.write(|| {
            let next = from_memory(held, &order, &mut at, limit)?;
            Ok(next.map(|batch| keyed(batch, held, &order, at)))
        })?;
        self.held.clear();
        self.bytes = 0;
        Ok(())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes down the rows that have not gone. Not while rows are going.
    pub fn save(&self, name: &'static str, into: &mut dyn Save) {
        for held in &self.held {
            let turns = &held.turns[held.at..];
            let order = BinaryArray::from_iter_values(turns.iter().map(|turn| key(*turn)));
            let rows = held.batch.slice(held.at, turns.len());
            into.rows(name, rows.with_order(Some(order)));
        }
        if let Some(runs) = &self.runs {
            runs.save(name, into);
        }
    }

    /// Takes over the rows that had not gone. What does not fit into memory goes to disk.
    ///
    /// # Errors
    /// When they cannot be read, or the disk refuses.
    pub fn restore(
        &mut self,
        name: &str,
        (from, share): (&Restored<'_>, Share<'_>),
        schema: SchemaRef,
    ) -> Result<()> {
        let mut runs = open(&self.context, schema);
        runs.restore(name, from, share)?;
        self.runs = Some(runs).filter(|runs| !runs.is_empty());
        from.rows(name, share, &mut |batch| {
            let order = batch.order().ok_or_else(|| without("their turns"))?;
            let turns: Vec<Turn> = order.iter().flatten().map(turn_of).collect();
            let batch = batch.with_order(None);
            self.bytes += bytes_of(&batch);
            self.rows += batch.len();
            let at = 0;
            self.held.push(Held { batch, turns, at });
            match self.bytes > self.context.memory {
                true => self.spill(),
                false => Ok(()),
            }
        })
    }
}

fn open(context: &StageContext, schema: SchemaRef) -> OpenRuns {
    OpenRuns::new(context, schema)
}

fn without(what: &str) -> Error {
    Error::internal(format!("rows that are to go in order came without {what}"))
}

fn bytes_of(batch: &Batch) -> usize {
    batch.bytes() + 24 * batch.len()
}

/// The next rows in memory: a slice where they stand together.
fn from_memory(
    held: &[Held],
    order: &[(u32, u32)],
    at: &mut usize,
    limit: usize,
) -> Result<Option<Batch>> {
    let rest = &order[*at..];
    let Some((which, row)) = rest.first().copied() else {
        return Ok(None);
    };
    let follows = |(offset, next): &(usize, &(u32, u32))| **next == (which, row + *offset as u32);
    let together = rest
        .iter()
        .enumerate()
        .take(limit)
        .take_while(follows)
        .count();
    if together == rest.len().min(limit) || together >= SLICE {
        *at += together;
        return Ok(Some(
            held[which as usize].batch.slice(row as usize, together),
        ));
    }
    let some = &rest[..rest.len().min(limit)];
    *at += some.len();
    // Only the batches in use: putting arrays together costs something for each that is given.
    let mut used: Vec<u32> = some.iter().map(|(which, _)| *which).collect();
    used.sort_unstable();
    used.dedup();
    let batches: Vec<&Batch> = used
        .iter()
        .map(|which| &held[*which as usize].batch)
        .collect();
    let position = |which: &u32| used.partition_point(|used| used < which);
    let indices = some
        .iter()
        .map(|(which, row)| (position(which), *row as usize));
    Batch::interleave(&batches, &indices.collect::<Vec<_>>()).map(Some)
}

/// From so many rows on, a slice is handed on rather than copied together with others.
const SLICE: usize = 512;

/// The batch that ends before `until`, with its order keys.
fn keyed(batch: Batch, held: &[Held], order: &[(u32, u32)], until: usize) -> Batch {
    let rows = &order[until - batch.len()..until];
    let turns = rows
        .iter()
        .map(|(which, row)| held[*which as usize].turns[*row as usize]);
    let order = BinaryArray::from_iter_values(turns.map(key));
    batch.with_order(Some(order))
}

fn key((goes, time, place): Turn) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&ascending(goes));
    key[8..16].copy_from_slice(&ascending(time));
    key[16..].copy_from_slice(&place.to_be_bytes());
    key
}

/// The turn that a key stands for; the beginning of time for what is no key.
fn turn_of(key: &[u8]) -> Turn {
    let number = |at: usize| {
        let bytes = key.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_be_bytes(bytes.unwrap_or_default())
    };
    let time = |at: usize| number(at) as i64 ^ i64::MIN;
    (time(0), time(8), number(16))
}

fn ascending(time: Instant) -> [u8; 8] {
    (time ^ i64::MIN).to_be_bytes()
}

/// What is less has been passed by the watermark; none if everything has.
fn bound(watermark: Instant) -> Option<Vec<u8>> {
    let next = watermark.checked_add(1)?;
    Some(ascending(next).to_vec())
}
