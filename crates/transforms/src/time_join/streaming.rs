//! A join over event time as the watermark goes on: rows of the main side leave when all rows that may match them have come.
//!
//! Both sides wait in the order of time, on disk if they are many. When a row of the main side may leave, the table's rows are
//! taken up to where they may match it, and no further: those that are held are the ones that can still match.

use std::sync::Arc;

use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::time::{BEGINNING, END, Instant};
use dataflow_core::{Batch, Error, Flow, Output, Result, Stage, StageContext};

use super::Work;
use super::held::{Held, NONE, Pointer};
use super::keys::KeyTable;
use super::ordered::{Ordered, Rows, times_of};
use super::rule::{Found, Rule};
use crate::columns::conform;
use crate::saved::{self, hashes, least};
use dataflow_core::in_time::InTime;

/// A span that rows wait for is looked through in so many steps at most.
const STEPS: i64 = 64;

/// The names under which is saved what waits of both sides, what is held of the table, and how far that is known.
pub(super) struct Names {
    pub(super) main: &'static str,
    pub(super) table: &'static str,
    pub(super) held: &'static str,
    pub(super) known: &'static str,
}

const NAMES: Names = Names {
    main: "main",
    table: "table",
    held: "held",
    known: "known",
};

/// The rows of the keys that one worker owns.
pub(super) struct Streaming {
    context: StageContext,
    work: Arc<Work>,
    wait: i64,
    main: Ordered,
    table: Table,
    keys: KeyTable,
    /// Whether rows of the main side may be going.
    going: bool,
    writing: Option<Writing>,
}

/// The table's rows: those that wait, and those that are held.
struct Table {
    waiting: InTime,
    held: Held,
    watermark: Instant,
    /// Up to here they are taken whether a row asks for them or not.
    sure: Instant,
    /// Whether some are going, and up to where.
    going: Option<Instant>,
    /// All rows before are held, or are not needed; none: all rows are.
    known: Option<Instant>,
    assigned: Vec<u32>,
}

/// Rows of the main side that leave: which row with which of the table's.
struct Writing {
    rows: Rows,
    /// How many have been matched.
    at: usize,
    pairs: (Vec<u32>, Vec<u32>),
    written: usize,
}

impl Streaming {
    pub(super) fn new(context: StageContext, work: &Arc<Work>, wait: i64) -> Result<Self> {
        // The rest is for rows that are held.
        let part = StageContext {
            memory: context.memory / 4 * 3,
            ..context.clone()
        };
        Ok(Self {
            main: Ordered::new(&part),
            table: Table {
                waiting: InTime::new(&part),
                held: Held::new(&work.added_schema),
                watermark: BEGINNING,
                sure: BEGINNING,
                going: None,
                known: Some(BEGINNING),
                assigned: Vec::new(),
            },
            keys: KeyTable::new(&work.types, context.memory)?,
            wait,
            going: false,
            writing: None,
            work: Arc::clone(work),
            context,
        })
    }

    /// Takes rows of one input, whose columns are of the declared types.
    pub(super) fn take(&mut self, input: usize, batch: Batch) -> Result<()> {
        match input {
            0 => self.main.push(batch, self.wait)?,
            _ => self.table.waiting.push(batch)?,
        }
        // Both sides wait in the same memory.
        let (main, table) = (self.main.waiting_bytes(), self.table.waiting.bytes());
        if main + table <= self.context.memory / 4 * 3 {
            return Ok(());
        }
        match main >= table {
            true => self.main.spill(),
            false => self.table.waiting.spill(),
        }
    }

    /// Writes down both sides, under these names. Not while rows are leaving.
    pub(super) fn save_as(&self, names: &Names, into: &mut dyn Save) -> Result<()> {
        self.main.save(names.main, into);
        self.table.waiting.save(names.table, into);
        if let Some(known) = self.table.known {
            into.value(names.known, known.into());
        }
        self.table.held.save(names.held, &self.keys, into)
    }

