//! The process of a data plane.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use hal::PortInfo;
use hal::handover::Kept;
use pal::process::{Ended, Handle, Process};
use pal::rights::Rights;
use pal::seqpacket::SeqPacket;
use qfp_core::crypto::TIER_VARIABLE;
use ucode::Inbox;
use ucode::wire::{Answer, Order, build, receive, send};

use super::{Orders, PATIENCE, lock};

/// Why a data plane does not start in a process of its own.
#[derive(Debug, thiserror::Error)]
pub enum ApartError {
    /// The program does not run.
    #[error("{}: {source}", program.display())]
    Program {
        /// It.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It has said why it does not start.
    #[error("{0}")]
    Refused(String),
    /// It has ended, or says what makes no sense.
    #[error("the data plane has not started: {0}")]
    Died(String),
    /// Its tables cannot be handed over.
    #[error(transparent)]
    Tables(#[from] client::CommitError),
    /// One that is at work cannot be reached, or another client has it.
    #[error("{}: {source}", path.display())]
    Door {
        /// Where it is to be found.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
}

/// The line to a data plane.
pub(crate) struct Program {
    sending: Mutex<()>,
    line: SeqPacket,
}

impl Program {
    /// Sends an order. Waits while the other end is behind.
    /// At the other end of `line`.
    pub(crate) fn new(line: SeqPacket) -> Self {
        Self { sending: Mutex::new(()), line }
    }

    pub(crate) fn send(&self, order: &Order) -> std::io::Result<()> {
        self.send_with(order, &[])
    }

    fn send_with(&self, order: &Order, with: &[OwnedFd]) -> std::io::Result<()> {
        let _sending = lock(&self.sending);
        send(&self.line, order, with)
    }

    pub(crate) fn wait(&self, patience: Duration) -> bool {
        self.line.wait(patience)
    }

    /// None when it is gone, or has said what makes no sense.
    pub(crate) fn receive(&self) -> Option<Answer> {
        receive(&self.line).ok().flatten().map(|(answer, _)| answer)
    }
}

/// How a process has ended.
pub(crate) struct Exit {
    pub(crate) ended: Ended,
    pub(crate) text: String,
}

/// How it is started.
pub(crate) struct Recipe {
    pub(crate) program: PathBuf,
    pub(crate) rights: Rights,
    pub(crate) eal_args: Vec<String>,
    /// The devices of its ports, open over its life and that of those after it.
    pub(crate) devices: Mutex<Vec<Kept>>,
}

impl Recipe {
    /// The first order, and what goes with it.
    fn open(&self) -> std::io::Result<(Order, Vec<OwnedFd>)> {
        let (mut devices, mut with) = (Vec::new(), Vec::new());
        for device in &mut *lock(&self.devices) {
            if device.is_gone() {
                // If it cannot be made, the port begins without it.
                drop(device.reopen());
            }
            let (handed, descriptors) = device.hand()?;
            devices.push(handed);
            with.extend(descriptors);
        }
        let (rights, eal_args) = (self.rights, self.eal_args.clone());
        Ok((Order::Open { build: build(), rights, devices, eal_args }, with))
    }
}

/// A data plane that has opened its devices.
pub(crate) struct Child {
    recipe: Arc<Recipe>,
    process: Process,
    program: Arc<Program>,
    last_words: Option<JoinHandle<String>>,
    /// What it has said before it was listened to.
    pub(super) early: Vec<Answer>,
    /// It forwards, and is not this client's yet: it is left alone.
    is_left: bool,
    pub(crate) infos: Vec<PortInfo>,
    pub(super) total_packets: Option<u64>,
}

impl Child {
    /// Starts a program, and hands it devices.
    pub(crate) fn open(recipe: Recipe) -> Result<Self, ApartError> {
        Self::start(Arc::new(recipe))
    }

    /// Whether another one may have the devices while this one has them.
    pub(super) fn can_share(&self) -> bool {
        !lock(&self.recipe.devices).iter().any(Kept::is_exclusive)
    }

    /// Another one like it.
    pub(super) fn again(&self) -> Result<Self, ApartError> {
        Self::start(Arc::clone(&self.recipe))
    }

    /// Opens devices anew that have vanished, and hands them over.
    ///
    /// # Errors
    /// It is gone.
    pub(super) fn look_at_devices(&self) -> std::io::Result<()> {
        for (port, device) in (0..).zip(lock(&self.recipe.devices).iter_mut()) {
            if device.is_gone() && device.reopen().is_ok() {
                let (handed, with) = device.hand()?;
                self.program.send_with(&Order::Device(port, handed), &with)?;
            }
        }
        Ok(())
    }

    fn start(recipe: Arc<Recipe>) -> Result<Self, ApartError> {
        let failed = |source| ApartError::Program { program: recipe.program.clone(), source };
        let (ours, theirs) = SeqPacket::pair().map_err(failed)?;
        let mut command = Command::new(&recipe.program);
        // What ends the client by a key does not end its data plane beside it.
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).process_group(0);
        // There may be keys in variables.
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| is_passed_on(name)));
        let mut process = command.stderr(Stdio::piped()).spawn().map_err(failed)?;
        // The other end is in the command.
        drop(command);
        let last_words = process.stderr.take().map(listen_to);
        let program = Arc::new(Program { sending: Mutex::new(()), line: ours });
        let (open, with) = recipe.open().map_err(failed)?;
        let mut child = Self {
            recipe,
            process: Process::Child(process),
            program,
            last_words,
            early: Vec::new(),
            is_left: false,
            infos: Vec::new(),
            total_packets: None,
        };
        let answer = child.ask(&open, &with)?;
        let Answer::Opened { infos, total_packets } = answer else {
            return Err(ApartError::Died("it does not open".to_owned()));
        };
        (child.infos, child.total_packets) = (infos, total_packets);
        Ok(child)
    }

