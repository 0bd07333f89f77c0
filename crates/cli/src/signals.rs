//! Ctrl-C and SIGTERM stop a run; a second one ends the process at once.

use dataflow::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Stops the run at the first signal. Nothing that is unfinished appears under its final name either way.
pub fn stop_at_signal(stop: Stop) {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else {
        return;
    };
    // The thread sleeps until a signal comes, and ends with the process.
    let watch = move || {
        let mut first = true;
        for _ in signals.forever() {
            if !first {
                std::process::exit(130);
            }
            first = false;
            stop.because("stopped by a signal; nothing was written under a final name");
        }
    };
    if std::thread::Builder::new()
        .name("signals".to_string())
        .spawn(watch)
        .is_err()
    {
        tracing::warn!("signals cannot be watched: the run can only be killed");
    }
}
