//! A sink as the last stage: writes in order, prepares at the end, and leaves the commit to the end of the run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dataflow_core::error::Fault;
use dataflow_core::saved::Save;
use dataflow_core::sink::{Receipt, place_of};
use dataflow_core::{Batch, Error, Flow, Moment, Output, Result, Stage, Writer};

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

/// That no file would be written twice: with columns' values in paths, this is known when all rows are in.
///
/// # Errors
/// When two sinks, or one sink for two of its values, have the same file ready.
pub fn check_apart(prepared: &[Prepared]) -> Result<()> {
    let mut taken = BTreeMap::new();
    for sink in prepared {
        for file in &sink.receipt.files {
            let Some(first) = taken.insert(place_of(&file.path), &sink.id) else {
                continue;
            };
            let message = if *first == sink.id {
                "two values of a column in `path` give the same file".to_string()
            } else {
                format!("`{first}` writes this file, too")
            };
            return Err(Error::resource(message)
                .component(&*sink.id)
                .file(file.path.as_str())
                .help("give each sink a path of its own, or let one sink read both inputs"));
        }
    }
    Ok(())
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
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        if let Some(writer) = self.writer.as_mut()
            && unless_closed(writer.write(&batch))?.is_none()
        {
            self.writer = None;
        }
        Ok(match self.writer {
            // Called again when there is room.
            Some(_) if out.full() => Flow::More,
            Some(_) => Flow::Ready,
            None => Flow::Done,
        })
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        match self.writer.as_mut() {
            Some(writer) => writer.save(into),
            None => Ok(()),
        }
    }

    fn on_end(&mut self, _: &mut dyn Output) -> Result<Flow> {
        if let Some(mut writer) = self.writer.take()
            && let Some(receipt) = unless_closed(writer.prepare())?
        {
            Moment::SinkPrepared.pass();
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
