//! A router's tables in memory of their own, and vectors through them: what the tests of the walk
//! stand on. Tables are said as plain lists and written as the client writes them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use hal::pool::NativePool;
use hal::{Burst, PacketMask, PoolCache, TxQueue, VECTOR};
use ipnet::IpNet;
use pal::clock::Nanos;
use pal::publication::{Publisher, RootDraft, Timekeeper};
use pal::region::{Block, HugePages, Plain, Region};

use crate::acl::Bindings;
use crate::adjacency::{
    Adjacency, AdjacencyKind, AdjacencyState, Group, GroupClass, GroupWord, Path,
};
use crate::counters::{CounterLayout, CounterTotals, LcoreCounters};
use crate::fia::{Fia, Gate, Kit, Trace, TracedPacket};
use crate::fib::{Leaf, Line, Prefix, Vrf, v4, v6};
use crate::isa::Isa;
use crate::l2::{MacRow, PortClass, TagEntry};
use crate::l3::scalar::tests::{ipv4, ipv6};
use crate::lpts::{FlowType, Lpts, LptsGroup, LptsRates};
use crate::packet::{End, Source, Vector};
use crate::punt::Acquaintance;
use crate::step::{Lcore, Step};
use crate::tables::{TableError, TableReader, table_kind};
use crate::uidb::{NO_PORT, Uidb, UidbIndex};

/// MAC address of every port.
pub(crate) const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// One row of the adjacency table.
#[derive(Clone, Debug)]
pub(crate) struct Hop {
    pub(crate) kind: AdjacencyKind,
    pub(crate) output: u16,
    pub(crate) mtu: u16,
    pub(crate) rewrite: Vec<u8>,
}

impl Hop {
    pub(crate) fn new(kind: AdjacencyKind, output: u16, rewrite_len: u8) -> Self {
        // Bytes that tell hops apart; EtherTypes do not matter behind the rewrite.
        let rewrite = (0..rewrite_len).map(|n| n ^ (output as u8) << 4).collect();
        Self { kind, output, mtu: 1500, rewrite }
    }

    pub(crate) fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = mtu;
        self
    }
}

/// What the tables say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) uidbs: Vec<Uidb>,
    pub(crate) ports: Vec<PortClass>,
    pub(crate) outer: Vec<TagEntry>,
    pub(crate) inner: Vec<u16>,
    /// By number; number 0 is overwritten as absent.
    pub(crate) hops: Vec<Hop>,
    /// By leaf; leaf 0 is "no route".
    pub(crate) groups: Vec<Vec<u32>>,
    pub(crate) routes: Vec<(IpNet, u16)>,
    /// Routes of VRFs by table number.
    pub(crate) vrfs: BTreeMap<u16, Vec<(IpNet, u16)>>,
    /// Whether the group table has a row for every leaf there can be.
    pub(crate) all_leaves: bool,
}

/// An interface of `port`, up, with the rows every configured interface has switched on.
pub(crate) fn interface(port: u16) -> Uidb {
    Uidb { features_in: Gate::TTL.mask(), port, mtu: 1500, state: Uidb::UP, ..Uidb::default() }
}

impl Plan {
    /// `ports` ports, each with one interface numbered from 3, and no routes.
    pub(crate) fn with_ports(ports: u16) -> Self {
        let internal = Uidb { port: NO_PORT, mtu: u16::MAX, state: Uidb::UP, ..Uidb::default() };
        let mac = MacRow::from(OWN_MAC).0;
        Self {
            uidbs: [internal; 3].into_iter().chain((0..ports).map(interface)).collect(),
            ports: (3..)
                .take(ports.into())
                .map(|native| PortClass { native, mac, ..PortClass::NONE })
                .collect(),
            hops: vec![Hop::new(AdjacencyKind::Absent, UidbIndex::NONE.0, 0)],
            groups: vec![Vec::new()],
            all_leaves: true,
            ..Self::default()
        }
    }

