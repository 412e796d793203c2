//! Sources and destinations of random packets in random tables, against a linear search.

use std::collections::BTreeMap;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

const HOPS: u32 = 12;
const TABLES: [u16; 4] = [0, 1, 2, 40];

/// A few bits that become an address of either family.
fn address(bits: u8, v6: bool) -> IpAddr {
    let (a, b, c) = (bits >> 6 & 1, bits >> 3 & 7, bits & 7);
    if v6 {
        let [a, b, c] = [a, b, c].map(u16::from);
        IpAddr::V6(Ipv6Addr::new(0x2001 + a, 0xdb8, b, 0, 0, 0, 0, c))
    } else {
        IpAddr::V4(Ipv4Addr::new(10 + a, b, 0, c))
    }
}

fn prefix() -> impl Strategy<Value = IpNet> {
    (any::<u8>(), any::<bool>(), 0..8usize).prop_map(|(bits, v6, len)| {
        let lens =
            if v6 { [0, 0, 16, 46, 48, 64, 126, 128] } else { [0, 0, 8, 14, 16, 24, 30, 32] };
        IpNet::new(address(bits, v6), lens[len]).unwrap().trunc()
    })
}

fn hop() -> impl Strategy<Value = Hop> {
    let kinds = [
        AdjacencyKind::Plain,
        AdjacencyKind::Plain,
        AdjacencyKind::Plain,
        AdjacencyKind::Glean,
        AdjacencyKind::Null0,
        AdjacencyKind::Receive,
    ];
    (prop::sample::select(kinds.to_vec()), 3..7u16)
        .prop_map(|(kind, output)| Hop::new(kind, output, 14))
}

fn rpf() -> impl Strategy<Value = Rpf> {
    let modes = [RpfMode::Off, RpfMode::Strict, RpfMode::Loose];
    (prop::sample::select(modes.to_vec()), any::<bool>())
        .prop_map(|(mode, allow_default)| Rpf { mode, allow_default })
}

/// An interface: whether the row is on, its modes, and which of the tables.
type Link = (bool, Rpf, Rpf, usize);

prop_compose! {
    fn plan()(
        hops in prop::collection::vec(hop(), HOPS as usize),
        groups in prop::collection::vec(prop::collection::vec(1..=HOPS, 0..4), 8),
        routes in prop::collection::btree_map((0..TABLES.len(), prefix()), 0..8usize, 0..40),
        links in prop::collection::vec((prop::bool::weighted(0.8), rpf(), rpf(), 0..TABLES.len()), 4),
    ) -> (Plan, Vec<Link>) {
        let mut plan = Plan::with_ports(4);
        plan.tags(0, &[(3, None, 3), (4, None, 4), (5, None, 5), (6, None, 6)]);
        plan.hops.extend(hops);
        plan.groups.extend(groups.clone());
        for ((table, prefix), group) in routes {
            let mut leaf = u16::try_from(1 + group).unwrap();
            if prefix.prefix_len() == 0 {
                // Default routes have groups of their own.
                leaf = u16::try_from(plan.groups.len()).unwrap();
                plan.groups.push(groups[group].clone());
            }
            match TABLES[table] {
                0 => plan.routes.push((prefix, leaf)),
                table => plan.vrfs.entry(table).or_default().push((prefix, leaf)),
            }
        }
        for (uidb, (on, rpf4, rpf6, table)) in (3..).zip(&links) {
            if *on {
                check(&mut plan, uidb, *rpf4, *rpf6);
            }
            if *table != 0 {
                join(&mut plan, uidb, TABLES[*table]);
            }
        }
        (plan, links)
    }
}

/// What a group does, with its outputs.
#[derive(Debug, PartialEq)]
enum Fate {
    NoRoute,
    Null0,
    ForUs,
    Forward(Vec<(AdjacencyKind, u16)>),
}

