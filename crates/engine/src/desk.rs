//! The desk: alone it holds the sources' capabilities, admits pieces against the byte budget, and ends the streams.
//!
//! On worker 0. Per source, a thread cuts splits into pieces; the desk reserves a piece's bytes, gives it a tick and sends
//! it to the worker with the least to read. The bytes come back when the tick retires: when every operator is past it.
//! A source whose rows are to meet a complete table begins when the sources of the table have ended and their ends have retired.
//!
//! Where event times count, the desk also carries the newest time of each split from piece to piece (`clock`), reads the splits
//! of a source aligned in time unless somebody needs the stream's own order, and sends watermarks, each at a tick of its own.

mod arriving;
mod cutter;
mod cutting;
mod pace;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as WallTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use dataflow_core::error::Fault;
use dataflow_core::memory::{Charge, Gauge};
use dataflow_core::plan::SourceTime;
use dataflow_core::source::Head;
use dataflow_core::time::{BEGINNING, END, Instant, Newest};
use dataflow_core::{Cutter, Error, Every, Piece, Place, Result, Source, Split};
use timely::dataflow::operators::Capability;
use timely::scheduling::SyncActivator;

use arriving::{Arrived, Ending};
use cutting::{Cutting, Due};
use pace::{Pace, Wants};

use crate::abort::{Abort, lock};
use crate::clock::Clock;
use crate::demand::Demand;
use crate::fabric::{Activation, Start, send};
use crate::message::Parcel;
use crate::metrics::Metrics;
use crate::outlet::BadRowPolicy;
use crate::positions::{Facts, HEAD, Progress, SourcePosition};
use crate::snapshots::{Pause, Snapshots, first_of};
use crate::splits::{FurtherNumbers, SplitNames, Splits};

/// Pieces cut ahead of admission, per source.
const CUT_AHEAD: usize = 2;
/// Pieces that a worker may have to read at a time.
const PIECES_PER_WORKER: usize = 3;

/// A source as the desk sees it.
pub struct DeskSource {
    /// Its index in the plan.
    pub node: usize,
    /// Its id.
    pub id: Arc<str>,
    /// The source.
    pub source: Arc<dyn Source>,
    /// Its splits.
    pub splits: Splits,
    /// Where its event times count: how.
    pub time: Option<SourceTime>,
    /// The sources that are read to their end before it begins.
    pub behind: Vec<usize>,
    /// Whether the rows of others wait for its end.
    pub awaited: bool,
}

/// What the desk needs to know.
pub struct DeskSetup {
    /// The sources.
    pub sources: Vec<DeskSource>,
    /// The bytes that all sources together may have in flight.
    pub share: usize,
    /// Counts them.
    pub gauge: Arc<Gauge>,
    /// The switch that stops the run.
    pub abort: Arc<Abort>,
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// Who still wants rows.
    pub demand: Arc<Demand>,
    /// How many bad rows are too many, component by component.
    pub policies: Vec<Arc<BadRowPolicy>>,
    /// How many files of a source with time are read side by side.
    pub open_files: usize,
    /// The numbers of splits that come.
    pub further: Arc<FurtherNumbers>,
    /// The names of all splits.
    pub names: Arc<SplitNames>,
    /// The components that write early results, and how often.
    pub pulses: Vec<(usize, Duration)>,
    /// Where snapshots go, and how often there is to be one.
    pub snapshots: Option<(Arc<Snapshots>, Every)>,
    /// Whether the run is to stop behind the next one.
    pub pause: Arc<Pause>,
}

/// Runs the desk again, from any thread.
type Wake = Arc<Mutex<SyncActivator>>;

enum Cut {
    /// What is known of the times of the splits before they are read.
    Bounds(Vec<Instant>),
    /// These splits have come, and have these numbers.
    Arrived(Vec<(Split, u32)>),
    /// No more come.
    NoMore,
    /// A split was opened: what it begins with, if that is known.
    Begun(usize, Option<Head>),
    Piece(Piece),
    /// A split has no further piece.
    SplitEnd(usize),
    End,
}

