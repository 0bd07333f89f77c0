//! Values of up to 64 bits as order keys: unsigned numbers whose order is the order of the values.
//!
//! Floats are widened to f64 and their bits flipped so that they compare as numbers, with -0.0 as 0.0 and every NaN as
//! one, above infinity; signed integers, dates, times and small decimals have their sign bit flipped. One representation
//! lets one loop serve all of these types.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use dataflow_core::{Error, Result};

/// This many keys are made at once: they stay in the fastest cache.
pub(crate) const CHUNK: usize = 1024;
const SIGN: u64 = 1 << 63;
/// The key of every NaN.
pub(crate) const NAN: u64 = float_key(f64::NAN.to_bits());

/// What a key's number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// An f64.
    Float,
    /// An i64.
    Signed,
    /// A u64.
    Unsigned,
}

/// What becomes of -0.0 and of the many NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floats {
    /// Made one each, as values that are compared must be.
    Canonical,
    /// Left alone, as values that are only kept are.
    Verbatim,
}

const fn float_key(bits: u64) -> u64 {
    bits ^ (((bits as i64 >> 63) as u64) | SIGN)
}

impl Scale {
    /// The scale of a type that has keys.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Float32 | DataType::Float64 => Some(Self::Float),
            DataType::Boolean
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64 => Some(Self::Unsigned),
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(_, _)
            | DataType::Duration(_)
            | DataType::Decimal32(_, _)
            | DataType::Decimal64(_, _) => Some(Self::Signed),
            _ => None,
        }
    }

    /// The number of a key, or the float nearest to it.
    #[inline(always)]
    pub(crate) fn float(self, key: u64) -> f64 {
        match self {
            Self::Float => f64::from_bits(key ^ (((!key as i64 >> 63) as u64) | SIGN)),
            Self::Signed => (key ^ SIGN) as i64 as f64,
            Self::Unsigned => key as f64,
        }
    }

    /// The key of the number nearest to `x`, which is not NaN unless floats are meant.
    #[inline(always)]
    pub(crate) fn nearest(self, x: f64) -> u64 {
        match self {
            Self::Float => float_key(canonical(x).to_bits()),
            Self::Signed => x.round() as i64 as u64 ^ SIGN,
            Self::Unsigned => x.round() as u64,
        }
    }

    /// The whole number of a key.
    pub(crate) fn whole(self, key: u64) -> i128 {
        match self {
            Self::Unsigned => i128::from(key),
            _ => i128::from((key ^ SIGN) as i64),
        }
    }
}

/// The key of a signed whole number.
pub(crate) fn signed_key(n: i64) -> u64 {
    n as u64 ^ SIGN
}

#[inline(always)]
fn canonical(x: f64) -> f64 {
    if x.is_nan() { f64::NAN } else { x + 0.0 }
}

/// A column's values, by how they lie in memory.
enum Numbers {
    Boolean(BooleanBuffer),
    I8(ScalarBuffer<i8>),
    I16(ScalarBuffer<i16>),
    I32(ScalarBuffer<i32>),
    I64(ScalarBuffer<i64>),
    U8(ScalarBuffer<u8>),
    U16(ScalarBuffer<u16>),
    U32(ScalarBuffer<u32>),
    U64(ScalarBuffer<u64>),
    F32(ScalarBuffer<f32>),
    F64(ScalarBuffer<f64>),
}

