//! A source of rows that are in memory already: one split, rows in order.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use dataflow_core::source::{Cutter, Decoded, Piece, Reader, Source, Split, Wanted};
use dataflow_core::transform::Port;
use dataflow_core::{Batch, Error, Place, Places, Result};

/// Rows in memory, as a source. `--rows` and narrowing do not concern it: whoever makes it chose the rows.
#[derive(Clone, Debug)]
pub struct MemorySource {
    name: Arc<str>,
    ports: Vec<Port>,
    rows: RecordBatch,
}

impl MemorySource {
    /// These rows on the main output, which has their schema.
    pub fn new(name: impl Into<Arc<str>>, rows: RecordBatch) -> Self {
        let ports = vec![Port::main(rows.schema())];
        Self {
            name: name.into(),
            ports,
            rows,
        }
    }

    /// No rows on any of these outputs.
    pub fn empty(name: impl Into<Arc<str>>, ports: Vec<Port>) -> Self {
        let schema = ports.first().map_or_else(
            || SchemaRef::new(arrow_schema::Schema::empty()),
            |p| Arc::clone(&p.schema),
        );
        Self {
            name: name.into(),
            ports,
            rows: RecordBatch::new_empty(schema),
        }
    }

    /// With these rows, if any, on its main output.
    #[must_use]
    pub fn with_rows(mut self, rows: Option<RecordBatch>) -> Self {
        self.rows = rows.unwrap_or(self.rows);
        self
    }
}

impl Source for MemorySource {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn narrow(self: Arc<Self>, _: &Wanted) -> Arc<dyn Source> {
        self
    }

    fn splits(&self) -> Result<Vec<Split>> {
        Ok(vec![Split {
            name: Arc::clone(&self.name),
            bytes: None,
            rows: Some(self.rows.num_rows() as u64),
        }])
    }

    fn cutter(&self, _: usize, first: Place) -> Result<Box<dyn Cutter>> {
        let rows = self.rows.num_rows() as u64;
        let piece = Piece {
            split: 0,
            first,
            rows: Some(rows),
            start: 0,
            end: rows,
            text: None,
            bytes: Batch::new(self.rows.clone()).bytes(),
            input_bytes: 0,
            unfinished: false,
        };
        Ok(Box::new(OnePiece((rows > 0).then_some(piece))))
    }

    fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(Slices {
            rows: self.rows.clone(),
            first: Place::default(),
            start: 0,
            next: 0,
            end: 0,
        }))
    }
}

struct OnePiece(Option<Piece>);

impl Cutter for OnePiece {
    fn next(&mut self) -> Result<Option<Piece>> {
        Ok(self.0.take())
    }
}

struct Slices {
    rows: RecordBatch,
    /// The place of the piece's first row.
    first: Place,
    start: usize,
    next: usize,
    end: usize,
}

impl Reader for Slices {
    fn open(&mut self, piece: Piece) -> Result<()> {
        let row = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        if row(piece.end) > self.rows.num_rows() || piece.start > piece.end {
            return Err(Error::internal("a piece lies outside the rows in memory"));
        }
        self.first = piece.first;
        self.start = row(piece.start);
        self.next = self.start;
        self.end = row(piece.end);
        Ok(())
    }

    fn next(&mut self, rows: usize) -> Result<Option<Decoded>> {
        let length = rows.max(1).min(self.end - self.next);
        if length == 0 {
            return Ok(None);
        }
        let first = Place(self.first.0 + (self.next - self.start) as u64);
        let batch = Batch::new(self.rows.slice(self.next, length)).with_places(Places::From(first));
        self.next += length;
        Ok(Some(Decoded {
            batches: vec![(0, batch)],
            bad: Vec::new(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array};

    #[test]
    fn rows_come_in_order_with_their_places() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..5));
        let rows = RecordBatch::try_from_iter([("x", column)]).expect("rows");
        let source = MemorySource::new("test", rows);
        let mut cutter = source.cutter(0, Place(70)).expect("cuts");
        let piece = cutter.next().expect("cuts").expect("a piece");
        assert!(cutter.next().expect("cuts").is_none());
        let mut reader = source.reader().expect("reads");
        reader.open(piece).expect("opens");
        let mut lengths = Vec::new();
        while let Some(decoded) = reader.next(2).expect("reads") {
            let batch = &decoded.batches[0].1;
            lengths.push((batch.len(), batch.places().get(0)));
        }
        assert_eq!(
            lengths,
            [
                (2, Some(Place(70))),
                (2, Some(Place(72))),
                (1, Some(Place(74)))
            ]
        );
    }
}
