//! The rows of one side in the order of their keys, one after the other.

use arrow_array::{Array, BinaryArray, RecordBatch};
use dataflow_core::sorter::Sorted;
use dataflow_core::{Error, Result};

use super::keying::key_of;

/// Rows of a batch that are next to each other. The number tells batches apart.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub batch: u64,
    pub rows: RecordBatch,
    pub start: usize,
    pub end: usize,
}

/// Where the merge stands in one side.
pub(super) struct Cursor {
    sorted: Sorted,
    limit: usize,
    head: Option<Head>,
    batches: u64,
}

struct Head {
    rows: RecordBatch,
    order: BinaryArray,
    at: usize,
}

impl Cursor {
    /// Before the first row, in batches of `limit` rows.
    pub(super) fn new(sorted: Sorted, limit: usize) -> Result<Self> {
        let mut cursor = Self {
            sorted,
            limit,
            head: None,
            batches: 0,
        };
        cursor.load()?;
        Ok(cursor)
    }

    fn load(&mut self) -> Result<()> {
        self.head = None;
        while let Some(batch) = self.sorted.next(self.limit)? {
            if batch.is_empty() {
                continue;
            }
            let order = batch.order().cloned();
            self.batches += 1;
            self.head = Some(Head {
                rows: batch.rows().clone(),
                order: order.ok_or_else(|| Error::internal("sorted rows lost their keys"))?,
                at: 0,
            });
            break;
        }
        Ok(())
    }

    /// The key of the next row; none at the end.
    pub(super) fn key(&self) -> Option<&[u8]> {
        let head = self.head.as_ref()?;
        Some(key_of(head.order.value(head.at)))
    }

    /// The next rows of the same batch that have this key, and are taken; none if the next row has another.
    pub(super) fn take(&mut self, key: &[u8]) -> Result<Option<Stretch>> {
        let Some(head) = &mut self.head else {
            return Ok(None);
        };
        let start = head.at;
        let same = |row: &usize| key_of(head.order.value(*row)) == key;
        let end = start + (start..head.order.len()).take_while(same).count();
        if end == start {
            return Ok(None);
        }
        head.at = end;
        let stretch = Stretch {
            batch: self.batches,
            rows: head.rows.clone(),
            start,
            end,
        };
        if end == head.order.len() {
            self.load()?;
        }
        Ok(Some(stretch))
    }

    /// The next row, which stays where it is.
    pub(super) fn row(&self) -> Option<(u64, &RecordBatch, usize)> {
        let head = self.head.as_ref()?;
        Some((self.batches, &head.rows, head.at))
    }

    /// Goes to the row behind.
    pub(super) fn advance(&mut self) -> Result<()> {
        if let Some(head) = &mut self.head {
            head.at += 1;
            if head.at == head.order.len() {
                self.load()?;
            }
        }
        Ok(())
    }
}
