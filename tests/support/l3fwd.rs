//! The program `l3fwd`, as built for this test run.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What a finished run has said.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit status; -1 when a signal ended it.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that runs `l3fwd`, without input and with its output kept.
pub(crate) fn command() -> Command {
    let test = std::env::current_exe().unwrap();
    // target/PROFILE/deps/TEST and target/PROFILE/examples/l3fwd.
    let program: PathBuf = test.ancestors().nth(2).unwrap().join("examples/l3fwd");
    assert!(
        program.exists(),
        "{} is not built: run `cargo test`, or `cargo build --example l3fwd` before",
        program.display()
    );
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for the end of a run.
pub(crate) fn finish(child: std::process::Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    Outcome {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
