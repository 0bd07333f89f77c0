//! What stops a run: what happened, to what (component, file, row), and what to do about it.

use std::fmt;

/// The result of anything that can stop a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act on an error; it decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The input is not what the pipeline says.
    Data,
    /// The machine refused: disk, permission, memory budget.
    Resource,
    /// The pipeline asks for something that cannot be done.
    Pipeline,
    /// A bug of ours, or of a custom component.
    Internal,
    /// Somebody stopped the run.
    Stopped,
    /// Somebody stopped the run, which another one can go on with.
    Paused,
    /// Whoever reads an output has closed it. From a sink this is no failure: it needs nothing more, and the others go on.
    Closed,
}

/// An error that ends a run. It is built where it happens and gains context on the way up.
#[derive(Clone, Debug)]
pub struct Error {
    // Boxed, so that a `Result` that is fine stays small.
    inner: Box<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    fault: Fault,
    what: String,
    component: Option<String>,
    file: Option<String>,
    row: Option<u64>,
    byte: Option<u64>,
    help: Option<String>,
}

impl Error {
    /// An error of the given kind; `what` is a sentence without a full stop.
    pub fn new(fault: Fault, what: impl Into<String>) -> Self {
        let inner = Inner {
            fault,
            what: what.into(),
            component: None,
            file: None,
            row: None,
            byte: None,
            help: None,
        };
        Self {
            inner: Box::new(inner),
        }
    }

    /// The input is not what the pipeline says.
    pub fn data(what: impl Into<String>) -> Self {
        Self::new(Fault::Data, what)
    }

    /// The machine refused.
    pub fn resource(what: impl Into<String>) -> Self {
        Self::new(Fault::Resource, what)
    }

    /// A bug.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(Fault::Internal, what)
    }

    /// An operation on a file failed: `cannot <verb>: <why>`.
    pub fn io(verb: &str, path: impl fmt::Display, error: &std::io::Error) -> Self {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => Some("check the path"),
            std::io::ErrorKind::PermissionDenied => Some("check who may read or write there"),
            std::io::ErrorKind::StorageFull => Some("make room on that disk, or choose another"),
            _ => None,
        };
        let made = Self::resource(format!("cannot {verb}: {error}")).file(path.to_string());
        match help {
            Some(help) => made.help(help),
            None => made,
        }
    }

    /// Names the component, unless one is named already.
    #[must_use]
    pub fn component(mut self, id: impl Into<String>) -> Self {
        self.inner.component.get_or_insert_with(|| id.into());
        self
    }

    /// Names the file, unless one is named already.
    #[must_use]
    pub fn file(mut self, file: impl Into<String>) -> Self {
        self.inner.file.get_or_insert_with(|| file.into());
        self
    }

    /// Names the row (from 0; people are shown it from 1), unless one is named already.
    #[must_use]
    pub fn row(mut self, row: u64) -> Self {
        self.inner.row.get_or_insert(row);
        self
    }

    /// Names the byte, unless one is named already.
    #[must_use]
    pub fn byte(mut self, byte: u64) -> Self {
        self.inner.byte.get_or_insert(byte);
        self
    }

    /// Says what to do, unless something better was said already.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.inner.help.get_or_insert_with(|| help.into());
        self
    }

    /// Says something else of the same place.
    #[must_use]
    pub fn saying(mut self, what: impl Into<String>) -> Self {
        self.inner.what = what.into();
        self
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.inner.fault
    }

    /// What happened, without its context.
    pub fn what(&self) -> &str {
        &self.inner.what
    }

    /// The component that it happened in.
    pub fn in_component(&self) -> Option<&str> {
        self.inner.component.as_deref()
    }

    /// The file that it happened to.
    pub fn in_file(&self) -> Option<&str> {
        self.inner.file.as_deref()
    }

    /// The byte of the file, from 0.
    pub fn at_byte(&self) -> Option<u64> {
        self.inner.byte
    }

    /// The row, from 0.
    pub fn at_row(&self) -> Option<u64> {
        self.inner.row
    }

    /// What to do.
    pub fn helps(&self) -> Option<&str> {
        self.inner.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(component) = &self.inner.component {
            write!(f, "{component}: ")?;
        }
        write!(f, "{}", self.inner.what)?;
        let file = self.inner.file.iter().map(Clone::clone);
        let row = self.inner.row.map(|row| format!("row {}", row + 1));
        let byte = self.inner.byte.map(|byte| format!("byte {byte}"));
        let place: Vec<String> = file.chain(row).chain(byte).collect();
        if !place.is_empty() {
            write!(f, " ({})", place.join(", "))?;
        }
        if let Some(help) = &self.inner.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<arrow_schema::ArrowError> for Error {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::data(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_a_sentence_with_its_place() {
        let error = Error::data("`12x` is not a number")
            .row(41)
            .file("a.csv")
            .component("cells")
            .component("outer")
            .help("declare the column as text");
        assert_eq!(
            error.to_string(),
            "cells: `12x` is not a number (a.csv, row 42)\n  help: declare the column as text"
        );
    }
}
