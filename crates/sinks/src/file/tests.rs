//! Tests of the file sink.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::error::Fault;
use dataflow_core::{Place, Problems, Wanted};
use dataflow_formats::{InputFile, ReadFormat, Request};

use super::testing::{Folder, batch, context, rows};
use super::*;

fn node(entries: &[(&str, &str)]) -> Node {
    let entries = entries.iter().map(|(key, value)| {
        let key = Key {
            name: (*key).to_string(),
            span: None,
        };
        (key, Tree::Text((*value).to_string()).into())
    });
    Tree::Table(entries.collect()).into()
}

/// What is wrong, and what to do about it.
type Said = Vec<(String, Option<String>)>;

/// The sink, or what is wrong.
fn build(entries: &[(&str, &str)]) -> Result<Arc<dyn Sink>, Said> {
    let input = Input {
        sampled: dataflow_core::Sampled::default(),
        provisional: false,
        from: vec!["rows".into()],
        schema: rows(0).schema(),
        timed: false,
    };
    let mut problems = Problems::new();
    let mut check = Check {
        id: "out",
        span: None,
        parameters: &BTreeMap::new(),
        catalog: &[],
        offline: false,
        stdin: &dataflow_core::StandardInput::default(),
        run_time: 0,
        problems: &mut problems,
    };
    let config = node(entries).read::<File>();
    let built = match config {
        Ok(config) => config.build(&input, &mut check),
        Err(problem) => {
            check.problems.push(problem);
            None
        }
    };
    let said = |p: &dataflow_core::Problem| (p.message.clone(), p.help.clone());
    built.ok_or_else(|| problems.list().iter().map(said).collect())
}

fn open(entries: &[(&str, &str)]) -> Result<Box<dyn Writer>> {
    let sink = build(entries).expect("a valid configuration");
    sink.open(&context().0)
}

fn run(entries: &[(&str, &str)], batches: &[Batch]) -> Result<Receipt> {
    let mut writer = open(entries)?;
    for batch in batches {
        writer.write(batch)?;
    }
    let receipt = writer.prepare()?;
    writer.commit()?;
    Ok(receipt)
}

#[test]
fn nothing_is_there_before_the_commit_and_nothing_else_after_it() {
    let folder = Folder::new();
    for name in ["x.csv", "x.jsonl.gz", "deep/er/x.parquet", "x.arrow"] {
        let path = folder.path(name);
        let before = folder.list();
        let mut writer = open(&[("path", &path)]).expect("opens");
        let gone = |at: &str| assert!(!Path::new(&path).exists(), "{name} {at}");
        gone("opened");
        writer.write(&batch(10_000)).expect("writes");
        gone("written");
        let receipt = writer.prepare().expect("prepares");
        gone("prepared");
        drop(writer);
        assert_eq!(
            folder.list(),
            before,
            "{name}: nothing is left after a drop"
        );
        assert_eq!(receipt.rows, 10_000);

        let receipt = run(&[("path", &path)], &[batch(10_000)]).expect("runs");
        assert_eq!(receipt.files.len(), 1);
        assert_eq!(receipt.files[0].path, path);
        assert_eq!(receipt.files[0].rows, 10_000);
        assert_eq!(receipt.bytes, fs::metadata(&path).expect("there").len());
        let hidden = folder
            .list()
            .into_iter()
            .filter(|name| name.contains("partial"));
        assert_eq!(hidden.count(), 0);
    }
}

#[test]
fn batches_do_not_shape_files() {
    let folder = Folder::new();
    for name in [
        "x.csv",
        "x.parquet",
        "x.arrow",
        "p_{code}.parquet",
        "p_{code}.csv",
    ] {
        let path = folder.path(name);
        let whole = rows(5_000);
        let contents = |cut: usize| {
            let batches: Vec<Batch> = (0..5_000)
                .step_by(cut)
                .map(|at| Batch::new(whole.slice(at, cut.min(5_000 - at))))
                .collect();
            let receipt = run(&[("path", &path)], &batches).expect("runs");
            let read = receipt
                .files
                .iter()
                .map(|file| fs::read(&file.path).expect("there"));
            read.collect::<Vec<_>>()
        };
        let expected = contents(5_000);
        for cut in [1, 7, 999] {
            assert!(contents(cut) == expected, "{name} {cut}");
        }
    }
}

