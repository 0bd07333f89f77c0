//! Intervals of one width, a power of two, that get wider as more of them are needed: which values share one depends on the values
//! alone.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// The least width that is tried, and what 0 has by itself.
const FINEST: i32 = -1020;
/// Whole numbers up to 2 to this are told apart.
const WHOLE: i32 = 52;

/// The number of the interval of a width that a value is in.
fn number(value: f64, exponent: i32) -> i64 {
    let scaled = value / power(exponent);
    // Rounded towards zero, which is above a negative one; `floor` would be a call where processors are of any age.
    let number = scaled as i64;
    number - i64::from(number as f64 > scaled)
}

/// Two to a power from -1022 to 1023, exactly.
fn power(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// The middle of an interval.
pub fn middle(number: i64, exponent: i32) -> f64 {
    (number as f64 + 0.5) * power(exponent)
}

/// The finest width whose intervals have numbers for a value.
fn finest(value: f64) -> i32 {
    let exponent = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    (exponent - WHOLE).max(FINEST)
}

/// What an interval holds.
pub trait Merge {
    /// Takes in what the interval right above holds: it is one with this one now.
    fn merge(&mut self, above: Self);
}

/// Intervals with something in them, at most so many. Values must be finite and smaller than 1e300.
#[derive(Clone, Debug)]
pub struct Buckets<T> {
    most: usize,
    /// The width is two to this power.
    exponent: i32,
    list: Vec<(i64, T)>,
    /// Where the last value went: the next one is mostly there, too, or right behind.
    at: usize,
}

impl<T: Merge> Buckets<T> {
    /// Room for so many.
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(2),
            exponent: FINEST,
            list: Vec::new(),
            at: 0,
        }
    }

    /// The interval that a value is in; made with `empty` if it has none yet. Then others may be merged.
    pub fn of(&mut self, value: f64, empty: impl FnOnce() -> T) -> &mut T {
        let finest = finest(value);
        if finest > self.exponent {
            self.widen(finest);
        }
        let wanted = number(value, self.exponent);
        self.at = match self.found(wanted) {
            Ok(at) => at,
            Err(at) => {
                self.list.insert(at, (wanted, empty()));
                at
            }
        };
        if self.list.len() > self.most {
            self.widen(self.needed());
            let wanted = number(value, self.exponent);
            // It has just been put in.
            self.at = self.found(wanted).unwrap_or(0);
        }
        &mut self.list[self.at].1
    }

    fn found(&self, wanted: i64) -> Result<usize, usize> {
        for at in [self.at, self.at + 1] {
            if self
                .list
                .get(at)
                .is_some_and(|(number, _)| *number == wanted)
            {
                return Ok(at);
            }
        }
        self.list
            .binary_search_by_key(&wanted, |(number, _)| *number)
    }

    /// The least width with which there are not too many.
    fn needed(&self) -> i32 {
        let numbers = || self.list.iter().map(|(number, _)| *number);
        widened(numbers, self.exponent, self.most)
    }

    fn widen(&mut self, exponent: i32) {
        let by = shift(self.exponent, exponent);
        let old = std::mem::take(&mut self.list);
        for (number, held) in old {
            let number = number >> by;
            match self.list.last_mut() {
                Some((last, below)) if *last == number => below.merge(held),
                _ => self.list.push((number, held)),
            }
        }
        self.exponent = exponent;
        self.at = 0;
    }

    pub fn iter(&self) -> impl Iterator<Item = &(i64, T)> {
        self.list.iter()
    }

    pub fn exponent(&self) -> i32 {
        self.exponent
    }

    /// Puts back what was there, in the same order.
    pub fn put_back(&mut self, exponent: i32, number: i64, held: T) {
        self.exponent = exponent;
        self.list.push((number, held));
    }
}

fn shift(from: i32, to: i32) -> u32 {
    (to - from).clamp(0, 63) as u32
}

/// The least width, from `exponent` on, with which ascending numbers are at most so many.
fn widened<I: Iterator<Item = i64>>(numbers: impl Fn() -> I, exponent: i32, most: usize) -> i32 {
    (exponent..1023)
        .find(|wider| {
            let by = shift(exponent, *wider);
            let mut before = None;
            let different =
                numbers().filter(|number| before.replace(number >> by) != Some(number >> by));
            different.count() <= most
        })
        .unwrap_or(1023)
}

/// Intervals on two axes, with something in some of the places where they cross.
#[derive(Clone, Debug)]
pub struct Crossed<T> {
    most: [usize; 2],
    exponents: [i32; 2],
    /// The numbers that occur along each axis.
    taken: [BTreeSet<i64>; 2],
    cells: BTreeMap<(i64, i64), T>,
}

impl<T: Merge> Crossed<T> {
    /// Room for so many along each axis.
    pub fn new(most: [usize; 2]) -> Self {
        Self {
            most: most.map(|most| most.max(2)),
            exponents: [FINEST; 2],
            taken: [BTreeSet::new(), BTreeSet::new()],
            cells: BTreeMap::new(),
        }
    }

