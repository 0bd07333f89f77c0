//! `resample` against a model that looks at every instant of every key.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_schema::DataType;
use dataflow_core::{Flow, Output, Result};
use dataflow_testkit::{Drive, Timing};

use super::Resample;
use crate::fixtures::{
    SECOND, TimedRows, build, floats, integers, problems, rows, texts, untimed_problems,
};

/// A row of the grid: its instant and key (null last), the row before, and the row behind where one is.
type OnGrid = ((i64, bool, Option<String>), usize, Option<usize>);

struct Setting {
    every: i64,
    offset: i64,
    limit: Option<i64>,
    keys: bool,
}

fn model(rows: &TimedRows, setting: &Setting) -> Vec<OnGrid> {
    let mut of_key: BTreeMap<(bool, Option<String>), Vec<usize>> = BTreeMap::new();
    for row in rows.in_order(setting.keys).0 {
        let device = rows.devices[row].clone().filter(|_| setting.keys);
        let of_key = of_key.entry((device.is_none(), device)).or_default();
        // Of several rows of one instant, the last one counts.
        if of_key
            .last()
            .is_some_and(|last| rows.times[*last] == rows.times[row])
        {
            of_key.pop();
        }
        of_key.push(row);
    }
    let mut all = Vec::new();
    for ((null, device), of_key) in of_key {
        for (at, row) in of_key.iter().enumerate() {
            let from = rows.times[*row];
            let next = of_key.get(at + 1);
            let to = next.map_or(from + 1, |next| rows.times[*next]);
            let filled = setting.limit.is_none_or(|limit| to - from <= limit);
            let first = from - setting.offset + setting.every - 1;
            let mut instant = first.div_euclid(setting.every) * setting.every + setting.offset;
            while instant < to && (filled || instant == from) {
                all.push(((instant, null, device.clone()), *row, next.copied()));
                instant += setting.every;
            }
        }
    }
    all.sort();
    all
}

fn settings() -> Vec<(Setting, i64)> {
    let mut all = Vec::new();
    for keys in [true, false] {
        for (every, offset, limit, pause) in [
            (SECOND / 4, 0, None, 0),
            (SECOND, SECOND / 2, Some(3 * SECOND), 0),
            (7 * SECOND, 0, None, 300),
            (SECOND / 2, 0, Some(20 * SECOND), 100_000),
            (SECOND / 1000, 0, Some(SECOND / 100), 0),
        ] {
            let setting = Setting {
                every,
                offset,
                limit,
                keys,
            };
            all.push((setting, pause));
        }
    }
    all
}

fn check(
    method: &str,
    columns: &str,
    see: impl Fn(&TimedRows, &arrow_array::RecordBatch, &[OnGrid]),
) {
    for (setting, pause) in settings() {
        let rows = TimedRows::new(250, pause);
        let expected = model(&rows, &setting);
        let by = if setting.keys {
            "by = [\"device\"]\n"
        } else {
            ""
        };
        let limit = setting
            .limit
            .map(|limit| format!("limit = \"{limit}ns\"\n"));
        let config = format!(
            "{by}{}every = \"{}ns\"\noffset = \"{}ns\"\nmethod = \"{method}\"\ncolumns = {columns}",
            limit.unwrap_or_default(),
            setting.every,
            setting.offset - 10 * setting.every,
        );
        let resample = build::<Resample>(&config, &rows.batch);
        rows.run(resample.as_ref(), |outcome, drive| {
            let found = outcome.rows();
            let times = found["time"].as_primitive::<TimestampNanosecondType>();
            let devices = match setting.keys {
                true => texts(&found, "device"),
                false => vec![None; found.num_rows()],
            };
            let of_found = times.values().iter().zip(devices);
            let of_found: Vec<(i64, Option<String>)> =
                of_found.map(|(time, device)| (*time, device)).collect();
            let of_model: Vec<(i64, Option<String>)> = expected
                .iter()
                .map(|((time, _, device), _, _)| (*time, device.clone()))
                .collect();
            assert_eq!(of_found, of_model, "{config} {drive:?}");
            let happened = outcome.ports[0].iter().flat_map(|batch| {
                let times = batch.times().expect("instants are times");
                times.at().to_vec()
            });
            assert_eq!(happened.collect::<Vec<_>>(), times.values().to_vec());
            see(&rows, &found, &expected);
        });
    }
}

