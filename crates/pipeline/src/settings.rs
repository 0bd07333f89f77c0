//! The engine's settings: `[engine]` and `[metrics]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::units::{Bytes, Duration};
use dataflow_core::{Every, Located, Problem, Problems, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::time;

/// How a pipeline is to be run, with every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Workers; 0 means one per core that the process may use.
    pub workers: usize,
    /// The budget for queues and state together.
    pub memory: Bytes,
    /// Rows in a batch.
    pub batch_rows: usize,
    /// Files of a source that are read side by side where that puts rows in the order of their time.
    pub open_files: usize,
    /// Where state goes that does not fit; none means the system's folder for temporary files.
    pub spill_dir: Option<PathBuf>,
    /// How many bytes may go there; none means as many as fit.
    pub spill_limit: Option<Bytes>,
    /// The value of `run_time()` as the file gives it, nanoseconds since 1970.
    pub run_time: Option<i64>,
    /// Where Prometheus metrics are served.
    pub metrics_listen: Option<SocketAddr>,
    /// Where snapshots are kept, if they are.
    pub state: Option<State>,
    /// Whose state transforms begin with, if there is nothing to go on from: a folder of snapshots.
    pub trained: Option<PathBuf>,
}

/// Where snapshots are kept, and how often there is to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The folder.
    pub dir: PathBuf,
    /// How often there is to be one.
    pub every: Every,
    /// How long a run that is to stop may take for its last one.
    pub grace: std::time::Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 0,
            memory: Bytes(256 << 20),
            batch_rows: 8192,
            open_files: 64,
            spill_dir: None,
            spill_limit: None,
            run_time: None,
            metrics_listen: None,
            state: None,
            trained: None,
        }
    }
}

/// How the engine works. Nothing here changes a result.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EngineTable {
    /// Worker threads. 0, the default, is one per core that the process may use (limits of a container count).
    workers: Option<Located<u32>>,
    /// Memory for queues and state together; the default is `"256MiB"`. State beyond it spills to disk.
    memory: Option<Located<Bytes>>,
    /// Rows in a batch, 8192 by default. Smaller batches need less memory, larger ones less time per row.
    batch_rows: Option<Located<u32>>,
    /// How many files of a source with `time` are read side by side, 64 by default. Where more of them overlap in time, windows stay
    /// open for longer. Each takes a file descriptor and some memory.
    open_files: Option<Located<u32>>,
    /// Where state goes that does not fit in memory.
    spill: SpillTable,
    /// The value of `run_time()`, such as `"2025-01-31T00:00:00Z"`, so that a run can be repeated exactly. Now, by default.
    run_time: Option<Located<String>>,
}

/// Where state goes that does not fit in memory.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SpillTable {
    /// The folder; the system's folder for temporary files by default.
    dir: Option<String>,
    /// How much may be written there, such as `"20GiB"`; by default as much as fits.
    limit: Option<Located<Bytes>>,
}

/// Snapshots of what a run holds, from which another run goes on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StateTable {
    /// The folder that snapshots are kept in, for this pipeline alone. A run goes on from the newest one there; `--fresh` begins
    /// anew.
    dir: Option<Located<String>>,
    /// How long after one snapshot is durable the next begins; the default is `"10s"`. That much work, at most, is done again after a
    /// kill. Or `{ rows = 1_000_000 }`: whenever so many rows have been taken of all sources together since the last one began, to the
    /// end of the piece of a file (some megabytes) that reaches that number.
    every: Option<Located<Every>>,
    /// How long a run that is told to stop may take for a last snapshot; the default is `"20s"`.
    grace: Option<Located<Duration>>,
    /// A folder with snapshots of another pipeline. Where there is nothing to go on from, transforms begin with the state that those of the
    /// same id and type had there, as though the rows that they have seen had come before the first: totals count them, windows that were
    /// open go on, and what is made row by row is made of the new rows only. Their own settings must be the same; what they read from may
    /// be something else. With `from` alone, no snapshots are taken.
    from: Option<Located<String>>,
}

/// Numbers about the run for Prometheus.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MetricsTable {
    /// The address where metrics are served, such as `"127.0.0.1:9100"`. `":9100"` listens on this machine only.
    listen: Option<Located<String>>,
}

