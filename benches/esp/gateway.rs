//! A gateway with one tunnel: its tables, written as the client writes them, and its engine.

use std::io;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};

use qfp::core::adjacency::{
    Adjacency, AdjacencyKind, AdjacencyState, Group, GroupClass, GroupWord,
};
use qfp::core::counters::{CounterLayout, CounterTotals, LoopEvent};
use qfp::core::crypto::{Algorithm, KeyError, SaKey};
use qfp::core::fia::{FiaBuilder, Gate};
use qfp::core::fib::{FibError, Leaf, Prefix, ShapeError, v4};
use qfp::core::ipsec::{
    DontFragment, Dscp, Endpoints, InboundConfig, InboundSa, Limit, Mode, OutboundConfig,
    OutboundSa, SaError, SaState, SpiBucket, SpiError, SpiTable, Tunnel, WindowError, replay_words,
};
use qfp::core::isa::Isa;
use qfp::core::l2::{MacRow, PortClass};
use qfp::core::ppe::{PolledQueue, Ppe, PpeParts, SlowWork};
use qfp::core::tables::table_kind;
use qfp::core::uidb::{NO_PORT, TableId, Uidb, UidbIndex};
use qfp::driver::{Driver, DriverError};
use qfp::hal::pool::NativePool;
use qfp::hal::{Pool, VECTOR};
use qfp::pal::clock::Nanos;
use qfp::pal::region::{Block, Plain};

use crate::queues::{Feed, Out, Wire};

