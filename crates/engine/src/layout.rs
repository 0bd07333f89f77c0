//! From a plan to operators: which stages run where, where order must be made, and who gets how much of the memory.

use std::collections::HashMap;
use std::sync::Arc;

use dataflow_core::plan::{Plan, PlanNode, PortIndex, PortRef, SourceTime, Work};
use dataflow_core::transform::{Emits, MakeStage};
use dataflow_core::{Batch, Flow, Output, Result, Sink, Stage};

use crate::by_place::ByPlace;
use crate::by_time::ByTime;
use crate::message::Address;

mod chain;

/// One output of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutputRef {
    /// The operator's index.
    pub operator: usize,
    /// Which of its outputs.
    pub output: usize,
}

/// An output that an operator reads.
#[derive(Clone, Copy, Debug)]
pub struct Feed {
    /// The output.
    pub from: OutputRef,
    /// Which of the component's inputs it is part of: 0 is the main one.
    pub input: usize,
    /// Where its rows go; nowhere means that they stay on their worker.
    pub address: Option<Address>,
    /// The number that its rows are marked with, where those of several outputs are to be told apart.
    pub lane: Option<u32>,
    /// Whether the component reads it here for the first time: rows are counted there.
    pub first: bool,
}

/// What an operator runs.
#[derive(Clone)]
pub enum Job {
    /// Reads the source with this index among the sources.
    Read(usize),
    /// Runs a stage.
    Stage(MakeStage),
    /// Writes to a sink.
    Write(Arc<dyn Sink>),
}

/// What is known, tick by tick, of the order in which rows come to an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// They come in the stream's order.
    One,
    /// The rows of each lane, which their places tell, come in order; the lanes follow each other in the stream.
    Lanes,
    /// Nothing: they are results, or went through several unions.
    Unknown,
}

impl Lines {
    /// The lane whose rows these are, if their order is known.
    pub fn lane(self, batch: &Batch) -> Option<u32> {
        match self {
            Self::One => Some(0),
            Self::Lanes => batch.places().get(0).map(|place| place.lane()),
            Self::Unknown => None,
        }
    }
}

/// An operator to be built on every worker.
#[derive(Clone)]
pub struct Operator {
    /// The component's index in the plan.
    pub node: usize,
    /// A name for logs and `explain`.
    pub name: String,
    /// What it runs.
    pub job: Job,
    /// What it reads, one input of the component behind the other.
    pub feeds: Vec<Feed>,
    /// Where the rows of its main input go; nowhere means that they stay on their worker.
    pub address: Option<Address>,
    /// Whether it takes rows in order.
    pub ordered: bool,
    /// Whether it numbers rows that have no place.
    pub number: bool,
    /// Whether it numbers all rows, since not all have places, or theirs do not tell their order.
    pub renumber: bool,
    /// What is known of the order in which the rows of the main input come in.
    pub lines: Lines,
    /// Outputs that it writes rows to.
    pub ports: usize,
    /// Which of them something reads; the others need not be written.
    pub wanted: Vec<bool>,
    /// The output of bad rows, if something reads it.
    pub errors: Option<usize>,
    /// In which order it writes.
    pub emits: Emits,
    /// Whether what it writes goes to every worker.
    pub copies: bool,
    /// Whether it has a share of the memory for what it wrote and nobody consumed yet.
    pub amplifies: bool,
    /// Whether it has a share of the memory for state.
    pub stateful: bool,
    /// Whether saving that state copies it.
    pub copied: bool,
    /// Whether this is the component's last operator.
    pub last: bool,
}

impl Operator {
    /// Reads outputs, one behind the other, where its address says.
    fn reads(&mut self, outputs: Vec<OutputRef>, first: bool) {
        let address = self.address;
        let feed = |from| Feed {
            from,
            input: 0,
            address,
            lane: None,
            first,
        };
        self.feeds = outputs.into_iter().map(feed).collect();
    }

