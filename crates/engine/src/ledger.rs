//! The ledger of a component: which of its rows were bad, in the stream's order, and the first row at which they were too many.
//!
//! Rows are told as they come, tick by tick; the verdict is on the stream. A prefix of it can only come to have too many
//! bad rows at a bad row, when it reaches the number of rows from which on a share is judged, or at the end of a short
//! stream. Inputs of a union follow each other in the stream and arrive side by side: the rows of the first are judged
//! as their ticks retire, those of the others are summed up and judged at the end of the run. Memory is bounded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A share of bad rows means something only over so many rows.
const JUDGED_AFTER: u64 = 1000;
/// Shares are compared in whole billionths, so that no rounding decides.
const WHOLE: i128 = 1_000_000_000;
/// Where one input keeps more peaks than this, every second one is forgotten.
const MOST_PEAKS: usize = 1 << 16;

/// A prefix of the stream: its rows, and how many of them are bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    /// The rows, bad ones included.
    pub rows: u64,
    /// The bad ones.
    pub bad: u64,
}

impl Prefix {
    fn and(self, more: Self) -> Self {
        Self {
            rows: self.rows + more.rows,
            bad: self.bad + more.bad,
        }
    }

    /// By how much there are too many bad rows, in billionths of a row.
    fn height(self, share: i128) -> i128 {
        i128::from(self.bad) * WHOLE - share * i128::from(self.rows)
    }
}

/// Rows of one lane that came at one tick.
#[derive(Default)]
struct Stretch {
    rows: u64,
    /// Where among them the bad ones stand.
    bad: Vec<u64>,
}

/// One input of a union, or the only input.
#[derive(Default)]
struct Lane {
    pending: BTreeMap<u64, Stretch>,
    course: Course,
}

/// Rows and bad rows of one component.
pub struct Ledger {
    share: i128,
    lanes: BTreeMap<u32, Lane>,
    /// Rows of which nobody knows where they stand: results. They count as the last ones.
    apart: Prefix,
    /// Those of ticks that are not over.
    apart_pending: BTreeMap<u64, Prefix>,
}

/// What a ledger holds of the ticks that are over.
#[derive(Default, Serialize, Deserialize)]
pub struct Retired {
    lanes: BTreeMap<u32, Course>,
    apart: Prefix,
}

impl Ledger {
    /// A ledger of a component that allows this share of bad rows.
    pub fn new(share: f64) -> Self {
        Self {
            share: (share * WHOLE as f64).round() as i128,
            lanes: BTreeMap::new(),
            apart: Prefix::default(),
            apart_pending: BTreeMap::new(),
        }
    }

    /// What is known of the rows of the ticks before `limit`, all of which have been told.
    pub fn retired(&mut self, limit: u64) -> Retired {
        self.retire(|tick| tick < limit);
        let lanes = self.lanes.iter();
        Retired {
            lanes: lanes.map(|(lane, of)| (*lane, of.course.clone())).collect(),
            apart: self.apart,
        }
    }

    /// Goes on from what an earlier run knew.
    pub fn resume(&mut self, retired: Retired) {
        self.apart = retired.apart;
        for (lane, course) in retired.lanes {
            self.lanes.entry(lane).or_default().course = course;
        }
    }

    /// Takes in rows of a lane that came at a tick, behind those that came at it before; returns how many those were.
    pub fn rows(&mut self, lane: Option<u32>, tick: u64, rows: u64) -> u64 {
        let Some(lane) = lane else {
            self.apart_pending.entry(tick).or_default().rows += rows;
            return 0;
        };
        let stretch = self.stretch(lane, tick);
        stretch.rows += rows;
        stretch.rows - rows
    }

    /// Takes in that rows are bad, by their indices among those of the lane at the tick.
    pub fn bad(&mut self, lane: Option<u32>, tick: u64, rows: impl Iterator<Item = u64>) {
        match lane {
            None => self.apart_pending.entry(tick).or_default().bad += rows.count() as u64,
            Some(lane) => self.stretch(lane, tick).bad.extend(rows),
        }
    }

    fn stretch(&mut self, lane: u32, tick: u64) -> &mut Stretch {
        let lane = self.lanes.entry(lane).or_default();
        lane.pending.entry(tick).or_default()
    }

