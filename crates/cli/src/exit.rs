//! How a command ends: what is printed about a failure, and the exit code.

use std::io::IsTerminal;
use std::process::ExitCode;

use dataflow::LoadError;
use dataflow::core::error::Fault;

use crate::arguments::LogFormat;

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

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Run(Fault::Closed, _) => 0,
            Self::Run(Fault::Stopped, _) => 130,
            Self::Run(Fault::Paused, _) => 75,
            Self::Pipeline(_) | Self::Run(Fault::Pipeline, _) => 78,
            Self::Data(_) | Self::Run(..) => 1,
            Self::Usage(_) => 2,
            Self::Silent(code) => *code,
        }
    }

    /// Says it on standard error: as a line of the log where that is JSON.
    fn tell(&self, log: LogFormat) {
        // Levels by module may leave the program's own errors out; they are told all the same.
        let json = log == LogFormat::Json && tracing::enabled!(tracing::Level::ERROR);
        match self {
            Self::Silent(_) | Self::Run(Fault::Closed, _) => {}
            Self::Pipeline(error) | Self::Data(error) if json => {
                tracing::error!(exit_code = self.code(), "{}", error.problems.render(false));
            }
            Self::Run(_, message) | Self::Usage(message) if json => {
                tracing::error!(exit_code = self.code(), "{message}");
            }
            Self::Pipeline(error) | Self::Data(error) => {
                eprint!("{}", error.problems.render(colours(&std::io::stderr())));
            }
            // What was asked for is no error, though the run is not at its end.
            Self::Run(Fault::Paused, message) => eprintln!("{message}"),
            Self::Run(_, message) | Self::Usage(message) => eprintln!("error: {message}"),
        }
    }
}

/// Prints what went wrong and returns the exit code.
pub fn code(outcome: Result<(), Failure>, log: LogFormat) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(log);
            ExitCode::from(failure.code())
        }
    }
}
