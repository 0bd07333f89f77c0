//! Tests of the `file` source: what is found, which columns come out, what is said when something is wrong.

use std::fs;

use dataflow_core::source::{Comparison, Operator};
use dataflow_core::{Place, Value, Wanted};

use super::*;
use crate::testing::{build, lines, read, source, table};

/// A folder with files; a size of text that ends without a newline is fine.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    root
}

/// The settings with `ROOT` replaced by the folder.
fn settings(root: &tempfile::TempDir, text: &str) -> String {
    text.replace("ROOT", root.path().to_str().expect("UTF-8"))
}

/// What is printed, with the folder replaced by `ROOT`.
fn shown(root: &tempfile::TempDir, text: &str) -> String {
    text.replace(root.path().to_str().expect("UTF-8"), "ROOT")
}

fn rows(root: &tempfile::TempDir, text: &str) -> Vec<String> {
    let source = source::<FileConfig>(&settings(root, text));
    table(&*source).iter().map(|l| shown(root, l)).collect()
}

fn said(root: &tempfile::TempDir, text: &str) -> Vec<String> {
    let (_, said) = build::<FileConfig>(&settings(root, text), false);
    said.iter().map(|l| shown(root, l)).collect()
}

fn failure(root: &tempfile::TempDir, text: &str) -> String {
    let source = source::<FileConfig>(&settings(root, text));
    shown(root, &read(&*source, 10).expect_err("fails").to_string())
}

#[test]
fn files_are_read_in_the_order_of_their_paths() {
    let root = folder(&[
        ("b.csv", "x,name\n3,c\n"),
        ("a.csv", "x,name\n1,a\n2,b\n"),
        ("c/d.csv", "name,x\nd,4\n"),
        ("empty.csv", ""),
        (".hidden.csv", "z\n1\n"),
    ]);
    let expected = ["x name", "1 a", "2 b", "3 c", "4 d"];
    assert_eq!(rows(&root, "path = 'ROOT'"), expected);
    assert_eq!(rows(&root, "path = 'ROOT/**/*.csv'"), expected);
    let list = "path = ['ROOT/c', 'ROOT/b.csv', 'ROOT/*.csv']\nexclude = ['a.*']";
    assert_eq!(rows(&root, list), ["x name", "3 c", "4 d"]);
}

#[test]
fn rows_know_their_file_and_number() {
    let root = folder(&[
        ("a.csv", "x,y\n1,1\nbad\n2,2\n3,3\n4,4\n"),
        ("b.csv", "x,y\n5,5\n"),
    ]);
    let text = settings(
        &root,
        "path = 'ROOT'\nfile_column = 'file'\nrow_column = 'row'",
    );
    let source = source::<FileConfig>(&text);
    for batch in [1, 2, 100] {
        let (rows, bad) = read(&*source, batch).expect("readable");
        let printed: Vec<String> = lines(&rows).iter().map(|l| shown(&root, l)).collect();
        let expected = [
            "1 1 ROOT/a.csv 1",
            "2 2 ROOT/a.csv 3",
            "3 3 ROOT/a.csv 4",
            "4 4 ROOT/a.csv 5",
            "5 5 ROOT/b.csv 1",
        ];
        assert_eq!(printed, expected);
        assert_eq!(bad.len(), 1);
        assert_eq!(bad[0].place.map(|place| place.row()), Some(1));
    }
    let only = |columns: &[&str]| {
        let wanted = Wanted {
            columns: Some(columns.iter().map(|c| (*c).to_string()).collect()),
            ..Wanted::default()
        };
        let (rows, _) = read(&*Arc::clone(&source).narrow(&wanted), 3).expect("readable");
        (rows.num_rows(), lines(&rows).join(","))
    };
    assert_eq!(only(&["row"]), (5, "1,3,4,5,1".to_string()));
    assert_eq!(only(&["row", "y"]), (5, "1 1,2 3,3 4,4 5,5 1".to_string()));
    assert_eq!(only(&[]), (5, ",,,,".to_string()));
}

