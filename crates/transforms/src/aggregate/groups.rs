//! The group table: from the key columns of a batch to the group of each row, a column at a time.

use arrow_array::{ArrayRef, BinaryArray};
use arrow_schema::DataType;
use dataflow_core::Result;
use dataflow_core::order::Keys;

use super::distinct::Distinct;
use super::pairs::Pairs;
use dataflow_core::external::sort_by_bytes;

/// The groups met so far, numbered in the order in which they came.
///
/// Each column's values are numbered by themselves. Two numbers make a pair that is numbered again, that one makes a pair
/// with the number of the third column, and so on: the number of the last pair is the group. So a row costs one lookup
/// by number per column after the first, however long the keys are, and no pair is kept that no group needs.
pub(crate) struct Groups {
    types: Vec<DataType>,
    memory: usize,
    columns: Vec<Distinct>,
    pairs: Vec<Pairs>,
    /// For each column the number of each group's value; empty where there is one column, whose numbers are the groups.
    numbers: Vec<Vec<u32>>,
    encoded: usize,
    /// The numbers of each column's values in the batch at hand.
    rows: Vec<Vec<u32>>,
}

impl Groups {
    /// No groups yet, by keys of these types. A table for pairs may take a part of `memory` as a plain array.
    pub(crate) fn new(types: &[DataType], memory: usize) -> Result<Self> {
        let columns = types
            .iter()
            .map(Distinct::new)
            .collect::<Result<Vec<_>>>()?;
        let after_first = types.len().saturating_sub(1);
        let array = (memory / 16).clamp(4 << 10, 16 << 20);
        Ok(Self {
            columns,
            types: types.to_vec(),
            pairs: (0..after_first).map(|_| Pairs::new(array)).collect(),
            memory,
            numbers: vec![Vec::new(); if after_first > 0 { types.len() } else { 0 }],
            encoded: 0,
            rows: vec![Vec::new(); types.len()],
        })
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        match self.numbers.first() {
            Some(numbers) => numbers.len(),
            None => self.columns.first().map_or(0, Distinct::len),
        }
    }

    /// The group of each row.
    pub(crate) fn assign(&mut self, keys: &[ArrayRef], groups: &mut Vec<u32>) -> Result<()> {
        let before = self.len();
        for ((column, key), numbers) in self.columns.iter_mut().zip(keys).zip(&mut self.rows) {
            column.assign(key, numbers)?;
        }
        groups.clear();
        groups.extend_from_slice(&self.rows[0]);
        if self.pairs.is_empty() {
            let new = before as u32..self.len() as u32;
            self.encoded += new
                .map(|number| self.columns[0].encoded_length(number))
                .sum::<usize>();
            return Ok(());
        }
        let mut fresh = Vec::new();
        for (pairs, numbers) in self.pairs.iter_mut().zip(&self.rows[1..]) {
            fresh.clear();
            pair(pairs, groups, numbers, &mut fresh);
        }
        for row in fresh {
            for ((all, numbers), column) in
                self.numbers.iter_mut().zip(&self.rows).zip(&self.columns)
            {
                all.push(numbers[row]);
                self.encoded += column.encoded_length(numbers[row]);
            }
        }
        Ok(())
    }

