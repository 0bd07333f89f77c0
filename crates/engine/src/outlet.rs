//! What a stage writes to: batches wait here until the call returns, bytes are charged, bad rows are dealt with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::{
    ArrayRef, BinaryArray, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array,
};
use dataflow_core::plan::{MaxErrors, OnError, envelope};
use dataflow_core::stage::{BadRow, BadRows};
use serde::{Deserialize, Serialize};

use dataflow_core::{Batch, Error, Gauge, Output, Place, Places, Result};

use crate::abort::lock;
use crate::demand::Demand;
use crate::ledger::{Ledger, Prefix, Retired};
use crate::metrics::Metrics;
use crate::overruns::Overruns;
use crate::snapshots::{epoch_of, first_of};
use crate::splits::SplitNames;

/// What becomes of bad rows of one component, shared by all its operators on all workers.
pub struct BadRowPolicy {
    /// The component.
    pub id: Arc<str>,
    /// Its index in the plan.
    pub node: usize,
    /// What the pipeline says.
    pub on_error: OnError,
    /// Bad rows so far.
    count: AtomicU64,
    /// The same by the epochs of their ticks, where snapshots are made.
    by_epoch: Option<Mutex<BTreeMap<u64, u64>>>,
    /// All rows, where a share of bad ones is allowed.
    ledger: Option<(f64, Mutex<Ledger>)>,
    /// Bad rows by their ticks, where so many are allowed and readers may have enough before the end.
    overruns: Option<Mutex<Overruns>>,
}

impl BadRowPolicy {
    /// The policy of component `node`; its readers may or may not be done before its rows end.
    pub fn new(id: Arc<str>, node: usize, on_error: OnError, may_be_done: bool) -> Self {
        let ledger = match limit(on_error) {
            MaxErrors::Share(share) => Some((share, Mutex::new(Ledger::new(share)))),
            MaxErrors::Unlimited | MaxErrors::Rows(_) => None,
        };
        let overruns = match limit(on_error) {
            MaxErrors::Rows(most) if may_be_done => Some(Mutex::new(Overruns::new(most))),
            _ => None,
        };
        Self {
            id,
            node,
            on_error,
            count: AtomicU64::new(0),
            by_epoch: None,
            ledger,
            overruns,
        }
    }

    /// The same, such that it can be told what was known at the end of an epoch.
    #[must_use]
    pub fn by_epoch(mut self) -> Self {
        self.by_epoch = Some(Mutex::default());
        self
    }

    /// What is known of the bad rows of the ticks before the first one of epoch `next`, all of which have been told.
    pub fn retired(&self, next: u64) -> Known {
        let count = self.by_epoch.as_ref().map(|by_epoch| {
            let by_epoch = lock(by_epoch);
            by_epoch.range(..next).map(|(_, count)| count).sum()
        });
        Known {
            count: count.unwrap_or_default(),
            ledger: (self.ledger.as_ref()).map(|(_, ledger)| lock(ledger).retired(first_of(next))),
            overruns: self.overruns.as_ref().map(|found| lock(found).count()),
        }
    }

    /// Goes on from what an earlier run knew.
    pub fn resume(&self, known: Known) {
        self.count.store(known.count, Ordering::Relaxed);
        if let Some(by_epoch) = &self.by_epoch {
            lock(by_epoch).insert(0, known.count);
        }
        if let (Some((_, ledger)), Some(retired)) = (&self.ledger, known.ledger) {
            lock(ledger).resume(retired);
        }
        if let (Some(overruns), Some(count)) = (&self.overruns, known.overruns) {
            lock(overruns).resume(count);
        }
    }

    /// Judges the bad rows of the ticks before `before`, or all at the end of the run. Rows that nobody wanted do not count.
    ///
    /// # Errors
    /// When there were too many.
    pub fn judge(&self, before: Option<u64>, demand: &Demand) -> Result<()> {
        if let Some(overruns) = &self.overruns
            && let Some((count, error)) = lock(overruns).judge(before, demand.wanted(self.node))
        {
            return Err(self.too_many(count, error));
        }
        let Some((share, ledger)) = &self.ledger else {
            return Ok(());
        };
        let over = match (before, demand.wanted(self.node)) {
            (Some(before), wanted) => {
                let wanted = wanted.map_or(before, |tick| tick.saturating_add(1));
                lock(ledger).judge(before.min(wanted))
            }
            (None, wanted) => lock(ledger).close(wanted),
        };
        let Some(Prefix { rows, bad }) = over else {
            return Ok(());
        };
        Err(Error::data(format!(
            "{bad} of the first {rows} rows are bad, with row {rows} more than `max_errors = \"{}%\"` allows",
            share * 100.0
        ))
        .component(&*self.id)
        .help("look at them on the component's `errors` port, or raise `max_errors`"))
    }

