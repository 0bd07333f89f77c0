//! `rms`: the root of the mean square.

use dataflow_core::component::{Component, Info};

use crate::tallies::moments::accept_rms;

const USAGE: &str = "rms(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "rms",
        summary: "The root of the mean square",
        manual: "\
The square root of the mean of the squares, exact up to the one rounding at the end. Null where there are no values; NaN where one is \
infinite or NaN (`rms(finite(x))` leaves those out).

The cost of `variance`, with which it shares its state.",
        example: USAGE,
        also_called: &["root_mean_square", "quadratic_mean"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept_rms(call, USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::{ArrayRef, Float64Array};
    use arrow_schema::DataType;
    use std::sync::Arc;

    #[test]
    fn is_the_root_before_rounding() {
        let table: [(&[f64], &str); 6] = [
            (&[], "[null]"),
            (&[-3.0], "[3.0]"),
            (&[0.0, -0.0], "[0.0]"),
            (&[1.0, 7.0], "[5.0]"),
            (&[3e300, 4e300, 0.0, 0.0], "[2.5e300]"),
            (&[f64::NAN, 2.0], "[NaN]"),
        ];
        for (values, expected) in table {
            let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
            let call = call(&[DataType::Float64], &[]);
            assert_eq!(show(&value(&component(), &call, &[column])), expected);
        }
    }
}
