//! Sameness: the same bytes for any number of workers, any batch size, any cut of the input and any memory.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use dataflow::core::component::Kind;
use dataflow::{Catalog, Pipeline, Report};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::data::{self, Row, TYPES};
use crate::signals::SIGNALS;
use crate::time::OVER_TIME;

const WORKERS: [usize; 4] = [1, 2, 3, 8];
const BATCH_ROWS: [usize; 3] = [1, 7, 8192];
const AMPLE: &str = "256MiB";

/// Files by name: what a run wrote.
pub(crate) type Written = BTreeMap<String, Vec<u8>>;

/// How the engine is set for one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) workers: usize,
    pub(crate) batch_rows: usize,
    pub(crate) memory: &'static str,
}

/// Every number of workers with every batch size.
pub(crate) fn settings(memory: &'static str) -> impl Iterator<Item = Setting> {
    WORKERS.into_iter().flat_map(move |workers| {
        BATCH_ROWS.into_iter().map(move |batch_rows| Setting {
            workers,
            batch_rows,
            memory,
        })
    })
}

/// Runs a pipeline, which writes below `${out}`, and takes the files that it wrote.
pub(crate) fn run(text: &str, setting: Setting) -> (Written, Report) {
    let out = tempfile::tempdir().expect("a folder");
    let pipeline = Pipeline::from_text(text)
        .set("out", out.path().to_str().expect("a path of text"))
        .set("engine.workers", setting.workers.to_string())
        .set("engine.batch_rows", setting.batch_rows.to_string())
        .set("engine.memory", setting.memory)
        .load()
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    let report = pipeline
        .run()
        .unwrap_or_else(|error| panic!("{setting:?}: {error}"));
    (read(out.path()), report)
}

pub(crate) fn read(folder: &Path) -> Written {
    let names = crate::program::files(folder).into_iter();
    names
        .map(|name| {
            let bytes = std::fs::read(folder.join(&name)).expect("readable");
            (name, bytes)
        })
        .collect()
}

/// Fails at the first difference, and shows it.
pub(crate) fn same(expected: &Written, found: &Written, about: &str) {
    let names = |written: &Written| written.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(expected), names(found), "{about}");
    for (name, bytes) in expected {
        if *bytes != found[name] {
            panic!(
                "{about}: {name} differs\n{}",
                difference(bytes, &found[name])
            );
        }
    }
}

fn difference(expected: &[u8], found: &[u8]) -> String {
    let (expected, found) = (
        String::from_utf8_lossy(expected),
        String::from_utf8_lossy(found),
    );
    let mut lines = expected.lines().zip(found.lines()).enumerate();
    match lines.find(|(_, (a, b))| a != b) {
        Some((line, (a, b))) => format!("line {}:\n  {a}\n  {b}", line + 1),
        None => format!(
            "{} lines, {} lines",
            expected.lines().count(),
            found.lines().count()
        ),
    }
}

/// A source of rows, or several behind a union: pipeline text in which the rows leave on `rows`.
struct Input {
    name: &'static str,
    text: String,
}

fn file_source(id: &str, path: &Path, more: &str) -> String {
    format!(
        "[sources.{id}]\ntype = \"file\"\npath = \"{}\"\n{more}\n",
        path.display()
    )
}

fn passed_on(inputs: &[&str]) -> String {
    format!("[transforms.rows]\ntype = \"union\"\ninputs = {inputs:?}\n")
}

/// The same rows as files of every kind, cut in every way.
struct Rows {
    folder: tempfile::TempDir,
}

