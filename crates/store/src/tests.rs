//! Tests of the store as a whole.

mod crashes;
mod damage;
mod draw;
mod folders;
mod simulated;
mod threads;
mod whole;
