//! Tests of event time: values of every kind, rows without a time, narrowing, lower bounds, mistakes in settings.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Date64Array, DictionaryArray, Float32Array,
    Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow_schema::SchemaRef;
use dataflow_core::source::{Comparison, Operator};
use dataflow_core::stage::BadRow;
use dataflow_core::time::{BEGINNING, END};
use dataflow_core::transform::Port;
use dataflow_core::{
    Batch, Cutter, Decoded, Piece, Place, Places, Problems, Reader, Result, Split, Value, Wanted,
};

use super::*;
use crate::testing::{build, node, source as made};
use crate::{FileConfig, GenerateConfig};

/// Rows in memory as a source that notes what was wanted of it.
struct Memory {
    rows: RecordBatch,
    ports: [Port; 1],
    asked: Arc<Mutex<Vec<Wanted>>>,
}

impl Memory {
    fn of(rows: RecordBatch) -> Self {
        Self {
            ports: [Port::main(rows.schema())],
            rows,
            asked: Arc::default(),
        }
    }
}

impl Source for Memory {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn narrow(self: Arc<Self>, wanted: &Wanted) -> Arc<dyn Source> {
        self.asked.lock().expect("no panic").push(wanted.clone());
        let Some(columns) = &wanted.columns else {
            return self;
        };
        let schema = self.rows.schema();
        let kept: Vec<usize> = (0..schema.fields().len())
            .filter(|at| columns.contains(schema.field(*at).name()))
            .collect();
        let rows = self.rows.project(&kept).expect("columns");
        Arc::new(Self {
            asked: Arc::clone(&self.asked),
            ..Self::of(rows)
        })
    }

    fn splits(&self) -> Result<Vec<Split>> {
        Ok(vec![Split {
            name: "memory".into(),
            bytes: None,
            rows: None,
        }])
    }

    fn cutter(&self, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        let rows = self.rows.num_rows() as u64;
        Ok(Box::new(One((rows > 0).then_some(Piece {
            split,
            first,
            rows: Some(rows),
            start: 0,
            end: rows,
            text: None,
            bytes: 0,
            input_bytes: 0,
            unfinished: false,
        }))))
    }

    fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(Slices {
            rows: self.rows.clone(),
            first: Place::default(),
            next: 0,
        }))
    }
}

struct One(Option<Piece>);

impl Cutter for One {
    fn next(&mut self) -> Result<Option<Piece>> {
        Ok(self.0.take())
    }
}

struct Slices {
    rows: RecordBatch,
    first: Place,
    next: usize,
}

impl Reader for Slices {
    fn open(&mut self, piece: Piece) -> Result<()> {
        (self.first, self.next) = (piece.first, 0);
        Ok(())
    }

    fn next(&mut self, rows: usize) -> Result<Option<Decoded>> {
        let length = rows.min(self.rows.num_rows() - self.next);
        if length == 0 {
            return Ok(None);
        }
        let places = Places::From(Place(self.first.0 + self.next as u64));
        let batch = Batch::new(self.rows.slice(self.next, length)).with_places(places);
        self.next += length;
        Ok(Some(Decoded {
            batches: vec![(0, batch)],
            bad: Vec::new(),
        }))
    }
}

fn columns(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .expect("columns of one length")
}

/// Gives rows a time; or says what is wrong with the settings.
fn given(rows: RecordBatch, time: &str) -> Result<Arc<dyn Source>, Vec<String>> {
    let mut problems = Problems::new();
    let config: Result<TimeConfig, _> = node(time).read();
    let config = config.map_err(|problem| vec![problem.message.clone()])?;
    let mut check = Check {
        id: "rows",
        span: None,
        parameters: &BTreeMap::new(),
        catalog: &[],
        offline: false,
        stdin: &dataflow_core::StandardInput::unseen(),
        run_time: 0,
        problems: &mut problems,
    };
    let source: Arc<dyn Source> = Arc::new(Memory::of(rows));
    let made = timed(Some(source), Some(config.into()), &mut check);
    made.ok_or_else(|| {
        let said = problems.list().iter().map(|p| match &p.help {
            Some(help) => format!("{} | {help}", p.message),
            None => p.message.clone(),
        });
        said.collect()
    })
}

