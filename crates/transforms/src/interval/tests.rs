//! Pairs within a span, against a model that looks at every pair.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use dataflow_testkit::{Drive, Outcome};

use super::Interval;
use crate::fixtures::{build_of, problems_of, problems_untimed, rows};
use crate::time_join::model::{Made, Rows, TICK, in_every_way, made};

/// A row of the main side and its time, with the row of the table, and its time.
type Pair = (i64, i64, Option<(i64, i64)>);

fn pairs(outcome: &Outcome) -> Vec<Pair> {
    let of_batch = |rows: &RecordBatch, times: &[i64]| -> Vec<Pair> {
        let main = rows["number"].as_primitive::<Int64Type>().values().to_vec();
        let table = rows["other"].as_primitive::<Int64Type>();
        let at = rows["at"].as_primitive::<TimestampNanosecondType>();
        let pair = |row: usize| {
            table
                .is_valid(row)
                .then(|| (table.value(row), at.value(row)))
        };
        (0..rows.num_rows())
            .map(|row| (main[row], times[row], pair(row)))
            .collect()
    };
    let batches = outcome.ports[0].iter();
    let each = batches.map(|batch| of_batch(batch.rows(), batch.times().expect("timed").at()));
    each.flatten().collect()
}

fn expected(main: &Rows, table: &Rows, before: i64, after: i64, left: bool) -> Vec<Pair> {
    let mut others = table.kept(false).0;
    others.sort_by_key(|row| row.row);
    let mut pairs = Vec::new();
    for row in main.kept(true).0 {
        let mut found = 0;
        for other in others
            .iter()
            .filter(|o| o.key.is_some() && o.key == row.key)
        {
            let from = row.time - before * TICK;
            if (from..=row.time + after * TICK).contains(&other.time) {
                pairs.push((
                    row.row as i64,
                    row.time,
                    Some((other.row as i64, other.time)),
                ));
                found += 1;
            }
        }
        if found == 0 && left {
            pairs.push((row.row as i64, row.time, None));
        }
    }
    pairs
}

fn sides(seed: u64, lateness: i64, table_every: i64) -> (Rows, Rows) {
    let of = |seed, rows, every, keys, lateness, dictionary| Made {
        seed,
        rows,
        every,
        keys,
        lateness,
        dictionary,
    };
    let main = made(of(seed, 200, 2, (0, 6), lateness, true), "number");
    let rows = 400 / table_every;
    let table = of(seed + 1, rows, table_every, (2, 9), lateness / 2, false);
    (main, made(table, "other"))
}

#[test]
fn pairs_are_those_of_the_model() {
    for (within, before, after) in [
        ("\"5s\"", 5, 5),
        ("\"0s\"", 0, 0),
        ("{ before = \"9s\" }", 9, 0),
        ("{ after = \"30s\" }", 0, 30),
        ("{ before = \"12s\", after = \"-4s\" }", 12, -4),
        ("{ before = \"-3s\", after = \"8s\" }", -3, 8),
        ("{ before = \"1d\", after = \"1d\" }", 86400, 86400),
    ] {
        for (kind, left) in [("inner", false), ("left", true)] {
            let every = if before == 86400 { 40 } else { 1 };
            let (main, table) = sides((before + 100) as u64, 10, every);
            let config = format!(
                "table = \"t\"\non = [\"key\"]\nwithin = {within}\nkind = \"{kind}\"\ntime_as = \"at\"\nprefix = \"\"\n"
            );
            let table_rows = table.batch.project(&[0, 2]).expect("columns");
            let join = build_of::<Interval>(&config, &[&main.batch, &table_rows]);
            let expected = expected(&main, &table, before, after, left);
            assert!(expected.iter().any(|pair| pair.2.is_some()), "{within}");
            let table = Rows {
                batch: table_rows,
                ..table
            };
            in_every_way(join.as_ref(), &main, &table, |outcome, drive| {
                let found = pairs(outcome);
                assert_eq!(found.len(), expected.len(), "{within} {kind} {drive}");
                for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    assert_eq!(found, expected, "pair {at}, {within} {kind} {drive}");
                }
            });
        }
    }
}

