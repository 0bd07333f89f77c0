//! `slope`: of the straight line that fits best.

use dataflow_core::component::{Component, Info};

use crate::tallies::pairs::accept;

const USAGE: &str = "slope(y, x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "slope",
        summary: "The slope of the straight line that fits `y` over `x` best",
        manual: "\
By least squares: how much `y` grows when `x` grows by one, over the rows where neither is null. `y` comes first, as in `integral(y, x)`. From
exact sums, rounded once. Null for fewer than two rows; NaN if `x` is constant, or where a value is infinite or NaN. Whole numbers
and decimals are taken in as doubles.

The cost of `covariance`, with which it shares its state.",
        example: USAGE,
        also_called: &["regr_slope", "trend", "linear_slope", "gradient"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, "slope", USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::{ArrayRef, Float64Array};
    use arrow_schema::DataType;
    use std::sync::Arc;

    #[test]
    fn of_a_line_is_found_whatever_its_place() {
        let table: [(&[f64], &[f64], &str, &str); 5] = [
            (&[3.0, 5.0, 7.0], &[0.0, 1.0, 2.0], "[2.0]", "[3.0]"),
            (
                &[3.0, 5.0, 7.0],
                &[1e12, 1e12 + 1.0, 1e12 + 2.0],
                "[2.0]",
                "[-1999999999997.0]",
            ),
            (&[-1e300, 1e300], &[0.0, 1e-10], "[inf]", "[-1e300]"),
            (&[1.0, 2.0], &[4.0, 4.0], "[NaN]", "[NaN]"),
            (&[1.0], &[4.0], "[null]", "[null]"),
        ];
        for (y, x, slope, intercept) in table {
            let columns =
                [y, x].map(|values| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) });
            let call = call(&[DataType::Float64, DataType::Float64], &[]);
            assert_eq!(show(&value(&component(), &call, &columns)), slope);
            let found = value(&crate::intercept::component(), &call, &columns);
            assert_eq!(show(&found), intercept);
        }
    }
}
