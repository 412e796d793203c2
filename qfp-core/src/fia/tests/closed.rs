//! An interface whose gate says that it has an access list passes nothing without the tables that
//! say which.

use std::sync::atomic::AtomicU32;

use hal::PacketMask;
use pal::publication::Timekeeper;

use super::bench::{Hop, Plan, Router, Walker, to};
use crate::acl::{
    AclResult, Binding, Bindings, Classifier, Feature, Line, Memory, Pattern4, Place, Rule, Space,
};
use crate::adjacency::AdjacencyKind;
use crate::fia::{FiaBuilder, Gate};
use crate::isa::Isa;
use crate::packet::{DropReason, End, Source};
use crate::tables::table_kind;

/// Port 0 with lists in both directions, and a way out through each port.
fn plan() -> Plan {
    let mut plan = Plan::with_ports(2);
    plan.uidbs[3].features_in |= Gate::ACL_IN.mask();
    plan.uidbs[3].features_out |= Gate::ACL_OUT.mask();
    plan.route("10.3.0.0/16", Hop::new(AdjacencyKind::Featured, 3, 14));
    plan.route("10.4.0.0/16", Hop::new(AdjacencyKind::Plain, 4, 14));
    plan.route("2001:db8::/32", Hop::new(AdjacencyKind::Plain, 4, 14));
    plan
}

/// Which tables of a router are there.
#[derive(Clone, Copy)]
struct There {
    /// Rows of the bindings.
    bindings: Option<usize>,
    objects: bool,
    lines: bool,
}

/// A router whose port 0 is bound to a list that permits all IPv4, and none for IPv6.
fn walker(there: There) -> Walker {
    let (plan, mut router) = (plan(), Router::new(&plan()));
    let region = router.region().clone();
    let mut space = Space::new(256, Timekeeper::default().clock());
    let lines = region.alloc::<Line>(256).unwrap().publish();
    let any = Rule { result: AclResult::new(0, false).0, patterns: vec![Pattern4::any()] };
    let mut memory = Memory { lines: region.view(lines).unwrap(), space: &mut space };
    let rules = [(Place { feature: 0, sequence: 0 }, any)];
    let object = Classifier::build(&mut memory, rules).unwrap().object();
    router.publish_with(&plan, |root| {
        if there.lines {
            root.set(table_kind::ACL_LINES, lines);
        }
        if there.objects {
            let mut objects = region.alloc::<AtomicU32>(1).unwrap();
            *objects[0].get_mut() = object;
            root.set(table_kind::ACL_OBJECTS, objects.publish());
        }
        root.clear(table_kind::ACL_BINDINGS);
        if let Some(rows) = there.bindings {
            let mut bindings = region.alloc::<Bindings>(rows).unwrap();
            let binding = Binding { object: 1, features: 1 << Feature::Acl as u8 };
            let bound = Bindings { in4: binding, out4: binding, ..Bindings::default() };
            bindings.iter_mut().skip(3).take(1).for_each(|row| *row = bound);
            root.set(table_kind::ACL_BINDINGS, bindings.publish());
        }
    });
    Walker::new(&mut router, FiaBuilder::router().build(Isa::detect()))
}

/// What becomes of IPv4 and IPv6 that comes in through port 0, and of IPv4 that leaves by it.
fn ends(there: There) -> [End; 3] {
    let mut walker = walker(there);
    let within = [to("10.4.0.1"), to("2001:db8::1")];
    let within = walker.walk(&within, PacketMask::EMPTY, Source::Port(0)).ends;
    let out = walker.walk(&[to("10.3.0.1")], PacketMask::EMPTY, Source::Port(1)).ends;
    [within[0], within[1], out[0]]
}

const ALL: There = There { bindings: Some(5), objects: true, lines: true };

#[test]
fn what_no_list_is_bound_for_passes_and_so_does_what_a_list_permits() {
    assert_eq!(ends(ALL), [End::Walking; 3]);
}

#[test]
fn without_bindings_nothing_passes_an_interface_that_has_a_list() {
    let (four, six) = (End::Drop(DropReason::Ipv4Acl), End::Drop(DropReason::Ipv6Acl));
    assert_eq!(ends(There { bindings: None, ..ALL }), [four, six, four]);
    assert_eq!(ends(There { bindings: Some(3), ..ALL }), [four, six, four], "no row for it");
}

#[test]
fn without_the_rules_of_a_bound_list_nothing_passes_it() {
    let four = End::Drop(DropReason::Ipv4Acl);
    assert_eq!(ends(There { objects: false, ..ALL }), [four, End::Walking, four]);
    assert_eq!(ends(There { lines: false, ..ALL }), [four, End::Walking, four]);
}
