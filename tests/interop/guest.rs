//! A Linux kernel in User Mode Linux, whose only network is the kernel's end of a TAP device.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::namespaces::Namespace;

/// What a guest needs of the machine: files and Debian packages.
pub(crate) const NEEDS: [(&str, &str); 4] = [
    ("/usr/bin/linux.uml", "user-mode-linux"),
    ("/usr/lib/uml/modules", "user-mode-linux"),
    ("/bin/busybox", "busybox-static"),
    ("/usr/bin/python3", "python3"),
];

const INIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/interop/guest.sh");
const ESP_IN_UDP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/interop/espinudp.py");
/// Longest that anything may take in it.
const PATIENCE: Duration = Duration::from_secs(100);
/// How long it may be silent until it is woken: with much traffic it sometimes misses what is
/// written to its console.
const NAP: Duration = Duration::from_secs(1);

/// How often one is booted at most: now and then its kernel lacks an algorithm, see the script.
const ATTEMPTS: usize = 5;

/// A running guest. It ends with the namespace at the latest.
pub(crate) struct Guest {
    child: Child,
    said: Receiver<String>,
    home: tempfile::TempDir,
}

impl Guest {
    /// Boots one with `device` of the namespace as its `vec0`, which is up and has the address
    /// `mac`. `None`, said aloud, where none can run.
    pub(crate) fn boot(namespace: &Namespace, device: &str, mac: &str) -> Option<Self> {
        for _ in 0..ATTEMPTS {
            let (mut guest, mut complaints) = Self::start(namespace, device, mac);
            match guest.answer() {
                Ok((0, _)) => {
                    guest.must("ip link set vec0 up");
                    return Some(guest);
                }
                Ok((_, text)) => println!("the guest lacks something: {text}"),
                Err(mut text) => {
                    complaints.rewind().unwrap();
                    complaints.read_to_string(&mut text).unwrap();
                    eprintln!("skipped: User Mode Linux does not run here: {}", text.trim());
                    return None;
                }
            }
        }
        panic!("the guest lacks something each time that it boots");
    }

    /// A guest that boots, and the file that it complains to.
    fn start(namespace: &Namespace, device: &str, mac: &str) -> (Self, File) {
        let home = tempfile::tempdir().unwrap();
        let line = format!(
            "linux.uml mem=96M rootfstype=hostfs rootflags=/ ro init={INIT} loglevel=1 con=null \
             con0=fd:0,fd:1 uml_dir={} vec0:transport=raw,ifname={device},mac={mac}",
            home.path().display()
        );
        let complaints = tempfile::tempfile().unwrap();
        let mut command = namespace.command(&line);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (say, said) = channel();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).map_while(|line| say.send(line).ok()).for_each(drop);
        });
        (Self { child, said, home }, complaints)
    }

    /// Runs a line of shell in it; whether it succeeded, and what it said.
    pub(crate) fn run(&mut self, line: &str) -> (bool, String) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        let (status, text) = self.answer().unwrap_or_else(|text| panic!("{line}: {text}"));
        (status == 0, text)
    }

    /// Runs a line of shell in it that must succeed; what it said.
    pub(crate) fn must(&mut self, line: &str) -> String {
        let (success, text) = self.run(line);
        assert!(success, "{line}: {text}");
        text
    }

    /// Runs lines of `ip` in it that must all succeed.
    pub(crate) fn ip(&mut self, lines: &str) {
        let file = self.home.path().join("lines");
        std::fs::write(&file, lines).unwrap();
        self.must(&format!("ip -batch {}", file.display()));
    }

    /// Binds port 4500 for ESP in UDP.
    pub(crate) fn listen_for_nat_t(&mut self) {
        self.must(&format!("python3 {ESP_IN_UDP} &"));
        // 4500 as the kernel writes it; IPv6 comes last.
        self.must("until grep -q ':1194 ' /proc/net/udp6; do sleep 0.1; done");
    }

    /// Lets it look at its console, and run.
    ///
    /// It leads a session, so the scheduler weighs it as a group of its own, and on a busy machine
    /// has let it wait for minutes: it gets the largest weight there is.
    fn wake(&self) {
        // If it has ended, the next look tells.
        drop(writeln!(self.child.stdin.as_ref().unwrap()));
        let [its, ours] = [self.child.id(), std::process::id()]
            .map(|process| format!("/proc/{process}/autogroup"));
        let group = |file| std::fs::read_to_string(file).unwrap_or_default();
        if group(&its) != group(&ours) {
            drop(std::fs::write(&its, "-20"));
        }
    }

    /// Reads until the guest says how a line ended. If it ends instead, what it said last.
    fn answer(&self) -> Result<(u8, String), String> {
        let mut text = String::new();
        let start = Instant::now();
        loop {
            let line = match self.said.recv_timeout(NAP) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return Err(text),
                Err(RecvTimeoutError::Timeout) if start.elapsed() < PATIENCE => {
                    self.wake();
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => panic!("the guest is silent: {text}"),
            };
            if let Some(status) = line.strip_prefix("guest: ") {
                return Ok((status.trim().parse().unwrap(), text));
            }
            text += &line;
            text.push('\n');
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
