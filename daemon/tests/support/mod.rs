//! A daemon that runs for a test, and what is asked of it.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod stream;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::{Call, CallError, Candidate, Connection, Reply, Version};

/// A generator and two sinks; the default route leads to the left one.
pub(crate) const CONFIG: &str = r#"
[[port]]
name = "in"
device = "synth:flows=16"
address = ["10.1.0.1/24"]
acl_in = "FILTER"
[[port]]
name = "left"
device = "sink"
address = ["10.2.0.1/24"]
[[port]]
name = "right"
device = "sink"
address = ["10.3.0.1/24"]
[[neighbor]]
address = "10.2.0.2"
mac = "02:00:00:00:02:02"
[[neighbor]]
address = "10.3.0.2"
mac = "02:00:00:00:03:02"
[[route]]
prefix = "0.0.0.0/0"
via = "10.2.0.2"
[[acl]]
file = "filter.txt"
"#;

/// The list that the configuration names.
pub(crate) const FILTER: &str = "ip access-list extended FILTER\n permit ip any any\n";

/// A directory with a configuration, and the daemon that runs with it.
pub(crate) struct Daemon {
    pub(crate) dir: tempfile::TempDir,
    child: Child,
    options: Vec<(String, String)>,
    _alone: MutexGuard<'static, ()>,
}

/// Each daemon takes a CPU of its own for its generator: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

impl Daemon {
    /// A daemon that has started.
    pub(crate) fn start() -> Self {
        Self::start_with(&[], |_| ())
    }

    /// As [`Daemon::start`], with more options; `prepare` may change files before.
    pub(crate) fn start_with(options: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.toml"), CONFIG).unwrap();
        std::fs::write(dir.path().join("filter.txt"), FILTER).unwrap();
        prepare(dir.path());
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let options: Vec<_> = options.iter().map(own).collect();
        let child = spawn(dir.path(), &options, None);
        let mut daemon = Self { dir, child, options, _alone: alone };
        daemon.wait_until_up();
        daemon
    }

    /// Starts it again once it has ended; `crash_at` is for builds with `crash-points`.
    pub(crate) fn again(&mut self, crash_at: Option<&str>) {
        self.child = spawn(self.dir.path(), &self.options, crash_at);
        self.wait_until_up();
    }

    /// Starts it once it has ended, to end at `point` before it is up.
    #[cfg(feature = "crash-points")]
    pub(crate) fn crash_at(&mut self, point: &str) {
        use std::os::unix::process::ExitStatusExt;
        self.child = spawn(self.dir.path(), &self.options, Some(point));
        assert_eq!(self.ended().signal(), Some(9), "{point}: {}", self.log());
    }

    fn wait_until_up(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Connection::open(&self.run_dir()).is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "{}", self.log());
            assert!(Instant::now() < deadline, "{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said, over all its starts.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.run_dir()).unwrap()
    }

    /// Asks on a connection of its own.
    pub(crate) fn call(&self, call: Call) -> Result<Reply, CallError> {
        self.connect().call(call)
    }

    /// The text of the configuration in the directory with each of `changes`' first texts replaced
    /// by the second.
    pub(crate) fn write(&self, name: &str, changes: &[(&str, &str)]) -> PathBuf {
        let change = |text: String, (old, new): &(&str, &str)| {
            assert!(text.contains(old), "{old}");
            text.replace(old, new)
        };
        let path = self.dir.path().join(name);
        std::fs::write(&path, changes.iter().fold(CONFIG.to_owned(), change)).unwrap();
        path
    }

    pub(crate) fn commit(&self, path: &Path, confirmed: Option<u32>) -> Result<Version, CallError> {
        let (candidate, _) = Candidate::read(path).unwrap();
        match self.call(Call::Commit { candidate, confirmed })? {
            Reply::InForce(version) => Ok(version),
            other => panic!("{other:?}"),
        }
    }

    /// The running configuration.
    pub(crate) fn config(&self) -> String {
        match self.call(Call::Config { back: 0 }).unwrap() {
            Reply::Config(config) => config.text,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn history(&self) -> Vec<Version> {
        match self.call(Call::History).unwrap() {
            Reply::History(all) => all,
            other => panic!("{other:?}"),
        }
    }

    /// Runs qfpctl: status, output and the line of what went wrong.
    pub(crate) fn ctl(&self, line: &str) -> (i32, String, String) {
        let mut command = Command::new(ctl_program());
        command.arg("--run-dir").arg(self.run_dir()).args(line.split_whitespace());
        run(command.current_dir(self.dir.path()))
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal)
            .unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.options.iter().any(|(name, _)| name == "--ucode") {
            // A data plane of its own ends with a client that is told to end.
            let pid = i32::try_from(self.child.id()).ok();
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        } else {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

fn spawn(dir: &Path, options: &[(String, String)], crash_at: Option<&str>) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_qfp-client"));
    command.args(["--config", "a.toml", "--run-dir", "run"]).current_dir(dir);
    for (name, value) in options {
        command.arg(name).arg(value);
    }
    command.env_remove("QFP_CRASH_AT");
    command.envs(crash_at.map(|at| ("QFP_CRASH_AT", at)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// Status, output and errors of a program.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// qfpctl, which lies beside the daemon.
pub(crate) fn ctl_program() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT.get_or_init(|| build(&["--package", "ctl"], "qfpctl")).clone()
}

/// The data plane for a process of its own, likewise.
pub(crate) fn ucode_program() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT.get_or_init(|| build(&["--package", "qfp", "--bin", "qfp-ucode"], "qfp-ucode")).clone()
}

/// Builds what `cargo test` of the workspace builds, and of this crate alone does not. `QFP_BUILT` says
/// that the former was just done: the same programs for this crate alone are others, and take minutes.
pub(crate) fn build(what: &[&str], name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_qfp-client")).with_file_name(name);
    if std::env::var_os("QFP_BUILT").is_some() && beside.exists() {
        return beside;
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet"]).args(what).current_dir(env!("CARGO_MANIFEST_DIR"));
    if cfg!(not(debug_assertions)) {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success());
    beside
}
