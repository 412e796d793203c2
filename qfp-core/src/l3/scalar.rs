//! One network header at a time, by the book.

use crate::packet::DropReason;
use crate::wire::{Chain, ChainEnd, Ipv4Option, is_extension, protocol};

/// What an IPv4 packet's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Fields {
    /// Source, host byte order.
    pub src: u32,
    /// Destination, host byte order.
    pub dst: u32,
    /// Length of the packet, bytes.
    pub total_len: u16,
    /// Time to live.
    pub ttl: u8,
    /// TTL decremented, protocol and checksum, as they will lie in memory.
    pub next_ttl: u32,
    /// For a local group or broadcast: it is this router's whatever the routes say.
    pub local: bool,
    /// Source or destination is link-local: such a packet may reach us, but not pass (RFC 3927 7).
    pub link_local: bool,
    /// An option asks for this router's attention, or none can be made out.
    pub attention: bool,
}

/// What an IPv6 packet's headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Fields {
    /// Destination, host byte order.
    pub dst: u128,
    /// Length of the packet, bytes.
    pub total_len: u16,
    /// Hop limit.
    pub hop_limit: u8,
    /// For a link-local address or group: it is this router's whatever the routes say.
    pub local: bool,
    /// Source is link-local: such a packet may reach us, but not pass.
    pub link_local_source: bool,
    /// A hop-by-hop option asks for this router's attention, or is not to be skipped.
    pub attention: bool,
    /// Offset of the transport header, its protocol, and whether this is a later fragment, when
    /// there are extension headers.
    pub transport: Option<(u16, u8, bool)>,
}

/// What becomes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// IPv4 to be routed, or for this router.
    Ipv4(Ipv4Fields),
    /// IPv6 to be routed, or for this router.
    Ipv6(Ipv6Fields),
    /// ARP, which is nobody's but this router's.
    Arp,
    /// The packet ends here.
    Drop(DropReason),
}

/// How a frame came in, as far as the rules care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// For a link-layer group or broadcast.
    pub group: bool,
    /// From the slow path, which has looked at what asks for a router's attention.
    pub injected: bool,
    /// Where the router records routes and timestamps ([`crate::uidb::Uidb::RECORD_ROUTE`]).
    pub records: bool,
}

/// Reads the header of `ethertype` at the start of `packet`.
///
/// `packet` may be followed by link-layer padding. O(options or extension headers).
#[must_use]
pub fn parse(ethertype: u16, packet: &[u8], arrived: Arrived) -> Parsed {
    match ethertype {
        0x0800 => parse_ipv4(packet, arrived),
        0x86dd => parse_ipv6(packet, arrived),
        0x0806 => Parsed::Arp,
        // A tag that no interface claims.
        0x8100 | 0x88a8 | 0x9100 => Parsed::Drop(DropReason::BadUidbIdx),
        _ => Parsed::Drop(DropReason::UnknownEthertype),
    }
}

/// IPv4 header checksum as RFC 1071 sums it: zero for a good header.
fn checksum_error(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2);
    let mut sum: u32 = words.map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits")]
    let sum = sum as u16;
    !sum
}

/// Word 2 of the header with the TTL one lower, and the checksum adjusted (RFC 1624).
fn decrement_ttl(ttl: u8, protocol: u8, checksum: [u8; 2]) -> u32 {
    let sum = u32::from(u16::from_be_bytes(checksum)) + 0x100;
    #[expect(clippy::cast_possible_truncation, reason = "one's complement carry is folded in")]
    let sum = (sum + u32::from(sum >= 0xffff)) as u16;
    let [high, low] = sum.to_be_bytes();
    u32::from_le_bytes([ttl.wrapping_sub(1), protocol, high, low])
}

