//! Sections: stretches of a segment in blocks that are compressed and checked one by one.

use std::io::{self, Write};

use dataflow_core::{Error, Moment, Result};
use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::disk::{Append, Disk, Ranged, damaged, failed};
use crate::manifest::{Section, VERSION};
use crate::names;

/// What every segment begins with, before its version.
const MAGIC: [u8; 12] = *b"dataflowpart";
const HEADER: u64 = 16;
/// Before each block: its length as stored, its length as it was, and the checksum of what is stored.
const BLOCK_HEADER: usize = 16;
/// So many bytes are compressed at once.
const BLOCK: usize = 256 << 10;
/// No block says that it is larger, whatever its header says.
const LARGEST: usize = 4 << 20;

/// A segment that is being written.
pub(crate) struct Segment {
    number: u64,
    path: String,
    out: Box<dyn Append>,
    at: u64,
}

impl Segment {
    /// Begins the segment of a number.
    pub(crate) fn create(disk: &dyn Disk, number: u64) -> Result<Self> {
        let path = names::segment(number);
        let begin = || {
            let mut out = disk.create(&path)?;
            out.append(&[&MAGIC[..], &VERSION.to_le_bytes()].concat())?;
            Ok(out)
        };
        let out = begin().map_err(|e| failed(disk, "write a snapshot", &path, &e))?;
        Ok(Self {
            number,
            path,
            out,
            at: HEADER,
        })
    }

    /// Its path in the store.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Its bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.at
    }

    /// Begins a section behind those that are written.
    pub(crate) fn section(&mut self) -> Writing<'_> {
        Writing {
            start: self.at,
            segment: self,
            plain: Vec::with_capacity(BLOCK.min(16 << 10)),
            record: Vec::new(),
            checksum: Xxh3::new(),
        }
    }

    /// Makes durable what was written.
    pub(crate) fn sync(&mut self, disk: &dyn Disk) -> Result<()> {
        let synced = self.out.sync();
        synced.map_err(|e| failed(disk, "write a snapshot", &self.path, &e))
    }
}

/// A section that is being written; it is a section when it is finished.
pub(crate) struct Writing<'a> {
    segment: &'a mut Segment,
    start: u64,
    plain: Vec<u8>,
    record: Vec<u8>,
    checksum: Xxh3,
}

impl Writing<'_> {
    /// Writes what is left, and says where the section is.
    pub(crate) fn finish(mut self, rows: u64) -> io::Result<Section> {
        self.seal()?;
        Ok(Section {
            segment: self.segment.number,
            offset: self.start,
            length: self.segment.at - self.start,
            rows,
            checksum: self.checksum.digest(),
        })
    }

    /// Writes a block of what was collected.
    fn seal(&mut self) -> io::Result<()> {
        if self.plain.is_empty() {
            return Ok(());
        }
        self.record
            .resize(BLOCK_HEADER + get_maximum_output_size(self.plain.len()), 0);
        let packed = compress_into(&self.plain, &mut self.record[BLOCK_HEADER..]);
        let packed = packed.map_err(io::Error::other)?;
        if packed < self.plain.len() {
            self.record.truncate(BLOCK_HEADER + packed);
        } else {
            self.record.truncate(BLOCK_HEADER);
            self.record.extend_from_slice(&self.plain);
        }
        let header = block_header(self.plain.len(), &self.record[BLOCK_HEADER..]);
        self.record[..BLOCK_HEADER].copy_from_slice(&header);
        self.plain.clear();
        let record = std::mem::take(&mut self.record);
        let added = self.add(&header, &record);
        self.record = record;
        added
    }

    /// Writes a block as it was stored elsewhere.
    fn add(&mut self, header: &[u8], record: &[u8]) -> io::Result<()> {
        self.checksum.update(header);
        self.segment.out.append(record)?;
        Moment::BlockWritten.pass();
        self.segment.at += record.len() as u64;
        Ok(())
    }

    /// Copies a section of another segment block by block, without unpacking it.
    pub(crate) fn copy(mut self, disk: &dyn Disk, section: &Section) -> Result<Section> {
        let mut blocks = Blocks::open(disk, section)?;
        while blocks.advance(disk)? {
            let header = blocks.header;
            let record = [&header[..], &blocks.stored].concat();
            self.add(&header, &record)
                .map_err(|e| failed(disk, "write a snapshot", &self.segment.path, &e))?;
        }
        let path = self.segment.path.clone();
        self.finish(section.rows)
            .map_err(|e| failed(disk, "write a snapshot", &path, &e))
    }
}

