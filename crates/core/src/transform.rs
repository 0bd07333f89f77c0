//! The transform family: what a transform is to the planner (ports, needs) and to the engine (a chain of stages).

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;

use crate::sampling::{Sampled, Sampling};
use crate::source::Comparison;
use crate::{Result, Stage, StageContext};

/// An output of a component.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Empty for the main one.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// Whether its rows have event time.
    pub timed: bool,
    /// Whether its rows are early results, which later ones correct: what they are depends on the clock.
    pub provisional: bool,
    /// How its rows sample a signal, if they do.
    pub sampling: Option<Sampling>,
}

impl Port {
    /// The main output.
    pub fn main(schema: SchemaRef) -> Self {
        Self {
            name: String::new(),
            schema,
            timed: false,
            provisional: false,
            sampling: None,
        }
    }

    /// A named output.
    pub fn named(name: impl Into<String>, schema: SchemaRef) -> Self {
        Self {
            name: name.into(),
            schema,
            timed: false,
            provisional: false,
            sampling: None,
        }
    }

    /// The same, of early results.
    #[must_use]
    pub fn provisional(mut self) -> Self {
        self.provisional = true;
        self
    }

    /// The same, of rows that sample a signal, or of others.
    #[must_use]
    pub fn sampled(mut self, sampling: Option<Sampling>) -> Self {
        self.sampling = sampling;
        self
    }

    /// The same, of rows that have event time or not.
    #[must_use]
    pub fn timed(mut self, timed: bool) -> Self {
        self.timed = timed;
        self
    }
}

/// What a component is told of its input.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The ids (with ports) as written; several are read one after another.
    pub from: Vec<String>,
    /// The columns.
    pub schema: SchemaRef,
    /// Whether all of its rows have event time.
    pub timed: bool,
    /// Whether some of its rows are early results, or were made of such.
    pub provisional: bool,
    /// What is known of its rows as samples of a signal.
    pub sampled: Sampled,
}

/// Columns that are in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// All of them.
    All,
    /// These.
    Some(std::collections::BTreeSet<String>),
}

impl Columns {
    /// These, by name.
    pub fn named<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::Some(names.into_iter().map(Into::into).collect())
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: &Columns) -> Self {
        match (self, other) {
            (Self::Some(mut a), Self::Some(b)) => {
                a.extend(b.iter().cloned());
                Self::Some(a)
            }
            _ => Self::All,
        }
    }
}

/// How rows get to a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// They stay on the worker where they are.
    Local,
    /// To the owner of their key: batches must carry hashes.
    Keyed,
    /// All to one worker, the only one that has such a stage.
    Gather,
    /// A copy of each to every worker. Only for inputs besides the main one.
    Everywhere,
}

/// In which order a stage writes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emits {
    /// Rows keep the order in which they came, though some may be missing or doubled.
    InOrder,
    /// In no order that matters; only the next stage of the same transform may read this.
    Unordered,
    /// At the end, each worker writes one sorted run whose batches carry order keys; equal keys are on one worker.
    SortedAtEnd,
}

/// Makes a stage for a worker.
pub type MakeStage = Arc<dyn Fn(StageContext) -> Result<Box<dyn Stage>> + Send + Sync>;

/// One stage of a transform, as a plan.
#[derive(Clone)]
pub struct StagePlan {
    /// How rows get there.
    pub route: Route,
    /// How the rows of further inputs get there, from the second on; as `route` says where this has no entry. Only the first of
    /// the common stages has several inputs, and it takes them in any order.
    pub further: Vec<Route>,
    /// Whether rows must come in order. With `Gather`, all of them; with `Keyed`, those of each worker, and so those of each
    /// key: such a stage emits `SortedAtEnd`, since what the workers write in between has no common order. With `Local` it
    /// would need one worker.
    pub ordered: bool,
    /// Whether rows must carry places.
    pub places: bool,
    /// In which order it writes.
    pub emits: Emits,
    /// Whether it may write much more than it reads, or everything at the end.
    pub amplifies: bool,
    /// Whether it may say [`Flow::Done`](crate::Flow::Done): only then do failures of rows behind that not count.
    pub ends_early: bool,
    /// Whether it writes to the component's ports besides the main one although other stages follow. Those leave in the order of
    /// their rows' places.
    pub sides: bool,
    /// With `sides`, which of those ports is the first that it writes to, 1 or more. Those before it are the last stage's, which
    /// says `sides` too.
    pub sides_from: usize,
    /// Whether it acts on watermarks: only then are they sent at all.
    pub timed: bool,
    /// How often, by the clock, it is to write early results. It acts on watermarks then.
    pub every: Option<Duration>,
    /// Whether it keeps state that grows with keys or rows, and so gets a share of the memory.
    pub stateful: bool,
    /// Whether saving that copies it, rather than telling of batches and runs that it holds: then as much again is for the copy.
    pub copied: bool,
    /// A few words for `explain`: "partial groups", "final groups".
    pub name: &'static str,
    /// Makes it.
    pub make: MakeStage,
}

impl std::fmt::Debug for StagePlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?}, {:?})", self.name, self.route, self.emits)
    }
}

impl StagePlan {
    /// A stage that handles each row by itself, wherever it is.
    pub fn local<S: Stage + 'static>(
        name: &'static str,
        make: impl Fn(StageContext) -> Result<S> + Send + Sync + 'static,
    ) -> Self {
        Self {
            route: Route::Local,
            further: Vec::new(),
            ordered: false,
            places: false,
            emits: Emits::InOrder,
            amplifies: false,
            ends_early: false,
            sides: false,
            sides_from: 1,
            timed: false,
            every: None,
            stateful: false,
            copied: false,
            name,
            make: Arc::new(move |context| Ok(Box::new(make(context)?))),
        }
    }
}

/// What is done with rows, checked against the inputs' columns.
pub trait Transform: Send + Sync {
    /// The outputs; the first is the main one. `errors` is not listed.
    fn ports(&self) -> &[Port];

    /// The stages that rows go through, one behind the other. Where there are several inputs, the first of these takes the rows
    /// of all.
    fn stages(&self) -> Vec<StagePlan>;

    /// The stages that the rows of one input go through by themselves, before those that are common to all inputs.
    fn before(&self, input: usize) -> Vec<StagePlan> {
        let _ = input;
        Vec::new()
    }

    /// Whether all rows of an input are to come before the first row of the main input does: the sources behind it are read to
    /// their end first.
    fn loads(&self, input: usize) -> bool {
        let _ = input;
        false
    }

    /// Which columns of input `input` are needed when `wanted[port]` of the outputs are in use.
    fn needs(&self, input: usize, wanted: &[Columns]) -> Columns {
        let _ = (input, wanted);
        Columns::All
    }

    /// Conditions on columns of the main input that every row of it must meet to have any effect, for skipping. Only conditions whose
    /// evaluation cannot fail on any row belong here, and none if rows that miss them go to a connected port.
    fn requires(&self, connected_ports: &[usize]) -> Vec<Comparison> {
        let _ = connected_ports;
        Vec::new()
    }

    /// Lines for `explain`.
    fn explain(&self) -> Vec<String> {
        Vec::new()
    }
}
