//! The chain of IPv6 extension headers, from the fixed header to the upper layer (RFC 8200 §4, RFC
//! 7045).
//!
//! There is one walk, whoever asks: who decides about a packet and who forwards it see the same.

use super::protocol;

/// Bytes of the fixed IPv6 header.
const FIXED: usize = 40;

/// What an IPv6 packet has in front of its upper layer, and where that is.
///
/// Offsets count bytes from the start of the fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Protocol of the upper layer. Where an extension header is cut short, the number of that one.
    pub protocol: u8,
    /// Where it starts. What starts here in a later fragment is no header.
    pub offset: usize,
    /// Where the next header field that names it stands.
    pub named_at: usize,
    /// The outermost fragment header.
    pub fragment: Option<FragmentHeader>,
    /// True when the packet is a fragment of a larger one, the first included.
    pub is_fragment: bool,
    /// True for a fragment other than the first.
    pub later_fragment: bool,
    /// Where in the datagram a later fragment begins, in units of 8 bytes; 0 for all else.
    pub fragment_offset: u16,
    /// True for the last of several fragments.
    pub last_fragment: bool,
    /// The first routing header that has segments left to visit.
    pub source_route: Option<RoutingHeader>,
    /// Where the field stands that names a Hop-by-Hop header which is not the first header.
    pub misplaced_hop_by_hop: Option<usize>,
    /// The first mobility, HIP or Shim6 header. Routers pass these; an end that does not speak them
    /// says so (RFC 8200 §4). With nothing behind it, it is itself the upper layer (RFC 4301 §4.4.1.1).
    pub ends_only: Option<HeaderPlace>,
    /// How much of the chain is in the packet.
    pub end: ChainEnd,
}

/// How far a chain of headers goes in one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainEnd {
    /// All extension headers and the upper layer's header, as long as its protocol is known to have
    /// it, are there.
    Whole,
    /// The extension headers are there, the upper layer's header is not, or not all of it.
    UpperCut,
    /// An extension header is not there, or not all of it.
    ExtensionCut,
}

/// Where a header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderPlace {
    /// Where it starts, bytes from the start of the IPv6 header.
    pub at: usize,
    /// Where the next header field that names it stands, likewise.
    pub named_at: usize,
}

/// A fragment header (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHeader {
    /// Where it starts, bytes from the start of the IPv6 header.
    pub at: usize,
    /// Where the next header field that names it stands, likewise.
    pub named_at: usize,
    /// What follows it in the first fragment.
    pub next_header: u8,
    /// Offset of the fragment in its datagram, in units of 8 bytes.
    pub offset: u16,
    /// Whether fragments follow.
    pub more: bool,
    /// Identification of the datagram.
    pub id: u32,
    /// Whether it stands behind an authentication header, and so is part of what that protects.
    pub authenticated: bool,
}

/// A routing header (RFC 8200 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutingHeader {
    /// Where it starts, bytes from the start of the IPv6 header.
    pub at: usize,
    /// Routing type.
    pub kind: u8,
    /// Segments left to visit.
    pub segments_left: u8,
}

/// Whether a next header is an extension header that the walk passes.
///
/// ESP is none, because nobody can say what it leads to; nor are 253 and 254, which experiments may
/// use for anything (RFC 4727).
#[inline]
#[must_use]
pub const fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::DESTINATION_OPTIONS
            | protocol::AUTHENTICATION
            | protocol::MOBILITY
            | protocol::HIP
            | protocol::SHIM6
    )
}

