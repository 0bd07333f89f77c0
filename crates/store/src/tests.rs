//! Tests of the store as a whole.

mod draw;
mod whole;
