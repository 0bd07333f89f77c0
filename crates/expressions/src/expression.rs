//! An expression over the columns of a stream: checked once, evaluated batch by batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, make_array, new_null_array};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, NullBuffer};
use arrow_schema::{DataType, Field, FieldRef, SchemaRef};
use dataflow_core::source::Comparison;
use dataflow_core::{Check, Located};

use crate::build::{Part, cast_to};
use crate::plan::{Accumulating, Names, Planner};
use crate::source::Source;
use crate::term::{Node, Rows, Term};

/// A SQL scalar expression, checked against a schema.
#[derive(Clone, Debug)]
pub struct Expression {
    text: Arc<str>,
    term: Arc<Term>,
    /// The columns that it reads, by number.
    reads: Arc<[(usize, FieldRef)]>,
}

/// The values of an expression for the rows of a batch.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// One value per row; null where the row failed.
    pub values: ArrayRef,
    /// The rows that failed, ascending, each once.
    pub failed: Vec<Failure>,
}

/// A row for which an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The row's number in the batch.
    pub row: u32,
    /// What rows are counted by: `cast`, `division by zero`, `overflow`, `evaluation`.
    pub reason: &'static str,
    /// The full sentence.
    pub message: String,
}

impl Expression {
    /// Reads and checks an expression; none when problems were reported.
    pub fn check(
        text: &Located<String>,
        schema: &SchemaRef,
        check: &mut Check<'_>,
    ) -> Option<Expression> {
        Self::checked(text, schema, check, |planner, tree| planner.term(tree))
    }

    /// As [`Expression::check`], for an expression that must be true, false or null.
    pub fn condition(
        text: &Located<String>,
        schema: &SchemaRef,
        check: &mut Check<'_>,
    ) -> Option<Expression> {
        Self::checked(text, schema, check, |planner, tree| planner.condition(tree))
    }

    fn checked(
        text: &Located<String>,
        schema: &SchemaRef,
        check: &mut Check<'_>,
        plan: impl FnOnce(&mut Planner<'_, '_>, &sqlparser::ast::Expr) -> Option<Term>,
    ) -> Option<Expression> {
        match Source::parse(text) {
            Ok((source, tree)) => {
                let names = Names::columns(schema);
                let mut planner = Planner::new(&source, check, &names, Accumulating::Nowhere);
                let term = plan(&mut planner, &tree)?;
                Some(Self::of(text, term))
            }
            Err(problem) => {
                check.problems.push(problem);
                None
            }
        }
    }

    /// An expression from its term. Only columns that a `Let` does not hold are read from batches.
    pub(crate) fn of(text: &str, term: Term) -> Self {
        let mut held = BTreeSet::new();
        slots(&term, &mut held);
        let mut reads: Vec<(usize, FieldRef)> = Vec::new();
        term.visit_columns(&mut |index, field| {
            if !held.contains(&index) && !reads.iter().any(|(known, _)| *known == index) {
                reads.push((index, Arc::clone(field)));
            }
        });
        Self {
            text: text.trim().into(),
            term: Arc::new(term),
            reads: reads.into(),
        }
    }

    /// The text as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The type of its values.
    pub fn data_type(&self) -> &DataType {
        &self.term.data_type
    }

    /// Whether values may be null (failed rows aside).
    pub fn nullable(&self) -> bool {
        self.term.nullable
    }

    /// The column that it makes, under a name. A plain column keeps its metadata.
    pub fn field(&self, name: &str) -> Field {
        match self.term.as_column() {
            Some(field) => field.as_ref().clone().with_name(name),
            None => Field::new(name, self.term.data_type.clone(), self.term.nullable),
        }
    }

    /// The names of the columns that it reads.
    pub fn columns(&self) -> BTreeSet<String> {
        self.reads
            .iter()
            .map(|(_, field)| field.name().clone())
            .collect()
    }

    /// The column's name, if it is nothing else.
    pub fn is_column(&self) -> Option<&str> {
        self.term.as_column().map(|field| field.name().as_str())
    }

    /// The same values in another type; a row whose value does not fit fails.
    ///
    /// # Errors
    /// When no value of the one type can be cast to the other.
    pub fn cast_to(&self, data_type: &DataType) -> Result<Expression, String> {
        let part = Part {
            at: self.term.at.clone(),
            text: &self.text,
        };
        let term = cast_to(self.term.as_ref().clone(), data_type, &part)?;
        Ok(Self::of(&self.text, term))
    }

