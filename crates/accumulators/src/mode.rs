//! `mode`: the most frequent value.

use dataflow_core::accumulator::Reading;
use dataflow_core::component::{Component, Info};

use crate::states::occurrences::accept;
use crate::states::options::Options;

const USAGE: &str = "mode(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "mode",
        summary: "The most frequent value",
        manual: "\
Of any type, exactly; of several most frequent values the smallest. Nulls do not count, all NaN are one value (above all numbers), and -0.0
is 0.0.

Every distinct value is counted, so memory grows with them: 8 bytes per value up to 64 in a group, then 16 to 48 per distinct value, and
text once for all groups. Some 10 nanoseconds per row, more for text. Shares its state with `top_values`; of continuous measurements
`histogram` says more and takes less.",
        example: USAGE,
        also_called: &["most_frequent", "modal"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| {
        accept(Options::of(call, 1, USAGE)?, Reading::of("mode"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::{
        ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
    };
    use std::sync::Arc;

    #[test]
    fn the_smallest_of_the_most_frequent() {
        let long = (0..1000).map(|i| if i % 3 == 0 { -1 } else { i });
        let table: Vec<(ArrayRef, &str)> = vec![
            (
                Arc::new(Int64Array::from(vec![
                    Some(3),
                    None,
                    None,
                    Some(-2),
                    Some(3),
                    Some(-2),
                ])),
                "[-2]",
            ),
            (Arc::new(Int64Array::from_iter_values(long)), "[-1]"),
            (
                Arc::new(Float64Array::from(vec![f64::NAN, -f64::NAN, 1.0])),
                "[NaN]",
            ),
            (Arc::new(Float64Array::from(vec![1.0, 0.0, -0.0])), "[0.0]"),
            (
                Arc::new(StringArray::from(vec![
                    Some("b"),
                    Some("a"),
                    None,
                    Some("b"),
                    Some("a"),
                ])),
                "[a]",
            ),
            (
                Arc::new(BooleanArray::from(vec![true, true, false])),
                "[true]",
            ),
            (
                Arc::new(Decimal128Array::from(vec![5, -5, 5])),
                "[0.0000000005]",
            ),
            (Arc::new(StringArray::from(vec![None::<&str>])), "[null]"),
        ];
        for (column, expected) in table {
            let given = call(&[column.data_type().clone()], &[]);
            let found = value(&component(), &given, &[column]);
            assert_eq!(show(&found), expected);
        }
    }
}
