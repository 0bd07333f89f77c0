//! Cutting a file of samples: by arithmetic, or, where they are compressed, by reading them in their order.

use std::sync::Arc;

use bytes::Bytes;
use dataflow_core::{Cutter, Error, Piece, Place, Result};

use super::packed::Unpacked;
use super::{Plan, packed};
use crate::file_bytes::FileBytes;

/// The most rows of a piece.
const PIECE_ROWS: u64 = 65_536;
/// The bytes that a piece should not pass.
const PIECE_BYTES: u64 = 8 << 20;

/// Walks the rows of a file.
pub(super) struct Pieces {
    plan: Arc<Plan>,
    split: usize,
    first: Place,
    next: u64,
    piece_rows: u64,
    /// The bytes of the file that pieces so far stand for.
    told: u64,
    /// Set where rows must be read in their order.
    streams: Option<Streams>,
}

impl Pieces {
    pub fn new(plan: Arc<Plan>, split: usize, first: Place) -> Result<Self> {
        if first.row().saturating_add(plan.samples.rows) > Place::MAX_ROWS {
            return Err(
                Error::data(format!("a file has more than {} rows", Place::MAX_ROWS))
                    .file(&*plan.path)
                    .help("cut the file into several"),
            );
        }
        let fitting = PIECE_BYTES / plan.row_bytes().max(1) as u64;
        let streams = plan.is_packed().then(|| Streams::new(&plan));
        Ok(Self {
            streams: streams.transpose()?,
            piece_rows: fitting.clamp(1, PIECE_ROWS),
            plan,
            split,
            first,
            next: 0,
            told: 0,
        })
    }

    fn input_bytes(&mut self, end: u64) -> u64 {
        let total = u128::from(self.plan.samples.stamp.bytes);
        let rows = u128::from(self.plan.samples.rows.max(1));
        let reached = (total * u128::from(end) / rows) as u64;
        let piece = reached.saturating_sub(self.told);
        self.told = reached;
        piece
    }
}

impl Cutter for Pieces {
    fn next(&mut self) -> Result<Option<Piece>> {
        if self.next >= self.plan.end {
            return Ok(None);
        }
        let start = self.next;
        let end = self.plan.end.min(start + self.piece_rows);
        self.next = end;
        let rows = (end - start) as usize;
        let text = match &mut self.streams {
            Some(streams) => Some(streams.rows(&self.plan, start, rows)?),
            None => None,
        };
        let copies = 1 + usize::from(text.is_some());
        Ok(Some(Piece {
            split: self.split,
            first: Place(self.first.0 + start),
            rows: Some(end - start),
            start,
            end,
            text,
            bytes: copies * rows * self.plan.row_bytes(),
            input_bytes: self.input_bytes(end),
            unfinished: false,
        }))
    }
}

/// The regions in use, side by side.
struct Streams {
    bytes: FileBytes,
    /// As many as regions in use; none where a region is not compressed.
    unpacked: Vec<Option<Unpacked>>,
}

impl Streams {
    fn new(plan: &Plan) -> Result<Self> {
        let bytes = plan.open()?;
        let unpacked = plan.regions.iter().map(|&at| {
            let region = &plan.samples.regions[at];
            let packed = region.packed.as_ref();
            packed.map(|packed| packed::Unpacked::new(&bytes, packed, region.start, &plan.path))
        });
        let unpacked = unpacked.map(Option::transpose).collect::<Result<_>>()?;
        Ok(Self { bytes, unpacked })
    }

    /// The next rows: those of one region behind those of the other.
    fn rows(&mut self, plan: &Plan, start: u64, rows: usize) -> Result<Bytes> {
        let mut all = vec![0; rows * plan.row_bytes()];
        let mut from = 0;
        for (&at, unpacked) in plan.regions.iter().zip(&mut self.unpacked) {
            let length = rows * plan.samples.regions[at].frame;
            let into = &mut all[from..from + length];
            match unpacked {
                Some(unpacked) => unpacked.read(into, &plan.path)?,
                None => plan.read(&self.bytes, at, start, into)?,
            }
            from += length;
        }
        Ok(all.into())
    }
}
