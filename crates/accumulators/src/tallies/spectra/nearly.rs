//! Medians of many numbers side by side, in bounded memory: numbers are told apart by their exponent and the first seven bits behind it.
//!
//! So a median is off by at most one part in 256. Counts do not mind the order of numbers, or how they are merged.

use crate::exact::{read_varint, write_varint};

/// The bits of a double that are not looked at.
const REST: u32 = 52 - 7;

/// The counts of one bin, from the bits `first` on.
#[derive(Clone, Debug, Default)]
struct Counts {
    first: u32,
    counts: Vec<u32>,
}

impl Counts {
    fn add(&mut self, bits: u32, times: u32) {
        if self.counts.is_empty() {
            self.first = bits;
        }
        if bits < self.first {
            let more = (self.first - bits) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, more));
            self.first = bits;
        }
        let at = (bits - self.first) as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] = self.counts[at].saturating_add(times);
    }

    /// The number in the middle of those with the same bits, of the one at `rank` from below.
    fn at(&self, rank: u64) -> f64 {
        let mut before = 0;
        for (at, count) in self.counts.iter().enumerate() {
            before += u64::from(*count);
            if before > rank {
                let bits = u64::from(self.first + at as u32);
                return f64::from_bits((bits << REST) | (1 << (REST - 1)));
            }
        }
        f64::NAN
    }
}

/// The counts of a row of bins. Powers are not negative, so their bits rise with them.
#[derive(Clone, Debug, Default)]
pub(super) struct Nearly {
    count: u64,
    bins: Vec<Counts>,
}

impl Nearly {
    /// Adds a number to each bin.
    pub(super) fn add(&mut self, values: &[f64]) {
        self.bins.resize(values.len(), Counts::default());
        self.count += 1;
        for (bin, value) in self.bins.iter_mut().zip(values) {
            bin.add((value.to_bits() >> REST) as u32, 1);
        }
    }

    /// How many numbers each bin has.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The median of each bin.
    pub(super) fn medians(&self) -> impl Iterator<Item = f64> {
        let (low, high) = ((self.count - 1) / 2, self.count / 2);
        let bins = self.bins.iter();
        bins.map(move |bin| (bin.at(low) + bin.at(high)) / 2.0)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_varint(self.count, out);
        for bin in &self.bins {
            write_varint(u64::from(bin.first), out);
            write_varint(bin.counts.len() as u64, out);
            bin.counts
                .iter()
                .for_each(|count| write_varint(u64::from(*count), out));
        }
    }

    /// Takes in what `write` wrote; `None` if it is not that.
    pub(super) fn read(&mut self, bins: usize, bytes: &mut &[u8]) -> Option<()> {
        let count = read_varint(bytes)?;
        if count == 0 {
            return Some(());
        }
        self.count += count;
        self.bins.resize(bins, Counts::default());
        for bin in &mut self.bins {
            let first = u32::try_from(read_varint(bytes)?).ok()?;
            for at in 0..u32::try_from(read_varint(bytes)?).ok()? {
                match u32::try_from(read_varint(bytes)?).ok()? {
                    0 => {}
                    times => bin.add(first.checked_add(at)?, times),
                }
            }
        }
        Some(())
    }

    pub(super) fn bytes(&self) -> usize {
        let counts: usize = self.bins.iter().map(|bin| bin.counts.capacity() * 4).sum();
        counts + self.bins.capacity() * size_of::<Counts>()
    }
}
