//! The times of samples in a column: how many there are per second, and where they are not at equal distances.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_cast::cast;
use arrow_schema::{DataType, Field};
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Batch, Check, Error, Located, Place, Result, Sampling};

use super::FileConfig;
use super::inputs::{Inputs, first_values};
use crate::time::TimeUnit;

impl FileConfig {
    /// The column with the times of samples, if one is named, and what its first rows tell; the outer none: something is wrong.
    pub(super) fn times(
        &self,
        columns: &[Field],
        inputs: &Inputs,
        check: &mut Check<'_>,
    ) -> Option<Option<(TimeColumn, Option<Sampling>)>> {
        let declared = self.sampling.as_ref().map(|sampling| &sampling.value);
        let Some((declared, name)) = declared.and_then(|d| Some((d, d.column.as_ref()?))) else {
            return Some(None);
        };
        let Some(field) = columns.iter().find(|field| *field.name() == name.value) else {
            let help = did_you_mean(name, columns.iter().map(|field| field.name().as_str()));
            check.error_at(name, format!("there is no column `{}`", name.value), help);
            return None;
        };
        let column = TimeColumn::new(field, declared.unit);
        let mut column = column
            .map_err(|(message, help)| check.error_at(name, message, Some(help)))
            .ok()?;
        let found = match first_times(&mut column, field, inputs) {
            Ok(found) => found,
            Err(error) if declared.rate.is_some() && error.helps().is_some() => None,
            Err(error) => {
                let help = error.helps().map(str::to_string);
                check.data_error_at(name, error.what(), help);
                return None;
            }
        };
        match found.is_some() || declared.rate.is_some() {
            true => Some(Some((column, found))),
            false => too_few(name, check),
        }
    }
}

fn too_few<T>(name: &Located<String>, check: &mut Check<'_>) -> Option<T> {
    let message = format!(
        "the times in column `{}` do not tell how many samples there are per second: there are too few before the run",
        name.value
    );
    let help = "say it beside the column: `rate = 1e6`";
    check.data_error_at(name, message, Some(help.into()));
    None
}

/// What the first file with rows tells.
fn first_times(
    column: &mut TimeColumn,
    field: &Field,
    inputs: &Inputs,
) -> Result<Option<Sampling>> {
    for entry in inputs.entries.iter().filter(|entry| !entry.file.is_stdin()) {
        let kind = &inputs.kinds[entry.format];
        if kind.is_text && entry.file.bytes == Some(0) {
            continue;
        }
        let values = first_values(&*kind.reader, &entry.file, field)?;
        if !values.is_empty() {
            return column.sampling(&values);
        }
    }
    Ok(None)
}

/// A column with the time of each sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeColumn {
    pub name: String,
    /// What one of its numbers is, in seconds.
    unit: f64,
    /// What is taken from whole numbers before they become floats, in which large ones differ too little.
    origin: i64,
}

impl TimeColumn {
    /// The column of that name; its unit as said, else as the name ends, `time (ms)`, else seconds.
    ///
    /// # Errors
    /// When it holds no times, with what is wrong and what to do.
    pub fn new(
        field: &Field,
        unit: Option<TimeUnit>,
    ) -> std::result::Result<Self, (String, String)> {
        let name = field.name();
        let of_type = match field.data_type() {
            DataType::Timestamp(unit, _) => Some(TimeUnit::of(*unit)),
            data_type if data_type.is_numeric() => None,
            other => {
                return Err((
                    format!("column `{name}` is {other}, and no time in numbers"),
                    format!("declare its type: `columns.{name} = {{ type = \"float64\" }}`"),
                ));
            }
        };
        let unit = of_type.or(unit).or_else(|| named_unit(name));
        Ok(Self {
            name: name.clone(),
            unit: unit.unwrap_or(TimeUnit::Seconds).seconds(),
            origin: 0,
        })
    }

    /// The times in seconds, from the origin on; NaN where there is none.
    fn seconds(&self, column: &ArrayRef) -> Result<Float64Array> {
        let floats = column.data_type().is_floating();
        let number = |value: Option<f64>| value.map_or(f64::NAN, |value| value * self.unit);
        if floats {
            let values = cast(column, &DataType::Float64)?;
            let values = values.as_primitive::<Float64Type>();
            return Ok(Float64Array::from_iter_values(values.iter().map(number)));
        }
        let values = cast(column, &DataType::Int64)?;
        let values = values.as_primitive::<Int64Type>().iter();
        let values = values.map(|value| value.map(|v| v.wrapping_sub(self.origin) as f64));
        Ok(Float64Array::from_iter_values(values.map(number)))
    }

    /// Takes the first of the times as the origin.
    fn begin(&mut self, column: &ArrayRef) -> Result<()> {
        if !column.data_type().is_floating() && !column.is_empty() {
            let first = cast(&column.slice(0, 1), &DataType::Int64)?;
            let first = first.as_primitive::<Int64Type>();
            self.origin = first.iter().flatten().next().unwrap_or(0);
        }
        Ok(())
    }

