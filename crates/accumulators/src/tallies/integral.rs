//! The exact trapezoid sum of y over x, along the rows of each group in the order of their places.
//!
//! What is added for two neighbours is `(y1 + y2) (x2 - x1)`, without rounding, so only *which* rows are neighbours depends
//! on order. Rows at consecutive places are neighbours for certain; of such a run only the two ends are kept. Between runs a
//! row may still come from elsewhere, so these are joined when the value is asked for. The state is a function of the rows:
//! the sum over its runs, and their ends.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use dataflow_core::accumulator::{Accepted, Call, CallProblem, OrderClass, Reading};
use dataflow_core::{Error, Places, Result};

use super::bytes::{Tally, ordered, values};
use super::{not_numbers, number};
use crate::exact::{BLOCK, Big, Counts, Number, Products, Sums, read_varint, write_varint};
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
        tracks: Vec::new(),
        bytes: 0,
    };
    let (reading, output) = (Reading::of("integral"), DataType::Float64);
    let (state, coerce) = ("trapezoids", vec![y, x]);
    Ok(ordered(
        state,
        reading,
        output,
        coerce,
        OrderClass::Place,
        make,
    ))
}

/// A row: x as the bits of a double, or as ticks.
#[derive(Clone, Copy, Debug)]
struct Point {
    place: u64,
    x: u64,
    y: f64,
}

/// Rows at consecutive places, of which the ends are kept (twice the same, for a single row).
#[derive(Clone, Copy, Debug)]
struct Run {
    first: Point,
    last: Point,
}

/// The runs of a group; those up to `tidy` are in order and as long as they can be.
#[derive(Clone, Debug, Default)]
struct Track {
    runs: Vec<Run>,
    tidy: usize,
}

impl Track {
    /// Adds a run behind all others if it belongs there, joined with the last one if they touch.
    fn push(&mut self, run: Run, join: &mut impl FnMut(Point, Point)) {
        let tidy = self.tidy == self.runs.len();
        match self.runs.last_mut() {
            Some(last) if last.last.place.wrapping_add(1) == run.first.place => {
                join(last.last, run.first);
                last.last = run.last;
            }
            Some(last) if tidy && last.last.place > run.first.place => {
                self.runs.push(run);
            }
            _ => {
                self.tidy += usize::from(tidy);
                self.runs.push(run);
            }
        }
    }

    /// Puts all runs in order and joins those that touch.
    fn settle(&mut self, join: &mut impl FnMut(Point, Point)) {
        if self.tidy == self.runs.len() {
            return;
        }
        self.runs.sort_unstable_by_key(|run| run.first.place);
        let mut runs = std::mem::take(&mut self.runs);
        self.tidy = 0;
        // In place: what is pushed is never more than what was taken.
        let mut kept = 0;
        for i in 1..runs.len() {
            let run = runs[i];
            if runs[kept].last.place.wrapping_add(1) == run.first.place {
                join(runs[kept].last, run.first);
                runs[kept].last = run.last;
            } else {
                kept += 1;
                runs[kept] = run;
            }
        }
        runs.truncate(kept + 1);
        self.tidy = runs.len();
        self.runs = runs;
    }

    /// Settles once so much came out of order that the runs may be half as many.
    fn settle_sometimes(&mut self, join: &mut impl FnMut(Point, Point)) {
        if self.runs.len() > 2 * self.tidy + 64 {
            self.settle(join);
        }
    }
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
    /// Twice the sum over all runs.
    sums: Products,
    tracks: Vec<Track>,
    bytes: usize,
}

impl Integral {
    /// The runs of a group in order, and twice the sum over them.
    fn settled(&self, group: usize) -> (Vec<Run>, Number) {
        let mut track = self.tracks[group].clone();
        let mut sum = Big::default();
        track.settle(&mut |from, to| self.join_exactly(&mut sum, from, to));
        sum.add_number(&self.sums.number(group));
        (track.runs, sum.number())
    }

    fn join_exactly(&self, sum: &mut Big, from: Point, to: Point) {
        trapezoid(self.axis, from, to, |y, width| sum.add_product(y, width));
    }

