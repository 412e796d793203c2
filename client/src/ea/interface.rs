//! Interfaces: uIDB rows and the tables that find them by port and tags.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use driver::{Driver, DriverError};
use ipnet::IpNet;
use pal::pool::{Full, Pool, PoolUsage};
use pal::publication::{GraceClock, RootDraft};
use pal::region::{Block, Draft};
use qfp_core::fia::Gate;
use qfp_core::l2::{MacRow, PortClass, TagEntry};
use qfp_core::l3::{OwnAddress, own_addresses};
use qfp_core::punt;
use qfp_core::tables::table_kind;
use qfp_core::uidb::{NO_PORT, Rpf, RpfMode, TableId, Uidb, UidbIndex};

use crate::commit::{Features, PortFacts};
use crate::config::{Interface, InterfaceKind, Interfaces, Port, Tpid};
use crate::rm::{Kind, Named, Numbers};

/// Values of a VLAN id.
const TAGS: usize = 4096;

/// Tables of one generation.
#[derive(Clone, Copy)]
struct Blocks {
    uidbs: Block<Uidb>,
    ports: Block<PortClass>,
    outer: Block<TagEntry>,
    inner: Block<u16>,
    own_filter: Block<u32>,
    own: Block<OwnAddress>,
}

impl Blocks {
    fn name_in(&self, root: &mut RootDraft) {
        root.set(table_kind::UIDB, self.uidbs)
            .set(table_kind::PORT_CLASS, self.ports)
            .set(table_kind::OUTER_TAG, self.outer)
            .set(table_kind::INNER_TAG, self.inner)
            .set(table_kind::OWN_FILTER, self.own_filter)
            .set(table_kind::OWN_ADDRESSES, self.own);
    }

    fn retire(self, driver: &mut Driver) {
        driver.retire(self.uidbs);
        driver.retire(self.ports);
        driver.retire(self.outer);
        driver.retire(self.inner);
        driver.retire(self.own_filter);
        driver.retire(self.own);
    }
}

/// Numbers and tables of a generation to come.
#[derive(Default)]
pub(crate) struct Plan {
    /// Interfaces that had no number.
    fresh: Vec<String>,
    /// Interfaces that have none from then on.
    gone: Vec<String>,
    drafts: Option<Drafts>,
    before: Option<Blocks>,
}

/// The agent for interfaces.
pub(crate) struct InterfaceAgent {
    numbers: Numbers<UidbIndex>,
    by_name: HashMap<String, UidbIndex>,
    /// Numbers of ports, in the order of the configuration; those beyond are numbered in that order.
    ports: Vec<u16>,
    blocks: Option<Blocks>,
}

/// Tables that nobody sees yet.
struct Drafts {
    uidbs: Draft<Uidb>,
    ports: Draft<PortClass>,
    outer: Draft<TagEntry>,
    inner: Draft<u16>,
    own_filter: Draft<u32>,
    own: Draft<OwnAddress>,
}

impl InterfaceAgent {
    /// An agent for `count` interfaces. Packets know theirs outside of a vector, too: `clock` is that
    /// of the rings.
    pub(crate) fn new(count: u16, clock: &GraceClock) -> Self {
        let first = u32::from(UidbIndex::FIRST_CONFIGURED.0);
        let limit = (first + u32::from(count)).min(u32::from(UidbIndex::NONE.0));
        Self {
            numbers: Numbers::new(Kind::Interface, Pool::new("interfaces", first..limit, clock)),
            by_name: HashMap::new(),
            ports: Vec::new(),
            blocks: None,
        }
    }

    /// What it takes of.
    pub(crate) fn pools(&self) -> [PoolUsage; 1] {
        [self.numbers.usage()]
    }

    /// Numbers by name.
    pub(crate) const fn numbers(&mut self) -> &mut Numbers<UidbIndex> {
        &mut self.numbers
    }

    /// All names with their numbers.
    pub(crate) fn names(&self) -> impl Iterator<Item = Named> {
        self.by_name.iter().map(|(name, uidb)| self.numbers.named(name.clone(), *uidb))
    }

