//! What joins give, against examples and against a model that looks at every pair of rows.

use std::fmt::Write as _;

use arrow_array::RecordBatch;
use dataflow_testkit::{Drive, Side as Rows};

use super::*;
use crate::fixtures::{build_of, drives, lines, problems_of, rows};

/// Runs a join in every way that must not matter.
fn check(config: &str, main: &RecordBatch, table: &RecordBatch, expected: &[String]) {
    let join = build_of::<Join>(config, &[main, table]);
    let sides = [Rows::plain(main), Rows::plain(table)];
    for drive in drives() {
        let outcome = drive.run_sides(join.as_ref(), &sides).expect("runs");
        assert_eq!(outcome.rows().schema(), join.ports()[0].schema, "{config}");
        assert_eq!(lines(&outcome.rows()), expected, "{config} {drive:?}");
        assert!(outcome.ports[0].iter().all(|b| b.len() <= drive.batch_rows));
    }
}

fn text(lines: &str) -> Vec<String> {
    lines.lines().map(str::to_string).collect()
}

#[test]
fn rows_that_are_equal_leave_side_by_side() {
    let main = rows("day:date node:dict x:i64\n2 b 1\n1 a 2\n2 b 3\n- a 4\n1 c 5");
    let table = rows("node date:date price:f64\nb 2 0.5\na 1 0.1\nb 2 0.7\na - 9\nz 1 8\nc 2 7");
    let on = "table = \"t\"\non = { day = \"date\", node = \"node\" }\n";
    for (more, expected) in [
        (
            "",
            "1970-01-02 a 2 0.1\n1970-01-03 b 1 0.5\n1970-01-03 b 1 0.7\n1970-01-03 b 3 0.5\n1970-01-03 b 3 0.7",
        ),
        (
            "keep = \"first\"",
            "1970-01-02 a 2 0.1\n1970-01-03 b 1 0.5\n1970-01-03 b 3 0.5",
        ),
        (
            "keep = \"last\"\nkind = \"left\"",
            "1970-01-02 a 2 0.1\n1970-01-02 c 5 -\n1970-01-03 b 1 0.7\n1970-01-03 b 3 0.7\n- a 4 -",
        ),
        (
            "kind = \"full\"\nkeep = \"first\"",
            "1970-01-02 a 2 0.1\n1970-01-02 c 5 -\n1970-01-02 z - 8.0\n1970-01-03 b 1 0.5\n1970-01-03 b 3 0.5\n1970-01-03 c - 7.0\n- a 4 -\n- a - 9.0",
        ),
    ] {
        check(&format!("{on}{more}"), &main, &table, &text(expected));
    }
}

#[test]
fn keys_of_different_types_are_compared_exactly() {
    let main = rows("k:i32 x\n1 a\n3 b\n-2 c");
    let table = rows("k:i64 y\n3 p\n5000000000 q\n-2 r");
    let on = "table = \"t\"\non = \"k\"\n";
    check(on, &main, &table, &text("-2 c r\n3 b p"));
    let full = format!("{on}kind = \"full\"");
    let expected = text("-2 c r\n1 a -\n3 b p\n5000000000 - q");
    check(&full, &main, &table, &expected);
    let floats = rows("k:f64 y\n3 p\n3.5 q\n-0 r");
    check(
        on,
        &rows("k:i32 x\n0 a\n3 b"),
        &floats,
        &text("0 a r\n3 b p"),
    );
    let wide = rows("k:f64 y\n3 p");
    let problems = problems_of::<Join>(on, &[&rows("k:i64\n3"), &wide]);
    assert_eq!(
        problems,
        [
            "`k` is of type int64 and `k` of the table of type float64, which cannot be compared exactly"
        ]
    );
}

