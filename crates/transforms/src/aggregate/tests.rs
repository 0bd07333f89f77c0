//! Aggregations over simulated workers: the same rows for any number of them, any cut and any memory.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, RecordBatch};
use dataflow_core::transform::Columns;
use dataflow_testkit::Drive;

use super::Aggregate;
use crate::fixtures::{build, build_real, digest, drives, plain, problems, rows};

fn names(rows: &RecordBatch) -> Vec<String> {
    rows.schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect()
}

#[test]
fn groups_come_in_the_order_of_their_keys() {
    let input = rows(
        "k:dict d:f64 x:f64 n:i64\nb 1 2 1\na -0 3 2\n- nan 1 3\nb 1 - 4\na 0 nan 5\nb -nan 5 6\na - 1 7",
    );
    for (config, expected) in [
        (
            "by = [\"k\"]\ncompute.s = \"sum(n)\"\ncompute.c = \"count(x)\"\ncompute.m = \"s / c\"",
            "k s:i64 c:i64 m:f64\na 14 3 4.666666666666667\nb 11 2 5.5\n- 3 1 3",
        ),
        (
            "by = { d = \"d\", k = \"k\" }\ncompute.s = \"sum(n)\"",
            "d:f64 k s:i64\n0 a 7\n1 b 5\nnan b 6\nnan - 3\n- a 7",
        ),
        ("by = \"d\"", "d:f64\n0\n1\nnan\n-"),
        (
            "by = { odd = \"n % 2 = 1\" }\ncompute.s = \"sum(n) filter (where x > 1)\"\ncompute.f = \"first(n)\"",
            "odd:bool s:i64 f:i64\nfalse 8 2\ntrue 6 1",
        ),
    ] {
        let aggregate = build::<Aggregate>(config, &input);
        let expected = rows(expected);
        for drive in drives() {
            let outcome = drive.run(aggregate.as_ref(), &input).expect("runs");
            assert_eq!(
                plain(&outcome.rows()),
                plain(&expected),
                "{config} {drive:?}"
            );
            assert_eq!(names(&outcome.rows()), names(&expected));
            assert_eq!(outcome.spilled_runs > 0, drive.memory == 1);
        }
    }
}

#[test]
fn without_keys_there_is_one_row_also_of_nothing() {
    let input = rows("x:i64\n1\n-\n5");
    let config = "compute.n = \"count(*)\"\ncompute.s = \"sum(x)\"\ncompute.b = \"count(*) filter (where x > 3)\"";
    let aggregate = build::<Aggregate>(config, &input);
    for drive in drives() {
        let outcome = drive.run(aggregate.as_ref(), &input).expect("runs");
        assert_eq!(
            plain(&outcome.rows()),
            plain(&rows("n:i64 s:i64 b:i64\n3 6 1"))
        );
        let outcome = drive
            .run(aggregate.as_ref(), &input.slice(0, 0))
            .expect("runs");
        assert_eq!(
            plain(&outcome.rows()),
            plain(&rows("n:i64 s:i64 b:i64\n0 - 0"))
        );
    }
}

#[test]
fn many_groups_are_the_same_with_and_without_spilling() {
    let lines: Vec<String> = (0..30_000_u64)
        .map(|i| {
            format!(
                "{} k{} {}",
                i.wrapping_mul(7919) % 9_001,
                i % 7,
                i as f64 / 8.0
            )
        })
        .collect();
    let input = rows(&format!("a:i64 b:dict x:f64\n{}", lines.join("\n")));
    for config in [
        "by = [\"a\"]\ncompute.s = \"sum(x)\"\ncompute.q = \"quantile(x, 0.5)\"",
        "by = [\"b\", \"a\"]\ncompute.s = \"sum(x)\"\ncompute.n = \"count(*)\"\ncompute.f = \"first(a)\"",
        "by = [\"b\"]\ncompute.s = \"sum(x)\"\ncompute.m = \"max(x)\"",
    ] {
        let aggregate = build::<Aggregate>(config, &input);
        let expected = Drive::default()
            .run(aggregate.as_ref(), &input)
            .expect("runs");
        assert_eq!(expected.spilled_runs, 0);
        for (workers, batch_rows, memory, (cut_every, via)) in [
            (1, 1000, 100_000, (0, 1)),
            (2, 7, 50_000, (0, 1)),
            (3, 8192, 1 << 30, (0, 1)),
            (8, 300, 15_000, (0, 1)),
            (1, 100, 100_000, (5, 2)),
            (2, 30, 50_000, (30, 5)),
            (3, 100, 1 << 30, (11, 2)),
            (4, 100, 15_000, (7, 3)),
            (4, 100, 15_000, (7, 0)),
        ] {
            let drive = Drive {
                workers,
                batch_rows,
                piece_rows: batch_rows * 3,
                memory,
                pausing: true,
                mark_every: 1,
                cut_every,
                via,
            };
            let outcome = drive.run(aggregate.as_ref(), &input).expect("runs");
            assert_eq!(outcome.rows(), expected.rows(), "{config} {drive:?}");
            assert_eq!(outcome.notes, expected.notes, "{config} {drive:?}");
            assert_eq!(
                outcome.spilled_runs > 0,
                memory < 1 << 20,
                "{config} {drive:?}"
            );
        }
    }
}

