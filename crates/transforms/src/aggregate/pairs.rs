//! Numbers for pairs of numbers: a plain array while the pairs are few enough for it, then a hash table.

use hashbrown::HashTable;

use super::values::{mix, table_bytes};

/// The numbers that were given to pairs, in the order in which the pairs came.
pub(super) struct Pairs {
    table: Table,
    count: u32,
    /// How many places an array may have.
    most_places: usize,
}

enum Table {
    /// The number of (left, right) is at `left << right_bits | right`.
    Array {
        right_bits: u32,
        places: Vec<u32>,
    },
    Hashed(HashTable<(u64, u32)>),
}

/// In an array: no such pair yet.
const UNMET: u32 = u32::MAX;

impl Pairs {
    /// No pairs; an array may take this many bytes.
    pub(super) fn new(array_bytes: usize) -> Self {
        Self {
            table: Table::Array {
                right_bits: 0,
                places: Vec::new(),
            },
            count: 0,
            most_places: array_bytes / 4,
        }
    }

    /// The number of a pair, and whether it is a new one: the next after all others.
    #[inline]
    pub(super) fn number(&mut self, left: u32, right: u32) -> (u32, bool) {
        if let Table::Array { right_bits, places } = &mut self.table
            && right >> *right_bits == 0
            && let Some(place) = places.get_mut((left as usize) << *right_bits | right as usize)
        {
            if *place != UNMET {
                return (*place, false);
            }
            *place = self.count;
            self.count += 1;
            return (*place, true);
        }
        self.number_elsewhere(left, right)
    }

    fn number_elsewhere(&mut self, left: u32, right: u32) -> (u32, bool) {
        match &mut self.table {
            Table::Array { .. } => {
                self.grow(left, right);
                self.number(left, right)
            }
            Table::Hashed(table) => {
                let key = key(left, right);
                let hash = mix(key);
                if let Some((_, number)) = table.find(hash, |(known, _)| *known == key) {
                    return (*number, false);
                }
                let number = self.count;
                table.insert_unique(hash, (key, number), |(key, _)| mix(*key));
                self.count += 1;
                (number, true)
            }
        }
    }

    /// Makes the array large enough for a pair, or a hash table of it if that is too large.
    #[cold]
    fn grow(&mut self, left: u32, right: u32) {
        let Table::Array { right_bits, places } = &mut self.table else {
            return;
        };
        let old_bits = *right_bits;
        let bits = old_bits.max(u32::BITS - right.leading_zeros());
        let rows = (left as usize + 1)
            .next_power_of_two()
            .max(places.len() >> old_bits);
        let known = places
            .iter()
            .enumerate()
            .filter(|(_, number)| **number != UNMET);
        let known = known.map(|(at, number)| {
            let (left, right) = (at >> old_bits, at & ((1 << old_bits) - 1));
            (left as u32, right as u32, *number)
        });
        let size = rows.checked_shl(bits).filter(|size| size >> bits == rows);
        if let Some(size) = size.filter(|size| *size <= self.most_places) {
            let mut grown = vec![UNMET; size];
            for (left, right, number) in known {
                grown[(left as usize) << bits | right as usize] = number;
            }
            *right_bits = bits;
            *places = grown;
            return;
        }
        let mut hashed = HashTable::with_capacity(self.count as usize);
        for (left, right, number) in known {
            let key = key(left, right);
            hashed.insert_unique(mix(key), (key, number), |(key, _)| mix(*key));
        }
        self.table = Table::Hashed(hashed);
    }

    /// Bytes held, and those that the next growth will need for a moment.
    pub(super) fn bytes(&self) -> usize {
        match &self.table {
            Table::Array { places, .. } => places.len() * 4,
            Table::Hashed(table) => {
                table_bytes(table.len(), table.capacity(), table.allocation_size())
            }
        }
    }
}

fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn pairs_are_numbered_as_they_come_in_either_table() {
        for array_bytes in [0, 64, 4096, 1 << 20] {
            let mut pairs = Pairs::new(array_bytes);
            let mut expected: HashMap<(u32, u32), u32> = HashMap::new();
            for i in 0_u32..20_000 {
                let pair = (
                    i.wrapping_mul(7919) % (1 + i / 100),
                    i.wrapping_mul(31) % 97,
                );
                let next = expected.len() as u32;
                let number = *expected.entry(pair).or_insert(next);
                assert_eq!(
                    pairs.number(pair.0, pair.1),
                    (number, number == next),
                    "{array_bytes} {i}"
                );
            }
            assert!(pairs.bytes() > 0);
            assert_eq!(
                matches!(pairs.table, Table::Array { .. }),
                array_bytes > 4096
            );
        }
    }
}