#[test]
fn columns_that_there_would_be_twice_need_a_prefix() {
    let main = rows("k x\na 1\nb 2");
    let table = rows("k x\nb 7");
    let on = "table = \"t\"\non = [\"k\"]\n";
    let twice = ["there would be two columns `x`"];
    assert_eq!(problems_of::<Join>(on, &[&main, &table]), twice);
    check(
        &format!("{on}prefix = \"t_\""),
        &main,
        &table,
        &text("b 2 7"),
    );
    let join = build_of::<Join>(&format!("{on}prefix = \"t_\""), &[&main, &table]);
    assert_eq!(
        join.needs(0, &[Columns::named(["t_x"])]),
        Columns::named(["k"])
    );
    assert_eq!(
        join.needs(1, &[Columns::named(["t_x"])]),
        Columns::named(["k", "x"])
    );
    assert_eq!(
        join.needs(1, &[Columns::named(["x"])]),
        Columns::named(["k"])
    );
    assert_eq!(join.needs(1, &[Columns::All]), Columns::All);
}

#[test]
fn wrong_joins_are_said() {
    let (main, table) = (rows("k x:f64"), rows("k y:list"));
    for wrong in [
        "on = \"k\"",
        "table = \"t\"",
        "table = \"t\"\non = []",
        "table = \"t\"\non = \"x\"",
        "table = \"t\"\non = { x = \"k\" }",
        "table = \"t\"\non = { z = \"k\" }",
        "table = \"t\"\non = \"k\"\nkind = \"outer\"",
        "table = \"t\"\non = \"k\"\nkeep = \"any\"",
    ] {
        let problems = problems_of::<Join>(wrong, &[&main, &table]);
        assert_eq!(problems.len(), 1, "{wrong}: {problems:?}");
    }
}

/// Numbers that look random.
fn mixed(i: usize, salt: usize) -> usize {
    let x = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 17
}

const KEYS: [&str; 8] = ["-", "nan", "0", "-0", "1.5", "inf", "-inf", "7"];

/// Rows with few keys, with nulls and NaN, some of which one side alone has.
fn random(count: usize, salt: usize, name: &str) -> (RecordBatch, Vec<(String, String)>) {
    let keys: Vec<(String, String)> = (0..count)
        .map(|i| {
            let few = mixed(i, salt) % (KEYS.len() + 6);
            let key = match KEYS.get(few) {
                Some(key) => (*key).to_string(),
                None => format!("{}", 100 * (salt % 2) + mixed(i, salt + 1) % 130),
            };
            let word = ["u", "v", "-"][mixed(i, salt + 2) % 3];
            (key, word.to_string())
        })
        .collect();
    let mut text = format!("k:f64 w {name}:i64");
    for (i, (key, word)) in keys.iter().enumerate() {
        let _ = write!(text, "\n{key} {word} {i}");
    }
    (rows(&text), keys)
}

type ModelRow = (String, String);
type ModelKey = (bool, bool, u64, String);

/// A key that sorts as keys do, and whether it has a null.
fn model_key((key, word): &(String, String)) -> (ModelKey, bool) {
    let number = key.parse::<f64>().unwrap_or(0.0) + 0.0;
    let bits = number.to_bits();
    let ordered = if number.is_sign_negative() && !number.is_nan() {
        !bits
    } else {
        bits | 1 << 63
    };
    let of_number = match key.as_str() {
        "-" => (true, false, 0),
        "nan" => (false, true, 0),
        _ => (false, false, ordered),
    };
    let word = if word == "-" {
        "~".to_string()
    } else {
        word.clone()
    };
    let null = key == "-" || word == "~";
    ((of_number.0, of_number.1, of_number.2, word), null)
}

