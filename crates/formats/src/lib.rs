//! Bytes to batches and back: the formats that the file source reads and the file sink writes.
//!
//! A format is one module: its options (a struct whose field docs are the manual), how it is recognised, how it is read
//! and, where that makes sense, how it is written. None of them touches paths, globs or final names; that is the file
//! source's and the file sink's business.

pub mod arrow;
mod columns;
mod convert;
pub mod csv;
mod file_bytes;
mod guess;
pub mod instants;
pub mod jsonl;
pub mod npy;
pub mod npz;
pub mod parquet;
pub mod raw;
mod samples;
pub mod stdin;
pub mod text;
pub mod wav;
pub mod write;

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use dataflow_core::saved::{Restored, Save};
use dataflow_core::{Cutter, Decoded, Error, Piece, Place, Result, Sampling, Wanted};

pub use convert::{DICTIONARY_HINT, dictionary, logical, settled};
pub use text::quoted;

/// A file to be read, or standard input.
#[derive(Clone, Debug, PartialEq)]
pub struct InputFile {
    /// The path as people know it; `-` for standard input.
    pub path: Arc<str>,
    /// Its size, if it has one.
    pub bytes: Option<u64>,
}

impl InputFile {
    /// Whether this is standard input, which can be read only once and only forwards.
    pub fn is_stdin(&self) -> bool {
        &*self.path == "-"
    }

    /// Opens it for reading anywhere.
    ///
    /// # Errors
    /// When it is standard input, or cannot be opened.
    pub fn open(&self) -> Result<File> {
        if self.is_stdin() {
            return Err(
                Error::resource("this format cannot be read from standard input")
                    .help("write it to a file first"),
            );
        }
        File::open(&*self.path).map_err(|e| Error::io("open", &self.path, &e))
    }

    /// Opens it for reading once, forwards.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn stream(&self) -> Result<Box<dyn Read + Send>> {
        if self.is_stdin() {
            return Ok(Box::new(stdin::stream()));
        }
        Ok(Box::new(self.open()?))
    }

    /// Its first bytes, as many as `most` or all that there are.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn first_bytes(&self, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.peek()?.take(most).read_to_end(&mut bytes);
        read.map_err(|e| Error::io("read", &self.path, &e))?;
        Ok(bytes)
    }

    /// Opens it for a look at its head; nothing of standard input is lost.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn peek(&self) -> Result<Box<dyn Read + Send>> {
        if self.is_stdin() {
            return Ok(Box::new(stdin::peek()));
        }
        Ok(Box::new(self.open()?))
    }
}

/// What a format tells of a file after a look at its head or footer.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspected {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows, if that is known without reading them.
    pub rows: Option<u64>,
    /// How its rows sample a signal, if it says so.
    pub sampling: Option<Sampling>,
}

/// The key in a requested field's metadata that says that somebody declared its type.
pub const DECLARED: &str = "dataflow.declared";

/// What to read, the same for all files of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// All columns of the source that files of this format provide, with their types. A column that a file does not have
    /// is null there, if the field is nullable; else it is an error that names file and column.
    pub columns: SchemaRef,
    /// Which of them to decode (in the order of `columns`), and which rows may be skipped.
    pub wanted: Wanted,
}

/// A format with its options, for reading.
pub trait ReadFormat: Send + Sync {
    /// Looks at a file's head or footer.
    ///
    /// # Errors
    /// When it cannot be read, or is not of this format.
    fn inspect(&self, file: &InputFile) -> Result<Inspected>;

    /// Prepares to read files.
    ///
    /// # Errors
    /// When a declared type is one that this format cannot make.
    fn reading(&self, request: &Request) -> Result<Arc<dyn Reading>>;
}

/// Prepared reading of files of one format.
pub trait Reading: Send + Sync {
    /// Cuts a file into pieces; see [`dataflow_core::Source::cutter`].
    ///
    /// # Errors
    /// When it cannot be opened or its columns are not the requested ones.
    fn cutter(&self, file: &InputFile, split: usize, first: Place) -> Result<Box<dyn Cutter>>;

    /// The least value of a column of a file, if it says so; see [`dataflow_core::Source::minimum`].
    ///
    /// # Errors
    /// When the file cannot be read.
    fn minimum(&self, file: &InputFile, column: &str) -> Result<Option<i64>> {
        let _ = (file, column);
        Ok(None)
    }

    /// A reader of pieces for one thread; it may keep the file of the last piece open.
    fn reader(&self) -> Box<dyn PieceReader>;
}

/// Reads pieces of files.
pub trait PieceReader: Send {
    /// Starts on a piece of `file`.
    ///
    /// # Errors
    /// When it cannot be read.
    fn open(&mut self, file: &InputFile, piece: Piece) -> Result<()>;

    /// At most `rows` further rows (port 0) and the bad rows met on the way, or none at the piece's end.
    /// The columns are the wanted ones, in the order of the request; places are set.
    ///
    /// # Errors
    /// When the bytes are not what they claim to be.
    fn next(&mut self, rows: usize) -> Result<Option<Decoded>>;
}

/// A format with its options, for writing.
pub trait WriteFormat: Send + Sync {
    /// Starts a file. Nothing but the rows may shape the bytes: not how they are cut into batches.
    ///
    /// # Errors
    /// When the schema has a type that the format cannot hold.
    fn begin(
        &self,
        out: Box<dyn std::io::Write + Send>,
        schema: SchemaRef,
    ) -> Result<Box<dyn RowsWriter>>;

    /// Goes on with a file that a writer has saved: `out` is where the first `bytes` bytes of it end (see [`RowsWriter::save`]).
    ///
    /// # Errors
    /// When what was saved cannot be read, or is not of such a file.
    fn resume(
        &self,
        out: Box<dyn std::io::Write + Send>,
        schema: SchemaRef,
        bytes: u64,
        from: &Restored<'_>,
    ) -> Result<Box<dyn RowsWriter>>;
}

/// Makes a file of what was written into another.
pub type Remake = Box<dyn FnOnce(&File, &File) -> Result<()> + Send>;

/// What is to be done in a file when its last byte is written, since only then is known what must stand before it.
pub enum Ending {
    /// Nothing: it is complete.
    Nothing,
    /// These bytes take the place of its first ones.
    Head(Vec<u8>),
    /// The file is made of what was written (the first), in the place of it.
    Anew(Remake),
}

/// Writes the rows of one file.
pub trait RowsWriter: Send {
    /// Appends rows.
    ///
    /// # Errors
    /// When they cannot be written.
    fn write(&mut self, rows: &RecordBatch) -> Result<()>;

    /// Hands to the output what can be, writes down what cannot, and says how many bytes of the output count: whoever goes on cuts
    /// it there.
    ///
    /// # Errors
    /// When the output fails.
    fn save(&mut self, into: &mut dyn Save) -> Result<u64>;

    /// How many bytes at the beginning change at the end.
    fn head(&self) -> u64 {
        0
    }

    /// What is to be done in the file itself once all is written. It is asked behind the last row, before [`RowsWriter::finish`].
    ///
    /// # Errors
    /// When the output fails.
    fn ending(&mut self) -> Result<Ending> {
        Ok(Ending::Nothing)
    }

    /// Writes what is left, flushes and gives the output back.
    ///
    /// # Errors
    /// When that fails.
    fn finish(self: Box<Self>) -> Result<Box<dyn std::io::Write + Send>>;

    /// Bytes handed to the output so far. Between two calls that follows from the rows alone, however often they were saved.
    fn bytes(&self) -> u64;

    /// Bytes of memory held now, estimated.
    fn memory(&self) -> usize {
        0
    }
}
