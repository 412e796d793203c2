//! Whether access lists and route maps can be what interfaces use them for.

use super::texts::definition;
use super::{Config, ConfigError, Definition, Interface, Interfaces, MAX_ACES, Problem};
use crate::acl::{Family, Name};
use crate::pbr::{Entry, RouteMap};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Config {
    /// Checks all access lists and route maps, used or not, and then who uses them.
    pub(super) fn check_bindings(&self, interfaces: &Interfaces<'_>) -> Result<(), ConfigError> {
        for list in self.access_lists.lists() {
            if let Err(error) = list.resolved_len(&self.access_lists.objects, MAX_ACES) {
                let list = definition(list);
                let place = self.definitions.place(&list);
                return Err(Problem::BadAccessList { list, error }.at(place));
            }
        }
        for map in self.route_maps.iter() {
            for (sequence, entry) in map.entries() {
                self.check_entry(interfaces, map, sequence, entry).map_err(|problem| {
                    let map = Definition::RouteMap(map.name().clone());
                    problem.at(self.definitions.place(&map))
                })?;
            }
        }
        interfaces.all().iter().try_for_each(|interface| self.check_use(interface))
    }

    fn check_entry(
        &self,
        interfaces: &Interfaces<'_>,
        map: &RouteMap,
        sequence: u16,
        entry: &Entry,
    ) -> Result<(), Problem> {
        let matches = [&entry.matches.ipv4, &entry.matches.ipv6];
        for (family, names) in FAMILIES.into_iter().zip(matches) {
            let unknown = |name: &&Name| self.access_lists.list(family, name.as_str()).is_none();
            if let Some(name) = names.iter().find(unknown) {
                let list = Definition::AccessList(family, name.clone());
                return Err(Problem::RouteMapList { map: map.name().clone(), sequence, list });
            }
        }
        let vrf = entry.sets.vrf.as_ref();
        let has = |vrf: &str| interfaces.all().iter().any(|one| one.vrf() == Some(vrf));
        match vrf.filter(|vrf| !has(vrf.as_str())) {
            None => Ok(()),
            Some(vrf) => {
                let (map, vrf) = (map.name().clone(), vrf.clone());
                Err(Problem::RouteMapVrf { map, sequence, vrf })
            }
        }
    }

    fn check_use(&self, interface: &Interface<'_>) -> Result<(), ConfigError> {
        let origin = interface.origin();
        for (key, names) in [("acl_in", interface.acl_in()), ("acl_out", interface.acl_out())] {
            for (index, name) in names.iter().enumerate() {
                self.check_list(&names[..index], name)
                    .map_err(|problem| problem.at(origin.nth(key, index)))?;
            }
        }
        let policies = [
            ("service_policy_in", interface.service_policy_in()),
            ("service_policy_out", interface.service_policy_out()),
        ];
        for (key, policy) in policies {
            if let Some(policy) = policy
                && self.policies.policy(policy).is_none()
            {
                return Err(Problem::UnknownPolicy(policy.to_owned()).at(origin.at(key)));
            }
        }
        let Some(name) = interface.policy_route() else { return Ok(()) };
        match self.route_maps.get(name) {
            Some(map) if map.entries().next().is_some() => Ok(()),
            Some(_) => Err(Problem::EmptyRouteMap(name.to_owned())),
            None => Err(Problem::UnknownRouteMap(name.to_owned())),
        }
        .map_err(|problem| problem.at(origin.at("policy_route")))
    }

    /// Checks that an interface that has the lists `earlier` can have this one as well.
    fn check_list(&self, earlier: &[String], name: &str) -> Result<(), Problem> {
        let exists = |family, name: &str| self.access_lists.list(family, name).is_some();
        let mut families = FAMILIES.into_iter().filter(|family| exists(*family, name)).peekable();
        if families.peek().is_none() {
            return Err(Problem::UnknownAccessList(name.to_owned()));
        }
        let first = families.find_map(|family| earlier.iter().find(|name| exists(family, name)));
        match first.cloned() {
            None => Ok(()),
            Some(first) => Err(Problem::SecondAccessList { name: name.to_owned(), first }),
        }
    }
}
