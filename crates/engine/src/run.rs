//! Runs a plan: builds the same timely dataflow on every worker, steps it until it is finished, commits the sinks.

mod earlier;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataflow_core::error::Fault;
use dataflow_core::memory::Gauge;
use dataflow_core::plan::{Plan, PlanNode, Work};
use dataflow_core::saved::{Parts, Restored};
use dataflow_core::sink::Receipt;
use dataflow_core::stage::{Spill, StageContext};
use dataflow_core::transform::Emits;
use dataflow_core::{Error, Moment, Result, Sink, SinkContext, Split, Stage, Writer};
use dataflow_store::Snapshot;
use timely::CommunicationConfig;
use timely::dataflow::Scope;
use timely::dataflow::operators::{Concatenate, ConnectLoop, Feedback};
use timely::worker::Worker;

use crate::abort::{Abort, from_panic, lock};
use crate::beside::{self, Beside, BesideSetup};
use crate::demand::Demand;
use crate::desk::{Desk, DeskSetup, DeskSource};
use crate::fabric::{Parcels, Shape, Start, operator};
use crate::layout::{Feed, Job, Layout, Operator, OutputRef, Shares, lay_out};
use crate::message::Address;
use crate::metrics::{Label, Metrics, Numbers};
use crate::outlet::{BadRowPolicy, Outlet};
use crate::reading::{ReadingOperator, ReadingSetup};
use crate::resume::{Kept, StateSettings};
use crate::snapshots::{Earlier, Pause, Snapshots, name_of_waiting};
use crate::spill::{SpillFolder, SpillSpace};
use crate::splits::{FurtherNumbers, Numbering, Rules, SplitNames, Splits};
use crate::stages::{StageOperator, StageSetup};
use crate::trained::{Trained, TrainedSettings};
use crate::writing::{Prepared, PreparedSinks, Writing, check_apart, unless_closed};

/// How a plan is run. None of this changes the result.
#[derive(Clone)]
pub struct Settings {
    /// Worker threads.
    pub workers: usize,
    /// Bytes for queues and state together.
    pub memory: usize,
    /// Rows that a batch should have.
    pub batch_rows: usize,
    /// Files of a source with time that are read side by side.
    pub open_files: usize,
    /// Where the spill folder is made.
    pub spill_dir: PathBuf,
    /// Bytes that may be spilled at a time.
    pub spill_limit: Option<u64>,
    /// Where snapshots are kept, if they are.
    pub state: Option<StateSettings>,
    /// What to begin with where there is nothing to go on from.
    pub trained: Option<TrainedSettings>,
    /// What sinks take as standard output.
    pub stdout: Arc<Mutex<dyn Write + Send>>,
    /// The terminal's width, if standard output is one.
    pub width: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 1,
            memory: 256 << 20,
            batch_rows: 8192,
            open_files: 64,
            spill_dir: std::env::temp_dir(),
            spill_limit: None,
            state: None,
            trained: None,
            stdout: Arc::new(Mutex::new(std::io::stdout())),
            width: None,
        }
    }
}

/// What a finished run has to say.
#[derive(Clone, Debug)]
pub struct Report {
    /// The final numbers.
    pub numbers: Numbers,
    /// What each sink made visible, by id.
    pub receipts: Vec<(String, Receipt)>,
    /// Worker threads.
    pub workers: usize,
}

/// Stops a run from anywhere.
#[derive(Clone)]
pub struct Stop {
    abort: Arc<Abort>,
    /// Where snapshots are made.
    pause: Option<Arc<Pause>>,
}

impl Stop {
    /// Stops the run: nothing appears under its final name.
    pub fn stop(&self) {
        self.because("the run was stopped");
    }

    /// Stops the run behind one more snapshot, from which another run can go on: it ends with [`Fault::Paused`]. False, and nothing is
    /// done, where no snapshots are made.
    pub fn pause(&self) -> bool {
        match &self.pause {
            Some(pause) => {
                pause.ask();
                true
            }
            None => false,
        }
    }

    /// Stops the run and says why.
    pub fn because(&self, why: &str) {
        self.abort.raise(Error::new(Fault::Stopped, why));
    }

