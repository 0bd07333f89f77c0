//! Samples that are compressed (deflate): read in their order, as they come out, and checked at their end.

use std::io::{self, Read};

use dataflow_core::{Error, Result};
use flate2::CrcReader;
use flate2::read::DeflateDecoder;

use crate::file_bytes::FileBytes;

/// Where the compressed bytes are, and what must come out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packed {
    /// What is compressed, for messages.
    pub name: String,
    /// Where its compressed bytes begin.
    pub start: u64,
    /// How many there are.
    pub bytes: u64,
    /// How many bytes come out.
    pub size: u64,
    /// Their checksum.
    pub checksum: u32,
}

/// The bytes that come out.
pub(crate) fn inflated(bytes: &FileBytes, packed: &Packed) -> impl Read + Send + use<> {
    let range = bytes.range(packed.start, packed.bytes);
    let buffered = io::BufReader::with_capacity(BLOCK, range);
    DeflateDecoder::new(buffered).take(packed.size)
}

/// How much of a file is read at once.
const BLOCK: usize = 128 << 10;

/// Compressed samples that are being read.
pub(crate) struct Unpacked {
    stream: CrcReader<Box<dyn Read + Send>>,
    packed: Packed,
    read: u64,
}

impl Unpacked {
    /// Starts behind the first `skip` bytes that come out.
    pub fn new(bytes: &FileBytes, packed: &Packed, skip: u64, path: &str) -> Result<Self> {
        let mut unpacked = Self {
            stream: CrcReader::new(Box::new(inflated(bytes, packed))),
            packed: packed.clone(),
            read: 0,
        };
        unpacked.skip(skip, path)?;
        Ok(unpacked)
    }

    fn skip(&mut self, mut bytes: u64, path: &str) -> Result<()> {
        let mut passed = vec![0; (bytes as usize).min(BLOCK)];
        while bytes > 0 {
            let some = (bytes as usize).min(passed.len());
            self.read(&mut passed[..some], path)?;
            bytes -= some as u64;
        }
        Ok(())
    }

    /// Exactly the next bytes; with the last of all, the checksum must be right.
    pub fn read(&mut self, into: &mut [u8], path: &str) -> Result<()> {
        let read = self.stream.read_exact(into);
        read.map_err(|error| self.damaged(&error, path))?;
        self.read += into.len() as u64;
        let found = self.stream.crc().sum();
        if self.read == self.packed.size && found != self.packed.checksum {
            let what = format!("`{}` is damaged: its checksum is another", self.packed.name);
            return Err(Error::data(what)
                .file(path)
                .byte(self.packed.start)
                .help("copy or make the file again"));
        }
        Ok(())
    }

    fn damaged(&self, error: &io::Error, path: &str) -> Error {
        if error.raw_os_error().is_some() {
            return Error::io("read", path, error);
        }
        let name = &self.packed.name;
        let what = format!("the compressed data of `{name}` is damaged: {error}");
        Error::data(what).file(path).byte(self.packed.start)
    }
}
