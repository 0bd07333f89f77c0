//! Intervals that nobody gave: between multiples of a power of two that grows with the range of the values.
//!
//! The power follows from the least and the greatest value: it is the smallest with which the intervals between them are few enough,
//! and not below the resolution of the larger of both. It only grows as values come, and counts of two intervals are then added up,
//! which is what the wider interval would have counted. So the result does not depend on the order of values.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, UInt64Array};
use arrow_schema::{DataType, Field};
use dataflow_core::accumulator::Reading;
use dataflow_core::{Accumulator, Error, Groups, Places, Result};

use super::{Results, visit};
use crate::states::lists::{self, column, counts as numbers, lists as list_column};

/// The columns of a state: the power and the first interval; how many values are infinite, and in each interval.
pub(super) fn fields() -> Vec<Field> {
    let long = |items| lists::long(&items);
    vec![
        Field::new("grid", long(DataType::Int64), false),
        Field::new("counts", long(DataType::UInt64), false),
    ]
}

/// The least power: multiples of it are all doubles.
const LEAST: i32 = -1074;

/// The counts of a group.
#[derive(Clone, Debug, Default)]
struct Counts {
    /// Intervals are `2^power` wide; none before the first value.
    power: Option<i32>,
    /// The multiple at which the first interval begins.
    first: i64,
    counts: Vec<u64>,
    /// Minus infinity, infinity.
    infinite: [u64; 2],
    /// What the power and the next one are, as a factor that brings values to multiples.
    factors: [f64; 2],
}

/// `2^power` as two factors, since one may be too small for a double.
fn factors(power: i32) -> [f64; 2] {
    let half = power / 2;
    [2.0_f64.powi(-half), 2.0_f64.powi(half - power)]
}

/// The power of two below a number's least bit: 53 bits of it count.
fn resolution(x: f64) -> i32 {
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32;
    (exponent.max(1) - 1075).max(LEAST)
}

fn multiple(x: f64, factors: [f64; 2]) -> i64 {
    (x * factors[0] * factors[1]).floor() as i64
}

impl Counts {
    #[inline]
    fn add(&mut self, x: f64, most: usize) {
        if !x.is_finite() {
            self.infinite[usize::from(x > 0.0)] += 1;
            return;
        }
        if self.power.is_some_and(|power| resolution(x) <= power) {
            let at = multiple(x, self.factors).wrapping_sub(self.first);
            if let Some(count) = self.counts.get_mut(at as usize) {
                *count += 1;
                return;
            }
        }
        self.reach(x, most);
        let at = multiple(x, self.factors) - self.first;
        self.counts[at as usize] += 1;
    }

    /// Makes the intervals reach a value.
    fn reach(&mut self, x: f64, most: usize) {
        let least = resolution(x);
        let power = self.power.unwrap_or(least);
        self.set(power);
        if least > power {
            self.widen(least - power);
        }
        loop {
            let at = multiple(x, self.factors);
            let (from, to) = match self.counts.len() {
                0 => (at, at),
                some => (self.first.min(at), (self.first + some as i64 - 1).max(at)),
            };
            let needed = to.abs_diff(from).saturating_add(1);
            if needed <= most as u64 {
                let before = self.first.abs_diff(from) as usize;
                if self.counts.is_empty() {
                    self.first = from;
                } else {
                    self.counts.splice(0..0, std::iter::repeat_n(0, before));
                    self.first = from;
                }
                self.counts.resize(needed as usize, 0);
                return;
            }
            // As many steps at once as surely leave more than enough intervals.
            let steps = (needed / (2 * most as u64 + 2))
                .checked_ilog2()
                .unwrap_or(0);
            self.widen(steps.max(1) as i32);
        }
    }

    fn set(&mut self, power: i32) {
        self.power = Some(power);
        self.factors = factors(power);
    }

    /// Doubles the width of the intervals so many times.
    fn widen(&mut self, steps: i32) {
        let power = self.power.unwrap_or(LEAST);
        let shift = steps.min(63);
        let first = self.first >> shift;
        let mut counts = Vec::new();
        for (at, count) in self.counts.iter().enumerate() {
            let slot = (((self.first + at as i64) >> shift) - first) as usize;
            if slot >= counts.len() {
                counts.resize(slot + 1, 0);
            }
            counts[slot] += count;
        }
        (self.first, self.counts) = (first, counts);
        self.set(power + steps);
    }

    /// Takes in the counts of other values.
    fn merge(&mut self, mut other: Counts, most: usize) {
        self.infinite[0] += other.infinite[0];
        self.infinite[1] += other.infinite[1];
        let Some(theirs) = other.power else {
            return;
        };
        let Some(mine) = self.power else {
            let infinite = self.infinite;
            *self = other;
            self.infinite = infinite;
            return;
        };
        if mine < theirs {
            self.widen(theirs - mine);
        } else if theirs < mine {
            other.widen(mine - theirs);
        }
        loop {
            let from = self.first.min(other.first);
            let end = |of: &Counts| of.first + of.counts.len() as i64;
            let needed = (end(self).max(end(&other)) - from) as usize;
            if needed <= most {
                let mut counts = vec![0; needed];
                for of in [&*self, &other] {
                    for (at, count) in of.counts.iter().enumerate() {
                        counts[(of.first - from) as usize + at] += count;
                    }
                }
                (self.first, self.counts) = (from, counts);
                return;
            }
            self.widen(1);
            other.widen(1);
        }
    }

