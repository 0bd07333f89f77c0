//! How far each source has been read at the end of an epoch.

use std::collections::BTreeMap;

use dataflow_core::Piece;
use dataflow_core::source::Head;
use dataflow_core::time::{Instant, Newest};
use serde::{Deserialize, Serialize};

use crate::outlet::Known;
use crate::splits::{Room, Splits};

/// By how many of its first bytes a file is known again.
pub const HEAD: u64 = 4096;

/// How far a split has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Its number, which the places of its rows carry.
    pub number: Option<u32>,
    /// Whether it was not begun.
    pub waits: bool,
    /// Rows, good and bad.
    pub rows: u64,
    /// Whether there were no more.
    pub whole: bool,
    /// Whether its last row would be another one if more were written behind it.
    pub unfinished: bool,
    /// Its size in bytes, if that was known.
    pub bytes: Option<u64>,
    /// What it began with, if that was known.
    pub head: Option<Head>,
    /// Where times count, the newest one.
    pub newest: Newest,
}

impl Position {
    /// Its number, if it was begun.
    pub fn begun(&self) -> Option<u32> {
        self.number.filter(|_| !self.waits)
    }
}

/// How far a source has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition {
    /// Its splits by their names, those included that were not begun.
    pub splits: BTreeMap<String, Position>,
    /// The numbers that its splits have.
    pub numbers: Room,
    /// Whether those behind it have been told that there is no more.
    pub ended: bool,
    /// Where times count, the watermark that was sent last.
    pub watermark: Instant,
    /// Where splits come while it is read: the number from which on they have come so, and what is known of those that are gone.
    pub arriving: Option<Arriving>,
}

/// What is known of the splits that come while a source is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arriving {
    /// The number of the first that came so. Those with lower numbers were there at the start.
    pub from: u32,
    /// The first of the source's own numbers that was not given when the run began.
    pub next: u32,
    /// The same of the numbers behind those of all sources.
    pub beyond: u32,
    /// The newest time of splits that were read and are not there any more.
    pub gone: Newest,
}

/// What the desk knows at the end of an epoch.
#[derive(Default, Serialize, Deserialize)]
pub struct Facts {
    /// How far each source has been read, by its id.
    pub sources: BTreeMap<String, SourcePosition>,
    /// What is known of the bad rows of each component.
    pub bad_rows: BTreeMap<String, Known>,
}

/// A piece that was admitted.
struct Admitted {
    split: usize,
    /// How many rows of the split have been read with it.
    rows: Option<u64>,
    unfinished: bool,
}

/// What is learned of the pieces of one source, until the epoch that they are of is over.
#[derive(Default)]
pub struct Progress {
    pieces: BTreeMap<u64, Admitted>,
    newest: BTreeMap<u64, Newest>,
    /// The tick from which on nothing more of a split comes.
    whole: BTreeMap<usize, u64>,
    /// What each split that was begun begins with.
    heads: BTreeMap<usize, Head>,
    reached: BTreeMap<usize, Position>,
}

impl Progress {
    /// Goes on from where an earlier run was.
    pub fn from(reached: BTreeMap<usize, Position>) -> Self {
        Self {
            reached,
            ..Self::default()
        }
    }

    /// A split was begun.
    pub fn begun(&mut self, split: usize, head: Option<Head>) {
        self.heads.extend(head.map(|head| (split, head)));
    }

    /// A piece was admitted.
    pub fn admitted(&mut self, tick: u64, piece: &Piece) {
        let admitted = Admitted {
            split: piece.split,
            rows: None,
            unfinished: piece.unfinished,
        };
        self.pieces.insert(tick, admitted);
    }

    /// It was read: so many rows of its split have been.
    pub fn read(&mut self, tick: u64, rows: Option<u64>) {
        if let Some(piece) = self.pieces.get_mut(&tick) {
            piece.rows = rows;
        }
    }

    /// Its times were seen.
    pub fn judged(&mut self, tick: u64, newest: Newest) {
        if self.pieces.contains_key(&tick) {
            self.newest.insert(tick, newest);
        }
    }

    /// No piece of a split comes from this tick on.
    pub fn ended(&mut self, split: usize, tick: u64) {
        self.whole.entry(split).or_insert(tick);
    }

    /// How far each split is at the tick `limit`, when everything before it has been read.
    pub fn at(&mut self, limit: u64, splits: &Splits) -> BTreeMap<String, Position> {
        let later = self.pieces.split_off(&limit);
        for (tick, piece) in std::mem::replace(&mut self.pieces, later) {
            let reached = self.reached.entry(piece.split).or_default();
            reached.rows = piece.rows.unwrap_or_default().max(reached.rows);
            reached.unfinished = piece.unfinished;
            if let Some(newest) = self.newest.remove(&tick) {
                reached.newest = newest;
            }
        }
        for (split, tick) in &self.whole {
            let reached = self.reached.entry(*split).or_default();
            reached.whole |= *tick <= limit;
        }
        for (split, reached) in &mut self.reached {
            reached.head = self.heads.get(split).copied().or(reached.head);
        }
        let named = splits.all.iter().enumerate().map(|(at, split)| {
            let position = match self.reached.get(&at) {
                Some(reached) => Position {
                    number: Some(splits.numbers[at]),
                    bytes: split.bytes,
                    ..*reached
                },
                None => Position {
                    number: Some(splits.numbers[at]),
                    waits: true,
                    ..Position::default()
                },
            };
            (split.name.to_string(), position)
        });
        named.collect()
    }
}
