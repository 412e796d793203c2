//! From aces and flow specifications to patterns of keys.

use std::ops::RangeInclusive;

use qfp_core::acl::key::{WORDS4, WORDS6, condition};
use qfp_core::acl::{Pattern, Pattern4, Pattern6};

use crate::acl::{Fragments, IpMatch, MAX_DSCP, MAX_PRECEDENCE, MAX_TTL, PlainAce, Ternary};
use crate::flowspec::{Header, Match};

/// Families of keys: how addresses are put into a pattern.
pub(super) trait Addresses: Sized {
    /// Every packet between these addresses; none when they are of the other family.
    fn between(source: IpMatch, destination: IpMatch) -> Option<Self>;
}

impl Addresses for Pattern<WORDS4> {
    fn between(source: IpMatch, destination: IpMatch) -> Option<Self> {
        let (source, destination) = (source.v4()?, destination.v4()?);
        let pattern = Pattern4::any().source(source.value(), source.mask());
        Some(pattern.destination(destination.value(), destination.mask()))
    }
}

impl Addresses for Pattern<WORDS6> {
    fn between(source: IpMatch, destination: IpMatch) -> Option<Self> {
        let (source, destination) = (source.v6()?, destination.v6()?);
        let pattern = Pattern6::any().source(source.value(), source.mask());
        Some(pattern.destination(destination.value(), destination.mask()))
    }
}

/// Patterns that grow apart field by field: one for each combination of alternatives.
struct Product<const W: usize>(Vec<Pattern<W>>);

impl<const W: usize> Product<W> {
    /// One pattern for each alternative where there was one; unchanged without alternatives.
    fn each<T>(
        self,
        alternatives: Option<impl IntoIterator<Item = T>>,
        narrow: impl Fn(Pattern<W>, T) -> Pattern<W>,
    ) -> Self
    where
        T: Clone,
    {
        let Some(alternatives) = alternatives else { return self };
        let alternatives: Vec<T> = alternatives.into_iter().collect();
        let narrow = &narrow;
        let all = self.0.iter().flat_map(|pattern| {
            alternatives.iter().map(move |alternative| narrow(*pattern, alternative.clone()))
        });
        Self(all.collect())
    }
}

/// The patterns of an ace; none when its addresses are of the other family.
pub(super) fn of_ace<const W: usize>(ace: &PlainAce) -> Vec<Pattern<W>>
where
    Pattern<W>: Addresses,
{
    const LATER: u8 = condition::LATER_FRAGMENT;
    let narrowed = |value| {
        let mut base = Pattern::<W>::between(ace.source, ace.destination)?;
        if let Some(protocol) = ace.protocol {
            base = base.protocol(protocol, 0xff);
        }
        let mask = if ace.fragments == Fragments::All { 0 } else { LATER };
        Some(layer3(base.condition(value, mask), ace))
    };
    let patterns = match ace.fragments {
        Fragments::All => narrowed(0),
        Fragments::Later => narrowed(LATER),
        Fragments::First => narrowed(0).map(|first| layer4(first, ace)),
        Fragments::ByLayer3 => narrowed(0).zip(narrowed(LATER)).map(|(first, later)| {
            let mut both = layer4(first, ace);
            both.0.extend(later.0);
            both
        }),
    };
    patterns.map_or_else(Vec::new, |patterns| patterns.0)
}

/// What an ace says of the IP header besides addresses and protocol.
fn layer3<const W: usize>(base: Pattern<W>, ace: &PlainAce) -> Product<W> {
    let options = &ace.options;
    let base = match options.flow_label {
        Some(label) => base.flow_label(label, u32::MAX),
        None => base,
    };
    let base = if options.undetermined_transport {
        base.condition(condition::UNDETERMINED, condition::UNDETERMINED)
    } else {
        base
    };
    let base = match options.tos {
        Some(tos) => base.traffic_class(tos << 1, 0x1e),
        None => base,
    };
    let bits = |ranges: Vec<RangeInclusive<u16>>, width| {
        ranges.into_iter().flat_map(move |range| ternaries(range, width)).collect::<Vec<_>>()
    };
    let class = |shift: u32| {
        move |p: Pattern<W>, (value, mask): (u8, u8)| p.traffic_class(value << shift, mask << shift)
    };
    Product(vec![base])
        .each(options.dscp.as_ref().map(|c| bits(c.ranges(MAX_DSCP), 6)), class(2))
        .each(options.precedence.as_ref().map(|c| bits(c.ranges(MAX_PRECEDENCE), 3)), class(5))
        .each(options.packet_length.as_ref().map(|c| c.ranges(u16::MAX)), |p, r| p.length(&r))
        .each(options.ttl.as_ref().map(|c| c.ranges(MAX_TTL)), |p, range| {
            let octet = |value: u16| u8::try_from(value).unwrap_or(u8::MAX);
            p.ttl(&(octet(*range.start())..=octet(*range.end())))
        })
}

