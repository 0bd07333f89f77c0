//! The distinct values of a key column, each with a dense number, found by one hash lookup or, for dictionaries, by none.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray};
use arrow_buffer::{ArrowNativeType, NullBuffer};
use arrow_schema::DataType;
use dataflow_core::order::{Keys, canonical};
use dataflow_core::{Error, Result};
use hashbrown::HashTable;

use super::values::{Arena, bit_width, bits, bytes_at, from_bits, number_bits, table_bytes};
use crate::columns::plain_type;

/// The values of a column's dictionary that were met, by code.
struct Codes {
    values: ArrayRef,
    /// The values in the form in which they are looked up.
    normal: ArrayRef,
    numbers: Vec<u32>,
    bytes: usize,
}

const UNMET: u32 = u32::MAX;

/// How many dictionaries are known at once: rows that come from several workers come with several in turn.
const DICTIONARIES: usize = 4;

/// The distinct values of a column.
pub(crate) struct Distinct {
    data_type: DataType,
    form: Form,
    /// The number of null, once it was met.
    null: Option<u32>,
    /// The dictionaries met last, the latest one last.
    codes: Vec<Codes>,
}

enum Form {
    /// Up to eight bytes each, as their bits.
    Bits {
        table: HashTable<(u64, u32)>,
        values: Vec<u64>,
    },
    /// Text and bytes, one behind the other.
    Bytes(Arena),
    /// Anything else with an order, as its key bytes.
    Encoded(Keys, Arena),
}

impl Distinct {
    /// No values yet. The type is that of the values, not of a dictionary.
    pub(crate) fn new(data_type: &DataType) -> Result<Self> {
        use DataType::*;
        let form = match data_type {
            Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => {
                Form::Bytes(Arena::default())
            }
            other if bit_width(other).is_some() => Form::Bits {
                table: HashTable::new(),
                values: Vec::new(),
            },
            other => Form::Encoded(
                Keys::ascending(std::slice::from_ref(other))?,
                Arena::default(),
            ),
        };
        Ok(Self {
            data_type: data_type.clone(),
            form,
            null: None,
            codes: Vec::new(),
        })
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        match &self.form {
            Form::Bits { values, .. } => values.len(),
            Form::Bytes(arena) | Form::Encoded(_, arena) => arena.len(),
        }
    }

    /// The number of each row's value, new values getting the next ones.
    pub(crate) fn assign(&mut self, array: &ArrayRef, numbers: &mut Vec<u32>) -> Result<()> {
        numbers.clear();
        numbers.reserve(array.len());
        match array.data_type() {
            DataType::Dictionary(keys, _) => self.assign_dictionary(keys, array, numbers),
            _ => {
                let normal = self.normal(array)?;
                self.assign_normal(&normal, numbers);
                Ok(())
            }
        }
    }

    fn assign_dictionary(
        &mut self,
        keys: &DataType,
        array: &ArrayRef,
        numbers: &mut Vec<u32>,
    ) -> Result<()> {
        match keys {
            DataType::Int8 => self.assign_codes::<Int8Type>(array.as_dictionary(), numbers),
            DataType::Int16 => self.assign_codes::<Int16Type>(array.as_dictionary(), numbers),
            DataType::Int32 => self.assign_codes::<Int32Type>(array.as_dictionary(), numbers),
            DataType::Int64 => self.assign_codes::<Int64Type>(array.as_dictionary(), numbers),
            DataType::UInt8 => self.assign_codes::<UInt8Type>(array.as_dictionary(), numbers),
            DataType::UInt16 => self.assign_codes::<UInt16Type>(array.as_dictionary(), numbers),
            DataType::UInt32 => self.assign_codes::<UInt32Type>(array.as_dictionary(), numbers),
            DataType::UInt64 => self.assign_codes::<UInt64Type>(array.as_dictionary(), numbers),
            other => Err(Error::internal(format!(
                "a dictionary has codes of type {other}"
            ))),
        }
    }

