//! The command line of a running router. `qfpctl --help` says how to call it; docs/daemon.md says
//! the rest.
#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod command;
mod routes;
mod show;

use std::process::ExitCode;

use api::{CallError, Status};
use terminal::arguments::from_command_line;
use terminal::log::{self, Kind, Log};

use args::Args;

/// Nobody is there.
const NO_ROUTER: u8 = 4;

/// What to exit with, and the one line to say.
#[derive(Debug)]
struct Failure {
    status: u8,
    line: String,
}

impl Failure {
    fn new(status: Status, line: impl ToString) -> Self {
        Self { status: status as u8, line: line.to_string() }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let status = match &error {
            CallError::NoRouter { .. } => NO_ROUTER,
            CallError::Failure(failure) => failure.status as u8,
            _ => Status::Failed as u8,
        };
        Self { status, line: error.to_string() }
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let done = match from_command_line::<Args>() {
        Ok(Some(args)) => command::run(&args),
        Ok(None) => return ExitCode::SUCCESS,
        Err(mistake) => Err(Failure::new(Status::Refused, mistake)),
    };
    let printed = done
        .and_then(|text| log::print(&text).map_err(|error| Failure::new(Status::Failed, error)));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, line }) => {
            Log::to_stderr("qfpctl").say(Kind::End, &line);
            ExitCode::from(status)
        }
    }
}
