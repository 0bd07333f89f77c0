//! A snapshot that is being put together, and the wait for it to be durable.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use dataflow_core::{Error, Result};

use crate::books::Committed;
use crate::changes::{Changes, advance};
use crate::content::{Content, PartKey};
use crate::keeper::{Answer, Job, gone};
use crate::store::Front;

/// The next snapshot. Parts and files that are not named stay what they were in the snapshot before.
///
/// A draft that is dropped changes nothing.
pub struct Draft {
    front: Arc<Front>,
    changes: Changes,
}

impl Draft {
    pub(crate) fn new(front: Arc<Front>) -> Self {
        Self {
            front,
            changes: Changes::default(),
        }
    }

    /// Puts content into a part, on top of what this draft has put there before.
    ///
    /// Nothing is copied or written here. The error is a mistake of the caller: a delta without its columns, or one over a
    /// part that is stored as a whole.
    pub fn put(&mut self, key: PartKey, content: Content) -> Result<()> {
        self.changes.put(key, content)
    }

    /// Leaves a part and its files out. What is put afterwards is put over nothing.
    pub fn drop_part(&mut self, key: &PartKey) {
        self.changes.drop_part(key);
    }

    /// Makes a file that is directly in the store's folder for files a part of the snapshot, and gives its name.
    ///
    /// From then on it must not be changed or removed by anybody else: it goes when no snapshot names it any more. It stays
    /// until [`drop_file`](Self::drop_file) or [`drop_part`](Self::drop_part) of its key leaves it out.
    pub fn adopt(&mut self, key: PartKey, file: &Path) -> Result<String> {
        let folder = self.front.files();
        let name = file.file_name().and_then(|name| name.to_str());
        match name {
            Some(name) if file.parent() == Some(folder.as_path()) && file.is_file() => {
                self.changes.adopted.insert(name.to_string(), key);
                Ok(name.to_string())
            }
            _ => Err(Error::internal(format!(
                "cannot make a file part of a snapshot: it is no file in `{}`",
                folder.display()
            ))
            .file(file.display().to_string())),
        }
    }

    /// Leaves a file out that was adopted.
    pub fn drop_file(&mut self, name: &str) {
        self.changes.drop_file(name);
    }

    /// Hands the draft to the store's thread, which writes it after those that were handed over before.
    ///
    /// If the commit fails, nothing of the draft is lost: it is held in memory and becomes part of the next one that is
    /// committed. The error here
    /// is a mistake of the caller (a delta with other columns than those of the part), and then the draft is void.
    pub fn commit(self, facts: serde_json::Value) -> Result<Pending> {
        let mut state = self.front.state();
        let shapes = state.as_mut().map_err(|error| error.clone())?;
        advance(shapes, &self.changes, |place| self.front.columns(place))?;
        let (answer, answered) = channel();
        // Under the lock, so that drafts come in the order in which they were checked.
        let job = Job::Commit(Box::new(self.changes), facts, answer);
        self.front.jobs.send(job).map_err(|_| gone())?;
        Ok(Pending(Answer(answered)))
    }
}

/// A commit that was handed over. Dropping it does not take the commit back.
pub struct Pending(Answer<Committed>);

impl Pending {
    /// Waits until the snapshot is durable, or has failed.
    ///
    /// After a failure the snapshot before is the newest. There is one exception, that no order of writing rules out: if the
    /// disk fails between giving the snapshot its name and confirming it, and then fails to take it back, a later start may
    /// find the snapshot complete.
    pub fn wait(self) -> Result<Committed> {
        self.0.wait()
    }

    /// Looks whether it is durable, or has failed; the answer is given once.
    pub fn try_done(&mut self) -> Option<Result<Committed>> {
        self.0.look()
    }
}
