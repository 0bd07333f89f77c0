//! JSON lines from the first byte to the batches.

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::text::tests::{Table, table};

fn cut(request: &Request, text: &[u8], block: Option<usize>, rows: usize) -> Result<Table> {
    let options = JsonlOptions::default();
    let name: Arc<str> = "t.jsonl".into();
    let reading = read::JsonlReading::new(options.clone(), request)?;
    let bytes = Cursor::new(text.to_vec());
    let input = TextInput::new(Box::new(bytes), &name, &options.decoding())?;
    let cutter = reading.cut(input, 3, Place::new(3, 0)?, block);
    let file = InputFile {
        path: name,
        bytes: None,
    };
    let decoded = crate::text::read_all(cutter, &mut *reading.reader(), &file, rows)?;
    Ok(table(&decoded))
}

fn inspected(text: &[u8]) -> Result<Request> {
    let options = JsonlOptions::default();
    let bytes = Cursor::new(text.to_vec());
    let input = TextInput::new(Box::new(bytes), &"t.jsonl".into(), &options.decoding())?;
    Ok(Request {
        columns: sample::inspect(input, &options)?.schema,
        wanted: Wanted::default(),
    })
}

fn declared(fields: Vec<Field>) -> Request {
    Request {
        columns: Arc::new(Schema::new(fields)),
        wanted: Wanted::default(),
    }
}

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

fn object(fields: &[(&str, DataType)]) -> DataType {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
    DataType::Struct(fields.iter().map(field).collect())
}

