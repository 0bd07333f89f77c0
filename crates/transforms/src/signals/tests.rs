//! Signals: what scipy makes of all of them at once, any cut of them, several by keys, samples that are none, and wrong input.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use dataflow_core::component::TransformConfig;
use dataflow_core::{Sampled, Sampling, TimeRule, Transform};
use dataflow_testkit::Timing;
use serde_json::Value;

use super::{Decimate, Detrend, Find, Fir, Iir, MovingAverage};
use crate::fixtures::{
    build, build_sampled, cuts, drives, floats, integers, lines, problems, problems_sampled, rows,
    texts,
};

/// A triangle and noise of a linear congruential generator, as the script that makes the golden values makes it.
fn made(samples: usize) -> Vec<f64> {
    let mut state: u64 = 12345;
    let mut next = |i: usize| {
        state = (state * 1_103_515_245 + 12345) % (1 << 31);
        (i % 50) as f64 / 25.0 - 1.0 + (state as f64 / 2f64.powi(31) - 0.5)
    };
    (0..samples).map(&mut next).collect()
}

fn table(samples: Vec<f64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Float64Array::from(samples));
    RecordBatch::try_from_iter([("x", column)]).expect("a column")
}

fn transform(component: &str, config: &str, input: &RecordBatch) -> Arc<dyn Transform> {
    let config = format!("columns = [\"x\"]\n{config}");
    match component {
        "iir" => build::<Iir>(&config, input),
        "fir" => build::<Fir>(&config, input),
        "decimate" => build::<Decimate>(&config, input),
        "detrend" => build::<Detrend>(&config, input),
        "moving_average" => build::<MovingAverage>(&config, input),
        "find" => build::<Find>(&config, input),
        other => panic!("{other}"),
    }
}

fn golden() -> Vec<Value> {
    let text = include_str!("../../tests/golden/signals.json");
    let all: Value = serde_json::from_str(text).expect("JSON");
    all["cases"].as_array().expect("cases").clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list").iter();
    list.map(|x| x.as_f64().expect("a number")).collect()
}

/// The largest difference, as a part of the largest value.
fn apart(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let pairs = found.iter().zip(expected);
    pairs.fold(0.0, |most: f64, (a, b)| most.max((a - b).abs())) / largest
}

#[test]
fn filters_are_those_of_scipy() {
    for case in golden() {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        let (component, config) = (text("component"), text("config"));
        if component == "find" {
            continue;
        }
        let samples = case["samples"].as_u64().expect("a number") as usize;
        let input = table(made(samples));
        let transform = transform(component, config, &input);
        let outcome = drives()[0].run(transform.as_ref(), &input).expect("runs");
        let every = case["every"].as_u64().expect("a number") as usize;
        let found = floats(&outcome.rows(), "x").into_iter().step_by(every);
        let found: Vec<f64> = found.map(|x| x.expect("a number")).collect();
        let apart = apart(&found, &numbers(&case["values"]));
        // Written sections are filtered by the same sums; a design has its coefficients from other roundings.
        let allowed = if config.starts_with("sections") && !config.contains("steady") {
            0.0
        } else {
            1e-12
        };
        println!("{component} {config}: {apart:e}");
        assert!(apart <= allowed, "{component} {config}: {apart:e}");
    }
}

#[test]
fn peaks_are_those_of_scipy() {
    for case in golden() {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        if text("component") != "find" {
            continue;
        }
        let samples = made(case["samples"].as_u64().expect("a number") as usize);
        let input = match text("signal") {
            "flat" => table(
                samples
                    .iter()
                    .map(|x| (x * 4.0).round_ties_even())
                    .collect(),
            ),
            _ => table(samples),
        };
        let transform = transform("find", text("config"), &input);
        for drive in drives() {
            let outcome = drive.run(transform.as_ref(), &input).expect("runs");
            let found = outcome.rows();
            let at = integers(&found, "sample").into_iter();
            let at: Vec<f64> = at.map(|at| at.expect("a number") as f64).collect();
            assert_eq!(at, numbers(&case["found"]), "{case}");
            if text("config").contains("wlen") {
                let prominences = floats(&found, "prominence").into_iter().flatten();
                let prominences: Vec<f64> = prominences.collect();
                assert_eq!(prominences, numbers(&case["prominences"]), "{case}");
            }
        }
    }
}

