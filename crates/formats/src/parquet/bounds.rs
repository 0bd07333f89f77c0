//! Smallest and largest values, and what they say of a comparison with a constant.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float32Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, UInt64Array};
use arrow_cast::cast;
use arrow_cast::parse::string_to_datetime;
use arrow_schema::{DataType, TimeUnit};
use chrono::{NaiveDate, Utc};
use dataflow_core::Value;
use dataflow_core::source::{Comparison, Operator};

use crate::convert::logical;

/// A smallest or largest value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bound {
    Whole(i128),
    Number(f64),
    Text(Vec<u8>),
    Truth(bool),
}

/// Smallest and largest values and numbers of nulls, of row groups or pages.
pub(super) struct Bounds {
    low: Vec<Option<Bound>>,
    high: Vec<Option<Bound>>,
    nulls: UInt64Array,
}

impl Bounds {
    pub fn new(low: &ArrayRef, high: &ArrayRef, nulls: UInt64Array) -> Self {
        Self {
            low: values(low),
            high: values(high),
            nulls,
        }
    }

    pub fn rows(&self) -> usize {
        self.low.len().min(self.high.len()).min(self.nulls.len())
    }

    pub fn at(&self, i: usize) -> (Option<&Bound>, Option<&Bound>) {
        (self.low[i].as_ref(), self.high[i].as_ref())
    }

    pub fn nulls(&self, i: usize) -> Option<u64> {
        self.nulls.is_valid(i).then(|| self.nulls.value(i))
    }
}

fn values(array: &ArrayRef) -> Vec<Option<Bound>> {
    let none = || vec![None; array.len()];
    match logical(array.data_type()) {
        DataType::Boolean => {
            let values = array.as_boolean().iter();
            values.map(|b| b.map(Bound::Truth)).collect()
        }
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().iter();
            values.map(|n| n.map(|n| Bound::Whole(n.into()))).collect()
        }
        DataType::Date32 => {
            let values = array.as_primitive::<Date32Type>().iter();
            values.map(|n| n.map(|n| Bound::Whole(n.into()))).collect()
        }
        DataType::Timestamp(unit, _) => {
            let Ok(numbers) = cast(array, &DataType::Int64) else {
                return none();
            };
            let values = numbers.as_primitive::<Int64Type>().iter();
            let scale = nanoseconds(unit);
            values
                .map(|n| n.map(|n| Bound::Whole(i128::from(n) * scale)))
                .collect()
        }
        DataType::Float32 => {
            let Ok(numbers) = cast(array, &DataType::Float32) else {
                return none();
            };
            let values = numbers.as_primitive::<Float32Type>().iter();
            values.map(|x| number(x.map(f64::from))).collect()
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().iter();
            values.map(number).collect()
        }
        DataType::Utf8 => {
            let Ok(text) = cast(array, &DataType::Utf8) else {
                return none();
            };
            let values = text.as_string::<i32>().iter();
            values
                .map(|text| text.map(|text| Bound::Text(text.as_bytes().to_vec())))
                .collect()
        }
        other if other.is_integer() => {
            let Ok(numbers) = cast(array, &DataType::Int64) else {
                return none();
            };
            let values = numbers.as_primitive::<Int64Type>().iter();
            values.map(|n| n.map(|n| Bound::Whole(n.into()))).collect()
        }
        _ => none(),
    }
}

/// Old writers let NaN into statistics: such a bound bounds nothing.
fn number(x: Option<f64>) -> Option<Bound> {
    x.filter(|x| !x.is_nan()).map(Bound::Number)
}

