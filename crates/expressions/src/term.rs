//! A checked expression as a tree of terms, and its evaluation: every row's outcome depends on that row alone.
//!
//! Functions and operators are evaluated for all rows of a batch at once. Where that fails, the batch is halved until
//! the rows that fail are alone; they become null and are reported, and all others keep their values. `and`, `or`,
//! `case` and `coalesce` evaluate a part that may fail only for the rows that need it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, FieldRef};
use arrow_select::{interleave::interleave, take::take, zip::zip};
use dataflow_core::source::Comparison;
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;

use crate::Failure;
use crate::kernel::Kernel;

/// A part of an expression with its type.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub node: Node,
    pub data_type: DataType,
    pub nullable: bool,
    /// No row can fail.
    pub infallible: bool,
    /// Where it stands in the text.
    pub at: Range<usize>,
}

/// What a term is.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A column of the rows, or a value that a `Let` around it holds.
    Column { index: usize, field: FieldRef },
    /// A constant.
    Literal(ScalarValue),
    /// An operator or function over the values of other terms.
    Apply {
        kernel: Arc<Kernel>,
        arguments: Arc<[Term]>,
        /// What it says of a single column, where that helps to skip rows.
        says: Option<Arc<Comparison>>,
    },
    /// `and` (all) or `or` of two or more.
    Junction { all: bool, terms: Arc<[Term]> },
    /// `case when .. then .. else .. end`
    Case {
        branches: Arc<[(Term, Term)]>,
        otherwise: Arc<Term>,
    },
    /// The first that is not null.
    Coalesce(Arc<[Term]>),
    /// A value that is used several times, computed once.
    Let {
        slot: usize,
        value: Arc<Term>,
        body: Arc<Term>,
    },
    /// Floats with one zero and one NaN, as the order of rows has them.
    Canonical(Arc<Term>),
}

/// Columns by number, and how many rows there are.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub columns: Vec<Option<ArrayRef>>,
    pub length: usize,
}

impl Rows {
    /// Some of the rows; columns that are not needed are left out.
    fn pick(&self, rows: &[u32], needed: &BTreeSet<usize>) -> Self {
        if rows.len() == self.length {
            return self.clone();
        }
        let indices = UInt32Array::from(rows.to_vec());
        let columns = self.columns.iter().enumerate().map(|(i, column)| {
            let column = column.as_ref().filter(|_| needed.contains(&i))?;
            take(column, &indices, None).ok()
        });
        Self {
            columns: columns.collect(),
            length: rows.len(),
        }
    }

    fn with(&self, slot: usize, value: ArrayRef) -> Self {
        let mut rows = self.clone();
        if rows.columns.len() <= slot {
            rows.columns.resize(slot + 1, None);
        }
        rows.columns[slot] = Some(value);
        rows
    }
}

impl Term {
    /// A constant.
    pub fn literal(value: ScalarValue, at: Range<usize>) -> Self {
        Self {
            data_type: value.data_type(),
            nullable: value.is_null(),
            infallible: true,
            node: Node::Literal(value),
            at,
        }
    }

    /// A column.
    pub fn column(index: usize, field: FieldRef, at: Range<usize>) -> Self {
        Self {
            data_type: field.data_type().clone(),
            nullable: field.is_nullable(),
            infallible: true,
            node: Node::Column { index, field },
            at,
        }
    }

