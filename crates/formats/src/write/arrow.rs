//! Writing Arrow IPC, as a file (with a footer, for random access) or as a stream.

use std::io::{BufWriter, Write};

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::SchemaRef;
use dataflow_core::Result;
use dataflow_core::saved::{Restored, Save};
use schemars::JsonSchema;
use serde::Deserialize;

use super::blocks::{Blocks, canonical, plain, written_schema};
use super::output::{Counted, Sink, arrow_failed, failed};
use crate::{RowsWriter, WriteFormat};

/// Arrow IPC files.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Arrow {
    /// Whether to write the streaming format, which a reader can use while it is written. Default `false`; `true` for
    /// `.arrows` and standard output.
    pub stream: bool,
    /// How buffers are compressed. Default `"none"`.
    pub compression: ArrowCompression,
}

/// How buffers are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArrowCompression {
    /// Not at all.
    #[default]
    None,
    /// Fast.
    Lz4,
    /// Small.
    Zstd,
}

/// Rows of a record batch in the file: a reader has one of them in memory.
const BLOCK_ROWS: usize = 65_536;
const LONG_BLOCK_BYTES: u64 = 16 << 20;

enum Encoder {
    File(FileWriter<BufWriter<Counted>>),
    Stream(StreamWriter<BufWriter<Counted>>),
}

impl WriteFormat for Arrow {
    fn begin(&self, out: Box<dyn Write + Send>, schema: SchemaRef) -> Result<Box<dyn RowsWriter>> {
        let schema = written_schema(&schema);
        let codec = match self.compression {
            ArrowCompression::None => None,
            ArrowCompression::Lz4 => Some(CompressionType::LZ4_FRAME),
            ArrowCompression::Zstd => Some(CompressionType::ZSTD),
        };
        let options = IpcWriteOptions::default()
            .try_with_compression(codec)
            .map_err(arrow_failed)?;
        let out = BufWriter::new(Counted::new(out));
        let encoder = if self.stream {
            StreamWriter::try_new_with_options(out, &schema, options).map(Encoder::Stream)
        } else {
            FileWriter::try_new_with_options(out, &schema, options).map(Encoder::File)
        };
        Ok(Box::new(ArrowRows {
            blocks: Blocks::new(schema.clone(), BLOCK_ROWS, LONG_BLOCK_BYTES),
            encoder: encoder.map_err(arrow_failed)?,
            schema,
        }))
    }

    fn resume(
        &self,
        _: Box<dyn Write + Send>,
        _: SchemaRef,
        _: u64,
        _: &Restored<'_>,
    ) -> Result<Box<dyn RowsWriter>> {
        Err(cannot_be_saved())
    }
}

struct ArrowRows {
    schema: SchemaRef,
    blocks: Blocks,
    encoder: Encoder,
}

impl Encoder {
    fn write(&mut self, block: &RecordBatch) -> Result<()> {
        let block = canonical(block)?;
        match self {
            Self::File(writer) => writer.write(&block),
            Self::Stream(writer) => writer.write(&block),
        }
        .map_err(arrow_failed)
    }
}

impl RowsWriter for ArrowRows {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = plain(rows, &self.schema)?;
        let encoder = &mut self.encoder;
        self.blocks
            .push(&rows, &mut |block, _| encoder.write(&block))
    }

    fn save(&mut self, _: &mut dyn Save) -> Result<u64> {
        Err(cannot_be_saved())
    }

    fn finish(mut self: Box<Self>) -> Result<Sink> {
        let encoder = &mut self.encoder;
        self.blocks.finish(&mut |block, _| encoder.write(&block))?;
        let out = match self.encoder {
            Encoder::File(writer) => writer.into_inner(),
            Encoder::Stream(writer) => writer.into_inner(),
        };
        let mut out = out
            .map_err(arrow_failed)?
            .into_inner()
            .map_err(|e| failed(e.error()))?;
        out.flush().map_err(|e| failed(&e))?;
        Ok(out.into_inner())
    }

    fn bytes(&self) -> u64 {
        match &self.encoder {
            Encoder::File(writer) => writer.get_ref().get_ref().bytes(),
            Encoder::Stream(writer) => writer.get_ref().get_ref().bytes(),
        }
    }

    fn memory(&self) -> usize {
        self.blocks.memory()
    }
}

fn cannot_be_saved() -> dataflow_core::Error {
    dataflow_core::Error::resource("such a file cannot be stopped and gone on with yet")
        .help("write `csv`, or leave `[state]` out")
}
