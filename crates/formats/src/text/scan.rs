//! Finding record ends in text, 64 bytes at a time, with what came before carried along.
//!
//! The fast path looks at bit masks (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019, use the same
//! prefix parity for quotes). It holds while quotes open where a field starts and no line is blank or a comment; where it
//! does not hold, the same block goes through a byte-wise automaton, which is the definition.

use super::masks::{self, Block, WIDTH};

/// Finds record ends in one pass over the text.
pub(crate) trait Records: Send {
    /// Looks at the bytes behind those seen before.
    fn scan(&mut self, bytes: &[u8]) -> Seen;

    /// Whether the text, if it ended here, would end in a record without a line end.
    fn unfinished(&self) -> bool;

    /// The same at the start of a record.
    fn fresh(&self) -> Self
    where
        Self: Sized;
}

/// What a scan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Records that ended.
    pub(crate) records: u64,
    /// Where the last record, blank line or comment ended (behind its line end), counted from the start of the scan.
    pub(crate) end: Option<usize>,
}

impl Seen {
    fn add(&mut self, at: usize, marks: Marks) {
        self.records += u64::from(marks.ends.count_ones());
        let ends = marks.ends | marks.blanks;
        if ends != 0 {
            self.end = Some(at + WIDTH - ends.leading_zeros() as usize);
        }
    }
}

/// How fields and records are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Between fields.
    pub(crate) delimiter: u8,
    /// Around fields that hold delimiters, quotes or line ends.
    pub(crate) quote: Option<u8>,
    /// Inside quotes, makes the next byte an ordinary one.
    pub(crate) escape: Option<u8>,
    /// A line that starts so is no record.
    pub(crate) comment: Option<u8>,
    /// Blanks around fields do not count.
    pub(crate) trim: bool,
}

/// What 64 bytes hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Delimiters between fields.
    pub(crate) delimiters: u64,
    /// Line ends that end a record.
    pub(crate) ends: u64,
    /// Line ends of blank lines and comments.
    pub(crate) blanks: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Nothing of it was seen yet.
    Fresh,
    /// Only a carriage return.
    Return,
    /// It is a comment.
    Comment,
    /// It belongs to a record.
    Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    None,
    Delimiter,
    End,
    Blank,
}

/// Where in a record the automaton stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    line: Line,
    inside: bool,
    escaped: bool,
    /// A quote would open here: at a field's start, or right behind a closing quote (a doubled one).
    opens: bool,
}

impl State {
    /// At the start of a record.
    pub(crate) const START: Self = Self {
        line: Line::Fresh,
        inside: false,
        escaped: false,
        opens: true,
    };

    /// Whether the text, if it ended here, would end in a record without a line end.
    pub(crate) fn unfinished(self) -> bool {
        self.line == Line::Record
    }

    fn step(&mut self, dialect: &Dialect, byte: u8) -> Mark {
        if self.line == Line::Comment {
            if byte == b'\n' {
                *self = Self::START;
                return Mark::Blank;
            }
        } else if self.escaped {
            self.escaped = false;
        } else if self.inside {
            self.escaped = Some(byte) == dialect.escape;
            if Some(byte) == dialect.quote && !self.escaped {
                (self.inside, self.opens) = (false, true);
            }
        } else {
            return self.step_outside(dialect, byte);
        }
        Mark::None
    }

    fn step_outside(&mut self, dialect: &Dialect, byte: u8) -> Mark {
        let line = std::mem::replace(&mut self.line, Line::Record);
        let opens = std::mem::replace(&mut self.opens, false);
        if byte == b'\n' {
            *self = Self::START;
            return if line == Line::Record {
                Mark::End
            } else {
                Mark::Blank
            };
        }
        if byte == dialect.delimiter {
            self.opens = true;
            return Mark::Delimiter;
        }
        if line == Line::Fresh && byte == b'\r' {
            self.line = Line::Return;
        } else if line == Line::Fresh && Some(byte) == dialect.comment {
            self.line = Line::Comment;
        } else if opens && Some(byte) == dialect.quote {
            self.inside = true;
        } else {
            self.opens = opens && dialect.trim && is_blank(byte);
        }
        Mark::None
    }

    /// Goes over at most 64 bytes, one by one.
    pub(crate) fn walk(&mut self, dialect: &Dialect, bytes: &[u8]) -> Marks {
        let mut marks = Marks::default();
        for (i, byte) in bytes.iter().enumerate() {
            match self.step(dialect, *byte) {
                Mark::None => {}
                Mark::Delimiter => marks.delimiters |= 1 << i,
                Mark::End => marks.ends |= 1 << i,
                Mark::Blank => marks.blanks |= 1 << i,
            }
        }
        marks
    }

