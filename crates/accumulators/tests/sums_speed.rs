//! Nanoseconds per value of the accumulators on exact sums, beside a plain loop; run with
//! `cargo test --test sums_speed -- --ignored --nocapture`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, Int64Array};
use arrow_schema::Field;
use dataflow_accumulators::list;
use dataflow_core::accumulator::{Accepted, Call};
use dataflow_core::component::Build;
use dataflow_core::{Groups, Place, Places};

const ROWS: usize = 1 << 21;
const BATCH: usize = 8192;

fn accepted(name: &str, columns: &[ArrayRef]) -> Accepted {
    let found = list().into_iter().find(|c| c.info.name == name);
    let Build::Accumulator(accept) = found.expect("is in the list").build else {
        panic!("{name} is not an accumulator");
    };
    let field = |c: &ArrayRef| Arc::new(Field::new("x", c.data_type().clone(), true));
    let call = Call {
        arguments: columns.iter().map(field).collect(),
        options: Vec::new(),
        ..Call::default()
    };
    accept(&call).expect("the call fits")
}

fn random(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed), |x| {
        let x = x ^ (x << 13);
        let x = x ^ (x >> 7);
        Some(x ^ (x << 17))
    })
}

fn column(seed: u64) -> ArrayRef {
    let values = random(seed).map(|x| (x >> 11) as f64 / 2_f64.powi(53));
    Arc::new(Float64Array::from_iter_values(values.take(ROWS)))
}

/// The fewest nanoseconds per item of five tries.
fn nanoseconds(items: usize, mut work: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..5).map(time).fold(f64::MAX, f64::min) / items as f64 * 1e9
}

fn plain(values: &Float64Array, of: &[u32], groups: usize) -> f64 {
    let mut sums = vec![(0.0, 0_u64); groups];
    nanoseconds(ROWS, || {
        for (x, group) in values.values().iter().zip(of) {
            let sum = &mut sums[*group as usize];
            sum.0 += x;
            sum.1 += 1;
        }
        black_box(&sums);
    })
}

fn report(name: &str, columns: &[ArrayRef], of: &[u32], groups: usize) {
    let accepted = accepted(name, columns);
    let mut made = accepted.plan.make();
    made.resize(groups);
    let per_row = nanoseconds(ROWS, || {
        for start in (0..ROWS).step_by(BATCH) {
            let slice = |column: &ArrayRef| column.slice(start, BATCH);
            let columns: Vec<ArrayRef> = columns.iter().map(slice).collect();
            let ids = match groups {
                1 => Groups::One,
                _ => Groups::Each(&of[start..start + BATCH]),
            };
            let places = Places::From(Place(start as u64));
            made.update(ids, &columns, &places).expect("takes rows");
        }
    });
    let all: Vec<u32> = (0..groups as u32).collect();
    let reading = accepted.plan.reading();
    let write = nanoseconds(groups, || drop(made.state(&all).expect("has a state")));
    let state = made.state(&all).expect("has a state");
    let mut into = accepted.plan.make();
    into.resize(groups);
    let merge = nanoseconds(groups, || into.merge(&all, &state).expect("merges"));
    let value = nanoseconds(groups, || {
        drop(made.value(&reading, &all).expect("has a value"))
    });
    let bytes = made.bytes() as f64 / groups as f64;
    println!(
        "{name:14} {groups:7} groups: {per_row:6.2} a row; a group: write {write:6.1}, merge {merge:6.1}, value {value:7.1}, {bytes:.0} bytes"
    );
}

#[test]
#[ignore = "a measurement"]
fn nanoseconds_per_value() {
    let (x, y) = (column(1), column(2));
    let whole: ArrayRef = Arc::new(Int64Array::from_iter_values(
        random(3).map(|x| x as i64 % 1000).take(ROWS),
    ));
    for groups in [1, 1000, 165_000] {
        let of = random(5).map(|x| (x % groups as u64) as u32);
        let of: Vec<u32> = of.take(ROWS).collect();
        let floats = x.as_any().downcast_ref::<Float64Array>().expect("doubles");
        println!(
            "plain sum and count: {:.2} a row",
            plain(floats, &of, groups)
        );
        for name in ["sum", "count", "variance", "skewness"] {
            report(name, &[Arc::clone(&x)], &of, groups);
        }
        report("sum", &[Arc::clone(&whole)], &of, groups);
        for name in ["covariance", "weighted_mean", "integral"] {
            report(name, &[Arc::clone(&y), Arc::clone(&x)], &of, groups);
        }
    }
}
