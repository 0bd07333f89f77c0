//! Event time: the same windows for any workers, batches, memory and layout of the same rows; what is late is so by the rule; a
//! wrong clock loses nothing; and memory does not grow with the span of time or the number of files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::memory::{MEBIBYTE, constant, peak};
use crate::sameness::{Setting, Written, run, same, settings};

pub(crate) const SECOND: i64 = 1_000_000_000;
/// 2025-01-01T00:00:00Z
pub(crate) const START: i64 = 1_735_689_600 * SECOND;

/// A reading: when, of which device, its number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) time: i64,
    pub(crate) device: usize,
    pub(crate) x: i64,
}

/// Seeded numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Rows of some devices over some hours, in an order that strays from that of time by up to `disorder` seconds. No two rows
/// happened at the same nanosecond, so that their order does not depend on the files that they are in.
pub(crate) fn readings(rows: usize, devices: usize, disorder: i64) -> Vec<Reading> {
    let mut random = Random(7);
    let mut all: Vec<(i64, Reading)> = (0..rows)
        .map(|row| {
            let time = START + row as i64 * 5 * SECOND + row as i64;
            let arrives = time + random.below(disorder as u64 + 1) as i64 * SECOND;
            let reading = Reading {
                time,
                device: random.below(devices as u64) as usize,
                x: random.below(1000) as i64,
            };
            (arrives, reading)
        })
        .collect();
    all.sort_by_key(|(arrives, reading)| (*arrives, reading.time));
    all.into_iter().map(|(_, reading)| reading).collect()
}

/// The rows of each file, by its name.
pub(crate) type Files = BTreeMap<String, Vec<Reading>>;

pub(crate) fn files(rows: &[Reading], name: impl Fn(usize, &Reading) -> String) -> Files {
    let mut files = Files::new();
    for (at, row) in rows.iter().enumerate() {
        files.entry(name(at, row)).or_default().push(row.clone());
    }
    files
}

pub(crate) fn write(folder: &Path, files: &Files) {
    for (name, rows) in files {
        let mut text = String::from("time,device,x\n");
        for row in rows {
            let _ = writeln!(text, "{},d{},{}", row.time, row.device, row.x);
        }
        std::fs::write(folder.join(name), text).expect("written");
    }
}

pub(crate) fn source(folder: &Path, lateness: &str, more: &str) -> String {
    format!(
        "params = {{ out = \"\" }}\n[sources.readings]\ntype = \"file\"\npath = \"{}/*.csv\"\n\
         time = {{ column = \"time\", unit = \"ns\", lateness = \"{lateness}\"{more} }}\n",
        folder.display()
    )
}

/// Every kind of window, and what is computed in it.
const WINDOWS: [(&str, &str); 11] = [
    ("tumbling", "type = \"tumbling\", size = \"10m\""),
    (
        "sliding",
        "type = \"sliding\", size = \"30m\", every = \"5m\"",
    ),
    (
        "uneven",
        "type = \"sliding\", size = \"25m\", every = \"10m\"",
    ),
    (
        "gaps",
        "type = \"sliding\", size = \"1m\", every = \"10m\", gaps = true",
    ),
    (
        "days",
        "type = \"tumbling\", size = \"1d\", time_zone = \"America/New_York\"",
    ),
    ("session", "type = \"session\", gap = \"40s\""),
    ("count", "type = \"count\", size = 20"),
    ("counts", "type = \"count\", size = 20, every = 5"),
    ("change", "type = \"change\", of = [\"odd\"]"),
    ("rolling_rows", "type = \"rolling\", size = 30"),
    ("rolling_time", "type = \"rolling\", size = \"5m\""),
];

