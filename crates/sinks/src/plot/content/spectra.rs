//! A heat map of lists: each row is a column of the picture, its list goes from bottom to top.

use std::sync::Arc;

use arrow_array::{Array, Float64Array, RecordBatch};
use dataflow_core::Result;
use dataflow_core::saved::{Restored, Save};
use serde::{Deserialize, Serialize};

use super::{Content, kept};
use crate::plot::axis::Meaning;
use crate::plot::chart::{LeftOut, Look};
use crate::plot::columns::{Column, list, places};
use crate::plot::heat::{Combine, Heat, Span, drawn};
use crate::plot::paint::scene::Scene;

/// A row that comes so many steps behind the one before has a gap between them.
const GAP: f64 = 4.0;

/// What is drawn of the rows.
#[derive(Clone, Debug)]
pub struct Plan {
    /// None: the number of the row.
    pub x: Option<Column>,
    pub y: Column,
    /// Of x, y, and the colours.
    pub meanings: [Meaning; 3],
    /// What the first and the last of a list stand for. None: their numbers.
    pub stand_for: Option<(f64, f64)>,
    /// The ends of the colours, if they are given.
    pub range: Option<(f64, f64)>,
    pub combine: Combine,
    /// So many columns and cells in each at most.
    pub most: [usize; 2],
}

/// Some rows behind one another, as one column.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Together {
    first: f64,
    last: f64,
}

/// Collects the rows.
pub struct Spectra {
    plan: Arc<Plan>,
    facts: Facts,
    columns: Vec<Together>,
    /// Column by column from the bottom: what the values of a cell give, and how many there were.
    cells: Vec<(f64, u32)>,
}

#[derive(Serialize, Deserialize)]
struct Facts {
    rows: u64,
    /// Rows that were drawn in, and how many are one column now.
    taken: u64,
    together: u64,
    origin: Option<i64>,
    /// The length of the lists, once there was one, and how many of their values are one cell.
    length: usize,
    joined: usize,
    left_out: LeftOut,
}

