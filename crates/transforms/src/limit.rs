//! `limit`: the first rows, and no more.

use std::sync::Arc;

use dataflow_core::component::TransformConfig;
use dataflow_core::saved::{Restored, Save};
use dataflow_core::transform::{Columns, Emits, Input, Port, Route};
use dataflow_core::{
    Batch, Check, Configured, Flow, Info, Output, Result, Stage, StagePlan, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::config::only_input;

/// The first rows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    /// How many rows.
    rows: u64,
}

impl Configured for Limit {
    const INFO: Info = Info {
        name: "limit",
        summary: "Passes the first rows on and stops reading",
        manual: "The first `rows` rows in the order of the input. When they have passed, the sources that only it reads \
            are stopped.\n\n\
            Rows go through one worker, in order. It holds no rows: its memory is that of one batch.",
        example: "rows = 10\n",
        ports: &[],
        also_called: &["head", "take", "first"],
    };
}

impl TransformConfig for Limit {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        Some(Arc::new(Checked {
            rows: self.rows,
            port: [Port::main(Arc::clone(&input.schema))
                .timed(input.timed)
                .sampled(input.sampled.known())],
        }))
    }
}

struct Checked {
    rows: u64,
    port: [Port; 1],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn stages(&self) -> Vec<StagePlan> {
        let rows = self.rows;
        let mut plan = StagePlan::local("first rows", move |_| Ok(First { left: rows }));
        plan.route = Route::Gather;
        plan.ordered = true;
        plan.emits = Emits::InOrder;
        plan.ends_early = true;
        vec![plan]
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        let none = Columns::named(Vec::<String>::new());
        wanted.iter().fold(none, |all, some| all.and(some))
    }

    fn explain(&self) -> Vec<String> {
        vec![format!("the first {} rows, in order", self.rows)]
    }
}

struct First {
    left: u64,
}

impl Stage for First {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let taken = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(batch.len());
        self.left -= taken as u64;
        if taken > 0 {
            out.send(0, batch.slice(0, taken));
        }
        Ok(if self.left == 0 {
            Flow::Done
        } else {
            Flow::Ready
        })
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        into.value(LEFT, self.left.into());
        Ok(())
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        // One worker has all rows, so one has saved.
        let left = from.values(LEFT)?.first().and_then(Value::as_u64);
        self.left = left.unwrap_or(self.left);
        Ok(())
    }
}

/// The name under which is saved how many rows are still to pass.
const LEFT: &str = "left";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{build, cuts, drives, rows};

    #[test]
    fn the_first_rows_pass() {
        let input = rows("x:i64\n1\n2\n3\n4");
        for (limit, count) in [(0, 0), (1, 1), (3, 3), (4, 4), (9, 4)] {
            let transform = build::<Limit>(&format!("rows = {limit}"), &input);
            for drive in drives() {
                let outcome = drive.run(transform.as_ref(), &input).expect("runs");
                assert_eq!(outcome.rows(), input.slice(0, count), "{limit} {drive:?}");
            }
            for drive in cuts() {
                let drive = dataflow_testkit::Drive {
                    piece_rows: 1,
                    cut_every: 1,
                    ..drive
                };
                let outcome = drive.run(transform.as_ref(), &input).expect("runs");
                assert_eq!(outcome.rows(), input.slice(0, count), "{limit} {drive:?}");
            }
        }
    }
}
