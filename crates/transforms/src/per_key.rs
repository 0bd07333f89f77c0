//! What transforms have in common that take the rows of each key in the order of their time.
//!
//! Where rows are, their keys and values are evaluated, and those that are too late leave. The others go to the owner of their
//! key, who puts them in order (`in_turn`) and gives them to the [`Work`] of the transform, which writes rows in order too.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::stage::Unread;
use dataflow_core::time::{BEGINNING, END, Instant};
use dataflow_core::transform::{Columns, Emits, Input, Route};
use dataflow_core::units::Bytes;
use dataflow_core::{
    Batch, Check, Error, Flow, Output, Problem, Result, Stage, StageContext, StagePlan, Times,
};
use dataflow_expressions::Expression;

use crate::aggregate::hashing::Hashing;
use crate::columns::{KeyColumn, column, conform, in_type, plain_type, reject_once};
use crate::config::By;
use crate::in_turn::{InTurn, KeyNumbers, Rows};
use crate::late::in_time;
use crate::saved::{hashes, owners};

/// Reports that rows have no event time, if they have none.
pub(crate) fn needs_time(what: &str, input: &Input, check: &mut Check<'_>) -> Option<()> {
    if input.timed {
        return Some(());
    }
    let message = format!(
        "{what} needs event time, and the rows of `{}` have none",
        input.from.join("`, `")
    );
    let help = "say in the source which column has it: time = { column = \"timestamp\" }";
    check
        .problems
        .push(Problem::error(message, check.span).help(help));
    None
}

/// The keys, and the values that are looked at.
pub(crate) struct PerKey {
    pub(crate) keys: Vec<KeyColumn>,
    values: Vec<Expression>,
    /// The columns that have them on their way to the owner of their key.
    key_names: Vec<String>,
    value_names: Vec<String>,
    types: Vec<DataType>,
    /// What rows look like on their way: the input's columns, and behind them keys and values that are no columns of it.
    schema: SchemaRef,
    width: usize,
    /// The port of late rows.
    late: usize,
}

impl PerKey {
    /// Checks that rows have event time, and the keys. `what` is the transform, for messages.
    pub(crate) fn keys(
        what: &str,
        by: &By,
        input: &Input,
        check: &mut Check<'_>,
    ) -> Option<Vec<KeyColumn>> {
        let timed = needs_time(what, input, check);
        let keys = KeyColumn::all(by, &input.schema, check);
        timed.and(keys)
    }

