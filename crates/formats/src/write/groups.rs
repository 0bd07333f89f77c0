//! The row groups of a Parquet file, encoded one after the other, so that another run can go on behind any of them.
//!
//! This does what `ArrowWriter` does, and keeps what that would keep to itself: the footer of each finished row group and the rows
//! of the open one. Going on, a new writer is told the finished row groups again, with zeros for their bytes, while its output
//! takes none: it counts as the first one did, so its footer is the same.

use std::io::{self, Repeat};
use std::sync::Arc;

use ::parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use ::parquet::column::writer::ColumnCloseResult;
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, PageIndexPolicy, ParquetMetaDataBuilder,
    ParquetMetaDataOptions, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
};
use ::parquet::file::page_index::column_index::ColumnIndexMetaData;
use ::parquet::file::page_index::offset_index::OffsetIndexMetaData;
use ::parquet::file::reader::{ChunkReader, Length};
use ::parquet::file::statistics::Statistics;
use ::parquet::file::writer::SerializedFileWriter;
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::{Batch, Error, Result};
use serde::{Deserialize, Serialize};

use super::blocks::restored;
use super::output::{Counted, failed, parquet_failed};

/// The names of what is saved: the footer of each finished row group, the rows that are in none, and how far the open one is.
const GROUPS: &str = "groups";
const ROWS: &str = "rows";
const OPEN: &str = "open";

const LONG_GROUP_BYTES: u64 = 12 << 20;

/// The row groups of a file.
pub(super) struct Groups {
    schema: SchemaRef,
    most_rows: usize,
    file: SerializedFileWriter<Counted>,
    columns: ArrowRowGroupWriterFactory,
    /// The open row group.
    open: Option<Vec<ArrowColumnWriter>>,
    /// Its rows, in the pieces that the encoder got: how these are cut can shape pages.
    pieces: Vec<RecordBatch>,
    rows: usize,
    /// The values' own bytes in it.
    bytes: u64,
    /// For each finished row group the footer of a file that has no other.
    footers: Vec<Vec<u8>>,
}

/// How far the open row group is.
#[derive(Serialize, Deserialize)]
struct Open {
    /// The lengths of the pieces that the encoder got. The first rows are theirs, the others are no whole block.
    pieces: Vec<usize>,
    /// The values' own bytes in them.
    bytes: u64,
}

impl Groups {
    pub fn new(
        schema: SchemaRef,
        most_rows: usize,
        file: SerializedFileWriter<Counted>,
        columns: ArrowRowGroupWriterFactory,
    ) -> Self {
        Self {
            schema,
            most_rows,
            file,
            columns,
            open: None,
            pieces: Vec::new(),
            rows: 0,
            bytes: 0,
            footers: Vec::new(),
        }
    }

    /// Encodes a block, and ends row groups that are full.
    pub fn encode(&mut self, block: &RecordBatch, bytes: u64) -> Result<()> {
        let (mut at, mut ended) = (0, false);
        while at < block.num_rows() {
            let length = (block.num_rows() - at).min(self.most_rows - self.rows);
            self.piece(block.slice(at, length))?;
            at += length;
            if self.rows == self.most_rows {
                self.end_group()?;
                ended = true;
            }
        }
        self.bytes = if ended { 0 } else { self.bytes + bytes };
        if self.bytes >= LONG_GROUP_BYTES {
            self.end_group()?;
            self.bytes = 0;
        }
        Ok(())
    }

