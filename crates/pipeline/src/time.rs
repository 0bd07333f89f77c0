//! Points in time as people write them in a pipeline file (RFC 3339).

use toml::value::{Datetime, Offset};

/// Nanoseconds since 1970 of a text such as `2025-01-31T00:00:00Z`; a missing time is midnight, a missing offset UTC.
/// None if it is not such a text, or outside what 64 bits hold (1677 to 2262).
pub(crate) fn nanoseconds(text: &str) -> Option<i64> {
    let time: Datetime = text.trim().parse().ok()?;
    let date = time.date?;
    let days = days(
        i64::from(date.year),
        i64::from(date.month),
        i64::from(date.day),
    );
    let (seconds, nanoseconds) = time.time.map_or((0, 0), |t| {
        let seconds =
            i64::from(t.hour) * 3600 + i64::from(t.minute) * 60 + i64::from(t.second.unwrap_or(0));
        (seconds, i64::from(t.nanosecond.unwrap_or(0)))
    });
    let minutes = match time.offset {
        Some(Offset::Custom { minutes }) => i64::from(minutes),
        Some(Offset::Z) | None => 0,
    };
    let total = i128::from(days * 86_400 + seconds - minutes * 60) * 1_000_000_000;
    i64::try_from(total + i128::from(nanoseconds)).ok()
}

/// Days from 1970-01-01 to a day of the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_nanoseconds() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-03-01", 951_868_800),
            ("2025-01-01T00:00:00+01:00", 1_735_686_000),
            ("1969-12-31T23:59:59Z", -1),
            ("2024-02-29 12:00:00", 1_709_208_000),
        ] {
            assert_eq!(nanoseconds(text), Some(seconds * 1_000_000_000), "{text}");
        }
        for text in ["", "soon", "12:00:00", "9999-01-01", "2025-13-01"] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
        assert_eq!(nanoseconds("1970-01-01T00:00:00.5Z"), Some(500_000_000));
    }
}
