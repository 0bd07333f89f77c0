//! Bars: those of a histogram, over intervals of numbers, and those of categories.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, Float64Array, RecordBatch};
use arrow_cast::cast;
use arrow_schema::DataType;
use dataflow_core::Result;
use dataflow_core::saved::{Restored, Save};
use serde::{Deserialize, Serialize};

use super::{Content, kept};
use crate::plot::axis::{Meaning, Scale, grouped};
use crate::plot::chart::{Chart, Frame, LeftOut, Legend, Look, Sides};
use crate::plot::columns::{Column, numbers};
use crate::plot::paint::colour::Colour;
use crate::plot::paint::scene::{Area, Scene, Shape};

/// More intervals than this are drawn together, two and two, four and four, ...
const MOST_INTERVALS: usize = 4_096;
/// More bars of categories than this nobody reads.
pub const MOST_CATEGORIES: usize = 60;
/// A category's name is kept up to so many characters.
const LONGEST_NAME: usize = 80;

/// Which columns are the intervals of a histogram.
#[derive(Clone, Debug)]
pub struct Intervals {
    pub from: Column,
    pub to: Column,
    pub count: Column,
    pub meanings: [Meaning; 2],
    pub range: Option<(f64, f64)>,
}

/// An interval, or several neighbours: in places along x, and their number added up.
#[derive(Clone, Copy, Debug)]
struct Bin {
    from: f64,
    to: f64,
    count: f64,
}

/// Collects the intervals of a histogram.
pub struct Histogram {
    plan: Arc<Intervals>,
    facts: HistogramFacts,
    bins: Vec<Bin>,
}

#[derive(Serialize, Deserialize)]
struct HistogramFacts {
    rows: u64,
    /// Intervals that were drawn in, and how many are one now.
    taken: u64,
    together: u64,
    left_out: LeftOut,
}

impl Histogram {
    pub fn new(plan: &Arc<Intervals>) -> Self {
        Self {
            plan: Arc::clone(plan),
            facts: HistogramFacts {
                rows: 0,
                taken: 0,
                together: 1,
                left_out: LeftOut::default(),
            },
            bins: Vec::new(),
        }
    }

    fn add(&mut self, bin: Bin) {
        let begun = !self.facts.taken.is_multiple_of(self.facts.together);
        self.facts.taken += 1;
        match self.bins.last_mut() {
            Some(last) if begun => last.join(bin),
            _ => self.bins.push(bin),
        }
        if self.bins.len() > MOST_INTERVALS {
            self.pair();
        }
    }

    fn pair(&mut self) {
        let pairs = self.bins.chunks(2).map(|pair| {
            let mut both = pair[0];
            pair[1..].iter().for_each(|next| both.join(*next));
            both
        });
        self.bins = pairs.collect();
        self.facts.together *= 2;
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.facts.left_out.notes();
        if self.facts.together > 1 {
            let (all, together) = (self.facts.taken, self.facts.together);
            let all = grouped(&all.to_string());
            notes.push(format!("{all} intervals, {together} in each bar"));
        }
        notes
    }
}

impl Bin {
    fn join(&mut self, next: Bin) {
        self.from = self.from.min(next.from);
        self.to = self.to.max(next.to);
        self.count += next.count;
    }
}

fn at(values: &Float64Array, row: usize) -> Option<f64> {
    values.is_valid(row).then(|| values.value(row))
}

