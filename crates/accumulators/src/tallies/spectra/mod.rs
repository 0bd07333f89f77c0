//! Spectra of signals: of every segment of a group's samples, whoever has which of them, put together exactly.
//!
//! Where rows are numbered by their places, workers take any of them: the state is the runs of neighbouring samples met so far, and the
//! exact sums over the segments inside. Else a group's rows come in order, and the state is one run. A segment's powers are a function of
//! its samples, and their sums are exact, so the result depends on nothing else.

mod call;
mod nearly;
mod together;
mod written;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, StructArray};
use arrow_schema::{DataType, Field, Fields};
use dataflow_core::accumulator::Reading;
use dataflow_core::{Error, Places, Result};
use dataflow_signal::segments::{Run, Runs};
use dataflow_signal::{Fourier, Grid, Shape, are_finite};

use super::bytes::Tally;
use crate::exact::{read_varint, write_varint};
use crate::states::lists;
pub(crate) use call::{periodogram, spectrum, welch};
use together::Together;
use written::{read_run, write_run};

/// What is made of a group's segments.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// The mean of their powers.
    Mean,
    /// The median of their powers.
    Median,
    /// The same, of powers that are only told apart by their first bits.
    Nearly,
    /// The mean of their magnitudes, in decibels.
    Magnitude,
}

/// How a segment's powers become the values that people read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scaling {
    /// Power per hertz.
    Density,
    /// Power: a sine of amplitude 1 has 1/2.
    Power,
    /// Amplitude: a sine of amplitude 1 has 1.
    Amplitude,
}

/// A call's settings.
#[derive(Clone, Debug)]
struct Settings {
    shape: Shape,
    grid: Grid,
    rate: f64,
    kind: Kind,
    scaling: Scaling,
    /// Whether all samples are one segment, however many there are.
    whole: bool,
    /// Whether places number the samples.
    numbered: bool,
    /// The name of the values.
    value: &'static str,
}

impl Settings {
    fn item(&self) -> Fields {
        vec![
            Field::new("frequency", DataType::Float64, true),
            Field::new(self.value, DataType::Float64, true),
        ]
        .into()
    }

    /// What powers (or magnitudes) are multiplied by, for a window with these gains, and with the negative frequencies' share.
    fn scale(&self, fourier: &Fourier, bin: usize) -> f64 {
        let sides = fourier.shape().sides(bin);
        match self.scaling {
            Scaling::Density => sides / (self.rate * fourier.power_gain()),
            Scaling::Power => sides / (fourier.gain() * fourier.gain()),
            Scaling::Amplitude => sides / fourier.gain(),
        }
    }
}

/// What is known of one group.
#[derive(Debug)]
struct Group {
    runs: Runs,
    segments: Together,
    /// Segments with samples that are not finite.
    skipped: u64,
    /// Samples so far, where no places number them.
    samples: u64,
}

impl Group {
    fn new(settings: &Settings) -> Self {
        Self {
            runs: Runs::default(),
            segments: Together::of(settings.kind),
            skipped: 0,
            samples: 0,
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.runs.bytes() + self.segments.bytes()
    }
}

/// What sees segments: the transform and room for its powers, which all groups share.
struct Lens {
    settings: Settings,
    fourier: Option<Fourier>,
    powers: Vec<f64>,
}

impl Lens {
    fn look(&mut self, number: u64, samples: &[f64], segments: &mut Together, skipped: &mut u64) {
        if !are_finite(samples) {
            *skipped += 1;
            return;
        }
        let shape = &self.settings.shape;
        let fourier = self.fourier.get_or_insert_with(|| Fourier::new(shape));
        self.powers.resize(shape.bins(), 0.0);
        fourier.powers(samples, &mut self.powers);
        if self.settings.kind == Kind::Magnitude {
            self.powers
                .iter_mut()
                .for_each(|power| *power = power.sqrt());
        }
        segments.add(number, &self.powers);
    }

