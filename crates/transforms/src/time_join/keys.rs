//! The keys of both sides: each has a number, and bytes that compare as keys do, so that rows are put in order without being
//! encoded one by one.

use arrow_array::{ArrayRef, BinaryArray};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::DataType;
use dataflow_core::order::Keys;
use dataflow_core::time::Instant;
use dataflow_core::{Error, Places, Result};

use crate::aggregate::Groups;

/// The keys met so far.
pub(super) struct KeyTable {
    table: Option<(Groups, Keys)>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl KeyTable {
    /// Without keys; where there are no types, all rows have one key.
    pub(super) fn new(types: &[DataType], memory: usize) -> Result<Self> {
        let table = match types.is_empty() {
            true => None,
            false => Some((Groups::new(types, memory)?, Keys::ascending(types)?)),
        };
        let ends = if table.is_none() { vec![0] } else { Vec::new() };
        Ok(Self {
            table,
            bytes: Vec::new(),
            ends,
        })
    }

    /// The number of each row's key.
    pub(super) fn assign(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        numbers: &mut Vec<u32>,
    ) -> Result<()> {
        let Some((groups, keys)) = &mut self.table else {
            numbers.clear();
            numbers.resize(rows, 0);
            return Ok(());
        };
        let before = groups.len() as u32;
        groups.assign(columns, numbers)?;
        let new: Vec<u32> = (before..groups.len() as u32).collect();
        if !new.is_empty() {
            for key in keys.encode(&groups.keys(&new)?)?.iter() {
                self.bytes.extend_from_slice(key.unwrap_or_default());
                self.ends.push(self.bytes.len());
            }
        }
        Ok(())
    }

    /// The keys with these numbers, a column each.
    pub(super) fn columns(&self, numbers: &[u32]) -> Result<Vec<ArrayRef>> {
        match &self.table {
            Some((groups, _)) => groups.keys(numbers),
            None => Ok(Vec::new()),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a key.
    pub(super) fn key(&self, number: u32) -> &[u8] {
        let at = number as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let groups = self.table.as_ref().map_or(0, |(groups, _)| groups.bytes());
        groups + self.bytes.capacity() + 8 * self.ends.capacity()
    }

    /// Forgets all keys but some, which from now on are numbered in this order.
    pub(super) fn keep(&mut self, kept: &[u32]) -> Result<()> {
        let Some((groups, _)) = &mut self.table else {
            return Ok(());
        };
        let columns = groups.keys(kept)?;
        groups.clear()?;
        self.bytes = Vec::new();
        self.ends = Vec::new();
        if kept.is_empty() {
            return Ok(());
        }
        self.assign(&columns, kept.len(), &mut Vec::new())
    }

    /// What rows are put in order by: their time, their key, their place.
    pub(super) fn order(
        &self,
        times: &[Instant],
        numbers: &[u32],
        places: &Places,
    ) -> Result<BinaryArray> {
        let mut bytes = Vec::with_capacity(24 * times.len());
        let mut lengths = Vec::with_capacity(times.len());
        for (row, (time, number)) in times.iter().zip(numbers).enumerate() {
            let place = places
                .get(row)
                .ok_or_else(|| Error::internal("rows to be joined came without places"))?;
            let key = self.key(*number);
            bytes.extend_from_slice(&(time ^ i64::MIN).to_be_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(&place.0.to_be_bytes());
            lengths.push(16 + key.len());
        }
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(BinaryArray::new(offsets, Buffer::from_vec(bytes), None))
    }
}
