//! The desk's part in snapshots: when an epoch ends, and how far everything was read then.

use super::*;

/// Where nothing happens, nothing is different in another snapshot. One more is made, since sinks publish what the one before made durable.
const AS_IT_WAS: u32 = 1;

/// What the desk is doing about snapshots.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Cutting {
    /// Nothing, until the next one is due.
    Until(Due),
    /// Waiting until everything before this tick has been read.
    Before(u64),
    /// Waiting until the snapshot is durable.
    Durable,
    /// Everything has been read, and the last snapshot is durable.
    Over,
}

/// When the next snapshot begins.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Due {
    /// At this time.
    At(WallTime),
    /// When so many rows have been admitted.
    Rows(u64),
}

impl Due {
    /// The next one, when so many rows have been admitted.
    pub(super) fn next(every: Every, admitted: u64) -> Self {
        match every {
            Every::Rows(rows) => Self::Rows(admitted.saturating_add(rows)),
            Every::Time(time) => Self::At(WallTime::now() + time.to_std()),
        }
    }
}

impl Desk {
    /// Begins the next epoch when a snapshot is due, or when everything has been read; hands in how far that was.
    pub(super) fn cut(&mut self, activation: &mut Activation<'_>) {
        let Some((snapshots, every)) = self.setup.snapshots.clone() else {
            return;
        };
        let Some(alarm) = self.alarm.as_ref() else {
            return;
        };
        let (at_end, pauses) = (self.is_at_end(), self.pauses());
        match self.cutting {
            Cutting::Until(_) if self.still_for() > AS_IT_WAS && !at_end && !pauses => {}
            Cutting::Until(due) if at_end || pauses || self.is_due(due) => {
                snapshots.begun();
                self.still = self.still_for();
                (self.pausing, self.finishing) = (pauses, at_end);
                self.epoch += 1;
                self.next_tick = first_of(self.epoch);
                self.admitted_before = self.admitted;
                self.watermarks_before.clone_from(&self.watermarks);
                self.cutting = Cutting::Before(self.next_tick);
                // Where rows had to wait for this, they go on.
                self.start.again.activate();
            }
            Cutting::Until(Due::At(due)) => alarm.at(due),
            Cutting::Until(Due::Rows(_)) => {}
            Cutting::Before(limit)
                if !activation.may_come(1, limit - 1) && !activation.may_come(0, limit - 1) =>
            {
                let facts = self.facts(limit);
                self.cutting = Cutting::Durable;
                if let Err(error) = snapshots.hand_in_facts(self.epoch - 1, facts) {
                    self.setup.abort.raise(error);
                }
            }
            Cutting::Durable => match snapshots.is_durable() {
                Some(Ok(())) if self.pausing => {
                    let error = Error::new(Fault::Paused, "stopped");
                    self.setup.abort.raise(error);
                }
                Some(Ok(())) if self.finishing => {
                    self.cutting = Cutting::Over;
                    self.start.again.activate();
                }
                Some(Ok(())) => {
                    self.cutting = Cutting::Until(Due::next(every, self.admitted_before));
                    self.start.again.activate();
                }
                Some(Err(error)) => self.setup.abort.raise(error),
                None => {}
            },
            Cutting::Before(_) | Cutting::Over => {}
        }
    }

    /// How many snapshots would have been begun since something happened, with one that is begun now.
    fn still_for(&self) -> u32 {
        match self.next_tick == first_of(self.epoch) {
            true => self.still + 1,
            false => 0,
        }
    }

    fn is_due(&self, due: Due) -> bool {
        match due {
            Due::At(time) => time <= WallTime::now(),
            Due::Rows(rows) => self.admitted >= rows,
        }
    }

    /// Whether so many rows have been admitted that the others belong behind a snapshot.
    pub(super) fn is_due_by_rows(&self) -> bool {
        let possible = self.setup.snapshots.is_some();
        possible && matches!(self.cutting, Cutting::Until(due @ Due::Rows(_)) if self.is_due(due))
    }

    /// Whether the run is to stop behind the next snapshot.
    pub(super) fn pauses(&self) -> bool {
        let possible = self.setup.snapshots.is_some() && self.cutting != Cutting::Over;
        possible && self.setup.pause.is_asked()
    }

    /// Whether all that there is to read has been read: the sources that have not ended are about to.
    pub(super) fn is_at_end(&self) -> bool {
        let mut left = self.open.iter().filter(|open| open.right.is_some());
        left.all(|open| {
            let unwanted = self.setup.demand.is_done(open.node);
            let reads = open.clock.as_ref().is_some_and(Clock::is_reading);
            !reads && (unwanted || (open.ended && open.next.is_none()))
        })
    }

    /// How far everything has been read at a tick.
    fn facts(&mut self, limit: u64) -> Facts {
        self.judge(Some(limit));
        let policies = self.setup.policies.iter();
        let bad_rows = policies.map(|policy| (policy.id.to_string(), policy.retired(self.epoch)));
        let bad_rows = bad_rows.collect();
        let sources = self.open.iter_mut().zip(&self.setup.sources);
        let watermarks = &self.watermarks_before;
        let at = sources.map(|(open, source)| {
            let watermark = open.time.and_then(|time| watermarks.get(&time.group));
            let ended = open.end.is_some_and(|end| end < limit);
            let ended = ended && !self.setup.demand.is_done(open.node);
            let position = SourcePosition {
                splits: open.progress.at(limit, &source.splits),
                numbers: source.splits.room,
                ended: ended || source.splits.ended,
                watermark: watermark.copied().unwrap_or(BEGINNING),
                arriving: source.splits.arriving,
            };
            (source.id.to_string(), position)
        });
        Facts {
            sources: at.collect(),
            bad_rows,
        }
    }
}
