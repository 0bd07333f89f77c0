//! `resample`: the rows of each key on a regular grid of time.
//!
//! Between a row and the next one of its key lie some instants of the grid: a *stretch*. What its rows will be is known when the
//! next row has come (`stretches`). Stretches wait, on disk where they are many, until no row can come any more that has an
//! earlier instant; then the instants are gone through, and each gives a row per key whose stretch it lies in (`sweep`). So a
//! stretch takes the same room however long it is, and rows leave in the order of time.

mod grid;
mod stretches;
mod sweep;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Schema, TimeUnit};
use dataflow_core::component::TransformConfig;
use dataflow_core::plan::envelope;
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::units::Duration;
use dataflow_core::words::type_word;
use dataflow_core::{Check, Configured, Info, Located, StageContext, StagePlan, Transform};
use dataflow_expressions::Expression;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{KeyColumn, plain_type};
use crate::config::{By, Texts, column_index, only_input};
use crate::per_key::PerKey;
use grid::Grid;
use stretches::Resampling;

/// Rows on a regular grid of time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resample {
    /// The keys, each of which has a grid of its own: a list of columns, or a table of names and expressions. Default: none; all
    /// rows are of one key.
    #[serde(default)]
    by: By,
    /// How far the instants of the grid are apart: `"1s"`. They are counted from 1970-01-01T00:00:00Z.
    every: Located<Duration>,
    /// How much later the instants are. May be negative. Default: none.
    #[serde(default)]
    offset: Duration,
    /// What a column has at an instant. Default `"previous"`.
    #[serde(default)]
    method: Method,
    /// The columns; for `"linear"`, of numbers.
    columns: Texts,
    /// The longest time between two rows of a key that is filled: in a longer gap there is no row. Rows leave so much later.
    /// Default: none; all gaps are filled, and rows leave at the end.
    #[serde(default)]
    limit: Option<Located<Duration>>,
    /// What the column of the instants is called. Default `"time"`.
    #[serde(default = "time")]
    time: Located<String>,
}

fn time() -> Located<String> {
    Located::nowhere("time".into())
}

/// What a column has at an instant of the grid at which no row stands; where one does, it is that row's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Method {
    /// The value of the row before, also if that is null.
    #[default]
    Previous,
    /// What lies on the straight line between the values of the row before and the next one; null if one of them is. A float
    /// of 64 bits.
    Linear,
    /// Null.
    None,
}

impl Configured for Resample {
    const INFO: Info = Info {
        name: "resample",
        summary: "Puts the rows of each key on a regular grid of time",
        manual: "For each key, there is a row at each instant of the grid from the key's first row to its last. Its columns are the \
            instant (`time`), the keys and `columns`. At an instant at which a row stands, the row has that row's values (of several, \
            those of the last one as they stood in the source); `method` says what it has at others. In a gap between two rows that \
            is longer than `limit` there is no row; the grid goes on with the next row. A row for which a key cannot be evaluated is \
            a bad row.\n\n\
            Rows leave in the order of their instants, those of one instant by key; their event time is the instant. What lies between \
            two rows of a key is known when the second one has come, or can come no more. So rows leave when time is `limit` past \
            them, and without a limit all of them leave at the end. The input needs event time. Rows that are older than their source's `lateness` \
            allows leave on `late`.\n\n\
            A gap takes no more room than a step, however many rows it makes: they are written a batch at a time. Rows wait until the \
            watermark has passed them, and gaps until they may be written; what does not fit into memory goes to disk. The memory \
            besides is that of the values of two rows for each key, for all keys that ever came; where that is far over the budget, \
            the run stops and says so. The cost per row is that of finding its key, and of copying the values for each row that is \
            written.",
        example: "by = [\"device\"]\nevery = \"1s\"\nmethod = \"linear\"\ncolumns = [\"temperature\"]\nlimit = \"10m\"\n",
        ports: &[(
            "late",
            "rows that came too late to be put in order, in the envelope of bad rows",
        )],
        also_called: &[
            "upsample",
            "downsample",
            "interpolate",
            "asfreq",
            "fill",
            "ffill",
            "fill_forward",
            "regrid",
        ],
    };
}

/// The port of late rows.
const LATE: usize = 1;

impl TransformConfig for Resample {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let keys = PerKey::keys("`resample`", &self.by, input, check);
        let grid = self.grid(check);
        let limit = self.limit(check);
        let values = self.values(input, check);
        let (keys, grid, limit, values) = (keys?, grid?, limit?, values?);
        let fields = self.fields(&keys, &values, check)?;
        let plan = Plan {
            grid,
            limit,
            method: self.method,
            fields: Arc::new(Schema::new(fields)),
        };
        let filled = self
            .limit
            .map(|limit| format!(", gaps of up to {}", limit.value));
        Some(Arc::new(Checked {
            explained: format!(
                "a row every {}{}",
                self.every.value,
                filled.unwrap_or_default()
            ),
            ports: [
                Port::main(Arc::clone(&plan.fields)).timed(true),
                Port::named("late", envelope()),
            ],
            of: Arc::new(PerKey::new(keys, values, &input.schema, LATE)),
            plan: Arc::new(plan),
        }))
    }
}

