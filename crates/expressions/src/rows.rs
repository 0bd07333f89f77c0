//! Rows that failed, taken out of a batch, and a row as one line of JSON.

use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Fields};
use dataflow_core::stage::BadRow;
use dataflow_core::{BadRows, Batch, Result};
use serde_json::{Number, Value};

use crate::Failure;
use crate::functions::quoted;

/// Splits a batch: the rows that did not fail, a report of those that did, and the numbers of the kept rows.
///
/// Where none failed, the batch comes back as it is and the numbers are none.
///
/// # Errors
/// When Arrow cannot take the rows out.
pub fn reject_failed(
    batch: &Batch,
    failed: &[Failure],
) -> Result<(Batch, BadRows, Option<UInt32Array>)> {
    if failed.is_empty() {
        return Ok((batch.clone(), Vec::new(), None));
    }
    let bad = failed.iter().map(|failure| BadRow {
        time: None,
        place: batch.places().get(failure.row as usize),
        index: Some(failure.row as usize),
        reason: failure.reason,
        message: failure.message.clone(),
        data: row_json(batch.rows(), failure.row as usize),
    });
    let bad = bad.collect();
    let out: BTreeSet<u32> = failed.iter().map(|failure| failure.row).collect();
    let kept: Vec<u32> = (0..batch.len() as u32)
        .filter(|row| !out.contains(row))
        .collect();
    let kept = UInt32Array::from(kept);
    Ok((batch.take(&kept)?, bad, Some(kept)))
}

/// As [`reject_failed`], for failures in any order; a row that failed more than once is reported once, for its first reason.
///
/// # Errors
/// When Arrow cannot take the rows out.
pub fn reject_once(
    batch: &Batch,
    mut failed: Vec<Failure>,
) -> Result<(Batch, BadRows, Option<UInt32Array>)> {
    failed.sort_by_key(|failure| failure.row);
    failed.dedup_by_key(|failure| failure.row);
    reject_failed(batch, &failed)
}

/// A row as one line of JSON: columns in their order, shortest numbers, times as ISO 8601, bytes as hexadecimal digits.
///
/// NaN and the infinities, which JSON does not know, are texts.
pub fn row_json(rows: &RecordBatch, row: usize) -> String {
    let mut out = String::new();
    object(rows.schema_ref().fields(), rows.columns(), row, &mut out);
    out
}

fn object(fields: &Fields, columns: &[arrow_array::ArrayRef], row: usize, out: &mut String) {
    out.push('{');
    for (i, (field, column)) in fields.iter().zip(columns).enumerate() {
        if i > 0 {
            out.push(',');
        }
        quoted(field.name(), out);
        out.push(':');
        write(column.as_ref(), row, out);
    }
    out.push('}');
}

fn write(column: &dyn Array, row: usize, out: &mut String) {
    if column.is_null(row) || column.data_type().is_null() {
        return out.push_str("null");
    }
    match column.data_type() {
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row), out),
        DataType::Float32 => {
            let x = column.as_primitive::<Float32Type>().value(row);
            // The shortest digits of the 32 bits, not those of the same number in 64.
            float(x.to_string().parse().unwrap_or(f64::from(x)), out);
        }
        DataType::Float16 => float(
            column.as_primitive::<Float16Type>().value(row).to_f64(),
            out,
        ),
        DataType::Struct(fields) => object(fields, column.as_struct().columns(), row, out),
        DataType::List(_) => items(column.as_list::<i32>().value(row).as_ref(), out),
        DataType::LargeList(_) => items(column.as_list::<i64>().value(row).as_ref(), out),
        DataType::FixedSizeList(_, _) => {
            items(column.as_fixed_size_list().value(row).as_ref(), out)
        }
        DataType::Map(_, _) => map(column, row, out),
        DataType::Dictionary(_, _) => {
            let dictionary = column.as_any_dictionary();
            let key = dictionary.normalized_keys()[row];
            write(dictionary.values().as_ref(), key, out);
        }
        data_type => {
            let text = displayed(column, row);
            let bare = data_type.is_integer()
                || matches!(
                    data_type,
                    DataType::Boolean | DataType::Decimal128(_, _) | DataType::Decimal256(_, _)
                );
            match bare {
                true => out.push_str(&text),
                false => quoted(&text, out),
            }
        }
    }
}

fn float(x: f64, out: &mut String) {
    match Number::from_f64(x) {
        Some(number) => out.push_str(&number.to_string()),
        None => quoted(&x.to_string(), out),
    }
}

fn items(values: &dyn Array, out: &mut String) {
    out.push('[');
    for i in 0..values.len() {
        if i > 0 {
            out.push(',');
        }
        write(values, i, out);
    }
    out.push(']');
}

fn map(column: &dyn Array, row: usize, out: &mut String) {
    let entries = column.as_map().value(row);
    let (keys, values) = (entries.column(0), entries.column(1));
    out.push('{');
    for i in 0..entries.len() {
        if i > 0 {
            out.push(',');
        }
        quoted(&displayed(keys.as_ref(), i), out);
        out.push(':');
        write(values.as_ref(), i, out);
    }
    out.push('}');
}

fn displayed(column: &dyn Array, row: usize) -> String {
    let options = FormatOptions::new();
    match ArrayFormatter::try_new(column, &options) {
        Ok(formatter) => formatter
            .value(row)
            .try_to_string()
            .unwrap_or_else(|error| error.to_string()),
        Err(_) => Value::Null.to_string(),
    }
}
