//! The times of rows: where they come from, what the values mean, and what is said of a row without one.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::ScalarBuffer;
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType;
use dataflow_core::{Check, Error, Result, Source};
use dataflow_expressions::{Expression, Failure};
use dataflow_formats::instants::{InstantFormat, NoInstant, Zone};
use dataflow_formats::quoted;

use super::check::Of;
use super::convert::{self, Wrong};
use super::{Settled, TimeConfig};

/// Where the values come from.
pub(super) enum From {
    Column(String),
    Expression(Box<Expression>),
}

/// What the values mean.
pub(super) enum Meaning {
    /// So many nanoseconds each, since 1970 in UTC.
    Count(i64),
    /// As many, on the clocks of a zone.
    Local(i64, Zone),
    /// Floats of so many nanoseconds each.
    Floats(f64),
    /// Texts in a format; in the zone where they do not say more.
    Texts(InstantFormat, Zone),
}

/// Finds the times of rows.
pub(super) struct Clock {
    from: From,
    subject: String,
    /// The name of the unit, for messages.
    unit: Option<&'static str>,
    meaning: Meaning,
}

impl Clock {
    /// Checks settings against the columns of a source.
    pub(super) fn new(
        config: &TimeConfig,
        of: Of<'_>,
        settled: Option<&Settled>,
        source: &Arc<dyn Source>,
        check: &mut Check<'_>,
    ) -> Option<Self> {
        let schema = &source.ports().first()?.schema;
        let (from, data_type) = of.values(schema, check)?;
        let meaning = config.meaning(of, &data_type, settled, check)?;
        Some(Self {
            from,
            subject: of.subject(),
            unit: config.unit.as_ref().map(|unit| unit.name()),
            meaning,
        })
    }

    /// How it is called in messages and for `explain`.
    pub(super) fn subject(&self) -> &str {
        self.subject
            .strip_prefix("column ")
            .unwrap_or(&self.subject)
    }

    /// The columns that it reads.
    pub(super) fn columns(&self) -> BTreeSet<String> {
        match &self.from {
            From::Column(name) => BTreeSet::from([name.clone()]),
            From::Expression(expression) => expression.columns(),
        }
    }

    /// The column whose numbers are the times, and the nanoseconds that each of them means: the least number is the oldest.
    pub(super) fn counted(&self) -> Option<(&str, i64)> {
        match (&self.from, &self.meaning) {
            (From::Column(name), Meaning::Count(nanoseconds)) => Some((name, *nanoseconds)),
            _ => None,
        }
    }

    /// The times of rows, and those that have none, whose times mean nothing.
    pub(super) fn read(&self, rows: &RecordBatch) -> Result<(ScalarBuffer<i64>, Vec<Failure>)> {
        let (values, mut failed) = match &self.from {
            From::Column(name) => {
                let found = rows.column_by_name(name).map(Arc::clone);
                let missing = || Error::internal(format!("rows came without their time `{name}`"));
                (found.ok_or_else(missing)?, Vec::new())
            }
            From::Expression(expression) => {
                let evaluated = expression.evaluate(rows);
                let failed = evaluated
                    .failed
                    .into_iter()
                    .map(|failure| self.failed(failure));
                (evaluated.values, failed.collect())
            }
        };
        let (times, wrong) = convert::instants(&values, &self.meaning)?;
        failed.extend(wrong.into_iter().map(|wrong| self.failure(&values, wrong)));
        Ok((times, failed))
    }

    /// Why an expression has no value, as a row without a time.
    fn failed(&self, failure: Failure) -> Failure {
        Failure {
            reason: REASON,
            message: format!("the row has no time: {}", failure.message),
            ..failure
        }
    }

    fn failure(&self, values: &ArrayRef, wrong: Wrong) -> Failure {
        let Wrong { row, why } = wrong;
        Failure {
            row: row as u32,
            reason: REASON,
            message: match why {
                None => format!("{} is null, so the row has no time", self.subject),
                Some(why) => self.message(&shown(values, row), why),
            },
        }
    }

    fn message(&self, value: &str, why: NoInstant) -> String {
        let subject = &self.subject;
        match (why, &self.meaning) {
            (NoInstant::Unreadable, Meaning::Texts(format, _)) => {
                format!("{subject}: {value} is not {}", format.expected())
            }
            (NoInstant::Unreadable, _) => format!("{subject}: {value} is not a time"),
            (NoInstant::Skipped, Meaning::Local(_, zone) | Meaning::Texts(_, zone)) => format!(
                "{subject}: clocks in {} never show {value}, since they were put forward then",
                zone.name()
            ),
            (NoInstant::Skipped, _) => format!("{subject}: clocks never show {value}"),
            (NoInstant::OutOfRange, Meaning::Count(_) | Meaning::Floats(_)) => {
                let unit = self.unit.map_or(String::new(), |unit| format!(" {unit}"));
                let right = self.unit.map_or("", |_| "; is `unit` right?");
                format!("{subject}: {value}{unit} is outside the years 1677 to 2262{right}")
            }
            (NoInstant::OutOfRange, _) => {
                format!("{subject}: {value} is outside the years 1677 to 2262")
            }
        }
    }
}

/// What rows without a time are counted by.
const REASON: &str = "time";

fn shown(values: &ArrayRef, row: usize) -> String {
    let value = array_value_to_string(values, row);
    // A time that Arrow cannot show lies far outside; its number says as much.
    let value = value.ok().filter(|value| !value.starts_with("ERROR"));
    let number = || arrow_cast::cast(values, &DataType::Int64).ok();
    let value = value.or_else(|| array_value_to_string(&number()?, row).ok());
    quoted(value.unwrap_or_default().as_bytes())
}
