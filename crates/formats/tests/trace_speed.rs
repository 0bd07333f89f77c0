//! How fast samples are read of a file in the cache, beside read(2) into blocks of 1 MiB: a measurement, to be run by hand.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::time::Instant;

use dataflow_core::{Place, Wanted};
use dataflow_formats::raw::{Raw, RawType};
use dataflow_formats::{InputFile, ReadFormat, Request};

const SAMPLES: u64 = 32 << 20;

fn read_2(path: &str) -> f64 {
    let mut block = vec![0; 1 << 20];
    let mut file = File::open(path).expect("opens");
    let began = Instant::now();
    while file.read(&mut block).expect("reads") > 0 {}
    began.elapsed().as_secs_f64()
}

fn as_columns(format: &Raw, path: &str) -> f64 {
    let file = InputFile {
        path: path.into(),
        bytes: None,
    };
    let began = Instant::now();
    let reading = format.reading(&Request {
        columns: format.inspect(&file).expect("readable").schema,
        wanted: Wanted::default(),
    });
    let reading = reading.expect("reads");
    let mut cutter = reading.cutter(&file, 0, Place::default()).expect("cuts");
    let (mut reader, mut rows) = (reading.reader(), 0);
    while let Some(piece) = cutter.next().expect("cuts") {
        reader.open(&file, piece).expect("opens");
        while let Some(decoded) = reader.next(8192).expect("reads") {
            rows += decoded.batches[0].1.len() as u64;
        }
    }
    assert_eq!(rows, SAMPLES);
    began.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement; it asserts nothing about time"]
fn samples_beside_read_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.f64");
    let path = path.to_str().expect("a path of text");
    let mut out = BufWriter::new(File::create(path).expect("a file"));
    for sample in 0..SAMPLES {
        out.write_all(&(sample as f64).to_le_bytes())
            .expect("writes");
    }
    out.flush().expect("writes");
    drop(out);
    let gigabytes = (SAMPLES * 8) as f64 / 1e9;
    for _ in 0..3 {
        let (block, columns) = (read_2(path), as_columns(&Raw::of(RawType::F64), path));
        println!(
            "read(2) {:.2} GB/s, columns {:.2} GB/s",
            gigabytes / block,
            gigabytes / columns
        );
    }
}