/// Reads both tables, reporting what does not fit.
pub(crate) fn read(
    [engine, metrics, state]: [Option<&Node>; 3],
    problems: &mut Problems,
) -> Settings {
    let mut settings = Settings::default();
    if let Some(table) = engine.and_then(|node| table::<EngineTable>(node, problems)) {
        fill(&mut settings, table, problems);
    }
    if let Some(listen) = metrics
        .and_then(|node| table::<MetricsTable>(node, problems))
        .and_then(|table| table.listen)
    {
        settings.metrics_listen = address(&listen, problems);
    }
    if let Some(node) = state
        && let Some(table) = table::<StateTable>(node, problems)
    {
        let from = table.from.as_ref().filter(|from| !from.is_empty());
        settings.trained = from.map(|from| PathBuf::from(from.value.clone()));
        settings.state = kept(node, table, problems);
    }
    settings
}

fn kept(node: &Node, table: StateTable, problems: &mut Problems) -> Option<State> {
    let (every, span) = table
        .every
        .map_or_else(Default::default, |e| (e.value, e.span));
    match every {
        Every::Time(time) => check_span(time, span, problems),
        Every::Rows(0) => {
            let message = "a snapshot after every 0 rows is one without end";
            let help = "write how many rows, 1 or more, such as `every = { rows = 1_000_000 }`";
            problems.push(Problem::error(message, span).help(help));
        }
        Every::Rows(_) => {}
    }
    let (grace, span) = match table.grace {
        Some(grace) => (grace.value, grace.span),
        None => (Duration::from_nanoseconds(20_000_000_000), None),
    };
    check_span(grace, span, problems);
    let alone = table.from.is_some() && table.dir.is_none();
    let Some(dir) = table.dir.filter(|dir| !dir.is_empty()) else {
        if alone && node.get("dir").is_none() {
            return None;
        }
        // What is no text was told already.
        if (node.get("dir")).is_some_and(|dir| !matches!(dir.value, Tree::Text(_))) {
            return None;
        }
        let problem = Problem::error(
            "`dir` is missing: where are snapshots to be kept?",
            node.span,
        );
        problems.push(problem.help("name a folder for this pipeline alone: `dir = \"state\"`"));
        return None;
    };
    Some(State {
        dir: PathBuf::from(dir.value),
        every,
        grace: grace.to_std(),
    })
}

/// A time that must not be none.
fn check_span(time: Duration, span: Option<Span>, problems: &mut Problems) {
    if time.nanoseconds() <= 0 {
        let message = format!("`{time}` is no span of time");
        let help = "write how long, such as \"10s\"";
        problems.push(Problem::error(message, span).help(help));
    }
}

/// Reads a table whose keys are all optional. What one key gets wrong does not hide what another does.
fn table<T: serde::de::DeserializeOwned>(node: &Node, problems: &mut Problems) -> Option<T> {
    let Tree::Table(entries) = &node.value else {
        return node.read().map_err(|problem| problems.push(problem)).ok();
    };
    let alone = |entry: &(Key, Node)| Node {
        value: Tree::Table(vec![entry.clone()]),
        span: node.span,
    };
    let mut right = Vec::new();
    for entry in entries {
        match alone(entry).read::<T>() {
            Ok(_) => right.push(entry.clone()),
            Err(problem) => problems.push(problem),
        }
    }
    Node::from(Tree::Table(right)).read().ok()
}

