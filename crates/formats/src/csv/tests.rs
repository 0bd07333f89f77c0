//! Delimiter-separated text from the first byte to the batches.

use std::io::Write as _;

use arrow_array::Array as _;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;

use super::*;
use crate::text::tests::{Table, table};

fn options(text: &str) -> CsvOptions {
    serde_json::from_str(text).expect("options")
}

/// The rows and bad rows of a text, `rows` at a time, in pieces of about `block` bytes.
fn cut(
    options: &CsvOptions,
    request: &Request,
    text: &[u8],
    block: Option<usize>,
    rows: usize,
) -> Result<Table> {
    options.check()?;
    let name: Arc<str> = "t.csv".into();
    let reading = read::CsvReading::new(options.clone(), request)?;
    let bytes = Cursor::new(text.to_vec());
    let input = TextInput::new(Box::new(bytes), &name, &options.decoding())?;
    let cutter = reading.cut(input, 3, Place::new(3, 0)?, block)?;
    let file = InputFile {
        path: name,
        bytes: None,
    };
    let decoded = crate::text::read_all(cutter, &mut *reading.reader(), &file, rows)?;
    Ok(table(&decoded))
}

fn inspected(options: &CsvOptions, text: &[u8]) -> Result<Request> {
    let name: Arc<str> = "t.csv".into();
    let bytes = Cursor::new(text.to_vec());
    let input = TextInput::new(Box::new(bytes), &name, &options.decoding())?;
    Ok(Request {
        columns: head::inspect(input, options)?.schema,
        wanted: Wanted::default(),
    })
}

fn read(options: &CsvOptions, text: &str) -> Table {
    let request = inspected(options, text.as_bytes()).expect("inspects");
    cut(options, &request, text.as_bytes(), None, 100).expect("reads")
}

fn declared(columns: &[(&str, DataType)]) -> Request {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
    let fields: Vec<Field> = columns.iter().map(field).collect();
    Request {
        columns: Arc::new(Schema::new(fields)),
        wanted: Wanted::default(),
    }
}

