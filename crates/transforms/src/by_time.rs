//! `sort` by event time: rows leave as the watermark passes them, and only those wait that something older may still come before.

use std::sync::Arc;

use dataflow_core::plan::envelope;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::{Batch, Output, Places, Result, StageContext, StagePlan, Transform};

use crate::in_turn::{KeyNumbers, Rows};
use crate::per_key::{PerKey, Work};

/// The port of late rows.
const LATE: usize = 1;

/// Rows in the order of (time, place).
pub(crate) struct ByTime {
    of: Arc<PerKey>,
    ports: [Port; 2],
}

impl ByTime {
    /// Of rows that have event time.
    pub(crate) fn new(input: &Input) -> Self {
        Self {
            of: Arc::new(PerKey::new(Vec::new(), Vec::new(), &input.schema, LATE)),
            ports: [
                Port::main(Arc::clone(&input.schema)).timed(true),
                Port::named("late", envelope()),
            ],
        }
    }
}

impl Transform for ByTime {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn stages(&self) -> Vec<StagePlan> {
        self.of.stages("sort by time", |_: &StageContext| Ok(Pass))
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        self.of.needs(wanted, std::iter::empty())
    }

    fn explain(&self) -> Vec<String> {
        vec![
            "by time, then as they came; rows leave as the watermark passes them".into(),
            "spills sorted runs when its memory is full".into(),
        ]
    }
}

/// Rows are in order already.
struct Pass;

impl Work for Pass {
    fn take(
        &mut self,
        rows: Rows,
        keys: &mut KeyNumbers,
        _: &mut dyn Output,
    ) -> Result<Option<Batch>> {
        let order = keys.order(rows.times()?, &rows.keys, &rows.places()?);
        let batch = rows.batch.with_places(Places::Unknown);
        Ok(Some(batch.with_order(Some(order))))
    }

    fn save(&mut self, _: &mut KeyNumbers, _: &mut dyn Save) -> Result<()> {
        Ok(())
    }

    fn restore(&mut self, _: &mut KeyNumbers, _: &Restored<'_>, _: Share<'_>) -> Result<()> {
        Ok(())
    }

    fn bytes(&self) -> (usize, usize) {
        (0, 0)
    }
}
