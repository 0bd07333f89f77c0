//! What a component may ask while its configuration is checked, and where it reports what is wrong.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::component::Component;
use crate::{Located, Problem, Problems, Span};

/// A typed constant: a parameter in an expression, or a literal argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
    /// Several values.
    List(Vec<Value>),
}

impl Value {
    /// The number, whole or not.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(n) => Some(*n as f64),
            Self::Float(x) => Some(*x),
            _ => None,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(b) => write!(f, "{b}"),
            Self::Integer(n) => write!(f, "{n}"),
            Self::Float(x) => write!(f, "{x:?}"),
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::List(list) => {
                f.write_str("[")?;
                for (i, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// Standard input while a pipeline is checked: one source can read it, and only a run may wait for what it holds.
#[derive(Debug, Default)]
pub struct StandardInput {
    unseen: bool,
    reader: Mutex<Option<String>>,
}

impl StandardInput {
    /// One that nothing may be read from, since no run follows.
    pub fn unseen() -> Self {
        Self {
            unseen: true,
            ..Self::default()
        }
    }

    /// Whether its head may be looked at.
    pub fn may_look(&self) -> bool {
        !self.unseen
    }

    /// Takes it for a component; says which one has it already, if another does.
    pub fn take(&self, id: &str) -> Option<String> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let first = reader.get_or_insert_with(|| id.to_string());
        (first != id).then(|| first.clone())
    }
}

/// The surroundings of a component while it is checked.
pub struct Check<'a> {
    /// The component's id.
    pub id: &'a str,
    /// Where the component's table stands; used for problems that have no better place.
    pub span: Option<Span>,
    /// The pipeline's parameters, for `$name` in expressions.
    pub parameters: &'a BTreeMap<String, Value>,
    /// What the catalog offers, so that a transform can look up the parts that it is made of.
    pub catalog: &'a [Component],
    /// Read no file, not even headers.
    pub offline: bool,
    /// Standard input, for sources that read it.
    pub stdin: &'a StandardInput,
    /// When the run was first started, nanoseconds since 1970 (the value of `run_time()`).
    pub run_time: i64,
    /// What is wrong so far.
    pub problems: &'a mut Problems,
}

impl Check<'_> {
    /// Reports that something about the whole component is wrong.
    pub fn error(&mut self, message: impl Into<String>) {
        self.problems.push(Problem::error(message, self.span));
    }

    /// Reports that a value is wrong.
    pub fn error_at<T>(
        &mut self,
        value: &Located<T>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let span = value.span.or(self.span);
        self.problems
            .push(Problem::error(message, span).maybe_help(help));
    }

    /// Reports that the data which a value names is wrong.
    pub fn data_error_at<T>(
        &mut self,
        value: &Located<T>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let span = value.span.or(self.span);
        let problem = Problem::error(message, span).maybe_help(help);
        self.problems.push(problem.of_data());
    }

    /// Reports that a value is probably not meant so.
    pub fn warn_at<T>(
        &mut self,
        value: &Located<T>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let span = value.span.or(self.span);
        self.problems
            .push(Problem::warning(message, span).maybe_help(help));
    }
}