#[test]
fn what_exists_is_replaced_kept_or_continued() {
    let folder = Folder::new();
    let path = folder.path("x.csv");
    let text = || fs::read_to_string(&path).expect("there");
    fs::write(&path, "old").expect("writes");
    let failed = open(&[("path", &path), ("if_exists", "fail")])
        .err()
        .expect("exists");
    assert!(failed.to_string().contains("exists already"), "{failed}");
    assert_eq!(text(), "old");

    run(&[("path", &path)], &[batch(1)]).expect("runs");
    assert_eq!(text(), "id,place,code,x\n0,oslo,x,0.0\n");

    fs::write(&path, text().trim_end()).expect("writes");
    run(&[("path", &path), ("if_exists", "append")], &[batch(2)]).expect("runs");
    assert_eq!(
        text(),
        "id,place,code,x\n0,oslo,x,0.0\n0,oslo,x,0.0\n1,rome,x,0.25\n"
    );

    fs::write(&path, "id,other\n1,2\n").expect("writes");
    let error = run(&[("path", &path), ("if_exists", "append")], &[batch(2)]).expect_err("other");
    assert!(
        error.to_string().contains("begins with `id,other`"),
        "{error}"
    );
    assert_eq!(text(), "id,other\n1,2\n");

    for name in ["y.csv.gz", "y.jsonl.zst", "y.jsonl"] {
        let path = folder.path(name);
        for _ in 0..2 {
            run(&[("path", &path), ("if_exists", "append")], &[batch(100)]).expect("runs");
        }
        let compression = Format::of_path(name)
            .expect("known")
            .compressed_as(name)
            .compression();
        let file = fs::File::open(&path).expect("there");
        let mut text = String::new();
        let mut read = dataflow_formats::write::decompressed(file, compression).expect("opens");
        read.read_to_string(&mut text).expect("reads");
        assert_eq!(
            text.lines().count(),
            200 + usize::from(name.contains("csv"))
        );
    }
}

#[test]
fn a_file_of_a_value_that_exists_is_told_when_the_value_appears() {
    let folder = Folder::new();
    fs::write(folder.path("p_y.csv"), "theirs").expect("writes");
    let path = folder.path("p_{code}.csv");
    let mut writer = open(&[("path", &path), ("if_exists", "fail")]).expect("opens");
    writer.write(&batch(3)).expect("only x has come");
    let error = writer.write(&batch(10)).expect_err("y exists");
    assert!(error.to_string().contains("exists already"), "{error}");
    assert!(
        error
            .in_file()
            .is_some_and(|file| file.ends_with("p_y.csv")),
        "{error}"
    );
    drop(writer);
    assert_eq!(folder.list(), ["p_y.csv"]);
}

#[test]
fn a_file_that_came_meanwhile_is_not_overwritten_with_fail() {
    let folder = Folder::new();
    for name in ["x.csv", "p_{code}.csv"] {
        let path = folder.path(name);
        let mut writer = open(&[("path", &path), ("if_exists", "fail")]).expect("opens");
        writer.write(&batch(10)).expect("writes");
        let path = &writer.prepare().expect("prepares").files[0].path;
        fs::write(path, "theirs").expect("writes");
        let error = writer.commit().expect_err("exists");
        assert!(error.to_string().contains("exists already"), "{error}");
        assert_eq!(fs::read_to_string(path).expect("there"), "theirs");
    }
}

#[test]
fn what_a_crash_left_is_swept_but_not_what_is_being_written() {
    let folder = Folder::new();
    let path = folder.path("x.csv");
    fs::write(folder.path(".x.csv.abcd1234.partial"), "left").expect("writes");
    fs::write(folder.path(".x.csv.mine.partial"), "other").expect("writes");
    fs::write(folder.path(".y.csv.abcd1234.partial"), "other").expect("writes");
    let mut first = open(&[("path", &path)]).expect("opens");
    first.write(&batch(3)).expect("writes");
    run(&[("path", &path)], &[batch(5)]).expect("runs");
    first.prepare().expect("still there");
    first.commit().expect("commits");
    assert_eq!(
        folder.list(),
        [".x.csv.mine.partial", ".y.csv.abcd1234.partial", "x.csv"]
    );
    assert_eq!(fs::read_to_string(&path).expect("there").lines().count(), 4);
}

