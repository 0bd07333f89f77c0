//! The vocabulary of `dataflow`: what a batch is, what a component is, what may go wrong, and in which order rows come.
//!
//! Everything else in the workspace speaks these words. The crate does no input or output and knows nothing of timely,
//! TOML or SQL; see `docs/architecture.md` for the map.

pub mod accumulator;
pub mod batch;
pub mod check;
pub mod component;
pub mod config;
pub mod error;
pub mod every;
pub mod external;
pub mod in_time;
pub mod memory;
pub mod moment;
pub mod order;
mod part;
pub mod place;
pub mod plan;
pub mod problem;
pub mod runs;
pub mod sampling;
pub mod saved;
pub mod sink;
pub mod sorter;
pub mod source;
pub mod stage;
pub mod text;
pub mod time;
pub mod transform;
pub mod units;
pub mod window;
pub mod words;

pub use accumulator::{Accumulator, AccumulatorPlan, Groups};
pub use batch::Batch;
pub use check::{Check, StandardInput, Value};
pub use component::{Configured, Info, Kind};
pub use error::{Error, Result};
pub use every::Every;
pub use memory::{Charge, Gauge};
pub use moment::Moment;
pub use place::{Place, Places};
pub use problem::{Problem, Problems};
pub use sampling::{Sampled, Sampling};
pub use sink::{FileReceipt, Receipt, Sink, SinkContext, Writer};
pub use source::{Arrivals, Cutter, Decoded, Piece, Reader, Source, Split, Wanted};
pub use stage::{BadRows, Flow, Output, Stage, StageContext};
pub use text::{Located, Span};
pub use time::{TimeRule, Times};
pub use transform::{Route, StagePlan, Transform};
