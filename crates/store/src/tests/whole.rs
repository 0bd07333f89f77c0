//! What goes in comes out: contents of all kinds, over snapshots and openings.

use serde_json::json;

use super::draw::{Seen, commit, delta, latest, open, part, rows, see, seen};
use super::simulated::Dice;
use crate::{Content, Store};

#[test]
fn a_folder_that_is_not_there_becomes_an_empty_store() {
    let parent = tempfile::tempdir().expect("a folder");
    let store = open(&parent.path().join("deep/down"));
    assert!(store.latest().expect("no error").is_none());
}

#[test]
fn what_is_committed_is_there_after_the_store_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let mut draft = store.begin().expect("begins");
    draft
        .put(part("a"), Content::Whole(b"bytes".to_vec()))
        .expect("fits");
    let batches = [rows(&[("x", Some(1))]), rows(&[("y", Some(2))])];
    let numbers = batches
        .iter()
        .map(|batch| batch.project(&[2]).expect("a column"));
    draft
        .put(part("b"), Content::WholeBatches(numbers.collect()))
        .expect("fits");
    draft
        .put(
            part("c"),
            delta(&[("z", Some(3)), ("a", Some(1)), ("z", Some(4))]),
        )
        .expect("fits");
    let done = draft
        .commit(json!({"at": 7}))
        .expect("hands over")
        .wait()
        .expect("durable");
    assert_eq!((done.number, done.warnings.len()), (1, 0));
    drop(store);

    let store = open(folder.path());
    let snapshot = latest(&store);
    assert_eq!(
        (snapshot.number(), snapshot.facts()),
        (1, &json!({"at": 7}))
    );
    assert_eq!(snapshot.parts().count(), 3);
    let read = |name| see(&snapshot, &part(name)).expect("reads");
    assert_eq!(read("a"), Some(Seen::Bytes(b"bytes".to_vec())));
    assert_eq!(read("b"), Some(Seen::Batches(vec![Some(1), Some(2)])));
    assert_eq!(read("c"), Some(seen(&[("a", 1), ("z", 4)])));
    assert_eq!(read("d"), None);
}

#[test]
fn deltas_lie_over_one_another_and_other_parts_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    commit(
        &store,
        &[
            ("rows", delta(&[("a", Some(1)), ("b", Some(2))])),
            ("bytes", Content::Whole(vec![1])),
        ],
    );
    for number in 2..40 {
        let contents = [(
            "rows",
            delta(&[("b", Some(number)), ("c", None), ("a", None)]),
        )];
        assert_eq!(commit(&store, &contents), number as u64);
    }
    let snapshot = latest(&store);
    assert_eq!(
        see(&snapshot, &part("rows")).expect("reads"),
        Some(seen(&[("b", 39)]))
    );
    assert_eq!(
        see(&snapshot, &part("bytes")).expect("reads"),
        Some(Seen::Bytes(vec![1]))
    );
    drop((snapshot, store));
    let snapshot = latest(&open(folder.path()));
    assert_eq!(
        see(&snapshot, &part("rows")).expect("reads"),
        Some(seen(&[("b", 39)]))
    );
}

#[test]
fn a_part_that_is_dropped_begins_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    commit(&store, &[("rows", delta(&[("a", Some(1))]))]);
    let mut draft = store.begin().expect("begins");
    draft.drop_part(&part("rows"));
    draft
        .put(part("rows"), delta(&[("b", Some(2))]))
        .expect("fits");
    draft
        .commit(json!(null))
        .expect("hands over")
        .wait()
        .expect("durable");
    assert_eq!(
        see(&latest(&store), &part("rows")).expect("reads"),
        Some(seen(&[("b", 2)]))
    );
    let mut draft = store.begin().expect("begins");
    draft.drop_part(&part("rows"));
    draft
        .commit(json!(null))
        .expect("hands over")
        .wait()
        .expect("durable");
    assert_eq!(latest(&store).parts().count(), 0);
}

