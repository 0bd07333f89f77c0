//! A heat map of rows that are a cell each: x, y and a value.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use dataflow_core::Result;
use dataflow_core::saved::{Restored, Save};
use serde::{Deserialize, Serialize};

use super::buckets::{Crossed, Merge, middle};
use super::{Content, kept};
use crate::plot::axis::Meaning;
use crate::plot::chart::{LeftOut, Look};
use crate::plot::columns::{Column, numbers, places};
use crate::plot::heat::{Combine, Heat, Span, drawn};
use crate::plot::paint::scene::Scene;

/// What is drawn of the rows.
#[derive(Clone, Debug)]
pub struct Plan {
    pub x: Column,
    pub y: Column,
    pub value: Column,
    /// Of x, y, and the colours.
    pub meanings: [Meaning; 3],
    /// The ends of the colours, if they are given.
    pub range: Option<(f64, f64)>,
    pub combine: Combine,
    /// So many cells along each axis at most.
    pub most: [usize; 2],
}

/// What the values of a cell give, and how many there were.
#[derive(Clone, Copy, Debug)]
struct Cell(Combine, (f64, u32));

impl Merge for Cell {
    fn merge(&mut self, above: Self) {
        self.1 = self.0.both(self.1, above.1);
    }
}

/// Collects the cells.
pub struct Cells {
    plan: Arc<Plan>,
    facts: Facts,
    cells: Crossed<Cell>,
}

#[derive(Default, Serialize, Deserialize)]
struct Facts {
    rows: u64,
    origin: Option<i64>,
    left_out: LeftOut,
    /// The widths of what is one cell, as powers of two.
    exponents: [i32; 2],
}

impl Cells {
    pub fn new(plan: &Arc<Plan>) -> Self {
        Self {
            plan: Arc::clone(plan),
            facts: Facts::default(),
            cells: Crossed::new(plan.most),
        }
    }

    fn spans(&self) -> [Vec<Span>; 2] {
        let exponents = self.cells.exponents();
        let xs: BTreeSet<i64> = self.cells.iter().map(|(at, _)| at.0).collect();
        let ys: BTreeSet<i64> = self.cells.iter().map(|(at, _)| at.1).collect();
        let middles = |numbers: BTreeSet<i64>, exponent: i32| -> Vec<f64> {
            numbers.into_iter().map(|n| middle(n, exponent)).collect()
        };
        [
            around(&middles(xs, exponents[0])),
            around(&middles(ys, exponents[1])),
        ]
    }
}

/// Half way to the neighbours on both sides.
fn around(middles: &[f64]) -> Vec<Span> {
    let between = |i: usize| (middles[i] + middles[i + 1]) / 2.0;
    let last = middles.len().saturating_sub(1);
    let span = |i: usize| match middles.len() {
        1 => (middles[0] - 0.5, middles[0] + 0.5),
        _ if i == 0 => (2.0 * middles[0] - between(0), between(0)),
        _ if i == last => (between(i - 1), 2.0 * middles[i] - between(i - 1)),
        _ => (between(i - 1), between(i)),
    };
    (0..middles.len()).map(span).collect()
}

impl Content for Cells {
    fn take(&mut self, rows: &RecordBatch) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        self.facts.rows += rows.num_rows() as u64;
        let xs = places(rows, &plan.x, &mut self.facts.origin)?;
        let ys = numbers(rows.column(plan.y.index), plan.y.measure)?;
        let values = numbers(rows.column(plan.value.index), plan.value.measure)?;
        let scales = [0, 1, 2].map(|axis| plan.meanings[axis].scale);
        for row in 0..rows.num_rows() {
            let all = [&xs, &ys, &values].map(|values| {
                let there = values.is_valid(row) && !values.value(row).is_nan();
                there.then(|| values.value(row))
            });
            let place = |axis: usize| all[axis].and_then(|value| scales[axis].position(value));
            match (place(0), place(1), place(2)) {
                (Some(x), Some(y), Some(value)) => {
                    self.cells.add([x, y], Cell(plan.combine, (value, 1)));
                }
                (Some(_), Some(_), None) => self.facts.left_out.count(scales[2], all[2]),
                _ => self.facts.left_out.places += 1,
            }
        }
        Ok(())
    }

    fn draw(&self, look: &Look) -> Scene {
        let [across, up] = self.spans();
        let exponents = self.cells.exponents();
        let place = |spans: &[Span], at: f64| spans.partition_point(|(_, to)| *to < at);
        let mut grid = vec![(0.0, 0); across.len() * up.len()];
        for ((x, y), cell) in self.cells.iter() {
            let column = place(&across, middle(*x, exponents[0]));
            let row = place(&up, middle(*y, exponents[1]));
            if let Some(free) = grid.get_mut(column * up.len() + row) {
                *free = cell.1;
            }
        }
        let heat = Heat {
            meanings: self.plan.meanings.clone(),
            origin: self.facts.origin,
            spans: [&across, &up],
            range: self.plan.range,
            combine: self.plan.combine,
            notes: self.facts.left_out.notes(),
            rows: self.facts.rows,
        };
        drawn(look, heat, |x, y| grid[x * up.len() + y])
    }

    fn save(&self, into: &mut dyn Save) -> Result<()> {
        let facts = Facts {
            exponents: self.cells.exponents(),
            ..self.facts
        };
        let rows = self.cells.iter().map(|((x, y), Cell(_, (value, count)))| {
            [*x as f64, *y as f64, *value, f64::from(*count)]
        });
        kept::save(&facts, rows, into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let mut rows: Vec<[f64; 4]> = Vec::new();
        let facts = kept::restore(from, |row| {
            rows.push(row);
            Ok(())
        })?;
        let Some(facts) = facts else { return Ok(()) };
        self.facts = facts;
        for [x, y, value, count] in rows {
            let cell = Cell(self.plan.combine, (value, count as u32));
            let numbers = [x as i64, y as i64];
            self.cells.put_back(self.facts.exponents, numbers, cell);
        }
        Ok(())
    }
}
