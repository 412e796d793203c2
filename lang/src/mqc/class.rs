//! Class maps: which packets a class is for.

use std::ops::RangeInclusive;

use super::{Ip, Numbers};
use crate::acl::{Family, Name};
use crate::ios::Description;
use crate::mac::MacAddr;

/// The class of what no other class of a policy takes. It has no class map.
pub const CLASS_DEFAULT: &str = "class-default";
/// Greatest QoS group.
pub const MAX_QOS_GROUP: u16 = 511;
/// Greatest VLAN.
pub const MAX_VLAN: u16 = 4094;

/// How the matches of a class map go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Logic {
    /// One of them must hold.
    Any,
    /// All of them must hold.
    All,
}

/// Which packets a class is for. Without matches: none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassMap {
    /// Its name.
    pub name: Name,
    /// What the operator notes about it.
    pub description: Option<Description>,
    /// How the matches go together.
    pub logic: Logic,
    /// The matches.
    pub matches: Vec<Criterion>,
}

/// A match, or its opposite.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Criterion {
    /// Packets that do *not* match: `match not`.
    pub not: bool,
    /// The match.
    pub is: Match,
}

/// What can be asked of a packet. Packets that lack the field do not match.
///
/// Packets are seen as they come into the policy: what a policy sets, it cannot match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Match {
    /// Every packet.
    Any,
    /// The access list of this name permits it. With [`Ip::Both`], the list of the packet's own
    /// family, if there is one.
    AccessGroup(Ip, Name),
    /// DSCP, 0 to 63.
    Dscp(Ip, Numbers),
    /// Precedence, 0 to 7.
    Precedence(Ip, Numbers),
    /// Class of service of the outer tag, 0 to 7.
    Cos(Numbers),
    /// Class of service of the inner tag, 0 to 7.
    InnerCos(Numbers),
    /// Drop eligible indicator of the outer tag.
    Dei(bool),
    /// VLAN of the outer tag, 1 to [`MAX_VLAN`].
    Vlan(Numbers),
    /// VLAN of the inner tag, likewise.
    InnerVlan(Numbers),
    /// EXP of the topmost label, 0 to 7.
    TopmostExp(Numbers),
    /// QoS group, 0 to [`MAX_QOS_GROUP`]; 0 if none has been set.
    QosGroup(Numbers),
    /// Discard class, 0 to 7; 0 if none has been set.
    DiscardClass(Numbers),
    /// Protocol behind the IP header, 0 to 255.
    Protocol(Numbers),
    /// IP version.
    Version(Family),
    /// Source MAC address.
    SourceMac(MacAddr),
    /// Destination MAC address.
    DestinationMac(MacAddr),
    /// Length of the IP packet, header included, in bytes.
    PacketLength(RangeInclusive<u16>),
    /// What the class map of this name matches.
    Class(Name),
}

impl ClassMap {
    /// A class map without matches.
    #[must_use]
    pub fn new(name: Name, logic: Logic) -> Self {
        Self { name, description: None, logic, matches: Vec::new() }
    }

    /// With one more match.
    #[must_use]
    pub fn matching(mut self, is: Match) -> Self {
        self.matches.push(Criterion { not: false, is });
        self
    }

    /// The class maps that it names.
    pub(super) fn nested(&self) -> impl Iterator<Item = &Name> {
        self.matches.iter().filter_map(|criterion| match &criterion.is {
            Match::Class(name) => Some(name),
            _ => None,
        })
    }
}

/// Whether a class of this name is the default one.
pub(super) fn is_default(name: &Name) -> bool {
    name.as_str().eq_ignore_ascii_case(CLASS_DEFAULT)
}