/// Aggregations over every window, with calls that mind no order and with calls that do, by device and over all; a window of
/// windows; and files of what they give and of what is late.
pub(crate) fn windows() -> String {
    let mut text = String::from(
        "[transforms.plausible]\ntype = \"filter\"\ninputs = [\"readings\"]\nwhere = \"x < 990\"\n\
         [transforms.parity]\ntype = \"select\"\ninputs = [\"plausible\"]\ncompute.odd = \"x % 2\"\n",
    );
    let mut outputs = Vec::new();
    let any = "compute.n = \"count(*)\"\ncompute.mean = \"mean(x)\"\ncompute.std = \"std(x)\"\ncompute.most = \"max(x)\"\n";
    let order = "compute.first = \"first(x)\"\ncompute.area = \"integral(x, time)\"\ncompute.q = \"quantile(x, 0.9)\"\n";
    for (name, window) in WINDOWS {
        for (how, by, compute) in [
            ("any", "by = [\"device\"]\n", any.to_string()),
            ("order", "by = [\"device\"]\n", format!("{any}{order}")),
            ("all", "", format!("{any}{order}")),
        ] {
            let id = format!("{name}_{how}");
            let _ = write!(
                text,
                "[transforms.{id}]\ntype = \"aggregate\"\ninputs = [\"parity\"]\n{by}window = {{ {window} }}\n{compute}"
            );
            outputs.push(id.clone());
            outputs.push(format!("{id}.late"));
        }
    }
    text.push_str(
        "[transforms.hours]\ntype = \"aggregate\"\ninputs = [\"tumbling_any\"]\nwindow = { type = \"tumbling\", size = \"1h\" }\n\
         compute.windows = \"count(*)\"\ncompute.rows = \"sum(n)\"\n\
         [transforms.runs]\ntype = \"aggregate\"\ninputs = [\"change_any\"]\nby = [\"device\"]\n\
         window = { type = \"tumbling\", size = \"2h\" }\ncompute.runs = \"count(*)\"\n",
    );
    outputs.extend([
        "hours".to_string(),
        "hours.late".into(),
        "runs".into(),
        "runs.late".into(),
    ]);
    for output in outputs {
        let id = output.replace('.', "_");
        let _ = write!(
            text,
            "[sinks.{id}_file]\ntype = \"file\"\ninputs = [\"{output}\"]\npath = \"${{out}}/{output}.jsonl\"\n"
        );
    }
    text
}

#[test]
fn every_window_writes_the_same_for_any_workers_batches_and_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    // Much later than they may be, now and then, and in several files that overlap.
    let rows = readings(1500, 5, 60);
    write(
        folder.path(),
        &files(&rows, |at, _| format!("{}.csv", at % 3)),
    );
    let text = source(folder.path(), "20s", "") + &windows();
    let mut first: Option<Written> = None;
    for setting in settings("256MiB").chain(few("6MiB")) {
        let (written, _) = run(&text, setting);
        let late = String::from_utf8_lossy(&written["tumbling_any.late.jsonl"])
            .lines()
            .count();
        assert!(late > 0, "some rows are late");
        match &first {
            Some(first) => same(first, &written, &format!("{setting:?}")),
            None => first = Some(written),
        }
    }
}

/// A few settings, where runs take longer.
pub(crate) fn few(memory: &'static str) -> impl Iterator<Item = Setting> {
    [(1, 8192), (2, 7), (3, 300)]
        .into_iter()
        .map(move |(workers, batch_rows)| Setting {
            workers,
            batch_rows,
            memory,
        })
}

#[test]
fn the_same_rows_in_other_files_make_the_same_windows() {
    same_in_any_files(&readings(4000, 6, 15), &windows(), |file| {
        file.ends_with(".late.jsonl")
    });
}

/// Runs a pipeline over layouts of the same rows, whose disorder stays within what it allows. Only files that `none` names are
/// empty, and those are.
pub(crate) fn same_in_any_files(rows: &[Reading], body: &str, none: impl Fn(&str) -> bool) {
    let layouts: [(&str, Files); 5] = [
        ("one file", files(rows, |_, _| "all.csv".into())),
        // The later an hour, the earlier its name.
        (
            "hours",
            files(rows, |_, row| {
                format!("{:03}.csv", 999 - (row.time - START) / (3600 * SECOND))
            }),
        ),
        (
            "devices",
            files(rows, |_, row| format!("d{}.csv", row.device)),
        ),
        ("in turn", files(rows, |at, _| format!("{}.csv", at % 7))),
        ("many", files(rows, |at, _| format!("{:03}.csv", at % 200))),
    ];
    let mut first: Option<Written> = None;
    for (name, files) in layouts {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &files);
        let text = source(folder.path(), "20s", "") + body;
        for setting in few("256MiB") {
            let (written, _) = run(&text, setting);
            for (file, bytes) in &written {
                assert_eq!(bytes.is_empty(), none(file), "{name}: {file}");
            }
            match &first {
                Some(first) => same(first, &written, &format!("{name}, {setting:?}")),
                None => first = Some(written),
            }
        }
    }
}

