//! Files that land: which have been taken, and which are still to be seen to be complete.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use dataflow_formats::InputFile;

/// The time between two looks at a file of which nobody tells when it is complete.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// Whether the system tells when a file is closed by who wrote it.
const TELLS_CLOSED: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Files that have landed and files that are about to.
pub(super) struct Landing {
    component: String,
    /// By name. What was said to have changed has no size any more.
    taken: HashMap<Arc<str>, Option<u64>>,
    /// Files that are complete if they are the same at the next look.
    waiting: BTreeMap<String, Look>,
    /// Files in the order in which they land; none for one that waits: what comes behind it waits as well, until the next look.
    order: BTreeMap<u64, Option<InputFile>>,
    next: u64,
}

/// What was seen of a file.
struct Look {
    path: PathBuf,
    bytes: u64,
    changed: Option<SystemTime>,
    /// When it was looked at.
    at: Instant,
    /// Its place in the order.
    place: u64,
}

impl Landing {
    pub(super) fn new<'a>(component: &str, known: impl Iterator<Item = &'a InputFile>) -> Self {
        Self {
            component: component.to_string(),
            taken: known
                .map(|file| (Arc::clone(&file.path), file.bytes))
                .collect(),
            waiting: BTreeMap::new(),
            order: BTreeMap::new(),
            next: 0,
        }
    }

    /// What has landed since, in its order.
    pub(super) fn take(&mut self) -> Vec<InputFile> {
        let first = self.order.iter().find(|(_, file)| file.is_none());
        let waits = first.map(|(place, _)| *place);
        let later = waits.map_or_else(BTreeMap::new, |place| self.order.split_off(&place));
        let landed = std::mem::replace(&mut self.order, later);
        landed.into_values().flatten().collect()
    }

    /// When files are to be looked at again, if some are.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.waiting.values().map(|look| look.at + LOOK).min()
    }

    /// A file is complete.
    pub(super) fn complete(&mut self, name: String, path: &Path) {
        self.forget(&name);
        if let Some(seen) = file(path)
            && self.is_new(&name, &seen)
        {
            let place = self.place();
            self.land(name, seen.len(), place);
        }
    }

    /// A file is new: it was linked into its place, or somebody is about to write it.
    pub(super) fn new_file(&mut self, name: String, path: &Path) {
        if is_linked(path) {
            self.complete(name, path);
        } else if !TELLS_CLOSED {
            self.found(name, path);
        }
    }

    /// A file was written to: where it will be told that it was closed, that is waited for.
    pub(super) fn written(&mut self, name: String, path: &Path) {
        self.forget(&name);
        if !TELLS_CLOSED {
            self.found(name, path);
        } else if self.taken.contains_key(name.as_str())
            && let Some(seen) = file(path)
        {
            self.is_new(&name, &seen);
        }
    }

    /// A file was found of which nothing was told: it is looked at twice. One that is empty is about to be written.
    pub(super) fn found(&mut self, name: String, path: &Path) {
        let Some(seen) = file(path).filter(|seen| self.is_new(&name, seen)) else {
            return;
        };
        let about_to = TELLS_CLOSED && seen.len() == 0;
        if !about_to && !self.waiting.contains_key(&name) {
            self.wait(name, path, &seen);
        }
    }

    /// Looks at the files that have waited for long enough. Those that are as they were are complete.
    pub(super) fn look(&mut self) {
        let now = Instant::now();
        let (due, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, look)| look.at + LOOK <= now);
        self.waiting = waiting;
        let due: BTreeMap<String, Look> = due;
        for (name, before) in due {
            self.order.remove(&before.place);
            let Some(seen) = file(&before.path) else {
                continue;
            };
            match (seen.len(), seen.modified().ok()) == (before.bytes, before.changed) {
                true => self.land(name, before.bytes, before.place),
                false => self.wait(name, &before.path, &seen),
            }
        }
    }

    /// The next place in the order.
    fn place(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn wait(&mut self, name: String, path: &Path, seen: &Metadata) {
        let place = self.place();
        self.order.insert(place, None);
        let look = Look {
            path: path.to_path_buf(),
            bytes: seen.len(),
            changed: seen.modified().ok(),
            at: Instant::now(),
            place,
        };
        self.waiting.insert(name, look);
    }

    /// A file is not looked at any more.
    fn forget(&mut self, name: &str) {
        if let Some(look) = self.waiting.remove(name) {
            self.order.remove(&look.place);
        }
    }

    fn land(&mut self, name: String, bytes: u64, place: u64) {
        let path: Arc<str> = name.into();
        self.taken.insert(Arc::clone(&path), Some(bytes));
        let file = InputFile {
            path,
            bytes: Some(bytes),
        };
        self.order.insert(place, Some(file));
    }

    /// Whether a file has not been taken. If it was and is another one now, that is said once.
    fn is_new(&mut self, name: &str, seen: &Metadata) -> bool {
        let Some(taken) = self.taken.get_mut(name) else {
            return true;
        };
        if taken.is_some_and(|bytes| bytes != seen.len()) {
            *taken = None;
            tracing::warn!(
                component = %self.component,
                file = %name,
                "has changed since it was taken: this run does not read what is new; write it to a file of its own"
            );
        }
        false
    }
}

/// What can be seen of a file, if it is one and is there.
fn file(path: &Path) -> Option<Metadata> {
    std::fs::metadata(path).ok().filter(Metadata::is_file)
}

/// Whether a new name was given to a file that there was before, so that nobody will write it.
fn is_linked(path: &Path) -> bool {
    let Ok(seen) = std::fs::symlink_metadata(path) else {
        return false;
    };
    #[cfg(unix)]
    let has_others = std::os::unix::fs::MetadataExt::nlink(&seen) > 1;
    #[cfg(not(unix))]
    let has_others = false;
    seen.is_symlink() || has_others
}
