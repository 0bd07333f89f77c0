//! Good pipelines: what the plan looks like, what is read of the sources, and what tests run on.

use std::path::Path;
use std::sync::Arc;

use dataflow_core::Value;
use dataflow_core::plan::{MaxErrors, OnError, Plan, PortIndex, Work};
use dataflow_pipeline::{Checked, Load, Loaded, ParameterType, explain, graph, load_text};

#[path = "harness/fake.rs"]
mod fake;

use fake::{Write, catalog};

const PIPELINE: &str = r#"
name = "fleet"
[params]
out = "out"
hot = { default = 80.0, help = "warm" }

[engine]
workers = 2

[sources.telemetry]
type = "file"
path = "sensors.csv"
on_error = "drop"
max_errors = "2%"

[transforms.plausible]
type = "filter"
inputs = ["telemetry"]
where = "temperature > 0"

[transforms.per_device]
type = "aggregate"
inputs = ["plausible"]
by = ["device"]
compute.mean_temperature = "mean(temperature)"

[sinks.table]
type = "file"
inputs = ["per_device"]
path = "${out}/table.parquet"

[sinks.rejects]
type = "file"
inputs = ["*.errors"]
path = "${out}/rejects.jsonl"

[[tests]]
name = "one device"
insert = { at = "plausible", rows = [{ device = "a", temperature = 20 }] }
expect = { from = "per_device", rows = [{ device = "a", mean_temperature = 20.0 }] }
"#;

fn load(text: &str, options: &Load) -> Loaded {
    load_text(Path::new("p.toml"), text, &catalog(), options)
}

fn checked(text: &str, options: &Load) -> Checked {
    let loaded = load(text, options);
    let shown = loaded.report.render(false);
    loaded.pipeline.unwrap_or_else(|| panic!("{shown}"))
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.nodes.iter().map(|node| &*node.id).collect()
}

fn columns(plan: &Plan, id: &str) -> Vec<String> {
    let node = plan.nodes.iter().find(|node| *node.id == *id).expect(id);
    node.ports[0]
        .schema
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect()
}

fn source_lines(plan: &Plan, id: &str) -> String {
    let node = plan.nodes.iter().find(|node| *node.id == *id).expect(id);
    match &node.work {
        Work::Source(source) => source.explain().join("\n"),
        _ => panic!("{id} is no source"),
    }
}

#[test]
fn a_pipeline_becomes_a_plan() {
    let pipeline = checked(PIPELINE, &Load::default());
    let plan = &pipeline.plan;
    assert_eq!(plan.name, "fleet");
    assert_eq!(
        ids(plan),
        ["telemetry", "plausible", "per_device", "table", "rejects"]
    );
    assert_eq!(
        plan.nodes[0].on_error,
        OnError::Port(MaxErrors::Share(0.02))
    );
    assert_eq!(plan.nodes[1].on_error, OnError::Port(MaxErrors::Unlimited));
    let reads: Vec<usize> = plan.nodes[4].inputs[0]
        .iter()
        .map(|read| read.node)
        .collect();
    assert_eq!(reads, [0, 1, 2]);
    assert!(
        plan.nodes[4].inputs[0]
            .iter()
            .all(|read| read.port == PortIndex::Errors)
    );
    assert_eq!(pipeline.settings.workers, 2);
}

#[test]
fn sources_read_only_what_is_in_use() {
    let pipeline = checked(PIPELINE, &Load::default());
    assert_eq!(
        columns(&pipeline.plan, "telemetry"),
        ["device", "temperature"]
    );
    assert_eq!(
        columns(&pipeline.plan, "plausible"),
        ["device", "temperature"]
    );
    assert_eq!(columns(&pipeline.full, "telemetry").len(), 5);
    let lines = source_lines(&pipeline.plan, "telemetry");
    assert!(
        lines.contains("\"temperature\", operator: Greater, value: Float(0.0)"),
        "{lines}"
    );
    let some = Load {
        rows: Some(7),
        ..Load::default()
    };
    let lines = source_lines(&checked(PIPELINE, &some).plan, "telemetry");
    assert_eq!(lines, "skips [], rows Some(7)");
}