struct Open {
    node: usize,
    right: Option<Capability<u64>>,
    time: Option<SourceTime>,
    clock: Option<Clock>,
    /// Where splits are asked for rather than taken as they come: how.
    asks: Option<Asks>,
    cuts: Receiver<Cut>,
    /// Wakes the thread that cuts, where it waits until rows are due, by being dropped.
    wants: Option<Wants>,
    /// Ends the waiting for splits that come, by being dropped.
    arriving: Option<Ending>,
    /// When it last had something to say, or could not.
    heard: WallTime,
    next: Option<Piece>,
    ended: bool,
    /// The tick of its end, once that was sent.
    end: Option<u64>,
    /// How far it has been read, for snapshots.
    progress: Progress,
    /// The worker that reads the piece admitted last.
    last_reader: usize,
}

/// Asking for pieces of certain splits.
struct Asks {
    splits: Sender<usize>,
    /// Asked for and not yet answered; none before the bounds are known.
    open: Option<usize>,
}

impl Open {
    /// When it will have been silent for long enough not to be waited for; none if it has something to say, or is to be waited
    /// for however long.
    fn idle_at(&self) -> Option<WallTime> {
        let idle = self.time?.rule.idle?;
        let speaks = self.next.is_some() || self.ended || self.right.is_none();
        let reads = self.clock.as_ref().is_some_and(Clock::is_reading);
        let idle = Duration::from_nanos(idle.unsigned_abs());
        (!speaks && !reads).then(|| self.heard + idle)
    }

    /// Whether it holds nobody back at the moment.
    fn is_idle(&self) -> bool {
        self.idle_at().is_some_and(|at| at <= WallTime::now())
    }
}

/// Wakes the desk at a time of its choice, from a thread that sleeps until then.
struct Alarm {
    at: Sender<WallTime>,
}

impl Alarm {
    fn new(wake: Wake) -> Self {
        let (at, times) = unbounded::<WallTime>();
        // The thread ends with the desk. Where there is none, a silent source is waited for.
        let _ = std::thread::Builder::new()
            .name("alarm".into())
            .spawn(move || {
                while let Ok(mut due) = times.recv() {
                    loop {
                        match times.recv_deadline(due) {
                            Ok(other) => due = due.min(other),
                            Err(RecvTimeoutError::Timeout) => break,
                            Err(RecvTimeoutError::Disconnected) => return,
                        }
                    }
                    let _ = lock(&wake).activate();
                }
            });
        Self { at }
    }

    fn at(&self, time: WallTime) {
        let _ = self.at.send(time);
    }
}

/// The clock of a source, which goes on where an earlier run was.
fn clock(source: &DeskSource, time: SourceTime, open_files: usize) -> Clock {
    let splits = &source.splits;
    let mut clock = Clock::new(time.rule, splits.all.len(), open_files);
    for (split, position) in &splits.from {
        clock.resume(*split, position.newest);
    }
    if let Some(arriving) = splits.arriving {
        clock.gone(arriving.gone);
    }
    if source.source.grows() {
        clock.grow();
    }
    let arrived = splits.arrived().into_iter();
    arrived.for_each(|split| clock.add_behind(split));
    clock
}

/// The desk.
pub struct Desk {
    setup: DeskSetup,
    open: Vec<Open>,
    threads: Vec<JoinHandle<()>>,
    /// Reserved bytes by tick, and the worker that reads it until it was read.
    in_flight: BTreeMap<u64, Charge>,
    to_read: Vec<usize>,
    next_tick: u64,
    turn: usize,
    /// The watermark sent last, by group.
    watermarks: BTreeMap<usize, Instant>,
    /// The same when the last snapshot was begun.
    watermarks_before: BTreeMap<usize, Instant>,
    /// When each component is to write early results.
    due: Vec<WallTime>,
    epoch: u64,
    cutting: Cutting,
    /// Rows admitted, and how many they were when the last snapshot was begun.
    admitted: u64,
    admitted_before: u64,
    /// How many snapshots have been begun since something happened.
    still: u32,
    /// Whether nothing has been admitted behind the snapshot that is being made.
    pausing: bool,
    /// Whether everything had been read when it was begun.
    finishing: bool,
    alarm: Option<Alarm>,
    start: Start,
}

