//! A pull parser for one JSON value (RFC 8259), strict, over the bytes of a line.

use std::ops::Range;

pub(crate) use super::wrong::Wrong;
use crate::text::masks;

/// How deep values may nest.
const MOST_DEPTH: usize = 128;

/// A string whose escapes are undone.
pub(crate) enum Text {
    /// It stands in the line as it is.
    Here(Range<usize>),
    /// It was written to the scratch.
    Scratch,
}

/// Reads one value from the start to the end.
pub(crate) struct Json<'a> {
    line: &'a [u8],
    at: usize,
    scratch: &'a mut Vec<u8>,
}

impl<'a> Json<'a> {
    /// Reads valid UTF-8.
    pub(crate) fn new(line: &'a [u8], scratch: &'a mut Vec<u8>) -> Self {
        Self {
            line,
            at: 0,
            scratch,
        }
    }

    /// Goes to the object that the line must be.
    #[inline]
    pub(crate) fn at_object(mut self) -> Result<Self, Wrong> {
        self.space();
        if self.peek() != b'{' {
            return self.wrong("an object");
        }
        Ok(self)
    }

    #[cold]
    fn wrong<T>(&self, expected: &'static str) -> Result<T, Wrong> {
        Err(Wrong::Syntax {
            at: self.at,
            expected,
        })
    }

    /// The next byte, 0 at the end.
    #[inline]
    pub(crate) fn peek(&self) -> u8 {
        self.line.get(self.at).copied().unwrap_or(0)
    }

