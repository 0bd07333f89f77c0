//! Snapshots: what all operators hold between two ticks, put together into one and made durable.
//!
//! Ticks are counted in *epochs*: the high bits of a tick tell the epoch that it is of. A snapshot is what is held between two
//! epochs. The desk begins the next epoch whenever one is due; every operator works on the ticks of its epoch until no more
//! can come, writes down what it holds, and goes on with the next. What comes of later epochs meanwhile waits. So
//! everything before the cut is in the snapshot, nothing behind it is, and nobody stands still for long.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use crossbeam_channel::{Receiver, Sender, unbounded};
use dataflow_core::saved::{Parts, Saved};
use dataflow_core::stage::Spilled;
use dataflow_core::{Batch, Error, Result};
use dataflow_store::{Content, Draft, PartKey, Pending, Snapshot, Store, Stored};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::abort::lock;
use crate::positions::Facts;
use crate::resume::{Manifest, StateSettings};
use crate::spill::{SpillFolder, kept, with_facts, without_facts};

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
    parts: BTreeSet<PartKey>,
    files: BTreeSet<String>,
}

/// What is told of a part beside its rows.
#[derive(Default, Serialize, Deserialize)]
struct PartNote {
    over: bool,
    own: Value,
    values: Option<BTreeMap<String, Value>>,
    /// The runs by name.
    runs: BTreeMap<String, Vec<StoredRun>>,
}

/// A run that is part of a snapshot.
#[derive(Serialize, Deserialize)]
struct StoredRun {
    file: String,
    rows: u64,
    /// How many rows of it have been taken.
    taken: u64,
}

