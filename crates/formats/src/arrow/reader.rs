//! Reading pieces of Arrow files and streams.

use std::io::Cursor;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_ipc::reader::{FileDecoder, StreamReader};
use bytes::Bytes;
use dataflow_core::{Batch, Decoded, Error, Piece, Place, Places, Result};

use super::file::{ArrowFile, place};
use super::{Files, guarded};
use crate::file_bytes::FileBytes;
use crate::{InputFile, PieceReader};

/// Reads pieces.
pub(super) struct Rows {
    files: Arc<Files>,
    file: Option<OpenFile>,
    /// Rows that came with the piece.
    carried: Option<RecordBatch>,
    left: Range<u64>,
    /// The place of row 0 of what `left` counts.
    origin: u64,
}

struct OpenFile {
    file: Arc<ArrowFile>,
    bytes: FileBytes,
    decoder: FileDecoder,
    /// The record batch decoded last, and its first row.
    decoded: Option<(u64, RecordBatch)>,
}

impl Rows {
    pub fn new(files: Arc<Files>) -> Self {
        Self {
            files,
            file: None,
            carried: None,
            left: 0..0,
            origin: 0,
        }
    }

    fn rows(&mut self, most: usize) -> Result<RecordBatch> {
        if let Some(carried) = &self.carried {
            let start = self.left.start as usize;
            return Ok(carried.slice(start, most));
        }
        match &mut self.file {
            Some(file) => file.rows(self.left.start, most),
            None => {
                let options = RecordBatchOptions::new().with_row_count(Some(most));
                let target = Arc::clone(&self.files.target);
                Ok(RecordBatch::try_new_with_options(target, vec![], &options)?)
            }
        }
    }
}

impl PieceReader for Rows {
    fn open(&mut self, file: &InputFile, piece: Piece) -> Result<()> {
        self.carried = None;
        self.left = piece.start..piece.end;
        self.origin = piece.first.0.wrapping_sub(piece.start);
        if self.files.target.fields().is_empty() {
            self.file = None;
            return Ok(());
        }
        if let Some(text) = piece.text {
            let carried = decode(text, &file.path)?;
            self.left = 0..carried.num_rows() as u64;
            self.origin = piece.first.0;
            self.carried = Some(carried);
            return Ok(());
        }
        let same = |open: &OpenFile| open.file.path == file.path;
        if !self.file.as_ref().is_some_and(same) {
            self.file = None;
            self.file = Some(OpenFile::new(self.files.of(file)?)?);
        }
        Ok(())
    }

    fn next(&mut self, rows: usize) -> Result<Option<Decoded>> {
        if self.left.is_empty() {
            self.carried = None;
            return Ok(None);
        }
        let most = (self.left.end - self.left.start).min(rows.max(1) as u64) as usize;
        let rows = self.rows(most)?;
        let first = Place(self.origin.wrapping_add(self.left.start));
        self.left.start += rows.num_rows() as u64;
        let batch = Batch::new(rows).with_places(Places::From(first));
        Ok(Some(Decoded {
            batches: vec![(0, batch)],
            bad: Vec::new(),
        }))
    }
}

/// The one record batch of a small stream that the cutter made.
fn decode(text: Bytes, path: &str) -> Result<RecordBatch> {
    guarded(path, || {
        let mut reader = StreamReader::try_new(Cursor::new(text), None)?;
        let schema = reader.schema();
        reader
            .next()
            .unwrap_or_else(|| Ok(RecordBatch::new_empty(schema)))
    })
}

impl OpenFile {
    fn new(file: Arc<ArrowFile>) -> Result<Self> {
        let bytes = file.open()?;
        let used = file.shaping.as_ref().map_or(&[][..], |s| &s.used);
        let decoder = file.decoder(&bytes, used)?;
        Ok(Self {
            file,
            bytes,
            decoder,
            decoded: None,
        })
    }

    /// At least one and at most `most` rows from `row`.
    fn rows(&mut self, row: u64, most: usize) -> Result<RecordBatch> {
        let file = Arc::clone(&self.file);
        let shaping = file
            .shaping
            .as_ref()
            .ok_or_else(|| Error::internal("an Arrow file was read without a plan"))?;
        let batch = file.batch_at(row)?;
        let most = most.min((batch.rows.end - row) as usize);
        if shaping.used.is_empty() {
            let options = RecordBatchOptions::new().with_row_count(Some(most));
            let none = Arc::new(arrow_schema::Schema::empty());
            let rows = RecordBatch::try_new_with_options(none, vec![], &options)?;
            return shaping.apply(&rows, &file.path, row);
        }
        let known = matches!(&self.decoded, Some((first, _)) if *first == batch.rows.start);
        if !known {
            self.decoded = None;
            let rows = guarded(&file.path, || {
                let block = place(&batch.block);
                let buffer = block.columns(&self.bytes, &file.schema, &shaping.used)?;
                self.decoder.read_record_batch(&batch.block, &buffer)
            })?;
            let rows = rows
                .filter(|rows| rows.num_rows() as u64 == batch.rows.end - batch.rows.start)
                .ok_or_else(|| {
                    Error::data("a record batch has fewer rows than it says").file(&*file.path)
                })?;
            self.decoded = Some((batch.rows.start, rows));
        }
        let Some((first, rows)) = &self.decoded else {
            return Err(Error::internal("a decoded record batch was lost"));
        };
        let slice = rows.slice((row - first) as usize, most);
        shaping.apply(&slice, &file.path, row)
    }
}
