//! Windows that follow from the rows of each key: sessions, counts and changes. Row after row, in order, it is decided which
//! windows a row belongs to and which are over.

pub(super) mod saved;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use arrow_array::BinaryArray;
use arrow_schema::{DataType, Field, FieldRef};
use dataflow_core::Place;
use dataflow_core::saved::Changes;
use dataflow_core::time::Instant;
use dataflow_core::window::Lookback;

use super::window::Windowed;

/// How the rows of a key are cut.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Rows that follow one another within a gap.
    Session { gap: i64 },
    /// So many rows, one window each `every` rows.
    Count { size: u64, every: u64 },
    /// Neighbours that are equal in the inputs with these numbers.
    Change { of: Vec<usize> },
    /// For each row, the rows that lead up to it.
    Rolling(Lookback),
    /// The rows of each file.
    File,
}

/// Windows that follow from the rows.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) kind: Kind,
    /// Whether rows have event time, and come in its order; else they come in the order of the stream.
    pub(crate) timed: bool,
    /// Whether windows tell when they start and end.
    pub(crate) spans: bool,
}

/// Whether a window has all its rows; only counts know.
pub(crate) const COMPLETE: &str = "window_complete";

impl Cut {
    /// The columns that a window's row starts with.
    pub(crate) fn fields(&self) -> Vec<FieldRef> {
        let mut fields: Vec<FieldRef> = match self.spans {
            true => Windowed::fields().to_vec(),
            false => Vec::new(),
        };
        if self.counts() {
            fields.push(Arc::new(Field::new(COMPLETE, DataType::Boolean, true)));
        }
        fields
    }

    /// Whether windows may remain short at the end.
    pub(crate) fn counts(&self) -> bool {
        matches!(self.kind, Kind::Count { .. })
    }
}

/// A window.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Its key's number.
    pub(super) key: u32,
    /// The number of its first row among those of the key.
    pub(super) number: u64,
    /// When its first and last row happened; where there is no time, where they stand.
    pub(super) first: Instant,
    pub(super) last: Instant,
    pub(super) rows: u64,
    /// Whether it was over only because the rows ended, and not when time was so far: it leaves behind all others.
    pub(super) stayed: bool,
    pub(super) state: State,
}

/// What has become of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// It is over since this instant, with all its rows or without.
    Over(Instant, bool),
    /// It has left.
    Left,
}

/// What is known of a key.
#[derive(Clone, Debug, Default)]
struct Key {
    open: VecDeque<u32>,
    rows: u64,
    value: Option<Box<[u8]>>,
}

/// The windows of the keys that one worker owns.
pub(super) struct Windows {
    kind: Kind,
    keys: Vec<Key>,
    pub(super) list: Vec<Window>,
    /// Windows that are over and have not left.
    over: Vec<u32>,
    /// When sessions may be over.
    timers: BinaryHeap<Reverse<(Instant, u32)>>,
    left: usize,
    /// The file that rows came from last.
    file: u32,
    /// The windows, and the keys, of which something has changed since that was saved.
    changes: Changes,
    changed_keys: Changes,
}

impl Windows {
    /// None yet.
    pub(super) fn new(kind: &Kind) -> Self {
        Self {
            kind: kind.clone(),
            keys: Vec::new(),
            list: Vec::new(),
            over: Vec::new(),
            timers: BinaryHeap::new(),
            left: 0,
            file: 0,
            changes: Changes::default(),
            changed_keys: Changes::default(),
        }
    }

    /// Puts rows into windows. `rows` and `windows` say, pair by pair, which row goes into which window; a row may be there more
    /// than once.
    pub(super) fn take(
        &mut self,
        keys: &[u32],
        at: &[Instant],
        times: Option<&[Instant]>,
        values: Option<&BinaryArray>,
        rows: &mut Vec<u32>,
        windows: &mut Vec<u32>,
    ) {
        rows.clear();
        windows.clear();
        self.know(keys);
        self.changed_keys.mark(keys);
        for (row, (key, time)) in keys.iter().zip(at).enumerate() {
            if matches!(self.kind, Kind::File) {
                self.file(Place(*time as u64).split());
            }
            let happened = times.map_or(*time, |times| times[row]);
            let value = values.map(|values| values.value(row));
            self.one(*key, *time, happened, value);
            for window in &self.keys[*key as usize].open {
                rows.push(row as u32);
                windows.push(*window);
                let window = &mut self.list[*window as usize];
                window.last = match self.kind {
                    Kind::File => window.last.max(happened),
                    _ => happened,
                };
                window.first = window.first.min(happened);
                window.rows += 1;
            }
            if let Kind::Count { size, .. } = self.kind {
                let key = &mut self.keys[*key as usize];
                let first = key.open.front().copied();
                if let Some(full) = first.filter(|first| self.list[*first as usize].rows == size) {
                    key.open.pop_front();
                    self.end(full, *time, true);
                }
            }
        }
        self.changes.mark(windows);
    }

