//! What is wrong with a pipeline file, collected so that all of it can be shown at once.

use std::ops::Range;

use crate::{Located, Span};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The pipeline cannot run.
    Error,
    /// It can, but probably not as meant.
    Warning,
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: a sentence without a full stop, names in backquotes.
    pub message: String,
    /// Where it was written.
    pub span: Option<Span>,
    /// The part of the *value* (the string as read, quotes and escapes undone) at `span` that is meant.
    pub within: Option<Range<usize>>,
    /// What to do, if there is more to say than the message does.
    pub help: Option<String>,
    /// Whether the data is wrong rather than the pipeline: a file that is missing, empty or damaged.
    pub of_data: bool,
}

impl Problem {
    /// An error about what stands at `span`.
    pub fn error(message: impl Into<String>, span: Option<Span>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span,
            within: None,
            help: None,
            of_data: false,
        }
    }

    /// A warning about what stands at `span`.
    pub fn warning(message: impl Into<String>, span: Option<Span>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(message, span)
        }
    }

    /// An error about a part of a text value.
    pub fn inside(message: impl Into<String>, text: &Located<String>, part: Range<usize>) -> Self {
        Self {
            within: Some(part),
            ..Self::error(message, text.span)
        }
    }

    /// Says that it is the data that is wrong.
    #[must_use]
    pub fn of_data(self) -> Self {
        Self {
            of_data: true,
            ..self
        }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to do, where there is something to say.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

/// All problems found so far.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one, unless the same was said of the same place.
    pub fn push(&mut self, problem: Problem) {
        if !self.list.contains(&problem) {
            self.list.push(problem);
        }
    }

    /// Whether an error (not only warnings) is among them.
    pub fn any_error(&self) -> bool {
        self.list.iter().any(|p| p.severity == Severity::Error)
    }

    /// Whether there are errors, and all of them are about data.
    pub fn only_data(&self) -> bool {
        let mut errors = self.list.iter().filter(|p| p.severity == Severity::Error);
        self.any_error() && errors.all(|p| p.of_data)
    }

    /// All of them, in the order in which they were found.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// All of them, in the order in which they stand in the file; those without a place come last.
    pub fn in_file_order(&self) -> Vec<&Problem> {
        let mut list: Vec<&Problem> = self.list.iter().collect();
        let place = |p: &Problem| {
            let inner = p.within.as_ref().map_or(0, |r| r.start);
            p.span.map_or((usize::MAX, inner), |s| (s.start, inner))
        };
        list.sort_by_key(|p| place(p));
        list
    }
}

/// The name in `known` that `wrong` was probably meant to be: ``did you mean `x`?``
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = wrong.to_lowercase();
    let allowed = match wrong.chars().count() {
        0..=3 => 1,
        4..=5 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&lower, &name.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, name)| (*distance, *name))
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        let known = ["filter", "select", "aggregate"];
        assert_eq!(
            did_you_mean("fliter", known).as_deref(),
            Some("did you mean `filter`?")
        );
        assert_eq!(
            did_you_mean("Aggregate", known).as_deref(),
            Some("did you mean `aggregate`?")
        );
        assert_eq!(did_you_mean("quantile", known), None);
    }

    #[test]
    fn problems_come_in_file_order_and_once() {
        let at = |start| {
            Some(Span {
                start,
                end: start + 1,
            })
        };
        let mut problems = Problems::new();
        problems.push(Problem::error("b", at(9)));
        problems.push(Problem::warning("a", at(2)));
        problems.push(Problem::error("b", at(9)));
        problems.push(Problem::error("c", None));
        let order: Vec<&str> = problems
            .in_file_order()
            .iter()
            .map(|p| p.message.as_str())
            .collect();
        assert_eq!(order, ["a", "b", "c"]);
        assert!(problems.any_error());
    }
}