/// A source, some transforms, and what is read of the source.
fn read_of_source(transforms: &str) -> (Vec<String>, bool) {
    let text = format!("[sources.a]\ntype = \"file\"\npath = \"sensors.csv\"\n{transforms}");
    let pipeline = checked(&text, &Load::default());
    let skips = source_lines(&pipeline.plan, "a").contains("Greater");
    (columns(&pipeline.plan, "a"), skips)
}

#[test]
fn narrowing_never_takes_too_much() {
    let filter =
        "[transforms.f]\ntype = \"filter\"\ninputs = [\"a\"]\nwhere = \"temperature > 5\"\n";
    let count = |from: &str| {
        format!(
            "[transforms.n]\ntype = \"aggregate\"\ninputs = [\"{from}\"]\ncompute.n = \"count(voltage)\"\n"
        )
    };
    let all = 5;
    // A sink behind a filter wants everything, and so does a sink beside it.
    assert_eq!(read_of_source(filter).0.len(), all);
    let (read, skips) = read_of_source(&format!("{filter}{}", count("f")));
    assert_eq!(
        (read, skips),
        (vec!["temperature".to_string(), "voltage".to_string()], true)
    );
    // What the filter rejects is read by something: nothing may be skipped.
    let (_, skips) = read_of_source(&format!("{filter}{}", count("f.rejected")));
    assert!(!skips);
    // Something else reads the source too.
    let (read, skips) = read_of_source(&format!(
        "{filter}{}[sinks.s]\ntype = \"console\"\ninputs = [\"a\", \"n2\"]\n{}",
        count("f"),
        "[transforms.n2]\ntype = \"limit\"\ninputs = [\"a\"]\nrows = 1\n[sinks.t]\ntype = \"console\"\ninputs = [\"n\"]\n"
    ));
    assert_eq!((read.len(), skips), (all, false));
    // A dropped column and one behind a result that nobody uses are named, so they stay.
    let select = "[transforms.s]\ntype = \"select\"\ninputs = [\"a\"]\ndrop = [\"vibration\"]\ncompute.x = \"voltage * 2\"\n[transforms.n]\ntype = \"aggregate\"\ninputs = [\"s\"]\ncompute.n = \"max(temperature)\"\n";
    assert_eq!(
        read_of_source(select).0,
        ["temperature", "vibration", "voltage"]
    );
    // No column at all: one stands for the rows.
    let rows = "[transforms.n]\ntype = \"aggregate\"\ninputs = [\"a\"]\ncompute.n = \"count()\"\n";
    assert_eq!(read_of_source(rows).0, ["timestamp"]);
}

#[test]
fn inputs_of_one_component_keep_the_same_columns() {
    let text = r#"
[sources.a]
type = "file"
path = "a.csv"
[sources.b]
type = "generate"
rows = 5
[transforms.both]
type = "aggregate"
inputs = ["a", "b"]
compute.t = "max(temperature)"
[transforms.more]
type = "aggregate"
inputs = ["a"]
compute.v = "max(voltage)"
"#;
    let pipeline = checked(text, &Load::default());
    assert_eq!(columns(&pipeline.plan, "a"), ["temperature", "voltage"]);
    assert_eq!(columns(&pipeline.plan, "b"), ["temperature", "voltage"]);
    assert_eq!(
        ids(&pipeline.plan),
        ["a", "b", "both", "more", "print_both", "print_more"]
    );
}

#[test]
fn each_makes_lines_in_the_order_of_the_columns() {
    let text = r#"
[sources.usage]
type = "file"
path = "usage.parquet"
[transforms.hours]
type = "aggregate"
inputs = ["usage"]
compute.n = "count(device)"
each = [{ columns = "pod_{m}_seconds", name = "{m}_hours", value = "sum({column}) / 3600" }]
"#;
    let pipeline = checked(text, &Load::default());
    assert_eq!(
        columns(&pipeline.plan, "hours"),
        ["n", "cpu_hours", "memory_hours"]
    );
}

