//! Cutting numbers into 40-bit limbs without a branch, a block at a time; the only `unsafe` code of the crate.
//!
//! The cut adds and subtracts `1.5 * 2^(unit + 52)`, which rounds a number to a multiple of `2^unit` and leaves the
//! multiple in the low bits of the sum. All these operations are exact but the rounding itself, whose remainder is what
//! the next limb gets; a block whose last remainders are not all zero, or whose first limbs are too large, is refused.
//! Infinities, NaN, overflow and underflow of a product all end in such a refusal, so no input has to be looked at.

/// Rows per block.
pub const BLOCK: usize = 256;

/// The limbs of a block's rows. Aligned so that no vector store crosses a cache line: a load right behind one that does
/// would wait for it, which doubles the time of a scattered sum.
#[repr(align(64))]
pub struct Scratch<const K: usize>(pub [[i64; K]; BLOCK]);

impl<const K: usize> Default for Scratch<K> {
    fn default() -> Self {
        Self([[0; K]; BLOCK])
    }
}

/// Bits per limb.
pub const LIMB: i32 = 40;

const MASK: u64 = (1 << LIMB) - 1;

/// `1.5 * 2^(unit + 52)`, whose last place is `2^unit`.
pub fn magic(unit: i32) -> f64 {
    debug_assert!((-1074..=970).contains(&unit));
    f64::from_bits((((unit + 52 + 1023) as u64) << 52) | (1 << 51))
}

/// Whether arithmetic rounds to nearest and keeps subnormal numbers, as the kernels need. A host may have set the
/// processor otherwise; then numbers are taken apart with integer operations, which no mode changes.
pub fn rounds_to_nearest() -> bool {
    use std::hint::black_box;
    let tiny = black_box(f64::from_bits(1));
    let one = black_box(1.0_f64);
    (tiny + tiny).to_bits() == 2
        && one + black_box(f64::EPSILON * 0.5) == one
        && one + black_box(f64::EPSILON * 0.75) > one
}

#[inline(always)]
fn cut(rest: &mut f64, magic: f64) -> i64 {
    let sum = *rest + magic;
    *rest -= sum - magic;
    (sum.to_bits() as i64).wrapping_sub(magic.to_bits() as i64)
}

/// A top limb moved up by 2^40: outside of [-2^40, 2^40) some bit above the 41st is set.
#[inline(always)]
fn moved_up(top: i64) -> u64 {
    (top as u64).wrapping_add(1 << LIMB)
}

#[inline(always)]
fn fits(moved_up: u64) -> bool {
    moved_up >> (LIMB + 1) == 0
}

/// What the rows of a block left behind: nothing, if all of them fitted.
#[derive(Clone, Copy, Default)]
struct Refused {
    remainders: u64,
    tops: u64,
    vanished: bool,
}

impl Refused {
    #[inline(always)]
    fn look(&mut self, remainder: u64, top: i64) {
        self.remainders |= remainder << 1;
        self.tops |= moved_up(top);
    }

    fn nothing(self) -> bool {
        self.remainders == 0 && fits(self.tops) && !self.vanished
    }
}

#[inline(always)]
fn number(x: f64, magics: [f64; 2], refused: &mut Refused) -> [i64; 2] {
    let mut rest = x;
    let high = cut(&mut rest, magics[1]);
    let low = cut(&mut rest, magics[0]);
    refused.look(rest.to_bits(), high);
    [low, high]
}

#[inline(always)]
fn numbers_body(values: &[f64], unit: i32, limbs: &mut Scratch<2>) -> bool {
    let magics = [magic(unit), magic(unit + LIMB)];
    let mut refused = Refused::default();
    for (x, limbs) in values.iter().zip(limbs.0.iter_mut()) {
        *limbs = number(*x, magics, &mut refused);
    }
    refused.nothing()
}

