//! How often each value occurred: a short list of values first, an open-addressing table of counts later.
//!
//! The list costs 8 bytes a value, which is what a group-by with many small groups needs; the table costs 16 bytes a slot
//! at a load of at most 2/3 and a few nanoseconds a value, which is what one group with many rows needs.

/// A value as a number: an order key of 64 bits, or a 128-bit hash.
pub(crate) trait Key: Copy + Ord + Default + Send {
    /// Well mixed bits: equal for equal keys.
    fn fold(self) -> u64;
}

impl Key for u64 {
    /// The folded product with an odd constant (as in wyhash): instrument data differs in a few middle bits only, and
    /// the high half of a plain product would not see the highest of them, nor the low half the lowest.
    #[inline(always)]
    fn fold(self) -> u64 {
        let product = u128::from(self) * 0x9e37_79b9_7f4a_7c15;
        product as u64 ^ (product >> 64) as u64
    }
}

impl Key for u128 {
    #[inline(always)]
    fn fold(self) -> u64 {
        (self as u64 ^ (self >> 64) as u64).fold()
    }
}

/// This many values are kept as a list before a table is made.
const FEW: usize = 64;
/// Slots of a bucket: with their counts they fill a cache line.
const SLOTS: usize = 4;
const SMALLEST: usize = 8;
/// So many values are looked up at once.
const AHEAD: usize = 64;

/// A few values and how often each occurred; a slot is free while its count is 0, and slots are filled from the first.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Bucket<K> {
    keys: [K; SLOTS],
    counts: [u64; SLOTS],
}

/// Buckets, the first choice proportional to the folded key, so that any number of them will do; a full bucket overflows
/// into the next.
pub(crate) struct Table<K> {
    buckets: Vec<Bucket<K>>,
    used: usize,
}

impl<K: Key> Table<K> {
    fn new(buckets: usize) -> Self {
        Self {
            buckets: vec![Bucket::default(); buckets],
            used: 0,
        }
    }

    /// The bucket of first choice.
    #[inline(always)]
    fn home(&self, key: K) -> usize {
        ((u128::from(key.fold()) * self.buckets.len() as u128) >> 64) as usize
    }

    /// Adds to a key's count; whether the key is new.
    #[inline]
    fn add(&mut self, key: K, count: u64) -> bool {
        let home = self.home(key);
        self.add_from(home, key, count)
    }

    #[inline(always)]
    fn add_from(&mut self, home: usize, key: K, count: u64) -> bool {
        let mut at = home;
        loop {
            let bucket = &mut self.buckets[at];
            // The first slot with the key, chosen without a branch that could be mispredicted. A free slot holds the
            // default key: finding that key there takes the slot, as inserting would.
            let keys = &bucket.keys;
            let mut slot = SLOTS - 1;
            for i in (0..SLOTS - 1).rev() {
                slot = if keys[i] == key { i } else { slot };
            }
            if keys[slot] == key {
                let before = bucket.counts[slot];
                bucket.counts[slot] = before + count;
                self.used += usize::from(before == 0);
                return before == 0;
            }
            if let Some(free) = bucket.counts.iter().position(|count| *count == 0) {
                bucket.keys[free] = key;
                bucket.counts[free] = count;
                self.used += 1;
                return true;
            }
            at += 1;
            if at == self.buckets.len() {
                at = 0;
            }
        }
    }

    /// Adds at most [`AHEAD`] values until there are more than `bound` distinct ones; how many were taken.
    fn extend(&mut self, keys: &[K], bound: usize, bytes: &mut usize) -> usize {
        // A large table is not in a fast cache. Reading all lines first lets the processor wait for many of them at
        // once; between the branches of adding it would wait for a few.
        let mut homes = [0_u32; AHEAD];
        let mut read = 0;
        for (home, key) in homes.iter_mut().zip(keys) {
            let at = self.home(*key);
            read ^= self.buckets[at].counts[0];
            *home = at as u32;
        }
        std::hint::black_box(read);
        let size = self.buckets.len();
        for (i, (key, home)) in keys.iter().zip(homes).enumerate() {
            if self.add_from(home as usize, *key, 1) {
                if self.is_full() {
                    grow(self, bound, bytes);
                }
                if self.used > bound || self.buckets.len() != size {
                    return i + 1;
                }
            }
        }
        keys.len()
    }

    fn is_full(&self) -> bool {
        self.used * 3 >= self.buckets.len() * SLOTS * 2
    }

    /// Twice the size, but no larger than one key more than `bound` needs.
    #[cold]
    fn grow(&mut self, bound: usize) {
        let now = self.buckets.len();
        let enough = bound.saturating_add(1).saturating_mul(3) / (2 * SLOTS) + 2;
        let next = if enough > now {
            enough.min(now * 2)
        } else {
            now * 2
        };
        let mut grown = Self::new(next);
        for (key, count) in self.pairs() {
            grown.add(key, count);
        }
        *self = grown;
    }

    fn pairs(&self) -> impl Iterator<Item = (K, u64)> + '_ {
        let all = self.buckets.iter();
        let pairs = all.flat_map(|b| b.keys.iter().copied().zip(b.counts));
        pairs.filter(|(_, count)| *count > 0)
    }

    fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<Bucket<K>>() + size_of::<Self>()
    }
}

