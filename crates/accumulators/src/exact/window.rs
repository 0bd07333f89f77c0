//! One window of a column of sums: `K` limbs of 40 bits per group, in units of one power of two for all groups.
//!
//! Bounds. A row puts at most 2^40 into each limb, and limbs are settled every 2^22 rows: they then hold at most 2^39, the
//! top one less than 2^61. So between two settlings no limb passes 2^61 + 2^62 < 2^63, and nothing can wrap. A merged sum
//! may have a longer top limb (below 2^60); whoever adds one settles its group at once if the limb passed 2^61.

use super::kernel::LIMB;
use super::number::{Number, extract};
use super::wide::Wide;

const ROWS: usize = 1 << 22;
const FULL: u64 = 1 << 61;
/// Enough for the 340 bits of the longest sum.
const WORDS: usize = 6;
const MASK: u64 = (1 << LIMB) - 1;

/// See the module.
#[derive(Debug)]
pub struct Window<const K: usize> {
    unit: i32,
    rows: usize,
    pub(super) limbs: Vec<[i64; K]>,
}

impl<const K: usize> Window<K> {
    /// The bits that one row may reach.
    pub const ROW: i32 = LIMB * K as i32;
    /// The bits that a merged sum may reach.
    pub const SUM: i32 = Self::ROW + 20;

    /// A window in units of `2^unit`.
    pub fn new(unit: i32, groups: usize) -> Self {
        Self {
            unit,
            rows: 0,
            limbs: vec![[0; K]; groups],
        }
    }

    /// The exponent of its unit.
    pub fn unit(&self) -> i32 {
        self.unit
    }

    /// Announces rows; settles first if these might be too many.
    pub fn expect(&mut self, rows: usize, wide: &mut Wide) {
        if self.rows + rows > ROWS {
            for group in 0..self.limbs.len() {
                self.settle(group, wide);
            }
            self.rows = 0;
        }
        self.rows += rows;
    }

    /// Whether a term whose bits are all in `low..top` is a whole number of units and has no more bits than `room`.
    #[inline]
    pub fn takes(&self, low: i32, top: i32, room: i32) -> bool {
        low >= self.unit && top <= self.unit + room
    }

    /// Cuts `words * 2^exponent`, which the window takes, into limbs.
    #[inline]
    pub fn cut(&self, words: &[u64], exponent: i32) -> [i64; K] {
        let shift = exponent - self.unit;
        if let (2, [low, above @ ..]) = (K, words)
            && above.len() <= 1
        {
            let high = above.first().copied().unwrap_or(0);
            let integer = u128::from(*low) | (u128::from(high) << 64);
            let integer = match shift {
                0.. => integer << (shift & 127),
                _ => integer >> (-shift & 127),
            };
            let mut limbs = [(integer as u64 & MASK) as i64; K];
            limbs[1] = (integer >> LIMB) as i64;
            return limbs;
        }
        let units = match shift {
            0.. => up(words, shift as usize),
            _ => std::array::from_fn(|word| extract(words, 64 * word as i32 - shift)),
        };
        // With constant places in the words, which is why they were shifted as a whole.
        std::array::from_fn(|j| {
            let (word, bit) = (LIMB as usize * j / 64, LIMB as usize * j % 64);
            let low = units[word] >> bit;
            let high = if bit > 0 {
                units[word + 1] << (64 - bit)
            } else {
                0
            };
            let bits = low | high;
            (if j + 1 < K { bits & MASK } else { bits }) as i64
        })
    }

    /// Adds limbs that [`Window::cut`] made with the room of a row.
    #[inline]
    pub fn add(&mut self, group: usize, negative: bool, limbs: [i64; K]) {
        for (sum, limb) in self.limbs[group].iter_mut().zip(limbs) {
            *sum = sum.wrapping_add(if negative { -limb } else { limb });
        }
    }

    /// Adds limbs that [`Window::cut`] made with the room of a sum.
    #[inline]
    pub fn add_sum(&mut self, group: usize, negative: bool, limbs: [i64; K], wide: &mut Wide) {
        self.add(group, negative, limbs);
        if self.limbs[group][K - 1].unsigned_abs() > FULL {
            self.settle(group, wide);
        }
    }

    /// Carries from limb to limb; what the top one cannot keep moves out.
    fn settle(&mut self, group: usize, wide: &mut Wide) {
        let limbs = &mut self.limbs[group];
        for j in 1..K {
            let carry = (limbs[j - 1] + (1 << (LIMB - 1))) >> LIMB;
            limbs[j - 1] -= carry << LIMB;
            limbs[j] += carry;
        }
        let top = limbs[K - 1];
        if top.unsigned_abs() >= FULL {
            let out = top >> LIMB;
            limbs[K - 1] = top & MASK as i64;
            let unit = self.unit + Self::ROW;
            wide.add(group, out < 0, &[out.unsigned_abs()], unit);
        }
    }

