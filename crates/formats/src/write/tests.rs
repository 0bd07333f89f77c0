//! Tests of writing.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, new_null_array};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use dataflow_core::error::Fault;

use super::blocks::canonical;
use super::testing::{CUTS, Cut, Shared, noise, rows, written, written_with_stops};
use super::*;

fn formats() -> Vec<Format> {
    let text = |compression| Csv {
        compression: Some(compression),
        ..Csv::default()
    };
    let parquet = |compression, row_group_rows| Parquet {
        compression,
        row_group_rows,
    };
    let arrow = |stream, compression| Arrow {
        stream,
        compression,
    };
    vec![
        Format::Csv(Csv::default()),
        Format::Csv(text(Compression::Gzip)),
        Format::Csv(text(Compression::Zstd)),
        Format::Jsonl(Jsonl::default()),
        Format::Parquet(Parquet::default()),
        Format::Parquet(parquet(ParquetCompression::Zstd, Some(10_000))),
        Format::Arrow(Arrow::default()),
        Format::Arrow(arrow(true, ArrowCompression::Lz4)),
        Format::Arrow(arrow(false, ArrowCompression::Zstd)),
    ]
}

#[test]
fn how_rows_are_cut_shapes_no_byte() {
    let some = rows(70_001);
    let few = rows(300);
    for format in formats() {
        let expected = written(format.writer(), &some, Cut::Every(70_001)).expect("writes");
        for cut in CUTS {
            let found = written(format.writer(), &some, cut).expect("writes");
            assert!(found == expected, "{format:?} {cut:?}");
        }
        let expected = written(format.writer(), &few, Cut::Every(300)).expect("writes");
        let found = written(format.writer(), &few, Cut::Every(1)).expect("writes");
        assert!(found == expected, "{format:?} one by one");
    }
}

#[test]
fn writers_that_are_gone_on_with_make_the_same_bytes() {
    for (count, seeds) in [(0, 8), (5, 8), (20_001, 8), (70_001, 3)] {
        let rows = rows(count);
        for format in formats() {
            let expected = written(format.writer(), &rows, Cut::Every(8_192)).expect("writes");
            for seed in 0..seeds {
                let found = written_with_stops(format.writer(), &rows, seed).expect("writes");
                assert!(found == expected, "{format:?} {count} {seed}");
            }
        }
    }
}

/// The rows as the encoders get them.
fn blocks(rows: &RecordBatch, length: usize) -> impl Iterator<Item = RecordBatch> + '_ {
    let schema = written_schema(&rows.schema());
    let starts = (0..rows.num_rows()).step_by(length);
    starts.map(move |at| {
        let block = rows.slice(at, length.min(rows.num_rows() - at));
        plain(&block, &schema).expect("the columns")
    })
}

#[test]
fn files_are_what_the_libraries_write() {
    use ::parquet::arrow::ArrowWriter;
    use arrow_ipc::writer::FileWriter;
    let rows = rows(70_001);
    let schema = written_schema(&rows.schema());
    let out = Shared::default();
    let mut writer = FileWriter::try_new(out.clone(), &schema).expect("begins");
    for block in blocks(&rows, 65_536) {
        let block = canonical(&block).expect("arrays");
        writer.write(&block).expect("writes");
    }
    writer.finish().expect("finishes");
    let format = Arrow::default();
    let found = written(&format, &rows, Cut::Every(999)).expect("writes");
    assert!(*out.0.lock().expect("no panic") == found, "Arrow");

    let format = Parquet {
        row_group_rows: Some(10_000),
        ..Parquet::default()
    };
    let out = Shared::default();
    let properties = Some(format.properties(&schema).expect("valid"));
    let mut writer = ArrowWriter::try_new(out.clone(), schema, properties).expect("begins");
    for block in blocks(&rows, 8_192) {
        writer.write(&block).expect("writes");
    }
    writer.close().expect("finishes");
    let found = written(&format, &rows, Cut::Every(999)).expect("writes");
    assert!(*out.0.lock().expect("no panic") == found, "Parquet");
}

#[test]
fn long_text_makes_smaller_blocks_and_no_difference() {
    let text = |row: usize| {
        let length = if row.is_multiple_of(50) { 400_000 } else { 10 };
        String::from_utf8(vec![b'a' + (row % 26) as u8; length]).expect("ascii")
    };
    let column: ArrayRef = Arc::new(StringArray::from_iter_values((0..9_000).map(text)));
    let rows = RecordBatch::try_from_iter([("text", column)]).expect("a column");
    for format in [
        Format::Parquet(Parquet::default()),
        Format::Arrow(Arrow::default()),
    ] {
        let expected = written(format.writer(), &rows, Cut::Every(9_000)).expect("writes");
        for cut in [Cut::Every(100), Cut::Random(3), Cut::Every(8_192)] {
            let found = written(format.writer(), &rows, cut).expect("writes");
            assert!(found == expected, "{format:?} {cut:?}");
        }
        let mut writer = format
            .writer()
            .begin(Box::new(std::io::sink()), rows.schema())
            .expect("begins");
        for row in 0..rows.num_rows() {
            writer.write(&rows.slice(row, 1)).expect("writes");
            assert!(writer.memory() < 64 << 20, "{}", writer.memory());
        }
    }
}

