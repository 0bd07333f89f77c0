//! Reading JSON lines: cutting at line ends, and parsing lines straight into column builders.

use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use bytes::Bytes;
use dataflow_core::stage::BadRow;
use dataflow_core::{Cutter, Decoded, Error, Piece, Place, Result};

use super::JsonlOptions;
use super::json::{Json, Wrong};
use crate::columns::{Object, Style};
use crate::convert::settled;
use crate::text::cutter::{BLOCK, Begun, Cutting, TextCutter, too_long};
use crate::text::input::TextInput;
use crate::text::scan::LineRecords;
use crate::text::{self, shown};
use crate::{InputFile, PieceReader, Reading, Request};

const TOO_LONG: &str =
    "each line should be one object; if lines are really so long, raise `max_record`";

/// What all cutters and readers of a source share.
struct Shared {
    options: JsonlOptions,
    /// The wanted columns.
    schema: SchemaRef,
    rows: Option<u64>,
}

impl Shared {
    fn object(&self) -> Result<Object> {
        let style = Style {
            nested: true,
            ..Style::default()
        };
        Object::new(self.schema.fields(), style)
    }
}

/// The columns, with text where no value has told the type.
fn settled_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields = fields.map(|f| Field::clone(f).with_data_type(settled(f.data_type())));
    let fields: Vec<Field> = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Prepared reading of JSON lines.
pub(super) struct JsonlReading {
    shared: Arc<Shared>,
}

impl JsonlReading {
    pub(super) fn new(options: JsonlOptions, request: &Request) -> Result<Self> {
        let shared = Shared {
            options,
            schema: settled_schema(&text::wanted(request)),
            rows: request.wanted.rows,
        };
        shared.object()?;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Cuts a text; `block` is about the size of a piece.
    pub(super) fn cut(
        &self,
        input: TextInput,
        split: usize,
        first: Place,
        block: Option<usize>,
    ) -> Box<dyn Cutter> {
        let how = Cutting {
            split,
            first,
            block: block.unwrap_or(BLOCK),
            max_record: self.shared.options.max_record,
            too_long: TOO_LONG,
            rows: self.shared.rows,
            row_bytes: text::row_bytes(&self.shared.schema),
            prefix: Vec::new(),
        };
        let records = LineRecords::default();
        Box::new(TextCutter::new(input, records, Begun::default(), how))
    }
}

impl Reading for JsonlReading {
    fn cutter(&self, file: &InputFile, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        let input = TextInput::open(file, &self.shared.options.decoding())?;
        let block = text::block(file, &input);
        Ok(self.cut(input, split, first, block))
    }

    fn reader(&self) -> Box<dyn PieceReader> {
        Box::new(JsonlReader {
            shared: Arc::clone(&self.shared),
            object: None,
            scratch: Vec::new(),
            piece: None,
        })
    }
}

/// The piece at hand.
struct Open {
    file: Arc<str>,
    text: Bytes,
    /// The byte of the file's text at which the piece starts.
    start: u64,
    /// How far the piece was read.
    at: usize,
    /// The place of the next row.
    next: Place,
    /// Whether all of it is UTF-8.
    valid: bool,
}

/// Parses pieces of JSON lines.
struct JsonlReader {
    shared: Arc<Shared>,
    object: Option<Object>,
    scratch: Vec<u8>,
    piece: Option<Open>,
}

impl PieceReader for JsonlReader {
    fn open(&mut self, file: &InputFile, piece: Piece) -> Result<()> {
        let no_text = || Error::internal("a piece of a text file came without its text");
        let text = piece.text.ok_or_else(no_text)?;
        self.piece = Some(Open {
            file: Arc::clone(&file.path),
            valid: simdutf8::basic::from_utf8(&text).is_ok(),
            start: piece.start,
            at: 0,
            next: piece.first,
            text,
        });
        Ok(())
    }

    fn next(&mut self, rows: usize) -> Result<Option<Decoded>> {
        let Some(piece) = &mut self.piece else {
            return Ok(None);
        };
        let mut object = match self.object.take() {
            Some(object) => object,
            None => self.shared.object()?,
        };
        let valid = piece.valid;
        let mut places = Vec::new();
        let mut decoded = Decoded::default();
        while places.len() + decoded.bad.len() < rows {
            let Some(line) = piece.line(&self.shared.options)? else {
                break;
            };
            let parsed = read_line(line.text, valid, &mut object, &mut self.scratch);
            match parsed {
                Ok(()) => places.push(line.place.0),
                Err(wrong) => {
                    object.truncate(places.len());
                    let Shared {
                        schema, options, ..
                    } = &*self.shared;
                    decoded.bad.push(bad(&wrong, &line, schema, options));
                }
            }
        }
        if !places.is_empty() {
            let batch = text::batch(&self.shared.schema, object.finish()?, places, &[])?;
            decoded.batches.push((0, batch));
        }
        self.object = Some(object);
        let nothing = decoded.batches.is_empty() && decoded.bad.is_empty();
        Ok((!nothing).then_some(decoded))
    }
}

/// A line and its place.
struct Line<'a> {
    text: &'a [u8],
    place: Place,
}

impl Open {
    /// The next line that is not blank.
    fn line(&mut self, options: &JsonlOptions) -> Result<Option<Line<'_>>> {
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let start = self.at;
            self.at = (start + end + 1).min(self.text.len());
            let line = &self.text[start..start + end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r')) {
                continue;
            }
            let place = self.next;
            self.next = Place(place.0 + 1);
            if line.len() as u64 > options.max_record.0 {
                let byte = self.start + start as u64;
                let error = too_long(options.max_record, place.row(), byte, TOO_LONG);
                return Err(error.file(&*self.file));
            }
            return Ok(Some(Line { text: line, place }));
        }
        Ok(None)
    }
}

fn read_line(
    line: &[u8],
    valid: bool,
    object: &mut Object,
    scratch: &mut Vec<u8>,
) -> Result<(), Wrong> {
    if !valid && simdutf8::basic::from_utf8(line).is_err() {
        return Err(Wrong::value("utf8", line, "UTF-8".to_string()));
    }
    let mut json = Json::new(line, scratch).at_object()?;
    object.json(&mut json)?;
    json.end()
}

fn bad(wrong: &Wrong, line: &Line<'_>, schema: &Schema, options: &JsonlOptions) -> BadRow {
    let rows = options.infer_rows;
    let declare = wrong.column().map(|c| text::declare(c, schema, rows));
    let message = wrong.message() + &declare.unwrap_or_default();
    BadRow {
        time: None,
        place: Some(line.place),
        index: None,
        reason: wrong.reason(),
        message,
        data: shown(line.text),
    }
}
