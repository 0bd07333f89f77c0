//! A stage: the part of a transform that runs on one worker, fed with batches, writing to ports.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_schema::SchemaRef;

use crate::runs::Run;
use crate::saved::{Restored, Save};
use crate::time::Instant;
use crate::{Batch, Place, Result};

/// What a stage wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Give me the next batch (or: I am finished with the end of input).
    Ready,
    /// I have more to write; call again when there is room.
    More,
    /// I need no further input at all (`limit`).
    Done,
}

/// The part of a transform that runs on one worker. Each call does a bounded amount of work.
pub trait Stage: Send {
    /// Takes a batch. On `More`, `more` is called until it says otherwise, before the next batch.
    ///
    /// # Errors
    /// What must stop the run. Rows that fail go to [`Output::bad`] instead.
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow>;

    /// Takes a batch of one of several inputs: 0 is the main one, the others are those that keys of the configuration name. Which
    /// input has rows when is not settled, except that a [loaded](crate::Transform::loads) one has ended before the main one begins.
    ///
    /// # Errors
    /// As `on_batch`.
    fn on_input(&mut self, input: usize, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let _ = input;
        self.on_batch(batch, out)
    }

    /// One of several inputs has ended; `on_end` follows when all have. On `More`, `more` is called until it says otherwise.
    ///
    /// # Errors
    /// As `on_batch`.
    fn on_input_end(&mut self, input: usize, out: &mut dyn Output) -> Result<Flow> {
        let _ = (input, out);
        Ok(Flow::Ready)
    }

    /// Goes on with what `on_batch` or `on_end` left when they said `More`; should stop when `out.full()`.
    ///
    /// # Errors
    /// As `on_batch`.
    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let _ = out;
        Ok(Flow::Ready)
    }

    /// Rows that come from now on are not older than `time`, or late. On `More`, `more` is called until it says otherwise. A stage
    /// that emits [`SortedAtEnd`](crate::transform::Emits::SortedAtEnd) writes one sorted run on each worker here as well.
    ///
    /// # Errors
    /// As `on_batch`.
    fn on_watermark(&mut self, time: Instant, out: &mut dyn Output) -> Result<Flow> {
        let _ = (time, out);
        Ok(Flow::Ready)
    }

    /// The clock says that it is time for early results; called only of what says how often (`StagePlan::every`). On `More`, `more` is
    /// called until it says otherwise. A stage that emits [`SortedAtEnd`](crate::transform::Emits::SortedAtEnd) writes one
    /// sorted run on each worker here as well.
    ///
    /// # Errors
    /// As `on_batch`.
    fn on_pulse(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let _ = out;
        Ok(Flow::Ready)
    }

    /// How far what this stage writes is complete, when its input is so up to `watermark` and has been worked on: what it writes
    /// from now on is not older. [`BEGINNING`](crate::time::BEGINNING) where rows wait for the end.
    fn progress(&self, watermark: Instant) -> Instant {
        watermark
    }

    /// The input has ended, all of them where there are several: write what was held back. On `More`, `more` is called until it says otherwise.
    ///
    /// # Errors
    /// As `on_batch`.
    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let _ = out;
        Ok(Flow::Ready)
    }

    /// Writes down what is held, so that another run can go on with it. Called when nothing is left to be written, between batches.
    ///
    /// # Errors
    /// When it cannot be put together.
    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        let _ = into;
        Ok(())
    }

    /// Goes on with what stages of an earlier run saved, on all of its workers. Called first of all, if at all. Watermarks and ends
    /// of inputs that the earlier run knew of are told again.
    ///
    /// # Errors
    /// When it cannot be read.
    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let _ = from;
        Ok(())
    }

    /// What was restored is of another pipeline, which has written what comes of its rows: those that were not worked on yet are now,
    /// and nothing is written. Called behind `restore`.
    ///
    /// # Errors
    /// As `on_batch`.
    fn take_over(&mut self) -> Result<()> {
        Ok(())
    }

    /// The bytes of state held now, for the metrics.
    fn bytes(&self) -> usize {
        0
    }

    /// The keys held now, for the metrics.
    fn keys(&self) -> usize {
        0
    }
}

/// Where a stage writes to.
pub trait Output {
    /// Sends a batch to a port (0 is the main one). Empty batches are dropped.
    fn send(&mut self, port: usize, batch: Batch);