/// The ids in a file, read back.
fn ids(path: &str) -> Vec<i64> {
    let file = InputFile {
        path: path.into(),
        bytes: None,
    };
    let format = dataflow_formats::parquet::Parquet {};
    let columns = format.inspect(&file).expect("Parquet").schema;
    assert!(
        columns.field_with_name("place").is_err(),
        "left out of the file"
    );
    let wanted = Wanted::default();
    let reading = format
        .reading(&Request { columns, wanted })
        .expect("prepares");
    let mut cutter = reading.cutter(&file, 0, Place::default()).expect("cuts");
    let mut reader = reading.reader();
    let mut ids = Vec::new();
    while let Some(piece) = cutter.next().expect("cuts") {
        reader.open(&file, piece).expect("opens");
        while let Some(decoded) = reader.next(1_000).expect("reads") {
            for (_, batch) in decoded.batches {
                ids.extend(batch.rows().column(0).as_primitive::<Int64Type>().values());
            }
        }
    }
    ids
}

#[test]
fn a_file_per_value_has_its_rows_in_order() {
    let folder = Folder::new();
    let path = folder.path("out/place={place}/{code}.parquet");
    let whole = rows(3_000);
    let batches: Vec<Batch> = (0..3_000)
        .step_by(100)
        .map(|at| Batch::new(whole.slice(at, 100)))
        .collect();
    let receipt = run(&[("path", &path)], &batches).expect("runs");
    assert_eq!(receipt.rows, 3_000);
    let base = folder.path("out/");
    let names: Vec<&str> = receipt
        .files
        .iter()
        .map(|f| f.path.trim_start_matches(&base))
        .collect();
    for name in [
        "place=%252F/y.parquet",
        "place=%2E./y.parquet",
        "place=__EMPTY__/y.parquet",
        "place=__HIVE_DEFAULT_PARTITION__/x.parquet",
        "place=a%2Fb/x.parquet",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let mut all = Vec::new();
    for file in &receipt.files {
        let ids = ids(&file.path);
        assert!(ids.is_sorted());
        assert_eq!(file.rows, ids.len() as u64);
        assert_eq!(file.bytes, fs::metadata(&file.path).expect("there").len());
        all.extend(ids);
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..3_000));
}

#[test]
fn partitions_that_do_not_fit_into_memory_are_spilled() {
    let folder = Folder::new();
    let path = folder.path("{place}.jsonl");
    let long = "x".repeat(20_000);
    let place = |i: usize| format!("p{}", i % 300);
    let batches: Vec<Batch> = (0..40)
        .map(|b| {
            let ids = (0..100).map(|i| b * 100 + i);
            let columns: Vec<(&str, arrow_array::ArrayRef)> = vec![
                (
                    "id",
                    Arc::new(arrow_array::Int64Array::from_iter_values(
                        ids.clone().map(|i| i as i64),
                    )),
                ),
                (
                    "place",
                    Arc::new(arrow_array::StringArray::from_iter_values(
                        ids.clone().map(place),
                    )),
                ),
                (
                    "text",
                    Arc::new(arrow_array::StringArray::from_iter_values(
                        ids.map(|_| &long),
                    )),
                ),
            ];
            Batch::new(RecordBatch::try_from_iter(columns).expect("columns"))
        })
        .collect();
    let pattern = Pattern::check(
        &path.clone().into(),
        &batches[0].schema(),
        &mut Check {
            id: "out",
            span: None,
            parameters: &BTreeMap::new(),
            catalog: &[],
            offline: false,
            stdin: &dataflow_core::StandardInput::default(),
            run_time: 0,
            problems: &mut Problems::new(),
        },
    );
    let pattern = pattern.flatten().expect("a pattern");
    let schema = pattern.without_columns(&batches[0].schema());
    let format = Format::of_path(&path).expect("known");
    let mut writer = Partitions::new(pattern, format, IfExists::Replace, schema).expect("opens");
    for batch in &batches {
        writer.write(batch).expect("writes");
    }
    assert!(writer.bytes() > 32 << 20, "it spilled");
    let receipt = writer.prepare().expect("prepares");
    writer.commit().expect("commits");
    assert_eq!(receipt.files.len(), 300);
    assert!(receipt.files.iter().all(|file| file.rows >= 13));
    assert_eq!(
        receipt.files.iter().map(|f| f.rows).sum::<u64>(),
        receipt.rows
    );
    assert_eq!(folder.list().len(), 300);
    let text = fs::read_to_string(folder.path("p7.jsonl")).expect("there");
    let ids: Vec<String> = text.lines().map(|line| line[..10].to_string()).collect();
    assert_eq!(ids.len(), 14);
    assert!(ids[0].starts_with("{\"id\":7,"), "{}", ids[0]);
    assert!(ids[13].starts_with("{\"id\":3907"), "{}", ids[13]);
}

