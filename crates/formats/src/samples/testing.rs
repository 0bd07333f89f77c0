//! For tests of formats of samples: files with given bytes, all rows of a file, and what is said of a wrong one.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_select::concat::concat_batches;
use dataflow_core::{Place, Wanted};

use crate::{InputFile, ReadFormat, Request};

/// A file that is gone when nobody has it any more.
pub(crate) struct Written {
    _folder: tempfile::TempDir,
    pub file: InputFile,
}

/// Writes a file.
pub(crate) fn written(name: &str, bytes: &[u8]) -> Written {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    let mut file = std::fs::File::create(&path).expect("a file");
    file.write_all(bytes).expect("writes");
    let file = InputFile {
        path: path.to_str().expect("a path of text").into(),
        bytes: Some(bytes.len() as u64),
    };
    Written {
        _folder: folder,
        file,
    }
}

/// All rows, `rows` at a time, or what is said.
pub(crate) fn tried(
    format: &dyn ReadFormat,
    written: &Written,
    wanted: Wanted,
    rows: usize,
) -> dataflow_core::Result<RecordBatch> {
    let file = &written.file;
    let inspected = format.inspect(file)?;
    let reading = format.reading(&Request {
        columns: inspected.schema.clone(),
        wanted,
    })?;
    let mut cutter = reading.cutter(file, 0, Place::default())?;
    let mut reader = reading.reader();
    let mut schema = None;
    let (mut batches, mut next) = (Vec::new(), 0);
    while let Some(piece) = cutter.next()? {
        assert_eq!(piece.first.row(), next);
        next += piece.rows.expect("counted");
        reader.open(file, piece)?;
        while let Some(decoded) = reader.next(rows)? {
            for (_, batch) in decoded.batches {
                assert!(batch.len() <= rows);
                schema = Some(batch.rows().schema());
                batches.push(batch.rows().clone());
            }
        }
    }
    let schema = schema.unwrap_or(inspected.schema);
    Ok(concat_batches(&schema, &batches)?)
}

/// All rows of a good file.
pub(crate) fn read(format: &dyn ReadFormat, written: &Written, rows: usize) -> RecordBatch {
    let all = tried(format, written, Wanted::default(), rows).expect("readable");
    if let Some(told) = format.inspect(&written.file).expect("readable").rows {
        assert_eq!(told, all.num_rows() as u64);
    }
    all
}

/// What is said of a file that cannot be read.
pub(crate) fn failure(format: &dyn ReadFormat, written: &Written) -> String {
    let found = tried(format, written, Wanted::default(), 100);
    let error = found.expect_err("it is wrong");
    let help = error.helps().unwrap_or_default();
    format!("{error} | {help}")
}

/// The names of the columns, then the rows.
pub(crate) fn lines(rows: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<ArrayFormatter<'_>> = rows
        .columns()
        .iter()
        .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).expect("printable"))
        .collect();
    let line = |row: usize| {
        let cells: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
        cells.join(" ")
    };
    let schema = rows.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let mut all = vec![names.join(" ")];
    all.extend((0..rows.num_rows()).map(line));
    all
}
