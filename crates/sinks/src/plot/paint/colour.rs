//! Colours: the two themes, those of lines, and a colour map of even steps.
//!
//! Lines and the map are laid out in Oklab, in which equal distances look equal. The formulas are those of Björn Ottosson, "A
//! perceptual color space for image processing" (2020).

use schemars::JsonSchema;
use serde::Deserialize;

/// Red, green and blue as on a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

/// What a picture lies on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// Dark on white, as on paper.
    #[default]
    Light,
    /// Light on nearly black.
    Dark,
}

/// The colours of what is around the data.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    pub background: Colour,
    pub text: Colour,
    /// Of what is read last: numbers at ticks, notes.
    pub quiet: Colour,
    pub grid: Colour,
    /// Lines of the grid between those with a number.
    pub faint: Colour,
    pub border: Colour,
    /// Of points that are marked.
    pub alarm: Colour,
}

const LIGHT: Palette = Palette {
    background: Colour([255, 255, 255]),
    text: Colour([31, 35, 40]),
    quiet: Colour([82, 90, 99]),
    grid: Colour([226, 229, 233]),
    faint: Colour([241, 243, 245]),
    border: Colour([140, 148, 158]),
    alarm: Colour([207, 34, 46]),
};

const DARK: Palette = Palette {
    background: Colour([16, 20, 26]),
    text: Colour([230, 235, 241]),
    quiet: Colour([164, 173, 184]),
    grid: Colour([42, 49, 58]),
    faint: Colour([28, 33, 40]),
    border: Colour([101, 111, 122]),
    alarm: Colour([255, 107, 107]),
};

/// The hues of lines, in degrees: neighbours in the list are far apart on the circle.
const HUES: [f64; 6] = [255.0, 50.0, 155.0, 320.0, 95.0, 205.0];

impl Theme {
    pub(crate) fn palette(self) -> Palette {
        match self {
            Self::Light => LIGHT,
            Self::Dark => DARK,
        }
    }

    /// The colour of a line, by its number. Behind the last hue come those between, darker on light and lighter on dark.
    pub(crate) fn line(self, number: usize) -> Colour {
        let again = number / HUES.len() % 2 == 1;
        let (lightness, chroma) = match (self, again) {
            (Self::Light, false) => (0.56, 0.16),
            (Self::Light, true) => (0.44, 0.11),
            (Self::Dark, false) => (0.74, 0.14),
            (Self::Dark, true) => (0.89, 0.09),
        };
        let between = if again { 26.0 } else { 0.0 };
        Colour::of_hue(lightness, chroma, HUES[number % HUES.len()] + between)
    }
}

impl Colour {
    /// By lightness (0 to 1), chroma and hue in degrees; with less chroma where a screen cannot show it.
    pub fn of_hue(lightness: f64, chroma: f64, hue: f64) -> Self {
        let mut chroma = chroma;
        loop {
            let (sin, cos) = hue.to_radians().sin_cos();
            let linear = linear_of(lightness, chroma * cos, chroma * sin);
            let shown = linear.iter().all(|c| (-1e-6..=1.0 + 1e-6).contains(c));
            if shown || chroma < 1e-3 {
                return Self(linear.map(encoded));
            }
            chroma -= 0.002;
        }
    }

    /// `#rrggbb`.
    pub fn text(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }
}

/// Oklab to linear red, green and blue.
fn linear_of(lightness: f64, a: f64, b: f64) -> [f64; 3] {
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ]
}

/// A linear part of a colour as screens take it (sRGB, IEC 61966-2-1).
fn encoded(linear: f64) -> u8 {
    let linear = linear.clamp(0.0, 1.0);
    let part = match linear <= 0.003_130_8 {
        true => 12.92 * linear,
        false => 1.055 * linear.powf(1.0 / 2.4) - 0.055,
    };
    (255.0 * part).round() as u8
}

/// A colour map: from dark violet over blue and green to light yellow, lightness rising evenly.
pub struct ColourMap {
    steps: Vec<Colour>,
}

const STEPS: usize = 256;

impl ColourMap {
    pub fn new() -> Self {
        let step = |i: usize| {
            let at = i as f64 / (STEPS - 1) as f64;
            let hue = 300.0 - 195.0 * at.powf(0.9);
            Colour::of_hue(0.18 + 0.74 * at, 0.09 + 0.09 * at, hue)
        };
        Self {
            steps: (0..STEPS).map(step).collect(),
        }
    }

    /// The colour of a value from 0 to 1.
    pub fn at(&self, value: f64) -> Colour {
        let step = (value.clamp(0.0, 1.0) * (STEPS - 1) as f64).round();
        self.steps[step as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The luminance that a screen shows.
    fn luminance(colour: Colour) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            match part <= 0.040_45 {
                true => part / 12.92,
                false => ((part + 0.055) / 1.055).powf(2.4),
            }
        };
        let [red, green, blue] = colour.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// How well one is told from the other, as the Web Content Accessibility Guidelines 2.1 measure it.
    fn contrast(one: Colour, other: Colour) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn the_map_rises_in_lightness_without_jumps() {
        let map = ColourMap::new();
        let lightness: Vec<f64> = (0..=255)
            .map(|i| luminance(map.at(f64::from(i) / 255.0)).cbrt())
            .collect();
        for pair in lightness.windows(2) {
            assert!(pair[1] > pair[0] - 0.002, "{pair:?}");
            assert!(pair[1] - pair[0] < 0.015, "{pair:?}");
        }
        assert_eq!(map.at(-3.0), map.at(0.0));
        assert_eq!(map.at(f64::INFINITY), map.at(1.0));
    }

    #[test]
    fn text_and_lines_are_seen_on_their_background() {
        for theme in [Theme::Light, Theme::Dark] {
            let palette = theme.palette();
            assert!(contrast(palette.text, palette.background) > 12.0);
            assert!(contrast(palette.quiet, palette.background) > 6.0);
            assert!(contrast(palette.grid, palette.background) < 1.6);
            for number in 0..12 {
                let seen = contrast(theme.line(number), palette.background);
                assert!(seen > 3.0, "{theme:?} {number}: {seen}");
                assert!((0..number).all(|other| theme.line(other) != theme.line(number)));
            }
        }
    }

    #[test]
    fn grey_has_no_hue() {
        assert_eq!(Colour::of_hue(1.0, 0.0, 0.0), Colour([255, 255, 255]));
        assert_eq!(Colour::of_hue(0.0, 0.0, 0.0).text(), "#000000");
    }
}
