//! What goes in comes out: contents of all kinds, over snapshots and openings.

use serde_json::json;

use super::draw::{Seen, commit, delta, latest, open, part, rows, see, seen};
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
    let batches = vec![rows(&[("x", Some(1))]), rows(&[("y", Some(2))])];
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
