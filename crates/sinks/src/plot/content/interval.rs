//! What is kept of a line in an interval of x.

use super::buckets::Merge;
use crate::plot::paint::scene::At;

/// What an interval of x holds of a line. Points are in the places of both axes; NaN where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    pub first: At,
    pub low: At,
    pub high: At,
    pub last: At,
    /// The least and the greatest of those that are marked.
    pub marks: [At; 2],
}

const NOWHERE: At = (f64::NAN, f64::NAN);

/// One in which there is nothing: a line has a gap there.
pub const EMPTY: Interval = Interval {
    first: NOWHERE,
    low: NOWHERE,
    high: NOWHERE,
    last: NOWHERE,
    marks: [NOWHERE; 2],
};

/// Whether one of two points comes before the other in an order; one that is nowhere does not.
fn better(one: At, other: At, before: impl Fn(At, At) -> bool) -> At {
    if other.0.is_nan() || (!one.0.is_nan() && !before(other, one)) {
        one
    } else {
        other
    }
}

/// The order of values; of equal ones the lower x is first.
fn lower(a: At, b: At) -> bool {
    a.1 < b.1 || (a.1 == b.1 && a.0 < b.0)
}

fn higher(a: At, b: At) -> bool {
    a.1 > b.1 || (a.1 == b.1 && a.0 < b.0)
}

impl Interval {
    /// Takes a point behind all others: what merging it would do, in less time.
    pub fn add(&mut self, point: At, marked: bool) {
        if self.first.0.is_nan() {
            (self.first, self.low, self.high, self.last) = (point, point, point, point);
        }
        if point.0 < self.first.0 {
            self.first = point;
        }
        if point.0 >= self.last.0 {
            self.last = point;
        }
        if lower(point, self.low) {
            self.low = point;
        }
        if higher(point, self.high) {
            self.high = point;
        }
        if marked {
            self.marks[0] = better(self.marks[0], point, lower);
            self.marks[1] = better(self.marks[1], point, higher);
        }
    }

    /// In the order of x; of points with the same x and y it does not matter which one it is.
    pub fn points(&self) -> Vec<At> {
        let mut points = vec![self.first];
        let inner = match self.low.0 <= self.high.0 {
            true => [self.low, self.high],
            false => [self.high, self.low],
        };
        for point in inner.into_iter().chain([self.last]) {
            if points.last() != Some(&point) {
                points.push(point);
            }
        }
        points
    }
}

impl Merge for Interval {
    /// Of equals the one that is there already stays: it has the lower x, or came first. Only of those with the highest x the last stays.
    fn merge(&mut self, above: Self) {
        self.first = better(self.first, above.first, |a, b| a.0 < b.0);
        self.last = better(self.last, above.last, |a, b| a.0 >= b.0);
        self.low = better(self.low, above.low, lower);
        self.high = better(self.high, above.high, higher);
        self.marks[0] = better(self.marks[0], above.marks[0], lower);
        self.marks[1] = better(self.marks[1], above.marks[1], higher);
    }
}

/// Numbers of intervals are below two to the 53rd, so floats hold them.
pub fn as_numbers(line: usize, at: i64, held: &Interval) -> [f64; 14] {
    let [low, high] = held.marks;
    let points = [held.first, held.low, held.high, held.last, low, high];
    let mut row = [line as f64; 14];
    row[1] = at as f64;
    for (i, (x, y)) in points.into_iter().enumerate() {
        (row[2 + 2 * i], row[3 + 2 * i]) = (x, y);
    }
    row
}

pub fn of_numbers(row: &[f64; 14]) -> Interval {
    let point = |i: usize| (row[2 + 2 * i], row[3 + 2 * i]);
    Interval {
        first: point(0),
        low: point(1),
        high: point(2),
        last: point(3),
        marks: [point(4), point(5)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_are_added_and_intervals_that_are_merged_are_the_same() {
        let value = |i: usize| ((i * 7_919) % 13) as f64;
        let points: Vec<At> = (0..200).map(|i| (value(3 * i), value(i + 5))).collect();
        let filled = |points: &[At]| {
            let mut interval = EMPTY;
            for (i, point) in points.iter().enumerate() {
                interval.add(*point, i.is_multiple_of(3));
            }
            interval
        };
        let alone = |i: usize| {
            let mut interval = EMPTY;
            interval.add(points[i], i.is_multiple_of(3));
            interval
        };
        let mut merged = EMPTY;
        (0..200).for_each(|i| merged.merge(alone(i)));
        let (added, merged) = (filled(&points), as_numbers(0, 0, &merged));
        assert_eq!(as_numbers(0, 0, &added), merged);
        assert_eq!(as_numbers(0, 0, &of_numbers(&merged)), merged);
        assert_eq!((added.low.1, added.high.1), (0.0, 12.0));
    }

    #[test]
    fn points_come_in_the_order_of_x_and_once() {
        let mut interval = EMPTY;
        for point in [(1.0, 5.0), (2.0, 9.0), (3.0, 1.0), (4.0, 1.0)] {
            interval.add(point, false);
        }
        let expected = [(1.0, 5.0), (2.0, 9.0), (3.0, 1.0), (4.0, 1.0)];
        assert_eq!(interval.points(), expected);
        let mut one = EMPTY;
        one.add((1.0, 5.0), false);
        assert_eq!(one.points(), [(1.0, 5.0)]);
    }
}
