//! The JSON schema of pipeline files, from which editors complete: a fold over the catalog.

use dataflow_core::component::{Component, Kind};
use dataflow_core::window::Written;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::each::Each;
use crate::settings::{EngineTable, MetricsTable, StateTable};
use crate::written::FAMILIES;

/// A text that is only a variable stands for a value of any type.
const VARIABLE: &str = r"^\$\{[^}]*\}$";

/// The JSON schema (draft 7, which editors understand best) of pipeline files over this catalog.
pub fn json_schema(catalog: &[Component]) -> Value {
    let mut generator = generator();
    let mut definitions = Map::new();
    let mut properties = Map::new();
    properties.insert("name".into(), json!({ "type": "string", "description": "The pipeline's name; the file's name by default." }));
    properties.insert("include".into(), json!({
        "description": "Files whose tables are part of this pipeline; paths are relative to this file.",
        "type": "array", "items": { "type": "string" },
    }));
    properties.insert("params".into(), params());
    properties.insert("engine".into(), of::<EngineTable>(&mut generator));
    properties.insert("metrics".into(), of::<MetricsTable>(&mut generator));
    properties.insert("state".into(), of::<StateTable>(&mut generator));
    for (family, kind) in FAMILIES {
        let variants = variants(kind, catalog, &mut generator, &mut definitions);
        properties.insert(
            family.into(),
            json!({
                "description": format!("The {family}, by id."),
                "type": "object",
                "propertyNames": { "pattern": "^[a-z0-9_]+$" },
                "additionalProperties": { "oneOf": variants },
            }),
        );
    }
    properties.insert("tests".into(), tests());
    let windows = windows(catalog, &mut generator, &mut definitions);
    definitions.extend(generator.take_definitions(true));
    definitions.extend(windows);
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A pipeline of dataflow",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "definitions": definitions,
    });
    relax(&mut schema);
    schema
}

/// Adds the definitions of a family's components; returns references to them.
fn variants(
    kind: Kind,
    catalog: &[Component],
    generator: &mut SchemaGenerator,
    definitions: &mut Map<String, Value>,
) -> Vec<Value> {
    let mut variants = Vec::new();
    for component in catalog.iter().filter(|c| c.kind() == kind) {
        let name = format!("{}_{}", kind.word(), component.info.name);
        let schema = component_schema(component, generator);
        definitions.insert(name.clone(), schema);
        variants.push(json!({ "$ref": format!("#/definitions/{name}") }));
    }
    variants
}

/// The definition that any window fits, if a component takes windows.
fn windows(
    catalog: &[Component],
    generator: &mut SchemaGenerator,
    definitions: &mut Map<String, Value>,
) -> Option<(String, Value)> {
    let name = Written::schema_name().into_owned();
    if !generator.definitions().contains_key(&name) {
        return None;
    }
    let variants = variants(Kind::Window, catalog, generator, definitions);
    (!variants.is_empty()).then(|| (name, json!({ "oneOf": variants })))
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft07().for_deserialize().into_generator()
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

/// The schema of a component's own table, and the definitions that it refers to.
pub(crate) fn own_schema(component: &Component) -> Option<(Value, Map<String, Value>)> {
    let mut generator = generator();
    let schema = component.schema.as_ref()?(&mut generator).to_value();
    let definitions = generator.take_definitions(true);
    let schema = resolve(&schema, &definitions).clone();
    Some((schema, definitions))
}

/// The keys of a component's own table.
pub(crate) fn keys(component: &Component) -> Vec<String> {
    let schema = own_schema(component).map(|(schema, _)| schema);
    let properties = schema
        .as_ref()
        .and_then(|s| s.get("properties"))
        .and_then(Value::as_object);
    properties
        .map(|p| p.keys().cloned().collect())
        .unwrap_or_default()
}

/// What a schema refers to.
pub(crate) fn resolve<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> &'a Value {
    let mut at = schema;
    // A reference may lead to a reference, but not for ever.
    for _ in 0..8 {
        let single = at
            .get("allOf")
            .and_then(Value::as_array)
            .filter(|all| all.len() == 1)
            .map(|all| &all[0]);
        let name = at
            .get("$ref")
            .or_else(|| single.and_then(|s| s.get("$ref")))
            .and_then(Value::as_str)
            .and_then(|r| r.rsplit('/').next());
        match name.and_then(|name| definitions.get(name)) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

/// A component's table with the keys that all components have.
fn component_schema(component: &Component, generator: &mut SchemaGenerator) -> Value {
    let own = component
        .schema
        .as_ref()
        .map(|make| make(generator).to_value());
    let own = own.map(|own| resolve(&own, generator.definitions()).clone());
    let mut schema = own.filter(Value::is_object).unwrap_or_else(|| json!({}));
    let own = schema
        .get("properties")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let mut properties = Map::new();
    let info = &component.info;
    properties.insert(
        "type".into(),
        json!({ "const": info.name, "description": info.summary }),
    );
    let common = common(component.kind(), own.contains_key("compute"), generator);
    let mut required = vec![json!("type")];
    if common.contains_key("inputs") {
        required.push(json!("inputs"));
    }
    properties.extend(common.into_iter().filter(|(key, _)| !own.contains_key(key)));
    properties.extend(own);
    required.extend(
        schema
            .get("required")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
    );
    schema["type"] = json!("object");
    schema["description"] = json!(info.summary);
    schema["properties"] = Value::Object(properties);
    schema["required"] = Value::Array(required);
    schema["additionalProperties"] = json!(false);
    schema
}

/// The keys that components of a family have besides their own.
pub(crate) fn common(
    kind: Kind,
    compute: bool,
    generator: &mut SchemaGenerator,
) -> Map<String, Value> {
    let mut keys = Map::new();
    if kind.is_part() {
        return keys;
    }
    if kind != Kind::Source {
        keys.insert("inputs".into(), json!({
            "description": "What it reads: ids, `id.port` for a named output, `id.errors` for bad rows, `*.errors` for the bad rows of all. Several inputs are read one after another and must have the same columns.",
            "oneOf": [
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                { "type": "string" },
            ],
        }));
    }
    if kind != Kind::Sink {
        keys.insert("on_error".into(), json!({
            "description": "What becomes of rows that fail, where nothing reads `errors`: the first one stops the run (`fail`, the default), or they are dropped and counted (`drop`).",
            "enum": ["fail", "drop"],
        }));
        keys.insert("max_errors".into(), json!({
            "description": "How many rows may fail before the run stops: a number, or a share such as `\"1%\"`, judged after the first 1,000 rows. Any number by default.",
            "oneOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9.]+ *%$|\\$\\{" },
            ],
        }));
    }
    if compute {
        keys.insert("each".into(), json!({
            "description": "Lines of `compute` for every column whose name fits a pattern; they come behind the written ones.",
            "type": "array",
            "items": of::<Each>(generator),
        }));
    }
    keys
}

