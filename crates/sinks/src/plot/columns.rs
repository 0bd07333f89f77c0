//! The columns that a picture is made of: found by name, checked, and read as numbers.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Schema, TimeUnit};
use dataflow_core::problem::did_you_mean;
use dataflow_core::words::type_word;
use dataflow_core::{Check, Error, Located, Result};

/// How the values of a column become numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    Number,
    /// Moments; `zoned` if they have a time zone.
    Moment {
        zoned: bool,
    },
    /// So many seconds each.
    Duration(f64),
}

impl Measure {
    pub fn of(data_type: &DataType) -> Option<Self> {
        let per_second = |unit: &TimeUnit| match unit {
            TimeUnit::Second => 1.0,
            TimeUnit::Millisecond => 1e-3,
            TimeUnit::Microsecond => 1e-6,
            TimeUnit::Nanosecond => 1e-9,
        };
        match data_type {
            DataType::Dictionary(_, values) => Self::of(values),
            DataType::Timestamp(_, zone) => Some(Self::Moment {
                zoned: zone.is_some(),
            }),
            DataType::Date32 | DataType::Date64 => Some(Self::Moment { zoned: false }),
            DataType::Duration(unit) => Some(Self::Duration(per_second(unit))),
            DataType::Boolean => Some(Self::Number),
            other if other.is_numeric() => Some(Self::Number),
            _ => None,
        }
    }
}

/// What a column must hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted {
    Numbers,
    NumbersOrMoments,
    Lists,
    Booleans,
    /// Text, or what can be shown as one.
    Words,
}

impl Wanted {
    fn allows(self, data_type: &DataType) -> bool {
        let measure = Measure::of(data_type);
        match self {
            Self::Numbers => matches!(measure, Some(Measure::Number | Measure::Duration(_))),
            Self::NumbersOrMoments => measure.is_some(),
            Self::Lists => item_of(data_type).is_some_and(|item| Self::Numbers.allows(item)),
            Self::Booleans => *data_type == DataType::Boolean,
            Self::Words => !data_type.is_nested(),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Numbers => "numbers",
            Self::NumbersOrMoments => "numbers or times",
            Self::Lists => "lists of numbers",
            Self::Booleans => "`true` or `false`",
            Self::Words => "texts",
        }
    }
}

/// What the lists of a column hold.
fn item_of(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Some(item.data_type())
        }
        _ => None,
    }
}

/// A column that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub index: usize,
    pub name: String,
    /// How its values (of lists: their items) become numbers; `Number` if nobody asks.
    pub measure: Measure,
}

/// Finds a column, or says what is wrong and which is probably meant.
pub fn find(
    name: &Located<String>,
    schema: &Schema,
    wanted: Wanted,
    check: &mut Check<'_>,
) -> Option<Column> {
    let allowed = |field: &&arrow_schema::FieldRef| wanted.allows(field.data_type());
    let fitting: Vec<&str> = (schema.fields().iter().filter(allowed))
        .map(|field| field.name().as_str())
        .collect();
    let Some((index, field)) = schema.column_with_name(name) else {
        let all = schema.fields().iter().map(|field| field.name().as_str());
        let help = did_you_mean(name, fitting.iter().copied())
            .or_else(|| did_you_mean(name, all))
            .or_else(|| listed(wanted, &fitting));
        check.error_at(name, format!("there is no column `{}`", name.value), help);
        return None;
    };
    if !wanted.allows(field.data_type()) {
        let message = format!(
            "`{}` is {}; {} are wanted here",
            name.value,
            type_word(field.data_type()),
            wanted.word()
        );
        let help = did_you_mean(name, fitting.iter().copied()).or_else(|| listed(wanted, &fitting));
        check.error_at(name, message, help);
        return None;
    }
    Some(column(index, field))
}

fn column(index: usize, field: &arrow_schema::Field) -> Column {
    let of = item_of(field.data_type()).unwrap_or(field.data_type());
    Column {
        index,
        name: field.name().clone(),
        measure: Measure::of(of).unwrap_or(Measure::Number),
    }
}

fn listed(wanted: Wanted, fitting: &[&str]) -> Option<String> {
    if fitting.is_empty() {
        let unnest = "`unnest` makes rows of lists and columns of structs";
        return Some(format!("no column holds {}; {unnest}", wanted.word()));
    }
    let few = fitting.iter().take(8).map(|name| format!("`{name}`"));
    let more = if fitting.len() > 8 { ", ..." } else { "" };
    Some(format!(
        "columns of {}: {}{more}",
        wanted.word(),
        few.collect::<Vec<_>>().join(", ")
    ))
}

