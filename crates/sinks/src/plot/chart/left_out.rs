//! What had no place in the picture, which its notes tell.

use serde::{Deserialize, Serialize};

use crate::plot::axis::{Scale, grouped};

/// How much was left out, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Values that are infinite or as good as.
    pub infinite: u64,
    /// Values that are not above zero, where only such have a place.
    pub not_positive: u64,
    /// Rows without a place along an axis.
    pub places: u64,
    /// Rows whose place is before that of the row before.
    pub back: u64,
    /// Rows without a list, or with one of another length.
    pub lists: u64,
    /// Intervals without an end, or without a number.
    pub intervals: u64,
}

impl LeftOut {
    /// A value that has no place on a scale. One that is missing leaves a gap, of which nothing is said.
    pub fn count(&mut self, scale: Scale, value: Option<f64>) {
        match value {
            None => {}
            Some(value) if value <= 0.0 && scale != Scale::Linear => self.not_positive += 1,
            Some(_) => self.infinite += 1,
        }
    }

    /// In words, one for each kind.
    pub fn notes(&self) -> Vec<String> {
        let kinds = [
            (self.infinite, "infinite value", "infinite values"),
            (
                self.not_positive,
                "value of 0 or below, which has no place on this axis",
                "values of 0 or below, which have no place on this axis",
            ),
            (
                self.places,
                "row without a place on an axis",
                "rows without a place on an axis",
            ),
            (
                self.back,
                "row whose place is before that of the row before it",
                "rows whose place is before that of the row before them",
            ),
            (
                self.lists,
                "row without a list of the length of the first",
                "rows without a list of the length of the first",
            ),
            (
                self.intervals,
                "interval without two ends and a number",
                "intervals without two ends and a number",
            ),
        ];
        let some = kinds.into_iter().filter(|(count, _, _)| *count > 0);
        some.map(|(count, one, many)| {
            let words = if count == 1 { one } else { many };
            format!("left out: {} {words}", grouped(&count.to_string()))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_say_how_many_and_why() {
        let mut left_out = LeftOut::default();
        assert!(left_out.notes().is_empty());
        left_out.count(Scale::Linear, None);
        left_out.count(Scale::Log, Some(0.0));
        for _ in 0..1_200 {
            left_out.count(Scale::Linear, Some(f64::NEG_INFINITY));
        }
        assert_eq!(
            left_out.notes(),
            [
                "left out: 1,200 infinite values",
                "left out: 1 value of 0 or below, which has no place on this axis",
            ]
        );
    }
}