/// The rows that are late for windows of ten minutes, as the rule says: file and row, from 1.
fn late_rows(files: &Files, lateness: i64) -> Vec<(String, usize)> {
    let size = 600 * SECOND;
    let mut late = Vec::new();
    for (name, rows) in files {
        let mut newest: Option<i64> = None;
        for (at, row) in rows.iter().enumerate() {
            let end = (row.time.div_euclid(size) + 1) * size;
            if newest.is_some_and(|newest| end <= newest - lateness) {
                late.push((name.clone(), at + 1));
            }
            newest = newest.max(Some(row.time));
        }
    }
    late
}

#[test]
fn what_is_late_follows_from_each_file_alone() {
    let rows = readings(4000, 6, 400);
    let pipeline = "[transforms.w]\ntype = \"aggregate\"\ninputs = [\"readings\"]\nwindow = { type = \"tumbling\", size = \"10m\" }\n\
        compute.n = \"count(*)\"\n[sinks.late]\ntype = \"file\"\ninputs = [\"w.late\"]\npath = \"${out}/late.jsonl\"\n\
        [sinks.w_file]\ntype = \"file\"\ninputs = [\"w\"]\npath = \"${out}/w.jsonl\"\n";
    for (layout, files) in [
        ("one file", files(&rows, |_, _| "all.csv".into())),
        (
            "devices",
            files(&rows, |_, row| format!("d{}.csv", row.device)),
        ),
        ("in turn", files(&rows, |at, _| format!("{}.csv", at % 4))),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &files);
        let text = source(folder.path(), "30s", "") + pipeline;
        let expected = late_rows(&files, 30 * SECOND);
        assert!(
            expected.len() > 10,
            "{layout}: {} rows are late",
            expected.len()
        );
        for setting in few("64MiB") {
            let (written, report) = run(&text, setting);
            let lines = json_lines(&written["late.jsonl"]);
            let found: Vec<(String, usize)> = lines
                .iter()
                .map(|line| {
                    let file = line["file"].as_str().expect("a file");
                    let name = Path::new(file)
                        .file_name()
                        .expect("a name")
                        .to_string_lossy();
                    assert_eq!(line["reason"], "late");
                    (
                        name.into_owned(),
                        line["row"].as_u64().expect("a row") as usize,
                    )
                })
                .collect();
            assert_eq!(found, expected, "{layout} {setting:?}");
            let counted: u64 = json_lines(&written["w.jsonl"])
                .iter()
                .map(|line| line["n"].as_u64().expect("n"))
                .sum();
            assert_eq!(
                counted as usize + expected.len(),
                rows.len(),
                "{layout}: no row is lost"
            );
            let w = report
                .numbers
                .components
                .iter()
                .find(|c| &*c.label.id == "w")
                .expect("w");
            assert_eq!(w.late_rows as usize, expected.len());
        }
    }
}