    /// How the first times sample a signal; none if they are too few to tell.
    ///
    /// # Errors
    /// When they do not ascend.
    pub fn sampling(&mut self, first: &ArrayRef) -> Result<Option<Sampling>> {
        self.begin(first)?;
        let times = self.seconds(first)?;
        let times = times.values();
        let steps = times.windows(2).map(|pair| pair[1] - pair[0]);
        let mut sorted: Vec<f64> = steps.clone().filter(|step| !step.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let Some(median) = sorted.get(sorted.len() / 2).copied() else {
            return Ok(None);
        };
        if median <= 0.0 || !median.is_finite() {
            let what = format!("the times in column `{}` do not ascend", self.name);
            return Err(Error::data(what)
                .help("sort the rows, or say how many samples per second there are: `sampling = { rate = 1e6 }`"));
        }
        // The mean of those that are no gap: the digits of a single one are too few.
        let even = steps.filter(|step| (step / median - 1.0).abs() < 0.5);
        let (count, sum) = even.fold((0_u64, 0.0), |(count, sum), step| (count + 1, sum + step));
        let start = self.origin as f64 * self.unit + times[0];
        Ok(Some(Sampling::of(whole(count as f64 / sum)).from(start)))
    }
}

/// A rate that is nearly a whole number is that one: times have few digits.
fn whole(rate: f64) -> f64 {
    match (rate / rate.round() - 1.0).abs() < 1e-6 {
        true => rate.round(),
        false => rate,
    }
}

/// The unit at the end of a name, such as `Time (ms)` or `t [us]`.
fn named_unit(name: &str) -> Option<TimeUnit> {
    let name = name.trim_end();
    let inner = name.strip_suffix(')').or_else(|| name.strip_suffix(']'))?;
    let (_, unit) = inner.rsplit_once(['(', '['])?;
    Some(match unit.trim() {
        "s" | "sec" | "seconds" | "S" => TimeUnit::Seconds,
        "ms" => TimeUnit::Milliseconds,
        "us" | "µs" | "μs" => TimeUnit::Microseconds,
        "ns" => TimeUnit::Nanoseconds,
        _ => return None,
    })
}

/// Looks at the times of all rows, whoever reads them, in whatever order.
#[derive(Debug)]
pub(super) struct Steps {
    pub column: TimeColumn,
    rate: f64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    uneven: u64,
    /// The row behind the first uneven step.
    first: Option<Place>,
    /// By their first place, stretches of rows whose neighbours have not been seen.
    stretches: BTreeMap<Place, Stretch>,
}

/// Rows that follow one another: the time of the first, and the place and the time of the last.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    begin: f64,
    last: Place,
    end: f64,
}

impl Steps {
    pub fn new(column: TimeColumn, sampling: Sampling) -> Self {
        Self {
            column,
            rate: sampling.rate,
            seen: Mutex::default(),
        }
    }

    /// Looks at the times of a batch, and notes where they are uneven.
    pub fn look(&self, batch: &Batch, times: &ArrayRef) -> Result<()> {
        let times = self.column.seconds(times)?;
        let places = batch.places();
        let row = |at: usize| Some((places.get(at)?, times.value(at)));
        let Some((first, begin)) = (!times.is_empty()).then(|| row(0)).flatten() else {
            return Ok(());
        };
        let (mut before, mut found) = ((first, begin), Seen::default());
        for at in 1..times.len() {
            let Some(next) = row(at) else { return Ok(()) };
            found.step(before, next, self.rate);
            before = next;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.add(&found);
        let stretch = Stretch {
            begin,
            last: before.0,
            end: before.1,
        };
        seen.join(first, stretch, self.rate);
        Ok(())
    }

    /// What was noticed since it was asked before: a remark, and how often it is true.
    pub fn remark(&self) -> Option<(String, u64)> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = std::mem::take(&mut *seen);
        // What is left apart has rows in between that could not be read.
        let left: Vec<(Place, Stretch)> = std::mem::take(&mut seen.stretches).into_iter().collect();
        for pair in left.windows(2) {
            let ((_, one), (first, other)) = (pair[0], pair[1]);
            if one.last.split() == first.split() {
                seen.step((one.last, one.end), (first, other.begin), self.rate);
            }
        }
        let first = seen.first?;
        let text = format!(
            "steps of `{}` are not 1/{} s, the first in front of row {}",
            self.column.name,
            self.rate,
            first.row() + 1
        );
        Some((text, seen.uneven))
    }
}

