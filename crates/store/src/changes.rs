//! What a draft changes, and how the changes of a commit that failed become part of the next.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use dataflow_core::{Error, Result};

use crate::content::{Content, PartKey, check};

/// What a part becomes.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Drop,
    Bytes(Vec<u8>),
    Batches(Vec<RecordBatch>),
    /// Rows by key, over what the part was, or over nothing.
    Rows {
        fresh: bool,
        batches: Vec<RecordBatch>,
    },
}

/// All changes of a draft. What is not named stays as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    pub parts: BTreeMap<PartKey, Change>,
    /// Files that come in, and whose they are.
    pub adopted: BTreeMap<String, PartKey>,
    /// Files that go, before others come in.
    pub dropped: BTreeSet<String>,
    /// Parts whose files go, before others come in.
    pub dropped_of: BTreeSet<PartKey>,
}

impl Changes {
    /// Notes the content of a part, over what was noted before.
    pub(crate) fn put(&mut self, key: PartKey, content: Content) -> Result<()> {
        let change = match content {
            Content::Whole(bytes) => Change::Bytes(bytes),
            Content::WholeBatches(batches) => {
                check(&key, &batches, false)?;
                Change::Batches(batches)
            }
            Content::Delta { batches } => {
                check(&key, &batches, true)?;
                Change::Rows {
                    fresh: false,
                    batches,
                }
            }
        };
        let combined = match self.parts.remove(&key) {
            Some(earlier) => change.over(earlier, &key)?,
            None => change,
        };
        self.parts.insert(key, combined);
        Ok(())
    }

    /// Notes that a part goes, with its files.
    pub(crate) fn drop_part(&mut self, key: &PartKey) {
        self.parts.insert(key.clone(), Change::Drop);
        self.adopted.retain(|_, owner| owner != key);
        self.dropped_of.insert(key.clone());
    }

    /// Notes that a file goes.
    pub(crate) fn drop_file(&mut self, name: &str) {
        self.adopted.remove(name);
        self.dropped.insert(name.to_string());
    }

    /// These changes on top of earlier ones, as one.
    pub(crate) fn over(self, earlier: Self) -> Result<Self> {
        let mut both = earlier;
        for (key, change) in self.parts {
            let change = match both.parts.remove(&key) {
                Some(earlier) => change.over(earlier, &key)?,
                None => change,
            };
            both.parts.insert(key, change);
        }
        let stays = |name: &String, owner: &mut PartKey| {
            !self.dropped.contains(name) && !self.dropped_of.contains(owner)
        };
        both.adopted.retain(stays);
        both.adopted.extend(self.adopted);
        both.dropped.extend(self.dropped);
        both.dropped_of.extend(self.dropped_of);
        Ok(both)
    }
}

impl Change {
    /// This change after an earlier one, as one.
    fn over(self, earlier: Self, key: &PartKey) -> Result<Self> {
        match (earlier, self) {
            (
                _,
                Self::Rows {
                    fresh: true,
                    batches,
                },
            ) => Ok(Self::Rows {
                fresh: true,
                batches,
            }),
            (Self::Drop, Self::Rows { batches, .. }) => Ok(Self::Rows {
                fresh: true,
                batches,
            }),
            (Self::Rows { fresh, batches }, Self::Rows { batches: more, .. }) => {
                let batches = [batches, more].concat();
                check(key, &batches, true)?;
                Ok(Self::Rows { fresh, batches })
            }
            (_, Self::Rows { .. }) => Err(not_keyed(key)),
            (_, later) => Ok(later),
        }
    }
}

/// What a part is, for what comes next.
#[derive(Clone, Debug)]
pub(crate) enum Shape<S> {
    Whole,
    Rows(Columns<S>),
}

/// The columns of a part, or where they are to be found.
#[derive(Clone, Debug)]
pub(crate) enum Columns<S> {
    Unread(S),
    Known(SchemaRef),
}

/// What the parts are when all that was handed over so far is committed.
pub(crate) type Shapes<S> = BTreeMap<PartKey, Shape<S>>;

/// Refuses deltas that do not fit what is there, and notes what the parts are afterwards.
pub(crate) fn advance<S: Clone>(
    shapes: &mut Shapes<S>,
    changes: &Changes,
    read: impl Fn(&S) -> Result<SchemaRef>,
) -> Result<()> {
    let mut after: Vec<(PartKey, Option<Shape<S>>)> = Vec::new();
    for (key, change) in &changes.parts {
        let shape = match change {
            Change::Drop => None,
            Change::Bytes(_) | Change::Batches(_) => Some(Shape::Whole),
            Change::Rows { fresh, batches } => {
                let before = shapes.get(key).filter(|_| !fresh);
                let columns = keyed(key, before, batches, &read)?;
                columns.map(|schema| Shape::Rows(Columns::Known(schema)))
            }
        };
        after.push((key.clone(), shape));
    }
    for (key, shape) in after {
        match shape {
            Some(shape) => shapes.insert(key, shape),
            None => shapes.remove(&key),
        };
    }
    Ok(())
}

/// The columns of a part under a delta; `None` if it has none, neither before nor after.
fn keyed<S>(
    key: &PartKey,
    before: Option<&Shape<S>>,
    batches: &[RecordBatch],
    read: impl Fn(&S) -> Result<SchemaRef>,
) -> Result<Option<SchemaRef>> {
    let before = match before {
        None => return Ok(batches.first().map(RecordBatch::schema)),
        Some(Shape::Whole) => return Err(not_keyed(key)),
        Some(Shape::Rows(Columns::Known(schema))) => schema.clone(),
        Some(Shape::Rows(Columns::Unread(place))) => read(place)?,
    };
    let now = batches
        .first()
        .map_or_else(|| before.clone(), RecordBatch::schema);
    if now.fields() == before.fields() {
        return Ok(Some(now));
    }
    let (now, before) = (told(&now), told(&before));
    Err(Error::internal(format!(
        "cannot store a delta of the part {key}: its columns are ({now}), and those of the part are ({before})"
    ))
    .help("drop the part in the same draft, and put all of its rows"))
}

/// Columns as people write them.
fn told(schema: &SchemaRef) -> String {
    let column = |field: &arrow_schema::FieldRef| {
        let null = if field.is_nullable() { " or null" } else { "" };
        format!("{}: {}{null}", field.name(), field.data_type())
    };
    let columns: Vec<String> = schema.fields().iter().map(column).collect();
    columns.join(", ")
}

fn not_keyed(key: &PartKey) -> Error {
    Error::internal(format!(
        "cannot store a delta of the part {key}: the part is stored as a whole"
    ))
    .help("drop the part in the same draft, and put all of its rows")
}
