//! JSON lines: one object per line, its keys are the columns.

pub(crate) mod json;
mod read;
mod sample;
#[cfg(test)]
mod tests;
mod wrong;

use std::io::Cursor;
use std::sync::Arc;

use dataflow_core::units::Bytes as Size;
use dataflow_core::{Decoded, Place, Result, Wanted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::input::{Decoding, TextInput};
use crate::text::{Compression, MAX_RECORD, MAX_TEXT};
use crate::{InputFile, Inspected, ReadFormat, Reading, Request};

/// JSON lines: one object per line (RFC 8259, strict). Blank lines are no rows.
///
/// The keys are the columns; an absent key is null, of a key that comes twice the last value counts, and keys that are
/// no columns are skipped. Nested objects become structs, lists become lists. Without declared types, a column gets the
/// type that fits all values of a sample from the file's head: boolean, int64, float64, date and timestamp (from texts
/// such as `2025-01-31` and `2025-01-31T12:00:00Z`), text; among numbers, the texts `NaN`, `Infinity` and `-Infinity` are
/// float64; where kinds mix, text that holds the value's JSON. A row is
/// bad if the line is not a JSON object, or if a value that is in use does not fit its column; numbers in texts fit
/// columns of numbers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JsonlOptions {
    /// How many rows of a file's head are looked at to find its columns and their types (of 8 MiB at most).
    /// Default: 10,000.
    pub infer_rows: usize,
    /// The longest line. Default: `"64MiB"`. A longer one is an error.
    pub max_record: Size,
    /// The most text in one file, decompressed. Default: `"4TiB"`.
    pub max_text: Size,
    /// How files are compressed. Default: `"auto"`, by content.
    pub compression: Compression,
}

impl Default for JsonlOptions {
    fn default() -> Self {
        Self {
            infer_rows: 10_000,
            max_record: MAX_RECORD,
            max_text: MAX_TEXT,
            compression: Compression::Auto,
        }
    }
}

impl JsonlOptions {
    fn decoding(&self) -> Decoding {
        Decoding {
            compression: self.compression,
            encoding: None,
            limit: self.max_text,
        }
    }
}

/// JSON lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Jsonl {
    /// How they are written.
    pub options: JsonlOptions,
}

impl Jsonl {
    /// With these options.
    pub fn new(options: JsonlOptions) -> Self {
        Self { options }
    }

    /// Reads a whole file from memory: its columns as they are inferred, and all of its rows, `rows` at a time.
    ///
    /// # Errors
    /// As reading a file.
    pub fn read_bytes(&self, bytes: &[u8], rows: usize) -> Result<(Inspected, Vec<Decoded>)> {
        let name: Arc<str> = "memory".into();
        let open = || {
            let bytes = Cursor::new(bytes.to_vec());
            TextInput::new(Box::new(bytes), &name, &self.options.decoding())
        };
        let inspected = sample::inspect(open()?, &self.options)?;
        let request = Request {
            columns: inspected.schema.clone(),
            wanted: Wanted::default(),
        };
        let reading = read::JsonlReading::new(self.options.clone(), &request)?;
        let file = InputFile {
            path: Arc::clone(&name),
            bytes: Some(bytes.len() as u64),
        };
        let cutter = reading.cut(open()?, 0, Place::default(), None);
        let decoded = crate::text::read_all(cutter, &mut *reading.reader(), &file, rows)?;
        Ok((inspected, decoded))
    }
}

impl ReadFormat for Jsonl {
    fn inspect(&self, file: &InputFile) -> Result<Inspected> {
        sample::inspect(
            TextInput::peek(file, &self.options.decoding())?,
            &self.options,
        )
    }

    fn reading(&self, request: &Request) -> Result<Arc<dyn Reading>> {
        Ok(Arc::new(read::JsonlReading::new(
            self.options.clone(),
            request,
        )?))
    }
}

/// The entry for fuzzers: the bytes are read, twice. It must not panic, and both readings must find the same rows.
pub fn fuzz(data: &[u8]) {
    let jsonl = Jsonl::default();
    let counted = |rows| {
        let read = jsonl.read_bytes(data, rows);
        read.ok().map(|(_, parts)| crate::text::count(&parts))
    };
    assert_eq!(counted(1), counted(1000));
}