pub(crate) fn json_lines(bytes: &[u8]) -> Vec<serde_json::Value> {
    let text = String::from_utf8_lossy(bytes);
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn wrong_clocks_lose_no_window() {
    let day = 86_400 * SECOND;
    let at = |time: i64| Reading {
        time,
        device: 0,
        x: 1,
    };
    let minutes = |from: i64, count: i64| (0..count).map(move |i| at(from + i * 60 * SECOND));
    let cases: [(&str, Vec<Reading>); 4] = [
        (
            "a row from the future",
            minutes(START, 50)
                .chain([at(START + 4000 * day)])
                .chain(minutes(START + 3000 * SECOND, 50))
                .collect(),
        ),
        (
            "a clock that was dead at the start",
            (0..10)
                .map(|i| at(i * SECOND))
                .chain(minutes(START, 100))
                .collect(),
        ),
        (
            "a clock that was ahead at the start",
            (0..10)
                .map(|_| at(START + 9000 * day))
                .chain(minutes(START, 100))
                .collect(),
        ),
        (
            "a gap of a week",
            minutes(START, 60)
                .chain(minutes(START + 7 * day, 60))
                .collect(),
        ),
    ];
    let pipeline = "[transforms.w]\ntype = \"aggregate\"\ninputs = [\"readings\"]\nwindow = { type = \"tumbling\", size = \"5m\" }\n\
        compute.n = \"count(*)\"\n[sinks.w_file]\ntype = \"file\"\ninputs = [\"w\"]\npath = \"${out}/w.jsonl\"\n\
        [sinks.late]\ntype = \"file\"\ninputs = [\"w.late\"]\npath = \"${out}/late.jsonl\"\n";
    for (what, rows) in cases {
        // Alone, and beside a file that is right.
        for beside in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut files = files(&rows, |_, _| "b.csv".into());
            if beside {
                files.insert("a.csv".into(), minutes(START, 100).collect());
            }
            write(folder.path(), &files);
            let text = source(folder.path(), "1s", ", max_future_skew = \"1h\"") + pipeline;
            for setting in few("64MiB") {
                let (written, _) = run(&text, setting);
                assert_eq!(
                    String::from_utf8_lossy(&written["late.jsonl"]),
                    "",
                    "{what} {beside}"
                );
                let mut expected: BTreeMap<i64, u64> = BTreeMap::new();
                for row in files.values().flatten() {
                    *expected
                        .entry(row.time.div_euclid(300 * SECOND))
                        .or_default() += 1;
                }
                let found = json_lines(&written["w.jsonl"]);
                let found: Vec<u64> = found
                    .iter()
                    .map(|line| line["n"].as_u64().expect("n"))
                    .collect();
                assert_eq!(
                    found,
                    expected.into_values().collect::<Vec<u64>>(),
                    "{what} {beside} {setting:?}"
                );
            }
        }
    }
}

/// Minutes of some devices, and sessions, into files.
const MINUTES: &str = "[transforms.minutes]\ntype = \"aggregate\"\ninputs = [\"readings\"]\nby = [\"device\"]\n\
    window = { type = \"tumbling\", size = \"1m\" }\ncompute.n = \"count(*)\"\ncompute.mean = \"mean(x)\"\n\
    [transforms.sliding]\ntype = \"aggregate\"\ninputs = [\"readings\"]\nby = [\"device\"]\n\
    window = { type = \"sliding\", size = \"10m\", every = \"1m\" }\ncompute.n = \"count(*)\"\ncompute.mean = \"mean(x)\"\n\
    [transforms.sessions]\ntype = \"aggregate\"\ninputs = [\"readings\"]\nby = [\"device\"]\n\
    window = { type = \"session\", gap = \"5s\" }\ncompute.n = \"count(*)\"\ncompute.last = \"last(x)\"\n\
    [sinks.none]\ntype = \"null\"\ninputs = [\"minutes\"]\n[sinks.none2]\ntype = \"null\"\ninputs = [\"sliding\"]\n\
    [sinks.none3]\ntype = \"null\"\ninputs = [\"sessions\"]\n";

const BUDGET: &str = "[engine]\nworkers = 2\nmemory = \"32MiB\"\n";

#[test]
fn windows_take_the_same_for_a_longer_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |rows: u64| {
        let source = format!(
            "{BUDGET}[sources.readings]\ntype = \"generate\"\nrows = {rows}\n\
             columns.time = {{ kind = \"time\", every = \"100ms\", jitter = \"2s\" }}\n\
             columns.device = {{ kind = \"categories\", count = 50 }}\ncolumns.x = {{ kind = \"uniform\", low = 0.0, high = 1.0 }}\n\
             time = {{ column = \"time\", lateness = \"2s\" }}\n"
        );
        peak(folder.path(), &format!("{source}{MINUTES}"), &[])
    };
    constant("windows", of(400_000), of(20_000_000));
}

