//! How a command ends: what is printed about a failure, and the exit code.

use std::io::IsTerminal;
use std::process::ExitCode;

use dataflow::LoadError;
use dataflow::core::error::Fault;

/// Why a command failed.
pub enum Failure {
    /// The pipeline is wrong.
    Pipeline(LoadError),
    /// The data is wrong, which was found while the pipeline was checked for a run.
    Data(LoadError),
    /// The run failed. The text was redacted already.
    Run(Fault, String),
    /// What was asked for does not exist.
    Usage(String),
    /// Everything was said already; only the code is left.
    Silent(u8),
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::Pipeline(error)
    }
}

impl From<dataflow::Error> for Failure {
    fn from(error: dataflow::Error) -> Self {
        Self::Run(error.fault(), error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Run(Fault::Resource, error.to_string())
    }
}

/// Whether what is written there should be coloured.
pub fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Prints what went wrong and returns the exit code.
pub fn code(outcome: Result<(), Failure>) -> ExitCode {
    let code = match outcome {
        Ok(()) => 0,
        Err(Failure::Pipeline(error)) => {
            eprint!("{}", error.problems.render(colours(&std::io::stderr())));
            78
        }
        Err(Failure::Data(error)) => {
            eprint!("{}", error.problems.render(colours(&std::io::stderr())));
            1
        }
        Err(Failure::Run(Fault::Pipeline, message)) => {
            eprintln!("error: {message}");
            78
        }
        Err(Failure::Run(Fault::Stopped, message)) => {
            eprintln!("error: {message}");
            130
        }
        Err(Failure::Run(_, message)) => {
            eprintln!("error: {message}");
            1
        }
        Err(Failure::Usage(message)) => {
            eprintln!("error: {message}");
            2
        }
        Err(Failure::Silent(code)) => code,
    };
    ExitCode::from(code)
}
