use hal::PacketMask;

use crate::adjacency::AdjacencyKind;
use crate::fia::tests::bench::{Hop, OWN_MAC, Plan, Router, Walker, frame, interface, to};
use crate::fia::{FiaBuilder, Gate};
use crate::isa::Isa;
use crate::l3::scalar::tests::ipv4;
use crate::packet::{DropReason, End, Source};
use crate::uidb::{TableId, Uidb, UidbIndex};

const BAD: End = End::Drop(DropReason::BadUidbIdx);
const DOWN: End = End::Drop(DropReason::UidbDown);
const GOES_ON: End = End::Walking;

/// Everything goes out of interface 3 with a header of 14 bytes.
fn routed(mut plan: Plan) -> Plan {
    plan.route("0.0.0.0/0", Hop::new(AdjacencyKind::Plain, 3, 14));
    plan
}

/// Port 0 with all kinds of sub-interfaces, port 1 without a native interface, port 2 without
/// sub-interfaces.
fn plan() -> Plan {
    let mut plan = Plan::with_ports(3);
    plan.uidbs.resize(16, interface(0));
    plan.uidbs[10].state = Uidb::DOWN;
    plan.uidbs[11].state = Uidb::ABSENT;
    plan.tags(
        0,
        &[
            (10, None, 6),
            (20, None, 7),
            (20, Some(30), 8),
            (40, Some(50), 9),
            (60, None, 10),
            (70, None, 99),
            (71, None, 11),
            (4094, Some(4094), 12),
        ],
    );
    plan.ports[1].native = UidbIndex::NONE.0;
    plan.tags(1, &[(10, None, 13)]);
    plan
}

#[test]
fn every_combination_of_port_and_tags_finds_its_interface_or_none() {
    type Case<'a> = (u16, &'a [(u16, u16)], u16, End);
    let none = UidbIndex::NONE.0;
    let cases: &[Case<'_>] = &[
        // The port itself.
        (0, &[], 3, GOES_ON),
        (0, &[(0x8100, 0)], 3, GOES_ON),
        (0, &[(0x88a8, 0xe000)], 3, GOES_ON),
        // One tag, of any type, with any priority.
        (0, &[(0x8100, 10)], 6, GOES_ON),
        (0, &[(0x88a8, 10)], 6, GOES_ON),
        (0, &[(0x9100, 10)], 6, GOES_ON),
        (0, &[(0x8100, 0xf00a)], 6, GOES_ON),
        (0, &[(0x8100, 20)], 7, GOES_ON),
        // Two: the one that names the most tags.
        (0, &[(0x8100, 20), (0x8100, 30)], 8, GOES_ON),
        (0, &[(0x88a8, 20), (0x8100, 0xe01e)], 8, GOES_ON),
        (0, &[(0x88a8, 40), (0x8100, 50)], 9, GOES_ON),
        (0, &[(0x88a8, 4094), (0x8100, 4094)], 12, GOES_ON),
        // An inner tag that nobody claims is not IP to the outer tag's interface.
        (0, &[(0x8100, 20), (0x8100, 31)], 7, BAD),
        (0, &[(0x8100, 10), (0x8100, 30)], 6, BAD),
        (0, &[(0x88a8, 40), (0x8100, 51)], none, BAD),
        // Nobody's.
        (0, &[(0x8100, 40)], none, BAD),
        (0, &[(0x8100, 11)], none, BAD),
        (0, &[(0x8100, 4095)], none, BAD),
        // Down, stale, and gone.
        (0, &[(0x8100, 60)], 10, DOWN),
        (0, &[(0x8100, 70)], 99, BAD),
        (0, &[(0x8100, 71)], 11, BAD),
        // Another port's tags are other tags.
        (1, &[], none, BAD),
        (1, &[(0x8100, 0)], none, BAD),
        (1, &[(0x8100, 10)], 13, GOES_ON),
        (1, &[(0x8100, 20)], none, BAD),
        (2, &[], 5, GOES_ON),
        (2, &[(0x8100, 10)], 5, BAD),
        (7, &[], none, BAD),
        (7, &[(0x8100, 10)], none, BAD),
    ];
    let mut router = Router::new(&routed(plan()));
    let mut walker = Walker::new(&mut router, FiaBuilder::router().build(Isa::detect()));
    let packet = ipv4([198, 51, 100, 9], [10, 0, 0, 1], 64, &[], &[7; 26]);
    let plain = &walker.walk(&[frame(&[], &packet)], PacketMask::EMPTY, Source::Port(0)).frames[0];
    let sent = plain.clone();
    // All of a port's in one vector, and each alone.
    for port in [0, 1, 2, 7] {
        let own: Vec<_> = cases.iter().filter(|case| case.0 == port).collect();
        let frames: Vec<_> = own.iter().map(|case| frame(case.1, &packet)).collect();
        let mut check = |frames: &[Vec<u8>], own: &[&Case<'_>]| {
            let walked = walker.walk(frames, PacketMask::EMPTY, Source::Port(port));
            for (slot, (_, tags, uidb, end)) in own.iter().enumerate() {
                assert_eq!(walked.inputs[slot], UidbIndex(*uidb), "port {port}, {tags:x?}");
                assert_eq!(walked.ends[slot], *end, "port {port}, {tags:x?}");
                assert!(*end != GOES_ON || walked.frames[slot] == sent, "port {port}, {tags:x?}");
            }
        };
        check(&frames, &own);
        for (frame, case) in frames.iter().zip(&own) {
            check(std::slice::from_ref(frame), &[case]);
        }
    }
}

