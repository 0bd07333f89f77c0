//! An external sort: rows are held until memory is full, spilled in sorted runs, and merged at the end.

use arrow_schema::SchemaRef;

use crate::runs::{MergedRuns, Run};
use crate::saved::{Restored, Save, Share};
use crate::{Batch, Error, Result, StageContext};
use arrow_array::Array;

use crate::external::{Runs, piece_bytes, piece_rows, sort_by_bytes};

/// A row that is held: which batch, which row of it.
pub type Held = (u32, u32);

/// Rows that are being sorted. Batches come with order keys.
pub struct Sorter {
    context: StageContext,
    batches: Vec<Batch>,
    rows: usize,
    bytes: usize,
    runs: Option<Runs>,
}

/// Rows in order.
pub enum Sorted {
    /// All in memory.
    Held(HeldRows),
    /// Merged from disk.
    Spilled(Box<MergedRuns>),
}

/// Rows in memory and their order.
pub struct HeldRows {
    batches: Vec<Batch>,
    order: Vec<Held>,
    at: usize,
    /// How many rows the batches have, and their bytes.
    rows: usize,
    bytes: usize,
}

impl Sorter {
    /// Nothing yet.
    pub fn new(context: &StageContext) -> Self {
        Self {
            context: context.clone(),
            batches: Vec::new(),
            rows: 0,
            bytes: 0,
            runs: None,
        }
    }

    /// Holds rows; their order keys must be set.
    pub fn push(&mut self, batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        if batch.order().is_none() {
            return Err(Error::internal("rows to be sorted came without order keys"));
        }
        // The charge belongs to rows in flight: state is counted by itself.
        let batch = batch.with_charge(None).with_hash(None);
        self.rows += batch.len();
        self.bytes += batch.bytes();
        self.batches.push(batch);
        Ok(())
    }

    /// Bytes held, what sorting them will need included.
    pub fn bytes(&self) -> usize {
        self.bytes + self.rows * 16
    }

    /// Rows held in memory.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes the rows in memory out, in order.
    pub fn take(&mut self) -> Result<HeldRows> {
        self.rows = 0;
        HeldRows::new(
            std::mem::take(&mut self.batches),
            std::mem::take(&mut self.bytes),
        )
    }

    /// Writes the rows in memory to disk as a sorted run.
    pub fn spill(&mut self) -> Result<()> {
        let mut held = self.take()?;
        self.spill_sorted(&mut held)
    }

    /// Writes rows that were taken out to disk as a sorted run.
    pub fn spill_sorted(&mut self, held: &mut HeldRows) -> Result<()> {
        let Some(first) = held.batches.first() else {
            return Ok(());
        };
        let target = piece_bytes(self.context.memory);
        let limit = piece_rows(target, held.rows, held.bytes, self.context.batch_rows);
        let runs = self
            .runs
            .get_or_insert_with(|| Runs::new(&self.context, first.schema()));
        runs.write(|| held.next(limit))
    }

    /// Writes down all that was pushed.
    pub fn save(&self, name: &'static str, into: &mut dyn Save) {
        self.batches
            .iter()
            .for_each(|batch| into.rows(name, batch.clone()));
        if let Some(runs) = &self.runs {
            runs.save(name, into);
        }
    }

    /// Takes over what was pushed; `schema` is that of the rows. What does not fit into memory goes to disk.
    ///
    /// # Errors
    /// When it cannot be read, or the disk refuses.
    pub fn restore(
        &mut self,
        name: &str,
        (from, share): (&Restored<'_>, Share<'_>),
        schema: SchemaRef,
    ) -> Result<()> {
        let mut runs = Runs::new(&self.context, schema);
        runs.restore(name, from, share)?;
        self.runs = Some(runs).filter(|runs| !runs.is_empty());
        from.rows(name, share, &mut |batch| {
            self.push(batch)?;
            match self.bytes() > self.context.memory {
                true => self.spill(),
                false => Ok(()),
            }
        })
    }

    /// Everything that was pushed, in order.
    pub fn finish(&mut self) -> Result<Sorted> {
        if self.runs.is_some() {
            self.spill()?;
        }
        Ok(match self.runs.as_mut() {
            Some(runs) => Sorted::Spilled(Box::new(runs.merged(self.context.batch_rows)?)),
            None => Sorted::Held(self.take()?),
        })
    }
}

impl HeldRows {
    fn new(batches: Vec<Batch>, bytes: usize) -> Result<Self> {
        let orders = batches
            .iter()
            .map(|batch| batch.order().cloned())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Error::internal("rows to be sorted came without order keys"))?;
        let rows =
            |batch: usize| (0..orders[batch].len() as u32).map(move |row| (batch as u32, row));
        let all = (0..orders.len()).flat_map(rows);
        let order = sort_by_bytes(all, |(batch, row)| {
            orders[batch as usize].value(row as usize)
        });
        Ok(Self {
            rows: order.len(),
            bytes,
            batches,
            order,
            at: 0,
        })
    }

    /// The next rows, at most `limit`.
    pub fn next(&mut self, limit: usize) -> Result<Option<Batch>> {
        let end = (self.at + limit.max(1)).min(self.order.len());
        let some = &self.order[self.at..end];
        if some.is_empty() {
            return Ok(None);
        }
        self.at = end;
        gather(&self.batches, some).map(Some)
    }

    /// Keeps the first rows of each group of rows that are equal in what `group` says of them.
    pub fn keep_first<'k>(&mut self, n: u64, group: impl Fn(Held) -> &'k [u8]) {
        let mut before: Option<&[u8]> = None;
        let mut rank = 0;
        self.order.retain(|held| {
            let now = group(*held);
            if before == Some(now) {
                rank += 1;
            } else {
                rank = 1;
                before = Some(now);
            }
            rank <= n
        });
    }

    /// How much of the bytes is in rows that are still to come, what sorting them again needs included.
    pub fn bytes_left(&self) -> usize {
        let left = self.order.len() - self.at;
        let share = left as f64 / self.rows.max(1) as f64;
        (self.bytes as f64 * share) as usize + left * 16
    }

    /// The batches held.
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }
}

fn gather(batches: &[Batch], held: &[Held]) -> Result<Batch> {
    // Only the batches in use: putting arrays together costs something for each that is given.
    let mut used: Vec<u32> = held.iter().map(|(batch, _)| *batch).collect();
    used.sort_unstable();
    used.dedup();
    let indices: Vec<(usize, usize)> = held
        .iter()
        .map(|(batch, row)| (used.partition_point(|b| b < batch), *row as usize))
        .collect();
    let used: Vec<&Batch> = used.iter().map(|b| &batches[*b as usize]).collect();
    Batch::interleave(&used, &indices)
}

impl Sorted {
    /// The next rows, at most `limit`.
    pub fn next(&mut self, limit: usize) -> Result<Option<Batch>> {
        match self {
            Self::Held(held) => held.next(limit),
            Self::Spilled(merged) => merged.next(),
        }
    }
}
