//! A picture as a PNG file.

use std::io::Write;

use dataflow_core::{Error, Result};
use tiny_skia::{
    FillRule, LineCap, LineJoin, Mask, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform,
};

use super::colour::Colour;
use super::font;
use super::scene::{Anchor, Area, At, Image, Scene, Shape, Text};

/// Draws so many points of a line at once: the work grows with the square of what one path crosses.
const POINTS_AT_ONCE: usize = 256;

/// Writes it. The same picture has the same bytes.
pub fn write(scene: &Scene, out: impl Write) -> Result<()> {
    let pixels = Canvas::draw(scene)?;
    let mut encoder = png::Encoder::new(out, scene.width, scene.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let failed = |e: png::EncodingError| Error::resource(format!("cannot write the picture: {e}"));
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&pixels).map_err(failed)?;
    writer.finish().map_err(failed)
}

struct Canvas {
    map: Pixmap,
    inside: Option<Mask>,
}

impl Canvas {
    /// All pixels, row by row: red, green, blue.
    fn draw(scene: &Scene) -> Result<Vec<u8>> {
        let map = Pixmap::new(scene.width, scene.height);
        let mut map = map.ok_or_else(|| Error::internal("a picture without pixels"))?;
        let [red, green, blue] = scene.background.0;
        map.fill(tiny_skia::Color::from_rgba8(red, green, blue, 255));
        let mut canvas = Self { map, inside: None };
        scene.shapes.iter().for_each(|shape| canvas.shape(shape));
        let opaque = canvas.map.data().as_chunks::<4>().0;
        Ok(opaque
            .iter()
            .flat_map(|[r, g, b, _]| [*r, *g, *b])
            .collect())
    }

    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Box(area, colour) => self.fill(rectangle(area).as_ref(), *colour),
            Shape::Line {
                points,
                width,
                colour,
            } => self.line(points, *width, *colour),
            Shape::Dot { at, radius, colour } => self.fill(circle(*at, *radius).as_ref(), *colour),
            Shape::Ring { at, radius, colour } => {
                if let Some(path) = circle(*at, *radius) {
                    self.stroke(&path, 1.6, *colour);
                }
            }
            Shape::Text(text) => self.text(text),
            Shape::Image(image) => self.image(image),
            Shape::Inside(area, shapes) => {
                let outer = self.inside.take();
                self.inside = self.mask(area);
                shapes.iter().for_each(|shape| self.shape(shape));
                self.inside = outer;
            }
        }
    }

    fn mask(&self, area: &Area) -> Option<Mask> {
        let mut mask = Mask::new(self.map.width(), self.map.height())?;
        let path = rectangle(area)?;
        mask.fill_path(&path, FillRule::Winding, false, Transform::identity());
        Some(mask)
    }

    fn fill(&mut self, path: Option<&Path>, colour: Colour) {
        let Some(path) = path else { return };
        let (whole, inside) = (Transform::identity(), self.inside.as_ref());
        self.map
            .fill_path(path, &paint(colour), FillRule::Winding, whole, inside);
    }

    fn stroke(&mut self, path: &Path, width: f64, colour: Colour) {
        let stroke = Stroke {
            width: width as f32,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        let (whole, inside) = (Transform::identity(), self.inside.as_ref());
        self.map
            .stroke_path(path, &paint(colour), &stroke, whole, inside);
    }

    fn line(&mut self, points: &[At], width: f64, colour: Colour) {
        let mut start = 0;
        while start + 1 < points.len() {
            let end = (start + POINTS_AT_ONCE).min(points.len());
            let mut path = PathBuilder::new();
            for (i, (x, y)) in points[start..end].iter().enumerate() {
                match i {
                    0 => path.move_to(*x as f32, *y as f32),
                    _ => path.line_to(*x as f32, *y as f32),
                }
            }
            if let Some(path) = path.finish() {
                self.stroke(&path, width, colour);
            }
            // The last point is the next part's first.
            start = end - 1;
        }
    }

    fn text(&mut self, text: &Text) {
        let Some(path) = font::outline(&text.text, text.size) else {
            return;
        };
        let width = font::width(&text.text, text.size);
        let back = match text.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
        let (x, y) = text.at;
        let place = Transform::from_translate(-back as f32, 0.0)
            .post_concat(Transform::from_rotate(text.turned as f32))
            .post_translate(x as f32, y as f32);
        let moved = path.transform(place);
        self.fill(moved.as_ref(), text.colour);
    }

    fn image(&mut self, image: &Image) {
        let (left, top) = (image.area.left as usize, image.area.top as usize);
        let (across, down) = (self.map.width() as usize, self.map.height() as usize);
        let width = image.width as usize;
        if width == 0 {
            return;
        }
        let opaque = self.map.data_mut().as_chunks_mut::<4>().0;
        for (y, row) in image.pixels.chunks(3 * width).enumerate() {
            for (x, pixel) in row.as_chunks::<3>().0.iter().enumerate() {
                if left + x < across && top + y < down {
                    let [red, green, blue] = *pixel;
                    opaque[(top + y) * across + left + x] = [red, green, blue, 255];
                }
            }
        }
    }
}

