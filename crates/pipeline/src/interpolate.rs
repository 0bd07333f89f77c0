//! Expands `${...}` in text values: parameters, environment variables, and secrets from files.
//!
//! `${name}` is a parameter, else an environment variable; `${name:-default}` stands in where it is not set or empty, and
//! `${name:?message}` stops with the message. `${file:path}` is the content of a file and a secret. `$${` is a plain `${`.
//! A value that is only `${name}` takes the parameter's type. Keys are never expanded.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use dataflow_core::config::{Node, Tree};
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Located, Problem, Problems, Span, Value};

use crate::options::Load;
use crate::texts::{Part, Texts};

/// Words in a variable's name that say that its value must not be shown.
const SECRET_WORDS: [&str; 7] = [
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "credential",
];

/// Whether a variable of this name holds a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    SECRET_WORDS.iter().any(|word| lower.contains(word))
}

/// Expands variables in values.
pub(crate) struct Interpolation<'a> {
    pub texts: &'a mut Texts,
    pub problems: &'a mut Problems,
    pub options: &'a Load,
    /// The parameters that may be used here.
    pub parameters: &'a BTreeMap<String, Value>,
    /// Parameters that exist but are defined further down.
    pub later: &'a [String],
    /// Parameters without a value, about which something was said already.
    pub broken: &'a [String],
    /// Whether something could not be expanded: whoever uses the value would only complain of what follows from that.
    pub failed: bool,
}

/// One `${...}` in a text.
struct Variable<'t> {
    /// All of it, braces included.
    at: Range<usize>,
    inside: &'t str,
}

enum Token<'t> {
    Text(Range<usize>),
    Variable(Variable<'t>),
    /// `$${`, which means `${`.
    Escape(Range<usize>),
    Unclosed(Range<usize>),
}

