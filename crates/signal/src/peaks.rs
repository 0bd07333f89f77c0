//! Peaks of a signal, those that `scipy.signal.find_peaks` finds in all of it, while it comes.
//!
//! First a peak must be the highest one within a distance: of peaks that are too near, only those can still count that are higher than
//! all before, since what is lower than one near it is dropped by that one, or by whoever drops that one. So they are a chain that
//! rises; as soon as no higher one can come near its last, that one counts, and from there backwards each that is far enough from the
//! last that counts. Then it waits until the samples within reach are there, and its prominence is known; of those in the chain it
//! is looked for as soon as they are, before the samples are forgotten.

use std::collections::VecDeque;

use crate::events::{Event, Find};
use crate::memory::{Memory, Saved, put, put_all, put_whole};

/// Which peaks count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// The least height; infinitely low where any counts.
    pub height: f64,
    /// How many samples peaks are apart at least, at least 1. The higher ones count; of two that are as high the later one.
    pub distance: u64,
    /// How far they stand out at least, and in a window of how many samples around them, at least 2.
    pub prominence: Option<(f64, u64)>,
}

/// A sample, or the middle of several neighbouring ones that are the same, that is higher than its neighbours.
#[derive(Clone, Copy, Debug)]
struct Peak {
    sample: u64,
    value: f64,
    /// The last sample of its flat top.
    right: u64,
    prominence: f64,
}

impl Peak {
    fn save(&self, into: &mut Vec<u8>) {
        put_whole(into, self.sample);
        put(into, self.value);
        put_whole(into, self.right);
        put(into, self.prominence);
    }

    fn restore(from: &mut Saved<'_>) -> Option<Self> {
        Some(Self {
            sample: from.whole()?,
            value: from.number()?,
            right: from.whole()?,
            prominence: from.number()?,
        })
    }
}

/// Finds peaks.
#[derive(Clone, Debug)]
pub struct Peaks {
    wanted: Wanted,
    /// The last sample, and how many there were.
    before: f64,
    next: u64,
    /// Where the signal has risen to, and how high, if it has not moved since.
    top: Option<(u64, f64)>,
    /// The last samples, at least as many as prominences can need.
    last: Vec<f64>,
    /// Peaks each of which is as high as the one before it or higher, and near it.
    chain: Vec<Peak>,
    /// Of how many of these, from the first on, the prominence is known.
    measured: usize,
    /// Peaks that count, whose surroundings may not all be there.
    waiting: VecDeque<Peak>,
    /// Whether no samples follow.
    over: bool,
}

