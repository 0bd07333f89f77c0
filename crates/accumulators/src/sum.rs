//! `sum`: the exact sum.

use dataflow_core::component::{Component, Info};

use crate::tallies::total::accept;

const USAGE: &str = "sum(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "sum",
        summary: "The exact sum",
        manual: "\
Of floating-point numbers it is the double nearest to the exact sum, whatever the order of the rows: `1e16 + 1 - 1e16` is 1, and a
sum that is too large on the way but not in the end does not overflow. Of whole numbers it is an `Int64` (`UInt64` for
unsigned ones), of decimals a decimal with ten more digits (up to 38, or 76): a result that does not fit stops the run.
Infinities and NaN do what they do in an addition. Nulls do not count, and the sum of nothing is null.

About as fast as a plain addition over long runs of one group, up to twice its cost when rows jump between groups. 20 bytes per
group, shared with `mean`; numbers whose sizes differ by more than 1e8 may double that. A group that adds 1e-300 to 1e300 takes about a
kilobyte.",
        example: USAGE,
        also_called: &["total", "add", "sum_exact", "fsum"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, "sum", USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, check, problem, show, value};
    use arrow_array::{
        ArrayRef, Decimal128Array, Decimal256Array, Float32Array, Float64Array, Int8Array,
        Int64Array, NullArray, UInt64Array,
    };
    use arrow_buffer::i256;
    use arrow_schema::DataType;
    use dataflow_core::{Groups, Places};
    use std::sync::Arc;

    fn sum(column: ArrayRef) -> String {
        let call = call(&[column.data_type().clone()], &[]);
        show(&value(&component(), &call, &[column]))
    }

    #[test]
    fn of_floats_is_rounded_once() {
        let (inf, nan, tiny) = (f64::INFINITY, f64::NAN, f64::from_bits(1));
        let table: [(&[f64], &str); 14] = [
            (&[1e16, 1.0, -1e16], "[1.0]"),
            (&[1e300, 1e-300, -1e300], "[1e-300]"),
            (&[f64::MAX, f64::MAX, -f64::MAX], "[1.7976931348623157e308]"),
            (&[f64::MAX, f64::MAX], "[inf]"),
            (&[tiny, tiny, tiny], "[1.5e-323]"),
            (&[-0.0, -0.0], "[0.0]"),
            (&[0.1; 10], "[1.0]"),
            (&[inf, 1.0], "[inf]"),
            (&[inf, 1.0, -inf], "[NaN]"),
            (&[-inf, f64::MAX], "[-inf]"),
            (&[nan, inf], "[NaN]"),
            (&[], "[null]"),
            (&[1.0, f64::EPSILON / 2.0, 1e-40], "[1.0000000000000002]"),
            (&[4.0, -1e-30, -4.0, 1e-30], "[0.0]"),
        ];
        for (values, expected) in table {
            let found = sum(Arc::new(Float64Array::from(values.to_vec())));
            assert_eq!(found, expected, "{values:?}");
        }
        assert_eq!(sum(Arc::new(NullArray::new(3))), "[null]");
        assert_eq!(sum(Arc::new(Float32Array::from(vec![0.5, 1e-9]))), {
            let exact = 0.5 + f64::from(1e-9_f32);
            format!("[{exact:?}]")
        });
    }

    #[test]
    fn whole_numbers_and_decimals_stay_what_they_are() {
        let decimals = |values: Vec<i128>, p, s| -> ArrayRef {
            let column = Decimal128Array::from(values);
            Arc::new(column.with_precision_and_scale(p, s).expect("fits"))
        };
        let most = 10_i128.pow(38) - 1;
        let long = i256::from_i128(most);
        let table: Vec<(ArrayRef, &str)> = vec![
            (Arc::new(Int8Array::from(vec![100; 100])), "[10000]"),
            (
                Arc::new(Int64Array::from(vec![
                    i64::MAX,
                    5,
                    i64::MIN,
                    i64::MIN,
                    i64::MAX,
                ])),
                "[3]",
            ),
            (
                Arc::new(UInt64Array::from(vec![u64::MAX - 1, 1])),
                "[18446744073709551615]",
            ),
            (Arc::new(Int64Array::from(vec![None, Some(-7)])), "[-7]"),
            (decimals(vec![1, 25, -3], 5, 2), "[0.23]"),
            (decimals(vec![most, most, -most, 1 - most, 4], 38, 0), "[5]"),
            (
                Arc::new(
                    Decimal256Array::from(vec![long, long])
                        .with_precision_and_scale(60, 0)
                        .expect("fits"),
                ),
                "[199999999999999999999999999999999999998]",
            ),
        ];
        for (column, expected) in table {
            assert_eq!(sum(column), expected);
        }
    }

    #[test]
    fn overflow_is_an_error() {
        let table: Vec<(ArrayRef, &str)> = vec![
            (
                Arc::new(Int64Array::from(vec![i64::MAX, 1])),
                "the sum is larger than any Int64",
            ),
            (
                Arc::new(UInt64Array::from(vec![u64::MAX, 1])),
                "the sum is larger than any UInt64",
            ),
            (
                Arc::new(
                    Decimal128Array::from(vec![10_i128.pow(38) - 1; 2])
                        .with_precision_and_scale(38, 0)
                        .expect("fits"),
                ),
                "the sum is larger than any decimal of its precision",
            ),
        ];
        for (column, expected) in table {
            let call = call(&[column.data_type().clone()], &[]);
            let accepted = check(&component(), &call).expect("fits");
            let mut sums = accepted.plan.make();
            sums.resize(1);
            let added = sums.update(Groups::One, &[column], &Places::Unknown);
            added.expect("what is not asked for may be large");
            let problem = sums.value(&accepted.plan.reading(), &[0]);
            assert_eq!(problem.expect_err("too large").what(), expected);
        }
    }

    #[test]
    fn text_has_none() {
        let problem = problem(&component(), &call(&[DataType::Utf8], &[]));
        let help = "convert the text: `cast(x as double)`";
        assert_eq!(problem.help.as_deref(), Some(help));
    }
}
