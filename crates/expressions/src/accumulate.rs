//! The `compute` block of transforms that summarise: expressions in which calls to accumulators may stand.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{Field, FieldRef, SchemaRef};
use dataflow_core::accumulator::{Accepted, Argument, Call};
use dataflow_core::component::{Build, Component};
use dataflow_core::{Check, Located, Problem, Sampled};
use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
};

use crate::expression::finished;
use crate::plan::{Accumulating, Name, Names, Planner};
use crate::source::Source;
use crate::term::{Rows, Term};
use crate::{Expression, Failure, values};

/// A call to an accumulator, checked.
#[derive(Clone, Debug)]
pub struct AccumulatorCall {
    /// The accumulator's name.
    pub name: String,
    /// The call as text, spelled in one way, without its filter.
    pub text: String,
    /// The plan, and the types that it wants.
    pub accepted: Accepted,
    /// The column arguments, cast to these types.
    pub arguments: Vec<Expression>,
    /// Only rows where this is true count.
    pub filter: Option<Expression>,
}

/// The calls found so far. Their values stand behind the keys and the lines.
#[derive(Debug)]
pub(crate) struct Calls {
    list: Vec<AccumulatorCall>,
    spelled: Vec<(String, String)>,
    first: usize,
    input: Names,
    sampled: Sampled,
}

/// The lines of a `compute` block, checked: what is to be accumulated, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Computations {
    calls: Vec<AccumulatorCall>,
    keys: usize,
    lines: Vec<Term>,
    fields: Vec<FieldRef>,
}

impl Computations {
    /// Checks the lines (name and expression each) in order; later ones may use the names of earlier ones.
    ///
    /// Outside of calls, the `keys` and earlier lines may be used; inside (arguments, filters), the columns of `input`. `sampled` tells
    /// how the rows of each group sample a signal.
    pub fn check(
        lines: &[(Located<String>, Located<String>)],
        input: &SchemaRef,
        sampled: &Sampled,
        keys: &[FieldRef],
        check: &mut Check<'_>,
    ) -> Option<Computations> {
        let mut names = Names {
            list: keys
                .iter()
                .enumerate()
                .map(|(i, key)| named(i, key))
                .collect(),
            only_in_calls: Some(Arc::clone(input)),
            // Slots lie behind all calls, of which there are fewer than bytes of text.
            width: keys.len() + lines.iter().map(|(_, text)| text.len() + 1).sum::<usize>(),
        };
        let mut calls = Calls {
            list: Vec::new(),
            spelled: Vec::new(),
            first: keys.len() + lines.len(),
            input: Names::columns(input),
            sampled: sampled.clone(),
        };
        let mut terms = Vec::new();
        let mut fields = Vec::new();
        let mut taken: BTreeMap<&str, &str> = keys
            .iter()
            .map(|key| (key.name().as_str(), "a column before it"))
            .collect();
        for (i, (name, text)) in lines.iter().enumerate() {
            let line = check_line(text, &names, &mut calls, check);
            let fresh = match taken.insert(&name.value, "a line above") {
                Some(by) => {
                    let message = format!("the name `{}` is taken by {by}", name.value);
                    check.error_at(name, message, Some("choose another name".into()));
                    false
                }
                None => true,
            };
            let field = line.as_ref().map(|term| {
                Arc::new(Field::new(
                    &name.value,
                    term.data_type.clone(),
                    term.nullable,
                ))
            });
            if fresh {
                names.list.push(Name {
                    name: name.value.clone(),
                    column: field.clone().map(|field| (keys.len() + i, field)),
                });
            }
            if let (true, Some(term), Some(field)) = (fresh, line, field) {
                terms.push(term);
                fields.push(field);
            }
        }
        (terms.len() == lines.len()).then_some(Self {
            calls: calls.list,
            keys: keys.len(),
            lines: terms,
            fields,
        })
    }

    /// What is to be accumulated; equal calls are one.
    pub fn calls(&self) -> &[AccumulatorCall] {
        &self.calls
    }

    /// The results' columns, one per line.
    pub fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    /// The columns of the input that the calls read.
    pub fn columns(&self) -> BTreeSet<String> {
        let parts = self
            .calls
            .iter()
            .flat_map(|call| call.arguments.iter().chain(&call.filter));
        parts.flat_map(Expression::columns).collect()
    }

