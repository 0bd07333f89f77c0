//! Durations, byte sizes and rates as people write them: `"5s"`, `"256MiB"`, `"10k/s"`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A span of time in nanoseconds, written `"250ms"`, `"5s"`, `"1m"`, `"2h"`, `"7d"`, `"1w"`, or several: `"1h30m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration {
    nanoseconds: i64,
}

/// A number of bytes, written `"64KiB"`, `"256MiB"`, `"2GB"`, `"1B"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

/// So many per second, written `"10k/s"`, `"2.5M/s"`, `"100/s"`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate {
    /// How many in one second.
    pub per_second: f64,
}

impl Duration {
    /// So many nanoseconds.
    pub const fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self { nanoseconds }
    }

    /// In nanoseconds.
    pub const fn nanoseconds(self) -> i64 {
        self.nanoseconds
    }

    /// As the standard library's, which has no sign: a negative one becomes 0.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.nanoseconds.max(0) as u64)
    }
}

const DURATION_UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

const BYTE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Cuts `"1.5h"` into the digits and the word behind them, and what follows.
fn number_and_word(text: &str) -> Option<(&str, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')?;
    let rest = &text[digits..];
    let word = rest
        .find(|c: char| !c.is_alphabetic() && c != 'µ')
        .unwrap_or(rest.len());
    Some((&text[..digits], &rest[..word], &rest[word..]))
}

impl std::str::FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = || {
            format!(
                "`{text}` is not a duration: write a number and a unit, such as \"250ms\", \"5s\", \"1m\", \"2h\" or \"7d\""
            )
        };
        let (negative, mut rest) = match text.trim().strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.trim()),
        };
        if rest.is_empty() {
            return Err(fail());
        }
        let mut total = 0_i64;
        while !rest.is_empty() {
            let (digits, word, more) = number_and_word(rest).ok_or_else(fail)?;
            let word = if word == "µs" { "us" } else { word };
            let (_, unit) = DURATION_UNITS
                .iter()
                .find(|(name, _)| *name == word)
                .ok_or_else(fail)?;
            let digits = digits.replace('_', "");
            let piece = match digits.parse::<i64>() {
                Ok(whole) => whole.checked_mul(*unit),
                Err(_) => digits
                    .parse::<f64>()
                    .ok()
                    .map(|x| (x * *unit as f64).round() as i64),
            };
            total = piece.and_then(|p| total.checked_add(p)).ok_or_else(fail)?;
            rest = more.trim_start();
        }
        Ok(Self::from_nanoseconds(if negative {
            -total
        } else {
            total
        }))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanoseconds == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.nanoseconds.unsigned_abs();
        if self.nanoseconds < 0 {
            f.write_str("-")?;
        }
        for (name, unit) in DURATION_UNITS.iter().rev() {
            let unit = unit.unsigned_abs();
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = || {
            format!(
                "`{text}` is not a size: write a number and a unit, such as \"64KiB\", \"256MiB\" or \"2GB\""
            )
        };
        let (digits, word, rest) = number_and_word(text.trim()).ok_or_else(fail)?;
        let (_, unit) = BYTE_UNITS
            .iter()
            .find(|(name, _)| *name == word)
            .ok_or_else(fail)?;
        let digits = digits.replace('_', "");
        let bytes = match digits.parse::<u64>() {
            Ok(whole) => whole.checked_mul(*unit),
            Err(_) => digits
                .parse::<f64>()
                .ok()
                .map(|x| (x * *unit as f64) as u64),
        };
        match bytes {
            Some(bytes) if rest.is_empty() => Ok(Self(bytes)),
            _ => Err(fail()),
        }
    }
}

impl Bytes {
    /// As people write sizes: `4.1 MiB`. [`Display`](fmt::Display) writes what stands in pipeline files.
    pub fn for_people(self) -> String {
        let text = self.to_string();
        let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
        format!("{} {}", &text[..unit], &text[unit..])
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            ("TiB", 1_u64 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
        ];
        match units.iter().find(|(_, unit)| self.0 >= *unit) {
            Some((name, unit)) if self.0.is_multiple_of(*unit) => {
                write!(f, "{}{name}", self.0 / unit)
            }
            Some((name, unit)) => write!(f, "{:.1}{name}", self.0 as f64 / *unit as f64),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = || {
            format!("`{text}` is not a rate: write rows per second, such as \"100/s\" or \"10k/s\"")
        };
        let number = text.trim().strip_suffix("/s").ok_or_else(fail)?.trim();
        let (number, factor) = match number.char_indices().last() {
            Some((at, 'k')) => (&number[..at], 1e3),
            Some((at, 'M')) => (&number[..at], 1e6),
            _ => (number, 1.0),
        };
        let number: f64 = number.replace('_', "").parse().map_err(|_| fail())?;
        if !(number.is_finite() && number > 0.0) {
            return Err(fail());
        }
        Ok(Self {
            per_second: number * factor,
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.per_second)
    }
}

macro_rules! written_as_text {
    ($type:ty, $name:literal, $pattern:literal, $example:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "text such as {}", $example)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "examples": [$example] })
            }
        }
    };
}

written_as_text!(
    Duration,
    "Duration",
    r"^-?([0-9._]+(ns|us|µs|ms|s|m|h|d|w) ?)+$|\$\{",
    "5s"
);
written_as_text!(
    Bytes,
    "Bytes",
    r"^[0-9._]+(B|[KMGT]iB|kB|MB|GB|TB)$|\$\{",
    "256MiB"
);
written_as_text!(Rate, "Rate", r"^[0-9._]+[kM]?/s$|\$\{", "10k/s");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for (text, nanoseconds, printed) in [
            ("5s", 5_000_000_000, "5s"),
            ("250ms", 250_000_000, "250ms"),
            ("1h30m", 5_400_000_000_000, "1h30m"),
            ("1.5s", 1_500_000_000, "1s500ms"),
            ("-2m", -120_000_000_000, "-2m"),
            ("0s", 0, "0s"),
        ] {
            let read: Duration = text.parse().expect(text);
            assert_eq!(read.nanoseconds(), nanoseconds, "{text}");
            assert_eq!(read.to_string(), printed);
        }
        for text in ["", "5", "s", "5 parsecs", "99999999w", "1..2s"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_and_rates_read() {
        assert_eq!("256MiB".parse(), Ok(Bytes(256 << 20)));
        assert_eq!("1B".parse(), Ok(Bytes(1)));
        assert_eq!("1.5GB".parse(), Ok(Bytes(1_500_000_000)));
        assert!("256".parse::<Bytes>().is_err());
        assert!("256 MiB x".parse::<Bytes>().is_err());
        assert_eq!(Bytes(3 << 20).to_string(), "3MiB");
        assert_eq!(Bytes(3 << 19).for_people(), "1.5 MiB");
        assert_eq!(Bytes(7).for_people(), "7 B");
        assert_eq!("10k/s".parse::<Rate>().map(|r| r.per_second), Ok(10_000.0));
        assert!("10".parse::<Rate>().is_err());
        assert!("0/s".parse::<Rate>().is_err());
    }
}
