//! The slow road: sums of any binary numbers at all, one big integer per group that needs it.

use super::number::{Number, bits, extract};

/// Additions after which carries are settled: each puts less than 2^33 into a limb.
const PATIENCE: u32 = 1 << 29;

/// A sum as limbs of 32 bits, each an `i64` so that carries can wait; limb `i` counts `2^(32 (low + i))`.
#[derive(Clone, Debug, Default)]
pub struct Big {
    low: i32,
    limbs: Vec<i64>,
    additions: u32,
}

impl Big {
    /// Adds `±words * 2^exponent`.
    pub fn add(&mut self, negative: bool, words: &[u64], exponent: i32) {
        let length = bits(words);
        if length == 0 {
            return;
        }
        let first = exponent.div_euclid(32);
        let shift = exponent.rem_euclid(32);
        let count = (length + shift + 31) / 32;
        self.reach(first, count);
        let at = (first - self.low) as usize;
        let limbs = &mut self.limbs[at..at + count as usize];
        for (i, limb) in limbs.iter_mut().enumerate() {
            let piece = (extract(words, 32 * i as i32 - shift) & 0xffff_ffff) as i64;
            *limb += if negative { -piece } else { piece };
        }
        self.additions += 1;
        if self.additions >= PATIENCE {
            self.settle();
        }
    }

    /// Adds another number.
    pub fn add_number(&mut self, number: &Number) {
        self.add(number.is_negative(), number.words(), number.exponent());
    }

    /// Makes sure that limbs `first..first + count` are there.
    fn reach(&mut self, first: i32, count: i32) {
        if self.limbs.is_empty() {
            self.low = first;
        }
        if first < self.low {
            let more = (self.low - first) as usize;
            self.limbs.splice(0..0, std::iter::repeat_n(0, more));
            self.low = first;
        }
        let needed = (first + count - self.low) as usize;
        if needed > self.limbs.len() {
            self.limbs.resize(needed, 0);
        }
    }

    /// Carries, so that every limb but the last is in `0..2^32`.
    fn settle(&mut self) {
        let carry = carry(&mut self.limbs);
        if carry != 0 {
            self.limbs.push(carry);
        }
        self.additions = 0;
    }

    /// The sum.
    pub fn number(&self) -> Number {
        let mut limbs = self.limbs.clone();
        let mut top = carry(&mut limbs);
        let negative = top < 0;
        if negative {
            limbs.iter_mut().for_each(|limb| *limb = -*limb);
            top = -top + carry(&mut limbs);
        }
        limbs.push(top & 0xffff_ffff);
        limbs.push(top >> 32);
        let words: Vec<u64> = limbs
            .chunks(2)
            .map(|pair| pair[0] as u64 | (pair.get(1).map_or(0, |high| *high as u64) << 32))
            .collect();
        Number::new(negative, &words, 32 * self.low)
    }

    fn bytes(&self) -> usize {
        self.limbs.capacity() * 8
    }
}

/// Leaves 32 bits in each limb and returns what goes above the last one.
fn carry(limbs: &mut [i64]) -> i64 {
    let mut carry = 0;
    for limb in limbs {
        let sum = *limb + carry;
        *limb = sum & 0xffff_ffff;
        carry = sum >> 32;
    }
    carry
}

/// The big sums of the groups that have one.
#[derive(Debug, Default)]
pub struct Wide {
    /// Per group: 0, or one more than the place of its sum. Empty until the first is needed.
    slots: Vec<u32>,
    sums: Vec<Big>,
    limb_bytes: usize,
}

impl Wide {
    /// Adds `±words * 2^exponent` to a group.
    pub fn add(&mut self, group: usize, negative: bool, words: &[u64], exponent: i32) {
        if group >= self.slots.len() {
            self.slots.resize(group + 1, 0);
        }
        if self.slots[group] == 0 {
            self.sums.push(Big::default());
            self.slots[group] = self.sums.len() as u32;
        }
        let sum = &mut self.sums[self.slots[group] as usize - 1];
        let before = sum.bytes();
        sum.add(negative, words, exponent);
        self.limb_bytes += sum.bytes() - before;
    }

    /// Whether no group has one.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// The big sum of a group, if it has one.
    pub fn get(&self, group: usize) -> Option<&Big> {
        let slot = *self.slots.get(group)?;
        (slot > 0).then(|| &self.sums[slot as usize - 1])
    }

    /// The bytes held.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * 4 + self.sums.capacity() * size_of::<Big>() + self.limb_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Terms<'a> = &'a [(bool, u64, i32)];

    fn sum(terms: Terms<'_>) -> Number {
        let mut big = Big::default();
        for (negative, integer, exponent) in terms {
            big.add(*negative, &[*integer], *exponent);
        }
        big.number()
    }

    #[test]
    fn sums_are_exact_at_any_distance() {
        let table: [(Terms<'_>, f64); 6] = [
            (&[], 0.0),
            (
                &[(false, 1, 1000), (false, 1, -1000), (true, 1, 1000)],
                2_f64.powi(-1000),
            ),
            (
                &[(true, 1, -2000), (false, 1, -1074), (false, 1, -2000)],
                f64::from_bits(1),
            ),
            (&[(true, 3, 0), (false, 1, 0)], -2.0),
            (
                &[(true, u64::MAX, 0), (false, u64::MAX, 0), (true, 1, 31)],
                -2_147_483_648.0,
            ),
            (
                &[(false, u64::MAX, 0), (false, 1, 0)],
                18_446_744_073_709_551_616.0,
            ),
        ];
        for (terms, expected) in table {
            assert_eq!(sum(terms).to_f64(), expected);
            let mut halves = Big::default();
            for half in terms.chunks(2) {
                let mut big = Big::default();
                half.iter().for_each(|(n, i, e)| big.add(*n, &[*i], *e));
                big.settle();
                halves.add_number(&big.number());
            }
            assert_eq!(halves.number().to_f64(), expected);
        }
    }

    #[test]
    fn settling_changes_nothing_and_takes_what_waits() {
        for negative in [false, true] {
            let mut big = Big::default();
            for _ in 0..1000 {
                big.add(negative, &[u64::MAX, u64::MAX], 7);
            }
            let before = big.number();
            for _ in 0..3 {
                big.settle();
                assert_eq!(big.number().words(), before.words());
                assert_eq!(big.number().is_negative(), negative);
            }
            // As many additions as may wait, at their largest.
            big.limbs
                .iter_mut()
                .for_each(|limb| *limb = (limb.signum() + 1) << 62 >> 1);
            big.settle();
            assert!(big.limbs.iter().rev().skip(1).all(|limb| *limb >> 32 == 0));
        }
    }

    #[test]
    fn groups_without_outliers_cost_a_slot() {
        let mut wide = Wide::default();
        wide.add(999, true, &[5], -3);
        assert!(wide.get(3).is_none() && wide.get(5000).is_none());
        assert_eq!(wide.get(999).expect("added").number().to_f64(), -0.625);
        assert!(wide.bytes() < 8192 + 1000);
    }
}
