//! Tests of reading Parquet.

use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array,
};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::take::take;
use dataflow_core::source::{Comparison, Operator};
use dataflow_core::{Result, Value, Wanted};

use super::*;
use crate::convert::{DICTIONARY_HINT, dictionary};
use crate::write::testing::{Cut, Scratch, noise, read, rows, written};
use crate::write::{Parquet as WriteParquet, ParquetCompression};

fn file_of(path: &str) -> InputFile {
    InputFile {
        path: path.into(),
        bytes: None,
    }
}

fn encoded(rows: &RecordBatch, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let mut out = Vec::new();
    let properties = Some(properties.build());
    let mut writer = ArrowWriter::try_new(&mut out, rows.schema(), properties).expect("begins");
    writer.write(rows).expect("writes");
    writer.close().expect("closes");
    out
}

fn request(columns: SchemaRef) -> Request {
    Request {
        columns,
        wanted: Wanted::default(),
    }
}

fn inspect(path: &str) -> Inspected {
    Parquet {}.inspect(&file_of(path)).expect("inspects")
}

fn together(schema: &SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    concat_batches(schema, batches).expect("one schema")
}

/// The layouts that a file can have.
fn layouts() -> Vec<(&'static str, WriterPropertiesBuilder)> {
    let base = || WriterProperties::builder().set_write_batch_size(64);
    vec![
        ("one group", base()),
        (
            "small groups",
            base().set_max_row_group_row_count(Some(1_000)),
        ),
        ("small pages", base().set_data_page_row_count_limit(500)),
        (
            "pages of other sizes, no index",
            base()
                .set_data_page_size_limit(3_000)
                .set_offset_index_disabled(true)
                .set_statistics_enabled(EnabledStatistics::Chunk),
        ),
        ("no dictionaries", base().set_dictionary_enabled(false)),
        (
            "dictionaries that fill up",
            base()
                .set_dictionary_page_size_limit(20)
                .set_data_page_row_count_limit(300),
        ),
    ]
}

#[test]
fn every_type_comes_back_from_every_layout() {
    let original = rows(20_000);
    for (name, layout) in layouts() {
        let file = Scratch::new("x.parquet", &encoded(&original, layout));
        let inspected = inspect(&file.path);
        assert_eq!(inspected.rows, Some(20_000));
        for (readers, most) in [(1, 8_192), (3, 777), (1, 1_000_000)] {
            let request = request(inspected.schema.clone());
            let (places, batches) =
                read(&Parquet {}, &file.path, &request, readers, most).expect("reads");
            assert!(places.iter().copied().eq(0..20_000), "{name}");
            let found = together(&inspected.schema, &batches);
            for (i, column) in original.columns().iter().enumerate() {
                let expected = cast(column, found.column(i).data_type()).expect("casts");
                assert_eq!(&expected, found.column(i), "{name} column {i}");
            }
        }
    }
}

#[test]
fn what_we_write_we_read() {
    let original = rows(30_000);
    for compression in [
        ParquetCompression::Snappy,
        ParquetCompression::Zstd,
        ParquetCompression::None,
    ] {
        let format = WriteParquet {
            compression,
            row_group_rows: Some(9_000),
        };
        let bytes = written(&format, &original, Cut::Every(4_000)).expect("writes");
        let file = Scratch::new("x.parquet", &bytes);
        let inspected = inspect(&file.path);
        let request = request(inspected.schema.clone());
        let (_, batches) = read(&Parquet {}, &file.path, &request, 2, 8_192).expect("reads");
        let found = together(&inspected.schema, &batches);
        let text = cast(original.column(4), &DataType::Utf8).expect("casts");
        assert_eq!(found.column(4), &text);
        assert_eq!(found.column(13), original.column(13));
    }
}

#[test]
fn only_wanted_columns_come_in_the_order_of_the_request() {
    let file = Scratch::new("x.parquet", &encoded(&rows(5_000), layouts()[1].1.clone()));
    let schema = inspect(&file.path).schema;
    let mut request = request(schema);
    request.wanted.columns = Some(vec!["time".into(), "whole".into()]);
    let (_, batches) = read(&Parquet {}, &file.path, &request, 1, 8_192).expect("reads");
    let names: Vec<String> = batches[0]
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(names, ["whole", "time"]);
    request.wanted.columns = Some(vec![]);
    let (places, batches) = read(&Parquet {}, &file.path, &request, 2, 999).expect("reads");
    assert_eq!((places.len(), batches[0].num_columns()), (5_000, 0));
    request.wanted.rows = Some(1_234);
    let (places, _) = read(&Parquet {}, &file.path, &request, 1, 8_192).expect("reads");
    assert_eq!(places.len(), 1_234);
}

