//! Spectra however their samples come: in pieces, out of order, on several workers; and what strange signals give.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::DataType;
use dataflow_core::accumulator::{Accepted, Call, OrderClass};
use dataflow_core::component::Component;
use dataflow_core::{Accumulator, Groups, Place, Places, Sampled, Sampling, Value};

use crate::states::testing::{call, check, problem};

fn signal(samples: usize) -> Vec<f64> {
    let mut state = 7_u64;
    let noise = |state: &mut u64| {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (*state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    (0..samples)
        .map(|i| (i as f64 * 0.3).sin() + 1e8 + noise(&mut state))
        .collect()
}

fn column(samples: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(samples.to_vec()))
}

fn numbered(mut call: Call) -> Call {
    call.sampled = Sampled::Regular(Sampling::of(1000.0).numbered(true));
    call
}

fn calls() -> Vec<(Component, Call)> {
    let one = [DataType::Float64];
    let text = |text: &str| Value::Text(text.into());
    vec![
        (
            crate::welch::component(),
            call(&one, &[("", Value::Integer(64))]),
        ),
        (
            crate::welch::component(),
            call(
                &one,
                &[
                    ("nperseg", Value::Integer(50)),
                    ("noverlap", Value::Integer(17)),
                    ("average", text("median")),
                    ("detrend", text("linear")),
                    ("nfft", Value::Integer(60)),
                ],
            ),
        ),
        (
            crate::welch::component(),
            call(
                &one,
                &[
                    ("nperseg", Value::Integer(40)),
                    ("average", text("median")),
                    ("approximate", Value::Boolean(true)),
                ],
            ),
        ),
        (
            crate::spectrum::component(),
            call(
                &one,
                &[("segment", Value::Integer(33)), ("window", text("flattop"))],
            ),
        ),
        (crate::periodogram::component(), call(&one, &[])),
        (
            crate::periodogram::component(),
            call(
                &one,
                &[
                    ("nfft", Value::Integer(100)),
                    ("onesided", Value::Boolean(false)),
                ],
            ),
        ),
    ]
}

/// Frequencies and values of a result of one group.
fn shown(value: &ArrayRef) -> (Vec<f64>, Vec<f64>) {
    let list = value.as_list::<i32>().value(0);
    let item = list.as_struct();
    let numbers = |at: usize| {
        item.column(at)
            .as_primitive::<Float64Type>()
            .values()
            .to_vec()
    };
    (numbers(0), numbers(1))
}

fn value(accepted: &Accepted, made: &dyn Accumulator) -> (Vec<f64>, Vec<f64>) {
    shown(&made.value(&accepted.plan.reading(), &[0]).expect("a value"))
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn fed(accepted: &Accepted, pieces: &[(usize, &[f64])]) -> Box<dyn Accumulator> {
    let mut made = accepted.plan.make();
    made.resize(1);
    for (at, piece) in pieces {
        let places = Places::From(Place::new(0, *at as u64).expect("in range"));
        let taken = made.update(Groups::One, &[column(piece)], &places);
        taken.expect("takes rows");
    }
    made
}

fn pieces(samples: &[f64], size: usize) -> Vec<(usize, &[f64])> {
    samples
        .chunks(size)
        .enumerate()
        .map(|(i, piece)| (i * size, piece))
        .collect()
}

#[test]
fn pieces_workers_and_order_do_not_matter() {
    let samples = signal(1000);
    for (component, call) in calls() {
        let accepted = check(&component, &numbered(call)).expect("the call fits");
        assert_eq!(accepted.plan.order_class(), OrderClass::Place);
        let whole = value(&accepted, &*fed(&accepted, &pieces(&samples, 1000)));
        assert_eq!(whole.0.len(), whole.1.len());
        for size in [1, 7, 130, 999] {
            let mut list = pieces(&samples, size);
            let straight = fed(&accepted, &list);
            assert_eq!(bits(&value(&accepted, &*straight).1), bits(&whole.1));
            list.sort_by_key(|(at, _)| (*at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let (here, there) = list.split_at(list.len() / 2);
            let mut total = accepted.plan.make();
            total.resize(1);
            for part in [here, there] {
                let state = fed(&accepted, part).state(&[0]).expect("a state");
                total.merge(&[0], &state).expect("is a state");
            }
            assert_eq!(value(&accepted, &*total).0, whole.0);
            assert_eq!(bits(&value(&accepted, &*total).1), bits(&whole.1));
            let [a, b] = [&total, &straight].map(|made| made.state(&[0]).expect("a state"));
            assert_eq!(a, b, "{component:?} {size}");
        }
    }
}

#[test]
fn rows_in_order_give_the_same() {
    let samples = signal(700);
    for (component, mut call) in calls() {
        let of_places = check(&component, &numbered(call.clone())).expect("the call fits");
        let expected = value(&of_places, &*fed(&of_places, &[(0, &samples)]));
        call.sampled = Sampled::Regular(Sampling::of(1000.0));
        let accepted = check(&component, &call).expect("the call fits");
        assert_eq!(accepted.plan.order_class(), OrderClass::Sequence);
        // Two groups, one with the rows of the other in between.
        let both: Vec<f64> = samples.iter().flat_map(|x| [*x, -x]).collect();
        let groups: Vec<u32> = (0..both.len() as u32).map(|row| row % 2).collect();
        let mut made = accepted.plan.make();
        made.resize(2);
        for start in (0..both.len()).step_by(33) {
            let end = both.len().min(start + 33);
            let groups = Groups::Each(&groups[start..end]);
            let taken = made.update(groups, &[column(&both[start..end])], &Places::Unknown);
            taken.expect("takes rows");
        }
        assert_eq!(bits(&value(&accepted, &*made).1), bits(&expected.1));
        let mut restored = accepted.plan.make();
        restored.resize(1);
        let state = made.state(&[0]).expect("a state");
        restored.merge(&[0], &state).expect("is a state");
        assert_eq!(bits(&value(&accepted, &*restored).1), bits(&expected.1));
    }
}

#[test]
fn a_sine_of_amplitude_one_reads_zero_decibels() {
    let call = numbered(call(
        &[DataType::Float64],
        &[("segment", Value::Integer(100))],
    ));
    let accepted = check(&crate::spectrum::component(), &call).expect("the call fits");
    for samples in [100, 100_000] {
        let turn = |i: usize| (std::f64::consts::TAU * i as f64 * 0.1).sin();
        let sine: Vec<f64> = (0..samples).map(turn).collect();
        let (frequencies, decibels) = value(&accepted, &*fed(&accepted, &[(0, &sine)]));
        assert_eq!(frequencies[10], 100.0);
        assert!(decibels[10].abs() < 1e-9, "{}", decibels[10]);
        assert!(decibels[20] < -100.0);
    }
}

#[test]
fn what_is_not_finite_is_left_out_and_told() {
    let call = numbered(call(
        &[DataType::Float64],
        &[("nperseg", Value::Integer(10))],
    ));
    let accepted = check(&crate::welch::component(), &call).expect("the call fits");
    let mut samples = signal(100);
    let clean = value(&accepted, &*fed(&accepted, &[(0, &samples[..50])]));
    samples[55] = f64::NAN;
    samples[70..].fill(f64::INFINITY);
    let made = fed(&accepted, &[(0, &samples)]);
    assert!(
        value(&accepted, &*made)
            .1
            .iter()
            .all(|power| power.is_finite())
    );
    assert_eq!(clean.1.len(), 6);
    let told = made.remarks(&[0]);
    assert_eq!(
        told,
        [(
            "segments left out, since a sample of theirs is not finite",
            8
        )]
    );
    let nothing = fed(&accepted, &[(0, &[f64::NAN; 30])]);
    assert!(
        value(&accepted, &*nothing)
            .1
            .iter()
            .all(|power| power.is_nan())
    );
    assert_eq!(value(&accepted, &*nothing).0.len(), 6);
}

#[test]
fn segments_across_missing_samples_are_left_out() {
    let call = numbered(call(
        &[DataType::Float64],
        &[("nperseg", Value::Integer(10))],
    ));
    let accepted = check(&crate::welch::component(), &call).expect("the call fits");
    let samples = signal(100);
    let made = fed(&accepted, &[(0, &samples[..50]), (53, &samples[53..])]);
    assert!(
        value(&accepted, &*made)
            .1
            .iter()
            .all(|power| power.is_finite())
    );
    let told = made.remarks(&[0]);
    assert_eq!(
        told,
        [("gaps between samples; segments across them are left out", 1)]
    );
}

#[test]
fn short_signals_are_one_segment_and_empty_ones_none() {
    let call = numbered(call(
        &[DataType::Float64],
        &[("nperseg", Value::Integer(256))],
    ));
    let accepted = check(&crate::welch::component(), &call).expect("the call fits");
    let short = fed(&accepted, &pieces(&signal(9), 4));
    assert_eq!(value(&accepted, &*short).0.len(), 5);
    assert_eq!(short.remarks(&[0])[0].1, 1);
    let one = fed(&accepted, &[(0, &[3.0])]);
    assert_eq!(value(&accepted, &*one), (vec![0.0], vec![0.0]));
    let none = fed(&accepted, &[]);
    assert_eq!(value(&accepted, &*none), (vec![], vec![]));
    assert!(none.remarks(&[0]).is_empty());
}

#[test]
fn memory_is_that_of_the_ends_and_the_sums() {
    let call = numbered(call(
        &[DataType::Float64],
        &[("nperseg", Value::Integer(256))],
    ));
    let accepted = check(&crate::welch::component(), &call).expect("the call fits");
    let bytes = |samples| fed(&accepted, &pieces(&signal(samples), 1000)).bytes();
    let (few, many) = (bytes(2_000), bytes(200_000));
    // A few numbers that are far smaller than others have sums of their own.
    assert!(many < 2 * few, "{few} {many}");
}

#[test]
fn complex_signals_take_two_columns() {
    let two = [DataType::Float64, DataType::Float64];
    let call = numbered(call(&two, &[("nperseg", Value::Integer(64))]));
    let accepted = check(&crate::welch::component(), &call).expect("the call fits");
    let turn = |i: usize| std::f64::consts::TAU * i as f64 * 0.25;
    let cosines: Vec<f64> = (0..640).map(|i| turn(i).cos()).collect();
    let sines: Vec<f64> = (0..640).map(|i| -turn(i).sin()).collect();
    let mut made = accepted.plan.make();
    made.resize(1);
    let places = Places::From(Place(0));
    made.update(Groups::One, &[column(&cosines), column(&sines)], &places)
        .expect("takes rows");
    let (frequencies, power) = value(&accepted, &*made);
    let peak = (0..64)
        .max_by(|a, b| power[*a].total_cmp(&power[*b]))
        .expect("bins");
    assert_eq!((frequencies[0], frequencies[peak]), (-500.0, -250.0));
}

#[test]
fn what_is_wrong_is_said() {
    let integer = |name: &'static str, n| (name, Value::Integer(n));
    let text = |name: &'static str, text: &str| (name, Value::Text(text.into()));
    let table: Vec<(Vec<(&str, Value)>, &str)> = vec![
        (vec![integer("noverlap", 256)], "less than the 256 samples"),
        (vec![integer("nperseg", 0)], "whole number from 1"),
        (vec![integer("nfft", 100)], "at least the 256 samples"),
        (vec![text("window", "han")], "no window"),
        (vec![text("detrend", "mean")], "constant, linear and none"),
        (vec![text("scaling", "power")], "'density', 'spectrum'"),
        (vec![text("average", "mode")], "'mean', 'median'"),
        (vec![integer("onesided", 1)], "true or false"),
        (vec![integer("rate", 0)], "a rate above 0"),
        (vec![integer("nperseq", 64)], "there is no argument"),
    ];
    for (options, said) in table {
        let found = problem(
            &crate::welch::component(),
            &numbered(call(&[DataType::Float64], &options)),
        );
        assert!(found.message.contains(said), "{found:?}");
    }
    let found = problem(&crate::welch::component(), &call(&[DataType::Float64], &[]));
    assert!(
        found.message.contains("sampling rate is not known"),
        "{found:?}"
    );
    let found = problem(
        &crate::welch::component(),
        &numbered(call(&[DataType::Utf8], &[])),
    );
    assert!(found.message.contains("needs numbers"), "{found:?}");
}

/// The signal of `tests/golden/make_spectra.py`.
fn golden_signal(samples: usize, offset: f64) -> Vec<f64> {
    let mut state = 12345_u64;
    let sample = |i: usize| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        (i % 50) as f64 / 25.0 - 1.0 + (state as f64 / (1_u64 << 31) as f64 - 0.5) + offset
    };
    (0..samples).map(sample).collect()
}

#[test]
fn spectra_of_whole_signals_are_those_of_scipy() {
    let golden = include_str!("../../../tests/golden/spectra.json");
    let golden: serde_json::Value = serde_json::from_str(golden).expect("JSON");
    let listed = crate::list();
    for case in golden["cases"].as_array().expect("cases") {
        let name = case["call"].as_str().expect("a name");
        let component = listed.iter().find(|c| c.info.name == name).expect("listed");
        let options = case["options"].as_object().expect("options").iter();
        let options = options.map(|(name, value)| match value {
            serde_json::Value::String(text) => (name.as_str(), Value::Text(text.clone())),
            serde_json::Value::Bool(truth) => (name.as_str(), Value::Boolean(*truth)),
            number => (
                name.as_str(),
                Value::Integer(number.as_i64().expect("whole")),
            ),
        });
        let samples = case["samples"].as_u64().expect("a number") as usize;
        let offset = case["offset"].as_f64().expect("a number");
        let width = if case["complex"] == true { 2 } else { 1 };
        let options: Vec<(&str, Value)> = options.collect();
        let call = numbered(call(&vec![DataType::Float64; width], &options));
        let accepted = check(component, &call).expect("the call fits");
        let all = golden_signal(samples * width, offset);
        let part = |at: usize| {
            column(
                &all.iter()
                    .skip(at)
                    .step_by(width)
                    .copied()
                    .collect::<Vec<_>>(),
            )
        };
        let columns: Vec<ArrayRef> = (0..width).map(part).collect();
        let mut made = accepted.plan.make();
        made.resize(1);
        made.update(Groups::One, &columns, &Places::From(Place(0)))
            .expect("takes rows");
        let (frequencies, values) = value(&accepted, &*made);
        let numbers = |of: &serde_json::Value| -> Vec<f64> {
            of.as_array()
                .expect("numbers")
                .iter()
                .map(|x| x.as_f64().expect("a number"))
                .collect()
        };
        let (expected_frequencies, expected) =
            (numbers(&case["frequencies"]), numbers(&case["values"]));
        assert_eq!(frequencies.len(), expected_frequencies.len());
        for (found, expected) in frequencies.iter().zip(&expected_frequencies) {
            assert!(
                (found - expected).abs() < 1e-9,
                "{name}: {found} {expected}"
            );
        }
        assert_eq!(values.len(), expected.len());
        let largest = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        for (found, expected) in values.iter().zip(&expected) {
            let off = (found - expected).abs() / largest;
            assert!(
                off < 1e-12,
                "{name} {:?}: {found} {expected}",
                case["options"]
            );
        }
    }
}

#[test]
fn approximate_medians_are_near() {
    let text = Value::Text("median".into());
    let mut options = vec![("nperseg", Value::Integer(32)), ("average", text)];
    let component = crate::welch::component();
    let samples = golden_signal(20_000, 0.0);
    let mut found = Vec::new();
    for _ in 0..2 {
        let call = numbered(call(&[DataType::Float64], &options));
        let accepted = check(&component, &call).expect("the call fits");
        let made = fed(&accepted, &pieces(&samples, 999));
        found.push((value(&accepted, &*made).1, made.bytes(), made.remarks(&[0])));
        options.push(("approximate", Value::Boolean(true)));
    }
    let [(exact, all, told), (near, few, said)] = &found[..] else {
        panic!("two results");
    };
    for (near, exact) in near.iter().zip(exact) {
        assert!((near / exact - 1.0).abs() < 1.0 / 250.0, "{near} {exact}");
    }
    assert!(told.is_empty() && few < all, "{few} {all}");
    assert!(said[0].0.contains("approximate"));
}
