//! Rows put in the order of their groups before states take them in: neighbours in memory are visited one after another.
//!
//! With many groups and many calls, every row of a batch touches another cache line of every state, and the aggregation
//! waits for memory. So rows are gathered until there are several for each line, sorted by group (a counting sort over
//! ranges of groups), and then taken in. The rows of a group stay in the order in which they came.

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::DataType;
use dataflow_core::{Places, Result};

use crate::calls::States;

/// States smaller than this are in the cache anyway. Tests have small states and go this way all the same.
const IN_CACHE: usize = if cfg!(test) { 1 } else { 2 << 20 };
/// How many rows are gathered.
const ROWS: usize = if cfg!(test) { 1000 } else { 65_536 };
/// Ranges of groups that the sort tells apart, at most.
const RANGES: usize = 4096;

/// Rows that wait for more of their kind.
pub(super) struct Nearby {
    /// Bytes that may be gathered.
    limit: usize,
    inputs: Vec<Vec<ArrayRef>>,
    places: Vec<u64>,
    groups: Vec<u32>,
    bytes: usize,
}

impl Nearby {
    /// None yet, of a stage with so much memory.
    pub(super) fn new(memory: usize) -> Self {
        Self {
            limit: memory / 4,
            inputs: Vec::new(),
            places: Vec::new(),
            groups: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes rows in, at once or later.
    pub(super) fn add(
        &mut self,
        states: &mut States,
        groups: &[u32],
        inputs: &[ArrayRef],
        places: &Places,
    ) -> Result<()> {
        let bytes: usize = inputs.iter().map(|input| width(input) * groups.len()).sum();
        if states.bytes() < IN_CACHE || bytes > self.limit / 8 || !inputs.iter().all(is_plain) {
            self.settle(states)?;
            return states.update(Some(groups), groups.len(), inputs, places);
        }
        self.bytes += bytes + 4 * groups.len();
        self.groups.extend_from_slice(groups);
        if let Some(numbers) = places.numbers(groups.len()) {
            self.places.extend_from_slice(numbers.values());
        }
        self.inputs.resize_with(inputs.len(), Vec::new);
        for (gathered, input) in self.inputs.iter_mut().zip(inputs) {
            gathered.push(input.clone());
        }
        if self.groups.len() >= ROWS || self.bytes > self.limit {
            self.settle(states)?;
        }
        Ok(())
    }

    /// Takes in what waits. To be called before the states are looked at.
    pub(super) fn settle(&mut self, states: &mut States) -> Result<()> {
        if self.groups.is_empty() {
            return Ok(());
        }
        let order = by_range(&self.groups);
        let groups: Vec<u32> = order
            .values()
            .iter()
            .map(|row| self.groups[*row as usize])
            .collect();
        let places = match self.places.len() == groups.len() {
            true => Places::Each(
                order
                    .values()
                    .iter()
                    .map(|row| self.places[*row as usize])
                    .collect(),
            ),
            false => Places::Unknown,
        };
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for gathered in &mut self.inputs {
            let pieces: Vec<&dyn Array> = gathered.iter().map(AsRef::as_ref).collect();
            let whole = arrow_select::concat::concat(&pieces)?;
            gathered.clear();
            inputs.push(arrow_select::take::take(&whole, &order, None)?);
        }
        self.groups.clear();
        self.places.clear();
        self.bytes = 0;
        states.update(Some(&groups), groups.len(), &inputs, &places)
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + 8 * self.places.len()
    }
}

fn width(input: &ArrayRef) -> usize {
    input.data_type().primitive_width().unwrap_or(1)
}

/// Whether putting rows of this type in order costs little.
fn is_plain(input: &ArrayRef) -> bool {
    input.data_type().is_primitive() || *input.data_type() == DataType::Boolean
}

/// The rows in the order of the ranges that their groups are in; within a range as they came.
fn by_range(groups: &[u32]) -> UInt32Array {
    let most = groups.iter().copied().max().unwrap_or(0) as usize;
    let shift = (most / RANGES + 1).next_power_of_two().trailing_zeros();
    let mut next = vec![0_u32; (most >> shift) + 2];
    for group in groups {
        next[(group >> shift) as usize + 1] += 1;
    }
    for range in 1..next.len() {
        next[range] += next[range - 1];
    }
    let mut order = vec![0_u32; groups.len()];
    for (row, group) in groups.iter().enumerate() {
        let at = &mut next[(group >> shift) as usize];
        order[*at as usize] = row as u32;
        *at += 1;
    }
    order.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_ranges_of_groups_and_stay_in_place_within() {
        let groups: Vec<u32> = (0..10_000_u64)
            .map(|row| (row * 7_919 % 100_000) as u32)
            .collect();
        let order = by_range(&groups);
        let shift = 5; // 100,000 / 4096 is 24: ranges of 32 groups
        let mut seen = vec![false; groups.len()];
        for pair in order.values().windows(2) {
            let (a, b) = (
                groups[pair[0] as usize] >> shift,
                groups[pair[1] as usize] >> shift,
            );
            assert!(a < b || (a == b && pair[0] < pair[1]));
        }
        order
            .values()
            .iter()
            .for_each(|row| seen[*row as usize] = true);
        assert!(seen.iter().all(|seen| *seen));
    }
}
