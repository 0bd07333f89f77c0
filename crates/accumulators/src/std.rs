//! `std`: the standard deviation.

use dataflow_core::component::{Component, Info};

use crate::tallies::moments::accept_spread;

const USAGE: &str = "std(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "std",
        summary: "The standard deviation",
        manual: "\
The square root of [`variance`], with the same `ddof` (1 unless given: `std(x, ddof => 0)`), taken before the one rounding: values
around 1e300 have one although their variance is infinite. Null where there are no more than `ddof` values; NaN where one is infinite
or NaN.

The cost of `variance`, with which it shares its state.",
        example: USAGE,
        also_called: &["stddev", "stdev", "stddev_samp", "stddev_pop", "sigma", "sd"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept_spread(call, "std", USAGE))
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
    fn is_the_root_before_rounding() {
        let tiny = f64::from_bits(1);
        let table: [(&[f64], &str); 5] = [
            (&[1e8 - 1.0, 1e8, 1e8 + 1.0], "[0.816496580927726]"),
            (&[1e300, -1e300], "[1e300]"),
            (&[3.0 * tiny, -3.0 * tiny], "[1.5e-323]"),
            (&[2.0, 2.0], "[0.0]"),
            (&[f64::NAN, 2.0], "[NaN]"),
        ];
        for (values, expected) in table {
            let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
            let call = call(&[DataType::Float64], &[("ddof", Value::Integer(0))]);
            assert_eq!(show(&value(&component(), &call, &[column])), expected);
        }
    }
}
