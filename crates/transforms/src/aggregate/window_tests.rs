//! Windows of time against a model that looks at every row and every window.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType};
use arrow_array::{Int64Array, RecordBatch, StringArray};
use dataflow_core::TimeRule;
use dataflow_testkit::{Drive, Timing};

use super::Aggregate;
use crate::fixtures::{build_real, build_real_of, drives, problems};

const SECOND: i64 = 1_000_000_000;

/// Rows of a few devices, in disorder, some of them later than they may be.
struct Rows {
    batch: RecordBatch,
    times: Vec<i64>,
    devices: Vec<Option<String>>,
    values: Vec<i64>,
}

const RULE: TimeRule = TimeRule {
    lateness: 5 * SECOND,
    max_future_skew: None,
    idle: None,
};

fn some_rows(count: i64, gap: i64) -> Rows {
    let mut seed: u64 = 42;
    let mut random = |below: u64| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) % below
    };
    let (mut times, mut devices, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..count {
        let late = match random(20) {
            0 => random(60) as i64,
            _ => random(4) as i64,
        };
        let pause = if row > count / 2 { gap } else { 0 };
        times.push((row - 100 - late + pause) * SECOND / 2 + random(1000) as i64);
        // A device comes and goes.
        let device = (random(3) + (row as u64 / 150) % 4) % 5;
        devices.push((device > 0).then(|| format!("d{device}")));
        values.push(random(1000) as i64);
    }
    let batch = RecordBatch::try_from_iter([
        (
            "device",
            std::sync::Arc::new(StringArray::from(devices.clone())) as arrow_array::ArrayRef,
        ),
        (
            "x",
            std::sync::Arc::new(Int64Array::from(values.clone())) as _,
        ),
        (
            "odd",
            std::sync::Arc::new(Int64Array::from_iter_values(values.iter().map(|x| x % 2))) as _,
        ),
    ])
    .expect("columns");
    Rows {
        batch,
        times,
        devices,
        values,
    }
}

/// (end, device with null last) and start, rows, sum, least.
type Model = BTreeMap<Of, Found>;
type Of = (i64, bool, Option<String>);
type Found = (i64, i64, i64, i64);

/// Every window of `size`, one each `every`, by the rule; and the rows that are in none.
fn model(rows: &Rows, size: i64, every: i64, by_device: bool) -> (Model, Vec<usize>) {
    let (mut windows, mut late) = (Model::new(), Vec::new());
    let mut newest: Option<i64> = None;
    for (row, time) in rows.times.iter().enumerate() {
        let mut taken = false;
        let mut start = time.div_euclid(every) * every;
        while start > time - size {
            let end = start + size;
            if newest.is_none_or(|newest| end > newest - RULE.lateness) {
                taken = true;
                let device = rows.devices[row].clone().filter(|_| by_device);
                let of = (end, device.is_none(), device);
                let x = rows.values[row];
                let window = windows.entry(of).or_insert((start, 0, 0, i64::MAX));
                *window = (start, window.1 + 1, window.2 + x, window.3.min(x));
            }
            start -= every;
        }
        if !taken {
            late.push(row);
        }
        newest = newest.max(Some(*time));
    }
    (windows, late)
}

fn of_batch(rows: &RecordBatch, by_device: bool) -> Vec<(Of, Found)> {
    let time = |name: &str| {
        rows[name]
            .as_primitive::<TimestampNanosecondType>()
            .values()
    };
    let number = |name: &str| rows[name].as_primitive::<Int64Type>().values();
    let device = |row: usize| {
        let devices = by_device.then(|| rows["device"].as_string::<i32>())?;
        devices.iter().nth(row)?.map(str::to_string)
    };
    (0..rows.num_rows())
        .map(|row| {
            let device = device(row);
            let of = (time("window_end")[row], device.is_none(), device);
            let start = time("window_start")[row];
            (
                of,
                (start, number("n")[row], number("s")[row], number("m")[row]),
            )
        })
        .collect()
}

const COMPUTE: &str = "compute.n = \"count(*)\"\ncompute.s = \"sum(x)\"\ncompute.m = \"min(x)\"\n";

