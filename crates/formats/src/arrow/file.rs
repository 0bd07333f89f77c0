//! An Arrow file: its footer, where its record batches are, and cutting it into pieces.

use std::ops::Range;
use std::sync::Arc;

use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::{Block, Footer, MetadataVersion, root_as_footer};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use dataflow_core::{Cutter, Error, Piece, Place as RowPlace, Result};

use super::guarded;
use super::layout::{Place, io, message, used_bytes, wrong};
use crate::convert::Shaping;
use crate::file_bytes::{FileBytes, Stamp};
use crate::{InputFile, Request};

/// The most rows of a piece.
const PIECE_ROWS: u64 = 65_536;

/// A record batch.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub block: Block,
    /// Its rows, counted through the file.
    pub rows: Range<u64>,
    /// What the columns in use need, all rows together.
    pub bytes: u64,
}

/// A file's schema and where its record batches are.
pub(super) struct ArrowFile {
    pub path: Arc<str>,
    stamp: Stamp,
    pub schema: SchemaRef,
    version: MetadataVersion,
    dictionaries: Vec<Block>,
    pub batches: Vec<Batch>,
    /// How decoded columns become requested ones; set by [`ArrowFile::plan`].
    pub shaping: Option<Shaping>,
    /// Rows behind this one are not wanted.
    end: u64,
}

/// Where the record batches are, and how many rows they have, which their headers tell.
fn batches(footer: &Footer<'_>, bytes: &FileBytes) -> std::result::Result<Vec<Batch>, ArrowError> {
    let (mut first, mut batches) = (0_u64, Vec::new());
    for block in footer.recordBatches().into_iter().flatten() {
        let metadata = place(block).metadata(bytes)?;
        let message = message(&metadata)?;
        let batch = message
            .header_as_record_batch()
            .ok_or_else(|| wrong("a record batch is none"))?;
        let rows = u64::try_from(batch.length()).map_err(|_| wrong("a negative length"))?;
        let end = first.saturating_add(rows);
        batches.push(Batch {
            block: *block,
            rows: first..end,
            bytes: block.bodyLength().max(0) as u64,
        });
        first = end;
    }
    Ok(batches)
}

pub(super) fn place(block: &Block) -> Place {
    Place {
        offset: block.offset().max(0) as u64,
        metadata: block.metaDataLength().max(0) as u64,
        body: block.bodyLength().max(0) as u64,
    }
}

impl ArrowFile {
    pub fn load(file: &InputFile) -> Result<Self> {
        let (bytes, stamp) = FileBytes::open(file.open()?, &file.path)?;
        guarded(&file.path, || Self::parse(file, &bytes, stamp))
    }

    fn parse(
        file: &InputFile,
        bytes: &FileBytes,
        stamp: Stamp,
    ) -> std::result::Result<Self, ArrowError> {
        let mut tail = [0; 10];
        let end = bytes
            .len()
            .checked_sub(10)
            .ok_or_else(|| wrong("it is too short"))?;
        bytes.all(&mut tail, end).map_err(io)?;
        let length = read_footer_length(tail)? as u64;
        let start = end
            .checked_sub(length)
            .ok_or_else(|| wrong("its footer is damaged"))?;
        let mut footer = vec![0; length as usize];
        bytes.all(&mut footer, start).map_err(io)?;
        let footer = root_as_footer(&footer).map_err(|e| wrong(&format!("its footer: {e}")))?;
        let schema = footer.schema().ok_or_else(|| wrong("it has no schema"))?;
        if !schema.endianness().equals_to_target_endianness() {
            return Err(wrong(
                "its bytes are in the order of another kind of machine",
            ));
        }
        Ok(Self {
            path: Arc::clone(&file.path),
            stamp,
            schema: Arc::new(fb_to_schema(schema)),
            version: footer.version(),
            dictionaries: footer
                .dictionaries()
                .into_iter()
                .flatten()
                .copied()
                .collect(),
            batches: batches(&footer, bytes)?,
            shaping: None,
            end: u64::MAX,
        })
    }

    pub fn rows(&self) -> u64 {
        self.batches.last().map_or(0, |batch| batch.rows.end)
    }

