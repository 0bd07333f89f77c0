//! One file after the other: where they end, when they appear, and what runs that are killed leave of them.

use std::fs;

use arrow_array::RecordBatch;
use dataflow_core::Times;
use dataflow_core::saved::Saved;
use dataflow_core::units::{Bytes, Duration};
use dataflow_formats::write::Format;
use dataflow_testkit::Held;

use super::testing::{Folder, context, rows};
use super::*;

fn sink(path: &str, roll: Roll, if_exists: IfExists, rows: &RecordBatch) -> FileSink {
    FileSink {
        path: path.into(),
        format: Format::of_path(path).expect("known").compressed_as(path),
        if_exists,
        schema: rows.schema(),
        pattern: None,
        roll: Some(roll),
    }
}

fn by_rows(rows: u64) -> Roll {
    Roll {
        rows: Some(rows),
        ..Roll::default()
    }
}

/// What is in a folder besides hidden files.
fn contents(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let names = folder.list().into_iter();
    let names = names.filter(|name| !name.starts_with('.'));
    let read = names.map(|name| (fs::read(folder.path(&name)).expect("there"), name));
    read.map(|(bytes, name)| (name, bytes)).collect()
}

fn names(folder: &Folder) -> Vec<String> {
    contents(folder).into_iter().map(|(name, _)| name).collect()
}

/// Some of the rows, each a second behind the one before, but for every tenth, which is a minute earlier.
fn some(rows: &RecordBatch, at: usize, length: usize) -> Batch {
    let time = |row: usize| {
        let late = if row % 10 == 9 { 60 } else { 0 };
        (row as i64 - late) * 1_000_000_000
    };
    let times: Vec<i64> = (at..at + length).map(time).collect();
    Batch::new(rows.slice(at, length)).with_times(Some(Times::new(times)))
}

/// Writes all rows in batches of these lengths, in turn. With `kills`, each batch is written twice: at first by a run that is killed.
fn write(sink: &FileSink, rows: &RecordBatch, lengths: &[usize], kills: bool) -> Receipt {
    let (context, _) = context();
    let mut writer = sink.open(&context).expect("opens");
    let (mut at, mut turn) = (0, 0);
    while at < rows.num_rows() {
        let length = lengths[turn % lengths.len()].min(rows.num_rows() - at);
        turn += 1;
        if kills {
            let mut saved = Saved::default();
            writer.save(&mut saved).expect("saves");
            writer.write(&some(rows, at, length)).expect("writes");
            if turn % 3 == 0 {
                writer.prepare().expect("prepares");
            }
            if turn % 6 == 0 {
                writer.commit().expect("commits");
            }
            drop(writer);
            let held = Held(saved);
            writer = sink.resume(&context, &held.restored()).expect("goes on");
        }
        writer.write(&some(rows, at, length)).expect("writes");
        at += length;
    }
    let receipt = writer.prepare().expect("prepares");
    writer.commit().expect("commits");
    assert_eq!(receipt.rows, rows.num_rows() as u64);
    receipt
}

#[test]
fn files_have_numbers_before_what_tells_their_format() {
    for (path, first) in [
        ("x.csv", "x-000000.csv"),
        ("out/a.b.jsonl.gz", "out/a.b-000000.jsonl.gz"),
        ("out.d/x", "out.d/x-000000"),
        ("out/.hidden", "out/.hidden-000000"),
        ("x.zst", "x-000000.zst"),
    ] {
        let folder = Folder::new();
        let names = Names::of(&folder.path(path));
        assert_eq!(
            names.pattern().replace("{number}", "000000"),
            folder.path(first)
        );
    }
}

#[test]
fn where_files_end_follows_from_the_rows_alone() {
    let rolls = [
        (by_rows(100), 3_000),
        (
            Roll {
                bytes: Some(Bytes(40_000)),
                ..Roll::default()
            },
            20_000,
        ),
        (
            Roll {
                every: Some(Duration::from_nanoseconds(300_000_000_000)),
                rows: Some(250),
                ..Roll::default()
            },
            2_000,
        ),
    ];
    for (roll, count) in rolls {
        let rows = rows(count);
        for name in ["x.csv", "x.jsonl.gz", "x.parquet", "x.arrow"] {
            let compressed = roll.bytes.is_some() && name != "x.csv";
            // One frame, or row group, is larger than that.
            let rows = if compressed {
                super::testing::rows(150_000)
            } else {
                rows.clone()
            };
            let folder = Folder::new();
            let mut sink = sink(&folder.path(name), roll.clone(), IfExists::Replace, &rows);
            if let Format::Parquet(parquet) = &mut sink.format {
                parquet.row_group_rows = Some(5_000);
            }
            let receipt = write(&sink, &rows, &[rows.num_rows()], false);
            let expected = contents(&folder);
            assert!(expected.len() > 1, "{name} {roll:?}");
            assert_eq!(expected.len(), receipt.files.len());
            for lengths in [[7, 1_000, 1_025], [1_024, 5_000, 99], [333, 1, 40_000]] {
                for kills in [false, true] {
                    let folder = Folder::new();
                    let sink = FileSink {
                        path: folder.path(name),
                        ..sink_of(&sink)
                    };
                    write(&sink, &rows, &lengths, kills);
                    let found = contents(&folder);
                    assert!(found == expected, "{name} {roll:?} {lengths:?} {kills}");
                    assert_eq!(folder.list().len(), found.len(), "no hidden file is left");
                }
            }
        }
    }
}

