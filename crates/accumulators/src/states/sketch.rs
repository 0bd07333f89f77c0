//! A sketch of a distribution: a counter per bucket, where a bucket spans at most 0.2 % of its values' magnitude.
//!
//! This is the DDSketch of Masson, Rim and Lee (VLDB 2019) with the buckets of a log-linear histogram: each octave is cut
//! into 2^9 equal parts, so that a value's bucket is the upper bits of its representation. No logarithm is taken, hence the
//! same value falls into the same bucket on every machine. Nothing is ever collapsed, so a sketch is a function of the
//! values alone, and merging is addition. 4 KiB per octave that occurs; the whole range of doubles would be 17 MiB.

use super::keys::Scale;

/// Parts of an octave, as a power of two: (1/512) / (2 + 1/512) is a relative error of 0.0976 %.
const NUMBER: u32 = 9;
/// For points in time, whose distance from 1970 means nothing: half a millionth of it, 9 minutes in this century.
const POINT: u32 = 20;
/// Counters of a page, as a power of two.
const PAGE: u32 = 9;
/// Octaves of the subnormal numbers, which come below those of the exponent field.
const SUBNORMAL: u64 = 52;
/// The bucket of floating-point zero: below it those of all negative numbers.
const ZERO: u64 = (1 << 20) + (SUBNORMAL << NUMBER);

/// How values become buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Buckets {
    /// Floats, 0.1 % of the value.
    Floats,
    /// Whole numbers, 0.1 % of the value; exact below 1,024.
    Whole(Scale),
    /// Points in time, 9 minutes in 60 years.
    Points,
}

impl Buckets {
    /// The bucket of an order key, which is not NaN's: bucket numbers rise with the values.
    #[inline(always)]
    fn bucket(self, key: u64) -> u64 {
        match self {
            Self::Floats => float_bucket(key),
            Self::Whole(Scale::Unsigned) => whole_bucket(key, false, NUMBER),
            Self::Whole(_) => signed_bucket(key, NUMBER),
            Self::Points => signed_bucket(key, POINT),
        }
    }

    /// The order key of the value that stands for a bucket: the one from which both ends have the same relative distance.
    fn middle(self, bucket: u64) -> u64 {
        match self {
            Self::Floats => Scale::Float.nearest(float_middle(bucket)),
            Self::Whole(scale) => whole_middle(bucket, scale, NUMBER),
            Self::Points => whole_middle(bucket, Scale::Signed, POINT),
        }
    }

    fn limit(self) -> u64 {
        match self {
            Self::Floats => 2 * ZERO,
            Self::Whole(_) => 2 * whole_zero(NUMBER),
            Self::Points => 2 * whole_zero(POINT),
        }
    }
}

/// Counters of buckets, allocated page by page.
pub(crate) struct Sketch {
    buckets: Buckets,
    /// The page that the directory begins with.
    first: usize,
    /// For each page its place among the counters, from 1; 0 is none.
    directory: Vec<u32>,
    counts: Vec<u64>,
    least: u64,
    greatest: u64,
}

impl Sketch {
    /// An empty sketch.
    pub(crate) fn new(buckets: Buckets) -> Self {
        Self {
            buckets,
            first: 0,
            directory: Vec::new(),
            counts: Vec::new(),
            least: u64::MAX,
            greatest: 0,
        }
    }

    /// Adds values given by their order keys, which must not be NaN.
    pub(crate) fn extend(&mut self, keys: &[u64]) {
        // The same loop for each, so that the choice is made once.
        match self.buckets {
            Buckets::Floats => self.extend_by(keys, float_bucket),
            Buckets::Points => self.extend_by(keys, |key| signed_bucket(key, POINT)),
            whole => self.extend_by(keys, |key| whole.bucket(key)),
        }
    }

