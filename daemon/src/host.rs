//! Programs beside the router: they get packets of the slow path, and put packets in.
//!
//! One thread writes to such a program and one reads from it, so that one which reads nothing holds up
//! itself. What it does not read is lost, and counted.

use std::collections::HashMap;
use std::io::{BufReader, BufWriter};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use api::wire::{self, WireError};
use api::{Failure, FromApplication, MAX_PACKET, Punted, Status, ToApplication};
use qfp::Punts;
use qfp::core::uidb::UidbIndex;
use terminal::log::Kind;

use crate::router::Router;
use crate::service::Service;
use crate::session::converse;
use crate::transactions::Author;

/// Bytes of a program's name.
const LONGEST_NAME: usize = 64;

/// How long names of interfaces are taken for true.
const NAMES: Duration = Duration::from_secs(1);

/// Serves one program.
pub(crate) struct Host {
    pub(crate) author: Author,
    pub(crate) service: Arc<Service>,
}

impl Host {
    /// Serves until the other end is gone.
    pub(crate) fn run(&self, stream: UnixStream) {
        converse(stream, self.author, &self.service, |stream| self.serve(stream));
    }

    fn serve(&self, stream: &UnixStream) -> Result<(), WireError> {
        // It may take its time; its packets are lost meanwhile.
        stream.set_write_timeout(None)?;
        let mut said = BufReader::new(stream);
        let Some(first) = wire::receive(&mut said, MAX_PACKET)? else { return Ok(()) };
        let punts = match wire::decode(&first)? {
            FromApplication::Register { name, wanted } => self.register(&name, &wanted),
            FromApplication::Inject { .. } => {
                Err(Failure::new(Status::Refused, "a program registers first"))
            }
        };
        let mut out = stream;
        let punts = match punts {
            Ok(punts) => punts,
            Err(failure) => {
                return wire::send(&mut out, &wire::encode(&ToApplication::Refused(failure))?);
            }
        };
        wire::send(&mut out, &wire::encode(&ToApplication::Registered)?)?;
        let (close, router) = (punts.closer(), Arc::clone(&self.service.router));
        let writer = stream.try_clone()?;
        let named = thread::Builder::new().name("qfp-app-out".to_owned());
        let writing = named.spawn(move || write_all(&writer, &punts, router.as_ref()))?;
        let ended = self.inject_all(said);
        drop(stream.shutdown(Shutdown::Both));
        close();
        drop(writing.join());
        ended
    }

    fn register(&self, name: &str, wanted: &api::Wanted) -> Result<Punts, Failure> {
        let is_plain = |c: char| c.is_ascii_graphic();
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
            let line = format!("a program's name has 1 to {LONGEST_NAME} visible characters");
            return Err(Failure::new(Status::Refused, line));
        }
        self.service.router.register(name, wanted)
    }

    fn inject_all(&self, mut said: BufReader<&UnixStream>) -> Result<(), WireError> {
        while let Some(message) = wire::receive(&mut said, MAX_PACKET)? {
            match wire::decode(&message)? {
                // What is not put in for want of room is counted there.
                FromApplication::Inject { to, packet } => {
                    if let Err(Failure { status: Status::NotFound, line }) =
                        self.service.router.inject(&to, &packet)
                    {
                        let line = format!("user {}: a packet: {line}", self.author.uid);
                        self.service.journal.say(Kind::Refused, &line);
                    }
                }
                FromApplication::Register { .. } => {
                    return Err(WireError::Io(std::io::Error::other("registers twice")));
                }
            }
        }
        Ok(())
    }
}

/// Writes packets as they come. One that cannot be written ends the connection.
fn write_all(stream: &UnixStream, punts: &Punts, router: &dyn Router) {
    let mut out = BufWriter::new(stream);
    let (mut names, mut asked): (HashMap<UidbIndex, String>, _) = (HashMap::new(), Instant::now());
    while let Some(qfp::Punted { cause, input, l3_offset, frame }) = punts.next() {
        // Interfaces come and go.
        if !names.contains_key(&input) || asked.elapsed() > NAMES {
            asked = Instant::now();
            let all = router.interfaces().into_iter();
            names = all.map(|one| (UidbIndex(one.uidb), one.name)).collect();
        }
        let interface = names.get(&input).cloned().unwrap_or_default();
        let cause = cause.name().to_owned();
        let punted = ToApplication::Punted(Punted { cause, interface, l3_offset, frame });
        let sent = wire::encode(&punted).and_then(|bytes| wire::send(&mut out, &bytes));
        if sent.is_err() {
            drop(stream.shutdown(Shutdown::Both));
            return;
        }
    }
}
