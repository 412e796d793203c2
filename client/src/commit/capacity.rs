//! How large the tables are.

use std::collections::HashSet;

use ipnet::IpNet;

use qfp_core::crypto::SaKey;
use qfp_core::ipsec::{
    InboundSa, OutboundSa, SaState, SpiBucket, SpiTable, TunnelState, replay_words,
};
use qfp_core::qos::police::{PolicerConfig, PolicerState};
use qfp_core::qos::{ClassEvent, ClassRow};

use super::CommitError;
use crate::config::{Config, ConfiguredSa, Interface, Interfaces, RouteTable};
use crate::ea::lines_for;

/// Sizes of the tables, fixed when the client starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Capacity {
    /// Adjacencies, below 2^24.
    pub adjacencies: u32,
    /// Places of next-hop groups with several members, below 2^24: a group has 64 to 1024.
    pub paths: u32,
    /// /24s with routes longer than that, and spans below a /48: the same number of each, at most
    /// 32,768. Together with the number of next-hop groups at most 65,535.
    pub long_prefixes: u32,
    /// Lines of the IPv6 table, 64 bytes each: about a line for two routes.
    pub ipv6_lines: u32,
    /// Interfaces that there can be at once. Each takes 16 bytes of a data plane for each type of flow,
    /// and of every lcore, which counts them, 16 more and another 32, once it counts.
    pub interfaces: u16,
    /// VRFs; the global table is not one of them.
    pub vrfs: u16,
    /// Lines of each VRF's IPv4 table, 64 bytes each; at least 34.
    pub vrf_ipv4_lines: u32,
    /// Lines of each VRF's IPv6 table, 64 bytes each: 256 for each /16 with routes, and others.
    pub vrf_ipv6_lines: u32,
    /// Spans below a /48 of each VRF.
    pub vrf_long_prefixes: u16,
    /// Lines for access lists and policies, 64 bytes each: two to six for a rule, twice, since what
    /// is new is built beside what is in use.
    pub acl_lines: u32,
    /// Rules of access lists and policies that have counters.
    pub rules: u32,
    /// SAs of both directions, old and new ones while they are rekeyed; 0 for a router without ESP.
    pub sas: u32,
    /// Words of replay windows: 4 for a window of 64 packets, 256 for one of 4096.
    pub replay_words: u32,
    /// Classes of service policies, counted for each interface and direction that they are bound to.
    pub classes: u32,
}

impl Capacity {
    /// Room for the full Internet table twice over.
    pub const INTERNET: Self = Self {
        adjacencies: 1 << 17,
        paths: 1 << 20,
        long_prefixes: 8192,
        ipv6_lines: 1 << 19,
        ..Self::SMALL
    };
    /// Room for a few thousand routes.
    pub const SMALL: Self = Self {
        adjacencies: 1 << 13,
        paths: 1 << 15,
        long_prefixes: 4096,
        ipv6_lines: 1 << 15,
        interfaces: 2048,
        vrfs: 0,
        vrf_ipv4_lines: 256,
        vrf_ipv6_lines: 1 << 11,
        vrf_long_prefixes: 64,
        acl_lines: 1 << 13,
        rules: 1 << 16,
        sas: 0,
        replay_words: 0,
        classes: 1 << 10,
    };

