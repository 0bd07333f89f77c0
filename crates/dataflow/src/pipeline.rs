//! Loading a pipeline: from a file or a text, with parameters, against a catalog.

use std::fmt;
use std::path::{Path, PathBuf};

use dataflow_core::Value;
use dataflow_pipeline::{Checked, Load, Loaded, Parameter};

use crate::catalog::Catalog;
use crate::running::{Options, Running};
use crate::{Report, Result};

/// A pipeline about to be loaded.
#[derive(Clone, Debug)]
pub struct Builder {
    path: PathBuf,
    text: Option<String>,
    catalog: Catalog,
    load: Load,
    pulls: Vec<String>,
}

/// A checked pipeline, ready to run.
#[derive(Clone)]
pub struct Pipeline {
    checked: Checked,
    problems: dataflow_pipeline::Report,
    parameters: Vec<Parameter>,
    pulls: Vec<String>,
}

/// What is wrong with a pipeline; printed, it shows every problem at its place.
#[derive(Clone)]
pub struct LoadError {
    /// The problems.
    pub problems: Box<dataflow_pipeline::Report>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.render(false))
    }
}

impl fmt::Debug for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for LoadError {}

impl Pipeline {
    /// A pipeline from a file.
    pub fn from_file(path: impl AsRef<Path>) -> Builder {
        Builder {
            path: path.as_ref().to_path_buf(),
            text: None,
            ..Builder::empty()
        }
    }

    /// A pipeline from a text; includes are relative to the working folder.
    pub fn from_text(text: impl Into<String>) -> Builder {
        Builder {
            path: "pipeline.toml".into(),
            text: Some(text.into()),
            ..Builder::empty()
        }
    }

    /// Runs it to the end, with the settings of its file.
    ///
    /// # Errors
    /// The first error of any component; then nothing appears under a final name.
    pub fn run(&self) -> Result<Report> {
        self.start()?.finish()
    }

    /// Starts it on threads of its own.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn start(&self) -> Result<Running> {
        self.start_with(Options::default())
    }

    /// Starts it with options that change how it runs, not what comes out.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn start_with(&self, options: Options) -> Result<Running> {
        Running::start(&self.checked, &self.pulls, options)
    }

    /// The checked pipeline.
    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// Warnings, and the texts that they point into.
    pub fn problems(&self) -> &dataflow_pipeline::Report {
        &self.problems
    }

    /// Its parameters.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }
}

impl Builder {
    fn empty() -> Self {
        Self {
            path: PathBuf::new(),
            text: None,
            catalog: Catalog::default(),
            load: Load::default(),
            pulls: Vec::new(),
        }
    }

    /// With these components instead of those that come with the library.
    #[must_use]
    pub fn catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = catalog;
        self
    }

    /// Sets a parameter (or, with a dot in the name, any other key of the file).
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Parameterised>) -> Self {
        self.load.set.push(format!("{name}={}", value.into().0));
        self
    }

    /// With all that a person may say on the command line.
    #[must_use]
    pub fn options(mut self, load: Load) -> Self {
        self.load = load;
        self
    }

    /// Makes the rows of an output (`id` or `id.port`) available to [`Running::batches`].
    #[must_use]
    pub fn pull(mut self, output: &str) -> Self {
        self.load.show.push((output.to_string(), None));
        self.pulls.push(output.to_string());
        self
    }

    /// Loads and checks; also says what is wrong and what the parameters are, whatever happens.
    pub fn check(&self) -> Loaded {
        match &self.text {
            Some(text) => dataflow_pipeline::load_text(
                &self.path,
                text,
                self.catalog.components(),
                &self.load,
            ),
            None => dataflow_pipeline::load(&self.path, self.catalog.components(), &self.load),
        }
    }

    /// Loads and checks.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self) -> std::result::Result<Pipeline, LoadError> {
        let loaded = self.check();
        match loaded.pipeline {
            Some(checked) => Ok(Pipeline {
                checked,
                problems: loaded.report,
                parameters: loaded.parameters,
                pulls: self.pulls.clone(),
            }),
            None => Err(LoadError {
                problems: Box::new(loaded.report),
            }),
        }
    }
}

/// A parameter's value as it is written on the command line.
pub struct Parameterised(String);

impl From<&str> for Parameterised {
    fn from(value: &str) -> Self {
        Self(value.to_string())
    }
}

impl From<Value> for Parameterised {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) => Self(text),
            other => Self(other.to_string()),
        }
    }
}

macro_rules! parameter_from {
    ($($type:ty => $make:expr),*) => {
        $(impl From<$type> for Parameterised {
            fn from(value: $type) -> Self {
                Self($make(value))
            }
        })*
    };
}

parameter_from!(
    String => |value| value,
    bool => |value: bool| value.to_string(),
    i64 => |value: i64| value.to_string(),
    i32 => |value: i32| value.to_string(),
    f64 => |value: f64| format!("{value:?}")
);
