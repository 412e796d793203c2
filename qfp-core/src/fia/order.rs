//! The order of operations: one row a step, first to last.
//!
//! The walk, the documentation (`docs/order-of-operations.md`), reports, traces and the test that
//! pins the order are all derived from this table. Classify and act are separate rows: an access
//! list's result is known early and takes effect late, as in ING-24 and EGR-11. Rows without a
//! step belong to features that are not built yet; they keep their place.

use std::sync::Arc;

use crate::acl::{AclAct, Classify};
use crate::adjacency::{
    AdjacencyLookup, EgressFast, Interposed, L2Rewrite, MtuCheck, NextHop, TtlDecrement,
};
use crate::fia::Gate;
use crate::fib::{Fib4Lookup, Fib6Lookup, Urpf};
use crate::ifib::IfibAct;
use crate::ipsec::{EspDecap, EspEncap, SpdConfine, SpdIn, SpdOut};
use crate::isa::Isa;
use crate::l2::{IfClassify, MacFilter, Transmit};
use crate::l3::L3Parse;
use crate::lpts::{LptsClassify, LptsGroup, PuntPolice};
use crate::pbr::{PbrAct, PbrClassify};
use crate::qos::QosAct;
use crate::step::Step;
use crate::uidb::Direction::{In, Out};
use crate::wire::Family;

/// Where on a packet's way a row is, and which interface's features gate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// The input interface's.
    Ingress,
    /// The output interface's.
    Egress,
    /// The row works on what has left its walk for the slow path; the input interface's.
    Punt,
}

impl Path {
    /// In lower case, for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
            Self::Punt => "punt",
        }
    }
}

/// What steps are made of.
#[derive(Clone, Debug, Default)]
pub struct Kit {
    /// The instructions that kernels use.
    pub isa: Isa,
    /// What the slow path takes, and how much of it: of the lcores that share it.
    pub lpts: Arc<LptsGroup>,
    /// What row `egress-fast` has to leave to others: [`FiaBuilder`](crate::fia::FiaBuilder) knows.
    pub interposed: Interposed,
}

/// Makes a row's step, for one lcore.
pub type MakeStep = fn(&Kit) -> Box<dyn Step>;

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What reports, traces and insertions call it.
    pub name: &'static str,
    /// Whose features gate it.
    pub path: Path,
    /// What switches it on.
    pub gate: Gate,
    /// Packets it works on; none for those of all families.
    pub family: Option<Family>,
    /// What it may end a packet's walk with, for the documentation.
    pub ends: &'static str,
    /// Where the order comes from.
    pub seed: &'static str,
    /// What it does, in a few words.
    pub does: &'static str,
    /// Its step; none for a feature that is not built yet, and for `punt`, which is the loop's.
    pub make: Option<MakeStep>,
}

use Family::{V4, V6};
use Path::{Egress, Ingress, Punt};

macro_rules! order {
    ($($name:literal $path:ident $gate:expr, $family:expr, $make:expr;
       $does:literal, $ends:literal, $seed:literal.)+) => {
        &[$(Row {
            name: $name, path: $path, gate: $gate, family: $family,
            ends: $ends, seed: $seed, does: $does, make: $make,
        },)+]
    };
}

