//! Reading delimiter-separated text: the cutter that finds each file's columns, and the readers that parse its pieces.

use std::sync::Arc;

use arrow_array::{ArrayRef, new_null_array};
use arrow_schema::{FieldRef, SchemaRef};
use bytes::Bytes;
use dataflow_core::stage::BadRow;
use dataflow_core::{Cutter, Decoded, Error, Piece, Place, Result};

use super::CsvOptions;
use super::cells::{Cells, Grid, Meanings};
use super::head::{Head, TOO_LONG};
use super::shape::Shape;
use crate::columns::{self, Column, Failed, Layout, Style};
use crate::text::cutter::{BLOCK, Cutting, TextCutter, too_long};
use crate::text::input::TextInput;
use crate::text::scan::DelimitedRecords;
use crate::text::{self, quoted, shown};
use crate::{InputFile, PieceReader, Reading, Request};

/// Rows split at a time, so that where their fields stand stays in the cache.
const CHUNK: usize = 1024;

/// What all cutters and readers of a source share.
struct Shared {
    options: CsvOptions,
    /// The wanted columns.
    schema: SchemaRef,
    /// The times written in other ways, in their order.
    layouts: Vec<Option<Layout>>,
    rows: Option<u64>,
}

impl Shared {
    fn columns(&self) -> Result<Vec<Box<dyn Column>>> {
        let fields = self.schema.fields().iter().zip(&self.layouts);
        let column = |(field, layout): (&FieldRef, &Option<Layout>)| {
            let style = Style {
                comma: self.options.comma(),
                layout: layout.as_ref(),
                nested: false,
            };
            columns::column(field, style)
        };
        fields.map(column).collect()
    }
}

/// Prepared reading of delimiter-separated files.
pub(super) struct CsvReading {
    shared: Arc<Shared>,
}

impl CsvReading {
    pub(super) fn new(options: CsvOptions, request: &Request) -> Result<Self> {
        let schema = text::wanted(request);
        let mut layouts = options.layouts()?;
        let shared = Shared {
            rows: request.wanted.rows,
            layouts: schema
                .fields()
                .iter()
                .map(|field| layouts.remove(field.name()))
                .collect(),
            schema,
            options,
        };
        shared.columns()?;
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
    ) -> Result<Box<dyn Cutter>> {
        let head = Head::read(input, &self.shared.options)?;
        let how = Cutting {
            split,
            first,
            block: block.unwrap_or(BLOCK),
            max_record: self.shared.options.max_record,
            too_long: TOO_LONG,
            rows: self.shared.rows,
            row_bytes: text::row_bytes(&self.shared.schema),
            prefix: self.shape(&head)?.write(),
        };
        let records = DelimitedRecords::new(head.meanings.dialect);
        Ok(Box::new(TextCutter::new(
            head.input, records, head.begun, how,
        )))
    }

    fn shape(&self, head: &Head) -> Result<Shape> {
        let place = |field: &FieldRef| {
            let at = head.names.iter().position(|name| name == field.name());
            match at {
                None if !field.is_nullable() && !head.names.is_empty() => {
                    Err(missing(field.name(), head))
                }
                at => Ok(at.map(|at| at as u32)),
            }
        };
        Ok(Shape {
            delimiter: head.meanings.dialect.delimiter,
            fields: head.names.len() as u32,
            columns: self
                .shared
                .schema
                .fields()
                .iter()
                .map(place)
                .collect::<Result<_>>()?,
        })
    }
}

fn missing(name: &str, head: &Head) -> Error {
    let names: Vec<String> = head.names.iter().map(|name| format!("`{name}`")).collect();
    Error::data(format!("the file has no column `{name}`"))
        .file(&**head.input.name())
        .help(format!(
            "its columns are {}; where a column may be absent, declare it `optional = true`",
            names.join(", ")
        ))
}

impl Reading for CsvReading {
    fn cutter(&self, file: &InputFile, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        let input = TextInput::open(file, &self.shared.options.decoding())?;
        let block = text::block(file, &input);
        self.cut(input, split, first, block)
    }

