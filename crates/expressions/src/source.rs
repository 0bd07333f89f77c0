//! The text of an expression: its tokens, its tree, and which bytes of the text a part of the tree stands for.

use std::ops::Range;

use dataflow_core::{Located, Problem};
use sqlparser::ast::{CastKind, Expr, FunctionArguments, Spanned};
use sqlparser::dialect::Dialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

/// Longer texts are refused, so that nobody's stack or patience is the limit.
const MOST_BYTES: usize = 64 * 1024;
/// Tokens other than commas; a list of many values has many commas.
const MOST_TOKENS: usize = 6_000;

/// SQL scalar expressions: `"quoted"` or `` `quoted` `` identifiers, `$parameters`, `name => value` arguments.
#[derive(Debug)]
struct Sql;

impl Dialect for Sql {
    fn is_identifier_start(&self, c: char) -> bool {
        c.is_alphabetic() || c == '_'
    }
    fn is_identifier_part(&self, c: char) -> bool {
        c.is_alphanumeric() || c == '_'
    }
    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }
    fn supports_dollar_placeholder(&self) -> bool {
        true
    }
    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }
    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }
    fn supports_comma_separated_trim(&self) -> bool {
        true
    }
    fn supports_extract_comma_syntax(&self) -> bool {
        true
    }
    fn allow_extract_custom(&self) -> bool {
        true
    }
    fn allow_extract_single_quotes(&self) -> bool {
        true
    }
    fn supports_in_empty_list(&self) -> bool {
        true
    }
}

/// A token and the bytes where it stands.
#[derive(Debug)]
struct Lexeme {
    token: Token,
    at: Range<usize>,
}

/// An expression's text with its tokens.
#[derive(Debug)]
pub(crate) struct Source<'t> {
    /// The text as written.
    pub text: &'t Located<String>,
    lines: Vec<usize>,
    lexemes: Vec<Lexeme>,
}

impl<'t> Source<'t> {
    /// Reads one expression.
    pub fn parse(text: &'t Located<String>) -> Result<(Self, Expr), Problem> {
        let mut source = Self {
            text,
            lines: line_starts(text),
            lexemes: Vec::new(),
        };
        if text.trim().is_empty() {
            return Err(Problem::inside(
                "the expression is empty",
                text,
                0..text.len(),
            ));
        }
        if text.len() > MOST_BYTES {
            return Err(source.too_long());
        }
        let tokens = Tokenizer::new(&Sql, text)
            .tokenize_with_location()
            .map_err(|error| {
                let at = source.offset(error.location);
                let until = source.text.len().max(at);
                Problem::inside(sentence(&error.message), text, at..until)
            })?;
        source.lexemes = source.lexemes_of(&tokens);
        let counted = source
            .lexemes
            .iter()
            .filter(|lexeme| lexeme.token != Token::Comma);
        if counted.count() > MOST_TOKENS {
            return Err(source.too_long());
        }
        let tree = source.tree(tokens)?;
        Ok((source, tree))
    }

    fn too_long(&self) -> Problem {
        Problem::inside(
            "this expression is too long",
            self.text,
            0..self.text.len().min(40),
        )
        .help("give parts of it names of their own, in lines above")
    }

    fn tree(&self, tokens: Vec<TokenWithSpan>) -> Result<Expr, Problem> {
        let mut parser = Parser::new(&Sql).with_tokens_with_locations(tokens);
        let tree = parser
            .parse_expr()
            .map_err(|error| self.syntax_problem(error))?;
        let next = parser.peek_token();
        if next.token != Token::EOF {
            let at = self.bytes(next.span).unwrap_or(0..self.text.len());
            let message = format!("`{}` is not expected here", &self.text[at.clone()]);
            return Err(Problem::inside(message, self.text, at)
                .help("the expression was complete before it; names with odd characters need double quotes"));
        }
        Ok(tree)
    }

