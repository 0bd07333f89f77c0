//! What lookups give, against examples and against a model that looks at every row of the table.

use arrow_array::RecordBatch;
use dataflow_core::TimeRule;
use dataflow_testkit::{Drive, Side, Timing};

use super::*;
use crate::fixtures::{build_of, drives, lines, problems_of, rows};

const RULE: TimeRule = TimeRule {
    lateness: 0,
    max_future_skew: None,
    idle: None,
};

/// Runs a lookup in every way that must not matter, with times for the rows if there are some.
fn check(config: &str, sides: (&RecordBatch, &RecordBatch), times: &[i64], expected: &[String]) {
    let (main, table) = sides;
    let lookup = build_of::<Lookup>(config, &[main, table]);
    let timing = (!times.is_empty()).then_some(Timing { times, rule: RULE });
    let sides = [Side { rows: main, timing }, Side::plain(table)];
    for drive in drives() {
        let drive = Drive {
            memory: 1 << 20,
            ..drive
        };
        let outcome = drive.run_sides(lookup.as_ref(), &sides).expect("runs");
        assert_eq!(outcome.rows().schema(), lookup.ports()[0].schema);
        assert_eq!(lines(&outcome.rows()), expected, "{config} {drive:?}");
        for batch in &outcome.ports[0] {
            assert!(batch.len() <= drive.batch_rows);
            for row in 0..batch.len() {
                let place = batch.places().get(row).expect("rows keep their places");
                let time = batch.times().map(|times| times.at()[row]);
                assert_eq!(time, times.get(place.0 as usize).copied());
            }
        }
    }
}

fn text(lines: &str) -> Vec<String> {
    lines.lines().map(str::to_string).collect()
}

#[test]
fn rows_get_what_the_table_says_of_their_keys() {
    let main = rows("x:i64 day:date node:dict\n1 2 b\n2 1 a\n3 2 b\n4 - a\n5 1 c\n6 1 a");
    let table = rows("node date:date price:f64\nb 2 0.5\na 1 0.1\nb 2 0.7\na - 9\nz 1 8\na 1 0.2");
    let on = "table = \"t\"\non = { day = \"date\", node = \"node\" }\n";
    for (more, expected) in [
        (
            "",
            "1 1970-01-03 b 0.5\n2 1970-01-02 a 0.1\n3 1970-01-03 b 0.5\n4 - a -\n5 1970-01-02 c -\n6 1970-01-02 a 0.1",
        ),
        (
            "keep = \"last\"\nkind = \"inner\"\nprefix = \"x\"",
            "1 1970-01-03 b 0.7\n2 1970-01-02 a 0.2\n3 1970-01-03 b 0.7\n6 1970-01-02 a 0.2",
        ),
        (
            "keep = \"all\"",
            "1 1970-01-03 b 0.5\n1 1970-01-03 b 0.7\n2 1970-01-02 a 0.1\n2 1970-01-02 a 0.2\n3 1970-01-03 b 0.5\n3 1970-01-03 b 0.7\n4 - a -\n5 1970-01-02 c -\n6 1970-01-02 a 0.1\n6 1970-01-02 a 0.2",
        ),
    ] {
        check(
            &format!("{on}{more}"),
            (&main, &table),
            &[],
            &text(expected),
        );
    }
    let none = rows("node date:date price:f64");
    let inner = format!("{on}kind = \"inner\"");
    check(&inner, (&main, &none), &[], &[]);
}

#[test]
fn zeros_and_nan_are_one_and_null_is_nothing() {
    let main = rows("k:f64 x:i64\n0 1\n-0 2\nnan 3\n- 4\n7 5");
    let table = rows("k:i32 y\n0 zero\n- null\n7 seven");
    let on = "table = \"t\"\non = \"k\"\n";
    let expected = text("0.0 1 zero\n-0.0 2 zero\nNaN 3 -\n- 4 -\n7.0 5 seven");
    check(on, (&main, &table), &[], &expected);
    let table = rows("k:f64 y\n-0 zero\nnan none\n- null");
    let expected = text("0.0 1 zero\n-0.0 2 zero\nNaN 3 none");
    check(
        &format!("{on}kind = \"inner\""),
        (&main, &table),
        &[],
        &expected,
    );
}

#[test]
fn a_row_of_the_table_holds_for_a_time() {
    let main = rows("k x:i64\na 0\na 10\na 20\nb 20\na 30\nc 20\na 99");
    let times = [0, 10, 20, 20, 30, 20, 99];
    let table = rows(
        "k start:time end:time y\na 10 20 p\na - 10 q\na 20 30 r\nb 21 - s\na 15 25 t\nc - - u\na 30 - v",
    );
    let on = "table = \"t\"\non = \"k\"\nvalid = { from = \"start\", to = \"end\" }\n";
    let picked = |keep: &str| {
        let config = format!("{on}keep = \"{keep}\"");
        let lookup = build_of::<Lookup>(&config, &[&main, &table]);
        assert_eq!(
            lookup.needs(1, &[Columns::named(["y"])]),
            Columns::named(["k", "start", "end", "y"])
        );
        config
    };
    let line = |x: i64, k: &str, row: Option<usize>| {
        let rest = row.map_or("- - -".to_string(), |row| {
            lines(&table)[row]
                .split_once(' ')
                .expect("columns")
                .1
                .to_string()
        });
        format!("{k} {x} {rest}")
    };
    let expect = |picked: &[(i64, &str, Option<usize>)]| -> Vec<String> {
        picked.iter().map(|(x, k, row)| line(*x, k, *row)).collect()
    };
    let first = [
        (0, "a", Some(1)),
        (10, "a", Some(0)),
        (20, "a", Some(2)),
        (20, "b", None),
        (30, "a", Some(6)),
        (20, "c", Some(5)),
        (99, "a", Some(6)),
    ];
    check(&picked("first"), (&main, &table), &times, &expect(&first));
    let mut last = first;
    last[2].2 = Some(4);
    check(&picked("last"), (&main, &table), &times, &expect(&last));
    let mut all = first.to_vec();
    all.insert(3, (20, "a", Some(4)));
    check(&picked("all"), (&main, &table), &times, &expect(&all));
}