#[test]
fn a_priority_tag_belongs_to_the_port_whether_it_has_sub_interfaces_or_not() {
    let mut router = Router::new(&routed(plan()));
    let mut walker = Walker::new(&mut router, FiaBuilder::router().build(Isa::detect()));
    let packet = ipv4([198, 51, 100, 9], [10, 0, 0, 1], 64, &[], &[7; 26]);
    let frames = [frame(&[(0x8100, 0xe000)], &packet)];
    let walked = walker.walk(&frames, PacketMask::EMPTY, Source::Port(2));
    assert_eq!(walked.ends, [GOES_ON]);
}

#[test]
fn a_frame_that_ends_inside_its_tags_is_dropped() {
    let mut router = Router::new(&routed(plan()));
    let mut walker = Walker::new(&mut router, FiaBuilder::router().build(Isa::detect()));
    let whole = frame(&[(0x88a8, 20), (0x8100, 30)], &[]);
    for len in 0..whole.len() {
        let frames = [whole[..len].to_vec()];
        let walked = walker.walk(&frames, PacketMask::EMPTY, Source::Port(0));
        assert!(matches!(walked.ends[0], End::Drop(_)), "{len} bytes: {:?}", walked.ends);
    }
}

#[test]
fn four_thousand_sub_interfaces_of_a_port_are_told_apart() {
    let mut plan = Plan::with_ports(1);
    plan.uidbs.resize(3 + 4095, interface(0));
    let tags: Vec<_> = (1..=4094).map(|vid| (vid, None, 3 + vid)).collect();
    plan.tags(0, &tags);
    let mut router = Router::new(&routed(plan));
    let mut walker = Walker::new(&mut router, FiaBuilder::router().build(Isa::detect()));
    let packet = ipv4([198, 51, 100, 9], [10, 0, 0, 1], 64, &[], &[7; 26]);
    for vids in (1..=4094u16).collect::<Vec<_>>().chunks(64) {
        let frames: Vec<_> = vids.iter().map(|vid| frame(&[(0x8100, *vid)], &packet)).collect();
        let walked = walker.walk(&frames, PacketMask::EMPTY, Source::Port(0));
        assert_eq!(walked.live, PacketMask::first(vids.len()));
        let wanted: Vec<_> = vids.iter().map(|vid| UidbIndex(3 + vid)).collect();
        assert_eq!(walked.inputs, wanted);
    }
}

#[test]
fn the_mac_filter_drops_frames_for_other_stations_where_it_is_on() {
    let mut plan = Plan::with_ports(1);
    plan.uidbs.resize(5, interface(0));
    plan.tags(0, &[(5, None, 4)]);
    plan.uidbs[3].features_in |= Gate::MAC_FILTER.mask();
    let mut router = Router::new(&routed(plan));
    let mut walker = Walker::new(&mut router, FiaBuilder::router().build(Isa::detect()));
    let with_mac = |mac: [u8; 6]| {
        let mut frame = to("10.0.0.1");
        frame[..6].copy_from_slice(&mac);
        frame
    };
    let mut almost = OWN_MAC;
    almost[5] ^= 1;
    let mut tagged = frame(&[(0x8100, 5)], &to("10.0.0.1")[14..]);
    tagged[..6].copy_from_slice(&almost);
    let filtered = End::Drop(DropReason::MacFilter);
    let group = End::Drop(DropReason::L2GroupUnicast);
    for (frame, end) in [
        (with_mac(OWN_MAC), GOES_ON),
        (with_mac(almost), filtered),
        (with_mac([0; 6]), filtered),
        // Groups pass the filter; what is inside decides then.
        (with_mac([0xff; 6]), group),
        (with_mac([1, 0, 0x5e, 0, 0, 1]), group),
        (tagged, GOES_ON),
        (vec![2; 3], End::Drop(DropReason::Truncated)),
    ] {
        let walked = walker.walk(&[frame, with_mac(OWN_MAC)], PacketMask::EMPTY, Source::Port(0));
        assert_eq!(walked.ends, [end, GOES_ON]);
    }
    // What the slow path puts in has no addresses.
    let injected = walker.walk(
        &[with_mac([0; 6])],
        PacketMask::EMPTY,
        Source::Internal { uidb: UidbIndex::RP, table: TableId::GLOBAL },
    );
    assert_eq!(injected.ends, [GOES_ON]);
}