#[test]
fn rows_that_fail_count_nowhere() {
    let input = rows("k x\na 1\nb no\na 3\nc no\nb 4");
    let config = "by = [\"k\"]\ncompute.s = \"sum(cast(x as bigint))\"\ncompute.n = \"count(*)\"";
    let aggregate = build::<Aggregate>(config, &input);
    let filtered = "by = [\"k\"]\ncompute.n = \"count(*)\"\n\
        compute.s = \"sum(cast(x as bigint)) filter (where x <> 'no')\"";
    let filtered = build::<Aggregate>(filtered, &input);
    for drive in drives() {
        let outcome = drive.run(aggregate.as_ref(), &input).expect("runs");
        assert_eq!(
            plain(&outcome.rows()),
            plain(&rows("k s:i64 n:i64\na 4 2\nb 4 1"))
        );
        assert_eq!(outcome.bad.len(), 2);
        let outcome = drive.run(filtered.as_ref(), &input).expect("runs");
        assert_eq!(
            plain(&outcome.rows()),
            plain(&rows("k n:i64 s:i64\na 2 4\nb 2 4\nc 1 -"))
        );
        assert!(outcome.bad.is_empty());
    }
}

#[test]
fn a_result_that_fails_is_a_bad_row() {
    let input = rows("k x:i64\na 1\nb 0\nc 2");
    let aggregate = build::<Aggregate>("by = [\"k\"]\ncompute.r = \"div(6, sum(x))\"", &input);
    for drive in drives() {
        let outcome = drive.run(aggregate.as_ref(), &input).expect("runs");
        assert_eq!(plain(&outcome.rows()), plain(&rows("k r:i64\na 6\nc 3")));
        assert_eq!(outcome.bad.len(), 1);
    }
}

#[test]
fn an_overflow_names_its_call() {
    let input = rows("x:i64\n9223372036854775807\n1");
    for config in [
        "compute.s = \"sum(x)\"",
        "by = { k = \"1\" }\ncompute.s = \"sum(x)\"",
    ] {
        let aggregate = build::<Aggregate>(config, &input);
        let error = Drive::default()
            .run(aggregate.as_ref(), &input)
            .expect_err("overflows");
        assert!(error.to_string().contains("sum(x)"), "{error}");
    }
}

#[test]
fn one_group_far_over_the_budget_stops_the_run() {
    let numbers: ArrayRef = Arc::new(Float64Array::from_iter_values(
        (0..2_500_000).map(f64::from),
    ));
    let key: ArrayRef = Arc::new(BooleanArray::from(vec![true; 2_500_000]));
    let input = RecordBatch::try_from_iter([("k", key), ("x", numbers)]).expect("two columns");
    for config in [
        "by = [\"k\"]\ncompute.m = \"quantile(x, 0.5)\"",
        "compute.m = \"quantile(x, 0.5)\"",
    ] {
        let aggregate = build::<Aggregate>(config, &input);
        let drive = Drive {
            memory: 1 << 20,
            batch_rows: 65_536,
            piece_rows: 65_536,
            ..Drive::default()
        };
        let error = drive
            .run(aggregate.as_ref(), &input)
            .expect_err("too large");
        assert_eq!(
            error.fault(),
            dataflow_core::error::Fault::Resource,
            "{error}"
        );
        assert!(error.to_string().contains("memory"), "{error}");
    }
}

