//! Joins over event time: the same rows for any workers, batches, memory and layout of the same files; and memory that does not grow
//! with the length of the streams.

use std::fmt::Write as _;

use crate::memory::{MEBIBYTE, constant, peak};
use crate::sameness::{Setting, Written, run, same, settings};
use crate::time::{Files, files, readings, write};

/// A join, and whatever goes on with its rows.
const JOINS: [(&str, &str); 7] = [
    ("backward", "type = \"asof\"\non = [\"device\"]\n"),
    (
        "forward",
        "type = \"asof\"\non = [\"device\"]\ndirection = \"forward\"\ntolerance = \"40s\"\n",
    ),
    (
        "nearest",
        "type = \"asof\"\non = [\"device\"]\ndirection = \"nearest\"\ntolerance = \"5m\"\nallow_exact = false\n",
    ),
    (
        "ahead",
        "type = \"asof\"\non = [\"device\"]\ndirection = \"forward\"\nkind = \"inner\"\n",
    ),
    ("closest", "type = \"asof\"\ndirection = \"nearest\"\n"),
    (
        "pairs",
        "type = \"interval\"\non = [\"device\"]\nwithin = \"50s\"\n",
    ),
    (
        "after",
        "type = \"interval\"\non = [\"device\"]\nwithin = { after = \"2m\" }\nkind = \"left\"\n",
    ),
];

/// Two sources of readings, every join of them, windows of what was joined, and files of all.
pub(crate) fn joins(main: &str, table: &str, lateness: &str) -> String {
    let mut text = String::from("params = { out = \"\" }\n");
    let mut outputs = Vec::new();
    for (id, path) in [("main", main), ("other", table)] {
        let _ = write!(
            text,
            "[sources.{id}]\ntype = \"file\"\npath = \"{path}/*.csv\"\n\
             time = {{ column = \"time\", unit = \"ns\", lateness = \"{lateness}\" }}\n"
        );
    }
    text.push_str(
        "[transforms.minutes]\ntype = \"aggregate\"\ninputs = [\"other\"]\nby = [\"device\"]\n\
         window = { type = \"tumbling\", size = \"1m\" }\ncompute.mean = \"mean(x)\"\n\
         [transforms.summaries]\ntype = \"asof\"\ninputs = [\"main\"]\ntable = \"minutes\"\non = [\"device\"]\n",
    );
    outputs.push("summaries".to_string());
    for (id, join) in JOINS {
        let _ = write!(
            text,
            "[transforms.{id}]\ninputs = [\"main\"]\ntable = \"other\"\nprefix = \"t_\"\ntime_as = \"t_at\"\n{join}\
             [transforms.{id}_windows]\ntype = \"aggregate\"\ninputs = [\"{id}\"]\nwindow = {{ type = \"tumbling\", size = \"10m\" }}\n\
             compute.n = \"count(*)\"\ncompute.matched = \"count(t_x)\"\ncompute.last = \"last(t_x)\"\n"
        );
        outputs.extend([
            id.to_string(),
            format!("{id}.late"),
            format!("{id}_windows"),
            format!("{id}_windows.late"),
        ]);
    }
    for output in outputs {
        let id = output.replace('.', "_");
        let _ = write!(
            text,
            "[sinks.{id}_file]\ntype = \"file\"\ninputs = [\"{output}\"]\npath = \"${{out}}/{output}.jsonl\"\n"
        );
    }
    text
}

fn lines(written: &Written, file: &str) -> usize {
    String::from_utf8_lossy(&written[file]).lines().count()
}

#[test]
fn joins_write_the_same_for_any_workers_batches_and_memory() {
    let (main, table) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    // Much later than they may be, now and then, and in several files that overlap.
    let rows = readings(2000, 5, 60);
    write(
        main.path(),
        &files(&rows, |at, _| format!("{}.csv", at % 3)),
    );
    let rows = readings(1500, 7, 50);
    write(
        table.path(),
        &files(&rows, |at, _| format!("{}.csv", at % 2)),
    );
    let text = joins(
        &main.path().display().to_string(),
        &table.path().display().to_string(),
        "20s",
    );
    let mut first: Option<Written> = None;
    for setting in settings("256MiB").chain(few("6MiB")) {
        let (written, _) = run(&text, setting);
        assert!(
            lines(&written, "pairs.late.jsonl") > 0,
            "some rows are late"
        );
        assert!(written["forward_windows.late.jsonl"].is_empty());
        match &first {
            Some(first) => same(first, &written, &format!("{setting:?}")),
            None => first = Some(written),
        }
    }
}