    /// Calls `hook` once when the run is stopped, for whatever reason: here, by an error, by a panic.
    pub fn when_stopped(&self, hook: impl FnOnce() + Send + 'static) {
        self.abort.when_raised(hook);
    }
}

/// A plan about to be run.
pub struct Run {
    shared: Arc<Shared>,
}

/// Everything that all workers see.
struct Shared {
    plan: Plan,
    layout: Layout,
    settings: Settings,
    shares: Shares,
    splits: Vec<Splits>,
    /// The numbers of splits that come while the run goes on.
    further: Arc<FurtherNumbers>,
    names: Arc<SplitNames>,
    policies: Vec<Arc<BadRowPolicy>>,
    abort: Arc<Abort>,
    metrics: Arc<Metrics>,
    demand: Arc<Demand>,
    gauge: Arc<Gauge>,
    spill: Arc<dyn Spill>,
    folder: Arc<SpillFolder>,
    prepared: PreparedSinks,
    snapshots: Option<Arc<Snapshots>>,
    pause: Arc<Pause>,
    /// What the run goes on from.
    earlier: Option<Snapshot>,
    /// What it begins with.
    trained: Option<Trained>,
}

impl Run {
    /// Prepares a run: lists the splits, lays out the operators, divides the memory.
    ///
    /// # Errors
    /// When a source cannot list its splits.
    pub fn new(plan: Plan, settings: Settings) -> Result<Self> {
        let settings = Settings {
            workers: settings.workers.max(1),
            batch_rows: settings.batch_rows.max(1),
            ..settings
        };
        let metrics = Metrics::new(plan.nodes.iter().map(label).collect());
        let layout = lay_out(&plan, settings.workers);
        let shares = layout.shares(settings.memory, settings.workers, settings.state.is_some());
        let mut splits = Vec::new();
        for node in &layout.sources {
            let node = &plan.nodes[*node];
            if let Work::Source(source) = &node.work {
                splits.push(
                    source
                        .splits()
                        .map_err(|error| error.component(&*node.id))?,
                );
            }
        }
        for (node, splits) in layout.sources.iter().zip(&splits) {
            announce(&metrics, *node, splits, grows(&plan.nodes[*node]));
            tracing::info!(component = %plan.nodes[*node].id, files = splits.len(), "counted what there is to read");
        }
        if settings.state.is_some() {
            earlier::check_repeatable(&plan, &layout)?;
        }
        let kept = settings.state.as_ref();
        let kept = kept
            .map(|state| Kept::open(state, &plan.name))
            .transpose()?;
        let (store, earlier) = match kept {
            Some(kept) => (Some(kept.store), kept.earlier),
            None => (None, None),
        };
        let folder = SpillFolder::new(
            settings.spill_dir.clone(),
            settings.spill_limit,
            store.clone(),
            Arc::clone(&metrics),
        );
        let facts = earlier.as_ref().map(|(_, manifest)| &manifest.facts);
        let trained = settings.trained.as_ref().filter(|_| earlier.is_none());
        let trained = trained.map(Trained::open).transpose()?;
        let numbered = earlier::numbered(&plan, &layout, splits, facts, trained.as_ref())?;
        let (splits, further) = numbered;
        let snapshots = store.zip(settings.state.as_ref()).map(|(store, state)| {
            let operators = earlier::operators(&plan, &layout);
            let last = earlier.as_ref().map(|(snapshot, _)| snapshot);
            let workers = settings.workers;
            let snapshots = Snapshots::new(store, operators, workers, state, last, &metrics);
            Arc::new(snapshots)
        });
        let gauge = Gauge::new();
        metrics.watch_memory(Arc::clone(&gauge), shares.sources, settings.memory);
        let demand = Demand::new(&plan);
        let policies = plan.nodes.iter().enumerate().map(|(node, planned)| {
            let id = Arc::clone(&planned.id);
            let may_be_done = demand.may_be_done(node);
            let policy = BadRowPolicy::new(id, node, planned.on_error, may_be_done);
            match settings.state {
                Some(_) => policy.by_epoch(),
                None => policy,
            }
        });
        let policies: Vec<_> = policies.map(Arc::new).collect();
        let earlier = earlier.map(|(snapshot, mut manifest)| {
            for policy in &policies {
                let known = manifest.facts.bad_rows.remove(&*policy.id);
                policy.resume(known.unwrap_or_default());
            }
            snapshot
        });
        let shared = Shared {
            policies,
            names: Arc::new(SplitNames::of(&splits)),
            further: Arc::new(further),
            abort: Abort::new(),
            demand: Arc::new(demand),
            spill: Arc::new(SpillSpace(Arc::clone(&folder))),
            folder,
            prepared: PreparedSinks::default(),
            snapshots,
            pause: Arc::default(),
            earlier,
            trained,
            plan,
            layout,
            settings,
            shares,
            splits,
            metrics,
            gauge,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The numbers, live.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// A handle that stops the run.
    pub fn stop_handle(&self) -> Stop {
        Stop {
            abort: Arc::clone(&self.shared.abort),
            pause: (self.shared.snapshots.is_some()).then(|| Arc::clone(&self.shared.pause)),
        }
    }

    /// The number of the snapshot that the run goes on from, if it does.
    pub fn goes_on_from(&self) -> Option<u64> {
        self.shared.earlier.as_ref().map(Snapshot::number)
    }

    /// Where state of another pipeline is taken over: the number of its snapshot, and the components.
    pub fn takes_over(&self) -> Option<(u64, Vec<String>)> {
        let trained = self.shared.trained.as_ref()?;
        let components = trained.components.iter().cloned();
        Some((trained.snapshot.number(), components.collect()))
    }

    /// Runs to the end and makes the results visible.
    ///
    /// # Errors
    /// The first error of any component; then nothing appears under a final name.
    pub fn execute(self) -> Result<Report> {
        let shared = Arc::clone(&self.shared);
        log_start(&shared);
        let (builders, others) = CommunicationConfig::Process(shared.settings.workers)
            .try_build()
            .map_err(|error| Error::resource(format!("cannot start workers: {error}")))?;
        let config = timely::WorkerConfig::default();
        let work = move |worker: &mut Worker| work(&shared, worker);
        let guards = timely::execute::execute_from(builders, others, config, work)
            .map_err(|error| Error::resource(format!("cannot start workers: {error}")))?;
        for result in guards.join() {
            if let Err(error) = result {
                self.shared
                    .abort
                    .raise(Error::internal(format!("a worker was lost: {error}")));
            }
        }
        self.close()
    }

    fn close(self) -> Result<Report> {
        let shared = self.shared;
        let numbers = shared.metrics.numbers();
        log_bad_rows(&numbers);
        if let Some(error) = shared.abort.reason() {
            lock(&shared.prepared).clear();
            return Err(error);
        }
        for policy in &shared.policies {
            policy.judge(None, &shared.demand)?;
        }
        let mut prepared = std::mem::take(&mut *lock(&shared.prepared));
        prepared.sort_by_key(|sink| sink.node);
        check_apart(&prepared)?;
        Moment::AllPrepared.pass();
        let mut receipts = Vec::new();
        for sink in &mut prepared {
            unless_closed(sink.writer.commit()).map_err(|error| error.component(&*sink.id))?;
            log_commit(sink);
            receipts.push((sink.id.to_string(), sink.receipt.clone()));
        }
        Moment::AllCommitted.pass();
        remember_remarks(&shared);
        let numbers = shared.metrics.numbers();
        tracing::info!(seconds = numbers.seconds, "the run is complete");
        Ok(Report {
            numbers,
            receipts,
            workers: shared.settings.workers,
        })
    }
}

/// What sources noticed goes into the closing report.
fn remember_remarks(shared: &Shared) {
    for (index, node) in shared.plan.nodes.iter().enumerate() {
        if let Work::Source(source) = &node.work {
            for (text, count) in source.remarks() {
                shared.metrics.of(index).note(&text, count);
            }
        }
    }
}

fn log_start(shared: &Shared) {
    let shares = &shared.shares;
    tracing::info!(
        pipeline = %shared.plan.name,
        workers = shared.settings.workers,
        memory = shared.settings.memory,
        sources_share = shares.sources,
        state_share = shares.state,
        "the run starts"
    );
    for operator in &shared.layout.operators {
        tracing::debug!(
            operator = %operator.name,
            rows = ?operator.address,
            ordered = operator.ordered,
            stateful = operator.stateful,
            "laid out"
        );
    }
}

/// Each reason once, with its count. The closing report says the same, so these events have a target of their own.
fn log_bad_rows(numbers: &Numbers) {
    for component in &numbers.components {
        for bad in &component.errors {
            tracing::warn!(
                target: "dataflow_engine::bad_rows",
                component = %component.label.id,
                reason = %bad.reason,
                count = bad.count,
                first = bad.at.as_deref().unwrap_or("unknown"),
                "bad rows, such as: {}",
                bad.first
            );
        }
    }
}

fn log_commit(sink: &Prepared) {
    let receipt = &sink.receipt;
    let files = receipt.files.len();
    tracing::info!(component = %sink.id, rows = receipt.rows, bytes = receipt.bytes, files, "committed");
    for file in &receipt.files {
        tracing::debug!(component = %sink.id, file = %file.path, rows = file.rows, bytes = file.bytes, "finished");
    }
}

fn label(node: &dataflow_core::plan::PlanNode) -> Label {
    let family = match node.work {
        Work::Source(_) => "source",
        Work::Transform(_) => "transform",
        Work::Sink(_) => "sink",
    };
    Label {
        id: Arc::clone(&node.id),
        type_name: node.type_name.clone(),
        family,
        ports: node.ports.iter().map(|port| port.name.clone()).collect(),
    }
}

/// Whether splits come while a source is read.
fn grows(node: &PlanNode) -> bool {
    matches!(&node.work, Work::Source(source) if source.grows())
}

/// What there is to read. Of a source that grows it is not known how much that will be.
fn announce(metrics: &Metrics, node: usize, splits: &[Split], grows: bool) {
    let counters = metrics.of(node);
    counters
        .splits
        .store(splits.len() as u64, Ordering::Relaxed);
    if grows {
        return;
    }
    if let Some(bytes) = splits.iter().map(|split| split.bytes).sum::<Option<u64>>() {
        counters.input_total.store(bytes, Ordering::Relaxed);
    }
    if let Some(rows) = splits.iter().map(|split| split.rows).sum::<Option<u64>>() {
        counters.rows_total.store(rows, Ordering::Relaxed);
    }
}

/// One worker's life. Whatever happens, its dataflow is gone when this returns: timely would step it for ever otherwise.
fn work(shared: &Arc<Shared>, worker: &mut Worker) {
    shared.abort.wake_me();
    let index = worker.next_dataflow_index();
    let stepped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let began = std::time::Instant::now();
        worker.dataflow::<u64, _, _>(|scope| build(shared, scope));
        if shared.earlier.is_some() {
            let seconds = began.elapsed().as_secs_f64();
            tracing::debug!(seconds, "a worker has taken up what was held");
        }
        while !shared.abort.is_raised() && worker.has_dataflows() {
            worker.step_or_park(None);
        }
    }));
    if let Err(panic) = stepped {
        shared.abort.raise(from_panic(panic.as_ref()));
    }
    for dataflow in worker.installed_dataflows() {
        worker.drop_dataflow(dataflow);
    }
    worker.drop_dataflow(index);
}

