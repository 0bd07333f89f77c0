//! Windows: the weights that fade a segment out at its ends, those of `scipy.signal.get_window`.
//!
//! They are periodic: the window of `n` samples is the symmetric one of `n + 1` without its last sample, so that segments that
//! overlap by half add up evenly. Cosine sums after Harris (1978); the flat top after D'Antona and Ferrero (2006).

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

/// A window's kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Window {
    /// All ones.
    Boxcar,
    /// A raised cosine.
    #[default]
    Hann,
    /// A raised cosine on a pedestal.
    Hamming,
    /// Three cosines.
    Blackman,
    /// Four cosines, side lobes below -92 dB.
    BlackmanHarris,
    /// Five cosines, a peak so flat that it reads amplitudes.
    FlatTop,
    /// Kaiser's, with its beta.
    Kaiser(f64),
    /// Flat, with raised cosines over this share of it.
    Tukey(f64),
    /// A bell with this standard deviation in samples.
    Gaussian(f64),
}

/// The windows as they are written, for messages.
pub const NAMES: [&str; 9] = [
    "hann",
    "hamming",
    "blackman",
    "blackmanharris",
    "flattop",
    "boxcar",
    "kaiser(8.6)",
    "tukey(0.25)",
    "gaussian(512)",
];

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.trim();
        let (name, parameter) = match plain.split_once('(') {
            Some((name, rest)) => (name.trim_end(), rest.strip_suffix(')')),
            None => (plain, Some("")),
        };
        let number = parameter.and_then(|p| match p.trim() {
            "" => Some(None),
            text => text.parse::<f64>().ok().map(Some),
        });
        let wrong = || {
            let known = NAMES.join(", ");
            format!("`{text}` is no window; there are {known}")
        };
        let number = number.ok_or_else(wrong)?;
        match (name.to_ascii_lowercase().as_str(), number) {
            ("boxcar" | "rectangular" | "none", None) => Ok(Self::Boxcar),
            ("hann" | "hanning", None) => Ok(Self::Hann),
            ("hamming", None) => Ok(Self::Hamming),
            ("blackman", None) => Ok(Self::Blackman),
            ("blackmanharris", None) => Ok(Self::BlackmanHarris),
            ("flattop", None) => Ok(Self::FlatTop),
            ("kaiser", Some(beta)) if (0.0..=700.0).contains(&beta) => Ok(Self::Kaiser(beta)),
            ("tukey", Some(share)) if (0.0..=1.0).contains(&share) => Ok(Self::Tukey(share)),
            ("tukey", None) => Ok(Self::Tukey(0.5)),
            ("gaussian", Some(deviation)) if deviation > 0.0 && deviation.is_finite() => {
                Ok(Self::Gaussian(deviation))
            }
            ("kaiser", _) => Err("`kaiser` needs its beta, from 0 to 700: `kaiser(8.6)`".into()),
            ("tukey", _) => Err("`tukey` needs its share, from 0 to 1: `tukey(0.25)`".into()),
            ("gaussian", _) => {
                Err("`gaussian` needs its standard deviation in samples: `gaussian(512)`".into())
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boxcar => f.write_str("boxcar"),
            Self::Hann => f.write_str("hann"),
            Self::Hamming => f.write_str("hamming"),
            Self::Blackman => f.write_str("blackman"),
            Self::BlackmanHarris => f.write_str("blackmanharris"),
            Self::FlatTop => f.write_str("flattop"),
            Self::Kaiser(beta) => write!(f, "kaiser({beta})"),
            Self::Tukey(share) => write!(f, "tukey({share})"),
            Self::Gaussian(deviation) => write!(f, "gaussian({deviation})"),
        }
    }
}

