//! How a run ends early: the first error wins, everybody is woken, nobody waits for anybody.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

use dataflow_core::error::Fault;
use dataflow_core::{Error, Result};

/// The one switch that stops a run.
#[derive(Default)]
pub struct Abort {
    raised: AtomicBool,
    error: Mutex<Option<Error>>,
    threads: Mutex<Vec<Thread>>,
    hooks: Mutex<Vec<Hook>>,
}

/// Ends a wait that nothing else would end.
type Hook = Box<dyn FnOnce() + Send>;

impl Abort {
    /// A switch that is off.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Whether the run is being stopped.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Stops the run for this reason, unless there is one already, and wakes every thread that may be parked.
    pub fn raise(&self, error: Error) {
        lock(&self.error).get_or_insert(error);
        self.raised.store(true, Ordering::Release);
        for thread in lock(&self.threads).iter() {
            thread.unpark();
        }
        // Taken out first: a hook may look at the switch.
        let hooks = std::mem::take(&mut *lock(&self.hooks));
        hooks.into_iter().for_each(|hook| hook());
    }

    /// Calls `hook` when the run is stopped, or at once if it was.
    pub fn when_raised(&self, hook: impl FnOnce() + Send + 'static) {
        lock(&self.hooks).push(Box::new(hook));
        if self.is_raised() {
            let hooks = std::mem::take(&mut *lock(&self.hooks));
            hooks.into_iter().for_each(|hook| hook());
        }
    }

    /// This thread wants to be woken by [`Abort::raise`].
    pub fn wake_me(&self) {
        lock(&self.threads).push(std::thread::current());
    }

    /// The reason, if the run was stopped.
    pub fn reason(&self) -> Option<Error> {
        if !self.is_raised() {
            return None;
        }
        let error = lock(&self.error).clone();
        Some(error.unwrap_or_else(|| Error::new(Fault::Stopped, "the run was stopped")))
    }

    /// Runs `work`; an error or a panic stops the whole run, and names `component`.
    pub fn guard<T>(&self, component: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        match caught {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => self.raise(error.component(component)),
            Err(panic) => self.raise(from_panic(panic.as_ref()).component(component)),
        }
        None
    }
}

/// What a panic said, as an error.
pub fn from_panic(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_string());
    Error::internal(format!("the component panicked: {text}"))
        .help("this is a bug in the component; nothing was written under a final name")
}

/// The lock's content, also after a panic elsewhere: what is behind these locks is always whole.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