/// A configuration of each transform.
const EACH: [(&str, &str); 12] = [
    (
        "iir",
        "sections = [[1, 2, 1, 4, 1, 1], [1, 0, 0, 1, -0.5, 0]]\ninitial = \"steady\"",
    ),
    ("fir", "taps = [0.5, 0.25, 2]\nprefix = \"smooth\""),
    ("moving_average", "samples = 7\nminimum = 3"),
    ("decimate", "factor = 3"),
    ("decimate", "factor = 4\nfilter = \"fir\""),
    ("detrend", "samples = 9"),
    ("find", "kind = \"crossings\"\nlevel = 0.2"),
    (
        "find",
        "kind = \"edges\"\nlow = -0.5\nhigh = 0.5\ndirection = \"rising\"",
    ),
    ("find", "kind = \"glitches\"\nhigh = 0.9\nsamples = 3"),
    (
        "find",
        "kind = \"dropouts\"\nbelow = -0.7\nconstant = true\nsamples = 2",
    ),
    (
        "find",
        "kind = \"peaks\"\ndistance = 5\nwlen = 12\nprominence = 0.1",
    ),
    ("find", "kind = \"peaks\"\nheight = 0.0"),
];

/// Two signals in one column, and a second column; some samples are none, and some keys are null.
fn mixed() -> (RecordBatch, Vec<i64>) {
    let samples = made(260);
    let cell = |i: usize| {
        let x = match i % 17 {
            3 => "-".to_string(),
            4 => "NaN".to_string(),
            5 if i.is_multiple_of(2) => "inf".to_string(),
            6 | 7 => "0.25".to_string(),
            _ => samples[i].to_string(),
        };
        let key = ["a", "b", "-"][i * i % 7 % 3];
        format!("{x} {} {key} {i}", (i * 7919) % 31)
    };
    let cells: Vec<String> = (0..260).map(cell).collect();
    let input = rows(&format!("x:f64 y:i64 key i:i64\n{}", cells.join("\n")));
    (
        input,
        (0..260).map(|i| (i - i % 3) * 1_000_000_000).collect(),
    )
}

#[test]
fn nothing_depends_on_how_rows_come() {
    let (input, times) = mixed();
    let rule = TimeRule {
        lateness: 5_000_000_000,
        max_future_skew: None,
        idle: None,
    };
    let timing = Some(Timing {
        times: &times,
        rule,
    });
    for (component, config) in EACH {
        for by in ["", "by = [\"key\"]\n"] {
            let config = format!("{by}{config}");
            let transform = transform(component, &config, &input);
            let mut first: Option<(Vec<String>, Vec<i64>)> = None;
            for drive in drives() {
                let outcome = drive
                    .run_timed(transform.as_ref(), &input, timing)
                    .expect("runs");
                let times = outcome.ports[0].iter().flat_map(|batch| {
                    let times = batch.times().expect("times").at().to_vec();
                    assert_eq!(times.len(), batch.len());
                    times
                });
                let shown = (lines(&outcome.rows()), times.collect());
                let first = first.get_or_insert_with(|| shown.clone());
                assert!(!first.0.is_empty(), "{component} {config}");
                assert_eq!(&shown, first, "{component} {config} {drive:?}");
            }
        }
    }
}

#[test]
fn keys_have_signals_of_their_own() {
    let (input, _) = mixed();
    let keys = texts(&input, "key");
    for (component, config) in EACH {
        let by_key = transform(component, &format!("by = [\"key\"]\n{config}"), &input);
        let outcome = drives()[0].run(by_key.as_ref(), &input).expect("runs");
        let all = lines(&outcome.rows());
        for key in [None, Some("a".to_string()), Some("b".to_string())] {
            let mine = keys.iter().map(|of| Some(*of == key)).collect();
            let mine = arrow_select::filter::filter_record_batch(&input, &mine).expect("some");
            let alone = transform(component, config, &mine);
            let alone = drives()[0].run(alone.as_ref(), &mine).expect("runs");
            let expected = lines(&alone.rows());
            let key = key.as_deref().unwrap_or("-");
            let of_key = |line: &&String| match component {
                "find" => line.split(' ').next() == Some(key),
                _ => line.split(' ').nth(2) == Some(key),
            };
            let found = all.iter().filter(of_key);
            // Events say of which signal they are.
            let found = found.map(|line| match component {
                "find" => line.split_once(' ').expect("a key").1.to_string(),
                _ => line.clone(),
            });
            assert_eq!(
                found.collect::<Vec<_>>(),
                expected,
                "{component} {config} {key}"
            );
        }
    }
}

