//! Cutting rows anew: blocks whose borders depend on the rows alone, and arrays whose bytes do.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, ByteArrayType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, GenericByteArray, PrimitiveArray,
    RecordBatch, RecordBatchOptions, StructArray, UInt32Array, downcast_primitive_array,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, NullBuffer};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::take::take;
use dataflow_core::saved::{Restored, Share};
use dataflow_core::{Error, Result};

use crate::convert::{DICTIONARY_HINT, logical};

/// The schema of what is written: dictionaries, runs and views are matters of storage, so their values are written.
pub fn written_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let mut metadata = field.metadata().clone();
        metadata.remove(DICTIONARY_HINT);
        Field::clone(field)
            .with_data_type(logical(field.data_type()))
            .with_metadata(metadata)
    });
    Arc::new(Schema::new_with_metadata(
        fields.collect::<Vec<_>>(),
        schema.metadata().clone(),
    ))
}

/// The rows with the types of [`written_schema`].
///
/// # Errors
/// When they are of other columns.
pub fn plain(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if rows.num_columns() != schema.fields().len() {
        return Err(Error::internal("rows of other columns came to a writer"));
    }
    let columns = rows
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                Ok(cast(column, field.data_type())?)
            }
        })
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}

/// So many small batches are put together before more are collected, so that they do not hold on to large buffers.
const SMALL: usize = 64;

/// Collects rows into blocks: a fixed number of rows, or fewer where they are so long that a block would be too large.
pub(super) struct Blocks {
    schema: SchemaRef,
    most_rows: usize,
    most_bytes: u64,
    /// Whether a row can be long.
    varies: bool,
    /// Large pieces, then small ones that came since.
    large: Vec<RecordBatch>,
    small: Vec<RecordBatch>,
    rows: usize,
    bytes: u64,
}

