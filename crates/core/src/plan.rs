//! A checked pipeline as data: the components, built, and how they are connected. The engine runs this.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::sink::Target;
use crate::transform::{Emits, Port};
use crate::{Sink, Source, StagePlan, TimeRule, Transform};

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

    /// Whether the rows of an output have event time.
    pub fn is_timed(&self, output: PortRef) -> bool {
        match output.port {
            PortIndex::Declared(port) => self.nodes[output.node].ports[port].timed,
            PortIndex::Errors => false,
        }
    }

    /// Whether a node's inputs are put together in the order of time, where their order counts: if all of several have it.
    pub fn meets_in_time(&self, node: usize) -> bool {
        let inputs = self.nodes[node].inputs.first();
        inputs.is_some_and(|all| all.len() > 1 && all.iter().all(|input| self.is_timed(*input)))
    }

    /// How the event times of each node count, if it is a source and they do: that is, if something that is connected to it, in
    /// whatever way, goes by watermarks. All that is connected has its watermarks in common.
    pub fn times(&self) -> Vec<Option<SourceTime>> {
        let (in_order, wants) = (self.nodes_in_order(false), self.nodes_in_order(true));
        let mut groups: Vec<usize> = (0..self.nodes.len()).collect();
        for (index, node) in self.nodes.iter().enumerate() {
            for input in node.inputs.iter().flatten() {
                let (here, there) = (groups[index], groups[input.node]);
                let moved = groups.iter_mut().filter(|group| **group == there);
                moved.for_each(|group| *group = here);
            }
        }
        let acts = |index: usize| match &self.nodes[index].work {
            Work::Transform(transform) => {
                let mut stages = transform.stages().into_iter();
                stages.any(|stage| stage.timed) || (wants[index] && self.meets_in_time(index))
            }
            Work::Sink(_) => self.meets_in_time(index),
            Work::Source(_) => false,
        };
        let acting = (0..self.nodes.len()).filter(|index| acts(*index));
        let acting: Vec<usize> = acting.map(|index| groups[index]).collect();
        let time = |index: usize| {
            let Work::Source(source) = &self.nodes[index].work else {
                return None;
            };
            let rule = source.time().filter(|_| acting.contains(&groups[index]))?;
            Some(SourceTime {
                rule,
                group: groups[index],
                aligned: !in_order[index],
            })
        };
        (0..self.nodes.len()).map(time).collect()
    }

    /// For each node, whether its output reaches, through stages that keep order, one that takes rows in order. Bad rows count
    /// as output if `errors` says so.
    pub fn nodes_in_order(&self, errors: bool) -> Vec<bool> {
        let mut wants = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            for (input, from) in node.inputs.iter().enumerate() {
                let passes = match &node.work {
                    Work::Sink(_) => true,
                    Work::Source(_) => false,
                    Work::Transform(transform) => {
                        takes_in_order(transform.as_ref(), input, wants[index])
                    }
                };
                if passes {
                    // Rows that are put in the order of time may come in any.
                    let met = input == 0 && self.meets_in_time(index);
                    let from = from.iter().filter(|_| !met);
                    for from in from.filter(|from| errors || from.port != PortIndex::Errors) {
                        wants[from.node] = true;
                    }
                    wants[index] |= input == 0 && node.inputs[0].len() > 1;
                }
            }
        }
        wants
    }

    /// For each node, whether it shows in any result which of its rows come before which: something takes them in order, or goes by
    /// their places, or judges a share of bad ones row by row.
    pub fn nodes_in_place(&self) -> Vec<bool> {
        let mut shows = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let share = matches!(
                node.on_error,
                OnError::Drop(MaxErrors::Share(_)) | OnError::Port(MaxErrors::Share(_))
            );
            shows[index] |= share;
            for (input, from) in node.inputs.iter().enumerate() {
                let passes = match &node.work {
                    Work::Sink(_) => true,
                    Work::Source(_) => false,
                    Work::Transform(transform) => {
                        share
                            || self.tells_aside(index, transform.as_ref())
                            || goes_by_place(transform.as_ref(), input, shows[index])
                    }
                };
                if passes {
                    from.iter().for_each(|from| shows[from.node] = true);
                }
            }
        }
        shows
    }

    /// Whether something reads rows that a transform sorts out before its last stage: they leave in the order of their places.
    fn tells_aside(&self, index: usize, transform: &dyn Transform) -> bool {
        let inputs = 0..self.nodes[index].inputs.len();
        let own = inputs.flat_map(|input| transform.before(input));
        let sides = own.chain(transform.stages()).any(|stage| stage.sides);
        let read = self
            .nodes
            .iter()
            .flat_map(|node| node.inputs.iter().flatten());
        let mut read = read.filter(|from| from.node == index);
        read.any(|from| match from.port {
            PortIndex::Errors => true,
            PortIndex::Declared(port) => port > 0 && sides,
        })
    }

    /// The sources, as nodes, whose ends the rows of others wait for: they are read behind them, or come behind them in the order of
    /// a union.
    pub fn awaited(&self) -> BTreeSet<usize> {
        let mut awaited: BTreeSet<usize> = self.read_first().into_iter().flatten().collect();
        let (sources, wants) = (self.sources_of_nodes(), self.nodes_in_order(true));
        for (index, node) in self.nodes.iter().enumerate() {
            let in_order = match &node.work {
                Work::Source(_) => false,
                Work::Sink(_) => true,
                Work::Transform(of) => takes_in_order(of.as_ref(), 0, wants[index]),
            };
            if let (true, Some([first @ .., _])) = (in_order, node.inputs.first().map(|i| &i[..])) {
                awaited.extend(first.iter().flat_map(|from| &sources[from.node]));
            }
        }
        awaited
    }

    /// For each node, the sources that its rows come from.
    fn sources_of_nodes(&self) -> Vec<BTreeSet<usize>> {
        let mut sources: Vec<BTreeSet<usize>> = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            let inputs = node.inputs.iter().flatten();
            let mut behind: BTreeSet<usize> =
                inputs.flat_map(|f| &sources[f.node]).copied().collect();
            if let Work::Source(_) = &node.work {
                behind.insert(index);
            }
            sources.push(behind);
        }
        sources
    }

    /// For each node that is a source, the sources that are to be read to their end before it begins.
    pub fn read_first(&self) -> Vec<BTreeSet<usize>> {
        let sources = self.sources_of_nodes();
        let mut first = vec![BTreeSet::new(); self.nodes.len()];
        for node in &self.nodes {
            let Work::Transform(transform) = &node.work else {
                continue;
            };
            let of_input = |input: &usize| {
                let from = node.inputs[*input].iter();
                from.flat_map(|from| &sources[from.node])
                    .copied()
                    .collect::<BTreeSet<_>>()
            };
            let (loaded, rest): (Vec<usize>, Vec<usize>) =
                (0..node.inputs.len()).partition(|input| transform.loads(*input));
            for source in rest.iter().flat_map(of_input) {
                first[source].extend(loaded.iter().flat_map(of_input));
            }
        }
        first
    }
}