    /// A port with sub-interfaces behind tags: `(outer, inner)` to interface.
    pub(crate) fn tags(&mut self, port: usize, tags: &[(u16, Option<u16>, u16)]) {
        let base = self.outer.len();
        self.ports[port].outer = base as u32 + 1;
        self.outer.resize(base + 4096, TagEntry::NONE);
        for &(outer, inner, uidb) in tags {
            let entry = &mut self.outer[base + usize::from(outer)];
            let Some(inner) = inner else {
                entry.uidb = uidb;
                continue;
            };
            if entry.inner == 0 {
                entry.inner = (self.inner.len() / 4096 + 1) as u16;
                self.inner.resize(self.inner.len() + 4096, UidbIndex::NONE.0);
            }
            let table = usize::from(entry.inner - 1) * 4096;
            self.inner[table + usize::from(inner)] = uidb;
        }
    }

    /// Adds a hop, a group of it alone, and a route; returns the hop's number.
    pub(crate) fn route(&mut self, prefix: &str, hop: Hop) -> u32 {
        let number = self.hops.len() as u32;
        self.hops.push(hop);
        self.group(prefix, vec![number]);
        number
    }

    /// As [`Plan::route`], in the table of a VRF.
    pub(crate) fn vrf_route(&mut self, table: u16, prefix: &str, hop: Hop) -> u32 {
        let number = self.route(prefix, hop);
        self.vrfs.entry(table).or_default().extend(self.routes.pop());
        number
    }

    /// Adds a group and a route to it.
    pub(crate) fn group(&mut self, prefix: &str, members: Vec<u32>) {
        self.routes.push((prefix.parse().unwrap(), self.groups.len() as u16));
        self.groups.push(members);
    }
}

/// The tables of a plan, published.
pub(crate) struct Router {
    memory: Arc<Memory>,
    publisher: Publisher,
}

/// The memory of a router. Another one of the thread gets it afterwards, until much of it is used:
/// to paint an IPv4 table of 2^24 entries for each would take longer than all else.
struct Memory {
    region: Region,
    tbl24: Block<AtomicU16>,
    routes: Vec<(IpNet, u16)>,
}

thread_local! {
    static IDLE: RefCell<Vec<(Region, Block<AtomicU16>)>> = const { RefCell::new(Vec::new()) };
}

impl Memory {
    /// Memory whose IPv4 table has `routes`.
    fn new(routes: &[(IpNet, u16)], root: &mut RootDraft) -> Self {
        let idle = IDLE.with_borrow_mut(Vec::pop);
        let (region, tbl24) = idle.unwrap_or_else(|| {
            let region = Region::anonymous(1 << 31, HugePages::Never).unwrap();
            let tbl24 = region.alloc(1 << 24).unwrap().publish();
            (region, tbl24)
        });
        table_kind::publish_least(&region, root);
        let tbl8 = region.alloc(256 * 64).unwrap().publish();
        let [view24, view8] = [tbl24, tbl8].map(|block| region.view(block).unwrap());
        let image = v4::Dir24::new(view24, view8, Isa::Portable).unwrap();
        v4::Dir24Writer::new(&image, Timekeeper::default().clock())
            .bulk_load(&image, routes4(routes))
            .unwrap();
        root.set(table_kind::FIB4_TBL24, tbl24).set(table_kind::FIB4_TBL8, tbl8);
        Self { region, tbl24, routes: routes.to_vec() }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.region.used() > 1 << 27 {
            return;
        }
        let table = self.region.view(self.tbl24).unwrap();
        for (prefix, _) in routes4(&self.routes) {
            let covered = prefix.first() as usize >> 8..=prefix.last() as usize >> 8;
            table[covered].iter().for_each(|leaf| leaf.store(0, Relaxed));
        }
        let idle = (self.region.clone(), self.tbl24);
        let _ = IDLE.try_with(|all| all.borrow_mut().push(idle));
    }
}

