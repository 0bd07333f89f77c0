//! `sort`: all rows in an order of one's own, external where they do not fit into memory.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, SchemaRef};
use dataflow_core::component::TransformConfig;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::transform::{Columns, Emits, Input, Port};
use dataflow_core::{
    Batch, Check, Configured, Error, Flow, Info, Located, Output, Result, Stage, StageContext,
    StagePlan, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::by_time::ByTime;
use crate::columns::{KeyColumn, KeySet, Keyed, conform};
use crate::config::{Texts, only_input};
use crate::per_key::needs_time;
use dataflow_core::sorter::{Sorted, Sorter};

/// All rows, sorted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sort {
    /// What to sort by, first things first: columns or expressions, ascending, or descending with ` desc` behind:
    /// `["device", "temperature desc"]`. Default: nothing; then say `by_time`.
    #[serde(default)]
    by: Texts,
    /// Whether to sort by event time, with `true`: rows leave as soon as nothing older can come, rather than at the end. Not
    /// together with `by`. Default false.
    #[serde(default)]
    by_time: Located<bool>,
}

impl Configured for Sort {
    const INFO: Info = Info {
        name: "sort",
        summary: "Sorts all rows by columns or expressions, or by event time",
        manual: "Ascending, or descending where ` desc` stands behind an entry. NaN is above all numbers; nulls are last \
            either way; text is compared by its bytes. Rows that are equal in all of `by` keep the order that they \
            came in. A row for which an expression fails is a bad row.\n\n\
            Rows are held until its share of the memory is full, then spilled to disk as sorted runs and merged at the \
            end: memory is constant, the disk holds all rows once (more than 64 runs are merged in passes). \
            Nothing leaves before the last row has come. The cost per row is that of encoding its keys and log(rows) \
            comparisons of bytes. Use `top` where only the first rows matter.\n\n\
            With `by_time`, rows are put in the order of their event time, which the input must have; those of one instant keep the \
            order that they came in. A row leaves as soon as the watermark has passed it, so only as many rows wait as happened \
            within the source's `lateness`, or came from files that are ahead of others; what does not fit into memory goes to disk. \
            Rows that are older than their source's `lateness` allows leave on `late`.",
        example: "by = [\"device\", \"temperature desc\"]\n",
        ports: &[(
            "late",
            "with `by_time`: rows that came too late to be put in order, in the envelope of bad rows",
        )],
        also_called: &["order", "order_by", "sort_by", "reorder"],
    };
}

impl TransformConfig for Sort {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        if self.by_time.value {
            return self.in_time(input, check);
        }
        if self.by.0.is_empty() {
            check.error("`by` names nothing to sort by: write columns, or `by_time = true`");
            return None;
        }
        let explained = self
            .by
            .0
            .iter()
            .map(|text| text.value.clone())
            .collect::<Vec<_>>();
        let (columns, descending) = directed(&self.by, false, &input.schema, check)?;
        let keys = unwrapped(ordered_keys(columns, descending), check)?;
        Some(Arc::new(Checked {
            explained: format!("by {}, then as they came", explained.join(", ")),
            keys: Arc::new(keys),
            port: [Port::main(Arc::clone(&input.schema)).timed(input.timed)],
        }))
    }
}

impl Sort {
    fn in_time(self, input: &Input, check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        if let Some(by) = self.by.0.first() {
            let help = "remove one of the two; rows that are equal in time keep the order that they came in";
            check.error_at(
                by,
                "`by` and `by_time` exclude each other",
                Some(help.into()),
            );
            return None;
        }
        needs_time("`by_time`", input, check)?;
        Some(Arc::new(ByTime::new(input)))
    }
}

/// Columns or expressions with ` asc` or ` desc` behind, and whether each is descending.
pub(crate) fn directed(
    texts: &Texts,
    descending: bool,
    schema: &SchemaRef,
    check: &mut Check<'_>,
) -> Option<(Vec<KeyColumn>, Vec<bool>)> {
    let checked: Vec<_> = texts
        .0
        .iter()
        .map(|text| {
            let (text, down) = direction(text, descending, schema);
            KeyColumn::written(&text, schema, check).map(|column| (column, down))
        })
        .collect();
    let checked: Option<Vec<_>> = checked.into_iter().collect();
    checked.map(|list| list.into_iter().unzip())
}

