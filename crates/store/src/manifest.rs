//! The manifest: which stretches of which files are the snapshot of one number, with the caller's facts.

use std::collections::{BTreeMap, BTreeSet};

use dataflow_core::{Error, Result};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::content::PartKey;
use crate::disk::{Append, Disk, damaged, failed};
use crate::names;

/// The format of manifests and segments. Add, do not change: what was written once is read for ever.
pub(crate) const VERSION: u32 = 1;
const MAGIC: &str = "dataflow-snapshot";

/// A snapshot as its manifest tells it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    pub number: u64,
    pub facts: serde_json::Value,
    pub parts: BTreeMap<PartKey, Part>,
    pub files: BTreeMap<String, Adopted>,
}

/// Where a part is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub kind: Kind,
    /// One, or for keyed rows any number, from the oldest to the newest.
    pub sections: Vec<Section>,
}

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Bytes.
    Bytes,
    /// Rows without keys.
    Batches,
    /// Rows by key, in sorted runs.
    Rows,
}

/// A stretch of a segment: bytes, rows, or one sorted run of keyed rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Section {
    pub segment: u64,
    pub offset: u64,
    pub length: u64,
    pub rows: u64,
    #[serde(with = "hexadecimal")]
    pub checksum: u64,
}

/// A file that somebody else has written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Adopted {
    pub key: PartKey,
    pub length: u64,
    #[serde(with = "hexadecimal")]
    pub checksum: u64,
}

/// The manifest as it is written: maps with keys that JSON does not have are lists.
#[derive(Serialize, Deserialize)]
struct Written {
    number: u64,
    facts: serde_json::Value,
    parts: Vec<(PartKey, Part)>,
    files: BTreeMap<String, Adopted>,
}

impl Manifest {
    /// Before the first snapshot.
    pub(crate) fn nothing() -> Self {
        Self {
            number: 0,
            facts: serde_json::Value::Null,
            parts: BTreeMap::new(),
            files: BTreeMap::new(),
        }
    }

    /// All stretches of segments.
    pub(crate) fn sections(&self) -> impl Iterator<Item = &Section> {
        self.parts.values().flat_map(|part| &part.sections)
    }

    /// The segments that are needed.
    pub(crate) fn segments(&self) -> BTreeSet<u64> {
        self.sections().map(|section| section.segment).collect()
    }

    /// Header and body.
    fn encode(&self) -> Result<Vec<u8>> {
        let written = Written {
            number: self.number,
            facts: self.facts.clone(),
            parts: self.parts.clone().into_iter().collect(),
            files: self.files.clone(),
        };
        let body = serde_json::to_vec(&written)
            .map_err(|e| Error::internal(format!("cannot write a manifest: {e}")))?;
        Ok([header(VERSION, &body).into_bytes(), body].concat())
    }

    /// Writes and syncs the manifest under its unfinished name.
    pub(crate) fn write(&self, disk: &dyn Disk) -> Result<u64> {
        let path = names::unfinished(self.number);
        let bytes = self.encode()?;
        let written = (|| {
            let mut out: Box<dyn Append> = disk.create(&path)?;
            out.append(&bytes)?;
            out.sync()
        })();
        written.map_err(|e| failed(disk, "write the manifest of a snapshot", &path, &e))?;
        Ok(bytes.len() as u64)
    }

    /// Reads the manifest of a number, and checks that it is whole.
    pub(crate) fn read(disk: &dyn Disk, number: u64) -> Result<Self, Unread> {
        let path = names::manifest(number);
        let read = || {
            let mut file = disk.open(&path)?;
            let mut bytes = vec![0; usize::try_from(file.length()).unwrap_or(usize::MAX)];
            file.read_at(0, &mut bytes)?;
            Ok(bytes)
        };
        let bytes: Vec<u8> = read().map_err(|e| {
            Unread::Damaged(failed(disk, "read the manifest of a snapshot", &path, &e))
        })?;
        let found = decode(&bytes).map_err(|wrong| wrong.told(disk, &path))?;
        match found.number == number {
            true => Ok(found),
            false => {
                Err(Wrong::Damaged(format!("it is number {}", found.number)).told(disk, &path))
            }
        }
    }
}

/// The first line of a manifest: what it is, in which version, and the checksum of the version and all that follows.
fn header(version: u32, body: &[u8]) -> String {
    let mut checked = version.to_le_bytes().to_vec();
    checked.extend_from_slice(body);
    format!(
        "{MAGIC} {version} {:016x} {}\n",
        xxh3_64(&checked),
        body.len()
    )
}

/// Why a manifest cannot be used.
pub(crate) enum Unread {
    /// The one before it will do.
    Damaged(Error),
    /// A newer program has written it. To go back to the one before would lose what that program did.
    Newer(Error),
}

/// What is wrong with the bytes of a manifest.
enum Wrong {
    Damaged(String),
    Version(u32),
}

impl Wrong {
    fn told(self, disk: &dyn Disk, path: &str) -> Unread {
        match self {
            Self::Damaged(how) => Unread::Damaged(damaged(disk, path, how)),
            Self::Version(version) => Unread::Newer(unknown_version(disk, path, version)),
        }
    }
}

/// Somebody newer has written this.
fn unknown_version(disk: &dyn Disk, path: &str, version: u32) -> Error {
    Error::resource(format!(
        "a file of the snapshots has the format version {version}, and this program knows versions up to {VERSION}"
    ))
    .file(disk.shown(path))
    .help("use the version of the program that has written it, or another folder")
}

fn decode(bytes: &[u8]) -> Result<Manifest, Wrong> {
    let damaged = |how: &str| Wrong::Damaged(how.to_string());
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| damaged("its first line is cut off"))?;
    let (line, body) = (&bytes[..=end], &bytes[end + 1..]);
    let line = std::str::from_utf8(line).map_err(|_| damaged("its first line is not text"))?;
    let mut words = line.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(damaged("it does not begin like a manifest"));
    }
    let version = words.next().and_then(|word| word.parse().ok());
    let version = version.ok_or_else(|| damaged("its first line has no version"))?;
    // Also of a version that is not known: a bit that flipped there is damage, and not a newer program.
    if header(version, body) != line {
        return Err(damaged("its checksum does not fit its content"));
    }
    if version != VERSION {
        return Err(Wrong::Version(version));
    }
    let written: Written = serde_json::from_slice(body)
        .map_err(|e| Wrong::Damaged(format!("it cannot be read: {e}")))?;
    Ok(Manifest {
        number: written.number,
        facts: written.facts,
        parts: written.parts.into_iter().collect(),
        files: written.files,
    })
}

/// Checksums as people write them; also, programs that read JSON take long numbers for floats.
mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(super) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{value:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

/// The bytes of a manifest as a program of another version would have written them.
#[cfg(test)]
pub(crate) fn as_version(version: u32, bytes: &[u8]) -> Vec<u8> {
    let body = bytes
        .splitn(2, |byte| *byte == b'\n')
        .nth(1)
        .unwrap_or_default();
    [header(version, body).as_bytes(), body].concat()
}
