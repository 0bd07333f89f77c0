//! Comma-separated values and their relatives: text with one record per line, fields between delimiters.

pub(crate) mod cells;
mod head;
mod read;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use dataflow_core::error::Fault;
use dataflow_core::units::Bytes as Size;
use dataflow_core::{Decoded, Error, Place, Result, Wanted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::cells::Meanings;
use crate::columns::Layout;
use crate::text::input::{Decoding, TextInput};
use crate::text::scan::Dialect;
use crate::text::{Character, Compression, Encoding, MAX_RECORD, MAX_TEXT, Quote};
use crate::{InputFile, Inspected, ReadFormat, Reading, Request};

/// Comma-separated values and their relatives (RFC 4180).
///
/// Quotes count only where a field starts; inside, a doubled quote is one. Blank lines and comments are no rows. Numbers,
/// times and booleans may have blanks around them. Without declared types, each column gets the narrowest of int64,
/// float64, boolean, date, timestamp (nanoseconds; UTC if the texts say so) and text that fits all values of a sample
/// from the file's head. A row is bad if it has another number of fields than the header, or if a value that is in use
/// does not fit its column.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CsvOptions {
    /// Whether the first record holds the names of the columns. Default: true, but false where `names` gives them. Without
    /// either, they are called `column_1` and so on. A name that comes twice gets a number: `x`, `x_2`; one that is empty is
    /// called `column_1` after its position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// The names of the columns, one for each. A first record that holds other names is a row, unless `header = true` is
    /// written: then it is left out.
    pub names: Vec<String>,
    /// The character between fields. Default: a tab in `.tsv` files; else whichever of `,`, `;`, tab and `|` splits the
    /// first rows evenly, and a comma if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Character>,
    /// The character around fields that hold delimiters, quotes or line ends; `""` for none. Default: `"`.
    pub quote: Quote,
    /// A character that, inside quotes, makes the next one an ordinary one. Default: none. Doubled quotes are understood
    /// in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escape: Option<Character>,
    /// Lines that start with this character are skipped. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<Character>,
    /// Fields that mean null when they stand there without quotes. Default: `[""]`, the empty field. In columns that are
    /// not text, quoted ones mean null too.
    pub null: Vec<String>,
    /// Whether blanks around fields and quotes are dropped, also in text columns. Default: false.
    pub trim: bool,
    /// The decimal mark: `.` or `,`. Default: `.`.
    pub decimal: Character,
    /// How times are written in columns where they are not like `2025-01-31T12:00:00Z`, in the notation of `strftime`:
    /// `{ when = "%d.%m.%Y %H:%M" }`. Default: none.
    pub time_formats: BTreeMap<String, String>,
    /// The character encoding, such as `"latin1"` or `"utf-16"`. Default: UTF-8, or what a byte-order mark says. Bytes that
    /// are not in the encoding make a bad row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Lines to skip before the header, whatever they hold. Default: 0.
    pub skip_rows: u64,
    /// How many rows of a file's head are looked at to find the types of its columns (of 8 MiB at most). Default: 10,000.
    pub infer_rows: usize,
    /// The longest record, at most 1 GiB. Default: `"64MiB"`. A longer one is an error: mostly a quote that is not closed.
    pub max_record: Size,
    /// The most text in one file, decompressed. Default: `"4TiB"`.
    pub max_text: Size,
    /// How files are compressed. Default: `"auto"`, by content.
    pub compression: Compression,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            header: None,
            names: Vec::new(),
            delimiter: None,
            quote: Quote::default(),
            escape: None,
            comment: None,
            null: vec![String::new()],
            trim: false,
            decimal: Character::DOT,
            time_formats: BTreeMap::new(),
            encoding: None,
            skip_rows: 0,
            infer_rows: 10_000,
            max_record: MAX_RECORD,
            max_text: MAX_TEXT,
            compression: Compression::Auto,
        }
    }
}

/// The most that positions in a piece can count.
const MOST_RECORD: Size = Size(1 << 30);

impl CsvOptions {
    fn decoding(&self) -> Decoding {
        Decoding {
            compression: self.compression,
            encoding: self.encoding,
            limit: self.max_text,
        }
    }

    fn meanings(&self, delimiter: u8) -> Meanings {
        let byte = |character: Option<Character>| character.map(Character::byte);
        let quote = byte(self.quote.0);
        Meanings {
            dialect: Dialect {
                delimiter,
                quote,
                escape: byte(self.escape).filter(|escape| Some(*escape) != quote),
                comment: byte(self.comment),
                trim: self.trim,
            },
            nulls: self
                .null
                .iter()
                .map(|word| word.clone().into_bytes())
                .collect(),
        }
    }

