//! The footer of a Parquet file, checked, and reading of its bytes by range.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use ::parquet::basic::Encoding;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData};
use ::parquet::file::reader::{ChunkReader, Length};
use arrow_schema::{DataType, SchemaRef};
use bytes::Bytes;
use dataflow_core::{Error, Result};

use crate::InputFile;
use crate::convert::{logical, logical_schema};
use crate::file_bytes::{FileBytes, Stamp};

/// Which parts of the page index to read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Indexes {
    /// None: only the schema is of interest.
    None,
    /// Where pages are.
    Places,
    /// Where pages are, and the smallest and largest values in them.
    Statistics,
}

/// A file's schema and where its row groups are.
pub(super) struct Footer {
    pub path: Arc<str>,
    pub stamp: Stamp,
    /// With the types as the file's writer meant them.
    pub arrow: ArrowReaderMetadata,
}

impl Footer {
    /// Reads and checks the footer.
    pub fn load(file: &InputFile, indexes: Indexes) -> Result<Self> {
        let (bytes, stamp) = FileBytes::open(file.open()?, &file.path)?;
        if stamp.bytes == 0 {
            return Err(Error::data("an empty file is not a Parquet file")
                .file(&*file.path)
                .help("write it again, or leave it out"));
        }
        let arrow = match load(&bytes, &file.path, indexes) {
            // A page index is a help, not the data: without it, everything can still be read.
            Err(_) if indexes != Indexes::None => load(&bytes, &file.path, Indexes::None)?,
            other => other?,
        };
        let footer = Self {
            path: Arc::clone(&file.path),
            stamp,
            arrow,
        };
        guarded(&file.path, || footer.check())?;
        Ok(footer)
    }

    pub fn metadata(&self) -> &Arc<ParquetMetaData> {
        self.arrow.metadata()
    }

    pub fn rows(&self) -> u64 {
        self.metadata().file_metadata().num_rows() as u64
    }

    pub fn file_bytes(&self) -> u64 {
        self.stamp.bytes
    }

    /// Opens the file again for reading pages.
    pub fn open(&self) -> Result<FileBytes> {
        FileBytes::reopen(&self.path, &self.stamp)
    }

    /// The schema that people see, with a hint where text is dictionary-encoded throughout.
    pub fn logical_schema(&self) -> SchemaRef {
        let schema = self.arrow.schema();
        logical_schema(schema, |column| {
            logical(schema.field(column).data_type()) == DataType::Utf8
                && self
                    .leaf(column)
                    .is_some_and(|leaf| self.dictionary_encoded(leaf))
        })
    }

    /// The leaf of a column of the file, if it is not nested.
    pub fn leaf(&self, column: usize) -> Option<usize> {
        let parquet = self.arrow.parquet_schema();
        let mut leaves =
            (0..parquet.num_columns()).filter(|&leaf| parquet.get_column_root_idx(leaf) == column);
        let first = leaves.next()?;
        let simple = leaves.next().is_none()
            && parquet.column(first).max_rep_level() == 0
            && parquet.get_column_root(first).is_primitive();
        simple.then_some(first)
    }

    fn dictionary_encoded(&self, leaf: usize) -> bool {
        let mut chunks = self
            .metadata()
            .row_groups()
            .iter()
            .map(|group| group.column(leaf));
        chunks.clone().next().is_some() && chunks.all(only_dictionary)
    }

    /// What the decoder takes for granted.
    fn check(&self) -> std::result::Result<(), ParquetError> {
        let wrong = |what: &str| Err(ParquetError::General(what.to_string()));
        let metadata = self.metadata();
        let leaves = self.arrow.parquet_schema().num_columns();
        let mut rows = 0_i64;
        for group in metadata.row_groups() {
            if group.num_rows() < 0 || group.num_columns() != leaves {
                return wrong("a row group does not have the columns of the schema");
            }
            rows = rows.saturating_add(group.num_rows());
            for column in group.columns() {
                let (start, length) = column.byte_range();
                let flat = column.column_descr().max_rep_level() == 0;
                if start.saturating_add(length) > self.stamp.bytes {
                    return wrong("a column lies beyond the file's end");
                }
                if flat && column.num_values() != group.num_rows() {
                    return wrong("a column has another number of values than there are rows");
                }
            }
        }
        if rows != metadata.file_metadata().num_rows() {
            return wrong("the row groups do not add up to the file's rows");
        }
        Ok(())
    }
}

