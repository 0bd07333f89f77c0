//! The `generate` source at work: ranges of rows, cut on a fixed grid and made anywhere.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use dataflow_core::transform::Port;
use dataflow_core::units::Rate;
use dataflow_core::{
    Batch, Cutter, Decoded, Error, Piece, Place, Places, Reader, Result, Sampling, Source, Split,
    Wanted,
};

use super::column::Column;

/// Rows of a piece. A multiple of the usual batch, and enough work to be worth handing out.
const PIECE_ROWS: u64 = 65_536;

/// Generated rows.
#[derive(Clone)]
pub(crate) struct GenerateSource {
    columns: Arc<[Column]>,
    /// How many columns there are when all are wanted.
    all: usize,
    rows: u64,
    rate: Option<Rate>,
    title: String,
    ports: [Port; 1],
}

fn schema_of(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(
        columns.iter().map(Column::field).collect::<Vec<_>>(),
    ))
}

impl GenerateSource {
    pub(super) fn new(columns: Vec<Column>, rows: u64, rate: Option<Rate>, title: String) -> Self {
        Self {
            ports: [Port::main(schema_of(&columns))],
            all: columns.len(),
            columns: columns.into(),
            rows,
            rate,
            title,
        }
    }

    /// The same rows as samples of a signal.
    pub(super) fn sampled(mut self, sampling: Option<Sampling>) -> Self {
        let [main] = self.ports;
        self.ports = [main.sampled(sampling.map(|sampling| sampling.numbered(true)))];
        self
    }

    /// How its rows sample a signal.
    pub(crate) fn sampling(&self) -> Option<Sampling> {
        self.ports[0].sampling
    }

    /// The same rows, with fewer columns or fewer of them.
    pub(crate) fn narrowed(&self, wanted: &Wanted) -> Self {
        let kept = |column: &&Column| match &wanted.columns {
            Some(names) => names.contains(&column.name),
            None => true,
        };
        let columns: Vec<Column> = self.columns.iter().filter(kept).cloned().collect();
        let rows = self.rows.min(wanted.rows.unwrap_or(self.rows));
        Self {
            all: self.all,
            ..Self::new(columns, rows, self.rate, self.title.clone()).sampled(self.sampling())
        }
    }

    /// The columns.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.ports[0].schema)
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// How many rows a piece has: fewer where they are paced, so that they flow evenly.
    fn piece_rows(&self) -> u64 {
        match self.rate {
            Some(rate) => ((rate.per_second / 10.0) as u64).clamp(1, PIECE_ROWS),
            None => PIECE_ROWS,
        }
    }

    pub(crate) fn cut(&self, split: usize, first: Place) -> Cut {
        let width: usize = self.columns.iter().map(|c| c.width).sum();
        Cut {
            split,
            first,
            rows: self.rows,
            piece_rows: self.piece_rows(),
            width,
            next: 0,
        }
    }

    pub(crate) fn read(&self) -> Rows {
        Rows {
            columns: Arc::clone(&self.columns),
            schema: self.schema(),
            open: None,
        }
    }
}

impl Source for GenerateSource {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn narrow(self: Arc<Self>, wanted: &Wanted) -> Arc<dyn Source> {
        Arc::new(self.narrowed(wanted))
    }

    fn splits(&self) -> Result<Vec<Split>> {
        Ok(vec![Split {
            name: "generated".into(),
            bytes: None,
            rows: Some(self.rows),
        }])
    }

    fn cutter(&self, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        Ok(Box::new(self.cut(split, first)))
    }

    fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.read()))
    }

    fn rate(&self) -> Option<Rate> {
        self.rate
    }

    fn explain(&self) -> Vec<String> {
        let pace = self.rate.map_or(String::new(), |r| format!(", at {r}"));
        vec![
            format!("generates {} rows ({}){pace}", self.rows, self.title),
            format!("makes {} of {} columns", self.columns.len(), self.all),
        ]
    }
}

/// Cuts generated rows at multiples of a fixed number.
pub(crate) struct Cut {
    split: usize,
    first: Place,
    rows: u64,
    piece_rows: u64,
    width: usize,
    next: u64,
}

impl Cutter for Cut {
    fn next(&mut self) -> Result<Option<Piece>> {
        if self.next >= self.rows {
            return Ok(None);
        }
        let start = self.next;
        let end = self.rows.min(start + self.piece_rows);
        self.next = end;
        Ok(Some(Piece {
            split: self.split,
            first: Place(self.first.0 + start),
            rows: Some(end - start),
            start,
            end,
            text: None,
            bytes: (end - start) as usize * self.width + 64,
            input_bytes: 0,
            unfinished: false,
        }))
    }
}

/// Makes the rows of pieces.
pub(crate) struct Rows {
    columns: Arc<[Column]>,
    schema: SchemaRef,
    open: Option<(Place, Range<u64>)>,
}

impl Rows {
    pub(crate) fn open(&mut self, piece: &Piece) {
        self.open = Some((piece.first, piece.start..piece.end));
    }

    pub(crate) fn next_batch(&mut self, rows: usize) -> Result<Option<Batch>> {
        let Some((place, left)) = &mut self.open else {
            return Err(Error::internal("rows were asked of no piece"));
        };
        if left.is_empty() {
            return Ok(None);
        }
        let end = left.end.min(left.start + rows.max(1) as u64);
        let range = left.start..end;
        let count = (end - left.start) as usize;
        let arrays = self.columns.iter().map(|c| c.make(range.clone())).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let made = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?;
        let batch = Batch::new(made).with_places(Places::From(*place));
        *place = Place(place.0 + count as u64);
        left.start = end;
        Ok(Some(batch))
    }
}

impl Reader for Rows {
    fn open(&mut self, piece: Piece) -> Result<()> {
        Rows::open(self, &piece);
        Ok(())
    }

    fn next(&mut self, rows: usize) -> Result<Option<Decoded>> {
        let batch = self.next_batch(rows)?;
        Ok(batch.map(|batch| Decoded {
            batches: vec![(0, batch)],
            bad: Vec::new(),
        }))
    }
}