fn check(window: &str, size: i64, every: i64, by_device: bool, gap: i64) -> usize {
    let rows = some_rows(700, gap);
    let by = if by_device { "by = [\"device\"]\n" } else { "" };
    let aggregate =
        build_real::<Aggregate>(&format!("{by}window = {window}\n{COMPUTE}"), &rows.batch);
    let (windows, late) = model(&rows, size * SECOND, every * SECOND, by_device);
    let timing = Timing {
        times: &rows.times,
        rule: RULE,
    };
    let mut spilled = 0;
    let mut all = drives();
    all.push(Drive {
        workers: 2,
        piece_rows: 30,
        batch_rows: 5,
        mark_every: 1000,
        memory: 3000,
        ..Drive::default()
    });
    for drive in all {
        let outcome = drive
            .run_timed(aggregate.as_ref(), &rows.batch, Some(timing))
            .expect("runs");
        let expected: Vec<_> = windows.clone().into_iter().collect();
        assert_eq!(
            of_batch(&outcome.rows(), by_device),
            expected,
            "{window} {drive:?}"
        );
        let places: Vec<usize> = outcome
            .late
            .iter()
            .map(|late| late.place.expect("known").row() as usize)
            .collect();
        assert_eq!(places, late, "{window} {drive:?}");
        for late in &outcome.late {
            assert_eq!(late.reason, "late");
            assert_eq!(
                late.time,
                Some(rows.times[late.place.expect("known").row() as usize])
            );
        }
        for batch in &outcome.ports[0] {
            let times = batch.times().expect("windows have times").at();
            let ends = batch.rows()["window_end"].as_primitive::<TimestampNanosecondType>();
            assert!(
                times
                    .iter()
                    .zip(ends.values())
                    .all(|(time, end)| time + 1 == *end)
            );
        }
        spilled += outcome.spilled_runs;
    }
    assert!(spilled > 0, "{window}");
    late.len()
}

#[test]
fn tumbling_windows_are_those_of_the_model() {
    for by_device in [true, false] {
        let late = check("{ type = \"tumbling\", size = \"7s\" }", 7, 7, by_device, 0);
        assert!(late > 5, "{late} rows are late");
        check(
            "{ type = \"tumbling\", size = \"1m\" }",
            60,
            60,
            by_device,
            100_000,
        );
    }
}

#[test]
fn sliding_windows_are_those_of_the_model() {
    for by_device in [true, false] {
        check(
            "{ type = \"sliding\", size = \"20s\", every = \"4s\" }",
            20,
            4,
            by_device,
            0,
        );
        check(
            "{ type = \"sliding\", size = \"10s\", every = \"4s\" }",
            10,
            4,
            by_device,
            500,
        );
        check(
            "{ type = \"sliding\", size = \"1m\", every = \"1s\" }",
            60,
            1,
            by_device,
            100_000,
        );
        check(
            "{ type = \"sliding\", size = \"5s\", every = \"5s\" }",
            5,
            5,
            by_device,
            0,
        );
    }
}

#[test]
fn windows_with_gaps_leave_rows_out() {
    let window = "{ type = \"sliding\", size = \"2s\", every = \"10s\", gaps = true }";
    let rows = some_rows(300, 0);
    let aggregate = build_real::<Aggregate>(&format!("window = {window}\n{COMPUTE}"), &rows.batch);
    let timing = Timing {
        times: &rows.times,
        rule: TimeRule {
            lateness: 1000 * SECOND,
            ..RULE
        },
    };
    let outcome = Drive::default()
        .run_timed(aggregate.as_ref(), &rows.batch, Some(timing))
        .expect("runs");
    let counted: i64 = of_batch(&outcome.rows(), false)
        .iter()
        .map(|(_, window)| window.1)
        .sum();
    let within = rows
        .times
        .iter()
        .filter(|time| time.rem_euclid(10 * SECOND) < 2 * SECOND)
        .count();
    assert_eq!(counted, within as i64);
    assert!(outcome.late.is_empty());
}

