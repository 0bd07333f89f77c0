//! Joins of equal keys: what DuckDB finds in the same tables, see `golden/make_joins.py`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::sameness::run;
use crate::time::{few, json_lines};

/// The columns that are compared.
const COLUMNS: [&str; 6] = ["number", "day", "node", "used", "place", "price"];

#[test]
fn joined_rows_are_those_that_others_find() {
    let golden: Value = serde_json::from_str(include_str!("golden/joins.json")).expect("JSON");
    let golden = golden.as_object().expect("a list for each join");
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = String::from("params = { out = \"\" }\n");
    for (name, table) in [
        ("left", include_str!("golden/left.csv")),
        ("right", include_str!("golden/right.csv")),
    ] {
        let path = folder.path().join(format!("{name}.csv"));
        std::fs::write(&path, table).expect("written");
        let path = path.display();
        let _ = write!(
            text,
            "[sources.{name}]\ntype = \"file\"\npath = \"{path}\"\n"
        );
    }
    for id in golden.keys() {
        let (kind, keep) = id.split_once('_').expect("a kind and what is kept");
        let sides = format!(
            "inputs = [\"left\"]\ntable = \"right\"\non = {{ day = \"date\", node = \"node\" }}\nkind = \"{kind}\"\n"
        );
        let _ = write!(
            text,
            "[transforms.{id}]\ntype = \"join\"\n{sides}keep = \"{keep}\"\n{}",
            sink(id)
        );
        if kind != "full" {
            let _ = write!(
                text,
                "[transforms.lookup_{id}]\ntype = \"lookup\"\n{sides}keep = \"{keep}\"\n{}",
                sink(&format!("lookup_{id}"))
            );
        }
    }
    for setting in few("64MiB") {
        let (written, _) = run(&text, setting);
        assert_eq!(written.len(), 15);
        for (file, bytes) in &written {
            let id = file.trim_start_matches("lookup_");
            let expected = &golden[id.trim_end_matches(".jsonl")];
            let mut found: Vec<Vec<Value>> = json_lines(bytes).iter().map(row).collect();
            found.sort_by_key(|row| order(row));
            let expected = expected.as_array().expect("rows").iter();
            let mut expected: Vec<Vec<Value>> = expected
                .map(|row| row.as_array().expect("a row").clone())
                .collect();
            expected.sort_by_key(|row| order(row));
            assert_eq!(found, expected, "{file} {setting:?}");
        }
    }
}

fn sink(id: &str) -> String {
    format!(
        "[sinks.{id}_file]\ntype = \"file\"\ninputs = [\"{id}\"]\npath = \"${{out}}/{id}.jsonl\"\n"
    )
}

fn row(line: &Value) -> Vec<Value> {
    COLUMNS.iter().map(|column| line[*column].clone()).collect()
}

/// Any order will do that does not depend on how the rows came.
fn order(row: &[Value]) -> String {
    serde_json::to_string(row).expect("JSON")
}