    /// Has ports numbered so, in the order of the configurations to come.
    pub(crate) fn number_ports(&mut self, numbers: Vec<u16>) {
        self.ports = numbers;
    }

    /// The number of a port that has this place in the configuration.
    fn port(&self, index: usize) -> u16 {
        let number = self.ports.get(index).copied();
        number.or_else(|| u16::try_from(index).ok()).unwrap_or(NO_PORT)
    }

    /// Numbers for all interfaces: an interface keeps its number as long as it is configured.
    ///
    /// A number is not reused while a packet may have it, so that a stale one never names another
    /// interface (ARC-22).
    pub(crate) fn number(
        &mut self,
        interfaces: &Interfaces<'_>,
        plan: &mut Plan,
    ) -> Result<(), Full> {
        let names = interfaces.all().iter().map(Interface::name);
        let fresh: Vec<&str> = names.filter(|name| !self.by_name.contains_key(*name)).collect();
        for name in fresh {
            let (uidb, is_kept) = self.numbers.give(name.to_owned())?;
            self.by_name.insert(name.to_owned(), uidb);
            if !is_kept {
                plan.fresh.push(name.to_owned());
            }
        }
        let names: HashSet<&str> = interfaces.all().iter().map(Interface::name).collect();
        let gone = self.by_name.keys().filter(|name| !names.contains(name.as_str()));
        plan.gone = gone.cloned().collect();
        Ok(())
    }

    /// The number of an interface that has been numbered.
    pub(crate) fn uidb(&self, interface: &Interface<'_>) -> UidbIndex {
        self.named(interface.name()).unwrap_or(UidbIndex::NONE)
    }

    pub(crate) fn named(&self, name: &str) -> Option<UidbIndex> {
        self.by_name.get(name).copied()
    }

    /// One more than the highest uIDB number.
    pub(crate) fn high_water(&self) -> usize {
        self.numbers.high_water() as usize
    }

    /// One more than the highest uIDB number that there can be.
    pub(crate) fn limit(&self) -> usize {
        (u32::from(UidbIndex::FIRST_CONFIGURED.0) + self.numbers.capacity()) as usize
    }

