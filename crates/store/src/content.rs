//! What is put into a snapshot: parts by their keys, each whole or as a delta of keyed rows.

use std::fmt;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray, BooleanArray, RecordBatch};
use arrow_schema::{DataType, Schema};
use dataflow_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// The column of keyed rows that holds their key. It is the first.
pub const KEY: &str = "key";
/// The column of keyed rows that says whether the row of this key is gone. It is the second.
pub const GONE: &str = "gone";

/// Whose state a part is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartKey {
    /// The component of the pipeline.
    pub component: String,
    /// The operator of the component.
    pub operator: String,
    /// The worker that the operator works on.
    pub worker: u32,
}

impl fmt::Display for PartKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            component,
            operator,
            worker,
        } = self;
        write!(f, "{component}/{operator}/{worker}")
    }
}

/// What a part becomes.
#[derive(Clone, Debug)]
pub enum Content {
    /// Bytes, in place of what the part was.
    Whole(Vec<u8>),
    /// Rows without keys, in place of what the part was. All batches have the same columns.
    WholeBatches(Vec<RecordBatch>),
    /// Rows by key, over what the part was: the last row of a key wins, and `gone` removes it.
    ///
    /// The first column is `key` of type `Binary` and the second `gone` of type `Boolean`, both without nulls; the others
    /// are the caller's, and stay the same from one delta of a part to the next. The order of the rows matters only where
    /// a key comes more than once.
    Delta {
        /// The rows; those of a later batch are newer.
        batches: Vec<RecordBatch>,
    },
}

/// The keys of keyed rows.
pub(crate) fn keys(rows: &RecordBatch) -> &BinaryArray {
    rows.column(0).as_binary()
}

/// Which of the keyed rows say that their key is gone.
pub(crate) fn gone(rows: &RecordBatch) -> &BooleanArray {
    rows.column(1).as_boolean()
}

/// What is wrong with the columns of keyed rows.
pub(crate) fn misfit(schema: &Schema) -> Option<&'static str> {
    let is = |at: usize, name: &str, kind: &DataType| {
        let field = schema.fields().get(at);
        field.is_some_and(|field| field.name() == name && field.data_type() == kind)
    };
    if !is(0, KEY, &DataType::Binary) {
        return Some("its first column is not `key` of type Binary");
    }
    match is(1, GONE, &DataType::Boolean) {
        true => None,
        false => Some("its second column is not `gone` of type Boolean"),
    }
}

/// Refuses batches that are not rows of one kind; those of a delta must have keys.
pub(crate) fn check(key: &PartKey, batches: &[RecordBatch], keyed: bool) -> Result<()> {
    let wrong = |how: &str| {
        Err(Error::internal(format!(
            "cannot store the part {key}: {how}"
        )))
    };
    if let Some(first) = batches.first() {
        let one = |batch: &RecordBatch| batch.schema().fields() == first.schema().fields();
        if !batches.iter().all(one) {
            return wrong("its batches have different columns");
        }
    }
    for batch in batches.iter().filter(|_| keyed) {
        if let Some(how) = misfit(&batch.schema()) {
            return wrong(how);
        }
        if keys(batch).null_count() + gone(batch).null_count() > 0 {
            return wrong("a row has no key, or does not say whether it is gone");
        }
    }
    Ok(())
}
