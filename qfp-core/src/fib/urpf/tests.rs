//! Unicast RPF and routing tables through the whole order of operations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hal::PacketMask;

use crate::adjacency::AdjacencyKind;
use crate::fia::tests::bench::{Hop, Plan, Router, Walked, Walker, frame, open_kit};
use crate::fia::{FiaBuilder, Gate};
use crate::isa::Isa;
use crate::l3::scalar::tests::{ipv4, ipv6};
use crate::packet::{DropReason, End, PuntCause, Source};
use crate::uidb::{Rpf, RpfMode, TableId, Uidb, UidbIndex};

mod oracle;
mod vrf;

/// The interface packets come in through, and two others.
const HERE: u16 = 3;
const THERE: u16 = 4;
const BEYOND: u16 = 5;

const STRICT: Rpf = Rpf { mode: RpfMode::Strict, allow_default: false };
const LOOSE: Rpf = Rpf { mode: RpfMode::Loose, allow_default: false };
const STRICT_DEFAULT: Rpf = Rpf { allow_default: true, ..STRICT };
const LOOSE_DEFAULT: Rpf = Rpf { allow_default: true, ..LOOSE };
const OFF: Rpf = Rpf { mode: RpfMode::Off, allow_default: false };

fn plain(output: u16) -> Hop {
    Hop::new(AdjacencyKind::Plain, output, 14)
}

/// A packet of either family.
fn packet(src: &str, dst: &str) -> Vec<u8> {
    frame(&[], &ip(src.parse().unwrap(), dst.parse().unwrap()))
}

fn ip(src: IpAddr, dst: IpAddr) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => ipv4(src.octets(), dst.octets(), 64, &[], &[7; 26]),
        _ => ipv6(&src.to_string(), &dst.to_string(), 17, 64, &[7; 26]),
    }
}

/// Switches unicast RPF on for the interface.
fn check(plan: &mut Plan, uidb: u16, ipv4: Rpf, ipv6: Rpf) {
    let row = &mut plan.uidbs[usize::from(uidb)];
    row.features_in |= Gate::URPF.mask();
    row.urpf = Rpf::pack(ipv4, ipv6);
}

/// Puts an interface into a VRF.
fn join(plan: &mut Plan, uidb: u16, table: u16) {
    let row = &mut plan.uidbs[usize::from(uidb)];
    row.features_in |= Gate::VRF.mask();
    row.table = table;
}

fn walk(plan: &Plan, isa: Isa, frames: &[Vec<u8>]) -> Walked {
    let mut router = Router::new(plan);
    let mut walker =
        Walker::new(&mut router, FiaBuilder::router().build_with(&open_kit(isa.or_lower())));
    walker.walk(frames, PacketMask::EMPTY, Source::Port(0))
}

/// The route of a source, as the table of verdicts names it.
#[derive(Clone, Copy, Debug)]
enum Route {
    Here,
    Elsewhere,
    EcmpWithHere,
    EcmpElsewhere,
    DefaultHere,
    DefaultElsewhere,
    Null0,
    None,
}

impl Route {
    /// Hops of the route `prefix`.
    fn add(self, plan: &mut Plan, prefix: &str) {
        let outputs: &[u16] = match self {
            Self::Here | Self::DefaultHere => &[HERE],
            Self::Elsewhere | Self::DefaultElsewhere => &[THERE],
            Self::EcmpWithHere => &[THERE, BEYOND, HERE],
            Self::EcmpElsewhere => &[THERE, BEYOND],
            Self::Null0 => {
                plan.route(prefix, Hop::new(AdjacencyKind::Null0, UidbIndex::NONE.0, 0));
                return;
            }
            Self::None => return,
        };
        let first = u32::try_from(plan.hops.len()).unwrap();
        plan.hops.extend(outputs.iter().map(|output| plain(*output)));
        plan.group(prefix, (first..).take(outputs.len()).collect());
    }

    const fn is_default(self) -> bool {
        matches!(self, Self::DefaultHere | Self::DefaultElsewhere)
    }
}

/// Strict, loose, strict with allow-default, loose with allow-default.
const MODES: [Rpf; 4] = [STRICT, LOOSE, STRICT_DEFAULT, LOOSE_DEFAULT];
const VERDICTS: [(Route, [bool; 4]); 8] = [
    (Route::Here, [true, true, true, true]),
    (Route::Elsewhere, [false, true, false, true]),
    (Route::EcmpWithHere, [true, true, true, true]),
    (Route::EcmpElsewhere, [false, true, false, true]),
    (Route::DefaultHere, [false, false, true, true]),
    (Route::DefaultElsewhere, [false, false, false, true]),
    (Route::Null0, [false; 4]),
    (Route::None, [false; 4]),
];

#[test]
fn every_route_of_a_source_has_the_verdict_of_its_mode() {
    for (route, verdicts) in VERDICTS {
        for (mode, passes) in MODES.into_iter().zip(verdicts) {
            for (isa, table) in [(Isa::Portable, 0), (Isa::Avx512, 0), (Isa::Avx512, 7)] {
                verdict(route, mode, passes, isa, table);
            }
        }
    }
}

