//! Guessing the type of a column from texts.

use arrow_schema::{DataType, TimeUnit};

use crate::columns::{UTC, fits_integer, float_like, moment, timestamp_fits};

/// What the texts of a column have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Guess {
    integers: bool,
    /// Whole numbers past int64.
    huge: bool,
    floats: bool,
    booleans: bool,
    dates: bool,
    times: bool,
    zoned_times: bool,
    other: bool,
}

impl Guess {
    /// Looks at a text that stands for a value, in which a decimal comma may be used.
    pub(crate) fn see(&mut self, text: &[u8], comma: bool) {
        if self.other {
            return;
        }
        match fits_integer(text) {
            Some(true) => self.integers = true,
            Some(false) => self.huge = true,
            None if float_like(text, comma) => self.floats = true,
            None if text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"false") => {
                self.booleans = true;
            }
            None => self.see_time(text),
        }
    }

    /// Looks at a text that is a time or just text.
    pub(crate) fn see_time(&mut self, text: &[u8]) {
        match moment(text) {
            Some(moment) if moment.time.is_none() => self.dates = true,
            Some(moment) if !timestamp_fits(moment) => self.other = true,
            Some(moment) if moment.offset.is_some() => self.zoned_times = true,
            Some(_) => self.times = true,
            None => self.other = true,
        }
    }

    /// The narrowest type that fits; text if nothing was seen.
    pub(crate) fn data_type(self) -> DataType {
        let numbers = self.integers || self.huge || self.floats;
        let times = self.dates || self.times || self.zoned_times;
        let kinds = [numbers, self.booleans, times]
            .into_iter()
            .filter(|kind| *kind);
        if self.other || kinds.count() != 1 {
            return DataType::Utf8;
        }
        if numbers {
            return match (self.floats, self.huge) {
                (true, _) => DataType::Float64,
                // A float would lose digits that are there.
                (false, true) => DataType::Utf8,
                (false, false) => DataType::Int64,
            };
        }
        match (self.booleans, self.dates || self.times, self.zoned_times) {
            (true, ..) => DataType::Boolean,
            (_, false, true) => DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into())),
            (_, true, true) => DataType::Utf8,
            _ if self.times => DataType::Timestamp(TimeUnit::Nanosecond, None),
            _ => DataType::Date32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_fit_all_texts() {
        let time = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        for (texts, expected) in [
            (&[][..], DataType::Utf8),
            (&["1", "-2", "+3", "007"], DataType::Int64),
            (&["1", "2.5"], DataType::Float64),
            (&["1", "nan", "-Infinity", "1e9"], DataType::Float64),
            (&["9223372036854775807"], DataType::Int64),
            (&["1", "9223372036854775808"], DataType::Utf8),
            (&["1.5", "9223372036854775808"], DataType::Float64),
            (&["true", "FALSE"], DataType::Boolean),
            (&["true", "1"], DataType::Utf8),
            (&["2025-01-01"], DataType::Date32),
            (&["2025-01-01", "2025-01-01 12:00"], time),
            (&["2025-01-01T00:00:00Z", "2025-01-01 00:00:00+01:00"], utc),
            (
                &["2025-01-01T00:00:00Z", "2025-01-01 00:00:00"],
                DataType::Utf8,
            ),
            (&["9999-12-31 00:00:00"], DataType::Utf8),
            (&["9999-12-31"], DataType::Date32),
            (&["2025-01-01", "1"], DataType::Utf8),
            (&["1", "x"], DataType::Utf8),
        ] {
            let mut guess = Guess::default();
            for text in texts {
                guess.see(text.as_bytes(), false);
            }
            assert_eq!(guess.data_type(), expected, "{texts:?}");
        }
        let mut guess = Guess::default();
        guess.see(b"1,5", true);
        assert_eq!(guess.data_type(), DataType::Float64);
    }
}