    /// Room for this configuration, and for routes that come and go.
    #[must_use]
    pub fn fitting(config: &Config, routes: &RouteTable) -> Self {
        let interfaces = Interfaces::new(config);
        let mut vrfs: Vec<&str> = interfaces.all().iter().filter_map(Interface::vrf).collect();
        vrfs.sort_unstable();
        vrfs.dedup();
        let needs = vrfs.iter().map(|vrf| lines_of(config, &interfaces, vrf));
        let (ipv4, ipv6) = needs.fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
        let lines = |least: u32, needed: usize| {
            least.max(u32::try_from(needed).unwrap_or(u32::MAX).min(1 << 20))
        };
        let rest = if routes.len() > 4096 { Self::INTERNET } else { Self::SMALL };
        let statics = u32::try_from(config.neighbours.len()).unwrap_or(u32::MAX);
        // A tunnel leads to a neighbour of each family.
        let tunnels = u32::try_from(4 * config.ipsec.tunnels.len()).unwrap_or(u32::MAX);
        let neighbours = config.neighbour_limits.limit.unwrap_or(0);
        let adjacencies = rest.adjacencies.max(neighbours.saturating_add(neighbours / 4 + 1024));
        Self {
            adjacencies: adjacencies.saturating_add(tunnels).saturating_add(statics),
            interfaces: interfaces_for(&interfaces),
            vrfs: u16::try_from(vrfs.len()).unwrap_or(u16::MAX),
            vrf_ipv4_lines: lines(Self::SMALL.vrf_ipv4_lines, ipv4),
            vrf_ipv6_lines: lines(Self::SMALL.vrf_ipv6_lines, ipv6),
            acl_lines: lines_for(config),
            rules: rules_for(config),
            sas: sas_for(config),
            replay_words: replay_words_for(config),
            classes: classes_for(config),
            ..rest
        }
    }

    /// Neighbours that may be learnt when `used` adjacencies are in use. The rest is for those that
    /// change: a neighbour whose MAC address changes has two rows for a while, and routes that come
    /// bring next hops.
    #[must_use]
    pub const fn neighbours(&self, used: u32) -> usize {
        let free = self.adjacencies.saturating_sub(used) as usize;
        free - free / 8
    }

    /// Bytes of resource memory for tables of these sizes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        let vrfs = self.vrfs as usize + 1;
        // tbl24, groups, roots; then by row; then room for interfaces of two generations.
        (32 << 20)
            + (1 << 20)
            + self.adjacencies as usize * 64
            + self.paths as usize * 4
            + self.long_prefixes as usize * (512 + 4)
            + self.ipv6_lines as usize * 64
            + vrfs * self.each_vrf()
            + self.acl_lines as usize * 64
            + self.classes as usize * 2 * (size_of::<ClassRow>() + size_of::<PolicerConfig>() + 4)
            + self.sas as usize * (size_of::<OutboundSa>() + size_of::<InboundSa>())
            + self.sas as usize * size_of::<SaKey>()
            + SpiTable::buckets(self.sas as usize) * size_of::<SpiBucket>()
            + (64 << 20)
    }

    /// Bytes of those for the tables of VRFs. Nearly all of them are written at the start.
    #[must_use]
    pub const fn vrf_bytes(&self) -> usize {
        self.vrfs as usize * self.each_vrf()
    }

    /// Bytes of one VRF: two roots, its row, lines and deep entries.
    const fn each_vrf(&self) -> usize {
        2 * (1 << 18)
            + 64
            + 64 * (self.vrf_ipv4_lines as usize + self.vrf_ipv6_lines as usize)
            + 4 * self.vrf_long_prefixes as usize
    }

    /// Bytes of memory for what lcores write.
    #[must_use]
    pub const fn state_bytes(&self) -> usize {
        // One row an interface; large tables begin at a multiple of 2 MB.
        let apart = if self.sas > 0 { (1 << 16) * size_of::<TunnelState>() + (4 << 21) } else { 0 };
        self.classes as usize * size_of::<PolicerState>()
            + self.sas as usize * size_of::<SaState>()
            + self.replay_words as usize * 8
            + apart
            + (1 << 12)
    }

    /// Counters that rules and classes have on every lcore.
    #[must_use]
    pub const fn counters(&self) -> usize {
        self.rules as usize + self.classes as usize * ClassEvent::COUNT as usize
    }

    /// Checks what the formats of the tables can hold.
    pub(super) fn check(&self) -> Result<(), CommitError> {
        // Groups have numbers of 16 bits: two a table are for default routes.
        let groups = 2 * (u64::from(self.vrfs) + 1) + u64::from(self.long_prefixes);
        let spans = u64::from(self.long_prefixes);
        for (what, value, limit) in [
            ("adjacencies", self.adjacencies.into(), (1 << 24) - 1),
            ("places of groups", self.paths.into(), (1 << 24) - 1),
            ("blocks for long prefixes", spans, 32_768),
            ("numbers for default routes and long prefixes", groups, 0xfffe),
            ("lines of an IPv6 table", self.ipv6_lines.into(), 1 << 26),
            ("lines of a VRF's IPv4 table", self.vrf_ipv4_lines.into(), 1 << 26),
            ("lines of a VRF's IPv6 table", self.vrf_ipv6_lines.into(), 1 << 26),
            ("lines for access lists", self.acl_lines.into(), 1 << 28),
            ("rules with counters", self.rules.into(), 1 << 28),
            ("classes of service policies", self.classes.into(), 1 << 24),
            ("SAs", self.sas.into(), 1 << 20),
            ("words of replay windows", self.replay_words.into(), 1 << 28),
        ] {
            if value > u64::from(limit) {
                return Err(CommitError::TooMany { what, value, limit });
            }
        }
        Ok(())
    }
}

