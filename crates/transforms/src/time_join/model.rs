//! For the tests of joins over event time: random rows in disorder, and which of them may be joined at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use dataflow_core::{TimeRule, Transform};
use dataflow_testkit::{Drive, Outcome, Side, Timing};

use crate::fixtures::drives;

/// A unit of time in which many rows coincide.
pub(crate) const TICK: i64 = 1_000_000_000;

/// Rows of one side, each with its number, its time and its key.
pub(crate) struct Rows {
    pub(crate) batch: RecordBatch,
    pub(crate) times: Vec<i64>,
    pub(crate) keys: Vec<Option<usize>>,
    pub(crate) rule: TimeRule,
}

/// A row that takes part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) row: usize,
    pub(crate) time: i64,
    pub(crate) key: Option<usize>,
}

/// How rows are made.
#[derive(Clone, Copy)]
pub(crate) struct Made {
    pub(crate) seed: u64,
    pub(crate) rows: i64,
    /// Ticks from row to row.
    pub(crate) every: i64,
    /// Keys from here to there, as a range.
    pub(crate) keys: (usize, usize),
    /// How many ticks late rows may be.
    pub(crate) lateness: i64,
    pub(crate) dictionary: bool,
}

/// The names of keys do not sort as their numbers do.
fn name(key: usize) -> String {
    format!("k{}", (key * 7) % 10)
}

/// Random rows; one of twenty is far behind.
pub(crate) fn made(made: Made, number: &str) -> Rows {
    let mut seed = made.seed;
    let mut random = |below: u64| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((seed >> 33) % below) as i64
    };
    let (mut times, mut keys) = (Vec::new(), Vec::new());
    for row in 0..made.rows {
        let behind = match random(20) {
            0 => random(3 * made.lateness as u64 + 20),
            _ => random(4),
        };
        let between = if random(10) == 0 { random(1000) } else { 0 };
        times.push((row * made.every / 4 - behind - 50) * TICK + between);
        let key = made.keys.0 + random((made.keys.1 - made.keys.0) as u64 + 1) as usize;
        keys.push((key < made.keys.1).then_some(key));
    }
    let texts: Vec<Option<String>> = keys.iter().map(|key| key.map(name)).collect();
    let key: ArrayRef = match made.dictionary {
        true => {
            let texts = texts.iter().map(|text| text.as_deref());
            Arc::new(texts.collect::<DictionaryArray<Int32Type>>())
        }
        false => Arc::new(StringArray::from(texts)),
    };
    let zeros = keys.iter().map(|key| match key {
        Some(key) if key % 2 == 0 => Some(if made.dictionary { 0.0 } else { -0.0 }),
        Some(_) => Some(if made.dictionary { f64::NAN } else { -f64::NAN }),
        None => None,
    });
    let numbers = Int64Array::from_iter_values(0..made.rows);
    let texts = StringArray::from_iter_values((0..made.rows).map(|row| format!("text {row}")));
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("key", key, true),
        (
            "sign",
            Arc::new(zeros.collect::<Float64Array>()) as ArrayRef,
            true,
        ),
        (number, Arc::new(numbers) as ArrayRef, false),
        ("text", Arc::new(texts) as ArrayRef, false),
    ])
    .expect("columns");
    Rows {
        batch,
        times,
        keys,
        rule: TimeRule {
            lateness: made.lateness * TICK,
            max_future_skew: None,
            idle: None,
        },
    }
}

impl Rows {
    /// Rows that happened a tick apart.
    pub(crate) fn at_ticks(batch: RecordBatch) -> Self {
        let rows = 0..batch.num_rows();
        Self {
            times: rows.clone().map(|row| row as i64 * TICK).collect(),
            keys: rows.map(|_| None).collect(),
            rule: TimeRule::default(),
            batch,
        }
    }

    pub(crate) fn side(&self) -> Side<'_> {
        Side {
            rows: &self.batch,
            timing: Some(Timing {
                times: &self.times,
                rule: self.rule,
            }),
        }
    }

    /// The rows that are not late, in the order of (time, key, row), and those that are.
    pub(crate) fn kept(&self, by_key: bool) -> (Vec<Row>, Vec<usize>) {
        let (mut kept, mut late) = (Vec::new(), Vec::new());
        let mut newest: Option<i64> = None;
        for (row, time) in self.times.iter().enumerate() {
            match newest.is_some_and(|newest| *time < newest - self.rule.lateness) {
                true => late.push(row),
                false => kept.push(Row {
                    row,
                    time: *time,
                    key: self.keys[row],
                }),
            }
            newest = newest.max(Some(*time));
        }
        let key = |row: &Row| {
            let key = row.key.filter(|_| by_key).map(name);
            (row.time, by_key && row.key.is_none(), key, row.row)
        };
        kept.sort_by_key(key);
        (kept, late)
    }
}

/// Runs a join in every way, and hands what came out to a check.
pub(crate) fn in_every_way(
    join: &dyn Transform,
    main: &Rows,
    table: &Rows,
    check: impl Fn(&Outcome, &str),
) {
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
        let outcome = match drive.run_sides(join, &[main.side(), table.side()]) {
            Ok(outcome) => outcome,
            Err(error) => panic!("{drive:?}: {error}"),
        };
        check(&outcome, &format!("{drive:?}"));
        spilled += outcome.spilled_runs;
        late_rows(&outcome, main, table);
    }
    assert!(spilled > 0, "memory was short");
}

fn late_rows(outcome: &Outcome, main: &Rows, table: &Rows) {
    let mut expected = BTreeSet::new();
    for (whose, rows) in [
        ("a row of `before`", main),
        ("a row of the table `table`", table),
    ] {
        let late = rows.kept(true).1.into_iter();
        expected.extend(late.map(|row| (whose.to_string(), row, rows.times[row])));
    }
    let found = outcome.late.iter().map(|late| {
        assert_eq!(late.reason, "late");
        let whose = late.message.split(": ").next().unwrap_or_default();
        let row = late.place.expect("known").row() as usize;
        (whose.to_string(), row, late.time.expect("known"))
    });
    let found: Vec<_> = found.collect();
    assert_eq!(found.len(), expected.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
}
