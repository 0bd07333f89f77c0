//! Spectrograms however their samples come, and what they say of wrong settings.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use dataflow_core::{Sampled, Sampling};

use super::*;
use crate::fixtures::{build, build_sampled, cuts, drives, problems, rows};

/// The signal of `crates/accumulators/tests/golden/make_spectra.py`.
fn signal(samples: usize) -> Vec<f64> {
    let mut state = 12345_u64;
    let sample = |i: usize| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        (i % 50) as f64 / 25.0 - 1.0 + (state as f64 / (1_u64 << 31) as f64 - 0.5)
    };
    (0..samples).map(sample).collect()
}

fn table(x: Vec<f64>) -> RecordBatch {
    let field = Field::new("x", DataType::Float64, true);
    let column: ArrayRef = Arc::new(Float64Array::from(x));
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).expect("a column")
}

fn numbered() -> Sampled {
    Sampled::Regular(Sampling::of(1000.0).from(-0.5).numbered(true))
}

const CONFIGS: [&str; 4] = [
    "column = \"x\"\nsegment = 16",
    "column = \"x\"\nsegment = 9\noverlap = 0\nwindow = \"boxcar\"\ndecibels = true",
    "column = \"x\"\nsegment = 7\noverlap = 6\npoints = 10\ndetrend = \"linear\"\nscaling = \"spectrum\"",
    "column = \"x\"\nsegment = 300",
];

#[test]
fn workers_pieces_and_cuts_do_not_matter() {
    let input = table(signal(500));
    for config in CONFIGS {
        let places = build_sampled::<Spectrogram>(config, &input, numbered());
        let unnumbered = Sampled::Regular(Sampling::of(1000.0).from(-0.5));
        let in_order = build_sampled::<Spectrogram>(config, &input, unnumbered);
        let expected = cuts()[0]
            .run(in_order.as_ref(), &input)
            .expect("runs")
            .rows();
        assert!(expected.num_rows() > 0);
        for drive in drives() {
            for transform in [&places, &in_order] {
                let outcome = drive.run(transform.as_ref(), &input).expect("runs");
                assert_eq!(outcome.rows(), expected, "{config} {drive:?}");
            }
        }
    }
}

