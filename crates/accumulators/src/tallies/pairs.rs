//! Exact sums of two columns, their squares and their products, and what a straight line through the rows is like.
//!
//! With n rows and the sums of x, y, xx, yy and xy, let C = n Sxy - Sx Sy, A = n Sxx - Sx^2 and B = n Syy - Sy^2: the
//! covariance is C / (n (n - ddof)), the correlation C / sqrt(A B), the slope of y over x C / A.

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use dataflow_core::accumulator::{Accepted, Call, CallProblem, Reading};
use dataflow_core::{Places, Result};
use num_bigint::{BigInt, Sign};

use super::bytes::{Tally, in_bytes, values};
use super::ratio::{divided, root, scaled, unit};
use super::rows::{both_present, doubles, finite};
use super::{ddof, number};
use crate::exact::{Counts, Products, Sums};
use crate::states::options::Options;

/// Checks a call over two columns; only `covariance` has a `ddof`.
pub(crate) fn accept(
    call: &Call,
    what: &'static str,
    usage: &'static str,
) -> Result<Accepted, CallProblem> {
    let mut options = Options::of(call, 2, usage)?;
    let lost = match what {
        "covariance" => ddof(&mut options)?,
        _ => 1.0,
    };
    let columns = vec![number(&options, 0)?, number(&options, 1)?];
    options.end()?;
    let reading = Reading {
        what,
        numbers: vec![lost],
    };
    let make = || Pairs {
        counts: Counts::default(),
        first: Sums::of_floats(),
        second: Sums::of_floats(),
        squares: Default::default(),
        products: Products::default(),
    };
    let output = DataType::Float64;
    Ok(in_bytes("sums of pairs", reading, output, columns, make))
}

struct Pairs {
    counts: Counts,
    /// Also takes note of what is not finite, in either column.
    first: Sums,
    second: Sums,
    squares: [Products; 2],
    products: Products,
}

/// The sums of a group as integers; the columns are in units of two powers of two, and their products in both.
struct Line {
    n: BigInt,
    sums: [BigInt; 2],
    squares: [BigInt; 2],
    products: BigInt,
    units: [i32; 2],
}

impl Line {
    /// C of the module.
    fn covariation(&self) -> BigInt {
        &self.n * &self.products - &self.sums[0] * &self.sums[1]
    }

    /// A or B of the module.
    fn variation(&self, column: usize) -> BigInt {
        &self.n * &self.squares[column] - &self.sums[column] * &self.sums[column]
    }

    fn covariance(&self, lost: u64) -> f64 {
        let below = &self.n * (&self.n - lost);
        divided(&self.covariation(), &below, self.units[0] + self.units[1])
    }

    fn correlation(&self) -> f64 {
        let (above, below) = (self.covariation(), self.variation(0) * self.variation(1));
        if below.sign() == Sign::NoSign {
            return f64::NAN;
        }
        let size = root(&(&above * &above), &below, 0);
        if above.sign() == Sign::Minus {
            -size
        } else {
            size
        }
    }

    /// Of the first column over the second.
    fn slope(&self) -> f64 {
        let below = self.variation(1);
        if below.sign() == Sign::NoSign {
            return f64::NAN;
        }
        divided(&self.covariation(), &below, self.units[0] - self.units[1])
    }

    /// (Sy Sxx - Sx Sxy) / A.
    fn intercept(&self) -> f64 {
        let below = self.variation(1);
        if below.sign() == Sign::NoSign {
            return f64::NAN;
        }
        let above = &self.sums[0] * &self.squares[1] - &self.sums[1] * &self.products;
        divided(&above, &below, self.units[0])
    }
}

impl Pairs {
    fn line(&self, group: usize) -> Line {
        let sums = [self.first.number(group), self.second.number(group)];
        let squares = [0, 1].map(|column| self.squares[column].number(group));
        let products = self.products.number(group);
        let mut units = [0, 1].map(|column| {
            let both = unit(&sums[column], 1).into_iter();
            both.chain(unit(&squares[column], 2)).min().unwrap_or(0)
        });
        // Sums may have fewer bits than their terms, so the products can reach below.
        let below = unit(&products, 1).map_or(0, |unit| units[0] + units[1] - unit);
        units[0] -= below.max(0);
        Line {
            n: BigInt::from(self.counts.of(group)),
            products: scaled(&products, units[0] + units[1]),
            sums: [0, 1].map(|column| scaled(&sums[column], units[column])),
            squares: [0, 1].map(|column| scaled(&squares[column], 2 * units[column])),
            units,
        }
    }

    fn value_of(&self, reading: &Reading, group: usize) -> Option<f64> {
        let lost = reading.numbers.first().map_or(1, |ddof| *ddof as u64);
        if self.counts.of(group) <= lost {
            return None;
        }
        if self.first.strange(group).is_some() {
            return Some(f64::NAN);
        }
        let line = self.line(group);
        Some(match reading.what {
            "covariance" => line.covariance(lost),
            "correlation" => line.correlation(),
            "slope" => line.slope(),
            _ => line.intercept(),
        })
    }
}

impl Tally for Pairs {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups);
        self.first.resize(groups);
        self.second.resize(groups);
        self.squares.iter_mut().for_each(|sums| sums.resize(groups));
        self.products.resize(groups);
    }

    fn add(&mut self, groups: Option<&[u32]>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let mut strange = Vec::new();
        both_present(groups, doubles(columns), |groups, [x, y]| {
            self.counts.add(groups, x.len());
            let note = |group| strange.push(group);
            finite(groups, [x, y], note, |groups, [x, y]| {
                self.first.add(groups, x);
                self.second.add(groups, y);
                self.squares[0].add(groups, x, x);
                self.squares[1].add(groups, y, y);
                self.products.add(groups, x, y);
            });
        });
        let all = strange.into_iter();
        all.for_each(|group| self.first.note(group, f64::NAN));
        Ok(())
    }

    fn write(&self, group: usize, out: &mut Vec<u8>) {
        self.counts.write(group, out);
        self.first.write(group, out);
        self.second.write(group, out);
        self.squares.iter().for_each(|sums| sums.write(group, out));
        self.products.write(group, out);
    }

    fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
        self.counts.read(group, bytes)?;
        self.first.read(group, bytes)?;
        self.second.read(group, bytes)?;
        self.squares[0].read(group, bytes)?;
        self.squares[1].read(group, bytes)?;
        self.products.read(group, bytes)
    }

    fn settle(&mut self, terms: usize) {
        self.first.settle(terms);
        self.second.settle(terms);
        self.squares.iter_mut().for_each(|sums| sums.settle(terms));
        self.products.settle(terms);
    }

    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        Ok(values(groups, |group| self.value_of(reading, group)))
    }

    fn bytes(&self) -> usize {
        let squares: usize = self.squares.iter().map(Products::bytes).sum();
        let sums = self.first.bytes() + self.second.bytes();
        self.counts.bytes() + sums + squares + self.products.bytes()
    }

    fn clear(&mut self) {
        self.counts.clear();
        self.first.clear();
        self.second.clear();
        self.squares.iter_mut().for_each(Products::clear);
        self.products.clear();
    }
}
