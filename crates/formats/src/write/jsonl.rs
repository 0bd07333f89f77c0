//! Writing JSON lines: an object per row, keys in the order of the columns.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use dataflow_core::Result;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Compression;
use super::cells::{Cells, Style, can_write, json_text};
use super::output::TextOutput;
use crate::{RowsWriter, WriteFormat};

/// JSON lines.
///
/// Floats are written with the fewest digits that read back the same; what JSON has no number for becomes the text `"NaN"`,
/// `"Infinity"` or `"-Infinity"`, as in the JSON mapping of Protocol Buffers. Times are RFC 3339, bytes are hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Jsonl {
    /// How the file is compressed. Default: as the path's extension says (`.gz`, `.zst`).
    pub compression: Option<Compression>,
}

impl WriteFormat for Jsonl {
    fn begin(&self, out: Box<dyn Write + Send>, schema: SchemaRef) -> Result<Box<dyn RowsWriter>> {
        let mut keys = Vec::with_capacity(schema.fields().len());
        for (i, field) in schema.fields().iter().enumerate() {
            can_write(field.data_type()).map_err(|e| {
                let name = field.name();
                e.help(format!("column `{name}`: leave it out with a `select`"))
            })?;
            let mut key = if i > 0 { vec![b','] } else { vec![] };
            json_text(field.name(), &mut key);
            key.push(b':');
            keys.push(key);
        }
        Ok(Box::new(JsonRows {
            keys,
            out: TextOutput::new(out, self.compression.unwrap_or(Compression::None))?,
        }))
    }
}

struct JsonRows {
    /// Each with the comma before and the colon behind it.
    keys: Vec<Vec<u8>>,
    out: TextOutput,
}

impl RowsWriter for JsonRows {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let columns = rows
            .columns()
            .iter()
            .map(|column| Cells::new(column.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        for row in 0..rows.num_rows() {
            let out = self.out.text();
            out.push(b'{');
            for (key, cells) in self.keys.iter().zip(&columns) {
                out.extend_from_slice(key);
                cells.write(row, Style::Json, out);
            }
            out.extend_from_slice(b"}\n");
            self.out.pass_on()?;
        }
        self.out.pass_on_plain()
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn Write + Send>> {
        self.out.finish()
    }

    fn bytes(&self) -> u64 {
        self.out.bytes()
    }

    fn memory(&self) -> usize {
        self.out.memory()
    }
}
