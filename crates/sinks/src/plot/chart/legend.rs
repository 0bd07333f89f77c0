//! The legend: a sign and a name for each line.

use super::room::Sizes;
use crate::plot::paint::colour::{Colour, Palette};
use crate::plot::paint::font;
use crate::plot::paint::scene::{Anchor, Area, At, Shape, Text};

/// An entry of the legend.
#[derive(Clone, Debug)]
pub struct Legend {
    name: String,
    colour: Colour,
    sign: Sign,
}

#[derive(Clone, Copy, Debug)]
enum Sign {
    Line,
    Mark,
    Field,
}

impl Legend {
    pub fn line(name: String, colour: Colour) -> Self {
        let sign = Sign::Line;
        Self { name, colour, sign }
    }

    pub fn mark(name: String, colour: Colour) -> Self {
        let sign = Sign::Mark;
        Self { name, colour, sign }
    }

    pub fn field(name: String, colour: Colour) -> Self {
        let sign = Sign::Field;
        Self { name, colour, sign }
    }
}

impl Legend {
    /// Its width beside the name.
    pub(super) const SIGN: f64 = 30.0;

    pub(super) fn shapes(&self, (x, y): At, sizes: &Sizes, palette: Palette) -> Vec<Shape> {
        let middle = y - 0.34 * sizes.number;
        let (end, half) = (x + 22.0 * sizes.scale, 4.5 * sizes.scale);
        let centre = (f64::midpoint(x, end), middle);
        let sign = match self.sign {
            Sign::Line => Shape::Line {
                points: vec![(x, middle), (end, middle)],
                width: 2.5 * sizes.scale,
                colour: self.colour,
            },
            Sign::Mark => Shape::Ring {
                at: centre,
                radius: half,
                colour: self.colour,
            },
            Sign::Field => Shape::Box(
                Area {
                    left: centre.0 - half,
                    top: middle - half,
                    right: centre.0 + half,
                    bottom: middle + half,
                },
                self.colour,
            ),
        };
        let name = Text {
            at: (x + Self::SIGN * sizes.scale, y),
            text: self.shown(sizes),
            size: sizes.number,
            colour: palette.text,
            anchor: Anchor::Start,
            turned: 0.0,
        };
        vec![sign, Shape::Text(name)]
    }

    /// The name, cut where it is long.
    pub(super) fn shown(&self, sizes: &Sizes) -> String {
        font::cut(&self.name, sizes.number, 220.0 * sizes.scale)
    }
}
