//! Streaming analytics for data larger than memory, as a library.
//!
//! A pipeline is a TOML text, checked against a [`Catalog`] of components and run by the engine. The answer is a function
//! of the input and the text alone, identical to the bit for any number of workers and any batch size, and memory stays
//! within the budget however long the input is.
//!
//! ```
//! let pipeline = dataflow::Pipeline::from_text(r#"
//!     [sources.numbers]
//!     type    = "generate"
//!     rows    = 1000
//!     columns = { x = { kind = "sequence" } }
//!
//!     [transforms.total]
//!     type    = "aggregate"
//!     inputs  = ["numbers"]
//!     compute = { rows = "count(*)", sum = "sum(x)" }
//! "#)
//! .pull("total")
//! .load()?;
//! let mut run = pipeline.start()?;
//! for batch in run.batches("total")? {
//!     assert_eq!(batch.num_rows(), 1);
//! }
//! let report = run.finish()?;
//! assert_eq!(report.numbers.components[0].rows_out, 1000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Several pipelines may run in one process. Nothing here installs a signal handler, a panic hook, a logger or a global
//! metric: the program that embeds the engine decides about those. Logs go through `tracing`.

mod cases;
mod catalog;
pub mod machine;
mod pipeline;
pub mod prometheus;
mod pull;
mod push;
pub mod report;
mod running;
#[cfg(feature = "metrics-server")]
mod server;

pub use cases::Outcome;
pub use catalog::Catalog;
pub use pipeline::{Builder, LoadError, Pipeline};
pub use pull::{Batches, Row, Rows};
pub use push::{Pusher, push};
pub use running::{Options, Running};
#[cfg(feature = "metrics-server")]
pub use server::MetricsServer;

/// The vocabulary that custom components are written in.
pub use dataflow_core as core;
pub use dataflow_core::{Error, Result};
/// What a folder of snapshots holds.
pub mod state {
    pub use dataflow_engine::{
        StoredComponent, StoredPart, StoredSource, StoredState, first_started, reset, stored,
    };
}

pub use dataflow_engine::{ComponentNumbers, Label, Metrics, Numbers, Report, Stop};
pub use dataflow_expressions::{Expression, reference as expression_reference};
/// What is known of a pipeline beyond running it: graphs, explanations, schemas, the manual.
pub use dataflow_pipeline as describe;
