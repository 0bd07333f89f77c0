//! Dev-only: runs transforms as the engine would, without the engine, and spills into memory so that spills can be counted.

mod deal;
pub mod drive;
mod feed;
pub mod held;
pub mod spill;
pub mod table;

pub use deal::{Side, Timing};
pub use drive::{Drive, Outcome};
pub use held::Held;
pub use spill::{MemorySpill, SharedSpill};
pub use table::rows;