    /// Tells the rows of different outputs apart by the lanes of their places.
    fn mark_lanes(&mut self) {
        for (feed, lane) in self.feeds.iter_mut().zip(0..) {
            feed.lane = Some(lane);
        }
    }

    /// Outputs in all: ports, bad rows, facts (readers), and one that carries progress alone.
    pub fn outputs(&self) -> usize {
        let facts = matches!(self.job, Job::Read(_));
        self.ports + usize::from(self.errors.is_some()) + usize::from(facts) + 1
    }

    /// The output of facts, for readers.
    pub fn facts(&self) -> usize {
        self.outputs() - 2
    }
}

/// All operators, each behind those that it reads from.
#[derive(Clone, Default)]
pub struct Layout {
    /// The operators.
    pub operators: Vec<Operator>,
    /// The nodes that are sources, in the plan's order.
    pub sources: Vec<usize>,
    /// How the event times of each source count, if they do.
    pub times: Vec<Option<SourceTime>>,
}

struct Maker<'a> {
    plan: &'a Plan,
    workers: usize,
    layout: Layout,
    /// What feeds a port of the plan.
    feeds: HashMap<PortRef, Vec<OutputRef>>,
    /// Whether rows of an output carry places, and how many unions marked them.
    places: HashMap<OutputRef, Option<usize>>,
    wants_order: Vec<bool>,
    /// How the event times of each node count, if it is a source and they do.
    times: Vec<Option<SourceTime>>,
    /// The operator that puts the bad rows of a node in the order of their places.
    by_place: HashMap<usize, OutputRef>,
    gathers: usize,
}

/// Lays a plan out for so many workers.
pub fn lay_out(plan: &Plan, workers: usize) -> Layout {
    let mut maker = Maker {
        plan,
        workers,
        layout: Layout::default(),
        feeds: HashMap::new(),
        places: HashMap::new(),
        wants_order: plan.nodes_in_order(true),
        times: plan.times(),
        by_place: HashMap::new(),
        gathers: 0,
    };
    for (index, node) in plan.nodes.iter().enumerate() {
        maker.node(index, node);
    }
    let sources = maker.layout.sources.iter();
    maker.layout.times = sources.map(|source| maker.times[*source]).collect();
    maker.layout
}