impl Desk {
    /// Starts to cut. The desks on other workers hold nothing and do nothing.
    pub fn new(setup: DeskSetup, mut start: Start) -> Self {
        let mut open = Vec::new();
        let mut threads = Vec::new();
        let mut alarm = None;
        let capabilities = std::mem::take(&mut start.capabilities);
        let wake: Wake = Arc::new(Mutex::new((start.wake)()));
        if start.worker == 0 {
            for (source, right) in setup.sources.iter().zip(capabilities) {
                let aligned = source.time.is_some_and(|time| time.aligned);
                let (out, cuts) = match aligned {
                    // As many as are asked for: that is the bound.
                    true => unbounded(),
                    false => bounded(CUT_AHEAD),
                };
                let (splits, asked) = unbounded();
                let wants = Wants::default();
                let (arriving, arrived) = arriving::watch(source, &setup, &mut threads).unzip();
                threads.extend(cutter::spawn(
                    source,
                    (out, asked, arrived, &wants),
                    Arc::clone(&wake),
                    &setup,
                ));
                open.push(Open {
                    node: source.node,
                    right: Some(right),
                    time: source.time,
                    clock: source
                        .time
                        .map(|time| clock(source, time, setup.open_files)),
                    asks: aligned.then_some(Asks { splits, open: None }),
                    cuts,
                    wants: Some(wants),
                    arriving,
                    heard: WallTime::now(),
                    next: None,
                    ended: false,
                    end: None,
                    progress: Progress::from(source.splits.from.clone()),
                    last_reader: 0,
                });
            }
            let idle = |source: &DeskSource| source.time.is_some_and(|t| t.rule.idle.is_some());
            let by_clock = !setup.pulses.is_empty() || setup.snapshots.is_some();
            if setup.sources.iter().any(idle) || by_clock {
                alarm = Some(Alarm::new(Arc::clone(&wake)));
            }
            if let Some((snapshots, _)) = &setup.snapshots {
                let wake = Arc::clone(&wake);
                let woken = Arc::clone(&wake);
                snapshots.wake_with(move || {
                    let _ = lock(&wake).activate();
                });
                setup.pause.wake_with(move || {
                    let _ = lock(&woken).activate();
                });
            }
            setup.demand.wake_with(move || {
                let _ = lock(&wake).activate();
            });
        }
        let due = setup
            .pulses
            .iter()
            .map(|(_, every)| WallTime::now() + *every);
        Self {
            due: due.collect(),
            epoch: 0,
            cutting: match &setup.snapshots {
                Some((_, every)) => Cutting::Until(Due::next(*every, 0)),
                None => Cutting::Over,
            },
            admitted: 0,
            admitted_before: 0,
            still: 0,
            pausing: false,
            finishing: false,
            setup,
            open,
            threads,
            in_flight: BTreeMap::new(),
            to_read: vec![0; start.workers],
            next_tick: 0,
            turn: 0,
            watermarks: BTreeMap::new(),
            watermarks_before: BTreeMap::new(),
            alarm,
            start,
        }
    }

    /// Runs once. Input 0 is everybody's progress, input 1 the facts of the readers.
    pub fn activate(&mut self, activation: &mut Activation<'_>) {
        let (in_flight, to_read, open) = (&mut self.in_flight, &mut self.to_read, &mut self.open);
        let mut judged = Vec::new();
        activation.drain(0, &mut |_, _, _| {});
        activation.drain(1, &mut |_, _, parcel| match parcel {
            Parcel::Facts(facts) => {
                to_read[facts.worker] -= 1;
                if let Some(charge) = in_flight.get_mut(&facts.tick) {
                    charge.resize(facts.bytes);
                }
                let sources = open.iter_mut();
                sources.for_each(|open| open.progress.read(facts.tick, facts.rows));
            }
            Parcel::Judged { tick, newest } => judged.push((tick, newest)),
            _ => {}
        });
        if self.setup.abort.is_raised() {
            self.open.clear();
            return;
        }
        match activation.oldest(0) {
            Some(oldest) => self.in_flight = self.in_flight.split_off(&oldest),
            None => self.in_flight.clear(),
        }
        if self.start.worker == 0 {
            let limit = match self.cutting {
                Cutting::Before(limit) => limit,
                _ => u64::MAX,
            };
            self.judge(activation.oldest(0).map(|oldest| oldest.min(limit)));
        }
        for (tick, newest) in judged {
            let sources = self.open.iter_mut();
            sources.for_each(|open| open.progress.judged(tick, newest));
            self.stamp_next(tick, newest, activation);
        }
        // What an earlier run knew of the time is told before the first row.
        self.tell_time(activation);
        self.admit(activation);
        self.tell_time(activation);
        self.pulse(activation);
        self.cut(activation);
        if let Some(alarm) = &self.alarm {
            let now = WallTime::now();
            let silent = self.open.iter().filter_map(Open::idle_at);
            silent.filter(|at| *at > now).for_each(|at| alarm.at(at));
        }
        // Moved before anything waits: a source with nothing to say must not hold back those that have.
        for open in &mut self.open {
            if let Some(right) = &mut open.right {
                right.downgrade(&self.next_tick);
            }
        }
    }