#[test]
fn golden_tables() {
    let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let t = || utc.clone();
    use DataType::{Boolean, Date32, Float64, Int64, Utf8};
    let cases: Vec<(&str, &str, Vec<DataType>, &[&str])> = vec![
        (
            "{}",
            "a,b\n1,x\n2,\n",
            vec![Int64, Utf8],
            &["1|x", "2|null"],
        ),
        (
            "{}",
            "a,b\r\n1,x\r\n\r\n2,\"\"",
            vec![Int64, Utf8],
            &["1|x", "2|"],
        ),
        ("{}", "a;b\n1,5;x\n", vec![Utf8, Utf8], &["1,5|x"]),
        (
            r#"{"decimal": ","}"#,
            "a;b\n1,5;x\n-2;y\n",
            vec![Float64, Utf8],
            &["1.5|x", "-2.0|y"],
        ),
        ("{}", "a\tb\n1\tx,y\n", vec![Int64, Utf8], &["1|x,y"]),
        ("{}", "a|b\n\"x|y\"|2\n", vec![Utf8, Int64], &["x|y|2"]),
        ("{}", "only\n1\n2\n", vec![Int64], &["1", "2"]),
        ("{}", "\u{feff}a,b\n1,2\n", vec![Int64, Int64], &["1|2"]),
        (
            r#"{"header": false}"#,
            "1,x\n2,y\n",
            vec![Int64, Utf8],
            &["1|x", "2|y"],
        ),
        (
            r#"{"header": true, "names": ["p", "q"]}"#,
            "a,b\n1,x\n",
            vec![Int64, Utf8],
            &["1|x"],
        ),
        (
            r##"{"comment": "#"}"##,
            "# \"\na,b\n1,2\n#x\n3,4\n#",
            vec![Int64, Int64],
            &["1|2", "3|4"],
        ),
        (
            r#"{"skip_rows": 2}"#,
            "junk \"\n,,\na,b\n1,2\n",
            vec![Int64, Int64],
            &["1|2"],
        ),
        (
            r#"{"null": ["NA", "-"]}"#,
            "a,b\n1,NA\n-,\n3,\"NA\"\n",
            vec![Int64, Utf8],
            &["1|null", "null|", "3|NA"],
        ),
        (
            r#"{"trim": true}"#,
            "a , b\n 1, x \n2 , \"y \"\n",
            vec![Int64, Utf8],
            &["1|x", "2|y "],
        ),
        (
            "{}",
            "a, b\n 1, x\n\" 2\",y\n",
            vec![Int64, Utf8],
            &["1| x", "2|y"],
        ),
        (
            r#"{"quote": ""}"#,
            "a,b\n\"1,x\"\n",
            vec![Utf8, Utf8],
            &["\"1|x\""],
        ),
        (
            r#"{"quote": "'"}"#,
            "a,b\n'x,''y''',2\n",
            vec![Utf8, Int64],
            &["x,'y'|2"],
        ),
        (
            r#"{"escape": "\\"}"#,
            "a,b\n\"x\\\",\\n\",2\n",
            vec![Utf8, Int64],
            &["x\",n|2"],
        ),
        (
            "{}",
            "a,b\n\"x\n\"\"y\"\"\r\n\",2\n5\" disk,3\n",
            vec![Utf8, Int64],
            &["x\n\"y\"\r\n|2", "5\" disk|3"],
        ),
        ("{}", "a,b\nx\0y,2\n", vec![Utf8, Int64], &["x\0y|2"]),
        (
            "{}",
            "a,b,c\ntrue,2025-01-31,1e3\nFalse,,nan\n",
            vec![Boolean, Date32, Float64],
            &["true|2025-01-31|1000.0", "false|null|NaN"],
        ),
        (
            "{}",
            "t\n2025-01-31T01:00:00+01:00\n",
            vec![t()],
            &["2025-01-31T00:00:00Z"],
        ),
        (
            r#"{"time_formats": {"t": "%d.%m.%y %H:%M"}}"#,
            "t\n31.01.25 06:07\n",
            vec![DataType::Timestamp(TimeUnit::Nanosecond, None)],
            &["2025-01-31T06:07:00"],
        ),
        ("{}", ",a,a,a_2\n1,2,3,4\n", vec![Int64; 4], &["1|2|3|4"]),
        ("{}", "a,b\n", vec![Utf8, Utf8], &[]),
        ("{}", "", vec![], &[]),
    ];
    for (how, text, types, rows) in cases {
        let how = options(how);
        let request = inspected(&how, text.as_bytes()).expect(text);
        let fields = request.columns.fields().iter();
        let found: Vec<DataType> = fields.map(|f| f.data_type().clone()).collect();
        assert_eq!(found, types, "{text:?}");
        let got = read(&how, text);
        assert_eq!(got.rows(), rows, "{text:?}");
        assert_eq!(got.bad, [], "{text:?}");
    }
}

#[test]
fn names_are_unique() {
    let request = inspected(&CsvOptions::default(), b",a,a,a_2,a\n").expect("inspects");
    let names: Vec<_> = request
        .columns
        .fields()
        .iter()
        .map(|f| f.name().as_str())
        .collect();
    assert_eq!(names, ["column_1", "a", "a_3", "a_2", "a_4"]);
}

#[test]
fn bad_rows_say_why_and_where() {
    let text = b"n,b,t,s\n1,true,2025-01-01,x\nx,true,2025-01-01,x\n1,ja,2025-01-01,x\n\n\
        1,true,2025-13-01,x\n1,true,2025-01-01,\xff\n1,2\n1,true,2025-01-01,\"x\"y\n2,false,,\xc3\xa4\n\"1";
    let request = declared(&[
        ("n", DataType::Int32),
        ("b", DataType::Boolean),
        ("t", DataType::Date32),
        ("s", DataType::Utf8),
    ]);
    for (block, rows) in [(None, 100), (Some(1), 1), (Some(20), 3), (Some(7), 2)] {
        let got = cut(&CsvOptions::default(), &request, text, block, rows).expect("reads");
        assert_eq!(got.rows(), ["1|true|2025-01-01|x", "2|false|null|ä"]);
        assert_eq!(got.places(), [0, 7]);
        let bad: Vec<_> = got.bad.iter().map(|bad| (bad.row(), bad.reason)).collect();
        let reasons = [
            (1, "number"),
            (2, "boolean"),
            (3, "time"),
            (4, "utf8"),
            (5, "fields"),
            (6, "quotes"),
            (8, "fields"),
        ];
        assert_eq!(bad, reasons);
        assert!(got.bad[0].message.starts_with(
            "`x` in column `n` is not a whole number (type int32); if that type was inferred from the first 10000 rows, declare another: columns.n ="
        ));
        assert_eq!(
            got.bad[4].message,
            "the row has 2 fields, but there are 4 columns"
        );
        assert_eq!(got.bad[5].data, "1,true,2025-01-01,\"x\"y");
    }
    let mut narrow = request;
    narrow.wanted.columns = Some(vec!["s".into(), "b".into()]);
    let got = cut(&CsvOptions::default(), &narrow, text, None, 100).expect("reads");
    assert_eq!(got.rows(), ["true|x", "true|x", "true|x", "false|ä"]);
    assert_eq!(got.places(), [0, 1, 3, 7]);
}