/// Values with their counts.
pub(crate) enum Multiset<K> {
    /// All values as they came.
    Few(Vec<K>),
    /// Each distinct value once.
    Many(Box<Table<K>>),
}

impl<K: Key> Default for Multiset<K> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K: Key> Multiset<K> {
    /// Adds values until there are more than `bound` distinct ones; how many were taken. What is allocated is added to
    /// `bytes`.
    pub(crate) fn extend(&mut self, keys: &[K], bound: usize, bytes: &mut usize) -> usize {
        let mut taken = 0;
        if let Self::Few(list) = self {
            let before = list.capacity();
            taken = keys.len().min(FEW.min(bound).saturating_sub(list.len()));
            list.extend_from_slice(&keys[..taken]);
            *bytes += (list.capacity() - before) * size_of::<K>();
        }
        if taken == keys.len() {
            return taken;
        }
        let table = self.table(bytes);
        while taken < keys.len() && table.used <= bound {
            let next = keys.len().min(taken + AHEAD);
            taken += table.extend(&keys[taken..next], bound, bytes);
        }
        taken
    }

    /// Adds one value `count` times; afterwards there may be one distinct value more than `bound`.
    #[inline]
    pub(crate) fn add(&mut self, key: K, count: u64, bound: usize, bytes: &mut usize) {
        if let Self::Few(list) = self
            && count as usize <= FEW.min(bound).saturating_sub(list.len())
        {
            let before = list.capacity();
            list.extend((0..count).map(|_| key));
            *bytes += (list.capacity() - before) * size_of::<K>();
            return;
        }
        let table = self.table(bytes);
        if table.add(key, count) && table.is_full() {
            grow(table, bound, bytes);
        }
    }

    /// Whether there are more than `bound` distinct values, given that every addition was made with this bound.
    #[inline]
    pub(crate) fn exceeds(&self, bound: usize) -> bool {
        match self {
            Self::Few(_) => false,
            Self::Many(table) => table.used > bound,
        }
    }

    /// The distinct values, ascending, with their counts; `into` is emptied first.
    pub(crate) fn runs(&self, into: &mut Vec<(K, u64)>) {
        into.clear();
        match self {
            Self::Few(list) => into.extend(list.iter().map(|key| (*key, 1))),
            Self::Many(table) => into.extend(table.pairs()),
        }
        into.sort_unstable();
        into.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
    }

    /// How many distinct values there are; `scratch` is overwritten.
    pub(crate) fn distinct(&self, scratch: &mut Vec<(K, u64)>) -> usize {
        match self {
            Self::Few(_) => {
                self.runs(scratch);
                scratch.len()
            }
            Self::Many(table) => table.used,
        }
    }

    /// The bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Few(list) => list.capacity() * size_of::<K>(),
            Self::Many(table) => table.bytes(),
        }
    }

    fn table(&mut self, bytes: &mut usize) -> &mut Table<K> {
        if let Self::Few(list) = self {
            let mut table = Table::new(SMALLEST);
            for key in &*list {
                if table.add(*key, 1) && table.is_full() {
                    table.grow(FEW);
                }
            }
            *bytes = *bytes - list.capacity() * size_of::<K>() + table.bytes();
            *self = Self::Many(Box::new(table));
        }
        match self {
            Self::Many(table) => table,
            Self::Few(_) => unreachable!("a list was turned into a table just now"),
        }
    }
}

#[cold]
fn grow<K: Key>(table: &mut Table<K>, bound: usize, bytes: &mut usize) {
    *bytes -= table.bytes();
    table.grow(bound);
    *bytes += table.bytes();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn counts_as_a_map_does() {
        for (rows, distinct) in [
            (0, 1),
            (5, 3),
            (64, 64),
            (65, 2),
            (1000, 700),
            (50_000, 9_000),
        ] {
            let keys: Vec<u64> = (0..rows)
                .map(|i: u64| (i.wrapping_mul(2_654_435_761) % distinct) << 40)
                .collect();
            let mut expected = BTreeMap::new();
            keys.iter()
                .for_each(|k| *expected.entry(*k).or_insert(0) += 1);
            let expected: Vec<(u64, u64)> = expected.into_iter().collect();
            let (mut whole, mut single) = (Multiset::default(), Multiset::default());
            let (mut bytes, mut single_bytes) = (0, 0);
            assert_eq!(whole.extend(&keys, usize::MAX, &mut bytes), keys.len());
            keys.iter()
                .for_each(|k| single.add(*k, 1, usize::MAX, &mut single_bytes));
            let mut runs = Vec::new();
            whole.runs(&mut runs);
            assert_eq!(runs, expected);
            single.runs(&mut runs);
            assert_eq!(runs, expected);
            assert_eq!((bytes, single_bytes), (whole.bytes(), single.bytes()));
        }
    }

    #[test]
    fn stops_at_the_bound() {
        for bound in [0_usize, 1, 3, 64, 65, 100, 65_536] {
            let keys: Vec<u64> = (0..bound as u64 + 5).collect();
            let mut set = Multiset::default();
            let mut bytes = 0;
            assert_eq!(set.extend(&keys[..bound], bound, &mut bytes), bound);
            assert!(!set.exceeds(bound), "{bound}");
            assert_eq!(set.extend(&keys, bound, &mut bytes), bound + 1);
            assert!(set.exceeds(bound), "{bound}");
        }
    }
}
