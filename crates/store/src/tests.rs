//! Tests of the store as a whole.

mod crashes;
mod draw;
mod simulated;
mod whole;
