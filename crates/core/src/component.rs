//! A component as the catalog knows it: its name, its manual, its configuration's schema, and how to build it.

use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::accumulator::{Accepted, Call, CallProblem};
use crate::config::Node;
use crate::transform::Input;
use crate::window::Window;
use crate::{Check, Sink, Source, Transform};

/// The families of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Where rows come from.
    Source,
    /// What is done with them.
    Transform,
    /// Where they go.
    Sink,
    /// How rows are cut into the groups that a transform summarises, written as a part of the transform.
    Window,
    /// A summary of many rows, called in an expression.
    Accumulator,
}

impl Kind {
    /// All of them, in the order of the manual.
    pub const ALL: [Kind; 5] = [
        Kind::Source,
        Kind::Transform,
        Kind::Sink,
        Kind::Window,
        Kind::Accumulator,
    ];

    /// The word for one.
    pub fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Transform => "transform",
            Self::Sink => "sink",
            Self::Window => "window",
            Self::Accumulator => "accumulator",
        }
    }

    /// Whether it is a part of other components, without a table of its own in a pipeline file.
    pub fn is_part(self) -> bool {
        matches!(self, Self::Window | Self::Accumulator)
    }
}

/// What the manual says of a component.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// The `type` in a pipeline file, or the function's name.
    pub name: &'static str,
    /// One sentence without a full stop.
    pub summary: &'static str,
    /// Paragraphs in Markdown: the idea, its cost per row, its memory, when it fails.
    pub manual: &'static str,
    /// For a source, transform or sink: the TOML of its table's body, complete and valid.
    /// For a window: the line of the transform, such as `window = { type = "count", size = 100 }`.
    /// For an accumulator: the call, such as `quantile(x, 0.99)`.
    pub example: &'static str,
    /// Ports besides the main output and `errors`: name and meaning.
    pub ports: &'static [(&'static str, &'static str)],
    /// Other spellings that people try (`avg`), for "did you mean".
    pub also_called: &'static [&'static str],
}

impl Info {
    /// An empty page, to be filled with `Info { name: .., ..Info::EMPTY }`.
    pub const EMPTY: Info = Info {
        name: "",
        summary: "",
        manual: "",
        example: "",
        ports: &[],
        also_called: &[],
    };
}

/// The configuration struct of a source, transform, sink or window: its fields' docs are the manual.
pub trait Configured: DeserializeOwned + JsonSchema + 'static {
    /// The manual's page.
    const INFO: Info;
}

/// A source's configuration.
pub trait SourceConfig: Configured {
    /// Checks the configuration and makes the source; `None` when problems were reported.
    fn build(self, check: &mut Check<'_>) -> Option<Arc<dyn Source>>;
}

/// A transform's configuration.
pub trait TransformConfig: Configured {
    /// Which of its keys name an output of another component: each is a further input, behind that of `inputs`.
    const TABLES: &'static [&'static str] = &[];

    /// Checks the configuration against the inputs (that of `inputs`, then those of [`TABLES`](Self::TABLES)) and makes the transform; `None` when problems were reported.
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>>;
}

/// A sink's configuration.
pub trait SinkConfig: Configured {
    /// Checks the configuration against the input and makes the sink; `None` when problems were reported.
    fn build(self, input: &Input, check: &mut Check<'_>) -> Option<Arc<dyn Sink>>;
}

/// A window's configuration: the keys of its table besides `type`.
pub trait WindowConfig: Configured {
    /// Checks the configuration and makes the window; `None` when problems were reported.
    fn build(self, check: &mut Check<'_>) -> Option<Window>;
}

type BuildSource = dyn Fn(&Node, &mut Check<'_>) -> Option<Arc<dyn Source>> + Send + Sync;
type BuildTransform =
    dyn Fn(&Node, &[Input], &mut Check<'_>) -> Option<Arc<dyn Transform>> + Send + Sync;
type BuildSink = dyn Fn(&Node, &Input, &mut Check<'_>) -> Option<Arc<dyn Sink>> + Send + Sync;
type BuildWindow = dyn Fn(&Node, &mut Check<'_>) -> Option<Window> + Send + Sync;
type MakeSchema = dyn Fn(&mut SchemaGenerator) -> Schema + Send + Sync;
type AcceptCall = dyn Fn(&Call) -> Result<Accepted, CallProblem> + Send + Sync;

/// How a component is built from its configuration.
#[derive(Clone)]
pub enum Build {
    /// A source.
    Source(Arc<BuildSource>),
    /// A transform.
    Transform(Arc<BuildTransform>),
    /// A sink.
    Sink(Arc<BuildSink>),
    /// A window.
    Window(Arc<BuildWindow>),
    /// An accumulator.
    Accumulator(Arc<AcceptCall>),
}

/// One entry of the catalog.
#[derive(Clone)]
pub struct Component {
    /// Its page in the manual.
    pub info: Info,
    /// The JSON schema of its configuration (none for accumulators).
    pub schema: Option<Arc<MakeSchema>>,
    /// How it is built.
    pub build: Build,
    /// Which of its keys name an output of another component that it reads besides its `inputs`.
    pub tables: &'static [&'static str],
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind().word(), self.info.name)
    }
}

fn read<C: Configured>(node: &Node, check: &mut Check<'_>) -> Option<C> {
    node.read()
        .map_err(|problem| check.problems.push(problem))
        .ok()
}

impl Component {
    /// A source of the catalog.
    pub fn source<C: SourceConfig>() -> Self {
        Self::configured::<C>(Build::Source(Arc::new(|node, check| {
            read::<C>(node, check)?.build(check)
        })))
    }

    /// A transform of the catalog.
    pub fn transform<C: TransformConfig>() -> Self {
        let build = Build::Transform(Arc::new(|node, inputs, check| {
            read::<C>(node, check)?.build(inputs, check)
        }));
        Self {
            tables: C::TABLES,
            ..Self::configured::<C>(build)
        }
    }

    /// A sink of the catalog.
    pub fn sink<C: SinkConfig>() -> Self {
        Self::configured::<C>(Build::Sink(Arc::new(|node, input, check| {
            read::<C>(node, check)?.build(input, check)
        })))
    }

    /// A window of the catalog.
    pub fn window<C: WindowConfig>() -> Self {
        Self::configured::<C>(Build::Window(Arc::new(|node, check| {
            read::<C>(node, check)?.build(check)
        })))
    }

    /// An accumulator of the catalog.
    pub fn accumulator(
        info: Info,
        accept: impl Fn(&Call) -> Result<Accepted, CallProblem> + Send + Sync + 'static,
    ) -> Self {
        Self {
            info,
            schema: None,
            build: Build::Accumulator(Arc::new(accept)),
            tables: &[],
        }
    }

    fn configured<C: Configured>(build: Build) -> Self {
        Self {
            info: C::INFO,
            schema: Some(Arc::new(|generator| generator.subschema_for::<C>())),
            build,
            tables: &[],
        }
    }

    /// Its family.
    pub fn kind(&self) -> Kind {
        match self.build {
            Build::Source(_) => Kind::Source,
            Build::Transform(_) => Kind::Transform,
            Build::Sink(_) => Kind::Sink,
            Build::Window(_) => Kind::Window,
            Build::Accumulator(_) => Kind::Accumulator,
        }
    }
}