    /// The lines' values, given the groups' keys and one array of values per call, and the groups that failed.
    ///
    /// Values of failed groups are null; a group fails once, for the first reason.
    pub fn finish(&self, keys: &[ArrayRef], values: &[ArrayRef]) -> (Vec<ArrayRef>, Vec<Failure>) {
        let first = keys.iter().chain(values).next();
        let mut rows = Rows {
            columns: vec![None; self.keys + self.lines.len() + self.calls.len()],
            length: first.map_or(1, |array| array.len()),
        };
        for (slot, key) in rows.columns.iter_mut().zip(keys) {
            *slot = Some(Arc::clone(key));
        }
        let behind = &mut rows.columns[self.keys + self.lines.len()..];
        for (slot, value) in behind.iter_mut().zip(values) {
            *slot = Some(Arc::clone(value));
        }
        let mut failed = Vec::new();
        for (i, line) in self.lines.iter().enumerate() {
            let column = line.array(&rows, &mut failed);
            rows.columns[self.keys + i] = Some(column);
        }
        let lines = self.keys..self.keys + self.lines.len();
        let columns = rows.columns[lines].iter().flatten().cloned().collect();
        finished(columns, failed)
    }
}

fn named(index: usize, field: &FieldRef) -> Name {
    Name {
        name: field.name().clone(),
        column: Some((index, Arc::clone(field))),
    }
}

fn check_line(
    text: &Located<String>,
    names: &Names,
    calls: &mut Calls,
    check: &mut Check<'_>,
) -> Option<Term> {
    match Source::parse(text) {
        Ok((source, tree)) => {
            Planner::new(&source, check, names, Accumulating::Into(calls)).term(&tree)
        }
        Err(problem) => {
            check.problems.push(problem);
            None
        }
    }
}

/// The arguments of a call as they were written.
#[derive(Default)]
struct Written {
    terms: Vec<Term>,
    named: Vec<Argument>,
    star: bool,
}

impl Planner<'_, '_> {
    /// A call to an accumulator: noted, and its value's column.
    pub fn accumulate(
        &mut self,
        component: &Component,
        function: &Function,
        at: &Range<usize>,
    ) -> Option<Term> {
        let name = component.info.name;
        if let Some((message, help)) = self.calls.refusal(name) {
            self.problem(at, message, Some(help.into()));
            return None;
        }
        let Accumulating::Into(calls) = &self.calls else {
            return None;
        };
        let (input, spelled) = (calls.input.clone(), spelling(name, function));
        let sampled = match function.filter {
            Some(_) => calls.sampled.unnumbered(),
            None => calls.sampled.clone(),
        };
        if let Some(known) = calls.spelled.iter().position(|other| *other == spelled) {
            return Some(self.call_value(known, at));
        }
        let mut inner = Planner::new(self.source, self.check, &input, Accumulating::Inside);
        let written = inner.written(name, function, at);
        let filter = function.filter.as_deref().map(|tree| inner.condition(tree));
        let (written, filter) = (written?, filter.map_or(Some(None), |f| f.map(Some))?);
        let (arguments, mut call) = self.arranged(name, written, at)?;
        call.sampled = sampled;
        let accepted = self.accepted(component, &call, at)?;
        let arguments = self.cast_arguments(arguments, &accepted)?;
        let call = AccumulatorCall {
            name: name.to_string(),
            text: spelled.0.clone(),
            accepted,
            arguments,
            filter: filter.map(|term| Expression::of(self.source.slice(&term.at), term.clone())),
        };
        let Accumulating::Into(calls) = &mut self.calls else {
            return None;
        };
        calls.list.push(call);
        calls.spelled.push(spelled);
        let last = calls.list.len() - 1;
        Some(self.call_value(last, at))
    }

    fn call_value(&self, index: usize, at: &Range<usize>) -> Term {
        let Accumulating::Into(calls) = &self.calls else {
            return Term::literal(datafusion_common::ScalarValue::Null, at.clone());
        };
        let field = calls.list[index].accepted.plan.output();
        Term::column(calls.first + index, field, at.clone())
    }

