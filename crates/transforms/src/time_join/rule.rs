//! Which of the table's rows match a row: one near it in time, or all within a span around it.

use dataflow_core::time::Instant;

use super::held::{Held, NONE, Pointer};

/// Which of the table's rows match.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// The nearest one.
    Nearest(Nearest),
    /// All from `before` before the row to `after` after it, both included.
    Within {
        /// How much older they may be.
        before: i64,
        /// How much newer they may be.
        after: i64,
    },
}

/// Where the nearest row is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nearest {
    /// Among those that are not newer.
    pub(crate) backward: bool,
    /// Among those that are not older.
    pub(crate) forward: bool,
    /// Whether equal times count.
    pub(crate) exact: bool,
    /// How far away it may be.
    pub(crate) tolerance: Option<i64>,
}

/// What is known of the match of a row.
pub(super) enum Found {
    /// This row, or none.
    Is(u32),
    /// One of the table's rows up to this time may be it.
    Until(Instant),
}

impl Rule {
    /// How long a row waits after its time until all rows that may match it have come; none if that is never sure.
    pub(crate) fn wait(&self) -> Option<i64> {
        match self {
            Self::Nearest(nearest) if !nearest.forward => Some(0),
            Self::Nearest(nearest) => nearest.tolerance,
            Self::Within { after, .. } => Some((*after).max(0)),
        }
    }

    /// Whether the table's rows can wait where they take no memory until it is known that they are needed.
    pub(super) fn looks_ahead(&self) -> bool {
        matches!(self, Self::Nearest(nearest) if nearest.forward)
    }

    /// Whether a row of the table that happened at `time`, with the next one of its key at `next`, can match a row of the main side
    /// that happened at `from` or later.
    pub(super) fn needs(&self, time: Instant, next: Option<Instant>, from: Instant) -> bool {
        match self {
            Self::Nearest(nearest) => {
                let replaced = next.is_some_and(|next| next < from);
                let near = nearest.tolerance.unwrap_or(i64::MAX);
                let backward = nearest.backward && !replaced && time >= from.saturating_sub(near);
                backward || time >= from
            }
            Self::Within { before, .. } => time >= from.saturating_sub(*before),
        }
    }
}

impl Nearest {
    /// The row that matches. Times must not go back; `known` is how far the table's rows are there, or none if all are.
    #[inline]
    pub(super) fn find(
        &self,
        held: &mut Held,
        key: u32,
        time: Instant,
        known: Option<Instant>,
    ) -> Found {
        let tolerance = self.tolerance.unwrap_or(i64::MAX);
        let mut best = NONE;
        let mut most = tolerance;
        if self.backward {
            let last = held.last_before(Pointer::Low, key, time, self.exact);
            if last != NONE {
                let distance = time.saturating_sub(held.time(last));
                if distance <= tolerance {
                    best = last;
                    // At the same distance the earlier one counts.
                    most = distance - 1;
                }
            }
        }
        if !self.forward || most < 0 {
            return Found::Is(best);
        }
        let before = held.last_before(Pointer::High, key, time, !self.exact);
        let next = held.behind(key, before);
        if next != NONE {
            let near = held.time(next).saturating_sub(time) <= most;
            return Found::Is(if near { next } else { best });
        }
        let until = time.saturating_add(most);
        match known {
            Some(known) if known <= until => Found::Until(until),
            _ => Found::Is(best),
        }
    }
}
