//! `median`: the value in the middle.

use dataflow_core::component::{Component, Info};

use crate::states::distribution;
use crate::states::options::Options;

const USAGE: &str = "median(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "median",
        summary: "The value in the middle",
        manual: "\
The same as `quantile(x, 0.5)`, with the same state: exact up to 65,536 distinct values in a group (`exact_up_to => n`), then within 0.1 %.
Of an even number of values it lies in the middle between the two middle ones. Nulls and NaN do not count.",
        example: USAGE,
        also_called: &["middle", "approx_median", "percentile_50"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| {
        distribution::accept(Options::of(call, 1, USAGE)?, "median", vec![0.5])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, check, show, value};
    use arrow_array::{ArrayRef, Int32Array};
    use arrow_schema::DataType;
    use dataflow_core::Value;
    use std::sync::Arc;

    #[test]
    fn is_the_value_in_the_middle() {
        for (values, expected) in [
            (vec![Some(5)], "[5.0]"),
            (vec![Some(5), None, Some(1), Some(2)], "[2.0]"),
            (
                vec![Some(5), Some(2), Some(1), Some(2), Some(4), Some(9)],
                "[3.0]",
            ),
            (vec![None], "[null]"),
        ] {
            let column: ArrayRef = Arc::new(Int32Array::from(values));
            let found = value(&component(), &call(&[DataType::Int32], &[]), &[column]);
            assert_eq!(show(&found), expected);
        }
    }

    #[test]
    fn shares_its_state_with_quantile() {
        let columns = [DataType::Float64];
        let state = |component: &Component, options: &[(&str, Value)]| {
            let accepted = check(component, &call(&columns, options)).expect("fits");
            accepted.plan.state()
        };
        let other = crate::quantile::component();
        let quantile = state(&other, &[("", Value::Float(0.9))]);
        assert_eq!(state(&component(), &[]), quantile);
        let bound = ("exact_up_to", Value::Integer(10));
        assert_ne!(state(&component(), &[bound]), quantile);
    }
}