/// RFC 1812 5.2.2, 5.2.4, 5.3.4 and 5.3.7.
fn parse_ipv4(packet: &[u8], arrived: Arrived) -> Parsed {
    let Some(fixed) = packet.first_chunk::<20>() else {
        return Parsed::Drop(DropReason::Truncated);
    };
    let header_len = usize::from(fixed[0] & 0xf) * 4;
    if fixed[0] >> 4 != 4 || header_len < 20 {
        return Parsed::Drop(DropReason::Ipv4FormatErr);
    }
    let total_len = u16::from_be_bytes([fixed[2], fixed[3]]);
    if usize::from(total_len) < header_len {
        return Parsed::Drop(DropReason::Ipv4FormatErr);
    }
    if usize::from(total_len) > packet.len() {
        return Parsed::Drop(DropReason::Truncated);
    }
    let Some(header) = packet.get(..header_len) else {
        return Parsed::Drop(DropReason::Truncated);
    };
    if checksum_error(header) != 0 {
        return Parsed::Drop(DropReason::Ipv4BadChecksum);
    }
    let src = u32::from_be_bytes([fixed[12], fixed[13], fixed[14], fixed[15]]);
    let dst = u32::from_be_bytes([fixed[16], fixed[17], fixed[18], fixed[19]]);
    let (src_top, dst_top) = (fixed[12], fixed[16]);
    // 0.0.0.0 is a host that does not know its address yet (RFC 1122 3.2.1.3): it may talk to
    // local groups only.
    let local_group = dst == u32::MAX || dst >> 8 == 0x00e0_0000;
    if src_top == 127 || src_top >= 224 || (src_top == 0 && !(src == 0 && local_group)) {
        return Parsed::Drop(DropReason::Ipv4Martian);
    }
    if !local_group {
        if dst_top & 0xf0 == 0xe0 {
            return Parsed::Drop(DropReason::Ipv4McastNoRoute);
        }
        if dst_top == 0 || dst_top == 127 || dst_top >= 240 {
            return Parsed::Drop(DropReason::Ipv4Martian);
        }
        if arrived.group {
            return Parsed::Drop(DropReason::L2GroupUnicast);
        }
    }
    let options = options(&header[20..], arrived.records);
    if arrived.injected && matches!(options, Options::Malformed) {
        return Parsed::Drop(DropReason::Ipv4FormatErr);
    }
    let link_local = |address: u32| address >> 16 == 0xa9fe;
    Parsed::Ipv4(Ipv4Fields {
        src,
        dst,
        total_len,
        ttl: fixed[8],
        next_ttl: decrement_ttl(fixed[8], fixed[9], [fixed[10], fixed[11]]),
        local: local_group,
        link_local: link_local(src) || link_local(dst),
        attention: !arrived.injected && !matches!(options, Options::Plain),
    })
}

enum Options {
    /// None that a router must look at.
    Plain,
    /// A source route or a router alert, or one that must not be skipped.
    Attention,
    Malformed,
}

/// IPv4 options (RFC 791 3.1).
fn options(mut rest: &[u8], records: bool) -> Options {
    let mut found = Options::Plain;
    while let Some((&kind, tail)) = rest.split_first() {
        match kind {
            0 => break,
            1 => rest = tail,
            _ => {
                let Some(&len) = tail.first() else { return Options::Malformed };
                let Some(next) = rest.get(usize::from(len)..) else { return Options::Malformed };
                if len < 2 {
                    return Options::Malformed;
                }
                if Ipv4Option::needs_router(kind, records) {
                    found = Options::Attention;
                }
                rest = next;
            }
        }
    }
    found
}

/// RFC 8200 3, 4; RFC 4291 2.5, 2.7.
fn parse_ipv6(packet: &[u8], arrived: Arrived) -> Parsed {
    let Some(fixed) = packet.first_chunk::<40>() else {
        return Parsed::Drop(DropReason::Truncated);
    };
    if fixed[0] >> 4 != 6 {
        return Parsed::Drop(DropReason::Ipv6FormatErr);
    }
    let payload_len = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    let Some(payload) = packet.get(40..40 + payload_len) else {
        return Parsed::Drop(DropReason::Truncated);
    };
    let Ok(total_len) = u16::try_from(40 + payload_len) else {
        return Parsed::Drop(DropReason::Ipv6FormatErr);
    };
    let address = |at: usize| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&fixed[at..at + 16]);
        u128::from_be_bytes(bytes)
    };
    let (src, dst) = (address(8), address(24));
    let dst_group = fixed[24] == 0xff;
    // The unspecified source looks for its own address (RFC 4862 5.4): groups only.
    if fixed[8] == 0xff || src == 1 || (src == 0 && !dst_group) || dst <= 1 {
        return Parsed::Drop(DropReason::Ipv6Martian);
    }
    if dst_group {
        // Interface-local and link-local scope are ours to listen to; wider ones need a route.
        match fixed[25] & 0xf {
            0 | 1 => return Parsed::Drop(DropReason::Ipv6Martian),
            2 => {}
            _ => return Parsed::Drop(DropReason::Ipv6McastNoRoute),
        }
    } else if arrived.group {
        return Parsed::Drop(DropReason::L2GroupUnicast);
    }
    let link_local = |address: u128| address >> 118 == 0xfe80 >> 6;
    let (transport, attention) = match extensions(fixed[6], payload) {
        Extensions::None => (None, false),
        Extensions::Transport { offset, protocol, later_fragment, attention } => {
            (Some((offset, protocol, later_fragment)), attention && !arrived.injected)
        }
        Extensions::Malformed => return Parsed::Drop(DropReason::Ipv6FormatErr),
    };
    Parsed::Ipv6(Ipv6Fields {
        dst,
        total_len,
        hop_limit: fixed[7],
        // Link-local addresses are not routed: the slow path knows which of them are ours.
        local: dst_group || link_local(dst),
        link_local_source: link_local(src),
        attention,
        transport,
    })
}

