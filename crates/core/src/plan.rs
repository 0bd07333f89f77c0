//! A checked pipeline as data: the components, built, and how they are connected. The engine runs this.

use std::sync::Arc;

use crate::sink::Target;
use crate::transform::{Emits, Port};
use crate::{Sink, Source, Transform};

/// A checked pipeline.
#[derive(Clone, Default)]
pub struct Plan {
    /// The pipeline's name.
    pub name: String,
    /// The components, each behind all that it reads from.
    pub nodes: Vec<PlanNode>,
}

impl Plan {
    /// How many sinks write to standard output.
    pub fn printing(&self) -> usize {
        let prints = |node: &&PlanNode| match &node.work {
            Work::Sink(sink) => sink
                .targets()
                .iter()
                .any(|target| matches!(target, Target::Printed | Target::Streamed)),
            _ => false,
        };
        self.nodes.iter().filter(prints).count()
    }

    /// For each node, whether its output reaches, through stages that keep order, one that takes rows in order. Bad rows count
    /// as output if `errors` says so.
    pub fn nodes_in_order(&self, errors: bool) -> Vec<bool> {
        let mut wants = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let passes = match &node.work {
                Work::Sink(_) => true,
                Work::Source(_) => false,
                Work::Transform(transform) => {
                    let stages = transform.stages();
                    let kept = stages
                        .iter()
                        .take_while(|stage| stage.emits == Emits::InOrder)
                        .count();
                    stages.iter().take(kept + 1).any(|stage| stage.ordered)
                        || (kept == stages.len() && wants[index])
                }
            };
            if passes {
                let inputs = node.inputs.iter().flatten();
                for input in inputs.filter(|input| errors || input.port != PortIndex::Errors) {
                    wants[input.node] = true;
                }
                wants[index] |= node.inputs.iter().any(|slot| slot.len() > 1);
            }
        }
        wants
    }
}

/// A component in a plan.
#[derive(Clone)]
pub struct PlanNode {
    /// Its id.
    pub id: Arc<str>,
    /// Its `type`.
    pub type_name: String,
    /// What it is.
    pub work: Work,
    /// For each of its inputs, the outputs that feed it. Where there are several, the rows of the first come first.
    pub inputs: Vec<Vec<PortRef>>,
    /// Its outputs without `errors`.
    pub ports: Vec<Port>,
    /// What becomes of rows that fail in it, where nothing reads its `errors`.
    pub on_error: OnError,
}

/// What a node does.
#[derive(Clone)]
pub enum Work {
    /// Reads.
    Source(Arc<dyn Source>),
    /// Computes.
    Transform(Arc<dyn Transform>),
    /// Writes.
    Sink(Arc<dyn Sink>),
}

/// An output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRef {
    /// The node's index in the plan.
    pub node: usize,
    /// Which output.
    pub port: PortIndex,
}

/// Which output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PortIndex {
    /// One that the component declares, by index.
    Declared(usize),
    /// Its bad rows, in the envelope of [`envelope`].
    Errors,
}

/// What becomes of rows that fail.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum OnError {
    /// The first one stops the run.
    #[default]
    Fail,
    /// They are dropped and counted, up to a limit.
    Drop(MaxErrors),
    /// Something reads the `errors` port; the limit holds all the same.
    Port(MaxErrors),
}

/// How many bad rows are too many.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum MaxErrors {
    /// No number is.
    #[default]
    Unlimited,
    /// More than so many.
    Rows(u64),
    /// More than this share of the rows (0 to 1), judged in source order after the first 1,000.
    Share(f64),
}

/// The columns of error and late rows: component, reason, message, file, row (from 1), time, data.
pub fn envelope() -> arrow_schema::SchemaRef {
    use arrow_schema::{DataType, Field, Schema, TimeUnit};
    let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("component", DataType::Utf8, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("message", DataType::Utf8, false),
        Field::new("file", DataType::Utf8, true),
        Field::new("row", DataType::UInt64, true),
        Field::new("time", time, true),
        Field::new("data", DataType::Utf8, true),
    ]))
}
