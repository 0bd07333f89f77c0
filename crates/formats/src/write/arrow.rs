//! Writing Arrow IPC, as a file (with a footer, for random access) or as a stream.

use std::io::{self, BufWriter, Write};

use arrow_array::RecordBatch;
use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::writer::{DictionaryTracker, IpcWriteOptions, StreamWriter};
use arrow_ipc::{Block, CompressionType, FooterBuilder, MetadataVersion};
use arrow_schema::SchemaRef;
use dataflow_core::saved::{Restored, Save};
use dataflow_core::{Batch, Error, Result};
use flatbuffers::FlatBufferBuilder;
use schemars::JsonSchema;
use serde::Deserialize;

use super::blocks::{Blocks, canonical, plain, restored, written_schema};
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

/// How a file begins and ends; at the beginning with zeros up to [`ALIGNMENT`].
const MAGIC: &[u8] = b"ARROW1";
/// Where messages begin.
const ALIGNMENT: usize = 64;

/// The names of what is saved: the rows of the open block, and where the blocks of a file are.
const ROWS: &str = "rows";
const BLOCKS: &str = "blocks";

impl WriteFormat for Arrow {
    fn begin(&self, out: Box<dyn Write + Send>, schema: SchemaRef) -> Result<Box<dyn RowsWriter>> {
        Ok(Box::new(ArrowRows::new(self, Counted::new(out), &schema)?))
    }

    fn resume(
        &self,
        out: Box<dyn Write + Send>,
        schema: SchemaRef,
        bytes: u64,
        from: &Restored<'_>,
    ) -> Result<Box<dyn RowsWriter>> {
        let mut rows = ArrowRows::new(self, Counted::mute(out), &schema)?;
        rows.go_on(bytes, from)?;
        Ok(Box::new(rows))
    }
}

/// A file is a stream between a beginning of its own and a footer.
struct ArrowRows {
    schema: SchemaRef,
    blocks: Blocks,
    stream: StreamWriter<Messages>,
    /// Of a file: how long the head and the body of each record batch are.
    lengths: Option<Vec<(u64, u64)>>,
    /// Where the first of them begins.
    start: u64,
}

impl ArrowRows {
    fn new(format: &Arrow, out: Counted, schema: &SchemaRef) -> Result<Self> {
        let schema = written_schema(schema);
        let codec = match format.compression {
            ArrowCompression::None => None,
            ArrowCompression::Lz4 => Some(CompressionType::LZ4_FRAME),
            ArrowCompression::Zstd => Some(CompressionType::ZSTD),
        };
        let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)
            .and_then(|options| options.try_with_compression(codec));
        let mut out = Messages::new(out);
        if !format.stream {
            let mut beginning = [0; ALIGNMENT];
            beginning[..MAGIC.len()].copy_from_slice(MAGIC);
            out.write_all(&beginning).map_err(|e| failed(&e))?;
        }
        let options = options.map_err(arrow_failed)?;
        let stream = StreamWriter::try_new_with_options(out, &schema, options);
        let stream = stream.map_err(arrow_failed)?;
        Ok(Self {
            blocks: Blocks::new(schema.clone(), BLOCK_ROWS, LONG_BLOCK_BYTES),
            lengths: (!format.stream).then(Vec::new),
            start: stream.get_ref().bytes,
            stream,
            schema,
        })
    }

    /// Goes on with what was saved. What has been written so far is the beginning, which the earlier run wrote, too.
    fn go_on(&mut self, bytes: u64, from: &Restored<'_>) -> Result<()> {
        let out = self.stream.get_mut();
        out.flush().map_err(|e| failed(&e))?;
        out.go_on(bytes);
        if let Some(lengths) = &mut self.lengths {
            let saved = from.values(BLOCKS)?.pop().unwrap_or_default();
            let saved = serde_json::from_value(saved);
            *lengths =
                saved.map_err(|e| Error::data(format!("what was saved of an Arrow file: {e}")))?;
        }
        let rows = restored(&self.schema, from, ROWS)?;
        self.write(&rows)
    }
}

/// Writes a record batch, and says how long its head and its body are.
fn encode(stream: &mut StreamWriter<Messages>, block: &RecordBatch) -> Result<(u64, u64)> {
    let block = canonical(block)?;
    let before = stream.get_ref().bytes;
    stream.get_mut().next();
    stream.write(&block).map_err(arrow_failed)?;
    let head = stream.get_ref().head();
    Ok((head, stream.get_ref().bytes - before - head))
}

