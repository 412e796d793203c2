//! Next hops: what waits for them, who is asked, and what happens when they answer or do not.

use std::net::{IpAddr, Ipv6Addr};

use hal::PoolCache;
use pal::clock::Nanos;

use super::counters::{Done, Fate, SlowDrop};
use super::icmp::Problem;
use super::interface;
use super::neighbour::{Event, Heard, Key, Mac, Resolution, Step};
use super::{Action, SlowPath, Turn, frame, network};
use crate::packet::{Origin, PuntedPacket};
use crate::uidb::UidbIndex;
use crate::wire::{Ipv4, Ipv6};

impl SlowPath {
    /// Takes a packet whose next hop has no MAC address yet.
    pub(super) fn resolve(&mut self, turn: &mut Turn<'_>, punted: PuntedPacket) -> Fate {
        let dst = destination(&punted)?;
        let next_hop = punted.next_hop.unwrap_or(dst);
        let link = self.interfaces.get(punted.output).ok_or(SlowDrop::NoInterface)?;
        if !interface::is_host(next_hop)
            || self.interfaces.is_group(link.table, next_hop)
            || link.has_address(next_hop)
        {
            return Err(SlowDrop::BadNextHop);
        }
        link.asking_source(next_hop).ok_or(SlowDrop::NoAddress)?;
        let key = (link.uidb, next_hop);
        let mut step = Step::new(turn.now, &self.limits, &mut self.counters);
        let resolution = self.neighbours.resolve(&mut step, key, punted);
        let events = step.into_events();
        self.apply(turn, events);
        match resolution {
            Resolution::Held => Ok(Done::Held),
            Resolution::Refused(reason) => Err(reason),
            Resolution::Known(mac, punted) => self.resend_known(turn, key, mac, punted),
        }
    }

    /// Asks for a neighbour that no packet waits for: a lost member of a group whose packets go to
    /// the others meanwhile. To be called now and then; a neighbour that is being asked for, or did
    /// not answer a moment ago, is left alone.
    pub fn look_for(
        &mut self,
        now: Nanos,
        uidb: UidbIndex,
        address: IpAddr,
        pool: &mut PoolCache,
        actions: &mut Vec<Action>,
    ) {
        let Some(link) = self.interfaces.get(uidb) else { return };
        if !interface::is_host(address)
            || link.has_address(address)
            || link.asking_source(address).is_none()
        {
            return;
        }
        let mut step = Step::new(now, &self.limits, &mut self.counters);
        self.neighbours.look_for(&mut step, (uidb, address));
        let events = step.into_events();
        self.apply(&mut Turn { now, lcore: 0, pool, actions }, events);
    }

    /// Takes over a neighbour from a slow path that is gone: lcores send to it at `mac`. It is asked
    /// whether that is still so.
    pub fn adopt(
        &mut self,
        now: Nanos,
        (uidb, address): (UidbIndex, IpAddr),
        mac: [u8; 6],
        pool: &mut PoolCache,
        actions: &mut Vec<Action>,
    ) {
        if self.interfaces.get(uidb).is_none() {
            return;
        }
        let mut step = Step::new(now, &self.limits, &mut self.counters);
        self.neighbours.adopt(&mut step, (uidb, address), mac);
        let events = step.into_events();
        self.apply(&mut Turn { now, lcore: 0, pool, actions }, events);
    }

    /// The fast path has not heard yet, or has lost what it knew: it is told again. The limit
    /// keeps a packet from going round for ever when telling does not help.
    fn resend_known(
        &mut self,
        turn: &mut Turn<'_>,
        (uidb, address): Key,
        mac: Mac,
        punted: PuntedPacket,
    ) -> Fate {
        self.may_resend(turn, &punted)?;
        turn.actions.push(Action::Neighbour { uidb, address, mac: Some(mac) });
        resend(turn, punted)
    }

    /// Takes one from the budget of packets that go to the fast path anew.
    pub(super) fn may_resend(
        &mut self,
        turn: &Turn<'_>,
        punted: &PuntedPacket,
    ) -> Result<(), SlowDrop> {
        let source = source(punted);
        let taken = self.resend_limit.take(turn.now, punted.input, source);
        taken.map_err(|_| SlowDrop::ResendLimit)
    }