#[test]
fn dictionaries_stay_dictionaries_where_they_are_asked_for() {
    let original = rows(20_000);
    for (name, layout) in layouts() {
        let file = Scratch::new("x.parquet", &encoded(&original, layout));
        let schema = inspect(&file.path).schema;
        let hinted = schema.field(3).metadata().get(DICTIONARY_HINT).is_some();
        assert_eq!(hinted, !name.contains("dictionaries"), "{name}");
        assert_eq!(schema.field(3).data_type(), &DataType::Utf8);
        assert_eq!(
            schema.field(4).data_type(),
            &DataType::Utf8,
            "a dictionary when written"
        );
        let asked = Arc::new(Schema::new(vec![
            Field::new("text", dictionary(), true),
            Field::new("code", dictionary(), true),
        ]));
        let request = request(Arc::clone(&asked));
        for readers in [1, 4] {
            let (_, batches) =
                read(&Parquet {}, &file.path, &request, readers, 4_000).expect("reads");
            let plain =
                |batch: &RecordBatch| cast(batch.column(0), &DataType::Utf8).expect("casts");
            let found: Vec<ArrayRef> = batches.iter().map(plain).collect();
            let found: Vec<&dyn Array> = found.iter().map(AsRef::as_ref).collect();
            let found = arrow_select::concat::concat(&found).expect("text");
            assert_eq!(&found, original.column(3), "{name}");
        }
    }
}

#[test]
fn types_are_widened_and_absent_columns_are_null() {
    let narrow: ArrayRef = Arc::new(arrow_array::Int32Array::from(vec![Some(1), None, Some(3)]));
    let rows = RecordBatch::try_from_iter_with_nullable([("x", narrow, true)]).expect("a column");
    let file = Scratch::new("x.parquet", &encoded(&rows, WriterProperties::builder()));
    let asked = |fields: Vec<Field>| request(Arc::new(Schema::new(fields)));
    let wide = asked(vec![
        Field::new("y", dictionary(), true),
        Field::new("x", DataType::Int64, true),
    ]);
    let (_, batches) = read(&Parquet {}, &file.path, &wide, 1, 10).expect("reads");
    assert_eq!(batches[0].column(0).logical_null_count(), 3);
    assert_eq!(batches[0].column(1).as_primitive::<Int64Type>().value(2), 3);
    for (fields, what) in [
        (
            vec![Field::new("x", DataType::Int16, true)],
            "column `x` is Int32 here",
        ),
        (
            vec![Field::new("z", DataType::Int16, false)],
            "there is no column `z`",
        ),
        (
            vec![Field::new("x", DataType::Int64, false)],
            "it is null here",
        ),
    ] {
        let error = read(&Parquet {}, &file.path, &asked(fields), 1, 10).expect_err("does not fit");
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(error.in_file(), Some(&*file.path));
    }
}

/// Columns whose order, nulls and NaN make skipping interesting.
fn skippable(count: usize) -> RecordBatch {
    let keep = |row: usize, salt| !noise(row / 300, salt).is_multiple_of(5);
    let ints = (0..count).map(|row| keep(row, 1).then_some(row as i64 / 10 - 300));
    let floats = (0..count).map(|row| {
        let x = match noise(row, 2) % 200 {
            0 => f64::NAN,
            1 => -0.0,
            _ => (row as f64 / 500.0).floor(),
        };
        keep(row, 3).then_some(x)
    });
    let text =
        (0..count).map(|row| keep(row, 4).then(|| format!("w{:05}-{}", row / 7, "x".repeat(80))));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(ints.collect::<Int64Array>())),
        ("f", Arc::new(floats.collect::<Float64Array>())),
        ("t", Arc::new(text.collect::<StringArray>())),
    ];
    let columns = columns
        .into_iter()
        .map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns")
}

/// Whether a row may match, judged as generously as any evaluator could.
fn matches(rows: &RecordBatch, row: usize, comparison: &Comparison) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let column = rows.column_by_name(&comparison.column).expect("a column");
    match comparison.operator {
        Operator::IsNull => return column.is_null(row),
        Operator::IsNotNull => return column.is_valid(row),
        _ if column.is_null(row) => return false,
        _ => {}
    }
    let order = match (&comparison.value, column.data_type()) {
        (value, DataType::Float64) => {
            let x = column.as_primitive::<Float64Type>().value(row);
            let c = value.number().expect("a number");
            if x.is_nan() {
                vec![Greater]
            } else {
                vec![x.total_cmp(&c), x.partial_cmp(&c).unwrap_or(Greater)]
            }
        }
        (Value::Integer(c), _) => vec![column.as_primitive::<Int64Type>().value(row).cmp(c)],
        (Value::Text(c), _) => vec![column.as_string::<i32>().value(row).cmp(c)],
        _ => return true,
    };
    order.into_iter().any(|order| match comparison.operator {
        Operator::Equal => order == Equal,
        Operator::Less => order == Less,
        Operator::LessOrEqual => order != Greater,
        Operator::Greater => order == Greater,
        _ => order != Less,
    })
}

