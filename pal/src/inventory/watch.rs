use super::interface::{IfIndex, Interface};
use super::netlink::{Batch, LinkSocket, RECEIVE_BUFFER, dump_links};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

/// Something that happened to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceEvent {
    /// It is new.
    Added(Interface),
    /// It is gone; this is what was known last.
    Removed(Interface),
    /// Something about it is different.
    Changed {
        /// As it was.
        before: Interface,
        /// As it is.
        after: Interface,
    },
    /// The kernel dropped events, so all links were listed again; this is what differs.
    ///
    /// Never contains another of its kind. May be empty.
    Resync(Vec<InterfaceEvent>),
}

/// Why interfaces cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// No netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Open(io::Error),
    /// The kernel does not take the request.
    #[error("cannot ask the kernel for its links: {0}")]
    Send(io::Error),
    /// Reading failed.
    #[error("cannot read from the netlink socket: {0}")]
    Receive(io::Error),
    /// The kernel answered with an error.
    #[error("the kernel refused to list its links: {0}")]
    Refused(io::Error),
    /// A message is not understood.
    #[error("cannot decode a netlink message: {0}")]
    Decode(Box<netlink_packet_core::DecodeError>),
    /// The links changed during every attempt to list them.
    #[error("the links changed during each of {attempts} attempts to list them")]
    Unstable {
        /// How often it was tried.
        attempts: u32,
    },
}

/// Follows the interfaces of one network namespace: that of the thread which opens it.
///
/// Loopbacks are left out. Blocks its thread only inside [`next`](Self::next).
pub struct InterfaceWatch {
    socket: LinkSocket,
    known: BTreeMap<IfIndex, Interface>,
    events: VecDeque<InterfaceEvent>,
}

impl InterfaceWatch {
    /// Subscribes, then lists what is there: see [`interfaces`](Self::interfaces).
    ///
    /// # Errors
    /// See [`WatchError`]. No privilege is needed.
    pub fn open() -> Result<Self, WatchError> {
        Self::with_receive_buffer(RECEIVE_BUFFER)
    }

    fn with_receive_buffer(bytes: i32) -> Result<Self, WatchError> {
        let socket = LinkSocket::subscribe(bytes)?;
        let known = list()?;
        Ok(Self { socket, known, events: VecDeque::new() })
    }

    /// All interfaces as known now, in [port order](Interface::port_order).
    #[must_use]
    pub fn interfaces(&self) -> Vec<Interface> {
        let mut all: Vec<_> = self.known.values().cloned().collect();
        all.sort_by(Interface::port_order);
        all
    }

    /// The next event, or `None` if there is none within `timeout`.
    ///
    /// May return `None` early, after a signal or a message that changes nothing.
    ///
    /// # Errors
    /// See [`WatchError`]; the watch may be used again.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<InterfaceEvent>, WatchError> {
        if self.events.is_empty() {
            match self.socket.read(timeout)? {
                Batch::Nothing => {}
                Batch::Messages(messages) => self
                    .events
                    .extend(messages.iter().filter_map(|message| apply(&mut self.known, message))),
                // What is still queued is older than the list: it repeats, or is undone by, what
                // comes behind it.
                Batch::Lost => {
                    let now = list()?;
                    let before = std::mem::replace(&mut self.known, now);
                    let differs = difference(&before, &self.known);
                    self.events.push_back(InterfaceEvent::Resync(differs));
                }
            }
        }
        Ok(self.events.pop_front())
    }
}

fn list() -> Result<BTreeMap<IfIndex, Interface>, WatchError> {
    let mut known = BTreeMap::new();
    for link in dump_links()? {
        apply(&mut known, &RouteNetlinkMessage::NewLink(link));
    }
    Ok(known)
}

/// Messages of other families, such as a bridge's, tell of ports joining and leaving.
fn is_interface(link: &LinkMessage) -> bool {
    link.header.interface_family == AddressFamily::Unspec
        && !link.header.flags.contains(LinkFlags::Loopback)
}

fn apply(
    known: &mut BTreeMap<IfIndex, Interface>,
    message: &RouteNetlinkMessage,
) -> Option<InterfaceEvent> {
    match message {
        RouteNetlinkMessage::NewLink(link) if is_interface(link) => {
            let index = IfIndex(link.header.index);
            let before = known.get(&index).cloned();
            let mut after = before.clone().unwrap_or_default();
            after.update(link);
            known.insert(index, after.clone());
            match before {
                None => Some(InterfaceEvent::Added(after)),
                Some(before) if before == after => None,
                Some(before) => Some(InterfaceEvent::Changed { before, after }),
            }
        }
        RouteNetlinkMessage::DelLink(link) if is_interface(link) => {
            known.remove(&IfIndex(link.header.index)).map(InterfaceEvent::Removed)
        }
        _ => None,
    }
}

/// What leads from one list to another: removals first, so that names are free again.
fn difference(
    before: &BTreeMap<IfIndex, Interface>,
    after: &BTreeMap<IfIndex, Interface>,
) -> Vec<InterfaceEvent> {
    let removed = before.iter().filter(|(index, _)| !after.contains_key(index));
    let removed = removed.map(|(_, old)| InterfaceEvent::Removed(old.clone()));
    let rest = after.iter().filter_map(|(index, new)| match before.get(index) {
        None => Some(InterfaceEvent::Added(new.clone())),
        Some(old) if old == new => None,
        Some(old) => Some(InterfaceEvent::Changed { before: old.clone(), after: new.clone() }),
    });
    removed.chain(rest).collect()
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
