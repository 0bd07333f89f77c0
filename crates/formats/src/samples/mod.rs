//! What formats of samples share: rows of equal length, found by their number, read by range and only where they are wanted.
//!
//! A format says where the numbers of a file are ([`Samples`]); cutting is then arithmetic, and a reader asks the system for the
//! very bytes of a piece. Where numbers are stored as the machine has them, these bytes are the column.

pub(crate) mod number;
mod packed;
mod pieces;
mod reader;

use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow_core::{Cutter, Error, Place, Result, Sampling};

use crate::convert::{Shaping, logical_schema, wanted_columns};
use crate::file_bytes::{FileBytes, Stamp};
use crate::{InputFile, Inspected, PieceReader, Reading, Request};
use number::Stored;
pub(crate) use packed::{Packed, inflated};

/// The most columns that a file of samples may have. A header that says more lies, or its axes are meant the other way round.
pub(crate) const MOST_COLUMNS: u64 = 4_096;

/// A part of a file in which frames follow one another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Region {
    /// Where the first frame begins.
    pub start: u64,
    /// The bytes of a frame.
    pub frame: usize,
    /// Set if the frames are compressed; `start` counts what comes out then.
    pub packed: Option<Packed>,
}

/// A column: a number of each frame.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Channel {
    pub name: String,
    /// The index of its region.
    pub region: usize,
    /// Where in the frame its number is.
    pub at: usize,
    pub stored: Stored,
}

/// Where the samples of a file are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Samples {
    /// As it was when that was found out.
    pub stamp: Stamp,
    pub regions: Vec<Region>,
    pub channels: Vec<Channel>,
    pub rows: u64,
    /// What the file says of the time between them.
    pub sampling: Option<Sampling>,
}

impl Samples {
    fn names(&self) -> Vec<&str> {
        self.channels.iter().map(|c| c.name.as_str()).collect()
    }

    fn types(&self) -> Vec<DataType> {
        let types = self.channels.iter().map(|c| c.stored.data_type());
        types.collect()
    }

