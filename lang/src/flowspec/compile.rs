//! Rules as plain alternatives, which a classifier can hold.

use super::ranges::Ranges;
use super::ternary::{cover, cover_octet};
use super::{Bitmask, Component, Components, Family, Header, IpMatch, Match, Ternary};

/// The most entries of a classifier that one rule may take.
pub const MAX_ENTRIES: u64 = 4096;

/// A rule that would fill the classifier alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a flow specification takes {entries} entries, and {MAX_ENTRIES} is the most")]
pub struct TooComplex {
    /// What it would take.
    pub entries: u64,
}

impl Components {
    /// The alternatives that together match what the rule matches; none if it matches nothing.
    ///
    /// At most two: ports that may be source or destination make them.
    ///
    /// # Errors
    /// Taken apart into [single](Match::singles) entries they are more than [`MAX_ENTRIES`].
    pub fn matches(&self) -> Result<Vec<Match>, TooComplex> {
        let mut parts = Parts::default();
        for component in self.list() {
            parts.add(self.family(), component);
        }
        let alternatives = parts.finish(self.family());
        let entries = alternatives.iter().map(Match::entries).fold(0, u64::saturating_add);
        if entries > MAX_ENTRIES { Err(TooComplex { entries }) } else { Ok(alternatives) }
    }
}

/// A rule while its components are put together. Sets that are `None` are not looked at.
#[derive(Default)]
struct Parts {
    source: Option<IpMatch>,
    destination: Option<IpMatch>,
    protocols: Option<Ranges>,
    /// Ports of which source or destination must be one.
    ports: Option<Ranges>,
    source_ports: Option<Ranges>,
    destination_ports: Option<Ranges>,
    icmp_types: Option<Ranges>,
    icmp_codes: Option<Ranges>,
    tcp_flags: Option<Vec<Ternary<u16>>>,
    lengths: Option<Ranges>,
    dscps: Option<Ranges>,
    fragments: Option<Bitmask>,
    flow_labels: Option<Vec<Ternary<u32>>>,
    /// A field is looked at that later fragments do not have.
    first_only: bool,
}

impl Parts {
    fn add(&mut self, family: Family, component: &Component) {
        let numbers = |list, max| Some(Ranges::passing(list, max));
        match component {
            Component::Destination(prefix) => self.destination = Some(prefix.addresses()),
            Component::Source(prefix) => self.source = Some(prefix.addresses()),
            Component::Protocol(list) => self.narrow_protocols(Ranges::passing(list, 0xff)),
            Component::Port(list) => {
                self.ports = numbers(list, 0xffff);
                self.needs_header(&[6, 17]);
            }
            Component::DestinationPort(list) => {
                self.destination_ports = numbers(list, 0xffff);
                self.needs_header(&[6, 17]);
            }
            Component::SourcePort(list) => {
                self.source_ports = numbers(list, 0xffff);
                self.needs_header(&[6, 17]);
            }
            Component::IcmpType(list) => {
                self.icmp_types = numbers(list, 0xff);
                self.needs_header(&[family.icmp()]);
            }
            Component::IcmpCode(list) => {
                self.icmp_codes = numbers(list, 0xff);
                self.needs_header(&[family.icmp()]);
            }
            Component::TcpFlags(list) => {
                self.tcp_flags = Some(cover(12, |flags| Some(list.eval(flags.into()))));
                self.needs_header(&[6]);
            }
            Component::Length(list) => self.lengths = numbers(list, 0xffff),
            Component::Dscp(list) => self.dscps = numbers(list, 0x3f),
            Component::Fragment(list) => self.fragments = Some(list.clone()),
            Component::FlowLabel(list) => {
                let labels = Ranges::passing(list, 0xf_ffff);
                let field =
                    |label: Ternary<u32>| Ternary::new(label.value(), label.mask() & 0xf_ffff);
                self.flow_labels =
                    unless(labels, 0xf_ffff).map(|labels| labels.ternaries().map(field).collect());
            }
        }
    }

    /// Asks for a header that only these protocols have, and later fragments do not.
    fn needs_header(&mut self, protocols: &[u8]) {
        let each = protocols.iter().map(|&number| Ranges::span(number.into(), number.into()));
        self.narrow_protocols(Ranges::or(each));
        self.first_only = true;
    }

    fn narrow_protocols(&mut self, set: Ranges) {
        self.protocols = Some(match &self.protocols {
            Some(old) => old.and(&set),
            None => set,
        });
    }

    /// The alternatives that something can match.
    fn finish(self, family: Family) -> Vec<Match> {
        let fragments = self.fragment_bits(family);
        let octets = |set: Option<Ranges>, bits| {
            set.and_then(|set| cover_octet(bits, |field| Some(set.contains(field.into()))))
        };
        let icmp = match (self.icmp_types, self.icmp_codes) {
            (None, None) => None,
            (types, codes) => {
                let all = || Ranges::span(0, 0xff);
                Some(Ranges::pairs(&types.unwrap_or_else(all), &codes.unwrap_or_else(all)).to_u16())
            }
        };
        let both = |one: &Option<Ranges>| match (one, &self.ports) {
            (Some(one), Some(ports)) => Some(one.and(ports).to_u16()),
            (one, ports) => one.as_ref().or(ports.as_ref()).map(Ranges::to_u16),
        };
        let (from, to) = (both(&self.source_ports), both(&self.destination_ports));
        let any = IpMatch::Any;
        let all = Match {
            family,
            source: self.source.unwrap_or(any),
            destination: self.destination.unwrap_or(any),
            protocols: octets(self.protocols, 8),
            source_ports: self.source_ports.as_ref().map(Ranges::to_u16),
            destination_ports: self.destination_ports.as_ref().map(Ranges::to_u16),
            icmp,
            tcp_flags: self.tcp_flags,
            lengths: self.lengths.and_then(|set| unless(set, 0xffff)).map(|set| set.to_u16()),
            dscps: octets(self.dscps, 6),
            fragments,
            flow_labels: self.flow_labels,
        };
        let mut alternatives = match self.ports {
            None => vec![all],
            Some(_) => {
                let by_source = Match { source_ports: from, ..all.clone() };
                vec![by_source, Match { destination_ports: to, ..all }]
            }
        };
        alternatives.retain(|one| one.entries() > 0);
        alternatives
    }

    /// The fragment bits that pass, or `None` if all do.
    fn fragment_bits(&self, family: Family) -> Option<Vec<Ternary<u8>>> {
        // Of the bits of component 12, these come together.
        let states = [0, Header::FF, Header::IS_F, Header::IS_F | Header::LF];
        cover_octet(4, |bits| {
            let flagged = bits & Header::DF != 0;
            let later = bits & Header::IS_F != 0;
            let occurs =
                states.contains(&(bits & !Header::DF)) && (family == Family::V4 || !flagged);
            let passes = self.fragments.as_ref().is_none_or(|list| list.eval(bits.into()));
            occurs.then_some(passes && !(later && self.first_only))
        })
    }
}

/// A set that has not all numbers up to `max`.
fn unless(set: Ranges, max: u32) -> Option<Ranges> {
    (set != Ranges::span(0, max)).then_some(set)
}
