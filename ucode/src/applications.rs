//! Programs that get punted packets in place of the slow path.

use std::sync::Arc;

use qfp_core::packet::{L3, PuntCause, PuntedPacket};
use qfp_core::uidb::UidbIndex;
use qfp_core::wire::Chain;

/// Which punted packets a program wants: those of which all holds that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct PuntFilter {
    /// Why they left the fast path.
    pub cause: Option<PuntCause>,
    /// IP protocol, the upper layer's.
    pub protocol: Option<u8>,
    /// Destination port of TCP, UDP, DCCP, SCTP or UDP-Lite.
    pub port: Option<u16>,
}

/// A program that wants packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Application {
    /// Its number, never used again.
    pub id: u64,
    /// What it wants.
    pub filter: PuntFilter,
}

/// A punted packet for a program.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ForApplication {
    /// Number of the program.
    pub id: u64,
    /// Packets for it before this one that there was no room for.
    pub lost: u64,
    /// The packet.
    pub packet: Punted,
}

/// A punted packet outside of the data plane.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Punted {
    /// Why it left the fast path.
    pub cause: PuntCause,
    /// The interface it came in through.
    pub input: UidbIndex,
    /// Bytes in front of the network header.
    pub l3_offset: u8,
    /// From the Ethernet header on.
    pub frame: Vec<u8>,
}

/// Where packets for programs go. Does not wait; false when there is no room.
pub type ToApplications = Arc<dyn Fn(ForApplication) -> bool + Send + Sync>;

/// The programs that the slow path knows.
pub(crate) struct Applications {
    /// Each with the packets that it has lost since the last one it got.
    all: Vec<(Application, u64)>,
    to: ToApplications,
}

impl Applications {
    pub(crate) fn new(all: Vec<Application>, to: ToApplications) -> Self {
        let mut applications = Self { all: Vec::new(), to };
        applications.set(all);
        applications
    }

    /// From now on there are these.
    pub(crate) fn set(&mut self, all: Vec<Application>) {
        let lost = |id| self.all.iter().find(|(one, _)| one.id == id).map_or(0, |(_, lost)| *lost);
        self.all = all.into_iter().map(|one| (one, lost(one.id))).collect();
    }

    /// Whether one of them wants the packet: the first that does has it, or loses it.
    pub(crate) fn take(&mut self, packet: &PuntedPacket) -> bool {
        let wants = |(one, _): &&mut (Application, u64)| one.filter.wants(packet);
        let Some((one, lost)) = self.all.iter_mut().find(wants) else { return false };
        let PuntedPacket { cause, input, l3_offset, .. } = *packet;
        let frame = packet.packet.frame().to_vec();
        let packet = Punted { cause, input, l3_offset, frame };
        match (self.to)(ForApplication { id: one.id, lost: *lost, packet }) {
            true => *lost = 0,
            false => *lost += 1,
        }
        true
    }
}

impl PuntFilter {
    fn wants(&self, packet: &PuntedPacket) -> bool {
        if self.cause.is_some_and(|cause| cause != packet.cause) {
            return false;
        }
        if self.protocol.is_none() && self.port.is_none() {
            return true;
        }
        let upper = upper_layer(packet);
        let Some((protocol, port)) = upper else { return false };
        self.protocol.is_none_or(|wanted| wanted == protocol)
            && self.port.is_none_or(|wanted| port == Some(wanted))
    }
}

/// Protocol and destination port. A later fragment has no port.
fn upper_layer(packet: &PuntedPacket) -> Option<(u8, Option<u16>)> {
    let header = packet.packet.frame().get(usize::from(packet.l3_offset)..)?;
    let (protocol, offset, is_later) = match packet.l3 {
        L3::Ipv4 => {
            let fixed = header.first_chunk::<20>()?;
            let is_later = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x1fff != 0;
            (fixed[9], usize::from(fixed[0] & 0xf) * 4, is_later)
        }
        L3::Ipv6 => {
            let fixed = header.first_chunk::<40>()?;
            let chain = Chain::walk(fixed[6], &header[40..]);
            (chain.protocol, 40 + chain.offset, chain.later_fragment)
        }
        L3::Other => return None,
    };
    let has_ports = matches!(protocol, 6 | 17 | 33 | 132 | 136) && !is_later;
    let ports = header.get(offset..).and_then(|rest| rest.first_chunk::<4>());
    let port = ports.filter(|_| has_ports).map(|[_, _, a, b]| u16::from_be_bytes([*a, *b]));
    Some((protocol, port))
}
