//! The store with its threads: commits that fail, compaction beside commits, and closing.

use std::sync::Arc;

use serde_json::json;

use super::draw::{Seen, commit, delta, latest, part, rows, see, seen};
use super::simulated::{Dice, Fault, Simulated};
use crate::books::Books;
use crate::changes::Changes;
use crate::disk::Disk;
use crate::names;
use crate::round::Tuning;
use crate::{Content, Store};

const EAGER: Tuning = Tuning { small: 0, many: 2 };

fn store(disk: &Simulated) -> Store {
    Store::on(Arc::new(disk.clone()), EAGER, None).expect("opens")
}

#[test]
fn what_a_full_disk_refused_is_part_of_the_next_snapshot() {
    let disk = Simulated::default();
    let store = store(&disk);
    commit(
        &store,
        &[("rows", delta(&[("a", Some(1)), ("b", Some(1))]))],
    );
    for n in 1..12_i64 {
        // At another operation each time; compaction may be the one that it hits first.
        disk.fault_in(n as u64 % 4, Fault::Full(1 << 40));
        let failed = (0..3).find_map(|attempt| {
            let mut draft = store.begin().expect("begins");
            let changed = delta(&[("a", None), ("c", Some(n)), ("e", Some(attempt))]);
            draft.put(part("rows"), changed).expect("fits");
            draft
                .put(part("bytes"), Content::Whole(vec![n as u8]))
                .expect("fits");
            let pending = draft.commit(json!(1)).expect("hands over");
            pending.wait().err()
        });
        let failed = failed.expect("is full");
        assert!(failed.to_string().contains("simulated/"), "{failed}");
        assert!(
            failed
                .helps()
                .is_some_and(|help| help.contains("make room")),
            "{failed}"
        );
        assert!(
            see(&latest(&store), &part("rows")).is_ok(),
            "the one before is usable"
        );
        disk.repair();
        commit(&store, &[("rows", delta(&[("d", Some(n)), ("e", None)]))]);
        let snapshot = latest(&store);
        let expected = seen(&[("b", 1), ("c", n), ("d", n)]);
        assert_eq!(
            see(&snapshot, &part("rows")).expect("reads"),
            Some(expected)
        );
        let expected = Seen::Bytes(vec![n as u8]);
        assert_eq!(
            see(&snapshot, &part("bytes")).expect("reads"),
            Some(expected)
        );
    }
}

#[test]
fn commits_and_compaction_beside_one_another_lose_nothing() {
    let disk = Simulated::default();
    let mut expected = std::collections::BTreeMap::new();
    for opening in 0..4_i64 {
        let store = store(&disk);
        let mut pending = Vec::new();
        for n in 0..60 {
            let keys: Vec<String> = (0..40)
                .map(|k| format!("{}", (k * 37 + n * 11 + opening) % 300))
                .collect();
            let drawn: Vec<(&str, Option<i64>)> = keys
                .iter()
                .enumerate()
                .map(|(at, key)| (key.as_str(), (at % 5 != 0).then_some(opening * 100 + n)))
                .collect();
            for (key, number) in &drawn {
                match number {
                    Some(number) => drop(expected.insert(key.as_bytes().to_vec(), *number)),
                    None => drop(expected.remove(key.as_bytes())),
                }
            }
            let mut draft = store.begin().expect("begins");
            draft
                .put(
                    part("rows"),
                    Content::Delta {
                        batches: vec![rows(&drawn)],
                    },
                )
                .expect("fits");
            pending.push(draft.commit(json!(n)).expect("hands over"));
        }
        for (at, pending) in pending.into_iter().enumerate() {
            let done = pending.wait().expect("is durable");
            assert_eq!(done.number, opening as u64 * 60 + at as u64 + 1);
            assert!(done.warnings.is_empty(), "{:?}", done.warnings);
        }
        assert_eq!(
            see(&latest(&store), &part("rows")).expect("reads"),
            Some(Seen::Rows(expected.clone()))
        );
    }
}

#[test]
fn closing_waits_for_what_was_handed_over() {
    let disk = Simulated::default();
    let store = store(&disk);
    let mut draft = store.begin().expect("begins");
    draft
        .put(part("a"), Content::Whole(vec![1; 100]))
        .expect("fits");
    let mut pending = draft.commit(json!(1)).expect("hands over");
    let late = store.begin().expect("begins");
    drop(store);
    assert_eq!(
        pending
            .try_done()
            .expect("is done")
            .expect("is durable")
            .number,
        1
    );
    assert!(late.commit(json!(2)).is_err(), "the store is closed");
}

#[test]
fn nobody_removes_the_segment_that_compaction_writes() {
    let disk = Simulated::default();
    let mut books = Books::open(Arc::new(disk.clone()), EAGER).expect("opens");
    for n in 0..2 {
        let mut changes = Changes::default();
        changes
            .put(part("rows"), delta(&[("a", Some(n))]))
            .expect("fits");
        books.commit(&changes, json!(n)).expect("is durable");
    }
    let round = books.round().expect("no error").expect("is due");
    let path = names::segment(round.segment);
    disk.create(&path).expect("made");
    books.sweep().expect("sweeps");
    assert!(disk.paths().contains(&path));
}

#[test]
fn whenever_the_power_goes_a_snapshot_that_was_tried_is_found_and_none_before_a_confirmed_one() {
    let numbers = |n: i64| {
        (0..60)
            .map(move |key| (key * 7 + n * 13) % 50)
            .map(move |key| (format!("{key}"), n))
    };
    for seed in 0..300_u64 {
        let disk = Simulated::default();
        disk.fault_in(seed, Fault::Cut);
        let mut confirmed = 0;
        if let Ok(store) = Store::on(Arc::new(disk.clone()), EAGER, None) {
            for n in 1..30_i64 {
                let drawn: Vec<(String, i64)> = numbers(n).collect();
                let drawn: Vec<_> = drawn
                    .iter()
                    .map(|(key, n)| (key.as_str(), Some(*n)))
                    .collect();
                let mut draft = store.begin().expect("begins");
                draft.put(part("rows"), delta(&drawn)).expect("fits");
                if draft.commit(json!(n)).expect("hands over").wait().is_ok() {
                    confirmed = n;
                }
            }
        }
        let found = store(&disk.after_cut(&mut Dice(seed)));
        let Some(snapshot) = found.latest().expect("a crash damages nothing") else {
            assert_eq!(confirmed, 0);
            continue;
        };
        let last = snapshot.facts().as_i64().expect("as it was written");
        assert!(last >= confirmed && snapshot.warnings().is_empty());
        let expected = (1..=last)
            .flat_map(numbers)
            .map(|(key, n)| (key.into_bytes(), n));
        assert_eq!(
            see(&snapshot, &part("rows")).expect("reads"),
            Some(Seen::Rows(expected.collect()))
        );
    }
}

#[test]
fn everything_may_go_to_another_thread() {
    fn sent<T: Send>() {}
    fn shared<T: Sync>() {}
    sent::<(
        Store,
        crate::Draft,
        crate::Pending,
        crate::Snapshot,
        crate::Batches,
    )>();
    shared::<(Store, crate::Snapshot)>();
}
