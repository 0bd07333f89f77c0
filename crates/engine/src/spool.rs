//! A queue that goes to disk when it grows: rows that must wait for another input to end.

use std::collections::VecDeque;
use std::sync::Arc;

use dataflow_core::runs::Run;
use dataflow_core::stage::{Spill, SpillWriter};
use dataflow_core::{Batch, Result};

/// Batches in the order in which they are to come out.
pub struct Spool {
    id: Arc<str>,
    spill: Arc<dyn Spill>,
    limit: usize,
    memory: VecDeque<Batch>,
    bytes: usize,
    writer: Option<Box<dyn SpillWriter>>,
    reader: Option<Box<dyn Run>>,
}

impl Spool {
    /// An empty queue that holds at most about `limit` bytes in memory.
    pub fn new(id: Arc<str>, spill: Arc<dyn Spill>, limit: usize) -> Self {
        Self {
            id,
            spill,
            limit,
            memory: VecDeque::new(),
            bytes: 0,
            writer: None,
            reader: None,
        }
    }

    /// Puts a batch at the end. Its charge is given back: what waits here is on disk, or within the limit.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn push(&mut self, batch: Batch) -> Result<()> {
        let batch = batch.with_charge(None);
        let bytes = batch.bytes();
        if self.writer.is_none() && self.bytes + bytes <= self.limit {
            self.bytes += bytes;
            self.memory.push_back(batch);
            return Ok(());
        }
        if self.writer.is_none() {
            self.writer = Some(self.spill.begin(&self.id, batch.schema())?);
        }
        match self.writer.as_mut() {
            Some(writer) => writer.write(&batch),
            None => Ok(()),
        }
    }

    /// Takes the first batch. Nothing may be pushed after the first call.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn pop(&mut self) -> Result<Option<Batch>> {
        if let Some(batch) = self.memory.pop_front() {
            return Ok(Some(batch));
        }
        if let Some(writer) = self.writer.take() {
            self.reader = Some(writer.finish()?.read()?);
        }
        match self.reader.as_mut() {
            Some(reader) => reader.next(),
            None => Ok(None),
        }
    }
}
