//! Where another client finds a data plane whose client is gone.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use pal::seqpacket::{Listener, SeqPacket};

use crate::hello::{Greeting, Wish, greet, hear};
use crate::wire::build;

/// How a data plane outlives its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stay {
    /// The user whose processes may take it over; root's may, too.
    pub user: u32,
    /// How long it goes on without a client; none is for ever.
    pub alone: Option<Duration>,
}

/// Who has come.
pub(crate) enum Caller {
    /// Its client from now on.
    Client(SeqPacket),
    /// Somebody who has it end, or it is without a client for too long.
    End,
    /// Nobody yet.
    Nobody,
}

/// The door.
pub(crate) struct Door {
    listener: Listener,
    stay: Stay,
}

impl Door {
    /// Opens it.
    ///
    /// # Errors
    /// `listener` is none.
    pub(crate) fn open(listener: Listener, stay: Stay) -> std::io::Result<Self> {
        listener.listen()?;
        Ok(Self { listener, stay })
    }

    /// A second handle of it, for another data plane.
    pub(crate) fn listener(&self) -> std::io::Result<OwnedFd> {
        self.listener.try_clone()
    }

    /// Looks who is there, without waiting. While there is a client, all others are sent away.
    pub(crate) fn look(&self, has_client: bool) -> Option<Caller> {
        let (line, user) = self.listener.accept().ok().flatten()?;
        // Who does not want to hear why need not.
        if user != 0 && user != self.stay.user {
            let why = format!("user {user} may not take it over");
            drop(greet(&line, &Greeting::Refused(why)));
            return None;
        }
        if has_client {
            drop(greet(&line, &Greeting::Taken));
            return None;
        }
        match hear(&line)? {
            (_, Wish::End) => {
                drop(greet(&line, &Greeting::Welcome));
                Some(Caller::End)
            }
            (theirs, Wish::TakeOver) if theirs != build() => {
                greet(&line, &Greeting::OtherBuild).ok()?;
                None
            }
            (_, Wish::TakeOver) => {
                greet(&line, &Greeting::Welcome).ok()?;
                Some(Caller::Client(line))
            }
        }
    }

    /// Waits for a client for `round`; there has been none since `alone`.
    pub(crate) fn wait(&self, round: Duration, alone: Instant) -> Caller {
        if self.stay.alone.is_some_and(|most| alone.elapsed() > most) {
            return Caller::End;
        }
        let caller = if self.listener.wait(round) { self.look(false) } else { None };
        caller.unwrap_or(Caller::Nobody)
    }
}