#[test]
fn folders_become_columns_and_are_skipped_by_conditions() {
    let root = folder(&[
        ("year=2024/month=12/a.csv", "x\n1\n"),
        ("year=2025/month=01/a.csv", "x\n2\n"),
        ("year=2025/month=11/a.csv", "x\n3\n"),
    ]);
    let expected = ["x year month", "1 2024 12", "2 2025 1", "3 2025 11"];
    assert_eq!(rows(&root, "path = 'ROOT'"), expected);
    let text = "path = 'ROOT'\ncolumns.month = { type = 'text' }";
    assert_eq!(rows(&root, text)[2], "2 2025 01");
    let source = source::<FileConfig>(&settings(&root, "path = 'ROOT'"));
    let year = |operator, year| Comparison {
        column: "year".into(),
        operator,
        value: Value::Integer(year),
    };
    let narrow = |predicate: Vec<Comparison>, rows| {
        let wanted = Wanted {
            columns: Some(vec!["x".into(), "month".into()]),
            predicate,
            rows,
        };
        Arc::clone(&source).narrow(&wanted)
    };
    let late = narrow(vec![year(Operator::Greater, 2024)], None);
    assert_eq!(table(&*late), ["x month", "2 1", "3 11"]);
    assert_eq!(late.splits().expect("listed").len(), 2);
    let explained = late.explain();
    assert_eq!(
        explained,
        [
            "3 csv files, 12 B",
            "skips 1 files by their folders or names"
        ]
    );
    // The first rows are the first rows, whatever could be skipped.
    let first = narrow(vec![year(Operator::Greater, 2024)], Some(2));
    assert_eq!(table(&*first), ["x month", "1 12", "2 1"]);
}

#[test]
fn strict_files_have_the_same_columns() {
    let missing = folder(&[("a.csv", "x,y\n1,2\n"), ("b.csv", "x\n3\n")]);
    assert_eq!(
        failure(&missing, "path = 'ROOT'"),
        "there is no column `y`, which ROOT/a.csv has (ROOT/b.csv)\n  help: to read it as null there, set \
         `schema = \"union\"` or `columns.y = { optional = true }`"
    );
    let extra = folder(&[("a.csv", "x\n1\n"), ("b.csv", "x,y\n3,4\n")]);
    assert_eq!(
        failure(&extra, "path = 'ROOT'"),
        "there is a column `y`, which ROOT/a.csv does not have (ROOT/b.csv)\n  help: to read the columns of all files, \
         set `schema = \"union\"`"
    );
    let optional = "path = 'ROOT'\ncolumns.y = { optional = true }";
    assert_eq!(rows(&missing, optional), ["x y", "1 2", "3 null"]);
    let declared = "path = 'ROOT'\ncolumns.y = { type = 'int64', optional = true }";
    assert_eq!(rows(&extra, declared), ["x y", "1 null", "3 4"]);
}

#[test]
fn union_puts_columns_together() {
    let root = folder(&[
        ("a.csv", "x,y\n1,a\n"),
        ("b.csv", "z,x\n5,2.5\n"),
        ("k=1/c.csv", "x\n7\n"),
    ]);
    let expected = [
        "x y z k",
        "1.0 a null null",
        "2.5 null 5 null",
        "7.0 null null 1",
    ];
    assert_eq!(rows(&root, "path = 'ROOT'\nschema = 'union'"), expected);
    assert_eq!(
        said(&root, "path = 'ROOT'"),
        [
            "`ROOT/a.csv` is in no folder `k=...` as other files are | to read it as null there, set `schema = \"union\"`"
        ]
    );
    let unlike = folder(&[("a.csv", "x\n1\n"), ("b.csv", "x\nold\n")]);
    assert_eq!(
        said(&unlike, "path = 'ROOT'\nschema = 'union'"),
        [
            "column `x` is int64 in ROOT/a.csv and text in ROOT/b.csv | declare a type for it, such as `columns.x = { type = \
             \"text\" }`, or read the files as two sources"
        ]
    );
    let declared = "path = 'ROOT'\nschema = 'union'\ncolumns.x = { type = 'text' }";
    assert_eq!(rows(&unlike, declared), ["x", "1", "old"]);
}