/// Why a gateway does not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    #[error("what came out of the tunnel is not what went in")]
    Wrong,
    #[error("{0} of {VECTOR} packets of a vector were sent")]
    Lost(usize),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Driver(#[from] DriverError),
    #[error(transparent)]
    Fib(#[from] FibError),
    #[error(transparent)]
    Shape(#[from] ShapeError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Sa(#[from] SaError),
    #[error(transparent)]
    Window(#[from] WindowError),
    #[error(transparent)]
    Spi(#[from] SpiError),
}

/// Packets go from west to east.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    West,
    East,
}

const WEST: [u8; 4] = [192, 0, 2, 1];
const EAST: [u8; 4] = [192, 0, 2, 2];
const SPI: u32 = 0x1001;
const WINDOW: u32 = 1024;
/// Ports, which are interfaces 3 and 4, and the tunnel's interface.
const LAN: u16 = 0;
const WAN: u16 = 1;
const FIRST: u16 = UidbIndex::FIRST_CONFIGURED.0;
const TUNNEL: u16 = FIRST + 2;

/// One side.
pub(crate) struct Gateway {
    ppe: Ppe,
    wire: Arc<Wire>,
    totals: CounterTotals,
    names: Vec<&'static str>,
    slow: Vec<SlowWork>,
    now: Nanos,
    _driver: Driver,
}

impl Gateway {
    pub(crate) fn new(side: Side, algorithm: Algorithm) -> Result<Self, GatewayError> {
        let mut driver = Driver::with_state(80 << 20, 1 << 20)?;
        let uidbs = rows(&driver, uidbs())?;
        let ports = [FIRST + LAN, FIRST + WAN].map(|native| PortClass {
            native,
            mac: MacRow::from([2, 0, 0, 0, 0, 1]).0,
            ..PortClass::NONE
        });
        let ports = rows(&driver, ports)?;
        let routes = Routes::write(&driver, side)?;
        let sas = Sas::write(&driver, side, algorithm)?;
        driver.commit(|root| {
            root.set(table_kind::UIDB, uidbs).set(table_kind::PORT_CLASS, ports);
            routes.name(root);
            sas.name(root);
        })?;
        let fia = FiaBuilder::router();
        let names = fia.names();
        let mut totals = CounterTotals::new(CounterLayout::new(names.len(), 2, 8));
        let wire = Arc::new(Wire::default());
        let port = if side == Side::West { LAN } else { WAN };
        let (reader, region) = driver.attach("bench")?;
        let ppe = Ppe::new(PpeParts {
            lcore: 0,
            fia: fia.build(Isa::detect()),
            rx: vec![PolledQueue::new(port, Box::new(Feed(wire.clone())))],
            tx: vec![Box::new(Out(wire.clone())), Box::new(Out(wire.clone()))],
            pool: Pool::Native(NativePool::new(1024, 2048)).cache(0),
            region,
            state: Some(driver.state()),
            reader,
            counters: totals.add_lcore(),
        });
        let now = Nanos::from_secs(1);
        Ok(Self { ppe, wire, totals, names, slow: Vec::new(), now, _driver: driver })
    }

    /// Takes one vector through; returns the cycles from its arrival to its transmission.
    pub(crate) fn walk(&mut self, frames: &[Vec<u8>]) -> Result<u64, GatewayError> {
        {
            let mut coming = self.wire.coming.lock().unwrap_or_else(PoisonError::into_inner);
            frames.clone_into(&mut coming);
        }
        self.now = Nanos(self.now.0 + 1000);
        self.ppe.poll_queue(0, self.now, &mut self.slow);
        self.slow.clear();
        let gone = self.wire.gone.lock().unwrap_or_else(PoisonError::into_inner).len();
        if !gone.is_multiple_of(VECTOR) || gone == 0 {
            return Err(GatewayError::Lost(gone % VECTOR));
        }
        Ok(self.wire.sent.load(Relaxed) - self.wire.received.load(Relaxed))
    }

    /// What was sent since the last call.
    pub(crate) fn take_sent(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.wire.gone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Cycles a packet of each row, both walks of it together.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let received = self.totals.event(LoopEvent::Received).max(1) as f64;
        self.names.iter().enumerate().map(move |(number, name)| {
            let row = self.totals.row(number);
            let cycles = row.sampled_cycles as f64 / row.sampled_packets.max(1) as f64;
            (*name, cycles * row.packets as f64 / received)
        })
    }
}

/// Two ports and the tunnel.
fn uidbs() -> [Uidb; 6] {
    let internal = Uidb { port: NO_PORT, mtu: u16::MAX, state: Uidb::UP, ..Uidb::default() };
    let features_in = Gate::TTL.mask() | Gate::ESP_IN.mask();
    let port = |port| Uidb { features_in, port, mtu: 1500, ..internal };
    let tunnel =
        Uidb { features_in, features_out: Gate::ESP_OUT.mask(), mtu: TUNNEL_MTU, ..internal };
    [internal, internal, internal, port(LAN), port(WAN), tunnel]
}

/// What every algorithm leaves of 1500 bytes, and no less than the largest case.
const TUNNEL_MTU: u16 = 1400;

/// Adjacencies, groups and routes.
struct Routes {
    adjacencies: Block<Adjacency>,
    groups: Block<Group>,
    tbl24: Block<AtomicU16>,
    tbl8: Block<AtomicU16>,
    cover: Block<AtomicU64>,
}

impl Routes {
    /// The networks behind both sides, the peer, and our own address.
    fn write(driver: &Driver, side: Side) -> Result<Self, GatewayError> {
        let (inside, outside) = (FIRST + LAN, FIRST + WAN);
        let (own, peer) = if side == Side::West { (WEST, EAST) } else { (EAST, WEST) };
        let west = if side == Side::West { inside } else { TUNNEL };
        let east = if side == Side::West { TUNNEL } else { inside };
        let kind = |output| match output {
            TUNNEL => AdjacencyKind::Featured,
            _ => AdjacencyKind::Plain,
        };
        let routes = [
            ([10, 1, 0, 0], 16, kind(west), west),
            ([10, 2, 0, 0], 16, kind(east), east),
            (peer, 32, AdjacencyKind::Plain, outside),
            (own, 32, AdjacencyKind::Receive, UidbIndex::NONE.0),
        ];
        let adjacencies = driver.alloc::<Adjacency>(routes.len() + 1)?;
        let groups = driver.alloc::<Group>(1 << 16)?;
        let mut leaves = Vec::new();
        for (number, (network, len, kind, output)) in (1u16..).zip(routes) {
            let row = &adjacencies[usize::from(number)];
            let mtu = if output == TUNNEL { TUNNEL_MTU } else { 1500 };
            row.state.store(AdjacencyState { kind, rewrite_len: 14, mtu }.pack(), Relaxed);
            row.output.store(output, Relaxed);
            // Two addresses and the EtherType of IPv4.
            row.rewrite[0].store(u64::from_le_bytes([2, 0, 0, 0, 1, 1, 2, 0]), Relaxed);
            row.rewrite[1].store(u64::from_le_bytes([0, 0, 0, 2, 8, 0, 0, 0]), Relaxed);
            let class = match kind {
                AdjacencyKind::Receive => GroupClass::Receive,
                _ => GroupClass::Forward,
            };
            let word =
                GroupWord { first: number.into(), output: UidbIndex(output), class, places: 1 };
            groups[usize::from(number)].word.store(word.pack(), Relaxed);
            let prefix = Prefix::new(u32::from_be_bytes(network), len);
            leaves.extend(prefix.map(|prefix| (prefix, Leaf(number))));
        }
        let tbl24 = driver.alloc::<AtomicU16>(1 << 24)?;
        let tbl8 = driver.alloc::<AtomicU16>(256 * 16)?;
        let image = v4::Dir24::new(&tbl24, &tbl8, Isa::Portable)?;
        v4::Dir24Writer::new(&image, driver.clock()).bulk_load(&image, leaves)?;
        Ok(Self {
            adjacencies: adjacencies.publish(),
            groups: groups.publish(),
            tbl24: tbl24.publish(),
            tbl8: tbl8.publish(),
            cover: rows(driver, [AtomicU64::new(2 << 8)])?,
        })
    }

    fn name(&self, root: &mut qfp::pal::publication::RootDraft) {
        root.set(table_kind::ADJACENCY, self.adjacencies)
            .set(table_kind::GROUP, self.groups)
            .set(table_kind::FIB4_TBL24, self.tbl24)
            .set(table_kind::FIB4_TBL8, self.tbl8)
            .set(table_kind::FIB4_COVER, self.cover);
    }
}

/// The tables of ESP, with one SA from west to east.
struct Sas {
    tunnels: Block<Tunnel>,
    outbound: Block<OutboundSa>,
    inbound: Block<InboundSa>,
    spis: Block<SpiBucket>,
    keys: Block<SaKey>,
    states: Block<SaState>,
    replay: Block<AtomicU64>,
}

impl Sas {
    fn write(driver: &Driver, side: Side, algorithm: Algorithm) -> Result<Self, GatewayError> {
        let endpoints = |local: [u8; 4], remote: [u8; 4]| Endpoints {
            local: local.into(),
            remote: remote.into(),
        };
        let outbound = OutboundSa::new(&OutboundConfig {
            spi: SPI,
            mode: Mode::Tunnel,
            endpoints: endpoints(WEST, EAST),
            algorithm,
            key: 0,
            state: 0,
            udp: None,
            esn: false,
            ttl: 64,
            dscp: Dscp::Copy,
            df: DontFragment::Copy,
            ecn: true,
            table: TableId::GLOBAL,
            soft: Limit::NONE,
            hard: Limit::NONE,
        })?;
        let inbound = InboundSa::new(&InboundConfig {
            spi: SPI,
            mode: Mode::Tunnel,
            endpoints: endpoints(EAST, WEST),
            algorithm,
            key: 0,
            state: 0,
            udp: None,
            esn: false,
            replay: Some((0, WINDOW)),
            interface: UidbIndex(TUNNEL),
            selector: None,
            soft: Limit::NONE,
            hard: Limit::NONE,
        })?;
        let tunnels = driver.alloc::<Tunnel>(8)?;
        let spis = driver.alloc::<SpiBucket>(SpiTable::buckets(16))?;
        let states = driver.alloc_state::<SaState>(1)?;
        states[0].reserve(u64::MAX);
        if side == Side::West {
            tunnels[usize::from(TUNNEL)].set(Some(0));
        } else {
            SpiTable::new(&spis).insert(SPI, 0)?;
        }
        let mut keys = driver.alloc::<SaKey>(1)?;
        let bytes = |count: usize| -> Vec<u8> { (1..).take(count).collect() };
        keys[0].set(
            algorithm,
            &bytes(algorithm.cipher_key_len()),
            &bytes(algorithm.auth_key_len()),
        )?;
        let words = replay_words(WINDOW)? as usize;
        Ok(Self {
            tunnels: tunnels.publish(),
            outbound: rows(driver, [outbound])?,
            inbound: rows(driver, [inbound])?,
            spis: spis.publish(),
            keys: keys.publish(),
            states: states.publish(),
            replay: driver.alloc_state::<AtomicU64>(words)?.publish(),
        })
    }

    fn name(&self, root: &mut qfp::pal::publication::RootDraft) {
        root.set(table_kind::ESP_TUNNELS, self.tunnels)
            .set(table_kind::ESP_OUTBOUND, self.outbound)
            .set(table_kind::ESP_INBOUND, self.inbound)
            .set(table_kind::ESP_SPIS, self.spis)
            .set(table_kind::ESP_KEYS, self.keys)
            .set(table_kind::ESP_STATES, self.states)
            .set(table_kind::ESP_REPLAY, self.replay);
    }
}

/// A table of these rows, published.
fn rows<T: Plain, const N: usize>(driver: &Driver, rows: [T; N]) -> Result<Block<T>, GatewayError> {
    let mut draft = driver.alloc::<T>(N)?;
    for (place, row) in draft.iter_mut().zip(rows) {
        *place = row;
    }
    Ok(draft.publish())
}

/// A vector of UDP packets of `size` bytes from west to east, with their Ethernet headers.
pub(crate) fn clear_frames(size: usize) -> Vec<Vec<u8>> {
    let frame = |n: u8| {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0];
        let [high, low] = u16::try_from(size).unwrap_or(0).to_be_bytes();
        frame.extend([0x45, 0, high, low, 0, n, 0, 0, 64, 17, 0, 0, 10, 1, 0, n, 10, 2, n, 9]);
        let words = frame[14..].as_chunks::<2>().0;
        let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
        let [.., high, low] = (!((sum & 0xffff) + (sum >> 16))).to_be_bytes();
        frame[24..26].copy_from_slice(&[high, low]);
        frame.resize(14 + size, n);
        frame
    };
    (0..64).map(frame).collect()
}