#[test]
fn columns_are_found_by_name_in_every_file() {
    let mut request = declared(&[
        ("a", DataType::Int64),
        ("z", DataType::Float64),
        ("b", DataType::Utf8),
    ]);
    let plain = CsvOptions::default();
    let got = cut(&plain, &request, b"b;c;a\nx;y;1\n", None, 9).expect("reads");
    assert_eq!(got.rows(), ["1|null|x"]);
    let fields = request.columns.fields().iter();
    let strict: Vec<Field> = fields
        .map(|f| f.as_ref().clone().with_nullable(false))
        .collect();
    request.columns = Arc::new(Schema::new(strict));
    let error = cut(&plain, &request, b"b,a\nx,1\n", None, 9).expect_err("no z");
    assert_eq!(
        error.to_string(),
        "the file has no column `z` (t.csv)\n  help: its columns are `b`, `a`; where a column may be absent, declare it `optional = true`"
    );
    let got = cut(&plain, &request, b"b,z,a\nx,1,1\n,1,1\ny,,1\n", None, 9).expect("reads");
    assert_eq!(got.rows(), ["1|1.0|x"]);
    assert_eq!(
        got.bad.iter().map(|bad| bad.reason).collect::<Vec<_>>(),
        ["null", "null"]
    );
}

#[test]
fn no_column_wanted_still_counts_rows() {
    let mut request = declared(&[("a", DataType::Int64), ("b", DataType::Utf8)]);
    request.wanted.columns = Some(vec![]);
    let got = cut(
        &CsvOptions::default(),
        &request,
        b"a,b\nx,1\ny\nz,3\n",
        None,
        9,
    )
    .expect("reads");
    assert_eq!((got.rows().len(), got.bad.len()), (2, 1));
}

#[test]
fn declared_types() {
    use DataType::*;
    let dictionary = Dictionary(Box::new(Int32), Box::new(Utf8));
    let berlin = Timestamp(TimeUnit::Second, Some("Europe/Berlin".into()));
    for (data_type, text, expected) in [
        (UInt8, "255", "255"),
        (Float32, "1.1", "1.1"),
        (Decimal128(9, 2), "-1.5", "-1.50"),
        (LargeUtf8, "x", "x"),
        (dictionary, "x", "x"),
        (berlin, "2025-07-01 12:00", "2025-07-01T12:00:00+02:00"),
        (
            Timestamp(TimeUnit::Millisecond, None),
            "2025-07-01T12:00:00.1239+01:00",
            "2025-07-01T11:00:00.123",
        ),
        (Time64(TimeUnit::Microsecond), "12:34:56.5", "12:34:56.500"),
        (Time32(TimeUnit::Second), "12:34", "12:34:00"),
        (Boolean, "1", "true"),
        (Int64, "1.0", "1"),
    ] {
        let request = declared(&[("x", data_type.clone()), ("y", Int8)]);
        let text = format!("x,y\n{text},1\n,2\n");
        let got = cut(&CsvOptions::default(), &request, text.as_bytes(), None, 9).expect("reads");
        assert_eq!(
            got.rows(),
            [format!("{expected}|1"), "null|2".into()],
            "{data_type}"
        );
    }
    let request = declared(&[("x", List(Arc::new(Field::new("item", Int8, true))))]);
    let error = cut(&CsvOptions::default(), &request, b"x\n", None, 9).expect_err("a list");
    assert!(
        error.what().starts_with("column `x`: the type List"),
        "{error}"
    );
}

