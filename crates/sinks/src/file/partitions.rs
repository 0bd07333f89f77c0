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
use dataflow_core::sink::{FileReceipt, Receipt};
use dataflow_core::{Batch, Error, Result, Writer};
use dataflow_formats::write::{Format, plain, written_schema};

use super::pattern::Pattern;
use super::target::{self, Target};
use super::{IfExists, OpenFile};

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

/// Sorts rows into files.
pub(super) struct Partitions {
    pattern: Pattern,
    format: Format,
    if_exists: IfExists,
    /// What is written, without the columns in the path.
    schema: SchemaRef,
    by_path: HashMap<Vec<u8>, usize>,
    partitions: Vec<Partition>,
    waiting_bytes: usize,
    spill: Option<File>,
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
        if self.if_exists == IfExists::Fail {
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
        if self.spill.is_none() {
            std::fs::create_dir_all(&base).map_err(|e| Error::io("make a folder", &base, &e))?;
            // It has no name, so it goes away with the program, however that ends.
            self.spill = Some(tempfile::tempfile_in(&base).map_err(failed)?);
        }
        let Some(file) = &mut self.spill else {
            return Ok(());
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
        let mut file = OpenFile::begin(&partition.path, &self.format, self.if_exists, schema)?;
        for (start, length) in partition.spilled {
            let spill = self.spill.as_mut();
            let spill = spill.ok_or_else(|| Error::internal("spilled rows were lost"))?;
            let base = self.pattern.base();
            let run = part(spill, start, length)
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

    fn prepare(&mut self) -> Result<Receipt> {
        let mut files = Vec::new();
        for partition in std::mem::take(&mut self.partitions) {
            files.push(self.write_file(partition)?);
        }
        self.spill = None;
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
            .try_for_each(Target::commit)
    }

    fn bytes(&self) -> u64 {
        self.bytes + self.spilled_bytes
    }
}