#[test]
fn only_what_is_read_is_asked_for() {
    let input = rows("a:i64 b:i64 c:i64 d:i64\n1 1 1 1");
    let config = "by = { k = \"a + 1\" }\ncompute.s = \"sum(b) filter (where c > 0)\"";
    let aggregate = build::<Aggregate>(config, &input);
    assert_eq!(
        aggregate.needs(0, &[Columns::All]),
        Columns::named(["a", "b", "c"])
    );
    let shared =
        "compute.a = \"sum(a)\"\ncompute.b = \"sum(a) / count(*)\"\ncompute.c = \"sum(a + b)\"";
    let lines = build::<Aggregate>(shared, &input).explain();
    assert!(
        lines.contains(&"3 calls of accumulators, 3 states".to_string()),
        "{lines:?}"
    );
}

#[test]
fn wrong_aggregations_are_said() {
    let input = rows("alpha:i64 t:time\n1 1");
    for (wrong, expected) in [
        (
            "by = [\"alhpa\"]\ncompute.n = \"count(*)\"",
            "there is no column `alhpa`",
        ),
        ("compute.n = \"summ(alpha)\"", "summ"),
        ("by = [\"alpha\", \"alpha\"]", "named twice"),
        ("by = [\"alpha\"]\ncompute.alpha = \"count(*)\"", "taken"),
        (
            "by = [\"alpha\"]\nwindow = { type = \"tumbling\" }",
            "`size` is missing",
        ),
        ("", "nothing to compute"),
        ("compute = [\"count(*)\"]", "a table"),
    ] {
        let found = problems::<Aggregate>(wrong, &input);
        assert_eq!(found.len(), 1, "{wrong}: {found:?}");
        assert!(found[0].contains(expected), "{wrong}: {found:?}");
    }
    assert_eq!(input.column(0).len(), 1);
}

#[test]
fn the_real_accumulators_give_the_same_bits_everywhere() {
    let lines: Vec<String> = (0..4_000_u64)
        .map(|i| {
            let x = match i % 11 {
                0 => "1e16".to_string(),
                1 => "-1e16".into(),
                2 => "nan".into(),
                3 => "-".into(),
                4 => "1e-300".into(),
                n => (i as f64 / n as f64).to_string(),
            };
            format!("k{} {x} {} t{}", i.wrapping_mul(7919) % 37, i % 5, i % 13)
        })
        .collect();
    let input = rows(&format!("k:dict x:f64 n:i64 t\n{}", lines.join("\n")));
    let compute = [
        "count(*)",
        "sum(x) filter (where n > 1)",
        "mean(x)",
        "std(x)",
        "max(x) - min(n)",
        "quantile(x, 0.9)",
        "count_distinct(t)",
        "first(t)",
        "last(x)",
        "arg_max(t, n)",
        "any(n > 3)",
        "slope(n, n)",
        "mode(t)",
        "histogram(n, edges => [0, 2, 4])",
        "top_values(t, 2)",
    ];
    let compute: Vec<String> = compute
        .iter()
        .enumerate()
        .map(|(i, call)| format!("compute.c{i} = \"{call}\""))
        .collect();
    for by in ["", "by = [\"k\"]\n"] {
        let config = format!("{by}{}", compute.join("\n"));
        let aggregate = build_real::<Aggregate>(&config, &input);
        let expected = Drive::default()
            .run(aggregate.as_ref(), &input)
            .expect("runs");
        for (workers, batch_rows) in [(1, 7), (2, 8192), (3, 100), (8, 33)] {
            for memory in [1, 64 << 20] {
                let drive = Drive {
                    workers,
                    batch_rows,
                    piece_rows: batch_rows,
                    memory,
                    pausing: true,
                    mark_every: 1,
                    cut_every: workers - 1,
                    via: 2,
                };
                let outcome = drive.run(aggregate.as_ref(), &input).expect("runs");
                assert_eq!(outcome.rows(), expected.rows(), "{by} {drive:?}");
                assert_eq!(outcome.spilled_runs > 0, memory == 1 && !by.is_empty());
            }
        }
    }
}

