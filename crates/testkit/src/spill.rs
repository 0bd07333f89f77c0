//! A spill that keeps its runs in memory and counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow_array::Array;
use arrow_schema::SchemaRef;
use dataflow_core::runs::Run;
use dataflow_core::stage::{Spill, SpillWriter, Spilled};
use dataflow_core::{Batch, Result};

/// A spill that keeps its runs in memory and counts them.
#[derive(Debug, Default)]
pub struct MemorySpill {
    runs: AtomicUsize,
    rows: AtomicU64,
}

impl MemorySpill {
    /// A spill without runs.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// How many runs were finished.
    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }

    /// How many rows were written into them.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

/// Hands a clone of the spill to a stage, keeping the counts shared.
#[derive(Debug)]
pub struct SharedSpill(pub Arc<MemorySpill>);

impl Spill for SharedSpill {
    fn begin(&self, _: &str, schema: SchemaRef) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(Writer {
            schema,
            batches: Vec::new(),
            counts: Arc::clone(&self.0),
        }))
    }
}

struct Writer {
    schema: SchemaRef,
    batches: Vec<Batch>,
    counts: Arc<MemorySpill>,
}

impl SpillWriter for Writer {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        let types = |schema: &SchemaRef| -> Vec<_> {
            schema
                .fields()
                .iter()
                .map(|field| field.data_type().clone())
                .collect()
        };
        assert_eq!(types(&batch.schema()), types(&self.schema), "one schema");
        // What has order keys is a sorted run, all of it; other rows are only kept.
        let last = self.batches.last();
        let runs = last.is_none_or(|last| last.order().is_some() == batch.order().is_some());
        assert!(runs, "all of a run has order keys, or none");
        let before = last.and_then(|batch| {
            let order = batch.order()?;
            Some(order.value(order.len().checked_sub(1)?).to_vec())
        });
        let mut before = before.unwrap_or_default();
        for key in batch
            .order()
            .iter()
            .flat_map(|order| order.iter())
            .flatten()
        {
            assert!(before.as_slice() <= key, "a run is sorted");
            before = key.to_vec();
        }
        self.batches.push(batch.clone().with_charge(None));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn Spilled>> {
        let rows = self.batches.iter().map(|batch| batch.len() as u64).sum();
        self.counts.runs.fetch_add(1, Ordering::Relaxed);
        self.counts.rows.fetch_add(rows, Ordering::Relaxed);
        Ok(Box::new(Finished {
            batches: self.batches,
            rows,
        }))
    }
}

struct Finished {
    batches: Vec<Batch>,
    rows: u64,
}

impl Spilled for Finished {
    fn bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.bytes() as u64).sum()
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn read(&self) -> Result<Box<dyn Run>> {
        Ok(Box::new(self.batches.clone().into_iter()))
    }
}