    /// A piece was judged: so may be the piece behind it in its split.
    fn stamp_next(&mut self, tick: u64, newest: Newest, activation: &mut Activation<'_>) {
        for (which, open) in self.open.iter_mut().enumerate() {
            let Some(clock) = &mut open.clock else {
                continue;
            };
            if let (Some(stamp), Some(right)) = (clock.read(tick, newest), &open.right) {
                let stamp = Parcel::Stamp {
                    to: stamp.reader,
                    tick: stamp.tick,
                    newest: stamp.newest,
                };
                send(&mut activation.outputs[which], right, stamp);
            }
        }
    }

    /// Sends the watermarks that have moved, each at a tick of its own on all sources of its group.
    fn tell_time(&mut self, activation: &mut Activation<'_>) {
        let mut reached: BTreeMap<usize, Instant> = BTreeMap::new();
        for (open, source) in self.open.iter().zip(&self.setup.sources) {
            let (Some(time), Some(clock)) = (open.time, &open.clock) else {
                continue;
            };
            self.setup.metrics.of(open.node).reached.at(clock.shown());
            // What an earlier run has said holds.
            let now = match open.right {
                Some(_) if !open.is_idle() => clock.watermark().max(source.splits.watermark),
                _ => END,
            };
            let least = reached.entry(time.group).or_insert(END);
            *least = now.min(*least);
        }
        for (group, time) in reached {
            let before = self.watermarks.entry(group).or_insert(BEGINNING);
            // What follows the last row is the end itself.
            if time <= *before || time == END {
                continue;
            }
            *before = time;
            let tick = self.next_tick;
            self.next_tick += 1;
            for (which, open) in self.open.iter_mut().enumerate() {
                let in_group = open.time.is_some_and(|time| time.group == group);
                if let (Some(right), true) = (&mut open.right, in_group) {
                    right.downgrade(&tick);
                    let mark = Parcel::Watermark {
                        from: self.start.worker,
                        time,
                        pulse: None,
                        copies: self.start.workers,
                    };
                    send(&mut activation.outputs[which], right, mark);
                }
            }
        }
    }

    /// Tells components whose time it is to write early results, each at a tick of its own.
    fn pulse(&mut self, activation: &mut Activation<'_>) {
        let Some(alarm) = &self.alarm else { return };
        let now = WallTime::now();
        for (due, (node, every)) in self.due.iter_mut().zip(&self.setup.pulses) {
            if *due > now {
                continue;
            }
            // Those that were missed are not made up for.
            *due = now + *every;
            let tick = self.next_tick;
            self.next_tick += 1;
            for (which, open) in self.open.iter_mut().enumerate() {
                if let (Some(right), Some(time)) = (&mut open.right, open.time) {
                    right.downgrade(&tick);
                    let reached = self.watermarks.get(&time.group);
                    let mark = Parcel::Watermark {
                        from: self.start.worker,
                        time: reached.copied().unwrap_or(BEGINNING),
                        pulse: Some(*node),
                        copies: self.start.workers,
                    };
                    send(&mut activation.outputs[which], right, mark);
                }
            }
        }
        if self.open.iter().any(|open| open.right.is_some()) {
            self.due.iter().for_each(|due| alarm.at(*due));
        }
    }