#[test]
fn samples_that_are_none_do_no_harm() {
    let input = rows("x:f64 i:i64\n1 0\n- 1\n2 2\nNaN 3\ninf 4\n4 5");
    for (component, config, expected) in [
        (
            "fir",
            "taps = [1, 1]",
            ["1 0", "- 1", "3 2", "- 3", "- 4", "6 5"],
        ),
        (
            "iir",
            "sections = [[1, 0, 0, 1, -0.5, 0]]",
            ["1 0", "- 1", "2.5 2", "- 3", "- 4", "5.25 5"],
        ),
        (
            "moving_average",
            "samples = 3",
            ["1 0", "1 1", "1.5 2", "2 3", "2 4", "4 5"],
        ),
        (
            "moving_average",
            "samples = 3\nminimum = 2",
            ["- 0", "- 1", "1.5 2", "- 3", "- 4", "- 5"],
        ),
        (
            "detrend",
            "samples = 10\nkind = \"constant\"",
            [
                "-1.3333333333333335 0",
                "- 1",
                "-0.3333333333333335 2",
                "- 3",
                "- 4",
                "1.6666666666666665 5",
            ],
        ),
    ] {
        let transform = transform(component, config, &input);
        let outcome = drives()[0].run(transform.as_ref(), &input).expect("runs");
        let found: Vec<String> = lines(&outcome.rows());
        let plain = found.iter().map(|line| line.replace(".0 ", " "));
        assert_eq!(plain.collect::<Vec<_>>(), expected, "{component}");
    }
}

#[test]
fn several_columns_and_a_prefix() {
    let input = rows("a:i64 b:f64 other\n1 10 u\n3 20 v");
    let config = "columns = [\"b\", \"a\"]\nsamples = 2\nprefix = \"smooth\"";
    let transform = build::<MovingAverage>(config, &input);
    let outcome = drives()[0].run(transform.as_ref(), &input).expect("runs");
    let expected = rows("a:i64 b:f64 other smooth_b:f64 smooth_a:f64\n1 10 u 10 1\n3 20 v 15 2");
    assert_eq!(outcome.rows(), expected);
    assert_eq!(transform.ports()[0].schema, expected.schema());
    let transform = build::<MovingAverage>("columns = [\"a\"]\nsamples = 2", &input);
    let outcome = drives()[0].run(transform.as_ref(), &input).expect("runs");
    assert_eq!(outcome.rows(), rows("a:f64 b:f64 other\n1 10 u\n2 20 v"));
}

#[test]
fn events_are_told_with_their_times() {
    let input = rows("x:f64 y:f64\n0 5\n2 5\n1 0\n0 0\n4 7");
    let sampled = Sampled::Regular(Sampling::of(10.0).from(-1.0));
    let config = "columns = [\"y\", \"x\"]\nkind = \"crossings\"\nlevel = 1";
    let transform = build_sampled::<Find>(config, &input, sampled);
    assert_eq!(transform.ports()[0].sampling, None);
    let expected = [
        "x crossing 1 -0.95 2.0 1 rising",
        "y crossing 2 -0.8200000000000001 0.0 1 falling",
        "x crossing 3 -0.8 0.0 1 falling",
        "y crossing 4 -0.6857142857142857 7.0 1 rising",
        "x crossing 4 -0.675 4.0 1 rising",
    ];
    for drive in cuts() {
        let outcome = drive.run(transform.as_ref(), &input).expect("runs");
        assert_eq!(lines(&outcome.rows()), expected, "{drive:?}");
    }
    let input = rows("on:bool\ntrue\ntrue\nfalse\n-\ntrue");
    let config = "columns = [\"on\"]\nkind = \"runs\"";
    let transform = build::<Find>(config, &input);
    for drive in cuts() {
        let outcome = drive.run(transform.as_ref(), &input).expect("runs");
        let expected = ["on run 0 - - 2 -", "on run 4 - - 1 -"];
        assert_eq!(lines(&outcome.rows()), expected, "{drive:?}");
    }
}