    /// Lets a group's runs take something in, and looks at the segments that become whole.
    fn at(
        &mut self,
        group: &mut Group,
        take: impl FnOnce(&mut Runs, &Grid, &mut dyn FnMut(u64, &[f64])),
    ) {
        let Group {
            runs,
            segments,
            skipped,
            ..
        } = group;
        let grid = self.settings.grid;
        take(runs, &grid, &mut |number, samples| {
            self.look(number, samples, segments, skipped);
        });
    }
}

struct Spectra {
    lens: Lens,
    groups: Vec<Group>,
    bytes: usize,
    /// The samples of a batch, where they have to be put together.
    mixed: Vec<f64>,
}

impl Spectra {
    fn new(settings: &Settings) -> Self {
        Self {
            lens: Lens {
                settings: settings.clone(),
                fourier: None,
                powers: Vec::new(),
            },
            groups: Vec::new(),
            bytes: 0,
            mixed: Vec::new(),
        }
    }

    /// Takes neighbouring samples of a group, from number `start` on, or behind those before.
    fn push(&mut self, group: usize, start: Option<u64>, samples: &[f64]) {
        let width = self.lens.settings.grid.width;
        let group = &mut self.groups[group];
        let start = start.unwrap_or(group.samples);
        group.samples = start + (samples.len() / width) as u64;
        let held = group.bytes();
        self.lens.at(group, |runs, grid, see| {
            runs.push(grid, start, samples, see)
        });
        self.bytes = self.bytes + group.bytes() - held;
    }

    /// Takes rows that places number, all of one group.
    fn numbered(&mut self, samples: &[f64], places: &Places) -> Result<()> {
        let width = self.lens.settings.grid.width;
        let stretches = places
            .stretches(samples.len() / width)
            .ok_or_else(|| Error::internal("samples came without the places that number them"))?;
        for (first, rows) in stretches {
            let part = &samples[rows.start * width..rows.end * width];
            self.push(0, Some(first.row()), part);
        }
        Ok(())
    }

    fn in_order(&mut self, samples: &[f64], groups: &[u32]) {
        let width = self.lens.settings.grid.width;
        let mut from = 0;
        for rows in groups.chunk_by(|a, b| a == b) {
            let to = from + rows.len() * width;
            self.push(rows[0] as usize, None, &samples[from..to]);
            from = to;
        }
    }

    fn take(&mut self, samples: &[f64], groups: Option<&[u32]>, places: &Places) -> Result<()> {
        match groups {
            _ if self.lens.settings.numbered => return self.numbered(samples, places),
            None => self.push(0, None, samples),
            Some(groups) => self.in_order(samples, groups),
        }
        Ok(())
    }

    /// The frequencies and values of a group.
    fn value_of(&self, group: usize) -> (Vec<f64>, Vec<f64>) {
        let (group, settings) = (&self.groups[group], &self.lens.settings);
        if let Some(values) = group.segments.values() {
            return self.finished(&settings.shape, values);
        }
        let Some(run) = group.runs.whole().filter(|run| run.end > 0) else {
            return (Vec::new(), Vec::new());
        };
        // Shorter than a segment, or all of its segments were left out.
        let samples = match group.skipped {
            0 => run.rest(),
            _ => return self.finished(&settings.shape, vec![f64::NAN; settings.shape.bins()]),
        };
        let length = samples.len() / settings.grid.width;
        let shape = match (settings.whole, settings.shape.points < length) {
            (true, true) => settings.shape.cut_to(settings.shape.points),
            _ => settings.shape.cut_to(length),
        };
        let mut powers = vec![f64::NAN; shape.bins()];
        if are_finite(samples) {
            Fourier::new(&shape).powers(samples, &mut powers);
        }
        if settings.kind == Kind::Magnitude {
            powers.iter_mut().for_each(|power| *power = power.sqrt());
        }
        self.finished(&shape, powers)
    }

    fn finished(&self, shape: &Shape, mut values: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
        let settings = &self.lens.settings;
        let fourier = Fourier::new(shape);
        for (bin, value) in values.iter_mut().enumerate() {
            *value *= settings.scale(&fourier, bin);
            if settings.kind == Kind::Magnitude {
                *value = 20.0 * value.log10();
            }
        }
        let frequencies = 0..values.len();
        let frequencies = frequencies.map(|bin| shape.frequency(bin, settings.rate));
        (frequencies.collect(), values)
    }