impl RowsWriter for ArrowRows {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = plain(rows, &self.schema)?;
        let (stream, lengths) = (&mut self.stream, &mut self.lengths);
        self.blocks.push(&rows, &mut |block, _| {
            let length = encode(stream, &block)?;
            lengths.iter_mut().for_each(|all| all.push(length));
            Ok(())
        })
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<u64> {
        self.stream.flush().map_err(arrow_failed)?;
        if let Some(lengths) = &self.lengths {
            into.value(BLOCKS, serde_json::json!(lengths));
        }
        let held = self.blocks.held().cloned();
        held.for_each(|rows| into.rows(ROWS, Batch::new(rows)));
        Ok(self.bytes())
    }

    fn finish(mut self: Box<Self>) -> Result<Sink> {
        let (stream, lengths) = (&mut self.stream, &mut self.lengths);
        self.blocks.finish(&mut |block, _| {
            let length = encode(stream, &block)?;
            lengths.iter_mut().for_each(|all| all.push(length));
            Ok(())
        })?;
        let mut out = self.stream.into_inner().map_err(arrow_failed)?;
        if let Some(lengths) = &self.lengths {
            let footer = footer(&self.schema, self.start, lengths);
            out.write_all(&footer).map_err(|e| failed(&e))?;
        }
        out.flush().map_err(|e| failed(&e))?;
        out.into_inner()
    }

    fn bytes(&self) -> u64 {
        self.stream.get_ref().out.get_ref().bytes()
    }

    fn memory(&self) -> usize {
        self.blocks.memory()
    }
}

/// What tells a reader of a file where its record batches are.
fn footer(schema: &SchemaRef, start: u64, lengths: &[(u64, u64)]) -> Vec<u8> {
    let mut at = start;
    let blocks = lengths.iter().map(|(head, body)| {
        let block = Block::new(at as i64, *head as i32, *body as i64);
        at += head + body;
        block
    });
    let blocks = blocks.collect::<Vec<_>>();
    let mut builder = FlatBufferBuilder::new();
    let dictionaries = builder.create_vector::<Block>(&[]);
    let blocks = builder.create_vector(&blocks);
    let schema = IpcSchemaEncoder::new()
        .with_dictionary_tracker(&mut DictionaryTracker::new(true))
        .schema_to_fb_offset(&mut builder, schema);
    let mut footer = FooterBuilder::new(&mut builder);
    footer.add_version(MetadataVersion::V5);
    footer.add_schema(schema);
    footer.add_dictionaries(dictionaries);
    footer.add_recordBatches(blocks);
    let footer = footer.finish();
    builder.finish(footer, None);
    let footer = builder.finished_data();
    let length = (footer.len() as i32).to_le_bytes();
    [footer, &length, MAGIC].concat()
}

/// Looks at the messages that pass: each says in its first bytes how long its head is.
struct Messages {
    out: BufWriter<Counted>,
    bytes: u64,
    first: [u8; 8],
    seen: usize,
}

impl Messages {
    fn new(out: Counted) -> Self {
        Self {
            out: BufWriter::new(out),
            bytes: 0,
            first: [0; 8],
            seen: 0,
        }
    }

    /// From now on, what comes is behind so many bytes.
    fn go_on(&mut self, bytes: u64) {
        self.bytes = bytes;
        self.out.get_mut().go_on(bytes);
    }

    /// Another message begins.
    fn next(&mut self) {
        self.seen = 0;
    }

    /// The bytes of the last message up to its body: a mark, a length, and so many more.
    fn head(&self) -> u64 {
        let [_, _, _, _, length @ ..] = self.first;
        8 + u64::from(u32::from_le_bytes(length))
    }

    fn into_inner(self) -> Result<Sink> {
        let out = self.out.into_inner().map_err(|e| failed(e.error()))?;
        Ok(out.into_inner())
    }
}

impl Write for Messages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        let of_first = written.min(self.first.len() - self.seen);
        self.first[self.seen..self.seen + of_first].copy_from_slice(&bytes[..of_first]);
        self.seen += of_first;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