    /// What is said of so many bad rows, given what is to be said of one of them.
    fn too_many(&self, count: u64, row: Error) -> Error {
        if self.on_error == OnError::Fail {
            return row.help(
                "mend the row; or set `on_error = \"drop\"` to leave such rows out, or read this component's `errors` port",
            );
        }
        let what = row.what().to_string();
        row.saying(format!(
            "{count} rows are bad, more than `max_errors` allows; this one: {what}"
        ))
        .help("raise `max_errors`, or mend the input")
    }
}

/// What is known of the bad rows of a component at the end of an epoch.
#[derive(Default, Serialize, Deserialize)]
pub struct Known {
    count: u64,
    ledger: Option<Retired>,
    overruns: Option<u64>,
}

fn limit(on_error: OnError) -> MaxErrors {
    match on_error {
        OnError::Fail => MaxErrors::Rows(0),
        OnError::Drop(limit) | OnError::Port(limit) => limit,
    }
}

/// A bad row that is kept back, as it is saved.
#[derive(Serialize, Deserialize)]
pub struct HeldRow {
    place: Option<u64>,
    index: Option<usize>,
    reason: String,
    message: String,
    data: String,
    time: Option<i64>,
}

impl From<&BadRow> for HeldRow {
    fn from(row: &BadRow) -> Self {
        Self {
            place: row.place.map(|place| place.0),
            index: row.index,
            reason: row.reason.to_string(),
            message: row.message.clone(),
            data: row.data.clone(),
            time: row.time,
        }
    }
}

impl From<HeldRow> for BadRow {
    fn from(row: HeldRow) -> Self {
        Self {
            place: row.place.map(Place),
            index: row.index,
            reason: reason(row.reason),
            message: row.message,
            data: row.data,
            time: row.time,
        }
    }
}

/// The name of a reason that was saved. There are few of them; each is made to last once.
fn reason(name: String) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = lock(&KNOWN);
    match known.get(name.as_str()) {
        Some(known) => known,
        None => {
            let name: &'static str = name.leak();
            known.insert(name);
            name
        }
    }
}

/// The rows that a stage works on, as the ledger knows them.
#[derive(Clone, Copy, Default)]
struct AtWork {
    lane: Option<u32>,
    tick: u64,
    /// How many rows of the lane came at this tick before.
    first: u64,
    rows: u64,
}

impl AtWork {
    /// Where a bad row stands among those of its lane and tick; one that does not say so is the last of its batch.
    fn index(&self, row: &BadRow) -> u64 {
        let last = self.rows.saturating_sub(1);
        self.first + row.index.map_or(last, |index| (index as u64).min(last))
    }
}

/// Collects what a stage writes during one call.
pub struct Outlet {
    policy: Arc<BadRowPolicy>,
    names: Arc<SplitNames>,
    metrics: Arc<Metrics>,
    /// The ports that something reads.
    wanted: Vec<bool>,
    /// The port of bad rows, if something reads it.
    errors: Option<usize>,
    gauge: Arc<Gauge>,
    oldest: Arc<Gauge>,
    share: usize,
    charges: bool,
    /// Whether a slice may go beyond the share on the oldest tick.
    gives_way: bool,
    tick: u64,
    is_oldest: bool,
    at_work: AtWork,
    held: Option<BadRows>,
    waiting: Vec<(usize, Batch)>,
}

impl Outlet {
    /// An outlet to ports (which of them are read, and the port of bad rows) whose stage may have `share` bytes
    /// outstanding, if it has a share.
    pub fn new(
        policy: Arc<BadRowPolicy>,
        names: Arc<SplitNames>,
        metrics: Arc<Metrics>,
        (wanted, errors): (Vec<bool>, Option<usize>),
        share: Option<usize>,
    ) -> Self {
        Self {
            wanted,
            policy,
            names,
            metrics,
            errors,
            gauge: Gauge::new(),
            oldest: Gauge::new(),
            share: share.unwrap_or(usize::MAX),
            charges: share.is_some(),
            gives_way: true,
            tick: 0,
            is_oldest: false,
            at_work: AtWork::default(),
            held: None,
            waiting: Vec::new(),
        }
    }

