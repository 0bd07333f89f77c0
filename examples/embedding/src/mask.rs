//! `mask`: hides all but the last characters of text columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow::core::component::{Configured, Info, TransformConfig};
use dataflow::core::problem::did_you_mean;
use dataflow::core::transform::{Columns, Input, Port};
use dataflow::core::{Batch, Check, Flow, Located, Output, Result, Stage, StagePlan, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

/// The table in a pipeline file. The fields' docs are the manual.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// The columns.
    columns: Vec<Located<String>>,
    /// How many characters at the end stay readable. Default 0.
    #[serde(default)]
    keep: usize,
}

impl Configured for Mask {
    const INFO: Info = Info {
        name: "mask",
        summary: "Hides all but the last characters of text columns",
        manual: "Every hidden character becomes `*`; nulls stay null.\n\n\
            It holds no rows: its memory is that of one batch.",
        example: "columns = [\"account\"]\nkeep = 2\n",
        also_called: &["redact"],
        ..Info::EMPTY
    };
}

impl TransformConfig for Mask {
    /// Checks the configuration against the columns that come in. All problems are reported, not only the first.
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let schema = &inputs.first()?.schema;
        let mut fields: Vec<Field> = schema.fields().iter().map(|f| (**f).clone()).collect();
        let (mut columns, mut complete) = (Vec::new(), true);
        for name in &self.columns {
            let Some(at) = fields.iter().position(|f| f.name() == &name.value) else {
                let help = did_you_mean(name, schema.fields().iter().map(|f| f.name().as_str()));
                check.error_at(name, format!("there is no column `{}`", name.value), help);
                complete = false;
                continue;
            };
            fields[at] = Field::new(&name.value, DataType::Utf8, fields[at].is_nullable());
            columns.push(at);
        }
        let names = self.columns.iter().map(|name| name.value.clone());
        let schema = Arc::new(Schema::new(fields));
        complete.then(|| {
            Arc::new(Planned {
                port: [Port::main(Arc::clone(&schema))],
                needed: Columns::named(names.collect::<Vec<String>>()),
                work: Masking {
                    columns,
                    keep: self.keep,
                    schema,
                },
            }) as Arc<dyn Transform>
        })
    }
}

/// What the planner sees.
struct Planned {
    port: [Port; 1],
    needed: Columns,
    work: Masking,
}

impl Transform for Planned {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    /// One stage that takes each row by itself, on whatever worker it is.
    fn stages(&self) -> Vec<StagePlan> {
        let work = self.work.clone();
        vec![StagePlan::local("mask", move |_| Ok(work.clone()))]
    }

    /// Columns that nobody reads need not be read here either.
    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        wanted[0].clone().and(&self.needed)
    }
}

/// What runs on every worker.
#[derive(Clone)]
struct Masking {
    columns: Vec<usize>,
    keep: usize,
    schema: SchemaRef,
}

impl Stage for Masking {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let mut columns = batch.rows().columns().to_vec();
        for at in &self.columns {
            // Text may come as a dictionary or with long offsets; here it leaves as plain text.
            let texts = cast(&columns[*at], &DataType::Utf8)?;
            let masked = texts.as_string::<i32>().iter();
            let masked = masked.map(|text| text.map(|text| hidden(text, self.keep)));
            columns[*at] = Arc::new(masked.collect::<StringArray>()) as ArrayRef;
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        // Other columns for the same rows: their places and their memory charge stay with them.
        out.send(0, batch.with_rows(rows));
        Ok(Flow::Ready)
    }
}

fn hidden(text: &str, keep: usize) -> String {
    let count = text.chars().count().saturating_sub(keep);
    "*".repeat(count) + &text.chars().skip(count).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_characters_stay() {
        assert_eq!(hidden("account-0042", 4), "********0042");
        assert_eq!(hidden("äö", 1), "*ö");
        assert_eq!(hidden("a", 3), "a");
        assert_eq!(hidden("", 0), "");
    }
}
