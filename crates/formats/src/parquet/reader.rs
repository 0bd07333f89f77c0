//! Decoding ranges of rows, with one decoder kept open while ranges follow one another.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection, RowSelector};
use ::parquet::errors::ParquetError;
use arrow_array::{RecordBatch, RecordBatchOptions};
use dataflow_core::{Batch, Decoded, Error, Piece, Place, Places, Result};

use super::footer::guarded;
use super::pages::{Dictionaries, GroupPages};
use super::plan::{Group, Plan, Plans};
use crate::file_bytes::FileBytes;
use crate::{InputFile, PieceReader};

/// Reads pieces.
pub(super) struct Rows {
    plans: Arc<Plans>,
    file: Option<OpenFile>,
    /// The rows of the piece that are still to be read.
    left: Range<u64>,
    /// The place of the file's row 0 (which may be none that exists).
    origin: u64,
}

struct OpenFile {
    plan: Arc<Plan>,
    bytes: Arc<FileBytes>,
    decoder: Option<Decoder>,
    /// The row behind the last piece.
    end: u64,
    /// Whether pieces come with gaps, since other readers get those between: then a decoder goes to a piece's end only.
    gaps: bool,
    dictionaries: Dictionaries,
}

/// A decoder in the middle of a row group.
struct Decoder {
    reader: ParquetRecordBatchReader,
    /// The rows that it will still decode.
    ahead: VecDeque<Range<u64>>,
    /// What it has decoded and nobody has taken: first row and rows.
    decoded: VecDeque<(u64, RecordBatch)>,
}

impl Rows {
    pub fn new(plans: Arc<Plans>) -> Self {
        Self {
            plans,
            file: None,
            left: 0..0,
            origin: 0,
        }
    }
}

impl PieceReader for Rows {
    fn open(&mut self, file: &InputFile, piece: Piece) -> Result<()> {
        self.left = piece.start..piece.end;
        self.origin = piece.first.0.wrapping_sub(piece.start);
        let same = |open: &OpenFile| open.plan.footer.path == file.path;
        if !self.file.as_ref().is_some_and(same) {
            self.file = None;
            let plan = self.plans.of(file)?;
            self.file = Some(OpenFile {
                bytes: Arc::new(plan.footer.open()?),
                end: plan.first_of_group(piece.start),
                plan,
                decoder: None,
                gaps: false,
                dictionaries: Dictionaries::default(),
            });
        }
        if let Some(open) = &mut self.file {
            open.gaps = open.end != piece.start;
            open.end = piece.end;
        }
        Ok(())
    }

    fn next(&mut self, rows: usize) -> Result<Option<Decoded>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let file = self
            .file
            .as_mut()
            .ok_or_else(|| Error::internal("a piece was read before it was opened"))?;
        let most = (self.left.end - self.left.start).min(rows.max(1) as u64);
        let rows = file.rows(self.left.start, most as usize)?;
        let first = Place(self.origin.wrapping_add(self.left.start));
        self.left.start += rows.num_rows() as u64;
        let batch = Batch::new(rows).with_places(Places::From(first));
        Ok(Some(Decoded {
            batches: vec![(0, batch)],
            bad: Vec::new(),
        }))
    }
}

impl OpenFile {
    /// At least one and at most `most` rows from `row`.
    fn rows(&mut self, row: u64, most: usize) -> Result<RecordBatch> {
        let path = Arc::clone(&self.plan.footer.path);
        if self.plan.shaping.used.is_empty() {
            return self.no_columns(row, most, &path);
        }
        loop {
            if let Some(rows) = self.decoder.as_mut().and_then(|d| d.take(row, most)) {
                return self.plan.shaping.apply(&rows, &path, row);
            }
            let decoder = match self.decoder.take() {
                Some(decoder) if decoder.reaches(row) => decoder,
                _ => self.start(row)?,
            };
            // Not put back before it has worked: a decoder that failed is in no state to go on.
            self.decoder = Some(guarded(&path, || decoder.advanced())?);
        }
    }