/// Files of some rows each, that follow one another or span the same time.
fn many_files(folder: &Path, count: i64, rows: i64, side_by_side: bool) {
    for file in 0..count {
        let mut text = String::from("time,device,x\n");
        for row in 0..rows {
            let time = match side_by_side {
                true => START + row * 10 * SECOND + file,
                false => START + (file * rows + row) * SECOND,
            };
            let _ = writeln!(text, "{time},d{},{row}", file % 20);
        }
        // The names do not sort as the times do.
        let name = format!("{:04}-{file}.csv", (file * 7919) % count);
        std::fs::write(folder.join(name), text).expect("written");
    }
}

/// The peak over all files of a folder, with few descriptors.
fn peak_of_files(folder: &Path, lateness: &str, body: &str) -> u64 {
    let text = source(folder, lateness, "");
    let text = text.replace("params = { out = \"\" }\n", BUDGET) + body;
    crate::memory::peak_with_descriptors(folder, &text, 256)
}

#[test]
fn thousands_of_files_side_by_side_and_in_sequence_take_little() {
    let of = |count, rows, side_by_side| {
        let folder = tempfile::tempdir().expect("a folder");
        many_files(folder.path(), count, rows, side_by_side);
        let minutes = MINUTES.split("[transforms.sliding]").next().expect("text");
        let body = format!("{minutes}[sinks.none]\ntype = \"null\"\ninputs = [\"minutes\"]\n");
        peak_of_files(folder.path(), "5s", &body)
    };
    let (few, many) = (of(1000, 60, false), of(10_000, 60, false));
    constant("10,000 files in sequence", few, many);
    let (short, long) = (of(2000, 20, true), of(2000, 200, true));
    constant("2,000 files side by side", short, long);
    assert!(long < 96 * MEBIBYTE, "{} MiB", long / MEBIBYTE);
}

#[test]
fn a_dense_source_beside_a_sparse_one_takes_the_same_for_a_longer_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |rows: u64| {
        let source = |id: &str, rows: u64, every: &str| {
            format!(
                "[sources.{id}]\ntype = \"generate\"\nrows = {rows}\ncolumns.time = {{ kind = \"time\", every = \"{every}\" }}\n\
                 columns.device = {{ kind = \"categories\", count = 20 }}\ncolumns.x = {{ kind = \"uniform\", low = 0.0, high = 1.0 }}\n\
                 time = {{ column = \"time\" }}\n"
            )
        };
        let text = format!(
            "{BUDGET}{}{}{}",
            source("dense", rows, "100ms"),
            source("sparse", rows / 100, "10s"),
            MINUTES.replace("\"readings\"", "\"dense\", \"sparse\"")
        );
        peak(folder.path(), &text, &[])
    };
    constant(
        "a dense source and a sparse one",
        of(400_000),
        of(8_000_000),
    );
}

#[test]
fn each_file_is_a_window() {
    let rows = readings(2000, 4, 0);
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(&rows, |at, _| format!("{:02}.csv", (at / 100 * 7) % 20));
    write(folder.path(), &files);
    let pipeline = "[transforms.w]\ntype = \"aggregate\"\ninputs = [\"readings\"]\nby = [\"device\"]\nwindow = { type = \"file\" }\n\
        compute.n = \"count(*)\"\ncompute.s = \"sum(x)\"\ncompute.last = \"last(x)\"\n\
        [sinks.w_file]\ntype = \"file\"\ninputs = [\"w\"]\npath = \"${out}/w.jsonl\"\n";
    // The file, the device, rows, sum, last value, first and last instant.
    let mut expected = Vec::new();
    for rows in files.values() {
        for device in 0..4 {
            let of: Vec<&Reading> = rows.iter().filter(|row| row.device == device).collect();
            let sum: i64 = of.iter().map(|row| row.x).sum();
            if let Some(last) = of.last() {
                let span = [
                    of.iter().map(|r| r.time).min(),
                    of.iter().map(|r| r.time).max(),
                ];
                expected.push((
                    format!("d{device}"),
                    of.len() as u64,
                    sum,
                    last.x,
                    span.map(|t| t.expect("rows")),
                ));
            }
        }
    }
    for setting in settings("256MiB").chain(few("6MiB")) {
        let (written, _) = run(&(source(folder.path(), "1s", "") + pipeline), setting);
        let found = json_lines(&written["w.jsonl"]);
        assert_eq!(found.len(), expected.len());
        for (line, (device, n, sum, last, span)) in found.iter().zip(&expected) {
            assert_eq!(line["device"], **device, "{setting:?}");
            assert_eq!(
                (
                    line["n"].as_u64(),
                    line["s"].as_i64(),
                    line["last"].as_i64()
                ),
                (Some(*n), Some(*sum), Some(*last))
            );
            for (column, instant) in ["window_start", "window_end"].iter().zip(span) {
                let text = line[*column].as_str().expect("a time");
                assert_eq!(nanoseconds(text), *instant);
            }
        }
    }
}