#[test]
fn keys_and_calls_may_use_the_window() {
    let rows = some_rows(50, 0);
    let config = "window = { type = \"tumbling\", size = \"10s\" }\ncompute.seconds = \"date_part('second', window_end)\"\ncompute.r = \"count(*) / 10.0\"";
    let aggregate = build_real::<Aggregate>(config, &rows.batch);
    let timing = Timing {
        times: &rows.times,
        rule: RULE,
    };
    let outcome = Drive::default()
        .run_timed(aggregate.as_ref(), &rows.batch, Some(timing))
        .expect("runs");
    assert!(outcome.rows().num_rows() > 2);
    for (name, wrong) in [
        (
            "window",
            "window = { type = \"tumbling\", size = \"10s\" }\nby = { window_end = \"device\" }\ncompute.n = \"count(*)\"",
        ),
        (
            "line",
            "window = { type = \"tumbling\", size = \"10s\" }\ncompute.window_start = \"count(*)\"",
        ),
    ] {
        assert_eq!(problems::<Aggregate>(wrong, &rows.batch).len(), 1, "{name}");
    }
}

/// One window: its key (null last), first and last instant, rows, sum, first and last value, and whether it is complete.
type Cut = (bool, Option<String>, i64, i64, i64, i64, i64, i64, bool);

/// The rows of each key, null last.
type ByKey = BTreeMap<(bool, Option<String>), Vec<usize>>;

/// Each key's rows that are not late, in the order of (time, row); or all in the order of the stream.
fn in_order(rows: &Rows, timed: bool) -> (ByKey, Vec<usize>) {
    let (mut kept, mut late) = (Vec::new(), Vec::new());
    let mut newest: Option<i64> = None;
    for (row, time) in rows.times.iter().enumerate() {
        match timed && newest.is_some_and(|newest| *time < newest - RULE.lateness) {
            true => late.push(row),
            false => kept.push(row),
        }
        newest = newest.max(Some(*time));
    }
    if timed {
        kept.sort_by_key(|row| (rows.times[*row], *row));
    }
    let mut keys: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for row in kept {
        let device = rows.devices[row].clone();
        keys.entry((device.is_none(), device))
            .or_default()
            .push(row);
    }
    (keys, late)
}

/// Windows in the order in which they are to leave, given where each key's windows start and end in its rows, and when a window
/// is over (by its last row).
fn cut_model(
    rows: &Rows,
    timed: bool,
    stays: bool,
    cut: impl Fn(&[usize]) -> Vec<(usize, usize, i64, bool)>,
) -> (Vec<Cut>, Vec<usize>) {
    let (keys, late) = in_order(rows, timed);
    let mut all = Vec::new();
    for ((null, device), of_key) in keys {
        for (start, end, over, complete) in cut(&of_key) {
            let window = &of_key[start..end];
            let (first, last) = (window[0], window[window.len() - 1]);
            let sum = window.iter().map(|row| rows.values[*row]).sum();
            let of_window = (
                null,
                device.clone(),
                rows.times[first],
                rows.times[last],
                window.len() as i64,
                sum,
                rows.values[first],
                rows.values[last],
                complete,
            );
            // What is over only because the rows ended leaves behind the others.
            let stays = timed && (!complete || (stays && end == of_key.len()));
            all.push(((stays, over, null, device.clone(), start), of_window));
        }
    }
    all.sort();
    (all.into_iter().map(|(_, window)| window).collect(), late)
}

fn cuts_of(rows: &RecordBatch, timed: bool) -> Vec<Cut> {
    let time = |name: &str, row: usize| match timed {
        true => rows[name]
            .as_primitive::<TimestampNanosecondType>()
            .value(row),
        false => 0,
    };
    let number = |name: &str, row: usize| rows[name].as_primitive::<Int64Type>().value(row);
    let complete = |row: usize| {
        rows.column_by_name("window_complete")
            .is_none_or(|c| c.as_boolean().value(row))
    };
    let devices: Vec<Option<&str>> = rows["device"].as_string::<i32>().iter().collect();
    (0..rows.num_rows())
        .map(|row| {
            (
                devices[row].is_none(),
                devices[row].map(str::to_string),
                time("window_start", row),
                time("window_end", row),
                number("n", row),
                number("s", row),
                number("f", row),
                number("l", row),
                complete(row),
            )
        })
        .collect()
}