#[test]
fn skipping_drops_no_row_that_could_match() {
    let original = skippable(20_000);
    let mut skipped = 0;
    for (name, layout) in layouts() {
        let file = Scratch::new("x.parquet", &encoded(&original, layout));
        let schema = inspect(&file.path).schema;
        for trial in 0..120 {
            let comparison = random_comparison(trial);
            let mut request = request(schema.clone());
            request.wanted.predicate = vec![comparison.clone()];
            if trial % 3 == 0 {
                request
                    .wanted
                    .predicate
                    .push(random_comparison(trial + 1_000));
            }
            let readers = 1 + trial % 3;
            let (places, batches) =
                read(&Parquet {}, &file.path, &request, readers, 1_500).expect("reads");
            let found = together(&schema, &batches);
            let indices = UInt64Array::from(places.clone());
            for column in 0..3 {
                let expected = take(original.column(column), &indices, None).expect("in range");
                // Data, not arrays: NaN is to equal NaN.
                let found = found.column(column).to_data();
                assert_eq!(expected.to_data(), found, "{name} {comparison:?}");
            }
            let mut here = places.iter().copied().peekable();
            for row in 0..original.num_rows() {
                let read = here.next_if_eq(&(row as u64)).is_some();
                let mut tests = request.wanted.predicate.iter();
                let wanted = tests.all(|test| matches(&original, row, test));
                assert!(read || !wanted, "{name} {comparison:?} row {row}");
                skipped += usize::from(!read);
            }
        }
    }
    assert!(skipped > 1_000_000, "only {skipped} rows were skipped");
}

fn random_comparison(trial: usize) -> Comparison {
    let n = noise(trial, 99);
    let operators = [
        Operator::Equal,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
        Operator::IsNull,
        Operator::IsNotNull,
    ];
    let operator = operators[(n % 7) as usize];
    let (column, value) = match (n >> 8) % 3 {
        0 => ("i", Value::Integer((n >> 16) as i64 % 2_400 - 400)),
        1 if n.is_multiple_of(5) => ("f", Value::Integer(((n >> 16) % 45) as i64)),
        1 => ("f", Value::Float(((n >> 16) % 45) as f64 - 2.0)),
        _ => ("t", Value::Text(format!("w{:05}", (n >> 16) % 3_200))),
    };
    Comparison {
        column: column.into(),
        operator,
        value,
    }
}

#[test]
fn a_predicate_on_an_absent_column_keeps_nothing() {
    let file = Scratch::new(
        "x.parquet",
        &encoded(&skippable(100), layouts()[0].1.clone()),
    );
    let schema = Schema::new(vec![Field::new("gone", DataType::Int64, true)]);
    let mut request = request(Arc::new(schema));
    let mut count = |operator| {
        request.wanted.predicate = vec![Comparison {
            column: "gone".into(),
            operator,
            value: Value::Integer(1),
        }];
        read(&Parquet {}, &file.path, &request, 1, 10)
            .expect("reads")
            .0
            .len()
    };
    assert_eq!(count(Operator::Equal), 0);
    assert_eq!(count(Operator::IsNull), 100);
}

fn try_to_read(path: &str) -> Result<usize> {
    let inspected = Parquet {}.inspect(&file_of(path))?;
    let mut request = request(inspected.schema);
    let (places, _) = read(&Parquet {}, path, &request, 1, 8_192)?;
    request.wanted.predicate = vec![random_comparison(3), random_comparison(5)];
    let _ = read(&Parquet {}, path, &request, 1, 8_192)?;
    Ok(places.len())
}

#[test]
fn a_file_cut_short_is_an_error_wherever_it_is_cut() {
    let bytes = encoded(&rows(1_000), layouts()[1].1.clone());
    let mut lengths: Vec<usize> = (0..bytes.len()).step_by(bytes.len() / 150).collect();
    lengths.extend((1..60).map(|back| bytes.len() - back));
    for length in lengths {
        let file = Scratch::new("cut.parquet", &bytes[..length]);
        let error = try_to_read(&file.path).expect_err("cut short");
        assert_eq!(error.in_file(), Some(&*file.path), "{error}");
        assert!(error.helps().is_some(), "{error}");
    }
}