/// Builds the dataflow. No barrier, no shared state that a failing worker would leave others waiting for.
fn build<'s>(shared: &Arc<Shared>, scope: Scope<'s, u64>) {
    let (progress_loop, progress) = scope.feedback(Default::default());
    let (facts_loop, facts) = scope.feedback(Default::default());
    let desk_shape = Shape {
        name: "desk".to_string(),
        inputs: vec![(progress, None), (facts, Some(Address::Written))],
        outputs: shared.layout.sources.len(),
        connected: false,
    };
    let tokens = operator(scope, desk_shape, |start| {
        let mut desk = Desk::new(desk_setup(shared), start);
        move |activation| desk.activate(activation)
    });
    let mut tokens: Vec<Option<Parcels<'s>>> = tokens.into_iter().map(Some).collect();
    let mut streams: HashMap<OutputRef, Parcels<'s>> = HashMap::new();
    let mut all_facts = Vec::new();
    let mut all_progress = Vec::new();
    for (index, job) in shared.layout.operators.iter().enumerate() {
        let mut outputs = match &job.job {
            Job::Read(number) => {
                let Some(tokens) = tokens[*number].take() else {
                    continue;
                };
                build_reader(shared, scope, job, *number, tokens)
            }
            _ => build_stage(shared, scope, (index, job), &streams),
        };
        all_progress.extend(outputs.pop());
        if matches!(job.job, Job::Read(_)) {
            all_facts.extend(outputs.pop());
        }
        for (output, stream) in outputs.into_iter().enumerate() {
            streams.insert(
                OutputRef {
                    operator: index,
                    output,
                },
                stream,
            );
        }
    }
    scope.concatenate(all_progress).connect_loop(progress_loop);
    scope.concatenate(all_facts).connect_loop(facts_loop);
}

