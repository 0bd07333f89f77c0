//! Runs the stages of a transform over simulated workers, keeping the engine's rules of routes, order and pauses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use dataflow_core::order::{owner, shard};
use dataflow_core::runs::{MergedRuns, Run};
use dataflow_core::stage::BadRow;
use dataflow_core::time::Instant;
use dataflow_core::transform::{Emits, StagePlan};
use dataflow_core::{Batch, Error, Result, Route, StageContext, Transform};

use crate::deal::{Deal, Dealt, Side, Timing, deal};
use crate::feed::{Collected, Feed, InMemory, interrupted, saved};
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
    /// Behind every so many pieces, all stages are replaced by others that go on with what was saved of them, which is done behind
    /// each piece; never, if 0.
    pub cut_every: usize,
    /// On how many workers what was saved is taken over, before it comes back to as many as there were. With 0 stages are saved and
    /// go on themselves.
    pub via: usize,
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
            cut_every: 0,
            via: 1,
        }
    }
}

/// Where stages are saved.
struct Cut {
    /// Behind which piece.
    piece: usize,
    /// Whether others go on instead of them.
    replaces: bool,
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
        self.run_sides(transform, &[Side { rows, timing }])
    }

    /// The same with the rows of several inputs.
    ///
    /// # Errors
    /// What the stages said.
    pub fn run_sides(&self, transform: &dyn Transform, sides: &[Side<'_>]) -> Result<Outcome> {
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
        let Deal { inputs, marks } = deal(self, transform, sides);
        let (count, timed) = (inputs.len(), !marks.is_empty());
        let mut fed: Vec<Vec<Dealt>> = vec![Vec::new(); self.workers];
        let stages = transform.stages();
        for (input, mut flowing) in inputs.into_iter().enumerate() {
            for plan in transform.before(input) {
                let fed = self.route(plan.route, &plan, flowing, timed)?;
                flowing = self.written((&plan, 1), fed, &marks, &spill, &mut outcome)?;
                let all = flowing.iter_mut().flatten();
                all.for_each(|dealt| dealt.input = input);
            }
            let further = |first: &StagePlan| first.further.get(input.wrapping_sub(1)).copied();
            if let Some(first) = stages.first() {
                let route = further(first).unwrap_or(first.route);
                let routed = self.route(route, first, flowing, timed)?;
                let workers = fed.iter_mut().zip(routed);
                workers.for_each(|(fed, routed)| fed.extend(routed));
            }
        }
        self.in_turn(transform, count, timed, &mut fed);
        for (at, plan) in stages.iter().enumerate() {
            let inputs = if at == 0 { count } else { 1 };
            let mut flowing = self.written((plan, inputs), fed, &marks, &spill, &mut outcome)?;
            match stages.get(at + 1) {
                Some(next) => fed = self.route(next.route, next, flowing, timed)?,
                None => {
                    let flowing = std::mem::take(&mut flowing);
                    outcome.ports[0] = last(plan, flowing, self.batch_rows)?;
                    break;
                }
            }
        }
        outcome.bad.sort_by_key(|bad| bad.place);
        outcome.late.sort_by_key(|late| late.place);
        outcome.spilled_runs = spill.runs();
        Ok(outcome)
    }

    /// The order in which a stage takes the rows of several inputs: by time, or loaded inputs first, and of the others one or
    /// the other: stages must not mind.
    fn in_turn(
        &self,
        transform: &dyn Transform,
        inputs: usize,
        timed: bool,
        fed: &mut [Vec<Dealt>],
    ) {
        if inputs < 2 {
            return;
        }
        for (worker, fed) in fed.iter_mut().enumerate() {
            if timed {
                fed.sort_by_key(|dealt| dealt.piece);
            } else if (worker + self.workers).is_multiple_of(2) {
                fed.sort_by_key(|dealt| std::cmp::Reverse(dealt.input));
            }
            fed.sort_by_key(|dealt| !transform.loads(dealt.input));
        }
    }

    fn route(
        &self,
        route: Route,
        plan: &StagePlan,
        from: Vec<Vec<Dealt>>,
        timed: bool,
    ) -> Result<Vec<Vec<Dealt>>> {
        if route == Route::Local {
            return Ok(from);
        }
        let mut all: Vec<Dealt> = from.into_iter().flatten().collect();
        if plan.ordered || timed {
            all.sort_by_key(|dealt| dealt.piece);
        }
        let mut to: Vec<Vec<Dealt>> = vec![Vec::new(); self.workers];
        match route {
            Route::Local | Route::Gather => to[0] = all,
            Route::Everywhere => to.fill(all),
            Route::Keyed => {
                for dealt in all {
                    let Dealt { batch, .. } = &dealt;
                    if self.workers == 1 {
                        let batch = batch.clone().with_hash(None);
                        to[0].push(Dealt { batch, ..dealt });
                        continue;
                    }
                    let hash = batch.hash().cloned();
                    let hash = hash.ok_or_else(|| Error::internal("a keyed batch has no hash"))?;
                    for (worker, rows) in to.iter_mut().enumerate() {
                        let mine = (0..batch.len() as u32)
                            .filter(|i| owner(shard(hash[*i as usize]), self.workers) == worker);
                        let mine = UInt32Array::from(mine.collect::<Vec<_>>());
                        let batch = batch.take(&mine)?.with_hash(None);
                        rows.push(Dealt {
                            batch,
                            piece: dealt.piece,
                            input: dealt.input,
                        });
                    }
                }
            }
        }
        Ok(to)
    }

    /// What a stage writes to the main port on each worker; the rest goes to the outcome.
    fn written(
        &self,
        (plan, inputs): (&StagePlan, usize),
        fed: Vec<Vec<Dealt>>,
        marks: &[(usize, Instant)],
        spill: &Arc<MemorySpill>,
        outcome: &mut Outcome,
    ) -> Result<Vec<Vec<Dealt>>> {
        let mut written = self.stage((plan, inputs), fed, marks, spill)?;
        let main = written
            .iter_mut()
            .map(|w| w.ports.remove(&0).unwrap_or_default());
        let main = main.collect();
        // Only what the last stage sends aside is sorted.
        if plan.emits == Emits::SortedAtEnd {
            self.sorted_sides(plan, outcome, &mut written)?;
        }
        Self::side_ports(outcome, written);
        Ok(main)
    }

    fn stage(
        &self,
        (plan, inputs): (&StagePlan, usize),
        fed: Vec<Vec<Dealt>>,
        marks: &[(usize, Instant)],
        spill: &Arc<MemorySpill>,
    ) -> Result<Vec<Collected>> {
        let count = match plan.route {
            Route::Gather => 1,
            _ => self.workers,
        };
        let make = |worker: usize, workers: usize| {
            (plan.make)(StageContext {
                id: "it".into(),
                worker,
                workers,
                batch_rows: self.batch_rows,
                memory: self.memory,
                spill: Arc::new(SharedSpill(Arc::clone(spill))),
            })
        };
        let cuts = self.cuts(&fed, marks);
        let mut feeds = Vec::new();
        for (worker, batches) in fed.into_iter().enumerate().take(count) {
            let stage = make(worker, self.workers)?;
            feeds.push(Feed::new(stage, inputs, batches, marks, self.pausing)?);
        }
        for cut in cuts {
            feeds
                .iter_mut()
                .try_for_each(|feed| feed.until(cut.piece))?;
            let here = feeds.iter_mut().map(Feed::saved).collect::<Result<_>>();
            let here = InMemory(here?);
            if !cut.replaces {
                continue;
            }
            let via = match plan.route {
                Route::Gather => 1,
                _ => self.via,
            };
            // On other workers and back again: what was dealt is for the first ones.
            let mut there = interrupted(here, via, &make, spill)?;
            let back = interrupted(saved(there.iter_mut())?, count, &make, spill)?;
            let back = feeds.iter_mut().zip(back).filter(|(feed, _)| !feed.done);
            for (feed, stage) in back {
                feed.replace(stage)?;
            }
        }
        feeds.into_iter().map(Feed::end).collect()
    }

    /// Behind which pieces the stages are saved: behind each, so that most times they tell what has changed.
    fn cuts(&self, fed: &[Vec<Dealt>], marks: &[(usize, Instant)]) -> Vec<Cut> {
        if self.cut_every == 0 {
            return Vec::new();
        }
        let pieces = fed.iter().flatten().map(|dealt| dealt.piece);
        let pieces: BTreeSet<usize> = pieces
            .chain(marks.iter().map(|(piece, _)| *piece))
            .collect();
        let counted = pieces.into_iter().zip(1_usize..);
        let cut = |(piece, count): (usize, usize)| Cut {
            piece,
            replaces: self.via > 0 && count.is_multiple_of(self.cut_every),
        };
        counted.map(cut).collect()
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
            if sent.flatten().all(|dealt| dealt.batch.order().is_none()) {
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
        let mut sides: BTreeMap<usize, Vec<Dealt>> = BTreeMap::new();
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
            batches.sort_by_key(|dealt| dealt.piece);
            let batches = batches.into_iter().map(|dealt| dealt.batch);
            outcome.ports[port].extend(batches);
        }
    }
}

/// What the last stage wrote, in the order that it promised.
fn last(plan: &StagePlan, workers: Vec<Vec<Dealt>>, limit: usize) -> Result<Vec<Batch>> {
    if plan.emits == Emits::SortedAtEnd {
        // What was written at each watermark, and at the end.
        let pieces: BTreeSet<usize> = workers.iter().flatten().map(|d| d.piece).collect();
        let mut all = Vec::new();
        for piece in pieces {
            let runs = workers.iter().map(|batches| {
                let here = batches.iter().filter(|dealt| dealt.piece == piece);
                let batches: Vec<Batch> = here.map(|dealt| dealt.batch.clone()).collect();
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
    let mut all: Vec<Dealt> = workers.into_iter().flatten().collect();
    all.sort_by_key(|dealt| dealt.piece);
    Ok(all.into_iter().map(|dealt| dealt.batch).collect())
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
