//! Each group's distribution: exact while there are few distinct values, then a sketch; quantiles are read from it.
//!
//! Which of the two it is depends on the number of distinct values alone, never on memory, batches or merges: the exact
//! form is given up for good at the first distinct value past the bound, and the sketch counts all values.

use std::sync::Arc;

use arrow_array::builder::UInt64Builder;
use arrow_array::{Array, ArrayRef, LargeListArray, UInt64Array};
use arrow_schema::{DataType, Field};
use dataflow_core::accumulator::{Accepted, CallProblem, OrderClass, Reading};
use dataflow_core::{Accumulator, Error, Groups, Places, Result};

use super::keys::{self, Floats, Scale};
use super::lists::{self, column, counts, lists as list_column};
use super::multiset::Multiset;
use super::options::{Options, unfit, whole};
use super::plan::Plan;
use super::sketch::{Buckets, Sketch};

/// So many distinct values of a group are counted exactly.
pub(crate) const EXACT: usize = 65_536;

/// Reads the option `exact_up_to`.
pub(crate) fn bound(options: &mut Options<'_>) -> Result<usize, CallProblem> {
    options
        .named("exact_up_to")
        .map_or(Ok(EXACT), |argument| whole(argument, 0, 100_000_000))
}

/// Makes the plan of a call that reads these quantiles, as one value or as a list.
pub(crate) fn accept(
    mut options: Options<'_>,
    what: &'static str,
    quantiles: Vec<f64>,
) -> Result<Accepted, CallProblem> {
    let bound = bound(&mut options)?;
    let data_type = options.column(0);
    options.end()?;
    let Some(kind) = Kind::of(&data_type) else {
        let help = "convert the column to a number, or count its values with `top_values`";
        return Err(unfit(&data_type, "numbers, dates or times", help));
    };
    let single = kind.output();
    let output = if what == "quantiles" {
        lists::short(&single)
    } else {
        single
    };
    let numbers = lists::long(&DataType::UInt64);
    let column = kind.column.clone();
    let plan = Plan {
        state: format!("quantiles, exact up to {bound}"),
        reading: Reading {
            what,
            numbers: quantiles,
        },
        output,
        fields: vec![
            Field::new("values", numbers.clone(), false),
            Field::new("counts", numbers, false),
            Field::new("least", DataType::UInt64, true),
            Field::new("greatest", DataType::UInt64, true),
            Field::new("nan", DataType::UInt64, false),
        ],
        order: OrderClass::Any,
        make: Arc::new(move || Box::new(Distribution::new(kind.clone(), bound))),
    };
    Ok(plan.accept(vec![column]))
}

/// What the values are.
#[derive(Clone, Debug)]
struct Kind {
    column: DataType,
    scale: Scale,
    buckets: Buckets,
    /// Whether a quantile has the column's type, rounded down to its unit.
    keeps_type: bool,
}

impl Kind {
    fn of(data_type: &DataType) -> Option<Self> {
        use DataType as T;
        let column = match data_type {
            T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => {
                T::Float64
            }
            T::Boolean => return None,
            other => other.clone(),
        };
        let scale = Scale::of(&column)?;
        let (buckets, keeps_type) = match (&column, scale) {
            (_, Scale::Float) => (Buckets::Floats, false),
            (T::Date32 | T::Date64 | T::Timestamp(_, _), _) => (Buckets::Points, true),
            (T::Time32(_) | T::Time64(_) | T::Duration(_), _) => (Buckets::Whole(scale), true),
            _ => (Buckets::Whole(scale), false),
        };
        Some(Self {
            column,
            scale,
            buckets,
            keeps_type,
        })
    }

    fn output(&self) -> DataType {
        if self.keeps_type {
            self.column.clone()
        } else {
            DataType::Float64
        }
    }

