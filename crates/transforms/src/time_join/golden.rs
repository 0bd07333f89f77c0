//! Joins over event time as polars and DuckDB give them: `golden/make_time_joins.py` says how these were found.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use dataflow_core::component::TransformConfig;
use dataflow_testkit::Drive;
use serde::Deserialize;

use super::model::{Rows, TICK};
use crate::asof::Asof;
use crate::fixtures::build_of;
use crate::interval::Interval;

#[derive(Deserialize)]
struct Golden {
    /// Time, key and number of the rows of each side.
    sides: BTreeMap<String, Vec<(i64, String, i64)>>,
    asof: Vec<Nearest>,
    interval: Vec<Within>,
}

/// The numbers of rows, each with that of the row of the table that it matched.
type Pairs = Vec<(i64, Option<i64>)>;

#[derive(Deserialize)]
struct Nearest {
    table: String,
    direction: String,
    tolerance: Option<i64>,
    by: bool,
    exact: bool,
    rows: Pairs,
}

#[derive(Deserialize)]
struct Within {
    table: String,
    before: i64,
    after: i64,
    kind: String,
    rows: Pairs,
}

fn golden() -> Golden {
    let text = include_str!("../../tests/golden/time_joins.json");
    serde_json::from_str(text).expect("is JSON")
}

fn side(rows: &[(i64, String, i64)], number: &str) -> Rows {
    let keys = StringArray::from_iter_values(rows.iter().map(|(_, key, _)| key));
    let numbers = Int64Array::from_iter_values(rows.iter().map(|(_, _, number)| *number));
    let batch = RecordBatch::try_from_iter([
        ("key", Arc::new(keys) as ArrayRef),
        (number, Arc::new(numbers) as ArrayRef),
    ]);
    let mut side = Rows::at_ticks(batch.expect("columns"));
    side.times = rows.iter().map(|(time, ..)| time * TICK).collect();
    side
}

fn check<C: TransformConfig>(config: &str, golden: &Golden, table: &str, expected: &Pairs) {
    let main = side(&golden.sides["main"], "number");
    let table = side(&golden.sides[table], "other");
    let join = build_of::<C>(config, &[&main.batch, &table.batch]);
    for workers in [1, 3] {
        let drive = Drive {
            workers,
            piece_rows: 10,
            ..Drive::default()
        };
        let outcome = drive
            .run_sides(join.as_ref(), &[main.side(), table.side()])
            .expect("runs");
        let rows = outcome.rows();
        let numbers = rows["number"].as_primitive::<Int64Type>().iter().flatten();
        let others = rows["t_other"].as_primitive::<Int64Type>().iter();
        let found: Pairs = numbers.zip(others).collect();
        assert_eq!(&found, expected, "{config}");
    }
}

#[test]
fn the_nearest_rows_are_those_of_polars() {
    let golden = golden();
    assert!(golden.asof.len() > 40);
    for case in &golden.asof {
        let mut config = format!(
            "table = \"t\"\nprefix = \"t_\"\ndirection = \"{}\"\nallow_exact = {}\n",
            case.direction, case.exact
        );
        if case.by {
            config.push_str("on = [\"key\"]\n");
        }
        if let Some(seconds) = case.tolerance {
            config.push_str(&format!("tolerance = \"{seconds}s\"\n"));
        }
        check::<Asof>(&config, &golden, &case.table, &case.rows);
    }
}

#[test]
fn pairs_within_a_span_are_those_of_duckdb() {
    let golden = golden();
    assert!(golden.interval.len() > 10);
    for case in &golden.interval {
        let config = format!(
            "table = \"t\"\nprefix = \"t_\"\non = [\"key\"]\nkind = \"{}\"\nwithin = {{ before = \"{}s\", after = \"{}s\" }}\n",
            case.kind, case.before, case.after
        );
        check::<Interval>(&config, &golden, &case.table, &case.rows);
    }
}