/// Times, rows and bad rows of all splits, `batch` rows at a time.
fn read(source: &dyn Source, batch: usize) -> (Vec<i64>, Vec<RecordBatch>, Vec<BadRow>) {
    let (mut times, mut rows, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut reader = source.reader().expect("a reader");
    for split in 0..source.splits().expect("splits").len() {
        let place = Place::new(split as u32, 0).expect("a place");
        let mut cutter = source.cutter(split, place).expect("a cutter");
        while let Some(piece) = cutter.next().expect("cuts") {
            reader.open(piece).expect("opens");
            while let Some(decoded) = reader.next(batch).expect("reads") {
                for (_, batch) in decoded.batches {
                    let of = batch.times().expect("times");
                    assert_eq!(of.at().len(), batch.len());
                    assert!(of.horizons().is_none());
                    assert_eq!(batch.schema(), source.ports()[0].schema);
                    times.extend(of.at().iter());
                    rows.push(batch.rows().clone());
                }
                bad.extend(decoded.bad);
            }
        }
    }
    (times, rows, bad)
}

/// The times of a column `t`, and what is said of values that are none.
fn times(values: ArrayRef, time: &str) -> (Vec<i64>, Vec<String>) {
    let time = match time.contains("value") {
        true => time.to_string(),
        false => format!("column = 't'\n{time}"),
    };
    let rows = columns(vec![("t", values)]);
    let source = given(rows, &time).unwrap_or_else(|said| panic!("{time}: {said:?}"));
    let (found, _, bad) = read(&*source, 1000);
    let (one_by_one, _, bad_one_by_one) = read(&*source, 1);
    assert_eq!((&found, &bad), (&one_by_one, &bad_one_by_one));
    assert!(
        bad.iter()
            .all(|row| row.reason == "time" && row.index.is_none())
    );
    (found, bad.into_iter().map(|row| row.message).collect())
}

/// All of them, where none may be wrong.
fn all_times(values: ArrayRef, time: &str) -> Vec<i64> {
    let (found, wrong) = times(values, time);
    assert!(wrong.is_empty(), "{wrong:?}");
    found
}

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

#[test]
fn timestamps_and_dates() {
    let utc = "UTC";
    let zoned = TimestampMicrosecondArray::from(vec![-1, 5]).with_timezone("America/New_York");
    let cases: [(ArrayRef, &str, [i64; 2]); 9] = [
        (
            Arc::new(TimestampSecondArray::from(vec![-1, 5])),
            "",
            [-SECOND, 5 * SECOND],
        ),
        (
            Arc::new(TimestampMillisecondArray::from(vec![-1, 5])),
            "",
            [-1_000_000, 5_000_000],
        ),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![-1, 5])),
            "",
            [-1_000, 5_000],
        ),
        (
            Arc::new(TimestampNanosecondArray::from(vec![i64::MIN, i64::MAX]).with_timezone(utc)),
            "",
            [i64::MIN, i64::MAX],
        ),
        (Arc::new(zoned), "", [-1_000, 5_000]),
        (
            Arc::new(Date32Array::from(vec![-1, 2])),
            "",
            [-DAY, 2 * DAY],
        ),
        (
            Arc::new(Date64Array::from(vec![-86_400_000, 1])),
            "",
            [-DAY, 1_000_000],
        ),
        (
            Arc::new(Date32Array::from(vec![0, 181])),
            "time_zone = 'Europe/Berlin'",
            [-3600 * SECOND, 181 * DAY - 3600 * SECOND],
        ),
        (
            Arc::new(TimestampMillisecondArray::from(vec![-1, 7_200_001])),
            "time_zone = '+02:00'",
            [-7_200 * SECOND - 1_000_000, 1_000_000],
        ),
    ];
    for (values, time, expected) in cases {
        assert_eq!(
            all_times(Arc::clone(&values), time),
            expected,
            "{:?}",
            values.data_type()
        );
    }
}

