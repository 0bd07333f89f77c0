//! A row's place: where it stands in its source, packed into one number whose order is the source's order.

use std::ops::Range;

use arrow_array::UInt64Array;
use arrow_buffer::ScalarBuffer;

use crate::{Error, Result};

const ROW_BITS: u32 = 38;
const SPLIT_BITS: u32 = 20;
const LANE_BITS: u32 = 6;

/// Where a row stands: the lane (which input of a union), the split (which file, by sorted path) and the row in it.
///
/// Packed as 6, 20 and 38 bits, so that comparing two places as numbers compares (lane, split, row).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place(pub u64);

impl Place {
    /// The most splits that one source may have.
    pub const MAX_SPLITS: u64 = 1 << SPLIT_BITS;
    /// The most rows that one split may have.
    pub const MAX_ROWS: u64 = 1 << ROW_BITS;

    /// The place of row `row` (from 0) in split `split`, in lane 0.
    ///
    /// # Errors
    /// When either number is past what a place can hold; the message says which.
    pub fn new(split: u32, row: u64) -> Result<Self> {
        if u64::from(split) >= Self::MAX_SPLITS {
            return Err(
                Error::data(format!("a source has more than {} files", Self::MAX_SPLITS))
                    .help("read them in several runs, or as several sources"),
            );
        }
        if row >= Self::MAX_ROWS {
            return Err(
                Error::data(format!("a file has more than {} rows", Self::MAX_ROWS))
                    .help("cut the file into several"),
            );
        }
        Ok(Self((u64::from(split) << ROW_BITS) | row))
    }

    /// The split's number.
    pub fn split(self) -> u32 {
        ((self.0 >> ROW_BITS) & (Self::MAX_SPLITS - 1)) as u32
    }

    /// The row's number in its split, from 0.
    pub fn row(self) -> u64 {
        self.0 & (Self::MAX_ROWS - 1)
    }

    /// The lane: which input of a union the row came through.
    pub fn lane(self) -> u32 {
        (self.0 >> (ROW_BITS + SPLIT_BITS)) as u32
    }

    /// The same place in another lane (only its low six bits count).
    pub fn in_lane(self, lane: u32) -> Self {
        let low = self.0 & ((1 << (ROW_BITS + SPLIT_BITS)) - 1);
        let lane = u64::from(lane) & ((1 << LANE_BITS) - 1);
        Self((lane << (ROW_BITS + SPLIT_BITS)) | low)
    }
}

/// The places of a batch's rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Places {
    /// Nobody downstream asked, or the rows are results that have no place of their own.
    Unknown,
    /// Row `i` is at `first + i`.
    From(Place),
    /// Row `i` is at the `i`-th.
    Each(ScalarBuffer<u64>),
}

impl Places {
    /// The place of row `row` of the batch, if it is known.
    pub fn get(&self, row: usize) -> Option<Place> {
        match self {
            Self::Unknown => None,
            Self::From(first) => Some(Place(first.0 + row as u64)),
            Self::Each(each) => each.get(row).copied().map(Place),
        }
    }

    /// How many of `rows` rows in ascending order stand before a place; all of them where that is not known.
    pub fn before(&self, place: Place, rows: usize) -> usize {
        match self {
            Self::Unknown => rows,
            Self::From(first) => (place.0.saturating_sub(first.0) as usize).min(rows),
            Self::Each(each) => each.partition_point(|each| *each < place.0),
        }
    }

    /// The stretches of rows whose places follow one another, each with the place of its first row; none where places are not known.
    pub fn stretches(&self, rows: usize) -> Option<Vec<(Place, Range<usize>)>> {
        let each = match self {
            Self::Unknown => return None,
            Self::From(_) if rows == 0 => return Some(Vec::new()),
            Self::From(first) => return Some(vec![(*first, 0..rows)]),
            Self::Each(each) => each,
        };
        let mut list = Vec::new();
        let mut from = 0;
        for row in 1..=each.len() {
            if row == each.len() || each[row] != each[row - 1] + 1 {
                list.push((Place(each[from]), from..row));
                from = row;
            }
        }
        Some(list)
    }

    /// The places as numbers, one per row.
    pub fn numbers(&self, rows: usize) -> Option<UInt64Array> {
        match self {
            Self::Unknown => None,
            Self::From(first) => Some((first.0..first.0 + rows as u64).collect::<Vec<_>>().into()),
            Self::Each(each) => Some(UInt64Array::new(each.clone(), None)),
        }
    }

    /// The places of the rows at `indices`.
    pub fn take(&self, indices: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::From(first) => Self::Each(indices.map(|i| first.0 + i as u64).collect()),
            Self::Each(each) => Self::Each(indices.map(|i| each[i]).collect()),
        }
    }

    /// The places of `length` rows from `offset`.
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::From(first) => Self::From(Place(first.0 + offset as u64)),
            Self::Each(each) => Self::Each(each.slice(offset, length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_order_by_lane_split_row() {
        let a = Place::new(1, 5).expect("in range");
        let b = Place::new(2, 0).expect("in range");
        assert!(a < b && b < a.in_lane(1));
        assert_eq!((a.split(), a.row(), a.in_lane(3).lane()), (1, 5, 3));
        assert_eq!(a.in_lane(3).in_lane(0), a);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(Place::new(1 << 20, 0).is_err());
        assert!(Place::new(0, 1 << 38).is_err());
    }

    #[test]
    fn taking_and_slicing_agree() {
        let run = Places::From(Place(10));
        let each = run.take([0, 2, 4].into_iter());
        assert_eq!(each.get(1), Some(Place(12)));
        assert_eq!(each.slice(1, 2).get(1), Some(Place(14)));
        assert_eq!(run.slice(3, 2).get(0), Some(Place(13)));
    }

    #[test]
    fn places_that_follow_one_another_are_a_stretch() {
        let run = Places::From(Place(10));
        assert_eq!(run.stretches(3), Some(vec![(Place(10), 0..3)]));
        assert_eq!(run.stretches(0), Some(vec![]));
        let each = run.take([0, 1, 4, 9, 10].into_iter());
        let expected = vec![(Place(10), 0..2), (Place(14), 2..3), (Place(19), 3..5)];
        assert_eq!(each.stretches(5), Some(expected));
        assert_eq!(each.slice(0, 0).stretches(0), Some(vec![]));
        assert_eq!(Places::Unknown.stretches(3), None);
    }

    #[test]
    fn rows_before_a_place_are_counted() {
        let run = Places::From(Place(10));
        let each = run.take([0, 2, 4].into_iter());
        for (place, in_run, in_each) in [(3, 0, 0), (10, 0, 0), (13, 3, 2), (99, 5, 3)] {
            assert_eq!(run.before(Place(place), 5), in_run);
            assert_eq!(each.before(Place(place), 3), in_each);
        }
        assert_eq!(Places::Unknown.before(Place(0), 4), 4);
    }
}