    /// Goes over 64 bytes. Without `FIELDS`, delimiters are not reported.
    #[inline(always)]
    pub(crate) fn block<const FIELDS: bool>(&mut self, dialect: &Dialect, block: &Block) -> Marks {
        match self.masked::<FIELDS>(dialect, block) {
            Some(marks) => marks,
            None => self.walk(dialect, block),
        }
    }

    /// The fast path; none where the automaton has to look, and then the state is as before.
    #[inline(always)]
    fn masked<const FIELDS: bool>(&mut self, dialect: &Dialect, block: &Block) -> Option<Marks> {
        if self.escaped || matches!(self.line, Line::Return | Line::Comment) {
            return None;
        }
        let newlines = masks::equal(block, b'\n');
        let quotes = dialect.quote.map_or(0, |quote| masks::equal(block, quote));
        let carried = if self.inside { u64::MAX } else { 0 };
        if quotes | carried == 0 {
            let ends = self.lines(dialect, block, newlines)?;
            self.opens = self.opens_behind(dialect, block);
            let delimiters = if FIELDS {
                masks::equal(block, dialect.delimiter)
            } else {
                0
            };
            return Some(Marks {
                delimiters,
                ends,
                blanks: 0,
            });
        }
        self.quoted(dialect, block, newlines, quotes, carried)
    }

    #[inline(always)]
    fn quoted(
        &mut self,
        dialect: &Dialect,
        block: &Block,
        newlines: u64,
        quotes: u64,
        carried: u64,
    ) -> Option<Marks> {
        if dialect.escape.is_some_and(|e| masks::equal(block, e) != 0) {
            return None;
        }
        let inside = masks::parity(quotes) ^ carried;
        let delimiters = masks::equal(block, dialect.delimiter) & !inside;
        let newlines = newlines & !inside;
        let closing = quotes & !inside;
        let openable = (delimiters | newlines | closing) << 1 | u64::from(self.opens);
        if quotes & inside & !openable != 0 {
            return None;
        }
        let ends = self.lines(dialect, block, newlines)?;
        self.inside = inside >> 63 == 1;
        self.opens = !self.inside && self.opens_behind(dialect, block);
        Some(Marks {
            delimiters,
            ends,
            blanks: 0,
        })
    }

    /// Line ends outside of quotes, if no line that starts in the block is blank or a comment.
    #[inline(always)]
    fn lines(&mut self, dialect: &Dialect, block: &Block, newlines: u64) -> Option<u64> {
        let starts = newlines << 1 | u64::from(self.line == Line::Fresh);
        if starts != 0 {
            let mut odd = masks::equal(block, b'\n') | masks::equal(block, b'\r');
            if let Some(comment) = dialect.comment {
                odd |= masks::equal(block, comment);
            }
            if starts & odd != 0 {
                return None;
            }
        }
        self.line = if newlines >> 63 == 1 {
            Line::Fresh
        } else {
            Line::Record
        };
        Some(newlines)
    }

    /// Whether a quote behind this block would open, given that the block ends outside of quotes.
    #[inline(always)]
    fn opens_behind(&self, dialect: &Dialect, block: &Block) -> bool {
        for byte in block.iter().rev() {
            if *byte == dialect.delimiter || *byte == b'\n' {
                return true;
            }
            if !(dialect.trim && is_blank(*byte)) {
                // In a block that the masks can handle, a quote that is last and outside has just closed.
                return Some(*byte) == dialect.quote;
            }
        }
        self.opens
    }
}

/// Spaces and tabs, which trimming takes away.
#[inline(always)]
pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Record ends of delimiter-separated text.
pub(crate) struct DelimitedRecords {
    dialect: Dialect,
    state: State,
}

impl DelimitedRecords {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            state: State::START,
        }
    }
}

impl Records for DelimitedRecords {
    fn scan(&mut self, bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        let (blocks, rest) = bytes.as_chunks::<WIDTH>();
        for (i, block) in blocks.iter().enumerate() {
            seen.add(i * WIDTH, self.state.block::<false>(&self.dialect, block));
        }
        seen.add(blocks.len() * WIDTH, self.state.walk(&self.dialect, rest));
        seen
    }

    fn unfinished(&self) -> bool {
        self.state.unfinished()
    }

    fn fresh(&self) -> Self {
        Self::new(self.dialect)
    }
}

/// Record ends of text with one record per line; lines of JSON's white space only are none.
#[derive(Default)]
pub(crate) struct LineRecords {
    content: bool,
}

impl LineRecords {
    fn walk(&mut self, bytes: &[u8]) -> Marks {
        let mut marks = Marks::default();
        for (i, byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if self.content => marks.ends |= 1 << i,
                b'\n' => marks.blanks |= 1 << i,
                b' ' | b'\t' | b'\r' => continue,
                _ => {
                    self.content = true;
                    continue;
                }
            }
            self.content = false;
        }
        marks
    }

    #[inline(always)]
    fn block(&mut self, block: &Block) -> Marks {
        let newlines = masks::equal(block, b'\n');
        let starts = newlines << 1 | u64::from(!self.content);
        if starts & !masks::visible(block) != 0 {
            return self.walk(block);
        }
        self.content = newlines >> 63 == 0;
        Marks {
            delimiters: 0,
            ends: newlines,
            blanks: 0,
        }
    }
}