fn direction(
    text: &Located<String>,
    descending: bool,
    schema: &SchemaRef,
) -> (Located<String>, bool) {
    if schema.field_with_name(text).is_ok() {
        return (text.clone(), descending);
    }
    let trimmed = text.trim_end();
    for (word, down) in [(" desc", true), (" asc", false)] {
        let start = trimmed.len().saturating_sub(word.len());
        if trimmed
            .get(start..)
            .is_some_and(|end| end.eq_ignore_ascii_case(word))
        {
            let text = Located {
                value: trimmed[..start].to_string(),
                span: text.span,
            };
            return (text, down);
        }
    }
    (text.clone(), descending)
}

/// The value, or a problem of the whole component.
pub(crate) fn unwrapped<T>(made: Result<T>, check: &mut Check<'_>) -> Option<T> {
    made.map_err(|error| check.error(error.what().to_string()))
        .ok()
}

/// Keys that end with the row's place, so that no two are equal.
pub(crate) struct OrderKeys {
    by: KeySet,
    all: dataflow_core::order::Keys,
}

/// Keys of these columns and then of the place.
pub(crate) fn ordered_keys(columns: Vec<KeyColumn>, descending: Vec<bool>) -> Result<OrderKeys> {
    let mut types: Vec<(DataType, bool)> = columns
        .iter()
        .zip(&descending)
        .map(|(column, down)| (column.field().data_type().clone(), *down))
        .collect();
    types.push((DataType::UInt64, false));
    Ok(OrderKeys {
        by: KeySet::new(columns, &descending)?,
        all: dataflow_core::order::Keys::new(&types)?,
    })
}

impl OrderKeys {
    /// Takes failing rows out and sets the order keys of the others.
    pub(crate) fn set(&self, batch: Batch) -> Result<(Keyed, Batch)> {
        let mut keyed = self.by.split(batch)?;
        let places = keyed.batch.places().numbers(keyed.batch.len());
        let places =
            places.ok_or_else(|| Error::internal("rows to be sorted came without places"))?;
        keyed.keys.push(Arc::new(places) as ArrayRef);
        let order = self.all.encode(&keyed.keys)?;
        let batch = keyed.batch.clone().with_order(Some(order));
        Ok((keyed, batch))
    }

    /// The input columns that the keys read.
    pub(crate) fn reads(&self) -> Columns {
        self.by.reads()
    }
}

struct Checked {
    explained: String,
    keys: Arc<OrderKeys>,
    port: [Port; 1],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn stages(&self) -> Vec<StagePlan> {
        let keys = Arc::clone(&self.keys);
        let schema = Arc::clone(&self.port[0].schema);
        let mut plan = StagePlan::local("sort", move |context: StageContext| {
            Ok(Sorting {
                keys: Arc::clone(&keys),
                schema: Arc::clone(&schema),
                sorter: Sorter::new(&context),
                context,
                sorted: None,
            })
        });
        plan.places = true;
        plan.emits = Emits::SortedAtEnd;
        plan.amplifies = true;
        plan.stateful = true;
        vec![plan]
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        wanted
            .iter()
            .fold(self.keys.reads(), |all, some| all.and(some))
    }

    fn explain(&self) -> Vec<String> {
        vec![
            self.explained.clone(),
            "spills sorted runs when its memory is full".into(),
        ]
    }
}

/// The name under which rows are saved.
const ROWS: &str = "rows";

struct Sorting {
    context: StageContext,
    keys: Arc<OrderKeys>,
    schema: SchemaRef,
    sorter: Sorter,
    sorted: Option<Sorted>,
}

