//! Designs of filters with a memory for ever, by their zeros and poles: Butterworth and Chebyshev, as `scipy.signal` makes them.
//!
//! The prototype passes what is below 1 rad/s; it is moved to its frequencies, made one of samples (bilinear transform, with the
//! frequencies bent beforehand so that they stay where they were asked for), and cut into sections. No prototype here has zeros.

use std::f64::consts::PI;

use rustfft::num_complex::Complex;

use crate::pairing;
use crate::sections::Section;

/// Which frequencies pass, and from where or where to: in half cycles per sample, so 1 is half the sampling rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Band {
    /// Those below.
    Low(f64),
    /// Those above.
    High(f64),
    /// Those between.
    Pass(f64, f64),
    /// Those outside.
    Stop(f64, f64),
}

impl Band {
    /// The frequencies, the lower one first.
    pub fn edges(self) -> Vec<f64> {
        match self {
            Self::Low(at) | Self::High(at) => vec![at],
            Self::Pass(from, to) | Self::Stop(from, to) => vec![from, to],
        }
    }
}

/// Who thought of the poles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    /// As flat as can be where it passes.
    Butterworth,
    /// Steeper, with ripples of so many decibels where it passes.
    Chebyshev(f64),
}

/// Zeros or poles: of pairs that mirror each other the one above the real axis, and those on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roots {
    pub(crate) pairs: Vec<Complex<f64>>,
    pub(crate) reals: Vec<f64>,
}

impl Roots {
    /// The same, each moved to where `of` puts it, which keeps what is real real.
    fn moved(&self, of: impl Fn(Complex<f64>) -> Complex<f64>) -> Self {
        Self {
            pairs: self.pairs.iter().map(|root| upper(of(*root))).collect(),
            reals: self
                .reals
                .iter()
                .map(|root| of(Complex::from(*root)).re)
                .collect(),
        }
    }

    /// The product of `of` each of them; it is real.
    fn product(&self, of: impl Fn(Complex<f64>) -> Complex<f64>) -> f64 {
        let pairs: f64 = self.pairs.iter().map(|root| of(*root).norm_sqr()).product();
        let reals = self.reals.iter().map(|root| of(Complex::from(*root)).re);
        pairs * reals.product::<f64>()
    }

    fn count(&self) -> usize {
        2 * self.pairs.len() + self.reals.len()
    }

    /// Two roots of each: where a band has two edges.
    fn doubled(&self, center: f64) -> Self {
        let mut doubled = Self::default();
        for root in &self.pairs {
            let apart = (root * root - center * center).sqrt();
            doubled.pairs.push(upper(root + apart));
            doubled.pairs.push(upper(root - apart));
        }
        for root in &self.reals {
            let square = root * root - center * center;
            if square < 0.0 {
                doubled.pairs.push(Complex::new(*root, (-square).sqrt()));
            } else {
                doubled.reals.push(root + square.sqrt());
                doubled.reals.push(root - square.sqrt());
            }
        }
        doubled
    }
}

fn upper(root: Complex<f64>) -> Complex<f64> {
    Complex::new(root.re, root.im.abs())
}

/// The poles of a prototype, and its gain.
fn prototype(family: Family, order: usize) -> (Roots, f64) {
    let mut poles = Roots::default();
    // Angles from the negative real axis; the middle one, of odd orders, lies on it.
    let angle = |k: usize| PI * (order - 1 - 2 * k) as f64 / (2 * order) as f64;
    let (real, imaginary, mut gain) = match family {
        Family::Butterworth => (1.0, 1.0, 1.0),
        Family::Chebyshev(ripple) => {
            let ripple = 10f64.powf(0.1 * ripple) - 1.0;
            let width = (1.0 / ripple.sqrt()).asinh() / order as f64;
            let gain = match order % 2 {
                0 => 1.0 / (1.0 + ripple).sqrt(),
                _ => 1.0,
            };
            (width.sinh(), width.cosh(), gain)
        }
    };
    for k in 0..order / 2 {
        let angle = angle(k);
        let pole = Complex::new(-real * angle.cos(), imaginary * angle.sin());
        poles.pairs.push(pole);
    }
    if order % 2 == 1 {
        poles.reals.push(-real);
    }
    if let Family::Chebyshev(_) = family {
        gain *= poles.product(|pole| -pole);
    }
    (poles, gain)
}

