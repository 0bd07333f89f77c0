//! The plan of a pipeline's test: the rows that go in instead of inputs and sources, and sinks behind what is expected.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflow_core::plan::{MaxErrors, OnError, Plan, PlanNode, PortIndex, PortRef, Work};
use dataflow_core::{Sink, Source};

use crate::cases::{Insert, PipelineTest};
use crate::memory::MemorySource;

/// The part of a plan that a test needs: its rows instead of inputs and sources, and a sink behind each expected output,
/// which `collect` makes (it is given the index in [`PipelineTest::expect`]).
pub(crate) fn plan(
    full: &Plan,
    test: &PipelineTest,
    collect: &dyn Fn(usize) -> Arc<dyn Sink>,
) -> Plan {
    let mut cut = Cut {
        full,
        test,
        number: BTreeMap::new(),
        nodes: Vec::new(),
    };
    for (at, expect) in test.expect.iter().enumerate() {
        let read = cut.output(expect.output);
        cut.nodes.push(PlanNode {
            id: format!("expect_{at}").into(),
            type_name: "test".into(),
            work: Work::Sink(collect(at)),
            inputs: vec![vec![read]],
            ports: Vec::new(),
            on_error: OnError::Fail,
        });
    }
    cut.settle_errors();
    Plan {
        name: full.name.clone(),
        nodes: cut.nodes,
    }
}

struct Cut<'a> {
    full: &'a Plan,
    test: &'a PipelineTest,
    /// Nodes of the full plan by their number in the new one.
    number: BTreeMap<usize, usize>,
    nodes: Vec<PlanNode>,
}

impl Cut<'_> {
    fn output(&mut self, read: PortRef) -> PortRef {
        PortRef {
            node: self.node(read.node),
            port: read.port,
        }
    }

    fn outputs(&mut self, reads: &[PortRef]) -> Vec<PortRef> {
        reads.iter().map(|read| self.output(*read)).collect()
    }

    /// The node's number in the new plan, where it comes behind all that it reads from.
    fn node(&mut self, at: usize) -> usize {
        if let Some(known) = self.number.get(&at) {
            return *known;
        }
        let mut node = self.full.nodes[at].clone();
        let test = self.test;
        let insert = |input: usize| {
            let mut inserts = test.insert.iter();
            inserts.find(|insert| (insert.node, insert.input) == (at, input))
        };
        let inputs = std::mem::take(&mut node.inputs);
        if let Work::Source(source) = &node.work {
            let empty = MemorySource::empty(Arc::clone(&node.id), node.ports.clone());
            let rows = insert(0).map(|insert| insert.batch.clone());
            node.work = Work::Source(source.stand_in(Arc::new(empty.with_rows(rows))));
        } else {
            let input = |(input, reads): (usize, &Vec<PortRef>)| match insert(input) {
                Some(insert) => self.rows(insert, reads),
                None => self.outputs(reads),
            };
            node.inputs = inputs.iter().enumerate().map(input).collect();
        }
        self.nodes.push(node);
        self.number.insert(at, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// A source of the inserted rows, as an input. What a source alone would have added to such rows, it adds to them.
    fn rows(&mut self, insert: &Insert, instead: &[PortRef]) -> Vec<PortRef> {
        let rows = MemorySource::new(insert.at.as_str(), insert.batch.clone());
        let mut source: Arc<dyn Source> = Arc::new(rows);
        if let [read] = instead
            && read.port == PortIndex::Declared(0)
            && let Work::Source(read) = &self.full.nodes[read.node].work
        {
            source = read.stand_in(source);
        }
        self.nodes.push(PlanNode {
            id: format!("insert_{}", insert.at).into(),
            type_name: "test".into(),
            ports: source.ports().to_vec(),
            work: Work::Source(source),
            inputs: Vec::new(),
            on_error: OnError::Fail,
        });
        vec![PortRef {
            node: self.nodes.len() - 1,
            port: PortIndex::Declared(0),
        }]
    }

    /// Bad rows whose reader is not part of the test are dropped: they would have left their component.
    fn settle_errors(&mut self) {
        let reads = self
            .nodes
            .iter()
            .flat_map(|node| node.inputs.iter().flatten());
        let read: Vec<usize> = reads
            .filter(|r| r.port == PortIndex::Errors)
            .map(|r| r.node)
            .collect();
        for (at, node) in self.nodes.iter_mut().enumerate() {
            node.on_error = match (node.on_error, read.contains(&at)) {
                (OnError::Port(limit), false) => OnError::Drop(limit),
                (OnError::Fail, true) => OnError::Port(MaxErrors::Unlimited),
                (OnError::Drop(limit), true) => OnError::Port(limit),
                (same, _) => same,
            };
        }
    }
}
