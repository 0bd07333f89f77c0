//! The nearest rows in time, against a model that looks at every row of the table.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use dataflow_testkit::Outcome;

use super::Asof;
use crate::fixtures::{build_of, problems_of, rows};
use crate::time_join::model::{Made, Row, Rows, TICK, in_every_way, made};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    direction: &'static str,
    tolerance: Option<i64>,
    exact: bool,
    by_key: bool,
    inner: bool,
}

impl Asked {
    fn config(&self) -> String {
        let mut text = format!(
            "table = \"t\"\nprefix = \"q_\"\ntime_as = \"at\"\ndirection = \"{}\"\nallow_exact = {}\nkind = \"{}\"\n",
            self.direction,
            self.exact,
            if self.inner { "inner" } else { "left" }
        );
        if self.by_key {
            text.push_str("on = [\"key\"]\n");
        }
        if let Some(ticks) = self.tolerance {
            text.push_str(&format!("tolerance = \"{ticks}s\"\n"));
        }
        text
    }

    /// The row of the table, of those in the order of (time, row), that matches.
    fn matches(&self, row: &Row, table: &[Row]) -> Option<Row> {
        let near = |other: &&Row| {
            let distance = row.time.abs_diff(other.time);
            let same = !self.by_key || (row.key.is_some() && row.key == other.key);
            let within = |ticks: i64| distance <= (ticks * TICK).unsigned_abs();
            same && self.tolerance.is_none_or(within) && (self.exact || distance > 0)
        };
        let mut near = table.iter().filter(near).peekable();
        let mut before = None;
        while let Some(row) = near.next_if(|other| other.time <= row.time) {
            before = Some(*row);
        }
        let all = table.iter();
        let behind = all
            .filter(|other| other.time >= row.time)
            .find(|other| {
                let distance = row.time.abs_diff(other.time);
                let same = !self.by_key || (row.key.is_some() && row.key == other.key);
                let within = |ticks: i64| distance <= (ticks * TICK).unsigned_abs();
                same && self.tolerance.is_none_or(within) && (self.exact || distance > 0)
            })
            .copied();
        match (self.direction, before, behind) {
            ("backward", before, _) => before,
            ("forward", _, behind) => behind,
            (_, Some(before), Some(behind)) => {
                let closer = behind.time - row.time < row.time - before.time;
                Some(if closer { behind } else { before })
            }
            (_, before, behind) => before.or(behind),
        }
    }

    fn expected(&self, main: &Rows, table: &Rows) -> Vec<Joined> {
        // Rows of one instant count in the order of the table.
        let mut table = table.kept(false).0;
        if self.by_key {
            table.retain(|row| row.key.is_some());
        }
        let main = main.kept(self.by_key).0.into_iter();
        let joined = main.map(|row| {
            let found = self.matches(&row, &table);
            (
                row.row as i64,
                row.time,
                found.map(|f| (f.row as i64, f.time)),
            )
        });
        joined
            .filter(|row| !self.inner || row.2.is_some())
            .collect()
    }
}

/// A row of the main side and its time, with the row of the table that it matched, and its time.
type Joined = (i64, i64, Option<(i64, i64)>);

fn joined(outcome: &Outcome) -> Vec<Joined> {
    let of_batch = |rows: &RecordBatch, times: &[i64]| -> Vec<Joined> {
        let main = rows["number"].as_primitive::<Int64Type>().values().to_vec();
        let table = rows["q_quote"].as_primitive::<Int64Type>();
        let text = rows["q_text"].as_string::<i32>();
        let at = rows["at"].as_primitive::<TimestampNanosecondType>();
        let pair = |row: usize| {
            assert_eq!(table.is_null(row), text.is_null(row));
            assert_eq!(table.is_null(row), at.is_null(row));
            table.is_valid(row).then(|| {
                assert_eq!(text.value(row), format!("text {}", table.value(row)));
                (table.value(row), at.value(row))
            })
        };
        (0..rows.num_rows())
            .map(|row| (main[row], times[row], pair(row)))
            .collect()
    };
    let batches = outcome.ports[0].iter();
    let each = batches.map(|batch| of_batch(batch.rows(), batch.times().expect("timed").at()));
    each.flatten().collect()
}

