//! `lag`, `delta` and `rate` against a model that looks for the row before each row.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, TimeUnit};
use dataflow_core::component::TransformConfig;
use dataflow_core::transform::Columns;
use dataflow_testkit::Drive;

use super::{Delta, Lag, Rate};
use crate::fixtures::{
    SECOND, TimedRows, build, floats, integers, problems, rows, texts, untimed_problems,
};

/// The rows in order, each with the one `back` rows of its key before.
fn model(rows: &TimedRows, keys: bool, back: usize) -> Vec<(usize, Option<usize>)> {
    let mut of_key: HashMap<Option<String>, Vec<usize>> = HashMap::new();
    let (kept, _) = rows.in_order(keys);
    let pairs = kept.into_iter().map(|row| {
        let key = rows.devices[row].clone().filter(|_| keys);
        let seen = of_key.entry(key).or_default();
        seen.push(row);
        let before = seen.len().checked_sub(back + 1).map(|at| seen[at]);
        (row, before)
    });
    pairs.collect()
}

/// Runs a transform in all ways and looks at its rows beside those of the model.
fn check<C: TransformConfig>(
    config: &str,
    keys: bool,
    back: usize,
    see: impl Fn(&TimedRows, &RecordBatch, &[(usize, Option<usize>)]),
) {
    let rows = TimedRows::new(700, 0);
    let expected = model(&rows, keys, back);
    let by = if keys { "by = [\"device\"]\n" } else { "" };
    let transform = build::<C>(&format!("{by}{config}"), &rows.batch);
    rows.run(transform.as_ref(), |outcome, drive| {
        let found = outcome.rows();
        let ids: Vec<i64> = integers(&found, "id").into_iter().flatten().collect();
        let of_model: Vec<i64> = expected.iter().map(|(row, _)| *row as i64).collect();
        assert_eq!(ids, of_model, "{config} {drive:?}");
        for batch in &outcome.ports[0] {
            let times = batch.times().expect("rows keep their times").at();
            let ids = integers(batch.rows(), "id").into_iter().flatten();
            assert!(
                times
                    .iter()
                    .zip(ids)
                    .all(|(time, id)| rows.times[id as usize] == *time)
            );
        }
        see(&rows, &found, &expected);
    });
}

#[test]
fn lag_gives_the_row_before() {
    for (keys, back) in [(true, 1), (false, 1), (true, 3), (false, 2), (true, 150)] {
        let config = format!(
            "rows = {back}\ncolumns = [\"x\", \"name\"]\ncompute.twice = \"2 * coalesce(x, 7)\""
        );
        check::<Lag>(&config, keys, back, |rows, found, model| {
            let x: Vec<Option<i64>> = model
                .iter()
                .map(|(_, before)| rows.x[before.as_ref().copied()?])
                .collect();
            assert_eq!(integers(found, "previous_x"), x);
            let names = x.iter().map(|x| x.map(|x| format!("n{x}")));
            assert_eq!(texts(found, "previous_name"), names.collect::<Vec<_>>());
            let twice = model
                .iter()
                .map(|(_, before)| before.map(|row| 2 * rows.x[row].unwrap_or(7)));
            assert_eq!(integers(found, "twice"), twice.collect::<Vec<_>>());
        });
    }
}

#[test]
fn delta_is_the_difference_to_the_row_before() {
    for keys in [true, false] {
        let config = "columns = [\"x\", \"y\"]";
        check::<Delta>(config, keys, 1, |rows, found, model| {
            let x = model
                .iter()
                .map(|(row, before)| Some(rows.x[*row]? - rows.x[(*before)?]?));
            assert_eq!(integers(found, "delta_x"), x.collect::<Vec<_>>());
            let y = model
                .iter()
                .map(|(row, before)| Some(rows.y[*row]? - rows.y[(*before)?]?));
            assert_eq!(floats(found, "delta_y"), y.collect::<Vec<_>>());
        });
    }
}

