//! `route`: sends each row to the first port whose condition it meets.

use std::sync::Arc;

use arrow_array::BooleanArray;
use arrow_array::cast::AsArray;
use dataflow_core::component::TransformConfig;
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::{
    Batch, Check, Configured, Flow, Info, Output, Result, Stage, StagePlan, Transform,
};
use dataflow_expressions::Expression;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::reject_once;
use crate::config::{Lines, only_input};

/// Rows by named conditions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// A port's name and its condition, in the order in which they are tried: a row leaves on the first port whose
    /// condition is true, and on `other` if none is.
    routes: Lines,
}

impl Configured for Route {
    const INFO: Info = Info {
        name: "route",
        summary: "Sends each row to the first port whose condition it meets",
        manual: "The conditions are tried in the order in which they are written; a row leaves on the port of the \
            first that is true, once. Rows that meet none (or for which all are false or null) leave on `other`. Each \
            port is read as `id.name`, or not read, and counted either way; there is no main output. A row for which a condition cannot be evaluated, and \
            which no condition above it took, is a bad row.\n\n\
            It holds no rows: its memory is that of one batch. The cost is that of the conditions plus copying each \
            row once.",
        example: "routes = { hot = \"temperature > 80\", cold = \"temperature < 0\" }\n",
        ports: &[
            (
                "<name>",
                "the rows that meet the condition of this name and none above it",
            ),
            ("other", "the rows that meet none"),
        ],
        also_called: &["split", "switch", "case"],
    };
}

impl TransformConfig for Route {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        if self.routes.0.is_empty() {
            check.error("`routes` names no port: write `routes = { name = \"condition\" }`");
            return None;
        }
        let mut conditions = Vec::new();
        let mut ports: Vec<Port> = Vec::new();
        let mut wrong = false;
        for (name, text) in self.routes.iter() {
            if let Some(message) = unusable(name) {
                check.error_at(name, message, Some("choose another name".into()));
                wrong = true;
            }
            match Expression::condition(text, &input.schema, check) {
                Some(condition) => conditions.push(condition),
                None => wrong = true,
            }
            ports.push(
                Port::named(name.value.clone(), Arc::clone(&input.schema)).timed(input.timed),
            );
        }
        ports.push(Port::named("other", Arc::clone(&input.schema)).timed(input.timed));
        let explained = self
            .routes
            .iter()
            .map(|(name, text)| format!("{}: {}", name.value, text.value));
        (!wrong).then(|| -> Arc<dyn Transform> {
            Arc::new(Checked {
                explained: explained.collect(),
                conditions,
                ports,
            })
        })
    }
}

fn unusable(name: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(fits) {
        return Some(format!("`{name}` cannot name a port: use a-z, 0-9 and `_`"));
    }
    matches!(name, "other" | "errors" | "late").then(|| format!("the port `{name}` exists already"))
}

struct Checked {
    explained: Vec<String>,
    conditions: Vec<Expression>,
    ports: Vec<Port>,
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn stages(&self) -> Vec<StagePlan> {
        let conditions = self.conditions.clone();
        vec![StagePlan::local("route", move |_| {
            Ok(Routing {
                conditions: conditions.clone(),
            })
        })]
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        let read = Columns::named(self.conditions.iter().flat_map(Expression::columns));
        wanted.iter().fold(read, |all, some| all.and(some))
    }

    fn explain(&self) -> Vec<String> {
        self.explained.clone()
    }
}

struct Routing {
    conditions: Vec<Expression>,
}

impl Stage for Routing {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let other = self.conditions.len();
        let mut port_of = vec![other; batch.len()];
        let mut failed = Vec::new();
        let mut undecided = vec![true; batch.len()];
        for (port, condition) in self.conditions.iter().enumerate() {
            let evaluated = condition.evaluate(batch.rows());
            for failure in evaluated.failed {
                // A row that an earlier condition took never came to this one.
                if std::mem::replace(&mut undecided[failure.row as usize], false) {
                    failed.push(failure);
                }
            }
            let met = crate::filter::decided(evaluated.values.as_boolean());
            for row in met.values().set_indices() {
                if std::mem::replace(&mut undecided[row], false) {
                    port_of[row] = port;
                }
            }
        }
        let (batch, bad, kept) = reject_once(&batch, failed)?;
        if !bad.is_empty() {
            out.bad(bad)?;
        }
        if let Some(kept) = kept {
            port_of = kept.values().iter().map(|i| port_of[*i as usize]).collect();
        }
        let mut counts = vec![0; other + 1];
        port_of.iter().for_each(|port| counts[*port] += 1);
        for (port, rows) in counts.into_iter().enumerate() {
            if rows == 0 {
                continue;
            }
            if !out.wants(port) {
                out.unread(port, rows);
                continue;
            }
            let mine: BooleanArray = port_of.iter().map(|p| Some(*p == port)).collect();
            out.send(port, batch.filter(&mine)?);
        }
        Ok(Flow::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{build, drives, problems, rows};

    #[test]
    fn the_first_condition_takes_the_row() {
        let input = rows("x\n1\n5\nno\n-\n9\n100");
        let route = build::<Route>(
            "routes = { word = \"x = 'no'\", big = \"cast(x as bigint) > 8\", small = \"cast(x as bigint) < 100\" }",
            &input,
        );
        for drive in drives() {
            let outcome = drive.run(route.as_ref(), &input).expect("runs");
            assert_eq!(outcome.port(0), rows("x\nno"));
            assert_eq!(outcome.port(1), rows("x\n9\n100"));
            assert_eq!(outcome.port(2), rows("x\n1\n5"));
            assert_eq!(outcome.counts(), [1, 2, 2, 1]);
            assert!(outcome.bad.is_empty());
        }
        let route = build::<Route>(
            "routes = { big = \"cast(x as bigint) > 8\", word = \"x = 'no'\" }",
            &input,
        );
        let outcome = drives()[0].run(route.as_ref(), &input).expect("runs");
        assert_eq!((outcome.counts(), outcome.bad.len()), (vec![2, 0, 3], 1));
    }

    #[test]
    fn wrong_ports_are_said() {
        let input = rows("x:i64\n1");
        for (wrong, problems_expected) in [
            ("routes = {}", 1),
            ("routes = { other = \"x > 1\" }", 1),
            ("routes = { Big = \"x > 1\", b = \"y\" }", 2),
        ] {
            assert_eq!(
                problems::<Route>(wrong, &input).len(),
                problems_expected,
                "{wrong}"
            );
        }
    }
}
