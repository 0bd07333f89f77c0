//! Exact sums of numbers, 16 bytes a group, with what infinities and NaN make of them.

use super::kernel::{self, BLOCK, Scratch};
use super::number::{Number, read_varint, write_varint};
use super::store::{Block, Store, Term, group};

const INFINITE: u8 = 1;
const MINUS_INFINITE: u8 = 2;
const NOT_A_NUMBER: u8 = 4;

struct Floats<'a>(&'a [f64]);

impl Block<2> for Floats<'_> {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn cut(&self, unit: i32, limbs: &mut Scratch<2>) -> bool {
        kernel::numbers(self.0, unit, limbs)
    }

    fn total(&self, unit: i32, _: &mut Scratch<2>) -> Option<[i64; 2]> {
        kernel::total(self.0, unit)
    }
}

/// Whole numbers of some width.
pub trait Whole: Copy + Into<i128> {
    /// Cuts numbers into two limbs in units of 1; false if one is too large.
    fn cut(values: &[Self], limbs: &mut Scratch<2>) -> bool;
}

impl Whole for i64 {
    fn cut(values: &[Self], limbs: &mut Scratch<2>) -> bool {
        kernel::integers(values, limbs);
        true
    }
}

impl Whole for u64 {
    fn cut(values: &[Self], limbs: &mut Scratch<2>) -> bool {
        kernel::naturals(values, limbs);
        true
    }
}

impl Whole for i128 {
    fn cut(values: &[Self], limbs: &mut Scratch<2>) -> bool {
        kernel::long_integers(values, limbs)
    }
}

struct Integers<'a, T>(&'a [T]);

impl<T: Whole> Block<2> for Integers<'_, T> {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn cut(&self, unit: i32, limbs: &mut Scratch<2>) -> bool {
        unit == 0 && T::cut(self.0, limbs)
    }
}

/// The exact sum of each group.
#[derive(Debug)]
pub struct Sums {
    store: Store<2>,
    /// Per group, which of the three things that are not numbers it met; empty until one is.
    strange: Vec<u8>,
    whole: bool,
}

impl Sums {
    /// For floating-point numbers.
    pub fn of_floats() -> Self {
        Self::new(false)
    }

    /// For whole numbers.
    pub fn of_integers() -> Self {
        Self::new(true)
    }

    fn new(whole: bool) -> Self {
        let mut store = Store::new((-1074, 930), 6);
        if whole {
            store.open(0);
        }
        Self {
            store,
            strange: Vec::new(),
            whole,
        }
    }

    /// Makes room for groups.
    pub fn resize(&mut self, groups: usize) {
        self.store.resize(groups);
    }

    /// Adds row `i` to the `i`-th group, or all rows to group 0.
    pub fn add(&mut self, groups: Option<&[u32]>, values: &[f64]) {
        let trusted = kernel::rounds_to_nearest();
        let mut scratch = Scratch::default();
        for (block, values) in values.chunks(BLOCK).enumerate() {
            let groups = groups.map(|groups| &groups[block * BLOCK..][..values.len()]);
            let try_it = trusted && !self.store.backs_off();
            if !(try_it && self.store.quick(groups, &Floats(values), &mut scratch)) {
                self.add_slowly(groups, values, try_it.then_some(&mut scratch));
            }
        }
    }

    /// What is not a number goes to its flags; the rest has another chance.
    #[cold]
    fn add_slowly(
        &mut self,
        groups: Option<&[u32]>,
        values: &[f64],
        scratch: Option<&mut Scratch<2>>,
    ) {
        let mut numbers = [0.0; BLOCK];
        let numbers = &mut numbers[..values.len()];
        let mut strange = false;
        for (number, x) in numbers.iter_mut().zip(values) {
            // A zero adds nothing to the group.
            *number = if x.is_finite() { *x } else { 0.0 };
            strange |= !x.is_finite();
        }
        if strange {
            let rows = values.iter().enumerate();
            for (row, x) in rows.filter(|(_, x)| !x.is_finite()) {
                self.note(group(groups, row), *x);
            }
        }
        let block = Floats(numbers);
        if let Some(scratch) = scratch
            && ((strange && self.store.quick(groups, &block, scratch))
                || self.store.quick_elsewhere(groups, &block, scratch))
        {
            return;
        }
        self.store.slow(groups, values.len(), |row| {
            let (negative, integer, exponent) = kernel::decode(numbers[row]);
            Term {
                negative,
                integer: [integer],
                exponent,
            }
        });
    }

    /// Takes note of an infinity or NaN, as if it had been added.
    #[cold]
    pub fn note(&mut self, group: usize, x: f64) {
        self.flag(
            group,
            match x {
                f64::INFINITY => INFINITE,
                f64::NEG_INFINITY => MINUS_INFINITE,
                _ => NOT_A_NUMBER,
            },
        );
    }

    fn flag(&mut self, group: usize, flags: u8) {
        if group >= self.strange.len() {
            self.strange.resize(group + 1, 0);
        }
        self.strange[group] |= flags;
    }

    /// Adds whole numbers (`i64`, `u64` or `i128`); only for sums made by [`Sums::of_integers`].
    pub fn add_whole<T: Whole>(&mut self, groups: Option<&[u32]>, values: &[T]) {
        debug_assert!(self.whole);
        let mut scratch = Scratch::default();
        for (block, values) in values.chunks(BLOCK).enumerate() {
            let groups = groups.map(|groups| &groups[block * BLOCK..][..values.len()]);
            if !self.store.quick(groups, &Integers(values), &mut scratch) {
                self.store.slow(groups, values.len(), |row| {
                    let value: i128 = values[row].into();
                    let size = value.unsigned_abs();
                    Term {
                        negative: value < 0,
                        integer: [size as u64, (size >> 64) as u64],
                        exponent: 0,
                    }
                });
            }
        }
    }