fn nanoseconds(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// A comparison with the constant in the column's terms.
pub(super) struct Test {
    operator: Operator,
    constant: Option<Bound>,
    /// Floats: NaN may hide above the largest value.
    floats: bool,
    /// 32-bit floats: the constant may be rounded before it is compared.
    narrow: bool,
    /// Whether smallest and largest values were always meant in our order.
    pub always_ordered: bool,
}

impl Test {
    /// None if nothing can be said of a column of this type in the file and that type in the stream.
    pub fn new(comparison: &Comparison, found: &DataType, asked: &DataType) -> Option<Self> {
        let (found, asked) = (logical(found), logical(asked));
        let operator = comparison.operator;
        let null_test = matches!(operator, Operator::IsNull | Operator::IsNotNull);
        let constant = if null_test {
            None
        } else {
            if kind(&found)? != kind(&asked)? {
                return None;
            }
            Some(constant(&comparison.value, &found, &asked)?)
        };
        Some(Self {
            operator,
            constant,
            floats: found.is_floating(),
            narrow: found == DataType::Float32 || asked == DataType::Float32,
            always_ordered: found.is_signed_integer()
                || found.is_floating()
                || found.is_temporal()
                || found == DataType::Boolean,
        })
    }

    /// Whether no row can match, where the bounds and the number of nulls are these (as far as they are known).
    pub fn excludes(
        &self,
        low: Option<&Bound>,
        high: Option<&Bound>,
        nulls: Option<u64>,
        rows: u64,
    ) -> bool {
        let all_null = nulls == Some(rows);
        match self.operator {
            Operator::IsNull => return nulls == Some(0),
            _ if all_null => return true,
            Operator::IsNotNull => return false,
            _ => {}
        }
        let Some(constant) = &self.constant else {
            return false;
        };
        let by = |constant: &Bound| self.excludes_by(constant, low, high);
        match constant {
            Bound::Number(c) if self.narrow => {
                by(constant) && by(&Bound::Number(f64::from(*c as f32)))
            }
            _ => by(constant),
        }
    }

    fn excludes_by(&self, constant: &Bound, low: Option<&Bound>, high: Option<&Bound>) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let low = low.and_then(|low| compare(low, constant));
        let high = high.and_then(|high| compare(high, constant));
        // -0.0 and 0.0 may be told apart by whoever compares.
        let zero = matches!(constant, Bound::Number(c) if *c == 0.0);
        match self.operator {
            Operator::Equal => low == Some(Greater) || high == Some(Less),
            Operator::Less => low == Some(Greater) || (low == Some(Equal) && !zero),
            Operator::LessOrEqual => low == Some(Greater),
            Operator::Greater if self.floats => false,
            Operator::GreaterOrEqual if self.floats => false,
            Operator::Greater => matches!(high, Some(Less | Equal)),
            Operator::GreaterOrEqual => high == Some(Less),
            Operator::IsNull | Operator::IsNotNull => false,
        }
    }
}