    /// Keys and values of rows with such columns; late rows leave on port `late`.
    pub(crate) fn new(
        keys: Vec<KeyColumn>,
        values: Vec<Expression>,
        schema: &SchemaRef,
        late: usize,
    ) -> Self {
        let mut fields: Vec<FieldRef> = schema.fields().to_vec();
        // No column of the input has such a name.
        let mut prefix = String::from(".");
        while fields.iter().any(|field| field.name().starts_with(&prefix)) {
            prefix.push('.');
        }
        let mut add = |data_type: &DataType| {
            let name = format!("{prefix}{}", fields.len());
            fields.push(Arc::new(Field::new(&name, data_type.clone(), true)));
            name
        };
        let types: Vec<DataType> = keys
            .iter()
            .map(|key| key.field().data_type().clone())
            .collect();
        let named = |column: Option<&str>, add: &mut dyn FnMut() -> String| {
            column.map_or_else(add, str::to_string)
        };
        let key_names = keys
            .iter()
            .zip(&types)
            .map(|(key, of)| named(key.is_column(), &mut || add(of)))
            .collect();
        let value_names = values
            .iter()
            .map(|value| {
                named(value.is_column(), &mut || {
                    add(&plain_type(value.data_type()))
                })
            })
            .collect();
        Self {
            key_names,
            value_names,
            types,
            width: schema.fields().len(),
            schema: Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())),
            keys,
            values,
            late,
        }
    }

    /// The types of the values, none of them a dictionary.
    pub(crate) fn value_types(&self) -> Vec<DataType> {
        let types = self.values.iter().map(Expression::data_type);
        types.map(plain_type).collect()
    }

    /// The columns that keys and values are made of.
    pub(crate) fn reads(&self) -> Columns {
        let keys = self.keys.iter().flat_map(KeyColumn::columns);
        Columns::named(keys.chain(self.values.iter().flat_map(Expression::columns)))
    }

    /// The columns that are needed where `wanted` are in use, of which these were added to the main ones.
    pub(crate) fn needs<'a>(
        &self,
        wanted: &[Columns],
        added: impl Iterator<Item = &'a String>,
    ) -> Columns {
        // Late rows are told as they came.
        let nothing = Columns::Some(BTreeSet::new());
        if wanted.get(self.late).is_some_and(|late| *late != nothing) {
            return Columns::All;
        }
        let added: BTreeSet<&String> = added.collect();
        let mut needed = self.reads();
        for (_, port) in wanted.iter().enumerate().filter(|(at, _)| *at != self.late) {
            needed = match port {
                Columns::All => return Columns::All,
                Columns::Some(names) => {
                    let came = names.iter().filter(|name| !added.contains(name));
                    needed.and(&Columns::named(came.cloned()))
                }
            };
        }
        needed
    }

    /// The values of rows on their way, none of them a dictionary.
    pub(crate) fn values(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let named = self.value_names.iter().zip(&self.values);
        let values =
            named.map(|(name, of)| in_type(&column(rows, name)?, &plain_type(of.data_type())));
        values.collect()
    }

    /// The hashes by which rows on their way find the owner of their key.
    fn owners(&self, batch: &Batch) -> Result<Vec<u64>> {
        let keys = self.key_names.iter();
        let keys = keys.map(|name| column(batch.rows(), name));
        hashes(&self.types, &keys.collect::<Result<Vec<_>>>()?, batch.len())
    }

    /// The rows as they came, without what was added for the way.
    pub(crate) fn as_they_came(&self, batch: Batch) -> Result<Batch> {
        let added = self.schema.fields().len() - self.width;
        if added == 0 {
            return Ok(batch);
        }
        let rows = batch.rows();
        let columns: Vec<usize> = (0..rows.num_columns() - added).collect();
        let rows = rows.project(&columns)?;
        Ok(batch.with_rows(rows))
    }

    /// The two stages: one where rows are, and the work.
    pub(crate) fn stages<W: Work + 'static>(
        self: &Arc<Self>,
        name: &'static str,
        make: impl Fn(&StageContext) -> Result<W> + Send + Sync + 'static,
    ) -> Vec<StagePlan> {
        let of = Arc::clone(self);
        let mut first = StagePlan::local("keys", move |context| Given::new(&context, &of));
        first.places = true;
        first.sides = true;
        first.timed = true;
        let of = Arc::clone(self);
        let mut last = StagePlan::local(name, move |context| {
            let work = make(&context)?;
            Working::new(context, &of, work)
        });
        last.route = if self.keys.is_empty() {
            Route::Gather
        } else {
            Route::Keyed
        };
        last.emits = Emits::SortedAtEnd;
        last.stateful = true;
        last.copied = true;
        last.amplifies = true;
        last.timed = true;
        vec![first, last]
    }

    /// The keys, for `explain`.
    pub(crate) fn explain(&self) -> String {
        if self.keys.is_empty() {
            return "over all rows, in the order of their time".into();
        }
        let keys: Vec<&str> = self
            .keys
            .iter()
            .map(|key| key.field().name().as_str())
            .collect();
        format!(
            "for each {}, in the order of time; one row of each key is held",
            keys.join(", ")
        )
    }
}

/// Evaluates keys and values; rows that are too late to be put in order leave.
struct Given {
    of: Arc<PerKey>,
    /// None where one worker has all rows.
    hashing: Option<Hashing>,
    sealed: Instant,
}

impl Given {
    fn new(context: &StageContext, of: &Arc<PerKey>) -> Result<Self> {
        let alone = context.workers == 1 || of.keys.is_empty();
        Ok(Self {
            hashing: match alone {
                true => None,
                false => Some(Hashing::new(&of.types)?),
            },
            of: Arc::clone(of),
            sealed: BEGINNING,
        })
    }

