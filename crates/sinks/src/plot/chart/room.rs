//! How much room the words around the data need, and so where the data goes.

use super::{Chart, ColourBar, Legend, Span, none};
use crate::plot::axis::Ticks;
use crate::plot::paint::colour::Colour;
use crate::plot::paint::font;
use crate::plot::paint::scene::{Anchor, Area, At, Shape, Text};

/// Sizes of letters and distances, in pixels.
pub struct Sizes {
    pub scale: f64,
    pub margin: f64,
    pub gap: f64,
    pub title: f64,
    pub label: f64,
    pub number: f64,
    pub note: f64,
}

impl Sizes {
    pub fn of(scale: f64) -> Self {
        Self {
            scale,
            margin: 16.0 * scale,
            gap: 8.0 * scale,
            title: 19.0 * scale,
            label: 15.0 * scale,
            number: 13.5 * scale,
            note: 12.0 * scale,
        }
    }
}

/// Where everything is.
pub struct Room {
    /// That of the data, in whole pixels.
    pub area: Area,
    pub x: Ticks,
    pub y: Ticks,
    pub words: Option<Words>,
    /// The line that the title of x stands on.
    pub x_title: f64,
    pub legend: Vec<At>,
    pub bar: Option<(Ticks, Area)>,
}

impl Room {
    pub fn of(chart: &Chart<'_>, sizes: &Sizes, ends: (Span, Span), divided: bool) -> Self {
        let (width, height) = (f64::from(chart.look.width), f64::from(chart.look.height));
        let [x, y] = &chart.meanings;
        let y_ticks = |height: f64| match divided {
            true => y.ticks(ends.1, (height / (52.0 * sizes.scale)) as usize),
            false => none(&y.label),
        };
        let estimate = y_ticks(height - 6.0 * sizes.margin);
        let title = 1.3 * sizes.label + 0.6 * sizes.gap;
        let left = sizes.margin + title + widest(&estimate, sizes) + sizes.gap;
        let bar = chart.bar.as_ref();
        let bar = bar.map(|bar| (bar, bar_ticks(bar, height - 6.0 * sizes.margin, sizes)));
        let right = match &bar {
            Some((_, ticks)) => 40.0 * sizes.scale + widest(ticks, sizes) + title + sizes.margin,
            None => 1.8 * sizes.margin,
        };
        let across = width - left - right;
        let (legend, legend_height) = placed(&chart.legend, sizes, (left, width - sizes.margin));
        let heading = match &chart.look.title {
            Some(_) => 1.6 * sizes.title,
            None => 0.0,
        };
        let top = sizes.margin + heading + legend_height;
        let words = chart.words.as_ref();
        let words = words.map(|words| Words::of(words, across, sizes));
        let x = match divided && words.is_none() {
            true => fitting(|most| x.ticks(ends.0, most), across, ends.0, sizes),
            false => none(&x.label),
        };
        let below = match &words {
            Some(words) => words.height,
            None if x.list.iter().any(|tick| tick.below.is_some()) => 2.3 * sizes.number,
            None => sizes.number,
        };
        let notes = chart.notes.len() as f64 * 1.4 * sizes.note;
        let under = sizes.gap + below + sizes.gap + 1.2 * sizes.label + notes + 0.8 * sizes.margin;
        let area = whole([left, top, width - right, height - under]);
        Self {
            y: y_ticks(area.height()),
            x,
            words,
            x_title: area.bottom + 2.0 * sizes.gap + below + 0.8 * sizes.label,
            legend: legend
                .into_iter()
                .map(|(x, y)| (x, y + sizes.margin + heading))
                .collect(),
            bar: bar.map(|(_, ticks)| {
                let left = area.right + 14.0 * sizes.scale;
                let right = left + 16.0 * sizes.scale;
                (ticks, whole([left, area.top, right, area.bottom]))
            }),
            area,
        }
    }
}

/// In whole pixels, and never without any.
fn whole([left, top, right, bottom]: [f64; 4]) -> Area {
    let (left, top) = (left.round(), top.round());
    Area {
        left,
        top,
        right: right.round().max(left + 10.0),
        bottom: bottom.round().max(top + 10.0),
    }
}

