//! One connection: its requests are answered in their order.
//!
//! One thread reads and answers, another writes, so that who sends many requests before it reads a
//! response holds up nobody. Who does not read at all is cut off.

use std::io::{self, BufReader, BufWriter};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use api::wire::{self, Welcome, WireError};
use api::{Failure, Reply, Request, Response, Status};
use terminal::log::Kind;
use zeroize::Zeroizing;

use crate::service::Service;
use crate::transactions::Author;

/// Most bytes of responses that wait for their reader, after one.
const WAITING: usize = 1 << 24;
/// What a response takes beside its bytes.
const OVERHEAD: usize = 64;
/// How long a greeting may take, and a reader that reads nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Everything.
    Change,
    /// What leaves things as they are.
    Look,
    /// To get packets and put packets in.
    Apply,
}

/// Greets whoever has connected, has `serve` listen until there is no more to hear, and says what was
/// wrong with it.
pub(crate) fn converse(
    mut stream: UnixStream,
    author: Author,
    service: &Service,
    serve: impl FnOnce(&UnixStream) -> Result<(), WireError>,
) {
    let ended = greet(&mut stream).and_then(|come| match come {
        true => serve(&stream),
        false => Ok(()),
    });
    drop(stream.shutdown(Shutdown::Both));
    match ended {
        Ok(()) => {}
        // Gone in the middle of something.
        Err(WireError::Io(error)) if is_gone(error.kind()) => {}
        Err(error) => {
            service.journal.say(Kind::Refused, &format!("user {}: {error}", author.uid));
        }
    }
}

/// Somebody who is listened to.
pub(crate) struct Session {
    pub(crate) author: Author,
    pub(crate) rights: Rights,
    pub(crate) service: Arc<Service>,
}

/// Responses on their way.
struct Outbox {
    queue: Sender<Zeroizing<Vec<u8>>>,
    waiting: Arc<AtomicUsize>,
}

impl Session {
    /// Serves until the other end is gone, or is cut off.
    pub(crate) fn run(&self, stream: UnixStream) {
        converse(stream, self.author, &self.service, |stream| self.answer_all(stream));
    }

    fn answer_all(&self, stream: &UnixStream) -> Result<(), WireError> {
        let (queue, responses) = channel();
        let outbox = Outbox { queue, waiting: Arc::default() };
        let (writer, waiting) = (stream.try_clone()?, Arc::clone(&outbox.waiting));
        let named = thread::Builder::new().name("qfp-api-out".to_owned());
        named.spawn(move || write_all(&writer, &responses, &waiting))?;
        let limit = match self.rights {
            Rights::Change => wire::MAX_MESSAGE,
            Rights::Look | Rights::Apply => wire::MAX_LOOK,
        };
        let mut requests = BufReader::new(stream);
        while let Some(message) = wire::receive(&mut requests, limit)? {
            let Request { id, call } = wire::decode(&message)?;
            drop(message);
            let may = self.rights == Rights::Change || call.only_looks();
            let outcome =
                if may { self.service.answer(self.author, call) } else { Err(self.not_allowed()) };
            outbox.send(id, outcome)?;
        }
        Ok(())
    }

    fn not_allowed(&self) -> Failure {
        let line = format!("user {} may look, and change nothing", self.author.uid);
        self.service.journal.say(Kind::Refused, &line);
        Failure::new(Status::Failed, line)
    }
}

impl Outbox {
    /// Has a response sent.
    fn send(&self, id: u64, outcome: Result<Reply, Failure>) -> Result<(), WireError> {
        let bytes = match wire::encode(&Response { id, outcome }) {
            Err(WireError::TooLong(length)) => {
                let line = format!("the answer would have {length} bytes: ask for less");
                let outcome = Err(Failure::new(Status::Failed, line));
                wire::encode(&Response { id, outcome })?
            }
            bytes => bytes?,
        };
        let size = bytes.len() + OVERHEAD;
        let before = self.waiting.fetch_add(size, Ordering::Relaxed);
        if before > WAITING {
            return Err(WireError::Io(io::Error::other("does not read its answers")));
        }
        // Without a writer the next read ends it.
        self.queue.send(bytes).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe).into())
    }
}

/// Writes responses as they come. One that cannot be written ends the connection.
fn write_all(stream: &UnixStream, responses: &Receiver<Zeroizing<Vec<u8>>>, waiting: &AtomicUsize) {
    let mut out = BufWriter::new(stream);
    for response in responses {
        let size = response.len() + OVERHEAD;
        if wire::send(&mut out, &response).is_err() {
            // The reader of requests sees the end.
            drop(stream.shutdown(Shutdown::Both));
            return;
        }
        waiting.fetch_sub(size, Ordering::Relaxed);
    }
}

/// Whether we understand each other.
fn greet(stream: &mut UnixStream) -> Result<bool, WireError> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (version, _) = wire::greeting(stream)?;
    let same = version == wire::VERSION;
    let welcome = if same { Welcome::Come } else { Welcome::OtherVersion };
    wire::greet(stream, wire::VERSION, welcome)?;
    stream.set_read_timeout(None)?;
    Ok(same)
}

fn is_gone(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
