//! Watches folders for files that land in them, and tells of each when it is complete.
//!
//! A file is complete when it was renamed or linked into its place, or closed by who wrote it. Where the system does not tell that, and
//! for files that were there before anybody watched, it is when its size and its time of change are the same at two looks.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use dataflow_core::{Error, Result};
use dataflow_formats::InputFile;
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use walkdir::WalkDir;

use super::FormatConfig;
use super::discover::{Exclude, Root};
use super::landing::{LOOK, Landing};

/// The folders that are watched, and which of their files are wanted.
pub(super) struct Folders {
    pub(super) roots: Vec<Root>,
    pub(super) exclude: Exclude,
    /// Whether files are wanted that have no known extension.
    pub(super) any: bool,
}

/// What the system tells.
enum Heard {
    /// Something was put there whole: a file or a folder.
    Complete(PathBuf),
    /// A file or folder is new, and may be one that has not been written yet.
    New(PathBuf),
    /// A file was written to.
    Written(PathBuf),
    /// Something is not there any more.
    Gone(PathBuf),
    /// More has happened than could be told.
    Lost,
    /// It cannot be watched any more.
    Failed(notify::Error),
    /// Nobody waits any more.
    End,
}

/// Watches folders.
pub(super) struct Watcher {
    folders: Arc<Folders>,
    /// The paths by which the system may call each folder.
    called: Vec<[PathBuf; 2]>,
    landing: Landing,
    /// Folders to be looked through once more at these times: they may have been filled before they were watched.
    again: VecDeque<(Instant, PathBuf)>,
    heard: Receiver<Heard>,
    tell: Sender<Heard>,
    system: RecommendedWatcher,
}

