//! An exact binary number, its one canonical form, its bytes, and its rounding to an `f64`.

/// The words of an integer, least first. Six hold whatever a window can hold; more are rare.
#[derive(Clone, Debug)]
enum Words {
    Few([u64; 6], u8),
    Many(Vec<u64>),
}

/// `±integer * 2^exponent` with an odd integer, or zero: equal numbers have equal forms.
#[derive(Clone, Debug)]
pub struct Number {
    negative: bool,
    exponent: i32,
    words: Words,
}

/// The number of bits of an integer.
#[inline]
pub(super) fn bits(words: &[u64]) -> i32 {
    match words.iter().rposition(|word| *word != 0) {
        Some(top) => 64 * (top as i32 + 1) - words[top].leading_zeros() as i32,
        None => 0,
    }
}

/// How many of the lowest bits of a nonzero integer are 0.
#[inline]
pub(super) fn trailing_zeros(words: &[u64]) -> i32 {
    match words.iter().position(|word| *word != 0) {
        Some(low) => 64 * low as i32 + words[low].trailing_zeros() as i32,
        None => 0,
    }
}

/// The 64 bits of an integer from bit `start` on, which may lie below or above it.
#[inline]
pub(super) fn extract(words: &[u64], start: i32) -> u64 {
    if start < 0 {
        return match start {
            ..=-64 => 0,
            _ => words.first().map_or(0, |word| word << -start),
        };
    }
    let (word, bit) = ((start / 64) as usize, start % 64);
    let low = words.get(word).map_or(0, |word| word >> bit);
    match bit {
        0 => low,
        _ => low | words.get(word + 1).map_or(0, |word| word << (64 - bit)),
    }
}

impl Number {
    /// Zero.
    pub const ZERO: Number = Number {
        negative: false,
        exponent: 0,
        words: Words::Few([0; 6], 0),
    };

    /// `±words * 2^exponent`, words least first.
    pub fn new(negative: bool, words: &[u64], exponent: i32) -> Self {
        let length = bits(words);
        if length == 0 {
            return Self::ZERO;
        }
        let zeros = trailing_zeros(words);
        let count = ((length - zeros + 63) / 64) as usize;
        let word = |i: usize| extract(words, zeros + 64 * i as i32);
        let words = if count <= 6 {
            let mut few = [0; 6];
            (0..count).for_each(|i| few[i] = word(i));
            Words::Few(few, count as u8)
        } else {
            Words::Many((0..count).map(word).collect())
        };
        Self {
            negative,
            exponent: exponent + zeros,
            words,
        }
    }

    /// `integer * 2^exponent`.
    #[inline]
    pub fn from_integer(integer: i128, exponent: i32) -> Self {
        if integer == 0 {
            return Self::ZERO;
        }
        let zeros = integer.trailing_zeros();
        let odd = integer.unsigned_abs() >> zeros;
        let (low, high) = (odd as u64, (odd >> 64) as u64);
        Self {
            negative: integer < 0,
            exponent: exponent + zeros as i32,
            words: Words::Few([low, high, 0, 0, 0, 0], 1 + u8::from(high != 0)),
        }
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.words().is_empty()
    }

    /// The power of two that its integer counts.
    pub fn exponent(&self) -> i32 {
        self.exponent
    }

    /// Its integer, least word first.
    pub fn words(&self) -> &[u64] {
        match &self.words {
            Words::Few(words, count) => &words[..*count as usize],
            Words::Many(words) => words,
        }
    }

    /// The number as an integer, if it is one and fits.
    pub fn integer(&self) -> Option<i128> {
        let length = bits(self.words());
        if length == 0 {
            return Some(0);
        }
        if self.exponent < 0 || self.exponent + length > 127 {
            return None;
        }
        let low = u128::from(self.words()[0]);
        let high = u128::from(self.words().get(1).copied().unwrap_or(0));
        let size = (((high << 64) | low) << self.exponent) as i128;
        Some(if self.negative { -size } else { size })
    }