#[test]
fn flipped_bytes_are_never_a_panic() {
    let bytes = encoded(&rows(600), layouts()[2].1.clone());
    for trial in 0..900 {
        let mut bytes = bytes.clone();
        let n = noise(trial, 7);
        // Half of the trials hit the footer, where the structure is.
        let at = if trial % 2 == 0 {
            n as usize % bytes.len()
        } else {
            bytes.len() - 1 - n as usize % 6_000.min(bytes.len())
        };
        bytes[at] ^= 1 << (n >> 40 & 7);
        if trial % 5 == 0 {
            bytes[at] = 0xff;
        }
        let file = Scratch::new("flipped.parquet", &bytes);
        let _ = try_to_read(&file.path);
    }
}

#[test]
fn what_is_no_parquet_file_is_told() {
    for bytes in [&b""[..], b"PAR1", b"a,b\n1,2\n3,4\n5,6\n"] {
        let file = Scratch::new("x.parquet", bytes);
        let error = Parquet {}
            .inspect(&file_of(&file.path))
            .expect_err("no Parquet");
        assert!(error.helps().is_some(), "{error}");
    }
    let error = Parquet {}
        .inspect(&file_of("-"))
        .expect_err("no standard input");
    assert!(error.to_string().contains("standard input"), "{error}");
    let error = Parquet {}
        .inspect(&file_of("/none.parquet"))
        .expect_err("no file");
    assert!(error.to_string().contains("/none.parquet"), "{error}");
}

#[test]
fn a_file_that_changes_under_way_is_an_error() {
    let file = Scratch::new("x.parquet", &encoded(&rows(5_000), layouts()[1].1.clone()));
    let input = file_of(&file.path);
    let request = request(inspect(&file.path).schema);
    let reading = Parquet {}.reading(&request).expect("prepares");
    let mut cutter = reading.cutter(&input, 0, Place::default()).expect("cuts");
    let piece = cutter.next().expect("cuts").expect("a piece");
    std::fs::write(&file.path, encoded(&rows(4_000), layouts()[1].1.clone())).expect("writes");
    let error = reading.reader().open(&input, piece).expect_err("changed");
    assert!(error.to_string().contains("was changed"), "{error}");
}

#[test]
fn pieces_are_neither_huge_nor_tiny() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..300_000));
    let rows = RecordBatch::try_from_iter([("n", numbers)]).expect("a column");
    for (groups, least, most) in [
        (1_000_000, 40_000, 65_536),
        (1_000, 60_000, 65_536),
        (100_000, 99_000, 100_000),
    ] {
        let layout = WriterProperties::builder().set_max_row_group_row_count(Some(groups));
        let file = Scratch::new("x.parquet", &encoded(&rows, layout));
        let input = file_of(&file.path);
        let request = request(inspect(&file.path).schema);
        let reading = Parquet {}.reading(&request).expect("prepares");
        let mut cutter = reading.cutter(&input, 0, Place::default()).expect("cuts");
        let mut pieces = Vec::new();
        while let Some(piece) = cutter.next().expect("cuts") {
            pieces.push(piece);
        }
        let bytes: u64 = pieces.iter().map(|piece| piece.input_bytes).sum();
        assert_eq!(bytes, std::fs::metadata(&file.path).expect("a file").len());
        for piece in &pieces[..pieces.len() - 1] {
            let rows = piece.rows.expect("known");
            assert!((least..=most).contains(&rows), "{rows}");
            assert!(piece.bytes as u64 >= rows * 8);
        }
    }
}

#[test]
fn the_least_value_is_told_where_all_groups_have_statistics() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(-2), None]));
    let large: ArrayRef = Arc::new(UInt64Array::from(vec![1, 2, 3, 4]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0; 4]));
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("n", numbers, true),
        ("u", large, true),
        ("x", floats, true),
    ]);
    let rows = rows.expect("rows");
    for (statistics, expected) in [
        (EnabledStatistics::Chunk, Some(-2)),
        (EnabledStatistics::None, None),
    ] {
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(1))
            .set_statistics_enabled(statistics);
        let scratch = Scratch::new("least.parquet", &encoded(&rows, properties));
        let file = file_of(&scratch.path);
        let least = |data_type: DataType, column: &str| {
            let columns = Schema::new(vec![Field::new(column, data_type, true)]);
            let reading = Parquet {}
                .reading(&request(Arc::new(columns)))
                .expect("a reading");
            reading.minimum(&file, column).expect("readable")
        };
        assert_eq!(least(DataType::Int64, "n"), expected);
        assert_eq!(least(DataType::Float64, "n"), None);
        assert_eq!(least(DataType::Int64, "absent"), None);
        assert_eq!(least(DataType::UInt64, "u"), None);
        assert_eq!(least(DataType::Float64, "x"), None);
    }
}
