//! Windows that begin and end at instants which are the same for all keys: what `tumbling` and `sliding` share.

mod calendar;
mod fixed;
#[cfg(test)]
mod model;
mod size;

use std::sync::Arc;

use chrono_tz::{TZ_VARIANTS, Tz};
use dataflow_core::problem::did_you_mean;
use dataflow_core::time::Instant;
use dataflow_core::units::Duration;
use dataflow_core::window::{Grid, Window};
use dataflow_core::{Check, Located};

use calendar::{Calendar, Step};
use fixed::Fixed;
pub(crate) use size::Size;
use size::{DAY, Unit};

/// The Monday from which weeks are counted, 1969-12-29, in days from 1970-01-01.
const MONDAY: i64 = -3;

/// Windows of time as they were written.
pub(crate) struct Written {
    pub(crate) size: Located<Size>,
    /// From start to start; where nothing was said, it is the size.
    pub(crate) every: Option<Located<Size>>,
    pub(crate) offset: Duration,
    pub(crate) time_zone: Option<Located<String>>,
    /// Whether instants may lie in no window.
    pub(crate) gaps: bool,
}

impl Written {
    /// The windows; `None` when problems were reported.
    pub(crate) fn build(self, check: &mut Check<'_>) -> Option<Window> {
        // All of it is looked at before any of it fails, so that all problems are found.
        let lengths = self.positive(check).and_then(|()| self.comparable(check));
        let zone = self.zone(check);
        lengths?;
        self.grid(zone?).map(Window::Grid)
    }

    fn every(&self) -> &Located<Size> {
        self.every.as_ref().unwrap_or(&self.size)
    }

    /// Whether windows have a length and advance.
    fn positive(&self, check: &mut Check<'_>) -> Option<()> {
        let (size, every) = (&self.size, self.every());
        if size.count <= 0 {
            let message = format!("windows of `{}` hold nothing", size.value);
            let help = "write how long a window is, such as `size = \"1m\"`";
            check.error_at(size, message, Some(help.into()));
        }
        if let Some(every) = self.every.as_ref().filter(|every| every.count <= 0) {
            let message = format!("windows that begin every `{}` never advance", every.value);
            let help =
                "write how far the starts of two windows are apart, such as `every = \"10s\"`";
            check.error_at(every, message, Some(help.into()));
        }
        (size.count > 0 && every.count > 0).then_some(())
    }

    /// Whether windows leave gaps only where that is meant, which can be known.
    fn comparable(&self, check: &mut Check<'_>) -> Option<()> {
        let (size, every) = (&self.size, self.every());
        let Some(leaves_gaps) = longer(every, size) else {
            let message = format!(
                "windows of `{}` cannot begin every `{}`",
                size.value, every.value
            );
            let help = match size.unit {
                Unit::Months => "write `every` in months, quarters or years, as `size`",
                _ => {
                    "write `every` as a time, in days or in weeks, or `size` in months, quarters or years"
                }
            };
            check.error_at(every, message, Some(help.into()));
            return None;
        };
        if leaves_gaps && !self.gaps {
            let message = format!(
                "windows of `{}` that begin every `{}` leave gaps: rows there would lie in no window",
                size.value, every.value
            );
            let help = format!(
                "write `every = \"{}\"` or less, or `gaps = true` if that is meant",
                size.value
            );
            check.error_at(every, message, Some(help));
            return None;
        }
        Some(())
    }

    /// The time zone of days and months, UTC where nothing was said.
    fn zone(&self, check: &mut Check<'_>) -> Option<Tz> {
        let Some(name) = &self.time_zone else {
            return Some(Tz::UTC);
        };
        let wrong = match (self.size.unit, self.every().unit) {
            (Unit::Nanoseconds, _) => Some((
                name.span,
                format!(
                    "`time_zone` means nothing for windows of `{}`",
                    self.size.value
                ),
                "leave it out, or write a size in days, weeks, months, quarters or years: a day is `1d`",
            )),
            (Unit::Days, Unit::Nanoseconds) => Some((
                self.every().span,
                format!(
                    "windows of days of a time zone cannot begin every `{}`",
                    self.every().value
                ),
                "write `every` in days or weeks, or leave `time_zone` out: every day has 24 hours then",
            )),
            _ => None,
        };
        let Some((span, message, help)) = wrong else {
            return zone_named(name, check);
        };
        check.error_at(&Located { value: (), span }, message, Some(help.into()));
        None
    }

    /// The grid of sizes and a zone that are fine.
    fn grid(&self, zone: Tz) -> Option<Arc<dyn Grid>> {
        let (size, every) = (&self.size.value, &self.every().value);
        let offset = self.offset.nanoseconds();
        let origin = if every.is_weeks() { MONDAY } else { 0 };
        if let (Tz::UTC, Some(size), Some(every)) = (zone, size.nanoseconds(), every.nanoseconds())
        {
            let origin = i128::from(origin * DAY) + i128::from(offset);
            return Some(Arc::new(Fixed::new(size, every, origin)?));
        }
        let unit = match size.unit {
            Unit::Months => Step::Month,
            _ => Step::Day,
        };
        Some(Arc::new(Calendar {
            zone,
            unit,
            size: size.count,
            every: every.count,
            origin,
            offset,
        }))
    }
}

/// Whether one size is longer than another; none if that depends on the month.
fn longer(one: &Size, other: &Size) -> Option<bool> {
    match (one.nanoseconds(), other.nanoseconds()) {
        (Some(one), Some(other)) => Some(one > other),
        (None, None) => Some(one.count > other.count),
        _ => None,
    }
}

fn zone_named(name: &Located<String>, check: &mut Check<'_>) -> Option<Tz> {
    let zone = name.parse().ok();
    if zone.is_none() {
        let known = || TZ_VARIANTS.iter().map(|zone| zone.name());
        let lower = name.to_lowercase().replace(' ', "_");
        // People name the city alone.
        let city = known().find(|zone| zone.to_lowercase().rsplit('/').next() == Some(&lower));
        let help = city.map(|zone| format!("did you mean `{zone}`?"));
        let help = help.or_else(|| did_you_mean(name, known()));
        let help = help.unwrap_or_else(|| {
            "write a name of the IANA time zone database, such as `Europe/Berlin`, or `UTC`".into()
        });
        check.error_at(
            name,
            format!("there is no time zone `{}`", name.value),
            Some(help),
        );
    }
    zone
}

/// The nearest instant.
fn clip(time: i128) -> Instant {
    match i64::try_from(time) {
        Ok(time) => time,
        Err(_) if time < 0 => Instant::MIN,
        Err(_) => Instant::MAX,
    }
}