fn cast(array: &dyn Array, to: &DataType) -> Result<ArrayRef> {
    // What does not fit is null.
    let options = CastOptions::default();
    cast_with_options(array, to, &options).map_err(Error::from)
}

/// Numbers of a column; durations in seconds.
pub fn numbers(array: &dyn Array, measure: Measure) -> Result<Float64Array> {
    let Measure::Duration(seconds) = measure else {
        let cast = cast(array, &DataType::Float64)?;
        return Ok(cast.as_primitive::<Float64Type>().clone());
    };
    let whole = cast(array, &DataType::Int64)?;
    let whole = whole.as_primitive::<Int64Type>();
    Ok(whole.unary(|value| value as f64 * seconds))
}

/// Moments of a column, in nanoseconds since 1970.
fn moments(array: &dyn Array) -> Result<Int64Array> {
    let zone = match array.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let cast = cast(array, &DataType::Timestamp(TimeUnit::Nanosecond, zone))?;
    let cast = cast.as_primitive::<TimestampNanosecondType>();
    Ok(cast.reinterpret_cast::<Int64Type>())
}

/// Numbers that say where on an axis each row is. Moments are counted from the first that came, so that nanoseconds stay apart.
pub fn places(
    rows: &RecordBatch,
    column: &Column,
    origin: &mut Option<i64>,
) -> Result<Float64Array> {
    let array = rows.column(column.index);
    let Measure::Moment { .. } = column.measure else {
        return numbers(array, column.measure);
    };
    let moments = moments(array)?;
    if origin.is_none() {
        *origin = moments.iter().flatten().next();
    }
    let from = i128::from(origin.unwrap_or(0));
    Ok(moments.unary(|moment| (i128::from(moment) - from) as f64))
}

/// The numbers of a row's list.
pub fn list(array: &dyn Array, row: usize, measure: Measure) -> Result<Option<Float64Array>> {
    if array.is_null(row) {
        return Ok(None);
    }
    let items = match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value(row),
        DataType::LargeList(_) => array.as_list::<i64>().value(row),
        _ => array.as_fixed_size_list().value(row),
    };
    numbers(&items, measure).map(Some)
}

/// Whether a row's mark is set; no mark is none.
pub fn is_set(marks: Option<&BooleanArray>, row: usize) -> bool {
    marks.is_some_and(|marks| marks.is_valid(row) && marks.value(row))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        Date32Array, DurationMillisecondArray, Int32Array, TimestampSecondArray, UInt8Array,
    };

    use super::*;

    #[test]
    fn values_become_numbers() {
        let read = |array: ArrayRef| {
            let measure = Measure::of(array.data_type()).expect("numbers");
            numbers(&array, measure)
                .expect("reads")
                .iter()
                .collect::<Vec<_>>()
        };
        let whole = Arc::new(Int32Array::from(vec![Some(-3), None]));
        assert_eq!(read(whole), [Some(-3.0), None]);
        assert_eq!(read(Arc::new(UInt8Array::from(vec![200]))), [Some(200.0)]);
        let truth = Arc::new(BooleanArray::from(vec![true, false]));
        assert_eq!(read(truth), [Some(1.0), Some(0.0)]);
        let long = Arc::new(DurationMillisecondArray::from(vec![1500]));
        assert_eq!(read(long), [Some(1.5)]);
    }

    #[test]
    fn moments_are_counted_from_the_first() {
        let seconds: ArrayRef =
            Arc::new(TimestampSecondArray::from(vec![None, Some(100), Some(97)]));
        let days: ArrayRef = Arc::new(Date32Array::from(vec![1, 2, 3]));
        let rows =
            RecordBatch::try_from_iter_with_nullable([("t", seconds, true), ("d", days, true)])
                .expect("columns");
        for (name, origin, expected) in [
            ("t", 100_000_000_000, [None, Some(0.0), Some(-3e9)]),
            ("d", 86_400_000_000_000, [0.0, 86.4e12, 172.8e12].map(Some)),
        ] {
            let schema = rows.schema();
            let (index, field) = schema.column_with_name(name).expect("there");
            let column = column(index, field);
            let mut first = None;
            let found = places(&rows, &column, &mut first).expect("reads");
            assert_eq!(found.iter().collect::<Vec<_>>(), expected);
            assert_eq!(first, Some(origin));
        }
    }
}
