//! Rows of spectra: made of segments one after another, a bounded number at a time.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, ListArray, RecordBatch};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field};
use dataflow_core::batch::rows_of;
use dataflow_core::{Batch, Result};
use dataflow_signal::{Fourier, are_finite};

use super::{Scaling, Settings};

/// About so many bytes are written at once.
const SLICE: usize = 1 << 18;

/// Makes spectra into rows.
pub(super) struct Spectra {
    settings: Arc<Settings>,
    fourier: Option<Fourier>,
    scales: Vec<f64>,
    values: Vec<f64>,
    /// The numbers of the segments whose rows wait, and whether they have values.
    rows: Vec<(u64, bool)>,
}

impl Spectra {
    pub(super) fn new(settings: &Arc<Settings>) -> Self {
        Self {
            settings: Arc::clone(settings),
            fourier: None,
            scales: Vec::new(),
            values: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// How many rows are written at once.
    pub(super) fn at_once(settings: &Settings) -> usize {
        (SLICE / (8 * settings.shape.bins())).clamp(1, 4096)
    }

    /// Adds the row of a segment.
    pub(super) fn add(&mut self, number: u64, samples: &[f64]) {
        let fine = are_finite(samples);
        self.rows.push((number, fine));
        if !fine {
            return;
        }
        let settings = &self.settings;
        let fourier = self.fourier.get_or_insert_with(|| {
            let fourier = Fourier::new(&settings.shape);
            self.scales = scales(settings, &fourier);
            fourier
        });
        let from = self.values.len();
        self.values.resize(from + self.scales.len(), 0.0);
        let values = &mut self.values[from..];
        fourier.powers(samples, values);
        for (value, scale) in values.iter_mut().zip(&self.scales) {
            *value *= scale;
        }
        if let Some(floor) = settings.floor {
            for value in values {
                *value = (10.0 * value.log10()).max(floor);
            }
        }
    }

    /// Adds the row of a segment of which samples are missing.
    pub(super) fn add_missing(&mut self, number: u64) {
        self.rows.push((number, false));
    }

    /// The rows that wait.
    pub(super) fn take(&mut self) -> Result<Option<Batch>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let rows = std::mem::take(&mut self.rows);
        let values = std::mem::take(&mut self.values);
        let time = rows.iter().map(|(number, _)| self.settings.time(*number));
        let time: ArrayRef = Arc::new(time.collect::<Float64Array>());
        let bins = self.settings.shape.bins();
        let lengths = rows.iter().map(|(_, fine)| if *fine { bins } else { 0 });
        let nulls: NullBuffer = rows.iter().map(|(_, fine)| *fine).collect();
        let list = ListArray::try_new(
            Arc::new(Field::new_list_field(DataType::Float64, true)),
            OffsetBuffer::from_lengths(lengths),
            Arc::new(Float64Array::from(values)),
            Some(nulls).filter(|nulls| nulls.null_count() > 0),
        )?;
        let columns: Vec<ArrayRef> = vec![time, Arc::new(list)];
        let made: RecordBatch = rows_of(Arc::clone(&self.settings.output), columns, rows.len())?;
        Ok(Some(Batch::new(made)))
    }
}

/// What the powers of each frequency are multiplied by.
fn scales(settings: &Settings, fourier: &Fourier) -> Vec<f64> {
    let whole = match settings.scaling {
        Scaling::Density => settings.rate * fourier.power_gain(),
        Scaling::Spectrum => fourier.gain() * fourier.gain(),
    };
    let shape = fourier.shape();
    (0..shape.bins())
        .map(|bin| shape.sides(bin) / whole)
        .collect()
}