    /// What keys and values are, those that are no columns; rows for which they fail are taken out.
    fn evaluate(
        &self,
        batch: &Batch,
        out: &mut dyn Output,
    ) -> Result<(Batch, Vec<ArrayRef>, Vec<ArrayRef>)> {
        let (mut keys, mut added, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for key in &self.of.keys {
            let (values, failures) = key.evaluate(batch.rows())?;
            if key.is_column().is_none() {
                added.push(Arc::clone(&values));
            }
            keys.push(values);
            failed.extend(failures);
        }
        let values = self.of.values.iter();
        for value in values.filter(|value| value.is_column().is_none()) {
            let evaluated = value.evaluate(batch.rows());
            added.push(evaluated.values);
            failed.extend(evaluated.failed);
        }
        let (batch, bad, kept) = reject_once(batch, failed)?;
        if let Some(kept) = kept {
            out.bad(bad)?;
            keys = arrow_select::take::take_arrays(&keys, &kept, None)?;
            added = arrow_select::take::take_arrays(&added, &kept, None)?;
        }
        Ok((batch, keys, added))
    }
}

impl Stage for Given {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let batch = in_time(batch, self.sealed, self.of.late, out)?;
        let (batch, keys, added) = self.evaluate(&batch, out)?;
        let hash = match &mut self.hashing {
            Some(hashing) => Some(hashing.of(&keys)?.into()),
            None => None,
        };
        let schema = batch.schema();
        let names = self.of.schema.fields().iter().skip(self.of.width);
        let of_added = names.zip(&added).map(|(field, values)| {
            let field = field.as_ref().clone();
            Arc::new(field.with_data_type(values.data_type().clone()))
        });
        let fields: Vec<FieldRef> = schema.fields().iter().cloned().chain(of_added).collect();
        let columns = batch.rows().columns().iter().cloned().chain(added);
        let rows = RecordBatch::try_new_with_options(
            Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())),
            columns.collect(),
            &RecordBatchOptions::new().with_row_count(Some(batch.len())),
        )?;
        // None of these is late, so their horizons have done their work.
        let times = batch.times().map(|times| Times::new(times.at().clone()));
        out.send(0, batch.with_rows(rows).with_times(times).with_hash(hash));
        Ok(Flow::Ready)
    }

    fn on_watermark(&mut self, time: Instant, _: &mut dyn Output) -> Result<Flow> {
        self.sealed = time;
        Ok(Flow::Ready)
    }

    fn bytes(&self) -> usize {
        self.hashing.as_ref().map_or(0, Hashing::bytes)
    }
}

/// What is done with the rows of keys, which come in the order of (time, key, place). What is written has order keys of one
/// ascending run from watermark to watermark.
pub(crate) trait Work: Send {
    /// Takes rows in. Returns rows that leave, if there are any.
    fn take(
        &mut self,
        rows: Rows,
        keys: &mut KeyNumbers,
        out: &mut dyn Output,
    ) -> Result<Option<Batch>>;

    /// All rows before `time` have been taken in; with [`END`], all rows.
    fn reached(&mut self, time: Instant, keys: &mut KeyNumbers) -> Result<()> {
        let _ = (time, keys);
        Ok(())
    }

    /// More rows that leave, at most a batch of them.
    fn more(&mut self, keys: &mut KeyNumbers) -> Result<Option<Batch>> {
        let _ = keys;
        Ok(None)
    }

    /// How far what leaves is complete, when rows are so up to `watermark`.
    fn progress(&self, watermark: Instant) -> Instant {
        watermark
    }

    /// Writes down what has changed of keys ([`KeyNumbers::save_changes`]). The keys of rows that were taken are marked; others of
    /// which something has changed, or gone, must be.
    fn save(&mut self, keys: &mut KeyNumbers, into: &mut dyn Save) -> Result<()>;

