//! Nothing: the package is its measurements.
