//! Windows of a fixed length that begin at fixed intervals.

use dataflow_core::time::{END, Instant};
use dataflow_core::window::Grid;

/// Windows that begin at the multiples of `every` behind an origin. Of those that end at or behind the last instant only the first
/// one is a window: it ends there, and holds what the others would.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fixed {
    /// How long a window is; positive.
    size: i64,
    /// From start to start; positive.
    every: i64,
    /// Starts divided by `every` leave this.
    starts: i64,
    /// Ends divided by `every` leave this.
    ends: i64,
}

impl Fixed {
    /// Windows of a size, one of which begins at the origin; none unless they have a length and advance.
    pub(crate) fn new(size: i64, every: i64, origin: i128) -> Option<Self> {
        if size <= 0 || every <= 0 {
            return None;
        }
        let rest = |time: i128| i64::try_from(time.rem_euclid(i128::from(every))).ok();
        Some(Self {
            size,
            every,
            starts: rest(origin)?,
            ends: rest(origin + i128::from(size))?,
        })
    }

    /// How far `time` is behind the last instant that leaves `rest` when it is divided by `every`.
    fn behind(&self, time: Instant, rest: i64) -> i64 {
        let behind = time.rem_euclid(self.every) - rest;
        if behind < 0 {
            behind + self.every
        } else {
            behind
        }
    }
}

impl Grid for Fixed {
    #[inline]
    fn ends(&self, time: Instant) -> Option<(Instant, Instant)> {
        // The last window that has begun; how much of it is left, and of those before it.
        let left = self.size - self.behind(time, self.starts);
        if left <= 0 {
            return None;
        }
        let least = match left <= self.every {
            true => left,
            false => (left - 1) % self.every + 1,
        };
        Some((time.saturating_add(least), time.saturating_add(left)))
    }

    #[inline]
    fn next(&self, end: Instant) -> Instant {
        end.saturating_add(self.every - self.behind(end, self.ends))
    }

    #[inline]
    fn start(&self, end: Instant) -> Instant {
        if end < END {
            return end.saturating_sub(self.size);
        }
        let behind = i128::from(self.behind(END, self.ends));
        let past = if behind == 0 {
            0
        } else {
            i128::from(self.every) - behind
        };
        super::clip(i128::from(END) + past - i128::from(self.size))
    }

    fn overlaps(&self) -> bool {
        self.size > self.every
    }
}
