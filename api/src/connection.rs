//! Who asks.

use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::wire::{self, Welcome, WireError};
use crate::{Call, Failure, Reply, Request, Response, SHOW_SOCKET, SOCKET};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens there.
    #[error("no router in {dir}: {error}")]
    NoRouter {
        /// The run directory.
        dir: String,
        /// What the system says.
        error: io::Error,
    },
    /// The router does not listen to this user.
    #[error("the router does not take requests of this user")]
    NotAllowed,
    /// It listens to as many others as it can.
    #[error("the router has too many connections")]
    Full,
    /// It speaks another version.
    #[error("the router speaks version {theirs} of the messages, this program version {ours}")]
    OtherVersion {
        /// Ours.
        ours: u16,
        /// The router's.
        theirs: u16,
    },
    /// The connection broke.
    #[error("the connection to the router broke: {0}")]
    Broken(#[from] WireError),
    /// The router says no.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// The router says something else.
    #[error("the router's answer is none to what was asked")]
    Unasked,
}

/// A connection to a router. Requests may be outstanding, as many as one likes who reads responses
/// meanwhile; the router answers them in order.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<UnixStream>,
    next: u64,
}

impl Connection {
    /// Connects to the router whose run directory is `dir`: to be listened to, else to look.
    ///
    /// # Errors
    /// Nobody is there, or does not listen.
    pub fn open(dir: &Path) -> Result<Self, CallError> {
        let connected = match UnixStream::connect(dir.join(SOCKET)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                UnixStream::connect(dir.join(SHOW_SOCKET)).map_err(|_| error)
            }
            connected => connected,
        };
        Ok(Self { stream: BufReader::new(greeted(dir, connected)?), next: 1 })
    }

    /// Sends a request. Returns its number.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send(&mut self, call: Call) -> Result<u64, CallError> {
        let id = self.next;
        self.next += 1;
        let message = wire::encode(&Request { id, call })?;
        wire::send(self.stream.get_mut(), &message)?;
        Ok(id)
    }

    /// Waits for the next response.
    ///
    /// # Errors
    /// The connection broke.
    pub fn receive(&mut self) -> Result<Response, CallError> {
        let message = wire::receive(&mut self.stream, wire::MAX_MESSAGE)?;
        let gone = || WireError::Io(io::ErrorKind::UnexpectedEof.into());
        Ok(wire::decode(&message.ok_or_else(gone)?)?)
    }

    /// Waits until the router has closed the connection, `patience` at most. True when it has.
    #[must_use]
    pub fn has_ended(&mut self, patience: Duration) -> bool {
        let stream = self.stream.get_ref();
        let ended = |error: &WireError| match error {
            WireError::Io(error) => {
                !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
            }
            _ => false,
        };
        stream.set_read_timeout(Some(patience)).is_ok()
            && match wire::receive(&mut self.stream, wire::MAX_MESSAGE) {
                Ok(message) => message.is_none(),
                Err(error) => ended(&error),
            }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call(&mut self, call: Call) -> Result<Reply, CallError> {
        let id = self.send(call)?;
        let response = self.receive()?;
        if response.id != id {
            return Err(CallError::Unasked);
        }
        Ok(response.outcome?)
    }
}

/// Greets the router of `dir`, which greets back.
pub(crate) fn greeted(
    dir: &Path,
    connected: io::Result<UnixStream>,
) -> Result<UnixStream, CallError> {
    let no_router = |error| CallError::NoRouter { dir: dir.display().to_string(), error };
    let mut stream = connected.map_err(no_router)?;
    // Who is turned away may hear so before it has said anything.
    let greeted = wire::greet(&mut stream, wire::VERSION, Welcome::Come);
    match wire::greeting(&mut stream)? {
        (_, Welcome::NotAllowed) => Err(CallError::NotAllowed),
        (_, Welcome::Full) => Err(CallError::Full),
        (wire::VERSION, Welcome::Come) => {
            greeted?;
            Ok(stream)
        }
        (theirs, _) => Err(CallError::OtherVersion { ours: wire::VERSION, theirs }),
    }
}