/// What a join gives, found by looking at every pair of rows.
fn model((main, table): (&[ModelRow], &[ModelRow]), kind: Kind, keep: Keep) -> Vec<String> {
    let main_keys: Vec<_> = main.iter().map(model_key).collect();
    let table_keys: Vec<_> = table.iter().map(model_key).collect();
    let counts = |at: usize| {
        let same = |other: &usize| !table_keys[at].1 && table_keys[*other] == table_keys[at];
        let first = (0..at).find(same).is_none();
        let last = (at + 1..table.len()).find(same).is_none();
        keep == Keep::All || (keep == Keep::First && first) || (keep == Keep::Last && last)
    };
    let mut all = Vec::new();
    let mut matched = vec![false; table.len()];
    for (i, key) in main_keys.iter().enumerate() {
        let equal = |j: &usize| !key.1 && table_keys[*j] == *key && counts(*j);
        let found: Vec<usize> = (0..table.len()).filter(equal).collect();
        for j in &found {
            matched[*j] = true;
            all.push((key.0.clone(), i, Some(*j), &main[i]));
        }
        if found.is_empty() && kind.keeps(0) {
            all.push((key.0.clone(), i, None, &main[i]));
        }
    }
    for (j, key) in table_keys.iter().enumerate() {
        if !matched[j] && counts(j) && kind.keeps(1) {
            all.push((key.0.clone(), usize::MAX, Some(j), &table[j]));
        }
    }
    all.sort_by(|a, b| (&a.0, a.1, a.2).cmp(&(&b.0, b.1, b.2)));
    let shown = |(_, i, j, (key, word)): &(ModelKey, usize, Option<usize>, &(String, String))| {
        let number = match key.as_str() {
            "-" => "-".to_string(),
            "nan" => "NaN".to_string(),
            // Which zero is shown is that of the row.
            _ => format!("{:?}", key.parse::<f64>().expect("a number")),
        };
        let i = if *i == usize::MAX {
            "-".into()
        } else {
            i.to_string()
        };
        let j = j.map_or("-".to_string(), |j| j.to_string());
        format!("{number} {word} {i} {j}")
    };
    all.iter().map(shown).collect()
}

#[test]
fn every_join_is_what_looking_at_every_pair_gives() {
    let ((main, main_keys), (table, table_keys)) = (random(150, 3, "i"), random(110, 8, "j"));
    for kind in [Kind::Inner, Kind::Left, Kind::Full] {
        for keep in [Keep::All, Keep::First, Keep::Last] {
            let expected = model((&main_keys, &table_keys), kind, keep);
            let config = format!(
                "table = \"t\"\non = [\"k\", \"w\"]\nkind = \"{}\"\nkeep = \"{}\"",
                kind.word(),
                format!("{keep:?}").to_lowercase()
            );
            check(&config, &main, &table, &expected);
        }
    }
    let (none, _) = random(0, 1, "j");
    let config = "table = \"t\"\non = [\"k\", \"w\"]\nkind = \"full\"";
    check(
        config,
        &main,
        &none,
        &model((&main_keys, &[]), Kind::Full, Keep::All),
    );
    let (none, _) = random(0, 1, "i");
    check(
        config,
        &none,
        &table,
        &model((&[], &table_keys), Kind::Full, Keep::All),
    );
}

#[test]
fn many_rows_of_one_key_meet_many_others_in_bounded_memory() {
    let many = |name: &str, count: usize| {
        let lines: Vec<String> = (0..count).map(|i| format!("1 {i}")).collect();
        rows(&format!("k:i64 {name}:i64\n{}", lines.join("\n")))
    };
    let (main, table) = (many("i", 300), many("j", 2000));
    let join = build_of::<Join>("table = \"t\"\non = \"k\"", &[&main, &table]);
    for (workers, memory) in [(1, 20_000), (3, 20_000), (2, 1 << 30)] {
        let drive = Drive {
            workers,
            memory,
            piece_rows: 100,
            batch_rows: 70,
            pausing: true,
            mark_every: 1,
            ..Drive::default()
        };
        let sides = [Rows::plain(&main), Rows::plain(&table)];
        let outcome = drive.run_sides(join.as_ref(), &sides).expect("runs");
        assert_eq!(outcome.spilled_runs > 0, memory < 1 << 30, "{drive:?}");
        let mut at = 0;
        for batch in &outcome.ports[0] {
            let column = |name: &str| {
                let column = batch.rows().column_by_name(name).expect("there");
                arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int64Type>(
                    column.as_ref(),
                )
                .values()
                .to_vec()
            };
            for (i, j) in column("i").into_iter().zip(column("j")) {
                assert_eq!((i, j), (at / 2000, at % 2000), "{drive:?}");
                at += 1;
            }
        }
        assert_eq!(at, 600_000);
    }
}
