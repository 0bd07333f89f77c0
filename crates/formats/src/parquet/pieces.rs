//! Cutting a Parquet file into ranges of rows.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use dataflow_core::{Cutter, Error, Piece, Place, Result};

use super::plan::{Group, Plan};
use crate::file_bytes::FileBytes;

/// Walks a file's kept rows in order.
pub(super) struct Pieces {
    plan: Arc<Plan>,
    split: usize,
    first: Place,
    group: usize,
    /// What is left of the kept rows of that group.
    left: VecDeque<Range<u64>>,
    /// Where pages start in it, if it is worth knowing.
    pages: Vec<u64>,
    bytes: Option<FileBytes>,
    /// The bytes of the file that pieces so far stand for.
    told: u64,
}

impl Pieces {
    pub fn new(plan: Arc<Plan>, split: usize, first: Place) -> Result<Self> {
        if first.row().saturating_add(plan.footer.rows()) > Place::MAX_ROWS {
            return Err(
                Error::data(format!("a file has more than {} rows", Place::MAX_ROWS))
                    .file(&*plan.footer.path)
                    .help("cut the file into several"),
            );
        }
        let mut pieces = Self {
            plan,
            split,
            first,
            group: 0,
            left: VecDeque::new(),
            pages: Vec::new(),
            bytes: None,
            told: 0,
        };
        pieces.enter(0);
        Ok(pieces)
    }

    fn enter(&mut self, group: usize) {
        self.group = group;
        let end = self.plan.end;
        let kept = self.plan.groups.get(group).map(|group| group.kept.iter());
        self.left = kept
            .into_iter()
            .flatten()
            .map(|range| range.start..range.end.min(end))
            .filter(|range| !range.is_empty())
            .collect();
        if !self.left.is_empty() {
            self.look_at_pages();
        }
    }

    /// Looks where pages start in the group, if it is large enough to be cut.
    fn look_at_pages(&mut self) {
        let group = &self.plan.groups[self.group];
        self.pages.clear();
        if is_small(group) {
            return;
        }
        if self.bytes.is_none() {
            self.bytes = self.plan.footer.open().ok();
        }
        if let Some(bytes) = &self.bytes {
            self.pages = self.plan.page_starts(group, bytes);
        }
    }

    /// The next range of rows, and the bytes that they need; it stays inside one kept range of one group.
    fn take(&mut self) -> Option<(Range<u64>, f64)> {
        while self.left.is_empty() {
            if self.group >= self.plan.groups.len() {
                return None;
            }
            self.enter(self.group + 1);
        }
        let group = &self.plan.groups[self.group];
        let range = self.left.front_mut()?;
        let most = if is_small(group) {
            group.rows.end - group.rows.start
        } else {
            group.piece_rows
        };
        let mut end = range.end.min(range.start + most);
        if end < range.end {
            let page = self.pages.partition_point(|start| *start <= end);
            let page = page.checked_sub(1).map(|at| self.pages[at]);
            end = page
                .filter(|at| *at > range.start + most / 4)
                .unwrap_or(end);
        }
        let taken = range.start..end;
        range.start = end;
        if range.is_empty() {
            self.left.pop_front();
        }
        let bytes = (taken.end - taken.start) as f64 * group.row_bytes;
        Some((taken, bytes))
    }

    /// Whether the rows behind `end` are the whole of a further group that fits into `room`.
    fn continues(&mut self, end: u64, room: u64) -> bool {
        if !self.left.is_empty() {
            return false;
        }
        let Some(next) = self.plan.groups.get(self.group + 1) else {
            return false;
        };
        next.rows.start == end
            && next.kept.first() == Some(&next.rows)
            && next.rows.end <= self.plan.end
            && next.rows.end - next.rows.start <= room
    }

    fn input_bytes(&mut self, end: u64) -> u64 {
        let total = self.plan.footer.file_bytes();
        let rows = self.plan.footer.rows().max(1);
        let reached = (u128::from(total) * u128::from(end) / u128::from(rows)) as u64;
        let piece = reached.saturating_sub(self.told);
        self.told = reached;
        piece
    }
}

/// A group that is little more than a piece is read as one.
fn is_small(group: &Group) -> bool {
    group.rows.end - group.rows.start <= 2 * group.piece_rows
}

impl Cutter for Pieces {
    fn next(&mut self) -> Result<Option<Piece>> {
        let Some((mut range, mut bytes)) = self.take() else {
            return Ok(None);
        };
        let most = self.plan.groups[self.group].piece_rows;
        while self.continues(range.end, most.saturating_sub(range.end - range.start)) {
            let Some((more, more_bytes)) = self.take() else {
                break;
            };
            range.end = more.end;
            bytes += more_bytes;
        }
        Ok(Some(Piece {
            split: self.split,
            first: Place(self.first.0 + range.start),
            rows: Some(range.end - range.start),
            start: range.start,
            end: range.end,
            text: None,
            bytes: bytes as usize,
            input_bytes: self.input_bytes(range.end),
            unfinished: false,
        }))
    }
}
