//! One plain alternative of a rule.

use std::net::IpAddr;
use std::ops::{BitAnd, Not, RangeInclusive};

use super::ternary::has;
use super::{Family, Header, IpMatch, Ternary, Transport};

/// One alternative: all that is given must hold, and of a list, any member.
///
/// What is `None` is not looked at. Ports, ICMP fields and flags that are given are those of a
/// header that is there: packets without pass nothing, not even the full range. Ranges rise, with
/// gaps between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Match {
    /// The kind of packets.
    pub family: Family,
    /// Source addresses.
    pub source: IpMatch,
    /// Destination addresses.
    pub destination: IpMatch,
    /// IP protocols.
    pub protocols: Option<Vec<Ternary<u8>>>,
    /// Source ports of TCP and UDP.
    pub source_ports: Option<Vec<RangeInclusive<u16>>>,
    /// Destination ports of TCP and UDP.
    pub destination_ports: Option<Vec<RangeInclusive<u16>>>,
    /// ICMP messages: the type in the upper octet, the code in the lower.
    pub icmp: Option<Vec<RangeInclusive<u16>>>,
    /// Octets 13 and 14 of the TCP header without the data offset: the flags are the lower.
    pub tcp_flags: Option<Vec<Ternary<u16>>>,
    /// Lengths of the packet from its IP header on, in octets.
    pub lengths: Option<Vec<RangeInclusive<u16>>>,
    /// Code points, in 6 bits.
    pub dscps: Option<Vec<Ternary<u8>>>,
    /// [`Header::fragment_bits`]. Bits that never come together are not told apart.
    pub fragments: Option<Vec<Ternary<u8>>>,
    /// Flow labels of IPv6.
    pub flow_labels: Option<Vec<Ternary<u32>>>,
}

impl Match {
    /// How many entries it takes where an entry has one range or ternary for each field.
    #[must_use]
    pub fn entries(&self) -> u64 {
        fn count<T>(list: &Option<Vec<T>>) -> u64 {
            list.as_ref().map_or(1, |list| list.len() as u64)
        }
        let counts = [
            count(&self.protocols),
            count(&self.source_ports),
            count(&self.destination_ports),
            count(&self.icmp),
            count(&self.tcp_flags),
            count(&self.lengths),
            count(&self.dscps),
            count(&self.fragments),
            count(&self.flow_labels),
        ];
        if counts.contains(&0) { 0 } else { counts.into_iter().fold(1, u64::saturating_mul) }
    }

    /// The same as [`entries`](Self::entries) many alternatives whose lists have one member each.
    #[must_use]
    pub fn singles(&self) -> Vec<Self> {
        let mut all = vec![self.clone()];
        split(&mut all, |one| &mut one.protocols);
        split(&mut all, |one| &mut one.source_ports);
        split(&mut all, |one| &mut one.destination_ports);
        split(&mut all, |one| &mut one.icmp);
        split(&mut all, |one| &mut one.tcp_flags);
        split(&mut all, |one| &mut one.lengths);
        split(&mut all, |one| &mut one.dscps);
        split(&mut all, |one| &mut one.fragments);
        split(&mut all, |one| &mut one.flow_labels);
        all
    }

    /// Whether `header` is matched.
    #[must_use]
    pub fn contains(&self, header: &Header) -> bool {
        let (ports, icmp, flags) = match header.transport {
            Transport::Tcp { source, destination, flags } => {
                (Some((source, destination)), None, Some(flags & 0x0fff))
            }
            Transport::Udp { source, destination } => (Some((source, destination)), None, None),
            Transport::Icmp { kind, code } => (None, Some(u16::from_be_bytes([kind, code])), None),
            Transport::None => (None, None, None),
        };
        header.family() == Some(self.family)
            && address(self.source, header.source)
            && address(self.destination, header.destination)
            && among(&self.protocols, Some(header.protocol))
            && within(&self.source_ports, ports.map(|(source, _)| source))
            && within(&self.destination_ports, ports.map(|(_, destination)| destination))
            && within(&self.icmp, icmp)
            && among(&self.tcp_flags, flags)
            && within(&self.lengths, Some(header.length))
            && among(&self.dscps, Some(header.dscp))
            && among(&self.fragments, Some(header.fragment_bits()))
            && among(&self.flow_labels, Some(header.flow_label))
    }
}

fn address(wanted: IpMatch, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => wanted.v4().is_some_and(|bits| has(bits, address.to_bits())),
        IpAddr::V6(address) => wanted.v6().is_some_and(|bits| has(bits, address.to_bits())),
    }
}

/// Whether a field that is there is in one of `ranges`, or not looked at.
fn within(ranges: &Option<Vec<RangeInclusive<u16>>>, field: Option<u16>) -> bool {
    let Some(ranges) = ranges else { return true };
    field.is_some_and(|field| ranges.iter().any(|range| range.contains(&field)))
}

/// Whether a field that is there has one of `bits`, or is not looked at.
fn among<T>(bits: &Option<Vec<Ternary<T>>>, field: Option<T>) -> bool
where
    T: Copy + Eq + BitAnd<Output = T> + Not<Output = T>,
{
    let Some(bits) = bits else { return true };
    field.is_some_and(|field| bits.iter().any(|one| has(*one, field)))
}

/// Replaces each of `all` by one for each member of a list.
fn split<T: Clone>(all: &mut Vec<Match>, list: fn(&mut Match) -> &mut Option<Vec<T>>) {
    for mut one in std::mem::take(all) {
        match list(&mut one).take() {
            None => all.push(one),
            Some(members) => all.extend(members.into_iter().map(|member| {
                let mut single = one.clone();
                *list(&mut single) = Some(vec![member]);
                single
            })),
        }
    }
}