fn few(memory: &'static str) -> impl Iterator<Item = Setting> {
    [(1, 8192), (2, 7), (3, 300)]
        .into_iter()
        .map(move |(workers, batch_rows)| Setting {
            workers,
            batch_rows,
            memory,
        })
}

#[test]
fn the_same_rows_in_other_files_make_the_same_pairs() {
    let (main, table) = (readings(2000, 5, 15), readings(1500, 6, 10));
    let layouts = |rows: &[crate::time::Reading]| -> [Files; 3] {
        [
            files(rows, |_, _| "all.csv".into()),
            files(rows, |_, row| format!("d{}.csv", row.device)),
            files(rows, |at, _| format!("{:03}.csv", at % 40)),
        ]
    };
    let mut first: Option<Written> = None;
    for (main, table) in layouts(&main).iter().zip(layouts(&table)) {
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        write(folders[0].path(), main);
        write(folders[1].path(), &table);
        let paths = folders.each_ref().map(|f| f.path().display().to_string());
        let text = joins(&paths[0], &paths[1], "20s");
        for setting in few("256MiB") {
            let (mut written, _) = run(&text, setting);
            assert_eq!(lines(&written, "backward.jsonl"), 2000);
            // Pairs of a row come in the order of the table's places, which are those of its files.
            for file in ["pairs.jsonl", "after.jsonl"] {
                let text = String::from_utf8_lossy(&written[file]).into_owned();
                let mut lines: Vec<&str> = text.lines().collect();
                lines.sort_unstable();
                written.insert(file.into(), lines.join("\n").into_bytes());
            }
            for file in ["pairs_windows.jsonl", "after_windows.jsonl"] {
                let text = String::from_utf8_lossy(&written[file]).into_owned();
                let lines = text.lines().map(|line| line.split(",\"last\"").next());
                let lines: Vec<&str> = lines.flatten().collect();
                written.insert(file.into(), lines.join("\n").into_bytes());
            }
            match &first {
                Some(first) => same(first, &written, &format!("{setting:?}")),
                None => first = Some(written),
            }
        }
    }
}

#[test]
fn memory_does_not_grow_with_the_streams() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "params = { rows = 1000 }\n[engine]\nmemory = \"32MiB\"\nworkers = 2\n\
        [sources.main]\ntype = \"generate\"\nrows = \"${rows}\"\ntime = { column = \"time\" }\n\
        columns.time = { kind = \"time\", every = \"10ms\" }\ncolumns.key = { kind = \"categories\", count = 50 }\n\
        columns.x = { kind = \"normal\", mean = 1.0 }\n\
        [sources.other]\ntype = \"generate\"\nrows = \"${rows}\"\ntime = { column = \"time\" }\n\
        columns.time = { kind = \"time\", every = \"10ms\" }\ncolumns.key = { kind = \"categories\", count = 60 }\n\
        columns.y = { kind = \"normal\", mean = 1.0 }\n\
        [transforms.near]\ntype = \"asof\"\ninputs = [\"main\"]\ntable = \"other\"\non = [\"key\"]\nprefix = \"t_\"\n\
        [transforms.ahead]\ntype = \"asof\"\ninputs = [\"main\"]\ntable = \"other\"\non = [\"key\"]\nprefix = \"t_\"\ndirection = \"forward\"\n\
        [transforms.pairs]\ntype = \"interval\"\ninputs = [\"main\"]\ntable = \"other\"\non = [\"key\"]\nprefix = \"t_\"\nwithin = \"1s\"\n\
        [transforms.sums]\ntype = \"aggregate\"\ninputs = [\"near\", \"ahead\", \"pairs\"]\nby = [\"key\"]\ncompute.sum = \"sum(x + t_y)\"\n\
        [sinks.a]\ntype = \"file\"\ninputs = [\"sums\"]\npath = \"sums.csv\"\n\
        [sinks.b]\ntype = \"file\"\ninputs = [\"near\"]\npath = \"near.arrow\"\n";
    let of = |rows: &str| peak(folder.path(), text, &["--set", rows]);
    let (small, large) = (of("rows=800000"), of("rows=4000000"));
    constant("joins over event time", small, large);
    assert!(large < 128 * MEBIBYTE, "{} MiB", large / MEBIBYTE);
}
