//! Axes: how values become places, which of them get a number, and how that is written.

mod dates;
mod logarithms;
mod numbers;
mod unit;

use schemars::JsonSchema;
use serde::Deserialize;

pub use numbers::grouped;

/// How an axis is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// By powers of ten. Zero and negative values have no place on it: they are left out, lines have a gap there, and the picture says
    /// how many there were.
    Log,
    /// Evenly in decibels: ten times the decimal logarithm of the value, which is taken for a power. (Give what is in decibels already
    /// with `y_unit = "dB"` and leave the scale out.) Zero and negative values are left out as with `log`.
    Decibels,
}

/// Beyond it, and that close to zero, numbers cannot be divided evenly any more.
const LARGEST: f64 = 1e300;
const SMALLEST: f64 = 1e-290;

impl Scale {
    /// Where a value is on the axis; none if it has no place there.
    pub fn position(self, value: f64) -> Option<f64> {
        if value.is_nan() || value.abs() > LARGEST {
            return None;
        }
        let value = if value.abs() < SMALLEST { 0.0 } else { value };
        match self {
            Self::Linear => Some(value),
            _ if value <= 0.0 => None,
            Self::Log => Some(value.log10()),
            Self::Decibels => Some(10.0 * value.log10()),
        }
    }
}

/// What is along an axis.
#[derive(Clone, Debug)]
pub struct Meaning {
    /// Its words: a label, or the name of a column.
    pub label: String,
    pub unit: Option<String>,
    pub scale: Scale,
    /// Set if places are moments: nanoseconds behind this one since 1970.
    pub moments: Option<Moments>,
}

/// From when moments are counted.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    pub origin: i64,
    /// Whether they have a time zone: then they are shown in UTC, and that is said.
    pub zoned: bool,
}

/// A place on an axis that has a line of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub at: f64,
    /// None between those that are numbered.
    pub label: Option<String>,
    /// A second line of the label: the day.
    pub below: Option<String>,
}

impl Tick {
    fn new(at: f64, label: String) -> Self {
        Self {
            at,
            label: Some(label),
            below: None,
        }
    }

    fn between(at: f64) -> Self {
        Self {
            at,
            label: None,
            below: None,
        }
    }
}

/// The ticks of an axis, and what it is called with them: the unit depends on how they are numbered.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticks {
    pub list: Vec<Tick>,
    pub title: String,
}

impl Meaning {
    /// At most about so many numbered ticks between two places, `from` below `to`.
    pub fn ticks(&self, (from, to): (f64, f64), most: usize) -> Ticks {
        if let Some(moments) = self.moments {
            let suffix = if moments.zoned { " (UTC)" } else { "" };
            return Ticks {
                list: dates::ticks(moments.origin, (from, to), most),
                title: format!("{}{suffix}", self.label),
            };
        }
        let unit = self.unit.as_deref();
        match self.scale {
            Scale::Linear => numbers::ticks(&self.label, unit, (from, to), most),
            Scale::Decibels => {
                let unit = unit.map_or("dB".into(), |unit| format!("dB re 1 {unit}"));
                numbers::ticks(&self.label, Some(&unit), (from, to), most)
            }
            Scale::Log => Ticks {
                list: logarithms::ticks((from, to), most),
                title: titled(&self.label, unit.unwrap_or("")),
            },
        }
    }
}

/// A label and a unit.
fn titled(label: &str, unit: &str) -> String {
    match (label.is_empty(), unit.is_empty()) {
        (_, true) => label.to_string(),
        (true, false) => unit.to_string(),
        (false, false) => format!("{label} ({unit})"),
    }
}

/// The ends of an axis for values between two places; those of one value are around it.
pub fn ends(low: f64, high: f64) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    if high - low > (size * 1e-12).max(SMALLEST) {
        return (low, high);
    }
    let around = match size {
        0.0 => 1.0,
        size => (size * 0.05).max(100.0 * SMALLEST),
    };
    (low - around, high + around)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_a_place_or_none() {
        for (scale, value, place) in [
            (Scale::Linear, -3.0, Some(-3.0)),
            (Scale::Linear, f64::NAN, None),
            (Scale::Linear, f64::INFINITY, None),
            (Scale::Linear, f64::MAX, None),
            (Scale::Linear, 5e-324, Some(0.0)),
            (Scale::Log, 1000.0, Some(3.0)),
            (Scale::Log, 0.0, None),
            (Scale::Log, -1.0, None),
            (Scale::Log, 5e-324, None),
            (Scale::Decibels, 100.0, Some(20.0)),
            (Scale::Decibels, 0.0, None),
        ] {
            assert_eq!(scale.position(value), place, "{scale:?} {value}");
        }
    }

    #[test]
    fn an_axis_has_two_ends() {
        for (low, high, expected) in [
            (0.0, 0.0, (-1.0, 1.0)),
            (100.0, 100.0, (95.0, 105.0)),
            (-100.0, -100.0, (-105.0, -95.0)),
            (1.0, 2.0, (1.0, 2.0)),
            (1e8, 1e8 + 1e-7, (1e8 - 5e6, 1e8 + 1e-7 + 5e6)),
        ] {
            assert_eq!(ends(low, high), expected);
        }
    }

    #[test]
    fn titles_have_units() {
        let meaning = |unit: Option<&str>, scale| Meaning {
            label: "x".into(),
            unit: unit.map(str::to_string),
            scale,
            moments: None,
        };
        for (unit, scale, title) in [
            (None, Scale::Linear, "x"),
            (Some("Hz"), Scale::Linear, "x (kHz)"),
            (Some("Hz"), Scale::Log, "x (Hz)"),
            (None, Scale::Log, "x"),
            (None, Scale::Decibels, "x (dB)"),
            (Some("V²/Hz"), Scale::Decibels, "x (dB re 1 V²/Hz)"),
        ] {
            let ticks = meaning(unit, scale).ticks((2.0, 5e4), 5);
            assert_eq!(ticks.title, title);
        }
    }
}
