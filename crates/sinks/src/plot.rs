//! Draws rows as a picture: lines, a histogram, bars or a heat map, as PNG and SVG.

mod axis;
mod build;
mod chart;
mod columns;
mod content;
mod files;
mod heat;
mod paint;
mod sink;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use dataflow_core::component::{Configured, Info, SinkConfig};
use dataflow_core::transform::Input;
use dataflow_core::{Check, Located, Sink};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::IfExists;
pub use axis::Scale;
pub use heat::Combine;
pub use paint::colour::Theme;
use sink::PlotSink;

/// What is drawn, and where it goes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plot {
    /// The file, which ends in `.png` or `.svg`; several, as in `["psd.png", "psd.svg"]`, are the same picture. Folders are made.
    pub path: Located<Names>,
    /// What is drawn.
    pub kind: Located<PlotKind>,
    /// The column along the horizontal axis. Lines: numbers or times; default: the seconds of the signal, where rows are its samples, else
    /// the number of the row. Histogram: the two columns where intervals begin and end; default `["from", "to"]`. Bars: the names. Heat
    /// map: as for lines, and with `value` it must be given.
    #[serde(default)]
    pub x: Option<Located<Names>>,
    /// The column of the values. Lines and bars: one or several. Histogram: default `"count"`. Heat map: the column of lists, each of
    /// which is drawn from bottom to top; with `value` the column along the vertical axis.
    #[serde(default)]
    pub y: Option<Located<Names>>,
    /// Heat map: the column whose values are the colours, where each row is one cell. Default: `y` has lists.
    #[serde(default)]
    pub value: Option<Located<String>>,
    /// Lines: a column for each of whose values there is a line. Default: one line for each `y`. There are at most 12 lines; those of
    /// further values are left out, and the picture says so.
    #[serde(default)]
    pub by: Option<Located<String>>,
    /// Lines: a column of `true` and `false`. Where it is true the point has a red ring. Default: none.
    #[serde(default)]
    pub marks: Option<Located<String>>,
    /// What stands above the picture. Default: nothing.
    #[serde(default)]
    pub title: Option<String>,
    /// The words at the horizontal axis. Default: the name of the column.
    #[serde(default)]
    pub x_label: Option<String>,
    /// The unit along the horizontal axis, such as `"Hz"`: numbers get the prefix that makes them short (kHz). Default: none; of durations, along any axis, `"s"`.
    #[serde(default)]
    pub x_unit: Option<String>,
    /// The words at the vertical axis. Default: the name of the column, if it is one.
    #[serde(default)]
    pub y_label: Option<String>,
    /// The unit along the vertical axis, such as `"V²/Hz"`. Default: none.
    #[serde(default)]
    pub y_unit: Option<String>,
    /// Heat map: the words at the bar of colours. Default: the name of the column.
    #[serde(default)]
    pub value_label: Option<String>,
    /// Heat map: the unit of the colours, such as `"dB"`. Default: none.
    #[serde(default)]
    pub value_unit: Option<String>,
    /// How the horizontal axis is divided. Default `"linear"`.
    #[serde(default)]
    pub x_scale: Located<Scale>,
    /// How the vertical axis is divided. Default `"linear"`.
    #[serde(default)]
    pub y_scale: Located<Scale>,
    /// Heat map: how the colours are divided. Default `"linear"`.
    #[serde(default)]
    pub value_scale: Located<Scale>,
    /// The ends of the vertical axis, as `[0, 500e3]` (in decibels if it has that scale). Default: those of the data, and zero for bars.
    /// Heat map of lists: what the first and the last value of a list stand for; default: the frequencies that the input has with
    /// it, or else the numbers of the values.
    #[serde(default)]
    pub y_range: Option<Located<Vec<f64>>>,
    /// Heat map: the values of the darkest and the brightest colour, as `[-120, 0]`. Default: so that 2 % of the cells are darker and 0.1 %
    /// brighter, since a few strange values would leave no difference to the others.
    #[serde(default)]
    pub range: Option<Located<Vec<f64>>>,
    /// Heat map: what becomes of rows and values that share a pixel. Default `"max"`.
    #[serde(default)]
    pub combine: Located<Combine>,
    /// The colours. Default `"light"`.
    #[serde(default)]
    pub theme: Theme,
    /// Pixels from left to right, 200 to 4000. Default 1200. Letters and lines grow with the picture.
    #[serde(default = "width")]
    pub width: Located<u32>,
    /// Pixels from top to bottom, 200 to 4000. Default 700.
    #[serde(default = "height")]
    pub height: Located<u32>,
    /// What to do if the file exists already: `"replace"` or `"fail"`. Default `"replace"`.
    #[serde(default)]
    pub if_exists: Located<IfExists>,
}