#[test]
fn the_sampling_goes_on() {
    let input = table(made(10));
    let sampling = Sampling::of(1000.0).from(0.5).numbered(true);
    fn of<C: TransformConfig>(config: &str, sampled: Sampled) -> Option<Sampling> {
        let config = format!("columns = [\"x\"]\n{config}");
        let transform = build_sampled::<C>(&config, &table(made(10)), sampled);
        transform.ports()[0].sampling
    }
    let known = || Sampled::Regular(sampling);
    let design = "design = { kind = \"lowpass\", order = 2, cutoff = 400 }";
    assert_eq!(of::<Iir>(design, known()), Some(sampling));
    assert_eq!(of::<Detrend>("samples = 3", known()), Some(sampling));
    let slower = Sampling::of(250.0).from(0.5);
    assert_eq!(of::<Decimate>("factor = 4", known()), Some(slower));
    assert_eq!(of::<Decimate>("factor = 4", Sampled::Unknown), None);
    let config = format!("columns = [\"x\"]\n{design}");
    let lost = Sampled::Lost("clean".into());
    let problems = problems_sampled::<Iir>(&config, &input, lost);
    assert!(problems[0].contains("`clean` leaves out"), "{problems:?}");
}

#[test]
fn nothing_comes_of_nothing() {
    let input = table(Vec::new());
    for (component, config) in EACH {
        let transform = transform(component, config, &input);
        for drive in cuts() {
            let outcome = drive.run(transform.as_ref(), &input).expect("runs");
            assert_eq!(outcome.counts(), [0], "{component} {config}");
        }
    }
}

fn wrong<C: TransformConfig>(input: &RecordBatch, cases: &[(&str, &str)]) {
    for (config, message) in cases {
        let problems = problems::<C>(config, input);
        assert_eq!(problems.len(), 1, "{config}: {problems:?}");
        assert!(problems[0].contains(message), "{config}: {problems:?}");
    }
}

#[test]
fn wrong_filters_are_said() {
    let input = rows("x:f64 name smooth_x:f64\n1 a 1");
    let design = |of: &str| format!("columns = [\"x\"]\nrate = 1000\ndesign = {{ {of} }}");
    let low = "kind = \"lowpass\", order = 2";
    wrong::<Iir>(
        &input,
        &[
            ("columns = [\"x\"]", "there is no filter"),
            (
                "columns = []\nsections = [[1, 0, 0, 1, 0, 0]]",
                "has no signal",
            ),
            (
                "columns = [\"z\"]\nsections = [[1, 0, 0, 1, 0, 0]]",
                "there is no column `z`",
            ),
            (
                "columns = [\"name\"]\nsections = [[1, 0, 0, 1, 0, 0]]",
                "needs numbers, and `name` is text",
            ),
            (
                "columns = [\"x\", \"x\"]\nsections = [[1, 0, 0, 1, 0, 0]]",
                "named twice",
            ),
            (
                "columns = [\"x\"]\nby = [\"z\"]\nsections = [[1, 0, 0, 1, 0, 0]]",
                "there is no column `z`",
            ),
            (
                "columns = [\"x\"]\nsections = [[1, 0, 0, 1, 0]]",
                "section 1 has 5 coefficients",
            ),
            (
                "columns = [\"x\"]\nsections = [[1, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0]]",
                "section 2 cannot be used",
            ),
            (
                "columns = [\"x\"]\nsections = [[1, 0, 0, 1, -2, 1]]",
                "section 1 is not stable",
            ),
            (
                "columns = [\"x\"]\nsections = [[1, 0, 0, 1, 0, 0]]\nprefix = \"smooth\"",
                "`smooth_x` already",
            ),
            (
                "columns = [\"x\"]\ndesign = { kind = \"lowpass\", order = 2, cutoff = 4 }",
                "nothing says how many samples",
            ),
            (
                &design(&format!("{low}, cutoff = 500")),
                "cut off at 500 Hz",
            ),
            (&design(&format!("{low}, cutoff = -1")), "cut off at -1 Hz"),
            (
                &design(&format!("{low}, cutoff = [1, 2]")),
                "not the frequencies",
            ),
            (
                &design("kind = \"bandpass\", order = 2, cutoff = [2, 1]"),
                "not the frequencies",
            ),
            (
                &design("kind = \"lowpass\", order = 0, cutoff = 1"),
                "order 0",
            ),
            (
                &design("kind = \"lowpass\", order = 25, cutoff = 1"),
                "order 25",
            ),
            (
                &design(&format!("{low}, cutoff = 1, ripple = 1")),
                "has no ripple",
            ),
            (
                &design(&format!(
                    "{low}, cutoff = 1, type = \"chebyshev\", ripple = 0"
                )),
                "ripples of 0 dB",
            ),
            (
                &design("kind = \"bandpass\", order = 12, cutoff = [1e-6, 2e-6]"),
                "too narrow",
            ),
        ],
    );
    let half = "columns = [\"x\"]\nrate = -1\ndesign = { kind = \"lowpass\", cutoff = 1 }";
    wrong::<Fir>(
        &input,
        &[
            ("columns = [\"x\"]", "there is no filter"),
            ("columns = [\"x\"]\ntaps = []", "no weights"),
            (half, "a positive number of samples"),
            (
                &design("kind = \"lowpass\", cutoff = 10, window = \"han\""),
                "is no window",
            ),
            (
                &design("kind = \"lowpass\", cutoff = 10, taps = 2"),
                "2 weights",
            ),
            (
                &design("kind = \"highpass\", cutoff = 10, taps = 4"),
                "even number of weights",
            ),
        ],
    );
    wrong::<MovingAverage>(
        &input,
        &[
            (
                "columns = [\"x\"]\nsamples = 0",
                "0 samples make no moving average",
            ),
            ("columns = [\"x\"]\nsamples = 2\nminimum = 3", "at least 3"),
        ],
    );
    wrong::<Decimate>(
        &input,
        &[
            ("columns = [\"x\"]\nfactor = 0", "one of 0 samples"),
            ("columns = [\"x\"]\nfactor = 1000", "one of 1000 samples"),
        ],
    );
    wrong::<Detrend>(
        &input,
        &[("columns = [\"x\"]\nsamples = 0", "0 samples make no window")],
    );
}

