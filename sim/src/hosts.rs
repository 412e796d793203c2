//! Hosts around the router: they answer who asks for them, move to other MAC addresses, and go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use rand::Rng;
use rand::rngs::SmallRng;

use crate::frames::{Mac, answer, mac};
use crate::model::Hop;
use crate::swarm::Swarm;

#[derive(Debug)]
struct Host {
    hop: Hop,
    mac: Mac,
    here: bool,
}

/// Those that the router has to ask for.
#[derive(Debug)]
pub(crate) struct Hosts {
    hosts: [Host; 2],
    /// Frames on their way to the router, with their ports.
    coming: VecDeque<(usize, Vec<u8>)>,
    /// MAC addresses that the router may have heard of.
    answered: BTreeMap<Hop, BTreeSet<Mac>>,
}

/// The link of a port, in MAC addresses.
fn link(port: usize) -> u8 {
    [1, 2, 3][port]
}

impl Hosts {
    pub(crate) fn new() -> Self {
        let host = |hop: Hop| Host { hop, mac: mac(link(hop.port()), 50), here: true };
        let (coming, answered) = Default::default();
        Self { hosts: [Hop::Far, Hop::Near].map(host), coming, answered }
    }

    pub(crate) const fn answered(&self) -> &BTreeMap<Hop, BTreeSet<Mac>> {
        &self.answered
    }

    /// Somebody is asked for on the link of a port.
    pub(crate) fn hear(
        &mut self,
        port: usize,
        (target, router): (Ipv4Addr, Ipv4Addr),
        swarm: &Swarm,
        random: &mut SmallRng,
    ) {
        let asked = |host: &&Host| host.hop.address() == Some(target) && host.hop.port() == port;
        let Some(host) = self.hosts.iter().find(asked).filter(|host| host.here) else { return };
        let frame = answer(host.mac, target, (mac(link(port), 1), router));
        if random.random_bool(swarm.lose) {
            return;
        }
        self.answered.entry(host.hop).or_default().insert(host.mac);
        if random.random_bool(swarm.double) {
            self.coming.push_back((port, frame.clone()));
        }
        self.coming.push_back((port, frame));
    }

    /// The next frame that arrives at the router. Frames may overtake each other.
    pub(crate) fn next(&mut self, random: &mut SmallRng) -> Option<(usize, Vec<u8>)> {
        let at = random.random_range(0..self.coming.len().max(1));
        self.coming.remove(at)
    }

    /// One of them changes. Returns what it does.
    pub(crate) fn change(&mut self, random: &mut SmallRng) -> String {
        let host = &mut self.hosts[random.random_range(0..2)];
        if random.random_bool(0.5) {
            host.mac[5] = random.random_range(50..60);
        } else {
            host.here = !host.here;
        }
        format!(
            "host {:?} is at {:02x?}{}",
            host.hop,
            host.mac,
            if host.here { "" } else { ", away" }
        )
    }

    /// All go.
    pub(crate) fn leave(&mut self) {
        self.hosts.iter_mut().for_each(|host| host.here = false);
        self.coming.clear();
    }
}
