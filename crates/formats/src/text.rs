//! What all text formats share: opening, decompressing, decoding, and cutting text at record ends.

pub(crate) mod cutter;
pub(crate) mod input;
pub(crate) mod masks;
pub(crate) mod options;
pub(crate) mod scan;

#[cfg(test)]
pub(crate) mod tests;

pub use options::{Character, Compression, Encoding, Quote};

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_buffer::BooleanBufferBuilder;
use arrow_schema::{FieldRef, Schema, SchemaRef};
use dataflow_core::units::Bytes;
use dataflow_core::{Batch, Place, Places};

use crate::DECLARED;

/// The longest record unless an option says otherwise: the guard against an unclosed quote that swallows a file.
pub(crate) const MAX_RECORD: Bytes = Bytes(64 << 20);

/// The most text that one file may decompress to unless an option says otherwise.
pub(crate) const MAX_TEXT: Bytes = Bytes(4 << 40);

/// Text as a person should see it in a message or an `errors` row: at most 64 KiB, with a word on what was left out.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 64 << 10;
    match bytes.get(..MOST) {
        Some(head) if bytes.len() > MOST => format!(
            "{}... ({} bytes)",
            String::from_utf8_lossy(head),
            bytes.len()
        ),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// A value as it is quoted in a message: short.
pub fn quoted(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MOST)]);
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("`{}...`", &text[..at]),
        None => format!("`{text}`"),
    }
}

/// What to do when a value does not fit the type of its column: the end of a sentence. Nothing, if the type was declared.
pub(crate) fn declare(column: &str, schema: &Schema, infer_rows: usize) -> String {
    let field = schema.field_with_name(column);
    if field.is_ok_and(|field| field.metadata().contains_key(DECLARED)) {
        return String::new();
    }
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let key = if !column.is_empty() && column.chars().all(bare) {
        column.to_string()
    } else {
        format!("{column:?}")
    };
    format!(
        "; if that type was inferred from the first {infer_rows} rows, declare another: columns.{key} = {{ type = \"text\" }}"
    )
}

/// The columns that are wanted, in the order of the request.
pub(crate) fn wanted(request: &crate::Request) -> SchemaRef {
    let columns = &request.columns;
    let Some(wanted) = &request.wanted.columns else {
        return Arc::clone(columns);
    };
    let fields = columns.fields().iter();
    let fields: Vec<_> = fields
        .filter(|field| wanted.contains(field.name()))
        .cloned()
        .collect();
    Arc::new(Schema::new_with_metadata(
        fields,
        columns.metadata().clone(),
    ))
}

/// The size of pieces, if other than usual: small files need no large buffer.
pub(crate) fn block(file: &crate::InputFile, input: &input::TextInput) -> Option<usize> {
    if input.is_compressed() {
        return None;
    }
    let bytes = usize::try_from(file.bytes?).ok()?;
    (bytes < cutter::BLOCK).then_some(bytes.max(4 << 10) + 1)
}

/// About how many bytes a decoded row needs beside its text.
pub(crate) fn row_bytes(schema: &Schema) -> usize {
    let width = |field: &FieldRef| field.data_type().primitive_width().unwrap_or(8) + 1;
    schema.fields().iter().map(width).sum()
}

/// Takes the rows at `failed` (ascending) out of finished columns and makes the rest a batch.
///
/// # Errors
/// When Arrow refuses.
pub(crate) fn batch(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    mut places: Vec<u64>,
    failed: &[usize],
) -> dataflow_core::Result<Batch> {
    let mut columns = columns;
    if !failed.is_empty() {
        let mut keep = BooleanBufferBuilder::new(places.len());
        keep.append_n(places.len(), true);
        failed.iter().for_each(|row| keep.set_bit(*row, false));
        let keep = BooleanArray::new(keep.finish(), None);
        for column in &mut columns {
            *column = arrow_select::filter::filter(column, &keep)?;
        }
        places = (0..places.len())
            .filter(|row| keep.value(*row))
            .map(|row| places[row])
            .collect();
    }
    let rows = places.len();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
    let (first, last) = (places.first().copied(), places.last().copied());
    let places = match (first, last) {
        (Some(first), Some(last)) if last - first + 1 != rows as u64 => Places::Each(places.into()),
        (first, _) => Places::From(Place(first.unwrap_or_default())),
    };
    Ok(Batch::new(batch).with_places(places))
}

/// Reads everything that a cutter cuts, `rows` rows at a time.
///
/// # Errors
/// As cutting and reading.
pub(crate) fn read_all(
    mut cutter: Box<dyn dataflow_core::Cutter>,
    reader: &mut dyn crate::PieceReader,
    file: &crate::InputFile,
    rows: usize,
) -> dataflow_core::Result<Vec<dataflow_core::Decoded>> {
    let mut all = Vec::new();
    while let Some(piece) = cutter.next()? {
        reader.open(file, piece)?;
        while let Some(decoded) = reader.next(rows)? {
            all.push(decoded);
        }
    }
    Ok(all)
}

/// Good rows and bad ones.
pub(crate) fn count(parts: &[dataflow_core::Decoded]) -> (usize, usize) {
    let good = parts.iter().flat_map(|part| &part.batches);
    let bad = parts.iter().map(|part| part.bad.len());
    (good.map(|(_, batch)| batch.len()).sum(), bad.sum())
}
