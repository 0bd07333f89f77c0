//! Rows that are sent on as they are, where reducing them first would not pay: keys, inputs, places and the keys' hashes.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{Field, Schema};
use dataflow_core::order::key_hash;
use dataflow_core::{Batch, Result};

use super::groups::Groups;
use super::work::{Rows, Work};
use crate::columns::in_type;

/// The name of an input's column; what tells rows from states, whose names start with a number.
const INPUT: &str = "input.";

/// Sends rows on as they are.
pub(super) struct Passing {
    work: Arc<Work>,
    memory: usize,
    alone: bool,
    /// Keys whose hashes are known, while that saves work.
    known: Option<Groups>,
    hashes: Vec<u64>,
    assigned: Vec<u32>,
    /// Rows that were looked for among the known keys.
    looked: u64,
}

impl Passing {
    /// Knowing no keys. Where one worker is `alone`, nobody looks at hashes.
    pub(super) fn new(work: &Arc<Work>, memory: usize, alone: bool) -> Result<Self> {
        Ok(Self {
            known: Some(Groups::new(&work.types, memory)?),
            work: Arc::clone(work),
            memory,
            alone,
            hashes: Vec::new(),
            assigned: Vec::new(),
            looked: 0,
        })
    }

    /// The rows with their hashes. Keys stay dictionaries where they are.
    pub(super) fn batch(&mut self, rows: Rows) -> Result<Batch> {
        let hash = self.hash(&rows.keys, rows.rows)?;
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
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        Ok(Batch::new(batch)
            .with_places(rows.places)
            .with_hash(Some(hash)))
    }

    fn hash(&mut self, keys: &[ArrayRef], rows: usize) -> Result<ScalarBuffer<u64>> {
        if self.alone {
            return Ok(vec![0; rows].into());
        }
        let Some(known) = &mut self.known else {
            return Ok(hashes(&self.work, keys)?.into());
        };
        known.assign(keys, &mut self.assigned)?;
        let new: Vec<u32> = (self.hashes.len() as u32..known.len() as u32).collect();
        if !new.is_empty() {
            self.hashes.extend(hashes(&self.work, &known.keys(&new)?)?);
        }
        let hash = self.assigned.iter().map(|g| self.hashes[*g as usize]);
        let hash = hash.collect();
        self.looked += rows as u64;
        if known.bytes() + self.hashes.capacity() * 8 > self.memory / 4 {
            let pays = self.looked > 2 * known.len() as u64;
            self.forget(pays)?;
        }
        Ok(hash)
    }

    /// Forgets the known keys, and begins to learn them again where that pays.
    pub(super) fn forget(&mut self, learn: bool) -> Result<()> {
        self.hashes = Vec::new();
        self.looked = 0;
        self.known = match learn {
            true => Some(Groups::new(&self.work.types, self.memory)?),
            false => None,
        };
        Ok(())
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let known = self.known.as_ref().map_or(0, Groups::bytes);
        known + self.hashes.capacity() * 8
    }
}

/// The routing hashes of keys.
pub(super) fn hashes(work: &Work, keys: &[ArrayRef]) -> Result<Vec<u64>> {
    let plain = keys.iter().zip(&work.types);
    let plain = plain
        .map(|(key, data_type)| in_type(key, data_type))
        .collect::<Result<Vec<_>>>()?;
    let order = work.order.encode(&plain)?;
    let hash = |key: Option<&[u8]>| key_hash(key.unwrap_or_default());
    Ok(order.iter().map(hash).collect())
}

/// Whether a batch has rows rather than states, given how many keys it has.
pub(super) fn is_rows(batch: &RecordBatch, keys: usize) -> bool {
    let behind = batch.schema_ref().fields().get(keys);
    behind.is_none_or(|field| field.name().starts_with(INPUT))
}