impl Interpolation<'_> {
    /// The value with all variables in it expanded.
    pub fn node(&mut self, node: &Node) -> Node {
        let value = match &node.value {
            Tree::Text(text) if text.contains("${") => return self.text(text, node.span),
            Tree::List(items) => Tree::List(items.iter().map(|n| self.node(n)).collect()),
            Tree::Table(entries) => {
                let expand = |(key, value): &(_, Node)| (Clone::clone(key), self.node(value));
                Tree::Table(entries.iter().map(expand).collect())
            }
            other => other.clone(),
        };
        Node {
            value,
            span: node.span,
        }
    }

    fn text(&mut self, text: &str, span: Option<Span>) -> Node {
        let written = Located {
            value: text.to_string(),
            span,
        };
        let tokens = tokens(text);
        if let [Token::Variable(variable)] = tokens.as_slice() {
            let value = self
                .variable(variable, &written)
                .unwrap_or_else(|| Value::Text(String::new()));
            let mut node = node_of(&value, span);
            if let Tree::Text(made) = &node.value {
                let part = replaced(0..made.len(), variable.at.clone());
                node.span = Some(self.texts.derive(span, made.len(), vec![part]));
            }
            return node;
        }
        let (mut made, mut parts) = (String::new(), Vec::new());
        for token in tokens {
            let start = made.len();
            match token {
                Token::Text(at) => {
                    made.push_str(&text[at.clone()]);
                    parts.push(Part {
                        made: start..made.len(),
                        written: at,
                        verbatim: true,
                    });
                }
                Token::Escape(at) => {
                    made.push_str("${");
                    parts.push(replaced(start..made.len(), at));
                }
                Token::Unclosed(at) => {
                    self.failed = true;
                    let problem = Problem::inside("`${` is not closed", &written, at);
                    self.problems.push(problem.help(
                        "write `${name}`, or `$${` where the characters themselves are meant",
                    ));
                }
                Token::Variable(variable) => {
                    if let Some(value) = self.variable(&variable, &written) {
                        self.append(&mut made, &value, &variable, &written);
                    }
                    parts.push(replaced(start..made.len(), variable.at));
                }
            }
        }
        let span = self.texts.derive(span, made.len(), parts);
        Node {
            value: Tree::Text(made),
            span: Some(span),
        }
    }

    fn append(
        &mut self,
        made: &mut String,
        value: &Value,
        variable: &Variable<'_>,
        written: &Located<String>,
    ) {
        match value {
            Value::Text(text) => made.push_str(text),
            Value::List(_) => {
                self.wrong(variable, written, "a list cannot stand inside a text", None);
            }
            Value::Null => {}
            other => made.push_str(&other.to_string()),
        }
    }

    /// The value of one variable; none after a problem was reported.
    fn variable(&mut self, variable: &Variable<'_>, written: &Located<String>) -> Option<Value> {
        let inside = variable.inside;
        if let Some(path) = inside.strip_prefix("file:") {
            return self.secret(path, variable, written);
        }
        let (name, rest) = match inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            Some(end) => inside.split_at(end),
            None => (inside, ""),
        };
        let known = self.lookup(name);
        let set = known.clone().filter(|v| *v != Value::Text(String::new()));
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return self.wrong(
                variable,
                written,
                "this is not the name of a variable",
                None,
            );
        }
        match (rest.get(..2), rest) {
            (None, "") => known.or_else(|| self.unknown(name, variable, written)),
            (Some(":-"), _) => Some(set.unwrap_or_else(|| Value::Text(rest[2..].to_string()))),
            (Some(":?"), _) => set.or_else(|| {
                let what = rest[2..].trim();
                let what = if what.is_empty() {
                    "it must be set"
                } else {
                    what
                };
                let message = format!("`{name}` is not set: {what}");
                self.wrong(variable, written, &message, None)
            }),
            _ => {
                let help = format!(
                    "write `${{{name}}}`, `${{{name}:-default}}` or `${{{name}:?message}}`"
                );
                let message = format!("`{rest}` is not understood behind a variable's name");
                self.wrong(variable, written, &message, Some(help))
            }
        }
    }

    fn lookup(&mut self, name: &str) -> Option<Value> {
        if let Some(value) = self.parameters.get(name) {
            return Some(value.clone());
        }
        let value = self.options.environment.get(name)?;
        if is_secret_name(name) {
            self.texts.keep_secret(value);
        }
        Some(Value::Text(value.clone()))
    }

    fn unknown(
        &mut self,
        name: &str,
        variable: &Variable<'_>,
        written: &Located<String>,
    ) -> Option<Value> {
        if self.broken.iter().any(|broken| broken == name) {
            self.failed = true;
            return None;
        }
        if self.later.iter().any(|later| later == name) {
            let message = format!("the parameter `{name}` is defined further down");
            let help = "move it above this line".to_string();
            return self.wrong(variable, written, &message, Some(help));
        }
        let message = format!("`{name}` is neither a parameter nor an environment variable");
        let help =
            did_you_mean(name, self.parameters.keys().map(String::as_str)).unwrap_or_else(|| {
                format!("add `{name} = ...` to `[params]`, or write `${{{name}:-default}}`")
            });
        self.wrong(variable, written, &message, Some(help))
    }

    fn wrong(
        &mut self,
        variable: &Variable<'_>,
        written: &Located<String>,
        message: &str,
        help: Option<String>,
    ) -> Option<Value> {
        self.failed = true;
        let problem = Problem::inside(message, written, variable.at.clone());
        self.problems.push(problem.maybe_help(help));
        None
    }

    fn secret(
        &mut self,
        path: &str,
        variable: &Variable<'_>,
        written: &Located<String>,
    ) -> Option<Value> {
        if self.options.offline {
            let problem =
                Problem::warning(format!("`{path}` was not read (offline)"), written.span);
            self.problems.push(Problem {
                within: Some(variable.at.clone()),
                ..problem
            });
            return Some(Value::Text("offline".into()));
        }
        match (self.options.read)(Path::new(path)) {
            Ok(secret) => {
                let secret = secret.trim_end_matches(['\r', '\n']);
                self.texts.keep_secret(secret);
                Some(Value::Text(secret.to_string()))
            }
            Err(error) => {
                let message = format!("cannot read the secret `{path}`: {error}");
                self.wrong(variable, written, &message, None)
            }
        }
    }
}

fn replaced(made: Range<usize>, written: Range<usize>) -> Part {
    Part {
        made,
        written,
        verbatim: false,
    }
}

