//! One input of an operator: parcels stashed by tick, handed on as they come or in the stream's order.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use dataflow_core::runs::{Merge, Merged};
use dataflow_core::time::{BEGINNING, END, Instant};
use dataflow_core::{Batch, Result};
use timely::dataflow::operators::Capability;

/// Rights to send at one tick, one per output.
pub type Rights = Rc<Vec<Capability<u64>>>;

/// What arrived at one tick.
struct Tick {
    rights: Rights,
    /// Batches in the order of arrival; those of sorted runs wait by sender instead.
    queue: VecDeque<Batch>,
    runs: Option<Runs>,
    /// Which workers' sorted runs have no further rows at this tick.
    ended: Vec<bool>,
    /// How far each worker's rows are complete, if this tick carries a watermark.
    marks: Option<Vec<Option<Instant>>>,
    /// The component that is to write early results at this tick.
    pulse: Option<usize>,
}

struct Runs {
    merge: Merge,
    waiting: Vec<VecDeque<Batch>>,
    /// How far each run is, behind its waiting rows; taken when the merge was told.
    reached: Vec<Option<Vec<u8>>>,
}

/// One input.
pub struct Inlet {
    workers: usize,
    ticks: BTreeMap<u64, Tick>,
    end: Option<(u64, Rights)>,
    /// Where rows stay on their worker: this one, whose end is the end of the input.
    only: Option<usize>,
    only_ended: bool,
    over: bool,
    /// The tick of the end that was noticed.
    ended_at: Option<u64>,
    /// How far each worker's rows are complete.
    reached: Vec<Instant>,
}

/// What an inlet has for its operator.
pub enum Next {
    /// A batch, its tick and the rights that came with it.
    Batch(u64, Rights, Batch),
    /// Nothing at the moment.
    Nothing,
}

impl Inlet {
    /// An input that `workers` workers send to, or `only` this one.
    pub fn new(workers: usize, only: Option<usize>) -> Self {
        Self {
            workers,
            ticks: BTreeMap::new(),
            end: None,
            only,
            only_ended: false,
            over: false,
            ended_at: None,
            reached: vec![BEGINNING; workers],
        }
    }

    /// Whether the input has ended and everything was taken.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The oldest tick that is stashed.
    pub fn first_tick(&self) -> Option<u64> {
        self.ticks.keys().next().copied()
    }

    fn tick(&mut self, tick: u64, rights: impl FnOnce() -> Rights) -> &mut Tick {
        let workers = self.workers;
        self.ticks.entry(tick).or_insert_with(|| Tick {
            rights: rights(),
            queue: VecDeque::new(),
            runs: None,
            ended: vec![false; workers],
            marks: None,
            pulse: None,
        })
    }

    /// A batch arrived.
    pub fn rows(
        &mut self,
        tick: u64,
        rights: impl FnOnce() -> Rights,
        from: usize,
        batch: Batch,
        ordered: bool,
    ) {
        let workers = self.workers;
        let tick = self.tick(tick, rights);
        if ordered && batch.order().is_some() {
            let runs = tick.runs.get_or_insert_with(|| Runs::new(workers));
            runs.waiting[from].push_back(batch);
        } else {
            tick.queue.push_back(batch);
        }
    }

    /// The sorted run of worker `from` has no further rows below `key`.
    pub fn reached(
        &mut self,
        tick: u64,
        rights: impl FnOnce() -> Rights,
        from: usize,
        key: Vec<u8>,
    ) {
        let workers = self.workers;
        let tick = self.tick(tick, rights);
        let runs = tick.runs.get_or_insert_with(|| Runs::new(workers));
        runs.reached[from] = Some(key);
    }

    /// What worker `from` sends at later ticks is not older than `time`, or late.
    pub fn watermark(
        &mut self,
        tick: u64,
        rights: impl FnOnce() -> Rights,
        from: usize,
        (time, pulse): (Instant, Option<usize>),
    ) {
        let workers = self.workers;
        let tick = self.tick(tick, rights);
        tick.ended[from] = true;
        tick.pulse = tick.pulse.or(pulse);
        tick.marks.get_or_insert_with(|| vec![None; workers])[from] = Some(time);
    }

    /// The oldest tick before `limit` with a watermark.
    pub fn first_mark(&self, limit: u64) -> Option<u64> {
        let mut ticks = self.ticks.range(..limit);
        ticks.find_map(|(tick, entry)| entry.marks.as_ref().map(|_| *tick))
    }

    /// Whether the input ended before `tick`, which is yet to be noticed.
    pub fn ends_before(&self, tick: u64) -> bool {
        let ended = |(end, _): &(u64, Rights)| *end < tick;
        !self.over && self.end.as_ref().is_some_and(ended)
    }

    /// Whether nothing up to a tick can come any more, and all that came was taken.
    pub fn is_past(&self, tick: u64, may_come: impl Fn(u64) -> bool) -> bool {
        let rows = self
            .ticks
            .range(..=tick)
            .any(|(_, entry)| !entry.is_empty());
        self.over || (!rows && !may_come(tick))
    }

    /// Takes the watermark of a tick, if there is one: the rights that came with it, and who is to write early results.
    pub fn take_mark(&mut self, tick: u64) -> Option<(Rights, Option<usize>)> {
        let entry = self.ticks.get_mut(&tick)?;
        let marks = entry.marks.take()?;
        for (reached, mark) in self.reached.iter_mut().zip(marks) {
            *reached = mark.map_or(*reached, |mark| mark.max(*reached));
        }
        Some((Rc::clone(&entry.rights), entry.pulse.take()))
    }

