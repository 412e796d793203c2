//! A gateway with one tunnel, as the client configures it, and its engine.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use qfp::client::config::{Config, ConfigError, RouteTable};
use qfp::client::{Capacity, Client, CommitError, PortFacts};
use qfp::core::counters::{CounterLayout, CounterTotals, LoopEvent};
use qfp::core::crypto::Algorithm;
use qfp::core::fia::FiaBuilder;
use qfp::core::isa::Isa;
use qfp::core::ppe::{PolledQueue, Ppe, PpeParts, SlowWork};
use qfp::hal::pool::NativePool;
use qfp::hal::{Pool, VECTOR};
use qfp::pal::clock::Nanos;

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
    Config(#[from] ConfigError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Packets go from west to east.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    West,
    East,
}

/// The ports.
const LAN: u16 = 0;
const WAN: u16 = 1;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Two ports and the tunnel, and the way to the networks behind both sides. The tunnel takes what
/// every algorithm leaves of 1500 bytes, and no less than the largest case.
fn config(side: Side, algorithm: Algorithm) -> Result<Config, ConfigError> {
    let (own, peer, direction, window) = match side {
        Side::West => (1, 2, "out", ""),
        Side::East => (2, 1, "in", "replay_window = 1024"),
    };
    let text = format!(
        r#"
port = [
    {{ device = "sink", address = ["10.9.0.1/24"], allow_own_source = true }},
    {{ device = "sink", address = ["192.0.2.{own}/24"], allow_own_source = true }},
]
neighbor = [
    {{ address = "10.9.0.9", mac = "02:00:00:00:00:09" }},
    {{ address = "192.0.2.{peer}", mac = "02:00:00:00:00:02" }},
]
route = [
    {{ prefix = "10.{own}.0.0/16", via = "10.9.0.9" }},
    {{ prefix = "10.{peer}.0.0/16", dev = "tunnel" }},
]
[[tunnel]]
name = "tunnel"
mtu = 1400
allow_own_source = true
sa_{direction} = "sa"
[[sa]]
name = "sa"
direction = "{direction}"
spi = 0x1001
local = "192.0.2.{own}"
remote = "192.0.2.{peer}"
algorithm = "{algorithm}"
key_file = "key"
{window}
"#,
        algorithm = algorithm.name()
    );
    let len = algorithm.cipher_key_len() + algorithm.auth_key_len();
    Config::parse_with(&text, "bench.toml", |_: &Path| Ok("5a".repeat(len).into_bytes()))
}

/// One side.
pub(crate) struct Gateway {
    client: Client,
    ppe: Ppe,
    wire: Arc<Wire>,
    totals: CounterTotals,
    names: Vec<&'static str>,
    slow: Vec<SlowWork>,
    now: Nanos,
}

impl Gateway {
    pub(crate) fn new(side: Side, algorithm: Algorithm) -> Result<Self, GatewayError> {
        let config = config(side, algorithm)?;
        let routes = RouteTable::default();
        let mut client = Client::new(&Capacity::fitting(&config, &routes))?;
        client.commit(&config, &routes, &[PortFacts { mac: MAC, filter_mac: false }; 2])?;
        let fia = FiaBuilder::router();
        let names = fia.names();
        let layout = CounterLayout::new(names.len(), 2, client.uidb_limit());
        let mut totals = CounterTotals::new(layout);
        let wire = Arc::new(Wire::default());
        let port = if side == Side::West { LAN } else { WAN };
        let ppe = Ppe::new(PpeParts {
            lcore: 0,
            fia: fia.build(Isa::detect()),
            rx: vec![PolledQueue::new(port, Box::new(Feed(wire.clone())))],
            tx: vec![Box::new(Out(wire.clone())), Box::new(Out(wire.clone()))],
            pool: Pool::Native(NativePool::new(1024, 2048)).cache(0),
            tables: client.attach("bench")?,
            counters: totals.add_lcore(),
        });
        let now = Nanos::from_secs(1);
        Ok(Self { client, ppe, wire, totals, names, slow: Vec::new(), now })
    }

    /// Takes one vector through; returns the cycles from its arrival to its transmission.
    pub(crate) fn walk(&mut self, frames: &[Vec<u8>]) -> Result<u64, GatewayError> {
        {
            let mut coming = self.wire.coming.lock().unwrap_or_else(PoisonError::into_inner);
            frames.clone_into(&mut coming);
        }
        self.now = Nanos(self.now.0 + 1000);
        // The numbers that may be used.
        self.client.watch_sas(self.now.0, &mut Vec::new());
        self.client.keep_ahead(self.now.0, true, &mut Vec::new());
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
