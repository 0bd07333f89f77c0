//! The first stage: each worker reduces its own rows in a bounded table and sends the states on when it is full, or the
//! rows themselves where that is less work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{ArrayRef, RecordBatch};
use dataflow_core::{Batch, Flow, Output, Result, Stage, StageContext};

use super::groups::Groups;
use super::nearby::Nearby;
use super::passing::{Passing, hashes};
use super::work::{Rows, Work};
use crate::calls::States;
use crate::runs::piece_rows;

/// With fewer rows per group than this in a full table, reducing does not pay.
const ROWS_PER_GROUP: u64 = 2;

/// How many new groups there are between two looks at whether reducing pays.
const LOOK_EVERY: u64 = 65_536;

/// For how many times the rows of a trial that did not pay rows are passed on before the next trial.
const PASSES_PER_TRIAL: u64 = 32;

/// The bytes of a batch of states, at most; fewer where there is little memory.
pub(super) fn batch_bytes(memory: usize) -> usize {
    (memory / 16).clamp(64 << 10, 4 << 20)
}

/// Partial groups of one worker.
pub(crate) struct Partial {
    context: StageContext,
    work: Arc<Work>,
    groups: Groups,
    states: States,
    assigned: Vec<u32>,
    nearby: Nearby,
    /// What is held, for the last stage to know.
    held: Arc<AtomicUsize>,
    /// Rows since the table was empty.
    rows: u64,
    /// The rows and groups at the last look at whether reducing pays.
    seen: (u64, u64),
    /// Rows that are still to be passed on as they are, before reducing is tried again.
    pass: u64,
    passing: Passing,
    /// The next group to send, while the table is being sent.
    sending: Option<usize>,
}

impl Partial {
    /// Without groups.
    pub(crate) fn new(context: StageContext, work: &Arc<Work>) -> Result<Self> {
        // A worker that is alone owns all keys: its rows are best reduced where they end up.
        let alone = context.workers == 1;
        let context_memory = context.memory;
        Ok(Self {
            passing: Passing::new(work, context.memory, alone)?,
            pass: if alone { u64::MAX } else { 0 },
            groups: Groups::new(&work.types, context.memory)?,
            states: States::new(&work.calls),
            held: work.held.by(context.worker),
            work: Arc::clone(work),
            context,
            assigned: Vec::new(),
            nearby: Nearby::new(context_memory),
            rows: 0,
            seen: (0, 0),
            sending: None,
        })
    }

    fn batch_of(&self, start: usize, limit: usize) -> Result<Batch> {
        let end = (start + limit).min(self.groups.len());
        let some: Vec<u32> = (start as u32..end as u32).collect();
        let mut columns: Vec<ArrayRef> = self.groups.keys(&some)?;
        let hash = hashes(&self.work, &columns)?;
        columns.extend(self.states.state(&some)?);
        let rows = RecordBatch::try_new(Arc::clone(&self.work.states), columns)?;
        Ok(Batch::new(rows).with_hash(Some(hash.into())))
    }

    /// Whether rows so seldom share a group that the table is not worth its memory; looked at from time to time.
    fn is_vain(&mut self) -> bool {
        let (rows, groups) = (
            self.rows - self.seen.0,
            self.groups.len() as u64 - self.seen.1,
        );
        if groups < LOOK_EVERY {
            return false;
        }
        self.seen = (self.rows, self.groups.len() as u64);
        10 * groups > 9 * rows
    }

    fn emptied(&mut self) -> Result<()> {
        // Whether rows share groups decides how the next ones are sent; the result is the same.
        let groups = self.groups.len() as u64;
        if self.rows < ROWS_PER_GROUP * groups {
            self.pass = PASSES_PER_TRIAL * self.rows;
        }
        self.rows = 0;
        self.seen = (0, 0);
        self.states.clear();
        self.groups.clear()?;
        self.held.store(self.bytes(), Ordering::Relaxed);
        Ok(())
    }

    /// Sends rows on as they are.
    fn pass(&mut self, rows: Rows, out: &mut dyn Output) -> Result<Flow> {
        self.pass = self.pass.saturating_sub(rows.rows as u64);
        out.send(0, self.passing.batch(rows)?);
        if self.pass == 0 {
            self.passing.forget(true)?;
        }
        // There is nothing more of this batch, but the next one has to wait for room.
        Ok(if out.full() { Flow::More } else { Flow::Ready })
    }
}

impl Stage for Partial {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let read = self.work.read(&batch, out)?;
        drop(batch);
        if read.rows == 0 {
            return Ok(Flow::Ready);
        }
        if self.pass > 0 {
            return self.pass(read, out);
        }
        self.groups.assign(&read.keys, &mut self.assigned)?;
        self.states.resize(self.groups.len());
        self.nearby
            .add(&mut self.states, &self.assigned, &read.inputs, &read.places)?;
        self.rows += read.rows as u64;
        let bytes = self.bytes();
        self.held.store(bytes, Ordering::Relaxed);
        if bytes > self.context.memory || self.is_vain() {
            self.sending = Some(0);
            return self.more(out);
        }
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let Some(mut at) = self.sending.take() else {
            return Ok(Flow::Ready);
        };
        self.nearby.settle(&mut self.states)?;
        let (groups, target) = (self.groups.len(), batch_bytes(self.context.memory));
        let limit = piece_rows(target, groups, self.states.bytes(), self.context.batch_rows);
        while at < groups {
            out.send(0, self.batch_of(at, limit)?);
            at += limit;
            if out.full() && at < groups {
                self.sending = Some(at);
                return Ok(Flow::More);
            }
        }
        self.emptied()?;
        Ok(Flow::Ready)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.sending = Some(0);
        self.more(out)
    }

    fn bytes(&self) -> usize {
        self.groups.bytes() + self.states.bytes() + self.passing.bytes() + self.nearby.bytes()
    }

    fn keys(&self) -> usize {
        self.groups.len()
    }
}