    /// How far the rows of all workers are complete that send here, as seen at `tick`: not by when this worker learned of an end.
    pub fn complete_to(&self, tick: u64) -> Instant {
        let least = || self.reached.iter().copied().min().unwrap_or(END);
        match self.only {
            _ if self.ended_at.is_some_and(|end| end <= tick) => END,
            Some(only) => self.reached[only],
            None => least(),
        }
    }

    /// Worker `from` sends nothing more.
    pub fn end(&mut self, tick: u64, rights: impl FnOnce() -> Rights, from: usize) {
        if self.over {
            return;
        }
        self.only_ended |= self.only == Some(from);
        let entry = self.tick(tick, rights);
        entry.ended[from] = true;
        let rights = Rc::clone(&entry.rights);
        if self.end.as_ref().is_none_or(|(end, _)| *end < tick) {
            self.end = Some((tick, rights));
        }
    }

    /// Whether this input goes on behind `tick`, when all parcels up to there have arrived.
    pub fn ends_after(&self, tick: u64) -> bool {
        !self.over && self.end.as_ref().is_none_or(|(end, _)| *end > tick)
    }

    /// Whether all that came before the tick `limit`, and may come, was taken.
    pub fn is_done_before(&self, limit: u64, may_come: impl Fn(u64) -> bool) -> bool {
        let ended = |(end, _): &(u64, Rights)| *end < limit;
        let ends = self.end.as_ref().is_some_and(ended);
        self.over || (!ends && !may_come(limit - 1) && self.ticks.range(..limit).next().is_none())
    }

    /// The next batch before the tick `limit` in any order, the smallest tick first.
    pub fn any(&mut self, limit: u64) -> Next {
        for (tick, entry) in self.ticks.range_mut(..limit) {
            if let Some(batch) = entry.queue.pop_front() {
                return Next::Batch(*tick, Rc::clone(&entry.rights), batch);
            }
        }
        Next::Nothing
    }

    /// The next batch before the tick `limit` in the stream's order. `may_come(t)` tells whether more may still arrive at tick `t` or before.
    ///
    /// # Errors
    /// When runs cannot be merged.
    pub fn ordered(
        &mut self,
        (rows, limit): (usize, u64),
        may_come: impl Fn(u64) -> bool,
    ) -> Result<Next> {
        loop {
            let Some(mut first) = self.ticks.first_entry() else {
                return Ok(Next::Nothing);
            };
            let tick = *first.key();
            if tick >= limit {
                return Ok(Next::Nothing);
            }
            if tick > 0 && may_come(tick - 1) {
                return Ok(Next::Nothing);
            }
            let complete = !may_come(tick);
            let entry = first.get_mut();
            if let Some(batch) = entry.queue.pop_front() {
                return Ok(Next::Batch(tick, Rc::clone(&entry.rights), batch));
            }
            if let Some(runs) = &mut entry.runs
                && let Some(batch) = runs.next(rows, complete, &entry.ended)?
            {
                return Ok(Next::Batch(tick, Rc::clone(&entry.rights), batch));
            }
            // A watermark is acted on between its tick and the next.
            if !complete || entry.marks.is_some() {
                return Ok(Next::Nothing);
            }
            self.ticks.remove(&tick);
        }
    }

    /// Forgets ticks that are complete and empty, so that their rights are given back.
    ///
    /// To be called at the end of every activation, also of an operator that cannot write at the moment: whoever is to make room
    /// for it may be waiting for exactly these ticks.
    pub fn forget(&mut self, may_come: impl Fn(u64) -> bool) {
        self.ticks
            .retain(|tick, entry| !entry.is_empty() || entry.marks.is_some() || may_come(*tick));
    }

    /// Notices the end. Returns the rights of the end's tick once, when nothing can come any more and everything was
    /// taken.
    ///
    /// Where rows stay on their worker, the others' ends are not waited for: they may come only when somebody took the rows
    /// of those workers, who in turn may be waiting to hear that this one has no more.
    pub fn settle(&mut self, limit: u64, may_come: impl Fn(u64) -> bool) -> Option<(u64, Rights)> {
        let only = self.end.as_ref().filter(|_| self.only_ended);
        let only = only.map(|(tick, _)| *tick);
        let may_come = |tick: u64| match only {
            Some(end) if end == tick => tick > 0 && may_come(tick - 1),
            _ => may_come(tick),
        };
        self.forget(may_come);
        let (tick, _) = self.end.as_ref()?;
        if self.over || *tick >= limit || may_come(*tick) || !self.ticks.is_empty() {
            return None;
        }
        self.over = true;
        self.ended_at = Some(*tick);
        self.end.take()
    }

    /// Throws away what is stashed (the operator wants nothing more).
    pub fn discard(&mut self) {
        for entry in self.ticks.values_mut() {
            entry.queue.clear();
            entry.runs = None;
        }
    }
}

impl Tick {
    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.runs.as_ref().is_none_or(Runs::is_empty)
    }
}

impl Runs {
    fn new(workers: usize) -> Self {
        Self {
            merge: Merge::new(workers).without_keys(),
            waiting: vec![VecDeque::new(); workers],
            reached: vec![None; workers],
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.iter().all(VecDeque::is_empty) && self.merge.is_drained()
    }

    fn next(&mut self, rows: usize, complete: bool, ended: &[bool]) -> Result<Option<Batch>> {
        loop {
            match self.merge.next(rows)? {
                Merged::Rows(batch) => return Ok(Some(batch)),
                Merged::End => return Ok(None),
                Merged::Starved(run) => match self.waiting[run].pop_front() {
                    Some(batch) => self.merge.feed(run, batch)?,
                    None if complete || ended[run] => self.merge.end(run),
                    None => match self.reached[run].take() {
                        Some(key) => self.merge.reach(run, &key),
                        None => return Ok(None),
                    },
                },
            }
        }
    }
}