/// Interfaces that are configured, and as many again that come later.
fn interfaces_for(interfaces: &Interfaces<'_>) -> u16 {
    u16::try_from(2 * interfaces.all().len()).unwrap_or(u16::MAX).max(Capacity::SMALL.interfaces)
}

/// Classes where they are bound, and as many again while one commit follows another.
fn classes_for(config: &Config) -> u32 {
    let nodes = |policy: Option<&str>| {
        policy.and_then(|policy| config.policies.tree(policy).ok()).map_or(0, |t| t.nodes().len())
    };
    let interfaces = Interfaces::new(config);
    let bound = interfaces.all().iter().map(|interface| {
        nodes(interface.service_policy_in()) + nodes(interface.service_policy_out())
    });
    let classes = 2 * bound.sum::<usize>();
    u32::try_from(classes).unwrap_or(u32::MAX).clamp(Capacity::SMALL.classes, 1 << 24)
}

/// SAs that are configured, and as many again for those that take their place.
fn sas_for(config: &Config) -> u32 {
    if config.ipsec.is_empty() {
        return 0;
    }
    u32::try_from(2 * config.ipsec.sas.len()).unwrap_or(u32::MAX).clamp(64, 1 << 20)
}

/// Words for their replay windows, and as many again; any window for some SAs more.
fn replay_words_for(config: &Config) -> u32 {
    if config.ipsec.is_empty() {
        return 0;
    }
    let words = |sa: &ConfiguredSa| u64::from(replay_words(sa.sa.replay_window).unwrap_or(0));
    let words: u64 = config.ipsec.sas.iter().map(words).sum();
    u32::try_from(2 * words + (1 << 13)).unwrap_or(u32::MAX).min(1 << 28)
}

/// Rules with counters: those configured, and as many again while one commit follows another.
fn rules_for(config: &Config) -> u32 {
    let aces: usize = config.access_lists.lists().map(|list| list.aces().count() + 3).sum();
    let entries: usize = config.route_maps.iter().map(|map| 2 * map.entries().count()).sum();
    // Both directions, and later fragments.
    let security = 4 * config.ipsec.spd.len();
    let rules = u32::try_from(2 * (aces + entries + security)).unwrap_or(u32::MAX);
    rules.clamp(Capacity::SMALL.rules, 1 << 22)
}

/// Lines for the configured routes of a VRF, IPv4 and IPv6: a route begins and ends an interval,
/// in a node of its own at worst, and all of it is built twice when a default route comes.
fn lines_of(config: &Config, interfaces: &Interfaces<'_>, vrf: &str) -> (usize, usize) {
    let routes = config.routes.iter().filter(|route| route.vrf.as_deref() == Some(vrf));
    let own = interfaces.all().iter().filter(|interface| interface.vrf() == Some(vrf));
    // Each address has up to four prefixes, and neighbours.
    let connected = own.flat_map(|i| i.addresses()).flat_map(|net| [*net; 8]);
    let (mut ipv4, mut ipv6, mut roots) = (0, 0, HashSet::new());
    for net in routes.map(|route| route.prefix).chain(connected) {
        match net {
            IpNet::V4(_) => ipv4 += 1,
            IpNet::V6(net) => {
                ipv6 += 1;
                roots.insert(net.network().segments()[0]);
            }
        }
    }
    (ipv4 * 8, ipv6 * 8 + roots.len() * 512)
}
