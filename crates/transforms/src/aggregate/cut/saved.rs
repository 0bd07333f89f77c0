//! What windows that follow from the rows of keys save: a row for each key of which something is remembered, and one for each window
//! that has not left.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array};
use dataflow_core::saved::Save;
use dataflow_core::time::Instant;
use dataflow_core::{Batch, Result};

use super::{Kind, State, Window, Windows};
use crate::saved::PIECE;

/// What is known of a window, a column each.
const NUMBER: usize = 0;
const FIRST: usize = 1;
const LAST: usize = 2;
const ROWS: usize = 3;
/// The file that rows came from last when the window changed: that of the window, if it is open.
const FILE: usize = 4;
/// When it was over, or null, and whether it was complete then.
const OVER: usize = 5;
const COMPLETE: usize = 6;

impl Windows {
    /// So many columns tell what is known of a window.
    pub(in crate::aggregate) const COLUMNS: usize = 7;

    /// Saves what has changed: what is remembered of keys when they have no window, and the windows that have not left, written by
    /// `write` with their keys and what this adds.
    pub(in crate::aggregate) fn save(
        &mut self,
        (keys, windows): (&'static str, &'static str),
        write_key: impl Fn(&[u32], Vec<ArrayRef>) -> Result<Batch>,
        write_window: impl Fn(&[u32], &[u32], Vec<ArrayRef>) -> Result<Batch>,
        into: &mut dyn Save,
    ) -> Result<()> {
        let (mut changed_keys, mut changed) = (
            std::mem::take(&mut self.changed_keys),
            std::mem::take(&mut self.changes),
        );
        if matches!(self.kind, Kind::Count { .. } | Kind::Change { .. }) {
            let write = |some: &[u32]| write_key(some, self.columns_of_keys(some));
            let remembered = changed_keys.numbered(self.keys.len(), PIECE, |_| true, write)?;
            into.numbered(keys, remembered);
        }
        let stays = |window: u32| self.list[window as usize].state != State::Left;
        let write = |some: &[u32]| {
            let of = some.iter().map(|window| self.list[*window as usize].key);
            write_window(&of.collect::<Vec<u32>>(), some, self.columns(some))
        };
        into.numbered(
            windows,
            changed.numbered(self.list.len(), PIECE, stays, write)?,
        );
        (self.changed_keys, self.changes) = (changed_keys, changed);
        Ok(())
    }

    /// What is remembered of keys.
    fn columns_of_keys(&self, keys: &[u32]) -> Vec<ArrayRef> {
        let each = || keys.iter().map(|key| &self.keys[*key as usize]);
        let rows = Int64Array::from_iter_values(each().map(|key| key.rows as i64));
        let values: BinaryArray = each().map(|key| key.value.as_deref()).collect();
        vec![Arc::new(rows), Arc::new(values)]
    }

    /// Goes on with what was remembered of keys.
    pub(in crate::aggregate) fn restore_keys(&mut self, keys: &[u32], columns: &[ArrayRef]) {
        self.know(keys);
        let (rows, values) = (&columns[0], columns[1].as_binary::<i32>());
        let rows = rows.as_primitive::<Int64Type>().values();
        for (row, key) in keys.iter().enumerate() {
            let key = &mut self.keys[*key as usize];
            key.rows = rows[row] as u64;
            key.value = values.is_valid(row).then(|| Box::from(values.value(row)));
        }
    }

    /// The file that rows came from last.
    pub(in crate::aggregate) fn last_file(&self) -> u32 {
        self.file
    }

    /// What is known of windows besides their keys and summaries.
    fn columns(&self, windows: &[u32]) -> Vec<ArrayRef> {
        let column = |of: &dyn Fn(&Window) -> Option<i64>| -> ArrayRef {
            let each = windows.iter().map(|window| &self.list[*window as usize]);
            Arc::new(each.map(of).collect::<Int64Array>())
        };
        let over = |window: &Window| match window.state {
            State::Over(at, complete) => (Some(at), complete),
            State::Open | State::Left => (None, false),
        };
        // In the order of the constants above.
        vec![
            column(&|window| Some(window.number as i64)),
            column(&|window| Some(window.first)),
            column(&|window| Some(window.last)),
            column(&|window| Some(window.rows as i64)),
            column(&|_| Some(i64::from(self.file))),
            column(&|window| over(window).0),
            column(&|window| Some(i64::from(over(window).1))),
        ]
    }

