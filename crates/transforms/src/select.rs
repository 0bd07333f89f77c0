//! `select`: which columns there are: keeps, drops, renames and computes them.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, FieldRef, Schema, SchemaRef};
use dataflow_core::batch::rows_of;
use dataflow_core::component::TransformConfig;
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::{
    Batch, Check, Configured, Flow, Info, Located, Output, Result, Stage, StagePlan, Transform,
};
use dataflow_expressions::{Expression, Failure};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::reject_once;
use crate::config::{Lines, column_index, only_input};

/// Which columns there are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Select {
    /// The only input columns that stay, in this order (computed ones stay too). Default: all, in the input's order.
    #[serde(default)]
    keep: Option<Vec<Located<String>>>,
    /// Columns that do not stay; also a computed one that only other lines needed. Not together with `keep`.
    #[serde(default)]
    drop: Vec<Located<String>>,
    /// New names: `rename.seconds = "Test_Time(s)"` calls the input's column `Test_Time(s)` `seconds`, where it stands.
    /// `keep`, `drop` and `compute` then know it by its new name.
    #[serde(default)]
    rename: Lines,
    /// Computed columns: a name and an expression over the input's columns (also those that do not stay) and the
    /// computed columns above. A name that exists already is replaced where it stands; others come last.
    #[serde(default)]
    compute: Lines,
}

impl Configured for Select {
    const INFO: Info = Info {
        name: "select",
        summary: "Keeps, drops, renames and computes columns",
        manual: "First `rename`, then `compute`, then `keep` or `drop`. The output has the input's columns that stay, in \
            the input's order or in that of `keep`, and then the computed ones as they are written; a computed column \
            with the name of an input column takes its place, and the lines below see the new values. A row for which \
            an expression fails is a bad row.\n\n\
            It holds no rows: its memory is that of one batch. The cost is that of the expressions; columns that are \
            only kept or renamed are not copied, and columns that nothing reads are not even read from the source.",
        example: "drop = [\"raw\"]\nrename.seconds = \"Test_Time(s)\"\ncompute.power = \"voltage * current\"\n",
        ports: &[],
        also_called: &["map", "project", "with_columns", "rename"],
    };
}

impl TransformConfig for Select {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let renamed = self.renamed(&input.schema, check)?;
        let Some((lines, seen)) = computed(&self.compute, &renamed, check) else {
            self.output(&self.named(&renamed), check);
            return None;
        };
        let columns = self.output(&seen, check)?;
        let fields: Vec<FieldRef> = columns.iter().map(|name| field(&seen, name)).collect();
        let schema = Schema::new_with_metadata(fields, input.schema.metadata().clone());
        Some(Arc::new(Checked {
            explained: explained(&lines),
            work: Arc::new(Work {
                sources: input
                    .schema
                    .fields()
                    .iter()
                    .map(|f| f.name().clone())
                    .collect(),
                names: renamed.fields().iter().map(|f| f.name().clone()).collect(),
                lines,
                output: columns,
            }),
            port: [Port::main(Arc::new(schema))
                .timed(input.timed)
                .sampled(input.sampled.known())],
        }))
    }
}

fn field(schema: &Schema, name: &str) -> FieldRef {
    let found = schema.fields().iter().find(|f| f.name() == name);
    found.map_or_else(
        || Arc::new(Field::new(name, arrow_schema::DataType::Null, true)),
        Arc::clone,
    )
}

impl Select {
    /// The input's columns under their new names.
    fn renamed(&self, schema: &SchemaRef, check: &mut Check<'_>) -> Option<SchemaRef> {
        let mut fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        let mut fine = true;
        let mut moved = BTreeSet::new();
        for (new, old) in self.rename.iter() {
            match column_index(old, schema, check) {
                Some(at) if moved.insert(at) => fields[at].set_name(new.value.clone()),
                Some(_) => {
                    check.error_at(old, format!("`{}` is renamed twice", old.value), None);
                    fine = false;
                }
                None => fine = false,
            }
        }
        let mut names = HashSet::new();
        let doubled: HashSet<&String> = fields
            .iter()
            .map(Field::name)
            .filter(|n| !names.insert(*n))
            .collect();
        for (new, _) in self
            .rename
            .iter()
            .filter(|(new, _)| doubled.contains(&new.value))
        {
            let message = format!("there would be two columns `{}`", new.value);
            check.error_at(
                new,
                message,
                Some("rename the other one too, or choose another name".into()),
            );
            fine = false;
        }
        let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
        fine.then(|| Arc::new(schema))
    }