    /// Puts something where it belongs. What is there already has come before.
    pub fn add(&mut self, values: [f64; 2], held: T) {
        for (axis, value) in values.into_iter().enumerate() {
            let finest = finest(value);
            if finest > self.exponents[axis] {
                self.widen(axis, finest);
            }
        }
        let numbers = [0, 1].map(|axis| number(values[axis], self.exponents[axis]));
        self.put(numbers, held);
        for axis in [0, 1] {
            if self.taken[axis].len() > self.most[axis] {
                let numbers = || self.taken[axis].iter().copied();
                let wider = widened(numbers, self.exponents[axis], self.most[axis]);
                self.widen(axis, wider);
            }
        }
    }

    fn put(&mut self, [x, y]: [i64; 2], held: T) {
        match self.cells.entry((x, y)) {
            Entry::Occupied(mut there) => there.get_mut().merge(held),
            Entry::Vacant(free) => {
                free.insert(held);
                self.taken[0].insert(x);
                self.taken[1].insert(y);
            }
        }
    }

    fn widen(&mut self, axis: usize, exponent: i32) {
        let by = shift(self.exponents[axis], exponent);
        let old = std::mem::take(&mut self.cells);
        self.taken = [BTreeSet::new(), BTreeSet::new()];
        for ((x, y), held) in old {
            let numbers = match axis {
                0 => [x >> by, y],
                _ => [x, y >> by],
            };
            self.put(numbers, held);
        }
        self.exponents[axis] = exponent;
    }

    pub fn iter(&self) -> impl Iterator<Item = (&(i64, i64), &T)> {
        self.cells.iter()
    }

    pub fn exponents(&self) -> [i32; 2] {
        self.exponents
    }

    /// Puts back what was there.
    pub fn put_back(&mut self, exponents: [i32; 2], numbers: [i64; 2], held: T) {
        self.exponents = exponents;
        self.put(numbers, held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many values there are, and the sum of them.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Count(u64, f64);

    impl Merge for Count {
        fn merge(&mut self, above: Self) {
            self.0 += above.0;
            self.1 += above.1;
        }
    }

    fn filled(values: &[f64], most: usize) -> Buckets<Count> {
        let mut buckets = Buckets::new(most);
        for value in values {
            buckets.of(*value, Count::default).merge(Count(1, *value));
        }
        buckets
    }

    #[test]
    fn few_values_have_an_interval_each() {
        for (values, counts) in [
            (vec![-1.0, 1e8, 1e8 + 1e-7], vec![1, 1, 1]),
            (vec![7.0, 5.0, 5.0, -1e-200], vec![1, 2, 1]),
            (vec![0.0, 1e-280, 3.0, 1e280], vec![3, 1]),
            (vec![5.0], vec![1]),
            (vec![], vec![]),
        ] {
            let buckets = filled(&values, 8);
            let found: Vec<u64> = buckets.iter().map(|(_, count)| count.0).collect();
            assert_eq!(found, counts);
        }
    }

    #[test]
    fn which_values_are_together_does_not_depend_on_their_order() {
        let up: Vec<f64> = (0..5_000).map(|i| f64::from(i) * 0.37 - 700.0).collect();
        let down: Vec<f64> = up.iter().rev().copied().collect();
        let mixed: Vec<f64> = (0..5_000).map(|i| up[i * 1_237 % 5_000]).collect();
        let expected = filled(&up, 64);
        let held = |buckets: &Buckets<Count>| -> Vec<(i64, u64)> {
            buckets.iter().map(|(n, count)| (*n, count.0)).collect()
        };
        assert!((33..=64).contains(&held(&expected).len()));
        for values in [down, mixed] {
            let found = filled(&values, 64);
            assert_eq!(held(&found), held(&expected));
            assert_eq!(found.exponent(), expected.exponent());
        }
    }

    #[test]
    fn numbers_are_rounded_down() {
        for (value, exponent, expected) in [
            (5.0, 1, 2),
            (-5.0, 1, -3),
            (-4.0, 1, -2),
            (-1e-200, 0, -1),
            (1e15, -3, 8_000_000_000_000_000),
        ] {
            assert_eq!(number(value, exponent), expected, "{value}");
            assert_eq!((value / power(exponent)).floor(), expected as f64);
        }
    }

    #[test]
    fn a_wide_range_keeps_its_ends_apart() {
        let mut values: Vec<f64> = (0..1_000).map(f64::from).collect();
        values.extend([-1e250, 1e250]);
        let buckets = filled(&values, 16);
        let counts: Vec<u64> = buckets.iter().map(|(_, count)| count.0).collect();
        assert_eq!(counts, [1, 1_000, 1]);
    }

    #[test]
    fn crossed_intervals_get_wider_along_their_own_axis() {
        let mut crossed = Crossed::new([8, 100]);
        for x in 0..64 {
            for y in 0..20 {
                crossed.add([f64::from(x), f64::from(y) / 10.0], Count(1, 0.0));
            }
        }
        let all: Vec<u64> = crossed.iter().map(|(_, count)| count.0).collect();
        assert_eq!(all, vec![8; 8 * 20]);
        assert_eq!(crossed.exponents()[0], 3);
    }
}
