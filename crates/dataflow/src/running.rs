//! A run in progress: watch it, pull from it, stop it, wait for it.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use dataflow_core::plan::{Plan, PortIndex, Work};
use dataflow_core::{Error, Result};
use dataflow_engine::{
    Known, Metrics, Numbers, Report, Run, Settings, StateSettings, Stop, TrainedSettings,
};
use dataflow_pipeline::Checked;

use crate::machine;
use crate::pull::{Batches, pull};

/// Something that is called now and then with the numbers of the run.
pub type Progress = Box<dyn FnMut(&Numbers) + Send>;

/// How a pipeline is run; what is not given here comes from its file. None of this changes the result.
#[derive(Default)]
pub struct Options {
    /// Worker threads; 0 is one per core.
    pub workers: Option<usize>,
    /// Bytes for queues and state together.
    pub memory: Option<usize>,
    /// Stops the run with an error when it takes longer.
    pub deadline: Option<Duration>,
    /// Called about every so often, and once at the end.
    pub progress: Option<(Duration, Progress)>,
    /// Serves metrics there, whatever the file says.
    pub metrics: Option<SocketAddr>,
    /// What sinks take as standard output.
    pub stdout: Option<Arc<Mutex<dyn Write + Send>>>,
    /// The terminal's width in columns, if standard output is one.
    pub width: Option<usize>,
    /// Begins anew, whatever snapshots there are.
    pub fresh: bool,
}

/// A run in progress. Dropped, it is stopped.
pub struct Running {
    thread: Option<JoinHandle<Result<Report>>>,
    helpers: Vec<JoinHandle<()>>,
    /// Dropped when the run is over, which tells the helpers.
    over: Option<crossbeam_channel::Sender<()>>,
    stop: Stop,
    metrics: Arc<Metrics>,
    pulls: BTreeMap<String, Batches>,
    goes_on_from: Option<u64>,
    takes_over: Option<(u64, Vec<String>)>,
    #[cfg(feature = "metrics-server")]
    server: Option<crate::server::MetricsServer>,
}

impl Running {
    pub(crate) fn start(checked: &Checked, pulled: &[String], options: Options) -> Result<Self> {
        let mut plan = checked.plan.clone();
        let mut pulls = BTreeMap::new();
        let (open, stopped) = crossbeam_channel::bounded::<()>(0);
        for output in pulled {
            let (sink, batches) = pull(stopped.clone());
            replace_sink(&mut plan, output, sink)?;
            pulls.insert(output.clone(), batches);
        }
        let name = plan.name.clone();
        let settings = settings(checked, &options);
        let run = Run::new(plan, settings)?;
        let (metrics, stop) = (run.metrics(), run.stop_handle());
        let goes_on_from = run.goes_on_from();
        let takes_over = run.takes_over();
        stop.when_stopped(move || drop(open));
        #[cfg(feature = "metrics-server")]
        let server = match options.metrics.or(checked.settings.metrics_listen) {
            Some(address) => Some(crate::server::MetricsServer::start(
                address,
                &name,
                Arc::clone(&metrics),
            )?),
            None => None,
        };
        let (over, running) = crossbeam_channel::bounded::<()>(0);
        let mut helpers = Vec::new();
        if let Some(deadline) = options.deadline {
            helpers.push(watch_deadline(deadline, running.clone(), stop.clone()));
        }
        if let Some((every, progress)) = options.progress {
            helpers.push(report_progress(
                every,
                progress,
                running,
                Arc::clone(&metrics),
            ));
        }
        let thread = std::thread::Builder::new()
            .name(format!("run {name}"))
            .spawn(move || run.execute());
        let thread =
            thread.map_err(|error| Error::resource(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            thread: Some(thread),
            helpers,
            over: Some(over),
            stop,
            metrics,
            pulls,
            goes_on_from,
            takes_over,
            #[cfg(feature = "metrics-server")]
            server,
        })
    }

    /// The rows of an output that was named with [`Builder::pull`](crate::Builder::pull); each can be taken once.
    ///
    /// # Errors
    /// When it was not named, or was taken already.
    pub fn batches(&mut self, output: &str) -> Result<Batches> {
        self.pulls.remove(output).ok_or_else(|| {
            Error::new(
                dataflow_core::error::Fault::Pipeline,
                format!("the rows of `{output}` cannot be pulled"),
            )
            .help("name it with `pull` before loading; each output can be taken once")
        })
    }

    /// A handle that stops the run from anywhere.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// The number of the snapshot that the run goes on from, if it does.
    pub fn goes_on_from(&self) -> Option<u64> {
        self.goes_on_from
    }

    /// Where it begins with state of another pipeline: the number of that snapshot, and the components that take theirs over.
    pub fn takes_over(&self) -> Option<(u64, &[String])> {
        let (number, components) = self.takes_over.as_ref()?;
        Some((*number, components))
    }

