//! A text file as a stream of UTF-8: decompressed, its byte-order mark taken off, its encoding undone, its bytes counted.

use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dataflow_core::units::Bytes as Size;
use dataflow_core::{Error, Result};

use super::options::{Compression, Encoding};
use crate::InputFile;

type Stream = Box<dyn Read + Send>;

/// How much of a compressed or encoded file is read at once.
const RAW_BLOCK: usize = 128 << 10;

/// How the bytes of a file become text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoding {
    pub(crate) compression: Compression,
    /// None: UTF-8, unless a byte-order mark says UTF-16.
    pub(crate) encoding: Option<Encoding>,
    /// The most text that the file may hold.
    pub(crate) limit: Size,
}

/// An open text file. Bytes that are malformed in the declared encoding arrive as bytes that are malformed in UTF-8, so
/// that whoever parses them reports the row.
pub(crate) struct TextInput {
    stream: Stream,
    name: Arc<str>,
    compressed: bool,
    consumed: Arc<AtomicU64>,
    text: u64,
    limit: Size,
}

impl TextInput {
    /// Opens a file to read it once.
    pub(crate) fn open(file: &InputFile, how: &Decoding) -> Result<Self> {
        Self::new(file.stream()?, &file.path, how)
    }

    /// Opens a file to look at its head.
    pub(crate) fn peek(file: &InputFile, how: &Decoding) -> Result<Self> {
        Self::new(file.peek()?, &file.path, how)
    }

