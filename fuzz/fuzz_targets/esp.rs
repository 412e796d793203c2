//! Any packets through tunnels of ESP: what comes out is what went in, and what was changed on the
//! way, by as little as a bit, does not come out at all. Of each packet, two bytes are the length,
//! with the family and whether it is changed in the upper bits, and one is the SA; a packet that is
//! changed has four more, for where and how.
#![no_main]

mod wire;

use std::cell::RefCell;
use std::io;
use std::path::Path;

use client::config::{Config, RouteTable};
use client::{Capacity, Client, PortFacts};
use hal::pool::NativePool;
use hal::{Pool, TxQueue};
use libfuzzer_sys::fuzz_target;
use pal::clock::Nanos;
use qfp_core::counters::{CounterLayout, CounterTotals};
use qfp_core::crypto::Algorithm;
use qfp_core::fia::FiaBuilder;
use qfp_core::isa::Isa;
use qfp_core::ppe::{PolledQueue, Ppe, PpeParts, SlowWork};

use wire::{Coming, Gone, Wire};

const BUFFERS: usize = 512;
const MAC: [u8; 6] = [2, 0, 0, 0, 1, 0];
/// Largest inner packet: fits all tunnels.
const LARGEST: usize = 1300;
/// Both ports: what stands behind the tunnel, and what the tunnel leads through.
const LAN: usize = 0;
const WAN: usize = 1;

/// An SA of many, each with a tunnel of its own: its algorithm and how it is carried.
#[derive(Clone, Copy)]
struct Agreement {
    number: usize,
    algorithm: Algorithm,
    ipv6: bool,
    udp: bool,
    esn: bool,
}

impl Agreement {
    /// Every algorithm over IPv4, IPv6 and UDP, with extended numbers and without.
    const COUNT: usize = Algorithm::ALL.len() * 6;

    const fn of(number: usize) -> Self {
        let algorithm = Algorithm::ALL[number / 6 % Algorithm::ALL.len()];
        let carried = number % 6;
        Self { number, algorithm, ipv6: carried % 3 == 1, udp: carried % 3 == 2, esn: carried > 2 }
    }

    /// Whether payload can be read on the way.
    fn is_clear(self) -> bool {
        let name = self.algorithm.name();
        name.starts_with("null") || name.ends_with("gmac")
    }

    /// The SA and its tunnel, on the side where packets enter or on the other one.
    fn toml(self, enters: bool) -> String {
        let Self { number, algorithm, ipv6, udp, esn } = self;
        let outer = if ipv6 { ["2001:db8::1", "2001:db8::2"] } else { ["192.0.2.1", "192.0.2.2"] };
        let [local, remote] = if enters { outer } else { [outer[1], outer[0]] };
        let (direction, net) = if enters { ("out", 2) } else { ("in", 1) };
        let udp = if udp { "udp = [4500, 4500]" } else { "" };
        format!(
            r#"
[[sa]]
name = "sa{number}"
direction = "{direction}"
spi = {spi}
local = "{local}"
remote = "{remote}"
algorithm = "{algorithm}"
key_file = "{number}"
esn = {esn}
{udp}
[[tunnel]]
name = "tunnel{number}"
mtu = 1500
sa_{direction} = "sa{number}"
[[route]]
prefix = "10.{net}.{number}.0/24"
dev = "tunnel{number}"
[[route]]
prefix = "2001:db8:{net}:{number:x}::/64"
dev = "tunnel{number}"
"#,
            spi = 4096 + number,
            algorithm = algorithm.name()
        )
    }
}

