//! Files that are not what they were: a flipped bit, a truncated file, a later version.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use serde_json::json;

use super::draw::{Seen, delta, part, rows, see, seen};
use super::simulated::Simulated;
use crate::books::Books;
use crate::changes::Changes;
use crate::disk::{Append, Disk};
use crate::manifest::Manifest;
use crate::round::Tuning;
use crate::{Content, PartKey, Snapshot};

fn books(disk: &Simulated) -> Books {
    Books::open(Arc::new(disk.clone()), Tuning::default()).expect("opens in spite of damage")
}

fn commit(books: &mut Books, parts: Vec<(PartKey, Content)>, file: Option<&str>) {
    let mut changes = Changes::default();
    for (key, content) in parts {
        changes.put(key, content).expect("fits");
    }
    changes
        .adopted
        .extend(file.map(|name| (name.to_string(), part("file"))));
    books
        .commit(&changes, json!({"rows": "facts"}))
        .expect("is durable");
}

/// Two snapshots that have no file in common.
fn two() -> Simulated {
    let disk = Simulated::default();
    let mut books = books(&disk);
    for number in [1_u8, 2] {
        let name = format!("{number}.run");
        let mut file = disk.create(&format!("files/{name}")).expect("made");
        Append::append(&mut *file, &[number; 300]).expect("written");
        let batch = rows(&[("", Some(i64::from(number)))])
            .project(&[2])
            .expect("a column");
        let mut fresh = Changes::default();
        fresh.drop_part(&part("rows"));
        fresh.drop_part(&part("file"));
        let mut changes = Changes::default();
        changes
            .put(part("bytes"), Content::Whole(vec![number; 1000]))
            .expect("fits");
        changes
            .put(part("batches"), Content::WholeBatches(vec![batch]))
            .expect("fits");
        changes
            .put(part("rows"), delta(&[("a", Some(i64::from(number)))]))
            .expect("fits");
        changes.adopted.insert(name, part("file"));
        let changes = changes.over(fresh).expect("fits");
        books
            .commit(&changes, json!({"number": number}))
            .expect("is durable");
    }
    disk
}

/// Checks that the snapshot is that of its number.
fn is_whole(snapshot: &Snapshot) {
    let number = snapshot.facts()["number"].as_u64().expect("a number");
    assert_eq!(snapshot.number(), number);
    let read = |name| {
        see(snapshot, &part(name))
            .expect("reads")
            .expect("is there")
    };
    assert_eq!(read("bytes"), Seen::Bytes(vec![number as u8; 1000]));
    assert_eq!(read("batches"), Seen::Batches(vec![Some(number as i64)]));
    assert_eq!(read("rows"), seen(&[("a", number as i64)]));
    assert_eq!(snapshot.files().count(), 1);
}

#[test]
fn any_flipped_bit_of_the_newest_is_found_and_the_one_before_is_used() {
    for path in two().paths() {
        let newest = path.contains('2');
        let mut length = 0;
        two().change(&path, |bytes| length = bytes.len());
        for at in 0..length {
            let disk = two();
            disk.change(&path, |bytes| bytes[at] ^= 1 << (at % 8));
            let snapshot = books(&disk)
                .latest()
                .expect("one is whole")
                .expect("is there");
            is_whole(&snapshot);
            match newest {
                true => {
                    assert_eq!(
                        (snapshot.number(), snapshot.warnings().len()),
                        (1, 1),
                        "{path} {at}"
                    );
                    assert!(
                        snapshot.warnings()[0].to_string().contains(&path),
                        "{:?}",
                        snapshot.warnings()
                    );
                }
                false => assert_eq!((snapshot.number(), snapshot.warnings().len()), (2, 0)),
            }
        }
    }
}

#[test]
fn any_truncated_file_of_the_newest_is_found_and_the_one_before_is_used() {
    for path in two().paths().into_iter().filter(|path| path.contains('2')) {
        let mut length = 0;
        two().change(&path, |bytes| length = bytes.len());
        for left in 0..length {
            let disk = two();
            disk.change(&path, |bytes| bytes.truncate(left));
            let snapshot = books(&disk)
                .latest()
                .expect("one is whole")
                .expect("is there");
            is_whole(&snapshot);
            assert_eq!(
                (snapshot.number(), snapshot.warnings().len()),
                (1, 1),
                "{path} {left}"
            );
        }
    }
}

#[test]
fn after_falling_back_the_next_snapshot_goes_on_from_the_one_before() {
    let disk = two();
    disk.change("parts/2.part", |bytes| bytes[100] ^= 1);
    let mut books = books(&disk);
    assert_eq!(
        books
            .latest()
            .expect("one is whole")
            .expect("is there")
            .number(),
        1
    );
    books.sweep().expect("removes nothing");
    assert!(
        disk.paths().contains(&"MANIFEST-2".to_string()),
        "somebody may restore its file"
    );
    commit(
        &mut books,
        vec![(part("rows"), delta(&[("b", Some(3))]))],
        None,
    );
    books.sweep().expect("sweeps");
    let snapshot = books.latest().expect("is whole").expect("is there");
    assert_eq!((snapshot.number(), snapshot.warnings().len()), (3, 0));
    assert_eq!(
        see(&snapshot, &part("rows")).expect("reads"),
        Some(seen(&[("a", 1), ("b", 3)]))
    );
    let there = disk.paths();
    assert_eq!(
        there,
        [
            "MANIFEST-1",
            "MANIFEST-3",
            "files/1.run",
            "parts/1.part",
            "parts/3.part"
        ]
    );
}