fn check_cut(
    window: &str,
    timed: bool,
    gap: i64,
    cut: impl Fn(&Rows, &[usize]) -> Vec<(usize, usize, i64, bool)>,
) {
    let mut rows = some_rows(700, gap);
    let config = format!(
        "by = [\"device\"]\nwindow = {window}\ncompute.n = \"count(*)\"\ncompute.s = \"sum(x)\"\n\
         compute.f = \"first(x)\"\ncompute.l = \"last(x)\"\n"
    );
    let aggregate = build_real_of::<Aggregate>(&config, &rows.batch, timed);
    let (mut expected, late) = cut_model(&rows, timed, window.contains("change"), |of_key| {
        cut(&rows, of_key)
    });
    if !timed {
        expected
            .iter_mut()
            .for_each(|window| (window.2, window.3) = (0, 0));
        rows.times.clear();
    }
    for drive in drives() {
        let timing = timed.then_some(Timing {
            times: &rows.times,
            rule: RULE,
        });
        let outcome = match drive.run_timed(aggregate.as_ref(), &rows.batch, timing) {
            Ok(outcome) => outcome,
            Err(error) => panic!("{window} {drive:?}: {error}"),
        };
        let found = cuts_of(&outcome.rows(), timed);
        assert_eq!(found.len(), expected.len(), "{window} {drive:?}");
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "{at} {window} {drive:?}");
        }
        let places: Vec<usize> = outcome
            .late
            .iter()
            .map(|late| late.place.expect("known").row() as usize)
            .collect();
        assert_eq!(places, late, "{window} {drive:?}");
    }
}

#[test]
fn sessions_are_those_of_the_model() {
    for (size, gap) in [(4, 0), (2, 0), (30, 100_000)] {
        let gap_of = size * SECOND;
        check_cut(
            &format!("{{ type = \"session\", gap = \"{size}s\" }}"),
            true,
            gap,
            |rows, of_key| {
                let mut windows = Vec::new();
                let mut start = 0;
                for at in 1..=of_key.len() {
                    let last = rows.times[of_key[at - 1]];
                    if at == of_key.len() || rows.times[of_key[at]] - last > gap_of {
                        windows.push((start, at, last + gap_of + 1, true));
                        start = at;
                    }
                }
                windows
            },
        );
    }
}

#[test]
fn counts_are_those_of_the_model() {
    for timed in [true, false] {
        for (size, every) in [(10, 10), (1, 1), (7, 3), (500, 500)] {
            let window = format!("{{ type = \"count\", size = {size}, every = {every} }}");
            check_cut(&window, timed, 0, |rows, of_key| {
                let starts = (0..of_key.len()).step_by(every);
                let window = |start: usize| {
                    let end = (start + size).min(of_key.len());
                    let last = of_key[end - 1];
                    let over = if timed { rows.times[last] } else { last as i64 };
                    (start, end, over, end - start == size)
                };
                starts.map(window).collect()
            });
        }
    }
}

#[test]
fn changes_are_those_of_the_model() {
    // The parity of x is what changes.
    for timed in [true, false] {
        check_cut(
            "{ type = \"change\", of = [\"odd\"] }",
            timed,
            0,
            |rows, of_key| {
                let odd = |at: usize| rows.values[of_key[at]] % 2;
                let mut windows = Vec::new();
                let mut start = 0;
                for at in 1..=of_key.len() {
                    if at == of_key.len() || odd(at) != odd(at - 1) {
                        let over = of_key[at.min(of_key.len() - 1)];
                        let over = if timed { rows.times[over] } else { over as i64 };
                        windows.push((start, at, over, true));
                        start = at;
                    }
                }
                windows
            },
        );
    }
}

