//! Packets with options that a router must look at (RFC 1812 5.2.4, RFC 8200 4.3).
//!
//! Source routes end here, as RFC 7126 and RFC 5095 advise; so does what is malformed, with a
//! report to its source. Router alerts have nobody to listen to them yet, so the packet goes on,
//! which is what RFC 2113 and RFC 2711 ask for. Routes and timestamps are recorded.

use std::net::{IpAddr, Ipv4Addr};

use super::counters::{Fate, SlowDrop};
use super::extension::{self, Where};
use super::icmp::Problem;
use super::interface::is_link_local;
use super::record::{self, Stamp};
use super::resolve::resend;
use super::{SlowPath, Turn, frame, network};
use crate::packet::PuntedPacket;
use crate::uidb::UidbIndex;
use crate::wire::{Ipv4, Ipv4Option, Ipv6, checksum::Sum};

/// Why a packet does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Dropped in silence.
    Drop(SlowDrop),
    /// Dropped, and its source is told.
    Report(Problem),
}

impl SlowPath {
    /// Takes an IPv4 packet with options. One in transit has had its TTL decremented by the row
    /// `ttl`, which has also sorted out those whose TTL ran out.
    pub(super) fn options_v4(&mut self, turn: &mut Turn<'_>, mut punted: PuntedPacket) -> Fate {
        let ip = Ipv4::parse(network(&punted)).map_err(|_| SlowDrop::Malformed)?;
        if !ip.checksum_ok() {
            return Err(SlowDrop::BadChecksum);
        }
        let dst = ip.dst();
        if self.is_ours(&punted, IpAddr::V4(dst)) {
            return self.local_v4(turn, &punted);
        }
        let is_own = |address| self.interfaces.owns(&punted, IpAddr::V4(address));
        let address = self.interfaces.outgoing(&punted, dst);
        let stamp = address.map(|address| Stamp { address, is_own: &is_own, now: turn.now });
        let stamp = stamp.as_ref().filter(|_| self.limits.record_route);
        match judge(&ip, stamp) {
            Err(refusal) => return self.refuse(turn, &punted, refusal),
            Ok(Some(header)) => {
                let at = usize::from(punted.l3_offset);
                let frame = punted.packet.frame_mut();
                if let Some(old) = frame.get_mut(at..).and_then(|ip| ip.get_mut(..header.len())) {
                    old.copy_from_slice(&header);
                }
            }
            Ok(None) => {}
        }
        self.forward(turn, punted)
    }

    /// Takes an IPv6 packet with Hop-by-Hop options, likewise.
    pub(super) fn options_v6(&mut self, turn: &mut Turn<'_>, punted: PuntedPacket) -> Fate {
        let ip = Ipv6::parse(network(&punted)).map_err(|_| SlowDrop::Malformed)?;
        if self.is_ours(&punted, IpAddr::V6(ip.dst())) {
            return self.local_v6(turn, &punted);
        }
        if let Err(refusal) = extension::judge(&ip, Where::Transit) {
            return self.refuse(turn, &punted, refusal);
        }
        self.forward(turn, punted)
    }

    /// True for what is not forwarded: to an own address, to groups and broadcasts.
    fn is_ours(&self, punted: &PuntedPacket, dst: IpAddr) -> bool {
        self.interfaces.owns(punted, dst) || self.interfaces.is_group(punted.table, dst)
    }

    pub(super) fn refuse(
        &mut self,
        turn: &mut Turn<'_>,
        punted: &PuntedPacket,
        refusal: Refusal,
    ) -> Fate {
        match refusal {
            Refusal::Drop(reason) => Err(reason),
            Refusal::Report(problem) => self.report(turn, punted, problem),
        }
    }

    /// Sends a packet on. One that was injected before has met the options check again; the limit
    /// keeps it from going round for ever.
    fn forward(&mut self, turn: &mut Turn<'_>, punted: PuntedPacket) -> Fate {
        let (src, dst) = super::ends(network(&punted))?;
        if punted.input != UidbIndex::RP && (is_link_local(src) || is_link_local(dst)) {
            return Err(SlowDrop::LinkLocalScope);
        }
        if punted.input < UidbIndex::FIRST_CONFIGURED {
            self.may_resend(turn, &punted)?;
        }
        resend(turn, punted)
    }
}

/// Looks at the options of `ip` in their order; the first that stands in the way decides. The
/// header as it goes on, if `stamp` changes it. Without a stamp routes and timestamps are left alone,
/// right or wrong.
pub(super) fn judge(ip: &Ipv4<'_>, stamp: Option<&Stamp<'_>>) -> Result<Option<Vec<u8>>, Refusal> {
    let wrong = |at: usize| {
        // A header has 60 bytes.
        let at = u32::try_from(at).unwrap_or_default();
        Refusal::Report(Problem::BadField { code: 0, at })
    };
    let mut header = ip.header().to_vec();
    for option in ip.options() {
        let option = option.map_err(|bad| wrong(bad.at))?;
        if option.is_source_route() {
            return Err(Refusal::Drop(SlowDrop::SourceRoute));
        }
        let Some(stamp) = stamp else { continue };
        let bytes = header.get_mut(option.at..option.at + option.bytes.len()).unwrap_or_default();
        let recorded = match option.kind {
            Ipv4Option::RECORD_ROUTE => record::route(bytes, stamp),
            Ipv4Option::TIMESTAMP => record::timestamp(bytes, stamp),
            _ => Ok(()),
        };
        recorded.map_err(|within| wrong(option.at + within))?;
    }
    if header == ip.header() {
        return Ok(None);
    }
    frame::set_checksum(&mut header, 10, Sum::default());
    Ok(Some(header))
}

impl super::interface::Interfaces {
    /// The address that a route through here is recorded with (RFC 1812 5.2.4.1): one of the
    /// interface that `about` leaves by, as far as that is known; else one of the connected network
    /// that it goes to, or of the interface that it came in through. `None` without any.
    fn outgoing(&self, about: &PuntedPacket, dst: Ipv4Addr) -> Option<Ipv4Addr> {
        let link = self.get(about.output).or_else(|| self.connected(about.table, dst));
        let peer = IpAddr::V4(dst);
        let address = link.and_then(|link| link.source_for(peer));
        match address.or_else(|| self.source_for(about, peer))? {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
