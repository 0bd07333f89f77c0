//! The exact trapezoid sum of y over x, along the rows of each group in the order in which they come.
//!
//! What is added for two neighbours is `(y1 + y2) (x2 - x1)`, without rounding, so only *which* rows are neighbours depends
//! on order. The state of a run of rows is the sum over it and its two ends; a run that lies behind another one is appended
//! by joining the last row of the one with the first row of the other.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use dataflow_core::accumulator::{Accepted, Call, CallProblem, OrderClass, Reading};
use dataflow_core::{Places, Result};

use super::bytes::{Tally, ordered, values};
use super::{not_numbers, number};
use crate::exact::{BLOCK, Counts, Number, Products, Sums, read_varint, write_varint};
use crate::states::options::Options;

/// What x is: doubles, or whole ticks of which so many make one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Axis {
    Float,
    Ticks(u64),
}

impl Axis {
    fn of(data_type: &DataType) -> Option<(Self, DataType)> {
        use DataType::*;
        let per_second = |unit: &TimeUnit| match unit {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000,
        };
        Some(match data_type {
            Timestamp(unit, _) | Duration(unit) | Time64(unit) => {
                (Self::Ticks(per_second(unit)), data_type.clone())
            }
            Date32 | Date64 => (Self::Ticks(1_000), Timestamp(TimeUnit::Millisecond, None)),
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 => (Self::Ticks(1), Int64),
            other if other.is_numeric() || *other == Null => (Self::Float, Float64),
            _ => return None,
        })
    }
}

/// Checks a call of `integral`.
pub(crate) fn accept(call: &Call, usage: &'static str) -> Result<Accepted, CallProblem> {
    let options = Options::of(call, 2, usage)?;
    let y = number(&options, 0)?;
    let data_type = options.column(1);
    options.end()?;
    let (axis, x) = Axis::of(&data_type).ok_or_else(|| not_numbers(&data_type))?;
    let make = move || Integral {
        axis,
        odd: Sums::of_floats(),
        sums: Products::default(),
        counts: Counts::default(),
        runs: Vec::new(),
    };
    let (reading, output) = (Reading::of("integral"), DataType::Float64);
    let (state, coerce) = ("trapezoids", vec![y, x]);
    Ok(ordered(
        state,
        reading,
        output,
        coerce,
        OrderClass::Neighbours,
        make,
    ))
}

/// A row: x as the bits of a double, or as ticks.
#[derive(Clone, Copy, Debug)]
struct Point {
    x: u64,
    y: f64,
}

impl Point {
    fn is(&self, other: &Point) -> bool {
        self.x == other.x && self.y.to_bits() == other.y.to_bits()
    }
}

/// The ends of rows that follow one another (twice the same, for a single row).
#[derive(Clone, Copy, Debug)]
struct Run {
    first: Point,
    last: Point,
}

/// `(y1 + y2) (x2 - x1)` as exact products of doubles.
fn trapezoid(axis: Axis, from: Point, to: Point, mut product: impl FnMut(f64, f64)) {
    let mut both = |width: f64| {
        if width != 0.0 {
            product(from.y, width);
            product(to.y, width);
        }
    };
    match axis {
        Axis::Ticks(_) => {
            let width = i128::from(to.x as i64) - i128::from(from.x as i64);
            // Cut in two, as a double has fewer bits than the difference of two ticks may have.
            let low = width & 0xffff_ffff;
            both(low as f64);
            both((width - low) as f64);
        }
        Axis::Float => {
            let (a, b) = (f64::from_bits(from.x), f64::from_bits(to.x));
            let width = b - a;
            if width.is_finite() {
                // The rounding error of the difference, after Knuth; exact, since nothing overflowed.
                let back = width - b;
                both(width);
                both((b - (width - back)) - (a + back));
            } else {
                both(b);
                both(-a);
            }
        }
    }
}

/// Products on their way into the sums.
struct Terms<'a> {
    axis: Axis,
    sums: &'a mut Products,
    groups: [u32; BLOCK],
    factors: [[f64; BLOCK]; 2],
    count: usize,
}

impl<'a> Terms<'a> {
    fn new(axis: Axis, sums: &'a mut Products) -> Self {
        Self {
            axis,
            sums,
            groups: [0; BLOCK],
            factors: [[0.0; BLOCK]; 2],
            count: 0,
        }
    }

    fn join(&mut self, group: u32, from: Point, to: Point) {
        trapezoid(self.axis, from, to, |y, width| {
            self.groups[self.count] = group;
            (self.factors[0][self.count], self.factors[1][self.count]) = (y, width);
            self.count += 1;
        });
        // A trapezoid has at most four products.
        if self.count > BLOCK - 4 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let [y, width] = &self.factors;
        let count = self.count;
        self.sums
            .add(Some(&self.groups[..count]), &y[..count], &width[..count]);
        self.count = 0;
    }
}

