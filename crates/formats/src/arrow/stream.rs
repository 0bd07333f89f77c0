//! An Arrow stream, or a file read as one (from a pipe): message after message, from start to end.
//!
//! Only one thread can read it, so pieces carry their rows, as small streams of their own.

use std::collections::HashMap;
use std::io::Read;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{read_dictionary, read_record_batch};
use arrow_ipc::writer::StreamWriter;
use arrow_ipc::{MessageHeader, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};
use dataflow_core::{Cutter, Error, Piece, Place, Result};

use super::file::shaping;
use super::layout::{check_sizes, io, wrong};
use super::{CONTINUES, MAGIC, guarded};
use crate::convert::Shaping;
use crate::{InputFile, Request};

/// The most rows of a piece, and the most bytes.
const PIECE_ROWS: usize = 65_536;
const PIECE_BYTES: usize = 8 << 20;
/// Metadata of more bytes are taken for damage.
const MOST_METADATA: usize = 256 << 20;

/// A file's first message is aligned to at most so many bytes.
const MOST_PADDING: usize = 4096;

type Input = Box<dyn Read + Send>;

/// The schema at a stream's head.
pub(super) fn schema(file: &InputFile) -> Result<SchemaRef> {
    let input = file.peek()?;
    guarded(&file.path, || Ok(Messages::new(Box::new(input))?.schema))
}

/// Reads messages and makes record batches of them.
struct Messages {
    input: Input,
    schema: SchemaRef,
    dictionaries: HashMap<i64, ArrayRef>,
    /// Bytes read so far.
    read: u64,
}

impl Messages {
    fn new(input: Input) -> std::result::Result<Self, ArrowError> {
        let mut messages = Self {
            input,
            schema: SchemaRef::new(arrow_schema::Schema::empty()),
            dictionaries: HashMap::new(),
            read: 0,
        };
        let mut head = [0; 8];
        messages.exactly(&mut head[..4])?;
        let mut metadata = if head.starts_with(&MAGIC[..4]) {
            messages.exactly(&mut head[4..])?;
            let first = messages.behind_padding()?;
            messages.metadata_behind(first)?
        } else {
            messages.metadata_behind([head[0], head[1], head[2], head[3]])?
        }
        .ok_or_else(|| wrong("it has no schema"))?;
        let message = root_as_message(&metadata).map_err(|e| wrong(&e.to_string()))?;
        let schema = message
            .header_as_schema()
            .ok_or_else(|| wrong("it does not begin with a schema"))?;
        if !schema.endianness().equals_to_target_endianness() {
            return Err(wrong(
                "its bytes are in the order of another kind of machine",
            ));
        }
        messages.schema = SchemaRef::new(fb_to_schema(schema));
        metadata.clear();
        Ok(messages)
    }

    /// The first four bytes behind a file's magic that are not padding.
    fn behind_padding(&mut self) -> std::result::Result<[u8; 4], ArrowError> {
        let mut word = [0; 4];
        for _ in 0..MOST_PADDING / 4 {
            self.exactly(&mut word)?;
            if word != [0; 4] {
                break;
            }
        }
        Ok(word)
    }

    fn exactly(&mut self, into: &mut [u8]) -> std::result::Result<(), ArrowError> {
        self.input.read_exact(into).map_err(io)?;
        self.read += into.len() as u64;
        Ok(())
    }

    /// So many bytes, taking memory only as they come: a damaged length must not become a huge allocation.
    fn bytes(&mut self, length: usize) -> std::result::Result<Vec<u8>, ArrowError> {
        let mut bytes = Vec::with_capacity(length.min(1 << 20));
        let mut part = (&mut self.input).take(length as u64);
        part.read_to_end(&mut bytes).map_err(io)?;
        self.read += bytes.len() as u64;
        if bytes.len() < length {
            return Err(wrong("it ends in the middle of a message"));
        }
        Ok(bytes)
    }