impl Rows {
    fn new(rows: &[Row]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let made = Self { folder };
        data::write_csv(&made.path("one.csv"), rows);
        data::write_jsonl(&made.path("one.jsonl"), rows);
        data::write_cut(&made.path("csv"), "csv", rows, 100, data::write_csv);
        data::write_cut(&made.path("jsonl"), "jsonl", rows, 100, data::write_jsonl);
        let (head, tail) = rows.split_at(rows.len() / 3);
        data::write_csv(&made.path("head.csv"), head);
        data::write_csv(&made.path("none.csv"), &[]);
        data::write_csv(&made.path("tail.csv"), tail);
        // An empty file of JSON lines has no columns that could be written.
        let groups: &[usize] = if rows.is_empty() {
            &[]
        } else {
            &[1000, 1_000_000]
        };
        groups.iter().for_each(|group| made.write_parquet(*group));
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_parquet(&self, group: usize) {
        let text = format!(
            "params = {{ out = \"\" }}\n{}[sinks.out]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"{}\"\nformat = {{ parquet = {{ row_group_rows = {group} }} }}\n",
            file_source("rows", &self.path("one.jsonl"), TYPES),
            self.path(&format!("{group}.parquet")).display()
        );
        run(
            &text,
            Setting {
                workers: 1,
                batch_rows: 8192,
                memory: AMPLE,
            },
        );
    }

    /// Inputs whose rows have no lists.
    fn texts(&self) -> Vec<Input> {
        let several = [("a", "head.csv"), ("b", "none.csv"), ("c", "tail.csv")]
            .map(|(id, name)| file_source(id, &self.path(name), TYPES));
        vec![
            Input {
                name: "one CSV file",
                text: file_source("rows", &self.path("one.csv"), TYPES),
            },
            Input {
                name: "100 CSV files",
                text: file_source("rows", &self.path("csv"), TYPES),
            },
            Input {
                name: "a union of three sources",
                text: several.concat() + &passed_on(&["a", "b", "c"]),
            },
        ]
    }

    /// Inputs whose rows have lists.
    fn nested(&self) -> Vec<Input> {
        let parquet =
            |group: usize| file_source("rows", &self.path(&format!("{group}.parquet")), "");
        vec![
            Input {
                name: "one file of JSON lines",
                text: file_source("rows", &self.path("one.jsonl"), TYPES),
            },
            Input {
                name: "100 files of JSON lines",
                text: file_source(
                    "rows",
                    &self.path("jsonl"),
                    &format!("schema = \"union\"\n{TYPES}"),
                ),
            },
            Input {
                name: "Parquet in row groups of 1,000",
                text: parquet(1000),
            },
            Input {
                name: "Parquet in one row group",
                text: parquet(1_000_000),
            },
        ]
    }
}

/// Every transform, alone and behind others, each with files of its own.
const TRANSFORMS: &str = r#"
[transforms.kept]
type = "filter"
inputs = ["rows"]
where = "y > 10 and x is not null"
[transforms.parsed]
type = "select"
inputs = ["rows"]
on_error = "drop"
keep = ["id", "key"]
compute.number = "cast(text as bigint)"
compute.share = "100 / number"
[transforms.routed]
type = "route"
inputs = ["rows"]
routes = { big = "n > 200", flagged = "flag", far = "abs(x) > 1e299" }
[transforms.per_key]
type = "aggregate"
inputs = ["kept"]
by = ["key"]
compute.rows = "count(*)"
compute.sum = "sum(x)"
compute.first = "first(id)"
compute.last = "last(id)"
[transforms.per_sum]
type = "aggregate"
inputs = ["per_key"]
by = ["sum"]
compute.keys = "count(*)"
compute.first = "first(key)"
compute.mean = "mean(rows)"
[transforms.total]
type = "aggregate"
inputs = ["parsed"]
compute.numbers = "sum(number)"
compute.shares = "sum(share)"
[transforms.statistics]
type = "describe"
inputs = ["rows"]
[transforms.together]
type = "union"
inputs = ["routed.far", "kept.rejected"]
[transforms.some]
type = "limit"
inputs = ["rows"]
rows = 1034
[transforms.of_some]
type = "aggregate"
inputs = ["some"]
by = ["word"]
compute.sum = "sum(wild)"
[transforms.best]
type = "top"
inputs = ["rows"]
n = 3
by = ["wild", "n asc"]
key = ["key"]
[transforms.best_of_all]
type = "top"
inputs = ["rows"]
n = 700
by = ["y"]
[transforms.sorted]
type = "sort"
inputs = ["rows"]
by = ["wild", "key desc", "word"]
[transforms.of_sorted]
type = "aggregate"
inputs = ["sorted"]
by = ["flag"]
compute.first = "first(id)"
compute.last = "last(id)"
compute.area = "integral(y, t)"
[transforms.head_of_sorted]
type = "limit"
inputs = ["sorted"]
rows = 77
"#;

const TRANSFORM_OUTPUTS: [&str; 19] = [
    "kept",
    "kept.rejected",
    "parsed",
    "routed.big",
    "routed.flagged",
    "routed.far",
    "routed.other",
    "per_key",
    "per_sum",
    "total",
    "statistics",
    "together",
    "some",
    "of_some",
    "best",
    "best_of_all",
    "sorted",
    "of_sorted",
    "head_of_sorted",
];

/// Lists to rows, and lists that an accumulator made.
const UNNESTS: &str = r#"
[transforms.elements]
type = "unnest"
inputs = ["rows"]
column = "list"
keep_empty = true
[transforms.of_elements]
type = "aggregate"
inputs = ["elements"]
by = ["list"]
compute.rows = "count(*)"
compute.sum = "sum(wild)"
[transforms.frequent]
type = "aggregate"
inputs = ["elements"]
by = ["key"]
compute.values = "top_values(list, 3)"
[transforms.frequent_rows]
type = "unnest"
inputs = ["frequent"]
column = "values"
[transforms.frequent_columns]
type = "unnest"
inputs = ["frequent_rows"]
column = "values"
prefix = "the_"
"#;

const UNNEST_OUTPUTS: [&str; 3] = ["elements", "of_elements", "frequent_columns"];

/// Rows of two inputs: of one source, of results, and of a second source that is read first.
const JOINS: &str = r#"
[transforms.of_second]
type = "aggregate"
inputs = ["second"]
by = ["key"]
compute.first = "first(id)"
compute.rows = "count(*)"
compute.mean = "mean(y)"
[transforms.joined]
type = "join"
inputs = ["rows"]
table = "second"
on = ["key", "n"]
prefix = "s_"
[transforms.joined_fully]
type = "join"
inputs = ["best", "some"]
table = "sorted"
on = { wild = "wild", word = "word" }
kind = "full"
keep = "last"
prefix = "s_"
[transforms.joined_to_itself]
type = "join"
inputs = ["rows"]
table = "rows"
on = { id = "n" }
kind = "left"
prefix = "s_"
[transforms.of_joined]
type = "aggregate"
inputs = ["joined_to_itself"]
by = ["s_word"]
compute.first = "first(id)"
compute.area = "integral(y, n)"
[transforms.looked_up]
type = "lookup"
inputs = ["rows"]
table = "of_second"
on = ["key"]
prefix = "s_"
[transforms.looked_up_again]
type = "lookup"
inputs = ["rows", "sorted"]
table = "second"
on = ["word", "flag"]
keep = "last"
kind = "inner"
prefix = "z_"
[transforms.multiplied]
type = "lookup"
inputs = ["kept"]
table = "second"
on = { wild = "x", n = "n" }
keep = "all"
prefix = "z_"
[transforms.of_multiplied]
type = "limit"
inputs = ["multiplied"]
rows = 444
"#;

const JOIN_OUTPUTS: [&str; 8] = [
    "joined",
    "joined_fully",
    "joined_to_itself",
    "of_joined",
    "looked_up",
    "looked_up_again",
    "multiplied",
    "of_multiplied",
];

/// A file sink for each output and extension.
fn sinks(outputs: &[&str], extensions: &[&str]) -> String {
    let mut text = String::new();
    for output in outputs {
        for extension in extensions {
            let id = format!("{output}_{extension}").replace('.', "_");
            let _ = write!(
                text,
                "[sinks.{id}]\ntype = \"file\"\ninputs = [\"{output}\"]\npath = \"${{out}}/{output}.{extension}\"\n"
            );
        }
    }
    text
}

const PARAMS: &str = "params = { out = \"\" }\n";

/// Runs every input with every setting: all must write what the first wrote.
fn all_same(inputs: &[Input], body: &str, memories: &[&'static str]) {
    let mut first: Option<Written> = None;
    for input in inputs {
        let text = format!("{PARAMS}{}{body}", input.text);
        for setting in memories.iter().flat_map(|memory| settings(memory)) {
            let (written, _) = run(&text, setting);
            let about = format!("{}, {setting:?}", input.name);
            match &first {
                Some(first) => same(first, &written, &about),
                None => first = Some(written),
            }
        }
    }
}

/// Every transform over rows of a CSV file, written in several formats.
pub(crate) fn transforms(folder: &Path, rows: &[data::Row]) -> String {
    let path = folder.join("rows.csv");
    data::write_csv(&path, rows);
    let outputs = [&TRANSFORM_OUTPUTS[..], &JOIN_OUTPUTS].concat();
    let second = file_source("second", &path, TYPES);
    let first = file_source("rows", &path, TYPES);
    [&first, &second, TRANSFORMS, JOINS].concat()
        + &sinks(&outputs, &["csv.gz", "jsonl", "parquet"])
}

#[test]
fn every_transform_writes_the_same_from_text() {
    let rows = Rows::new(&data::rows(1500));
    let body = TRANSFORMS.to_string() + &sinks(&TRANSFORM_OUTPUTS, &["csv", "parquet"]);
    all_same(&rows.texts(), &body, &[AMPLE]);
}

#[test]
fn every_transform_writes_the_same_from_nested_rows() {
    let rows = Rows::new(&data::rows(1500));
    let outputs: Vec<&str> = [&TRANSFORM_OUTPUTS[..], &UNNEST_OUTPUTS].concat();
    let body = [TRANSFORMS, UNNESTS].concat() + &sinks(&outputs, &["jsonl", "parquet"]);
    all_same(&rows.nested(), &body, &[AMPLE]);
}

#[test]
fn joins_and_lookups_write_the_same() {
    let rows = Rows::new(&data::rows(400));
    let outputs = [&JOIN_OUTPUTS[..], &["best", "sorted", "kept"]].concat();
    let second = file_source("second", &rows.path("one.csv"), TYPES);
    let body = [&second, TRANSFORMS, JOINS].concat() + &sinks(&outputs, &["csv", "parquet"]);
    all_same(&rows.texts(), &body, &[AMPLE]);
    let nested = rows.nested();
    // Lists travel as other columns do, where a file can hold them.
    let body = body.replace(".csv\"", ".jsonl\"");
    all_same(
        &nested[3..],
        &body.replacen("one.jsonl", "one.csv", 1),
        &[AMPLE],
    );
}

/// Rows with event time, and a table whose rows hold from a time to another.
#[test]
fn lookups_by_time_write_the_same() {
    let rows = Rows::new(&data::rows(700));
    let timed =
        format!("{TYPES}time = {{ column = \"t\", lateness = \"1h\" }}\non_error = \"drop\"\n");
    let inputs =
        [("one CSV file", "one.csv"), ("100 CSV files", "csv")].map(|(name, file)| Input {
            name,
            text: file_source("rows", &rows.path(file), &timed),
        });
    let second = file_source("second", &rows.path("one.csv"), TYPES);
    let body = r#"
[transforms.spans]
type = "aggregate"
inputs = ["second"]
by = ["key", "n"]
compute.start = "min(t)"
compute.end = "max(t)"
compute.id = "first(id)"
[transforms.held]
type = "lookup"
inputs = ["rows"]
table = "spans"
on = ["key"]
keep = "all"
kind = "inner"
prefix = "s_"
valid = { from = "start", to = "end" }
[transforms.minutes]
type = "aggregate"
inputs = ["held"]
by = ["key"]
window = { type = "tumbling", size = "1m" }
compute.rows = "count(*)"
compute.sum = "sum(s_id)"
"#;
    let body = [&second, body].concat() + &sinks(&["held", "minutes"], &["csv", "parquet"]);
    all_same(&inputs, &body, &[AMPLE]);
}

/// A call or more of every accumulator.
const CALLS: [(&str, &[&str]); 36] = [
    ("all", &["all(flag)", "all(y > 1)"]),
    ("any", &["any(flag)", "any(y > 49)"]),
    ("arg_max", &["arg_max(id, wild)", "arg_max(word, n)"]),
    ("arg_min", &["arg_min(id, x)", "arg_min(word, word)"]),
    ("correlation", &["correlation(x, y)", "correlation(y, n)"]),
    ("crest_factor", &["crest_factor(wild)", "crest_factor(y)"]),
    (
        "periodogram",
        &[
            "periodogram(y, rate => 10)",
            "periodogram(wild, rate => 1, nfft => 50)",
        ],
    ),
    ("rms", &["rms(wild)", "rms(finite(wild))"]),
    (
        "spectrum",
        &[
            "spectrum(y, 32, rate => 10)",
            "spectrum(x, y, segment => 9, rate => 2)",
        ],
    ),
    (
        "welch",
        &[
            "welch(y, 32, rate => 10)",
            "welch(wild, 8, rate => 10, average => 'median')",
        ],
    ),
    (
        "zero_crossings",
        &["zero_crossings(wild)", "zero_crossings(y - 25)"],
    ),
    (
        "count",
        &[
            "count(*)",
            "count(wild)",
            "count(word) filter (where y > 20)",
        ],
    ),
    (
        "count_distinct",
        &[
            "count_distinct(word)",
            "count_distinct(wild)",
            "count_distinct(id, exact_up_to => 5)",
        ],
    ),
    (
        "covariance",
        &["covariance(x, y)", "covariance(wild, n, ddof => 0)"],
    ),
    ("first", &["first(word)", "first(wild)"]),
    (
        "histogram",
        &[
            "histogram(y, bins => 7, range => [0.0, 40.0])",
            "histogram(wild, width => 1e15)",
            "histogram(x, edges => [-1e300, 0, 1, 1e16])",
        ],
    ),
    (
        "integral",
        &["integral(y, t)", "integral(x, y)", "integral(wild, id)"],
    ),
    ("intercept", &["intercept(y, n)"]),
    ("kurtosis", &["kurtosis(y)", "kurtosis(x)"]),
    ("last", &["last(word)", "last(wild)"]),
    ("max", &["max(wild)", "max(word)", "max(t)"]),
    ("mean", &["mean(x)", "mean(wild)", "mean(n)"]),
    ("median", &["median(wild)", "median(n)"]),
    ("min", &["min(wild)", "min(word)", "min(flag)"]),
    ("mode", &["mode(word)", "mode(wild)"]),
    (
        "quantile",
        &["quantile(y, 0.99)", "quantile(x, 0.25, exact_up_to => 3)"],
    ),
    ("quantiles", &["quantiles(y, [0.1, 0.5, 0.9])"]),
    ("range", &["range(n)", "range(t)", "range(x)"]),
    ("skewness", &["skewness(y)", "skewness(wild)"]),
    ("slope", &["slope(y, n)", "slope(x, y)"]),
    ("std", &["std(y)", "std(x)"]),
    ("sum", &["sum(x)", "sum(wild)", "sum(n)", "sum(x * y)"]),
    (
        "top_values",
        &["top_values(word, 3)", "top_values(wild, 2)"],
    ),
    ("variance", &["variance(y)", "variance(x, ddof => 0)"]),
    (
        "weighted_mean",
        &["weighted_mean(x, y)", "weighted_mean(wild, n)"],
    ),
    // What stands between calls is part of the promise.
    ("", &["sum(x) / count(*)"]),
];

/// Accumulators of the catalog that have no call above.
fn without_call() -> Vec<&'static str> {
    let catalog = Catalog::default();
    let accumulators = catalog.components().iter();
    accumulators
        .filter(|component| component.kind() == Kind::Accumulator)
        .map(|component| component.info.name)
        .filter(|name| !CALLS.iter().any(|(call, _)| call == name))
        .collect()
}

/// An aggregation of every call, for each key and of all rows.
fn calls() -> String {
    let mut text = String::new();
    for (id, by) in [
        ("per_key", "by = [\"key\"]\n"),
        (
            "per_two",
            "by = { hour = \"date_trunc('hour', t)\", word = \"word\" }\n",
        ),
        ("total", ""),
    ] {
        let _ = write!(
            text,
            "[transforms.{id}]\ntype = \"aggregate\"\ninputs = [\"rows\"]\n{by}"
        );
        for (name, calls) in CALLS {
            for (index, call) in calls.iter().enumerate() {
                let _ = writeln!(text, "compute.c_{name}_{index} = \"{call}\"");
            }
        }
    }
    text
}

#[test]
fn every_accumulator_has_a_call_here() {
    let missing = without_call();
    assert!(missing.is_empty(), "add calls of {missing:?} to CALLS");
}

#[test]
fn every_transform_is_run_here() {
    let all = [TRANSFORMS, UNNESTS, JOINS, OVER_TIME, SIGNALS]
        .concat()
        .replace(' ', "");
    let catalog = Catalog::default();
    let transforms = catalog.components().iter();
    for component in transforms.filter(|component| component.kind() == Kind::Transform) {
        let line = format!("type=\"{}\"", component.info.name);
        assert!(all.contains(&line), "no pipeline here has {line}");
    }
}

#[test]
fn every_accumulator_gives_the_same() {
    let rows = Rows::new(&data::rows(1500));
    let outputs = ["per_key", "per_two", "total"];
    let body = calls() + &sinks(&outputs, &["jsonl", "csv", "parquet"]);
    let inputs: Vec<Input> = rows.texts().into_iter().chain(rows.nested()).collect();
    all_same(&inputs, &body, &[AMPLE]);
}

/// A stage that can spill, what it is given, and the memory that is too small for it.
const SPILLING: [(&str, &str); 8] = [
    ("sort", "type = \"sort\"\nby = [\"word\", \"wild desc\"]"),
    (
        "many groups",
        "type = \"aggregate\"\nby = [\"id\"]\ncompute.x = \"sum(x)\"\ncompute.median = \"median(wild)\"\ncompute.first = \"first(word)\"",
    ),
    (
        "wide groups",
        "type = \"aggregate\"\nby = [\"key\"]\ncompute.mode = \"mode(id)\"\ncompute.top = \"top_values(word, 3)\"\ncompute.distinct = \"count_distinct(id)\"\ncompute.q = \"quantiles(y, [0.5, 0.9])\"\ncompute.area = \"integral(y, t)\"\ncompute.last = \"last(word)\"",
    ),
    (
        "one hot group",
        "type = \"aggregate\"\nby = { hot = \"key = 'heiß 🔥'\", word = \"word\" }\ncompute.std = \"std(x)\"\ncompute.most = \"mode(id)\"\ncompute.values = \"count_distinct(id)\"\ncompute.widest = \"arg_max(word, wild)\"",
    ),
    (
        "top of each key",
        "type = \"top\"\nn = 20\nby = \"wild\"\nkey = [\"word\", \"key\"]",
    ),
    (
        "join",
        "type = \"join\"\ntable = \"rows\"\non = [\"id\"]\nkind = \"full\"\nprefix = \"s_\"",
    ),
    (
        "join of few keys",
        "type = \"join\"\ntable = \"rows\"\non = { word = \"word\", n = \"id\" }\nkind = \"left\"\nprefix = \"s_\"",
    ),
    (
        "a large top",
        "type = \"top\"\nn = 20_000\nby = [\"y\", \"n asc\"]",
    ),
];

#[test]
fn spilling_changes_no_byte() {
    let rows = Rows::new(&data::rows(30_000));
    let sources = [rows.texts().remove(1), rows.nested().remove(2)];
    for (name, stage) in SPILLING {
        for source in &sources {
            let mut first: Option<Written> = None;
            let text = format!(
                "{PARAMS}{}[transforms.stage]\ninputs = [\"rows\"]\n{stage}\n{}",
                source.text,
                sinks(&["stage"], &["jsonl"])
            );
            for (workers, batch_rows, memory) in [
                (1, 8192, AMPLE),
                (1, 8192, "1MiB"),
                (2, 97, "1MiB"),
                (3, 8192, "1500KiB"),
                (8, 1000, "2MiB"),
            ] {
                let setting = Setting {
                    workers,
                    batch_rows,
                    memory,
                };
                let (written, report) = run(&text, setting);
                let about = format!("{name}, {}, {setting:?}", source.name);
                let stage = report.numbers.components.iter();
                let spilled: u64 = stage
                    .filter(|c| &*c.label.id == "stage")
                    .map(|c| c.spilled_bytes)
                    .sum();
                assert_eq!(
                    spilled > 0,
                    memory != AMPLE,
                    "{about}: {spilled} bytes spilled"
                );
                same(
                    first.get_or_insert_with(|| written.clone()),
                    &written,
                    &about,
                );
            }
        }
    }
}

/// Many rows with few keys, in row groups of so many rows.
fn write_many(path: &Path, rows: usize, group: usize) {
    let schema = Arc::new(Schema::new(vec![
        Field::new("key", DataType::Int64, false),
        Field::new("x", DataType::Float64, true),
        Field::new("word", DataType::Utf8, false),
    ]));
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .build();
    let file = std::fs::File::create(path).expect("created");
    let mut writer =
        ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).expect("a writer");
    let mixed = |row: usize| row.wrapping_mul(2_654_435_761) >> 7;
    for start in (0..rows).step_by(100_000) {
        let some = || (start..(start + 100_000).min(rows)).map(mixed);
        let key = Int64Array::from_iter_values(some().map(|n| n as i64 % 37));
        let x = Float64Array::from_iter(
            some().map(|n| (n % 11 > 0).then(|| (n % 100_003) as f64 / 7.0 - 1e3)),
        );
        let word = StringArray::from_iter_values(some().map(|n| format!("w{}", n % 101)));
        let columns: Vec<ArrayRef> = vec![Arc::new(key), Arc::new(x), Arc::new(word)];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("a batch");
        writer.write(&batch).expect("written");
    }
    writer.close().expect("written");
}