    /// The top 128 bits (all of them, for a shorter integer, shifted up), whether ones follow, and the exponent.
    fn top(&self) -> (u128, bool, i32) {
        let words = self.words();
        let start = bits(words) - 128;
        let high = u128::from(extract(words, start + 64));
        let top = (high << 64) | u128::from(extract(words, start));
        // The integer is odd, so bits below the top 128 are never all zero.
        (top, start > 0, self.exponent + start)
    }

    /// The nearest `f64`, ties to even.
    pub fn to_f64(&self) -> f64 {
        if self.is_zero() {
            return 0.0;
        }
        let (top, more, exponent) = self.top();
        round(self.negative, top, more, exponent)
    }

    /// The `f64` nearest to the quotient by a count, rounded once.
    pub fn divided_by(&self, count: u64) -> f64 {
        if self.is_zero() {
            return 0.0;
        }
        let (top, more, exponent) = self.top();
        let count = u128::from(count);
        // The top bit is set, so the quotient has at least 64 bits, and what follows only matters as "not zero".
        let quotient = top / count;
        let rest = top - quotient * count;
        round(self.negative, quotient, more || rest != 0, exponent)
    }

    /// Appends its bytes: twice the integer's length plus the sign as a varint, then exponent and integer unless zero.
    pub fn write(&self, out: &mut Vec<u8>) {
        let words = self.words();
        let length = (bits(words) as usize).div_ceil(8);
        if (1..=16).contains(&length) {
            let high = words.get(1).copied().unwrap_or(0);
            let integer = u128::from(words[0]) | (u128::from(high) << 64);
            let mut bytes = [0; 19];
            bytes[0] = (length as u8) << 1 | u8::from(self.negative);
            bytes[1..3].copy_from_slice(&(self.exponent as i16).to_le_bytes());
            bytes[3..].copy_from_slice(&integer.to_le_bytes());
            return out.extend_from_slice(&bytes[..3 + length]);
        }
        write_varint((length as u64) << 1 | u64::from(self.negative), out);
        if length == 0 {
            return;
        }
        // Fourth powers of doubles span 2^-4296 to 2^4096, so every exponent fits.
        out.extend_from_slice(&(self.exponent as i16).to_le_bytes());
        let (whole, part) = (length / 8, length % 8);
        for word in &words[..whole] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        if part > 0 {
            out.extend_from_slice(&words[whole].to_le_bytes()[..part]);
        }
    }

    /// Takes a number off the front of bytes that [`Number::write`] made; `None` if they are not such bytes.
    pub fn read(bytes: &mut &[u8]) -> Option<Self> {
        let header = read_varint(bytes)?;
        let length = usize::try_from(header >> 1).ok()?;
        if length == 0 {
            return Some(Self::ZERO);
        }
        let (exponent, rest) = bytes.split_first_chunk::<2>()?;
        let (integer, rest) = rest.split_at_checked(length)?;
        *bytes = rest;
        let negative = header & 1 == 1;
        let exponent = i32::from(i16::from_le_bytes(*exponent));
        if length <= 16 {
            let mut all = [0; 16];
            all[..length].copy_from_slice(integer);
            let all = u128::from_le_bytes(all);
            let words = [all as u64, (all >> 64) as u64, 0, 0, 0, 0];
            let words = Words::Few(words, 1 + u8::from(length > 8));
            return Some(Self {
                negative,
                exponent,
                words,
            });
        }
        let word = |chunk: &[u8]| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        };
        let chunks = integer.chunks(8).map(word);
        let words = if length <= 48 {
            let mut few = [0; 6];
            few.iter_mut().zip(chunks).for_each(|(to, from)| *to = from);
            Words::Few(few, length.div_ceil(8) as u8)
        } else {
            Words::Many(chunks.collect())
        };
        Some(Self {
            negative,
            exponent,
            words,
        })
    }
}

