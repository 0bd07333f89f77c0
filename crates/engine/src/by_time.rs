//! Rows of several inputs put in the order of their time; those of one instant input after input.
//!
//! Rows wait until the watermark has passed them. A row that is late stands where its horizon is: nothing else that was written
//! already is newer, and where it stands is a matter of the data alone.

use std::sync::Arc;

use arrow_schema::Schema;
use dataflow_core::in_time::InTime;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::time::{END, Instant};
use dataflow_core::{Batch, Flow, Output, Places, Result, Stage, StageContext};

/// Hands rows on in the order of their time.
pub struct ByTime {
    rows: InTime,
}

impl ByTime {
    /// Without rows.
    pub fn new(context: &StageContext) -> Self {
        Self {
            rows: InTime::new(context),
        }
    }
}

impl Stage for ByTime {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        self.rows.push_all(batch)?;
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        while let Some(batch) = self.rows.next()? {
            // Places told the inputs apart; who counts rows from here on counts them as they leave.
            out.send(0, batch.with_places(Places::Unknown));
            if out.full() {
                return Ok(Flow::More);
            }
        }
        Ok(Flow::Ready)
    }

    fn on_watermark(&mut self, time: Instant, out: &mut dyn Output) -> Result<Flow> {
        self.rows.let_go(time)?;
        self.more(out)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.rows.let_go(END)?;
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.rows.save("rows", into);
        Ok(())
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        // Runs have the columns of what is written into them.
        let schema = Arc::new(Schema::empty());
        self.rows.restore("rows", (from, Share::Dealt), schema)
    }

    fn bytes(&self) -> usize {
        self.rows.bytes()
    }
}