#[test]
fn local_times_that_clocks_skip_or_show_twice() {
    let seconds = vec![
        Some(1_743_301_800), // 2025-03-30 02:30:00, skipped
        Some(1_743_305_400), // 2025-03-30 03:30:00
        None,
        Some(1_761_445_800), // 2025-10-26 02:30:00, twice
    ];
    let (found, wrong) = times(
        Arc::new(TimestampSecondArray::from(seconds)),
        "time_zone = 'Europe/Berlin'",
    );
    assert_eq!(found, [1_743_298_200 * SECOND, 1_761_438_600 * SECOND]);
    assert_eq!(
        wrong,
        [
            "column `t`: clocks in Europe/Berlin never show `2025-03-30T02:30:00`, since they were put forward then",
            "column `t` is null, so the row has no time",
        ]
    );
}

#[test]
fn numbers_count_from_1970() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![-2, 3]));
    for (unit, each) in [("s", SECOND), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)] {
        let time = format!("unit = '{unit}'");
        assert_eq!(all_times(Arc::clone(&ints), &time), [-2 * each, 3 * each]);
    }
    let small: ArrayRef = Arc::new(Int8Array::from(vec![-2, 3]));
    assert_eq!(all_times(small, "unit = 's'"), [-2 * SECOND, 3 * SECOND]);
    let coded: DictionaryArray<Int8Type> = DictionaryArray::new(
        Int8Array::from(vec![1, 0]),
        Arc::new(Int64Array::from(vec![7, 8])),
    );
    assert_eq!(all_times(Arc::new(coded), "unit = 'ns'"), [8, 7]);
    let (found, wrong) = times(
        Arc::new(UInt64Array::from(vec![Some(4), Some(u64::MAX), None])),
        "unit = 'ns'",
    );
    assert_eq!(found, [4]);
    assert_eq!(
        wrong,
        [
            "column `t`: `18446744073709551615` ns is outside the years 1677 to 2262; is `unit` right?",
            "column `t` is null, so the row has no time",
        ]
    );
    let (found, wrong) = times(
        Arc::new(Int64Array::from(vec![
            1_735_689_600,
            1_735_689_600_000,
            -9_223_372_036,
        ])),
        "unit = 's'",
    );
    assert_eq!(found, [1_735_689_600 * SECOND, -9_223_372_036 * SECOND]);
    assert_eq!(
        wrong,
        ["column `t`: `1735689600000` s is outside the years 1677 to 2262; is `unit` right?"]
    );
}

#[test]
fn floats_are_rounded_to_the_nearest_nanosecond() {
    let half = 0.5_f64.powi(10); // 976,562.5 ns
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![
        1.5,
        -1.5,
        1_735_689_600.25,
        half,
        3.0 * half,
        -half,
    ]));
    assert_eq!(
        all_times(floats, ""),
        [
            1_500_000_000,
            -1_500_000_000,
            1_735_689_600_250_000_000,
            976_562,
            2_929_688,
            -976_562,
        ]
    );
    let narrow: ArrayRef = Arc::new(Float32Array::from(vec![0.25]));
    assert_eq!(all_times(narrow, "unit = 'ms'"), [250_000]);
    let (found, wrong) = times(
        Arc::new(Float64Array::from(vec![
            f64::NAN,
            1e10,
            f64::NEG_INFINITY,
            0.0,
        ])),
        "",
    );
    assert_eq!(found, [0]);
    assert_eq!(
        wrong,
        [
            "column `t`: `NaN` is not a time",
            "column `t`: `10000000000.0` is outside the years 1677 to 2262",
            "column `t`: `-inf` is not a time",
        ]
    );
    assert_eq!(
        all_times(Arc::new(Float64Array::from(vec![-9e18])), "unit = 'ns'"),
        [-9_000_000_000_000_000_000]
    );
}

