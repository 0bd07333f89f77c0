//! The source family: cutting an input into pieces in order, and reading pieces anywhere.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::check::Value;
use crate::order::key_hash;
use crate::stage::BadRow;
use crate::time::{Instant, TimeRule};
use crate::transform::Port;
use crate::units::Rate;
use crate::{Batch, Place, Result};

/// Where rows come from, checked: headers may have been read, data not.
///
/// A source is read in two steps, so that order and parallel work go together. A [`Cutter`] walks one split from its
/// start to its end and cuts it into pieces at record ends, counting rows; it does as little as that needs. Any worker's
/// [`Reader`] turns a piece into batches.
pub trait Source: Send + Sync {
    /// The outputs; the first is the main one. `errors` is not listed.
    fn ports(&self) -> &[Port];

    /// The same source, reading less: only the wanted columns of the main output, skipping what the predicate excludes.
    /// A source that cannot read less returns itself.
    fn narrow(self: Arc<Self>, wanted: &Wanted) -> Arc<dyn Source>;

    /// The splits (files) in their order.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn splits(&self) -> Result<Vec<Split>>;

    /// Whether splits come while it is read: then it has no end of its own.
    fn grows(&self) -> bool {
        false
    }

    /// Waits for splits that come while it is read, where it grows. Those that come have the indices behind all that there are.
    ///
    /// # Errors
    /// When it cannot be known that one comes.
    fn arrivals(&self) -> Result<Option<Box<dyn Arrivals>>> {
        Ok(None)
    }

    /// Starts to cut split `split` (its index) into pieces. `first` is the place of its first row.
    ///
    /// # Errors
    /// When it cannot be opened, or its columns are not the expected ones.
    fn cutter(&self, split: usize, first: Place) -> Result<Box<dyn Cutter>>;

    /// A reader of pieces; each reading thread has its own.
    ///
    /// # Errors
    /// When it cannot be made.
    fn reader(&self) -> Result<Box<dyn Reader>>;

    /// Whether rows can be read only once, when they come, as those of a pipe: then nobody looks at them before their turn.
    fn live(&self) -> bool {
        false
    }

    /// How many rows may leave in a second at most; none for as many as are taken. Who runs the source sees to it; the rows are
    /// the same.
    fn rate(&self) -> Option<Rate> {
        None
    }

    /// How late rows may be, if the rows of the main output have event time.
    fn time(&self) -> Option<TimeRule> {
        None
    }

    /// An instant such that every older row of a split is late, found without reading the whole split; the end of time
    /// for a split without rows, none if nothing is known.
    ///
    /// # Errors
    /// When the split cannot be read.
    fn lower_bound(&self, split: usize) -> Result<Option<Instant>> {
        let _ = split;
        Ok(None)
    }

    /// The least value of a column of numbers or times in a split, in the column's own unit, if the split says so without
    /// its rows being read. It may be less than the least, but never greater; the greatest number for a split without values.
    ///
    /// # Errors
    /// When the split cannot be read, or its columns are not the expected ones.
    fn minimum(&self, split: usize, column: &str) -> Result<Option<i64>> {
        let _ = (split, column);
        Ok(None)
    }

    /// What a split begins with, of its first `most` bytes or of all if it has fewer: a file that was put in the place of another is told
    /// by that. None if it is not known.
    ///
    /// # Errors
    /// When the split cannot be read.
    fn head(&self, split: usize, most: u64) -> Result<Option<Head>> {
        let _ = (split, most);
        Ok(None)
    }

    /// What was noticed of the rows that were read and is no error, and how often: for the closing report. Each is told once.
    fn remarks(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    /// Other rows with the same columns, with what this source adds to its rows: what a test of a pipeline puts in its place.
    fn stand_in(&self, rows: Arc<dyn Source>) -> Arc<dyn Source> {
        rows
    }

    /// A line for `explain`: what is read and what is skipped.
    fn explain(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What is wanted of a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The columns in use; none means all.
    pub columns: Option<Vec<String>>,
    /// Rows that fail one of these may be skipped, or not: whoever wants them excluded filters again.
    pub predicate: Vec<Comparison>,
    /// At most so many rows (`--rows`).
    pub rows: Option<u64>,
}

/// `column op value`, for skipping by statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The column.
    pub column: String,
    /// The comparison.
    pub operator: Operator,
    /// The constant (unused by the null tests).
    pub value: Value,
}

/// A comparison that statistics can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `is null`
    IsNull,
    /// `is not null`
    IsNotNull,
}

/// A part of a source that has an order of its own: a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Its name as people know it: the path.
    pub name: Arc<str>,
    /// Its size in bytes, if that is known.
    pub bytes: Option<u64>,
    /// Its rows, if that is known without reading.
    pub rows: Option<u64>,
}

/// Waits for splits that come while a source is read; it blocks, on a thread of its own.
pub trait Arrivals: Send {
    /// The splits that have come, in their order; none when no more come, or when the waiting was ended.
    ///
    /// # Errors
    /// When it cannot be known any more that one comes.
    fn next(&mut self) -> Result<Option<Vec<Split>>>;

    /// Ends the waiting, from another thread.
    fn ending(&self) -> Box<dyn FnOnce() + Send>;
}

/// What a split begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// How many bytes were looked at.
    pub bytes: u64,
    /// Their hash, [`key_hash`].
    pub hash: u64,
}

impl Head {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            hash: key_hash(bytes),
        }
    }
}

/// A piece of a split, as data that can be sent to any worker.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The split's index in the source.
    pub split: usize,
    /// The place of the first row.
    pub first: Place,
    /// How many rows, if the cutter knows (bad ones included).
    pub rows: Option<u64>,
    /// Where it starts; what the number counts is the source's own business.
    pub start: u64,
    /// Where it ends (exclusive).
    pub end: u64,
    /// The bytes themselves, where the cutter had to read them anyway.
    pub text: Option<Bytes>,
    /// An estimate of the memory that the decoded rows need, text included.
    pub bytes: usize,
    /// Bytes of the input that this piece stands for, for progress.
    pub input_bytes: u64,
    /// Whether its last row would be another one if more were written behind it, since nothing ends it but the end of the file.
    pub unfinished: bool,
}

/// Cuts one split into pieces, in order. May block (a pipe); it runs on a thread of its own.
pub trait Cutter: Send {
    /// The next piece, or none at the split's end.
    ///
    /// # Errors
    /// When the input cannot be read or is not what it claims to be.
    fn next(&mut self) -> Result<Option<Piece>>;
}

/// Turns pieces into batches. Consecutive pieces of one split usually come to one reader, which may keep files open.
pub trait Reader: Send {
    /// Starts on a piece; the piece before it was read to its end or is abandoned.
    ///
    /// # Errors
    /// When it cannot be read.
    fn open(&mut self, piece: Piece) -> Result<()>;

    /// At most `rows` further rows of the piece, or none at its end. Places are set.
    ///
    /// # Errors
    /// When the bytes are not what they claim to be; bad *rows* are no errors.
    fn next(&mut self, rows: usize) -> Result<Option<Decoded>>;
}

/// Some rows of a piece.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Rows and the index of the port that they belong to.
    pub batches: Vec<(usize, Batch)>,
    /// Rows that could not be read.
    pub bad: Vec<BadRow>,
}