    /// Where an interval begins.
    fn edge(&self, at: usize) -> f64 {
        let [a, b] = factors(-self.power.unwrap_or(LEAST));
        (self.first + at as i64) as f64 * a * b
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * 8
    }
}

/// Histograms of several groups.
pub(super) struct Growing {
    most: usize,
    groups: Vec<Counts>,
}

impl Growing {
    /// Of at most so many intervals.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            groups: Vec::new(),
        }
    }
}

impl Accumulator for Growing {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, Counts::default);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let (all, most) = (&mut self.groups, self.most);
        visit(column(columns, 0)?, |row, x| {
            all[groups.of(row)].add(x, most)
        })
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let foreign = || Error::internal("this is not a state of a histogram");
        let (grids, lists) = (
            list_column(column(state, 0)?)?,
            list_column(column(state, 1)?)?,
        );
        let grid = grids
            .values()
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(foreign)?;
        let items = numbers(lists.values())?.values();
        for (row, group) in groups.iter().enumerate() {
            let at = |offsets: &[i64]| offsets[row] as usize..offsets[row + 1] as usize;
            let counts = &items[at(lists.value_offsets())];
            let grid = &grid.values()[at(grids.value_offsets())];
            let [minus, plus, counts @ ..] = counts else {
                return Err(foreign());
            };
            let mut other = Counts {
                counts: counts.to_vec(),
                infinite: [*minus, *plus],
                ..Counts::default()
            };
            if let [power, first] = grid {
                other.first = *first;
                other.set(*power as i32);
            }
            self.groups[*group as usize].merge(other, self.most);
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let (mut grid, mut counts) = (Vec::<i64>::new(), Vec::<u64>::new());
        let (mut pairs, mut lengths) = (Vec::new(), Vec::new());
        for group in groups {
            let group = &self.groups[*group as usize];
            let pair = group.power.map(|power| [i64::from(power), group.first]);
            pairs.push(pair.map_or(0, |pair| pair.len()));
            grid.extend(pair.into_iter().flatten());
            lengths.push(group.counts.len() + 2);
            counts.extend(group.infinite.iter().chain(&group.counts));
        }
        Ok(vec![
            lists::long_array(Arc::new(Int64Array::from(grid)), pairs)?,
            lists::long_array(Arc::new(UInt64Array::from(counts)), lengths)?,
        ])
    }

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let mut results = Results::default();
        for group in groups {
            let group = &self.groups[*group as usize];
            results.below.push(group.infinite[0] as i64);
            results.above.push(group.infinite[1] as i64);
            let bins = group.counts.len();
            results.from.extend((0..bins).map(|at| group.edge(at)));
            results.to.extend((1..=bins).map(|at| group.edge(at)));
            results
                .count
                .extend(group.counts.iter().map(|count| *count as i64));
            results.lengths.push(Some(bins));
        }
        results.array()
    }

    fn bytes(&self) -> usize {
        let counts: usize = self.groups.iter().map(Counts::bytes).sum();
        counts + self.groups.capacity() * size_of::<Counts>()
    }

    fn clear(&mut self) {
        self.groups = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::Float64Array;
    use dataflow_core::Value;

    fn histogram(values: &[f64], bins: i64) -> (Vec<f64>, Vec<u64>, u64) {
        let mut counts = Counts::default();
        values.iter().for_each(|x| counts.add(*x, bins as usize));
        let edges = (0..=counts.counts.len()).map(|at| counts.edge(at));
        let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        let call = call(&[DataType::Float64], &[("bins", Value::Integer(bins))]);
        // Any order, cut and merges give the same.
        let shown = show(&value(&crate::histogram::component(), &call, &[column]));
        assert!(shown.contains("below"), "{shown}");
        (edges.collect(), counts.counts, counts.infinite[1])
    }

    #[test]
    fn intervals_grow_by_powers_of_two() {
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        let (edges, counts, _) = histogram(&values, 100);
        assert_eq!((edges[0], edges[1], edges.len()), (0.0, 16.0, 64));
        assert_eq!((counts[0], counts[62]), (16, 8));
        let (edges, counts, _) = histogram(&[-0.3, 0.3, 0.3], 4);
        assert_eq!(
            (edges, counts),
            (vec![-0.5, -0.25, 0.0, 0.25, 0.5], vec![1, 0, 0, 2])
        );
    }

    #[test]
    fn strange_values_have_a_place() {
        let (edges, counts, above) = histogram(&[5.0, f64::INFINITY, f64::NAN], 10);
        assert_eq!((counts, above), (vec![1], 1));
        assert!(edges[0] == 5.0 && edges[1] > 5.0);
        let tiny = f64::from_bits(1);
        let (edges, counts, _) = histogram(&[0.0, tiny, 3.0 * tiny], 10);
        assert_eq!((edges[1], counts), (tiny, vec![1, 1, 0, 1]));
        let (edges, counts, _) = histogram(&[f64::MAX, -f64::MAX, 1.0, tiny], 8);
        assert_eq!(counts.iter().sum::<u64>(), 4);
        assert!(edges.len() <= 9);
        let (_, counts, _) = histogram(&[1e300, 1e-300, -0.0], 100);
        assert_eq!(counts.iter().sum::<u64>(), 3);
    }
}
