//! The second stage of a spectrogram: the segments across batches, and everybody's rows in order.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use dataflow_core::batch::rows_of;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::{Batch, Flow, Output, Result, Stage};
use serde_json::Value;

use super::Settings;
use super::cutting::Part;
use super::spectra::Spectra;

/// How many slices are written before others get their turn.
const SLICES_PER_CALL: usize = 16;

pub(super) struct Joining {
    settings: Arc<Settings>,
    spectra: Spectra,
    /// The next segment whose row is to be written.
    next: u64,
    /// The samples from the beginning of that segment on, as far as they have come.
    samples: Vec<f64>,
    /// The number of the sample behind these.
    end: u64,
    /// What has come and waits: samples, spectra, and what is behind them.
    waiting: VecDeque<Batch>,
}

impl Joining {
    pub(super) fn new(settings: &Arc<Settings>) -> Self {
        Self {
            spectra: Spectra::new(settings),
            settings: Arc::clone(settings),
            next: 0,
            samples: Vec::new(),
            end: 0,
            waiting: VecDeque::new(),
        }
    }

    fn length(&self) -> usize {
        self.settings.grid.segment as usize * self.settings.grid.width
    }

    /// Takes samples of which the first has this number.
    fn push(&mut self, start: Option<u64>, samples: &[f64]) {
        let grid = self.settings.grid;
        let count = (samples.len() / grid.width) as u64;
        if let Some(start) = start.filter(|start| *start != self.end) {
            self.leave_out(start);
        }
        // Behind samples that are missing, the next segment begins further on.
        let begins = self.next * grid.hop;
        let known = self.end.max(begins) - self.end;
        let skipped = known.min(count);
        self.end += count;
        self.samples
            .extend_from_slice(&samples[skipped as usize * grid.width..]);
    }

    /// Samples up to `start` are missing: the segments that would have some of them have no values.
    fn leave_out(&mut self, start: u64) {
        let first = start.div_ceil(self.settings.grid.hop).max(self.next);
        for number in self.next..first {
            self.spectra.add_missing(number);
        }
        (self.next, self.end) = (first, start);
        self.samples.clear();
    }

    /// Makes the rows of segments that are whole, so many at a time.
    fn rows(&mut self) -> Result<Option<Batch>> {
        let length = self.length();
        let hop = self.settings.grid.hop as usize * self.settings.grid.width;
        let mut at = 0;
        for _ in 0..Spectra::at_once(&self.settings) {
            let Some(samples) = self.samples.get(at..at + length) else {
                break;
            };
            self.spectra.add(self.next, samples);
            self.next += 1;
            at += hop;
        }
        self.samples.drain(..at);
        self.spectra.take()
    }

    /// The next rows that can be written.
    fn slice(&mut self) -> Result<Option<Batch>> {
        loop {
            if let Some(rows) = self.rows()? {
                return Ok(Some(rows));
            }
            let Some(part) = self.waiting.pop_front() else {
                return Ok(None);
            };
            match Part::of(part.rows().schema_ref())? {
                Part::Samples(start) => {
                    let samples = part.rows().column(0).as_primitive::<Float64Type>();
                    self.push(start, samples.values());
                }
                Part::Spectra(first) if first > self.next => {
                    self.leave_out(first * self.settings.grid.hop);
                    self.waiting.push_front(part);
                }
                Part::Spectra(_) => return self.pass(&part).map(Some),
            }
        }
    }

    /// Passes spectra on that somebody else has made.
    fn pass(&mut self, part: &Batch) -> Result<Batch> {
        self.next += part.len() as u64;
        self.end = self.next * self.settings.grid.hop;
        self.samples.clear();
        let columns = part.rows().columns().to_vec();
        let rows = rows_of(Arc::clone(&self.settings.output), columns, part.len())?;
        Ok(Batch::new(rows).with_charge(part.charge().cloned()))
    }
}

impl Stage for Joining {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        self.waiting.push_back(batch);
        self.more(out)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        for _ in 0..SLICES_PER_CALL {
            match self.slice()? {
                Some(rows) => out.send(0, rows),
                None => return Ok(Flow::Ready),
            }
            if out.full() {
                break;
            }
        }
        Ok(Flow::More)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        // Workers that the rows are not gathered on have nothing to tell.
        if self.end == 0 {
            return Ok(());
        }
        into.value(NEXT, Value::from(vec![self.next, self.end]));
        if !self.samples.is_empty() {
            let field = Field::new("sample", DataType::Float64, false);
            let column: ArrayRef = Arc::new(Float64Array::from(self.samples.clone()));
            let rows = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column])?;
            into.rows(SAMPLES, Batch::new(rows));
        }
        Ok(())
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let numbers = from.values(NEXT)?;
        let Some(numbers) = numbers.first().and_then(Value::as_array) else {
            return Ok(());
        };
        let number = |at: usize| numbers.get(at).and_then(Value::as_u64).unwrap_or(0);
        (self.next, self.end) = (number(0), number(1));
        let samples = &mut self.samples;
        from.rows(SAMPLES, Share::Dealt, &mut |batch| {
            let column = batch.rows().column(0).as_primitive::<Float64Type>();
            samples.extend_from_slice(column.values());
            Ok(())
        })
    }

    fn bytes(&self) -> usize {
        self.samples.capacity() * 8
    }
}

/// The names under which is saved which segment is next, and the samples that have come of it.
const NEXT: &str = "next";
const SAMPLES: &str = "samples";
