//! The headers of every flow, ready to be copied.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::SynthSpec;
use super::destinations::{address, sources};
use super::random::Random;
use crate::lines::Line;
use crate::port::PortError;

const ETHERNET: usize = 14;
const UDP: usize = 8;
const UDP_PROTOCOL: u8 = 17;
const HOP_LIMIT: u8 = 64;
/// Smallest frame that holds IPv6 and UDP, bytes without FCS.
const SHORTEST_IPV6: u16 = 62;
/// Source of all generated frames.
const NEIGHBOR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xfe];

/// One line for each flow and frame length, flows outermost. All bytes behind a line are zero.
#[derive(Debug)]
pub(super) struct Templates {
    lines: Vec<Line>,
    lens: Vec<u16>,
    lengths: usize,
}

impl Templates {
    /// Draws the flows' addresses and ports; frames go to the MAC address `dmac`.
    pub(super) fn new(
        spec: &SynthSpec,
        prefixes: &[IpNet],
        dmac: [u8; 6],
    ) -> Result<Self, PortError> {
        let lengths = spec.size.lengths();
        let rows = spec.flows as usize * lengths.len();
        let (mut lines, mut lens) = (Vec::new(), Vec::new());
        if lines.try_reserve_exact(rows).is_err() || lens.try_reserve_exact(rows).is_err() {
            let (what, bytes) = (format!("{} flows of {spec}", spec.flows), rows * 66);
            return Err(PortError::NoMemory { what, bytes });
        }
        let mut random = Random::new(spec.seed);
        for _ in 0..spec.flows {
            let flow = Flow::draw(spec, prefixes, &mut random);
            for &len in &lengths {
                let (head, len) = flow.frame(dmac, len);
                lines.push(Line(head));
                lens.push(len);
            }
        }
        Ok(Self { lines, lens, lengths: lengths.len() })
    }

    /// First line and length of the frame of `flow` with the length of index `length`.
    #[inline]
    pub(super) fn frame(&self, flow: u32, length: u8) -> (&Line, u16) {
        let row = flow as usize * self.lengths + usize::from(length);
        (&self.lines[row], self.lens[row])
    }
}

struct Flow {
    destination: IpAddr,
    source: IpAddr,
    ports: [u16; 2],
}

impl Flow {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "drawn below the number of prefixes, ports"
    )]
    fn draw(spec: &SynthSpec, prefixes: &[IpNet], random: &mut Random) -> Self {
        let prefix = &prefixes[random.below(prefixes.len() as u64) as usize];
        let destination = address(prefix, random);
        let source = address(&sources(spec, destination), random);
        let mut port = || 1024 + random.below(65536 - 1024) as u16;
        Self { destination, source, ports: [port(), port()] }
    }

    /// First line of the flow's frame of at least `len` bytes without FCS, and its length.
    fn frame(&self, dmac: [u8; 6], len: u16) -> ([u8; 64], u16) {
        let mut line = [0; 64];
        line[..6].copy_from_slice(&dmac);
        line[6..12].copy_from_slice(&NEIGHBOR_MAC);
        match (self.source, self.destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let len = len.max(SHORTEST_IPV6);
                line[12..14].copy_from_slice(&[0x86, 0xdd]);
                self.ipv6(&mut line[ETHERNET..], source, destination, len - 14);
                (line, len)
            }
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                line[12..14].copy_from_slice(&[0x08, 0x00]);
                self.ipv4(&mut line[ETHERNET..], source, destination, len - 14);
                (line, len)
            }
            // Not drawn: both ends are of one family.
            _ => (line, len),
        }
    }

    /// RFC 791 and RFC 768. `len` is that of the packet, bytes.
    fn ipv4(&self, packet: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr, len: u16) {
        const HEADER: usize = 20;
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet[8..10].copy_from_slice(&[HOP_LIMIT, UDP_PROTOCOL]);
        packet[12..16].copy_from_slice(&source.octets());
        packet[16..20].copy_from_slice(&destination.octets());
        let sum = checksum(0, &packet[..HEADER]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        self.udp(packet, HEADER, 12, len - 20);
    }

    /// RFC 8200 and RFC 768. `len` is that of the packet, bytes.
    fn ipv6(&self, packet: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr, len: u16) {
        const HEADER: usize = 40;
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&(len - 40).to_be_bytes());
        packet[6..8].copy_from_slice(&[UDP_PROTOCOL, HOP_LIMIT]);
        packet[8..24].copy_from_slice(&source.octets());
        packet[24..40].copy_from_slice(&destination.octets());
        self.udp(packet, HEADER, 8, len - 40);
    }

    /// The UDP header at `header`, whose pseudo header has its addresses from `addresses` on.
    fn udp(&self, packet: &mut [u8], header: usize, addresses: usize, len: u16) {
        let udp = &mut packet[header..header + UDP];
        udp[..2].copy_from_slice(&self.ports[0].to_be_bytes());
        udp[2..4].copy_from_slice(&self.ports[1].to_be_bytes());
        udp[4..6].copy_from_slice(&len.to_be_bytes());
        // The payload is zero, so the headers alone make the sum.
        let pseudo = u32::from(UDP_PROTOCOL) + u32::from(len);
        let sum = match checksum(pseudo, &packet[addresses..header + UDP]) {
            0 => u16::MAX,
            sum => sum,
        };
        packet[header + 6..header + UDP].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The Internet checksum (RFC 1071) of `start` and an even number of bytes.
#[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits just before")]
fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum = start + words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}