    fn is_short(&self, group: u32) -> bool {
        let group = &self.groups[group as usize];
        let short = |run: &Run| run.end > 0 && run.end < self.lens.settings.grid.segment;
        !self.lens.settings.whole && group.runs.whole().is_some_and(short)
    }
}

impl Tally for Spectra {
    fn resize(&mut self, groups: usize) {
        let settings = &self.lens.settings;
        let before = self.groups.len();
        self.groups
            .resize_with(groups.max(before), || Group::new(settings));
        let new = self.groups[before..].iter();
        self.bytes += new.map(Group::bytes).sum::<usize>();
    }

    fn add(&mut self, groups: Option<&[u32]>, columns: &[ArrayRef], places: &Places) -> Result<()> {
        let columns: Vec<&Float64Array> = columns
            .iter()
            .map(|c| c.as_primitive::<Float64Type>())
            .collect();
        match columns[..] {
            [] => Ok(()),
            [one] if one.null_count() == 0 => self.take(one.values(), groups, places),
            _ => {
                let mut mixed = std::mem::take(&mut self.mixed);
                mixed.clear();
                let value = |column: &Float64Array, row: usize| match column.is_null(row) {
                    true => f64::NAN,
                    false => column.value(row),
                };
                for row in 0..columns[0].len() {
                    mixed.extend(columns.iter().map(|column| value(column, row)));
                }
                let taken = self.take(&mixed, groups, places);
                self.mixed = mixed;
                taken
            }
        }
    }

    fn write(&self, group: usize, out: &mut Vec<u8>) {
        let group = &self.groups[group];
        write_varint(group.skipped, out);
        group.segments.write(out);
        write_varint(group.runs.iter().len() as u64, out);
        for run in group.runs.iter() {
            write_run(run, out);
        }
    }

    fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
        let held = self.groups[group].bytes();
        let found = &mut self.groups[group];
        found.skipped += read_varint(bytes)?;
        found
            .segments
            .read(self.lens.settings.shape.bins(), bytes)?;
        for _ in 0..read_varint(bytes)? {
            let run = read_run(bytes)?;
            found.samples = found.samples.max(run.end);
            self.lens
                .at(found, |runs, grid, see| runs.add(grid, run, see));
        }
        self.bytes = self.bytes + found.bytes() - held;
        Some(())
    }

    fn settle(&mut self, _: usize) {}

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let (mut frequencies, mut values, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        for group in groups {
            let (f, v) = self.value_of(*group as usize);
            lengths.push(Some(f.len()));
            frequencies.extend(f);
            values.extend(v);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(frequencies)),
            Arc::new(Float64Array::from(values)),
        ];
        let items = StructArray::try_new(self.lens.settings.item(), columns, None)?;
        lists::short_array(Arc::new(items), &lengths)
    }

    fn remarks(&self, groups: &[u32]) -> Vec<(&'static str, u64)> {
        let skipped = groups
            .iter()
            .map(|group| self.groups[*group as usize].skipped);
        let short = groups.iter().filter(|group| self.is_short(**group)).count();
        let gaps = |group: &u32| {
            self.groups[*group as usize]
                .runs
                .iter()
                .len()
                .saturating_sub(1)
        };
        let gaps: usize = groups.iter().map(gaps).sum();
        let nearly = match self.lens.settings.kind {
            Kind::Nearly => groups.len() as u64,
            _ => 0,
        };
        let all = [
            (
                "gaps between samples; segments across them are left out",
                gaps as u64,
            ),
            ("medians within 0.4 %, since they are approximate", nearly),
            (
                "segments left out, since a sample of theirs is not finite",
                skipped.sum(),
            ),
            (
                "shorter than one segment, so the spectrum is of what there is",
                short as u64,
            ),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    fn bytes(&self) -> usize {
        let fourier = self.lens.fourier.as_ref().map_or(0, Fourier::bytes);
        self.bytes + fourier + (self.mixed.capacity() + self.lens.powers.capacity()) * 8
    }

    fn clear(&mut self) {
        self.groups = Vec::new();
        self.mixed = Vec::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests;
