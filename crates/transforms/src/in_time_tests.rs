//! Rows in the order of their time, with and without room for them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use dataflow_core::{Place, Places, Times};
use dataflow_testkit::MemorySpill;

use dataflow_core::in_time::InTime;
use dataflow_core::time::END;
use dataflow_core::{Batch, StageContext};

fn context(memory: usize) -> StageContext {
    StageContext {
        id: "it".into(),
        worker: 0,
        workers: 1,
        batch_rows: 10,
        memory,
        spill: Arc::new(dataflow_testkit::SharedSpill(MemorySpill::new())),
    }
}

fn batch(times: &[i64], first: u64) -> Batch {
    let column: ArrayRef = Arc::new(Int64Array::from(times.to_vec()));
    let rows = RecordBatch::try_from_iter([("x", column)]).expect("a column");
    Batch::new(rows)
        .with_times(Some(Times::new(times.to_vec())))
        .with_places(Places::From(Place(first)))
}

#[test]
fn rows_go_in_order_as_the_watermark_passes() {
    for memory in [1, 600, 1 << 20] {
        let mut rows = InTime::new(&context(memory));
        let all: Vec<i64> = (0..500).map(|i| i * 10 + (i * 7919) % 90).collect();
        let mut gone: Vec<(i64, u64)> = Vec::new();
        for (piece, times) in all.chunks(30).enumerate() {
            rows.push(batch(times, piece as u64 * 30)).expect("holds");
            let watermark = times.iter().max().expect("some") - 90;
            rows.let_go(watermark).expect("begins");
            while let Some(batch) = rows.next().expect("goes") {
                let times = batch.rows().column(0).as_primitive::<Int64Type>();
                assert!(times.values().iter().all(|time| *time < watermark));
                assert_eq!(times.values(), batch.times().expect("times").at());
                let places = (0..batch.len()).map(|row| batch.places().get(row).expect("place").0);
                gone.extend(times.values().iter().copied().zip(places));
            }
        }
        rows.let_go(END).expect("begins");
        while let Some(batch) = rows.next().expect("goes") {
            let places = (0..batch.len()).map(|row| batch.places().get(row).expect("place").0);
            gone.extend(
                batch
                    .times()
                    .expect("times")
                    .at()
                    .iter()
                    .copied()
                    .zip(places),
            );
        }
        let mut expected: Vec<(i64, u64)> = all.iter().copied().zip(0..).collect();
        expected.sort_unstable();
        assert_eq!(gone, expected, "{memory} bytes");
        assert_eq!(rows.bytes(), 0);
    }
}
