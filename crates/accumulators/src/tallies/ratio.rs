//! Quotients of big integers, and their square roots, as the nearest double.

use num_bigint::{BigInt, BigUint, Sign};

use crate::exact::{Number, round};

/// The integer of `number` in units of `2^unit`; no bit may lie below the unit.
pub(crate) fn scaled(number: &Number, unit: i32) -> BigInt {
    if number.is_zero() {
        return BigInt::default();
    }
    let words = number.words().iter();
    let digits = words.flat_map(|word| [*word as u32, (word >> 32) as u32]);
    let sign = if number.is_negative() {
        Sign::Minus
    } else {
        Sign::Plus
    };
    let integer = BigInt::from_biguint(sign, BigUint::new(digits.collect()));
    integer << (number.exponent() - unit) as usize
}

/// The largest unit that a sum of `power`-th powers allows for the numbers themselves; no bound if the sum is zero.
pub(crate) fn unit(number: &Number, power: i32) -> Option<i32> {
    (!number.is_zero()).then(|| number.exponent().div_euclid(power))
}

/// The first 126 or 127 bits of a quotient, whether anything follows, and the exponent of the last one, which has the parity
/// of `exponent + parity`.
fn quotient(above: &BigUint, below: &BigUint, exponent: i32, even: bool) -> (u128, bool, i32) {
    let mut shift = 126 + below.bits() as i32 - above.bits() as i32;
    if even && (exponent - shift) % 2 != 0 {
        shift -= 1;
    }
    let (above, below) = match shift {
        0.. => (above << shift as usize, below.clone()),
        _ => (above.clone(), below << -shift as usize),
    };
    let quotient = &above / &below;
    let rest = &quotient * &below != above;
    let top = u128::try_from(&quotient).unwrap_or(u128::MAX);
    (top, rest, exponent - shift)
}

/// The double nearest to `above / below * 2^exponent`, where `below` is positive.
pub(crate) fn divided(above: &BigInt, below: &BigInt, exponent: i32) -> f64 {
    if above.sign() == Sign::NoSign {
        return 0.0;
    }
    let (top, more, exponent) = quotient(above.magnitude(), below.magnitude(), exponent, false);
    round(above.sign() == Sign::Minus, top, more, exponent)
}

/// The double nearest to the square root of `above / below * 2^exponent`, neither of which is negative.
pub(crate) fn root(above: &BigInt, below: &BigInt, exponent: i32) -> f64 {
    if above.sign() == Sign::NoSign {
        return 0.0;
    }
    let (top, more, exponent) = quotient(above.magnitude(), below.magnitude(), exponent, true);
    // 125 bits at least, so the root has 63: enough to round by, with what is known to follow.
    let root = top.isqrt();
    round(false, root, more || root * root != top, exponent / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_and_roots_are_rounded_once() {
        let big = |n: i64| BigInt::from(n);
        assert_eq!(divided(&big(1), &big(3), 0), 1.0 / 3.0);
        assert_eq!(divided(&big(-10), &big(5), 3), -16.0);
        assert_eq!(
            divided(&(big(1) << 3000), &(big(3) << 2990), 0),
            1024.0 / 3.0
        );
        assert_eq!(divided(&big(1), &big(3), 2000), f64::INFINITY);
        assert_eq!(divided(&big(1), &big(3), -1072), f64::from_bits(1));
        assert_eq!(root(&big(2), &big(1), 0), 2_f64.sqrt());
        assert_eq!(root(&big(9), &big(4), 0), 1.5);
        assert_eq!(root(&big(1), &big(1), 2001), 2_f64.powf(1000.5));
        assert_eq!(root(&big(3), &big(7), -1), (3.0_f64 / 14.0).sqrt());
        assert_eq!(root(&(big(1) << 4000), &big(1), -4000), 1.0);
    }

    #[test]
    fn numbers_become_integers() {
        let number = Number::from_integer(-12, -5);
        assert_eq!(scaled(&number, -7), BigInt::from(-48));
        assert_eq!((unit(&number, 2), unit(&Number::ZERO, 2)), (Some(-2), None));
    }
}