enum Extensions {
    None,
    Transport { offset: u16, protocol: u8, later_fragment: bool, attention: bool },
    Malformed,
}

/// The chain of extension headers, and the options of a Hop-by-Hop header. A first fragment may end
/// inside the chain: [`fragment`](super::fragment) judges that.
fn extensions(first: u8, payload: &[u8]) -> Extensions {
    if !is_extension(first) {
        return Extensions::None;
    }
    let chain = Chain::walk(first, payload);
    let cut = chain.end == ChainEnd::ExtensionCut && chain.fragment.is_none();
    if cut {
        return Extensions::Malformed;
    }
    // The slow path says what is wrong with a Hop-by-Hop header in another place.
    let mut attention = chain.misplaced_hop_by_hop.is_some();
    if first == protocol::HOP_BY_HOP {
        let len = payload.get(1).map_or(0, |len| 8 + 8 * usize::from(*len));
        match payload.get(2..len).map_or(Options::Malformed, hop_by_hop) {
            Options::Plain => {}
            Options::Attention => attention = true,
            Options::Malformed => return Extensions::Malformed,
        }
    }
    match u16::try_from(chain.offset) {
        Ok(offset) => Extensions::Transport {
            offset,
            protocol: chain.protocol,
            later_fragment: chain.later_fragment,
            attention,
        },
        Err(_) => Extensions::Malformed,
    }
}

