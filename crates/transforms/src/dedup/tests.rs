//! `dedup` against a model that looks at all rows of a key.

use std::collections::{BTreeSet, HashMap};

use arrow_array::RecordBatch;
use dataflow_testkit::{Drive, Timing};

use super::Dedup;
use crate::fixtures::{SECOND, TimedRows, build, integers, problems, rows, untimed_problems};

/// The rows that stay, and the duplicates, both in the order in which they are to leave.
fn model(rows: &TimedRows, keys: bool, within: i64, last: bool) -> (Vec<usize>, Vec<usize>) {
    let (kept, _) = rows.in_order(keys);
    let mut of_key: HashMap<Option<String>, Vec<usize>> = HashMap::new();
    for row in &kept {
        let key = rows.devices[*row].clone().filter(|_| keys);
        of_key.entry(key).or_default().push(*row);
    }
    let (mut stays, mut followers) = (BTreeSet::new(), HashMap::new());
    for of_key in of_key.values() {
        let mut first: Option<i64> = None;
        for (at, row) in of_key.iter().enumerate() {
            let time = rows.times[*row];
            let follower = of_key
                .get(at + 1)
                .filter(|next| rows.times[**next] <= time + within);
            if last && let Some(next) = follower {
                followers.insert(*next, *row);
            }
            let stayed = match last {
                true => follower.is_none(),
                false => first.is_none_or(|first| time > first + within),
            };
            if stayed {
                first = Some(time);
                stays.insert(*row);
            }
        }
    }
    let duplicates = match last {
        true => kept
            .iter()
            .filter_map(|row| followers.get(row).copied())
            .collect(),
        false => kept
            .iter()
            .filter(|row| !stays.contains(row))
            .copied()
            .collect(),
    };
    let stays = kept.into_iter().filter(|row| stays.contains(row)).collect();
    (stays, duplicates)
}

fn ids(rows: &RecordBatch) -> Vec<usize> {
    let ids = integers(rows, "id").into_iter().flatten();
    ids.map(|id| id as usize).collect()
}

#[test]
fn rows_that_stay_are_those_of_the_model() {
    for (within, pause) in [(0, 0), (2, 0), (20, 0), (1000, 0), (3, 100_000)] {
        for (keep, keys) in [
            ("first", true),
            ("last", true),
            ("first", false),
            ("last", false),
        ] {
            let rows = TimedRows::new(700, pause);
            let by = if keys { "by = [\"device\"]\n" } else { "" };
            let config = format!("{by}within = \"{within}s\"\nkeep = \"{keep}\"");
            let dedup = build::<Dedup>(&config, &rows.batch);
            let (stays, duplicates) = model(&rows, keys, within * SECOND, keep == "last");
            assert!(!stays.is_empty() && !duplicates.is_empty());
            rows.run(dedup.as_ref(), |outcome, drive| {
                assert_eq!(ids(&outcome.rows()), stays, "{config} {drive:?}");
                assert_eq!(ids(&outcome.port(1)), duplicates, "{config} {drive:?}");
                for batch in outcome.ports[0].iter().chain(&outcome.ports[1]) {
                    let times = batch.times().expect("rows keep their times").at();
                    let of_rows = ids(batch.rows()).into_iter().map(|id| rows.times[id]);
                    assert_eq!(times.to_vec(), of_rows.collect::<Vec<_>>());
                }
            });
        }
    }
}

#[test]
fn keys_that_are_old_are_forgotten() {
    let long = "k".repeat(200);
    let lines: Vec<String> = (0..150_000).map(|i| format!("{i} {long}{i}")).collect();
    let input = rows(&format!("x:i64 k\n{}", lines.join("\n")));
    let times: Vec<i64> = (0..150_000).collect();
    let timing = Timing {
        times: &times,
        rule: Default::default(),
    };
    let drive = Drive {
        memory: 1 << 20,
        ..Drive::default()
    };
    for keep in ["first", "last"] {
        let config =
            |within: &str| format!("by = [\"k\"]\nwithin = \"{within}\"\nkeep = \"{keep}\"");
        let near = build::<Dedup>(&config("100ns"), &input);
        let outcome = drive.run_timed(near.as_ref(), &input, Some(timing));
        assert_eq!(outcome.expect("runs").rows().num_rows(), 150_000);
        let far = build::<Dedup>(&config("1h"), &input);
        let error = drive.run_timed(far.as_ref(), &input, Some(timing));
        let text = error.expect_err("too many").to_string();
        assert!(text.contains("keys take"), "{text}");
    }
}

#[test]
fn wrong_configurations_are_said() {
    let input = rows("device x:i64\na 1");
    for wrong in [
        "within = \"-1s\"",
        "",
        "within = \"1\"",
        "by = [\"z\"]\nwithin = \"1s\"",
        "within = \"1s\"\nkeep = \"middle\"",
    ] {
        assert_eq!(problems::<Dedup>(wrong, &input).len(), 1, "{wrong}");
    }
    let untimed = untimed_problems::<Dedup>("within = \"1s\"", &input);
    assert!(
        untimed[0].starts_with("`dedup` needs event time"),
        "{untimed:?}"
    );
}
