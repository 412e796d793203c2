//! A router with three links and no fast path: packets are punted by hand, actions looked at.
//! Checksums of everything that comes out are verified by the `etherparse` crate.

mod arp;
mod attacks;
mod errors;
mod exercise;
mod fragments;
mod local;
mod nd;
mod neighbours;
mod options;
mod path_mtu;
mod problems;
mod reassembly;
mod tables;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use hal::pool::NativePool;
use hal::{Pool, PoolCache};
use pal::clock::Nanos;

use super::{Action, Interface, Limits, SlowDrop, SlowPath, VlanTag};
use crate::packet::{L3, PuntCause, PuntedPacket};
use crate::uidb::{TableId, UidbIndex};

const LAN: UidbIndex = UidbIndex(3);
const WAN: UidbIndex = UidbIndex(4);
const QINQ: UidbIndex = UidbIndex(5);
const LAN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const WAN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xaa];
const NEXT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xbb];
const LAN_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HOST_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const WAN_IP: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const NEXT_IP: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const FAR_IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 99);
const LAN_IP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const HOST_IP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
const WAN_IP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const NEXT_IP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
const FAR_IP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x99);

fn interfaces() -> Vec<Interface> {
    let interface = |uidb, name: &str, mac, ipv4: &str, ipv6: &[&str], tags| Interface {
        uidb,
        table: TableId::GLOBAL,
        name: name.to_owned(),
        mac,
        mtu: 1500,
        ipv4: vec![ipv4.parse().unwrap()],
        ipv6: ipv6.iter().map(|net| net.parse().unwrap()).collect(),
        tags,
    };
    let tags = vec![VlanTag { tpid: 0x88a8, vid: 100 }, VlanTag { tpid: 0x8100, vid: 200 }];
    vec![
        interface(LAN, "lan", LAN_MAC, "192.0.2.1/24", &["2001:db8::1/64"], vec![]),
        interface(WAN, "wan", WAN_MAC, "198.51.100.1/24", &["2001:db8:1::1/64"], vec![]),
        interface(QINQ, "qinq", [2, 0, 0, 0, 0, 3], "203.0.113.1/30", &[], tags),
    ]
}

/// A slow path with its buffers. Dropping it checks that all of them came back and every packet
/// had one fate.
struct Rig {
    slow_path: SlowPath,
    pool: Pool,
    cache: Option<PoolCache>,
    now: Nanos,
    actions: Vec<Action>,
}

impl Rig {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self::sized(limits, 64)
    }

    fn sized(limits: Limits, buffers: usize) -> Self {
        let pool = Pool::Native(NativePool::new(buffers, 9216));
        let cache = Some(pool.cache(0));
        let slow_path = SlowPath::new(interfaces(), limits);
        Self { slow_path, pool, cache, now: Nanos::from_secs(1000), actions: Vec::new() }
    }

    fn punted(&mut self, cause: PuntCause, input: UidbIndex, frame: &[u8]) -> PuntedPacket {
        let packet = self.cache.as_mut().unwrap().packet(frame).unwrap();
        PuntedPacket {
            packet,
            cause,
            input,
            output: UidbIndex::NONE,
            table: TableId::GLOBAL,
            l3_offset: 14,
            l3: L3::Other,
            lcore: 0,
            opened: false,
            within: None,
            next_hop: None,
        }
    }

    fn give(&mut self, punted: PuntedPacket) {
        let pool = self.cache.as_mut().unwrap();
        self.slow_path.punt(self.now, punted, pool, &mut self.actions);
        assert!(self.slow_path.counters().conserved());
    }

    fn punt(&mut self, cause: PuntCause, input: UidbIndex, frame: &[u8]) {
        let punted = self.punted(cause, input, frame);
        self.give(punted);
    }

    /// Punts an IP packet to a host on the link of `output` that has no MAC address.
    fn glean(&mut self, output: UidbIndex, next_hop: IpAddr, ip: &[u8]) {
        let mut punted = self.punted(PuntCause::Glean, LAN, &framed(LAN_MAC, HOST_MAC, ip));
        (punted.output, punted.next_hop) = (output, Some(next_hop));
        self.give(punted);
    }

    fn poll_at(&mut self, now: Nanos) {
        self.now = now;
        let pool = self.cache.as_mut().unwrap();
        self.slow_path.poll(now, pool, &mut self.actions);
        assert!(self.slow_path.counters().conserved());
    }

    /// Lets time go on to the next deadline.
    fn next(&mut self) {
        let deadline = self.slow_path.next_deadline().unwrap();
        self.poll_at(deadline);
    }

    /// What has come out since the last call.
    fn seen(&mut self) -> Vec<Seen> {
        self.actions.drain(..).map(Seen::from).collect()
    }

    fn dropped(&self, reason: SlowDrop) -> u64 {
        self.slow_path.counters().dropped(reason)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.slow_path.drain();
        assert_eq!(self.slow_path.counters().held, 0);
        self.actions.clear();
        self.cache = None;
        if !std::thread::panicking() {
            self.pool.check_complete().unwrap();
            assert!(self.slow_path.counters().conserved());
        }
    }
}