#[test]
fn where_none_is_usable_the_error_says_which_file_and_how_and_nothing_is_removed() {
    let disk = two();
    disk.change("MANIFEST-1", |bytes| bytes[30] ^= 1);
    disk.change("parts/2.part", |bytes| bytes.truncate(40));
    let before = disk.paths();
    let mut books = books(&disk);
    let error = books.latest().err().expect("none is usable").to_string();
    assert!(
        error.contains("simulated/parts/2.part") && error.contains("40 bytes"),
        "{error}"
    );
    assert!(error.contains("help: "), "{error}");
    books
        .commit(&Changes::default(), json!(1))
        .expect_err("nothing to go on from");
    books.sweep().expect("removes nothing");
    assert_eq!(disk.paths(), before);
    books.reset().expect("resets");
    let left = disk.paths();
    assert!(
        left.iter().all(|path| path.starts_with("files/")),
        "which of these are whose cannot be told: {left:?}"
    );
    commit(&mut books, vec![], None);
    drop(super::damage::books(&disk));
    assert_eq!(disk.paths(), ["MANIFEST-3"]);
}

#[test]
fn a_damaged_part_is_an_error_with_file_and_offset_when_it_is_read() {
    let disk = two();
    let snapshot = books(&disk).latest().expect("is whole").expect("is there");
    let section = Manifest::read(&disk, 2).ok().expect("is whole").parts[&part("rows")].sections[0];
    disk.change("parts/2.part", |bytes| {
        bytes[section.offset as usize + 20] ^= 1
    });
    let error = see(&snapshot, &part("rows"))
        .expect_err("is damaged")
        .to_string();
    let place = format!("(simulated/parts/2.part, byte {})", section.offset);
    assert!(error.contains(&place), "{error}");
    assert!(see(&snapshot, &part("bytes")).is_ok(), "others can be read");
    assert!(snapshot.verify().is_err());
}

#[test]
fn a_later_version_is_an_error_and_no_reason_to_fall_back() {
    let disk = two();
    let bytes = std::cell::RefCell::new(Vec::new());
    disk.change("MANIFEST-2", |there| *bytes.borrow_mut() = there.clone());
    let later = crate::manifest::as_version(7, &bytes.borrow());
    disk.change("MANIFEST-2", |there| *there = later);
    let before = disk.paths();
    let mut books = books(&disk);
    let error = books.latest().err().expect("not to be used").to_string();
    assert!(
        error.contains("version 7") && error.contains("MANIFEST-2"),
        "{error}"
    );
    books
        .commit(&Changes::default(), json!(1))
        .expect_err("would lose what is there");
    assert_eq!(disk.paths(), before);
}

#[test]
fn lengths_that_lie_allocate_nothing() {
    // The lengths of the first block, with the checksums put right, as somebody would who means it.
    for (stored, plain) in [(u32::MAX, 10), (10, u32::MAX), (u32::MAX, u32::MAX)] {
        let disk = two();
        let section =
            Manifest::read(&disk, 2).ok().expect("is whole").parts[&part("rows")].sections[0];
        disk.change("parts/2.part", |bytes| {
            let at = section.offset as usize;
            bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(stored));
            bytes[at + 4..at + 8].copy_from_slice(&u32::to_le_bytes(plain));
        });
        let snapshot = books(&disk)
            .latest()
            .expect("one is whole")
            .expect("is there");
        assert_eq!(snapshot.number(), 1);
        assert!(
            snapshot.warnings()[0].to_string().contains("longer"),
            "{:?}",
            snapshot.warnings()
        );
    }
}

#[test]
fn rows_of_any_type_come_back() {
    use arrow_array::{ArrayRef, DictionaryArray, RecordBatch, StringArray, types::Int8Type};
    let disk = Simulated::default();
    let mut books = books(&disk);
    for round in 0..3 {
        let keyed = rows(&[("a", Some(1)), ("c", Some(2)), ("b", Some(round))]);
        let words = [format!("x{round}"), "y".to_string(), "z".to_string()];
        let words: DictionaryArray<Int8Type> =
            words.iter().map(|word| Some(word.as_str())).collect();
        let texts = StringArray::from(vec![Some("one"), None, Some("two")]);
        let columns: [(&str, ArrayRef); 4] = [
            ("key", keyed.column(0).clone()),
            ("gone", keyed.column(1).clone()),
            ("word", Arc::new(words)),
            ("text", Arc::new(texts)),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(n, c)| (n, c, n.len() == 4 && n != "gone")),
        );
        let batches = vec![batch.expect("columns of one length")];
        commit(
            &mut books,
            vec![(part("typed"), Content::Delta { batches })],
            None,
        );
    }
    let snapshot = books.latest().expect("is whole").expect("is there");
    let Some(crate::Stored::Rows(stream)) = snapshot.read(&part("typed")).expect("opens") else {
        panic!("is there, by key");
    };
    assert_eq!(stream.schema().fields().len(), 3);
    let read: Vec<_> = stream.map(|batch| batch.expect("reads")).collect();
    assert_eq!(read.len(), 1);
    let texts = read[0].column(2).as_string::<i32>();
    assert_eq!(
        texts.iter().collect::<Vec<_>>(),
        [Some("one"), Some("two"), None]
    );
    let words = read[0].column(1).as_dictionary::<Int8Type>();
    let words = words.downcast_dict::<StringArray>().expect("texts");
    assert_eq!(
        words.into_iter().flatten().collect::<Vec<_>>(),
        ["x2", "z", "y"]
    );
}
