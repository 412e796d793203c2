//! Internal forwarding: what is for this router itself leaves for the slow path (ING-10, ING-20).

use hal::PacketMask;

use crate::packet::{PuntCause, Vector};
use crate::step::{Lcore, Step};

/// Row `ifib-act`: punts the packets that the forwarding lookup found to be for this router.
///
/// It stands after the access lists and policers, which therefore protect the router too.
#[derive(Debug, Default)]
pub struct IfibAct;

impl Step for IfibAct {
    fn process(&mut self, _lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let for_us = select & vector.for_us;
        vector.punt_all(for_us & vector.ipv4, PuntCause::Ipv4ForUs);
        vector.punt_all(for_us & vector.ipv6, PuntCause::Ipv6ForUs);
    }
}
