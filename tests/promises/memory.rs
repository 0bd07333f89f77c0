//! Constant memory: fifty times the rows, the same peak; more files, larger row groups and more keys do not change that.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Float64Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::program::{self, component, run};

pub(crate) const MEBIBYTE: u64 = 1 << 20;

/// What a peak may vary by besides its tenth: the allocator rounds up to pages and keeps some per thread, and how many
/// threads hold some at one moment is the scheduler's choice.
const SLACK: u64 = 10 * MEBIBYTE;

/// So many rows, against a million.
const MANY: u64 = 50_000_000;

/// Fails unless the larger input took no more memory than the smaller, a tenth and the slack aside.
pub(crate) fn constant(what: &str, small: u64, large: u64) {
    assert!(
        large <= small + small / 10 + SLACK,
        "{what}: the peak grew from {:.1} to {:.1} MiB",
        small as f64 / MEBIBYTE as f64,
        large as f64 / MEBIBYTE as f64
    );
}

/// The peak of a run; its result is looked at by others.
pub(crate) fn peak(folder: &Path, pipeline: &str, arguments: &[&str]) -> u64 {
    let outcome = run(folder, pipeline, arguments).expect_code(0);
    let peak = outcome.report()["peak_memory_bytes"].as_u64();
    peak.expect("the system tells how much memory was held")
}

/// So small a budget that the shorter run fills it as well as the longer one.
const BUDGET: &str = "[engine]\nworkers = 2\nmemory = \"16MiB\"\n";

/// The same pipeline over few rows and over many.
fn constant_over_rows(what: &str, few: u64, many: u64, body: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |rows: u64| {
        let source = format!(
            "[sources.rows]\ntype = \"generate\"\nrows = {rows}\ncolumns.device = {{ kind = \"categories\", count = 20 }}\ncolumns.x = {{ kind = \"sequence\" }}\ncolumns.y = {{ kind = \"uniform\", low = 0.0, high = 1.0, decimals = 3 }}\n"
        );
        // Where there are snapshots, those of the other run are of no use.
        let kept = body.contains("[state]");
        let fresh: &[&str] = if kept { &["--fresh"] } else { &[] };
        peak(folder.path(), &format!("{BUDGET}{source}{body}"), fresh)
    };
    constant(what, of(few), of(many));
}

#[test]
fn snapshots_take_the_same_for_more_rows() {
    let body = "[transforms.groups]\ntype = \"aggregate\"\ninputs = [\"rows\"]\nby = { device = \"device\", y = \"y\" }\ncompute.rows = \"count(*)\"\ncompute.sum = \"sum(y)\"\ncompute.last = \"last(x)\"\n\
        [sinks.none]\ntype = \"null\"\ninputs = [\"groups\"]\n[sinks.file]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"rows.csv.zst\"\nroll = { rows = 100_000 }\n\
        [state]\ndir = \"state\"\nevery = \"50ms\"\n";
    constant_over_rows("snapshots", 500_000, MANY / 2, body);
}

#[test]
fn a_filter_takes_the_same_for_more_rows() {
    let body = "[transforms.kept]\ntype = \"filter\"\ninputs = [\"rows\"]\nwhere = \"y < 0.9 and x >= 0 and device is not null\"\n[sinks.none]\ntype = \"null\"\ninputs = [\"kept\"]\n";
    constant_over_rows("filter", 1_000_000, MANY, body);
}

#[test]
fn groups_take_the_same_for_more_rows() {
    let body = "[transforms.groups]\ntype = \"aggregate\"\ninputs = [\"rows\"]\nby = [\"device\"]\ncompute.rows = \"count(*)\"\ncompute.mean = \"mean(y)\"\ncompute.p99 = \"quantile(y, 0.99)\"\ncompute.last = \"last(x)\"\n[sinks.none]\ntype = \"null\"\ninputs = [\"groups\"]\n";
    constant_over_rows("aggregate", 1_000_000, MANY, body);
}

#[test]
fn integrals_over_rows_that_take_turns_take_the_same_for_more_rows() {
    for by in ["by = [\"device\"]\n", ""] {
        let body = format!(
            "[transforms.areas]\ntype = \"aggregate\"\ninputs = [\"rows\"]\n{by}compute.area = \"integral(y, x)\"\ncompute.some = \"integral(y, x) filter (where y < 0.5)\"\n[sinks.none]\ntype = \"null\"\ninputs = [\"areas\"]\n"
        );
        constant_over_rows("integral", 1_000_000, MANY, &body);
    }
}