fn desk_setup(shared: &Arc<Shared>) -> DeskSetup {
    let mut sources = Vec::new();
    let (first, awaited) = (shared.plan.read_first(), shared.plan.awaited());
    let numbers = |nodes: &BTreeSet<usize>| -> Vec<usize> {
        let numbered = shared.layout.sources.iter().enumerate();
        let numbered = numbered.filter(|(_, node)| nodes.contains(node));
        numbered.map(|(number, _)| number).collect()
    };
    for (node, splits) in shared.layout.sources.iter().zip(&shared.splits) {
        let planned = &shared.plan.nodes[*node];
        if let Work::Source(source) = &planned.work {
            sources.push(DeskSource {
                node: *node,
                id: Arc::clone(&planned.id),
                source: Arc::clone(source),
                splits: splits.clone(),
                time: shared.layout.times[sources.len()],
                behind: numbers(&first[*node]),
                awaited: awaited.contains(node),
            });
        }
    }
    DeskSetup {
        sources,
        share: shared.shares.sources,
        gauge: Arc::clone(&shared.gauge),
        abort: Arc::clone(&shared.abort),
        metrics: Arc::clone(&shared.metrics),
        demand: Arc::clone(&shared.demand),
        policies: shared.policies.clone(),
        open_files: shared.settings.open_files,
        further: Arc::clone(&shared.further),
        names: Arc::clone(&shared.names),
        pulses: pulses(&shared.plan),
        snapshots: shared
            .snapshots
            .clone()
            .zip(shared.settings.state.as_ref().map(|s| s.every)),
        pause: Arc::clone(&shared.pause),
    }
}

