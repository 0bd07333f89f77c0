//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use dataflow::core::units::{Bytes, Duration};

/// Streaming analytics for data larger than memory.
#[derive(Parser)]
#[command(name = "dataflow", version, arg_required_else_help = true, after_help = AFTER)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Say nothing but errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Say more: what the run does; twice, also each file, spilled run and operator.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What is logged: error, warn, info, debug or trace, also by module as in `dataflow_engine=debug`.
    #[arg(long, global = true, value_name = "LEVEL", value_parser = log_level)]
    pub log_level: Option<String>,
    /// How it is logged; with json, an error that ends the program is a line of the log, too.
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

const AFTER: &str = "First steps:
  dataflow peek data.csv                      columns and first rows of a file
  dataflow describe data.parquet              statistics of every column
  dataflow new summary > pipeline.toml        a pipeline to start from
  dataflow run pipeline.toml                  run it

Exit codes: 0 done, 1 the run failed, 2 wrong usage, 78 bad pipeline, 130 aborted";

/// A level, or levels by module.
fn log_level(written: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    for part in written.split(',') {
        let level = part.rsplit('=').next().unwrap_or(part);
        if !LEVELS.contains(&level) {
            return Err(format!(
                "`{level}` is no level: write error, warn, info, debug or trace, also by module as in \
                 `dataflow_engine=debug`"
            ));
        }
    }
    Ok(written.to_string())
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Run a pipeline.
    #[command(disable_help_flag = true)]
    Run(Run),
    /// Check a pipeline without reading data, and show every problem.
    Validate(Validate),
    /// Run the tests that a pipeline file holds.
    Test(Test),
    /// Tell what a pipeline reads, pushes down, keeps in order and may spill.
    Explain(File),
    /// Draw a pipeline as text for Mermaid or Graphviz.
    Graph(Graph),
    /// Look at the snapshots of a pipeline, or remove them.
    #[command(subcommand)]
    State(State),
    /// Statistics of every column of a file, a folder or standard input.
    Describe(Describe),
    /// Columns and first rows of a file, a folder or standard input.
    Peek(Peek),
    /// List all components.
    List(List),
    /// The manual's page of a component.
    Show(Show),
    /// The JSON schema of pipeline files, for editors.
    Schema,
    /// Write the manual's pages to a folder.
    #[command(hide = true)]
    Reference(Reference),
    /// Print a pipeline to start from.
    New(New),
    /// Print completions for a shell.
    Completions(Completions),
}

/// How logs are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// For people or for programs.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TextOrJson {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What can be said of any pipeline file.
#[derive(Args, Clone)]
pub struct Loading {
    /// Set a parameter, or with a dot in the name any other key of the file (`engine.batch_rows=1000`).
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Read at most so many rows of each source.
    #[arg(long, value_name = "N")]
    pub rows: Option<u64>,
    /// Leave out a component, and what reads from it alone.
    #[arg(long, value_name = "ID")]
    pub without: Vec<String>,
    /// Print the rows of an output too; with a number, only so many.
    #[arg(long, value_name = "ID[.PORT][:N]")]
    pub show: Vec<String>,
}

/// `run`.
#[derive(Args)]
pub struct Run {
    /// The pipeline file.
    #[arg(required_unless_present = "help")]
    pub pipeline: Option<PathBuf>,
    /// What can be said of any pipeline.
    #[command(flatten)]
    pub loading: Loading,
    /// Worker threads; 0 is one per core that the process may use.
    #[arg(long, short, value_name = "N")]
    pub workers: Option<usize>,
    /// Memory for queues and state together, such as 256MiB.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Bytes>,
    /// Stop with an error when the run takes longer, such as 10m.
    #[arg(long, value_name = "DURATION")]
    pub deadline: Option<Duration>,
    /// Serve Prometheus metrics there, such as 127.0.0.1:9100.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
    /// Write Prometheus metrics to a file when the run ends.
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
    /// Begin anew, whatever snapshots `[state]` has.
    #[arg(long)]
    pub fresh: bool,
    /// How the closing report is written to standard error. As json it is the last line, also with --quiet.
    #[arg(long, value_enum, default_value = "text")]
    pub format: TextOrJson,
    /// Print this help, and the pipeline's parameters if one is given.
    #[arg(long, short)]
    pub help: bool,
}

