//! `egress-fast` equals the rows one by one, whatever the packets and the tables.

use hal::PacketMask;
use proptest::prelude::*;

use super::bench::{Hop, Plan, Router, Seen, Walker, frame, to};
use crate::adjacency::AdjacencyKind;
use crate::fia::{FiaBuilder, Gate};
use crate::isa::Isa;
use crate::l3::scalar::tests::{ipv4, ipv6};
use crate::packet::Source;
use crate::uidb::{TableId, UidbIndex};

const KINDS: [AdjacencyKind; 8] = [
    AdjacencyKind::Absent,
    AdjacencyKind::Plain,
    AdjacencyKind::Featured,
    AdjacencyKind::Incomplete,
    AdjacencyKind::Glean,
    AdjacencyKind::Receive,
    AdjacencyKind::Null0,
    AdjacencyKind::LocalGroup,
];
/// Routes, each with a group of its own: `10.N.0.0/16` and `2001:db8:N::/48`.
const ROUTES: u8 = 12;

/// Any hop: plain ones are the most frequent.
fn hop() -> impl Strategy<Value = Hop> {
    let kind = prop_oneof![3 => Just(AdjacencyKind::Plain), 2 => prop::sample::select(&KINDS[..])];
    let len = prop::sample::select(&[14u8, 18, 22, 30, 0, 16, 32][..]);
    let mtu = prop_oneof![3 => Just(1500u16), 1 => Just(46), 1 => Just(0), 1 => any::<u16>()];
    (kind, 3..7u16, len, mtu)
        .prop_map(|(kind, output, len, mtu)| Hop::new(kind, output, len).mtu(mtu))
}

prop_compose! {
    pub(crate) fn plan()(
        hops in prop::collection::vec(hop(), 1..20),
        members in prop::collection::vec(prop::collection::vec(0..22u32, 1..5), usize::from(ROUTES)),
        ttl_off in prop::collection::vec(prop::bool::weighted(0.1), 4),
        features in prop::collection::vec((0..4u64, 0..4u64), 4),
        second in prop::bool::ANY,
    ) -> Plan {
        let mut plan = Plan::with_ports(4);
        plan.tags(0, &[(5, None, if second { 4 } else { 3 }), (5, Some(7), 5), (6, None, 6)]);
        for (n, (ingress, egress)) in features.into_iter().enumerate() {
            let uidb = &mut plan.uidbs[3 + n];
            // Rarely on at ingress, or nothing would ever be taken.
            uidb.features_in |= if ingress == 3 { 1 << 40 } else { 0 };
            uidb.features_in |= if ingress == 2 { 1 << 41 } else { 0 };
            uidb.features_out = if egress > 1 { egress << 40 } else { 0 };
            if ttl_off[n] {
                uidb.features_in &= !Gate::TTL.mask();
            }
        }
        for mut hop in hops {
            let featured = plan.uidbs[usize::from(hop.output)].features_out != 0;
            if hop.kind == AdjacencyKind::Plain && featured {
                hop.kind = AdjacencyKind::Featured;
            }
            plan.hops.push(hop);
        }
        for (n, mut members) in (1..=ROUTES).zip(members) {
            members.iter_mut().for_each(|member| *member %= plan.hops.len() as u32);
            plan.group(&format!("10.{n}.0.0/16"), members);
            let leaf = plan.groups.len() as u16 - 1;
            plan.routes.push((format!("2001:db8:{n:x}::/48").parse().unwrap(), leaf));
        }
        plan
    }
}