    /// The columns with those that are computed, of no type: to check names where an expression is wrong.
    fn named(&self, input: &SchemaRef) -> SchemaRef {
        let mut fields: Vec<FieldRef> = input.fields().to_vec();
        for (name, _) in self.compute.iter() {
            if input.index_of(name).is_err() {
                fields.push(field(&Schema::empty(), name));
            }
        }
        Arc::new(Schema::new(fields))
    }

    /// The names of the output's columns.
    fn output(&self, seen: &SchemaRef, check: &mut Check<'_>) -> Option<Vec<String>> {
        if self.keep.is_some() && !self.drop.is_empty() {
            check.error_at(
                &self.drop[0],
                "`keep` and `drop` exclude each other",
                Some("remove one of the two".into()),
            );
            return None;
        }
        let computed: HashSet<&str> = self.compute.iter().map(|(name, _)| name.as_str()).collect();
        let list = self.keep.as_ref().unwrap_or(&self.drop);
        let known: Vec<bool> = list
            .iter()
            .map(|name| column_index(name, seen, check).is_some())
            .collect();
        let mut once = HashSet::new();
        let twice = list.iter().find(|name| !once.insert(name.value.as_str()));
        if let Some(name) = twice {
            check.error_at(name, format!("`{}` is named twice", name.value), None);
            return None;
        }
        if known.contains(&false) {
            return None;
        }
        let all = seen.fields().iter().map(|f| f.name().clone());
        Some(match &self.keep {
            Some(keep) => {
                let kept = keep.iter().map(|name| name.value.clone());
                let more =
                    all.filter(|n| computed.contains(n.as_str()) && !once.contains(n.as_str()));
                kept.chain(more).collect()
            }
            None => all.filter(|n| !once.contains(n.as_str())).collect(),
        })
    }
}

/// A computed column.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    text: String,
    expression: Expression,
}

/// The checked lines, and the schema that the last one leaves behind.
fn computed(
    lines: &Lines,
    input: &SchemaRef,
    check: &mut Check<'_>,
) -> Option<(Vec<Line>, SchemaRef)> {
    let mut seen = Arc::clone(input);
    let mut checked: Vec<Line> = Vec::new();
    let mut fine = true;
    for (name, text) in lines.iter() {
        if checked.iter().any(|line| line.name == name.value) {
            check.error_at(name, format!("`{}` is computed twice", name.value), None);
            fine = false;
            continue;
        }
        let Some(expression) = Expression::check(text, &seen, check) else {
            fine = false;
            continue;
        };
        let field = Arc::new(expression.field(name));
        let mut fields: Vec<FieldRef> = seen.fields().iter().map(Arc::clone).collect();
        match fields.iter_mut().find(|f| f.name() == &name.value) {
            Some(old) => *old = field,
            None => fields.push(field),
        }
        seen = Arc::new(Schema::new_with_metadata(fields, seen.metadata().clone()));
        checked.push(Line {
            name: name.value.clone(),
            text: text.value.clone(),
            expression,
        });
    }
    fine.then_some((checked, seen))
}

fn explained(lines: &[Line]) -> Vec<String> {
    lines
        .iter()
        .map(|line| format!("{} = {}", line.name, line.text))
        .collect()
}

struct Work {
    /// The input's columns, and their new names.
    sources: Vec<String>,
    names: Vec<String>,
    lines: Vec<Line>,
    output: Vec<String>,
}

