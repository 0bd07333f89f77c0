//! The program's standard output as something to write to.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::SchemaRef;
use dataflow_core::sink::Receipt;
use dataflow_core::{Batch, Result, SinkContext, Writer};
use dataflow_formats::RowsWriter;
use dataflow_formats::write::{Format, failed};

/// Standard output, or what the embedding program gives instead.
#[derive(Clone)]
pub(crate) struct Stdout(Arc<Mutex<dyn Write + Send>>);

impl Stdout {
    pub fn of(context: &SinkContext) -> Self {
        Self(Arc::clone(&context.stdout))
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .flush()
    }
}

/// Writes rows in a format as they come; there is nothing to be made visible at the end.
pub(crate) struct Streamed {
    stdout: Stdout,
    rows: Option<Box<dyn RowsWriter>>,
    count: u64,
    bytes: u64,
}

impl Streamed {
    pub fn new(context: &SinkContext, format: &Format, schema: SchemaRef) -> Result<Self> {
        let stdout = Stdout::of(context);
        let rows = format.writer().begin(Box::new(stdout.clone()), schema)?;
        Ok(Self {
            stdout,
            rows: Some(rows),
            count: 0,
            bytes: 0,
        })
    }
}

impl Writer for Streamed {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        if let Some(rows) = &mut self.rows {
            rows.write(batch.rows())?;
            self.bytes = rows.bytes();
        }
        self.count += batch.len() as u64;
        self.stdout.flush().map_err(|e| failed(&e))
    }

    fn prepare(&mut self) -> Result<Receipt> {
        if let Some(rows) = self.rows.take() {
            rows.finish()?;
        }
        Ok(Receipt {
            rows: self.count,
            bytes: self.bytes,
            files: Vec::new(),
        })
    }

    fn commit(&mut self) -> Result<()> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