    fn value_of(&self, group: usize) -> Option<f64> {
        if self.counts.of(group) == 0 {
            return None;
        }
        if self.odd.strange(group).is_some() {
            return Some(f64::NAN);
        }
        let (runs, inner) = self.settled(group);
        let mut sum = Big::default();
        sum.add_number(&inner);
        for pair in runs.windows(2) {
            self.join_exactly(&mut sum, pair[0].last, pair[1].first);
        }
        let twice = match self.axis {
            Axis::Float => 2,
            Axis::Ticks(per_one) => 2 * per_one,
        };
        Some(sum.number().divided_by(twice))
    }

    /// Takes a run in; `terms` takes what lies between it and a run that it touches.
    fn push(&mut self, group: usize, run: Run, terms: &mut Terms<'_>) {
        let track = &mut self.tracks[group];
        let before = track.runs.capacity();
        let join = &mut |from, to| terms.join(group as u32, from, to);
        track.push(run, join);
        track.settle_sometimes(join);
        self.bytes += (track.runs.capacity() - before) * size_of::<Run>();
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

impl Tally for Integral {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups);
        self.odd.resize(groups);
        self.sums.resize(groups);
        self.tracks
            .resize_with(groups.max(self.tracks.len()), Track::default);
    }

    fn add(&mut self, groups: Option<&[u32]>, columns: &[ArrayRef], places: &Places) -> Result<()> {
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
                let Some(place) = places.get(row) else {
                    return Err(Error::internal("an integral needs the places of its rows"));
                };
                let point = Point {
                    place: place.0,
                    x: x[row],
                    y: y.value(row),
                };
                if point.y.is_finite() && (!float || f64::from_bits(point.x).is_finite()) {
                    let (first, last) = (point, point);
                    this.push(group, Run { first, last }, terms);
                } else {
                    this.odd.note(group, f64::NAN);
                }
            }
            Ok(())
        })
    }

    fn write(&self, group: usize, out: &mut Vec<u8>) {
        let (runs, sum) = self.settled(group);
        self.counts.write(group, out);
        self.odd.write(group, out);
        sum.write(out);
        write_varint(runs.len() as u64, out);
        let mut before = 0;
        let point = |point: &Point, out: &mut Vec<u8>| {
            out.extend_from_slice(&point.x.to_le_bytes());
            out.extend_from_slice(&point.y.to_bits().to_le_bytes());
        };
        for run in &runs {
            write_varint(run.first.place.wrapping_sub(before), out);
            write_varint(run.last.place - run.first.place, out);
            before = run.last.place;
            point(&run.first, out);
            if run.last.place != run.first.place {
                point(&run.last, out);
            }
        }
    }

    fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
        self.counts.read(group, bytes)?;
        self.odd.read(group, bytes)?;
        self.sums.merge(group, &Number::read(bytes)?);
        let runs = read_varint(bytes)?;
        let word = |bytes: &mut &[u8]| {
            let (word, rest) = bytes.split_first_chunk::<8>()?;
            *bytes = rest;
            Some(u64::from_le_bytes(*word))
        };
        let mut before = 0_u64;
        self.with_terms(|this, terms| {
            for _ in 0..runs {
                let place = before.wrapping_add(read_varint(bytes)?);
                before = place.wrapping_add(read_varint(bytes)?);
                let point = |place, bytes: &mut &[u8]| {
                    let (x, y) = (word(bytes)?, f64::from_bits(word(bytes)?));
                    Some(Point { place, x, y })
                };
                let first = point(place, bytes)?;
                let last = match before == place {
                    true => first,
                    false => point(before, bytes)?,
                };
                this.push(group, Run { first, last }, terms);
            }
            Some(())
        })
    }

    fn settle(&mut self, terms: usize) {
        self.sums.settle(terms);
    }

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        Ok(values(groups, |group| self.value_of(group)))
    }

    fn bytes(&self) -> usize {
        let tracks = self.tracks.capacity() * size_of::<Track>() + self.bytes;
        self.counts.bytes() + self.odd.bytes() + self.sums.bytes() + tracks
    }

    fn clear(&mut self) {
        self.counts.clear();
        self.odd.clear();
        self.sums.clear();
        self.tracks = Vec::new();
        self.bytes = 0;
    }
}
