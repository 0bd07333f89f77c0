//! The font that ships with the program: how wide a text is, and the outlines of its letters.

use std::sync::OnceLock;

use tiny_skia::PathBuilder;
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// DejaVu Sans; its licence is beside it.
static BYTES: &[u8] = include_bytes!("../../../fonts/DejaVuSans.ttf");

/// The font, and what an SVG viewer that has not got it may take; the first of these is as wide.
pub const FAMILY: &str = "DejaVu Sans, Verdana, Geneva, sans-serif";

/// None only if the file in this crate were no font, which a test looks at: then pictures have no text.
fn face() -> Option<&'static Face<'static>> {
    static FACE: OnceLock<Option<Face<'static>>> = OnceLock::new();
    FACE.get_or_init(|| Face::parse(BYTES, 0).ok()).as_ref()
}

fn scale(face: &Face<'_>, size: f64) -> f64 {
    size / f64::from(face.units_per_em())
}

fn glyph(face: &Face<'_>, letter: char) -> GlyphId {
    // The first glyph is the box of letters that are missing.
    face.glyph_index(letter).unwrap_or(GlyphId(0))
}

fn advance(face: &Face<'_>, glyph: GlyphId) -> f64 {
    f64::from(face.glyph_hor_advance(glyph).unwrap_or(0))
}

/// The width of a text in pixels.
pub fn width(text: &str, size: f64) -> f64 {
    let Some(face) = face() else { return 0.0 };
    let units: f64 = text.chars().map(|c| advance(face, glyph(face, c))).sum();
    units * scale(face, size)
}

/// The text, cut to a width with `…` at its end.
pub fn cut(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_string();
    }
    let mut kept: Vec<char> = text.chars().collect();
    loop {
        kept.pop();
        let shorter: String = kept.iter().collect::<String>().trim_end().to_string() + "…";
        if kept.is_empty() || width(&shorter, size) <= most {
            return shorter;
        }
    }
}

/// Draws the outlines of a text that begins at 0, 0 with its letters standing on the line.
pub fn outline(text: &str, size: f64) -> Option<tiny_skia::Path> {
    let face = face()?;
    let scale = scale(face, size);
    let mut outline = Outline {
        path: PathBuilder::new(),
        left: 0.0,
        scale,
    };
    for letter in text.chars() {
        let glyph = glyph(face, letter);
        face.outline_glyph(glyph, &mut outline);
        outline.left += advance(face, glyph) * scale;
    }
    outline.path.finish()
}

struct Outline {
    path: PathBuilder,
    left: f64,
    scale: f64,
}

impl Outline {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        let x = self.left + f64::from(x) * self.scale;
        (x as f32, (-f64::from(y) * self.scale) as f32)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_what_units_and_numbers_need() {
        let face = face().expect("a font");
        for letter in "−µΩ°²³√·×…⁰¹²³⁴⁵⁶⁷⁸⁹⁻äßñ".chars() {
            assert!(face.glyph_index(letter).is_some(), "{letter}");
        }
    }

    #[test]
    fn widths_add_up_and_long_texts_are_cut() {
        let (one, both) = (width("wi", 14.0), width("wide", 14.0));
        assert!(one > 0.0 && (width("de", 14.0) + one - both).abs() < 1e-9);
        assert_eq!(cut("short", 14.0, 200.0), "short");
        let cut = cut("a text that is far too long", 14.0, 80.0);
        assert!(cut.starts_with("a te") && cut.ends_with('…'), "{cut}");
        assert!(width(&cut, 14.0) <= 80.0);
    }

    #[test]
    fn letters_have_outlines_and_spaces_none() {
        let bounds = outline("H", 100.0).expect("a path").bounds();
        assert!(
            bounds.top() < -70.0 && bounds.bottom().abs() < 0.1,
            "{bounds:?}"
        );
        assert!(outline(" ", 100.0).is_none());
    }
}
