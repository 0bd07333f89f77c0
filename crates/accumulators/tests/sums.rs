//! Sums, moments, lines and integrals against exact rationals: `golden/make_sums.py` says how these were found.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_schema::{DataType, Field};
use dataflow_accumulators::list;
use dataflow_core::accumulator::{Argument, Call};
use dataflow_core::component::Build;
use dataflow_core::{Groups, Place, Places, Value};

fn number(bits: &serde_json::Value) -> f64 {
    let bits = bits.as_str().expect("a text");
    f64::from_bits(u64::from_str_radix(bits, 16).expect("16 digits"))
}

fn column(values: &serde_json::Value) -> ArrayRef {
    let values = values.as_array().expect("a list");
    Arc::new(values.iter().map(number).collect::<Float64Array>())
}

/// What a call such as `variance(x, ddof => 0)` says of columns `x` and `y`.
fn value(text: &str, x: &ArrayRef, y: &ArrayRef) -> f64 {
    let (name, inner) = text.trim_end_matches(')').split_once('(').expect("a call");
    let (mut columns, mut options) = (Vec::new(), Vec::new());
    for argument in inner.split(", ") {
        match argument.split_once(" => ") {
            Some((name, value)) => options.push(Argument {
                name: name.to_owned(),
                value: Value::Integer(value.parse().expect("a whole number")),
                at: 0..0,
            }),
            None => columns.push(Arc::clone(if argument == "x" { x } else { y })),
        }
    }
    let found = list()
        .into_iter()
        .find(|component| component.info.name == name);
    let Build::Accumulator(accept) = found.expect("is listed").build else {
        panic!("{name} is not an accumulator");
    };
    let field = Arc::new(Field::new("x", DataType::Float64, true));
    let arguments = columns.iter().map(|_| Arc::clone(&field)).collect();
    let accepted = accept(&Call {
        arguments,
        options,
        ..Call::default()
    })
    .expect("the call fits");
    let mut made = accepted.plan.make();
    made.resize(1);
    let taken = made.update(Groups::One, &columns, &Places::From(Place(0)));
    taken.expect("takes rows");
    let value = made
        .value(&accepted.plan.reading(), &[0])
        .expect("has a value");
    assert!(!value.is_null(0), "{text}");
    value.as_primitive::<Float64Type>().value(0)
}

#[test]
fn results_are_the_rounded_true_values() {
    let text = include_str!("golden/sums.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(text).expect("is JSON");
    assert_eq!(cases.len(), 15);
    for case in cases {
        let (x, y) = (column(&case["x"]), column(&case["y"]));
        for (call, bits) in case["found"].as_object().expect("a table") {
            let (expected, found) = (number(bits), value(call, &x, &y));
            let same =
                found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
            assert!(
                same,
                "{call} of {}: {found:e}, not {expected:e}",
                case["name"]
            );
        }
    }
}
