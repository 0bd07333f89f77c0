//! `arg_max`: the value of one column where another is greatest.

use dataflow_core::component::{Component, Info};

use crate::states::picked::{Pick, accept};

const USAGE: &str = "arg_max(x, by)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "arg_max",
        summary: "The value of `x` in the row with the greatest `by`",
        manual: "\
Of several such rows the first counts, by its place in the input. Rows where either is null do not count. `x` may have any type, `by`
any type with an order: numbers (NaN is above all of them), text by its bytes, dates and times.

A few nanoseconds per row; 16 bytes per group and the value.",
        example: USAGE,
        also_called: &["argmax", "max_by", "last_by"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, Pick::Greatest, USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn picks_the_right_row() {
        let x: ArrayRef = Arc::new(StringArray::from(vec![
            Some("a"),
            Some("b"),
            None,
            Some("d"),
            Some("e"),
            Some("f"),
        ]));
        let by: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(vec![
                None,
                Some(1.0),
                Some(0.5),
                Some(1.0),
                Some(-0.0),
                Some(0.0),
            ])),
            Arc::new(StringArray::from(vec![
                None,
                Some("1"),
                Some("05"),
                Some("1"),
                Some("0"),
                Some("0"),
            ])),
            Arc::new(Int64Array::from(vec![
                None,
                Some(1),
                Some(-7),
                Some(1),
                Some(0),
                Some(0),
            ])),
        ];
        for by in by {
            let types = [x.data_type().clone(), by.data_type().clone()];
            let found = value(&component(), &call(&types, &[]), &[Arc::clone(&x), by]);
            assert_eq!(show(&found), "[b]");
        }
        let none: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(1)]));
        let by: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let types = [none.data_type().clone(), by.data_type().clone()];
        let found = value(&component(), &call(&types, &[]), &[none, by]);
        assert_eq!(show(&found), "[null]");
    }

    #[test]
    fn nan_is_above_all_numbers() {
        let x: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let by: ArrayRef = Arc::new(Float64Array::from(vec![f64::INFINITY, f64::NAN, 0.0]));
        let types = [x.data_type().clone(), by.data_type().clone()];
        let found = value(&component(), &call(&types, &[]), &[x, by]);
        assert_eq!(show(&found), "[2]");
    }
}