    /// For a sink whose rows wait for a thread: so many bytes of them. The thread waits for nobody, so nothing need go beyond.
    pub fn of_writer(mut self, share: usize) -> Self {
        self.share = share;
        self.gives_way = false;
        self
    }

    /// Where bytes are counted that count towards the share.
    pub fn gauge(&self) -> &Arc<Gauge> {
        &self.gauge
    }

    /// Calls `wake` when there is room again.
    pub fn wake_with(&self, wake: impl Fn() + Send + Clone + 'static) {
        self.gauge.wake_at(self.share / 2, wake.clone());
        self.oldest.wake_at(0, wake);
    }

    /// Says which tick is in work, and whether it is the oldest: then one slice may go out beyond the share.
    pub fn at(&mut self, tick: u64, is_oldest: bool) {
        self.tick = tick;
        self.is_oldest = is_oldest;
    }

    /// Counts rows that come in at the tick in work, in their order within a lane. Without a lane nobody knows where
    /// they stand.
    pub fn count_rows(&mut self, lane: Option<u32>, rows: usize) {
        if let Some((_, ledger)) = &self.policy.ledger {
            let (tick, rows) = (self.tick, rows as u64);
            self.at_work = AtWork {
                lane,
                tick,
                first: lock(ledger).rows(lane, tick, rows),
                rows,
            };
        } else if self.policy.overruns.is_some() {
            let before = self.at_work;
            let goes_on = before.tick == self.tick;
            self.at_work = AtWork {
                lane,
                tick: self.tick,
                first: if goes_on {
                    before.first + before.rows
                } else {
                    0
                },
                rows: rows as u64,
            };
        }
    }

    /// Says that all rows have come: what fails from now on are results.
    pub fn all_came(&mut self) {
        self.at_work = AtWork::default();
    }

    /// Keeps bad rows back until [`Outlet::release`], for a stage whose workers write at the end side by side.
    pub fn hold_bad_rows(&mut self) {
        self.held = Some(Vec::new());
    }

    /// The bad rows that are kept back, to be saved.
    pub fn held(&self) -> Vec<HeldRow> {
        let held = self.held.iter().flatten();
        held.map(HeldRow::from).collect()
    }

    /// Keeps bad rows back that an earlier run did.
    pub fn hold(&mut self, rows: Vec<HeldRow>) {
        if let Some(held) = &mut self.held {
            held.extend(rows.into_iter().map(BadRow::from));
        }
    }

    /// Writes the bad rows that were kept back, as a run sorted by what they say.
    pub fn release(&mut self) -> Result<()> {
        let (Some(mut rows), Some(port)) = (self.held.take(), self.errors) else {
            return Ok(());
        };
        if rows.is_empty() {
            return Ok(());
        }
        rows.sort_by(|a, b| (&a.data, &a.message).cmp(&(&b.data, &b.message)));
        let key = |row: &BadRow| [row.data.as_bytes(), &[0], row.message.as_bytes()].concat();
        let order = BinaryArray::from_iter_values(rows.iter().map(key));
        let batch = envelope_batch(&self.policy.id, &self.names, &rows)?;
        self.waiting.push((port, batch.with_order(Some(order))));
        Ok(())
    }

    /// What is to be said of a row.
    fn row_error(&self, row: &BadRow) -> Error {
        let mut error = Error::data(row.message.clone());
        if let Some(place) = row.place {
            error = error.row(place.row());
            if let Some(name) = self.names.name(place) {
                error = error.file(name.to_string());
            }
        }
        error.component(&*self.policy.id)
    }

    /// Takes what was written.
    pub fn take(&mut self) -> Vec<(usize, Batch)> {
        std::mem::take(&mut self.waiting)
    }
}

impl Output for Outlet {
    fn send(&mut self, port: usize, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        if !self.wants(port) {
            return self.unread(port, batch.len());
        }
        let batch = if self.charges {
            let bytes = batch.bytes();
            let beyond = self.is_oldest && self.gauge.bytes() >= self.share;
            let gauge = if beyond { &self.oldest } else { &self.gauge };
            let charge = gauge.charge(bytes);
            batch.with_charge(Some(Arc::new(charge)))
        } else {
            batch
        };
        self.waiting.push((port, batch));
    }

    fn wants(&self, port: usize) -> bool {
        self.wanted.get(port).copied().unwrap_or(true)
    }

