//! Which buffers of a record batch belong to which column, so that only those in use are read.

use std::ops::Range;

use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::{Message, RecordBatch, root_as_message};
use arrow_schema::{ArrowError, DataType, Schema};

use crate::file_bytes::FileBytes;

/// A message in a file: its metadata and, behind them, its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub offset: u64,
    pub metadata: u64,
    pub body: u64,
}

/// A buffer of more decompressed bytes is taken for damage.
const MOST_DECOMPRESSED: i64 = 1 << 32;

pub(super) fn wrong(what: &str) -> ArrowError {
    ArrowError::ParseError(what.to_string())
}

pub(super) fn io(error: std::io::Error) -> ArrowError {
    ArrowError::IoError(error.to_string(), error)
}

impl Place {
    /// The message's metadata, prefix included.
    pub fn metadata(&self, bytes: &FileBytes) -> Result<Vec<u8>, ArrowError> {
        let whole = self.metadata.saturating_add(self.body);
        if self.metadata < 8 || !bytes.holds(self.offset, whole) {
            return Err(wrong("a message lies beyond the file's end"));
        }
        let mut metadata = vec![0; self.metadata as usize];
        bytes.all(&mut metadata, self.offset).map_err(io)?;
        Ok(metadata)
    }

    /// The message with its body, all of it.
    pub fn whole(&self, bytes: &FileBytes) -> Result<Buffer, ArrowError> {
        let metadata = self.metadata(bytes)?;
        let whole = self.with_ranges(bytes, &metadata, std::slice::from_ref(&(0..self.body)))?;
        let message = message(&metadata)?;
        let dictionary = message.header_as_dictionary_batch().and_then(|d| d.data());
        if let Some(batch) = message.header_as_record_batch().or(dictionary) {
            check_sizes(&batch, &whole[metadata.len()..])?;
        }
        Ok(whole)
    }

    /// The message with those parts of its body that the columns in use need; the others are zero, and need no memory
    /// since nobody touches them.
    pub fn columns(
        &self,
        bytes: &FileBytes,
        schema: &Schema,
        used: &[usize],
    ) -> Result<Buffer, ArrowError> {
        let metadata = self.metadata(bytes)?;
        let message = message(&metadata)?;
        let batch = message
            .header_as_record_batch()
            .ok_or_else(|| wrong("a record batch is none"))?;
        match buffers(schema, &batch, used) {
            Some(ranges) => {
                let ranges = self.check(bytes, &batch, ranges)?;
                self.with_ranges(bytes, &metadata, &ranges)
            }
            None => self.whole(bytes),
        }
    }

    fn with_ranges(
        &self,
        bytes: &FileBytes,
        metadata: &[u8],
        ranges: &[Range<u64>],
    ) -> Result<Buffer, ArrowError> {
        let length = (self.metadata + self.body) as usize;
        let mut buffer = MutableBuffer::from_len_zeroed(length);
        buffer.as_slice_mut()[..metadata.len()].copy_from_slice(metadata);
        for range in ranges {
            let start = (self.metadata + range.start) as usize;
            let end = (self.metadata + range.end) as usize;
            let into = &mut buffer.as_slice_mut()[start..end];
            bytes.all(into, self.offset + start as u64).map_err(io)?;
        }
        Ok(buffer.into())
    }

    /// Checks what the decoder would ask memory for.
    fn check(
        &self,
        bytes: &FileBytes,
        batch: &RecordBatch<'_>,
        ranges: Vec<Range<u64>>,
    ) -> Result<Vec<Range<u64>>, ArrowError> {
        for range in &ranges {
            if range.start > range.end || range.end > self.body {
                return Err(wrong("a buffer lies beyond its message"));
            }
            if batch.compression().is_some() && range.end - range.start >= 8 {
                let mut length = [0; 8];
                let at = self.offset + self.metadata + range.start;
                bytes.all(&mut length, at).map_err(io)?;
                check_size(i64::from_le_bytes(length))?;
            }
        }
        Ok(ranges)
    }
}

fn check_size(decompressed: i64) -> Result<(), ArrowError> {
    if decompressed > MOST_DECOMPRESSED {
        return Err(wrong("a compressed buffer claims to be larger than 4 GiB"));
    }
    Ok(())
}

/// Checks what the decoder would ask memory for, where the whole body has been read.
pub(super) fn check_sizes(batch: &RecordBatch<'_>, body: &[u8]) -> Result<(), ArrowError> {
    if batch.compression().is_none() {
        return Ok(());
    }
    for buffer in batch.buffers().into_iter().flatten() {
        let start = usize::try_from(buffer.offset()).unwrap_or(usize::MAX);
        let length = body.get(start..).and_then(|bytes| bytes.first_chunk::<8>());
        if buffer.length() >= 8 {
            let length = length.ok_or_else(|| wrong("a buffer lies beyond its message"))?;
            check_size(i64::from_le_bytes(*length))?;
        }
    }
    Ok(())
}

/// A message from its metadata with their prefix.
pub(super) fn message(metadata: &[u8]) -> Result<Message<'_>, ArrowError> {
    let skip = if metadata[..4] == super::CONTINUES {
        8
    } else {
        4
    };
    root_as_message(&metadata[skip..]).map_err(|e| wrong(&format!("a message is damaged: {e}")))
}

/// Where the buffers of the columns in use are in the body; none if the layout is one that this does not know.
fn buffers(schema: &Schema, batch: &RecordBatch<'_>, used: &[usize]) -> Option<Vec<Range<u64>>> {
    let all = batch.buffers()?;
    let mut variadic = batch.variadicBufferCounts().into_iter().flatten();
    let mut next = 0;
    let mut ranges = Vec::new();
    for (i, field) in schema.fields().iter().enumerate() {
        let count = buffer_count(field.data_type(), &mut variadic)?;
        let end = next + count;
        if end > all.len() {
            return None;
        }
        if used.contains(&i) {
            ranges.extend((next..end).map(|b| {
                let buffer = all.get(b);
                let start = buffer.offset().max(0) as u64;
                start..start.saturating_add(buffer.length().max(0) as u64)
            }));
        }
        next = end;
    }
    Some(ranges)
}

fn buffer_count(data_type: &DataType, variadic: &mut impl Iterator<Item = i64>) -> Option<usize> {
    Some(match data_type {
        DataType::Null => 0,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => 3,
        DataType::Utf8View | DataType::BinaryView => 2 + usize::try_from(variadic.next()?).ok()?,
        DataType::List(field) | DataType::LargeList(field) | DataType::Map(field, _) => {
            2 + buffer_count(field.data_type(), variadic)?
        }
        DataType::ListView(field) | DataType::LargeListView(field) => {
            3 + buffer_count(field.data_type(), variadic)?
        }
        DataType::FixedSizeList(field, _) => 1 + buffer_count(field.data_type(), variadic)?,
        DataType::Struct(fields) => {
            let mut count = 1;
            for field in fields {
                count += buffer_count(field.data_type(), variadic)?;
            }
            count
        }
        DataType::Union(..) | DataType::RunEndEncoded(..) => return None,
        _ => 2,
    })
}

/// The bytes that the columns in use need in the file.
pub(super) fn used_bytes(schema: &Schema, batch: &RecordBatch<'_>, used: &[usize]) -> Option<u64> {
    let ranges = buffers(schema, batch, used)?;
    Some(ranges.iter().map(|range| range.end - range.start).sum())
}
