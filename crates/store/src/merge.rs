//! Merges the sorted runs of a part into one stream of rows, in which the newest row of each key is left.

use std::sync::Arc;

use arrow_array::{Array, BinaryArray, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave_record_batch;
use dataflow_core::Result;

use crate::content::{gone, keys};
use crate::disk::Disk;
use crate::manifest::Section;
use crate::rows::RowsReader;
use crate::sort::{BATCH_BYTES, bytes, rows_within};

/// Runs from the oldest to the newest, read at once. It holds a batch of each, and those that a batch of the result is from.
pub(crate) struct Merge {
    heads: Vec<Head>,
    keep_gone: bool,
    schema: SchemaRef,
}

/// Where a run is.
struct Head {
    run: RowsReader,
    // `None` at the end.
    batch: Option<RecordBatch>,
    keys: BinaryArray,
    row: usize,
    // Bytes of a row of the batch, about.
    weight: usize,
    // Where the batch is among those of the result that is being collected.
    slot: Option<usize>,
}

/// A batch of the result while it is collected.
#[derive(Default)]
struct Collected {
    batches: Vec<RecordBatch>,
    rows: Vec<(usize, usize)>,
    weight: usize,
}

impl Merge {
    /// Opens the runs. Rows that say that their key is gone come along only if there is something that they are still over.
    pub(crate) fn open(disk: &Arc<dyn Disk>, runs: &[Section], keep_gone: bool) -> Result<Self> {
        let heads: Result<Vec<Head>> = runs.iter().map(|run| Head::open(disk, run)).collect();
        let mut heads = heads?;
        let schema = match heads.last_mut() {
            Some(newest) => newest.run.schema()?,
            None => Arc::new(arrow_schema::Schema::empty()),
        };
        Ok(Self {
            heads,
            keep_gone,
            schema,
        })
    }

    /// The columns of the rows, `gone` among them.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The next rows, in the order of their keys.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.heads.retain(|head| head.batch.is_some());
        if let [only] = &mut self.heads[..]
            && let Some(batch) = only.rest(self.keep_gone)?
        {
            return Ok(Some(batch));
        }
        let mut collected = Collected::default();
        while !collected.is_full(self.heads.len()) {
            match self.smallest() {
                Some((winner, ties)) => self.take(winner, &ties, &mut collected)?,
                None => break,
            }
        }
        self.heads.iter_mut().for_each(|head| head.slot = None);
        collected.batch()
    }

    /// The newest run that has the smallest key, and the older ones that have it too.
    fn smallest(&self) -> Option<(usize, Vec<usize>)> {
        let mut found: Option<(usize, &[u8])> = None;
        let mut ties = Vec::new();
        for (at, head) in self.heads.iter().enumerate() {
            let Some(key) = head.key() else { continue };
            match found.map(|(_, smallest)| key.cmp(smallest)) {
                Some(std::cmp::Ordering::Greater) => continue,
                Some(std::cmp::Ordering::Equal) => ties.extend(found.map(|(older, _)| older)),
                _ => ties.clear(),
            }
            found = Some((at, key));
        }
        found.map(|(winner, _)| (winner, ties))
    }

    /// Takes the winner's row, and passes over the older rows of its key.
    fn take(&mut self, winner: usize, ties: &[usize], collected: &mut Collected) -> Result<()> {
        self.heads[winner].give(self.keep_gone, collected);
        for head in ties.iter().chain([&winner]) {
            self.heads[*head].advance()?;
        }
        Ok(())
    }
}

impl Head {
    fn open(disk: &Arc<dyn Disk>, run: &Section) -> Result<Self> {
        let mut head = Self {
            run: RowsReader::open(disk, run)?,
            batch: None,
            keys: BinaryArray::from_vec(Vec::new()),
            row: 0,
            weight: 0,
            slot: None,
        };
        head.load()?;
        Ok(head)
    }

    /// The key of the row that is next.
    fn key(&self) -> Option<&[u8]> {
        (self.row < self.keys.len()).then(|| self.keys.value(self.row))
    }

    /// Reads the next batch that has rows.
    fn load(&mut self) -> Result<()> {
        self.batch = None;
        self.keys = BinaryArray::from_vec(Vec::new());
        (self.row, self.slot) = (0, None);
        while let Some(batch) = self.run.next()? {
            if batch.num_rows() > 0 {
                self.keys = keys(&batch).clone();
                self.weight = bytes(&batch) / batch.num_rows();
                self.batch = Some(batch);
                break;
            }
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.row += 1;
        match self.row < self.keys.len() {
            true => Ok(()),
            false => self.load(),
        }
    }

    /// Adds the row to what is collected.
    fn give(&mut self, keep_gone: bool, collected: &mut Collected) {
        let Some(batch) = &self.batch else { return };
        if !keep_gone && gone(batch).value(self.row) {
            return;
        }
        let slot = *self.slot.get_or_insert_with(|| {
            collected.batches.push(batch.clone());
            collected.batches.len() - 1
        });
        collected.rows.push((slot, self.row));
        collected.weight += self.weight;
    }

    /// All that is left of the batch, if no row of it must be looked at.
    fn rest(&mut self, keep_gone: bool) -> Result<Option<RecordBatch>> {
        let Some(batch) = &self.batch else {
            return Ok(None);
        };
        if !keep_gone && gone(batch).has_true() {
            return Ok(None);
        }
        let left = batch.num_rows() - self.row;
        let most = rows_within(BATCH_BYTES * 2, 1, self.weight);
        let rest = batch.slice(self.row, left.min(most));
        self.row += rest.num_rows();
        if self.row == self.keys.len() {
            self.load()?;
        }
        Ok(Some(rest))
    }
}

impl Collected {
    /// Enough rows, or so many batches held for few of their rows that it is time to let them go.
    fn is_full(&self, runs: usize) -> bool {
        let most = rows_within(BATCH_BYTES, self.rows.len(), self.weight);
        self.rows.len() >= most.max(1) || self.batches.len() > 2 * runs + 8
    }

    fn batch(self) -> Result<Option<RecordBatch>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Ok(Some(interleave_record_batch(&batches, &self.rows)?))
    }
}
