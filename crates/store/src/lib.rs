//! The durable store of snapshots: bytes and Arrow batches in, the same out, after any crash.
//!
//! A [`Store`] is a folder. A [`Draft`] is the next snapshot: parts that changed are put into it, whole or as a delta of keyed
//! rows, all others stay as they are, and committing it makes it a [`Snapshot`] or leaves no trace. Threads of the store
//! write, sync and compact, so that whoever commits goes on meanwhile.
//!
//! The crate knows nothing of pipelines. What is in its files is told in `docs/state-format.md`.

mod additions;
mod books;
mod changes;
mod content;
mod disk;
mod draft;
mod find;
mod folder;
mod keeper;
mod manifest;
mod merge;
mod names;
mod round;
mod rows;
mod section;
mod snapshot;
mod sort;
mod store;

#[cfg(test)]
mod tests;

pub use books::Committed;
pub use content::{Content, GONE, KEY, PartKey};
pub use draft::{Draft, Pending};
pub use folder::Owner;
pub use snapshot::{Batches, PartFacts, Snapshot, Stored, StoredFile};
pub use store::{Reading, Store};
