//! Signals: windows, segments across any cut, spectra, filters, events. Numbers in, numbers out.
//!
//! Nothing here knows of rows, batches or plans: accumulators and transforms are made of these parts.

pub mod average;
pub mod decimate;
pub mod design;
pub mod events;
pub mod fourier;
pub mod memory;
mod pairing;
pub mod peaks;
pub mod sections;
pub mod segments;
pub mod shape;
pub mod stretches;
pub mod taps;
pub mod trend;
pub mod windows;

pub use average::MovingAverage;
pub use decimate::{Decimate, Guard};
pub use design::{Band, Family};
pub use events::{Event, Find};
pub use fourier::Fourier;
pub use memory::{Filter, Memory, Saved};
pub use peaks::Peaks;
pub use sections::{Section, Sections};
pub use segments::{Grid, Run, Runs, are_finite};
pub use shape::{Detrend, Shape};
pub use taps::Taps;
pub use trend::Trend;
pub use windows::Window;