#[test]
fn the_first_rows_do_not_depend_on_who_reads_what_when() {
    let files: Vec<(String, String)> = (0..7)
        .map(|file| {
            let rows: String = (0..file).map(|row| format!("{file}{row}\n")).collect();
            (format!("{file}.csv"), format!("x\n{rows}"))
        })
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (&n[..], &t[..])).collect();
    let root = folder(&files);
    let source = source::<FileConfig>(&settings(&root, "path = 'ROOT'"));
    let all = table(&*source);
    for limit in [0, 1, 5, 6, 9, 20, 21, 100] {
        let wanted = Wanted {
            rows: Some(limit),
            ..Wanted::default()
        };
        let expected = &all[..all.len().min(1 + limit as usize)];
        let narrow = Arc::clone(&source).narrow(&wanted);
        assert_eq!(table(&*narrow), expected);
        // The last file first, by a reader that never saw the others.
        let mut counts = Vec::new();
        for split in (0..7).rev() {
            let fresh = Arc::clone(&source).narrow(&wanted);
            let first = Place::new(split as u32, 0).expect("in range");
            let mut cutter = fresh.cutter(split, first).expect("opens");
            let mut reader = fresh.reader().expect("made");
            let mut count = 0;
            while let Some(piece) = cutter.next().expect("cuts") {
                reader.open(piece).expect("opens");
                while let Some(decoded) = reader.next(2).expect("reads") {
                    count += decoded.batches.iter().map(|(_, b)| b.len()).sum::<usize>();
                }
            }
            counts.push(count);
        }
        assert_eq!(counts.iter().sum::<usize>(), expected.len() - 1);
    }
}

#[test]
fn empty_files_have_no_rows_and_miss_no_columns() {
    let root = folder(&[
        ("a.csv", ""),
        ("b.csv", "x\n1\n"),
        ("c.csv", ""),
        ("d.csv", "x\n"),
    ]);
    assert_eq!(rows(&root, "path = 'ROOT'"), ["x", "1"]);
    assert_eq!(rows(&root, "path = 'ROOT'\nschema = 'union'"), ["x", "1"]);
    assert_eq!(rows(&root, "path = 'ROOT/d.csv'"), ["x"]);
    let declared = "path = 'ROOT/a.csv'\ncolumns.x = { type = 'int64', optional = true }";
    assert_eq!(rows(&root, declared), ["x"]);
    assert_eq!(
        said(&root, "path = 'ROOT/a.csv'"),
        [
            "`ROOT/a.csv` is empty, so its columns are not known | declare them: `columns.x = { type = \"float64\", optional = \
             true }`"
        ]
    );
}

/// Writes a Parquet file.
fn parquet(path: &std::path::Path, rows: &arrow_array::RecordBatch) {
    use dataflow_formats::WriteFormat;
    let file = fs::File::create(path).expect("made");
    let format = dataflow_formats::write::Parquet::default();
    let mut writer = format.begin(Box::new(file), rows.schema()).expect("begun");
    writer.write(rows).expect("written");
    writer.finish().expect("finished");
}

#[test]
fn parquet_files_of_several_types_are_put_together() {
    use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
    let root = folder(&[("day=2/c.csv", "n,name\n7,g\n")]);
    let texts = |texts: &[&str]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
    let file = |name: &str, columns: Vec<(&str, ArrayRef)>| {
        let rows = RecordBatch::try_from_iter(columns).expect("fits");
        fs::create_dir_all(root.path().join("day=1")).expect("made");
        parquet(&root.path().join(name), &rows);
    };
    let n: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    file(
        "day=1/a.parquet",
        vec![("n", n), ("name", texts(&["a", "b", "a"]))],
    );
    let n: ArrayRef = Arc::new(Float64Array::from(vec![0.5]));
    file("day=1/b.parquet", vec![("name", texts(&["d"])), ("n", n)]);
    let expected = [
        "n name day",
        "1.0 a 1",
        "2.0 b 1",
        "3.0 a 1",
        "0.5 d 1",
        "7.0 g 2",
    ];
    let union = "path = 'ROOT'\nschema = 'union'";
    assert_eq!(rows(&root, union), expected);
    let files = "path = 'ROOT/**/*.parquet'\nschema = 'union'";
    assert_eq!(rows(&root, files), expected[..5]);
    // Text that all files keep in dictionaries stays so.
    let source = source::<FileConfig>(&settings(&root, files));
    assert_eq!(source.ports()[0].schema.field(1).data_type(), &text());
    let splits = source.splits().expect("listed");
    assert_eq!(
        splits.iter().map(|s| s.rows).collect::<Vec<_>>(),
        [Some(3), Some(1)]
    );
    let wanted = Wanted {
        columns: Some(vec!["day".into()]),
        rows: Some(2),
        ..Wanted::default()
    };
    assert_eq!(table(&*source.narrow(&wanted)), ["day", "1", "1"]);
    // In strict mode the first file decides, and what does not fit is said.
    assert_eq!(
        failure(&root, "path = 'ROOT/day=1'"),
        "column `n` is Float64 here, and cannot become Int32 without loss (ROOT/day=1/b.parquet)\n  help: declare another type \
         for it, or read this file in a source of its own"
    );
    let cut = fs::read(root.path().join("day=1/a.parquet")).expect("read");
    fs::write(root.path().join("cut.parquet"), &cut[..cut.len() - 9]).expect("written");
    let said = said(&root, "path = 'ROOT/cut.parquet'");
    assert!(said[0].contains("(ROOT/cut.parquet)"), "{said:?}");
}