impl Content for Histogram {
    fn take(&mut self, rows: &RecordBatch) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let read = |column: &Column| numbers(rows.column(column.index), column.measure);
        let (from, to, count) = (read(&plan.from)?, read(&plan.to)?, read(&plan.count)?);
        let scale = plan.meanings[0].scale;
        self.facts.rows += rows.num_rows() as u64;
        for row in 0..rows.num_rows() {
            let ends = [at(&from, row), at(&to, row)];
            let places = ends.map(|end| end.and_then(|end| scale.position(end)));
            let number = at(&count, row).and_then(|count| Scale::Linear.position(count));
            match (places, number) {
                ([Some(from), Some(to)], Some(count)) if from <= to => {
                    self.add(Bin { from, to, count });
                }
                _ => self.facts.left_out.intervals += 1,
            }
        }
        Ok(())
    }

    fn draw(&self, look: &Look) -> Scene {
        let meanings = self.plan.meanings.clone();
        let scale = meanings[1].scale;
        let chart = Chart::new(look, meanings).notes(self.notes());
        let mut sides = Sides::default();
        for bin in &self.bins {
            let height = scale.position(bin.count);
            for x in [bin.from, bin.to] {
                sides.include((x, height.unwrap_or(f64::NAN)));
            }
        }
        if !sides.any() {
            return chart.nothing(self.facts.rows);
        }
        let range = self.plan.range.unwrap_or_else(|| heights(&sides, scale));
        let colour = look.theme.line(0);
        chart.draw((sides.ends(0), range), |frame| {
            let bars = self.bins.iter().filter_map(|bin| {
                let (left, right) = (frame.x(bin.from), frame.x(bin.to));
                bar(frame, (left, right), scale.position(bin.count)?, colour)
            });
            bars.collect()
        })
    }

    fn save(&self, into: &mut dyn Save) -> Result<()> {
        let rows = self.bins.iter();
        let rows = rows.map(|bin| [bin.from, bin.to, bin.count]);
        kept::save(&self.facts, rows, into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let mut bins = Vec::new();
        let facts = kept::restore(from, |[from, to, count]| {
            bins.push(Bin { from, to, count });
            Ok(())
        })?;
        if let Some(facts) = facts {
            (self.facts, self.bins) = (facts, bins);
        }
        Ok(())
    }
}

/// The ends of the axis of heights: bars stand on zero, or below the smallest where there is no zero.
fn heights(sides: &Sides, scale: Scale) -> (f64, f64) {
    let (low, high) = sides.values(1);
    match scale {
        Scale::Linear => {
            let (low, high) = (low.min(0.0), high.max(0.0));
            let air = if high > low { 0.06 * (high - low) } else { 1.0 };
            let below = if low < 0.0 { air } else { 0.0 };
            (low - below, high + air)
        }
        // A third of a decade.
        Scale::Log => (low - 0.3, high + 0.1),
        Scale::Decibels => (low - 3.0, high + 1.0),
    }
}

/// A bar between two pixels. However thin or low it is, it is seen.
fn bar(frame: &Frame, (left, right): (f64, f64), height: f64, colour: Colour) -> Option<Shape> {
    let zero = frame.y(0.0).clamp(frame.area.top, frame.area.bottom);
    let base = if frame.stands_on_zero {
        zero
    } else {
        frame.area.bottom
    };
    let top = frame.y(height);
    if top == base {
        return None;
    }
    let gap = if right - left > 4.0 { 0.5 } else { 0.0 };
    let thin = ((1.0 - (right - left)) / 2.0).max(0.0);
    let (mut upper, mut lower) = (top.min(base), top.max(base));
    if lower - upper < 1.0 {
        match top < base {
            true => upper = lower - 1.0,
            false => lower = upper + 1.0,
        }
    }
    let area = Area {
        left: left + gap - thin,
        top: upper,
        right: right - gap + thin,
        bottom: lower,
    };
    Some(Shape::Box(area, colour))
}

/// Which columns are categories and their values.
#[derive(Clone, Debug)]
pub struct Categories {
    pub name: Column,
    pub y: Vec<Column>,
    pub meanings: [Meaning; 2],
    pub range: Option<(f64, f64)>,
}

/// Collects the bars of categories.
pub struct Bars {
    plan: Arc<Categories>,
    facts: BarFacts,
    /// For each category one for each y; NaN where there is none.
    values: Vec<f64>,
}

