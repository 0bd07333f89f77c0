//! What is around the data: title, axes, grid, legend, notes and the bar of colours, and where the data goes between them.

mod left_out;
mod legend;
mod room;
mod sides;

pub use left_out::LeftOut;
pub use legend::Legend;
pub use sides::Sides;

use super::axis::{Meaning, Tick, Ticks};
use super::heat::bar_image;
use super::paint::colour::{Colour, ColourMap, Palette, Theme};
use super::paint::font;
use super::paint::scene::{Anchor, Area, At, Scene, Shape, Text};
use room::{Room, Sizes};

/// How a picture looks, whatever it shows.
#[derive(Clone, Debug)]
pub struct Look {
    pub title: Option<String>,
    pub theme: Theme,
    /// Pixels.
    pub width: u32,
    pub height: u32,
}

impl Look {
    /// How large letters and lines are drawn: 1 in a picture of 1200 by 700 pixels.
    pub fn scale(&self) -> f64 {
        let across = f64::from(self.width) / 1200.0;
        let down = f64::from(self.height) / 700.0;
        across.min(down).clamp(0.75, 4.0)
    }
}

/// The bar that says which colour is which value.
pub struct ColourBar {
    pub meaning: Meaning,
    /// In places of its scale.
    pub range: (f64, f64),
}

/// A picture but for its data.
pub struct Chart<'a> {
    look: &'a Look,
    meanings: [Meaning; 2],
    /// What stands below the axis in place of numbers.
    words: Option<Vec<String>>,
    legend: Vec<Legend>,
    notes: Vec<String>,
    bar: Option<ColourBar>,
}

/// Where the data goes.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// In whole pixels.
    pub area: Area,
    /// The ends of the axes, in places of their scales.
    pub x: (f64, f64),
    pub y: (f64, f64),
    /// Whether there is a zero for bars to stand on.
    pub stands_on_zero: bool,
}

impl Frame {
    pub fn x(&self, place: f64) -> f64 {
        let (low, high) = self.x;
        self.area.left + (place - low) / (high - low) * self.area.width()
    }

    pub fn y(&self, place: f64) -> f64 {
        let (low, high) = self.y;
        let at = self.area.bottom - (place - low) / (high - low) * self.area.height();
        // What is far outside stays outside, without numbers that cannot be drawn.
        at.clamp(-1e5, 1e5)
    }

    pub fn at(&self, (x, y): At) -> At {
        (self.x(x), self.y(y))
    }
}

impl<'a> Chart<'a> {
    pub fn new(look: &'a Look, meanings: [Meaning; 2]) -> Self {
        Self {
            look,
            meanings,
            words: None,
            legend: Vec::new(),
            notes: Vec::new(),
            bar: None,
        }
    }

    #[must_use]
    pub fn legend(mut self, legend: Vec<Legend>) -> Self {
        self.legend = legend;
        self
    }

    #[must_use]
    pub fn notes(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }

    #[must_use]
    pub fn words(mut self, words: Vec<String>) -> Self {
        self.words = Some(words);
        self
    }

    #[must_use]
    pub fn bar(mut self, bar: ColourBar) -> Self {
        self.bar = Some(bar);
        self
    }

    /// A picture that says that there is nothing to draw.
    pub fn nothing(mut self, rows: u64) -> Scene {
        let message = match rows {
            0 => "no rows",
            _ => "no values to draw",
        };
        self.legend.clear();
        let sizes = Sizes::of(self.look.scale());
        let room = Room::of(&self, &sizes, ((0.0, 1.0), (0.0, 1.0)), false);
        let (x, y) = room.area.middle();
        let palette = self.look.theme.palette();
        let mut shapes = border(&room.area, palette);
        shapes.push(Shape::Text(Text {
            at: (x, y),
            text: message.into(),
            size: 1.4 * sizes.title,
            colour: palette.quiet,
            anchor: Anchor::Middle,
            turned: 0.0,
        }));
        self.around(&mut shapes, &room, &sizes);
        self.scene(shapes)
    }