#[test]
fn fifty_columns_are_written_in_little_memory() {
    let columns = (0..50).map(|c| {
        let values = (0..8_192).map(|row| noise(row, c) as f64 / 3.0);
        let column: ArrayRef = Arc::new(Float64Array::from_iter_values(values));
        (format!("c{c}"), column)
    });
    let rows = RecordBatch::try_from_iter(columns).expect("columns");
    let format = Parquet::default();
    let mut writer = format
        .begin(Box::new(std::io::sink()), rows.schema())
        .expect("begins");
    let mut peak = 0;
    for _ in 0..20 {
        writer.write(&rows).expect("writes");
        peak = peak.max(writer.memory());
    }
    assert!(peak < 36 << 20, "{} MiB", peak >> 20);
    assert!(writer.bytes() > 0);
}

fn text_of(format: &Format, rows: &RecordBatch) -> String {
    let bytes = written(format.writer(), rows, Cut::Every(2)).expect("writes");
    String::from_utf8(bytes).expect("text")
}

fn one(name: &str, column: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([(name, column, true)]).expect("a column")
}

#[test]
fn csv_quotes_only_what_it_must() {
    let values = [
        Some("plain"),
        Some(""),
        None,
        Some("a,b"),
        Some("say \"x\""),
        Some("l\n"),
        Some(" x;"),
    ];
    let a: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
    let b: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(1.0),
        Some(0.1),
        None,
        Some(f64::NAN),
        Some(f64::NEG_INFINITY),
        Some(1e22),
        Some(-0.0),
    ]));
    let rows = RecordBatch::try_from_iter_with_nullable([("a", a, true), ("b;\"", b, true)])
        .expect("columns");
    let csv = Format::Csv(Csv::default());
    assert_eq!(
        text_of(&csv, &rows),
        "a,\"b;\"\"\"\nplain,1.0\n\"\",0.1\n,\n\"a,b\",NaN\n\"say \"\"x\"\"\",-inf\n\"l\n\",1e+22\n x;,-0.0\n"
    );
    let other = Format::Csv(Csv {
        delimiter: Delimiter(b';'),
        null: "NA".into(),
        header: false,
        compression: None,
    });
    assert_eq!(
        text_of(&other, &rows),
        "plain;1.0\n\"\";0.1\nNA;NA\na,b;NaN\n\"say \"\"x\"\"\";-inf\n\"l\n\";1e+22\n\" x;\";-0.0\n"
    );
    let alone = one("a", new_null_array(&DataType::Int64, 2));
    assert_eq!(text_of(&csv, &alone), "a\n\"\"\n\"\"\n");
}

#[test]
fn jsonl_keeps_what_json_has_no_word_for() {
    let rows = rows(60);
    let text = text_of(&Format::Jsonl(Jsonl::default()), &rows);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 60);
    let keys: Vec<&String> = lines[0].as_object().expect("object").keys().collect();
    let names: Vec<String> = rows
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(keys, names.iter().collect::<Vec<_>>());
    assert!(lines.iter().any(|line| line["float"] == "NaN"));
    assert!(lines.iter().any(|line| line["float"] == "Infinity"));
    assert!(lines.iter().any(|line| line["code"] == "two\nlines"));
    assert!(lines.iter().any(|line| line["pair"]["t"] == "t7"));
    assert!(lines.iter().any(|line| line["map"]["k0"].is_number()));
    assert!(
        lines
            .iter()
            .any(|line| line["list"].as_array().is_some_and(|l| l.len() == 3))
    );
    assert_eq!(lines[3]["time"], "2023-11-14T22:13:20.003000009Z");
}

#[test]
fn times_are_rfc_3339() {
    use arrow_cast::cast;
    let utc = || Some(Arc::from("UTC"));
    let seconds =
        |values: Vec<i64>| -> ArrayRef { Arc::new(arrow_array::Int64Array::from(values)) };
    // value, type, text
    let table = [
        (
            0,
            DataType::Timestamp(TimeUnit::Second, utc()),
            "1970-01-01T00:00:00Z",
        ),
        (
            -1,
            DataType::Timestamp(TimeUnit::Nanosecond, utc()),
            "1969-12-31T23:59:59.999999999Z",
        ),
        (
            1_500,
            DataType::Timestamp(TimeUnit::Millisecond, None),
            "1970-01-01T00:00:01.500",
        ),
        (
            951_782_400,
            DataType::Timestamp(TimeUnit::Second, utc()),
            "2000-02-29T00:00:00Z",
        ),
        (
            -62_167_219_201,
            DataType::Timestamp(TimeUnit::Second, utc()),
            "-0001-12-31T23:59:59Z",
        ),
        (
            1_720_000_000,
            DataType::Timestamp(TimeUnit::Second, Some("Europe/Berlin".into())),
            "2024-07-03T11:46:40+02:00",
        ),
        (
            1_720_000_000,
            DataType::Timestamp(TimeUnit::Second, Some("-03:30".into())),
            "2024-07-03T06:16:40-03:30",
        ),
        (
            3_723_000_001,
            DataType::Time64(TimeUnit::Microsecond),
            "01:02:03.000001",
        ),
        (
            -90_500,
            DataType::Duration(TimeUnit::Millisecond),
            "-PT90.500S",
        ),
    ];
    for (value, data_type, text) in table {
        let column = cast(&seconds(vec![value]), &data_type).expect("casts");
        let cells = Cells::new(column.as_ref()).expect("text");
        let mut out = Vec::new();
        cells.write(0, Style::Plain, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), text, "{data_type}");
    }
    let days: ArrayRef = Arc::new(arrow_array::Date32Array::from(vec![
        -1, 0, 19_782, 2_932_897,
    ]));
    let csv = text_of(&Format::Csv(Csv::default()), &one("d", days));
    assert_eq!(csv, "d\n1969-12-31\n1970-01-01\n2024-02-29\n+10000-01-01\n");
}

