//! A file's bytes by range, without a position that threads would share, and a stamp to notice that it was replaced.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use dataflow_core::{Error, Result};

/// A file's state when it was looked at first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stamp {
    /// Its size.
    pub bytes: u64,
    modified: Option<SystemTime>,
}

/// A file's bytes by range.
#[derive(Clone)]
pub(crate) struct FileBytes {
    file: Arc<File>,
    bytes: u64,
}

impl FileBytes {
    /// Opens a file, and looks at its size.
    pub fn open(file: File, path: &str) -> Result<(Self, Stamp)> {
        let metadata = file
            .metadata()
            .map_err(|e| Error::io("look at", path, &e))?;
        let stamp = Stamp {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        };
        let bytes = Self {
            file: Arc::new(file),
            bytes: stamp.bytes,
        };
        Ok((bytes, stamp))
    }

    /// Opens a file again that had this stamp.
    pub fn reopen(path: &str, stamp: &Stamp) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io("open", path, &e))?;
        let (bytes, now) = Self::open(file, path)?;
        if now != *stamp {
            return Err(Error::data("the file was changed while it was read")
                .file(path)
                .help("run again when nobody writes to it"));
        }
        Ok(bytes)
    }

    /// The file's size.
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether `length` bytes from `start` are in the file: to be asked before memory for them is.
    pub fn holds(&self, start: u64, length: u64) -> bool {
        start.saturating_add(length) <= self.bytes
    }

    /// Some bytes from `at`, at least one unless the file ends there.
    pub fn some(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        loop {
            match read_at(&self.file, into, at) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// The bytes from `start` to the end of the file.
    pub fn from(&self, start: u64) -> Range {
        self.range(start, self.bytes.saturating_sub(start))
    }

    /// So many bytes from `start`, as a stream.
    pub fn range(&self, start: u64, length: u64) -> Range {
        Range {
            bytes: self.clone(),
            at: start,
            end: start.saturating_add(length),
        }
    }

    /// Exactly these bytes.
    pub fn all(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        let mut filled = 0;
        while filled < into.len() {
            match self.some(&mut into[filled..], at + filled as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        Ok(())
    }
}

/// A range of a file as a stream.
pub(crate) struct Range {
    bytes: FileBytes,
    at: u64,
    end: u64,
}

impl io::Read for Range {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.at);
        let most = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.bytes.some(&mut out[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(unix)]
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, at)
}

#[cfg(windows)]
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, at)
}