    #[inline(always)]
    fn extend_by(&mut self, keys: &[u64], bucket: impl Fn(u64) -> u64) {
        let (mut least, mut greatest) = (self.least, self.greatest);
        for key in keys {
            least = least.min(*key);
            greatest = greatest.max(*key);
            *self.counter(bucket(*key)) += 1;
        }
        (self.least, self.greatest) = (least, greatest);
    }

    /// Adds one value `count` times.
    pub(crate) fn add(&mut self, key: u64, count: u64) {
        self.widen(key, key);
        *self.counter(self.buckets.bucket(key)) += count;
    }

    /// Adds to a bucket as [`counted`](Self::counted) names it; whether there is such a bucket.
    pub(crate) fn add_bucket(&mut self, bucket: u64, count: u64) -> bool {
        let known = bucket < self.buckets.limit();
        if known {
            *self.counter(bucket) += count;
        }
        known
    }

    /// Takes the least and the greatest value of others in.
    pub(crate) fn widen(&mut self, least: u64, greatest: u64) {
        self.least = self.least.min(least);
        self.greatest = self.greatest.max(greatest);
    }

    /// The order keys of the least and the greatest value, exactly.
    pub(crate) fn ends(&self) -> (u64, u64) {
        (self.least, self.greatest)
    }

    #[inline(always)]
    fn counter(&mut self, bucket: u64) -> &mut u64 {
        let page = (bucket >> PAGE) as usize;
        let slot = match self.directory.get(page.wrapping_sub(self.first)) {
            Some(slot) if *slot > 0 => *slot,
            _ => self.page(page),
        };
        &mut self.counts[((slot as usize - 1) << PAGE) | (bucket as usize & ((1 << PAGE) - 1))]
    }

    /// Makes a page.
    #[cold]
    fn page(&mut self, page: usize) -> u32 {
        if self.directory.is_empty() {
            self.first = page;
        }
        if page < self.first {
            let before = self.first - page;
            self.directory.splice(0..0, std::iter::repeat_n(0, before));
            self.first = page;
        }
        let at = page - self.first;
        if at >= self.directory.len() {
            self.directory.resize(at + 1, 0);
        }
        if self.counts.len() == self.counts.capacity() {
            // A quarter more than there is: a few pages come long after most octaves are there.
            let more = (self.counts.len() / 4).next_multiple_of(1 << PAGE);
            self.counts.reserve_exact(more.max(1 << PAGE));
        }
        self.counts.resize(self.counts.len() + (1 << PAGE), 0);
        let slot = (self.counts.len() >> PAGE) as u32;
        self.directory[at] = slot;
        slot
    }

    /// The buckets in use, in the order of their values, with their counts.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let slots = self.directory.iter().enumerate().filter(|(_, s)| **s > 0);
        slots.flat_map(|(at, slot)| {
            let page = ((self.first + at) as u64) << PAGE;
            let from = (*slot as usize - 1) << PAGE;
            let counts = self.counts[from..from + (1 << PAGE)].iter().enumerate();
            let used = counts.filter(|(_, count)| **count > 0);
            used.map(move |(i, count)| (page | i as u64, *count))
        })
    }

    /// Values that stand for the buckets, ascending, as order keys with their counts, and the least and the greatest value
    /// for themselves; `into` is emptied first.
    pub(crate) fn runs(&self, into: &mut Vec<(u64, u64)>) {
        into.clear();
        into.push((self.least, 1));
        into.extend(self.counted().map(|(bucket, count)| {
            let key = self.buckets.middle(bucket);
            (key.clamp(self.least, self.greatest), count)
        }));
        let Some(first) = into.get_mut(1) else {
            into.clear();
            return;
        };
        // Both ends stand in a bucket, too.
        first.1 -= 1;
        if let Some(last) = into.last_mut().filter(|last| last.1 > 0) {
            last.1 -= 1;
            into.push((self.greatest, 1));
        }
    }

    /// The bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.directory.capacity() * size_of::<u32>()
            + self.counts.capacity() * size_of::<u64>()
            + size_of::<Self>()
    }
}

