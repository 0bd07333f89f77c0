//! Writing NPZ: an array of NumPy for each column, in one archive.
//!
//! An array lies in one piece, and rows come with a number of each column. So what is written while they come is blocks of rows, column
//! after column, and at the end the archive is made of those: every byte is read once more, and no column waits in memory.

use std::fs::File;
use std::io::{BufWriter, Write};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use dataflow_core::saved::{Restored, Save};
use dataflow_core::{Batch, Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::blocks::{Blocks, plain, restored, written_schema};
use super::numbers::{Numbers, header};
use super::output::{Counted, Sink, failed};
use crate::file_bytes::FileBytes;
use crate::{Ending, RowsWriter, WriteFormat};

/// Arrays of NumPy in one file (`numpy.load`). There is nothing to set.
///
/// Each column becomes an array of its name, one of lists, which must be of one length, an array of two axes. Numbers keep their type; a
/// null is NaN in floats, and an error in whole numbers; times are `datetime64`. Where rows are spectra, the array `frequencies` has
/// what their numbers are of. Nothing is compressed. While it is written, a hidden file beside it has the rows: it takes as much room as the
/// archive, and where snapshots are taken it stays for the run that goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Npz {}

/// The key of the schema's metadata that says which frequencies the numbers of a spectrum are of.
pub const FREQUENCIES: &str = "dataflow.frequencies";

/// Rows of a block: as many of a column lie behind one another.
const BLOCK_ROWS: usize = 65_536;
const LONG_BLOCK_BYTES: u64 = 16 << 20;

/// The names of what is saved: the rows of the open block, and those that were written.
const ROWS: &str = "rows";
const ARRAYS: &str = "arrays";

#[derive(Serialize, Deserialize)]
struct Saved {
    blocks: Vec<u64>,
    widths: Vec<Option<u64>>,
}

/// Frequencies at equal distances.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Frequencies {
    first: f64,
    step: f64,
    count: u64,
}

impl WriteFormat for Npz {
    fn begin(&self, out: Box<dyn Write + Send>, schema: SchemaRef) -> Result<Box<dyn RowsWriter>> {
        Ok(Box::new(NpzRows::new(Counted::new(out), &schema)?))
    }

    fn resume(
        &self,
        out: Box<dyn Write + Send>,
        schema: SchemaRef,
        bytes: u64,
        from: &Restored<'_>,
    ) -> Result<Box<dyn RowsWriter>> {
        let mut rows = NpzRows::new(Counted::new(out), &schema)?;
        let saved = from.values(ARRAYS)?.pop().unwrap_or_default();
        let saved: Saved = serde_json::from_value(saved)
            .map_err(|e| Error::data(format!("what was saved of arrays: {e}")))?;
        rows.written.blocks = saved.blocks;
        for (column, width) in rows.written.columns.iter_mut().zip(saved.widths) {
            column.width = width;
        }
        rows.out.go_on(bytes);
        let held = restored(&rows.schema, from, ROWS)?;
        rows.write(&held)?;
        Ok(Box::new(rows))
    }
}

struct NpzRows {
    schema: SchemaRef,
    blocks: Blocks,
    written: Blockwise,
    out: Counted,
}

/// What has been written: blocks of rows, in each column after column.
#[derive(Clone)]
struct Blockwise {
    columns: Vec<Numbers>,
    /// The rows of each block.
    blocks: Vec<u64>,
    frequencies: Option<Frequencies>,
}

impl NpzRows {
    fn new(out: Counted, schema: &SchemaRef) -> Result<Self> {
        let schema = written_schema(schema);
        let columns = schema.fields().iter().map(|field| Numbers::of(field));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        if let Some(twice) = (1..columns.len()).find(|&at| {
            columns[..at]
                .iter()
                .any(|before| before.name == columns[at].name)
        }) {
            let what = format!("there are two columns `{}`", columns[twice].name);
            return Err(Error::data(what).help("give them names of their own with `select`"));
        }
        let told = schema.metadata().get(FREQUENCIES);
        let named = columns.iter().any(|column| column.name == "frequencies");
        let frequencies = told.filter(|_| !named);
        Ok(Self {
            blocks: Blocks::new(schema.clone(), BLOCK_ROWS, LONG_BLOCK_BYTES),
            written: Blockwise {
                columns,
                blocks: Vec::new(),
                frequencies: frequencies.and_then(|text| serde_json::from_str(text).ok()),
            },
            schema,
            out,
        })
    }
}

