//! What one writer saved, in memory, to be gone on with.

use std::sync::Arc;

use dataflow_core::saved::{Parts, Restored, Saved, Taken};
use dataflow_core::{Batch, Result};

use crate::spill::{MemorySpill, SharedSpill};

/// What was saved on one worker. Rows come in other batches than they were given in.
pub struct Held(pub Saved);

impl Held {
    /// For the only worker of another run.
    pub fn restored(&self) -> Restored<'_> {
        let spill = Arc::new(SharedSpill(MemorySpill::new()));
        Restored::new(self, (0, 1), spill, "it".into())
    }
}

impl Parts for Held {
    fn workers(&self) -> usize {
        1
    }

    fn value(&self, _: usize, name: &str) -> Result<Option<serde_json::Value>> {
        Ok(self.0.values.get(name).cloned())
    }

    fn rows(&self, _: usize, name: &str, each: &mut dyn FnMut(Batch) -> Result<()>) -> Result<()> {
        for batch in self.0.rows.get(name).into_iter().flatten() {
            let half = batch.len() / 2;
            each(batch.slice(0, half))?;
            each(batch.slice(half, batch.len() - half))?;
        }
        Ok(())
    }

    fn runs(&self, _: usize, _: &str) -> Result<Vec<Taken>> {
        Ok(Vec::new())
    }
}