    /// Whether anything reads a port; what nobody reads need not be made.
    fn wants(&self, port: usize) -> bool {
        let _ = port;
        true
    }

    /// Counts rows that would have gone to a port that nobody reads, in place of making and sending them.
    fn unread(&mut self, port: usize, rows: usize) {
        let _ = (port, rows);
    }

    /// Whether what this stage sent and nobody has consumed yet fills its share: return `More` as soon as convenient.
    fn full(&self) -> bool;

    /// Reports rows that failed; the pipeline says whether they stop the run, are dropped, or go to a port.
    ///
    /// # Errors
    /// When they stop the run.
    fn bad(&mut self, rows: BadRows) -> Result<()>;

    /// Reports rows that came too late for what they belong to. They leave on `port` in the envelope of bad rows, as `make`
    /// describes them; where nobody reads the port they are counted.
    ///
    /// # Errors
    /// When they cannot be put into a batch.
    fn late(&mut self, port: usize, rows: usize, make: &mut dyn FnMut() -> BadRows) -> Result<()>;

    /// Tells something for the closing report, counted by its text.
    fn note(&mut self, text: &str, count: u64);
}

/// An output of which nothing is read.
pub struct Unread;

impl Output for Unread {
    fn send(&mut self, _: usize, _: Batch) {}

    fn wants(&self, _: usize) -> bool {
        false
    }

    fn full(&self) -> bool {
        false
    }

    fn bad(&mut self, _: BadRows) -> Result<()> {
        Ok(())
    }

    fn late(&mut self, _: usize, _: usize, _: &mut dyn FnMut() -> BadRows) -> Result<()> {
        Ok(())
    }

    fn note(&mut self, _: &str, _: u64) {}
}

/// Several bad rows.
pub type BadRows = Vec<BadRow>;

/// A row that could not be used.
#[derive(Clone, Debug, PartialEq)]
pub struct BadRow {
    /// Where it stands, if that is known.
    pub place: Option<Place>,
    /// Its index in the batch that it came in, if it came in one: readers have places instead.
    pub index: Option<usize>,
    /// A short name of the reason that rows are counted by: `cast`, `division by zero`, `fields`.
    pub reason: &'static str,
    /// The full sentence.
    pub message: String,
    /// The row as it was: JSON, or the line of text.
    pub data: String,
    /// When it happened, if that is known.
    pub time: Option<Instant>,
}

/// What a stage is told when it is made.
#[derive(Clone)]
pub struct StageContext {
    /// The component's id.
    pub id: Arc<str>,
    /// Which worker, from 0.
    pub worker: usize,
    /// How many workers.
    pub workers: usize,
    /// How many rows a batch should have. Results must not depend on it.
    pub batch_rows: usize,
    /// The bytes of state that this stage may hold before it spills (or fails).
    pub memory: usize,
    /// Where it spills to.
    pub spill: Arc<dyn Spill>,
}

/// Room on disk for runs of sorted rows.
pub trait Spill: Send + Sync {
    /// Starts a run. `id` is the component, for errors and metrics.
    ///
    /// # Errors
    /// When the disk refuses.
    fn begin(&self, id: &str, schema: SchemaRef) -> Result<Box<dyn SpillWriter>>;
}

/// Writes one run. Dropped unfinished, it leaves nothing behind.
pub trait SpillWriter: Send {
    /// Appends rows, with their places and order keys.
    ///
    /// # Errors
    /// When the disk refuses or the spill limit is reached.
    fn write(&mut self, batch: &Batch) -> Result<()>;

    /// Ends the run.
    ///
    /// # Errors
    /// When the disk refuses.
    fn finish(self: Box<Self>) -> Result<Box<dyn Spilled>>;
}

/// A run on disk. Its file is removed when this is dropped and no reader is left.
pub trait Spilled: Send + Sync {
    /// Bytes on disk.
    fn bytes(&self) -> u64;

    /// Rows in it.
    fn rows(&self) -> u64;

    /// Reads it from the start, a batch at a time.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn read(&self) -> Result<Box<dyn Run>>;

    /// Lets the file stay when this is dropped, for somebody else to remove it, and tells which one it is; none where runs are in no
    /// files.
    fn keep(&self) -> Option<PathBuf> {
        None
    }
}
