//! The desk: alone it holds the sources' capabilities, admits pieces against the byte budget, and ends the streams.
//!
//! On worker 0. Per source, a thread cuts splits into pieces; the desk reserves a piece's bytes, gives it a tick and sends
//! it to the worker with the least to read. The bytes come back when the tick retires: when every operator is past it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use dataflow_core::memory::{Charge, Gauge};
use dataflow_core::{Piece, Place, Result, Source, Split};
use timely::dataflow::operators::Capability;
use timely::scheduling::SyncActivator;

use crate::abort::Abort;
use crate::demand::Demand;
use crate::fabric::{Activation, Start, send};
use crate::message::{Facts, Parcel};
use crate::metrics::Metrics;
use crate::outlet::BadRowPolicy;

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
    pub splits: Vec<Split>,
    /// The number of its first split among all splits of the run.
    pub first_split: u32,
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
}

enum Cut {
    Piece(Piece),
    End,
}

struct Open {
    node: usize,
    right: Option<Capability<u64>>,
    cuts: Receiver<Cut>,
    next: Option<Piece>,
    ended: bool,
    /// The worker that reads the piece admitted last.
    last_reader: usize,
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
    start: Start,
}

impl Desk {
    /// Starts to cut. The desks on other workers hold nothing and do nothing.
    pub fn new(setup: DeskSetup, mut start: Start) -> Self {
        let mut open = Vec::new();
        let mut threads = Vec::new();
        let capabilities = std::mem::take(&mut start.capabilities);
        if start.worker == 0 {
            for (source, right) in setup.sources.iter().zip(capabilities) {
                let (out, cuts) = bounded(CUT_AHEAD);
                open.push(Open {
                    node: source.node,
                    right: Some(right),
                    cuts,
                    next: None,
                    ended: false,
                    last_reader: 0,
                });
                threads.extend(spawn_cutter(source, out, (start.wake)(), &setup));
            }
            let wake = std::sync::Mutex::new((start.wake)());
            setup.demand.wake_with(move || {
                let _ = crate::abort::lock(&wake).activate();
            });
        }
        Self {
            setup,
            open,
            threads,
            in_flight: BTreeMap::new(),
            to_read: vec![0; start.workers],
            next_tick: 0,
            turn: 0,
            start,
        }
    }