#[test]
fn a_text_file_takes_the_same_for_more_rows() {
    let body = "[sinks.file]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"rows.csv\"\n";
    constant_over_rows("a CSV file", 1_000_000, MANY / 2, body);
}

#[test]
fn sorting_takes_the_same_for_more_rows() {
    let body = "[transforms.sorted]\ntype = \"sort\"\ninputs = [\"rows\"]\nby = \"y\"\n[sinks.none]\ntype = \"null\"\ninputs = [\"sorted\"]\n";
    // The shorter one has as many runs already as are merged at a time.
    constant_over_rows("sort", 2_500_000, MANY * 3 / 5, body);
}

#[test]
fn joins_take_the_same_for_more_rows() {
    let body = "[sources.prices]\ntype = \"generate\"\nrows = 1000\ncolumns.name = { kind = \"categories\", count = 20 }\ncolumns.price = { kind = \"sequence\" }\n[transforms.it]\ntype = \"join\"\ninputs = [\"rows\"]\ntable = \"prices\"\non = { device = \"name\" }\nkeep = \"first\"\n[sinks.none]\ntype = \"null\"\ninputs = [\"it\"]\n";
    constant_over_rows("join", 2_500_000, 10_000_000, body);
}

/// All rows have one key: each of the few meets each of the many.
#[test]
fn many_rows_of_one_key_are_joined_within_the_budget() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |rows: u64| {
        let pipeline = format!(
            "{BUDGET}[sources.few]\ntype = \"generate\"\nrows = 20\ncolumns.key = {{ kind = \"categories\", count = 1 }}\n[sources.many]\ntype = \"generate\"\nrows = {rows}\ncolumns.key = {{ kind = \"categories\", count = 1 }}\ncolumns.x = {{ kind = \"sequence\" }}\n[transforms.it]\ntype = \"join\"\ninputs = [\"few\"]\ntable = \"many\"\non = \"key\"\n[sinks.none]\ntype = \"null\"\ninputs = [\"it\"]\n"
        );
        let outcome = run(folder.path(), &pipeline, &[]).expect_code(0);
        let report = outcome.report();
        assert_eq!(component(&report, "it")["rows_out"], 20 * rows);
        report["peak_memory_bytes"].as_u64().expect("a number")
    };
    constant("a hot key", of(500_000), of(2_000_000));
}

#[test]
fn whoever_reads_slowly_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let numbers = |rows: u64| {
        format!(
            "{BUDGET}[sources.rows]\ntype = \"generate\"\nrows = {rows}\ncolumns.x = {{ kind = \"sequence\" }}\n"
        )
    };
    let out = |input: &str| {
        format!("[sinks.out]\ntype = \"file\"\ninputs = [\"{input}\"]\npath = \"-\"\n")
    };
    let rows = |rows: u64| {
        numbers(rows)
            + "[transforms.more]\ntype = \"select\"\ninputs = [\"rows\"]\ncompute.y = \"x * 2\"\n"
            + &out("more")
    };
    let peaks = [1_000_000, MANY / 2].map(|n| slow_peak(folder.path(), &rows(n), 8 * n));
    constant("a slow reader", peaks[0], peaks[1]);

    // All groups leave at the end, and wait for the reader then.
    let groups = |rows: u64| {
        numbers(rows)
            + "[transforms.groups]\ntype = \"aggregate\"\ninputs = [\"rows\"]\nby = [\"x\"]\ncompute.n = \"count(*)\"\n"
            + &out("groups")
    };
    let peaks = [1_000_000, 5_000_000].map(|n| slow_peak(folder.path(), &groups(n), 8 * n));
    bounded("groups into a slow reader", &peaks);

    // Every row becomes a thousand.
    let list: Vec<usize> = (0..1000).collect();
    let lists = |rows: u64| {
        let text: String = (0..rows)
            .map(|row| format!("{{\"id\":{row},\"list\":{list:?}}}\n"))
            .collect();
        std::fs::write(folder.path().join("slow.jsonl"), text).expect("written");
        format!(
            "{BUDGET}[sources.rows]\ntype = \"file\"\npath = \"slow.jsonl\"\n[transforms.elements]\ntype = \"unnest\"\ninputs = [\"rows\"]\ncolumn = \"list\"\n"
        ) + &out("elements")
    };
    let peaks = [2000, 10_000].map(|n| slow_peak(folder.path(), &lists(n), 4000 * n));
    bounded("lists into a slow reader", &peaks);
}

