//! Before a join over event time: rows of one side that are too late leave, and so do those whose key cannot be compared; the others
//! go to the owners of their keys.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, TimestampNanosecondArray};
use arrow_buffer::NullBuffer;
use dataflow_core::stage::BadRow;
use dataflow_core::time::{BEGINNING, END, Instant};
use dataflow_core::{Batch, Error, Flow, Output, Result, Stage, StageContext, Times};
use dataflow_expressions::{reject_once, row_json};

use super::{LATE, Work};
use crate::aggregate::Hashing;
use crate::columns::{column, in_type, plain_type};
use crate::matching::lost;

/// The rows of one side.
pub(super) struct Keying {
    work: Arc<Work>,
    input: usize,
    /// None where nobody looks at hashes.
    hashing: Option<Hashing>,
    sealed: Instant,
}

impl Keying {
    pub(super) fn new(context: &StageContext, work: &Arc<Work>, input: usize) -> Result<Self> {
        let routed = context.workers > 1 && !work.types.is_empty();
        let hashing = routed.then(|| Hashing::new(&work.types)).transpose()?;
        Ok(Self {
            work: Arc::clone(work),
            input,
            hashing,
            sealed: BEGINNING,
        })
    }

    /// Takes out the rows that are older than their horizon.
    fn in_time(&self, batch: Batch, out: &mut dyn Output) -> Result<Batch> {
        let Some(times) = batch.times().cloned() else {
            return Err(Error::internal(
                "rows came without event time to a join that needs it",
            ));
        };
        let least = times.at().iter().copied().min().unwrap_or(END);
        if times.horizons().is_none() && least >= self.sealed {
            return Ok(batch);
        }
        let row = |row: usize| times.at()[row] >= times.horizon(row).max(self.sealed);
        let kept: BooleanArray = (0..batch.len()).map(|i| Some(row(i))).collect();
        let late = kept.false_count();
        if late == 0 {
            return Ok(batch);
        }
        out.late(LATE, late, &mut || {
            let late = (0..batch.len()).filter(|i| !kept.value(*i));
            late.map(|row| self.describe(&batch, &times, row)).collect()
        })?;
        batch.filter(&kept)
    }

    fn describe(&self, batch: &Batch, times: &Times, row: usize) -> BadRow {
        let (time, horizon) = (times.at()[row], times.horizon(row));
        let (reason, why) = match time < horizon {
            true => (
                "late",
                format!("rows were taken in from {} on", text(horizon)),
            ),
            false => (
                "sealed",
                "what happened before later rows had been joined already".into(),
            ),
        };
        let side = &self.work.sides[self.input];
        let whose = format!("{} {}", side.whose, side.name);
        BadRow {
            place: batch.places().get(row),
            index: Some(row),
            reason,
            message: format!("{whose}: it happened at {}, and {why}", text(time)),
            data: row_json(batch.rows(), row),
            time: Some(time),
        }
    }

    /// Takes out the rows whose key cannot be compared, and those that match nothing and leave nowhere.
    fn comparable(&self, batch: Batch, out: &mut dyn Output) -> Result<Batch> {
        let side = &self.work.sides[self.input];
        let mut failed = Vec::new();
        let mut nulls: Option<NullBuffer> = None;
        for (name, data_type) in side.keys.iter().zip(&self.work.types) {
            let values = column(batch.rows(), name)?;
            if plain_type(values.data_type()) != *data_type {
                let compared = in_type(&values, data_type)?;
                failed.extend(lost(name, &values, &compared));
            }
            nulls = NullBuffer::union(nulls.as_ref(), values.logical_nulls().as_ref());
        }
        let batch = match nulls.filter(|nulls| nulls.null_count() > 0 && !side.keeps) {
            Some(nulls) if failed.is_empty() => {
                batch.filter(&BooleanArray::new(nulls.into_inner(), None))?
            }
            Some(nulls) => {
                // Rows are taken out once, by their number in the batch as it came.
                let (kept, bad, rows) = reject_once(&batch, failed)?;
                out.bad(bad)?;
                let valid: BooleanArray = match rows {
                    Some(rows) => rows
                        .values()
                        .iter()
                        .map(|row| Some(nulls.is_valid(*row as usize)))
                        .collect(),
                    None => BooleanArray::new(nulls.into_inner(), None),
                };
                kept.filter(&valid)?
            }
            None if failed.is_empty() => batch,
            None => {
                let (kept, bad, _) = reject_once(&batch, failed)?;
                out.bad(bad)?;
                kept
            }
        };
        Ok(batch)
    }
}

impl Stage for Keying {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let batch = self.in_time(batch, out)?;
        let batch = self.comparable(batch, out)?;
        if batch.is_empty() {
            return Ok(Flow::Ready);
        }
        let side = &self.work.sides[self.input];
        let hash = match &mut self.hashing {
            Some(hashing) => {
                let keys = side.keys.iter().map(|name| column(batch.rows(), name));
                let keys = keys.collect::<Result<Vec<ArrayRef>>>()?;
                Some(hashing.of(&keys)?.into())
            }
            None => None,
        };
        let fields = side.schema.fields().iter();
        let schema = batch.rows().schema();
        let indices = fields.map(|field| schema.index_of(field.name()));
        let indices = indices.collect::<Result<Vec<usize>, _>>()?;
        let rows = batch.rows().project(&indices)?;
        let times = batch.times().map(|times| Times::new(times.at().clone()));
        let batch = batch
            .with_rows(rows)
            .with_times(times)
            .with_order(None)
            .with_hash(hash);
        out.send(0, batch);
        Ok(Flow::Ready)
    }

    fn on_watermark(&mut self, time: Instant, _: &mut dyn Output) -> Result<Flow> {
        self.sealed = time;
        Ok(Flow::Ready)
    }

    fn bytes(&self) -> usize {
        self.hashing.as_ref().map_or(0, Hashing::bytes)
    }
}

/// An instant as people read it.
fn text(time: Instant) -> String {
    let column: ArrayRef =
        Arc::new(TimestampNanosecondArray::from(vec![time]).with_timezone("UTC"));
    arrow_cast::display::array_value_to_string(&column, 0).unwrap_or_else(|_| time.to_string())
}
