//! The folder of a store: whether it is one, and the lock of whoever uses it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use chrono::{DateTime, Local, SecondsFormat};
use dataflow_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::disk::sync_names;
use crate::names;

/// What the lock file begins with: others have files of that name too.
const MAGIC: &str = "dataflow store\n";

/// Who uses a store, for those who would like to use it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The pipeline that runs.
    pub pipeline: String,
    /// The number of the process.
    pub process: u32,
    /// The machine that it runs on.
    pub host: String,
    /// Since when, for people to read.
    pub since: String,
}

impl Owner {
    /// This process, from now on.
    pub fn this_process(pipeline: impl Into<String>) -> Self {
        let now: DateTime<Local> = Local::now();
        Self {
            pipeline: pipeline.into(),
            process: std::process::id(),
            host: host(),
            since: now.to_rfc3339_opts(SecondsFormat::Secs, false),
        }
    }
}

/// What the machine calls itself, as far as it can be told without asking the network.
fn host() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let told = told.ok().or_else(|| std::env::var("HOSTNAME").ok());
    let told = told.or_else(|| std::env::var("COMPUTERNAME").ok());
    told.map_or_else(
        || "an unknown host".to_string(),
        |name| name.trim().to_string(),
    )
}

/// Makes the folder a store if it is absent or empty, and takes its lock.
pub(crate) fn take(folder: &Path, owner: &Owner) -> Result<File> {
    let failed = |e: &std::io::Error| Error::io("open the store of snapshots", folder.display(), e);
    check_kind(folder)?;
    std::fs::create_dir_all(folder).map_err(|e| failed(&e))?;
    check(folder)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    let mut file = options
        .open(folder.join(names::LOCK))
        .map_err(|e| failed(&e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(folder, &mut file)),
        Err(TryLockError::Error(error)) => {
            let help = "a store needs a file system with file locks; choose another folder";
            return Err(failed(&error).help(help));
        }
    }
    sign(&mut file, owner).map_err(|e| failed(&e))?;
    // The folder itself must not be lost with what is in it.
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    sync_names(parent.unwrap_or(Path::new("."))).map_err(|e| failed(&e))?;
    Ok(file)
}

/// Writes down whose lock it is.
fn sign(file: &mut File, owner: &Owner) -> std::io::Result<()> {
    let text = serde_json::to_string(owner).map_err(std::io::Error::other)?;
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(format!("{MAGIC}{text}\n").as_bytes())?;
    file.sync_all()
}

/// Somebody else has the lock.
fn in_use(folder: &Path, file: &mut File) -> Error {
    let what = match signed(file) {
        Some(owner) => format!(
            "the store of snapshots is in use by the pipeline `{}`: process {} on {}, since {}",
            owner.pipeline, owner.process, owner.host, owner.since
        ),
        None => "the store of snapshots is in use by another process".to_string(),
    };
    Error::resource(what)
        .file(folder.display().to_string())
        .help("wait for it or stop it, or choose another folder")
}

fn signed(file: &mut File) -> Option<Owner> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(text.strip_prefix(MAGIC)?).ok()
}

/// Refuses what is there and no folder.
fn check_kind(folder: &Path) -> Result<()> {
    match std::fs::metadata(folder) {
        Ok(found) if !found.is_dir() => Err(Error::resource(
            "snapshots are kept in a folder, and this is no folder",
        )
        .file(folder.display().to_string())
        .help("choose a folder that is empty or not there yet")),
        _ => Ok(()),
    }
}

/// Refuses a folder that has something else in it.
pub(crate) fn check(folder: &Path) -> Result<()> {
    let failed = |e: &std::io::Error| Error::io("open the store of snapshots", folder.display(), e);
    check_kind(folder)?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| failed(&e))? {
        let name = entry.map_err(|e| failed(&e))?.file_name();
        let name = name.to_string_lossy().into_owned();
        // File systems and desktops leave such files anywhere.
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    match names.iter().find(|name| !names::is_ours(name)) {
        Some(foreign) => Err(no_store(folder, &format!("`{foreign}` is in it"))),
        None if names.is_empty() => Ok(()),
        None => check_lock(folder),
    }
}

/// Where there are files of ours there is a lock file, and it is ours too.
fn check_lock(folder: &Path) -> Result<()> {
    let path = folder.join(names::LOCK);
    let mut beginning = Vec::new();
    let opened = File::open(&path);
    let mut file = match opened {
        Ok(file) => file.take(MAGIC.len() as u64),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(no_store(folder, "it has no file `LOCK`"));
        }
        Err(error) => {
            return Err(Error::io(
                "open the store of snapshots",
                path.display(),
                &error,
            ));
        }
    };
    // Some systems let nobody read what another process has locked.
    let read = file.read_to_end(&mut beginning);
    // After a power cut it may be empty, or zeros.
    let ours = beginning == MAGIC.as_bytes() || beginning.iter().all(|byte| *byte == 0);
    match read.is_err() || ours {
        true => Ok(()),
        false => Err(no_store(folder, "its file `LOCK` is from another program")),
    }
}

fn no_store(folder: &Path, why: &str) -> Error {
    Error::resource(format!(
        "the folder is no store of snapshots: {why}; nothing was changed"
    ))
    .file(folder.display().to_string())
    .help("choose a folder that is empty or not there yet")
}
