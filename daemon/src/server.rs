//! Who connects, and what they may.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use api::wire::{self, Welcome};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Pid, geteuid, getsid};
use terminal::log::Kind;

use crate::host::Host;
use crate::service::Service;
use crate::session::{Rights, Session};
use crate::transactions::Author;

/// Most connections at a time, of both sockets.
const CONNECTIONS: usize = 64;
/// After an accept that the system refused, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the process ends.
pub(crate) fn serve(
    listener: UnixListener,
    rights: Rights,
    service: &Arc<Service>,
    open: &Arc<AtomicUsize>,
) -> io::Result<()> {
    let (service, open) = (Arc::clone(service), Arc::clone(open));
    let accept = move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => admit(stream, rights, &service, &open),
                Err(error) => {
                    service.journal.say(Kind::Refused, &format!("a connection: {error}"));
                    thread::sleep(PAUSE);
                }
            }
        }
    };
    thread::Builder::new().name("qfp-api".to_owned()).spawn(accept).map(drop)
}

/// One of the connections that there may be.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        let more = |count: usize| (count < CONNECTIONS).then_some(count + 1);
        let taken = open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Self(Arc::clone(open)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets somebody in who may, on a thread of their own.
fn admit(stream: UnixStream, rights: Rights, service: &Arc<Service>, open: &Arc<AtomicUsize>) {
    let refuse = |mut stream: UnixStream, welcome, why: &str| {
        service.journal.say(Kind::Refused, why);
        // Eight bytes fit, and who does not hear them sees the end.
        drop(wire::greet(&mut stream, wire::VERSION, welcome));
    };
    let peer = match getsockopt(&stream, PeerCredentials) {
        Ok(peer) => peer,
        Err(error) => {
            return refuse(stream, Welcome::NotAllowed, &format!("an unknown user: {error}"));
        }
    };
    let uid = peer.uid();
    let may = match rights {
        Rights::Change | Rights::Apply => uid == geteuid().as_raw() || uid == 0,
        // Only members of the group reach the socket.
        Rights::Look => true,
    };
    if !may {
        let why = format!("user {uid} (process {}) is not listened to", peer.pid());
        return refuse(stream, Welcome::NotAllowed, &why);
    }
    let Some(place) = Place::take(open) else {
        return refuse(stream, Welcome::Full, &format!("user {uid}: too many connections"));
    };
    let session = session_of(peer.pid());
    let author = Author { uid, session };
    let own = Arc::clone(service);
    let run = move || {
        let _place = place;
        match rights {
            Rights::Apply => Host { author, service: own }.run(stream),
            Rights::Change | Rights::Look => Session { author, rights, service: own }.run(stream),
        }
    };
    let spawned = thread::Builder::new().name(format!("qfp-api-{uid}")).spawn(run);
    if let Err(error) = spawned {
        service.journal.say(Kind::Refused, &format!("user {uid}: no thread: {error}"));
    }
}

/// The session of a process. Zero if this process cannot see it, as in a PID namespace whose first
/// process has not begun a session of its own; and zero for a process that itself cannot be seen
/// (0 would ask for our own): such callers are told apart by their user alone.
fn session_of(pid: i32) -> i32 {
    if pid == 0 {
        return 0;
    }
    getsid(Some(Pid::from_raw(pid))).map_or(0, Pid::as_raw)
}
