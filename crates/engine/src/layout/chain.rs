//! The operators of a transform: a chain for each of its inputs, and behind these the chain that is common to all.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflow_core::plan::{PlanNode, PortIndex, PortRef, takes_in_order};
use dataflow_core::transform::{Emits, MakeStage, StagePlan};
use dataflow_core::{Route, Transform};

use super::{Feed, Job, Lines, Maker, OutputRef, Pass};
use crate::message::Address;

/// A transform whose operators are being made.
struct Chain<'a> {
    index: usize,
    node: &'a PlanNode,
    /// Whether some stage writes to other ports than the main one although others follow.
    sides: bool,
    /// What such stages write, by port.
    aside: BTreeMap<usize, Vec<OutputRef>>,
}

/// What feeds an input of a stage.
struct Fed {
    outputs: Vec<OutputRef>,
    /// Whether the transform reads these for the first time.
    first: bool,
    /// Whether its rows are to stay in the order of the stream.
    in_order: bool,
}

impl Maker<'_> {
    pub(super) fn transform(&mut self, index: usize, node: &PlanNode, transform: &dyn Transform) {
        let stages = transform.stages();
        let count = node.inputs.len();
        let before: Vec<_> = (0..count).map(|input| transform.before(input)).collect();
        let mut chain = Chain {
            index,
            node,
            sides: before.iter().flatten().chain(&stages).any(|s| s.sides),
            aside: BTreeMap::new(),
        };
        let mut inputs = Vec::with_capacity(count);
        for (input, own) in before.iter().enumerate() {
            let in_order = match input {
                0 => self.wants_order[index],
                _ => takes_in_order(transform, input, false),
            };
            let mut outputs = self.inputs(&node.inputs[input]);
            let meets = input == 0 && self.plan.meets_in_time(index);
            if meets && takes_in_order(transform, 0, in_order) {
                outputs = vec![self.meet_in_time(index, node, outputs)];
            }
            let mut fed = Fed {
                outputs,
                first: true,
                in_order,
            };
            for stage in own {
                let output = self.stage(&mut chain, stage, vec![fed], (input, false));
                fed = Fed {
                    outputs: vec![output],
                    first: false,
                    in_order,
                };
            }
            inputs.push(fed);
        }
        for (position, stage) in stages.iter().enumerate() {
            let last = position + 1 == stages.len();
            let output = self.stage(&mut chain, stage, inputs, (0, last));
            inputs = vec![Fed {
                outputs: vec![output],
                first: false,
                in_order: self.wants_order[index],
            }];
        }
        self.put_aside(chain);
    }

    /// The operator of a stage; `input` is the one that it reads alone, if it does, and 0 otherwise.
    fn stage(
        &mut self,
        chain: &mut Chain<'_>,
        stage: &StagePlan,
        mut inputs: Vec<Fed>,
        (input, last): (usize, bool),
    ) -> OutputRef {
        debug_assert!(
            inputs.len() < 2 || !stage.ordered,
            "a stage of several inputs takes rows in any order; what goes before it may put one in order"
        );
        for fed in &mut inputs {
            self.make_ready(chain, stage, fed);
        }
        let node = chain.node;
        let ports = match (last || stage.sides, chain.sides) {
            (true, elsewhere) if !elsewhere || stage.sides => node.ports.len(),
            _ => 1,
        };
        let name = format!("{}: {}", node.id, stage.name);
        let job = Job::Stage(Arc::clone(&stage.make));
        let mut operator = self.blank(chain.index, name, job, ports);
        operator.address = self.address(stage.route);
        operator.ordered = stage.ordered;
        operator.number = stage.ordered;
        operator.emits = stage.emits;
        operator.amplifies = stage.amplifies || stage.stateful || stage.emits == Emits::SortedAtEnd;
        operator.stateful = stage.stateful;
        operator.copied = stage.copied;
        operator.last = last;
        let goes_on = |port| port == 0 && !last;
        operator.wanted = (0..ports)
            .map(|port| goes_on(port) || self.is_read(declared(chain.index, port)))
            .collect();
        let many = inputs.first().is_some_and(|fed| fed.outputs.len() > 1);
        let depth = inputs.first().and_then(|fed| self.depth(&fed.outputs));
        let depth = depth.map(|depth| depth + usize::from(many));
        operator.lines = match depth {
            _ if input > 0 => Lines::Unknown,
            _ if stage.ordered => Lines::One,
            Some(0 | 1) if stage.route != Route::Keyed => Lines::Lanes,
            _ => Lines::Unknown,
        };
        for (input, fed) in inputs.into_iter().enumerate() {
            let feeds = self.feeds(chain, stage, operator.address, (input, fed));
            operator.feeds.extend(feeds);
        }
        let places = match stage.emits {
            Emits::InOrder if stage.ordered => Some(0),
            Emits::InOrder => depth,
            _ => None,
        };
        let wanted = operator.wanted.clone();
        let added = self.add(operator, places);
        if stage.sides && !last {
            for port in (stage.sides_from..ports).filter(|port| wanted[*port]) {
                let output = port;
                let operator = added;
                let aside = chain.aside.entry(port).or_default();
                aside.push(OutputRef { operator, output });
            }
        }
        if last {
            self.publish(chain.index, added, ports);
        }
        OutputRef {
            operator: added,
            output: 0,
        }
    }

    /// Puts an input in order where the stage, or one behind it, needs that.
    fn make_ready(&mut self, chain: &Chain<'_>, stage: &StagePlan, fed: &mut Fed) {
        let many = fed.outputs.len() > 1;
        let keeps = stage.route != Route::Gather && stage.emits == Emits::InOrder;
        let depth = self.depth(&fed.outputs);
        let unplaced = stage.places && (depth.is_none() || (many && depth > Some(0)));
        if unplaced || (many && keeps && fed.in_order) {
            let outputs = std::mem::take(&mut fed.outputs);
            fed.outputs = self.settle(chain.index, chain.node, outputs);
        }
    }

    fn address(&mut self, route: Route) -> Option<Address> {
        match route {
            Route::Local => None,
            Route::Keyed => Some(Address::Owner),
            Route::Everywhere => Some(Address::Everywhere),
            Route::Gather => Some(self.gather()),
        }
    }

    fn feeds(
        &mut self,
        chain: &Chain<'_>,
        stage: &StagePlan,
        main: Option<Address>,
        (input, mut fed): (usize, Fed),
    ) -> Vec<Feed> {
        let further = || stage.further.get(input - 1).copied();
        let route = match input {
            0 => stage.route,
            _ => further().unwrap_or(stage.route),
        };
        if route == Route::Everywhere {
            self.copy(chain, &mut fed);
        }
        let address = match route {
            Route::Gather => main,
            other => self.address(other),
        };
        let marked = fed.outputs.len() > 1 && !stage.ordered;
        let feed = |(lane, from): (usize, OutputRef)| Feed {
            from,
            input,
            address,
            lane: marked.then_some(lane as u32),
            first: fed.first,
        };
        fed.outputs.iter().copied().enumerate().map(feed).collect()
    }

    /// Makes whoever writes the rows of an input send them to every worker: an operator of the transform, whose rows nobody else
    /// reads, or else one that is put in between.
    fn copy(&mut self, chain: &Chain<'_>, fed: &mut Fed) {
        if fed.first {
            let make: MakeStage = Arc::new(|_| Ok(Box::new(Pass)));
            let name = format!("{}: copies", chain.node.id);
            let mut operator = self.blank(chain.index, name, Job::Stage(make), 1);
            operator.errors = None;
            operator.reads(std::mem::take(&mut fed.outputs), true);
            if operator.feeds.len() > 1 {
                operator.mark_lanes();
            }
            operator.lines = Lines::Unknown;
            operator.last = false;
            let operator = self.add(operator, None);
            fed.outputs = vec![OutputRef {
                operator,
                output: 0,
            }];
            fed.first = false;
        }
        for output in &fed.outputs {
            self.layout.operators[output.operator].copies = true;
        }
    }

    /// What stages in the middle wrote to other ports leaves in the order of its rows' places.
    fn put_aside(&mut self, chain: Chain<'_>) {
        for (port, outputs) in chain.aside {
            let side = self.by_place(chain.index, &chain.node.ports[port].name, outputs);
            self.feeds.insert(declared(chain.index, port), vec![side]);
        }
    }
}

fn declared(node: usize, port: usize) -> PortRef {
    PortRef {
        node,
        port: PortIndex::Declared(port),
    }
}