const OF_MANY: &str = r#"
[transforms.groups]
type = "aggregate"
inputs = ["rows"]
by = ["key"]
compute.rows = "count(*)"
compute.sum = "sum(x)"
compute.std = "std(x)"
compute.first = "first(word)"
compute.first_x = "first(x)"
compute.last = "last(word)"
compute.p99 = "quantile(x, 0.99)"
compute.words = "count_distinct(word)"
[transforms.ends]
type = "aggregate"
inputs = ["rows"]
compute.first = "first(x) filter (where key = 5)"
compute.last = "last(word) filter (where x > 1e4)"
[transforms.high]
type = "filter"
inputs = ["rows"]
where = "x > 12500"
[transforms.sorted]
type = "sort"
inputs = ["high"]
by = ["word", "x desc"]
[transforms.best]
type = "top"
inputs = ["rows"]
n = 50
by = ["x"]
key = ["word"]
"#;

#[test]
fn row_groups_of_any_size_give_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let outputs = ["groups", "ends", "sorted", "best"];
    let mut first: Option<Written> = None;
    for group in [1000, 1_000_000] {
        let file = folder.path().join(format!("{group}.parquet"));
        write_many(&file, 1_200_000, group);
        let source = file_source("rows", &file, "");
        let text = format!("{PARAMS}{source}{OF_MANY}{}", sinks(&outputs, &["csv"]));
        for workers in [1, 3] {
            let setting = Setting {
                workers,
                batch_rows: 8192,
                memory: AMPLE,
            };
            let (written, _) = run(&text, setting);
            assert!(written.values().all(|bytes| bytes.len() > 20));
            let first = first.get_or_insert_with(|| written.clone());
            let about = format!("row groups of {group}, {setting:?}");
            same(first, &written, &about);
        }
    }
}