/// The configuration of the side where packets enter, or where they come out.
fn config(enters: bool) -> Config {
    let (own, peer) = if enters { (1, 2) } else { (2, 1) };
    let mut text = format!(
        r#"
[[port]]
device = "sink"
address = ["10.{own}.0.1/16", "2001:db8:{own}::1/48"]
[[port]]
device = "sink"
address = ["192.0.2.{own}/24", "2001:db8::{own}/64"]
[[neighbor]]
address = "192.0.2.{peer}"
mac = "02:00:00:00:00:02"
[[neighbor]]
address = "2001:db8::{peer}"
mac = "02:00:00:00:00:02"
"#
    );
    for number in 0..Agreement::COUNT {
        text += &Agreement::of(number).toml(enters);
        text += &format!(
            "[[neighbor]]\naddress = \"10.{own}.{number}.9\"\nmac = \"02:00:00:00:00:09\"\n\
             [[neighbor]]\naddress = \"2001:db8:{own}:{number:x}::9\"\nmac = \"02:00:00:00:00:09\"\n"
        );
    }
    let key = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number: usize = name.parse().map_err(io::Error::other)?;
        let algorithm = Agreement::of(number).algorithm;
        let len = algorithm.cipher_key_len() + algorithm.auth_key_len();
        Ok(format!("{:02x}", number + 1).repeat(len).into_bytes())
    };
    Config::parse_with(&text, "fuzz.toml", key).expect("a good configuration")
}

/// One side of the tunnel.
struct Gateway {
    client: Client,
    ppe: Ppe,
    totals: CounterTotals,
    coming: Wire,
    gone: [Wire; 2],
}

impl Gateway {
    fn new(enters: bool) -> Self {
        let small = Capacity {
            sas: 256,
            replay_words: 1 << 12,
            adjacencies: 1024,
            long_prefixes: 1024,
            ipv6_lines: 1 << 12,
            ..Capacity::SMALL
        };
        let mut client = Client::new(&small).expect("memory");
        let facts = [PortFacts { mac: MAC, filter_mac: false }; 2];
        let config = config(enters);
        client.commit(&config, &RouteTable::default(), &facts).expect("it fits");
        let tables = client.attach("fuzz").expect("a place for a reader");
        let fia = FiaBuilder::router();
        let layout = CounterLayout::new(fia.names().len(), 2, client.uidb_limit());
        let mut totals = CounterTotals::new(layout);
        let (coming, gone) = (Wire::default(), [Wire::default(), Wire::default()]);
        let port = if enters { LAN } else { WAN };
        let ppe = Ppe::new(PpeParts {
            lcore: 0,
            fia: fia.build(Isa::detect()),
            rx: vec![PolledQueue::new(port as u16, Box::new(Coming(coming.clone())))],
            tx: gone.iter().map(|wire| Box::new(Gone(wire.clone())) as Box<dyn TxQueue>).collect(),
            pool: Pool::Native(NativePool::new(BUFFERS, 2048)).cache(0),
            tables,
            counters: totals.add_lcore(),
        });
        Self { client, ppe, totals, coming, gone }
    }

    /// Takes frames through; what leaves by `port`. Nothing leaves by the other one.
    fn take(&mut self, frames: impl IntoIterator<Item = Vec<u8>>, port: usize) -> Vec<Vec<u8>> {
        self.coming.lock().expect("no other thread").extend(frames);
        let mut sink: Vec<SlowWork> = Vec::new();
        // The numbers that may be used.
        self.client.watch_sas(1_000_000_000, &mut Vec::new());
        self.client.keep_ahead(1_000_000_000, true, &mut Vec::new());
        while self.ppe.poll(Nanos::from_secs(1), &mut sink) > 0 {}
        assert!(self.totals.conserved(0));
        drop(sink);
        assert!(self.gone[1 - port].lock().expect("no other thread").is_empty());
        self.gone[port].lock().expect("no other thread").drain(..).collect()
    }
}

