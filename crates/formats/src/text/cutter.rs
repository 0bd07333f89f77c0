//! Cuts a text file into pieces that end where records end, counting the records.

use bytes::Bytes;
use dataflow_core::units::Bytes as Size;
use dataflow_core::{Cutter, Error, Piece, Place, Result};

use super::input::TextInput;
use super::scan::{Records, Seen};

/// The text of a piece, about.
pub(crate) const BLOCK: usize = 1 << 20;

/// What a cutter needs to know beside the text and its records.
pub(crate) struct Cutting {
    /// The split's index.
    pub(crate) split: usize,
    /// The place of the first row.
    pub(crate) first: Place,
    /// Bytes read at a time, and so about the size of a piece.
    pub(crate) block: usize,
    /// The longest record.
    pub(crate) max_record: Size,
    /// What to do about a longer one.
    pub(crate) too_long: &'static str,
    /// At most so many rows.
    pub(crate) rows: Option<u64>,
    /// Bytes that a decoded row needs beside its text.
    pub(crate) row_bytes: usize,
    /// Put in front of the text of every piece, for the reader.
    pub(crate) prefix: Vec<u8>,
}

/// Text that was read while the head of the file was looked at.
#[derive(Default)]
pub(crate) struct Begun {
    /// What is not consumed of it.
    pub(crate) text: Vec<u8>,
    /// Where it starts in the text.
    pub(crate) offset: u64,
}

/// Cuts text into pieces of at least one record.
pub(crate) struct TextCutter<R> {
    input: TextInput,
    records: R,
    how: Cutting,
    /// The prefix and the text that is not handed out yet.
    buffer: Vec<u8>,
    /// How far the buffer was scanned.
    scanned: usize,
    /// Records that end in the buffer, and where the last of them does.
    seen: Seen,
    /// Where the buffer's text starts in the file's.
    offset: u64,
    /// Rows handed out.
    row: u64,
    /// Bytes of the file that pieces have accounted for.
    accounted: u64,
    ended: bool,
    /// Whether nothing but the end of the text ends its last record.
    unfinished: bool,
    /// Nothing more was there at the last look: what is here must not wait for it.
    drained: bool,
}

/// A pipe that is full gives at least as much at once.
const FULL_PIPE: usize = 64 << 10;

impl<R: Records> TextCutter<R> {
    pub(crate) fn new(input: TextInput, records: R, begun: Begun, how: Cutting) -> Self {
        let mut buffer = how.prefix.clone();
        buffer.extend_from_slice(&begun.text);
        Self {
            scanned: how.prefix.len(),
            drained: input.is_live(),
            input,
            records,
            buffer,
            seen: Seen::default(),
            offset: begun.offset,
            row: 0,
            accounted: 0,
            ended: false,
            unfinished: false,
            how,
        }
    }

    /// Reads until a record ends in the buffer. Whether one does.
    fn advance(&mut self) -> Result<bool> {
        loop {
            self.scan();
            let pending = self.buffer.len() - self.how.prefix.len();
            if self.seen.end.is_some() && (pending >= self.how.block || self.drained) {
                return Ok(true);
            }
            // A record longer than a block: read twice as much each time, so that copying stays linear.
            let more = if pending < self.how.block {
                self.how.block - pending
            } else {
                pending
            };
            if self.read(more)? == 0 {
                self.ended = true;
                return Ok(self.end_of_input());
            }
            if self.seen.end.is_none() {
                self.scan();
                self.check_length()?;
            }
        }
    }

    fn read(&mut self, more: usize) -> Result<usize> {
        if !self.input.is_live() {
            return self.input.fill(&mut self.buffer, more);
        }
        let read = self.input.fill_some(&mut self.buffer, more)?;
        self.drained = read < FULL_PIPE;
        Ok(read)
    }

    fn scan(&mut self) {
        let seen = self.records.scan(&self.buffer[self.scanned..]);
        self.seen.records += seen.records;
        if let Some(end) = seen.end {
            self.seen.end = Some(self.scanned + end);
        }
        self.scanned = self.buffer.len();
    }