fn sink_of(sink: &FileSink) -> FileSink {
    FileSink {
        path: sink.path.clone(),
        format: sink.format.clone(),
        if_exists: sink.if_exists,
        schema: Arc::clone(&sink.schema),
        pattern: None,
        roll: sink.roll.clone(),
    }
}

#[test]
fn a_day_has_a_file() {
    let rows = rows(1_000);
    let folder = Folder::new();
    let minutes = Roll {
        every: Some(Duration::from_nanoseconds(300_000_000_000)),
        ..Roll::default()
    };
    let sink = sink(&folder.path("x.csv"), minutes, IfExists::Replace, &rows);
    let receipt = write(&sink, &rows, &[64], false);
    let lengths: Vec<u64> = receipt.files.iter().map(|file| file.rows).collect();
    assert_eq!(lengths, [300, 300, 300, 100]);
}

#[test]
fn files_appear_when_they_are_complete() {
    let rows = rows(100);
    let (with, _) = context();
    let without = SinkContext {
        snapshots: false,
        ..with.clone()
    };
    let folder = Folder::new();
    let sink = sink(&folder.path("x.csv"), by_rows(10), IfExists::Replace, &rows);
    let mut writer = sink.open(&without).expect("opens");
    writer.write(&some(&rows, 0, 25)).expect("writes");
    assert_eq!(names(&folder), ["x-000000.csv", "x-000001.csv"]);
    drop(writer);
    assert_eq!(folder.list().len(), 2, "what was not complete is gone");

    let folder = Folder::new();
    let sink = FileSink {
        path: folder.path("x.csv"),
        ..sink
    };
    let mut writer = sink.open(&with).expect("opens");
    writer.write(&some(&rows, 0, 25)).expect("writes");
    writer.save(&mut Saved::default()).expect("saves");
    assert!(names(&folder).is_empty(), "no snapshot is durable");
    writer.write(&some(&rows, 25, 10)).expect("writes");
    let mut saved = Saved::default();
    writer.save(&mut saved).expect("saves");
    assert_eq!(names(&folder), ["x-000000.csv", "x-000001.csv"]);
    drop(writer);
    let mut writer = sink
        .resume(&with, &Held(saved).restored())
        .expect("goes on");
    writer.save(&mut Saved::default()).expect("saves");
    assert_eq!(names(&folder).len(), 3, "the third was part of a snapshot");
    writer.prepare().expect("prepares");
    assert_eq!(names(&folder).len(), 3);
    writer.commit().expect("commits");
    assert_eq!(names(&folder).len(), 4);
}

#[test]
fn files_of_earlier_runs_are_replaced_refused_or_gone_behind() {
    let rows = rows(100);
    let folder = Folder::new();
    let of = |if_exists| sink(&folder.path("x.csv"), by_rows(10), if_exists, &rows);
    fs::write(folder.path("x-1.csv"), "of somebody else").expect("writes");
    fs::write(folder.path("x-000001.jsonl"), "of another format").expect("writes");
    write(&of(IfExists::Fail), &rows, &[30], false);
    assert_eq!(names(&folder).len(), 12);
    let error = of(IfExists::Fail).open(&context().0).err().expect("exist");
    assert!(error.to_string().contains("exists already"), "{error}");

    let few = rows.slice(0, 35);
    write(&of(IfExists::Append), &few, &[30], false);
    let behind = names(&folder);
    assert_eq!(behind.len(), 16);
    assert!(behind.contains(&"x-000013.csv".to_string()));

    write(&of(IfExists::Replace), &few, &[9], true);
    assert_eq!(
        names(&folder),
        [
            "x-000000.csv",
            "x-000001.csv",
            "x-000001.jsonl",
            "x-000002.csv",
            "x-000003.csv",
            "x-1.csv"
        ]
    );
    write(&of(IfExists::Replace), &rows.slice(0, 0), &[1], false);
    let left = fs::read_to_string(folder.path("x-000000.csv")).expect("there");
    assert_eq!(left, "id,place,code,x\n");
    assert_eq!(names(&folder).len(), 3);
}

#[test]
fn what_a_roll_says_is_checked() {
    let every = |nanoseconds| Roll {
        every: Some(Duration::from_nanoseconds(nanoseconds)),
        ..Roll::default()
    };
    let misfit = |roll: &Roll, timed| roll.misfit(timed).map(|(message, _)| message);
    assert!(misfit(&Roll::default(), true).is_some_and(|m| m.contains("when a file ends")));
    assert!(misfit(&by_rows(0), true).is_some_and(|m| m.contains("before its first row")));
    assert!(misfit(&every(0), true).is_some_and(|m| m.contains("before its first row")));
    assert!(misfit(&every(5), false).is_some_and(|m| m.contains("event time")));
    assert_eq!(misfit(&every(5), true), None);
    assert_eq!(misfit(&by_rows(1), false), None);
    let all = Roll {
        rows: Some(5),
        bytes: Some(Bytes(1 << 20)),
        every: Some(Duration::from_nanoseconds(3_600_000_000_000)),
    };
    assert_eq!(
        all.told(),
        "a new file after 5 rows or 1MiB or 1h of event time"
    );
}
