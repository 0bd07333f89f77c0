//! Numbers for byte strings: each distinct one is kept once.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Byte strings by number, and numbers by byte string.
#[derive(Default)]
pub(crate) struct Interner {
    numbers: HashTable<u32>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Interner {
    /// The number of a byte string; `None` when there are 2^32 others.
    pub(crate) fn number(&mut self, value: &[u8]) -> Option<u32> {
        let hash = xxh3_64(value);
        let (bytes, ends) = (&self.bytes, &self.ends);
        if let Some(number) = self.numbers.find(hash, |n| get(bytes, ends, *n) == value) {
            return Some(*number);
        }
        let number = u32::try_from(self.ends.len()).ok()?;
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        let (bytes, ends) = (&self.bytes, &self.ends);
        self.numbers
            .insert_unique(hash, number, |n| xxh3_64(get(bytes, ends, *n)));
        Some(number)
    }

    /// The byte string of a number that was given out.
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        get(&self.bytes, &self.ends, number)
    }

    /// The bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.numbers.allocation_size()
            + self.ends.capacity() * size_of::<usize>()
            + self.bytes.capacity()
    }
}

fn get<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &bytes[start..ends[number]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_kept_once() {
        let mut interner = Interner::default();
        let words = ["a", "", "b", "a", "", "ab"];
        let numbers: Vec<_> = words
            .iter()
            .map(|w| interner.number(w.as_bytes()))
            .collect();
        assert_eq!(numbers, [0, 1, 2, 0, 1, 3].map(Some));
        assert_eq!(interner.get(1), b"");
        assert_eq!(interner.get(3), b"ab");
        for i in 0..10_000_u32 {
            interner.number(&i.to_le_bytes());
        }
        assert_eq!(interner.number(b"ab"), Some(3));
    }
}
