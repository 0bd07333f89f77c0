//! Where bytes go: counted, for text in fixed blocks and compressed if that is asked for.

use std::io::{self, Write};

use ::parquet::errors::ParquetError;
use arrow_schema::ArrowError;
use dataflow_core::error::Fault;
use dataflow_core::{Error, Result};
use flate2::write::GzEncoder;
use zstd::stream::write::Encoder as ZstdEncoder;

use super::Compression;

/// A byte sink that somebody else gave.
pub(super) type Sink = Box<dyn Write + Send>;

/// Counts the bytes that pass.
pub(super) struct Counted {
    inner: Sink,
    bytes: u64,
}

impl Counted {
    pub fn new(inner: Sink) -> Self {
        Self { inner, bytes: 0 }
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
        let written = self.inner.write(bytes)?;
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

/// Text is handed on in blocks of this size, so that how rows came does not shape what a compressor makes of them.
const BLOCK: usize = 64 * 1024;

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
    Plain(Counted),
    Gzip(GzEncoder<Counted>),
    Zstd(ZstdEncoder<'static, Counted>),
}

/// Collects text and hands it on.
pub(super) struct TextOutput {
    encoder: Encoder,
    text: Vec<u8>,
}

impl TextOutput {
    pub fn new(out: Sink, compression: Compression) -> Result<Self> {
        let out = Counted::new(out);
        let encoder = match compression {
            Compression::None => Encoder::Plain(out),
            Compression::Gzip => Encoder::Gzip(GzEncoder::new(out, flate2::Compression::default())),
            Compression::Zstd => {
                let level = zstd::DEFAULT_COMPRESSION_LEVEL;
                Encoder::Zstd(ZstdEncoder::new(out, level).map_err(|e| failed(&e))?)
            }
        };
        Ok(Self {
            encoder,
            text: Vec::with_capacity(2 * BLOCK),
        })
    }

    /// Where to append text; [`TextOutput::pass_on`] from time to time.
    pub fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Hands on what fills whole blocks.
    pub fn pass_on(&mut self) -> Result<()> {
        if self.text.len() < BLOCK {
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        let mut blocks = text.chunks_exact(BLOCK);
        for block in &mut blocks {
            self.raw(block)?;
        }
        self.text.reserve(2 * BLOCK);
        self.text.extend_from_slice(blocks.remainder());
        Ok(())
    }

    /// Hands on everything where that shapes nothing: text that is not compressed.
    pub fn pass_on_plain(&mut self) -> Result<()> {
        if !matches!(self.encoder, Encoder::Plain(_)) {
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
        match &mut self.encoder {
            Encoder::Plain(out) => out.write_all(text),
            Encoder::Gzip(out) => out.write_all(text),
            Encoder::Zstd(out) => out.write_all(text),
        }
        .map_err(|e| failed(&e))
    }

    pub fn bytes(&self) -> u64 {
        match &self.encoder {
            Encoder::Plain(out) => out.bytes(),
            Encoder::Gzip(out) => out.get_ref().bytes(),
            Encoder::Zstd(out) => out.get_ref().bytes(),
        }
    }

    pub fn memory(&self) -> usize {
        let encoder = match &self.encoder {
            Encoder::Plain(_) => 0,
            Encoder::Gzip(_) => 300 << 10,
            Encoder::Zstd(_) => 3 << 20,
        };
        self.text.capacity() + encoder
    }

    pub fn finish(mut self) -> Result<Sink> {
        let text = std::mem::take(&mut self.text);
        for block in text.chunks(BLOCK) {
            self.raw(block)?;
        }
        let out = match self.encoder {
            Encoder::Plain(out) => Ok(out),
            Encoder::Gzip(out) => out.finish(),
            Encoder::Zstd(out) => out.finish(),
        };
        let mut out = out.map_err(|e| failed(&e))?;
        out.flush().map_err(|e| failed(&e))?;
        Ok(out.into_inner())
    }
}
