//! Each group's set of distinct values: exact while it is small, then HyperLogLog.
//!
//! Values with order keys are kept as such, others as 128-bit hashes: two of a group's values would share one with a
//! probability of about 1e-29, and memory does not grow with the length of the values.

use std::sync::Arc;

use arrow_array::builder::LargeBinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_schema::{DataType, Field};
use dataflow_core::accumulator::{Accepted, Call, CallProblem, OrderClass, Reading};
use dataflow_core::{Accumulator, Error, Groups, Places, Result};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::distribution::bound;
use super::hyperloglog::{HyperLogLog, REGISTERS};
use super::keys::{self, Floats, Scale};
use super::lists::column;
use super::multiset::{Key, Multiset};
use super::options::{Options, unfit};
use super::plan::Plan;
use super::wide::{Wide, visit};

/// Checks a call of `count_distinct`.
pub(crate) fn accept(call: &Call, usage: &'static str) -> Result<Accepted, CallProblem> {
    let mut options = Options::of(call, 1, usage)?;
    let bound = bound(&mut options)?;
    let data_type = options.column(0);
    options.end()?;
    let wide = match Scale::of(&data_type) {
        Some(_) => None,
        None => Some(Wide::new(&data_type).map_err(|_| {
            let help = "convert it to text, or take one field of it";
            unfit(&data_type, "values that can be compared", help)
        })?),
    };
    let plan = Plan {
        state: format!("count_distinct, exact up to {bound}"),
        reading: Reading::of("count_distinct"),
        output: DataType::Int64,
        fields: vec![
            Field::new("values", DataType::LargeBinary, true),
            Field::new("registers", DataType::LargeBinary, true),
        ],
        order: OrderClass::Any,
        make: Arc::new(move || match &wide {
            None => Box::new(Distinct::<u64>::new(None, bound)),
            Some(wide) => Box::new(Distinct::<u128>::new(Some(wide.clone()), bound)),
        }),
    };
    Ok(plan.accept(vec![data_type]))
}

/// A value as the set keeps it.
trait Element: Key {
    const WIDTH: usize;
    /// Well mixed bits for the sketch.
    fn hash(self) -> u64;
    fn write(self, to: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Self;
}

impl Element for u64 {
    const WIDTH: usize = 8;
    #[inline(always)]
    fn hash(self) -> u64 {
        xxh3_64(&self.to_le_bytes())
    }
    fn write(self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_be_bytes());
    }
    fn read(bytes: &[u8]) -> Self {
        bytes.iter().fold(0, |n, byte| n << 8 | Self::from(*byte))
    }
}

impl Element for u128 {
    const WIDTH: usize = 16;
    #[inline(always)]
    fn hash(self) -> u64 {
        self as u64
    }
    fn write(self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_be_bytes());
    }
    fn read(bytes: &[u8]) -> Self {
        bytes.iter().fold(0, |n, byte| n << 8 | Self::from(*byte))
    }
}

enum Group<E> {
    Exact(Multiset<E>),
    Sketched(HyperLogLog),
}

impl<E: Element> Group<E> {
    fn extend(&mut self, elements: &[E], bound: usize, bytes: &mut usize) {
        let mut rest = elements;
        if let Self::Exact(set) = self {
            let taken = set.extend(elements, bound, bytes);
            if !set.exceeds(bound) {
                return;
            }
            rest = &elements[taken..];
        }
        let sketch = self.sketch(bytes);
        rest.iter().for_each(|element| sketch.add(element.hash()));
    }

    #[inline]
    fn add(&mut self, element: E, bound: usize, bytes: &mut usize) {
        match self {
            Self::Exact(set) => {
                set.add(element, 1, bound, bytes);
                if set.exceeds(bound) {
                    self.sketch(bytes);
                }
            }
            Self::Sketched(sketch) => sketch.add(element.hash()),
        }
    }

    #[cold]
    fn sketch(&mut self, bytes: &mut usize) -> &mut HyperLogLog {
        if let Self::Exact(set) = self {
            let mut sketch = HyperLogLog::new();
            let mut runs = Vec::new();
            set.runs(&mut runs);
            runs.iter()
                .for_each(|(element, _)| sketch.add(element.hash()));
            *bytes = *bytes + REGISTERS - set.bytes();
            *self = Self::Sketched(sketch);
        }
        match self {
            Self::Sketched(sketch) => sketch,
            Self::Exact(_) => unreachable!("the exact form was replaced just now"),
        }
    }
}