struct Checked {
    explained: Vec<String>,
    work: Arc<Work>,
    port: [Port; 1],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn stages(&self) -> Vec<StagePlan> {
        let work = Arc::clone(&self.work);
        vec![StagePlan::local("select", move |_| {
            Ok(Selecting(Arc::clone(&work)))
        })]
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        let mut open: BTreeSet<String> = match &wanted[0] {
            Columns::All => self.work.output.iter().cloned().collect(),
            Columns::Some(wanted) => wanted.clone(),
        };
        // Backwards: above its line, a computed name means whatever it meant before.
        for line in self.work.lines.iter().rev() {
            if open.remove(&line.name) || !line.expression.infallible() {
                open.extend(line.expression.columns());
            }
        }
        let pairs = self.work.names.iter().zip(&self.work.sources);
        Columns::named(
            pairs
                .filter(|(new, _)| open.contains(*new))
                .map(|(_, old)| old.clone()),
        )
    }

    fn explain(&self) -> Vec<String> {
        self.explained.clone()
    }
}

struct Selecting(Arc<Work>);

impl Selecting {
    /// The batch under the new names; columns that nobody asked for are not there.
    fn renamed(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        if self.0.names == self.0.sources {
            return Ok(rows.clone());
        }
        let schema = rows.schema();
        let fields = schema.fields().iter().map(|field| {
            let at = self.0.sources.iter().position(|name| name == field.name());
            let name = at.map_or_else(|| field.name().clone(), |at| self.0.names[at].clone());
            Arc::new(field.as_ref().clone().with_name(name))
        });
        let fields: Vec<FieldRef> = fields.collect();
        assemble(fields, rows.columns().to_vec(), rows.num_rows(), &schema)
    }

    fn compute(&self, mut rows: RecordBatch) -> Result<(RecordBatch, Vec<Failure>)> {
        let mut failed = Vec::new();
        for line in &self.0.lines {
            let there = |name: &String| rows.schema_ref().field_with_name(name).is_ok();
            if !line.expression.columns().iter().all(there) {
                // Nobody wants this column, so what it reads was not read.
                continue;
            }
            let evaluated = line.expression.evaluate(&rows);
            failed.extend(evaluated.failed);
            rows = set(&rows, &line.name, &line.expression, evaluated.values)?;
        }
        Ok((rows, failed))
    }
}

/// The rows with a column more, or another column of that name.
fn set(
    rows: &RecordBatch,
    name: &str,
    expression: &Expression,
    values: ArrayRef,
) -> Result<RecordBatch> {
    let field = expression
        .field(name)
        .with_data_type(values.data_type().clone());
    let schema = rows.schema();
    let mut fields: Vec<FieldRef> = schema.fields().iter().map(Arc::clone).collect();
    let mut columns = rows.columns().to_vec();
    // A failing row is null here until it is taken out.
    let field = Arc::new(field.with_nullable(true));
    match fields.iter().position(|f| f.name() == name) {
        Some(at) => {
            fields[at] = field;
            columns[at] = values;
        }
        None => {
            fields.push(field);
            columns.push(values);
        }
    }
    assemble(fields, columns, rows.num_rows(), &schema)
}

fn assemble(
    fields: Vec<FieldRef>,
    columns: Vec<ArrayRef>,
    rows: usize,
    like: &SchemaRef,
) -> Result<RecordBatch> {
    let schema = Arc::new(Schema::new_with_metadata(fields, like.metadata().clone()));
    rows_of(schema, columns, rows)
}

