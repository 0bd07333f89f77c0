//! What a picture keeps of the rows: never more than it can show.

pub mod bars;
pub mod buckets;
pub mod cells;
mod interval;
pub mod kept;
pub mod lines;
pub mod spectra;

use arrow_array::RecordBatch;
use dataflow_core::Result;
use dataflow_core::saved::{Restored, Save};

use crate::plot::chart::Look;
use crate::plot::paint::scene::Scene;

/// Takes rows in their order, and draws them at the end. What it holds is a function of the rows alone.
pub trait Content: Send {
    /// Takes rows.
    fn take(&mut self, rows: &RecordBatch) -> Result<()>;

    /// The picture of what came so far.
    fn draw(&self, look: &Look) -> Scene;

    /// Writes down what it holds.
    fn save(&self, into: &mut dyn Save) -> Result<()>;

    /// Goes on with what was written down; it has taken nothing yet.
    fn restore(&mut self, from: &Restored<'_>) -> Result<()>;
}
