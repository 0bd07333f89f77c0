//! Small components with the names and keys of real ones: enough to be checked, not to be run.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use dataflow_core::component::{
    Component, Configured, Info, SinkConfig, SourceConfig, TransformConfig, WindowConfig,
};
use dataflow_core::problem::did_you_mean;
use dataflow_core::sink::Target;
use dataflow_core::source::{Comparison, Operator, Split, Wanted};
use dataflow_core::transform::{Columns, Input, Port, StagePlan};
use dataflow_core::window::{Window, Written};
use dataflow_core::{
    Check, Cutter, Error, Located, Place, Problem, Reader, Result, Sink, SinkContext, Source,
    Transform, Value, Writer,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All fake components.
pub fn catalog() -> Vec<Component> {
    vec![
        Component::source::<FileSource>(),
        Component::source::<Generate>(),
        Component::transform::<Aggregate>(),
        Component::transform::<Filter>(),
        Component::transform::<Limit>(),
        Component::transform::<Select>(),
        Component::transform::<Sort>(),
        Component::sink::<Console>(),
        Component::sink::<FileSink>(),
        Component::window::<Count>(),
        Component::window::<Global>(),
    ]
}

fn fields(names: &[&str]) -> SchemaRef {
    let field = |name: &&str| {
        let data_type = match *name {
            "timestamp" => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            "device" | "user" | "message" => DataType::Utf8,
            "rows" => DataType::Int64,
            _ => DataType::Float64,
        };
        Field::new(*name, data_type, true)
    };
    Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>()))
}

fn sensors() -> SchemaRef {
    fields(&["timestamp", "device", "temperature", "vibration", "voltage"])
}

/// Reads files.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileSource {
    /// The file, folder or pattern.
    path: Located<String>,
    /// How wide a time may be off.
    #[serde(default)]
    lateness: Option<dataflow_core::units::Duration>,
    /// Which files belong together.
    #[serde(default)]
    schema: Agreement,
}

/// Which files belong together.
#[derive(Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
enum Agreement {
    /// All have the same columns.
    #[default]
    Strict,
    /// A column that a file lacks is null.
    Union,
}

impl Configured for FileSource {
    const INFO: Info = Info {
        name: "file",
        summary: "reads rows from files",
        manual: "Reads what it finds.",
        example: "path = \"data/*.csv\"",
        ports: &[("metadata", "a row for each file")],
        also_called: &["csv", "parquet", "read"],
    };
}

impl SourceConfig for FileSource {
    fn build(self, check: &mut Check<'_>) -> Option<Arc<dyn Source>> {
        let _ = (self.lateness, self.schema);
        if check.offline {
            return None;
        }
        if self.path.contains("missing") {
            let message = format!("there is no file `{}`", *self.path);
            check.error_at(&self.path, message, Some("check the path".into()));
            return None;
        }
        let schema = if self.path.contains("events") {
            fields(&["timestamp", "user", "amount"])
        } else if self.path.contains("usage") {
            fields(&["device", "pod_cpu_seconds", "pod_memory_seconds"])
        } else if self.path.contains("text") {
            Arc::new(Schema::new(vec![Field::new(
                "temperature",
                DataType::Utf8,
                true,
            )]))
        } else {
            sensors()
        };
        let ports = vec![
            Port::main(schema),
            Port::named("metadata", fields(&["message"])),
        ];
        Some(Arc::new(Read {
            ports,
            wanted: Wanted::default(),
        }))
    }
}

/// Makes rows up.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Generate {
    /// How many rows.
    rows: Located<u64>,
    /// What they are like.
    #[serde(default)]
    preset: Preset,
}

#[derive(Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
enum Preset {
    #[default]
    Sensors,
    Usage,
}

impl Configured for Generate {
    const INFO: Info = Info {
        name: "generate",
        summary: "makes rows up",
        example: "rows = 100\npreset = \"sensors\"",
        also_called: &["fake"],
        ..Info::EMPTY
    };
}

impl SourceConfig for Generate {
    fn build(self, check: &mut Check<'_>) -> Option<Arc<dyn Source>> {
        if self.rows.value == 0 {
            check.warn_at(&self.rows, "no rows are made", None);
        }
        let schema = match self.preset {
            Preset::Sensors => sensors(),
            Preset::Usage => fields(&["device", "pod_cpu_seconds", "pod_memory_seconds"]),
        };
        Some(Arc::new(Read {
            ports: vec![Port::main(schema)],
            wanted: Wanted::default(),
        }))
    }
}

