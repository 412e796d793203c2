//! Frames of hosts, built with a library that the router does not use, and what comes back.

use std::fmt;
use std::net::Ipv4Addr;

use etherparse::{ArpHardwareId, ArpOperation, ArpPacket, EtherType, PacketBuilder};

pub(crate) type Mac = [u8; 6];

/// What probes begin with.
const MAGIC: [u8; 8] = *b"qfp-sim\0";
/// Bytes of Ethernet, IPv4 and UDP headers.
const HEADERS: usize = 14 + 20 + 8;

/// A station's address: on which link it is, and which one.
pub(crate) const fn mac(link: u8, host: u8) -> Mac {
    [2, 0, 0, 0, link, host]
}

/// A packet that is to be forwarded, and known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) port: u16,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}:{}", self.source, self.destination, self.port)
    }
}

impl Probe {
    /// Its frame, from the first link's host to the router.
    pub(crate) fn frame(&self, id: u64) -> Vec<u8> {
        let packet = PacketBuilder::ethernet2(mac(1, 2), mac(1, 1))
            .ipv4(self.source.octets(), self.destination.octets(), 64)
            .udp(4000, self.port);
        let payload = [MAGIC, id.to_be_bytes()].concat();
        let mut frame = Vec::with_capacity(packet.size(payload.len()));
        // A vector takes it.
        drop(packet.write(&mut frame, &payload));
        frame
    }
}

/// What a frame on a link of the router's is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A probe, to that station, with that traffic class.
    Probe {
        id: u64,
        to: Mac,
        class: u8,
        ttl: u8,
    },
    /// The router, which has that address, asks for somebody.
    Request {
        target: Ipv4Addr,
        router: Ipv4Addr,
    },
    Other,
}

/// Takes a frame apart.
pub(crate) fn seen(frame: &[u8]) -> Seen {
    let at = |from: usize, len: usize| frame.get(from..from + len).unwrap_or_default();
    if at(12, 2) == [8, 6] && at(20, 2) == [0, 1] {
        let address = |at: &[u8]| Ipv4Addr::from(<[u8; 4]>::try_from(at).unwrap_or_default());
        return Seen::Request { target: address(at(38, 4)), router: address(at(28, 4)) };
    }
    if at(12, 2) == [8, 0] && at(23, 1) == [17] && at(HEADERS, 8) == MAGIC {
        let id = at(HEADERS + 8, 8).try_into().unwrap_or_default();
        let to = at(0, 6).try_into().unwrap_or_default();
        return Seen::Probe { id: u64::from_be_bytes(id), to, class: frame[15], ttl: frame[22] };
    }
    Seen::Other
}

/// The number of a probe on its way to the router.
pub(crate) fn id_of(frame: &[u8]) -> Option<u64> {
    match seen(frame) {
        Seen::Probe { id, .. } => Some(id),
        _ => None,
    }
}

/// That `address` is at `from`, said to the router on that link.
pub(crate) fn answer(from: Mac, address: Ipv4Addr, router: (Mac, Ipv4Addr)) -> Vec<u8> {
    let (hardware, ipv4) = (ArpHardwareId::ETHERNET, EtherType::IPV4);
    let (ours, theirs) = (address.octets(), router.1.octets());
    let arp = ArpPacket::new(hardware, ipv4, ArpOperation::REPLY, &from, &ours, &router.0, &theirs);
    let body = arp.map(|arp| arp.to_bytes().to_vec()).unwrap_or_default();
    [&router.0[..], &from, &[8, 6], &body].concat()
}

/// An echo request to the router.
pub(crate) fn ping() -> Vec<u8> {
    let packet = PacketBuilder::ethernet2(mac(1, 2), mac(1, 1))
        .ipv4([10, 1, 0, 2], [10, 1, 0, 1], 64)
        .icmpv4_echo_request(7, 1);
    let mut frame = Vec::new();
    drop(packet.write(&mut frame, b"ping"));
    frame
}
