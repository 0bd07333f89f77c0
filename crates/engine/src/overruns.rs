//! Too many bad rows in a component whose readers may have enough before the end: whether that fails the run.
//!
//! How far a source is read beyond what a `limit` needs is a matter of timing, and must not decide whether a run fails. So an
//! overrun waits until everybody is past the ticks before it, and counts only if somebody wanted the rows of its tick.

use std::collections::BTreeMap;

use dataflow_core::Error;

/// What was found at a tick.
struct Found {
    count: u64,
    /// The first bad row, by where it stood among those of the tick.
    first: (u64, Error),
}

/// The bad rows of a component, tick by tick.
#[derive(Default)]
pub struct Overruns {
    most: u64,
    pending: BTreeMap<u64, Found>,
    /// Bad rows of the ticks that are over, and the first of them all.
    count: u64,
    first: Option<Error>,
}

impl Overruns {
    /// So many bad rows are allowed.
    pub fn new(most: u64) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// Takes in bad rows of a tick; `error` is what would be said of the first of them, which stands at `index`.
    pub fn found(&mut self, tick: u64, count: u64, index: u64, error: impl FnOnce() -> Error) {
        match self.pending.get_mut(&tick) {
            Some(found) => {
                found.count += count;
                if index < found.first.0 {
                    found.first = (index, error());
                }
            }
            None => {
                let first = (index, error());
                self.pending.insert(tick, Found { count, first });
            }
        }
    }

    /// The bad rows of the ticks that are over.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Goes on from so many bad rows of an earlier run.
    pub fn resume(&mut self, count: u64) {
        self.count = count;
    }

    /// Judges the ticks before `before` (all, at the end), of which those up to `wanted` count. Returns how many bad rows there
    /// were when they became too many, and what to say of the first.
    pub fn judge(&mut self, before: Option<u64>, wanted: Option<u64>) -> Option<(u64, Error)> {
        while let Some(next) = self.pending.first_entry() {
            if before.is_some_and(|before| *next.key() >= before) {
                return None;
            }
            let (tick, found) = next.remove_entry();
            if wanted.is_some_and(|wanted| tick > wanted) {
                continue;
            }
            self.count += found.count;
            let first = self.first.get_or_insert(found.first.1);
            if self.count > self.most {
                return Some((self.count, first.clone()));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(overrun: Option<(u64, Error)>) -> Option<(u64, String)> {
        overrun.map(|(count, error)| (count, error.what().to_string()))
    }

    fn found(overruns: &mut Overruns, tick: u64, count: u64, index: u64) {
        overruns.found(tick, count, index, || {
            Error::data(format!("{tick}.{index}"))
        });
    }

    #[test]
    fn the_first_tick_with_too_many_counts_whatever_came_first() {
        let mut overruns = Overruns::new(2);
        found(&mut overruns, 5, 9, 0);
        found(&mut overruns, 3, 1, 7);
        found(&mut overruns, 3, 1, 4);
        assert_eq!(told(overruns.judge(Some(5), None)), None);
        assert_eq!(
            told(overruns.judge(Some(6), None)),
            Some((11, "3.4".into()))
        );
    }

    #[test]
    fn what_nobody_wanted_does_not_count() {
        let mut overruns = Overruns::new(0);
        found(&mut overruns, 8, 1, 0);
        assert_eq!(told(overruns.judge(Some(9), Some(7))), None);
        found(&mut overruns, 7, 1, 0);
        assert_eq!(told(overruns.judge(None, Some(7))), Some((1, "7.0".into())));
    }
}
