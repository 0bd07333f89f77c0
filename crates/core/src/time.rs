//! Event time: the instants that rows carry beside their columns, the newest one of a split, and which rows come too late.
//!
//! A row's *horizon* is the newest time before it in its split, less the lateness that its source allows. A window that ends at or
//! before the horizon of a row is closed for it, and a stage that takes rows in the order of their time has no place for a
//! row that is older than its horizon. So lateness is a matter of the data alone, and judged before any filter.

use arrow_buffer::ScalarBuffer;
use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970, UTC.
pub type Instant = i64;

/// No row is older: what is known of a stream before it began.
pub const BEGINNING: Instant = i64::MIN;

/// Every row is older: what is known of a stream that has ended.
pub const END: Instant = i64::MAX;

/// The event times of a batch's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    at: ScalarBuffer<i64>,
    /// Present only where some row is older than its horizon.
    horizons: Option<ScalarBuffer<i64>>,
}

impl Times {
    /// Times of rows none of which is older than its horizon.
    pub fn new(at: impl Into<ScalarBuffer<i64>>) -> Self {
        Self {
            at: at.into(),
            horizons: None,
        }
    }

    /// The same with the rows' horizons, where one of them is older than its own.
    #[must_use]
    pub fn with_horizons(mut self, horizons: Option<ScalarBuffer<i64>>) -> Self {
        self.horizons = horizons;
        self
    }

    /// The times, one per row.
    pub fn at(&self) -> &ScalarBuffer<i64> {
        &self.at
    }

    /// The horizons, one per row, if some row is older than its own.
    pub fn horizons(&self) -> Option<&ScalarBuffer<i64>> {
        self.horizons.as_ref()
    }

    /// The horizon of a row that may be older than it; [`BEGINNING`] where no row of the batch is.
    pub fn horizon(&self, row: usize) -> Instant {
        self.horizons.as_ref().map_or(BEGINNING, |each| each[row])
    }

    /// The times of the rows at `indices`.
    #[must_use]
    pub fn take(&self, indices: impl Iterator<Item = usize> + Clone) -> Self {
        let of = |each: &ScalarBuffer<i64>| indices.clone().map(|row| each[row]).collect();
        Self {
            at: of(&self.at),
            horizons: self.horizons.as_ref().map(of),
        }
    }

    /// The times of `length` rows from `offset`.
    #[must_use]
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        Self {
            at: self.at.slice(offset, length),
            horizons: self.horizons.as_ref().map(|h| h.slice(offset, length)),
        }
    }

    /// The times of rows of several batches: the batch and the row of each.
    #[must_use]
    pub fn interleave(parts: &[&Self], indices: &[(usize, usize)]) -> Self {
        let late = parts.iter().any(|times| times.horizons.is_some());
        let horizon = |(part, row): &(usize, usize)| parts[*part].horizon(*row);
        Self {
            at: indices
                .iter()
                .map(|(part, row)| parts[*part].at[*row])
                .collect(),
            horizons: late.then(|| indices.iter().map(horizon).collect()),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        8 * (self.at.len() + self.horizons.as_ref().map_or(0, |h| h.len()))
    }
}

/// What a source says of its event times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TimeRule {
    /// How much older than the newest time before it a row of a split may be, in nanoseconds.
    pub lateness: i64,
    /// A time that is further ahead of the newest one is believed only when [`BELIEVED`] rows in a row agree.
    pub max_future_skew: Option<i64>,
    /// A source that has said nothing for so long holds nobody's time back until it speaks again. Nanoseconds on the clock of the
    /// wall, which only live sources may look at.
    pub idle: Option<i64>,
}

/// So many rows in a row make a jump in time believable.
pub const BELIEVED: u32 = 16;

/// The newest time of a split so far. It is carried from piece to piece, in the split's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Newest {
    believed: Option<Instant>,
    /// A jump that is not believed yet: its first time, the newest one near it, and how many rows in a row were near it.
    jump: Option<(Instant, Instant, u32)>,
}

impl Newest {
    /// Nothing older than this comes from now on that is not late; [`BEGINNING`] before any time was believed.
    pub fn horizon(&self, rule: &TimeRule) -> Instant {
        self.believed
            .map_or(BEGINNING, |newest| newest.saturating_sub(rule.lateness))
    }

    /// What is known of the time where this goes on behind another: whichever has got further.
    #[must_use]
    pub fn behind(self, other: Self) -> Self {
        match self == Self::default() || other.believed > self.believed {
            true => other,
            false => self,
        }
    }

    /// The same without a jump that is not believed yet.
    #[must_use]
    pub fn believed(self) -> Self {
        Self { jump: None, ..self }
    }

    /// Sees the next rows of the split. Returns the horizon of each row, if one of them is older than its own.
    pub fn see(&mut self, times: &[Instant], rule: &TimeRule) -> Option<ScalarBuffer<i64>> {
        let before = *self;
        let mut behind = false;
        for time in times {
            behind |= *time < self.horizon(rule);
            self.one(*time, rule);
        }
        if !behind {
            return None;
        }
        let mut again = before;
        let horizons = times.iter().map(|time| {
            let horizon = again.horizon(rule);
            again.one(*time, rule);
            horizon
        });
        Some(horizons.collect())
    }