    /// Adds one term `±integer * 2^exponent` (the integer's least word first); [`Sums::settle`] must follow.
    pub fn add_term(&mut self, group: usize, negative: bool, integer: &[u64], exponent: i32) {
        let term = Number::new(negative, integer, exponent);
        self.store.merge(group, &term);
    }

    /// The exact sum of a group's numbers.
    pub fn number(&self, group: usize) -> Number {
        self.store.number(group)
    }

    /// What IEEE 754 makes of the sum, if infinities or NaN are in it.
    pub fn strange(&self, group: usize) -> Option<f64> {
        match self.strange.get(group).copied().unwrap_or(0) {
            0 => None,
            INFINITE => Some(f64::INFINITY),
            MINUS_INFINITE => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    /// Appends the canonical bytes of a group's sum.
    pub fn write(&self, group: usize, out: &mut Vec<u8>) {
        out.push(self.strange.get(group).copied().unwrap_or(0));
        self.number(group).write(out);
    }

    /// Adds a sum that [`Sums::write`] wrote; `None` if the bytes are no such thing. [`Sums::settle`] must follow.
    pub fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
        let (flags, rest) = bytes.split_first()?;
        *bytes = rest;
        let number = Number::read(bytes)?;
        if *flags != 0 {
            self.flag(group, *flags);
        }
        self.store.merge(group, &number);
        Some(())
    }

    /// Ends a series of `terms` calls of [`Sums::read`] or [`Sums::add_term`].
    pub fn settle(&mut self, terms: usize) {
        self.store.settle(terms);
    }

    /// The bytes held.
    pub fn bytes(&self) -> usize {
        self.store.bytes() + self.strange.capacity()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::new(self.whole);
    }
}

/// How many rows each group has: 4 bytes a group until there are so many rows that these might not do.
#[derive(Debug, Default)]
pub struct Counts {
    small: Vec<u32>,
    large: Vec<u64>,
    /// Rows in all, or more.
    rows: u64,
}

/// No group can have more rows than there are.
const MOST_OF_SMALL: u64 = u32::MAX as u64;

impl Counts {
    /// Makes room for groups.
    pub fn resize(&mut self, groups: usize) {
        match self.is_small() {
            true => super::grow(&mut self.small, groups, 0),
            false => super::grow(&mut self.large, groups, 0),
        }
    }

    fn is_small(&self) -> bool {
        self.rows <= MOST_OF_SMALL
    }

    /// Is told of rows before they are counted.
    #[inline]
    fn expect(&mut self, rows: u64) {
        let small = self.is_small();
        self.rows = self.rows.saturating_add(rows);
        if small && !self.is_small() {
            let counts = std::mem::take(&mut self.small);
            self.large = counts.into_iter().map(u64::from).collect();
        }
    }

    /// Counts one for each row's group, or all rows for group 0.
    #[inline]
    pub fn add(&mut self, groups: Option<&[u32]>, rows: usize) {
        let Some(groups) = groups else {
            return self.raise(0, rows as u64);
        };
        if let Some(group) = kernel::only_group(groups) {
            return self.raise(group as usize, groups.len() as u64);
        }
        self.expect(rows as u64);
        let groups = groups.iter().map(|group| *group as usize);
        match self.is_small() {
            true => groups.for_each(|group| self.small[group] += 1),
            false => groups.for_each(|group| self.large[group] += 1),
        }
    }

    /// The count of a group.
    pub fn of(&self, group: usize) -> u64 {
        match self.is_small() {
            true => self.small[group].into(),
            false => self.large[group],
        }
    }

    /// Adds to the count of a group.
    #[inline]
    pub fn raise(&mut self, group: usize, by: u64) {
        self.expect(by);
        match self.is_small() {
            true => self.small[group] += by as u32,
            false => self.large[group] = self.large[group].wrapping_add(by),
        }
    }

    /// Appends the bytes of a count.
    pub fn write(&self, group: usize, out: &mut Vec<u8>) {
        write_varint(self.of(group), out);
    }

    /// Adds a count that [`Counts::write`] wrote.
    pub fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
        let count = read_varint(bytes)?;
        self.raise(group, count);
        Some(())
    }

    /// The bytes held.
    pub fn bytes(&self) -> usize {
        self.small.capacity() * 4 + self.large.capacity() * 8
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_grow_wide_when_they_might_overflow() {
        let mut counts = Counts::default();
        counts.resize(3);
        counts.add(Some(&[1, 2, 1]), 3);
        counts.raise(1, MOST_OF_SMALL - 3);
        assert!(counts.is_small());
        counts.add(Some(&[1, 1]), 2);
        counts.resize(4);
        counts.add(Some(&[3]), 1);
        assert!(!counts.is_small());
        let found: Vec<u64> = (0..4).map(|group| counts.of(group)).collect();
        assert_eq!(found, [0, MOST_OF_SMALL + 1, 1, 1]);
        let mut bytes = Vec::new();
        counts.write(1, &mut bytes);
        let mut other = Counts::default();
        other.resize(1);
        other.read(0, &mut bytes.as_slice()).expect("a count");
        assert_eq!(other.of(0), MOST_OF_SMALL + 1);
        counts.clear();
        assert_eq!(counts.bytes(), 0);
    }
}
