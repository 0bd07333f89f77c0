//! Dates and times as people and programs mostly write them (ISO 8601, RFC 3339, and with a space).

/// A date, perhaps with a time of day, perhaps with an offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Days since 1970.
    pub(crate) days: i32,
    /// The time of day, if one is written.
    pub(crate) time: Option<Clock>,
    /// Seconds east of UTC, if that is written.
    pub(crate) offset: Option<i32>,
}

/// A time of day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Seconds since midnight; a leap second is the next minute's first.
    pub(crate) seconds: i32,
    /// Nanoseconds in the second.
    pub(crate) nanoseconds: u32,
}

fn two(text: &[u8], at: usize) -> Option<i32> {
    let (tens, ones) = (
        text.get(at)?.wrapping_sub(b'0'),
        text.get(at + 1)?.wrapping_sub(b'0'),
    );
    (tens < 10 && ones < 10).then(|| i32::from(tens * 10 + ones))
}

/// Days since 1970 of a date (Hinnant, "chrono-compatible low-level date algorithms", 2013), if there is such a day.
pub(super) fn days(year: i32, month: i32, day: i32) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March here, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some(era * 146_097 + of_days - 719_468)
}

/// `YYYY-MM-DD`, then perhaps `T` or a space and `HH:MM[:SS[.f]]`, then perhaps `Z`, `UTC` or an offset.
pub(crate) fn moment(text: &[u8]) -> Option<Moment> {
    if text.len() < 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let year = two(text, 0)? * 100 + two(text, 2)?;
    let days = days(year, two(text, 5)?, two(text, 8)?)?;
    let (time, offset) = match text.get(10) {
        None => (None, None),
        Some(b'T' | b't' | b' ') => {
            let (clock, rest) = clock(&text[11..])?;
            (Some(clock), offset(rest)?)
        }
        Some(_) => return None,
    };
    Some(Moment { days, time, offset })
}

/// `HH:MM[:SS[.f]]` and what follows it.
pub(super) fn clock(text: &[u8]) -> Option<(Clock, &[u8])> {
    let (hours, minutes) = (two(text, 0)?, two(text, 3)?);
    if text[2] != b':' || hours > 23 || minutes > 59 {
        return None;
    }
    let mut clock = Clock {
        seconds: hours * 3600 + minutes * 60,
        nanoseconds: 0,
    };
    if text.get(5) != Some(&b':') {
        return Some((clock, &text[5..]));
    }
    let seconds = two(text, 6)?;
    if seconds > 60 {
        return None;
    }
    clock.seconds += seconds;
    let rest = &text[8..];
    let [b'.' | b',', digits @ ..] = rest else {
        return Some((clock, rest));
    };
    let length = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let zeros = std::iter::repeat(&b'0');
    for digit in digits[..length].iter().chain(zeros).take(9) {
        clock.nanoseconds = clock.nanoseconds * 10 + u32::from(digit - b'0');
    }
    Some((clock, &digits[length..]))
}

/// Nothing, `Z`, `UTC`, `+HH`, `+HHMM` or `+HH:MM`, perhaps behind a space. An offset may be followed by the name of its
/// zone, as Go prints times (`+0200 CEST`); the offset counts.
fn offset(text: &[u8]) -> Option<Option<i32>> {
    let text = match text {
        [] => return Some(None),
        [b' ', rest @ ..] => rest,
        text => text,
    };
    let text = match text.iter().position(|byte| *byte == b' ') {
        Some(at) if !matches!(text[0], b'+' | b'-') || !is_zone_name(&text[at + 1..]) => {
            return None;
        }
        Some(at) => &text[..at],
        None => text,
    };
    let (negative, digits) = match text {
        b"Z" | b"z" | b"UTC" => return Some(Some(0)),
        [b'+', digits @ ..] => (false, digits),
        [b'-', digits @ ..] => (true, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (two(digits, 0)?, 0),
        4 => (two(digits, 0)?, two(digits, 2)?),
        5 if digits[2] == b':' => (two(digits, 0)?, two(digits, 3)?),
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    Some(Some(if negative { -seconds } else { seconds }))
}

fn is_zone_name(text: &[u8]) -> bool {
    (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_uppercase)
}
