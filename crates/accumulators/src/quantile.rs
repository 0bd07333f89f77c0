//! `quantile`: the value below which a given share of the values lies.

use dataflow_core::accumulator::{Accepted, Call, CallProblem};
use dataflow_core::component::{Component, Info};

use crate::states::distribution;
use crate::states::options::{Options, number, wrong};

const USAGE: &str = "quantile(x, 0.99)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "quantile",
        summary: "The value below which a given share of the values lies",
        manual: "\
Between two values it is interpolated linearly: the result equals `numpy.quantile(x, q)` to the bit. Nulls and NaN do not count;
-0.0 is 0.0, and infinities are values. Numbers give a double; dates and times keep their type, rounded down to its unit.

**Exact or not.** Up to 65,536 distinct values in a group (`exact_up_to => n` for another bound) are counted exactly, however many rows
there are: data from instruments is quantised. With one more, the group's values go into a sketch (DDSketch with buckets from the
bits of the numbers), from which every quantile is within 0.1 % of the exact one (of the larger neighbour where it lies between two
values of different sign), and the least and greatest value are exact. For dates and timestamps the sketch's error is half a
millionth of the distance from 1970, about 9 minutes in this century. Whether a result is exact depends on the distinct values alone, never on memory, order or
workers, and the closing report tells how many were not.

Some 6 to 25 nanoseconds per row, by how much of the tables fits the caches. Memory per group: 8 bytes per value up to 64 of them, then 16 to 48 per distinct value, at most 1.6 MB; a sketch
takes 4 KB per factor of two that the values span, 100 to 300 KB as a rule. `median`, `quantile` and `quantiles` of one column share it.",
        example: USAGE,
        also_called: &["percentile", "percentile_cont", "approx_quantile", "quantile_cont"],
        ..Info::EMPTY
    };
    Component::accumulator(info, accept)
}

fn accept(call: &Call) -> Result<Accepted, CallProblem> {
    let mut options = Options::of(call, 1, USAGE)?;
    let share = options.needed("q")?;
    let found = number(share)?;
    if !(0.0..=1.0).contains(&found) {
        let help = format!("a share from 0 to 1, such as {}", found / 100.0);
        return Err(wrong(share, "a share from 0 to 1").help(help));
    }
    distribution::accept(options, "quantile", vec![found])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, check, problem, show, value};
    use arrow_array::{
        ArrayRef, Date32Array, Decimal128Array, DurationSecondArray, Float32Array, Float64Array,
        Int64Array, TimestampNanosecondArray, UInt64Array,
    };
    use arrow_schema::DataType;
    use dataflow_core::{Groups, Places, Value};
    use std::sync::Arc;

    #[test]
    fn types_and_odd_values() {
        let inf = f64::INFINITY;
        let doubles =
            |values: &[f64]| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) };
        let day = 86_400_000_000_000;
        let table: Vec<(ArrayRef, f64, &str)> = vec![
            (doubles(&[]), 0.5, "[null]"),
            (doubles(&[f64::NAN]), 0.5, "[null]"),
            (doubles(&[3.0, f64::NAN, 1.0]), 0.5, "[2.0]"),
            (doubles(&[-0.0, 0.0, -0.0]), 0.5, "[0.0]"),
            (doubles(&[1.0, 2.0, inf]), 0.5, "[2.0]"),
            (doubles(&[1.0, 2.0, inf]), 0.75, "[inf]"),
            (doubles(&[inf, inf]), 0.5, "[inf]"),
            (doubles(&[-inf, inf]), 0.5, "[NaN]"),
            (doubles(&[-1e308, 1.7e308]), 0.5, "[3.4999999999999996e307]"),
            (Arc::new(Float32Array::from(vec![0.5, 0.25])), 0.0, "[0.25]"),
            (
                Arc::new(Int64Array::from(vec![Some(4), None, Some(1)])),
                0.5,
                "[2.5]",
            ),
            (
                Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX])),
                0.5,
                "[0.0]",
            ),
            (
                Arc::new(UInt64Array::from(vec![u64::MAX, 0])),
                1.0,
                "[1.8446744073709552e19]",
            ),
            (
                Arc::new(Decimal128Array::from(vec![10_000_000_000, 20_000_000_000])),
                0.5,
                "[1.5]",
            ),
            (Arc::new(Date32Array::from(vec![0, 3])), 0.5, "[1970-01-02]"),
            (
                Arc::new(DurationSecondArray::from(vec![-1, 0])),
                0.5,
                "[-PT1S]",
            ),
            (
                Arc::new(TimestampNanosecondArray::from(vec![
                    20_000 * day,
                    20_000 * day + 3,
                ])),
                0.5,
                "[2024-10-04T00:00:00.000000001]",
            ),
        ];
        for (column, q, expected) in table {
            let given = call(&[column.data_type().clone()], &[("", Value::Float(q))]);
            let found = value(&component(), &given, &[Arc::clone(&column)]);
            assert_eq!(show(&found), expected, "{column:?}");
        }
    }

    #[test]
    fn the_sketch_begins_at_the_bound_and_agrees_however_it_came_about() {
        let options = [
            ("q", Value::Float(0.3)),
            ("exact_up_to", Value::Integer(100)),
        ];
        let given = call(&[DataType::Float64], &options);
        for (distinct, is_exact) in [(100, true), (101, false), (5000, false)] {
            let numbers = (0..3 * distinct).map(|i| f64::from(i % distinct).powi(3) - 1e5);
            let column: ArrayRef = Arc::new(Float64Array::from_iter_values(numbers));
            // `value` compares states of batches, orders and merges.
            value(&component(), &given, &[Arc::clone(&column)]);
            let accepted = check(&component(), &given).expect("fits");
            let mut made = accepted.plan.make();
            made.resize(2);
            made.update(Groups::One, &[column], &Places::Unknown)
                .expect("takes rows");
            assert_eq!(
                made.approximate(&[0, 1]),
                usize::from(!is_exact),
                "{distinct}"
            );
        }
    }

    #[test]
    fn shares_are_checked() {
        for q in [
            Value::Integer(99),
            Value::Float(-0.1),
            Value::Text("a".into()),
        ] {
            problem(&component(), &call(&[DataType::Float64], &[("", q)]));
        }
        problem(&component(), &call(&[DataType::Float64], &[]));
        let text = call(&[DataType::Utf8], &[("", Value::Float(0.5))]);
        let problem = problem(&component(), &text);
        assert_eq!(
            problem.message,
            "the column is text, and this needs numbers, dates or times"
        );
    }
}
