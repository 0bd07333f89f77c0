//! What operators hand in, as parts of a draft: a note of values for each, and its rows and runs beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, BooleanArray, RecordBatch, new_null_array};
use arrow_buffer::{BooleanBuffer, Buffer, OffsetBuffer};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use dataflow_core::saved::Numbered;
use dataflow_core::{Error, Result};
use dataflow_store::{Content, Draft, GONE, KEY, PartKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Held;
use crate::spill::with_facts;

/// The parts of a snapshot, with the columns of those whose rows are numbered.
pub(super) type Columns = BTreeMap<PartKey, Option<SchemaRef>>;

/// What is told of a part beside its rows.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct PartNote {
    pub(super) over: bool,
    pub(super) own: Value,
    #[serde(default)]
    pub(super) keys: u64,
    pub(super) values: Option<BTreeMap<String, Value>>,
    /// The runs by name.
    pub(super) runs: BTreeMap<String, Vec<StoredRun>>,
}

/// A run that is part of a snapshot.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredRun {
    pub(super) file: String,
    pub(super) rows: u64,
    /// How many rows of it have been taken.
    pub(super) taken: u64,
}

/// What has been put into a draft.
#[derive(Default)]
pub(super) struct Drawn {
    pub(super) parts: Columns,
    pub(super) files: BTreeSet<String>,
}

impl Drawn {
    /// Puts in what an operator holds, over what the snapshot `before` consists of.
    pub(super) fn put(
        &mut self,
        draft: &mut Draft,
        of: &PartKey,
        held: Held,
        before: &Columns,
    ) -> Result<()> {
        let mut note = PartNote {
            over: held.over,
            own: held.own,
            keys: held.keys,
            ..PartNote::default()
        };
        for (input, saved) in held.waiting {
            let held = Held {
                stage: Some(saved),
                ..Held::default()
            };
            self.put(draft, &waiting(of, input), held, before)?;
        }
        if let Some(saved) = held.stage {
            let values = saved.values.into_iter();
            note.values = Some(
                values
                    .map(|(name, value)| (name.to_string(), value))
                    .collect(),
            );
            for (name, batches) in saved.rows {
                let rows: Result<Vec<RecordBatch>> = batches.iter().map(with_facts).collect();
                self.content(draft, rows_of(of, name), Content::WholeBatches(rows?))?;
            }
            for (name, rows) in saved.numbered {
                self.numbered(draft, rows_of(of, name), rows, before)?;
            }
            for (name, runs) in saved.runs {
                let mut named = Vec::new();
                for (run, taken) in runs {
                    let rows = run.rows();
                    let file = run
                        .keep()
                        .ok_or_else(|| Error::internal("a run is in no file"))?;
                    let file = draft.adopt(of.clone(), &file)?;
                    self.files.insert(file.clone());
                    named.push(StoredRun { file, rows, taken });
                }
                note.runs.insert(name.to_string(), named);
            }
        }
        let bytes = serde_json::to_vec(&note);
        let bytes = bytes.map_err(|e| Error::internal(format!("a part cannot be written: {e}")))?;
        self.content(draft, of.clone(), Content::Whole(bytes))
    }

    fn content(&mut self, draft: &mut Draft, key: PartKey, content: Content) -> Result<()> {
        self.parts.insert(key.clone(), None);
        draft.put(key, content)
    }

    /// Puts numbered rows over those of the snapshot before. Where nothing is left of a part, there is none.
    fn numbered(
        &mut self,
        draft: &mut Draft,
        key: PartKey,
        rows: Numbered,
        before: &Columns,
    ) -> Result<()> {
        let known = before.get(&key).filter(|_| !rows.anew);
        let (batches, columns) = delta(rows, known.cloned().flatten())?;
        match known {
            None if batches.is_empty() => return Ok(()),
            None => draft.drop_part(&key),
            Some(_) => {}
        }
        self.parts.insert(key.clone(), columns);
        draft.put(key, Content::Delta { batches })
    }
}

/// Numbered rows as the store takes them, and their columns.
fn delta(
    rows: Numbered,
    mut known: Option<SchemaRef>,
) -> Result<(Vec<RecordBatch>, Option<SchemaRef>)> {
    let keys = |numbers: &[u32]| {
        let bytes = numbers.iter().flat_map(|number| number.to_be_bytes());
        let ends = OffsetBuffer::from_repeated_length(size_of::<u32>(), numbers.len());
        BinaryArray::new(ends, Buffer::from_iter(bytes), None)
    };
    let mut batches = Vec::new();
    for (numbers, batch) in rows.rows {
        let rows = with_facts(&batch)?;
        let schema = known.get_or_insert_with(|| keyed(&rows.schema()));
        let gone = BooleanArray::new(BooleanBuffer::new_unset(numbers.len()), None);
        let mut columns: Vec<ArrayRef> = vec![Arc::new(keys(&numbers)), Arc::new(gone)];
        columns.extend(rows.columns().iter().cloned());
        batches.push(RecordBatch::try_new(Arc::clone(schema), columns)?);
    }
    if let Some(schema) = known.as_ref().filter(|_| !rows.gone.is_empty()) {
        let gone = BooleanArray::new(BooleanBuffer::new_set(rows.gone.len()), None);
        let mut columns: Vec<ArrayRef> = vec![Arc::new(keys(&rows.gone)), Arc::new(gone)];
        let nothing = |field: &FieldRef| new_null_array(field.data_type(), rows.gone.len());
        columns.extend(schema.fields().iter().skip(2).map(nothing));
        batches.push(RecordBatch::try_new(Arc::clone(schema), columns)?);
    }
    Ok((batches, known))
}

/// The columns of numbered rows in the store: their number, whether they are gone, and what they are. Of those that are gone, that is null.
fn keyed(schema: &Schema) -> SchemaRef {
    let first = [
        Field::new(KEY, DataType::Binary, false),
        Field::new(GONE, DataType::Boolean, false),
    ];
    let rest = schema.fields().iter();
    let rest = rest.map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(
        first.into_iter().chain(rest).collect::<Vec<_>>(),
    ))
}

/// The part of the rows that wait in an input.
fn waiting(of: &PartKey, input: usize) -> PartKey {
    PartKey {
        operator: name_of_waiting(&of.operator, input),
        ..of.clone()
    }
}

/// What is said to be the operator of rows that wait in one of its inputs.
pub fn name_of_waiting(operator: &str, input: usize) -> String {
    format!("{operator} / input {input}")
}

/// The part of the rows that a stage saved under a name.
pub(super) fn rows_of(of: &PartKey, name: &str) -> PartKey {
    PartKey {
        operator: format!("{} / {name}", of.operator),
        ..of.clone()
    }
}
