//! How a packet's walk ends other than by being sent. Names follow IOS XE where it has one.

use crate::named::named;

named! {
    /// Why a packet was dropped. One counter each an lcore; a packet has exactly one (ING-19).
    DropReason {
        /// No interface stands for this port and these VLAN tags (ARC-22, ING-01).
        BadUidbIdx,
        /// The interface is administratively down.
        UidbDown,
        /// The destination MAC address is not ours, a group or broadcast.
        MacFilter,
        /// The source MAC address is a group, zero, or this port's own.
        SourceMac,
        /// The IP source is an address of this router, or the broadcast of a network of its.
        OwnSource,
        /// Shorter than the headers it announces.
        Truncated,
        /// Neither IPv4, IPv6, nor anything this interface takes up.
        UnknownEthertype,
        /// IPv4 version, header length or total length is wrong (RFC 1812 5.2.2).
        Ipv4FormatErr,
        /// IPv4 header checksum is wrong (RFC 1812 5.2.2).
        Ipv4BadChecksum,
        /// Source or destination may not appear on a wire (RFC 1812 5.3.7).
        Ipv4Martian,
        /// IPv6 version, length or extension header chain is wrong (RFC 8200 4).
        Ipv6FormatErr,
        /// Source or destination may not appear on a wire (RFC 4291 2.5, 2.7).
        Ipv6Martian,
        /// An IPv6 first fragment without all headers to that of the upper layer (RFC 7112 5).
        Ipv6FirstFragment,
        /// A fragment of TCP without all of its header, or one that would overwrite part of it (RFC
        /// 1858, RFC 3128).
        TinyFragment,
        /// No IPv4 route to the destination.
        Ipv4NoRoute,
        /// No IPv6 route to the destination.
        Ipv6NoRoute,
        /// The IPv4 route discards.
        Ipv4Null0,
        /// The IPv6 route discards.
        Ipv6Null0,
        /// The route's adjacency is gone.
        NoAdjacency,
        /// A unicast IP packet in a link-layer group frame (RFC 1812 5.3.4).
        L2GroupUnicast,
        /// An IPv4 group nobody here has joined.
        Ipv4McastNoRoute,
        /// An IPv6 group nobody here has joined.
        Ipv6McastNoRoute,
        /// Link-local addresses are not forwarded (RFC 3927 7, RFC 4291 2.5.6).
        LinkLocalScope,
        /// Unicast RPF: no route to the IPv4 source that the input interface accepts (RFC 3704).
        Ipv4UnicastRpf,
        /// Unicast RPF: no route to the IPv6 source that the input interface accepts (RFC 3704).
        Ipv6UnicastRpf,
        /// More punts of this cause than its policer passes (ING-23).
        PuntPerCausePolicer,
        /// More packets for the router itself than their type of flow may have, or all of them
        /// together (LPTS, ING-23).
        Lpts,
        /// The ring to the slow path is full.
        PuntQueueFull,
        /// The rewritten frame does not fit its buffer.
        RewriteNoRoom,
        /// The egress port did not take it.
        TxQueueFull,
        /// The device of the egress port has vanished.
        PortGone,
        /// An access list denies it (ING-12, EGR-05).
        Ipv4Acl,
        /// An IPv6 access list denies it (ING-12, EGR-05).
        Ipv6Acl,
        /// A policy route sends it to Null0 (ING-06).
        PbrNull0,
        /// A flow specification's traffic rate is 0 (RFC 8955 7.1).
        Flowspec,
        /// A policer's action.
        Policer,
        /// It has begun too many walks: tunnels that lead into each other.
        RecirculationLimit,
        /// A keepalive of a peer behind NAT has done its work (RFC 3948 2.3).
        NatKeepalive,
        /// A security policy discards it.
        SpdDiscard,
        /// It came in the clear, and a security policy wants it protected (RFC 4301 5.2).
        SpdUnprotected,
        /// No SA for this SPI and destination, or none for what leaves through the tunnel.
        EspNoSa,
        /// Shorter than ESP's headers, or no multiple of the cipher's block.
        EspRunt,
        /// A fragment is not protected in transport mode (RFC 4303 3.3.4).
        EspFragment,
        /// The sequence number was seen before, or is older than the window (RFC 4303 3.4.3).
        EspReplay,
        /// The sequence number is beyond those that the SA may accept yet: a restart has to know of
        /// it first.
        EspBeyondMark,
        /// The integrity check value is wrong (RFC 4303 3.4.4).
        EspBadIcv,
        /// The padding is longer than the payload, or not what the sender must write.
        EspBadPadding,
        /// The next header does not fit the SA's mode or what follows.
        EspBadNextHeader,
        /// A dummy packet, which hides how much is sent (RFC 4303 2.6).
        EspDummy,
        /// Congestion was met, and the inner packet cannot be marked (RFC 6040 4.2).
        EspEcn,
        /// Not what the SA is for: another kind of encapsulation, or outside of its selectors.
        EspPolicy,
        /// No sequence number is left, or none is reserved.
        EspSequenceOverflow,
        /// A hard lifetime of the SA is over.
        EspSaExpired,
        /// The buffer or an IP packet has no room for what ESP adds.
        EspNoRoom,
        /// No crypto engine, or no key for the SA.
        EspNoEngine,
        /// The tables are not those that this program reads: nothing passes without them.
        NoTables,
        /// It was inside a data plane that has died.
        UcodeRestart,
        /// A user's own feature dropped it.
        Feature,
        /// A user's own feature dropped it; see [`DropReason::of_feature`].
        Own0,
        /// A user's own feature dropped it; see [`DropReason::of_feature`].
        Own1,
        /// A user's own feature dropped it; see [`DropReason::of_feature`].
        Own2,
        /// A user's own feature dropped it; see [`DropReason::of_feature`].
        Own3,
        /// A user's own feature dropped it; see [`DropReason::of_feature`].
        Own4,
        /// A user's own feature dropped it; see [`DropReason::of_feature`].
        Own5,
        /// A user's own feature dropped it; see [`DropReason::of_feature`].
        Own6,
        /// A user's own feature dropped it; see [`DropReason::of_feature`].
        Own7,
    }
}

