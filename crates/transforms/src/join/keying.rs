//! Before a join: finds the keys of one side's rows, and sends the rows to the owners of their keys with what sorts them.

use arrow_array::{BinaryArray, BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use dataflow_core::order::key_hash;
use dataflow_core::{Batch, Error, Flow, Output, Places, Result, Stage};

use super::Side;
use crate::columns::conform;
use crate::matching::{KeyPairs, SideKeys};

/// What follows the key in the bytes that rows are sorted by: whether there is a null in it, and the row's place.
const PLACE: usize = 8;

/// The key of a row in what it is sorted by, with the mark of a null.
pub(super) fn key_of(order: &[u8]) -> &[u8] {
    &order[..order.len().saturating_sub(PLACE)]
}

/// The hash by which rows that were sent find the owner of their key.
pub(super) fn owners(batch: &Batch) -> Result<Vec<u64>> {
    let order = batch.order();
    let order = order.ok_or_else(|| Error::internal("rows to be joined lost their keys"))?;
    let marked = order.iter().map(|order| key_of(order.unwrap_or_default()));
    let keys = marked.map(|key| &key[..key.len().saturating_sub(1)]);
    Ok(keys.map(key_hash).collect())
}

/// Whether there is a null in a key: then it matches nothing.
pub(super) fn has_null(key: &[u8]) -> bool {
    key.last() == Some(&1)
}

/// Finds the keys of one side's rows.
pub(super) struct Keying {
    keys: SideKeys,
    schema: SchemaRef,
    keeps: bool,
}

impl Keying {
    pub(super) fn new(side: &Side, pairs: &KeyPairs) -> Result<Self> {
        Ok(Self {
            keys: pairs.side(side.input)?,
            schema: SchemaRef::clone(&side.schema),
            keeps: side.keeps,
        })
    }

    /// The columns that travel.
    fn narrow(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let fields = self.schema.fields().iter();
        let indices = fields.map(|field| rows.schema_ref().index_of(field.name()));
        let indices = indices.collect::<Result<Vec<usize>, _>>()?;
        Ok(rows.project(&indices)?)
    }
}

impl Stage for Keying {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let mut keyed = self.keys.of(batch)?;
        if !keyed.bad.is_empty() {
            out.bad(std::mem::take(&mut keyed.bad))?;
        }
        let places = keyed.batch.places().numbers(keyed.batch.len());
        let places =
            places.ok_or_else(|| Error::internal("rows to be joined came without places"))?;
        let mut nulls = keyed.nulls;
        let mut order = Vec::with_capacity(keyed.batch.len());
        let mut hash = Vec::with_capacity(keyed.batch.len());
        for row in 0..keyed.batch.len() {
            let null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            let key = keyed.bytes.value(row);
            hash.push(key_hash(key));
            order.push([key, &[u8::from(null)], &places.value(row).to_be_bytes()].concat());
        }
        let rows = self.narrow(keyed.batch.rows())?;
        // Places are in what rows are sorted by, and times end here.
        let batch = keyed.batch.with_rows(rows);
        let batch = conform(batch, &self.schema)?
            .with_places(Places::Unknown)
            .with_times(None)
            .with_hash(Some(hash.into()))
            .with_order(Some(BinaryArray::from_iter_values(order)));
        let batch = match nulls.take().filter(|_| !self.keeps) {
            Some(nulls) => batch.filter(&BooleanArray::new(nulls.into_inner(), None))?,
            None => batch,
        };
        out.send(0, batch);
        Ok(Flow::Ready)
    }
}
