//! Who still wants rows: when every consumer of a source is done, its desk stops.
//!
//! Only a hint: results are the same if it is missed, the run merely reads more than it needs. Up to which tick rows were
//! wanted is no hint: failures behind it do not count.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use dataflow_core::plan::{Plan, Work};

use crate::abort::lock;

type Wake = Box<dyn Fn() + Send>;

/// Which components have said that they need nothing more.
pub struct Demand {
    /// The tick at which each said so.
    done: Vec<AtomicU64>,
    /// Which of them may say so.
    may: Vec<bool>,
    /// For each component, who reads from it.
    readers: Vec<Vec<usize>>,
    wake: Mutex<Option<Wake>>,
}

const NOT_DONE: u64 = u64::MAX;

impl Demand {
    /// Everybody wants everything.
    pub fn new(plan: &Plan) -> Self {
        let mut readers = vec![Vec::new(); plan.nodes.len()];
        for (reader, node) in plan.nodes.iter().enumerate() {
            for input in node.inputs.iter().flatten() {
                readers[input.node].push(reader);
            }
        }
        Self {
            done: plan
                .nodes
                .iter()
                .map(|_| AtomicU64::new(NOT_DONE))
                .collect(),
            may: plan.nodes.iter().map(|node| may_end(&node.work)).collect(),
            readers,
            wake: Mutex::new(None),
        }
    }

    /// Calls `wake` when somebody is done.
    pub fn wake_with(&self, wake: impl Fn() + Send + 'static) {
        *lock(&self.wake) = Some(Box::new(wake));
    }

    /// Component `node` needs nothing more than what came up to `tick`.
    pub fn done(&self, node: usize, tick: u64) {
        self.done[node].fetch_min(tick, Ordering::AcqRel);
        if let Some(wake) = lock(&self.wake).as_ref() {
            wake();
        }
    }

    /// Whether nobody needs more rows of component `node`.
    pub fn is_done(&self, node: usize) -> bool {
        self.wanted(node).is_some()
    }

    /// The last tick whose rows anybody needed of component `node`, once nobody needs more.
    pub fn wanted(&self, node: usize) -> Option<u64> {
        let done = self.done[node].load(Ordering::Acquire);
        if done != NOT_DONE {
            return Some(done);
        }
        let readers = self.readers[node].iter();
        let wanted: Option<Vec<u64>> = readers.map(|reader| self.wanted(*reader)).collect();
        wanted?.into_iter().max()
    }

    /// Whether a time may come when nobody needs more rows of component `node`, before they end.
    pub fn may_be_done(&self, node: usize) -> bool {
        let readers = &self.readers[node];
        self.may[node]
            || (!readers.is_empty() && readers.iter().all(|reader| self.may_be_done(*reader)))
    }
}

fn may_end(work: &Work) -> bool {
    match work {
        Work::Transform(transform) => transform.stages().iter().any(|stage| stage.ends_early),
        Work::Source(_) | Work::Sink(_) => false,
    }
}
