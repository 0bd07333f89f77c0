//! For tests: rows of every type, written in any cut.

use std::io::Write;
use std::sync::{Arc, Mutex};

use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    StructArray, TimestampNanosecondArray, UInt8Array,
};
use arrow_schema::{DataType, Field};
use dataflow_core::Result;
use dataflow_core::saved::Saved;
use dataflow_testkit::Held;

use crate::WriteFormat;

/// A number that looks random and is a function of the row.
pub(crate) fn noise(row: usize, salt: u64) -> u64 {
    let mut x = (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt.wrapping_mul(0xD1B5_4A32);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^ (x >> 29)
}

fn some<T>(row: usize, salt: u64, value: T) -> Option<T> {
    (!noise(row, salt + 100).is_multiple_of(7)).then_some(value)
}

fn column<A: FromIterator<Option<T>> + arrow_array::Array + 'static, T>(
    rows: usize,
    salt: u64,
    value: impl Fn(usize, u64) -> T,
) -> ArrayRef {
    let values = (0..rows).map(|row| some(row, salt, value(row, noise(row, salt))));
    Arc::new(values.collect::<A>())
}

/// Rows of every type that all formats can hold.
pub(crate) fn rows(count: usize) -> RecordBatch {
    let floats = |row: usize, n: u64| match n % 11 {
        0 => f64::NAN,
        1 => -0.0,
        2 => f64::INFINITY,
        3 => 1e300,
        _ => (row as f64).sqrt() - (n % 1000) as f64 / 7.0,
    };
    let word = |n: u64| ["", "plain", "a,b", "say \"x\"", "two\nlines", "ünï"][(n % 6) as usize];
    let times = TimestampNanosecondArray::from_iter(
        (0..count).map(|row| some(row, 8, 1_700_000_000_000_000_000 + row as i64 * 1_000_003)),
    );
    let decimals = (0..count).map(|row| some(row, 10, i128::from(noise(row, 10) % 100_000)));
    let decimals = decimals.collect::<Decimal128Array>();
    let codes: DictionaryArray<Int32Type> = (0..count)
        .map(|row| some(row, 4, word(noise(row, 4))))
        .collect();
    let fixed = (0..count).map(|row| some(row, 13, noise(row, 13).to_be_bytes()));
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed, 8).expect("8 bytes");
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "id",
            Arc::new(Int64Array::from_iter_values(0..count as i64)),
        ),
        ("whole", column::<Int64Array, _>(count, 1, |_, n| n as i64)),
        ("float", column::<Float64Array, _>(count, 2, floats)),
        ("text", column::<StringArray, _>(count, 3, |_, n| word(n))),
        ("code", Arc::new(codes)),
        (
            "truth",
            column::<BooleanArray, _>(count, 5, |_, n| n % 2 == 0),
        ),
        ("small", column::<UInt8Array, _>(count, 6, |_, n| n as u8)),
        (
            "single",
            column::<Float32Array, _>(count, 7, |row, _| row as f32 / 3.0),
        ),
        ("time", Arc::new(times.with_timezone("UTC"))),
        (
            "day",
            column::<Date32Array, _>(count, 9, |row, _| row as i32 - 500),
        ),
        (
            "money",
            Arc::new(decimals.with_precision_and_scale(12, 2).expect("fits")),
        ),
        (
            "bytes",
            column::<BinaryArray, _>(count, 11, |_, n| {
                n.to_le_bytes()[..(n % 5) as usize].to_vec()
            }),
        ),
        ("fixed", Arc::new(fixed)),
        ("list", list(count)),
        ("pair", pair(count)),
        ("map", map(count)),
    ];
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, name != "id")),
    )
    .expect("columns of one length")
}

fn list(count: usize) -> ArrayRef {
    let mut builder = ListBuilder::new(Int32Builder::new());
    for row in 0..count {
        for i in 0..noise(row, 14) % 4 {
            builder.values().append_option(some(row, i, i as i32));
        }
        builder.append(some(row, 15, ()).is_some());
    }
    Arc::new(builder.finish())
}

fn pair(count: usize) -> ArrayRef {
    let numbers = column::<Int64Array, _>(count, 16, |row, _| row as i64);
    let text = column::<StringArray, _>(count, 17, |row, _| format!("t{}", row % 50));
    let fields = vec![
        Field::new("n", DataType::Int64, true),
        Field::new("t", DataType::Utf8, true),
    ];
    let nulls = (0..count)
        .map(|row| some(row, 18, ()).is_some())
        .collect::<Vec<_>>();
    Arc::new(StructArray::new(
        fields.into(),
        vec![numbers, text],
        Some(nulls.into()),
    ))
}

