//! A queue that goes to disk when it grows: rows that must wait for another input to end.

use std::collections::VecDeque;
use std::sync::Arc;

use dataflow_core::runs::Run;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::stage::{Spill, SpillWriter, Spilled};
use dataflow_core::{Batch, Result};

/// What waits, in a snapshot.
const WAITING: &str = "waiting";

/// Batches in the order in which they are to come out.
pub struct Spool {
    id: Arc<str>,
    spill: Arc<dyn Spill>,
    limit: usize,
    /// The first ones.
    memory: VecDeque<Batch>,
    bytes: usize,
    /// Those behind them: finished files, and the one that is being written.
    files: VecDeque<Arc<dyn Spilled>>,
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
            files: VecDeque::new(),
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
        let on_disk = self.writer.is_some() || !self.files.is_empty();
        if !on_disk && self.bytes + bytes <= self.limit {
            self.bytes += bytes;
            self.memory.push_back(batch);
            return Ok(());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(self.spill.begin(&self.id, batch.schema())?),
        };
        writer.write(&batch)
    }

    /// Takes the first batch. Nothing may be pushed after the first call.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn pop(&mut self) -> Result<Option<Batch>> {
        if let Some(batch) = self.memory.pop_front() {
            return Ok(Some(batch));
        }
        self.finish()?;
        loop {
            if let Some(reader) = &mut self.reader
                && let Some(batch) = reader.next()?
            {
                return Ok(Some(batch));
            }
            match self.files.pop_front() {
                Some(file) => self.reader = Some(file.read()?),
                None => return Ok(None),
            }
        }
    }

    /// Ends the file that is being written.
    fn finish(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            self.files.push_back(Arc::from(writer.finish()?));
        }
        Ok(())
    }

    /// Writes down what waits. Not after the first batch was taken.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.finish()?;
        let memory = self.memory.iter().cloned();
        memory.for_each(|batch| into.rows(WAITING, batch));
        self.files
            .iter()
            .for_each(|file| into.run(WAITING, file, 0));
        Ok(())
    }

    /// Takes over what waited.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        from.rows(WAITING, Share::Dealt, &mut |batch| {
            self.bytes += batch.bytes();
            self.memory.push_back(batch);
            Ok(())
        })?;
        let files = from.runs(WAITING, Share::Dealt)?.into_iter();
        self.files.extend(files.map(|(file, _)| file));
        Ok(())
    }
}
