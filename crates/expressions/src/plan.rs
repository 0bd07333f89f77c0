//! From the parser's tree to a typed term: names are looked up, types are made to fit, all problems are reported.

use std::ops::Range;

use arrow_cast::parse::parse_interval_month_day_nano;
use arrow_schema::{DataType, FieldRef, SchemaRef, TimeUnit};
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Check, Problem};
use datafusion_common::ScalarValue;
use datafusion_expr::ScalarUDF;
use sqlparser::ast::{
    AccessExpr, CastKind, DataType as SqlType, Expr, Ident, Interval, Subscript, TypedString,
    Value, ValueWithSpan,
};

use crate::accumulate::Calls;
use crate::build::{Part, cast_to, try_cast_to, unpack, unpacked, word};
use crate::functions::nested;
use crate::source::Source;
use crate::term::Term;
use crate::types::{OFFERED, arrow_type};
use crate::unify::Mismatch;
use crate::values;

/// How deep terms may be nested: more would endanger the stack of whoever evaluates them.
const DEEPEST: usize = 120;

/// A name that an expression may use.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub name: String,
    /// The column; none where its own expression is broken, which was reported there.
    pub column: Option<(usize, FieldRef)>,
}

/// The names that an expression may use, and what to say of others.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub list: Vec<Name>,
    /// Columns of the input that only calls to accumulators may read.
    pub only_in_calls: Option<SchemaRef>,
    /// The first free number behind the columns.
    pub width: usize,
}

impl Names {
    /// The columns of a schema.
    pub fn columns(schema: &SchemaRef) -> Self {
        let named = schema.fields().iter().enumerate();
        Self {
            list: named
                .map(|(index, field)| Name {
                    name: field.name().clone(),
                    column: Some((index, field.clone())),
                })
                .collect(),
            only_in_calls: None,
            width: schema.fields().len(),
        }
    }
}

/// Whether calls to accumulators may stand here.
pub(crate) enum Accumulating<'p> {
    /// They may, and are collected.
    Into(&'p mut Calls),
    /// They may not: this is inside of one.
    Inside,
    /// They may not: rows are looked at one by one.
    Nowhere,
}

/// Turns one expression's tree into a term.
pub(crate) struct Planner<'p, 'c> {
    pub source: &'p Source<'p>,
    pub check: &'p mut Check<'c>,
    pub names: &'p Names,
    pub calls: Accumulating<'p>,
    next_slot: usize,
    depth: usize,
    too_deep: bool,
}

impl<'p, 'c> Planner<'p, 'c> {
    /// A planner for one expression.
    pub fn new(
        source: &'p Source<'p>,
        check: &'p mut Check<'c>,
        names: &'p Names,
        calls: Accumulating<'p>,
    ) -> Self {
        Self {
            source,
            check,
            names,
            calls,
            next_slot: names.width,
            depth: 0,
            too_deep: false,
        }
    }

    /// Reports a problem with a part of the text.
    pub fn problem(&mut self, at: &Range<usize>, message: impl Into<String>, help: Option<String>) {
        let problem = Problem::inside(message, self.source.text, at.clone());
        self.check.problems.push(problem.maybe_help(help));
    }

    /// The term, or a report of what is wrong with a part of the text.
    pub fn settle<E: Into<Mismatch>>(
        &mut self,
        at: &Range<usize>,
        built: Result<Term, E>,
    ) -> Option<Term> {
        match built {
            Ok(term) => Some(term),
            Err(error) => {
                let Mismatch { message, help } = error.into();
                self.problem(at, message, help);
                None
            }
        }
    }

