//! The reference manual in Markdown, and what a terminal shows of it: folds over the catalog.

use std::fmt::Write as _;

use dataflow_core::component::{Component, Info, Kind};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::schema::{common, own_schema, resolve};
use crate::settings::{EngineTable, MetricsTable, StateTable};

/// How deep tables inside tables are listed: keys, not the forms that a value may have.
const DEPTH: usize = 4;

/// The pages of the reference manual: file name and Markdown.
pub fn reference(catalog: &[Component]) -> Vec<(String, String)> {
    let mut pages = vec![("pipeline.md".to_string(), pipeline_page())];
    for kind in Kind::ALL {
        let name = format!("{}s.md", kind.word());
        pages.push((name, family_page(kind, catalog)));
    }
    pages
}

/// A component's page, for `dataflow show`.
pub fn page(component: &Component) -> String {
    let info = &component.info;
    let mut page = format!("## {}\n\n{}.\n", info.name, info.summary);
    if !info.manual.trim().is_empty() {
        let _ = write!(page, "\n{}\n", info.manual.trim());
    }
    let example = match component.kind() {
        Kind::Accumulator => format!("```sql\n{}\n```", info.example.trim()),
        _ => format!("```toml\n{}\n```", example(component).trim()),
    };
    let _ = write!(page, "\n{example}\n");
    if let Some((schema, definitions)) = own_schema(component) {
        let table = options(&schema, &definitions);
        if !table.is_empty() {
            let _ = write!(page, "\n{table}");
        }
    }
    ports(&mut page, component.kind(), info);
    if !info.also_called.is_empty() {
        let names: Vec<String> = info.also_called.iter().map(|n| format!("`{n}`")).collect();
        let _ = write!(page, "\nElsewhere called {}.\n", names.join(", "));
    }
    page
}

fn ports(page: &mut String, kind: Kind, info: &Info) {
    if info.ports.is_empty() || kind.is_part() {
        return;
    }
    page.push_str("\n| Output | Rows |\n|---|---|\n");
    for (name, meaning) in info.ports {
        let _ = writeln!(page, "| `id.{name}` | {} |", cell(meaning));
    }
}

/// A component's example as it stands in a pipeline file, under the id `example` if it has a table of its own.
pub fn example(component: &Component) -> String {
    let kind = component.kind();
    let info = &component.info;
    if kind.is_part() {
        return info.example.to_string();
    }
    let mut text = format!("[{}s.example]\n", kind.word());
    let says = |key: &str| {
        info.example
            .lines()
            .any(|line| line.trim_start().starts_with(key))
    };
    if !says("type ") && !says("type=") {
        let _ = writeln!(text, "type = \"{}\"", info.name);
    }
    if kind != Kind::Source && !says("inputs") {
        text.push_str("inputs = [\"some_id\"]\n");
    }
    text.push_str(info.example.trim());
    text.push('\n');
    text
}

