//! The two threads of a store: the keeper writes snapshots one after the other, and the merger compacts beside it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use dataflow_core::{Error, Result};

use crate::books::{Books, Committed};
use crate::changes::Changes;
use crate::disk::Disk;
use crate::round::Round;

/// What the keeper is asked for.
pub(crate) enum Job {
    Commit(Box<Changes>, serde_json::Value, Sender<Result<Committed>>),
    Collect(Sender<Result<()>>),
    Reset(Sender<Result<()>>),
    Quit,
}

/// The threads. Dropping this finishes what was asked for, gives up the compaction, and waits for both.
pub(crate) struct Keeper {
    jobs: Sender<Job>,
    stop: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
    merger: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn start(books: &Arc<Mutex<Books>>) -> Result<Self> {
        let (jobs, asked) = channel();
        let (rounds, due) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopping) = (Arc::clone(books), Arc::clone(&stop));
        let merger = spawn("merger", move || merge(&shared, &due, &stopping))?;
        let shared = Arc::clone(books);
        let keeper = spawn("keeper", move || keep(&shared, &asked, &rounds))?;
        Ok(Self {
            jobs,
            stop,
            keeper: Some(keeper),
            merger: Some(merger),
        })
    }

    /// Where jobs go.
    pub(crate) fn jobs(&self) -> &Sender<Job> {
        &self.jobs
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // A thread that is gone has no more to do; what it panicked about was told to whoever waited for it.
        let _ = self.jobs.send(Job::Quit);
        self.stop.store(true, Ordering::Relaxed);
        for thread in [self.keeper.take(), self.merger.take()]
            .into_iter()
            .flatten()
        {
            let _ = thread.join();
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name(format!("store {name}"));
    let started = thread.spawn(work);
    started.map_err(|e| Error::resource(format!("cannot start a thread of the store: {e}")))
}

/// The books, also after a panic elsewhere: a commit changes them last, and all at once.
pub(crate) fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Works off the jobs. What a commit was to contain that failed is part of the next one.
fn keep(books: &Mutex<Books>, jobs: &Receiver<Job>, rounds: &Sender<Round>) {
    let mut carried = Changes::default();
    while let Ok(job) = jobs.recv() {
        // Whoever does not wait for an answer does not get one.
        match job {
            Job::Commit(changes, facts, answer) => {
                let committed = commit(books, &mut carried, *changes, facts);
                let _ = answer.send(committed);
                tidy(books, rounds);
            }
            Job::Collect(answer) => drop(answer.send(lock(books).sweep())),
            Job::Reset(answer) => {
                carried = Changes::default();
                drop(answer.send(lock(books).reset()));
            }
            Job::Quit => break,
        }
    }
}

fn commit(
    books: &Mutex<Books>,
    carried: &mut Changes,
    changes: Changes,
    facts: serde_json::Value,
) -> Result<Committed> {
    let all = changes.over(std::mem::take(carried))?;
    let committed = lock(books).commit(&all, facts);
    if committed.is_err() {
        *carried = all;
    }
    committed
}

/// Removes what the commit made superfluous, and has merged what is due.
fn tidy(books: &Mutex<Books>, rounds: &Sender<Round>) {
    let mut books = lock(books);
    books.sweep_later();
    match books.round() {
        // The merger ends after this thread.
        Ok(Some(round)) => drop(rounds.send(round)),
        Ok(None) => {}
        Err(error) => books.warn(error),
    }
}

/// Works off the rounds, until the keeper is gone.
fn merge(books: &Mutex<Books>, rounds: &Receiver<Round>, stop: &AtomicBool) {
    let disk: Arc<dyn Disk> = Arc::clone(lock(books).disk());
    while let Ok(round) = rounds.recv() {
        let outcome = round.run(&disk, stop);
        drop(round);
        lock(books).finish(outcome);
    }
}

/// An answer that has not come yet.
pub(crate) struct Answer<T>(pub Receiver<Result<T>>);

impl<T> Answer<T> {
    /// Waits for it.
    pub(crate) fn wait(&self) -> Result<T> {
        self.0.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Looks whether it is there.
    pub(crate) fn look(&self) -> Option<Result<T>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(gone())),
        }
    }
}

/// Nobody is there to do it.
pub(crate) fn gone() -> Error {
    Error::internal("the store is closed, or its thread has failed")
}