#[test]
fn bad_rows_are_the_same_rows_for_any_workers_and_batches() {
    let rows = Rows::new(&data::rows(1500));
    let body = "[transforms.parsed]\ntype = \"select\"\ninputs = [\"rows\"]\ncompute.share = \"100 / cast(text as bigint)\"\n[transforms.groups]\ntype = \"aggregate\"\ninputs = [\"rows\"]\nby = { share = \"1000 / cast(text as bigint)\" }\ncompute.rows = \"count(*)\"\n".to_string()
        + &sinks(&["parsed", "parsed.errors", "groups", "groups.errors"], &["jsonl"])
        + "[sinks.all]\ntype = \"file\"\ninputs = [\"*.errors\"]\npath = \"${out}/all.csv\"\n";
    // Files are named in what is written, so each input is the same as itself only.
    for input in rows.texts().into_iter().chain(rows.nested()) {
        all_same(&[input], &body, &[AMPLE]);
    }
}

/// One file of numbers, some of which are words, and the same rows cut into files at odd places.
fn with_words() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    // The first rows are not judged yet; when all have come, the share is small again.
    let is_word = |row: usize| row <= 5 || ((900..2000).contains(&row) && row.is_multiple_of(70));
    let line = |row: usize| match is_word(row) {
        true => "x\n".to_string(),
        false => format!("{row}\n"),
    };
    let write = |name: &str, rows: std::ops::Range<usize>| {
        let text = "t\n".to_string() + &rows.map(line).collect::<String>();
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write("one.csv", 1..3001);
    std::fs::create_dir(folder.path().join("cut")).expect("a folder");
    let cuts = [1, 2, 8, 999, 1333, 1334, 2998, 3001];
    for (number, ends) in cuts.windows(2).enumerate() {
        write(&format!("cut/{number}.csv"), ends[0]..ends[1]);
    }
    write("head.csv", 1..940);
    write("tail.csv", 940..3001);
    folder
}

