//! Commands that run something: a pipeline, statistics of a file, its first rows.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use clap::CommandFactory;
use dataflow::core::error::Fault;
use dataflow::core::words::type_word;
use dataflow::describe::{Load, Parameter};
use dataflow::state::first_started;
use dataflow::{Options, Pipeline, Report, prometheus, report};

use crate::arguments::{Arguments, Describe, Peek, Run, TextOrJson};
use crate::exit::Failure;
use crate::files::{load_options, load_with};
use crate::pages::print;
use crate::{progress, signals};

/// `dataflow run`
pub fn run(options: &Run, arguments: &Arguments) -> Result<(), Failure> {
    let Some(path) = options.pipeline.as_deref() else {
        return help(None, options);
    };
    if options.help {
        return help(Some(path), options);
    }
    let mut load_as = load_options(&options.loading, false)?;
    let mut pipeline = load_with(path, load_as.clone(), arguments.quiet).map_err(of_data)?;
    let state = pipeline.checked().settings.state.clone();
    let earlier = state.as_ref().filter(|_| !options.fresh);
    if let Some(first) = earlier.and_then(|state| first_started(&state.dir)) {
        // `run_time()` is what it was when the work was begun.
        load_as.run_time = Some(first);
        pipeline = load_with(path, load_as, true).map_err(of_data)?;
    }
    let redact = |error: dataflow::Error| {
        Failure::Run(
            error.fault(),
            pipeline.problems().texts.redact(&error.to_string()),
        )
    };
    let running = pipeline
        .start_with(Options {
            workers: options.workers,
            memory: options.memory.map(|bytes| bytes.0 as usize),
            deadline: options
                .deadline
                .map(dataflow::core::units::Duration::to_std),
            progress: progress::hook(arguments.quiet),
            metrics: options.metrics,
            width: width(),
            fresh: options.fresh,
            ..Options::default()
        })
        .map_err(redact)?;
    if let (Some(number), false) = (running.goes_on_from(), arguments.quiet) {
        eprintln!("goes on from snapshot {number} (`--fresh` begins anew)");
    }
    if let (Some((number, components)), false) = (running.takes_over(), arguments.quiet) {
        let components: Vec<String> = components.iter().map(|id| format!("`{id}`")).collect();
        eprintln!(
            "begins with the state of {} in snapshot {number} of another pipeline",
            components.join(", ")
        );
    }
    if let (Some(address), false) = (running.metrics_address(), arguments.quiet) {
        eprintln!("metrics at http://{address}/metrics");
    }
    let grace = state.map_or(Duration::ZERO, |state| state.grace);
    signals::stop_at_signal(running.stop_handle(), grace);
    let metrics = running.metrics();
    let finished = running.finish();
    progress::clear();
    if let Some(file) = &options.metrics_file {
        let text = prometheus::text(&pipeline.checked().plan.name, &metrics.numbers());
        write_whole(file, &text)?;
    }
    let report = finished.map_err(|error| match error.fault() {
        Fault::Paused => Failure::Run(
            Fault::Paused,
            format!(
                "stopped; `dataflow run {}` goes on from here",
                path.display()
            ),
        ),
        _ => redact(error),
    })?;
    match options.format {
        // Whoever asks for it in so many words gets it, and finds it in the last line.
        TextOrJson::Json => eprintln!("{}", report::json(&report)),
        TextOrJson::Text if arguments.quiet => {}
        TextOrJson::Text => eprint!("{}", report::text(&report)),
    }
    Ok(())
}

/// To a run, data that was found to be wrong beforehand is no other failure than data that is found so later.
fn of_data(failure: Failure) -> Failure {
    match failure {
        Failure::Pipeline(error) if error.problems.problems.only_data() => Failure::Data(error),
        other => other,
    }
}

/// Writes a file so that whoever reads it sees all of it or none.
fn write_whole(path: &Path, text: &str) -> Result<(), Failure> {
    let partial = path.with_extension("partial");
    let written = std::fs::write(&partial, text).and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|error| dataflow::Error::io("write the metrics", path.display(), &error).into())
}

/// The terminal's width, if standard output is one.
fn width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let mut size = std::mem::MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the pointer is to a whole `winsize`, which the call fills or leaves zeroed.
    let size = unsafe {
        libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr());
        size.assume_init()
    };
    Some(usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .or(Some(80))
}

/// `dataflow run [PIPELINE] --help`
fn help(path: Option<&Path>, options: &Run) -> Result<(), Failure> {
    let mut command = Arguments::command();
    command.build();
    let Some(run) = command.find_subcommand_mut("run") else {
        return Ok(());
    };
    let mut text = run.render_help().to_string();
    if let Some(path) = path {
        let loaded = Pipeline::from_file(path)
            .options(load_options(&options.loading, true)?)
            .check();
        text.push_str(&format!(
            "\nParameters of {} (set with --set NAME=VALUE):\n",
            path.display()
        ));
        if loaded.parameters.is_empty() {
            text.push_str("  none\n");
        }
        for parameter in &loaded.parameters {
            text.push_str(&parameter_line(parameter));
        }
        text = loaded.report.texts.redact(&text);
    }
    print(&text)
}