    /// Reads any stream; `name` is for messages, and for what its ending promises.
    pub(crate) fn new(raw: Stream, name: &Arc<str>, how: &Decoding) -> Result<Self> {
        let consumed = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            inner: raw,
            count: Arc::clone(&consumed),
        };
        let failed = |compressed| move |error| read_error(name, compressed, &error);
        let (head, raw) = with_head(Box::new(counted), 4).map_err(failed(false))?;
        let compression = compression(&head, name, how.compression)?;
        let compressed = compression != Compression::None;
        let plain = decompressed(raw, compression).map_err(failed(true))?;
        let (head, plain) = with_head(plain, 3).map_err(failed(compressed))?;
        let stream = decoded(&head, plain, how.encoding).map_err(failed(compressed))?;
        Ok(Self {
            stream,
            name: Arc::clone(name),
            compressed,
            consumed,
            text: 0,
            limit: how.limit,
        })
    }

    /// The file's name.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Bytes of the file read so far, compressed as it is.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// Whether the text is not as long as the file.
    pub(crate) fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Appends `more` bytes of text, fewer only at the end. Says how many.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>, more: usize) -> Result<usize> {
        let mut filled = 0;
        while filled < more {
            match self.fill_some(buffer, more - filled)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    /// Appends what is there, at most `most` bytes, without waiting for more of it; nothing only at the end. Says how many.
    pub(crate) fn fill_some(&mut self, buffer: &mut Vec<u8>, most: usize) -> Result<usize> {
        let start = buffer.len();
        buffer.resize(start + most, 0);
        let read = loop {
            match self.stream.read(&mut buffer[start..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let length = *read.as_ref().unwrap_or(&0);
        buffer.truncate(start + length);
        read.map_err(|error| read_error(&self.name, self.compressed, &error))?;
        self.text += length as u64;
        if self.text > self.limit.0 {
            return Err(
                Error::data(format!("the file holds more than {} of text", self.limit))
                    .file(&*self.name)
                    .help("raise `max_text` if that is right"),
            );
        }
        Ok(length)
    }

    /// Whether somebody may still be writing what is read, so that rows must not wait for those behind them.
    pub(crate) fn is_live(&self) -> bool {
        &*self.name == "-"
    }
}

fn read_error(name: &Arc<str>, compressed: bool, error: &io::Error) -> Error {
    let made = match error.kind() {
        ErrorKind::UnexpectedEof if compressed => {
            Error::data("the compressed data ends in the middle")
                .help("the file is cut off: copy it again, or wait until it is written")
        }
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other if compressed => {
            Error::data(format!("the compressed data is damaged: {error}"))
        }
        _ => Error::io("read", name, error),
    };
    made.file(&**name)
}

/// Counts the bytes that come through.
struct Counted {
    inner: Stream,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The first `length` bytes (fewer if there are no more), and the stream with them in it.
fn with_head(mut stream: Stream, length: u64) -> io::Result<(Vec<u8>, Stream)> {
    let mut head = Vec::new();
    stream.by_ref().take(length).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(stream);
    Ok((head, Box::new(whole)))
}

fn compression(head: &[u8], name: &Arc<str>, asked: Compression) -> Result<Compression> {
    let found = match head {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
        _ => Compression::None,
    };
    let lower = name.to_ascii_lowercase();
    let promised = match lower.rsplit_once('.') {
        Some((_, "gz" | "gzip")) => Compression::Gzip,
        Some((_, "zst" | "zstd")) => Compression::Zstd,
        _ => found,
    };
    let expected = match asked {
        Compression::None => return Ok(Compression::None),
        Compression::Auto => promised,
        asked => asked,
    };
    if expected == found {
        return Ok(found);
    }
    let word = match expected {
        Compression::Gzip => "gzip",
        _ => "zstd",
    };
    let help = if asked == Compression::Auto {
        "its name promises that: repair the file, or write `compression = \"none\"` if it is plain text"
    } else {
        "leave `compression` out to go by the content"
    };
    Err(Error::data(format!("this is not {word} data"))
        .file(&**name)
        .help(help))
}

fn decompressed(raw: Stream, compression: Compression) -> io::Result<Stream> {
    let buffered = BufReader::with_capacity(RAW_BLOCK, raw);
    Ok(match compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(buffered)?),
        Compression::Auto | Compression::None => Box::new(buffered.into_inner()),
    })
}

/// Takes the byte-order mark off and undoes the encoding. A byte-order mark knows better than the options.
fn decoded(head: &[u8], mut plain: Stream, asked: Option<Encoding>) -> io::Result<Stream> {
    let mut encoding = asked.map_or(encoding_rs::UTF_8, |asked| asked.0);
    if let Some((marked, length)) = encoding_rs::Encoding::for_bom(head) {
        let mut mark = [0; 3];
        plain.read_exact(&mut mark[..length])?;
        encoding = marked;
    }
    if encoding == encoding_rs::UTF_8 {
        return Ok(plain);
    }
    Ok(Box::new(Transcoder {
        inner: plain,
        decoder: encoding.new_decoder_without_bom_handling(),
        raw: vec![0; RAW_BLOCK],
        raw_at: 0..0,
        text: Vec::new(),
        text_at: 0,
        state: Transcoding::Reading,
    }))
}

#[derive(PartialEq)]
enum Transcoding {
    Reading,
    Flushing,
    Done,
}

/// Turns another encoding into UTF-8.
struct Transcoder {
    inner: Stream,
    decoder: encoding_rs::Decoder,
    raw: Vec<u8>,
    raw_at: std::ops::Range<usize>,
    text: Vec<u8>,
    text_at: usize,
    state: Transcoding,
}

/// Never part of UTF-8.
const MALFORMED: u8 = 0xff;

impl Transcoder {
    fn refill(&mut self) -> io::Result<()> {
        if self.raw_at.is_empty() && self.state == Transcoding::Reading {
            let read = self.inner.read(&mut self.raw)?;
            self.raw_at = 0..read;
            if read == 0 {
                self.state = Transcoding::Flushing;
            }
        }
        self.text.resize(3 * RAW_BLOCK, 0);
        let last = self.state == Transcoding::Flushing;
        let raw = &self.raw[self.raw_at.clone()];
        // Room for the mark of a malformed sequence stays free.
        let room = self.text.len() - 1;
        let (result, read, mut written) =
            self.decoder
                .decode_to_utf8_without_replacement(raw, &mut self.text[..room], last);
        self.raw_at.start += read;
        match result {
            encoding_rs::DecoderResult::Malformed(..) => {
                self.text[written] = MALFORMED;
                written += 1;
            }
            encoding_rs::DecoderResult::InputEmpty if last => self.state = Transcoding::Done,
            _ => {}
        }
        self.text.truncate(written);
        self.text_at = 0;
        Ok(())
    }
}

impl Read for Transcoder {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.text_at == self.text.len() {
            if self.state == Transcoding::Done || out.is_empty() {
                return Ok(0);
            }
            self.refill()?;
        }
        let ready = &self.text[self.text_at..];
        let length = ready.len().min(out.len());
        out[..length].copy_from_slice(&ready[..length]);
        self.text_at += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::MAX_TEXT;
    use std::io::Write;

    fn decoding(encoding: Option<&str>) -> Decoding {
        Decoding {
            compression: Compression::Auto,
            encoding: encoding.map(|label| Encoding::named(label).expect("a label")),
            limit: MAX_TEXT,
        }
    }

    fn read(bytes: Vec<u8>, name: &str, how: &Decoding) -> Result<Vec<u8>> {
        let mut input = TextInput::new(Box::new(Cursor::new(bytes)), &name.into(), how)?;
        let mut text = Vec::new();
        while input.fill(&mut text, 5)? > 0 {}
        Ok(text)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(text).expect("in memory");
        out.finish().expect("in memory")
    }

    #[test]
    fn encodings_and_marks() {
        let cases: [(&[u8], Option<&str>, &str); 9] = [
            (b"a\xc3\xa4", None, "aä"),
            (b"\xef\xbb\xbfa\xc3\xa4", None, "aä"),
            (b"\xef\xbb\xbfa", Some("latin1"), "a"),
            (b"a\xe4\x80", Some("latin1"), "aä€"),
            (b"\xff\xfea\0\xe4\0", None, "aä"),
            (b"\xfe\xff\0a\0\xe4", Some("utf-16"), "aä"),
            (b"a\0\xe4\0", Some("utf-16le"), "aä"),
            (b"", None, ""),
            (b"\xff\xfe", None, ""),
        ];
        for (bytes, encoding, expected) in cases {
            let text = read(bytes.to_vec(), "x.csv", &decoding(encoding)).expect("reads");
            assert_eq!(String::from_utf8_lossy(&text), expected, "{bytes:?}");
        }
        let odd = read(b"a\0b".to_vec(), "x", &decoding(Some("utf-16le"))).expect("reads");
        assert_eq!(odd, b"a\xff");
        let lone = read(b"\x00\xd8a\0".to_vec(), "x", &decoding(Some("utf-16le"))).expect("reads");
        assert_eq!(lone, b"\xffa");
    }

    #[test]
    fn long_text_in_another_encoding() {
        let text: String = (0..200_000)
            .map(|i| if i % 7 == 0 { 'ä' } else { 'x' })
            .collect();
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let read = read(bytes, "x", &decoding(Some("utf-16le"))).expect("reads");
        assert!(read == text.as_bytes());
    }

    #[test]
    fn compressed_files_are_read_whole() {
        let plain = decoding(None);
        let two = [gzip(b"one,"), gzip(b"two")].concat();
        assert_eq!(read(two, "x.gz", &plain).expect("reads"), b"one,two");
        let frames = [b"one,", &b"two"[..]].map(|t| zstd::encode_all(t, 1).expect("in memory"));
        let frames = frames.concat();
        assert_eq!(
            read(frames.clone(), "-", &plain).expect("reads"),
            b"one,two"
        );
        for whole in [gzip(b"some text that is compressed"), frames] {
            for length in 5..whole.len() {
                let cut = read(whole[..length].to_vec(), "x", &plain);
                let at_frame_end = cut.as_ref().is_ok_and(|text| text == b"one,");
                assert!(at_frame_end || cut.is_err(), "{length} of {}", whole.len());
            }
        }
    }

    #[test]
    fn broken_promises_are_errors() {
        let plain = decoding(None);
        for (bytes, name, expected) in [
            (b"a,b".to_vec(), "x.gz", "this is not gzip data"),
            (vec![], "x.csv.zst", "this is not zstd data"),
            (gzip(b"text")[..15].to_vec(), "x", "ends in the middle"),
            ([gzip(b"a"), vec![b'x'; 99]].concat(), "x", "damaged"),
        ] {
            let error = read(bytes, name, &plain).expect_err(name);
            assert!(error.what().contains(expected), "{error}");
            assert_eq!(error.in_file(), Some(name));
        }
        let bomb = Decoding {
            limit: Size(1000),
            ..plain
        };
        let error = read(gzip(&[b' '; 2000]), "x", &bomb).expect_err("too long");
        assert_eq!(error.what(), "the file holds more than 1000B of text");
    }
}
