//! What became of the packets: every one that came in has exactly one fate.

use crate::named::named;

named! {
    /// Why the slow path dropped a packet.
    SlowDrop {
        /// Its headers contradict themselves.
        Malformed,
        /// A checksum is wrong.
        BadChecksum,
        /// The interface it names is not configured.
        NoInterface,
        /// Not addressed to this router after all.
        NotForUs,
        /// Its source address names no single host.
        BadSource,
        /// The neighbour that speaks is not on the link's network.
        NotOnLink,
        /// Somebody else uses an address of ours (RFC 5227 2.4).
        AddressConflict,
        /// A frame of our own came back.
        LoopedBack,
        /// A message of a neighbour in a frame to another station.
        OtherStation,
        /// A neighbour message that has crossed a router, or is otherwise invalid (RFC 4861 7.1).
        NdInvalid,
        /// A fragment for the router itself that contradicts another one of its datagram.
        FragmentOverlap,
        /// A fragment for the router itself for which there is no room.
        ReassemblyFull,
        /// An IPv4 source route (RFC 7126 4.3).
        SourceRoute,
        /// An option that nobody here knows asks for it (RFC 8200 4.2).
        UnknownOption,
        /// In transit with an address that means something on its link only (RFC 3927 7, RFC 4291
        /// 2.5.6).
        LinkLocalScope,
        /// No process of the router takes it, and no error is due.
        NoListener,
        /// The router has no address to answer from.
        NoAddress,
        /// The next hop is no host on its link.
        BadNextHop,
        /// The neighbour did not answer a moment ago.
        NeighbourAbsent,
        /// Too many packets wait for this neighbour: the oldest gave way.
        HoldQueueFull,
        /// Too many packets wait for neighbours of its interface, or in all: the oldest gave way.
        HoldFull,
        /// The budget of requests of its interface did not allow to ask for the neighbour.
        RequestLimit,
        /// Too many neighbours are not known: the one it waited for gave way.
        NeighbourGaveWay,
        /// Too many neighbours are known, or the fast path has no room for this one.
        NeighboursFull,
        /// Too many packets that came back after they were handed to the fast path, or that are for
        /// a neighbour it does not know yet.
        ResendLimit,
        /// It was handed to the fast path three times, and came back each time.
        WentRound,
        /// An error is never reported about such a packet (RFC 1812 4.3.2.7, RFC 4443 2.4 e).
        ErrorForbidden,
        /// More errors of this kind than all senders and its interface may have.
        ErrorLimit,
        /// More errors of this kind than its source may have.
        ErrorSourceLimit,
        /// The fast path's reason for the drop is not one to report.
        NotReported,
        /// The output MTU leaves no room for fragments.
        CannotFragment,
        /// No packet buffer, or none that is large enough.
        NoBuffer,
        /// Its interface was taken away while it waited.
        InterfaceRemoved,
        /// Its routing table was taken away while it waited.
        TableRemoved,
        /// It waited when the run ended.
        RunEnded,
        /// Nothing here takes packets of this cause.
        Unclaimed,
    }
}

named! {
    /// The kinds of ICMP error, each with a rate limit of its own.
    IcmpKind {
        /// IPv4 time exceeded, 11.
        Ipv4TimeExceeded,
        /// IPv4 destination unreachable, 3, other than fragmentation needed.
        Ipv4Unreachable,
        /// IPv4 fragmentation needed, 3/4 (RFC 1191).
        Ipv4FragmentationNeeded,
        /// IPv4 parameter problem, 12/0.
        Ipv4ParameterProblem,
        /// IPv6 time exceeded, 3.
        Ipv6TimeExceeded,
        /// IPv6 destination unreachable, 1.
        Ipv6Unreachable,
        /// IPv6 packet too big, 2/0.
        Ipv6PacketTooBig,
        /// IPv6 parameter problem, 4.
        Ipv6ParameterProblem,
    }
}

/// A counter for each variant of an enum.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Counts<const N: usize>(#[serde(with = "crate::named::array")] [u64; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