#[inline(always)]
fn total_body(values: &[f64], unit: i32) -> Option<[i64; 2]> {
    let magics = [magic(unit), magic(unit + LIMB)];
    let (mut refused, mut sum) = (Refused::default(), [0_i64; 2]);
    for x in values {
        let limbs = number(*x, magics, &mut refused);
        sum[0] = sum[0].wrapping_add(limbs[0]);
        sum[1] = sum[1].wrapping_add(limbs[1]);
    }
    refused.nothing().then_some(sum)
}

#[inline(always)]
fn products_body(
    x: &[f64],
    y: &[f64],
    unit: i32,
    limbs: &mut Scratch<4>,
    rounding: impl Fn(f64, f64, f64) -> f64,
) -> bool {
    let magics: [f64; 4] = std::array::from_fn(|limb| magic(unit + LIMB * limb as i32));
    let mut refused = Refused::default();
    for ((x, y), limbs) in x.iter().zip(y).zip(limbs.0.iter_mut()) {
        let mut product = x * y;
        let mut error = rounding(*x, *y, product);
        // A product too small for a double leaves no trace in the remainders.
        refused.vanished |= (product == 0.0) != ((*x == 0.0) | (*y == 0.0));
        let p3 = cut(&mut product, magics[3]);
        let p2 = cut(&mut product, magics[2]);
        let p1 = cut(&mut product, magics[1]);
        let e2 = cut(&mut error, magics[2]);
        let e1 = cut(&mut error, magics[1]);
        let e0 = cut(&mut error, magics[0]);
        refused.look(product.to_bits() | error.to_bits(), p3);
        *limbs = [e0, p1.wrapping_add(e1), p2.wrapping_add(e2), p3];
    }
    refused.nothing()
}

/// The error of a product after Dekker (1971): exact unless something over- or underflows, and then the cut refuses.
#[inline(always)]
fn error_by_halves(x: f64, y: f64, product: f64) -> f64 {
    let halves = |x: f64| {
        let wide = 134_217_729.0 * x;
        let high = wide - (wide - x);
        (high, x - high)
    };
    let ((x1, x0), (y1, y0)) = (halves(x), halves(y));
    ((x1 * y1 - product) + x1 * y0 + x0 * y1) + x0 * y0
}

/// Runs the first body compiled for the best features that this processor has; the second gives the same bits.
macro_rules! fastest {
    (($($argument:ident: $type:ty),*) -> $result:ty, $vector:expr, $portable:expr) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx512f,avx512dq,avx512vl,fma")]
            fn avx512($($argument: $type),*) -> $result {
                $vector
            }
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) -> $result {
                $vector
            }
            match level() {
                // SAFETY: `level` saw all features that the callee is compiled for; the body itself is safe code.
                Level::Avx512 => return unsafe { avx512($($argument),*) },
                // SAFETY: as above.
                Level::Avx2 => return unsafe { avx2($($argument),*) },
                Level::Portable => {}
            }
        }
        $portable
    }};
}

#[cfg(target_arch = "x86_64")]
enum Level {
    Avx512,
    Avx2,
    Portable,
}

/// The standard library remembers what it found, so this is a load and a few tests.
#[cfg(target_arch = "x86_64")]
#[inline]
fn level() -> Level {
    use std::arch::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma")) {
        Level::Portable
    } else if has!("avx512f") && has!("avx512dq") && has!("avx512vl") {
        Level::Avx512
    } else {
        Level::Avx2
    }
}

/// Cuts numbers into two limbs in units of `2^unit`; false if some number does not fit exactly.
pub fn numbers(values: &[f64], unit: i32, limbs: &mut Scratch<2>) -> bool {
    fastest!(
        (values: &[f64], unit: i32, limbs: &mut Scratch<2>) -> bool,
        numbers_body(values, unit, limbs),
        numbers_body(values, unit, limbs)
    )
}

/// The sum of the limbs of at most [`BLOCK`] numbers; `None` if some number does not fit exactly.
pub fn total(values: &[f64], unit: i32) -> Option<[i64; 2]> {
    fastest!(
        (values: &[f64], unit: i32) -> Option<[i64; 2]>,
        total_body(values, unit),
        total_body(values, unit)
    )
}

