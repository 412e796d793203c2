#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::adjacency::AdjacencyKind;
use crate::fia::tests::bench::{Hop, OWN_MAC, Plan, Router, Walker, frame};
use crate::fia::{FiaBuilder, Gate};
use crate::isa::Isa;
use crate::l3::scalar::tests::{ipv4, ipv6};
use crate::packet::End;

const MAC: End = End::Drop(DropReason::SourceMac);
const OWN: End = End::Drop(DropReason::OwnSource);
const GOES_ON: End = End::Walking;

/// Port 0 looks at sources, port 1 does so for another table, port 2 does not. `more` addresses are
/// the router's besides.
fn walker(isa: Isa, more: usize) -> Walker {
    let mut plan = Plan::with_ports(4);
    plan.uidbs[3].features_in |= Gate::SOURCE.mask();
    plan.uidbs[4].features_in |= Gate::SOURCE.mask() | Gate::VRF.mask();
    plan.uidbs[4].table = 1;
    for prefix in ["203.0.113.0/24", "::/0"] {
        let hop = Hop::new(AdjacencyKind::Plain, 6, 14);
        plan.route(prefix, hop.clone());
        plan.vrf_route(1, prefix, hop);
    }
    for port in &mut plan.ports {
        port.mac = crate::l2::MacRow::from(OWN_MAC).0;
    }
    // Port 0 has a sub-interface that looks, and one that does not.
    let mut looks = plan.uidbs[3];
    plan.uidbs.resize(9, looks);
    looks.features_in &= !Gate::SOURCE.mask();
    plan.uidbs[8] = looks;
    plan.tags(0, &[(7, None, 7), (8, None, 8)]);
    let mut router = Router::new(&plan);
    let (filter, rows) = own_addresses(own().chain((0..more).map(other)));
    let (filter, rows) = {
        let region = router.region();
        let mut words = region.alloc::<u32>(filter.len()).unwrap();
        words.copy_from_slice(&filter);
        let mut list = region.alloc::<OwnAddress>(rows.len()).unwrap();
        list.copy_from_slice(&rows);
        (words.publish(), list.publish())
    };
    router.publish_with(&plan, |root| {
        root.set(table_kind::OWN_FILTER, filter).set(table_kind::OWN_ADDRESSES, rows);
    });
    Walker::new(&mut router, FiaBuilder::router().build(isa))
}

fn own() -> impl Iterator<Item = (TableId, IpAddr)> {
    let v4 = [[192, 0, 2, 1], [192, 0, 2, 255], [198, 51, 100, 1]];
    let v4 = v4.into_iter().map(|address| IpAddr::V4(address.into()));
    let v6 = ["2001:db8::1", "2001:db8:1::1"].into_iter().map(|text| text.parse().unwrap());
    let foreign = (TableId(1), "10.1.1.1".parse().unwrap());
    v4.chain(v6).map(|address| (TableId::GLOBAL, address)).chain([foreign])
}

fn other(n: usize) -> (TableId, IpAddr) {
    (TableId::GLOBAL, IpAddr::V4(Ipv4Addr::from(0x0b00_0001 + (n as u32) * 0x101)))
}

fn packet(src: IpAddr) -> Vec<u8> {
    match src {
        IpAddr::V4(src) => ipv4(src.octets(), [203, 0, 113, 9], 64, &[], &[7; 26]),
        IpAddr::V6(src) => ipv6(&src.to_string(), "2001:db8:9::9", 17, 64, &[7; 26]),
    }
}

fn from(src: &str) -> Vec<u8> {
    frame(&[], &packet(src.parse().unwrap()))
}

fn ends(walker: &mut Walker, port: u16, frames: &[Vec<u8>]) -> Vec<End> {
    let walked = walker.walk(frames, PacketMask::EMPTY, Source::Port(port));
    walked.ends
}

#[test]
fn the_router_s_own_addresses_are_no_sources_of_what_comes_in() {
    let frames = [
        from("192.0.2.1"),
        from("192.0.2.255"),
        from("192.0.2.2"),
        from("2001:db8:1::1"),
        from("2001:db8:1::2"),
        from("10.1.1.1"),
    ];
    for isa in [Isa::detect(), Isa::Portable] {
        for more in [0, 100, 5000] {
            let mut walker = walker(isa, more);
            let ends = |walker: &mut Walker, port| ends(walker, port, &frames);
            assert_eq!(ends(&mut walker, 0), [OWN, OWN, GOES_ON, OWN, GOES_ON, GOES_ON]);
            // In another table other addresses are the router's, and where it is allowed, none.
            let mut other = vec![GOES_ON; 5];
            other.push(OWN);
            assert_eq!(ends(&mut walker, 1), other);
            assert_eq!(ends(&mut walker, 2), [GOES_ON; 6]);
        }
    }
}