impl Router {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut publisher = Publisher::new();
        let mut root = publisher.draft();
        let memory = Arc::new(Memory::new(&plan.routes, &mut root));
        publisher.publish(&root).unwrap();
        let mut router = Self { memory, publisher };
        router.publish_with(plan, |_| ());
        router
    }

    pub(crate) fn attach(&mut self) -> TableReader {
        self.try_attach().unwrap()
    }

    pub(crate) fn try_attach(&mut self) -> Result<TableReader, TableError> {
        let reader = self.publisher.register_reader("test").unwrap();
        let region = &self.memory.region;
        let tables = region.map_read_only().unwrap();
        TableReader::new(reader, tables, region.share(), table_kind::SHAPES)
    }

    pub(crate) fn publisher(&mut self) -> &mut Publisher {
        &mut self.publisher
    }

    /// The memory that the tables lie in, for tables that lcores write.
    pub(crate) fn region(&self) -> &Region {
        &self.memory.region
    }

    /// Replaces all tables by those of `plan`, but that of IPv4, and by further ones.
    pub(crate) fn publish_with(&mut self, plan: &Plan, more: impl FnOnce(&mut RootDraft)) {
        let mut root = self.publisher.draft();
        let region = &self.memory.region;
        // Nothing is bound to any interface.
        root.set(table_kind::ACL_BINDINGS, table(region, &vec![Bindings::default(); 64]));
        root.set(table_kind::UIDB, table(region, &plan.uidbs))
            .set(table_kind::PORT_CLASS, table(region, &plan.ports))
            .set(table_kind::OUTER_TAG, table(region, &plan.outer))
            .set(table_kind::INNER_TAG, table(region, &plan.inner));
        let mut hops = region.alloc::<Adjacency>(plan.hops.len()).unwrap();
        for (row, hop) in hops.iter_mut().zip(&plan.hops).skip(1) {
            let rewrite_len = hop.rewrite.len() as u8;
            let state = AdjacencyState { kind: hop.kind, rewrite_len, mtu: hop.mtu };
            row.state.store(state.pack(), Relaxed);
            row.output.store(hop.output, Relaxed);
            let mut bytes = [0; 32];
            bytes[..hop.rewrite.len()].copy_from_slice(&hop.rewrite);
            for (word, chunk) in row.rewrite.iter().zip(bytes.as_chunks::<8>().0) {
                word.store(u64::from_ne_bytes(*chunk), Relaxed);
            }
        }
        // Tables of all leaves are read by a kernel, shorter ones packet by packet.
        let leaves = if plan.all_leaves { 1 << 16 } else { plan.groups.len() };
        let mut groups = region.alloc::<Group>(leaves).unwrap();
        let mut paths: Vec<u32> = Vec::new();
        for (group, members) in groups.iter_mut().zip(&plan.groups) {
            let class = |member: u32| match plan.hops.get(member as usize).map(|hop| hop.kind) {
                Some(AdjacencyKind::Receive | AdjacencyKind::LocalGroup) => GroupClass::Receive,
                Some(AdjacencyKind::Null0) => GroupClass::Null0,
                _ => GroupClass::Forward,
            };
            let Some(&first) = members.first() else { continue };
            // All members of a group are of one class.
            let members: Vec<u32> =
                members.iter().copied().filter(|member| class(*member) == class(first)).collect();
            let output = plan.hops.get(first as usize).map_or(UidbIndex::NONE.0, |hop| hop.output);
            let mut word = GroupWord {
                first,
                output: UidbIndex(output),
                class: class(first),
                places: members.len() as u16,
            };
            if members.len() > 1 {
                word.first = paths.len() as u32;
                paths.extend(members);
            }
            group.word.store(word.pack(), Relaxed);
        }
        let mut places = region.alloc::<Path>(paths.len()).unwrap();
        for (place, adjacency) in places.iter_mut().zip(paths) {
            place.adjacency.store(adjacency, Relaxed);
        }
        root.set(table_kind::ADJACENCY, hops.publish())
            .set(table_kind::GROUP, groups.publish())
            .set(table_kind::PATH, places.publish());
        let root6 = region.alloc::<AtomicU32>(1 << 16).unwrap();
        let lines6 = region.alloc::<Line>(1 << 10).unwrap();
        let deep6 = region.alloc::<AtomicU32>(VRF_DEEP).unwrap();
        let image = v6::Trie::new(&root6, &lines6, &deep6, Isa::Portable).unwrap();
        v6::TrieWriter::new(&image, Timekeeper::default().clock())
            .bulk_load(&image, routes6(&plan.routes))
            .unwrap();
        root.set(table_kind::FIB6_ROOT, root6.publish())
            .set(table_kind::FIB6_LINES, lines6.publish())
            .set(table_kind::FIB6_DEEP, deep6.publish());
        publish_vrfs(region, plan, &mut root);
        more(&mut root);
        self.publisher.publish(&root).unwrap();
    }
}

