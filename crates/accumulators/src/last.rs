//! `last`: the last value that is not null.

use dataflow_core::component::{Component, Info};

use crate::states::picked::{Pick, accept};

const USAGE: &str = "last(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "last",
        summary: "The last value that is not null",
        manual: "\
Last by its place in the input: the file, then the row in it; how rows are dealt to workers does not matter. Any type.

A few nanoseconds per row; 16 bytes per group and the value.",
        example: USAGE,
        also_called: &["last_value", "tail", "latest"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, Pick::Last, USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::types::Int32Type;
    use arrow_array::{
        ArrayRef, BooleanArray, Decimal128Array, Float64Array, ListArray, StringArray,
    };
    use std::sync::Arc;

    #[test]
    fn any_type_has_one() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            None,
            Some(vec![Some(1), None]),
            Some(vec![Some(2)]),
        ]);
        let table: Vec<(ArrayRef, &str)> = vec![
            (
                Arc::new(StringArray::from(vec![None, Some("b"), Some("a"), None])),
                "[a]",
            ),
            (
                Arc::new(Float64Array::from(vec![Some(-0.0), Some(f64::NAN), None])),
                "[NaN]",
            ),
            (
                Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
                "[false]",
            ),
            (Arc::new(list), "[[2]]"),
            (
                Arc::new(Decimal128Array::from(vec![Some(7), Some(-3)])),
                "[-0.0000000003]",
            ),
            (Arc::new(Float64Array::from(vec![None, None])), "[null]"),
        ];
        for (column, expected) in table {
            let given = call(&[column.data_type().clone()], &[]);
            let found = value(&component(), &given, &[column]);
            assert_eq!(show(&found), expected);
        }
    }
}
