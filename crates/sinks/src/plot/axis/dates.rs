//! Ticks of an axis of moments: at round times of day, days, months and years, in UTC.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, Utc};

use super::Tick;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A distance between ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// So many nanoseconds, a part of a day.
    Time(i64),
    Days(i64),
    Months(i32),
    Years(i32),
}

impl Step {
    /// Its length, about.
    fn length(self) -> f64 {
        match self {
            Self::Time(nanoseconds) => nanoseconds as f64,
            Self::Days(days) => days as f64 * DAY as f64,
            Self::Months(months) => f64::from(months) * 30.44 * DAY as f64,
            Self::Years(years) => f64::from(years) * 365.25 * DAY as f64,
        }
    }

    /// From short to long.
    fn all() -> Vec<Step> {
        let below = (0..9).flat_map(|e| [1, 2, 5].map(|digit| digit * 10i64.pow(e)));
        let mut steps: Vec<Step> = below.map(Self::Time).collect();
        let few = [1, 2, 5, 10, 15, 30];
        steps.extend(few.map(|n| Self::Time(n * SECOND)));
        steps.extend(few.map(|n| Self::Time(n * MINUTE)));
        steps.extend([1, 2, 3, 6, 12].map(|n| Self::Time(n * HOUR)));
        steps.extend([1, 2, 7, 14].map(Self::Days));
        steps.extend([1, 2, 3, 6].map(Self::Months));
        steps.extend([1, 2, 5, 10, 20, 50, 100].map(Self::Years));
        steps
    }
}

/// Ticks between two places, which are nanoseconds behind `origin`.
pub fn ticks(origin: i64, (from, to): (f64, f64), most: usize) -> Vec<Tick> {
    let fits = |step: &Step| (to - from) / step.length() <= most.max(1) as f64;
    let step = Step::all().into_iter().find(fits);
    let step = step.unwrap_or(Step::Years(200));
    // What lies beyond what nanoseconds can tell has no ticks.
    let at = |place: f64| origin.saturating_add(place as i64);
    let (low, high) = (at(from.ceil()), at(to.floor()));
    let moments = match step {
        Step::Time(step) => multiples(low, high, step),
        Step::Days(days) => dates(low, high, &first_day(low, days), |day| {
            day.checked_add_days(Days::new(days as u64))
        }),
        Step::Months(months) => dates(low, high, &first_month(low, months), |day| {
            day.checked_add_months(Months::new(months as u32))
        }),
        Step::Years(years) => dates(low, high, &first_month(low, 12 * years), |day| {
            day.checked_add_months(Months::new(12 * years as u32))
        }),
    };
    labelled(&moments, step, origin)
}

fn multiples(low: i64, high: i64, step: i64) -> Vec<i64> {
    let below = low.div_euclid(step) * step;
    let mut moments = Vec::new();
    let mut at = below;
    while at <= high {
        if at >= low {
            moments.push(at);
        }
        match at.checked_add(step) {
            Some(next) => at = next,
            None => break,
        }
    }
    moments
}

fn date(moment: i64) -> NaiveDate {
    moment_of(moment).date()
}

fn moment_of(moment: i64) -> NaiveDateTime {
    DateTime::<Utc>::from_timestamp_nanos(moment).naive_utc()
}

/// The last day of the row at or before a moment; weeks begin on Mondays.
fn first_day(moment: i64, days: i64) -> Option<NaiveDate> {
    // 1970-01-05 was a Monday.
    let monday = 4;
    let day = moment.div_euclid(DAY) - monday;
    let first = (day.div_euclid(days) * days + monday) * DAY;
    Some(date(first))
}

fn first_month(moment: i64, months: i32) -> Option<NaiveDate> {
    let day = date(moment);
    let month = day.year() * 12 + day.month0() as i32;
    let first = month.div_euclid(months) * months;
    NaiveDate::from_ymd_opt(first.div_euclid(12), first.rem_euclid(12) as u32 + 1, 1)
}

