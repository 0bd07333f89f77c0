//! Nanoseconds per value of the ordered accumulators; run with `cargo test --test order_speed -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, StringArray};
use arrow_schema::Field;
use dataflow_accumulators::list;
use dataflow_core::accumulator::{Accepted, Argument, Call};
use dataflow_core::component::Build;
use dataflow_core::{Groups, Place, Places, Value};

const ROWS: usize = 1 << 20;
const BATCH: usize = 8192;

fn accepted(name: &str, columns: &[ArrayRef], options: &[Value]) -> Accepted {
    let found = list().into_iter().find(|c| c.info.name == name);
    let component = found.expect("is in the list");
    let Build::Accumulator(accept) = component.build else {
        panic!("{name} is not an accumulator");
    };
    let fields = columns
        .iter()
        .map(|c| Arc::new(Field::new("x", c.data_type().clone(), true)));
    let options = options.iter().map(|value| Argument {
        name: String::new(),
        value: value.clone(),
        at: 0..0,
    });
    accept(&Call {
        arguments: fields.collect(),
        options: options.collect(),
        ..Call::default()
    })
    .expect("the call fits")
}

/// Uniform numbers, cut to so many distinct ones.
fn numbers(distinct: f64, seed: u64) -> ArrayRef {
    let mut state = seed;
    let random = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let x = (state >> 11) as f64 / (1_u64 << 53) as f64;
        (x * distinct).floor() / 100.0
    });
    Arc::new(Float64Array::from_iter_values(random.take(ROWS)))
}

/// The time of all batches through this many accumulators in turn, per value.
fn measure(
    name: &str,
    columns: &[ArrayRef],
    options: &[Value],
    groups: usize,
    times: usize,
) -> f64 {
    let accepted = accepted(name, columns, options);
    let mut made: Vec<_> = (0..times).map(|_| accepted.plan.make()).collect();
    made.iter_mut().for_each(|made| made.resize(groups));
    let each: Vec<u32> = (0..ROWS).map(|row| (row * 7919 % groups) as u32).collect();
    let start = Instant::now();
    for from in (0..ROWS).step_by(BATCH) {
        let columns: Vec<ArrayRef> = columns.iter().map(|c| c.slice(from, BATCH)).collect();
        let places = Places::From(Place(from as u64));
        let groups = match groups {
            1 => Groups::One,
            _ => Groups::Each(&each[from..from + BATCH]),
        };
        for made in &mut made {
            made.update(groups, &columns, &places).expect("takes rows");
        }
    }
    let reading = accepted.plan.reading();
    let all: Vec<u32> = (0..groups as u32).collect();
    for made in &made {
        made.value(&reading, &all).expect("has values");
    }
    let bytes = made[0].bytes();
    let nanoseconds = start.elapsed().as_nanos() as f64 / (ROWS * times) as f64;
    println!(
        "{name:15} {groups:7} groups {times} columns {nanoseconds:7.1} ns/value {bytes:10} bytes"
    );
    nanoseconds
}

#[test]
#[ignore = "a measurement"]
fn nanoseconds_per_value() {
    for distinct in [100.0, 1e3, 2e4, 6e4, 1e15] {
        println!("-- {distinct:e} distinct values");
        let x = [numbers(distinct, 1)];
        for name in ["median", "min", "count_distinct", "mode"] {
            measure(name, &x, &[], 1, 8);
        }
        for groups in [1000, 165_000] {
            measure("median", &x, &[], groups, 1);
            measure("min", &x, &[], groups, 1);
        }
    }
    let x = numbers(1e3, 1);
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..ROWS).map(|row| format!("device-{}", row * 7919 % 1000)),
    ));
    for groups in [1, 1000, 165_000] {
        measure("first", std::slice::from_ref(&x), &[], groups, 1);
        measure("last", std::slice::from_ref(&text), &[], groups, 1);
        measure("arg_max", &[text.clone(), x.clone()], &[], groups, 1);
        measure(
            "count_distinct",
            std::slice::from_ref(&text),
            &[],
            groups,
            1,
        );
        measure("max", std::slice::from_ref(&text), &[], groups, 1);
        measure(
            "top_values",
            std::slice::from_ref(&text),
            &[Value::Integer(3)],
            groups,
            1,
        );
    }
}
