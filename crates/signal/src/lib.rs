//! Signals: windows, segments across any cut, spectra. Numbers in, numbers out.
//!
//! Nothing here knows of rows, batches or plans: accumulators and transforms are made of these parts.

pub mod fourier;
pub mod segments;
pub mod shape;
pub mod windows;

pub use fourier::Fourier;
pub use segments::{Grid, Run, Runs};
pub use shape::{Detrend, Shape};
pub use windows::Window;
