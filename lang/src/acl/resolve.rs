use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::{AccessList, Ace, Action, Address, Addresses, Compare, Family, IpMatch, Member};
use super::{
    Members, Name, ObjectGroup, Objects, Options, Ports, Protocol, Service, ServiceProtocol,
};

/// Which fragments an ace matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fragments {
    /// Whole packets and every fragment.
    All,
    /// Whole packets and first fragments: what has a layer 4 header.
    First,
    /// Those by all that it says, and fragments that are not the first by what it says of layer 3:
    /// addresses, protocol and options of the IP header.
    ByLayer3,
    /// Fragments that are not the first.
    Later,
}

/// An ace without names of groups: what a classifier compiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainAce {
    /// Sequence number of the ace it comes from, which several may share; [`IMPLICIT`](super::IMPLICIT) if none.
    pub sequence: u32,
    /// What becomes of the packets.
    pub action: Action,
    /// Protocol; none means all.
    pub protocol: Option<u8>,
    /// Source address.
    pub source: IpMatch,
    /// Destination address.
    pub destination: IpMatch,
    /// Source ports: rising ranges with gaps between them; none means they are not looked at.
    pub source_ports: Option<Vec<RangeInclusive<u16>>>,
    /// Destination ports, likewise.
    pub destination_ports: Option<Vec<RangeInclusive<u16>>>,
    /// Which fragments.
    pub fragments: Fragments,
    /// Everything else.
    pub options: Options,
}

/// Why groups cannot be put in place of their names.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ResolveError {
    /// No group of that name.
    #[error("entry {sequence} needs object-group {group}, which is not defined")]
    UnknownGroup {
        /// The ace's sequence number.
        sequence: u32,
        /// The group's name.
        group: Name,
    },
    /// A group of something else: ports where addresses stand, or the other family.
    #[error("entry {sequence} cannot use object-group {group}, which is not of {wants}")]
    OtherSort {
        /// The ace's sequence number.
        sequence: u32,
        /// The group's name.
        group: Name,
        /// What stands in its place.
        wants: &'static str,
    },
    /// Groups that would become too many aces.
    #[error("the groups of entry {sequence} bring the list over {limit} entries")]
    TooMany {
        /// The ace's sequence number.
        sequence: u32,
        /// Most that there may be.
        limit: usize,
    },
}

impl AccessList {
    /// The aces in order, each with the groups it names put in their place: one for each
    /// combination of their members. Remarks and what is implicit are not among them.
    ///
    /// # Errors
    ///
    /// A name that `objects` has no fitting group for, and more than `limit` aces in all.
    pub fn resolved(&self, objects: &Objects, limit: usize) -> Result<Vec<PlainAce>, ResolveError> {
        let mut plain = Vec::new();
        for (sequence, ace) in self.aces() {
            let resolver = Resolver { objects, sequence, limit, family: self.family() };
            resolver.ace(ace, &mut plain)?;
        }
        Ok(plain)
    }

    /// How many aces [`resolved`](Self::resolved) gives, without making those of entries that name no
    /// groups.
    ///
    /// # Errors
    ///
    /// As [`resolved`](Self::resolved).
    pub fn resolved_len(&self, objects: &Objects, limit: usize) -> Result<usize, ResolveError> {
        let mut count = 0;
        for (sequence, ace) in self.aces() {
            let limit = limit - count;
            let resolver = Resolver { objects, sequence, limit, family: self.family() };
            if ace.names_group() {
                let mut plain = Vec::new();
                resolver.ace(ace, &mut plain)?;
                count += plain.len();
            } else if limit == 0 {
                return Err(resolver.too_many());
            } else {
                count += 1;
            }
        }
        Ok(count)
    }

    /// The aces that one entry becomes, as in [`resolved`](Self::resolved). None for a remark and
    /// where there is no entry.
    ///
    /// # Errors
    ///
    /// As [`resolved`](Self::resolved), of this entry alone.
    pub fn resolved_entry(
        &self,
        sequence: u32,
        objects: &Objects,
        limit: usize,
    ) -> Result<Vec<PlainAce>, ResolveError> {
        let mut plain = Vec::new();
        if let Some(super::Body::Ace(ace)) = self.entry(sequence) {
            let resolver = Resolver { objects, sequence, limit, family: self.family() };
            resolver.ace(ace, &mut plain)?;
        }
        Ok(plain)
    }
}

/// Puts groups in place of their names in the ace of this sequence number.
struct Resolver<'a> {
    objects: &'a Objects,
    sequence: u32,
    limit: usize,
    family: Family,
}

impl<'a> Resolver<'a> {
    fn ace(&self, ace: &Ace, plain: &mut Vec<PlainAce>) -> Result<(), ResolveError> {
        let services = self.services(ace)?;
        let sources = self.addresses(&ace.source)?;
        let destinations = self.addresses(&ace.destination)?;
        let source_ports = self.ports(ace.source_port.as_ref())?;
        let destination_ports = self.ports(ace.destination_port.as_ref())?;
        for (protocol, service) in &services {
            for source in &sources {
                for destination in &destinations {
                    if plain.len() >= self.limit {
                        return Err(self.too_many());
                    }
                    let from = |ports: &Option<Compare>, own: &Option<Vec<_>>| {
                        ports.as_ref().map(|ports| ports.ranges(u16::MAX)).or_else(|| own.clone())
                    };
                    let source_ports = from(&service.source_port, &source_ports);
                    let destination_ports = from(&service.destination_port, &destination_ports);
                    let icmp = service.icmp.or(ace.options.icmp);
                    let tcp = ace.options.tcp;
                    let ports = source_ports.is_some() || destination_ports.is_some();
                    let layer4 = ports || icmp.is_some() || tcp.is_some();
                    plain.push(PlainAce {
                        sequence: self.sequence,
                        action: ace.action,
                        protocol: *protocol,
                        source: *source,
                        destination: *destination,
                        source_ports,
                        destination_ports,
                        fragments: match (ace.fragments, layer4) {
                            (true, _) => Fragments::Later,
                            // What a later fragment belongs to may be what is meant: it is let
                            // pass, and not denied (Cisco, document 8014).
                            (false, true) if ace.action == Action::Permit => Fragments::ByLayer3,
                            (false, true) => Fragments::First,
                            (false, false) => Fragments::All,
                        },
                        options: Options { icmp, ..ace.options.clone() },
                    });
                }
            }
        }
        Ok(())
    }