/// Fails if a run under the budget took more than four times of it: what is merged or multiplied at the end is written by
/// several threads at once, whose peaks meet in one run and not in the next, so that two runs say little of each other.
fn bounded(what: &str, peaks: &[u64]) {
    for peak in peaks {
        let peak = *peak as f64 / MEBIBYTE as f64;
        assert!(peak < 64.0, "{what}: the peak was {peak:.1} MiB");
    }
}

/// The peak of a run whose standard output nobody reads for a while, and which then is at least so many bytes.
fn slow_peak(folder: &Path, pipeline: &str, least: u64) -> u64 {
    std::fs::write(folder.join("slow.toml"), pipeline).expect("written");
    let mut command = program::dataflow();
    command
        .current_dir(folder)
        .args(["run", "slow.toml", "--format", "json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut output = child.stdout.take().expect("piped");
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    // Long enough for everything that waits to fill up, twice.
    for pause in [Duration::from_millis(1500), Duration::from_millis(500)] {
        std::thread::sleep(pause);
        bytes += output.read(&mut buffer).expect("readable");
    }
    loop {
        match output.read(&mut buffer).expect("readable") {
            0 => break,
            read => bytes += read,
        }
    }
    assert!(bytes as u64 > least, "only {bytes} bytes came out");
    let mut text = String::new();
    let mut errors = child.stderr.take().expect("piped");
    errors.read_to_string(&mut text).expect("text");
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{text}");
    let outcome = program::Outcome {
        code: status.code(),
        stdout: String::new(),
        stderr: text,
    };
    outcome.report()["peak_memory_bytes"]
        .as_u64()
        .expect("a number")
}

#[test]
fn lists_of_a_thousand_take_the_same_for_more_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let list: Vec<usize> = (0..1000).collect();
    let of = |rows: usize| {
        let mut text = String::new();
        for row in 0..rows {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{{\"id\":{row},\"list\":{list:?}}}");
        }
        std::fs::write(folder.path().join("lists.jsonl"), text).expect("written");
        let pipeline = format!(
            "{BUDGET}[sources.rows]\ntype = \"file\"\npath = \"lists.jsonl\"\n[transforms.elements]\ntype = \"unnest\"\ninputs = [\"rows\"]\ncolumn = \"list\"\n[sinks.out]\ntype = \"file\"\ninputs = [\"elements\"]\npath = \"out.csv\"\n"
        );
        let outcome = run(folder.path(), &pipeline, &[]).expect_code(0);
        let report = outcome.report();
        assert_eq!(
            component(&report, "elements")["rows_out"],
            (rows * 1000) as u64
        );
        report["peak_memory_bytes"].as_u64().expect("a number")
    };
    // What the shorter file makes is longer than the budget many times already.
    constant("unnest", of(2000), of(12_000));
}

/// Writes a Parquet file of two columns with so many rows in a row group.
fn write_parquet(path: &Path, rows: usize, group: usize) {
    let schema = Arc::new(Schema::new(vec![
        Field::new("x", DataType::Int64, false),
        Field::new("y", DataType::Float64, false),
    ]));
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .build();
    let file = std::fs::File::create(path).expect("created");
    let mut writer =
        ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).expect("a writer");
    let step = 100_000;
    for start in (0..rows).step_by(step) {
        let numbers = start as i64..(start + step).min(rows) as i64;
        let x = Int64Array::from_iter_values(numbers.clone());
        let y = Float64Array::from_iter_values(numbers.map(|x| (x * 7919 % 10_007) as f64 / 8.0));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(x), Arc::new(y)]);
        writer.write(&batch.expect("a batch")).expect("written");
    }
    writer.close().expect("written");
}

#[test]
fn row_groups_of_many_millions_take_what_those_of_one_take() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |rows: usize, group: usize| {
        write_parquet(&folder.path().join("rows.parquet"), rows, group);
        let pipeline = format!(
            "{BUDGET}[sources.rows]\ntype = \"file\"\npath = \"rows.parquet\"\n[transforms.total]\ntype = \"aggregate\"\ninputs = [\"rows\"]\ncompute.x = \"sum(x)\"\ncompute.y = \"max(y)\"\n[sinks.none]\ntype = \"null\"\ninputs = [\"total\"]\n"
        );
        peak(folder.path(), &pipeline, &[])
    };
    // Row groups of less than a million rows take a little less: their dictionaries are smaller.
    let million = of(5_000_000, 1_000_000);
    constant(
        "one row group of 5M rows",
        million,
        of(5_000_000, 5_000_000),
    );
    constant(
        "one row group of 10M rows",
        million,
        of(10_000_000, 10_000_000),
    );
}