#[test]
fn dictionaries_share_their_words_between_batches() {
    let request = declared(&[(
        "x",
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    )]);
    let reading = read::CsvReading::new(CsvOptions::default(), &request).expect("prepares");
    let text = "x\na\nb\n,\n\na\n\"b\"\n".replace(",\n", "\"\"\n");
    let bytes = Cursor::new(text.into_bytes());
    let input = TextInput::new(
        Box::new(bytes),
        &"t".into(),
        &CsvOptions::default().decoding(),
    )
    .expect("opens");
    let cutter = reading.cut(input, 0, Place::default(), None).expect("cuts");
    let file = InputFile {
        path: "t".into(),
        bytes: None,
    };
    let all = crate::text::read_all(cutter, &mut *reading.reader(), &file, 3).expect("reads");
    let words = |i: usize| {
        let column = all[i].batches[0].1.rows().column(0).to_data();
        column.child_data()[0].buffers()[1].as_ptr()
    };
    assert_eq!(words(0), words(1));
}

#[test]
fn long_records_are_errors_wherever_the_cuts_are() {
    let how = options(r#"{"max_record": "20B"}"#);
    let request = declared(&[("a", DataType::Utf8)]);
    for length in [20, 21] {
        let text = format!("a\nx\n{}\r\ny\n", "z".repeat(length));
        for block in [1, 3, 25, 1000] {
            let got = cut(&how, &request, text.as_bytes(), Some(block), 10);
            if length == 20 {
                assert_eq!(got.expect("fits").rows().len(), 3);
                continue;
            }
            let error = got.expect_err("too long").to_string();
            assert!(
                error.starts_with("a record is longer than 20B (t.csv, row 2, byte 4)\n"),
                "{error}"
            );
        }
    }
    let open = format!("a\nx\n\"y\n{}", "z,\n".repeat(100));
    let error = cut(&how, &request, open.as_bytes(), None, 10).expect_err("a quote is open");
    assert!(
        error
            .helps()
            .is_some_and(|help| help.contains("a quote is not closed"))
    );
}

#[test]
fn heads_that_do_not_fit() {
    for (how, text, expected) in [
        (
            r#"{"header": true, "names": ["a"]}"#,
            &b"x,y\n1,2\n"[..],
            "the header has 2 fields, but `names` lists 1",
        ),
        (
            "{}",
            b"\xe4,b\n1,2\n",
            "there is text that is not UTF-8 in the header",
        ),
        (
            "{}",
            b"\"a\"x,b\n1,2\n",
            "there are quotes that are not closed, or text behind them, in the header",
        ),
    ] {
        let error = inspected(&options(how), text).expect_err(expected);
        assert_eq!(error.what(), expected);
        assert!(error.helps().is_some() && error.in_file().is_some());
    }
    for how in [
        r#"{"delimiter": "\""}"#,
        r#"{"comment": ",", "delimiter": ","}"#,
        r#"{"decimal": "x"}"#,
        r#"{"time_formats": {"t": "%Q"}}"#,
        r#"{"max_record": "2GiB"}"#,
    ] {
        assert!(options(how).check().is_err(), "{how}");
    }
    for how in [
        r#"{"delimiter": "ab"}"#,
        r#"{"encoding": "klingon"}"#,
        r#"{"sep": ","}"#,
        r#"{"quote": "\n"}"#,
    ] {
        assert!(serde_json::from_str::<CsvOptions>(how).is_err(), "{how}");
    }
}

#[test]
fn limits_on_rows_are_exact() {
    let mut request = declared(&[("a", DataType::Utf8)]);
    let text = "a\nx\n\n\"y\n\"\nz\nlast";
    for wanted in 0..6 {
        request.wanted.rows = Some(wanted);
        for block in [None, Some(1), Some(6)] {
            let got = cut(&CsvOptions::default(), &request, text.as_bytes(), block, 10);
            let expected = wanted.min(4) as usize;
            assert_eq!(
                got.expect("reads").rows().len(),
                expected,
                "{wanted} {block:?}"
            );
        }
    }
}

#[test]
fn files_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.csv.gz");
    let mut text = "id,name\n".to_string();
    for i in 0..50_000 {
        text += &format!("{i},\"name {i}\nof the row\"\n");
    }
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text.as_bytes()).expect("in memory");
    let compressed = out.finish().expect("in memory");
    std::fs::write(&path, &compressed).expect("writes");
    let file = InputFile {
        path: path.to_string_lossy().into(),
        bytes: Some(compressed.len() as u64),
    };
    let csv = Csv::default();
    let request = Request {
        columns: csv.inspect(&file).expect("inspects").schema,
        wanted: Wanted::default(),
    };
    let reading = csv.reading(&request).expect("prepares");
    let mut cutter = reading.cutter(&file, 0, Place::default()).expect("cuts");
    let (mut rows, mut bytes, mut next) = (0, 0, "id,name\n".len() as u64);
    while let Some(piece) = cutter.next().expect("cuts") {
        assert_eq!((piece.first.row(), piece.start), (rows, next));
        rows += piece.rows.expect("counted");
        bytes += piece.input_bytes;
        next = piece.end;
    }
    assert_eq!((rows, bytes), (50_000, compressed.len() as u64));
    std::fs::write(&path, &compressed[..compressed.len() / 2]).expect("writes");
    let mut cutter = reading.cutter(&file, 0, Place::default()).expect("cuts");
    let error = loop {
        match cutter.next() {
            Ok(piece) => assert!(piece.is_some(), "the file is truncated"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.what(), "the compressed data ends in the middle");
}

#[test]
fn other_encodings() {
    let latin = options(r#"{"encoding": "latin1"}"#);
    let request = declared(&[("ä", DataType::Utf8)]);
    let got = cut(&latin, &request, b"\xe4\n\xf6\n", None, 9).expect("reads");
    assert_eq!(got.rows(), ["ö"]);
    let text = "ä\n\u{1f600}\n\"x\ny\"\n";
    let wide: Vec<u8> = std::iter::once(0xfeff)
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let got = cut(&CsvOptions::default(), &request, &wide, Some(3), 1).expect("reads");
    assert_eq!(got.rows(), ["\u{1f600}", "x\ny"]);
    let half = options(r#"{"encoding": "utf-16le"}"#);
    let got = cut(&half, &request, b"\xe4\0\n\0\x00\xd8\n\0x\0\n\0", None, 9).expect("reads");
    assert_eq!(
        (got.rows(), got.bad[0].reason),
        (vec!["x".to_string()], "utf8")
    );
}

/// A text field as a careful writer writes it, or plainly where `quote` says no.
fn written(value: &Option<String>, quote: bool) -> String {
    match value {
        None => String::new(),
        Some(text) if quote || text.is_empty() || text.contains([',', '"', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => text.clone(),
    }
}

fn values() -> impl Strategy<Value = Vec<(Option<String>, Option<i64>, bool)>> {
    let text = prop_oneof!["[ab,\"\n\r #\u{e4}]{0,6}", "[a-z \n]{0,100}"];
    let row = (
        prop::option::of(text),
        prop::option::of(any::<i64>()),
        any::<bool>(),
    );
    prop::collection::vec(row, 0..60)
}

/// The definition of reading: one automaton over bytes, without blocks, pieces or masks.
fn reference(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut inside, mut opens, mut blank) = (false, true, true);
    let mut finish = |row: &mut Vec<String>, field: &mut String, blank: bool| {
        if !blank && (!row.is_empty() || field != "\r") {
            row.push(
                field
                    .strip_suffix('\r')
                    .map_or(field.clone(), str::to_string),
            );
            rows.push(std::mem::take(row));
        }
        field.clear();
        row.clear();
    };
    for character in text.chars() {
        match character {
            '"' if inside => (inside, opens) = (false, true),
            '"' if opens => (inside, opens) = (true, false),
            _ if inside => {}
            '\n' => {
                finish(&mut row, &mut field, blank);
                (opens, blank) = (true, true);
                continue;
            }
            ',' => {
                row.push(std::mem::take(&mut field));
                (opens, blank) = (true, false);
                continue;
            }
            _ => opens = false,
        }
        blank = false;
        field.push(character);
    }
    finish(&mut row, &mut field, blank);
    rows
}

proptest! {
    #[test]
    fn what_was_written_is_read_for_any_cut_and_batch(
        rows in values(), crlf in any::<bool>(), block in 1..200_usize, batch in prop::sample::select(vec![1, 7, 1000]),
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = format!("s,n,k{end}");
        let mut expected = Vec::new();
        for (s, n, quote) in &rows {
            let number = n.map_or(String::new(), |n| n.to_string());
            text += &format!("{},{},{quote}{end}", written(s, *quote), number);
            let shown = s.clone().unwrap_or("null".into());
            expected.push(format!("{shown}|{}|{quote}", n.map_or("null".into(), |n| n.to_string())));
        }
        let request = declared(&[("s", DataType::Utf8), ("n", DataType::Int64), ("k", DataType::Boolean)]);
        let options = CsvOptions { delimiter: Some(Character::COMMA), ..CsvOptions::default() };
        let got = cut(&options, &request, text.as_bytes(), Some(block), batch).expect("reads");
        prop_assert_eq!(got.rows(), expected);
        prop_assert_eq!(got.places(), (0..rows.len() as u64).collect::<Vec<_>>());
        prop_assert_eq!(got.bad, []);
    }

    #[test]
    fn agrees_with_the_definition_of_reading(text in "([ab1]{0,3}|\"|\"\"|,|\n|\r|\r\n|\n\n|xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx){0,60}", block in 1..100_usize) {
        let options = CsvOptions { header: Some(false), delimiter: Some(Character::COMMA), quote: Quote::default(), ..CsvOptions::default() };
        let expected = reference(&text);
        let request = declared(&[]);
        let got = cut(&options, &request, text.as_bytes(), Some(block), 3).expect("reads");
        let fields = expected.first().map_or(0, Vec::len);
        let even = expected.iter().filter(|row| row.len() == fields).count();
        prop_assert_eq!(got.rows().len(), even);
        prop_assert_eq!(got.bad.len(), expected.len() - even);
        let request = declared(&[("column_1", DataType::Utf8)]);
        let got = cut(&options, &request, text.as_bytes(), Some(block), 3).expect("reads");
        let plain: Vec<String> = expected
            .iter()
            .filter(|row| row.len() == fields)
            .filter_map(|row| if row[0].starts_with('"') { plainly(&row[0]) } else if row[0].is_empty() { Some("null".into()) } else { Some(row[0].clone()) })
            .collect();
        prop_assert_eq!(got.rows(), plain);
    }

    #[test]
    fn no_bytes_can_break_it(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\",\n\r;#\\1-.eT:".to_vec())], 0..400),
        trim in any::<bool>(), escape in any::<bool>(), header in any::<bool>(), block in 1..64_usize,
    ) {
        let options = CsvOptions {
            trim,
            header: Some(header),
            escape: if escape { Character::new(b'\\') } else { None },
            comment: Character::new(b'#'),
            ..CsvOptions::default()
        };
        if let Ok(request) = inspected(&options, &bytes) {
            let whole = cut(&options, &request, &bytes, None, 1000).expect("reads");
            let parts = cut(&options, &request, &bytes, Some(block), 2).expect("reads");
            prop_assert_eq!(whole.rows(), parts.rows());
            prop_assert_eq!(whole.places(), parts.places());
            prop_assert_eq!(whole.bad, parts.bad);
        }
    }
}

/// A quoted field without its quotes, if they fit.
fn plainly(field: &str) -> Option<String> {
    let inner = field
        .strip_prefix('"')?
        .strip_suffix('"')
        .filter(|_| field.len() > 1)?;
    let halved = inner.replace("\"\"", "\0");
    (!halved.contains('"')).then(|| halved.replace('\0', "\""))
}

proptest! {
    #[test]
    fn fuzzing_finds_nothing(bytes in prop::collection::vec(prop::sample::select(b"\0\x01\x07\xff\",;\n\r#\\1-.eT: x\xc3\xa4".to_vec()), 0..300)) {
        fuzz(&bytes);
    }
}

#[test]
fn names_alone_mean_that_there_is_no_header() {
    let text = "1,2\n3,4\n";
    let mut options = CsvOptions {
        names: vec!["a".into(), "b".into()],
        ..CsvOptions::default()
    };
    assert_eq!(read(&options, text).rows(), ["1|2", "3|4"]);
    options.header = Some(true);
    assert_eq!(read(&options, text).rows(), ["3|4"]);
}
