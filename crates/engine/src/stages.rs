//! Runs one stage of a component on one worker: inputs in the asked order, a bounded amount of work at a time, the end.

mod holding;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use dataflow_core::saved::{Parts, Restored, Saved};
use dataflow_core::stage::Spill;
use dataflow_core::time::{BEGINNING, Instant as EventTime};
use dataflow_core::{Batch, Error, Flow, Place, Places, Result, Stage};
use serde::{Deserialize, Serialize};

use crate::abort::Abort;
use crate::demand::Demand;
use crate::fabric::{Activation, Start, send};
use crate::inlet::{Inlet, Next, Rights};
use crate::layout::{Feed, Lines};
use crate::message::Parcel;
use crate::metrics::Metrics;
use crate::outlet::{HeldRow, Outlet};
use crate::snapshots::{Held, Snapshots, first_of};
use crate::spool::Spool;

/// How many calls of a stage one activation makes at most, so that a worker stays fair to its operators.
const FUEL: usize = 8;

/// What an operator that runs a stage needs to know.
pub struct StageSetup {
    /// The component's index in the plan and its id.
    pub node: usize,
    /// Its id.
    pub id: Arc<str>,
    /// Whether rows come in order: tick by tick, run merged with run, input after input.
    pub ordered: bool,
    /// Whether rows without places are numbered as they come.
    pub number: bool,
    /// Whether all rows are.
    pub renumber: bool,
    /// What it reads.
    pub feeds: Vec<Feed>,
    /// Whether what it writes goes to every worker.
    pub copies: bool,
    /// Whether all workers write at the end, each a sorted run.
    pub sorts: bool,
    /// What is known of the order in which the rows of the main input come in.
    pub lines: Lines,
    /// Whether this is the component's last stage: rows that leave are counted there.
    pub last: bool,
    /// Whether the stage writes to a sink: what it holds counts until the end of the run.
    pub writes: bool,
    /// Outputs that the stage writes to; `errors` and the outlet for progress alone come behind.
    pub ports: usize,
    /// How many rows a batch should have.
    pub batch_rows: usize,
    /// Bytes that each waiting input may hold in memory.
    pub spool_bytes: usize,
    /// Where waiting inputs go.
    pub spill: Arc<dyn Spill>,
    /// The switch that stops the run.
    pub abort: Arc<Abort>,
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// Who still wants rows.
    pub demand: Arc<Demand>,
    /// Who takes what is held between two epochs, and the operator's index there.
    pub snapshots: Option<(Arc<Snapshots>, usize)>,
}

/// Where the stage is in its life.
enum Phase {
    /// Takes batches.
    Running,
    /// Called again and again until it has nothing more to write.
    Writing {
        tick: u64,
        rights: Rights,
        about: About,
    },
    /// Has said that it needs nothing more; waits for the end of its inputs.
    Done,
    /// Has ended and passed the end on.
    Over,
}

/// What a stage was given when it said that it has more to write.
#[derive(Clone, Copy, PartialEq)]
enum About {
    Batch,
    /// A watermark, or the moment for somebody's early results.
    Time(EventTime, Option<usize>),
    /// The end of its input.
    End,
}

/// A batch that came: its tick, the rights that came with it, and its rows.
type Came = (u64, Rights, Batch);

/// The end of one of the component's inputs.
#[derive(Default)]
struct InputEnd {
    /// The latest end of what it is made of, unless another part of it, or another input, is sure to end later: every worker ends
    /// at this tick, in whatever order it learns of the ends.
    last: Option<(u64, Rights)>,
    /// Whether the stage has heard of it.
    told: bool,
}

/// A stage on one worker, with its inputs.
pub struct StageOperator {
    setup: StageSetup,
    stage: Option<Box<dyn Stage>>,
    outlet: Outlet,
    inlets: Vec<Inlet>,
    spools: Vec<Option<Spool>>,
    /// The input whose turn it is, where order counts.
    turn: usize,
    /// The rights of the end of the last input whose turn is over.
    held: Option<(u64, Rights)>,
    /// The ends of the component's inputs.
    ends: Vec<InputEnd>,
    phase: Phase,
    /// The watermark that was given last.
    reached: EventTime,
    numbered: u64,
    /// The first tick that is not to be worked on before what is held has been handed in.
    limit: u64,
    epoch: u64,
    /// What a stage that has ended held before that, where it still counts.
    last_held: Option<Saved>,
    blocked_since: Option<Instant>,
    seen: (u64, u64),
    start: Start,
}

