//! `describe`: statistics of every column, a row each.

mod tally;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use dataflow_core::accumulator::{Accepted, Argument, Call};
use dataflow_core::component::{Build, Kind, TransformConfig};
use dataflow_core::transform::{Input, Port};
use dataflow_core::words::type_word;
use dataflow_core::{
    AccumulatorPlan, Batch, Check, Configured, Error, Info, Output, Places, Result, StagePlan,
    Transform, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tally::{Tally, without_nan};

use crate::calls::Calls;
use crate::columns::{in_type, plain_type};
use crate::config::only_input;
use crate::one_group::{self, Given, OneGroup};

/// Statistics of every column.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Describe {}

impl Configured for Describe {
    const INFO: Info = Info {
        name: "describe",
        summary: "Makes a row of statistics of each column",
        manual: "One row for each column of the input, in the input's order: `column`, `type`, `count` (values that are \
            not null), `nulls`, `nan`, and for numbers `min`, `q25`, `median`, `q75`, `max`, `mean` and `std` (of a \
            sample: divided by n - 1). NaN is counted in `nan` (and in `count`) and left out of the other numbers. Whole \
            numbers and decimals are shown as floats. Where the input has columns of text, dates, times or booleans, two \
            columns more, `least` and `greatest`, show their first and last value as text.\n\n\
            Sums are exact, so the numbers are the same for any number of workers. Quantiles are exact while a column \
            has few enough different values (see `quantile`), then within 0.1 %; the closing report says which. The \
            memory is that of these accumulators, a few megabytes a column at most. The cost is that of one pass over \
            all columns.",
        example: "",
        ports: &[],
        also_called: &["summary", "statistics", "stats", "profile"],
    };
}

/// The statistics of numbers: the column, the accumulator and its option.
const NUMBERS: [(&str, &str, Option<f64>); 7] = [
    ("min", "min", None),
    ("q25", "quantile", Some(0.25)),
    ("median", "quantile", Some(0.5)),
    ("q75", "quantile", Some(0.75)),
    ("max", "max", None),
    ("mean", "mean", None),
    ("std", "std", None),
];

/// The statistics of what has an order but is no number.
const EXTREMES: [(&str, &str); 2] = [("least", "min"), ("greatest", "max")];

/// What kind of values a column has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sort {
    Number,
    Ordered,
    Other,
}

fn sort(data_type: &DataType) -> Sort {
    use DataType::*;
    match plain_type(data_type) {
        plain if plain.is_numeric() => Sort::Number,
        Utf8 | LargeUtf8 | Utf8View | Boolean | Date32 | Date64 | Timestamp(..) | Time32(_)
        | Time64(_) => Sort::Ordered,
        _ => Sort::Other,
    }
}

/// A column: where its calls stand among all values of the stage.
struct Described {
    name: String,
    word: String,
    sort: Sort,
    /// The first of its calls: count, nulls and NaN come first, then the statistics of its sort.
    first: usize,
    /// The types that its inputs are wanted in, the first being its own.
    types: Vec<DataType>,
}

/// All columns.
struct Work {
    columns: Vec<Described>,
    calls: Arc<Calls>,
    output: SchemaRef,
}

impl TransformConfig for Describe {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let mut calls = Calls::default();
        let mut columns = Vec::new();
        let mut next = 0;
        for field in input.schema.fields() {
            let column = described(field, next, &mut calls, check)?;
            next += column.types.len();
            columns.push(column);
        }
        let output = output(columns.iter().any(|column| column.sort == Sort::Ordered));
        Some(Arc::new(Checked {
            port: [Port::main(Arc::clone(&output))],
            work: Arc::new(Work {
                columns,
                calls: Arc::new(calls),
                output,
            }),
        }))
    }
}

