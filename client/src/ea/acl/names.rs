//! What objects and counters are called.

use qfp_core::acl::{Feature, Place};

use super::rules::RuleName;
use crate::acl::Family;
use crate::config::{Config, Interface};
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
}

impl ObjectName {
    /// The name of an object without rules.
    fn nothing(family: Family) -> Self {
        Self { family, list: None, policy: None, flows: false, service: None }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = match self.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        f.write_str(family)?;
        if let Some(list) = &self.list {
            write!(f, " access list {list}")?;
        }
        if let Some(policy) = &self.policy {
            write!(f, " route map {policy}")?;
        }
        if let Some(service) = &self.service {
            write!(f, " policy-map {service}")?;
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
    let object = |lists: &[String], policy: Option<&str>, service: Option<&str>, flows, family| {
        let name = ObjectName {
            family,
            list: list(lists, family),
            policy: policy.map(str::to_owned),
            flows,
            service: service.map(str::to_owned),
        };
        (name != ObjectName::nothing(family)).then_some(name)
    };
    let (inbound, outbound) = (interface.acl_in(), interface.acl_out());
    let route = interface.policy_route();
    let (service_in, service_out) = (interface.service_policy_in(), interface.service_policy_out());
    [
        object(inbound, route, service_in, flows, Family::V4),
        object(inbound, route, service_in, flows, Family::V6),
        object(outbound, None, service_out, false, Family::V4),
        object(outbound, None, service_out, false, Family::V6),
    ]
}

/// The features that an object has rules of, a bit each.
pub(super) fn present(name: &ObjectName) -> u32 {
    let on = |condition: bool, feature: Feature| u32::from(condition) << feature as u32;
    on(name.list.is_some(), Feature::Acl)
        | on(name.policy.is_some() || name.flows, Feature::Pbr)
        | on(name.service.is_some(), Feature::Qos)
}

/// Where a rule stands in an object, whose features are counted without those it does not have.
pub(super) fn packed(name: &ObjectName, place: Place) -> Place {
    let before = present(name) & ((1 << place.feature) - 1);
    Place { feature: before.count_ones().to_le_bytes()[0], ..place }
}