/// The longest match of `address`, and what its group does.
fn resolve(plan: &Plan, table: u16, address: IpAddr) -> (Option<IpNet>, Fate) {
    let none = Vec::new();
    let routes = if table == 0 { &plan.routes } else { plan.vrfs.get(&table).unwrap_or(&none) };
    let best =
        routes.iter().filter(|(p, _)| p.contains(&address)).max_by_key(|(p, _)| p.prefix_len());
    let Some((prefix, leaf)) = best else { return (None, Fate::NoRoute) };
    let hops: Vec<&Hop> =
        plan.groups[usize::from(*leaf)].iter().map(|n| &plan.hops[*n as usize]).collect();
    let fate = match hops.first().map(|hop| hop.kind) {
        None => Fate::NoRoute,
        Some(AdjacencyKind::Null0) => Fate::Null0,
        Some(AdjacencyKind::Receive) => Fate::ForUs,
        Some(_) => Fate::Forward(
            hops.iter()
                .filter(|hop| !matches!(hop.kind, AdjacencyKind::Null0 | AdjacencyKind::Receive))
                .map(|hop| (hop.kind, hop.output))
                .collect(),
        ),
    };
    (Some(*prefix), fate)
}

/// Whether unicast RPF lets a source in, by the book.
fn passes(plan: &Plan, rpf: Rpf, table: u16, source: IpAddr, input: u16) -> bool {
    let (prefix, fate) = resolve(plan, table, source);
    let Fate::Forward(members) = fate else { return rpf.mode == RpfMode::Off };
    let by_default = prefix.is_some_and(|prefix| prefix.prefix_len() == 0);
    match rpf.mode {
        RpfMode::Off => true,
        _ if by_default && !rpf.allow_default => false,
        RpfMode::Strict => members.iter().any(|(_, output)| *output == input),
        RpfMode::Loose => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn verdicts_and_routes_agree_with_a_linear_search(
        (plan, links) in plan(),
        packets in prop::collection::vec((3..7u16, any::<u8>(), any::<u8>(), any::<bool>()), 1..=64),
        isa in prop::sample::select(&[Isa::Portable, Isa::Avx2, Isa::Avx512][..]),
    ) {
        let frames: Vec<_> = packets
            .iter()
            .map(|&(uidb, src, dst, v6)| {
                frame(&[(0x8100, uidb)], &ip(address(src, v6), address(dst, v6)))
            })
            .collect();
        let walked = walk(&plan, isa, &frames);
        let mut counts = BTreeMap::new();
        for (slot, (uidb, src, dst, v6)) in packets.into_iter().enumerate() {
            let (on, rpf4, rpf6, table) = links[usize::from(uidb - 3)];
            let table = TABLES[table];
            let rpf = if !on { OFF } else if v6 { rpf6 } else { rpf4 };
            let by_family = |v4, other| End::Drop(if v6 { other } else { v4 });
            let end = walked.ends[slot];
            if !passes(&plan, rpf, table, address(src, v6), uidb) {
                *counts.entry(v6).or_insert(0u64) += 1;
                let dropped = by_family(DropReason::Ipv4UnicastRpf, DropReason::Ipv6UnicastRpf);
                prop_assert_eq!(end, dropped);
                continue;
            }
            let for_us = if v6 { PuntCause::Ipv6ForUs } else { PuntCause::Ipv4ForUs };
            match resolve(&plan, table, address(dst, v6)).1 {
                Fate::NoRoute => {
                    let dropped = by_family(DropReason::Ipv4NoRoute, DropReason::Ipv6NoRoute);
                    prop_assert_eq!(end, dropped);
                }
                Fate::Null0 => {
                    let dropped = by_family(DropReason::Ipv4Null0, DropReason::Ipv6Null0);
                    prop_assert_eq!(end, dropped);
                }
                Fate::ForUs => prop_assert_eq!(end, End::Punt(for_us)),
                Fate::Forward(members) => match (end, walked.outputs[slot]) {
                    (End::Walking, Some(UidbIndex(output))) => {
                        prop_assert!(members.contains(&(AdjacencyKind::Plain, output)));
                    }
                    (end, _) => {
                        prop_assert_eq!(end, End::Punt(PuntCause::Glean));
                        prop_assert!(members.iter().any(|(kind, _)| *kind == AdjacencyKind::Glean));
                    }
                },
            }
        }
        let dropped = counts.values().sum::<u64>();
        let ends = walked.ends.iter().filter(|end| {
            matches!(end, End::Drop(DropReason::Ipv4UnicastRpf | DropReason::Ipv6UnicastRpf))
        });
        prop_assert_eq!(ends.count() as u64, dropped);
    }
}