    /// Its columns as people see them.
    pub fn inspected(&self) -> Inspected {
        let fields = self.names().into_iter().zip(self.types());
        let fields = fields.map(|(name, data_type)| Field::new(name, data_type, true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        Inspected {
            schema: logical_schema(&schema, |_| false),
            rows: Some(self.rows),
            sampling: self.sampling,
        }
    }
}

/// How many whole frames there are between two places of a file.
///
/// # Errors
/// When bytes are left over: the layout is not what was said, or the file is not complete.
pub(crate) fn whole_frames(path: &str, start: u64, end: u64, frame: usize) -> Result<u64> {
    let frame = frame as u64;
    let bytes = end.checked_sub(start).ok_or_else(|| {
        let what =
            format!("the file ends at byte {end}, before its samples, which begin at {start}");
        Error::data(what).file(path).byte(end)
    })?;
    if !bytes.is_multiple_of(frame) {
        let left = bytes % frame;
        let whole = end - left;
        let plural = if left == 1 { "" } else { "s" };
        let what = format!(
            "behind the last whole frame ({frame} bytes each) the file goes on for {left} byte{plural}"
        );
        return Err(Error::data(what)
            .file(path)
            .byte(whole)
            .help("check the type, the channels and the bytes to skip, or copy the file again if it is not complete"));
    }
    Ok(bytes / frame)
}

/// The bytes that samples take, if the file has them.
///
/// # Errors
/// When the header promises more than there is.
pub(crate) fn promised(path: &str, start: u64, rows: u64, frame: usize, end: u64) -> Result<()> {
    let needed = u128::from(rows) * frame as u128;
    if u128::from(start) + needed > u128::from(end) {
        let what =
            format!("the header promises {needed} bytes from byte {start}, but they end at {end}");
        return Err(Error::data(what)
            .file(path)
            .byte(end)
            .help("the file is cut off, or its header is damaged: copy it again"));
    }
    Ok(())
}

/// Finds out where the samples of a file are.
pub(crate) trait Layout: Send + Sync {
    fn layout(&self, file: &InputFile) -> Result<Samples>;
}

/// Prepares to read files of samples.
pub(crate) fn reading(layout: impl Layout + 'static, request: &Request) -> Arc<dyn Reading> {
    Arc::new(SamplesReading {
        plans: Arc::new(Plans {
            layout: Box::new(layout),
            target: wanted_columns(request),
            request: request.clone(),
            recent: Mutex::default(),
        }),
    })
}

struct SamplesReading {
    plans: Arc<Plans>,
}

impl Reading for SamplesReading {
    fn cutter(&self, file: &InputFile, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        let plan = self.plans.of(file)?;
        Ok(Box::new(pieces::Pieces::new(plan, split, first)?))
    }

    fn reader(&self) -> Box<dyn PieceReader> {
        Box::new(reader::Rows::new(Arc::clone(&self.plans)))
    }
}

/// What is read of one file.
struct Plan {
    path: Arc<str>,
    samples: Samples,
    shaping: Shaping,
    /// The regions of the columns in use, ascending.
    regions: Vec<usize>,
    /// Rows behind this one are not wanted.
    end: u64,
}

impl Plan {
    fn new(
        samples: Samples,
        path: &Arc<str>,
        request: &Request,
        target: &SchemaRef,
    ) -> Result<Self> {
        let (names, types) = (samples.names(), samples.types());
        // All columns are checked, so that whether a file fits does not depend on which columns are in use.
        Shaping::plan(Arc::clone(&request.columns), &names, &types, path)?;
        let shaping = Shaping::plan(Arc::clone(target), &names, &types, path)?;
        let used = shaping.used.iter().map(|&at| samples.channels[at].region);
        let mut regions: Vec<usize> = used.collect();
        regions.sort_unstable();
        regions.dedup();
        Ok(Self {
            path: Arc::clone(path),
            end: request.wanted.rows.unwrap_or(u64::MAX).min(samples.rows),
            regions,
            shaping,
            samples,
        })
    }

    fn open(&self) -> Result<FileBytes> {
        FileBytes::reopen(&self.path, &self.samples.stamp)
    }

    /// The bytes of a row in all regions in use.
    fn row_bytes(&self) -> usize {
        let regions = self.regions.iter();
        regions.map(|&at| self.samples.regions[at].frame).sum()
    }

    /// Whether some of what is wanted can only be read from its beginning.
    fn is_packed(&self) -> bool {
        let mut regions = self.regions.iter();
        regions.any(|&at| self.samples.regions[at].packed.is_some())
    }

    /// Reads rows of a region that is not compressed.
    fn read(&self, bytes: &FileBytes, region: usize, row: u64, into: &mut [u8]) -> Result<()> {
        let region = &self.samples.regions[region];
        let at = region.start + row * region.frame as u64;
        let read = bytes.all(into, at);
        read.map_err(|e| Error::io("read", &self.path, &e).byte(at))
    }
}

/// What is read, and the layouts of the files read last.
struct Plans {
    layout: Box<dyn Layout>,
    request: Request,
    target: SchemaRef,
    recent: Mutex<Vec<Arc<Plan>>>,
}

/// Readers work on neighbouring files, so a few layouts are enough.
const MOST_FILES: usize = 16;

impl Plans {
    fn of(&self, file: &InputFile) -> Result<Arc<Plan>> {
        let lock = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().iter().find(|f| f.path == file.path).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let samples = self.layout.layout(file)?;
        let plan = Plan::new(samples, &file.path, &self.request, &self.target)?;
        let plan = Arc::new(plan);
        let mut recent = lock();
        recent.push(Arc::clone(&plan));
        if recent.len() > MOST_FILES {
            recent.remove(0);
        }
        Ok(plan)
    }
}

#[cfg(test)]
pub(crate) mod testing;
