//! A picture as a list of shapes: what is drawn first lies below.

use super::colour::Colour;

/// A place in the picture, in pixels from its upper left corner.
pub type At = (f64, f64);

/// A rectangle, in pixels from the upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }

    pub fn middle(&self) -> At {
        (
            (self.left + self.right) / 2.0,
            (self.top + self.bottom) / 2.0,
        )
    }

    /// The same, larger by so much on every side.
    pub fn grown(&self, by: f64) -> Area {
        Area {
            left: self.left - by,
            top: self.top - by,
            right: self.right + by,
            bottom: self.bottom + by,
        }
    }
}

/// Which part of a text is at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A line of text. Its place is on the line that the letters stand on.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub at: At,
    pub text: String,
    /// The font's size in pixels.
    pub size: f64,
    pub colour: Colour,
    pub anchor: Anchor,
    /// Degrees by which it is turned around its place, clockwise.
    pub turned: f64,
}

/// Pixels, as many as the area has.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    pub area: Area,
    pub width: u32,
    pub height: u32,
    /// Row by row from the top, red, green and blue.
    pub pixels: Vec<u8>,
}

/// Something to draw.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Box(Area, Colour),
    Line {
        points: Vec<At>,
        width: f64,
        colour: Colour,
    },
    Dot {
        at: At,
        radius: f64,
        colour: Colour,
    },
    /// A circle that is open in the middle.
    Ring {
        at: At,
        radius: f64,
        colour: Colour,
    },
    Text(Text),
    Image(Image),
    /// Only what is inside of the area is seen.
    Inside(Area, Vec<Shape>),
}

/// A whole picture.
#[derive(Clone, Debug)]
pub struct Scene {
    pub width: u32,
    pub height: u32,
    pub background: Colour,
    pub shapes: Vec<Shape>,
}
