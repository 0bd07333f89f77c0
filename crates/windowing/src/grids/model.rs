//! The grids against a model that walks over all windows near an instant, one by one.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeZone};
use chrono_tz::Tz;
use dataflow_core::time::{END, Instant};
use dataflow_core::window::Grid;
use proptest::prelude::*;

use super::calendar::{Calendar, Step};
use super::clip;
use super::fixed::Fixed;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;

/// A window before it is cut off at the first and the last instant.
type Span = (i128, i128);

/// The start and end of each window; of those that end alike, the one that begins first.
fn known(spans: &[Span]) -> Vec<(Instant, Instant)> {
    let mut windows: Vec<(Instant, Instant)> = Vec::new();
    for (start, end) in spans {
        let end = clip(*end);
        if windows.last().is_none_or(|(_, last)| *last < end) {
            windows.push((clip(*start), end));
        }
    }
    windows
}

/// What must hold at an instant, given all windows around it in the order of their starts, and at least one on either side.
fn check(grid: &dyn Grid, time: Instant, spans: &[Span]) {
    let windows = known(spans);
    let at = i128::from(time);
    let holding = spans
        .iter()
        .filter(|(start, end)| *start <= at && at < *end);
    let ends: Vec<Instant> = holding.map(|(_, end)| clip(*end)).collect();
    let expected = ends.first().copied().zip(ends.last().copied());
    assert_eq!(grid.ends(time), expected, "{time} {grid:?}");
    for end in ends {
        assert!(grid.start(end) <= time, "{end} {grid:?}");
        assert!(time < end || end == END, "{end} {grid:?}");
    }
    for pair in windows.windows(2) {
        let [(_, end), (start, next)] = pair else {
            unreachable!()
        };
        assert_eq!(
            (grid.next(*end), grid.start(*next)),
            (*next, *start),
            "{end} {grid:?}"
        );
        assert!(end < next && grid.start(*end) <= *start, "{grid:?}");
    }
    assert_eq!(grid.next(END), END);
}

/// The windows of a fixed size around an instant.
fn fixed_spans(size: i64, every: i64, origin: i64, time: Instant) -> Vec<Span> {
    let [size, every, origin, time] = [size, every, origin, time].map(i128::from);
    let last = (time - origin).div_euclid(every);
    let before = size / every + 2;
    let spans = (last - before..=last + 2).map(|k| origin + k * every);
    spans.map(|start| (start, start + size)).collect()
}

/// When clocks first show a date or a later one, second by second.
fn first_shown(zone: Tz, date: NaiveDate) -> i128 {
    let shown = |second: i64| {
        let utc = DateTime::from_timestamp(second, 0)
            .expect("a time")
            .naive_utc();
        zone.from_utc_datetime(&utc).date_naive() >= date
    };
    let midnight = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
    // Clocks are less than 16 hours from UTC. Half a minute is shorter than any time for which a date was shown.
    let (mut from, until) = (midnight - 16 * 3_600, midnight + 16 * 3_600);
    assert!(!shown(from) && shown(until), "{zone} {date}");
    while !shown(from + 30) {
        from += 30;
    }
    let first = (from..=from + 30).find(|second| shown(*second));
    i128::from(first.expect("it is shown")) * i128::from(SECOND)
}

fn epoch() -> NaiveDate {
    NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date")
}

/// The date that is so many days or months later.
fn later(date: NaiveDate, unit: Step, count: i64) -> NaiveDate {
    let many = count.unsigned_abs();
    let moved = match (unit, count < 0) {
        (Step::Day, false) => date.checked_add_days(Days::new(many)),
        (Step::Day, true) => date.checked_sub_days(Days::new(many)),
        (Step::Month, false) => date.checked_add_months(Months::new(many as u32)),
        (Step::Month, true) => date.checked_sub_months(Months::new(many as u32)),
    };
    moved.expect("a date")
}

/// The windows of a calendar around an instant, by walking over dates.
fn calendar_spans(calendar: &Calendar, time: Instant) -> Vec<Span> {
    let Calendar {
        zone,
        unit,
        size,
        every,
        origin,
        offset,
    } = *calendar;
    let shifted = i128::from(time) - i128::from(offset);
    let utc = DateTime::from_timestamp(shifted.div_euclid(i128::from(SECOND)) as i64, 0);
    let today = utc.expect("a time").with_timezone(&zone).date_naive();
    let mut date = match unit {
        Step::Day => today,
        Step::Month => today.with_day(1).expect("a date"),
    };
    let number = |date: NaiveDate| match unit {
        Step::Day => date.signed_duration_since(epoch()).num_days(),
        Step::Month => i64::from(date.year() - 1970) * 12 + i64::from(date.month0()),
    };
    let until = later(date, unit, 2 * every + 2);
    date = later(date, unit, -(size + 2 * every + 2));
    let mut spans = Vec::new();
    while date <= until {
        if (number(date) - origin).rem_euclid(every) == 0 {
            let start = first_shown(zone, date) + i128::from(offset);
            let end = first_shown(zone, later(date, unit, size)) + i128::from(offset);
            spans.push((start, end));
        }
        date = later(date, unit, 1);
    }
    // The earliest one may end like one before it that was not walked over.
    spans.split_off(1)
}

