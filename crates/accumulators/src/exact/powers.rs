//! Exact sums of cubes and fourth powers, 48 and 64 bytes a group, with integer operations throughout.

use super::kernel::{self, BLOCK};
use super::number::Number;
use super::store::{Store, Term};

macro_rules! powers {
    ($(#[$doc:meta])* $name:ident, $limbs:literal, $term:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            store: Store<$limbs>,
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    store: Store::new((-5000, 5000), 12),
                }
            }
        }

        impl $name {
            /// Makes room for groups.
            pub fn resize(&mut self, groups: usize) {
                self.store.resize(groups);
            }

            /// Adds the powers of finite numbers to the groups.
            pub fn add(&mut self, groups: Option<&[u32]>, values: &[f64]) {
                for (block, values) in values.chunks(BLOCK).enumerate() {
                    let groups = groups.map(|groups| &groups[block * BLOCK..][..values.len()]);
                    self.store.slow(groups, values.len(), |row| $term(values[row]));
                }
            }

            /// The exact sum of a group's powers.
            pub fn number(&self, group: usize) -> Number {
                self.store.number(group)
            }

            /// Appends the canonical bytes of a group's sum.
            pub fn write(&self, group: usize, out: &mut Vec<u8>) {
                self.number(group).write(out);
            }

            /// Adds a sum that `write` wrote; `None` if the bytes are no such thing. `settle` must follow.
            pub fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
                self.store.merge(group, &Number::read(bytes)?);
                Some(())
            }

            /// Ends a series of `terms` calls of `read`.
            pub fn settle(&mut self, terms: usize) {
                self.store.settle(terms);
            }

            /// The bytes held.
            pub fn bytes(&self) -> usize {
                self.store.bytes()
            }

            /// Forgets everything.
            pub fn clear(&mut self) {
                self.store.clear();
            }
        }
    };
}

powers! {
    /// The exact sum of the cubes of each group.
    Cubes, 6, cube
}

powers! {
    /// The exact sum of the fourth powers of each group.
    Fourths, 8, fourth
}

/// `a * b` as words, least first.
fn times(a: u128, b: u64) -> [u64; 3] {
    let low = u128::from(a as u64) * u128::from(b);
    let high = (a >> 64) * u128::from(b) + (low >> 64);
    [low as u64, high as u64, (high >> 64) as u64]
}

fn cube(x: f64) -> Term<[u64; 3]> {
    let (negative, integer, exponent) = kernel::decode(x);
    Term {
        negative,
        integer: times(u128::from(integer) * u128::from(integer), integer),
        exponent: 3 * exponent,
    }
}

fn fourth(x: f64) -> Term<[u64; 4]> {
    let (_, integer, exponent) = kernel::decode(x);
    let square = u128::from(integer) * u128::from(integer);
    let low = times(square, square as u64);
    let high = times(square, (square >> 64) as u64);
    // The square has at most 106 bits, so the fourth power at most 212.
    let middle = u128::from(low[1]) + u128::from(high[0]);
    let third = u128::from(low[2]) + u128::from(high[1]) + (middle >> 64);
    Term {
        negative: false,
        integer: [
            low[0],
            middle as u64,
            third as u64,
            high[2] + (third >> 64) as u64,
        ],
        exponent: 4 * exponent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rest of an integer, since no integer of ours is wide enough to check against.
    fn modulo(words: &[u64], prime: u128) -> u128 {
        let words = words.iter().rev();
        words.fold(0, |rest, word| ((rest << 64) + u128::from(*word)) % prime)
    }

    #[test]
    fn powers_are_exact() {
        for integer in [1_u64, 3, 1 << 52, (1 << 53) - 1, 0x0012_3456_789a_bcde] {
            let x = integer as f64;
            let (_, odd, exponent) = kernel::decode(x);
            let (third, fourth) = (cube(-x), fourth(-x));
            assert!(third.negative && !fourth.negative);
            assert_eq!(
                (third.exponent, fourth.exponent),
                (3 * exponent, 4 * exponent)
            );
            for prime in [2_147_483_647_u128, 2_147_483_629, 2_147_483_587] {
                let rest = u128::from(odd) % prime;
                let square = rest * rest % prime;
                assert_eq!(modulo(&third.integer, prime), square * rest % prime);
                assert_eq!(modulo(&fourth.integer, prime), square * square % prime);
            }
        }
    }
}