fn params() -> Value {
    let plain = json!(["string", "number", "integer", "boolean", "array"]);
    json!({
        "description": "Parameters: `${name}` in a value, `$name` in an expression. `--set name=value` or the environment variable NAME changes them.",
        "type": "object",
        "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
        "additionalProperties": { "oneOf": [
            { "type": plain },
            {
                "type": "object",
                "properties": {
                    "default": { "type": plain, "description": "The value if nothing else is said. Without it the parameter must be given." },
                    "help": { "type": "string", "description": "What it is for." },
                    "type": { "enum": ["text", "integer", "float", "boolean", "list"], "description": "The type; that of the default by default." },
                },
                "additionalProperties": false,
            },
        ] },
    })
}

fn tests() -> Value {
    let rows = json!({
        "description": "The rows: `{ column = value }`. `{ null = true }` is null.",
        "type": "array", "items": { "type": "object" },
    });
    let part = |place: &str, description: &str| {
        let one = json!({
            "type": "object",
            "properties": { place: { "type": "string", "description": description }, "rows": rows },
            "required": [place, "rows"],
            "additionalProperties": false,
        });
        json!({ "oneOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    };
    json!({
        "description": "Tests: rows that go in, and rows that are expected to come out.",
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "name": { "type": "string", "description": "What the test shows, as a sentence." },
                "tolerance": { "type": "number", "minimum": 0, "default": 1e-9, "description": "How far numbers may be apart, relative to their size." },
                "insert": part("at", "The component whose input these rows are, or `id.key` for the table that a key of it names. Sources give no rows in a test, unless rows go in at them."),
                "expect": part("from", "The output: `id` or `id.port`."),
            },
            "required": ["name", "insert", "expect"],
            "additionalProperties": false,
        },
    })
}

/// TOML has no null, and `"${name}"` may stand for a number or a truth value.
fn relax(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(relax),
        Value::Object(map) => {
            map.values_mut().for_each(relax);
            without_null(map);
            let variable = map
                .get("type")
                .and_then(Value::as_str)
                .is_some_and(|t| matches!(t, "integer" | "number" | "boolean"));
            if variable && !map.contains_key("const") && !map.contains_key("enum") {
                let own = map["type"].clone();
                map.insert("type".into(), json!([own, "string"]));
                map.insert("pattern".into(), json!(VARIABLE));
            }
        }
        _ => {}
    }
}

fn without_null(map: &mut Map<String, Value>) {
    if map.get("default") == Some(&Value::Null) {
        map.remove("default");
    }
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|t| t != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            map.insert("type".into(), one);
        }
    }
    if let Some(Value::Array(any)) = map.get_mut("anyOf") {
        any.retain(|s| s.get("type") != Some(&json!("null")));
        if let [Value::Object(one)] = any.as_slice() {
            let one = one.clone();
            map.remove("anyOf");
            for (key, value) in one {
                map.entry(key).or_insert(value);
            }
        }
    }
}