#[test]
fn every_day_of_eight_centuries_agrees_with_chrono() {
    let first = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");
    let days: ArrayRef = Arc::new(arrow_array::Date32Array::from_iter_values(
        -150_000..150_000,
    ));
    let cells = Cells::new(days.as_ref()).expect("text");
    let mut out = Vec::new();
    for row in 0..300_000 {
        out.clear();
        cells.write(row, Style::Plain, &mut out);
        let day = first + chrono::TimeDelta::days(row as i64 - 150_000);
        assert_eq!(out, day.to_string().as_bytes());
    }
}

#[test]
fn formats_are_read_from_text_and_tables() {
    use dataflow_core::config::{Key, Node, Tree};
    let table = |name: &str, value: Tree| {
        let key = Key {
            name: name.into(),
            span: None,
        };
        Tree::Table(vec![(key, value.into())])
    };
    let read = |tree: Tree| Node::from(tree).read::<Format>();
    assert_eq!(
        read(Tree::Text("jsonl".into())),
        Ok(Format::Jsonl(Jsonl::default()))
    );
    let semicolon = table("csv", table("delimiter", Tree::Text(";".into())));
    let Ok(Format::Csv(csv)) = read(semicolon) else {
        panic!("csv");
    };
    assert_eq!(csv.delimiter, Delimiter(b';'));
    let wrong = read(Tree::Text("parket".into())).expect_err("unknown");
    assert_eq!(wrong.help.as_deref(), Some("did you mean `parquet`?"));
    let wrong = read(table("csv", table("delimiter", Tree::Text("ab".into())))).expect_err("two");
    assert!(wrong.message.contains("cannot stand between fields"));
    let wrong = read(table("csv", table("delimeter", Tree::Text(";".into())))).expect_err("key");
    assert_eq!(wrong.help.as_deref(), Some("did you mean `delimiter`?"));
}

#[test]
fn a_path_tells_format_and_compression() {
    for (path, name, compression) in [
        ("a.csv", Some("csv"), Compression::None),
        ("a.b/x.TSV", Some("csv"), Compression::None),
        ("x.jsonl.gz", Some("jsonl"), Compression::Gzip),
        ("x.csv.zst", Some("csv"), Compression::Zstd),
        ("x.feather", Some("arrow"), Compression::None),
        ("x.parquet", Some("parquet"), Compression::None),
        ("a.csv/x", None, Compression::None),
        ("x.txt", None, Compression::None),
    ] {
        let format = Format::of_path(path).map(|format| format.compressed_as(path));
        assert_eq!(format.as_ref().map(Format::name), name, "{path}");
        if let Some(format) = format {
            assert_eq!(format.compression(), compression, "{path}");
        }
    }
}

#[test]
fn what_cannot_be_written_is_named() {
    let interval = DataType::Interval(arrow_schema::IntervalUnit::MonthDayNano);
    let schema = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("gap", interval, true),
    ]));
    let begun = Parquet::default().begin(Box::new(std::io::sink()), schema);
    let error = begun.err().expect("refused");
    assert!(error.to_string().contains("column `gap`"), "{error}");
}

#[test]
fn a_full_disk_and_a_closed_pipe_are_told() {
    struct Failing(std::io::ErrorKind);
    impl std::io::Write for Failing {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let rows = rows(20_000);
    for format in formats() {
        for (kind, fault) in [
            (std::io::ErrorKind::StorageFull, Fault::Resource),
            (std::io::ErrorKind::BrokenPipe, Fault::Closed),
        ] {
            let run = || {
                let mut writer = format
                    .writer()
                    .begin(Box::new(Failing(kind)), rows.schema())?;
                writer.write(&rows)?;
                writer.finish().map(|_| ())
            };
            let error = run().expect_err("the disk is full");
            assert_eq!(error.fault(), fault, "{format:?}: {error}");
        }
    }
}

#[test]
fn no_rows_make_a_file_that_says_so() {
    let empty = rows(0);
    for format in formats() {
        let bytes = written(format.writer(), &empty, Cut::Every(1)).expect("writes");
        assert_eq!(
            bytes.is_empty(),
            matches!(format, Format::Jsonl(_)),
            "{format:?}"
        );
    }
}