    /// Takes in what a message says of a neighbour; true when it is in the table then.
    pub(super) fn hear(&mut self, turn: &mut Turn<'_>, key: Key, heard: Heard) -> bool {
        let mut step = Step::new(turn.now, &self.limits, &mut self.counters);
        let known = self.neighbours.hear(&mut step, key, heard);
        let events = step.into_events();
        self.apply(turn, events);
        known
    }

    /// Does what the neighbour table asks for.
    pub(super) fn apply(&mut self, turn: &mut Turn<'_>, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Ask(key, mac) => {
                    if self.ask(turn, key, mac).is_err() {
                        self.counters.requests_unsent += 1;
                    }
                }
                Event::Resolved((uidb, address), mac, held) => {
                    self.counters.neighbours_learnt += 1;
                    turn.actions.push(Action::Neighbour { uidb, address, mac: Some(mac) });
                    for punted in held {
                        self.counters.held -= 1;
                        let fate = resend(turn, punted);
                        self.counters.settle(fate);
                    }
                }
                Event::Absent(held) => {
                    self.counters.neighbours_absent += 1;
                    for punted in held {
                        self.counters.held -= 1;
                        let fate = self.report(turn, &punted, Problem::HostUnreachable);
                        self.counters.settle(fate);
                    }
                }
                Event::Lost(_) | Event::Discarded(..) => self.discard(vec![event], turn.actions),
            }
        }
    }

    fn ask(&mut self, turn: &mut Turn<'_>, key: Key, mac: Option<Mac>) -> Result<(), SlowDrop> {
        match key.1 {
            IpAddr::V4(address) => self.request(turn, key.0, address, mac),
            IpAddr::V6(address) => self.solicit(turn, key.0, address, mac),
        }
    }
}

/// Where the packet goes, if it is an IP packet.
fn destination(punted: &PuntedPacket) -> Result<IpAddr, SlowDrop> {
    let bytes = network(punted);
    if bytes.first().is_some_and(|first| first >> 4 == 4) {
        let ip = Ipv4::parse(bytes).map_err(|_| SlowDrop::Malformed)?;
        let right = ip.checksum_ok().then_some(IpAddr::V4(ip.dst()));
        return right.ok_or(SlowDrop::BadChecksum);
    }
    let ip = Ipv6::parse(bytes).map_err(|_| SlowDrop::Malformed)?;
    Ok(IpAddr::V6(ip.dst()))
}

/// Who sent the packet; the unspecified address if it is no IP packet.
fn source(punted: &PuntedPacket) -> IpAddr {
    let bytes = network(punted);
    if let Ok(ip) = Ipv4::parse(bytes) {
        return IpAddr::V4(ip.src());
    }
    Ipv6::parse(bytes).map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |ip| IpAddr::V6(ip.src()))
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// How often one packet is handed back to the fast path, whatever it is punted for.
const MAX_ROUNDS: u8 = 3;

/// Hands a packet back to the fast path as it is, without link-layer header and padding.
pub(super) fn resend(turn: &mut Turn<'_>, punted: PuntedPacket) -> Fate {
    let rounds = frame::rounds(&punted);
    if rounds >= MAX_ROUNDS {
        return Err(SlowDrop::WentRound);
    }
    let bytes = network(&punted);
    let ip = match bytes.first().map(|first| first >> 4) {
        Some(4) => Ipv4::parse(bytes).map(|ip| ip.packet()),
        _ => Ipv6::parse(bytes).map(|ip| ip.packet()),
    };
    let frame = frame::injected_again(ip.map_err(|_| SlowDrop::Malformed)?, rounds + 1);
    let mut packet = punted.packet;
    if !packet.set_frame(&frame) {
        return Err(SlowDrop::NoBuffer);
    }
    let (lcore, table) = (punted.lcore, punted.table);
    turn.actions.push(if punted.input == UidbIndex::RP {
        Action::Inject { lcore, table, origin: None, within: punted.within, packet }
    } else {
        // No route leads to a link-local address: such a next hop is found by routing once more.
        let next_hop = punted.next_hop.filter(|hop| !is_link_local(*hop));
        let origin = Origin { input: punted.input, opened: punted.opened };
        Action::Forward { lcore, table, next_hop, origin, packet }
    });
    Ok(Done::Resent)
}
