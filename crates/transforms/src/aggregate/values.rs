//! How key values are held: as 64 bits each, or as bytes one behind the other, with a hash table to find them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, UInt64Array, make_array};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use dataflow_core::{Error, Result};
use hashbrown::HashTable;

/// A multiplication whose high half is folded into the low one: all bits of the key reach all bits of the hash.
pub(super) fn mix(key: u64) -> u64 {
    let wide = u128::from(key ^ 0x9E37_79B9_7F4A_7C15) * u128::from(0xD6E8_FEB8_6659_FD93_u64);
    (wide >> 64) as u64 ^ wide as u64
}

/// A table that is about to grow will hold its old and its doubled self at once.
pub(super) fn table_bytes(length: usize, capacity: usize, bytes: usize) -> usize {
    let growing = capacity > 0 && length + length / 8 >= capacity;
    if growing { 3 * bytes } else { bytes }
}

/// Distinct byte strings, one behind the other.
#[derive(Default)]
pub(super) struct Arena {
    table: HashTable<(u64, u32)>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Arena {
    /// The value with this number.
    pub(super) fn get(&self, number: u32) -> &[u8] {
        let at = number as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }

    /// The number of a value, a new one getting the next.
    #[inline]
    pub(super) fn number(&mut self, value: &[u8]) -> u32 {
        let hash = xxhash_rust::xxh3::xxh3_64(value);
        let same = |(known, number): &(u64, u32)| *known == hash && self.get(*number) == value;
        if let Some((_, number)) = self.table.find(hash, same) {
            return *number;
        }
        let number = self.push(value);
        self.table
            .insert_unique(hash, (hash, number), |(hash, _)| *hash);
        number
    }

    /// Adds a value that cannot be found again.
    pub(super) fn push(&mut self, value: &[u8]) -> u32 {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        (self.ends.len() - 1) as u32
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Gives back what only finding values needs.
    pub(super) fn close(&mut self) {
        self.table = HashTable::new();
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        let table = table_bytes(
            self.table.len(),
            self.table.capacity(),
            self.table.allocation_size(),
        );
        table + self.bytes.capacity() + self.ends.capacity() * 8
    }

    /// These values as one array.
    pub(super) fn take(
        &self,
        numbers: impl Iterator<Item = u32> + Clone,
        nulls: Option<NullBuffer>,
    ) -> BinaryArray {
        let ends = OffsetBuffer::from_lengths(numbers.clone().map(|number| self.get(number).len()));
        let mut bytes = Vec::with_capacity(ends.last().map_or(0, |end| *end as usize));
        numbers.for_each(|number| bytes.extend_from_slice(self.get(number)));
        BinaryArray::new(ends, Buffer::from_vec(bytes), nulls)
    }
}

/// How many bytes a value of a type has that is looked up by its bits.
pub(super) fn bit_width(data_type: &DataType) -> Option<usize> {
    use DataType::*;
    match data_type {
        Boolean | Int8 | UInt8 => Some(1),
        Int16 | UInt16 => Some(2),
        Int32 | UInt32 | Float32 | Date32 | Time32(_) => Some(4),
        Int64 | UInt64 | Float64 | Date64 | Time64(_) | Timestamp(..) | Duration(_) => Some(8),
        _ => None,
    }
}

/// The number of a value of 64 bits, a new one getting the next.
#[inline]
pub(super) fn number_bits(
    table: &mut HashTable<(u64, u32)>,
    values: &mut Vec<u64>,
    bits: u64,
) -> u32 {
    let hash = mix(bits);
    if let Some((_, number)) = table.find(hash, |(known, _)| *known == bits) {
        return *number;
    }
    let number = values.len() as u32;
    values.push(bits);
    table.insert_unique(hash, (bits, number), |(bits, _)| mix(*bits));
    number
}

/// A value of a column of text or bytes.
pub(super) fn bytes_at(array: &ArrayRef, row: usize) -> &[u8] {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).as_bytes(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).as_bytes(),
        DataType::Utf8View => array.as_string_view().value(row).as_bytes(),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        DataType::BinaryView => array.as_binary_view().value(row),
        _ => array.as_binary::<i32>().value(row),
    }
}

/// A column of at most eight bytes a value as 64-bit numbers.
pub(super) fn bits(array: &ArrayRef) -> Result<UInt64Array> {
    let nulls = array.nulls().cloned();
    let data = array.to_data();
    let values: ScalarBuffer<u64> = match bit_width(array.data_type()) {
        _ if array.data_type() == &DataType::Boolean => {
            array.as_boolean().values().iter().map(u64::from).collect()
        }
        Some(1) => data.buffer::<u8>(0)[..array.len()]
            .iter()
            .map(|v| u64::from(*v))
            .collect(),
        Some(2) => data.buffer::<u16>(0)[..array.len()]
            .iter()
            .map(|v| u64::from(*v))
            .collect(),
        Some(4) => data.buffer::<u32>(0)[..array.len()]
            .iter()
            .map(|v| u64::from(*v))
            .collect(),
        Some(8) => ScalarBuffer::new(data.buffers()[0].clone(), data.offset(), data.len()),
        _ => {
            return Err(Error::internal(format!(
                "a key came as {}",
                array.data_type()
            )));
        }
    };
    Ok(UInt64Array::new(values, nulls))
}

/// The column of these bits.
pub(super) fn from_bits(
    bits: Vec<u64>,
    data_type: &DataType,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    if data_type == &DataType::Boolean {
        let values = bits.iter().map(|bits| *bits != 0).collect();
        return Ok(Arc::new(BooleanArray::new(values, nulls)));
    }
    let length = bits.len();
    let buffer = match bit_width(data_type) {
        Some(1) => Buffer::from_vec(bits.into_iter().map(|v| v as u8).collect::<Vec<u8>>()),
        Some(2) => Buffer::from_vec(bits.into_iter().map(|v| v as u16).collect::<Vec<u16>>()),
        Some(4) => Buffer::from_vec(bits.into_iter().map(|v| v as u32).collect::<Vec<u32>>()),
        _ => Buffer::from_vec(bits),
    };
    let data = ArrayData::builder(data_type.clone())
        .len(length)
        .add_buffer(buffer)
        .nulls(nulls);
    Ok(make_array(data.build()?))
}
