//! The value at one row of each group: the first, the last, or where something else is least or greatest.
//!
//! Rows are told apart by their places, so the result does not depend on the order in which they come. A batch is first
//! searched for the rows that win, then only their values are copied.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, UInt32Array, UInt64Array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};
use arrow_select::take::take;
use dataflow_core::accumulator::{Accepted, Call, CallProblem, OrderClass, Reading};
use dataflow_core::{Accumulator, Error, Groups, Places, Result};

use super::keys::{self, Floats, Scale};
use super::lists::column;
use super::options::{Options, unfit};
use super::plan::Plan;
use super::values::{Values, put};
use super::wide::Wide;

/// Which row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// With the least place.
    First,
    /// With the greatest place.
    Last,
    /// With the least `by`, of several the first.
    Least,
    /// With the greatest `by`, of several the first.
    Greatest,
}

impl Pick {
    fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::Least => "arg_min",
            Self::Greatest => "arg_max",
        }
    }

    fn has_by(self) -> bool {
        matches!(self, Self::Least | Self::Greatest)
    }
}

/// Checks a call such as `first(x)` or `arg_min(x, by)`.
pub(crate) fn accept(
    call: &Call,
    pick: Pick,
    usage: &'static str,
) -> Result<Accepted, CallProblem> {
    let columns = if pick.has_by() { 2 } else { 1 };
    let options = Options::of(call, columns, usage)?;
    let value = options.column(0);
    let by = pick.has_by().then(|| options.column(1));
    options.end()?;
    let help = "convert it to text, or take one field of it";
    let values =
        Values::new(&value).map_err(|_| unfit(&value, "a type that can be copied", help))?;
    if let Some(by) = by.as_ref().filter(|by| !has_order(by)) {
        return Err(unfit(by, "an order: numbers, text, dates or times", help));
    }
    let wide = match &by {
        Some(by) if Scale::of(by).is_none() => {
            Some(Wide::new(by).map_err(|_| unfit(by, "an order", help))?)
        }
        _ => None,
    };
    let mut fields = vec![Field::new("place", DataType::UInt64, true)];
    fields.extend(by.iter().map(|by| Field::new("by", by.clone(), true)));
    fields.push(Field::new("value", value.clone(), true));
    let empty = Picked::new(pick, by.clone(), wide, values);
    let plan = Plan {
        state: pick.name().to_owned(),
        reading: Reading::of(pick.name()),
        output: value.clone(),
        fields,
        order: OrderClass::Place,
        make: Arc::new(move || Box::new(empty.clone())),
    };
    Ok(plan.accept(std::iter::once(value).chain(by).collect()))
}

/// Whether the values of a type have an order that people know.
pub(crate) fn has_order(data_type: &DataType) -> bool {
    !data_type.is_nested() && !matches!(data_type, DataType::Interval(_))
}

/// No row has won yet.
const NOBODY: [u64; 2] = [u64::MAX; 2];

/// Who is ahead in each group, and at which row of the batch at hand it went ahead.
#[derive(Clone, Default)]
struct Race {
    /// What it is ranked by, and its place: the least pair wins.
    best: Vec<[u64; 2]>,
    row_of: Vec<u32>,
    changed: Vec<u32>,
}

impl Race {
    #[inline(always)]
    fn offer(&mut self, group: usize, row: usize, candidate: [u64; 2]) {
        if candidate < self.best[group] {
            self.win(group, row, candidate);
        }
    }

    #[inline(always)]
    fn win(&mut self, group: usize, row: usize, candidate: [u64; 2]) {
        self.best[group] = candidate;
        if self.row_of[group] == u32::MAX {
            self.changed.push(group as u32);
        }
        self.row_of[group] = row as u32;
    }

    fn has(&self, group: usize) -> bool {
        self.best[group] != NOBODY
    }

    fn bytes(&self) -> usize {
        self.best.capacity() * size_of::<[u64; 2]>()
            + (self.row_of.capacity() + self.changed.capacity()) * size_of::<u32>()
    }
}

/// The accumulator.
#[derive(Clone)]
struct Picked {
    pick: Pick,
    by: Option<DataType>,
    wide: Option<Wide>,
    race: Race,
    /// What those ahead are ranked by, where it has no order key.
    by_cells: Vec<Option<Box<[u8]>>>,
    by_bytes: usize,
    values: Values,
}

impl Picked {
    fn new(pick: Pick, by: Option<DataType>, wide: Option<Wide>, values: Values) -> Self {
        Self {
            pick,
            by,
            wide,
            race: Race::default(),
            by_cells: Vec::new(),
            by_bytes: 0,
            values,
        }
    }

    /// Turns the greatest into the least.
    fn flip(&self) -> u64 {
        match self.pick {
            Pick::Last | Pick::Greatest => u64::MAX,
            Pick::First | Pick::Least => 0,
        }
    }

    fn take_in(
        &mut self,
        groups: Groups<'_>,
        value: &ArrayRef,
        by: Option<&ArrayRef>,
        place: impl Fn(usize) -> u64,
        known: Option<&NullBuffer>,
    ) -> Result<()> {
        let by_nulls = by.and_then(|by| by.nulls());
        let valid = NullBuffer::union(value.nulls(), by_nulls);
        let valid = NullBuffer::union(valid.as_ref(), known);
        match (by, self.wide.clone()) {
            (None, _) => self.by_place(groups, value.len(), valid.as_ref(), place),
            (Some(by), None) => self.by_key(groups, by, valid.as_ref(), place)?,
            (Some(by), Some(wide)) => self.by_cell(groups, by, &wide, valid.as_ref(), place)?,
        }
        self.copy(value)
    }

