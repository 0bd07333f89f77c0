//! `kurtosis`: how heavy the tails of a distribution are.

use dataflow_core::component::{Component, Info};

use crate::tallies::moments::accept_shape;

const USAGE: &str = "kurtosis(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "kurtosis",
        summary: "How heavy the tails are, compared with a normal distribution's 0",
        manual: "\
The fourth central moment divided by the square of the second, both with the divisor n, less 3: the excess kurtosis `g2`, as
`scipy.stats.kurtosis` gives it unless told otherwise. From exact sums of powers, rounded once. Null for fewer than two values; NaN if
all are equal or one is infinite or NaN. Whole numbers and decimals are taken in as doubles.

The cost of `skewness`, with which it shares its state.",
        example: USAGE,
        also_called: &["kurt", "excess_kurtosis", "kurtosis_pop"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept_shape(call, "kurtosis", USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::{ArrayRef, Float64Array};
    use arrow_schema::DataType;
    use std::sync::Arc;

    #[test]
    fn is_zero_for_a_normal_distribution_and_less_for_flat_ones() {
        let table: [(&[f64], &str); 5] = [
            (&[1.0, 2.0], "[-2.0]"),
            (&[1e12 + 1.0, 1e12 + 2.0, 1e12 + 3.0], "[-1.5]"),
            (
                &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 10.0],
                "[5.111111111111111]",
            ),
            (&[1e200, -1e200, 0.0, 0.0], "[-1.0]"),
            (&[7.0, 7.0], "[NaN]"),
        ];
        for (values, expected) in table {
            let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
            let found = value(&component(), &call(&[DataType::Float64], &[]), &[column]);
            assert_eq!(show(&found), expected, "{values:?}");
        }
    }
}