    /// The picture, with what `inside` draws.
    pub fn draw(self, ends: (Span, Span), inside: impl FnOnce(&Frame) -> Vec<Shape>) -> Scene {
        let sizes = Sizes::of(self.look.scale());
        let room = Room::of(&self, &sizes, ends, true);
        let frame = Frame {
            area: room.area,
            x: ends.0,
            y: ends.1,
            stands_on_zero: self.meanings[1].scale == super::axis::Scale::Linear,
        };
        let palette = self.look.theme.palette();
        let mut shapes = self.grid(&frame, &room);
        // Half a line may be outside.
        shapes.push(Shape::Inside(room.area.grown(1.0), inside(&frame)));
        shapes.extend(border(&room.area, palette));
        self.numbers(&mut shapes, &frame, &room, &sizes);
        self.around(&mut shapes, &room, &sizes);
        self.draw_bar(&mut shapes, &room, &sizes);
        self.scene(shapes)
    }

    fn scene(&self, shapes: Vec<Shape>) -> Scene {
        Scene {
            width: self.look.width,
            height: self.look.height,
            background: self.look.theme.palette().background,
            shapes,
        }
    }

    fn grid(&self, frame: &Frame, room: &Room) -> Vec<Shape> {
        let palette = self.look.theme.palette();
        let mut shapes = Vec::new();
        let colour = |tick: &Tick| match tick.label {
            Some(_) => palette.grid,
            None => palette.faint,
        };
        let Area {
            left,
            top,
            right,
            bottom,
        } = frame.area;
        // Those that are faint lie below the others.
        for labelled in [false, true] {
            let wanted = |tick: &&Tick| tick.label.is_some() == labelled;
            for tick in room.x.list.iter().filter(wanted) {
                let x = crisp(frame.x(tick.at));
                shapes.push(thin([(x, top), (x, bottom)], colour(tick)));
            }
            for tick in room.y.list.iter().filter(wanted) {
                let y = crisp(frame.y(tick.at));
                shapes.push(thin([(left, y), (right, y)], colour(tick)));
            }
        }
        shapes
    }

    /// The numbers at both axes, and a short line at each.
    fn numbers(&self, shapes: &mut Vec<Shape>, frame: &Frame, room: &Room, sizes: &Sizes) {
        let palette = self.look.theme.palette();
        let short = 0.5 * sizes.gap;
        let Area { left, bottom, .. } = frame.area;
        for tick in &room.y.list {
            let Some(label) = &tick.label else { continue };
            let y = frame.y(tick.at);
            let line = [(left - short, crisp(y)), (left, crisp(y))];
            shapes.push(thin(line, palette.border));
            let at = (left - sizes.gap, y + 0.36 * sizes.number);
            let number = self.number(at, label, sizes);
            shapes.push(Shape::Text(Text {
                anchor: Anchor::End,
                ..number
            }));
        }
        if let Some(words) = &room.words {
            let place = |i: usize| (frame.x(i as f64), bottom + sizes.gap);
            shapes.extend(words.shapes(place, palette.quiet));
            return;
        }
        let below = bottom + sizes.gap + 0.8 * sizes.number;
        for tick in room.x.list.iter().filter(|tick| tick.label.is_some()) {
            let x = frame.x(tick.at);
            let line = [(crisp(x), bottom), (crisp(x), bottom + short)];
            shapes.push(thin(line, palette.border));
            let lines = tick.label.iter().chain(&tick.below).enumerate();
            for (line, label) in lines {
                let at = (x, below + line as f64 * 1.3 * sizes.number);
                shapes.push(Shape::Text(self.number(at, label, sizes)));
            }
        }
    }

    /// A number around its place, or a little aside where it would leave the picture.
    fn number(&self, (x, y): At, text: &str, sizes: &Sizes) -> Text {
        let half = font::width(text, sizes.number) / 2.0 + 0.25 * sizes.margin;
        let right = f64::from(self.look.width) - half;
        Text {
            at: (x.min(right).max(half), y),
            text: text.to_string(),
            size: sizes.number,
            colour: self.look.theme.palette().quiet,
            anchor: Anchor::Middle,
            turned: 0.0,
        }
    }

