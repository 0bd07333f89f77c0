//! TOML text becomes a tree of located values; every syntax error is reported.

use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::{Problem, Problems, Span};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Values may not stand deeper inside each other than this.
const DEPTH: usize = 100;

/// Reads a document whose first byte has the number `base`. On syntax errors the result is what could be understood.
pub(crate) fn document(text: &str, base: usize, problems: &mut Problems) -> Vec<(Key, Node)> {
    let (table, errors) = DeTable::parse_recoverable(text);
    report(text, base, &errors, problems);
    let mut conversion = Conversion { base, problems };
    conversion.table(table.get_ref(), 0)
}

/// Reads a single value, or none if it is not one.
pub(crate) fn value(text: &str, base: usize) -> Option<Node> {
    let mut problems = Problems::new();
    let value = DeValue::parse(text).ok()?;
    let node = Conversion {
        base,
        problems: &mut problems,
    }
    .value(&value, 0);
    (!problems.any_error()).then_some(node)
}

/// One mistake often makes the parser stumble several times: the first on each line is the one to show, and in a table
/// that is there twice, the keys that are there twice say nothing new.
fn report(text: &str, base: usize, errors: &[toml::de::Error], problems: &mut Problems) {
    let mut lines = std::collections::BTreeSet::new();
    let mut double_table = 0..0;
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        let start = range.start.min(text.len());
        let line = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let double = error.message() == DOUBLE;
        if (double && double_table.contains(&start)) || !lines.insert(line) {
            continue;
        }
        if double && text[line..].trim_start().starts_with('[') {
            let end = text[start..].find("\n[").map_or(text.len(), |i| start + i);
            double_table = start..end;
        }
        let span = Span {
            start: base + start,
            end: base + range.end.clamp(start, text.len()),
        };
        if lines.len() > MOST_ERRORS {
            let message =
                "the rest of the file is not looked at: there is too much that is not TOML";
            problems.push(
                Problem::error(message, Some(span))
                    .help("mend what is above; is this a pipeline file at all?"),
            );
            return;
        }
        let word = text.get(start..range.end).unwrap_or_default();
        problems.push(syntax(error.message(), word, span));
    }
}

/// More mistakes than these are not shown: a file that has them is probably something else.
const MOST_ERRORS: usize = 8;

/// What the parser says of a key or table that is there twice.
const DOUBLE: &str = "duplicate key";

fn syntax(message: &str, word: &str, span: Span) -> Problem {
    if message == DOUBLE {
        return Problem::error(format!("`{word}` is written twice"), Some(span))
            .help("keep one of them");
    }
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let help = match what {
        "string values must be quoted" => Some("put quotes around text: \"...\""),
        "key with no value" | "missing value for key" => Some("write `key = value`"),
        m if m.starts_with("unclosed") || m == "invalid basic string" => {
            Some("something that was opened before this is not closed")
        }
        _ => None,
    };
    let expected = match expected {
        "" | "nothing" | "literal string" => String::new(),
        other => format!(", expected {other}"),
    };
    Problem::error(format!("this is not TOML: {what}{expected}"), Some(span))
        .maybe_help(help.map(str::to_string))
}

struct Conversion<'a> {
    base: usize,
    problems: &'a mut Problems,
}

impl Conversion<'_> {
    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span {
            start: self.base + range.start,
            end: self.base + range.end,
        }
    }

    fn table(&mut self, table: &DeTable<'_>, depth: usize) -> Vec<(Key, Node)> {
        let entries = table.iter().map(|(name, value)| {
            let key = Key {
                name: name.get_ref().to_string(),
                span: Some(self.span(name.span())),
            };
            (key, self.value(value, depth + 1))
        });
        entries.collect()
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, depth: usize) -> Node {
        let span = self.span(value.span());
        if depth > DEPTH {
            let message = format!("values stand more than {DEPTH} deep inside each other");
            self.problems.push(Problem::error(message, Some(span)));
        }
        let tree = match value.get_ref() {
            DeValue::Array(_) | DeValue::Table(_) if depth > DEPTH => Tree::Boolean(false),
            DeValue::String(text) => Tree::Text(text.to_string()),
            DeValue::Boolean(b) => Tree::Boolean(*b),
            DeValue::Datetime(time) => Tree::Text(time.to_string()),
            DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => Tree::Integer(n),
                Err(_) => {
                    self.problems.push(Problem::error(
                        format!("`{n}` does not fit in 64 bits"),
                        Some(span),
                    ));
                    Tree::Integer(0)
                }
            },
            DeValue::Float(x) => Tree::Float(x.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Array(items) => {
                Tree::List(items.iter().map(|v| self.value(v, depth + 1)).collect())
            }
            DeValue::Table(table) => Tree::Table(self.table(table, depth)),
        };
        Node {
            value: tree,
            span: Some(span),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_know_their_places() {
        let text = "a.b = \"x\"\n[t]\nc = [1, 2.5, 2025-01-01]\n";
        let mut problems = Problems::new();
        let table = document(text, 100, &mut problems);
        assert!(problems.list().is_empty());
        let node = |path: &[&str]| {
            let root = Node::from(Tree::Table(table.clone()));
            path.iter().fold(root, |n, k| n.get(k).expect(k).clone())
        };
        assert_eq!(
            node(&["a", "b"]).span,
            Some(Span {
                start: 106,
                end: 109
            })
        );
        let Tree::List(list) = node(&["t", "c"]).value else {
            panic!("a list");
        };
        assert_eq!(list[0].value, Tree::Integer(1));
        assert_eq!(list[1].value, Tree::Float(2.5));
        assert_eq!(list[2].value, Tree::Text("2025-01-01".into()));
        assert_eq!(
            value("[1]", 5).map(|n| n.span),
            Some(Some(Span { start: 5, end: 8 }))
        );
        assert!(value("a b", 5).is_none());
    }

    #[test]
    fn a_file_that_is_something_else_is_not_taken_apart() {
        let mut problems = Problems::new();
        document(&"some words\n".repeat(100), 0, &mut problems);
        assert_eq!(problems.list().len(), MOST_ERRORS + 1);
    }

    #[test]
    fn several_syntax_errors_are_found_at_once() {
        let mut problems = Problems::new();
        document("a = \nb = 1\nb = 2\nc = hello\n", 0, &mut problems);
        assert_eq!(problems.list().len(), 3, "{problems:?}");
        assert_eq!(problems.list()[1].message, "`b` is written twice");
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        let key = vec!["a"; 79].join(".");
        let text = format!("{}1{}", format!("{key} = {{ ").repeat(70), " }".repeat(70));
        let mut problems = Problems::new();
        document(&text, 0, &mut problems);
        assert!(problems.any_error());
    }
}
