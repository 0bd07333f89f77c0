//! Puts the rows of a delta in the order of their keys, and keeps the last row of each.

use std::io;

use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave_record_batch;

use crate::content::keys;
use crate::manifest::Section;
use crate::rows::RowsWriter;
use crate::section::Segment;

/// The most rows of a batch that is written or handed out.
pub(crate) const MOST_ROWS: usize = 64 << 10;
/// About so many bytes are in a batch that is written or handed out, unless one row has more.
pub(crate) const BATCH_BYTES: usize = 256 << 10;

/// A row of some batches, with the beginning of its key, which decides most comparisons by itself.
#[derive(Clone, Copy)]
struct Entry {
    prefix: u64,
    batch: u32,
    row: u32,
}

/// Writes the rows of batches as one sorted run.
pub(crate) fn write_run(
    segment: &mut Segment,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> io::Result<Section> {
    let mut out = RowsWriter::begin(segment, schema)?;
    let step = rows_at_once(batches);
    if is_run(batches) {
        for batch in batches {
            for from in (0..batch.num_rows()).step_by(step) {
                out.write(&batch.slice(from, step.min(batch.num_rows() - from)))?;
            }
        }
        return out.finish();
    }
    let borrowed: Vec<&RecordBatch> = batches.iter().collect();
    for chunk in sorted(batches).chunks(step) {
        let places = chunk
            .iter()
            .map(|entry| (entry.batch as usize, entry.row as usize));
        let places: Vec<(usize, usize)> = places.collect();
        let rows = interleave_record_batch(&borrowed, &places).map_err(io::Error::other)?;
        out.write(&rows)?;
    }
    out.finish()
}

/// How many rows are about as many bytes as a batch should have.
pub(crate) fn rows_at_once(batches: &[RecordBatch]) -> usize {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let bytes: usize = batches.iter().map(bytes).sum();
    rows_within(BATCH_BYTES, rows, bytes)
}

/// How many of these rows fit into so many bytes.
pub(crate) fn rows_within(budget: usize, rows: usize, bytes: usize) -> usize {
    let each = bytes / rows.max(1);
    (budget / each.max(1)).clamp(1, MOST_ROWS)
}

/// The bytes of the rows of a batch, without what its buffers hold beside them.
pub(crate) fn bytes(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    let of = |column: &arrow_array::ArrayRef| column.to_data().get_slice_memory_size();
    columns.map(|column| of(column).unwrap_or(0)).sum()
}

/// Are the rows in the order of their keys already, each key once?
fn is_run(batches: &[RecordBatch]) -> bool {
    let mut last: Option<&[u8]> = None;
    for batch in batches {
        let keys = keys(batch);
        for row in 0..keys.len() {
            let key = keys.value(row);
            if last.is_some_and(|last| last >= key) {
                return false;
            }
            last = Some(key);
        }
    }
    true
}

/// The rows in the order of their keys, the last of each key.
fn sorted(batches: &[RecordBatch]) -> Vec<Entry> {
    let columns: Vec<_> = batches.iter().map(keys).collect();
    let key = |entry: &Entry| columns[entry.batch as usize].value(entry.row as usize);
    let mut entries = Vec::new();
    for (batch, column) in columns.iter().enumerate() {
        // A batch has at most 2^31 rows, since the offsets of its keys have 32 bits.
        entries.extend((0..column.len()).map(|row| Entry {
            prefix: prefix(column.value(row)),
            batch: batch as u32,
            row: row as u32,
        }));
    }
    entries.sort_unstable_by(|a, b| {
        let keys = a.prefix.cmp(&b.prefix).then_with(|| key(a).cmp(key(b)));
        keys.then_with(|| (a.batch, a.row).cmp(&(b.batch, b.row)))
    });
    // Of equal keys the last is left: the others give way to the one behind them.
    entries.dedup_by(|next, kept| {
        let same = next.prefix == kept.prefix && key(next) == key(kept);
        if same {
            *kept = *next;
        }
        same
    });
    entries
}

/// The first eight bytes of a key as a number of the same order; a shorter key is the smaller one, or decided by its rest.
fn prefix(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    let taken = key.len().min(8);
    first[..taken].copy_from_slice(&key[..taken]);
    u64::from_be_bytes(first)
}