fn paint(colour: Colour) -> Paint<'static> {
    let mut paint = Paint::default();
    let [red, green, blue] = colour.0;
    paint.set_color_rgba8(red, green, blue, 255);
    paint.anti_alias = true;
    paint
}

/// None if nothing of it is to be seen.
fn rectangle(area: &Area) -> Option<Path> {
    let [left, top, right, bottom] =
        [area.left, area.top, area.right, area.bottom].map(|edge| edge as f32);
    Rect::from_ltrb(left, top, right, bottom).map(PathBuilder::from_rect)
}

fn circle((x, y): At, radius: f64) -> Option<Path> {
    PathBuilder::from_circle(x as f32, y as f32, radius as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Colour = Colour([200, 0, 0]);

    fn pixels(shapes: Vec<Shape>) -> Vec<[u8; 3]> {
        let scene = Scene {
            width: 20,
            height: 10,
            background: Colour([255, 255, 255]),
            shapes,
        };
        let bytes = Canvas::draw(&scene).expect("draws");
        bytes.as_chunks::<3>().0.to_vec()
    }

    fn area(left: f64, top: f64, right: f64, bottom: f64) -> Area {
        Area {
            left,
            top,
            right,
            bottom,
        }
    }

    #[test]
    fn what_is_outside_of_an_area_is_not_seen() {
        let whole = Shape::Box(area(0.0, 0.0, 20.0, 10.0), RED);
        let found = pixels(vec![Shape::Inside(area(5.0, 2.0, 8.0, 4.0), vec![whole])]);
        let red: Vec<usize> = (0..200).filter(|i| found[*i] == RED.0).collect();
        assert_eq!(red, [45, 46, 47, 65, 66, 67]);
    }

    #[test]
    fn images_lie_pixel_by_pixel_and_are_cut_at_the_border() {
        let image = Image {
            area: area(18.0, 9.0, 21.0, 11.0),
            width: 3,
            height: 2,
            pixels: (0..18).collect(),
        };
        let found = pixels(vec![Shape::Image(image)]);
        assert_eq!(found[198..], [[0, 1, 2], [3, 4, 5]]);
        assert!(found[..198].iter().all(|pixel| *pixel == [255; 3]));
    }

    #[test]
    fn a_long_line_has_no_gaps_between_its_parts() {
        let points = (0..2_000).map(|i| (f64::from(i) / 100.0, 5.5)).collect();
        let line = Shape::Line {
            points,
            width: 3.0,
            colour: RED,
        };
        let found = pixels(vec![line]);
        assert!(found[100..119].iter().all(|pixel| *pixel == RED.0));
    }

    #[test]
    fn shapes_without_extent_are_no_trouble() {
        let dots = vec![
            Shape::Box(area(3.0, 3.0, 3.0, 9.0), RED),
            Shape::Line {
                points: vec![(4.0, 4.0)],
                width: 1.0,
                colour: RED,
            },
            Shape::Inside(area(9.0, 3.0, 2.0, 9.0), vec![]),
        ];
        pixels(dots);
    }
}