impl Blocks {
    pub fn new(schema: SchemaRef, most_rows: usize, most_bytes: u64) -> Self {
        Self {
            varies: schema.fields().iter().any(|f| varies(f.data_type())),
            schema,
            most_rows,
            most_bytes,
            large: Vec::new(),
            small: Vec::new(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Bytes held, by the values' own sizes.
    pub fn memory(&self) -> usize {
        self.bytes as usize
    }

    /// The rows that are no whole block.
    pub fn held(&self) -> impl Iterator<Item = &RecordBatch> {
        self.large.iter().chain(&self.small)
    }

    /// Takes rows and gives the blocks that are full to `use_block`, with their bytes.
    pub fn push(
        &mut self,
        rows: &RecordBatch,
        use_block: &mut dyn FnMut(RecordBatch, u64) -> Result<()>,
    ) -> Result<()> {
        let mut at = 0;
        while at < rows.num_rows() {
            let room = (self.most_rows - self.rows).min(rows.num_rows() - at);
            let (length, bytes) = self.fitting(rows, at, room);
            self.hold(rows.slice(at, length))?;
            self.rows += length;
            self.bytes += bytes;
            at += length;
            if self.rows == self.most_rows || self.bytes >= self.most_bytes {
                self.close(use_block)?;
            }
        }
        Ok(())
    }

    /// Gives what is left.
    pub fn finish(
        &mut self,
        use_block: &mut dyn FnMut(RecordBatch, u64) -> Result<()>,
    ) -> Result<()> {
        if self.rows > 0 {
            self.close(use_block)?;
        }
        Ok(())
    }

    /// How many of at most `room` rows from `at` go into this block: up to the row that makes it large enough.
    fn fitting(&self, rows: &RecordBatch, at: usize, room: usize) -> (usize, u64) {
        let bytes = |length: usize| -> u64 {
            let columns = rows.columns().iter();
            columns.map(|c| range_bytes(c, at, at + length)).sum()
        };
        let all = bytes(room);
        if !self.varies || self.bytes + all < self.most_bytes {
            return (room, all);
        }
        let (mut low, mut high) = (1, room);
        while low < high {
            let middle = low.midpoint(high);
            if self.bytes + bytes(middle) >= self.most_bytes {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        (low, bytes(low))
    }

    fn hold(&mut self, rows: RecordBatch) -> Result<()> {
        self.small.push(rows);
        if self.small.len() >= SMALL {
            let one = concat_batches(&self.schema, &self.small)?;
            self.small.clear();
            self.large.push(one);
        }
        if self.large.len() >= SMALL {
            self.large = vec![concat_batches(&self.schema, &self.large)?];
        }
        Ok(())
    }

    fn close(&mut self, use_block: &mut dyn FnMut(RecordBatch, u64) -> Result<()>) -> Result<()> {
        self.large.append(&mut self.small);
        let block = joined(&self.schema, &self.large)?;
        let bytes = self.bytes;
        self.large.clear();
        (self.rows, self.bytes) = (0, 0);
        use_block(block, bytes)
    }
}

fn joined(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    if let [one] = batches {
        return Ok(one.clone());
    }
    if !schema.fields().is_empty() {
        return Ok(concat_batches(schema, batches)?);
    }
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::clone(schema);
    Ok(RecordBatch::try_new_with_options(schema, vec![], &options)?)
}

/// The rows that were saved under a name, in one.
pub(super) fn restored(schema: &SchemaRef, from: &Restored<'_>, name: &str) -> Result<RecordBatch> {
    let mut batches = Vec::new();
    from.rows(name, Share::Dealt, &mut |batch| {
        batches.push(plain(batch.rows(), schema)?);
        Ok(())
    })?;
    joined(schema, &batches)
}

fn varies(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::Binary | DataType::List(_) | DataType::Map(..) => true,
        DataType::Struct(fields) => fields.iter().any(|f| varies(f.data_type())),
        DataType::FixedSizeList(field, _) => varies(field.data_type()),
        _ => false,
    }
}

/// The bytes of the values of rows `start..end`, whatever their buffers look like. Only for the types of
/// [`written_schema`]; of other ones (unions) the number is a guess.
fn range_bytes(array: &ArrayRef, start: usize, end: usize) -> u64 {
    let rows = (end - start) as u64;
    let between = |offsets: &[i32]| (offsets[end] - offsets[start]) as u64;
    match array.data_type() {
        DataType::Utf8 => between(array.as_string::<i32>().value_offsets()) + 4 * rows,
        DataType::Binary => between(array.as_binary::<i32>().value_offsets()) + 4 * rows,
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            range_bytes(
                list.values(),
                offsets[start] as usize,
                offsets[end] as usize,
            ) + 4 * rows
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let offsets = map.value_offsets();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            range_bytes(&entries, offsets[start] as usize, offsets[end] as usize) + 4 * rows
        }
        DataType::FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list();
            let size = *size as usize;
            range_bytes(list.values(), start * size, end * size)
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            columns.map(|column| range_bytes(column, start, end)).sum()
        }
        DataType::Boolean => rows.div_ceil(8),
        other => rows * other.primitive_width().unwrap_or(8) as u64,
    }
}

/// What a row needs, roughly, by its columns' types: what decides how many rows go together.
pub(super) fn typical_row_bytes(schema: &Schema) -> usize {
    fn value(data_type: &DataType) -> usize {
        match data_type {
            DataType::Boolean | DataType::Null => 1,
            DataType::Struct(fields) => fields.iter().map(|f| value(f.data_type())).sum(),
            DataType::List(field) | DataType::Map(field, _) => 4 * value(field.data_type()),
            DataType::FixedSizeList(field, size) => *size as usize * value(field.data_type()),
            DataType::FixedSizeBinary(size) => *size as usize,
            other => other.primitive_width().unwrap_or(16),
        }
    }
    let fields = schema.fields().iter();
    fields.map(|f| value(f.data_type())).sum::<usize>().max(1)
}

/// The same rows with nothing left to chance: what lies under a null is zero, unused bits are zero, and there is no bitmap
/// where there is no null. Arrow files are made of these very bytes.
pub(super) fn canonical(rows: &RecordBatch) -> Result<RecordBatch> {
    let columns = rows
        .columns()
        .iter()
        .map(canonical_array)
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        rows.schema(),
        columns,
        &options,
    )?)
}

fn bits(length: usize, bit: impl Fn(usize) -> bool) -> BooleanBuffer {
    BooleanBuffer::collect_bool(length, bit)
}

fn validity(array: &dyn Array) -> Option<NullBuffer> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0)?;
    Some(NullBuffer::new(bits(array.len(), |i| nulls.is_valid(i))))
}

