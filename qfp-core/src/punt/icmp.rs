//! ICMP errors: when one is due, what it says, and how many (RFC 1812 4.3.2, RFC 4443 2.4).

use std::net::IpAddr;

use super::counters::{Done, Fate, IcmpKind, SlowDrop};
use super::frame::{self, Ipv4Header};
use super::interface::is_host;
use super::shares::Spent;
use super::{SlowPath, Turn, network};
use crate::packet::PuntedPacket;
use crate::uidb::UidbIndex;
use crate::wire::{Chain, Ipv4, Ipv6, checksum, icmpv4, icmpv6, protocol};

/// Bytes of an IPv4 error in all, at most (RFC 1812 4.3.2.3).
const MAX_IPV4_ERROR: usize = 576;
/// Bytes of an IPv6 error in all, at most: the least MTU of IPv6 (RFC 4443 2.4 c).
const MAX_IPV6_ERROR: usize = 1280;
/// Type of service of IPv4 errors: precedence internetwork control (RFC 1812 4.3.2.5).
const PRECEDENCE: u8 = 6 << 5;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// TTL or hop limit ran out.
    TtlExceeded,
    /// The other fragments of a datagram to the router have not come in time.
    ReassemblyTimeExceeded,
    /// No route.
    NoRoute,
    /// The route discards.
    NullRoute,
    /// The next hop does not answer.
    HostUnreachable,
    /// Nobody listens to the UDP port.
    PortUnreachable,
    /// Nobody listens to the protocol; the offset of the field that names it.
    ProtocolUnreachable { named_at: u32 },
    /// Larger than this MTU, and not to be fragmented.
    TooBig { mtu: u16 },
    /// Forbidden by the administrator.
    Prohibited,
    /// A field that makes no sense: the code, and the offset of the field.
    BadField { code: u8, at: u32 },
    /// An option, at this offset, that nobody knows and that asks for a report whatever its packet's
    /// destination (RFC 8200 4.2).
    UnknownOption { at: u32 },
    /// A fragment whose length is wrong; the offset of the field that says so (RFC 8200 4.5).
    BadFragment { at: u32 },
}

/// Limit, type, code and second word of an error.
type Form = (IcmpKind, u8, u8, u32);

impl Problem {
    fn v4(self) -> Form {
        const UNREACHABLE: u8 = icmpv4::UNREACHABLE;
        match self {
            Self::TtlExceeded => (IcmpKind::Ipv4TimeExceeded, icmpv4::TIME_EXCEEDED, 0, 0),
            Self::ReassemblyTimeExceeded => {
                (IcmpKind::Ipv4TimeExceeded, icmpv4::TIME_EXCEEDED, 1, 0)
            }
            Self::TooBig { mtu } => {
                let code = icmpv4::FRAGMENTATION_NEEDED;
                (IcmpKind::Ipv4FragmentationNeeded, UNREACHABLE, code, u32::from(mtu))
            }
            Self::NoRoute => (IcmpKind::Ipv4Unreachable, UNREACHABLE, 0, 0),
            Self::NullRoute | Self::HostUnreachable => {
                (IcmpKind::Ipv4Unreachable, UNREACHABLE, 1, 0)
            }
            Self::ProtocolUnreachable { .. } => (IcmpKind::Ipv4Unreachable, UNREACHABLE, 2, 0),
            Self::PortUnreachable => (IcmpKind::Ipv4Unreachable, UNREACHABLE, 3, 0),
            Self::Prohibited => (IcmpKind::Ipv4Unreachable, UNREACHABLE, 13, 0),
            Self::BadField { at, .. } | Self::UnknownOption { at } | Self::BadFragment { at } => {
                // The pointer has one byte, the first.
                (IcmpKind::Ipv4ParameterProblem, icmpv4::PARAMETER_PROBLEM, 0, at << 24)
            }
        }
    }

