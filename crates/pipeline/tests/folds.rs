//! What is made of the catalog: the schema for editors, the manual, the list; and that nothing panics.

use std::path::Path;

use dataflow_pipeline::{
    Load, SCAFFOLDS, example, fuzz, json_schema, list, list_json, load_text, page, reference,
    scaffold,
};
use proptest::prelude::*;

#[path = "harness/fake.rs"]
mod fake;

use fake::catalog;

#[test]
fn the_schema_knows_every_component_and_key() {
    let schema = json_schema(&catalog());
    let filter = &schema["definitions"]["transform_filter"];
    assert_eq!(filter["properties"]["type"]["const"], "filter");
    assert_eq!(
        filter["properties"]["where"]["description"],
        "The condition."
    );
    assert_eq!(
        filter["required"],
        serde_json::json!(["type", "inputs", "where"])
    );
    let aggregate = &schema["definitions"]["transform_aggregate"];
    assert!(aggregate["properties"]["each"]["items"].is_object());
    let variants = schema["properties"]["sources"]["additionalProperties"]["oneOf"]
        .as_array()
        .expect("a list");
    assert_eq!(variants.len(), 2);
    // Numbers may be variables.
    let rows = &schema["definitions"]["transform_limit"]["properties"]["rows"];
    assert_eq!(rows["type"], serde_json::json!(["integer", "string"]));
    references_exist(&schema, &schema);
}

#[test]
fn the_schema_knows_every_window_where_one_may_stand() {
    let schema = json_schema(&catalog());
    let definitions = &schema["definitions"];
    let window = &definitions["transform_aggregate"]["properties"]["window"];
    assert_eq!(window["$ref"], "#/definitions/window");
    let references = serde_json::json!([
        { "$ref": "#/definitions/window_count" },
        { "$ref": "#/definitions/window_global" },
    ]);
    assert_eq!(definitions["window"]["oneOf"], references);
    let count = &definitions["window_count"];
    assert_eq!(count["properties"]["type"]["const"], "count");
    assert_eq!(count["properties"]["size"]["description"], "How many.");
    assert_eq!(count["required"], serde_json::json!(["type", "size"]));
    let windowless: Vec<_> = catalog()
        .into_iter()
        .filter(|component| component.info.name != "aggregate")
        .collect();
    assert!(
        json_schema(&windowless)["definitions"]
            .get("window")
            .is_none()
    );
}

fn references_exist(value: &serde_json::Value, root: &serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(|r| r.as_str()) {
                let pointer = reference.trim_start_matches('#');
                assert!(root.pointer(pointer).is_some(), "{reference}");
            }
            map.values().for_each(|v| references_exist(v, root));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|v| references_exist(v, root)),
        _ => {}
    }
}

#[test]
fn the_manual_has_a_page_for_each_family() {
    let pages = reference(&catalog());
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "pipeline.md",
            "sources.md",
            "transforms.md",
            "sinks.md",
            "windows.md",
            "accumulators.md"
        ]
    );
    let sources = &pages[1].1;
    assert!(
        sources.contains("| `path` | text | required | The file, folder or pattern. |"),
        "{sources}"
    );
    assert!(sources.contains("| `schema` | `\"strict\"`, `\"union\"` | `\"strict\"` | Which files belong together.<br>`\"strict\"`: All have the same columns.<br>`\"union\"`: A column that a file lacks is null. |"), "{sources}");
    assert!(
        sources.contains("[sources.example]\ntype = \"file\"\npath = \"data/*.csv\""),
        "{sources}"
    );
    assert!(pages[2].1.contains("| `id.rejected` | the other rows |"));
    let windows = &pages[4].1;
    assert!(
        windows.contains("```toml\nwindow = { type = \"count\", size = 100 }\n```"),
        "{windows}"
    );
    assert!(!windows.contains("`inputs`"), "{windows}");
    let engine = &pages[0].1;
    assert!(
        engine.contains("| `spill.limit` | text such as `\"256MiB\"` |  |"),
        "{engine}"
    );
}

#[test]
fn the_list_names_everything() {
    let text = list(&catalog());
    assert!(
        text.starts_with("Sources\n  file       reads rows from files\n"),
        "{text}"
    );
    assert_eq!(
        list_json(&catalog()).as_array().map(Vec::len),
        Some(catalog().len())
    );
    assert!(catalog().iter().all(|c| page(c).contains(c.info.summary)));
}

#[test]
fn examples_are_valid_pipelines() {
    for component in catalog() {
        if component.kind().is_part() {
            continue;
        }
        let input = "[sources.some_id]\ntype = \"generate\"\nrows = 5\n";
        let text = format!("{input}{}", example(&component));
        let loaded = load_text(
            Path::new("example.toml"),
            &text,
            &catalog(),
            &Load::default(),
        );
        assert!(loaded.pipeline.is_some(), "{}", loaded.report.render(false));
    }
}

#[test]
fn new_pipelines_are_toml() {
    for (name, _, text) in SCAFFOLDS {
        assert_eq!(scaffold(name), Some(text));
        toml::from_str::<toml::Table>(text).expect(name);
    }
    assert_eq!(scaffold("other"), None);
}

/// Pieces that broken pipelines are made of.
fn pieces() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut pieces = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "toml") {
            let text = std::fs::read_to_string(path).expect("text");
            pieces.extend(text.lines().map(|line| format!("{line}\n")));
        }
    }
    pieces.sort();
    pieces.dedup();
    pieces
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&bytes, &catalog());
    }

    #[test]
    fn no_mixture_of_lines_makes_it_panic(
        lines in proptest::collection::vec(proptest::sample::select(pieces()), 0..25),
        cut in 0..400_usize,
        noise in "[\\[\\]{}\"'$.=,#\n\\\\a-zé日\u{0}]{0,6}",
    ) {
        let mut text = lines.concat();
        let mut at = cut.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.insert_str(at, &noise);
        fuzz(text.as_bytes(), &catalog());
        // With files, so that components are built.
        let loaded = load_text(Path::new("p.toml"), &text, &catalog(), &Load {
            read: std::sync::Arc::new(|_| Ok("a = 1".into())),
            ..Load::default()
        });
        let _ = loaded.report.render(false);
    }
}
