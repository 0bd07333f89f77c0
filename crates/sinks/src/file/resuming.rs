//! Tests of going on with what a run that was killed has written.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use arrow_array::RecordBatch;
use dataflow_core::saved::Saved;
use dataflow_formats::write::{Arrow, Compression, Csv, Format, Jsonl, Parquet};
use dataflow_testkit::Held;

use super::testing::{Folder, context, rows};
use super::*;

fn save(writer: &mut dyn Writer) -> Held {
    let mut saved = Saved::default();
    writer.save(&mut saved).expect("saves");
    Held(saved)
}

fn resume(sink: &dyn Sink, from: &Held) -> Result<Box<dyn Writer>> {
    sink.resume(&context().0, &from.restored())
}

fn open(sink: &dyn Sink) -> Box<dyn Writer> {
    sink.open(&context().0).expect("opens")
}

fn sink(path: &str, format: &Format, if_exists: IfExists, schema: SchemaRef) -> FileSink {
    FileSink {
        path: path.into(),
        format: format.clone(),
        if_exists,
        schema,
        pattern: None,
        roll: None,
    }
}

fn complete(mut writer: Box<dyn Writer>) -> Receipt {
    let receipt = writer.prepare().expect("prepares");
    writer.commit().expect("commits");
    receipt
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((self.0 >> 33) % limit as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Writes some of the rows from `at`, and tells where it is then.
fn write_some(
    writer: &mut dyn Writer,
    rows: &RecordBatch,
    at: usize,
    most: usize,
    dice: &mut Dice,
) -> usize {
    let length = (1 + dice.below(most)).min(rows.num_rows() - at);
    let batch = Batch::new(rows.slice(at, length));
    writer.write(&batch).expect("writes");
    at + length
}

/// The hidden files of a folder.
fn hidden(folder: &Folder) -> Vec<String> {
    let names = folder.list().into_iter();
    names.filter(|name| name.contains(".partial")).collect()
}

/// Writes all rows, killed and gone on with every now and then.
fn write_with_kills(sink: &dyn Sink, folder: &Folder, rows: &RecordBatch, most: usize, seed: u64) {
    let mut dice = Dice(seed);
    let mut writer = open(sink);
    let mut at = 0;
    let mut first = true;
    while at < rows.num_rows() {
        if first && dice.one_in(2) || dice.one_in(4) {
            if dice.one_in(3) {
                save(writer.as_mut());
            }
            let saved = save(writer.as_mut());
            let mut unsaved = at;
            while unsaved < rows.num_rows() && !dice.one_in(3) {
                unsaved = write_some(writer.as_mut(), rows, unsaved, most, &mut dice);
            }
            if unsaved == rows.num_rows() && dice.one_in(2) {
                writer.prepare().expect("prepares");
            }
            drop(writer);
            let kept = hidden(folder);
            assert!(kept.len() <= 1, "{kept:?}");
            if let Some(kept) = kept.first()
                && dice.one_in(2)
            {
                let path = folder.path(kept);
                let file = OpenOptions::new().append(true).open(path);
                file.expect("there").write_all(b"garbage").expect("writes");
            }
            writer = resume(sink, &saved).expect("goes on");
        }
        first = false;
        at = write_some(writer.as_mut(), rows, at, most, &mut dice);
    }
    let receipt = complete(writer);
    assert_eq!(receipt.rows, rows.num_rows() as u64);
}

/// The formats, and how many rows show what there is to see.
fn formats() -> Vec<(&'static str, Format, usize)> {
    let csv = |compression| {
        Format::Csv(Csv {
            compression,
            ..Csv::default()
        })
    };
    let lines = |compression| Format::Jsonl(Jsonl { compression });
    let parquet = Format::Parquet(Parquet {
        row_group_rows: Some(5_000),
        ..Parquet::default()
    });
    vec![
        ("x.csv", csv(None), 20_000),
        ("x.jsonl", lines(None), 20_000),
        ("x.csv.gz", csv(Some(Compression::Gzip)), 120_000),
        ("x.jsonl.zst", lines(Some(Compression::Zstd)), 80_000),
        ("x.parquet", parquet, 30_000),
        ("x.arrow", Format::Arrow(Arrow::default()), 150_000),
    ]
}

#[test]
fn killed_writers_make_the_same_bytes() {
    for (name, format, count) in formats() {
        let folder = Folder::new();
        let path = folder.path(name);
        let rows = rows(count);
        let sink = sink(&path, &format, IfExists::Replace, rows.schema());
        let mut writer = open(&sink);
        writer.write(&Batch::new(rows.clone())).expect("writes");
        complete(writer);
        let expected = fs::read(&path).expect("there");
        for (seed, most) in [(1, 10), (2, 3_000), (3, 3_000), (4, count / 2), (5, count)] {
            // A few rows at a time take long; what is to be seen there is at the start.
            let rows = if most < 100 {
                rows.slice(0, 300)
            } else {
                rows.clone()
            };
            write_with_kills(&sink, &folder, &rows, most, seed);
            assert_eq!(folder.list(), [name], "{seed}");
            if most >= 100 {
                let found = fs::read(&path).expect("there");
                assert!(found == expected, "{name} {seed} {most}");
            }
        }
    }
}

#[test]
fn a_complete_file_is_gone_on_with() {
    for (name, format, count) in formats() {
        let folder = Folder::new();
        let path = folder.path(name);
        let rows = rows(count);
        for if_exists in [IfExists::Replace, IfExists::Fail] {
            let sink = sink(&path, &format, if_exists, rows.schema());
            let mut writer = open(&sink);
            let at = count / 3 * 2;
            writer
                .write(&Batch::new(rows.slice(0, at)))
                .expect("writes");
            let saved = save(writer.as_mut());
            let rest = Batch::new(rows.slice(at, count - at));
            writer.write(&rest).expect("writes");
            complete(writer);
            let expected = fs::read(&path).expect("there");
            assert_eq!(folder.list(), [name]);
            for _ in 0..2 {
                let mut writer = resume(&sink, &saved).expect("goes on");
                writer.write(&rest).expect("writes");
                complete(writer);
                assert!(fs::read(&path).expect("there") == expected, "{name}");
                assert_eq!(folder.list(), [name]);
            }
            fs::write(&path, "another file that is long enough ".repeat(1 << 18)).expect("writes");
            let error = resume(&sink, &saved).err().expect("another file");
            assert!(error.to_string().contains("not what the earlier run wrote"));
            assert_eq!(error.helps(), Some("start anew with `--fresh`"));
            fs::remove_file(&path).expect("there");
            let error = resume(&sink, &saved).err().expect("no file");
            assert!(error.to_string().contains("is gone"), "{error}");
        }
    }
}

#[test]
fn rows_are_added_once() {
    for (name, format, count) in formats() {
        if !format.appends() {
            continue;
        }
        let folder = Folder::new();
        let path = folder.path(name);
        let rows = rows(count);
        let first = sink(&path, &format, IfExists::Replace, rows.schema());
        let mut writer = open(&first);
        writer
            .write(&Batch::new(rows.slice(0, 1_000)))
            .expect("writes");
        complete(writer);
        let before = fs::read(&path).expect("there");
        let sink = sink(&path, &format, IfExists::Append, rows.schema());
        let mut writer = open(&sink);
        writer.write(&Batch::new(rows.clone())).expect("writes");
        complete(writer);
        let expected = fs::read(&path).expect("there");
        for seed in 6..9 {
            fs::write(&path, &before).expect("writes");
            write_with_kills(&sink, &folder, &rows, 3_000, seed);
            assert!(fs::read(&path).expect("there") == expected, "{name} {seed}");
            assert_eq!(folder.list(), [name]);
        }
    }
}

#[test]
fn what_is_gone_or_short_is_told_and_what_others_left_is_swept() {
    let folder = Folder::new();
    let path = folder.path("x.csv");
    let rows = rows(1_000);
    let sink = sink(
        &path,
        &Format::Csv(Csv::default()),
        IfExists::Replace,
        rows.schema(),
    );
    let mut writer = open(&sink);
    writer.write(&Batch::new(rows.clone())).expect("writes");
    let saved = save(writer.as_mut());
    let error = resume(&sink, &saved).err().expect("being written");
    assert!(error.to_string().contains("another run"), "{error}");
    drop(writer);
    let kept = hidden(&folder).remove(0);

    fs::write(folder.path(".x.csv.abcd1234.partial"), "left").expect("writes");
    drop(resume(&sink, &saved).expect("goes on"));
    assert_eq!(folder.list(), std::slice::from_ref(&kept));

    let file = OpenOptions::new().write(true).open(folder.path(&kept));
    file.expect("there").set_len(100).expect("cuts");
    let error = resume(&sink, &saved).err().expect("too short");
    assert!(
        error.in_file().is_some_and(|file| file.ends_with(&kept)),
        "{error}"
    );
    fs::remove_file(folder.path(&kept)).expect("there");
    let error = resume(&sink, &saved).err().expect("gone");
    assert!(
        error.in_file().is_some_and(|file| file.ends_with(&kept)),
        "{error}"
    );

    drop(save(open(&sink).as_mut()));
    assert_eq!(hidden(&folder).len(), 1);
    complete(open(&sink));
    assert_eq!(folder.list(), ["x.csv"], "a run that starts anew sweeps it");
}

/// A sink of a file per value of `column`.
fn partitioned(path: &str, column: &str, if_exists: IfExists, rows: &RecordBatch) -> FileSink {
    let format = Format::of_path(path).expect("known");
    let mut sink = sink(path, &format, if_exists, rows.schema());
    let mut problems = dataflow_core::Problems::new();
    let mut check = Check {
        id: "out",
        span: None,
        parameters: &std::collections::BTreeMap::new(),
        catalog: &[],
        offline: false,
        stdin: &dataflow_core::StandardInput::default(),
        run_time: 0,
        problems: &mut problems,
    };
    let pattern = Pattern::check(&path.to_string().into(), &rows.schema(), &mut check);
    sink.pattern = pattern.flatten();
    assert_eq!(sink.pattern.as_ref().expect("a pattern").names(), [column]);
    sink
}

/// All files of a folder that have their names, and what is in them.
fn contents(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let hidden = |name: &String| name.contains(".partial");
    let names = folder.list().into_iter().filter(|name| !hidden(name));
    let read = names.map(|name| (fs::read(folder.path(&name)).expect("there"), name));
    read.map(|(bytes, name)| (name, bytes)).collect()
}

/// Rows of which a thousand are some 20 MB.
fn long_rows(count: usize) -> RecordBatch {
    use arrow_array::{ArrayRef, StringArray};
    let long = (0..count).map(|i| ["x", "y", "z"][i % 3].repeat(20_000 + i % 7));
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(long));
    let place = (0..count).map(|i| format!("p{}", i % 20));
    let place: ArrayRef = Arc::new(StringArray::from_iter_values(place));
    RecordBatch::try_from_iter([("place", place), ("text", text)]).expect("columns")
}

#[test]
fn files_per_value_are_gone_on_with() {
    for (rows, most) in [(rows(5_000), 700), (rows(300), 10), (long_rows(4_000), 500)] {
        for name in ["{place}.csv", "{place}.parquet"] {
            let (folder, undisturbed) = (Folder::new(), Folder::new());
            let path = undisturbed.path(name);
            let sink = partitioned(&path, "place", IfExists::Replace, &rows);
            let mut writer = open(&sink);
            for at in (0..rows.num_rows()).step_by(500) {
                let length = (rows.num_rows() - at).min(500);
                let batch = Batch::new(rows.slice(at, length));
                writer.write(&batch).expect("writes");
            }
            complete(writer);
            let expected = contents(&undisturbed);
            let path = folder.path(name);
            let sink = partitioned(&path, "place", IfExists::Replace, &rows);
            for seed in 1..4 {
                write_with_kills(&sink, &folder, &rows, most, seed);
                assert!(contents(&folder) == expected, "{name} {seed}");
            }
            drop(open(&sink));
            assert!(
                hidden(&folder).is_empty(),
                "a run that begins anew removes it"
            );
        }
    }
}

#[test]
fn files_that_have_their_names_already_are_no_hindrance_to_a_run_that_goes_on() {
    let few = rows(1_000);
    let folder = Folder::new();
    let one = sink(
        &folder.path("one.jsonl"),
        &Format::Jsonl(Jsonl { compression: None }),
        IfExists::Fail,
        few.schema(),
    );
    let long = long_rows(4_000);
    let names = folder.path("{place}.jsonl");
    let many = partitioned(&names, "place", IfExists::Fail, &long);
    for (sink, rows, before) in [(&one, &few, 0), (&many, &long, 3_000)] {
        let mut writer = open(sink);
        writer
            .write(&Batch::new(rows.slice(0, before)))
            .expect("writes");
        let saved = save(writer.as_mut());
        let rest = Batch::new(rows.slice(before, rows.num_rows() - before));
        writer.write(&rest).expect("writes");
        complete(writer);
        let expected = contents(&folder);
        // Killed before anybody was told, and behind a further snapshot once more.
        let mut again = resume(sink, &saved).expect("goes on");
        let further = save(again.as_mut());
        drop(again);
        for saved in [&saved, &further] {
            let mut writer = resume(sink, saved).expect("goes on");
            writer.write(&rest).expect("writes");
            complete(writer);
            assert!(contents(&folder) == expected);
        }
        // What somebody else put there stays as it is.
        let other = expected.last().expect("a file").0.clone();
        fs::write(folder.path(&other), "of somebody else").expect("writes");
        let mut writer = resume(sink, &further).expect("goes on");
        writer.write(&rest).expect("writes");
        let done = writer.prepare().and_then(|_| writer.commit());
        let error = done.expect_err("it must not be replaced").to_string();
        assert!(error.contains("exists already"), "{error}");
        let left = fs::read_to_string(folder.path(&other)).expect("text");
        assert_eq!(left, "of somebody else");
        drop(writer);
        fs::write(folder.path(&other), &expected.last().expect("a file").1).expect("writes");
    }
}

#[test]
fn what_cannot_be_gone_on_with_is_told() {
    let folder = Folder::new();
    let path = folder.path("{place}.csv");
    let rows = rows(10);
    let sink = partitioned(&path, "place", IfExists::Append, &rows);
    let mut writer = open(&sink);
    writer.write(&Batch::new(rows)).expect("writes");
    let error = writer
        .save(&mut Saved::default())
        .expect_err("it would add rows twice");
    assert!(error.to_string().contains("cannot be stopped"), "{error}");
    assert!(folder.list().is_empty());
}

#[test]
fn a_table_shows_the_rows_of_all_runs() {
    let rows = rows(100);
    let input = Input {
        provisional: false,
        sampled: dataflow_core::Sampled::default(),
        from: vec!["rows".into()],
        schema: rows.schema(),
        timed: false,
    };
    let mut check_problems = dataflow_core::Problems::new();
    let mut check = Check {
        id: "out",
        span: None,
        parameters: &std::collections::BTreeMap::new(),
        catalog: &[],
        offline: false,
        stdin: &dataflow_core::StandardInput::default(),
        run_time: 0,
        problems: &mut check_problems,
    };
    let config = crate::Console {
        rows: 15,
        ..crate::Console::default()
    };
    let sink = config.build(&input, &mut check).expect("valid");
    let shown = |cuts: &[usize]| {
        let (context, printed) = context();
        let mut writer = sink.open(&context).expect("opens");
        let mut at = 0;
        for cut in cuts.iter().chain([&100]) {
            writer
                .write(&Batch::new(rows.slice(at, cut - at)))
                .expect("writes");
            at = *cut;
            let held = save(writer.as_mut());
            writer.write(&Batch::new(rows.slice(0, 9))).expect("lost");
            let from = held.restored();
            writer = sink.resume(&context, &from).expect("goes on");
        }
        complete(writer);
        printed.text()
    };
    let expected = shown(&[]);
    assert!(expected.contains("85 rows left out"), "{expected}");
    for cuts in [vec![0], vec![3, 5], vec![8, 50], vec![95, 99]] {
        assert_eq!(shown(&cuts), expected, "{cuts:?}");
    }
}