/// Lines of each image of a VRF, and its spans below a /48. IPv6 takes 256 lines for a table.
const VRF_LINES: usize = 1024;
const VRF_DEEP: usize = 128;

/// Writes the tables of VRFs, the last of them first, and the row of each table.
fn publish_vrfs(region: &Region, plan: &Plan, root: &mut RootDraft) {
    let count = plan.vrfs.len();
    let roots = || region.alloc::<AtomicU32>(count << 16).unwrap();
    let lines = || region.alloc::<Line>(count * VRF_LINES).unwrap();
    let (roots4, lines4, roots6, lines6) = (roots(), lines(), roots(), lines());
    let deep6 = region.alloc::<AtomicU32>(count * VRF_DEEP).unwrap();
    let mut rows = vec![Vrf::default(); plan.vrfs.keys().max().map_or(1, |n| usize::from(*n) + 1)];
    let default = |routes: &[(IpNet, u16)], v4| {
        let route = routes.iter().find(|(p, _)| p.prefix_len() == 0 && p.addr().is_ipv4() == v4);
        route.map_or(0, |(_, leaf)| *leaf)
    };
    let defaults = |routes: &[(IpNet, u16)]| Vrf {
        default4: default(routes, true),
        default6: default(routes, false),
        ..Vrf::default()
    };
    rows[0] = defaults(&plan.routes);
    for (at, (table, routes)) in plan.vrfs.iter().rev().enumerate() {
        let root_of = |all| <[AtomicU32]>::chunks(all, 1 << 16).nth(at).unwrap();
        let lines_of = |all| <[Line]>::chunks(all, VRF_LINES).nth(at).unwrap();
        let image = v4::Compact::new(root_of(&roots4), lines_of(&lines4), Isa::Portable).unwrap();
        v4::CompactWriter::new(&image, Timekeeper::default().clock())
            .bulk_load(&image, routes4(routes))
            .unwrap();
        let deep = deep6.chunks(VRF_DEEP).nth(at).unwrap();
        let image = v6::Trie::new(root_of(&roots6), lines_of(&lines6), deep, Isa::Portable);
        let image = image.unwrap();
        v6::TrieWriter::new(&image, Timekeeper::default().clock())
            .bulk_load(&image, routes6(routes))
            .unwrap();
        rows[usize::from(*table)] = Vrf {
            root4: at as u32,
            first_line4: (at * VRF_LINES) as u32,
            lines4: VRF_LINES as u32,
            root6: at as u32,
            first_line6: (at * VRF_LINES) as u32,
            lines6: VRF_LINES as u32,
            first_deep6: (at * VRF_DEEP) as u32,
            deep6: VRF_DEEP as u32,
            ..defaults(routes)
        };
    }
    root.set(table_kind::VRF, table(region, &rows))
        .set(table_kind::FIB4_VRF_ROOTS, roots4.publish())
        .set(table_kind::FIB4_VRF_LINES, lines4.publish())
        .set(table_kind::FIB6_VRF_ROOTS, roots6.publish())
        .set(table_kind::FIB6_VRF_LINES, lines6.publish())
        .set(table_kind::FIB6_VRF_DEEP, deep6.publish());
}