    /// The sum of a group.
    pub fn number(&self, group: usize) -> Number {
        let limbs = &self.limbs[group];
        if K == 2 {
            let sum = (i128::from(limbs[1]) << LIMB) + i128::from(limbs[0]);
            return Number::from_integer(sum, self.unit);
        }
        let mut digits = *limbs;
        let negative = carry(&mut digits) < 0;
        if negative {
            digits = limbs.map(|limb| -limb);
            carry(&mut digits);
        }
        let mut words = [0_u64; WORDS];
        for (j, digit) in digits.iter().enumerate() {
            let (word, bit) = (LIMB as usize * j / 64, LIMB as usize * j % 64);
            let digit = u128::from(*digit as u64) << bit;
            words[word] |= digit as u64;
            if let Some(next) = words.get_mut(word + 1) {
                *next |= (digit >> 64) as u64;
            }
        }
        Number::new(negative, &words, self.unit)
    }

    /// The bytes held.
    pub fn bytes(&self) -> usize {
        self.limbs.capacity() * size_of::<[i64; K]>()
    }
}

/// The words of an integer shifted up; nothing of it may reach beyond the words.
#[inline]
fn up(words: &[u64], shift: usize) -> [u64; WORDS] {
    let (word, bit) = (shift / 64, shift % 64);
    let mut shifted = [0; WORDS];
    for (i, bits) in words.iter().enumerate() {
        let bits = u128::from(*bits) << bit;
        if let Some(low) = shifted.get_mut(word + i) {
            *low |= bits as u64;
        }
        if let Some(high) = shifted.get_mut(word + i + 1) {
            *high |= (bits >> 64) as u64;
        }
    }
    shifted
}

/// Leaves 40 bits in every limb but the last, which it returns.
fn carry<const K: usize>(limbs: &mut [i64; K]) -> i64 {
    for j in 1..K {
        limbs[j] += limbs[j - 1] >> LIMB;
        limbs[j - 1] &= MASK as i64;
    }
    limbs[K - 1]
}

#[cfg(test)]
mod tests {
    use super::super::number::{bits, trailing_zeros};
    use super::*;

    #[test]
    fn what_fits_is_cut_and_read_back() {
        let mut window = Window::<4>::new(-100, 1);
        let table: [(bool, &[u64], i32, bool); 6] = [
            (false, &[7], -100, true),
            (true, &[7], -101, false),
            (true, &[14], -101, true),
            (false, &[u64::MAX, 5], -90, true),
            (true, &[1], 59, true),
            (true, &[1], 60, false),
        ];
        for (negative, words, exponent, fits) in table {
            let low = exponent + trailing_zeros(words);
            let top = exponent + bits(words);
            let taken = window.takes(low, top, Window::<4>::ROW);
            assert_eq!(taken, fits, "{words:?} {exponent}");
            if taken {
                let limbs = window.cut(words, exponent);
                window.add(0, negative, limbs);
                let number = window.number(0);
                let expected = Number::new(negative, words, exponent);
                assert_eq!(number.words(), expected.words());
                assert_eq!(number.to_f64(), expected.to_f64());
                window.add(0, !negative, limbs);
                assert!(window.number(0).is_zero());
            }
        }
    }

    #[test]
    fn settling_keeps_the_sum_and_moves_out_what_is_too_large() {
        for sign in [1, -1] {
            let (mut window, mut wide) = (Window::<2>::new(0, 1), Wide::default());
            let terms = [sign * ((1 << 62) + 12345), sign * ((1 << 62) + (1 << 61))];
            window.limbs[0] = terms;
            let before = window.number(0);
            window.expect(ROWS, &mut wide);
            window.expect(1, &mut wide);
            assert!(window.limbs[0][0].abs() <= 1 << 39 && window.limbs[0][1].abs() <= 1 << 40);
            let mut big = wide.get(0).expect("too large").clone();
            big.add_number(&window.number(0));
            assert_eq!(big.number().words(), before.words());
            assert_eq!(big.number().is_negative(), sign < 0);
        }
    }

    #[test]
    fn merged_sums_may_be_long() {
        let (mut window, mut wide) = (Window::<2>::new(0, 1), Wide::default());
        let words = [u64::MAX, (1 << 36) - 1];
        for _ in 0..50 {
            let limbs = window.cut(&words, 0);
            window.add_sum(0, true, limbs, &mut wide);
        }
        let mut big = wide.get(0).expect("promoted").clone();
        big.add_number(&window.number(0));
        let expected = -50.0 * (2_f64.powi(100) - 1.0);
        assert_eq!(big.number().to_f64(), expected);
        assert!(window.takes(0, 100, Window::<2>::SUM));
        assert!(!window.takes(0, 101, Window::<2>::SUM));
    }
}
