//! `delta`: the difference to the row of the same key before.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow_core::component::TransformConfig;
use dataflow_core::transform::Input;
use dataflow_core::words::type_word;
use dataflow_core::{Check, Configured, Info, Located, Problems, Result, Transform};
use dataflow_expressions::{Evaluated, Expression};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Checked, Function, LATE_PORT, Line, lines};
use crate::columns::plain_type;
use crate::config::{By, Lines, Texts, only_input};
use crate::per_key::PerKey;

/// The difference to the row before.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delta {
    /// The keys: a list of columns, or a table of names and expressions. Default: none; all rows are of one key.
    #[serde(default)]
    by: By,
    /// Columns of numbers or times; the difference of `x` is called `delta_x`.
    #[serde(default)]
    columns: Texts,
    /// The same with names, of columns or expressions: `compute.steps = "charge + discharge"`.
    #[serde(default)]
    compute: Lines,
}

impl Configured for Delta {
    const INFO: Info = Info {
        name: "delta",
        summary: "Adds the difference to the row of the same key before",
        manual: "Each row gets columns with the value of a column or an expression, less the value in the row of its key before, in \
            the order of event time; null for the first row of a key, and where one of the two values is null. Whole numbers stay \
            whole numbers of their size (unsigned ones become signed ones of the next size, those of 64 bits of 64 bits), decimals \
            stay decimals and floats floats; the difference of two times is a duration, that of two dates a number of days. A row whose difference does not fit, or for \
            which an expression fails, is a bad row; one whose difference does not fit is still the row before the next.\n\n\
            Rows leave in the order of their time, those of one instant by key and then as they stood in their source; a row before \
            is the one before in this order. The input needs event time. Rows that are older than their source's `lateness` allows \
            leave on `late`.\n\n\
            Rows wait until the watermark has passed them; what does not fit into memory goes to disk. The memory besides is that of \
            the values of one row for each key, for all keys that ever came; where that is far over the budget, the run stops and \
            says so. The cost per row is that of finding its key, copying the values and subtracting.",
        example: "by = [\"device\"]\ncolumns = [\"temperature\"]\n",
        ports: &[LATE_PORT],
        also_called: &["diff", "difference", "increment", "change_of"],
    };
}

impl TransformConfig for Delta {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let keys = PerKey::keys("`delta`", &self.by, input, check);
        let lines = lines(&self.columns, &self.compute, "delta", &input.schema, check)?;
        let made: Vec<Option<(Line, Difference)>> = lines
            .into_iter()
            .map(|line| subtractable(line, check))
            .collect();
        let made: Option<Vec<_>> = made.into_iter().collect();
        let (lines, differences): (Vec<Line>, Vec<Difference>) = made?.into_iter().unzip();
        let types = differences.iter().map(|of| of.expression.data_type());
        let types = types.cloned().collect();
        Some(Arc::new(Checked::new(
            input,
            keys?,
            lines,
            types,
            1,
            Function::Difference(differences),
        )))
    }
}

/// The value in a type whose differences fit, and how they are made.
fn subtractable(mut line: Line, check: &mut Check<'_>) -> Option<(Line, Difference)> {
    use DataType::*;
    let of = plain_type(line.value.data_type());
    let signed = match of {
        UInt8 => Some(Int16),
        UInt16 => Some(Int32),
        UInt32 | UInt64 => Some(Int64),
        _ => None,
    };
    let cast = signed.map_or(Ok(None), |of| line.value.cast_to(&of).map(Some));
    let difference = match cast {
        Ok(cast) => {
            line.value = cast.unwrap_or(line.value);
            Difference::new(&plain_type(line.value.data_type()), check)
        }
        Err(_) => None,
    };
    if difference.is_none() {
        let message = format!(
            "`delta` needs numbers or times, and `{}` is {}",
            line.text.value,
            type_word(&of)
        );
        let help = "cast it: `compute.name = \"cast(x as double)\"`";
        check.error_at(&line.text, message, Some(help.into()));
    }
    Some((line, difference?))
}

/// How the difference of two values of a type is made: as expressions make it.
pub(super) struct Difference {
    expression: Expression,
    schema: SchemaRef,
}

impl Difference {
    fn new(of: &DataType, check: &Check<'_>) -> Option<Self> {
        let column = |name: &str| Field::new(name, of.clone(), true);
        let schema = Arc::new(Schema::new(vec![column("now"), column("before")]));
        let text = Located::nowhere("now - before".to_string());
        // What is wrong with it is said in the words of `delta`.
        let mut problems = Problems::new();
        let mut check = Check {
            problems: &mut problems,
            ..*check
        };
        let expression = Expression::check(&text, &schema, &mut check)?;
        Some(Self { expression, schema })
    }

    /// The differences, and where there is none.
    pub(super) fn of(&self, now: &ArrayRef, before: &ArrayRef) -> Result<Evaluated> {
        let columns = vec![Arc::clone(now), Arc::clone(before)];
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        Ok(self.expression.evaluate(&rows))
    }
}
