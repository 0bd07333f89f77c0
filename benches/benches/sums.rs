//! Exact sums beside plain ones: one group, a thousand, and as many as a large group-by has.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::{DataType, Field};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dataflow::Catalog;
use dataflow::core::accumulator::Call;
use dataflow::core::component::Build;
use dataflow::core::{Accumulator, Groups, Places, Sampled};

const BATCH: usize = 8192;

/// Voltages as an instrument writes them, and a group for each by a multiplicative hash.
fn rows(groups: usize, batch: usize) -> (Vec<f64>, Vec<u32>) {
    let spread = |row: usize| (row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as u64;
    let values = (0..BATCH).map(|row| 3.2 + (spread(batch * BATCH + row) % 10_000) as f64 / 1e4);
    let groups = (0..BATCH).map(|row| (spread(batch * BATCH + row + 7) % groups as u64) as u32);
    (values.collect(), groups.collect())
}

fn exact_sum() -> Box<dyn Accumulator> {
    let catalog = Catalog::default();
    let sum = catalog
        .components()
        .iter()
        .find(|component| component.info.name == "sum");
    let call = Call {
        arguments: vec![Arc::new(Field::new("x", DataType::Float64, true))],
        options: Vec::new(),
        sampled: Sampled::default(),
    };
    match sum.map(|component| &component.build) {
        Some(Build::Accumulator(accept)) => accept(&call).expect("a sum of doubles").plan.make(),
        _ => unreachable!("`sum` is an accumulator of the catalog"),
    }
}

fn sums(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sums");
    group.throughput(Throughput::Elements((16 * BATCH) as u64));
    for groups in [1, 1000, 165_000] {
        let batches: Vec<_> = (0..16).map(|batch| rows(groups, batch)).collect();
        let columns: Vec<ArrayRef> = batches
            .iter()
            .map(|(x, _)| Arc::new(Float64Array::from(x.clone())) as ArrayRef)
            .collect();
        let mut sum = exact_sum();
        sum.resize(groups);
        group.bench_function(BenchmarkId::new("exact", groups), |bencher| {
            bencher.iter(|| {
                for (column, (_, ids)) in columns.iter().zip(&batches) {
                    let ids = if groups == 1 {
                        Groups::One
                    } else {
                        Groups::Each(ids)
                    };
                    sum.update(ids, std::slice::from_ref(column), &Places::Unknown)
                        .expect("sums");
                }
            });
        });
        let mut plain = vec![0.0; groups];
        group.bench_function(BenchmarkId::new("plain", groups), |bencher| {
            bencher.iter(|| {
                for (values, ids) in &batches {
                    for (value, id) in values.iter().zip(ids) {
                        plain[*id as usize] += value;
                    }
                }
                std::hint::black_box(&mut plain);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = all;
    config = Criterion::default();
    targets = sums
}
criterion_main!(all);
