//! Python's literals as the headers of NPY files have them: read as data, never run.
//!
//! A few kinds of values are all that can be in a header, so this is smaller than a parser of the language, and can do less.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Truth(bool),
    Whole(u64),
    /// A list or a tuple.
    List(Vec<Literal>),
    Table(Vec<(String, Literal)>),
}

impl Literal {
    pub fn list(&self) -> Option<&[Literal]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn whole(&self) -> Option<u64> {
        match self {
            Self::Whole(number) => Some(*number),
            _ => None,
        }
    }
}

/// How deep values may be in one another.
const DEEPEST: usize = 16;

/// Reads one value and nothing behind it; or says where it went wrong.
pub(super) fn parse(text: &str) -> Result<Literal, usize> {
    let mut parser = Parser {
        text: text.as_bytes(),
        at: 0,
    };
    let value = parser.value(0);
    parser.blanks();
    match value {
        Some(value) if parser.at == text.len() => Ok(value),
        _ => Err(parser.at),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
    }

    /// Takes this byte, if it is next.
    fn takes(&mut self, byte: u8) -> bool {
        self.blanks();
        let there = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self, depth: usize) -> Option<Literal> {
        self.blanks();
        if depth > DEEPEST {
            return None;
        }
        match self.text.get(self.at)? {
            b'{' => self.table(depth),
            b'(' => self.list(b')', depth),
            b'[' => self.list(b']', depth),
            b'\'' | b'"' => self.quoted().map(Literal::Text),
            b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    fn table(&mut self, depth: usize) -> Option<Literal> {
        self.at += 1;
        let mut entries = Vec::new();
        while !self.takes(b'}') {
            self.blanks();
            let key = self.quoted()?;
            if !self.takes(b':') {
                return None;
            }
            entries.push((key, self.value(depth + 1)?));
            if !self.takes(b',') && !self.next_is(b'}') {
                return None;
            }
        }
        Some(Literal::Table(entries))
    }

    fn list(&mut self, end: u8, depth: usize) -> Option<Literal> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.takes(end) {
            items.push(self.value(depth + 1)?);
            if !self.takes(b',') && !self.next_is(end) {
                return None;
            }
        }
        Some(Literal::List(items))
    }

    fn next_is(&mut self, byte: u8) -> bool {
        self.blanks();
        self.text.get(self.at) == Some(&byte)
    }

    fn quoted(&mut self) -> Option<String> {
        let quote = *self.text.get(self.at)?;
        if quote != b'\'' && quote != b'"' {
            return None;
        }
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let mut byte = *self.text.get(self.at)?;
            self.at += 1;
            if byte == quote {
                return String::from_utf8(text).ok();
            }
            if byte == b'\\' {
                byte = *self.text.get(self.at)?;
                self.at += 1;
            }
            text.push(byte);
        }
    }

    fn number(&mut self) -> Option<Literal> {
        let rest = &self.text[self.at..];
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let number = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        self.at += digits;
        // Python 2 marked long numbers.
        self.takes(b'L');
        Some(Literal::Whole(number))
    }

    fn word(&mut self) -> Option<Literal> {
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Some(Literal::Truth(value));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_headers_have_is_read() {
        let value = parse(
            "{'descr': [('a', '<f8'), (\"b\", '>i2', (3,))], 'ok': True, 'n': (7L, 8,), 'e': ()} \n",
        );
        let Ok(Literal::Table(entries)) = value else {
            panic!("{value:?}");
        };
        let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["descr", "ok", "n", "e"]);
        assert_eq!(entries[1].1, Literal::Truth(true));
        let whole = [7, 8].map(Literal::Whole).to_vec();
        assert_eq!(entries[2].1, Literal::List(whole));
        let fields = entries[0].1.list().expect("a list");
        assert_eq!(
            fields[1].list().expect("a tuple")[0],
            Literal::Text("b".into())
        );
    }

    #[test]
    fn anything_else_is_not() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            "{'a'}",
            "{'a': }",
            "{'a' 1}",
            "[1 2]",
            "(1",
            "'a",
            "None",
            "-1",
            "1 2",
            "__import__('os')",
            "99999999999999999999",
            "{1: 2}",
            "{'a': 1 'b': 2}",
            &deep,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
