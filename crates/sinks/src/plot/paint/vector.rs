//! A picture as an SVG file: lines stay lines, and text stays text.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dataflow_core::{Error, Result};

use super::font::FAMILY;
use super::scene::{Anchor, Area, At, Image, Scene, Shape, Text};

/// The file's text. The same picture has the same.
pub fn text(scene: &Scene) -> Result<String> {
    let mut drawing = Drawing::default();
    let (width, height) = (scene.width, scene.height);
    drawing.line(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"{FAMILY}\">"
    ));
    let background = scene.background.text();
    drawing.line(&format!(
        "<rect width=\"{width}\" height=\"{height}\" fill=\"{background}\"/>"
    ));
    for shape in &scene.shapes {
        drawing.shape(shape)?;
    }
    drawing.line("</svg>");
    Ok(drawing.text)
}

#[derive(Default)]
struct Drawing {
    text: String,
    /// How many areas there are outside of which nothing is seen: each has a name.
    areas: usize,
}

impl Drawing {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn shape(&mut self, shape: &Shape) -> Result<()> {
        match shape {
            Shape::Box(area, colour) => {
                let line = format!("<rect {} fill=\"{}\"/>", edges(area), colour.text());
                self.line(&line);
            }
            Shape::Line {
                points,
                width,
                colour,
            } => {
                let path = path(points);
                let (width, colour) = (number(*width), colour.text());
                self.line(&format!(
                    "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
                     stroke-linejoin=\"round\" stroke-linecap=\"round\"/>"
                ));
            }
            Shape::Dot { at, radius, colour } => {
                let (circle, colour) = (circle(*at, *radius), colour.text());
                self.line(&format!("<circle {circle} fill=\"{colour}\"/>"));
            }
            Shape::Ring { at, radius, colour } => {
                let (circle, colour) = (circle(*at, *radius), colour.text());
                self.line(&format!(
                    "<circle {circle} fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>"
                ));
            }
            Shape::Text(text) => self.words(text),
            Shape::Image(image) => self.image(image)?,
            Shape::Inside(area, shapes) => self.inside(area, shapes)?,
        }
        Ok(())
    }

    fn inside(&mut self, area: &Area, shapes: &[Shape]) -> Result<()> {
        self.areas += 1;
        let (name, edges) = (self.areas, edges(area));
        self.line(&format!(
            "<clipPath id=\"area{name}\"><rect {edges}/></clipPath>"
        ));
        self.line(&format!("<g clip-path=\"url(#area{name})\">"));
        for shape in shapes {
            self.shape(shape)?;
        }
        self.line("</g>");
        Ok(())
    }

    fn words(&mut self, text: &Text) {
        let (x, y) = (number(text.at.0), number(text.at.1));
        let anchor = match text.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let turned = match text.turned == 0.0 {
            true => String::new(),
            false => format!(" transform=\"rotate({} {x} {y})\"", number(text.turned)),
        };
        let (size, colour) = (number(text.size), text.colour.text());
        let words = escaped(&text.text);
        self.line(&format!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\"{anchor}{turned}>{words}</text>"
        ));
    }

    fn image(&mut self, image: &Image) -> Result<()> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, image.width, image.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let failed =
            |e: png::EncodingError| Error::internal(format!("an image cannot be packed: {e}"));
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(&image.pixels).map_err(failed)?;
        writer.finish().map_err(failed)?;
        let (edges, data) = (edges(&image.area), STANDARD.encode(bytes));
        self.line(&format!(
            "<image {edges} preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" \
             href=\"data:image/png;base64,{data}\"/>"
        ));
        Ok(())
    }
}

/// With one digit behind the point at most two; nobody sees more.
fn number(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0;
    // Not `-0`.
    format!("{}", rounded + 0.0)
}

fn edges(area: &Area) -> String {
    format!(
        "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"",
        number(area.left),
        number(area.top),
        number(area.width().max(0.0)),
        number(area.height().max(0.0))
    )
}

fn circle((x, y): At, radius: f64) -> String {
    let (x, y, radius) = (number(x), number(y), number(radius));
    format!("cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"")
}

/// The points of a line; one that is where the one before is would be lost space.
fn path(points: &[At]) -> String {
    let mut path = String::new();
    let mut before = None;
    for (x, y) in points {
        let at = (number(*x), number(*y));
        if before.as_ref() == Some(&at) {
            continue;
        }
        let letter = if before.is_none() { 'M' } else { 'L' };
        // Writing to a text does not fail.
        let _ = write!(path, "{letter}{} {}", at.0, at.1);
        before = Some(at);
    }
    path
}

/// Text as XML has it; what it cannot have is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::colour::Colour;
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(1.0, "1"), (0.126, "0.13"), (-0.001, "0"), (-2.5, "-2.5")] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn points_that_are_where_the_last_was_are_left_out() {
        let points = [(1.0, 2.0), (1.001, 2.0), (3.0, 2.0), (1.0, 2.0)];
        assert_eq!(path(&points), "M1 2L3 2L1 2");
        assert_eq!(path(&[]), "");
    }

    #[test]
    fn text_cannot_become_markup() {
        let text = Text {
            at: (1.0, 2.0),
            text: "a<b> & \"c\"\u{7}\n</text>".into(),
            size: 14.0,
            colour: Colour([0, 0, 0]),
            anchor: Anchor::Middle,
            turned: -90.0,
        };
        let scene = Scene {
            width: 100,
            height: 50,
            background: Colour([255, 255, 255]),
            shapes: vec![Shape::Text(text)],
        };
        let svg = super::text(&scene).expect("writes");
        assert!(
            svg.contains("text-anchor=\"middle\" transform=\"rotate(-90 1 2)\">a&lt;b&gt; &amp; &quot;c&quot; &lt;/text&gt;</text>"),
            "{svg}"
        );
    }
}
