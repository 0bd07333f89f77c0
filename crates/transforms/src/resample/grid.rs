//! The instants of a grid.

use dataflow_core::time::Instant;

/// Instants that are equally far apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) every: i64,
    /// How far the first instant that is not before 1970 is behind that.
    offset: i64,
}

impl Grid {
    /// Instants so many nanoseconds apart, so much later than those counted from 1970.
    pub(super) fn new(every: i64, offset: i64) -> Self {
        Self {
            every,
            offset: offset.rem_euclid(every),
        }
    }

    /// How far an instant is behind the last one of the grid that is not behind it.
    fn behind(&self, time: Instant) -> i64 {
        let behind = time.rem_euclid(self.every) - self.offset;
        if behind < 0 {
            behind + self.every
        } else {
            behind
        }
    }

    /// The first instant of the grid that is not before `time`; none if there is none.
    pub(super) fn from(&self, time: Instant) -> Option<Instant> {
        match self.behind(time) {
            0 => Some(time),
            behind => time.checked_add(self.every - behind),
        }
    }

    /// The last instant of the grid before `time`; none if there is none.
    pub(super) fn before(&self, time: Instant) -> Option<Instant> {
        let last = time.checked_sub(1)?;
        last.checked_sub(self.behind(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_found_on_either_side() {
        for (every, offset) in [(10, 0), (10, 3), (10, -3), (10, 25), (1, 0), (7, -100)] {
            let grid = Grid::new(every, offset);
            let is_on = |time: i64| (time - offset).rem_euclid(every) == 0;
            for time in -50..50 {
                let from = (time..).find(|t| is_on(*t));
                assert_eq!(grid.from(time), from, "{every} {offset} {time}");
                let before = (-100..time).rev().find(|t| is_on(*t));
                assert_eq!(grid.before(time), before, "{every} {offset} {time}");
            }
        }
    }

    #[test]
    fn there_is_nothing_outside_of_time() {
        let grid = Grid::new(1 << 40, 5);
        assert_eq!(grid.from(i64::MAX), None);
        assert_eq!(grid.before(i64::MIN), None);
        assert_eq!(grid.before(i64::MIN + 1), None);
    }
}
