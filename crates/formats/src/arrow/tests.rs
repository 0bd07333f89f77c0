//! Tests of reading Arrow.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_cast::cast;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::Field;
use arrow_select::concat::concat_batches;
use dataflow_core::Wanted;

use super::*;
use crate::convert::{DICTIONARY_HINT, dictionary};
use crate::write::testing::{Cut, Scratch, noise, read, rows, written};
use crate::write::{Arrow as WriteArrow, ArrowCompression};

fn file_of(path: &str) -> InputFile {
    InputFile {
        path: path.into(),
        bytes: None,
    }
}

fn request(columns: SchemaRef) -> Request {
    Request {
        columns,
        wanted: Wanted::default(),
    }
}

/// As other programs write it: large batches, dictionaries, views, perhaps compressed.
fn encoded(
    rows: &RecordBatch,
    stream: bool,
    batch: usize,
    codec: Option<CompressionType>,
) -> Vec<u8> {
    let options = IpcWriteOptions::default()
        .try_with_compression(codec)
        .expect("a codec");
    let mut out = Vec::new();
    let slices = (0..rows.num_rows())
        .step_by(batch)
        .map(|at| rows.slice(at, batch.min(rows.num_rows() - at)));
    if stream {
        let mut writer =
            StreamWriter::try_new_with_options(&mut out, &rows.schema(), options).expect("begins");
        slices.for_each(|slice| writer.write(&slice).expect("writes"));
        writer.finish().expect("ends");
    } else {
        let mut writer =
            FileWriter::try_new_with_options(&mut out, &rows.schema(), options).expect("begins");
        slices.for_each(|slice| writer.write(&slice).expect("writes"));
        writer.finish().expect("ends");
    }
    out
}

fn with_views(rows: &RecordBatch) -> RecordBatch {
    let view = cast(rows.column(3), &DataType::Utf8View).expect("casts");
    let large = cast(rows.column(3), &DataType::LargeUtf8).expect("casts");
    let mut fields = rows.schema().fields().to_vec();
    fields.push(Arc::new(Field::new("view", DataType::Utf8View, true)));
    fields.push(Arc::new(Field::new("large", DataType::LargeUtf8, true)));
    let mut columns = rows.columns().to_vec();
    columns.extend([view, large]);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns")
}

#[test]
fn every_type_comes_back_from_files_and_streams() {
    let original = with_views(&rows(20_000));
    for (stream, batch, codec) in [
        (false, 100_000, None),
        (false, 777, Some(CompressionType::LZ4_FRAME)),
        (true, 5_000, None),
        (true, 20_000, Some(CompressionType::ZSTD)),
    ] {
        let file = Scratch::new("x.arrow", &encoded(&original, stream, batch, codec));
        let inspected = Arrow {}.inspect(&file_of(&file.path)).expect("inspects");
        assert_eq!(inspected.rows, (!stream).then_some(20_000));
        assert!(
            inspected
                .schema
                .field(4)
                .metadata()
                .contains_key(DICTIONARY_HINT)
        );
        let request = request(inspected.schema.clone());
        for (readers, most) in [(1, 8_192), (3, 777)] {
            let (places, batches) =
                read(&Arrow {}, &file.path, &request, readers, most).expect("reads");
            assert!(places.iter().copied().eq(0..20_000));
            let found = concat_batches(&inspected.schema, &batches).expect("one schema");
            for (i, column) in original.columns().iter().enumerate() {
                let expected = cast(column, found.column(i).data_type()).expect("casts");
                assert_eq!(&expected, found.column(i), "column {i}");
            }
        }
    }
}

#[test]
fn what_we_write_we_read() {
    let original = rows(70_000);
    for stream in [false, true] {
        let format = WriteArrow {
            stream,
            compression: ArrowCompression::Zstd,
        };
        let bytes = written(&format, &original, Cut::Random(5)).expect("writes");
        let file = Scratch::new("x.arrow", &bytes);
        let schema = Arrow {}
            .inspect(&file_of(&file.path))
            .expect("inspects")
            .schema;
        let (_, batches) =
            read(&Arrow {}, &file.path, &request(schema.clone()), 2, 9_000).expect("reads");
        let found = concat_batches(&schema, &batches).expect("one schema");
        assert_eq!(found.column(13), original.column(13));
        assert_eq!(found.column(14), original.column(14));
    }
}