impl Seen {
    /// A step is even if the samples that lie between two rows by their times are those that lie between them.
    fn step(&mut self, (before, one): (Place, f64), (at, other): (Place, f64), rate: f64) {
        let samples = at.0.wrapping_sub(before.0) as f64;
        if ((other - one) * rate - samples).abs() < 0.5 {
            return;
        }
        self.uneven += 1;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
    }

    fn add(&mut self, other: &Self) {
        self.uneven += other.uneven;
        self.first = match (self.first, other.first) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    /// Takes in a stretch, and joins it with those that it touches.
    fn join(&mut self, mut first: Place, mut stretch: Stretch, rate: f64) {
        let before = self.stretches.range(..first).next_back();
        if let Some((&place, &one)) = before
            && one.last.0 + 1 == first.0
            && one.last.split() == first.split()
        {
            self.step((one.last, one.end), (first, stretch.begin), rate);
            self.stretches.remove(&place);
            (first, stretch.begin) = (place, one.begin);
        }
        let behind = Place(stretch.last.0 + 1);
        if behind.split() == stretch.last.split()
            && let Some(next) = self.stretches.remove(&behind)
        {
            self.step((stretch.last, stretch.end), (behind, next.begin), rate);
            (stretch.last, stretch.end) = (next.last, next.end);
        }
        self.stretches.insert(first, stretch);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch};
    use dataflow_core::Places;

    use super::*;

    fn column(name: &str, data_type: DataType) -> TimeColumn {
        TimeColumn::new(&Field::new(name, data_type, true), None).expect("times")
    }

    fn floats(times: &[f64]) -> ArrayRef {
        Arc::new(Float64Array::from(times.to_vec()))
    }

    #[test]
    fn the_rate_is_found_in_spite_of_few_digits_and_gaps() {
        let times: Vec<f64> = (0..1000)
            .map(|n| (f64::from(n) * 1e4 / 30.0).round() / 1e4)
            .collect();
        let mut time = column("time", DataType::Float64);
        let found = time.sampling(&floats(&times)).expect("ascends");
        assert_eq!(found, Some(Sampling::of(30.0)));
        let times: Vec<f64> = (0..100)
            .map(|n| -2.0 + f64::from(n + n / 10 * 500) * 0.5)
            .collect();
        let mut time = column("Time (ms)", DataType::Float64);
        let found = time.sampling(&floats(&times)).expect("ascends");
        assert_eq!(found, Some(Sampling::of(2000.0).from(-0.002)));
        // Whole numbers so large that floats cannot tell them apart.
        let times: ArrayRef = Arc::new(Int64Array::from_iter_values(
            (0..100).map(|n| 1_700_000_000_000_000_000 + n * 25),
        ));
        let mut time = column("t [ns]", DataType::Int64);
        let found = time.sampling(&times).expect("ascends").expect("a rate");
        assert_eq!((found.rate, found.start), (4e7, 1.7e9));
        assert_eq!(
            column("t", DataType::Float64)
                .sampling(&floats(&[1.0]))
                .expect("one"),
            None
        );
        let back = column("t", DataType::Float64).sampling(&floats(&[2.0, 1.0, 0.0]));
        assert!(
            back.expect_err("back")
                .to_string()
                .contains("do not ascend")
        );
        let text = TimeColumn::new(&Field::new("t", DataType::Utf8, true), None);
        assert!(text.expect_err("text").0.contains("no time in numbers"));
    }

    fn look(steps: &Steps, times: &[f64], at: std::ops::Range<usize>) {
        let some = floats(&times[at.clone()]);
        let rows = RecordBatch::try_from_iter([("time", Arc::clone(&some))]).expect("a column");
        let batch = Batch::new(rows).with_places(Places::From(Place(at.start as u64)));
        steps.look(&batch, &some).expect("times");
    }

    #[test]
    fn uneven_steps_are_counted_whatever_order_they_are_read_in() {
        let mut times: Vec<f64> = (0..100).map(f64::from).collect();
        times[50..].iter_mut().for_each(|time| *time += 7.0);
        times[79] = f64::NAN;
        times[90] = 3.0;
        let steps = Steps::new(column("time", DataType::Float64), Sampling::of(1.0));
        for (size, backwards) in [(1, false), (7, true), (50, false), (100, false), (30, true)] {
            let mut parts: Vec<usize> = (0..100).step_by(size).collect();
            if backwards {
                parts.reverse();
                parts.swap(0, 2);
            }
            parts
                .into_iter()
                .for_each(|at| look(&steps, &times, at..(at + size).min(100)));
            let (text, count) = steps.remark().expect("gaps");
            assert_eq!(count, 5, "{size}");
            assert_eq!(
                text,
                "steps of `time` are not 1/1 s, the first in front of row 51"
            );
            assert_eq!(steps.remark(), None);
        }
        // Rows that could not be read are missing, and are no gap in time.
        look(&steps, &times, 0..20);
        look(&steps, &times, 23..40);
        assert_eq!(steps.remark(), None);
    }
}