    /// The constant, if it is one.
    pub fn as_literal(&self) -> Option<&ScalarValue> {
        match &self.node {
            Node::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// The column's name, if it is one.
    pub fn as_column(&self) -> Option<&FieldRef> {
        match &self.node {
            Node::Column { field, .. } => Some(field),
            _ => None,
        }
    }

    /// The terms that it is made of.
    pub fn parts(&self) -> Vec<&Term> {
        match &self.node {
            Node::Column { .. } | Node::Literal(_) => Vec::new(),
            Node::Apply { arguments, .. } => arguments.iter().collect(),
            Node::Junction { terms, .. } | Node::Coalesce(terms) => terms.iter().collect(),
            Node::Case {
                branches,
                otherwise,
            } => branches
                .iter()
                .flat_map(|(when, then)| [when, then])
                .chain([otherwise.as_ref()])
                .collect(),
            Node::Let { value, body, .. } => vec![value, body],
            Node::Canonical(inner) => vec![inner],
        }
    }

    /// The columns (and held values) that it reads.
    pub fn columns(&self) -> BTreeSet<usize> {
        let mut columns = BTreeSet::new();
        self.visit_columns(&mut |index, _| {
            columns.insert(index);
        });
        columns
    }

    /// Visits the columns that it reads.
    pub fn visit_columns(&self, visit: &mut dyn FnMut(usize, &FieldRef)) {
        if let Node::Column { index, field } = &self.node {
            visit(*index, field);
        }
        for part in self.parts() {
            part.visit_columns(visit);
        }
    }

    /// The values for all rows. Failed rows are null and may be reported more than once: the first report counts.
    pub fn evaluate(&self, rows: &Rows, failed: &mut Vec<Failure>) -> ColumnarValue {
        match &self.node {
            Node::Column { index, .. } => {
                let column = rows.columns.get(*index).cloned().flatten();
                ColumnarValue::Array(
                    column.unwrap_or_else(|| new_null_array(&self.data_type, rows.length)),
                )
            }
            Node::Literal(value) => ColumnarValue::Scalar(value.clone()),
            Node::Apply {
                kernel, arguments, ..
            } => {
                let values = arguments.iter().map(|term| term.array(rows, failed));
                let values: Vec<ArrayRef> = values.collect();
                kernel.evaluate(values, rows.length, failed)
            }
            Node::Junction { all, terms } => {
                ColumnarValue::Array(Arc::new(junction(*all, terms, rows, failed)))
            }
            Node::Case {
                branches,
                otherwise,
            } => case(branches, otherwise, rows, failed),
            Node::Coalesce(terms) => ColumnarValue::Array(coalesce(terms, rows, failed)),
            Node::Let { slot, value, body } => {
                let value = value.array(rows, failed);
                body.evaluate(&rows.with(*slot, value), failed)
            }
            Node::Canonical(inner) => {
                ColumnarValue::Array(dataflow_core::order::canonical(&inner.array(rows, failed)))
            }
        }
    }

    /// The values for all rows as an array.
    pub fn array(&self, rows: &Rows, failed: &mut Vec<Failure>) -> ArrayRef {
        match self.evaluate(rows, failed) {
            ColumnarValue::Array(array) => array,
            ColumnarValue::Scalar(scalar) => scalar
                .to_array_of_size(rows.length)
                .unwrap_or_else(|_| new_null_array(&self.data_type, rows.length)),
        }
    }

    /// The values for some of the rows, one per chosen row; failures are reported with the numbers of `rows`.
    fn evaluate_for(
        &self,
        chosen: &[u32],
        rows: &Rows,
        failed: &mut Vec<Failure>,
    ) -> ColumnarValue {
        let mut here = Vec::new();
        let value = self.evaluate(&rows.pick(chosen, &self.columns()), &mut here);
        failed.extend(here.into_iter().map(|failure| Failure {
            row: chosen[failure.row as usize],
            ..failure
        }));
        value
    }
}

fn junction(all: bool, terms: &[Term], rows: &Rows, failed: &mut Vec<Failure>) -> BooleanArray {
    let mut so_far: Option<BooleanArray> = None;
    for term in terms {
        let value = match &so_far {
            Some(known) if !term.infallible => where_undecided(all, known, term, rows, failed),
            _ => term.array(rows, failed).as_boolean().clone(),
        };
        so_far = Some(match so_far {
            Some(known) => kleene(all, &known, &value),
            None => value,
        });
    }
    so_far.unwrap_or_else(|| BooleanArray::from(vec![all; rows.length]))
}

/// A term's values where what is known so far (false for `and`, true for `or`) does not decide alone; null elsewhere.
fn where_undecided(
    all: bool,
    known: &BooleanArray,
    term: &Term,
    rows: &Rows,
    failed: &mut Vec<Failure>,
) -> BooleanArray {
    let undecided: Vec<u32> = (0..known.len())
        .filter(|&i| known.is_null(i) || known.value(i) == all)
        .map(|i| i as u32)
        .collect();
    if undecided.is_empty() {
        return BooleanArray::new_null(known.len());
    }
    let value = term.evaluate_for(&undecided, rows, failed);
    let value = value
        .into_array(undecided.len())
        .unwrap_or_else(|_| new_null_array(&DataType::Boolean, undecided.len()));
    let value = value.as_boolean();
    if undecided.len() == known.len() {
        return value.clone();
    }
    let mut spread = vec![None; known.len()];
    for (value, row) in value.iter().zip(undecided) {
        spread[row as usize] = value;
    }
    BooleanArray::from(spread)
}

/// Three-valued `and` and `or`.
fn kleene(all: bool, a: &BooleanArray, b: &BooleanArray) -> BooleanArray {
    let (a_true, a_false) = sides(a);
    let (b_true, b_false) = sides(b);
    let (is_true, is_false) = if all {
        (&a_true & &b_true, &a_false | &b_false)
    } else {
        (&a_true | &b_true, &a_false & &b_false)
    };
    let known = &is_true | &is_false;
    let nulls = (known.count_set_bits() < known.len()).then(|| known.into());
    BooleanArray::new(is_true, nulls)
}

fn sides(array: &BooleanArray) -> (BooleanBuffer, BooleanBuffer) {
    let values = array.values();
    match array.nulls() {
        None => (values.clone(), !values),
        Some(nulls) => (values & nulls.inner(), &!values & nulls.inner()),
    }
}

fn case(
    branches: &[(Term, Term)],
    otherwise: &Term,
    rows: &Rows,
    failed: &mut Vec<Failure>,
) -> ColumnarValue {
    let pure = |(when, then): &(Term, Term)| when.infallible && then.infallible;
    if otherwise.infallible && branches.iter().all(pure) {
        let zipped = case_of_all(branches, otherwise, rows, failed);
        if let Some(value) = zipped {
            return value;
        }
    }
    let mut parts = Parts::new(otherwise, rows.length);
    for (when, then) in branches {
        let open = parts.open.clone();
        if open.is_empty() {
            break;
        }
        let before = failed.len();
        let value = when.evaluate_for(&open, rows, failed);
        parts.drop_failed(&failed[before..]);
        let Ok(value) = value.into_array(open.len()) else {
            continue;
        };
        let value = value.as_boolean();
        let matched = (0..open.len())
            .filter(|&i| value.is_valid(i) && value.value(i))
            .map(|i| open[i])
            .collect();
        let matched = parts.close(matched);
        if !matched.is_empty() {
            parts.place(then.evaluate_for(&matched, rows, failed), &matched);
        }
    }
    let rest = std::mem::take(&mut parts.open);
    if !rest.is_empty() {
        parts.place(otherwise.evaluate_for(&rest, rows, failed), &rest);
    }
    ColumnarValue::Array(parts.finish())
}

/// Where nothing can fail, every branch is evaluated for all rows, the last one first.
fn case_of_all(
    branches: &[(Term, Term)],
    otherwise: &Term,
    rows: &Rows,
    failed: &mut Vec<Failure>,
) -> Option<ColumnarValue> {
    let mut result = otherwise.evaluate(rows, failed);
    for (when, then) in branches.iter().rev() {
        let mask = when.array(rows, failed);
        let mask = mask.as_boolean();
        let value = then.evaluate(rows, failed);
        let zipped = match (&value, &result) {
            (ColumnarValue::Array(a), ColumnarValue::Array(b)) => zip(mask, a, b),
            (ColumnarValue::Array(a), ColumnarValue::Scalar(b)) => {
                zip(mask, a, &b.to_scalar().ok()?)
            }
            (ColumnarValue::Scalar(a), ColumnarValue::Array(b)) => {
                zip(mask, &a.to_scalar().ok()?, b)
            }
            (ColumnarValue::Scalar(a), ColumnarValue::Scalar(b)) => {
                zip(mask, &a.to_scalar().ok()?, &b.to_scalar().ok()?)
            }
        };
        result = ColumnarValue::Array(zipped.ok()?);
    }
    Some(result)
}

fn coalesce(terms: &[Term], rows: &Rows, failed: &mut Vec<Failure>) -> ArrayRef {
    if terms.iter().all(|term| term.infallible)
        && let Some(value) = coalesce_of_all(terms, rows, failed)
    {
        return value;
    }
    let mut parts = Parts::new(&terms[0], rows.length);
    for term in terms {
        let open = parts.open.clone();
        if open.is_empty() {
            break;
        }
        let before = failed.len();
        let value = term.evaluate_for(&open, rows, failed);
        parts.drop_failed(&failed[before..]);
        match value {
            ColumnarValue::Scalar(scalar) if scalar.is_null() => {}
            ColumnarValue::Scalar(scalar) => {
                let open = std::mem::take(&mut parts.open);
                parts.place(ColumnarValue::Scalar(scalar), &open);
            }
            ColumnarValue::Array(array) => {
                let piece = parts.piece(Arc::clone(&array));
                // A dictionary may hold its nulls among its values.
                let nulls = array.logical_nulls();
                let valid = |i: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*i));
                let found = (0..open.len()).filter(valid);
                for i in found.clone() {
                    parts.from[open[i] as usize] = (piece, i);
                }
                parts.close(found.map(|i| open[i]).collect());
            }
        }
    }
    parts.finish()
}

