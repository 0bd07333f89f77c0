//! What operators held at a snapshot, found again and read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use dataflow_core::saved::Parts;
use dataflow_core::stage::Spilled;
use dataflow_core::{Batch, Error, Result};
use dataflow_store::{PartKey, Snapshot, Stored};
use serde_json::Value;

use super::parts::{PartNote, rows_of};
use crate::spill::{SpillFolder, copied, kept, without_facts};

/// How many keys an operator had on a worker, if this is what it handed in, and not rows beside that.
///
/// # Errors
/// When it cannot be read.
pub fn keys_of(snapshot: &Snapshot, part: &PartKey) -> Result<u64> {
    let Some(Stored::Whole(bytes)) = snapshot.read(part)? else {
        return Ok(0);
    };
    let note: Result<PartNote, _> = serde_json::from_slice(&bytes);
    Ok(note.map_or(0, |note| note.keys))
}

/// What an operator held at a snapshot, on all workers that had a stage of it.
pub struct Earlier<'a> {
    snapshot: &'a Snapshot,
    parts: Vec<(PartKey, PartNote)>,
    folder: Arc<SpillFolder>,
    /// Whether its runs are somebody else's, and are copied.
    copies: bool,
}

impl<'a> Earlier<'a> {
    /// What there is of an operator of a component.
    ///
    /// # Errors
    /// When a part cannot be read.
    pub fn find(
        snapshot: &'a Snapshot,
        (component, operator): (&str, &str),
        folder: &Arc<SpillFolder>,
    ) -> Result<Self> {
        let mut parts = Vec::new();
        for (key, _) in snapshot.parts() {
            if key.component != component || key.operator != operator {
                continue;
            }
            let Some(Stored::Whole(bytes)) = snapshot.read(key)? else {
                continue;
            };
            let note = serde_json::from_slice(&bytes);
            let note: PartNote = note.map_err(|e| {
                Error::data(format!("what was saved of {key} is no note of a part: {e}"))
            })?;
            parts.push((key.clone(), note));
        }
        Ok(Self {
            snapshot,
            parts,
            folder: Arc::clone(folder),
            copies: false,
        })
    }

    /// The same of another pipeline's snapshot, which may go at any time: its runs are copied.
    #[must_use]
    pub fn copied(mut self) -> Self {
        self.copies = true;
        self
    }

    /// What each operator held itself, and whether all of them had ended.
    pub fn own(&self) -> (Vec<&Value>, bool) {
        let own = self.parts.iter().map(|(_, note)| &note.own);
        let over = !self.parts.is_empty() && self.parts.iter().all(|(_, note)| note.over);
        (own.collect(), over)
    }

    /// Whether any of them saved rows.
    pub fn has_rows(&self) -> bool {
        let rows_of_these = |key: &PartKey| {
            let mut parts = self.parts.iter();
            parts.any(|(part, _)| {
                key.component == part.component
                    && key.operator.starts_with(&format!("{} / ", part.operator))
            })
        };
        let in_runs = self.parts.iter().any(|(_, note)| !note.runs.is_empty());
        in_runs || self.snapshot.parts().any(|(key, _)| rows_of_these(key))
    }

    /// Only those that had a stage.
    #[must_use]
    pub fn stages(mut self) -> Self {
        self.parts.retain(|(_, note)| note.values.is_some());
        self
    }
}

impl Parts for Earlier<'_> {
    fn workers(&self) -> usize {
        self.parts.len()
    }

    fn value(&self, worker: usize, name: &str) -> Result<Option<Value>> {
        let values = self.parts[worker].1.values.as_ref();
        Ok(values.and_then(|values| values.get(name)).cloned())
    }

    fn rows(
        &self,
        worker: usize,
        name: &str,
        each: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let key = rows_of(&self.parts[worker].0, name);
        let (batches, numbered) = match self.snapshot.read(&key)? {
            Some(Stored::WholeBatches(batches)) => (batches, false),
            Some(Stored::Rows(batches)) => (batches, true),
            Some(Stored::Whole(_)) | None => return Ok(()),
        };
        for batch in batches {
            let mut batch = batch?;
            if numbered {
                batch.remove_column(0);
            }
            each(without_facts(&batch)?)?;
        }
        Ok(())
    }

    fn runs(&self, worker: usize, name: &str) -> Result<Vec<(Arc<dyn Spilled>, u64)>> {
        let (key, note) = &self.parts[worker];
        let files: BTreeMap<String, PathBuf> = (self.snapshot.files())
            .map(|file| (file.name, file.path))
            .collect();
        let runs = note.runs.get(name).into_iter().flatten();
        let found = runs.map(|run| {
            let path = files.get(&run.file).ok_or_else(|| {
                Error::data(format!("the run `{}` of {key} is in no snapshot", run.file))
            })?;
            let opened = match self.copies {
                true => copied(&self.folder, &key.component, path, run.rows)?,
                false => kept(&self.folder, &key.component, path.clone(), run.rows)?,
            };
            Ok((opened, run.taken))
        });
        found.collect()
    }
}
