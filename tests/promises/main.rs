//! The promises of the whole, one module each, over the real catalog and the real program.

mod data;
mod errors;
mod examples;
mod fuzz;
mod going_on;
mod growing;
mod guide;
mod hygiene;
mod idle;
mod joins;
mod killed;
mod killed_ready;
mod library;
mod memory;
mod moments;
mod panic;
mod program;
mod real_data;
mod row_time;
mod sameness;
mod state;
mod stdin;
mod time;
mod time_joins;
mod told;
mod watched;