/// An action, with the frame taken out of its buffer.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Inject(Vec<u8>),
    Transmit(UidbIndex, Vec<u8>),
    Neighbour(UidbIndex, IpAddr, Option<[u8; 6]>),
    PathMtu(IpAddr, u32, u16),
}

impl From<Action> for Seen {
    fn from(action: Action) -> Self {
        match action {
            Action::Inject { packet, .. } | Action::Forward { packet, .. } => {
                verify(packet.frame());
                // All but the count of rounds.
                assert_eq!(
                    (&packet.frame()[..5], &packet.frame()[6..12]),
                    (&[0; 5][..], &[0; 6][..])
                );
                Self::Inject(packet.frame()[14..].to_vec())
            }
            Action::Transmit { uidb, packet, .. } | Action::TransmitPart { uidb, packet, .. } => {
                verify(packet.frame());
                Self::Transmit(uidb, packet.frame().to_vec())
            }
            Action::Neighbour { uidb, address, mac } => Self::Neighbour(uidb, address, mac),
            Action::PathMtu { destination, spi, mtu, .. } => Self::PathMtu(destination, spi, mtu),
        }
    }
}

/// Fails unless all lengths and checksums of the frame are right.
fn verify(frame: &[u8]) {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            if let Some(TransportSlice::Icmpv4(icmp)) = &sliced.transport {
                let right = icmp.icmp_type().calc_checksum(icmp.payload());
                assert_eq!(icmp.checksum(), right);
            }
        }
        Some(NetSlice::Ipv6(ip)) => {
            if let Some(TransportSlice::Icmpv6(icmp)) = &sliced.transport {
                let (src, dst) = (ip.header().source(), ip.header().destination());
                assert!(icmp.is_checksum_valid(src, dst));
            }
        }
        Some(NetSlice::Arp(_)) => {}
        None => panic!("not a frame a router sends: {frame:02x?}"),
    }
}

fn framed(dst: [u8; 6], src: [u8; 6], ip: &[u8]) -> Vec<u8> {
    let ethertype = if ip[0] >> 4 == 6 { [0x86, 0xdd] } else { [8, 0] };
    [&dst[..], &src, &ethertype, ip].concat()
}

/// A UDP packet over IPv4 with `payload` bytes of data.
fn udp4(src: Ipv4Addr, dst: Ipv4Addr, ttl: u8, payload: usize) -> Vec<u8> {
    let mut ip = Vec::new();
    let builder = PacketBuilder::ipv4(src.octets(), dst.octets(), ttl).udp(5000, 33434);
    builder.write(&mut ip, &vec![0x5a; payload]).unwrap();
    ip[6] &= !0x40;
    fix_checksum(&mut ip);
    ip
}

/// A UDP packet over IPv6 with `payload` bytes of data.
fn udp6(src: Ipv6Addr, dst: Ipv6Addr, hop_limit: u8, payload: usize) -> Vec<u8> {
    let mut ip = Vec::new();
    let builder = PacketBuilder::ipv6(src.octets(), dst.octets(), hop_limit).udp(5000, 33434);
    builder.write(&mut ip, &vec![0x5a; payload]).unwrap();
    ip
}

fn icmp4(src: Ipv4Addr, dst: Ipv4Addr, kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut ip = Vec::new();
    let builder = PacketBuilder::ipv4(src.octets(), dst.octets(), 7).icmpv4_raw(kind, code, rest);
    builder.write(&mut ip, body).unwrap();
    ip
}

fn icmp6(
    (src, dst): (Ipv6Addr, Ipv6Addr),
    hop_limit: u8,
    (kind, code): (u8, u8),
    rest: [u8; 4],
    body: &[u8],
) -> Vec<u8> {
    let mut ip = Vec::new();
    let builder = PacketBuilder::ipv6(src.octets(), dst.octets(), hop_limit);
    builder.icmpv6_raw(kind, code, rest).write(&mut ip, body).unwrap();
    ip
}

/// Makes the header checksum of an IPv4 packet right again, by the textbook.
fn fix_checksum(ip: &mut [u8]) {
    let len = usize::from(ip[0] & 15) * 4;
    ip[10..12].fill(0);
    let words = ip[..len].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&(!sum).to_be_bytes());
}
