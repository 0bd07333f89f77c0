//! What `lag`, `delta` and `rate` have in common: each row gets values that depend on a row of its key before it.
//!
//! Of each key, the values of as many rows are held as are looked back. For a batch it is first found out, row by row, which row is
//! the one before; the values of all of them are then put together at once, column by column.

mod delta;
mod lag;
mod rate;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use dataflow_core::plan::envelope;
use dataflow_core::saved::{Numbered, Restored, Save, Share};
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::{
    Batch, Check, Error, Located, Output, Places, Result, StageContext, StagePlan, Transform,
};
use dataflow_expressions::{Expression, Failure};

use crate::columns::{KeyColumn, reject_once};
use crate::config::{Lines, Texts, column_index};
use crate::held::{Held, NOTHING};
use crate::in_turn::{KeyNumbers, Rows};
use crate::per_key::{PerKey, Work};
use crate::saved::PIECE;
pub(crate) use delta::Delta;
use delta::Difference;
pub(crate) use lag::Lag;
pub(crate) use rate::Rate;
use rate::Speed;

/// The port of late rows.
const LATE: usize = 1;

/// The name under which the rows before are saved.
const BEFORE: &str = "before";

/// What is said of the port of late rows.
const LATE_PORT: (&str, &str) = (
    "late",
    "rows that came too late to be put in order, in the envelope of bad rows",
);

/// A column to be made: its name, and the value that it is made of.
struct Line {
    name: Located<String>,
    text: Located<String>,
    value: Expression,
}

/// The columns that are wanted: of `columns`, under their names with a prefix, and those of `compute`.
fn lines(
    columns: &Texts,
    compute: &Lines,
    prefix: &str,
    schema: &SchemaRef,
    check: &mut Check<'_>,
) -> Option<Vec<Line>> {
    if columns.0.is_empty() && compute.0.is_empty() {
        check.error(
            "there is nothing to compute: say `columns = [...]`, or `compute.name = \"...\"`",
        );
        return None;
    }
    let of_columns = columns.0.iter().map(|column| {
        let name = Located {
            value: format!("{prefix}_{}", column.value),
            span: column.span,
        };
        let quoted = Located {
            value: format!("\"{}\"", column.value.replace('"', "\"\"")),
            span: column.span,
        };
        (name, column.clone(), quoted, true)
    });
    let of_compute = compute
        .iter()
        .map(|(name, text)| (name.clone(), text.clone(), text.clone(), false));
    let mut seen: Vec<String> = Vec::new();
    let mut line = |(name, text, source, is_column): (Located<String>, _, _, bool)| {
        let fine = is_new(&name, schema, &mut seen, check);
        if is_column {
            column_index(&text, schema, check)?;
        }
        let value = Expression::check(&source, schema, check)?;
        fine.then_some(Line { name, text, value })
    };
    // All are checked before one of them fails, so that all problems are found.
    let lines: Vec<Option<Line>> = of_columns.chain(of_compute).map(&mut line).collect();
    lines.into_iter().collect()
}

fn is_new(
    name: &Located<String>,
    schema: &SchemaRef,
    seen: &mut Vec<String>,
    check: &mut Check<'_>,
) -> bool {
    let help = Some("choose another name: `compute.name = \"...\"`".to_string());
    if schema.field_with_name(name).is_ok() {
        let message = format!("there is a column `{}` already", name.value);
        check.error_at(name, message, help);
        return false;
    }
    if seen.contains(&name.value) {
        let message = format!("`{}` is computed twice", name.value);
        check.error_at(name, message, help);
        return false;
    }
    seen.push(name.value.clone());
    true
}

/// What is made of a row's value and the one before it.
enum Function {
    /// The one before.
    Before,
    /// Their difference, in the way of each value.
    Difference(Vec<Difference>),
    /// The difference for a time.
    Speed(Speed),
}

struct Checked {
    of: Arc<PerKey>,
    function: Arc<Function>,
    /// How many rows are looked back.
    rows: u32,
    added: Arc<[FieldRef]>,
    explained: Vec<String>,
    ports: [Port; 2],
}

