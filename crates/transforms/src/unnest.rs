//! `unnest`: a row per element of a list, or a column per field of a struct.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use dataflow_core::component::TransformConfig;
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::words::type_word;
use dataflow_core::{
    Batch, Check, Configured, Error, Flow, Info, Located, Output, Result, Stage, StageContext,
    StagePlan, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{column_index, only_input};

/// How many pieces of a batch are written before others get their turn.
const SLICES_PER_CALL: usize = 16;

/// A list or a struct taken apart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unnest {
    /// The column: a list makes rows, a struct makes columns. For lists of structs, unnest twice.
    column: Located<String>,
    /// For lists: whether a row whose list is null or empty stays, as one row with null. Default false: it goes.
    #[serde(default)]
    keep_empty: bool,
    /// For structs: what to put in front of the fields' names, such as `"gps_"`. Default: nothing.
    #[serde(default)]
    prefix: String,
}

impl Configured for Unnest {
    const INFO: Info = Info {
        name: "unnest",
        summary: "Makes a row of each element of a list, or a column of each field of a struct",
        manual: "For a list, each row becomes as many rows as its list has elements, in the list's order; the other \
            columns are repeated, and the column has the element instead of the list. Rows with an empty or null list \
            go, unless `keep_empty`. For a struct, the column is replaced by its fields; where the struct is null they \
            all are.\n\n\
            A list of any length is written in pieces, so its memory is that of the batch that it came in and of one \
            piece of output, also when every row becomes thousands.",
        example: "column = \"readings\"\n",
        ports: &[],
        also_called: &["explode", "flatten", "unwind"],
    };
}

impl TransformConfig for Unnest {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let at = column_index(&self.column, &input.schema, check)?;
        let fields: Vec<FieldRef> = input.schema.fields().iter().map(Arc::clone).collect();
        let mut output = fields.clone();
        let into = match fields[at].data_type() {
            DataType::List(element)
            | DataType::LargeList(element)
            | DataType::FixedSizeList(element, _) => {
                output[at] = Arc::new(
                    element
                        .as_ref()
                        .clone()
                        .with_name(fields[at].name())
                        .with_nullable(true),
                );
                Into::Rows {
                    keep_empty: self.keep_empty,
                }
            }
            DataType::Struct(parts) => {
                let part = |part: &FieldRef| {
                    let name = format!("{}{}", self.prefix, part.name());
                    Arc::new(part.as_ref().clone().with_name(name).with_nullable(true))
                };
                let parts: Vec<FieldRef> = parts.iter().map(part).collect();
                output.splice(at..=at, parts.iter().map(Arc::clone));
                Into::Columns { parts }
            }
            other => {
                let message = format!(
                    "`{}` is of type {}, neither a list nor a struct",
                    self.column.value,
                    type_word(other)
                );
                check.error_at(&self.column, message, None);
                return None;
            }
        };
        if let Some(name) = doubled(&output) {
            let help = "set `prefix`, or rename or drop the other column before";
            check.error_at(
                &self.column,
                format!("there would be two columns `{name}`"),
                Some(help.into()),
            );
            return None;
        }
        let schema = Schema::new_with_metadata(output, input.schema.metadata().clone());
        Some(Arc::new(Checked {
            column: self.column.value,
            into,
            port: [Port::main(Arc::new(schema)).timed(input.timed)],
        }))
    }
}

fn doubled(fields: &[FieldRef]) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    fields
        .iter()
        .map(|f| f.name())
        .find(|name| !seen.insert(name.as_str()))
        .cloned()
}

#[derive(Clone, Debug)]
enum Into {
    Rows { keep_empty: bool },
    Columns { parts: Vec<FieldRef> },
}

struct Checked {
    column: String,
    into: Into,
    port: [Port; 1],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn stages(&self) -> Vec<StagePlan> {
        let column = self.column.clone();
        match self.into.clone() {
            Into::Rows { keep_empty } => {
                let mut plan = StagePlan::local("unnest", move |context| {
                    Ok(Rows {
                        context,
                        column: column.clone(),
                        keep_empty,
                        open: None,
                    })
                });
                plan.amplifies = true;
                vec![plan]
            }
            Into::Columns { parts } => vec![StagePlan::local("unnest", move |_| {
                Ok(Fields {
                    column: column.clone(),
                    parts: parts.clone(),
                })
            })],
        }
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        let made: Vec<&String> = match &self.into {
            Into::Rows { .. } => Vec::new(),
            Into::Columns { parts } => parts.iter().map(|f| f.name()).collect(),
        };
        let wanted = match &wanted[0] {
            Columns::All => return Columns::All,
            Columns::Some(names) => names.iter().filter(|n| !made.contains(n)).cloned(),
        };
        Columns::named(wanted).and(&Columns::named([self.column.clone()]))
    }