impl Watcher {
    /// Starts to watch for files other than these.
    pub(super) fn new<'a>(
        component: &str,
        folders: &Arc<Folders>,
        known: impl Iterator<Item = &'a InputFile>,
    ) -> Result<Self> {
        let (tell, heard) = channel();
        let out = tell.clone();
        let hear = move |event| {
            for heard in translated(event) {
                // Nobody may be listening any more.
                let _ = out.send(heard);
            }
        };
        let system = notify::recommended_watcher(hear).map_err(|error| unwatched("", &error))?;
        let mut watcher = Self {
            folders: Arc::clone(folders),
            called: Vec::new(),
            landing: Landing::new(component, known),
            again: VecDeque::new(),
            heard,
            tell,
            system,
        };
        for root in &folders.roots {
            let shown = root.start.display().to_string();
            let failed = |error| Error::io("watch", &shown, &error);
            let absolute = std::path::absolute(&root.start).map_err(failed)?;
            let canonical = std::fs::canonicalize(&root.start).map_err(failed)?;
            let mode = match root.deep {
                true => RecursiveMode::Recursive,
                false => RecursiveMode::NonRecursive,
            };
            let watched = watcher.system.watch(&absolute, mode);
            watched.map_err(|error| unwatched(&shown, &error))?;
            watcher.called.push([absolute, canonical]);
        }
        watcher.look_through_all();
        Ok(watcher)
    }

    /// Ends the waiting, from another thread.
    pub(super) fn ending(&self) -> Box<dyn FnOnce() + Send> {
        let tell = self.tell.clone();
        // A watcher that is gone waits no more.
        Box::new(move || {
            let _ = tell.send(Heard::End);
        })
    }

    /// Waits for files that have become complete, in the order in which they did; none when the waiting was ended.
    pub(super) fn next(&mut self) -> Result<Option<Vec<InputFile>>> {
        loop {
            let mut heard = self.wait()?;
            self.look_again();
            while let Some(one) = heard {
                if !self.hear(one)? {
                    return Ok(None);
                }
                heard = self.heard.try_recv().ok();
            }
            let landed = self.landing.take();
            if !landed.is_empty() {
                return Ok(Some(landed));
            }
        }
    }

    /// What was heard, or none when it is time to look.
    fn wait(&self) -> Result<Option<Heard>> {
        let gone = || Error::internal("nobody watches any more");
        let again = self.again.front().map(|(at, _)| *at);
        let Some(look) = self.landing.look_at().into_iter().chain(again).min() else {
            return self.heard.recv().map(Some).map_err(|_| gone());
        };
        let left = look.saturating_duration_since(Instant::now());
        match self.heard.recv_timeout(left) {
            Ok(heard) => Ok(Some(heard)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }

    fn look_again(&mut self) {
        let now = Instant::now();
        while let Some((_, folder)) = self.again.pop_front_if(|(at, _)| *at <= now) {
            self.look_through(&folder);
        }
        self.landing.look();
    }

    /// Acts on what was heard. Whether somebody waits.
    fn hear(&mut self, heard: Heard) -> Result<bool> {
        match heard {
            Heard::Complete(path) if path.is_dir() => self.folder(path),
            Heard::Complete(path) => {
                if let Some(name) = self.name_of(&path) {
                    self.landing.complete(name, &path);
                }
            }
            Heard::New(path) if path.is_dir() => self.folder(path),
            Heard::New(path) => {
                if let Some(name) = self.name_of(&path) {
                    self.landing.new_file(name, &path);
                }
            }
            Heard::Written(path) => {
                if let Some(name) = self.name_of(&path) {
                    self.landing.written(name, &path);
                }
            }
            Heard::Gone(path) => self.check_there(&path)?,
            Heard::Lost => self.look_through_all(),
            Heard::Failed(error) => return Err(unwatched("", &error)),
            Heard::End => return Ok(false),
        }
        Ok(true)
    }

    /// A folder is new. What is in it may have come before it was watched.
    fn folder(&mut self, path: PathBuf) {
        let deep = |(root, called): (&Root, &[PathBuf; 2])| {
            root.deep && called.iter().any(|called| path.starts_with(called))
        };
        let mut roots = self.folders.roots.iter().zip(&self.called);
        if !roots.any(deep) {
            return;
        }
        // One that is linked is not watched by itself. If that cannot be done, what is in it now is found nevertheless.
        if path.is_symlink() {
            let _ = self.system.watch(&path, RecursiveMode::Recursive);
        }
        self.look_through(&path);
        self.again.push_back((Instant::now() + LOOK, path));
    }

    fn look_through_all(&mut self) {
        for [path, _] in self.called.clone() {
            self.look_through(&path);
        }
    }

    /// Looks for files in a folder that nobody has told of.
    fn look_through(&mut self, folder: &Path) {
        let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name();
        // What cannot be looked at is gone again, as a rule.
        for entry in entries.into_iter().flatten() {
            if let Some(name) = self.name_of(entry.path())
                && entry.file_type().is_file()
            {
                self.landing.found(name, entry.path());
            }
        }
    }

    /// How a file at a path is called, if it is wanted.
    fn name_of(&self, path: &Path) -> Option<String> {
        let Folders {
            roots,
            exclude,
            any,
        } = &*self.folders;
        let known = |name: &str| *any || FormatConfig::of_extension(name).is_some();
        let names = roots.iter().zip(&self.called).map(|(root, called)| {
            let below = called
                .iter()
                .find_map(|base| path.strip_prefix(base).ok())?;
            if !root.deep && below.components().count() > 1 {
                return None;
            }
            root.wants(below, exclude, &known)
        });
        names.flatten().next()
    }

    /// That a folder that is watched has not gone: nothing would come any more.
    fn check_there(&self, path: &Path) -> Result<()> {
        let roots = self.folders.roots.iter().zip(&self.called);
        let mut gone = roots.filter(|(root, called)| {
            called.iter().any(|called| called == path) && !root.start.exists()
        });
        match gone.next() {
            None => Ok(()),
            Some((root, _)) => {
                let error = Error::resource("the folder that is watched is not there any more");
                let help = "make it again, and start the run again";
                Err(error.file(root.start.display().to_string()).help(help))
            }
        }
    }
}

/// What is of interest in what the system tells.
fn translated(event: notify::Result<Event>) -> Vec<Heard> {
    let event = match event {
        Ok(event) => event,
        Err(error) => return vec![Heard::Failed(error)],
    };
    if event.need_rescan() {
        return vec![Heard::Lost];
    }
    let what: fn(PathBuf) -> Heard = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Heard::Complete,
        EventKind::Create(CreateKind::Folder | CreateKind::File | CreateKind::Any) => Heard::New,
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => Heard::Gone,
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return Vec::new(),
        EventKind::Modify(ModifyKind::Name(_)) => Heard::New,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => Heard::Written,
        _ => return Vec::new(),
    };
    event.paths.into_iter().map(what).collect()
}

fn unwatched(folder: &str, error: &notify::Error) -> Error {
    let help = match error.kind {
        ErrorKind::MaxFilesWatch => {
            "the system watches no more folders: allow it more (`sysctl fs.inotify.max_user_watches`), or leave folders out by a narrower `path`"
        }
        _ => "check the folder, and how many the system may watch (`sysctl fs.inotify`)",
    };
    let what = match folder {
        "" => format!("folders cannot be watched: {error}"),
        folder => format!("`{folder}` cannot be watched: {error}"),
    };
    Error::resource(what).help(help)
}

#[cfg(test)]
mod tests;