    /// Protocols, and the ports and messages that come with them.
    fn services(&self, ace: &Ace) -> Result<Vec<(Option<u8>, Service)>, ResolveError> {
        let none = Service::new(ServiceProtocol::Any);
        let group = match &ace.protocol {
            Protocol::Any => return Ok(vec![(None, none)]),
            Protocol::Number(number) => return Ok(vec![(Some(*number), none)]),
            Protocol::Group(name) => name,
        };
        let family = self.family;
        let members = self.members(group, "services", |group| match &group.members {
            Members::Service(of, members) if *of == family => Some(members),
            _ => None,
        })?;
        let mut services = Vec::new();
        for service in members {
            let numbers: &[Option<u8>] = match service.protocol {
                ServiceProtocol::Any => &[None],
                ServiceProtocol::Number(number) => &[Some(number)],
                ServiceProtocol::TcpUdp => &[Some(6), Some(17)],
            };
            services.extend(numbers.iter().map(|number| (*number, service.clone())));
        }
        Ok(services)
    }

    fn addresses(&self, address: &Address) -> Result<Vec<IpMatch>, ResolveError> {
        let group = match address {
            Address::Is(addresses) => return Ok(vec![*addresses]),
            Address::Group(name) => name,
        };
        let family = self.family;
        let members =
            self.members(group, "addresses of the list's family", |group| match &group.members {
                Members::Network(of, members) if *of == family => Some(members),
                _ => None,
            })?;
        let mut all = Vec::new();
        for addresses in members {
            all.extend(prefixes(*addresses));
            if all.len() > self.limit {
                return Err(self.too_many());
            }
        }
        Ok(all)
    }

    fn ports(
        &self,
        ports: Option<&Ports>,
    ) -> Result<Option<Vec<RangeInclusive<u16>>>, ResolveError> {
        let name = match ports {
            None => return Ok(None),
            Some(Ports::Are(ports)) => return Ok(Some(ports.ranges(u16::MAX))),
            Some(Ports::Group(name)) => name,
        };
        let members = self.members(name, "ports", |group| match &group.members {
            Members::Ports(members) => Some(members),
            _ => None,
        })?;
        let ranges = members.into_iter().flat_map(|ports| ports.ranges(u16::MAX));
        Ok(Some(joined(ranges.collect())))
    }

    /// The members of a group and of the groups it names, each group once: a group that holds
    /// itself adds nothing by it.
    fn members<T>(
        &self,
        name: &'a Name,
        wants: &'static str,
        of: impl Fn(&'a ObjectGroup) -> Option<&'a Vec<Member<T>>>,
    ) -> Result<Vec<&'a T>, ResolveError> {
        let sequence = self.sequence;
        let (mut seen, mut waiting, mut all) = (BTreeSet::from([name]), vec![name], Vec::new());
        while let Some(name) = waiting.pop() {
            let group = self.objects.get(name.as_str());
            let group = group
                .ok_or_else(|| ResolveError::UnknownGroup { sequence, group: name.clone() })?;
            let members = of(group).ok_or_else(|| ResolveError::OtherSort {
                sequence,
                group: name.clone(),
                wants,
            })?;
            for member in members {
                match member {
                    Member::Is(own) if all.len() < self.limit => all.push(own),
                    Member::Is(_) => return Err(self.too_many()),
                    Member::Group(name) if seen.insert(name) => waiting.push(name),
                    Member::Group(_) => {}
                }
            }
        }
        Ok(all)
    }

    fn too_many(&self) -> ResolveError {
        ResolveError::TooMany { sequence: self.sequence, limit: self.limit }
    }
}

/// The fewest prefixes that are these addresses.
fn prefixes(addresses: Addresses) -> Vec<IpMatch> {
    let nets: Vec<IpNet> = match addresses {
        Addresses::Net(net) => vec![net],
        Addresses::Range(IpAddr::V4(low), IpAddr::V4(high)) => {
            Ipv4Subnets::new(low, high, 0).map(IpNet::V4).collect()
        }
        Addresses::Range(IpAddr::V6(low), IpAddr::V6(high)) => {
            Ipv6Subnets::new(low, high, 0).map(IpNet::V6).collect()
        }
        Addresses::Range(..) => Vec::new(),
    };
    nets.into_iter().map(IpMatch::from).collect()
}

/// The same numbers as rising ranges with gaps between them.
fn joined(mut ranges: Vec<RangeInclusive<u16>>) -> Vec<RangeInclusive<u16>> {
    ranges.sort_unstable_by_key(|range| *range.start());
    let mut joined: Vec<RangeInclusive<u16>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => joined.push(range),
        }
    }
    joined
}
