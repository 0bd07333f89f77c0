//! Text split into rows of fields, and what a field means once its quotes are undone.

use std::ops::Range;

use crate::text::masks::WIDTH;
use crate::text::scan::{Dialect, State, is_blank};

/// What a field says.
#[derive(Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// There is no value.
    Null,
    /// There is one.
    Text(&'a [u8]),
}

/// How fields are to be understood.
#[derive(Clone, Debug)]
pub(crate) struct Meanings {
    /// How they are told apart.
    pub(crate) dialect: Dialect,
    /// Unquoted words that mean null.
    pub(crate) nulls: Vec<Vec<u8>>,
}

impl Meanings {
    /// Whether the word means null.
    fn is_null(&self, word: &[u8]) -> bool {
        self.nulls.iter().any(|null| null == word)
    }

    /// Whether the empty text is the only word for null.
    fn plain_nulls(&self) -> bool {
        matches!(&self.nulls[..], [only] if only.is_empty())
    }

    /// What a field says. In a column of text, blanks count and a quoted word is never null.
    pub(crate) fn of<'a>(
        &self,
        raw: &'a [u8],
        text: bool,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Cell<'a>, &'static str> {
        let field = if self.dialect.trim || !text {
            trimmed(raw)
        } else {
            raw
        };
        let open = match (field.first(), self.dialect.quote) {
            (Some(first), Some(quote)) if *first == quote => Some(quote),
            _ => None,
        };
        let (field, was_quoted) = match open {
            Some(quote) => (unquoted(field, quote, self.dialect.escape, scratch)?, true),
            None => (field, false),
        };
        let field = if text { field } else { trimmed(field) };
        if self.is_null(field) && !(was_quoted && text) {
            return Ok(Cell::Null);
        }
        Ok(Cell::Text(field))
    }
}

fn trimmed(mut field: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = field
        && is_blank(*first)
    {
        field = rest;
    }
    while let [rest @ .., last] = field
        && is_blank(*last)
    {
        field = rest;
    }
    field
}

/// Takes the quotes off and undoes doubled quotes and escapes.
fn unquoted<'a>(
    field: &'a [u8],
    quote: u8,
    escape: Option<u8>,
    scratch: &'a mut Vec<u8>,
) -> Result<&'a [u8], &'static str> {
    let special = |byte: &u8| *byte == quote || Some(*byte) == escape;
    if let [_, inner @ .., last] = field
        && *last == quote
        && !inner.iter().any(special)
    {
        return Ok(inner);
    }
    scratch.clear();
    let mut rest = &field[1..];
    while let Some(at) = rest.iter().position(special) {
        scratch.extend_from_slice(&rest[..at]);
        match &rest[at..] {
            // An escape, or a doubled quote: the next byte is meant.
            [first, second, ..] if *first != quote || *second == quote => {
                scratch.push(*second);
                rest = &rest[at + 2..];
            }
            [first] if *first == quote => return Ok(scratch),
            _ => return Err("quotes"),
        }
    }
    Err("quotes")
}

/// The fields whose meaning is plain to see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quick {
    allowed: bool,
    text: bool,
    /// The quote, or 256 for none.
    quote: u16,
}

impl Quick {
    /// What the field says, if that is plain and not null; it may still not fit the column.
    #[inline(always)]
    pub(crate) fn value(self, raw: &[u8]) -> Option<&[u8]> {
        match raw {
            _ if !self.allowed => None,
            [] => None,
            [first, inner @ ..] if u16::from(*first) == self.quote => match inner {
                [inner @ .., last] if last == first && !inner.contains(first) => {
                    (self.text || !inner.is_empty()).then_some(inner)
                }
                _ => None,
            },
            raw => Some(raw),
        }
    }
}

/// A row that has another number of fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odd {
    /// The number of the record, from the first of the cells.
    pub(crate) record: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) fields: u32,
}

/// Where rows and fields stand in a text; kept and filled again.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    fields: usize,
    /// Where each row starts, and its number among the records.
    starts: Vec<(u32, u32)>,
    /// Where each field ends, row by row.
    ends: Vec<u32>,
    /// Rows that are not in the grid.
    pub(crate) odd: Vec<Odd>,
}