/// Cuts the products `x[i] * y[i]` into four limbs in units of `2^unit`; false if some product does not fit exactly.
pub fn products(x: &[f64], y: &[f64], unit: i32, limbs: &mut Scratch<4>) -> bool {
    fastest!(
        (x: &[f64], y: &[f64], unit: i32, limbs: &mut Scratch<4>) -> bool,
        products_body(x, y, unit, limbs, |x, y, product| x.mul_add(y, -product)),
        products_body(x, y, unit, limbs, error_by_halves)
    )
}

/// Cuts whole numbers into two limbs in units of 1.
pub fn integers(values: &[i64], limbs: &mut Scratch<2>) {
    for (x, limbs) in values.iter().zip(limbs.0.iter_mut()) {
        *limbs = [(*x as u64 & MASK) as i64, x >> LIMB];
    }
}

/// Cuts unsigned whole numbers into two limbs in units of 1.
pub fn naturals(values: &[u64], limbs: &mut Scratch<2>) {
    for (x, limbs) in values.iter().zip(limbs.0.iter_mut()) {
        *limbs = [(x & MASK) as i64, (x >> LIMB) as i64];
    }
}

/// Cuts long whole numbers into two limbs in units of 1; false if one of them has more than 79 bits.
pub fn long_integers(values: &[i128], limbs: &mut Scratch<2>) -> bool {
    let mut large = 0;
    for (x, limbs) in values.iter().zip(limbs.0.iter_mut()) {
        large |= (x >> 79) ^ (x >> 127);
        *limbs = [(*x as u64 & MASK) as i64, (x >> LIMB) as i64];
    }
    large == 0
}

#[inline(always)]
fn side_by_side_body(values: &[f64], magics: [&[f64]; 2], sums: [&mut [i64]; 2]) -> bool {
    let mut limbs = [[0_i64; BLOCK]; 2];
    let mut refused = Refused::default();
    let count = values.len().min(BLOCK);
    let (values, low, high) = (&values[..count], &magics[0][..count], &magics[1][..count]);
    for i in 0..count {
        let [low, high] = number(values[i], [low[i], high[i]], &mut refused);
        (limbs[0][i], limbs[1][i]) = (low, high);
    }
    if !refused.nothing() {
        return false;
    }
    for (sums, limbs) in sums.into_iter().zip(&limbs) {
        for (sum, limb) in sums[..count].iter_mut().zip(limbs) {
            *sum = sum.wrapping_add(*limb);
        }
    }
    true
}

/// Adds the limbs of at most [`BLOCK`] numbers each to a sum of its own, low and high, in units of its own, which two rows of magic
/// numbers stand for (those of the low limbs first); false, and nothing is added, if some number does not fit exactly.
pub fn side_by_side(values: &[f64], magics: [&[f64]; 2], sums: [&mut [i64]; 2]) -> bool {
    fastest!(
        (values: &[f64], magics: [&[f64]; 2], sums: [&mut [i64]; 2]) -> bool,
        side_by_side_body(values, magics, sums),
        side_by_side_body(values, magics, sums)
    )
}

/// Adds the limbs of each row to its group's. The sums cannot leave an `i64`: see [`super::window`].
///
/// A function of its own: inlined between other loops it was measured to be a fifth slower.
#[inline(never)]
pub fn scatter<const K: usize>(sums: &mut [[i64; K]], groups: &[u32], limbs: &[[i64; K]]) {
    for (group, limbs) in groups.iter().zip(limbs) {
        let sum = &mut sums[*group as usize];
        for (sum, limb) in sum.iter_mut().zip(limbs) {
            *sum = sum.wrapping_add(*limb);
        }
    }
}