    /// The first prefix with too many bad rows among the rows of the ticks before this one.
    pub fn judge(&mut self, before: u64) -> Option<Prefix> {
        if !self.retire(|tick| tick < before) {
            return None;
        }
        let first = self.lanes.get(&0)?;
        first.course.first_over(Prefix::default(), self.share)
    }

    /// The first prefix of the whole stream, or of its ticks up to `wanted`, with too many bad rows; a short stream is
    /// judged too.
    pub fn close(&mut self, wanted: Option<u64>) -> Option<Prefix> {
        self.retire(|tick| wanted.is_none_or(|wanted| tick <= wanted));
        let mut before = Prefix::default();
        for lane in self.lanes.values() {
            if let Some(over) = lane.course.first_over(before, self.share) {
                return Some(over);
            }
            before = before.and(lane.course.all);
        }
        let all = before.and(self.apart);
        (all.height(self.share) > 0).then_some(all)
    }

    /// Hands ticks over to the courses of their lanes; whether there were any.
    fn retire(&mut self, is_over: impl Fn(u64) -> bool) -> bool {
        let mut any = false;
        while let Some(first) = self.apart_pending.first_entry()
            && is_over(*first.key())
        {
            self.apart = self.apart.and(first.remove());
        }
        for lane in self.lanes.values_mut() {
            while let Some(first) = lane.pending.first_entry()
                && is_over(*first.key())
            {
                lane.course.push(first.remove(), self.share);
                any = true;
            }
        }
        any
    }
}

/// The rows of a lane so far, summed up such that it can be told later, when the rows in front of the lane are known, where
/// there came to be too many bad ones.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Course {
    all: Prefix,
    /// The bad rows among the first thousand, by their index.
    early: Vec<u64>,
    /// Prefixes behind those that are higher than any before: only at one of them too many can be reached.
    peaks: Vec<Prefix>,
    /// The highest peak, kept however many there are.
    highest: Option<Prefix>,
    /// Peaks so far, and every how many of them one is kept.
    seen: u64,
    step: u64,
}

impl Course {
    fn push(&mut self, mut stretch: Stretch, share: i128) {
        stretch.bad.sort_unstable();
        for index in stretch.bad {
            self.all.bad += 1;
            let at = Prefix {
                rows: self.all.rows + index + 1,
                bad: self.all.bad,
            };
            if at.rows <= JUDGED_AFTER {
                self.early.push(at.rows - 1);
            } else if self
                .highest
                .is_none_or(|highest| highest.height(share) < at.height(share))
            {
                self.peak(at);
            }
        }
        self.all.rows += stretch.rows;
    }

    fn peak(&mut self, peak: Prefix) {
        self.highest = Some(peak);
        self.step = self.step.max(1);
        if self.seen.is_multiple_of(self.step) {
            self.peaks.push(peak);
        }
        self.seen += 1;
        if self.peaks.len() == MOST_PEAKS {
            let mut keep = [true, false].into_iter().cycle();
            self.peaks.retain(|_| keep.next() == Some(true));
            self.step *= 2;
        }
    }

    /// The first prefix of the stream that ends here and has too many bad rows, when these rows are in front.
    fn first_over(&self, before: Prefix, share: i128) -> Option<Prefix> {
        let early = (1..).zip(&self.early);
        let early = early.map(|(bad, index)| Prefix {
            rows: index + 1,
            bad,
        });
        let candidates = self.start(before).into_iter().chain(early);
        candidates
            .chain(self.peaks.iter().copied())
            .chain(self.highest)
            .map(|here| before.and(here))
            .find(|prefix| prefix.rows >= JUDGED_AFTER && prefix.height(share) > 0)
    }