/// The peak of a run that may have so many files open at a time.
pub(crate) fn peak_with_descriptors(folder: &Path, pipeline: &str, descriptors: usize) -> u64 {
    std::fs::write(folder.join("pipeline.toml"), pipeline).expect("written");
    let mut command = std::process::Command::new("sh");
    command
        .current_dir(folder)
        .arg("-c")
        .arg(format!(
            "ulimit -n {descriptors} && exec \"$0\" run pipeline.toml --format json"
        ))
        .arg(program::path());
    let outcome = program::finish(command, Duration::from_secs(240)).expect_code(0);
    let peak = outcome.report()["peak_memory_bytes"].as_u64();
    peak.expect("the system tells how much memory was held")
}

#[test]
fn tens_of_thousands_of_files_need_few_descriptors_and_little_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |files: usize| {
        let name = format!("in{files}");
        std::fs::create_dir(folder.path().join(&name)).expect("a folder");
        for file in 0..files {
            let path = folder.path().join(&name).join(format!("{file:05}.csv"));
            std::fs::write(path, format!("a,b\n{file},1\n{file},2\n")).expect("written");
        }
        let pipeline = format!(
            "{BUDGET}[sources.rows]\ntype = \"file\"\npath = \"{name}\"\n[transforms.total]\ntype = \"aggregate\"\ninputs = [\"rows\"]\ncompute.rows = \"count(*)\"\ncompute.sum = \"sum(a)\"\n[sinks.out]\ntype = \"file\"\ninputs = [\"total\"]\npath = \"out.csv\"\n"
        );
        let peak = peak_with_descriptors(folder.path(), &pipeline, 256);
        let rows = std::fs::read_to_string(folder.path().join("out.csv")).expect("written");
        assert_eq!(
            rows,
            format!("rows,sum\n{},{}\n", files * 2, files * (files - 1))
        );
        peak
    };
    constant("30,000 files", of(10_000), of(30_000));
}

#[test]
fn millions_of_keys_stay_within_the_budget() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys: u64 = 20_000_000;
    let memory = "128MiB";
    let pipeline = format!(
        "[engine]\nworkers = 2\nmemory = \"{memory}\"\n[sources.rows]\ntype = \"generate\"\nrows = {keys}\ncolumns.key = {{ kind = \"sequence\" }}\ncolumns.y = {{ kind = \"uniform\", low = 0.0, high = 1.0 }}\n[transforms.groups]\ntype = \"aggregate\"\ninputs = [\"rows\"]\nby = [\"key\"]\ncompute.rows = \"count(*)\"\ncompute.mean = \"mean(y)\"\n[sinks.out]\ntype = \"file\"\ninputs = [\"groups\"]\npath = \"out.csv\"\n"
    );
    let outcome = run(folder.path(), &pipeline, &[]).expect_code(0);
    let report = outcome.report();
    assert_eq!(component(&report, "groups")["rows_out"], keys);
    let spilled = component(&report, "groups")["spilled_bytes"].as_u64();
    assert!(spilled > Some(0), "nothing was spilled");
    let peak = report["peak_memory_bytes"].as_u64().expect("a number");
    assert!(
        peak < 256 * MEBIBYTE,
        "{} MiB for a budget of {memory}",
        peak / MEBIBYTE
    );
}

/// A pipeline for each transform that the tests above do not run.
const TRANSFORMS: &[(&str, &str)] = &[
    ("describe", "type = \"describe\"\n"),
    ("limit", "type = \"limit\"\nrows = 40_000_000\n"),
    (
        "lookup",
        "type = \"lookup\"\ntable = \"prices\"\non = { device = \"name\" }\n[sources.prices]\ntype = \"generate\"\nrows = 1000\ncolumns.name = { kind = \"categories\", count = 20 }\ncolumns.price = { kind = \"sequence\" }\n",
    ),
    (
        "spectrogram",
        "type = \"spectrogram\"\ncolumn = \"y\"\nsegment = 256\nrate = 1e3\n",
    ),
    ("route", "type = \"route\"\nroutes.low = \"y < 0.5\"\n"),
    (
        "select",
        "type = \"select\"\ndrop = [\"device\"]\ncompute.z = \"x * y\"\n",
    ),
    (
        "top",
        "type = \"top\"\nn = 100\nby = \"y\"\nkey = \"device\"\n",
    ),
    ("union", "type = \"union\"\n"),
];