    /// Rows of a file none of whose columns is in use.
    fn no_columns(&self, row: u64, most: usize, path: &str) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(most));
        let none = Arc::new(arrow_schema::Schema::empty());
        let rows = RecordBatch::try_new_with_options(none, vec![], &options)?;
        self.plan.shaping.apply(&rows, path, row)
    }

    fn start(&mut self, row: u64) -> Result<Decoder> {
        let plan = Arc::clone(&self.plan);
        let group = plan
            .group_at(row)
            .map(|at| &plan.groups[at])
            .ok_or_else(|| Error::internal("a piece lies behind the file's end"))?;
        let end = if self.gaps { self.end } else { u64::MAX };
        let ahead = kept(group, row..end);
        let dictionaries = self.dictionaries.of_group(group.index);
        guarded(&plan.footer.path, || {
            let pages = GroupPages {
                bytes: Arc::clone(&self.bytes),
                metadata: Arc::clone(plan.footer.metadata()),
                group: group.index,
                dictionaries,
            };
            let rows = group.decode_rows as usize;
            let selection = selection(group, &ahead);
            let reader = ParquetRecordBatchReader::try_new_with_row_groups(
                &plan.levels,
                &pages,
                rows,
                selection,
            )?;
            Ok(Decoder {
                reader,
                ahead,
                decoded: VecDeque::new(),
            })
        })
    }
}

/// The kept rows of a group in `within`.
fn kept(group: &Group, within: Range<u64>) -> VecDeque<Range<u64>> {
    group
        .kept
        .iter()
        .map(|range| range.start.max(within.start)..range.end.min(within.end))
        .filter(|range| !range.is_empty())
        .collect()
}

/// The same for the decoder; none if these are all rows.
fn selection(group: &Group, ahead: &VecDeque<Range<u64>>) -> Option<RowSelection> {
    if ahead.len() == 1 && ahead[0] == group.rows {
        return None;
    }
    let mut at = group.rows.start;
    let mut selectors = Vec::with_capacity(ahead.len() * 2);
    for range in ahead {
        if range.start > at {
            selectors.push(RowSelector::skip((range.start - at) as usize));
        }
        selectors.push(RowSelector::select((range.end - range.start) as usize));
        at = range.end;
    }
    Some(selectors.into())
}

impl Decoder {
    /// Whether `row` is the next one to be decoded: going on is cheaper than starting anew.
    fn reaches(&self, row: u64) -> bool {
        self.ahead.front().is_some_and(|range| range.start == row)
    }

    /// Decoded rows from `row`, forgetting those before it.
    fn take(&mut self, row: u64, most: usize) -> Option<RecordBatch> {
        loop {
            let (first, rows) = self.decoded.front_mut()?;
            let length = rows.num_rows();
            if row < *first {
                return None;
            }
            let skip = (row - *first) as usize;
            if skip >= length {
                self.decoded.pop_front();
                continue;
            }
            let taken = rows.slice(skip, most.min(length - skip));
            let used = skip + taken.num_rows();
            if used == length {
                self.decoded.pop_front();
            } else {
                *rows = rows.slice(used, length - used);
                *first += used as u64;
            }
            return Some(taken);
        }
    }

    /// Decodes a batch and says which rows it is made of: one batch may cover several kept ranges.
    fn advanced(mut self) -> std::result::Result<Self, ParquetError> {
        self.decoded.clear();
        let too_few = || ParquetError::EOF("there are fewer rows than the footer says".into());
        let rows = match self.reader.next() {
            Some(rows) => rows?,
            None => return Err(too_few()),
        };
        let mut used = 0;
        while used < rows.num_rows() {
            let range = self.ahead.front_mut().ok_or_else(too_few)?;
            let length = (rows.num_rows() - used).min((range.end - range.start) as usize);
            self.decoded
                .push_back((range.start, rows.slice(used, length)));
            used += length;
            range.start += length as u64;
            if range.is_empty() {
                self.ahead.pop_front();
            }
        }
        Ok(self)
    }
}
