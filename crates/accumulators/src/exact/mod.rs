//! Sums of numbers, products and powers without any rounding, for many groups at once, in any order, mergeable.
//!
//! A sum is held as a few 40-bit limbs per group in units of one power of two per column (`Store`), so that adding a
//! number that fits is one or two vector additions. A column may open up to four such windows; what fits none of them
//! goes, integer by integer, to `Wide`. What is read at the end is a [`Number`]: an odd integer times a power of
//! two, a function of what was added and of nothing else. Rounding happens once, when somebody asks for an `f64`.

mod bins;
mod kernel;
mod number;
mod powers;
mod products;
mod store;
mod sums;
mod wide;
mod window;

pub(crate) use bins::Bins;
pub(crate) use number::{Number, read_varint, round, write_varint};
pub(crate) use powers::{Cubes, Fourths};
pub(crate) use products::Products;
pub(crate) use sums::{Counts, Sums};

/// How many rows the kernels take at a time: their scratch stays in the first-level cache.
pub(crate) const BLOCK: usize = kernel::BLOCK;

#[cfg(test)]
mod tests;

/// Makes room for `length` entries, filled with `value`, and for a fifth more: doubling would hold up to twice the memory
/// that many groups need, and moving to a new place five times as often costs less than the rows in between.
pub(crate) fn grow<T: Copy>(entries: &mut Vec<T>, length: usize, value: T) {
    if length > entries.capacity() {
        let room = length + length / 5;
        entries.reserve_exact(room - entries.len());
    }
    if length > entries.len() {
        entries.resize(length, value);
    }
}
