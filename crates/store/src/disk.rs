//! The few things that a store does with a disk, as a trait, so that tests can cut the power at any of them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use dataflow_core::Error;

/// What a store needs of a disk. Paths are relative to the store's folder, which itself is the empty path.
pub(crate) trait Disk: Send + Sync {
    /// A new file to be written from its beginning; what had the name before is gone.
    fn create(&self, path: &str) -> io::Result<Box<dyn Append>>;
    /// A file to be read.
    fn open(&self, path: &str) -> io::Result<Box<dyn Ranged>>;
    /// Makes the content of a file durable that somebody else has written.
    fn sync(&self, path: &str) -> io::Result<()>;
    /// Gives a file another name; what had that name before is gone.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// The names in a folder.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    /// Makes a folder, unless it is there.
    fn make_folder(&self, folder: &str) -> io::Result<()>;
    /// Makes durable which names are in a folder.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
    /// The path as the system knows it.
    fn path(&self, path: &str) -> PathBuf;

    /// The same for messages.
    fn shown(&self, path: &str) -> String {
        self.path(path).display().to_string()
    }
}

/// A file that is being written, from its beginning to its end.
pub(crate) trait Append: Send {
    /// Writes all of the bytes behind what was written before.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes durable what was written.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is read in ranges.
pub(crate) trait Ranged: Send {
    /// How long the file is.
    fn length(&self) -> u64;
    /// Fills `bytes` with what begins at `offset`.
    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
}

/// An operation on a file of the store failed.
pub(crate) fn failed(disk: &dyn Disk, verb: &str, path: &str, error: &io::Error) -> Error {
    Error::io(verb, disk.shown(path), error)
}

/// A file of the store is not what it was when it was written.
pub(crate) fn damaged(disk: &dyn Disk, path: &str, how: impl std::fmt::Display) -> Error {
    Error::resource(format!("a file of the snapshots is damaged: {how}")).file(disk.shown(path))
}

/// A folder of this machine.
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder as a disk; it must be there.
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
        }
    }
}

impl Disk for Folder {
    fn create(&self, path: &str) -> io::Result<Box<dyn Append>> {
        Ok(Box::new(File::create(self.path(path))?))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Ranged>> {
        let file = File::open(self.path(path))?;
        let length = file.metadata()?.len();
        Ok(Box::new(Opened { file, length }))
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        // Some systems refuse to sync what was opened for reading only.
        let file = File::options().append(true).open(self.path(path))?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(path))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(self.path(folder))?;
        let name = |entry: io::Result<std::fs::DirEntry>| {
            Ok(entry?.file_name().to_string_lossy().into_owned())
        };
        entries.map(name).collect()
    }

    fn make_folder(&self, folder: &str) -> io::Result<()> {
        std::fs::create_dir_all(self.path(folder))
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        sync_names(&self.path(folder))
    }

    fn path(&self, path: &str) -> PathBuf {
        match path.is_empty() {
            true => self.root.clone(),
            false => self.root.join(path),
        }
    }
}

/// Makes durable which names are in a folder. Where folders cannot be opened, the system keeps their order by itself.
pub(crate) fn sync_names(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

impl Append for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

struct Opened {
    file: File,
    length: u64,
}

impl Ranged for Opened {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(bytes)
    }
}