#[test]
fn only_what_is_wanted_is_decoded() {
    let original = with_views(&rows(9_000));
    for (stream, codec) in [
        (false, None),
        (true, None),
        (false, Some(CompressionType::ZSTD)),
    ] {
        let file = Scratch::new("x.arrow", &encoded(&original, stream, 4_000, codec));
        let schema = Arrow {}
            .inspect(&file_of(&file.path))
            .expect("inspects")
            .schema;
        let mut fields: Vec<Field> = schema.fields().iter().map(|f| Field::clone(f)).collect();
        fields[4] = Field::new("code", dictionary(), true);
        fields.push(Field::new("absent", DataType::Int64, true));
        let mut request = request(Arc::new(Schema::new(fields)));
        request.wanted.columns = Some(vec![
            "absent".into(),
            "code".into(),
            "large".into(),
            "id".into(),
        ]);
        request.wanted.rows = Some(8_500);
        let (places, batches) = read(&Arrow {}, &file.path, &request, 2, 1_000).expect("reads");
        assert_eq!(places.len(), 8_500);
        let names: Vec<String> = batches[0]
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect();
        assert_eq!(names, ["id", "code", "large", "absent"]);
        let ids: Vec<i64> = batches
            .iter()
            .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect();
        assert!(ids.iter().copied().eq(0..8_500));
        request.wanted.columns = Some(vec![]);
        let (places, _) = read(&Arrow {}, &file.path, &request, 2, 1_000).expect("reads");
        assert_eq!(places.len(), 8_500);
    }
}

#[test]
fn a_file_through_a_pipe_is_read_as_a_stream() {
    let original = rows(3_000);
    let bytes = encoded(&original, false, 1_000, None);
    let messages = stream_of(bytes);
    assert_eq!(messages, 3_000);
}

/// Rows of an Arrow file or stream that comes through a named pipe.
fn stream_of(bytes: Vec<u8>) -> usize {
    let folder = Scratch::new("anchor", b"");
    let pipe = format!("{}.pipe", folder.path);
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let path = pipe.clone();
    let feeder = std::thread::spawn(move || std::fs::write(path, bytes).expect("writes"));
    let file = file_of(&pipe);
    let reading = Arrow {}
        .reading(&request(Arc::new(Schema::new(vec![Field::new(
            "id",
            DataType::Int64,
            true,
        )]))))
        .expect("prepares");
    // Looking whether there is a footer opens the pipe; the cutter must be what reads it.
    let mut cutter = stream::Pieces::open(
        &file,
        &request(Arc::new(Schema::new(vec![Field::new(
            "id",
            DataType::Int64,
            true,
        )]))),
        &Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)])),
        0,
        Place::default(),
    )
    .expect("cuts");
    let mut reader = reading.reader();
    let mut rows = 0;
    while let Some(piece) = cutter.next().expect("cuts") {
        reader.open(&file, piece).expect("opens");
        while let Some(decoded) = reader.next(512).expect("reads") {
            rows += decoded
                .batches
                .iter()
                .map(|(_, batch)| batch.len())
                .sum::<usize>();
        }
    }
    feeder.join().expect("no panic");
    rows
}

fn try_to_read(path: &str) -> Result<usize> {
    let inspected = Arrow {}.inspect(&file_of(path))?;
    let request = request(inspected.schema);
    Ok(read(&Arrow {}, path, &request, 1, 8_192)?.0.len())
}

#[test]
fn cut_and_flipped_bytes_are_never_a_panic() {
    let original = rows(400);
    for (stream, codec) in [
        (false, None),
        (true, None),
        (false, Some(CompressionType::ZSTD)),
        (true, Some(CompressionType::LZ4_FRAME)),
    ] {
        let bytes = encoded(&original, stream, 150, codec);
        for length in (0..bytes.len()).step_by(bytes.len() / 100) {
            let file = Scratch::new("cut.arrow", &bytes[..length]);
            let outcome = try_to_read(&file.path);
            assert!(stream || outcome.is_err(), "{length}");
        }
        for trial in 0..400 {
            let mut bytes = bytes.clone();
            let n = noise(trial, 8);
            let at = if trial % 2 == 0 {
                n as usize % bytes.len()
            } else {
                n as usize % 1_500
            };
            let at = if trial % 4 == 1 {
                bytes.len() - 1 - at
            } else {
                at
            };
            bytes[at] ^= 1 << (n >> 40 & 7);
            let file = Scratch::new("flipped.arrow", &bytes);
            let _ = try_to_read(&file.path);
        }
    }
}

#[test]
fn large_batches_are_cut_and_small_ones_joined() {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..200_000));
    let rows = RecordBatch::try_from_iter([("id", ids)]).expect("a column");
    for (batch, pieces) in [(200_000, 4), (1_000, 4), (66_000, 6)] {
        let file = Scratch::new("x.arrow", &encoded(&rows, false, batch, None));
        let reading = Arrow {}.reading(&request(rows.schema())).expect("prepares");
        let mut cutter = reading
            .cutter(&file_of(&file.path), 0, Place::default())
            .expect("cuts");
        let (mut count, mut input) = (0, 0);
        while let Some(piece) = cutter.next().expect("cuts") {
            assert!(piece.rows.is_some_and(|rows| rows <= 65_536));
            count += 1;
            input += piece.input_bytes;
        }
        assert_eq!(input, std::fs::metadata(&file.path).expect("a file").len());
        assert_eq!(count, pieces, "batches of {batch}");
    }
}
