//! State that another pipeline has left, for a run to begin with: of the components that have the same id, type and settings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use dataflow_core::error::Fault;
use dataflow_core::{Error, Result};
use dataflow_store::{Snapshot, Store};
use serde::{Deserialize, Serialize};

use crate::resume::{Manifest, manifest_of};

/// What tells whether the state of one component is of use to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its type.
    pub type_name: String,
    /// A digest of its own settings.
    pub settings: String,
}

/// Where such state is to be taken from.
#[derive(Clone, Debug, Default)]
pub struct TrainedSettings {
    /// The folder of the other pipeline's snapshots.
    pub folder: PathBuf,
    /// The transforms of this pipeline by their ids.
    pub components: BTreeMap<String, Known>,
}

/// What is taken over.
pub struct Trained {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What it says of itself.
    pub manifest: Manifest,
    /// The components whose state is taken over.
    pub components: BTreeSet<String>,
}

impl Trained {
    /// Looks what there is.
    ///
    /// # Errors
    /// When there is nothing of use, or a component was trained with other settings.
    pub fn open(settings: &TrainedSettings) -> Result<Self> {
        let folder = settings.folder.display().to_string();
        let Some(snapshot) = Store::read_only(&settings.folder)?.latest()? else {
            return Err(Error::resource(
                "there is no snapshot in the folder that state is taken from",
            )
            .file(folder)
            .help("run the pipeline first that is to leave it there"));
        };
        for warning in snapshot.warnings() {
            tracing::warn!("{warning}");
        }
        let manifest = manifest_of(&snapshot, &settings.folder)?;
        let components = shared(&manifest.components, &settings.components)
            .map_err(|error| error.file(folder))?;
        Ok(Self {
            snapshot,
            manifest,
            components,
        })
    }
}

/// The components that both have.
fn shared(
    theirs: &BTreeMap<String, Known>,
    ours: &BTreeMap<String, Known>,
) -> Result<BTreeSet<String>> {
    let mut both = BTreeSet::new();
    for (id, known) in theirs {
        let same = ours.get(id);
        let Some(own) = same.filter(|own| own.type_name == known.type_name) else {
            continue;
        };
        if own.settings != known.settings {
            let message =
                format!("the state of `{id}` in this folder was made with other settings");
            return Err(Error::new(Fault::Pipeline, message).help(format!(
                "give `{id}` the settings that it had there, or call it otherwise to leave its state there"
            )));
        }
        both.insert(id.clone());
    }
    if both.is_empty() {
        let told = |all: &BTreeMap<String, Known>| {
            let each = all
                .iter()
                .map(|(id, known)| format!("`{id}` ({})", known.type_name));
            match all.is_empty() {
                true => "none".to_string(),
                false => each.collect::<Vec<_>>().join(", "),
            }
        };
        let message = format!(
            "no transform of this pipeline has the id and the type of one in this folder: there are {}, and here {}",
            told(theirs),
            told(ours)
        );
        return Err(Error::new(Fault::Pipeline, message)
            .help("give transforms the ids that they had when they were trained"));
    }
    Ok(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(list: &[(&str, &str, &str)]) -> BTreeMap<String, Known> {
        let each = list.iter().map(|(id, type_name, settings)| {
            let known = Known {
                type_name: (*type_name).into(),
                settings: (*settings).into(),
            };
            ((*id).to_string(), known)
        });
        each.collect()
    }

    #[test]
    fn what_has_the_same_id_and_type_is_taken_over() {
        let theirs = known(&[("a", "lag", "1"), ("b", "dedup", "2"), ("c", "lag", "3")]);
        let ours = known(&[("a", "lag", "1"), ("b", "lag", "2"), ("d", "lag", "3")]);
        let both = shared(&theirs, &ours).expect("one of them");
        assert_eq!(both.into_iter().collect::<Vec<_>>(), ["a"]);
        let other = known(&[("a", "lag", "9")]);
        let error = shared(&theirs, &other).expect_err("other settings");
        assert!(error.to_string().contains("`a`"), "{error}");
        let none = known(&[("x", "lag", "1")]);
        let error = shared(&theirs, &none).expect_err("nothing");
        assert!(error.to_string().contains("`b` (dedup)"), "{error}");
        assert!(error.to_string().contains("here `x` (lag)"), "{error}");
    }
}
