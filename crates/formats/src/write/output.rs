//! Where bytes go: counted, for text in fixed blocks and compressed if that is asked for.

use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::errors::ParquetError;
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch};
use arrow_schema::ArrowError;
use dataflow_core::error::Fault;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::{Batch, Error, Result};
use flate2::write::GzEncoder;
use zstd::bulk::Compressor;

use super::Compression;

/// A byte sink that somebody else gave.
pub(super) type Sink = Box<dyn Write + Send>;

/// Counts the bytes that pass.
pub(super) struct Counted {
    inner: Sink,
    bytes: u64,
    /// Whether what comes has been written by an earlier run.
    mute: bool,
}

impl Counted {
    pub fn new(inner: Sink) -> Self {
        Self {
            inner,
            bytes: 0,
            mute: false,
        }
    }

    /// One to which everything is told again that an earlier run has written, until [`Counted::go_on`].
    pub fn mute(inner: Sink) -> Self {
        Self {
            mute: true,
            ..Self::new(inner)
        }
    }

    /// From now on, what comes is behind so many bytes.
    pub fn go_on(&mut self, bytes: u64) {
        (self.mute, self.bytes) = (false, bytes);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn into_inner(self) -> Sink {
        self.inner
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.mute {
            true => bytes.len(),
            false => self.inner.write(bytes)?,
        };
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Says what a failed write means: a reader that went away needs nothing more, a full disk is told as such.
pub fn failed(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => {
            Error::new(Fault::Closed, "whoever reads the output has closed it")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::resource(format!("cannot write: {error}"))
                .help("make room on that disk, or choose another")
        }
        io::ErrorKind::PermissionDenied => {
            Error::resource(format!("cannot write: {error}")).help("check who may write there")
        }
        _ => Error::resource(format!("cannot write: {error}")),
    }
}

/// The same for an error that comes through Parquet's writer.
pub(super) fn parquet_failed(error: ParquetError) -> Error {
    if let ParquetError::External(inner) = &error
        && let Some(io) = inner.downcast_ref::<io::Error>()
    {
        return failed(io);
    }
    Error::data(format!("these rows cannot be written as Parquet: {error}"))
}

/// The same for an error that comes through Arrow's writer.
pub(super) fn arrow_failed(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, io) => failed(&io),
        other => Error::data(format!("these rows cannot be written as Arrow: {other}")),
    }
}

/// Plain text is handed on when there is so much of it.
const BLOCK: usize = 64 << 10;

/// The name of the text that is no whole frame.
const TEXT: &str = "text";

/// Text of a frame: a compressor's state cannot be written down, so every so often a new one begins. Readers take frames one after
/// the other for one text.
const FRAME: usize = 1 << 20;

/// The text of a file that was written with this compression.
///
/// # Errors
/// When the decompressor cannot be made.
pub fn decompressed(
    file: std::fs::File,
    compression: Compression,
) -> io::Result<Box<dyn io::Read>> {
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(file)?),
    })
}

enum Encoder {
    Plain,
    Gzip,
    Zstd(Compressor<'static>),
}

impl Encoder {
    fn new(compression: Compression) -> Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain,
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => {
                let compressor = Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL);
                Self::Zstd(compressor.map_err(|e| failed(&e))?)
            }
        })
    }

    /// How much text is handed on at once.
    fn piece(&self) -> usize {
        match self {
            Self::Plain => BLOCK,
            Self::Gzip | Self::Zstd(_) => FRAME,
        }
    }

    /// Writes text, compressed as a frame of its own.
    fn write(&mut self, text: &[u8], out: &mut Counted) -> io::Result<()> {
        match self {
            Self::Plain => out.write_all(text),
            Self::Gzip => {
                let mut frame = GzEncoder::new(out, flate2::Compression::default());
                frame.write_all(text)?;
                frame.finish().map(|_| ())
            }
            Self::Zstd(compressor) => out.write_all(&compressor.compress(text)?),
        }
    }
}

/// Collects text and hands it on.
pub(super) struct TextOutput {
    out: Counted,
    encoder: Encoder,
    text: Vec<u8>,
}

impl TextOutput {
    pub fn new(out: Sink, compression: Compression) -> Result<Self> {
        let encoder = Encoder::new(compression)?;
        Ok(Self {
            out: Counted::new(out),
            text: Vec::with_capacity(2 * BLOCK),
            encoder,
        })
    }

    /// Goes on behind so many bytes, with the text that was no whole frame then.
    pub fn resume(
        out: Sink,
        compression: Compression,
        bytes: u64,
        from: &Restored<'_>,
    ) -> Result<Self> {
        let mut output = Self::new(out, compression)?;
        output.out.go_on(bytes);
        from.rows(TEXT, Share::Dealt, &mut |batch| {
            let column = batch.rows().columns().first();
            let texts = column.and_then(|column| column.as_binary_opt::<i32>());
            let texts = texts.ok_or_else(|| Error::data("what was saved of a text is none"))?;
            let texts = texts.iter().flatten();
            texts.for_each(|text| output.text.extend_from_slice(text));
            Ok(())
        })?;
        Ok(output)
    }

    /// Hands on what can be, writes down the rest, and says how many bytes count.
    pub fn save(&mut self, into: &mut dyn Save) -> Result<u64> {
        self.pass_on_plain()?;
        self.out.flush().map_err(|e| failed(&e))?;
        if !self.text.is_empty() {
            let text: ArrayRef = Arc::new(BinaryArray::from_vec(vec![&self.text]));
            into.rows(
                TEXT,
                Batch::new(RecordBatch::try_from_iter([(TEXT, text)])?),
            );
        }
        Ok(self.bytes())
    }

    /// Where to append text; [`TextOutput::pass_on`] from time to time.
    pub fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Hands on what fills whole pieces.
    pub fn pass_on(&mut self) -> Result<()> {
        let piece = self.encoder.piece();
        if self.text.len() < piece {
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        let mut pieces = text.chunks_exact(piece);
        for piece in &mut pieces {
            self.raw(piece)?;
        }
        self.text.reserve(piece + BLOCK);
        self.text.extend_from_slice(pieces.remainder());
        Ok(())
    }

    /// Hands on everything where that shapes nothing: text that is not compressed.
    pub fn pass_on_plain(&mut self) -> Result<()> {
        if !matches!(self.encoder, Encoder::Plain) {
            return self.pass_on();
        }
        let mut text = std::mem::take(&mut self.text);
        self.raw(&text)?;
        text.clear();
        text.shrink_to(2 * BLOCK);
        self.text = text;
        Ok(())
    }

    fn raw(&mut self, text: &[u8]) -> Result<()> {
        let written = self.encoder.write(text, &mut self.out);
        written.map_err(|e| failed(&e))
    }

    pub fn bytes(&self) -> u64 {
        self.out.bytes()
    }

    pub fn memory(&self) -> usize {
        let encoder = match &self.encoder {
            Encoder::Plain => 0,
            Encoder::Gzip => 300 << 10,
            Encoder::Zstd(_) => 3 << 20,
        };
        self.text.capacity() + encoder
    }

    pub fn finish(mut self) -> Result<Sink> {
        self.pass_on()?;
        let text = std::mem::take(&mut self.text);
        // A compressed file without text has a frame that says so.
        if !text.is_empty() || self.bytes() == 0 {
            self.raw(&text)?;
        }
        self.out.flush().map_err(|e| failed(&e))?;
        Ok(self.out.into_inner())
    }
}
