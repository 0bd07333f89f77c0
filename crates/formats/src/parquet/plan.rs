//! What is read of one file: its columns and their types, the rows that cannot be excluded, and how they are cut.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use ::parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels};
use ::parquet::basic::Type as Physical;
use ::parquet::column::page::PageReader;
use ::parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use ::parquet::file::reader::SerializedPageReader;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow_core::Result;

use super::footer::{Footer, Indexes, guarded};
use super::skip;
use crate::convert::{Shaping, dictionary, logical, wanted_columns};
use crate::file_bytes::FileBytes;
use crate::{InputFile, Request};

/// Rows decoded at a time: enough to pay for a call, small enough to stay in the cache.
const DECODE_ROWS: u64 = 8_192;
/// The most rows of a piece.
const PIECE_ROWS: u64 = 65_536;
/// The bytes that a piece should not pass much.
const PIECE_BYTES: f64 = 8.0 * 1024.0 * 1024.0;

/// A row group, as far as it is read.
#[derive(Debug)]
pub(super) struct Group {
    /// Its index in the file.
    pub index: usize,
    /// Its rows, counted through the file.
    pub rows: Range<u64>,
    /// Those that statistics do not exclude, ascending, neither empty nor touching.
    pub kept: Vec<Range<u64>>,
    /// Rows to decode at a time.
    pub decode_rows: u64,
    /// Rows of a piece, about.
    pub piece_rows: u64,
    /// The column that pieces are best cut along: the largest one that is decoded.
    pub largest: Option<usize>,
    /// What a decoded row needs, estimated.
    pub row_bytes: f64,
}

/// What is read of one file.
pub(super) struct Plan {
    pub footer: Footer,
    /// The columns to decode, with the types to decode them to.
    pub levels: FieldLevels,
    pub shaping: Shaping,
    pub groups: Vec<Group>,
    /// Rows behind this one are not wanted.
    pub end: u64,
}

impl Plan {
    fn new(file: &InputFile, request: &Request, target: &SchemaRef) -> Result<Self> {
        let indexes = if request.wanted.predicate.is_empty() {
            Indexes::Places
        } else {
            Indexes::Statistics
        };
        let footer = Footer::load(file, indexes)?;
        let path = &*file.path;
        let schema = decoded_types(&footer, &request.columns)?;
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let types: Vec<DataType> = schema
            .fields()
            .iter()
            .map(|f| f.data_type().clone())
            .collect();
        // All columns are checked, so that whether a file fits does not depend on which columns are in use.
        Shaping::plan(Arc::clone(&request.columns), &names, &types, path)?;
        let shaping = Shaping::plan(Arc::clone(target), &names, &types, path)?;
        let parquet = footer.arrow.parquet_schema();
        let mask = ProjectionMask::roots(parquet, shaping.used.iter().copied());
        let levels = guarded(path, || {
            parquet_to_arrow_field_levels(parquet, mask.clone(), Some(schema.fields()))
        })?;
        let kept = guarded(path, || Ok(skip::kept_rows(&footer, request)))?;
        let groups = guarded(path, || {
            let wanted = (0..parquet.num_columns())
                .filter(|&leaf| mask.leaf_included(leaf))
                .collect::<Vec<_>>();
            Ok(groups(&footer, &schema, &wanted, kept))
        })?;
        let end = request.wanted.rows.unwrap_or(u64::MAX).min(footer.rows());
        Ok(Self {
            footer,
            levels,
            shaping,
            groups,
            end,
        })
    }

    /// The first row of the group that holds a row.
    pub fn first_of_group(&self, row: u64) -> u64 {
        self.group_at(row)
            .map_or(row, |at| self.groups[at].rows.start)
    }

    /// The group that holds a row.
    pub fn group_at(&self, row: u64) -> Option<usize> {
        let at = self.groups.partition_point(|group| group.rows.end <= row);
        (at < self.groups.len()).then_some(at)
    }
}