#[test]
fn many_files_need_few_descriptors() {
    let root = tempfile::tempdir().expect("a folder");
    for file in 0..1200 {
        let path = root.path().join(format!("{file:04}.csv"));
        fs::write(path, format!("x\n{file}\n")).expect("written");
    }
    let source = source::<FileConfig>(&settings(&root, "path = 'ROOT'"));
    // Cutters that are at their end hold nothing open, even while somebody keeps them.
    let mut cutters = Vec::new();
    let mut reader = source.reader().expect("made");
    let mut sum = 0;
    for split in 0..1200 {
        let first = Place::new(split as u32, 0).expect("in range");
        let mut cutter = source.cutter(split, first).expect("opens");
        while let Some(piece) = cutter.next().expect("cuts") {
            reader.open(piece).expect("opens");
            while let Some(decoded) = reader.next(10).expect("reads") {
                sum += decoded.batches.iter().map(|(_, b)| b.len()).sum::<usize>();
            }
        }
        cutters.push(cutter);
    }
    assert_eq!(sum, 1200);
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    assert!(open < 300, "{open} descriptors are open");
}

#[test]
fn objects_may_leave_columns_out() {
    let root = folder(&[
        ("a.jsonl", "{\"x\": 1, \"y\": {\"u\": 1}}\n{\"x\": 2}\n"),
        ("b.jsonl", "{\"x\": 3}\n"),
        ("c/c.json", "{\"x\": 1.5, \"y\": {\"v\": true}}\n"),
    ]);
    let both = "path = ['ROOT/a.jsonl', 'ROOT/b.jsonl']";
    assert_eq!(rows(&root, both), ["x y", "1 {u: 1}", "2 null", "3 null"]);
    let union = "path = 'ROOT'\nschema = 'union'";
    assert_eq!(rows(&root, union)[4], "1.5 {u: null, v: true}");
}

#[test]
fn lists_without_elements_contradict_nothing() {
    let lines = [
        (
            "a.jsonl",
            "{\"x\": [], \"y\": [{\"u\": []}], \"z\": null}\n",
        ),
        (
            "b.jsonl",
            "{\"x\": [1.5], \"y\": [{\"u\": [2], \"v\": null}], \"z\": [true]}\n",
        ),
        ("c.jsonl", "{\"x\": [null], \"y\": null, \"z\": []}\n"),
    ];
    let union = "path = 'ROOT'\nschema = 'union'";
    let root = folder(&lines);
    let expected = [
        "x y z",
        "[] [{u: [], v: null}] null",
        "[1.5] [{u: [2], v: null}] [true]",
        "[null] null []",
    ];
    assert_eq!(rows(&root, union), expected);
    let [a, b, c] = lines.map(|(_, text)| text);
    let other_way = folder(&[("a.jsonl", c), ("b.jsonl", b), ("c.jsonl", a)]);
    let [head, a, b, c] = expected;
    assert_eq!(rows(&other_way, union), [head, c, b, a]);
    // Where no file has an element, it is text.
    let empty = folder(&[("a.jsonl", "{\"x\": []}\n{\"x\": [\"late\"]}\n")]);
    let early = "path = 'ROOT'\nformat = { jsonl = { infer_rows = 1 } }";
    assert_eq!(rows(&empty, early), ["x", "[]", "[late]"]);
    // What does contradict is told.
    let unlike = folder(&[
        ("a.jsonl", "{\"x\": [1.5]}\n"),
        ("b.jsonl", "{\"x\": [\"a\"]}\n"),
    ]);
    let said = said(&unlike, union);
    let expected = "column `x` is list<float64> in ROOT/a.jsonl and list<text> in ROOT/b.jsonl";
    assert!(said[0].starts_with(expected), "{said:?}");
}