#[test]
fn a_snapshot_that_is_read_keeps_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    commit(&store, &[("a", Content::Whole(vec![7; 100]))]);
    let old = latest(&store);
    for n in 0..5 {
        commit(&store, &[("a", Content::Whole(vec![n]))]);
    }
    assert_eq!(
        see(&old, &part("a")).expect("reads"),
        Some(Seen::Bytes(vec![7; 100]))
    );
    drop(old);
    store.collect().expect("collects");
    let segments = std::fs::read_dir(folder.path().join("parts")).expect("lists");
    assert_eq!(segments.count(), 2, "those of the last two snapshots");
}

#[test]
fn files_are_adopted_kept_and_removed_with_the_last_snapshot_that_names_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let (first, second) = (store.new_file(), store.new_file());
    for path in [&first, &second] {
        std::fs::write(path, "a run").expect("written");
    }
    let mut draft = store.begin().expect("begins");
    let name = draft.adopt(part("sort"), &first).expect("is a file there");
    assert!(
        draft
            .adopt(part("sort"), &folder.path().join("LOCK"))
            .is_err()
    );
    draft
        .commit(json!(null))
        .expect("hands over")
        .wait()
        .expect("durable");
    commit(&store, &[]);
    let files: Vec<_> = latest(&store).files().collect();
    assert_eq!(
        (files.len(), files[0].bytes, &files[0].path),
        (1, 5, &first)
    );
    assert!(second.exists(), "it may be adopted yet");
    drop(store);

    let store = open(folder.path());
    assert!(
        first.exists() && !second.exists(),
        "nobody will adopt the second"
    );
    let mut draft = store.begin().expect("begins");
    draft.drop_file(&name);
    draft
        .commit(json!(null))
        .expect("hands over")
        .wait()
        .expect("durable");
    assert!(first.exists(), "the snapshot before names it");
    commit(&store, &[]);
    store.collect().expect("collects");
    assert!(!first.exists());
}

#[test]
fn other_columns_are_refused_by_the_name_of_the_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut narrow = rows(&[("a", Some(1))]);
    narrow.remove_column(2);
    let other = Content::Delta {
        batches: vec![narrow],
    };
    let refused = |store: &Store| {
        for (name, content) in [("rows", other.clone()), ("bytes", delta(&[("a", Some(1))]))] {
            let mut draft = store.begin().expect("begins");
            draft.put(part(name), content).expect("is a delta");
            let error = draft.commit(json!(null)).err().expect("does not fit");
            assert!(
                error.to_string().contains(&format!("{name}/groups/0")),
                "{error}"
            );
        }
    };
    let store = open(folder.path());
    let first = [
        ("rows", delta(&[("a", Some(1))])),
        ("bytes", Content::Whole(vec![1])),
    ];
    commit(&store, &first);
    refused(&store);
    drop(store);
    let store = open(folder.path());
    refused(&store);
    commit(&store, &[("rows", delta(&[("b", Some(1))]))]);
}

#[test]
fn a_delta_without_its_two_columns_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let mut draft = store.begin().expect("begins");
    let unkeyed = rows(&[("a", Some(1))]).project(&[1, 0]).expect("columns");
    let content = Content::Delta {
        batches: vec![unkeyed],
    };
    let error = draft.put(part("rows"), content).expect_err("has no keys");
    assert!(error.to_string().contains("rows/groups/0"), "{error}");
}

#[test]
fn nothing_is_left_after_a_reset_and_numbers_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    commit(&store, &[("a", Content::Whole(vec![1]))]);
    store.reset().expect("resets");
    assert!(store.latest().expect("no error").is_none());
    assert_eq!(
        std::fs::read_dir(folder.path().join("parts"))
            .expect("lists")
            .count(),
        0
    );
    assert_eq!(commit(&store, &[("a", delta(&[("a", Some(1))]))]), 2);
}

