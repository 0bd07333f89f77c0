//! Lines: of each interval of x the first, the last, the least and the greatest value, so that no spike is lost.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, Float64Array, RecordBatch};
use arrow_cast::cast;
use arrow_schema::DataType;
use dataflow_core::saved::{Restored, Save};
use dataflow_core::{Result, Sampling};
use serde::{Deserialize, Serialize};

use super::buckets::Buckets;
use super::interval::{EMPTY, Interval, as_numbers, of_numbers};
use super::{Content, kept};
use crate::plot::axis::Meaning;
use crate::plot::chart::{Chart, LeftOut, Legend, Look, Sides};
use crate::plot::columns::{Column, is_set, numbers, places};
use crate::plot::paint::colour::Colour;
use crate::plot::paint::scene::{At, Scene, Shape};

/// More lines than this nobody tells apart.
pub const MOST_LINES: usize = 12;
/// Where a line has at most so many points, each gets a dot.
const FEW_POINTS: usize = 60;

/// Which lines are drawn.
#[derive(Clone, Debug)]
pub struct Plan {
    /// None: the time of the sample, or the number of the row.
    pub x: Option<Column>,
    /// How rows sample a signal, if they do.
    pub sampling: Option<Sampling>,
    pub y: Vec<Column>,
    /// A line for each of its values.
    pub by: Option<Column>,
    pub marks: Option<Column>,
    pub meanings: [Meaning; 2],
    /// The ends of the axis of y, if they are given.
    pub range: Option<(f64, f64)>,
    /// So many intervals of x at most.
    pub most: usize,
}

/// Collects the points of lines.
pub struct Lines {
    plan: Arc<Plan>,
    facts: Facts,
    /// For each value of `by` one for each y.
    lines: Vec<Buckets<Interval>>,
}

/// What is known besides the points.
#[derive(Default, Serialize, Deserialize)]
struct Facts {
    rows: u64,
    origin: Option<i64>,
    /// The values of `by`, as they came.
    groups: Vec<String>,
    /// Whether there were more.
    more_groups: bool,
    left_out: LeftOut,
    /// The width of each line's intervals, as a power of two.
    exponents: Vec<i32>,
}

impl Lines {
    pub fn new(plan: &Arc<Plan>) -> Self {
        let mut lines = Self {
            plan: Arc::clone(plan),
            facts: Facts::default(),
            lines: Vec::new(),
        };
        if lines.plan.by.is_none() {
            lines.add_group(String::new());
        }
        lines
    }

    fn add_group(&mut self, name: String) {
        self.facts.groups.push(name);
        let new = || Buckets::new(self.plan.most);
        self.lines
            .extend(std::iter::repeat_with(new).take(self.plan.y.len()));
    }

    /// The number of a group; none if there are too many.
    fn group(&mut self, name: &str) -> Option<usize> {
        if let Some(at) = self.facts.groups.iter().position(|group| group == name) {
            return Some(at);
        }
        let most = (MOST_LINES / self.plan.y.len().max(1)).max(1);
        if self.facts.groups.len() >= most {
            self.facts.more_groups = true;
            return None;
        }
        self.add_group(name.to_string());
        Some(self.facts.groups.len() - 1)
    }

    /// Where each row is along x.
    fn across(&mut self, rows: &RecordBatch) -> Result<Float64Array> {
        let start = self.facts.rows;
        self.facts.rows += rows.num_rows() as u64;
        match &self.plan.x {
            Some(column) => places(rows, column, &mut self.facts.origin),
            None => {
                let at = |row| match self.plan.sampling {
                    Some(sampling) => sampling.time(row),
                    None => row as f64,
                };
                Ok((start..self.facts.rows).map(at).collect())
            }
        }
    }

