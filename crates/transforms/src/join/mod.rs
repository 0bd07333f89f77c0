//! `join`: the rows of two inputs that are equal in some columns, put side by side.
//!
//! Rows of both sides travel to the owners of their keys (`keying`), who sort them by key and place and spill what does not fit. When
//! both have ended, each owner merges the two (`merging`): the table's rows of one key are put aside (`group`), on disk if they
//! are many, and each row of the main side is written with each of them (`pairs`).

mod cursor;
mod group;
mod keying;
mod merging;
mod pairs;

use std::sync::Arc;

use arrow_schema::{FieldRef, Schema};
use dataflow_core::component::TransformConfig;
use dataflow_core::transform::{Columns, Emits, Input, Port, Route};
use dataflow_core::{Check, Configured, Info, Located, StagePlan, Transform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::plain_type;
use crate::config::By;
use crate::matching::{Added, Keep, KeyPairs, both_inputs};
use keying::Keying;
use merging::Joining;
use pairs::{Shape, Value};

/// Rows of two inputs, side by side.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Join {
    /// The other side: the id of a component, or `id.port`.
    table: Located<String>,
    /// The columns that must be equal: a list of names that both sides have, or a table of the main side's names and the
    /// table's: `{ day = "date" }`.
    on: By,
    /// Which rows leave besides those that match: none (`inner`), also those of `inputs` without a match (`left`), also those of
    /// either side without a match (`full`).
    #[serde(default)]
    kind: Kind,
    /// Which of the table's rows of one key count: `"first"` or `"last"` in the order of the table, or all of them.
    #[serde(default)]
    keep: Keep,
    /// Put before the names of the table's columns. Default: nothing.
    #[serde(default)]
    prefix: Option<Located<String>>,
}

/// Which rows leave besides those that match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// None.
    #[default]
    Inner,
    /// The rows of `inputs`.
    Left,
    /// The rows of both sides.
    Full,
}

impl Kind {
    /// Whether rows of an input leave that match nothing.
    fn keeps(self, input: usize) -> bool {
        match input {
            0 => self != Self::Inner,
            _ => self == Self::Full,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Inner => "inner",
            Self::Left => "left",
            Self::Full => "full",
        }
    }
}

impl Configured for Join {
    const INFO: Info = Info {
        name: "join",
        summary: "Puts rows of two inputs side by side that are equal in some columns",
        manual: "Each row of `inputs` leaves with each row of `table` that is equal to it in all columns of `on`. \
            The columns are those of `inputs` and then those of the table without its columns of `on`. A null is equal to nothing, \
            also not to a null; -0.0 is 0.0, and all NaN are one. Columns of different types are compared where that is exact \
            (`int32` with `int64`, but not `int64` with `float64`).\n\n\
            With `kind = \"left\"` rows of `inputs` that match nothing leave too, with null in the table's columns; with \
            `\"full\"` those of the table as well. The columns of `on` then hold whichever side's value there is.\n\n\
            Rows leave in the order of their keys (ascending, NaN above all numbers, null last), then as they came in \
            `inputs`, then as they came in the table. They have no event time.\n\n\
            Nothing leaves before both inputs have ended. Both are sorted by key, on the workers that own the keys, and what is over \
            their share of the memory is spilled to disk and merged at the end. The table's rows of one key are held while they meet the \
            rows of `inputs`, and are on disk if they are many: a million rows that match a million others need time, and no \
            memory. The cost per row is that of encoding its key and of sorting. Where one side fits into memory, \
            `lookup` needs no sorting and keeps the order and the event time of the other.",
        example: "table = \"prices\"\non = { region = \"area\" }\nkind = \"left\"\n",
        ports: &[],
        also_called: &[
            "merge_join",
            "inner_join",
            "left_join",
            "full_join",
            "outer_join",
        ],
    };
}

impl TransformConfig for Join {
    const TABLES: &'static [&'static str] = &["table"];

    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let (main, table) = both_inputs(inputs, &self.table, check)?;
        // Without the pairs it is not known which of the table's columns leave.
        let pairs = KeyPairs::check(&self.on, (main, table), check)?;
        let added = Added::check(
            &main.schema,
            (table, pairs.names(1)),
            (&self.table, &self.prefix),
            self.kind.keeps(0),
            check,
        )?;
        let shape = shape(self.kind, (main, table), &pairs, &added);
        Some(Arc::new(Checked {
            port: [Port::main(Arc::clone(&shape.schema))],
            sides: [0, 1].map(|input| Side::of(input, &inputs[input], self.kind, &pairs)),
            kind: self.kind,
            keep: self.keep,
            shape: Arc::new(shape),
            pairs,
            added,
        }))
    }
}

