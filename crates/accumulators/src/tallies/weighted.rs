//! The exact sums of weights, and of numbers times their weights.

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use dataflow_core::accumulator::{Accepted, Call, CallProblem, Reading};
use dataflow_core::{Places, Result};
use num_bigint::{BigInt, Sign};

use super::bytes::{Tally, in_bytes, values};
use super::number;
use super::ratio::{divided, scaled};
use super::rows::{both_present, doubles, finite};
use crate::exact::{Counts, Number, Products, Sums};
use crate::states::options::Options;

/// Checks a call of `weighted_mean`.
pub(crate) fn accept(call: &Call, usage: &'static str) -> Result<Accepted, CallProblem> {
    let options = Options::of(call, 2, usage)?;
    let columns = vec![number(&options, 0)?, number(&options, 1)?];
    options.end()?;
    let reading = Reading::of("weighted_mean");
    let make = || Weighted {
        counts: Counts::default(),
        weights: Sums::of_floats(),
        odd: Sums::of_floats(),
        products: Products::default(),
    };
    let (state, output) = ("weighted sum", DataType::Float64);
    Ok(in_bytes(state, reading, output, columns, make))
}

struct Weighted {
    counts: Counts,
    weights: Sums,
    products: Products,
    /// Never has a sum, only notes of the products that are infinite or NaN.
    odd: Sums,
}

impl Weighted {
    fn value_of(&self, group: usize) -> Option<f64> {
        if self.counts.of(group) == 0 {
            return None;
        }
        let (product, weight) = (self.products.number(group), self.weights.number(group));
        let (odd_product, odd_weight) = (self.odd.strange(group), self.weights.strange(group));
        if odd_product.is_some() || odd_weight.is_some() {
            let product = odd_product.unwrap_or_else(|| sign(&product));
            return Some(product / odd_weight.unwrap_or_else(|| sign(&weight)));
        }
        if weight.is_zero() {
            return Some(f64::NAN);
        }
        let units = (product.exponent(), weight.exponent());
        let (above, below) = (scaled(&product, units.0), scaled(&weight, units.1));
        let negative = below.sign() == Sign::Minus;
        let above: BigInt = if negative { -above } else { above };
        Some(divided(&above, &below, units.0 - units.1))
    }
}

/// What a finite number is to an infinite one: only its sign matters.
fn sign(number: &Number) -> f64 {
    match (number.is_zero(), number.is_negative()) {
        (true, _) => 0.0,
        (false, true) => -1.0,
        (false, false) => 1.0,
    }
}

impl Tally for Weighted {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups);
        self.weights.resize(groups);
        self.odd.resize(groups);
        self.products.resize(groups);
    }

    fn add(&mut self, groups: Option<&[u32]>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        both_present(groups, doubles(columns), |groups, [x, weights]| {
            self.counts.add(groups, x.len());
            self.weights.add(groups, weights);
            let mut strange = false;
            let products = &mut self.products;
            finite(
                groups,
                [x, weights],
                |_| strange = true,
                |groups, [x, weights]| {
                    products.add(groups, x, weights);
                },
            );
            let rows = if strange { x.len() } else { 0 };
            for row in 0..rows {
                let (x, weight) = (x[row], weights[row]);
                if !(x.is_finite() && weight.is_finite()) {
                    let group = groups.map_or(0, |groups| groups[row] as usize);
                    self.odd.note(group, x * weight);
                }
            }
        });
        Ok(())
    }

    fn write(&self, group: usize, out: &mut Vec<u8>) {
        self.counts.write(group, out);
        self.weights.write(group, out);
        self.odd.write(group, out);
        self.products.write(group, out);
    }

    fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
        self.counts.read(group, bytes)?;
        self.weights.read(group, bytes)?;
        self.odd.read(group, bytes)?;
        self.products.read(group, bytes)
    }

    fn settle(&mut self, terms: usize) {
        self.weights.settle(terms);
        self.products.settle(terms);
    }

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        Ok(values(groups, |group| self.value_of(group)))
    }

    fn bytes(&self) -> usize {
        let sums = self.weights.bytes() + self.odd.bytes();
        self.counts.bytes() + sums + self.products.bytes()
    }

    fn clear(&mut self) {
        self.counts.clear();
        self.weights.clear();
        self.odd.clear();
        self.products.clear();
    }
}