#[test]
fn standard_output_is_written_as_rows_come() {
    let sink = build(&[("path", "-")]).expect("valid");
    let (context, printed) = context();
    let mut writer = sink.open(&context).expect("opens");
    writer.write(&batch(2)).expect("writes");
    assert_eq!(
        printed.text(),
        "id,place,code,x\n0,oslo,x,0.0\n1,rome,x,0.25\n"
    );
    writer.prepare().expect("prepares");
    writer.commit().expect("commits");

    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let context = SinkContext {
        stdout: Arc::new(std::sync::Mutex::new(Closed)),
        ..context
    };
    let mut writer = sink.open(&context).expect("opens");
    let error = writer.write(&batch(2)).expect_err("closed");
    assert_eq!(error.fault(), Fault::Closed);
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    let error = run(
        &[("path", "/dev/full"), ("format", "csv")],
        &[batch(100_000)],
    );
    let error = error.expect_err("full");
    assert_eq!(error.in_file(), Some("/dev/full"));
    assert!(error.to_string().contains("No space left"), "{error}");
    run(&[("path", "/dev/null"), ("format", "csv")], &[batch(10)])
        .expect("a device is written directly");
}

#[test]
fn wrong_configurations_are_told() {
    let folder = Folder::new();
    let here = folder.path("");
    for (entries, message, help) in [
        (vec![("path", "")], "the path is empty", "`-`"),
        (
            vec![("path", "x.txt")],
            "not clear from the name `x.txt`",
            "format = \"csv\"",
        ),
        (
            vec![("path", "x.parquet"), ("if_exists", "append")],
            "cannot be added to a parquet file",
            "csv",
        ),
        (
            vec![("path", "{plaze}.csv")],
            "there is no column `plaze`",
            "did you mean `place`?",
        ),
        (vec![("path", "{x}.csv")], "cannot name files", "text"),
        (vec![("path", "{place.csv")], "has no `}`", "{{"),
        (vec![("path", "a}.csv")], "has no `{`", "}}"),
        (
            vec![("path", "x.csv"), ("if_exist", "fail")],
            "there is no key `if_exist`",
            "did you mean `if_exists`?",
        ),
        (
            vec![("path", &here), ("format", "csv")],
            "is a folder",
            "name of a file",
        ),
        (
            vec![("path", "x"), ("format", "parket")],
            "`parket` is not known",
            "did you mean `parquet`?",
        ),
    ] {
        let said = build(&entries).err().expect("wrong");
        assert!(said[0].0.contains(message), "{entries:?}: {said:?}");
        assert!(
            said[0].1.as_ref().is_some_and(|h| h.contains(help)),
            "{said:?}"
        );
    }
    assert!(build(&[("path", "a{{b}}.csv")]).is_ok());
}

#[test]
fn paths_that_cannot_be_written_are_told() {
    let folder = Folder::new();
    fs::write(folder.path("file"), "x").expect("writes");
    let path = folder.path("file/x.csv");
    let error = run(&[("path", &path)], &[batch(1)]).expect_err("a file is no folder");
    assert!(
        error.in_file().is_some_and(|f| f.contains("file")),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn links_stay_links_and_modes_stay_modes() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new();
    let (real, link) = (folder.path("real.csv"), folder.path("link.csv"));
    fs::write(&real, "old").expect("writes");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("sets");
    symlink(&real, &link).expect("links");
    run(&[("path", &link)], &[batch(1)]).expect("runs");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert!(fs::read_to_string(&real).expect("there").starts_with("id,"));
    assert_eq!(
        fs::metadata(&real).expect("there").permissions().mode() & 0o777,
        0o640
    );
    let new = folder.path("new.csv");
    run(&[("path", &new)], &[batch(1)]).expect("runs");
    let mode = fs::metadata(&new).expect("there").permissions().mode() & 0o777;
    assert_ne!(mode, 0o600, "not private like a temporary file");
}

#[test]
fn examples_are_valid() {
    for component in crate::list() {
        assert!(component.info.example.contains(component.info.name));
        assert!(component.schema.is_some());
    }
    let names: Vec<&str> = crate::list().iter().map(|c| c.info.name).collect();
    assert!(names.is_sorted());
}
