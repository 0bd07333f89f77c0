//! Tests of writing arrays for NumPy: their shapes, which are known at the end, and going on with them.

use std::fs;

use arrow_array::types::Float64Type;
use arrow_array::{
    Array as _, ArrayRef, Float32Array, Float64Array, Int64Array, ListArray, RecordBatch,
    TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use dataflow_core::saved::Saved;
use dataflow_core::{Place as RowPlace, Wanted};
use dataflow_formats::write::{FREQUENCIES, Format, Npy, Npz};
use dataflow_formats::{InputFile, ReadFormat, Request, npy, npz};
use dataflow_testkit::Held;

use super::testing::{Folder, context};
use super::*;

fn spectra(rows: usize, width: usize) -> RecordBatch {
    let lists = (0..rows).map(|row| {
        let values = (0..width).map(move |at| Some((row * width + at) as f64 / 8.0));
        Some(values.collect::<Vec<_>>())
    });
    let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(lists);
    let times = Float64Array::from_iter_values((0..rows).map(|row| row as f64));
    let schema = Schema::new_with_metadata(
        vec![
            Field::new("time", DataType::Float64, true),
            Field::new("power", lists.data_type().clone(), true),
        ],
        [(
            FREQUENCIES.to_string(),
            "{\"first\": 1.0, \"step\": 0.5, \"count\": 3}".to_string(),
        )]
        .into(),
    );
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(times), Arc::new(lists)]).expect("columns")
}

fn numbers(rows: usize) -> RecordBatch {
    let whole = Int64Array::from_iter_values(0..rows as i64);
    let float =
        Float32Array::from_iter((0..rows).map(|row| (row % 3 > 0).then(|| row as f32 / 2.0)));
    let columns: [(&str, ArrayRef); 2] = [("whole", Arc::new(whole)), ("float", Arc::new(float))];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true))).expect("columns")
}

fn sink(path: &str, rows: &RecordBatch, roll: Option<Roll>) -> FileSink {
    FileSink {
        path: path.into(),
        format: Format::of_path(path).expect("a format"),
        if_exists: IfExists::Replace,
        schema: rows.schema(),
        pattern: None,
        roll,
    }
}

fn write(writer: &mut dyn Writer, rows: &RecordBatch, at: std::ops::Range<usize>, step: usize) {
    for start in at.clone().step_by(step) {
        let some = rows.slice(start, step.min(at.end - start));
        writer.write(&Batch::new(some)).expect("writes");
    }
}

fn complete(mut writer: Box<dyn Writer>) {
    writer.prepare().expect("prepares");
    writer.commit().expect("commits");
}

/// What a file of these rows has, written so many at a time.
fn made(name: &str, rows: &RecordBatch, step: usize) -> Vec<u8> {
    let folder = Folder::new();
    let sink = sink(&folder.path(name), rows, None);
    let mut writer = sink.open(&context().0).expect("opens");
    write(&mut *writer, rows, 0..rows.num_rows(), step);
    complete(writer);
    assert_eq!(folder.list(), [name]);
    fs::read(folder.path(name)).expect("readable")
}

/// The rows that are read of a file with these bytes.
fn read(format: &dyn ReadFormat, bytes: &[u8]) -> (Vec<String>, RecordBatch) {
    let folder = Folder::new();
    let path = folder.path("x");
    fs::write(&path, bytes).expect("writes");
    let file = InputFile {
        path: path.into(),
        bytes: None,
    };
    let columns = format.inspect(&file).expect("readable").schema;
    let names = columns.fields().iter().map(|f| f.name().clone()).collect();
    let wanted = Wanted::default();
    let reading = format.reading(&Request { columns, wanted }).expect("reads");
    let mut cutter = reading.cutter(&file, 0, RowPlace::default()).expect("cuts");
    let mut reader = reading.reader();
    let piece = cutter.next().expect("cuts").expect("rows");
    reader.open(&file, piece).expect("opens");
    let mut decoded = reader.next(1 << 20).expect("reads").expect("rows");
    (names, decoded.batches.remove(0).1.rows().clone())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn columns_become_arrays_whatever_the_cut() {
    let rows = numbers(1000);
    for (name, rows) in [
        ("x.npy", &rows),
        ("x.npz", &rows),
        ("y.npz", &spectra(70_000, 3)),
    ] {
        let expected = made(name, rows, 8192);
        for step in [97, 100_000] {
            assert!(made(name, rows, step) == expected, "{name} {step}");
        }
    }
    let (names, back) = read(&npz::Npz::default(), &made("x.npz", &rows, 500));
    assert_eq!(names, ["whole", "float"]);
    assert_eq!(back.column(0), rows.column(0));
    let floats = back.column(1).to_data();
    let floats = floats.buffers()[0].typed_data::<f32>();
    assert!(floats[0].is_nan() && floats[1] == 0.5);
    // Of different types: floats of eight bytes.
    let bytes = made("x.npy", &rows, 500);
    assert!(text(&bytes).contains("'descr': '<f8', 'fortran_order': False, 'shape': (1000, 2), }"));
    let (names, back) = read(&npy::Npy::default(), &bytes);
    assert_eq!((names.len(), back.num_rows()), (2, 1000));
    let one = rows.project(&[0]).expect("a column");
    let bytes = made("x.npy", &one, 7);
    assert!(text(&bytes).contains("'<i8', 'fortran_order': False, 'shape': (1000,), }"));
    assert_eq!(bytes.len(), 128 + 8000);
    assert!(text(&made("x.npy", &one.slice(0, 0), 7)).contains("'shape': (0,), }"));
}

#[test]
fn spectra_have_two_axes_and_their_frequencies() {
    let rows = spectra(5, 3);
    let bytes = made("x.npz", &rows, 2);
    let only = |name: &str| npz::Npz {
        array: Some(npz::Arrays::One(name.into())),
    };
    let (names, power) = read(&only("power"), &bytes);
    assert_eq!(names, ["power_0", "power_1", "power_2"]);
    let last = Float64Array::from_iter_values((0..5).map(|row| (row * 3 + 2) as f64 / 8.0));
    assert_eq!(power.column(2).as_ref(), &last as &dyn arrow_array::Array);
    let (_, frequencies) = read(&only("frequencies"), &bytes);
    let expected: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 1.5, 2.0]));
    assert_eq!(frequencies.column(0), &expected);
    let alone = rows.project(&[1]).expect("a column");
    assert!(text(&made("x.npy", &alone, 2)).contains("'shape': (5, 3), }"));
}

