//! Dates, times of day and timestamps from text.

use std::str::FromStr;

use arrow_array::timezone::Tz;
use arrow_array::types::*;
use arrow_schema::{DataType, TimeUnit};
use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset, TimeZone, Timelike, Utc};

use super::moment::{Clock, Moment, clock, moment};
use super::primitive::{Parse, Primitive};
use super::{Column, Style};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// How times are written in a column: a format of `chrono`'s `strftime` kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    items: Vec<Item<'static>>,
}

impl Layout {
    /// Reads the format; none if it is not one.
    pub(crate) fn new(format: &str) -> Option<Self> {
        let items = StrftimeItems::new(format).parse_to_owned().ok()?;
        Some(Self { items })
    }

    fn parsed(&self, text: &[u8]) -> Option<Parsed> {
        let text = std::str::from_utf8(text).ok()?;
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, self.items.iter()).ok()?;
        Some(parsed)
    }

    /// A layout of one part that `strftime` has no letter for.
    pub(crate) fn of(item: Item<'static>) -> Self {
        Self { items: vec![item] }
    }

    /// The moment that a text means.
    pub(crate) fn moment(&self, text: &[u8]) -> Option<Moment> {
        let parsed = self.parsed(text)?;
        let offset = parsed.offset().is_some() || parsed.timestamp().is_some();
        if let Ok(time) = parsed.to_naive_datetime_with_offset(parsed.offset().unwrap_or(0)) {
            return Some(Moment {
                days: days_of(time.date())?,
                time: Some(clock_of(&time.time())),
                offset: offset.then(|| parsed.offset().unwrap_or(0)),
            });
        }
        Some(Moment {
            days: days_of(parsed.to_naive_date().ok()?)?,
            time: None,
            offset: None,
        })
    }

    fn clock(&self, text: &[u8]) -> Option<Clock> {
        let time = self.parsed(text)?.to_naive_time().ok()?;
        Some(clock_of(&time))
    }

    /// A moment in this layout.
    pub(crate) fn written(&self, time: DateTime<Utc>) -> String {
        let mut text = String::new();
        let sample = time.format_with_items(self.items.iter());
        // Fails where an item is none that can be written; then the text is cut off there.
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{sample}"));
        text
    }

    /// The type that such texts have, going by what the format mentions.
    pub(crate) fn data_type(&self) -> DataType {
        // A moment with everything in it, written and read back, tells which parts the format keeps.
        let text = self.written(DateTime::UNIX_EPOCH);
        match self.moment(text.as_bytes()) {
            Some(Moment {
                time: Some(_),
                offset,
                ..
            }) => DataType::Timestamp(
                TimeUnit::Nanosecond,
                offset.map(|_| crate::columns::UTC.into()),
            ),
            Some(_) => DataType::Date32,
            None if self.clock(text.as_bytes()).is_some() => DataType::Time64(TimeUnit::Nanosecond),
            None => DataType::Utf8,
        }
    }
}

fn days_of(date: NaiveDate) -> Option<i32> {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    i32::try_from(date.signed_duration_since(epoch).num_days()).ok()
}