fn width() -> Located<u32> {
    Located::nowhere(1200)
}

fn height() -> Located<u32> {
    Located::nowhere(700)
}

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlotKind {
    /// Lines from point to point in the order of `x`.
    Line,
    /// Intervals and how many values are in each: what `unnest` makes of `histogram`.
    Histogram,
    /// Cells whose colours are values, such as a spectrogram.
    Heatmap,
    /// A bar for each row, with a name.
    Bars,
}

/// One name or several.
#[derive(Clone, Debug, JsonSchema, PartialEq)]
#[schemars(untagged)]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    Many(Vec<Located<String>>),
}

impl Names {
    /// Each with its place.
    fn list(names: &Located<Self>) -> Vec<Located<String>> {
        match &names.value {
            Self::One(name) => vec![Located {
                value: name.clone(),
                span: names.span,
            }],
            Self::Many(all) => all.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or a list of names")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
                Ok(Names::One(name.to_string()))
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Names, S::Error> {
                let mut all = Vec::new();
                while let Some(name) = list.next_element()? {
                    all.push(name);
                }
                Ok(Names::Many(all))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Configured for Plot {
    const INFO: Info = Info {
        name: "plot",
        summary: "Draws rows as lines, a histogram, bars or a heat map, as PNG and SVG",
        manual: "\
The picture follows from the rows and the settings alone: any number of workers, any batches and a run that goes on from a snapshot give \
the same bytes. It appears under its name when all sinks are complete, as a file of the `file` sink does.

Memory does not grow with the input, since a picture keeps no more than it can show:

- *line*: x is cut into intervals whose width is a power of two, and which get wider when there are more than two to four for each pixel. \
Of each interval the first, the last, the least and the greatest value are drawn, so a spike of one sample is seen among millions. Nulls and NaN \
make gaps. Lines go in the order of x: of values that go to and fro, draw one line for each way, with `by`.
- *histogram*: with more than 4096 intervals, neighbours are added up, two and two, four and four and so on. Heights are the counts as they are, \
also of intervals that are not equally wide.
- *bars*: the first 60 rows; the picture says if there were more.
- *heatmap*: of lists, neighbouring rows and values are combined, rows in groups that are a power of two. With `value`, x and y \
are cut into intervals as for lines, at most 512 each. Rows of lists must come in the order of x; those that go back are left out.

A line needs up to 500 KB, a heat map up to 20 MB, and the drawing at the end 7 bytes a pixel and some tenths of a second. A row costs \
30 to 200 ns, a value of a list some 10.

Units are written with a prefix that makes numbers short, as in kHz, µs or mV²/Hz, where they take one. Times are in UTC. Infinite values are left \
out, as are those of zero and below on an axis that is `log` or in decibels; the picture says how many. Without rows it says `no rows`. \
Text is set in DejaVu Sans, which is part of the program; an SVG has it as text and names others for viewers without that font.",
        example: "\
type = \"plot\"
inputs = [\"per_minute\"]
path = [\"out/temperature.png\", \"out/temperature.svg\"]
kind = \"line\"
x = \"timestamp\"
y = \"temperature\"
by = \"device\"
title = \"Temperature of the machines\"
y_unit = \"°C\"
",
        also_called: &["chart", "graph", "png", "svg", "picture", "image", "figure"],
        ..Info::EMPTY
    };
}

impl SinkConfig for Plot {
    fn build(self, input: &Input, check: &mut Check<'_>) -> Option<Arc<dyn Sink>> {
        let drawing = self.drawing(input, check);
        let files = self.files(input, check);
        let look = self.look(check);
        Some(Arc::new(PlotSink {
            drawing: drawing?,
            files: files?,
            look: look?,
            if_exists: self.if_exists.value,
            kind: self.kind.value,
        }))
    }
}