/// The components that write early results, and how often.
fn pulses(plan: &Plan) -> Vec<(usize, Duration)> {
    let every = |(index, node): (usize, &PlanNode)| match &node.work {
        Work::Transform(transform) => {
            let stages = transform.stages().into_iter();
            let every = stages.filter_map(|stage| stage.every).min();
            every.map(|every| (index, every))
        }
        _ => None,
    };
    plan.nodes.iter().enumerate().filter_map(every).collect()
}

fn outlet(shared: &Shared, job: &Operator) -> Outlet {
    let outlet = Outlet::new(
        Arc::clone(&shared.policies[job.node]),
        Arc::clone(&shared.names),
        Arc::clone(&shared.metrics),
        (job.wanted.clone(), job.errors),
        job.amplifies.then_some(shared.shares.amplifying),
    );
    match job.job {
        Job::Write(_) => outlet.of_writer(shared.shares.waiting.clamp(1, beside::AHEAD)),
        _ => outlet,
    }
}

fn build_reader<'s>(
    shared: &Arc<Shared>,
    scope: Scope<'s, u64>,
    job: &Operator,
    number: usize,
    tokens: Parcels<'s>,
) -> Vec<Parcels<'s>> {
    let node = shared.layout.sources[number];
    let planned = &shared.plan.nodes[node];
    let Work::Source(source) = &planned.work else {
        return Vec::new();
    };
    let setup = ReadingSetup {
        node,
        id: Arc::clone(&planned.id),
        source: Arc::clone(source),
        facts: job.facts(),
        time: shared.layout.times[number].map(|time| time.rule),
        batch_rows: shared.settings.batch_rows,
        from: earlier::rows_read(shared, number),
        passed: earlier::passed(shared, number),
        abort: Arc::clone(&shared.abort),
        metrics: Arc::clone(&shared.metrics),
    };
    let shape = Shape {
        name: job.name.clone(),
        inputs: vec![(tokens, Some(Address::Written))],
        outputs: job.outputs(),
        connected: true,
    };
    let outlet = outlet(shared, job);
    operator(scope, shape, |start| {
        let mut reading = ReadingOperator::new(setup, outlet, start);
        move |activation| reading.activate(activation)
    })
}

