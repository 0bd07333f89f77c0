//! Who still wants rows: when every consumer of a source is done, its desk stops.
//!
//! Only a hint: results are the same if it is missed, the run merely reads more than it needs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use dataflow_core::plan::Plan;

use crate::abort::lock;

type Wake = Box<dyn Fn() + Send>;

/// Which components have said that they need nothing more.
pub struct Demand {
    done: Vec<AtomicBool>,
    /// For each component, who reads from it.
    readers: Vec<Vec<usize>>,
    wake: Mutex<Option<Wake>>,
}

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
            done: plan.nodes.iter().map(|_| AtomicBool::new(false)).collect(),
            readers,
            wake: Mutex::new(None),
        }
    }

    /// Calls `wake` when somebody is done.
    pub fn wake_with(&self, wake: impl Fn() + Send + 'static) {
        *lock(&self.wake) = Some(Box::new(wake));
    }

    /// Component `node` needs nothing more.
    pub fn done(&self, node: usize) {
        self.done[node].store(true, Ordering::Release);
        if let Some(wake) = lock(&self.wake).as_ref() {
            wake();
        }
    }

    /// Whether nobody needs more rows of component `node`.
    pub fn is_done(&self, node: usize) -> bool {
        if self.done[node].load(Ordering::Acquire) {
            return true;
        }
        let readers = &self.readers[node];
        !readers.is_empty() && readers.iter().all(|reader| self.is_done(*reader))
    }
}
