//! Rows in a section: one Arrow IPC stream, read back batch by batch.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use dataflow_core::{Error, Result};

use crate::disk::Disk;
use crate::manifest::Section;
use crate::section::{Blocks, Segment, Writing};

/// Writes batches as a section.
pub(crate) struct RowsWriter<'a> {
    out: StreamWriter<Writing<'a>>,
    rows: u64,
}

impl<'a> RowsWriter<'a> {
    /// Begins a section of rows with these columns.
    pub(crate) fn begin(segment: &'a mut Segment, schema: &Schema) -> io::Result<Self> {
        let out = StreamWriter::try_new(segment.section(), schema).map_err(as_io)?;
        Ok(Self { out, rows: 0 })
    }

    /// Writes a batch.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        self.rows += batch.num_rows() as u64;
        self.out.write(batch).map_err(as_io)
    }

    /// Ends the section.
    pub(crate) fn finish(self) -> io::Result<Section> {
        let rows = self.rows;
        let out = self.out.into_inner().map_err(as_io)?;
        out.finish(rows)
    }
}

/// What the disk said, out of what Arrow makes of it: a full disk must stay one.
fn as_io(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other),
    }
}

/// The rows of a section, from its beginning to its end.
pub(crate) struct RowsReader {
    disk: Arc<dyn Disk>,
    blocks: Blocks,
    decoder: StreamDecoder,
    block: Buffer,
    // Looked ahead for the columns.
    ready: VecDeque<RecordBatch>,
    ended: bool,
}

impl RowsReader {
    /// Opens the section and checks that it is there; its blocks are checked as they are read.
    pub(crate) fn open(disk: &Arc<dyn Disk>, section: &Section) -> Result<Self> {
        Ok(Self {
            blocks: Blocks::open(disk.as_ref(), section)?,
            disk: Arc::clone(disk),
            decoder: StreamDecoder::new(),
            block: Buffer::from(&[0_u8; 0]),
            ready: VecDeque::new(),
            ended: false,
        })
    }

    /// The columns.
    pub(crate) fn schema(&mut self) -> Result<SchemaRef> {
        while self.decoder.schema().is_none() {
            match self.decode()? {
                Some(batch) => self.ready.push_back(batch),
                None => break,
            }
        }
        let schema = self.decoder.schema();
        schema.ok_or_else(|| self.wrong("a part of rows has no columns"))
    }

    /// The next batch.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self.ready.pop_front() {
            Some(batch) => Ok(Some(batch)),
            None => self.decode(),
        }
    }

    fn decode(&mut self) -> Result<Option<RecordBatch>> {
        while !self.ended {
            let decoded = self.decoder.decode(&mut self.block);
            let decoded = decoded.map_err(|e| self.wrong(&format!("rows cannot be read: {e}")))?;
            if decoded.is_some() {
                return Ok(decoded);
            }
            match self.blocks.next(self.disk.as_ref())? {
                Some(block) => self.block = Buffer::from_vec(block),
                None => self.end()?,
            }
        }
        Ok(None)
    }

    fn end(&mut self) -> Result<()> {
        self.ended = true;
        let ended = self.decoder.finish();
        ended.map_err(|e| self.wrong(&format!("rows cannot be read: {e}")))
    }

    fn wrong(&self, how: &str) -> Error {
        self.blocks.wrong(self.disk.as_ref(), how, self.blocks.at())
    }
}
