//! A user's own feature sees the packets of the interfaces that have it on, and no others.

use hal::PacketMask;
use proptest::prelude::*;

use super::bench::{Hop, Plan, Router, Seen, Walker, frame, to};
use crate::adjacency::AdjacencyKind;
use crate::fia::{FiaBuilder, Gate};
use crate::isa::Isa;
use crate::l3::scalar::tests::ipv4;
use crate::packet::{DropReason, End, PuntCause, Source, Vector};
use crate::step::{Lcore, Step};

/// Sub-interfaces 3 to 6 behind tags 3 to 6 of port 0, and routes `10.N.0.0/16` out of 3 to 6;
/// bit 40 is on at ingress for `ingress`, at egress for `egress`.
fn plan(ingress: [bool; 4], egress: [bool; 4]) -> Plan {
    let mut plan = Plan::with_ports(4);
    plan.tags(0, &[(3, None, 3), (4, None, 4), (5, None, 5), (6, None, 6)]);
    for n in 0..4 {
        plan.uidbs[3 + n].features_in |= u64::from(ingress[n]) << 40;
        plan.uidbs[3 + n].features_out = u64::from(egress[n]) << 40;
        let kind = if egress[n] { AdjacencyKind::Featured } else { AdjacencyKind::Plain };
        plan.route(&format!("10.{}.0.0/16", 3 + n), Hop::new(kind, 3 + n as u16, 14));
    }
    plan
}

/// Packet from interface `from` to interface `to`.
fn packet((from, to): (u8, u8)) -> Vec<u8> {
    frame(&[(0x8100, from.into())], &ipv4([198, 51, 100, 9], [10, to, 0, 1], 64, &[], &[7; 26]))
}

/// Names of the rows up to and with `last`.
fn rows_up_to(last: &str) -> Vec<&'static str> {
    let mut names = FiaBuilder::router().names();
    names.truncate(names.iter().position(|name| *name == last).unwrap() + 1);
    names
}

/// Rows of the router, ingress first, and how many of them are ingress rows.
fn rows() -> (Vec<&'static str>, usize) {
    let names = FiaBuilder::router().names();
    let first_egress = names.iter().position(|name| *name == "adjacency").unwrap();
    (names, first_egress)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_gated_feature_sees_exactly_the_packets_of_interfaces_that_have_it_on(
        ingress in any::<[bool; 4]>(),
        egress in any::<[bool; 4]>(),
        pairs in prop::collection::vec((3..7u8, 3..7u8), 1..=64),
        row in 0..23usize,
        fuse in any::<bool>(),
    ) {
        let (names, first_egress) = rows();
        // Interfaces are known from `if-classify` on, output interfaces from `adjacency` on.
        let seen = Seen::default();
        let step = { let seen = seen.clone(); move || seen.step() };
        let fia = FiaBuilder::router().insert_after(names[row], "mine", Gate::Bit(40), step).unwrap();
        let fia = if fuse { fia } else { fia.row_by_row() };
        let mut router = Router::new(&plan(ingress, egress));
        let mut walker = Walker::new(&mut router, fia.build(Isa::detect()));
        let frames: Vec<_> = pairs.iter().map(|pair| packet(*pair)).collect();
        let walked = walker.walk(&frames, PacketMask::EMPTY, Source::Port(0));
        prop_assert_eq!(walked.live, PacketMask::first(pairs.len()));
        let expected = pairs.iter().enumerate().filter(|(_, (from, to))| {
            if row < first_egress { ingress[usize::from(from - 3)] } else { egress[usize::from(to - 3)] }
        });
        let expected = expected.fold(PacketMask::EMPTY, |mut mask, (slot, _)| {
            mask.insert(slot);
            mask
        });
        prop_assert_eq!(seen.take(), expected, "behind {}", names[row]);
        prop_assert_eq!(walker.row(&walked, "mine"), u64::from(expected.count()));
    }
}

/// What a feature that is always on behind the row `after` is shown of four packets.
fn shown_behind(after: &str) -> PacketMask {
    let mut router = Router::new(&plan([false; 4], [false, true, false, false]));
    let frames: Vec<_> = [(3, 3), (3, 4), (4, 5), (6, 6)].map(packet).to_vec();
    let seen = Seen::default();
    let step = {
        let seen = seen.clone();
        move || seen.step()
    };
    let fia = FiaBuilder::router().insert_after(after, "mine", Gate::Always, step).unwrap();
    let mut walker = Walker::new(&mut router, fia.build(Isa::detect()));
    let walked = walker.walk(&frames, PacketMask::EMPTY, Source::Port(0));
    assert_eq!(walked.live, PacketMask::first(4));
    seen.take()
}

