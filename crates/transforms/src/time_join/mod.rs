//! What joins over event time share: rows of two inputs, of which those of one key match that happened near one another.
//!
//! Both sides go to the owners of their keys (`keying`), where they wait until the watermark says that all that may match has come
//! (`streaming`), or for the end where that is never sure before (`at_end`). The main side leaves in the order of (time, key, place) (`ordered`); of the table's rows those are held that can
//! still match (`held`), which the rule tells (`rule`).

mod at_end;
#[cfg(test)]
mod golden;
mod held;
mod keying;
mod keys;
#[cfg(test)]
pub(crate) mod model;
mod ordered;
mod rule;
mod streaming;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, TimestampNanosecondArray, UInt32Array};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use dataflow_core::batch::rows_of;
use dataflow_core::plan::envelope;
use dataflow_core::time::Instant;
use dataflow_core::transform::{Columns, Emits, Input, Port, Route};
use dataflow_core::units::Bytes;
use dataflow_core::{
    Batch, Check, Error, Located, Places, Result, StageContext, StagePlan, Transform,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::By;
use crate::matching::{Added, KeyPairs, both_inputs};
use at_end::AtEnd;
use keying::Keying;
pub(crate) use rule::{Nearest, Rule};
use streaming::Streaming;

/// The port of late rows.
const LATE: usize = 1;

/// The ports besides the main one.
pub(crate) const PORTS: &[(&str, &str)] = &[(
    "late",
    "rows of either side that happened longer before a row in front of them than their source's `lateness` allows",
)];

/// What becomes of rows without a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unmatched {
    /// They do not leave.
    Inner,
    /// They leave, with nulls in the table's columns.
    Left,
}

/// What is written in a pipeline file.
pub(crate) struct Written<'a> {
    /// The component's name.
    pub(crate) name: &'static str,
    pub(crate) table: &'a Located<String>,
    pub(crate) on: &'a By,
    pub(crate) kind: Unmatched,
    pub(crate) prefix: &'a Option<Located<String>>,
    pub(crate) time_as: &'a Option<Located<String>>,
    /// Whether there may be no keys.
    pub(crate) keyless: bool,
}

/// One side.
#[derive(Clone)]
struct Side {
    /// What its rows are called: rows of its name.
    whose: &'static str,
    name: String,
    keys: Vec<String>,
    schema: SchemaRef,
    /// Whether rows leave whose key has a null, which match nothing.
    keeps: bool,
}

/// A join, checked.
#[derive(Clone)]
struct Work {
    rule: Rule,
    left: bool,
    /// The types in which keys are compared.
    types: Vec<DataType>,
    sides: [Side; 2],
    /// The table's columns that leave.
    added: Vec<usize>,
    added_schema: SchemaRef,
    /// Whether the time of the table's row leaves.
    tells_time: bool,
    output: SchemaRef,
}

impl Work {
    /// The key columns of one side's rows.
    fn keys(&self, input: usize, rows: &RecordBatch) -> Vec<ArrayRef> {
        let names = self.sides[input].keys.iter();
        let columns = names.filter_map(|name| rows.column_by_name(name));
        columns.map(Arc::clone).collect()
    }

    /// Rows of the main side with what the table adds.
    fn joined(
        &self,
        rows: &Batch,
        main: &[u32],
        mut added: Vec<ArrayRef>,
        times: Vec<Option<Instant>>,
    ) -> Result<Batch> {
        if self.tells_time {
            let times = TimestampNanosecondArray::from(times).with_timezone("UTC");
            added.push(Arc::new(times));
        }
        let first = main.first().map_or(0, |row| *row as usize);
        let together = main.iter().zip(first as u32..).all(|(row, at)| *row == at);
        let rows = match together {
            true => rows.slice(first, main.len()),
            false => rows.take(&UInt32Array::from(main.to_vec()))?,
        };
        let mut columns = rows.rows().columns().to_vec();
        columns.append(&mut added);
        let joined = rows_of(Arc::clone(&self.output), columns, rows.len())?;
        Ok(rows.with_rows(joined).with_places(Places::Unknown))
    }

    /// Stops where rows that cannot be spilled take too much.
    fn too_large(&self, rows: usize, bytes: usize, context: &StageContext) -> Result<()> {
        if bytes <= TOLERATED.max(2 * context.memory) {
            return Ok(());
        }
        let message = format!(
            "{rows} rows of the table {} may still match and take {}, of a budget of {} for this stage; they cannot be spilled",
            self.sides[1].name,
            Bytes(bytes as u64).for_people(),
            Bytes(context.memory as u64).for_people()
        );
        let help = match self.rule {
            Rule::Nearest(Nearest {
                tolerance: None, ..
            }) => "raise `memory` in [engine], set a `tolerance`, or use fewer keys",
            Rule::Nearest(_) => "raise `memory` in [engine], or set a shorter `tolerance`",
            Rule::Within { .. } => "raise `memory` in [engine], or set a shorter `within`",
        };
        Err(Error::resource(message)
            .component(context.id.to_string())
            .help(help))
    }
}

/// Below this, rows over the budget are no reason to stop.
const TOLERATED: usize = 16 << 20;

