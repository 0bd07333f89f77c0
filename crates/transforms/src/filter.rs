//! `filter`: passes the rows that meet a condition on, the others leave on the port `rejected`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray};
use arrow_schema::SchemaRef;
use dataflow_core::component::TransformConfig;
use dataflow_core::source::Comparison;
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::{
    Batch, Check, Configured, Flow, Info, Located, Output, Result, Stage, StagePlan, Transform,
};
use dataflow_expressions::Expression;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::reject_once;
use crate::config::only_input;

/// The rows that meet a condition.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// The condition. Rows for which it is true pass; rows for which it is false or null leave on `rejected`.
    #[serde(rename = "where")]
    condition: Located<String>,
}

impl Configured for Filter {
    const INFO: Info = Info {
        name: "filter",
        summary: "Passes the rows on that meet a condition",
        manual: "Rows for which `where` is true pass, in their order. The rest (false, and null) leaves on the port \
            `rejected`, where it may be read or not; it is counted either way. A row for which the condition cannot be evaluated (a cast that \
            fails, a division by zero) is a bad row.\n\n\
            Where nothing reads `rejected`, simple comparisons of columns with constants are handed to the source, \
            which may skip whole parts of a file by their statistics; what it skips is counted nowhere.\n\n\
            It holds no rows: its memory is that of one batch. The cost is that of the condition plus copying the rows \
            that pass; a batch that passes as a whole is not copied.",
        example: "where = \"temperature is not null and vibration < 1e3\"\n",
        ports: &[(
            "rejected",
            "the rows for which the condition is false or null",
        )],
        also_called: &["where"],
    };
}

impl TransformConfig for Filter {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let condition = Expression::condition(&self.condition, &input.schema, check)?;
        Some(Arc::new(Checked {
            text: self.condition.value,
            condition,
            ports: [
                Port::main(SchemaRef::clone(&input.schema)).timed(input.timed),
                Port::named("rejected", SchemaRef::clone(&input.schema)).timed(input.timed),
            ],
        }))
    }
}

struct Checked {
    text: String,
    condition: Expression,
    ports: [Port; 2],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn stages(&self) -> Vec<StagePlan> {
        let condition = self.condition.clone();
        vec![StagePlan::local("filter", move |_| {
            Ok(Filtering {
                condition: condition.clone(),
            })
        })]
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        let read = Columns::named(self.condition.columns());
        wanted.iter().fold(read, |all, some| all.and(some))
    }

    fn requires(&self, connected_ports: &[usize]) -> Vec<Comparison> {
        if connected_ports.contains(&1) || !self.condition.infallible() {
            return Vec::new();
        }
        self.condition.comparisons()
    }

    fn explain(&self) -> Vec<String> {
        vec![format!("rows where {}", self.text)]
    }
}

struct Filtering {
    condition: Expression,
}

impl Stage for Filtering {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let evaluated = self.condition.evaluate(batch.rows());
        let (batch, bad, kept) = reject_once(&batch, evaluated.failed)?;
        if !bad.is_empty() {
            out.bad(bad)?;
        }
        let values = match kept {
            Some(kept) => arrow_select::take::take(&evaluated.values, &kept, None)?,
            None => evaluated.values,
        };
        let passes = decided(values.as_boolean());
        let passing = passes.true_count();
        if passing < passes.len() {
            if out.wants(1) {
                let rest: BooleanArray = BooleanArray::new(!passes.values(), None);
                out.send(1, batch.filter(&rest)?);
            } else {
                out.unread(1, passes.len() - passing);
            }
        }
        if passing > 0 {
            out.send(0, batch.filter(&passes)?);
        }
        Ok(Flow::Ready)
    }
}

/// The condition with null as false.
pub(crate) fn decided(values: &BooleanArray) -> BooleanArray {
    match values.nulls() {
        Some(nulls) => BooleanArray::new(values.values() & nulls.inner(), None),
        None => values.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{build, drives, problems, rows};

    #[test]
    fn what_is_not_true_is_rejected() {
        let input = rows("x:f64 name\n1 a\n5 b\n- c\nnan d\n7 e");
        let filter = build::<Filter>("where = \"x > 2\"", &input);
        for drive in drives() {
            let outcome = drive.run(filter.as_ref(), &input).expect("runs");
            assert_eq!(
                outcome.port(0),
                rows("x:f64 name\n5 b\nnan d\n7 e"),
                "{drive:?}"
            );
            assert_eq!(outcome.port(1), rows("x:f64 name\n1 a\n- c"));
        }
    }

    #[test]
    fn a_row_that_fails_is_bad_alone() {
        let input = rows("x\n1\nno\n3");
        let filter = build::<Filter>("where = \"cast(x as bigint) > 2\"", &input);
        for drive in drives() {
            let outcome = drive.run(filter.as_ref(), &input).expect("runs");
            assert_eq!(outcome.port(0), rows("x\n3"));
            assert_eq!(outcome.port(1), rows("x\n1"));
            assert_eq!(outcome.bad.len(), 1);
            assert_eq!(outcome.bad[0].place, Some(dataflow_core::Place(1)));
        }
    }

    #[test]
    fn only_what_is_in_use_is_asked_for() {
        let input = rows("x:f64 name other\n1 a b");
        let filter = build::<Filter>("where = \"x > 2\"", &input);
        let none = Columns::named(Vec::<String>::new());
        let wanted = [Columns::named(["name"]), none];
        assert_eq!(filter.needs(0, &wanted), Columns::named(["name", "x"]));
        assert_eq!(filter.requires(&[0]).len(), 1);
        assert!(filter.requires(&[0, 1]).is_empty());
    }

    #[test]
    fn wrong_conditions_are_said() {
        let input = rows("x:f64 name\n1 a");
        for wrong in [
            "where = \"y > 2\"",
            "where = \"name\"",
            "were = \"x > 1\"",
            "where = \"x >\"",
        ] {
            assert_eq!(problems::<Filter>(wrong, &input).len(), 1, "{wrong}");
        }
    }
}
