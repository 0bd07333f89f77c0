//! A sink as the last stage: writes in order, prepares at the end, and leaves the commit to the end of the run.

use std::sync::{Arc, Mutex};

use dataflow_core::error::Fault;
use dataflow_core::sink::Receipt;
use dataflow_core::{Batch, Flow, Output, Result, Stage, Writer};

use crate::abort::lock;

/// A sink that has everything and waits for the permission to make it visible.
pub struct Prepared {
    /// The component's index in the plan.
    pub node: usize,
    /// Its id.
    pub id: Arc<str>,
    /// The writer.
    pub writer: Box<dyn Writer>,
    /// What it has ready.
    pub receipt: Receipt,
}

/// All sinks that are prepared.
pub type PreparedSinks = Arc<Mutex<Vec<Prepared>>>;

/// Writes to one sink, until whoever reads its output has closed it.
pub struct Writing {
    node: usize,
    id: Arc<str>,
    writer: Option<Box<dyn Writer>>,
    prepared: PreparedSinks,
}

impl Writing {
    /// A stage that writes with `writer` and hands it over when all rows are in.
    pub fn new(
        node: usize,
        id: Arc<str>,
        writer: Result<Box<dyn Writer>>,
        prepared: PreparedSinks,
    ) -> Result<Self> {
        Ok(Self {
            node,
            id,
            writer: unless_closed(writer)?,
            prepared,
        })
    }
}

/// What was done, or nothing if whoever reads the output has closed it.
pub fn unless_closed<T>(done: Result<T>) -> Result<Option<T>> {
    match done {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.fault() == Fault::Closed => Ok(None),
        Err(error) => Err(error),
    }
}

impl Stage for Writing {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        if let Some(writer) = self.writer.as_mut()
            && unless_closed(writer.write(&batch))?.is_none()
        {
            self.writer = None;
        }
        Ok(match self.writer {
            Some(_) => Flow::Ready,
            None => Flow::Done,
        })
    }

    fn on_end(&mut self, _: &mut dyn Output) -> Result<Flow> {
        if let Some(mut writer) = self.writer.take()
            && let Some(receipt) = unless_closed(writer.prepare())?
        {
            let (node, id) = (self.node, Arc::clone(&self.id));
            lock(&self.prepared).push(Prepared {
                node,
                id,
                writer,
                receipt,
            });
        }
        Ok(Flow::Ready)
    }
}