#[derive(Default, Serialize, Deserialize)]
struct BarFacts {
    rows: u64,
    names: Vec<String>,
    left_out: LeftOut,
}

impl Bars {
    pub fn new(plan: &Arc<Categories>) -> Self {
        Self {
            plan: Arc::clone(plan),
            facts: BarFacts::default(),
            values: Vec::new(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.facts.left_out.notes();
        let (shown, rows) = (self.facts.names.len() as u64, self.facts.rows);
        if rows > shown {
            let rows = grouped(&rows.to_string());
            notes.push(format!("the first {shown} of {rows} rows"));
        }
        notes
    }

    fn legend(&self, look: &Look) -> Vec<Legend> {
        if self.plan.y.len() < 2 {
            return Vec::new();
        }
        let all = self.plan.y.iter().enumerate();
        all.map(|(i, y)| Legend::field(y.name.clone(), look.theme.line(i)))
            .collect()
    }

    fn shapes(&self, frame: &Frame, look: &Look) -> Vec<Shape> {
        let each = self.plan.y.len();
        let bars = self.values.iter().enumerate().filter_map(|(i, value)| {
            let (category, y) = (i / each, i % each);
            if value.is_nan() {
                return None;
            }
            let width = 0.76 / each as f64;
            let left = category as f64 - 0.38 + width * y as f64;
            let edges = (frame.x(left), frame.x(left + width));
            bar(frame, edges, *value, look.theme.line(y))
        });
        bars.collect()
    }
}

impl Content for Bars {
    fn take(&mut self, rows: &RecordBatch) -> Result<()> {
        self.facts.rows += rows.num_rows() as u64;
        let room = MOST_CATEGORIES - self.facts.names.len();
        let rows = rows.slice(0, rows.num_rows().min(room));
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let plan = Arc::clone(&self.plan);
        let names = cast(rows.column(plan.name.index), &DataType::Utf8)?;
        let names = names.as_string::<i32>();
        let read = |column: &Column| numbers(rows.column(column.index), column.measure);
        let values: Vec<Float64Array> = plan.y.iter().map(read).collect::<Result<_>>()?;
        let scale = plan.meanings[1].scale;
        for row in 0..rows.num_rows() {
            let name = if names.is_null(row) {
                "null"
            } else {
                names.value(row)
            };
            let name = name.chars().take(LONGEST_NAME).collect();
            self.facts.names.push(name);
            for values in &values {
                let value = at(values, row).filter(|value| !value.is_nan());
                let place = value.and_then(|value| scale.position(value));
                if place.is_none() {
                    self.facts.left_out.count(scale, value);
                }
                self.values.push(place.unwrap_or(f64::NAN));
            }
        }
        Ok(())
    }

    fn draw(&self, look: &Look) -> Scene {
        let meanings = self.plan.meanings.clone();
        let scale = meanings[1].scale;
        let chart = Chart::new(look, meanings)
            .notes(self.notes())
            .legend(self.legend(look));
        let mut sides = Sides::default();
        let last = self.facts.names.len() as f64 - 0.5;
        for value in &self.values {
            sides.include((-0.5, *value));
            sides.include((last, *value));
        }
        if !sides.any() {
            return chart.nothing(self.facts.rows);
        }
        let range = self.plan.range.unwrap_or_else(|| heights(&sides, scale));
        let chart = chart.words(self.facts.names.clone());
        chart.draw(((-0.5, last), range), |frame| self.shapes(frame, look))
    }

    fn save(&self, into: &mut dyn Save) -> Result<()> {
        let rows = self.values.iter().map(|value| [*value]);
        kept::save(&self.facts, rows, into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let mut values = Vec::new();
        let facts = kept::restore(from, |[value]| {
            values.push(value);
            Ok(())
        })?;
        if let Some(facts) = facts {
            (self.facts, self.values) = (facts, values);
        }
        Ok(())
    }
}
