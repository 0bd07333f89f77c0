//! Runs the stages of a transform over simulated workers, keeping the engine's rules of routes, order and pauses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use dataflow_core::order::{owner, shard};
use dataflow_core::runs::{MergedRuns, Run};
use dataflow_core::stage::{BadRow, BadRows};
use dataflow_core::time::{BEGINNING, Instant, Newest};
use dataflow_core::transform::{Emits, StagePlan};
use dataflow_core::{
    Batch, Error, Flow, Gauge, Output, Place, Places, Result, Route, Stage, StageContext, TimeRule,
    Times, Transform,
};

use crate::spill::{MemorySpill, SharedSpill};

/// How a transform is run.
#[derive(Clone, Copy, Debug)]
pub struct Drive {
    /// Simulated workers.
    pub workers: usize,
    /// Rows in a batch that a stage makes.
    pub batch_rows: usize,
    /// Rows in a batch that the first stage is given.
    pub piece_rows: usize,
    /// Bytes that each stage may hold.
    pub memory: usize,
    /// Whether outputs say that they are full after every batch.
    pub pausing: bool,
    /// After how many pieces a watermark comes, where rows have times.
    pub mark_every: usize,
}

impl Default for Drive {
    fn default() -> Self {
        Self {
            workers: 1,
            batch_rows: 8192,
            piece_rows: 8192,
            memory: 64 << 20,
            pausing: false,
            mark_every: 1,
        }
    }
}

/// When rows happened, and how late they may be.
#[derive(Clone, Copy, Debug)]
pub struct Timing<'a> {
    /// The time of each row.
    pub times: &'a [i64],
    /// What their source says of them.
    pub rule: TimeRule,
}

/// What came out.
#[derive(Debug)]
pub struct Outcome {
    /// The batches of each port, in their order.
    pub ports: Vec<Vec<Batch>>,
    /// Rows that failed, in the order of their places.
    pub bad: Vec<BadRow>,
    /// Rows that were late, in the order of their places.
    pub late: Vec<BadRow>,
    /// Notes for the closing report.
    pub notes: BTreeMap<String, u64>,
    /// Runs that were spilled.
    pub spilled_runs: usize,
    schemas: Vec<SchemaRef>,
}

impl Outcome {
    /// All rows of a port.
    pub fn port(&self, port: usize) -> RecordBatch {
        let batches: Vec<&RecordBatch> = self.ports[port].iter().map(Batch::rows).collect();
        let schema = batches
            .first()
            .map_or_else(|| Arc::clone(&self.schemas[port]), |b| b.schema());
        concat_batches(&schema, batches).expect("one schema")
    }

    /// All rows of the main port.
    pub fn rows(&self) -> RecordBatch {
        self.port(0)
    }

    /// How many rows each port has.
    pub fn counts(&self) -> Vec<usize> {
        self.ports
            .iter()
            .map(|port| port.iter().map(Batch::len).sum())
            .collect()
    }
}

/// A batch and the number of the input piece that it came of.
type Numbered = (usize, Batch);

/// What a stage on one worker wrote.
#[derive(Default)]
struct Collected {
    ports: BTreeMap<usize, Vec<Numbered>>,
    bad: Vec<BadRow>,
    late: Vec<BadRow>,
    notes: BTreeMap<String, u64>,
    piece: usize,
    sent: usize,
    pausing: bool,
}

