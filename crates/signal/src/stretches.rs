//! Events that take several samples: short excursions, samples that are missing or stand still, conditions that are met for a while.

use crate::events::{Event, Find};
use crate::memory::{Memory, Saved, put, put_whole};

/// Neighbouring samples that have something in common.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// What it is: an index among the words of who looks for it.
    kind: u64,
    first: u64,
    last: u64,
    /// What is told as its value.
    value: f64,
}

impl Stretch {
    fn event(&self, known: usize, words: &[&'static str]) -> Event {
        Event {
            length: self.last - self.first + 1,
            what: words[self.kind as usize],
            ..Event::at(known, self.first, self.value)
        }
    }
}

fn save_stretch(stretch: Option<Stretch>, into: &mut Vec<u8>) {
    put_whole(into, u64::from(stretch.is_some()));
    if let Some(stretch) = stretch {
        put_whole(into, stretch.kind);
        put_whole(into, stretch.first);
        put_whole(into, stretch.last);
        put(into, stretch.value);
    }
}

fn restore_stretch(from: &mut Saved<'_>, kinds: usize) -> Option<Option<Stretch>> {
    if from.whole()? == 0 {
        return Some(None);
    }
    let stretch = Stretch {
        kind: from.whole()?,
        first: from.whole()?,
        last: from.whole()?,
        value: from.number()?,
    };
    let fine = stretch.kind < kinds as u64 && stretch.first <= stretch.last;
    fine.then_some(Some(stretch))
}

/// Which way a glitch goes.
const SIDES: [&str; 2] = ["above", "below"];

/// Short excursions above one level or below another that begin and end within the signal.
#[derive(Clone, Debug)]
pub struct Glitches {
    above: f64,
    below: f64,
    shorter_than: u64,
    /// The excursion at hand; its value is the one that is furthest out.
    out: Option<Stretch>,
    /// Whether a number has been seen that is no excursion, or the end of one: before, none is known to begin.
    inside: bool,
    next: u64,
}

impl Glitches {
    /// Above `above` or below `below` (infinite where they do not count), of fewer samples.
    pub fn new(above: f64, below: f64, shorter_than: u64) -> Self {
        Self {
            above,
            below,
            shorter_than,
            out: None,
            inside: false,
            next: 0,
        }
    }

    fn ended(&mut self, known: usize, events: &mut Vec<Event>) {
        let Some(out) = self.out.take() else {
            return;
        };
        let event = out.event(known, &SIDES);
        if self.inside && event.length < self.shorter_than {
            events.push(event);
        }
        self.inside = true;
    }
}

impl Find for Glitches {
    fn push(&mut self, samples: &[f64], events: &mut Vec<Event>) {
        for (known, x) in samples.iter().enumerate() {
            let sample = self.next;
            self.next += 1;
            let kind = match *x {
                x if x.is_nan() => continue,
                x if x > self.above => 0,
                x if x < self.below => 1,
                _ => {
                    self.ended(known, events);
                    self.inside = true;
                    continue;
                }
            };
            if let Some(out) = self.out.as_mut().filter(|out| out.kind == kind) {
                out.last = sample;
                out.value = if kind == 0 {
                    out.value.max(*x)
                } else {
                    out.value.min(*x)
                };
                continue;
            }
            self.ended(known, events);
            self.out = Some(Stretch {
                kind,
                first: sample,
                last: sample,
                value: *x,
            });
        }
    }
}

impl Memory for Glitches {
    fn save(&self, into: &mut Vec<u8>) {
        save_stretch(self.out, into);
        put_whole(into, u64::from(self.inside));
        put_whole(into, self.next);
    }

