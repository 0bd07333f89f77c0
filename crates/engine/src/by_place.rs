//! Rows put in the order of their places: bad and late rows of files that are read side by side.

use std::sync::Arc;

use arrow_array::{ArrayRef, UInt64Array};
use arrow_schema::{DataType, Schema, SchemaRef};
use dataflow_core::order::Keys;
use dataflow_core::plan::envelope;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::sorter::{Sorted, Sorter};
use dataflow_core::{Batch, Flow, Output, Result, Stage, StageContext};

/// What tells rows without a place apart, or those that have it in common.
const THEN_BY: [&str; 3] = ["data", "message", "reason"];

/// Sorts rows of the envelope of bad rows; those without a place come last.
pub struct ByPlace {
    context: StageContext,
    keys: Keys,
    sorter: Sorter,
    sorted: Option<Sorted>,
}

impl ByPlace {
    /// Without rows.
    ///
    /// # Errors
    /// Never, since the envelope has text only.
    pub fn new(context: &StageContext) -> Result<Self> {
        let mut types = vec![DataType::UInt64];
        types.extend(THEN_BY.map(|name| type_of(&envelope(), name)));
        Ok(Self {
            keys: Keys::ascending(&types)?,
            sorter: Sorter::new(context),
            sorted: None,
            context: context.clone(),
        })
    }
}

fn type_of(schema: &SchemaRef, name: &str) -> DataType {
    let field = Schema::field_with_name(schema, name);
    field.map_or(DataType::Utf8, |field| field.data_type().clone())
}

impl Stage for ByPlace {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        let places = (0..batch.len()).map(|row| batch.places().get(row).map(|place| place.0));
        let mut keys: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from_iter(places))];
        let columns = THEN_BY
            .iter()
            .filter_map(|name| batch.rows().column_by_name(name));
        keys.extend(columns.map(Arc::clone));
        let order = self.keys.encode(&keys)?;
        self.sorter.push(batch.with_order(Some(order)))?;
        if self.sorter.bytes() > self.context.memory {
            self.sorter.spill()?;
        }
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let Some(sorted) = &mut self.sorted else {
            return Ok(Flow::Ready);
        };
        while let Some(batch) = sorted.next(self.context.batch_rows)? {
            out.send(0, batch);
            if out.full() {
                return Ok(Flow::More);
            }
        }
        self.sorted = None;
        Ok(Flow::Ready)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.sorted = Some(self.sorter.finish()?);
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.sorter.save("rows", into);
        Ok(())
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let share = (from, Share::Dealt);
        self.sorter.restore("rows", share, envelope())
    }

    fn bytes(&self) -> usize {
        self.sorter.bytes()
    }
}
