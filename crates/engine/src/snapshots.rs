//! Snapshots: what all operators hold between two ticks, put together into one and made durable.
//!
//! Ticks are counted in *epochs*: the high bits of a tick tell the epoch that it is of. A snapshot is what is held between two
//! epochs. The desk begins the next epoch whenever one is due; every operator works on the ticks of its epoch until no more
//! can come, writes down what it holds, and goes on with the next. What comes of later epochs meanwhile waits. So
//! everything before the cut is in the snapshot, nothing behind it is, and nobody stands still for long.

mod earlier;
mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};
use dataflow_core::saved::Saved;
use dataflow_core::{Error, Result};
use dataflow_store::{PartKey, Pending, Snapshot, Store};
use serde_json::Value;

pub use self::earlier::{Earlier, keys_of};
pub use self::parts::name_of_waiting;
use self::parts::{Columns, Drawn};
use crate::abort::lock;
use crate::metrics::Metrics;
use crate::positions::Facts;
use crate::resume::{Manifest, StateSettings};

/// How many low bits of a tick count within its epoch: more ticks than a run will ever have.
const WITHIN: u32 = 40;

/// The first tick of an epoch.
pub fn first_of(epoch: u64) -> u64 {
    epoch << WITHIN
}

/// The epoch that a tick is of.
pub fn epoch_of(tick: u64) -> u64 {
    tick >> WITHIN
}

/// What an operator on one worker has to say at a cut.
#[derive(Default)]
pub struct Held {
    /// What its stage holds; none on a worker that has no stage.
    pub stage: Option<Saved>,
    /// The rows of each input that wait for another one to end.
    pub waiting: Vec<(usize, Saved)>,
    /// How many keys that has.
    pub keys: u64,
    /// What the operator itself holds.
    pub own: Value,
    /// Whether it has ended: it will hold nothing else from now on.
    pub over: bool,
}

/// An operator, by its index in the layout, on a worker.
type Who = (usize, usize);

/// Asks a run to make one more snapshot and to stop then.
#[derive(Default)]
pub struct Pause {
    asked: AtomicBool,
    wake: Mutex<Option<Wake>>,
}

impl Pause {
    /// Asks for it.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        if let Some(wake) = lock(&self.wake).as_ref() {
            wake();
        }
    }

    /// Whether that was done.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Calls `wake` when it is.
    pub fn wake_with(&self, wake: impl Fn() + Send + 'static) {
        *lock(&self.wake) = Some(Box::new(wake));
    }
}

/// The snapshots of a run.
pub struct Snapshots {
    store: Arc<Store>,
    /// The component and the name of each operator that hands in what it holds.
    operators: BTreeMap<usize, (String, String)>,
    workers: usize,
    /// What the pipeline is.
    state: StateSettings,
    at_work: Arc<Mutex<AtWork>>,
    /// To the thread that waits for snapshots to be durable.
    pending: Option<Sender<Pending>>,
    thread: Option<JoinHandle<()>>,
    wake: Arc<Mutex<Option<Wake>>>,
    metrics: Arc<Metrics>,
}

/// Tells the desk that a snapshot is durable.
type Wake = Box<dyn Fn() + Send>;

/// The snapshot that is being put together.
#[derive(Default)]
struct AtWork {
    epoch: u64,
    /// What was handed in, by epoch: an operator may end in the next one while others are still at this.
    came: BTreeMap<u64, BTreeMap<Who, Held>>,
    /// The epoch in which each operator that has ended did so: nothing is to be waited for from then on.
    over: BTreeMap<Who, u64>,
    /// What is stored of those that have ended.
    ended: Drawn,
    facts: Option<Value>,
    /// Whether the one that was put together last is durable, once that is known.
    durable: Option<Result<()>>,
    /// What the snapshot before consists of.
    parts: Columns,
    files: BTreeSet<String>,
}

impl Snapshots {
    /// Snapshots of these operators, on so many workers, in a store; `last` is the one that the run goes on from.
    pub fn new(
        store: Arc<Store>,
        operators: BTreeMap<usize, (String, String)>,
        workers: usize,
        state: &StateSettings,
        last: Option<&Snapshot>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        metrics.watch_snapshots();
        let numbers = Arc::clone(metrics);
        let parts = last.iter().flat_map(|last| last.parts());
        let files = last.iter().flat_map(|last| last.files());
        let at_work = AtWork {
            parts: parts.map(|(key, _)| (key.clone(), None)).collect(),
            files: files.map(|file| file.name).collect(),
            ..AtWork::default()
        };
        let at_work = Arc::new(Mutex::new(at_work));
        let (pending, durable) = unbounded();
        let wake = Arc::new(Mutex::new(None));
        let (told, woken) = (Arc::clone(&at_work), Arc::clone(&wake));
        // It ends with this value. Where there is no thread, no snapshot is ever known to be durable.
        let thread = std::thread::Builder::new()
            .name("snapshots".into())
            .spawn(move || wait(&durable, &told, &woken, &numbers));
        Self {
            store,
            operators,
            workers,
            state: state.clone(),
            at_work,
            pending: Some(pending),
            thread: thread.ok(),
            wake,
            metrics: Arc::clone(metrics),
        }
    }

