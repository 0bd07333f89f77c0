//! What is left of a signal when the mean or the line of each window of so many samples is taken out.

use crate::memory::{Memory, Saved, put_all};
use crate::shape::Detrend;

/// The window at hand.
#[derive(Clone, Debug)]
pub struct Trend {
    kind: Detrend,
    window: usize,
    samples: Vec<f64>,
}

impl Trend {
    /// Windows of so many samples, at least 1.
    pub fn new(kind: Detrend, window: usize) -> Self {
        Self {
            kind,
            window,
            samples: Vec::new(),
        }
    }

    /// Takes samples; tells what is left of those whose window is complete, in order. One that is no number, NaN, has no say and stays.
    pub fn push(&mut self, samples: &[f64], done: &mut Vec<f64>) {
        for x in samples {
            self.samples.push(*x);
            if self.samples.len() == self.window {
                self.end(done);
            }
        }
    }

    /// The same of the last window, which is shorter.
    pub fn end(&mut self, done: &mut Vec<f64>) {
        self.kind.apply_to_numbers(&mut self.samples);
        done.append(&mut self.samples);
    }
}

impl Memory for Trend {
    fn save(&self, into: &mut Vec<u8>) {
        put_all(into, self.samples.iter().copied());
    }

    fn restore(&mut self, from: &mut Saved<'_>) -> Option<()> {
        self.samples = from.numbers()?;
        (self.samples.len() < self.window).then_some(())
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + 8 * self.samples.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::testing::{PIECES, bits, noise};

    #[test]
    fn each_window_is_by_itself() {
        let samples = noise(250);
        for kind in [Detrend::Constant, Detrend::Linear] {
            for window in [1, 40, 250, 300] {
                let mut expected = Vec::new();
                for some in samples.chunks(window) {
                    let mut some = some.to_vec();
                    kind.apply(&mut some);
                    expected.extend(some);
                }
                for piece in PIECES {
                    let (mut trend, mut done) = (Trend::new(kind, window), Vec::new());
                    for some in samples.chunks(piece) {
                        trend.push(some, &mut done);
                        let mut bytes = Vec::new();
                        trend.save(&mut bytes);
                        trend = Trend::new(kind, window);
                        trend.restore(&mut Saved::new(&bytes)).expect("its own");
                    }
                    trend.end(&mut done);
                    assert_eq!(bits(&done), bits(&expected), "{kind:?} {window} {piece}");
                }
            }
        }
    }
}