impl Write for Writing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.plain.len());
        self.plain.extend_from_slice(&bytes[..taken]);
        if self.plain.len() == BLOCK {
            self.seal()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn block_header(plain: usize, stored: &[u8]) -> [u8; BLOCK_HEADER] {
    let mut header = [0; BLOCK_HEADER];
    // Both are at most a block, and its worst case of being packed.
    header[..4].copy_from_slice(&(stored.len() as u32).to_le_bytes());
    header[4..8].copy_from_slice(&(plain as u32).to_le_bytes());
    header[8..].copy_from_slice(&xxh3_64(stored).to_le_bytes());
    header
}

/// The blocks of a section, each checked before anybody sees it.
pub(crate) struct Blocks {
    file: Box<dyn Ranged>,
    path: String,
    section: Section,
    at: u64,
    checksum: Xxh3,
    header: [u8; BLOCK_HEADER],
    stored: Vec<u8>,
}

impl Blocks {
    /// Opens the segment that the section is in, and checks that it reaches that far.
    pub(crate) fn open(disk: &dyn Disk, section: &Section) -> Result<Self> {
        let path = names::segment(section.segment);
        let file = open_segment(disk, section)?;
        Ok(Self {
            file,
            path,
            section: *section,
            at: section.offset,
            checksum: Xxh3::new(),
            header: [0; BLOCK_HEADER],
            stored: Vec::new(),
        })
    }

    /// The next block, unpacked.
    pub(crate) fn next(&mut self, disk: &dyn Disk) -> Result<Option<Vec<u8>>> {
        let at = self.at;
        if !self.advance(disk)? {
            return Ok(None);
        }
        let length = number(&self.header[4..8]);
        if self.stored.len() == length {
            return Ok(Some(std::mem::take(&mut self.stored)));
        }
        let mut plain = vec![0; length];
        match decompress_into(&self.stored, &mut plain) {
            Ok(unpacked) if unpacked == length => Ok(Some(plain)),
            _ => Err(self.wrong(disk, "a block cannot be unpacked", at)),
        }
    }

    /// Reads on to the end, and only checks.
    pub(crate) fn verify(mut self, disk: &dyn Disk) -> Result<()> {
        while self.advance(disk)? {}
        Ok(())
    }

    /// Reads the next block as it is stored; `false` at the end of the section.
    fn advance(&mut self, disk: &dyn Disk) -> Result<bool> {
        let end = self.section.offset + self.section.length;
        if self.at == end {
            return match self.checksum.digest() == self.section.checksum {
                true => Ok(false),
                false => Err(self.wrong(disk, "its checksum is another one", self.section.offset)),
            };
        }
        let at = self.at;
        self.fill_header(disk, end - at)?;
        let stored = number(&self.header[..4]);
        let room = (end - at) as usize - BLOCK_HEADER;
        if stored > room.min(LARGEST) || number(&self.header[4..8]) > LARGEST {
            return Err(self.wrong(disk, "a block is longer than there is room for it", at));
        }
        self.stored.resize(stored, 0);
        let from = at + BLOCK_HEADER as u64;
        let read = self.file.read_at(from, &mut self.stored);
        read.map_err(|e| failed(disk, "read a snapshot", &self.path, &e).byte(at))?;
        if xxh3_64(&self.stored).to_le_bytes() != self.header[8..] {
            return Err(self.wrong(disk, "the checksum of a block is another one", at));
        }
        self.checksum.update(&self.header);
        self.at = from + stored as u64;
        Ok(true)
    }

    fn fill_header(&mut self, disk: &dyn Disk, room: u64) -> Result<()> {
        if room < BLOCK_HEADER as u64 {
            return Err(self.wrong(disk, "a block is cut off", self.at));
        }
        let read = self.file.read_at(self.at, &mut self.header);
        read.map_err(|e| failed(disk, "read a snapshot", &self.path, &e).byte(self.at))
    }

    /// The section is not what was written.
    pub(crate) fn wrong(&self, disk: &dyn Disk, how: &str, at: u64) -> Error {
        damaged(disk, &self.path, how).byte(at)
    }

    /// Where the next block begins.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }
}

fn number(bytes: &[u8]) -> usize {
    let mut four = [0; 4];
    four.copy_from_slice(bytes);
    u32::from_le_bytes(four) as usize
}

/// Opens the segment that a section is in: it must be a segment of a version that is known, and reach to the section's end.
pub(crate) fn open_segment(disk: &dyn Disk, section: &Section) -> Result<Box<dyn Ranged>> {
    let path = names::segment(section.segment);
    let unread = |e: &io::Error| failed(disk, "read a snapshot", &path, e);
    let mut file = disk.open(&path).map_err(|e| unread(&e))?;
    let end = section.offset.checked_add(section.length);
    let end = end.filter(|_| section.offset >= HEADER).unwrap_or(u64::MAX);
    if file.length() < end {
        let how = format!(
            "it has {} bytes, and a part of it ends at {end}",
            file.length()
        );
        return Err(damaged(disk, &path, how));
    }
    let mut header = [0; HEADER as usize];
    file.read_at(0, &mut header).map_err(|e| unread(&e))?;
    if header[..12] != MAGIC {
        return Err(damaged(disk, &path, "it does not begin like a file of parts").byte(0));
    }
    match number(&header[12..]) as u32 {
        VERSION => Ok(file),
        // Manifests never name segments of a later version than their own, so this is no newer program's.
        other => {
            let how = format!("it says that its format version is {other}, and it was {VERSION}");
            Err(damaged(disk, &path, how).byte(12))
        }
    }
}
