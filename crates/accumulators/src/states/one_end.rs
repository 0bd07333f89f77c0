//! The least or the greatest value of each group, as its order key: 8 bytes a group.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use dataflow_core::accumulator::Reading;
use dataflow_core::{Accumulator, Groups, Places, Result};

use super::extremes::{End, doubles_ends};
use super::keys::{self, Floats};
use super::lists::column;

/// See the module.
pub(super) struct OneEnd {
    data_type: DataType,
    least: bool,
    /// The key of each group's end; [`OneEnd::none`] where there is no value, or where that is the end.
    keys: Vec<u64>,
    /// A bit for each group that met a value with the key that stands for none; empty while no group has.
    met: Vec<u64>,
}

impl OneEnd {
    pub(super) fn new(data_type: &DataType, end: End) -> Self {
        Self {
            data_type: data_type.clone(),
            least: end == End::Least,
            keys: Vec::new(),
            met: Vec::new(),
        }
    }

    /// A key that no other is behind: any value takes its place.
    fn none(&self) -> u64 {
        if self.least { u64::MAX } else { 0 }
    }

    /// Takes rows in; says whether a key was met that stands for none.
    fn take_in(&mut self, groups: Groups<'_>, column: &ArrayRef) -> Result<bool> {
        if let Groups::One = groups
            && let Some(end) = self.of_doubles(column)
        {
            self.keys[0] = self.nearer(self.keys[0], end);
            return Ok(false);
        }
        let (least, none) = (self.least, self.none());
        let (all, mut met) = (&mut self.keys[..], false);
        keys::visit(
            column.as_ref(),
            column.nulls(),
            Floats::Canonical,
            |start, keys| {
                met |= keys.contains(&none);
                match (groups, least) {
                    (Groups::One, true) => all[0] = keys.iter().fold(all[0], |a, b| a.min(*b)),
                    (Groups::One, false) => all[0] = keys.iter().fold(all[0], |a, b| a.max(*b)),
                    (Groups::Each(each), true) => scatter(all, &each[start..], keys, u64::min),
                    (Groups::Each(each), false) => scatter(all, &each[start..], keys, u64::max),
                }
            },
        )?;
        Ok(met)
    }

    /// The end of doubles without nulls, if that is what these are; no double has a key that stands for none.
    fn of_doubles(&self, column: &ArrayRef) -> Option<u64> {
        let doubles = column.as_primitive_opt::<Float64Type>()?;
        let ends = doubles_ends(doubles.values()).filter(|_| doubles.null_count() == 0)?;
        Some(ends[usize::from(!self.least)])
    }

    fn nearer(&self, a: u64, b: u64) -> u64 {
        if self.least { a.min(b) } else { a.max(b) }
    }

    /// Marks the groups that met a value with the key that stands for none.
    #[cold]
    fn mark(&mut self, groups: Groups<'_>, column: &ArrayRef) -> Result<()> {
        let (none, met) = (self.none(), &mut self.met);
        met.resize(self.keys.len().div_ceil(64), 0);
        keys::visit(
            column.as_ref(),
            column.nulls(),
            Floats::Canonical,
            |start, keys| {
                for (row, _) in keys.iter().enumerate().filter(|(_, key)| **key == none) {
                    let group = groups.of(start + row);
                    met[group / 64] |= 1 << (group % 64);
                }
            },
        )
    }

    fn column(&self, groups: &[u32]) -> Result<ArrayRef> {
        let none = self.none();
        let met = |group: usize| {
            let bits = self.met.get(group / 64).copied().unwrap_or(0);
            bits >> (group % 64) & 1 == 1
        };
        let key = |group: &u32| {
            let key = self.keys[*group as usize];
            (key != none || met(*group as usize)).then_some(key)
        };
        keys::array(&self.data_type, groups.iter().map(key))
    }

    fn add(&mut self, groups: Groups<'_>, column: &ArrayRef) -> Result<()> {
        match self.take_in(groups, column)? {
            true => self.mark(groups, column),
            false => Ok(()),
        }
    }
}

/// Moves the end of each row's group.
fn scatter(ends: &mut [u64], groups: &[u32], keys: &[u64], nearer: impl Fn(u64, u64) -> u64) {
    for (group, key) in groups.iter().zip(keys) {
        let end = &mut ends[*group as usize];
        *end = nearer(*end, *key);
    }
}

impl Accumulator for OneEnd {
    fn resize(&mut self, groups: usize) {
        let none = self.none();
        crate::exact::grow(&mut self.keys, groups, none);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        self.add(groups, column(columns, 0)?)
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        self.add(Groups::Each(groups), column(state, 0)?)
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.column(groups)?])
    }

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        self.column(groups)
    }

    fn bytes(&self) -> usize {
        (self.keys.capacity() + self.met.capacity()) * 8
    }

    fn clear(&mut self) {
        (self.keys, self.met) = (Vec::new(), Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{BooleanArray, Int64Array, UInt64Array};
    use std::sync::Arc;

    #[test]
    fn a_value_at_the_very_end_is_told_from_none() {
        for (column, data_type) in [
            (
                Arc::new(UInt64Array::from(vec![Some(0), None, Some(u64::MAX)])) as ArrayRef,
                DataType::UInt64,
            ),
            (
                Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
                DataType::Int64,
            ),
            (
                Arc::new(BooleanArray::from(vec![Some(false), None, Some(true)])),
                DataType::Boolean,
            ),
        ] {
            for end in [End::Least, End::Greatest] {
                let mut made = OneEnd::new(&data_type, end);
                made.resize(200);
                let groups = [3, 4, 199];
                made.add(Groups::Each(&groups), &column).expect("keys");
                assert_eq!(&made.column(&groups).expect("a column"), &column);
                let mut merged = OneEnd::new(&data_type, end);
                merged.resize(3);
                let state = made.state(&groups).expect("a state");
                merged.merge(&[0, 1, 2], &state).expect("merges");
                assert_eq!(&merged.column(&[0, 1, 2]).expect("a column"), &column);
                let bytes = merged.bytes();
                merged.clear();
                assert!(bytes >= 24 && merged.bytes() == 0);
            }
        }
    }
}