    /// The keys of these groups, a column each.
    pub(crate) fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let keys = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| match self.numbers.get(at) {
                Some(numbers) => column.take(groups.iter().map(|group| numbers[*group as usize])),
                None => column.take(groups.iter().copied()),
            });
        keys.collect()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(Distinct::bytes).sum();
        let pairs: usize = self.pairs.iter().map(Pairs::bytes).sum();
        let numbers = self.numbers.iter().chain(&self.rows);
        columns + pairs + numbers.map(|numbers| numbers.capacity() * 4).sum::<usize>()
    }

    /// Bytes that putting the groups in order will take.
    pub(crate) fn sorting_bytes(&self) -> usize {
        self.encoded + self.len() * 24
    }

    /// Forgets all groups.
    pub(crate) fn clear(&mut self) -> Result<()> {
        *self = Self::new(&self.types, self.memory)?;
        Ok(())
    }

    /// Some of the groups in the order of their keys, with the keys' bytes.
    pub(crate) fn some_in_order(
        &self,
        keys: &Keys,
        some: &[u32],
    ) -> Result<(Vec<u32>, BinaryArray)> {
        let encoded = keys.encode(&self.keys(some)?)?;
        let at = |position: u32| encoded.value(position as usize);
        let order = sort_by_bytes(0..some.len() as u32, at);
        let bytes = BinaryArray::from_iter_values(order.iter().map(|position| at(*position)));
        let groups = order.iter().map(|position| some[*position as usize]);
        Ok((groups.collect(), bytes))
    }

    /// The groups in the order of their keys. No rows can be assigned after it: what only they need is given back first.
    pub(crate) fn sorted(&mut self, keys: &Keys) -> Result<InOrder> {
        self.columns.iter_mut().for_each(Distinct::close);
        self.pairs = Vec::new();
        self.rows = Vec::new();
        let groups = self.len() as u32;
        let mut bytes = Vec::with_capacity(self.encoded);
        let mut ends = Vec::with_capacity(groups as usize);
        for start in (0..groups).step_by(ENCODED_AT_ONCE) {
            let some: Vec<u32> = (start..groups.min(start + ENCODED_AT_ONCE as u32)).collect();
            for key in keys.encode(&self.keys(&some)?)?.iter() {
                bytes.extend_from_slice(key.unwrap_or_default());
                ends.push(bytes.len());
            }
        }
        let key = KeyBytes { bytes, ends };
        let order = sort_by_bytes(0..groups, |group| key.of(group));
        Ok(InOrder { order, keys: key })
    }
}

/// How many groups' keys are turned into columns and bytes at once.
const ENCODED_AT_ONCE: usize = 8192;

/// Numbers the pairs of two columns of numbers, in place, and collects the rows that made a new pair.
fn pair(pairs: &mut Pairs, left: &mut [u32], right: &[u32], fresh: &mut Vec<usize>) {
    for (row, (left, right)) in left.iter_mut().zip(right).enumerate() {
        let (number, new) = pairs.number(*left, *right);
        if new {
            fresh.push(row);
        }
        *left = number;
    }
}

struct KeyBytes {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl KeyBytes {
    fn of(&self, group: u32) -> &[u8] {
        let at = group as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }
}

/// Groups in the order of their keys.
pub(crate) struct InOrder {
    /// The groups' numbers.
    pub(crate) order: Vec<u32>,
    keys: KeyBytes,
}

impl InOrder {
    /// The key bytes of a group.
    pub(crate) fn key(&self, group: u32) -> &[u8] {
        self.keys.of(group)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.order.len() * 12 + self.keys.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{plain, rows};

    #[test]
    fn groups_are_numbered_as_they_come_and_sort_by_key() {
        let first = rows("a:dict b:f64 c:i64\nx 1 9\ny 1 9\nx 1 9\n- 1 9\nx nan 9");
        let second = rows("a:dict b:f64 c:i64\ny 1 9\nb 1 9\nx 1 8\n- - -\nx nan 9");
        let types: Vec<DataType> = plain(&first)
            .iter()
            .map(|c| c.data_type().clone())
            .collect();
        for columns in 1..=3 {
            let mut table = Groups::new(&types[..columns], 1 << 20).expect("keys");
            let mut all: Vec<(Vec<u8>, u32)> = Vec::new();
            let keys = Keys::ascending(&types[..columns]).expect("keys");
            let mut groups = Vec::new();
            for batch in [&first, &second] {
                table
                    .assign(&batch.columns()[..columns], &mut groups)
                    .expect("assigns");
                let bytes = keys.encode(&plain(batch)[..columns]).expect("encodes");
                all.extend(
                    groups
                        .iter()
                        .enumerate()
                        .map(|(row, g)| (bytes.value(row).to_vec(), *g)),
                );
            }
            for (key, group) in &all {
                for (other_key, other) in &all {
                    assert_eq!(key == other_key, group == other, "{columns} {all:?}");
                }
            }
            let mut expected: Vec<Vec<u8>> = all.into_iter().map(|(key, _)| key).collect();
            expected.sort();
            expected.dedup();
            assert!(table.sorting_bytes() >= expected.concat().len());
            assert_eq!(table.len(), expected.len());
            let sorted = table.sorted(&keys).expect("sorts");
            let found: Vec<Vec<u8>> = sorted
                .order
                .iter()
                .map(|g| sorted.key(*g).to_vec())
                .collect();
            assert_eq!(found, expected);
            let back = keys
                .encode(&table.keys(&sorted.order).expect("keys"))
                .expect("encodes");
            assert_eq!(
                back.iter()
                    .flatten()
                    .map(<[u8]>::to_vec)
                    .collect::<Vec<_>>(),
                expected
            );
        }
    }
}
