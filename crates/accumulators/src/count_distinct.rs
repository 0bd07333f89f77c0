//! `count_distinct`: how many different values there are.

use dataflow_core::component::{Component, Info};

use crate::states::distinct::accept;

const USAGE: &str = "count_distinct(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "count_distinct",
        summary: "How many different values there are",
        manual: "\
Of any type; nulls do not count, all NaN are one value, and -0.0 is 0.0. Exact up to 65,536 distinct values in a group (`exact_up_to => n` for
another bound); with one more, HyperLogLog with 16,384 registers takes over, whose standard error is 0.8 %. Which of the two it is
depends on the values alone, and the closing report tells how many groups were estimated.

Some 10 to 25 nanoseconds per row. Memory per group: 8 bytes per value up to 64 of them, then 16 to 48 per distinct value; an estimate takes 16 KB. Text and other
values of more than 8 bytes are kept as 128-bit hashes (twice the memory, whatever their length).",
        example: USAGE,
        also_called: &["distinct", "nunique", "n_unique", "approx_count_distinct", "approx_distinct", "uniq"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, check, show, value};
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
    use arrow_schema::DataType;
    use dataflow_core::{Groups, Places, Value};
    use std::sync::Arc;

    #[test]
    fn counts_values_once() {
        let table: Vec<(ArrayRef, &str)> = vec![
            (
                Arc::new(Int64Array::from(vec![Some(1), None, Some(2), Some(1)])),
                "[2]",
            ),
            (
                Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN])),
                "[2]",
            ),
            (
                Arc::new(StringArray::from(vec![
                    Some("a"),
                    Some(""),
                    None,
                    Some("a"),
                ])),
                "[2]",
            ),
            (Arc::new(BooleanArray::from(vec![None, None])), "[0]"),
            (
                Arc::new(Int64Array::from_iter_values((0..900).map(|i| i % 150))),
                "[150]",
            ),
            (
                Arc::new(StringArray::from_iter_values(
                    (0..900).map(|i| (i % 150).to_string()),
                )),
                "[150]",
            ),
        ];
        for (column, expected) in table {
            let given = call(&[column.data_type().clone()], &[]);
            let found = value(&component(), &given, &[column]);
            assert_eq!(show(&found), expected);
        }
    }

    #[test]
    fn past_the_bound_it_is_estimated_the_same_however_it_came_about() {
        let options = [("exact_up_to", Value::Integer(100))];
        for data_type in [DataType::Int64, DataType::Utf8] {
            let numbers: ArrayRef =
                Arc::new(Int64Array::from_iter_values((0..3000).map(|i| i % 1500)));
            let column = arrow_cast::cast(&numbers, &data_type).expect("casts");
            let found = value(&component(), &call(&[data_type], &options), &[column]);
            let found = found.as_primitive::<Int64Type>().value(0);
            assert!((1470..1530).contains(&found), "{found}");
        }
    }

    #[test]
    fn the_bound_is_kept_and_a_million_is_close() {
        let accepted = check(&component(), &call(&[DataType::Int64], &[])).expect("fits");
        for (count, estimated) in [(65_536_i64, 0), (65_537, 1), (1_000_000, 1)] {
            let mut made = accepted.plan.make();
            made.resize(1);
            let numbers = (0..count).map(|i| i.wrapping_mul(7_777_777));
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
            made.update(Groups::One, &[column], &Places::Unknown)
                .expect("takes rows");
            assert_eq!(made.approximate(&[0]), estimated, "{count}");
            let found = made
                .value(&accepted.plan.reading(), &[0])
                .expect("has a value");
            let found = found.as_primitive::<Int64Type>().value(0);
            let off = (found - count).abs() as f64 / count as f64;
            assert!(off < 0.02 * estimated as f64 || found == count, "{found}");
        }
    }
}