#[test]
fn rows_are_on_the_grid_of_the_whole_signal() {
    let input = table(signal(100));
    let transform =
        build_sampled::<Spectrogram>("column = \"x\"\nsegment = 20", &input, numbered());
    let found = drives()[3]
        .run(transform.as_ref(), &input)
        .expect("runs")
        .rows();
    let times = found.column(0).as_primitive::<Float64Type>();
    assert_eq!(times.len(), 9);
    assert_eq!((times.value(0), times.value(8)), (-0.49, -0.5 + 0.09));
    assert_eq!(found.column(1).as_list::<i32>().value(8).len(), 11);
    let said = &found.schema_ref().metadata()[FREQUENCIES];
    assert_eq!(said, r#"{"first":0.0,"step":50.0,"count":11}"#);
    let sampling = transform.ports()[0].sampling.expect("regular");
    assert_eq!((sampling.rate, sampling.start), (100.0, -0.49));
}

#[test]
fn segments_that_are_not_finite_have_no_values() {
    let mut x = signal(100);
    x[45] = f64::NAN;
    let input = table(x);
    let config = "column = \"x\"\nsegment = 20";
    let transform = build_sampled::<Spectrogram>(config, &input, numbered());
    for drive in drives() {
        let found = drive.run(transform.as_ref(), &input).expect("runs").rows();
        let nulls: Vec<bool> = (0..9).map(|row| found.column(1).is_null(row)).collect();
        let expected = [3, 4].map(|segment| (segment, true));
        for (segment, null) in nulls.into_iter().enumerate() {
            assert_eq!(null, expected.contains(&(segment, true)), "{segment}");
        }
    }
}

#[test]
fn short_and_empty_signals_have_no_rows() {
    for samples in [0, 1, 15] {
        let input = table(signal(samples));
        let transform = build_sampled::<Spectrogram>(CONFIGS[0], &input, numbered());
        for drive in drives() {
            let outcome = drive.run(transform.as_ref(), &input).expect("runs");
            assert_eq!(outcome.rows().num_rows(), 0);
        }
    }
}

#[test]
fn complex_signals_have_two_sides() {
    let input = rows("i:f64 q:f64\n1.0 0.0\n0.0 -1.0\n-1.0 0.0\n0.0 1.0");
    let config = "column = \"i\"\nimaginary = \"q\"\nsegment = 4\nwindow = \"boxcar\"\ndetrend = \"none\"\nscaling = \"spectrum\"\nrate = 4";
    let transform = build::<Spectrogram>(config, &input);
    let found = drives()[0]
        .run(transform.as_ref(), &input)
        .expect("runs")
        .rows();
    let powers = found.column(1).as_list::<i32>().value(0);
    assert_eq!(
        powers.as_primitive::<Float64Type>().values()[..],
        [0.0, 1.0, 0.0, 0.0]
    );
}

#[test]
fn what_is_wrong_is_said() {
    let input = rows("x:f64 name:text\n1.0 a");
    let table = [
        ("column = \"y\"\nrate = 1", "no column"),
        ("column = \"name\"\nrate = 1", "a signal is numbers"),
        ("column = \"x\"", "sampling rate is not known"),
        ("column = \"x\"\nrate = 0", "no rate"),
        (
            "column = \"x\"\nrate = 1\nsegment = 0",
            "a segment has 1 to",
        ),
        (
            "column = \"x\"\nrate = 1\nsegment = 8\noverlap = 8",
            "cannot share 8",
        ),
        ("column = \"x\"\nrate = 1\npoints = 8", "points, not 8"),
        ("column = \"x\"\nrate = 1\nwindow = \"han\"", "no window"),
        (
            "column = \"x\"\nrate = 1\ndetrend = \"mean\"",
            "constant, linear and none",
        ),
    ];
    for (config, said) in table {
        let found = problems::<Spectrogram>(config, &input);
        assert!(
            found.iter().any(|m| m.contains(said)),
            "{config}: {found:?}"
        );
    }
}

#[test]
fn spectrograms_of_whole_signals_are_those_of_scipy() {
    let golden = include_str!("../../tests/golden/spectrogram.json");
    let golden: serde_json::Value = serde_json::from_str(golden).expect("JSON");
    for case in golden["cases"].as_array().expect("cases") {
        let config = format!("column = \"x\"\n{}", case["config"].as_str().expect("text"));
        let input = table(signal(case["samples"].as_u64().expect("whole") as usize));
        let sampled = Sampled::Regular(Sampling::of(1000.0).numbered(true));
        let transform = build_sampled::<Spectrogram>(&config, &input, sampled);
        let found = drives()[5]
            .run(transform.as_ref(), &input)
            .expect("runs")
            .rows();
        let numbers = |of: &serde_json::Value| -> Vec<f64> {
            let list = of.as_array().expect("numbers").iter();
            list.map(|x| x.as_f64().expect("a number")).collect()
        };
        let times = numbers(&case["times"]);
        let found_times = found.column(0).as_primitive::<Float64Type>();
        assert_eq!(found_times.len(), times.len(), "{config}");
        for (found, expected) in found_times.values().iter().zip(times) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        for (row, expected) in case["powers"].as_array().expect("rows").iter().enumerate() {
            let expected = numbers(expected);
            let found = found.column(1).as_list::<i32>().value(row);
            let found = found.as_primitive::<Float64Type>();
            assert_eq!(found.len(), expected.len());
            let largest = expected.iter().fold(0.0, |most: f64, x| most.max(*x));
            for (found, expected) in found.values().iter().zip(&expected) {
                assert!(
                    (found - expected).abs() < 1e-12 * largest,
                    "{found} {expected}"
                );
            }
        }
    }
}