/// Rows of the main side and of the table: in most cases the table has fewer, and some keys are on one side only.
fn sides(seed: u64, lateness: i64, table_every: i64) -> (Rows, Rows) {
    let main = Made {
        seed,
        rows: 250,
        every: 2,
        keys: (0, 6),
        lateness,
        dictionary: true,
    };
    let table = Made {
        seed: seed + 1,
        rows: 500 / table_every,
        every: table_every,
        keys: (2, 9),
        lateness: lateness / 2,
        dictionary: false,
    };
    (made(main, "number"), made(table, "quote"))
}

fn check(asked: Asked, lateness: i64, table_every: i64) {
    let (main, table) = sides(lateness as u64 + table_every as u64, lateness, table_every);
    let join = build_of::<Asof>(&asked.config(), &[&main.batch, &table.batch]);
    let expected = asked.expected(&main, &table);
    assert!(expected.iter().any(|row| row.2.is_some()), "{asked:?}");
    in_every_way(join.as_ref(), &main, &table, |outcome, drive| {
        let found = joined(outcome);
        assert_eq!(found.len(), expected.len(), "{asked:?} {drive}");
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "row {at}, {asked:?} {drive}");
        }
    });
}

#[test]
fn the_nearest_rows_are_those_of_the_model() {
    for direction in ["backward", "forward", "nearest"] {
        for tolerance in [None, Some(0), Some(3), Some(40)] {
            for exact in [true, false] {
                if !exact && tolerance == Some(0) {
                    continue;
                }
                let asked = Asked {
                    direction,
                    tolerance,
                    exact,
                    by_key: true,
                    inner: exact && tolerance == Some(3),
                };
                check(asked, 10, 2);
            }
        }
    }
}

#[test]
fn keys_may_be_missing_and_tables_sparse_or_dense() {
    for direction in ["backward", "forward", "nearest"] {
        for (lateness, every) in [(0, 16), (30, 1), (10_000, 4)] {
            for by_key in [true, false] {
                let asked = Asked {
                    direction,
                    tolerance: (every == 1).then_some(7),
                    exact: true,
                    by_key,
                    inner: false,
                };
                check(asked, lateness, every);
            }
        }
    }
}

#[test]
fn an_empty_side_is_no_trouble() {
    let (main, table) = sides(3, 10, 2);
    let none = made(
        Made {
            seed: 1,
            rows: 0,
            every: 1,
            keys: (0, 1),
            lateness: 1,
            dictionary: false,
        },
        "quote",
    );
    let asked = Asked {
        direction: "nearest",
        tolerance: Some(5),
        exact: true,
        by_key: true,
        inner: false,
    };
    for (main, table) in [(&main, &none), (&main, &table)] {
        let join = build_of::<Asof>(&asked.config(), &[&main.batch, &table.batch]);
        let expected = asked.expected(main, table);
        in_every_way(join.as_ref(), main, table, |outcome, drive| {
            assert_eq!(joined(outcome), expected, "{drive}");
        });
    }
}

#[test]
fn what_is_wrong_is_said() {
    let main = rows("device x:f64 n:i64 when:time");
    let table = rows("device y:f64 n:f64 x:f64");
    for (config, expected) in [
        (
            "table = \"t\"\non = { devise = \"device\" }",
            "there is no column `devise`",
        ),
        (
            "table = \"t\"\non = { device = \"name\" }",
            "the table `table` has no column `name`",
        ),
        (
            "table = \"t\"\non = [\"n\"]\nprefix = \"t_\"",
            "which cannot be compared exactly",
        ),
        (
            "table = \"t\"\non = [\"device\"]",
            "there would be two columns `n`",
        ),
        (
            "table = \"t\"\non = [\"device\"]\nprefix = \"t_\"\ntime_as = \"t_y\"",
            "there would be two columns `t_y`",
        ),
        (
            "table = \"t\"\nprefix = \"t_\"\ntolerance = \"-5s\"",
            "never less than nothing",
        ),
        (
            "table = \"t\"\nprefix = \"t_\"\ndirection = \"sideways\"",
            "sideways",
        ),
    ] {
        let found = problems_of::<Asof>(config, &[&main, &table]);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{config}: {found:?}"
        );
    }
}

#[test]
fn both_sides_need_event_time() {
    let (main, table) = (rows("device x:f64"), rows("device y:f64"));
    let found = crate::fixtures::problems_untimed::<Asof>(
        "table = \"t\"\non = [\"device\"]",
        &[&main, &table],
    );
    assert_eq!(
        found,
        [
            "`asof` matches rows by their event time, and the rows of `before` have none",
            "`asof` matches rows by their event time, and the rows of the table `table` have none"
        ]
    );
}