impl Blockwise {
    fn rows(&self) -> u64 {
        self.blocks.iter().sum()
    }

    /// The bytes of a block.
    fn block(&mut self, rows: &RecordBatch, out: &mut Counted) -> Result<()> {
        let first = self.rows();
        let mut bytes = Vec::new();
        for (column, values) in self.columns.iter_mut().zip(rows.columns()) {
            bytes.clear();
            column.write(values, first, &mut bytes)?;
            out.write_all(&bytes).map_err(|e| failed(&e))?;
        }
        self.blocks.push(rows.num_rows() as u64);
        Ok(())
    }

    /// Makes the archive of what was written.
    fn archive(&self, from: &File, to: &File) -> Result<()> {
        let from = from.try_clone().map_err(|e| failed(&e))?;
        let (from, _) = FileBytes::open(from, "what was written")?;
        let mut archive = ZipWriter::new(BufWriter::with_capacity(CHUNK, to));
        let rows = self.rows();
        for (index, column) in self.columns.iter().enumerate() {
            let shape = match column.list {
                true => vec![rows, column.width.unwrap_or(0)],
                false => vec![rows],
            };
            begin(&mut archive, &column.name, column.described(), &shape)?;
            self.copy(index, &from, &mut archive)?;
        }
        if let Some(Frequencies { first, step, count }) = self.frequencies {
            begin(&mut archive, "frequencies", "<f8", &[count])?;
            for at in 0..count {
                let frequency = first + at as f64 * step;
                let written = archive.write_all(&frequency.to_le_bytes());
                written.map_err(|e| failed(&e))?;
            }
        }
        let mut out = archive.finish().map_err(|e| failed(&e.into()))?;
        out.flush().map_err(|e| failed(&e))
    }

    /// Copies the numbers of one column out of all blocks.
    fn copy(&self, index: usize, from: &FileBytes, to: &mut impl Write) -> Result<()> {
        let widths = self.columns.iter().map(Numbers::row_bytes);
        let before: u64 = widths.clone().take(index).sum();
        let (all, width) = (widths.sum::<u64>(), self.columns[index].row_bytes());
        let mut chunk = vec![0; CHUNK];
        let mut block = 0;
        for rows in &self.blocks {
            let mut at = block + before * rows;
            let end = at + width * rows;
            while at < end {
                let some = chunk.len().min((end - at) as usize);
                from.all(&mut chunk[..some], at).map_err(|e| failed(&e))?;
                to.write_all(&chunk[..some]).map_err(|e| failed(&e))?;
                at += some as u64;
            }
            block += all * rows;
        }
        Ok(())
    }
}

/// How much is copied at once.
const CHUNK: usize = 256 << 10;

/// Begins an array in the archive.
fn begin(
    archive: &mut ZipWriter<BufWriter<&File>>,
    name: &str,
    described: &str,
    shape: &[u64],
) -> Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(true);
    let begun = archive.start_file(format!("{name}.npy"), options);
    begun.map_err(|e| failed(&e.into()))?;
    let written = archive.write_all(&header(described, shape));
    written.map_err(|e| failed(&e))
}

impl RowsWriter for NpzRows {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = plain(rows, &self.schema)?;
        let (written, out) = (&mut self.written, &mut self.out);
        self.blocks
            .push(&rows, &mut |block, _| written.block(&block, out))
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<u64> {
        self.out.flush().map_err(|e| failed(&e))?;
        let columns = self.written.columns.iter();
        let saved = Saved {
            blocks: self.written.blocks.clone(),
            widths: columns.map(|column| column.width).collect(),
        };
        into.value(ARRAYS, serde_json::json!(saved));
        let held = self.blocks.held().cloned();
        held.for_each(|rows| into.rows(ROWS, Batch::new(rows)));
        Ok(self.bytes())
    }

    fn ending(&mut self) -> Result<Ending> {
        let (written, out) = (&mut self.written, &mut self.out);
        self.blocks
            .finish(&mut |block, _| written.block(&block, out))?;
        let written = self.written.clone();
        Ok(Ending::Anew(Box::new(move |from, to| {
            written.archive(from, to)
        })))
    }

    fn finish(mut self: Box<Self>) -> Result<Sink> {
        self.out.flush().map_err(|e| failed(&e))?;
        Ok(self.out.into_inner())
    }

    fn bytes(&self) -> u64 {
        self.out.bytes()
    }

    fn memory(&self) -> usize {
        self.blocks.memory()
    }
}
