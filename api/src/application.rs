//! Programs that get packets of the slow path, and put packets in.
//!
//! They have a socket of their own, and talk as [`wire`] says: first [`FromApplication::Register`],
//! which is answered; from then on packets go both ways, and nothing is answered.

use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::connection::greeted;
use crate::wire::{self, WireError};
use crate::{CallError, Failure};

/// Name of the socket in a run directory.
pub const APPLICATIONS: &str = "apps.sock";
/// Longest message of an application or to one, bytes.
pub const MAX_PACKET: usize = 1 << 17;

/// Which punted packets a program wants: those of which all holds that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Why they left the fast path: a name such as `Ipv4ForUs`, as reports have it.
    pub cause: Option<String>,
    /// IP protocol, the upper layer's.
    pub protocol: Option<u8>,
    /// Destination port.
    pub port: Option<u16>,
}

/// What a program says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromApplication {
    /// First: what it is called and wants. It is for as long as the connection.
    Register {
        /// For `show applications`.
        name: String,
        /// What it wants.
        wanted: Wanted,
    },
    /// A packet of the router's own.
    Inject {
        /// Where it goes.
        to: Target,
        /// An IP packet, or a frame from the Ethernet header on.
        packet: Vec<u8>,
    },
}

/// Where a packet goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// An IP packet, to where the routes of this VRF lead; none is the global table.
    Routes(Option<String>),
    /// A complete frame, to this interface.
    Interface(String),
}

/// What a program hears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToApplication {
    /// What it wants comes from now on.
    Registered,
    /// It is not registered.
    Refused(Failure),
    /// A packet, which the slow path does not see.
    Punted(Punted),
}

/// A packet that left the fast path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Punted {
    /// Why.
    pub cause: String,
    /// The interface that it came in through.
    pub interface: String,
    /// Bytes in front of the network header.
    pub l3_offset: u8,
    /// From the Ethernet header on.
    pub frame: Vec<u8>,
}

impl Punted {
    /// From the network header on.
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        self.frame.get(usize::from(self.l3_offset)..).unwrap_or_default()
    }
}

/// A program that is registered: its packets.
#[derive(Debug)]
pub struct Application(BufReader<UnixStream>);

/// Puts packets in, on any thread.
#[derive(Debug)]
pub struct Injector(UnixStream);

impl Application {
    /// Registers with the router whose run directory is `dir`.
    ///
    /// # Errors
    /// Nobody is there, or does not listen, or what is wanted makes no sense.
    pub fn register(dir: &Path, name: &str, wanted: Wanted) -> Result<Self, CallError> {
        let connected = UnixStream::connect(dir.join(APPLICATIONS));
        let mut stream = greeted(dir, connected)?;
        let first = FromApplication::Register { name: name.to_owned(), wanted };
        wire::send(&mut stream, &wire::encode(&first)?)?;
        let mut application = Self(BufReader::new(stream));
        match application.hear()? {
            Some(ToApplication::Registered) => Ok(application),
            Some(ToApplication::Refused(failure)) => Err(failure.into()),
            Some(ToApplication::Punted(_)) => Err(CallError::Unasked),
            None => Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()).into()),
        }
    }

    /// What puts packets in.
    ///
    /// # Errors
    /// The system has no descriptors.
    pub fn injector(&self) -> io::Result<Injector> {
        self.0.get_ref().try_clone().map(Injector)
    }

    /// Waits for the next packet; none when the router has ended.
    ///
    /// # Errors
    /// The connection broke.
    pub fn receive(&mut self) -> Result<Option<Punted>, CallError> {
        match self.hear()? {
            Some(ToApplication::Punted(punted)) => Ok(Some(punted)),
            None => Ok(None),
            Some(_) => Err(CallError::Unasked),
        }
    }

    fn hear(&mut self) -> Result<Option<ToApplication>, CallError> {
        let message = wire::receive(&mut self.0, MAX_PACKET)?;
        Ok(message.map(|message| wire::decode(&message)).transpose()?)
    }
}

impl Injector {
    /// Puts a packet in. What cannot be is counted by the router.
    ///
    /// # Errors
    /// The connection broke.
    pub fn inject(&mut self, to: Target, packet: Vec<u8>) -> Result<(), CallError> {
        let message = wire::encode(&FromApplication::Inject { to, packet })?;
        Ok(wire::send(&mut self.0, &message)?)
    }
}