#[test]
fn golden_tables() {
    use DataType::{Boolean, Date32, Float64, Int64, Utf8};
    let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    type Case<'a> = (&'a str, Vec<(&'a str, DataType)>, &'a [&'a str]);
    let cases: Vec<Case<'_>> = vec![
        (
            "{\"a\":1,\"b\":\"x\"}\n{\"b\":\"y\"}\n\n \r\n{\"a\":null}",
            vec![("a", Int64), ("b", Utf8)],
            &["1|x", "null|y", "null|null"],
        ),
        (
            "{\"a\":1}\r\n{\"a\":2.5}\r\n",
            vec![("a", Float64)],
            &["1.0", "2.5"],
        ),
        (
            "{\"a\":1}\n{\"a\":\"x\"}\n{\"a\":[1, {}]}\n",
            vec![("a", Utf8)],
            &["1", "x", "[1, {}]"],
        ),
        (
            "{\"a\":true,\"t\":\"2025-01-01T00:00:00Z\",\"d\":\"2025-01-01\"}",
            vec![("a", Boolean), ("t", utc), ("d", Date32)],
            &["true|2025-01-01T00:00:00Z|2025-01-01"],
        ),
        (
            "{\"a\":{\"x\":1,\"y\":{\"z\":\"q\"}}}\n{\"a\":{\"y\":null,\"w\":[1,2]}}\n{\"a\":null}",
            vec![(
                "a",
                object(&[
                    ("x", Int64),
                    ("y", object(&[("z", Utf8)])),
                    ("w", list(Int64)),
                ]),
            )],
            &[
                "{x: 1, y: {z: q}, w: null}",
                "{x: null, y: null, w: [1, 2]}",
                "null",
            ],
        ),
        (
            "{\"a\":[]}\n{\"a\":[[1.5],null,[]]}",
            vec![("a", list(list(Float64)))],
            &["[]", "[[1.5], null, []]"],
        ),
        ("{\"a\":{}}\n", vec![("a", Utf8)], &["{}"]),
        ("{\"a\":\"12\"}\n", vec![("a", Utf8)], &["12"]),
        (
            "{\"a\":123456789012345678901}\n{\"a\":1}",
            vec![("a", Utf8)],
            &["123456789012345678901", "1"],
        ),
        (
            "\u{feff}{\"a\":\"\\u00e4\\n\\\"\",\"\\u0062\":1}\n",
            vec![("a", Utf8), ("b", Int64)],
            &["ä\n\"|1"],
        ),
        ("{\"a\":1,\"a\":2}\n", vec![("a", Int64)], &["2"]),
        ("{}\n{}\n", vec![], &["", ""]),
        ("", vec![], &[]),
    ];
    for (text, columns, rows) in cases {
        let request = inspected(text.as_bytes()).expect(text);
        let fields = request.columns.fields().iter();
        let found: Vec<_> = fields
            .map(|f| (f.name().as_str(), f.data_type().clone()))
            .collect();
        assert_eq!(found, columns, "{text}");
        for (block, batch) in [(None, 100), (Some(1), 1), (Some(9), 2)] {
            let got = cut(&request, text.as_bytes(), block, batch).expect("reads");
            assert_eq!(got.rows(), rows, "{text}");
            assert_eq!(got.bad, [], "{text}");
        }
    }
}

#[test]
fn bad_rows_leave_no_trace() {
    let text = b"{\"a\":1,\"l\":[1,2],\"s\":{\"x\":1}}\n{\"a\":2,\"l\":[3,\"x\"],\"s\":{\"x\":1}}\n\n{\"a\":3\n{\"a\":4,\"s\":{\"x\":1,\"y\":true}}\n\
        {\"a\":5,\"l\":[4],\"s\":{\"x\":\"?\"}}\n[1]\n{\"a\":\"\xff\"}\n{\"a\":7} x\n{\"a\":{\"b\":1}}\n{\"a\":8,\"l\":null,\"s\":null,\"z\":[1,]}\n{\"l\":[5],\"a\":9}";
    let request = declared(vec![
        Field::new("a", DataType::Int16, true),
        Field::new("l", list(DataType::Int64), true),
        Field::new(
            "s",
            object(&[("x", DataType::Float64), ("y", DataType::Int8)]),
            true,
        ),
    ]);
    for (block, rows) in [(None, 100), (Some(1), 1), (Some(50), 3), (None, 4)] {
        let got = cut(&request, text, block, rows).expect("reads");
        assert_eq!(got.rows(), ["1|[1, 2]|{x: 1.0, y: null}", "9|[5]|null"]);
        assert_eq!(got.places(), [0, 10]);
        let bad: Vec<_> = got.bad.iter().map(|bad| (bad.row(), bad.reason)).collect();
        let reasons = [
            "number", "json", "number", "number", "json", "utf8", "json", "number", "json",
        ];
        assert_eq!(bad, (1..10).zip(reasons).collect::<Vec<_>>());
        assert_eq!(
            got.bad[0].message,
            "`x` in column `l[]` is not a whole number (type int64); if that type was inferred from the first 10000 rows, declare another: columns.l = { type = \"text\" }"
        );
        assert!(
            got.bad[2]
                .message
                .starts_with("`true` in column `s.y` is not a whole number (type int8)")
        );
        assert_eq!(
            got.bad[1].message,
            "this is not JSON: expected `,` or `}` at byte 6 of the line"
        );
        assert_eq!(
            got.bad[4].message,
            "this is not JSON: expected an object at byte 0 of the line"
        );
        assert_eq!(
            got.bad[7].message,
            "`{\"b\":1}` in column `a` is not a whole number (type int16); if that type was inferred from the first 10000 rows, declare another: columns.a = { type = \"text\" }"
        );
    }
}

#[test]
fn declared_types_take_numbers_in_texts() {
    let required = Field::new("r", DataType::Int8, false);
    let request = declared(vec![
        Field::new("d", DataType::Decimal128(6, 2), true),
        Field::new("f", DataType::Float32, true),
        Field::new(
            "k",
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            true,
        ),
        required,
    ]);
    let text = "{\"d\":\"1.5\",\"f\":\"NaN\",\"k\":1,\"r\":\"1\"}\n{\"d\":2,\"f\":0.1,\"k\":\"x\",\"r\":1e0}\n{\"r\":null}\n{\"d\":1}\n{\"d\":0.001,\"r\":1}\n";
    let got = cut(&request, text.as_bytes(), None, 100).expect("reads");
    assert_eq!(got.rows(), ["1.50|NaN|1|1", "2.00|0.1|x|1"]);
    let bad: Vec<_> = got.bad.iter().map(|bad| (bad.row(), bad.reason)).collect();
    assert_eq!(bad, [(2, "null"), (3, "null"), (4, "number")]);
    assert_eq!(
        got.bad[0].message,
        "column `r` is null or absent, and must not be"
    );
}

#[test]
fn only_wanted_columns_are_judged() {
    let mut request = inspected(b"{\"a\":1,\"b\":2,\"c\":3}\n").expect("inspects");
    request.wanted.columns = Some(vec!["c".into(), "a".into()]);
    let got = cut(
        &request,
        b"{\"b\":\"x\",\"c\":1,\"a\":2}\n{\"c\":[1]}\n",
        None,
        9,
    )
    .expect("reads");
    assert_eq!((got.rows(), got.bad.len()), (vec!["2|1".to_string()], 1));
    request.wanted.columns = Some(vec![]);
    let got = cut(&request, b"{\"b\":\"x\"}\n{}\n", None, 9).expect("reads");
    assert_eq!(got.rows().len(), 2);
}

#[test]
fn what_is_no_json_lines_file() {
    for (text, help) in [
        ("[{\"a\":1},\n{\"a\":2}]\n", "jq -c"),
        ("a,b\n1,2\n", "check the format"),
    ] {
        let error = inspected(text.as_bytes()).expect_err(text);
        assert!(
            error.helps().is_some_and(|found| found.contains(help)),
            "{error}"
        );
    }
}

#[test]
fn wide_objects_become_text() {
    let keys: Vec<String> = (0..600).map(|i| format!("\"k{i}\":1")).collect();
    let text = format!("{{\"a\":{{{}}}}}\n{{\"a\":{{}}}}", keys.join(","));
    let request = inspected(text.as_bytes()).expect("inspects");
    assert_eq!(request.columns.field(0).data_type(), &DataType::Utf8);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(60), "]".repeat(60));
    let request = inspected(deep.as_bytes()).expect("inspects");
    assert_eq!(
        cut(&request, deep.as_bytes(), None, 9)
            .expect("reads")
            .rows()
            .len(),
        1
    );
}

