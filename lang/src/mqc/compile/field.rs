//! Patterns of single fields.

use qfp_core::acl::Pattern;
use qfp_core::acl::key::link;

use crate::acl::Family;
use crate::mac::MacAddr;
use crate::mqc::{Ip, Match, Numbers};

/// The packets of `family` that match, or those that do not, as a union of patterns. None for access
/// lists and class maps.
pub(super) fn patterns<const W: usize>(is: &Match, not: bool, family: Family) -> Vec<Pattern<W>> {
    let any = Pattern::<W>::any();
    let every = |all: bool| if all == not { Vec::new() } else { vec![any] };
    let of = |numbers: &Numbers, max| if not { numbers.others(max) } else { numbers.clone() };
    let in_traffic_class = |ip: Ip, numbers: &Numbers, bits: u32| {
        if !ip.has(family) {
            return every(false);
        }
        let free = 8 - bits;
        let narrow = |(value, low): (u16, u32)| {
            any.traffic_class(octet(value << free), octet(0xff << (free + low)))
        };
        of(numbers, (1 << bits) - 1).blocks().map(narrow).collect()
    };
    // A field of three bits that is there if another bit says so.
    let behind = |numbers: &Numbers, at: u32, there: u32| {
        let narrow = |(value, low): (u16, u32)| {
            let there = any.link_field(there, 1, 1);
            there.link_field(at + low, 3 - low, u32::from(value) >> low)
        };
        let without = not.then(|| any.link_field(there, 1, 0));
        without.into_iter().chain(of(numbers, 7).blocks().map(narrow)).collect()
    };
    let plain = |numbers: &Numbers, at: u32, bits: u32| {
        let narrow = |(value, low): (u16, u32)| {
            any.link_field(at + low, bits - low, u32::from(value) >> low)
        };
        let max = u16::try_from((1_u32 << bits) - 1).unwrap_or(u16::MAX);
        of(numbers, max).blocks().map(narrow).collect()
    };
    match is {
        Match::Any => every(true),
        Match::Version(version) => every(*version == family),
        Match::Dscp(ip, numbers) => in_traffic_class(*ip, numbers, 6),
        Match::Precedence(ip, numbers) => in_traffic_class(*ip, numbers, 3),
        Match::Cos(numbers) => behind(numbers, link::COS, link::TAGGED),
        Match::InnerCos(numbers) => behind(numbers, link::INNER_COS, link::INNER_TAGGED),
        Match::TopmostExp(numbers) => behind(numbers, link::EXP, link::LABELLED),
        Match::Dei(set) => {
            let tagged = any.link_field(link::TAGGED, 1, 1);
            let is = tagged.link_field(link::DEI, 1, u32::from(*set != not));
            let without = not.then(|| any.link_field(link::TAGGED, 1, 0));
            without.into_iter().chain([is]).collect()
        }
        Match::Vlan(numbers) => {
            of(numbers, u16::MAX).ranges().iter().map(|range| any.vlan(range)).collect()
        }
        Match::InnerVlan(numbers) => {
            of(numbers, u16::MAX).ranges().iter().map(|range| any.inner_vlan(range)).collect()
        }
        Match::QosGroup(numbers) => plain(numbers, link::QOS_GROUP, 16),
        Match::DiscardClass(numbers) => plain(numbers, link::DISCARD_CLASS, 3),
        Match::Protocol(numbers) => {
            let narrow = |(value, low): (u16, u32)| any.protocol(octet(value), octet(0xff << low));
            of(numbers, u16::from(u8::MAX)).blocks().map(narrow).collect()
        }
        Match::PacketLength(length) => {
            let lengths = of(&length.clone().into(), u16::MAX);
            lengths.ranges().iter().map(|range| any.length(range)).collect()
        }
        Match::SourceMac(mac) => {
            addresses(*mac, not).map(|(value, mask)| any.source_mac(value, mask)).collect()
        }
        Match::DestinationMac(mac) => {
            addresses(*mac, not).map(|(value, mask)| any.destination_mac(value, mask)).collect()
        }
        Match::AccessGroup(..) | Match::Class(_) => Vec::new(),
    }
}

/// The address, or all others: those that agree with it in the upper bits and differ in the next.
fn addresses(mac: MacAddr, not: bool) -> impl Iterator<Item = (u64, u64)> {
    const BITS: u32 = 48;
    let all = (1 << BITS) - 1;
    let address = mac.0.iter().fold(0, |bits, octet| bits << 8 | u64::from(*octet));
    let others = (0..BITS).filter(move |_| not);
    let others = others.map(move |bit| (address ^ 1 << bit, all & !((1 << bit) - 1)));
    (!not).then_some((address, all)).into_iter().chain(others)
}

/// The low eight bits.
fn octet(value: u16) -> u8 {
    value.to_le_bytes()[0]
}