/// The accumulator.
struct Distinct<E> {
    wide: Option<Wide>,
    bound: usize,
    groups: Vec<Group<E>>,
    group_bytes: usize,
}

impl<E: Element> Distinct<E> {
    fn new(wide: Option<Wide>, bound: usize) -> Self {
        Self {
            wide,
            bound,
            groups: Vec::new(),
            group_bytes: 0,
        }
    }
}

/// Getting a column's values as elements.
trait Visit: Element {
    fn visit(
        wide: Option<&Wide>,
        column: &ArrayRef,
        each: impl FnMut(usize, &[Self]),
    ) -> Result<()>;
}

impl Visit for u64 {
    fn visit(_: Option<&Wide>, column: &ArrayRef, each: impl FnMut(usize, &[Self])) -> Result<()> {
        keys::visit(column.as_ref(), column.nulls(), Floats::Canonical, each)
    }
}

impl Visit for u128 {
    fn visit(
        wide: Option<&Wide>,
        column: &ArrayRef,
        each: impl FnMut(usize, &[Self]),
    ) -> Result<()> {
        let wide = wide.ok_or_else(|| Error::internal("no way to hash the values"))?;
        let cells = wide.cells(column)?;
        let hash = |row| Ok(xxh3_128(cells.get(row)));
        visit(column.len(), column.nulls(), hash, each)
    }
}

impl<E: Visit> Accumulator for Distinct<E> {
    fn resize(&mut self, groups: usize) {
        self.groups
            .resize_with(groups, || Group::Exact(Multiset::default()));
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let column = column(columns, 0)?;
        let (bound, all, bytes) = (self.bound, &mut self.groups, &mut self.group_bytes);
        match groups {
            Groups::One => E::visit(self.wide.as_ref(), column, |_, elements| {
                all[0].extend(elements, bound, bytes);
            }),
            Groups::Each(each) => E::visit(self.wide.as_ref(), column, |start, elements| {
                for (group, element) in each[start..].iter().zip(elements) {
                    all[*group as usize].add(*element, bound, bytes);
                }
            }),
        }
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let wrong = || Error::internal("this is not a state of count_distinct");
        let values = column(state, 0)?.as_binary_opt::<i64>().ok_or_else(wrong)?;
        let registers = column(state, 1)?.as_binary_opt::<i64>().ok_or_else(wrong)?;
        let mut elements = Vec::new();
        for (row, group) in groups.iter().enumerate() {
            let group = &mut self.groups[*group as usize];
            if registers.is_valid(row) {
                let sketch = group.sketch(&mut self.group_bytes);
                if !sketch.merge(registers.value(row)) {
                    return Err(wrong());
                }
            } else if values.is_valid(row) {
                elements.clear();
                elements.extend(values.value(row).chunks_exact(E::WIDTH).map(E::read));
                group.extend(&elements, self.bound, &mut self.group_bytes);
            }
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let (mut values, mut registers) = (LargeBinaryBuilder::new(), LargeBinaryBuilder::new());
        let (mut runs, mut bytes) = (Vec::new(), Vec::new());
        for group in groups {
            match &self.groups[*group as usize] {
                Group::Exact(set) => {
                    set.runs(&mut runs);
                    bytes.clear();
                    runs.iter()
                        .for_each(|(element, _)| element.write(&mut bytes));
                    values.append_value(&bytes);
                    registers.append_null();
                }
                Group::Sketched(sketch) => {
                    values.append_null();
                    registers.append_value(sketch.registers());
                }
            }
        }
        Ok(vec![
            Arc::new(values.finish()),
            Arc::new(registers.finish()),
        ])
    }

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let mut runs = Vec::new();
        let mut counted = |group: &u32| match &self.groups[*group as usize] {
            Group::Exact(set) => set.distinct(&mut runs) as i64,
            Group::Sketched(sketch) => sketch.estimate().round() as i64,
        };
        let counts: Vec<i64> = groups.iter().map(&mut counted).collect();
        Ok(Arc::new(Int64Array::from(counts)))
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group<E>>() + self.group_bytes
    }

    fn approximate(&self, groups: &[u32]) -> usize {
        let groups = groups.iter().map(|group| &self.groups[*group as usize]);
        groups.filter(|g| matches!(g, Group::Sketched(_))).count()
    }

    fn clear(&mut self) {
        self.groups = Vec::new();
        self.group_bytes = 0;
    }
}