#[test]
fn rate_is_the_difference_for_a_time() {
    for (keys, counter) in [(true, false), (false, false), (true, true), (false, true)] {
        let config = format!("counter = {counter}\nper = \"4s\"\ncolumns = [\"x\", \"y\"]");
        check::<Rate>(&config, keys, 1, |rows, found, model| {
            let rate = |row: usize, before: usize, now: f64, then: f64| {
                let took = (rows.times[row] - rows.times[before]) as f64;
                let change = if counter && now < then {
                    now
                } else {
                    now - then
                };
                (took > 0.0).then_some(change / (took / (4.0 * SECOND as f64)))
            };
            let x = model.iter().map(|(row, before)| {
                let before = (*before)?;
                rate(*row, before, rows.x[*row]? as f64, rows.x[before]? as f64)
            });
            assert_eq!(floats(found, "rate_x"), x.collect::<Vec<_>>());
            let y = model.iter().map(|(row, before)| {
                let before = (*before)?;
                rate(*row, before, rows.y[*row]?, rows.y[before]?)
            });
            assert_eq!(floats(found, "rate_y"), y.collect::<Vec<_>>());
        });
    }
}

#[test]
fn keys_may_be_expressions_and_dictionaries() {
    let rows = TimedRows::new(300, 0);
    let plain = build::<Lag>("by = [\"device\"]\ncolumns = [\"x\"]", &rows.batch);
    let text = "by = { k = \"device || '!'\" }\ncolumns = [\"x\"]";
    let written = build::<Lag>(text, &rows.batch);
    let mut expected = Vec::new();
    rows.run(plain.as_ref(), |outcome, _| {
        expected = integers(&outcome.rows(), "previous_x");
    });
    rows.run(written.as_ref(), |outcome, _| {
        assert_eq!(integers(&outcome.rows(), "previous_x"), expected);
        assert_eq!(outcome.rows().num_columns(), 6);
    });
    let mut columns = rows.batch.columns().to_vec();
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    for at in [0, 3] {
        columns[at] = arrow_cast::cast(&columns[at], &kind).expect("packs");
    }
    let names = ["device", "x", "y", "name", "id"];
    let packed = names.into_iter().zip(columns).map(|(n, c)| (n, c, true));
    let packed = TimedRows {
        batch: RecordBatch::try_from_iter_with_nullable(packed).expect("columns"),
        ..rows
    };
    let config = "by = [\"device\"]\ncolumns = [\"x\", \"name\"]";
    let of_packed = build::<Lag>(config, &packed.batch);
    packed.run(of_packed.as_ref(), |outcome, _| {
        let found = outcome.rows();
        assert_eq!(integers(&found, "previous_x"), expected);
        let names = expected.iter().map(|x| x.map(|x| format!("n{x}")));
        assert_eq!(texts(&found, "previous_name"), names.collect::<Vec<_>>());
    });
}

#[test]
fn differences_keep_their_type() {
    let input = rows("t:time d:date i:i32 b:bool n:i64\n5 1 1 true 1");
    let schema = |config: &str| {
        let delta = build::<Delta>(config, &input);
        delta.ports()[0].schema.field(5).data_type().clone()
    };
    assert_eq!(
        schema("columns = [\"t\"]"),
        DataType::Duration(TimeUnit::Nanosecond)
    );
    assert_eq!(schema("columns = [\"i\"]"), DataType::Int32);
    assert_eq!(
        schema("compute.c = \"cast(n as bigint unsigned)\""),
        DataType::Int64
    );
    assert_eq!(
        schema("compute.c = \"cast(n as int unsigned)\""),
        DataType::Int64
    );
    let decimal = schema("compute.c = \"cast(n as decimal(10, 2))\"");
    assert!(decimal.is_decimal(), "{decimal}");
    let days = build::<Delta>("columns = [\"d\"]", &rows("d:date\n3\n10\n2"));
    let input = rows("d:date\n3\n10\n2");
    let timing = dataflow_testkit::Timing {
        times: &[1, 2, 3],
        rule: Default::default(),
    };
    let outcome = Drive::default()
        .run_timed(days.as_ref(), &input, Some(timing))
        .expect("runs");
    let found = integers(&outcome.rows(), "delta_d");
    assert_eq!(found, [None, Some(7), Some(-8)]);
}

