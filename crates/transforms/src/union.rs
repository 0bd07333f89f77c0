//! `union`: the rows of several inputs as one stream.

use std::sync::Arc;

use dataflow_core::component::TransformConfig;
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::{
    Batch, Check, Configured, Flow, Info, Output, Result, Stage, StagePlan, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::only_input;

/// The rows of several inputs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Union {}

impl Configured for Union {
    const INFO: Info = Info {
        name: "union",
        summary: "Puts the rows of several inputs together",
        manual: "All rows of all inputs, doubled ones too. Where every input has event time they come in its order, \
            else input after input, as `inputs` lists them. The inputs must have the same columns; `select` makes \
            them so.\n\n\
            It holds no rows: its memory is that of one batch, and it copies nothing.",
        example: "",
        ports: &[],
        also_called: &["concat", "merge", "append"],
    };
}

impl TransformConfig for Union {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        Some(Arc::new(Checked {
            from: input.from.clone(),
            port: [Port::main(Arc::clone(&input.schema)).timed(input.timed)],
        }))
    }
}

struct Checked {
    from: Vec<String>,
    port: [Port; 1],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn stages(&self) -> Vec<StagePlan> {
        vec![StagePlan::local("union", |_| Ok(Passing))]
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        let none = Columns::named(Vec::<String>::new());
        wanted.iter().fold(none, |all, some| all.and(some))
    }

    fn explain(&self) -> Vec<String> {
        vec![format!("the rows of {}", self.from.join(", then of "))]
    }
}

struct Passing;

impl Stage for Passing {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        out.send(0, batch);
        Ok(Flow::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{build, drives, rows};

    #[test]
    fn rows_pass() {
        let input = rows("x:i64\n1\n2\n3");
        let union = build::<Union>("", &input);
        for drive in drives() {
            assert_eq!(
                drive.run(union.as_ref(), &input).expect("runs").rows(),
                input
            );
        }
    }
}