fn canonical_array(array: &ArrayRef) -> Result<ArrayRef> {
    let nulls = validity(array);
    let array = array.as_ref();
    Ok(downcast_primitive_array! {
        array => Arc::new(canonical_numbers(array, nulls)),
        DataType::Boolean => {
            let array = array.as_boolean();
            let values = bits(array.len(), |i| array.is_valid(i) && array.value(i));
            Arc::new(BooleanArray::new(values, nulls))
        }
        DataType::Utf8 => Arc::new(canonical_bytes(array.as_string::<i32>(), nulls)),
        DataType::Binary => Arc::new(canonical_bytes(array.as_binary::<i32>(), nulls)),
        DataType::FixedSizeBinary(size) => {
            let array = array.as_fixed_size_binary();
            let mut values = Vec::with_capacity(array.len() * *size as usize);
            for i in 0..array.len() {
                if array.is_valid(i) {
                    values.extend_from_slice(array.value(i));
                } else {
                    values.resize(values.len() + *size as usize, 0);
                }
            }
            Arc::new(FixedSizeBinaryArray::try_new(*size, values.into(), nulls)?)
        }
        DataType::Struct(fields) => {
            let array = array.as_struct();
            let columns = array.columns().iter().zip(fields).map(|(column, field)| {
                canonical_array(&hidden(column, field, nulls.as_ref())?)
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            if columns.is_empty() {
                Arc::new(StructArray::new_empty_fields(array.len(), nulls))
            } else {
                Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?)
            }
        }
        DataType::List(_) | DataType::Map(..) => canonical_list(array)?,
        _ => arrow_array::make_array(array.to_data()),
    })
}

fn canonical_numbers<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    nulls: Option<NullBuffer>,
) -> PrimitiveArray<T> {
    let values = match &nulls {
        None => array.values().clone(),
        Some(nulls) => array
            .values()
            .iter()
            .enumerate()
            .map(|(i, value)| {
                if nulls.is_valid(i) {
                    *value
                } else {
                    T::default_value()
                }
            })
            .collect(),
    };
    PrimitiveArray::<T>::new(values, nulls).with_data_type(array.data_type().clone())
}

fn canonical_bytes<T: ByteArrayType>(
    array: &GenericByteArray<T>,
    nulls: Option<NullBuffer>,
) -> GenericByteArray<T> {
    let Some(nulls) = nulls else {
        return GenericByteArray::new(array.offsets().clone(), array.values().clone(), None);
    };
    let offset = <T::Offset as ArrowNativeType>::usize_as;
    let mut offsets = Vec::with_capacity(array.len() + 1);
    let mut values = Vec::new();
    offsets.push(offset(0));
    for i in 0..array.len() {
        if nulls.is_valid(i) {
            let value: &[u8] = array.value(i).as_ref();
            values.extend_from_slice(value);
        }
        offsets.push(offset(values.len()));
    }
    let offsets = arrow_buffer::OffsetBuffer::new(offsets.into());
    GenericByteArray::new(offsets, values.into(), Some(nulls))
}

/// A column of a struct with its values null where the struct is, if the field lets them.
fn hidden(column: &ArrayRef, field: &FieldRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    let (Some(nulls), true) = (nulls, field.is_nullable()) else {
        return Ok(Arc::clone(column));
    };
    let both = NullBuffer::union(column.nulls(), Some(nulls));
    let data = column.to_data().into_builder().nulls(both).build()?;
    Ok(arrow_array::make_array(data))
}

/// Lists whose values start at 0 and leave no gaps, with canonical values.
fn canonical_list(array: &dyn Array) -> Result<ArrayRef> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    let indices = UInt32Array::new(
        (0..array.len() as u32).collect(),
        nulls.map(|nulls| NullBuffer::new(bits(array.len(), |i| nulls.is_valid(i)))),
    );
    let dense = take(array, &indices, None)?;
    let data = dense.to_data();
    let child = canonical_array(&arrow_array::make_array(data.child_data()[0].clone()))?;
    let data = data
        .into_builder()
        .nulls(validity(&dense))
        .child_data(vec![child.to_data()])
        .build()?;
    Ok(arrow_array::make_array(data))
}
