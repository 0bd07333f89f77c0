//! Stores, deltas and what is read back, drawn small.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Int64Array, RecordBatch};
use serde_json::Value;

use crate::{Content, Owner, PartKey, Snapshot, Store, Stored};

/// The key of a part of component `name`.
pub fn part(name: &str) -> PartKey {
    PartKey {
        component: name.to_string(),
        operator: "groups".to_string(),
        worker: 0,
    }
}

/// Keyed rows: `None` is a key that is gone.
pub fn rows(rows: &[(&str, Option<i64>)]) -> RecordBatch {
    let keys = BinaryArray::from_iter_values(rows.iter().map(|(key, _)| key.as_bytes()));
    let gone: BooleanArray = rows.iter().map(|(_, n)| Some(n.is_none())).collect();
    let numbers: Int64Array = rows.iter().map(|(_, n)| *n).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("key", Arc::new(keys)),
        ("gone", Arc::new(gone)),
        ("n", Arc::new(numbers)),
    ];
    RecordBatch::try_from_iter_with_nullable(
        columns.map(|(name, column)| (name, column, name == "n")),
    )
    .expect("columns of one length")
}

/// One delta of such rows.
pub fn delta(of: &[(&str, Option<i64>)]) -> Content {
    Content::Delta {
        batches: vec![rows(of)],
    }
}

/// A part as it is read back, to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Bytes(Vec<u8>),
    Batches(Vec<Option<i64>>),
    Rows(BTreeMap<Vec<u8>, i64>),
}

/// Reads one part.
pub fn see(snapshot: &Snapshot, key: &PartKey) -> dataflow_core::Result<Option<Seen>> {
    Ok(match snapshot.read(key)? {
        None => None,
        Some(Stored::Whole(bytes)) => Some(Seen::Bytes(bytes)),
        Some(Stored::WholeBatches(batches)) => {
            let mut numbers = Vec::new();
            for batch in batches {
                numbers.extend(batch?.column(0).as_primitive::<Int64Type>().iter());
            }
            Some(Seen::Batches(numbers))
        }
        Some(Stored::Rows(batches)) => {
            let mut seen = Vec::new();
            for batch in batches {
                let batch = batch?;
                let keys = batch.column(0).as_binary::<i32>();
                let numbers = batch.column(1).as_primitive::<Int64Type>();
                seen.extend(
                    keys.iter()
                        .flatten()
                        .map(<[u8]>::to_vec)
                        .zip(numbers.values().iter().copied()),
                );
            }
            assert!(
                seen.windows(2).all(|two| two[0].0 < two[1].0),
                "in order, each key once"
            );
            Some(Seen::Rows(seen.into_iter().collect()))
        }
    })
}

/// What rows look like when they are read back.
pub fn seen(of: &[(&str, i64)]) -> Seen {
    Seen::Rows(
        of.iter()
            .map(|(key, n)| (key.as_bytes().to_vec(), *n))
            .collect(),
    )
}

/// Opens a store for a test.
pub fn open(folder: &std::path::Path) -> Store {
    Store::open(folder, &Owner::this_process("drawn")).expect("opens")
}

/// Puts contents into the next snapshot and waits for it.
pub fn commit(store: &Store, contents: &[(&str, Content)]) -> u64 {
    let mut draft = store.begin().expect("begins");
    for (name, content) in contents {
        draft.put(part(name), content.clone()).expect("fits");
    }
    let pending = draft.commit(Value::Null).expect("hands over");
    pending.wait().expect("is durable").number
}

/// The newest snapshot.
pub fn latest(store: &Store) -> Snapshot {
    store.latest().expect("is usable").expect("is there")
}
