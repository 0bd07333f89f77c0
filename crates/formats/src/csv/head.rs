//! The head of a file: its delimiter, the names of its columns, and a guess of their types.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use dataflow_core::{Error, Result};

use super::CsvOptions;
use super::cells::{Cell, Cells, Grid, Meanings};
use crate::Inspected;
use crate::guess::Guess;
use crate::text::cutter::{Begun, too_long};
use crate::text::input::TextInput;
use crate::text::scan::{DelimitedRecords, Dialect, Records, State};

/// How much text the delimiter is found in.
const HEAD: usize = 64 << 10;

/// How much text the types are found in at most, and how much more is read at a time.
const SAMPLE: usize = 8 << 20;
const SAMPLE_STEP: usize = 256 << 10;

/// Rows that the delimiter is found in.
const DELIMITER_ROWS: usize = 100;

pub(super) const TOO_LONG: &str = "perhaps a quote is not closed there; if records are really so long, raise `max_record`, or turn quotes off with `quote = \"\"`";

/// A file whose head was read.
pub(super) struct Head {
    pub(super) input: TextInput,
    /// The text from the first row on.
    pub(super) begun: Begun,
    pub(super) meanings: Meanings,
    /// The names of its columns; none if the file is empty.
    pub(super) names: Vec<String>,
}

impl Head {
    pub(super) fn read(mut input: TextInput, options: &CsvOptions) -> Result<Self> {
        let mut begun = Begun::default();
        skip_lines(&mut input, &mut begun, options.skip_rows)?;
        let told = options.delimiter.is_some() || is_tsv(input.name());
        if input.is_live() && !told {
            fill_lines(&mut input, &mut begun, options)?;
        } else if !told {
            let missing = HEAD.saturating_sub(begun.text.len());
            input.fill(&mut begun.text, missing)?;
        }
        let delimiter = match options.delimiter {
            Some(delimiter) => delimiter.byte(),
            None if is_tsv(input.name()) => b'\t',
            None => detect(told_by(&input, &begun, options), options),
        };
        let mut head = Self {
            meanings: options.meanings(delimiter),
            names: Vec::new(),
            input,
            begun,
        };
        head.names = head.read_names(options)?;
        Ok(head)
    }

    fn read_names(&mut self, options: &CsvOptions) -> Result<Vec<String>> {
        let Some((record, next)) = self.first_record(options)? else {
            return Ok(options.names.clone());
        };
        let dialect = &self.meanings.dialect;
        let record = &self.begun.text[record];
        let fields = fields(record, dialect);
        let names = if !options.names.is_empty() {
            if options.names.len() != fields.len() {
                return Err(self.name_count(options, fields.len()));
            }
            options.names.clone()
        } else if options.has_header() {
            let names = fields.into_iter().map(|field| self.name(&record[field]));
            unique(names.collect::<Result<_>>()?)
        } else {
            (1..=fields.len()).map(|i| format!("column_{i}")).collect()
        };
        if options.has_header() {
            self.begun.text.drain(..next);
            self.begun.offset += next as u64;
        }
        Ok(names)
    }

    /// The first record that is not blank, and where the next one starts.
    fn first_record(&mut self, options: &CsvOptions) -> Result<Option<(Range<usize>, usize)>> {
        loop {
            let mut state = State::START;
            let mut start = 0;
            for (at, byte) in self.begun.text.iter().enumerate() {
                let marks = state.walk(&self.meanings.dialect, std::slice::from_ref(byte));
                if marks.ends != 0 {
                    return Ok(Some((start..at, at + 1)));
                }
                if marks.blanks != 0 {
                    start = at + 1;
                }
            }
            let length = self.begun.text.len();
            if (length - start) as u64 > options.max_record.0 {
                let byte = self.begun.offset + start as u64;
                let error = too_long(options.max_record, 0, byte, TOO_LONG);
                return Err(error.file(&**self.input.name()));
            }
            if self
                .input
                .fill_some(&mut self.begun.text, length.max(HEAD))?
                == 0
            {
                let record = state.unfinished().then_some((start..length, length));
                return Ok(record);
            }
        }
    }

