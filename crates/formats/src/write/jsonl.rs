//! Writing JSON lines: an object per row, keys in the order of the columns.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use dataflow_core::Result;
use dataflow_core::saved::{Restored, Save};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Compression;
use super::cells::{Cells, Style, can_write_all, json_text};
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
        let compression = self.compression.unwrap_or(Compression::None);
        let out = TextOutput::new(out, compression)?;
        Ok(Box::new(JsonRows::new(&schema, out)?))
    }

    fn resume(
        &self,
        out: Box<dyn Write + Send>,
        schema: SchemaRef,
        bytes: u64,
        from: &Restored<'_>,
    ) -> Result<Box<dyn RowsWriter>> {
        let compression = self.compression.unwrap_or(Compression::None);
        let out = TextOutput::resume(out, compression, bytes, from)?;
        Ok(Box::new(JsonRows::new(&schema, out)?))
    }
}

struct JsonRows {
    /// Each with the comma before and the colon behind it.
    keys: Vec<Vec<u8>>,
    out: TextOutput,
}

impl JsonRows {
    fn new(schema: &Schema, out: TextOutput) -> Result<Self> {
        can_write_all(schema)?;
        let names = schema.fields().iter().map(|field| field.name());
        let keys = names.enumerate().map(|(i, name)| {
            let mut key = if i > 0 { vec![b','] } else { vec![] };
            json_text(name, &mut key);
            key.push(b':');
            key
        });
        Ok(Self {
            keys: keys.collect(),
            out,
        })
    }
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

    fn save(&mut self, into: &mut dyn Save) -> Result<u64> {
        self.out.save(into)
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
