//! `lookup`: columns of a table that fits into memory, added to the rows of a stream as they pass.
//!
//! The table is read first: its rows go to every worker with their keys (`keying`), and each worker makes an index of them
//! (`table`). Then the rows of the main side pass (`passing`), on whatever worker they are, in their order and with their times.

mod keying;
mod passing;
mod table;
mod valid;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{FieldRef, Schema, SchemaRef};
use dataflow_core::component::TransformConfig;
use dataflow_core::transform::{Columns, Emits, Input, Port, Route};
use dataflow_core::{Check, Configured, Info, Located, StagePlan, Transform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::By;
use crate::matching::{Added, Keep, KeyPairs, both_inputs};
use keying::Keying;
use passing::Passing;
use valid::Valid;

/// Columns of a table, added to rows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lookup {
    /// The table: the id of a component, or `id.port`. It is read to its end first, and must fit into memory.
    table: Located<String>,
    /// The columns that must be equal: a list of names that both sides have, or a table of the main side's names and the
    /// table's: `{ day = "date" }`.
    on: By,
    /// What becomes of rows that match nothing: they leave with null in the table's columns (`left`), or do not leave (`inner`).
    #[serde(default)]
    kind: Kind,
    /// Which of the table's rows are taken where several match: the `"first"` or the `"last"` in the order of the table, or
    /// `"all"`: then a row leaves once for each.
    #[serde(default = "first")]
    keep: Keep,
    /// Put before the names of the table's columns. Default: nothing.
    #[serde(default)]
    prefix: Option<Located<String>>,
    /// Columns of the table between which the time of a row must lie for a match: `from <= time < to`, where null is open.
    /// `{ from = "start", to = "end" }`. Default: rows of the table hold for all time.
    #[serde(default)]
    valid: Option<Valid>,
}

fn first() -> Keep {
    Keep::First
}

/// What becomes of rows that match nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// They do not leave.
    Inner,
    /// They leave, with null in the table's columns.
    #[default]
    Left,
}

impl Configured for Lookup {
    const INFO: Info = Info {
        name: "lookup",
        summary: "Adds the columns of a table that fits into memory to the rows that match it",
        manual: "The table is read to its end before the first row of `inputs`, and held in memory by every worker. Then each \
            row gets the columns of the table's row that is equal to it in all columns of `on`, without these. Rows keep their order \
            and their event time. A null is equal to nothing, also not to a null; -0.0 is 0.0, and all NaN are one. Columns of different \
            types are compared where that is exact (`int32` with `int64`, but not `int64` with `float64`).\n\n\
            With `valid`, a row of the table holds for a time: prices from a day to another, the calibration of a sensor between \
            two services. It matches rows whose event time lies in it; a null in `from` or `to` is open.\n\n\
            The sources behind the table are read first, so they cannot be those of `inputs`: where both are in one file, read it \
            with two sources. The memory is that of the table, and some 30 bytes per row of it for each worker. A table that is larger \
            than this stage's share of the memory stops the run: use `join`, which spills. The cost per row is that of encoding its key, \
            of one hash lookup and of copying what it gets.",
        example: "table = \"prices\"\non = { region = \"area\" }\n",
        ports: &[],
        also_called: &["enrich", "map_join", "broadcast_join", "vlookup"],
    };
}

impl TransformConfig for Lookup {
    const TABLES: &'static [&'static str] = &["table"];

    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let (main, table) = both_inputs(inputs, &self.table, check)?;
        let valid = match &self.valid {
            Some(valid) => valid.check((main, table), check),
            None => true,
        };
        let pairs = KeyPairs::check(&self.on, (main, table), check)?;
        let added = Added::check(
            &main.schema,
            (table, pairs.names(1)),
            (&self.table, &self.prefix),
            self.kind == Kind::Left,
            check,
        )?;
        if !valid {
            return None;
        }
        Some(Arc::new(Checked {
            port: [Port::main(self.shape(main, &added)).timed(main.timed)],
            held: held(table, &added, self.valid.as_ref()),
            table: self.table.value,
            kind: self.kind,
            keep: self.keep,
            valid: self.valid,
            pairs,
            added,
        }))
    }
}

impl Lookup {
    /// The columns that leave.
    fn shape(&self, main: &Input, added: &Added) -> SchemaRef {
        let fields: Vec<FieldRef> = main
            .schema
            .fields()
            .iter()
            .chain(added.fields())
            .cloned()
            .collect();
        // What is said of the rows as a whole holds for as long as they are the same rows.
        let same = self.kind == Kind::Left && self.keep != Keep::All;
        let said = if same {
            main.schema.metadata().clone()
        } else {
            HashMap::new()
        };
        Arc::new(Schema::new_with_metadata(fields, said))
    }
}

/// The table's columns that are held: those that leave, and those that say when a row holds.
fn held(table: &Input, added: &Added, valid: Option<&Valid>) -> SchemaRef {
    let needed = |name: &str| {
        let leaves = added.names().any(|added| added == name);
        leaves || valid.is_some_and(|valid| valid.names().contains(&name))
    };
    let fields = table.schema.fields().iter();
    let fields = fields.filter(|field| needed(field.name())).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A lookup, ready to run.
struct Checked {
    port: [Port; 1],
    table: String,
    kind: Kind,
    keep: Keep,
    valid: Option<Valid>,
    pairs: KeyPairs,
    added: Added,
    held: SchemaRef,
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn before(&self, input: usize) -> Vec<StagePlan> {
        if input == 0 {
            return Vec::new();
        }
        let (pairs, held) = (self.pairs.clone(), Arc::clone(&self.held));
        let mut plan = StagePlan::local("keys of the table", move |_| {
            Keying::new(&pairs, Arc::clone(&held))
        });
        plan.places = true;
        plan.emits = Emits::Unordered;
        vec![plan]
    }

    fn loads(&self, input: usize) -> bool {
        input == 1
    }

    fn stages(&self) -> Vec<StagePlan> {
        let work = passing::Work {
            inner: self.kind == Kind::Inner,
            keep: self.keep,
            valid: self.valid.clone(),
            schema: Arc::clone(&self.port[0].schema),
            columns: self.added.names().cloned().collect(),
            held: Arc::clone(&self.held),
        };
        let (work, pairs) = (Arc::new(work), self.pairs.clone());
        let mut plan = StagePlan::local("lookup", move |context| {
            Passing::new(context, Arc::clone(&work), pairs.side(0)?)
        });
        plan.further = vec![Route::Everywhere];
        plan.amplifies = self.keep == Keep::All;
        plan.stateful = true;
        vec![plan]
    }

    fn needs(&self, input: usize, wanted: &[Columns]) -> Columns {
        let keys = self.pairs.names(input);
        if input == 0 {
            return self.added.beside(&wanted[0], keys);
        }
        let times = self.valid.iter().flat_map(Valid::names);
        let own = Columns::named(keys.iter().map(String::as_str).chain(times));
        self.added.behind(&wanted[0]).and(&own)
    }

    fn explain(&self) -> Vec<String> {
        let kind = match self.kind {
            Kind::Left => "",
            Kind::Inner => "; rows without a match do not leave",
        };
        vec![
            format!("on {}{kind}", self.pairs.explained()),
            format!(
                "`{}` is read first, and held in memory by every worker",
                self.table
            ),
        ]
    }
}

#[cfg(test)]
mod tests;
