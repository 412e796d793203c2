//! Internal forwarding: what is for this router itself leaves for the slow path (ING-10, ING-20).

use hal::PacketMask;

use crate::packet::{PuntCause, Vector};
use crate::step::{Lcore, Step};

/// Row `ifib-act`: punts the packets that are for this router, and those in transit whose options
/// it must look at before they go on (RFC 1812 5.2.4, RFC 8200 4.3).
///
/// It stands after access lists, policers, policy routes, security policies and the TTL, all of
/// which have therefore been applied to what it punts.
#[derive(Debug, Default)]
pub struct IfibAct;

impl Step for IfibAct {
    fn process(&mut self, _lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let leaves = select & (vector.is.for_us | vector.is.attention);
        if leaves.is_empty() {
            return;
        }
        let for_us = leaves & vector.is.for_us;
        let local4 = for_us & vector.is.local & vector.is.ipv4;
        vector.punt_all(local4, PuntCause::Ipv4LocalGroup);
        vector.punt_all((for_us & vector.is.ipv4) - local4, PuntCause::Ipv4ForUs);
        vector.punt_all(for_us & vector.is.ipv6, PuntCause::Ipv6ForUs);
        vector.punt_all(for_us - vector.is.ipv4 - vector.is.ipv6, PuntCause::Arp);
        let transit = leaves - for_us;
        vector.punt_all(transit & vector.is.ipv4, PuntCause::Ipv4Options);
        vector.punt_all(transit & vector.is.ipv6, PuntCause::Ipv6HopByHop);
    }
}