    /// The title, those of the axes, the legend and the notes.
    fn around(&self, shapes: &mut Vec<Shape>, room: &Room, sizes: &Sizes) {
        let palette = self.look.theme.palette();
        let area = room.area;
        let text = |at, text: String, size, colour| Text {
            at,
            text,
            size,
            colour,
            anchor: Anchor::Middle,
            turned: 0.0,
        };
        if let Some(title) = &self.look.title {
            let at = (area.left, sizes.margin + 0.8 * sizes.title);
            let most = f64::from(self.look.width) - area.left - sizes.margin;
            let words = font::cut(title, sizes.title, most);
            let title = text(at, words, sizes.title, palette.text);
            shapes.push(Shape::Text(Text {
                anchor: Anchor::Start,
                ..title
            }));
        }
        let (middle, height) = area.middle();
        let x_title = font::cut(&room.x.title, sizes.label, area.width());
        let at = (middle, room.x_title);
        shapes.push(Shape::Text(text(at, x_title, sizes.label, palette.text)));
        let y_title = font::cut(&room.y.title, sizes.label, area.height());
        let at = (sizes.margin + 0.8 * sizes.label, height);
        shapes.push(Shape::Text(Text {
            turned: -90.0,
            ..text(at, y_title, sizes.label, palette.text)
        }));
        for (line, note) in self.notes.iter().enumerate() {
            let bottom = f64::from(self.look.height) - 0.6 * sizes.margin;
            let lines = (self.notes.len() - 1 - line) as f64;
            let at = (area.left, bottom - lines * 1.4 * sizes.note);
            let most = f64::from(self.look.width) - area.left - sizes.margin;
            let words = font::cut(note, sizes.note, most);
            shapes.push(Shape::Text(Text {
                anchor: Anchor::Start,
                ..text(at, words, sizes.note, palette.quiet)
            }));
        }
        for (entry, at) in self.legend.iter().zip(&room.legend) {
            shapes.extend(entry.shapes(*at, sizes, palette));
        }
    }

    fn draw_bar(&self, shapes: &mut Vec<Shape>, room: &Room, sizes: &Sizes) {
        let (Some(bar), Some((ticks, area))) = (&self.bar, &room.bar) else {
            return;
        };
        let palette = self.look.theme.palette();
        shapes.push(Shape::Image(bar_image(*area, &ColourMap::new())));
        shapes.extend(border(area, palette));
        let (low, high) = bar.range;
        for tick in ticks.list.iter() {
            let Some(label) = &tick.label else { continue };
            let y = area.bottom - (tick.at - low) / (high - low) * area.height();
            let (x, y) = (area.right, crisp(y));
            shapes.push(thin([(x, y), (x + 0.6 * sizes.gap, y)], palette.border));
            shapes.push(Shape::Text(Text {
                at: (x + sizes.gap, y + 0.36 * sizes.number),
                text: label.clone(),
                size: sizes.number,
                colour: palette.quiet,
                anchor: Anchor::Start,
                turned: 0.0,
            }));
        }
        let right = f64::from(self.look.width) - sizes.margin;
        shapes.push(Shape::Text(Text {
            at: (right - 0.2 * sizes.label, area.middle().1),
            text: font::cut(&ticks.title, sizes.label, area.height()),
            size: sizes.label,
            colour: palette.text,
            anchor: Anchor::Middle,
            turned: -90.0,
        }));
    }
}

/// The two ends of something.
pub type Span = (f64, f64);

/// A line of one pixel.
fn thin(points: [At; 2], colour: Colour) -> Shape {
    let points = points.to_vec();
    let width = 1.0;
    Shape::Line {
        points,
        width,
        colour,
    }
}

/// The middle of the pixel: a thin line there is not smeared over two.
fn crisp(at: f64) -> f64 {
    at.floor() + 0.5
}

fn border(area: &Area, palette: Palette) -> Vec<Shape> {
    let (left, top) = (area.left - 0.5, area.top - 0.5);
    let (right, bottom) = (area.right + 0.5, area.bottom + 0.5);
    let corners = vec![
        (left, top),
        (right, top),
        (right, bottom),
        (left, bottom),
        (left, top),
    ];
    vec![Shape::Line {
        points: corners,
        width: 1.0,
        colour: palette.border,
    }]
}

/// The ticks of an axis that is not divided.
fn none(title: &str) -> Ticks {
    Ticks {
        list: Vec::new(),
        title: title.to_string(),
    }
}
