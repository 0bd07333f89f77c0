//! What transforms have in common that look at the samples of signals in order: columns are signals, and keys tell several apart whose
//! samples are rows of one stream.
//!
//! All rows go to one worker, in the order of the stream (`running`), and keep it. What is remembered of a signal is a
//! [`Memory`](dataflow_signal::Memory): numbers that another run goes on with, on any number of workers.

mod band;
mod decimate;
mod detrend;
mod filtering;
mod find;
mod finding;
mod fir;
mod iir;
mod moving_average;
mod running;
mod searches;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use dataflow_core::batch::rows_of;
use dataflow_core::transform::{Columns, Input};
use dataflow_core::words::type_word;
use dataflow_core::{Check, Located, Problem, Result, Sampling};
use dataflow_signal::memory::has_gap;

use crate::columns::{KeyColumn, column, in_type, plain_type};
use crate::config::{By, Texts, column_index};

pub(crate) use decimate::Decimate;
pub(crate) use detrend::Detrend;
pub(crate) use find::Find;
pub(crate) use fir::Fir;
pub(crate) use iir::Iir;
pub(crate) use moving_average::MovingAverage;

/// What columns have to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Numbers,
    Conditions,
}

/// Columns that are signals, and the keys of which each value is a signal of its own.
#[derive(Clone)]
struct Signals {
    names: Vec<String>,
    keys: Vec<KeyColumn>,
}

impl Signals {
    /// Checks columns and keys. `what` is the transform, for messages.
    fn check(
        what: &str,
        (columns, by, kind): (&Texts, &By, Kind),
        input: &Input,
        check: &mut Check<'_>,
    ) -> Option<Self> {
        let keys = KeyColumn::all(by, &input.schema, check);
        if columns.0.is_empty() {
            check.error(format!(
                "{what} has no signal: say `columns = [...]`, a column for each"
            ));
            return None;
        }
        let mut names: Vec<String> = Vec::new();
        let mut fine = true;
        for name in &columns.0 {
            fine &= is_signal(what, name, kind, &input.schema, check);
            if names.contains(&name.value) {
                let message = format!("`{}` is named twice", name.value);
                check.error_at(name, message, Some("name each column once".into()));
                fine = false;
            }
            names.push(name.value.clone());
        }
        let keys = keys?;
        fine.then_some(Self { names, keys })
    }

    /// The types of the keys.
    fn types(&self) -> Vec<DataType> {
        let types = self.keys.iter().map(|key| key.field().data_type().clone());
        types.collect()
    }

    /// The columns that are needed where `wanted` are in use, of which `added` are made here.
    fn needs(&self, wanted: &[Columns], added: &[String]) -> Columns {
        let keys = self.keys.iter().flat_map(KeyColumn::columns);
        let read = Columns::named(keys.chain(self.names.iter().cloned()));
        wanted.iter().fold(read, |needed, port| match port {
            Columns::All => Columns::All,
            Columns::Some(names) => {
                let came = names.iter().filter(|name| !added.contains(name));
                needed.and(&Columns::named(came.cloned()))
            }
        })
    }

    /// The samples of each signal, NaN where there is no number.
    fn samples(&self, rows: &RecordBatch) -> Result<Vec<Vec<f64>>> {
        let each = self.names.iter().map(|name| numbers(&column(rows, name)?));
        each.collect()
    }

    /// For `explain`.
    fn explain(&self) -> String {
        let names = self.names.join(", ");
        if self.keys.is_empty() {
            return format!("{names}, all rows in order");
        }
        let keys: Vec<&str> = self
            .keys
            .iter()
            .map(|key| key.field().name().as_str())
            .collect();
        format!("{names}, for each {} by itself", keys.join(", "))
    }
}

fn is_signal(
    what: &str,
    name: &Located<String>,
    kind: Kind,
    schema: &SchemaRef,
    check: &mut Check<'_>,
) -> bool {
    let Some(at) = column_index(name, schema, check) else {
        return false;
    };
    let of = plain_type(schema.field(at).data_type());
    let (fits, wanted, help) = match kind {
        Kind::Numbers => (
            of.is_numeric(),
            "numbers",
            "make a number of it before, with `select`: `compute.x = \"cast(x as double)\"`",
        ),
        Kind::Conditions => (
            of == DataType::Boolean,
            "conditions",
            "compute one before, with `select`: `compute.high = \"voltage > 3\"`",
        ),
    };
    if !fits {
        let message = format!(
            "{what} needs {wanted}, and `{}` is {}",
            name.value,
            type_word(&of)
        );
        check.error_at(name, message, Some(help.into()));
    }
    fits
}

