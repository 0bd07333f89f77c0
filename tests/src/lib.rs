//! Nothing: the package is its tests, in `promises/`.
