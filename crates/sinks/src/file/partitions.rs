//! A file per value of a column: rows wait, sorted by file, in memory and in one temporary file; at the end the files are
//! written one after another. So their number needs no open files, and each file's bytes depend on its rows alone.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};

use arrow_array::{RecordBatch, UInt32Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::sink::{FileReceipt, Receipt};
use dataflow_core::{Batch, Error, Result, Writer};
use dataflow_formats::write::{Format, plain, written_schema};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::pattern::Pattern;
use super::target::{self, Target};
use super::{IfExists, OpenFile, unreadable};

/// The bytes of rows that wait in memory.
const MEMORY: usize = 32 << 20;

/// The rows of one file.
#[derive(Default)]
struct Partition {
    path: String,
    rows: u64,
    /// In the temporary file, in order: where a run of rows starts and how long it is.
    spilled: Vec<(u64, u64)>,
    /// The rows behind those.
    waiting: Vec<RecordBatch>,
}

/// The names of what is saved: what the files are, and the rows that wait in memory, file by file.
const FILES: &str = "files";
const WAITING: &str = "waiting";

#[derive(Serialize, Deserialize)]
struct Saved {
    files: Vec<SavedPartition>,
    spill: Option<target::Saved>,
    waiting_bytes: usize,
    rows: u64,
}

#[derive(Serialize, Deserialize)]
struct SavedPartition {
    path: String,
    rows: u64,
    spilled: Vec<(u64, u64)>,
    /// How many rows wait in memory.
    waiting: usize,
}

/// The temporary file.
struct SpillFile {
    target: Target,
    file: File,
}

impl SpillFile {
    fn new(target: Target) -> Result<Self> {
        let file = target.output()?;
        Ok(Self { target, file })
    }
}

/// Sorts rows into files.
pub(super) struct Partitions {
    pattern: Pattern,
    format: Format,
    if_exists: IfExists,
    /// Whether an earlier run, which this one goes on with, may have written files already.
    perhaps_done: bool,
    /// What is written, without the columns in the path.
    schema: SchemaRef,
    by_path: HashMap<Vec<u8>, usize>,
    partitions: Vec<Partition>,
    waiting_bytes: usize,
    spill: Option<SpillFile>,
    spilled_bytes: u64,
    /// The complete files, and folders that were made.
    complete: Vec<Target>,
    rows: u64,
    bytes: u64,
}

impl Partitions {
    pub fn new(
        pattern: Pattern,
        format: Format,
        if_exists: IfExists,
        schema: SchemaRef,
    ) -> Result<Self> {
        Ok(Self {
            pattern,
            format,
            if_exists,
            perhaps_done: false,
            schema: written_schema(&schema),
            by_path: HashMap::new(),
            partitions: Vec::new(),
            waiting_bytes: 0,
            spill: None,
            spilled_bytes: 0,
            complete: Vec::new(),
            rows: 0,
            bytes: 0,
        })
    }

    /// Begins anew: what earlier runs left for those that go on is of no use any more.
    pub fn anew(self) -> Self {
        Target::forget(&self.spill_path());
        self
    }

    /// Goes on with the rows that an earlier run has sorted.
    pub fn resumed(mut self, from: &Restored<'_>) -> Result<Self> {
        let Some(saved) = from.values(FILES)?.pop() else {
            return Ok(self.anew());
        };
        let saved: Saved = serde_json::from_value(saved).map_err(unreadable)?;
        self.perhaps_done = true;
        if let Some(spill) = &saved.spill {
            let target = Target::resume(&self.spill_path(), IfExists::Replace, spill)?;
            self.spill = Some(SpillFile::new(target)?);
            self.spilled_bytes = spill.bytes;
        }
        let waiting: Vec<usize> = saved.files.iter().map(|file| file.waiting).collect();
        for file in saved.files {
            let path = file.path.clone().into_bytes();
            self.by_path.insert(path, self.partitions.len());
            self.partitions.push(Partition {
                path: file.path,
                rows: file.rows,
                spilled: file.spilled,
                waiting: Vec::new(),
            });
        }
        self.take_back(&waiting, from)?;
        (self.waiting_bytes, self.rows) = (saved.waiting_bytes, saved.rows);
        Ok(self)
    }

    /// Deals the rows that waited to their files, each of which has so many.
    fn take_back(&mut self, waiting: &[usize], from: &Restored<'_>) -> Result<()> {
        let mut files = waiting.iter().copied().zip(&mut self.partitions);
        let mut file = files.next();
        from.rows(WAITING, Share::Dealt, &mut |batch| {
            let rows = plain(batch.rows(), &self.schema)?;
            let mut at = 0;
            while at < rows.num_rows() {
                let Some((left, partition)) = &mut file else {
                    return Err(Error::data("more rows were saved than there are files for"));
                };
                let length = (rows.num_rows() - at).min(*left);
                if length > 0 {
                    partition.waiting.push(rows.slice(at, length));
                }
                at += length;
                *left -= length;
                if *left == 0 {
                    file = files.next();
                }
            }
            Ok(())
        })?;
        match file.into_iter().chain(files).any(|(left, _)| left > 0) {
            true => Err(Error::data("rows that were saved are missing")),
            false => Ok(()),
        }
    }

    /// The temporary file's name without what hides it: patterns in one folder have different ones.
    fn spill_path(&self) -> String {
        let pattern = xxh3_64(format!("{:?}", self.pattern).as_bytes());
        format!("{}/rows-{pattern:016x}", self.pattern.base())
    }

    /// The partition of each row, as runs would give it: partitions in the order of their first row, with their rows.
    fn sort(&mut self, rows: &RecordBatch) -> Result<Vec<(usize, Vec<u32>)>> {
        let pattern = self.pattern.clone();
        let mut paths = pattern.paths(rows)?;
        let (mut path, mut last, mut current) = (Vec::new(), Vec::new(), usize::MAX);
        let mut places: HashMap<usize, usize> = HashMap::new();
        let mut sorted: Vec<(usize, Vec<u32>)> = Vec::new();
        for row in 0..rows.num_rows() {
            paths.put(row, &mut path);
            if current == usize::MAX || path != last {
                let partition = self.partition(&path)?;
                current = *places.entry(partition).or_insert_with(|| {
                    sorted.push((partition, Vec::new()));
                    sorted.len() - 1
                });
                last.clone_from(&path);
            }
            sorted[current].1.push(row as u32);
        }
        Ok(sorted)
    }

    fn partition(&mut self, path: &[u8]) -> Result<usize> {
        if let Some(known) = self.by_path.get(path) {
            return Ok(*known);
        }
        let shown = String::from_utf8(path.to_vec())
            .map_err(|_| Error::internal("a file's name is not text"))?;
        if self.if_exists == IfExists::Fail && !self.perhaps_done {
            target::check_new(&shown)?;
        }
        self.partitions.push(Partition {
            path: shown,
            ..Partition::default()
        });
        let index = self.partitions.len() - 1;
        self.by_path.insert(path.to_vec(), index);
        Ok(index)
    }

    /// Moves what waits in memory to the temporary file.
    fn spill(&mut self) -> Result<()> {
        let base = self.pattern.base();
        let failed = |e: std::io::Error| Error::io("write a temporary file in", &base, &e);
        let file = match &mut self.spill {
            Some(spill) => &mut spill.file,
            None => {
                let target = Target::create(&self.spill_path(), IfExists::Replace)?;
                &mut self.spill.insert(SpillFile::new(target)?).file
            }
        };
        for partition in &mut self.partitions {
            if partition.waiting.is_empty() {
                continue;
            }
            let run = encoded(&self.schema, &partition.waiting)?;
            partition.waiting = Vec::new();
            file.write_all(&run).map_err(failed)?;
            let length = run.len() as u64;
            partition.spilled.push((self.spilled_bytes, length));
            self.spilled_bytes += length;
        }
        self.waiting_bytes = 0;
        Ok(())
    }

    /// Writes one partition's file.
    fn write_file(&mut self, partition: Partition) -> Result<FileReceipt> {
        let schema = SchemaRef::clone(&self.schema);
        let target = Target::create_again(&partition.path, self.if_exists, self.perhaps_done)?;
        let mut file = OpenFile::begin(target, &self.format, schema)?;
        for (start, length) in partition.spilled {
            let spill = self.spill.as_mut();
            let spill = spill.ok_or_else(|| Error::internal("spilled rows were lost"))?;
            let base = self.pattern.base();
            let run = part(&mut spill.file, start, length)
                .map_err(|e| Error::io("read a temporary file in", &base, &e))?;
            for rows in StreamReader::try_new(Cursor::new(run), None)? {
                file.write(&rows?)?;
            }
        }
        for rows in partition.waiting {
            file.write(&rows)?;
        }
        let (target, bytes) = file.complete()?;
        self.bytes += bytes;
        self.complete.push(target);
        Ok(FileReceipt {
            path: partition.path,
            rows: partition.rows,
            bytes,
        })
    }
}

fn encoded(schema: &SchemaRef, waiting: &[RecordBatch]) -> Result<Vec<u8>> {
    let rows = concat_batches(schema, waiting)?;
    let mut out = Vec::new();
    let mut writer = StreamWriter::try_new(&mut out, schema)?;
    writer.write(&rows)?;
    writer.finish()?;
    drop(writer);
    Ok(out)
}

fn part(file: &mut File, start: u64, length: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl Writer for Partitions {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        let sorted = self.sort(batch.rows())?;
        let rows = self.pattern.without_columns_of(batch.rows())?;
        let rows = plain(&rows, &self.schema)?;
        for (partition, indices) in sorted {
            let rows = take_record_batch(&rows, &UInt32Array::from(indices))?;
            self.waiting_bytes += rows.get_array_memory_size();
            let partition = &mut self.partitions[partition];
            partition.rows += rows.num_rows() as u64;
            partition.waiting.push(rows);
        }
        self.rows += batch.len() as u64;
        if self.waiting_bytes > MEMORY {
            self.spill()?;
        }
        Ok(())
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        if self.if_exists == IfExists::Append {
            // Some of the files could have their rows already, and would get them twice.
            let message = "adding rows to a file per value cannot be stopped and gone on with";
            let help = "replace the files, or leave `[state]` out";
            return Err(Error::resource(message).help(help));
        }
        let mut files = Vec::with_capacity(self.partitions.len());
        for partition in &mut self.partitions {
            // The rows of a batch that are of one file can be few.
            if partition.waiting.len() > 1 {
                partition.waiting = vec![concat_batches(&self.schema, &partition.waiting)?];
            }
            files.push(SavedPartition {
                path: partition.path.clone(),
                rows: partition.rows,
                spilled: partition.spilled.clone(),
                waiting: partition.waiting.iter().map(RecordBatch::num_rows).sum(),
            });
            let waiting = partition.waiting.iter().cloned();
            waiting.for_each(|rows| into.rows(WAITING, Batch::new(rows)));
        }
        let bytes = self.spilled_bytes;
        let spill = self.spill.as_mut().map(|spill| spill.target.save(bytes));
        let saved = Saved {
            files,
            spill: spill.transpose()?.flatten(),
            waiting_bytes: self.waiting_bytes,
            rows: self.rows,
        };
        into.value(FILES, serde_json::to_value(saved).map_err(unreadable)?);
        Ok(())
    }

    fn prepare(&mut self) -> Result<Receipt> {
        let mut files = Vec::new();
        for partition in std::mem::take(&mut self.partitions) {
            files.push(self.write_file(partition)?);
        }
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(Receipt {
            rows: self.rows,
            bytes: self.bytes,
            files,
        })
    }

    fn commit(&mut self) -> Result<()> {
        self.complete.iter().try_for_each(Target::check_absent)?;
        std::mem::take(&mut self.complete)
            .into_iter()
            .try_for_each(Target::commit)?;
        // If it was saved it stays: a run that goes on from the last snapshot reads it.
        self.spill = None;
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.bytes + self.spilled_bytes
    }
}
