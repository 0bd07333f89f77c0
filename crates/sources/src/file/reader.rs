//! Pieces of files, with the columns that hang on the file put beside those that are read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array,
};
use dataflow_core::stage::BadRow;
use dataflow_core::{Batch, Cutter, Decoded, Error, Piece, Reader, Result};
use dataflow_formats::PieceReader;

use super::hive;
use super::read::{Inner, Origin};

/// The pieces of one file.
pub(super) struct FileCutter {
    pub(super) cutter: Option<Box<dyn Cutter>>,
    pub(super) path: Arc<str>,
    /// The place behind the last row that is wanted.
    pub(super) end: Option<u64>,
}

impl Cutter for FileCutter {
    fn next(&mut self) -> Result<Option<Piece>> {
        let Some(cutter) = &mut self.cutter else {
            return Ok(None);
        };
        let piece = cutter.next().map_err(|e| e.file(&*self.path))?;
        let wanted = |piece: &Piece| self.end.is_none_or(|end| piece.first.0 < end);
        match piece.filter(wanted) {
            Some(piece) => Ok(Some(piece)),
            None => {
                // The file is closed now, however long the cutter is kept.
                self.cutter = None;
                Ok(None)
            }
        }
    }
}

/// The file that pieces are read from.
struct Open {
    split: usize,
    format: usize,
    path: Arc<str>,
    /// The row of the file behind the last that is wanted.
    end: Option<u64>,
    /// The values of the folder and file columns, each as one row.
    constants: Vec<Option<ArrayRef>>,
}

/// Reads pieces of any of the files.
pub(super) struct FileReader {
    source: Arc<Inner>,
    /// By format; each keeps at most one file open.
    readers: BTreeMap<usize, Box<dyn PieceReader>>,
    open: Option<Open>,
}

impl FileReader {
    pub(super) fn new(source: Arc<Inner>) -> Self {
        Self {
            source,
            readers: BTreeMap::new(),
            open: None,
        }
    }

    fn prepare(&self, split: usize) -> Result<Open> {
        let source = &*self.source;
        let entry = source.entry(split)?;
        let fields = source.schema.fields().iter();
        let constants = fields.zip(&source.outputs).map(|(field, origin)| {
            let value = match origin {
                Origin::Read(_) | Origin::Row => return Ok(None),
                Origin::Folder(at) => entry.folders[*at].as_deref(),
                Origin::File => Some(&*entry.file.path),
            };
            hive::single(field.name(), value, field.data_type()).map(Some)
        });
        Ok(Open {
            split,
            format: entry.format,
            path: Arc::clone(&entry.file.path),
            end: source.allowed(split)?,
            constants: constants.collect::<Result<_>>()?,
        })
    }

    fn start(&mut self, piece: Piece) -> Result<()> {
        let split = piece.split;
        if self.open.as_ref().is_none_or(|open| open.split != split) {
            self.open = Some(self.prepare(split)?);
        }
        let source = Arc::clone(&self.source);
        let entry = source.entry(split)?;
        let reader = match self.readers.entry(entry.format) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(new) => new.insert(source.reading(&entry)?.reader()),
        };
        reader.open(&entry.file, piece)
    }
}

impl Reader for FileReader {
    fn open(&mut self, piece: Piece) -> Result<()> {
        let path = Arc::clone(&self.source.entry(piece.split)?.file.path);
        self.start(piece).map_err(|e| e.file(&*path))
    }

    fn next(&mut self, rows: usize) -> Result<Option<Decoded>> {
        let Some(open) = &self.open else {
            return Err(Error::internal("rows were asked of no piece"));
        };
        let Some(reader) = self.readers.get_mut(&open.format) else {
            return Err(Error::internal(
                "rows were asked of a piece that was not opened",
            ));
        };
        let path = &*open.path;
        let Some(decoded) = reader.next(rows).map_err(|e| e.file(path))? else {
            return Ok(None);
        };
        let mut made = Decoded {
            batches: Vec::with_capacity(decoded.batches.len()),
            bad: decoded.bad,
        };
        if let Some(end) = open.end {
            made.bad.retain(|row| is_before(row, end));
        }
        for (port, batch) in decoded.batches {
            let batch = match open.end {
                Some(end) => cut_off(batch, end)?,
                None => batch,
            };
            if let Some((steps, at)) = &self.source.steps {
                steps.look(&batch, batch.rows().column(*at))?;
            }
            made.batches
                .push((port, open.complete(&self.source, batch)?));
        }
        Ok(Some(made))
    }
}

fn is_before(bad: &BadRow, end: u64) -> bool {
    bad.place.is_none_or(|place| place.row() < end)
}

/// The rows of the file in front of row `end`.
fn cut_off(batch: Batch, end: u64) -> Result<Batch> {
    let keep = (0..batch.len())
        .map(|row| batch.places().get(row).map(|place| place.row() < end))
        .collect::<BooleanArray>();
    if keep.null_count() > 0 {
        return Err(unplaced());
    }
    batch.filter(&keep)
}

impl Open {
    /// Puts the columns that hang on the file beside those that were read.
    fn complete(&self, source: &Inner, batch: Batch) -> Result<Batch> {
        let count = batch.len();
        let first = UInt32Array::from(vec![0; count]);
        let mut columns = Vec::with_capacity(source.outputs.len());
        for (origin, constant) in source.outputs.iter().zip(&self.constants) {
            columns.push(match (origin, constant) {
                (Origin::Read(at), _) => Arc::clone(batch.rows().column(*at)),
                (Origin::Row, _) => row_numbers(&batch)?,
                (_, Some(one)) => arrow_select::take::take(one, &first, None)?,
                (_, None) => return Err(Error::internal("a file's value is missing")),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let schema = Arc::clone(&source.schema);
        let rows = RecordBatch::try_new_with_options(schema, columns, &options)?;
        Ok(batch.with_rows(rows))
    }
}

fn unplaced() -> Error {
    Error::internal("rows came without their places")
}

/// The rows' numbers in their file, from 1, bad rows counted too.
fn row_numbers(batch: &Batch) -> Result<ArrayRef> {
    let numbers = (0..batch.len()).map(|row| {
        let place = batch.places().get(row);
        place.map(|place| place.row() as i64 + 1)
    });
    let numbers: Option<Vec<i64>> = numbers.collect();
    let numbers = numbers.ok_or_else(unplaced)?;
    Ok(Arc::new(Int64Array::from(numbers)))
}
