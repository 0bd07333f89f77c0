//! The members of an NPZ file: where each array is in the archive, and what its header says.

use std::io::{BufReader, Read};

use dataflow_core::{Error, Result};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::InputFile;
use crate::file_bytes::{FileBytes, Stamp};
use crate::npy::header::{self, Header};
use crate::samples::{Packed, inflated};

/// An array of the archive.
pub(super) struct Member {
    /// Its name without `.npy`.
    pub name: String,
    /// Where its bytes are, compressed or not.
    pub packed: Packed,
    pub compressed: bool,
    /// Its header; or why it is none whose numbers can be read.
    pub header: Result<Header>,
}

/// The archive of a file.
pub(super) struct Members {
    pub bytes: FileBytes,
    pub stamp: Stamp,
    pub all: Vec<Member>,
}

/// The most members that are looked at.
const MOST_MEMBERS: usize = 4_096;

impl Members {
    pub fn load(file: &InputFile) -> Result<Self> {
        let path = &*file.path;
        let (bytes, stamp) = FileBytes::open(file.open()?, path)?;
        let failed = |error: ZipError| failed(error, path);
        let mut archive = ZipArchive::new(BufReader::new(file.open()?)).map_err(failed)?;
        if archive.len() > MOST_MEMBERS {
            let what = format!("the archive has {} members", archive.len());
            return Err(Error::data(what)
                .file(path)
                .help("an NPZ file has at most 4096 arrays"));
        }
        let mut all = Vec::new();
        for index in 0..archive.len() {
            let found = archive.by_index_raw(index).map_err(failed)?;
            let name = String::from_utf8_lossy(found.name_raw()).into_owned();
            let Some(name) = name.strip_suffix(".npy") else {
                continue;
            };
            let packed = Packed {
                name: name.to_string(),
                start: found.data_start().unwrap_or(u64::MAX),
                bytes: found.compressed_size(),
                size: found.size(),
                checksum: found.crc32(),
            };
            let method = found.compression();
            let known = known(name, method, found.encrypted());
            drop(found);
            all.push(Member::new(&bytes, packed, method, known, path)?);
        }
        Ok(Self { bytes, stamp, all })
    }

    /// The array of this name.
    pub fn named(&self, name: &str) -> Option<&Member> {
        self.all.iter().find(|member| member.name == name)
    }
}

/// Whether a member can be read.
fn known(name: &str, method: CompressionMethod, encrypted: bool) -> Result<()> {
    let help = "save it with `numpy.savez` or `numpy.savez_compressed`";
    if encrypted {
        return Err(Error::data(format!("the array `{name}` is encrypted")).help(help));
    }
    match method {
        CompressionMethod::STORE | CompressionMethod::DEFLATE => Ok(()),
        other => {
            let what =
                format!("the array `{name}` is compressed in a way that is not read: {other}");
            Err(Error::data(what).help(help))
        }
    }
}

impl Member {
    fn new(
        bytes: &FileBytes,
        packed: Packed,
        method: CompressionMethod,
        known: Result<()>,
        path: &str,
    ) -> Result<Self> {
        if !bytes.holds(packed.start, packed.bytes) {
            let what = format!(
                "the array `{}` would have {} bytes, which is more than the file has",
                packed.name, packed.bytes
            );
            return Err(Error::data(what)
                .file(path)
                .byte(packed.start.min(bytes.len()))
                .help("the file is cut off or damaged: copy it again"));
        }
        let mut member = Self {
            name: packed.name.clone(),
            compressed: method != CompressionMethod::Stored,
            packed,
            header: Err(Error::internal("a header was not read")),
        };
        member.header = known.and_then(|()| {
            let mut stream = member.stream(bytes);
            header::read(&mut stream, path, member.packed.start)
        });
        member.header = member.header.map_err(|e| e.file(path));
        Ok(member)
    }

    /// Its bytes from the start, decompressed.
    pub fn stream(&self, bytes: &FileBytes) -> Box<dyn Read> {
        match self.compressed {
            true => Box::new(inflated(bytes, &self.packed)),
            false => Box::new(BufReader::new(
                bytes.range(self.packed.start, self.packed.bytes),
            )),
        }
    }
}

fn failed(error: ZipError, path: &str) -> Error {
    match error {
        ZipError::Io(error) if error.raw_os_error().is_some() => Error::io("read", path, &error),
        other => Error::data(format!(
            "it cannot be read as an archive of arrays: {other}"
        ))
        .file(path)
        .help("the file is damaged, or was not written to its end: make or copy it again"),
    }
}