#[test]
fn keys_of_several_columns_and_types_meet() {
    let main =
        rows("a:dict b:i32 s:f64 number:i64\nx 1 0 0\ny 1 nan 1\nx 2 -0 2\n- 1 0 3\nx - 0 4");
    let table =
        rows("a b:i64 s:f64 other:i64\nx 1 -0 10\ny 1 -nan 11\nx 2 1 12\n- 1 0 13\nx - 0 14");
    let config = "table = \"t\"\non = [\"a\", \"b\", \"s\"]\nwithin = \"1m\"\nkind = \"left\"\ntime_as = \"at\"";
    let join = build_of::<Interval>(config, &[&main, &table]);
    let side = |rows| Rows::at_ticks(rows);
    let (main, table) = (side(main), side(table));
    for workers in [1, 2, 3] {
        let drive = Drive {
            workers,
            piece_rows: 2,
            ..Drive::default()
        };
        let outcome = drive
            .run_sides(join.as_ref(), &[main.side(), table.side()])
            .expect("runs");
        let found: Vec<_> = pairs(&outcome)
            .into_iter()
            .map(|(number, _, other)| (number, other.map(|other| other.0)))
            .collect();
        assert_eq!(
            found,
            [
                (0, Some(10)),
                (1, Some(11)),
                (2, None),
                (3, None),
                (4, None)
            ]
        );
    }
}

#[test]
fn what_cannot_be_held_is_said() {
    let (main, table) = (rows_of_one_key(2, 1), rows_of_one_key(1_500_000, 1));
    let config = "table = \"t\"\non = [\"key\"]\nwithin = \"1d\"\nprefix = \"t_\"";
    let join = build_of::<Interval>(config, &[&main.batch, &table.batch]);
    let drive = Drive {
        memory: 1000,
        piece_rows: 8192,
        ..Drive::default()
    };
    let error = drive
        .run_sides(join.as_ref(), &[main.side(), table.side()])
        .expect_err("too much");
    let said = error.to_string();
    assert!(
        said.contains("rows of the table `table` may still match"),
        "{said}"
    );
}

fn rows_of_one_key(rows: i64, every: i64) -> Rows {
    let of = Made {
        seed: 1,
        rows,
        every,
        keys: (0, 1),
        lateness: 100,
        dictionary: false,
    };
    made(of, "number")
}

#[test]
fn what_is_wrong_is_said() {
    let main = rows("device x:f64");
    let table = rows("device y:f64");
    for (config, expected) in [
        ("table = \"t\"\nwithin = \"5s\"", "`on` is missing"),
        (
            "table = \"t\"\non = []\nwithin = \"5s\"",
            "names no columns",
        ),
        ("table = \"t\"\non = [\"device\"]", "`within` is missing"),
        (
            "table = \"t\"\non = [\"device\"]\nwithin = 5",
            "a duration such as",
        ),
        (
            "table = \"t\"\non = [\"device\"]\nwithin = { befor = \"5s\" }",
            "befor",
        ),
        (
            "table = \"t\"\non = [\"device\"]\nwithin = \"5 sec onds\"",
            "duration",
        ),
        (
            "table = \"t\"\non = [\"device\"]\nwithin = { before = \"-5s\", after = \"4s\" }",
            "ends before it begins",
        ),
        (
            "table = \"t\"\non = [\"device\"]\nwithin = \"-5s\"",
            "ends before it begins",
        ),
    ] {
        let found = problems_of::<Interval>(config, &[&main, &table]);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{config}: {found:?}"
        );
    }
    let untimed = problems_untimed::<Interval>(
        "table = \"t\"\non = [\"device\"]\nwithin = \"5s\"",
        &[&main, &table],
    );
    assert_eq!(untimed.len(), 2, "{untimed:?}");
}