    fn written(&mut self, name: &str, function: &Function, at: &Range<usize>) -> Option<Written> {
        let list = match &function.args {
            FunctionArguments::List(list) => list,
            _ => {
                self.problem(
                    at,
                    format!("`{name}` needs its arguments in parentheses"),
                    None,
                );
                return None;
            }
        };
        if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
            let help = (name == "count").then(|| "write `count_distinct(x)`".to_string());
            self.problem(at, format!("`distinct` is not known in `{name}`"), help);
            return None;
        }
        let ordered = !list.clauses.is_empty() || !function.within_group.is_empty();
        if ordered || function.null_treatment.is_some() {
            let help = "rows are taken in their own order; `filter (where ...)` chooses among them";
            let message = format!("only arguments and a filter may stand in `{name}`");
            self.problem(at, message, Some(help.into()));
            return None;
        }
        let mut written = Written::default();
        let mut good = true;
        for argument in &list.args {
            good &= self.write(argument, &mut written, at).is_some();
        }
        good.then_some(written)
    }

    fn write(
        &mut self,
        argument: &FunctionArg,
        written: &mut Written,
        at: &Range<usize>,
    ) -> Option<()> {
        let (name, tree) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(tree)) => (None, tree),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => {
                written.star = true;
                return Some(());
            }
            FunctionArg::Named {
                name,
                arg: FunctionArgExpr::Expr(tree),
                ..
            } => (Some(name), tree),
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(tree),
                ..
            } => (Some(name), tree),
            _ => {
                self.problem(at, "this kind of argument is not known", None);
                return None;
            }
        };
        match name {
            None => {
                let term = self.term(tree)?;
                written.terms.push(term);
            }
            Some(name) => {
                let value = self.constant(tree)?;
                let at = self.source.range(tree);
                let value = self.option(&value, &at)?;
                let name = name.value.clone();
                written.named.push(Argument { name, value, at });
            }
        }
        Some(())
    }

    fn option(
        &mut self,
        value: &datafusion_common::ScalarValue,
        at: &Range<usize>,
    ) -> Option<dataflow_core::Value> {
        let plain = values::value(value).filter(|_| !value.data_type().is_temporal());
        if plain.is_none() {
            let help = "write a number, a text, true, false, or a list such as [0, 10, 20]";
            self.problem(at, "this constant cannot be an option", Some(help.into()));
        }
        plain
    }

    /// Constants behind the last column are options.
    fn arranged(
        &mut self,
        name: &str,
        written: Written,
        at: &Range<usize>,
    ) -> Option<(Vec<Term>, Call)> {
        if written.star && !(written.terms.is_empty() && name == "count") {
            self.problem(at, "`*` can only stand alone, in `count(*)`", None);
            return None;
        }
        let mut columns = written.terms;
        let last = columns.iter().rposition(|term| term.as_literal().is_none());
        let behind = columns.split_off(last.map_or(0, |last| last + 1));
        let mut options = Vec::new();
        for term in behind {
            let Some(value) = term.as_literal() else {
                continue;
            };
            let value = self.option(value, &term.at)?;
            options.push(Argument {
                name: String::new(),
                value,
                at: term.at,
            });
        }
        options.extend(written.named);
        let arguments = columns.iter().map(|term| {
            let name = self.source.slice(&term.at);
            Arc::new(Field::new(name, term.data_type.clone(), term.nullable)) as FieldRef
        });
        let arguments = arguments.collect();
        let call = Call {
            arguments,
            options,
            ..Call::default()
        };
        Some((columns, call))
    }

    fn accepted(
        &mut self,
        component: &Component,
        call: &Call,
        at: &Range<usize>,
    ) -> Option<Accepted> {
        let Build::Accumulator(accept) = &component.build else {
            return None;
        };
        match accept(call) {
            Ok(accepted) => Some(accepted),
            Err(problem) => {
                let at = problem.at.unwrap_or_else(|| at.clone());
                let inside = Problem::inside(problem.message, self.source.text, at);
                self.check.problems.push(inside.maybe_help(problem.help));
                None
            }
        }
    }

    fn cast_arguments(&mut self, terms: Vec<Term>, accepted: &Accepted) -> Option<Vec<Expression>> {
        let mut arguments = Vec::new();
        for (term, to) in terms.into_iter().zip(&accepted.coerce) {
            let at = term.at.clone();
            let cast = Expression::of(self.source.slice(&at), term).cast_to(to);
            match cast {
                Ok(argument) => arguments.push(argument),
                Err(message) => {
                    self.problem(&at, message, None);
                    return None;
                }
            }
        }
        Some(arguments)
    }
}

/// A call and its filter, each spelled in one way.
fn spelling(name: &str, function: &Function) -> (String, String) {
    let filter = function.filter.as_ref().map(ToString::to_string);
    let mut call = function.clone();
    call.filter = None;
    let arguments = call.args.to_string();
    (format!("{name}{arguments}"), filter.unwrap_or_default())
}
