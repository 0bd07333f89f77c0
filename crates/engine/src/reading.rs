//! Reads pieces on one worker: a thread of its own decodes, the operator sends what it decoded at the piece's tick.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use arrow_array::BooleanArray;
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};
use dataflow_core::time::{Instant as EventTime, Newest};
use dataflow_core::{
    Batch, Decoded, Error, Output, Piece, Place, Reader, Result, Source, TimeRule,
};
use timely::scheduling::SyncActivator;

use crate::abort::Abort;
use crate::fabric::{Activation, Start, send};
use crate::inlet::Rights;
use crate::message::{Facts, Parcel};
use crate::metrics::Metrics;
use crate::outlet::Outlet;
use crate::splits::SplitNames;

/// How many decoded batches wait at most between the thread and the operator.
const AHEAD: usize = 4;
/// How many batches one activation sends at most.
const FUEL: usize = 8;

/// What the operator needs to know.
pub struct ReadingSetup {
    /// The source's index in the plan.
    pub node: usize,
    /// Its id.
    pub id: Arc<str>,
    /// The source.
    pub source: Arc<dyn Source>,
    /// The output of facts; behind it comes the one that carries progress alone.
    pub facts: usize,
    /// What is said of the rows' event times, where they count.
    pub time: Option<TimeRule>,
    /// How many rows a batch should have.
    pub batch_rows: usize,
    /// How many rows of some splits, by their numbers, an earlier run has read.
    pub from: Arc<HashMap<u32, u64>>,
    /// What an earlier run knew of the time, if there is anything new.
    pub passed: Option<Passed>,
    /// The switch that stops the run.
    pub abort: Arc<Abort>,
    /// The numbers.
    pub metrics: Arc<Metrics>,
}

/// What an earlier run knew of the time.
pub struct Passed {
    /// The watermark that was sent last: what had ended by then has left.
    pub watermark: EventTime,
    /// The splits that are new since then, or have grown.
    pub splits: BTreeSet<u32>,
    /// The names of all splits.
    pub names: Arc<SplitNames>,
}

impl Passed {
    /// That no row belongs to what has left: rows that are late by their own split never do.
    fn check(&self, batch: &Batch) -> Result<()> {
        let first = batch.places().get(0);
        let Some(place) = first.filter(|place| self.splits.contains(&place.split())) else {
            return Ok(());
        };
        let Some(times) = batch.times() else {
            return Ok(());
        };
        let (times, horizons) = (times.at(), times.horizons());
        let counts = |row: usize| horizons.is_none_or(|horizons| times[row] >= horizons[row]);
        let behind = |row: &usize| times[*row] < self.watermark && counts(*row);
        let Some(row) = (0..times.len()).find(behind) else {
            return Ok(());
        };
        let what = "this row is new, and the earlier run has written all that belongs to its time";
        let row = batch.places().get(row).unwrap_or(place).row();
        let name = self.names.name(place).unwrap_or_default();
        Err(Error::data(what)
            .file(&*name)
            .row(row)
            .help("what is new must come behind all that was read, in time too; begin anew with `--fresh`"))
    }
}

enum FromThread {
    Some(u64, Decoded),
    End(u64),
}

/// By what the times of rows are judged.
type Judging<'a> = (&'a TimeRule, Option<&'a Passed>);

impl ReadingSetup {
    fn judging(&self) -> Option<Judging<'_>> {
        Some((self.time.as_ref()?, self.passed.as_ref()))
    }
}

/// A piece that is being read.
struct Piecemeal {
    rights: Rights,
    /// The bytes of its rows so far.
    bytes: usize,
    /// Where times count: the newest one of the split so far, as soon as all before the piece was judged.
    newest: Option<Newest>,
    /// What was decoded and is yet to be sent. Where times count, it is judged as soon as that can be done.
    waiting: VecDeque<Decoded>,
    /// Whether all was decoded.
    read: bool,
    /// How many rows of the split have been read, with those sent of this piece.
    rows: Option<u64>,
}