#[test]
fn rows_of_a_group_are_taken_in_order() {
    let lines: Vec<String> = (0..600_u64)
        .map(|i| format!("k{} {}", i.wrapping_mul(7919) % 5, i.wrapping_mul(31) % 101))
        .collect();
    let input = rows(&format!("k:dict n:i64\n{}", lines.join("\n")));
    let of = |key: Option<u64>| {
        let numbers =
            (0..600_u64).filter(|i| key.is_none_or(|key| i.wrapping_mul(7919) % 5 == key));
        numbers.fold(0, |before, i| {
            digest(before, (i.wrapping_mul(31) % 101) as i64)
        })
    };
    let groups: Vec<String> = (0..5).map(|k| format!("k{k} {}", of(Some(k)))).collect();
    for (by, expected) in [
        ("", format!("p:i64\n{}", of(None))),
        ("by = [\"k\"]\n", format!("k p:i64\n{}", groups.join("\n"))),
    ] {
        let config = format!("{by}compute.p = \"previous(n)\"");
        let aggregate = build::<Aggregate>(&config, &input);
        for drive in drives().into_iter().filter(|drive| drive.memory > 1) {
            let outcome = drive.run(aggregate.as_ref(), &input).expect("runs");
            assert_eq!(plain(&outcome.rows()), plain(&rows(&expected)), "{drive:?}");
        }
    }
    let aggregate = build::<Aggregate>("by = [\"k\"]\ncompute.p = \"previous(n)\"", &input);
    let drive = Drive {
        memory: 1,
        ..Drive::default()
    };
    let error = drive.run(aggregate.as_ref(), &input).expect_err("no room");
    assert!(error.to_string().contains("previous(n)"), "{error}");
}

#[test]
fn neighbours_are_the_same_with_and_without_spilling() {
    let value = |i: u64| (i % 17) as f64 / 3.0 - 2.0;
    let lines: Vec<String> = (0..400_u64)
        .map(|i| {
            format!(
                "k{} {} {}",
                i.wrapping_mul(7919) % 37,
                value(i),
                i * i % 1009
            )
        })
        .collect();
    let input = rows(&format!("k:dict y:f64 x:i64\n{}", lines.join("\n")));
    let config = "compute.area = \"integral(y, x)\"\ncompute.some = \"integral(y, x) filter (where y > 0)\"\n\
        compute.first = \"first(x)\"\ncompute.last = \"last(y)\"\ncompute.rows = \"count(*)\"";
    for by in ["", "by = [\"k\"]\n"] {
        let aggregate = build_real::<Aggregate>(&format!("{by}{config}"), &input);
        let expected = Drive::default()
            .run(aggregate.as_ref(), &input)
            .expect("runs");
        let area = expected.rows().column(usize::from(!by.is_empty())).clone();
        let first = |key: u64| {
            let mine = |i: &u64| by.is_empty() || i.wrapping_mul(7919) % 37 == key;
            let rows: Vec<u64> = (0..400).filter(mine).collect();
            let pairs = rows.windows(2).map(|pair| {
                let width = (pair[1] * pair[1] % 1009) as f64 - (pair[0] * pair[0] % 1009) as f64;
                (value(pair[0]) + value(pair[1])) / 2.0 * width
            });
            pairs.sum::<f64>()
        };
        let found = area.as_primitive::<Float64Type>().value(0);
        assert!((found - first(0)).abs() < 1e-6, "{found} {}", first(0));
        for mut drive in drives() {
            drive.piece_rows = drive.piece_rows.max(3);
            let outcome = drive.run(aggregate.as_ref(), &input).expect("runs");
            assert_eq!(outcome.rows(), expected.rows(), "{by} {drive:?}");
            assert_eq!(
                outcome.spilled_runs > 0,
                drive.memory == 1 && !by.is_empty()
            );
        }
        let empty = Drive::default()
            .run(aggregate.as_ref(), &input.slice(0, 0))
            .expect("runs");
        assert_eq!(empty.rows().num_rows(), usize::from(by.is_empty()));
    }
    let lines = build_real::<Aggregate>(config, &input).explain();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("in order, for the neighbours in integral(y, x)")),
        "{lines:?}"
    );
}