#[test]
fn many_rows_in_several_runs_come_back_in_order_in_batches_of_bounded_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let mut expected = std::collections::BTreeMap::new();
    let mut dice = Dice(7);
    for round in 0..6_i64 {
        let number = 60_000 >> round;
        let keys: Vec<String> = (0..number)
            .map(|_| format!("key {:06}", dice.below(90_000)))
            .collect();
        let drawn: Vec<(&str, Option<i64>)> = keys
            .iter()
            .map(|key| (key.as_str(), (dice.below(8) > 0).then_some(round)))
            .collect();
        for (key, number) in &drawn {
            match number {
                Some(number) => drop(expected.insert(key.as_bytes().to_vec(), *number)),
                None => drop(expected.remove(key.as_bytes())),
            }
        }
        let batches = drawn.chunks(7_000).map(rows).collect();
        commit(&store, &[("rows", Content::Delta { batches })]);
    }
    let snapshot = latest(&store);
    assert_eq!(
        see(&snapshot, &part("rows")).expect("reads"),
        Some(Seen::Rows(expected))
    );
    let Some(crate::Stored::Rows(batches)) = snapshot.read(&part("rows")).expect("opens") else {
        panic!("is there, by key");
    };
    for batch in batches {
        let batch = batch.expect("reads");
        assert!(
            crate::sort::bytes(&batch) <= 2 * crate::sort::BATCH_BYTES,
            "{}",
            batch.num_rows()
        );
    }
}

#[test]
fn large_parts_of_all_kinds_are_cut_into_blocks_and_put_together_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let mut dice = Dice(3);
    let noise: Vec<u8> = (0..1_000_000).map(|_| dice.below(256) as u8).collect();
    let numbers: Vec<(&str, Option<i64>)> = (0..200_000)
        .map(|_| ("", Some(dice.below(1 << 40) as i64)))
        .collect();
    let batch = rows(&numbers).project(&[2]).expect("a column");
    let slices = vec![batch.slice(10, 150_000), batch.slice(160_010, 1_000)];
    commit(
        &store,
        &[
            ("noise", Content::Whole(noise.clone())),
            ("zeros", Content::Whole(vec![0; 1_000_000])),
            ("empty", Content::Whole(Vec::new())),
            ("batches", Content::WholeBatches(slices)),
            ("none", Content::WholeBatches(Vec::new())),
        ],
    );
    let snapshot = latest(&store);
    let read = |name| see(&snapshot, &part(name)).expect("reads");
    assert!(read("noise") == Some(Seen::Bytes(noise)));
    assert!(read("zeros") == Some(Seen::Bytes(vec![0; 1_000_000])));
    assert_eq!(read("empty"), Some(Seen::Bytes(Vec::new())));
    assert_eq!(read("none"), Some(Seen::Batches(Vec::new())));
    let kept = numbers[10..150_010]
        .iter()
        .chain(&numbers[160_010..161_010]);
    assert!(read("batches") == Some(Seen::Batches(kept.map(|(_, number)| *number).collect())));
    let of = |name: &str| {
        snapshot
            .parts()
            .find(|(key, _)| **key == part(name))
            .expect("is there")
            .1
    };
    assert!(of("zeros").bytes < 20_000 && of("noise").bytes < 1_001_000);
    assert_eq!(of("batches").rows, 151_000);
}

#[test]
fn segments_of_which_little_is_left_are_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let mut dice = Dice(5);
    let mut noise = || Content::Whole((0..100_000).map(|_| dice.below(256) as u8).collect());
    commit(
        &store,
        &[("small", Content::Whole(vec![1; 10])), ("large", noise())],
    );
    let size = || {
        let entries = std::fs::read_dir(folder.path().join("parts")).expect("lists");
        entries
            .map(|entry| entry.expect("an entry").metadata().expect("is there").len())
            .sum::<u64>()
    };
    // Compaction runs beside the commits: a few more of them put its outcome in place and let the old ones go.
    for _ in 0..1_000 {
        commit(&store, &[("large", Content::Whole(vec![2; 10]))]);
        store.collect().expect("collects");
        if size() < 10_000 {
            break;
        }
    }
    assert!(size() < 10_000, "{}", size());
    assert_eq!(
        see(&latest(&store), &part("small")).expect("reads"),
        Some(Seen::Bytes(vec![1; 10]))
    );
}