const ZONES: [Tz; 14] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::Europe__London,
    Tz::America__New_York,
    Tz::America__Sao_Paulo,
    Tz::America__St_Johns,
    Tz::America__Juneau,
    Tz::Asia__Beirut,
    Tz::Asia__Kathmandu,
    Tz::Asia__Manila,
    Tz::Africa__Cairo,
    Tz::Pacific__Apia,
    Tz::Pacific__Kwajalein,
    Tz::Australia__Lord_Howe,
];

/// A day after which clocks changed in some zone, or any day.
fn days() -> impl Strategy<Value = i64> {
    let changes: Vec<i64> = [
        (2018, 11, 4),
        (2018, 2, 18),
        (2010, 11, 7),
        (2011, 12, 30),
        (1993, 8, 21),
        (1867, 10, 18),
        (1844, 12, 31),
        (2025, 3, 30),
        (2025, 10, 26),
        (2025, 3, 9),
        (2025, 11, 2),
        (2024, 3, 31),
        (2023, 4, 28),
        (1986, 1, 1),
    ]
    .into_iter()
    .map(|(year, month, day)| {
        let date = NaiveDate::from_ymd_opt(year, month, day).expect("a date");
        date.signed_duration_since(epoch()).num_days()
    })
    .collect();
    prop_oneof![
        2 => (proptest::sample::select(changes), -3..3_i64).prop_map(|(day, off)| day + off),
        1 => -3_650..36_500_i64,
        1 => -106_000..106_000_i64,
    ]
}

fn calendars() -> impl Strategy<Value = Calendar> {
    let units = prop_oneof![
        (Just(Step::Day), 1..12_i64, 1..12_i64, Just(0)),
        (Just(Step::Day), 1..40_i64, 1..3_i64, Just(0)),
        (
            Just(Step::Day),
            1..4_i64,
            (1..4_i64).prop_map(|weeks| 7 * weeks),
            Just(super::MONDAY)
        ),
        (Just(Step::Month), 1..14_i64, 1..14_i64, Just(0)),
    ];
    let offsets = prop_oneof![
        3 => Just(0),
        1 => -30 * HOUR..30 * HOUR,
        1 => (-800..800_i64).prop_map(|days| days * 24 * HOUR),
    ];
    let zones = proptest::sample::select(ZONES.to_vec());
    (zones, units, any::<bool>(), offsets).prop_map(
        |(zone, (unit, size, every, origin), equal, offset)| Calendar {
            zone,
            unit,
            size: if equal { every } else { size },
            every,
            origin,
            offset,
        },
    )
}

/// Instants of which many are near the ends of all instants and near 1970.
fn instants() -> impl Strategy<Value = Instant> {
    prop_oneof![
        any::<i64>(),
        -1_000..1_000_i64,
        (0..1_000_i64).prop_map(|near| i64::MAX - near),
        (0..1_000_i64).prop_map(|near| i64::MIN + near),
        (-60_000..60_000_i64).prop_map(|hours| hours * HOUR),
    ]
}

fn lengths() -> impl Strategy<Value = i64> {
    prop_oneof![
        1..100_i64,
        (1..100_i64).prop_map(|minutes| minutes * 60 * SECOND),
        1..=i64::MAX,
        (0..100_i64).prop_map(|near| i64::MAX - near),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn fixed_windows_are_those_of_the_model(
        time in instants(),
        every in lengths(),
        (parts, more) in (0..40_i64, any::<i64>()),
        origin in any::<i64>(),
        near in proptest::option::of(-2..3_i64),
    ) {
        let size = every.saturating_mul(parts).saturating_add(more.rem_euclid(every)).max(1);
        let grid = Fixed::new(size, every, i128::from(origin)).expect("it advances");
        let mut at = vec![time];
        if let Some(near) = near {
            // Exactly at a start, at an end, and beside them.
            let next = grid.next(time);
            at.extend([grid.start(next).saturating_add(near), next.saturating_add(near)]);
        }
        for time in at {
            check(&grid, time, &fixed_spans(size, every, origin, time));
        }
        prop_assert_eq!(grid.overlaps(), size > every);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn windows_of_a_calendar_are_those_of_the_model(
        calendar in calendars(),
        day in days(),
        hours in -30..30_i64,
        beside in -1..2_i64,
        snap in any::<bool>(),
    ) {
        let mut time = (day * 24 + hours) * HOUR + beside;
        if snap {
            time = calendar.start(calendar.next(time)).saturating_add(beside);
        }
        check(&calendar, time, &calendar_spans(&calendar, time));
    }

    #[test]
    fn a_calendar_ends_with_the_instants(
        calendar in calendars(),
        time in instants(),
    ) {
        check(&calendar, time, &calendar_spans(&calendar, time));
    }

    #[test]
    fn any_size_at_any_time_is_a_window(
        (mut calendar, size, every) in (calendars(), 1..12_000_i64, 1..12_000_i64),
        (time, offset) in (instants(), any::<i64>()),
    ) {
        calendar = Calendar { size, every, offset, ..calendar };
        if let Some((first, last)) = calendar.ends(time) {
            prop_assert!(first <= last && calendar.start(last) <= time);
            prop_assert!(time < first || first == END);
        }
        let next = calendar.next(time);
        prop_assert!(next > time || next == END);
        prop_assert!(calendar.start(next) <= next);
    }
}
