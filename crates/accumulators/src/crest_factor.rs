//! `crest_factor`: the peak of a signal over its root mean square.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_schema::DataType;
use dataflow_core::accumulator::{Accepted, Call, CallProblem, Reading};
use dataflow_core::component::{Component, Info};
use dataflow_core::{Places, Result};

use crate::exact::{Counts, Number, Products, grow};
use crate::states::options::Options;
use crate::tallies::bytes::{Tally, in_bytes, values};
use crate::tallies::moments::root_of_mean_square;
use crate::tallies::number;
use crate::tallies::rows::{finite, present};

const USAGE: &str = "crest_factor(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "crest_factor",
        summary: "The peak of a signal over its root mean square",
        manual: "\
The largest magnitude divided by `rms`: 1 for a square wave, 1.414 for a sine, more the rarer the peaks are. Null where there are no values, NaN where one is \
infinite or NaN (`crest_factor(finite(x))` leaves those out) or all are 0.

The cost of `variance`. Where a pipeline has `rms(x)`, `max(x)` and `min(x)` anyway, `greatest(maximum, -minimum) / rms` costs nothing more.",
        example: USAGE,
        also_called: &["crest", "peak_to_average"],
        ..Info::EMPTY
    };
    Component::accumulator(info, accept)
}

fn accept(call: &Call) -> Result<Accepted, CallProblem> {
    let options = Options::of(call, 1, USAGE)?;
    let column = number(&options, 0)?;
    options.end()?;
    let reading = Reading::of("crest_factor");
    let output = DataType::Float64;
    Ok(in_bytes(
        "peaks and squares",
        reading,
        output,
        vec![column],
        Crest::default,
    ))
}

#[derive(Default)]
struct Crest {
    counts: Counts,
    squares: Products,
    peaks: Vec<f64>,
    strange: Vec<bool>,
}

impl Crest {
    fn value_of(&self, group: usize) -> Option<f64> {
        let count = self.counts.of(group);
        if count == 0 {
            return None;
        }
        if self.strange[group] {
            return Some(f64::NAN);
        }
        let rms = root_of_mean_square(&self.squares.number(group), count);
        Some(self.peaks[group] / rms)
    }
}

impl Tally for Crest {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups);
        self.squares.resize(groups);
        grow(&mut self.peaks, groups, 0.0);
        grow(&mut self.strange, groups, false);
    }

    fn add(&mut self, groups: Option<&[u32]>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let Self {
            counts,
            squares,
            peaks,
            strange,
        } = self;
        let column = columns[0].as_primitive::<Float64Type>();
        present(groups, column, |groups, x| {
            counts.add(groups, x.len());
            let note = |group: usize| strange[group] = true;
            finite(groups, [x], note, |groups, [x]| {
                squares.add(groups, x, x);
                match groups {
                    None => peaks[0] = x.iter().fold(peaks[0], |most, x| most.max(x.abs())),
                    Some(groups) => {
                        for (group, x) in groups.iter().zip(x) {
                            let peak = &mut peaks[*group as usize];
                            *peak = peak.max(x.abs());
                        }
                    }
                }
            });
        });
        Ok(())
    }

    fn write(&self, group: usize, out: &mut Vec<u8>) {
        self.counts.write(group, out);
        self.squares.write(group, out);
        out.extend_from_slice(&self.peaks[group].to_bits().to_le_bytes());
        out.push(u8::from(self.strange[group]));
    }

    fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
        self.counts.read(group, bytes)?;
        self.squares.merge(group, &Number::read(bytes)?);
        let (peak, rest) = bytes.split_first_chunk::<8>()?;
        let (strange, rest) = rest.split_first()?;
        *bytes = rest;
        let peak = f64::from_bits(u64::from_le_bytes(*peak));
        self.peaks[group] = self.peaks[group].max(peak);
        self.strange[group] |= *strange == 1;
        Some(())
    }

    fn settle(&mut self, terms: usize) {
        self.squares.settle(terms);
    }

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        Ok(values(groups, |group| self.value_of(group)))
    }

    fn bytes(&self) -> usize {
        let peaks = self.peaks.capacity() * 8 + self.strange.capacity();
        self.counts.bytes() + self.squares.bytes() + peaks
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, show, value};
    use arrow_array::Float64Array;
    use std::sync::Arc;

    #[test]
    fn is_the_peak_over_the_root_mean_square() {
        let table: [(&[f64], &str); 6] = [
            (&[], "[null]"),
            (&[-3.0], "[1.0]"),
            (&[1.0, -7.0], "[1.4]"),
            (&[1.0, -1.0, 1.0, -1.0], "[1.0]"),
            (&[0.0, 0.0], "[NaN]"),
            (&[f64::INFINITY, 2.0], "[NaN]"),
        ];
        for (values, expected) in table {
            let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
            let call = call(&[DataType::Float64], &[]);
            assert_eq!(show(&value(&component(), &call, &[column])), expected);
        }
    }
}
