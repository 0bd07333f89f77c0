//! The spectrum of one segment: detrended, windowed, transformed, squared. No allocation per segment.
//!
//! Plans are shared by all threads of the process; each thread has its own buffers. What comes out for a segment is a function of its
//! samples alone, on one kind of processor: the transforms choose their instructions by what it has.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use realfft::{RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use crate::shape::Shape;

static REAL: LazyLock<Mutex<RealFftPlanner<f64>>> =
    LazyLock::new(|| Mutex::new(RealFftPlanner::new()));
static COMPLEX: LazyLock<Mutex<FftPlanner<f64>>> = LazyLock::new(|| Mutex::new(FftPlanner::new()));

enum Plan {
    Real(Arc<dyn RealToComplex<f64>>),
    Complex(Arc<dyn Fft<f64>>),
}

/// Makes the spectra of segments of one shape.
pub struct Fourier {
    shape: Shape,
    plan: Plan,
    weights: Vec<f64>,
    /// The real and the imaginary parts of a segment; the imaginary ones only of complex signals.
    parts: [Vec<f64>; 2],
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
}

impl Fourier {
    /// Prepares for segments of this shape, of at least one sample.
    pub fn new(shape: &Shape) -> Self {
        let points = shape.points;
        let (plan, spectrum, scratch) = if shape.complex {
            let mut planner = COMPLEX.lock().unwrap_or_else(PoisonError::into_inner);
            let plan = planner.plan_fft_forward(points);
            let scratch = plan.get_inplace_scratch_len();
            (Plan::Complex(plan), points, scratch)
        } else {
            let mut planner = REAL.lock().unwrap_or_else(PoisonError::into_inner);
            let plan = planner.plan_fft_forward(points);
            let scratch = plan.get_scratch_len();
            (Plan::Real(plan), points / 2 + 1, scratch)
        };
        let zero = Complex::default();
        Self {
            weights: shape.window.weights(shape.segment),
            parts: [
                vec![0.0; points],
                vec![0.0; if shape.complex { points } else { 0 }],
            ],
            spectrum: vec![zero; spectrum],
            scratch: vec![zero; scratch],
            shape: shape.clone(),
            plan,
        }
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The sum of the window's weights: what a constant 1 amounts to at frequency 0.
    pub fn gain(&self) -> f64 {
        self.weights.iter().sum()
    }

    /// The sum of the squares of the window's weights.
    pub fn power_gain(&self) -> f64 {
        self.weights.iter().map(|w| w * w).sum()
    }

    /// The squared magnitudes of a segment's transform, one per bin, unscaled; `samples` are the segment's, pairs where complex.
    pub fn powers(&mut self, samples: &[f64], powers: &mut [f64]) {
        self.transform(samples);
        let square = |c: &Complex<f64>| c.re * c.re + c.im * c.im;
        let points = self.shape.points;
        if !self.shape.both_sides() {
            for (power, c) in powers.iter_mut().zip(&self.spectrum) {
                *power = square(c);
            }
            return;
        }
        let below = points / 2;
        for (bin, power) in powers.iter_mut().enumerate() {
            // Bin `below` is frequency 0; of a real signal, the negative half mirrors the positive one.
            let at = (bin + points - below) % points;
            let at = if self.shape.complex {
                at
            } else {
                at.min(points - at)
            };
            *power = square(&self.spectrum[at]);
        }
    }

    fn transform(&mut self, samples: &[f64]) {
        let segment = self.shape.segment;
        let [real, imaginary] = &mut self.parts;
        if self.shape.complex {
            for (i, pair) in samples.chunks_exact(2).enumerate() {
                (real[i], imaginary[i]) = (pair[0], pair[1]);
            }
        } else {
            real[..segment].copy_from_slice(&samples[..segment]);
        }
        for part in [real, imaginary]
            .into_iter()
            .filter(|part| !part.is_empty())
        {
            self.shape.detrend.apply(&mut part[..segment]);
            for (x, weight) in part.iter_mut().zip(&self.weights) {
                *x *= weight;
            }
            part[segment..].fill(0.0);
        }
        let [real, imaginary] = &mut self.parts;
        match &self.plan {
            Plan::Real(plan) => {
                let made = plan.process_with_scratch(real, &mut self.spectrum, &mut self.scratch);
                debug_assert!(made.is_ok(), "the buffers are the plan's");
            }
            Plan::Complex(plan) => {
                for ((c, re), im) in self.spectrum.iter_mut().zip(real).zip(imaginary) {
                    *c = Complex::new(*re, *im);
                }
                plan.process_with_scratch(&mut self.spectrum, &mut self.scratch);
            }
        }
    }

    /// The bytes of its buffers.
    pub fn bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(Vec::capacity).sum();
        let complex = self.spectrum.capacity() + self.scratch.capacity();
        (self.weights.capacity() + parts) * 8 + complex * 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Detrend;
    use crate::windows::Window;

    fn shape(segment: usize, points: usize) -> Shape {
        Shape {
            segment,
            points,
            window: Window::Hann,
            detrend: Detrend::None,
            complex: false,
            two_sided: false,
        }
    }

    fn naive(samples: &[(f64, f64)], points: usize, k: usize) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (i, (a, b)) in samples.iter().enumerate() {
            let angle = -2.0 * std::f64::consts::PI * (i * k % points) as f64 / points as f64;
            re += a * angle.cos() - b * angle.sin();
            im += a * angle.sin() + b * angle.cos();
        }
        re * re + im * im
    }

    #[test]
    fn powers_are_those_of_the_definition() {
        for (segment, points) in [(1, 1), (8, 8), (9, 9), (7, 12), (10, 15)] {
            let shape = shape(segment, points);
            let mut fourier = Fourier::new(&shape);
            let samples: Vec<f64> = (0..segment).map(|i| ((i * 7) % 5) as f64 - 1.5).collect();
            let weights = shape.window.weights(segment);
            let real: Vec<(f64, f64)> = samples
                .iter()
                .zip(&weights)
                .map(|(x, w)| (x * w, 0.0))
                .collect();
            let mut powers = vec![0.0; shape.bins()];
            fourier.powers(&samples, &mut powers);
            for (k, power) in powers.iter().enumerate() {
                assert!(
                    (power - naive(&real, points, k)).abs() < 1e-12,
                    "{segment} {points} {k}"
                );
            }
            let both = Shape {
                two_sided: true,
                ..shape.clone()
            };
            let mut twice = vec![0.0; both.bins()];
            Fourier::new(&both).powers(&samples, &mut twice);
            for (bin, power) in twice.iter().enumerate() {
                let frequency = both.frequency(bin, points as f64).round().abs() as usize;
                assert_eq!(*power, powers[frequency]);
            }
        }
    }

    #[test]
    fn complex_signals_have_two_sides() {
        let shape = Shape {
            complex: true,
            window: Window::Boxcar,
            ..shape(6, 6)
        };
        let pairs: Vec<(f64, f64)> = (0..6)
            .map(|i| (f64::from(i % 3), f64::from(i) / 2.0))
            .collect();
        let samples: Vec<f64> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
        let mut powers = vec![0.0; 6];
        Fourier::new(&shape).powers(&samples, &mut powers);
        for (bin, power) in powers.iter().enumerate() {
            let frequency = shape.frequency(bin, 6.0).round() as i64;
            let expected = naive(&pairs, 6, frequency.rem_euclid(6) as usize);
            assert!(
                (power - expected).abs() < 1e-11,
                "{bin}: {power} {expected}"
            );
        }
    }
}
