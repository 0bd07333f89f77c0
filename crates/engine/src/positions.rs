//! How far each source has been read at the end of an epoch.

use std::collections::BTreeMap;

use dataflow_core::Split;
use dataflow_core::order::key_hash;
use dataflow_core::time::Newest;
use serde::{Deserialize, Serialize};

use crate::outlet::Known;

/// How far a split has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Rows, good and bad.
    pub rows: u64,
    /// Whether there were no more.
    pub whole: bool,
    /// Its size in bytes, if that was known.
    pub bytes: Option<u64>,
    /// Where times count, the newest one.
    pub newest: Newest,
}

/// How far a source has been read: its splits by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition {
    /// How many splits there were.
    pub count: usize,
    /// A hash of their names, in order.
    pub names: u64,
    /// The splits that were begun.
    pub splits: BTreeMap<String, Position>,
}

impl SourcePosition {
    /// Of a source with these splits, none of which was begun.
    pub fn of(splits: &[Split]) -> Self {
        Self {
            count: splits.len(),
            names: hash(splits),
            splits: BTreeMap::new(),
        }
    }

    /// Whether these are the splits that there were, with or without others behind them.
    pub fn is_of(&self, splits: &[Split]) -> bool {
        let first = splits.get(..self.count);
        first.is_some_and(|first| hash(first) == self.names)
    }
}

fn hash(splits: &[Split]) -> u64 {
    let mut names = Vec::new();
    for split in splits {
        names.extend_from_slice(split.name.as_bytes());
        names.push(0);
    }
    key_hash(&names)
}

/// What the desk knows at the end of an epoch.
#[derive(Default, Serialize, Deserialize)]
pub struct Facts {
    /// How far each source has been read, by its id.
    pub sources: BTreeMap<String, SourcePosition>,
    /// What is known of the bad rows of each component.
    pub bad_rows: BTreeMap<String, Known>,
}

/// What is learned of the pieces of one source, until the epoch that they are of is over.
#[derive(Default)]
pub struct Progress {
    /// The split of each piece, by its tick, and how many rows of the split have been read with it.
    pieces: BTreeMap<u64, (usize, Option<u64>)>,
    newest: BTreeMap<u64, Newest>,
    /// The tick from which on nothing more of a split comes.
    whole: BTreeMap<usize, u64>,
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

    /// A piece was admitted.
    pub fn admitted(&mut self, tick: u64, split: usize) {
        self.pieces.insert(tick, (split, None));
    }

    /// It was read: so many rows of its split have been.
    pub fn read(&mut self, tick: u64, rows: Option<u64>) {
        if let Some(piece) = self.pieces.get_mut(&tick) {
            piece.1 = rows;
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
    pub fn at(&mut self, limit: u64, splits: &[Split]) -> SourcePosition {
        let later = self.pieces.split_off(&limit);
        for (tick, (split, rows)) in std::mem::replace(&mut self.pieces, later) {
            let reached = self.reached.entry(split).or_default();
            reached.rows = rows.unwrap_or_default().max(reached.rows);
            if let Some(newest) = self.newest.remove(&tick) {
                reached.newest = newest;
            }
        }
        for (split, tick) in &self.whole {
            let reached = self.reached.entry(*split).or_default();
            reached.whole |= *tick <= limit;
        }
        let named = self.reached.iter().map(|(split, reached)| {
            let bytes = splits[*split].bytes;
            (
                splits[*split].name.to_string(),
                Position { bytes, ..*reached },
            )
        });
        SourcePosition {
            splits: named.collect(),
            ..SourcePosition::of(splits)
        }
    }
}
