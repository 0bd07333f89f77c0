//! Waits for splits that come while a source is read, on a thread of its own.

use super::*;

/// Splits that have come, in their order.
pub(super) type Arrived = Receiver<Vec<Split>>;

/// Ends the waiting by being dropped.
pub(super) struct Ending(Option<Box<dyn FnOnce() + Send>>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

/// Starts to wait, if splits come.
pub(super) fn watch(
    source: &DeskSource,
    setup: &DeskSetup,
    threads: &mut Vec<JoinHandle<()>>,
) -> Option<(Ending, Arrived)> {
    let arrivals = setup.abort.guard(&source.id, || source.source.arrivals());
    let mut arrivals = arrivals??;
    let ending = Ending(Some(arrivals.ending()));
    // There are as many as there are files: nothing is gained by keeping those that watch from hearing of them.
    let (out, arrived) = unbounded();
    let (id, abort) = (Arc::clone(&source.id), Arc::clone(&setup.abort));
    let work = move || {
        abort.guard(&id, || {
            while let Some(splits) = arrivals.next()? {
                if abort.is_raised() || out.send(splits).is_err() {
                    break;
                }
            }
            Ok(())
        });
    };
    let name = format!("watch {}", source.id);
    match std::thread::Builder::new().name(name).spawn(work) {
        Ok(thread) => threads.push(thread),
        Err(error) => setup.abort.raise(Error::resource(format!(
            "cannot start a watching thread: {error}"
        ))),
    }
    Some((ending, arrived))
}
