//! Texts of new pipelines for `dataflow new`: commented, valid, and ready to be changed.

/// The kinds of new pipelines: name, what it is for, and the text.
pub const SCAFFOLDS: [(&str, &str, &str); 3] = [
    (
        "summary",
        "read files, leave out implausible rows, summarise by key, write a file",
        SUMMARY,
    ),
    (
        "convert",
        "read files of one format and write them in another",
        CONVERT,
    ),
    (
        "generate",
        "make rows to try things with, and print them",
        GENERATE,
    ),
];

/// The text of a new pipeline of this kind.
pub fn scaffold(kind: &str) -> Option<&'static str> {
    SCAFFOLDS
        .iter()
        .find(|(name, _, _)| *name == kind)
        .map(|(_, _, text)| *text)
}

const SUMMARY: &str = r#"# Reads files, leaves out implausible rows, summarises by key, writes a file.
#
#   dataflow validate this.toml                  finds every mistake without reading data
#   dataflow run this.toml --set data=my.csv     runs it
#   dataflow run this.toml --rows 1000 --show plausible:20    tries it on the first rows
#   dataflow test this.toml                      runs the tests at the end

[params]
data = { default = "", help = "a file, a folder or a pattern such as data/*.parquet; empty: rows are made up" }
out  = { default = "out", help = "the folder for results" }
hot  = { default = 80.0, help = "a temperature that counts as hot" }

[sources.telemetry]
type   = "file"
path   = "${data}"
sample = { preset = "sensors", rows = 100_000 }    # used while `data` is empty

# Rows that do not meet the condition leave on the output `plausible.rejected`.
[transforms.plausible]
type   = "filter"
inputs = ["telemetry"]
where  = "temperature is not null and vibration < 1e3"

# One row per device. Columns are written in the order of these lines.
[transforms.per_device]
type   = "aggregate"
inputs = ["plausible"]
by     = ["device"]
compute.rows             = "count(*)"
compute.mean_temperature = "mean(temperature)"
compute.hot_rows         = "count(*) filter (where temperature > $hot)"

[sinks.summary]
type   = "file"
inputs = ["per_device"]
path   = "${out}/summary.parquet"

[sinks.table]
type   = "console"
inputs = ["per_device"]

[[tests]]
name   = "implausible rows do not count"
insert = { at = "plausible", rows = [
    { device = "a", temperature = 20.0, vibration = 0.1 },
    { device = "a", temperature = 90.0, vibration = 0.1 },
    { device = "a", temperature = 20.0, vibration = 5000.0 },
] }
expect = { from = "per_device", rows = [
    { device = "a", rows = 2, mean_temperature = 55.0, hot_rows = 1 },
] }
"#;

const CONVERT: &str = r#"# Reads files of one format and writes them in another; the extension of the path decides.
#
#   dataflow run this.toml --set data=my.csv --set out=my.parquet

[params]
data = { type = "text", help = "a file, a folder or a pattern such as data/*.csv" }
out  = { default = "out.parquet", help = "the new file: .parquet, .csv, .jsonl or .arrow" }

[sources.rows]
type = "file"
path = "${data}"

[sinks.converted]
type   = "file"
inputs = ["rows"]
path   = "${out}"
"#;

const GENERATE: &str = r#"# Makes rows to try things with. Without a sink, a pipeline prints its results.
#
#   dataflow run this.toml --set rows=20

[params]
rows = { default = 1000, help = "how many rows" }

[sources.made]
type   = "generate"
preset = "sensors"
rows   = "${rows}"

[transforms.first]
type   = "limit"
inputs = ["made"]
rows   = 10
"#;
