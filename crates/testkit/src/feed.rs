//! A stage on one simulated worker: what it is fed, what it writes, and what it holds when it is replaced by another.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflow_core::saved::{Parts, Restored, Saved, Taken};
use dataflow_core::stage::{BadRow, BadRows};
use dataflow_core::time::Instant;
use dataflow_core::{Batch, Flow, Gauge, Output, Result, Stage};

use crate::deal::Dealt;
use crate::held::Ledger;
use crate::spill::{MemorySpill, SharedSpill};

/// What a stage on one worker wrote.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) ports: BTreeMap<usize, Vec<Dealt>>,
    pub(crate) bad: Vec<BadRow>,
    pub(crate) late: Vec<BadRow>,
    pub(crate) notes: BTreeMap<String, u64>,
    pub(crate) piece: usize,
    pub(crate) sent: usize,
    pub(crate) pausing: bool,
}

impl Output for Collected {
    fn send(&mut self, port: usize, batch: Batch) {
        if !batch.is_empty() {
            self.sent += 1;
            let batch = batch.with_charge(None);
            self.ports.entry(port).or_default().push(Dealt {
                piece: self.piece,
                input: 0,
                batch,
            });
        }
    }

    fn full(&self) -> bool {
        self.pausing && self.sent > 0
    }

    fn bad(&mut self, rows: BadRows) -> Result<()> {
        self.bad.extend(rows);
        Ok(())
    }

    fn late(&mut self, _: usize, rows: usize, make: &mut dyn FnMut() -> BadRows) -> Result<()> {
        let late = make();
        assert_eq!(late.len(), rows, "each late row is described");
        self.late.extend(late);
        Ok(())
    }

    fn note(&mut self, text: &str, count: u64) {
        *self.notes.entry(text.to_string()).or_default() += count;
    }
}

/// A stage on one worker, with what it is to be fed.
pub(crate) struct Feed<'a> {
    pub(crate) stage: Box<dyn Stage>,
    inputs: usize,
    batches: std::iter::Peekable<std::vec::IntoIter<Dealt>>,
    /// How many batches of each of several inputs are still to come.
    left: Vec<usize>,
    /// The watermark that was told last.
    reached: Option<Instant>,
    marks: std::iter::Peekable<std::slice::Iter<'a, (usize, Instant)>>,
    out: Collected,
    gauge: Arc<Gauge>,
    ledger: Ledger,
    pub(crate) done: bool,
}

impl<'a> Feed<'a> {
    pub(crate) fn new(
        stage: Box<dyn Stage>,
        inputs: usize,
        mut batches: Vec<Dealt>,
        marks: &'a [(usize, Instant)],
        pausing: bool,
    ) -> Result<Self> {
        batches.retain(|dealt| !dealt.batch.is_empty());
        let several = 0..if inputs > 1 { inputs } else { 0 };
        let of = |input: usize| batches.iter().filter(|dealt| dealt.input == input).count();
        let mut feed = Self {
            stage,
            inputs,
            left: several.map(of).collect(),
            batches: batches.into_iter().peekable(),
            marks: marks.iter().peekable(),
            reached: None,
            out: Collected {
                pausing,
                ..Collected::default()
            },
            gauge: Gauge::new(),
            ledger: Ledger::default(),
            done: false,
        };
        for input in 0..feed.left.len() {
            if feed.left[input] == 0 {
                feed.call(|stage, out| stage.on_input_end(input, out))?;
            }
        }
        Ok(feed)
    }

