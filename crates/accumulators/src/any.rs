//! `any`: whether a condition held in some row.

use dataflow_core::component::{Component, Info};

use crate::tallies::truths::accept;

const USAGE: &str = "any(x > 0)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "any",
        summary: "Whether a condition held in some row",
        manual: "\
Rows where the condition is null do not count; a group without others is null, else the result is true or false.

About a nanosecond per row and one byte per group; shared with `all`.",
        example: USAGE,
        also_called: &["bool_or", "some", "exists", "any_true"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, "any", USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, problem, show, value};
    use arrow_array::{ArrayRef, BooleanArray};
    use arrow_schema::DataType;
    use std::sync::Arc;

    #[test]
    fn is_true_once_something_is() {
        for (values, any, all) in [
            (vec![], "[null]", "[null]"),
            (vec![None, None], "[null]", "[null]"),
            (vec![Some(false), None], "[false]", "[false]"),
            (vec![Some(true), None], "[true]", "[true]"),
            (vec![Some(true), Some(false)], "[true]", "[false]"),
        ] {
            let column: ArrayRef = Arc::new(BooleanArray::from(values));
            let call = call(&[DataType::Boolean], &[]);
            let found = value(&component(), &call, &[Arc::clone(&column)]);
            assert_eq!(show(&found), any);
            let found = value(&crate::all::component(), &call, &[column]);
            assert_eq!(show(&found), all);
        }
    }

    #[test]
    fn numbers_are_no_conditions() {
        let problem = problem(&component(), &call(&[DataType::Int64], &[]));
        let help = "write a condition, such as `any(x > 0)`";
        assert_eq!(problem.help.as_deref(), Some(help));
    }
}
