//! What is kept of rows, for a snapshot: numbers in columns, and a small value beside them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::{Batch, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The names of what is saved: facts, and rows of numbers.
const FACTS: &str = "facts";
const NUMBERS: &str = "numbers";

/// So many rows at once, so that no batch is large.
const ROWS_AT_ONCE: usize = 8_192;

/// Facts and rows of numbers, all rows of one length. NaN stays NaN.
pub fn save<const N: usize>(
    facts: &impl Serialize,
    rows: impl Iterator<Item = [f64; N]>,
    into: &mut dyn Save,
) -> Result<()> {
    into.value(FACTS, serde_json::to_value(facts).map_err(unreadable)?);
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        let mut columns: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
        for row in rows.by_ref().take(ROWS_AT_ONCE) {
            let both = columns.iter_mut().zip(row);
            both.for_each(|(column, value)| column.push(value));
        }
        let columns = columns.map(|column| Arc::new(Float64Array::from(column)) as ArrayRef);
        let fields = (0..N).map(|i| Field::new(format!("n{i}"), DataType::Float64, false));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let rows = RecordBatch::try_new(schema, columns.to_vec())?;
        into.rows(NUMBERS, Batch::new(rows));
    }
    Ok(())
}

/// The facts that were saved, if there are any; `each` is given the rows.
pub fn restore<T: DeserializeOwned, const N: usize>(
    from: &Restored<'_>,
    mut each: impl FnMut([f64; N]) -> Result<()>,
) -> Result<Option<T>> {
    let Some(facts) = from.values(FACTS)?.pop() else {
        return Ok(None);
    };
    from.rows(NUMBERS, Share::Dealt, &mut |batch| {
        let rows = batch.rows();
        if rows.num_columns() != N {
            return Err(Error::data("what was saved of a picture has other columns"));
        }
        let columns: [_; N] = std::array::from_fn(|i| rows.column(i).as_primitive::<Float64Type>());
        (0..rows.num_rows()).try_for_each(|row| each(columns.map(|column| column.value(row))))
    })?;
    serde_json::from_value(facts).map(Some).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::data(format!("what was saved of a picture is none: {error}"))
}