struct Read {
    ports: Vec<Port>,
    wanted: Wanted,
}

impl Source for Read {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn narrow(self: Arc<Self>, wanted: &Wanted) -> Arc<dyn Source> {
        let mut ports = self.ports.clone();
        if let Some(columns) = &wanted.columns {
            let kept = ports[0]
                .schema
                .fields()
                .iter()
                .filter(|f| columns.contains(f.name()));
            ports[0].schema = Arc::new(Schema::new(kept.cloned().collect::<Vec<_>>()));
        }
        Arc::new(Read {
            ports,
            wanted: wanted.clone(),
        })
    }

    fn splits(&self) -> Result<Vec<Split>> {
        Ok(Vec::new())
    }

    fn cutter(&self, _: usize, _: Place) -> Result<Box<dyn Cutter>> {
        Err(Error::internal("a fake"))
    }

    fn reader(&self) -> Result<Box<dyn Reader>> {
        Err(Error::internal("a fake"))
    }

    fn explain(&self) -> Vec<String> {
        vec![format!(
            "skips {:?}, rows {:?}",
            self.wanted.predicate, self.wanted.rows
        )]
    }
}

/// Words that are not columns.
const WORDS: [&str; 12] = [
    "and", "or", "not", "is", "null", "as", "case", "when", "then", "else", "end", "where",
];
const FUNCTIONS: [&str; 5] = ["sum", "mean", "max", "count", "filter"];

/// The columns of an expression; reports names that do not exist, at their place.
fn columns(text: &Located<String>, schema: &Schema, check: &mut Check<'_>) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut fine = true;
    for (range, kind) in words(text) {
        let word = &text[range.clone()];
        let problem = match kind {
            Word::Parameter => (!check.parameters.contains_key(&word[1..]))
                .then(|| (format!("there is no parameter `{}`", &word[1..]), None)),
            Word::Call => (!FUNCTIONS.contains(&word)).then(|| {
                let help = did_you_mean(word, FUNCTIONS);
                (format!("there is no function `{word}`"), help)
            }),
            Word::Column => {
                let name = word.trim_matches('"');
                found.push(name.to_string());
                schema.field_with_name(name).is_err().then(|| {
                    let names = schema.fields().iter().map(|f| f.name().as_str());
                    (
                        format!("there is no column `{name}`"),
                        did_you_mean(name, names),
                    )
                })
            }
        };
        if let Some((message, help)) = problem {
            check
                .problems
                .push(Problem::inside(message, text, range).maybe_help(help));
            fine = false;
        }
    }
    fine.then_some(found)
}

enum Word {
    Column,
    Call,
    Parameter,
}

fn words(text: &str) -> Vec<(Range<usize>, Word)> {
    let bytes = text.as_bytes();
    let (mut at, mut found) = (0, Vec::new());
    let part = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    while at < bytes.len() {
        let start = at;
        at += 1;
        if bytes[start] == b'"' || bytes[start] == b'\'' {
            while at < bytes.len() && bytes[at] != bytes[start] {
                at += 1;
            }
            at = (at + 1).min(bytes.len());
            if bytes[start] == b'"' {
                found.push((start..at, Word::Column));
            }
        } else if bytes[start].is_ascii_alphabetic() || bytes[start] == b'_' || bytes[start] == b'$'
        {
            while at < bytes.len() && part(bytes[at]) {
                at += 1;
            }
            if bytes[start] == b'$' {
                found.push((start..at, Word::Parameter));
            } else if bytes.get(at) == Some(&b'(') {
                found.push((start..at, Word::Call));
            } else if !WORDS.contains(&&text[start..at]) {
                found.push((start..at, Word::Column));
            }
        } else if bytes[start].is_ascii_digit() {
            while at < bytes.len() && (part(bytes[at]) || bytes[at] == b'.') {
                at += 1;
            }
        }
    }
    found
}

/// Keeps rows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// The condition.
    #[serde(rename = "where")]
    condition: Located<String>,
}

impl Configured for Filter {
    const INFO: Info = Info {
        name: "filter",
        summary: "keeps the rows that meet a condition",
        example: "where = \"temperature > 80\"",
        ports: &[("rejected", "the other rows")],
        also_called: &["where"],
        ..Info::EMPTY
    };
}

