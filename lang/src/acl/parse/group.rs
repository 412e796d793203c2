//! Object-groups and their members.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::fields::{Field, icmp, protocol};
use super::{Words, name};
use crate::acl::{Addresses, Compare, Family, Member, Members, Name, ObjectGroup, Objects};
use crate::acl::{Service, ServiceProtocol};
use crate::ios::{TextError, What};

/// Why a line cannot be about a group.
#[derive(Debug, thiserror::Error)]
enum GroupTextError {
    #[error("object-group {0} is already one of another sort")]
    OtherSort(Name),
    #[error("there is no object-group {0}")]
    Missing(Name),
}

/// `object-group SORT NAME`: the group is made if it is not there.
pub(super) fn open(objects: &mut Objects, words: &mut Words) -> Result<Name, TextError> {
    words.expect("object-group")?;
    let start = words.clone();
    let (members, name) = header(words)?;
    if let Some(group) = objects.get(name.as_str()) {
        if sort(&group.members) != sort(&members) {
            return Err(start.error(What::refused(GroupTextError::OtherSort(name))));
        }
    } else {
        let group = ObjectGroup { description: None, members };
        objects.insert(name.clone(), group).map_err(|error| start.error(What::refused(error)))?;
    }
    Ok(name)
}

fn sort(members: &Members) -> (u8, Option<Family>) {
    match members {
        Members::Network(family, _) => (0, Some(*family)),
        Members::Service(family, _) => (1, Some(*family)),
        Members::Ports(_) => (2, None),
    }
}

/// `network [ipv4 | ipv6] NAME`, `service NAME`, `port NAME` and their `v6-` forms, as a group
/// without members.
pub(super) fn header(words: &mut Words) -> Result<(Members, Name), TextError> {
    let members = if words.take("network") {
        // XR says the family, which could be a name as well.
        let said = words.peek_second().is_some();
        let family = [("ipv4", Family::V4), ("ipv6", Family::V6)];
        let family = if said { words.one_of("ipv4 or ipv6", &family)? } else { Family::V4 };
        Members::Network(family, Vec::new())
    } else if words.take("v6-network") {
        Members::Network(Family::V6, Vec::new())
    } else if words.take("service") {
        Members::Service(Family::V4, Vec::new())
    } else if words.take("v6-service") {
        Members::Service(Family::V6, Vec::new())
    } else if words.take("port") {
        Members::Ports(Vec::new())
    } else {
        return Err(words.expected("network, service or port"));
    };
    Ok((members, name(words)?))
}

/// A line of a group.
pub(super) fn member(objects: &mut Objects, of: &Name, words: &mut Words) -> Result<(), TextError> {
    let missing = || words.error(What::refused(GroupTextError::Missing(of.clone())));
    let group = objects.get_mut(of.as_str()).ok_or_else(missing)?;
    if words.take("description") {
        group.description = Some(words.rest().into());
        return Ok(());
    }
    let nested = words.take("group-object") || words.take("object-group");
    let nested = if nested { Some(name(words)?) } else { None };
    match &mut group.members {
        Members::Network(family, members) => {
            let family = *family;
            members.push(one(nested, words, |words| addresses(words, family))?);
        }
        Members::Service(family, members) => {
            let family = *family;
            members.push(one(nested, words, |words| service(words, family))?);
        }
        Members::Ports(members) => members.push(one(nested, words, ports)?),
    }
    Ok(())
}

fn one<T>(
    nested: Option<Name>,
    words: &mut Words,
    own: impl FnOnce(&mut Words) -> Result<T, TextError>,
) -> Result<Member<T>, TextError> {
    nested.map_or_else(|| own(words).map(Member::Is), |name| Ok(Member::Group(name)))
}

fn addresses(words: &mut Words, family: Family) -> Result<Addresses, TextError> {
    let start = words.clone();
    let mut addresses = if words.take("any") {
        Addresses::Net(match family {
            Family::V4 => IpNet::V4(Ipv4Net::default()),
            Family::V6 => IpNet::V6(Ipv6Net::default()),
        })
    } else if words.take("host") {
        Addresses::Net(IpNet::from(words.parsed::<IpAddr>("an IP address")?))
    } else if words.take("range") {
        Addresses::Range(words.parsed("an IP address")?, words.parsed("an IP address")?)
    } else if words.peek().is_some_and(|word| word.text.contains('/')) {
        Addresses::Net(words.parsed("a prefix")?)
    } else {
        let wants = "any, host, range, group-object, an IP address or prefix";
        Addresses::Net(network(words.parsed(wants)?, words)?)
    };
    addresses.check(family).map_err(|error| start.error(What::refused(error)))?;
    Ok(addresses)
}

/// The network mask or length behind an address. A wildcard is refused: groups have none.
fn network(address: IpAddr, words: &mut Words) -> Result<IpNet, TextError> {
    let wants = "a network mask or prefix length";
    let refused = words.expected(wants);
    let word = words.word(wants)?.text;
    let net = match word.strip_prefix('/') {
        Some(length) => length.parse().ok().and_then(|length| IpNet::new(address, length).ok()),
        None => {
            let mask = word.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
            mask.and_then(|mask| IpNet::with_netmask(address, mask).ok())
        }
    };
    net.ok_or(refused)
}

fn service(words: &mut Words, family: Family) -> Result<Service, TextError> {
    let start = words.clone();
    let (protocol, ports) = if words.take("tcp-udp") {
        (ServiceProtocol::TcpUdp, Field::ports(None))
    } else if words.take("ip") || words.take("ipv6") {
        (ServiceProtocol::Any, Field::ports(None))
    } else {
        let number = protocol(words, family)?;
        let number = number.ok_or_else(|| words.expected("a protocol or group-object"))?;
        (ServiceProtocol::Number(number), Field::ports(Some(number)))
    };
    let mut service = Service::new(protocol);
    if protocol == ServiceProtocol::Number(family.icmp()) {
        service.icmp = icmp(words, family)?;
    } else {
        if words.take("source") {
            service.source_port = Some(ports.compare_or_value(words)?);
        }
        if !words.is_at_end() {
            service.destination_port = Some(ports.compare_or_value(words)?);
        }
    }
    service.check(family).map_err(|error| start.error(What::refused(error)))?;
    Ok(service)
}

fn ports(words: &mut Words) -> Result<Compare, TextError> {
    let start = words.clone();
    let compare = Field::ports(None).compare(words)?;
    let compare =
        compare.ok_or_else(|| words.expected("eq, neq, lt, gt, range or object-group"))?;
    compare.check("port", u16::MAX).map_err(|error| start.error(What::refused(error)))?;
    Ok(compare)
}