/// Whether a column's text is in a dictionary throughout, and repeats enough for that to be worth keeping.
fn only_dictionary(chunk: &ColumnChunkMetaData) -> bool {
    let stored = chunk.uncompressed_size();
    if stored
        > chunk
            .num_values()
            .saturating_mul(4)
            .saturating_add(16 << 10)
    {
        return false;
    }
    let coded = |e: Encoding| matches!(e, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
    if let Some(mask) = chunk.page_encoding_stats_mask() {
        return mask.encodings().all(coded);
    }
    // Without statistics of encodings, PLAIN may be the dictionary page or a page of values.
    let mut encodings = chunk.encodings();
    let only_known = chunk
        .encodings()
        .all(|e| coded(e) || matches!(e, Encoding::RLE));
    encodings.any(coded) && only_known
}

fn load(bytes: &FileBytes, path: &str, indexes: Indexes) -> Result<ArrowReaderMetadata> {
    let policy = |wanted: bool| {
        if wanted {
            PageIndexPolicy::Optional
        } else {
            PageIndexPolicy::Skip
        }
    };
    let options = ArrowReaderOptions::new()
        .with_offset_index_policy(policy(indexes != Indexes::None))
        .with_column_index_policy(policy(indexes == Indexes::Statistics));
    guarded(path, || ArrowReaderMetadata::load(bytes, options))
}

/// Runs a piece of the decoder. Whatever it does with damaged bytes, a panic too, is an error that names the file.
pub(super) fn guarded<T>(
    path: &str,
    work: impl FnOnce() -> std::result::Result<T, ParquetError>,
) -> Result<T> {
    let damaged = |why: &str| {
        Error::data(format!("it cannot be read as Parquet: {why}"))
            .file(path)
            .help("the file is damaged, was not written to its end, or has what this cannot decode: make or copy it again")
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(ParquetError::External(inner))) => {
            Err(match inner.downcast_ref::<std::io::Error>() {
                Some(io) if io.raw_os_error().is_some() => Error::io("read", path, io),
                _ => damaged(&inner.to_string()),
            })
        }
        Ok(Err(ParquetError::NYI(what))) => Err(Error::data(format!(
            "this Parquet file uses what is not supported: {what}"
        ))
        .file(path)
        .help("write it again with another encoding or compression")),
        Ok(Err(
            ParquetError::General(why) | ParquetError::EOF(why) | ParquetError::ArrowError(why),
        )) => Err(damaged(&why)),
        Ok(Err(other)) => Err(damaged(&other.to_string())),
        Err(_) => Err(damaged("the decoder gave up")),
    }
}

impl Length for FileBytes {
    fn len(&self) -> u64 {
        FileBytes::len(self)
    }
}

impl ChunkReader for FileBytes {
    type T = Headers;

    fn get_read(&self, start: u64) -> ::parquet::errors::Result<Headers> {
        Ok(Headers {
            bytes: self.clone(),
            at: start,
            window: [0; WINDOW],
            filled: 0,
            used: 0,
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ::parquet::errors::Result<Bytes> {
        // Checked before memory is asked for: a damaged length must not become a huge allocation.
        if !self.holds(start, length as u64) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes from byte {start} are beyond the file's end"
            )));
        }
        let mut buffer = vec![0; length];
        self.all(&mut buffer, start)?;
        Ok(buffer.into())
    }
}

/// Page headers are some 30 to 200 bytes long.
const WINDOW: usize = 512;

/// Reads a page's header, a little at a time.
pub(crate) struct Headers {
    bytes: FileBytes,
    at: u64,
    window: [u8; WINDOW],
    filled: usize,
    used: usize,
}

impl Read for Headers {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.used == self.filled {
            self.filled = self.bytes.some(&mut self.window, self.at)?;
            self.at += self.filled as u64;
            self.used = 0;
        }
        let ready = &self.window[self.used..self.filled];
        let length = ready.len().min(into.len());
        into[..length].copy_from_slice(&ready[..length]);
        self.used += length;
        Ok(length)
    }
}
