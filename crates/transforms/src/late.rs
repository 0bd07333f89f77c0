//! Rows that come too late to be put in order: they leave on a port of their own, with what is to be said of them.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, TimestampNanosecondArray};
use dataflow_core::stage::BadRow;
use dataflow_core::time::{END, Instant};
use dataflow_core::{Batch, Error, Output, Result, Times};
use dataflow_expressions::row_json;

/// Takes the rows out that are older than their horizon, or than what has left already, and sends them to `port`.
pub(crate) fn in_time(
    batch: Batch,
    sealed: Instant,
    port: usize,
    out: &mut dyn Output,
) -> Result<Batch> {
    let Some(times) = batch.times().cloned() else {
        return Err(Error::internal(
            "rows came without event time to where they are put in its order",
        ));
    };
    let least = times.at().iter().copied().min().unwrap_or(END);
    if times.horizons().is_none() && least >= sealed {
        return Ok(batch);
    }
    let row = |row: usize| times.at()[row] >= times.horizon(row).max(sealed);
    let kept: BooleanArray = (0..batch.len()).map(|i| Some(row(i))).collect();
    let late = kept.false_count();
    if late == 0 {
        return Ok(batch);
    }
    out.late(port, late, &mut || {
        let late = (0..batch.len()).filter(|i| !kept.value(*i));
        late.map(|row| describe(&batch, &times, row)).collect()
    })?;
    batch.filter(&kept)
}

fn describe(batch: &Batch, times: &Times, row: usize) -> BadRow {
    let (time, horizon) = (times.at()[row], times.horizon(row));
    let (reason, message) = match time < horizon {
        true => (
            "late",
            format!(
                "it happened at {}, and rows were taken in from {} on",
                text(time),
                text(horizon)
            ),
        ),
        false => (
            "sealed",
            format!(
                "it happened at {}, and what happened before later rows had left already",
                text(time)
            ),
        ),
    };
    BadRow {
        place: batch.places().get(row),
        index: Some(row),
        reason,
        message,
        data: row_json(batch.rows(), row),
        time: Some(time),
    }
}

/// An instant as people read it.
pub(crate) fn text(time: Instant) -> String {
    let column: ArrayRef =
        Arc::new(TimestampNanosecondArray::from(vec![time]).with_timezone("UTC"));
    arrow_cast::display::array_value_to_string(&column, 0).unwrap_or_else(|_| time.to_string())
}