impl Peaks {
    /// Without samples.
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            before: f64::NAN,
            next: 0,
            top: None,
            last: Vec::new(),
            chain: Vec::new(),
            measured: 0,
            waiting: VecDeque::new(),
            over: false,
        }
    }

    /// How many samples on each side of a peak its prominence looks at.
    fn reach(&self) -> u64 {
        self.wanted.prominence.map_or(0, |(_, window)| window / 2)
    }

    /// How many of the last samples prominences can need.
    fn needed(&self) -> usize {
        2 * self.reach() as usize + 2
    }

    fn see(&mut self, x: f64, known: usize, events: &mut Vec<Event>) {
        let sample = self.next;
        self.next += 1;
        if self.wanted.prominence.is_some() {
            if self.last.len() >= 2 * self.needed() {
                self.last.drain(..self.last.len() - self.needed());
            }
            self.last.push(x);
        }
        if let Some((left, value)) = self.top.filter(|(_, value)| x != *value) {
            self.top = None;
            if x < value && value >= self.wanted.height {
                self.peak(left, sample - 1, value);
            }
        }
        if self.before < x {
            self.top = Some((sample, x));
        }
        self.before = x;
        if !self.chain.is_empty() {
            self.measure(sample);
            self.settle(self.top.map_or(self.next, |(left, _)| left));
        }
        if !self.waiting.is_empty() {
            self.leave(sample, known, events);
        }
    }

    fn peak(&mut self, left: u64, right: u64, value: f64) {
        let peak = Peak {
            sample: left + (right - left) / 2,
            value,
            right,
            prominence: f64::NAN,
        };
        self.settle(peak.sample);
        match self.chain.last() {
            Some(highest) if value < highest.value => {}
            _ => self.chain.push(peak),
        }
    }

    /// Looks for the prominences of peaks in the chain whose surroundings are there, with the sample `last`.
    fn measure(&mut self, last: u64) {
        while let Some(peak) = self.chain.get(self.measured) {
            if self.wanted.prominence.is_none() || last < peak.sample + self.reach() {
                return;
            }
            let prominence = self.prominence(peak, last);
            self.chain[self.measured].prominence = prominence;
            self.measured += 1;
        }
    }

    /// Tells of peaks that count, as far as all is known of them with the sample `last`.
    fn leave(&mut self, last: u64, known: usize, events: &mut Vec<Event>) {
        while let Some(mut peak) = self.waiting.front().copied() {
            let is_whole = self.over || last >= peak.sample + self.reach();
            if self.wanted.prominence.is_some() && peak.prominence.is_nan() {
                if !is_whole {
                    return;
                }
                peak.prominence = self.prominence(&peak, last);
            }
            self.waiting.pop_front();
            let least = self.wanted.prominence.map(|(least, _)| least);
            if least.is_none_or(|least| peak.prominence >= least) {
                events.push(Event {
                    prominence: peak.prominence,
                    ..Event::at(known, peak.sample, peak.value)
                });
            }
        }
    }

    /// How far a peak is above the higher one of the lowest points on its two sides, each up to where the signal is higher.
    fn prominence(&self, peak: &Peak, last: u64) -> f64 {
        let (from, to) = (
            peak.sample.saturating_sub(self.reach()),
            last.min(peak.sample.saturating_add(self.reach())),
        );
        if peak.right >= to {
            // The flat top reaches out of the window.
            return 0.0;
        }
        let first = self.next - self.last.len() as u64;
        let at = |sample: u64| (sample - first) as usize;
        let lowest = |low: f64, x: &f64| low.min(*x);
        let under = |x: &&f64| **x <= peak.value;
        let left = self.last[at(from.max(first))..=at(peak.sample)]
            .iter()
            .rev();
        let right = self.last[at(peak.sample)..=at(to)].iter();
        let left = left.take_while(under).fold(peak.value, lowest);
        let right = right.take_while(under).fold(peak.value, lowest);
        peak.value - left.max(right)
    }

    /// Lets those peaks of the chain wait that count, if none can join it from a sample on.
    fn settle(&mut self, from: u64) {
        let near = |a: &Peak, b: u64| b - a.sample < self.wanted.distance;
        if self.chain.last().is_none_or(|highest| near(highest, from)) {
            return;
        }
        let before = self.waiting.len();
        let mut last = None;
        for peak in self.chain.drain(..).rev() {
            if !last.is_some_and(|last| near(&peak, last)) {
                last = Some(peak.sample);
                self.waiting.push_back(peak);
            }
        }
        self.waiting.make_contiguous()[before..].reverse();
        self.measured = 0;
    }
}

impl Find for Peaks {
    fn push(&mut self, samples: &[f64], events: &mut Vec<Event>) {
        for (known, x) in samples.iter().enumerate() {
            self.see(*x, known, events);
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        self.settle(u64::MAX);
        self.over = true;
        self.leave(self.next.saturating_sub(1), 0, events);
    }
}

impl Memory for Peaks {
    fn save(&self, into: &mut Vec<u8>) {
        put(into, self.before);
        put_whole(into, self.next);
        put_whole(into, u64::from(self.top.is_some()));
        let (left, value) = self.top.unwrap_or_default();
        put_whole(into, left);
        put(into, value);
        let needed = self.last.len().saturating_sub(self.needed());
        put_all(into, self.last[needed..].iter().copied());
        put_whole(into, self.waiting.len() as u64);
        self.waiting.iter().for_each(|peak| peak.save(into));
        put_whole(into, self.chain.len() as u64);
        self.chain.iter().for_each(|peak| peak.save(into));
    }

    fn restore(&mut self, from: &mut Saved<'_>) -> Option<()> {
        self.before = from.number()?;
        self.next = from.whole()?;
        let is_top = from.whole()? != 0;
        self.top = Some((from.whole()?, from.number()?)).filter(|_| is_top);
        self.last = from.numbers()?;
        (self.last.len() as u64 <= self.next).then_some(())?;
        let waiting = from.whole()?;
        self.waiting = (0..waiting)
            .map(|_| Peak::restore(from))
            .collect::<Option<_>>()?;
        let chain = from.whole()?;
        self.chain = (0..chain)
            .map(|_| Peak::restore(from))
            .collect::<Option<_>>()?;
        let known = self
            .chain
            .iter()
            .take_while(|peak| !peak.prominence.is_nan());
        self.measured = known.count();
        Some(())
    }

