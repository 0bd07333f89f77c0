//! States that several accumulators read, and the parts that they are built from.

pub(crate) mod distinct;
pub(crate) mod distribution;
pub(crate) mod extremes;
pub(crate) mod hyperloglog;
pub(crate) mod interner;
pub(crate) mod keys;
pub(crate) mod lists;
pub(crate) mod multiset;
pub(crate) mod occurrences;
pub(crate) mod one_end;
pub(crate) mod options;
pub(crate) mod picked;
pub(crate) mod plan;
pub(crate) mod sketch;
pub(crate) mod values;
pub(crate) mod wide;

#[cfg(test)]
pub(crate) mod testing;
