//! What a pipeline is, component by component, as text that is the same whenever the components are: a run goes on only from
//! snapshots of the same pipeline.

use std::collections::BTreeMap;
use std::fmt::Write;

use dataflow_core::config::{Node, Tree};
use dataflow_core::order::key_hash;
use dataflow_core::{Kind, Value};

use crate::written::Item;

/// Whether a key of a component's own settings matters to what it does.
type Counts = fn(&str) -> bool;

/// What of a sink matters: where it writes, and how.
const OF_SINKS: Counts = |key| ["path", "format", "if_exists", "roll"].contains(&key);
/// What of a source does not: how fast its rows leave, and whether more files are waited for.
const OF_SOURCES: Counts = |key| !["rate", "watch"].contains(&key);
const ALL: Counts = |_| true;

/// A digest of each component by its id. A sink may be called otherwise: it is known by its path.
pub(crate) fn about(
    items: &[Item],
    parameters: &BTreeMap<String, Value>,
) -> BTreeMap<String, String> {
    items.iter().map(|item| one(item, parameters)).collect()
}

/// What tells whether the state of a transform is of use to another one, by its id: its type, and a digest of its own settings.
pub(crate) fn of_transforms(
    items: &[Item],
    parameters: &BTreeMap<String, Value>,
) -> BTreeMap<String, (String, String)> {
    let transforms = items.iter().filter(|item| item.kind == Kind::Transform);
    let each = transforms.map(|item| {
        let mut text = String::new();
        tell_settings(item, parameters, &mut text);
        let known = (item.type_name.clone(), digest(&text));
        (item.id.clone(), known)
    });
    each.collect()
}

fn digest(text: &str) -> String {
    format!("{:016x}", key_hash(text.as_bytes()))
}

/// A component's own settings, and the parameters that they name.
fn tell_settings(item: &Item, parameters: &BTreeMap<String, Value>, text: &mut String) {
    for each in &item.each {
        // Writing to a string cannot fail.
        let _ = write!(text, " {}", each.text());
    }
    let counts = match item.kind {
        Kind::Sink => OF_SINKS,
        Kind::Source => OF_SOURCES,
        _ => ALL,
    };
    tell(&item.config, counts, text);
    for (name, value) in parameters {
        if text.contains(&format!("${name}")) {
            let _ = write!(text, " ${name}={value:?}");
        }
    }
}

fn one(item: &Item, parameters: &BTreeMap<String, Value>) -> (String, String) {
    let mut text = item.type_name.clone();
    for input in item
        .inputs
        .iter()
        .chain(item.tables.iter().map(|(_, table)| table))
    {
        // Writing to a string cannot fail.
        let _ = write!(text, " {}", input.value);
    }
    let _ = write!(
        text,
        " {:?} {:?}",
        item.on_error.as_ref().map(|o| o.value),
        item.max_errors.as_ref().map(|m| m.value)
    );
    tell_settings(item, parameters, &mut text);
    (item.id.clone(), digest(&text))
}

/// Values and names, without where they were written.
fn tell(node: &Node, counts: Counts, text: &mut String) {
    // Writing to a string cannot fail.
    let _ = match &node.value {
        Tree::Boolean(value) => write!(text, " {value}"),
        Tree::Integer(value) => write!(text, " {value}"),
        Tree::Float(value) => write!(text, " {value:?}"),
        Tree::Text(value) => write!(text, " {value:?}"),
        Tree::List(values) => {
            text.push('[');
            values.iter().for_each(|value| tell(value, ALL, text));
            write!(text, "]")
        }
        Tree::Table(entries) => {
            text.push('{');
            for (key, value) in entries.iter().filter(|(key, _)| counts(&key.name)) {
                let _ = write!(text, " {:?}=", key.name);
                tell(value, ALL, text);
            }
            write!(text, "}}")
        }
    };
}
