//! The texts of a pipeline (its files, `--set` options, values with variables expanded) numbered through as one.

use std::ops::Range;
use std::sync::Arc;

use dataflow_core::Span;

use crate::literal;

/// All texts that a pipeline was read from.
///
/// Each text takes a range of numbers of its own, so that one [`Span`] says where in which text something stands. A value
/// that was not written as it is used (variables were expanded in it, or `each` made it) takes a range too and knows
/// which parts of it were written where: a problem inside such a value is shown at what the person wrote.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    segments: Vec<Segment>,
    secrets: Vec<String>,
}

#[derive(Clone, Debug)]
struct Segment {
    base: usize,
    length: usize,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    File {
        name: String,
        text: Arc<str>,
    },
    Derived {
        origin: Option<Span>,
        pieces: Vec<Part>,
    },
}

/// A part of a made value and the part of the written value that it came from.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// In the made value.
    pub made: Range<usize>,
    /// In the written value.
    pub written: Range<usize>,
    /// Whether it was taken over byte by byte.
    pub verbatim: bool,
}

impl Part {
    /// Where byte `at` of the made value came from; of a replaced part, its first or last byte.
    fn start(&self, at: usize) -> usize {
        if self.verbatim {
            self.written.start + (at - self.made.start)
        } else {
            self.written.start
        }
    }

    fn end(&self, at: usize) -> usize {
        if self.verbatim {
            self.written.start + (at - self.made.start)
        } else {
            self.written.end
        }
    }
}

/// A place in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot<'a> {
    /// The text's number, in the order in which texts were read.
    pub number: usize,
    /// The text's name: the file's path.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
    /// The bytes.
    pub range: Range<usize>,
}

impl Spot<'_> {
    /// Line and column (in characters), both from 1, of the first byte.
    pub fn position(&self) -> (usize, usize) {
        position(self.text, self.range.start)
    }

    /// Line and column, both from 1, behind the last byte.
    pub fn end_position(&self) -> (usize, usize) {
        position(self.text, self.range.end)
    }
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    (
        line,
        before[start..]
            .trim_start_matches('\u{feff}')
            .chars()
            .count()
            + 1,
    )
}

impl Texts {
    /// Takes in a text; returns the number of its first byte.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> usize {
        let text = text.into();
        let body = Body::File {
            name: name.into(),
            text: Arc::clone(&text),
        };
        self.push(text.len(), body)
    }

    /// Takes in a value of `length` bytes that was made from the value at `origin`.
    pub(crate) fn derive(
        &mut self,
        origin: Option<Span>,
        length: usize,
        pieces: Vec<Part>,
    ) -> Span {
        let start = self.push(length, Body::Derived { origin, pieces });
        Span {
            start,
            end: start + length,
        }
    }

    fn push(&mut self, length: usize, body: Body) -> usize {
        // One number more than bytes, so that the end of a text is not the start of the next.
        let base = self.segments.last().map_or(0, |s| s.base + s.length + 1);
        self.segments.push(Segment { base, length, body });
        base
    }

    /// Where a span stands; `within` is a part of the value that was read from there.
    pub fn spot(&self, span: Span, within: Option<&Range<usize>>) -> Option<Spot<'_>> {
        let number = self
            .segments
            .partition_point(|s| s.base <= span.start)
            .checked_sub(1)?;
        let segment = &self.segments[number];
        let from = (span.start - segment.base).min(segment.length);
        let to = span
            .end
            .saturating_sub(segment.base)
            .clamp(from, segment.length);
        match &segment.body {
            Body::File { name, text } => {
                let raw = boundary(text, from)..boundary(text, to);
                let range = match within {
                    Some(part) => {
                        let inner = literal::raw_range(&text[raw.clone()], part);
                        boundary(text, raw.start + inner.start)
                            ..boundary(text, raw.start + inner.end)
                    }
                    None => raw,
                };
                Some(Spot {
                    number,
                    name,
                    text,
                    range,
                })
            }
            Body::Derived { origin, pieces } => {
                let part = within.map(|part| back(pieces, part));
                self.spot((*origin)?, part.as_ref())
            }
        }
    }

    /// Takes note of a value that must never be shown.
    pub fn keep_secret(&mut self, secret: &str) {
        let secret = secret.trim();
        if !secret.is_empty() && !self.secrets.iter().any(|s| s == secret) {
            self.secrets.push(secret.to_string());
            self.secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        }
    }

    /// The text with every secret replaced by `***`, also where it was quoted with escapes.
    pub fn redact(&self, text: &str) -> String {
        let mut shown = text.to_string();
        for secret in &self.secrets {
            let quoted = format!("{secret:?}");
            let inner = &quoted[1..quoted.len() - 1];
            shown = shown.replace(secret.as_str(), "***").replace(inner, "***");
        }
        shown
    }

    /// The text with every secret covered by as many `*` as it has characters, so that columns stay where they are.
    pub(crate) fn cover(&self, text: &str) -> String {
        let mut shown = text.to_string();
        for secret in &self.secrets {
            shown = shown.replace(secret.as_str(), &"*".repeat(secret.chars().count()));
        }
        shown
    }
}