/// The types to decode to: text as asked for, everything else as the file's writer meant it.
fn decoded_types(footer: &Footer, columns: &Schema) -> Result<SchemaRef> {
    let found = footer.arrow.schema();
    let fields = found.fields().iter().enumerate().map(|(i, field)| {
        let plain = logical(field.data_type());
        let coded = columns
            .field_with_name(field.name())
            .is_ok_and(|asked| *asked.data_type() == dictionary());
        let data_type = match (&plain, footer.leaf(i)) {
            (DataType::Utf8, Some(_)) if coded => dictionary(),
            (DataType::Utf8 | DataType::Binary, Some(_)) => plain,
            (_, Some(_)) => match field.data_type() {
                DataType::Dictionary(_, values) => values.as_ref().clone(),
                other => other.clone(),
            },
            (_, None) => field.data_type().clone(),
        };
        Field::clone(field).with_data_type(data_type)
    });
    let schema: SchemaRef = Arc::new(Schema::new_with_metadata(
        fields.collect::<Vec<_>>(),
        found.metadata().clone(),
    ));
    let options = ArrowReaderOptions::new().with_schema(Arc::clone(&schema));
    // The decoder says what is wrong with a type that it cannot make.
    guarded(&footer.path, || {
        ArrowReaderMetadata::try_new(Arc::clone(footer.metadata()), options)
    })?;
    Ok(schema)
}

fn groups(
    footer: &Footer,
    schema: &Schema,
    wanted: &[usize],
    kept: Vec<Vec<Range<u64>>>,
) -> Vec<Group> {
    let mut first = 0;
    let mut groups = Vec::new();
    for (index, (group, kept)) in footer.metadata().row_groups().iter().zip(kept).enumerate() {
        let rows = first..first + group.num_rows() as u64;
        first = rows.end;
        let row_bytes = row_bytes(footer, schema, group, wanted);
        let fitting = (PIECE_BYTES / row_bytes.max(1.0)) as u64;
        let piece_rows = fitting.clamp(16, PIECE_ROWS);
        if !rows.is_empty() {
            groups.push(Group {
                index,
                rows,
                kept,
                decode_rows: DECODE_ROWS.min((piece_rows / 4).max(16)),
                piece_rows,
                largest: wanted
                    .iter()
                    .copied()
                    .max_by_key(|&leaf| group.column(leaf).compressed_size()),
                row_bytes,
            });
        }
    }
    groups
}

impl Plan {
    /// The rows, counted through the file, at which pages of a group's largest column start, as far as that can be told.
    ///
    /// A piece that ends where a page does makes nobody decode a page for rows of another piece.
    pub fn page_starts(&self, group: &Group, bytes: &FileBytes) -> Vec<u64> {
        let Some(leaf) = group.largest else {
            return Vec::new();
        };
        let metadata = self.footer.metadata();
        let places = metadata
            .offset_index()
            .and_then(|groups| groups.get(group.index)?.get(leaf));
        let starts = match places {
            Some(pages) => {
                let pages = pages.page_locations().iter();
                pages
                    .map(|page| page.first_row_index.max(0) as u64)
                    .collect()
            }
            None => {
                let walk = || walked_starts(metadata.row_group(group.index), leaf, bytes);
                guarded(&self.footer.path, walk).unwrap_or_default()
            }
        };
        let first = group.rows.start;
        starts.into_iter().map(|start| first + start).collect()
    }
}

/// Hops from page header to page header.
fn walked_starts(
    group: &RowGroupMetaData,
    leaf: usize,
    bytes: &FileBytes,
) -> ::parquet::errors::Result<Vec<u64>> {
    let chunk = group.column(leaf);
    let flat = chunk.column_descr().max_rep_level() == 0;
    let bytes = Arc::new(bytes.clone());
    let mut pages = SerializedPageReader::new(bytes, chunk, group.num_rows() as usize, None)?;
    let (mut row, mut starts) = (0, Vec::new());
    while let Some(page) = pages.peek_next_page()? {
        if !page.is_dict {
            starts.push(row);
            match page.num_rows.or(page.num_levels.filter(|_| flat)) {
                Some(rows) => row += rows as u64,
                None => break,
            }
        }
        pages.skip_next_page()?;
    }
    Ok(starts)
}

