//! Tests of the `generate` source: the same rows for any cut, sane presets, what is said when something is wrong.

use std::time::Instant;

use dataflow_core::Wanted;

use super::*;
use crate::testing::{build, lines, read, source};

const EVERYTHING: &str = r#"
    rows = 5000
    seed = 3
    columns.n = { kind = "sequence", start = -5, step = 2 }
    columns.t = { kind = "time", every = "1m", jitter = "2m" }
    columns.u = { kind = "uniform", low = -1, high = 1, nan_rate = 0.1, null_rate = 0.2 }
    columns.w = { kind = "uniform", low = 1, high = 6, whole = true }
    columns.x = { kind = "normal", mean = 10.0, decimals = 2 }
    columns.s = { kind = "sine", period = 360.5, noise = 0.1 }
    columns.c = { kind = "categories", values = ["a", "b", "c"], weights = [1, 0, 3] }
    columns.d = { kind = "categories", count = 7, in_turn = true, null_rate = 0.5 }
    columns.b = { kind = "boolean", share = 0.9 }
    columns.k = { kind = "constant", value = "same" }
    anomalies = { rate = 0.05, columns = ["x"], length = 3, size = 20 }
"#;

fn every_setting() -> Vec<String> {
    let mut all = vec![EVERYTHING.to_string(), EXAMPLE.replace("1_000_000", "4000")];
    all.extend(
        Preset::ALL
            .iter()
            .map(|p| format!("preset = \"{}\"\nrows = 5000\nseed = 9", p.name())),
    );
    all
}

#[test]
fn rows_are_the_same_for_any_batch_and_any_cut() {
    for settings in every_setting() {
        let source = source::<GenerateConfig>(&settings);
        let (whole, _) = read(&*source, 100_000).expect("readable");
        for batch in [1, 7, 4096] {
            assert_eq!(read(&*source, batch).expect("readable").0, whole);
        }
        let paced =
            crate::testing::source::<GenerateConfig>(&format!("rate = \"1M/s\"\n{settings}"));
        assert_eq!(read(&*paced, 999).expect("readable").0, whole);
    }
}

#[test]
fn a_narrow_read_gives_the_same_values() {
    for settings in every_setting() {
        let source = source::<GenerateConfig>(&settings);
        let (whole, _) = read(&*source, 1000).expect("readable");
        for (index, field) in whole.schema().fields().iter().enumerate() {
            let wanted = Wanted {
                columns: Some(vec![field.name().clone()]),
                rows: Some(777),
                ..Wanted::default()
            };
            let narrow = Arc::clone(&source).narrow(&wanted);
            let (rows, _) = read(&*narrow, 100).expect("readable");
            let expected = whole.project(&[index]).expect("in range").slice(0, 777);
            assert_eq!(lines(&rows), lines(&expected), "{}", field.name());
        }
        let none = Wanted {
            columns: Some(Vec::new()),
            ..Wanted::default()
        };
        let (rows, _) = read(&*source.narrow(&none), 100).expect("readable");
        assert_eq!(rows.num_rows(), whole.num_rows());
    }
}

#[test]
fn pieces_lie_on_a_grid_and_name_their_places() {
    let source = source::<GenerateConfig>("preset = \"trace\"\nrows = 150_000");
    let first = Place::new(3, 0).expect("in range");
    let mut cutter = source.cutter(3, first).expect("cuts");
    let mut pieces = Vec::new();
    while let Some(piece) = cutter.next().expect("cuts") {
        pieces.push((piece.first.row(), piece.rows, piece.start, piece.end));
    }
    let expected = [
        (0, Some(65_536), 0, 65_536),
        (65_536, Some(65_536), 65_536, 131_072),
        (131_072, Some(18_928), 131_072, 150_000),
    ];
    assert_eq!(pieces, expected);
}

#[test]
fn declared_columns_hold_what_they_say() {
    let source = source::<GenerateConfig>(EVERYTHING);
    let (rows, _) = read(&*source, 5000).expect("readable");
    let null_rate = |name: &str| {
        let column = rows.column_by_name(name).expect("there");
        column.null_count() as f64 / 5000.0
    };
    assert!((null_rate("u") - 0.2).abs() < 0.03 && (null_rate("d") - 0.5).abs() < 0.03);
    let texts = lines(&rows.project(&[6]).expect("in range"));
    let share = texts.iter().filter(|t| *t == "c").count() as f64 / 5000.0;
    assert!((share - 0.75).abs() < 0.03 && !texts.contains(&"b".to_string()));
    // The anomalies are the rows that are far away, and come in threes.
    let far = lines(&rows.project(&[4, 10]).expect("in range"));
    let mut strange = 0;
    for line in &far {
        let (x, label) = line.split_once(' ').expect("two columns");
        let x: f64 = x.parse().expect("a number");
        assert_eq!(((x - 10.0).abs() > 9.0).to_string(), label, "{line}");
        strange += usize::from(label == "true");
    }
    assert!((150..350).contains(&strange), "{strange}");
    let first = lines(&rows.project(&[0, 1, 9]).expect("in range"));
    assert!(first[1].starts_with("-3 2025-01-01T00:0") && first[1].ends_with("Z same"));
}