    fn restore(&mut self, from: &mut Saved<'_>) -> Option<()> {
        self.out = restore_stretch(from, SIDES.len())?;
        self.inside = from.whole()? != 0;
        self.next = from.whole()?;
        Some(())
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// What is wrong with a stretch of samples.
const FAULTS: [&str; 3] = ["missing", "below", "constant"];

/// Samples that are no numbers, or below a level, or all the same, so many in a row or more.
#[derive(Clone, Debug)]
pub struct Dropouts {
    below: f64,
    constant: bool,
    fewest: u64,
    stretch: Option<Stretch>,
    next: u64,
}

impl Dropouts {
    /// Of at least `fewest` samples: numbers below `below` (infinite where that does not count), and if `constant`, all the same.
    pub fn new(below: f64, constant: bool, fewest: u64) -> Self {
        Self {
            below,
            constant,
            fewest,
            stretch: None,
            next: 0,
        }
    }

    fn ended(&mut self, known: usize, events: &mut Vec<Event>) {
        let Some(stretch) = self.stretch.take() else {
            return;
        };
        let event = stretch.event(known, &FAULTS);
        if event.length >= self.fewest && (stretch.kind < 2 || self.constant) {
            events.push(event);
        }
    }
}

impl Find for Dropouts {
    fn push(&mut self, samples: &[f64], events: &mut Vec<Event>) {
        for (known, x) in samples.iter().enumerate() {
            let kind = match *x {
                x if x.is_nan() => 0,
                x if x < self.below => 1,
                _ => 2,
            };
            let sample = self.next;
            self.next += 1;
            let goes_on = |at: &&mut Stretch| at.kind == kind && (kind < 2 || at.value == *x);
            if let Some(stretch) = self.stretch.as_mut().filter(goes_on) {
                stretch.last = sample;
                if kind == 1 {
                    stretch.value = stretch.value.min(*x);
                }
                continue;
            }
            self.ended(known, events);
            self.stretch = Some(Stretch {
                kind,
                first: sample,
                last: sample,
                value: *x,
            });
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        self.ended(0, events);
    }
}

impl Memory for Dropouts {
    fn save(&self, into: &mut Vec<u8>) {
        save_stretch(self.stretch, into);
        put_whole(into, self.next);
    }

    fn restore(&mut self, from: &mut Saved<'_>) -> Option<()> {
        self.stretch = restore_stretch(from, FAULTS.len())?;
        self.next = from.whole()?;
        Some(())
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// Stretches in which a condition is met: samples that are not 0 and no NaN, so many in a row or more.
#[derive(Clone, Debug)]
pub struct Stretches {
    fewest: u64,
    stretch: Option<Stretch>,
    next: u64,
}

impl Stretches {
    /// Of at least `fewest` samples.
    pub fn new(fewest: u64) -> Self {
        Self {
            fewest,
            stretch: None,
            next: 0,
        }
    }

    fn ended(&mut self, known: usize, events: &mut Vec<Event>) {
        let ended = self
            .stretch
            .take()
            .map(|stretch| stretch.event(known, &[""]));
        events.extend(ended.filter(|event| event.length >= self.fewest));
    }
}

impl Find for Stretches {
    fn push(&mut self, samples: &[f64], events: &mut Vec<Event>) {
        for (known, x) in samples.iter().enumerate() {
            let sample = self.next;
            self.next += 1;
            if x.is_nan() || *x == 0.0 {
                self.ended(known, events);
                continue;
            }
            let stretch = self.stretch.get_or_insert(Stretch {
                kind: 0,
                first: sample,
                last: sample,
                value: f64::NAN,
            });
            stretch.last = sample;
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        self.ended(0, events);
    }
}

impl Memory for Stretches {
    fn save(&self, into: &mut Vec<u8>) {
        save_stretch(self.stretch, into);
        put_whole(into, self.next);
    }

    fn restore(&mut self, from: &mut Saved<'_>) -> Option<()> {
        self.stretch = restore_stretch(from, 1)?;
        self.next = from.whole()?;
        Some(())
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::testing::check;

    const GAP: f64 = f64::NAN;

    #[test]
    fn glitches_are_short_and_inside() {
        let samples = [
            9.0, 9.0, 0.0, 5.0, 6.0, 0.0, -7.0, 8.0, 0.0, 5.0, 5.0, 5.0, 0.0, 7.0, GAP, 0.0, 9.0,
        ];
        let expected = [
            "3 +2 above 6 known at 5",
            "6 +1 below -7 known at 7",
            "7 +1 above 8 known at 8",
            "13 +1 above 7 known at 15",
        ];
        check(|| Glitches::new(4.0, -4.0, 3), &samples, &expected);
        let above = [expected[0], expected[2], expected[3]];
        check(
            || Glitches::new(4.0, f64::NEG_INFINITY, 3),
            &samples,
            &above,
        );
    }

    #[test]
    fn dropouts_are_of_one_fault() {
        let samples = [
            GAP, GAP, 1.0, GAP, -2.0, -3.0, 4.0, 4.0, 4.0, 5.0, GAP, GAP, GAP,
        ];
        let missing = "0 +2 missing NaN known at 2";
        let last = "10 +3 missing NaN known at 13";
        let below = "4 +2 below -3 known at 6";
        let constant = "6 +3 constant 4 known at 9";
        let nowhere = f64::NEG_INFINITY;
        check(
            || Dropouts::new(nowhere, false, 2),
            &samples,
            &[missing, last],
        );
        check(
            || Dropouts::new(0.0, false, 2),
            &samples,
            &[missing, below, last],
        );
        let all = [missing, below, constant, last];
        check(|| Dropouts::new(0.0, true, 2), &samples, &all);
        check(|| Dropouts::new(0.0, true, 3), &samples, &[constant, last]);
    }

    #[test]
    fn stretches_are_long_enough() {
        let samples = [1.0, 1.0, 0.0, 1.0, GAP, 1.0, 1.0, 1.0];
        let expected = ["0 +2  NaN known at 2", "5 +3  NaN known at 8"];
        check(|| Stretches::new(2), &samples, &expected);
    }
}
