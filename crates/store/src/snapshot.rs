//! A snapshot that is complete: its facts, and its parts to be read.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use dataflow_core::{Error, Result};
use xxhash_rust::xxh3::Xxh3;

use crate::content::PartKey;
use crate::disk::{Disk, damaged, failed};
use crate::manifest::{Adopted, Kind, Manifest, Part};
use crate::merge::Merge;
use crate::names;
use crate::rows::RowsReader;
use crate::section::{Blocks, open_segment};

/// A snapshot that was committed. Its files stay as long as this value or a stream out of it is there.
#[derive(Clone)]
pub struct Snapshot {
    disk: Arc<dyn Disk>,
    manifest: Arc<Manifest>,
    warnings: Vec<Error>,
}

/// A part as it was put.
pub enum Stored {
    /// What was put as [`Content::Whole`](crate::Content::Whole).
    Whole(Vec<u8>),
    /// What was put as [`Content::WholeBatches`](crate::Content::WholeBatches), batch by batch.
    WholeBatches(Batches),
    /// The rows that all deltas together leave, in the order of their keys, without the column `gone`.
    Rows(Batches),
}

/// What a snapshot tells of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFacts {
    /// Its bytes on disk.
    pub bytes: u64,
    /// Its rows: 0 for bytes. For keyed rows this is an upper bound, since a key counts once for each run that it is in.
    pub rows: u64,
}

/// A file that was adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// The part that it belongs to.
    pub key: PartKey,
    /// Its name, as [`Draft::adopt`](crate::Draft::adopt) gave it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

impl Snapshot {
    pub(crate) fn new(disk: Arc<dyn Disk>, manifest: Arc<Manifest>, warnings: Vec<Error>) -> Self {
        Self {
            disk,
            manifest,
            warnings,
        }
    }

    /// Its number; a later snapshot has a larger one.
    pub fn number(&self) -> u64 {
        self.manifest.number
    }

    /// What the caller said when it was committed.
    pub fn facts(&self) -> &serde_json::Value {
        &self.manifest.facts
    }

    /// What is wrong with newer snapshots, so that this one is used in their place; the newest comes first.
    pub fn warnings(&self) -> &[Error] {
        &self.warnings
    }

    /// The parts, in the order of their keys.
    pub fn parts(&self) -> impl Iterator<Item = (&PartKey, PartFacts)> {
        let facts = |part: &Part| PartFacts {
            bytes: part.sections.iter().map(|section| section.length).sum(),
            rows: part.sections.iter().map(|section| section.rows).sum(),
        };
        let parts = self.manifest.parts.iter();
        parts.map(move |(key, part)| (key, facts(part)))
    }

    /// The files that were adopted, in the order of their names.
    pub fn files(&self) -> impl Iterator<Item = StoredFile> {
        let files = self.manifest.files.iter();
        files.map(|(name, file)| StoredFile {
            key: file.key.clone(),
            name: name.clone(),
            path: self.disk.path(&names::file(name)),
            bytes: file.length,
        })
    }

    /// Reads a part; `None` if the snapshot has none of this key. Every block is checked before anything of it is given.
    pub fn read(&self, key: &PartKey) -> Result<Option<Stored>> {
        let Some(part) = self.manifest.parts.get(key) else {
            return Ok(None);
        };
        Ok(Some(match part.kind {
            Kind::Bytes => Stored::Whole(self.bytes(part)?),
            Kind::Batches => Stored::WholeBatches(self.batches(part)?),
            Kind::Rows => Stored::Rows(self.rows(part)?),
        }))
    }

