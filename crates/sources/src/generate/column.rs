//! A generated column: a function from row numbers to values.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array,
    StringArray, TimestampNanosecondArray, make_array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, Field, TimeUnit};

use super::random::Stream;

type Make = dyn Fn(Range<u64>) -> ArrayRef + Send + Sync;

/// A column as a function of the row number: any range of rows can be made by itself, on any thread.
#[derive(Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    /// Bytes of a row, roughly.
    pub(crate) width: usize,
    make: Arc<Make>,
}

/// The type of event times.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// The type of text with few distinct values.
pub(crate) fn text_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

impl Column {
    fn new(
        name: &str,
        data_type: DataType,
        width: usize,
        make: impl Fn(Range<u64>) -> ArrayRef + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_string(),
            data_type,
            width,
            make: Arc::new(make),
        }
    }

    /// Numbers.
    pub(crate) fn numbers(name: &str, value: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Self {
        Self::new(name, DataType::Float64, 8, move |rows| {
            Arc::new(Float64Array::from_iter_values(rows.map(&value)))
        })
    }

    /// Whole numbers.
    pub(crate) fn whole(name: &str, value: impl Fn(u64) -> i64 + Send + Sync + 'static) -> Self {
        Self::new(name, DataType::Int64, 8, move |rows| {
            Arc::new(Int64Array::from_iter_values(rows.map(&value)))
        })
    }

    /// Times in nanoseconds since 1970, UTC.
    pub(crate) fn times(name: &str, value: impl Fn(u64) -> i64 + Send + Sync + 'static) -> Self {
        Self::new(name, time_type(), 8, move |rows| {
            let times = TimestampNanosecondArray::from_iter_values(rows.map(&value));
            Arc::new(times.with_timezone("UTC"))
        })
    }

    /// Yes or no.
    pub(crate) fn flags(name: &str, value: impl Fn(u64) -> bool + Send + Sync + 'static) -> Self {
        Self::new(name, DataType::Boolean, 1, move |rows| {
            let count = (rows.end - rows.start) as usize;
            let bits = BooleanBuffer::collect_bool(count, |i| value(rows.start + i as u64));
            Arc::new(BooleanArray::new(bits, None))
        })
    }

    /// One of some texts, chosen by its index.
    pub(crate) fn texts(
        name: &str,
        texts: impl IntoIterator<Item = impl AsRef<str>>,
        pick: impl Fn(u64) -> usize + Send + Sync + 'static,
    ) -> Self {
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        Self::new(name, text_type(), 4, move |rows| {
            let keys = Int32Array::from_iter_values(rows.map(|row| pick(row) as i32));
            Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::clone(&texts)))
        })
    }

    /// The same values, but a share of `rate` is null.
    pub(crate) fn with_nulls(self, seed: u64, rate: f64) -> Self {
        if rate <= 0.0 {
            return self;
        }
        let stream = Stream::new(seed, &self.name, "null");
        let make = self.make;
        Self {
            make: Arc::new(move |rows| {
                let count = (rows.end - rows.start) as usize;
                let valid = BooleanBuffer::collect_bool(count, |i| {
                    !stream.hit(rows.start + i as u64, rate)
                });
                nullified(&make(rows), NullBuffer::new(valid))
            }),
            ..self
        }
    }

    /// The values of some rows.
    pub(crate) fn make(&self, rows: Range<u64>) -> ArrayRef {
        (self.make)(rows)
    }

    /// Its name and type.
    pub(crate) fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.clone(), true)
    }
}

/// The array with other nulls; its own (it has none) are forgotten.
fn nullified(array: &ArrayRef, nulls: NullBuffer) -> ArrayRef {
    let data = array.to_data().into_builder().nulls(Some(nulls));
    // The buffers were valid before and only gain nulls of the same length.
    data.build().map_or_else(|_| Arc::clone(array), make_array)
}

/// Whether a row is strange, and to which side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strange {
    pub(crate) stream: Stream,
    pub(crate) rate: f64,
    pub(crate) length: u64,
    pub(crate) size: f64,
}

impl Strange {
    /// Whether the row is one.
    pub(crate) fn at(self, row: u64) -> bool {
        self.stream.hit(row / self.length, self.rate)
    }

    /// How many deviations a value of that row is moved by; the sign is one per anomaly.
    fn shift(self, row: u64) -> f64 {
        if !self.at(row) {
            return 0.0;
        }
        // The low bit is not among those that decided whether it is one.
        let up = self.stream.bits(row / self.length) & 1 == 1;
        if up { self.size } else { -self.size }
    }
}

/// What is done to numbers after they were drawn.
pub(super) struct Finish {
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) strange: Option<Strange>,
    pub(super) deviation: f64,
    pub(super) decimals: Option<u8>,
    pub(super) nan_rate: f64,
}

impl Finish {
    pub(super) fn column(self, draw: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Column {
        let nan = Stream::new(self.seed, &self.name, "nan");
        let unit = self.decimals.map(|d| 10_f64.powi(i32::from(d)));
        Column::new(&self.name.clone(), DataType::Float64, 8, move |rows| {
            let mut values: Vec<f64> = rows.clone().map(&draw).collect();
            let numbered = || rows.clone();
            if let Some(strange) = self.strange {
                for (value, row) in values.iter_mut().zip(numbered()) {
                    *value += strange.shift(row) * self.deviation;
                }
            }
            if let Some(unit) = unit {
                for value in &mut values {
                    *value = (*value * unit).round() / unit;
                }
            }
            if self.nan_rate > 0.0 {
                for (value, row) in values.iter_mut().zip(numbered()) {
                    if nan.hit(row, self.nan_rate) {
                        *value = f64::NAN;
                    }
                }
            }
            Arc::new(Float64Array::from(values))
        })
    }
}

/// Whose part a number from 0 to 1 falls into.
pub(crate) fn weighted(bounds: &[f64], number: f64) -> usize {
    // Rounding may leave the last bound a hair below 1.
    bounds
        .partition_point(|bound| *bound <= number)
        .min(bounds.len() - 1)
}
