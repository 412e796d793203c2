//! How many packets a second may leave for the slow path: a policer a cause (ING-23).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use pal::clock::Nanos;

use crate::packet::{PuntCause, Vector};
use crate::punt::{Rate, TokenBucket};
use crate::qos::lpts::{Admission, ForUs, Lpts, LptsGroup, LptsRates, Session};
use crate::qos::police::PolicerState;
use crate::uidb::TableId;

/// Rates of the punt path of one lcore, packets a second.
#[derive(Clone, Debug)]
pub struct PuntRates {
    /// By cause.
    pub causes: [Rate; PuntCause::COUNT],
    /// Dropped packets handed over so that their source can be told.
    pub reports: Rate,
    /// Rates of packets for the router itself, by type of flow and in total (LPTS).
    pub flows: Box<LptsRates>,
    /// Sessions, peers and listeners, which say what type a flow is of.
    pub sessions: Arc<Lpts>,
}

impl Default for PuntRates {
    fn default() -> Self {
        let rate = Rate { per_second: 10_000, burst: 1_000 };
        Self {
            causes: [rate; PuntCause::COUNT],
            reports: Rate { per_second: 1_000, burst: 100 },
            flows: Box::default(),
            sessions: Arc::default(),
        }
    }
}

/// The policers of one lcore.
#[derive(Debug)]
pub struct PuntGate {
    causes: [TokenBucket; PuntCause::COUNT],
    reports: TokenBucket,
    flows: Box<LptsRates>,
    states: Vec<PolicerState>,
    sessions: Arc<Lpts>,
}

impl PuntGate {
    /// Policers with these rates.
    #[must_use]
    pub fn new(rates: &PuntRates) -> Self {
        Self {
            causes: rates.causes.map(TokenBucket::full),
            reports: TokenBucket::full(rates.reports),
            flows: rates.flows.clone(),
            states: std::iter::repeat_with(PolicerState::default).take(LptsRates::ROWS).collect(),
            sessions: Arc::clone(&rates.sessions),
        }
    }

    /// True when one more packet of `cause` may pass at `now`.
    #[inline]
    pub fn passes(&mut self, cause: PuntCause, now: Nanos) -> bool {
        self.causes[cause as usize].take(now)
    }

    /// Whether a packet for the router itself is within the rate of its type of flow, and all of
    /// them within theirs; packets punted for other causes are (ING-23, V-31).
    #[inline]
    pub fn admits(&self, cause: PuntCause, vector: &Vector, slot: usize, table: TableId) -> bool {
        let for_us = matches!(
            cause,
            PuntCause::Ipv4ForUs | PuntCause::Ipv6ForUs | PuntCause::Ipv4LocalGroup
        );
        let Some(packet) = for_us.then(|| flow(vector, slot, table)).flatten() else { return true };
        let group = LptsGroup { configs: self.flows.rows(), states: &self.states };
        group.admit(self.sessions.classify(&packet), vector.now()) == Admission::Accepted
    }

    /// True when one more dropped packet may be handed over at `now`.
    #[inline]
    pub fn report(&mut self, now: Nanos) -> bool {
        self.reports.take(now)
    }
}

/// The flow of a packet for this router; none without a whole IP header.
fn flow(vector: &Vector, slot: usize, table: TableId) -> Option<ForUs> {
    let transport = vector.transport(slot)?;
    let packet = vector.network(slot);
    let (remote, local) = if vector.ipv4.contains(slot) {
        let word = |at: usize| packet.get(at..at + 4)?.try_into().ok();
        let address = |bytes: [u8; 4]| IpAddr::V4(Ipv4Addr::from(bytes));
        (address(word(12)?), address(word(16)?))
    } else {
        let words = |at: usize| packet.get(at..at + 16)?.try_into().ok();
        let address = |bytes: [u8; 16]| IpAddr::V6(Ipv6Addr::from(bytes));
        (address(words(8)?), address(words(24)?))
    };
    let header = packet.get(usize::from(transport.offset)..).unwrap_or(&[]);
    let (remote_port, local_port) = match (transport.protocol, header) {
        // The message's type, as `ForUs` has it.
        (1 | 58, [kind, ..]) => (u16::from(*kind), 0),
        (6 | 17, [a, b, c, d, ..]) => (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])),
        _ => (0, 0),
    };
    let protocol = transport.protocol;
    let flow = Session { table, protocol, local, remote, local_port, remote_port };
    Some(ForUs::Ip { flow, later_fragment: transport.later_fragment })
}
