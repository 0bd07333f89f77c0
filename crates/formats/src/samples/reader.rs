//! Reading pieces of files of samples.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_schema::{Field, Schema};
use dataflow_core::{Batch, Decoded, Error, Piece, Place, Places, Result};

use super::number::{self, Strided};
use super::{Plan, Plans};
use crate::file_bytes::FileBytes;
use crate::{InputFile, PieceReader};

/// Reads pieces.
pub(super) struct Rows {
    plans: Arc<Plans>,
    file: Option<OpenFile>,
    buffers: Buffers,
    /// The rows of the piece that are left, and the place of the first one.
    left: Option<(Place, RecordBatch)>,
}

struct OpenFile {
    plan: Arc<Plan>,
    bytes: FileBytes,
}

impl Rows {
    pub fn new(plans: Arc<Plans>) -> Self {
        Self {
            plans,
            file: None,
            buffers: Buffers::default(),
            left: None,
        }
    }

    fn file(&mut self, file: &InputFile) -> Result<&OpenFile> {
        let same = |open: &OpenFile| open.plan.path == file.path;
        if !self.file.as_ref().is_some_and(same) {
            let plan = self.plans.of(file)?;
            let bytes = plan.open()?;
            self.file = Some(OpenFile { plan, bytes });
        }
        self.file
            .as_ref()
            .ok_or_else(|| Error::internal("an open file was lost"))
    }
}

impl PieceReader for Rows {
    fn open(&mut self, file: &InputFile, piece: Piece) -> Result<()> {
        self.left = None;
        let mut buffers = std::mem::take(&mut self.buffers);
        let open = self.file(file)?;
        let rows = open.rows(&piece, &mut buffers)?;
        self.buffers = buffers;
        self.left = Some((piece.first, rows));
        Ok(())
    }

    fn next(&mut self, rows: usize) -> Result<Option<Decoded>> {
        let Some((first, left)) = self.left.take() else {
            return Ok(None);
        };
        let most = left.num_rows().min(rows.max(1));
        if most == 0 {
            return Ok(None);
        }
        let some = left.slice(0, most);
        if most < left.num_rows() {
            let rest = left.slice(most, left.num_rows() - most);
            self.left = Some((Place(first.0 + most as u64), rest));
        }
        let batch = Batch::new(some).with_places(Places::From(first));
        Ok(Some(Decoded {
            batches: vec![(0, batch)],
            bad: Vec::new(),
        }))
    }
}

impl OpenFile {
    /// The rows of a piece.
    fn rows(&self, piece: &Piece, buffers: &mut Buffers) -> Result<RecordBatch> {
        let plan = &*self.plan;
        let rows = (piece.end - piece.start) as usize;
        let text = piece.text.as_ref().map(|text| Buffer::from(text.clone()));
        let mut from = 0;
        let mut regions = Vec::with_capacity(plan.regions.len());
        for &at in &plan.regions {
            let length = rows * plan.samples.regions[at].frame;
            regions.push(match &text {
                Some(text) => text.slice_with_length(from, length),
                None => self.read(at, piece.start, length, buffers)?,
            });
            from += length;
        }
        let decoded = decoded(plan, &regions, rows)?;
        plan.shaping.apply(&decoded, &plan.path, piece.start)
    }

    fn read(
        &self,
        region: usize,
        row: u64,
        length: usize,
        buffers: &mut Buffers,
    ) -> Result<Buffer> {
        let mut buffer = buffers.take(length);
        self.plan.read(&self.bytes, region, row, &mut buffer)?;
        Ok(buffers.keep(buffer.into()))
    }
}

/// The columns in use, of the bytes of their regions.
fn decoded(plan: &Plan, regions: &[Buffer], rows: usize) -> Result<RecordBatch> {
    let mut fields = Vec::with_capacity(plan.shaping.used.len());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(plan.shaping.used.len());
    for &at in &plan.shaping.used {
        let channel = &plan.samples.channels[at];
        let place = plan.regions.partition_point(|&r| r < channel.region);
        let from = Strided {
            buffer: &regions[place],
            from: channel.at,
            step: plan.samples.regions[channel.region].frame,
            count: rows,
        };
        columns.push(number::column(from, channel.stored));
        fields.push(Field::new(&channel.name, channel.stored.data_type(), true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// Buffers that were handed out as columns come back when nobody has them any more: new memory would be cleared first, and
/// that costs nearly as much as reading.
#[derive(Default)]
struct Buffers {
    lent: Vec<Buffer>,
}

/// As many as are on their way between a reader and whoever takes its batches.
const MOST_LENT: usize = 8;

impl Buffers {
    fn take(&mut self, length: usize) -> MutableBuffer {
        let mut back = None;
        let mut away = Vec::with_capacity(self.lent.len());
        for buffer in self.lent.drain(..) {
            match back {
                Some(_) => away.push(buffer),
                None => match buffer.into_mutable() {
                    Ok(free) if free.capacity() >= length => back = Some(free),
                    // Too small for this file.
                    Ok(_) => {}
                    Err(lent) => away.push(lent),
                },
            }
        }
        self.lent = away;
        let mut buffer = back.unwrap_or_else(|| MutableBuffer::new(length));
        buffer.resize(length, 0);
        buffer
    }

    fn keep(&mut self, buffer: Buffer) -> Buffer {
        if self.lent.len() == MOST_LENT {
            self.lent.remove(0);
        }
        self.lent.push(buffer.clone());
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_when_nobody_has_them() {
        let mut buffers = Buffers::default();
        let first = buffers.take(100).into();
        let first = buffers.keep(first);
        let address = first.as_ptr();
        let column = first.slice(8);
        drop(first);
        assert_ne!(buffers.take(100).as_ptr(), address);
        drop(column);
        assert_eq!(buffers.take(60).as_ptr(), address);
    }
}
