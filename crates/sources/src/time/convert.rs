//! Values of a column as instants, a column at a time.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array};
use arrow_buffer::ScalarBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use dataflow_core::Result;
use dataflow_core::time::Instant;
use dataflow_formats::instants::{InstantFormat, NoInstant, Zone};

use super::clock::Meaning;

/// A row without a time, and why; null has no reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wrong {
    pub(super) row: usize,
    pub(super) why: Option<NoInstant>,
}

type Found = (ScalarBuffer<Instant>, Vec<Wrong>);

/// The type of the values: what a dictionary holds, other types as they are.
pub(super) fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        other => other,
    }
}

/// Whether values are text.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// The nanoseconds that one means, if these are timestamps or dates.
pub(super) fn nanoseconds(data_type: &DataType) -> Option<i64> {
    Some(match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        DataType::Date32 => 86_400_000_000_000,
        _ => return None,
    })
}

/// The instants that values mean; where there is none, any number stands, and the row is listed, in order.
pub(super) fn instants(values: &ArrayRef, meaning: &Meaning) -> Result<Found> {
    match meaning {
        Meaning::Count(each) => Ok(counted(values, &whole(values)?, *each)),
        Meaning::Local(each, zone) => {
            let numbers = whole(values)?;
            Ok(one_by_one(values, |row| {
                local(numbers.value(row), *each, zone)
            }))
        }
        Meaning::Floats(each) => {
            let numbers = as_type(values, &DataType::Float64)?;
            let numbers: &Float64Array = numbers.as_primitive::<Float64Type>();
            Ok(one_by_one(values, |row| float(numbers.value(row), *each)))
        }
        Meaning::Texts(format, zone) => texts(values, format, zone),
    }
}

fn as_type(values: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if values.data_type() == data_type {
        return Ok(Arc::clone(values));
    }
    Ok(cast(values, data_type)?)
}

/// Numbers as they are counted; null also where 64 bits with a sign do not hold one.
fn whole(values: &ArrayRef) -> Result<Int64Array> {
    let values = as_type(values, plain(values.data_type()))?;
    let numbers = match values.data_type() {
        DataType::Date32 => as_type(&as_type(&values, &DataType::Int32)?, &DataType::Int64)?,
        _ => as_type(&values, &DataType::Int64)?,
    };
    Ok(numbers.as_primitive::<Int64Type>().clone())
}

/// Finds the instant of each value that is not null.
fn one_by_one(
    values: &dyn Array,
    instant: impl Fn(usize) -> std::result::Result<Instant, NoInstant>,
) -> Found {
    let nulls = values.logical_nulls();
    let mut wrong = Vec::new();
    let times = (0..values.len()).map(|row| {
        let why = match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            true => None,
            false => match instant(row) {
                Ok(time) => return time,
                Err(why) => Some(why),
            },
        };
        wrong.push(Wrong { row, why });
        0
    });
    (times.collect(), wrong)
}

fn counted(values: &ArrayRef, numbers: &Int64Array, each: i64) -> Found {
    if numbers.null_count() == 0 {
        let most = i64::MAX / each;
        let all = numbers.values();
        if each == 1 {
            return (all.clone(), Vec::new());
        }
        // No branch in the loop, so that it is a few instructions for several numbers.
        if all
            .iter()
            .fold(true, |fit, n| fit & (*n <= most) & (*n >= -most))
        {
            return (all.iter().map(|n| n * each).collect(), Vec::new());
        }
    }
    one_by_one(values, |row| {
        let number = numbers.is_valid(row).then(|| numbers.value(row));
        let time = number.and_then(|number| number.checked_mul(each));
        time.ok_or(NoInstant::OutOfRange)
    })
}

#[inline]
fn local(number: i64, each: i64, zone: &Zone) -> std::result::Result<Instant, NoInstant> {
    const SECOND: i64 = 1_000_000_000;
    if each >= SECOND {
        let seconds = number.checked_mul(each / SECOND);
        return zone.instant(seconds.ok_or(NoInstant::OutOfRange)?, 0);
    }
    let per_second = SECOND / each;
    let fraction = number.rem_euclid(per_second) * each;
    zone.instant(number.div_euclid(per_second), fraction as u32)
}

/// The whole part and the fraction by themselves, since their product with the unit would not fit a float.
#[inline]
fn float(number: f64, each: f64) -> std::result::Result<Instant, NoInstant> {
    if !number.is_finite() {
        return Err(NoInstant::Unreadable);
    }
    let whole = number.trunc();
    if whole.abs() >= i64::MAX as f64 / each {
        return Err(NoInstant::OutOfRange);
    }
    let fraction = ((number - whole) * each).round_ties_even() as i64;
    (whole as i64)
        .checked_mul(each as i64)
        .and_then(|time| time.checked_add(fraction))
        .ok_or(NoInstant::OutOfRange)
}

fn texts(values: &ArrayRef, format: &InstantFormat, zone: &Zone) -> Result<Found> {
    let read = |text: &str| format.instant(text.as_bytes(), zone);
    Ok(match values.data_type() {
        DataType::Utf8 => {
            let texts = values.as_string::<i32>();
            one_by_one(values, |row| read(texts.value(row)))
        }
        DataType::LargeUtf8 => {
            let texts = values.as_string::<i64>();
            one_by_one(values, |row| read(texts.value(row)))
        }
        DataType::Utf8View => {
            let texts = values.as_string_view();
            one_by_one(values, |row| read(texts.value(row)))
        }
        DataType::Dictionary(_, _) => return coded(values, format, zone),
        _ => return texts(&as_type(values, &DataType::Utf8)?, format, zone),
    })
}

/// Each text of a dictionary is read once, unless there are more of them than rows.
fn coded(values: &ArrayRef, format: &InstantFormat, zone: &Zone) -> Result<Found> {
    let dictionary = values.as_any_dictionary();
    if dictionary.values().len() > values.len() {
        return texts(&as_type(values, &DataType::Utf8)?, format, zone);
    }
    let (times, wrong) = texts(dictionary.values(), format, zone)?;
    let mut why = vec![None; times.len()];
    wrong.iter().for_each(|wrong| why[wrong.row] = wrong.why);
    let keys = dictionary.normalized_keys();
    Ok(one_by_one(values, |row| match why[keys[row]] {
        None => Ok(times[keys[row]]),
        Some(why) => Err(why),
    }))
}