/// A value as a node.
pub(crate) fn node_of(value: &Value, span: Option<Span>) -> Node {
    let value = match value {
        Value::Null => Tree::Text(String::new()),
        Value::Boolean(b) => Tree::Boolean(*b),
        Value::Integer(n) => Tree::Integer(*n),
        Value::Float(x) => Tree::Float(*x),
        Value::Text(text) => Tree::Text(text.clone()),
        Value::List(list) => Tree::List(list.iter().map(|v| node_of(v, span)).collect()),
    };
    Node { value, span }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let mut start = at + found;
        let escaped = text[at..start].ends_with('$');
        start -= usize::from(escaped);
        if start > at {
            tokens.push(Token::Text(at..start));
        }
        if escaped {
            at = start + 3;
            tokens.push(Token::Escape(start..at));
            continue;
        }
        let Some(length) = text[start..].find('}') else {
            tokens.push(Token::Unclosed(start..text.len()));
            return tokens;
        };
        at = start + length + 1;
        tokens.push(Token::Variable(Variable {
            at: start..at,
            inside: &text[start + 2..at - 1],
        }));
    }
    if at < text.len() {
        tokens.push(Token::Text(at..text.len()));
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn expand(text: &str) -> (Tree, Vec<(String, Range<usize>)>, Texts) {
        let parameters = BTreeMap::from([
            ("rate".to_string(), Value::Float(2.5)),
            ("out".to_string(), Value::Text("o".into())),
            ("empty".to_string(), Value::Text(String::new())),
            ("list".to_string(), Value::List(vec![Value::Integer(1)])),
        ]);
        let options = Load {
            environment: BTreeMap::from([
                ("HOME".into(), "/h".into()),
                ("DB_PASSWORD".into(), "pw".into()),
            ]),
            read: Arc::new(|path| match path.to_str() {
                Some("key") => Ok("s3cret\n".into()),
                _ => Err(std::io::ErrorKind::NotFound.into()),
            }),
            ..Load::default()
        };
        let (mut texts, mut problems) = (Texts::default(), Problems::new());
        let mut interpolation = Interpolation {
            texts: &mut texts,
            problems: &mut problems,
            options: &options,
            parameters: &parameters,
            later: &["below".to_string()],
            broken: &[],
            failed: false,
        };
        let node = interpolation.node(&Tree::Text(text.into()).into());
        let found = problems.list().iter();
        let found = found.map(|p| (p.message.clone(), p.within.clone().unwrap_or(0..0)));
        (node.value, found.collect(), texts)
    }

    #[test]
    fn variables_are_expanded() {
        for (text, expected) in [
            ("${rate}", Tree::Float(2.5)),
            ("${list}", Tree::List(vec![Tree::Integer(1).into()])),
            ("x${rate}", Tree::Text("x2.5".into())),
            ("${out}/${HOME}", Tree::Text("o//h".into())),
            ("${nothing:-a:b}", Tree::Text("a:b".into())),
            ("${empty:-5}", Tree::Text("5".into())),
            ("${rate:-5}", Tree::Float(2.5)),
            ("${empty}", Tree::Text(String::new())),
            ("$rate $$ $5 {x}", Tree::Text("$rate $$ $5 {x}".into())),
            ("$${rate} ${out}", Tree::Text("${rate} o".into())),
            ("${file:key}!", Tree::Text("s3cret!".into())),
        ] {
            let (value, problems, _) = expand(text);
            assert_eq!(value, expected, "{text}");
            assert!(problems.is_empty(), "{text}: {problems:?}");
        }
    }

    #[test]
    fn what_cannot_be_expanded_is_a_problem() {
        for (text, at, message) in [
            (
                "a${raet}",
                1..8,
                "`raet` is neither a parameter nor an environment variable",
            ),
            ("a${rate", 1..7, "`${` is not closed"),
            (
                "${below}",
                0..8,
                "the parameter `below` is defined further down",
            ),
            (
                "${rate:5}",
                0..9,
                "`:5` is not understood behind a variable's name",
            ),
            ("${x:?say where}", 0..15, "`x` is not set: say where"),
            ("${}", 0..3, "this is not the name of a variable"),
            ("-${list}", 1..8, "a list cannot stand inside a text"),
            (
                "${file:no}",
                0..10,
                "cannot read the secret `no`: entity not found",
            ),
        ] {
            assert_eq!(expand(text).1, [(message.to_string(), at)], "{text}");
        }
    }

    #[test]
    fn secrets_are_remembered() {
        let (_, _, texts) = expand("${file:key} ${DB_PASSWORD}");
        assert_eq!(texts.redact("s3cret pw"), "*** ***");
    }
}