    /// Goes on with what was written down under these names.
    pub(super) fn restore_as(&mut self, names: &Names, from: &Restored<'_>) -> Result<()> {
        let work = Arc::clone(&self.work);
        let owners = |input: usize| {
            let work = Arc::clone(&work);
            move |batch: &Batch| hashes(&work.types, &work.keys(input, batch.rows()), batch.len())
        };
        let schema = |input: usize| Arc::clone(&work.sides[input].schema);
        let of_main = owners(0);
        let main = (from, Share::Keyed(&of_main));
        self.main.restore(names.main, main, schema(0))?;
        let of_table = owners(1);
        let table = (from, Share::Keyed(&of_table));
        self.table.waiting.restore(names.table, table, schema(1))?;
        // Some workers have taken more of their rows than others: those rows wait no more, and what is known of all is the least.
        self.table.known = Some(least(from, names.known)?.unwrap_or(BEGINNING));
        let of_held = saved::owners(&work.types);
        let held = (from, Share::Keyed(&of_held));
        let width = work.types.len();
        self.table
            .held
            .restore(names.held, &mut self.keys, width, held)
    }

    /// Begins to let go of everything.
    pub(super) fn end(&mut self) -> Result<()> {
        self.begin(END)
    }

    fn begin(&mut self, watermark: Instant) -> Result<()> {
        self.main.let_go(watermark)?;
        self.going = true;
        self.table.watermark = watermark;
        self.table.sure = match self.work.rule.looks_ahead() && watermark != END {
            true => watermark.saturating_sub(self.wait),
            false => watermark,
        };
        Ok(())
    }

    /// Takes the table's rows up to where no row of the main side can ask for less, and forgets those that none can ask for.
    fn finish(&mut self) -> Result<()> {
        if self.table.watermark == END {
            return Ok(());
        }
        let from = self.table.watermark.saturating_sub(self.wait);
        while self.table.going.is_some() || self.table.known < Some(self.table.sure) {
            self.table
                .pull(self.table.sure, &self.work, &mut self.keys)?;
            self.forget(from, &mut [])?;
        }
        self.forget(from, &mut [])?;
        self.too_large()
    }

    /// Forgets what a row of the main side cannot ask for that happened at `from` or later, if it is time for that.
    fn forget(&mut self, from: Instant, also: &mut [u32]) -> Result<()> {
        if self.table.held.is_due() {
            let rule = self.work.rule;
            self.table
                .held
                .forget(|time, next| rule.needs(time, next, from))?;
        }
        self.table.held.forget_keys(&mut self.keys, also)
    }

    /// Matches rows until there are enough for a batch.
    fn matched(&mut self, writing: &mut Writing) -> Result<()> {
        let Writing {
            rows, at, pairs, ..
        } = writing;
        pairs.0.clear();
        pairs.1.clear();
        self.forget(rows.times[*at], &mut rows.keys[*at..])?;
        while *at < rows.times.len() && pairs.0.len() < self.context.batch_rows {
            let (time, key) = (rows.times[*at], rows.keys[*at]);
            let Some(until) = self.one(*at as u32, time, key, pairs) else {
                *at += 1;
                continue;
            };
            if self.table.held.is_due() {
                if !pairs.0.is_empty() {
                    return Ok(());
                }
                self.forget(time, &mut rows.keys[*at..])?;
                self.too_large()?;
            }
            self.table.pull(until, &self.work, &mut self.keys)?;
        }
        self.too_large()
    }

    /// Matches a row; or says until when the table's rows must be known before that can be done.
    #[inline]
    fn one(
        &mut self,
        row: u32,
        time: Instant,
        key: u32,
        pairs: &mut (Vec<u32>, Vec<u32>),
    ) -> Option<Instant> {
        let (held, known) = (&mut self.table.held, self.table.known);
        let before = pairs.0.len();
        match self.work.rule {
            Rule::Nearest(nearest) => {
                if known.is_some_and(|known| known <= time) {
                    return Some(time);
                }
                match nearest.find(held, key, time, known) {
                    Found::Until(until) => return Some(until),
                    Found::Is(NONE) => {}
                    Found::Is(found) => {
                        pairs.0.push(row);
                        pairs.1.push(found);
                    }
                }
            }
            Rule::Within {
                before: older,
                after,
            } => {
                let last = time.saturating_add(after);
                if known.is_some_and(|known| known <= last) {
                    return Some(last);
                }
                let first = time.saturating_sub(older);
                let before_first = held.last_before(Pointer::Low, key, first, false);
                let mut next = held.behind(key, before_first);
                while next != NONE && held.time(next) <= last {
                    pairs.0.push(row);
                    pairs.1.push(next);
                    next = held.behind(key, next);
                }
                pairs.1[before..].sort_unstable_by_key(|row| held.place(*row));
            }
        }
        if self.work.left && pairs.0.len() == before {
            pairs.0.push(row);
            pairs.1.push(NONE);
        }
        None
    }