    /// One that forwards, at the other end of `line`. Another one is started in its place should it die.
    pub(super) fn at_work(
        (line, process): (SeqPacket, Handle),
        recipe: Recipe,
        (infos, total_packets): (Vec<PortInfo>, Option<u64>),
    ) -> Self {
        Self {
            recipe: Arc::new(recipe),
            process: Process::Other(process),
            program: Arc::new(Program::new(line)),
            last_words: None,
            early: Vec::new(),
            is_left: true,
            infos,
            total_packets,
        }
    }

    /// Has it launch, or read other tables. What the client says from then on is passed on.
    pub(super) fn launch(&mut self, orders: Orders) -> Result<(), ApartError> {
        let Orders { order, mut with, inbox } = orders;
        if std::mem::take(&mut self.is_left) {
            let failed = |source| ApartError::Died(format!("{source}"));
            let (words, end) = std::io::pipe().map_err(failed)?;
            with.push(end.into());
            self.last_words = Some(listen_to(words));
        }
        self.ask(&order, &with)?;
        let program = Arc::clone(&self.program);
        std::thread::spawn(move || pass_on(&inbox, &program));
        Ok(())
    }

    fn ask(&mut self, order: &Order, with: &[OwnedFd]) -> Result<Answer, ApartError> {
        let sent = self.program.send_with(order, with).is_ok();
        while sent && self.program.wait(PATIENCE) {
            match self.program.receive() {
                Some(Answer::Refused(why)) => return Err(ApartError::Refused(why)),
                Some(answer @ (Answer::SlowPath(_) | Answer::Counts(..) | Answer::Ports(..))) => {
                    self.early.push(answer);
                }
                Some(answer) => return Ok(answer),
                None => break,
            }
        }
        Err(ApartError::Died(self.wait().text))
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn program(&self) -> Arc<Program> {
        Arc::clone(&self.program)
    }

    /// Waits for its end, which it is given should it not have come to it.
    pub(super) fn wait(&mut self) -> Exit {
        self.process.kill();
        let ended = self.process.wait();
        let last = self.last_words.take().and_then(|thread| thread.join().ok());
        let last = last.filter(|last| !last.is_empty());
        let text = last.map_or_else(|| ended.to_string(), |last| format!("{ended}: {last}"));
        Exit { ended, text }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_left {
            self.wait();
        }
    }
}

/// Whether the process gets a variable: what the loader, DPDK and panics look at.
fn is_passed_on(name: &OsStr) -> bool {
    const NAMES: [&str; 5] =
        ["PATH", "LD_LIBRARY_PATH", "XDG_RUNTIME_DIR", "RUST_BACKTRACE", TIER_VARIABLE];
    NAMES.iter().any(|known| name == *known)
}

/// Passes on what it writes, and keeps the last line.
fn listen_to(words: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut last = String::new();
        for line in BufReader::new(words).lines().map_while(Result::ok) {
            // Who cannot be told does not hear it.
            drop(writeln!(std::io::stderr(), "qfp-ucode: {line}"));
            last = line;
        }
        last
    })
}

/// Until the client has another line, or the data plane is gone.
fn pass_on(inbox: &Inbox, program: &Program) {
    while let Some(message) = inbox.next() {
        if program.send(&Order::SlowPath(message)).is_err() {
            return;
        }
    }
}