    /// Feeds everything up to a piece, and the watermark behind it.
    pub(crate) fn until(&mut self, piece: usize) -> Result<()> {
        while !self.done {
            let next = self.batches.peek().map(|dealt| dealt.piece);
            let before =
                |mark: &&(usize, Instant)| mark.0 <= piece && next.is_none_or(|next| mark.0 < next);
            if let Some((behind, time)) = self.marks.next_if(before) {
                self.out.piece = *behind;
                self.reached = Some(*time);
                self.call(|stage, out| stage.on_watermark(*time, out))?;
                continue;
            }
            match self.batches.next_if(|dealt| dealt.piece <= piece) {
                Some(dealt) => self.take(dealt)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Goes on with another stage, which is told again what the one before knew of its inputs.
    pub(crate) fn replace(&mut self, stage: Box<dyn Stage>) -> Result<()> {
        self.stage = stage;
        self.ledger = Ledger::default();
        for input in 0..self.left.len() {
            if self.left[input] == 0 {
                self.call(|stage, out| stage.on_input_end(input, out))?;
            }
        }
        if let Some(time) = self.reached {
            self.call(|stage, out| stage.on_watermark(time, out))?;
        }
        Ok(())
    }

    /// What the stage holds.
    pub(crate) fn saved(&mut self) -> Result<Saved> {
        let mut saved = Saved::default();
        self.stage.save(&mut saved)?;
        self.ledger.complete(&mut saved);
        Ok(saved)
    }

    fn take(&mut self, dealt: Dealt) -> Result<()> {
        let Dealt {
            piece,
            input,
            batch,
        } = dealt;
        self.out.piece = piece;
        let charge = Arc::new(self.gauge.charge(batch.bytes()));
        let batch = batch.with_charge(Some(charge));
        let several = self.inputs > 1;
        let flow = self.call(|stage, out| match several {
            false => stage.on_batch(batch, out),
            true => stage.on_input(input, batch, out),
        })?;
        assert_eq!(self.gauge.bytes(), 0, "state holds no charge of its input");
        self.done = flow == Flow::Done;
        if several && !self.done {
            self.left[input] -= 1;
            if self.left[input] == 0 {
                self.call(|stage, out| stage.on_input_end(input, out))?;
            }
        }
        Ok(())
    }

    pub(crate) fn end(mut self) -> Result<Collected> {
        self.until(usize::MAX)?;
        if !self.done {
            self.out.piece = usize::MAX;
            self.call(|stage, out| stage.on_end(out))?;
        }
        Ok(self.out)
    }

    /// Calls the stage, and again until it has written everything.
    fn call(
        &mut self,
        first: impl FnOnce(&mut dyn Stage, &mut Collected) -> Result<Flow>,
    ) -> Result<Flow> {
        self.out.sent = 0;
        let mut flow = first(self.stage.as_mut(), &mut self.out)?;
        while flow == Flow::More {
            self.out.sent = 0;
            flow = self.stage.more(&mut self.out)?;
        }
        Ok(flow)
    }
}

/// What stages hold that were never saved before, worker by worker.
pub(crate) fn saved<'a>(stages: impl Iterator<Item = &'a mut Box<dyn Stage>>) -> Result<InMemory> {
    let each = stages.map(|stage| {
        let mut saved = Saved::default();
        stage.save(&mut saved)?;
        Ledger::default().complete(&mut saved);
        Ok(saved)
    });
    each.collect::<Result<_>>().map(InMemory)
}

/// New stages that go on with what others held, on so many workers.
pub(crate) fn interrupted(
    parts: InMemory,
    workers: usize,
    make: &dyn Fn(usize, usize) -> Result<Box<dyn Stage>>,
    spill: &Arc<MemorySpill>,
) -> Result<Vec<Box<dyn Stage>>> {
    let one = |worker: usize| {
        let mut stage = make(worker, workers)?;
        let spill = Arc::new(SharedSpill(Arc::clone(spill)));
        let from = Restored::new(&parts, (worker, workers), spill, "it".into());
        stage.restore(&from)?;
        Ok(stage)
    };
    (0..workers).map(one).collect()
}

/// What each worker's stage saved.
pub(crate) struct InMemory(pub(crate) Vec<Saved>);

impl Parts for InMemory {
    fn workers(&self) -> usize {
        self.0.len()
    }

    fn value(&self, worker: usize, name: &str) -> Result<Option<serde_json::Value>> {
        Ok(self.0[worker].values.get(name).cloned())
    }

    fn rows(
        &self,
        worker: usize,
        name: &str,
        each: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let batches = self.0[worker].rows.get(name).into_iter().flatten();
        batches.cloned().try_for_each(each)
    }

    fn runs(&self, worker: usize, name: &str) -> Result<Vec<Taken>> {
        Ok(self.0[worker].runs.get(name).cloned().unwrap_or_default())
    }
}
