//! Exact sums of many numbers side by side, such as the bins of a spectrum: each has a window of its own, as their sizes differ widely.
//!
//! A window is two limbs of 40 bits, like those of a column of sums ([`super::window`]), from eight bits above the first number down. What
//! is too large moves the window, what is too fine goes to a big integer, and moves the window if it keeps coming. Where a window is changes
//! speed and never a sum.

use super::kernel::{self, BLOCK, LIMB, decode, magic};
use super::number::{Number, bits, trailing_zeros};
use super::wide::{Big, Wide};

/// Bits above the first number.
const SPARE: i32 = 8;
/// Bits of a window.
const BITS: i32 = 2 * LIMB;
/// Additions after which limbs are settled: each puts at most 2^40 into one.
const PATIENCE: u32 = 1 << 20;
/// Numbers that are too fine before the window moves down to them.
const MISSES: u8 = 16;
/// The highest unit of a window: above, a magic number would be too large.
const HIGHEST: i32 = 930;
/// No window yet.
const NONE: i32 = i32::MIN;

/// A row of sums.
#[derive(Debug, Default)]
pub(crate) struct Bins {
    units: Vec<i32>,
    /// The magic numbers of the low limbs and of the high ones; infinite where there is no window, so that nothing fits.
    magics: [Vec<f64>; 2],
    limbs: [Vec<i64>; 2],
    misses: Vec<u8>,
    wide: Wide,
    /// Whether something that was added was infinite.
    infinite: Vec<bool>,
    additions: u32,
}

impl Bins {
    /// So many sums of nothing.
    pub(crate) fn new(bins: usize) -> Self {
        Self {
            units: vec![NONE; bins],
            magics: [vec![f64::INFINITY; bins], vec![f64::INFINITY; bins]],
            limbs: [vec![0; bins], vec![0; bins]],
            misses: vec![0; bins],
            wide: Wide::default(),
            infinite: Vec::new(),
            additions: 0,
        }
    }

    /// How many sums there are.
    pub(crate) fn len(&self) -> usize {
        self.units.len()
    }

    /// Adds a number to each; they are not negative and not NaN.
    pub(crate) fn add(&mut self, values: &[f64]) {
        let usual = kernel::rounds_to_nearest();
        for start in (0..values.len()).step_by(BLOCK) {
            let block = start..values.len().min(start + BLOCK);
            let magics = [
                &self.magics[0][block.clone()],
                &self.magics[1][block.clone()],
            ];
            let [low, high] = &mut self.limbs;
            let sums = [&mut low[block.clone()], &mut high[block.clone()]];
            if !usual || !kernel::side_by_side(&values[block.clone()], magics, sums) {
                block.for_each(|bin| self.add_one(bin, values[bin]));
            }
        }
        self.additions += 1;
        if self.additions >= PATIENCE {
            self.settle();
        }
    }

    fn add_one(&mut self, bin: usize, value: f64) {
        if value == 0.0 {
            return;
        }
        if !value.is_finite() {
            self.infinite.resize(self.len(), false);
            self.infinite[bin] = true;
            return;
        }
        let (_, integer, exponent) = decode(value);
        let zeros = integer.trailing_zeros();
        let (integer, exponent) = (integer >> zeros, exponent + zeros as i32);
        let top = exponent + 64 - integer.leading_zeros() as i32;
        if top > HIGHEST + BITS {
            return self.wide.add(bin, false, &[integer], exponent);
        }
        let unit = self.units[bin];
        if unit == NONE || top > unit + BITS {
            self.move_window(bin, top);
        } else if exponent < unit {
            self.misses[bin] += 1;
            if self.misses[bin] < MISSES {
                return self.wide.add(bin, false, &[integer], exponent);
            }
            self.move_window(bin, top);
        }
        // A window reaches at least 53 bits below the number that it was put around, or down to the smallest double.
        let limbs = i128::from(integer) << (exponent - self.units[bin]);
        self.add_limbs(bin, limbs);
    }