fn parameter_line(parameter: &Parameter) -> String {
    let default = parameter
        .default
        .as_ref()
        .map_or("no default".to_string(), |value| format!("default {value}"));
    let help = parameter
        .help
        .as_ref()
        .map_or(String::new(), |help| format!("  {help}"));
    format!(
        "  {:16} {:8} {default}{help}\n",
        parameter.name,
        parameter.of_type.word()
    )
}

/// Loads a pipeline of the program's own: nobody wrote it, so problems are told without their place in it.
fn load_own(text: &str, load: Load) -> Result<Pipeline, Failure> {
    Pipeline::from_text(text)
        .options(load)
        .load()
        .map_err(|error| {
            let problems = error.problems.problems.in_file_order();
            let told = problems.iter().map(|problem| match &problem.help {
                Some(help) => format!("{}\n  help: {help}", problem.message),
                None => problem.message.clone(),
            });
            let message = told.collect::<Vec<_>>().join("\nerror: ");
            Failure::Run(Fault::Data, message)
        })
}

const DESCRIBE: &str = r#"
params = { data = "", print = "table" }
[sources.input]
type = "file"
path = "${data}"
schema = "union"
on_error = "drop"
[transforms.statistics]
type = "describe"
inputs = ["input"]
[sinks.print]
type = "console"
inputs = ["statistics"]
rows = 100_000
format = "${print}"
"#;

/// `dataflow describe`
pub fn describe(options: &Describe, arguments: &Arguments) -> Result<(), Failure> {
    let load = Load {
        set: vec![
            format!("data={}", options.path),
            format!("print={}", options.format.word()),
        ],
        rows: options.rows,
        ..Load::default()
    };
    let pipeline = load_own(DESCRIBE, load)?;
    let running = pipeline.start_with(Options {
        workers: options.workers,
        memory: options.memory.map(|bytes| bytes.0 as usize),
        progress: progress::hook(arguments.quiet),
        width: width(),
        ..Options::default()
    })?;
    signals::stop_at_signal(running.stop_handle(), Duration::ZERO);
    let finished = running.finish();
    progress::clear();
    let report = finished?;
    if !arguments.quiet {
        eprint!("{}", remarks(&report));
    }
    Ok(())
}

/// What the numbers do not say of themselves: rows that are not among them, and which of them are approximate.
fn remarks(report: &Report) -> String {
    let mut text = String::new();
    for component in &report.numbers.components {
        for bad in &component.errors {
            let plural = if bad.count == 1 { "row" } else { "rows" };
            let (count, reason) = (report::grouped(bad.count), &bad.reason);
            text.push_str(&format!("left out {count} bad {plural} ({reason})\n"));
        }
        for (note, _) in &component.notes {
            text.push_str(&format!("{note}\n"));
        }
    }
    text
}

const PEEK: &str = r#"
params = { data = "", print = "table", rows = 10 }
[sources.input]
type = "file"
path = "${data}"
schema = "union"
on_error = "drop"
[transforms.first]
type = "limit"
inputs = ["input"]
rows = "${rows}"
[sinks.print]
type = "console"
inputs = ["first"]
rows = 100_000
format = "${print}"
"#;

/// `dataflow peek`
pub fn peek(options: &Peek, arguments: &Arguments) -> Result<(), Failure> {
    let rows = options.rows;
    let load = Load {
        set: vec![
            format!("data={}", options.path),
            format!("print={}", options.format.word()),
            format!("rows={rows}"),
        ],
        rows: Some(rows),
        ..Load::default()
    };
    let pipeline = load_own(PEEK, load)?;
    if options.format == crate::arguments::RowFormat::Table {
        print(&columns(&pipeline))?;
    }
    let running = pipeline.start_with(Options {
        workers: Some(1),
        width: width(),
        ..Options::default()
    })?;
    signals::stop_at_signal(running.stop_handle(), Duration::ZERO);
    let report = running.finish()?;
    if !arguments.quiet {
        eprint!("{}", remarks(&report));
    }
    Ok(())
}

/// The columns of the first source, a line each.
fn columns(pipeline: &Pipeline) -> String {
    let Some(port) = pipeline
        .checked()
        .plan
        .nodes
        .first()
        .and_then(|node| node.ports.first())
    else {
        return String::new();
    };
    let fields = port.schema.fields();
    let width = fields
        .iter()
        .map(|field| field.name().chars().count())
        .max()
        .unwrap_or(0);
    let line = |field: &std::sync::Arc<arrow_schema::Field>| {
        format!(
            "  {:width$}  {}\n",
            field.name(),
            type_word(field.data_type())
        )
    };
    format!(
        "{} column{}\n{}\n",
        fields.len(),
        if fields.len() == 1 { "" } else { "s" },
        fields.iter().map(line).collect::<String>()
    )
}
