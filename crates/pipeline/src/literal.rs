//! Finds the bytes of a TOML string literal that a part of its value was written with.

use std::ops::Range;

/// For each byte of the value, the raw bytes that it was written with.
struct Positions {
    bytes: Vec<Range<usize>>,
    end: usize,
}

/// The raw bytes in `raw` (a literal with its quotes, or bare text) that `part` of the value was written with.
pub(crate) fn raw_range(raw: &str, part: &Range<usize>) -> Range<usize> {
    let positions = positions(raw);
    let at = |i: usize| positions.bytes.get(i);
    let start = at(part.start).map_or(positions.end, |r| r.start);
    match part.end.checked_sub(1).filter(|last| *last >= part.start) {
        Some(last) => start..at(last).map_or(positions.end, |r| r.end).max(start),
        None => start..start,
    }
}

/// The value of a literal, for tests: as long as the positions.
#[cfg(test)]
fn length(raw: &str) -> usize {
    positions(raw).bytes.len()
}

fn positions(raw: &str) -> Positions {
    let quotes = ["\"\"\"", "'''", "\"", "'"];
    let quote = quotes
        .into_iter()
        .find(|q| raw.len() >= 2 * q.len() && raw.starts_with(q) && raw.ends_with(q));
    let Some(quote) = quote else {
        return Positions {
            bytes: (0..raw.len()).map(|i| i..i + 1).collect(),
            end: raw.len(),
        };
    };
    let end = raw.len() - quote.len();
    let mut at = quote.len();
    if quote.len() == 3 {
        at += line_end(&raw[at..end]);
    }
    let mut bytes = Vec::with_capacity(end - at);
    while let Some(character) = raw[at..end].chars().next() {
        let (length, written) = if character == '\\' && quote.starts_with('"') {
            escape(&raw[at..end])
        } else {
            (character.len_utf8(), character.len_utf8())
        };
        // Parts of a character never come alone, so the whole character stands for each of its bytes.
        bytes.extend(std::iter::repeat_n(at..at + written, length));
        at += written;
    }
    Positions { bytes, end }
}

/// The bytes of a newline at the start.
fn line_end(text: &str) -> usize {
    if text.starts_with("\r\n") {
        2
    } else {
        usize::from(text.starts_with('\n'))
    }
}

/// An escape at the start of `text`: how many bytes its value has, and how many it was written with.
fn escape(text: &str) -> (usize, usize) {
    let rest = &text[1..];
    let digits = match rest.chars().next() {
        Some('x') => 2,
        Some('u') => 4,
        Some('U') => 8,
        Some(c) if c.is_ascii_whitespace() => {
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
            return (0, 1 + blank);
        }
        Some(c) => return (1, 1 + c.len_utf8()),
        None => return (1, 1),
    };
    let code = rest
        .get(1..=digits)
        .and_then(|hex| u32::from_str_radix(hex, 16).ok());
    match code.and_then(char::from_u32) {
        Some(character) => (character.len_utf8(), 2 + digits),
        None => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_are_found_behind_escapes() {
        for (raw, part, expected) in [
            (r#""abc""#, 1..2, "b"),
            (r#"'a\b'"#, 1..2, "\\"),
            (r#""a\tb""#, 2..3, "b"),
            (r#""a\tb""#, 1..2, "\\t"),
            (r#""\u00e9x""#, 2..3, "x"),
            (r#""\u00e9x""#, 0..2, "\\u00e9"),
            ("\"\"\"\nab\"\"\"", 0..1, "a"),
            ("\"\"\"a\\\n   b\"\"\"", 1..2, "b"),
            ("'''\r\nab'''", 1..2, "b"),
            ("bare", 1..3, "ar"),
            (r#""ab""#, 2..2, ""),
            (r#""ab""#, 7..9, ""),
        ] {
            assert_eq!(&raw[raw_range(raw, &part)], expected, "{raw} {part:?}");
        }
    }

    proptest! {
        #[test]
        fn every_byte_of_a_value_has_a_place(text in "[a-zé\\n\"'\\\\\u{1}]{0,12}") {
            let raw = toml::Value::String(text.clone()).to_string();
            let parsed = toml::de::DeValue::parse(&raw).expect("what toml wrote");
            prop_assert_eq!(length(&raw), parsed.get_ref().as_str().expect("text").len());
            for at in 0..=text.len() {
                let range = raw_range(&raw, &(at..text.len()));
                prop_assert!(range.end <= raw.len());
            }
        }
    }
}