fn widest(ticks: &Ticks, sizes: &Sizes) -> f64 {
    let labels = ticks.list.iter().filter_map(|tick| tick.label.as_ref());
    labels
        .map(|label| font::width(label, sizes.number))
        .fold(0.0, f64::max)
}

fn bar_ticks(bar: &ColourBar, height: f64, sizes: &Sizes) -> Ticks {
    let most = (height / (52.0 * sizes.scale)) as usize;
    bar.meaning.ticks(bar.range, most)
}

/// As many ticks as there is room for beside one another.
fn fitting(ticks: impl Fn(usize) -> Ticks, across: f64, ends: Span, sizes: &Sizes) -> Ticks {
    let most = (across / (70.0 * sizes.scale)) as usize;
    for most in (2..=most.max(2)).rev() {
        let found = ticks(most);
        if fits(&found, across, ends, sizes) {
            return found;
        }
    }
    let mut few = ticks(1);
    let numbered = |ticks: &Ticks| ticks.list.iter().filter(|t| t.label.is_some()).count();
    while !fits(&few, across, ends, sizes) && numbered(&few) > 1 {
        few.list.pop();
    }
    few
}

fn fits(ticks: &Ticks, across: f64, (low, high): Span, sizes: &Sizes) -> bool {
    let mut end = f64::NEG_INFINITY;
    for tick in &ticks.list {
        let lines = tick.label.iter().chain(&tick.below);
        let width = lines.map(|line| font::width(line, sizes.number));
        let width = width.fold(0.0, f64::max);
        let at = (tick.at - low) / (high - low) * across;
        if width > 0.0 {
            if at - width / 2.0 < end + 1.2 * sizes.number {
                return false;
            }
            end = at + width / 2.0;
        }
    }
    true
}

/// Where the entries of a legend begin, row by row, and how high it is.
fn placed(legend: &[Legend], sizes: &Sizes, (left, right): Span) -> (Vec<At>, f64) {
    let line = 1.6 * sizes.number;
    let mut places = Vec::new();
    let (mut x, mut y) = (left, 0.9 * sizes.number);
    for entry in legend {
        let name = font::width(&entry.shown(sizes), sizes.number);
        let width = Legend::SIGN * sizes.scale + name;
        if x + width > right && x > left {
            (x, y) = (left, y + line);
        }
        places.push((x, y));
        x += width + 2.0 * sizes.number;
    }
    let height = if legend.is_empty() {
        0.0
    } else {
        y + 0.7 * sizes.number
    };
    (places, height)
}

/// Names of categories: beside one another, or slanted where they are too long for that.
pub struct Words {
    list: Vec<String>,
    slanted: bool,
    size: f64,
    height: f64,
}

impl Words {
    fn of(words: &[String], across: f64, sizes: &Sizes) -> Self {
        let each = across / words.len().max(1) as f64;
        let size = sizes.number;
        let widths = words.iter().map(|word| font::width(word, size));
        let slanted = widths.clone().any(|width| width > each - size);
        // Slanted ones stand as close as their lines are high.
        let size = if slanted {
            size.min(0.9 * each).max(5.0)
        } else {
            size
        };
        let most = if slanted { 150.0 * sizes.scale } else { each };
        let list: Vec<String> = words
            .iter()
            .map(|word| font::cut(word, size, most))
            .collect();
        let longest = list.iter().map(|word| font::width(word, size));
        let height = match slanted {
            true => longest.fold(0.0, f64::max) * SLANT.to_radians().sin() + size,
            false => size,
        };
        Self {
            list,
            slanted,
            size,
            height,
        }
    }

    pub fn shapes(&self, place: impl Fn(usize) -> At, colour: Colour) -> Vec<Shape> {
        let words = self.list.iter().enumerate().map(|(i, word)| {
            let (x, y) = place(i);
            let (anchor, turned, x) = match self.slanted {
                true => (Anchor::End, -SLANT, x + 0.3 * self.size),
                false => (Anchor::Middle, 0.0, x),
            };
            Shape::Text(Text {
                at: (x, y + 0.8 * self.size),
                text: word.clone(),
                size: self.size,
                colour,
                anchor,
                turned,
            })
        });
        words.collect()
    }
}

/// Degrees.
const SLANT: f64 = 45.0;