    /// Goes on behind the rows of a file: the latest one that any worker has met. Windows come later.
    pub(in crate::aggregate) fn go_on_in(&mut self, file: u32) {
        self.file = file;
    }

    /// Goes on with windows of which this is known. Returns their numbers.
    pub(in crate::aggregate) fn restore(&mut self, keys: &[u32], columns: &[ArrayRef]) -> Vec<u32> {
        self.know(keys);
        let first = self.list.len() as u32;
        for (row, key) in keys.iter().enumerate() {
            let number = |at: usize| columns[at].as_primitive::<Int64Type>().value(row);
            let over = columns[OVER].is_valid(row).then(|| number(OVER));
            self.put_back(Window {
                key: *key,
                number: number(NUMBER) as u64,
                first: number(FIRST),
                last: number(LAST),
                rows: number(ROWS) as u64,
                stayed: false,
                state: self.state(over, number(COMPLETE) != 0, number(FILE)),
            });
        }
        (first..self.list.len() as u32).collect()
    }

    fn state(&self, over: Option<Instant>, complete: bool, file: i64) -> State {
        match over {
            Some(at) => State::Over(at, complete),
            // Another worker has met a later file, so all rows of this one have come.
            None if file < i64::from(self.file) => State::Over(file, true),
            None => State::Open,
        }
    }

    fn put_back(&mut self, window: Window) {
        let number = self.list.len() as u32;
        match (window.state, &self.kind) {
            (State::Open, kind) => {
                self.keys[window.key as usize].open.push_back(number);
                if let Kind::Session { gap } = kind {
                    let until = window.last.saturating_add(*gap).saturating_add(1);
                    self.timers.push(Reverse((until, number)));
                }
            }
            _ => self.over.push(number),
        }
        self.list.push(window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataflow_core::Place;

    fn of_file(windows: &mut Windows, file: u32, keys: &[u32]) {
        let at = |row: u64| Place::new(file, row).expect("a place").0 as Instant;
        let at: Vec<Instant> = (0..keys.len() as u64).map(at).collect();
        windows.take(keys, &at, None, None, &mut Vec::new(), &mut Vec::new());
    }

    #[test]
    fn a_file_that_others_are_past_is_over() {
        let (mut behind, mut ahead) = (Windows::new(&Kind::File), Windows::new(&Kind::File));
        of_file(&mut behind, 1, &[0, 1, 0]);
        of_file(&mut ahead, 1, &[0]);
        of_file(&mut ahead, 2, &[0, 0]);
        assert_eq!(ahead.leave(None), [0]);
        ahead.has_left(0);
        let mut both = Windows::new(&Kind::File);
        both.go_on_in(behind.last_file().max(ahead.last_file()));
        for (windows, keys) in [(&behind, &[0, 1][..]), (&ahead, &[2])] {
            let all = 0..windows.list.len() as u32;
            let staying = all.filter(|window| windows.list[*window as usize].state != State::Left);
            both.restore(keys, &windows.columns(&staying.collect::<Vec<_>>()));
        }
        let known = |window: &Window| (window.key, window.rows, window.state);
        let over = State::Over(1, true);
        assert_eq!(
            both.list.iter().map(known).collect::<Vec<_>>(),
            [(0, 2, over), (1, 1, over), (2, 2, State::Open)]
        );
        assert_eq!(both.leave(None), [0, 1]);
        of_file(&mut both, 2, &[2, 0]);
        assert_eq!(both.list[2].rows, 3);
        assert_eq!(both.open(), [2, 3]);
    }
}