#[test]
fn lists_and_structs_can_be_declared() {
    let root = folder(&[(
        "a.jsonl",
        "{\"x\": [1, 2], \"y\": {\"v\": \"7\"}}\n{\"x\": [], \"y\": null}\n",
    )]);
    let declared = "path = 'ROOT/a.jsonl'\ncolumns.x = { type = 'list<float64>' }
        columns.y = { type = 'struct<v: int64, w: list<text>>' }";
    let source = source::<FileConfig>(&settings(&root, declared));
    let types: Vec<String> = (source.ports()[0].schema.fields().iter())
        .map(|f| super::types::name_of(f.data_type()))
        .collect();
    assert_eq!(types, ["list<float64>", "an object"]);
    let expected = ["x y", "[1.0, 2.0] {v: 7, w: null}", "[] null"];
    assert_eq!(table(&*source), expected);

    use arrow_array::types::{Float32Type, Int64Type};
    use arrow_array::{ArrayRef, ListArray, RecordBatch};
    use std::sync::Arc;
    let write = |column: ArrayRef| {
        let rows = RecordBatch::try_from_iter([("x", column)]).expect("fits");
        parquet(&root.path().join("a.parquet"), &rows);
    };
    let declared = "path = 'ROOT/a.parquet'\ncolumns.x = { type = 'list<float64>' }";
    let values = [Some(vec![Some(0.5), None]), None, Some(vec![])];
    write(Arc::new(
        ListArray::from_iter_primitive::<Float32Type, _, _>(values),
    ));
    assert_eq!(rows(&root, declared), ["x", "[0.5, null]", "null", "[]"]);
    write(Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
        [Some(vec![Some(1)])],
    )));
    let failed = failure(&root, declared);
    assert!(failed.starts_with("column `x` is List(Int64"), "{failed}");
    assert!(failed.contains("without loss (ROOT/a.parquet)"), "{failed}");
    // Text has no lists.
    fs::write(root.path().join("a.csv"), "x\n1\n").expect("written");
    let said = said(
        &root,
        "path = 'ROOT/a.csv'\ncolumns.x = { type = 'list<text>' }",
    );
    assert!(said[0].contains("cannot be read from text"), "{said:?}");
}

#[test]
fn a_sample_stands_in_for_files_and_says_so() {
    let text = "path = ''\nsample = { preset = 'sensors', rows = 500 }
        columns.temperature = { type = 'float32' }\ncolumns.humidity = { type = 'int64', optional = true }\nrow_column = 'n'";
    let (made, said) = build::<FileConfig>(text, true);
    assert_eq!(
        said,
        [
            "`path` is empty, so the generated sample `sensors` is read | give a `path` to read your own data"
        ]
    );
    let source = made.expect("fine");
    let (rows, _) = read(&*source, 77).expect("readable");
    assert_eq!(rows.num_rows(), 500);
    let schema = rows.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(
        names.join(" "),
        "timestamp device temperature vibration voltage current is_anomaly humidity n"
    );
    assert_eq!(rows.column(2).data_type(), &DataType::Float32);
    assert_eq!(rows.column(7).null_count(), 500);
    assert!(lines(&rows)[499].ends_with("null 500"));
    let wanted = Wanted {
        columns: Some(vec!["device".into()]),
        rows: Some(3),
        ..Wanted::default()
    };
    let narrow = source.narrow(&wanted);
    assert_eq!(
        table(&*narrow),
        ["device", "device-01", "device-02", "device-03"]
    );
    assert_eq!(
        narrow.explain(),
        [
            "the generated sample `sensors`, since `path` is empty",
            "stops after 3 rows"
        ]
    );
}