impl Resample {
    fn grid(&self, check: &mut Check<'_>) -> Option<Grid> {
        let every = self.every.value.nanoseconds();
        if every <= 0 {
            let message = format!("a grid of every `{}` never advances", self.every.value);
            let help = "write how far its instants are apart, such as `every = \"1s\"`";
            check.error_at(&self.every, message, Some(help.into()));
            return None;
        }
        Some(Grid::new(every, self.offset.nanoseconds()))
    }

    fn limit(&self, check: &mut Check<'_>) -> Option<Option<i64>> {
        let Some(limit) = &self.limit else {
            return Some(None);
        };
        let longest = limit.value.nanoseconds();
        if longest <= 0 {
            let message = format!("with `limit = \"{}\"` no gap would be filled", limit.value);
            let help = "write the longest gap that is, such as `limit = \"10m\"`";
            check.error_at(limit, message, Some(help.into()));
            return None;
        }
        Some(Some(longest))
    }

    /// The columns' values, as they are to leave.
    fn values(&self, input: &Input, check: &mut Check<'_>) -> Option<Vec<Expression>> {
        if self.columns.0.is_empty() {
            check.error("`columns` names no column whose values are wanted");
            return None;
        }
        let mut value = |name: &Located<String>| {
            column_index(name, &input.schema, check)?;
            let quoted = Located {
                value: format!("\"{}\"", name.value.replace('"', "\"\"")),
                span: name.span,
            };
            let value = Expression::check(&quoted, &input.schema, check)?;
            match self.method {
                Method::Linear => on_a_line(name, &value, check),
                Method::Previous | Method::None => Some(value),
            }
        };
        // All are checked before one of them fails, so that all problems are found.
        let values: Vec<Option<Expression>> = self.columns.0.iter().map(&mut value).collect();
        values.into_iter().collect()
    }

    /// The columns that leave.
    fn fields(
        &self,
        keys: &[KeyColumn],
        values: &[Expression],
        check: &mut Check<'_>,
    ) -> Option<Vec<FieldRef>> {
        let instant = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let mut fields = vec![Field::new(&self.time.value, instant, true)];
        fields.extend(
            keys.iter()
                .map(|key| key.field().clone().with_nullable(true)),
        );
        let named = self.columns.0.iter().zip(values);
        fields.extend(
            named.map(|(name, of)| Field::new(&name.value, plain_type(of.data_type()), true)),
        );
        for (at, field) in fields.iter().enumerate() {
            if fields[..at]
                .iter()
                .any(|other| other.name() == field.name())
            {
                let message = format!("there would be two columns `{}`", field.name());
                let help = match field.name() == &self.time.value {
                    true => "say what the column of the instants is to be called: `time = \"...\"`",
                    false => "name each column once, in `by` or in `columns`",
                };
                check.error_at(&self.time, message, Some(help.into()));
                return None;
            }
        }
        Some(fields.into_iter().map(Arc::new).collect())
    }
}

/// The value as a float.
fn on_a_line(
    name: &Located<String>,
    value: &Expression,
    check: &mut Check<'_>,
) -> Option<Expression> {
    let of = plain_type(value.data_type());
    let cast = match value.data_type() {
        DataType::Float64 => Some(value.clone()),
        _ if of.is_numeric() => value.cast_to(&DataType::Float64).ok(),
        _ => None,
    };
    if cast.is_none() {
        let message = format!(
            "between values of `{}` there is no line: it is {}, not a number",
            name.value,
            type_word(&of)
        );
        let help = "use `method = \"previous\"` for it, in a `resample` of its own";
        check.error_at(name, message, Some(help.into()));
    }
    cast
}

/// What is to be made.
struct Plan {
    grid: Grid,
    limit: Option<i64>,
    method: Method,
    fields: Arc<Schema>,
}

struct Checked {
    of: Arc<PerKey>,
    plan: Arc<Plan>,
    explained: String,
    ports: [Port; 2],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn stages(&self) -> Vec<StagePlan> {
        let (of, plan) = (Arc::clone(&self.of), Arc::clone(&self.plan));
        self.of.stages("grids", move |context: &StageContext| {
            Ok(Resampling::new(context, &of, &plan))
        })
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        // What leaves is made of what is read, whichever of it is wanted.
        let late = wanted.get(LATE).cloned();
        let main = Columns::Some(Default::default());
        let wanted: Vec<Columns> = [main].into_iter().chain(late).collect();
        self.of.needs(&wanted, std::iter::empty())
    }

    fn explain(&self) -> Vec<String> {
        vec![self.of.explain(), self.explained.clone()]
    }
}
