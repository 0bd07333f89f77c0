//! Instants of event time from texts and from local times: the usual ways to write them, named formats, patterns, zones.

use std::str::FromStr;
use std::sync::Arc;

use arrow_array::timezone::Tz;
use arrow_schema::DataType;
use chrono::DateTime;
use chrono::format::{Fixed, Item};
use dataflow_core::problem::did_you_mean;
use dataflow_core::time::Instant;

use crate::columns::{Layout, Moment, counted, local_offset, moment};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Why a value is no instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoInstant {
    /// It is not written as one.
    Unreadable,
    /// Clocks in its zone skip it.
    Skipped,
    /// It lies outside 1677 to 2262, which 64 bits of nanoseconds reach.
    OutOfRange,
}

/// A zone that local times are in.
#[derive(Clone, Debug)]
pub struct Zone {
    name: Arc<str>,
    /// None for UTC.
    clocks: Option<Tz>,
}

impl Zone {
    /// The zone of this name in the database of the IANA, or at this offset (`+02:00`); else what to do about it.
    ///
    /// # Errors
    /// The help for a name that is not known.
    pub fn named(name: &str) -> Result<Self, String> {
        let clocks = match name {
            "UTC" | "Z" | "+00:00" | "Etc/UTC" => None,
            _ => Some(Tz::from_str(name).map_err(|_| likely(name))?),
        };
        Ok(Self {
            name: name.into(),
            clocks,
        })
    }

    /// Its name as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instant at which clocks show so many seconds (and nanoseconds) since 1970; the earlier one where they do so twice.
    ///
    /// # Errors
    /// When they never do, or the instant is out of range.
    #[inline]
    pub fn instant(&self, seconds: i64, nanoseconds: u32) -> Result<Instant, NoInstant> {
        let offset = match &self.clocks {
            None => 0,
            Some(_) if seconds.unsigned_abs() > (i64::MAX / 1_000_000_000) as u64 + DAY as u64 => {
                return Err(NoInstant::OutOfRange);
            }
            Some(clocks) => local_offset(clocks, seconds).ok_or(NoInstant::Skipped)?,
        };
        let seconds = seconds
            .checked_sub(i64::from(offset))
            .ok_or(NoInstant::OutOfRange)?;
        counted(seconds, nanoseconds, 1_000_000_000).ok_or(NoInstant::OutOfRange)
    }
}

fn likely(name: &str) -> String {
    let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    let lower = name.to_lowercase().replace(' ', "_");
    // A city alone is what people write most.
    let city = names.clone().find(|known| {
        let last = known.rsplit_once('/').map(|(_, last)| last.to_lowercase());
        last.is_some_and(|last| last == lower)
    });
    match city {
        Some(known) => format!("did you mean `{known}`?"),
        None => did_you_mean(name, names)
            .unwrap_or_else(|| "write one such as \"Europe/Berlin\" or \"+02:00\"".to_string()),
    }
}

/// How instants are written in texts.
#[derive(Clone, Debug)]
pub struct InstantFormat {
    /// None for the usual ways.
    layout: Option<Layout>,
    name: Arc<str>,
}

/// The formats that have names.
const NAMES: [&str; 2] = ["rfc2822", "rfc3339"];

impl Default for InstantFormat {
    fn default() -> Self {
        Self {
            layout: None,
            name: "rfc3339".into(),
        }
    }
}

impl InstantFormat {
    /// The format of this name, or the pattern of `strftime`'s kind.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn new(format: &str) -> Result<Self, (String, String)> {
        let layout = match format {
            "rfc3339" => None,
            "rfc2822" => Some(Layout::of(Item::Fixed(Fixed::RFC2822))),
            pattern if pattern.contains('%') => Some(pattern_of(pattern)?),
            _ => {
                let help = did_you_mean(format, NAMES).unwrap_or_else(|| {
                    "write \"rfc3339\", \"rfc2822\", or a pattern such as \"%d.%m.%Y %H:%M:%S\""
                        .to_string()
                });
                return Err((format!("`{format}` is not a format of times"), help));
            }
        };
        Ok(Self {
            layout,
            name: format.into(),
        })
    }

    /// Its name, or the pattern.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether all texts say how far they are from UTC, so that no zone is needed.
    pub fn tells_offset(&self) -> bool {
        let layout = self.layout.as_ref();
        layout.is_some_and(|l| matches!(l.data_type(), DataType::Timestamp(_, Some(_))))
    }

    /// What texts should look like: `a time such as 2025-01-31T12:00:00Z`.
    pub fn expected(&self) -> String {
        match &self.layout {
            None => "a time such as 2025-01-31T12:00:00Z".to_string(),
            Some(_) => format!("a time in the format `{}`", self.name),
        }
    }

    /// The instant that a text means. A date means its midnight; without an offset, times are in the zone.
    ///
    /// # Errors
    /// Why it is none.
    #[inline]
    pub fn instant(&self, text: &[u8], zone: &Zone) -> Result<Instant, NoInstant> {
        let text = text.trim_ascii();
        let moment = match &self.layout {
            None => moment(text),
            Some(layout) => layout.moment(text),
        };
        let Moment { days, time, offset } = moment.ok_or(NoInstant::Unreadable)?;
        let clock = time.unwrap_or_default();
        let seconds = i64::from(days) * DAY + i64::from(clock.seconds);
        match offset {
            Some(offset) => {
                let seconds = seconds - i64::from(offset);
                counted(seconds, clock.nanoseconds, 1_000_000_000).ok_or(NoInstant::OutOfRange)
            }
            None => zone.instant(seconds, clock.nanoseconds),
        }
    }
}