impl Chain {
    /// Walks the chain that begins with a header of kind `first` in `payload`, which is what follows
    /// the fixed header, without link-layer padding.
    ///
    /// Never fails: [`Chain::end`] says where headers are missing. O(number of headers), which the
    /// packet's length bounds.
    #[inline]
    #[must_use]
    pub fn walk(first: u8, payload: &[u8]) -> Self {
        let mut chain = Self {
            protocol: first,
            offset: FIXED,
            named_at: 6,
            fragment: None,
            is_fragment: false,
            later_fragment: false,
            fragment_offset: 0,
            last_fragment: false,
            source_route: None,
            misplaced_hop_by_hop: None,
            ends_only: None,
            end: ChainEnd::Whole,
        };
        let mut rest = payload;
        let mut authenticated = false;
        while is_extension(chain.protocol) {
            let Some((header, behind)) = split(chain.protocol, rest) else {
                chain.end = ChainEnd::ExtensionCut;
                return chain;
            };
            let [next, _, third, fourth, id @ ..] = *header;
            match chain.protocol {
                protocol::HOP_BY_HOP if chain.offset != FIXED => {
                    chain.misplaced_hop_by_hop.get_or_insert(chain.named_at);
                }
                protocol::AUTHENTICATION => authenticated = true,
                protocol::MOBILITY | protocol::HIP | protocol::SHIM6 => {
                    let place = HeaderPlace { at: chain.offset, named_at: chain.named_at };
                    chain.ends_only.get_or_insert(place);
                    if next == protocol::NO_NEXT_HEADER {
                        return chain;
                    }
                }
                protocol::ROUTING if fourth != 0 => {
                    let (at, kind, segments_left) = (chain.offset, third, fourth);
                    chain.source_route.get_or_insert(RoutingHeader { at, kind, segments_left });
                }
                protocol::FRAGMENT => {
                    let found = FragmentHeader {
                        at: chain.offset,
                        named_at: chain.named_at,
                        next_header: next,
                        offset: u16::from_be_bytes([third, fourth]) >> 3,
                        more: fourth & 1 == 1,
                        id: u32::from_be_bytes(id),
                        authenticated,
                    };
                    chain.fragment.get_or_insert(found);
                    chain.is_fragment |= found.offset != 0 || found.more;
                    chain.later_fragment = found.offset != 0;
                    chain.fragment_offset = found.offset;
                    chain.last_fragment = chain.later_fragment && !found.more;
                }
                _ => {}
            }
            chain.named_at = chain.offset;
            chain.protocol = next;
            chain.offset += rest.len() - behind.len();
            rest = behind;
            if chain.later_fragment {
                // What follows is the middle of some payload.
                return chain;
            }
        }
        if !holds_upper_header(chain.protocol, rest) {
            chain.end = ChainEnd::UpperCut;
        }
        chain
    }

    /// Whether nobody can say from this packet what it carries: its upper layer's header is not
    /// wholly there, or is of a kind that may be one more extension header. Never of a later
    /// fragment, whose first one has that header.
    #[inline]
    #[must_use]
    pub const fn is_undetermined(&self) -> bool {
        !self.later_fragment && (!matches!(self.end, ChainEnd::Whole) || may_hide(self.protocol))
    }
}

/// The first eight bytes of the extension header of this kind that `bytes` begin with, and what is
/// behind it.
pub(super) fn split(kind: u8, bytes: &[u8]) -> Option<(&[u8; 8], &[u8])> {
    let header = bytes.first_chunk::<8>()?;
    let size = match kind {
        protocol::FRAGMENT => 8,
        // Words of four bytes, less two (RFC 4302 §2.2).
        protocol::AUTHENTICATION => 8 + 4 * usize::from(header[1]),
        _ => 8 + 8 * usize::from(header[1]),
    };
    bytes.get(size..).map(|behind| (header, behind))
}

/// Whether all of an upper layer's header is in `bytes`: ports and all else of a fixed place, and
/// TCP's options (RFC 7112 §3: ICMPv6 counts with its first 32 bits). Protocols of unknown form have
/// none.
#[inline]
#[must_use]
pub fn holds_upper_header(protocol: u8, bytes: &[u8]) -> bool {
    // No header is longer than TCP's with all its options.
    bytes.len() >= 60 || bytes.len() >= upper_header(protocol, bytes)
}

/// Bytes of an upper layer's header, as far as `bytes` tell.
fn upper_header(protocol: u8, bytes: &[u8]) -> usize {
    match protocol {
        protocol::TCP => {
            bytes.get(12).map_or(TCP_HEADER, |b| TCP_HEADER.max(4 * usize::from(b >> 4)))
        }
        // UDP, ESP (SPI and sequence number), UDP-Lite.
        protocol::UDP | 50 | 136 => 8,
        // DCCP's generic header, SCTP's common header.
        33 | 132 => 12,
        // IPv4, IPv6.
        4 => 20,
        41 => FIXED,
        // ICMP, ICMPv6, GRE.
        protocol::ICMP | protocol::ICMPV6 | 47 => 4,
        _ => 0,
    }
}

/// Bytes of a TCP header without options.
pub const TCP_HEADER: usize = 20;

/// Next headers that may be extension headers which are not known yet: those that IANA has not
/// assigned, and those of experiments (RFC 7045 §2.1, RFC 4727).
#[inline]
#[must_use]
pub const fn may_hide(next_header: u8) -> bool {
    next_header >= 148
}

#[cfg(test)]
mod tests;