    fn bytes(&self, part: &Part) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for section in &part.sections {
            let mut blocks = Blocks::open(self.disk.as_ref(), section)?;
            while let Some(block) = blocks.next(self.disk.as_ref())? {
                bytes.extend_from_slice(&block);
            }
        }
        Ok(bytes)
    }

    fn batches(&self, part: &Part) -> Result<Batches> {
        let sections = part.sections.iter();
        let opened: Result<Vec<RowsReader>> = sections
            .map(|section| RowsReader::open(&self.disk, section))
            .collect();
        let mut opened = opened?;
        let schema = match opened.first_mut() {
            Some(first) => first.schema()?,
            None => Arc::new(Schema::empty()),
        };
        Ok(Batches::new(schema, Rows::Plain(opened), &self.manifest))
    }

    fn rows(&self, part: &Part) -> Result<Batches> {
        let merge = Merge::open(&self.disk, &part.sections, false)?;
        let schema = without_gone(&merge.schema());
        Ok(Batches::new(
            Arc::new(schema?),
            Rows::Merged(merge),
            &self.manifest,
        ))
    }

    /// Reads everything and checks it, also the files that were adopted; the error names the file that is damaged, and where.
    pub fn verify(&self) -> Result<()> {
        let disk = self.disk.as_ref();
        for section in self.manifest.sections() {
            Blocks::open(disk, section)?.verify(disk)?;
        }
        for (name, file) in &self.manifest.files {
            verify_file(disk, name, file)?;
        }
        Ok(())
    }

    /// Checks that all files are there and as long as they should be.
    pub(crate) fn look(&self) -> Result<()> {
        let disk = self.disk.as_ref();
        for section in self.manifest.sections() {
            open_segment(disk, section)?;
        }
        for (name, file) in &self.manifest.files {
            check_length(disk, name, file)?;
        }
        Ok(())
    }
}

fn check_length(disk: &dyn Disk, name: &str, file: &Adopted) -> Result<()> {
    let path = names::file(name);
    let opened = disk.open(&path);
    let length = opened
        .map_err(|e| failed(disk, "read a snapshot", &path, &e))?
        .length();
    match length == file.length {
        true => Ok(()),
        false => {
            let how = format!("it has {length} bytes, and had {}", file.length);
            Err(damaged(disk, &path, how))
        }
    }
}

fn verify_file(disk: &dyn Disk, name: &str, file: &Adopted) -> Result<()> {
    check_length(disk, name, file)?;
    match summed(disk, name)?.1 == file.checksum {
        true => Ok(()),
        false => Err(damaged(
            disk,
            &names::file(name),
            "its checksum is another one",
        )),
    }
}

/// The length and the checksum of an adopted file.
pub(crate) fn summed(disk: &dyn Disk, name: &str) -> Result<(u64, u64)> {
    let path = names::file(name);
    let sum = || {
        let mut file = disk.open(&path)?;
        let (mut at, mut sum) = (0, Xxh3::new());
        let mut piece = vec![0; 256 << 10];
        while at < file.length() {
            let taken = (file.length() - at).min(piece.len() as u64) as usize;
            file.read_at(at, &mut piece[..taken])?;
            sum.update(&piece[..taken]);
            at += taken as u64;
        }
        Ok((at, sum.digest()))
    };
    sum().map_err(|e| failed(disk, "read a file of a snapshot", &path, &e))
}

fn without_gone(schema: &Schema) -> Result<Schema> {
    let kept: Vec<usize> = (0..schema.fields().len()).filter(|at| *at != 1).collect();
    Ok(schema.project(&kept)?)
}

/// Batches out of a snapshot, read as they are asked for.
pub struct Batches {
    schema: SchemaRef,
    rows: Rows,
    // Its files stay while they are read.
    _manifest: Arc<Manifest>,
}

enum Rows {
    Plain(Vec<RowsReader>),
    Merged(Merge),
}

impl Batches {
    fn new(schema: SchemaRef, rows: Rows, manifest: &Arc<Manifest>) -> Self {
        Self {
            schema,
            rows,
            _manifest: Arc::clone(manifest),
        }
    }

    /// The columns of the batches.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self) -> Result<Option<RecordBatch>> {
        match &mut self.rows {
            Rows::Plain(sections) => {
                for section in sections {
                    if let Some(batch) = section.next()? {
                        return Ok(Some(batch));
                    }
                }
                Ok(None)
            }
            Rows::Merged(merge) => match merge.next()? {
                Some(mut batch) => {
                    batch.remove_column(1);
                    Ok(Some(batch))
                }
                None => Ok(None),
            },
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