/// Whether the rows of an input of a transform reach, through stages that keep order, one that takes them in order: one of its own, or,
/// for the main input, one behind it if there is such a one.
pub fn takes_in_order(transform: &dyn Transform, input: usize, behind: bool) -> bool {
    reaches(transform, input, behind, |stage| stage.ordered)
}

/// The same for one that takes them in order or goes by their places.
fn goes_by_place(transform: &dyn Transform, input: usize, behind: bool) -> bool {
    reaches(transform, input, behind, |stage| {
        stage.ordered || stage.places
    })
}

fn reaches(
    transform: &dyn Transform,
    input: usize,
    behind: bool,
    wanted: impl Fn(&StagePlan) -> bool,
) -> bool {
    let mut stages = transform.before(input);
    let own = stages.len();
    stages.extend(transform.stages());
    if input > 0 {
        // What becomes of the order of a further input is the business of the stage that reads it.
        stages.truncate(own + 1);
    }
    let kept = stages
        .iter()
        .take_while(|stage| stage.emits == Emits::InOrder)
        .count();
    stages.iter().take(kept + 1).any(wanted) || (input == 0 && kept == stages.len() && behind)
}

/// How the event times of a source count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceTime {
    /// What the source says of them.
    pub rule: TimeRule,
    /// The sources with the same number have their watermarks in common.
    pub group: usize,
    /// Whether its splits may be read aligned in time, rather than one behind the other.
    pub aligned: bool,
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
    /// For each of its inputs, the outputs that feed it. Where there are several of these, the rows of the first come first. The main
    /// input is the first; each key that names a table is one more.
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
