//! What this crate's tests of ordered accumulators share: making calls, and running one in many ways that must agree.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, Field};
use arrow_select::take::take;
use dataflow_core::accumulator::{Accepted, Argument, Call, CallProblem, OrderClass};
use dataflow_core::component::{Build, Component};
use dataflow_core::{Accumulator, Groups, Place, Places, Value};

/// A call with these columns and arguments.
pub(crate) fn call(columns: &[DataType], options: &[(&str, Value)]) -> Call {
    let columns = columns.iter();
    let options = options.iter().enumerate();
    Call {
        arguments: columns
            .map(|t| Arc::new(Field::new("x", t.clone(), true)))
            .collect(),
        options: options
            .map(|(i, (name, value))| Argument {
                name: (*name).to_owned(),
                value: value.clone(),
                at: i..i + 1,
            })
            .collect(),
        ..Call::default()
    }
}

/// The checked call.
pub(crate) fn check(component: &Component, call: &Call) -> Result<Accepted, CallProblem> {
    let Build::Accumulator(accept) = &component.build else {
        panic!("{component:?} is not an accumulator");
    };
    accept(call)
}

/// The problem that a call has.
pub(crate) fn problem(component: &Component, call: &Call) -> CallProblem {
    match check(component, call) {
        Err(problem) => problem,
        Ok(_) => panic!("{component:?} accepts {call:?}"),
    }
}

/// A column as text.
pub(crate) fn show(column: &dyn Array) -> String {
    let rows = (0..column.len()).map(|row| {
        if column.is_null(row) {
            return "null".to_owned();
        }
        array_value_to_string(column, row).expect("can be shown")
    });
    format!("[{}]", rows.collect::<Vec<_>>().join(", "))
}

/// The value of one group of all rows, having seen that batches, order, groups and merges do not change it.
pub(crate) fn value(component: &Component, call: &Call, columns: &[ArrayRef]) -> ArrayRef {
    let accepted = check(component, call).expect("the call fits");
    let columns: Vec<ArrayRef> = columns
        .iter()
        .zip(&accepted.coerce)
        .map(|(column, to)| arrow_cast::cast(column, to).expect("can be cast"))
        .collect();
    let rows = columns[0].len();
    let reading = accepted.plan.reading();
    let whole = fed(
        &accepted,
        &columns,
        &(0..rows as u32).collect::<Vec<_>>(),
        rows,
    );
    let state = whole.state(&[0]).expect("has a state");
    let value = whole.value(&reading, &[0]).expect("has a value");
    assert_eq!(value.data_type(), accepted.plan.output().data_type());
    let types: Vec<&DataType> = state.iter().map(|column| column.data_type()).collect();
    let fields = accepted.plan.state_fields();
    assert_eq!(
        types,
        fields.iter().map(|f| f.data_type()).collect::<Vec<_>>()
    );
    let free = accepted.plan.order_class() <= OrderClass::Place;
    let order: Vec<u32> = if free {
        shuffled(rows)
    } else {
        (0..rows as u32).collect()
    };
    let mut others = vec![
        fed(&accepted, &columns, &order, 1),
        fed(&accepted, &columns, &order, 7),
        if free {
            apart(&accepted, &columns, &order)
        } else {
            in_runs(&accepted, &columns, &order)
        },
    ];
    others.push(restored(&accepted, others[2].as_ref()));
    for other in others {
        assert_eq!(other.state(&[0]).expect("has a state"), state);
        let again = other.value(&reading, &[0]).expect("has a value");
        assert_eq!(&again, &value, "{component:?}");
    }
    value
}

fn shuffled(rows: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows as u32).collect();
    order.sort_by_key(|row| (u64::from(*row) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    order
}

fn picked(columns: &[ArrayRef], rows: &[u32]) -> (Vec<ArrayRef>, Places) {
    let indices = UInt32Array::from(rows.to_vec());
    let columns = columns.iter();
    let columns = columns.map(|column| take(column, &indices, None).expect("in range"));
    let places = Places::From(Place(1000)).take(rows.iter().map(|row| *row as usize));
    (columns.collect(), places)
}

/// One group, in batches of these rows.
fn fed(
    accepted: &Accepted,
    columns: &[ArrayRef],
    rows: &[u32],
    batch: usize,
) -> Box<dyn Accumulator> {
    let mut made = accepted.plan.make();
    made.resize(1);
    for rows in rows.chunks(batch.max(1)) {
        let (columns, places) = picked(columns, rows);
        made.update(Groups::One, &columns, &places)
            .expect("takes rows");
    }
    made
}

/// Three groups of two accumulators, all merged into one group.
fn apart(accepted: &Accepted, columns: &[ArrayRef], rows: &[u32]) -> Box<dyn Accumulator> {
    let mut into = accepted.plan.make();
    into.resize(2);
    for part in [0, 1] {
        let rows: Vec<u32> = rows.iter().copied().filter(|row| row % 2 == part).collect();
        let groups: Vec<u32> = rows.iter().map(|row| row / 2 % 3).collect();
        let mut made = accepted.plan.make();
        made.resize(4);
        let (columns, places) = picked(columns, &rows);
        made.update(Groups::Each(&groups), &columns, &places)
            .expect("takes rows");
        // The last group has no rows.
        let state = made.state(&[3, 2, 0, 1]).expect("has a state");
        into.merge(&[0, 0, 0, 0], &state).expect("is a state");
    }
    into
}

/// Runs of two rows each, merged in order.
fn in_runs(accepted: &Accepted, columns: &[ArrayRef], rows: &[u32]) -> Box<dyn Accumulator> {
    let mut into = accepted.plan.make();
    into.resize(1);
    for run in rows.chunks(2) {
        let run = fed(accepted, columns, run, 2);
        let state = run.state(&[0]).expect("has a state");
        into.merge(&[0], &state).expect("is a state");
    }
    into
}

fn restored(accepted: &Accepted, from: &dyn Accumulator) -> Box<dyn Accumulator> {
    let mut made = accepted.plan.make();
    made.resize(1);
    let state = from.state(&[0]).expect("has a state");
    made.merge(&[0], &state).expect("is a state");
    made
}