    fn reader(&self) -> Box<dyn PieceReader> {
        Box::new(CsvReader {
            meanings: self.shared.options.meanings(b','),
            shared: Arc::clone(&self.shared),
            shape: Shape::default(),
            written_shape: Vec::new(),
            columns: Vec::new(),
            grid: Grid::default(),
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
    /// The place of the next record.
    next: Place,
    /// Whether all of it is UTF-8.
    valid: bool,
}

/// Parses pieces of delimiter-separated text.
struct CsvReader {
    shared: Arc<Shared>,
    shape: Shape,
    /// The shape as it stood in front of the last piece.
    written_shape: Vec<u8>,
    meanings: Meanings,
    columns: Vec<Box<dyn Column>>,
    grid: Grid,
    piece: Option<Open>,
}

/// Rows collected for a batch.
#[derive(Default)]
struct Taken {
    /// Their places.
    places: Vec<u64>,
    /// Those that failed, by their index.
    failed: Vec<usize>,
    bad: Vec<BadRow>,
}

impl PieceReader for CsvReader {
    fn open(&mut self, file: &InputFile, piece: Piece) -> Result<()> {
        let no_text = || Error::internal("a piece of a text file came without its text");
        let text = piece.text.ok_or_else(no_text)?;
        if self.written_shape.is_empty() || !text.starts_with(&self.written_shape) {
            let (shape, length) = Shape::read(&text).ok_or_else(no_text)?;
            self.written_shape = text[..length].to_vec();
            self.meanings = self.shared.options.meanings(shape.delimiter);
            self.shape = shape;
        }
        if self.columns.is_empty() {
            self.columns = self.shared.columns()?;
        }
        let text = text.slice(self.written_shape.len()..);
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
        let Some(mut piece) = self.piece.take() else {
            return Ok(None);
        };
        let mut taken = Taken::default();
        let mut records = 0;
        while records < rows && piece.at < piece.text.len() {
            let limit = CHUNK.min(rows - records);
            records += self.chunk(&mut piece, limit, &mut taken)?;
        }
        self.piece = Some(piece);
        if records == 0 {
            return Ok(None);
        }
        taken.bad.sort_by_key(|bad| bad.place);
        let mut decoded = Decoded {
            batches: Vec::new(),
            bad: taken.bad,
        };
        let columns = self.finish(taken.places.len())?;
        if taken.failed.len() < taken.places.len() {
            let batch = text::batch(&self.shared.schema, columns, taken.places, &taken.failed)?;
            decoded.batches.push((0, batch));
        }
        Ok(Some(decoded))
    }
}

impl CsvReader {
    /// Splits and parses some records; how many.
    fn chunk(&mut self, piece: &mut Open, limit: usize, taken: &mut Taken) -> Result<usize> {
        let from = piece.at;
        let dialect = &self.meanings.dialect;
        piece.at = self.grid.split(
            &piece.text,
            from,
            limit,
            self.shape.fields as usize,
            dialect,
        );
        let first = piece.next;
        piece.next = Place(first.0 + self.grid.records() as u64);
        if (piece.at - from) as u64 > self.shared.options.max_record.0 {
            self.check_lengths(piece, first)?;
        }
        let cells = Cells {
            text: &piece.text,
            grid: &self.grid,
            meanings: &self.meanings,
            valid: piece.valid,
        };
        let before = taken.places.len();
        let places = (0..cells.rows()).map(|row| first.0 + u64::from(cells.record(row)));
        taken.places.extend(places);
        let mut wrong = Vec::new();
        let fields = self.shared.schema.fields();
        for (i, (column, at)) in self.columns.iter_mut().zip(&self.shape.columns).enumerate() {
            if let Some(at) = at {
                let mut failed = Failed {
                    nullable: fields[i].is_nullable(),
                    ..Failed::default()
                };
                column.cells(&cells, *at as usize, &mut failed);
                wrong.extend(
                    failed
                        .rows
                        .into_iter()
                        .map(|(row, reason)| (row, i, reason)),
                );
            }
        }
        wrong.sort_unstable();
        wrong.dedup_by_key(|(row, ..)| *row);
        for (row, column, reason) in wrong {
            taken.failed.push(before + row);
            let place = Place(taken.places[before + row]);
            taken.bad.push(self.bad(&cells, row, column, reason, place));
        }
        self.odd_rows(&piece.text, first, taken);
        Ok(self.grid.records())
    }

    /// The sentence about a row whose value does not fit.
    fn bad(
        &self,
        cells: &Cells<'_>,
        row: usize,
        column: usize,
        reason: &'static str,
        place: Place,
    ) -> BadRow {
        let name = self.shared.schema.field(column).name();
        let at = self.shape.columns[column].unwrap_or_default() as usize;
        let value = quoted(cells.field(row, at));
        let message = match reason {
            "null" => format!("column `{name}` is empty, and must not be"),
            "quotes" => format!(
                "{value} in column `{name}` has a quote that is not closed, or text behind its closing quote"
            ),
            "utf8" => format!(
                "{value} in column `{name}` is not UTF-8; if the file is in another encoding, say so: encoding = \"latin1\""
            ),
            _ => format!(
                "{value} in column `{name}` is not {}{}",
                self.columns[column].expected(),
                text::declare(name, &self.shared.schema, self.shared.options.infer_rows)
            ),
        };
        BadRow {
            time: None,
            place: Some(place),
            index: None,
            reason,
            message,
            data: shown(cells.line(row)),
        }
    }

    fn odd_rows(&self, text: &[u8], first: Place, taken: &mut Taken) {
        let plural = |n: u32| if n == 1 { "" } else { "s" };
        for odd in &self.grid.odd {
            let (found, expected) = (odd.fields, self.shape.fields);
            taken.bad.push(BadRow {
                time: None,
                place: Some(Place(first.0 + u64::from(odd.record))),
                index: None,
                reason: "fields",
                message: format!(
                    "the row has {found} field{}, but there are {expected} column{}",
                    plural(found),
                    plural(expected)
                ),
                data: shown(&text[odd.start as usize..odd.end as usize]),
            });
        }
    }

    /// The cutter finds long records only while they are unfinished; this one finds them wherever the cuts were.
    fn check_lengths(&self, piece: &Open, first: Place) -> Result<()> {
        let limit = self.shared.options.max_record;
        match self.grid.longer_than(limit.0) {
            Some((record, start)) => {
                let row = first.row() + u64::from(record);
                let byte = piece.start + u64::from(start);
                Err(too_long(limit, row, byte, TOO_LONG).file(&*piece.file))
            }
            None => Ok(()),
        }
    }

    /// The arrays of all columns; those that the file does not have are null.
    fn finish(&mut self, rows: usize) -> Result<Vec<ArrayRef>> {
        let fields = self.shared.schema.fields();
        let columns = self.columns.iter_mut().zip(&self.shape.columns).zip(fields);
        columns
            .map(|((column, at), field)| match at {
                Some(_) => column.finish(),
                None => Ok(new_null_array(field.data_type(), rows)),
            })
            .collect()
    }
}