#[test]
fn the_row_before_counts() {
    check("previous", "[\"x\", \"name\"]", |rows, found, model| {
        let x: Vec<Option<i64>> = model.iter().map(|(_, row, _)| rows.x[*row]).collect();
        assert_eq!(integers(found, "x"), x);
        let names = x.iter().map(|x| x.map(|x| format!("n{x}")));
        assert_eq!(texts(found, "name"), names.collect::<Vec<_>>());
    });
}

#[test]
fn values_lie_on_a_line() {
    check("linear", "[\"x\", \"y\"]", |rows, found, model| {
        let on_line = |of: &dyn Fn(usize) -> Option<f64>| -> Vec<Option<f64>> {
            let each = model.iter().map(|((instant, _, _), row, next)| {
                let (from, before) = (rows.times[*row], of(*row)?);
                if from == *instant {
                    return Some(before);
                }
                let (to, next) = (rows.times[(*next)?], of((*next)?)?);
                let share = (instant - from) as f64 / (to - from) as f64;
                Some(before + (next - before) * share)
            });
            each.collect()
        };
        assert_eq!(
            floats(found, "x"),
            on_line(&|row| rows.x[row].map(|x| x as f64))
        );
        assert_eq!(floats(found, "y"), on_line(&|row| rows.y[row]));
    });
}

#[test]
fn only_rows_on_the_grid_count() {
    check("none", "[\"x\"]", |rows, found, model| {
        let x = model
            .iter()
            .map(|((instant, _, _), row, _)| rows.x[*row].filter(|_| rows.times[*row] == *instant));
        assert_eq!(integers(found, "x"), x.collect::<Vec<_>>());
    });
}

/// Counts rows, and is full after each batch.
#[derive(Default)]
struct Counting {
    rows: usize,
    most: usize,
}

impl Output for Counting {
    fn send(&mut self, _: usize, batch: dataflow_core::Batch) {
        self.rows += batch.len();
        self.most = self.most.max(batch.len());
    }

    fn full(&self) -> bool {
        true
    }

    fn bad(&mut self, _: dataflow_core::BadRows) -> Result<()> {
        Ok(())
    }

    fn late(
        &mut self,
        _: usize,
        _: usize,
        _: &mut dyn FnMut() -> dataflow_core::BadRows,
    ) -> Result<()> {
        Ok(())
    }

    fn note(&mut self, _: &str, _: u64) {}
}

#[test]
fn a_gap_of_a_year_is_written_slice_by_slice() {
    let input = rows("x:i64\n1\n2");
    let resample = build::<Resample>("every = \"1ms\"\ncolumns = [\"x\"]", &input);
    let stages = resample.stages();
    let context = || dataflow_core::StageContext {
        id: "it".into(),
        worker: 0,
        workers: 1,
        batch_rows: 1000,
        memory: 1 << 20,
        spill: std::sync::Arc::new(dataflow_testkit::SharedSpill(
            dataflow_testkit::MemorySpill::new(),
        )),
    };
    let mut stage = (stages[1].make)(context()).expect("makes");
    let year = 365 * 86_400 * SECOND;
    let batch = dataflow_core::Batch::new(input.clone())
        .with_places(dataflow_core::Places::From(dataflow_core::Place(0)))
        .with_times(Some(dataflow_core::Times::new(vec![0, year])));
    let mut out = Counting::default();
    stage.on_batch(batch, &mut out).expect("takes");
    let mut flow = stage.on_end(&mut out).expect("begins");
    let before = stage.bytes();
    for _ in 0..500 {
        assert_eq!(flow, Flow::More);
        flow = stage.more(&mut out).expect("writes");
    }
    assert!(out.rows > 400_000 && out.most == 1000);
    assert!(stage.bytes() <= before + 10_000, "{}", stage.bytes());
}