impl Window {
    /// The weights of `samples` samples.
    pub fn weights(self, samples: usize) -> Vec<f64> {
        if samples <= 1 {
            return vec![1.0; samples];
        }
        // The symmetric window of one sample more.
        let last = samples as f64;
        let at = |i: usize| i as f64;
        let of = |weight: &dyn Fn(usize) -> f64| (0..samples).map(weight).collect();
        let cosines = |terms: &[f64]| {
            let sum = |i: usize| {
                let angle = -PI + at(i) * (2.0 * PI / last);
                let term = |(k, a): (usize, &f64)| a * (k as f64 * angle).cos();
                terms.iter().enumerate().map(term).sum()
            };
            of(&sum)
        };
        match self {
            Self::Boxcar => vec![1.0; samples],
            Self::Hann => cosines(&[0.5, 0.5]),
            Self::Hamming => cosines(&[0.54, 0.46]),
            Self::Blackman => cosines(&[0.42, 0.5, 0.08]),
            Self::BlackmanHarris => cosines(&[0.358_75, 0.488_29, 0.141_28, 0.011_68]),
            Self::FlatTop => cosines(&[
                0.215_578_95,
                0.416_631_58,
                0.277_263_158,
                0.083_578_947,
                0.006_947_368,
            ]),
            Self::Kaiser(beta) => {
                let half = last / 2.0;
                of(&|i| {
                    let from_middle = (at(i) - half) / half;
                    let inside = (1.0 - from_middle * from_middle).max(0.0);
                    bessel(beta * inside.sqrt()) / bessel(beta)
                })
            }
            Self::Tukey(share) if share <= 0.0 => vec![1.0; samples],
            Self::Tukey(share) if share >= 1.0 => Self::Hann.weights(samples),
            Self::Tukey(share) => of(&|i| tukey(i, last, share)),
            Self::Gaussian(deviation) => of(&|i| {
                let from_middle = at(i) - last / 2.0;
                (-from_middle * from_middle / (2.0 * deviation * deviation)).exp()
            }),
        }
    }
}

/// A flat top between two halves of a raised cosine.
fn tukey(i: usize, last: f64, share: f64) -> f64 {
    let n = i as f64;
    let width = (share * last / 2.0).floor();
    if n <= width {
        0.5 * (1.0 + (PI * (-1.0 + 2.0 * n / share / last)).cos())
    } else if n < last - width {
        1.0
    } else {
        0.5 * (1.0 + (PI * (-2.0 / share + 1.0 + 2.0 * n / share / last)).cos())
    }
}

/// The modified Bessel function of the first kind and order 0, by its power series: all terms are positive, so nothing cancels.
fn bessel(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1.. {
        term *= quarter / (k as f64 * k as f64);
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `scipy.signal.get_window(name, 5)` gives (scipy 1.16).
    #[test]
    fn weights_are_those_of_scipy() {
        let table = [
            ("boxcar", [1.0, 1.0, 1.0, 1.0, 1.0]),
            (
                "hann",
                [
                    0.0,
                    0.345_491_502_812_526_3,
                    0.904_508_497_187_473_7,
                    0.904_508_497_187_473_7,
                    0.345_491_502_812_526_3,
                ],
            ),
            (
                "hamming",
                [
                    0.08,
                    0.397_852_182_587_524_2,
                    0.912_147_817_412_475_8,
                    0.912_147_817_412_475_8,
                    0.397_852_182_587_524_2,
                ],
            ),
            (
                "tukey(0.5)",
                [
                    0.0,
                    0.904_508_497_187_473_7,
                    1.0,
                    1.0,
                    0.904_508_497_187_473_7,
                ],
            ),
        ];
        for (name, expected) in table {
            let window: Window = name.parse().expect("a window");
            for (found, expected) in window.weights(5).iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-15,
                    "{name}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn windows_are_written_as_they_are_read() {
        for name in NAMES {
            let window: Window = name.parse().expect("a window");
            assert_eq!(window.to_string(), name);
            assert_eq!(window.weights(1), [1.0]);
            assert_eq!(window.weights(16).len(), 16);
        }
        for wrong in [
            "han",
            "kaiser",
            "tukey(2)",
            "gaussian(-1)",
            "hann(3)",
            "kaiser(x)",
            "hann(",
        ] {
            assert!(wrong.parse::<Window>().is_err(), "{wrong}");
        }
    }
}
