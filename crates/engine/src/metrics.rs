//! The numbers of a run: counted by operators as they work, read by whoever shows them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dataflow_core::Place;
use dataflow_core::memory::Gauge;
use dataflow_core::stage::BadRow;
use dataflow_core::time::{BEGINNING, END, Instant as EventTime};

use crate::abort::lock;

/// Up to how many seconds the calls in each bucket of latencies took; longer ones are in one bucket more.
pub const LATENCY_SECONDS: [f64; 9] = [0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0];

/// How long calls with one batch took.
#[derive(Default)]
pub struct Latency {
    calls: [AtomicU64; LATENCY_SECONDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Latency {
    /// Counts a call.
    pub fn count(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = LATENCY_SECONDS.partition_point(|bound| *bound < seconds);
        self.calls[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds
            .fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    }

    fn numbers(&self) -> LatencyNumbers {
        LatencyNumbers {
            calls: self.calls.each_ref().map(|n| n.load(Ordering::Relaxed)),
            seconds: self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9,
        }
    }
}

/// How far a component is in event time.
pub struct Reached(AtomicI64);

impl Default for Reached {
    fn default() -> Self {
        Self(AtomicI64::new(BEGINNING))
    }
}

impl Reached {
    /// It is as far as this, or further.
    pub fn at(&self, time: EventTime) {
        if time != END {
            self.0.fetch_max(time, Ordering::Relaxed);
        }
    }

    fn known(&self) -> Option<EventTime> {
        Some(self.0.load(Ordering::Relaxed)).filter(|time| *time != BEGINNING)
    }
}

/// The counters of one component.
#[derive(Default)]
pub struct Counters {
    /// Rows that came in.
    pub rows_in: AtomicU64,
    /// Rows that went out, over all ports but `errors`.
    pub rows_out: AtomicU64,
    /// Batches that came in.
    pub batches_in: AtomicU64,
    /// Batches that went out.
    pub batches_out: AtomicU64,
    /// Bytes that came in.
    pub bytes_in: AtomicU64,
    /// Bytes that went out.
    pub bytes_out: AtomicU64,
    /// Nanoseconds of work.
    pub busy: AtomicU64,
    /// How long a stage's calls with a batch took, or the decoding of one.
    pub latency: Latency,
    /// Nanoseconds in which there was work but no room for its results.
    pub blocked: AtomicU64,
    /// Bytes of state, the sum over workers.
    pub state_bytes: AtomicU64,
    /// Keys in state, the sum over workers.
    pub keys: AtomicU64,
    /// Rows that came after everything that they belong to was written.
    pub late: AtomicU64,
    /// Those of them that nobody reads.
    pub late_dropped: AtomicU64,
    /// The watermark behind it.
    pub reached: Reached,
    /// Bytes spilled so far.
    pub spilled: AtomicU64,
    /// Bytes of input read so far (sources).
    pub input_bytes: AtomicU64,
    /// Bytes of input in all, if that is known (sources).
    pub input_total: AtomicU64,
    /// Splits begun (sources).
    pub splits_begun: AtomicU64,
    /// Splits in all (sources).
    pub splits: AtomicU64,
    /// Rows in all, if that is known (sources).
    pub rows_total: AtomicU64,
    /// Whether it is finished: 1 when it is.
    pub finished: AtomicUsize,
    by_port: Mutex<Vec<u64>>,
    ended: AtomicUsize,
    spill_runs: AtomicU64,
    merging: AtomicUsize,
    errors: Mutex<BTreeMap<&'static str, BadTally>>,
    notes: Mutex<BTreeMap<String, u64>>,
}

/// Bad rows of one reason, and the first of them.
struct BadTally {
    count: u64,
    dropped: u64,
    place: Option<Place>,
    at: Option<String>,
    message: String,
}

impl Counters {
    /// Counts a bad row that is dropped or not; `at` says where it stands. The first by its place is remembered,
    /// whichever comes first.
    pub fn bad(&self, row: &BadRow, dropped: bool, at: impl FnOnce() -> Option<String>) {
        let mut errors = lock(&self.errors);
        if let Some(tally) = errors.get_mut(row.reason) {
            tally.count += 1;
            tally.dropped += u64::from(dropped);
            if row.place.is_none() || tally.place.is_some_and(|first| row.place >= Some(first)) {
                return;
            }
        }
        let counted = errors
            .get(row.reason)
            .map(|tally| (tally.count, tally.dropped));
        let (count, dropped) = counted.unwrap_or((1, u64::from(dropped)));
        let tally = BadTally {
            count,
            dropped,
            place: row.place,
            at: at(),
            message: row.message.clone(),
        };
        errors.insert(row.reason, tally);
    }

    /// Says that one worker is finished with it; it is finished when all `workers` are. Returns whether this was the last.
    pub fn ended(&self, workers: usize) -> bool {
        let last = self.ended.fetch_add(1, Ordering::Relaxed) + 1 == workers;
        if last {
            self.finished.store(1, Ordering::Relaxed);
        }
        last
    }

    /// Counts a run on disk that is begun; returns true for the first.
    pub fn spill_begun(&self) -> bool {
        self.spill_runs.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Says that what it spilled is being merged.
    pub fn merges(&self) {
        self.merging.store(1, Ordering::Relaxed);
    }

    /// Counts rows that went out through a port, or would have if somebody read it.
    pub fn port(&self, port: usize, rows: u64) {
        let mut by_port = lock(&self.by_port);
        if by_port.len() <= port {
            by_port.resize(port + 1, 0);
        }
        by_port[port] += rows;
    }

    /// Counts a remark for the closing report.
    pub fn note(&self, text: &str, count: u64) {
        *lock(&self.notes).entry(text.to_string()).or_default() += count;
    }
}

/// What a component is, for labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its id.
    pub id: Arc<str>,
    /// Its `type`.
    pub type_name: String,
    /// `source`, `transform` or `sink`.
    pub family: &'static str,
    /// The names of its outputs; the main one has none.
    pub ports: Vec<String>,
}

/// The numbers of a run.
pub struct Metrics {
    labels: Vec<Label>,
    counters: Vec<Counters>,
    started: Instant,
    in_flight: Mutex<Option<(Arc<Gauge>, u64)>>,
    /// The whole budget; 0 where nobody said.
    memory: AtomicU64,
    /// The bytes of state of all components.
    state: AtomicU64,
    warned: AtomicUsize,
    snapshots: Mutex<Option<SnapshotTally>>,
}

/// What is known of the snapshots of this run.
#[derive(Default)]
struct SnapshotTally {
    count: u64,
    bytes: u64,
    took: Duration,
    /// When the one that is being made was begun, and when the last one was durable.
    begun: Option<Instant>,
    durable: Option<Instant>,
}

impl Metrics {
    /// All zero.
    pub fn new(labels: Vec<Label>) -> Arc<Self> {
        Arc::new(Self {
            counters: labels.iter().map(|_| Counters::default()).collect(),
            labels,
            started: Instant::now(),
            in_flight: Mutex::new(None),
            memory: AtomicU64::new(0),
            state: AtomicU64::new(0),
            warned: AtomicUsize::new(0),
            snapshots: Mutex::new(None),
        })
    }

    /// Says that snapshots are made.
    pub fn watch_snapshots(&self) {
        *lock(&self.snapshots) = Some(SnapshotTally::default());
    }

    /// A snapshot is begun.
    pub fn snapshot_begun(&self) {
        if let Some(tally) = lock(&self.snapshots).as_mut() {
            tally.begun = Some(Instant::now());
        }
    }

    /// The one that was begun is durable, and so many bytes were written for it.
    pub fn snapshot_durable(&self, bytes: u64) {
        if let Some(tally) = lock(&self.snapshots).as_mut() {
            let now = Instant::now();
            tally.count += 1;
            tally.bytes += bytes;
            tally.took = tally.begun.map_or(Duration::ZERO, |begun| now - begun);
            tally.durable = Some(now);
        }
    }

    /// The counters of component `node`.
    pub fn of(&self, node: usize) -> &Counters {
        &self.counters[node]
    }

    /// The counters of the component with this id.
    pub fn named(&self, id: &str) -> Option<&Counters> {
        let node = self.labels.iter().position(|label| &*label.id == id)?;
        Some(&self.counters[node])
    }

    /// Shows what sources hold against their share of the whole budget.
    pub fn watch_memory(&self, gauge: Arc<Gauge>, share: usize, memory: usize) {
        *lock(&self.in_flight) = Some((gauge, share as u64));
        self.memory.store(memory as u64, Ordering::Relaxed);
    }

    /// Shows that the state of a component on one worker has changed from so many bytes to so many.
    pub fn state(&self, node: usize, from: u64, to: u64) {
        let change = to.wrapping_sub(from);
        let bytes = &self.counters[node].state_bytes;
        bytes.fetch_add(change, Ordering::Relaxed);
        let all = self.state.fetch_add(change, Ordering::Relaxed);
        if to > from {
            self.warn_when_nearly_full(all.wrapping_add(change));
        }
    }

    /// Warns once, when state and what is in flight are 80 % of the whole budget.
    fn warn_when_nearly_full(&self, state: u64) {
        let memory = self.memory.load(Ordering::Relaxed);
        if memory == 0 || self.warned.load(Ordering::Relaxed) > 0 {
            return;
        }
        let held = lock(&self.in_flight)
            .as_ref()
            .map(|(gauge, _)| gauge.bytes());
        let bytes = state + held.unwrap_or_default() as u64;
        if bytes > memory / 5 * 4 && self.warned.swap(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                bytes,
                memory,
                "state and rows in flight have reached 80 % of `engine.memory`"
            );
        }
    }

    /// All numbers as they are now.
    pub fn numbers(&self) -> Numbers {
        let in_flight = lock(&self.in_flight);
        let (bytes, limit) = in_flight
            .as_ref()
            .map_or((0, 0), |(gauge, limit)| (gauge.bytes() as u64, *limit));
        let snapshots = lock(&self.snapshots);
        let snapshots = snapshots.as_ref().map(|tally| SnapshotNumbers {
            count: tally.count,
            bytes: tally.bytes,
            seconds: tally.took.as_secs_f64(),
            age: tally
                .durable
                .unwrap_or(self.started)
                .elapsed()
                .as_secs_f64(),
        });
        Numbers {
            snapshots,
            seconds: self.started.elapsed().as_secs_f64(),
            in_flight_bytes: bytes,
            in_flight_limit: limit,
            memory_limit: self.memory.load(Ordering::Relaxed),
            components: self
                .labels
                .iter()
                .zip(&self.counters)
                .map(|(l, c)| component(l, c))
                .collect(),
        }
    }
}

fn component(label: &Label, counters: &Counters) -> ComponentNumbers {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let known = |counter: &AtomicU64| Some(read(counter)).filter(|n| *n > 0);
    let by_port = lock(&counters.by_port);
    let of_port = |port: usize| by_port.get(port).copied().unwrap_or_default();
    let ports = label.ports.iter().enumerate();
    let errors = lock(&counters.errors);
    let notes = lock(&counters.notes);
    ComponentNumbers {
        label: label.clone(),
        rows_in: read(&counters.rows_in),
        rows_out: read(&counters.rows_out),
        rows_by_port: ports
            .map(|(port, name)| (name.clone(), of_port(port)))
            .collect(),
        batches_in: read(&counters.batches_in),
        batches_out: read(&counters.batches_out),
        bytes_in: read(&counters.bytes_in),
        bytes_out: read(&counters.bytes_out),
        busy_seconds: read(&counters.busy) as f64 / 1e9,
        blocked_seconds: read(&counters.blocked) as f64 / 1e9,
        latency: counters.latency.numbers(),
        state_bytes: read(&counters.state_bytes),
        keys: read(&counters.keys),
        late_rows: read(&counters.late),
        late_dropped: read(&counters.late_dropped),
        watermark: counters.reached.known(),
        spilled_bytes: read(&counters.spilled),
        input_bytes: read(&counters.input_bytes),
        input_total: known(&counters.input_total),
        rows_total: known(&counters.rows_total),
        splits_begun: read(&counters.splits_begun),
        splits: read(&counters.splits),
        finished: counters.finished.load(Ordering::Relaxed) > 0,
        merging: counters.merging.load(Ordering::Relaxed) > 0,
        errors: errors
            .iter()
            .map(|(reason, tally)| BadCount {
                reason: (*reason).to_string(),
                count: tally.count,
                dropped: tally.dropped,
                at: tally.at.clone(),
                first: tally.message.clone(),
            })
            .collect(),
        notes: notes
            .iter()
            .map(|(text, count)| (text.clone(), *count))
            .collect(),
    }
}

/// The numbers of a run at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// Since the start.
    pub seconds: f64,
    /// Bytes admitted and not yet consumed by every sink.
    pub in_flight_bytes: u64,
    /// The sources' share of the memory budget.
    pub in_flight_limit: u64,
    /// The whole memory budget.
    pub memory_limit: u64,
    /// Where snapshots are made, what is known of them.
    pub snapshots: Option<SnapshotNumbers>,
    /// Component by component, in the plan's order.
    pub components: Vec<ComponentNumbers>,
}

/// The snapshots of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SnapshotNumbers {
    /// How many are durable.
    pub count: u64,
    /// Bytes written for them.
    pub bytes: u64,
    /// How long the last one took, from when it was due until it was durable.
    pub seconds: f64,
    /// How long ago that was; before the first, how long ago the run started.
    pub age: f64,
}