impl TransformConfig for Filter {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let schema = Arc::clone(&inputs[0].schema);
        let columns = columns(&self.condition, &schema, check)?;
        // `column > number` is all that the fake understands for skipping.
        let parts: Vec<&str> = self.condition.split_whitespace().collect();
        let comparison = match parts.as_slice() {
            [column, ">", number] => number.parse().ok().map(|x| Comparison {
                column: (*column).to_string(),
                operator: Operator::Greater,
                value: Value::Float(x),
            }),
            _ => None,
        };
        let ports = vec![
            Port::main(Arc::clone(&schema)),
            Port::named("rejected", schema),
        ];
        Some(Arc::new(Fake {
            ports,
            needs: columns,
            passes: true,
            comparison,
        }))
    }
}

/// Chooses columns.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Select {
    /// Columns that are left out.
    #[serde(default)]
    drop: Vec<Located<String>>,
    /// New columns.
    #[serde(default)]
    compute: BTreeMap<String, Located<String>>,
}

impl Configured for Select {
    const INFO: Info = Info {
        name: "select",
        summary: "chooses and computes columns",
        example: "compute.power = \"voltage * 2\"",
        also_called: &["map", "project"],
        ..Info::EMPTY
    };
}

impl TransformConfig for Select {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let mut fields: Vec<_> = inputs[0].schema.fields().iter().cloned().collect();
        let mut fine = true;
        for name in &self.drop {
            if inputs[0].schema.field_with_name(name).is_err() {
                check.error_at(name, format!("there is no column `{}`", **name), None);
                fine = false;
            }
            fields.retain(|f| f.name() != &**name);
        }
        let mut needs = Vec::new();
        for (name, text) in &self.compute {
            match columns(text, &inputs[0].schema, check) {
                Some(columns) => needs.extend(columns),
                None => fine = false,
            }
            fields.retain(|f| f.name() != name);
            fields.push(Arc::new(Field::new(name, DataType::Float64, true)));
        }
        fine.then(|| {
            Arc::new(Fake {
                ports: vec![Port::main(Arc::new(Schema::new(fields)))],
                needs,
                passes: true,
                comparison: None,
            }) as Arc<dyn Transform>
        })
    }
}

/// A row per key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Aggregate {
    /// The keys.
    #[serde(default)]
    by: Vec<Located<String>>,
    /// How rows are cut into groups.
    #[serde(default)]
    window: Option<Written>,
    /// The results.
    compute: ComputeLines,
}

/// Lines in the order in which they were written.
#[derive(JsonSchema)]
#[schemars(with = "BTreeMap<String, String>")]
struct ComputeLines(Vec<(String, Located<String>)>);

impl<'de> Deserialize<'de> for ComputeLines {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        struct Visit;
        impl<'de> serde::de::Visitor<'de> for Visit {
            type Value = ComputeLines;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table of expressions")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<ComputeLines, A::Error> {
                let mut lines = Vec::new();
                while let Some(line) = map.next_entry()? {
                    lines.push(line);
                }
                Ok(ComputeLines(lines))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

impl Configured for Aggregate {
    const INFO: Info = Info {
        name: "aggregate",
        summary: "summarises rows by key",
        example: "by = [\"device\"]\ncompute.rows = \"count(temperature)\"",
        also_called: &["group_by", "groupby"],
        ..Info::EMPTY
    };
}

impl TransformConfig for Aggregate {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let schema = &inputs[0].schema;
        let (mut needs, mut fields, mut fine) = (Vec::new(), Vec::new(), true);
        if let Some(window) = &self.window {
            fine = window.build(check).is_some();
        }
        for key in &self.by {
            match columns(key, schema, check) {
                Some(columns) => needs.extend(columns),
                None => fine = false,
            }
            fields.push(Field::new(&**key, DataType::Utf8, true));
        }
        for (name, text) in &self.compute.0 {
            match columns(text, schema, check) {
                Some(columns) => needs.extend(columns),
                None => fine = false,
            }
            fields.push(Field::new(name, DataType::Float64, true));
        }
        fine.then(|| {
            Arc::new(Fake {
                ports: vec![Port::main(Arc::new(Schema::new(fields)))],
                needs,
                passes: false,
                comparison: None,
            }) as Arc<dyn Transform>
        })
    }
}

/// So many rows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Count {
    /// How many.
    size: Located<u64>,
    /// How many from start to start.
    #[serde(default)]
    every: Option<u64>,
}

impl Configured for Count {
    const INFO: Info = Info {
        name: "count",
        summary: "so many rows",
        example: "window = { type = \"count\", size = 100 }",
        also_called: &["rows"],
        ..Info::EMPTY
    };
}