/// An inner packet from 10.1.N.9 to 10.2.N.9, or the like, of a protocol that nobody looks into.
fn packet(number: usize, ipv6: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = MAC.to_vec();
    packet.extend([2, 0, 0, 0, 0, 9]);
    let n = number as u8;
    let host = |net: u8| [0x20, 1, 0xd, 0xb8, 0, net, 0, n, 0, 0, 0, 0, 0, 0, 0, 9];
    if ipv6 {
        let [high, low] = (payload.len() as u16).to_be_bytes();
        packet.extend([0x86, 0xdd, 0x60, 0, 0, 0, high, low, 253, 64]);
        packet.extend([host(1), host(2)].concat());
    } else {
        let [high, low] = (payload.len() as u16 + 20).to_be_bytes();
        packet.extend([8, 0]);
        packet.extend([0x45, 0, high, low, 0, 0, 0, 0, 64, 253, 0, 0, 10, 1, n, 9, 10, 2, n, 9]);
        let words = packet[14..].as_chunks::<2>().0;
        let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        packet[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    packet.extend(payload);
    packet
}

/// Length of the headers in front of a payload, or of ESP, with Ethernet's.
const fn headers(ipv6: bool, udp: bool) -> usize {
    14 + if ipv6 { 40 } else { 20 } + if udp { 8 } else { 0 }
}

/// The SPI of a protected packet.
fn spi(frame: &[u8]) -> [u8; 4] {
    let ipv6 = frame[12] == 0x86;
    let esp = headers(ipv6, !ipv6 && frame[23] == 17);
    [frame[esp], frame[esp + 1], frame[esp + 2], frame[esp + 3]]
}

/// A packet for a tunnel, and what becomes of it on the way.
struct Sent<'a> {
    agreement: Agreement,
    ipv6: bool,
    payload: &'a [u8],
    change: Option<[u8; 4]>,
}

impl<'a> Sent<'a> {
    /// The first packet that the bytes say, and the other bytes.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let ([low, high, choice], mut rest) = bytes.split_first_chunk::<3>()?;
        let agreement = Agreement::of(usize::from(*choice) % Agreement::COUNT);
        let (ipv6, changed) = (high & 0x40 != 0, high & 0x80 != 0);
        let mut change = None;
        if changed {
            let (how, after) = rest.split_first_chunk::<4>()?;
            (change, rest) = (Some(*how), after);
        }
        let room = LARGEST - headers(ipv6, false);
        let len = usize::from(u16::from_le_bytes([*low, high & 7])).min(room).min(rest.len());
        let (payload, rest) = rest.split_at(len);
        Some((Self { agreement, ipv6, payload, change }, rest))
    }

    /// Changes it, if that is what becomes of it.
    fn change(&self, frame: &mut Vec<u8>) -> bool {
        let esp = headers(self.agreement.ipv6, self.agreement.udp);
        let at =
            |low, high| esp + usize::from(u16::from_le_bytes([low, high])) % (frame.len() - esp);
        match self.change {
            // Some bits of SPI, number, IV, ciphertext or ICV.
            Some([low, high, bits, 0]) if bits != 0 => {
                let at = at(low, high);
                frame[at] ^= bits;
            }
            // Its end is missing, and its headers do not know.
            Some([low, high, _, 1]) => frame.truncate(at(low, high)),
            _ => return false,
        }
        true
    }
}

fn run([west, east]: &mut [Gateway; 2], mut bytes: &[u8]) {
    let mut sent = Vec::new();
    while let Some((packet, rest)) = Sent::split(bytes)
        && sent.len() < 100
    {
        sent.push(packet);
        bytes = rest;
    }
    // Each SA keeps the order of its packets, whatever the others do.
    sent.sort_by_key(|sent| sent.agreement.number);
    let clear = sent.iter().map(|sent| packet(sent.agreement.number, sent.ipv6, sent.payload));
    let mut protected = west.take(clear, WAN);
    assert_eq!(protected.len(), sent.len(), "all are protected");
    protected.sort_by_key(|frame| spi(frame));
    let mut wanted = Vec::new();
    for (frame, sent) in protected.iter_mut().zip(&sent) {
        let len = sent.payload.len();
        let seen = len >= 16 && frame.windows(len).any(|part| part == sent.payload);
        assert!(!seen || sent.agreement.is_clear(), "plaintext");
        if !sent.change(frame) {
            wanted.push(sent);
        }
    }
    let mut opened = east.take(protected, LAN);
    assert_eq!(opened.len(), wanted.len());
    // The third byte of an IPv4 destination, the eighth of an IPv6 one.
    opened.sort_by_key(|frame| if frame[12] == 0x08 { frame[32] } else { frame[45] });
    for (frame, sent) in opened.iter().zip(wanted) {
        assert_eq!(&frame[headers(sent.ipv6, false)..], sent.payload);
    }
}

thread_local! {
    static GATEWAYS: RefCell<[Gateway; 2]> = RefCell::new([true, false].map(Gateway::new));
}

fuzz_target!(|bytes: &[u8]| GATEWAYS.with(|gateways| run(&mut gateways.borrow_mut(), bytes)));