    #[inline]
    fn one(&mut self, time: Instant, rule: &TimeRule) {
        match (self.believed, rule.max_future_skew) {
            (Some(newest), _) if time <= newest => self.jump = None,
            (Some(newest), Some(skew)) if time > newest.saturating_add(skew) => {
                self.doubted(time, skew);
            }
            (None, Some(skew)) => self.doubted(time, skew),
            _ => {
                self.believed = Some(time);
                self.jump = None;
            }
        }
    }

    /// A time that is believed only when others agree.
    #[cold]
    fn doubted(&mut self, time: Instant, skew: i64) {
        let (first, newest, rows) = match self.jump {
            Some((first, newest, rows)) if time.abs_diff(first) <= skew.unsigned_abs() => {
                (first, newest.max(time), rows + 1)
            }
            _ => (time, time, 1),
        };
        if rows >= BELIEVED {
            self.believed = Some(newest);
            self.jump = None;
        } else {
            self.jump = Some((first, newest, rows));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: TimeRule = TimeRule {
        lateness: 5,
        max_future_skew: None,
        idle: None,
    };

    #[test]
    fn horizons_are_made_only_where_a_row_is_older() {
        let mut newest = Newest::default();
        assert_eq!(newest.see(&[10, 12, 8, 7], &RULE), None);
        assert_eq!(newest.horizon(&RULE), 7);
        let horizons = newest.see(&[6, 20, 14, 15], &RULE).expect("6 is old");
        assert_eq!(horizons.to_vec(), [7, 7, 15, 15]);
    }

    #[test]
    fn who_goes_on_behind_others_begins_with_the_newest_time_of_any() {
        let of = |times: &[i64]| {
            let mut newest = Newest::default();
            newest.see(times, &RULE);
            newest
        };
        assert_eq!(of(&[30, 10]).behind(of(&[20])), of(&[30]));
        assert_eq!(of(&[20]).behind(of(&[30])).horizon(&RULE), 25);
        // Files of a few rows are believed together.
        let rule = TimeRule {
            max_future_skew: Some(10),
            ..RULE
        };
        let mut all = Newest::default();
        for _ in 0..BELIEVED {
            let mut newest = Newest::default().behind(all);
            newest.see(&[7], &rule);
            all = newest;
        }
        assert_eq!(all.horizon(&rule), 2);
        assert_eq!(all.believed(), of(&[7]));
    }

    #[test]
    fn a_cut_anywhere_changes_nothing() {
        let times = [3, 1, 900, 4, -20, 5, 900, 901, 902, 903, 3, 7];
        let rules = [
            RULE,
            TimeRule {
                max_future_skew: Some(100),
                ..RULE
            },
        ];
        for rule in rules {
            let each = |newest: &mut Newest, times: &[i64]| match newest.see(times, &rule) {
                Some(horizons) => horizons.to_vec(),
                None => vec![BEGINNING; times.len()],
            };
            let late = |horizons: Vec<i64>| -> Vec<bool> {
                times.iter().zip(horizons).map(|(t, h)| *t < h).collect()
            };
            let mut whole = Newest::default();
            let expected = late(each(&mut whole, &times));
            for cut in 0..times.len() {
                let mut newest = Newest::default();
                let mut horizons = each(&mut newest, &times[..cut]);
                horizons.extend(each(&mut newest, &times[cut..]));
                assert_eq!(late(horizons), expected, "cut at {cut}");
                assert_eq!(newest, whole);
            }
        }
    }

    #[test]
    fn a_jump_is_believed_when_sixteen_rows_agree() {
        let rule = TimeRule {
            lateness: 0,
            max_future_skew: Some(10),
            idle: None,
        };
        let settled: Vec<i64> = (0..16).collect();
        let mut newest = Newest::default();
        newest.see(&settled[..15], &rule);
        assert_eq!(newest.horizon(&rule), BEGINNING);
        // The first time is 0: what is further than 10 from it starts the count anew.
        newest.see(&settled[15..], &rule);
        assert_eq!(newest.horizon(&rule), BEGINNING);
        let mut newest = Newest::default();
        newest.see(&[5; 16], &rule);
        assert_eq!(newest.horizon(&rule), 5);
        newest.see(&[1_000_000; 15], &rule);
        assert_eq!(newest.horizon(&rule), 5);
        newest.see(&[6], &rule);
        newest.see(&[1_000_000; 15], &rule);
        assert_eq!(newest.horizon(&rule), 6);
        newest.see(&[1_000_003], &rule);
        assert_eq!(newest.horizon(&rule), 1_000_003);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut newest = Newest::default();
        newest.see(&[i64::MIN, i64::MAX], &RULE);
        assert_eq!(newest.horizon(&RULE), i64::MAX - 5);
        let mut newest = Newest::default();
        newest.see(&[i64::MIN], &RULE);
        assert_eq!(newest.horizon(&RULE), i64::MIN);
    }

    #[test]
    fn taking_and_slicing_keep_horizons() {
        let times = Times::new(vec![1, 2, 3]).with_horizons(Some(vec![7, 8, 9].into()));
        let taken = times.take([2, 0].into_iter());
        assert_eq!((taken.at().to_vec(), taken.horizon(1)), (vec![3, 1], 7));
        assert_eq!(times.slice(1, 2).horizon(0), 8);
        assert_eq!(Times::new(vec![1]).horizon(0), BEGINNING);
    }
}