    fn name(&self, raw: &[u8]) -> Result<String> {
        let mut scratch = Vec::new();
        let wrong = |what: &str, help: &str| {
            Err(Error::data(format!("{what} in the header"))
                .file(&**self.input.name())
                .help(help))
        };
        match self.meanings.of(raw, true, &mut scratch) {
            Ok(Cell::Null) => Ok(String::new()),
            Ok(Cell::Text(text)) => match std::str::from_utf8(text) {
                Ok(text) => Ok(text.to_string()),
                Err(_) => wrong(
                    "there is text that is not UTF-8",
                    "say which encoding it is: `encoding = \"latin1\"`",
                ),
            },
            Err(_) => wrong(
                "there are quotes that are not closed, or text behind them,",
                "repair the header, or give the names with `names = [...]` and `skip_rows = 1`, `header = false`",
            ),
        }
    }

    fn name_count(&self, options: &CsvOptions, fields: usize) -> Error {
        let first = if options.has_header() {
            "header"
        } else {
            "first row"
        };
        Error::data(format!(
            "the {first} has {fields} fields, but `names` lists {}",
            options.names.len()
        ))
        .file(&**self.input.name())
        .help("list one name for each column, or check `delimiter`")
    }
}

/// Lines of standard input that the delimiter is found in: no more than have to be awaited anyway.
fn awaited(options: &CsvOptions) -> usize {
    options.infer_rows.clamp(1, DELIMITER_ROWS)
}

/// The end of so many lines that are neither blank nor comments; none if there are fewer.
fn end_of_lines(text: &[u8], lines: usize, options: &CsvOptions) -> Option<usize> {
    let comment = options.comment.map(|comment| comment.byte());
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', text).filter(|end| {
        let line = text[start..*end].trim_ascii_end();
        start = end + 1;
        line.first().is_some_and(|first| Some(*first) != comment)
    });
    ends.map(|end| end + 1).nth(lines - 1)
}

fn fill_lines(input: &mut TextInput, begun: &mut Begun, options: &CsvOptions) -> Result<()> {
    while end_of_lines(&begun.text, awaited(options), options).is_none() && begun.text.len() < HEAD
    {
        let missing = HEAD - begun.text.len();
        if input.fill_some(&mut begun.text, missing)? == 0 {
            break;
        }
    }
    Ok(())
}

/// What the delimiter is found in. Of standard input, that must not depend on how much of it has arrived.
fn told_by<'a>(input: &TextInput, begun: &'a Begun, options: &CsvOptions) -> &'a [u8] {
    let end = end_of_lines(&begun.text, awaited(options), options);
    match end {
        Some(end) if input.is_live() => &begun.text[..end],
        _ => &begun.text,
    }
}

fn is_tsv(name: &str) -> bool {
    let name = &name.to_ascii_lowercase();
    let name = name
        .strip_suffix(".gz")
        .or(name.strip_suffix(".zst"))
        .unwrap_or(name);
    name.ends_with(".tsv") || name.ends_with(".tab")
}

/// Takes lines off, whatever they hold.
fn skip_lines(input: &mut TextInput, begun: &mut Begun, lines: u64) -> Result<()> {
    let mut left = lines;
    while left > 0 {
        if begun.text.is_empty() && input.fill_some(&mut begun.text, HEAD)? == 0 {
            return Ok(());
        }
        let end = match memchr::memchr(b'\n', &begun.text) {
            Some(at) => {
                left -= 1;
                at + 1
            }
            None => begun.text.len(),
        };
        begun.text.drain(..end);
        begun.offset += end as u64;
    }
    Ok(())
}

/// Where the fields of one record stand.
fn fields(record: &[u8], dialect: &Dialect) -> Vec<Range<usize>> {
    let record = record.strip_suffix(b"\r").unwrap_or(record);
    let mut state = State::START;
    let (mut fields, mut start) = (Vec::new(), 0);
    for (at, byte) in record.iter().enumerate() {
        let marks = state.walk(dialect, std::slice::from_ref(byte));
        if marks.delimiters != 0 {
            fields.push(start..at);
            start = at + 1;
        }
    }
    fields.push(start..record.len());
    fields
}

