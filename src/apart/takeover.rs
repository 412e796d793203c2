//! A data plane that has outlived its client, and where it is found.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use client::{Capacity, Client, CommitError};
use hal::handover::{Handed, Kept};
use hal::spec::Spec;
use pal::process::{Handle, Process};
use pal::seqpacket::{Listener, SeqPacket};
use ucode::Stay;
use ucode::hello::{Greeting, Wish, ask};
use ucode::wire::{Answer, Order, Welcome, build, receive, send};

use super::names::decode;
use super::{ApartError, Child, PATIENCE, Recipe};

/// The name in the directory.
const SOCKET: &str = "ucode.sock";
/// Between two questions whether a client that has just ended is gone.
const AGAIN: Duration = Duration::from_millis(5);

/// Where a data plane is found that outlives its client.
#[derive(Debug)]
pub(crate) struct Door {
    listener: Listener,
    stay: Stay,
}

/// What this process and those of its user may take over.
fn stay(alone: Option<Duration>) -> Stay {
    Stay { user: rustix::process::geteuid().as_raw(), alone }
}

impl Door {
    /// A new one in a directory in which no data plane is at work.
    pub(crate) fn new(dir: &Path, alone: Option<Duration>) -> Result<Self, ApartError> {
        let path = dir.join(SOCKET);
        let make = || {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = Listener::bind(&path)?;
            // Nobody can connect yet.
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
            Ok(listener)
        };
        let listener = make().map_err(|source| ApartError::Door { path: path.clone(), source })?;
        Ok(Self { listener, stay: stay(alone) })
    }

    /// For a data plane; none if the system has no descriptors.
    pub(super) fn listener(&self) -> Option<OwnedFd> {
        self.listener.try_clone().ok()
    }

    pub(super) fn stay(&self) -> Stay {
        self.stay
    }
}

/// What a data plane says that forwards without a client.
pub(crate) struct AtWork {
    kept: Option<client::Kept>,
    /// The file of marks.
    marks: Option<OwnedFd>,
    door: Option<Door>,
    pub(crate) welcome: Box<Welcome>,
}

/// The data plane that is at work in a directory; none if there is none. One of another build is
/// ended.
///
/// # Errors
/// It has another client, or says what makes no sense.
pub(crate) fn find(dir: &Path, alone: Option<Duration>) -> Result<Option<Found>, ApartError> {
    let path = dir.join(SOCKET);
    let failed = |source| ApartError::Door { path: path.clone(), source };
    let deadline = Instant::now() + PATIENCE;
    let (line, process) = loop {
        let Some(line) = connect(&path).map_err(failed)? else { return Ok(None) };
        match ask(&line, build(), Wish::TakeOver).map_err(failed)? {
            (Greeting::Welcome, process) => break (line, process),
            (Greeting::OtherBuild, process) => {
                end(&path, process).map_err(failed)?;
                return Ok(None);
            }
            (Greeting::Refused(why), _) => return Err(ApartError::Refused(why)),
            (Greeting::Taken, _) if Instant::now() > deadline => {
                return Err(failed(io::Error::other("another client has it")));
            }
            (Greeting::Taken, _) => std::thread::sleep(AGAIN),
        }
    };
    let nonsense = || failed(io::ErrorKind::InvalidData.into());
    let first = if line.wait(PATIENCE) { receive(&line).map_err(failed)? } else { None };
    let Some((Answer::Welcome(welcome), with)) = first else { return Err(nonsense()) };
    let mut with = with.into_iter();
    let (Some(state), Some(counters), Some(listener)) = (with.next(), with.next(), with.next())
    else {
        return Err(nonsense());
    };
    let marks = welcome.legacy.lasting.as_ref().and_then(|_| with.next());
    let device = |handed: &Handed| Kept::handed(handed.clone(), &mut with);
    let devices = welcome.devices.iter().map(device).collect::<Result<_, _>>();
    let devices = devices.map_err(|error| ApartError::Refused(error.to_string()))?;
    let door = Door { listener: Listener::from_fd(listener), stay: stay(alone) };
    let (kept, door) = (Some(client::Kept { state, counters }), Some(door));
    let at_work = AtWork { kept, marks, door, welcome };
    Ok(Some(Found { line, process, devices, at_work }))
}

/// A data plane that forwards without a client, at the other end of a line.
pub(crate) struct Found {
    line: SeqPacket,
    process: Handle,
    devices: Vec<Kept>,
    at_work: AtWork,
}

impl Found {
    /// It, if its ports have these devices. One with others is ended.
    pub(crate) fn if_it_has(self, specs: &[&Spec]) -> Result<Option<Self>, ApartError> {
        let own = self.at_work.welcome.devices.iter().map(Handed::spec);
        if own.eq(specs.iter().map(ToString::to_string)) {
            return Ok(Some(self));
        }
        let failed = |source: io::Error| ApartError::Died(source.to_string());
        send(&self.line, &Order::End, &[]).map_err(failed)?;
        Process::Other(self.process).wait();
        Ok(None)
    }

    /// Its process, and what it says. Of `recipe` another one is started should it die, with the
    /// devices that it has.
    pub(crate) fn child(self, recipe: impl FnOnce(Vec<Kept>) -> Recipe) -> (Child, AtWork) {
        let Self { line, process, devices, at_work } = self;
        let ports = (at_work.welcome.infos.clone(), at_work.welcome.total_packets);
        (Child::at_work((line, process), recipe(devices), ports), at_work)
    }
}

fn connect(path: &Path) -> io::Result<Option<SeqPacket>> {
    match SeqPacket::connect(path) {
        Ok(line) => Ok(Some(line)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            _ => Err(error),
        },
    }
}

/// Has a data plane end, and waits for that.
fn end(path: &Path, process: Handle) -> io::Result<()> {
    if let Some(line) = connect(path)? {
        ask(&line, build(), Wish::End)?;
    }
    Process::Other(process).wait();
    Ok(())
}

impl AtWork {
    /// One that has said so by other ways than a line.
    pub(crate) fn new(kept: client::Kept, welcome: Box<Welcome>) -> Self {
        Self { kept: Some(kept), marks: None, door: None, welcome }
    }

    /// How large the tables are that lcores read.
    pub(crate) fn capacity(&self) -> Result<Capacity, ApartError> {
        let capacity = postcard::from_bytes(&self.welcome.legacy.kept);
        capacity.map_err(|error| ApartError::Died(format!("it keeps what is none: {error}")))
    }

    /// A client for it, which has no tables yet and knows all names.
    pub(crate) fn client(&mut self, capacity: &Capacity) -> Result<Client, ApartError> {
        let told = || ApartError::Died("it has been taken over".to_owned());
        let kept = self.kept.take().ok_or_else(told)?;
        let mut client = Client::taking_over(capacity, kept)?;
        let names = decode(&self.welcome.legacy.names);
        let names = names.map_err(|error| ApartError::Died(format!("names: {error}")))?;
        client.keep_names(names);
        Ok(client)
    }

    /// The file of marks, whose keys have been nobody else's.
    pub(crate) fn marks(&mut self) -> Option<OwnedFd> {
        self.marks.take()
    }

    /// Has the tables have the neighbours that were found out.
    pub(crate) fn learn(&self, client: &mut Client) -> Result<(), CommitError> {
        let known = self.welcome.legacy.known.iter();
        known
            .copied()
            .try_for_each(|(uidb, address, mac)| client.neighbour(uidb, address, Some(mac)))
    }

    pub(crate) fn door(&mut self) -> Option<Door> {
        self.door.take()
    }
}