    /// Where the next byte stands.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// What was read since a position.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        &self.line[start..self.at]
    }

    /// Skips white space.
    #[inline]
    pub(crate) fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    /// Takes these bytes if they are next.
    #[inline]
    pub(crate) fn take(&mut self, bytes: &[u8]) -> bool {
        let next = self.line[self.at..].starts_with(bytes);
        if next {
            self.at += bytes.len();
        }
        next
    }

    /// Takes a byte that must be next.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8, name: &'static str) -> Result<(), Wrong> {
        if self.peek() != byte {
            return self.wrong(name);
        }
        self.at += 1;
        Ok(())
    }

    /// Takes a comma, or the byte that closes; whether it was that.
    #[inline]
    pub(crate) fn comma_or(&mut self, close: u8, names: &'static str) -> Result<bool, Wrong> {
        let byte = self.peek();
        if byte != b',' && byte != close {
            return self.wrong(names);
        }
        self.at += 1;
        Ok(byte == close)
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&mut self) -> Result<(), Wrong> {
        self.space();
        if self.at < self.line.len() {
            return self.wrong("the end");
        }
        Ok(())
    }

    /// Takes a word.
    #[inline]
    pub(crate) fn literal(&mut self, word: &'static str) -> Result<(), Wrong> {
        if !self.take(word.as_bytes()) {
            return self.wrong(word);
        }
        Ok(())
    }

    /// The text of a string that was read last.
    #[inline]
    pub(crate) fn text(&self, text: &Text) -> &[u8] {
        match text {
            Text::Here(range) => &self.line[range.clone()],
            Text::Scratch => self.scratch,
        }
    }

    /// Reads a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Text, Wrong> {
        self.expect(b'"', "`\"`")?;
        let start = self.at;
        self.at += masks::plain_text(&self.line[start..]);
        if self.peek() == b'"' {
            self.at += 1;
            return Ok(Text::Here(start..self.at - 1));
        }
        self.string_with_escapes(start)
    }

    fn string_with_escapes(&mut self, start: usize) -> Result<Text, Wrong> {
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.line[start..self.at]);
        loop {
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(Text::Scratch);
                }
                b'\\' => self.escape()?,
                _ => return self.wrong("the end of a string, without control characters,"),
            }
            let start = self.at;
            self.at += masks::plain_text(&self.line[start..]);
            self.scratch.extend_from_slice(&self.line[start..self.at]);
        }
    }

    fn escape(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        let plain = match self.peek() {
            b'"' => b'"',
            b'\\' => b'\\',
            b'/' => b'/',
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode_escape(),
            _ => return self.wrong("an escape such as \\n or \\u00e4"),
        };
        self.at += 1;
        self.scratch.push(plain);
        Ok(())
    }

    fn unicode_escape(&mut self) -> Result<(), Wrong> {
        let high = self.code_unit()?;
        let code = match high {
            0xd800..0xdc00 if self.peek() == b'\\' => {
                self.at += 1;
                let low = self.code_unit()?;
                if !(0xdc00..0xe000).contains(&low) {
                    return self.wrong("the second half of a surrogate pair before this");
                }
                0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00))
            }
            code => code,
        };
        match char::from_u32(code) {
            Some(character) => {
                let mut utf8 = [0; 4];
                let text = character.encode_utf8(&mut utf8);
                self.scratch.extend_from_slice(text.as_bytes());
                Ok(())
            }
            None => self.wrong("a whole surrogate pair before this"),
        }
    }

    /// `u` and four hexadecimal digits.
    fn code_unit(&mut self) -> Result<u32, Wrong> {
        let text = self.line.get(self.at..self.at + 5).unwrap_or_default();
        let digits = text.strip_prefix(b"u").unwrap_or_default();
        let mut unit = 0;
        for digit in digits {
            match (*digit as char).to_digit(16) {
                Some(value) => unit = unit << 4 | value,
                None => return self.wrong("\\u and four hexadecimal digits"),
            }
        }
        if digits.is_empty() {
            return self.wrong("\\u and four hexadecimal digits");
        }
        self.at += 5;
        Ok(unit)
    }

    /// Reads over a number.
    #[inline]
    fn number(&mut self) -> Result<(), Wrong> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit at least.
    #[inline]
    fn digits(&mut self) -> Result<(), Wrong> {
        let rest = &self.line[self.at..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return self.wrong("a digit");
        }
        self.at += count;
        Ok(())
    }

    /// Reads over a value and returns it as it is written.
    #[inline]
    pub(crate) fn raw(&mut self) -> Result<&'a [u8], Wrong> {
        let start = self.at;
        match self.peek() {
            b'-' | b'0'..=b'9' => self.number()?,
            _ => self.skip()?,
        }
        Ok(self.since(start))
    }

    /// Reads over a value.
    pub(crate) fn skip(&mut self) -> Result<(), Wrong> {
        self.skip_within(MOST_DEPTH)
    }

    fn skip_within(&mut self, depth: usize) -> Result<(), Wrong> {
        match self.peek() {
            b'"' => self.string().map(|_| ()),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'{' | b'[' if depth == 0 => self.wrong("values that nest at most 128 deep"),
            b'{' => self.skip_all(b'}', "`,` or `}`", |json| {
                json.string()?;
                json.space();
                json.expect(b':', "`:`")?;
                json.space();
                json.skip_within(depth - 1)
            }),
            b'[' => self.skip_all(b']', "`,` or `]`", |json| json.skip_within(depth - 1)),
            _ => self.wrong("a value"),
        }
    }

    /// Reads over a list or an object; `one` reads over an entry.
    fn skip_all(
        &mut self,
        close: u8,
        names: &'static str,
        one: impl Fn(&mut Self) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        self.at += 1;
        self.space();
        if self.peek() == close {
            self.at += 1;
            return Ok(());
        }
        loop {
            one(self)?;
            self.space();
            if self.comma_or(close, names)? {
                return Ok(());
            }
            self.space();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_json(text: &[u8]) -> bool {
        let mut scratch = Vec::new();
        let mut json = Json::new(text, &mut scratch);
        json.space();
        json.skip().and_then(|()| json.end()).is_ok()
    }

    #[test]
    fn strict_where_json_is() {
        for (text, is) in [
            ("1", true),
            ("-0.5e+3", true),
            ("01", false),
            ("1.", false),
            (".5", false),
            ("+1", false),
            ("-", false),
            ("1e", false),
            ("NaN", false),
            ("tru", false),
            ("\"a\tb\"", false),
            ("\"\\x\"", false),
            ("\"\\ud800\"", false),
            ("\"\\ud800\\u0041\"", false),
            ("\"\\ud83d\\ude00\"", true),
            ("[1,]", false),
            ("{\"a\":1,}", false),
            ("{\"a\" : [ ] , \"b\":{ } } ", true),
            ("{a:1}", false),
            ("", false),
            ("1 2", false),
        ] {
            assert_eq!(is_json(text.as_bytes()), is, "{text}");
        }
        assert!(is_json(
            format!("{}{}", "[".repeat(127), "]".repeat(127)).as_bytes()
        ));
        assert!(!is_json(&b"[".repeat(100_000)));
    }

    #[test]
    fn strings_are_unescaped() {
        let mut scratch = Vec::new();
        let line = "\"a\\n\\\"\\\\\\/\\u00e4\\ud83d\\ude00z\"".as_bytes();
        let mut json = Json::new(line, &mut scratch);
        let text = json.string().expect("a string");
        assert_eq!(json.text(&text), "a\n\"\\/ä😀z".as_bytes());
    }

    fn json_like() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\"a\"",
            "\\",
            "\\u00e4",
            "\\ud83d",
            "\\ude00",
            "1",
            "0",
            "-",
            ".",
            "e",
            "true",
            "null",
            " ",
            "\u{e4}",
            "\u{1}",
            "long text without anything",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in json_like()) {
            let reference = match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(_) => true,
                // A number past f64 is still a number.
                Err(error) => error.to_string().contains("out of range"),
            };
            prop_assert_eq!(is_json(text.as_bytes()), reference);
        }
    }
}