fn map(count: usize) -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in 0..count {
        for i in 0..noise(row, 19) % 3 {
            builder.keys().append_value(format!("k{i}"));
            builder
                .values()
                .append_option(some(row, 20 + i, row as i32));
        }
        builder
            .append(some(row, 22, ()).is_some())
            .expect("keys and values");
    }
    Arc::new(builder.finish())
}

/// Bytes that can be looked at after the writer is gone.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How rows are cut into batches.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    Every(usize),
    Random(u64),
}

pub(crate) const CUTS: [Cut; 5] = [
    Cut::Every(7),
    Cut::Every(8192),
    Cut::Every(100_000),
    Cut::Random(1),
    Cut::Random(2),
];

/// The file that a format makes of rows.
pub(crate) fn written(format: &dyn WriteFormat, rows: &RecordBatch, cut: Cut) -> Result<Vec<u8>> {
    let out = Shared::default();
    let mut writer = format.begin(Box::new(out.clone()), rows.schema())?;
    let mut at = 0;
    while at < rows.num_rows() {
        let length = match cut {
            Cut::Every(length) => length,
            Cut::Random(seed) => 1 + (noise(at, seed) % 20_000) as usize,
        };
        let length = length.min(rows.num_rows() - at);
        writer.write(&rows.slice(at, length))?;
        at += length;
    }
    writer.finish()?;
    let bytes = out.0.lock().expect("no panic").clone();
    Ok(bytes)
}

/// The file that a format makes of rows with writers that are gone on with every now and then.
pub(crate) fn written_with_stops(
    format: &dyn WriteFormat,
    rows: &RecordBatch,
    seed: u64,
) -> Result<Vec<u8>> {
    let out = Shared::default();
    let mut writer = format.begin(Box::new(out.clone()), rows.schema())?;
    let (mut at, mut turn) = (0, seed as usize);
    loop {
        turn += 1;
        let length = 1 + (noise(turn, seed) % 20_000) as usize;
        let length = length.min(rows.num_rows() - at);
        if noise(turn, seed + 1).is_multiple_of(3) {
            let mut saved = Saved::default();
            let bytes = writer.save(&mut saved)?;
            if noise(turn, seed + 2).is_multiple_of(2) {
                // Lost again.
                writer.write(&rows.slice(at, length))?;
            }
            drop(writer);
            out.0.lock().expect("no panic").truncate(bytes as usize);
            let held = Held(saved);
            let from = held.restored();
            writer = format.resume(Box::new(out.clone()), rows.schema(), bytes, &from)?;
        }
        if length == 0 {
            break;
        }
        writer.write(&rows.slice(at, length))?;
        at += length;
    }
    writer.finish()?;
    let bytes = out.0.lock().expect("no panic").clone();
    Ok(bytes)
}

/// Reads a file with `readers` that take its pieces in turn, at most `most` rows at a time; rows in order, with places.
pub(crate) fn read(
    format: &dyn crate::ReadFormat,
    path: &str,
    request: &crate::Request,
    readers: usize,
    most: usize,
) -> Result<(Vec<u64>, Vec<RecordBatch>)> {
    let file = crate::InputFile {
        path: path.into(),
        bytes: None,
    };
    let reading = format.reading(request)?;
    let first = dataflow_core::Place::new(3, 0)?;
    let mut cutter = reading.cutter(&file, 3, first)?;
    let mut readers: Vec<_> = (0..readers).map(|_| reading.reader()).collect();
    let (mut places, mut batches, mut turn) = (Vec::new(), Vec::new(), 0);
    while let Some(piece) = cutter.next()? {
        let count = readers.len();
        let reader = &mut readers[turn % count];
        turn += 1;
        let (expected, mut seen) = (piece.rows, 0);
        let place = piece.first;
        reader.open(&file, piece)?;
        while let Some(decoded) = reader.next(most)? {
            for (_, batch) in decoded.batches {
                assert!(batch.len() <= most && !batch.is_empty());
                assert_eq!(batch.places().get(0).map(|p| p.0), Some(place.0 + seen));
                seen += batch.len() as u64;
                let rows = (0..batch.len()).filter_map(|i| batch.places().get(i));
                places.extend(rows.map(|place| place.row()));
                batches.push(batch.rows().clone());
            }
        }
        assert_eq!(expected, Some(seen));
    }
    Ok((places, batches))
}

/// A file in a folder of its own, removed with it.
pub(crate) struct Scratch {
    folder: std::path::PathBuf,
    /// The file's path.
    pub path: String,
}

impl Scratch {
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = format!("dataflow-formats-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a file");
        Self {
            path: path.to_string_lossy().into_owned(),
            folder,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