/// Bad rows of one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCount {
    /// The reason's name.
    pub reason: String,
    /// How many rows.
    pub count: u64,
    /// How many of them were dropped; the others went to a port, or stopped the run.
    pub dropped: u64,
    /// The file and the row of the first one, if they are known: `cells.csv:17`.
    pub at: Option<String>,
    /// The message of the first one.
    pub first: String,
}

/// How long calls with one batch took, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyNumbers {
    /// Calls by the bucket that they fell into: those of [`LATENCY_SECONDS`], then the longer ones.
    pub calls: [u64; LATENCY_SECONDS.len() + 1],
    /// Seconds of all of them.
    pub seconds: f64,
}

/// The numbers of one component at one moment; the fields are those of [`Counters`].
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentNumbers {
    /// What it is.
    pub label: Label,
    /// Rows in.
    pub rows_in: u64,
    /// Rows out over all outputs, without bad ones.
    pub rows_out: u64,
    /// Rows out of each output, by its name: also of those that nobody reads, whose rows are counted and not made (they
    /// are not in `rows_out`). Empty outputs are there with 0.
    pub rows_by_port: Vec<(String, u64)>,
    /// Batches in.
    pub batches_in: u64,
    /// Batches out.
    pub batches_out: u64,
    /// Bytes in.
    pub bytes_in: u64,
    /// Bytes out.
    pub bytes_out: u64,
    /// Seconds of work, over all workers.
    pub busy_seconds: f64,
    /// Seconds of waiting for room, over all workers.
    pub blocked_seconds: f64,
    /// How long calls with a batch took.
    pub latency: LatencyNumbers,
    /// Bytes of state.
    pub state_bytes: u64,
    /// Keys in state.
    pub keys: u64,
    /// Late rows.
    pub late_rows: u64,
    /// Late rows that nothing reads.
    pub late_dropped: u64,
    /// How far what it writes is complete in event time, nanoseconds since 1970.
    pub watermark: Option<EventTime>,
    /// Bytes spilled.
    pub spilled_bytes: u64,
    /// Bytes of input read.
    pub input_bytes: u64,
    /// Bytes of input in all.
    pub input_total: Option<u64>,
    /// Rows of input in all.
    pub rows_total: Option<u64>,
    /// Splits begun.
    pub splits_begun: u64,
    /// Splits in all.
    pub splits: u64,
    /// Whether it is finished.
    pub finished: bool,
    /// Whether it has begun to merge what it spilled.
    pub merging: bool,
    /// Bad rows by reason.
    pub errors: Vec<BadCount>,
    /// Remarks and how often.
    pub notes: Vec<(String, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fall_into_their_buckets() {
        let latency = Latency::default();
        assert_eq!(latency.numbers().calls, [0; 10]);
        for microseconds in [0, 100, 101, 2_000, 1_000_000, 7_000_000] {
            latency.count(Duration::from_micros(microseconds));
        }
        let numbers = latency.numbers();
        assert_eq!(numbers.calls, [2, 1, 0, 1, 0, 0, 0, 0, 1, 1]);
        assert!((numbers.seconds - 8.002_201).abs() < 1e-9);
    }
}
