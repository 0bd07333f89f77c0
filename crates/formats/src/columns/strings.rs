//! Text columns: plain, and as dictionaries.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, GenericStringArray, Int32Array, OffsetSizeTrait, StringArray,
};
use arrow_buffer::{Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use dataflow_core::Result;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::Column;
use super::primitive::{catch_up, complete, is_null, shorten};
use crate::jsonl::json::{Json, Wrong};

/// Texts one behind the other.
struct Texts<O> {
    offsets: Vec<O>,
    bytes: Vec<u8>,
}

impl<O: OffsetSizeTrait> Texts<O> {
    fn new() -> Self {
        Self {
            offsets: vec![O::usize_as(0)],
            bytes: Vec::new(),
        }
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline]
    fn push(&mut self, text: &[u8]) -> bool {
        let Some(end) = O::from_usize(self.bytes.len() + text.len()) else {
            return false;
        };
        self.bytes.extend_from_slice(text);
        self.offsets.push(end);
        true
    }

    fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.offsets[index].as_usize()..self.offsets[index + 1].as_usize()]
    }

    fn truncate(&mut self, length: usize) {
        self.offsets.truncate(length + 1);
        let end = self.offsets.last().map_or(0, |end| end.as_usize());
        self.bytes.truncate(end);
    }

    /// Takes the buffers and leaves room for as much again.
    fn take(&mut self) -> (OffsetBuffer<O>, Buffer) {
        let mut next = Self {
            offsets: Vec::with_capacity(self.offsets.len()),
            bytes: Vec::with_capacity(self.bytes.len()),
        };
        next.offsets.push(O::usize_as(0));
        let taken = std::mem::replace(self, next);
        (
            OffsetBuffer::new(ScalarBuffer::from(taken.offsets)),
            Buffer::from_vec(taken.bytes),
        )
    }
}

/// Adds the next JSON value as text: a string as what it says, null as null, anything else as it is written.
fn push_json(column: &mut dyn Column, json: &mut Json<'_>) -> Result<(), Wrong> {
    let pushed = match json.peek() {
        b'"' => {
            let text = json.string()?;
            column.push(json.text(&text))
        }
        b'n' => {
            json.literal("null")?;
            column.null();
            true
        }
        _ => {
            let raw = json.raw()?;
            column.push(raw)
        }
    };
    if pushed {
        return Ok(());
    }
    Err(Wrong::value(
        column.reason(),
        b"...",
        "shorter text".to_string(),
    ))
}

struct Text<O> {
    texts: Texts<O>,
    nulls: NullBufferBuilder,
}

impl<O: OffsetSizeTrait> Column for Text<O> {
    fn len(&self) -> usize {
        self.texts.len()
    }

    fn null(&mut self) {
        catch_up(&mut self.nulls, self.texts.len());
        self.nulls.append_null();
        self.texts.push(b"");
    }

    #[inline]
    fn push(&mut self, text: &[u8]) -> bool {
        self.texts.push(text)
    }

    fn truncate(&mut self, rows: usize) {
        self.texts.truncate(rows);
        shorten(&mut self.nulls, rows);
    }

    fn ends_in_null(&self) -> bool {
        is_null(&self.nulls, self.texts.len())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let nulls = complete(&mut self.nulls, self.texts.len());
        let (offsets, bytes) = self.texts.take();
        Ok(Arc::new(GenericStringArray::<O>::try_new(
            offsets, bytes, nulls,
        )?))
    }

    fn reason(&self) -> &'static str {
        "text"
    }

    fn expected(&self) -> String {
        "less than 2 GiB of text in a batch".to_string()
    }

    fn is_text(&self) -> bool {
        true
    }

    fn json(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        push_json(self, json)
    }
}

/// A dictionary that grows past one of these starts again with the next batch.
const MOST_WORDS: usize = 1 << 16;
const MOST_WORD_BYTES: usize = 4 << 20;

/// Few texts, each written once. The words are kept from batch to batch and their array is shared, so that whoever
/// looks words up need do so only once.
struct Words {
    keys: Vec<i32>,
    nulls: NullBufferBuilder,
    words: Texts<i32>,
    index: HashTable<u32>,
    shared: Option<StringArray>,
}

impl Words {
    fn new() -> Self {
        Self {
            keys: Vec::new(),
            nulls: NullBufferBuilder::new(0),
            words: Texts::new(),
            index: HashTable::new(),
            shared: None,
        }
    }

    fn word(&mut self, text: &[u8]) -> Option<i32> {
        let words = &self.words;
        let found = self
            .index
            .find(xxh3_64(text), |&at| words.get(at as usize) == text);
        if let Some(at) = found {
            return Some(*at as i32);
        }
        let at = self.words.len() as u32;
        if !self.words.push(text) {
            return None;
        }
        let words = &self.words;
        self.index
            .insert_unique(xxh3_64(text), at, |&at| xxh3_64(words.get(at as usize)));
        Some(at as i32)
    }

    fn array(&mut self) -> Result<StringArray> {
        match &self.shared {
            Some(array) if array.len() == self.words.len() => Ok(array.clone()),
            _ => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(self.words.offsets.clone()));
                let bytes = Buffer::from_slice_ref(&self.words.bytes);
                let array = StringArray::try_new(offsets, bytes, None)?;
                self.shared = Some(array.clone());
                Ok(array)
            }
        }
    }
}

impl Column for Words {
    fn len(&self) -> usize {
        self.keys.len()
    }

    fn null(&mut self) {
        catch_up(&mut self.nulls, self.keys.len());
        self.nulls.append_null();
        self.keys.push(0);
    }

    #[inline]
    fn push(&mut self, text: &[u8]) -> bool {
        match self.word(text) {
            Some(key) => {
                self.keys.push(key);
                true
            }
            None => false,
        }
    }

    fn truncate(&mut self, rows: usize) {
        self.keys.truncate(rows);
        shorten(&mut self.nulls, rows);
    }

    fn ends_in_null(&self) -> bool {
        is_null(&self.nulls, self.keys.len())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let keys = std::mem::take(&mut self.keys);
        let nulls = complete(&mut self.nulls, keys.len());
        let keys = Int32Array::try_new(keys.into(), nulls)?;
        let words = self.array()?;
        if self.words.len() > MOST_WORDS || self.words.bytes.len() > MOST_WORD_BYTES {
            *self = Self::new();
        }
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(
            keys,
            Arc::new(words),
        )?))
    }

    fn reason(&self) -> &'static str {
        "text"
    }

    fn expected(&self) -> String {
        "less than 2 GiB of text in a batch".to_string()
    }

    fn is_text(&self) -> bool {
        true
    }

    fn json(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        push_json(self, json)
    }
}

/// A builder for a column of text.
pub(super) fn column(data_type: &DataType) -> Option<Box<dyn Column>> {
    fn text<O: OffsetSizeTrait>() -> Box<dyn Column> {
        Box::new(Text::<O> {
            texts: Texts::new(),
            nulls: NullBufferBuilder::new(0),
        })
    }
    match data_type {
        DataType::Utf8 => Some(text::<i32>()),
        DataType::LargeUtf8 => Some(text::<i64>()),
        DataType::Dictionary(key, value)
            if **key == DataType::Int32 && **value == DataType::Utf8 =>
        {
            Some(Box::new(Words::new()))
        }
        _ => None,
    }
}
