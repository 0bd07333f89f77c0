//! The table's rows of one key, held in memory while they are few and on disk where they are many, read again and again.

use dataflow_core::runs::Run;
use dataflow_core::stage::{SpillWriter, Spilled};
use dataflow_core::{Batch, Result, StageContext};

use super::cursor::Stretch;
use crate::matching::Keep;

/// The numbers of batches that come back from disk, which no cursor gives.
const FROM_DISK: u64 = 1 << 63;

/// The table's rows of one key.
pub(super) struct Group {
    /// The key with the mark of a null.
    pub key: Vec<u8>,
    keep: Keep,
    held: Vec<Stretch>,
    bytes: usize,
    writer: Option<Box<dyn SpillWriter>>,
    file: Option<Box<dyn Spilled>>,
    reader: Option<Box<dyn Run>>,
    /// What is read at the moment: which of the stretches, or the one that came from disk, and which row of it.
    at: (usize, usize),
    came: u64,
}

impl Group {
    /// Without rows.
    pub(super) fn new(key: Vec<u8>, keep: Keep) -> Self {
        Self {
            key,
            keep,
            held: Vec::new(),
            bytes: 0,
            writer: None,
            file: None,
            reader: None,
            at: (0, 0),
            came: 0,
        }
    }

    /// Takes rows in, behind those that it has.
    pub(super) fn add(&mut self, rows: Stretch, context: &StageContext) -> Result<()> {
        match self.keep {
            Keep::First if self.held.is_empty() => self.held.push(Stretch {
                end: rows.start + 1,
                ..rows
            }),
            Keep::First => {}
            Keep::Last => {
                self.held = vec![Stretch {
                    start: rows.end - 1,
                    ..rows
                }];
            }
            Keep::All => {
                let part = Batch::new(rows.rows.slice(rows.start, rows.end - rows.start));
                if let Some(writer) = &mut self.writer {
                    return writer.write(&part);
                }
                self.bytes += part.bytes();
                self.held.push(rows);
                if self.bytes > context.memory / 8 && self.held.len() > 1 {
                    self.unload(context)?;
                }
            }
        }
        Ok(())
    }

    fn unload(&mut self, context: &StageContext) -> Result<()> {
        let schema = self.held[0].rows.schema();
        let mut writer = context.spill.begin(&context.id, schema)?;
        for part in self.held.drain(..) {
            let rows = part.rows.slice(part.start, part.end - part.start);
            writer.write(&Batch::new(rows))?;
        }
        self.bytes = 0;
        self.writer = Some(writer);
        Ok(())
    }

    /// All rows are in: goes before the first.
    pub(super) fn rewind(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            self.file = Some(writer.finish()?);
        }
        self.at = (0, self.held.first().map_or(0, |part| part.start));
        if let Some(file) = &self.file {
            self.reader = Some(file.read()?);
            self.held.clear();
            self.at = (0, 0);
        }
        Ok(())
    }

    /// The next row, which stays where it is; none behind the last.
    pub(super) fn row(&mut self) -> Result<Option<(u64, &arrow_array::RecordBatch, usize)>> {
        let (part, row) = self.at;
        if self.held.get(part).is_some_and(|held| row >= held.end) {
            let next = self.held.get(part + 1);
            self.at = (part + 1, next.map_or(0, |next| next.start));
        }
        if let Some(reader) = self
            .reader
            .as_mut()
            .filter(|_| self.at.0 >= self.held.len())
        {
            self.held.clear();
            self.at = (0, 0);
            if let Some(batch) = reader.next()? {
                self.came += 1;
                self.held.push(Stretch {
                    batch: FROM_DISK + self.came,
                    start: 0,
                    end: batch.len(),
                    rows: batch.rows().clone(),
                });
            }
        }
        let (part, row) = self.at;
        Ok(self
            .held
            .get(part)
            .map(|held| (held.batch, &held.rows, row)))
    }

    /// Goes to the row behind.
    pub(super) fn advance(&mut self) {
        self.at.1 += 1;
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