#[test]
fn presets_have_sane_columns() {
    let heads = [
        (
            Preset::Sensors,
            "timestamp device temperature vibration voltage current is_anomaly",
        ),
        (Preset::Trace, "time value is_anomaly"),
        (
            Preset::Cells,
            "cell cycle_number test_time state current voltage temperature",
        ),
    ];
    for (preset, head) in heads {
        let source = source::<GenerateConfig>(&format!("preset = \"{}\"", preset.name()));
        let schema = &source.ports()[0].schema;
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names.join(" "), head);
    }
    let source = source::<GenerateConfig>("preset = \"cells\"\nrows = 40_000");
    let (rows, _) = read(&*source, 40_000).expect("readable");
    let times = lines(&rows.project(&[0, 2]).expect("in range"));
    let time = |row: usize| -> f64 {
        let (_, time) = times[row].split_once(' ').expect("two columns");
        time.parse().expect("a number")
    };
    assert!((1..20_000).all(|row| time(row) > time(row - 1)));
    assert!(times[20_000].starts_with("cell-02 0.0"));
}

#[test]
fn a_rate_makes_small_pieces_and_is_told() {
    // Slices of a tenth of a second.
    let source = source::<GenerateConfig>("preset = \"trace\"\nrows = 21\nrate = \"200/s\"");
    let mut cutter = source.cutter(0, Place(0)).expect("a cutter");
    let mut rows = Vec::new();
    while let Some(piece) = cutter.next().expect("cut") {
        rows.extend(piece.rows);
    }
    assert_eq!(rows, [20, 1]);
    assert_eq!(source.rate().map(|rate| rate.per_second), Some(200.0));
    assert!(!source.live());
}

#[test]
fn wrong_settings_are_explained() {
    let cases = [
        (
            "rows = 5",
            "there is nothing to generate | write `preset = \"sensors\"`, or columns such as `columns.x = { kind = \"normal\" }`",
        ),
        (
            "preset = \"sensor\"",
            "`sensor` is not known here | did you mean `sensors`?",
        ),
        (
            "columns.x = { kind = \"norml\" }",
            "`norml` is not known here | did you mean `normal`?",
        ),
        (
            "columns.x = { kind = \"normal\", men = 3 }",
            "there is no key `men` here | did you mean `mean`?",
        ),
        (
            "columns.x = { kind = \"normal\", deviation = -1 }",
            "`deviation` is -1 | write a number, 0 or above",
        ),
        (
            "columns.x = { kind = \"normal\", null_rate = 3 }",
            "`null_rate` is 3 | write a share of the rows, from 0 to 1",
        ),
        (
            "columns.x = { kind = \"categories\" }",
            "there are no texts to choose from | write `values = [\"a\", \"b\"]` or `count = 20`",
        ),
        (
            "columns.x = { kind = \"time\", start = \"noon\" }",
            "`noon` is not a time | write a date or a time such as \"2025-01-01T00:00:00Z\"",
        ),
        (
            "columns.temp = { kind = \"normal\" }\nanomalies = { rate = 0.1, columns = [\"tmp\"] }",
            "there is no column `tmp` | did you mean `temp`?",
        ),
        (
            "preset = \"usage\"\nanomalies = { rate = 0.1 }",
            "the preset `usage` has no anomalies | remove `anomalies`, or declare `columns` instead of the preset",
        ),
        (
            "preset = \"trace\"\nrate = \"fast\"",
            "`fast` is not a rate: write rows per second, such as \"100/s\" or \"10k/s\"",
        ),
    ];
    for (settings, expected) in cases {
        let (made, said) = build::<GenerateConfig>(settings, false);
        assert!(made.is_none(), "{settings}");
        assert_eq!(said, [expected], "{settings}");
    }
}

/// To be looked at: `cargo test -- --ignored --nocapture heads`.
#[test]
#[ignore = "a measurement, and tables to look at; it asserts nothing"]
fn heads_and_speed() {
    for preset in Preset::ALL {
        let settings = format!("preset = \"{}\"\nrows = 1_000_000", preset.name());
        let source = source::<GenerateConfig>(&settings);
        let wanted = Wanted {
            rows: Some(6),
            ..Wanted::default()
        };
        println!(
            "{}",
            crate::testing::table(&*Arc::clone(&source).narrow(&wanted)).join("\n")
        );
        let started = Instant::now();
        drop(read(&*source, 8192));
        println!("{} {:?}", preset.name(), started.elapsed());
    }
    for line in EVERYTHING.lines().filter(|l| l.contains("kind")) {
        let source = source::<GenerateConfig>(&format!("rows = 5_000_000\n{line}"));
        let started = Instant::now();
        drop(read(&*source, 8192));
        println!("{line} {:?} for 5M", started.elapsed());
    }
}