impl Spectra {
    pub fn new(plan: &Arc<Plan>) -> Self {
        Self {
            plan: Arc::clone(plan),
            facts: Facts {
                rows: 0,
                taken: 0,
                together: 1,
                origin: None,
                length: 0,
                joined: 1,
                left_out: LeftOut::default(),
            },
            columns: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Cells in a column.
    fn height(&self) -> usize {
        self.facts.length.div_ceil(self.facts.joined)
    }

    fn add(&mut self, x: Option<f64>, values: Option<&Float64Array>) {
        let Some(values) = values else {
            self.facts.left_out.lists += 1;
            return;
        };
        if self.facts.length == 0 {
            self.facts.length = values.len();
            self.facts.joined = values.len().div_ceil(self.plan.most[1]).max(1);
        }
        let behind = self.columns.last().map(|column| column.last);
        let x = x.and_then(|x| self.plan.meanings[0].scale.position(x));
        match x {
            _ if values.len() != self.facts.length || values.is_empty() => {
                self.facts.left_out.lists += 1;
            }
            Some(x) if behind.is_none_or(|before| x >= before) => self.add_column(x, values),
            Some(_) => self.facts.left_out.back += 1,
            None => self.facts.left_out.places += 1,
        }
    }

    fn add_column(&mut self, x: f64, values: &Float64Array) {
        let begun = !self.facts.taken.is_multiple_of(self.facts.together);
        self.facts.taken += 1;
        match self.columns.last_mut() {
            Some(column) if begun => column.last = x,
            _ => {
                self.columns.push(Together { first: x, last: x });
                let height = self.height();
                self.cells.resize(self.cells.len() + height, (0.0, 0));
            }
        }
        let start = self.cells.len() - self.height();
        let (scale, combine) = (self.plan.meanings[2].scale, self.plan.combine);
        let cells = self.cells[start..].iter_mut();
        let joined = self.facts.joined;
        for (number, (cell, some)) in cells.zip(values.values().chunks(joined)).enumerate() {
            for (i, value) in some.iter().enumerate() {
                let there = values.is_valid(number * joined + i) && !value.is_nan();
                let value = there.then_some(*value);
                match value.and_then(|value| scale.position(value)) {
                    Some(place) => *cell = combine.both(*cell, (place, 1)),
                    None => self.facts.left_out.count(scale, value),
                }
            }
        }
        if self.columns.len() > self.plan.most[0] {
            self.pair();
        }
    }

    /// Makes one column of two.
    fn pair(&mut self) {
        let height = self.height();
        let old = std::mem::take(&mut self.cells);
        for pair in old.chunks(2 * height) {
            let (first, second) = pair.split_at(height);
            let second = second.iter().copied().chain(std::iter::repeat((0.0, 0)));
            let both = first.iter().zip(second);
            let combine = self.plan.combine;
            self.cells.extend(both.map(|(a, b)| combine.both(*a, b)));
        }
        let pairs = self.columns.chunks(2).map(|pair| Together {
            first: pair[0].first,
            last: pair[pair.len() - 1].last,
        });
        self.columns = pairs.collect();
        self.facts.together *= 2;
    }

    /// From where to where each column is seen: up to the next one, unless that is far.
    fn across(&self) -> Vec<Span> {
        let step = self.step();
        let mut spans = Vec::with_capacity(self.columns.len());
        for (i, column) in self.columns.iter().enumerate() {
            let next = self.columns.get(i + 1).map(|next| next.first);
            let to = next.filter(|next| next - column.last <= GAP * step);
            spans.push((column.first, to.unwrap_or(column.last + step)));
        }
        spans
    }

    /// The distance of rows: the middle one of what the columns have.
    fn step(&self) -> f64 {
        let together = self.facts.together as f64;
        let pairs = self.columns.windows(2);
        let mut steps: Vec<f64> = pairs
            .map(|pair| (pair[1].first - pair[0].first) / together)
            .filter(|step| *step > 0.0)
            .collect();
        steps.sort_by(f64::total_cmp);
        steps.get(steps.len() / 2).copied().unwrap_or(1.0)
    }

    /// From where to where each cell of a column is seen, in places along y.
    fn up(&self) -> Vec<Span> {
        let last = (self.facts.length.max(2) - 1) as f64;
        let (low, high) = self.plan.stand_for.unwrap_or((0.0, last));
        let step = (high - low) / last;
        let scale = self.plan.meanings[1].scale;
        let edge = |i: usize| low + (i.min(self.facts.length) as f64 - 0.5) * step;
        let cell = |i: usize| {
            let from = edge(i * self.facts.joined);
            let to = edge((i + 1) * self.facts.joined);
            // What begins below zero begins at its middle, where an axis has no zero.
            let from = scale.position(from).or(scale.position((from + to) / 2.0));
            let below = f64::NEG_INFINITY;
            (from.unwrap_or(below), scale.position(to).unwrap_or(below))
        };
        (0..self.height()).map(cell).collect()
    }
}

impl Content for Spectra {
    fn take(&mut self, rows: &RecordBatch) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let start = self.facts.rows;
        self.facts.rows += rows.num_rows() as u64;
        let xs = match &plan.x {
            Some(column) => places(rows, column, &mut self.facts.origin)?,
            None => (start..self.facts.rows).map(|row| row as f64).collect(),
        };
        let lists = rows.column(plan.y.index);
        for row in 0..rows.num_rows() {
            let values = list(lists, row, plan.y.measure)?;
            let x = (xs.is_valid(row) && !xs.value(row).is_nan()).then(|| xs.value(row));
            self.add(x, values.as_ref());
        }
        Ok(())
    }

    fn draw(&self, look: &Look) -> Scene {
        let mut notes = self.facts.left_out.notes();
        if self.facts.together > 1 {
            let (word, together) = (self.plan.combine.word(), self.facts.together);
            notes.push(format!("each column is the {word} of {together} rows"));
        }
        let (across, up) = (self.across(), self.up());
        let height = self.height();
        let heat = Heat {
            meanings: self.plan.meanings.clone(),
            origin: self.facts.origin,
            spans: [&across, &up],
            range: self.plan.range,
            combine: self.plan.combine,
            notes,
            rows: self.facts.rows,
        };
        drawn(look, heat, |x, y| self.cells[x * height + y])
    }

    fn save(&self, into: &mut dyn Save) -> Result<()> {
        let columns = self.columns.iter().map(|c| [c.first, c.last]);
        let cells = self.cells.iter();
        let cells = cells.map(|(value, count)| [*value, f64::from(*count)]);
        kept::save(&self.facts, columns.chain(cells), into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let mut rows: Vec<[f64; 2]> = Vec::new();
        let facts = kept::restore(from, |row| {
            rows.push(row);
            Ok(())
        })?;
        let Some(facts) = facts else { return Ok(()) };
        self.facts = facts;
        let columns = self.facts.taken.div_ceil(self.facts.together) as usize;
        let cells = rows.split_off(columns.min(rows.len()));
        let column = |[first, last]: [f64; 2]| Together { first, last };
        self.columns = rows.into_iter().map(column).collect();
        let cells = cells.into_iter();
        self.cells = cells.map(|[value, count]| (value, count as u32)).collect();
        Ok(())
    }
}