    /// The numbers, live.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Where metrics are served, if they are.
    #[cfg(feature = "metrics-server")]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.server
            .as_ref()
            .and_then(crate::server::MetricsServer::address)
    }

    /// Waits for the end. Outputs that were to be pulled and were not are read to their end. [`Batches`] that somebody
    /// holds must be read on another thread, or dropped first: the run waits for whoever pulls.
    ///
    /// # Errors
    /// The first error of any component; then nothing appears under a final name.
    pub fn finish(mut self) -> Result<Report> {
        for (_, batches) in std::mem::take(&mut self.pulls) {
            let drain = std::thread::Builder::new().spawn(move || batches.for_each(drop));
            self.helpers.extend(drain.ok());
        }
        self.join()
    }

    fn join(&mut self) -> Result<Report> {
        let Some(thread) = self.thread.take() else {
            return Err(Error::internal("the run is over already"));
        };
        let result = thread
            .join()
            .unwrap_or_else(|_| Err(Error::internal("the run's thread panicked")));
        self.over = None;
        for helper in self.helpers.drain(..) {
            // A progress hook that panics concerns its owner: the panic was printed by the hook of the process.
            let _ = helper.join();
        }
        result
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop.stop();
            self.pulls.clear();
            // Nobody is left to hear of the error.
            let _ = self.join();
        }
    }
}

fn settings(checked: &Checked, options: &Options) -> Settings {
    let written = &checked.settings;
    let defaults = Settings::default();
    let workers = match options.workers.unwrap_or(written.workers) {
        0 => machine::cores(),
        workers => workers,
    };
    Settings {
        state: state(checked, options),
        trained: trained(checked),
        workers,
        memory: options.memory.unwrap_or(written.memory.0 as usize),
        batch_rows: written.batch_rows,
        open_files: written.open_files,
        spill_dir: written.spill_dir.clone().unwrap_or(defaults.spill_dir),
        spill_limit: written.spill_limit.map(|bytes| bytes.0),
        stdout: options.stdout.clone().unwrap_or(defaults.stdout),
        width: options.width,
    }
}

/// Where snapshots go, if the pipeline says so.
fn state(checked: &Checked, options: &Options) -> Option<StateSettings> {
    let state = checked.settings.state.as_ref()?;
    Some(StateSettings {
        folder: state.dir.clone(),
        every: state.every,
        fresh: options.fresh,
        about: checked.about.clone(),
        run_time: checked.run_time,
        components: components(checked),
    })
}

/// What to begin with, if the pipeline says so.
fn trained(checked: &Checked) -> Option<TrainedSettings> {
    Some(TrainedSettings {
        folder: checked.settings.trained.clone()?,
        components: components(checked),
    })
}

fn components(checked: &Checked) -> BTreeMap<String, Known> {
    let each = checked.transforms.iter().map(|(id, known)| {
        let (type_name, settings) = known.clone();
        (
            id.clone(),
            Known {
                type_name,
                settings,
            },
        )
    });
    each.collect()
}

/// Puts `sink` where the loader put a console for the rows of `output`.
fn replace_sink(plan: &mut Plan, output: &str, sink: Arc<dyn dataflow_core::Sink>) -> Result<()> {
    let (id, port) = output.split_once('.').unwrap_or((output, ""));
    let wanted = |plan: &Plan, node: usize| -> bool {
        let [slot] = plan.nodes[node].inputs.as_slice() else {
            return false;
        };
        let [from] = slot.as_slice() else {
            return false;
        };
        let source = &plan.nodes[from.node];
        let name = match from.port {
            PortIndex::Errors => "errors",
            PortIndex::Declared(index) => source
                .ports
                .get(index)
                .map_or("", |port| port.name.as_str()),
        };
        &*source.id == id && name == port
    };
    let mut consoles =
        (0..plan.nodes.len()).filter(|node| plan.nodes[*node].type_name == "console");
    let found = consoles.rfind(|node| wanted(plan, *node));
    let node = found.ok_or_else(|| Error::internal(format!("there is no output `{output}`")))?;
    plan.nodes[node].work = Work::Sink(sink);
    plan.nodes[node].type_name = "pull".to_string();
    Ok(())
}

fn watch_deadline(
    after: Duration,
    running: crossbeam_channel::Receiver<()>,
    stop: Stop,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        // Waiting ends early when the run is over.
        if running.recv_timeout(after) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
            stop.because(&format!(
                "the run took longer than its deadline of {after:?}"
            ));
        }
    })
}

fn report_progress(
    every: Duration,
    mut progress: Progress,
    running: crossbeam_channel::Receiver<()>,
    metrics: Arc<Metrics>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while running.recv_timeout(every) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
            progress(&metrics.numbers());
        }
        progress(&metrics.numbers());
    })
}