    /// Whether no row can fail, whatever its values.
    pub fn infallible(&self) -> bool {
        self.term.infallible
    }

    /// The comparisons of a column with a constant that must all hold where this condition is true.
    ///
    /// None if a row could fail, since a skipped row would not be reported. Constants that are compared with dates and
    /// time stamps are numbers in the column's own unit (days, nanoseconds ...).
    pub fn comparisons(&self) -> Vec<Comparison> {
        let mut found = Vec::new();
        if self.infallible() && self.term.data_type == DataType::Boolean {
            conjuncts(&self.term, &mut found);
        }
        found
    }

    /// The values for all rows. A row's value, or its failure, does not depend on the other rows.
    pub fn evaluate(&self, rows: &RecordBatch) -> Evaluated {
        let length = rows.num_rows();
        let columns = match self.read(rows) {
            Ok(columns) => columns,
            Err(message) => {
                let failure = |row| Failure {
                    row,
                    reason: "evaluation",
                    message: message.clone(),
                };
                return Evaluated {
                    values: new_null_array(&self.term.data_type, length),
                    failed: (0..length as u32).map(failure).collect(),
                };
            }
        };
        let mut failed = Vec::new();
        let values = self.term.array(&Rows { columns, length }, &mut failed);
        let (mut values, failed) = finished(vec![values], failed);
        Evaluated {
            values: values.remove(0),
            failed,
        }
    }

    /// The columns that it reads, found by name, since a source may leave out what nobody needs.
    fn read(&self, rows: &RecordBatch) -> Result<Vec<Option<ArrayRef>>, String> {
        let width = self.reads.iter().map(|(index, _)| index + 1).max();
        let mut columns = vec![None; width.unwrap_or(0)];
        let schema = rows.schema_ref();
        for (index, field) in self.reads.iter() {
            let at = match schema.fields().get(*index) {
                Some(there) if there.name() == field.name() => Ok(*index),
                _ => schema.index_of(field.name()),
            };
            let column = at.map(|at| rows.column(at));
            let column = column.map_err(|_| format!("column `{}` is missing", field.name()))?;
            let column = match column.data_type() == field.data_type() {
                true => Arc::clone(column),
                false => arrow_cast::cast(column, field.data_type())
                    .map_err(|error| format!("column `{}`: {error}", field.name()))?,
            };
            columns[*index] = Some(column);
        }
        Ok(columns)
    }
}

fn slots(term: &Term, held: &mut BTreeSet<usize>) {
    if let Node::Let { slot, .. } = &term.node {
        held.insert(*slot);
    }
    for part in term.parts() {
        slots(part, held);
    }
}

fn conjuncts(term: &Term, found: &mut Vec<Comparison>) {
    match &term.node {
        Node::Junction { all: true, terms } => {
            terms.iter().for_each(|term| conjuncts(term, found));
        }
        Node::Apply {
            says: Some(says), ..
        } => found.push(says.as_ref().clone()),
        _ => {}
    }
}

/// Each failed row once, with its first reason, and null in all columns.
pub(crate) fn finished(
    columns: Vec<ArrayRef>,
    mut failed: Vec<Failure>,
) -> (Vec<ArrayRef>, Vec<Failure>) {
    if failed.is_empty() {
        return (columns, failed);
    }
    failed.sort_by_key(|failure| failure.row);
    failed.dedup_by_key(|failure| failure.row);
    let without = columns.iter().map(|column| nulled(column, &failed));
    (without.collect(), failed)
}

fn nulled(column: &ArrayRef, failed: &[Failure]) -> ArrayRef {
    if column.data_type().is_null() {
        return Arc::clone(column);
    }
    let mut kept = BooleanBufferBuilder::new(column.len());
    kept.append_n(column.len(), true);
    for failure in failed {
        kept.set_bit(failure.row as usize, false);
    }
    let kept: BooleanBuffer = kept.finish();
    let nulls = NullBuffer::union(column.nulls(), Some(&NullBuffer::new(kept)));
    let data = column.to_data().into_builder().nulls(nulls).build();
    data.map_or_else(
        |_| new_null_array(column.data_type(), column.len()),
        make_array,
    )
}
