//! Looks for more problems in a component whose table has keys that are unknown or values that cannot be read.

use std::sync::Arc;

use arrow_schema::Schema;
use dataflow_core::component::{Component, Kind};
use dataflow_core::config::{Node, Tree};
use dataflow_core::transform::Input;
use dataflow_core::{Problem, Problems, Sampled, Sampling, Span};

use crate::build::Builder;

/// How the problem begins that the reader of configurations reports of a key that it does not know.
const UNKNOWN_KEY: &str = "there is no key ";

/// How it begins, or goes on, where a value cannot be read.
const UNREADABLE: [&str; 5] = [
    " is not known here",
    ", found ",
    " is not a duration: ",
    " is not a rate: ",
    " is not a size: ",
];

/// How it ends where a key is missing.
const MISSING_KEY: &str = " is missing";

/// The most keys of one component that are reported so.
const MOST_KEYS: usize = 20;

impl Builder<'_> {
    /// Checks what can be checked without the columns that the component would get: its keys and values, and the grammar, functions and
    /// parameters of its expressions.
    pub fn look_without_input(&self, at: usize, problems: &mut Problems) {
        let item = &self.graph.items[at];
        let Some(component) = item.component.map(|at| &self.catalog[at]) else {
            return;
        };
        let nothing = Input {
            from: Vec::new(),
            schema: Arc::new(Schema::empty()),
            // What needs time or samples is said of the component that should have them.
            timed: true,
            provisional: false,
            sampled: Sampled::Regular(Sampling::of(1.0)),
        };
        let inputs = match item.kind {
            Kind::Source => Vec::new(),
            _ => vec![nothing; 1 + item.tables.len()],
        };
        let config = &item.config;
        let mut found = Problems::new();
        if self
            .make_of(component, at, config, &inputs, &mut found)
            .is_none()
        {
            self.look_further(component, at, config.clone(), &inputs, 0, &mut found);
        }
        let said = found
            .list()
            .iter()
            .filter(|p| holds_anyway(p, !item.each.is_empty()));
        said.for_each(|problem| problems.push(problem.clone()));
    }

    /// Reading a table ends at the first key that is unknown or has a value that cannot be read. Without that key the rest is checked as well; what is said
    /// then of the whole table, such as that a key is missing, only follows from the wrong name.
    pub fn look_further(
        &self,
        component: &Component,
        at: usize,
        mut config: Node,
        inputs: &[Input],
        before: usize,
        problems: &mut Problems,
    ) {
        let mut newest = problems.list().get(before..).unwrap_or_default().to_vec();
        for _ in 0..MOST_KEYS {
            let [problem] = newest.as_slice() else { return };
            let Some(span) = problem.span.filter(|_| ends_reading(&problem.message)) else {
                return;
            };
            let Some(rest) = without_key(&config, span) else {
                return;
            };
            config = rest;
            let mut more = Problems::new();
            self.make_of(component, at, &config, inputs, &mut more);
            newest = more.list().to_vec();
            let table = self.graph.items[at].span;
            newest.retain(|p| p.span != table && !p.message.ends_with(MISSING_KEY));
            newest
                .iter()
                .for_each(|problem| problems.push(problem.clone()));
        }
    }
}

/// How problems begin that an expression or a part has whatever the columns are.
const WITHOUT_COLUMNS: [&str; 7] = [
    "there is no function ",
    "there is no accumulator ",
    "there is no parameter `",
    "there is no window ",
    "a window is a table ",
    "the expression ends where ",
    "expected ",
];

/// Whether it is said rightly of a component whose input is not known.
fn holds_anyway(problem: &Problem, has_each: bool) -> bool {
    let message = &problem.message;
    ends_reading(message)
        || (message.ends_with(MISSING_KEY) && !has_each)
        || message.ends_with(" is not expected here")
        || WITHOUT_COLUMNS
            .iter()
            .any(|start| message.starts_with(start))
}

fn ends_reading(message: &str) -> bool {
    message.starts_with(UNKNOWN_KEY) || UNREADABLE.iter().any(|part| message.contains(part))
}

/// The tree without the key, or the value with its key, at `span`; none if there is no such key.
fn without_key(node: &Node, span: Span) -> Option<Node> {
    let value = match &node.value {
        Tree::Table(entries) => {
            let mut entries = entries.clone();
            match entries
                .iter()
                .position(|(key, value)| key.span == Some(span) || value.span == Some(span))
            {
                Some(at) => drop(entries.remove(at)),
                None => {
                    let inner = |(_, value): &(_, Node)| without_key(value, span);
                    let (at, changed) = first(entries.iter().map(inner))?;
                    entries[at].1 = changed;
                }
            }
            Tree::Table(entries)
        }
        Tree::List(items) => {
            let (at, changed) = first(items.iter().map(|item| without_key(item, span)))?;
            let mut items = items.clone();
            items[at] = changed;
            Tree::List(items)
        }
        _ => return None,
    };
    Some(Node {
        value,
        span: node.span,
    })
}

fn first<T>(all: impl Iterator<Item = Option<T>>) -> Option<(usize, T)> {
    all.enumerate().find_map(|(at, one)| Some((at, one?)))
}