    /// Ends the windows of the file before this one: its rows have all come.
    fn file(&mut self, file: u32) {
        if file == self.file {
            return;
        }
        for key in &mut self.keys {
            for window in key.open.drain(..) {
                self.list[window as usize].state = State::Over(Instant::from(self.file), true);
                self.changes.mark_one(window);
                self.over.push(window);
            }
        }
        self.file = file;
    }

    /// Ends the windows that a row does not belong to, and begins those that it is the first of.
    fn one(&mut self, key: u32, time: Instant, happened: Instant, value: Option<&[u8]>) {
        let rows = self.keys[key as usize].rows;
        self.keys[key as usize].rows += 1;
        let open = self.keys[key as usize].open.back().copied();
        let begins = match (&self.kind, open) {
            (Kind::Count { every, .. }, _) => rows.is_multiple_of(*every),
            (_, None) => true,
            (Kind::Session { gap }, Some(window)) => {
                let until = self.list[window as usize].last.saturating_add(*gap);
                if time > until {
                    self.end(window, until.saturating_add(1), true);
                }
                time > until
            }
            (Kind::Change { .. }, Some(window)) => {
                let same = self.keys[key as usize].value.as_deref() == value;
                if !same {
                    self.end(window, time, true);
                }
                !same
            }
            // Such rows are looked back at, not cut.
            (Kind::Rolling(_) | Kind::File, Some(_)) => false,
        };
        if !begins {
            return;
        }
        if !matches!(self.kind, Kind::Count { .. }) {
            self.keys[key as usize].open.clear();
        }
        self.keys[key as usize].value = value.map(Box::from);
        let window = self.list.len() as u32;
        self.list.push(Window {
            key,
            number: rows,
            first: happened,
            last: happened,
            rows: 0,
            stayed: false,
            state: State::Open,
        });
        self.keys[key as usize].open.push_back(window);
        if let Kind::Session { gap } = self.kind {
            let until = time.saturating_add(gap).saturating_add(1);
            self.timers.push(Reverse((until, window)));
        }
    }

    fn end(&mut self, window: u32, at: Instant, complete: bool) {
        let of = &mut self.list[window as usize];
        if of.state == State::Open {
            of.state = State::Over(at, complete);
            self.changes.mark_one(window);
            self.over.push(window);
        }
    }

    /// Ends the sessions that no row at `now` or later can belong to.
    pub(super) fn tick(&mut self, now: Instant) {
        let Kind::Session { gap } = self.kind else {
            return;
        };
        while let Some(Reverse((due, window))) = self.timers.peek().copied() {
            if due > now {
                break;
            }
            self.timers.pop();
            let of = &self.list[window as usize];
            if of.state != State::Open {
                continue;
            }
            let until = of.last.saturating_add(gap).saturating_add(1);
            if until > now {
                self.timers.push(Reverse((until, window)));
                continue;
            }
            self.keys[of.key as usize].open.clear();
            self.end(window, until, true);
        }
    }

    /// Ends all windows.
    pub(super) fn end_all(&mut self) {
        for window in 0..self.list.len() as u32 {
            let of = &mut self.list[window as usize];
            if of.state != State::Open {
                continue;
            }
            of.stayed = !matches!(self.kind, Kind::Session { .. } | Kind::File);
            let complete = !matches!(self.kind, Kind::Count { .. });
            let at = match self.kind {
                Kind::Session { gap } => of.last.saturating_add(gap).saturating_add(1),
                Kind::File => Instant::from(self.file),
                _ => of.last,
            };
            self.end(window, at, complete);
        }
        self.keys.iter_mut().for_each(|key| key.open.clear());
    }

