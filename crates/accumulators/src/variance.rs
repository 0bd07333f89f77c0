//! `variance`: the mean squared distance from the mean.

use dataflow_core::component::{Component, Info};

use crate::tallies::moments::accept_spread;

const USAGE: &str = "variance(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "variance",
        summary: "The mean squared distance from the mean",
        manual: "\
The sum of the squared distances from the mean divided by `n - ddof`. `ddof` is 1 unless given, which estimates the variance of
what the values are a sample of; `variance(x, ddof => 0)` is the variance of the values themselves. From exact sums of the values and
their squares, rounded once: a large mean costs no digits. Null where there are no more than `ddof` values; NaN where one is
infinite or NaN. Whole numbers and decimals are taken in as doubles, so those beyond 2^53 are rounded first.

About twice the cost of a plain sum of squares; 52 bytes per group, shared with `std`.",
        example: USAGE,
        also_called: &["var", "var_samp", "var_pop", "variance_samp"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept_spread(call, "variance", USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, problem, show, value};
    use arrow_array::{ArrayRef, Float64Array, Int16Array};
    use arrow_schema::DataType;
    use dataflow_core::Value;
    use std::sync::Arc;

    fn variance(values: &[f64], ddof: i64) -> String {
        let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        let call = call(&[DataType::Float64], &[("ddof", Value::Integer(ddof))]);
        show(&value(&component(), &call, &[column]))
    }

    #[test]
    fn a_large_mean_costs_nothing() {
        let table: [(&[f64], i64, &str); 10] = [
            (&[1e8 - 1.0, 1e8, 1e8 + 1.0], 1, "[1.0]"),
            (&[1e15, 1e15 + 1.0, 1e15 + 2.0], 1, "[1.0]"),
            (&[1.0, 2.0, 3.0, 4.0], 0, "[1.25]"),
            (&[1.0], 1, "[null]"),
            (&[1.0], 0, "[0.0]"),
            (&[], 0, "[null]"),
            (&[0.0, 0.0], 1, "[0.0]"),
            (&[1e300, -1e300], 1, "[inf]"),
            (&[f64::from_bits(1), 0.0], 1, "[0.0]"),
            (&[1.0, f64::INFINITY], 1, "[NaN]"),
        ];
        for (values, ddof, expected) in table {
            assert_eq!(variance(values, ddof), expected, "{values:?} {ddof}");
        }
    }

    #[test]
    fn one_degree_of_freedom_is_lost_unless_told() {
        let column: ArrayRef = Arc::new(Int16Array::from(vec![Some(1), None, Some(3)]));
        let found = value(&component(), &call(&[DataType::Int16], &[]), &[column]);
        assert_eq!(show(&found), "[2.0]");
        let wrong = call(&[DataType::Int16], &[("ddof", Value::Integer(-1))]);
        let found = problem(&component(), &wrong);
        assert_eq!(found.message, "-1 is not a whole number from 0 to 1000000");
    }
}