    /// Between the values `a` and `b`, both order keys, at the share `t` of the way, as an order key of the output.
    fn between(&self, a: u64, b: u64, t: f64) -> u64 {
        if self.scale == Scale::Float {
            let (a, b) = (self.scale.float(a), self.scale.float(b));
            return Scale::Float.nearest(lerp(a, b, b - a, t));
        }
        let (low, high) = (self.scale.whole(a), self.scale.whole(b));
        let step = (high - low) as f64;
        if self.keeps_type {
            let part = (step * t).floor() as i128;
            return keys::signed_key((low + part).min(high) as i64);
        }
        Scale::Float.nearest(lerp(low as f64, high as f64, step, t))
    }
}

/// numpy's linear interpolation, to the bit: from the nearer end, so that it is monotone. Where numpy makes NaN or infinity
/// out of an intermediate (an end is infinite, or the difference overflows), this gives what was meant.
fn lerp(a: f64, b: f64, step: f64, t: f64) -> f64 {
    if t == 0.0 || a == b {
        a
    } else if a.is_infinite() || b.is_infinite() {
        // NaN between both infinities.
        a + b
    } else if step.is_infinite() {
        a * (1.0 - t) + b * t
    } else if t >= 0.5 {
        b - step * (1.0 - t)
    } else {
        a + step * t
    }
}

/// One group.
enum Group {
    Exact(Multiset<u64>),
    Sketched(Box<Sketch>),
}

impl Default for Group {
    fn default() -> Self {
        Self::Exact(Multiset::default())
    }
}

impl Group {
    /// Adds values, none of them NaN.
    fn extend(&mut self, keys: &[u64], rules: &Rules, bytes: &mut usize) {
        let mut rest = keys;
        if let Self::Exact(values) = self {
            let taken = values.extend(keys, rules.bound, bytes);
            if !values.exceeds(rules.bound) {
                return;
            }
            rest = &keys[taken..];
        }
        let sketch = self.sketch(rules, bytes);
        let before = sketch.bytes();
        sketch.extend(rest);
        *bytes = *bytes + sketch.bytes() - before;
    }

    #[inline]
    fn add(&mut self, key: u64, count: u64, rules: &Rules, bytes: &mut usize) {
        match self {
            Self::Exact(values) => {
                values.add(key, count, rules.bound, bytes);
                if values.exceeds(rules.bound) {
                    self.sketch(rules, bytes);
                }
            }
            Self::Sketched(sketch) => {
                let before = sketch.bytes();
                sketch.add(key, count);
                *bytes = *bytes + sketch.bytes() - before;
            }
        }
    }

    /// The sketch, made of the exact values where there is none yet.
    #[cold]
    fn sketch(&mut self, rules: &Rules, bytes: &mut usize) -> &mut Sketch {
        if let Self::Exact(values) = self {
            let mut sketch = Sketch::new(rules.kind.buckets);
            let mut runs = Vec::new();
            values.runs(&mut runs);
            for (key, count) in runs {
                sketch.add(key, count);
            }
            *bytes = *bytes + sketch.bytes() - values.bytes();
            *self = Self::Sketched(Box::new(sketch));
        }
        match self {
            Self::Sketched(sketch) => sketch,
            Self::Exact(_) => unreachable!("the exact form was replaced just now"),
        }
    }

    /// Distinct values, or those that stand for the buckets, ascending, with their counts.
    fn runs(&self, into: &mut Vec<(u64, u64)>) {
        match self {
            Self::Exact(values) => values.runs(into),
            Self::Sketched(sketch) => sketch.runs(into),
        }
    }
}

struct Rules {
    kind: Kind,
    bound: usize,
}

/// The accumulator.
struct Distribution {
    rules: Rules,
    groups: Vec<Group>,
    /// How many NaN each group had; empty until the first one comes.
    nan: Vec<u64>,
    group_bytes: usize,
}

impl Distribution {
    fn new(kind: Kind, bound: usize) -> Self {
        Self {
            rules: Rules { kind, bound },
            groups: Vec::new(),
            nan: Vec::new(),
            group_bytes: 0,
        }
    }