/// Adds the calls of a column whose inputs start at number `input`.
fn described(
    field: &FieldRef,
    input: usize,
    calls: &mut Calls,
    check: &mut Check<'_>,
) -> Option<Described> {
    let plain = plain_type(field.data_type());
    let mut column = Described {
        name: field.name().clone(),
        word: type_word(field.data_type()),
        sort: sort(field.data_type()),
        first: calls.len(),
        types: vec![plain.clone()],
    };
    for what in ["count", "nulls", "nan"] {
        let plan: Arc<dyn AccumulatorPlan> = Arc::new(Tally(what));
        calls.add(&plan, what, vec![input], None);
    }
    let statistics: Vec<(&str, Option<f64>)> = match column.sort {
        Sort::Number => NUMBERS
            .iter()
            .map(|(_, name, option)| (*name, *option))
            .collect(),
        Sort::Ordered => EXTREMES.iter().map(|(_, name)| (*name, None)).collect(),
        Sort::Other => Vec::new(),
    };
    for (name, option) in statistics {
        let accepted = looked_up(name, option, field.name(), &plain, check)?;
        let wanted = accepted
            .coerce
            .first()
            .cloned()
            .unwrap_or_else(|| plain.clone());
        // The first input is the column with its NaN, for counting; the others are without.
        let at = column
            .types
            .iter()
            .skip(1)
            .position(|known| *known == wanted);
        let at = at.unwrap_or_else(|| {
            column.types.push(wanted);
            column.types.len() - 2
        });
        let text = match option {
            Some(option) => format!("{name}({}, {option})", field.name()),
            None => format!("{name}({})", field.name()),
        };
        calls.add(&accepted.plan, &text, vec![input + 1 + at], None);
    }
    Some(column)
}

/// An accumulator of the catalog, for a column of this type.
fn looked_up(
    name: &str,
    option: Option<f64>,
    column: &str,
    data_type: &DataType,
    check: &mut Check<'_>,
) -> Option<Accepted> {
    let call = Call {
        arguments: vec![Arc::new(Field::new(column, data_type.clone(), true))],
        options: option
            .map(|value| Argument {
                name: String::new(),
                value: Value::Float(value),
                at: 0..0,
            })
            .into_iter()
            .collect(),
        ..Call::default()
    };
    let component = check
        .catalog
        .iter()
        .find(|c| c.kind() == Kind::Accumulator && c.info.name == name);
    let accepted = match component.map(|component| &component.build) {
        Some(Build::Accumulator(accept)) => accept(&call).map_err(|problem| problem.message),
        _ => Err(format!("there is no accumulator `{name}` in this program")),
    };
    accepted
        .map_err(|message| check.error(format!("`{column}` cannot be described: {message}")))
        .ok()
}

fn output(with_extremes: bool) -> SchemaRef {
    let mut fields = vec![
        Field::new("column", DataType::Utf8, false),
        Field::new("type", DataType::Utf8, false),
        Field::new("count", DataType::Int64, false),
        Field::new("nulls", DataType::Int64, false),
        Field::new("nan", DataType::Int64, false),
    ];
    fields.extend(
        NUMBERS
            .iter()
            .map(|(name, ..)| Field::new(*name, DataType::Float64, true)),
    );
    if with_extremes {
        fields.extend(
            EXTREMES
                .iter()
                .map(|(name, _)| Field::new(*name, DataType::Utf8, true)),
        );
    }
    Arc::new(Schema::new(fields))
}

struct Checked {
    work: Arc<Work>,
    port: [Port; 1],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn stages(&self) -> Vec<StagePlan> {
        one_group::stages(&self.work, "partial statistics", "statistics")
    }

    fn explain(&self) -> Vec<String> {
        vec![format!("statistics of {} columns", self.work.columns.len())]
    }
}

impl OneGroup for Work {
    fn calls(&self) -> &Arc<Calls> {
        &self.calls
    }

    fn read(&self, batch: &Batch, _: &mut dyn Output) -> Result<Given> {
        let mut inputs = Vec::new();
        for column in &self.columns {
            let found = batch.rows().column_by_name(&column.name);
            let found = found.ok_or_else(|| {
                Error::internal(format!("a batch came without `{}`", column.name))
            })?;
            let own = in_type(found, &column.types[0])?;
            let numbers = without_nan(&own)?;
            inputs.push(own);
            for wanted in &column.types[1..] {
                inputs.push(in_type(&numbers, wanted)?);
            }
        }
        Ok(Given {
            inputs,
            rows: batch.len(),
            places: Places::Unknown,
        })
    }

