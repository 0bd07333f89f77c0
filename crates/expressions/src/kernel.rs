//! One operator or function over columns, evaluated for all rows at once, and row by row only where it fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Decimal128Array, RecordBatch, RecordBatchOptions, new_empty_array,
    new_null_array,
};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use datafusion_common::{DataFusionError, ScalarValue};
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;

use crate::Failure;

/// A function over columns `0..n`; constants are built into it.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub function: Arc<dyn PhysicalExpr>,
    /// The columns' types.
    pub schema: SchemaRef,
    pub output: DataType,
    /// A cast: whatever goes wrong is called so.
    pub cast: bool,
    /// For a cast of text: the same with nulls where it fails, which finds many bad rows at once.
    pub lenient: Option<Arc<dyn PhysicalExpr>>,
    /// The part of the expression's text, for messages.
    pub text: String,
}

impl Kernel {
    /// The values for all rows.
    pub fn evaluate(
        &self,
        columns: Vec<ArrayRef>,
        length: usize,
        failed: &mut Vec<Failure>,
    ) -> ColumnarValue {
        if length == 0 {
            return ColumnarValue::Array(new_empty_array(&self.output));
        }
        let batch = match self.batch(columns, length) {
            Ok(batch) => batch,
            Err(error) => {
                // The planner gave the types, so only a source that breaks its own promise ends here.
                let failure = self.explain(&error.into());
                failed.extend((0..length).map(|row| failure.at(row)));
                return ColumnarValue::Array(new_null_array(&self.output, length));
            }
        };
        match self.run(&batch) {
            Ok(value) => value,
            Err(error) if length == 1 => {
                failed.push(self.explain(&error).at(0));
                ColumnarValue::Array(new_null_array(&self.output, 1))
            }
            Err(_) => {
                let found = self.evaluate_leniently(&batch, failed);
                let found = found.unwrap_or_else(|| self.evaluate_by_halves(&batch, failed));
                ColumnarValue::Array(found)
            }
        }
    }

    /// The value of a function of constants.
    pub fn constant(&self) -> Result<ScalarValue, String> {
        let value = self
            .batch(Vec::new(), 1)
            .map_err(DataFusionError::from)
            .and_then(|batch| self.run(&batch))
            .and_then(|value| match value {
                ColumnarValue::Scalar(scalar) => Ok(scalar),
                ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0),
            });
        value.map_err(|error| self.explain(&error).message)
    }

    fn batch(&self, columns: Vec<ArrayRef>, length: usize) -> Result<RecordBatch, ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(length));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }

    fn run(&self, batch: &RecordBatch) -> Result<ColumnarValue, DataFusionError> {
        // What a function of others panics on is a failed row like any other.
        let evaluated = catch_unwind(AssertUnwindSafe(|| self.function.evaluate(batch)));
        let value = match evaluated {
            Ok(value) => value?,
            Err(_) => return datafusion_common::exec_err!("it cannot handle this value"),
        };
        if let (ColumnarValue::Array(array), DataType::Decimal128(precision, _)) =
            (&value, &self.output)
            && let Some(array) = array.as_any().downcast_ref::<Decimal128Array>()
        {
            // Arrow checks that the 128 bits suffice, not that the digits do.
            array
                .validate_decimal_precision(*precision)
                .map_err(|error| ArrowError::ArithmeticOverflow(error.to_string()))?;
        }
        Ok(value)
    }

    fn evaluate_leniently(
        &self,
        batch: &RecordBatch,
        failed: &mut Vec<Failure>,
    ) -> Option<ArrayRef> {
        let value = self.lenient.as_ref()?.evaluate(batch).ok()?;
        let value = value.into_array(batch.num_rows()).ok()?;
        let input = batch.columns().first()?;
        let lost = (0..value.len()).filter(|&row| value.is_null(row) && input.is_valid(row));
        for row in lost {
            if let Err(error) = self.run(&batch.slice(row, 1)) {
                failed.push(self.explain(&error).at(row));
            }
        }
        Some(value)
    }

    fn evaluate_by_halves(&self, batch: &RecordBatch, failed: &mut Vec<Failure>) -> ArrayRef {
        let mut pieces = Vec::new();
        let half = batch.num_rows() / 2;
        self.halve(&batch.slice(0, half), 0, &mut pieces, failed);
        let rest = batch.slice(half, batch.num_rows() - half);
        self.halve(&rest, half, &mut pieces, failed);
        let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
        arrow_select::concat::concat(&pieces)
            .unwrap_or_else(|_| new_null_array(&self.output, batch.num_rows()))
    }

    fn halve(
        &self,
        batch: &RecordBatch,
        first: usize,
        pieces: &mut Vec<ArrayRef>,
        failed: &mut Vec<Failure>,
    ) {
        let rows = batch.num_rows();
        let value = self.run(batch).and_then(|value| value.into_array(rows));
        match value {
            Ok(array) => pieces.push(array),
            Err(error) if rows <= 1 => {
                failed.push(self.explain(&error).at(first));
                pieces.push(new_null_array(&self.output, rows));
            }
            Err(_) => {
                let half = rows / 2;
                self.halve(&batch.slice(0, half), first, pieces, failed);
                let rest = batch.slice(half, rows - half);
                self.halve(&rest, first + half, pieces, failed);
            }
        }
    }

    fn explain(&self, error: &DataFusionError) -> Explained {
        let (reason, what) = classify(error);
        let reason = if self.cast { "cast" } else { reason };
        let what = match reason {
            "overflow" => format!("{what} does not fit into {}", self.output),
            _ => what,
        };
        Explained {
            reason,
            message: format!("`{}` failed: {what}", shortened(&self.text)),
        }
    }
}

