//! Events in a signal: where it crosses a level, jumps between two, spikes, fails, or keeps to a condition.

use crate::memory::{Memory, Saved, put, put_whole};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// The index, among the samples that were pushed last, of the one by which it is known.
    pub known: usize,
    /// The number of its sample, from 0: that of a longer one's first.
    pub sample: u64,
    /// Where it is in samples, where that is known better.
    pub at: f64,
    /// Its value; NaN where there is none.
    pub value: f64,
    /// How many samples it takes.
    pub length: u64,
    /// Which way it went, or what was wrong.
    pub what: &'static str,
    /// How far it stands out; NaN where that was not looked at.
    pub prominence: f64,
}

impl Event {
    /// An event at one sample.
    pub fn at(known: usize, sample: u64, value: f64) -> Self {
        Self {
            known,
            sample,
            at: sample as f64,
            value,
            length: 1,
            what: "",
            prominence: f64::NAN,
        }
    }
}

/// Finds events in a signal that comes in any pieces. A sample that is no number comes as NaN.
pub trait Find: Memory {
    /// Looks at the next samples.
    fn push(&mut self, samples: &[f64], events: &mut Vec<Event>);

    /// There are no more: what is known then. Nothing is pushed behind it.
    fn end(&mut self, events: &mut Vec<Event>) {
        let _ = events;
    }
}

/// Which way a signal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Up.
    Rising,
    /// Down.
    Falling,
    /// Any.
    Both,
}

impl Direction {
    fn has(self, rising: bool) -> bool {
        match self {
            Self::Both => true,
            Self::Rising => rising,
            Self::Falling => !rising,
        }
    }
}

/// Where a signal leaves one of two levels behind: `high` upwards, or `low` downwards. Where they are the same, that is where it crosses
/// the level; a sample that is at it is above.
#[derive(Clone, Debug)]
pub struct Edges {
    low: f64,
    high: f64,
    direction: Direction,
    /// Whether it was above last; none before it is known.
    above: Option<bool>,
    /// The last number, and where it was.
    before: (f64, u64),
    next: u64,
}

impl Edges {
    /// Between two levels, of which `low` is not above `high`.
    pub fn new(low: f64, high: f64, direction: Direction) -> Self {
        Self {
            low,
            high,
            direction,
            above: None,
            before: (f64::NAN, 0),
            next: 0,
        }
    }

    fn is_above(&self, x: f64) -> Option<bool> {
        if x >= self.high {
            Some(true)
        } else if x < self.low || (x == self.low && self.low < self.high) {
            Some(false)
        } else {
            self.above
        }
    }

    /// Where the straight line from the number before reaches the level.
    fn between(&self, x: f64, sample: u64, level: f64) -> f64 {
        let (before, at) = self.before;
        let share = (level - before) / (x - before);
        at as f64 + share * (sample - at) as f64
    }
}

impl Find for Edges {
    fn push(&mut self, samples: &[f64], events: &mut Vec<Event>) {
        for (known, x) in samples.iter().enumerate() {
            let sample = self.next;
            self.next += 1;
            if x.is_nan() {
                continue;
            }
            let above = self.is_above(*x);
            if let (Some(before), Some(above)) = (self.above, above)
                && before != above
                && self.direction.has(above)
            {
                let level = if above { self.high } else { self.low };
                events.push(Event {
                    at: self.between(*x, sample, level),
                    what: if above { "rising" } else { "falling" },
                    ..Event::at(known, sample, *x)
                });
            }
            self.above = above;
            self.before = (*x, sample);
        }
    }
}

impl Memory for Edges {
    fn save(&self, into: &mut Vec<u8>) {
        put_whole(into, self.above.map_or(2, u64::from));
        put(into, self.before.0);
        put_whole(into, self.before.1);
        put_whole(into, self.next);
    }

    fn restore(&mut self, from: &mut Saved<'_>) -> Option<()> {
        self.above = [Some(false), Some(true), None]
            .get(from.whole()? as usize)
            .copied()?;
        self.before = (from.number()?, from.whole()?);
        self.next = from.whole()?;
        Some(())
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::memory::testing::PIECES;

    /// The events of a signal that comes in pieces, each with the number of the sample by which it is known. Behind each piece the
    /// finder is written down, and another one goes on.
    pub(crate) fn found<F: Find>(
        make: impl Fn() -> F,
        samples: &[f64],
        piece: usize,
    ) -> Vec<Event> {
        let (mut find, mut all) = (make(), Vec::new());
        for (at, some) in samples.chunks(piece).enumerate() {
            let mut events = Vec::new();
            find.push(some, &mut events);
            all.extend(events.into_iter().map(|event| Event {
                known: event.known + at * piece,
                ..event
            }));
            let mut bytes = Vec::new();
            find.save(&mut bytes);
            find = make();
            let mut saved = Saved::new(&bytes);
            find.restore(&mut saved).expect("its own bytes");
            assert!(saved.is_over());
        }
        let mut events = Vec::new();
        find.end(&mut events);
        all.extend(events.into_iter().map(|event| Event {
            known: samples.len(),
            ..event
        }));
        all
    }

    /// What is said of events, on a line each.
    pub(crate) fn said(events: &[Event]) -> Vec<String> {
        let line = |e: &Event| {
            let of = (e.sample, e.length, e.what, e.value, e.known);
            format!("{} +{} {} {} known at {}", of.0, of.1, of.2, of.3, of.4)
        };
        events.iter().map(line).collect()
    }

    /// Events are these, in whatever pieces the signal comes.
    pub(crate) fn check<F: Find>(make: impl Fn() -> F, samples: &[f64], expected: &[&str]) {
        for piece in PIECES.into_iter().chain([2, 3]) {
            assert_eq!(said(&found(&make, samples, piece)), expected, "{piece}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{check, found};
    use super::*;

    const GAP: f64 = f64::NAN;

    #[test]
    fn crossings_are_where_the_line_between_samples_is() {
        let samples = [0.0, 2.0, 1.0, 0.5, GAP, GAP, 2.0, 2.0, 0.0];
        let make = |direction| move || Edges::new(1.0, 1.0, direction);
        let rising = ["1 +1 rising 2 known at 1", "6 +1 rising 2 known at 6"];
        let falling = ["3 +1 falling 0.5 known at 3", "8 +1 falling 0 known at 8"];
        check(make(Direction::Rising), &samples, &rising);
        check(make(Direction::Falling), &samples, &falling);
        let both = found(make(Direction::Both), &samples, 4);
        let at: Vec<f64> = both.iter().map(|event| event.at).collect();
        assert_eq!(at, [0.5, 2.0, 4.0, 7.5]);
    }

    #[test]
    fn an_edge_needs_both_levels() {
        let samples = [1.0, 0.0, 1.5, 1.0, 2.0, 1.5, 0.5, 3.0, -1.0, 1.9, 0.1];
        let expected = ["4 +1 rising 2 known at 4", "8 +1 falling -1 known at 8"];
        check(
            || Edges::new(0.0, 2.0, Direction::Both),
            &samples,
            &expected,
        );
        let at = found(|| Edges::new(0.0, 2.0, Direction::Both), &samples, 3)[1].at;
        assert_eq!(at, 7.75);
    }
}
