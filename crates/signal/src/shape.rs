//! What is done with each segment of a signal: its length, its window, what is taken out of it, how long its transform is.

use std::str::FromStr;

use crate::windows::Window;

/// What is taken out of a segment before its spectrum is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detrend {
    /// Nothing.
    None,
    /// Its mean.
    #[default]
    Constant,
    /// The straight line that fits it best.
    Linear,
}

impl FromStr for Detrend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "constant" => Ok(Self::Constant),
            "linear" => Ok(Self::Linear),
            _ => Err(format!(
                "`{text}` cannot be taken out of a segment; there are constant, linear and none"
            )),
        }
    }
}

impl Detrend {
    /// Takes it out of samples.
    pub fn apply(self, samples: &mut [f64]) {
        let mean = || mean(samples);
        match self {
            Self::None => {}
            Self::Constant => {
                let mean = mean();
                samples.iter_mut().for_each(|x| *x -= mean);
            }
            Self::Linear => {
                let (mean, middle) = (mean(), (samples.len() as f64 - 1.0) / 2.0);
                let from_middle = |i: usize| i as f64 - middle;
                let (mut both, mut square) = (0.0, 0.0);
                for (i, x) in samples.iter().enumerate() {
                    both += from_middle(i) * (x - mean);
                    square += from_middle(i) * from_middle(i);
                }
                let slope = if square > 0.0 { both / square } else { 0.0 };
                for (i, x) in samples.iter_mut().enumerate() {
                    *x -= mean + slope * from_middle(i);
                }
            }
        }
    }
}

impl Detrend {
    /// Takes it out of samples some of which are NaN: those stay, and the others are as if they were all, each where it is.
    pub fn apply_to_numbers(self, samples: &mut [f64]) {
        if !crate::memory::has_gap(samples) {
            return self.apply(samples);
        }
        let numbers = samples.iter().enumerate().filter(|(_, x)| !x.is_nan());
        let (places, numbers): (Vec<f64>, Vec<f64>) =
            numbers.map(|(at, x)| (at as f64, *x)).unzip();
        let level = match self {
            Self::None => 0.0,
            Self::Constant | Self::Linear => mean(&numbers),
        };
        let middle = mean(&places);
        let (mut both, mut square) = (0.0, 0.0);
        for (at, x) in places.iter().zip(&numbers) {
            both += (at - middle) * (x - level);
            square += (at - middle) * (at - middle);
        }
        let slope = match self == Self::Linear && square > 0.0 {
            true => both / square,
            false => 0.0,
        };
        for (at, x) in samples.iter_mut().enumerate() {
            *x -= level + slope * (at as f64 - middle);
        }
    }
}

/// The mean, summed in eight lanes: in one order, and with less rounding than one after another.
fn mean(samples: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let eights = samples.chunks_exact(8);
    let rest: f64 = eights.remainder().iter().sum();
    for eight in eights {
        for (lane, x) in lanes.iter_mut().zip(eight) {
            *lane += x;
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    (((a + b) + (c + d)) + ((e + f) + (g + h)) + rest) / samples.len() as f64
}

/// What is done with each segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Samples of a segment.
    pub segment: usize,
    /// Points of its transform, zeros behind the samples.
    pub points: usize,
    /// Its window.
    pub window: Window,
    /// What is taken out of it.
    pub detrend: Detrend,
    /// Whether samples are pairs, the real and the imaginary part.
    pub complex: bool,
    /// Whether a real signal's spectrum has its negative frequencies as well; a complex one's always has.
    pub two_sided: bool,
}

impl Shape {
    /// The same of another length, where a signal is shorter than a segment.
    #[must_use]
    pub fn cut_to(&self, samples: usize) -> Self {
        Self {
            segment: samples,
            points: if self.points == self.segment {
                samples
            } else {
                self.points
            },
            ..self.clone()
        }
    }

    /// How many values a spectrum has.
    pub fn bins(&self) -> usize {
        match self.both_sides() {
            true => self.points,
            false => self.points / 2 + 1,
        }
    }

    /// Whether there are negative frequencies.
    pub fn both_sides(&self) -> bool {
        self.complex || self.two_sided
    }

    /// The frequency of a value at so many samples per second; they rise.
    pub fn frequency(&self, bin: usize, rate: f64) -> f64 {
        let below = if self.both_sides() {
            self.points / 2
        } else {
            0
        };
        (bin as f64 - below as f64) * (rate / self.points as f64)
    }

    /// How many times a value counts in a one-sided spectrum, for the negative frequency that it stands for as well.
    pub fn sides(&self, bin: usize) -> f64 {
        let alone = bin == 0 || (self.points.is_multiple_of(2) && bin == self.points / 2);
        if self.both_sides() || alone { 1.0 } else { 2.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_no_say_in_a_trend() {
        let line = |i: i32| 2.0 - 0.5 * f64::from(i);
        for kind in [Detrend::None, Detrend::Constant, Detrend::Linear] {
            let mut samples: Vec<f64> = (0..9).map(line).collect();
            samples[2] = f64::NAN;
            samples[8] = f64::NAN;
            let before = samples.clone();
            kind.apply_to_numbers(&mut samples);
            assert!(samples[2].is_nan() && samples[8].is_nan());
            // The numbers are at 0, 1 and 3 to 7, whose mean is 26 / 7.
            let level = 2.0 - 0.5 * 26.0 / 7.0;
            for (x, now) in before.iter().zip(&samples).filter(|(x, _)| !x.is_nan()) {
                let expected = match kind {
                    Detrend::None => *x,
                    Detrend::Constant => x - level,
                    Detrend::Linear => 0.0,
                };
                assert!((now - expected).abs() < 1e-14, "{kind:?} {x} {now}");
            }
        }
        let mut nothing = [f64::NAN; 3];
        Detrend::Linear.apply_to_numbers(&mut nothing);
        assert!(nothing.iter().all(|x| x.is_nan()));
    }

    #[test]
    fn lines_are_taken_out() {
        let line: Vec<f64> = (0..11).map(|i| 3.0 + 0.5 * f64::from(i)).collect();
        let left = |detrend: Detrend| {
            let mut samples = line.clone();
            detrend.apply(&mut samples);
            samples
        };
        assert_eq!(left(Detrend::None), line);
        assert_eq!(left(Detrend::Constant)[10], 2.5);
        assert!(left(Detrend::Linear).iter().all(|x| x.abs() < 1e-14));
        let mut one = [5.0];
        Detrend::Linear.apply(&mut one);
        assert_eq!(one, [0.0]);
    }

    #[test]
    fn frequencies_rise_on_both_sides() {
        let mut shape = Shape {
            segment: 8,
            points: 8,
            window: Window::Boxcar,
            detrend: Detrend::None,
            complex: false,
            two_sided: false,
        };
        let all = |shape: &Shape| -> Vec<f64> {
            (0..shape.bins())
                .map(|bin| shape.frequency(bin, 8.0))
                .collect()
        };
        assert_eq!(all(&shape), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!([0, 1, 4].map(|bin| shape.sides(bin)), [1.0, 2.0, 1.0]);
        shape.two_sided = true;
        assert_eq!(all(&shape), [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]);
        let odd = Shape { points: 5, ..shape };
        assert_eq!(all(&odd).len(), 5);
        assert_eq!(odd.frequency(0, 5.0), -2.0);
        assert_eq!(odd.cut_to(3).points, 5);
    }
}