    fn unread(&mut self, port: usize, rows: usize) {
        self.metrics.of(self.policy.node).port(port, rows as u64);
    }

    fn full(&self) -> bool {
        let beyond = self.gives_way && self.is_oldest && self.oldest.bytes() == 0;
        self.gauge.bytes() >= self.share && !beyond
    }

    fn bad(&mut self, rows: BadRows) -> Result<()> {
        let Some(first) = rows.first() else {
            return Ok(());
        };
        let counters = self.metrics.of(self.policy.node);
        let dropped = matches!(self.policy.on_error, OnError::Drop(_));
        for row in &rows {
            counters.bad(row, dropped, || self.names.file_and_row(row.place?));
        }
        let more = rows.len() as u64;
        let before = self.policy.count.fetch_add(more, Ordering::Relaxed);
        if let Some(by_epoch) = &self.policy.by_epoch {
            *lock(by_epoch).entry(epoch_of(self.tick)).or_default() += more;
        }
        if let Some(overruns) = &self.policy.overruns {
            let index = self.at_work.index(first);
            lock(overruns).found(self.tick, more, index, || self.row_error(first));
        } else if let MaxErrors::Rows(limit) = limit(self.policy.on_error)
            && before + more > limit
        {
            // The row that is one too many, or the first here where others were so already.
            let at = limit.saturating_sub(before);
            let row = rows.get(at as usize).unwrap_or(first);
            return Err(self.policy.too_many(before + at + 1, self.row_error(row)));
        }
        if let Some((_, ledger)) = &self.policy.ledger {
            let AtWork { lane, tick, .. } = self.at_work;
            let indices = rows.iter().map(|row| self.at_work.index(row));
            lock(ledger).bad(lane, tick, indices);
        }
        match (self.errors, &mut self.held) {
            (Some(_), Some(held)) => held.extend(rows),
            (Some(port), None) => {
                let batch = envelope_batch(&self.policy.id, &self.names, &rows)?;
                self.waiting.push((port, batch));
            }
            (None, _) => {}
        }
        Ok(())
    }

    fn late(&mut self, port: usize, rows: usize, make: &mut dyn FnMut() -> BadRows) -> Result<()> {
        let counters = self.metrics.of(self.policy.node);
        counters.late.fetch_add(rows as u64, Ordering::Relaxed);
        counters.port(port, rows as u64);
        if self.wants(port) {
            let batch = envelope_batch(&self.policy.id, &self.names, &make())?;
            self.waiting.push((port, batch));
        } else if counters
            .late_dropped
            .fetch_add(rows as u64, Ordering::Relaxed)
            == 0
        {
            tracing::warn!(target: "dataflow_engine::bad_rows", component = %self.policy.id, "rows come late and are left out: nothing reads the output `late`");
        }
        Ok(())
    }

    fn note(&mut self, text: &str, count: u64) {
        self.metrics.of(self.policy.node).note(text, count);
    }
}

/// Bad rows in the envelope that all error streams share.
fn envelope_batch(id: &str, names: &SplitNames, rows: &[BadRow]) -> Result<Batch> {
    let text = |each: Vec<Option<String>>| -> ArrayRef { Arc::new(StringArray::from(each)) };
    let file = |row: &BadRow| {
        row.place
            .and_then(|p| names.name(p))
            .map(|name| name.to_string())
    };
    let columns: Vec<ArrayRef> = vec![
        text(rows.iter().map(|_| Some(id.to_string())).collect()),
        text(
            rows.iter()
                .map(|row| Some(row.reason.to_string()))
                .collect(),
        ),
        text(rows.iter().map(|row| Some(row.message.clone())).collect()),
        text(rows.iter().map(file).collect()),
        Arc::new(UInt64Array::from_iter(
            rows.iter().map(|row| row.place.map(|p| p.row() + 1)),
        )),
        Arc::new(
            TimestampNanosecondArray::from_iter(rows.iter().map(|row| row.time))
                .with_timezone("UTC"),
        ),
        text(rows.iter().map(|row| Some(row.data.clone())).collect()),
    ];
    let places: Option<Vec<u64>> = rows
        .iter()
        .map(|row| row.place.map(|place| place.0))
        .collect();
    let places = places.map_or(Places::Unknown, |each| Places::Each(each.into()));
    Ok(Batch::new(RecordBatch::try_new(envelope(), columns)?).with_places(places))
}
