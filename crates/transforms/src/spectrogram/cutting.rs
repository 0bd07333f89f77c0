//! The first stage of a spectrogram: the segments inside of each batch, and the samples at its two ends for those across.
//!
//! Neighbouring samples become parts, in order: their *head*, the samples that segments need which begin before them; rows of spectra; their
//! *tail*, the samples from the first segment on that is not whole. Samples without a whole segment, or whom nobody numbers, go on as they are.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch};
use arrow_buffer::ScalarBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use dataflow_core::batch::rows_of;
use dataflow_core::{Batch, Charge, Error, Flow, Output, Result, Stage};

use super::Settings;
use super::spectra::Spectra;

/// How many parts are written before others get their turn.
const PARTS_PER_CALL: usize = 16;

/// A part on its way to the second stage; the metadata of its columns says what it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    /// Samples from this number on, or behind those before.
    Samples(Option<u64>),
    /// Spectra from this segment on.
    Spectra(u64),
}

const PART: &str = "part";
const NUMBER: &str = "number";

impl Part {
    /// The same columns, which say what they are.
    fn said(self, schema: &Schema) -> Schema {
        let (part, number) = match self {
            Self::Samples(number) => ("samples", number),
            Self::Spectra(number) => ("spectra", Some(number)),
        };
        let mut metadata = schema.metadata().clone();
        metadata.insert(PART.into(), part.into());
        if let Some(number) = number {
            metadata.insert(NUMBER.into(), number.to_string());
        }
        schema.clone().with_metadata(metadata)
    }

    /// What columns say.
    pub(super) fn of(schema: &Schema) -> Result<Self> {
        let metadata = schema.metadata();
        let number = metadata.get(NUMBER).and_then(|number| number.parse().ok());
        match (metadata.get(PART).map(String::as_str), number) {
            (Some("samples"), number) => Ok(Self::Samples(number)),
            (Some("spectra"), Some(number)) => Ok(Self::Spectra(number)),
            _ => Err(Error::internal(
                "a part of a spectrogram does not say what it is",
            )),
        }
    }
}

/// Neighbouring samples.
struct Stretch {
    /// The number of the first.
    start: u64,
    samples: ScalarBuffer<f64>,
    /// The next segment, once the head was written.
    next: Option<u64>,
    charge: Option<Arc<Charge>>,
}

impl Stretch {
    /// Where a sample is among the numbers.
    fn at(&self, settings: &Settings, sample: u64) -> usize {
        (sample - self.start) as usize * settings.grid.width
    }

    /// A part with these of its samples; none if there are none.
    fn part(&self, number: Option<u64>, from: usize, to: usize) -> Result<Option<Batch>> {
        if from >= to {
            return Ok(None);
        }
        let field = Field::new("sample", DataType::Float64, false);
        let schema = Part::Samples(number).said(&Schema::new(vec![field]));
        let samples = self.samples.slice(from, to - from);
        let column: ArrayRef = Arc::new(Float64Array::new(samples, None));
        let rows = rows_of(Arc::new(schema), vec![column], to - from)?;
        Ok(Some(Batch::new(rows).with_charge(self.charge.clone())))
    }
}

pub(super) struct Cutting {
    settings: Arc<Settings>,
    spectra: Spectra,
    /// What is being worked on, the last one first.
    stretches: Vec<Stretch>,
}

impl Cutting {
    pub(super) fn new(settings: &Arc<Settings>) -> Self {
        Self {
            spectra: Spectra::new(settings),
            settings: Arc::clone(settings),
            stretches: Vec::new(),
        }
    }