impl Checked {
    /// A transform that adds columns of these types.
    fn new(
        input: &Input,
        keys: Vec<KeyColumn>,
        lines: Vec<Line>,
        types: Vec<DataType>,
        rows: u32,
        function: Function,
    ) -> Self {
        let named = lines.iter().zip(types);
        let added: Vec<FieldRef> = named
            .map(|(line, of)| Arc::new(Field::new(&line.name.value, of, true)))
            .collect();
        let fields: Vec<FieldRef> = input
            .schema
            .fields()
            .iter()
            .chain(&added)
            .cloned()
            .collect();
        let schema = Schema::new_with_metadata(fields, input.schema.metadata().clone());
        let explained = lines
            .iter()
            .map(|line| format!("{} of {}", line.name.value, line.text.value));
        Self {
            explained: explained.collect(),
            added: added.into(),
            ports: [
                Port::main(Arc::new(schema)).timed(true),
                Port::named("late", envelope()),
            ],
            of: Arc::new(PerKey::new(
                keys,
                lines.into_iter().map(|line| line.value).collect(),
                &input.schema,
                LATE,
            )),
            function: Arc::new(function),
            rows,
        }
    }
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn stages(&self) -> Vec<StagePlan> {
        let (of, function) = (Arc::clone(&self.of), Arc::clone(&self.function));
        let (rows, added) = (self.rows, Arc::clone(&self.added));
        self.of.stages("the row before", move |_: &StageContext| {
            Ok(Previous {
                held: Held::new(of.value_types().iter()),
                of: Arc::clone(&of),
                function: Arc::clone(&function),
                added: Arc::clone(&added),
                rows,
                turn: Vec::new(),
                happened: Vec::new(),
            })
        })
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        self.of.needs(wanted, self.added.iter().map(|f| f.name()))
    }

    fn explain(&self) -> Vec<String> {
        let mut lines = vec![self.of.explain()];
        lines.extend(self.explained.iter().cloned());
        lines
    }
}

/// The rows of the keys that one worker owns.
struct Previous {
    of: Arc<PerKey>,
    function: Arc<Function>,
    added: Arc<[FieldRef]>,
    rows: u32,
    /// The values of the last rows of each key, `rows` slots for each.
    held: Held,
    /// Which of a key's slots is the oldest, where there are several.
    turn: Vec<u32>,
    /// When the row in each slot happened, where that counts.
    happened: Vec<i64>,
}

impl Previous {
    /// The slot of each row, which until then has the row before it.
    fn slots(&mut self, keys: &[u32]) -> Vec<u32> {
        if self.rows == 1 {
            return keys.to_vec();
        }
        let slot = |key: &u32| {
            let turn = &mut self.turn[*key as usize];
            let slot = *key * self.rows + *turn;
            *turn = (*turn + 1) % self.rows;
            slot
        };
        keys.iter().map(slot).collect()
    }

    /// The keys and slots of all rows that are held of some keys, those of each key as they came. Each has a number, which only
    /// ever gets another row: a key keeps as many rows as it has.
    fn oldest_first(&self, keys: &[u32]) -> Vec<(u32, u32, usize)> {
        let rows = self.rows as usize;
        let of_key = |key: &u32| {
            let (number, first) = (*key, *key as usize * rows);
            let turn = self.turn.get(*key as usize);
            let turn = turn.map_or(0, |turn| *turn as usize);
            let slots = (0..rows).map(move |at| first + (turn + at) % rows);
            let slots = slots.filter(|slot| self.held.of(*slot) != NOTHING);
            let numbers = first as u32..;
            numbers.zip(slots).map(move |(at, slot)| (at, number, slot))
        };
        keys.iter().flat_map(of_key).collect()
    }

    fn resize(&mut self, keys: usize) -> Result<()> {
        let slots = keys * self.rows as usize;
        if slots > u32::MAX as usize {
            let message = format!("{keys} keys of {} rows each cannot be held", self.rows);
            return Err(Error::resource(message).help("use fewer keys, or look fewer rows back"));
        }
        self.held.resize(slots);
        if self.rows > 1 {
            self.turn.resize(keys, 0);
        }
        if let Function::Speed(_) = &*self.function {
            self.happened.resize(slots, 0);
        }
        Ok(())
    }

