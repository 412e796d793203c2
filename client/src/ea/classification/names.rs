//! What objects and counters are called.

use qfp_core::acl::{Feature, Place};

use super::rules::RuleName;
use crate::acl::Family;
use crate::config::{Config, Interface};
use crate::ipsec::Direction;
use crate::pbr::RuleKey;

/// What a classification object is made of: interfaces with the same share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// Whose packets.
    pub family: Family,
    /// Access list.
    pub list: Option<String>,
    /// Route map.
    pub policy: Option<String>,
    /// Whether flow specifications apply.
    pub flows: bool,
    /// Service policy.
    pub service: Option<String>,
    /// The interface and direction whose security policy it is.
    pub security: Option<(String, Direction)>,
}

impl ObjectName {
    /// The name of an object without rules.
    pub(super) fn nothing(family: Family) -> Self {
        Self { family, list: None, policy: None, flows: false, service: None, security: None }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.family.name())?;
        if let Some(list) = &self.list {
            write!(f, " access list {list}")?;
        }
        if let Some(policy) = &self.policy {
            write!(f, " route map {policy}")?;
        }
        if let Some(service) = &self.service {
            write!(f, " policy-map {service}")?;
        }
        if let Some((interface, direction)) = &self.security {
            write!(f, " security policy {interface} {}", direction.name())?;
        }
        f.write_str(if self.flows { " flow specifications" } else { "" })
    }
}

/// Whose counters a number stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CounterName {
    /// A rule of an access list.
    Ace(Family, String, RuleName),
    /// A rule of a route map.
    Policy(Family, String, RuleKey),
    /// An entry of a security policy; both families are counted together.
    Security(SecurityRule),
}

/// A rule of a security policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecurityRule {
    /// The entry, as `INTERFACE/ENTRY`.
    pub entry: String,
    /// Packets that it looks at.
    pub direction: Direction,
    /// Whether it is the rule behind the entry and those that protect, which discards later fragments
    /// that the entry's ports cannot tell apart.
    pub fragments: bool,
}

/// The objects of an interface: IPv4 and IPv6 in, IPv4 and IPv6 out.
pub(super) fn names(
    config: &Config,
    interface: &Interface<'_>,
    flows: bool,
) -> [Option<ObjectName>; 4] {
    let list = |names: &[String], family| {
        names.iter().find(|name| config.access_lists.list(family, name).is_some()).cloned()
    };
    let policed = has_security(config, interface);
    let object = |direction, family| {
        let (lists, service) = match direction {
            Direction::In => (interface.acl_in(), interface.service_policy_in()),
            Direction::Out => (interface.acl_out(), interface.service_policy_out()),
        };
        let comes_in = direction == Direction::In;
        let name = ObjectName {
            family,
            list: list(lists, family),
            policy: interface.policy_route().filter(|_| comes_in).map(str::to_owned),
            flows: flows && comes_in,
            service: service.map(str::to_owned),
            security: policed.then(|| (interface.name().to_owned(), direction)),
        };
        (name != ObjectName::nothing(family)).then_some(name)
    };
    [
        object(Direction::In, Family::V4),
        object(Direction::In, Family::V6),
        object(Direction::Out, Family::V4),
        object(Direction::Out, Family::V6),
    ]
}

/// Whether an interface has a security policy.
pub(super) fn has_security(config: &Config, interface: &Interface<'_>) -> bool {
    !interface.is_protected() && config.ipsec.has_policy(interface.name())
}

/// The features that an object has rules of, a bit each.
pub(super) fn present(name: &ObjectName) -> u32 {
    let on = |condition: bool, feature: Feature| u32::from(condition) << feature as u32;
    on(name.list.is_some(), Feature::Acl)
        | on(name.policy.is_some() || name.flows, Feature::Pbr)
        | on(name.service.is_some(), Feature::Qos)
        | on(name.security.is_some(), Feature::Spd)
}

/// Where a rule stands in an object, whose features are counted without those it does not have.
pub(super) fn packed(name: &ObjectName, place: Place) -> Place {
    let before = present(name) & ((1 << place.feature) - 1);
    Place { feature: before.count_ones().to_le_bytes()[0], ..place }
}
