//! Filters with a memory for ever: sections of second order in a row, in the transposed direct form II.
//!
//! The sums are those of `scipy.signal.sosfilt`, in its order. A section must wait for its own last value, not for the
//! other sections: so while one is at sample `n`, the next one is at `n - 1`, and up to four are worked on at once.

use crate::memory::{Filter, Memory, Saved, each_stretch, put, put_whole};

/// A section `(b0 + b1/z + b2/z^2) / (1 + a1/z + a2/z^2)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Section {
    /// `b0`, `b1` and `b2`.
    pub b: [f64; 3],
    /// `a1` and `a2`.
    pub a: [f64; 2],
}

impl Section {
    /// The section of six coefficients `b0, b1, b2, a0, a1, a2`, divided by `a0`; none if that is 0 or one of them no number.
    pub fn of(row: [f64; 6]) -> Option<Self> {
        let [b0, b1, b2, a0, a1, a2] = row;
        let fine = a0 != 0.0 && row.iter().all(|x| x.is_finite());
        fine.then(|| Self {
            b: [b0 / a0, b1 / a0, b2 / a0],
            a: [a1 / a0, a2 / a0],
        })
    }

    /// Whether what was put in dies away: both poles are inside the unit circle.
    pub fn is_stable(&self) -> bool {
        let [a1, a2] = self.a;
        a2.abs() < 1.0 && a1.abs() < 1.0 + a2
    }

    /// The state in which a constant 1 that has always been there leaves it, and what it makes of the 1.
    fn steady(&self) -> ([f64; 2], f64) {
        let ([b0, b1, b2], [a1, a2]) = (self.b, self.a);
        let all = 1.0 + a1 + a2;
        let first = ((b1 - a1 * b0) + (b2 - a2 * b0)) / all;
        let second = (1.0 + a1) * first - (b1 - a1 * b0);
        ([first, second], (b0 + b1 + b2) / all)
    }
}

/// Sections in a row, and what they remember.
#[derive(Clone, Debug)]
pub struct Sections {
    sections: Vec<Section>,
    states: Vec<[f64; 2]>,
    /// Whether the first number is taken as one that has always been there, and has not come yet.
    waiting: bool,
}

impl Sections {
    /// Sections that remember nothing. With `steady`, they begin as if the first sample had been there always.
    pub fn new(sections: &[Section], steady: bool) -> Self {
        Self {
            sections: sections.to_vec(),
            states: vec![[0.0; 2]; sections.len()],
            waiting: steady,
        }
    }

    fn settle(&mut self, level: f64) {
        let mut scale = 1.0;
        for (section, state) in self.sections.iter().zip(&mut self.states) {
            let (steady, gain) = section.steady();
            *state = steady.map(|z| scale * z * level);
            scale *= gain;
        }
    }

    fn stretch(&mut self, samples: &mut [f64]) {
        if std::mem::take(&mut self.waiting) {
            self.settle(samples[0]);
        }
        let groups = self.sections.chunks(4).zip(self.states.chunks_mut(4));
        for (sections, states) in groups {
            match sections.len() {
                1 => staggered::<1>(sections, states, samples),
                2 => staggered::<2>(sections, states, samples),
                3 => staggered::<3>(sections, states, samples),
                _ => staggered::<4>(sections, states, samples),
            }
        }
    }
}

/// The coefficients and states of `S` sections, side by side.
struct Staggered<const S: usize> {
    b: [[f64; S]; 3],
    a: [[f64; S]; 2],
    z: [[f64; S]; 2],
    /// What each section made last, which the next one takes.
    made: [f64; S],
}

impl<const S: usize> Staggered<S> {
    fn new(sections: &[Section], states: &[[f64; 2]]) -> Self {
        Self {
            b: [0, 1, 2].map(|k| std::array::from_fn(|s| sections[s].b[k])),
            a: [0, 1].map(|k| std::array::from_fn(|s| sections[s].a[k])),
            z: [0, 1].map(|k| std::array::from_fn(|s| states[s][k])),
            made: [0.0; S],
        }
    }

    /// One step of all sections, the first of which takes `x`.
    #[inline(always)]
    fn step(&mut self, x: f64) {
        let taken: [f64; S] = std::array::from_fn(|s| if s == 0 { x } else { self.made[s - 1] });
        for (s, taken) in taken.into_iter().enumerate() {
            self.one(s, taken);
        }
    }

    /// The same of some sections, the others stay as they are.
    fn step_some(&mut self, x: f64, some: std::ops::Range<usize>) {
        for s in some.rev() {
            let taken = if s == 0 { x } else { self.made[s - 1] };
            self.one(s, taken);
        }
    }

    #[inline(always)]
    fn one(&mut self, s: usize, taken: f64) {
        let made = self.b[0][s] * taken + self.z[0][s];
        self.z[0][s] = (self.b[1][s] * taken - self.a[0][s] * made) + self.z[1][s];
        self.z[1][s] = self.b[2][s] * taken - self.a[1][s] * made;
        self.made[s] = made;
    }
}