/// What an ace says of the header behind it.
fn layer4<const W: usize>(patterns: Product<W>, ace: &PlainAce) -> Product<W> {
    let options = &ace.options;
    patterns
        .each(ace.source_ports.clone(), |p, ports| p.source_port(&ports))
        .each(ace.destination_ports.clone(), |p, ports| p.destination_port(&ports))
        .each(options.icmp.map(|icmp| [message(icmp.kind, icmp.code)]), |p, message| {
            p.destination_port(&message)
        })
        .each(options.tcp.map(|tcp| tcp.ternaries()), |p, (value, mask)| p.tcp_flags(value, mask))
}

/// The patterns of a flow specification's alternative. TCP flags beyond the eight that keys have
/// are not told apart.
pub(super) fn of_flow<const W: usize>(flow: &Match) -> Vec<Pattern<W>>
where
    Pattern<W>: Addresses,
{
    let Some(base) = Pattern::<W>::between(flow.source, flow.destination) else {
        return Vec::new();
    };
    let transport = flow.source_ports.is_some()
        || flow.destination_ports.is_some()
        || flow.icmp.is_some()
        || flow.tcp_flags.is_some();
    let base = if transport { base.condition(0, condition::LATER_FRAGMENT) } else { base };
    let octets = |t: Ternary<u8>| (t.value(), t.mask());
    Product(vec![base])
        .each(flow.protocols.clone(), |p, t| p.protocol(octets(t).0, octets(t).1))
        .each(flow.source_ports.clone(), |p, ports| p.source_port(&ports))
        .each(flow.destination_ports.clone(), |p, ports| p.destination_port(&ports))
        .each(flow.icmp.clone(), |p, message| p.destination_port(&message))
        .each(flow.tcp_flags.clone(), |p, t| {
            p.tcp_flags(t.value().to_be_bytes()[1], t.mask().to_be_bytes()[1])
        })
        .each(flow.lengths.clone(), |p, lengths| p.length(&lengths))
        .each(flow.dscps.clone(), |p, t| p.traffic_class(t.value() << 2, t.mask() << 2))
        .each(flow.fragments.clone(), |p, t| {
            let (value, mask) = fragment_bits(t);
            p.condition(value, mask)
        })
        .each(flow.flow_labels.clone(), |p, t| p.flow_label(t.value(), t.mask()))
        .0
}

/// An ICMP message as it stands in a key: its type above its code.
fn message(kind: u8, code: Option<u8>) -> RangeInclusive<u16> {
    let (low, high) = (code.unwrap_or(0), code.unwrap_or(u8::MAX));
    u16::from_be_bytes([kind, low])..=u16::from_be_bytes([kind, high])
}

/// Fragment bits of RFC 8955 as the conditions of a key.
fn fragment_bits(bits: Ternary<u8>) -> (u8, u8) {
    let pairs = [
        (Header::DF, condition::DONT_FRAGMENT),
        (Header::IS_F, condition::LATER_FRAGMENT),
        (Header::FF, condition::FIRST_FRAGMENT),
        (Header::LF, condition::LAST_FRAGMENT),
    ];
    let move_bits = |word: u8| {
        pairs.iter().filter(|(from, _)| word & from != 0).fold(0, |bits, (_, to)| bits | to)
    };
    (move_bits(bits.value()), move_bits(bits.mask()))
}

/// The fewest ternaries of `width` bits that are the numbers of a range.
fn ternaries(range: RangeInclusive<u16>, width: u32) -> Vec<(u8, u8)> {
    let (mut low, high) = (u32::from(*range.start()), u32::from(*range.end()));
    let all = (1_u32 << width) - 1;
    let mut ternaries = Vec::new();
    while low <= high {
        let aligned = if low == 0 { width } else { low.trailing_zeros() };
        let size = aligned.min((high - low + 1).ilog2());
        let octet = |value: u32| value.to_le_bytes()[0];
        ternaries.push((octet(low), octet(all & !((1 << size) - 1))));
        low += 1 << size;
    }
    ternaries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ternaries_are_the_numbers_of_their_range_and_no_other() {
        for low in 0..64_u16 {
            for high in low..64 {
                let ternaries = ternaries(low..=high, 6);
                for number in 0..64_u16 {
                    let octet = number.to_le_bytes()[0];
                    let inside = ternaries.iter().any(|(value, mask)| octet & mask == *value);
                    assert_eq!(inside, (low..=high).contains(&number), "{low} {high} {number}");
                }
            }
        }
    }
}