#[test]
fn components_are_left_out_and_shown() {
    let options = Load {
        without: vec!["per_device".into()],
        show: vec![
            ("plausible.rejected".into(), Some(20)),
            ("telemetry".into(), None),
        ],
        ..Load::default()
    };
    let pipeline = checked(
        &PIPELINE[..PIPELINE.find("[[tests]]").expect("tests")],
        &options,
    );
    assert_eq!(
        ids(&pipeline.plan),
        [
            "telemetry",
            "plausible",
            "rejects",
            "print_plausible_rejected",
            "print_telemetry"
        ]
    );
    let Work::Sink(sink) = &pipeline.plan.nodes[3].work else {
        panic!("a sink");
    };
    assert_eq!(sink.explain(), ["prints Some(20) rows"]);
}

#[test]
fn a_test_runs_on_its_own_rows() {
    let pipeline = checked(PIPELINE, &Load::default());
    let collect = |_| {
        Arc::new(Write {
            target: None,
            explain: String::new(),
        }) as Arc<dyn dataflow_core::Sink>
    };
    let plan = pipeline.plan_for_test(&pipeline.tests[0], collect);
    assert_eq!(
        ids(&plan),
        ["insert_plausible", "plausible", "per_device", "expect_0"]
    );
    assert_eq!(plan.nodes[1].on_error, OnError::Drop(MaxErrors::Unlimited));
    assert_eq!(columns(&plan, "insert_plausible").len(), 5);
    let Work::Source(source) = &plan.nodes[0].work else {
        panic!("a source");
    };
    assert_eq!(source.splits().expect("one")[0].rows, Some(1));
}

#[test]
fn parameters_are_listed_with_their_values() {
    let options = Load {
        set: vec!["hot=90".into()],
        ..Load::default()
    };
    let loaded = load(PIPELINE, &options);
    let hot = &loaded.parameters[1];
    assert_eq!(
        (hot.name.as_str(), hot.of_type),
        ("hot", ParameterType::Float)
    );
    assert_eq!(
        (&hot.default, &hot.value),
        (&Some(Value::Float(80.0)), &Some(Value::Float(90.0)))
    );
}

#[test]
fn pictures_and_words_show_ports_and_no_secrets() {
    let options = Load {
        environment: [("OUT".to_string(), "s3cret-token".to_string())].into(),
        ..Load::default()
    };
    let loaded = load(
        &PIPELINE.replace("out = \"out\"", "out = \"${MY_TOKEN:-x}\""),
        &Load {
            environment: [("MY_TOKEN".to_string(), "s3cret".to_string())].into(),
            ..options
        },
    );
    let pipeline = loaded.pipeline.as_ref().expect("checked");
    let mermaid = graph::mermaid(&pipeline.plan);
    assert!(
        mermaid.contains("n0([\"telemetry<br/><small>file</small>\"])\n"),
        "{mermaid}"
    );
    assert!(
        mermaid.contains("    n1 --> n2\n") && mermaid.contains("n0 -. errors .-> n4"),
        "{mermaid}"
    );
    let dot = graph::dot(&pipeline.plan);
    assert!(
        dot.contains("n0 -> n4 [label=\"errors\", style=dashed];"),
        "{dot}"
    );
    let mut report = loaded.report.clone();
    report.texts.keep_secret("s3cret-token");
    let words = explain(pipeline, &report.texts);
    assert!(
        words.contains("reads 2 of 5 columns: device, temperature"),
        "{words}"
    );
    assert!(
        words.contains("bad rows go to rejects, more than 2% stop the run"),
        "{words}"
    );
    assert!(
        words.contains("rows are taken in order: something behind asks for it"),
        "{words}"
    );
    assert!(words.contains("256 MiB of memory"), "{words}");
    assert!(
        words.contains("writes ***/table.parquet") && !words.contains("s3cret"),
        "{words}"
    );
}