    /// A part of the text, for what is built from it.
    pub fn part(&self, at: &Range<usize>) -> Part<'p> {
        let source: &'p Source<'p> = self.source;
        Part {
            at: at.clone(),
            text: source.slice(at),
        }
    }

    /// A number for a value that is used several times.
    pub fn slot(&mut self) -> usize {
        self.next_slot += 1;
        self.next_slot - 1
    }

    /// The term that a tree stands for; none when problems were reported.
    pub fn term(&mut self, tree: &Expr) -> Option<Term> {
        if self.depth >= DEEPEST {
            if !std::mem::replace(&mut self.too_deep, true) {
                let at = self.source.range(tree);
                let help = "give parts of it names of their own, in lines above";
                self.problem(
                    &at,
                    "this expression is nested too deeply",
                    Some(help.into()),
                );
            }
            return None;
        }
        self.depth += 1;
        let term = self.dispatch(tree);
        self.depth -= 1;
        term
    }

    fn dispatch(&mut self, tree: &Expr) -> Option<Term> {
        let at = self.source.range(tree);
        match tree {
            Expr::Nested(inner) => self.term(inner),
            Expr::Identifier(name) => self.name(name),
            Expr::CompoundIdentifier(names) => self.path(names, &at),
            Expr::CompoundFieldAccess { root, access_chain } => {
                let root = self.term(root)?;
                access_chain
                    .iter()
                    .try_fold(root, |term, access| self.access(term, access, &at))
            }
            Expr::Value(value) => self.value(value),
            Expr::Array(array) => {
                let items = array.elem.iter().map(|item| self.constant(item));
                let items: Vec<_> = items.collect();
                let items = items.into_iter().collect::<Option<Vec<_>>>()?;
                let list = values::list(&items).map(|list| Term::literal(list, at.clone()));
                self.settle(&at, list)
            }
            Expr::TypedString(typed) => self.typed(typed, &at),
            Expr::Interval(interval) => self.interval(interval, &at),
            Expr::Cast {
                kind,
                expr,
                data_type,
                format: None,
            } => self.cast(kind, expr, data_type, &at),
            Expr::AtTimeZone {
                timestamp,
                time_zone,
            } => self.at_time_zone(timestamp, time_zone, &at),
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                let help =
                    "an expression sees one row: bring other data in with a transform in front";
                self.problem(
                    &at,
                    "queries cannot stand in an expression",
                    Some(help.into()),
                );
                None
            }
            Expr::Wildcard(_) => {
                self.problem(&at, "`*` can only stand in `count(*)`", None);
                None
            }
            _ => match self.operation(tree, &at) {
                Some(term) => term,
                None => self.special_call(tree, &at),
            },
        }
    }

    fn name(&mut self, name: &Ident) -> Option<Term> {
        let at = self.source.span(name.span);
        let known = self.names.list.iter().find(|n| n.name == name.value);
        match known {
            Some(known) => {
                let (index, field) = known.column.clone()?;
                Some(Term::column(index, field, at))
            }
            None => {
                self.unknown_name(name, &at);
                None
            }
        }
    }

    fn unknown_name(&mut self, name: &Ident, at: &Range<usize>) {
        let wrong = name.value.as_str();
        if let Some(input) = &self.names.only_in_calls
            && input.index_of(wrong).is_ok()
        {
            let help = format!(
                "summarise it, such as `mean({})` or `last({})`, or add it to `by`",
                name, name
            );
            let message = format!("column `{wrong}` has many values in a group");
            return self.problem(at, message, Some(help));
        }
        if self.check.parameters.contains_key(wrong) {
            let message = format!("there is no column `{wrong}`");
            return self.problem(at, message, Some(format!("the parameter is `${wrong}`")));
        }
        let known = self.names.list.iter().map(|n| n.name.as_str());
        let nearest = did_you_mean(wrong, known.clone());
        let help = match name.quote_style {
            Some(_) => {
                let text = wrong.replace('\'', "''");
                let quotes = format!("double quotes are for names; text is written '{text}'");
                Some(nearest.map_or(quotes.clone(), |nearest| format!("{nearest} Or, {quotes}")))
            }
            None if nearest.is_some() => nearest,
            None if self.names.list.is_empty() => None,
            None => Some(format!("the columns are {}", listed(known))),
        };
        self.problem(at, format!("there is no column `{wrong}`"), help);
    }

    fn path(&mut self, names: &[Ident], at: &Range<usize>) -> Option<Term> {
        let (first, rest) = names.split_first()?;
        let known = |name: &str| self.names.list.iter().any(|n| n.name == name);
        let whole = names.iter().map(|n| n.value.as_str()).collect::<Vec<_>>();
        let whole = whole.join(".");
        if !known(&first.value) && known(&whole) {
            let message = format!("there is no column `{}`", first.value);
            let help = format!("if you mean the column `{whole}`, write \"{whole}\"");
            self.problem(at, message, Some(help));
            return None;
        }
        let root = self.name(first)?;
        rest.iter()
            .try_fold(root, |term, name| self.field(term, &name.value, at))
    }

    fn access(&mut self, term: Term, access: &AccessExpr, at: &Range<usize>) -> Option<Term> {
        let index = match access {
            AccessExpr::Dot(Expr::Identifier(name)) => return self.field(term, &name.value, at),
            AccessExpr::Subscript(Subscript::Index { index }) => self.term(index)?,
            _ => {
                let help = "write `a[1]` for an element, `a.b` or `a['b']` for a field";
                self.problem(at, "this kind of access is not known", Some(help.into()));
                return None;
            }
        };
        match index.as_literal() {
            Some(ScalarValue::Utf8(Some(name))) => self.field(term, &name.clone(), at),
            _ => {
                let part = self.part(at);
                let element = nested::element(term, index, &part);
                self.settle(at, element)
            }
        }
    }

    fn field(&mut self, term: Term, name: &str, at: &Range<usize>) -> Option<Term> {
        let term = {
            let unpacked = unpack(term);
            self.settle(at, unpacked)?
        };
        if let DataType::Struct(fields) = unpacked(&term.data_type)
            && fields.find(name).is_none()
        {
            let known = fields.iter().map(|f| f.name().as_str());
            let nearest = did_you_mean(name, known.clone());
            let help = nearest.or_else(|| Some(format!("the fields are {}", listed(known))));
            self.problem(at, format!("there is no field `{name}`"), help);
            return None;
        }
        let part = self.part(at);
        let field = nested::field(term, name, &part);
        self.settle(at, field)
    }

    fn value(&mut self, value: &ValueWithSpan) -> Option<Term> {
        let at = self.source.span(value.span);
        let scalar = match &value.value {
            Value::Number(text, _) => values::number(text),
            Value::SingleQuotedString(text) => Ok(ScalarValue::Utf8(Some(text.clone()))),
            Value::Boolean(b) => Ok(ScalarValue::Boolean(Some(*b))),
            Value::Null => Ok(ScalarValue::Null),
            Value::Placeholder(name) => return self.parameter(name, at),
            other => Err(format!("`{other}` is not known: text is written 'so'")),
        };
        let literal = scalar.map(|scalar| Term::literal(scalar, at.clone()));
        self.settle(&at, literal)
    }

    fn parameter(&mut self, written: &str, at: Range<usize>) -> Option<Term> {
        let name = written.trim_start_matches('$');
        let Some(value) = self
            .check
            .parameters
            .get(name)
            .filter(|_| written.starts_with('$'))
        else {
            let known = self.check.parameters.keys().map(String::as_str);
            let help = did_you_mean(name, known).map(|help| help.replacen('`', "`$", 1));
            let help = help.or_else(|| Some("declare it under [params]".into()));
            self.problem(&at, format!("there is no parameter `{written}`"), help);
            return None;
        };
        let literal = values::scalar(value).map(|scalar| Term::literal(scalar, at.clone()));
        self.settle(&at, literal)
    }

    /// The value of a part that must not depend on the row.
    pub fn constant(&mut self, tree: &Expr) -> Option<ScalarValue> {
        let term = self.term(tree)?;
        match term.as_literal() {
            Some(value) => Some(value.clone()),
            None => {
                let help = "columns cannot stand here";
                self.problem(&term.at, "this must be a constant", Some(help.into()));
                None
            }
        }
    }

    fn typed(&mut self, typed: &TypedString, at: &Range<usize>) -> Option<Term> {
        let value = self.value(&typed.value)?;
        let to = self.type_named(&typed.data_type, at)?;
        let adapted = crate::unify::adapted(value, &to);
        self.settle(at, adapted)
    }

    fn type_named(&mut self, sql: &SqlType, at: &Range<usize>) -> Option<DataType> {
        let found = arrow_type(sql);
        if found.is_none() {
            let help = format!("the types are {OFFERED}");
            self.problem(at, format!("there is no type `{sql}`"), Some(help));
        }
        found
    }

    fn interval(&mut self, interval: &Interval, at: &Range<usize>) -> Option<Term> {
        let text = match self.constant(&interval.value)? {
            ScalarValue::Utf8(Some(text)) => text,
            other => other.to_string(),
        };
        let text = match &interval.leading_field {
            Some(field) => format!("{text} {field}"),
            None => text,
        };
        let ambiguous = text.trim().parse::<f64>().is_ok();
        let parsed = parse_interval_month_day_nano(&text);
        match parsed {
            Ok(value) if !ambiguous && interval.last_field.is_none() => {
                let value = ScalarValue::IntervalMonthDayNano(Some(value));
                Some(Term::literal(value, at.clone()))
            }
            _ => {
                let help =
                    "write it as interval '90 seconds', '5 minutes', '1 day' or '1 month 2 days'";
                self.problem(
                    at,
                    format!("'{text}' is not an interval"),
                    Some(help.into()),
                );
                None
            }
        }
    }

    fn cast(
        &mut self,
        kind: &CastKind,
        inner: &Expr,
        sql: &SqlType,
        at: &Range<usize>,
    ) -> Option<Term> {
        let inner = self.term(inner);
        let to = self.type_named(sql, at);
        let (inner, to) = (inner?, to?);
        let part = self.part(at);
        let cast = match kind {
            CastKind::TryCast | CastKind::SafeCast => try_cast_to(inner, &to, &part),
            CastKind::Cast | CastKind::DoubleColon => cast_to(inner, &to, &part),
        };
        self.settle(at, cast)
    }

    fn at_time_zone(&mut self, time: &Expr, zone: &Expr, at: &Range<usize>) -> Option<Term> {
        let time = self.term(time);
        let zone = self.constant(zone);
        let (time, zone) = (time?, zone?);
        let ScalarValue::Utf8(Some(zone)) = zone else {
            let help = "such as 'Europe/Berlin' or '+02:00'";
            self.problem(at, "a time zone is a text", Some(help.into()));
            return None;
        };
        let unit = match unpacked(&time.data_type) {
            DataType::Timestamp(unit, _) => *unit,
            DataType::Date32 | DataType::Date64 | DataType::Utf8 => TimeUnit::Nanosecond,
            other => {
                let message = format!("{} has no time zone", word(other));
                self.problem(at, message, None);
                return None;
            }
        };
        if zone.parse::<arrow_array::timezone::Tz>().is_err() {
            let help = "such as 'Europe/Berlin' or '+02:00'";
            self.problem(
                at,
                format!("there is no time zone '{zone}'"),
                Some(help.into()),
            );
            return None;
        }
        let part = self.part(at);
        let cast = cast_to(time, &DataType::Timestamp(unit, Some(zone.into())), &part);
        self.settle(at, cast)
    }

    /// Casts arguments to the types that a function wants.
    pub fn coerced(
        &mut self,
        function: &ScalarUDF,
        arguments: Vec<Term>,
        wanted: &[FieldRef],
    ) -> Option<Vec<Term>> {
        let mut cast = Vec::new();
        for (term, field) in arguments.into_iter().zip(wanted) {
            let at = term.at.clone();
            let to = field.data_type();
            if crate::build::is_text(&term.data_type) && to.is_numeric() {
                let message = format!("`{}` wants a number here, not text", function.name());
                let help = "cast it: `cast(x as double)`";
                self.problem(&at, message, Some(help.into()));
                return None;
            }
            let part = self.part(&at);
            let term = cast_to(term, to, &part);
            cast.push(self.settle(&at, term)?);
        }
        Some(cast)
    }
}

/// The first names of a list, for a help text.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.len() {
        0..=12 => names.join(", "),
        more => format!("{} and {} more", names[..10].join(", "), more - 10),
    }
}
