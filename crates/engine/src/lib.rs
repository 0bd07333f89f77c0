//! Runs plans: the only crate that names timely.
//!
//! A plan becomes one timely dataflow whose timestamp is a *tick*, one per admitted piece of source data. The `desk`
//! admits pieces against the byte budget; `reading` decodes them on every worker; `stages` runs the stages of
//! transforms and sinks, in order where order counts; `layout` decides where that is. See `docs/architecture.md`.

mod abort;
mod beside;
mod by_place;
mod by_time;
mod clock;
mod demand;
mod desk;
mod fabric;
mod inlet;
mod layout;
mod ledger;
mod message;
pub mod metrics;
mod outlet;
mod overruns;
mod positions;
mod reading;
mod resume;
mod run;
mod snapshots;
mod spill;
mod splits;
mod spool;
mod stages;
mod stored;
mod trained;
mod writing;

#[cfg(test)]
mod tests;

pub use metrics::{BadCount, ComponentNumbers, Label, Metrics, Numbers};
pub use resume::{StateSettings, first_started};
pub use run::{Report, Run, Settings, Stop};
pub use stored::{StoredComponent, StoredPart, StoredSource, StoredState, reset, stored};
pub use trained::{Known, TrainedSettings};
