//! Arrow IPC: files are read by record batch, only the buffers of the columns in use; streams from start to end.
//!
//! A record batch is decoded as a whole, so a reader holds one of them, as large as its writer made it.

mod file;
mod layout;
mod reader;
mod stream;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use dataflow_core::{Cutter, Error, Place, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::convert::{logical, logical_schema, wanted_columns};
use crate::{InputFile, Inspected, PieceReader, ReadFormat, Reading, Request};
use file::ArrowFile;

/// Arrow IPC files and streams; which of them a file is, is seen from its content. There is nothing to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arrow {}

const MAGIC: &[u8] = b"ARROW1";
const CONTINUES: [u8; 4] = [0xff; 4];

/// Whether a file that starts with these bytes is an Arrow file or stream.
pub fn recognise(head: &[u8]) -> bool {
    head.starts_with(MAGIC) || head.starts_with(&CONTINUES)
}

impl ReadFormat for Arrow {
    fn inspect(&self, file: &InputFile) -> Result<Inspected> {
        if has_footer(file)? {
            let file = ArrowFile::load(file)?;
            return Ok(Inspected {
                schema: seen(&file.schema),
                rows: Some(file.rows()),
                sampling: None,
            });
        }
        let schema = stream::schema(file)?;
        Ok(Inspected {
            schema: seen(&schema),
            rows: None,
            sampling: None,
        })
    }

    fn reading(&self, request: &Request) -> Result<Arc<dyn Reading>> {
        Ok(Arc::new(ArrowReading {
            files: Arc::new(Files {
                target: wanted_columns(request),
                request: request.clone(),
                recent: Mutex::new(Vec::new()),
            }),
        }))
    }
}

/// Whether a file is one with a footer; standard input is read as a stream in either case.
fn has_footer(file: &InputFile) -> Result<bool> {
    if file.is_stdin() {
        return Ok(false);
    }
    let opened = file.open()?;
    let metadata = opened
        .metadata()
        .map_err(|e| Error::io("look at", &file.path, &e))?;
    if !metadata.is_file() {
        return Ok(false);
    }
    let mut head = [0; 6];
    let (bytes, _) = crate::file_bytes::FileBytes::open(opened, &file.path)?;
    let read = bytes
        .some(&mut head, 0)
        .map_err(|e| Error::io("read", &file.path, &e))?;
    Ok(&head[..read] == MAGIC)
}

/// The schema that people see, with a hint where text is dictionary-encoded.
fn seen(schema: &Schema) -> SchemaRef {
    logical_schema(schema, |column| {
        let data_type = schema.field(column).data_type();
        matches!(data_type, DataType::Dictionary(..)) && logical(data_type) == DataType::Utf8
    })
}

struct ArrowReading {
    files: Arc<Files>,
}

impl Reading for ArrowReading {
    fn cutter(&self, file: &InputFile, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        if has_footer(file)? {
            let file = self.files.of(file)?;
            return Ok(Box::new(file::Pieces::new(file, split, first)?));
        }
        let request = &self.files.request;
        let target = &self.files.target;
        Ok(Box::new(stream::Pieces::open(
            file, request, target, split, first,
        )?))
    }

    fn reader(&self) -> Box<dyn PieceReader> {
        Box::new(reader::Rows::new(Arc::clone(&self.files)))
    }
}

/// What is read, and the footers of the files read last.
struct Files {
    request: Request,
    target: SchemaRef,
    recent: Mutex<Vec<Arc<ArrowFile>>>,
}

/// Readers work on neighbouring files, so a few footers are enough.
const MOST_FILES: usize = 16;

impl Files {
    fn of(&self, file: &InputFile) -> Result<Arc<ArrowFile>> {
        let lock = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().iter().find(|f| f.path == file.path).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let mut loaded = ArrowFile::load(file)?;
        loaded.plan(&self.request, &self.target)?;
        let loaded = Arc::new(loaded);
        let mut recent = lock();
        recent.push(Arc::clone(&loaded));
        if recent.len() > MOST_FILES {
            recent.remove(0);
        }
        Ok(loaded)
    }
}

/// Runs a piece of the decoder. Whatever it does with damaged bytes, a panic too, is an error that names the file.
fn guarded<T>(path: &str, work: impl FnOnce() -> std::result::Result<T, ArrowError>) -> Result<T> {
    let damaged = |why: &str| {
        Error::data(format!("it cannot be read as Arrow: {why}"))
            .file(path)
            .help("the file is damaged, or was not written to its end: make or copy it again")
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(ArrowError::IoError(_, io))) if io.raw_os_error().is_some() => {
            Err(Error::io("read", path, &io))
        }
        Ok(Err(error)) => Err(damaged(&error.to_string())),
        Err(_) => Err(damaged("the decoder gave up")),
    }
}

#[cfg(test)]
mod tests;
