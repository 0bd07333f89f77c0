//! How long a window of time is, as people write it: `"250ms"`, `"1h30m"`, `"1d"`, `"2w"`, `"1mo"`, `"1q"`, `"1y"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use dataflow_core::units::Duration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// A day of 24 hours, in nanoseconds.
pub(crate) const DAY: i64 = 86_400_000_000_000;

/// The longest size in months: longer than all instants together.
const MOST_MONTHS: i64 = 12_000;

/// How long a window is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Size {
    /// What is counted.
    pub(crate) unit: Unit,
    /// How many.
    pub(crate) count: i64,
    text: String,
}

/// What a size counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Time that passes.
    Nanoseconds,
    /// Days of the calendar.
    Days,
    /// Months of the calendar.
    Months,
}

impl Size {
    /// In nanoseconds where days have 24 hours; none for months.
    pub(crate) fn nanoseconds(&self) -> Option<i64> {
        match self.unit {
            Unit::Nanoseconds => Some(self.count),
            Unit::Days => self.count.checked_mul(DAY),
            Unit::Months => None,
        }
    }

    /// Whether it is made of whole weeks.
    pub(crate) fn is_weeks(&self) -> bool {
        self.unit == Unit::Days && self.count % 7 == 0
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = || {
            let words = text.split(|c: char| !c.is_alphabetic());
            words.filter(|word| !word.is_empty())
        };
        let (unit, count) = if words().any(|word| months_of(word).is_some()) {
            let months = months(text).ok_or_else(|| {
                format!("`{text}` is not a size: months, quarters and years are whole numbers of `mo`, `q` and `y` and stand alone")
            })?;
            (Unit::Months, months)
        } else {
            let duration: Duration = text.parse().map_err(|_| {
                format!("`{text}` is not a size: write a number and a unit, such as \"250ms\", \"1m\", \"1h30m\", \"1d\", \"1w\", \"1mo\", \"1q\" or \"1y\"")
            })?;
            let nanoseconds = duration.nanoseconds();
            if nanoseconds % DAY == 0 && words().all(|word| word == "d" || word == "w") {
                (Unit::Days, nanoseconds / DAY)
            } else {
                (Unit::Nanoseconds, nanoseconds)
            }
        };
        let text = text.trim().to_string();
        Ok(Self { unit, count, text })
    }
}

/// How many months a unit is.
fn months_of(unit: &str) -> Option<i64> {
    match unit {
        "mo" => Some(1),
        "q" => Some(3),
        "y" => Some(12),
        _ => None,
    }
}

/// The months of a text such as `1y6mo`.
fn months(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let mut total = 0_i64;
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let word = behind.find(|c: char| !c.is_alphabetic());
        let (word, behind) = behind.split_at(word.unwrap_or(behind.len()));
        let months = number.parse::<i64>().ok()?.checked_mul(months_of(word)?)?;
        total = total.checked_add(months)?;
        rest = behind.trim_start();
    }
    (total <= MOST_MONTHS).then_some(sign * total)
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "WindowSize".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^([0-9._]+(ns|us|µs|ms|s|m|h|d|w) ?)+$|^([0-9]+(mo|q|y) ?)+$|\$\{",
            "examples": ["1m"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = DAY / 24;

    #[test]
    fn sizes_are_times_days_or_months() {
        for (text, unit, count) in [
            ("250ms", Unit::Nanoseconds, 250_000_000),
            ("1h30m", Unit::Nanoseconds, HOUR + HOUR / 2),
            ("24h", Unit::Nanoseconds, DAY),
            ("1d12h", Unit::Nanoseconds, DAY + DAY / 2),
            ("1.5d", Unit::Nanoseconds, DAY + DAY / 2),
            ("0s", Unit::Nanoseconds, 0),
            ("1d", Unit::Days, 1),
            ("7d", Unit::Days, 7),
            ("1w", Unit::Days, 7),
            (" 2w 1d ", Unit::Days, 15),
            ("-3d", Unit::Days, -3),
            ("1mo", Unit::Months, 1),
            ("1q", Unit::Months, 3),
            ("1y6mo", Unit::Months, 18),
            ("-1y", Unit::Months, -12),
            ("1000y", Unit::Months, 12_000),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!((size.unit, size.count), (unit, count), "{text}");
            assert_eq!(size.to_string(), text.trim());
        }
    }

    #[test]
    fn other_texts_are_no_sizes() {
        for text in [
            "",
            "5",
            "d",
            "1 d",
            "1month",
            "1M",
            "1.5mo",
            "1mo2d",
            "1d1mo",
            "1y-1mo",
            "1001y",
            "99999999999999999999mo",
            "200000d",
            "mo",
        ] {
            let problem = text.parse::<Size>().expect_err(text);
            assert!(
                problem.starts_with(&format!("`{text}` is not a size: ")),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_week_is_a_week_however_it_is_written() {
        for (text, weeks) in [
            ("1w", true),
            ("14d", true),
            ("8d", false),
            ("168h", false),
            ("7mo", false),
        ] {
            assert_eq!(
                text.parse().map(|size: Size| size.is_weeks()),
                Ok(weeks),
                "{text}"
            );
        }
    }
}