impl Maker<'_> {
    fn node(&mut self, index: usize, node: &PlanNode) {
        match &node.work {
            Work::Source(_) => self.source(index, node),
            Work::Transform(transform) => self.transform(index, node, transform.as_ref()),
            Work::Sink(sink) => self.sink(index, node, sink),
        }
    }

    fn is_read(&self, port: PortRef) -> bool {
        let mut inputs = self
            .plan
            .nodes
            .iter()
            .flat_map(|node| node.inputs.iter().flatten());
        inputs.any(|input| *input == port)
    }

    fn errors_are_read(&self, index: usize) -> bool {
        self.is_read(PortRef {
            node: index,
            port: PortIndex::Errors,
        })
    }

    fn blank(&self, index: usize, name: String, job: Job, ports: usize) -> Operator {
        Operator {
            node: index,
            name,
            job,
            feeds: Vec::new(),
            address: None,
            ordered: false,
            number: false,
            renumber: false,
            lines: Lines::One,
            ports,
            wanted: vec![true; ports],
            errors: self.errors_are_read(index).then_some(ports),
            emits: Emits::InOrder,
            copies: false,
            amplifies: false,
            stateful: false,
            copied: false,
            last: true,
        }
    }

    /// Adds an operator; what it writes has places as given.
    fn add(&mut self, operator: Operator, places: Option<usize>) -> usize {
        let index = self.layout.operators.len();
        if let Some(output) = operator.errors {
            let from = OutputRef {
                operator: index,
                output,
            };
            let port = PortRef {
                node: operator.node,
                port: PortIndex::Errors,
            };
            self.feeds.entry(port).or_default().push(from);
            self.places.insert(from, None);
        }
        for output in 0..operator.ports {
            self.places.insert(
                OutputRef {
                    operator: index,
                    output,
                },
                places,
            );
        }
        self.layout.operators.push(operator);
        index
    }

    fn publish(&mut self, index: usize, operator: usize, ports: usize) {
        for output in 0..ports {
            let port = PortRef {
                node: index,
                port: PortIndex::Declared(output),
            };
            // What an earlier stage writes to is its own.
            self.feeds
                .entry(port)
                .or_insert_with(|| vec![OutputRef { operator, output }]);
        }
    }

    fn source(&mut self, index: usize, node: &PlanNode) {
        let number = self.layout.sources.len();
        self.layout.sources.push(index);
        let ports = node.ports.len();
        let operator = self.blank(index, node.id.to_string(), Job::Read(number), ports);
        let added = self.add(operator, Some(0));
        self.publish(index, added, ports);
    }

    /// The outputs that feed an input of a node.
    fn inputs(&mut self, written: &[PortRef]) -> Vec<OutputRef> {
        let mut inputs = Vec::new();
        for port in written.iter().copied() {
            let feeds = self.feeds.get(&port).cloned().unwrap_or_default();
            if port.port == PortIndex::Errors && self.is_aligned(port.node) {
                let known = self.by_place.get(&port.node).copied();
                let ordered = known.unwrap_or_else(|| self.by_place(port.node, "errors", feeds));
                self.by_place.insert(port.node, ordered);
                inputs.push(ordered);
            } else {
                inputs.extend(feeds);
            }
        }
        inputs
    }

    /// Whether a node's rows may come of splits that are read side by side.
    fn is_aligned(&self, node: usize) -> bool {
        let aligned = self.times[node].is_some_and(|time| time.aligned);
        let mut inputs = self.plan.nodes[node].inputs.iter().flatten();
        aligned || inputs.any(|input| self.is_aligned(input.node))
    }

    /// An operator that puts rows in the order of their places.
    fn by_place(&mut self, index: usize, what: &str, inputs: Vec<OutputRef>) -> OutputRef {
        let name = format!("{}: {what} in order", self.plan.nodes[index].id);
        let make: MakeStage = Arc::new(|context| Ok(Box::new(ByPlace::new(&context)?)));
        let mut operator = self.blank(index, name, Job::Stage(make), 1);
        operator.errors = None;
        operator.address = Some(self.gather());
        operator.reads(inputs, false);
        operator.emits = Emits::SortedAtEnd;
        operator.stateful = true;
        operator.amplifies = true;
        operator.lines = Lines::Unknown;
        operator.last = false;
        let added = self.add(operator, None);
        OutputRef {
            operator: added,
            output: 0,
        }
    }

    fn gather(&mut self) -> Address {
        self.gathers += 1;
        Address::Worker(self.workers - 1 - (self.gathers - 1) % self.workers)
    }

    /// An operator that makes one ordered stream of its inputs, whose places tell its order: they are marked as those of a union, or
    /// given anew where that does not suffice.
    fn settle(&mut self, index: usize, node: &PlanNode, inputs: Vec<OutputRef>) -> Vec<OutputRef> {
        let make: MakeStage = Arc::new(|_| Ok(Box::new(Pass)));
        let mut operator = self.blank(index, format!("{}: in order", node.id), Job::Stage(make), 1);
        let renumber = self.depth(&inputs) != Some(0);
        let many = inputs.len() > 1;
        operator.errors = None;
        operator.address = Some(self.gather());
        operator.reads(inputs, false);
        if many && !renumber {
            operator.mark_lanes();
        }
        operator.ordered = true;
        operator.number = true;
        operator.renumber = renumber;
        // Inputs that waited come back from disk all at once.
        operator.amplifies = many;
        operator.last = false;
        let added = self.add(operator, Some(usize::from(many && !renumber)));
        vec![OutputRef {
            operator: added,
            output: 0,
        }]
    }

    /// An operator that puts the rows of several outputs in the order of their time.
    fn meet_in_time(&mut self, index: usize, node: &PlanNode, from: Vec<OutputRef>) -> OutputRef {
        let mut placed = Vec::new();
        for output in from {
            // Rows of one instant come input after input, each in its own order, which places tell.
            match self.depth(&[output]) {
                Some(0) => placed.push(output),
                _ => placed.extend(self.settle(index, node, vec![output])),
            }
        }
        let name = format!("{}: in the order of time", node.id);
        let make: MakeStage = Arc::new(|context| Ok(Box::new(ByTime::new(&context))));
        let mut operator = self.blank(index, name, Job::Stage(make), 1);
        operator.errors = None;
        operator.address = Some(self.gather());
        operator.reads(placed, false);
        for (feed, lane) in operator.feeds.iter_mut().zip(0..) {
            feed.lane = Some(lane);
        }
        operator.stateful = true;
        operator.amplifies = true;
        operator.lines = Lines::Unknown;
        operator.last = false;
        let added = self.add(operator, None);
        OutputRef {
            operator: added,
            output: 0,
        }
    }

    /// How deep the inputs' places are marked by unions; none if some have no places.
    fn depth(&self, inputs: &[OutputRef]) -> Option<usize> {
        let depths: Option<Vec<usize>> = inputs
            .iter()
            .map(|input| self.places.get(input).copied().flatten())
            .collect();
        depths.map(|depths| depths.into_iter().max().unwrap_or(0))
    }

    fn sink(&mut self, index: usize, node: &PlanNode, sink: &Arc<dyn Sink>) {
        let mut operator = self.blank(index, node.id.to_string(), Job::Write(Arc::clone(sink)), 0);
        let read: Vec<PortRef> = node.inputs.iter().flatten().copied().collect();
        let mut inputs = self.inputs(&read);
        if self.plan.meets_in_time(index) {
            inputs = vec![self.meet_in_time(index, node, inputs)];
        }
        operator.address = Some(self.gather());
        operator.reads(inputs, true);
        operator.ordered = true;
        self.add(operator, None);
    }
}

