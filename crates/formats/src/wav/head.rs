//! The head of a WAV file: its chunks, what they say of the samples, and where those are.

use dataflow_core::{Error, Result};

use crate::file_bytes::FileBytes;

/// What the head says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    pub codec: Codec,
    pub channels: u16,
    pub rate: u32,
    /// The bytes of a sample of one channel.
    pub bytes: usize,
    /// Where samples begin and end.
    pub start: u64,
    pub end: u64,
    /// Whether nobody wrote how many there are: they end where the file ends.
    pub open: bool,
}

/// How samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Whole,
    Float,
}

/// The most chunks in front of the samples.
const MOST_CHUNKS: usize = 4_096;

/// What a length says that was not known when it was written.
const UNKNOWN: u32 = u32::MAX;

/// What precedes the samples, as far as it was found.
struct Walk<'a> {
    bytes: &'a FileBytes,
    path: &'a str,
    /// The end of the file as its first chunk says.
    told_end: u64,
    /// The length of the samples by the chunk `ds64`.
    long: Option<u64>,
    format: Option<Format>,
    data: Option<Data>,
}

struct Format {
    codec: Codec,
    channels: u16,
    rate: u32,
    bytes: usize,
}

struct Data {
    start: u64,
    end: u64,
    open: bool,
}

/// Reads the head of a file.
pub(super) fn read(bytes: &FileBytes, path: &str) -> Result<Head> {
    let mut walk = Walk {
        bytes,
        path,
        told_end: 0,
        long: None,
        format: None,
        data: None,
    };
    walk.all()?;
    let missing = |what: &str| {
        Err(Error::data(what)
            .file(path)
            .byte(bytes.len())
            .help("the file is cut off or damaged: copy it again"))
    };
    match (walk.format, walk.data) {
        (None, _) => missing("there is no chunk `fmt ` that says what the samples are"),
        (_, None) => missing("there is no chunk `data` with samples"),
        (Some(format), Some(data)) => Ok(Head {
            codec: format.codec,
            channels: format.channels,
            rate: format.rate,
            bytes: format.bytes,
            start: data.start,
            end: data.end,
            open: data.open,
        }),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

impl Walk<'_> {
    /// Exactly so many bytes from a place, which the file must have.
    fn exactly<const N: usize>(&self, at: u64) -> Result<[u8; N]> {
        let mut found = [0; N];
        if !self.bytes.holds(at, N as u64) {
            return Err(Error::data("it ends in the middle of its head")
                .file(self.path)
                .byte(self.bytes.len())
                .help("the file is cut off: copy it again"));
        }
        let read = self.bytes.all(&mut found, at);
        read.map_err(|e| Error::io("read", self.path, &e))?;
        Ok(found)
    }

    fn all(&mut self) -> Result<()> {
        let first: [u8; 12] = self.exactly(0)?;
        if !super::recognise(&first) {
            return Err(Error::data("this is no WAV file").file(self.path).byte(0));
        }
        let told = u32_at(&first, 4);
        self.told_end = 8 + u64::from(told);
        let mut at = 12;
        for _ in 0..MOST_CHUNKS {
            // A last byte that only fills up is no chunk.
            if !self.bytes.holds(at, 8) || self.data.is_some() && self.format.is_some() {
                return Ok(());
            }
            let chunk: [u8; 8] = self.exactly(at)?;
            let length = self.chunk(&chunk, at + 8)?;
            at = (at + 8).saturating_add(length).saturating_add(length % 2);
        }
        Err(Error::data(format!(
            "there are more than {MOST_CHUNKS} chunks in front of the samples"
        ))
        .file(self.path)
        .byte(at))
    }

    /// Takes a chunk in; says how long it is.
    fn chunk(&mut self, head: &[u8; 8], at: u64) -> Result<u64> {
        let length = u32_at(head, 4);
        match &head[..4] {
            b"ds64" => self.long = Some(u64_at(&self.exactly::<24>(at)?, 8)),
            b"fmt " => self.format = Some(self.format(at, length)?),
            b"data" => return self.data(at, length),
            _ => {}
        }
        Ok(u64::from(length))
    }

    /// Where the samples are, and how many bytes they are.
    fn data(&mut self, start: u64, length: u32) -> Result<u64> {
        let file = self.bytes.len();
        let length = match (length, self.long) {
            (UNKNOWN, Some(long)) => Some(long),
            (UNKNOWN, None) => None,
            // Whoever wrote it had not come to write how long it is.
            (0, None) if self.told_end <= start || self.told_end == 8 + u64::from(UNKNOWN) => None,
            (length, _) => Some(u64::from(length)),
        };
        let bytes = length.unwrap_or(file - start);
        if !self.bytes.holds(start, bytes) {
            let what = format!(
                "the header promises {bytes} bytes of samples from byte {start}, but the file ends at {file}"
            );
            return Err(Error::data(what)
                .file(self.path)
                .byte(file)
                .help("the file is cut off, or its header is damaged: copy it again"));
        }
        self.data = Some(Data {
            start,
            end: start + bytes,
            open: length.is_none(),
        });
        Ok(bytes)
    }

    fn format(&self, at: u64, length: u32) -> Result<Format> {
        let wrong = |what: String| {
            Err(Error::data(what)
                .file(self.path)
                .byte(at)
                .help("the file is damaged: copy it again"))
        };
        let plain: [u8; 16] = self.exactly(at)?;
        let mut tag = u16_at(&plain, 0);
        if tag == EXTENSIBLE && length >= 40 {
            let extended: [u8; 40] = self.exactly(at)?;
            if extended[26..] != SUBFORMAT {
                return Err(self.unsupported(at, "one of somebody's own".into()));
            }
            tag = u16_at(&extended, 24);
        }
        let (channels, rate) = (u16_at(&plain, 2), u32_at(&plain, 4));
        let (align, bits) = (u16_at(&plain, 12), u16_at(&plain, 14));
        let bytes = usize::from(bits).div_ceil(8);
        let codec = match (tag, bytes) {
            (1, 1..=4) => Codec::Whole,
            (3, 4 | 8) => Codec::Float,
            (1 | 3, _) => {
                return Err(self.unsupported(at, format!("{} of {bits} bits", named(tag))));
            }
            _ => return Err(self.unsupported(at, format!("{} (codec {tag})", named(tag)))),
        };
        if channels == 0 || usize::from(align) != usize::from(channels) * bytes {
            return wrong(format!(
                "a frame of {align} bytes cannot hold {channels} channels of {bits} bits"
            ));
        }
        Ok(Format {
            codec,
            channels,
            rate,
            bytes,
        })
    }

    fn unsupported(&self, at: u64, codec: String) -> Error {
        Error::data(format!(
            "its samples are written in a way that is not read: {codec}"
        ))
        .file(self.path)
        .byte(at)
        .help("bring it to PCM first, for instance with `ffmpeg -i in.wav -c:a pcm_s24le out.wav`")
    }
}

/// The tag of a format that is told further behind.
const EXTENSIBLE: u16 = 0xfffe;

/// How identifiers of formats go on behind the tag, if they are one of the registered ones.
const SUBFORMAT: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// What people call a codec.
fn named(tag: u16) -> &'static str {
    match tag {
        1 => "whole numbers",
        2 | 0x11 => "ADPCM",
        3 => "floats",
        6 => "A-law",
        7 => "µ-law",
        0x31 => "GSM",
        0x50 => "MPEG",
        0x55 => "MP3",
        0xff | 0x1600 | 0x1610 => "AAC",
        0x160..=0x163 => "Windows Media",
        0xf1ac => "FLAC",
        _ => "an unknown codec",
    }
}
