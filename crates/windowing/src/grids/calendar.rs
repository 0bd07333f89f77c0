//! Windows of days or months of a calendar: days of 23 and 25 hours, months of 28 to 31 days.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::{GapInfo, Tz};
use dataflow_core::time::Instant;
use dataflow_core::window::Grid;

/// Further than any instant that is looked at.
const FAR: i128 = 1 << 80;

/// 1970-01-01 as a number of days since the first day of the year 1, which is 1.
const EPOCH: i64 = 719_163;

/// Windows of whole days or months. Days and months are numbered from the first of 1970.
///
/// A zone that left out a day makes it empty. Where windows would end at the same instant for that, or at or behind the last
/// instant, the one that begins first is the only one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calendar {
    /// Where the dates are those of.
    pub(crate) zone: Tz,
    /// What is counted.
    pub(crate) unit: Step,
    /// How many make a window; positive.
    pub(crate) size: i64,
    /// How many from start to start; positive.
    pub(crate) every: i64,
    /// One of those at which a window starts.
    pub(crate) origin: i64,
    /// How many nanoseconds later than the date the windows start and end.
    pub(crate) offset: i64,
}

/// What a calendar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Days.
    Day,
    /// Months.
    Month,
}

impl Step {
    /// The number of the day or month of a date.
    fn of(self, date: NaiveDate) -> i64 {
        match self {
            Self::Day => i64::from(date.num_days_from_ce()) - EPOCH,
            Self::Month => (i64::from(date.year()) - 1970) * 12 + i64::from(date.month0()),
        }
    }

    /// The first date of a day or month.
    fn date(self, number: i64) -> Option<NaiveDate> {
        match self {
            Self::Day => NaiveDate::from_num_days_from_ce_opt(i32::try_from(number + EPOCH).ok()?),
            Self::Month => {
                let year = i32::try_from(1970 + number.div_euclid(12)).ok()?;
                NaiveDate::from_ymd_opt(year, u32::try_from(number.rem_euclid(12)).ok()? + 1, 1)
            }
        }
    }
}

/// The instant at which a date begins: the first at which clocks show it, or a later one where they leave out its midnight.
fn midnight(zone: Tz, date: NaiveDate) -> Option<i128> {
    let local = date.and_time(NaiveTime::MIN);
    let first = zone.from_local_datetime(&local).earliest();
    let first = first.or_else(|| GapInfo::new(&local, &zone)?.end)?;
    Some(i128::from(first.timestamp()) * 1_000_000_000)
}

impl Calendar {
    /// When a day or month begins, offset included.
    fn begin(&self, number: i64) -> i128 {
        let date = self.unit.date(number);
        match date.and_then(|date| midnight(self.zone, date)) {
            Some(time) => time + i128::from(self.offset),
            None if number < 0 => -FAR,
            None => FAR,
        }
    }

    /// The last day or month that has begun.
    fn begun(&self, time: i128) -> i64 {
        let seconds = (time - i128::from(self.offset)).div_euclid(1_000_000_000);
        let utc = i64::try_from(seconds)
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let date = utc.map(|utc| utc.with_timezone(&self.zone).date_naive());
        let mut number = date.map_or(0, |date| self.unit.of(date));
        // Where clocks go back over midnight, a date is shown that has ended.
        while self.begin(number + 1) <= time {
            number += 1;
        }
        while self.begin(number) > time {
            number -= 1;
        }
        number
    }

    /// The first window that ends behind a day or month.
    fn ending_behind(&self, number: i64) -> i64 {
        (number - self.origin - self.size).div_euclid(self.every) + 1
    }

    fn window_start(&self, window: i64) -> Instant {
        super::clip(self.begin(self.origin + window * self.every))
    }

    fn window_end(&self, window: i64) -> Instant {
        super::clip(self.begin(self.origin + window * self.every + self.size))
    }
}

impl Grid for Calendar {
    fn ends(&self, time: Instant) -> Option<(Instant, Instant)> {
        let number = self.begun(i128::from(time));
        let first = self.ending_behind(number);
        let last = (number - self.origin).div_euclid(self.every);
        let end = self.window_end(first);
        if first == last {
            return Some((end, end));
        }
        (first < last).then(|| (end, self.window_end(last)))
    }

    fn next(&self, end: Instant) -> Instant {
        let number = self.begun(i128::from(end));
        self.window_end(self.ending_behind(number))
    }

    fn start(&self, end: Instant) -> Instant {
        let number = self.begun(i128::from(end) - 1);
        self.window_start(self.ending_behind(number))
    }

    fn overlaps(&self) -> bool {
        self.size > self.every
    }
}
