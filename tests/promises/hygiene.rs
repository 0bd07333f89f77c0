//! Hygiene: who may name whom, first lines, examples that build, generated pages that are fresh, words that are not used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dataflow::core::component::{Component, Kind};
use dataflow::describe::{self, Load};
use dataflow::{Catalog, Pipeline};

use crate::program;

/// Which of our crates each of our crates may name.
const LAYERS: [(&str, &[&str]); 18] = [
    ("dataflow-core", &[]),
    ("dataflow-expressions", &["core"]),
    ("dataflow-formats", &["core"]),
    ("dataflow-windowing", &["core"]),
    ("dataflow-accumulators", &["core", "expressions", "signal"]),
    ("dataflow-transforms", &["core", "expressions", "signal"]),
    ("dataflow-sources", &["core", "expressions", "formats"]),
    ("dataflow-sinks", &["core", "expressions", "formats"]),
    ("dataflow-engine", &["core", "store"]),
    ("dataflow-signal", &[]),
    ("dataflow-store", &["core"]),
    ("dataflow-pipeline", &["core"]),
    ("dataflow-testkit", &["core"]),
    (
        "dataflow",
        &[
            "accumulators",
            "core",
            "engine",
            "expressions",
            "pipeline",
            "sinks",
            "sources",
            "transforms",
            "windowing",
        ],
    ),
    ("dataflow-cli", &[""]),
    ("dataflow-tests", &[]),
    ("dataflow-benches", &["", "core"]),
    ("dataflow-fuzz", &["", "core", "formats", "pipeline"]),
];

/// The manifests of our packages, by the packages' names.
fn manifests() -> BTreeMap<String, toml::Table> {
    let root = program::root();
    let mut folders = vec![root.join("tests"), root.join("benches")];
    let crates = std::fs::read_dir(root.join("crates")).expect("crates/");
    folders.extend(crates.map(|entry| entry.expect("an entry").path()));
    let mut manifests = BTreeMap::new();
    for folder in folders {
        let Ok(text) = std::fs::read_to_string(folder.join("Cargo.toml")) else {
            continue;
        };
        let manifest: toml::Table = text.parse().expect("a manifest");
        let name = manifest["package"]["name"].as_str().expect("a name");
        if name.starts_with("dataflow") {
            manifests.insert(name.to_string(), manifest);
        }
    }
    manifests
}