impl Numbers {
    fn of(column: &dyn Array) -> Result<Self> {
        let data_type = column.data_type();
        let scale = Scale::of(data_type)
            .ok_or_else(|| Error::internal(format!("{data_type} has no order keys")))?;
        if *data_type == DataType::Boolean {
            return Ok(Self::Boolean(column.as_boolean().values().clone()));
        }
        let data = column.to_data();
        let (buffer, at, len) = (data.buffers()[0].clone(), data.offset(), data.len());
        Ok(match (scale, data_type.primitive_width()) {
            (Scale::Float, Some(4)) => Self::F32(ScalarBuffer::new(buffer, at, len)),
            (Scale::Float, _) => Self::F64(ScalarBuffer::new(buffer, at, len)),
            (Scale::Signed, Some(1)) => Self::I8(ScalarBuffer::new(buffer, at, len)),
            (Scale::Signed, Some(2)) => Self::I16(ScalarBuffer::new(buffer, at, len)),
            (Scale::Signed, Some(4)) => Self::I32(ScalarBuffer::new(buffer, at, len)),
            (Scale::Signed, _) => Self::I64(ScalarBuffer::new(buffer, at, len)),
            (Scale::Unsigned, Some(1)) => Self::U8(ScalarBuffer::new(buffer, at, len)),
            (Scale::Unsigned, Some(2)) => Self::U16(ScalarBuffer::new(buffer, at, len)),
            (Scale::Unsigned, Some(4)) => Self::U32(ScalarBuffer::new(buffer, at, len)),
            (Scale::Unsigned, _) => Self::U64(ScalarBuffer::new(buffer, at, len)),
        })
    }

    /// The keys of the rows from `start`, as many as `out` has room for.
    fn fill(&self, start: usize, floats: Floats, out: &mut [u64]) {
        fn map<T: Copy>(values: &[T], start: usize, out: &mut [u64], key: impl Fn(T) -> u64) {
            for (to, from) in out.iter_mut().zip(&values[start..]) {
                *to = key(*from);
            }
        }
        let exact = floats == Floats::Verbatim;
        match self {
            Self::Boolean(values) => {
                for (i, to) in out.iter_mut().enumerate() {
                    *to = u64::from(values.value(start + i));
                }
            }
            Self::I8(values) => map(values, start, out, |n| signed_key(n.into())),
            Self::I16(values) => map(values, start, out, |n| signed_key(n.into())),
            Self::I32(values) => map(values, start, out, |n| signed_key(n.into())),
            Self::I64(values) => map(values, start, out, signed_key),
            Self::U8(values) => map(values, start, out, u64::from),
            Self::U16(values) => map(values, start, out, u64::from),
            Self::U32(values) => map(values, start, out, u64::from),
            Self::U64(values) => map(values, start, out, |n| n),
            Self::F32(values) if exact => {
                map(values, start, out, |x| float_key(f64::from(x).to_bits()));
            }
            Self::F32(values) => map(values, start, out, |x| {
                float_key(canonical(f64::from(x)).to_bits())
            }),
            Self::F64(values) if exact => map(values, start, out, |x| float_key(x.to_bits())),
            Self::F64(values) => map(values, start, out, |x| float_key(canonical(x).to_bits())),
        }
    }
}

/// Calls `each` with the first row and the keys of runs of rows that are valid in `valid`.
pub(crate) fn visit(
    column: &dyn Array,
    valid: Option<&NullBuffer>,
    floats: Floats,
    mut each: impl FnMut(usize, &[u64]),
) -> Result<()> {
    let numbers = Numbers::of(column)?;
    let mut buffer = [0_u64; CHUNK];
    let mut run = |start: usize, end: usize| {
        for from in (start..end).step_by(CHUNK) {
            let keys = &mut buffer[..CHUNK.min(end - from)];
            numbers.fill(from, floats, keys);
            each(from, keys);
        }
    };
    match valid.filter(|valid| valid.null_count() > 0) {
        None => run(0, column.len()),
        Some(valid) => valid
            .valid_slices()
            .for_each(|(start, end)| run(start, end)),
    }
    Ok(())
}

/// A column of the values that these keys stand for.
pub(crate) fn array(
    data_type: &DataType,
    keys: impl ExactSizeIterator<Item = Option<u64>>,
) -> Result<ArrayRef> {
    let scale = Scale::of(data_type)
        .ok_or_else(|| Error::internal(format!("{data_type} has no order keys")))?;
    let rows = keys.len();
    let mut valid = Vec::with_capacity(rows);
    let keys: Vec<u64> = keys
        .map(|key| {
            valid.push(key.is_some());
            key.unwrap_or(SIGN)
        })
        .collect();
    let buffer = match (scale, data_type.primitive_width()) {
        (_, None) => {
            let bits: BooleanBuffer = keys.iter().map(|key| *key & 1 == 1).collect();
            bits.into_inner()
        }
        (Scale::Float, Some(4)) => {
            Buffer::from_iter(keys.iter().map(|key| scale.float(*key) as f32))
        }
        (Scale::Float, _) => Buffer::from_iter(keys.iter().map(|key| scale.float(*key))),
        (_, Some(width)) => {
            let flip = if scale == Scale::Signed { SIGN } else { 0 };
            let mut bytes = MutableBuffer::with_capacity(rows * width);
            // The low bytes of a two's complement number are the number in fewer bits.
            for key in &keys {
                bytes.extend_from_slice(&(key ^ flip).to_le_bytes()[..width]);
            }
            bytes.into()
        }
    };
    let nulls = NullBuffer::from(valid);
    let data = ArrayData::builder(data_type.clone())
        .len(rows)
        .add_buffer(buffer)
        .nulls(Some(nulls).filter(|nulls| nulls.null_count() > 0))
        .build()?;
    Ok(make_array(data))
}

