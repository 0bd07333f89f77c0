//! For which time the rows of a table hold.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Date64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use dataflow_core::time::Instant;
use dataflow_core::transform::Input;
use dataflow_core::words::type_word;
use dataflow_core::{Check, Error, Located, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::column_index;

/// For which time the rows of the table hold.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Valid {
    /// The column of the first instant for which a row holds. Where it is null, it held ever before.
    from: Located<String>,
    /// The column of the first instant for which it does not hold any more. Where it is null, it holds ever after.
    to: Located<String>,
}

impl Valid {
    /// Whether the main side has event time, and the columns are times of the table.
    pub(super) fn check(&self, (main, table): (&Input, &Input), check: &mut Check<'_>) -> bool {
        let mut fine = true;
        for name in [&self.from, &self.to] {
            let Some(at) = column_index(name, &table.schema, check) else {
                fine = false;
                continue;
            };
            let data_type = table.schema.field(at).data_type();
            if !is_time(data_type) {
                let message = format!(
                    "`{}` is of type {}, neither a date nor a timestamp",
                    name.value,
                    type_word(data_type)
                );
                let help = "cast it in a `select` before, as in `cast(start as timestamp)`";
                check.error_at(name, message, Some(help.into()));
                fine = false;
            }
        }
        if !main.timed {
            let message = format!(
                "`valid` needs event time, and rows of `{}` have none",
                main.from.join("`, `")
            );
            let help = "say which column it is: `time = { column = \"...\" }` at the source";
            check.error_at(&self.from, message, Some(help.into()));
            fine = false;
        }
        fine
    }

    /// The columns.
    pub(super) fn names(&self) -> [&str; 2] {
        [self.from.as_str(), self.to.as_str()]
    }
}

fn is_time(data_type: &DataType) -> bool {
    use DataType::{Date32, Date64, Timestamp};
    matches!(data_type, Date32 | Date64 | Timestamp(..))
}

/// The instants of a column; what is outside of 1677 to 2262 is as far as instants go, and null is `open`.
pub(super) fn instants(column: &ArrayRef, open: Instant) -> Result<Vec<Instant>> {
    let scaled = |value: Option<i64>, unit: i64| value.map_or(open, |v| v.saturating_mul(unit));
    Ok(match column.data_type() {
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().iter();
            days.map(|day| scaled(day.map(i64::from), 86_400_000_000_000))
                .collect()
        }
        DataType::Date64 => {
            let each = column.as_primitive::<Date64Type>().iter();
            each.map(|value| scaled(value, 1_000_000)).collect()
        }
        DataType::Timestamp(unit, _) => {
            let unit = match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1000,
                TimeUnit::Nanosecond => 1,
            };
            let numbers = arrow_cast::cast(column, &DataType::Int64)?;
            let each = numbers.as_primitive::<Int64Type>().iter();
            each.map(|value| scaled(value, unit)).collect()
        }
        other => return Err(Error::internal(format!("a time came as {other}"))),
    })
}