    /// Writes the tables of all interfaces, with `features`; `crypto` are those of the interface
    /// that encapsulated packets come in through.
    pub(crate) fn draft(
        &self,
        driver: &Driver,
        interfaces: &Interfaces<'_>,
        ports: &[PortFacts],
        (features, crypto): (impl Fn(&Interface<'_>) -> Features, Features),
        table: impl Fn(Option<&str>) -> TableId,
        plan: &mut Plan,
    ) -> Result<(), DriverError> {
        let mut rows = driver.alloc::<Uidb>(self.high_water())?;
        for internal in [UidbIndex::RP, UidbIndex::RECYCLE, UidbIndex::CRYPTO] {
            rows[usize::from(internal.0)] =
                Uidb { port: NO_PORT, mtu: u16::MAX, state: Uidb::UP, ..Uidb::default() };
        }
        // The router's own, and what has been judged where it came in.
        for internal in [UidbIndex::RP, UidbIndex::RECYCLE] {
            rows[usize::from(internal.0)].features_in |= Uidb::PASS_FRAGMENTS;
        }
        // A tunnel may lead through another one that ends here as well, and what was put together
        // from fragments may be ESP.
        for internal in [UidbIndex::CRYPTO, UidbIndex::RP] {
            rows[usize::from(internal.0)].features_in |= crypto.ingress;
        }
        let place = |index| usize::from(self.port(index));
        let limit = (0..ports.len()).map(|index| place(index) + 1).max();
        let mut classes = driver.alloc::<PortClass>(limit.unwrap_or(1))?;
        classes.fill(PortClass::NONE);
        for (index, facts) in ports.iter().enumerate() {
            classes[place(index)].mac = MacRow::from(facts.mac).0;
        }
        let layout = TagLayout::of(interfaces);
        let mut outer = driver.alloc::<TagEntry>((layout.ports.len() * TAGS).max(1))?;
        let mut inner = driver.alloc::<u16>((layout.outers.len() * TAGS).max(1))?;
        outer.fill(TagEntry::NONE);
        inner.fill(UidbIndex::NONE.0);
        for interface in interfaces.all() {
            let uidb = self.uidb(interface);
            let own = features(interface);
            let mut features_in = own.ingress | Gate::TTL.mask();
            let filters = |(index, port): (usize, &Port)| {
                let usual = ports.get(index).is_some_and(|facts| facts.filter_mac);
                port.mac_filter.unwrap_or(usual)
            };
            if !interface.is_hidden() && interface.port().is_some_and(filters) {
                features_in |= Gate::MAC_FILTER.mask();
            }
            let table = table(interface.vrf());
            if table != TableId::GLOBAL {
                features_in |= Gate::VRF.mask();
            }
            if interface.passes_tiny_fragments() {
                features_in |= Uidb::PASS_FRAGMENTS;
            }
            if interface.urpf().is_some() {
                features_in |= Gate::URPF.mask();
            }
            if !interface.allows_own_source() {
                features_in |= Gate::SOURCE.mask();
            }
            let rpf = interface.urpf().map_or(Rpf::default(), |urpf| Rpf {
                mode: if urpf.strict { RpfMode::Strict } else { RpfMode::Loose },
                allow_default: urpf.allow_default,
            });
            rows[usize::from(uidb.0)] = Uidb {
                features_in,
                features_out: own.egress,
                port: interface.sends_by().map_or(NO_PORT, |index| self.port(index)),
                mtu: interface.mtu(),
                state: if interface.is_up() { Uidb::UP } else { Uidb::DOWN },
                urpf: Rpf::pack(rpf, rpf),
                table: table.0,
            };
            match interface.kind {
                InterfaceKind::Tunnel { .. } | InterfaceKind::Policy { .. } => {}
                InterfaceKind::Port { index: port, .. } => {
                    if let Some(class) = classes.get_mut(place(port)) {
                        class.native = uidb.0;
                    }
                }
                InterfaceKind::Vlan { index: port, vlan, .. } => {
                    let table = layout.ports[&port];
                    if let Some(class) = classes.get_mut(place(port)) {
                        class.outer = u32::try_from(table * TAGS + 1).unwrap_or(0);
                    }
                    let entry = &mut outer[table * TAGS + usize::from(vlan.id)];
                    match vlan.inner {
                        None => entry.uidb = uidb.0,
                        Some(tag) => {
                            let table = layout.outers[&(port, vlan.id)];
                            entry.inner = u16::try_from(table + 1).unwrap_or(0);
                            inner[table * TAGS + usize::from(tag)] = uidb.0;
                        }
                    }
                }
            }
        }
        let (filter, list) = own_addresses(own_sources(interfaces, table));
        let mut own_filter = driver.alloc::<u32>(filter.len())?;
        own_filter.copy_from_slice(&filter);
        let mut own = driver.alloc::<OwnAddress>(list.len().max(1))?;
        own[..list.len()].copy_from_slice(&list);
        plan.drafts = Some(Drafts { uidbs: rows, ports: classes, outer, inner, own_filter, own });
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn numbers_used(&self) -> u32 {
        self.numbers.in_use()
    }

    /// Names the tables that were written.
    pub(crate) fn name(&mut self, plan: &mut Plan, root: &mut RootDraft) {
        let Some(drafts) = plan.drafts.take() else { return };
        let new = Blocks {
            uidbs: drafts.uidbs.publish(),
            ports: drafts.ports.publish(),
            outer: drafts.outer.publish(),
            inner: drafts.inner.publish(),
            own_filter: drafts.own_filter.publish(),
            own: drafts.own.publish(),
        };
        new.name_in(root);
        plan.before = self.blocks.replace(new);
    }

    /// Numbers of interfaces that are gone with the plan.
    pub(crate) fn gone(&self, plan: &Plan) -> impl Iterator<Item = UidbIndex> {
        plan.gone.iter().filter_map(|name| self.named(name))
    }

    /// Gives back what was there before, and the numbers of interfaces that are gone, which are free
    /// once no packet has them.
    pub(crate) fn keep(&mut self, driver: &mut Driver, plan: Plan) {
        if let Some(old) = plan.before {
            old.retire(driver);
        }
        let gone = plan.gone.iter().filter_map(|name| self.by_name.remove(name));
        gone.for_each(|uidb| self.numbers.retire(uidb));
    }

    /// Numbers that no packet has any more are free.
    pub(crate) fn reclaim(&mut self) {
        self.numbers.reclaim(|_| ());
    }

    /// Gives up what was prepared. The numbers named nothing to anybody.
    pub(crate) fn abort(&mut self, plan: Plan) {
        for name in plan.fresh {
            if let Some(uidb) = self.by_name.remove(&name) {
                self.numbers.give_back(uidb);
            }
        }
    }

    /// The interfaces as the slow path knows them.
    pub(crate) fn slow_path(
        &self,
        interfaces: &Interfaces<'_>,
        ports: &[PortFacts],
        table: impl Fn(Option<&str>) -> TableId,
    ) -> Vec<punt::Interface> {
        let describe = |interface: &Interface<'_>| {
            let nets = interface.addresses();
            let tag = |tpid: Tpid, vid| punt::VlanTag { tpid: tpid.ethertype(), vid };
            let tags = interface.vlan().map_or(Vec::new(), |vlan| match vlan.inner {
                None => vec![tag(vlan.tpid, vlan.id)],
                Some(inner) => vec![tag(vlan.tpid, vlan.id), tag(Tpid::Dot1q, inner)],
            });
            punt::Interface {
                uidb: self.uidb(interface),
                table: table(interface.vrf()),
                name: interface.name().to_owned(),
                mac: mac_of(interface, ports),
                mtu: interface.mtu(),
                ipv4: nets
                    .iter()
                    .filter_map(|net| match net {
                        ipnet::IpNet::V4(net) => Some(*net),
                        ipnet::IpNet::V6(_) => None,
                    })
                    .collect(),
                ipv6: nets
                    .iter()
                    .filter_map(|net| match net {
                        ipnet::IpNet::V4(_) => None,
                        ipnet::IpNet::V6(net) => Some(*net),
                    })
                    .collect(),
                tags,
            }
        };
        interfaces.all().iter().map(describe).collect()
    }
}

/// The MAC address of an interface; zeroes for a tunnel, which has none.
pub(crate) fn mac_of(interface: &Interface<'_>, ports: &[PortFacts]) -> [u8; 6] {
    let facts = interface.port().and_then(|(index, _)| ports.get(index));
    facts.map_or([0; 6], |facts| facts.mac)
}

/// Addresses that nobody else may have as source: the router's own, and the broadcasts of its
/// networks. Link-local ones are not among them: a neighbour that has one is to be heard of.
fn own_sources(
    interfaces: &Interfaces<'_>,
    table: impl Fn(Option<&str>) -> TableId,
) -> Vec<(TableId, IpAddr)> {
    let mut sources = Vec::new();
    for interface in interfaces.all() {
        let table = table(interface.vrf());
        for net in interface.addresses() {
            match net {
                IpNet::V4(net) => {
                    sources.push((table, IpAddr::V4(net.addr())));
                    if net.prefix_len() <= 30 {
                        sources.push((table, IpAddr::V4(net.broadcast())));
                    }
                }
                IpNet::V6(net) if net.addr().is_unicast_link_local() => {}
                IpNet::V6(net) => sources.push((table, IpAddr::V6(net.addr()))),
            }
        }
    }
    sources
}

/// Which 4096 rows of the tag tables belong to whom.
struct TagLayout {
    /// By port with sub-interfaces.
    ports: HashMap<usize, usize>,
    /// By port and outer tag with inner tags.
    outers: HashMap<(usize, u16), usize>,
}

impl TagLayout {
    fn of(interfaces: &Interfaces<'_>) -> Self {
        let mut layout = Self { ports: HashMap::new(), outers: HashMap::new() };
        for interface in interfaces.all() {
            let InterfaceKind::Vlan { index, vlan, .. } = interface.kind else { continue };
            let next = layout.ports.len();
            layout.ports.entry(index).or_insert(next);
            if vlan.inner.is_some() {
                let next = layout.outers.len();
                layout.outers.entry((index, vlan.id)).or_insert(next);
            }
        }
        layout
    }
}
