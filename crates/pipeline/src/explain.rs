//! What a plan will do, in words: what is read, how rows travel, what may spill, what becomes of bad rows.

use std::fmt::Write as _;

use dataflow_core::plan::{
    MaxErrors, OnError, Plan, PlanNode, PortIndex, PortRef, SourceTime, Work,
};
use dataflow_core::transform::{Emits, Route, StagePlan};

use crate::check::Checked;
use crate::texts::Texts;

/// The most column names that are listed.
const LISTED: usize = 20;

/// The plan in words, for `dataflow explain`. `texts` are the report's: secrets are taken out.
pub fn explain(checked: &Checked, texts: &Texts) -> String {
    let plan = &checked.plan;
    let (times, in_order) = (plan.times(), plan.nodes_in_order(true));
    let mut text = String::new();
    for (at, node) in plan.nodes.iter().enumerate() {
        let _ = writeln!(
            text,
            "{} ({} {}){}",
            node.id,
            family(node),
            node.type_name,
            inputs(plan, node)
        );
        let mut lines = match &node.work {
            Work::Source(source) => {
                let full = checked.full.nodes.get(at);
                reading(node, full)
                    .into_iter()
                    .chain(source.explain())
                    .chain([order_of_source(times[at], in_order[at])])
                    .collect()
            }
            Work::Transform(transform) => transform.explain(),
            Work::Sink(sink) => sink.explain(),
        };
        if let Work::Transform(transform) = &node.work {
            for input in 0..node.inputs.len() {
                lines.extend(transform.before(input).iter().map(stage));
            }
            lines.extend(transform.stages().iter().map(stage));
        }
        if !matches!(node.work, Work::Sink(_)) {
            lines.push(bad_rows(plan, at, node));
        }
        for line in lines.iter().flat_map(|line| line.lines()) {
            let _ = writeln!(text, "  {line}");
        }
    }
    let settings = &checked.settings;
    let workers = match settings.workers {
        0 => "one worker per core".into(),
        1 => "1 worker".to_string(),
        n => format!("{n} workers"),
    };
    let _ = writeln!(
        text,
        "{workers}, {} of memory, batches of {} rows",
        settings.memory.for_people(),
        settings.batch_rows
    );
    texts.redact(&text)
}

fn family(node: &PlanNode) -> &'static str {
    match node.work {
        Work::Source(_) => "source",
        Work::Transform(_) => "transform",
        Work::Sink(_) => "sink",
    }
}

fn inputs(plan: &Plan, node: &PlanNode) -> String {
    let name = |read: &PortRef| {
        let from = &plan.nodes[read.node];
        let port = match read.port {
            PortIndex::Errors => "errors",
            PortIndex::Declared(at) => from.ports.get(at).map_or("", |port| port.name.as_str()),
        };
        if port.is_empty() {
            from.id.to_string()
        } else {
            format!("{}.{port}", from.id)
        }
    };
    let mut text = String::new();
    for (input, reads) in node.inputs.iter().enumerate() {
        let names: Vec<String> = reads.iter().map(name).collect();
        let word = if input == 0 { "from" } else { "with" };
        let _ = write!(text, " {word} {}", names.join(", "));
    }
    text
}

fn reading(node: &PlanNode, full: Option<&PlanNode>) -> Vec<String> {
    let (Some(port), Some(all)) = (node.ports.first(), full.and_then(|full| full.ports.first()))
    else {
        return Vec::new();
    };
    let mut names: Vec<&str> = port
        .schema
        .fields()
        .iter()
        .map(|f| f.name().as_str())
        .collect();
    let count = names.len();
    let more = if count > LISTED { ", ..." } else { "" };
    names.truncate(LISTED);
    vec![format!(
        "reads {count} of {} columns: {}{more}",
        all.schema.fields().len(),
        names.join(", ")
    )]
}

fn order_of_source(time: Option<SourceTime>, in_order: bool) -> String {
    let words = match time.is_some_and(|time| time.aligned) {
        true => "files are read side by side, aligned in time",
        false if in_order => "rows are taken in order: something behind asks for it",
        false => "rows are taken as they come: nothing behind asks for order",
    };
    words.to_string()
}

fn stage(stage: &StagePlan) -> String {
    let mut words = vec![match stage.route {
        Route::Local => "where the rows are",
        Route::Keyed => "by key",
        Route::Gather => "on one worker",
        Route::Everywhere => "on all workers",
    }];
    words.push(match (stage.ordered, stage.places) {
        (true, _) => "rows in order",
        (false, true) => "rows in any order, with their places",
        (false, false) => "rows in any order",
    });
    if stage.further.contains(&Route::Everywhere) {
        words.push("a copy of the table on every worker");
    }
    if stage.emits == Emits::SortedAtEnd {
        words.push(match stage.timed {
            true => "writes as time goes on, sorted",
            false => "writes at the end, sorted",
        });
    }
    if stage.stateful {
        words.push("keeps state that may spill");
    }
    format!("stage `{}`: {}", stage.name, words.join(", "))
}

fn bad_rows(plan: &Plan, at: usize, node: &PlanNode) -> String {
    let limit = |limit: MaxErrors| match limit {
        MaxErrors::Unlimited => String::new(),
        MaxErrors::Rows(rows) => format!(", more than {rows} stop the run"),
        MaxErrors::Share(share) => format!(", more than {}% stop the run", share * 100.0),
    };
    match node.on_error {
        OnError::Fail => "the first bad row stops the run".into(),
        OnError::Drop(max) => format!("bad rows are dropped and counted{}", limit(max)),
        OnError::Port(max) => {
            let reads = |n: &&PlanNode| {
                n.inputs
                    .iter()
                    .flatten()
                    .any(|r| r.node == at && r.port == PortIndex::Errors)
            };
            let readers: Vec<&str> = plan.nodes.iter().filter(reads).map(|n| &*n.id).collect();
            format!("bad rows go to {}{}", readers.join(", "), limit(max))
        }
    }
}