/// Where nothing can fail, the last value is filled in first.
fn coalesce_of_all(terms: &[Term], rows: &Rows, failed: &mut Vec<Failure>) -> Option<ArrayRef> {
    let (first, rest) = terms.split_first()?;
    let value = first.array(rows, failed);
    let Some(valid) = value.logical_nulls().filter(|nulls| nulls.null_count() > 0) else {
        return Some(value);
    };
    if rest.is_empty() {
        return Some(value);
    }
    let rest = coalesce_of_all(rest, rows, failed)?;
    zip(&BooleanArray::new(valid.into_inner(), None), &value, &rest).ok()
}

/// A column put together from pieces that were computed for some rows each.
struct Parts {
    pieces: Vec<ArrayRef>,
    from: Vec<(usize, usize)>,
    /// Rows that have no value yet, ascending.
    open: Vec<u32>,
}

impl Parts {
    fn new(like: &Term, rows: usize) -> Self {
        Self {
            pieces: vec![new_null_array(&like.data_type, 1)],
            from: vec![(0, 0); rows],
            open: (0..rows as u32).collect(),
        }
    }

    fn piece(&mut self, array: ArrayRef) -> usize {
        self.pieces.push(array);
        self.pieces.len() - 1
    }

    fn place(&mut self, value: ColumnarValue, rows: &[u32]) {
        match value {
            ColumnarValue::Array(array) => {
                let piece = self.piece(array);
                for (i, row) in rows.iter().enumerate() {
                    self.from[*row as usize] = (piece, i);
                }
            }
            ColumnarValue::Scalar(scalar) => {
                let Ok(array) = scalar.to_array() else { return };
                let piece = self.piece(array);
                for row in rows {
                    self.from[*row as usize] = (piece, 0);
                }
            }
        }
    }

