//! How far the data reaches along both axes.

use super::Span;
use crate::plot::axis::ends;
use crate::plot::paint::scene::At;

/// The least and the greatest of what came, for x and y.
#[derive(Clone, Copy, Debug)]
pub struct Sides([Span; 2]);

impl Default for Sides {
    fn default() -> Self {
        Self([(f64::INFINITY, f64::NEG_INFINITY); 2])
    }
}

impl Sides {
    pub fn include(&mut self, point: At) {
        if point.0.is_finite() && point.1.is_finite() {
            self.include_one(0, point.0);
            self.include_one(1, point.1);
        }
    }

    pub fn include_one(&mut self, axis: usize, place: f64) {
        if place.is_finite() {
            let (low, high) = self.0[axis];
            self.0[axis] = (low.min(place), high.max(place));
        }
    }

    /// Whether anything came, for both axes.
    pub fn any(&self) -> bool {
        self.0.iter().all(|(low, high)| low <= high)
    }

    /// What came.
    pub fn values(&self, axis: usize) -> Span {
        self.0[axis]
    }

    /// The ends of an axis for it.
    pub fn ends(&self, axis: usize) -> Span {
        ends(self.0[axis].0, self.0[axis].1)
    }

    /// The same, with air on both sides.
    pub fn padded(&self, axis: usize, share: f64) -> Span {
        let (low, high) = self.ends(axis);
        let air = share * (high - low);
        (low - air, high + air)
    }
}