    /// Goes on with what was written down. `share` tells which of such rows are of this worker.
    fn restore(
        &mut self,
        keys: &mut KeyNumbers,
        from: &Restored<'_>,
        share: Share<'_>,
    ) -> Result<()>;

    /// Bytes held of keys, and of rows that could be spilled.
    fn bytes(&self) -> (usize, usize);
}

/// The rows of the keys that one worker owns, in order.
struct Working<W> {
    context: StageContext,
    of: Arc<PerKey>,
    rows: InTurn,
    work: W,
    until: Instant,
}

/// The name under which rows are saved that wait.
const ROWS: &str = "rows";

/// How many batches are worked on before others get their turn.
const BATCHES: usize = 16;

/// Below this, keys over the budget are no reason to stop.
const TOLERATED: usize = 16 << 20;

impl<W: Work> Working<W> {
    fn new(context: StageContext, of: &Arc<PerKey>, work: W) -> Result<Self> {
        Ok(Self {
            rows: InTurn::new(&context, &of.key_names, &of.types)?,
            of: Arc::clone(of),
            work,
            until: BEGINNING,
            context,
        })
    }

    /// The next rows that leave; outside, none if all was done.
    fn step(&mut self, out: &mut dyn Output) -> Result<Option<Option<Batch>>> {
        if let Some(batch) = self.work.more(&mut self.rows.keys)? {
            return Ok(Some(Some(batch)));
        }
        if let Some(rows) = self.rows.next()? {
            self.rows.keys.changes.mark(&rows.keys);
            let batch = self.work.take(rows, &mut self.rows.keys, out)?;
            self.too_large()?;
            return Ok(Some(batch));
        }
        if self.until == BEGINNING {
            return Ok(None);
        }
        let until = std::mem::replace(&mut self.until, BEGINNING);
        self.work.reached(until, &mut self.rows.keys)?;
        Ok(Some(None))
    }

    fn of_keys(&self) -> usize {
        self.rows.keys.bytes() + self.work.bytes().0
    }

    fn too_large(&self) -> Result<()> {
        let held = self.of_keys();
        if held <= TOLERATED.max(2 * self.context.memory) {
            return Ok(());
        }
        let message = format!(
            "{} keys take {}, of a budget of {} for this stage; what is known of a key cannot be spilled",
            self.rows.keys.len(),
            Bytes(held as u64).for_people(),
            Bytes(self.context.memory as u64).for_people()
        );
        Err(Error::resource(message)
            .component(self.context.id.to_string())
            .help("raise `memory` in [engine], or use fewer keys"))
    }
}

impl<W: Work> Stage for Working<W> {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        self.rows.push(conform(batch, &self.of.schema)?)?;
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        for _ in 0..BATCHES {
            match self.step(out)? {
                Some(Some(batch)) => out.send(0, batch),
                Some(None) => {}
                None => return Ok(Flow::Ready),
            }
            if out.full() {
                break;
            }
        }
        Ok(Flow::More)
    }

    fn on_watermark(&mut self, time: Instant, out: &mut dyn Output) -> Result<Flow> {
        self.rows.let_go(time)?;
        self.until = time;
        self.more(out)
    }

    fn progress(&self, watermark: Instant) -> Instant {
        self.work.progress(watermark)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.rows.let_go(END)?;
        self.until = END;
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.rows.save(ROWS, into);
        self.work.save(&mut self.rows.keys, into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let of = Arc::clone(&self.of);
        let on_their_way = |batch: &Batch| of.owners(batch);
        let rows = (from, Share::Keyed(&on_their_way));
        self.rows.restore(ROWS, rows, Arc::clone(&of.schema))?;
        let owners = owners(&of.types);
        self.work
            .restore(&mut self.rows.keys, from, Share::Keyed(&owners))
    }

    fn take_over(&mut self) -> Result<()> {
        self.rows.let_go(END)?;
        while let Some(rows) = self.rows.next()? {
            self.work.take(rows, &mut self.rows.keys, &mut Unread)?;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.rows.bytes() + self.of_keys() + self.work.bytes().1
    }

    fn keys(&self) -> usize {
        self.rows.keys.len()
    }
}