    /// Decides what is read of the file.
    pub fn plan(&mut self, request: &Request, target: &SchemaRef) -> Result<()> {
        let shaping = shaping(&self.schema, request, target, &self.path)?;
        let bytes = self.open()?;
        for batch in &mut self.batches {
            let needed = guarded(&self.path, || {
                let metadata = place(&batch.block).metadata(&bytes)?;
                let message = message(&metadata)?;
                let header = message.header_as_record_batch();
                Ok(header.and_then(|header| used_bytes(&self.schema, &header, &shaping.used)))
            })?;
            batch.bytes = needed.unwrap_or(batch.bytes);
        }
        self.shaping = Some(shaping);
        self.end = request.wanted.rows.unwrap_or(u64::MAX).min(self.rows());
        Ok(())
    }

    /// Opens the file again for reading record batches.
    pub fn open(&self) -> Result<FileBytes> {
        FileBytes::reopen(&self.path, &self.stamp)
    }

    /// A decoder of the columns in use, which knows the file's dictionaries.
    pub fn decoder(&self, bytes: &FileBytes, used: &[usize]) -> Result<FileDecoder> {
        let coded = used
            .iter()
            .any(|&i| has_codes(self.schema.field(i).data_type()));
        guarded(&self.path, || {
            let mut decoder = FileDecoder::new(Arc::clone(&self.schema), self.version)
                .with_projection(used.to_vec());
            for block in self.dictionaries.iter().filter(|_| coded) {
                decoder.read_dictionary(block, &place(block).whole(bytes)?)?;
            }
            Ok(decoder)
        })
    }

    /// The record batch that holds a row.
    pub fn batch_at(&self, row: u64) -> Result<&Batch> {
        let at = self.batches.partition_point(|batch| batch.rows.end <= row);
        self.batches
            .get(at)
            .ok_or_else(|| Error::internal("a piece lies behind the file's end"))
    }
}

/// How the columns of a file become the requested ones.
pub(super) fn shaping(
    schema: &SchemaRef,
    request: &Request,
    target: &SchemaRef,
    path: &str,
) -> Result<Shaping> {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let types: Vec<DataType> = schema
        .fields()
        .iter()
        .map(|f| f.data_type().clone())
        .collect();
    // All columns are checked, so that whether a file fits does not depend on which columns are in use.
    Shaping::plan(Arc::clone(&request.columns), &names, &types, path)?;
    Shaping::plan(Arc::clone(target), &names, &types, path)
}

fn has_codes(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(..) => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::RunEndEncoded(_, field)
        | DataType::Map(field, _) => has_codes(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| has_codes(f.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, f)| has_codes(f.data_type())),
        _ => false,
    }
}

/// Cuts a file into pieces: small record batches together, large ones apart.
pub(super) struct Pieces {
    file: Arc<ArrowFile>,
    split: usize,
    first: RowPlace,
    next: u64,
    told: u64,
}

impl Pieces {
    pub fn new(file: Arc<ArrowFile>, split: usize, first: RowPlace) -> Result<Self> {
        if first.row().saturating_add(file.rows()) > RowPlace::MAX_ROWS {
            return Err(
                Error::data(format!("a file has more than {} rows", RowPlace::MAX_ROWS))
                    .file(&*file.path)
                    .help("cut the file into several"),
            );
        }
        Ok(Self {
            file,
            split,
            first,
            next: 0,
            told: 0,
        })
    }
}

impl Cutter for Pieces {
    fn next(&mut self) -> Result<Option<Piece>> {
        if self.next >= self.file.end {
            return Ok(None);
        }
        let start = self.next;
        let at = self.file.batches.partition_point(|b| b.rows.end <= start);
        let mut end = start;
        let mut bytes = 0.0;
        for batch in &self.file.batches[at..] {
            let whole = batch.rows.start >= start;
            let fits = batch.rows.end - start <= PIECE_ROWS;
            if !fits && end > start {
                break;
            }
            end = batch.rows.end.min(start + PIECE_ROWS);
            // Whoever decodes the first rows of a record batch has all of it in memory.
            let taken = (end - start.max(batch.rows.start)) as f64;
            let share = taken / (batch.rows.end - batch.rows.start).max(1) as f64;
            bytes += batch.bytes as f64 * if whole { 1.0 } else { share };
            if !fits {
                break;
            }
        }
        let end = end.min(self.file.end);
        self.next = end;
        let size = u128::from(self.file.stamp.bytes);
        let reached = (size * u128::from(end) / u128::from(self.file.rows().max(1))) as u64;
        let input_bytes = reached.saturating_sub(self.told);
        self.told = reached;
        Ok(Some(Piece {
            split: self.split,
            first: RowPlace(self.first.0 + start),
            rows: Some(end - start),
            start,
            end,
            text: None,
            bytes: bytes as usize,
            input_bytes,
            unfinished: false,
        }))
    }
}
