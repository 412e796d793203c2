//! What goes into the tunnel on one side comes out of it on the other.

use proptest::prelude::*;

use super::rig::{Agreement, LAN, WAN, pair, wan};
use crate::crypto::Algorithm;
use crate::ipsec::Mode;
use crate::l3::scalar::tests::{ipv4, ipv6};
use crate::packet::PuntCause;

prop_compose! {
    pub(super) fn agreement()(
        algorithm in prop::sample::select(&Algorithm::ALL[..]),
        outer_v6 in any::<bool>(),
        udp in any::<bool>(),
        esn in any::<bool>(),
        window in prop::sample::select(&[64u32, 128, 1024, 4096][..]),
    ) -> Agreement {
        Agreement { algorithm, outer_v6, udp, esn, window: Some(window), ..Agreement::default() }
    }
}

/// From a host in the west to one in the east.
pub(super) fn packet() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..=1340);
    (payload, 3..=255u8, any::<bool>(), any::<u8>(), any::<bool>()).prop_map(
        |(payload, ttl, v6, class, options)| {
            if v6 {
                let mut packet = ipv6("2001:db8:1::9", "2001:db8:2::9", 17, ttl, &payload);
                packet[0] |= class >> 4;
                packet[1] |= class << 4;
                return packet;
            }
            let options: &[u8] = if options { &[1, 1, 1, 0] } else { &[] };
            let mut packet = ipv4([10, 1, 0, 9], [10, 2, 0, 9], ttl, options, &payload);
            packet[1] = class;
            checksum(&mut packet);
            packet
        },
    )
}

fn checksum(packet: &mut [u8]) {
    let header_len = usize::from(packet[0] & 0xf) * 4;
    crate::ipsec::header::set_ipv4_checksum(&mut packet[..header_len]);
}

/// The packet with a TTL less by `hops`.
fn aged(mut packet: Vec<u8>, hops: u8) -> Vec<u8> {
    if packet[0] >> 4 == 6 {
        packet[7] -= hops;
    } else {
        packet[8] -= hops;
        checksum(&mut packet);
    }
    packet
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn packets_come_out_of_the_tunnel_as_they_went_in(
        agreed in agreement(),
        packets in prop::collection::vec(packet(), 1..70),
    ) {
        let (mut west, mut east) = pair(&agreed);
        let sealed = west.through(LAN, WAN, &packets);
        prop_assert_eq!(sealed.len(), packets.len());
        for (sealed, packet) in sealed.iter().zip(&packets) {
            // The class is seen from outside, and nothing else.
            let class = crate::ipsec::header::class;
            prop_assert_eq!(class(sealed), class(packet));
            let body = &packet[packet.len().saturating_sub(32)..];
            if agreed.algorithm.encrypts() && body.len() == 32 {
                prop_assert!(!sealed.windows(32).any(|window| window == body));
            }
        }
        let opened = east.through(WAN, LAN, &sealed);
        let wanted: Vec<_> = packets.iter().map(|packet| aged(packet.clone(), 2)).collect();
        prop_assert_eq!(opened, wanted);
        prop_assert_eq!(west.drops(), []);
        prop_assert_eq!(east.drops(), []);
        let bytes: usize = packets.iter().map(Vec::len).sum();
        let used = (packets.len() as u64, bytes as u64);
        prop_assert_eq!(west.state(0).used(), used);
        prop_assert_eq!(east.state(1).used(), used);
        prop_assert_eq!(west.state(0).sequence(), used.0);
        prop_assert_eq!(east.state(1).sequence(), used.0);
    }

    #[test]
    fn transport_mode_gives_the_router_the_packet_that_was_sent(
        agreed in agreement(),
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 8..=1200), 1..20),
        v6 in any::<bool>(),
    ) {
        let agreed = Agreement { mode: Mode::Transport, outer_v6: v6, ..agreed };
        let (mut west, mut east) = pair(&agreed);
        let packets: Vec<_> = payloads
            .iter()
            .enumerate()
            .map(|(n, payload)| {
                // Protocols without a checksum that NAT would change.
                if v6 {
                    let dst = wan(2, true).to_string();
                    // A destination option stays in the clear.
                    let options = [&[47, 0, 1, 4, 0, 0, 0, 0][..], payload].concat();
                    let (next, payload) = if n % 2 == 0 { (60, &options) } else { (47, payload) };
                    ipv6("2001:db8:1::9", &dst, next, 64, payload)
                } else {
                    let options: &[u8] = if n % 2 == 0 { &[1, 1, 1, 0] } else { &[] };
                    let mut packet = ipv4([10, 1, 0, 9], [192, 0, 2, 2], 64, options, payload);
                    packet[9] = 47;
                    checksum(&mut packet);
                    packet
                }
            })
            .collect();
        let sealed = west.through(LAN, WAN, &packets);
        prop_assert_eq!(sealed.len(), packets.len());
        for few in sealed.chunks(4) {
            prop_assert!(east.walk(WAN, few).is_empty());
            // What the router itself takes of a protocol is limited.
            east.now = east.now.saturating_add(1_000_000_000);
        }
        let wanted: Vec<_> = packets.iter().map(|packet| aged(packet.clone(), 1)).collect();
        prop_assert_eq!(east.drops(), []);
        prop_assert_eq!(east.punted(), wanted);
        let cause = if v6 { PuntCause::Ipv6ForUs } else { PuntCause::Ipv4ForUs };
        prop_assert_eq!(east.totals.punts(cause), packets.len() as u64);
        prop_assert_eq!(east.state(1).used(), west.state(0).used());
    }
}

/// RFC 3948 3.1.2: the checksum was made with an address that NAT has replaced.
#[test]
fn transport_behind_nat_restores_the_checksum_of_udp() {
    let agreed = Agreement { mode: Mode::Transport, udp: true, ..Agreement::default() };
    let (mut west, mut east) = pair(&agreed);
    let udp = |sum: u16| {
        let mut payload = vec![0x12, 0x34, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4];
        payload[6..8].copy_from_slice(&sum.to_be_bytes());
        payload
    };
    let sum = |src: [u8; 4]| {
        let sum = crate::wire::checksum::Sum::default();
        sum.pseudo_v4(src.into(), [192, 0, 2, 2].into(), 17, 12).bytes(&udp(0)).finish()
    };
    let inside = [10, 1, 0, 9];
    let packet = ipv4(inside, [192, 0, 2, 2], 64, &[], &udp(sum(inside)));
    let mut sealed = west.through(LAN, WAN, &[packet]);
    // NAT on the way.
    let outside = [198, 51, 100, 77];
    sealed[0][12..16].copy_from_slice(&outside);
    sealed[0][20..22].copy_from_slice(&40_000u16.to_be_bytes());
    checksum(&mut sealed[0]);
    assert!(east.walk(WAN, &sealed).is_empty());
    let wanted = ipv4(outside, [192, 0, 2, 2], 63, &[], &udp(sum(outside)));
    assert_eq!(east.punted(), [wanted]);
    let state = east.state(1);
    assert!(state.take_events().contains(crate::ipsec::SaEvents::PEER_MOVED));
    assert_eq!(state.peer(), (std::net::IpAddr::from(outside), 40_000));
}