/// A pipeline file.
#[derive(Args)]
pub struct File {
    /// The pipeline file.
    pub pipeline: PathBuf,
    /// What can be said of any pipeline.
    #[command(flatten)]
    pub loading: Loading,
}

/// `state`.
#[derive(Subcommand)]
pub enum State {
    /// Tell what the newest snapshot holds: positions of the sources, bytes and rows of each component.
    Show(ShowState),
    /// Remove all snapshots of a pipeline.
    Reset(ResetState),
}

/// `state show`.
#[derive(Args)]
pub struct ShowState {
    /// The pipeline file.
    #[command(flatten)]
    pub file: File,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    pub format: TextOrJson,
}

/// `state reset`.
#[derive(Args)]
pub struct ResetState {
    /// The pipeline file.
    #[command(flatten)]
    pub file: File,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// `validate`.
#[derive(Args)]
pub struct Validate {
    /// The pipeline file.
    #[command(flatten)]
    pub file: File,
    /// Read nothing but the pipeline file: no headers, no footers, no secrets.
    #[arg(long)]
    pub offline: bool,
    /// How problems are written.
    #[arg(long, value_enum, default_value = "text")]
    pub format: TextOrJson,
}

/// `test`.
#[derive(Args)]
pub struct Test {
    /// The pipeline file.
    #[command(flatten)]
    pub file: File,
    /// How outcomes are written.
    #[arg(long, value_enum, default_value = "text")]
    pub format: TextOrJson,
}

/// `graph`.
#[derive(Args)]
pub struct Graph {
    /// The pipeline file.
    #[command(flatten)]
    pub file: File,
    /// For which program.
    #[arg(long, value_enum, default_value = "mermaid")]
    pub format: GraphFormat,
}

/// Programs that draw graphs.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Mermaid.
    Mermaid,
    /// Graphviz.
    Dot,
}

/// How rows are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// An aligned table.
    Table,
    /// Comma-separated values.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

impl RowFormat {
    /// The word that the console sink knows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// `describe`.
#[derive(Args)]
pub struct Describe {
    /// A file, a folder, a glob, or `-` for standard input.
    pub path: String,
    /// How the statistics are printed.
    #[arg(long, value_enum, default_value = "table")]
    pub format: RowFormat,
    /// Worker threads; 0 is one per core that the process may use.
    #[arg(long, short, value_name = "N")]
    pub workers: Option<usize>,
    /// Memory for queues and state together, such as 256MiB.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Bytes>,
    /// Read at most so many rows.
    #[arg(long, value_name = "N")]
    pub rows: Option<u64>,
}

/// `peek`.
#[derive(Args)]
pub struct Peek {
    /// A file, a folder, a glob, or `-` for standard input.
    pub path: String,
    /// How many rows.
    #[arg(long, short = 'n', default_value = "10")]
    pub rows: u64,
    /// How the rows are printed.
    #[arg(long, value_enum, default_value = "table")]
    pub format: RowFormat,
}

/// `list`.
#[derive(Args)]
pub struct List {
    /// How they are listed.
    #[arg(long, value_enum, default_value = "text")]
    pub format: TextOrJson,
}

/// `show`.
#[derive(Args)]
pub struct Show {
    /// The component's name.
    pub component: String,
}

/// `reference`.
#[derive(Args)]
pub struct Reference {
    /// The folder.
    pub folder: PathBuf,
}

/// `new`.
#[derive(Args)]
pub struct New {
    /// What it is to do; without it, the choices are listed.
    pub kind: Option<String>,
}

/// `completions`.
#[derive(Args)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}
