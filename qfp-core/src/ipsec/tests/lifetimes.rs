//! The end of an SA, and the next one.

use pal::clock::Nanos;

use super::rig::{Agreement, Gateway, LAN, WAN, pair};
use crate::ipsec::{
    InboundSa, Limit, Mode, OutboundConfig, OutboundSa, SaError, SaEvents, WindowError,
};
use crate::l3::scalar::tests::ipv4;
use crate::packet::DropReason;

fn packets(count: usize) -> Vec<Vec<u8>> {
    vec![ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[], &[7; 80]); count]
}

#[test]
fn soft_limits_report_and_hard_limits_stop_both_ends() {
    let soft = Limit { packets: 5, ..Limit::NONE };
    for hard in [Limit { packets: 10, ..Limit::NONE }, Limit { bytes: 950, ..Limit::NONE }] {
        let (mut west, _) = pair(&Agreement { soft, hard, ..Agreement::default() });
        let (_, mut east) = pair(&Agreement { soft, hard, ..Agreement::default() });
        let mut sealed = west.through(LAN, WAN, &packets(4));
        assert_eq!(west.state(0).events(), SaEvents::default());
        sealed.extend(west.through(LAN, WAN, &packets(4)));
        assert_eq!(west.state(0).take_events(), SaEvents::SOFT_EXPIRED);
        sealed.extend(west.through(LAN, WAN, &packets(8)));
        assert_eq!(sealed.len(), 10);
        assert!(west.state(0).take_events().contains(SaEvents::HARD_EXPIRED));
        assert_eq!(west.drops(), [(DropReason::EspSaExpired, 6)]);
        assert_eq!(west.state(0).failures(DropReason::EspSaExpired), 6);
        // The other end is as strict, whatever this one does.
        let mut more = Gateway::new(1, &Agreement::default());
        let sealed = more.through(LAN, WAN, &packets(12));
        assert_eq!(east.through(WAN, LAN, &sealed).len(), 10);
        assert_eq!(east.drops(), [(DropReason::EspSaExpired, 2)]);
        let both = SaEvents(SaEvents::SOFT_EXPIRED.0 | SaEvents::HARD_EXPIRED.0);
        assert!(east.state(1).take_events().contains(both));
    }
}

#[test]
fn time_ends_an_sa_too() {
    let hard = Limit { until: 5_000_000_000, ..Limit::NONE };
    let soft = Limit { until: 4_000_000_000, ..Limit::NONE };
    let mut west = Gateway::new(1, &Agreement { soft, hard, ..Agreement::default() });
    assert_eq!(west.through(LAN, WAN, &packets(2)).len(), 2);
    west.now = Nanos(4_500_000_000);
    assert_eq!(west.through(LAN, WAN, &packets(2)).len(), 2);
    assert_eq!(west.state(0).take_events(), SaEvents::SOFT_EXPIRED);
    assert_eq!(west.state(0).last_used(), 4_500_000_000);
    west.now = Nanos(5_000_000_000);
    assert!(west.walk(LAN, &packets(2)).is_empty());
    assert_eq!(west.drops(), [(DropReason::EspSaExpired, 2)]);
}

#[test]
fn sequence_numbers_run_out_for_good_unless_they_are_extended() {
    for (esn, passed) in [(false, 3), (true, 8)] {
        let mut west = Gateway::new(1, &Agreement { esn, ..Agreement::default() });
        west.state(0).resume(u64::from(u32::MAX) - 3);
        assert_eq!(west.through(LAN, WAN, &packets(8)).len(), passed);
        let overflow = west.state(0).take_events().contains(SaEvents::SEQUENCE_OVERFLOW);
        assert_eq!(overflow, !esn);
        assert_eq!(west.totals.drops(DropReason::EspSequenceOverflow), 8 - passed as u64);
    }
}

#[test]
fn extended_numbers_go_on_across_the_end_of_the_low_half() {
    let (mut west, mut east) = pair(&Agreement { esn: true, ..Agreement::default() });
    west.state(0).resume((7 << 32) - 30);
    east.state(1).resume((7 << 32) - 31);
    let sealed = west.through(LAN, WAN, &packets(60));
    assert_eq!(east.through(WAN, LAN, &sealed).len(), 60);
    assert_eq!(east.state(1).sequence(), (7 << 32) + 30);
    // All of them once.
    assert!(east.walk(WAN, &sealed).is_empty());
    assert_eq!(east.drops(), [(DropReason::EspReplay, 60)]);
}

#[test]
fn packets_of_a_vector_are_numbered_in_their_order() {
    let mut west = Gateway::new(1, &Agreement::default());
    let numbers: Vec<u32> = west
        .through(LAN, WAN, &packets(64))
        .iter()
        .map(|packet| u32::from_be_bytes(packet[24..28].try_into().unwrap()))
        .collect();
    assert_eq!(numbers, (1..=64).collect::<Vec<_>>());
}

#[test]
fn an_sa_that_makes_no_sense_is_an_error() {
    let agreed = Agreement::default();
    let outbound = |change: fn(&mut OutboundConfig)| {
        let mut config = agreed.outbound(1);
        change(&mut config);
        OutboundSa::new(&config).err()
    };
    assert_eq!(outbound(|_| ()), None);
    assert_eq!(outbound(|config| config.spi = 255), Some(SaError::Spi(255)));
    assert_eq!(outbound(|config| config.ttl = 0), Some(SaError::Ttl));
    assert_eq!(outbound(|config| config.udp = Some((4500, 0))), Some(SaError::Port));
    let dscp = outbound(|config| config.dscp = crate::ipsec::Dscp::Set(64));
    assert_eq!(dscp, Some(SaError::Dscp(64)));
    let families = outbound(|config| config.endpoints.local = "::1".parse().unwrap());
    assert!(families.unwrap().to_string().contains("different families"));
    let mut config = agreed.inbound(1);
    config.replay = Some((0, 100));
    let error = InboundSa::new(&config).unwrap_err();
    assert_eq!(error, SaError::Window(WindowError::Size(100)));
    config.replay = None;
    assert!(InboundSa::new(&config).is_ok());
    config.esn = true;
    assert_eq!(InboundSa::new(&config).unwrap_err(), SaError::EsnWithoutWindow);
}

#[test]
fn the_mtu_of_a_tunnel_is_what_still_fits() {
    for algorithm in crate::crypto::Algorithm::ALL {
        for n in 0..8 {
            let [outer_v6, udp, transport] = [1, 2, 4].map(|bit| n & bit != 0);
            let mode = if transport { Mode::Transport } else { Mode::Tunnel };
            let agreed = Agreement { algorithm, outer_v6, udp, mode, ..Agreement::default() };
            let sa = OutboundSa::new(&agreed.outbound(1)).unwrap();
            // The header that stays in front of the packet.
            let own = match (transport, outer_v6) {
                (false, _) => 0,
                (true, false) => 20,
                (true, true) => 40,
            };
            let outer = |inner: u16| {
                usize::from(sa.header_len)
                    + own
                    + 8
                    + algorithm.iv_len()
                    + sa.sizes.padded(usize::from(inner) - own)
                    + algorithm.tag_len()
            };
            for mtu in 1280..1320 {
                let inner = sa.inner_mtu(mtu);
                assert!(outer(inner) <= mtu.into() && outer(inner + 1) > mtu.into());
            }
            assert_eq!(sa.inner_mtu(20), 0);
        }
    }
}