    /// The group of each row.
    fn groups(&mut self, rows: &RecordBatch) -> Result<Option<Vec<Option<usize>>>> {
        let Some(by) = &self.plan.by else {
            return Ok(None);
        };
        let words = cast(rows.column(by.index), &DataType::Utf8)?;
        let words = words.as_string::<i32>();
        let name = |row| match words.is_null(row) {
            true => "null",
            false => words.value(row),
        };
        let mut groups: Vec<Option<usize>> = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            // Neighbours are mostly of one group.
            let same = row > 0 && name(row) == name(row - 1);
            let group = match groups.last() {
                Some(before) if same => *before,
                _ => self.group(name(row)),
            };
            groups.push(group);
        }
        Ok(Some(groups))
    }

    /// Takes the values of one column.
    fn take_column(
        &mut self,
        y: usize,
        (xs, ys): (&Float64Array, &Float64Array),
        groups: Option<&[Option<usize>]>,
        marks: Option<&BooleanArray>,
    ) {
        let plan = Arc::clone(&self.plan);
        let [x_scale, y_scale] = [0, 1].map(|axis| plan.meanings[axis].scale);
        for row in 0..xs.len() {
            let Some(group) = groups.map_or(Some(0), |groups| groups[row]) else {
                continue;
            };
            let Some(x) = value(xs, row).and_then(|x| x_scale.position(x)) else {
                // Each column of y looks at it.
                self.facts.left_out.places += u64::from(y == 0);
                continue;
            };
            let found = value(ys, row);
            let place = found.and_then(|y| y_scale.position(y));
            let line = &mut self.lines[group * plan.y.len() + y];
            let interval = line.of(x, || EMPTY);
            match place {
                Some(place) => interval.add((x, place), is_set(marks, row)),
                // An interval with nothing in it is a gap.
                None => self.facts.left_out.count(y_scale, found),
            }
        }
    }

    /// The name of each line, where there are several.
    fn name(&self, line: usize) -> String {
        let (group, y) = (line / self.plan.y.len(), line % self.plan.y.len());
        let column = &self.plan.y[y].name;
        match (&self.plan.by, self.plan.y.len()) {
            (None, _) => column.clone(),
            (Some(_), 1) => self.facts.groups[group].clone(),
            (Some(_), _) => format!("{} {column}", self.facts.groups[group]),
        }
    }

    /// The ends of both axes; none if there is nothing to draw.
    fn ends(&self) -> Option<Sides> {
        let mut sides = Sides::default();
        for (_, interval) in self.lines.iter().flat_map(Buckets::iter) {
            let points = [interval.first, interval.low, interval.high, interval.last];
            points.iter().for_each(|point| sides.include(*point));
        }
        sides.any().then_some(sides)
    }

    fn legend(&self, look: &Look) -> Vec<Legend> {
        let mut legend: Vec<Legend> = (0..self.lines.len())
            .map(|line| Legend::line(self.name(line), look.theme.line(line)))
            .collect();
        if legend.len() == 1 && self.plan.marks.is_none() {
            legend.clear();
        }
        if let Some(marks) = &self.plan.marks {
            let colour = look.theme.palette().alarm;
            legend.push(Legend::mark(marks.name.clone(), colour));
        }
        legend
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.facts.left_out.notes();
        if let (true, Some(by)) = (self.facts.more_groups, &self.plan.by) {
            let count = self.facts.groups.len();
            notes.push(format!(
                "`{}` has more values: lines of the first {count}",
                by.name
            ));
        }
        notes
    }
}

fn value(values: &Float64Array, row: usize) -> Option<f64> {
    let there = values.is_valid(row) && !values.value(row).is_nan();
    there.then(|| values.value(row))
}

impl Content for Lines {
    fn take(&mut self, rows: &RecordBatch) -> Result<()> {
        let xs = self.across(rows)?;
        let groups = self.groups(rows)?;
        let plan = Arc::clone(&self.plan);
        let marks = plan.marks.as_ref();
        let marks = marks.map(|column| rows.column(column.index).as_boolean());
        for (y, column) in plan.y.iter().enumerate() {
            let ys = numbers(rows.column(column.index), column.measure)?;
            self.take_column(y, (&xs, &ys), groups.as_deref(), marks);
        }
        Ok(())
    }

