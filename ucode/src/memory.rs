//! What a data plane remembers of what its slow path has said, for a client that has not heard it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qfp_core::uidb::UidbIndex;

use crate::applications::ForApplication;
use crate::messages::FromSlowPath;
use crate::wire::Answer;

/// Paths that are remembered; a tunnel's size of packets is found out again otherwise.
const PATHS: usize = 4096;

/// Packets for programs that wait until the client is not behind.
const PUNTED: usize = 256;

/// What the slow path has found out, and who is told.
#[derive(Default)]
pub(crate) struct Memory {
    found: Mutex<Found>,
    /// Packets for programs that wait to be told.
    punted: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Found {
    /// None while there is no client.
    tell: Option<Sender<Answer>>,
    neighbours: BTreeMap<(UidbIndex, IpAddr), [u8; 6]>,
    paths: BTreeMap<(IpAddr, u32), u16>,
    /// The last report of a neighbour.
    reported: u64,
}

/// A neighbour and its address.
pub type Known = (UidbIndex, IpAddr, [u8; 6]);

impl Memory {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers neighbours that the tables have.
    pub(crate) fn learn(&self, known: Vec<Known>) {
        let known = known.into_iter().map(|(uidb, address, mac)| ((uidb, address), mac));
        self.found().neighbours = known.collect();
    }

    /// Remembers what the slow path says, and tells the client if there is one.
    pub(crate) fn note(&self, message: FromSlowPath) {
        let mut found = self.found();
        match message {
            FromSlowPath::Neighbour { report, uidb, address, mac } => {
                found.reported = report;
                match mac {
                    Some(mac) => drop(found.neighbours.insert((uidb, address), mac)),
                    None => drop(found.neighbours.remove(&(uidb, address))),
                }
            }
            FromSlowPath::PathMtu { destination, spi, mtu } => {
                if found.paths.len() < PATHS || found.paths.contains_key(&(destination, spi)) {
                    found.paths.insert((destination, spi), mtu);
                }
            }
            FromSlowPath::Followed | FromSlowPath::RingsCleared | FromSlowPath::Ended => {}
        }
        if let Some(tell) = &found.tell {
            // A client that is gone misses nothing.
            drop(tell.send(Answer::SlowPath(message)));
        }
    }

    /// Passes a packet for a program on, if there is a client that is not far behind.
    pub(crate) fn pass(&self, packet: ForApplication) -> bool {
        let found = self.found();
        let Some(tell) = &found.tell else { return false };
        // The slow path alone adds to it.
        let has_room = self.punted.load(Ordering::Relaxed) < PUNTED;
        if has_room {
            self.punted.fetch_add(1, Ordering::Relaxed);
            drop(tell.send(Answer::Punted(packet)));
        }
        has_room
    }

    /// How many packets wait; who takes one out of the line counts down.
    pub(crate) fn punted(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.punted)
    }

    /// From here on `tell` hears what is said.
    pub(crate) fn tell(&self, tell: Sender<Answer>) {
        self.found().tell = Some(tell);
    }

    /// From here on nobody does.
    pub(crate) fn tell_nobody(&self) {
        self.found().tell = None;
    }

    /// Neighbours and the number of the last report, for a client that hears through `tell` what
    /// comes after them, and first how large packets may be on their paths.
    pub(crate) fn meet(&self, tell: Sender<Answer>) -> (Vec<Known>, u64) {
        let mut found = self.found();
        for ((destination, spi), mtu) in &found.paths {
            let (destination, spi, mtu) = (*destination, *spi, *mtu);
            let path = FromSlowPath::PathMtu { destination, spi, mtu };
            drop(tell.send(Answer::SlowPath(path)));
        }
        found.tell = Some(tell);
        let known = found.neighbours.iter();
        let known = known.map(|((uidb, address), mac)| (*uidb, *address, *mac)).collect();
        (known, found.reported)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn another_client_hears_what_there_is_and_then_what_comes() {
        let memory = Memory::default();
        let address = |n| IpAddr::from([10, 0, 0, n]);
        let report = |report, n, mac| {
            let (uidb, address) = (UidbIndex(5), address(n));
            memory.note(FromSlowPath::Neighbour { report, uidb, address, mac });
        };
        memory.learn(vec![(UidbIndex(5), address(9), [9; 6])]);
        let (tell, first) = channel();
        memory.tell(tell);
        report(1, 1, Some([1; 6]));
        report(2, 2, Some([2; 6]));
        assert_eq!(first.try_iter().count(), 2);
        memory.tell_nobody();
        report(3, 1, None);
        memory.note(FromSlowPath::PathMtu { destination: address(7), spi: 3, mtu: 1400 });
        memory.note(FromSlowPath::Followed);
        assert_eq!(first.try_iter().count(), 0);
        let (tell, next) = channel();
        let (known, reported) = memory.meet(tell);
        let wanted = [(UidbIndex(5), address(2), [2; 6]), (UidbIndex(5), address(9), [9; 6])];
        assert_eq!((known.as_slice(), reported), (&wanted[..], 3));
        report(4, 4, Some([4; 6]));
        let told: Vec<Answer> = next.try_iter().collect();
        assert!(matches!(
            told[..],
            [
                Answer::SlowPath(FromSlowPath::PathMtu { mtu: 1400, .. }),
                Answer::SlowPath(FromSlowPath::Neighbour { report: 4, .. })
            ]
        ));
    }
}
