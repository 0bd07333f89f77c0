//! `top_values`: the most frequent values and how often each occurred.

use dataflow_core::accumulator::{Accepted, Call, CallProblem, Reading};
use dataflow_core::component::{Component, Info};

use crate::states::occurrences;
use crate::states::options::{Options, whole};

const USAGE: &str = "top_values(x, 10)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "top_values",
        summary: "The most frequent values and how often each occurred",
        manual: "\
A list of structures of `value` and `count`, the most frequent first, of equally frequent ones the smaller first; null where there is no
value. Exact, of any type. Nulls do not count, all NaN are one value (above all numbers), and -0.0 is 0.0.

Cost and memory are those of `mode`, with which it shares its state.",
        example: USAGE,
        also_called: &["top_k", "topk", "approx_top_k", "value_counts", "most_common"],
        ..Info::EMPTY
    };
    Component::accumulator(info, accept)
}

fn accept(call: &Call) -> Result<Accepted, CallProblem> {
    let mut options = Options::of(call, 1, USAGE)?;
    let most = whole(options.needed("n")?, 1, 1_000_000)?;
    let reading = Reading {
        what: "top_values",
        numbers: vec![most as f64],
    };
    occurrences::accept(options, reading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, problem, show, value};
    use arrow_array::cast::AsArray;
    use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
    use arrow_schema::DataType;
    use dataflow_core::Value;
    use std::sync::Arc;

    #[test]
    fn the_most_frequent_first_and_the_smaller_of_equals() {
        let words = vec![
            Some("b"),
            Some("c"),
            None,
            Some("a"),
            Some("c"),
            Some("d"),
            Some("b"),
        ];
        let table: Vec<(ArrayRef, i64, &str, &str)> = vec![
            (
                Arc::new(StringArray::from(words)),
                3,
                "[b, c, a]",
                "[2, 2, 1]",
            ),
            (
                Arc::new(Int64Array::from(vec![-1, 5, 5])),
                9,
                "[5, -1]",
                "[2, 1]",
            ),
        ];
        for (column, n, values, counts) in table {
            let given = call(&[column.data_type().clone()], &[("", Value::Integer(n))]);
            let found = value(&component(), &given, &[column]);
            let pairs = found.as_list::<i32>().value(0);
            let pairs = pairs.as_struct();
            assert_eq!(show(pairs.column(0)), values);
            assert_eq!(show(pairs.column(1)), counts);
        }
    }

    #[test]
    fn no_value_no_list() {
        let given = call(&[DataType::Int64], &[("n", Value::Integer(2))]);
        let none: ArrayRef = Arc::new(Int64Array::from(vec![None::<i64>]));
        assert!(value(&component(), &given, &[none]).is_null(0));
        problem(
            &component(),
            &call(&[DataType::Int64], &[("n", Value::Integer(0))]),
        );
    }
}