    fn draw(&self, look: &Look) -> Scene {
        let mut meanings = self.plan.meanings.clone();
        if let (Some(moments), Some(origin)) = (&mut meanings[0].moments, self.facts.origin) {
            moments.origin = origin;
        }
        let chart = Chart::new(look, meanings)
            .legend(self.legend(look))
            .notes(self.notes());
        let Some(sides) = self.ends() else {
            return chart.nothing(self.facts.rows);
        };
        let y = self.plan.range.unwrap_or_else(|| sides.padded(1, 0.05));
        chart.draw((sides.ends(0), y), |frame| {
            let mut shapes = Vec::new();
            for (number, line) in self.lines.iter().enumerate() {
                let colour = look.theme.line(number);
                let place = |point: At| frame.at(point);
                shapes.extend(strokes(line, colour, look.scale(), place));
            }
            shapes.extend(self.marks(look, |point| frame.at(point)));
            shapes
        })
    }

    fn save(&self, into: &mut dyn Save) -> Result<()> {
        let facts = Facts {
            exponents: self.lines.iter().map(Buckets::exponent).collect(),
            groups: self.facts.groups.clone(),
            ..self.facts
        };
        let all = self.lines.iter().enumerate();
        let rows = all.flat_map(|(number, line)| {
            let line = line.iter();
            line.map(move |(at, held)| as_numbers(number, *at, held))
        });
        kept::save(&facts, rows, into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let mut rows: Vec<[f64; 14]> = Vec::new();
        let facts = kept::restore(from, |row| {
            rows.push(row);
            Ok(())
        })?;
        let Some(facts) = facts else { return Ok(()) };
        let facts: Facts = facts;
        self.lines.clear();
        for group in &facts.groups {
            self.add_group(group.clone());
        }
        for row in rows {
            let number = row[0] as usize;
            let exponent = facts.exponents.get(number).copied();
            if let (Some(line), Some(exponent)) = (self.lines.get_mut(number), exponent) {
                line.put_back(exponent, row[1] as i64, of_numbers(&row));
            }
        }
        self.facts = facts;
        Ok(())
    }
}

/// A line as it is drawn: a stroke up to each gap, and a dot where a stroke would have no length.
fn strokes(
    line: &Buckets<Interval>,
    colour: Colour,
    scale: f64,
    place: impl Fn(At) -> At,
) -> Vec<Shape> {
    let mut strokes: Vec<Vec<At>> = vec![Vec::new()];
    for (_, interval) in line.iter() {
        if interval.first.0.is_nan() {
            strokes.push(Vec::new());
        } else if let Some(stroke) = strokes.last_mut() {
            stroke.extend(interval.points().into_iter().map(&place));
        }
    }
    strokes.retain(|stroke| !stroke.is_empty());
    let few = strokes.iter().map(Vec::len).sum::<usize>() <= FEW_POINTS;
    let mut shapes = Vec::new();
    for points in strokes {
        let radius = if few { 2.8 * scale } else { 1.2 * scale };
        if few || points.len() == 1 {
            let dot = |at: &At| Shape::Dot {
                at: *at,
                radius,
                colour,
            };
            shapes.extend(points.iter().map(dot));
        }
        shapes.push(Shape::Line {
            points,
            width: 1.5 * scale,
            colour,
        });
    }
    shapes
}

impl Lines {
    /// The points that are marked, over all lines.
    fn marks(&self, look: &Look, place: impl Fn(At) -> At) -> Vec<Shape> {
        let colour = look.theme.palette().alarm;
        let all = self.lines.iter().flat_map(Buckets::iter);
        let marks = all.flat_map(|(_, interval)| match interval.marks {
            [low, high] if low == high => vec![low],
            both => both.to_vec(),
        });
        let there = marks.filter(|point| !point.0.is_nan());
        there
            .map(|point| Shape::Ring {
                at: place(point),
                radius: 4.5 * look.scale(),
                colour,
            })
            .collect()
    }
}