/// Adds the limbs of all rows to one group's.
#[inline]
pub fn gather<const K: usize>(sum: &mut [i64; K], limbs: &[[i64; K]]) {
    let (mut even, mut odd) = ([0_i64; K], [0_i64; K]);
    let pairs = limbs.chunks_exact(2);
    for limb in pairs.remainder() {
        (0..K).for_each(|j| even[j] = even[j].wrapping_add(limb[j]));
    }
    for pair in pairs {
        for j in 0..K {
            even[j] = even[j].wrapping_add(pair[0][j]);
            odd[j] = odd[j].wrapping_add(pair[1][j]);
        }
    }
    for j in 0..K {
        sum[j] = sum[j].wrapping_add(even[j]).wrapping_add(odd[j]);
    }
}

/// The group that all these rows belong to, if it is one.
#[inline]
pub fn only_group(groups: &[u32]) -> Option<u32> {
    let (first, last) = (*groups.first()?, *groups.last()?);
    // Two looks settle most mixed blocks; a block of one group pays for the walk with the faster sum.
    let same = first == last
        && groups
            .iter()
            .fold(0, |differs, group| differs | (group ^ first))
            == 0;
    same.then_some(first)
}

/// The integer and the exponent of a finite number: `±integer * 2^exponent`.
#[inline]
pub fn decode(x: f64) -> (bool, u64, i32) {
    let bits = x.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match ((bits >> 52) & 0x7ff) as i32 {
        0 => (x.is_sign_negative(), fraction, -1074),
        biased => (x.is_sign_negative(), fraction | (1 << 52), biased - 1075),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(limbs: &[i64], unit: i32) -> f64 {
        let whole = limbs
            .iter()
            .rev()
            .fold(0_i128, |sum, limb| (sum << LIMB) + i128::from(*limb));
        whole as f64 * 2_f64.powi(unit)
    }

    #[test]
    fn numbers_are_cut_exactly_or_refused() {
        let table: [(f64, bool); 13] = [
            (1.0, true),
            (-1.5, true),
            (0.1, true),
            (-0.0, true),
            (63.999, true),
            (-63.999, true),
            (2_f64.powi(30), false),
            (1e-30, false),
            (2_f64.powi(-70), true),
            (f64::from_bits(1), false),
            (f64::NAN, false),
            (f64::INFINITY, false),
            (f64::MIN, false),
        ];
        let mut limbs = Scratch::default();
        for (x, fits) in table {
            assert_eq!(numbers(&[1.0, x], -72, &mut limbs), fits, "{x:e}");
            if fits {
                assert_eq!(value(&limbs.0[1], -72), x);
            }
        }
    }

    #[test]
    fn both_ways_of_cutting_agree() {
        let mut seed = 7_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 11) as f64 / 2_f64.powi(50) - 4.0
        };
        for scale in [1.0, 1e-5, 1e155, 1e-155, f64::MIN_POSITIVE] {
            let x: Vec<f64> = (0..BLOCK).map(|_| random() * scale).collect();
            let y: Vec<f64> = (0..BLOCK).map(|_| random()).collect();
            let (mut a, mut b) = (Scratch::default(), Scratch::default());
            let unit = (scale.log2() as i32 + 6 - 150).clamp(-899, 849);
            let fits = products(&x, &y, unit, &mut a);
            assert_eq!(products_body(&x, &y, unit, &mut b, error_by_halves), fits);
            assert!(!fits || a.0 == b.0);
            let (mut a, mut b) = (Scratch::default(), Scratch::default());
            let unit = (scale.log2() as i32 + 8 - 80).clamp(-1074, 930);
            assert_eq!(numbers(&x, unit, &mut a), numbers_body(&x, unit, &mut b));
            assert_eq!(a.0, b.0);
        }
    }

    #[test]
    fn a_vanishing_product_is_refused() {
        let mut limbs = Scratch::default();
        assert!(products(&[0.0], &[1e-200], -300, &mut limbs));
        assert!(!products(&[1e-200], &[1e-200], -300, &mut limbs));
        assert!(!products(&[1e200], &[1e200], -300, &mut limbs));
    }

    #[test]
    fn one_group_is_seen() {
        assert_eq!(only_group(&[3, 3, 3]), Some(3));
        assert_eq!(only_group(&[3, 4, 3]), None);
        assert_eq!(only_group(&[]), None);
    }
}