#[test]
fn frames_from_groups_from_nobody_and_from_ourselves_are_dropped() {
    let with = |tags: &[(u16, u16)], mac: [u8; 6]| {
        let mut frame = frame(tags, &packet("198.51.100.9".parse().unwrap()));
        frame[6..12].copy_from_slice(&mac);
        frame
    };
    let macs = [OWN_MAC, [0; 6], [3, 0, 0, 0, 0, 9], [0xff; 6], [2, 0, 0, 0, 0, 2]];
    let near = [[2, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 1, 0, 0], [2, 0, 0, 1, 0, 1]];
    let looks = [MAC, MAC, MAC, MAC, GOES_ON, GOES_ON, GOES_ON, GOES_ON, GOES_ON];
    let allows = [GOES_ON, MAC, MAC, MAC, GOES_ON, GOES_ON, GOES_ON, GOES_ON, GOES_ON];
    let frames = |tags: &[(u16, u16)]| {
        macs.iter().chain(&near).map(|mac| with(tags, *mac)).collect::<Vec<_>>()
    };
    for isa in [Isa::detect(), Isa::Portable] {
        let mut walker = walker(isa, 0);
        assert_eq!(ends(&mut walker, 0, &frames(&[])), looks);
        assert_eq!(ends(&mut walker, 2, &frames(&[])), allows);
        // Interfaces of both kinds in one vector.
        let both = [frames(&[(0x8100, 7)]), frames(&[(0x8100, 8)])].concat();
        assert_eq!(ends(&mut walker, 0, &both), [looks, allows].concat());
        // A full vector of untagged frames, which the kernel reads where they stand.
        let full: Vec<_> = frames(&[]).into_iter().cycle().take(64).collect();
        let expected: Vec<_> = looks.into_iter().cycle().take(64).collect();
        assert_eq!(ends(&mut walker, 0, &full), expected);
    }
}

#[test]
fn a_few_addresses_let_nearly_all_foreign_sources_pass_the_filter() {
    for (count, allowed) in [(8, 20), (64, 400), (4000, 400)] {
        let (filter, rows) = own_addresses((0..count).map(other));
        assert_eq!(rows.len(), count);
        let filter = Filter::new(&filter).unwrap();
        let foreign = (0..10_000_u32).map(|n| n.wrapping_mul(0x0345_6789) | 0x8000_0000);
        let found = foreign.filter(|source| filter.may_have(key4(*source)));
        let found = found.count();
        assert!(found < allowed, "{found} of 10,000 with {count} addresses");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn an_own_source_is_found_in_every_place_of_a_vector(
        sources in prop::collection::vec((any::<u128>(), 0..12usize, any::<bool>()), 1..=64),
        more in prop::sample::select(vec![0usize, 60, 3000]),
    ) {
        // Own ones, neighbours of own ones, and anything.
        let own: Vec<(TableId, IpAddr)> = own().chain((0..more).map(other)).collect();
        let source = |(any, near, v6): &(u128, usize, bool)| -> IpAddr {
            match own.get(near + (*any % own.len() as u128) as usize) {
                Some((_, address)) if *near < 6 => *address,
                Some((_, IpAddr::V4(address))) => Ipv4Addr::from(address.to_bits() ^ 1 << (any % 20)).into(),
                Some((_, IpAddr::V6(address))) => Ipv6Addr::from(address.to_bits() ^ 1 << (any % 90)).into(),
                None if *v6 => Ipv6Addr::from(any >> 3 | 1 << 125).into(),
                None => Ipv4Addr::from((*any as u32) % 0x5000_0000 + 0x0100_0000).into(),
            }
        };
        let sources: Vec<IpAddr> = sources.iter().map(source).collect();
        let frames: Vec<Vec<u8>> = sources.iter().map(|src| frame(&[], &packet(*src))).collect();
        let expected: Vec<End> = sources
            .iter()
            .map(|src| if own.contains(&(TableId::GLOBAL, *src)) { OWN } else { GOES_ON })
            .collect();
        for isa in [Isa::detect(), Isa::Portable] {
            prop_assert_eq!(&ends(&mut walker(isa, more), 0, &frames), &expected, "{:?}", sources);
        }
    }
}
