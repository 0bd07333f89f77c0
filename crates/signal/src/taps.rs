//! Filters that remember so many samples: a weighted sum of the last ones, and its design by a window, as `scipy.signal.firwin` makes it.
//!
//! Each sum is made in one order, the newest sample first, so that it does not depend on where a piece ends. A transform by blocks
//! would be faster for very long filters, but rows would have to wait until their block is there.

use std::f64::consts::PI;

use crate::design::Band;
use crate::memory::{Filter, Memory, Saved, each_stretch, put_all};
use crate::windows::Window;

/// How many sums are made side by side.
const AT_ONCE: usize = 128;

/// A weighted sum of the last samples.
#[derive(Clone, Debug)]
pub struct Taps {
    taps: Vec<f64>,
    /// The samples before, one less than there are taps, and then those at hand.
    samples: Vec<f64>,
}

impl Taps {
    /// With these weights, at least one, the first of which is the newest sample's. Before the first sample there are zeros.
    pub fn new(taps: &[f64]) -> Self {
        Self {
            taps: taps.to_vec(),
            samples: vec![0.0; taps.len().saturating_sub(1)],
        }
    }

    fn stretch(&mut self, samples: &mut [f64]) {
        let before = self.samples.len();
        self.samples.extend_from_slice(samples);
        for (block, some) in samples.chunks_mut(AT_ONCE).enumerate() {
            let newest = before + block * AT_ONCE;
            let mut sums = [0.0; AT_ONCE];
            let sums = &mut sums[..some.len()];
            for (k, tap) in self.taps.iter().enumerate() {
                let of = &self.samples[newest - k..];
                for (sum, x) in sums.iter_mut().zip(of) {
                    *sum += tap * x;
                }
            }
            some.copy_from_slice(sums);
        }
        self.samples.drain(..samples.len());
    }

    /// Takes samples, all of them numbers, and makes the sums of those only whose index, from 0, is one of `wanted`.
    pub(crate) fn some(
        &mut self,
        samples: &[f64],
        wanted: impl Iterator<Item = usize>,
    ) -> Vec<f64> {
        let before = self.samples.len();
        self.samples.extend_from_slice(samples);
        let sum = |at: usize| {
            let newest_first = self.samples[..=before + at].iter().rev();
            let pairs = self.taps.iter().zip(newest_first);
            pairs.fold(0.0, |sum, (tap, x)| sum + tap * x)
        };
        let sums = wanted.map(sum).collect();
        self.samples.drain(..samples.len());
        sums
    }
}

impl Memory for Taps {
    fn save(&self, into: &mut Vec<u8>) {
        put_all(into, self.samples.iter().copied());
    }

    fn restore(&mut self, from: &mut Saved<'_>) -> Option<()> {
        let samples = from.numbers()?;
        (samples.len() == self.samples.len()).then_some(())?;
        self.samples = samples;
        Some(())
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + 8 * (self.taps.capacity() + self.samples.capacity())
    }
}

/// Samples that are no numbers are passed over: nothing comes of them, and they are not among the last ones.
impl Filter for Taps {
    fn push(&mut self, samples: &mut [f64]) {
        each_stretch(samples, |stretch| self.stretch(stretch));
    }
}

/// The weights of a filter of so many taps, at least 3, in a band whose edges lie between 0 and 1. With an even number, nothing passes
/// at half the sampling rate, so it can be no filter that passes there.
pub fn design(taps: usize, band: Band, window: Window) -> Vec<f64> {
    let bands: Vec<(f64, f64)> = match band {
        Band::Low(edge) => vec![(0.0, edge)],
        Band::High(edge) => vec![(edge, 1.0)],
        Band::Pass(from, to) => vec![(from, to)],
        Band::Stop(from, to) => vec![(0.0, from), (to, 1.0)],
    };
    let middle = (taps as f64 - 1.0) / 2.0;
    let from_middle = |i: usize| i as f64 - middle;
    // The symmetric window: it ends as it begins.
    let mut weights = window.weights(taps - 1);
    weights.push(weights[0]);
    let ideal = |i: usize| {
        let each = bands.iter();
        let each = each
            .map(|(from, to)| to * sinc(to * from_middle(i)) - from * sinc(from * from_middle(i)));
        each.sum::<f64>()
    };
    let made: Vec<f64> = weights
        .iter()
        .enumerate()
        .map(|(i, w)| ideal(i) * w)
        .collect();
    let whole = match bands[0] {
        (0.0, _) => 0.0,
        (_, 1.0) => 1.0,
        (from, to) => 0.5 * (from + to),
    };
    let passing = made.iter().enumerate();
    let passing: f64 = passing
        .map(|(i, tap)| tap * (PI * from_middle(i) * whole).cos())
        .sum();
    made.iter().map(|tap| tap / passing).collect()
}

fn sinc(x: f64) -> f64 {
    match x == 0.0 {
        true => 1.0,
        false => (PI * x).sin() / (PI * x),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::testing::{PIECES, bits, filtered, noise};

    #[test]
    fn sums_are_those_of_the_definition_in_any_pieces() {
        let samples = noise(400);
        for count in [1, 2, 31, 150] {
            let taps: Vec<f64> = (0..count).map(|k| 1.0 / (k as f64 + 1.5)).collect();
            let at = |i: usize| {
                let terms = taps.iter().enumerate();
                terms.fold(0.0, |sum, (k, tap)| {
                    sum + tap * i.checked_sub(k).map_or(0.0, |j| samples[j])
                })
            };
            let expected: Vec<f64> = (0..400).map(at).collect();
            for piece in PIECES {
                let found = filtered(|| Taps::new(&taps), &samples, piece);
                assert_eq!(bits(&found), bits(&expected), "{count} {piece}");
            }
            let mut some = Taps::new(&taps);
            let mut found = some.some(&samples[..203], (0..203).step_by(10));
            found.extend(some.some(&samples[203..], (7..197).step_by(10)));
            let expected: Vec<f64> = expected.iter().copied().step_by(10).collect();
            assert_eq!(bits(&found), bits(&expected), "{count}");
        }
    }

    #[test]
    fn designs_pass_what_is_asked_for() {
        for (band, passes, stops) in [
            (Band::Low(0.3), 0.0, 0.8),
            (Band::High(0.3), 1.0, 0.05),
            (Band::Pass(0.3, 0.5), 0.4, 0.9),
            (Band::Stop(0.3, 0.7), 0.0, 0.5),
        ] {
            let taps = design(101, band, Window::Hamming);
            let response = |frequency: f64| {
                let terms = taps.iter().enumerate();
                terms
                    .map(|(i, tap)| tap * (PI * (i as f64 - 50.0) * frequency).cos())
                    .sum::<f64>()
            };
            assert!((response(passes) - 1.0).abs() < 1e-12, "{band:?}");
            assert!(response(stops).abs() < 0.01, "{band:?}");
        }
    }
}
