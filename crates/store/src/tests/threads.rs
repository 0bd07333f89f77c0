//! The store with its threads: commits that fail, compaction beside commits, and closing.

use std::sync::Arc;

use serde_json::json;

use super::draw::{Seen, commit, delta, latest, part, rows, see, seen};
use super::simulated::{Fault, Simulated};
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
    for lasting in 1..12 {
        disk.fault_in(1, Fault::Full(lasting));
        let mut draft = store.begin().expect("begins");
        draft
            .put(
                part("rows"),
                delta(&[("a", None), ("c", Some(lasting as i64))]),
            )
            .expect("fits");
        draft
            .put(part("bytes"), Content::Whole(vec![lasting as u8]))
            .expect("fits");
        let failed = draft
            .commit(json!(1))
            .expect("hands over")
            .wait()
            .expect_err("is full");
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
        let next = loop {
            let mut draft = store.begin().expect("begins");
            draft
                .put(part("rows"), delta(&[("d", Some(lasting as i64))]))
                .expect("fits");
            if let Ok(done) = draft.commit(json!(2)).expect("hands over").wait() {
                break done.number;
            }
        };
        let snapshot = latest(&store);
        assert_eq!(snapshot.number(), next);
        let n = lasting as i64;
        assert_eq!(
            see(&snapshot, &part("rows")).expect("reads"),
            Some(seen(&[("b", 1), ("c", n), ("d", n)]))
        );
        assert_eq!(
            see(&snapshot, &part("bytes")).expect("reads"),
            Some(Seen::Bytes(vec![lasting as u8]))
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
