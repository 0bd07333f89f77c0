//! `integral`: the area under a curve that the rows sample.

use dataflow_core::component::{Component, Info};

use crate::tallies::integral::accept;

const USAGE: &str = "integral(y, x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "integral",
        summary: "The area under `y` over `x`, by trapezoids",
        manual: "\
The sum of `(y1 + y2) / 2 * (x2 - x1)` over neighbouring rows of the group, in the order of the source (not of `x`: where `x` steps back,
area is taken away), skipping rows where one is null. `x` is a number, or a time, date or duration: then the area is in seconds, so
that `integral(voltage * current, timestamp) / 3600` is in watt-hours. Differences, products and the sum are exact, and rounded
once. Null where there are no rows, 0 for a single one; NaN where a value is infinite or NaN. Whole numbers as `y` and decimals
are taken in as doubles.

About 25 times the cost of a sum. The memory of a group is small and fixed, however many rows it has: the sum so far, the first
row and the last. For this the rows of a group are taken in order, so an aggregation with an `integral` sends all its rows to the
owners of their keys, instead of reducing them first where they are read; without keys, to one worker.",
        example: USAGE,
        also_called: &["trapz", "trapezoid", "area", "integrate", "auc"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, check, problem, show, value};
    use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, TimestampNanosecondArray};
    use arrow_schema::DataType;
    use dataflow_core::{Groups, Places};
    use std::sync::Arc;

    fn floats(values: &[f64]) -> ArrayRef {
        Arc::new(Float64Array::from(values.to_vec()))
    }

    #[test]
    fn is_the_area_in_the_order_of_rows() {
        let start = 1_700_000_000_000_000_000;
        let times = |steps: &[i64]| -> ArrayRef {
            let times = steps.iter().map(|step| start + step);
            Arc::new(TimestampNanosecondArray::from_iter_values(times))
        };
        let most = f64::MAX;
        let table: Vec<(ArrayRef, ArrayRef, &str)> = vec![
            (floats(&[0.0, 2.0, 2.0]), floats(&[0.0, 1.0, 3.0]), "[5.0]"),
            (floats(&[1.0, 1.0, 1.0]), floats(&[0.0, 3.0, 1.0]), "[1.0]"),
            (floats(&[5.0]), floats(&[3.0]), "[0.0]"),
            (floats(&[]), floats(&[]), "[null]"),
            (floats(&[1.0, f64::NAN]), floats(&[0.0, 1.0]), "[NaN]"),
            (
                floats(&[1e-300, 1e-300]),
                floats(&[-most, most]),
                "[359538626.97246313]",
            ),
            (floats(&[1.0, 1.0]), floats(&[1.0, 1e-30]), "[-1.0]"),
            (
                floats(&[1.0, 1.0, 1.0]),
                floats(&[1.0, 1e-30, 1.0]),
                "[0.0]",
            ),
            (
                floats(&[3.0, 3.0, 3.0]),
                times(&[0, 1, 2_000_000_000]),
                "[6.0]",
            ),
            (floats(&[1e9, 1e9]), times(&[0, 1]), "[1.0]"),
            (
                floats(&[2.0, 4.0]),
                Arc::new(Int32Array::from(vec![-1, 1])),
                "[6.0]",
            ),
        ];
        for (y, x, expected) in table {
            let call = call(&[DataType::Float64, x.data_type().clone()], &[]);
            assert_eq!(show(&value(&component(), &call, &[y, x])), expected);
        }
    }

    #[test]
    fn memory_does_not_depend_on_rows() {
        let call = call(&[DataType::Float64, DataType::Float64], &[]);
        let accepted = check(&component(), &call).expect("fits");
        let area = |rows: u32, group: fn(u32) -> u32| {
            let column = floats(&(0..rows).map(f64::from).collect::<Vec<_>>());
            let columns = [Arc::clone(&column), column];
            let groups: Vec<u32> = (0..rows).map(group).collect();
            let mut made = accepted.plan.make();
            made.resize(2);
            let added = made.update(Groups::Each(&groups), &columns, &Places::Unknown);
            added.expect("takes rows");
            let value = made.value(&accepted.plan.reading(), &[0, 1]);
            let state = made.state(&[0, 1]).expect("has a state");
            let written = state[0].to_data().get_slice_memory_size();
            (made.bytes(), written, show(&value.expect("has values")))
        };
        let (bytes, _, values) = area(10_000, |row| row / 5000);
        assert_eq!(values, "[12495000.5, 37490000.5]");
        assert!(bytes < 2000, "{bytes}");
        let (bytes, written, values) = area(10_000, |row| row % 2);
        assert_eq!(values, "[49980002.0, 49990000.0]");
        assert!(bytes < 2000, "{bytes}");
        assert!(written.expect("has a size") < 200);
    }

    #[test]
    fn runs_are_joined_where_they_meet() {
        let accepted = check(
            &component(),
            &call(&[DataType::Float64, DataType::Float64], &[]),
        )
        .expect("fits");
        let run = |y: &[f64], x: &[f64]| {
            let mut made = accepted.plan.make();
            made.resize(1);
            let added = made.update(Groups::One, &[floats(y), floats(x)], &Places::Unknown);
            added.expect("takes rows");
            made.state(&[0]).expect("has a state")
        };
        let runs = [
            run(&[0.0, 2.0], &[0.0, 1.0]),
            run(&[], &[]),
            run(&[4.0], &[3.0]),
            run(&[4.0, 0.0], &[2.0, 1.0]),
        ];
        let mut whole = accepted.plan.make();
        whole.resize(1);
        for state in &runs {
            whole.merge(&[0], state).expect("merges");
        }
        let value = whole.value(&accepted.plan.reading(), &[0]);
        assert_eq!(show(&value.expect("has a value")), "[1.0]");
        assert_eq!(
            whole.state(&[0]).expect("has a state"),
            run(&[0.0, 2.0, 4.0, 4.0, 0.0], &[0.0, 1.0, 3.0, 2.0, 1.0])
        );
    }

    #[test]
    fn text_is_no_axis() {
        let columns = [DataType::Float64, DataType::Utf8];
        problem(&component(), &call(&columns, &[]));
    }
}