#[test]
fn the_columns_are_the_instant_the_keys_and_the_values() {
    let input = rows("device:dict x:i32 y:f64\na 1 2");
    let built = |config: &str| {
        let resample = build::<Resample>(config, &input);
        let fields = resample.ports()[0].schema.fields().clone();
        let named = fields
            .iter()
            .map(|f| (f.name().clone(), f.data_type().clone()));
        named.skip(1).collect::<Vec<_>>()
    };
    let named = |name: &str, of: DataType| (name.to_string(), of);
    assert_eq!(
        built("by = [\"device\"]\nevery = \"1s\"\ncolumns = [\"x\"]"),
        [named("device", DataType::Utf8), named("x", DataType::Int32)]
    );
    assert_eq!(
        built("by = { d = \"device\" }\nevery = \"1s\"\ncolumns = \"x\"\nmethod = \"linear\""),
        [named("d", DataType::Utf8), named("x", DataType::Float64)]
    );
    let resample = build::<Resample>("every = \"1s\"\ncolumns = [\"x\"]", &input);
    let named = |names: &[&str]| dataflow_core::transform::Columns::named(names.iter().copied());
    assert_eq!(
        resample.needs(0, &[named(&["time"]), named(&[])]),
        named(&["x"])
    );
}

#[test]
fn rows_leave_when_time_is_past_the_limit() {
    // Without a limit, all stretches wait for the end.
    let lines: Vec<String> = (0..20_000).map(|i| format!("{i} {}", i.min(1))).collect();
    let input = rows(&format!("x:i64 k:i64\n{}", lines.join("\n")));
    let times: Vec<i64> = (0..20_000).map(|i| i * SECOND).collect();
    let timing = Timing {
        times: &times,
        rule: Default::default(),
    };
    for (limit, early) in [("limit = \"10s\"\n", true), ("", false)] {
        let config = format!("by = [\"k\"]\nevery = \"1s\"\n{limit}columns = [\"x\"]");
        let resample = build::<Resample>(&config, &input);
        let drive = Drive {
            piece_rows: 100,
            memory: 100_000,
            ..Drive::default()
        };
        let outcome = drive.run_timed(resample.as_ref(), &input, Some(timing));
        let outcome = outcome.expect("runs");
        assert_eq!(outcome.rows().num_rows(), 20_000);
        assert_eq!(outcome.spilled_runs > 0, !early, "{limit}");
    }
}

#[test]
fn wrong_configurations_are_said() {
    let input = rows("device x:i64 time:time\na 1 5");
    for (wrong, message) in [
        (
            "every = \"0s\"\ncolumns = [\"x\"]\ntime = \"t\"",
            "a grid of every `0s` never advances",
        ),
        (
            "every = \"1s\"\ncolumns = [\"x\"]\nlimit = \"0s\"",
            "with `limit = \"0s\"` no gap would be filled",
        ),
        (
            "every = \"1s\"\ncolumns = []",
            "`columns` names no column whose values are wanted",
        ),
        (
            "every = \"1s\"\ncolumns = [\"time\"]",
            "there would be two columns `time`",
        ),
        (
            "every = \"1s\"\ncolumns = [\"x\", \"x\"]",
            "there would be two columns `x`",
        ),
        (
            "every = \"1s\"\ncolumns = [\"device\"]\nmethod = \"linear\"",
            "between values of `device` there is no line: it is text, not a number",
        ),
        (
            "every = \"1s\"\ncolumns = [\"z\"]",
            "there is no column `z`",
        ),
    ] {
        assert_eq!(problems::<Resample>(wrong, &input), [message], "{wrong}");
    }
    for wrong in [
        "columns = [\"x\"]",
        "every = \"1s\"\ncolumns = [\"x\"]\nmethod = \"cubic\"",
    ] {
        assert_eq!(problems::<Resample>(wrong, &input).len(), 1, "{wrong}");
    }
    let untimed = untimed_problems::<Resample>("every = \"1s\"\ncolumns = [\"x\"]", &input);
    assert!(
        untimed[0].starts_with("`resample` needs event time"),
        "{untimed:?}"
    );
}