    fn count_nan(nan: &mut Vec<u64>, groups: usize, group: usize, count: u64) {
        if nan.len() < groups {
            nan.resize(groups, 0);
        }
        nan[group] += count;
    }

    fn update_one(&mut self, column: &ArrayRef) -> Result<()> {
        let Self {
            rules,
            groups,
            nan,
            group_bytes,
        } = self;
        let floats = rules.kind.scale == Scale::Float;
        let mut numbers = [0_u64; keys::CHUNK];
        keys::visit(
            column.as_ref(),
            column.nulls(),
            Floats::Canonical,
            |_, keys| {
                if !floats || !keys.contains(&keys::NAN) {
                    groups[0].extend(keys, rules, group_bytes);
                    return;
                }
                let mut len = 0;
                for key in keys {
                    numbers[len] = *key;
                    len += usize::from(*key != keys::NAN);
                }
                groups[0].extend(&numbers[..len], rules, group_bytes);
                Self::count_nan(nan, 1, 0, (keys.len() - len) as u64);
            },
        )
    }

    fn update_each(&mut self, each: &[u32], column: &ArrayRef) -> Result<()> {
        let Self {
            rules,
            groups,
            nan,
            group_bytes,
        } = self;
        let floats = rules.kind.scale == Scale::Float;
        keys::visit(
            column.as_ref(),
            column.nulls(),
            Floats::Canonical,
            |start, keys| {
                for (group, key) in each[start..].iter().zip(keys) {
                    let group = *group as usize;
                    if floats && *key == keys::NAN {
                        Self::count_nan(nan, groups.len(), group, 1);
                    } else {
                        groups[group].add(*key, 1, rules, group_bytes);
                    }
                }
            },
        )
    }

    /// Adds one group's state.
    fn merge_row(&mut self, group: usize, state: &State<'_>, row: usize) -> Result<()> {
        let (values, times) = state.pairs(row);
        let bytes = &mut self.group_bytes;
        let into = &mut self.groups[group];
        if state.least.is_null(row) {
            for (key, count) in values.iter().zip(times) {
                into.add(*key, *count, &self.rules, bytes);
            }
            return Ok(());
        }
        let sketch = into.sketch(&self.rules, bytes);
        let before = sketch.bytes();
        sketch.widen(state.least.value(row), state.greatest.value(row));
        let known = values
            .iter()
            .zip(times)
            .all(|(bucket, count)| sketch.add_bucket(*bucket, *count));
        *bytes = *bytes + sketch.bytes() - before;
        if known {
            Ok(())
        } else {
            Err(Error::internal(
                "a state names a bucket that does not exist",
            ))
        }
    }

    fn nan(&self, group: u32) -> u64 {
        self.nan.get(group as usize).copied().unwrap_or(0)
    }
}

/// The columns of a state.
struct State<'a> {
    values: &'a LargeListArray,
    value_items: &'a UInt64Array,
    count_items: &'a UInt64Array,
    least: &'a UInt64Array,
    greatest: &'a UInt64Array,
    nan: &'a UInt64Array,
}

impl<'a> State<'a> {
    fn of(state: &'a [ArrayRef]) -> Result<Self> {
        let values = list_column(column(state, 0)?)?;
        let times = list_column(column(state, 1)?)?;
        if values.offsets() != times.offsets() {
            return Err(Error::internal("a state's values and counts do not pair"));
        }
        Ok(Self {
            values,
            value_items: counts(values.values())?,
            count_items: counts(times.values())?,
            least: counts(column(state, 2)?)?,
            greatest: counts(column(state, 3)?)?,
            nan: counts(column(state, 4)?)?,
        })
    }

    fn pairs(&self, row: usize) -> (&'a [u64], &'a [u64]) {
        let offsets = self.values.value_offsets();
        let range = offsets[row] as usize..offsets[row + 1] as usize;
        (
            &self.value_items.values()[range.clone()],
            &self.count_items.values()[range],
        )
    }
}