fn compare(bound: &Bound, constant: &Bound) -> Option<std::cmp::Ordering> {
    match (bound, constant) {
        (Bound::Whole(a), Bound::Whole(b)) => Some(a.cmp(b)),
        (Bound::Number(a), Bound::Number(b)) => a.partial_cmp(b),
        // Rounding never changes the order of two numbers from `<` to `>`, so this is as good as exact.
        (Bound::Whole(a), Bound::Number(b)) => (*a as f64).partial_cmp(b),
        (Bound::Text(a), Bound::Text(b)) => Some(a.cmp(b)),
        (Bound::Truth(a), Bound::Truth(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

#[derive(PartialEq)]
enum Sort {
    Number,
    Text,
    Time,
    /// A time in a zone other than UTC: text would have to be read in it.
    Zoned,
    Date,
    Truth,
}

fn kind(data_type: &DataType) -> Option<Sort> {
    Some(match data_type {
        DataType::Boolean => Sort::Truth,
        DataType::Utf8 => Sort::Text,
        DataType::Date32 => Sort::Date,
        DataType::Timestamp(_, None) => Sort::Time,
        DataType::Timestamp(_, Some(zone)) if matches!(&**zone, "UTC" | "+00:00" | "Z") => {
            Sort::Time
        }
        DataType::Timestamp(_, Some(_)) => Sort::Zoned,
        other if other.is_integer() || other.is_floating() => Sort::Number,
        _ => return None,
    })
}

fn constant(value: &Value, found: &DataType, asked: &DataType) -> Option<Bound> {
    const EXACT: i64 = 1 << 53;
    let floating = found.is_floating() || asked.is_floating();
    Some(match (value, kind(found)?) {
        (Value::Boolean(b), Sort::Truth) => Bound::Truth(*b),
        (Value::Text(text), Sort::Text) => Bound::Text(text.as_bytes().to_vec()),
        (Value::Integer(n), Sort::Number) if floating => {
            if n.unsigned_abs() > EXACT as u64 {
                return None;
            }
            Bound::Number(*n as f64)
        }
        (Value::Integer(n), Sort::Number) => Bound::Whole((*n).into()),
        (Value::Float(x), Sort::Number) if x.is_finite() => Bound::Number(*x),
        // A time or a date as a number counts the units of the column that is asked for.
        (Value::Integer(n), Sort::Time | Sort::Zoned) => match asked {
            DataType::Timestamp(unit, _) => Bound::Whole(i128::from(*n) * nanoseconds(*unit)),
            _ => return None,
        },
        (Value::Integer(n), Sort::Date) => Bound::Whole((*n).into()),
        (Value::Text(text), Sort::Time) => {
            let time = string_to_datetime(&Utc, text).ok()?;
            Bound::Whole(time.timestamp_nanos_opt()?.into())
        }
        (Value::Text(text), Sort::Date) => {
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            Bound::Whole((date - NaiveDate::default()).num_days().into())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(operator: Operator, value: Value, data_type: &DataType) -> Option<Test> {
        let comparison = Comparison {
            column: "x".into(),
            operator,
            value,
        };
        Test::new(&comparison, data_type, data_type)
    }

    #[test]
    fn only_what_is_certain_is_excluded() {
        use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        let ints = &DataType::Int64;
        let floats = &DataType::Float64;
        // operator, constant, type, excluded where values lie between 2 and 5
        let table = [
            (Equal, Value::Integer(1), ints, true),
            (Equal, Value::Integer(5), ints, false),
            (Equal, Value::Float(5.5), ints, true),
            (Less, Value::Integer(2), ints, true),
            (Less, Value::Integer(3), ints, false),
            (LessOrEqual, Value::Integer(2), ints, false),
            (Greater, Value::Integer(5), ints, true),
            (GreaterOrEqual, Value::Integer(5), ints, false),
            (Equal, Value::Integer(6), floats, true),
            (Less, Value::Float(2.0), floats, true),
            (Greater, Value::Float(9.0), floats, false), // NaN is above 9
            (GreaterOrEqual, Value::Float(9.0), floats, false),
        ];
        for (operator, value, data_type, excluded) in table {
            let (low, high) = match data_type {
                DataType::Int64 => (Bound::Whole(2), Bound::Whole(5)),
                _ => (Bound::Number(2.0), Bound::Number(5.0)),
            };
            let test = test(operator, value.clone(), data_type).expect("can be decided");
            let found = test.excludes(Some(&low), Some(&high), Some(0), 10);
            assert_eq!(found, excluded, "{operator:?} {value} {data_type}");
            assert!(!test.excludes(None, None, Some(9), 10), "unknown bounds");
            assert!(test.excludes(None, None, Some(10), 10), "all null");
        }
    }

    #[test]
    fn zeros_and_narrow_floats_are_treated_with_care() {
        let zero = Bound::Number(0.0);
        let less = test(Operator::Less, Value::Float(-0.0), &DataType::Float64).expect("decided");
        assert!(!less.excludes(Some(&zero), Some(&zero), Some(0), 1));
        let third = 0.1_f32;
        let equal = test(Operator::Equal, Value::Float(0.1), &DataType::Float32).expect("decided");
        let bound = Bound::Number(f64::from(third));
        assert!(!equal.excludes(Some(&bound), Some(&bound), Some(0), 1));
    }

    #[test]
    fn nulls_and_constants_of_other_kinds() {
        let is_null = test(Operator::IsNull, Value::Null, &DataType::Utf8).expect("decided");
        assert!(is_null.excludes(None, None, Some(0), 5));
        assert!(!is_null.excludes(None, None, None, 5));
        let not_null = test(Operator::IsNotNull, Value::Null, &DataType::Utf8).expect("decided");
        assert!(not_null.excludes(None, None, Some(5), 5));
        assert!(!not_null.excludes(None, None, Some(4), 5));
        assert!(test(Operator::Equal, Value::Integer(1), &DataType::Utf8).is_none());
        assert!(test(Operator::Equal, Value::Null, &DataType::Int64).is_none());
        let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        assert!(
            test(
                Operator::Less,
                Value::Text("2025-01-01T00:00:00Z".into()),
                &time
            )
            .is_some()
        );
        assert!(test(Operator::Less, Value::Text("yesterday".into()), &time).is_none());
        let number = test(Operator::Less, Value::Integer(7), &time).expect("decided");
        assert_eq!(number.constant, Some(Bound::Whole(7_000_000)));
        let day = test(Operator::Less, Value::Integer(7), &DataType::Date32).expect("decided");
        assert_eq!(day.constant, Some(Bound::Whole(7)));
    }
}
