//! Writing CSV (RFC 4180, with `\n`): fields are quoted only where they must be.

use std::borrow::Cow;
use std::io::Write;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use dataflow_core::Result;
use dataflow_core::saved::{Restored, Save};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::Compression;
use super::cells::{Cells, Style, can_write_all};
use super::output::TextOutput;
use crate::{RowsWriter, WriteFormat};

/// Comma-separated values.
///
/// Floats are written with the fewest digits that read back the same, times as RFC 3339, nested values as JSON. Text that
/// could be taken for a null is quoted.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Csv {
    /// What stands between fields: one ASCII character. Default `","`.
    pub delimiter: Delimiter,
    /// Whether the first line has the columns' names. Default `true`.
    pub header: bool,
    /// What stands for a null. Default: nothing.
    pub null: String,
    /// How the file is compressed. Default: as the path's extension says (`.gz`, `.zst`).
    pub compression: Option<Compression>,
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            delimiter: Delimiter(b','),
            header: true,
            null: String::new(),
            compression: None,
        }
    }
}

/// A character between fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimiter(pub u8);

impl<'de> Deserialize<'de> for Delimiter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(Self(*byte)),
            _ => Err(de::Error::custom(format!(
                "`{text}` cannot stand between fields: write one ASCII character, such as \",\", \";\" or \"\\t\""
            ))),
        }
    }
}

impl JsonSchema for Delimiter {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Delimiter".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "minLength": 1, "maxLength": 1 })
    }
}

impl Csv {
    /// The line with the names, without its end.
    pub fn header_line(&self, schema: &SchemaRef) -> Vec<u8> {
        let mut line = Vec::new();
        for (i, field) in schema.fields().iter().enumerate() {
            if i > 0 {
                line.push(self.delimiter.0);
            }
            let start = line.len();
            line.extend_from_slice(field.name().as_bytes());
            self.quote(start, &mut line);
        }
        line
    }

    /// Quotes the field that starts at `start`, if it must be.
    fn quote(&self, start: usize, line: &mut Vec<u8>) {
        let field = &line[start..];
        let special = |byte: &u8| matches!(byte, b'"' | b'\n' | b'\r') || *byte == self.delimiter.0;
        if field != self.null.as_bytes() && !field.is_empty() && !field.iter().any(special) {
            return;
        }
        let field = field.to_vec();
        line.truncate(start);
        line.push(b'"');
        for byte in field {
            if byte == b'"' {
                line.push(b'"');
            }
            line.push(byte);
        }
        line.push(b'"');
    }

    fn row(&self, columns: &[(Cells<'_>, bool)], row: usize, out: &mut Vec<u8>) {
        let line = out.len();
        for (i, (cells, may_need_quotes)) in columns.iter().enumerate() {
            if i > 0 {
                out.push(self.delimiter.0);
            }
            if cells.is_null(row) {
                out.extend_from_slice(self.null.as_bytes());
                continue;
            }
            let start = out.len();
            cells.write(row, Style::Plain, out);
            if *may_need_quotes {
                self.quote(start, out);
            }
        }
        if out.len() == line {
            // An empty line would be skipped by most readers, and the row with it.
            out.extend_from_slice(b"\"\"");
        }
        out.push(b'\n');
    }

    /// Whether a type's values could need quotes with this delimiter.
    fn may_need_quotes(&self, data_type: &arrow_schema::DataType) -> bool {
        let numbers = data_type.is_numeric() || data_type.is_temporal();
        let in_numbers = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.:".contains(&byte);
        !numbers || in_numbers(self.delimiter.0) || !self.null.is_empty()
    }
}

impl WriteFormat for Csv {
    fn begin(&self, out: Box<dyn Write + Send>, schema: SchemaRef) -> Result<Box<dyn RowsWriter>> {
        can_write_all(&schema)?;
        let mut out = TextOutput::new(out, self.compression.unwrap_or(Compression::None))?;
        if self.header {
            let line = self.header_line(&schema);
            out.text().extend_from_slice(&line);
            out.text().push(b'\n');
        }
        Ok(self.rows(out))
    }

    fn resume(
        &self,
        out: Box<dyn Write + Send>,
        schema: SchemaRef,
        bytes: u64,
        from: &Restored<'_>,
    ) -> Result<Box<dyn RowsWriter>> {
        can_write_all(&schema)?;
        let compression = self.compression.unwrap_or(Compression::None);
        Ok(self.rows(TextOutput::resume(out, compression, bytes, from)?))
    }
}

impl Csv {
    fn rows(&self, out: TextOutput) -> Box<dyn RowsWriter> {
        let format = self.clone();
        Box::new(CsvRows { format, out })
    }
}

struct CsvRows {
    format: Csv,
    out: TextOutput,
}

impl RowsWriter for CsvRows {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let columns = rows
            .columns()
            .iter()
            .map(|column| {
                let quotes = self.format.may_need_quotes(column.data_type());
                Ok((Cells::new(column.as_ref())?, quotes))
            })
            .collect::<Result<Vec<_>>>()?;
        for row in 0..rows.num_rows() {
            self.format.row(&columns, row, self.out.text());
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
