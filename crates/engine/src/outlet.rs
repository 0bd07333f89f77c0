//! What a stage writes to: batches wait here until the call returns, bytes are charged, bad rows are dealt with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::{
    ArrayRef, BinaryArray, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array,
};
use dataflow_core::plan::{MaxErrors, OnError, envelope};
use dataflow_core::stage::{BadRow, BadRows};
use dataflow_core::{Batch, Error, Gauge, Output, Place, Places, Result};

use crate::abort::lock;
use crate::metrics::Metrics;

/// The names of all splits of all sources, by the number that places carry.
#[derive(Default)]
pub struct SplitNames(pub Vec<Arc<str>>);

impl SplitNames {
    /// Where a row stands, for people: `cells.csv:17`, counted from 1.
    fn file_and_row(&self, place: Place) -> Option<String> {
        let name = self.name(place)?;
        Some(format!("{name}:{}", place.row() + 1))
    }

    fn name(&self, place: Place) -> Option<&Arc<str>> {
        self.0.get(place.split() as usize)
    }
}

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
    ledger: Mutex<Ledger>,
}

/// Rows and bad rows by tick, until the ticks before them have retired.
#[derive(Default)]
struct Ledger {
    by_tick: BTreeMap<u64, (u64, u64)>,
    rows: u64,
    bad: u64,
}

/// A share of bad rows means something only over so many rows.
const JUDGED_AFTER: u64 = 1000;

impl BadRowPolicy {
    /// The policy of component `node`.
    pub fn new(id: Arc<str>, node: usize, on_error: OnError) -> Self {
        Self {
            id,
            node,
            on_error,
            count: AtomicU64::new(0),
            ledger: Mutex::default(),
        }
    }

    fn limit(&self) -> MaxErrors {
        match self.on_error {
            OnError::Fail => MaxErrors::Rows(0),
            OnError::Drop(limit) | OnError::Port(limit) => limit,
        }
    }

    /// Counts rows of a tick, bad ones included, and bad ones.
    pub fn count(&self, tick: u64, rows: u64, bad: u64) {
        if let MaxErrors::Share(_) = self.limit() {
            let mut ledger = lock(&self.ledger);
            let entry = ledger.by_tick.entry(tick).or_default();
            entry.0 += rows;
            entry.1 += bad;
        }
    }

    /// Judges the share of bad rows up to tick `before`, tick by tick, so that the verdict does not depend on workers.
    /// At the end of the run (`before` is none) fewer rows than usual are judged too.
    ///
    /// # Errors
    /// When there were too many.
    pub fn judge(&self, before: Option<u64>) -> Result<()> {
        let MaxErrors::Share(share) = self.limit() else {
            return Ok(());
        };
        let mut ledger = lock(&self.ledger);
        while let Some(first) = ledger.by_tick.first_entry() {
            if before.is_some_and(|before| *first.key() >= before) {
                return Ok(());
            }
            let (rows, bad) = first.remove();
            ledger.rows += rows;
            ledger.bad += bad;
            if ledger.rows >= JUDGED_AFTER {
                self.verdict(ledger.rows, ledger.bad, share)?;
            }
        }
        match before {
            None => self.verdict(ledger.rows, ledger.bad, share),
            Some(_) => Ok(()),
        }
    }

    fn verdict(&self, rows: u64, bad: u64, share: f64) -> Result<()> {
        if bad as f64 <= share * rows as f64 {
            return Ok(());
        }
        Err(Error::data(format!(
            "{bad} of the first {rows} rows are bad, more than `max_errors = \"{}%\"` allows",
            share * 100.0
        ))
        .component(&*self.id)
        .help("look at them on the component's `errors` port, or raise `max_errors`"))
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
    tick: u64,
    is_oldest: bool,
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
            tick: 0,
            is_oldest: false,
            held: None,
            waiting: Vec::new(),
        }
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

    /// Counts rows that came in at the tick in work.
    pub fn count_rows(&self, rows: usize) {
        self.policy.count(self.tick, rows as u64, 0);
    }

    /// Keeps bad rows back until [`Outlet::release`], for a stage whose workers write at the end side by side.
    pub fn hold_bad_rows(&mut self) {
        self.held = Some(Vec::new());
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
        self.gauge.bytes() >= self.share && !(self.is_oldest && self.oldest.bytes() == 0)
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
        if let MaxErrors::Rows(limit) = self.policy.limit()
            && before + more > limit
        {
            // The row that is one too many, or the first here where others were so already.
            let at = limit.saturating_sub(before);
            let row = rows.get(at as usize).unwrap_or(first);
            return Err(too_many(&self.policy, &self.names, row, before + at + 1));
        }
        self.policy.count(self.tick, 0, rows.len() as u64);
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

    fn note(&mut self, text: &str, count: u64) {
        self.metrics.of(self.policy.node).note(text, count);
    }
}

fn too_many(policy: &BadRowPolicy, names: &SplitNames, row: &BadRow, count: u64) -> Error {
    let mut error = if policy.on_error == OnError::Fail {
        Error::data(row.message.clone()).help(
            "mend the row; or set `on_error = \"drop\"` to leave such rows out, or read this component's `errors` port",
        )
    } else {
        Error::data(format!(
            "{count} rows are bad, more than `max_errors` allows; this one: {}",
            row.message
        ))
        .help("raise `max_errors`, or mend the input")
    };
    if let Some(place) = row.place {
        error = error.row(place.row());
        if let Some(name) = names.name(place) {
            error = error.file(name.to_string());
        }
    }
    error.component(&*policy.id)
}

/// Bad rows in the envelope that all error streams share.
fn envelope_batch(id: &str, names: &SplitNames, rows: &[BadRow]) -> Result<Batch> {
    let text = |each: Vec<Option<String>>| -> ArrayRef { Arc::new(StringArray::from(each)) };
    let file = |row: &BadRow| {
        row.place
            .and_then(|p| names.name(p))
            .map(ToString::to_string)
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
        Arc::new(TimestampNanosecondArray::new_null(rows.len()).with_timezone("UTC")),
        text(rows.iter().map(|row| Some(row.data.clone())).collect()),
    ];
    let places: Option<Vec<u64>> = rows
        .iter()
        .map(|row| row.place.map(|place| place.0))
        .collect();
    let places = places.map_or(Places::Unknown, |each| Places::Each(each.into()));
    Ok(Batch::new(RecordBatch::try_new(envelope(), columns)?).with_places(places))
}