/// An instant as it is written: in UTC, with up to nine digits of a second.
pub(crate) fn nanoseconds(text: &str) -> i64 {
    let time = chrono::DateTime::parse_from_rfc3339(text).expect("a time");
    time.timestamp_nanos_opt().expect("in range")
}

/// What Polars and DuckDB, which hold everything in memory, make of the same rows: see `golden/make_windows.py`.
#[test]
fn windows_are_those_that_others_find() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("golden/windows.json")).expect("JSON");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("windows.csv"),
        include_str!("golden/windows.csv"),
    )
    .expect("written");
    let source = format!(
        "params = {{ out = \"\" }}\n[sources.readings]\ntype = \"file\"\npath = \"{}/windows.csv\"\ntime = {{ column = \"time\", lateness = \"10s\" }}\n",
        folder.path().display()
    );
    for (name, window) in [
        ("tumbling", "type = \"tumbling\", size = \"10m\""),
        (
            "sliding",
            "type = \"sliding\", size = \"30m\", every = \"5m\"",
        ),
        (
            "day",
            "type = \"tumbling\", size = \"1d\", time_zone = \"Europe/Berlin\"",
        ),
        ("hour", "type = \"tumbling\", size = \"1h\""),
        ("session", "type = \"session\", gap = \"60s\""),
        ("count", "type = \"count\", size = 25"),
        ("change", "type = \"change\", of = [\"state\"]"),
        ("rolling_rows", "type = \"rolling\", size = 12"),
        ("rolling_time", "type = \"rolling\", size = \"15m\""),
    ] {
        let text = format!(
            "{source}[transforms.w]\ntype = \"aggregate\"\ninputs = [\"readings\"]\nby = [\"device\"]\nwindow = {{ {window} }}\n\
             compute.n = \"count(*)\"\ncompute.s = \"sum(x)\"\ncompute.m = \"max(x)\"\ncompute.mean = \"mean(x)\"\n\
             [sinks.w_file]\ntype = \"file\"\ninputs = [\"w\"]\npath = \"${{out}}/w.jsonl\"\n\
             [sinks.late]\ntype = \"file\"\ninputs = [\"w.late\"]\npath = \"${{out}}/late.jsonl\"\n"
        );
        let (written, _) = run(&text, few("64MiB").next().expect("a setting"));
        assert!(written["late.jsonl"].is_empty(), "{name}: no row is late");
        let expected = golden[name].as_array().expect("rows");
        let mut found: Vec<serde_json::Value> = json_lines(&written["w.jsonl"])
            .iter()
            .map(|line| {
                let time = |column: &str| nanoseconds(line[column].as_str().expect("a time"));
                serde_json::json!([
                    time("window_start"),
                    time("window_end"),
                    line["device"],
                    line["n"],
                    line["s"],
                    line["m"],
                    line["mean"]
                ])
            })
            .collect();
        if name == "change" {
            // Runs leave when they are over; the others' are listed device by device.
            found.sort_by_key(|row| (row[2].as_str().map(str::to_string), row[0].as_i64()));
        }
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            let mean = |row: &serde_json::Value| row[6].as_f64().expect("a mean");
            let rest = |row: &serde_json::Value| row.as_array().expect("a row")[..6].to_vec();
            assert_eq!(rest(found), rest(expected), "{name}");
            let off = (mean(found) - mean(expected)).abs();
            assert!(
                off <= 1e-12 * mean(expected).abs().max(1.0),
                "{name}: {found} {expected}"
            );
        }
    }
}

