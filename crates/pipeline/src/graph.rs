//! Pictures of a plan: Mermaid and Graphviz. Only ids, types and ports appear, so no secret can.

use std::fmt::Write as _;

use dataflow_core::plan::{Plan, PortIndex, PortRef, Work};

/// The plan as a Mermaid flow chart. Thick arrows bring tables.
pub fn mermaid(plan: &Plan) -> String {
    let mut text = String::from("flowchart LR\n");
    for (at, node) in plan.nodes.iter().enumerate() {
        let (open, close) = match node.work {
            Work::Source(_) => ("([", "])"),
            Work::Transform(_) => ("[", "]"),
            Work::Sink(_) => ("[/", "/]"),
        };
        let (id, type_name) = (entity(&node.id), entity(&node.type_name));
        let _ = writeln!(
            text,
            "    n{at}{open}\"{id}<br/><small>{type_name}</small>\"{close}"
        );
    }
    for (read, to, table) in edges(plan) {
        let arrow = match (read.port, label(plan, read)) {
            (PortIndex::Errors, label) => format!("-. {} .->", entity(&label)),
            (_, label) if label.is_empty() && table => "==>".into(),
            (_, label) if label.is_empty() => "-->".into(),
            (_, label) if table => format!("== {} ==>", entity(&label)),
            (_, label) => format!("-- {} -->", entity(&label)),
        };
        let _ = writeln!(text, "    n{} {arrow} n{to}", read.node);
    }
    text
}

/// The plan for Graphviz. Thick arrows bring tables.
pub fn dot(plan: &Plan) -> String {
    let mut text = format!(
        "digraph {} {{\n    rankdir=LR;\n    node [fontname=\"sans-serif\"];\n",
        quoted(&plan.name)
    );
    for (at, node) in plan.nodes.iter().enumerate() {
        let shape = match node.work {
            Work::Source(_) => "cylinder",
            Work::Transform(_) => "box",
            Work::Sink(_) => "note",
        };
        let label = quoted(&format!("{}\n{}", node.id, node.type_name));
        let _ = writeln!(text, "    n{at} [label={label}, shape={shape}];");
    }
    for (read, to, table) in edges(plan) {
        let mut attributes = Vec::new();
        let label = label(plan, read);
        if !label.is_empty() {
            attributes.push(format!("label={}", quoted(&label)));
        }
        if read.port == PortIndex::Errors {
            attributes.push("style=dashed".into());
        } else if table {
            attributes.push("style=bold".into());
        }
        let attributes = match attributes.as_slice() {
            [] => String::new(),
            some => format!(" [{}]", some.join(", ")),
        };
        let _ = writeln!(text, "    n{} -> n{to}{attributes};", read.node);
    }
    text.push_str("}\n");
    text
}

/// What is read by whom, and whether as a table.
fn edges(plan: &Plan) -> impl Iterator<Item = (PortRef, usize, bool)> + '_ {
    plan.nodes.iter().enumerate().flat_map(|(to, node)| {
        let inputs = node.inputs.iter().enumerate();
        inputs.flat_map(move |(input, reads)| reads.iter().map(move |read| (*read, to, input > 0)))
    })
}

/// The port's name; empty for a main output.
fn label(plan: &Plan, read: PortRef) -> String {
    match read.port {
        PortIndex::Errors => "errors".into(),
        PortIndex::Declared(at) => plan.nodes[read.node]
            .ports
            .get(at)
            .map(|p| p.name.clone())
            .unwrap_or_default(),
    }
}

/// Text inside a Mermaid label.
fn entity(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-. ".contains(c);
    text.chars()
        .map(|c| {
            if plain(c) {
                c.to_string()
            } else {
                format!("#{};", u32::from(c))
            }
        })
        .collect()
}

/// A string of Graphviz.
fn quoted(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    )
}