    fn add_limbs(&mut self, bin: usize, integer: i128) {
        self.limbs[0][bin] += (integer & ((1 << LIMB) - 1)) as i64;
        self.limbs[1][bin] += (integer >> LIMB) as i64;
    }

    /// Puts a bin's window around numbers below `2^top`. What it had goes to the big integer.
    fn move_window(&mut self, bin: usize, top: i32) {
        self.set_aside(bin);
        let unit = (top + SPARE - BITS).clamp(-1074, HIGHEST);
        self.units[bin] = unit;
        self.magics[0][bin] = magic(unit);
        self.magics[1][bin] = magic(unit + LIMB);
        self.misses[bin] = 0;
    }

    fn set_aside(&mut self, bin: usize) {
        let integer = self.window(bin);
        if integer != 0 {
            let words = [integer as u64, (integer >> 64) as u64];
            self.wide.add(bin, false, &words, self.units[bin]);
        }
        self.limbs.iter_mut().for_each(|limbs| limbs[bin] = 0);
    }

    /// What a bin's window has, in its unit. Never negative, since a cut rounds both ways and the low limb may be.
    fn window(&self, bin: usize) -> i128 {
        i128::from(self.limbs[0][bin]) + (i128::from(self.limbs[1][bin]) << LIMB)
    }

    /// Moves what the limbs have beyond their bits up, and from windows that are full to the big integers.
    fn settle(&mut self) {
        self.additions = 0;
        for bin in 0..self.len() {
            let carry = (self.limbs[0][bin] + (1 << (LIMB - 1))) >> LIMB;
            self.limbs[0][bin] -= carry << LIMB;
            self.limbs[1][bin] += carry;
            if self.limbs[1][bin] >= 1 << 61 {
                self.set_aside(bin);
            }
        }
    }

    /// A sum, without what was infinite.
    pub(crate) fn number(&self, bin: usize) -> Number {
        let here = match self.units[bin] {
            NONE => Number::ZERO,
            unit => Number::from_integer(self.window(bin), unit),
        };
        match self.wide.get(bin) {
            None => here,
            Some(big) => {
                let mut all: Big = big.clone();
                all.add_number(&here);
                all.number()
            }
        }
    }

    /// A sum divided by a count, rounded once.
    pub(crate) fn mean(&self, bin: usize, count: u64) -> f64 {
        match self.infinite.get(bin) {
            Some(true) => f64::INFINITY,
            _ => self.number(bin).divided_by(count),
        }
    }