/// For normal numbers the key's upper bits, which are sign, exponent and 9 bits of the mantissa; positive ones leave
/// room for the octaves of subnormal numbers on both sides of zero.
#[inline(always)]
fn float_bucket(key: u64) -> u64 {
    if (key >> 52).wrapping_sub(0x7ff) < 2 {
        return tiny_bucket(key);
    }
    let room = (2 * SUBNORMAL) << NUMBER;
    (key >> (52 - NUMBER)) + if key >> 63 == 1 { room } else { 0 }
}

/// Zero, and numbers below the exponent field's range: written as if that went on downwards.
#[inline(never)]
fn tiny_bucket(key: u64) -> u64 {
    let magnitude = Scale::Float.float(key).to_bits() & (u64::MAX >> 1);
    if magnitude == 0 {
        return ZERO;
    }
    let shift = u64::from(magnitude.leading_zeros()) - 11;
    let mantissa = (magnitude << shift) & ((1 << 52) - 1);
    let part = (((SUBNORMAL + 1 - shift) << 52) | mantissa) >> (52 - NUMBER);
    if key >> 63 == 1 {
        ZERO + part
    } else {
        ZERO - 1 - part
    }
}

fn float_middle(bucket: u64) -> f64 {
    if bucket < ZERO {
        return -float_middle(2 * ZERO - 1 - bucket);
    }
    let part = bucket - ZERO;
    let octave = (part >> NUMBER) as i64 - SUBNORMAL as i64;
    let parts = f64::from(1 << NUMBER);
    let low = 1.0 + (part & ((1 << NUMBER) - 1)) as f64 / parts;
    let high = low + 1.0 / parts;
    let mantissa = 2.0 * low * high / (low + high);
    match octave {
        _ if part == 0 => 0.0,
        2047.. => f64::INFINITY,
        1.. => mantissa * power(octave - 1023),
        // Twice, so that only the last product rounds.
        _ => mantissa * power(-1022) * power(octave - 1),
    }
}

