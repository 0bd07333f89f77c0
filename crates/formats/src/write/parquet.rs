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
use super::groups::Groups;
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

    pub(super) fn properties(&self, schema: &Schema) -> Result<WriterProperties> {
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
        let rows = ParquetRows::new(self, Counted::new(out), &schema)?;
        Ok(Box::new(rows))
    }

    fn resume(
        &self,
        out: Box<dyn Write + Send>,
        schema: SchemaRef,
        bytes: u64,
        from: &Restored<'_>,
    ) -> Result<Box<dyn RowsWriter>> {
        let mut rows = ParquetRows::new(self, Counted::mute(out), &schema)?;
        rows.go_on(bytes, from)?;
        Ok(Box::new(rows))
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
    groups: Groups,
}

impl ParquetRows {
    fn new(format: &Parquet, out: Counted, schema: &SchemaRef) -> Result<Self> {
        let schema = written_schema(schema);
        let properties = format.properties(&schema)?;
        let options = ArrowWriterOptions::new().with_properties(properties);
        check_columns(&schema, &options)?;
        let most_rows = format.group_rows(&schema);
        let writer = ArrowWriter::try_new_with_options(out, Arc::clone(&schema), options)
            .and_then(ArrowWriter::into_serialized_writer);
        let (file, columns) = writer.map_err(parquet_failed)?;
        Ok(Self {
            blocks: Blocks::new(schema.clone(), BLOCK_ROWS, LONG_BLOCK_BYTES),
            groups: Groups::new(schema.clone(), most_rows, file, columns),
            schema,
        })
    }

    /// Goes on with what was saved.
    fn go_on(&mut self, bytes: u64, from: &Restored<'_>) -> Result<()> {
        self.groups.go_on(bytes, from)?;
        let waiting = self.groups.reopen(from)?;
        self.write(&waiting)
    }
}

impl RowsWriter for ParquetRows {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = plain(rows, &self.schema)?;
        let groups = &mut self.groups;
        self.blocks
            .push(&rows, &mut |block, bytes| groups.encode(&block, bytes))
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<u64> {
        self.groups.save(self.blocks.held(), into)?;
        Ok(self.bytes())
    }

    fn finish(mut self: Box<Self>) -> Result<Sink> {
        let groups = &mut self.groups;
        self.blocks
            .finish(&mut |block, bytes| groups.encode(&block, bytes))?;
        let mut out = self.groups.finish()?;
        out.flush().map_err(|e| super::failed(&e))?;
        Ok(out.into_inner())
    }

    fn bytes(&self) -> u64 {
        self.groups.written()
    }

    fn memory(&self) -> usize {
        self.groups.memory() + self.blocks.memory()
    }
}