struct Explained {
    reason: &'static str,
    message: String,
}

impl Explained {
    fn at(&self, row: usize) -> Failure {
        Failure {
            row: row as u32,
            reason: self.reason,
            message: self.message.clone(),
        }
    }
}

/// The reason that a failure is counted by, and the rest of the sentence.
fn classify(error: &DataFusionError) -> (&'static str, String) {
    match error.find_root() {
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::DivideByZero => ("division by zero", "division by zero".into()),
            ArrowError::ArithmeticOverflow(what) => {
                let what = what.trim_start_matches("Overflow happened on: ");
                ("overflow", what.to_string())
            }
            ArrowError::CastError(what) | ArrowError::ParseError(what) => ("cast", decapped(what)),
            ArrowError::ComputeError(what)
            | ArrowError::InvalidArgumentError(what)
            | ArrowError::SchemaError(what) => by_words(what),
            ArrowError::ExternalError(error) => by_words(&error.to_string()),
            other => by_words(&other.to_string()),
        },
        DataFusionError::Execution(what) | DataFusionError::Plan(what) => by_words(what),
        DataFusionError::External(error) => by_words(&error.to_string()),
        other => by_words(&other.strip_backtrace()),
    }
}

fn by_words(what: &str) -> (&'static str, String) {
    let what = plain(what);
    let lower = what.to_lowercase();
    if lower.contains("divide by zero") || lower.contains("division by zero") {
        ("division by zero", "division by zero".into())
    } else if lower.contains("overflow") {
        let what = what.trim_start_matches("overflow happened on ");
        ("overflow", what.to_string())
    } else {
        ("evaluation", what)
    }
}

/// The message of an error without the layers that it came through.
pub(crate) fn said(error: &DataFusionError) -> String {
    classify(error).1
}

fn plain(what: &str) -> String {
    if let Some(why) = of_pattern(what) {
        return why;
    }
    let mut what = what.split("\n\nbacktrace: ").next().unwrap_or(what).trim();
    for layer in [
        "Error during planning: ",
        "Execution error: ",
        "External error: ",
        "Arrow error: ",
        "Compute error: ",
        "Cast error: ",
        "Parser error: ",
    ] {
        what = what.strip_prefix(layer).unwrap_or(what);
    }
    decapped(what.lines().next().unwrap_or(what))
}

/// Why a regular expression cannot be read, without the drawing that its parser makes of it.
fn of_pattern(what: &str) -> Option<String> {
    let (_, drawing) = what.split_once("regex parse error:")?;
    let drawing = drawing.replace("\\n", "\n");
    let mut lines = drawing.lines().map(str::trim);
    let why = lines.find_map(|line| line.strip_prefix("error: "))?;
    Some(format!("the regular expression cannot be read: {why}"))
}

fn decapped(what: &str) -> String {
    let mut letters = what.trim().trim_end_matches('.').chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => what.trim().to_string(),
    }
}

fn shortened(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}