impl WindowConfig for Count {
    fn build(self, check: &mut Check<'_>) -> Option<Window> {
        let size = self.size.value;
        if size == 0 {
            check.error_at(&self.size, "a window has rows", None);
            return None;
        }
        let every = self.every.unwrap_or(size);
        Some(Window::Count { size, every })
    }
}

/// All rows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Global {}

impl Configured for Global {
    const INFO: Info = Info {
        name: "global",
        summary: "all rows",
        example: "window = { type = \"global\" }",
        ..Info::EMPTY
    };
}

impl WindowConfig for Global {
    fn build(self, _: &mut Check<'_>) -> Option<Window> {
        Some(Window::Global)
    }
}

/// The first rows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limit {
    /// How many.
    #[allow(dead_code)]
    rows: u64,
}

impl Configured for Limit {
    const INFO: Info = Info {
        name: "limit",
        summary: "keeps the first rows",
        example: "rows = 10",
        also_called: &["head"],
        ..Info::EMPTY
    };
}

impl TransformConfig for Limit {
    fn build(self, inputs: &[Input], _: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        Some(Arc::new(Fake {
            ports: vec![Port::main(Arc::clone(&inputs[0].schema))],
            needs: Vec::new(),
            passes: true,
            comparison: None,
        }))
    }
}

/// Sorts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sort {
    /// By which columns.
    by: Vec<Located<String>>,
}

impl Configured for Sort {
    const INFO: Info = Info {
        name: "sort",
        summary: "sorts rows",
        example: "by = [\"device\"]",
        also_called: &["order_by"],
        ..Info::EMPTY
    };
}

impl TransformConfig for Sort {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let mut needs = Vec::new();
        for key in &self.by {
            needs.extend(columns(key, &inputs[0].schema, check)?);
        }
        Some(Arc::new(Fake {
            ports: vec![Port::main(Arc::clone(&inputs[0].schema))],
            needs,
            passes: true,
            comparison: None,
        }))
    }
}

struct Fake {
    ports: Vec<Port>,
    needs: Vec<String>,
    /// Whether columns of the input come out.
    passes: bool,
    comparison: Option<Comparison>,
}

impl Transform for Fake {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn stages(&self) -> Vec<StagePlan> {
        Vec::new()
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        let own = Columns::named(self.needs.iter().cloned());
        if self.passes {
            wanted.iter().fold(own, |all, some| all.and(some))
        } else {
            own
        }
    }

    fn requires(&self, connected: &[usize]) -> Vec<Comparison> {
        if connected.contains(&1) {
            return Vec::new();
        }
        self.comparison.iter().cloned().collect()
    }
}

/// Prints.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Console {
    /// How many rows.
    #[serde(default)]
    rows: Option<u64>,
}

impl Configured for Console {
    const INFO: Info = Info {
        name: "console",
        summary: "prints a table",
        example: "rows = 20",
        also_called: &["stdout", "print"],
        ..Info::EMPTY
    };
}

impl SinkConfig for Console {
    fn build(self, input: &Input, _: &mut Check<'_>) -> Option<Arc<dyn Sink>> {
        let _ = input;
        Some(Arc::new(Write {
            target: None,
            explain: format!("prints {:?} rows", self.rows),
        }))
    }
}

/// Writes files.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileSink {
    /// The file.
    path: Located<String>,
}

impl Configured for FileSink {
    const INFO: Info = Info {
        name: "file",
        summary: "writes rows to a file",
        example: "path = \"out/rows.parquet\"",
        also_called: &["csv", "parquet", "write"],
        ..Info::EMPTY
    };
}

impl SinkConfig for FileSink {
    fn build(self, _: &Input, check: &mut Check<'_>) -> Option<Arc<dyn Sink>> {
        if self.path.is_empty() {
            check.error_at(&self.path, "the path is empty", None);
            return None;
        }
        Some(Arc::new(Write {
            explain: format!("writes {}", *self.path),
            target: Some(self.path.value),
        }))
    }
}

/// A sink that is never opened.
pub struct Write {
    /// What it writes.
    pub target: Option<String>,
    /// What it says of itself.
    pub explain: String,
}

impl Sink for Write {
    fn open(&self, _: &SinkContext) -> Result<Box<dyn Writer>> {
        Err(Error::internal("a fake"))
    }

    fn targets(&self) -> Vec<Target> {
        self.target.iter().cloned().map(Target::File).collect()
    }

    fn explain(&self) -> Vec<String> {
        vec![self.explain.clone()]
    }
}