#[test]
fn calls_that_mind_the_order_get_it_in_windows_of_time() {
    for (window, size, every) in [
        ("{ type = \"tumbling\", size = \"7s\" }", 7, 7),
        (
            "{ type = \"sliding\", size = \"20s\", every = \"4s\" }",
            20,
            4,
        ),
    ] {
        let rows = some_rows(500, 0);
        let config = format!(
            "by = [\"device\"]\nwindow = {window}\n{COMPUTE}compute.f = \"first(x)\"\ncompute.l = \"last(x)\"\n"
        );
        let aggregate = build_real::<Aggregate>(&config, &rows.batch);
        let (windows, late) = model(&rows, size * SECOND, every * SECOND, true);
        let timing = Timing {
            times: &rows.times,
            rule: RULE,
        };
        let first_last = |end: i64, start: i64, device: &Option<String>| {
            let mut of: Vec<usize> = (0..rows.times.len())
                .filter(|row| {
                    (start..end).contains(&rows.times[*row]) && rows.devices[*row] == *device
                })
                .filter(|row| {
                    let newest = rows.times[..*row].iter().max();
                    newest.is_none_or(|newest| end > newest - RULE.lateness)
                })
                .collect();
            of.sort_by_key(|row| (rows.times[*row], *row));
            (rows.values[of[0]], rows.values[of[of.len() - 1]])
        };
        let expected: Vec<(i64, i64)> = windows
            .iter()
            .map(|((end, _, device), window)| first_last(*end, window.0, device))
            .collect();
        for drive in drives() {
            let outcome = drive
                .run_timed(aggregate.as_ref(), &rows.batch, Some(timing))
                .expect("runs");
            let batch = outcome.rows();
            let of_model: Vec<_> = windows.clone().into_iter().collect();
            assert_eq!(of_batch(&batch, true), of_model, "{window} {drive:?}");
            let number = |name: &str| batch[name].as_primitive::<Int64Type>().values().to_vec();
            let found: Vec<(i64, i64)> = number("f").into_iter().zip(number("l")).collect();
            assert_eq!(found, expected, "{window} {drive:?}");
            assert_eq!(outcome.late.len(), late.len());
        }
    }
}

#[test]
fn rolling_windows_are_those_of_the_model() {
    for (size, rows_back, span, timed) in [
        ("1", Some(1), None, true),
        ("7", Some(7), None, true),
        ("100", Some(100), None, true),
        ("100", Some(100), None, false),
        ("\"10s\"", None, Some(10 * SECOND), true),
        ("\"2m\"", None, Some(120 * SECOND), true),
    ] {
        let mut rows = some_rows(600, if span.is_some() { 1000 } else { 0 });
        // Several rows of a key at one instant.
        rows.times
            .iter_mut()
            .for_each(|time| *time = time.div_euclid(SECOND) * SECOND);
        let config = format!(
            "by = [\"device\"]\nwindow = {{ type = \"rolling\", size = {size} }}\ncompute.n = \"count(*)\"\n\
             compute.s = \"sum(x)\"\ncompute.f = \"first(x)\"\ncompute.l = \"last(x)\"\ncompute.m = \"max(x)\"\n"
        );
        let aggregate = build_real_of::<Aggregate>(&config, &rows.batch, timed);
        let (keys, late) = in_order(&rows, timed);
        let mut expected = Vec::new();
        for ((null, device), of_key) in &keys {
            for (at, row) in of_key.iter().enumerate() {
                let time = rows.times[*row];
                let start = match (rows_back, span) {
                    (Some(back), _) => (at + 1usize).saturating_sub(back),
                    (_, Some(span)) => {
                        of_key.partition_point(|row| rows.times[*row] <= time - span)
                    }
                    _ => 0,
                };
                let window = &of_key[start..=at];
                let values = || window.iter().map(|row| rows.values[*row]);
                let order = if timed {
                    (time, *null, device.clone(), *row)
                } else {
                    (0, false, None, *row)
                };
                let of_window = (
                    *null,
                    device.clone(),
                    if timed { rows.times[window[0]] } else { 0 },
                    if timed { time } else { 0 },
                    window.len() as i64,
                    values().sum::<i64>(),
                    rows.values[window[0]],
                    rows.values[*row],
                    true,
                );
                expected.push((order, (of_window, values().max())));
            }
        }
        expected.sort();
        for drive in drives() {
            let timing = timed.then_some(Timing {
                times: &rows.times,
                rule: RULE,
            });
            let outcome = drive
                .run_timed(aggregate.as_ref(), &rows.batch, timing)
                .expect("runs");
            let batch = outcome.rows();
            let found = cuts_of(&batch, timed);
            let most = batch["m"].as_primitive::<Int64Type>();
            assert_eq!(found.len(), expected.len(), "{size} {drive:?}");
            for (at, (found, (_, expected))) in found.into_iter().zip(&expected).enumerate() {
                assert_eq!(
                    (found, Some(most.value(at))),
                    *expected,
                    "{at} {size} {drive:?}"
                );
            }
            assert_eq!(outcome.late.len(), late.len());
        }
    }
}