    /// Encodes rows for which there is room in the open row group.
    fn piece(&mut self, rows: RecordBatch) -> Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let number = self.file.flushed_row_groups().len();
                let columns = self.columns.create_column_writers(number);
                none.insert(columns.map_err(parquet_failed)?)
            }
        };
        let mut writers = open.iter_mut();
        for (field, column) in self.schema.fields().iter().zip(rows.columns()) {
            let leaves = compute_leaves(field, column).map_err(parquet_failed)?;
            for (leaf, writer) in leaves.iter().zip(&mut writers) {
                writer.write(leaf).map_err(parquet_failed)?;
            }
        }
        self.rows += rows.num_rows();
        self.pieces.push(rows);
        Ok(())
    }

    /// Writes the open row group.
    fn end_group(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        self.pieces.clear();
        self.rows = 0;
        let footer = write_group(&mut self.file, open).map_err(parquet_failed)?;
        self.footers.push(footer);
        Ok(())
    }

    /// Writes down what is finished, how far the open row group is, and the rows that wait for the encoder.
    pub fn save<'a>(
        &mut self,
        waiting: impl Iterator<Item = &'a RecordBatch>,
        into: &mut dyn Save,
    ) -> Result<()> {
        self.file.flush().map_err(|e| failed(&e))?;
        if !self.footers.is_empty() {
            let footers: ArrayRef = Arc::new(BinaryArray::from_iter_values(&self.footers));
            let footers = RecordBatch::try_from_iter([(GROUPS, footers)])?;
            into.rows(GROUPS, Batch::new(footers));
        }
        let open = Open {
            pieces: self.pieces.iter().map(RecordBatch::num_rows).collect(),
            bytes: self.bytes,
        };
        into.value(OPEN, serde_json::json!(open));
        let pieces = self.pieces.iter().cloned();
        pieces
            .chain(waiting.cloned())
            .for_each(|rows| into.rows(ROWS, Batch::new(rows)));
        Ok(())
    }

    /// Goes on behind the finished row groups that were saved.
    pub fn go_on(&mut self, bytes: u64, from: &Restored<'_>) -> Result<()> {
        from.rows(GROUPS, Share::Dealt, &mut |batch| {
            let column = batch.rows().columns().first();
            let footers = column.and_then(|column| column.as_binary_opt::<i32>());
            let footers = footers.ok_or_else(|| Error::data("what was saved of a row group"))?;
            for footer in footers.iter().flatten() {
                tell_again(&mut self.file, footer).map_err(parquet_failed)?;
                self.footers.push(footer.to_vec());
            }
            Ok(())
        })?;
        self.file.flush().map_err(|e| failed(&e))?;
        let told = self.file.bytes_written() as u64;
        if told != bytes {
            return Err(Error::data(format!(
                "the row groups that were saved have {told} bytes, the file has {bytes}"
            )));
        }
        self.file.inner_mut().go_on(bytes);
        Ok(())
    }

    /// Encodes the rows of the open row group again, and gives those that waited for the encoder.
    pub fn reopen(&mut self, from: &Restored<'_>) -> Result<RecordBatch> {
        let saved = from.values(OPEN)?.pop().unwrap_or_default();
        let open = serde_json::from_value::<Open>(saved);
        let open = open.map_err(|e| Error::data(format!("what was saved of a row group: {e}")))?;
        let rows = restored(&self.schema, from, ROWS)?;
        let encoded: usize = open.pieces.iter().sum();
        if encoded > rows.num_rows() {
            return Err(Error::data(
                "rows of a row group that was saved are missing",
            ));
        }
        let mut at = 0;
        for length in open.pieces {
            self.piece(rows.slice(at, length))?;
            at += length;
        }
        self.bytes = open.bytes;
        Ok(rows.slice(at, rows.num_rows() - at))
    }

    pub fn finish(mut self) -> Result<Counted> {
        self.end_group()?;
        self.file.into_inner().map_err(parquet_failed)
    }

    pub fn written(&self) -> u64 {
        self.file.inner().bytes()
    }

    /// Bytes held: those of the encoder, and the rows that it has.
    pub fn memory(&self) -> usize {
        let encoded = self.open.iter().flatten().map(|w| w.memory_size());
        encoded.sum::<usize>() + self.bytes as usize
    }
}

/// Writes a row group, and gives its footer.
fn write_group(
    file: &mut SerializedFileWriter<Counted>,
    open: Vec<ArrowColumnWriter>,
) -> ParquetResult<Vec<u8>> {
    let mut group = file.next_row_group()?;
    let mut closed = Vec::with_capacity(open.len());
    for column in open {
        let chunk = column.close()?;
        closed.push(chunk.close().clone());
        chunk.append_to_row_group(&mut group)?;
    }
    let group = group.close()?;
    let columns = closed.iter_mut().map(|column| column.column_index.take());
    let columns = columns.map(|index| index.unwrap_or(ColumnIndexMetaData::NONE));
    let columns = columns.collect();
    let moved = closed.into_iter().zip(group.columns());
    let offsets = moved.map(|(column, written)| {
        // The pages were counted from the start of the column.
        let by = written.data_page_offset() - column.metadata.data_page_offset();
        let mut index = column.offset_index?;
        index
            .page_locations
            .iter_mut()
            .for_each(|page| page.offset += by);
        Some(index)
    });
    let offsets = offsets.collect();
    footer(&group, columns, offsets)
}

