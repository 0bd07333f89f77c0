//! How the allocator of the system is set: its bounds are fixed rather than learned.
//!
//! glibc gives large blocks back to the system at once, and small ones when enough are free at the end of a heap. What is large and
//! what is enough it learns from the largest block that was ever given back, up to 32 MiB. Until it has learned, pages are given
//! back and taken again for every batch, which the system clears each time: sessions of five million rows took 150,000 pages where
//! 50,000 do, and a tenth more time of processors. And what it keeps between blocks that are in use depends on what came before.

/// Blocks of this size are given back at once: row groups and encoded pages, not the columns of a batch.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 4 << 20;

/// So much may be free at the end of a heap.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FREE: libc::c_int = 16 << 20;

/// Fixes the bounds; before threads are started.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn fix() {
    // SAFETY: numbers are given to a function that looks at nothing else. A bound that is refused stays as it was.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, FREE);
    }
}

/// Other allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn fix() {}