/// Every transform that goes by time row after row, and the joins over time.
pub(crate) const OVER_TIME: &str = r#"
[transforms.sorted]
type    = "sort"
inputs  = ["readings"]
by_time = true

[transforms.lagged]
type   = "lag"
inputs = ["readings"]
by     = ["device"]
rows   = 2
compute.before = "x"

[transforms.changed]
type   = "delta"
inputs = ["lagged"]
by     = ["device"]
compute.dx = "x"

[transforms.rated]
type   = "rate"
inputs = ["readings"]
per    = "1m"
compute.per_minute = "x"

[transforms.once]
type   = "dedup"
inputs = ["readings"]
by     = { device = "device", half = "x / 500" }
within = "20s"

[transforms.newest]
type   = "dedup"
inputs = ["readings"]
by     = ["device"]
within = "20s"
keep   = "last"

[transforms.regular]
type    = "resample"
inputs  = ["readings"]
by      = ["device"]
every   = "4s"
method  = "linear"
columns = ["x"]
limit   = "1m"

[transforms.nearest]
type      = "asof"
inputs    = ["readings"]
table     = "others"
on        = ["device"]
direction = "nearest"
tolerance = "1m"
prefix    = "other_"

[transforms.latest]
type   = "asof"
inputs = ["readings"]
table  = "others"
kind   = "inner"
prefix = "other_"

[transforms.together]
type   = "interval"
inputs = ["readings"]
table  = "others"
on     = ["device"]
within = { before = "20s", after = "5s" }
kind   = "left"
prefix = "other_"

[transforms.both]
type   = "union"
inputs = ["readings", "others"]
"#;

#[test]
fn every_transform_over_time_writes_the_same() {
    let (folder, table) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let rows = readings(900, 4, 60);
    write(
        folder.path(),
        &files(&rows, |at, _| format!("{}.csv", at % 3)),
    );
    let mut others = readings(700, 5, 40);
    others
        .iter_mut()
        .for_each(|row| (row.time, row.x) = (row.time + 2 * SECOND, 1000 - row.x));
    write(
        table.path(),
        &files(&others, |at, _| format!("{}.csv", at % 2)),
    );
    let second = source(table.path(), "10s", "").replace("[sources.readings]", "[sources.others]");
    let second = second.split_once('\n').expect("lines").1;
    let mut text = source(folder.path(), "20s", "") + second + OVER_TIME;
    for output in [
        "sorted",
        "sorted.late",
        "lagged",
        "lagged.late",
        "changed",
        "changed.late",
        "rated",
        "rated.late",
        "once",
        "once.late",
        "once.duplicates",
        "newest",
        "newest.duplicates",
        "regular",
        "regular.late",
        "nearest",
        "nearest.late",
        "latest",
        "latest.late",
        "together",
        "together.late",
        "both",
    ] {
        let id = output.replace('.', "_");
        let _ = write!(
            text,
            "[sinks.{id}_file]\ntype = \"file\"\ninputs = [\"{output}\"]\npath = \"${{out}}/{output}.jsonl\"\n"
        );
    }
    // Several outputs with time in one file, and rows as they came beside them.
    text.push_str("[sinks.all]\ntype = \"file\"\ninputs = [\"lagged\", \"both_lagged\"]\npath = \"${out}/all.jsonl\"\n");
    text.push_str("[transforms.both_lagged]\ntype = \"lag\"\ninputs = [\"both\"]\nby = [\"device\"]\nrows = 2\ncompute.before = \"x\"\n");
    let mut first: Option<Written> = None;
    for setting in settings("256MiB").chain(few("6MiB")) {
        let (written, _) = run(&text, setting);
        for name in [
            "sorted",
            "changed",
            "once",
            "once.duplicates",
            "newest.duplicates",
            "regular",
            "nearest",
            "latest",
            "together",
            "both",
            "all",
            "sorted.late",
        ] {
            assert!(
                !written[&format!("{name}.jsonl")].is_empty(),
                "{name} has rows"
            );
        }
        match &first {
            Some(first) => same(first, &written, &format!("{setting:?}")),
            None => first = Some(written),
        }
    }
}