/// The footer of a file that has just one row group.
fn footer(
    group: &RowGroupMetaData,
    columns: Vec<ColumnIndexMetaData>,
    offsets: Option<Vec<OffsetIndexMetaData>>,
) -> ParquetResult<Vec<u8>> {
    let schema = group.schema_descr_ptr();
    let about = FileMetaData::new(1, group.num_rows(), None, None, schema, None);
    let metadata = ParquetMetaDataBuilder::new(about)
        .add_row_group(group.clone())
        .set_column_index(Some(vec![columns]))
        .set_offset_index(offsets.map(|offsets| vec![offsets]))
        .build();
    let mut bytes = Vec::new();
    ParquetMetaDataWriter::new(&mut bytes, &metadata).finish()?;
    Ok(bytes)
}

/// Tells a writer of a row group that has been written.
fn tell_again(file: &mut SerializedFileWriter<Counted>, footer: &[u8]) -> ParquetResult<()> {
    let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
    let metadata = ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        .with_metadata_options(Some(options))
        .parse_and_finish(&Bytes::copy_from_slice(footer))?;
    let [written] = metadata.row_groups() else {
        return Err(ParquetError::General("not one row group".into()));
    };
    let columns = metadata.column_index().and_then(|groups| groups.first());
    let offsets = metadata.offset_index().and_then(|groups| groups.first());
    let mut group = file.next_row_group()?;
    for (i, column) in written.columns().iter().enumerate() {
        let of_column = columns.and_then(|columns| columns.get(i)).cloned();
        let closed = ColumnCloseResult {
            bytes_written: column.compressed_size() as u64,
            rows_written: written.num_rows() as u64,
            metadata: as_written(column)?,
            bloom_filter: None,
            column_index: of_column.filter(|index| !matches!(index, ColumnIndexMetaData::NONE)),
            offset_index: offsets.and_then(|offsets| offsets.get(i)).cloned(),
        };
        group.append_column(&Zeros, closed)?;
    }
    group.close().map(|_| ())
}

/// What a column's footer was made of. It tells the least and the greatest value twice where old readers understand them, which
/// reading forgets.
fn as_written(column: &ColumnChunkMetaData) -> ParquetResult<ColumnChunkMetaData> {
    let twice = column.column_descr().sort_order().is_signed();
    let Some(statistics) = column.statistics().cloned() else {
        return Ok(column.clone());
    };
    let statistics = match statistics {
        Statistics::Boolean(s) => Statistics::Boolean(s.with_backwards_compatible_min_max(twice)),
        Statistics::Int32(s) => Statistics::Int32(s.with_backwards_compatible_min_max(twice)),
        Statistics::Int64(s) => Statistics::Int64(s.with_backwards_compatible_min_max(twice)),
        Statistics::Int96(s) => Statistics::Int96(s.with_backwards_compatible_min_max(twice)),
        Statistics::Float(s) => Statistics::Float(s.with_backwards_compatible_min_max(twice)),
        Statistics::Double(s) => Statistics::Double(s.with_backwards_compatible_min_max(twice)),
        Statistics::ByteArray(s) => {
            Statistics::ByteArray(s.with_backwards_compatible_min_max(twice))
        }
        Statistics::FixedLenByteArray(s) => {
            Statistics::FixedLenByteArray(s.with_backwards_compatible_min_max(twice))
        }
    };
    let column = column.clone().into_builder();
    column.set_statistics(statistics).build()
}

/// Stands for bytes that are there already.
struct Zeros;

impl Length for Zeros {
    fn len(&self) -> u64 {
        u64::MAX
    }
}

impl ChunkReader for Zeros {
    type T = Repeat;

    fn get_read(&self, _: u64) -> ParquetResult<Repeat> {
        Ok(io::repeat(0))
    }

    fn get_bytes(&self, _: u64, length: usize) -> ParquetResult<Bytes> {
        Ok(vec![0; length].into())
    }
}
