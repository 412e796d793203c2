//! Next hops on no connected network: whether other routes lead to them.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Config, Interfaces, RouteTable, Target};

/// What is known of the routes that next hops may be behind.
pub(super) struct Recursion<'a> {
    interfaces: &'a Interfaces<'a>,
    configured: HashMap<(Option<&'a str>, IpNet), Vec<&'a Target>>,
    file: Option<&'a RouteTable>,
    /// Next hops that are reached.
    good: HashSet<(Option<&'a str>, IpAddr)>,
}

impl<'a> Recursion<'a> {
    pub(super) fn new(
        config: &'a Config,
        interfaces: &'a Interfaces<'a>,
        file: Option<&'a RouteTable>,
    ) -> Self {
        let mut configured: HashMap<_, Vec<&Target>> = HashMap::new();
        for route in &config.routes {
            configured.entry((route.vrf.as_deref(), route.prefix)).or_default().push(&route.target);
        }
        Self { interfaces, configured, file, good: HashSet::new() }
    }

    /// Whether `address` is on a connected network, or a route leads to it.
    pub(super) fn reaches(&mut self, vrf: Option<&'a str>, address: IpAddr) -> bool {
        self.follow(vrf, address, 0, &mut HashSet::new())
    }

    /// As [`Recursion::reaches`], for a next hop behind `depth` others. `seen` are those looked at
    /// already: they lead to nothing new.
    fn follow(
        &mut self,
        vrf: Option<&'a str>,
        address: IpAddr,
        depth: usize,
        seen: &mut HashSet<IpAddr>,
    ) -> bool {
        if self.good.contains(&(vrf, address)) || self.interfaces.connected(vrf, address).is_some()
        {
            return true;
        }
        if depth >= DEPTH || !seen.insert(address) {
            return false;
        }
        let longest = if address.is_ipv4() { 32 } else { 128 };
        for length in (0..=longest).rev() {
            let Ok(prefix) = IpNet::new(address, length) else { continue };
            let targets = self.targets(vrf, prefix.trunc());
            let names_it = |target: &&Target| matches!(target, Target::Via { address: via, dev: None } if *via == address);
            if targets.iter().any(names_it) {
                continue;
            }
            for target in targets {
                let leads = match target {
                    Target::Via { address, dev: None } => {
                        self.follow(vrf, *address, depth + 1, seen)
                    }
                    _ => true,
                };
                if leads {
                    self.good.insert((vrf, address));
                    return true;
                }
            }
        }
        false
    }

    fn targets(&self, vrf: Option<&'a str>, prefix: IpNet) -> Vec<&'a Target> {
        let mut targets = self.configured.get(&(vrf, prefix)).cloned().unwrap_or_default();
        if let (None, Some(file)) = (vrf, self.file) {
            targets.extend(file.targets(prefix));
        }
        targets
    }
}

/// Next hops behind each other.
const DEPTH: usize = 8;