    fn finish(&self, values: Vec<ArrayRef>, _: &mut dyn Output) -> Result<Batch> {
        let names: StringArray = self.columns.iter().map(|c| Some(c.name.as_str())).collect();
        let words: StringArray = self.columns.iter().map(|c| Some(c.word.as_str())).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(names), Arc::new(words)];
        let statistic = |at: usize, of: Option<Sort>, data_type: &DataType| -> Result<ArrayRef> {
            let value = |column: &Described| match of.is_none_or(|sort| sort == column.sort) {
                true => in_type(&values[column.first + at], data_type),
                false => Ok(arrow_array::new_null_array(data_type, 1)),
            };
            let parts = self.columns.iter().map(value).collect::<Result<Vec<_>>>()?;
            let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
            if parts.is_empty() {
                return Ok(arrow_array::new_empty_array(data_type));
            }
            Ok(arrow_select::concat::concat(&parts)?)
        };
        for at in 0..3 {
            columns.push(statistic(at, None, &DataType::Int64)?);
        }
        for at in 0..NUMBERS.len() {
            columns.push(statistic(3 + at, Some(Sort::Number), &DataType::Float64)?);
        }
        if self.output.fields().len() > columns.len() {
            for at in 0..EXTREMES.len() {
                columns.push(statistic(3 + at, Some(Sort::Ordered), &DataType::Utf8)?);
            }
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.output), columns)?;
        let order = (0..self.columns.len() as u32).map(u32::to_be_bytes);
        Ok(Batch::new(rows).with_order(Some(BinaryArray::from_iter_values(order))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{build, drives, rows};

    #[test]
    fn every_column_has_its_row() {
        let input = rows("x:f64 n:i64\n1 5\n- 5\nnan 7\n3 -\n2 5");
        let describe = build::<Describe>("", &input);
        let expected = rows(
            "column type count:i64 nulls:i64 nan:i64 min:f64 q25:f64 median:f64 q75:f64 max:f64 mean:f64 std:f64\n\
             x float64 4 1 1 1 1.5 2 2.5 3 2 1\n\
             n int64 4 1 0 5 5 5 5.5 7 5.5 1",
        );
        for drive in drives() {
            let outcome = drive.run(describe.as_ref(), &input).expect("runs");
            assert_eq!(outcome.rows().columns(), expected.columns(), "{drive:?}");
            assert_eq!(outcome.rows().schema(), describe.ports()[0].schema);
        }
    }

    #[test]
    fn text_and_times_have_a_first_and_a_last() {
        let input = rows(
            "s:dict d:date b:bool n:i32 l:list\nb 1 true 3 1;2\na 0 - 1 -\n- - false 2 ;\nc 19000 true - -",
        );
        let describe = crate::fixtures::build_real::<Describe>("", &input);
        for drive in drives() {
            let outcome = drive.run(describe.as_ref(), &input).expect("runs").rows();
            let expected = rows(
                "column count:i64 nulls:i64 min:f64 q25:f64 median:f64 max:f64 mean:f64 std:f64 least greatest\n\
                 s 3 1 - - - - - - a c\n\
                 d 3 1 - - - - - - 1970-01-01 2022-01-08\n\
                 b 3 1 - - - - - - false true\n\
                 n 3 1 1 1.5 2 3 2 1 - -\n\
                 l 2 2 - - - - - - - -",
            );
            for field in expected.schema().fields() {
                let column = |rows: &RecordBatch| rows.column_by_name(field.name()).cloned();
                assert_eq!(
                    column(&outcome),
                    column(&expected),
                    "{} {drive:?}",
                    field.name()
                );
            }
        }
    }

    #[test]
    fn an_empty_input_is_described_too() {
        let input = rows("x:f64 l:list");
        let describe = build::<Describe>("", &input);
        for drive in drives() {
            let outcome = drive.run(describe.as_ref(), &input).expect("runs");
            let expected = rows(
                "column type count:i64 nulls:i64 nan:i64 min:f64 q25:f64 median:f64 q75:f64 max:f64 mean:f64 std:f64\n\
                 x float64 0 0 0 - - - - - - -\n\
                 l list_of_int64 0 0 0 - - - - - - -",
            );
            assert_eq!(outcome.rows().columns()[2..], expected.columns()[2..]);
        }
    }
}