    fn v6(self) -> Form {
        const UNREACHABLE: u8 = icmpv6::UNREACHABLE;
        match self {
            Self::TtlExceeded => (IcmpKind::Ipv6TimeExceeded, icmpv6::TIME_EXCEEDED, 0, 0),
            Self::ReassemblyTimeExceeded => {
                (IcmpKind::Ipv6TimeExceeded, icmpv6::TIME_EXCEEDED, 1, 0)
            }
            Self::TooBig { mtu } => {
                (IcmpKind::Ipv6PacketTooBig, icmpv6::TOO_BIG, 0, u32::from(mtu))
            }
            Self::NoRoute => (IcmpKind::Ipv6Unreachable, UNREACHABLE, 0, 0),
            Self::Prohibited => (IcmpKind::Ipv6Unreachable, UNREACHABLE, 1, 0),
            Self::HostUnreachable => (IcmpKind::Ipv6Unreachable, UNREACHABLE, 3, 0),
            Self::PortUnreachable => (IcmpKind::Ipv6Unreachable, UNREACHABLE, 4, 0),
            Self::NullRoute => (IcmpKind::Ipv6Unreachable, UNREACHABLE, 6, 0),
            Self::ProtocolUnreachable { named_at: at } => Self::parameter_problem(1, at),
            Self::BadField { code, at } => Self::parameter_problem(code, at),
            Self::UnknownOption { at } => Self::parameter_problem(2, at),
            Self::BadFragment { at } => Self::parameter_problem(0, at),
        }
    }

    const fn parameter_problem(code: u8, pointer: u32) -> Form {
        (IcmpKind::Ipv6ParameterProblem, icmpv6::PARAMETER_PROBLEM, code, pointer)
    }

    /// True for what is reported about a packet to a group, too (RFC 4443 2.4 e.3).
    const fn concerns_groups(self) -> bool {
        matches!(self, Self::TooBig { .. } | Self::UnknownOption { .. })
    }

    /// True for what is reported about a fragment other than the first, too. What it is a fragment
    /// of cannot be seen, but that its `first` header is no ICMPv6 message.
    const fn concerns_fragment(self, first: u8) -> bool {
        matches!(self, Self::BadFragment { .. }) && first != protocol::ICMPV6
    }
}

impl SlowPath {
    /// Tells the source of `about` what is wrong with it, unless an error is not due.
    pub(super) fn report(
        &mut self,
        turn: &mut Turn<'_>,
        about: &PuntedPacket,
        problem: Problem,
    ) -> Fate {
        let bytes = network(about);
        match bytes.first().map(|first| first >> 4) {
            Some(4) => {
                let ip = Ipv4::parse(bytes).map_err(|_| SlowDrop::Malformed)?;
                self.report_v4(turn, about, &ip, problem)
            }
            Some(6) => {
                let ip = Ipv6::parse(bytes).map_err(|_| SlowDrop::Malformed)?;
                let upper = ip.upper().map_err(|_| SlowDrop::Malformed)?;
                self.report_v6(turn, about, &ip, &upper, problem)
            }
            _ => Err(SlowDrop::Malformed),
        }
    }

    fn report_v4(
        &mut self,
        turn: &mut Turn<'_>,
        about: &PuntedPacket,
        ip: &Ipv4<'_>,
        problem: Problem,
    ) -> Fate {
        if !ip.checksum_ok() {
            return Err(SlowDrop::BadChecksum);
        }
        // RFC 1812 4.3.2.7.
        let about_query = ip.payload().first().is_some_and(|kind| icmpv4::is_query(*kind));
        let (peer, dst) = (IpAddr::V4(ip.src()), IpAddr::V4(ip.dst()));
        if ip.fragment_offset() != 0
            || (ip.protocol() == protocol::ICMP && !about_query)
            || in_group_frame(about)
            || self.interfaces.is_group(about.table, dst)
            || !self.may_hear_errors(about, peer)
        {
            return Err(SlowDrop::ErrorForbidden);
        }
        let Some(IpAddr::V4(src)) = self.error_source(about, peer, dst) else {
            return Err(SlowDrop::NoAddress);
        };
        let (kind, icmp_type, code, rest) = problem.v4();
        self.allow(turn, kind, about.input, peer)?;
        let mut message = error(icmp_type, code, rest, ip.packet(), MAX_IPV4_ERROR - 28);
        frame::set_checksum(&mut message, 2, checksum::Sum::default());
        let header = Ipv4Header {
            tos: PRECEDENCE,
            id: self.take_id(),
            protocol: protocol::ICMP,
            src,
            dst: ip.src(),
        };
        let datagram = header.datagram(&message).ok_or(SlowDrop::NoBuffer)?;
        self.answer(turn, about, &datagram, peer, within(about))?;
        self.counters.icmp(kind, true);
        Ok(Done::Answered)
    }

