//! What one writer saved, in memory, to be gone on with.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflow_core::saved::{Parts, Restored, Saved, Taken};
use dataflow_core::{Batch, Result};

use crate::spill::{MemorySpill, SharedSpill};

/// The numbered rows of a writer, as they are after each time it was saved.
#[derive(Default)]
pub(crate) struct Ledger(BTreeMap<&'static str, BTreeMap<u32, Batch>>);

impl Ledger {
    /// What a writer has saved now, its numbered rows put over those that it saved before, and among the other rows.
    pub(crate) fn complete(&mut self, saved: &mut Saved) {
        for (name, numbered) in std::mem::take(&mut saved.numbered) {
            let known = self.0.entry(name).or_default();
            if numbered.anew {
                known.clear();
            }
            for (numbers, batch) in numbered.rows {
                assert_eq!(
                    numbers.len(),
                    batch.len(),
                    "a number for each row of {name}"
                );
                let each = numbers.into_iter().enumerate();
                known.extend(each.map(|(at, number)| (number, batch.slice(at, 1))));
            }
            for number in numbered.gone {
                assert!(
                    !numbered.anew,
                    "nothing of {name} is gone that was never there"
                );
                known.remove(&number);
            }
        }
        for (name, known) in &self.0 {
            saved.rows.insert(name, known.values().cloned().collect());
        }
    }
}

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
