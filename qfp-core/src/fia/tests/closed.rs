//! What cannot be read permits nothing: an interface whose gate says that it has an access list
//! passes nothing without the rows that say which, and a table that is missing closes all.

use std::sync::atomic::AtomicU32;

use hal::PacketMask;
use pal::publication::{TableKind, Timekeeper};

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

/// Rows of the tables, and the object that port 0 is bound to, which is 1 if there is one.
#[derive(Clone, Copy)]
struct There {
    bindings: usize,
    object: u32,
    lines: usize,
}

/// A router whose port 0 is bound to a list that permits all IPv4, and none for IPv6.
fn router(there: There) -> Router {
    let (plan, mut router) = (plan(), Router::new(&plan()));
    let region = router.region().clone();
    let mut space = Space::new(256, Timekeeper::default().clock());
    let lines = region.alloc::<Line>(256).unwrap().publish();
    let any = Rule { result: AclResult::new(0, false).0, patterns: vec![Pattern4::any()] };
    let mut memory = Memory { lines: region.view(lines).unwrap(), space: &mut space };
    let rules = [(Place { feature: 0, sequence: 0 }, any)];
    let object = Classifier::build(&mut memory, rules).unwrap().object();
    router.publish_with(&plan, |root| {
        let none = region.alloc(0).unwrap().publish();
        root.set(table_kind::ACL_LINES, if there.lines > 0 { lines } else { none });
        let mut objects = region.alloc::<AtomicU32>(1).unwrap();
        *objects[0].get_mut() = object;
        root.set(table_kind::ACL_OBJECTS, objects.publish());
        let mut bindings = region.alloc::<Bindings>(there.bindings).unwrap();
        let binding = Binding { object: there.object, features: 1 << Feature::Acl as u8 };
        let bound = Bindings { in4: binding, out4: binding, ..Bindings::default() };
        bindings.iter_mut().skip(3).take(1).for_each(|row| *row = bound);
        root.set(table_kind::ACL_BINDINGS, bindings.publish());
    });
    router
}

/// What becomes of IPv4 and IPv6 that comes in through port 0, and of IPv4 that leaves by it.
fn ends(walker: &mut Walker) -> [End; 3] {
    let within = [to("10.4.0.1"), to("2001:db8::1")];
    let within = walker.walk(&within, PacketMask::EMPTY, Source::Port(0)).ends;
    let out = walker.walk(&[to("10.3.0.1")], PacketMask::EMPTY, Source::Port(1)).ends;
    [within[0], within[1], out[0]]
}

fn ends_with(there: There) -> [End; 3] {
    let fia = FiaBuilder::router().build(Isa::detect());
    ends(&mut Walker::new(&mut router(there), fia))
}

const ALL: There = There { bindings: 5, object: 1, lines: 256 };

#[test]
fn what_no_list_is_bound_for_passes_and_so_does_what_a_list_permits() {
    assert_eq!(ends_with(ALL), [End::Walking; 3]);
}

#[test]
fn an_interface_with_a_list_that_has_no_row_of_bindings_lets_nothing_pass() {
    let (four, six) = (End::Drop(DropReason::Ipv4Acl), End::Drop(DropReason::Ipv6Acl));
    assert_eq!(ends_with(There { bindings: 3, ..ALL }), [four, six, four]);
}

#[test]
fn without_the_rules_of_a_bound_list_nothing_passes_it() {
    let four = End::Drop(DropReason::Ipv4Acl);
    assert_eq!(ends_with(There { object: 2, ..ALL }), [four, End::Walking, four]);
    assert_eq!(ends_with(There { lines: 0, ..ALL }), [four, End::Walking, four]);
}

#[test]
fn nothing_passes_while_the_tables_are_not_those_that_are_read() {
    let mut router = router(ALL);
    let whole = router.publisher().draft();
    for fia in [FiaBuilder::router(), FiaBuilder::router().row_by_row()] {
        let mut walker = Walker::new(&mut router, fia.build(Isa::detect()));
        assert_eq!(ends(&mut walker), [End::Walking; 3]);
        for (index, shape) in (0..).zip(table_kind::SHAPES) {
            let mut lacking = whole.clone();
            lacking.clear(TableKind::<u8>::new(index));
            router.publisher().publish(&lacking).unwrap();
            let none = End::Drop(DropReason::NoTables);
            assert_eq!(ends(&mut walker), [none; 3], "{}", shape.name());
        }
        router.publisher().publish(&whole).unwrap();
        assert_eq!(ends(&mut walker), [End::Walking; 3]);
    }
}