/// A frame that is mostly right: some have tags, options, extension headers, padding, a group MAC
/// address, a TTL that ends, or bytes that were overwritten.
pub(crate) fn packet() -> impl Strategy<Value = Vec<u8>> {
    let ttl = prop_oneof![4 => Just(64u8), 1 => 0..3u8, 1 => any::<u8>()];
    let tags = prop_oneof![5 => Just(&[][..]), 2 => prop::sample::select(&TAGS[..])];
    let damage = prop::collection::vec((0..70usize, any::<u8>()), 1..3);
    let damage = prop_oneof![4 => Just(Vec::new()), 1 => damage];
    (0..=ROUTES + 1, any::<u16>(), ttl, tags, damage, 0..90usize, 0..40u8, any::<bool>()).prop_map(
        |(n, host, ttl, tags, damage, len, odd, v6)| {
            let [high, low] = host.to_be_bytes();
            let mut packet = if v6 {
                let src = if odd == 1 { "fe80::9" } else { "2001:db8:ffff::9" };
                let payload = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &vec![low; len]].concat();
                let next = if odd == 2 { 0 } else { 17 };
                ipv6(src, &format!("2001:db8:{n:x}::{host:x}"), next, ttl, &payload)
            } else {
                let options: &[u8] = if odd < 2 { &[1, 1, 1, 0] } else { &[] };
                ipv4([198, 51, 100, low], [10, n, high, low], ttl, options, &vec![high; len])
            };
            if odd == 3 {
                packet.extend([0; 9]);
            }
            let mut frame = frame(tags, &packet);
            if odd == 4 {
                frame[0] |= 1;
            }
            for (at, value) in damage {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
            }
            if odd == 5 {
                frame.truncate(len);
            }
            frame
        },
    )
}

const TAGS: [&[(u16, u16)]; 6] = [
    &[(0x8100, 5)],
    &[(0x88a8, 0xe005), (0x8100, 7)],
    &[(0x8100, 5), (0x8100, 8)],
    &[(0x9100, 6)],
    &[(0x8100, 0)],
    &[(0x8100, 99)],
];

/// Features of a user's own, in front of, inside and behind the rows that packets are ahead of.
fn builder(seen: &[Seen; 4]) -> FiaBuilder {
    let rows = [
        ("next-hop", "before", Gate::Bit(40)),
        ("ttl", "inside", Gate::Bit(41)),
        ("l2-rewrite", "rewritten", Gate::Bit(40)),
        ("mtu", "fitting", Gate::Bit(41)),
    ];
    let mut fia = FiaBuilder::router();
    for ((after, name, gate), seen) in rows.into_iter().zip(seen.clone()) {
        fia = fia.insert_after(after, name, gate, move || seen.step()).unwrap();
    }
    fia
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn egress_fast_equals_the_rows_one_by_one(
        plan in plan(),
        frames in prop::collection::vec(packet(), 1..=64),
        moved in prop_oneof![3 => Just(0), 1 => any::<u64>()],
        internal in prop::bool::weighted(0.2),
    ) {
        let source = match internal {
            true => Source::Internal { uidb: UidbIndex::RP, table: TableId::GLOBAL },
            false => Source::Port(0),
        };
        let mut short = Router::new(&Plan { all_leaves: false, ..plan.clone() });
        let mut full = Router::new(&plan);
        let walk = |router: &mut Router, fia: fn(&[Seen; 4]) -> FiaBuilder, isa| {
            let seen: [Seen; 4] = std::array::from_fn(|_| Seen::default());
            let mut walker = Walker::new(router, fia(&seen).build(isa));
            let mut walked = walker.walk(&frames, PacketMask(moved), source);
            let taken = walker.row(&walked, "egress-fast");
            assert_eq!(taken, u64::from(walker.fast.count()));
            // What it has taken from `adjacency` it has taken from all that every packet meets.
            let met = walker.row(&walked, "ifib-act");
            walked.rows = rows_outside(&walked.rows);
            (walked, taken + met, seen.map(|seen| seen.take()))
        };
        let rows = walk(&mut short, |seen| builder(seen).row_by_row(), Isa::Portable);
        prop_assert_eq!(&walk(&mut short, builder, Isa::Portable), &rows);
        for isa in [Isa::Avx2, Isa::Avx512] {
            if isa.available() {
                prop_assert_eq!(&walk(&mut full, |seen| builder(seen).row_by_row(), isa), &rows);
                prop_assert_eq!(&walk(&mut full, builder, isa), &rows);
            }
        }
    }
}