    /// Looks whether there are too many bad rows among those that everybody is past.
    fn judge(&self, before: Option<u64>) {
        let Some(before) = before else { return };
        for policy in &self.setup.policies {
            if let Err(error) = policy.judge(Some(before), &self.setup.demand) {
                self.setup.abort.raise(error);
            }
        }
    }

    fn admit(&mut self, activation: &mut Activation<'_>) {
        let sources = self.open.len();
        let mut idle = 0;
        while sources > 0 && idle < sources && !self.pauses() && !self.is_due_by_rows() {
            let which = self.turn % sources;
            self.turn += 1;
            idle = if self.admit_from(which, activation) {
                0
            } else {
                idle + 1
            };
        }
    }

    /// Takes what was cut until there is a piece, and asks for more.
    fn look(&mut self, which: usize) {
        let most = 2 * self.start.workers;
        let (open, splits) = (&mut self.open[which], &mut self.setup.sources[which].splits);
        while open.next.is_none() && !open.ended {
            match open.cuts.try_recv() {
                Ok(Cut::Piece(piece)) => open.next = Some(piece),
                Ok(Cut::End) => open.ended = true,
                Ok(Cut::Begun(split, head)) => open.progress.begun(split, head),
                Ok(Cut::Bounds(bounds)) => {
                    if let Some(clock) = &mut open.clock {
                        clock.bounds(&bounds);
                    }
                    if let Some(asks) = &mut open.asks {
                        asks.open = Some(0);
                    }
                }
                Ok(Cut::Arrived(arrived)) => {
                    for (split, number) in arrived {
                        if let Some(clock) = &mut open.clock {
                            clock.add_behind(splits.all.len());
                        }
                        splits.add(split, number);
                    }
                }
                Ok(Cut::NoMore) => {
                    if let Some(clock) = &mut open.clock {
                        clock.stay();
                    }
                }
                Ok(Cut::SplitEnd(split)) => {
                    open.progress.ended(split, self.next_tick);
                    if let Some(clock) = &mut open.clock {
                        clock.cut(split);
                    }
                    if let Some(asks) = &mut open.asks {
                        asks.open = asks.open.map(|open| open - 1);
                    }
                }
                Err(_) => break,
            }
        }
        if open.next.is_some() {
            open.heard = WallTime::now();
        }
        let (Some(clock), Some(asks)) = (&mut open.clock, &mut open.asks) else {
            return;
        };
        while let Some(asked) = asks.open.filter(|asked| *asked < most) {
            let Some(split) = clock.next_split() else {
                open.ended |= asked == 0 && open.next.is_none() && clock.is_cut();
                break;
            };
            asks.open = Some(asked + 1);
            // The thread may be gone; then it has raised its error.
            let _ = asks.splits.send(split);
        }
    }

    /// Whether another source of the group is less far in time, and is to go first.
    fn is_ahead(&self, which: usize, activation: &Activation<'_>) -> bool {
        let of = |open: &Open| Some((open.time?.group, open.clock.as_ref()?.far()));
        let Some((group, far)) = of(&self.open[which]) else {
            return false;
        };
        let others = self.open.iter().enumerate().filter(|(at, _)| *at != which);
        let counts = |at: usize, open: &Open| {
            open.right.is_some() && !open.is_idle() && self.may_begin(at, activation)
        };
        let mut others = others.filter(|(at, open)| counts(*at, open));
        others.any(|(_, open)| of(open).is_some_and(|(of, least)| of == group && least < far))
    }

