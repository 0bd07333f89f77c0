//! `rate`: how fast a value changed since the row of the same key before.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use dataflow_core::component::TransformConfig;
use dataflow_core::transform::Input;
use dataflow_core::units::Duration;
use dataflow_core::words::type_word;
use dataflow_core::{Check, Configured, Info, Located, Result, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Checked, Function, LATE_PORT, Line, lines};
use crate::columns::plain_type;
use crate::config::{By, Lines, Texts, only_input};
use crate::per_key::PerKey;

/// How fast values change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    /// The keys: a list of columns, or a table of names and expressions. Default: none; all rows are of one key.
    #[serde(default)]
    by: By,
    /// The time that changes are given for: `"1h"` makes `km/h` of kilometres. Default `"1s"`.
    #[serde(default = "second")]
    per: Located<Duration>,
    /// Whether values only ever count up: a value that is less than the one before has then been reset, and counts from 0.
    /// Default false: values may fall, and their rate is negative.
    #[serde(default)]
    counter: bool,
    /// Columns of numbers; the rate of `x` is called `rate_x`.
    #[serde(default)]
    columns: Texts,
    /// The same with names, of columns or expressions: `compute.watts = "joules"`.
    #[serde(default)]
    compute: Lines,
}

fn second() -> Located<Duration> {
    Located::nowhere(Duration::from_nanoseconds(1_000_000_000))
}

impl Configured for Rate {
    const INFO: Info = Info {
        name: "rate",
        summary: "Adds how fast values have changed since the row of the same key before",
        manual: "Each row gets columns with (value - value before) / (time - time before), for the time `per`, where before is the row \
            of its key before in the order of event time. They are floats of 64 bits; the difference of whole numbers is exact before \
            it becomes one. Null for the first row of a key, where one of the two values is null, and where both rows happened at \
            one instant: there is no rate over no time. Such a row is still the row before the next.\n\n\
            With `counter`, a value that is less than the one before is a counter that began anew: the change is then the value \
            itself. A row for which an expression fails is a bad row.\n\n\
            Rows leave in the order of their time, those of one instant by key and then as they stood in their source; a row before \
            is the one before in this order. The input needs event time. Rows that are older than their source's `lateness` allows \
            leave on `late`.\n\n\
            Rows wait until the watermark has passed them; what does not fit into memory goes to disk. The memory besides is that of \
            the values of one row for each key, for all keys that ever came; where that is far over the budget, the run stops and \
            says so. The cost per row is that of finding its key, copying the values and dividing.",
        example: "by = [\"device\"]\nper = \"1m\"\ncompute.heating = \"temperature\"\n",
        ports: &[LATE_PORT],
        also_called: &["derivative", "slope", "per_second", "irate", "speed"],
    };
}

impl TransformConfig for Rate {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let keys = PerKey::keys("`rate`", &self.by, input, check);
        let per = self.per.value.nanoseconds();
        if per <= 0 {
            let message = format!("there is no rate per `{}`", self.per.value);
            let help = "write a time that is longer than nothing, such as `per = \"1s\"`";
            check.error_at(&self.per, message, Some(help.into()));
        }
        let lines = lines(&self.columns, &self.compute, "rate", &input.schema, check)?;
        let lines: Vec<Option<Line>> = lines.into_iter().map(|line| number(line, check)).collect();
        let lines = lines.into_iter().collect::<Option<Vec<Line>>>();
        let (keys, lines) = (keys?, lines?);
        if per <= 0 {
            return None;
        }
        let speed = Speed {
            per: per as f64,
            counter: self.counter,
        };
        let types = vec![DataType::Float64; lines.len()];
        let function = Function::Speed(speed);
        Some(Arc::new(Checked::new(
            input, keys, lines, types, 1, function,
        )))
    }
}

/// The value as a whole number of 64 bits, or a float.
fn number(mut line: Line, check: &mut Check<'_>) -> Option<Line> {
    let of = plain_type(line.value.data_type());
    let cast = match &of {
        whole if whole.is_integer() => Some(DataType::Int64),
        number if number.is_numeric() => Some(DataType::Float64),
        _ => None,
    };
    let cast = cast.and_then(|of| match line.value.data_type() == &of {
        true => Some(line.value.clone()),
        false => line.value.cast_to(&of).ok(),
    });
    let Some(cast) = cast else {
        let message = format!(
            "`rate` needs numbers, and `{}` is {}",
            line.text.value,
            type_word(&of)
        );
        let help = "cast it: `compute.name = \"cast(x as double)\"`";
        check.error_at(&line.text, message, Some(help.into()));
        return None;
    };
    line.value = cast;
    Some(line)
}

/// How rates are made.
pub(super) struct Speed {
    per: f64,
    counter: bool,
}

impl Speed {
    /// The rates, given how long it took, in nanoseconds.
    pub(super) fn of(&self, now: &ArrayRef, before: &ArrayRef, took: &[u64]) -> Result<ArrayRef> {
        let changes: Vec<f64> = match now.data_type() {
            DataType::Int64 => {
                let now = now.as_primitive::<Int64Type>().values();
                let before = before.as_primitive::<Int64Type>().values();
                let change = |(now, before): (&i64, &i64)| match self.counter && now < before {
                    true => *now as f64,
                    false => (i128::from(*now) - i128::from(*before)) as f64,
                };
                now.iter().zip(before).map(change).collect()
            }
            _ => {
                let now = now.as_primitive::<Float64Type>().values();
                let before = before.as_primitive::<Float64Type>().values();
                let change = |(now, before): (&f64, &f64)| match self.counter && now < before {
                    true => *now,
                    false => now - before,
                };
                now.iter().zip(before).map(change).collect()
            }
        };
        let rates = changes
            .iter()
            .zip(took)
            .map(|(change, took)| change / (*took as f64 / self.per));
        let passed = NullBuffer::new(BooleanBuffer::from_iter(took.iter().map(|took| *took > 0)));
        let valid = NullBuffer::union(now.nulls(), before.nulls());
        let valid = NullBuffer::union(valid.as_ref(), Some(&passed));
        Ok(Arc::new(Float64Array::new(rates.collect(), valid)))
    }
}