fn fill(settings: &mut Settings, table: EngineTable, problems: &mut Problems) {
    if let Some(workers) = table.workers {
        if workers.value > 1024 {
            let message = format!(
                "{} workers are more than the 1024 that there may be",
                workers.value
            );
            problems.push(Problem::error(message, workers.span).help("0 means one per core"));
        }
        settings.workers = workers.value as usize;
    }
    if let Some(memory) = table.memory {
        settings.memory = memory.value;
    }
    if let Some(rows) = table.batch_rows {
        if rows.value == 0 || rows.value > 1 << 20 {
            let message = format!("a batch cannot have {} rows", rows.value);
            problems.push(
                Problem::error(message, rows.span)
                    .help("write a number from 1 to 1048576; 8192 is the default"),
            );
        }
        settings.batch_rows = (rows.value as usize).max(1);
    }
    if let Some(files) = table.open_files {
        if files.value == 0 || files.value > 1 << 16 {
            let message = format!("{} files cannot be open at a time", files.value);
            problems.push(
                Problem::error(message, files.span)
                    .help("write a number from 1 to 65536; 64 is the default"),
            );
        }
        settings.open_files = (files.value as usize).max(1);
    }
    settings.spill_dir = table
        .spill
        .dir
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from);
    settings.spill_limit = table.spill.limit.map(|limit| limit.value);
    if let Some(text) = table.run_time {
        settings.run_time = time::nanoseconds(&text);
        if settings.run_time.is_none() {
            let problem = Problem::error(format!("`{}` is not a time", *text), text.span);
            problems.push(problem.help("write it as \"2025-01-31T00:00:00Z\""));
        }
    }
}

fn address(listen: &Located<String>, problems: &mut Problems) -> Option<SocketAddr> {
    let text = listen.replace("localhost:", "127.0.0.1:");
    let full = match text.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text,
    };
    let address = full.parse().ok();
    if address.is_none() {
        let message = format!("`{}` is not an address to listen on", listen.value);
        problems.push(Problem::error(message, listen.span).help("write it as \"127.0.0.1:9100\""));
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn settings(text: &str) -> (Settings, Vec<String>) {
        let mut problems = Problems::new();
        let root = Node::from(Tree::Table(parse::document(text, 0, &mut problems)));
        let tables = [root.get("engine"), root.get("metrics"), root.get("state")];
        let settings = read(tables, &mut problems);
        (
            settings,
            problems.list().iter().map(|p| p.message.clone()).collect(),
        )
    }

    #[test]
    fn tables_fill_the_settings() {
        let text = "[engine]\nworkers = 3\nmemory = '1GiB'\nbatch_rows = 7\nopen_files = 9\nspill = { dir = '/s', limit = '2B' }\nrun_time = 1970-01-01T00:00:01Z\n[metrics]\nlisten = ':9100'\n[state]\ndir = '/k'\nevery = '2s'";
        let (settings, problems) = settings(text);
        assert!(problems.is_empty(), "{problems:?}");
        let expected = Settings {
            workers: 3,
            memory: Bytes(1 << 30),
            batch_rows: 7,
            open_files: 9,
            spill_dir: Some("/s".into()),
            spill_limit: Some(Bytes(2)),
            run_time: Some(1_000_000_000),
            metrics_listen: Some(SocketAddr::from(([127, 0, 0, 1], 9100))),
            state: Some(State {
                dir: "/k".into(),
                every: Every::Time(Duration::from_nanoseconds(2_000_000_000)),
                grace: std::time::Duration::from_secs(20),
            }),
            trained: None,
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn state_may_be_begun_with_and_not_kept() {
        let (alone, problems) = settings("[state]\nfrom = 'trained'");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!((alone.state, alone.trained), (None, Some("trained".into())));
        let (both, problems) = settings("[state]\nfrom = 'trained'\ndir = 'k'");
        assert!(problems.is_empty(), "{problems:?}");
        assert!(both.state.is_some() && both.trained.is_some());
    }

    #[test]
    fn snapshots_may_go_by_rows() {
        let (settings, problems) = settings("[state]\ndir = 'k'\nevery = { rows = 5_000 }");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(
            settings.state.map(|state| state.every),
            Some(Every::Rows(5000))
        );
    }

    #[test]
    fn impossible_values_are_problems() {
        let text = "[engine]\nworkers = 5000\nbatch_rows = 0\nopen_files = 0\nrun_time = 'soon'\n[metrics]\nlisten = 'here'";
        assert_eq!(settings(text).1.len(), 5);
        let state = "[state]\ndir = 'k'\ngrace = '0s'\nevery = ";
        for every in ["{ rows = 0 }", "'-1s'"] {
            assert_eq!(settings(&format!("{state}{every}")).1.len(), 2, "{every}");
        }
        assert_eq!(
            settings("[engine]\nworker = 1").1,
            ["there is no key `worker` here"]
        );
    }
}