/// The order of operations of a router.
#[rustfmt::skip]
pub static ROUTER: &[Row] = order! {
    "if-classify"      Ingress Gate::Always,     None, Some(|_| Box::new(IfClassify));
        "port and VLAN tags to input interface", "drop BadUidbIdx, UidbDown", "ING-01".
    "mac-filter"       Ingress Gate::MAC_FILTER, None, Some(|_| Box::new(MacFilter));
        "frames for other stations", "drop MacFilter", "own".
    "l3-parse"         Ingress Gate::Always,     None, Some(|kit| Box::new(L3Parse::new(kit.isa)));
        "network header checks", "drop format errors, martians, SourceMac, OwnSource, hiding fragments", "ING-14".
    "acl-classify-in"  Ingress Gate::ACL_IN,     None, Some(|kit| Box::new(Classify::new(In, kit.isa)));
        "access list lookup, result only", "nothing", "ING-02".
    "pbr-classify-in"  Ingress Gate::PBR_IN,     None, Some(|kit| Box::new(PbrClassify::new(kit.isa)));
        "policy-based routing lookup; routing table and DSCP change", "nothing", "ING-06".
    "qos-classify-in"  Ingress Gate::QOS_IN,     None, Some(|kit| Box::new(Classify::new(In, kit.isa)));
        "service policy class lookup", "nothing", "ING-04".
    "urpf"             Ingress Gate::URPF,       None, Some(|kit| Box::new(Urpf::new(kit.isa)));
        "source lookup", "drop Ipv4UnicastRpf, Ipv6UnicastRpf", "ING-09".
    "fib4-lookup"      Ingress Gate::Always,     Some(V4), Some(|kit| Box::new(Fib4Lookup::new(kit.isa)));
        "longest prefix match", "nothing", "ING-07".
    "fib6-lookup"      Ingress Gate::Always,     Some(V6), Some(|kit| Box::new(Fib6Lookup::new(kit.isa)));
        "longest prefix match", "nothing", "ING-07".
    "pbr-act-in"       Ingress Gate::PBR_IN,     None, Some(|kit| Box::new(PbrAct::new(kit.isa)));
        "policy's next hop in place of the route's", "drop PbrNull0, Flowspec", "ING-06".
    "next-hop"         Ingress Gate::Always,     None, Some(|_| Box::new(NextHop));
        "group member by flow hash, output interface, for us or not",
        "drop Ipv4NoRoute, Ipv6NoRoute, Ipv4Null0, Ipv6Null0, NoAdjacency, LinkLocalScope", "ING-08, ING-10".
    "acl-act-in"       Ingress Gate::ACL_IN,     None, Some(|_| Box::new(AclAct::new(In)));
        "access list verdict takes effect", "drop Ipv4Acl, Ipv6Acl", "ING-12".
    "qos-act-in"       Ingress Gate::QOS_IN,     None, Some(|_| Box::new(QosAct::new(In)));
        "police, then mark", "drop Policer", "ING-13".
    "esp-decap"        Ingress Gate::ESP_IN,     None, Some(|_| Box::new(EspDecap::new()));
        "ESP for this router is opened; the inner packet begins a walk", "drop Esp reasons, NatKeepalive", "CRY-01, CRY-06".
    "spd-in"           Ingress Gate::SPD_IN,     None, Some(|kit| Box::new(SpdIn::new(kit.isa)));
        "cleartext that a security policy wants protected or discarded", "drop SpdUnprotected, SpdDiscard", "CRY-01".
    "egress-fast"      Ingress Gate::Always,     None, Some(|kit| Box::new(EgressFast::new(kit.interposed)));
        "`ttl` to `mtu` at once, or to `l2-rewrite`, for packets that nothing in between wants", "nothing", "own".
    "ttl"              Ingress Gate::TTL,        None, Some(|_| Box::new(TtlDecrement));
        "TTL or hop limit less one", "punt IpTtlExceeded", "ING-15, ING-22".
    "qos-queue-in"     Ingress Gate::QUEUE_IN,   None, None;
        "ingress queue", "drop", "ING-18".
    "ifib-act"         Ingress Gate::Always,     None, Some(|_| Box::new(IfibAct));
        "packets for this router leave, and those with options that it must look at",
        "punt Arp, Ipv4ForUs, Ipv6ForUs, Ipv4LocalGroup, Ipv4Options, Ipv6HopByHop", "ING-20".
    "adjacency"        Egress  Gate::Always,     None, Some(|_| Box::new(AdjacencyLookup));
        "full egress lookup", "punt Glean, IncompleteAdjacency", "EGR-01".
    "l2-rewrite"       Egress  Gate::Always,     None, Some(|_| Box::new(L2Rewrite));
        "header of the output link", "drop RewriteNoRoom", "EGR-02".
    "acl-classify-out" Egress  Gate::ACL_OUT,    None, Some(|kit| Box::new(Classify::new(Out, kit.isa)));
        "access list lookup, result only", "nothing", "EGR-03".
    "qos-classify-out" Egress  Gate::QOS_OUT,    None, Some(|kit| Box::new(Classify::new(Out, kit.isa)));
        "service policy class lookup", "nothing", "EGR-04".
    "acl-act-out"      Egress  Gate::ACL_OUT,    None, Some(|_| Box::new(AclAct::new(Out)));
        "access list verdict takes effect", "drop Ipv4Acl, Ipv6Acl", "EGR-05".
    "qos-act-out"      Egress  Gate::QOS_OUT,    None, Some(|_| Box::new(QosAct::new(Out)));
        "police, then mark, then queue", "drop Policer", "EGR-06".
    "spd-out"          Egress  Gate::SPD_OUT,    None, Some(|kit| Box::new(SpdOut::new(kit.isa)));
        "security policy: protect, bypass or discard", "drop SpdDiscard", "CRY-01".
    "spd-confine"      Egress  Gate::Confined,   None, Some(|_| Box::new(SpdConfine));
        "what tells of opened packets leaves through their SA only", "drop SpdUnprotected", "CRY-01".
    "esp-encap"        Egress  Gate::ESP_OUT,    None, Some(|_| Box::new(EspEncap::new()));
        "ESP of the tunnel; the outer packet begins a walk", "drop Esp reasons; punt IpMtuExceeded", "CRY-01, CRY-06".
    "mtu"              Egress  Gate::Always,     None, Some(|_| Box::new(MtuCheck));
        "size against the output interface", "punt IpMtuExceeded", "EGR-08".
    "tx"               Egress  Gate::Always,     None, Some(|_| Box::new(Transmit::new()));
        "transmit queue of the output port", "drop TxQueueFull, PortGone, NoAdjacency", "EGR-11".
    "lpts"             Punt    Gate::Always,     None, Some(|kit| Box::new(LptsClassify::new(Arc::clone(&kit.lpts))));
        "type of flow of what is punted, and of drops whose source is to be told", "nothing", "ING-23".
    "punt-police"      Punt    Gate::Always,     None, Some(|kit| Box::new(PuntPolice::new(Arc::clone(&kit.lpts))));
        "rate of each type, with a share for each input interface", "drop Lpts, PuntPerCausePolicer", "ING-23".
    "punt"             Punt    Gate::Always,     None, None;
        "ring to the slow path", "drop PuntQueueFull", "ING-23".
};

