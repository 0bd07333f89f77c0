//! The ready pipelines, killed several times a run: what is written in the end is what an undisturbed run writes, the runs that go on
//! begin past zero, and what is read twice is no more than what came since the last snapshots.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::data::Numbers;
use crate::going_on::{
    Begun, LIMIT, expect_same, remove, rows_read, run, shown, snapshots, written,
};
use crate::program;

/// Rows of each pipeline, and how many of them leave in a second: two seconds and a half of work.
const ROWS: u64 = 50_000;
const RATE: u64 = 20_000;
/// How long after one snapshot the next begins: twenty of them fall into a run.
const EVERY: Duration = Duration::from_millis(100);
/// Kills of one run.
const KILLS: u32 = 3;
/// Rows of a piece, and of what is made up for when a thread was late: a tenth of a second each.
const SLICES: u64 = RATE / 10 * 2;

/// The source of a ready pipeline; each has one.
fn source_of(text: &str) -> String {
    let pipeline: toml::Table = text.parse().expect("TOML");
    let sources = pipeline["sources"].as_table().expect("a table");
    assert_eq!(sources.len(), 1, "it has one source");
    sources.keys().next().expect("one").clone()
}

/// A ready pipeline in a folder of its own.
struct Place<'a> {
    folder: &'a Path,
    source: String,
    /// What makes snapshots of it.
    settings: Vec<String>,
}

impl Place<'_> {
    fn command(&self, numbers: &mut Numbers, settings: &[String]) -> std::process::Command {
        let mut command = run(self.folder, 1 + numbers.below(3));
        let batch_rows = [100, 1000, 8192][numbers.below(3) as usize];
        command
            .args(["--rows", &ROWS.to_string(), "--format", "json"])
            .args(["--set", &format!("engine.batch_rows={batch_rows}")]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        command
    }

    /// Begins, or goes on, and is killed some time after a new snapshot. Returns how many rows it has read at least, and how many more
    /// may have been read than the newest snapshot knows.
    fn killed(&self, numbers: &mut Numbers) -> (u64, u64) {
        let before = snapshots(self.folder);
        let began = SystemTime::now();
        let settings = [&self.settings[..], &["metrics.listen=:0".to_string()]].concat();
        let mut begun = Begun::start(self.folder, self.command(numbers, &settings));
        // Behind the second snapshot of this attempt, so that it has read some rows between them.
        begun.wait_for_snapshot_after(before + 1);
        std::thread::sleep(Duration::from_millis(numbers.below(150)));
        let read = self.rows_read_by(&begun);
        let said = begun.said();
        begun.kill();
        let newest = snapshots(self.folder);
        match before {
            0 => assert!(!said.contains("goes on"), "{said}"),
            _ => {
                let words = format!("goes on from snapshot {before} ");
                assert!(said.contains(&words), "`{words}` is missing in:\n{said}");
            }
        }
        // The newest one was begun when the one before was durable, or when the run was.
        let manifest = format!("state/MANIFEST-{}", newest - 1);
        let earlier = std::fs::metadata(self.folder.join(manifest));
        let earlier = earlier.and_then(|manifest| manifest.modified()).ok();
        let since = earlier.map_or(began, |earlier| earlier.max(began));
        let seconds = since.elapsed().expect("the past").as_secs_f64();
        (read, (RATE as f64 * seconds) as u64 + SLICES)
    }

    /// How many rows the source of a run has read, as its metrics tell.
    fn rows_read_by(&self, begun: &Begun) -> u64 {
        let said = begun.said();
        let address = said.lines().find_map(|line| {
            let rest = line.strip_prefix("metrics at http://")?;
            rest.strip_suffix("/metrics")
        });
        let answer = program::get(address.expect("metrics are served"), "/metrics");
        let start = format!("dataflow_rows_out_total{{component=\"{}\"", self.source);
        let line = answer.lines().find(|line| line.starts_with(&start));
        let rows = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        rows.unwrap_or_else(|| panic!("no rows of {} in {answer}", self.source))
    }

    /// Kills a run several times, and lets it end.
    fn survives(&self, numbers: &mut Numbers, expected: &[(String, Vec<u8>)], printed: &str) {
        remove(self.folder, &["state", "out"]);
        let (mut read, mut allowed, mut position) = (0, ROWS, 0);
        for _ in 0..KILLS {
            let (by_it, again) = self.killed(numbers);
            (read, allowed) = (read + by_it, allowed + again);
            let reached = rows_read(&shown(self.folder, &self.settings));
            assert!(reached > position, "{reached} rows, {position} before");
            position = reached;
            for (name, _) in written(&self.folder.join("out")) {
                assert!(name.starts_with('.'), "{name} has its final name");
            }
        }
        let last = program::finish(self.command(numbers, &self.settings), LIMIT);
        let last = last.expect_code(0).expect_words(&["goes on from snapshot"]);
        let report = last.report();
        let by_it = program::component(&report, &self.source)["rows_out"].as_u64();
        let by_it = by_it.expect("a number");
        assert_eq!(by_it, ROWS - position, "the rest, and nothing else");
        read += by_it;
        assert!(read <= allowed, "{read} rows were read, {allowed} may be");
        println!("  {read} rows were read in {} attempts", KILLS + 1);
        assert_eq!(last.stdout, printed);
        expect_same(&self.folder.join("out"), expected, "after kills");
    }
}

#[test]
fn every_ready_pipeline_survives_kills() {
    let rounds = std::env::var("KILL_ROUNDS").ok();
    let rounds = rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    let mut numbers = Numbers::new(21);
    for pipeline in program::pipelines() {
        let began = Instant::now();
        let text = std::fs::read_to_string(&pipeline).expect("readable");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("pipeline.toml"), &text).expect("written");
        let source = source_of(&text);
        let settings = [
            "state.dir=state".to_string(),
            format!("state.every={}ms", EVERY.as_millis()),
            format!("sources.{source}.rate={RATE}/s"),
        ];
        let place = Place {
            folder: folder.path(),
            source,
            settings: settings.to_vec(),
        };
        let undisturbed = program::finish(place.command(&mut numbers, &[]), LIMIT).expect_code(0);
        let expected = written(&folder.path().join("out"));
        assert!(!expected.is_empty());
        println!("{}", pipeline.display());
        for _ in 0..rounds {
            place.survives(&mut numbers, &expected, &undisturbed.stdout);
        }
        println!("  {:?}", began.elapsed());
    }
}
