use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{AceError, Compare, Family, Icmp, Name, Protocol};

/// Member of a group: what the group is of, or another group of the same sort.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Member<T> {
    /// A member of its own.
    Is(T),
    /// All members of the group of this name.
    Group(Name),
}

/// Addresses in a network group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Addresses {
    /// A prefix; bits behind it do not count.
    Net(IpNet),
    /// From the first to the second, both included.
    Range(IpAddr, IpAddr),
}

/// Protocols of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServiceProtocol {
    /// Every protocol: `ip`.
    Any,
    /// The protocol of this number.
    Number(u8),
    /// TCP and UDP: `tcp-udp`.
    TcpUdp,
}

/// Member of a service group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    /// Protocols.
    pub protocol: ServiceProtocol,
    /// Source ports.
    pub source_port: Option<Compare>,
    /// Destination ports.
    pub destination_port: Option<Compare>,
    /// ICMP message.
    pub icmp: Option<Icmp>,
}

/// What a group is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Members {
    /// Addresses of a family: `object-group network`.
    Network(Family, Vec<Member<Addresses>>),
    /// Protocols and ports, in lists of a family: `object-group service`.
    Service(Family, Vec<Member<Service>>),
    /// Ports: `object-group port`.
    Ports(Vec<Member<Compare>>),
}

/// A group, without its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectGroup {
    /// A note for readers: one line without blanks around it.
    pub description: Option<String>,
    /// Its members. A group without any matches nothing.
    pub members: Members,
}

/// Why there cannot be such a group.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GroupError {
    /// An address of the other family.
    #[error("{0} is not of the group's family")]
    OtherFamily(IpAddr),
    /// A range that ends before it starts.
    #[error("the range from {0} to {1} is backwards")]
    Backwards(IpAddr, IpAddr),
    /// A description that would not be read back.
    #[error("a description is one line, without blanks around it")]
    BadDescription,
    /// Ports or ICMP type that cannot be.
    #[error(transparent)]
    BadService(#[from] AceError),
}

/// The groups that aces may name, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects(BTreeMap<Name, ObjectGroup>);

impl Objects {
    /// Adds a group, or puts it in the place of the one of that name, which it gives.
    ///
    /// # Errors
    ///
    /// A group that cannot be. Names of other groups are not looked up.
    pub fn insert(
        &mut self,
        name: Name,
        mut group: ObjectGroup,
    ) -> Result<Option<ObjectGroup>, GroupError> {
        if !group.description.as_deref().is_none_or(is_note) {
            return Err(GroupError::BadDescription);
        }
        match &mut group.members {
            Members::Network(family, members) => {
                own(members).try_for_each(|addresses| addresses.check(*family))?;
            }
            Members::Service(family, members) => {
                own(members).try_for_each(|service| service.check(*family))?;
            }
            Members::Ports(members) => {
                own(members).try_for_each(|ports| ports.check("port", u16::MAX))?;
            }
        }
        Ok(self.0.insert(name, group))
    }

    /// Takes a group out. Gives it.
    pub fn remove(&mut self, name: &str) -> Option<ObjectGroup> {
        self.0.remove(name)
    }

    /// The group of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ObjectGroup> {
        self.0.get(name)
    }

    /// Names and groups, in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &ObjectGroup)> {
        self.0.iter()
    }

    /// The group of this name, to add to it. What is added is checked by who does.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut ObjectGroup> {
        self.0.get_mut(name)
    }
}

/// Whether a remark or description would be read back as it is.
#[must_use]
pub(super) fn is_note(text: &str) -> bool {
    text.trim() == text && !text.contains('\n')
}

fn own<T>(members: &mut [Member<T>]) -> impl Iterator<Item = &mut T> {
    members.iter_mut().filter_map(|member| match member {
        Member::Is(own) => Some(own),
        Member::Group(_) => None,
    })
}

impl Addresses {
    /// Makes sure that they are of the family, and drops bits behind a prefix.
    pub(super) fn check(&mut self, family: Family) -> Result<(), GroupError> {
        let is_v4 = family == Family::V4;
        let both = match self {
            Self::Net(net) => {
                *net = net.trunc();
                [net.addr(); 2]
            }
            Self::Range(low, high) => [*low, *high],
        };
        let other = both.into_iter().find(|address| address.is_ipv4() != is_v4);
        match (other, both) {
            (Some(address), _) => Err(GroupError::OtherFamily(address)),
            (None, [low, high]) if low > high => Err(GroupError::Backwards(low, high)),
            (None, _) => Ok(()),
        }
    }
}

impl Service {
    /// A service of all ports of a protocol.
    #[must_use]
    pub fn new(protocol: ServiceProtocol) -> Self {
        Self { protocol, source_port: None, destination_port: None, icmp: None }
    }

    pub(super) fn check(&self, family: Family) -> Result<(), AceError> {
        let has_ports = match self.protocol {
            ServiceProtocol::Any => false,
            ServiceProtocol::Number(number) => Protocol::Number(number).has_ports(),
            ServiceProtocol::TcpUdp => true,
        };
        for ports in [&self.source_port, &self.destination_port].into_iter().flatten() {
            if !has_ports {
                return Err(AceError::NoPorts);
            }
            ports.check("port", u16::MAX)?;
        }
        if self.icmp.is_some() && self.protocol != ServiceProtocol::Number(family.icmp()) {
            return Err(AceError::NotIcmp);
        }
        Ok(())
    }
}
