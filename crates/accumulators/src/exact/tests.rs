//! Every kind of sum, on data made to hurt, against big integers: any cut, any order, any tree of merges.

use num_bigint::{BigInt, BigUint, Sign};

use super::kernel::decode;
use super::*;

/// Numbers as they come from a generator that is the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// In 0..1, with all bits used.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / 2_f64.powi(53)
    }

    fn of(&mut self, kind: &str, row: usize) -> f64 {
        match kind {
            "uniform" => self.unit(),
            "grid" => 3.0 + (self.next() % 12_000) as f64 / 1e4,
            "noise" => self.unit() - 0.5,
            "rests, then flows" if row % 1000 < 600 => self.unit() * 1e-9,
            "rests, then flows" => self.unit() * -5.0,
            "far apart" => (self.unit() - 0.5) * 10_f64.powi((self.next() % 61) as i32 - 30),
            "few outliers" if self.next().is_multiple_of(100) => self.unit() * 1e300,
            "few outliers" => self.unit(),
            "cancelling" => [1e16, 1.0, -1e16, -1.0, 3.0][row % 5],
            "zeros first" if row < 300 => 0.0,
            "zeros first" => self.unit(),
            "subnormal" => f64::from_bits(self.next() >> 12),
            "largest" => f64::MAX * [1.0, -1.0][(self.next() % 2) as usize],
            "whole" => (self.next() as i64) as f64,
            _ => loop {
                let x = f64::from_bits(self.next());
                if x.is_finite() {
                    break x;
                }
            },
        }
    }
}

const KINDS: [&str; 13] = [
    "uniform",
    "grid",
    "noise",
    "rests, then flows",
    "far apart",
    "few outliers",
    "cancelling",
    "zeros first",
    "subnormal",
    "largest",
    "whole",
    "bits",
    "bits again",
];

/// What the four kinds of sums have in common.
trait Sum {
    const POWER: u32;
    fn made(groups: usize) -> Self;
    fn add(&mut self, groups: Option<&[u32]>, x: &[f64]);
    fn write(&self, group: usize, out: &mut Vec<u8>);
    fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()>;
    fn settle(&mut self, terms: usize);
    fn number(&self, group: usize) -> Number;
}

macro_rules! sum {
    ($name:ident, $power:literal, $new:expr, |$sums:ident, $groups:ident, $x:ident| $add:expr) => {
        impl Sum for $name {
            const POWER: u32 = $power;
            fn made(groups: usize) -> Self {
                let mut made = $new;
                made.resize(groups);
                made
            }
            fn add(&mut self, $groups: Option<&[u32]>, $x: &[f64]) {
                let $sums = self;
                $add
            }
            fn write(&self, group: usize, out: &mut Vec<u8>) {
                $name::write(self, group, out)
            }
            fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
                $name::read(self, group, bytes)
            }
            fn settle(&mut self, terms: usize) {
                $name::settle(self, terms)
            }
            fn number(&self, group: usize) -> Number {
                $name::number(self, group)
            }
        }
    };
}

sum!(Sums, 1, Sums::of_floats(), |s, groups, x| Sums::add(
    s, groups, x
));
sum!(Products, 2, Products::default(), |s, groups, x| {
    Products::add(s, groups, x, x)
});
sum!(Cubes, 3, Cubes::default(), |s, groups, x| Cubes::add(
    s, groups, x
));
sum!(Fourths, 4, Fourths::default(), |s, groups, x| Fourths::add(
    s, groups, x
));

/// The sum of powers as an integer in units of `2^(-1074 power)`.
fn expected(values: impl Iterator<Item = f64>, power: u32) -> BigInt {
    let term = |x: f64| {
        let (negative, integer, exponent) = decode(x);
        let sign = if negative { Sign::Minus } else { Sign::Plus };
        let integer = BigInt::from_biguint(sign, BigUint::from(integer));
        (integer << (exponent + 1074) as usize).pow(power)
    };
    values.map(term).sum()
}

fn found(number: &Number, power: u32) -> BigInt {
    let digits = number.words().iter();
    let digits = digits.flat_map(|word| [*word as u32, (word >> 32) as u32]);
    let sign = if number.is_negative() {
        Sign::Minus
    } else {
        Sign::Plus
    };
    let integer = BigInt::from_biguint(sign, BigUint::new(digits.collect()));
    integer << (number.exponent() + 1074 * power as i32) as usize
}

fn states<S: Sum>(sums: &S, groups: usize) -> Vec<Vec<u8>> {
    let state = |group| {
        let mut bytes = Vec::new();
        sums.write(group, &mut bytes);
        bytes
    };
    (0..groups).map(state).collect()
}