    fn report_v6(
        &mut self,
        turn: &mut Turn<'_>,
        about: &PuntedPacket,
        ip: &Ipv6<'_>,
        upper: &Chain,
        problem: Problem,
    ) -> Fate {
        // RFC 4443 2.4 e.
        let to_group = ip.dst().is_multicast() || in_group_frame(about);
        let kind = ip.packet().get(upper.offset);
        let about_query = kind.is_some_and(|kind| !icmpv6::is_error(*kind));
        let (peer, dst) = (IpAddr::V6(ip.src()), IpAddr::V6(ip.dst()));
        if (upper.later_fragment && !problem.concerns_fragment(upper.protocol))
            || (upper.protocol == protocol::ICMPV6 && !about_query)
            || (to_group && !problem.concerns_groups())
            || !self.may_hear_errors(about, peer)
        {
            return Err(SlowDrop::ErrorForbidden);
        }
        let Some(IpAddr::V6(src)) = self.error_source(about, peer, dst) else {
            return Err(SlowDrop::NoAddress);
        };
        let (kind, icmp_type, code, rest) = problem.v6();
        self.allow(turn, kind, about.input, peer)?;
        let message = error(icmp_type, code, rest, ip.packet(), MAX_IPV6_ERROR - 48);
        let datagram = frame::icmpv6(src, ip.src(), frame::TTL, message);
        let datagram = datagram.ok_or(SlowDrop::NoBuffer)?;
        self.answer(turn, about, &datagram, peer, within(about))?;
        self.counters.icmp(kind, true);
        Ok(Done::Answered)
    }

    /// True for a source that is one host, and not this router.
    fn may_hear_errors(&self, about: &PuntedPacket, peer: IpAddr) -> bool {
        is_host(peer)
            && !self.interfaces.is_group(about.table, peer)
            && !self.interfaces.owns(about, peer)
    }

    /// The address an error comes from: the one that was spoken to (RFC 4443 2.2 a), else one of
    /// the interface the packet came in through (ING-22).
    ///
    /// An error about what came in by a policy's SA must match the policy's entry on its way back, so
    /// it comes from an own address on our side of the entry, or there is none (RFC 4301 6).
    fn error_source(&self, about: &PuntedPacket, peer: IpAddr, dst: IpAddr) -> Option<IpAddr> {
        if self.interfaces.owns(about, dst) {
            return Some(dst);
        }
        if let Some(sides) = self.interfaces.sides(about.input) {
            return self.interfaces.own_within(about.table, peer, sides);
        }
        self.interfaces.source_for(about, peer)
    }

    /// Takes an error of this kind to `peer`, about what came in by `input`, from the budget.
    fn allow(
        &mut self,
        turn: &Turn<'_>,
        kind: IcmpKind,
        input: UidbIndex,
        peer: IpAddr,
    ) -> Result<(), SlowDrop> {
        let reason = match self.icmp_limits[kind as usize].take(turn.now, input, peer) {
            Ok(()) => return Ok(()),
            Err(Spent::Source) => SlowDrop::ErrorSourceLimit,
            Err(Spent::All) => SlowDrop::ErrorLimit,
        };
        self.counters.icmp(kind, false);
        Err(reason)
    }
}

/// Where an error must be protected that quotes a packet which came out of ESP.
fn within(about: &PuntedPacket) -> Option<UidbIndex> {
    about.opened.then_some(about.input)
}

/// True when the frame went to a link-layer group.
fn in_group_frame(about: &PuntedPacket) -> bool {
    about.packet.frame().first().is_some_and(|first| first & 1 == 1)
}

/// An error message without checksum that quotes up to `room` bytes of `packet`.
fn error(kind: u8, code: u8, rest: u32, packet: &[u8], room: usize) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend_from_slice(&rest.to_be_bytes());
    message.extend_from_slice(packet.get(..room).unwrap_or(packet));
    message
}
