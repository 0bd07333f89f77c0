//! Rows that are sent on as they are, where reducing them first would not pay: keys, inputs, places and the keys' hashes.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use dataflow_core::batch::rows_of;
use dataflow_core::{Batch, Places, Result};

use super::hashing::Hashing;
use super::work::{Rows, Work};

/// The name of an input's column; what tells rows from states, whose names start with a number.
const INPUT: &str = "input.";

/// Sends rows on as they are.
pub(super) struct Passing {
    work: Arc<Work>,
    alone: bool,
    hashing: Hashing,
    /// How many keys do not count for who owns a group: where windows overlap, all of a key meet.
    unrouted: usize,
}

impl Passing {
    /// Where one worker is `alone`, nobody looks at hashes.
    pub(super) fn new(work: &Arc<Work>, alone: bool) -> Result<Self> {
        let unrouted = work.unrouted();
        Ok(Self {
            hashing: Hashing::new(&work.types[unrouted..])?,
            unrouted,
            work: Arc::clone(work),
            alone,
        })
    }

    /// The rows with their hashes, and their places if a call wants them. Keys stay dictionaries where they are.
    pub(super) fn batch(&mut self, rows: Rows) -> Result<Batch> {
        let hash = match self.alone {
            true => None,
            false => Some(self.hashes(&rows.keys)?.into()),
        };
        let named = |prefix: &str, at: usize, array: &ArrayRef| {
            Field::new(format!("{prefix}{at}"), array.data_type().clone(), true)
        };
        let keys = rows.keys.iter().enumerate();
        let inputs = rows.inputs.iter().enumerate();
        let fields: Vec<Field> = keys
            .map(|(at, array)| named("key.", at, array))
            .chain(inputs.map(|(at, array)| named(INPUT, at, array)))
            .collect();
        let columns = rows.keys.into_iter().chain(rows.inputs).collect();
        // A call such as `count(*)` has no input.
        let schema = Arc::new(Schema::new(fields));
        let batch = rows_of(schema, columns, rows.rows)?;
        let places = match self.work.calls.places() {
            true => rows.places,
            false => Places::Unknown,
        };
        Ok(Batch::new(batch).with_places(places).with_hash(hash))
    }

    /// The hashes of keys.
    pub(super) fn hashes(&mut self, keys: &[ArrayRef]) -> Result<Vec<u64>> {
        match &keys[self.unrouted..] {
            [] => Ok(vec![0; keys.first().map_or(0, |key| key.len())]),
            routed => self.hashing.of(routed),
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.hashing.bytes()
    }
}

/// Whether a batch has rows rather than states, given how many keys it has.
pub(super) fn is_rows(batch: &RecordBatch, keys: usize) -> bool {
    let behind = batch.schema_ref().fields().get(keys);
    behind.is_none_or(|field| field.name().starts_with(INPUT))
}
