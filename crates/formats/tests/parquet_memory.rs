//! One row group of millions of rows needs no more memory than its pages.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use dataflow_core::{Place, Wanted};
use dataflow_formats::parquet::Parquet;
use dataflow_formats::{InputFile, ReadFormat, Request};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Writes one row group and says how large the file is.
fn write(path: &std::path::Path, rows: i64, index: bool) -> u64 {
    let file = std::fs::File::create(path).expect("a file");
    let block = |start: i64| {
        let ids = start..start + 50_000;
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from_iter_values(ids.clone()))),
            (
                "x",
                Arc::new(Float64Array::from_iter_values(
                    ids.clone().map(|i| (i as f64).sin()),
                )),
            ),
            (
                "name",
                Arc::new(StringArray::from_iter_values(
                    ids.map(|i| format!("n{}", i % 1000)),
                )),
            ),
        ];
        RecordBatch::try_from_iter(columns).expect("columns")
    };
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(None)
        .set_offset_index_disabled(!index)
        .build();
    let mut writer =
        ArrowWriter::try_new(file, block(0).schema(), Some(properties)).expect("begins");
    for start in (0..rows).step_by(50_000) {
        writer.write(&block(start)).expect("writes");
    }
    writer.close().expect("closes");
    std::fs::metadata(path).expect("a file").len()
}

/// Reads with two readers in turn and gives the peak of what was held.
fn peak(path: &std::path::Path, rows: u64) -> usize {
    let file = InputFile {
        path: path.to_string_lossy().into(),
        bytes: None,
    };
    let start = HELD.load(Ordering::Relaxed);
    PEAK.store(start, Ordering::Relaxed);
    let columns = Parquet {}.inspect(&file).expect("inspects").schema;
    let wanted = Wanted::default();
    let reading = Parquet {}
        .reading(&Request { columns, wanted })
        .expect("prepares");
    let mut cutter = reading.cutter(&file, 0, Place::default()).expect("cuts");
    let mut readers = [reading.reader(), reading.reader()];
    let (mut read, mut turn) = (0, 0);
    while let Some(piece) = cutter.next().expect("cuts") {
        let reader = &mut readers[turn % 2];
        turn += 1;
        reader.open(&file, piece).expect("opens");
        while let Some(decoded) = reader.next(8_192).expect("reads") {
            read += decoded
                .batches
                .iter()
                .map(|(_, b)| b.len() as u64)
                .sum::<u64>();
        }
    }
    assert_eq!(read, rows);
    PEAK.load(Ordering::Relaxed) - start
}

#[test]
fn a_large_row_group_needs_no_more_memory_than_a_small_one() {
    let folder = std::env::temp_dir().join(format!("dataflow-parquet-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for index in [true, false] {
        let (small, large) = (folder.join("small.parquet"), folder.join("large.parquet"));
        write(&small, 200_000, index);
        let bytes = write(&large, 2_000_000, index);
        let (few, many) = (peak(&small, 200_000), peak(&large, 2_000_000));
        assert!(bytes > 16 << 20, "{bytes}");
        assert!(
            many < few + few / 4 + 200_000,
            "{few} bytes for 200k rows, {many} for 2M"
        );
        assert!(many < 12 << 20, "{many} bytes");
    }
    std::fs::remove_dir_all(&folder).expect("removes");
}