impl Piecemeal {
    /// Judges what waits to be.
    fn judge(&mut self, newest: Newest, judging: Judging<'_>) -> Result<()> {
        let newest = self.newest.insert(newest);
        self.waiting
            .iter_mut()
            .try_for_each(|decoded| judge(decoded, newest, judging))
    }

    fn push(&mut self, mut decoded: Decoded, judging: Option<Judging<'_>>) -> Result<()> {
        if let (Some(judging), Some(newest)) = (judging, &mut self.newest) {
            judge(&mut decoded, newest, judging)?;
        }
        self.waiting.push_back(decoded);
        Ok(())
    }
}

/// The reading operator of one source on one worker.
pub struct ReadingOperator {
    setup: ReadingSetup,
    outlet: Outlet,
    ticks: BTreeMap<u64, Piecemeal>,
    end: Option<(u64, Rights)>,
    tokens: Option<Sender<(u64, Piece)>>,
    decoded: Receiver<FromThread>,
    thread: Option<JoinHandle<()>>,
    /// Whether it has said that nothing more comes from here.
    over: bool,
    start: Start,
}

/// A watermark to be passed on: its rights, its time, and who is to write early results.
type Mark = (Rights, EventTime, Option<usize>);

impl ReadingOperator {
    /// Starts the reading thread.
    pub fn new(setup: ReadingSetup, outlet: Outlet, mut start: Start) -> Self {
        start.capabilities.clear();
        let (tokens, pieces) = unbounded();
        let (out, decoded) = bounded(AHEAD);
        let work = ReadingThread {
            id: Arc::clone(&setup.id),
            source: Arc::clone(&setup.source),
            batch_rows: setup.batch_rows,
            pieces,
            out,
            wake: (start.wake)(),
            abort: Arc::clone(&setup.abort),
            metrics: Arc::clone(&setup.metrics),
            node: setup.node,
            from: Arc::clone(&setup.from),
        };
        let name = format!("read {}", setup.id);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || work.run());
        if let Err(error) = &thread {
            setup.abort.raise(dataflow_core::Error::resource(format!(
                "cannot start a reading thread: {error}"
            )));
        }
        Self {
            setup,
            outlet,
            ticks: BTreeMap::new(),
            end: None,
            tokens: Some(tokens),
            decoded,
            thread: thread.ok(),
            over: false,
            start,
        }
    }

    /// Runs once.
    pub fn activate(&mut self, activation: &mut Activation<'_>) {
        let (ticks, end, tokens) = (&mut self.ticks, &mut self.end, &self.tokens);
        let (stamps, marks) = (&mut Vec::new(), &mut Vec::new());
        activation.drain(0, &mut |tick, rights, parcel| match parcel {
            Parcel::Token { piece, newest, .. } => {
                let piecemeal = Piecemeal {
                    rights: rights(),
                    bytes: 0,
                    newest,
                    waiting: VecDeque::new(),
                    read: false,
                    rows: None,
                };
                ticks.insert(tick, piecemeal);
                if let Some(tokens) = tokens {
                    // A thread that is gone has raised its error already.
                    let _ = tokens.send((tick, *piece));
                }
            }
            Parcel::Stamp { tick, newest, .. } => stamps.push((tick, newest)),
            Parcel::Watermark { time, pulse, .. } => marks.push((rights(), time, pulse)),
            Parcel::End { .. } => *end = Some((tick, rights())),
            _ => {}
        });
        if self.setup.abort.is_raised() {
            return;
        }
        let abort = Arc::clone(&self.setup.abort);
        let id = Arc::clone(&self.setup.id);
        let work = || {
            for (tick, newest) in stamps.drain(..) {
                self.stamp(activation, tick, newest)?;
            }
            self.pass_on(activation)
        };
        if abort.guard(&id, work) == Some(true) {
            self.start.again.activate();
        }
        self.pass_on_marks(activation, marks);
        self.pass_on_end(activation);
        if self.tokens.is_none()
            && self.ticks.is_empty()
            && !std::mem::replace(&mut self.over, true)
        {
            let counters = self.setup.metrics.of(self.setup.node);
            if counters.ended(self.start.workers) {
                tracing::info!(component = %self.setup.id, "read to the end");
            }
        }
    }

    /// Sends what was decoded; true if there may be more.
    fn pass_on(&mut self, activation: &mut Activation<'_>) -> Result<bool> {
        let mut sent = 0;
        while sent < FUEL {
            let received = self.receive(activation)?;
            match self.ready() {
                Some(tick) => self.send_next(activation, tick)?,
                None if received => continue,
                None => return Ok(false),
            }
            sent += 1;
        }
        Ok(true)
    }

    /// Takes what was decoded, if nothing is ready to be sent. Where other workers read the same splits and may judge their rows only
    /// when those before them were seen, everything is taken at once: they are not to wait for this worker's other work.
    fn receive(&mut self, activation: &mut Activation<'_>) -> Result<bool> {
        let eager = self.setup.time.is_some() && self.start.workers > 1;
        let mut received = false;
        while eager || self.ready().is_none() {
            match self.decoded.try_recv() {
                Ok(FromThread::Some(tick, decoded)) => {
                    if let Some(piece) = self.ticks.get_mut(&tick) {
                        piece.push(decoded, self.setup.judging())?;
                    }
                }
                Ok(FromThread::End(tick)) => {
                    if let Some(piece) = self.ticks.get_mut(&tick) {
                        piece.read = true;
                    }
                    self.tell_newest(activation, tick);
                    self.close(activation, tick);
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
            received = true;
        }
        Ok(received)
    }

    /// The oldest tick of which something may be sent.
    fn ready(&self) -> Option<u64> {
        let mut ticks = self.ticks.iter();
        let ready = |piece: &Piecemeal| self.may_go(piece) && !piece.waiting.is_empty();
        ticks.find_map(|(tick, piece)| ready(piece).then_some(*tick))
    }

    /// Whether the rows of a piece are not waiting to be judged.
    fn may_go(&self, piece: &Piecemeal) -> bool {
        self.setup.time.is_none() || piece.newest.is_some()
    }

    /// Learns the newest time before a piece.
    fn stamp(&mut self, activation: &mut Activation<'_>, tick: u64, newest: Newest) -> Result<()> {
        if let (Some(piece), Some(judging)) = (self.ticks.get_mut(&tick), self.setup.judging()) {
            piece.judge(newest, judging)?;
        }
        self.tell_newest(activation, tick);
        self.close(activation, tick);
        Ok(())
    }

    /// Tells the desk of a piece that was decoded and judged: the next one of its split may be judged, by whoever reads it.
    fn tell_newest(&self, activation: &mut Activation<'_>, tick: u64) {
        let Some(piece) = self.ticks.get(&tick) else {
            return;
        };
        if let (true, Some(newest)) = (piece.read, piece.newest) {
            let port = self.setup.facts;
            send(
                &mut activation.outputs[port],
                &piece.rights[port],
                Parcel::Judged { tick, newest },
            );
        }
    }

    /// Sends the next rows of a piece.
    fn send_next(&mut self, activation: &mut Activation<'_>, tick: u64) -> Result<()> {
        let piece = self.ticks.get_mut(&tick);
        if let Some(decoded) = piece.and_then(|piece| piece.waiting.pop_front()) {
            self.send(activation, tick, decoded)?;
        }
        self.close(activation, tick);
        Ok(())
    }

    /// Tells the desk of a piece that was read and sent.
    fn close(&mut self, activation: &mut Activation<'_>, tick: u64) {
        let done = |piece: &Piecemeal| piece.read && piece.waiting.is_empty() && self.may_go(piece);
        if !self.ticks.get(&tick).is_some_and(done) {
            return;
        }
        if let Some(piece) = self.ticks.remove(&tick) {
            let facts = Facts {
                tick,
                worker: self.start.worker,
                bytes: piece.bytes,
                rows: piece.rows,
            };
            let port = self.setup.facts;
            send(
                &mut activation.outputs[port],
                &piece.rights[port],
                Parcel::Facts(facts),
            );
        }
    }

    fn send(
        &mut self,
        activation: &mut Activation<'_>,
        tick: u64,
        mut decoded: Decoded,
    ) -> Result<()> {
        let Some(piece) = self.ticks.get_mut(&tick) else {
            return Ok(());
        };
        let rights = Rc::clone(&piece.rights);
        let counters = self.setup.metrics.of(self.setup.node);
        piece.rows = piece.rows.max(rows_read(&decoded));
        self.outlet.at(tick, false);
        let good: usize = decoded.batches.iter().map(|(_, batch)| batch.len()).sum();
        self.outlet.count_rows(Some(0), good + decoded.bad.len());
        find_bad(&mut decoded);
        self.outlet.bad(decoded.bad)?;
        for (port, batch) in decoded.batches {
            let size = batch.bytes();
            piece.bytes += size;
            counters
                .rows_out
                .fetch_add(batch.len() as u64, Ordering::Relaxed);
            counters.port(port, batch.len() as u64);
            counters.batches_out.fetch_add(1, Ordering::Relaxed);
            counters.bytes_out.fetch_add(size as u64, Ordering::Relaxed);
            self.outlet.send(port, batch);
        }
        for (port, batch) in self.outlet.take() {
            send(
                &mut activation.outputs[port],
                &rights[port],
                Parcel::rows(self.start.worker, batch, self.start.workers),
            );
        }
        Ok(())
    }

    /// Watermarks go on at once: rows that are still being read have earlier ticks.
    fn pass_on_marks(&self, activation: &mut Activation<'_>, marks: &mut Vec<Mark>) {
        let last = activation.outputs.len() - 1;
        for (rights, time, pulse) in marks.drain(..) {
            for port in (0..last).filter(|port| *port != self.setup.facts) {
                let mark = Parcel::Watermark {
                    from: self.start.worker,
                    time,
                    pulse,
                    copies: self.start.workers,
                };
                send(&mut activation.outputs[port], &rights[port], mark);
            }
        }
    }

    fn pass_on_end(&mut self, activation: &mut Activation<'_>) {
        let Some((_, rights)) = self.end.take() else {
            return;
        };
        // Pieces still being read have earlier ticks: whoever waits for the end waits for them too.
        let last = activation.outputs.len() - 1;
        for port in (0..last).filter(|port| *port != self.setup.facts) {
            let end = Parcel::End {
                from: self.start.worker,
                copies: self.start.workers,
            };
            send(&mut activation.outputs[port], &rights[port], end);
        }
        self.tokens = None;
    }
}

/// How many rows of their split have been read when these have.
fn rows_read(decoded: &Decoded) -> Option<u64> {
    let last = |batch: &Batch| batch.places().get(batch.len().checked_sub(1)?);
    let good = decoded.batches.iter().filter_map(|(_, batch)| last(batch));
    let bad = decoded.bad.iter().filter_map(|row| row.place);
    good.chain(bad).map(|place| place.row() + 1).max()
}

/// Leaves out rows that an earlier run has read: those before the row `from` of their split.
fn without_earlier(decoded: &mut Decoded, from: &HashMap<u32, u64>) -> Result<()> {
    let earlier = |place: Place| {
        from.get(&place.split())
            .is_some_and(|from| place.row() < *from)
    };
    decoded.bad.retain(|row| !row.place.is_some_and(earlier));
    for (_, batch) in &mut decoded.batches {
        let first = batch.places().get(0);
        if first.is_some_and(earlier) {
            let new = |row| batch.places().get(row).map(|place| !earlier(place));
            let new: BooleanArray = (0..batch.len()).map(new).collect();
            *batch = batch.filter(&new)?;
        }
    }
    decoded.batches.retain(|(_, batch)| !batch.is_empty());
    Ok(())
}

/// Puts the horizons of rows beside them.
fn judge(decoded: &mut Decoded, newest: &mut Newest, (rule, passed): Judging<'_>) -> Result<()> {
    let main = decoded.batches.iter_mut().filter(|(port, _)| *port == 0);
    for (_, batch) in main {
        let Some(times) = batch.times().cloned() else {
            return Err(Error::internal(
                "rows of a source with event time came without",
            ));
        };
        let horizons = newest.see(times.at(), rule);
        *batch = batch
            .clone()
            .with_times(Some(times.with_horizons(horizons)));
        if let Some(passed) = passed {
            passed.check(batch)?;
        }
    }
    Ok(())
}

/// Says of bad rows where they stand among all that were decoded, good and bad.
fn find_bad(decoded: &mut Decoded) {
    let Decoded { batches, bad } = decoded;
    bad.sort_by_key(|row| (row.place.is_none(), row.place));
    for (earlier, row) in bad.iter_mut().enumerate() {
        let good = batches.iter().map(|(_, batch)| match row.place {
            Some(place) => batch.places().before(place, batch.len()),
            None => batch.len(),
        });
        row.index = Some(earlier + good.sum::<usize>());
    }
}

impl Drop for ReadingOperator {
    fn drop(&mut self) {
        self.tokens = None;
        // The thread may be waiting for room in this channel: closing it lets the thread go.
        let (_, closed) = bounded(0);
        self.decoded = closed;
        if let Some(thread) = self.thread.take() {
            // A panic in it was caught and reported by itself.
            let _ = thread.join();
        }
    }
}

struct ReadingThread {
    id: Arc<str>,
    source: Arc<dyn Source>,
    batch_rows: usize,
    pieces: Receiver<(u64, Piece)>,
    out: Sender<FromThread>,
    wake: SyncActivator,
    abort: Arc<Abort>,
    metrics: Arc<Metrics>,
    node: usize,
    from: Arc<HashMap<u32, u64>>,
}

impl ReadingThread {
    fn run(self) {
        let abort = Arc::clone(&self.abort);
        let id = Arc::clone(&self.id);
        abort.guard(&id, || self.read_all());
    }

    fn read_all(&self) -> Result<()> {
        let mut reader = self.source.reader()?;
        while let Ok((tick, piece)) = self.pieces.recv() {
            if self.abort.is_raised() || !self.read(reader.as_mut(), tick, piece)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads one piece; false when nobody listens any more.
    fn read(&self, reader: &mut dyn Reader, tick: u64, piece: Piece) -> Result<bool> {
        let counters = self.metrics.of(self.node);
        let input_bytes = piece.input_bytes;
        let mut began = Instant::now();
        reader.open(piece)?;
        while let Some(mut decoded) = reader.next(self.batch_rows)? {
            if !self.from.is_empty() {
                without_earlier(&mut decoded, &self.from)?;
            }
            let took = began.elapsed();
            counters.latency.count(took);
            counters
                .busy
                .fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
            if !self.tell(FromThread::Some(tick, decoded)) {
                return Ok(false);
            }
            began = Instant::now();
        }
        counters
            .input_bytes
            .fetch_add(input_bytes, Ordering::Relaxed);
        Ok(self.tell(FromThread::End(tick)))
    }

    fn tell(&self, what: FromThread) -> bool {
        let told = self.out.send(what).is_ok();
        // The worker may be gone; then the send has failed too.
        let _ = self.wake.activate();
        told
    }
}