named! {
    /// Why a packet left the fast path for the slow path (ING-10, ING-22, EGR-08).
    PuntCause {
        /// ARP request or reply.
        Arp,
        /// IPv4 to an address of ours.
        Ipv4ForUs,
        /// IPv6 to an address of ours, or to a group we listen to.
        Ipv6ForUs,
        /// IPv4 to a local group or broadcast.
        Ipv4LocalGroup,
        /// The destination is on a connected network and its MAC address is unknown.
        Glean,
        /// The next hop's MAC address is unknown.
        IncompleteAdjacency,
        /// TTL or hop limit would become zero.
        IpTtlExceeded,
        /// Larger than the egress MTU: fragment, or report.
        IpMtuExceeded,
        /// IPv4 options that a router must look at (RFC 1812 5.2.4): source route, router alert.
        Ipv4Options,
        /// IPv6 hop-by-hop options that ask for attention (RFC 8200 4.3): router alert.
        Ipv6HopByHop,
        /// A user's own feature asked for it.
        Feature,
    }
}

impl DropReason {
    /// True when the source of such a packet may be told (RFC 1812 5.2.7.1).
    #[inline]
    #[must_use]
    pub const fn is_reported(self) -> bool {
        matches!(
            self,
            Self::Ipv4NoRoute
                | Self::Ipv6NoRoute
                | Self::Ipv4Null0
                | Self::Ipv6Null0
                | Self::NoAdjacency
                | Self::Ipv4Acl
                | Self::Ipv6Acl
        )
    }
}

/// What one step decides about one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet is discarded and counted.
    Drop(DropReason),
    /// The packet goes to the slow path and is counted.
    Punt(PuntCause),
    /// The step has taken the packet over and is answerable for it.
    Consume,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        let mut names: Vec<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DropReason::COUNT);
        assert_eq!(DropReason::Ipv4NoRoute.name(), "Ipv4NoRoute");
    }
}