#[test]
fn texts_of_every_type() {
    let texts = [
        "1970-01-01T00:00:01Z",
        "1970-01-01 00:00:02.5",
        "1970-01-02",
    ];
    let expected = [SECOND, 2_500_000_000, DAY];
    let keys = Int32Array::from(vec![2, 0, 1, 0]);
    let coded: DictionaryArray<Int32Type> =
        DictionaryArray::new(keys, Arc::new(StringArray::from(texts.to_vec())));
    let plain: [ArrayRef; 3] = [
        Arc::new(StringArray::from(texts.to_vec())),
        Arc::new(LargeStringArray::from(texts.to_vec())),
        Arc::new(StringViewArray::from(texts.to_vec())),
    ];
    for values in plain {
        assert_eq!(all_times(values, ""), expected);
    }
    assert_eq!(
        all_times(Arc::new(coded.clone()), ""),
        [DAY, SECOND, 2_500_000_000, SECOND]
    );
    let few: ArrayRef = Arc::new(coded.slice(1, 1));
    assert_eq!(all_times(few, ""), [SECOND]);
    let german: ArrayRef = Arc::new(StringArray::from(vec!["02.01.1970 01:00:00"]));
    let time = "format = '%d.%m.%Y %H:%M:%S'\ntime_zone = 'Europe/Berlin'";
    assert_eq!(all_times(german, time), [DAY]);
    let mail: ArrayRef = Arc::new(StringArray::from(vec!["Thu, 01 Jan 1970 01:00:01 +0100"]));
    assert_eq!(all_times(mail, "format = 'rfc2822'"), [SECOND]);
}

#[test]
fn texts_that_are_no_times() {
    let texts = vec![
        Some("soon"),
        None,
        Some("2025-02-30"),
        Some("9999-01-01"),
        Some(""),
    ];
    let expected = [
        "column `t`: `soon` is not a time such as 2025-01-31T12:00:00Z",
        "column `t` is null, so the row has no time",
        "column `t`: `2025-02-30` is not a time such as 2025-01-31T12:00:00Z",
        "column `t`: `9999-01-01` is outside the years 1677 to 2262",
        "column `t`: `` is not a time such as 2025-01-31T12:00:00Z",
    ];
    let coded: DictionaryArray<Int32Type> = texts.iter().copied().collect();
    let both: [ArrayRef; 2] = [Arc::new(StringArray::from(texts)), Arc::new(coded)];
    for values in both {
        assert_eq!(
            times(values, ""),
            (vec![], expected.map(String::from).to_vec())
        );
    }
    // A dictionary whose values are null.
    let nulls: DictionaryArray<Int32Type> = DictionaryArray::new(
        Int32Array::from(vec![0, 1]),
        Arc::new(StringArray::from(vec![None, Some("1970-01-01")])),
    );
    let (found, wrong) = times(Arc::new(nulls), "");
    assert_eq!(
        (found, wrong.as_slice()),
        (vec![0], &[expected[1].to_string()][..])
    );
    let (_, wrong) = times(
        Arc::new(StringArray::from(vec!["1.2.2025"])),
        "format = '%Y/%m/%d'",
    );
    assert_eq!(
        wrong,
        ["column `t`: `1.2.2025` is not a time in the format `%Y/%m/%d`"]
    );
}

#[test]
fn an_expression_may_make_the_time() {
    let rows = columns(vec![
        (
            "day",
            Arc::new(StringArray::from(vec!["1970-01-02", "never"])) as ArrayRef,
        ),
        ("t", Arc::new(Int64Array::from(vec![2000, 1]))),
    ]);
    let time = "value = \"cast(day as timestamp) + interval '2 seconds'\"";
    // Whatever the expression, what it does not find is a bad row.
    let source = match given(rows.clone(), time) {
        Ok(source) => source,
        Err(said) => panic!("{said:?}"),
    };
    let (found, _, bad) = read(&*source, 10);
    assert_eq!(found, [DAY + 2 * SECOND]);
    assert_eq!((bad.len(), bad[0].reason), (1, "time"));
    assert!(
        bad[0].message.starts_with("the row has no time: "),
        "{}",
        bad[0].message
    );
    let source = given(rows, "value = ' t '\nunit = 'ms'").expect("a column");
    assert_eq!(read(&*source, 10).0, [2 * SECOND, 1_000_000]);
    assert!(
        source
            .explain()
            .contains(&"event time from `t`, 0s of lateness".to_string())
    );
}

