//! The first stage: each worker reduces its own rows in a small table and sends the states on when it is full; where that
//! does not pay, rows go to the owners of their keys as they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::time::{BEGINNING, END, Instant};
use dataflow_core::{Batch, Flow, Output, Result, Stage, StageContext};

use super::groups::Groups;
use super::passing::Passing;
use super::work::{GROUPS, Rows, TAKEN_IN, Work};
use crate::calls::States;
use crate::saved::dealt_sum;
use dataflow_core::external::piece_rows;

/// With more groups than this, and bytes, the table has left the cache: a group is better kept once, by its owner, than
/// on every worker. Tests have few groups and go this way all the same.
const CACHED_GROUPS: usize = if cfg!(test) { 32 } else { 4096 };
const CACHED_BYTES: usize = if cfg!(test) { 1024 } else { 2 << 20 };

/// For how many times the rows of a trial that did not pay rows are passed on before the next trial; four times as many
/// behind each trial in vain, up to the second number.
const PASSES_PER_TRIAL: (u64, u64) = (32, 8192);

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
    /// What is held, for the last stage to know.
    held: Arc<AtomicUsize>,
    /// Rows since the table was empty.
    rows: u64,
    /// Rows that are still to be passed on as they are, before reducing is tried again.
    pass: u64,
    /// For how many times the rows of the next trial, should it be in vain.
    passes_per_trial: u64,
    passing: Passing,
    /// The next group to send, while the table is being sent.
    sending: Option<usize>,
    /// Where there are windows: the first end of one that groups belong to, and up to when windows have left.
    first: Instant,
    sealed: Instant,
}

impl Partial {
    /// Without groups.
    pub(crate) fn new(context: StageContext, work: &Arc<Work>) -> Result<Self> {
        // A worker that is alone owns all keys: its rows are best reduced where they end up.
        let alone = context.workers == 1;
        Ok(Self {
            passing: Passing::new(work, alone)?,
            pass: if alone { u64::MAX } else { 0 },
            passes_per_trial: PASSES_PER_TRIAL.0,
            groups: Groups::new(&work.types, context.memory)?,
            states: States::new(&work.calls),
            held: work.held.by(context.worker),
            work: Arc::clone(work),
            context,
            assigned: Vec::new(),
            rows: 0,
            sending: None,
            first: END,
            sealed: BEGINNING,
        })
    }

    fn batch_of(&mut self, start: usize, limit: usize) -> Result<Batch> {
        let end = (start + limit).min(self.groups.len());
        let some: Vec<u32> = (start as u32..end as u32).collect();
        let batch = self.work.written(&self.groups, &self.states, &some)?;
        let keys = &batch.rows().columns()[..self.work.types.len()];
        let hash = self.passing.hashes(keys)?;
        Ok(batch.with_hash(Some(hash.into())))
    }

    /// Finds the groups of keys.
    fn assign(&mut self, keys: &[ArrayRef]) -> Result<()> {
        if self.work.windowed.is_some() {
            let ends = keys[0].as_primitive::<Int64Type>().values();
            self.first = ends.iter().copied().min().unwrap_or(END).min(self.first);
        }
        self.groups.assign(keys, &mut self.assigned)?;
        self.states.resize(self.groups.len());
        Ok(())
    }

    fn is_full(&self, bytes: usize) -> bool {
        bytes > self.context.memory || (bytes > CACHED_BYTES && self.groups.len() > CACHED_GROUPS)
    }

    /// The table has been sent. Whether it was worth it decides how the next rows are sent; the result is the same.
    fn emptied(&mut self, bytes: usize) -> Result<()> {
        if !self.work.reducing_pays(self.rows, bytes) {
            self.pass = self.passes_per_trial * self.rows;
            self.passes_per_trial = (4 * self.passes_per_trial).min(PASSES_PER_TRIAL.1);
        } else {
            self.passes_per_trial = PASSES_PER_TRIAL.0;
        }
        self.rows = 0;
        self.first = END;
        self.states.clear();
        self.groups.clear()?;
        self.held.store(self.bytes(), Ordering::Relaxed);
        Ok(())
    }

    /// Sends rows on as they are.
    fn pass(&mut self, rows: Rows, out: &mut dyn Output) -> Result<Flow> {
        self.pass = self.pass.saturating_sub(rows.rows as u64);
        out.send(0, self.passing.batch(rows)?);
        // There is nothing more of this batch, but the next one has to wait for room.
        Ok(if out.full() { Flow::More } else { Flow::Ready })
    }
}

impl Stage for Partial {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let read = self.work.read(&batch, self.sealed, out)?;
        drop(batch);
        if read.rows == 0 {
            return Ok(Flow::Ready);
        }
        if self.pass > 0 {
            return self.pass(read, out);
        }
        self.assign(&read.keys)?;
        let groups = Some(self.assigned.as_slice());
        self.states
            .update(groups, read.rows, &read.inputs, &read.places)?;
        self.rows += read.rows as u64;
        let bytes = self.bytes();
        self.held.store(bytes, Ordering::Relaxed);
        if self.is_full(bytes) {
            self.sending = Some(0);
            return self.more(out);
        }
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let Some(mut at) = self.sending.take() else {
            return Ok(Flow::Ready);
        };
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
        self.emptied(self.bytes())?;
        Ok(Flow::Ready)
    }

    fn on_watermark(&mut self, time: Instant, out: &mut dyn Output) -> Result<Flow> {
        self.sealed = time;
        if self.first > time {
            return Ok(Flow::Ready);
        }
        self.sending = Some(0);
        self.more(out)
    }

    fn on_pulse(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.sending = Some(0);
        self.more(out)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.sending = Some(0);
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        let all: Vec<u32> = (0..self.groups.len() as u32).collect();
        into.value(TAKEN_IN, self.rows.into());
        self.work.save((&self.groups, &self.states), &all, into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        // These groups are parts, which are merged where their keys are owned, whoever sends them.
        from.rows(GROUPS, Share::Dealt, &mut |batch| {
            let (keys, states) = batch.rows().columns().split_at(self.work.types.len());
            self.assign(keys)?;
            self.states.merge(&self.assigned, states)
        })?;
        self.rows = dealt_sum(from, TAKEN_IN)?;
        self.held.store(self.bytes(), Ordering::Relaxed);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.groups.bytes() + self.states.bytes() + self.passing.bytes()
    }

    fn keys(&self) -> usize {
        self.groups.len()
    }
}