impl Output for Collected {
    fn send(&mut self, port: usize, batch: Batch) {
        if !batch.is_empty() {
            self.sent += 1;
            let batch = batch.with_charge(None);
            self.ports
                .entry(port)
                .or_default()
                .push((self.piece, batch));
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

impl Drive {
    /// Runs a transform over rows, which are numbered from place 0.
    ///
    /// # Errors
    /// What the stages said.
    pub fn run(&self, transform: &dyn Transform, rows: &RecordBatch) -> Result<Outcome> {
        self.run_timed(transform, rows, None)
    }

    /// The same with rows that have times.
    ///
    /// # Errors
    /// What the stages said.
    pub fn run_timed(
        &self,
        transform: &dyn Transform,
        rows: &RecordBatch,
        timing: Option<Timing<'_>>,
    ) -> Result<Outcome> {
        let spill = MemorySpill::new();
        let schemas: Vec<SchemaRef> = transform
            .ports()
            .iter()
            .map(|port| Arc::clone(&port.schema))
            .collect();
        let mut outcome = Outcome {
            ports: schemas.iter().map(|_| Vec::new()).collect(),
            bad: Vec::new(),
            late: Vec::new(),
            notes: BTreeMap::new(),
            spilled_runs: 0,
            schemas,
        };
        let stages = transform.stages();
        let (mut flowing, marks) = self.deal(rows, timing);
        for (at, plan) in stages.iter().enumerate() {
            let fed = self.route(plan, flowing, !marks.is_empty())?;
            let mut written = self.stage(plan, fed, &marks, &spill)?;
            let main = written
                .iter_mut()
                .map(|w| w.ports.remove(&0).unwrap_or_default());
            flowing = main.collect();
            if at + 1 == stages.len() && plan.emits == Emits::SortedAtEnd {
                self.sorted_sides(plan, &mut outcome, &mut written)?;
            }
            Self::side_ports(&mut outcome, written);
            if at + 1 == stages.len() {
                outcome.ports[0] = last(plan, std::mem::take(&mut flowing), self.batch_rows)?;
            }
        }
        outcome.bad.sort_by_key(|bad| bad.place);
        outcome.late.sort_by_key(|late| late.place);
        outcome.spilled_runs = spill.runs();
        Ok(outcome)
    }

    /// Batches for the workers, and the watermarks: behind which piece, and how far time is.
    fn deal(
        &self,
        rows: &RecordBatch,
        timing: Option<Timing<'_>>,
    ) -> (Vec<Vec<Numbered>>, Vec<(usize, Instant)>) {
        let (mut newest, mut marks) = (Newest::default(), Vec::new());
        let mut dealt: Vec<Vec<Numbered>> = vec![Vec::new(); self.workers];
        let size = self.piece_rows.max(1);
        for (piece, start) in (0..rows.num_rows()).step_by(size).enumerate() {
            let length = size.min(rows.num_rows() - start);
            let places = Places::From(Place(start as u64));
            let mut batch = Batch::new(rows.slice(start, length)).with_places(places);
            if let Some(Timing { times, rule }) = timing {
                let at = &times[start..start + length];
                let horizons = newest.see(at, &rule);
                let times = Times::new(at.to_vec()).with_horizons(horizons);
                batch = batch.with_times(Some(times));
                let reached = newest.horizon(&rule);
                let before = marks.last().map_or(BEGINNING, |(_, time)| *time);
                if (piece + 1) % self.mark_every.max(1) == 0 && reached > before {
                    marks.push((piece, reached));
                }
            }
            dealt[piece % self.workers].push((piece, batch));
        }
        (dealt, marks)
    }

    fn route(
        &self,
        plan: &StagePlan,
        from: Vec<Vec<Numbered>>,
        timed: bool,
    ) -> Result<Vec<Vec<Numbered>>> {
        if plan.route == Route::Local {
            return Ok(from);
        }
        let mut all: Vec<Numbered> = from.into_iter().flatten().collect();
        if plan.ordered || timed {
            all.sort_by_key(|(piece, _)| *piece);
        }
        let mut to: Vec<Vec<Numbered>> = vec![Vec::new(); self.workers];
        match plan.route {
            Route::Local | Route::Gather => to[0] = all,
            Route::Keyed => {
                for (piece, batch) in all {
                    if self.workers == 1 {
                        to[0].push((piece, batch.with_hash(None)));
                        continue;
                    }
                    let hash = batch.hash().cloned();
                    let hash = hash.ok_or_else(|| Error::internal("a keyed batch has no hash"))?;
                    for (worker, rows) in to.iter_mut().enumerate() {
                        let mine = (0..batch.len() as u32)
                            .filter(|i| owner(shard(hash[*i as usize]), self.workers) == worker);
                        let mine = UInt32Array::from(mine.collect::<Vec<_>>());
                        rows.push((piece, batch.take(&mine)?.with_hash(None)));
                    }
                }
            }
        }
        Ok(to)
    }

    fn stage(
        &self,
        plan: &StagePlan,
        fed: Vec<Vec<Numbered>>,
        marks: &[(usize, Instant)],
        spill: &Arc<MemorySpill>,
    ) -> Result<Vec<Collected>> {
        let mut all = Vec::new();
        for (worker, batches) in fed.into_iter().enumerate() {
            if plan.route == Route::Gather && worker > 0 {
                continue;
            }
            let mut stage = (plan.make)(StageContext {
                id: "it".into(),
                worker,
                workers: self.workers,
                batch_rows: self.batch_rows,
                memory: self.memory,
                spill: Arc::new(SharedSpill(Arc::clone(spill))),
            })?;
            let mut out = Collected {
                pausing: self.pausing,
                ..Collected::default()
            };
            self.feed(stage.as_mut(), batches, marks, &mut out)?;
            all.push(out);
        }
        Ok(all)
    }

    fn feed(
        &self,
        stage: &mut dyn Stage,
        batches: Vec<Numbered>,
        marks: &[(usize, Instant)],
        out: &mut Collected,
    ) -> Result<()> {
        let gauge = Gauge::new();
        let mut marks = marks.iter().peekable();
        for (piece, batch) in batches.into_iter().filter(|(_, batch)| !batch.is_empty()) {
            while let Some((behind, time)) = marks.next_if(|(behind, _)| *behind < piece) {
                Self::mark(stage, *behind, *time, out)?;
            }
            out.piece = piece;
            let charge = Arc::new(gauge.charge(batch.bytes()));
            out.sent = 0;
            let mut flow = stage.on_batch(batch.with_charge(Some(charge)), out)?;
            while flow == Flow::More {
                out.sent = 0;
                flow = stage.more(out)?;
            }
            assert_eq!(gauge.bytes(), 0, "state holds no charge of its input");
            if flow == Flow::Done {
                return Ok(());
            }
        }
        for (behind, time) in marks {
            Self::mark(stage, *behind, *time, out)?;
        }
        out.piece = usize::MAX;
        out.sent = 0;
        let mut flow = stage.on_end(out)?;
        while flow == Flow::More {
            out.sent = 0;
            flow = stage.more(out)?;
        }
        Ok(())
    }

    fn mark(
        stage: &mut dyn Stage,
        behind: usize,
        time: Instant,
        out: &mut Collected,
    ) -> Result<()> {
        out.piece = behind;
        out.sent = 0;
        let mut flow = stage.on_watermark(time, out)?;
        while flow == Flow::More {
            out.sent = 0;
            flow = stage.more(out)?;
        }
        Ok(())
    }

    /// What was sent to other ports with order keys, merged as the main port is.
    fn sorted_sides(
        &self,
        plan: &StagePlan,
        outcome: &mut Outcome,
        written: &mut [Collected],
    ) -> Result<()> {
        for port in 1..outcome.ports.len() {
            let sent = written.iter().filter_map(|w| w.ports.get(&port));
            if sent.flatten().all(|(_, batch)| batch.order().is_none()) {
                continue;
            }
            let workers = written
                .iter_mut()
                .map(|w| w.ports.remove(&port).unwrap_or_default());
            outcome.ports[port] = last(plan, workers.collect(), self.batch_rows)?;
        }
        Ok(())
    }

    fn side_ports(outcome: &mut Outcome, written: Vec<Collected>) {
        let mut sides: BTreeMap<usize, Vec<Numbered>> = BTreeMap::new();
        for collected in written {
            outcome.bad.extend(collected.bad);
            outcome.late.extend(collected.late);
            for (text, count) in collected.notes {
                *outcome.notes.entry(text).or_default() += count;
            }
            for (port, batches) in collected.ports {
                sides.entry(port).or_default().extend(batches);
            }
        }
        for (port, mut batches) in sides {
            batches.sort_by_key(|(piece, _)| *piece);
            outcome.ports[port].extend(batches.into_iter().map(|(_, batch)| batch));
        }
    }
}

/// What the last stage wrote, in the order that it promised.
fn last(plan: &StagePlan, workers: Vec<Vec<Numbered>>, limit: usize) -> Result<Vec<Batch>> {
    if plan.emits == Emits::SortedAtEnd {
        // What was written at each watermark, and at the end.
        let pieces: BTreeSet<usize> = workers.iter().flatten().map(|(piece, _)| *piece).collect();
        let mut all = Vec::new();
        for piece in pieces {
            let runs = workers.iter().map(|batches| {
                let here = batches.iter().filter(|(at, _)| *at == piece);
                let batches: Vec<Batch> = here.map(|(_, batch)| batch.clone()).collect();
                ascending(&batches);
                Box::new(batches.into_iter()) as Box<dyn Run>
            });
            let mut merged = MergedRuns::new(runs.collect(), limit);
            while let Some(batch) = merged.next()? {
                all.push(batch.with_order(None));
            }
        }
        return Ok(all);
    }
    let mut all: Vec<Numbered> = workers.into_iter().flatten().collect();
    all.sort_by_key(|(piece, _)| *piece);
    Ok(all.into_iter().map(|(_, batch)| batch).collect())
}

fn ascending(batches: &[Batch]) {
    let mut before: Vec<u8> = Vec::new();
    for batch in batches {
        let order = batch.order().expect("order keys at the end");
        for key in order.iter().flatten() {
            assert!(before.as_slice() <= key, "one ascending run");
            before = key.to_vec();
        }
    }
}