/// Gives names to columns without one, and numbers to names that come again.
fn unique(names: Vec<String>) -> Vec<String> {
    let mut taken: HashSet<String> = names.iter().cloned().collect();
    let mut seen = HashSet::new();
    let mut made = Vec::with_capacity(names.len());
    for (i, name) in names.into_iter().enumerate() {
        let mut candidate = if name.is_empty() {
            format!("column_{}", i + 1)
        } else {
            name
        };
        if seen.contains(&candidate) {
            let free = |n: &usize| !taken.contains(&format!("{candidate}_{n}"));
            let number = (2..).find(free).unwrap_or_default();
            candidate = format!("{candidate}_{number}");
            taken.insert(candidate.clone());
        }
        seen.insert(candidate.clone());
        made.push(candidate);
    }
    made
}

/// The delimiter that splits the rows evenly into most fields; a comma if none does.
fn detect(head: &[u8], options: &CsvOptions) -> u8 {
    let mut best = (1, b',');
    for delimiter in *b",;\t|" {
        let taken = [options.quote.0, options.escape, options.comment];
        let taken = taken.iter().flatten().any(|c| c.byte() == delimiter);
        if taken || (delimiter == b',' && options.comma()) {
            continue;
        }
        let mut grid = Grid::default();
        // No row has no field, so that each is an odd one, with its number of fields.
        let end = grid.split(
            head,
            0,
            DELIMITER_ROWS,
            0,
            &options.meanings(delimiter).dialect,
        );
        let cut_off = end == head.len() && head.len() >= HEAD && grid.odd.len() > 1;
        let rows = &grid.odd[..grid.odd.len() - usize::from(cut_off)];
        let fields = rows.first().map_or(0, |row| row.fields);
        let even = rows.iter().filter(|row| row.fields == fields).count();
        if fields > best.0 && even * 10 >= rows.len() * 9 {
            best = (fields, delimiter);
        }
    }
    best.1
}

/// Finds the columns of a file and the types that fit its first rows.
pub(super) fn inspect(input: TextInput, options: &CsvOptions) -> Result<Inspected> {
    let mut head = Head::read(input, options)?;
    let (records, ended) = match options.infer_rows {
        0 => (0, false),
        rows => sample(&mut head, rows)?,
    };
    let mut grid = Grid::default();
    let text = &head.begun.text;
    if options.infer_rows > 0 {
        let fields = head.names.len();
        grid.split(text, 0, options.infer_rows, fields, &head.meanings.dialect);
    }
    let cells = Cells {
        text,
        grid: &grid,
        meanings: &head.meanings,
        valid: false,
    };
    let layouts = options.layouts()?;
    let field = |(column, name): (usize, &String)| {
        let data_type = match layouts.get(name) {
            Some(layout) => layout.data_type(),
            None => guess(&cells, column, options.comma()),
        };
        Field::new(name, data_type, true)
    };
    let fields: Vec<Field> = head.names.iter().enumerate().map(field).collect();
    Ok(Inspected {
        schema: Arc::new(Schema::new(fields)),
        rows: (ended && records == 0).then_some(0),
        sampling: None,
    })
}

/// Reads whole records until there are enough; how many there are, and whether the text ended.
fn sample(head: &mut Head, rows: usize) -> Result<(u64, bool)> {
    let mut records = DelimitedRecords::new(head.meanings.dialect);
    let (mut scanned, mut seen, mut end) = (0, 0, 0);
    loop {
        let found = records.scan(&head.begun.text[scanned..]);
        seen += found.records;
        end = found.end.map_or(end, |at| scanned + at);
        scanned = head.begun.text.len();
        if seen > 0 && (seen >= rows as u64 || scanned >= SAMPLE) {
            head.begun.text.truncate(end);
            return Ok((seen, false));
        }
        let left = SAMPLE.saturating_sub(scanned);
        let step = if left == 0 {
            SAMPLE_STEP
        } else {
            left.min(SAMPLE_STEP)
        };
        if head.input.fill_some(&mut head.begun.text, step)? == 0 {
            return Ok((seen + u64::from(records.unfinished()), true));
        }
    }
}

fn guess(cells: &Cells<'_>, column: usize, comma: bool) -> DataType {
    let mut guess = Guess::default();
    let mut scratch = Vec::new();
    for row in 0..cells.rows() {
        if let Ok(Cell::Text(text)) = cells.meaning(cells.field(row, column), false, &mut scratch) {
            guess.see(text, comma);
        }
    }
    guess.data_type()
}