    fn by_place(
        &mut self,
        groups: Groups<'_>,
        rows: usize,
        valid: Option<&NullBuffer>,
        place: impl Fn(usize) -> u64,
    ) {
        let flip = self.flip();
        for row in (0..rows).filter(|row| valid.is_none_or(|valid| valid.is_valid(*row))) {
            self.race.offer(groups.of(row), row, [0, place(row) ^ flip]);
        }
    }

    fn by_key(
        &mut self,
        groups: Groups<'_>,
        by: &ArrayRef,
        valid: Option<&NullBuffer>,
        place: impl Fn(usize) -> u64,
    ) -> Result<()> {
        let flip = self.flip();
        keys::visit(by.as_ref(), valid, Floats::Canonical, |start, keys| {
            for (i, key) in keys.iter().enumerate() {
                let row = start + i;
                self.race
                    .offer(groups.of(row), row, [key ^ flip, place(row)]);
            }
        })
    }

    fn by_cell(
        &mut self,
        groups: Groups<'_>,
        by: &ArrayRef,
        wide: &Wide,
        valid: Option<&NullBuffer>,
        place: impl Fn(usize) -> u64,
    ) -> Result<()> {
        let cells = wide.cells(by)?;
        let wanted = if self.flip() == 0 {
            std::cmp::Ordering::Less
        } else {
            std::cmp::Ordering::Greater
        };
        for row in (0..by.len()).filter(|row| valid.is_none_or(|valid| valid.is_valid(*row))) {
            let (group, new, at) = (groups.of(row), cells.get(row), place(row));
            let ahead = self.by_cells[group].as_deref().is_none_or(|held| {
                let order = new.cmp(held);
                order == wanted || (order.is_eq() && at < self.race.best[group][1])
            });
            if ahead {
                self.race.win(group, row, [0, at]);
                put(&mut self.by_cells[group], new, &mut self.by_bytes);
            }
        }
        Ok(())
    }

    /// Copies the values of the groups that changed.
    fn copy(&mut self, value: &ArrayRef) -> Result<()> {
        let changed = std::mem::take(&mut self.race.changed);
        if !changed.is_empty() {
            let rows = changed
                .iter()
                .map(|group| std::mem::replace(&mut self.race.row_of[*group as usize], u32::MAX));
            let rows: UInt32Array = rows.collect::<Vec<u32>>().into();
            self.values.set(&changed, &take(value, &rows, None)?)?;
        }
        self.race.changed = changed;
        self.race.changed.clear();
        Ok(())
    }

    fn places(&self, groups: &[u32]) -> UInt64Array {
        let flip = if self.pick == Pick::Last { u64::MAX } else { 0 };
        let groups = groups.iter().map(|group| *group as usize);
        groups
            .map(|group| {
                let place = self.race.best[group][1] ^ flip;
                self.race.has(group).then_some(place)
            })
            .collect()
    }

    fn ranks(&self, by: &DataType, groups: &[u32]) -> Result<ArrayRef> {
        let flip = self.flip();
        let groups = groups.iter().map(|group| *group as usize);
        match &self.wide {
            Some(wide) => wide.array(groups.map(|group| self.by_cells[group].as_deref())),
            None => {
                let key = |group: usize| self.race.best[group][0] ^ flip;
                let keys = groups.map(|group| self.race.has(group).then(|| key(group)));
                keys::array(by, keys)
            }
        }
    }
}

impl Accumulator for Picked {
    fn resize(&mut self, groups: usize) {
        self.race.best.resize(groups, NOBODY);
        self.race.row_of.resize(groups, u32::MAX);
        if self.wide.is_some() {
            self.by_cells.resize(groups, None);
        }
        self.values.resize(groups);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], places: &Places) -> Result<()> {
        let value = column(columns, 0)?;
        let by = match self.by {
            Some(_) => Some(column(columns, 1)?),
            None => None,
        };
        match places {
            Places::From(first) => {
                let first = first.0;
                self.take_in(groups, value, by, |row| first + row as u64, None)
            }
            Places::Each(each) => self.take_in(groups, value, by, |row| each[row], None),
            Places::Unknown => Err(Error::internal(format!(
                "`{}` was given rows without places",
                self.pick.name()
            ))),
        }
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let places = column(state, 0)?
            .as_primitive_opt::<UInt64Type>()
            .ok_or_else(|| Error::internal("a state's places are not numbers"))?;
        let (by, value) = match self.by {
            Some(_) => (Some(column(state, 1)?), column(state, 2)?),
            None => (None, column(state, 1)?),
        };
        let known = places.nulls();
        self.take_in(
            Groups::Each(groups),
            value,
            by,
            |row| places.value(row),
            known,
        )
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.places(groups))];
        if let Some(by) = &self.by {
            columns.push(self.ranks(by, groups)?);
        }
        columns.push(self.values.array(groups, |group| self.race.has(group))?);
        Ok(columns)
    }

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        self.values.array(groups, |group| self.race.has(group))
    }

    fn bytes(&self) -> usize {
        self.race.bytes()
            + self.by_cells.capacity() * size_of::<Option<Box<[u8]>>>()
            + self.by_bytes
            + self.values.bytes()
    }

    fn clear(&mut self) {
        self.race = Race::default();
        self.by_cells = Vec::new();
        self.by_bytes = 0;
        self.values.clear();
    }
}