#[test]
fn the_format_is_found() {
    let root = folder(&[("a.log", "x;y\n1;2\n"), ("b.csv", "x\n5\n"), ("c.md", "#")]);
    let text = "path = 'ROOT/a.log'\nformat = { csv = { delimiter = ';' } }";
    assert_eq!(rows(&root, text), ["x y", "1 2"]);
    let text = "path = ['ROOT/a.log']\nformat = 'csv'";
    assert_eq!(rows(&root, text).len(), 2);
    assert_eq!(rows(&root, "path = 'ROOT'"), ["x", "5"]);
    assert_eq!(
        said(&root, "path = 'ROOT'"),
        [
            "2 files are left out, since their extensions are not known (ROOT/a.log, ROOT/c.md) | to read what is left out, set `format`; \
             to leave it out silently, use `exclude` or a glob such as `**/*.csv`"
        ]
    );
    // Without an extension that is known, the content decides.
    let root = folder(&[("data", "x,y\n1,2\n"), ("binary", "\u{1}\0\0\0")]);
    assert_eq!(rows(&root, "path = 'ROOT/data'"), ["x y", "1 2"]);
    let compressed = zstd::encode_all(&b"\n{\"x\": 1}\n"[..], 1).expect("compressed");
    fs::write(root.path().join("rows"), compressed).expect("written");
    assert_eq!(rows(&root, "path = 'ROOT/rows'"), ["x", "1"]);
    assert_eq!(
        said(&root, "path = 'ROOT/binary'"),
        [
            "its first bytes look like no format that can be read (ROOT/binary) | the formats are csv, jsonl, parquet, arrow, npy, npz, wav and \
             raw; leave other files out with `exclude`"
        ]
    );
}

