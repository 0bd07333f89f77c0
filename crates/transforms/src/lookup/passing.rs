//! The main side of a lookup: rows get what the table says of their keys as they pass.

use std::sync::Arc;

use arrow_array::{BinaryArray, RecordBatch, UInt32Array};
use arrow_buffer::NullBuffer;
use arrow_schema::{FieldRef, Schema, SchemaRef};
use dataflow_core::batch::rows_of;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::{Batch, Error, Flow, Output, Result, Stage, StageContext};

use super::table::{Loading, Table};
use super::valid::Valid;
use crate::matching::{Keep, SideKeys};

/// How many batches one call writes at most.
const BATCHES_PER_CALL: usize = 4;

/// The name under which the table is saved.
const TABLE: &str = "table";

/// What is to be done.
pub(super) struct Work {
    /// Whether rows that match nothing do not leave.
    pub inner: bool,
    pub keep: Keep,
    pub valid: Option<Valid>,
    /// The columns that leave.
    pub schema: SchemaRef,
    /// The table's columns among them.
    pub columns: Vec<String>,
    /// The table's columns that are held.
    pub held: SchemaRef,
}

/// Loads the table, then adds its columns to rows.
pub(super) struct Passing {
    context: StageContext,
    work: Arc<Work>,
    keys: SideKeys,
    /// The columns that leave, among those that are held.
    columns: Vec<usize>,
    loading: Loading,
    table: Option<Table>,
    open: Option<Open>,
    found: Vec<u32>,
}

/// A batch on its way through.
struct Open {
    batch: Batch,
    keys: BinaryArray,
    nulls: Option<NullBuffer>,
    row: usize,
    /// How many matches of the row have left.
    done: usize,
}

impl Passing {
    pub(super) fn new(context: StageContext, work: Arc<Work>, keys: SideKeys) -> Result<Self> {
        let columns = work.columns.iter().map(|name| work.held.index_of(name));
        Ok(Self {
            columns: columns.collect::<Result<Vec<usize>, _>>()?,
            context,
            work,
            keys,
            loading: Loading::new(),
            table: None,
            open: None,
            found: Vec::new(),
        })
    }

    /// The next rows that leave, at most a batch of them; none at the end of the batch.
    fn slice(&mut self, open: &mut Open) -> Result<Option<Batch>> {
        let table = self.table.as_ref();
        let table = table.ok_or_else(|| Error::internal("a row came before its table"))?;
        let limit = self.context.batch_rows.max(1);
        let (mut rows, mut with): (Vec<u32>, Vec<Option<u32>>) = (Vec::new(), Vec::new());
        while rows.len() < limit && open.row < open.batch.len() {
            let row = open.row;
            if open.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                self.found.clear();
            } else if open.done == 0 {
                let time = match self.work.valid {
                    Some(_) => Some(time_of(&open.batch, row)?),
                    None => None,
                };
                table.find(open.keys.value(row), time, self.work.keep, &mut self.found);
            }
            if self.found.is_empty() && !self.work.inner {
                rows.push(row as u32);
                with.push(None);
            }
            let left = &self.found[open.done.min(self.found.len())..];
            let some = left.len().min(limit - rows.len());
            rows.extend(std::iter::repeat_n(row as u32, some));
            with.extend(left[..some].iter().map(|found| Some(*found)));
            if some < left.len() {
                open.done += some;
            } else {
                open.row += 1;
                open.done = 0;
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        self.made(&open.batch, rows, &with).map(Some)
    }

    fn made(&self, batch: &Batch, rows: Vec<u32>, with: &[Option<u32>]) -> Result<Batch> {
        let table = self.table.as_ref();
        let added = match table {
            Some(table) => table.gather(&self.columns, with)?,
            None => Vec::new(),
        };
        let all = rows.len() == batch.len() && rows.iter().zip(0..).all(|(row, at)| *row == at);
        let kept = match all {
            true => batch.clone(),
            false => batch.take(&UInt32Array::from(rows))?,
        };
        let columns = kept.rows().columns().iter().cloned().chain(added);
        let schema = self.schema(kept.rows())?;
        let rows = rows_of(schema, columns.collect(), kept.len())?;
        Ok(kept.with_rows(rows))
    }

    /// The columns of a batch that leaves: what came may be of another form than what was declared, such as a dictionary.
    fn schema(&self, came: &RecordBatch) -> Result<SchemaRef> {
        let declared = &self.work.schema;
        let (came, own) = (came.schema(), declared.fields().len() - self.columns.len());
        let (own, added) = declared.fields().split_at(own);
        let types = came.fields().iter().zip(own);
        let mut types = types.map(|(came, own)| came.data_type() == own.data_type());
        if came.fields().len() == own.len() && types.all(|same| same) {
            return Ok(Arc::clone(declared));
        }
        let fields: Vec<FieldRef> = came.fields().iter().chain(added).cloned().collect();
        let said = declared.metadata().clone();
        Ok(Arc::new(Schema::new_with_metadata(fields, said)))
    }
}

fn time_of(batch: &Batch, row: usize) -> Result<i64> {
    let times = batch.times();
    let times = times.ok_or_else(|| Error::internal("rows came without their event times"))?;
    Ok(times.at()[row])
}

impl Stage for Passing {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let keyed = self.keys.of(batch)?;
        if !keyed.bad.is_empty() {
            out.bad(keyed.bad)?;
        }
        self.open = Some(Open {
            batch: keyed.batch,
            keys: keyed.bytes,
            nulls: keyed.nulls,
            row: 0,
            done: 0,
        });
        self.more(out)
    }

    fn on_input(&mut self, input: usize, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        if input == 0 {
            return self.on_batch(batch, out);
        }
        let timed = self.work.valid.is_some();
        self.loading.add(batch, timed, &self.context)?;
        Ok(Flow::Ready)
    }

    fn on_input_end(&mut self, input: usize, _: &mut dyn Output) -> Result<Flow> {
        if input == 1 {
            let valid = self.work.valid.as_ref();
            self.table = Some(self.loading.close(valid, &self.work.held)?);
        }
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let Some(mut open) = self.open.take() else {
            return Ok(Flow::Ready);
        };
        for _ in 0..BATCHES_PER_CALL {
            let Some(slice) = self.slice(&mut open)? else {
                return Ok(Flow::Ready);
            };
            out.send(0, slice);
            if open.row == open.batch.len() {
                return Ok(Flow::Ready);
            }
            if out.full() {
                break;
            }
        }
        self.open = Some(open);
        Ok(Flow::More)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        // All workers hold the same table: the first one writes it.
        if self.context.worker > 0 {
            return Ok(());
        }
        let batches = match &self.table {
            Some(table) => table.written(),
            None => self.loading.batches().to_vec(),
        };
        batches.into_iter().for_each(|rows| into.rows(TABLE, rows));
        Ok(())
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        // That the table has ended is told again.
        let timed = self.work.valid.is_some();
        from.rows(TABLE, Share::Same, &mut |batch| {
            self.loading.add(batch, timed, &self.context)
        })
    }

    fn bytes(&self) -> usize {
        self.loading.bytes(self.context.workers)
    }

    fn keys(&self) -> usize {
        self.loading.rows()
    }
}