fn routes4(routes: &[(IpNet, u16)]) -> impl Iterator<Item = (Prefix<u32>, Leaf)> {
    routes.iter().filter_map(|&(prefix, leaf)| match prefix {
        IpNet::V4(net) => Some((Prefix::new(net.addr().to_bits(), net.prefix_len())?, Leaf(leaf))),
        IpNet::V6(_) => None,
    })
}

fn routes6(routes: &[(IpNet, u16)]) -> impl Iterator<Item = (Prefix<u128>, Leaf)> {
    routes.iter().filter_map(|&(prefix, leaf)| match prefix {
        IpNet::V6(net) => Some((Prefix::new(net.addr().to_bits(), net.prefix_len())?, Leaf(leaf))),
        IpNet::V4(_) => None,
    })
}

fn table<T: Plain + Copy>(region: &Region, rows: &[T]) -> Block<T> {
    let mut draft = region.alloc::<T>(rows.len()).unwrap();
    draft.copy_from_slice(rows);
    draft.publish()
}

/// What became of the packets of one vector.
#[derive(Debug, PartialEq)]
pub(crate) struct Walked {
    pub(crate) live: PacketMask,
    pub(crate) ends: Vec<End>,
    /// Output interfaces of the packets that live.
    pub(crate) outputs: Vec<Option<UidbIndex>>,
    pub(crate) inputs: Vec<UidbIndex>,
    pub(crate) frames: Vec<Vec<u8>>,
    /// Packets of each row, in order.
    pub(crate) rows: Vec<u64>,
}

/// A transmit queue that says it has sent all, and leaves the frames where they are.
struct Keep;

impl TxQueue for Keep {
    fn tx_burst(
        &mut self,
        _: &mut Burst,
        select: PacketMask,
        _: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        select
    }
}

/// One lcore without ports: frames are put into its vector by hand.
pub(crate) struct Walker {
    /// Its tables are not overwritten.
    _memory: Arc<Memory>,
    fia: Fia,
    tables: TableReader,
    totals: CounterTotals,
    counters: LcoreCounters,
    cache: PoolCache,
    tx: Vec<Box<dyn TxQueue>>,
    vector: Box<Vector>,
    /// Packets that `egress-fast` has taken in the last walk.
    pub(crate) fast: PacketMask,
}

impl Walker {
    pub(crate) fn new(router: &mut Router, fia: Fia) -> Self {
        let tables = router.attach();
        let layout = CounterLayout::new(fia.names().len(), 4, 16);
        let mut totals = CounterTotals::new(layout);
        let counters = totals.add_lcore();
        let cache = PoolCache::Native(NativePool::new(VECTOR, 2048).cache());
        let vector = Box::new(Vector::new(cache.origin()));
        let fast = PacketMask::EMPTY;
        let tx = (0..4).map(|_| Box::new(Keep) as Box<dyn TxQueue>).collect();
        let _memory = Arc::clone(&router.memory);
        Self { _memory, fia, tables, totals, counters, cache, tx, vector, fast }
    }

    fn begin(&mut self, frames: &[Vec<u8>], moved: PacketMask, source: Source) {
        for frame in frames {
            assert!(self.cache.append(&mut self.vector.burst, frame));
        }
        for slot in moved & PacketMask::first(frames.len()) {
            assert!(
                self.vector.burst.move_start(slot, -1) && self.vector.burst.move_start(slot, 1)
            );
        }
        self.vector.begin(source, Nanos::from_secs(1));
    }

    /// Takes `frames` through all rows; the frames of `moved` count as moved since they came in.
    pub(crate) fn walk(&mut self, frames: &[Vec<u8>], moved: PacketMask, source: Source) -> Walked {
        self.begin(frames, moved, source);
        let tables = self.tables.tables();
        let (counters, tx, pool) = (&self.counters, &mut self.tx[..], &mut self.cache);
        let mut lcore = Lcore { tables, counters, tx, pool };
        self.fia.walk(&mut lcore, &mut self.vector);
        self.end(frames.len())
    }

