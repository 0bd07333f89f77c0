//! Rows that a program pushes in: a source component of its own, fed through a bounded channel.

use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use crossbeam_channel::{Receiver, Sender, bounded};
use dataflow_core::component::{Build, Component, Info};
use dataflow_core::transform::Port;
use dataflow_core::{
    Batch, Cutter, Decoded, Error, Piece, Place, Places, Reader, Result, Source, Split, Wanted,
};

/// Batches that wait to be read.
const AHEAD: usize = 4;

/// Pushes rows into a running pipeline; dropping it ends the input.
pub struct Pusher {
    sender: Sender<RecordBatch>,
    schema: SchemaRef,
}

impl Pusher {
    /// Pushes rows; waits while the pipeline is busy.
    ///
    /// # Errors
    /// When the columns are not the declared ones, or the run has ended.
    pub fn push(&self, rows: RecordBatch) -> Result<()> {
        if rows.schema().fields() != self.schema.fields() {
            return Err(Error::data(
                "the rows that were pushed have other columns than the source was declared with",
            ));
        }
        self.sender
            .send(rows)
            .map_err(|_| Error::data("the run that these rows were pushed into has ended"))
    }
}

/// A source whose rows are pushed in: add the component to a [`Catalog`](crate::Catalog) and write `type = "<name>"`.
///
/// It can feed one run of one pipeline.
pub fn push(name: &'static str, schema: SchemaRef) -> (Pusher, Component) {
    let (sender, receiver) = bounded(AHEAD);
    let shared = Arc::new(Shared {
        receiver,
        taken: Mutex::new(Vec::new()),
    });
    let (made, ports) = (Arc::clone(&shared), vec![Port::main(Arc::clone(&schema))]);
    let info = Info {
        name,
        summary: "Takes rows that a program pushes in",
        manual: "Rows come from the program that runs the pipeline.",
        ..Info::EMPTY
    };
    let build = Build::Source(Arc::new(move |_, _| {
        Some(Arc::new(PushSource {
            shared: Arc::clone(&made),
            ports: ports.clone(),
        }) as Arc<dyn Source>)
    }));
    (
        Pusher { sender, schema },
        Component {
            tables: &[],
            info,
            schema: None,
            build,
        },
    )
}

struct Shared {
    receiver: Receiver<RecordBatch>,
    /// Batches between cutter and reader, by number. They are few: admission sees to that.
    taken: Mutex<Vec<(u64, RecordBatch)>>,
}

struct PushSource {
    shared: Arc<Shared>,
    ports: Vec<Port>,
}

impl Source for PushSource {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn narrow(self: Arc<Self>, _: &Wanted) -> Arc<dyn Source> {
        self
    }

    fn live(&self) -> bool {
        true
    }

    fn splits(&self) -> Result<Vec<Split>> {
        Ok(vec![Split {
            name: "pushed rows".into(),
            bytes: None,
            rows: None,
        }])
    }

    fn cutter(&self, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        Ok(Box::new(PushCutter {
            shared: Arc::clone(&self.shared),
            split,
            next: first,
            number: 0,
        }))
    }

    fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(PushReader {
            shared: Arc::clone(&self.shared),
            rows: None,
            at: 0,
        }))
    }
}

struct PushCutter {
    shared: Arc<Shared>,
    split: usize,
    next: Place,
    number: u64,
}

impl Cutter for PushCutter {
    fn next(&mut self) -> Result<Option<Piece>> {
        let Ok(rows) = self.shared.receiver.recv() else {
            return Ok(None);
        };
        let count = rows.num_rows() as u64;
        let piece = Piece {
            split: self.split,
            first: self.next,
            rows: Some(count),
            start: self.number,
            end: self.number + 1,
            text: None,
            bytes: rows.get_array_memory_size(),
            input_bytes: 0,
            unfinished: false,
        };
        if let Ok(mut taken) = self.shared.taken.lock() {
            taken.push((self.number, rows));
        }
        self.number += 1;
        self.next = Place(self.next.0 + count);
        Ok(Some(piece))
    }
}

struct PushReader {
    shared: Arc<Shared>,
    rows: Option<(Place, RecordBatch)>,
    at: usize,
}

impl Reader for PushReader {
    fn open(&mut self, piece: Piece) -> Result<()> {
        let mut taken = self
            .shared
            .taken
            .lock()
            .map_err(|_| Error::internal("pushed rows were lost"))?;
        let found = taken.iter().position(|(number, _)| *number == piece.start);
        let (_, rows) = found
            .map(|at| taken.swap_remove(at))
            .ok_or_else(|| Error::internal("pushed rows were lost"))?;
        self.rows = Some((piece.first, rows));
        self.at = 0;
        Ok(())
    }

    fn next(&mut self, limit: usize) -> Result<Option<Decoded>> {
        let Some((first, rows)) = &self.rows else {
            return Ok(None);
        };
        let length = limit.min(rows.num_rows() - self.at);
        if length == 0 {
            self.rows = None;
            return Ok(None);
        }
        let places = Places::From(Place(first.0 + self.at as u64));
        let batch = Batch::new(rows.slice(self.at, length)).with_places(places);
        self.at += length;
        Ok(Some(Decoded {
            batches: vec![(0, batch)],
            bad: Vec::new(),
        }))
    }
}