fn dependencies(manifest: &toml::Table, table: &str) -> Vec<String> {
    let named = manifest.get(table).and_then(toml::Value::as_table);
    named
        .map(|names| names.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn dependencies_point_down_only() {
    for (name, manifest) in manifests() {
        let layer = LAYERS.iter().find(|(layer, _)| *layer == name);
        let (_, allowed) = layer.unwrap_or_else(|| panic!("{name} has no place in LAYERS"));
        for dependency in dependencies(&manifest, "dependencies") {
            let ours = match dependency.strip_prefix("dataflow") {
                Some(rest) => rest.trim_start_matches('-'),
                None => continue,
            };
            assert!(
                allowed.contains(&ours),
                "{name} may not depend on {dependency}"
            );
        }
    }
}

#[test]
fn only_the_engine_names_timely_and_only_expressions_datafusion() {
    for (name, manifest) in manifests() {
        for table in ["dependencies", "dev-dependencies"] {
            for dependency in dependencies(&manifest, table) {
                if dependency.starts_with("timely") {
                    assert_eq!(name, "dataflow-engine", "names {dependency}");
                }
                if dependency.starts_with("datafusion") || dependency == "sqlparser" {
                    assert_eq!(name, "dataflow-expressions", "names {dependency}");
                }
            }
        }
    }
}

/// Every file of the project with one of these extensions; what others have in ignored folders is not looked at.
fn project_files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![program::root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') || name == "target" || name == "devdeps" {
                continue;
            }
            let extension = path.extension().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                folders.push(path);
            } else if extensions.contains(&&*extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_file_says_first_what_it_is_for() {
    for path in project_files(&["rs"]) {
        let text = read(&path);
        let header = text.lines().take_while(|line| line.starts_with("//!"));
        let paragraph: Vec<&str> = header.take_while(|line| *line != "//!").collect();
        let sentence = paragraph.join(" ");
        assert!(
            sentence.len() > "//! A word.".len() && sentence.ends_with(['.', ':']),
            "{} does not begin with a sentence of `//!`",
            path.display()
        );
    }
}

#[test]
fn the_text_speaks_of_the_project_only() {
    // Put together here, so that this file does not contain them.
    let forbidden = [
        ["..", "/shared"].concat(),
        ["/", "work/"].concat(),
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
    ];
    for path in project_files(&["rs", "toml", "md", "py", "sh", "expected"]) {
        let text = read(&path);
        for word in &forbidden {
            assert!(
                !text.contains(word.as_str()),
                "{} contains `{word}`",
                path.display()
            );
        }
    }
}

fn of_kind(catalog: &Catalog, kind: Kind) -> Vec<&Component> {
    let components = catalog.components().iter();
    components
        .filter(|component| component.kind() == kind)
        .collect()
}

#[test]
fn the_lists_are_alphabetical() {
    let catalog = Catalog::default();
    for kind in Kind::ALL {
        let names: Vec<&str> = of_kind(&catalog, kind)
            .iter()
            .map(|c| c.info.name)
            .collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted, "{}s", kind.word());
    }
}

#[test]
fn every_page_says_something() {
    for component in Catalog::default().components() {
        let info = component.info;
        let name = info.name;
        assert!(
            !info.summary.is_empty() && !info.summary.ends_with('.'),
            "{name}: {}",
            info.summary
        );
        assert!(info.manual.len() > 40, "{name} has no manual");
        assert!(
            !describe::example(component).is_empty(),
            "{name} has no example"
        );
        assert!(
            !info.also_called.contains(&name),
            "{name} is no other name of itself"
        );
    }
}

/// A source of rows with all the columns that the examples speak of.
fn rows_for_examples() -> String {
    let columns = [
        ("timestamp", "kind = \"time\", every = \"1s\""),
        ("device", "kind = \"categories\", count = 3"),
        ("team", "kind = \"categories\", count = 3"),
        ("region", "kind = \"categories\", count = 3"),
        ("temperature", "kind = \"normal\", mean = 60.0"),
        ("vibration", "kind = \"normal\", mean = 1.0"),
        ("voltage", "kind = \"normal\", mean = 4.0"),
        ("current", "kind = \"normal\", mean = 1.0"),
        ("cost", "kind = \"normal\", mean = 1.0"),
        ("raw", "kind = \"sequence\""),
        ("Test_Time(s)", "kind = \"sequence\""),
        ("state", "kind = \"categories\", count = 3"),
        ("x", "kind = \"normal\", mean = 1.0"),
        ("y", "kind = \"normal\", mean = 1.0"),
        ("by", "kind = \"sequence\""),
        ("weight", "kind = \"uniform\", low = 1.0, high = 2.0"),
    ];
    let mut text = String::from(
        "[sources.made]\ntype = \"generate\"\nrows = 100\ntime = { column = \"timestamp\" }\n",
    );
    for (name, spec) in columns {
        text.push_str(&format!("columns.\"{name}\" = {{ {spec} }}\n"));
    }
    // A column of lists, for what takes lists.
    text.push_str(
        "[transforms.listed]\ntype = \"aggregate\"\ninputs = [\"made\"]\nby = [\"device\"]\ncompute.readings = \"quantiles(x, [0.1, 0.9])\"\n",
    );
    text
}

/// Sources of the tables that an example names.
fn tables_for(component: &Component) -> String {
    let Ok(example) = component.info.example.parse::<toml::Table>() else {
        return String::new();
    };
    let tables = component
        .tables
        .iter()
        .filter_map(|key| example.get(*key)?.as_str());
    let over_time = ["asof", "interval"].contains(&component.info.name);
    let columns = match over_time {
        true => {
            "time = { column = \"timestamp\" }\ncolumns.timestamp = { kind = \"time\", every = \"1s\" }\n\
             columns.device = { kind = \"categories\", count = 3 }\ncolumns.level = { kind = \"normal\", mean = 1.0 }\n"
        }
        false => {
            "columns.area = { kind = \"categories\", count = 3 }\ncolumns.price = { kind = \"normal\", mean = 1.0 }\n"
        }
    };
    let source =
        |name: &str| format!("[sources.{name}]\ntype = \"generate\"\nrows = 10\n{columns}");
    tables.map(source).collect()
}

/// A pipeline around a component's example.
fn around(component: &Component) -> String {
    let example = component.info.example;
    let name = component.info.name;
    let rows = rows_for_examples();
    match component.kind() {
        Kind::Accumulator => format!(
            "{rows}[sinks.none]\ntype = \"null\"\ninputs = [\"listed\"]\n[transforms.example]\ntype = \"aggregate\"\ninputs = [\"made\"]\ncompute.value = \"{example}\"\n"
        ),
        Kind::Window => format!(
            "{rows}[sinks.none]\ntype = \"null\"\ninputs = [\"listed\"]\n[transforms.example]\ntype = \"aggregate\"\ninputs = [\"made\"]\n{example}\ncompute.rows = \"count(*)\"\n"
        ),
        Kind::Source => describe::example(component),
        Kind::Transform => {
            let from = if name == "unnest" { "listed" } else { "made" };
            let written = describe::example(component);
            let tables = tables_for(component);
            format!("{rows}{tables}{}", with_inputs(&written, from))
        }
        Kind::Sink => {
            let written = describe::example(component);
            format!("{rows}{}", with_inputs(&written, "made"))
        }
    }
}

/// The same text, reading from a component that is there.
fn with_inputs(text: &str, from: &str) -> String {
    let lines = text
        .lines()
        .map(|line| match line.starts_with("inputs = ") {
            true => format!("inputs = [\"{from}\"]"),
            false => line.to_string(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_example_of_the_manual_builds() {
    let catalog = Catalog::default();
    for component in catalog.components() {
        let text = around(component);
        // Offline: the examples read files that are nowhere.
        let offline = Load {
            offline: true,
            run_time: Some(0),
            ..Load::default()
        };
        let loaded = Pipeline::from_text(text.clone()).options(offline).check();
        assert!(
            !loaded.report.problems.any_error(),
            "{component:?}\n{}\n{text}",
            loaded.report.render(false)
        );
    }
}

#[test]
fn every_accumulators_example_runs() {
    let catalog = Catalog::default();
    for component in of_kind(&catalog, Kind::Accumulator) {
        let pipeline = Pipeline::from_text(around(component))
            .pull("example")
            .load()
            .unwrap_or_else(|error| panic!("{component:?}\n{error}"));
        let mut run = pipeline.start().expect("it starts");
        let rows: usize = run
            .batches("example")
            .expect("pulled")
            .map(|batch| batch.num_rows())
            .sum();
        run.finish()
            .unwrap_or_else(|error| panic!("{component:?}: {error}"));
        assert_eq!(rows, 1, "{component:?}");
    }
}

#[test]
fn every_pipeline_to_start_from_is_fine() {
    for (name, _, text) in describe::SCAFFOLDS {
        let mut offline = Load {
            offline: true,
            run_time: Some(0),
            ..Load::default()
        };
        if text.contains("data = { type") {
            offline.set.push("data=data.csv".to_string());
        }
        let loaded = Pipeline::from_text(text).options(offline).check();
        assert!(
            !loaded.report.problems.any_error(),
            "{name}\n{}",
            loaded.report.render(false)
        );
    }
}

/// What the program prints.
fn printed(arguments: &[&str]) -> String {
    let mut command = program::dataflow();
    command.args(arguments);
    let outcome = program::finish(command, Duration::from_secs(60)).expect_code(0);
    outcome.stdout
}

const RENEW: &str = "run `cargo run -- reference docs/reference && cargo run -- schema > docs/reference/pipeline.schema.json`";

#[test]
fn the_reference_is_fresh() {
    let committed = program::root().join("docs/reference");
    let made = tempfile::tempdir().expect("a folder");
    let folder = made.path().to_str().expect("a path of text");
    printed(&["reference", folder]);
    std::fs::write(
        made.path().join("pipeline.schema.json"),
        printed(&["schema"]),
    )
    .expect("written");
    let names = program::files(made.path());
    assert!(committed.is_dir(), "docs/reference is missing: {RENEW}");
    assert_eq!(program::files(&committed), names, "{RENEW}");
    for name in names {
        assert!(
            read(&committed.join(&name)) == read(&made.path().join(&name)),
            "docs/reference/{name} is stale: {RENEW}"
        );
    }
}

#[test]
fn the_manual_lists_the_keys_of_formats() {
    let page = read(&program::root().join("docs/reference/sources.md"));
    for key in [
        "format.csv.decimal",
        "format.csv.names",
        "format.jsonl.infer_rows",
    ] {
        assert!(page.contains(&format!("| `{key}` |")), "`{key}` is missing");
    }
}