impl Records for LineRecords {
    fn scan(&mut self, bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        let (blocks, rest) = bytes.as_chunks::<WIDTH>();
        for (i, block) in blocks.iter().enumerate() {
            seen.add(i * WIDTH, self.block(block));
        }
        seen.add(blocks.len() * WIDTH, self.walk(rest));
        seen
    }

    fn unfinished(&self) -> bool {
        self.content
    }

    fn fresh(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Dialect = Dialect {
        delimiter: b',',
        quote: Some(b'"'),
        escape: None,
        comment: None,
        trim: false,
    };

    fn counted(records: &mut dyn Records, text: &[u8]) -> (u64, Option<usize>, bool) {
        let seen = records.scan(text);
        (seen.records, seen.end, records.unfinished())
    }

    #[test]
    fn records_end_outside_of_quotes() {
        let commented = Dialect {
            comment: Some(b'#'),
            ..PLAIN
        };
        // The records (and how many of them count), and what is left.
        for (dialect, records, count, rest) in [
            (PLAIN, &["a,b\n"][..], 1, "c"),
            (PLAIN, &["a,\"b\nc\"\n", "\n", "\r\n", "d\r\n"], 2, ""),
            (PLAIN, &["5\" x 3\"\n"], 1, ""),
            (PLAIN, &["a,\"b\"\"\nc\"\n"], 1, ""),
            (PLAIN, &["a,\"b\"c\"\n"], 1, "x"),
            (PLAIN, &[], 0, "a,\"b\nc\n"),
            (PLAIN, &["# \"\n", "a\n"], 2, ""),
            (commented, &["# \"\n", "a\n"], 1, "#"),
            (PLAIN, &[], 0, "\r"),
        ] {
            let text = records.concat() + rest;
            let end = (!records.is_empty()).then(|| records.concat().len());
            let unfinished = !["", "#", "\r"].contains(&rest);
            let got = counted(&mut DelimitedRecords::new(dialect), text.as_bytes());
            assert_eq!(got, (count, end, unfinished), "{text:?}");
        }
    }

    #[test]
    fn lines_of_white_space_are_no_records() {
        let mut lines = LineRecords::default();
        let got = counted(&mut lines, b"{}\n \t\r\n\n  {}\r\n\0\n ");
        assert_eq!(got, (3, Some(16), false));
    }

    fn soup() -> impl Strategy<Value = Vec<u8>> {
        let rare = prop::sample::select(b"\"\"\"\\\n\r#, ,".to_vec());
        let byte = prop_oneof![2 => Just(b'x'), 1 => rare];
        let calm = prop_oneof![30 => Just(b'x'), 2 => Just(b','), 1 => Just(b'\n')];
        prop_oneof![
            prop::collection::vec(byte, 0..300),
            prop::collection::vec(calm, 0..600),
            "(\"x(\"\"|,|\n)?y\",z{0,9}\r?\n){0,40}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn masks_agree_with_the_automaton(
            text in soup(), trim in any::<bool>(), comment in any::<bool>(), escape in any::<bool>(), cut in 0..300_usize,
        ) {
            let dialect = Dialect {
                trim,
                comment: comment.then_some(b'#'),
                escape: escape.then_some(b'\\'),
                ..PLAIN
            };
            let mut fast = State::START;
            let mut slow = State::START;
            for block in text.as_chunks::<WIDTH>().0 {
                let marks = fast.block::<true>(&dialect, block);
                prop_assert_eq!(marks, slow.walk(&dialect, block));
                prop_assert_eq!(fast, slow);
            }
            let whole = counted(&mut DelimitedRecords::new(dialect), &text);
            let cut = cut.min(text.len());
            let mut parts = DelimitedRecords::new(dialect);
            let (head, tail) = (parts.scan(&text[..cut]), parts.scan(&text[cut..]));
            let end = tail.end.map(|end| end + cut).or(head.end);
            prop_assert_eq!((head.records + tail.records, end, parts.unfinished()), whole);
        }

        #[test]
        fn lines_agree_with_splitting(text in "[ax \t\r\n]{0,300}") {
            let mut lines = LineRecords::default();
            let seen = lines.scan(text.as_bytes());
            let ended = text.rsplit_once('\n').map_or("", |(ended, _)| ended);
            let count = ended.split('\n').filter(|line| !line.trim().is_empty()).count();
            prop_assert_eq!(seen.records, count as u64);
            prop_assert_eq!(seen.end, text.rfind('\n').map(|at| at + 1));
        }
    }
}
