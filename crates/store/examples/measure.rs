//! Measures commits of 10 MB of delta over a million keys, and reading back a gigabyte: `cargo run --release --example measure`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Float64Array, RecordBatch};
use dataflow_store::{Content, Owner, PartKey, Store, Stored};
use serde_json::json;

const KEYS: u64 = 1 << 20;
/// A key of 16 bytes, and numbers beside it: about 100 bytes a row.
const NUMBERS: usize = 10;
const ROW: usize = 16 + 4 + 8 * NUMBERS;
const DELTA: usize = 10_000_000;
const LARGE: usize = 1_000_000_000;

fn mixed(n: u64) -> u64 {
    let z = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Rows of keys as a hash map would give them, in no order, with numbers that do not compress.
fn batch(rows: impl Iterator<Item = u64>) -> RecordBatch {
    let keys: Vec<u64> = rows.collect();
    let text = keys.iter().map(|key| format!("{:016x}", mixed(*key)));
    let column = |at: usize| -> ArrayRef {
        let number = move |key: &u64| mixed(key.wrapping_mul(31) + at as u64) as f64;
        Arc::new(Float64Array::from_iter_values(keys.iter().map(number)))
    };
    let mut columns: Vec<(String, ArrayRef)> = vec![
        (
            "key".to_string(),
            Arc::new(BinaryArray::from_iter_values(text)),
        ),
        (
            "gone".to_string(),
            Arc::new(BooleanArray::from(vec![false; keys.len()])),
        ),
    ];
    columns.extend((0..NUMBERS).map(|at| (format!("n{at}"), column(at))));
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn part(worker: u32) -> PartKey {
    PartKey {
        component: "measured".to_string(),
        operator: "groups".to_string(),
        worker,
    }
}

fn rate(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / 1e6 / took.as_secs_f64()
}

/// How long this thread has worked, as the system counts it: what it waits for others is not its own. Zero where it is not told.
fn on_processor() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let worked = told.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(worked.unwrap_or(0))
}

/// Commits deltas one after the other, while compaction runs beside them.
fn commits(folder: &Path) {
    let store = Store::open(folder, &Owner::this_process("measure")).expect("opens");
    let (mut handed, mut took) = (Vec::new(), Vec::new());
    let (rounds, mut written) = (60, 0);
    for round in 0..rounds {
        let rows = (DELTA / ROW) as u64;
        let keys = (0..rows).map(|row| mixed(round * rows + row) % KEYS);
        let delta = Content::Delta {
            batches: vec![batch(keys)],
        };
        let begun = on_processor();
        let mut draft = store.begin().expect("begins");
        draft.put(part(0), delta).expect("fits");
        let pending = draft.commit(json!(round)).expect("hands over");
        handed.push(on_processor().saturating_sub(begun));
        let done = pending.wait().expect("is durable");
        took.push(done.took);
        written += done.bytes;
    }
    let [(middle, slowest), (caller, _)] = [took, handed].map(|mut times| {
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() - 1])
    });
    println!(
        "commit of {} MB of delta: {middle:?} ({:.0} MB/s), at most {slowest:?}; {caller:?} of the caller",
        DELTA / 1_000_000,
        rate(DELTA, middle),
    );
    println!("  {} MB written by commits", written / 1_000_000);
    read(&store, "after so many deltas");
    drop(store);
    let segments = std::fs::read_dir(folder.join("parts")).expect("lists");
    let size: u64 = segments
        .map(|entry| entry.expect("an entry").metadata().expect("is there").len())
        .sum();
    println!("  {} MB on disk", size / 1_000_000);
}

fn read(store: &Store, what: &str) {
    let begun = Instant::now();
    let snapshot = store.latest().expect("is whole").expect("is there");
    let verified = begun.elapsed();
    let (mut rows, mut bytes) = (0, 0);
    for (key, _) in snapshot.parts() {
        let Some(Stored::Rows(batches)) = snapshot.read(key).expect("opens") else {
            continue;
        };
        for batch in batches {
            rows += batch.expect("reads").num_rows();
        }
    }
    bytes += rows * ROW;
    let took = begun.elapsed();
    let stored: u64 = snapshot.parts().map(|(_, facts)| facts.bytes).sum();
    println!(
        "read {what}: {rows} rows, {} MB ({} MB on disk) in {took:?} ({:.0} MB/s), of which checking {verified:?}",
        bytes / 1_000_000,
        stored / 1_000_000,
        rate(bytes, took)
    );
}

/// A gigabyte in one snapshot, and deltas of half of it over that.
fn recovery(folder: &Path) {
    let store = Store::open(folder, &Owner::this_process("measure")).expect("opens");
    let rows = (LARGE / ROW) as u64;
    for (round, share) in [(0, 1), (1, 4), (2, 8), (3, 16)] {
        let mut draft = store.begin().expect("begins");
        for worker in 0..4 {
            let keys =
                (0..rows / 4 / share).map(|row| mixed(row * share + u64::from(worker) * rows));
            draft
                .put(
                    part(worker),
                    Content::Delta {
                        batches: vec![batch(keys)],
                    },
                )
                .expect("fits");
        }
        let done = draft
            .commit(json!(round))
            .expect("hands over")
            .wait()
            .expect("is durable");
        println!(
            "commit of {} MB: {:?} ({:.0} MB/s)",
            LARGE as u64 / share / 1_000_000,
            done.took,
            rate(LARGE / share as usize, done.took)
        );
        read(&store, "what is there");
    }
}

fn main() {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".to_string());
    for measure in [commits, recovery] {
        let folder = Path::new(&parent).join("measured-store");
        measure(&folder);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