#[test]
fn a_feature_that_is_always_on_sees_every_packet() {
    for after in rows_up_to("qos-act-out") {
        assert_eq!(shown_behind(after), PacketMask::first(4), "behind {after}");
    }
}

#[test]
fn a_feature_behind_mtu_sees_every_packet() {
    assert_eq!(shown_behind("mtu"), PacketMask::first(4));
}

#[test]
fn a_feature_behind_tx_sees_no_packet() {
    assert_eq!(shown_behind("tx"), PacketMask::EMPTY);
}

#[test]
fn egress_fast_steps_back_only_for_features_that_packets_would_pass_by() {
    let frames: Vec<_> = [(3, 3), (3, 5)].map(packet).to_vec();
    let taken = |after, gate, on| {
        let mut router = Router::new(&plan([on, false, false, false], [false; 4]));
        let seen = Seen::default();
        let fia = FiaBuilder::router().insert_after(after, "mine", gate, move || seen.step());
        let mut walker = Walker::new(&mut router, fia.unwrap().build(Isa::detect()));
        walker.walk(&frames, PacketMask::EMPTY, Source::Port(0));
        walker.fast.count()
    };
    assert_eq!(taken("next-hop", Gate::Always, false), 2, "in front");
    assert_eq!(taken("egress-fast", Gate::Always, false), 0, "right behind");
    assert_eq!(taken("mtu", Gate::Always, false), 2, "behind the last");
    assert_eq!(taken("ttl", Gate::Bit(40), false), 2, "inside, but off");
    assert_eq!(taken("ttl", Gate::Bit(40), true), 0, "inside and on");
    assert_eq!(taken("l2-rewrite", Gate::Always, false), 0, "inside and always on");
    assert_eq!(taken("l2-rewrite", Gate::Bit(40), false), 2, "egress, on for no interface");
}

/// Drops slot 0, punts slot 1, takes slot 2 over; looks at the output interface first.
struct Act;

impl Step for Act {
    fn process(&mut self, _: &mut Lcore<'_>, vector: &mut Vector, _: PacketMask) {
        vector.drop(0, DropReason::Feature);
        vector.punt(1, PuntCause::Feature);
        drop(vector.consume(2));
        // A packet has one end: what comes later does not count.
        vector.punt(0, PuntCause::Feature);
        assert!(vector.consume(1).is_none());
        vector.drop(2, DropReason::Feature);
    }
}

fn has_one_end_behind(after: &str) {
    let mut router = Router::new(&plan([false; 4], [false; 4]));
    let fia = FiaBuilder::router().insert_after(after, "mine", Gate::Always, || Box::new(Act));
    let mut walker = Walker::new(&mut router, fia.unwrap().build(Isa::detect()));
    let frames = [(3, 3), (4, 4), (5, 5), (6, 6)].map(packet);
    let walked = walker.walk(&frames, PacketMask::EMPTY, Source::Port(0));
    assert_eq!(walked.live, PacketMask::only(3), "behind {after}");
    let dropped = End::Drop(DropReason::Feature);
    let punted = End::Punt(PuntCause::Feature);
    assert_eq!(walked.ends, [dropped, punted, End::Consumed, End::Walking], "behind {after}");
    assert!(walked.frames[2].is_empty());
}

#[test]
fn a_packet_has_one_end_and_later_rows_do_not_see_it() {
    rows_up_to("qos-act-out").into_iter().for_each(has_one_end_behind);
}

/// Asserts that no output interface is known yet.
struct NoOutput;

impl Step for NoOutput {
    fn process(&mut self, _: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        for slot in select {
            assert_eq!(vector.output(slot), crate::uidb::UidbIndex::NONE);
        }
    }
}

#[test]
fn no_output_interface_is_left_from_the_vector_before() {
    let mut router = Router::new(&plan([false; 4], [false; 4]));
    let fia =
        FiaBuilder::router().insert_after("l3-parse", "mine", Gate::Always, || Box::new(NoOutput));
    let mut walker = Walker::new(&mut router, fia.unwrap().build(Isa::detect()));
    for _ in 0..2 {
        walker.walk(&[packet((3, 3)), to("10.4.0.1")], PacketMask::EMPTY, Source::Port(0));
    }
}
