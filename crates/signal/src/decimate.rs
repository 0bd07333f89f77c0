//! Every so many samples one, behind a filter that takes out what fewer samples could not tell from something slower.

use crate::design::{self, Band, Family};
use crate::memory::{Filter, Memory, Saved, put_whole};
use crate::sections::Sections;
use crate::taps::{self, Taps};
use crate::windows::Window;

/// What is in front of it, as in `scipy.signal.decimate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Chebyshev's, of order 8 with ripples of 0.05 dB, up to 0.8 of half the new sampling rate.
    Iir,
    /// One of 20 taps for each sample that is left out and one more, with a Hamming window, up to half the new sampling rate.
    Fir,
    /// Nothing.
    None,
}

#[derive(Clone, Debug)]
enum Kind {
    Sections(Sections),
    Taps(Taps),
    Plain,
}

/// One of `factor` samples, the first of all being the first one.
#[derive(Clone, Debug)]
pub struct Decimate {
    kind: Kind,
    factor: u64,
    /// How many samples come before the next one that is kept.
    skip: u64,
}

impl Decimate {
    /// One of `factor` samples, at least 1.
    pub fn new(factor: u64, guard: Guard) -> Self {
        let edge = 1.0 / factor as f64;
        let kind = match guard {
            Guard::None => Kind::Plain,
            _ if factor == 1 => Kind::Plain,
            Guard::Iir => {
                let family = Family::Chebyshev(0.05);
                let sections = design::sections(family, 8, Band::Low(0.8 * edge));
                Kind::Sections(Sections::new(&sections, false))
            }
            Guard::Fir => {
                let count = 20 * factor as usize + 1;
                let taps = taps::design(count, Band::Low(edge), Window::Hamming);
                Kind::Taps(Taps::new(&taps))
            }
        };
        Self {
            kind,
            factor,
            skip: 0,
        }
    }

    /// Of how many samples one is kept.
    pub fn factor(&self) -> u64 {
        self.factor
    }

    /// Takes samples; returns those that are kept, and the index of the first of them, from 0.
    pub fn push(&mut self, mut samples: Vec<f64>) -> (usize, Vec<f64>) {
        let (first, step) = (self.skip as usize, self.factor as usize);
        let count = samples.len().saturating_sub(first).div_ceil(step);
        self.skip = (first + count * step - samples.len()) as u64;
        if let Kind::Taps(taps) = &mut self.kind {
            return (first, with_taps(taps, &samples, first, step));
        }
        if let Kind::Sections(sections) = &mut self.kind {
            sections.push(&mut samples);
        }
        (
            first,
            samples.into_iter().skip(first).step_by(step).collect(),
        )
    }
}

/// Makes only those sums that are kept.
fn with_taps(taps: &mut Taps, samples: &[f64], first: usize, step: usize) -> Vec<f64> {
    let numbers: Vec<f64> = samples.iter().copied().filter(|x| !x.is_nan()).collect();
    if numbers.len() == samples.len() {
        return taps.some(samples, (first..samples.len()).step_by(step));
    }
    let kept = |(at, _): &(usize, usize)| *at >= first && (*at - first).is_multiple_of(step);
    let numbered = samples.iter().enumerate().filter(|(_, x)| !x.is_nan());
    let numbered = numbered.zip(0..).map(|((at, _), number)| (at, number));
    let (places, wanted): (Vec<usize>, Vec<usize>) = numbered.filter(kept).unzip();
    let mut made = vec![f64::NAN; samples.len().saturating_sub(first).div_ceil(step)];
    for (at, sum) in places.iter().zip(taps.some(&numbers, wanted.into_iter())) {
        made[(at - first) / step] = sum;
    }
    made
}

impl Memory for Decimate {
    fn save(&self, into: &mut Vec<u8>) {
        put_whole(into, self.skip);
        match &self.kind {
            Kind::Sections(sections) => sections.save(into),
            Kind::Taps(taps) => taps.save(into),
            Kind::Plain => {}
        }
    }

    fn restore(&mut self, from: &mut Saved<'_>) -> Option<()> {
        self.skip = from.whole()?;
        match &mut self.kind {
            Kind::Sections(sections) => sections.restore(from),
            Kind::Taps(taps) => taps.restore(from),
            Kind::Plain => Some(()),
        }
    }

    fn bytes(&self) -> usize {
        let kind = match &self.kind {
            Kind::Sections(sections) => sections.bytes(),
            Kind::Taps(taps) => taps.bytes(),
            Kind::Plain => 0,
        };
        size_of::<Self>() + kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::testing::{PIECES, bits, noise};

    #[test]
    fn any_pieces_give_the_same_samples() {
        let mut samples = noise(300);
        samples[20] = f64::NAN;
        samples[37] = f64::NAN;
        for factor in [1, 2, 10, 301] {
            for guard in [Guard::Iir, Guard::Fir, Guard::None] {
                let mut whole = Decimate::new(factor, guard);
                let (first, expected) = whole.push(samples.clone());
                assert_eq!(
                    (first, expected.len()),
                    (0, 300usize.div_ceil(factor as usize))
                );
                for piece in PIECES {
                    let mut pieces = Decimate::new(factor, guard);
                    let mut found = Vec::new();
                    for (at, some) in samples.chunks(piece).enumerate() {
                        let (first, kept) = pieces.push(some.to_vec());
                        if !kept.is_empty() {
                            assert_eq!((at * piece + first) % factor as usize, 0);
                        }
                        found.extend(kept);
                        let mut bytes = Vec::new();
                        pieces.save(&mut bytes);
                        pieces = Decimate::new(factor, guard);
                        pieces.restore(&mut Saved::new(&bytes)).expect("its own");
                    }
                    assert_eq!(bits(&found), bits(&expected), "{factor} {guard:?} {piece}");
                }
            }
        }
    }
}