/// What the slow path has done so far.
///
/// `punted + reported = resent + answered + consumed + dropped + held` after every call.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SlowPathCounters {
    /// Packets that the fast path punted.
    pub punted: u64,
    /// Dropped packets that the fast path passed on to be reported.
    pub reported: u64,
    /// Fate: went on, whole or in fragments.
    pub resent: u64,
    /// Fate: a reply or an error was sent because of it.
    pub answered: u64,
    /// Fate: a message to the router that needs no answer.
    pub consumed: u64,
    /// Fate not known yet: waits for a neighbour.
    pub held: u64,
    dropped: Counts<{ SlowDrop::COUNT }>,
    icmp_sent: Counts<{ IcmpKind::COUNT }>,
    icmp_suppressed: Counts<{ IcmpKind::COUNT }>,
    /// Echo replies sent.
    pub echo_replies: u64,
    /// ARP requests sent.
    pub arp_requests: u64,
    /// ARP replies sent.
    pub arp_replies: u64,
    /// Neighbour solicitations sent.
    pub nd_solicitations: u64,
    /// Neighbour advertisements sent.
    pub nd_advertisements: u64,
    /// Router solicitations and advertisements and redirects that were ignored.
    pub router_discovery_ignored: u64,
    /// Neighbours whose MAC address became known or changed.
    pub neighbours_learnt: u64,
    /// Neighbours that did not answer the first requests.
    pub neighbours_absent: u64,
    /// Neighbours that were known and stopped answering.
    pub neighbours_lost: u64,
    /// Neighbours that answered when too many were known.
    pub neighbours_over_limit: u64,
    /// Times that somebody claimed a neighbour's address with another MAC address.
    pub neighbours_contested: u64,
    /// Neighbours that were not known and gave way to others.
    pub unresolved_gave_way: u64,
    /// Neighbours that had only spoken to the router and gave way to others.
    pub unsolicited_gave_way: u64,
    /// Messages from somebody who uses an address of ours.
    pub address_conflicts: u64,
    /// Fragments sent.
    pub fragments: u64,
    /// Messages that a path of what the slow path sends is narrow, believed.
    pub path_mtus_heeded: u64,
    /// Datagrams for the router itself that were put together.
    pub reassembled: u64,
    /// Datagrams for the router itself that gave way to others.
    pub reassemblies_given_up: u64,
    /// Datagrams for the router itself whose fragments did not all come in time.
    pub reassemblies_timed_out: u64,
    /// Requests for neighbours not known that the budget of their interface did not allow.
    pub requests_limited: u64,
    /// Requests to known neighbours that were put off, likewise.
    pub refreshes_limited: u64,
    /// Requests that could not be sent for want of a buffer.
    pub requests_unsent: u64,
}

impl SlowPathCounters {
    /// These, with what is held dropped.
    pub(super) fn ended(mut self) -> Self {
        self.dropped.0[SlowDrop::RunEnded as usize] += std::mem::take(&mut self.held);
        self
    }

    /// Packets dropped for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: SlowDrop) -> u64 {
        self.dropped.0[reason as usize]
    }

    /// Packets dropped for any reason.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.0.iter().sum()
    }

    /// ICMP errors of `kind` sent.
    #[must_use]
    pub fn icmp_sent(&self, kind: IcmpKind) -> u64 {
        self.icmp_sent.0[kind as usize]
    }

    /// ICMP errors of `kind` that the rate limit kept back.
    #[must_use]
    pub fn icmp_suppressed(&self, kind: IcmpKind) -> u64 {
        self.icmp_suppressed.0[kind as usize]
    }

    /// True when every packet that came in has one fate.
    #[must_use]
    pub fn conserved(&self) -> bool {
        let known = self.resent + self.answered + self.consumed + self.dropped_total();
        self.punted + self.reported == known + self.held
    }

    pub(super) fn settle(&mut self, fate: Fate) {
        match fate {
            Ok(Done::Resent) => self.resent += 1,
            Ok(Done::Answered) => self.answered += 1,
            Ok(Done::Consumed) => self.consumed += 1,
            Ok(Done::Held) => self.held += 1,
            Err(reason) => self.dropped.0[reason as usize] += 1,
        }
    }

    pub(super) fn icmp(&mut self, kind: IcmpKind, sent: bool) {
        let counters = if sent { &mut self.icmp_sent } else { &mut self.icmp_suppressed };
        counters.0[kind as usize] += 1;
    }
}

/// A packet's fate other than a drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Resent,
    Answered,
    Consumed,
    Held,
}

/// What became of a packet.
pub(super) type Fate = Result<Done, SlowDrop>;