fn merge<S: Sum>(into: &mut S, from: &[Vec<u8>]) {
    for (group, state) in from.iter().enumerate() {
        let mut bytes = state.as_slice();
        into.read(group, &mut bytes).expect("a state");
        assert!(bytes.is_empty());
    }
    into.settle(from.len());
}

/// One accumulator, many that are merged in a chain and in a tree, and another order of rows: all the same.
fn check<S: Sum>(kind: &str, rows: usize, groups: usize) {
    let mut random = Random(0x9e37_79b9 + rows as u64);
    let x: Vec<f64> = (0..rows).map(|row| random.of(kind, row)).collect();
    let of: Vec<u32> = (0..rows)
        .map(|_| (random.next() % groups as u64) as u32)
        .collect();
    let ids = |range: std::ops::Range<usize>| (groups > 1).then(|| &of[range]);
    let mut whole = S::made(groups);
    whole.add(ids(0..rows), &x);
    let about = format!("{kind}, {rows} rows, {groups} groups, power {}", S::POWER);
    for group in 0..groups {
        let members = (0..rows).filter(|row| groups == 1 || of[*row] == group as u32);
        let sum = expected(members.map(|row| x[row]), S::POWER);
        assert_eq!(found(&whole.number(group), S::POWER), sum, "{about}");
    }
    let bits = states(&whole, groups);

    let mut order: Vec<usize> = (0..rows).collect();
    (1..rows).for_each(|i| order.swap(i, (random.next() % (i as u64 + 1)) as usize));
    let mut shuffled = S::made(groups);
    for rows in order.chunks(7) {
        let x: Vec<f64> = rows.iter().map(|row| x[*row]).collect();
        let of: Vec<u32> = rows.iter().map(|row| of[*row]).collect();
        shuffled.add((groups > 1).then_some(&of), &x);
    }
    assert_eq!(states(&shuffled, groups), bits, "{about}, shuffled");

    let (mut chain, mut tree) = (S::made(groups), Vec::new());
    for start in (0..rows).step_by(777) {
        let range = start..rows.min(start + 777);
        let mut part = S::made(groups);
        part.add(ids(range.clone()), &x[range]);
        let part = states(&part, groups);
        merge(&mut chain, &part);
        tree.push(part);
    }
    assert_eq!(states(&chain, groups), bits, "{about}, in a chain");
    while tree.len() > 1 {
        let pick = (random.next() % (tree.len() as u64 - 1)) as usize;
        let (a, b) = (tree.remove(pick), tree.remove(pick));
        let mut both = S::made(groups);
        merge(&mut both, &b);
        merge(&mut both, &a);
        tree.push(states(&both, groups));
    }
    assert!(rows == 0 || tree[0] == bits, "{about}, in a tree");
    // Rows may come after merges, too.
    chain.add(ids(0..rows), &x);
    whole.add(ids(0..rows), &x);
    assert_eq!(
        states(&chain, groups),
        states(&whole, groups),
        "{about}, again"
    );
}

#[test]
fn sums_are_exact_however_they_come_about() {
    for kind in KINDS {
        for (rows, groups) in [(0, 1), (1, 1), (255, 1), (3000, 1), (257, 11), (3000, 37)] {
            check::<Sums>(kind, rows, groups);
            check::<Products>(kind, rows, groups);
        }
    }
}

#[test]
fn higher_powers_are_exact_too() {
    for kind in KINDS {
        for (rows, groups) in [(1, 1), (700, 1), (1500, 11)] {
            check::<Cubes>(kind, rows, groups);
            check::<Fourths>(kind, rows, groups);
        }
    }
}

#[test]
fn windows_settle_on_the_way() {
    // More rows than a window takes without settling, and sums that outgrow its top limb's share.
    let block: Vec<f64> = (0..4096).map(|i| 1.0 + f64::from(i) / 4096.0).collect();
    let (mut sums, mut squares) = (Sums::made(1), Products::made(1));
    for _ in 0..1100 {
        sums.add(None, &block);
        squares.add(None, &block, &block);
    }
    let times = |values: BigInt| values * 1100;
    let expect = |power| times(expected(block.iter().copied(), power));
    assert_eq!(found(&sums.number(0), 1), expect(1));
    assert_eq!(found(&squares.number(0), 2), expect(2));
}

#[test]
fn memory_follows_the_data() {
    let mut sums = Sums::made(10_000);
    let groups: Vec<u32> = (0..10_000).collect();
    sums.add(Some(&groups), &vec![1.5; 10_000]);
    assert!(sums.bytes() < 10_000 * 17);
    // One outlier does not double that, and data that moves on opens one window.
    sums.add(Some(&[77]), &[1e300]);
    assert!(sums.bytes() < 10_000 * 21 + 1000);
    sums.add(Some(&groups), &vec![1e-20; 10_000]);
    assert!(sums.bytes() < 10_000 * 37 + 1000);
}
