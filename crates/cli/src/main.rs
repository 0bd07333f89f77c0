//! The `dataflow` program: arguments in, exit code out. Everything else is the library.

mod allocator;
mod arguments;
mod exit;
mod files;
mod pages;
mod progress;
mod run;
mod signals;
mod state;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    allocator::fix();
    let arguments = Arguments::parse();
    start_log(&arguments);
    let outcome = match &arguments.command {
        Command::Run(options) => run::run(options, &arguments),
        Command::Validate(options) => files::validate(options, arguments.quiet),
        Command::Test(options) => files::test(options, arguments.quiet),
        Command::Explain(options) => files::explain(options, arguments.quiet),
        Command::Graph(options) => files::graph(options, arguments.quiet),
        Command::State(options) => state::state(options, arguments.quiet),
        Command::Describe(options) => run::describe(options, &arguments),
        Command::Peek(options) => run::peek(options, &arguments),
        Command::List(options) => pages::list(options),
        Command::Show(options) => pages::show(options),
        Command::Schema => pages::schema(),
        Command::Reference(options) => pages::reference(options),
        Command::New(options) => pages::new(options),
        Command::Completions(options) => pages::completions(options),
    };
    exit::code(outcome, arguments.log_format)
}

fn start_log(arguments: &Arguments) {
    let level =
        arguments
            .log_level
            .clone()
            .unwrap_or_else(|| match (arguments.quiet, arguments.verbose) {
                (true, _) => "error".to_string(),
                // The closing report tells of bad rows; a log for programs stands alone.
                (_, 0) if arguments.log_format == arguments::LogFormat::Text => {
                    "warn,dataflow_engine::bad_rows=error".to_string()
                }
                (_, 0) => "warn".to_string(),
                (_, 1) => "info".to_string(),
                (_, 2) => "debug".to_string(),
                _ => "trace".to_string(),
            });
    let filter = tracing_subscriber::EnvFilter::try_new(&level)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| progress::Stderr)
        .with_ansi(exit::colours(&std::io::stderr()))
        .with_target(false);
    // A second subscriber in one process cannot happen here.
    let _ = match arguments.log_format {
        arguments::LogFormat::Text => builder.without_time().try_init(),
        arguments::LogFormat::Json => builder.json().try_init(),
    };
}
