//! Ctrl-C and SIGTERM stop a run, behind a last snapshot where there are any; a second one ends the process at once.

use std::time::Duration;

use dataflow::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Stops the run at the first signal. Nothing that is unfinished appears under its final name either way. A last snapshot may take as
/// long as `grace`.
pub fn stop_at_signal(stop: Stop, grace: Duration) {
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
            if stop.pause() {
                let stop = stop.clone();
                let late = move || {
                    std::thread::sleep(grace);
                    stop.because(&format!(
                        "stopped by a signal; a last snapshot took longer than `grace` ({grace:?}): the next run goes on from the one before"
                    ));
                };
                // It ends with the process; without it the snapshot may take as long as it does.
                let _ = std::thread::Builder::new().name("grace".into()).spawn(late);
                continue;
            }
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
