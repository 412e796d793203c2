//! Network namespaces that a test makes, and takes away again whatever happens.

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A network namespace of this test, gone when dropped.
pub(crate) struct Namespace {
    /// As `ip netns` knows it.
    pub(crate) name: String,
}

impl Namespace {
    /// A new one, with only a loopback interface. `None`, said aloud, without the right to.
    pub(crate) fn new(role: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("qfp-{}-{count}-{role}", std::process::id());
        let made = output(Command::new("ip").args(["netns", "add", &name]));
        if !made.status.success() {
            eprintln!("skipped: no network namespace: {}", text(&made.stderr).trim());
            return None;
        }
        let namespace = Self { name };
        namespace.must("ip link set lo up");
        Some(namespace)
    }

    /// A command that runs in it.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).args(line.split_whitespace());
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command in it; whether it succeeded, and what it said.
    pub(crate) fn run(&self, line: &str) -> (bool, String) {
        let output = output(&mut self.command(line));
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    /// Runs a command in it that must succeed; what it said.
    pub(crate) fn must(&self, line: &str) -> String {
        let (success, said) = self.run(line);
        assert!(success, "{}: {line}: {said}", self.name);
        said
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What still runs in it would keep it and its devices alive.
        for pid in
            text(&output(Command::new("ip").args(["netns", "pids", &self.name])).stdout).lines()
        {
            output(Command::new("kill").args(["-9", pid]));
        }
        output(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

/// True when all of these programs are there; else the first that is not is named aloud.
pub(crate) fn has_programs(names: &[&str]) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&paths).any(|path| path.join(name).exists());
    match names.iter().find(|name| !there(name)) {
        Some(missing) => eprintln!("skipped: {missing} is not installed"),
        None => return true,
    }
    false
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