    /// As [`Walker::walk`] from port 0, and tells what each packet went through.
    pub(crate) fn trace(&mut self, frames: &[Vec<u8>]) -> Vec<TracedPacket> {
        self.begin(frames, PacketMask::EMPTY, Source::Port(0));
        let tables = self.tables.tables();
        let (counters, tx, pool) = (&self.counters, &mut self.tx[..], &mut self.cache);
        let mut lcore = Lcore { tables, counters, tx, pool };
        let mut trace = Trace::default();
        trace.start(VECTOR);
        self.fia.walk_traced(&mut lcore, &mut self.vector, &mut trace);
        self.end(frames.len());
        trace.take()
    }

    fn end(&mut self, count: usize) -> Walked {
        let vector = &mut self.vector;
        self.fast = vector.is.rewritten;
        let slots = || 0..count;
        let walked = Walked {
            live: vector.ends.sent,
            ends: slots()
                .map(|slot| {
                    if vector.ends.sent.contains(slot) {
                        End::Walking
                    } else {
                        vector.ends.end[slot]
                    }
                })
                .collect(),
            outputs: slots()
                .map(|slot| vector.ends.sent.contains(slot).then(|| vector.output(slot)))
                .collect(),
            inputs: slots().map(|slot| vector.input(slot)).collect(),
            frames: slots().map(|slot| vector.burst.frame(slot).to_vec()).collect(),
            rows: (0..self.fia.names().len()).map(|row| self.totals.row(row).packets).collect(),
        };
        self.totals.clear();
        self.cache.free(&mut vector.burst, PacketMask::FULL);
        vector.burst.clear();
        self.tables.quiescent();
        walked
    }

    /// What the row called `name` has counted in `walked`.
    pub(crate) fn row(&self, walked: &Walked, name: &str) -> u64 {
        walked.rows[self.fia.names().iter().position(|row| *row == name).unwrap()]
    }
}

/// A kit for steps that let everything through to the slow path.
pub(crate) fn open_kit(isa: Isa) -> Kit {
    let mut rates = LptsRates::default();
    for flow in FlowType::ALL {
        rates.set(*flow, LptsRates::MAX_RATE, LptsRates::MAX_BURST).unwrap();
    }
    let known = Arc::new(Acquaintance::new(1));
    let lpts = LptsGroup::new(&rates, Lpts::default(), known, 64);
    Kit { isa, lpts: Arc::new(lpts), ..Kit::default() }
}

/// Remembers the slots it was shown in all vectors since it was last asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<AtomicU64>);

impl Seen {
    pub(crate) fn take(&self) -> PacketMask {
        PacketMask(self.0.swap(0, Relaxed))
    }

    /// A feature that remembers and does nothing else.
    pub(crate) fn step(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }
}

impl Step for Seen {
    fn process(&mut self, _: &mut Lcore<'_>, _: &mut Vector, select: PacketMask) {
        self.0.fetch_or(select.0, Relaxed);
    }
}

/// An Ethernet frame to us with these tags around an IPv4 or IPv6 packet.
pub(crate) fn frame(tags: &[(u16, u16)], packet: &[u8]) -> Vec<u8> {
    let mut frame = [OWN_MAC, [2, 0, 0, 0, 0, 9]].concat();
    for (tpid, vid) in tags {
        frame.extend(tpid.to_be_bytes());
        frame.extend(vid.to_be_bytes());
    }
    let version = packet.first().map_or(0, |first| first >> 4);
    frame.extend(if version == 6 { [0x86, 0xdd] } else { [0x08, 0x00] });
    frame.extend(packet);
    frame
}

/// A UDP-like packet to `dst`, untagged, with a TTL of 64.
pub(crate) fn to(dst: &str) -> Vec<u8> {
    match dst.parse().unwrap() {
        std::net::IpAddr::V4(dst) => {
            frame(&[], &ipv4([198, 51, 100, 9], dst.octets(), 64, &[], &[7; 26]))
        }
        std::net::IpAddr::V6(_) => frame(&[], &ipv6("2001:db8:ffff::9", dst, 17, 64, &[7; 26])),
    }
}