    fn assign_codes<K: ArrowDictionaryKeyType>(
        &mut self,
        array: &DictionaryArray<K>,
        numbers: &mut Vec<u32>,
    ) -> Result<()> {
        let mut codes = self.codes_of(array.values())?;
        let keys = array.keys();
        let nulls = keys.nulls().filter(|nulls| nulls.null_count() > 0);
        for (row, code) in keys.values().iter().enumerate() {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                numbers.push(self.null());
                continue;
            }
            let code = code.as_usize();
            let mut number = codes.numbers[code];
            if number == UNMET {
                number = self.number_at(&codes.normal, code);
                codes.numbers[code] = number;
            }
            numbers.push(number);
        }
        self.codes.push(codes);
        Ok(())
    }

    /// The codes met so far of this dictionary, taken out of those that are known.
    fn codes_of(&mut self, values: &ArrayRef) -> Result<Codes> {
        let same =
            |codes: &Codes| std::ptr::addr_eq(Arc::as_ptr(&codes.values), Arc::as_ptr(values));
        if let Some(known) = self.codes.iter().rposition(same) {
            return Ok(self.codes.remove(known));
        }
        if self.codes.len() == DICTIONARIES {
            self.codes.remove(0);
        }
        let plain = crate::columns::in_type(values, &plain_type(values.data_type()))?;
        Ok(Codes {
            bytes: values.get_buffer_memory_size() + values.len() * 4,
            normal: self.normal(&plain)?,
            values: Arc::clone(values),
            numbers: vec![UNMET; values.len()],
        })
    }

    /// The column in the form in which its values are looked up: bits, or bytes.
    fn normal(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let array = crate::columns::in_type(array, &self.data_type)?;
        match &self.form {
            Form::Bits { .. } => Ok(Arc::new(bits(&canonical(&array))?)),
            Form::Bytes(_) => Ok(array),
            Form::Encoded(keys, _) => Ok(Arc::new(keys.encode(&[array])?)),
        }
    }

    fn assign_normal(&mut self, normal: &ArrayRef, numbers: &mut Vec<u32>) {
        if normal.null_count() > 0 {
            numbers.extend((0..normal.len()).map(|row| self.number_at(normal, row)));
            return;
        }
        match &mut self.form {
            Form::Bits { table, values } => {
                let bits = normal.as_primitive::<UInt64Type>().values();
                numbers.extend(bits.iter().map(|bits| number_bits(table, values, *bits)));
            }
            Form::Bytes(arena) | Form::Encoded(_, arena) => match normal.data_type() {
                DataType::Utf8 => {
                    let texts = normal.as_string::<i32>();
                    numbers.extend(
                        (0..texts.len()).map(|row| arena.number(texts.value(row).as_bytes())),
                    );
                }
                _ => {
                    numbers.extend((0..normal.len()).map(|row| arena.number(bytes_at(normal, row))))
                }
            },
        }
    }

    fn number_at(&mut self, normal: &ArrayRef, row: usize) -> u32 {
        if normal.is_null(row) {
            return self.null();
        }
        match &mut self.form {
            Form::Bits { table, values } => number_bits(
                table,
                values,
                normal.as_primitive::<UInt64Type>().value(row),
            ),
            Form::Bytes(arena) | Form::Encoded(_, arena) => arena.number(bytes_at(normal, row)),
        }
    }

    fn null(&mut self) -> u32 {
        if let Some(number) = self.null {
            return number;
        }
        let number = match &mut self.form {
            Form::Bits { values, .. } => {
                values.push(0);
                (values.len() - 1) as u32
            }
            // An encoded null is a value like others, so this is only for text.
            Form::Bytes(arena) | Form::Encoded(_, arena) => arena.push(&[]),
        };
        self.null = Some(number);
        number
    }

    /// The values with these numbers.
    pub(crate) fn take(&self, numbers: impl Iterator<Item = u32> + Clone) -> Result<ArrayRef> {
        let nulls = self
            .null
            .map(|null| NullBuffer::from_iter(numbers.clone().map(|number| number != null)));
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        match &self.form {
            Form::Bits { values, .. } => {
                let bits = numbers.map(|number| values[number as usize]).collect();
                from_bits(bits, &self.data_type, nulls)
            }
            Form::Bytes(arena) => {
                let bytes = arena.take(numbers, nulls);
                if matches!(
                    self.data_type,
                    DataType::Binary | DataType::LargeBinary | DataType::BinaryView
                ) {
                    let bytes: ArrayRef = Arc::new(bytes);
                    return crate::columns::in_type(&bytes, &self.data_type);
                }
                let text: ArrayRef = Arc::new(StringArray::try_from_binary(bytes)?);
                crate::columns::in_type(&text, &self.data_type)
            }
            Form::Encoded(keys, arena) => {
                let mut columns = keys.decode(&arena.take(numbers, None))?;
                columns
                    .pop()
                    .ok_or_else(|| Error::internal("a key decoded to nothing"))
            }
        }
    }

    /// How many bytes the value has in an order key (see `arrow_row` for the form of texts: blocks of 8, then of 32,
    /// each with a byte behind it).
    pub(crate) fn encoded_length(&self, number: u32) -> usize {
        match &self.form {
            Form::Bits { .. } => 1 + bit_width(&self.data_type).unwrap_or(8),
            Form::Bytes(arena) => {
                let length = arena.get(number).len();
                if length <= 32 {
                    1 + length.div_ceil(8) * 9
                } else {
                    1 + 36 + (length - 32).div_ceil(32) * 33
                }
            }
            Form::Encoded(_, arena) => arena.get(number).len(),
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let values = match &self.form {
            Form::Bits { table, values } => {
                table_bytes(table.len(), table.capacity(), table.allocation_size())
                    + values.capacity() * 8
            }
            Form::Bytes(arena) | Form::Encoded(_, arena) => arena.held(),
        };
        let codes: usize = self.codes.iter().map(|codes| codes.bytes).sum();
        values + codes
    }

    /// Gives back what only new rows would need.
    pub(crate) fn close(&mut self) {
        self.codes = Vec::new();
        match &mut self.form {
            Form::Bits { table, .. } => *table = HashTable::new(),
            Form::Bytes(arena) | Form::Encoded(_, arena) => arena.close(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::rows;

    #[test]
    fn equal_values_share_a_number_and_come_back() {
        for (drawn, expected) in [
            ("x:i64\n5\n-1\n5\n-\n-1\n-", vec![0, 1, 0, 2, 1, 2]),
            ("x:i32\n5\n-1\n5\n-\n-1\n-", vec![0, 1, 0, 2, 1, 2]),
            ("x:f64\n0\n-0\nnan\n-nan\n-\n1", vec![0, 0, 1, 1, 2, 3]),
            ("x:bool\ntrue\nfalse\n-\ntrue", vec![0, 1, 2, 0]),
            ("x:time\n5\n6\n5", vec![0, 1, 0]),
            (
                "x:text\na\n-\nb\na\nthe_longest_of_these_texts_has_more_than_32_bytes",
                vec![0, 1, 2, 0, 3],
            ),
            ("x:dict\nb\n-\na\nb", vec![0, 1, 2, 0]),
            ("x:list\n1;2\n;\n-\n1;2", vec![0, 1, 2, 0]),
        ] {
            let column = rows(drawn).column(0).clone();
            let plain = plain_type(column.data_type());
            let mut distinct = Distinct::new(&plain).expect("a key");
            let mut numbers = Vec::new();
            for _ in 0..2 {
                distinct.assign(&column, &mut numbers).expect("assigns");
                assert_eq!(numbers, expected, "{drawn}");
            }
            let back = distinct.take(numbers.iter().copied()).expect("takes");
            let column = crate::columns::in_type(&canonical(&column), &plain).expect("unpacks");
            assert_eq!(&back, &column, "{drawn}");
            let keys = Keys::ascending(&[plain])
                .expect("ordered")
                .encode(&[column])
                .expect("encodes");
            for (row, number) in numbers
                .iter()
                .enumerate()
                .filter(|(row, _)| !keys.value(*row).is_empty())
            {
                let length = keys.value(row).len();
                assert!(
                    distinct.encoded_length(*number) >= length.min(9),
                    "{drawn} {row}"
                );
            }
            distinct.close();
            assert!(distinct.bytes() > 0 && distinct.len() > 1);
        }
    }

    #[test]
    fn values_of_a_dictionary_that_no_row_has_get_no_number() {
        let values: ArrayRef = Arc::new(StringArray::from(vec!["unused", "a", "b"]));
        let keys = arrow_array::Int32Array::from(vec![2, 1, 2]);
        let array: ArrayRef = Arc::new(DictionaryArray::new(keys, values));
        let mut distinct = Distinct::new(&DataType::Utf8).expect("a key");
        let mut numbers = Vec::new();
        distinct.assign(&array, &mut numbers).expect("assigns");
        assert_eq!((numbers, distinct.len()), (vec![0, 1, 0], 2));
    }
}