    /// Appends the sums' bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for bin in 0..self.len() {
            out.push(u8::from(self.infinite.get(bin) == Some(&true)));
            self.number(bin).write(out);
        }
    }

    /// Adds sums that `write` wrote; `None` if they are not such bytes.
    pub(crate) fn read(&mut self, bytes: &mut &[u8]) -> Option<()> {
        for bin in 0..self.len() {
            let (infinite, rest) = bytes.split_first()?;
            *bytes = rest;
            if *infinite == 1 {
                self.add_one(bin, f64::INFINITY);
            }
            self.merge(bin, &Number::read(bytes)?);
        }
        Some(())
    }

    fn merge(&mut self, bin: usize, sum: &Number) {
        let words = sum.words();
        debug_assert!(trailing_zeros(words) == 0 && !sum.is_negative());
        let top = sum.exponent() + bits(words);
        if self.units[bin] == NONE && bits(words) > 0 && top <= HIGHEST + BITS {
            self.move_window(bin, top);
        }
        let unit = self.units[bin];
        if unit == NONE || sum.exponent() < unit || top > unit + BITS {
            return self.wide.add(bin, false, words, sum.exponent());
        }
        // It has at most the bits of a window.
        let word = |at: usize| words.get(at).map_or(0, |word| i128::from(*word));
        let integer = word(0) | (word(1) << 64);
        self.add_limbs(bin, integer << (sum.exponent() - unit));
        // It may stand for many additions; settling soon keeps the limbs small whatever comes.
        self.additions += 1;
    }

    /// The bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let bins = self.units.capacity();
        bins * (4 + 16 + 16 + 1) + self.infinite.capacity() + self.wide.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;

    /// The sum of doubles as an integer of units of 2^-1074.
    fn expected(values: impl Iterator<Item = f64>) -> BigUint {
        values.fold(BigUint::ZERO, |sum, x| {
            let (_, integer, exponent) = decode(x);
            sum + (BigUint::from(integer) << (exponent + 1074) as usize)
        })
    }

    fn found(number: &Number) -> BigUint {
        let words = number.words().iter().rev();
        let integer = words.fold(BigUint::ZERO, |sum, word| {
            (sum << 64) + BigUint::from(*word)
        });
        let shift = number.exponent() + 1074;
        if shift < 0 {
            integer >> -shift as usize
        } else {
            integer << shift as usize
        }
    }

    fn mixed(i: u64) -> u64 {
        let x = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^ (x >> 32)
    }

    /// Numbers that go up and down in size, more wildly with the bin.
    fn value(row: u64, bin: u64) -> f64 {
        let x = (mixed(row * 1000 + bin) >> 11) as f64 / (1_u64 << 53) as f64;
        let wild = match bin % 5 {
            0 => 0,
            1 => (mixed(row) % 20) as i32 - 10,
            2 => {
                if row > 50 {
                    60
                } else {
                    -20
                }
            }
            3 => (mixed(bin + row) % 1200) as i32 - 600,
            _ => {
                if row < 50 {
                    60
                } else {
                    -300
                }
            }
        };
        x * 2.0_f64.powi(wild)
    }

    #[test]
    fn sums_are_exact_whatever_the_numbers_and_merges() {
        const BINS: u64 = 300;
        const ROWS: u64 = 120;
        let row = |row| -> Vec<f64> { (0..BINS).map(|bin| value(row, bin)).collect() };
        let mut whole = Bins::new(BINS as usize);
        (0..ROWS).for_each(|r| whole.add(&row(r)));
        let mut parts = [(); 3].map(|()| Bins::new(BINS as usize));
        (0..ROWS)
            .rev()
            .for_each(|r| parts[(mixed(r) % 3) as usize].add(&row(r)));
        let mut merged = Bins::new(BINS as usize);
        for part in &parts {
            let mut bytes = Vec::new();
            part.write(&mut bytes);
            let mut rest = &bytes[..];
            merged.read(&mut rest).expect("its own bytes");
            assert!(rest.is_empty());
        }
        let [mut a, mut b] = [Vec::new(), Vec::new()];
        whole.write(&mut a);
        merged.write(&mut b);
        assert_eq!(a, b);
        merged.settle();
        for bin in 0..BINS {
            let exact = expected((0..ROWS).map(|row| value(row, bin)));
            assert_eq!(found(&whole.number(bin as usize)), exact, "{bin}");
            assert_eq!(found(&merged.number(bin as usize)), exact, "{bin}");
        }
    }

    #[test]
    fn extremes_have_a_sum() {
        let mut bins = Bins::new(4);
        for _ in 0..3 {
            bins.add(&[0.0, f64::from_bits(1), f64::MAX, f64::INFINITY]);
        }
        assert_eq!(bins.mean(0, 3), 0.0);
        assert_eq!(bins.mean(1, 3), f64::from_bits(1));
        assert_eq!(bins.mean(2, 3), f64::MAX);
        assert_eq!(bins.mean(3, 3), f64::INFINITY);
        let mut bytes = Vec::new();
        bins.write(&mut bytes);
        let mut again = Bins::new(4);
        again.read(&mut &bytes[..]).expect("its own bytes");
        assert_eq!(again.mean(3, 3), f64::INFINITY);
    }

    #[test]
    fn many_additions_settle() {
        let mut bins = Bins::new(2);
        for _ in 0..2 * u64::from(PATIENCE) + 5 {
            bins.add(&[1.0, 0.1]);
        }
        let count = 2 * u64::from(PATIENCE) + 5;
        assert_eq!(bins.mean(0, count), 1.0);
        assert_eq!(bins.mean(1, count), 0.1);
    }
}
