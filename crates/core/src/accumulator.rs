//! The accumulator family: numbers that summarise many rows, for all groups of a stage at once.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{Field, FieldRef};

use crate::sampling::Sampled;
use crate::{Places, Result};

/// Which group each row belongs to.
#[derive(Clone, Copy, Debug)]
pub enum Groups<'a> {
    /// All rows belong to group 0.
    One,
    /// Row `i` belongs to the `i`-th.
    Each(&'a [u32]),
}

impl Groups<'_> {
    /// The group of a row.
    pub fn of(&self, row: usize) -> usize {
        match self {
            Self::One => 0,
            Self::Each(each) => each[row] as usize,
        }
    }
}

/// How much of the rows' order an accumulator depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderClass {
    /// Not at all: any permutation and any merge tree give the same bits.
    Any,
    /// Only through the rows' places, which `update` is given: then as `Any`.
    Place,
    /// On which rows are neighbours: `update` is given rows in order, and `merge` the states of rows right behind those that
    /// went in. Any cut of the rows into such runs gives the same bits.
    Neighbours,
    /// On each row's turn: rows must come in order, and nothing can be merged, except into a group without rows.
    Sequence,
}

/// A call such as `quantile(x, 0.99)`, checked and ready to make accumulators.
///
/// Calls that differ only in what they read from the same state (`sum(x)` and `mean(x)`) return the same
/// [`state`](AccumulatorPlan::state) name and different [`reading`](AccumulatorPlan::reading)s: a stage keeps one
/// accumulator for all of them.
pub trait AccumulatorPlan: Send + Sync + std::fmt::Debug {
    /// The result's type (the name does not matter).
    fn output(&self) -> FieldRef;

    /// Names the state: equal names over equal argument columns mean one accumulator serves both.
    fn state(&self) -> String;

    /// Which value this call reads from the state; passed to [`Accumulator::value`].
    fn reading(&self) -> Reading;

    /// The columns in which the state of a group is written down.
    fn state_fields(&self) -> Vec<Field>;

    /// How much it depends on order.
    fn order_class(&self) -> OrderClass {
        OrderClass::Any
    }

    /// An accumulator without groups.
    fn make(&self) -> Box<dyn Accumulator>;
}

/// What a call reads from a state: a name and numbers, such as `quantile` and `[0.99]`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Reading {
    /// The name of the value.
    pub what: &'static str,
    /// Its parameters.
    pub numbers: Vec<f64>,
}

impl Reading {
    /// A value without parameters.
    pub fn of(what: &'static str) -> Self {
        Self {
            what,
            numbers: Vec::new(),
        }
    }
}

/// The state of one call for all groups of a stage. Groups are numbered from 0 without holes.
///
/// Arguments are columns already evaluated and coerced to the types that the plan asked for. Rows whose arguments are
/// null do not count, unless the accumulator says otherwise.
pub trait Accumulator: Send {
    /// Makes room for groups up to `groups` (never fewer than before).
    fn resize(&mut self, groups: usize);

    /// Takes rows in. `places` is [`Places::Unknown`] unless the order class asks for more.
    ///
    /// # Errors
    /// An overflow that must not pass silently (an integer sum); the message names no column, the caller adds it.
    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], places: &Places) -> Result<()>;

    /// Takes states in that [`state`](Accumulator::state) wrote: row `i` goes into group `groups[i]`.
    ///
    /// # Errors
    /// As `update`; and when the arrays are not such states.
    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()>;

    /// The states of these groups, canonical: a function of the rows that went in, not of their order or merges.
    ///
    /// # Errors
    /// When Arrow cannot hold them.
    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>>;

    /// The values of these groups.
    ///
    /// # Errors
    /// When the value is not representable (an integer sum that overflowed).
    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef>;

    /// The bytes that the state holds; cheap, since it is asked after every batch.
    fn bytes(&self) -> usize;

    /// How many of these groups have an approximate value (a sketch), for the closing report.
    fn approximate(&self, groups: &[u32]) -> usize {
        let _ = groups;
        0
    }

    /// What is to be said of these groups in the closing report, with how often it happened.
    fn remarks(&self, groups: &[u32]) -> Vec<(&'static str, u64)> {
        let _ = groups;
        Vec::new()
    }

    /// Forgets all groups and gives the memory back.
    fn clear(&mut self);
}

/// An argument given by name or as a literal: `ddof => 0`, or the `0.99` of `quantile(x, 0.99)`.
#[derive(Clone, Debug)]
pub struct Argument {
    /// The name; empty for a positional literal behind the columns.
    pub name: String,
    /// The value.
    pub value: crate::Value,
    /// The part of the expression's text where it stands.
    pub at: std::ops::Range<usize>,
}

/// A call as the expression parser found it.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The types of the column arguments, in order; `count(*)` has none.
    pub arguments: Vec<FieldRef>,
    /// Literal and named arguments.
    pub options: Vec<Argument>,
    /// What is known of the rows as samples of a signal. Where they are numbered, all of them belong to one group, none was left out,
    /// and `update` is given places that count them.
    pub sampled: Sampled,
}

/// What a call's check found wrong: the message, what to do, and which part of the text is meant (the whole call if none).
#[derive(Clone, Debug, PartialEq)]
pub struct CallProblem {
    /// A sentence without a full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The part of the expression's text.
    pub at: Option<std::ops::Range<usize>>,
}

impl CallProblem {
    /// A problem with the whole call.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            at: None,
        }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Points at a part of the expression's text.
    #[must_use]
    pub fn at(mut self, part: std::ops::Range<usize>) -> Self {
        self.at = Some(part);
        self
    }
}

/// A call that fits: the plan, and the types that the column arguments are to be cast to before `update`.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Makes the accumulators.
    pub plan: Arc<dyn AccumulatorPlan>,
    /// One type per column argument.
    pub coerce: Vec<arrow_schema::DataType>,
}
