//! The one order of rows: ascending, NaN above all numbers, null last, text by bytes; and keys as bytes that compare so.
//!
//! As keys, -0.0 equals 0.0 and all NaN are one; [`canonical`] makes them so before a column is used as a key.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, BinaryArray};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, SortOptions};

use crate::{Error, Result};

/// The routing and shard hash of a key: XXH3 (64 bit, seed 0) over its bytes as [`Keys`] writes them. Version 1.
pub fn key_hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// The hash of a key with one more column: that of the columns before it (0 for none), and that of the column's value.
/// A multiplication to twice the width, folded, so that all bits reach all others and the order of columns counts. Version 1.
#[inline]
pub fn and_hash(before: u64, value: u64) -> u64 {
    let mixed = before.rotate_left(23) ^ value ^ 0x9E37_79B9_7F4A_7C15;
    let wide = u128::from(mixed) * u128::from(0xD6E8_FEB8_6659_FD93_u64);
    (wide >> 64) as u64 ^ wide as u64
}

/// Number of key shards: the unit in which keyed state moves between workers.
pub const SHARDS: u64 = 256;

/// The shard of a key.
pub fn shard(hash: u64) -> u64 {
    hash >> 56
}

/// The worker, of `workers`, that owns a shard.
pub fn owner(shard: u64, workers: usize) -> usize {
    (shard * workers as u64 / SHARDS) as usize
}

/// The column with -0.0 as 0.0 and every NaN as the one quiet NaN; other types as they are.
pub fn canonical(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>();
            Arc::new(
                values.unary::<_, Float64Type>(|x| if x.is_nan() { f64::NAN } else { x + 0.0 }),
            )
        }
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>();
            Arc::new(
                values.unary::<_, Float32Type>(|x| if x.is_nan() { f32::NAN } else { x + 0.0 }),
            )
        }
        _ => Arc::clone(column),
    }
}

/// Turns key columns into bytes whose order is the order of the keys, and back.
pub struct Keys {
    converter: RowConverter,
}

impl Keys {
    /// For ascending keys of these types.
    ///
    /// # Errors
    /// When a type has no order (maps, unions).
    pub fn ascending(types: &[DataType]) -> Result<Self> {
        let all: Vec<(DataType, bool)> = types.iter().map(|t| (t.clone(), false)).collect();
        Self::new(&all)
    }

    /// For keys of these types, each ascending (`false`) or descending (`true`). Nulls are last either way.
    ///
    /// # Errors
    /// When a type has no order (maps, unions).
    pub fn new(types: &[(DataType, bool)]) -> Result<Self> {
        let fields = types.iter().map(|(data_type, descending)| {
            let options = SortOptions {
                descending: *descending,
                nulls_first: false,
            };
            SortField::new_with_options(data_type.clone(), options)
        });
        let converter = RowConverter::new(fields.collect())
            .map_err(|error| Error::data(format!("these columns have no order: {error}")))?;
        Ok(Self { converter })
    }

    /// The keys of all rows as bytes.
    ///
    /// # Errors
    /// When a column's type is not the declared one.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<BinaryArray> {
        let columns: Vec<ArrayRef> = columns.iter().map(canonical).collect();
        let rows = self.converter.convert_columns(&columns)?;
        Ok(rows.try_into_binary()?)
    }

    /// The columns of keys that [`Keys::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are not such keys.
    pub fn decode(&self, keys: &BinaryArray) -> Result<Vec<ArrayRef>> {
        let parser = self.converter.parser();
        let rows = keys.iter().map(|key| parser.parse(key.unwrap_or_default()));
        Ok(self.converter.convert_rows(rows)?)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Float64Array;

    #[test]
    fn floats_order_with_nan_then_null_last() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![
            Some(-1.0),
            Some(-0.0),
            Some(f64::INFINITY),
            Some(-f64::NAN),
            None,
        ]));
        let keys = Keys::ascending(&[DataType::Float64]).expect("ordered");
        let bytes = keys.encode(&[column]).expect("encodes");
        for i in 1..bytes.len() {
            assert!(bytes.value(i - 1) < bytes.value(i), "{i}");
        }
        let zeros: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN]));
        let bytes = keys.encode(&[zeros]).expect("encodes");
        assert_eq!(bytes.value(0), bytes.value(1));
        assert_eq!(bytes.value(2), bytes.value(3));
        let back = keys.decode(&bytes).expect("decodes");
        assert_eq!(back[0].as_primitive::<Float64Type>().value(1).to_bits(), 0);
    }

    #[test]
    fn shards_have_owners() {
        assert_eq!(shard(u64::MAX), 255);
        assert_eq!(owner(255, 3), 2);
        assert_eq!(owner(0, 3), 0);
        assert_eq!((0..SHARDS).filter(|s| owner(*s, 2) == 1).count(), 128);
    }
}
