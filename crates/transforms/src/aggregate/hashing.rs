//! The routing hash of keys, a column at a time: which worker owns a row is known without looking its group up.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, downcast_dictionary_array};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;
use dataflow_core::order::{Keys, and_hash, canonical, key_hash};
use dataflow_core::{Error, Result};

use super::values::{bit_width, bits, bytes_at};
use crate::columns::in_type;

/// The hash of a null.
const NULL: u64 = 0;

/// Hashes keys. Equal keys have equal hashes, however their columns are encoded and in whatever batch they come.
pub(crate) struct Hashing {
    columns: Vec<Column>,
}

struct Column {
    data_type: DataType,
    /// How values are written that are neither short numbers nor texts.
    keys: Option<Keys>,
    /// The hashes of the dictionary that was met last.
    known: Option<(ArrayRef, Vec<u64>)>,
}

impl Hashing {
    /// For keys of these types (those of values, not of dictionaries).
    pub(crate) fn new(types: &[DataType]) -> Result<Self> {
        let columns = types.iter().map(Column::new).collect::<Result<_>>()?;
        Ok(Self { columns })
    }

    /// The hash of each row's key.
    pub(crate) fn of(&mut self, keys: &[ArrayRef]) -> Result<Vec<u64>> {
        let rows = keys.first().map_or(0, |key| key.len());
        let mut hashes = vec![0; rows];
        for (column, key) in self.columns.iter_mut().zip(keys) {
            column.add(key, &mut hashes)?;
        }
        Ok(hashes)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let known = self.columns.iter().filter_map(|c| c.known.as_ref());
        known
            .map(|(values, hashes)| values.get_buffer_memory_size() + hashes.capacity() * 8)
            .sum()
    }
}

impl Column {
    fn new(data_type: &DataType) -> Result<Self> {
        let short = bit_width(data_type).is_some() || is_text(data_type);
        let keys = match short {
            true => None,
            false => Some(Keys::ascending(std::slice::from_ref(data_type))?),
        };
        Ok(Self {
            data_type: data_type.clone(),
            keys,
            known: None,
        })
    }

    /// Adds this column's hashes to those of the columns before it.
    fn add(&mut self, column: &ArrayRef, hashes: &mut [u64]) -> Result<()> {
        let array = column.as_ref();
        downcast_dictionary_array!(
            array => {
                let of = self.of_dictionary(array.values())?;
                let keys = array.keys();
                let nulls = keys.nulls().filter(|nulls| nulls.null_count() > 0);
                for (row, (hash, code)) in hashes.iter_mut().zip(keys.values()).enumerate() {
                    let null = nulls.is_some_and(|nulls| nulls.is_null(row));
                    let value = if null { NULL } else { of[code.as_usize()] };
                    *hash = and_hash(*hash, value);
                }
                Ok(())
            }
            _ => {
                let values = self.hashes(column)?;
                for (hash, value) in hashes.iter_mut().zip(values) {
                    *hash = and_hash(*hash, value);
                }
                Ok(())
            }
        )
    }

    fn of_dictionary(&mut self, values: &ArrayRef) -> Result<&[u64]> {
        let same = |(known, _): &(ArrayRef, Vec<u64>)| {
            std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(values))
        };
        if !self.known.as_ref().is_some_and(same) {
            self.known = Some((Arc::clone(values), self.hashes(values)?));
        }
        let known = self.known.as_ref().map(|(_, hashes)| hashes.as_slice());
        known.ok_or_else(|| Error::internal("a dictionary without hashes"))
    }

    /// The hash of each value by itself.
    fn hashes(&self, array: &ArrayRef) -> Result<Vec<u64>> {
        let array = in_type(array, &self.data_type)?;
        let nulls = array
            .nulls()
            .filter(|nulls| nulls.null_count() > 0)
            .cloned();
        let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        if let Some(keys) = &self.keys {
            let encoded = keys.encode(&[array])?;
            return Ok(encoded
                .iter()
                .map(|key| key_hash(key.unwrap_or_default()))
                .collect());
        }
        if is_text(&self.data_type) {
            let of = |row| match valid(row) {
                true => key_hash(bytes_at(&array, row)),
                false => NULL,
            };
            return Ok((0..array.len()).map(of).collect());
        }
        let bits = bits(&canonical(&array))?;
        let values = bits.values();
        let of = |(row, bits): (usize, &u64)| match valid(row) {
            true => key_hash(&bits.to_le_bytes()),
            false => NULL,
        };
        Ok(values.iter().enumerate().map(of).collect())
    }
}

fn is_text(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(
        data_type,
        Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::plain_type;
    use crate::fixtures::{plain, rows};

    #[test]
    fn equal_keys_have_equal_hashes_in_any_encoding() {
        let drawn = rows(
            "a:dict b:f64 c:list d:i32 e:bool\nx -0 1;2 1 true\nx 0 1;2 1 true\n- nan - - -\n- -nan - - -\ny 1 ; 2 false\nx 1 1 1 true",
        );
        let types: Vec<DataType> = drawn
            .columns()
            .iter()
            .map(|column| plain_type(column.data_type()))
            .collect();
        let mut hashing = Hashing::new(&types).expect("keys");
        let hashes = hashing.of(drawn.columns()).expect("hashes");
        assert_eq!(hashes, hashing.of(drawn.columns()).expect("hashes"));
        assert_eq!(hashes, hashing.of(&plain(&drawn)).expect("hashes"));
        assert!(hashing.bytes() > 0, "a dictionary is known");
        assert_eq!((hashes[0], hashes[2]), (hashes[1], hashes[3]));
        let mut different = hashes.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), 4);
    }

    #[test]
    fn the_order_of_columns_counts_and_shards_are_even() {
        let drawn = rows("a:i64 b:i64\n1 2\n2 1");
        let mut hashing = Hashing::new(&[DataType::Int64, DataType::Int64]).expect("keys");
        let hashes = hashing.of(drawn.columns()).expect("hashes");
        assert_ne!(hashes[0], hashes[1]);
        let many: ArrayRef = Arc::new(arrow_array::Int64Array::from_iter_values(0..25_600));
        let mut hashing = Hashing::new(&[DataType::Int64]).expect("keys");
        let mut shards = [0; 256];
        for hash in hashing.of(&[many]).expect("hashes") {
            shards[dataflow_core::order::shard(hash) as usize] += 1;
        }
        assert!(shards.iter().all(|n| (50..200).contains(n)), "{shards:?}");
    }
}