impl Grid {
    /// Splits at most `limit` records from `from`, each of which should have so many fields. Returns where it stopped.
    pub(crate) fn split(
        &mut self,
        text: &[u8],
        from: usize,
        limit: usize,
        fields: usize,
        dialect: &Dialect,
    ) -> usize {
        self.fields = fields;
        self.starts.clear();
        self.ends.clear();
        self.odd.clear();
        let mut state = State::START;
        let mut start = from;
        for (i, chunk) in text[from..].chunks(WIDTH).enumerate() {
            let at = from + i * WIDTH;
            let marks = match chunk.try_into() {
                Ok(block) => state.block::<true>(dialect, block),
                Err(_) => state.walk(dialect, chunk),
            };
            let mut delimiters = marks.delimiters;
            let mut lines = marks.ends | marks.blanks;
            while lines != 0 {
                let bit = lines & lines.wrapping_neg();
                lines ^= bit;
                self.push(at, delimiters & (bit - 1));
                delimiters &= !(bit - 1);
                let end = at + bit.trailing_zeros() as usize;
                if marks.ends & bit != 0 {
                    self.close(text, start..end);
                }
                start = end + 1;
                if self.records() == limit {
                    return start;
                }
            }
            self.push(at, delimiters);
        }
        if state.unfinished() {
            self.close(text, start..text.len());
        }
        text.len()
    }

    #[inline(always)]
    fn push(&mut self, at: usize, mut delimiters: u64) {
        while delimiters != 0 {
            let bit = delimiters.trailing_zeros();
            self.ends.push(at as u32 + bit);
            delimiters &= delimiters - 1;
        }
    }

    /// Ends a record; a carriage return before its line end is not part of it.
    #[inline(always)]
    fn close(&mut self, text: &[u8], record: Range<usize>) {
        let mut end = record.end;
        if end > record.start && text[end - 1] == b'\r' {
            end -= 1;
        }
        self.ends.push(end as u32);
        let number = self.records() as u32;
        let before = self.starts.len() * self.fields;
        let fields = self.ends.len() - before;
        if fields == self.fields {
            self.starts.push((record.start as u32, number));
        } else {
            self.ends.truncate(before);
            self.odd.push(Odd {
                record: number,
                start: record.start as u32,
                end: end as u32,
                fields: fields as u32,
            });
        }
    }

    /// The first record that is longer: its number and where it starts.
    pub(crate) fn longer_than(&self, limit: u64) -> Option<(u32, u32)> {
        let rows = self
            .starts
            .iter()
            .enumerate()
            .map(|(row, (start, number))| {
                let end = self.ends[(row + 1) * self.fields - 1];
                (*number, *start, end)
            });
        let odd = self.odd.iter().map(|odd| (odd.record, odd.start, odd.end));
        rows.chain(odd)
            .filter(|(_, start, end)| u64::from(end - start) > limit)
            .map(|(number, start, _)| (number, start))
            .min()
    }

    /// Records split, odd ones included.
    pub(crate) fn records(&self) -> usize {
        self.starts.len() + self.odd.len()
    }
}

/// A grid over its text.
pub(crate) struct Cells<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) grid: &'a Grid,
    pub(crate) meanings: &'a Meanings,
    /// Whether all of the text is UTF-8.
    pub(crate) valid: bool,
}

impl<'a> Cells<'a> {
    /// Rows that have the right number of fields.
    pub(crate) fn rows(&self) -> usize {
        self.grid.starts.len()
    }

    /// The number of a row among the records.
    pub(crate) fn record(&self, row: usize) -> u32 {
        self.grid.starts[row].1
    }