#[test]
fn a_row_without_a_time_is_a_bad_row() {
    let rows = columns(vec![
        ("x", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
        (
            "t",
            Arc::new(StringArray::from(vec![
                Some("1970-01-01"),
                None,
                Some("1970-01-02"),
            ])),
        ),
    ]);
    let source = given(rows, "column = 't'").expect("fine");
    let (found, rows, bad) = read(&*source, 10);
    assert_eq!(found, [0, DAY]);
    assert_eq!(
        rows[0].column(0).as_ref(),
        &Int64Array::from(vec![1, 3]) as &dyn Array
    );
    assert_eq!(
        bad,
        [BadRow {
            time: None,
            place: Some(Place(1)),
            index: None,
            reason: "time",
            message: "column `t` is null, so the row has no time".to_string(),
            data: "{\"x\":2,\"t\":null}".to_string(),
        }]
    );
}

#[test]
fn only_wanted_columns_leave_and_conditions_are_not_handed_on() {
    let rows = columns(vec![
        ("a", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        ("t", Arc::new(Int64Array::from(vec![5, 6]))),
        ("b", Arc::new(Int64Array::from(vec![3, 4]))),
    ]);
    let memory = Memory::of(rows);
    let asked = Arc::clone(&memory.asked);
    let config: TimeConfig = node("column = 't'\nunit = 's'").read().expect("fine");
    let mut problems = Problems::new();
    let mut check = Check {
        id: "rows",
        span: None,
        parameters: &BTreeMap::new(),
        catalog: &[],
        offline: false,
        stdin: &dataflow_core::StandardInput::unseen(),
        run_time: 0,
        problems: &mut problems,
    };
    let source = timed(Some(Arc::new(memory)), Some(config.into()), &mut check).expect("fine");
    assert!(source.ports()[0].timed);
    asked.lock().expect("no panic").clear();
    let wanted = |columns: &[&str]| Wanted {
        columns: Some(columns.iter().map(|c| (*c).to_string()).collect()),
        predicate: vec![Comparison {
            column: "a".into(),
            operator: Operator::Greater,
            value: Value::Integer(1),
        }],
        rows: None,
    };
    let names = |schema: &SchemaRef| -> Vec<String> {
        schema.fields().iter().map(|f| f.name().clone()).collect()
    };
    for (columns, left) in [
        (&["b"][..], vec!["b"]),
        (&["b", "a"], vec!["a", "b"]),
        (&["t"], vec!["t"]),
        (&[], vec![]),
    ] {
        let narrow = Arc::clone(&source).narrow(&wanted(columns));
        assert!(narrow.ports()[0].timed);
        assert_eq!(names(&narrow.ports()[0].schema), left);
        let (times, rows, _) = read(&*narrow, 10);
        assert_eq!(times, [5 * SECOND, 6 * SECOND]);
        assert_eq!(rows[0].num_rows(), 2);
        assert!(narrow.explain()[1].starts_with("leaves out no rows"));
    }
    let asked = asked.lock().expect("no panic");
    assert!(!asked.is_empty() && asked.iter().all(|wanted| wanted.predicate.is_empty()));
    assert!(asked.iter().all(|w| {
        w.columns
            .as_ref()
            .is_none_or(|c| c.contains(&"t".to_string()))
    }));
}

#[test]
fn settings_that_make_no_sense() {
    let rows = columns(vec![
        ("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
        ("x", Arc::new(Float64Array::from(vec![1.0]))),
        ("when", Arc::new(StringArray::from(vec!["1970-01-01"]))),
        (
            "utc",
            Arc::new(TimestampNanosecondArray::from(vec![1]).with_timezone("UTC")),
        ),
        ("local", Arc::new(TimestampNanosecondArray::from(vec![1]))),
        ("flag", Arc::new(BooleanArray::from(vec![true]))),
    ]);
    for (time, expected) in [
        (
            "lateness = '5s'",
            "`time` does not say where the time of a row stands | name the column that holds it: `time = { column = \"timestamp\" }`",
        ),
        (
            "column = 'utc'\nvalue = 'utc'",
            "the time is given twice, as `column` and as `value` | remove one of them: `column` names a column, `value` is an expression",
        ),
        (
            "column = 'wen'",
            "there is no column `wen` | did you mean `when`?",
        ),
        (
            "column = 'timestamp'",
            "there is no column `timestamp` | the columns are `n`, `x`, `when`, `utc`, `local`, `flag`",
        ),
        (
            "column = 'n'",
            "column `n` is int64, and nothing says what its numbers count since 1970 | add `unit = \"s\"`, or \"ms\", \"us\" or \"ns\"",
        ),
        (
            "value = 'n + 1'",
            "`n + 1` is int64, and nothing says what its numbers count since 1970 | add `unit = \"s\"`, or \"ms\", \"us\" or \"ns\"",
        ),
        (
            "column = 'n'\nunit = 'minutes'",
            "`minutes` is not known here",
        ),
        (
            "column = 'when'\nunit = 's'",
            "`unit` has no effect here: column `when` is text, not numbers | remove `unit`",
        ),
        (
            "column = 'utc'\nunit = 's'",
            "`unit` has no effect here: column `utc` is timestamp, not numbers | remove `unit`",
        ),
        (
            "column = 'x'\nformat = 'rfc3339'",
            "`format` has no effect here: column `x` is float64, not text | remove `format`",
        ),
        (
            "column = 'utc'\ntime_zone = 'Europe/Berlin'",
            "`time_zone` has no effect here: column `utc` is timestamp, which is known in UTC | remove `time_zone`",
        ),
        (
            "column = 'n'\nunit = 's'\ntime_zone = 'Europe/Berlin'",
            "`time_zone` has no effect here: column `n` is int64, and numbers count from 1970 in UTC | remove `time_zone`",
        ),
        (
            "column = 'when'\nformat = 'rfc2822'\ntime_zone = 'Europe/Berlin'",
            "`time_zone` has no effect here: texts in the format `rfc2822` say their offset | remove `time_zone`",
        ),
        (
            "column = 'local'\ntime_zone = 'Europe/Berln'",
            "there is no time zone `Europe/Berln` | did you mean `Europe/Berlin`?",
        ),
        (
            "column = 'when'\nformat = 'rfc3399'",
            "`rfc3399` is not a format of times | did you mean `rfc3339`?",
        ),
        (
            "column = 'flag'",
            "column `flag` is boolean, which is no time | a time is a timestamp, a date, a number since 1970, or text; `value` may be an expression that makes one",
        ),
        (
            "column = 'utc'\nlateness = '-5s'",
            "`lateness` is negative (-5s) | write how much older than the newest row before it a row may be, such as \"5s\"",
        ),
        (
            "column = 'utc'\nmax_future_skew = '0s'",
            "`max_future_skew` is 0s | write how far ahead of the newest row before it a time may be, such as \"1h\"; or leave it out",
        ),
    ] {
        match given(rows.clone(), time) {
            Ok(_) => panic!("{time} is fine"),
            Err(said) => assert_eq!(said, [expected], "{time}"),
        }
    }
    // All of it at once, also what does not depend on columns where there are none.
    let several = "column = 'tme'\nlateness = '-1s'\ntime_zone = 'x'\nformat = 'y'";
    assert_eq!(
        given(rows, several).map(|_| ()).expect_err("wrong").len(),
        4
    );
    let absent = "path = 'nowhere.csv'\ntime = { lateness = '-1s' }";
    assert_eq!(build::<FileConfig>(absent, false).1.len(), 3);
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        fs::write(root.path().join(name), bytes).expect("written");
    }
    root
}

fn in_folder(root: &tempfile::TempDir, more: &str) -> Arc<dyn Source> {
    let path = root.path().to_str().expect("UTF-8");
    made::<FileConfig>(&format!("path = '{path}'\n{more}"))
}

fn bounds(source: &dyn Source) -> Vec<Option<i64>> {
    (0..source.splits().expect("splits").len())
        .map(|split| source.lower_bound(split).expect("a bound"))
        .collect()
}

fn gzipped(text: &str) -> Vec<u8> {
    use std::io::Write;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text.as_bytes()).expect("written");
    out.finish().expect("finished")
}

fn parquet(root: &tempfile::TempDir, name: &str, rows: &RecordBatch) {
    use dataflow_formats::WriteFormat;
    let file = fs::File::create(root.path().join(name)).expect("made");
    let format = dataflow_formats::write::Parquet {
        row_group_rows: Some(2),
        ..Default::default()
    };
    let mut writer = format.begin(Box::new(file), rows.schema()).expect("begun");
    writer.write(rows).expect("written");
    writer.finish().expect("finished");
}

#[test]
fn the_oldest_time_of_a_file_is_found_in_its_head() {
    let text = "t,x\n1970-01-01T00:00:10Z,1\n1970-01-01T00:00:07Z,2\n1970-01-01T00:00:30Z,3\n";
    let lines = "{\"t\":\"1970-01-01T00:00:20Z\"}\n{\"t\":\"1970-01-01T00:00:01Z\"}\n";
    let unreadable = "t,x\n,1\n,2\n1970-01-01T00:00:40Z,3\n1970-01-01T00:00:02Z,3\n";
    let root = folder(&[
        ("a.csv", text.as_bytes()),
        ("b.csv.gz", &gzipped(text)),
        ("c.jsonl", lines.as_bytes()),
        ("d.csv", unreadable.as_bytes()),
        ("e.csv", b"t,x\n"),
        ("f.csv", b""),
        ("g.csv", b"t,x\n,1\n"),
    ]);
    let source = in_folder(
        &root,
        "schema = 'union'\ntime = { column = 't', lateness = '4s' }",
    );
    let seconds = |all: Vec<Option<i64>>| -> Vec<Option<i64>> {
        all.into_iter()
            .map(|t| t.map(|t| if t == END { -1 } else { t / SECOND }))
            .collect()
    };
    let expected = [6, 6, 16, 36, -1, -1, -1].map(Some);
    assert_eq!(seconds(bounds(&*source)), expected);
    let narrow = Arc::clone(&source).narrow(&Wanted {
        columns: Some(vec!["x".into()]),
        ..Wanted::default()
    });
    assert_eq!(seconds(bounds(&*narrow)), expected);
    assert_eq!(
        source.time(),
        Some(TimeRule {
            lateness: 4 * SECOND,
            max_future_skew: None,
            idle: None,
        })
    );
    // No time is believed before 16 rows agree, and a file that ends before was read as a whole.
    let doubted = in_folder(
        &root,
        "schema = 'union'\ntime = { column = 't', lateness = '4s', max_future_skew = '1h' }",
    );
    let expected = [7, 7, 1, 2, -1, -1, -1].map(Some);
    assert_eq!(seconds(bounds(&*doubted)), expected);
    let mut many = String::from("t\n1970-01-01T00:00:09Z\n1970-02-01\n");
    (0..40).for_each(|i| many.push_str(&format!("1970-01-01T00:00:{}Z\n", 10 + i)));
    let root = folder(&[("a.csv", many.as_bytes())]);
    let doubted = in_folder(
        &root,
        "time = { column = 't', lateness = '18s', max_future_skew = '1h' }",
    );
    // The 16 rows behind the wrong one are believed: 25 s less 18 s is older than all of them.
    assert_eq!(seconds(bounds(&*doubted)), [Some(7)]);
}

#[test]
fn parquet_says_its_oldest_time() {
    let root = folder(&[]);
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![
        Some(9),
        Some(8),
        None,
        None,
        Some(-3),
    ]));
    let stamps = numbers
        .as_any()
        .downcast_ref::<Int64Array>()
        .expect("numbers");
    let stamps: TimestampMillisecondArray = stamps.reinterpret_cast();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["1970-01-02"; 5]));
    let rows = columns(vec![
        ("n", numbers),
        ("t", Arc::new(stamps)),
        ("text", texts),
    ]);
    parquet(&root, "a.parquet", &rows);
    parquet(&root, "b.parquet", &rows.slice(2, 2));
    for (time, expected) in [
        (
            "{ column = 'n', unit = 's', lateness = '1s' }",
            [-3 * SECOND, END],
        ),
        ("{ column = 't' }", [-3_000_000, END]),
        ("{ value = 't', lateness = '1s' }", [-3_000_000, END]),
        // Read: the first row less the lateness.
        (
            "{ value = 'n + 0', unit = 's', lateness = '1s' }",
            [8 * SECOND, END],
        ),
        (
            "{ column = 't', time_zone = '+00:00', lateness = '1ms' }",
            [8_000_000, END],
        ),
        ("{ column = 'text', lateness = '1d' }", [0, 0]),
    ] {
        let source = in_folder(&root, &format!("time = {time}"));
        assert_eq!(bounds(&*source), expected.map(Some), "{time}");
    }
    // In the units of the source, which are finer than those of this file.
    let nanoseconds: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![5]));
    parquet(&root, "c.parquet", &columns(vec![("t", nanoseconds)]));
    let source = in_folder(&root, "schema = 'union'\ntime = { column = 't' }");
    assert_eq!(bounds(&*source), [Some(-3_000_000), Some(END), Some(5)]);
}