/// What there is, for `dataflow list`: a line each.
pub fn list(catalog: &[Component]) -> String {
    let width = catalog.iter().map(|c| c.info.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for kind in Kind::ALL {
        let family: Vec<&Component> = catalog.iter().filter(|c| c.kind() == kind).collect();
        if family.is_empty() {
            continue;
        }
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{}", title(kind));
        for component in family {
            let _ = writeln!(
                text,
                "  {:width$}  {}",
                component.info.name, component.info.summary
            );
        }
    }
    text
}

/// What there is, as JSON.
pub fn list_json(catalog: &[Component]) -> Value {
    let one = |c: &Component| json!({ "family": c.kind().word(), "name": c.info.name, "summary": c.info.summary, "also_called": c.info.also_called });
    catalog.iter().map(one).collect()
}

fn title(kind: Kind) -> String {
    let word = kind.word();
    format!("{}{}s", word[..1].to_uppercase(), &word[1..])
}

fn family_page(kind: Kind, catalog: &[Component]) -> String {
    let family = || catalog.iter().filter(|c| c.kind() == kind);
    let mut page = format!(
        "# {}\n\n<!-- Generated from the components' own documentation. -->\n\n",
        title(kind)
    );
    page.push_str("| Name | |\n|---|---|\n");
    for component in family() {
        let name = component.info.name;
        let _ = writeln!(
            page,
            "| [{name}](#{name}) | {} |",
            cell(component.info.summary)
        );
    }
    if !kind.is_part() {
        let mut generator = SchemaSettings::draft07().for_deserialize().into_generator();
        let keys = common(kind, false, &mut generator);
        let schema = json!({ "properties": keys });
        let table = options(&schema, &Map::new());
        if !table.is_empty() {
            let _ = write!(
                page,
                "\nEvery {} has `type` and these keys:\n\n{table}",
                kind.word()
            );
        }
    }
    for component in family() {
        let _ = write!(page, "\n{}", self::page(component));
    }
    page
}

fn pipeline_page() -> String {
    let mut page = String::from(
        "# The pipeline file\n\n<!-- Generated from the settings' own documentation. -->\n",
    );
    page.push_str(
        "\nThe keys of the top level are `name`, `include` (files whose tables belong to this pipeline), `params`, `engine`,\n\
         `metrics`, `state`, `sources`, `transforms`, `sinks` and `tests`. Variables stand in values: `${name}` is a parameter, else an\n\
         environment variable; `${name:-default}` and `${name:?message}` say what happens without it; `${file:path}` is a secret\n\
         in a file; `$${` is a plain `${`. In expressions `$name` is a parameter as a typed constant.\n",
    );
    page.push_str("\n## `[engine]`\n\n");
    page.push_str(&options_of::<EngineTable>());
    page.push_str("\n## `[metrics]`\n\n");
    page.push_str(&options_of::<MetricsTable>());
    page.push_str("\n## `[state]`\n\n");
    page.push_str(&options_of::<StateTable>());
    page.push_str(
        "\n## `[params]`\n\nA parameter is a value, or a table.\n\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n\
         | `default` | any plain value | required unless given | The value if nothing else is said. |\n\
         | `help` | text | | What it is for. |\n\
         | `type` | `\"text\"`, `\"integer\"`, `\"float\"`, `\"boolean\"`, `\"list\"` | that of the default | How text from the command line or the environment is read. |\n",
    );
    page.push_str(
        "\n## `each`\n\nComponents with `compute` have `each`: one line that stands for many, one for each column of the input whose\n\
         name fits `columns`. A word in braces stands for one or more characters and may be used in `name` and `value`;\n\
         `{column}` is the column. The lines come behind the written ones, in the order of the columns.\n\n\
         ```toml\neach = [{ columns = \"pod_{m}_core_seconds\", name = \"pod_{m}_core_hours\", value = \"sum({column}) / 3600\" }]\n```\n",
    );
    page.push_str(
        "\n## `[[tests]]`\n\nRows go in at a component, instead of its input (at a source: instead of what it reads; at `id.table`:\n\
         instead of the table that this key names), and the rows that come out are compared in order. Other sources give no\n\
         rows. Expected columns are a subset; a column that an inserted row does not name is null; `{ null = true }` is null;\n\
         times are text; numbers may differ by `tolerance` (1e-9), relative to their size.\n",
    );
    page
}

fn options_of<T: JsonSchema>() -> String {
    let mut generator = SchemaSettings::draft07().for_deserialize().into_generator();
    let schema = generator.subschema_for::<T>().to_value();
    let definitions = generator.take_definitions(true);
    let schema = resolve(&schema, &definitions).clone();
    options(&schema, &definitions)
}

/// The table of a configuration's keys; empty if it has none.
fn options(schema: &Value, definitions: &Map<String, Value>) -> String {
    let mut lines = Lines {
        definitions,
        lines: Vec::new(),
    };
    lines.of(schema, "", 0, false);
    if lines.lines.is_empty() {
        return String::new();
    }
    format!(
        "| Key | Type | Default | Meaning |\n|---|---|---|---|\n{}\n",
        lines.lines.join("\n")
    )
}

struct Lines<'a> {
    definitions: &'a Map<String, Value>,
    lines: Vec<String>,
}

