//! What is wrong with a line, and how that is said.

use crate::text::quoted;

/// Why a line is a bad row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wrong {
    /// It is not JSON.
    Syntax {
        /// The byte of the line.
        at: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// A value does not fit its column.
    Value {
        reason: &'static str,
        /// The value, as it is quoted in a message.
        value: String,
        /// The column and the keys inside it.
        path: String,
        expected: String,
    },
}

impl Wrong {
    /// A value that does not fit.
    #[cold]
    pub(crate) fn value(reason: &'static str, value: &[u8], expected: String) -> Self {
        Self::Value {
            reason,
            value: quoted(value),
            path: String::new(),
            expected,
        }
    }

    /// The same, seen from outside of the key `name`.
    #[cold]
    pub(crate) fn inside(self, name: &str) -> Self {
        match self {
            Self::Value {
                reason,
                value,
                path,
                expected,
            } => {
                let dot = if path.is_empty() || path.starts_with("[]") {
                    ""
                } else {
                    "."
                };
                Self::Value {
                    reason,
                    value,
                    path: format!("{name}{dot}{path}"),
                    expected,
                }
            }
            syntax => syntax,
        }
    }

    /// The reason that bad rows are counted by.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "json",
            Self::Value { reason, .. } => reason,
        }
    }

    /// The column whose type it does not fit.
    pub(crate) fn column(&self) -> Option<&str> {
        match self {
            Self::Value { path, reason, .. } if *reason != "null" && !path.is_empty() => {
                path.split(['.', '[']).next()
            }
            _ => None,
        }
    }

    /// The full sentence.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Syntax { at, expected } => {
                format!("this is not JSON: expected {expected} at byte {at} of the line")
            }
            Self::Value { reason: "utf8", .. } => "the line is not UTF-8".to_string(),
            Self::Value {
                reason: "null",
                path,
                ..
            } => format!("column `{path}` is null or absent, and must not be"),
            Self::Value {
                value,
                path,
                expected,
                ..
            } => format!("{value} in column `{path}` is not {expected}"),
        }
    }
}
