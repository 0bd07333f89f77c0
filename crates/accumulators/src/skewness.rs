//! `skewness`: how lopsided a distribution is.

use dataflow_core::component::{Component, Info};

use crate::tallies::moments::accept_shape;

const USAGE: &str = "skewness(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "skewness",
        summary: "How lopsided the distribution is: 0 if symmetric, positive with a long upper tail",
        manual: "\
The third central moment divided by the 3/2nd power of the second, both with the divisor n: `g1`, as `scipy.stats.skew` gives it
unless told otherwise. From exact sums of powers, rounded once. Null for fewer than two values; NaN if all are equal or one is
infinite or NaN. Whole numbers and decimals are taken in as doubles.

About 30 times the cost of a sum; 164 bytes per group, shared with `kurtosis`.",
        example: USAGE,
        also_called: &["skew", "skewness_pop"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept_shape(call, "skewness", USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::{ArrayRef, Float64Array};
    use arrow_schema::DataType;
    use std::sync::Arc;

    #[test]
    fn leans_to_the_long_tail() {
        let table: [(&[f64], &str); 7] = [
            (&[1.0, 2.0, 3.0], "[0.0]"),
            (&[0.0, 0.0, 3.0], "[0.7071067811865476]"),
            (&[1e9, 1e9, 1e9 - 3.0], "[-0.7071067811865476]"),
            (&[0.0, 0.0, 3e-300], "[0.7071067811865476]"),
            (&[5.0, 5.0], "[NaN]"),
            (&[5.0], "[null]"),
            (&[5.0, f64::NAN], "[NaN]"),
        ];
        for (values, expected) in table {
            let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
            let found = value(&component(), &call(&[DataType::Float64], &[]), &[column]);
            assert_eq!(show(&found), expected, "{values:?}");
        }
    }
}