/// Hands rows on as they are.
struct Pass;

impl Stage for Pass {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        out.send(0, batch);
        Ok(Flow::Ready)
    }
}

/// How the memory budget is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// For all sources together: pieces admitted and not yet consumed.
    pub sources: usize,
    /// For each amplifying operator on each worker: written and not yet consumed.
    pub amplifying: usize,
    /// For each stateful operator on each worker.
    pub state: usize,
    /// For each input of an ordered operator that waits for its turn, on each worker where it does; and for what waits for each
    /// writer.
    pub waiting: usize,
}

/// What a reader needs for decoding, apart from the pieces.
const DECODING: usize = 10 << 20;

impl Layout {
    /// Divides `memory` bytes among the operators. Where they are `saved`, there is room for copies of their states.
    pub fn shares(&self, memory: usize, workers: usize, saved: bool) -> Shares {
        let decoding = (DECODING * workers * self.sources.len()).min(memory / 3);
        let rest = memory - decoding;
        let count = |wanted: fn(&Operator) -> bool| {
            self.operators.iter().filter(|o| wanted(o)).count() * workers
        };
        let amplifying = count(|operator| operator.amplifies);
        let stateful = count(|operator| operator.stateful);
        let copies = if saved {
            count(|operator| operator.copied)
        } else {
            0
        };
        let waiting: usize = self
            .operators
            .iter()
            .filter(|o| o.ordered)
            .map(|o| {
                let on = match o.address {
                    Some(Address::Owner) => workers,
                    _ => 1,
                };
                o.feeds.len().saturating_sub(1) * on
            })
            .sum();
        let written = count(|operator| matches!(operator.job, Job::Write(_))) / workers;
        let waiting = waiting + written;
        Shares {
            sources: rest / 5,
            amplifying: rest * 3 / 20 / amplifying.max(1),
            state: rest * 3 / 5 / (stateful + copies).max(1),
            waiting: rest / 20 / waiting.max(1),
        }
    }
}