#[test]
fn wrong_settings_are_explained() {
    let root = folder(&[("a.csv", "time,temp\n1,2\n"), ("notes/x.md", "#")]);
    let cases = [
        (
            "",
            "there is no `path` | give a path, or `sample = { preset = \"sensors\" }` to try the pipeline without data",
        ),
        (
            "path = 3",
            "expected a path, or a list of paths, found the number 3",
        ),
        (
            "path = 'ROOT/b.csv'",
            "there is no file or folder `ROOT/b.csv` | did you mean `a.csv`?",
        ),
        (
            "path = 'ROOT/*.tsv'",
            "no file matches `ROOT/*.tsv` | `*` stays within a folder, `**/` goes through all below it",
        ),
        (
            "path = 'ROOT/[a.csv'",
            "`[a.csv` is not a glob: unclosed character class; missing ']' | write one such as `data/**/*.csv`",
        ),
        (
            "path = 'ROOT/notes'",
            "no file in `ROOT/notes` has a known extension (one is `ROOT/notes/x.md`) | say what they hold: `format = \"csv\"`, \"jsonl\", \"parquet\" or \"arrow\"",
        ),
        (
            "path = 'ROOT/a.csv'\nexclud = []",
            "there is no key `exclud` here | did you mean `exclude`?",
        ),
        (
            "path = 'ROOT/a.csv'\nformat = 'cvs'",
            "`cvs` is not known here | did you mean `csv`?",
        ),
        (
            "path = 'ROOT/a.csv'\nformat = { csv = { delimeter = ';' } }",
            "there is no key `delimeter` here | did you mean `delimiter`?",
        ),
        (
            "path = 'ROOT/a.csv'\ncolumns.temq = { type = 'int64' }",
            "there is no column `temq` | did you mean `temp`?",
        ),
        (
            "path = 'ROOT/a.csv'\ncolumns.temp = { type = 'double' }",
            "`double` is not a type: did you mean `float64`?",
        ),
        (
            "path = 'ROOT/a.csv'\ncolumns.gone = { optional = true }",
            "no file has the column `gone`, so its type is not known | declare it: `columns.gone = { type = \"float64\", optional = true }`",
        ),
        (
            "path = 'ROOT/a.csv'\nfile_column = 'temp'",
            "there is a column `temp` already | choose another name",
        ),
        (
            "path = ['ROOT/a.csv', '-']",
            "standard input cannot be put together with files | read the files in a source of their own",
        ),
        (
            "path = '-'\nwatch = true",
            "standard input is no folder to `watch` | leave `watch` out: its rows are read as they come anyway",
        ),
        (
            "path = 'ROOT/a.csv'\nwatch = true",
            "`ROOT/a.csv` is a file, and no other files land in it | watch its folder, or a glob such as `data/*.csv`",
        ),
        (
            "path = 'ROOT/*.tsv'\nwatch = true\ncolumns.x = { optional = true }",
            "no file is there yet, so the columns are not known | declare all of them with their types, such as `columns.x = { type = \"float64\" }`, or put a first file there",
        ),
        (
            "sample = { preset = 'sensor' }",
            "`sensor` is not known here | did you mean `sensors`?",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(said(&root, text), [expected], "{text}");
    }
    // Offline nothing is looked at, and whoever checks says so.
    let (made, said) = build::<FileConfig>("path = 'nowhere/at/all.csv'", true);
    assert!(made.is_none() && said.is_empty());
}

/// The rows of files that land in a folder, one after the other, as they are read by a source with these settings.
fn landed(
    text: &str,
    there: &[(&str, &str)],
    land: &[(&str, &str)],
) -> Result<Vec<String>, String> {
    let root = folder(there);
    let source = source::<FileConfig>(&settings(&root, text));
    assert!(source.grows());
    let first = source.splits().expect("listed").len();
    let mut arrivals = source.arrivals().expect("watches").expect("it grows");
    let mut reader = source.reader().expect("made");
    let mut rows = Vec::new();
    for (at, (name, text)) in land.iter().enumerate() {
        let whole = root.path().join(".whole");
        fs::write(&whole, text).expect("written");
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::rename(&whole, path).expect("moved");
        let said = |error: dataflow_core::Error| shown(&root, &error.to_string());
        let splits = arrivals.next().map_err(said)?.expect("not ended");
        assert_eq!(splits.len(), 1);
        let place = Place::new(0, 0).expect("a place");
        let mut cutter = source.cutter(first + at, place).map_err(said)?;
        while let Some(piece) = cutter.next().map_err(said)? {
            reader.open(piece).map_err(said)?;
            while let Some(decoded) = reader.next(10).map_err(said)? {
                rows.extend(
                    decoded
                        .batches
                        .iter()
                        .flat_map(|(_, batch)| lines(batch.rows())),
                );
            }
        }
    }
    Ok(rows.iter().map(|row| shown(&root, row)).collect())
}

#[test]
fn files_that_land_are_further_files() {
    let text = "path = 'ROOT'\nwatch = true\nfile_column = 'file'";
    let there = [("year=2025/a.csv", "x,y\n1,2\n")];
    let land = [
        ("year=2026/b.csv", "y,x\n4,3\n"),
        ("year=2026/c.jsonl", "{\"x\": 5, \"y\": 6}\n"),
        ("year=2025/d.csv", ""),
    ];
    let rows = landed(text, &there, &land).expect("readable");
    assert_eq!(
        rows,
        [
            "3 4 2026 ROOT/year=2026/b.csv",
            "5 6 2026 ROOT/year=2026/c.jsonl"
        ]
    );
    for (name, text_of, words) in [
        (
            "e.csv",
            "x,y\n1,1\n",
            "it is in no folder `year=...` as other files are (ROOT/e.csv)",
        ),
        ("year=now/e.csv", "x,y\n1,1\n", "ROOT/year=now/e.csv"),
        (
            "year=2026/e.csv",
            "x\n1\n",
            "there is no column `y`, which ROOT/year=2025/a.csv has",
        ),
    ] {
        let error = landed(text, &there, &[(name, text_of)]).expect_err("refused");
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn where_no_file_is_there_the_declared_columns_are_read() {
    let text = "path = 'ROOT/*.csv'\nwatch = true\ncolumns.x = { type = 'int64' }\ncolumns.y = { type = 'text', optional = true }";
    let land = [("a.csv", "x\n2\n"), ("b.csv", "y,x\nb,3\n")];
    let rows = landed(text, &[], &land).expect("readable");
    assert_eq!(rows, ["2 null", "3 b"]);
    let error = landed(text, &[], &[("a.csv", "y\n1\n")]).expect_err("refused");
    assert!(
        error.contains("there is no column `x`, which is declared"),
        "{error}"
    );
}

#[test]
fn the_first_so_many_rows_are_those_of_what_is_there() {
    let root = folder(&[("a.csv", "x\n1\n")]);
    let source = source::<FileConfig>(&settings(&root, "path = 'ROOT'\nwatch = true"));
    let some = Wanted {
        rows: Some(10),
        ..Wanted::default()
    };
    assert!(!source.narrow(&some).grows());
}

#[test]
fn the_example_is_read() {
    let config: FileConfig = crate::testing::node(EXAMPLE).read().expect("fits");
    assert_eq!(config.schema, Matching::Union);
    assert_eq!(
        config.columns.names().collect::<Vec<_>>(),
        ["temperature", "comment"]
    );
    let path = open_path("/nowhere.csv").err().expect("is not there");
    assert_eq!(
        path.list()[0].message,
        "there is no file or folder `/nowhere.csv`"
    );
}

#[test]
fn times_in_a_column_say_how_many_samples_there_are() {
    let root = folder(&[
        (
            "trace.csv",
            "Time (ms),voltage\n-1,5\n-0.5,6\n0.0,x\n0.5,7\n7.5,8\n8,9\n",
        ),
        ("short.csv", "time,voltage\n0,1\n"),
        ("back.csv", "time,voltage\n2,1\n1,1\n"),
        ("word.csv", "time,voltage\na,1\nb,1\n"),
    ]);
    let text = "path = 'ROOT/trace.csv'\nsampling = { column = 'Time (ms)' }\ncolumns.voltage = { type = 'float64' }";
    let all = source::<FileConfig>(&settings(&root, text));
    let expected = dataflow_core::Sampling::of(2000.0)
        .from(-0.001)
        .numbered(true);
    assert_eq!(all.ports()[0].sampling, Some(expected));
    assert!(
        all.explain()
            .iter()
            .any(|line| line.contains("2000 samples per second from -0.001 s"))
    );
    for columns in [
        vec![],
        vec!["voltage".to_string()],
        vec!["Time (ms)".to_string()],
    ] {
        let some = Arc::clone(&all).narrow(&Wanted {
            columns: Some(columns.clone()),
            ..Wanted::default()
        });
        for batch in [1, 100] {
            let (rows, bad) = read(&*some, batch).expect("readable");
            let found = (rows.num_columns(), rows.num_rows() + bad.len());
            assert_eq!(found.0, columns.len());
            assert!(found.1 >= 5);
            let told = [(
                "steps of `Time (ms)` are not 1/2000 s, the first in front of row 5".to_string(),
                1,
            )];
            assert_eq!(some.remarks(), told);
        }
    }
    let with = |file: &str, sampling: &str| {
        said(
            &root,
            &format!("path = 'ROOT/{file}.csv'\nsampling = {sampling}"),
        )
        .join("; ")
    };
    assert!(with("short", "{ column = 'time' }").contains("there are too few"));
    assert!(with("back", "{ column = 'time' }").contains("do not ascend"));
    assert!(with("word", "{ column = 'time' }").contains("no time in numbers"));
    assert!(with("short", "{ column = 'tim' }").contains("there is no column `tim`"));
    assert_eq!(with("short", "{ column = 'time', rate = 10.0 }"), "");
    assert_eq!(
        with("short", "{ column = 'time', rate = 10.0, unit = 'us' }"),
        ""
    );
}

#[test]
fn traces_say_what_they_are_or_what_is_wrong_with_them() {
    let root = folder(&[
        ("x.i16", "abcd"),
        ("odd.i16", "abcde"),
        ("x.raw", "abcd"),
        ("x.wav", "RIFFabcdWAVE"),
    ]);
    assert_eq!(
        rows(&root, "path = 'ROOT/x.i16'"),
        ["value", "25185", "25699"]
    );
    let raw = "path = 'ROOT/x.raw'\nformat = { raw = { type = 'u8', channels = 2, skip = 2 } }\nsampling = { rate = 10.0 }";
    assert_eq!(rows(&root, raw), ["c0 c1", "99 100"]);
    let source = source::<FileConfig>(&settings(&root, raw));
    assert!(
        source
            .explain()
            .contains(&"10 samples per second from 0 s on".to_string())
    );
    for (text, expected) in [
        (
            "path = 'ROOT/odd.i16'",
            "(2 bytes each) the file goes on for 1 byte (ROOT/odd.i16, byte 4)",
        ),
        (
            "path = 'ROOT/x.raw'",
            "a raw file does not say what it holds (ROOT/x.raw) | say it: `format = { raw = ",
        ),
        (
            "path = 'ROOT/x.raw'\nformat = 'raw'",
            "raw samples have a type",
        ),
        (
            "path = 'ROOT/x.raw'\nformat = { raw = { type = 'f16' } }",
            "did you mean `i16`?",
        ),
        (
            "path = 'ROOT/x.raw'\nformat = { raw = { type = 'i8', channels = 0 } }",
            "there are 0 `channels`",
        ),
        (
            "path = 'ROOT/x.wav'",
            "there is no chunk `fmt ` that says what the samples are (ROOT/x.wav, byte 12)",
        ),
        (
            "path = '-'\nformat = 'npz'",
            "npz cannot be read from standard input",
        ),
    ] {
        let said = said(&root, text).join("; ");
        assert!(said.contains(expected), "{text}: {said}");
    }
}