fn verdict(route: Route, mode: Rpf, passes: bool, isa: Isa, table: u16) {
    let mut plan = Plan::with_ports(3);
    for (prefix, dst) in [("10.1.0.0/16", "192.0.2.0/24"), ("2001:db8:1::/48", "2001:db8:2::/48")] {
        let default = if prefix.contains(':') { "::/0" } else { "0.0.0.0/0" };
        route.add(&mut plan, if route.is_default() { default } else { prefix });
        plan.route(dst, plain(THERE));
    }
    check(&mut plan, HERE, mode, mode);
    if table != 0 {
        plan.vrfs.insert(table, std::mem::take(&mut plan.routes));
        join(&mut plan, HERE, table);
    }
    let frames = [packet("10.1.2.3", "192.0.2.1"), packet("2001:db8:1::3", "2001:db8:2::1")];
    let ends = if passes {
        [End::Walking; 2]
    } else {
        [DropReason::Ipv4UnicastRpf, DropReason::Ipv6UnicastRpf].map(End::Drop)
    };
    let walked = walk(&plan, isa, &frames);
    assert_eq!(walked.ends, ends, "{route:?} {mode:?} {isa:?} table {table}");
}

#[test]
fn each_family_and_each_interface_has_its_own_mode() {
    let mut plan = Plan::with_ports(2);
    plan.tags(0, &[(5, None, THERE)]);
    plan.route("0.0.0.0/0", plain(THERE));
    plan.route("::/0", plain(THERE));
    check(&mut plan, HERE, OFF, STRICT);
    let frames = [packet("10.0.0.1", "192.0.2.1"), packet("2001:db8::1", "2001:db8:2::1")];
    let tagged = frames.clone().map(|mut frame| {
        frame.splice(12..12, [0x81, 0, 0, 5]);
        frame
    });
    let frames = [frames, tagged].concat();
    let dropped = End::Drop(DropReason::Ipv6UnicastRpf);
    let ends = [End::Walking, dropped, End::Walking, End::Walking];
    assert_eq!(walk(&plan, Isa::detect(), &frames).ends, ends);
    check(&mut plan, THERE, STRICT_DEFAULT, OFF);
    assert_eq!(walk(&plan, Isa::detect(), &frames).ends, ends);
    plan.uidbs[usize::from(HERE)].features_in &= !Gate::URPF.mask();
    assert_eq!(walk(&plan, Isa::detect(), &frames).ends, [End::Walking; 4]);
}

#[test]
fn a_source_of_the_router_itself_is_dropped_even_where_any_route_will_do() {
    let mut plan = Plan::with_ports(2);
    plan.route("0.0.0.0/0", plain(HERE));
    plan.route("10.1.0.1/32", Hop::new(AdjacencyKind::Receive, HERE, 0));
    check(&mut plan, HERE, LOOSE_DEFAULT, OFF);
    let walked = walk(&plan, Isa::detect(), &[packet("10.1.0.1", "192.0.2.1")]);
    assert_eq!(walked.ends, [End::Drop(DropReason::Ipv4UnicastRpf)]);
}

#[test]
fn a_connected_network_is_a_route_before_any_neighbour_is_known() {
    let mut plan = Plan::with_ports(2);
    plan.route("10.1.0.0/24", Hop::new(AdjacencyKind::Glean, HERE, 0));
    plan.route("10.2.0.0/24", Hop::new(AdjacencyKind::Incomplete, THERE, 0));
    plan.route("192.0.2.0/24", plain(THERE));
    check(&mut plan, HERE, STRICT, OFF);
    let frames = ["10.1.0.9", "10.2.0.9"].map(|src| packet(src, "192.0.2.1"));
    let ends = [End::Walking, End::Drop(DropReason::Ipv4UnicastRpf)];
    assert_eq!(walk(&plan, Isa::detect(), &frames).ends, ends);
}

#[test]
fn dhcp_and_neighbour_discovery_need_no_route() {
    let mut plan = Plan::with_ports(1);
    plan.route("2001:db8::1/128", Hop::new(AdjacencyKind::Receive, HERE, 0));
    check(&mut plan, HERE, STRICT, STRICT);
    let v4 = |src: &str, dst: &str| ip(src.parse().unwrap(), dst.parse().unwrap());
    let frames = [
        frame(&[], &v4("0.0.0.0", "255.255.255.255")),
        packet("fe80::9", "ff02::1"),
        packet("::", "ff02::1:ff00:1"),
        packet("fe80::9", "fe80::1"),
        packet("fe80::9", "2001:db8::1"),
    ];
    let for_us = End::Punt(PuntCause::Ipv6ForUs);
    let ends = [End::Punt(PuntCause::Ipv4LocalGroup), for_us, for_us, for_us, for_us];
    assert_eq!(walk(&plan, Isa::detect(), &frames).ends, ends);
}

#[test]
fn what_the_slow_path_injects_is_not_checked() {
    let mut plan = Plan::with_ports(1);
    plan.route("192.0.2.0/24", plain(HERE));
    check(&mut plan, HERE, STRICT, STRICT);
    let mut router = Router::new(&plan);
    let mut walker = Walker::new(&mut router, FiaBuilder::router().build(Isa::detect()));
    let source = Source::Internal { uidb: UidbIndex::RP, table: TableId::GLOBAL };
    let frames = [packet("10.1.0.1", "192.0.2.1")];
    assert_eq!(walker.walk(&frames, PacketMask::EMPTY, source).live, PacketMask::first(1));
}
