//! Before a lookup: finds the keys of the table's rows, and leaves out those that match nothing and columns that are not held.

use arrow_array::BooleanArray;
use arrow_schema::SchemaRef;
use dataflow_core::{Batch, Flow, Output, Result, Stage};

use crate::columns::conform;
use crate::matching::{KeyPairs, SideKeys};

/// Finds the keys of the table's rows. They travel where else the keys of sorted runs do.
pub(super) struct Keying {
    keys: SideKeys,
    held: SchemaRef,
}

impl Keying {
    pub(super) fn new(pairs: &KeyPairs, held: SchemaRef) -> Result<Self> {
        Ok(Self {
            keys: pairs.side(1)?,
            held,
        })
    }
}

impl Stage for Keying {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let keyed = self.keys.of(batch)?;
        if !keyed.bad.is_empty() {
            out.bad(keyed.bad)?;
        }
        let rows = keyed.batch.rows();
        let fields = self.held.fields().iter();
        let indices = fields.map(|field| rows.schema_ref().index_of(field.name()));
        let rows = rows.project(&indices.collect::<Result<Vec<usize>, _>>()?)?;
        let batch = conform(keyed.batch.with_rows(rows), &self.held)?
            .with_times(None)
            .with_order(Some(keyed.bytes));
        let batch = match keyed.nulls {
            Some(nulls) => batch.filter(&BooleanArray::new(nulls.into_inner(), None))?,
            None => batch,
        };
        out.send(0, batch);
        Ok(Flow::Ready)
    }
}