    /// Counts the last record if it has no line end.
    fn end_of_input(&mut self) -> bool {
        if self.records.unfinished() {
            self.unfinished = true;
            self.seen.records += 1;
            self.seen.end = Some(self.buffer.len());
        }
        self.seen.end.is_some()
    }

    fn check_length(&self) -> Result<()> {
        let start = self.seen.end.unwrap_or(self.how.prefix.len());
        // The line end may be two bytes; readers look at finished records exactly.
        if (self.buffer.len() - start) as u64 <= self.how.max_record.0.saturating_add(1) {
            return Ok(());
        }
        let byte = self.offset + (start - self.how.prefix.len()) as u64;
        let row = self.how.first.row() + self.row + self.seen.records;
        let error = too_long(self.how.max_record, row, byte, self.how.too_long);
        Err(error.file(&**self.input.name()))
    }

    /// Keeps no more rows than are asked for.
    fn limit(&mut self) {
        let Some(rows) = self.how.rows else { return };
        let wanted = rows - self.row;
        if self.seen.records <= wanted {
            return;
        }
        let mut records = self.records.fresh();
        let mut ended = 0;
        let text = self.buffer.iter().enumerate().skip(self.how.prefix.len());
        for (at, byte) in text {
            ended += records.scan(std::slice::from_ref(byte)).records;
            if ended == wanted {
                self.seen = Seen {
                    records: wanted,
                    end: Some(at + 1),
                };
                return;
            }
        }
    }

    /// Takes the finished records out of the buffer.
    fn cut(&mut self) -> Result<Piece> {
        self.limit();
        let prefix = self.how.prefix.len();
        let seen = std::mem::take(&mut self.seen);
        let end = seen.end.unwrap_or(prefix);
        let mut next = Vec::with_capacity(prefix + self.how.block.max(self.buffer.len() - end));
        next.extend_from_slice(&self.how.prefix);
        next.extend_from_slice(&self.buffer[end..]);
        self.scanned -= end - prefix;
        let mut text = std::mem::replace(&mut self.buffer, next);
        text.truncate(end);
        if text.capacity() > 2 * text.len() {
            text.shrink_to_fit();
        }
        let start = self.offset;
        self.offset += (end - prefix) as u64;
        let first = Place(self.how.first.0 + self.row);
        // Checks that the rows can be numbered.
        let last = self.how.first.row() + self.row + seen.records;
        Place::new(self.how.first.split(), last).map_err(|e| e.file(&**self.input.name()))?;
        self.row += seen.records;
        Ok(Piece {
            split: self.how.split,
            first,
            rows: Some(seen.records),
            start,
            end: self.offset,
            bytes: 2 * text.len() + seen.records as usize * self.how.row_bytes,
            text: Some(Bytes::from(text)),
            input_bytes: self.account(end - prefix),
            unfinished: self.unfinished,
        })
    }

    /// Bytes of the file since the last piece; of compressed files known only a block at a time.
    fn account(&mut self, text: usize) -> u64 {
        let now = if self.input.is_compressed() || self.ended {
            self.input.consumed()
        } else {
            (self.accounted + text as u64).min(self.input.consumed())
        };
        let new = now.saturating_sub(self.accounted);
        self.accounted += new;
        new
    }
}

/// The error about a record that is longer than the option allows.
pub(crate) fn too_long(limit: Size, row: u64, byte: u64, help: &'static str) -> Error {
    let what = format!("a record is longer than {limit}");
    Error::data(what).row(row).byte(byte).help(help)
}

impl<R: Records> Cutter for TextCutter<R> {
    fn next(&mut self) -> Result<Option<Piece>> {
        loop {
            if self.how.rows.is_some_and(|rows| self.row >= rows) {
                return Ok(None);
            }
            if self.ended || !self.advance()? {
                return Ok(None);
            }
            let piece = self.cut()?;
            // Blank lines and comments alone make no piece.
            if piece.rows != Some(0) {
                return Ok(Some(piece));
            }
        }
    }
}
