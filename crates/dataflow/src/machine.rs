//! What the machine gives this process: cores and memory, as the limits of its container allow.

use std::fs::read_to_string;

/// The cores that this process may use: its affinity, and its control group's quota rounded up. At least 1.
pub fn cores() -> usize {
    // The standard library looks at both on Linux.
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The most memory that this process ever held, in bytes, or 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    status("VmHWM:").unwrap_or(0)
}

/// The memory that this process holds now, in bytes, or 0 where the system does not tell.
pub fn memory() -> u64 {
    status("VmRSS:").unwrap_or(0)
}

/// Seconds of processor time that this process has used.
pub fn cpu_seconds() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a whole `rusage`, which the call fills or leaves zeroed.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Seconds since 1970, by the clock of this machine.
pub fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Open file descriptors of this process, or 0 where the system does not tell.
pub fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

fn status(field: &str) -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_machine_tells_something() {
        assert!(super::cores() >= 1);
        // The present first: it may grow between the two looks, and the peak with it.
        let now = super::memory();
        assert!(super::peak_memory() >= now);
        assert!(super::cpu_seconds() >= 0.0);
    }
}