#[test]
fn times_are_what_looking_at_every_row_gives() {
    let mixed = |i: i64| (i * 7919 + 13).rem_euclid(1009);
    let spans: Vec<(i64, i64, i64)> = (0..300)
        .map(|i| {
            (
                mixed(i) % 5,
                mixed(i + 7),
                mixed(i + 7) + mixed(i + 31) % 60 - 5,
            )
        })
        .collect();
    let drawn: Vec<String> = spans
        .iter()
        .enumerate()
        .map(|(i, (k, from, to))| format!("{k} {from} {to} {i}"))
        .collect();
    let table = rows(&format!("k:i64 s:time e:time y:i64\n{}", drawn.join("\n")));
    let asked: Vec<(i64, i64)> = (0..200).map(|i| (mixed(i + 3) % 6, mixed(5 * i))).collect();
    let drawn: Vec<String> = asked.iter().map(|(k, _)| k.to_string()).collect();
    let main = rows(&format!("k:i64\n{}", drawn.join("\n")));
    let times: Vec<i64> = asked.iter().map(|(_, time)| *time).collect();
    let on = "table = \"t\"\non = \"k\"\nkind = \"inner\"\nvalid = { from = \"s\", to = \"e\" }\n";
    for keep in ["first", "last", "all"] {
        let mut expected = Vec::new();
        for (k, time) in &asked {
            let holds = |i: &usize| {
                let (key, from, to) = spans[*i];
                key == *k && from <= *time && *time < to
            };
            let found: Vec<usize> = (0..spans.len()).filter(holds).collect();
            expected.extend(match keep {
                "first" => found.into_iter().take(1).collect::<Vec<_>>(),
                "last" => found.into_iter().rev().take(1).collect(),
                _ => found,
            });
        }
        let lookup = build_of::<Lookup>(&format!("{on}keep = \"{keep}\""), &[&main, &table]);
        let timing = Some(Timing {
            times: &times,
            rule: RULE,
        });
        let sides = [
            Side {
                rows: &main,
                timing,
            },
            Side::plain(&table),
        ];
        for drive in drives().into_iter().filter(|drive| drive.memory > 1) {
            let outcome = drive.run_sides(lookup.as_ref(), &sides).expect("runs");
            let found = outcome.rows();
            let found = found.column_by_name("y").expect("there");
            let found = arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int64Type>(
                found.as_ref(),
            );
            let found: Vec<usize> = found.values().iter().map(|y| *y as usize).collect();
            assert_eq!(found, expected, "{keep} {drive:?}");
        }
    }
}

#[test]
fn a_table_that_does_not_fit_stops_the_run() {
    let drawn: Vec<String> = (0..1000).map(|i| format!("{i} text")).collect();
    let table = rows(&format!("k:i64 y\n{}", drawn.join("\n")));
    let main = rows("k:i64\n1");
    let lookup = build_of::<Lookup>("table = \"t\"\non = \"k\"", &[&main, &table]);
    let sides = [Side::plain(&main), Side::plain(&table)];
    let drive = Drive {
        memory: 20_000,
        piece_rows: 100,
        ..Drive::default()
    };
    let error = drive
        .run_sides(lookup.as_ref(), &sides)
        .expect_err("too large");
    let shown = format!("{error}");
    assert!(
        shown.contains("more than 20 kB") || shown.contains("19.5 KiB"),
        "{shown}"
    );
    assert!(shown.contains("use `join`"), "{shown}");
}

#[test]
fn wrong_lookups_are_said() {
    let (main, table) = (rows("k x:f64"), rows("k y:f64 z:list at:time"));
    let on = "table = \"t\"\non = \"k\"\n";
    for wrong in [
        "on = \"k\"",
        "table = \"t\"",
        "table = \"t\"\non = \"x\"",
        "table = \"t\"\non = { x = \"k\" }",
        &format!("{on}kind = \"full\""),
        &format!("{on}valid = {{ from = \"at\" }}"),
        &format!("{on}valid = {{ from = \"at\", to = \"y\" }}"),
        &format!("{on}valid = {{ from = \"at\", to = \"until\" }}"),
    ] {
        let problems = problems_of::<Lookup>(wrong, &[&main, &table]);
        assert_eq!(problems.len(), 1, "{wrong}: {problems:?}");
    }
}