    /// Whether the first record is no row.
    fn has_header(&self) -> bool {
        self.header.unwrap_or(self.names.is_empty())
    }

    fn comma(&self) -> bool {
        self.decimal == Character::COMMA
    }

    /// Checks what one option alone cannot tell.
    ///
    /// # Errors
    /// When options contradict each other.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::new(Fault::Pipeline, what));
        let roles = [
            ("delimiter", self.delimiter),
            ("quote", self.quote.0),
            ("comment", self.comment),
        ];
        for (i, (name, character)) in roles.iter().enumerate() {
            for (other, same) in &roles[..i] {
                if let Some(character) = character
                    && Some(character) == same.as_ref()
                {
                    return wrong(format!("csv: `{other}` and `{name}` are both {character}"));
                }
            }
        }
        if self.escape.is_some() && self.escape == self.delimiter {
            return wrong("csv: `escape` and `delimiter` are the same character".into());
        }
        if ![Character::DOT, Character::COMMA].contains(&self.decimal) {
            return wrong(format!(
                "csv: `decimal` is {}, but can only be `.` or `,`",
                self.decimal
            ));
        }
        if self.max_record > MOST_RECORD {
            return wrong(format!("csv: `max_record` can be at most {MOST_RECORD}"));
        }
        self.layouts().map(|_| ())
    }

    fn layouts(&self) -> Result<BTreeMap<String, Layout>> {
        let layout = |(name, format): (&String, &String)| match Layout::new(format) {
            Some(layout) => Ok((name.clone(), layout)),
            None => Err(Error::new(
                Fault::Pipeline,
                format!("csv: `{format}` (column `{name}`) is not a time format"),
            )
            .help("write it as for strftime: \"%d.%m.%Y %H:%M:%S\"")),
        };
        self.time_formats.iter().map(layout).collect()
    }
}

/// Comma-separated values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Csv {
    /// How they are written.
    pub options: CsvOptions,
}

impl Csv {
    /// With these options.
    pub fn new(options: CsvOptions) -> Self {
        Self { options }
    }

    /// Reads a whole file from memory: its columns as they are inferred, and all of its rows, `rows` at a time.
    ///
    /// # Errors
    /// As reading a file.
    pub fn read_bytes(&self, bytes: &[u8], rows: usize) -> Result<(Inspected, Vec<Decoded>)> {
        self.options.check()?;
        let name: Arc<str> = "memory".into();
        let open = || {
            let bytes = Cursor::new(bytes.to_vec());
            TextInput::new(Box::new(bytes), &name, &self.options.decoding())
        };
        let inspected = head::inspect(open()?, &self.options)?;
        let request = Request {
            columns: inspected.schema.clone(),
            wanted: Wanted::default(),
        };
        let reading = read::CsvReading::new(self.options.clone(), &request)?;
        let file = InputFile {
            path: Arc::clone(&name),
            bytes: Some(bytes.len() as u64),
        };
        let cutter = reading.cut(open()?, 0, Place::default(), None)?;
        let decoded = crate::text::read_all(cutter, &mut *reading.reader(), &file, rows)?;
        Ok((inspected, decoded))
    }
}

impl ReadFormat for Csv {
    fn inspect(&self, file: &InputFile) -> Result<Inspected> {
        self.options.check()?;
        head::inspect(
            TextInput::peek(file, &self.options.decoding())?,
            &self.options,
        )
    }

    fn reading(&self, request: &Request) -> Result<Arc<dyn Reading>> {
        self.options.check()?;
        Ok(Arc::new(read::CsvReading::new(
            self.options.clone(),
            request,
        )?))
    }
}

/// The entry for fuzzers: the first byte chooses options, the rest is read with them, twice. It must not panic, and both
/// readings must find the same rows.
pub fn fuzz(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else {
        return;
    };
    let chosen = |bit: u8, byte: u8| Character::new(byte).filter(|_| choice & bit != 0);
    let csv = Csv::new(CsvOptions {
        header: Some(choice & 1 == 0),
        trim: choice & 2 != 0,
        escape: chosen(4, b'\\'),
        comment: chosen(8, b'#'),
        delimiter: chosen(16, b';'),
        encoding: Encoding::named("utf-16le").filter(|_| choice & 32 != 0),
        decimal: chosen(64, b',').unwrap_or(Character::DOT),
        infer_rows: if choice & 128 == 0 { 10_000 } else { 2 },
        ..CsvOptions::default()
    });
    let counted = |rows| {
        csv.read_bytes(text, rows)
            .ok()
            .map(|(_, parts)| crate::text::count(&parts))
    };
    assert_eq!(counted(1), counted(1000));
}
