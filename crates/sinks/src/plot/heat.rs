//! Heat maps: cells become pixels, values colours, and a bar beside them says which is which.

use schemars::JsonSchema;
use serde::Deserialize;

use super::axis::Meaning;
use super::chart::{Chart, ColourBar, Frame, Look, Sides};
use super::paint::colour::{Colour, ColourMap};
use super::paint::scene::{Area, Image, Scene, Shape};

/// What becomes of values that share a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// The greatest, so that what is short and strong stays visible.
    #[default]
    Max,
    /// Their mean (of decibels or logarithms, where the colours are that).
    Mean,
}

impl Combine {
    /// What two give: a value (of means: a sum) and how many there were.
    pub(super) fn both(self, one: (f64, u32), other: (f64, u32)) -> (f64, u32) {
        let count = one.1.saturating_add(other.1);
        match self {
            _ if other.1 == 0 => one,
            _ if one.1 == 0 => other,
            Self::Max => (one.0.max(other.0), count),
            Self::Mean => (one.0 + other.0, count),
        }
    }

    fn value(self, (value, count): (f64, u32)) -> f64 {
        match (self, count) {
            (_, 0) => f64::NAN,
            (Self::Max, _) => value,
            (Self::Mean, count) => value / f64::from(count),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Max => "maximum",
            Self::Mean => "mean",
        }
    }
}

/// From where to where something is seen.
pub type Span = (f64, f64);

/// A heat map but for its cells.
pub struct Heat<'a> {
    /// Of x, y, and the colours.
    pub meanings: [Meaning; 3],
    /// From when moments on x are counted.
    pub origin: Option<i64>,
    /// Where the cells are along x and y, ascending.
    pub spans: [&'a [Span]; 2],
    /// The ends of the colours, if they are given.
    pub range: Option<(f64, f64)>,
    pub combine: Combine,
    pub notes: Vec<String>,
    pub rows: u64,
}

/// So much of the cells may be darker than the darkest colour, and brighter than the brightest.
const BELOW: f64 = 0.02;
const ABOVE: f64 = 0.001;

/// Draws it; `cell` is asked for what is where.
pub fn drawn(look: &Look, heat: Heat<'_>, cell: impl Fn(usize, usize) -> (f64, u32)) -> Scene {
    let [across, up] = heat.spans;
    let [mut x, y, colours] = heat.meanings;
    if let (Some(moments), Some(origin)) = (&mut x.moments, heat.origin) {
        moments.origin = origin;
    }
    let combine = heat.combine;
    let mut all: Vec<f64> = (0..across.len())
        .flat_map(|x| (0..up.len()).map(move |y| (x, y)))
        .map(|(x, y)| combine.value(cell(x, y)))
        .filter(|value| !value.is_nan())
        .collect();
    all.sort_by(f64::total_cmp);
    let chart = Chart::new(look, [x, y]).notes(heat.notes);
    let mut sides = Sides::default();
    for (axis, spans) in [(0, across), (1, up)] {
        spans.iter().for_each(|(from, to)| {
            sides.include_one(axis, *from);
            sides.include_one(axis, *to);
        });
    }
    if all.is_empty() || !sides.any() {
        return chart.nothing(heat.rows);
    }
    let range = heat.range.unwrap_or_else(|| clipped(&all));
    let map = ColourMap::new();
    let bar = ColourBar {
        meaning: colours,
        range,
    };
    chart
        .bar(bar)
        .draw((sides.ends(0), sides.ends(1)), |frame| {
            let picture = Picture {
                frame,
                range,
                map: &map,
                empty: look.theme.palette().background,
            };
            let value = |xs: &[usize], ys: &[usize]| {
                let places = xs.iter().flat_map(|x| ys.iter().map(move |y| (*x, *y)));
                let cells = places.map(|(x, y)| cell(x, y));
                combine.value(cells.fold((0.0, 0), |a, b| combine.both(a, b)))
            };
            vec![Shape::Image(picture.image(heat.spans, value))]
        })
}

/// The ends of the colours: nearly all values are between them.
fn clipped(sorted: &[f64]) -> (f64, f64) {
    let last = (sorted.len() - 1) as f64;
    let low = sorted[(last * BELOW).floor() as usize];
    let high = sorted[(last * (1.0 - ABOVE)).ceil() as usize];
    super::axis::ends(low, high)
}