impl Lines<'_> {
    /// `choice`: this is one of several forms, so what it needs is needed only there.
    fn of(&mut self, schema: &Value, prefix: &str, depth: usize, choice: bool) {
        if depth > DEPTH {
            return;
        }
        let schema = resolve(schema, self.definitions);
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            let required = schema.get("required").and_then(Value::as_array);
            for (key, property) in properties {
                let needed = !choice && required.is_some_and(|r| r.iter().any(|k| k == key));
                self.one(&format!("{prefix}{key}"), property, needed, depth);
            }
        }
        if let Some(forms) = schema.get("oneOf").and_then(Value::as_array) {
            self.tag(forms, prefix);
        }
        for members in ["oneOf", "anyOf", "allOf"] {
            for member in schema
                .get(members)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                self.of(member, prefix, depth, choice || members != "allOf");
            }
        }
        if let Some(items) = schema.get("items") {
            let prefix = format!("{}[].", prefix.trim_end_matches('.'));
            self.of(items, &prefix, depth + 1, false);
        }
        if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object()) {
            self.of(values, &format!("{prefix}<name>."), depth + 1, false);
        }
    }

    /// The key that tells which of several forms a table has: one line for all of its values.
    fn tag(&mut self, forms: &[Value], prefix: &str) {
        let (mut tag, mut values, mut meaning) = (None, Vec::new(), String::new());
        for form in forms {
            let form = resolve(form, self.definitions);
            let Some(properties) = form.get("properties").and_then(Value::as_object) else {
                continue;
            };
            let Some((key, value)) = properties
                .iter()
                .find_map(|(key, property)| Some((key, property.get("const")?)))
            else {
                continue;
            };
            tag.get_or_insert(key);
            values.push(format!("`{}`", toml_value(value)));
            let said = form.get("description").and_then(Value::as_str);
            let others = properties.keys().filter(|other| *other != key);
            let others: Vec<String> = others.map(|other| format!("`{other}`")).collect();
            let _ = write!(
                meaning,
                "<br>`{}`: {} Keys: {}.",
                toml_value(value),
                cell(said.unwrap_or_default()),
                others.join(", ")
            );
        }
        if let Some(key) = tag.filter(|_| values.len() > 1) {
            self.lines.push(format!(
                "| `{prefix}{key}` | {} | required | Which kind.{meaning} |",
                values.join(", ")
            ));
        }
    }

    fn one(&mut self, key: &str, property: &Value, needed: bool, depth: usize) {
        let default = property.get("default").filter(|d| !d.is_null());
        let default = match default {
            Some(Value::Object(map)) if map.is_empty() || map.values().all(Value::is_null) => {
                String::new()
            }
            Some(default) => format!("`{}`", toml_value(default)),
            None if needed => "required".into(),
            None => String::new(),
        };
        let resolved = resolve(property, self.definitions);
        let described = property
            .get("description")
            .or_else(|| resolved.get("description"));
        let meaning = described.and_then(Value::as_str).unwrap_or_default();
        let line = format!(
            "| `{key}` | {} | {default} | {}{} |",
            self.type_words(property, 0),
            cell(meaning),
            self.variants(resolved)
        );
        if !self
            .lines
            .iter()
            .any(|known| known.starts_with(&format!("| `{key}` |")))
        {
            self.lines.push(line);
        }
        self.of(property, &format!("{key}."), depth + 1, false);
    }

    /// What the values of a choice mean, where they say so.
    fn variants(&self, schema: &Value) -> String {
        let mut text = String::new();
        for variant in schema
            .get("oneOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if let (Some(name), Some(meaning)) = (
                variant.get("const"),
                variant.get("description").and_then(Value::as_str),
            ) {
                let _ = write!(text, "<br>`{}`: {}", toml_value(name), cell(meaning));
            }
        }
        text
    }

    /// The type of a value in words.
    fn type_words(&self, schema: &Value, depth: usize) -> String {
        let schema = resolve(schema, self.definitions);
        if depth > DEPTH {
            return "table".into();
        }
        if let Some(value) = schema.get("const") {
            return format!("`{}`", toml_value(value));
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            let values: Vec<String> = values
                .iter()
                .filter(|v| !v.is_null())
                .map(|v| format!("`{}`", toml_value(v)))
                .collect();
            return values.join(", ");
        }
        for members in ["oneOf", "anyOf"] {
            if let Some(list) = schema.get(members).and_then(Value::as_array) {
                let mut words: Vec<String> = Vec::new();
                for member in list
                    .iter()
                    .filter(|m| m.get("type") != Some(&json!("null")))
                {
                    let word = self.type_words(member, depth + 1);
                    if !words.contains(&word) {
                        words.push(word);
                    }
                }
                let constants = words.iter().all(|w| w.starts_with('`'));
                return words.join(if constants { ", " } else { " or " });
            }
        }
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several
                .iter()
                .filter_map(Value::as_str)
                .filter(|t| *t != "null")
                .collect(),
            _ => Vec::new(),
        };
        let words: Vec<String> = types
            .iter()
            .map(|t| self.type_word(t, schema, depth))
            .collect();
        if words.is_empty() {
            "any value".into()
        } else {
            words.join(" or ")
        }
    }

    fn type_word(&self, name: &str, schema: &Value, depth: usize) -> String {
        let example = schema.get("examples").and_then(|e| e.get(0));
        match name {
            "integer" => "whole number".into(),
            "number" => "number".into(),
            "boolean" => "`true` or `false`".into(),
            "array" => match schema.get("items") {
                Some(items) => format!("list of {}", self.type_words(items, depth + 1)),
                None => "list".into(),
            },
            "string" => match example {
                Some(example) => format!("text such as `{}`", toml_value(example)),
                None => "text".into(),
            },
            _ => match schema.get("additionalProperties").filter(|a| a.is_object()) {
                Some(values) => format!("table of {}", self.type_words(values, depth + 1)),
                None => "table".into(),
            },
        }
    }
}

/// A JSON value as it is written in TOML.
fn toml_value(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml_value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let entries = map.iter().filter(|(_, v)| !v.is_null());
            let entries: Vec<String> = entries
                .map(|(k, v)| format!("{k} = {}", toml_value(v)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(" ").replace('|', "\\|")
}