/// The nearest character boundary at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at)
        .rev()
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(0)
}

/// The part of the written value that a part of the made one came from.
fn back(pieces: &[Part], part: &Range<usize>) -> Range<usize> {
    let last = pieces.last().map_or(0, |p| p.written.end);
    let start = pieces
        .iter()
        .find(|p| p.made.contains(&part.start))
        .map_or(last, |p| p.start(part.start));
    let end = match part.end.checked_sub(1).filter(|end| *end >= part.start) {
        Some(end) => pieces
            .iter()
            .find(|p| p.made.contains(&end))
            .map_or(last, |p| p.end(part.end)),
        None => start,
    };
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_find_their_text() {
        let mut texts = Texts::default();
        let a = texts.add("a.toml", "x = 1\n");
        let b = texts.add("b.toml", "y = 'é2'\nz = 3");
        let span = |start, end| Span { start, end };
        let spot = texts.spot(span(a + 4, a + 5), None).expect("in a");
        assert_eq!((spot.name, &spot.text[spot.range.clone()]), ("a.toml", "1"));
        let spot = texts.spot(span(b + 4, b + 9), Some(&(2..3))).expect("in b");
        assert_eq!(spot.position(), (1, 7));
        let spot = texts.spot(span(b + 10, b + 11), None).expect("in b");
        assert_eq!((spot.name, spot.position()), ("b.toml", (2, 1)));
        assert!(texts.spot(span(b + 900, b + 901), None).is_some());
    }

    #[test]
    fn parts_of_made_values_are_shown_where_they_were_written() {
        let mut texts = Texts::default();
        let base = texts.add("a.toml", r#"x = "a ${b} c""#);
        let origin = Span {
            start: base + 4,
            end: base + 14,
        };
        let pieces = vec![
            Part {
                made: 0..2,
                written: 0..2,
                verbatim: true,
            },
            Part {
                made: 2..9,
                written: 2..6,
                verbatim: false,
            },
            Part {
                made: 9..11,
                written: 6..8,
                verbatim: true,
            },
        ];
        let made = texts.derive(Some(origin), 11, pieces);
        let shown = |part: Range<usize>| {
            let spot = texts.spot(made, Some(&part)).expect("placed");
            spot.text[spot.range].to_string()
        };
        assert_eq!(shown(10..11), "c");
        assert_eq!(shown(4..6), "${b}");
        assert_eq!(shown(0..11), "a ${b} c");
        let spot = texts.spot(made, None).expect("placed");
        assert_eq!(&spot.text[spot.range], r#""a ${b} c""#);
    }

    #[test]
    fn secrets_are_never_shown() {
        let mut texts = Texts::default();
        texts.keep_secret("hunter2\n");
        texts.keep_secret("a\"b");
        texts.keep_secret(" ");
        assert_eq!(
            texts.redact("hunter2 a\"b \"a\\\"b\" x"),
            "*** *** \"***\" x"
        );
    }
}