    /// One is due: operators will hand in what they hold.
    pub fn begun(&self) {
        self.metrics.snapshot_begun();
    }

    /// Takes what an operator holds at the end of an epoch.
    pub fn hand_in(&self, who: Who, epoch: u64, held: Held) -> Result<()> {
        let mut at_work = lock(&self.at_work);
        if held.over {
            at_work.over.insert(who, epoch);
        } else if epoch != at_work.epoch {
            return Err(Error::internal(
                "a snapshot was handed in for another epoch",
            ));
        }
        at_work.came.entry(epoch).or_default().insert(who, held);
        self.commit_if_complete(&mut at_work)
    }

    /// Takes what the desk has to say at the end of an epoch.
    pub fn hand_in_facts(&self, epoch: u64, facts: Facts) -> Result<()> {
        let mut at_work = lock(&self.at_work);
        if epoch != at_work.epoch {
            return Err(Error::internal(
                "positions were handed in for another epoch",
            ));
        }
        let manifest = Manifest::new(&self.state, facts);
        let manifest = serde_json::to_value(manifest);
        let manifest = manifest.map_err(|e| Error::internal(format!("cannot be written: {e}")))?;
        at_work.facts = Some(manifest);
        self.commit_if_complete(&mut at_work)
    }

    fn commit_if_complete(&self, at_work: &mut AtWork) -> Result<()> {
        let epoch = at_work.epoch;
        let came = at_work.came.entry(epoch).or_default();
        let has_come = |who: &Who| {
            came.contains_key(who) || at_work.over.get(who).is_some_and(|since| *since <= epoch)
        };
        let operators = self.operators.keys();
        let mut all = operators.flat_map(|operator| (0..self.workers).map(move |w| (*operator, w)));
        if at_work.facts.is_none() || !all.all(|who| has_come(&who)) {
            return Ok(());
        }
        let mut draft = self.store.begin()?;
        let mut drawn = Drawn::default();
        for ((operator, worker), held) in at_work.came.remove(&epoch).unwrap_or_default() {
            let Some((component, name)) = self.operators.get(&operator) else {
                continue;
            };
            let of = PartKey {
                component: component.clone(),
                operator: name.clone(),
                worker: worker as u32,
            };
            let before = &at_work.parts;
            match held.over {
                true => at_work.ended.put(&mut draft, &of, held, before)?,
                false => drawn.put(&mut draft, &of, held, before)?,
            }
        }
        let ended = at_work.ended.parts.iter();
        drawn
            .parts
            .extend(ended.map(|(key, columns)| (key.clone(), columns.clone())));
        drawn.files.extend(at_work.ended.files.iter().cloned());
        for part in at_work
            .parts
            .keys()
            .filter(|part| !drawn.parts.contains_key(part))
        {
            draft.drop_part(part);
        }
        for file in at_work.files.difference(&drawn.files) {
            draft.drop_file(file);
        }
        (at_work.parts, at_work.files) = (drawn.parts, drawn.files);
        let facts = at_work.facts.take().unwrap_or_default();
        let pending = draft.commit(facts)?;
        at_work.epoch += 1;
        // A thread that is gone has nobody left to tell.
        if let Some(told) = &self.pending {
            let _ = told.send(pending);
        }
        Ok(())
    }

    /// Whether the snapshot that was put together last is durable, told once; none as long as that is not known.
    pub fn is_durable(&self) -> Option<Result<()>> {
        lock(&self.at_work).durable.take()
    }

    /// Calls `wake` when a snapshot is durable.
    pub fn wake_with(&self, wake: impl Fn() + Send + 'static) {
        *lock(&self.wake) = Some(Box::new(wake));
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.pending = None;
        // The store is free for others when this is gone.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for one snapshot after the other.
fn wait(
    pending: &Receiver<Pending>,
    at_work: &Mutex<AtWork>,
    wake: &Mutex<Option<Wake>>,
    metrics: &Metrics,
) {
    for pending in pending {
        let durable = pending.wait();
        if let Ok(committed) = &durable {
            metrics.snapshot_durable(committed.bytes);
            tracing::debug!(
                number = committed.number,
                bytes = committed.bytes,
                "a snapshot is durable"
            );
        }
        lock(at_work).durable = Some(durable.map(|_| ()));
        if let Some(wake) = lock(wake).as_ref() {
            wake();
        }
    }
}