    fn syntax_problem(&self, error: ParserError) -> Problem {
        let message = match error {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
            ParserError::RecursionLimitExceeded => {
                return Problem::inside(
                    "this expression is nested too deeply",
                    self.text,
                    0..self.text.len(),
                )
                .help("give parts of it names of their own, in lines above");
            }
        };
        let (message, location) = match message.split_once(" at Line: ") {
            Some((message, place)) => (message, read_location(place)),
            None => (message.as_str(), None),
        };
        let at = location.map(|location| self.offset(location));
        let token = at.and_then(|at| self.lexemes.iter().find(|l| l.at.start >= at));
        let at = match (token, self.lexemes.last()) {
            (Some(token), _) => token.at.clone(),
            (None, Some(last)) => last.at.clone(),
            (None, None) => 0..self.text.len(),
        };
        let problem = Problem::inside(sentence(message), self.text, at.clone());
        match self.lexemes.iter().find(|l| l.at == at).map(|l| &l.token) {
            Some(Token::Word(word)) if word.keyword != sqlparser::keywords::Keyword::NoKeyword => {
                problem.help(format!(
                    "`{}` is a word of SQL: if a column has this name, write it in double quotes",
                    word.value
                ))
            }
            _ => problem,
        }
    }

    fn lexemes_of(&self, tokens: &[TokenWithSpan]) -> Vec<Lexeme> {
        tokens
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF))
            .filter_map(|token| {
                Some(Lexeme {
                    token: token.token.clone(),
                    at: self.bytes(token.span)?,
                })
            })
            .collect()
    }

    /// Lines and columns (in characters, from 1) as a byte of the text.
    fn offset(&self, location: Location) -> usize {
        let line = usize::try_from(location.line.saturating_sub(1)).unwrap_or(0);
        let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(0);
        let start = self.lines.get(line).copied().unwrap_or(self.text.len());
        let rest = &self.text[start..];
        start
            + rest
                .char_indices()
                .nth(column)
                .map_or(rest.len(), |(at, _)| at)
    }

    fn bytes(&self, span: Span) -> Option<Range<usize>> {
        if span.start.line == 0 || span.end.line == 0 {
            return None;
        }
        let start = self.offset(span.start);
        Some(start..self.offset(span.end).max(start))
    }

    /// The bytes of a parser's span; the whole text where the parser kept none.
    pub fn span(&self, span: Span) -> Range<usize> {
        self.bytes(span).unwrap_or(0..self.text.len())
    }

    /// The part of the text that a part of the tree stands for.
    pub fn range(&self, tree: &Expr) -> Range<usize> {
        match tree {
            Expr::BinaryOp { left, right, .. } => self.range(left).start..self.range(right).end,
            Expr::Nested(inner) => self.widened(self.range(inner), 1, 1),
            Expr::UnaryOp { expr, .. } => self.widened(self.range(expr), 1, 0),
            Expr::Interval(interval) => self.widened(
                self.range(&interval.value),
                1,
                usize::from(interval.leading_field.is_some()),
            ),
            Expr::TypedString(_) => self.widened(self.span(tree.span()), 1, 0),
            Expr::Function(call) => match call.args {
                FunctionArguments::None => self.span(tree.span()),
                _ => self.call_from(self.span(tree.span()).start),
            },
            Expr::Cast {
                expr,
                kind: CastKind::DoubleColon,
                ..
            } => self.colons_after(self.range(expr)),
            Expr::Cast { expr, .. }
            | Expr::Extract { expr, .. }
            | Expr::Ceil { expr, .. }
            | Expr::Floor { expr, .. }
            | Expr::Position { expr, .. }
            | Expr::Substring { expr, .. }
            | Expr::Trim { expr, .. }
            | Expr::Overlay { expr, .. } => self.call_around(self.range(expr)),
            _ => self.span(tree.span()),
        }
    }

    /// The text of a part of the tree.
    pub fn slice(&self, at: &Range<usize>) -> &str {
        self.text.get(at.clone()).unwrap_or(self.text)
    }

    fn widened(&self, at: Range<usize>, before: usize, after: usize) -> Range<usize> {
        let first = self.lexemes.iter().position(|l| l.at.start >= at.start);
        let last = self.lexemes.iter().rposition(|l| l.at.end <= at.end);
        let (Some(first), Some(last)) = (first, last) else {
            return at;
        };
        let start = self
            .lexemes
            .get(first.saturating_sub(before))
            .map_or(at.start, |l| l.at.start);
        let end = self
            .lexemes
            .get(last + after)
            .map_or(at.end, |l| l.at.end.max(at.end));
        start.min(at.start)..end
    }

    /// `name( ... )` where the name starts at a byte.
    fn call_from(&self, start: usize) -> Range<usize> {
        let named = self.lexemes.iter().position(|l| l.at.start == start);
        let open = named.and_then(|i| {
            let rest = self.lexemes[i..].iter();
            rest.enumerate()
                .find(|(_, l)| l.token == Token::LParen)
                .map(|(k, _)| i + k)
        });
        match open.and_then(|open| self.closing(open)) {
            Some(close) => start..self.lexemes[close].at.end,
            None => start..self.text.len(),
        }
    }

    /// `word( ... )` that stands around some bytes.
    fn call_around(&self, inner: Range<usize>) -> Range<usize> {
        let mut depth = 0_usize;
        for (i, lexeme) in self.lexemes.iter().enumerate().rev() {
            if lexeme.at.start >= inner.start {
                continue;
            }
            match lexeme.token {
                Token::RParen => depth += 1,
                Token::LParen if depth > 0 => depth -= 1,
                Token::LParen if i > 0 => {
                    let end = self
                        .closing(i)
                        .map_or(inner.end, |c| self.lexemes[c].at.end);
                    return self.lexemes[i - 1].at.start..end;
                }
                _ => {}
            }
        }
        inner
    }

    /// `inner::type` or `inner::type(1, 2)`.
    fn colons_after(&self, inner: Range<usize>) -> Range<usize> {
        let Some(colons) = self.lexemes.iter().position(|l| l.at.start >= inner.end) else {
            return inner;
        };
        let name = (colons + 1).min(self.lexemes.len() - 1);
        let end = match self.lexemes.get(name + 1) {
            Some(next) if next.token == Token::LParen => self.closing(name + 1).unwrap_or(name),
            _ => name,
        };
        inner.start..self.lexemes[end].at.end
    }

    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (i, lexeme) in self.lexemes.iter().enumerate().skip(open) {
            match lexeme.token {
                Token::LParen => depth += 1,
                Token::RParen => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(i);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(breaks).collect()
}

/// Reads what the parser writes behind `at Line: `, such as `1, Column: 5`.
fn read_location(text: &str) -> Option<Location> {
    let (line, column) = text.split_once(", Column: ")?;
    Some(Location {
        line: line.trim().parse().ok()?,
        column: column.trim().parse().ok()?,
    })
}

/// The parser's message as one of ours: ``expected an expression, found `)` ``.
fn sentence(message: &str) -> String {
    let message = message.trim().trim_end_matches('.');
    if let Some((expected, found)) = message
        .strip_prefix("Expected: ")
        .and_then(|rest| rest.split_once(", found: "))
    {
        return match found {
            "EOF" => format!("the expression ends where {expected} is expected"),
            found => format!("expected {expected}, found `{found}`"),
        };
    }
    let mut letters = message.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => "this cannot be read as an expression".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> (String, String) {
        let text = Located::nowhere(text.to_string());
        let problem = Source::parse(&text).expect_err("broken");
        let at = problem.within.unwrap_or_default();
        (problem.message, text.value[at].to_string())
    }

    #[test]
    fn broken_texts_are_pointed_at() {
        for (text, message, at) in [
            ("", "the expression is empty", ""),
            (
                "a +",
                "the expression ends where an expression is expected",
                "+",
            ),
            ("a ++ )", "expected an expression, found `)`", ")"),
            ("a b", "`b` is not expected here", "b"),
            ("é + 'x", "unterminated string literal", "'x"),
            ("(a", "the expression ends where ) is expected", "a"),
        ] {
            assert_eq!(problem(text), (message.into(), at.into()), "{text}");
        }
        assert!(problem(&"(".repeat(500)).0.contains("nested too deeply"));
        assert!(problem(&"1+".repeat(40_000)).0.contains("too long"));
        assert!(problem(&"- ".repeat(5_000)).0.contains("nested"), "signs");
    }

    #[test]
    fn parts_of_the_tree_know_their_bytes() {
        for (text, part) in [
            ("é + f(a, (b))", "f(a, (b))"),
            ("1 + cast(a as int)", "cast(a as int)"),
            ("1 + a::decimal(3, 1)", "a::decimal(3, 1)"),
            ("1 + (a * 2)", "(a * 2)"),
            ("1 + - a", "- a"),
            ("a + interval '1' day", "interval '1' day"),
            ("1 + extract(year from t)", "extract(year from t)"),
        ] {
            let text = Located::nowhere(text.to_string());
            let (source, tree) = Source::parse(&text).expect("parses");
            let Expr::BinaryOp { right, .. } = tree else {
                panic!("a sum")
            };
            assert_eq!(source.slice(&source.range(&right)), part);
        }
    }
}
