//! What rolling windows save: the rows that later windows may hold. Blocks are made of them anew.

use arrow_array::{ArrayRef, UInt32Array};
use dataflow_core::Result;
use dataflow_core::time::Instant;

use super::{Chunk, Key, Rolling, Row};

/// Rows that are looked back at: their keys, when they happened, their numbers among all rows, and their columns.
pub(in crate::aggregate) struct Held {
    pub(in crate::aggregate) keys: Vec<u32>,
    pub(in crate::aggregate) times: Vec<Instant>,
    pub(in crate::aggregate) numbers: Vec<u64>,
    pub(in crate::aggregate) columns: Vec<ArrayRef>,
}

impl Chunk {
    /// Some of the rows: which, with their keys.
    fn held(&self, rows: &[(u32, u32, Row)]) -> Result<Held> {
        let columns = match rows.len() == self.rows {
            true => self.columns.clone(),
            false => {
                let some = UInt32Array::from_iter_values(rows.iter().map(|(at, ..)| *at));
                arrow_select::take::take_arrays(&self.columns, &some, None)?
            }
        };
        Ok(Held {
            keys: rows.iter().map(|(_, key, _)| *key).collect(),
            times: rows.iter().map(|(.., row)| row.time).collect(),
            numbers: rows.iter().map(|(.., row)| row.number).collect(),
            columns,
        })
    }
}

impl Rolling {
    /// All rows that later windows may hold, as they lie: a column is copied only where others of its rows are not kept.
    pub(in crate::aggregate) fn held(&self) -> Result<Vec<Held>> {
        let mut lying: Vec<Vec<(u32, u32, Row)>> = vec![Vec::new(); self.rows.list.len()];
        for (key, of) in (0..).zip(&self.keys) {
            for row in &of.rows.list {
                lying[row.at.0 as usize].push((row.at.1, key, *row));
            }
        }
        let chunks = self.rows.list.iter().zip(&mut lying);
        let held = chunks.filter_map(|(chunk, rows)| {
            rows.sort_unstable_by_key(|(at, ..)| *at);
            chunk.as_ref().map(|chunk| chunk.held(rows))
        });
        held.collect()
    }

    /// Holds rows again. When all are there, [`Rolling::held_again`] is to be called.
    pub(in crate::aggregate) fn hold(&mut self, held: Held) {
        let chunk = self.rows.add(held.columns, held.keys.len());
        let most = held.keys.iter().max().map_or(0, |key| *key as usize + 1);
        self.keys
            .resize_with(most.max(self.keys.len()), Key::default);
        self.held += held.keys.len();
        let facts = held.times.iter().zip(&held.numbers).zip(0..);
        for (key, ((time, number), row)) in held.keys.iter().zip(facts) {
            self.keys[*key as usize].rows.list.push_back(Row {
                at: (chunk, row),
                time: *time,
                number: *number,
            });
        }
    }

    /// Puts the rows of each key that came again in order, and summarises them in blocks. Their numbers start anew: blocks may be
    /// cut elsewhere, which changes no result.
    pub(in crate::aggregate) fn held_again(&mut self) -> Result<()> {
        for of in &mut self.keys {
            of.rows
                .list
                .make_contiguous()
                .sort_unstable_by_key(|row| row.number);
        }
        let all: Vec<u32> = (0..self.keys.len() as u32).collect();
        self.make_blocks(&all)
    }
}