    fn explain(&self) -> Vec<String> {
        vec![match &self.into {
            Into::Rows { .. } => format!("a row per element of {}", self.column),
            Into::Columns { parts } => format!("{} columns of {}", parts.len(), self.column),
        }]
    }
}

fn index_of(batch: &Batch, column: &str) -> Result<usize> {
    let found = batch.schema().index_of(column);
    found.map_err(|_| Error::internal(format!("a batch came without its column `{column}`")))
}

/// A batch that is being taken apart: row by row, each from its first element to the last.
struct Open {
    batch: Batch,
    at: usize,
    elements: ArrayRef,
    /// Where each row's elements start and end; empty for rows without any.
    ends: Vec<(u64, u64)>,
    row: usize,
    /// How many of the row's elements were written.
    done: u64,
}

struct Rows {
    context: StageContext,
    column: String,
    keep_empty: bool,
    open: Option<Open>,
}

impl Rows {
    /// The next rows, at most a batch of them.
    fn slice(&self, open: &mut Open) -> Result<Option<Batch>> {
        let limit = self.context.batch_rows.max(1);
        let mut rows: Vec<u32> = Vec::new();
        let mut elements: Vec<Option<u64>> = Vec::new();
        while rows.len() < limit && open.row < open.ends.len() {
            let (start, end) = open.ends[open.row];
            let left = end - start - open.done;
            let some = left.min((limit - rows.len()) as u64);
            if end == start && self.keep_empty {
                rows.push(open.row as u32);
                elements.push(None);
            }
            rows.extend(std::iter::repeat_n(open.row as u32, some as usize));
            elements.extend((start + open.done..start + open.done + some).map(Some));
            open.done += some;
            if some == left {
                open.row += 1;
                open.done = 0;
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let taken = arrow_select::take::take(&open.elements, &UInt64Array::from(elements), None)?;
        let rest = open.batch.rows();
        let mut schema = rest.schema().as_ref().clone();
        let mut fields: Vec<FieldRef> = schema.fields().iter().map(Arc::clone).collect();
        fields[open.at] = Arc::new(Field::new(&self.column, taken.data_type().clone(), true));
        schema.fields = fields.into();
        // The list itself is not repeated: its place is taken before the other columns are.
        let mut columns = rest.columns().to_vec();
        let stand_in: ArrayRef = Arc::new(arrow_array::NullArray::new(rest.num_rows()));
        let mut narrow = rest.schema().as_ref().clone();
        narrow.fields = replaced(rest.schema_ref(), open.at);
        columns[open.at] = stand_in;
        let narrow = RecordBatch::try_new(Arc::new(narrow), columns)?;
        let repeated = open
            .batch
            .clone()
            .with_rows(narrow)
            .take(&UInt32Array::from(rows))?;
        let mut columns = repeated.rows().columns().to_vec();
        columns[open.at] = taken;
        let rows = RecordBatch::try_new(Arc::new(schema), columns)?;
        Ok(Some(repeated.with_rows(rows)))
    }
}

fn replaced(schema: &SchemaRef, at: usize) -> arrow_schema::Fields {
    let fields = schema.fields().iter().enumerate().map(|(i, field)| {
        if i == at {
            Arc::new(Field::new(field.name(), DataType::Null, true))
        } else {
            Arc::clone(field)
        }
    });
    fields.collect()
}

/// The elements of all lists, and where each list's are.
fn elements(lists: &ArrayRef) -> Result<(ArrayRef, Vec<(u64, u64)>)> {
    let some = |row: usize, start: u64, end: u64| {
        if lists.is_null(row) {
            (0, 0)
        } else {
            (start, end)
        }
    };
    match lists.data_type() {
        DataType::List(_) => {
            let lists = lists.as_list::<i32>();
            let ends = lists.value_offsets().windows(2).enumerate();
            let ends = ends
                .map(|(row, w)| some(row, w[0] as u64, w[1] as u64))
                .collect();
            Ok((Arc::clone(lists.values()), ends))
        }
        DataType::LargeList(_) => {
            let lists = lists.as_list::<i64>();
            let ends = lists.value_offsets().windows(2).enumerate();
            let ends = ends
                .map(|(row, w)| some(row, w[0] as u64, w[1] as u64))
                .collect();
            Ok((Arc::clone(lists.values()), ends))
        }
        DataType::FixedSizeList(_, size) => {
            let size = *size as u64;
            let ends =
                (0..lists.len()).map(|row| some(row, row as u64 * size, (row as u64 + 1) * size));
            Ok((
                Arc::clone(lists.as_fixed_size_list().values()),
                ends.collect(),
            ))
        }
        other => Err(Error::internal(format!("a list came as {other}"))),
    }
}

impl Stage for Rows {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let at = index_of(&batch, &self.column)?;
        let (elements, ends) = elements(batch.rows().column(at))?;
        self.open = Some(Open {
            batch,
            at,
            elements,
            ends,
            row: 0,
            done: 0,
        });
        self.more(out)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let Some(mut open) = self.open.take() else {
            return Ok(Flow::Ready);
        };
        for _ in 0..SLICES_PER_CALL {
            let Some(slice) = self.slice(&mut open)? else {
                return Ok(Flow::Ready);
            };
            out.send(0, slice);
            if open.row == open.ends.len() {
                return Ok(Flow::Ready);
            }
            if out.full() {
                break;
            }
        }
        self.open = Some(open);
        Ok(Flow::More)
    }

    fn bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.ends.len() * 16)
    }
}