/// The columns that leave, and what they are made of.
fn shape(kind: Kind, (main, table): (&Input, &Input), pairs: &KeyPairs, added: &Added) -> Shape {
    let mut fields: Vec<FieldRef> = Vec::new();
    let mut values = Vec::new();
    for (at, field) in main.schema.fields().iter().enumerate() {
        let mut names = pairs.names(0).iter().zip(pairs.names(1));
        let key = names.position(|(name, _)| name == field.name());
        let key = key.filter(|_| kind == Kind::Full);
        let Some(key) = key else {
            let nullable = field.is_nullable() || kind.keeps(1);
            fields.push(Arc::new(field.as_ref().clone().with_nullable(nullable)));
            values.push(Value::Of(0, at));
            continue;
        };
        let other = table.schema.fields().iter();
        let other = other
            .zip(0..)
            .find(|(f, _)| *f.name() == pairs.names(1)[key]);
        let Some((other, there)) = other else {
            continue;
        };
        let (here, its) = (plain_type(field.data_type()), plain_type(other.data_type()));
        let data_type = if here == its {
            here
        } else {
            pairs.types()[key].clone()
        };
        let nullable = field.is_nullable() || other.is_nullable();
        let made = field.as_ref().clone().with_nullable(nullable);
        fields.push(Arc::new(made.with_data_type(data_type)));
        values.push(Value::Either(at, there));
    }
    // The table's rows come without its keys, unless these are needed.
    let kept = kept(1, table, kind, pairs);
    for (name, field) in added.names().zip(added.fields()) {
        let at = kept.iter().position(|kept| kept == name);
        values.push(Value::Of(1, at.unwrap_or(0)));
        fields.push(Arc::clone(field));
    }
    for value in &mut values {
        if let Value::Either(_, there) = value {
            let name = table.schema.field(*there).name();
            *there = kept.iter().position(|kept| kept == name).unwrap_or(0);
        }
    }
    Shape {
        schema: Arc::new(Schema::new(fields)),
        values,
    }
}

/// The columns of an input that travel.
fn kept(input: usize, from: &Input, kind: Kind, pairs: &KeyPairs) -> Vec<String> {
    let fields = from.schema.fields().iter();
    let names = fields.map(|field| field.name());
    let is_needed =
        |name: &&String| input == 0 || kind == Kind::Full || !pairs.names(1).contains(name);
    names.filter(is_needed).cloned().collect()
}

/// One side of a join.
#[derive(Clone)]
struct Side {
    input: usize,
    /// The columns that travel.
    schema: arrow_schema::SchemaRef,
    /// Whether rows leave that match nothing.
    keeps: bool,
}

impl Side {
    fn of(input: usize, from: &Input, kind: Kind, pairs: &KeyPairs) -> Self {
        let kept = kept(input, from, kind, pairs);
        let fields = from.schema.fields().iter();
        let fields = fields.filter(|field| kept.contains(field.name())).cloned();
        Self {
            input,
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            keeps: kind.keeps(input),
        }
    }
}

struct Checked {
    port: [Port; 1],
    kind: Kind,
    keep: Keep,
    pairs: KeyPairs,
    added: Added,
    sides: [Side; 2],
    shape: Arc<Shape>,
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn before(&self, input: usize) -> Vec<StagePlan> {
        let (side, pairs) = (self.sides[input].clone(), self.pairs.clone());
        let name = if input == 0 {
            "keys"
        } else {
            "keys of the table"
        };
        let mut plan = StagePlan::local(name, move |_| Keying::new(&side, &pairs));
        plan.places = true;
        plan.emits = Emits::Unordered;
        vec![plan]
    }

    fn stages(&self) -> Vec<StagePlan> {
        let (kind, keep) = (self.kind, self.keep);
        let (shape, sides) = (Arc::clone(&self.shape), self.sides.clone());
        let mut plan = StagePlan::local("join", move |context| {
            Ok(Joining::new(
                context,
                (kind, keep),
                &sides,
                Arc::clone(&shape),
            ))
        });
        plan.route = Route::Keyed;
        plan.emits = Emits::SortedAtEnd;
        plan.amplifies = true;
        plan.stateful = true;
        vec![plan]
    }

    fn needs(&self, input: usize, wanted: &[Columns]) -> Columns {
        let keys = self.pairs.names(input);
        match input {
            0 => self.added.beside(&wanted[0], keys),
            _ => self.added.behind(&wanted[0]).and(&Columns::named(keys)),
        }
    }

    fn explain(&self) -> Vec<String> {
        let keep = match self.keep {
            Keep::First => ", the first of the table's rows of each key",
            Keep::Last => ", the last of the table's rows of each key",
            Keep::All => "",
        };
        vec![
            format!(
                "{} join on {}{keep}",
                self.kind.word(),
                self.pairs.explained()
            ),
            "spills sorted runs of both sides when its memory is full".into(),
        ]
    }
}

#[cfg(test)]
mod tests;