fn dates(
    low: i64,
    high: i64,
    first: &Option<NaiveDate>,
    next: impl Fn(NaiveDate) -> Option<NaiveDate>,
) -> Vec<i64> {
    let mut moments = Vec::new();
    let mut day = *first;
    while let Some(now) = day {
        let midnight = now.and_time(chrono::NaiveTime::MIN).and_utc();
        match midnight.timestamp_nanos_opt() {
            Some(at) if at > high => break,
            Some(at) if at >= low => moments.push(at),
            _ => {}
        }
        day = next(now);
    }
    moments
}

fn labelled(moments: &[i64], step: Step, origin: i64) -> Vec<Tick> {
    let mut before = None;
    let tick = |moment: &i64| {
        let time = moment_of(*moment);
        let at = (*moment as i128 - i128::from(origin)) as f64;
        let mut tick = Tick::new(at, time.format(&pattern(step)).to_string());
        let day = Some(time.date());
        if matches!(step, Step::Time(_)) && day != before {
            tick.below = Some(time.format("%Y-%m-%d").to_string());
        }
        before = day;
        tick
    };
    moments.iter().map(tick).collect()
}

fn pattern(step: Step) -> String {
    match step {
        Step::Time(step) if step % MINUTE == 0 => "%H:%M".into(),
        Step::Time(step) if step % SECOND == 0 => "%H:%M:%S".into(),
        Step::Time(step) if step % 1_000_000 == 0 => "%H:%M:%S%.3f".into(),
        Step::Time(step) if step % 1_000 == 0 => "%H:%M:%S%.6f".into(),
        Step::Time(_) => "%H:%M:%S%.9f".into(),
        Step::Days(_) => "%Y-%m-%d".into(),
        Step::Months(_) => "%Y-%m".into(),
        Step::Years(_) => "%Y".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> i64 {
        let time: DateTime<Utc> = text.parse().expect("a time");
        time.timestamp_nanos_opt().expect("in range")
    }

    fn labels(from: &str, to: &str, most: usize) -> String {
        let (origin, to) = (moment(from), moment(to));
        let found = ticks(origin, (0.0, (to - origin) as f64), most).into_iter();
        let both = found.map(|t| {
            let below = t.below.map(|day| format!(" [{day}]")).unwrap_or_default();
            format!("{}{below}", t.label.unwrap_or_default())
        });
        both.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn ticks_are_at_round_times() {
        for (from, to, expected) in [
            (
                "2025-01-01T00:00:00Z",
                "2025-01-01T00:00:04Z",
                "00:00:00 [2025-01-01], 00:00:01, 00:00:02, 00:00:03, 00:00:04",
            ),
            (
                "2025-01-01T22:10:00Z",
                "2025-01-02T03:00:00Z",
                "23:00 [2025-01-01], 00:00 [2025-01-02], 01:00, 02:00, 03:00",
            ),
            (
                "2025-01-01T00:00:00.0001Z",
                "2025-01-01T00:00:00.0004Z",
                "00:00:00.000100 [2025-01-01], 00:00:00.000200, 00:00:00.000300, 00:00:00.000400",
            ),
            (
                "2025-01-01T05:00:00Z",
                "2025-01-30T00:00:00Z",
                "2025-01-06, 2025-01-13, 2025-01-20, 2025-01-27",
            ),
            (
                "2024-11-20T00:00:00Z",
                "2025-03-15T00:00:00Z",
                "2024-12, 2025-01, 2025-02, 2025-03",
            ),
            (
                "1969-06-01T00:00:00Z",
                "1979-01-01T00:00:00Z",
                "1970, 1972, 1974, 1976, 1978",
            ),
        ] {
            assert_eq!(labels(from, to, 5), expected);
        }
    }

    #[test]
    fn the_ends_of_what_can_be_told_are_no_trouble() {
        let whole = ticks(0, (i64::MIN as f64, i64::MAX as f64), 6);
        assert!(whole.len() >= 3, "{whole:?}");
        ticks(i64::MAX, (0.0, 1e30), 6);
        ticks(i64::MIN, (-1e30, 0.0), 6);
    }
}
