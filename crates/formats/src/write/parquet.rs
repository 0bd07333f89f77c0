//! Writing Parquet: pages and row groups break at fixed numbers of rows, so that only the rows shape the bytes.

use std::io::Write;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_writer::ArrowWriterOptions;
use ::parquet::basic::{Compression as Codec, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow_array::{RecordBatch, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow_core::saved::{Restored, Save};
use dataflow_core::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::blocks::{Blocks, plain, typical_row_bytes, written_schema};
use super::output::{Counted, Sink, parquet_failed};
use crate::{RowsWriter, WriteFormat};

/// Parquet files.
///
/// A row group is held in memory, encoded, until it is full. Text is written dictionary-encoded while it repeats.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parquet {
    /// How pages are compressed. Default `"snappy"`; `"zstd"` makes smaller files, and needs some 0.7 MB per column.
    pub compression: ParquetCompression,
    /// Rows of a row group. Default: as many as make about 8 MiB by the columns' types, between 8,192 and 1,048,576.
    /// A group ends sooner where long text would make it larger than 12 MiB.
    pub row_group_rows: Option<u32>,
}

/// How pages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParquetCompression {
    /// Fast.
    #[default]
    Snappy,
    /// Small.
    Zstd,
    /// Not at all.
    None,
}

/// Rows per call of the encoder. Whether a page is full is asked every 1,024 rows of a call.
const BLOCK_ROWS: usize = 8_192;
/// Rows per page: readers that start in the middle of a group decode at most so many in vain.
const PAGE_ROWS: usize = 16_384;
const GROUP_BYTES: usize = 8 << 20;
const LONG_GROUP_BYTES: u64 = 12 << 20;
const LONG_BLOCK_BYTES: u64 = 8 << 20;

impl Parquet {
    fn group_rows(&self, schema: &Schema) -> usize {
        match self.row_group_rows {
            Some(rows) => rows.max(1) as usize,
            None => {
                let rows = GROUP_BYTES / typical_row_bytes(schema);
                (rows / BLOCK_ROWS).clamp(1, 128) * BLOCK_ROWS
            }
        }
    }

    fn properties(&self, schema: &Schema) -> Result<WriterProperties> {
        let codec = match self.compression {
            ParquetCompression::Snappy => Codec::SNAPPY,
            ParquetCompression::Zstd => Codec::ZSTD(ZstdLevel::try_new(3).map_err(parquet_failed)?),
            ParquetCompression::None => Codec::UNCOMPRESSED,
        };
        // A column keeps its dictionary in memory twice, so many columns have small ones.
        let dictionary = ((8 << 20) / schema.fields().len().max(1)).clamp(64 << 10, 1 << 20);
        Ok(WriterProperties::builder()
            .set_compression(codec)
            .set_dictionary_page_size_limit(dictionary)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_max_row_group_row_count(Some(self.group_rows(schema)))
            .build())
    }
}

impl WriteFormat for Parquet {
    fn begin(&self, out: Box<dyn Write + Send>, schema: SchemaRef) -> Result<Box<dyn RowsWriter>> {
        let schema = written_schema(&schema);
        let properties = self.properties(&schema)?;
        let options = ArrowWriterOptions::new().with_properties(properties);
        check_columns(&schema, &options)?;
        let writer =
            ArrowWriter::try_new_with_options(Counted::new(out), Arc::clone(&schema), options)
                .map_err(parquet_failed)?;
        Ok(Box::new(ParquetRows {
            blocks: Blocks::new(schema.clone(), BLOCK_ROWS, LONG_BLOCK_BYTES),
            schema,
            writer,
            group_bytes: 0,
        }))
    }

    fn resume(
        &self,
        _: Box<dyn Write + Send>,
        _: SchemaRef,
        _: u64,
        _: &Restored<'_>,
    ) -> Result<Box<dyn RowsWriter>> {
        Err(cannot_be_saved())
    }
}

/// Names a column that Parquet cannot hold. Some types are refused only when values come, so one null is tried.
fn check_columns(schema: &Schema, options: &ArrowWriterOptions) -> Result<()> {
    for field in schema.fields() {
        let data_type = field.data_type();
        let usual =
            data_type.is_numeric() || matches!(data_type, DataType::Utf8 | DataType::Boolean);
        if !usual && try_null(field, options.clone()).is_err() {
            return Err(Error::data(format!(
                "column `{}` of type {data_type} cannot be written as Parquet",
                field.name(),
            ))
            .help("leave it out or cast it with a `select`"));
        }
    }
    Ok(())
}

fn try_null(field: &Field, options: ArrowWriterOptions) -> ::parquet::errors::Result<()> {
    let field = field.clone().with_nullable(true);
    let null = new_null_array(field.data_type(), 1);
    let schema = Arc::new(Schema::new(vec![field]));
    let row = RecordBatch::try_new(Arc::clone(&schema), vec![null])?;
    let mut writer = ArrowWriter::try_new_with_options(std::io::sink(), schema, options)?;
    writer.write(&row)?;
    writer.close().map(|_| ())
}

struct ParquetRows {
    schema: SchemaRef,
    blocks: Blocks,
    writer: ArrowWriter<Counted>,
    /// The values' own bytes in the row group so far.
    group_bytes: u64,
}

fn encode(
    writer: &mut ArrowWriter<Counted>,
    group_bytes: &mut u64,
    block: &RecordBatch,
    bytes: u64,
) -> Result<()> {
    let groups = writer.flushed_row_groups().len();
    writer.write(block).map_err(parquet_failed)?;
    if writer.flushed_row_groups().len() > groups {
        *group_bytes = 0;
    } else {
        *group_bytes += bytes;
    }
    if *group_bytes >= LONG_GROUP_BYTES {
        writer.flush().map_err(parquet_failed)?;
        *group_bytes = 0;
    }
    Ok(())
}

impl RowsWriter for ParquetRows {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = plain(rows, &self.schema)?;
        let (writer, group_bytes) = (&mut self.writer, &mut self.group_bytes);
        self.blocks.push(&rows, &mut |block, bytes| {
            encode(writer, group_bytes, &block, bytes)
        })
    }

    fn save(&mut self, _: &mut dyn Save) -> Result<u64> {
        Err(cannot_be_saved())
    }

    fn finish(mut self: Box<Self>) -> Result<Sink> {
        let (writer, group_bytes) = (&mut self.writer, &mut self.group_bytes);
        self.blocks
            .finish(&mut |block, bytes| encode(writer, group_bytes, &block, bytes))?;
        let mut out = self.writer.into_inner().map_err(parquet_failed)?;
        out.flush().map_err(|e| super::failed(&e))?;
        Ok(out.into_inner())
    }

    fn bytes(&self) -> u64 {
        self.writer.inner().bytes()
    }

    fn memory(&self) -> usize {
        self.writer.memory_size() + self.blocks.memory()
    }
}

fn cannot_be_saved() -> dataflow_core::Error {
    dataflow_core::Error::resource("such a file cannot be stopped and gone on with yet")
        .help("write `csv`, or leave `[state]` out")
}
