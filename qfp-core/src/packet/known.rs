//! What rows have found out about packets, as masks.

use hal::PacketMask;

/// What is known of packets; nothing when a walk begins.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known {
    /// IPv4 packets (from `l3-parse` on).
    pub(crate) ipv4: PacketMask,
    /// IPv6 packets (from `l3-parse` on).
    pub(crate) ipv6: PacketMask,
    /// IPv6 packets with extension headers; what is behind them is in [`Cold`](super::Cold).
    pub(crate) extended: PacketMask,
    /// Packets with a link-local address, which may not pass the router.
    pub(crate) link_scope: PacketMask,
    /// Packets whose TTL or hop limit is at most 1.
    pub(crate) ttl_expiring: PacketMask,
    /// Packets for which `egress-fast` has done what the rows of [`Span::Rewrite`] do, and those
    /// of them for which there is nothing to do in [`Span::Egress`].
    ///
    /// [`Span::Rewrite`]: super::Span::Rewrite
    /// [`Span::Egress`]: super::Span::Egress
    pub(crate) rewritten: PacketMask,
    pub(crate) complete: PacketMask,
    /// Packets that are for this router whatever the routes say: to local groups and link-local
    /// addresses, and ARP. Those are no IP packets.
    pub(crate) local: PacketMask,
    /// Packets whose options this router must look at before they are forwarded.
    pub(crate) attention: PacketMask,
    /// Packets that are for this router (from `next-hop` on).
    pub(crate) for_us: PacketMask,
    /// Packets whose first matches are known, by direction.
    pub(crate) classified: [PacketMask; 2],
    /// Packets that a rule wants captured.
    pub(crate) captured: PacketMask,
    /// Packets that ESP has been taken out of in this walk.
    pub(crate) opened: PacketMask,
    /// Packets that are routed in the table that policy names.
    pub(crate) redirected: PacketMask,
    /// Packets whose internal class of service is known.
    pub(crate) gleaned: PacketMask,
    /// Packets whose marks have been set.
    pub(crate) marked: PacketMask,
}