/// What a decoded row needs, estimated from the sizes in the footer.
fn row_bytes(footer: &Footer, schema: &Schema, group: &RowGroupMetaData, wanted: &[usize]) -> f64 {
    let parquet = footer.arrow.parquet_schema();
    let rows = (group.num_rows() as f64).max(1.0);
    let all = wanted.iter().map(|&leaf| {
        let field = schema.field(parquet.get_column_root_idx(leaf));
        let chunk = group.column(leaf);
        let values = chunk.num_values() as f64 / rows;
        values * (value_bytes(chunk, matches!(field.data_type(), DataType::Dictionary(..))) + 0.125)
    });
    all.sum::<f64>() + 1.0
}

fn value_bytes(chunk: &ColumnChunkMetaData, coded: bool) -> f64 {
    let values = (chunk.num_values() as f64).max(1.0);
    let stored = chunk.uncompressed_size() as f64 / values;
    match chunk.column_type() {
        Physical::BOOLEAN => 0.125,
        Physical::INT32 | Physical::FLOAT => 4.0,
        Physical::INT64 | Physical::DOUBLE => 8.0,
        Physical::INT96 => 12.0,
        Physical::BYTE_ARRAY if coded => 4.0 + stored.min(8.0),
        Physical::BYTE_ARRAY => match chunk.unencoded_byte_array_data_bytes() {
            Some(bytes) => 4.0 + bytes as f64 / values,
            None if chunk.dictionary_page_offset().is_some() => 4.0 + stored.max(16.0),
            None => 4.0 + stored,
        },
        Physical::FIXED_LEN_BYTE_ARRAY => stored.max(8.0),
    }
}

/// The plans of the files read last, shared by all readers of a source.
pub(super) struct Plans {
    request: Request,
    target: SchemaRef,
    recent: Mutex<Vec<Arc<Plan>>>,
}

/// Readers work on neighbouring files, so a few plans are enough.
const MOST_PLANS: usize = 16;
/// The bytes of footers that may be kept, beyond those of two files.
const MOST_FOOTER_BYTES: usize = 16 << 20;

impl Plans {
    pub fn new(request: &Request) -> Self {
        Self {
            target: wanted_columns(request),
            request: request.clone(),
            recent: Mutex::new(Vec::new()),
        }
    }

    /// The columns that files are read as.
    pub fn columns(&self) -> &Schema {
        &self.request.columns
    }

    /// The plan of a file.
    pub fn of(&self, file: &InputFile) -> Result<Arc<Plan>> {
        if let Some(plan) = self.remembered(&file.path) {
            return Ok(plan);
        }
        let plan = Arc::new(Plan::new(file, &self.request, &self.target)?);
        self.remember(&plan);
        Ok(plan)
    }

    fn remembered(&self, path: &str) -> Option<Arc<Plan>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let at = recent.iter().position(|plan| &*plan.footer.path == path)?;
        let plan = recent.remove(at);
        recent.push(Arc::clone(&plan));
        Some(plan)
    }

    fn remember(&self, plan: &Arc<Plan>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|other| other.footer.path != plan.footer.path);
        recent.push(Arc::clone(plan));
        let bytes = |plan: &Arc<Plan>| plan.footer.metadata().memory_size();
        let mut total: usize = recent.iter().map(bytes).sum();
        while recent.len() > 2 && (recent.len() > MOST_PLANS || total > MOST_FOOTER_BYTES) {
            total -= bytes(&recent.remove(0));
        }
    }
}
