//! The segments of a group put together: the exact sums of their values, or all of them where their median is wanted.

use std::collections::BTreeMap;

use super::Kind;
use super::nearly::Nearly;
use super::written::{read_numbers, write_numbers};
use crate::exact::{Bins, read_varint, write_varint};

/// What is kept of segments.
#[derive(Debug)]
pub(super) enum Together {
    /// How many, and their sums.
    Sums(u64, Option<Box<Bins>>),
    /// Each, by its number.
    Each(BTreeMap<u64, Box<[f64]>>),
    /// How many of each bin have which first bits.
    Nearly(Nearly),
}

impl Together {
    pub(super) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Median => Self::Each(BTreeMap::new()),
            Kind::Nearly => Self::Nearly(Nearly::default()),
            Kind::Mean | Kind::Magnitude => Self::Sums(0, None),
        }
    }

    /// Takes a segment's values.
    pub(super) fn add(&mut self, number: u64, values: &[f64]) {
        match self {
            Self::Sums(count, sums) => {
                *count += 1;
                let sums = sums.get_or_insert_with(|| Box::new(Bins::new(values.len())));
                sums.add(values);
            }
            Self::Each(each) => {
                each.insert(number, values.into());
            }
            Self::Nearly(nearly) => nearly.add(values),
        }
    }

    /// The mean or the median of each value, if there is a segment.
    pub(super) fn values(&self) -> Option<Vec<f64>> {
        match self {
            Self::Sums(count, sums) => {
                let sums = sums.as_ref()?;
                Some((0..sums.len()).map(|bin| sums.mean(bin, *count)).collect())
            }
            Self::Each(each) => {
                let bins = each.values().next()?.len();
                let bias = median_bias(each.len());
                let median = |bin| median(each.values().map(|values| values[bin])) / bias;
                Some((0..bins).map(median).collect())
            }
            Self::Nearly(nearly) => {
                let bias = median_bias(usize::try_from(nearly.count()).ok().filter(|n| *n > 0)?);
                Some(nearly.medians().map(|median| median / bias).collect())
            }
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sums(count, sums) => {
                write_varint(*count, out);
                if let Some(sums) = sums {
                    sums.write(out);
                }
            }
            Self::Each(each) => {
                write_varint(each.len() as u64, out);
                for (number, values) in each {
                    write_varint(*number, out);
                    write_numbers(values, out);
                }
            }
            Self::Nearly(nearly) => nearly.write(out),
        }
    }

    /// Takes in what `write` wrote; `None` if it is not that.
    pub(super) fn read(&mut self, bins: usize, bytes: &mut &[u8]) -> Option<()> {
        if let Self::Nearly(nearly) = self {
            return nearly.read(bins, bytes);
        }
        let more = read_varint(bytes)?;
        match self {
            Self::Nearly(_) => {}
            Self::Sums(count, sums) => {
                *count += more;
                if more > 0 {
                    let sums = sums.get_or_insert_with(|| Box::new(Bins::new(bins)));
                    sums.read(bytes)?;
                }
            }
            Self::Each(each) => {
                for _ in 0..more {
                    let number = read_varint(bytes)?;
                    let values = read_numbers(bytes)?;
                    each.insert(number, values.into());
                }
            }
        }
        Some(())
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Sums(_, sums) => sums.as_ref().map_or(0, |sums| sums.bytes()),
            Self::Each(each) => {
                let one = each
                    .values()
                    .next()
                    .map_or(0, |values| values.len() * 8 + 48);
                each.len() * one
            }
            Self::Nearly(nearly) => nearly.bytes(),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let lower = below.iter().copied().max_by(f64::total_cmp);
    match lower.filter(|_| even) {
        Some(lower) => (lower + *upper) / 2.0,
        None => *upper,
    }
}

/// The median of so many periodograms of noise, whose mean is 1 (Allen et al. 2012, "FINDCHIRP", appendix B).
fn median_bias(count: usize) -> f64 {
    let twice = (1..=(count - 1) / 2).map(|i| 2.0 * i as f64);
    1.0 + twice.map(|n| 1.0 / (n + 1.0) - 1.0 / n).sum::<f64>()
}
