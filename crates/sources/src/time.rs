//! Event time of a source: which column or expression says when a row happened, and how late rows may be.
//!
//! A source with a `time` is wrapped: the wrapper reads the time beside the columns in use, and a row without a readable
//! one is a bad row. No condition is handed on to the source inside, since a row that was skipped could be the newest, and
//! what is late is judged by all rows.

use std::sync::Arc;

use dataflow_core::time::TimeRule;
use dataflow_core::units::Duration;
use dataflow_core::{Check, Located, Source};
use dataflow_formats::instants::{InstantFormat, Zone};
use schemars::JsonSchema;
use serde::Deserialize;

mod bound;
mod check;
mod clock;
mod convert;
mod source;
#[cfg(test)]
mod tests;

use check::Of;
use clock::Clock;
use source::Timed;

/// When the rows of a source happened.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct TimeConfig {
    /// The column that holds the time: timestamps (those without a zone are in UTC, or in `time_zone`), dates (midnight),
    /// numbers since 1970, or text. A row whose time is null, cannot be read or lies outside 1677 to 2262 is a bad row.
    pub column: Option<Located<String>>,
    /// An expression over the columns instead of `column`: `"timestamp + interval '1 hour'"`.
    pub value: Option<Located<String>>,
    /// What numbers count since 1970: `"s"`, `"ms"`, `"us"` or `"ns"`. Whole numbers need it; floats are seconds unless it says
    /// otherwise, and are rounded to the nearest nanosecond, a half to the even one.
    pub unit: Option<Located<TimeUnit>>,
    /// How texts are written: `"rfc3339"` (`2025-01-31T12:00:00Z`, also with a space, without an offset, or a date alone),
    /// `"rfc2822"`, or a pattern in the notation of `strftime` such as `"%d.%m.%Y %H:%M:%S"`. Default `"rfc3339"`.
    pub format: Option<Located<String>>,
    /// The zone of times that say neither a zone nor an offset: `"Europe/Berlin"`, `"+02:00"`. A time that clocks skip is a bad
    /// row; one that they show twice is the earlier. Default UTC.
    pub time_zone: Option<Located<String>>,
    /// How much older than the newest row before it in its file a row may be without being late. Default `"0s"`.
    pub lateness: Located<Duration>,
    /// A time that is further ahead of the newest one before it is believed only when 16 rows in a row agree, so that a wrong
    /// one does not make all that follow late. Default: every time is believed; `"1h"` for standard input and other live sources.
    pub max_future_skew: Option<Located<Duration>>,
    /// A live source that says nothing for so long holds back no window of the others until it speaks again: `"30s"`. Rows whose
    /// windows have left by then are late, so what is late depends on when rows arrive. Default: a silent source is waited for.
    pub idle: Option<Located<Duration>>,
}

/// How far ahead a time of a live source is believed at once: an hour.
const BELIEVABLE: i64 = 3_600_000_000_000;

/// What a number counts since 1970.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl TimeUnit {
    /// The unit of a column of times.
    pub(crate) fn of(unit: arrow_schema::TimeUnit) -> Self {
        match unit {
            arrow_schema::TimeUnit::Second => Self::Seconds,
            arrow_schema::TimeUnit::Millisecond => Self::Milliseconds,
            arrow_schema::TimeUnit::Microsecond => Self::Microseconds,
            arrow_schema::TimeUnit::Nanosecond => Self::Nanoseconds,
        }
    }

    /// One of it, in seconds.
    pub(crate) fn seconds(self) -> f64 {
        self.nanoseconds() as f64 / 1e9
    }

    fn nanoseconds(self) -> i64 {
        match self {
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
            Self::Microseconds => 1_000,
            Self::Nanoseconds => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Nanoseconds => "ns",
        }
    }
}

/// The settings as far as they do not depend on columns.
struct Settled {
    rule: TimeRule,
    format: InstantFormat,
    zone: Zone,
}

impl TimeConfig {
    /// Checks what does not depend on columns.
    fn settled(&self, check: &mut Check<'_>) -> Option<Settled> {
        let format = self.format.as_ref().map(|format| {
            let made = InstantFormat::new(format);
            made.map_err(|(message, help)| check.error_at(format, message, Some(help)))
        });
        let zone = self.time_zone.as_ref().map(|zone| {
            Zone::named(zone).map_err(|help| {
                let message = format!("there is no time zone `{}`", zone.value);
                check.error_at(zone, message, Some(help));
            })
        });
        let rule = self.rule(check);
        let utc = || Zone::named("UTC").map_err(|_| ());
        Some(Settled {
            format: format
                .unwrap_or_else(|| Ok(InstantFormat::default()))
                .ok()?,
            zone: zone.unwrap_or_else(utc).ok()?,
            rule: rule?,
        })
    }

    fn rule(&self, check: &mut Check<'_>) -> Option<TimeRule> {
        let late = self.lateness.nanoseconds();
        if late < 0 {
            let message = format!("`lateness` is negative ({})", self.lateness.value);
            let help =
                "write how much older than the newest row before it a row may be, such as \"5s\"";
            check.error_at(&self.lateness, message, Some(help.to_string()));
        }
        let skew = self.max_future_skew.as_ref();
        let wrong = skew.filter(|skew| skew.nanoseconds() <= 0);
        if let Some(skew) = wrong {
            let message = format!("`max_future_skew` is {}", skew.value);
            let help = "write how far ahead of the newest row before it a time may be, such as \"1h\"; or leave it out";
            check.error_at(skew, message, Some(help.to_string()));
        }
        let idle = self.idle.as_ref();
        let never = idle.filter(|idle| idle.nanoseconds() <= 0);
        if let Some(idle) = never {
            let message = format!("`idle` is {}", idle.value);
            let help =
                "write after how long a silence the others go on, such as \"30s\"; or leave it out";
            check.error_at(idle, message, Some(help.to_string()));
        }
        let fine = late >= 0 && wrong.is_none() && never.is_none();
        fine.then_some(TimeRule {
            lateness: late,
            max_future_skew: skew.map(|skew| skew.nanoseconds()),
            idle: idle.map(|idle| idle.nanoseconds()),
        })
    }
}

/// Gives a source event time, if its settings have one. Where there is no source, since something else is wrong with it, what
/// does not depend on its columns is checked.
pub fn timed(
    source: Option<Arc<dyn Source>>,
    time: Option<Located<TimeConfig>>,
    check: &mut Check<'_>,
) -> Option<Arc<dyn Source>> {
    let Some(time) = time else {
        return source;
    };
    let of = Of::new(&time, check);
    let settled = time.settled(check);
    let (source, of) = (source?, of?);
    let clock = Clock::new(&time, of, settled.as_ref(), &source, check)?;
    let mut rule = settled?.rule;
    if source.live() {
        rule.max_future_skew.get_or_insert(BELIEVABLE);
    } else if let (Some(idle), None, false) = (&time.idle, source.rate(), source.grows()) {
        let message = "`idle` means nothing here: files do not fall silent";
        check.error_at(idle, message, Some("leave it out".into()));
        return None;
    }
    Some(Arc::new(Timed::new(source, Arc::new(clock), rule)))
}
