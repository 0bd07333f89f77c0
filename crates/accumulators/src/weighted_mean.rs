//! `weighted_mean`: a mean in which some rows count more than others.

use dataflow_core::component::{Component, Info};

use crate::tallies::weighted::accept;

const USAGE: &str = "weighted_mean(x, weight)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "weighted_mean",
        summary: "The mean, each value counting as much as its weight says",
        manual: "\
The sum of `x * weight` divided by the sum of the weights, over the rows where neither is null. From exact sums, rounded once.
Null where there are no rows; NaN where the weights add up to zero. Infinities and NaN do what they do in these sums and
their quotient. Whole numbers and decimals are taken in as doubles.

About three times the cost of `mean`, and 52 bytes per group.",
        example: USAGE,
        also_called: &["weighted_average", "wmean", "average_weighted"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::{ArrayRef, Float64Array};
    use arrow_schema::DataType;
    use std::sync::Arc;

    #[test]
    fn weights_count() {
        let inf = f64::INFINITY;
        let table: [(&[f64], &[f64], &str); 9] = [
            (&[1.0, 4.0], &[1.0, 3.0], "[3.25]"),
            (
                &[1e300, 1e-300, -1e300],
                &[1e10, 3.0, 1e10],
                "[1.499999999775e-310]",
            ),
            (
                &[1e300, 3.0, -1e300],
                &[1e10, -1.0, 1e10],
                "[-1.500000000075e-10]",
            ),
            (&[1.0, 2.0], &[1.0, -1.0], "[NaN]"),
            (&[], &[], "[null]"),
            (&[inf, 1.0], &[1.0, 1.0], "[inf]"),
            (&[inf, 1.0], &[-1.0, 2.0], "[-inf]"),
            (&[inf, 1.0], &[0.0, 2.0], "[NaN]"),
            (&[1.0, 2.0], &[inf, 2.0], "[NaN]"),
        ];
        for (x, weights, expected) in table {
            let columns = [x, weights]
                .map(|values| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) });
            let call = call(&[DataType::Float64, DataType::Float64], &[]);
            assert_eq!(show(&value(&component(), &call, &columns)), expected);
        }
    }
}
