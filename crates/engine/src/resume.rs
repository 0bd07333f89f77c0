//! What an earlier run left: its newest snapshot, and whether it is one of this pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dataflow_core::{Error, Every, Result};
use dataflow_store::{Owner, Snapshot, Store};
use serde::{Deserialize, Serialize};

use crate::positions::Facts;
use crate::trained::Known;

/// The version of what the engine writes into snapshots.
const VERSION: u32 = 1;

/// Where snapshots are kept, and how often there is to be one.
#[derive(Clone, Debug, Default)]
pub struct StateSettings {
    /// The folder.
    pub folder: PathBuf,
    /// How often there is to be one.
    pub every: Every,
    /// Whether to begin anew, whatever there is.
    pub fresh: bool,
    /// What the pipeline is, component by component: a run goes on only from snapshots of the same.
    pub about: BTreeMap<String, String>,
    /// When the run was first started, in nanoseconds since 1970.
    pub run_time: i64,
    /// The transforms, for pipelines that begin with their state.
    pub components: BTreeMap<String, Known>,
}

/// What a snapshot says of itself.
#[derive(Default, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    about: BTreeMap<String, String>,
    run_time: i64,
    /// When it was taken, in nanoseconds since 1970.
    pub taken: i64,
    /// What the desk knew.
    pub facts: Facts,
    /// The transforms.
    pub components: BTreeMap<String, Known>,
}

impl Manifest {
    /// Of a run of a pipeline.
    pub fn new(state: &StateSettings, facts: Facts) -> Self {
        Self {
            version: VERSION,
            about: state.about.clone(),
            run_time: state.run_time,
            taken: now(),
            components: state.components.clone(),
            facts,
        }
    }
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as i64)
}

/// The store of a run, and what an earlier one left in it.
pub struct Kept {
    /// The store.
    pub store: Arc<Store>,
    /// What to go on from.
    pub earlier: Option<(Snapshot, Manifest)>,
}

impl Kept {
    /// Opens the store, and looks whether there is something to go on from.
    ///
    /// # Errors
    /// When it cannot be opened, or holds snapshots of another pipeline.
    pub fn open(settings: &StateSettings, pipeline: &str) -> Result<Self> {
        let owner = Owner::this_process(pipeline);
        let store = Arc::new(Store::open(&settings.folder, &owner)?);
        if settings.fresh {
            store.reset()?;
        }
        let Some(snapshot) = store.latest()? else {
            let earlier = None;
            return Ok(Self { store, earlier });
        };
        for warning in snapshot.warnings() {
            tracing::warn!("{warning}");
        }
        let manifest = manifest_of(&snapshot, &settings.folder)?;
        if let Some(difference) = difference(&manifest.about, &settings.about) {
            return Err(other_pipeline(settings, &difference));
        }
        Ok(Self {
            store,
            earlier: Some((snapshot, manifest)),
        })
    }
}

/// When the run was first started that left snapshots in a folder, in nanoseconds since 1970; none if there are none that can be read.
pub fn first_started(folder: &Path) -> Option<i64> {
    let snapshot = Store::read_only(folder).ok()?.latest().ok()??;
    let manifest = Manifest::deserialize(snapshot.facts()).ok()?;
    Some(manifest.run_time)
}

/// What a snapshot says of itself.
///
/// # Errors
/// When this version of the program cannot read it.
pub fn manifest_of(snapshot: &Snapshot, folder: &Path) -> Result<Manifest> {
    let manifest = Manifest::deserialize(snapshot.facts());
    let unreadable = |why: String| {
        let what = format!("the snapshots in this folder cannot be read: {why}");
        Error::data(what)
            .file(folder.display().to_string())
            .help("use the program that wrote them, or begin anew with `--fresh`")
    };
    let manifest = manifest.map_err(|error| unreadable(error.to_string()))?;
    match manifest.version {
        VERSION => Ok(manifest),
        other => Err(unreadable(format!("they are of version {other}"))),
    }
}

/// What is not the same in two pipelines, in a few words.
fn difference(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Option<String> {
    let ids: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let mut said = Vec::new();
    for id in ids {
        match (before.get(id), now.get(id)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(_), Some(_)) => said.push(format!("`{id}` was changed")),
            (None, _) => said.push(format!("`{id}` is new")),
            (_, None) => said.push(format!("`{id}` is gone")),
        }
    }
    (!said.is_empty()).then(|| said.join(", "))
}

fn other_pipeline(settings: &StateSettings, difference: &str) -> Error {
    let what = format!(
        "the snapshots in this folder are of a pipeline that is not this one: {difference}"
    );
    Error::new(dataflow_core::error::Fault::Pipeline, what)
        .file(settings.folder.display().to_string())
        .help("begin anew with `--fresh`, or give this pipeline a folder of its own")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_pipeline_is_told_by_what_changed() {
        let of = |text: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = text
                .iter()
                .map(|(a, b)| ((*a).to_string(), (*b).to_string()));
            pairs.collect()
        };
        let before = of(&[("a", "1"), ("b", "2")]);
        assert_eq!(difference(&before, &before), None);
        let said = difference(&before, &of(&[("b", "3"), ("c", "4")]));
        assert_eq!(
            said.as_deref(),
            Some("`a` is gone, `b` was changed, `c` is new")
        );
    }
}