    /// The prefix with which the stream becomes long enough to be judged, if it does so here.
    fn start(&self, before: Prefix) -> Option<Prefix> {
        let rows = JUDGED_AFTER.checked_sub(before.rows)?;
        (1..=self.all.rows).contains(&rows).then(|| Prefix {
            rows,
            bad: self.early.partition_point(|index| *index < rows) as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: every prefix, row by row.
    fn by_definition(bad: &[bool], share: f64) -> Option<Prefix> {
        let mut at = Prefix::default();
        for bad in bad {
            at = at.and(Prefix {
                rows: 1,
                bad: u64::from(*bad),
            });
            let over = at.bad as f64 > (share * at.rows as f64) + 1e-9;
            if over && at.rows >= JUDGED_AFTER {
                return Some(at);
            }
        }
        let over = at.bad as f64 > share * at.rows as f64 + 1e-9;
        over.then_some(at)
    }

    /// Rows told in pieces of these sizes, of which `lanes` make the stream; the last lanes come first.
    fn told(bad: &[bool], share: f64, piece: usize, lanes: usize) -> Option<Prefix> {
        let mut ledger = Ledger::new(share);
        let mut tick = 0;
        let parts: Vec<&[bool]> = bad.chunks(bad.len().div_ceil(lanes).max(1)).collect();
        for (lane, part) in parts.into_iter().enumerate().rev() {
            for rows in part.chunks(piece) {
                // Batches of a tick.
                for batch in rows.chunks(piece.div_ceil(3)) {
                    let lane = Some(lane as u32);
                    let first = ledger.rows(lane, tick, batch.len() as u64);
                    let bad = (first..).zip(batch).filter(|(_, bad)| **bad);
                    let bad: Vec<u64> = bad.map(|(at, _)| at).collect();
                    ledger.bad(lane, tick, bad.into_iter());
                }
                tick += 1;
                if let Some(over) = ledger.judge(tick) {
                    return Some(over);
                }
            }
        }
        ledger.close(None)
    }

    /// Rows of which about this share is bad, always the same.
    fn rows(rows: u64, share: f64, seed: u64) -> Vec<bool> {
        let mut state = seed * 2 + 1;
        let mut next = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f64 / (1u64 << 24) as f64
        };
        (0..rows).map(|_| next() < share).collect()
    }

    #[test]
    fn the_verdict_is_that_of_the_definition_however_rows_are_cut() {
        let mut stopped = 0;
        for seed in 0..40 {
            for (count, share) in [(0, 0.01), (900, 0.01), (1000, 0.01), (5000, 0.0095)] {
                let rows = rows(count, share, seed);
                let expected = by_definition(&rows, 0.01);
                stopped += usize::from(expected.is_some());
                for (piece, lanes) in [(1, 1), (7, 1), (999, 1), (9999, 1), (1, 2), (450, 3)] {
                    let found = told(&rows, 0.01, piece, lanes);
                    assert_eq!(
                        found, expected,
                        "seed {seed}, pieces of {piece}, {lanes} lanes"
                    );
                }
            }
        }
        assert!(
            (20..140).contains(&stopped),
            "{stopped} of 160 were stopped"
        );
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        let mut rows = vec![false; 2000];
        rows[..10].fill(true);
        assert_eq!(told(&rows, 0.01, 64, 1), None);
        rows[999] = true;
        let at_once = Prefix {
            rows: 1000,
            bad: 11,
        };
        assert_eq!(told(&rows, 0.01, 64, 1), Some(at_once));
    }

    #[test]
    fn results_count_as_the_last_rows() {
        let mut ledger = Ledger::new(0.5);
        ledger.rows(None, 7, 10);
        ledger.bad(None, 7, 0..9);
        assert_eq!(ledger.judge(8), None);
        ledger.rows(Some(0), 3, 4);
        assert_eq!(ledger.close(None), Some(Prefix { rows: 14, bad: 9 }));
    }

    #[test]
    fn a_second_input_full_of_bad_rows_is_kept_in_bounded_memory() {
        let mut ledger = Ledger::new(0.25);
        for tick in 0..10 {
            ledger.rows(Some(1), tick, 100_000);
            ledger.bad(Some(1), tick, 0..100_000);
            assert_eq!(ledger.judge(tick + 1), None);
        }
        let course = &ledger.lanes[&1].course;
        assert!(course.peaks.len() < MOST_PEAKS && course.step > 1);
        ledger.rows(Some(0), 10, 2_999_999);
        // Only the last row is one too many, and it is found.
        let last = Prefix {
            rows: 3_999_999,
            bad: 1_000_000,
        };
        assert_eq!(ledger.close(None), Some(last));
    }
}