fn pattern_of(pattern: &str) -> Result<Layout, (String, String)> {
    let help = |text: &str| text.to_string();
    let Some(layout) = Layout::new(pattern) else {
        return Err((
            format!("`{pattern}` is not a pattern of times"),
            help("write it as for strftime: \"%d.%m.%Y %H:%M:%S\""),
        ));
    };
    // Two times of one day, written and read back, tell whether the pattern keeps what it writes.
    let (midnight, later) = (
        DateTime::UNIX_EPOCH,
        DateTime::from_timestamp_nanos(49_517_123_456_789),
    );
    let read = |time| layout.moment(layout.written(time).as_bytes());
    if read(midnight).is_none() || read(later).is_none() {
        return Err((
            format!("`{pattern}` does not tell the day, so a text in it is no time"),
            help(
                "write year, month and day too, or put the day in front: `value = \"concat('2025-01-31 ', x)\"`",
            ),
        ));
    }
    if read(midnight) == read(later) && layout.written(midnight) != layout.written(later) {
        return Err((
            format!("`{pattern}` does not tell enough of the time of day"),
            help("hours need minutes (`%H:%M`), and hours up to 12 need `%p`"),
        ));
    }
    Ok(layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn zone(name: &str) -> Zone {
        Zone::named(name).expect(name)
    }

    #[test]
    fn texts_with_and_without_offset() {
        let usual = InstantFormat::default();
        for (text, in_zone, expected) in [
            ("1970-01-01T00:00:01Z", "UTC", Ok(SECOND)),
            (" 1970-01-01 00:00:01 ", "UTC", Ok(SECOND)),
            ("1970-01-01", "UTC", Ok(0)),
            ("1970-01-01 01:00:00", "Europe/Berlin", Ok(0)),
            ("1970-01-01", "Europe/Berlin", Ok(-3600 * SECOND)),
            ("1970-01-01T00:00:00Z", "Europe/Berlin", Ok(0)),
            ("1970-01-01T00:00:00", "+02:00", Ok(-7200 * SECOND)),
            ("1969-12-31T23:59:59.5Z", "UTC", Ok(-SECOND / 2)),
            // Clocks are put forward from 2:00 to 3:00, and back from 3:00 to 2:00.
            (
                "2025-03-30 02:30:00",
                "Europe/Berlin",
                Err(NoInstant::Skipped),
            ),
            (
                "2025-10-26 02:30:00",
                "Europe/Berlin",
                Ok(1_761_438_600 * SECOND),
            ),
            (
                "2025-10-26 02:30:00+01:00",
                "Europe/Berlin",
                Ok(1_761_442_200 * SECOND),
            ),
            ("2262-04-11T23:47:16.854775807Z", "UTC", Ok(i64::MAX)),
            ("1677-09-21T00:12:43.145224192Z", "UTC", Ok(i64::MIN)),
            ("2262-04-11T23:47:17Z", "UTC", Err(NoInstant::OutOfRange)),
            ("9999-12-31", "Europe/Berlin", Err(NoInstant::OutOfRange)),
            ("0001-01-01", "UTC", Err(NoInstant::OutOfRange)),
            ("soon", "UTC", Err(NoInstant::Unreadable)),
            ("", "UTC", Err(NoInstant::Unreadable)),
        ] {
            assert_eq!(
                usual.instant(text.as_bytes(), &zone(in_zone)),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn formats_by_name_and_by_pattern() {
        let utc = zone("UTC");
        for (format, text, expected, offset) in [
            ("rfc3339", "1970-01-01T00:00:01Z", 1, false),
            ("rfc2822", "Thu, 01 Jan 1970 02:00:01 +0200", 1, true),
            ("%d.%m.%Y %H:%M:%S", "01.01.1970 00:00:01", 1, false),
            ("%Y%m%d", "19700102", 86_400, false),
            ("%Y-%m-%d %I:%M %p", "1970-01-01 01:00 PM", 46_800, false),
            ("%Y-%m-%dT%H:%M:%S%z", "1970-01-01T01:00:01+0100", 1, true),
            ("%s", "5", 5, true),
        ] {
            let format = InstantFormat::new(format).expect(format);
            let found = format.instant(text.as_bytes(), &utc);
            assert_eq!(found, Ok(expected * SECOND), "{format:?}");
            assert_eq!(format.tells_offset(), offset, "{format:?}");
        }
        for (format, wrong) in [
            ("rfc3399", "is not a format of times"),
            ("epoch", "is not a format of times"),
            ("%Q", "is not a pattern of times"),
            ("%H:%M:%S", "does not tell the day"),
            ("%Y-%m-%d %H", "does not tell enough of the time of day"),
            ("%Y-%m-%d %I:%M", "does not tell enough of the time of day"),
        ] {
            let (message, _) = InstantFormat::new(format).expect_err(format);
            assert!(message.contains(wrong), "{message}");
        }
    }

    #[test]
    fn zones_that_are_not_known_get_a_name() {
        for (name, help) in [
            ("Europe/Berln", "did you mean `Europe/Berlin`?"),
            ("berlin", "did you mean `Europe/Berlin`?"),
            ("New York", "did you mean `America/New_York`?"),
            (
                "nowhere at all",
                "write one such as \"Europe/Berlin\" or \"+02:00\"",
            ),
        ] {
            assert_eq!(Zone::named(name).expect_err(name), help);
        }
    }
}