/// Hop-by-hop options (RFC 8200 4.2): router alert (RFC 2711), and option types that must not be
/// skipped when unknown.
fn hop_by_hop(mut rest: &[u8]) -> Options {
    let mut found = Options::Plain;
    while let Some((&kind, tail)) = rest.split_first() {
        if kind == 0 {
            rest = tail;
            continue;
        }
        let Some((&len, value)) = tail.split_first() else { return Options::Malformed };
        let Some(next) = value.get(usize::from(len)..) else { return Options::Malformed };
        // Router alert, and all that says it must not be skipped by who does not know it.
        if kind == 5 || kind & 0xc0 != 0 {
            found = Options::Attention;
        }
        rest = next;
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::cast_possible_truncation, reason = "small lengths")]
    use super::*;

    /// An IPv4 header with a right checksum.
    pub(crate) fn ipv4(
        src: [u8; 4],
        dst: [u8; 4],
        ttl: u8,
        options: &[u8],
        payload: &[u8],
    ) -> Vec<u8> {
        let header_len = 20 + options.len();
        let mut packet = vec![0x40 | (header_len / 4) as u8, 0];
        packet.extend(((header_len + payload.len()) as u16).to_be_bytes());
        packet.extend([0x12, 0x34, 0, 0, ttl, 17, 0, 0]);
        packet.extend(src);
        packet.extend(dst);
        packet.extend(options);
        let sum = checksum_error(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(payload);
        packet
    }

    pub(crate) fn ipv6(src: &str, dst: &str, next: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((payload.len() as u16).to_be_bytes());
        packet.extend([next, hops]);
        packet.extend(src.parse::<std::net::Ipv6Addr>().unwrap().octets());
        packet.extend(dst.parse::<std::net::Ipv6Addr>().unwrap().octets());
        packet.extend(payload);
        packet
    }

    fn v4(packet: &[u8]) -> Parsed {
        parse(0x0800, packet, Arrived::default())
    }

    fn is_local(parsed: Parsed) -> bool {
        match parsed {
            Parsed::Ipv4(fields) => fields.local,
            Parsed::Ipv6(fields) => fields.local,
            other => panic!("{other:?}"),
        }
    }

    fn asks_for_attention(parsed: Parsed) -> bool {
        match parsed {
            Parsed::Ipv4(fields) => fields.attention,
            Parsed::Ipv6(fields) => fields.attention,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_packet_gives_its_fields_and_the_next_ttl() {
        let packet = ipv4([10, 0, 0, 1], [192, 0, 2, 1], 64, &[], &[1; 8]);
        let Parsed::Ipv4(fields) = v4(&packet) else { panic!("{:?}", v4(&packet)) };
        assert_eq!((fields.src, fields.dst), (0x0a00_0001, 0xc000_0201));
        assert_eq!((fields.total_len, fields.ttl), (28, 64));
        let mut next = packet.clone();
        next[8..12].copy_from_slice(&fields.next_ttl.to_le_bytes());
        assert_eq!(next[8], 63);
        assert!(matches!(v4(&next), Parsed::Ipv4(_)), "the checksum stays right");
    }

    #[test]
    fn every_ttl_and_checksum_stays_right_after_the_decrement() {
        for id in 0..=u16::MAX {
            let mut packet = ipv4([10, 0, 0, 1], [192, 0, 2, 1], (id >> 8) as u8 | 1, &[], &[]);
            packet[10..12].fill(0);
            packet[4..6].copy_from_slice(&id.to_be_bytes());
            let sum = checksum_error(&packet);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            let Parsed::Ipv4(fields) = v4(&packet) else { panic!() };
            packet[8..12].copy_from_slice(&fields.next_ttl.to_le_bytes());
            let expect = {
                let mut zeroed = packet.clone();
                zeroed[10..12].fill(0);
                checksum_error(&zeroed)
            };
            assert_eq!(u16::from_be_bytes([packet[10], packet[11]]), expect);
        }
    }

    #[test]
    fn each_rule_of_rfc_1812_5_2_2_has_its_reason() {
        let good = ipv4([10, 0, 0, 1], [192, 0, 2, 1], 64, &[], &[0; 4]);
        let with = |at: usize, value: u8| {
            let mut packet = good.clone();
            packet[at] = value;
            v4(&packet)
        };
        assert_eq!(v4(&good[..19]), Parsed::Drop(DropReason::Truncated));
        assert_eq!(with(0, 0x55), Parsed::Drop(DropReason::Ipv4FormatErr));
        assert_eq!(with(0, 0x44), Parsed::Drop(DropReason::Ipv4FormatErr));
        assert_eq!(with(3, 19), Parsed::Drop(DropReason::Ipv4FormatErr));
        assert_eq!(with(3, 25), Parsed::Drop(DropReason::Truncated));
        assert_eq!(with(0, 0x47), Parsed::Drop(DropReason::Ipv4FormatErr));
        assert_eq!(with(8, 63), Parsed::Drop(DropReason::Ipv4BadChecksum));
    }

    #[test]
    fn addresses_that_may_not_be_on_a_wire_are_martians() {
        let parsed = |src, dst| v4(&ipv4(src, dst, 64, &[], &[]));
        let us = [192, 0, 2, 1];
        for src in
            [[127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255], [0, 0, 0, 0], [0, 1, 2, 3]]
        {
            assert_eq!(parsed(src, us), Parsed::Drop(DropReason::Ipv4Martian), "{src:?}");
        }
        for dst in [[127, 0, 0, 1], [0, 0, 0, 0], [240, 0, 0, 1]] {
            assert_eq!(parsed(us, dst), Parsed::Drop(DropReason::Ipv4Martian), "{dst:?}");
        }
        assert!(is_local(parsed([0; 4], [255; 4])));
        assert!(is_local(parsed(us, [224, 0, 0, 5])));
        assert!(!is_local(parsed(us, us)));
        assert_eq!(parsed(us, [239, 1, 1, 1]), Parsed::Drop(DropReason::Ipv4McastNoRoute));
    }

    #[test]
    fn unicast_in_a_group_frame_is_not_forwarded() {
        let packet = ipv4([10, 0, 0, 1], [192, 0, 2, 1], 64, &[], &[]);
        assert_eq!(
            parse(0x0800, &packet, Arrived { group: true, ..Arrived::default() }),
            Parsed::Drop(DropReason::L2GroupUnicast)
        );
    }

    #[test]
    fn options_that_need_a_router_ask_for_attention_and_others_pass() {
        let parsed = |options: &[u8]| v4(&ipv4([10, 0, 0, 1], [192, 0, 2, 1], 9, options, &[]));
        for options in [[148, 4, 0, 0], [131, 3, 4, 0], [68, 9, 5, 0], [68, 1, 0, 0]] {
            assert!(asks_for_attention(parsed(&options)), "{options:?}");
        }
        for options in [[1, 1, 1, 0], [68, 4, 5, 0]] {
            assert!(!asks_for_attention(parsed(&options)), "{options:?}");
        }
        let records = Arrived { records: true, ..Arrived::default() };
        let packet = ipv4([10, 0, 0, 1], [192, 0, 2, 1], 9, &[68, 4, 5, 0], &[]);
        assert!(asks_for_attention(parse(0x0800, &packet, records)));
    }

    #[test]
    fn what_the_slow_path_has_looked_at_asks_for_attention_no_more() {
        let injected = Arrived { injected: true, ..Arrived::default() };
        let packet = ipv4([10, 0, 0, 1], [192, 0, 2, 1], 9, &[148, 4, 0, 0], &[]);
        assert!(!asks_for_attention(parse(0x0800, &packet, injected)));
        let packet = ipv4([10, 0, 0, 1], [192, 0, 2, 1], 9, &[148, 9, 0, 0], &[]);
        assert_eq!(parse(0x0800, &packet, injected), Parsed::Drop(DropReason::Ipv4FormatErr));
        let alert = [17, 0, 5, 2, 0, 0, 1, 0];
        let packet = ipv6("2001:db8::1", "2001:db8:1::1", 0, 9, &alert);
        assert!(!asks_for_attention(parse(0x86dd, &packet, injected)));
    }

    #[test]
    fn extension_headers_are_walked_to_the_transport_header() {
        let src = "2001:db8::1";
        let dst = "2001:db8:1::1";
        let transport = |next, payload: &[u8]| match parse(
            0x86dd,
            &ipv6(src, dst, next, 9, payload),
            Arrived::default(),
        ) {
            Parsed::Ipv6(fields) => fields.transport,
            other => panic!("{other:?}"),
        };
        assert_eq!(transport(17, &[0; 8]), None);
        let hop_by_hop = [60, 0, 1, 4, 0, 0, 0, 0];
        let destination = [6, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(transport(0, &[&hop_by_hop[..], &destination].concat()), Some((64, 6, false)));
        assert_eq!(transport(44, &[17, 0, 0, 1, 0, 0, 0, 9]), Some((48, 17, false)));
        assert_eq!(transport(44, &[17, 0, 0, 8, 0, 0, 0, 9]), Some((48, 17, true)));
    }

    #[test]
    fn what_must_not_be_skipped_asks_for_attention_and_broken_chains_are_dropped() {
        let parsed = |next, payload: &[u8]| {
            parse(
                0x86dd,
                &ipv6("2001:db8::1", "2001:db8:1::1", next, 9, payload),
                Arrived::default(),
            )
        };
        assert!(asks_for_attention(parsed(0, &[17, 0, 5, 2, 0, 0, 1, 0])));
        for (kind, asks) in [(0x3e, false), (0x7e, true), (0xbe, true), (0xfe, true), (0xc2, true)]
        {
            let options = [17, 0, kind, 4, 0, 0, 0, 0];
            assert_eq!(asks_for_attention(parsed(0, &options)), asks, "{kind:#x}");
        }
        assert_eq!(parsed(0, &[17, 1, 1, 4, 0, 0, 0, 0]), Parsed::Drop(DropReason::Ipv6FormatErr));
        assert_eq!(parsed(0, &[]), Parsed::Drop(DropReason::Ipv6FormatErr));
        let twice = [0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0];
        assert!(asks_for_attention(parsed(0, &twice)));
    }

    #[test]
    fn ipv6_scopes_are_kept() {
        let parsed = |src, dst| parse(0x86dd, &ipv6(src, dst, 17, 9, &[]), Arrived::default());
        assert!(is_local(parsed("2001:db8::1", "ff02::1")));
        assert!(is_local(parsed("::", "ff02::1:ff00:1")));
        assert_eq!(parsed("2001:db8::1", "ff05::2"), Parsed::Drop(DropReason::Ipv6McastNoRoute));
        assert_eq!(parsed("2001:db8::1", "ff01::1"), Parsed::Drop(DropReason::Ipv6Martian));
        assert_eq!(parsed("ff02::1", "2001:db8::1"), Parsed::Drop(DropReason::Ipv6Martian));
        assert_eq!(parsed("::1", "2001:db8::1"), Parsed::Drop(DropReason::Ipv6Martian));
        assert_eq!(parsed("2001:db8::1", "::1"), Parsed::Drop(DropReason::Ipv6Martian));
        assert!(is_local(parsed("2001:db8::1", "fe80::1")));
        let Parsed::Ipv6(fields) = parsed("fe80::1", "2001:db8::1") else { panic!() };
        assert!(fields.link_local_source);
    }
}