impl Stage for Sorting {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let batch = conform(batch, &self.schema)?;
        let (keyed, batch) = self.keys.set(batch)?;
        if !keyed.bad.is_empty() {
            out.bad(keyed.bad)?;
        }
        self.sorter.push(batch)?;
        if self.sorter.bytes() > self.context.memory {
            self.sorter.spill()?;
        }
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let Some(sorted) = self.sorted.as_mut() else {
            return Ok(Flow::Ready);
        };
        while let Some(batch) = sorted.next(self.context.batch_rows)? {
            out.send(0, batch.with_places(dataflow_core::Places::Unknown));
            if out.full() {
                return Ok(Flow::More);
            }
        }
        self.sorted = None;
        Ok(Flow::Ready)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.sorted = Some(self.sorter.finish()?);
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.sorter.save(ROWS, into);
        Ok(())
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        // Rows are sorted wherever they are.
        let schema = Arc::clone(&self.schema);
        self.sorter.restore(ROWS, (from, Share::Dealt), schema)
    }

    fn bytes(&self) -> usize {
        self.sorter.bytes()
    }

    fn keys(&self) -> usize {
        self.sorter.rows()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{TimedRows, build, drives, integers, problems, rows, untimed_problems};

    #[test]
    fn rows_sort_by_several_things() {
        let input = rows("x:f64 name:dict\n2 b\n- a\nnan c\n-1 b\n2 a\n0 -\n2 b");
        for (config, expected) in [
            (
                "by = \"x\"",
                "x:f64 name:dict\n-1 b\n0 -\n2 b\n2 a\n2 b\nnan c\n- a",
            ),
            (
                "by = [\"name\", \"x desc\"]",
                "x:f64 name:dict\n2 a\n- a\n2 b\n2 b\n-1 b\nnan c\n0 -",
            ),
            (
                "by = [\"-x asc\"]",
                "x:f64 name:dict\n2 b\n2 a\n2 b\n0 -\n-1 b\nnan c\n- a",
            ),
        ] {
            let sort = build::<Sort>(config, &input);
            let expected = rows(expected);
            for drive in drives() {
                let outcome = drive.run(sort.as_ref(), &input).expect("runs");
                assert_eq!(
                    crate::fixtures::plain(&outcome.rows()),
                    crate::fixtures::plain(&expected),
                    "{config} {drive:?}"
                );
                assert_eq!(outcome.spilled_runs > 0, drive.memory < 100, "{drive:?}");
            }
        }
    }

    #[test]
    fn many_runs_are_merged_in_passes() {
        let lines: Vec<String> = (0..3000).map(|i| ((i * 7919) % 3001).to_string()).collect();
        let input = rows(&format!("x:i64\n{}", lines.join("\n")));
        let sort = build::<Sort>("by = \"x\"", &input);
        let all = dataflow_testkit::Drive::default()
            .run(sort.as_ref(), &input)
            .expect("runs");
        let tight = dataflow_testkit::Drive {
            memory: 1,
            piece_rows: 3,
            workers: 2,
            ..dataflow_testkit::Drive::default()
        };
        let spilled = tight.run(sort.as_ref(), &input).expect("runs");
        assert!(spilled.spilled_runs > 1000, "{}", spilled.spilled_runs);
        assert_eq!(spilled.rows(), all.rows());
    }

    #[test]
    fn wrong_keys_are_said() {
        let input = rows("x:f64\n1");
        for wrong in [
            "by = []",
            "by = [\"y desc\"]",
            "by = \"x descending\"",
            "by = [1]",
            "",
            "by_time = false",
            "by = \"x\"\nby_time = true",
        ] {
            assert_eq!(problems::<Sort>(wrong, &input).len(), 1, "{wrong}");
        }
        let untimed = untimed_problems::<Sort>("by_time = true", &input);
        assert!(
            untimed[0].starts_with("`by_time` needs event time"),
            "{untimed:?}"
        );
    }

    #[test]
    fn rows_sort_by_time_as_the_watermark_passes() {
        let rows = TimedRows::new(700, 0);
        let sort = build::<Sort>("by_time = true", &rows.batch);
        let (expected, _) = rows.in_order(false);
        let expected: Vec<Option<i64>> = expected.iter().map(|row| Some(*row as i64)).collect();
        rows.run(sort.as_ref(), |outcome, drive| {
            assert_eq!(integers(&outcome.rows(), "id"), expected, "{drive:?}");
            let times = outcome.ports[0].iter().flat_map(|batch| {
                let times = batch.times().expect("rows keep their times");
                times.at().to_vec()
            });
            assert!(times.is_sorted());
        });
    }
}