    /// The next rows that leave.
    pub(super) fn next(&mut self) -> Result<Option<Batch>> {
        loop {
            let Some(mut writing) = self.writing.take() else {
                let next = match self.going {
                    true => self.main.next(&self.work, &mut self.keys)?,
                    false => None,
                };
                let Some(rows) = next else {
                    if std::mem::take(&mut self.going) {
                        self.finish()?;
                    }
                    return Ok(None);
                };
                self.writing = Some(Writing {
                    rows,
                    at: 0,
                    pairs: (Vec::new(), Vec::new()),
                    written: 0,
                });
                continue;
            };
            if writing.written == writing.pairs.0.len() {
                if writing.at == writing.rows.times.len() {
                    continue;
                }
                writing.written = 0;
                self.matched(&mut writing)?;
                self.writing = Some(writing);
                continue;
            }
            let until = writing.pairs.0.len();
            let until = until.min(writing.written + self.context.batch_rows);
            let some = writing.written..until;
            let (main, table) = (&writing.pairs.0[some.clone()], &writing.pairs.1[some]);
            let columns = self.table.held.columns(table)?;
            let times = self.table.held.times_of(table);
            let batch = self
                .work
                .joined(&writing.rows.batch, main, columns, times)?;
            writing.written = until;
            self.writing = Some(writing);
            return Ok(Some(batch));
        }
    }

    fn too_large(&self) -> Result<()> {
        let held = self.table.held.bytes() + self.keys.bytes();
        self.work
            .too_large(self.table.held.len(), held, &self.context)
    }
}

impl Table {
    /// Takes some rows more, so that they are known beyond `until` sooner or later.
    fn pull(&mut self, until: Instant, work: &Work, keys: &mut KeyTable) -> Result<()> {
        let known = self.known.unwrap_or(END);
        let Some(bound) = self.going else {
            let step = self.watermark.saturating_sub(self.sure) / STEPS + 1;
            let ahead = until.saturating_add(1).max(known.saturating_add(step));
            let bound = match known < self.sure {
                true => self.sure,
                false => ahead.min(self.watermark),
            };
            if bound <= known {
                return Err(Error::internal(
                    "a row of a join may leave before what matches it has come",
                ));
            }
            self.waiting.let_go(bound)?;
            self.going = Some(bound);
            return Ok(());
        };
        let Some(batch) = self.waiting.next()? else {
            self.going = None;
            self.known = (bound != END).then_some(bound);
            return Ok(());
        };
        let times = times_of(&batch)?;
        let columns = work.keys(1, batch.rows());
        keys.assign(&columns, batch.len(), &mut self.assigned)?;
        let places = batch.places();
        let places = (0..batch.len()).map(|row| places.get(row).map_or(0, |place| place.0));
        let rows = batch.rows().project(&work.added)?;
        self.held.push(rows, &times, places, &self.assigned);
        self.known = Some(known.max(times[times.len() - 1]));
        Ok(())
    }
}

impl Stage for Streaming {
    fn on_batch(&mut self, _: Batch, _: &mut dyn Output) -> Result<Flow> {
        Err(Error::internal(
            "a join did not hear which input rows are of",
        ))
    }

    fn on_input(&mut self, input: usize, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        let batch = conform(batch, &self.work.sides[input].schema)?;
        self.take(input, batch)?;
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        while let Some(batch) = self.next()? {
            out.send(0, batch);
            if out.full() {
                return Ok(Flow::More);
            }
        }
        Ok(Flow::Ready)
    }

    fn on_watermark(&mut self, time: Instant, out: &mut dyn Output) -> Result<Flow> {
        self.begin(time)?;
        self.more(out)
    }

    fn progress(&self, watermark: Instant) -> Instant {
        watermark.saturating_sub(self.wait)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.begin(END)?;
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.save_as(&NAMES, into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        self.restore_as(&NAMES, from)
    }

    fn bytes(&self) -> usize {
        let waiting = self.main.bytes() + self.table.waiting.bytes();
        waiting + self.table.held.bytes() + self.keys.bytes()
    }

    fn keys(&self) -> usize {
        self.keys.len()
    }
}