    /// The windows that were over before an instant; they count as left.
    pub(super) fn leave(&mut self, before: Option<Instant>) -> Vec<u32> {
        let list = &mut self.list;
        let is_early = |window: &u32| match list[*window as usize].state {
            State::Over(at, _) => before.is_none_or(|before| at < before),
            _ => false,
        };
        let (early, rest): (Vec<u32>, Vec<u32>) = std::mem::take(&mut self.over)
            .into_iter()
            .partition(is_early);
        self.over = rest;
        early
    }

    /// Says that a window has left.
    pub(super) fn has_left(&mut self, window: u32) {
        self.list[window as usize].state = State::Left;
        self.changes.mark_one(window);
        self.left += 1;
    }

    /// The windows that are open.
    pub(super) fn open(&self) -> Vec<u32> {
        let all = 0..self.list.len() as u32;
        all.filter(|window| self.list[*window as usize].state == State::Open)
            .collect()
    }

    /// Makes room for keys.
    fn know(&mut self, keys: &[u32]) {
        let most = keys.iter().max().map_or(0, |key| *key as usize + 1);
        self.keys
            .resize_with(most.max(self.keys.len()), Key::default);
    }

    /// How far the windows that leave from now on are complete: none of them has its last row earlier.
    pub(super) fn progress(&self, watermark: Instant) -> Instant {
        if !matches!(self.kind, Kind::Change { .. }) {
            return watermark;
        }
        let open = self
            .list
            .iter()
            .filter(|window| window.state == State::Open);
        open.map(|window| window.last).fold(watermark, Instant::min)
    }

    /// If most windows have left: those that have not, who from now on are numbered in this order.
    pub(super) fn renumbered(&mut self) -> Option<Vec<u32>> {
        if self.left < FEW || 2 * self.left < self.list.len() {
            return None;
        }
        let kept: Vec<u32> = (0..self.list.len() as u32)
            .filter(|window| self.list[*window as usize].state != State::Left)
            .collect();
        let mut new = vec![u32::MAX; self.list.len()];
        kept.iter()
            .zip(0..)
            .for_each(|(old, at)| new[*old as usize] = at);
        self.list = kept
            .iter()
            .map(|window| self.list[*window as usize].clone())
            .collect();
        let timers = std::mem::take(&mut self.timers).into_iter();
        self.timers = timers
            .filter_map(|Reverse((due, window))| {
                let window = new[window as usize];
                (window != u32::MAX).then_some(Reverse((due, window)))
            })
            .collect();
        let open = self.keys.iter_mut().flat_map(|key| &mut key.open);
        open.chain(&mut self.over)
            .for_each(|window| *window = new[*window as usize]);
        self.left = 0;
        self.changes.all();
        Some(kept)
    }

    /// If most keys have no window and nothing is to be remembered of them: those that have, who from now on are numbered in this
    /// order.
    pub(super) fn renumbered_keys(&mut self) -> Option<Vec<u32>> {
        if !matches!(self.kind, Kind::Session { .. } | Kind::File) || self.keys.len() < FEW {
            return None;
        }
        let mut used = vec![false; self.keys.len()];
        let here = self
            .list
            .iter()
            .filter(|window| window.state != State::Left);
        here.for_each(|window| used[window.key as usize] = true);
        let kept: Vec<u32> = (0..used.len() as u32)
            .filter(|key| used[*key as usize])
            .collect();
        if 2 * kept.len() > self.keys.len() {
            return None;
        }
        let mut new = vec![u32::MAX; self.keys.len()];
        kept.iter()
            .zip(0..)
            .for_each(|(old, at)| new[*old as usize] = at);
        self.keys = kept
            .iter()
            .map(|key| self.keys[*key as usize].clone())
            .collect();
        let here = self
            .list
            .iter_mut()
            .filter(|window| window.state != State::Left);
        here.for_each(|window| window.key = new[window.key as usize]);
        Some(kept)
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Window>() * self.list.capacity()
            + (size_of::<Key>() + 16) * self.keys.capacity()
            + 16 * self.timers.len()
            + 4 * self.over.capacity()
            + self.changes.bytes()
            + self.changed_keys.bytes()
    }

    /// Windows that have not left.
    pub(super) fn len(&self) -> usize {
        self.list.len() - self.left
    }
}

/// With fewer windows than this, those that have left do no harm. Tests have few.
const FEW: usize = if cfg!(test) { 4 } else { 1024 };