    /// Admits one piece of source `which`, if there is one and room for it, or ends the source.
    fn admit_from(&mut self, which: usize, activation: &mut Activation<'_>) -> bool {
        let open = &mut self.open[which];
        if open.right.is_none() {
            return false;
        }
        self.look(which);
        let open = &self.open[which];
        let unwanted = self.setup.demand.is_done(open.node);
        if unwanted || (open.ended && open.next.is_none()) {
            // What is still to be judged waits for stamps, which come on this stream.
            if open.clock.as_ref().is_some_and(Clock::is_reading) {
                return false;
            }
            // What the ends make operators write comes behind the last snapshot. Until then a source may be said to have grown, by
            // a later run, unless others go on behind its end.
            let last = self.setup.snapshots.is_some() && self.cutting != Cutting::Over;
            let goes_on = unwanted || self.setup.sources[which].awaited;
            if last && (self.is_at_end() || !goes_on) {
                return false;
            }
            // Its end makes rows that were held leave, which are to meet a complete table as well.
            if !self.may_begin(which, activation) {
                return false;
            }
            self.end(which, activation);
            return true;
        }
        if open.next.is_none() || !self.may_begin(which, activation) {
            return false;
        }
        if self.is_ahead(which, activation) {
            return false;
        }
        let bytes = open.next.as_ref().map_or(0, |piece| piece.bytes);
        let room =
            self.setup.gauge.bytes() + bytes <= self.setup.share || self.in_flight.is_empty();
        let Some(reader) = self.reader_for(which).filter(|_| room) else {
            return false;
        };
        if let Some(piece) = self.open[which].next.take() {
            if let Some(asks) = &mut self.open[which].asks {
                asks.open = asks.open.map(|open| open - 1);
            }
            self.to_read[reader] += 1;
            self.open[which].last_reader = reader;
            self.send(which, reader, piece, activation);
        }
        true
    }

    /// Whether the sources that come before it have ended, and everybody is past their ends.
    fn may_begin(&self, which: usize, activation: &Activation<'_>) -> bool {
        let oldest = activation.oldest(0);
        let is_past = |tick: u64| oldest.is_none_or(|oldest| oldest > tick);
        let mut before = self.setup.sources[which].behind.iter();
        before.all(|source| self.open[*source].end.is_some_and(is_past))
    }

    /// The worker that is to read the next piece: one with nothing to read, or the one that has the piece before it (a
    /// reader that goes on where it was is faster), or one that is nearly through with what it has.
    fn reader_for(&self, which: usize) -> Option<usize> {
        let open = &self.open[which];
        let last = match (&open.asks, &open.clock, &open.next) {
            (Some(_), Some(clock), Some(piece)) => clock.last_reader(piece.split),
            _ => open.last_reader,
        };
        let least = (0..self.to_read.len()).min_by_key(|worker| self.to_read[*worker])?;
        if self.to_read[least] == 0 {
            return Some(least);
        }
        if self.to_read[last] < PIECES_PER_WORKER {
            return Some(last);
        }
        Some(least).filter(|least| self.to_read[*least] <= PIECES_PER_WORKER / 2)
    }

    fn send(&mut self, which: usize, to: usize, piece: Piece, activation: &mut Activation<'_>) {
        let tick = self.next_tick;
        self.next_tick += 1;
        self.admitted += piece.rows.unwrap_or_default();
        self.in_flight
            .insert(tick, self.setup.gauge.charge(piece.bytes));
        let open = &mut self.open[which];
        if self.setup.snapshots.is_some() {
            open.progress.admitted(tick, &piece);
        }
        let clock = open.clock.as_mut();
        let newest = clock.and_then(|clock| clock.admitted(piece.split, tick, to));
        if let Some(right) = &mut open.right {
            right.downgrade(&tick);
            send(
                &mut activation.outputs[which],
                right,
                Parcel::Token {
                    to,
                    piece: Box::new(piece),
                    newest,
                },
            );
        }
    }

    fn end(&mut self, which: usize, activation: &mut Activation<'_>) {
        let tick = self.next_tick;
        self.next_tick += 1;
        let open = &mut self.open[which];
        open.next = None;
        open.asks = None;
        open.wants = None;
        open.arriving = None;
        // The thread that cuts may be waiting for room: closing the channel lets it go.
        open.cuts = bounded(0).1;
        if let Some(mut right) = open.right.take() {
            right.downgrade(&tick);
            open.end = Some(tick);
            let end = Parcel::End {
                from: self.start.worker,
                copies: self.start.workers,
            };
            send(&mut activation.outputs[which], &right, end);
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.open.clear();
        for thread in self.threads.drain(..) {
            // One that waits for a pipe may wait for ever: it holds nothing that anybody needs.
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}