    /// The columns that are added to rows, and the rows for which there is none.
    fn columns(
        &mut self,
        rows: &Rows,
        values: &[ArrayRef],
    ) -> Result<(Vec<ArrayRef>, Vec<Failure>)> {
        let slots = self.slots(&rows.keys);
        let each = slots.iter().enumerate();
        let before = each.map(|(row, slot)| self.held.put(*slot as usize, row));
        let before: Vec<_> = before.collect();
        let before = self.held.gather(&before, values)?;
        self.held.keep(&slots, values)?;
        match &*self.function {
            Function::Before => Ok((before, Vec::new())),
            Function::Difference(each) => {
                let mut failed = Vec::new();
                let pairs = each.iter().zip(values.iter().zip(&before));
                let columns = pairs.map(|(difference, (value, before))| {
                    let evaluated = difference.of(value, before)?;
                    failed.extend(evaluated.failed);
                    Ok(evaluated.values)
                });
                let columns = columns.collect::<Result<Vec<_>>>()?;
                Ok((columns, failed))
            }
            Function::Speed(speed) => {
                let took = slots.iter().zip(rows.times()?).map(|(slot, time)| {
                    let before = std::mem::replace(&mut self.happened[*slot as usize], *time);
                    time.abs_diff(before)
                });
                let took: Vec<u64> = took.collect();
                let pairs = values.iter().zip(&before);
                let columns = pairs.map(|(value, before)| speed.of(value, before, &took));
                Ok((columns.collect::<Result<Vec<_>>>()?, Vec::new()))
            }
        }
    }
}

impl Work for Previous {
    fn take(
        &mut self,
        rows: Rows,
        keys: &mut KeyNumbers,
        out: &mut dyn Output,
    ) -> Result<Option<Batch>> {
        self.resize(keys.len())?;
        let values = self.of.values(rows.batch.rows())?;
        let (columns, failed) = self.columns(&rows, &values)?;
        let order = keys.order(rows.times()?, &rows.keys, &rows.places()?);
        let came = self.of.as_they_came(rows.batch)?.with_order(Some(order));
        let batch = came
            .clone()
            .with_rows(with(came.rows(), &self.added, columns)?);
        if failed.is_empty() {
            return Ok(Some(batch.with_places(Places::Unknown)));
        }
        // A bad row is told as it came.
        let (_, bad, kept) = reject_once(&came, failed)?;
        out.bad(bad)?;
        let batch = match kept {
            Some(kept) => batch.take(&kept)?,
            None => batch,
        };
        Ok(Some(batch.with_places(Places::Unknown)))
    }

    fn save(&mut self, keys: &mut KeyNumbers, into: &mut dyn Save) -> Result<()> {
        let (anew, changed) = keys.changes.take(self.held.slots() / self.rows as usize);
        let mut numbered = Numbered {
            anew,
            ..Numbered::default()
        };
        for some in self.oldest_first(&changed).chunks(PIECE) {
            let numbers = some.iter().map(|(number, ..)| *number).collect();
            let of_keys: Vec<u32> = some.iter().map(|(_, key, _)| *key).collect();
            let slots: Vec<usize> = some.iter().map(|(.., slot)| *slot).collect();
            let rows: Vec<_> = slots.iter().map(|slot| self.held.of(*slot)).collect();
            let happened = |slot: &usize| self.happened.get(*slot).copied();
            let happened: Int64Array = slots.iter().map(happened).collect();
            let mut columns: Vec<ArrayRef> = vec![Arc::new(happened)];
            columns.extend(self.held.gather(&rows, &self.held.nothing())?);
            let rows = keys.saved(&of_keys, columns)?;
            numbered.rows.push((numbers, rows));
        }
        into.numbered(BEFORE, numbered);
        Ok(())
    }

    fn restore(
        &mut self,
        keys: &mut KeyNumbers,
        from: &Restored<'_>,
        share: Share<'_>,
    ) -> Result<()> {
        from.rows(BEFORE, share, &mut |batch| {
            let (numbers, columns) = keys.restored(&batch)?;
            self.resize(keys.len())?;
            let slots = self.slots(&numbers);
            let happened = columns[0].as_primitive::<Int64Type>();
            for (row, slot) in slots.iter().enumerate() {
                self.held.put(*slot as usize, row);
                if let Some(at) = self.happened.get_mut(*slot as usize) {
                    *at = happened.value(row);
                }
            }
            self.held.keep(&slots, &columns[1..])
        })
    }

    fn bytes(&self) -> (usize, usize) {
        let turns = 4 * self.turn.capacity() + 8 * self.happened.capacity();
        (self.held.bytes() + turns, 0)
    }
}

/// The rows with columns behind.
fn with(rows: &RecordBatch, fields: &[FieldRef], columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let schema = rows.schema();
    let fields: Vec<FieldRef> = schema.fields().iter().chain(fields).cloned().collect();
    let columns = rows.columns().iter().cloned().chain(columns).collect();
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}
