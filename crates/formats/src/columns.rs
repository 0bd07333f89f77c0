//! Column builders: values read from text or JSON become Arrow arrays, one builder per column in use.

mod moment;
mod nested;
mod numbers;
mod primitive;
mod strings;
mod times;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field};
use dataflow_core::{Error, Result};

use crate::csv::cells::{Cell, Cells};
use crate::jsonl::json::{Json, Wrong};

pub(crate) use moment::{Moment, moment};
pub(crate) use nested::Object;
pub(crate) use numbers::{fits_integer, float_like};
pub(crate) use times::{Layout, counted, local_offset, timestamp_fits};

/// The zone of event time.
pub(crate) const UTC: &str = "UTC";

/// Collects the values of one column. After a failed `push` or `json` the column may be one value short or long until it
/// is truncated or given its null.
pub(crate) trait Column: Send {
    /// Values so far.
    fn len(&self) -> usize;

    /// Adds the value that stands for no value.
    fn null(&mut self);

    /// Adds the value of a text whose quotes and escapes are undone; false if it is none, and then nothing is added.
    /// Text columns take valid UTF-8 only; the caller has checked.
    fn push(&mut self, text: &[u8]) -> bool;

    /// Goes back to `rows` values, also inside.
    fn truncate(&mut self, rows: usize);

    /// Whether the last value is null.
    fn ends_in_null(&self) -> bool;

    /// Hands the values over and starts again.
    fn finish(&mut self) -> Result<ArrayRef>;

    /// The reason of a bad row whose value does not fit.
    fn reason(&self) -> &'static str;

    /// What a value should be: `an int64`.
    fn expected(&self) -> String;

    /// Whether any text is a value.
    fn is_text(&self) -> bool {
        false
    }

    /// Adds a JSON value.
    fn json(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        match json.peek() {
            b'"' => {
                let text = json.string()?;
                if self.push(json.text(&text)) {
                    return Ok(());
                }
                let shown = json.text(&text).to_vec();
                Err(Wrong::value(self.reason(), &shown, self.expected()))
            }
            b'n' => {
                json.literal("null")?;
                self.null();
                Ok(())
            }
            _ => {
                let raw = json.raw()?;
                if self.push(raw) {
                    return Ok(());
                }
                Err(Wrong::value(self.reason(), raw, self.expected()))
            }
        }
    }

    /// Adds a column of CSV fields; where one is no value, notes that and adds null.
    fn cells(&mut self, cells: &Cells<'_>, field: usize, failed: &mut Failed) {
        let quick = cells.quick(self.is_text());
        for row in 0..cells.rows() {
            let raw = cells.field(row, field);
            if let Some(text) = quick.value(raw)
                && self.push(text)
            {
                continue;
            }
            if let Err(reason) = self.cell(cells, raw, failed) {
                failed.rows.push((row, reason));
                self.null();
            }
        }
    }

    /// Adds one CSV field; the reason if it is no value.
    #[cold]
    fn cell(
        &mut self,
        cells: &Cells<'_>,
        raw: &[u8],
        failed: &mut Failed,
    ) -> Result<(), &'static str> {
        match cells.meaning(raw, self.is_text(), &mut failed.scratch)? {
            Cell::Null if failed.nullable => self.null(),
            Cell::Null => return Err("null"),
            Cell::Text(text) => {
                if self.is_text() && !cells.valid && simdutf8::basic::from_utf8(text).is_err() {
                    return Err("utf8");
                }
                if !self.push(text) {
                    return Err(self.reason());
                }
            }
        }
        Ok(())
    }
}

/// Rows whose field in the column at hand is no value.
#[derive(Default)]
pub(crate) struct Failed {
    /// Whether null is a value.
    pub(crate) nullable: bool,
    /// The rows and the reasons.
    pub(crate) rows: Vec<(usize, &'static str)>,
    /// For fields whose quotes are undone.
    pub(crate) scratch: Vec<u8>,
}

/// What a column maker may do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style<'a> {
    /// The decimal mark.
    pub(crate) comma: bool,
    /// How times are written, if not in one of the usual ways.
    pub(crate) layout: Option<&'a Layout>,
    /// Structs and lists are possible.
    pub(crate) nested: bool,
}

/// A builder for a column.
///
/// # Errors
/// When the format cannot make that type.
pub(crate) fn column(field: &Field, style: Style<'_>) -> Result<Box<dyn Column>> {
    let made = numbers::column(field.data_type(), style)
        .or_else(|| times::column(field.data_type(), style))
        .or_else(|| strings::column(field.data_type()));
    match made {
        Some(column) => Ok(column),
        None if style.nested => nested::column(field, style),
        None => Err(unsupported(field)),
    }
}

fn unsupported(field: &Field) -> Error {
    let kind = match field.data_type() {
        DataType::Timestamp(_, Some(zone)) => format!("a time in the zone `{zone}`"),
        other => format!("the type {other}"),
    };
    Error::new(
        dataflow_core::error::Fault::Pipeline,
        format!("column `{}`: {kind} cannot be read from text", field.name()),
    )
    .help("read it as text and convert it with an expression")
}
