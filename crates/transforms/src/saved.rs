//! What stages save of keys: rows whose first columns are the keys, by which they find their owner on any number of workers.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, Schema};
use dataflow_core::batch::rows_of;
use dataflow_core::saved::Restored;
use dataflow_core::{Batch, Error, Result};
use serde_json::Value;

use crate::aggregate::Hashing;

/// How many keys are written down at once. Tests have few.
pub(crate) const PIECE: usize = if cfg!(test) { 8 } else { 16_384 };

/// Rows whose first columns are keys. Columns are told apart by where they are.
pub(crate) fn keyed(keys: Vec<ArrayRef>, columns: Vec<ArrayRef>, rows: usize) -> Result<Batch> {
    let columns: Vec<ArrayRef> = keys.into_iter().chain(columns).collect();
    let field = |(at, column): (usize, &ArrayRef)| {
        Field::new(at.to_string(), column.data_type().clone(), true)
    };
    let fields: Vec<Field> = columns.iter().enumerate().map(field).collect();
    let rows = rows_of(Arc::new(Schema::new(fields)), columns, rows)?;
    Ok(Batch::new(rows))
}

/// The hash by which rows find the owner of their key, whose columns come first.
pub(crate) fn owners(types: &[DataType]) -> impl Fn(&Batch) -> Result<Vec<u64>> + '_ {
    |batch| hashes(types, &batch.rows().columns()[..types.len()], batch.len())
}

/// The hashes of keys, the same as those that route rows. Where there are no keys, all rows are of one.
pub(crate) fn hashes(types: &[DataType], keys: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    match types.is_empty() {
        true => Ok(vec![0; rows]),
        false => Hashing::new(types)?.of(keys),
    }
}

/// The largest of the numbers that the earlier workers saved under a name.
pub(crate) fn largest(from: &Restored<'_>, name: &str) -> Result<Option<i64>> {
    Ok(numbers(from, name)?.into_iter().max())
}

/// The sum of the numbers that the earlier workers saved for which this one stands in.
pub(crate) fn dealt_sum(from: &Restored<'_>, name: &str) -> Result<u64> {
    let dealt = from.dealt_values(name)?;
    let numbers = dealt.iter().filter_map(Value::as_u64);
    Ok(numbers.fold(0, u64::saturating_add))
}

/// The least of the numbers that the earlier workers saved under a name.
pub(crate) fn least(from: &Restored<'_>, name: &str) -> Result<Option<i64>> {
    Ok(numbers(from, name)?.into_iter().min())
}

fn numbers(from: &Restored<'_>, name: &str) -> Result<Vec<i64>> {
    let number = |value: Value| {
        let number = value.as_i64();
        number
            .ok_or_else(|| Error::data(format!("what was saved as `{name}` is no number: {value}")))
    };
    from.values(name)?.into_iter().map(number).collect()
}
