//! The program `l3fwd`, as built for this test run.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
    // What a configuration says no place for is not to be where this machine's routers have it.
    command.env("QFP_STATE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/states"));
    command
}

/// Waits until the run has an lcore; false when it has none for long.
pub(crate) fn is_running(child: &Child) -> bool {
    // Signals are handled before the lcores start, so their thread is the sign to wait for.
    // A data plane apart has lcores once somebody watches over it.
    let tasks = format!("/proc/{}/task", child.id());
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let tasks = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
        let mut names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")));
        if names.any(|name| {
            name.is_ok_and(|name| name.starts_with("qfp-lcore") || name.starts_with("qfp-watch"))
        }) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Waits for the end of a run.
pub(crate) fn finish(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    Outcome {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
