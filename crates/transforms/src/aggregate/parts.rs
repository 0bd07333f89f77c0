//! Rows set aside on disk in parts by the hash of their key: what to do with groups that do not fit, where reducing does
//! not pay.
//!
//! States of groups that seldom meet a second row are larger than the rows themselves, and would be written again and
//! again, once for every run that a group has a row in. Set aside as they are, rows are written once; afterwards the groups of
//! one part are few enough to be held.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow_core::runs::Run;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::stage::{SpillWriter, Spilled};
use dataflow_core::{Batch, Places, Result, StageContext};

use super::hashing::Hashing;
use crate::columns::{in_type, plain_type};

/// How many parts there are.
const PARTS: usize = 16;

/// Where a hash tells the part: behind the bits that tell the shard.
fn part(hash: u64) -> usize {
    (hash >> 52) as usize % PARTS
}

/// Rows on their way into parts.
pub(super) struct Parts {
    context: StageContext,
    hashing: Hashing,
    keys: usize,
    schema: SchemaRef,
    list: Vec<Part>,
}

#[derive(Default)]
struct Part {
    /// Rows that are too few to be written.
    waiting: Vec<Batch>,
    bytes: usize,
    writer: Option<Box<dyn SpillWriter>>,
    /// What was written and closed.
    files: Vec<Arc<dyn Spilled>>,
}

/// The rows of a part, file after file.
pub(super) struct Files {
    left: std::vec::IntoIter<Arc<dyn Spilled>>,
    reading: Option<Box<dyn Run>>,
}

impl Run for Files {
    fn next(&mut self) -> Result<Option<Batch>> {
        loop {
            if let Some(reading) = &mut self.reading
                && let Some(batch) = reading.next()?
            {
                return Ok(Some(batch));
            }
            let Some(file) = self.left.next() else {
                self.reading = None;
                return Ok(None);
            };
            self.reading = Some(file.read()?);
        }
    }
}

/// The name under which parts are saved.
const ASIDE: &str = "aside";

impl Parts {
    /// Parts of rows such as these, whose first columns are keys of the given types.
    pub(super) fn new(
        context: &StageContext,
        types: &[DataType],
        rows: &RecordBatch,
    ) -> Result<Self> {
        let schema = rows.schema();
        let plain = schema
            .fields()
            .iter()
            .map(|field| Field::new(field.name(), plain_type(field.data_type()), true));
        Ok(Self {
            context: context.clone(),
            hashing: Hashing::new(types)?,
            keys: types.len(),
            schema: Arc::new(Schema::new(plain.collect::<Vec<_>>())),
            list: (0..PARTS).map(|_| Part::default()).collect(),
        })
    }

    /// Sets rows aside.
    pub(super) fn add(&mut self, batch: &Batch) -> Result<()> {
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); PARTS];
        let hashes = self.hashing.of(&batch.rows().columns()[..self.keys])?;
        for (row, hash) in hashes.into_iter().enumerate() {
            rows[part(hash)].push(row as u32);
        }
        let columns = batch.rows().columns().iter().zip(self.schema.fields());
        let plain = columns.map(|(column, field)| in_type(column, field.data_type()));
        let plain = RecordBatch::try_new(Arc::clone(&self.schema), plain.collect::<Result<_>>()?)?;
        let plain = Batch::new(plain).with_places(batch.places().clone());
        let most = self.context.memory / (8 * PARTS);
        for (part, rows) in self.list.iter_mut().zip(rows) {
            if rows.is_empty() {
                continue;
            }
            let mine = plain.take(&UInt32Array::from(rows))?;
            part.bytes += mine.bytes();
            part.waiting.push(mine);
            if part.bytes > most {
                part.write(&self.context, &self.schema)?;
            }
        }
        Ok(())
    }

    /// Everything is in: the parts that have rows, to be read one after the other.
    pub(super) fn finish(mut self) -> Result<VecDeque<Files>> {
        let mut written = VecDeque::new();
        for part in &mut self.list {
            part.write(&self.context, &self.schema)?;
            part.close()?;
            if !part.files.is_empty() {
                written.push_back(Files {
                    left: std::mem::take(&mut part.files).into_iter(),
                    reading: None,
                });
            }
        }
        Ok(written)
    }

    /// Writes down what was set aside. What has been written to disk is closed, so that others can read it.
    pub(super) fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        for part in &mut self.list {
            part.close()?;
            part.files.iter().for_each(|file| into.run(ASIDE, file, 0));
            let waiting = part.waiting.iter().cloned();
            waiting.for_each(|rows| into.rows(ASIDE, rows));
        }
        Ok(())
    }

    /// What was set aside before; none if nothing was.
    pub(super) fn restored(
        context: &StageContext,
        types: &[DataType],
        from: &Restored<'_>,
        share: Share<'_>,
    ) -> Result<Option<Self>> {
        let mut parts: Option<Self> = None;
        let made = |parts: &mut Option<Self>, rows: &RecordBatch| match parts.take() {
            Some(parts) => Ok(parts),
            None => Self::new(context, types, rows),
        };
        for (file, _) in from.runs(ASIDE, share)? {
            let Some(first) = file.read()?.next()? else {
                continue;
            };
            // All rows of a file are of one part.
            let mut some = made(&mut parts, first.rows())?;
            let keys = &first.slice(0, 1).rows().columns()[..some.keys].to_vec();
            let hash = some.hashing.of(keys)?;
            some.list[part(hash[0])].files.push(file);
            parts = Some(some);
        }
        from.rows(ASIDE, share, &mut |batch| {
            let mut some = made(&mut parts, batch.rows())?;
            some.add(&batch)?;
            parts = Some(some);
            Ok(())
        })?;
        Ok(parts)
    }

    /// Bytes that wait to be written.
    pub(super) fn bytes(&self) -> usize {
        let waiting: usize = self.list.iter().map(|part| part.bytes).sum();
        waiting + self.hashing.bytes()
    }
}

impl Part {
    /// Ends the file that is being written.
    fn close(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            self.files.push(Arc::from(writer.finish()?));
        }
        Ok(())
    }

    fn write(&mut self, context: &StageContext, schema: &SchemaRef) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let rows = self.waiting.iter().map(Batch::rows);
        let rows = arrow_select::concat::concat_batches(schema, rows)?;
        let places: Option<Vec<u64>> = self
            .waiting
            .iter()
            .map(|batch| batch.places().numbers(batch.len()))
            .try_fold(Vec::new(), |mut all, some| {
                all.extend_from_slice(some?.values());
                Some(all)
            });
        let places = places.map_or(Places::Unknown, |all| Places::Each(all.into()));
        self.waiting.clear();
        self.bytes = 0;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let begun = context.spill.begin(&context.id, Arc::clone(schema))?;
                self.writer.insert(begun)
            }
        };
        writer.write(&Batch::new(rows).with_places(places))
    }
}