/// Where in sorted values a quantile lies, and how far it is to the next one, by numpy's method `linear`.
fn place(total: u64, quantile: f64) -> (u64, u64, f64) {
    let last = total - 1;
    let at = last as f64 * quantile;
    if at >= last as f64 {
        return (last, last, 0.0);
    }
    let before = at.floor();
    (before as u64, before as u64 + 1, at - before)
}

impl Accumulator for Distribution {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, Group::default);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let column = column(columns, 0)?;
        match groups {
            Groups::One => self.update_one(column),
            Groups::Each(each) => self.update_each(each, column),
        }
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let state = State::of(state)?;
        for (row, group) in groups.iter().enumerate() {
            self.merge_row(*group as usize, &state, row)?;
            if state.nan.value(row) > 0 {
                let (all, nan) = (self.groups.len(), state.nan.value(row));
                Self::count_nan(&mut self.nan, all, *group as usize, nan);
            }
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let (mut values, mut times) = (UInt64Builder::new(), UInt64Builder::new());
        let (mut least, mut greatest) = (UInt64Builder::new(), UInt64Builder::new());
        let mut lengths = Vec::with_capacity(groups.len());
        let mut runs = Vec::new();
        for group in groups {
            let ends = match &self.groups[*group as usize] {
                Group::Exact(exact) => {
                    exact.runs(&mut runs);
                    None
                }
                Group::Sketched(sketch) => {
                    runs.clear();
                    runs.extend(sketch.counted());
                    Some(sketch.ends())
                }
            };
            least.append_option(ends.map(|ends| ends.0));
            greatest.append_option(ends.map(|ends| ends.1));
            lengths.push(runs.len());
            for (value, count) in &runs {
                values.append_value(*value);
                times.append_value(*count);
            }
        }
        let nan = groups.iter().map(|group| self.nan(*group));
        Ok(vec![
            lists::long_array(Arc::new(values.finish()), lengths.clone())?,
            lists::long_array(Arc::new(times.finish()), lengths)?,
            Arc::new(least.finish()),
            Arc::new(greatest.finish()),
            Arc::new(UInt64Array::from_iter_values(nan)),
        ])
    }

    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let width = reading.numbers.len();
        let mut found = Vec::with_capacity(groups.len() * width);
        let mut lengths = Vec::with_capacity(groups.len());
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for group in groups {
            self.groups[*group as usize].runs(&mut runs);
            let mut total = 0;
            for run in &mut runs {
                total += run.1;
                run.1 = total;
            }
            // A run's count is now that of all values up to it.
            let at = |rank: u64| runs[runs.partition_point(|run| run.1 <= rank)].0;
            lengths.push((total > 0).then_some(width));
            if total == 0 {
                continue;
            }
            found.extend(reading.numbers.iter().map(|quantile| {
                let (before, after, share) = place(total, *quantile);
                self.rules.kind.between(at(before), at(after), share)
            }));
        }
        let output = self.rules.kind.output();
        if reading.what == "quantiles" {
            let items = keys::array(&output, found.into_iter().map(Some))?;
            return lists::short_array(items, &lengths);
        }
        let mut found = found.into_iter();
        let single: Vec<Option<u64>> = lengths
            .into_iter()
            .map(|length| length.and_then(|_| found.next()))
            .collect();
        keys::array(&output, single.into_iter())
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>()
            + self.nan.capacity() * size_of::<u64>()
            + self.group_bytes
    }

    fn approximate(&self, groups: &[u32]) -> usize {
        let groups = groups.iter().map(|group| &self.groups[*group as usize]);
        groups.filter(|g| matches!(g, Group::Sketched(_))).count()
    }

    fn clear(&mut self) {
        self.groups = Vec::new();
        self.nan = Vec::new();
        self.group_bytes = 0;
    }
}