/// What stops a run.
fn stopped(text: &str, setting: Setting) -> String {
    let out = tempfile::tempdir().expect("a folder");
    let run = Pipeline::from_text(text)
        .set("out", out.path().to_str().expect("a path of text"))
        .set("engine.workers", setting.workers.to_string())
        .set("engine.batch_rows", setting.batch_rows.to_string())
        .load()
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
        .run();
    match run {
        Ok(_) => panic!("{setting:?}: nothing stopped\n{text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn too_large_a_share_of_bad_rows_stops_at_the_same_row_however_rows_are_cut() {
    let folder = with_words();
    let limit = "on_error = \"drop\"\nmax_errors = \"1%\"\n";
    let source =
        |id: &str, path: &str, more: &str| file_source(id, &folder.path().join(path), more);
    let text = "columns.t = { type = \"text\" }\n";
    let whole = format!("columns.t = {{ type = \"int64\" }}\n{limit}");
    let cast = format!(
        "[transforms.strict]\ntype = \"select\"\ninputs = [\"rows\"]\ncompute.t = \"cast(t as bigint)\"\n{limit}{}",
        sinks(&["strict"], &["csv"])
    );
    let both = source("a", "head.csv", text) + &source("b", "tail.csv", text);
    let pipelines = [
        source("rows", "one.csv", text) + &cast,
        source("rows", "cut", text) + &cast,
        both.clone() + &passed_on(&["a", "b"]) + &cast,
        both + &cast.replace("[\"rows\"]", "[\"a\", \"b\"]"),
        source("strict", "one.csv", &whole) + &sinks(&["strict"], &["csv"]),
        source("strict", "cut", &whole) + &sinks(&["strict"], &["csv"]),
    ];
    for pipeline in pipelines {
        for setting in settings(AMPLE) {
            let found = stopped(&format!("{PARAMS}{pipeline}"), setting);
            let said = "strict: 17 of the first 1680 rows are bad, with row 1680 more than `max_errors = \"1%\"` allows";
            assert!(found.starts_with(said), "{setting:?}: {found}\n{pipeline}");
        }
    }
}

#[test]
fn a_bad_row_behind_what_was_wanted_never_fails_a_run() {
    let folder = tempfile::tempdir().expect("a folder");
    // How far is read ahead is a matter of timing, which small batches would only slow down.
    let large = settings(AMPLE).filter(|setting| setting.batch_rows > 1000);
    let large: Vec<Setting> = large.collect();
    let large = large.into_iter();
    // One bad row far behind the rows that are wanted, and one among them.
    for (name, bad) in [("behind", 290_001), ("among", 3)] {
        let line = |row: usize| match row == bad {
            true => "x\n".to_string(),
            false => format!("{row}\n"),
        };
        let text = "t\n".to_string() + &(1..300_001).map(line).collect::<String>();
        let path = folder.path().join(name).with_extension("csv");
        std::fs::write(&path, text).expect("written");
        for more in [
            "",
            "on_error = \"drop\"\nmax_errors = 0\n",
            "on_error = \"drop\"\nmax_errors = \"0%\"\n",
        ] {
            let text = "[params]\nout = \"out\"\n".to_string()
                + &file_source("rows", &path, "columns.t = { type = \"text\" }\n")
                + "[transforms.parsed]\ntype = \"select\"\ninputs = [\"rows\"]\ncompute.n = \"cast(t as bigint)\"\n"
                + more
                + "[transforms.few]\ntype = \"limit\"\ninputs = [\"parsed\"]\nrows = 5\n[sinks.out]\ntype = \"file\"\ninputs = [\"few\"]\npath = \"${out}/few.csv\"\n";
            for setting in large.clone().chain(large.clone()) {
                if name == "among" {
                    let error = stopped(&text, setting);
                    assert!(error.contains("parsed"), "{error}");
                } else {
                    let (written, _) = run(&text, setting);
                    assert_eq!(written.len(), 1, "{setting:?}");
                }
            }
        }
    }
}

#[test]
fn inputs_without_rows_give_the_same() {
    let rows = Rows::new(&data::rows(0));
    let body = TRANSFORMS.to_string() + &sinks(&TRANSFORM_OUTPUTS, &["csv", "parquet"]);
    let mut inputs = rows.texts();
    inputs.truncate(3);
    let mut first: Option<Written> = None;
    for input in inputs {
        for workers in WORKERS {
            let setting = Setting {
                workers,
                batch_rows: 7,
                memory: AMPLE,
            };
            let text = format!("{PARAMS}{}{body}", input.text);
            let (written, _) = run(&text, setting);
            let first = first.get_or_insert_with(|| written.clone());
            same(first, &written, &format!("{}, {setting:?}", input.name));
        }
    }
}
