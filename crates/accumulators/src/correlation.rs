//! `correlation`: Pearson's coefficient.

use dataflow_core::component::{Component, Info};

use crate::tallies::pairs::accept;

const USAGE: &str = "correlation(x, y)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "correlation",
        summary: "How far two columns lie on a straight line, from -1 to 1",
        manual: "\
Pearson's coefficient: the covariance divided by both standard deviations, over the rows where neither is null. From exact sums,
rounded once, so it is exactly 1 on a line and never beyond. Null for fewer than two rows; NaN if one column is constant, or where a value is
infinite or NaN. Whole numbers and decimals are taken in as doubles.

The cost of `covariance`, with which it shares its state.",
        example: USAGE,
        also_called: &["corr", "pearson", "correlate", "pearsonr"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, "correlation", USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::{ArrayRef, Float64Array};
    use arrow_schema::DataType;
    use std::sync::Arc;

    #[test]
    fn is_one_on_a_line() {
        let table: [(&[f64], &[f64], &str); 5] = [
            (
                &[1e15, 1e15 + 1.0, 1e15 + 2.0],
                &[0.0, 1e-300, 2e-300],
                "[1.0]",
            ),
            (&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0], "[-1.0]"),
            (&[1.0, 2.0, 3.0], &[1.0, 0.0, 1.0], "[0.0]"),
            (&[1.0, 2.0], &[5.0, 5.0], "[NaN]"),
            (&[1.0], &[5.0], "[null]"),
        ];
        for (x, y, expected) in table {
            let columns =
                [x, y].map(|values| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) });
            let call = call(&[DataType::Float64, DataType::Float64], &[]);
            assert_eq!(show(&value(&component(), &call, &columns)), expected);
        }
    }
}