/// Appends a number, seven bits to a byte.
pub fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number off the front that [`write_varint`] made.
pub fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The `f64` nearest to `±(magnitude + something below 1, if more) * 2^exponent`, ties to even.
///
/// With `more`, the magnitude must have at least 55 bits, so that the something lies below the rounding bit.
pub fn round(negative: bool, magnitude: u128, more: bool, exponent: i32) -> f64 {
    let sign = u64::from(negative) << 63;
    if magnitude == 0 {
        return f64::from_bits(sign);
    }
    let top = exponent + 127 - magnitude.leading_zeros() as i32;
    let unit = (top - 52).max(-1074);
    let drop = unit - exponent;
    debug_assert!(!more || drop > 0);
    let mut whole = match drop {
        ..=0 => (magnitude << -drop) as u64,
        1..=127 => (magnitude >> drop) as u64,
        _ => 0,
    };
    if (1..=128).contains(&drop) {
        let half = 1_u128 << (drop - 1);
        let below = more || magnitude & (half - 1) != 0;
        whole += u64::from(magnitude & half != 0 && (below || whole & 1 == 1));
    }
    // A fraction that was rounded up to 2^53 carries into the exponent field by itself, and so to infinity.
    let bits = if whole < 1 << 52 {
        whole
    } else {
        let field = (unit + 1074) as u64;
        match field {
            2046.. => 0x7ff << 52,
            _ => (field << 52) + whole,
        }
    };
    f64::from_bits(sign | bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_even_over_the_whole_range() {
        let table: [(u128, bool, i32, f64); 14] = [
            (1, false, 0, 1.0),
            (1 << 53, false, -53, 1.0),
            ((1 << 53) + 1, false, 0, 9_007_199_254_740_992.0),
            ((1 << 53) + 3, false, 0, 9_007_199_254_740_996.0),
            ((1 << 54) + 2, true, -1, 9_007_199_254_740_994.0),
            ((1 << 54) - 1, false, -54, 1.0),
            (1, false, -1074, f64::from_bits(1)),
            (1, false, -1075, 0.0),
            (3, false, -1075, f64::from_bits(2)),
            (u128::MAX, true, -1074 - 129, 0.0),
            (1 << 127, true, -1074 - 128, f64::from_bits(1)),
            ((1 << 53) - 1, false, 971, f64::MAX),
            ((1 << 54) - 1, false, 970, f64::INFINITY),
            (1, false, 1024, f64::INFINITY),
        ];
        for (magnitude, more, exponent, expected) in table {
            let x = round(false, magnitude, more, exponent);
            assert_eq!(x, expected, "{magnitude} {more} {exponent}");
            assert_eq!(round(true, magnitude, more, exponent), -expected);
        }
        for x in [f64::MIN_POSITIVE, 0.1, 1e300, f64::MAX, f64::from_bits(77)] {
            let (negative, words, exponent) = super::super::kernel::decode(x);
            assert_eq!(Number::new(negative, &[words], exponent).to_f64(), x);
        }
    }

    #[test]
    fn equal_numbers_have_equal_bytes_and_come_back() {
        let long = [3, 0, 0, 0, 0, 0, 0, 1];
        let table: [(&[u64], i32, &[u64], i32); 4] = [
            (&[12], 0, &[3], 2),
            (&[0, 1], -64, &[1], 0),
            (&[], 9, &[0], 3),
            (&long, 5, &long, 5),
        ];
        for (a, at, b, bt) in table {
            let (a, b) = (Number::new(true, a, at), Number::new(true, b, bt));
            let (mut x, mut y) = (vec![], vec![]);
            a.write(&mut x);
            b.write(&mut y);
            assert_eq!(x, y);
            let mut rest = x.as_slice();
            let back = Number::read(&mut rest).expect("whole");
            assert!(rest.is_empty());
            assert_eq!(back.words(), a.words());
            assert_eq!(back.exponent(), a.exponent());
            assert!(Number::read(&mut &x[..x.len() - 1]).is_none());
        }
    }

    #[test]
    fn means_are_rounded_once() {
        // (2^53 + 1) / 1 is a tie; a third of 2^-1074 is nearer to zero; half of twice the largest does not overflow.
        assert_eq!(Number::from_integer(1, -1074).divided_by(3), 0.0);
        assert_eq!(Number::from_integer(1, 0).divided_by(3), 1.0 / 3.0);
        let twice = Number::from_integer((1 << 53) - 1, 972);
        assert_eq!(twice.to_f64(), f64::INFINITY);
        assert_eq!(twice.divided_by(2), f64::MAX);
        assert_eq!(Number::from_integer(-7, 3).integer(), Some(-56));
        assert_eq!(Number::from_integer(1, -1).integer(), None);
    }
}