    /// Runs once. Input 0 is everybody's progress, input 1 the facts of the readers.
    pub fn activate(&mut self, activation: &mut Activation<'_>) {
        let (in_flight, to_read) = (&mut self.in_flight, &mut self.to_read);
        activation.drain(0, &mut |_, _, _| {});
        activation.drain(1, &mut |_, _, parcel| {
            if let Parcel::Facts(Facts {
                tick,
                worker,
                bytes,
            }) = parcel
            {
                to_read[worker] -= 1;
                if let Some(charge) = in_flight.get_mut(&tick) {
                    charge.resize(bytes);
                }
            }
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
            self.judge(activation.oldest(0));
        }
        self.admit(activation);
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
        while sources > 0 && idle < sources {
            let which = self.turn % sources;
            self.turn += 1;
            idle = if self.admit_from(which, activation) {
                0
            } else {
                idle + 1
            };
        }
        // Moved before anything waits: a source with nothing to say must not hold back those that have.
        for open in &mut self.open {
            if let Some(right) = &mut open.right {
                right.downgrade(&self.next_tick);
            }
        }
    }

    /// Admits one piece of source `which`, if there is one and room for it, or ends the source.
    fn admit_from(&mut self, which: usize, activation: &mut Activation<'_>) -> bool {
        let open = &mut self.open[which];
        if open.right.is_none() {
            return false;
        }
        if open.next.is_none() && !open.ended {
            match open.cuts.try_recv() {
                Ok(Cut::Piece(piece)) => open.next = Some(piece),
                Ok(Cut::End) => open.ended = true,
                Err(_) => return false,
            }
        }
        let unwanted = self.setup.demand.is_done(open.node);
        if unwanted || (open.ended && open.next.is_none()) {
            self.end(which, activation);
            return true;
        }
        let bytes = open.next.as_ref().map_or(0, |piece| piece.bytes);
        let room =
            self.setup.gauge.bytes() + bytes <= self.setup.share || self.in_flight.is_empty();
        let Some(reader) = self.reader_for(which).filter(|_| room) else {
            return false;
        };
        if let Some(piece) = self.open[which].next.take() {
            self.to_read[reader] += 1;
            self.open[which].last_reader = reader;
            self.send(which, reader, piece, activation);
        }
        true
    }

    /// The worker that is to read the next piece: one with nothing to read, or the one that has the piece before it (a
    /// reader that goes on where it was is faster), or one that is nearly through with what it has.
    fn reader_for(&self, which: usize) -> Option<usize> {
        let last = self.open[which].last_reader;
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
        self.in_flight
            .insert(tick, self.setup.gauge.charge(piece.bytes));
        if let Some(right) = &mut self.open[which].right {
            right.downgrade(&tick);
            send(
                &mut activation.outputs[which],
                right,
                Parcel::Token {
                    to,
                    piece: Box::new(piece),
                },
            );
        }
    }

    fn end(&mut self, which: usize, activation: &mut Activation<'_>) {
        let tick = self.next_tick;
        self.next_tick += 1;
        let open = &mut self.open[which];
        open.next = None;
        // The thread that cuts may be waiting for room: closing the channel lets it go.
        open.cuts = bounded(0).1;
        if let Some(mut right) = open.right.take() {
            right.downgrade(&tick);
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

fn spawn_cutter(
    source: &DeskSource,
    out: Sender<Cut>,
    wake: SyncActivator,
    setup: &DeskSetup,
) -> Option<JoinHandle<()>> {
    let work = CutterThread {
        node: source.node,
        id: Arc::clone(&source.id),
        source: Arc::clone(&source.source),
        names: source.splits.iter().map(|s| Arc::clone(&s.name)).collect(),
        first_split: source.first_split,
        out,
        wake,
        abort: Arc::clone(&setup.abort),
        metrics: Arc::clone(&setup.metrics),
    };
    let name = format!("cut {}", source.id);
    match std::thread::Builder::new()
        .name(name)
        .spawn(move || work.run())
    {
        Ok(thread) => Some(thread),
        Err(error) => {
            setup.abort.raise(dataflow_core::Error::resource(format!(
                "cannot start a reading thread: {error}"
            )));
            None
        }
    }
}

struct CutterThread {
    node: usize,
    id: Arc<str>,
    source: Arc<dyn Source>,
    /// The splits' names.
    names: Vec<Arc<str>>,
    first_split: u32,
    out: Sender<Cut>,
    wake: SyncActivator,
    abort: Arc<Abort>,
    metrics: Arc<Metrics>,
}

impl CutterThread {
    fn run(self) {
        let abort = Arc::clone(&self.abort);
        let id = Arc::clone(&self.id);
        abort.guard(&id, || self.cut_all());
    }

    fn cut_all(&self) -> Result<()> {
        for split in 0..self.names.len() {
            let first = Place::new(self.first_split + split as u32, 0)?;
            let name = &*self.names[split];
            tracing::debug!(component = %self.id, file = name, "opened");
            let mut cutter = self.source.cutter(split, first)?;
            self.metrics
                .of(self.node)
                .splits_begun
                .fetch_add(1, Ordering::Relaxed);
            while let Some(piece) = cutter.next()? {
                if !self.tell(Cut::Piece(piece)) {
                    return Ok(());
                }
            }
            tracing::debug!(component = %self.id, file = name, "handed out to its end");
        }
        self.tell(Cut::End);
        Ok(())
    }

    fn tell(&self, cut: Cut) -> bool {
        let told = !self.abort.is_raised() && self.out.send(cut).is_ok();
        // The worker may be gone; then the send has failed too.
        let _ = self.wake.activate();
        told
    }
}
