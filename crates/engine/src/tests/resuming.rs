//! Runs that are stopped at any moment and go on from their last snapshot: what they write in the end is what an undisturbed run
//! writes, on any number of workers.

use std::collections::BTreeMap;

use crate::resume::StateSettings;

use super::*;

/// Columns of keys and numbers: what a keyed stage holds.
pub(super) fn pairs(held: &BTreeMap<i64, i64>) -> Batch {
    let columns: [(&str, ArrayRef); 2] = [
        (
            "key",
            Arc::new(Int64Array::from_iter_values(held.keys().copied())),
        ),
        (
            "x",
            Arc::new(Int64Array::from_iter_values(held.values().copied())),
        ),
    ];
    Batch::new(RecordBatch::try_from_iter(columns).expect("two columns"))
}

/// The same, read again: the rows of the keys that a worker owns.
pub(super) fn restored(from: &saved::Restored<'_>, name: &str) -> Result<BTreeMap<i64, i64>> {
    let column = |batch: &Batch, at: usize| {
        let column = batch.rows().column(at).as_primitive::<Int64Type>();
        column.values().to_vec()
    };
    let hash = |batch: &Batch| {
        let keys = column(batch, 0).into_iter();
        Ok(keys.map(|key| key_hash(&key.to_be_bytes())).collect())
    };
    let mut held = BTreeMap::new();
    from.rows(name, saved::Share::Keyed(&hash), &mut |batch| {
        held.extend(column(&batch, 0).into_iter().zip(column(&batch, 1)));
        Ok(())
    })?;
    Ok(held)
}

fn nodes(sinks: &[Collect; 3], slow: bool) -> Vec<PlanNode> {
    let numbers = |first, splits: &[u64]| {
        let source = Arc::into_inner(Numbers::new(first, splits, 50)).expect("one owner");
        Work::Source(Arc::new(Numbers { slow, ..source }))
    };
    let double = each(|batch, out| {
        let doubled = values(batch).into_iter().map(|x| 2 * x).collect();
        out.send(0, batch.clone().with_rows(rows(doubled)));
        Ok(Flow::Ready)
    });
    let sink = |at: usize| Work::Sink(Arc::new(sinks[at].clone()));
    vec![
        node("a", numbers(0, &[3000, 1, 0, 2000]), &[]),
        node("b", numbers(100_000, &[777]), &[]),
        node("sums", keyed_sum(), &[0]),
        node("digests", keyed_digest(), &[0]),
        node("doubled", made(vec![double]), &[0]),
        node("sums_out", sink(0), &[2]),
        node("digests_out", sink(1), &[3]),
        // The rows of the second input wait for the end of the first.
        node("both_out", sink(2), &[4, 1]),
    ]
}

fn sinks() -> [Collect; 3] {
    std::array::from_fn(|_| Collect::default())
}

fn seen(sinks: &[Collect; 3]) -> Vec<Vec<i64>> {
    let seen = |sink: &Collect| sink.seen.lock().expect("no panic").clone();
    sinks.iter().map(seen).collect()
}

#[test]
fn a_run_that_was_stopped_goes_on_where_it_was() {
    let undisturbed = sinks();
    run(nodes(&undisturbed, false), 1, 1 << 20, 8192).expect("runs");
    let mut stopped = 0;
    for seed in 0..12_u64 {
        let folder = tempfile::tempdir().expect("a folder");
        let disturbed = sinks();
        for attempt in 0.. {
            assert!(attempt < 40, "it never ends");
            let plan = Plan {
                name: "test".into(),
                nodes: nodes(&disturbed, true),
            };
            let settings = Settings {
                workers: 1 + (seed + attempt) as usize % 3,
                memory: 1 << 20,
                batch_rows: [7, 8192][(seed + attempt) as usize % 2],
                state: Some(StateSettings {
                    folder: folder.path().join("state"),
                    every: Every::Time(units::Duration::from_nanoseconds(1_000_000)),
                    ..StateSettings::default()
                }),
                ..Settings::default()
            };
            let run = Run::new(plan, settings).expect("is prepared");
            let stop = run.stop_handle();
            let after = Duration::from_micros((seed * 7919 + attempt * 104_729) % 30_000);
            let last = attempt > 5;
            std::thread::spawn(move || {
                std::thread::sleep(after);
                match (last, seed % 2) {
                    (true, _) => {}
                    (_, 0) => stop.stop(),
                    _ => assert!(stop.pause(), "snapshots are made"),
                }
            });
            match run.execute() {
                Ok(_) => break,
                Err(error) => {
                    let fault = [error::Fault::Stopped, error::Fault::Paused][seed as usize % 2];
                    assert_eq!(error.fault(), fault, "{error}");
                    stopped += 1;
                }
            }
        }
        for (at, (found, expected)) in seen(&disturbed).iter().zip(seen(&undisturbed)).enumerate() {
            let same = found.iter().zip(&expected).take_while(|(a, b)| a == b);
            let same = same.count();
            let lengths = (found.len(), expected.len());
            assert!(
                *found == expected,
                "seed {seed}, sink {at}: row {same} differs of {lengths:?}"
            );
        }
    }
    assert!(stopped > 12, "{stopped} runs were stopped");
}

/// How many snapshots a run over 5,778 rows makes, in pieces of at most 50.
fn snapshots_of_a_run(every: Every) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan {
        name: "test".into(),
        nodes: nodes(&sinks(), true),
    };
    let settings = Settings {
        workers: 2,
        state: Some(StateSettings {
            folder: folder.path().join("state"),
            every,
            ..StateSettings::default()
        }),
        ..Settings::default()
    };
    let run = Run::new(plan, settings).expect("is prepared");
    run.execute().expect("runs");
    let stored = crate::stored(&folder.path().join("state")).expect("readable");
    stored.expect("a snapshot").number
}

#[test]
fn snapshots_go_by_rows() {
    // The last one is made however many rows there were.
    assert_eq!(snapshots_of_a_run(Every::Rows(5779)), 1);
    assert_eq!(snapshots_of_a_run(Every::Rows(5700)), 2);
    let many = snapshots_of_a_run(Every::Rows(1000));
    assert!((2..=6).contains(&many), "{many}");
    let more = snapshots_of_a_run(Every::Rows(50));
    assert!((3..=117).contains(&more), "{more}");
}