    /// A field as it stands there.
    #[inline(always)]
    pub(crate) fn field(&self, row: usize, field: usize) -> &'a [u8] {
        let at = row * self.grid.fields + field;
        let start = if field == 0 {
            self.grid.starts[row].0
        } else {
            self.grid.ends[at - 1] + 1
        };
        &self.text[start as usize..self.grid.ends[at] as usize]
    }

    /// A row as it stands there.
    pub(crate) fn line(&self, row: usize) -> &'a [u8] {
        let end = self.grid.ends[(row + 1) * self.grid.fields - 1];
        &self.text[self.grid.starts[row].0 as usize..end as usize]
    }

    /// Tells fields whose meaning is plain.
    pub(crate) fn quick(&self, text: bool) -> Quick {
        let dialect = &self.meanings.dialect;
        let plain = self.meanings.plain_nulls() && dialect.escape.is_none();
        Quick {
            allowed: plain && (!text || self.valid && !dialect.trim),
            text,
            quote: dialect.quote.map_or(256, u16::from),
        }
    }

    /// What a field says.
    pub(crate) fn meaning<'b>(
        &self,
        raw: &'b [u8],
        text: bool,
        scratch: &'b mut Vec<u8>,
    ) -> Result<Cell<'b>, &'static str> {
        self.meanings.of(raw, text, scratch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meanings(trim: bool, escape: bool) -> Meanings {
        Meanings {
            dialect: Dialect {
                delimiter: b',',
                quote: Some(b'"'),
                escape: escape.then_some(b'\\'),
                comment: None,
                trim,
            },
            nulls: vec![b"".to_vec(), b"NA".to_vec()],
        }
    }

    #[test]
    fn fields_mean_what_they_say() {
        let plain = meanings(false, false);
        let trim = meanings(true, false);
        let escape = meanings(false, true);
        let mut scratch = Vec::new();
        for (meanings, raw, text, number) in [
            (&plain, "abc", "abc", "abc"),
            (&plain, "", "null", "null"),
            (&plain, "\"\"", "", "null"),
            (&plain, "\"NA\"", "NA", "null"),
            (&plain, " NA ", " NA ", "null"),
            (&plain, "\"a\"\"b\"", "a\"b", "a\"b"),
            (&plain, "\"\"\"\"", "\"", "\""),
            (&plain, "\"a\"b", "quotes", "quotes"),
            (&plain, "\"a", "quotes", "quotes"),
            (&plain, "\"", "quotes", "quotes"),
            (&plain, "a\"b", "a\"b", "a\"b"),
            (&plain, " \"1\" ", " \"1\" ", "1"),
            (&trim, " \"a\" ", "a", "a"),
            (&plain, "\" 1 \"", " 1 ", "1"),
            (&trim, " NA\t", "null", "null"),
            (&escape, "\"a\\\"b\\\\\"", "a\"b\\", "a\"b\\"),
            (&escape, "\"a\\\"", "quotes", "quotes"),
            (&escape, "a\\b", "a\\b", "a\\b"),
        ] {
            for (as_text, expected) in [(true, text), (false, number)] {
                let said = match meanings.of(raw.as_bytes(), as_text, &mut scratch) {
                    Ok(Cell::Null) => "null".to_string(),
                    Ok(Cell::Text(text)) => String::from_utf8_lossy(text).into_owned(),
                    Err(reason) => reason.to_string(),
                };
                assert_eq!(said, expected, "{raw:?} as text: {as_text}");
            }
        }
    }

    #[test]
    fn rows_and_odd_rows() {
        let text = b"a,b\r\n\n1\n\"x,\n\",y\n,\nc,d,e\nlast,\"\"";
        let mut grid = Grid::default();
        let meanings = meanings(false, false);
        let end = grid.split(text, 0, 4, 2, &meanings.dialect);
        assert_eq!(&text[end..], b"c,d,e\nlast,\"\"");
        let odd = grid.odd.iter().map(|odd| (odd.record, odd.fields));
        assert_eq!(odd.collect::<Vec<_>>(), [(1, 1)]);
        let cells = Cells {
            text,
            grid: &grid,
            meanings: &meanings,
            valid: true,
        };
        let fields: Vec<&[u8]> = (0..cells.rows())
            .flat_map(|row| [cells.field(row, 0), cells.field(row, 1)])
            .collect();
        assert_eq!(fields, [&b"a"[..], b"b", b"\"x,\n\"", b"y", b"", b""]);
        assert_eq!((cells.line(1), cells.record(1)), (&b"\"x,\n\",y"[..], 2));
        let end = grid.split(text, end, 100, 2, &meanings.dialect);
        assert_eq!(
            (end, grid.records(), grid.odd[0].fields),
            (text.len(), 2, 3)
        );
    }
}
