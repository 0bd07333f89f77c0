//! States that are written as one column of bytes: what they have to do, and the accumulator made of that.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, Float64Array};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use dataflow_core::accumulator::{Accepted, OrderClass, Reading};
use dataflow_core::{Accumulator, Error, Groups, Places, Result};

use crate::states::plan::Plan;

/// How many states are merged before what did not fit is looked at.
const SETTLE: usize = 1024;

/// What is kept for each group.
pub(crate) trait Tally: Send + 'static {
    /// Makes room for groups.
    fn resize(&mut self, groups: usize);

    /// Takes rows in: row `i` for the `i`-th group, or all for group 0.
    fn add(&mut self, groups: Option<&[u32]>, columns: &[ArrayRef], places: &Places) -> Result<()>;

    /// Appends the canonical bytes of a group.
    fn write(&self, group: usize, out: &mut Vec<u8>);

    /// Takes bytes in that `write` wrote; `None` if they are not such bytes.
    fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()>;

    /// Ends a series of so many calls of `read`.
    fn settle(&mut self, terms: usize);

    /// What a call reads.
    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef>;

    /// What is to be said of these groups in the closing report, with how often it happened.
    fn remarks(&self, groups: &[u32]) -> Vec<(&'static str, u64)> {
        let _ = groups;
        Vec::new()
    }

    /// The bytes held.
    fn bytes(&self) -> usize;

    /// Forgets all groups.
    fn clear(&mut self);
}

/// A plan whose state is a column of bytes.
pub(crate) fn in_bytes<T: Tally>(
    state: impl Into<String>,
    reading: Reading,
    output: DataType,
    coerce: Vec<DataType>,
    make: impl Fn() -> T + Send + Sync + 'static,
) -> Accepted {
    ordered(state, reading, output, coerce, OrderClass::Any, make)
}

/// A plan whose state is a column of bytes, and which may depend on places.
pub(crate) fn ordered<T: Tally>(
    state: impl Into<String>,
    reading: Reading,
    output: DataType,
    coerce: Vec<DataType>,
    order: OrderClass,
    make: impl Fn() -> T + Send + Sync + 'static,
) -> Accepted {
    let plan = Plan {
        state: state.into(),
        reading,
        output,
        fields: vec![Field::new("state", DataType::Binary, false)],
        order,
        make: Arc::new(move || Box::new(InBytes(make()))),
    };
    plan.accept(coerce)
}

/// A column of doubles, null where there is none.
pub(crate) fn values(groups: &[u32], value: impl Fn(usize) -> Option<f64>) -> ArrayRef {
    let values = groups.iter().map(|group| value(*group as usize));
    Arc::new(values.collect::<Float64Array>())
}

struct InBytes<T>(T);

impl<T: Tally> Accumulator for InBytes<T> {
    fn resize(&mut self, groups: usize) {
        self.0.resize(groups);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], places: &Places) -> Result<()> {
        match groups {
            Groups::One => self.0.add(None, columns, places),
            Groups::Each(groups) => self.0.add(Some(groups), columns, places),
        }
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let foreign = || Error::internal("these are not the states of this accumulator");
        let column = state
            .first()
            .and_then(|column| column.as_binary_opt::<i32>());
        let column = column.filter(|column| column.len() == groups.len());
        let column = column.ok_or_else(foreign)?;
        for (block, groups) in groups.chunks(SETTLE).enumerate() {
            for (row, group) in groups.iter().enumerate() {
                let mut bytes = column.value(block * SETTLE + row);
                let read = self.0.read(*group as usize, &mut bytes);
                read.filter(|()| bytes.is_empty()).ok_or_else(foreign)?;
            }
            self.0.settle(groups.len());
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut bytes = Vec::with_capacity(groups.len() * 16);
        let mut ends = Vec::with_capacity(groups.len() + 1);
        ends.push(0);
        for group in groups {
            self.0.write(*group as usize, &mut bytes);
            ends.push(i32::try_from(bytes.len()).map_err(|_| too_long(groups.len()))?);
        }
        let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
        let column = BinaryArray::try_new(ends, Buffer::from_vec(bytes), None)?;
        Ok(vec![Arc::new(column)])
    }

    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        self.0.value(reading, groups)
    }

    fn remarks(&self, groups: &[u32]) -> Vec<(&'static str, u64)> {
        self.0.remarks(groups)
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

fn too_long(groups: usize) -> Error {
    Error::resource(format!(
        "the states of {groups} groups are longer than 2 GiB"
    ))
    .help("use fewer rows per group, or smaller groups")
}