    /// Takes rows (ascending) out of the open ones; gives back those that were open.
    fn close(&mut self, rows: Vec<u32>) -> Vec<u32> {
        let open = std::mem::take(&mut self.open);
        let mut closed = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter().peekable();
        for row in open {
            while rows.peek().is_some_and(|r| *r < row) {
                rows.next();
            }
            if rows.peek() == Some(&row) {
                closed.push(row);
            } else {
                self.open.push(row);
            }
        }
        closed
    }

    fn drop_failed(&mut self, failed: &[Failure]) {
        if failed.is_empty() {
            return;
        }
        let failed: BTreeSet<u32> = failed.iter().map(|failure| failure.row).collect();
        self.open.retain(|row| !failed.contains(row));
    }

    fn finish(self) -> ArrayRef {
        let pieces: Vec<&dyn Array> = self.pieces.iter().map(AsRef::as_ref).collect();
        interleave(&pieces, &self.from).unwrap_or_else(|_| {
            // All pieces have one type, and the places are within them.
            new_null_array(self.pieces[0].data_type(), self.from.len())
        })
    }
}

/// The rows of a record batch, for terms that number columns as it does.
impl From<&RecordBatch> for Rows {
    fn from(batch: &RecordBatch) -> Self {
        Self {
            columns: batch.columns().iter().cloned().map(Some).collect(),
            length: batch.num_rows(),
        }
    }
}
