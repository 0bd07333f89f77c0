//! `mean`: the exact sum divided by the count, rounded once.

use dataflow_core::component::{Component, Info};

use crate::tallies::total::accept;

const USAGE: &str = "mean(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "mean",
        summary: "The arithmetic mean",
        manual: "\
The exact sum divided by the number of values that are not null, rounded once: the double nearest to the true mean, whatever the
order of the rows. The mean of numbers that are not too large never overflows. Of decimals it is a decimal with four more places
(as many as its type has room for), rounded to the nearest, halves to even. A mean of nothing is null.

The cost of `sum`, with which it shares its state.",
        example: USAGE,
        also_called: &["avg", "average"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, "mean", USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, check, show, value};
    use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, UInt8Array};
    use arrow_schema::DataType;
    use std::sync::Arc;

    #[test]
    fn is_rounded_once() {
        let decimals = |values: Vec<i128>, p, s| -> ArrayRef {
            let column = Decimal128Array::from(values);
            Arc::new(column.with_precision_and_scale(p, s).expect("fits"))
        };
        let table: Vec<(ArrayRef, &str)> = vec![
            (
                Arc::new(Float64Array::from(vec![1e16, 1.0, -1e16])),
                "[0.3333333333333333]",
            ),
            (
                Arc::new(Float64Array::from(vec![f64::MAX; 7])),
                "[1.7976931348623157e308]",
            ),
            (
                Arc::new(Float64Array::from(vec![f64::from_bits(1); 3])),
                "[5e-324]",
            ),
            (
                Arc::new(Float64Array::from(vec![f64::INFINITY, 0.0])),
                "[inf]",
            ),
            (
                Arc::new(Int64Array::from(vec![i64::MAX, i64::MAX - 1, i64::MAX])),
                "[9.223372036854775807e18]",
            ),
            (
                Arc::new(Int64Array::from(vec![Some(1), None, Some(2)])),
                "[1.5]",
            ),
            (Arc::new(UInt8Array::from(Vec::<u8>::new())), "[null]"),
            (decimals(vec![1, 1, 0], 5, 2), "[0.006667]"),
            (
                decimals(vec![1, 0], 38, 37),
                "[0.0000000000000000000000000000000000000]",
            ),
            (
                decimals(vec![3, 0], 38, 37),
                "[0.0000000000000000000000000000000000002]",
            ),
            (decimals(vec![-5, 0], 38, 0), "[-2]"),
        ];
        for (column, expected) in table {
            let call = call(&[column.data_type().clone()], &[]);
            let found = show(&value(&component(), &call, &[column]));
            if let (Ok(a), Ok(b)) = (
                found.trim_matches(['[', ']']).parse::<f64>(),
                expected.trim_matches(['[', ']']).parse::<f64>(),
            ) && expected.contains('e')
            {
                assert_eq!(a, b);
            } else {
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn shares_its_state_with_sum() {
        let call = call(&[DataType::Float64], &[]);
        let mean = check(&component(), &call).expect("fits");
        let sum = check(&crate::sum::component(), &call).expect("fits");
        assert_eq!(mean.plan.state(), sum.plan.state());
    }
}