    /// The samples of a batch, one number or two each.
    fn samples(&self, rows: &RecordBatch) -> Result<ScalarBuffer<f64>> {
        let columns = self.settings.columns.iter().map(|name| {
            let column = rows.column_by_name(name).ok_or_else(|| {
                Error::internal(format!("a batch came without its column `{name}`"))
            })?;
            Ok(cast(column, &DataType::Float64)?)
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let columns: Vec<&Float64Array> = columns
            .iter()
            .map(|c| c.as_primitive::<Float64Type>())
            .collect();
        if let [one] = columns[..]
            && one.null_count() == 0
        {
            return Ok(one.values().clone());
        }
        let value = |column: &Float64Array, row: usize| match column.is_null(row) {
            true => f64::NAN,
            false => column.value(row),
        };
        let mut samples = Vec::with_capacity(rows.num_rows() * columns.len());
        for row in 0..rows.num_rows() {
            samples.extend(columns.iter().map(|column| value(column, row)));
        }
        Ok(samples.into())
    }

    /// Cuts samples where a number is missing; the first stretch is the last of the list.
    fn stretches(&self, batch: &Batch, samples: &ScalarBuffer<f64>) -> Result<Vec<Stretch>> {
        let width = self.settings.grid.width;
        let stretch = |start: u64, from: usize, to: usize| Stretch {
            start,
            samples: samples.slice(from * width, (to - from) * width),
            next: None,
            charge: batch.charge().cloned(),
        };
        let known = batch
            .places()
            .stretches(batch.len())
            .ok_or_else(|| Error::internal("samples came without the places that number them"))?;
        let list = known.into_iter().rev();
        Ok(list
            .map(|(first, rows)| stretch(first.row(), rows.start, rows.end))
            .collect())
    }

    /// The next part of a stretch; none at its end.
    fn part(&mut self, stretch: &mut Stretch) -> Result<Option<Batch>> {
        let grid = self.settings.grid;
        let numbers = stretch.samples.len();
        let Some(next) = stretch.next else {
            let first = stretch.start.div_ceil(grid.hop);
            let whole = stretch.at(&self.settings, first * grid.hop + grid.segment) <= numbers;
            let end = match first.checked_sub(1) {
                _ if !whole => numbers,
                None => 0,
                Some(last) => stretch.at(&self.settings, last * grid.hop + grid.segment),
            };
            let head = stretch.part(Some(stretch.start), 0, end)?;
            if whole {
                stretch.next = Some(first);
                return match head {
                    None => self.part(stretch),
                    head => Ok(head),
                };
            }
            // All of it is on its way.
            stretch.samples = ScalarBuffer::from(Vec::new());
            return Ok(head);
        };
        let length = grid.segment as usize * grid.width;
        let mut last = next;
        for _ in 0..Spectra::at_once(&self.settings) {
            let from = stretch.at(&self.settings, last * grid.hop);
            let Some(samples) = stretch.samples.get(from..from + length) else {
                break;
            };
            self.spectra.add(last, samples);
            last += 1;
        }
        stretch.next = Some(last);
        if let Some(made) = self.spectra.take()? {
            let said = Part::Spectra(next).said(&made.schema());
            let rows = made.rows().clone().with_schema(Arc::new(said))?;
            return Ok(Some(Batch::new(rows).with_charge(stretch.charge.clone())));
        }
        let from = stretch.at(&self.settings, last * grid.hop);
        let tail = stretch.part(Some(last * grid.hop), from, numbers)?;
        stretch.samples = ScalarBuffer::from(Vec::new());
        Ok(tail)
    }
}

impl Stage for Cutting {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let samples = self.samples(batch.rows())?;
        if self.settings.numbered {
            self.stretches = self.stretches(&batch, &samples)?;
            return self.more(out);
        }
        let all = Stretch {
            start: 0,
            next: None,
            charge: batch.charge().cloned(),
            samples,
        };
        if let Some(part) = all.part(None, 0, all.samples.len())? {
            out.send(0, part);
        }
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        for _ in 0..PARTS_PER_CALL {
            let Some(mut stretch) = self.stretches.pop() else {
                return Ok(Flow::Ready);
            };
            if stretch.samples.is_empty() {
                continue;
            }
            let part = self.part(&mut stretch)?;
            self.stretches.push(stretch);
            if let Some(part) = part {
                out.send(0, part);
            }
            if out.full() {
                break;
            }
        }
        Ok(Flow::More)
    }

    fn bytes(&self) -> usize {
        let numbers: usize = self.stretches.iter().map(|s| s.samples.len()).sum();
        numbers * 8
    }
}
