use super::*;
use crate::punt::exercise;
use proptest::prelude::*;

/// Frames that get far, to be bent, each with a cause that it fits.
fn seeds() -> Vec<(PuntCause, Vec<u8>)> {
    let option = [&[1, 1][..], &HOST_MAC].concat();
    let solicitation = [&LAN_IP6.octets()[..], &option].concat();
    let group = "ff02::1:ff00:1".parse().unwrap();
    let mut chained = udp6(HOST_IP6, LAN_IP6, 9, 0);
    chained.splice(40..40, [60, 0, 5, 2, 0, 0, 1, 0, 17, 0, 1, 4, 0, 0, 0, 0]);
    (chained[5], chained[6]) = (24, 0);
    let mut alert = udp4(HOST_IP, FAR_IP, 9, 0);
    (alert[0], alert[3]) = (0x46, 32);
    alert.splice(20..20, [148, 4, 0, 0]);
    fix_checksum(&mut alert);
    let ip = |ip: &[u8]| framed(LAN_MAC, HOST_MAC, ip);
    vec![
        (PuntCause::Arp, arp::arp(1, (HOST_MAC, HOST_IP), ([0; 6], LAN_IP))),
        (PuntCause::Arp, arp::arp(2, (NEXT_MAC, NEXT_IP), (WAN_MAC, WAN_IP))),
        (PuntCause::IpTtlExceeded, ip(&udp4(HOST_IP, FAR_IP, 1, 60))),
        (PuntCause::IpMtuExceeded, ip(&udp4(HOST_IP, FAR_IP, 63, 1700))),
        (PuntCause::Glean, ip(&udp4(HOST_IP, NEXT_IP, 63, 8))),
        (PuntCause::Glean, ip(&udp4(HOST_IP, NEXT_IP, 63, 8))),
        (PuntCause::Glean, ip(&udp6(HOST_IP6, NEXT_IP6, 63, 60))),
        (PuntCause::Ipv6HopByHop, ip(&chained)),
        (PuntCause::Ipv4Options, ip(&alert)),
        (PuntCause::Ipv4ForUs, ip(&udp4(HOST_IP, LAN_IP, 1, 60))),
        (PuntCause::Ipv4ForUs, ip(&icmp4(HOST_IP, LAN_IP, 8, 0, [0; 4], b"ping"))),
        (PuntCause::Ipv6ForUs, ip(&icmp6((HOST_IP6, LAN_IP6), 64, (128, 0), [0; 4], b"ping"))),
        (PuntCause::Ipv6ForUs, ip(&icmp6((HOST_IP6, group), 255, (135, 0), [0; 4], &solicitation))),
    ]
}

/// A frame, with the cause it fits: well formed, bent, or cut.
fn bent() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let bends = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let cut = any::<prop::sample::Index>();
    let how = (any::<bool>(), 0..8_u8);
    (prop::sample::select(seeds()), bends, cut, how).prop_map(
        |((cause, mut frame), bends, cut, (whole, trim))| {
            if !whole {
                for (at, value) in bends {
                    let at = at.index(frame.len());
                    frame[at] = value;
                }
                // Half of what is bent must get past the first checksum.
                if trim > 3 && frame.len() >= 74 && frame[14] >> 4 == 4 {
                    fix_checksum(&mut frame[14..]);
                }
                if trim == 0 {
                    frame.truncate(cut.index(frame.len()));
                }
            }
            (cause as u8, frame)
        },
    )
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    let arbitrary = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..200));
    let frame = prop_oneof![6 => bent(), 1 => arbitrary];
    let mostly = |usual: u8| prop_oneof![9 => Just(usual), 1 => any::<u8>()];
    let links = (3..6_u8, mostly(4), mostly(14));
    let rest = (0..4_u8, any::<u8>(), prop_oneof![3 => Just(0), 1 => 0..200_u8], mostly(1));
    (frame, links, rest).prop_map(
        |((cause, frame), (input, output, l3_offset), (next_hop, reason, time, report))| {
            let control = [cause, input, output, l3_offset, next_hop, reason, time, report];
            [&control[..], &frame].concat()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_break_it_and_every_packet_has_one_fate(
        inputs in prop::collection::vec(input(), 1..60),
    ) {
        let limits = Limits {
            held_total: 6,
            held_per_neighbour: 3,
            neighbours: 4,
            unresolved: 4,
            unsolicited: 2,
            reassemblies: 3,
            reassemblies_per_source: 2,
            ..Limits::default()
        };
        let mut rig = Rig::with(limits);
        for input in inputs {
            let pool = rig.cache.as_mut().unwrap();
            rig.now = exercise(&mut rig.slow_path, rig.now, &input, pool, &mut rig.actions);
            prop_assert!(rig.slow_path.counters().conserved());
            // What is to be routed has a network header, whatever is in it.
            for action in rig.actions.drain(..) {
                if let Action::Inject { packet, .. } | Action::Forward { packet, .. } = &action {
                    prop_assert!(packet.frame().len() >= 34);
                }
            }
        }
        // Dropping the rig checks the pool.
    }
}
