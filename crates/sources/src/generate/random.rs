//! Random numbers that are a function of (seed, column, purpose, row number), so that any row can be made by itself.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood 2014): its n-th number is a mix of `key + n * golden`, which needs no
//! state. Every use has a key of its own, so columns are independent of each other and of which of them are wanted.

use std::f64::consts::TAU;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// An endless list of random numbers that can be read anywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    key: u64,
}

impl Stream {
    /// The stream of one column for one purpose ("value", "null" ...).
    pub(crate) fn new(seed: u64, column: &str, purpose: &str) -> Self {
        let absorb = |key: u64, byte: &u8| mix((key ^ u64::from(*byte)).wrapping_add(GOLDEN));
        let key = mix(seed.wrapping_add(GOLDEN));
        let key = column.as_bytes().iter().fold(key, absorb);
        // A byte that is in no UTF-8 text keeps ("ab", "c") and ("a", "bc") apart.
        let key = absorb(key, &0xff);
        Self {
            key: purpose.as_bytes().iter().fold(key, absorb),
        }
    }

    /// The `n`-th number: 64 random bits.
    pub(crate) fn bits(self, n: u64) -> u64 {
        mix(self.key.wrapping_add(n.wrapping_mul(GOLDEN)))
    }

    /// Evenly in 0 (inclusive) to 1 (exclusive).
    pub(crate) fn unit(self, n: u64) -> f64 {
        (self.bits(n) >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// True for a share of `rate` of all numbers.
    pub(crate) fn hit(self, n: u64, rate: f64) -> bool {
        self.unit(n) < rate
    }

    /// A whole number below `count` (Lemire's multiplication; the bias is below `count` / 2^64).
    pub(crate) fn below(self, n: u64, count: u64) -> u64 {
        ((u128::from(self.bits(n)) * u128::from(count)) >> 64) as u64
    }

    /// Normally distributed with mean 0 and deviation 1.
    pub(crate) fn normal(self, n: u64) -> f64 {
        // Half a step above the grid, so that neither 0 nor 1 can come out.
        let p = ((self.bits(n) >> 12) as f64 + 0.5) * (1.0 / (1_u64 << 52) as f64);
        normal_quantile(p)
    }

    /// A wave of amplitude 1 over `turns` full turns, whose phase is the `n`-th number.
    pub(crate) fn wave(self, n: u64, turns: f64) -> f64 {
        wave(turns + self.unit(n))
    }
}

/// The sine of so many full turns.
pub(crate) fn wave(turns: f64) -> f64 {
    (TAU * turns.fract()).sin()
}

/// How far row `n` is in a cycle of `period` rows, 0 to 1; exact for whole periods, however large `n`.
pub(crate) fn turn(n: u64, period: u64) -> f64 {
    (n % period) as f64 / period as f64
}

const A: [f64; 8] = [
    3.3871328727963665,
    133.14166789178438,
    1971.5909503065513,
    13731.69376550946,
    45921.95393154987,
    67265.7709270087,
    33430.57558358813,
    2509.0809287301227,
];
const B: [f64; 8] = [
    1.0,
    42.31333070160091,
    687.1870074920579,
    5394.196021424751,
    21213.794301586597,
    39307.89580009271,
    28729.085735721943,
    5226.495278852854,
];
const C: [f64; 8] = [
    1.4234371107496835,
    4.630337846156546,
    5.769497221460691,
    3.6478483247632045,
    1.2704582524523684,
    0.2417807251774506,
    0.022723844989269184,
    0.0007745450142783414,
];
const D: [f64; 8] = [
    1.0,
    2.053191626637759,
    1.6763848301838038,
    0.6897673349851,
    0.14810397642748008,
    0.015198666563616457,
    0.0005475938084995345,
    1.0507500716444169e-09,
];
const E: [f64; 8] = [
    6.657904643501103,
    5.463784911164114,
    1.7848265399172913,
    0.29656057182850487,
    0.026532189526576124,
    0.0012426609473880784,
    2.7115555687434876e-05,
    2.0103343992922881e-07,
];
const F: [f64; 8] = [
    1.0,
    0.599832206555888,
    0.1369298809227358,
    0.014875361290850615,
    0.0007868691311456133,
    1.8463183175100548e-05,
    1.421511758316446e-07,
    2.0442631033899397e-15,
];

fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// The inverse of the normal distribution's cumulative function: Wichura's algorithm AS 241 (1988), PPND16.
fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&A, r) / polynomial(&B, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = (-tail.ln()).sqrt();
    let distance = if r <= 5.0 {
        polynomial(&C, r - 1.6) / polynomial(&D, r - 1.6)
    } else {
        polynomial(&E, r - 5.0) / polynomial(&F, r - 5.0)
    };
    distance.copysign(q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        // Expected by Python's statistics.NormalDist().inv_cdf.
        for (p, z) in [
            (0.5, 0.0),
            (0.975, 1.959963984540054),
            (0.001, -3.090232306167813),
            (1e-12, -7.034483825301132),
        ] {
            let found = normal_quantile(p);
            assert!((found - z).abs() < 1e-12, "{p}: {found} is not {z}");
        }
    }

    #[test]
    fn moments_are_right() {
        let stream = Stream::new(7, "x", "value");
        let n = 200_000_u64;
        let mean = (0..n).map(|i| stream.normal(i)).sum::<f64>() / n as f64;
        let square = (0..n).map(|i| stream.normal(i).powi(2)).sum::<f64>() / n as f64;
        let even = (0..n).map(|i| stream.unit(i)).sum::<f64>() / n as f64;
        assert!(
            mean.abs() < 0.01 && (square - 1.0).abs() < 0.02,
            "{mean} {square}"
        );
        assert!((even - 0.5).abs() < 0.005, "{even}");
        assert!((0..n).all(|i| stream.below(i, 3) < 3));
    }

    #[test]
    fn streams_differ_by_seed_column_and_purpose() {
        let first = |seed, column, purpose| Stream::new(seed, column, purpose).bits(0);
        let all = [
            first(1, "ab", "c"),
            first(1, "a", "bc"),
            first(2, "ab", "c"),
            first(1, "ab", "d"),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
    }
}