/// Runs samples through `S` sections. All of them have seen all samples when it ends.
fn staggered<const S: usize>(sections: &[Section], states: &mut [[f64; 2]], samples: &mut [f64]) {
    let mut of = Staggered::<S>::new(sections, states);
    let (count, behind) = (samples.len(), S - 1);
    // Until there are samples for all sections, and when there are no more for the first ones.
    let whole = behind..count.max(behind);
    for t in 0..whole.start {
        let x = samples.get(t).copied().unwrap_or_default();
        of.step_some(x, (t + 1).saturating_sub(count)..t + 1);
        if let Some(at) = t.checked_sub(behind) {
            samples[at] = of.made[behind];
        }
    }
    for t in whole.clone() {
        of.step(samples[t]);
        samples[t - behind] = of.made[behind];
    }
    for t in whole.end..count + behind {
        of.step_some(0.0, t + 1 - count..S);
        samples[t - behind] = of.made[behind];
    }
    for (s, state) in states.iter_mut().enumerate() {
        *state = [of.z[0][s], of.z[1][s]];
    }
}

impl Memory for Sections {
    fn save(&self, into: &mut Vec<u8>) {
        put_whole(into, u64::from(self.waiting));
        self.states
            .iter()
            .flatten()
            .for_each(|number| put(into, *number));
    }

    fn restore(&mut self, from: &mut Saved<'_>) -> Option<()> {
        self.waiting = from.whole()? != 0;
        for number in self.states.iter_mut().flatten() {
            *number = from.number()?;
        }
        Some(())
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + 40 * self.sections.capacity() + 16 * self.states.capacity()
    }
}

/// Samples that are no numbers are passed over: nothing comes of them, and the sections stay as they are.
impl Filter for Sections {
    fn push(&mut self, samples: &mut [f64]) {
        each_stretch(samples, |stretch| self.stretch(stretch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::testing::{PIECES, bits, filtered, noise};

    fn some(count: usize) -> Vec<Section> {
        let section = |i: usize| Section {
            b: [0.2 + i as f64 / 16.0, -0.1, 0.3],
            a: [-0.5 + i as f64 / 8.0, 0.25],
        };
        (0..count).map(section).collect()
    }

    /// One section after another, sample by sample.
    fn plain(sections: &[Section], samples: &[f64]) -> Vec<f64> {
        let mut z = vec![[0.0; 2]; sections.len()];
        let one = |x: &f64| {
            sections.iter().zip(&mut z).fold(*x, |x, (section, z)| {
                let ([b0, b1, b2], [a1, a2]) = (section.b, section.a);
                let y = b0 * x + z[0];
                *z = [b1 * x - a1 * y + z[1], b2 * x - a2 * y];
                y
            })
        };
        samples.iter().map(one).collect()
    }

    #[test]
    fn staggering_changes_no_bit() {
        let samples = noise(300);
        for count in 0..11 {
            let sections = some(count);
            for length in [0, 1, 2, 3, 4, 5, 300] {
                let mut found = samples[..length].to_vec();
                Sections::new(&sections, false).push(&mut found);
                let expected = plain(&sections, &samples[..length]);
                assert_eq!(bits(&found), bits(&expected), "{count} {length}");
            }
            for piece in PIECES {
                let found = filtered(|| Sections::new(&sections, false), &samples, piece);
                assert_eq!(bits(&found), bits(&plain(&sections, &samples)), "{piece}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_passed_over() {
        let samples = noise(40);
        let sections = some(5);
        let mut with_gaps: Vec<f64> = Vec::new();
        for x in &samples {
            with_gaps.extend([*x, f64::NAN]);
        }
        with_gaps.insert(0, f64::NAN);
        for piece in PIECES {
            let found = filtered(|| Sections::new(&sections, true), &with_gaps, piece);
            let kept: Vec<f64> = found.iter().copied().filter(|x| !x.is_nan()).collect();
            let mut expected = samples.clone();
            Sections::new(&sections, true).push(&mut expected);
            assert_eq!(bits(&kept), bits(&expected));
            assert!(found[0].is_nan() && found[2].is_nan() && !found[1].is_nan());
        }
    }

    #[test]
    fn a_steady_filter_makes_a_constant_of_a_constant() {
        let sections = some(3);
        let gain: f64 = sections.iter().map(|s| s.steady().1).product();
        let mut samples = vec![7.0; 20];
        Sections::new(&sections, true).push(&mut samples);
        assert!(samples.iter().all(|x| (x - 7.0 * gain).abs() < 1e-13));
    }

    #[test]
    fn sections_that_run_away_are_known() {
        let of = |a1, a2| Section::of([1.0, 0.0, 0.0, 2.0, a1, a2]).expect("numbers");
        assert!(of(-1.0, 0.5).is_stable() && of(0.0, 1.9).is_stable());
        assert!(!of(-4.0, 2.0).is_stable() && !of(0.0, 2.0).is_stable());
        assert!(!of(2.5, 0.25).is_stable());
        assert_eq!(Section::of([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]), None);
        assert_eq!(Section::of([1.0, 0.0, 0.0, 1.0, f64::NAN, 0.0]), None);
    }
}