/// A column as numbers, NaN where there is none: null, NaN, infinite. Of a condition, true is 1.
fn numbers(array: &ArrayRef) -> Result<Vec<f64>> {
    let array = in_type(array, &DataType::Float64)?;
    let array = array.as_primitive::<Float64Type>();
    let number = |x: &f64| if x.is_finite() { *x } else { f64::NAN };
    let mut numbers: Vec<f64> = array.values().iter().map(number).collect();
    if array.null_count() > 0 {
        let missing = numbers.iter_mut().enumerate();
        let missing = missing.filter(|(row, _)| array.is_null(*row));
        missing.for_each(|(_, x)| *x = f64::NAN);
    }
    Ok(numbers)
}

/// A column of values, null where there is none.
fn values(numbers: Vec<f64>) -> ArrayRef {
    if !has_gap(&numbers) {
        return Arc::new(Float64Array::from(numbers));
    }
    let some = numbers.into_iter().map(|x| (!x.is_nan()).then_some(x));
    Arc::new(some.collect::<Float64Array>())
}

/// Where the values go that are made of signals.
#[derive(Clone)]
struct Made {
    /// The columns' names, in the order of the signals.
    names: Vec<String>,
    /// Whether they are behind the others; else they are in the place of the signals.
    added: bool,
    schema: SchemaRef,
}

impl Made {
    fn check(
        signals: &Signals,
        prefix: Option<&Located<String>>,
        input: &Input,
        check: &mut Check<'_>,
    ) -> Option<Self> {
        let of = |name: &String| match prefix {
            Some(prefix) => format!("{}_{name}", prefix.value),
            None => name.clone(),
        };
        let names: Vec<String> = signals.names.iter().map(of).collect();
        if let Some(prefix) = prefix {
            let taken = names
                .iter()
                .find(|name| input.schema.index_of(name).is_ok());
            if let Some(name) = taken {
                let message = format!("there is a column `{name}` already");
                check.error_at(prefix, message, Some("choose another `prefix`".into()));
                return None;
            }
        }
        let mut made = Self {
            names,
            added: prefix.is_some(),
            schema: Arc::clone(&input.schema),
        };
        made.schema = made.fields(&input.schema);
        Some(made)
    }

    /// The columns of rows that had these.
    fn fields(&self, schema: &Schema) -> SchemaRef {
        let made = |name: &String| Arc::new(Field::new(name, DataType::Float64, true));
        let mut fields: Vec<FieldRef> = schema.fields().to_vec();
        if self.added {
            fields.extend(self.names.iter().map(made));
        } else {
            let replaced = fields.iter_mut().filter(|f| self.names.contains(f.name()));
            replaced.for_each(|field| *field = made(field.name()));
        }
        Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    }

    /// The rows with values that were made of them.
    fn rows(&self, rows: &RecordBatch, made: Vec<ArrayRef>) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        if self.added {
            columns.extend(made);
        } else {
            for (name, made) in self.names.iter().zip(made) {
                let at = rows.schema_ref().index_of(name)?;
                columns[at] = made;
            }
        }
        rows_of(self.fields(rows.schema_ref()), columns, rows.num_rows())
    }

    /// The columns that the input need not have.
    fn new_names(&self) -> &[String] {
        if self.added { &self.names } else { &[] }
    }
}

/// How the signals are sampled: as `rate` says, else as the rows are. `why` tells what the rate is needed for; without it, it is not.
fn sampling(
    rate: Option<&Located<f64>>,
    input: &Input,
    why: Option<&str>,
    check: &mut Check<'_>,
) -> Option<Option<Sampling>> {
    let known = input.sampled.known();
    if let Some(rate) = rate {
        if !(rate.value.is_finite() && rate.value > 0.0) {
            let message = "a signal has a positive number of samples per second";
            check.error_at(
                rate,
                message,
                Some("write for instance `rate = 1e6`".into()),
            );
            return None;
        }
        let start = known.map_or(0.0, |known| known.start);
        return Some(Some(Sampling::of(rate.value).from(start)));
    }
    if let (None, Some(why)) = (known, why) {
        let (reason, help) = input.sampled.missing();
        // The same advice is given for calls, which write it in another way.
        let help = help.replace("in the call", "here").replace("=>", "=");
        let problem = Problem::error(format!("{why}: {reason}"), check.span);
        check.problems.push(problem.help(help));
        return None;
    }
    Some(known)
}

/// A number of samples, from `least` on.
fn count(written: &Located<u64>, (least, what): (u64, &str), check: &mut Check<'_>) -> Option<u64> {
    if written.value >= least && written.value <= MOST {
        return Some(written.value);
    }
    let message = format!("{} samples make no {what}", written.value);
    let help = format!("write a number from {least} to {MOST}");
    check.error_at(written, message, Some(help));
    None
}

/// More samples than this are not held.
const MOST: u64 = 1 << 28;