/// The type that a column is taken in as: dictionaries and runs as their values, half floats as floats, nulls as numbers.
pub(crate) fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        DataType::Float16 => DataType::Float32,
        DataType::Null => DataType::Int64,
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{
        BooleanArray, Date32Array, Float32Array, Float64Array, Int8Array, Int64Array,
        TimestampNanosecondArray, UInt16Array,
    };
    use std::sync::Arc;

    fn keys_of(column: &ArrayRef, floats: Floats) -> Vec<Option<u64>> {
        let mut found = vec![None; column.len()];
        visit(column, column.nulls(), floats, |start, keys| {
            for (i, key) in keys.iter().enumerate() {
                found[start + i] = Some(*key);
            }
        })
        .expect("has keys");
        found
    }

    #[test]
    fn keys_order_as_the_values_and_lead_back() {
        let ascending: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(vec![
                f64::NEG_INFINITY,
                -1.5,
                0.0,
                1e-310,
                2.0,
                f64::INFINITY,
            ])),
            Arc::new(Float32Array::from(vec![-1.5, 0.0, 0.1, f32::INFINITY])),
            Arc::new(Int8Array::from(vec![-128, -1, 0, 127])),
            Arc::new(Int64Array::from(vec![i64::MIN, -1, 0, i64::MAX])),
            Arc::new(UInt16Array::from(vec![0, 1, u16::MAX])),
            Arc::new(BooleanArray::from(vec![false, true])),
            Arc::new(Date32Array::from(vec![-3, 0, 20_000])),
            Arc::new(TimestampNanosecondArray::from(vec![-1, 0, 1 << 60]).with_timezone("UTC")),
        ];
        for column in ascending {
            let keys = keys_of(&column, Floats::Canonical);
            assert!(keys.is_sorted(), "{}", column.data_type());
            let back = array(column.data_type(), keys.into_iter()).expect("builds");
            assert_eq!(&back, &column);
        }
    }

    #[test]
    fn zeros_and_nans_are_one_where_values_are_compared() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![
            Some(-0.0),
            Some(0.0),
            None,
            Some(-f64::NAN),
            Some(f64::NAN),
        ]));
        let keys = keys_of(&column, Floats::Canonical);
        assert_eq!(keys[0], keys[1]);
        assert_eq!((keys[2], keys[3], keys[4]), (None, Some(NAN), Some(NAN)));
        let kept = array(
            &DataType::Float64,
            keys_of(&column, Floats::Verbatim).into_iter(),
        )
        .expect("builds");
        let kept = kept.as_primitive::<arrow_array::types::Float64Type>();
        assert!(kept.value(0).is_sign_negative() && kept.is_null(2));
    }

    #[test]
    fn nulls_and_long_columns_are_cut_into_runs() {
        let values: Vec<Option<i64>> = (0..5000).map(|i| (i % 1500 != 7).then_some(i)).collect();
        let column: ArrayRef = Arc::new(Int64Array::from(values.clone()));
        let found = keys_of(&column, Floats::Canonical);
        let expected: Vec<Option<u64>> = values.iter().map(|n| n.map(signed_key)).collect();
        assert_eq!(found, expected);
        let sliced = column.slice(4000, 900);
        assert_eq!(keys_of(&sliced, Floats::Canonical), expected[4000..4900]);
    }
}