    /// The next message's metadata; none at the end, whether that is marked or not.
    fn metadata(&mut self) -> std::result::Result<Option<Vec<u8>>, ArrowError> {
        let mut prefix = [0; 4];
        let mut filled = 0;
        while filled < 4 {
            match self.input.read(&mut prefix[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(wrong("it ends in the middle of a message")),
                Ok(read) => filled += read,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(io(e)),
            }
        }
        self.read += 4;
        self.metadata_behind(prefix)
    }

    fn metadata_behind(
        &mut self,
        mut prefix: [u8; 4],
    ) -> std::result::Result<Option<Vec<u8>>, ArrowError> {
        if prefix == CONTINUES {
            self.exactly(&mut prefix)?;
        }
        match u32::from_le_bytes(prefix) as usize {
            0 => Ok(None),
            length if length > MOST_METADATA => Err(wrong("it is not an Arrow stream")),
            length => self.bytes(length).map(Some),
        }
    }

    fn next(&mut self) -> std::result::Result<Option<RecordBatch>, ArrowError> {
        loop {
            let Some(metadata) = self.metadata()? else {
                return Ok(None);
            };
            let message = root_as_message(&metadata).map_err(|e| wrong(&e.to_string()))?;
            let length = usize::try_from(message.bodyLength())
                .map_err(|_| wrong("a message of negative length"))?;
            let body = Buffer::from_vec(self.bytes(length)?);
            let version = message.version();
            match message.header_type() {
                MessageHeader::DictionaryBatch => {
                    let header = message
                        .header_as_dictionary_batch()
                        .ok_or_else(|| wrong("a dictionary is none"))?;
                    if let Some(values) = header.data() {
                        check_sizes(&values, &body)?;
                    }
                    let known = &mut self.dictionaries;
                    read_dictionary(&body, header, &self.schema, known, &version)?;
                }
                MessageHeader::RecordBatch => {
                    let header = message
                        .header_as_record_batch()
                        .ok_or_else(|| wrong("a record batch is none"))?;
                    check_sizes(&header, &body)?;
                    let schema = SchemaRef::clone(&self.schema);
                    let known = &self.dictionaries;
                    return read_record_batch(&body, header, schema, known, None, &version)
                        .map(Some);
                }
                _ => return Err(wrong("an unexpected message")),
            }
        }
    }
}

/// Cuts a stream into pieces that carry their rows.
pub(super) struct Pieces {
    path: std::sync::Arc<str>,
    messages: Messages,
    shaping: Shaping,
    split: usize,
    first: Place,
    /// Rows handed out, and wanted at most.
    rows: u64,
    end: u64,
    /// What is left of the record batch read last.
    batch: Option<RecordBatch>,
    told: u64,
}

impl Pieces {
    pub fn open(
        file: &InputFile,
        request: &Request,
        target: &SchemaRef,
        split: usize,
        first: Place,
    ) -> Result<Self> {
        let input = file.stream()?;
        let messages = guarded(&file.path, || Messages::new(input))?;
        Ok(Self {
            shaping: shaping(&messages.schema, request, target, &file.path)?,
            path: std::sync::Arc::clone(&file.path),
            messages,
            split,
            first,
            rows: 0,
            end: request.wanted.rows.unwrap_or(u64::MAX),
            batch: None,
            told: 0,
        })
    }

    /// Some rows of what was read, reading on if there are none.
    fn rows(&mut self) -> Result<Option<RecordBatch>> {
        let batch = loop {
            match self.batch.take() {
                Some(batch) if batch.num_rows() > 0 => break batch,
                _ => {
                    let messages = &mut self.messages;
                    match guarded(&self.path, || messages.next())? {
                        Some(batch) => self.batch = Some(batch),
                        None => return Ok(None),
                    }
                }
            }
        };
        let row = batch.get_array_memory_size() / batch.num_rows() + 1;
        let most = (PIECE_BYTES / row).clamp(1, PIECE_ROWS);
        let left = usize::try_from(self.end - self.rows).unwrap_or(usize::MAX);
        let length = batch.num_rows().min(most).min(left);
        self.batch = Some(batch.slice(length, batch.num_rows() - length));
        Ok(Some(batch.slice(0, length)))
    }

    fn carried(&self, rows: &RecordBatch) -> Result<Vec<u8>> {
        let used = rows.project(&self.shaping.used)?;
        let shaped = self.shaping.apply(&used, &self.path, self.rows)?;
        let mut text = Vec::new();
        let mut writer = StreamWriter::try_new(&mut text, &shaped.schema())?;
        writer.write(&shaped)?;
        writer.finish()?;
        drop(writer);
        Ok(text)
    }
}

impl Cutter for Pieces {
    fn next(&mut self) -> Result<Option<Piece>> {
        if self.rows >= self.end {
            return Ok(None);
        }
        let Some(rows) = self.rows()? else {
            return Ok(None);
        };
        let text = self.carried(&rows)?;
        let start = self.rows;
        self.rows += rows.num_rows() as u64;
        if self.first.row().saturating_add(self.rows) > Place::MAX_ROWS {
            return Err(
                Error::data(format!("a stream has more than {} rows", Place::MAX_ROWS))
                    .file(&*self.path)
                    .help("cut it into several"),
            );
        }
        let input_bytes = self.messages.read - self.told;
        self.told = self.messages.read;
        Ok(Some(Piece {
            split: self.split,
            first: Place(self.first.0 + start),
            rows: Some(rows.num_rows() as u64),
            start,
            end: self.rows,
            bytes: 2 * text.len(),
            text: Some(text.into()),
            input_bytes,
            unfinished: false,
        }))
    }
}