#[test]
fn runs_that_are_killed_are_gone_on_with() {
    let (few, many) = (numbers(300), spectra(80_000, 2));
    for (name, rows) in [("x.npy", &few), ("x.npz", &few), ("x.npz", &many)] {
        let all = rows.num_rows();
        let expected = made(name, rows, 50_000);
        // Killed while it writes, or when the file has its name already.
        for done in [false, true] {
            let folder = Folder::new();
            let sink = sink(&folder.path(name), rows, None);
            let mut writer = sink.open(&context().0).expect("opens");
            write(&mut *writer, rows, 0..all - 100, 50_000);
            let mut saved = Saved::default();
            writer.save(&mut saved).expect("saves");
            write(&mut *writer, rows, all - 100..all - done as usize, 40);
            match done {
                true => complete(writer),
                false => drop(writer),
            }
            let held = Held(saved);
            let mut writer = sink
                .resume(&context().0, &held.restored())
                .expect("goes on");
            write(&mut *writer, rows, all - 100..all, 30);
            complete(writer);
            assert!(
                fs::read(folder.path(name)).expect("readable") == expected,
                "{name} {done}"
            );
            // A run that begins anew removes what stays of it.
            complete(sink.open(&context().0).expect("opens"));
            assert_eq!(folder.list(), [name]);
        }
    }
}

#[test]
fn files_that_roll_leave_nothing_beside_them() {
    let rows = numbers(300);
    let folder = Folder::new();
    let roll: Roll = serde_json::from_str("{\"rows\": 100}").expect("settings");
    let sink = sink(&folder.path("x.npz"), &rows, Some(roll));
    let mut writer = sink.open(&context().0).expect("opens");
    for at in (0..300).step_by(50) {
        write(&mut *writer, &rows, at..at + 50, 50);
        writer.save(&mut Saved::default()).expect("saves");
    }
    complete(writer);
    assert_eq!(
        folder.list(),
        ["x-000000.npz", "x-000001.npz", "x-000002.npz"]
    );
    let part = fs::read(folder.path("x-000001.npz")).expect("readable");
    assert!(part == made("x.npz", &rows.slice(100, 100), 10));
}

/// What is said of rows that cannot be written.
fn failure(name: &str, rows: &RecordBatch) -> String {
    let folder = Folder::new();
    let sink = sink(&folder.path(name), rows, None);
    let failed = || {
        let mut writer = sink.open(&context().0)?;
        writer.write(&Batch::new(rows.clone()))?;
        writer.prepare().map(|_| ())
    };
    let error = failed().expect_err("cannot be written");
    error.to_string()
}

fn of(column: impl arrow_array::Array + 'static) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("x", Arc::new(column) as ArrayRef, true)])
        .expect("a column")
}

#[test]
fn what_arrays_cannot_hold_is_told() {
    let nulls = of(Int64Array::from(vec![Some(1), Some(2), None]));
    let uneven = of(ListArray::from_iter_primitive::<Float64Type, _, _>([
        Some(vec![Some(1.0), None]),
        Some(vec![Some(1.0)]),
    ]));
    let missing = of(ListArray::from_iter_primitive::<Float64Type, _, _>([
        Some(vec![]),
        None,
    ]));
    for name in ["x.npy", "x.npz"] {
        let said = failure(name, &nulls);
        assert!(
            said.contains("`x` is null") && said.contains("row 3"),
            "{said}"
        );
        let said = failure(name, &uneven);
        assert!(
            said.contains("the list has 1 numbers here, those before have 2")
                && said.contains("row 2"),
            "{said}"
        );
        assert!(failure(name, &missing).contains("the list is null here"));
        let said = failure(name, &super::testing::rows(1));
        assert!(said.contains("`place` is Utf8"), "{said}");
    }
    let both = failure("x.npy", &spectra(1, 1));
    assert!(
        both.contains("`power` cannot be put beside others"),
        "{both}"
    );
    let direct = FileSink {
        format: Format::Npy(Npy {}),
        ..sink("/dev/null.npy", &nulls, None)
    };
    let direct = FileSink {
        path: "/dev/null".into(),
        ..direct
    };
    let said = direct.open(&context().0).err().map(|e| e.to_string());
    assert!(said.is_some_and(|said| said.contains("device or a pipe")));
    assert!(!Format::Npz(Npz {}).is_streamed());
}

#[test]
fn times_are_those_of_numpy() {
    let times = of(TimestampMillisecondArray::from(vec![Some(5), None]));
    let bytes = made("x.npy", &times, 1);
    assert!(text(&bytes).contains("'<M8[ms]'"));
    assert_eq!(
        bytes[128..],
        [5_i64.to_le_bytes(), i64::MIN.to_le_bytes()].concat()
    );
}