fn clock_of(time: &impl Timelike) -> Clock {
    // A leap second is written as more than a second's nanoseconds.
    let leap = time.nanosecond() / 1_000_000_000;
    Clock {
        seconds: (time.num_seconds_from_midnight() + leap) as i32,
        nanoseconds: time.nanosecond() % 1_000_000_000,
    }
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

struct Timestamps<T> {
    unit: i64,
    zone: Option<std::sync::Arc<str>>,
    /// The zone that texts without an offset are in, unless that is UTC.
    local: Option<Tz>,
    layout: Option<Layout>,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T: ArrowTimestampType> Timestamps<T> {
    fn count(&self, moment: Moment) -> Option<i64> {
        let clock = moment.time.unwrap_or_default();
        let seconds = i64::from(moment.days) * DAY + i64::from(clock.seconds);
        let offset = match (moment.offset, &self.local) {
            (Some(offset), _) => offset,
            (None, None) => 0,
            (None, Some(zone)) => local_offset(zone, seconds)?,
        };
        counted(seconds - i64::from(offset), clock.nanoseconds, self.unit)
    }
}

/// Seconds since 1970 and the nanoseconds behind them in units of which a second has so many, if 64 bits can count them.
#[inline]
pub(crate) fn counted(seconds: i64, nanoseconds: u32, per_second: i64) -> Option<i64> {
    let fraction = i64::from(nanoseconds) / (1_000_000_000 / per_second);
    match seconds.checked_mul(per_second) {
        Some(count) => count.checked_add(fraction),
        // The first second that nanoseconds reach is not whole.
        None => (seconds + 1)
            .checked_mul(per_second)?
            .checked_add(fraction - per_second),
    }
}

/// The offset at a local time; the earlier one where clocks are set back, none where they skip it.
pub(crate) fn local_offset(zone: &Tz, seconds: i64) -> Option<i32> {
    let local: NaiveDateTime = DateTime::from_timestamp(seconds, 0)?.naive_utc();
    let offset = zone.offset_from_local_datetime(&local).earliest()?;
    Some(offset.fix().local_minus_utc())
}

impl<T: ArrowTimestampType> Parse for Timestamps<T> {
    type Arrow = T;
    const REASON: &'static str = "time";

    #[inline]
    fn parse(&self, text: &[u8]) -> Option<i64> {
        let moment = match &self.layout {
            None => moment(text)?,
            Some(layout) => layout.moment(text)?,
        };
        self.count(moment)
    }

    fn data_type(&self) -> DataType {
        DataType::Timestamp(T::UNIT, self.zone.clone())
    }

    fn expected(&self) -> String {
        let written = match &self.layout {
            None => "such as 2025-01-31T12:00:00Z",
            Some(_) => "in the declared format",
        };
        format!("a time {written} that fits the column's type")
    }
}

/// Whether the moment lies in the years that event time can count.
pub(crate) fn timestamp_fits(moment: Moment) -> bool {
    let seconds = moment.time.map_or(0, |clock| i64::from(clock.seconds));
    let seconds = i64::from(moment.days) * DAY + seconds - i64::from(moment.offset.unwrap_or(0));
    seconds.unsigned_abs() < (i64::MAX / 1_000_000_000) as u64
}

struct Dates {
    layout: Option<Layout>,
}

impl Parse for Dates {
    type Arrow = Date32Type;
    const REASON: &'static str = "time";

    fn parse(&self, text: &[u8]) -> Option<i32> {
        let moment = match &self.layout {
            None => moment(text)?,
            Some(layout) => layout.moment(text)?,
        };
        // Midnight is how some programs write dates.
        let midnight = moment.time.is_none_or(|time| time == Clock::default());
        (midnight && moment.offset.is_none()).then_some(moment.days)
    }

    fn expected(&self) -> String {
        match self.layout {
            None => "a date such as 2025-01-31".to_string(),
            Some(_) => "a date in the declared format".to_string(),
        }
    }
}

struct Clocks<T> {
    unit: i64,
    layout: Option<Layout>,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T> Parse for Clocks<T>
where
    T: ArrowTemporalType,
    T::Native: TryFrom<i64>,
{
    type Arrow = T;
    const REASON: &'static str = "time";

    fn parse(&self, text: &[u8]) -> Option<T::Native> {
        let clock = match &self.layout {
            None => match clock(text)? {
                (clock, []) => clock,
                _ => return None,
            },
            Some(layout) => layout.clock(text)?,
        };
        let fraction = i64::from(clock.nanoseconds) / (1_000_000_000 / self.unit);
        T::Native::try_from(i64::from(clock.seconds) * self.unit + fraction).ok()
    }

    fn expected(&self) -> String {
        "a time of day such as 12:00:00".to_string()
    }
}

/// A builder for a column of dates or times.
pub(super) fn column(data_type: &DataType, style: Style<'_>) -> Option<Box<dyn Column>> {
    let layout = style.layout.cloned();
    fn clocks<T>(unit: TimeUnit, layout: Option<Layout>) -> Box<dyn Column>
    where
        T: ArrowTemporalType,
        T::Native: TryFrom<i64>,
    {
        Primitive::boxed(Clocks::<T> {
            unit: per_second(unit),
            layout,
            of: std::marker::PhantomData,
        })
    }
    Some(match data_type {
        DataType::Date32 => Primitive::boxed(Dates { layout }),
        DataType::Time32(unit @ TimeUnit::Second) => clocks::<Time32SecondType>(*unit, layout),
        DataType::Time32(unit @ TimeUnit::Millisecond) => {
            clocks::<Time32MillisecondType>(*unit, layout)
        }
        DataType::Time64(unit @ TimeUnit::Microsecond) => {
            clocks::<Time64MicrosecondType>(*unit, layout)
        }
        DataType::Time64(unit @ TimeUnit::Nanosecond) => {
            clocks::<Time64NanosecondType>(*unit, layout)
        }
        DataType::Timestamp(unit, zone) => return timestamps(*unit, zone.clone(), layout),
        _ => return None,
    })
}

fn timestamps(
    unit: TimeUnit,
    zone: Option<std::sync::Arc<str>>,
    layout: Option<Layout>,
) -> Option<Box<dyn Column>> {
    fn of<T: ArrowTimestampType>(
        zone: Option<std::sync::Arc<str>>,
        local: Option<Tz>,
        layout: Option<Layout>,
    ) -> Box<dyn Column> {
        Primitive::boxed(Timestamps::<T> {
            unit: per_second(T::UNIT),
            zone,
            local,
            layout,
            of: std::marker::PhantomData,
        })
    }
    let local = match zone.as_deref() {
        None | Some("UTC" | "Z" | "+00:00" | "Etc/UTC") => None,
        Some(name) => Some(Tz::from_str(name).ok()?),
    };
    Some(match unit {
        TimeUnit::Second => of::<TimestampSecondType>(zone, local, layout),
        TimeUnit::Millisecond => of::<TimestampMillisecondType>(zone, local, layout),
        TimeUnit::Microsecond => of::<TimestampMicrosecondType>(zone, local, layout),
        TimeUnit::Nanosecond => of::<TimestampNanosecondType>(zone, local, layout),
    })
}

#[cfg(test)]
mod tests {
    use super::super::moment::days;
    use super::*;
    use proptest::prelude::*;

    fn nanoseconds(text: &str) -> Option<i64> {
        let column = Timestamps::<TimestampNanosecondType> {
            unit: 1_000_000_000,
            zone: None,
            local: None,
            layout: None,
            of: std::marker::PhantomData,
        };
        column.parse(text.as_bytes())
    }

    #[test]
    fn times_as_people_write_them() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1970-01-02T00:00:00Z", Some(86_400_000_000_000)),
            ("1970-01-01 00:00:01.5", Some(1_500_000_000)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1970-01-01 00:00 -0030", Some(1_800_000_000_000)),
            ("1970-01-01 00:00:00 UTC", Some(0)),
            ("1970-01-01 02:00:00 +0200 CEST", Some(0)),
            ("1970-01-01 02:00:00 Z CEST", None),
            ("1970-01-01 02:00:00 UTC CEST", None),
            ("1970-01-01 02:00:00 +0200 cest", None),
            ("1970-01-01 02:00:00 +0200 ", None),
            ("1970-01-01T00:00:00.1234567899Z", Some(123_456_789)),
            ("1969-12-31T23:59:60Z", Some(0)),
            ("2262-04-11T23:47:16.854775807Z", Some(i64::MAX)),
            ("2262-04-11T23:47:16.854775808Z", None),
            ("1677-09-21T00:12:43.145224192Z", Some(i64::MIN)),
            ("1677-09-21T00:12:43.145224191Z", None),
            ("2025-02-29", None),
            ("2025-01-01T24:00:00", None),
            ("2025-01-01T", None),
            ("2025-01-01T00:00:00.", None),
            ("2025-1-1", None),
            ("2025-01-01x", None),
            ("2025-01-01T00:00:00+1", None),
        ] {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }

    #[test]
    fn zones_that_clocks_jump_in() {
        let zone = Tz::from_str("Europe/Berlin").expect("a zone");
        let at = |text: &str| {
            let moment = moment(text.as_bytes()).expect("a time");
            let clock = moment.time.expect("a clock");
            local_offset(
                &zone,
                i64::from(moment.days) * DAY + i64::from(clock.seconds),
            )
        };
        assert_eq!(at("2025-01-01 12:00"), Some(3600));
        assert_eq!(at("2025-10-26 02:30"), Some(7200));
        assert_eq!(at("2025-03-30 02:30"), None);
    }

    #[test]
    fn formats_tell_their_type() {
        let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let local = DataType::Timestamp(TimeUnit::Nanosecond, None);
        for (format, text, data_type, expected) in [
            (
                "%d.%m.%Y",
                "31.12.1970",
                DataType::Date32,
                (364, None, None),
            ),
            (
                "%d/%m/%Y %H:%M",
                "01/01/1970 01:00",
                local,
                (0, Some(3600), None),
            ),
            (
                "%Y%m%dT%H%M%S%z",
                "19700101T000000+0100",
                utc.clone(),
                (0, Some(0), Some(3600)),
            ),
            ("%s", "86401", utc, (1, Some(1), Some(0))),
        ] {
            let layout = Layout::new(format).expect(format);
            assert_eq!(layout.data_type(), data_type, "{format}");
            let moment = layout.moment(text.as_bytes()).expect(text);
            let seconds = moment.time.map(|clock| clock.seconds);
            assert_eq!((moment.days, seconds, moment.offset), expected, "{format}");
        }
        assert_eq!(
            Layout::new("%H:%M:%S").map(|l| l.data_type()),
            Some(DataType::Time64(TimeUnit::Nanosecond))
        );
        assert!(Layout::new("%Q").is_none());
    }

    proptest! {
        #[test]
        fn days_agree_with_chrono(year in 0..10_000_i32, month in 0..14_i32, day in 0..33_i32) {
            let reference = NaiveDate::from_ymd_opt(year, month as u32, day as u32).and_then(days_of);
            prop_assert_eq!(days(year, month, day), reference);
        }

        #[test]
        fn any_text_is_a_time_or_not(text in "[0-9TZ:+. -]{0,40}") {
            let _ = nanoseconds(&text);
        }
    }
}