impl Snapshots {
    /// Snapshots of these operators, on so many workers, in a store; `last` is the one that the run goes on from.
    pub fn new(
        store: Arc<Store>,
        operators: BTreeMap<usize, (String, String)>,
        workers: usize,
        state: &StateSettings,
        last: Option<&Snapshot>,
    ) -> Self {
        let parts = last.iter().flat_map(|last| last.parts());
        let files = last.iter().flat_map(|last| last.files());
        let at_work = AtWork {
            parts: parts.map(|(key, _)| key.clone()).collect(),
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
            .spawn(move || wait(&durable, &told, &woken));
        Self {
            store,
            operators,
            workers,
            state: state.clone(),
            at_work,
            pending: Some(pending),
            thread: thread.ok(),
            wake,
        }
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
            match held.over {
                true => at_work.ended.put(&mut draft, &of, held)?,
                false => drawn.put(&mut draft, &of, held)?,
            }
        }
        drawn.parts.extend(at_work.ended.parts.iter().cloned());
        drawn.files.extend(at_work.ended.files.iter().cloned());
        for part in at_work.parts.difference(&drawn.parts) {
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
fn wait(pending: &Receiver<Pending>, at_work: &Mutex<AtWork>, wake: &Mutex<Option<Wake>>) {
    for pending in pending {
        let durable = pending.wait();
        if let Ok(committed) = &durable {
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

/// What has been put into a draft.
#[derive(Default)]
struct Drawn {
    parts: BTreeSet<PartKey>,
    files: BTreeSet<String>,
}

impl Drawn {
    fn put(&mut self, draft: &mut Draft, of: &PartKey, held: Held) -> Result<()> {
        let mut note = PartNote {
            over: held.over,
            own: held.own,
            ..PartNote::default()
        };
        for (input, saved) in held.waiting {
            let held = Held {
                stage: Some(saved),
                ..Held::default()
            };
            self.put(draft, &waiting(of, input), held)?;
        }
        if let Some(saved) = held.stage {
            let values = saved.values.into_iter();
            note.values = Some(
                values
                    .map(|(name, value)| (name.to_string(), value))
                    .collect(),
            );
            for (name, batches) in saved.rows {
                let rows: Result<Vec<RecordBatch>> = batches.iter().map(with_facts).collect();
                self.content(draft, rows_of(of, name), Content::WholeBatches(rows?))?;
            }
            for (name, runs) in saved.runs {
                let mut named = Vec::new();
                for (run, taken) in runs {
                    let rows = run.rows();
                    let file = run
                        .keep()
                        .ok_or_else(|| Error::internal("a run is in no file"))?;
                    let file = draft.adopt(of.clone(), &file)?;
                    self.files.insert(file.clone());
                    named.push(StoredRun { file, rows, taken });
                }
                note.runs.insert(name.to_string(), named);
            }
        }
        let bytes = serde_json::to_vec(&note);
        let bytes = bytes.map_err(|e| Error::internal(format!("a part cannot be written: {e}")))?;
        self.content(draft, of.clone(), Content::Whole(bytes))
    }

    fn content(&mut self, draft: &mut Draft, key: PartKey, content: Content) -> Result<()> {
        self.parts.insert(key.clone());
        draft.put(key, content)
    }
}

/// The part of the rows that wait in an input.
fn waiting(of: &PartKey, input: usize) -> PartKey {
    PartKey {
        operator: name_of_waiting(&of.operator, input),
        ..of.clone()
    }
}

/// What is said to be the operator of rows that wait in one of its inputs.
pub fn name_of_waiting(operator: &str, input: usize) -> String {
    format!("{operator} / input {input}")
}

/// The part of the rows that a stage saved under a name.
fn rows_of(of: &PartKey, name: &str) -> PartKey {
    PartKey {
        operator: format!("{} / {name}", of.operator),
        ..of.clone()
    }
}

/// What an operator held at a snapshot, on all workers that had a stage of it.
pub struct Earlier<'a> {
    snapshot: &'a Snapshot,
    parts: Vec<(PartKey, PartNote)>,
    folder: Arc<SpillFolder>,
}

impl<'a> Earlier<'a> {
    /// What there is of an operator of a component.
    ///
    /// # Errors
    /// When a part cannot be read.
    pub fn find(
        snapshot: &'a Snapshot,
        (component, operator): (&str, &str),
        folder: &Arc<SpillFolder>,
    ) -> Result<Self> {
        let mut parts = Vec::new();
        for (key, _) in snapshot.parts() {
            if key.component != component || key.operator != operator {
                continue;
            }
            let Some(Stored::Whole(bytes)) = snapshot.read(key)? else {
                continue;
            };
            let note = serde_json::from_slice(&bytes);
            let note: PartNote = note.map_err(|e| {
                Error::data(format!("what was saved of {key} is no note of a part: {e}"))
            })?;
            parts.push((key.clone(), note));
        }
        Ok(Self {
            snapshot,
            parts,
            folder: Arc::clone(folder),
        })
    }

    /// What each operator held itself, and whether all of them had ended.
    pub fn own(&self) -> (Vec<&Value>, bool) {
        let own = self.parts.iter().map(|(_, note)| &note.own);
        let over = !self.parts.is_empty() && self.parts.iter().all(|(_, note)| note.over);
        (own.collect(), over)
    }

    /// Whether any of them saved rows.
    pub fn has_rows(&self) -> bool {
        let rows_of_these = |key: &PartKey| {
            let mut parts = self.parts.iter();
            parts.any(|(part, _)| {
                key.component == part.component
                    && key.operator.starts_with(&format!("{} / ", part.operator))
            })
        };
        let in_runs = self.parts.iter().any(|(_, note)| !note.runs.is_empty());
        in_runs || self.snapshot.parts().any(|(key, _)| rows_of_these(key))
    }

    /// Only those that had a stage.
    #[must_use]
    pub fn stages(mut self) -> Self {
        self.parts.retain(|(_, note)| note.values.is_some());
        self
    }
}

impl Parts for Earlier<'_> {
    fn workers(&self) -> usize {
        self.parts.len()
    }

    fn value(&self, worker: usize, name: &str) -> Result<Option<Value>> {
        let values = self.parts[worker].1.values.as_ref();
        Ok(values.and_then(|values| values.get(name)).cloned())
    }

    fn rows(
        &self,
        worker: usize,
        name: &str,
        each: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let key = rows_of(&self.parts[worker].0, name);
        let Some(Stored::WholeBatches(batches)) = self.snapshot.read(&key)? else {
            return Ok(());
        };
        for batch in batches {
            each(without_facts(&batch?)?)?;
        }
        Ok(())
    }

    fn runs(&self, worker: usize, name: &str) -> Result<Vec<(Arc<dyn Spilled>, u64)>> {
        let (key, note) = &self.parts[worker];
        let files: BTreeMap<String, PathBuf> = (self.snapshot.files())
            .map(|file| (file.name, file.path))
            .collect();
        let runs = note.runs.get(name).into_iter().flatten();
        let found = runs.map(|run| {
            let path = files.get(&run.file).ok_or_else(|| {
                Error::data(format!("the run `{}` of {key} is in no snapshot", run.file))
            })?;
            let opened = kept(&self.folder, &key.component, path.clone(), run.rows)?;
            Ok((opened, run.taken))
        });
        found.collect()
    }
}
