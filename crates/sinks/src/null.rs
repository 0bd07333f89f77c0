//! Takes rows and forgets them: to measure, or to run a pipeline for its metrics.

use std::sync::Arc;

use dataflow_core::component::{Configured, Info, SinkConfig};
use dataflow_core::sink::Receipt;
use dataflow_core::transform::Input;
use dataflow_core::{Batch, Check, Result, Sink, SinkContext, Writer};
use schemars::JsonSchema;
use serde::Deserialize;

/// There is nothing to set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Null {}

impl Configured for Null {
    const INFO: Info = Info {
        name: "null",
        summary: "Counts rows and forgets them",
        manual: "For measuring a pipeline, or running one for its metrics alone. Costs nothing per row.",
        example: "type = \"null\"\ninputs = [\"rows\"]\n",
        also_called: &["discard", "blackhole", "devnull"],
        ..Info::EMPTY
    };
}

impl SinkConfig for Null {
    fn build(self, _: &Input, _: &mut Check<'_>) -> Option<Arc<dyn Sink>> {
        Some(Arc::new(self))
    }
}

impl Sink for Null {
    fn open(&self, _: &SinkContext) -> Result<Box<dyn Writer>> {
        Ok(Box::new(Count::default()))
    }
}

#[derive(Default)]
struct Count {
    rows: u64,
}

impl Writer for Count {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        self.rows += batch.len() as u64;
        Ok(())
    }

    fn prepare(&mut self) -> Result<Receipt> {
        Ok(Receipt {
            rows: self.rows,
            ..Receipt::default()
        })
    }

    fn commit(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::testing::{batch, context};

    #[test]
    fn rows_are_counted() {
        let (context, _) = context();
        let mut writer = Null {}.open(&context).expect("opens");
        writer.write(&batch(5)).expect("writes");
        writer.write(&batch(2)).expect("writes");
        assert_eq!(writer.prepare().expect("prepares").rows, 7);
        writer.commit().expect("commits");
    }
}
