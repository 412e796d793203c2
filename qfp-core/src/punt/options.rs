//! Packets with options that a router must look at (RFC 1812 5.2.4, RFC 8200 4.3).
//!
//! Source routes end here, as RFC 7126 and RFC 5095 advise. Router alerts have nobody to listen
//! to them yet, so the packet goes on, which is what RFC 2113 and RFC 2711 ask for.

use std::net::IpAddr;

use super::counters::{Fate, SlowDrop};
use super::icmp::Problem;
use super::resolve::resend;
use super::{SlowPath, Turn, network};
use crate::packet::PuntedPacket;
use crate::uidb::UidbIndex;
use crate::wire::{Ipv4, Ipv6, checksum};

impl SlowPath {
    pub(super) fn options_v4(&mut self, turn: &mut Turn<'_>, punted: PuntedPacket) -> Fate {
        let ip = Ipv4::parse(network(&punted)).map_err(|_| SlowDrop::Malformed)?;
        if !ip.checksum_ok() {
            return Err(SlowDrop::BadChecksum);
        }
        for option in ip.options() {
            if option.map_err(|_| SlowDrop::Malformed)?.is_source_route() {
                return Err(SlowDrop::SourceRoute);
            }
        }
        let dst = IpAddr::V4(ip.dst());
        if self.interfaces.owns(&punted, dst) || self.interfaces.is_group(punted.table, dst) {
            return self.local_v4(turn, &punted);
        }
        let (ttl, protocol) = (ip.ttl(), ip.protocol());
        self.forward(turn, punted, ttl, |ip, ttl| {
            let word = |ttl| u16::from_be_bytes([ttl, protocol]);
            let old = u16::from_be_bytes([ip[10], ip[11]]);
            let [high, low] = checksum::update(old, word(ip[8]), word(ttl)).to_be_bytes();
            (ip[8], ip[10], ip[11]) = (ttl, high, low);
        })
    }

    pub(super) fn options_v6(&mut self, turn: &mut Turn<'_>, punted: PuntedPacket) -> Fate {
        let ip = Ipv6::parse(network(&punted)).map_err(|_| SlowDrop::Malformed)?;
        ip.upper().map_err(|_| SlowDrop::Malformed)?;
        let dst = IpAddr::V6(ip.dst());
        if self.interfaces.owns(&punted, dst) || self.interfaces.is_group(punted.table, dst) {
            return self.local_v6(turn, &punted);
        }
        let hop_limit = ip.hop_limit();
        self.forward(turn, punted, hop_limit, |ip, hop_limit| ip[7] = hop_limit)
    }

    /// Sends a packet on. One that was punted before its route was known has its TTL still to be
    /// decremented, which an injected packet would escape. One that was injected before has met
    /// the options check again; the limit keeps it from going round for ever.
    fn forward(
        &mut self,
        turn: &mut Turn<'_>,
        mut punted: PuntedPacket,
        ttl: u8,
        set_ttl: impl FnOnce(&mut [u8], u8),
    ) -> Fate {
        if punted.input < UidbIndex::FIRST_CONFIGURED {
            self.may_resend(turn, &punted)?;
        } else if punted.output == UidbIndex::NONE {
            if ttl <= 1 {
                return self.report(turn, &punted, Problem::TtlExceeded);
            }
            let offset = usize::from(punted.l3_offset);
            if let Some(ip) = punted.packet.frame_mut().get_mut(offset..) {
                set_ttl(ip, ttl - 1);
            }
        }
        resend(turn, punted)
    }
}