impl StageOperator {
    /// An operator around `stage`; none on a worker that only passes the end on.
    pub fn new(
        setup: StageSetup,
        stage: Option<Box<dyn Stage>>,
        mut outlet: Outlet,
        mut start: Start,
    ) -> Self {
        start.capabilities.clear();
        let wake = Arc::new(std::sync::Mutex::new((start.wake)()));
        if setup.sorts {
            outlet.hold_bad_rows();
        }
        outlet.wake_with(move || {
            // The worker may be gone already; then there is nobody to wake.
            let _ = crate::abort::lock(&wake).activate();
        });
        let feeds = setup.feeds.iter();
        let inputs = feeds.clone().map(|feed| feed.input + 1).max().unwrap_or(0);
        let inlet = |feed: &Feed| {
            let stays = feed.address.is_none();
            Inlet::new(start.workers, stays.then_some(start.worker))
        };
        let spool = |i: usize| {
            let waits = setup.ordered && i > 0 && stage.is_some();
            waits.then(|| {
                Spool::new(
                    Arc::clone(&setup.id),
                    Arc::clone(&setup.spill),
                    setup.spool_bytes,
                )
            })
        };
        Self {
            spools: (0..feeds.len()).map(spool).collect(),
            inlets: feeds.map(inlet).collect(),
            ends: (0..inputs).map(|_| InputEnd::default()).collect(),
            stage,
            outlet,
            turn: 0,
            held: None,
            phase: Phase::Running,
            reached: BEGINNING,
            numbered: 0,
            limit: setup.snapshots.as_ref().map_or(u64::MAX, |_| first_of(1)),
            epoch: 0,
            last_held: None,
            blocked_since: None,
            seen: (0, 0),
            start,
            setup,
        }
    }

