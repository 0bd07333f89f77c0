//! A file that is not there until it is complete: written under a hidden name beside it, renamed at the end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use dataflow_core::{Error, Result};
use tempfile::TempPath;

use super::IfExists;

/// A file to be. Dropped before [`Target::commit`] it leaves nothing behind.
pub(super) struct Target {
    /// As people know it.
    path: String,
    /// Where the file is to be, links followed.
    place: PathBuf,
    if_exists: IfExists,
    state: State,
    /// Folders that were made for it, outermost first.
    folders: Vec<PathBuf>,
}

enum State {
    /// Being written; the lock on the file tells others that somebody does.
    Open(File, TempPath),
    /// Complete under its hidden name.
    Complete(TempPath),
    /// A device or a pipe: written as it goes.
    Direct(File),
    Gone,
}

impl Target {
    pub fn create(path: &str, if_exists: IfExists) -> Result<Self> {
        let place = followed(Path::new(path));
        let found = fs::metadata(&place).ok();
        let mut target = Self {
            path: path.to_string(),
            place,
            if_exists,
            state: State::Gone,
            folders: Vec::new(),
        };
        if let Some(found) = &found {
            if found.is_dir() {
                return Err(Error::resource("cannot write a file: this is a folder")
                    .file(path)
                    .help("write the name of a file in it"));
            }
            if !found.is_file() {
                let file = OpenOptions::new().write(true).open(&target.place);
                target.state = State::Direct(file.map_err(|e| Error::io("open", path, &e))?);
                return Ok(target);
            }
            if if_exists == IfExists::Fail {
                return Err(exists(path));
            }
        }
        target.make_folders()?;
        target.sweep();
        target.begin()?;
        Ok(target)
    }

    fn folder(&self) -> PathBuf {
        match self.place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        }
    }

    fn make_folders(&mut self) -> Result<()> {
        let folder = self.folder();
        let missing: Vec<&Path> = folder
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .collect();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => self.folders.push(folder.to_path_buf()),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("make a folder", folder.display(), &e)),
            }
        }
        Ok(())
    }

    /// The hidden name without what makes it unique.
    fn prefix(&self) -> String {
        let name = self.place.file_name().unwrap_or_default();
        let mut name = name.to_string_lossy().into_owned();
        // File names have at most 255 bytes; the hidden one is longer than the final one.
        let mut end = name.len().min(200);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
        format!(".{name}.")
    }

    /// Removes what runs that were killed left for this file. Nobody holds a lock on that.
    fn sweep(&self) {
        let prefix = self.prefix();
        let Ok(entries) = fs::read_dir(self.folder()) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let random = name
                .strip_prefix(&*prefix)
                .and_then(|n| n.strip_suffix(PARTIAL));
            let ours = random.is_some_and(|random| {
                random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric())
            });
            if ours && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn begin(&mut self) -> Result<()> {
        let mut builder = tempfile::Builder::new();
        let prefix = self.prefix();
        builder.prefix(&prefix).suffix(PARTIAL).rand_bytes(RANDOM);
        #[cfg(unix)]
        {
            // What the umask leaves of it: temporary files are private otherwise, and would stay so.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let made = builder.tempfile_in(self.folder());
        let (file, path) = made
            .map_err(|e| Error::io("write", &self.path, &e))?
            .into_parts();
        // Where locks are not supported, the file is merely not protected from being swept.
        let _ = file.try_lock();
        self.state = State::Open(file, path);
        Ok(())
    }

    /// The file that exists, if rows are to be added to it.
    pub fn continues(&self) -> Option<&Path> {
        let open = matches!(self.state, State::Open(..));
        let there = self.if_exists == IfExists::Append && open && self.place.exists();
        there.then_some(&self.place)
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where to write to.
    pub fn output(&self) -> Result<File> {
        match &self.state {
            State::Open(file, _) | State::Direct(file) => file
                .try_clone()
                .map_err(|e| Error::io("write", &self.path, &e)),
            _ => Err(Error::internal("a file was written after it was complete")),
        }
    }

    /// Makes what was written durable, closes it, and says how large it is.
    pub fn sync(&mut self) -> Result<u64> {
        let failed = |e: io::Error| Error::io("write", &self.path, &e);
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Open(mut file, path) => {
                file.flush().map_err(failed)?;
                file.sync_all().map_err(failed)?;
                let bytes = file.metadata().map_err(failed)?.len();
                self.state = State::Complete(path);
                Ok(bytes)
            }
            other => {
                self.state = other;
                Ok(0)
            }
        }
    }

    /// Whether the file came to be there although it must not.
    pub fn check_absent(&self) -> Result<()> {
        if self.if_exists == IfExists::Fail && self.place.exists() {
            return Err(exists(&self.path));
        }
        Ok(())
    }

    /// Gives the file its final name.
    pub fn commit(mut self) -> Result<()> {
        let hidden = match std::mem::replace(&mut self.state, State::Gone) {
            State::Complete(hidden) => hidden,
            State::Direct(_) => return Ok(()),
            _ => {
                return Err(Error::internal(
                    "a file was committed before it was complete",
                ));
            }
        };
        if let Ok(found) = fs::metadata(&self.place) {
            let _ = fs::set_permissions(&hidden, found.permissions());
        }
        let renamed = match self.if_exists {
            IfExists::Fail => hidden.persist_noclobber(&self.place),
            IfExists::Replace | IfExists::Append => hidden.persist(&self.place),
        };
        match renamed {
            Ok(()) => {
                self.folders.clear();
                sync_folder(&self.folder());
                Ok(())
            }
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(exists(&self.path))
            }
            Err(error) => Err(Error::io("give its name to", &self.path, &error.error)),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.state = State::Gone;
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder); // only if it is empty
        }
    }
}

const PARTIAL: &str = ".partial";
const RANDOM: usize = 8;

/// That there is no such file yet.
pub(super) fn check_new(path: &str) -> Result<()> {
    let found = fs::metadata(followed(Path::new(path)));
    match found.is_ok_and(|found| found.is_file()) {
        true => Err(exists(path)),
        false => Ok(()),
    }
}

fn exists(path: &str) -> Error {
    Error::resource("the file exists already")
        .file(path)
        .help("remove it, choose another name, or set `if_exists = \"replace\"`")
}

/// The file that a link points to: the link stays one.
fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(to) => path = path.parent().unwrap_or(Path::new("")).join(to),
            Err(_) => break,
        }
    }
    path
}

/// Makes a new name durable, where the system can.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}