#[test]
fn wrong_searches_are_said() {
    let input = rows("x:f64 sample:i64 on:bool\n1 1 true");
    wrong::<Find>(
        &input,
        &[
            ("columns = [\"x\"]\nkind = \"crossings\"", "need a level"),
            (
                "columns = [\"x\"]\nkind = \"crossings\"\nlevel = 1\nheight = 2",
                "`height` says nothing of a crossing",
            ),
            ("columns = [\"x\"]\nkind = \"edges\"\nlow = 1", "two levels"),
            (
                "columns = [\"x\"]\nkind = \"edges\"\nlow = 1\nhigh = 0",
                "above `high`",
            ),
            (
                "columns = [\"x\"]\nkind = \"glitches\"\nsamples = 3",
                "need a level",
            ),
            (
                "columns = [\"x\"]\nkind = \"glitches\"\nhigh = 3",
                "are short",
            ),
            (
                "columns = [\"x\"]\nkind = \"dropouts\"\nconstant = true",
                "the same as itself",
            ),
            (
                "columns = [\"x\"]\nkind = \"dropouts\"\nsamples = 0",
                "0 samples make no event",
            ),
            (
                "columns = [\"x\"]\nkind = \"runs\"",
                "needs conditions, and `x` is float64",
            ),
            (
                "columns = [\"on\"]\nkind = \"peaks\"",
                "needs numbers, and `on` is boolean",
            ),
            (
                "columns = [\"x\"]\nkind = \"peaks\"\nprominence = 1",
                "only at its end",
            ),
            (
                "columns = [\"x\"]\nkind = \"peaks\"\nprominence = 1\nwlen = 1",
                "1 samples make no surroundings",
            ),
            ("columns = [\"x\"]\nkind = \"peaks\"\nheight = nan", "NaN"),
            (
                "columns = [\"x\"]\nby = [\"sample\"]\nkind = \"peaks\"",
                "two columns `sample`",
            ),
            (
                "columns = [\"x\"]\nkind = \"peaks\"\nrate = 0",
                "a positive number of samples",
            ),
        ],
    );
}
