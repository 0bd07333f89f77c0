//! Rows that are about to leave: pairs of a row of each side, either of which may be missing, until they make a batch.

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::interleave::interleave;
use arrow_select::zip::zip;
use dataflow_core::{Batch, Result};

use crate::columns::in_type;

/// The columns that leave.
pub(super) struct Shape {
    pub schema: SchemaRef,
    /// What each is made of.
    pub values: Vec<Value>,
}

/// What a column that leaves is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// A column of one side.
    Of(usize, usize),
    /// A column of the main side, or where there is no row of it one of the table.
    Either(usize, usize),
}

/// A row of a side: the number of its batch, the batch, and the row in it.
pub(super) type Row<'a> = Option<(u64, &'a RecordBatch, usize)>;

/// Pairs of rows that are about to leave.
pub(super) struct Pairs {
    shape: Arc<Shape>,
    sides: [Rows; 2],
    keys: BinaryBuilder,
    bytes: usize,
}

/// The rows of one side. Batch 0 is one row of nulls.
struct Rows {
    batches: Vec<(u64, RecordBatch)>,
    rows: Vec<(usize, usize)>,
}

impl Rows {
    fn new(schema: &SchemaRef) -> Result<Self> {
        let nulls = |field: &arrow_schema::FieldRef| new_null_array(field.data_type(), 1);
        let columns: Vec<ArrayRef> = schema.fields().iter().map(nulls).collect();
        let fields = schema.fields().iter();
        let nullable = fields.map(|field| field.as_ref().clone().with_nullable(true));
        let schema = arrow_schema::Schema::new(nullable.collect::<Vec<_>>());
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let nulls = RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)?;
        Ok(Self {
            batches: vec![(0, nulls)],
            rows: Vec::new(),
        })
    }

    /// Adds a row; returns the bytes of its batch if that is a new one.
    fn push(&mut self, row: Row<'_>) -> usize {
        let Some((number, batch, row)) = row else {
            self.rows.push((0, 0));
            return 0;
        };
        let mut known = self.batches.iter().skip(1);
        if let Some(at) = known.rposition(|(known, _)| *known == number) {
            self.rows.push((at + 1, row));
            return 0;
        }
        self.rows.push((self.batches.len(), row));
        self.batches.push((number, batch.clone()));
        Batch::new(batch.clone()).bytes()
    }

    fn column(&self, at: usize) -> Result<ArrayRef> {
        let columns = self
            .batches
            .iter()
            .map(|(_, batch)| batch.column(at).as_ref());
        let columns: Vec<&dyn Array> = columns.collect();
        Ok(interleave(&columns, &self.rows)?)
    }

    /// Whether there is a row.
    fn present(&self) -> BooleanArray {
        self.rows
            .iter()
            .map(|(batch, _)| Some(*batch > 0))
            .collect()
    }

    fn clear(&mut self) {
        self.batches.truncate(1);
        self.rows.clear();
    }
}

impl Pairs {
    pub(super) fn new(shape: Arc<Shape>, sides: [&SchemaRef; 2]) -> Result<Self> {
        Ok(Self {
            shape,
            sides: [Rows::new(sides[0])?, Rows::new(sides[1])?],
            keys: BinaryBuilder::new(),
            bytes: 0,
        })
    }

    pub(super) fn push(&mut self, key: &[u8], main: Row<'_>, table: Row<'_>) {
        self.bytes += self.sides[0].push(main) + self.sides[1].push(table);
        self.keys.append_value(key);
    }

    pub(super) fn len(&self) -> usize {
        self.sides[0].rows.len()
    }

    /// The bytes of the batches that pairs are of.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The pairs as a batch of a sorted run.
    pub(super) fn take(&mut self) -> Result<Batch> {
        let fields = self.shape.schema.fields().iter();
        let columns = self.shape.values.iter().zip(fields);
        let columns = columns.map(|(value, field)| self.value(*value, field.data_type()));
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.len()));
        let schema = Arc::clone(&self.shape.schema);
        let rows = RecordBatch::try_new_with_options(schema, columns, &options)?;
        self.sides.iter_mut().for_each(Rows::clear);
        self.bytes = 0;
        Ok(Batch::new(rows).with_order(Some(self.keys.finish())))
    }

    fn value(&self, value: Value, data_type: &DataType) -> Result<ArrayRef> {
        let (here, there) = match value {
            Value::Of(side, at) => return self.sides[side].column(at),
            Value::Either(here, there) => (here, there),
        };
        let here = in_type(&self.sides[0].column(here)?, data_type)?;
        let there = in_type(&self.sides[1].column(there)?, data_type)?;
        Ok(zip(&self.sides[0].present(), &here, &there)?)
    }
}