    /// Runs once.
    pub fn activate(&mut self, activation: &mut Activation<'_>) {
        self.receive(activation);
        if self.setup.abort.is_raised() || (self.is_over() && self.limit == u64::MAX) {
            self.forget(activation);
            return;
        }
        let abort = Arc::clone(&self.setup.abort);
        let id = Arc::clone(&self.setup.id);
        let began = Instant::now();
        let more = abort.guard(&id, || match self.is_over() {
            true => self.hand_in(activation),
            false => self.work(activation),
        });
        let counters = self.setup.metrics.of(self.setup.node);
        counters
            .busy
            .fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.forget(activation);
        self.show_state();
        if more == Some(true) {
            self.start.again.activate();
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Gives rights back that are not needed any more; others may be waiting for that.
    fn forget(&mut self, activation: &Activation<'_>) {
        for (input, inlet) in self.inlets.iter_mut().enumerate() {
            inlet.forget(|tick| activation.may_come(input, tick));
        }
        let feeds = self.setup.feeds.iter();
        for (input, end) in self.ends.iter_mut().enumerate() {
            let Some((tick, _)) = end.last else {
                continue;
            };
            // Until the stage has heard of this end, only one of the same input comes in its place.
            let mut others = feeds
                .clone()
                .zip(&self.inlets)
                .enumerate()
                .filter(|(_, (feed, _))| end.told || feed.input == input);
            let later = |(at, (_, inlet)): (usize, (&Feed, &Inlet))| {
                !activation.may_come(at, tick) && inlet.ends_after(tick)
            };
            if others.any(later) {
                end.last = None;
            }
        }
    }

    fn receive(&mut self, activation: &mut Activation<'_>) {
        let unwanted = self.stage.is_none() || matches!(self.phase, Phase::Done | Phase::Over);
        let ordered = self.setup.ordered;
        // Where inputs are read one after another, times begin anew with each.
        let turns = ordered && self.inlets.len() > 1;
        for (input, inlet) in self.inlets.iter_mut().enumerate() {
            activation.drain(input, &mut |tick, rights, parcel| match parcel {
                Parcel::Rows { from, batch, .. } if !unwanted => {
                    inlet.rows(tick, rights, from, batch, ordered)
                }
                Parcel::Reached { from, key } if !unwanted && ordered => {
                    inlet.reached(tick, rights, from, key)
                }
                Parcel::Watermark {
                    from, time, pulse, ..
                } if !turns => inlet.watermark(tick, rights, from, (time, pulse)),
                Parcel::End { from, .. } => inlet.end(tick, rights, from),
                _ => {}
            });
        }
    }

    /// Works until the fuel is used up (then true), or there is nothing to do.
    fn work(&mut self, activation: &mut Activation<'_>) -> Result<bool> {
        for _ in 0..FUEL {
            if self.is_over() {
                return self.hand_in(activation);
            }
            if matches!(self.phase, Phase::Writing { .. }) {
                if !self.write_on(activation)? {
                    return Ok(false);
                }
                continue;
            }
            if self.pass_time(activation)? {
                continue;
            }
            if matches!(self.phase, Phase::Running)
                && let Some((feed, next)) = self.next_batch(activation)?
            {
                self.take(activation, feed, next)?;
                continue;
            }
            if !self.settle(activation)? && !self.hand_in(activation)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Acts on the oldest watermark, if all rows up to its tick have been taken. Returns whether there was one.
    ///
    /// Watermarks and ends of all inputs are acted on in the order of their ticks, on every worker: what is written at a
    /// tick is one run of all workers only if they all know the same at it.
    fn pass_time(&mut self, activation: &mut Activation<'_>) -> Result<bool> {
        let Some(tick) = self
            .inlets
            .iter()
            .filter_map(|inlet| inlet.first_mark(self.limit))
            .min()
        else {
            return Ok(false);
        };
        let past = |(input, inlet): (usize, &Inlet)| {
            inlet.is_past(tick, |t| activation.may_come(input, t)) && !inlet.ends_before(tick)
        };
        if !self.inlets.iter().enumerate().all(past) {
            return Ok(false);
        }
        let rights = self.inlets.iter_mut().map(|inlet| inlet.take_mark(tick));
        let first = |(rights, a): (Rights, Option<usize>), (_, b): (Rights, Option<usize>)| {
            (rights, a.or(b))
        };
        let Some((rights, pulse)) = rights.flatten().reduce(first) else {
            return Ok(false);
        };
        let inlets = self.inlets.iter();
        let reached = inlets.map(|inlet| inlet.complete_to(tick)).min();
        let time = match pulse {
            // Whatever else may be known at this tick is acted on with the next watermark.
            Some(_) => self.reached,
            None => reached.unwrap_or(BEGINNING),
        };
        if time <= self.reached && pulse.is_none() {
            return Ok(true);
        }
        self.reached = time;
        if let (Phase::Running, Some(stage)) = (&self.phase, self.stage.as_mut()) {
            self.outlet
                .at(tick, is_oldest(activation, &self.inlets, tick));
            let flow = match pulse {
                Some(node) if node == self.setup.node => stage.on_pulse(&mut self.outlet)?,
                Some(_) => Flow::Ready,
                None => stage.on_watermark(time, &mut self.outlet)?,
            };
            self.flush(activation, &rights);
            self.follow(flow, tick, Rc::clone(&rights), About::Time(time, pulse));
        }
        if !matches!(self.phase, Phase::Writing { .. }) {
            self.pass_mark(activation, (time, pulse), &rights);
        }
        Ok(true)
    }

    /// Tells how far what this stage writes is complete.
    fn pass_mark(
        &mut self,
        activation: &mut Activation<'_>,
        (time, pulse): (EventTime, Option<usize>),
        rights: &Rights,
    ) {
        let stage = self
            .stage
            .as_ref()
            .filter(|_| !matches!(self.phase, Phase::Done));
        let time = stage.map_or(time, |stage| stage.progress(time));
        if self.setup.last && self.start.worker == 0 {
            self.setup.metrics.of(self.setup.node).reached.at(time);
        }
        // The last output carries progress alone.
        for port in 0..activation.outputs.len() - 1 {
            let mark = Parcel::Watermark {
                from: self.start.worker,
                time,
                pulse,
                copies: self.start.workers,
            };
            send(&mut activation.outputs[port], &rights[port], mark);
        }
    }

    /// The next batch, and which feed it came through.
    fn next_batch(&mut self, activation: &Activation<'_>) -> Result<Option<(usize, Came)>> {
        let next = match self.setup.ordered {
            true => (self.turn, self.next_in_order(activation)?),
            false => self.next_of_any(),
        };
        let (feed, Next::Batch(tick, rights, mut batch)) = next else {
            return Ok(None);
        };
        if let Some(lane) = self.setup.feeds[feed].lane {
            batch = in_lane(batch, lane);
        }
        let batch = self.numbered(batch)?;
        Ok(Some((feed, (tick, rights, batch))))
    }

    fn next_of_any(&mut self) -> (usize, Next) {
        for (at, inlet) in self.inlets.iter_mut().enumerate() {
            if let found @ Next::Batch(..) = inlet.any(self.limit) {
                return (at, found);
            }
        }
        (0, Next::Nothing)
    }

    /// Inputs whose turn has not come wait in their spools; then the spool of the input whose turn it is; then itself.
    fn next_in_order(&mut self, activation: &Activation<'_>) -> Result<Next> {
        let rows = (self.setup.batch_rows, self.limit);
        let held = self.held.as_ref().map(|(tick, _)| *tick);
        for input in self.turn + 1..self.inlets.len() {
            while let Next::Batch(_, _, batch) =
                self.inlets[input].ordered(rows, |t| activation.may_come(input, t))?
            {
                if let Some(spool) = self.spools[input].as_mut() {
                    spool.push(batch)?;
                }
            }
        }
        let turn = self.turn;
        let may_come = |tick: u64| activation.may_come(turn, tick);
        if let (Some(spool), Some(held_tick)) = (self.spools[turn].as_mut(), held) {
            // What arrived up to the tick at which the turn came is written at that tick, behind what waits already.
            while self.inlets[turn]
                .first_tick()
                .is_some_and(|tick| tick <= held_tick)
            {
                match self.inlets[turn].ordered(rows, may_come)? {
                    Next::Batch(_, _, batch) => spool.push(batch)?,
                    Next::Nothing => return Ok(Next::Nothing),
                }
            }
            if may_come(held_tick) && !self.inlets[turn].is_over() {
                return Ok(Next::Nothing);
            }
            if let (Some(batch), Some((tick, rights))) = (spool.pop()?, self.held.as_ref()) {
                return Ok(Next::Batch(*tick, Rc::clone(rights), batch));
            }
            self.spools[turn] = None;
        }
        if !self.inlets[turn].is_over() {
            // A live input needs no held rights: each batch brings its own.
            self.held = None;
        }
        self.inlets[turn].ordered(rows, may_come)
    }

    fn numbered(&mut self, batch: Batch) -> Result<Batch> {
        let known = *batch.places() != Places::Unknown && !self.setup.renumber;
        if !self.setup.number || known {
            return Ok(batch);
        }
        let first = Place::new(0, self.numbered)?;
        self.numbered += batch.len() as u64;
        Ok(batch.with_places(Places::From(first)))
    }

    fn take(
        &mut self,
        activation: &mut Activation<'_>,
        feed: usize,
        (tick, rights, batch): Came,
    ) -> Result<()> {
        let Some(stage) = self.stage.as_mut() else {
            return Ok(());
        };
        let feed = self.setup.feeds[feed];
        if feed.first {
            let counters = self.setup.metrics.of(self.setup.node);
            counters
                .rows_in
                .fetch_add(batch.len() as u64, Ordering::Relaxed);
            counters.batches_in.fetch_add(1, Ordering::Relaxed);
            counters
                .bytes_in
                .fetch_add(batch.bytes() as u64, Ordering::Relaxed);
            self.outlet.at(tick, false);
            let lane = match feed.input {
                0 => self.setup.lines.lane(&batch),
                _ => None,
            };
            self.outlet.count_rows(lane, batch.len());
        }
        let oldest = is_oldest(activation, &self.inlets, tick);
        self.outlet.at(tick, oldest);
        let began = Instant::now();
        let flow = match self.ends.len() {
            1 => stage.on_batch(batch, &mut self.outlet)?,
            _ => stage.on_input(feed.input, batch, &mut self.outlet)?,
        };
        let counters = self.setup.metrics.of(self.setup.node);
        counters.latency.count(began.elapsed());
        self.flush(activation, &rights);
        self.follow(flow, tick, rights, About::Batch);
        Ok(())
    }

    /// Calls a stage that has more to write, unless there is no room. Returns whether anything was done.
    fn write_on(&mut self, activation: &mut Activation<'_>) -> Result<bool> {
        let Phase::Writing {
            tick,
            rights,
            about,
        } = &self.phase
        else {
            return Ok(false);
        };
        let (tick, rights, about) = (*tick, Rc::clone(rights), *about);
        let oldest = is_oldest(activation, &self.inlets, tick);
        self.outlet.at(tick, oldest);
        if dataflow_core::Output::full(&self.outlet) {
            self.blocked_since.get_or_insert_with(Instant::now);
            return Ok(false);
        }
        if let Some(since) = self.blocked_since.take() {
            let counters = self.setup.metrics.of(self.setup.node);
            counters
                .blocked
                .fetch_add(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
        let Some(stage) = self.stage.as_mut() else {
            return Ok(false);
        };
        let flow = stage.more(&mut self.outlet)?;
        self.flush(activation, &rights);
        self.follow(flow, tick, Rc::clone(&rights), about);
        match (&self.phase, about) {
            (Phase::Over, _) => self.pass_on_end(activation, &rights)?,
            (Phase::Writing { .. }, _) => {}
            (_, About::Time(time, pulse)) => self.pass_mark(activation, (time, pulse), &rights),
            _ => {}
        }
        Ok(true)
    }

    fn follow(&mut self, flow: Flow, tick: u64, rights: Rights, about: About) {
        self.phase = match flow {
            Flow::More => Phase::Writing {
                tick,
                rights,
                about,
            },
            _ if about == About::End => Phase::Over,
            Flow::Ready => Phase::Running,
            Flow::Done => {
                self.setup.demand.done(self.setup.node, tick);
                self.inlets.iter_mut().for_each(Inlet::discard);
                self.spools.iter_mut().for_each(|spool| *spool = None);
                if !self.inlets.iter().all(Inlet::is_over) {
                    self.held = None;
                }
                Phase::Done
            }
        };
    }

    /// Looks for inputs that have ended. Returns whether something changed.
    fn settle(&mut self, activation: &mut Activation<'_>) -> Result<bool> {
        let takes_turns =
            self.setup.ordered && self.stage.is_some() && !matches!(self.phase, Phase::Done);
        let mut changed = false;
        for input in 0..self.inlets.len() {
            let ended =
                self.inlets[input].settle(self.limit, |tick| activation.may_come(input, tick));
            if let Some(end) = ended {
                changed = true;
                if takes_turns && input == self.turn {
                    self.held.get_or_insert_with(|| end.clone());
                }
                let last = &mut self.ends[self.setup.feeds[input].input].last;
                if last.as_ref().is_none_or(|(tick, _)| *tick < end.0) {
                    *last = Some(end);
                }
            }
        }
        if takes_turns {
            let spooled = self.spools[self.turn].is_some();
            if self.inlets[self.turn].is_over() && !spooled && self.turn + 1 < self.inlets.len() {
                self.turn += 1;
                return Ok(true);
            }
            if spooled {
                return Ok(changed);
            }
        }
        if self.ends.len() > 1 && self.tell_end(activation)? {
            return Ok(true);
        }
        if !self.inlets.iter().all(Inlet::is_over) {
            return Ok(changed);
        }
        let ends = self.ends.iter_mut().filter_map(|end| end.last.take());
        let Some((tick, rights)) = ends.max_by_key(|(tick, _)| *tick) else {
            return Ok(false);
        };
        // An earlier right would keep whoever reads this from taking what is written now.
        self.held = None;
        self.finish(activation, tick, rights)?;
        Ok(true)
    }

    /// Tells the stage that one of its inputs has ended, if one has of which it has not heard. Returns whether there was one.
    fn tell_end(&mut self, activation: &mut Activation<'_>) -> Result<bool> {
        let is_over = |input: usize| {
            let mut parts = self.setup.feeds.iter().zip(&self.inlets);
            parts.all(|(feed, inlet)| feed.input != input || inlet.is_over())
        };
        let new = |input: &usize| !self.ends[*input].told && is_over(*input);
        let Some(input) = (0..self.ends.len()).find(new) else {
            return Ok(false);
        };
        self.ends[input].told = true;
        let (Some((tick, rights)), Phase::Running, Some(stage)) =
            (&self.ends[input].last, &self.phase, self.stage.as_mut())
        else {
            return Ok(true);
        };
        let (tick, rights) = (*tick, Rc::clone(rights));
        self.outlet
            .at(tick, is_oldest(activation, &self.inlets, tick));
        let flow = stage.on_input_end(input, &mut self.outlet)?;
        self.flush(activation, &rights);
        self.follow(flow, tick, rights, About::Batch);
        Ok(true)
    }

    fn finish(&mut self, activation: &mut Activation<'_>, tick: u64, rights: Rights) -> Result<()> {
        self.outlet.at(tick, true);
        self.outlet.all_came();
        if let (Some(stage), true, Some(_)) =
            (&mut self.stage, self.setup.writes, &self.setup.snapshots)
        {
            let mut saved = Saved::default();
            stage.save(&mut saved)?;
            self.last_held = Some(saved);
        }
        let flow = match (&self.phase, self.stage.as_mut()) {
            (Phase::Running | Phase::Done, Some(stage)) => stage.on_end(&mut self.outlet)?,
            _ => Flow::Ready,
        };
        self.flush(activation, &rights);
        self.follow(flow, tick, Rc::clone(&rights), About::End);
        if matches!(self.phase, Phase::Over) {
            self.pass_on_end(activation, &rights)?;
        }
        Ok(())
    }

    fn flush(&mut self, activation: &mut Activation<'_>, rights: &Rights) {
        let counters = self.setup.metrics.of(self.setup.node);
        for (port, batch) in self.outlet.take() {
            if self.setup.last && port < self.setup.ports {
                counters
                    .rows_out
                    .fetch_add(batch.len() as u64, Ordering::Relaxed);
                counters.port(port, batch.len() as u64);
                counters.batches_out.fetch_add(1, Ordering::Relaxed);
                counters
                    .bytes_out
                    .fetch_add(batch.bytes() as u64, Ordering::Relaxed);
            }
            let (from, workers) = (self.start.worker, self.start.workers);
            let copies = self.setup.copies && port == 0 && workers > 1;
            let parcel = match copies {
                true => Parcel::Copied {
                    from,
                    batch,
                    copies: workers,
                },
                false => Parcel::rows(from, batch, workers),
            };
            send(&mut activation.outputs[port], &rights[port], parcel);
        }
    }

    fn pass_on_end(&mut self, activation: &mut Activation<'_>, rights: &Rights) -> Result<()> {
        self.outlet.release()?;
        self.flush(activation, rights);
        // Dropped here rather than with the dataflow: state and files are not needed any more.
        self.stage = None;
        // The last output carries progress alone.
        for port in 0..activation.outputs.len() - 1 {
            let end = Parcel::End {
                from: self.start.worker,
                copies: self.start.workers,
            };
            send(&mut activation.outputs[port], &rights[port], end);
        }
        self.held = None;
        self.ends.iter_mut().for_each(|end| end.last = None);
        let counters = self.setup.metrics.of(self.setup.node);
        if self.setup.last && counters.ended(self.start.workers) {
            tracing::info!(component = %self.setup.id, "finished");
        }
        Ok(())
    }

    /// Shows how much state this worker holds, as a difference to what it showed before.
    fn show_state(&mut self) {
        let now = self
            .stage
            .as_ref()
            .map_or((0, 0), |stage| (stage.bytes() as u64, stage.keys() as u64));
        if now == self.seen {
            return;
        }
        let metrics = &self.setup.metrics;
        metrics.state(self.setup.node, self.seen.0, now.0);
        metrics
            .of(self.setup.node)
            .keys
            .fetch_add(now.1.wrapping_sub(self.seen.1), Ordering::Relaxed);
        self.seen = now;
    }
}

fn is_oldest(activation: &Activation<'_>, inlets: &[Inlet], tick: u64) -> bool {
    tick == 0 || (0..inlets.len()).all(|input| !activation.may_come(input, tick - 1))
}

/// The batch with its rows' places in a lane, so that places tell the inputs of a union apart.
fn in_lane(batch: Batch, lane: u32) -> Batch {
    let places = match batch.places() {
        Places::Unknown => Places::Unknown,
        Places::From(first) => Places::From(first.in_lane(lane)),
        Places::Each(each) => Places::Each(
            each.iter()
                .map(|place| Place(*place).in_lane(lane).0)
                .collect(),
        ),
    };
    batch.with_places(places)
}
