//! A store as the first version of the format wrote it: every later version must read it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use dataflow_store::{Content, Owner, PartKey, Snapshot, Store, Stored};
use serde_json::json;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/version-1")
}

fn part(component: &str, operator: &str, worker: u32) -> PartKey {
    PartKey {
        component: component.to_string(),
        operator: operator.to_string(),
        worker,
    }
}

fn groups(keys: &[&str], gone: &[bool], means: &[f64], names: &[Option<&str>]) -> Content {
    let columns: [(&str, ArrayRef, bool); 4] = [
        ("key", Arc::new(BinaryArray::from_iter_values(keys)), false),
        ("gone", Arc::new(BooleanArray::from(gone.to_vec())), false),
        ("mean", Arc::new(Float64Array::from(means.to_vec())), false),
        ("name", Arc::new(StringArray::from(names.to_vec())), true),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    Content::Delta {
        batches: vec![batch],
    }
}

/// Writes the store anew. Only for a new version, in a new folder: the files of an old one are what is tested.
#[test]
#[ignore = "it writes what the other test reads"]
fn write_the_golden_store() {
    let folder = golden();
    let owner = Owner {
        pipeline: "golden".to_string(),
        process: 1,
        host: "golden".to_string(),
        since: "2026-01-01T00:00:00+00:00".to_string(),
    };
    let store = Store::open(&folder, &owner).expect("an empty folder");
    let file = store.new_file();
    std::fs::write(&file, "a sorted run, as far as anybody knows").expect("written");
    let mut draft = store.begin().expect("begins");
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    let numbers = RecordBatch::try_from_iter([("n", numbers)]).expect("one column");
    let first = groups(
        &["b", "a", "c"],
        &[false; 3],
        &[2.5, 1.5, 3.5],
        &[Some("two"), None, Some("three")],
    );
    draft
        .put(
            part("readings", "source", 0),
            Content::Whole(b"{\"offset\":12}".to_vec()),
        )
        .expect("fits");
    draft
        .put(
            part("sorted", "sort", 1),
            Content::WholeBatches(vec![numbers]),
        )
        .expect("fits");
    draft.put(part("means", "groups", 0), first).expect("fits");
    draft
        .put(part("means", "groups", 1), Content::Whole(vec![7; 100_000]))
        .expect("fits");
    draft
        .adopt(part("sorted", "sort", 1), &file)
        .expect("is a file");
    draft
        .commit(json!({"pipeline": "p1", "positions": [1, 2.5, null]}))
        .expect("fits")
        .wait()
        .expect("durable");
    let mut draft = store.begin().expect("begins");
    let second = groups(
        &["c", "d"],
        &[true, false],
        &[0.0, 4.5],
        &[None, Some("four")],
    );
    draft.put(part("means", "groups", 0), second).expect("fits");
    draft
        .commit(json!({"pipeline": "p1", "positions": [3]}))
        .expect("fits")
        .wait()
        .expect("durable");
}

fn check(snapshot: &Snapshot) {
    snapshot.verify().expect("is whole");
    assert_eq!((snapshot.number(), snapshot.warnings().len()), (2, 0));
    assert_eq!(
        snapshot.facts(),
        &json!({"pipeline": "p1", "positions": [3]})
    );
    assert_eq!(snapshot.parts().count(), 4);
    let files: Vec<_> = snapshot.files().collect();
    assert_eq!(
        (files.len(), files[0].name.as_str(), files[0].bytes),
        (1, "1.run", 37)
    );
    assert_eq!(files[0].key, part("sorted", "sort", 1));
    let read = |key| snapshot.read(&key).expect("opens").expect("is there");
    let Stored::Whole(bytes) = read(part("readings", "source", 0)) else {
        panic!("bytes")
    };
    assert_eq!(bytes, b"{\"offset\":12}");
    let Stored::Whole(bytes) = read(part("means", "groups", 1)) else {
        panic!("bytes")
    };
    assert!(bytes == vec![7; 100_000]);
    let Stored::WholeBatches(mut batches) = read(part("sorted", "sort", 1)) else {
        panic!("batches")
    };
    let batch = batches.next().expect("one").expect("reads");
    let numbers: Vec<_> = batch.column(0).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(numbers, [Some(1), None, Some(3)]);
    let Stored::Rows(mut rows) = read(part("means", "groups", 0)) else {
        panic!("rows")
    };
    let batch = rows.next().expect("one").expect("reads");
    assert_eq!(
        batch
            .column(0)
            .as_binary::<i32>()
            .iter()
            .flatten()
            .collect::<Vec<_>>(),
        [b"a", b"b", b"d"]
    );
    assert_eq!(
        batch.column(1).as_primitive::<Float64Type>().values(),
        &[1.5, 2.5, 4.5]
    );
    let names: Vec<_> = batch.column(2).as_string::<i32>().iter().collect();
    assert_eq!(names, [None, Some("two"), Some("four")]);
    assert!(rows.next().is_none());
}

#[test]
fn what_the_first_version_wrote_is_read() {
    let reading = Store::read_only(golden()).expect("is a store");
    check(&reading.latest().expect("is usable").expect("is there"));
}

#[test]
fn what_the_first_version_wrote_is_gone_on_from() {
    let folder = tempfile::tempdir().expect("a folder");
    for inner in ["parts", "files", "."] {
        std::fs::create_dir_all(folder.path().join(inner)).expect("made");
        for entry in std::fs::read_dir(golden().join(inner)).expect("lists") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let name = path.file_name().expect("a name");
                std::fs::copy(&path, folder.path().join(inner).join(name)).expect("copied");
            }
        }
    }
    let store = Store::open(folder.path(), &Owner::this_process("later")).expect("opens");
    check(&store.latest().expect("is usable").expect("is there"));
    let mut draft = store.begin().expect("begins");
    draft
        .put(
            part("means", "groups", 0),
            groups(&["a"], &[true], &[0.0], &[None]),
        )
        .expect("fits");
    let done = draft
        .commit(json!(null))
        .expect("the columns are the same")
        .wait();
    assert_eq!(done.expect("is durable").number, 3);
}