struct Integral {
    axis: Axis,
    counts: Counts,
    /// Never has a sum, only notes of rows that are not finite.
    odd: Sums,
    /// Twice the sum over each group's run.
    sums: Products,
    runs: Vec<Option<Run>>,
}

impl Integral {
    fn value_of(&self, group: usize) -> Option<f64> {
        if self.counts.of(group) == 0 {
            return None;
        }
        if self.odd.strange(group).is_some() {
            return Some(f64::NAN);
        }
        let twice = match self.axis {
            Axis::Float => 2,
            Axis::Ticks(per_one) => 2 * per_one,
        };
        Some(self.sums.number(group).divided_by(twice))
    }

    /// Appends a run; `terms` takes what lies between it and the rows before.
    fn append(&mut self, group: usize, run: Run, terms: &mut Terms<'_>) {
        match &mut self.runs[group] {
            Some(before) => {
                terms.join(group as u32, before.last, run.first);
                before.last = run.last;
            }
            none => *none = Some(run),
        }
    }

    /// Lends the sums to `work`, which may then use the rest.
    fn with_terms<R>(&mut self, work: impl FnOnce(&mut Self, &mut Terms<'_>) -> R) -> R {
        let mut sums = std::mem::take(&mut self.sums);
        let mut terms = Terms::new(self.axis, &mut sums);
        let result = work(self, &mut terms);
        terms.flush();
        self.sums = sums;
        result
    }
}

/// The x of all rows as bits.
fn axis_bits(axis: Axis, column: &ArrayRef) -> Result<Vec<u64>> {
    Ok(match axis {
        Axis::Float => {
            let values = column.as_primitive::<Float64Type>().values().iter();
            values.map(|x| x.to_bits()).collect()
        }
        Axis::Ticks(_) => {
            let ticks = cast(column, &DataType::Int64)?;
            let values = ticks.as_primitive::<Int64Type>().values().iter();
            values.map(|x| *x as u64).collect()
        }
    })
}

/// Takes a row off the front of the bytes of a state.
fn point(bytes: &mut &[u8]) -> Option<Point> {
    let mut word = || {
        let (word, rest) = bytes.split_first_chunk::<8>()?;
        *bytes = rest;
        Some(u64::from_le_bytes(*word))
    };
    Some(Point {
        x: word()?,
        y: f64::from_bits(word()?),
    })
}

impl Tally for Integral {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups);
        self.odd.resize(groups);
        self.sums.resize(groups);
        self.runs.resize(groups.max(self.runs.len()), None);
    }

    fn add(&mut self, groups: Option<&[u32]>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let y: &Float64Array = columns[0].as_primitive();
        let x = axis_bits(self.axis, &columns[1])?;
        let nulls = NullBuffer::union(columns[0].nulls(), columns[1].nulls());
        let float = self.axis == Axis::Float;
        self.with_terms(|this, terms| {
            for row in 0..y.len() {
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    continue;
                }
                let group = groups.map_or(0, |groups| groups[row] as usize);
                this.counts.raise(group, 1);
                let point = Point {
                    x: x[row],
                    y: y.value(row),
                };
                if point.y.is_finite() && (!float || f64::from_bits(point.x).is_finite()) {
                    let (first, last) = (point, point);
                    this.append(group, Run { first, last }, terms);
                } else {
                    this.odd.note(group, f64::NAN);
                }
            }
        });
        Ok(())
    }

    fn write(&self, group: usize, out: &mut Vec<u8>) {
        self.counts.write(group, out);
        self.odd.write(group, out);
        self.sums.number(group).write(out);
        let ends = match &self.runs[group] {
            None => vec![],
            Some(run) if run.first.is(&run.last) => vec![run.first],
            Some(run) => vec![run.first, run.last],
        };
        write_varint(ends.len() as u64, out);
        for point in ends {
            out.extend_from_slice(&point.x.to_le_bytes());
            out.extend_from_slice(&point.y.to_bits().to_le_bytes());
        }
    }

    fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
        self.counts.read(group, bytes)?;
        self.odd.read(group, bytes)?;
        self.sums.merge(group, &Number::read(bytes)?);
        let ends = read_varint(bytes)?;
        if ends == 0 {
            return Some(());
        }
        let first = point(bytes)?;
        let last = match ends {
            1 => first,
            2 => point(bytes)?,
            _ => return None,
        };
        self.with_terms(|this, terms| this.append(group, Run { first, last }, terms));
        Some(())
    }

    fn settle(&mut self, terms: usize) {
        self.sums.settle(terms);
    }

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        Ok(values(groups, |group| self.value_of(group)))
    }

    fn bytes(&self) -> usize {
        let runs = self.runs.capacity() * size_of::<Option<Run>>();
        self.counts.bytes() + self.odd.bytes() + self.sums.bytes() + runs
    }

    fn clear(&mut self) {
        self.counts.clear();
        self.odd.clear();
        self.sums.clear();
        self.runs = Vec::new();
    }
}