/// 2 to the `exponent`, which must be that of a normal number.
fn power(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// The bucket of 0, above those of all negative numbers.
fn whole_zero(bits: u32) -> u64 {
    (65 - u64::from(bits)) << bits
}

/// Exact up to 2^(bits + 1), then the upper bits behind their number of dropped ones (the layout of HDR histograms).
#[inline(always)]
fn whole_bucket(magnitude: u64, negative: bool, bits: u32) -> u64 {
    let shift = (63 - bits).saturating_sub(magnitude.leading_zeros());
    let part = (u64::from(shift) << bits) + (magnitude >> shift);
    let zero = whole_zero(bits);
    if negative {
        zero - 1 - part
    } else {
        zero + part
    }
}

#[inline(always)]
fn signed_bucket(key: u64, bits: u32) -> u64 {
    let n = (key ^ (1 << 63)) as i64;
    whole_bucket(n.unsigned_abs(), n < 0, bits)
}

fn whole_middle(bucket: u64, scale: Scale, bits: u32) -> u64 {
    let zero = whole_zero(bits);
    let negative = bucket < zero;
    let part = if negative {
        zero - 1 - bucket
    } else {
        bucket - zero
    };
    let shift = (part >> bits).saturating_sub(1);
    let low = u128::from(part - (shift << bits)) << shift;
    let width = (1 << shift) - 1;
    // Their harmonic mean, so written that nothing overflows.
    let more = (low * width).checked_div(2 * low + width).unwrap_or(0);
    let middle = (low + more) as u64;
    match scale {
        Scale::Unsigned => middle,
        // The last bucket reaches beyond the least i64.
        _ if negative => 0_i64.wrapping_sub_unsigned(middle.min(1 << 63)) as u64 ^ (1 << 63),
        _ => middle ^ (1 << 63),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::signed_key;
    use super::*;

    fn bits() -> impl Iterator<Item = u64> {
        let mut state = 1_u64;
        let random = std::iter::repeat_with(move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state.rotate_left(29)
        });
        random.take(200_000)
    }

    fn numbers() -> Vec<f64> {
        let ends = [
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::from_bits(1),
            f64::from_bits(3),
        ];
        let more = [f64::from_bits((1 << 52) - 1), 1.0, 0.1];
        let random = bits().map(f64::from_bits);
        let tiny = bits().map(|b| f64::from_bits(b >> (12 + b % 50)));
        let all = ends.into_iter().chain(more).chain(random).chain(tiny);
        all.filter(|x| x.is_finite())
            .flat_map(|x| [x, -x])
            .collect()
    }

    fn whole() -> Vec<i64> {
        let random = bits().map(|b| (b as i64) >> (b % 64));
        random.chain([0, 1, -1, i64::MAX, i64::MIN]).collect()
    }

    #[test]
    fn every_float_is_within_a_thousandth_of_its_bucket() {
        for x in numbers() {
            let found = float_middle(float_bucket(Scale::Float.nearest(x)));
            assert!((found - x).abs() <= x.abs() * 0.001, "{x:e} {found:e}");
        }
        for x in [0.0, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(float_middle(float_bucket(Scale::Float.nearest(x))), x);
        }
    }

    #[test]
    fn every_whole_number_is_within_its_error() {
        let kinds = [
            (Buckets::Whole(Scale::Signed), 0.001, 1023),
            (Buckets::Points, 5e-7, 1 << 20),
        ];
        for (buckets, error, exact) in kinds {
            for n in whole() {
                let key = buckets.middle(buckets.bucket(signed_key(n)));
                let off = (Scale::Signed.whole(key) - i128::from(n)).unsigned_abs();
                assert!(off as f64 <= n.unsigned_abs() as f64 * error, "{n} {off}");
                assert!(off == 0 || n.unsigned_abs() > exact, "{n} {off}");
            }
        }
        let buckets = Buckets::Whole(Scale::Unsigned);
        for n in bits().map(|b| b >> (b % 64)).chain([0, u64::MAX]) {
            let off = buckets.middle(buckets.bucket(n)).abs_diff(n);
            assert!(off as f64 <= n as f64 * 0.001, "{n} {off}");
        }
    }

    #[test]
    fn buckets_rise_with_the_numbers_and_stay_below_the_limit() {
        let mut floats = numbers();
        floats.sort_by(f64::total_cmp);
        let floats: Vec<u64> = floats.iter().map(|x| Scale::Float.nearest(*x)).collect();
        let mut signed: Vec<u64> = whole().into_iter().map(signed_key).collect();
        signed.sort_unstable();
        for (buckets, keys) in [
            (Buckets::Floats, floats),
            (Buckets::Whole(Scale::Signed), signed.clone()),
            (Buckets::Whole(Scale::Unsigned), signed.clone()),
            (Buckets::Points, signed),
        ] {
            let found: Vec<u64> = keys.iter().map(|key| buckets.bucket(*key)).collect();
            assert!(found.is_sorted(), "{buckets:?}");
            assert!(found.iter().all(|b| *b < buckets.limit()), "{buckets:?}");
        }
    }

    #[test]
    fn merging_is_adding() {
        let keys: Vec<u64> = numbers().iter().map(|x| Scale::Float.nearest(*x)).collect();
        let mut whole = Sketch::new(Buckets::Floats);
        whole.extend(&keys);
        let (mut a, mut b) = (Sketch::new(Buckets::Floats), Sketch::new(Buckets::Floats));
        a.extend(&keys[..77_000]);
        b.extend(&keys[77_000..]);
        let (least, greatest) = a.ends();
        b.widen(least, greatest);
        assert!(
            a.counted()
                .all(|(bucket, count)| b.add_bucket(bucket, count))
        );
        assert!(!b.add_bucket(u64::MAX, 1));
        assert!(b.counted().eq(whole.counted()));
        assert_eq!(b.ends(), whole.ends());
        let counted: u64 = b.counted().map(|(_, count)| count).sum();
        assert_eq!(counted, keys.len() as u64);
    }
}
