//! Holds the pieces of a source back until their rows are due, so that no more leave in a second than its `rate` says.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use dataflow_core::Piece;
use dataflow_core::units::Rate;

use super::WallTime;
use crate::abort::lock;

/// So much of what was missed, because nobody took rows, is made up for: threads do not wake to the microsecond.
const MADE_UP_FOR: Duration = Duration::from_millis(100);

/// That somebody wants the rows of a source, as long as this is there. A channel would do, but whoever waits at one looks around for
/// some time before it sleeps.
#[derive(Default)]
pub(super) struct Wants(Arc<Wanted>);

#[derive(Default)]
struct Wanted {
    over: Mutex<bool>,
    changed: Condvar,
}

impl Drop for Wants {
    fn drop(&mut self) {
        *lock(&self.0.over) = true;
        self.0.changed.notify_all();
    }
}

/// When the rows of a source are due.
pub(super) struct Pace {
    rate: Rate,
    /// When the next piece is.
    due: WallTime,
    wanted: Arc<Wanted>,
}

impl Pace {
    /// The first piece is due at once.
    pub fn new(rate: Rate, wants: &Wants) -> Self {
        Self {
            rate,
            due: WallTime::now(),
            wanted: Arc::clone(&wants.0),
        }
    }

    /// Sleeps until a piece is due of which the rows before `from` have been read. Returns whether somebody still wants it.
    pub fn wait(&mut self, piece: &Piece, from: u64) -> bool {
        let left = self.due.saturating_duration_since(WallTime::now());
        let over = lock(&self.wanted.over);
        let waited = (self.wanted.changed).wait_timeout_while(over, left, |over| !*over);
        // Behind the lock is a word that is always whole.
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return false;
        }
        let rows = piece.rows.unwrap_or(0);
        let new = (piece.first.row() + rows).saturating_sub(from).min(rows);
        let lasts = Duration::try_from_secs_f64(new as f64 / self.rate.per_second);
        let earliest = WallTime::now().checked_sub(MADE_UP_FOR);
        let since = earliest.map_or(self.due, |earliest| self.due.max(earliest));
        // What is due after the end of time is never due; a year is as good.
        let lasts = lasts.unwrap_or(YEAR).min(YEAR);
        self.due = since + lasts;
        true
    }
}

const YEAR: Duration = Duration::from_secs(365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use dataflow_core::Place;

    fn piece(first: u64, rows: u64) -> Piece {
        Piece {
            split: 0,
            first: Place(first),
            rows: Some(rows),
            start: first,
            end: first + rows,
            text: None,
            bytes: 0,
            input_bytes: 0,
            unfinished: false,
        }
    }

    fn rate(text: &str) -> Rate {
        text.parse().expect("a rate")
    }

    #[test]
    fn rows_leave_when_they_are_due_and_those_that_were_read_cost_nothing() {
        let wants = Wants::default();
        let began = WallTime::now();
        let mut pace = Pace::new(rate("200/s"), &wants);
        assert!(pace.wait(&piece(0, 20), 20));
        assert!(pace.wait(&piece(20, 20), 30));
        assert!(began.elapsed() < Duration::from_millis(50));
        assert!(pace.wait(&piece(40, 20), 30));
        // Ten rows of the piece before were new.
        assert!(began.elapsed() >= Duration::from_millis(50));
        assert!(pace.wait(&piece(60, 20), 30));
        assert!(began.elapsed() >= Duration::from_millis(150));
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let wants = Wants::default();
        let mut pace = Pace::new(rate("100/s"), &wants);
        pace.due = WallTime::now() - Duration::from_millis(500);
        pace.wait(&piece(0, 20), 0);
        let began = WallTime::now();
        pace.wait(&piece(20, 20), 0);
        pace.wait(&piece(40, 20), 0);
        assert!(began.elapsed() >= Duration::from_millis(250));
    }

    #[test]
    fn nobody_waits_for_rows_that_nobody_wants() {
        let wants = Wants::default();
        let mut pace = Pace::new(rate("0.001/s"), &wants);
        assert!(pace.wait(&piece(0, 10), 0));
        let late = std::thread::spawn(move || pace.wait(&piece(10, 10), 0));
        drop(wants);
        assert!(!late.join().expect("it ends"));
    }
}
