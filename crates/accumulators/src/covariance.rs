//! `covariance`: how two columns vary together.

use dataflow_core::component::{Component, Info};

use crate::tallies::pairs::accept;

const USAGE: &str = "covariance(x, y)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "covariance",
        summary: "How two columns vary together",
        manual: "\
The sum of the products of both distances from their means divided by `n - ddof`, over the rows where neither is null. `ddof` is 1
unless given (`covariance(x, y, ddof => 0)`). From exact sums, rounded once. Null where there are no more than `ddof` rows; NaN where a
value is infinite or NaN. Whole numbers and decimals are taken in as doubles.

About four times the cost of `variance`; 132 bytes per group, shared with `correlation`, `slope` and `intercept` of the same columns in
the same order.",
        example: USAGE,
        also_called: &["cov", "covar", "covar_samp", "covar_pop"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, "covariance", USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::{ArrayRef, Float64Array};
    use arrow_schema::DataType;
    use dataflow_core::Value;
    use std::sync::Arc;

    #[test]
    fn is_over_rows_where_both_are_there() {
        let column =
            |values: &[Option<f64>]| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) };
        let x = column(&[Some(1e9), Some(1e9 + 1.0), None, Some(1e9 + 2.0), Some(7.0)]);
        let y = column(&[Some(2.0), Some(4.0), Some(1.0), Some(6.0), None]);
        for (ddof, expected) in [
            (0, "[1.3333333333333333]"),
            (1, "[2.0]"),
            (2, "[4.0]"),
            (3, "[null]"),
        ] {
            let columns = [DataType::Float64, DataType::Float64];
            let call = call(&columns, &[("ddof", Value::Integer(ddof))]);
            let found = value(&component(), &call, &[Arc::clone(&x), Arc::clone(&y)]);
            assert_eq!(show(&found), expected);
        }
    }
}