#[test]
fn a_difference_that_does_not_fit_is_a_bad_row() {
    let input = rows(&format!("x:i64\n{}\n-5\n{}\n7", i64::MAX, i64::MAX - 3));
    let delta = build::<Delta>("columns = [\"x\"]", &input);
    for workers in [1, 3] {
        let drive = Drive {
            workers,
            batch_rows: 1,
            ..Drive::default()
        };
        let timing = dataflow_testkit::Timing {
            times: &[1, 2, 3, 4],
            rule: Default::default(),
        };
        let outcome = drive
            .run_timed(delta.as_ref(), &input, Some(timing))
            .expect("runs");
        let found = integers(&outcome.rows(), "delta_x");
        assert_eq!(found, [None, Some(10 - i64::MAX)]);
        let places: Vec<u64> = outcome
            .bad
            .iter()
            .map(|bad| bad.place.expect("known").row())
            .collect();
        assert_eq!(places, [1, 2]);
        assert_eq!(outcome.bad[0].reason, "overflow");
        assert_eq!(outcome.bad[0].data, "{\"x\":-5}");
    }
}

#[test]
fn keys_that_are_too_many_are_said() {
    let long = "k".repeat(200);
    let lines: Vec<String> = (0..150_000).map(|i| format!("{i} {long}{i}")).collect();
    let input = rows(&format!("x:i64 k\n{}", lines.join("\n")));
    let times: Vec<i64> = (0..150_000).collect();
    let lag = build::<Lag>("by = [\"k\"]\ncolumns = [\"x\"]", &input);
    let drive = Drive {
        memory: 1 << 20,
        ..Drive::default()
    };
    let timing = dataflow_testkit::Timing {
        times: &times,
        rule: Default::default(),
    };
    let error = drive
        .run_timed(lag.as_ref(), &input, Some(timing))
        .expect_err("too many");
    let text = error.to_string();
    assert!(
        text.contains("keys take") && text.contains("budget of 1 MiB"),
        "{text}"
    );
}

#[test]
fn only_what_is_wanted_is_read() {
    let input = rows("a b:i64 c:i64 d:i64\nx 1 2 3");
    let lag = build::<Lag>("by = [\"a\"]\ncompute.p = \"b + 1\"", &input);
    let named = |names: &[&str]| Columns::named(names.iter().copied());
    let none = || named(&[]);
    let needs = lag.needs(0, &[named(&["c", "p"]), none()]);
    assert_eq!(needs, named(&["a", "b", "c"]));
    let needs = lag.needs(0, &[none(), named(&["data"])]);
    assert_eq!(needs, Columns::All);
}

#[test]
fn wrong_configurations_are_said() {
    let input = rows("device x:i64 name t:time\na 1 b 5");
    for (wrong, count) in [
        ("columns = [\"z\"]", 1),
        ("", 1),
        ("by = [\"z\"]\ncolumns = [\"q\"]", 2),
        ("columns = [\"x\"]\ncompute.x = \"x\"", 1),
        ("columns = [\"x\", \"x\"]", 1),
        ("compute.a = \"x +\"", 1),
    ] {
        assert_eq!(problems::<Lag>(wrong, &input).len(), count, "{wrong}");
        assert_eq!(problems::<Delta>(wrong, &input).len(), count, "{wrong}");
        assert_eq!(problems::<Rate>(wrong, &input).len(), count, "{wrong}");
    }
    for rows in [0, 2_000_000] {
        let config = format!("rows = {rows}\ncolumns = [\"x\"]");
        assert_eq!(problems::<Lag>(&config, &input).len(), 1);
    }
    assert_eq!(
        problems::<Delta>("columns = [\"name\", \"x\"]", &input),
        ["`delta` needs numbers or times, and `name` is text"]
    );
    assert_eq!(
        problems::<Rate>("columns = [\"t\"]", &input),
        ["`rate` needs numbers, and `t` is timestamp"]
    );
    assert_eq!(
        problems::<Rate>("columns = [\"x\"]\nper = \"0s\"", &input),
        ["there is no rate per `0s`"]
    );
    assert_eq!(
        untimed_problems::<Lag>("columns = [\"x\"]", &input),
        [
            "`lag` needs event time, and the rows of `before` have none (say in the source which column has it: time = { column = \"timestamp\" })"
        ]
    );
}