/// First row that frames go through which the slow path has made for one interface: ARP, neighbour
/// discovery, and answers on a link. They have their header.
pub const OWN_FRAMES_FIRST: &str = "spd-out";
/// Last of these rows.
pub const OWN_FRAMES_LAST: &str = "esp-encap";

/// Row that takes packets ahead of those behind it, to the end of [`REWRITE`] or of [`LAST_PASSED`].
pub const FAST: &str = "egress-fast";
/// The row of the new link header.
pub const REWRITE: &str = "l2-rewrite";
/// Last of the rows that packets can be ahead of.
pub const LAST_PASSED: &str = "mtu";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_seed_s() {
        let names: Vec<&str> = ROUTER.iter().map(|row| row.name).collect();
        assert_eq!(
            names,
            [
                "if-classify",
                "mac-filter",
                "l3-parse",
                "acl-classify-in",
                "pbr-classify-in",
                "qos-classify-in",
                "urpf",
                "fib4-lookup",
                "fib6-lookup",
                "pbr-act-in",
                "next-hop",
                "acl-act-in",
                "qos-act-in",
                "esp-decap",
                "spd-in",
                "egress-fast",
                "ttl",
                "qos-queue-in",
                "ifib-act",
                "adjacency",
                "l2-rewrite",
                "acl-classify-out",
                "qos-classify-out",
                "acl-act-out",
                "qos-act-out",
                "spd-out",
                "spd-confine",
                "esp-encap",
                "mtu",
                "tx",
                "lpts",
                "punt-police",
                "punt",
            ]
        );
    }

    #[test]
    fn ingress_comes_before_egress_and_punt_last_and_names_are_unique() {
        let order = [Ingress, Egress, Punt].map(|path| path as usize);
        assert!(order.is_sorted());
        assert!(ROUTER.is_sorted_by_key(|row| row.path as usize));
        let mut names: Vec<_> = ROUTER.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROUTER.len());
    }
}
