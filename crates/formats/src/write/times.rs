//! Times as text: dates, times of day, instants in their zone, lengths of time.

use arrow_array::timezone::Tz;
use arrow_schema::TimeUnit;
use chrono::{DateTime, Offset, TimeZone};
use dataflow_core::{Error, Result};

/// What a number of units of time means.
#[derive(Clone)]
pub(super) enum Moment {
    /// An instant or a local time, shown in a zone.
    Stamp(Zone),
    /// A time of day.
    Clock,
    /// A length of time.
    Length,
}

/// Where a time is shown.
#[derive(Clone)]
pub(super) enum Zone {
    Local,
    Utc,
    Named(Tz),
}

/// The zone of this name.
pub(super) fn zone(name: Option<&str>) -> Result<Zone> {
    Ok(match name {
        None => Zone::Local,
        Some("UTC" | "Z" | "+00:00" | "Etc/UTC") => Zone::Utc,
        Some(name) => Zone::Named(
            name.parse()
                .map_err(|_| Error::data(format!("the time zone `{name}` is not known")))?,
        ),
    })
}

/// A day's number since 1970 as a date of the proleptic Gregorian calendar: H. Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`.
pub(super) fn date(day: i64, out: &mut Vec<u8>) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if (0..=9999).contains(&year) {
        padded(year as u64, 4, out);
    } else {
        out.push(if year < 0 { b'-' } else { b'+' });
        padded(year.unsigned_abs(), 4, out);
    }
    out.push(b'-');
    padded(month as u64, 2, out);
    out.push(b'-');
    padded(day as u64, 2, out);
}

fn padded(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    out.resize(out.len() + width.saturating_sub(digits.len()), b'0');
    out.extend_from_slice(digits);
}

fn clock(second: i64, out: &mut Vec<u8>) {
    padded((second / 3_600) as u64, 2, out);
    out.push(b':');
    padded((second / 60 % 60) as u64, 2, out);
    out.push(b':');
    padded((second % 60) as u64, 2, out);
}

/// A fraction of a second with three, six or nine digits, or none if it is zero.
fn fraction(nanoseconds: i64, out: &mut Vec<u8>) {
    let (value, width) = match nanoseconds {
        0 => return,
        n if n % 1_000_000 == 0 => (n / 1_000_000, 3),
        n if n % 1_000 == 0 => (n / 1_000, 6),
        n => (n, 9),
    };
    out.push(b'.');
    padded(value as u64, width, out);
}

/// Appends the time that is so many units, of which a second has `per_second`.
pub(super) fn moment(kind: &Moment, per_second: i64, value: i64, out: &mut Vec<u8>) {
    let seconds = value.div_euclid(per_second);
    let nanoseconds = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
    match kind {
        Moment::Stamp(zone) => stamp(zone, seconds, nanoseconds, out),
        Moment::Clock => {
            clock(seconds, out);
            fraction(nanoseconds, out);
        }
        Moment::Length => length(value, per_second, out),
    }
}

fn stamp(zone: &Zone, seconds: i64, nanoseconds: i64, out: &mut Vec<u8>) {
    let offset = match zone {
        Zone::Named(zone) => DateTime::from_timestamp(seconds, 0)
            .map(|time| zone.offset_from_utc_datetime(&time.naive_utc()))
            .map(|offset| i64::from(offset.fix().local_minus_utc()))
            // RFC 3339 has no seconds in offsets (local mean times); such an instant is shown in UTC.
            .filter(|offset| offset % 60 == 0),
        Zone::Local | Zone::Utc => None,
    };
    let shown = seconds.saturating_add(offset.unwrap_or(0));
    date(shown.div_euclid(86_400), out);
    out.push(b'T');
    clock(shown.rem_euclid(86_400), out);
    fraction(nanoseconds, out);
    match (zone, offset) {
        (Zone::Local, _) => {}
        (Zone::Utc, _) | (Zone::Named(_), None) => out.push(b'Z'),
        (Zone::Named(_), Some(offset)) => {
            out.push(if offset < 0 { b'-' } else { b'+' });
            padded(offset.unsigned_abs() / 3_600, 2, out);
            out.push(b':');
            padded(offset.unsigned_abs() / 60 % 60, 2, out);
        }
    }
}

/// A length of time as ISO 8601 writes it, in seconds: `PT90.5S`.
fn length(value: i64, per_second: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let units = value.unsigned_abs();
    let per_second = per_second.unsigned_abs();
    out.extend_from_slice(b"PT");
    padded(units / per_second, 1, out);
    let nanoseconds = units % per_second * (1_000_000_000 / per_second);
    fraction(nanoseconds as i64, out);
    out.push(b'S');
}

/// How many units are a second.
pub(super) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}
