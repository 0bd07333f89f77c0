//! Dev-only: runs transforms as the engine would, without the engine, and spills into memory so that spills can be counted.

pub mod drive;
pub mod spill;
pub mod table;

pub use drive::{Drive, Outcome, Timing};
pub use spill::{MemorySpill, SharedSpill};
pub use table::rows;