fn value(depth: u32) -> BoxedStrategy<Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a\"\\\\\u{1}\u{e4}\u{1f600} 0125-]{0,12}".prop_map(Value::from),
    ];
    if depth == 0 {
        return scalar.boxed();
    }
    let keys = prop::sample::select(vec!["a", "b", "ä\"", "long key with spaces"]);
    let map = prop::collection::hash_map(keys, value(depth - 1), 0..4);
    prop_oneof![
        3 => scalar,
        1 => prop::collection::vec(value(depth - 1), 0..4).prop_map(Value::from),
        1 => map.prop_map(|map| map.into_iter().map(|(k, v)| (k.to_string(), v)).collect()),
    ]
    .boxed()
}

/// The JSON of a value of a column, as far as its type keeps it.
fn kept(value: &Value, data_type: &DataType) -> Value {
    match (data_type, value) {
        (_, Value::Null) => Value::Null,
        (DataType::Utf8, Value::String(text)) => Value::from(text.as_str()),
        (DataType::Utf8, other) => Value::from(other.to_string()),
        (DataType::Struct(fields), Value::Object(map)) => fields
            .iter()
            .map(|f| {
                (
                    f.name().clone(),
                    kept(map.get(f.name()).unwrap_or(&Value::Null), f.data_type()),
                )
            })
            .collect(),
        (DataType::List(item), Value::Array(list)) => list
            .iter()
            .map(|value| kept(value, item.data_type()))
            .collect(),
        (DataType::Float64, Value::Number(n)) => Value::from(n.as_f64()),
        (_, other) => other.clone(),
    }
}

/// A value of an array as JSON.
fn shown(array: &dyn arrow_array::Array, row: usize) -> Value {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => Value::from(array.as_string::<i32>().value(row)),
        DataType::Int64 => Value::from(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::from(array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Value::from(array.as_boolean().value(row)),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).map(|i| shown(&items, i)).collect()
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter().zip(fields);
            columns
                .map(|(column, f)| (f.name().clone(), shown(column, row)))
                .collect()
        }
        other => panic!("{other} is not expected"),
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        rows in prop::collection::vec(prop::collection::btree_map(prop::sample::select(vec!["x", "y", "z"]), value(2), 0..4), 1..20),
        block in 1..300_usize, batch in prop::sample::select(vec![1, 7, 1000]),
    ) {
        let rows: Vec<Value> = rows.into_iter().map(|row| row.into_iter().map(|(k, v)| (k.to_string(), v)).collect()).collect();
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let request = inspected(text.as_bytes()).expect("inspects");
        let name: Arc<str> = "t".into();
        let reading = read::JsonlReading::new(JsonlOptions::default(), &request).expect("prepares");
        let input = TextInput::new(Box::new(Cursor::new(text.into_bytes())), &name, &JsonlOptions::default().decoding()).expect("opens");
        let file = InputFile { path: name, bytes: None };
        let cutter = reading.cut(input, 0, Place::default(), Some(block));
        let decoded = crate::text::read_all(cutter, &mut *reading.reader(), &file, batch).expect("reads");
        let mut at = 0;
        for part in &decoded {
            prop_assert!(part.bad.is_empty(), "{:?}", part.bad);
            for (_, batch) in &part.batches {
                for row in 0..batch.len() {
                    for (field, column) in request.columns.fields().iter().zip(batch.rows().columns()) {
                        let expected = kept(rows[at].get(field.name()).unwrap_or(&Value::Null), field.data_type());
                        prop_assert_eq!(shown(column, row), expected);
                    }
                    at += 1;
                }
            }
        }
        prop_assert_eq!(at, rows.len());
    }

    #[test]
    fn no_bytes_can_break_it(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\n\r \\u01-.etrufalsn".to_vec())], 0..300),
        start in prop::bool::ANY, block in 1..64_usize,
    ) {
        let head: &[u8] = if start { b"{\"a\":1,\"b\":[{\"c\":\"\"}]}\n" } else { b"" };
        let text = [head, &bytes].concat();
        if let Ok(request) = inspected(&text) {
            let whole = cut(&request, &text, None, 1000).expect("reads");
            let parts = cut(&request, &text, Some(block), 2).expect("reads");
            prop_assert_eq!(whole.rows(), parts.rows());
            prop_assert_eq!(whole.places(), parts.places());
            prop_assert_eq!(whole.bad, parts.bad);
        }
    }
}