/// Checks a join against its inputs.
pub(crate) fn build(
    written: &Written<'_>,
    rule: Rule,
    explained: Vec<String>,
    inputs: &[Input],
    check: &mut Check<'_>,
) -> Option<Arc<dyn Transform>> {
    let (main, table) = both_inputs(inputs, written.table, check)?;
    let timed = are_timed(written, main, table, check);
    let none = matches!(written.on, By::Columns(columns) if columns.is_empty());
    let pairs = match none && written.keyless {
        true => None,
        false => Some(KeyPairs::check(written.on, (main, table), check)?),
    };
    let keys = |input: usize| pairs.as_ref().map_or(&[][..], |pairs| pairs.names(input));
    let left = written.kind == Unmatched::Left;
    let at = (written.table, written.prefix);
    let added = Added::check(&main.schema, (table, keys(1)), at, left, check)?;
    let mut output: Vec<FieldRef> = main.schema.fields().iter().cloned().collect();
    output.extend(added.fields().cloned());
    if let Some(name) = written.time_as {
        output.push(time_field(name, &output, left, check)?);
    }
    if !timed {
        return None;
    }
    let fields = table.schema.fields();
    let names: BTreeSet<&String> = added.names().collect();
    let leaves = |at: &usize| names.contains(fields[*at].name());
    let indices: Vec<usize> = (0..fields.len()).filter(leaves).collect();
    let added_schema = table.schema.project(&indices).ok()?;
    let side = |input: &Input, keys: &[String], whose: &'static str, keeps: bool| Side {
        whose,
        name: format!("`{}`", input.from.join("`, `")),
        keys: keys.to_vec(),
        schema: Arc::clone(&input.schema),
        keeps,
    };
    let work = Work {
        rule,
        left,
        types: pairs.as_ref().map_or(Vec::new(), |p| p.types().to_vec()),
        sides: [
            side(main, keys(0), "a row of", left),
            side(table, keys(1), "a row of the table", false),
        ],
        added: indices,
        added_schema: Arc::new(added_schema),
        tells_time: written.time_as.is_some(),
        output: Arc::new(Schema::new_with_metadata(
            output,
            main.schema.metadata().clone(),
        )),
    };
    let on = pairs.as_ref().map_or("all rows".into(), |pairs| {
        format!("on {}", pairs.explained())
    });
    let first = format!("{}, {on}", explained.join(", "));
    Some(Arc::new(TimeJoin {
        ports: [
            Port::main(Arc::clone(&work.output)).timed(true),
            Port::named("late", envelope()),
        ],
        explained: vec![first],
        time_as: written.time_as.as_ref().map(|name| name.value.clone()),
        work: Arc::new(work),
        added,
    }))
}

/// Whether both sides have event time.
fn are_timed(written: &Written<'_>, main: &Input, table: &Input, check: &mut Check<'_>) -> bool {
    let help = || {
        Some("say in the source which column has it: time = { column = \"timestamp\" }".to_string())
    };
    let name = written.name;
    let message = |which: &str, input: &Input| {
        format!(
            "`{name}` matches rows by their event time, and the rows of {which}`{}` have none",
            input.from.join("`, `")
        )
    };
    if !main.timed {
        let whole = Located {
            value: (),
            span: check.span,
        };
        check.error_at(&whole, message("", main), help());
    }
    if !table.timed {
        check.error_at(written.table, message("the table ", table), help());
    }
    main.timed && table.timed
}

/// The column of the time of the table's row.
fn time_field(
    name: &Located<String>,
    others: &[FieldRef],
    nullable: bool,
    check: &mut Check<'_>,
) -> Option<FieldRef> {
    if others.iter().any(|field| *field.name() == name.value) {
        let message = format!("there would be two columns `{}`", name.value);
        check.error_at(name, message, Some("choose another name".into()));
        return None;
    }
    Some(Arc::new(Field::new(&name.value, time_type(), nullable)))
}

/// The type of the time of the table's row.
fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// A join over event time.
struct TimeJoin {
    ports: [Port; 2],
    explained: Vec<String>,
    time_as: Option<String>,
    work: Arc<Work>,
    added: Added,
}

impl Transform for TimeJoin {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn before(&self, input: usize) -> Vec<StagePlan> {
        let work = Arc::clone(&self.work);
        let name = match input {
            0 => "rows in time",
            _ => "rows of the table in time",
        };
        let mut plan = StagePlan::local(name, move |context| Keying::new(&context, &work, input));
        plan.places = true;
        plan.emits = Emits::Unordered;
        plan.sides = true;
        plan.timed = true;
        vec![plan]
    }

    fn stages(&self) -> Vec<StagePlan> {
        let work = Arc::clone(&self.work);
        let mut plan = match (self.work.rule, self.work.rule.wait()) {
            (Rule::Nearest(nearest), None) => {
                StagePlan::local("rows matched by time at the end", move |context| {
                    AtEnd::new(context, &work, nearest)
                })
            }
            (_, wait) => StagePlan::local("rows matched by time", move |context| {
                Streaming::new(context, &work, wait.unwrap_or(i64::MAX))
            }),
        };
        plan.route = match self.work.types.is_empty() {
            true => Route::Gather,
            false => Route::Keyed,
        };
        plan.emits = Emits::SortedAtEnd;
        plan.stateful = true;
        plan.amplifies = true;
        plan.timed = true;
        vec![plan]
    }

    fn needs(&self, input: usize, wanted: &[Columns]) -> Columns {
        // Late rows are told as they came.
        let nothing = Columns::Some(BTreeSet::new());
        if wanted.get(LATE).is_some_and(|late| *late != nothing) {
            return Columns::All;
        }
        let mut leaves = wanted[0].clone();
        if let (Columns::Some(leaves), Some(time)) = (&mut leaves, &self.time_as) {
            leaves.remove(time);
        }
        let keys = &self.work.sides[input].keys;
        match input {
            0 => self.added.beside(&leaves, keys),
            _ => self.added.behind(&leaves).and(&Columns::named(keys)),
        }
    }

    fn explain(&self) -> Vec<String> {
        self.explained.clone()
    }
}