#[test]
fn any_column_of_a_source_may_hold_the_time() {
    let root = folder(&[]);
    for day in ["1970-01-02", "1970-01-03"] {
        let place = root.path().join(format!("day={day}"));
        fs::create_dir(&place).expect("made");
        fs::write(place.join(format!("{day}.csv")), "x\n1\n2\n").expect("written");
    }
    for time in [
        "time = { column = 'day' }",
        "file_column = 'file'\ntime = { value = \"cast(right(file, 14) as text)\", format = '%Y-%m-%d.csv' }",
    ] {
        let source = in_folder(&root, time);
        assert_eq!(read(&*source, 10).0, [DAY, DAY, 2 * DAY, 2 * DAY]);
        assert_eq!(bounds(&*source), [Some(DAY), Some(2 * DAY)]);
    }
    let rows = in_folder(
        &root,
        "row_column = 'row'\ntime = { column = 'row', unit = 's' }",
    );
    assert_eq!(read(&*rows, 1).0, [SECOND, 2 * SECOND, SECOND, 2 * SECOND]);
    let sample = "sample = { preset = 'sensors', rows = 3 }\ntime = { column = 'timestamp' }";
    let sample = made::<FileConfig>(sample);
    let (times, _, _) = read(&*sample, 2);
    assert_eq!(sample.lower_bound(0).expect("a bound"), Some(times[0]));
    let generated = "rows = 3\ncolumns.at = { kind = 'time', every = '1s' }\ntime = { column = 'at', lateness = '2s' }";
    let generated = made::<GenerateConfig>(generated);
    let (times, _, _) = read(&*generated, 2);
    assert_eq!(times[2] - times[0], 2 * SECOND);
    let bound = generated.lower_bound(0).expect("a bound");
    assert_eq!(bound, Some(times[0] - 2 * SECOND));
    let paced = "rows = 3\nrate = '1/s'\ncolumns.at = { kind = 'time' }\ntime = { column = 'at' }";
    let paced = made::<GenerateConfig>(paced);
    assert_eq!(
        paced.lower_bound(0).expect("a bound"),
        Some(read(&*paced, 1).0[0])
    );
    assert_eq!(paced.rate().map(|rate| rate.per_second), Some(1.0));
    let (_, said) = build::<GenerateConfig>(
        "columns.at = { kind = 'time' }\ntime = { column = 'ta' }",
        false,
    );
    assert_eq!(said, ["there is no column `ta` | did you mean `at`?"]);
}

#[test]
fn a_bad_row_of_the_reader_stays_one() {
    let root = folder(&[(
        "a.csv",
        b"t,x\n1970-01-01,1\n1970-01-02,1,1\n,3\n1970-01-04,4\n",
    )]);
    let source = in_folder(&root, "time = { column = 't' }");
    for batch in [1, 10] {
        let (times, _, mut bad) = read(&*source, batch);
        assert_eq!(times, [0, 3 * DAY]);
        bad.sort_by_key(|row| row.place);
        let reasons: Vec<&str> = bad.iter().map(|row| row.reason).collect();
        assert_eq!(reasons, ["fields", "time"]);
        assert_eq!(bad[1].place.map(|place| place.row()), Some(2));
    }
    assert_ne!(bounds(&*source), [Some(BEGINNING)]);
}
