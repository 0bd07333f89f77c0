//! Rows of an output as an iterator: the run waits while nobody takes them.

use std::sync::Arc;

use arrow_array::RecordBatch;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use dataflow_core::error::Fault;
use dataflow_core::sink::Receipt;
use dataflow_core::{Batch, Error, Result, Sink, SinkContext, Writer};

/// Batches that wait for whoever pulls.
const AHEAD: usize = 2;

/// The batches of an output, in its defined order.
pub struct Batches {
    receiver: Receiver<RecordBatch>,
}

impl Iterator for Batches {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        self.receiver.recv().ok()
    }
}

/// A sink that hands rows to an iterator.
pub(crate) struct PullSink {
    sender: std::sync::Mutex<Option<Sender<RecordBatch>>>,
    stopped: Receiver<()>,
}

/// The two ends. Nobody sends on `stopped`; it is closed when the run is stopped, and whoever waits to hand rows over
/// waits no longer.
pub(crate) fn pull(stopped: Receiver<()>) -> (Arc<dyn Sink>, Batches) {
    let (sender, receiver) = bounded(AHEAD);
    (
        Arc::new(PullSink {
            sender: std::sync::Mutex::new(Some(sender)),
            stopped,
        }),
        Batches { receiver },
    )
}

impl Sink for PullSink {
    fn open(&self, _: &SinkContext) -> Result<Box<dyn Writer>> {
        let sender = self.sender.lock().ok().and_then(|mut sender| sender.take());
        Ok(Box::new(PullWriter {
            sender,
            stopped: self.stopped.clone(),
            receipt: Receipt::default(),
        }))
    }
}

struct PullWriter {
    sender: Option<Sender<RecordBatch>>,
    stopped: Receiver<()>,
    receipt: Receipt,
}

impl Writer for PullWriter {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        self.receipt.rows += batch.len() as u64;
        let Some(sender) = &self.sender else {
            return Err(Error::internal("rows came after the end"));
        };
        select! {
            send(sender, batch.rows().clone()) -> sent => sent.map_err(|_| {
                Error::new(
                    Fault::Stopped,
                    "the rows of this output were dropped before they were all taken",
                )
                .help("take all batches, or stop the run first")
            }),
            recv(self.stopped) -> _ => Err(Error::new(Fault::Stopped, "the run was stopped")),
        }
    }

    fn prepare(&mut self) -> Result<Receipt> {
        self.sender = None;
        Ok(self.receipt.clone())
    }

    fn commit(&mut self) -> Result<()> {
        Ok(())
    }
}
