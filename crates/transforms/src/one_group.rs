//! Summaries of all rows as one group: each worker its own states, one worker the total.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use dataflow_core::saved::{Restored, Save};
use dataflow_core::transform::{Emits, Route};
use dataflow_core::{Batch, Flow, Output, Places, Result, Stage, StageContext, StagePlan};

use crate::aggregate::too_large;
use crate::calls::{Calls, States};

/// A summary of all rows.
pub(crate) trait OneGroup: Send + Sync + 'static {
    /// The calls.
    fn calls(&self) -> &Arc<Calls>;

    /// The inputs of the calls, failing rows taken out and reported.
    fn read(&self, batch: &Batch, out: &mut dyn Output) -> Result<Given>;

    /// The values of the calls as rows that leave, with order keys.
    fn finish(&self, values: Vec<ArrayRef>, out: &mut dyn Output) -> Result<Batch>;
}

/// The inputs of the calls.
pub(crate) struct Given {
    pub(crate) inputs: Vec<ArrayRef>,
    pub(crate) rows: usize,
    pub(crate) places: Places,
}

/// The two stages of a summary.
pub(crate) fn stages<S: OneGroup>(
    summary: &Arc<S>,
    partial: &'static str,
    total: &'static str,
) -> Vec<StagePlan> {
    let of = Arc::clone(summary);
    let mut first = StagePlan::local(partial, move |context| Ok(PartialOne::new(context, &of)));
    first.emits = Emits::Unordered;
    first.stateful = true;
    first.places = summary.calls().places();
    let of = Arc::clone(summary);
    let mut last = StagePlan::local(total, move |context| Ok(TotalOne::new(context, &of)));
    last.route = Route::Gather;
    last.emits = Emits::SortedAtEnd;
    last.stateful = true;
    vec![first, last]
}

struct PartialOne<S> {
    context: StageContext,
    summary: Arc<S>,
    states: States,
    schema: SchemaRef,
}

impl<S: OneGroup> PartialOne<S> {
    fn new(context: StageContext, summary: &Arc<S>) -> Self {
        let mut states = States::new(summary.calls());
        states.resize(1);
        Self {
            context,
            states,
            schema: Arc::new(Schema::new(summary.calls().fields().to_vec())),
            summary: Arc::clone(summary),
        }
    }

    fn send(&mut self, out: &mut dyn Output) -> Result<()> {
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let columns = self.states.state(&[0])?;
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        self.states.clear();
        self.states.resize(1);
        out.send(0, Batch::new(rows));
        Ok(())
    }
}

impl<S: OneGroup> Stage for PartialOne<S> {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let given = self.summary.read(&batch, out)?;
        self.states
            .update(None, given.rows, &given.inputs, &given.places)?;
        if self.states.bytes() > self.context.memory {
            self.send(out)?;
        }
        Ok(Flow::Ready)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        // Also where no row came: the total of nothing is a row, and only who hears of a worker can write it.
        self.send(out)?;
        Ok(Flow::Ready)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.states.save_one(into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        self.states.restore_one(from)
    }

    fn bytes(&self) -> usize {
        self.states.bytes()
    }
}

/// The name under which is saved whether anything was heard.
const HEARD: &str = "heard";

struct TotalOne<S> {
    context: StageContext,
    summary: Arc<S>,
    states: States,
    heard: bool,
}

impl<S: OneGroup> TotalOne<S> {
    fn new(context: StageContext, summary: &Arc<S>) -> Self {
        let mut states = States::new(summary.calls());
        states.resize(1);
        Self {
            context,
            states,
            summary: Arc::clone(summary),
            heard: false,
        }
    }
}

impl<S: OneGroup> Stage for TotalOne<S> {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        self.heard = true;
        let groups = vec![0; batch.len()];
        self.states.merge(&groups, batch.rows().columns())?;
        too_large(self.states.bytes(), &self.context)?;
        Ok(Flow::Ready)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        // On the workers that the rows are not gathered on, nothing was heard.
        if self.heard {
            self.states.tell(&[0], out);
            let values = self.states.values(&[0])?;
            let batch = self.summary.finish(values, out)?;
            out.send(0, batch);
        }
        Ok(Flow::Ready)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        if self.heard {
            self.states.save_one(into)?;
        }
        into.value(HEARD, self.heard.into());
        Ok(())
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        self.states.restore_one(from)?;
        self.heard = from.dealt_values(HEARD)?.contains(&true.into());
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.states.bytes()
    }
}
