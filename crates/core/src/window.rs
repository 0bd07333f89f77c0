//! Windows: how rows are cut into the groups that a windowed transform summarises.
//!
//! A window is a part that a transform is made of, as an accumulator is: whoever takes `window = { type = ... }` finds the
//! type in the catalog, so that any window goes with any accumulator and any key.

use std::sync::Arc;

use crate::Located;
use crate::time::Instant;

/// How rows are cut into windows.
#[derive(Clone, Debug)]
pub enum Window {
    /// By time alone, at instants that are the same for all keys.
    Grid(Arc<dyn Grid>),
    /// The rows of a key that follow one another within a gap.
    Session {
        /// A longer silence, in nanoseconds, ends the window.
        gap: i64,
    },
    /// So many rows of a key.
    Count {
        /// Rows in a window.
        size: u64,
        /// Rows between the starts of two windows.
        every: u64,
    },
    /// Neighbouring rows of a key that are equal in some columns.
    Change {
        /// The columns.
        of: Vec<Located<String>>,
    },
    /// For each row, the rows of its key that lead up to it.
    Rolling(Lookback),
    /// The rows of each file.
    File,
    /// All rows.
    Global,
}

/// How far a rolling window looks back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookback {
    /// So many rows, the row itself included.
    Rows(u64),
    /// So many nanoseconds: rows newer than the row's time less this, up to the row itself.
    Span(i64),
}

/// Windows of time. Each is known by its end; a window holds its start and not its end.
///
/// Ends ascend with starts. What lies outside the representable instants is cut off there.
pub trait Grid: Send + Sync + std::fmt::Debug {
    /// The ends of the first and of the last window that hold an instant; none where it falls into a gap.
    fn ends(&self, time: Instant) -> Option<(Instant, Instant)>;

    /// The end of the window behind the one that ends at `end`.
    fn next(&self, end: Instant) -> Instant;

    /// The start of the window that ends at `end`.
    fn start(&self, end: Instant) -> Instant;

    /// Whether an instant may lie in several windows.
    fn overlaps(&self) -> bool {
        false
    }
}