struct Picture<'a> {
    frame: &'a Frame,
    range: (f64, f64),
    map: &'a ColourMap,
    empty: Colour,
}

impl Picture<'_> {
    fn image(
        &self,
        [across, up]: [&[Span]; 2],
        value: impl Fn(&[usize], &[usize]) -> f64,
    ) -> Image {
        let area = self.frame.area;
        let (width, height) = (area.width() as usize, area.height() as usize);
        let columns = cells_of(across, width, self.frame.x);
        let mut rows = cells_of(up, height, self.frame.y);
        rows.reverse();
        let mut pixels = Vec::with_capacity(3 * width * height);
        for row in &rows {
            for column in &columns {
                pixels.extend(self.colour(value(column, row)).0);
            }
        }
        Image {
            area,
            width: width as u32,
            height: height as u32,
            pixels,
        }
    }

    fn colour(&self, value: f64) -> Colour {
        let (low, high) = self.range;
        match value.is_nan() {
            true => self.empty,
            false => self.map.at((value - low) / (high - low)),
        }
    }
}

/// Which cells each pixel along an axis shows: those whose middle is in it, or else the one that it is in. So every cell is seen.
fn cells_of(spans: &[Span], pixels: usize, (low, high): Span) -> Vec<Vec<usize>> {
    let step = (high - low) / pixels.max(1) as f64;
    let mut cells: Vec<Vec<usize>> = vec![Vec::new(); pixels];
    for (i, (from, to)) in spans.iter().enumerate() {
        let at = (((from + to) / 2.0 - low) / step).floor();
        if at >= 0.0 && at < pixels as f64 {
            cells[at as usize].push(i);
        }
    }
    for (pixel, shown) in cells.iter_mut().enumerate() {
        let at = low + (pixel as f64 + 0.5) * step;
        if shown.is_empty() {
            let first = spans.partition_point(|(_, to)| *to <= at);
            let inside = spans.get(first).is_some_and(|(from, _)| *from <= at);
            shown.extend(inside.then_some(first));
        }
    }
    cells
}

/// The colours from bottom to top, as a bar.
pub fn bar_image(area: Area, map: &ColourMap) -> Image {
    let (width, height) = (area.width() as usize, area.height() as usize);
    let last = height.max(2) - 1;
    let rows = (0..height).map(|row| map.at((last - row.min(last)) as f64 / last as f64));
    let pixels = rows.flat_map(|colour| std::iter::repeat_n(colour.0, width).flatten());
    Image {
        area,
        width: width as u32,
        height: height as u32,
        pixels: pixels.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_in_some_pixel_and_every_pixel_in_a_cell() {
        let spans = |count: usize| -> Vec<Span> {
            (0..count)
                .map(|i| (i as f64 / count as f64, (i + 1) as f64 / count as f64))
                .collect()
        };
        for (count, pixels) in [(3, 10), (10, 3), (7, 7), (1, 5), (1_000, 640)] {
            let found = cells_of(&spans(count), pixels, (0.0, 1.0));
            assert!(found.iter().all(|cells| !cells.is_empty()));
            let mut seen: Vec<usize> = found.into_iter().flatten().collect();
            seen.dedup();
            assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
        let gap = cells_of(&[(0.0, 0.25), (0.75, 1.0)], 4, (0.0, 1.0));
        assert_eq!(gap, [vec![0], vec![], vec![], vec![1]]);
    }

    #[test]
    fn values_that_share_a_cell() {
        let nothing = (0.0, 0);
        for (combine, expected) in [(Combine::Max, 5.0), (Combine::Mean, 2.0)] {
            let all = [(5.0, 1), nothing, (-1.0, 1)];
            let both = all.into_iter().fold(nothing, |a, b| combine.both(a, b));
            assert_eq!(combine.value(both), expected);
            assert!(combine.value(nothing).is_nan());
        }
    }

    #[test]
    fn few_values_do_not_stretch_the_colours() {
        let mut values: Vec<f64> = (0..10_000).map(|i| f64::from(i) / 100.0).collect();
        values[0] = -1e9;
        values[9_999] = 1e9;
        let (low, high) = clipped(&values);
        assert!(
            (low - 2.0).abs() < 0.1 && (high - 99.9).abs() < 0.1,
            "{low} {high}"
        );
        assert_eq!(clipped(&[3.0]), (2.85, 3.15));
    }
}
