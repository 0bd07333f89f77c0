//! `min`: the least value.

use dataflow_core::component::{Component, Info};

use crate::states::extremes::{End, accept};

const USAGE: &str = "min(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "min",
        summary: "The least value",
        manual: "\
Of numbers, text (by its bytes), dates, times and booleans, in the type of the column. NaN is above all numbers, so it is the
least value only where there is nothing else; -0.0 is 0.0. Nulls do not count.

About a nanosecond per row and 8 bytes per group. Text is kept per group, for `min` and `max` together.",
        example: USAGE,
        also_called: &["minimum", "least"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, End::Least, USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
        Int64Array, StringArray, UInt8Array,
    };
    use std::sync::Arc;

    #[test]
    fn every_ordered_type_has_one() {
        let inf = f64::INFINITY;
        let table: Vec<(ArrayRef, &str)> = vec![
            (
                Arc::new(Int64Array::from(vec![
                    Some(3),
                    None,
                    Some(-5),
                    Some(i64::MAX),
                ])),
                "[-5]",
            ),
            (Arc::new(UInt8Array::from(vec![3, 200, 7])), "[3]"),
            (Arc::new(Float64Array::from(vec![0.5, -inf, inf])), "[-inf]"),
            (Arc::new(Float64Array::from(vec![-0.0, 0.0])), "[0.0]"),
            (
                Arc::new(Float64Array::from(vec![0.5, f64::NAN, 2.0])),
                "[0.5]",
            ),
            (
                Arc::new(Float64Array::from(vec![f64::NAN, -f64::NAN])),
                "[NaN]",
            ),
            (Arc::new(Float64Array::from(vec![inf, inf])), "[inf]"),
            (
                Arc::new(Float32Array::from(vec![Some(0.1), None, Some(0.2)])),
                "[0.1]",
            ),
            (Arc::new(BooleanArray::from(vec![true, false])), "[false]"),
            (
                Arc::new(Date32Array::from(vec![19_000, 20_000])),
                "[2022-01-08]",
            ),
            (
                Arc::new(Decimal128Array::from(vec![Some(7), None, Some(-3)])),
                "[-0.0000000003]",
            ),
            (
                Arc::new(StringArray::from(vec![
                    Some("b"),
                    None,
                    Some("aa"),
                    Some("a"),
                ])),
                "[a]",
            ),
            (Arc::new(Int64Array::from(vec![None, None])), "[null]"),
            (Arc::new(StringArray::from(vec![None::<&str>])), "[null]"),
            (Arc::new(Float64Array::from(Vec::<f64>::new())), "[null]"),
        ];
        for (column, expected) in table {
            let given = call(&[column.data_type().clone()], &[]);
            let found = value(&component(), &given, &[Arc::clone(&column)]);
            assert_eq!(show(&found), expected, "{column:?}");
            assert_eq!(found.data_type(), column.data_type());
        }
    }

    #[test]
    fn long_columns_are_searched_to_the_end() {
        for at in [0, 1, 7, 8, 999, 4094] {
            let mut values: Vec<f64> = (0..4095).map(f64::from).collect();
            values[at] = -1.5;
            let column: ArrayRef = Arc::new(Float64Array::from(values));
            let found = value(
                &component(),
                &call(&[column.data_type().clone()], &[]),
                &[column],
            );
            assert_eq!(show(&found), "[-1.5]");
        }
    }
}