    fn bytes(&self) -> usize {
        let peaks = size_of::<Peak>() * (self.waiting.capacity() + self.chain.capacity());
        size_of::<Self>() + 8 * self.last.capacity() + peaks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::testing::{found, said};
    use crate::memory::testing::{PIECES, noise};

    /// The peaks of a whole signal by the definition of each condition, one after another.
    fn whole(x: &[f64], wanted: Wanted) -> Vec<(u64, f64)> {
        let mut peaks: Vec<usize> = Vec::new();
        for left in 1..x.len() {
            let right = (left..x.len()).take_while(|i| x[*i] == x[left]).last();
            let right = right.unwrap_or(left);
            let falls = x.get(right + 1).is_some_and(|behind| *behind < x[left]);
            if x[left - 1] < x[left] && falls && x[left] >= wanted.height {
                peaks.push((left + right) / 2);
            }
        }
        let mut order: Vec<usize> = (0..peaks.len()).collect();
        order.sort_by(|a, b| x[peaks[*a]].total_cmp(&x[peaks[*b]]).then(a.cmp(b)));
        let mut kept: Vec<usize> = Vec::new();
        for at in order.into_iter().rev() {
            let near = |other: &usize| (peaks[at].abs_diff(*other) as u64) < wanted.distance;
            if !kept.iter().any(near) {
                kept.push(peaks[at]);
            }
        }
        kept.sort_unstable();
        let each = kept
            .into_iter()
            .map(|i| (i as u64, prominence(x, i, wanted)));
        let least = wanted
            .prominence
            .map_or(f64::NEG_INFINITY, |(least, _)| least);
        each.filter(|(_, p)| p.is_nan() || *p >= least).collect()
    }

    fn prominence(x: &[f64], peak: usize, wanted: Wanted) -> f64 {
        let Some((_, window)) = wanted.prominence else {
            return f64::NAN;
        };
        let reach = window as usize / 2;
        let side = |indices: &mut dyn Iterator<Item = usize>| {
            let under = indices.map(|i| x[i]).take_while(|x_i| *x_i <= x[peak]);
            under.fold(x[peak], f64::min)
        };
        let left = side(&mut (peak.saturating_sub(reach)..=peak).rev());
        let right = side(&mut (peak..=(peak + reach).min(x.len() - 1)));
        x[peak] - left.max(right)
    }

    fn signals() -> Vec<Vec<f64>> {
        let plain = noise(600);
        let flat = plain.iter().map(|x| (x * 4.0).round()).collect();
        let rising = plain.iter().zip(0..).map(|(x, i)| x + f64::from(i) / 20.0);
        let falling = plain
            .iter()
            .zip(0..)
            .map(|(x, i)| (x * 8.0).round() - f64::from(i) / 20.0);
        let mut gaps = plain.clone();
        for at in [0, 5, 6, 200, 599] {
            gaps[at] = f64::NAN;
        }
        let (rising, falling) = (rising.collect(), falling.collect());
        vec![plain, flat, rising, falling, gaps, vec![], vec![1.0; 50]]
    }

    #[test]
    fn peaks_are_those_of_the_whole_signal() {
        for (which, x) in signals().into_iter().enumerate() {
            for distance in [1, 2, 3, 10, 55, 700] {
                for prominence in [None, Some((0.0, 2)), Some((0.5, 9)), Some((1.0, 2000))] {
                    for height in [f64::NEG_INFINITY, 0.5] {
                        let wanted = Wanted {
                            height,
                            distance,
                            prominence,
                        };
                        let expected = whole(&x, wanted);
                        let events = found(|| Peaks::new(wanted), &x, 64);
                        let each = events.iter().map(|e| (e.sample, e.prominence));
                        let text = format!("{:?}", each.collect::<Vec<_>>());
                        assert_eq!(text, format!("{expected:?}"), "{which} {wanted:?}");
                        for piece in PIECES {
                            let again = found(|| Peaks::new(wanted), &x, piece);
                            assert_eq!(said(&again), said(&events), "{which} {wanted:?} {piece}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn little_is_held() {
        let wanted = Wanted {
            height: f64::NEG_INFINITY,
            distance: 50,
            prominence: Some((0.1, 20)),
        };
        let mut peaks = Peaks::new(wanted);
        let mut events = Vec::new();
        let samples = noise(100_000);
        let most = samples.chunks(10).map(|some| {
            peaks.push(some, &mut events);
            peaks.bytes()
        });
        assert!(most.max().expect("some") < 4096);
        assert!(events.len() > 1000);
    }
}