/// What rows have counted whose packets are never ahead.
fn rows_outside(rows: &[u64]) -> Vec<u64> {
    let names = builder(&Default::default()).names();
    let at = |name| names.iter().position(|row| *row == name).unwrap();
    let (fast, last) = (at("egress-fast"), at("mtu"));
    [&rows[..fast], &rows[last + 1..]].concat()
}

#[test]
fn ordinary_packets_are_taken_ahead_and_others_are_left_to_the_rows() {
    let mut plan = Plan::with_ports(2);
    plan.route("10.1.0.0/16", Hop::new(AdjacencyKind::Plain, 4, 14));
    plan.route("2001:db8:1::/48", Hop::new(AdjacencyKind::Plain, 4, 22));
    plan.route("10.2.0.0/16", Hop::new(AdjacencyKind::Featured, 4, 14));
    plan.route("10.3.0.0/16", Hop::new(AdjacencyKind::Plain, 4, 14).mtu(30));
    plan.route("10.4.0.0/16", Hop::new(AdjacencyKind::Receive, 0, 0));
    let mut router = Router::new(&plan);
    let mut walker = Walker::new(&mut router, FiaBuilder::router().build(Isa::detect()));
    let mut expiring = to("10.1.0.1");
    expiring[22..26].copy_from_slice(&{
        let packet = ipv4([198, 51, 100, 9], [10, 1, 0, 1], 1, &[], &[7; 26]);
        [packet[8], packet[9], packet[10], packet[11]]
    });
    let frames = [
        to("10.1.0.1"),
        to("2001:db8:1::1"),
        to("10.2.0.1"),
        to("10.3.0.1"),
        to("10.4.0.1"),
        expiring,
        to("2001:db8:1::2"),
        to("10.1.0.2"),
    ];
    let walked = walker.walk(&frames, PacketMask(0b1100_0000), Source::Port(0));
    assert_eq!(walker.fast, PacketMask(0b1100_0111), "{walked:?}");
    assert_eq!(walked.live, PacketMask(0b1100_0111));
    assert_eq!(walked.frames[1].len(), frames[1].len() + 8);
    let counted = ["egress-fast", "ttl", "ifib-act", "l2-rewrite", "mtu", "tx"];
    assert_eq!(counted.map(|row| walker.row(&walked, row)), [5, 3, 2, 1, 2, 5]);
}

#[test]
fn walks_without_ttl_are_taken_and_leave_it_as_it_is() {
    let mut plan = Plan::with_ports(2);
    plan.route("10.1.0.0/16", Hop::new(AdjacencyKind::Plain, 4, 14));
    plan.route("2001:db8:1::/48", Hop::new(AdjacencyKind::Plain, 4, 18));
    let mut router = Router::new(&plan);
    let mut walker = Walker::new(&mut router, FiaBuilder::router().build(Isa::detect()));
    let frames = [to("10.1.0.1"), to("2001:db8:1::1")];
    let source = Source::Internal { uidb: UidbIndex::CRYPTO, table: TableId::GLOBAL };
    let walked = walker.walk(&frames, PacketMask::EMPTY, source);
    assert_eq!(walker.fast, PacketMask(0b11));
    assert_eq!(walked.frames[0][14..], frames[0][14..]);
    assert_eq!(walked.frames[1][18..], frames[1][14..]);
}

#[test]
fn an_egress_feature_in_front_of_the_rewrite_is_not_passed_by() {
    let mut plan = Plan::with_ports(2);
    plan.uidbs[4].features_out = 1 << 40;
    plan.route("10.1.0.0/16", Hop::new(AdjacencyKind::Featured, 4, 14));
    let mut router = Router::new(&plan);
    let seen = Seen::default();
    let step = seen.clone();
    let fia = FiaBuilder::router();
    let fia = fia.insert_after("adjacency", "early", Gate::Bit(40), move || step.step()).unwrap();
    let mut walker = Walker::new(&mut router, fia.build(Isa::detect()));
    walker.walk(&[to("10.1.0.1")], PacketMask::EMPTY, Source::Port(0));
    assert_eq!(seen.take(), PacketMask(1));
}
