//! `range`: the greatest value less the least.

use dataflow_core::component::{Component, Info};

use crate::states::extremes::{End, accept};

const USAGE: &str = "range(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "range",
        summary: "The greatest value less the least",
        manual: "\
Of numbers, dates and times: `max(x) - min(x)`. Whole numbers give a whole number (an error when it does not fit),
decimals a decimal, dates and times a duration. NaN is above all numbers, so one NaN makes it NaN. Nulls do not count.

About a nanosecond per row and 16 bytes per group.",
        example: USAGE,
        also_called: &["spread", "ptp", "peak_to_peak"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, End::Range, USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, check, problem, show, value};
    use arrow_array::{
        ArrayRef, Date32Array, Decimal128Array, Float64Array, Int8Array, Int64Array,
        TimestampMillisecondArray, UInt64Array,
    };
    use arrow_schema::{DataType, TimeUnit};
    use dataflow_core::{Groups, Places};
    use std::sync::Arc;

    #[test]
    fn the_difference_has_its_own_type() {
        let table: Vec<(ArrayRef, &str, DataType)> = vec![
            (
                Arc::new(Float64Array::from(vec![0.5, -2.0])),
                "[2.5]",
                DataType::Float64,
            ),
            (
                Arc::new(Float64Array::from(vec![0.5, f64::NAN])),
                "[NaN]",
                DataType::Float64,
            ),
            (
                Arc::new(Int8Array::from(vec![-128, 127])),
                "[255]",
                DataType::Int64,
            ),
            (
                Arc::new(UInt64Array::from(vec![0, u64::MAX])),
                "[18446744073709551615]",
                DataType::UInt64,
            ),
            (
                Arc::new(Date32Array::from(vec![1, 3])),
                "[PT172800S]",
                DataType::Duration(TimeUnit::Second),
            ),
            (
                Arc::new(TimestampMillisecondArray::from(vec![
                    Some(5),
                    None,
                    Some(1505),
                ])),
                "[PT1.5S]",
                DataType::Duration(TimeUnit::Millisecond),
            ),
            (
                Arc::new(
                    Decimal128Array::from(vec![150, -25])
                        .with_precision_and_scale(5, 2)
                        .expect("fits"),
                ),
                "[1.75]",
                DataType::Decimal128(38, 2),
            ),
            (
                Arc::new(Int64Array::from(vec![None::<i64>])),
                "[null]",
                DataType::Int64,
            ),
        ];
        for (column, expected, data_type) in table {
            let given = call(&[column.data_type().clone()], &[]);
            let found = value(&component(), &given, &[column]);
            assert_eq!(show(&found), expected);
            assert_eq!(found.data_type(), &data_type);
        }
    }

    #[test]
    fn what_has_no_difference_is_said() {
        problem(&component(), &call(&[DataType::Utf8], &[]));
        let accepted = check(&component(), &call(&[DataType::Int64], &[])).expect("fits");
        let mut made = accepted.plan.make();
        made.resize(1);
        let column: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]));
        made.update(Groups::One, &[column], &Places::Unknown)
            .expect("takes rows");
        let error = made
            .value(&accepted.plan.reading(), &[0])
            .expect_err("overflows");
        assert_eq!(error.what(), "the range overflows");
    }
}