fn build_stage<'s>(
    shared: &Arc<Shared>,
    scope: Scope<'s, u64>,
    (index, job): (usize, &Operator),
    streams: &HashMap<OutputRef, Parcels<'s>>,
) -> Vec<Parcels<'s>> {
    let input = |feed: &Feed| Some((streams.get(&feed.from).cloned()?, feed.address));
    let shape = Shape {
        name: job.name.clone(),
        inputs: job.feeds.iter().filter_map(input).collect(),
        outputs: job.outputs(),
        connected: true,
    };
    operator(scope, shape, |start| {
        let outlet = outlet(shared, job);
        let stage = make_stage(shared, (index, job), &start, outlet.gauge());
        let setup = stage_setup(shared, job, index);
        let mut stage = StageOperator::new(setup, stage, outlet, start);
        let id = &shared.plan.nodes[job.node].id;
        let _ = shared
            .abort
            .guard(id, || earlier::resume(shared, (index, job), &mut stage));
        move |activation| stage.activate(activation)
    })
}

/// The stage of this worker, or none where all rows go to another.
fn make_stage(
    shared: &Arc<Shared>,
    (index, job): (usize, &Operator),
    start: &Start,
    gauge: &Arc<Gauge>,
) -> Option<Box<dyn Stage>> {
    if matches!(job.address, Some(Address::Worker(to)) if to != start.worker) {
        return None;
    }
    let id = &shared.plan.nodes[job.node].id;
    shared.abort.guard(id, || match &job.job {
        Job::Stage(make) => make(StageContext {
            id: Arc::clone(id),
            worker: start.worker,
            workers: start.workers,
            batch_rows: shared.settings.batch_rows,
            memory: shared.shares.state,
            spill: Arc::clone(&shared.spill),
        }),
        Job::Write(sink) => {
            let context = SinkContext {
                id: Arc::clone(id),
                stdout: Arc::clone(&shared.settings.stdout),
                width: shared.settings.width,
                shares_stdout: shared.plan.printing() > 1,
                snapshots: shared.snapshots.is_some(),
            };
            let prepared = Arc::clone(&shared.prepared);
            let writer = earlier::open(shared, (index, job), sink.as_ref(), &context);
            let writer = writer.and_then(|writer| match start.workers {
                // Whoever asks for one worker wants one thread to do the work.
                1 => Ok(writer),
                _ => Ok(Box::new(Beside::new(writer, beside_setup(shared, job, gauge))?) as _),
            });
            let writing = Writing::new(job.node, Arc::clone(id), writer, prepared)?;
            Ok(Box::new(writing) as Box<dyn Stage>)
        }
        Job::Read(_) => Err(Error::internal("a reader is no stage")),
    })
}

fn beside_setup(shared: &Arc<Shared>, job: &Operator, gauge: &Arc<Gauge>) -> BesideSetup {
    BesideSetup {
        node: job.node,
        id: Arc::clone(&shared.plan.nodes[job.node].id),
        gauge: Arc::clone(gauge),
        abort: Arc::clone(&shared.abort),
        metrics: Arc::clone(&shared.metrics),
    }
}

fn stage_setup(shared: &Arc<Shared>, job: &Operator, index: usize) -> StageSetup {
    StageSetup {
        node: job.node,
        id: Arc::clone(&shared.plan.nodes[job.node].id),
        ordered: job.ordered,
        number: job.number,
        renumber: job.renumber,
        feeds: job.feeds.clone(),
        lines: job.lines,
        copies: job.copies,
        sorts: job.emits == Emits::SortedAtEnd,
        last: job.last,
        writes: matches!(job.job, Job::Write(_)),
        ports: job.ports,
        batch_rows: shared.settings.batch_rows,
        spool_bytes: shared.shares.waiting,
        spill: Arc::clone(&shared.spill),
        abort: Arc::clone(&shared.abort),
        metrics: Arc::clone(&shared.metrics),
        demand: Arc::clone(&shared.demand),
        snapshots: shared.snapshots.clone().map(|snapshots| (snapshots, index)),
    }
}
