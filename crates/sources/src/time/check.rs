//! Checking a `time` against the columns of its source: what is named, what its values mean, which settings mean nothing.

use arrow_schema::{DataType, SchemaRef};
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Check, Located};
use dataflow_expressions::Expression;

use super::clock::{From, Meaning};
use super::convert;
use super::{Settled, TimeConfig, TimeUnit};
use crate::file::name_of;

/// What settings name as the time.
#[derive(Clone, Copy)]
pub(super) enum Of<'a> {
    Column(&'a Located<String>),
    Value(&'a Located<String>),
}

impl<'a> Of<'a> {
    /// What they name: exactly one thing.
    pub(super) fn new(config: &'a Located<TimeConfig>, check: &mut Check<'_>) -> Option<Self> {
        let TimeConfig { column, value, .. } = &config.value;
        match (column, value) {
            (Some(column), None) => Some(Self::Column(column)),
            (None, Some(value)) => Some(Self::Value(value)),
            (None, None) => {
                let help = "name the column that holds it: `time = { column = \"timestamp\" }`";
                let message = "`time` does not say where the time of a row stands";
                check.error_at(config, message, Some(help.to_string()));
                None
            }
            (Some(_), Some(value)) => {
                let help = "remove one of them: `column` names a column, `value` is an expression";
                let message = "the time is given twice, as `column` and as `value`";
                check.error_at(value, message, Some(help.to_string()));
                None
            }
        }
    }

    fn text(self) -> &'a Located<String> {
        match self {
            Self::Column(text) | Self::Value(text) => text,
        }
    }

    /// How it is called in messages.
    pub(super) fn subject(self) -> String {
        match self {
            Self::Column(name) => format!("column `{}`", name.value),
            Self::Value(text) => format!("`{}`", text.trim()),
        }
    }

    /// Where its values come from, and their type.
    pub(super) fn values(
        self,
        schema: &SchemaRef,
        check: &mut Check<'_>,
    ) -> Option<(From, DataType)> {
        match self {
            Self::Column(name) => column(name, schema, check),
            Self::Value(text) => expression(text, schema, check),
        }
    }
}

fn column(
    name: &Located<String>,
    schema: &SchemaRef,
    check: &mut Check<'_>,
) -> Option<(From, DataType)> {
    if let Ok(field) = schema.field_with_name(name) {
        return Some((From::Column(name.value.clone()), field.data_type().clone()));
    }
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    let help = did_you_mean(name, names()).unwrap_or_else(|| {
        let all: Vec<String> = names().map(|name| format!("`{name}`")).collect();
        format!("the columns are {}", all.join(", "))
    });
    let message = format!("there is no column `{}`", name.value);
    check.error_at(name, message, Some(help));
    None
}

fn expression(
    text: &Located<String>,
    schema: &SchemaRef,
    check: &mut Check<'_>,
) -> Option<(From, DataType)> {
    let expression = Expression::check(text, schema, check)?;
    let data_type = expression.data_type().clone();
    Some(match expression.is_column() {
        // Read as it comes, so that a dictionary stays one.
        Some(name) => {
            let field = schema.field_with_name(name).ok()?;
            (From::Column(name.to_string()), field.data_type().clone())
        }
        None => (From::Expression(Box::new(expression)), data_type),
    })
}

/// What kind of values say the time.
#[derive(Clone, Copy, PartialEq)]
enum Sort {
    Whole,
    Float,
    Text,
    /// Timestamps and dates, of so many nanoseconds each.
    Time(i64),
}

fn sort(data_type: &DataType) -> Option<Sort> {
    match convert::nanoseconds(data_type) {
        Some(each) => Some(Sort::Time(each)),
        None if data_type.is_integer() => Some(Sort::Whole),
        None if data_type.is_floating() => Some(Sort::Float),
        None => convert::is_text(data_type).then_some(Sort::Text),
    }
}

impl TimeConfig {
    /// What values of a type mean, with what was set about them.
    pub(super) fn meaning(
        &self,
        of: Of<'_>,
        data_type: &DataType,
        settled: Option<&Settled>,
        check: &mut Check<'_>,
    ) -> Option<Meaning> {
        let plain = convert::plain(data_type);
        let holds = format!("{} is {}", of.subject(), name_of(plain));
        let Some(sort) = sort(plain) else {
            let help = "a time is a timestamp, a date, a number since 1970, or text; `value` may be an expression that makes one";
            let message = format!("{holds}, which is no time");
            check.error_at(of.text(), message, Some(help.to_string()));
            return None;
        };
        let useful = self.useful(sort, plain, &holds, settled, check);
        if sort == Sort::Whole && self.unit.is_none() {
            let message = format!("{holds}, and nothing says what its numbers count since 1970");
            let help = "add `unit = \"s\"`, or \"ms\", \"us\" or \"ns\"";
            check.error_at(of.text(), message, Some(help.to_string()));
            return None;
        }
        let settled = useful.and(settled)?;
        let unit = self
            .unit
            .as_ref()
            .map_or(TimeUnit::Seconds, |unit| unit.value);
        Some(match sort {
            Sort::Whole => Meaning::Count(unit.nanoseconds()),
            Sort::Float => Meaning::Floats(unit.nanoseconds() as f64),
            Sort::Text => Meaning::Texts(settled.format.clone(), settled.zone.clone()),
            Sort::Time(each) if self.time_zone.is_some() => {
                Meaning::Local(each, settled.zone.clone())
            }
            Sort::Time(each) => Meaning::Count(each),
        })
    }

    /// A setting that has no effect is a mistake.
    fn useful(
        &self,
        sort: Sort,
        data_type: &DataType,
        holds: &str,
        settled: Option<&Settled>,
        check: &mut Check<'_>,
    ) -> Option<()> {
        let numbers = matches!(sort, Sort::Whole | Sort::Float);
        let mut idle = Vec::new();
        if let Some(unit) = self.unit.as_ref().filter(|_| !numbers) {
            idle.push((unit.span, "unit", format!("{holds}, not numbers")));
        }
        if let Some(format) = self.format.as_ref().filter(|_| sort != Sort::Text) {
            idle.push((format.span, "format", format!("{holds}, not text")));
        }
        let known = match data_type {
            DataType::Timestamp(_, Some(_)) => Some(format!("{holds}, which is known in UTC")),
            _ if numbers => Some(format!("{holds}, and numbers count from 1970 in UTC")),
            _ => settled
                .filter(|settled| sort == Sort::Text && settled.format.tells_offset())
                .map(|s| format!("texts in the format `{}` say their offset", s.format.name())),
        };
        if let (Some(zone), Some(known)) = (&self.time_zone, known) {
            idle.push((zone.span, "time_zone", known));
        }
        for (span, name, because) in &idle {
            let message = format!("`{name}` has no effect here: {because}");
            let at = Located {
                value: (),
                span: *span,
            };
            check.error_at(&at, message, Some(format!("remove `{name}`")));
        }
        idle.is_empty().then_some(())
    }
}