impl Stage for Selecting {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let rows = self.renamed(batch.rows())?;
        let (rows, failed) = self.compute(rows)?;
        let schema = rows.schema();
        let chosen: Vec<usize> = self
            .0
            .output
            .iter()
            .filter_map(|name| schema.index_of(name).ok())
            .collect();
        let fields = chosen
            .iter()
            .map(|at| Arc::clone(&schema.fields()[*at]))
            .collect();
        let columns = chosen
            .iter()
            .map(|at| Arc::clone(rows.column(*at)))
            .collect();
        let selected = assemble(fields, columns, rows.num_rows(), &schema)?;
        if failed.is_empty() {
            out.send(0, batch.with_rows(selected));
            return Ok(Flow::Ready);
        }
        // The bad row is told as it came in.
        let (kept_batch, bad, kept) = reject_once(&batch, failed)?;
        out.bad(bad)?;
        if let Some(kept) = kept {
            let columns = arrow_select::take::take_arrays(selected.columns(), &kept, None)?;
            let selected = rows_of(selected.schema(), columns, kept.len())?;
            out.send(0, kept_batch.with_rows(selected));
        }
        Ok(Flow::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{build, drives, problems, rows};

    #[test]
    fn columns_are_chosen_renamed_and_computed() {
        let input = rows("a:i64 b:i64 c\n1 2 x\n3 4 y");
        for (config, expected) in [
            ("", "a:i64 b:i64 c\n1 2 x\n3 4 y"),
            ("keep = [\"c\", \"a\"]", "c a:i64\nx 1\ny 3"),
            ("drop = [\"b\"]", "a:i64 c\n1 x\n3 y"),
            (
                "rename = { z = \"a\" }\ncompute.d = \"z + b\"",
                "z:i64 b:i64 c d:i64\n1 2 x 3\n3 4 y 7",
            ),
            (
                "compute.a = \"a + 1\"\ncompute.d = \"a * 10\"",
                "a:i64 b:i64 c d:i64\n2 2 x 20\n4 4 y 40",
            ),
            ("keep = []\ncompute.d = \"a + b\"", "d:i64\n3\n7"),
            (
                "drop = [\"a\", \"b\"]\ncompute.d = \"a + b\"",
                "c d:i64\nx 3\ny 7",
            ),
            (
                "drop = [\"a\", \"b\", \"d\"]\ncompute.d = \"a + b\"\ncompute.e = \"d + 1\"",
                "c e:i64\nx 4\ny 8",
            ),
            (
                "keep = [\"d\", \"c\"]\ncompute.d = \"a + b\"",
                "d:i64 c\n3 x\n7 y",
            ),
        ] {
            let select = build::<Select>(config, &input);
            for drive in drives() {
                let outcome = drive.run(select.as_ref(), &input).expect("runs");
                let found = outcome.rows();
                let expected = rows(expected);
                assert_eq!(found.columns(), expected.columns(), "{config}");
                let names = |b: &RecordBatch| -> Vec<String> {
                    b.schema()
                        .fields()
                        .iter()
                        .map(|f| f.name().clone())
                        .collect()
                };
                assert_eq!(names(&found), names(&expected), "{config}");
            }
        }
    }

    #[test]
    fn failing_rows_are_bad_and_the_others_stay() {
        let input = rows("a\n1\nno\n3");
        let select = build::<Select>(
            "compute.n = \"cast(a as bigint)\"\ncompute.m = \"n + 1\"\nkeep = []",
            &input,
        );
        for drive in drives() {
            let outcome = drive.run(select.as_ref(), &input).expect("runs");
            assert_eq!(
                outcome.rows().columns(),
                rows("n:i64 m:i64\n1 2\n3 4").columns()
            );
            assert_eq!(outcome.bad.len(), 1);
            assert!(outcome.bad[0].data.contains("no"), "{:?}", outcome.bad);
        }
    }

    #[test]
    fn only_what_the_wanted_columns_read_is_asked_for() {
        let input = rows("a:f64 b:f64 c");
        let select = build::<Select>("rename.z = \"a\"\ncompute.d = \"z + b\"", &input);
        let needs = |wanted: &[&str]| select.needs(0, &[Columns::named(wanted.iter().copied())]);
        assert_eq!(needs(&["c"]), Columns::named(["c"]));
        assert_eq!(needs(&["d"]), Columns::named(["a", "b"]));
        assert_eq!(needs(&["z"]), Columns::named(["a"]));
    }

    #[test]
    fn wrong_columns_are_said() {
        let input = rows("alpha:i64 beta:i64\n1 2");
        for (wrong, count) in [
            ("keep = [\"alpah\"]", 1),
            ("keep = [\"alpha\"]\ndrop = [\"beta\"]", 1),
            ("rename.beta = \"alpha\"", 1),
            ("rename = { x = \"alpha\", y = \"alpha\" }", 1),
            ("compute.x = \"gamma\"\ncompute.y = \"1 +\"", 2),
            ("keep = [\"alpha\", \"alpha\"]", 1),
        ] {
            assert_eq!(problems::<Select>(wrong, &input).len(), count, "{wrong}");
        }
    }
}