#[test]
fn every_transform_takes_the_same_for_more_rows() {
    for (name, configuration) in TRANSFORMS {
        let output = match *name {
            "route" => "it.low",
            _ => "it",
        };
        let body = format!(
            "[transforms.it]\ninputs = [\"rows\"]\n{configuration}[sinks.none]\ntype = \"null\"\ninputs = [\"{output}\"]\n"
        );
        constant_over_rows(name, 1_000_000, MANY, &body);
    }
    let source = [include_str!("memory.rs"), include_str!("time_joins.rs")].concat();
    for component in dataflow::Catalog::default().components() {
        let line = format!("type = \\\"{}\\\"", component.info.name);
        let is_transform = component.kind() == dataflow::core::component::Kind::Transform;
        assert!(
            !is_transform || source.contains(&line),
            "{line} is not run here"
        );
    }
}

#[test]
fn every_format_takes_the_same_for_more_rows_written_and_read() {
    let folder = tempfile::tempdir().expect("a folder");
    // Batches of Arrow files are large beside the budget: how many the decoders hold at once differs between runs, and only
    // longer ones meet the most.
    let (short, long) = ((1_000_000, 1, 5_000_000), (5_000_000, 3, 15_000_000));
    for (extension, (few, times, many)) in [
        ("csv", short),
        ("csv.gz", short),
        ("jsonl", short),
        ("parquet", short),
        ("arrow", long),
    ] {
        let of = |rows: u64| {
            let write = format!(
                "{BUDGET}[sources.rows]\ntype = \"generate\"\nrows = {rows}\ncolumns.device = {{ kind = \"categories\", count = 20 }}\ncolumns.x = {{ kind = \"sequence\" }}\ncolumns.y = {{ kind = \"uniform\", low = 0.0, high = 1.0 }}\n[sinks.file]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"rows.{extension}\"\n"
            );
            let read = format!(
                "{BUDGET}[sources.rows]\ntype = \"file\"\npath = \"rows.{extension}\"\n[transforms.total]\ntype = \"aggregate\"\ninputs = [\"rows\"]\nby = [\"device\"]\ncompute.x = \"sum(x)\"\ncompute.y = \"max(y)\"\n[sinks.none]\ntype = \"null\"\ninputs = [\"total\"]\n"
            );
            [write, read].map(|pipeline| peak(folder.path(), &pipeline, &[]))
        };
        let most = |a: [u64; 2], b: [u64; 2]| [a[0].max(b[0]), a[1].max(b[1])];
        let (few, many) = ((0..times).map(|_| of(few)).fold([0; 2], most), of(many));
        constant(&format!("writing {extension}"), few[0], many[0]);
        constant(&format!("reading {extension}"), few[1], many[1]);
    }
}

/// Transforms that go by time.
const OVER_TIME: &[(&str, &str)] = &[
    ("sort by time", "type = \"sort\"\nby_time = true\n"),
    (
        "lag",
        "type = \"lag\"\nby = [\"device\"]\ncompute.before = \"x\"\n",
    ),
    (
        "delta",
        "type = \"delta\"\nby = [\"device\"]\ncompute.dx = \"x\"\n",
    ),
    (
        "rate",
        "type = \"rate\"\nper = \"1m\"\ncompute.per_minute = \"x\"\n",
    ),
    (
        "dedup",
        "type = \"dedup\"\nby = { device = \"device\", x = \"x % 100\" }\nwithin = \"10s\"\n",
    ),
    (
        "resample",
        "type = \"resample\"\nby = [\"device\"]\nevery = \"10s\"\nmethod = \"previous\"\ncolumns = [\"x\"]\n",
    ),
];

#[test]
fn what_goes_by_time_takes_the_same_for_a_longer_time() {
    let folder = tempfile::tempdir().expect("a folder");
    for (what, configuration) in OVER_TIME {
        let of = |rows: u64| {
            let text = format!(
                "{BUDGET}[sources.rows]\ntype = \"generate\"\nrows = {rows}\n\
                 columns.time = {{ kind = \"time\", every = \"100ms\", jitter = \"2s\" }}\n\
                 columns.device = {{ kind = \"categories\", count = 20 }}\ncolumns.x = {{ kind = \"sequence\" }}\n\
                 time = {{ column = \"time\", lateness = \"2s\" }}\n\
                 [transforms.it]\ninputs = [\"rows\"]\n{configuration}[sinks.none]\ntype = \"null\"\ninputs = [\"it\"]\n"
            );
            peak(folder.path(), &text, &[])
        };
        bounded(what, &[of(1_000_000), of(10_000_000)]);
    }
}
