//! The mean of the last samples, without drift: sums are made anew on a grid of blocks as long as the window.
//!
//! A window of `n` samples is the end of one block of `n` and the beginning of the next. The sums of all ends of a block are made when
//! it is complete, those of the beginnings as they grow; the mean takes one of each. So nothing is ever subtracted, and a mean is a
//! function of its window's samples and of where the window lies. Sums carry their rounding errors along (Knuth's two-sum).

use crate::memory::{Filter, Memory, Saved, put, put_all, put_whole};

/// A sum, what was lost of it in rounding, and of how many numbers it is.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    sum: f64,
    lost: f64,
    count: u64,
}

impl Sum {
    /// The same with one more, if it is a number.
    fn with(self, x: f64) -> Self {
        match x.is_nan() {
            true => self,
            false => self.and(Self {
                sum: x,
                lost: 0.0,
                count: 1,
            }),
        }
    }

    fn and(self, other: Self) -> Self {
        let sum = self.sum + other.sum;
        let part = sum - self.sum;
        let lost = (self.sum - (sum - part)) + (other.sum - part);
        Self {
            sum,
            lost: self.lost + other.lost + lost,
            count: self.count + other.count,
        }
    }

    fn mean(self) -> f64 {
        (self.sum + self.lost) / self.count as f64
    }
}

/// The mean of the last samples that are numbers.
#[derive(Clone, Debug)]
pub struct MovingAverage {
    window: usize,
    fewest: u64,
    /// The sums of the ends of the block before: of its last `k` samples the `k`-th, from 0 on.
    ends: Vec<Sum>,
    /// The samples of the block at hand, and their sum.
    block: Vec<f64>,
    sum: Sum,
}

impl MovingAverage {
    /// Of so many samples, at least 1, where at least `fewest` of them are numbers.
    pub fn new(window: usize, fewest: u64) -> Self {
        Self {
            window,
            fewest: fewest.max(1),
            ends: Vec::new(),
            block: Vec::new(),
            sum: Sum::default(),
        }
    }

    fn next(&mut self, x: f64) -> f64 {
        self.block.push(x);
        self.sum = self.sum.with(x);
        let before = self.window - self.block.len();
        let of_window = match self.ends.get(before) {
            Some(end) => end.and(self.sum),
            None => self.sum,
        };
        if before == 0 {
            self.begin();
        }
        match of_window.count < self.fewest {
            true => f64::NAN,
            false => of_window.mean(),
        }
    }

    /// The block at hand is complete.
    fn begin(&mut self) {
        self.ends.clear();
        self.ends.push(Sum::default());
        let mut sum = Sum::default();
        for x in self.block.drain(..).rev() {
            sum = sum.with(x);
            self.ends.push(sum);
        }
        self.sum = Sum::default();
    }
}

impl Memory for MovingAverage {
    fn save(&self, into: &mut Vec<u8>) {
        put_all(into, self.block.iter().copied());
        put_whole(into, self.ends.len() as u64);
        for end in &self.ends {
            put(into, end.sum);
            put(into, end.lost);
            put_whole(into, end.count);
        }
    }

    fn restore(&mut self, from: &mut Saved<'_>) -> Option<()> {
        self.block = from.numbers()?;
        (self.block.len() < self.window).then_some(())?;
        let all = self.block.iter();
        self.sum = all.fold(Sum::default(), |sum, x| sum.with(*x));
        let ends = from.whole()?;
        (ends == 0 || ends == self.window as u64 + 1).then_some(())?;
        let end = |_| {
            Some(Sum {
                sum: from.number()?,
                lost: from.number()?,
                count: from.whole()?,
            })
        };
        self.ends = (0..ends).map(end).collect::<Option<_>>()?;
        Some(())
    }

    fn bytes(&self) -> usize {
        let ends = size_of::<Sum>() * self.ends.capacity();
        size_of::<Self>() + ends + 8 * self.block.capacity()
    }
}

/// Samples that are no numbers have their place in the window, and do not count.
impl Filter for MovingAverage {
    fn push(&mut self, samples: &mut [f64]) {
        samples.iter_mut().for_each(|x| *x = self.next(*x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::testing::{PIECES, bits, filtered, noise};

    #[test]
    fn means_are_those_of_whole_numbers() {
        // Whole numbers have exact sums, so their means are rounded once.
        let mut samples: Vec<f64> = (0..500).map(|i: i64| ((i * 7919) % 1000) as f64).collect();
        samples[17] = f64::NAN;
        samples[18] = f64::NAN;
        for window in [1, 2, 7, 100, 499, 500, 900] {
            for fewest in [0, 2, window] {
                let at = |i: usize| {
                    let of = &samples[(i + 1).saturating_sub(window)..=i];
                    let of: Vec<f64> = of.iter().copied().filter(|x| !x.is_nan()).collect();
                    match of.len() < fewest.max(1) {
                        true => f64::NAN,
                        false => of.iter().sum::<f64>() / of.len() as f64,
                    }
                };
                let expected: Vec<f64> = (0..500).map(at).collect();
                for piece in PIECES {
                    let make = || MovingAverage::new(window, fewest as u64);
                    let found = filtered(make, &samples, piece);
                    assert_eq!(bits(&found), bits(&expected), "{window} {fewest} {piece}");
                }
            }
        }
    }

    #[test]
    fn what_is_large_leaves_nothing_behind() {
        let mut samples = noise(1000);
        samples[3] = 1e17;
        samples[450] = -1e17;
        let found = filtered(|| MovingAverage::new(10, 1), &samples, 100);
        let clean = filtered(|| MovingAverage::new(10, 1), &noise(1000), 100);
        assert_eq!(bits(&found[13..450]), bits(&clean[13..450]));
        assert_eq!(bits(&found[460..]), bits(&clean[460..]));
    }
}