struct Fields {
    column: String,
    parts: Vec<FieldRef>,
}

impl Stage for Fields {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let at = index_of(&batch, &self.column)?;
        let rows = batch.rows();
        let parts = rows.column(at).as_struct();
        let mut columns = rows.columns().to_vec();
        let made = parts
            .columns()
            .iter()
            .map(|part| within(part, parts.nulls()));
        let made = made.collect::<Result<Vec<_>>>()?;
        let mut fields: Vec<FieldRef> = rows.schema_ref().fields().iter().map(Arc::clone).collect();
        let typed = self.parts.iter().zip(&made);
        let typed =
            typed.map(|(f, a)| Arc::new(f.as_ref().clone().with_data_type(a.data_type().clone())));
        fields.splice(at..=at, typed.collect::<Vec<_>>());
        columns.splice(at..=at, made);
        let schema = Schema::new_with_metadata(fields, rows.schema_ref().metadata().clone());
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)?;
        out.send(0, batch.with_rows(rows));
        Ok(Flow::Ready)
    }
}

/// A field's values, null also where the struct is.
fn within(part: &ArrayRef, nulls: Option<&arrow_buffer::NullBuffer>) -> Result<ArrayRef> {
    let Some(nulls) = nulls else {
        return Ok(Arc::clone(part));
    };
    let data = part.to_data();
    let both = arrow_buffer::NullBuffer::union(Some(nulls), part.nulls());
    Ok(arrow_array::make_array(
        data.into_builder().nulls(both).build()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{build, drives, problems, rows};
    use arrow_array::{Int64Array, StringArray, StructArray};

    #[test]
    fn lists_become_rows() {
        let input = rows("a x:list\nu 1;2;3\nv -\nw 4\nx ;\ny 5;6");
        for (config, expected) in [
            ("column = \"x\"", "a x:i64\nu 1\nu 2\nu 3\nw 4\ny 5\ny 6"),
            (
                "column = \"x\"\nkeep_empty = true",
                "a x:i64\nu 1\nu 2\nu 3\nv -\nw 4\nx -\ny 5\ny 6",
            ),
        ] {
            let unnest = build::<Unnest>(config, &input);
            for drive in drives() {
                let outcome = drive.run(unnest.as_ref(), &input).expect("runs");
                assert_eq!(
                    outcome.rows().columns(),
                    rows(expected).columns(),
                    "{drive:?}"
                );
                assert!(outcome.ports[0].iter().all(|b| b.len() <= drive.batch_rows));
                let places: Vec<u64> = outcome.ports[0]
                    .iter()
                    .flat_map(|b| (0..b.len()).filter_map(|i| b.places().get(i)).map(|p| p.0))
                    .collect();
                assert_eq!(places[..3], [0, 0, 0]);
            }
        }
    }

    #[test]
    fn structs_become_columns() {
        let lat: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let name: ArrayRef = Arc::new(StringArray::from(vec!["p", "q"]));
        let fields = vec![
            Field::new("lat", DataType::Int64, false),
            Field::new("name", DataType::Utf8, false),
        ];
        let nulls = arrow_buffer::NullBuffer::from(vec![true, false]);
        let at: ArrayRef = Arc::new(StructArray::new(
            fields.into(),
            vec![lat, name],
            Some(nulls),
        ));
        let other: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
        let input = RecordBatch::try_from_iter([("at", at), ("name", other)]).expect("columns");
        assert_eq!(problems::<Unnest>("column = \"at\"", &input).len(), 1);
        assert_eq!(problems::<Unnest>("column = \"name\"", &input).len(), 1);
        let unnest = build::<Unnest>("column = \"at\"\nprefix = \"at_\"", &input);
        for drive in drives() {
            let outcome = drive.run(unnest.as_ref(), &input).expect("runs");
            let expected = rows("at_lat:i64 at_name name:i64\n1 p 7\n- - 8");
            assert_eq!(outcome.rows().columns(), expected.columns());
        }
        let wanted = [Columns::named(["at_lat"])];
        assert_eq!(unnest.needs(0, &wanted), Columns::named(["at"]));
    }
}