/// The sections of a design of an order, at least 1, in a band whose edges lie between 0 and 1.
pub fn sections(family: Family, order: usize, band: Band) -> Vec<Section> {
    let (poles, gain) = prototype(family, order);
    // Two samples per second; any number would do.
    let bent = |edge: f64| 4.0 * (PI * edge / 2.0).tan();
    let mut zeros = Roots::default();
    let (poles, gain) = match band {
        Band::Low(edge) => {
            let gain = gain * bent(edge).powi(order as i32);
            (poles.moved(|pole| pole * bent(edge)), gain)
        }
        Band::High(edge) => {
            zeros.reals = vec![0.0; order];
            let gain = gain / poles.product(|pole| -pole);
            let inverse = poles.moved(|pole| Complex::from(bent(edge)) / pole);
            (inverse, gain)
        }
        Band::Pass(from, to) => {
            let (from, to) = (bent(from), bent(to));
            zeros.reals = vec![0.0; order];
            let poles = poles.moved(|pole| pole * ((to - from) / 2.0));
            let gain = gain * (to - from).powi(order as i32);
            (poles.doubled((from * to).sqrt()), gain)
        }
        Band::Stop(from, to) => {
            let (from, to) = (bent(from), bent(to));
            let center = (from * to).sqrt();
            zeros.pairs = vec![Complex::new(0.0, center); order];
            let gain = gain / poles.product(|pole| -pole);
            let poles = poles.moved(|pole| Complex::from((to - from) / 2.0) / pole);
            (poles.doubled(center), gain)
        }
    };
    let gain = gain * zeros.product(|zero| 4.0 - zero) / poles.product(|pole| 4.0 - pole);
    let sampled = |roots: &Roots| roots.moved(|root| (4.0 + root) / (4.0 - root));
    let at_infinity = poles.count() - zeros.count();
    let (mut zeros, poles) = (sampled(&zeros), sampled(&poles));
    zeros.reals.extend(vec![-1.0; at_infinity]);
    pairing::sections(zeros, poles, gain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much of a frequency passes.
    fn response(sections: &[Section], frequency: f64) -> f64 {
        let z = Complex::from_polar(1.0, -PI * frequency);
        let of = |s: &Section| {
            let above = s.b[0] + z * (s.b[1] + z * s.b[2]);
            let below = 1.0 + z * (s.a[0] + z * s.a[1]);
            (above / below).norm()
        };
        sections.iter().map(of).product()
    }

    #[test]
    fn what_is_asked_for_passes() {
        let half = 0.5f64.sqrt();
        // The middle of a band, where bent frequencies are multiplied.
        let bent = |edge: f64| (PI * edge / 2.0).tan();
        let middle = 2.0 / PI * (bent(0.2) * bent(0.5)).sqrt().atan();
        for order in 1..12 {
            for (band, passes, stops) in [
                (Band::Low(0.3), 0.0, 1.0),
                (Band::High(0.3), 1.0, 0.0),
                (Band::Pass(0.2, 0.5), middle, 0.0),
                (Band::Stop(0.2, 0.5), 0.0, middle),
            ] {
                let made = sections(Family::Butterworth, order, band);
                assert!(made.iter().all(Section::is_stable), "{order} {band:?}");
                for edge in band.edges() {
                    let at = response(&made, edge);
                    assert!((at - half).abs() < 1e-8, "{order} {band:?} {edge}: {at}");
                }
                let at = response(&made, passes);
                assert!((at - 1.0).abs() < 1e-6, "{order} {band:?}: {at}");
                assert!(response(&made, stops) < 1e-4, "{order} {band:?}");
            }
            let made = sections(Family::Chebyshev(1.0), order, Band::Low(0.3));
            let ripple = 10f64.powf(-0.05);
            assert!((response(&made, 0.3) - ripple).abs() < 1e-9, "{order}");
            let most = (0..30).map(|k| response(&made, f64::from(k) / 100.0));
            assert!(most.fold(0.0, f64::max) < 1.0 + 1e-9, "{order}");
        }
    }
}
