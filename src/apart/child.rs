//! The process of a data plane.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use hal::PortInfo;
use hal::handover::Kept;
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
}

/// The line to a data plane.
pub(crate) struct Program {
    sending: Mutex<()>,
    line: SeqPacket,
}

impl Program {
    /// Sends an order. Waits while the other end is behind.
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
    pub(crate) status: ExitStatus,
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
    process: std::process::Child,
    program: Arc<Program>,
    last_words: Option<JoinHandle<String>>,
    pub(crate) infos: Vec<PortInfo>,
    pub(super) total_packets: Option<u64>,
}

impl Child {
    /// Starts a program, and hands it devices.
    pub(crate) fn open(recipe: Recipe) -> Result<Self, ApartError> {
        Self::start(Arc::new(recipe))
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
        for (port, device) in lock(&self.recipe.devices).iter_mut().enumerate() {
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
        let last_words = process.stderr.take().map(|stderr| {
            std::thread::spawn(move || {
                let mut last = String::new();
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    // Who cannot be told does not hear it.
                    drop(writeln!(std::io::stderr(), "qfp-ucode: {line}"));
                    last = line;
                }
                last
            })
        });
        let program = Arc::new(Program { sending: Mutex::new(()), line: ours });
        let (infos, total_packets) = (Vec::new(), None);
        let (open, with) = recipe.open().map_err(failed)?;
        let mut child = Self { recipe, process, program, last_words, infos, total_packets };
        let answer = child.ask(&open, &with)?;
        let Answer::Opened { infos, total_packets } = answer else {
            return Err(ApartError::Died("it does not open".to_owned()));
        };
        (child.infos, child.total_packets) = (infos, total_packets);
        Ok(child)
    }

    /// Has it launch. What the client says from then on is passed on.
    pub(super) fn launch(&mut self, orders: Orders) -> Result<(), ApartError> {
        let Orders { order, with, inbox } = orders;
        self.ask(&order, &with)?;
        let program = Arc::clone(&self.program);
        std::thread::spawn(move || pass_on(&inbox, &program));
        Ok(())
    }

    fn ask(&mut self, order: &Order, with: &[OwnedFd]) -> Result<Answer, ApartError> {
        let sent = self.program.send_with(order, with).is_ok();
        let answer = (sent && self.program.wait(PATIENCE)).then(|| self.program.receive());
        match answer.flatten() {
            Some(Answer::Refused(why)) => Err(ApartError::Refused(why)),
            Some(answer) => Ok(answer),
            None => Err(ApartError::Died(self.wait().text)),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn program(&self) -> Arc<Program> {
        Arc::clone(&self.program)
    }

    /// Waits for its end, which it is given should it not have come to it.
    pub(super) fn wait(&mut self) -> Exit {
        // One that has ended already cannot be ended.
        drop(self.process.kill());
        let ended = self.process.wait();
        let last = self.last_words.take().and_then(|thread| thread.join().ok());
        let last = last.filter(|last| !last.is_empty());
        let status = ended.unwrap_or_default();
        let text = last.map_or_else(|| status.to_string(), |last| format!("{status}: {last}"));
        Exit { status, text }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.wait();
    }
}

/// Whether the process gets a variable: what the loader, DPDK and panics look at.
fn is_passed_on(name: &OsStr) -> bool {
    const NAMES: [&str; 5] =
        ["PATH", "LD_LIBRARY_PATH", "XDG_RUNTIME_DIR", "RUST_BACKTRACE", TIER_VARIABLE];
    NAMES.iter().any(|known| name == *known)
}

/// Until the client has another line, or the data plane is gone.
fn pass_on(inbox: &Inbox, program: &Program) {
    while let Some(message) = inbox.next() {
        if program.send(&Order::SlowPath(message)).is_err() {
            return;
        }
    }
}
