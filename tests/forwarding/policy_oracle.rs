//! Packets of every kind at random access lists, security policies, policers, route maps and source
//! checks: the same verdict as a plain reading of RFC 4301 and of the documented order, and nothing
//! that a policy protects or discards leaves in the clear, whatever quotes it.

mod oracle;
mod packet;
mod rig;
mod scene;

use std::collections::HashMap;

use qfp::core::packet::PuntCause;
use qfp::core::ppe::SlowWork;
use qfp::hal::pool::NativePool;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use oracle::{End, Says, Verdict, policy, verdict};
use packet::{Facts, Packets, Sent, checksum, number_in};
use rig::{Outcome, Router, open, seal};
use scene::{Act, Scene, WAN, ip, spi_out};

/// Routers and vectors each; a vector has up to 32 packets. A million packets where the compiler has
/// done its work, else what a test may take; `QFP_ORACLE_ROUTERS` says otherwise.
const ROUTERS: u64 = if cfg!(debug_assertions) { 16 } else { 250 };
const VECTORS: usize = if cfg!(debug_assertions) { 100 } else { 400 };
const LARGEST: usize = 32;

#[test]
fn random_packets_meet_random_policies_as_rfc_4301_and_the_documented_order_say() {
    let pool = NativePool::new(2048, 2048);
    let (mut packets, mut kinds) = (0, HashMap::new());
    let routers = std::env::var("QFP_ORACLE_ROUTERS").ok().and_then(|count| count.parse().ok());
    for seed in 0..routers.unwrap_or(ROUTERS) {
        packets += run(seed, pool.clone(), &mut kinds);
    }
    // A test in which next to nothing happens would find nothing.
    let kind = |wanted: fn(&End) -> bool| {
        kinds.iter().filter(|(end, _)| wanted(end)).map(|(_, n)| n).sum::<u64>()
    };
    let clear = kind(|end| matches!(end, End::Clear { .. }));
    let sealed = kind(|end| matches!(end, End::Sealed { .. }));
    let punted = kind(|end| matches!(end, End::Punt(_)));
    assert!(clear * 30 > packets && sealed * 200 > packets && punted * 20 > packets, "{kinds:?}");
    println!("{packets} packets: {clear} in the clear, {sealed} sealed, {punted} punted");
}

/// One router; how many packets.
fn run(seed: u64, pool: NativePool, kinds: &mut HashMap<End, u64>) -> u64 {
    let scene = Scene::random(seed);
    let mut router = Router::new(&scene, pool);
    let mut packets = Packets { scene: &scene, rng: StdRng::seed_from_u64(!seed), number: 0 };
    let keyed: Vec<usize> = (0..)
        .zip(&scene.links[WAN].spd)
        .filter_map(|(n, entry)| (entry.act == Act::Protect(true)).then_some(n))
        .collect();
    let mut sequence = vec![0; scene.links[WAN].spd.len()];
    for _ in 0..VECTORS {
        let link = packets.rng.random_range(0..3);
        let count = if packets.often(30) { 1 } else { packets.rng.random_range(1..=LARGEST) };
        let mut vector = Vec::new();
        let mut frames = Vec::new();
        for _ in 0..count {
            let by = if link == WAN && packets.often(25) {
                keyed.choose(&mut packets.rng).copied()
            } else {
                None
            };
            let sent = match by {
                Some(by) => packets.inside(by),
                None => packets.next(link),
            };
            let ip = match by {
                Some(by) => {
                    sequence[by] += 1;
                    outer(&scene, &seal(by, sequence[by], &sent.bytes))
                }
                None => sent.bytes.clone(),
            };
            frames.push(frame(link, &sent, &ip));
            vector.push((verdict(&scene, &sent), sent));
        }
        for (verdict, _) in &vector {
            *kinds.entry(verdict.end).or_default() += 1;
        }
        let context = Context { seed, scene: &scene, vector: &vector };
        let outcome = router.walk(link, frames);
        let work = context.check_walk(outcome);
        context.check_answers(&router.answer(work));
    }
    router.end();
    packets.number.into()
}

fn frame(link: usize, sent: &Sent, ip: &[u8]) -> Vec<u8> {
    let link = u8::try_from(link).unwrap();
    let mut frame = if sent.facts.group_frame { vec![0xff; 6] } else { vec![2, 0, 0, 0, link, 1] };
    frame.extend([2, 0, 0, 0, link, 2]);
    frame.extend(match (sent.facts.arp, ip[0] >> 4) {
        (true, _) => [8, 6],
        (_, 4) => [8, 0],
        _ => [0x86, 0xdd],
    });
    frame.extend(ip);
    frame
}

/// ESP from the WAN's peer to the router.
fn outer(scene: &Scene, esp: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + esp.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, 50, 0, 0];
    for host in [2, 1] {
        let std::net::IpAddr::V4(address) = ip(&format!("{}.{host}", scene.wan)) else {
            unreachable!()
        };
        packet.extend(address.octets());
    }
    let sum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&sum);
    packet.extend(esp);
    packet
}

/// What a check needs to say what went wrong.
struct Context<'a> {
    seed: u64,
    scene: &'a Scene,
    vector: &'a [(Verdict, Sent)],
}

/// What a frame is: who its packet is of, by number, and how it left.
fn seen(link: usize, frame: &[u8]) -> (Option<u32>, End) {
    let ip = &frame[14..];
    if frame[12..14] == [8, 0] && ip[9] == 50 {
        let (spi, inner) = open(&ip[20..]);
        return (number_in(&inner), End::Sealed { entry: (spi - spi_out(0)) as usize });
    }
    (number_in(ip), End::Clear { link, station: frame[5] })
}

impl Context<'_> {
    fn fail(&self, what: &str, number: Option<u32>) -> ! {
        let about: Vec<_> = self
            .vector
            .iter()
            .filter(|(_, sent)| number.is_none_or(|n| sent.facts.number == n))
            .collect();
        let what = what.get(..400).unwrap_or(what);
        panic!("seed {}: {what}\n{about:02x?}\n{}", self.seed, self.scene.toml());
    }

    fn of(&self, number: u32) -> Option<&(Verdict, Sent)> {
        self.vector.iter().find(|(_, sent)| sent.facts.number == number)
    }

    /// Every packet ends as the oracle says; what goes on to the slow path.
    fn check_walk(&self, outcome: Outcome) -> Vec<SlowWork> {
        let mut found: HashMap<u32, End> = HashMap::new();
        for (link, frames) in outcome.sent.iter().enumerate() {
            for frame in frames {
                let (number, end) = seen(link, frame);
                let Some(number) = number else { self.fail("an unknown frame", None) };
                if found.insert(number, end).is_some() {
                    self.fail("sent twice", Some(number));
                }
            }
        }
        let mut arps = 0;
        for work in &outcome.work {
            let SlowWork::Punt(punted) = work else { continue };
            match number_in(punted.packet.frame()) {
                Some(number) => drop(found.insert(number, End::Punt(punted.cause))),
                None => arps += 1,
            }
        }
        let mut wanted_drops = Vec::new();
        for (verdict, sent) in self.vector {
            let number = sent.facts.number;
            match (found.remove(&number), verdict.end) {
                (None, _) if sent.facts.arp => arps -= 1,
                (None, End::Drop(reason)) => wanted_drops.push(reason),
                (found, wanted) if found == Some(wanted) => {}
                (found, _) => {
                    self.fail(&format!("{found:?}, drops {:?}", outcome.drops), Some(number))
                }
            }
        }
        let mut drops = outcome.drops;
        for reason in &wanted_drops {
            match drops.iter().position(|found| found == reason) {
                Some(at) => drop(drops.swap_remove(at)),
                None => {
                    self.fail(&format!("{drops:?} instead of {reason:?} of {wanted_drops:?}"), None)
                }
            }
        }
        if !drops.is_empty() || arps != 0 || !found.is_empty() {
            self.fail(&format!("{drops:?} more, {arps} ARP more, {found:?}"), None);
        }
        outcome.work
    }

    /// What the slow path sends on or says: packets as the oracle says, and nothing that leaks.
    fn check_answers(&self, sent: &[Vec<Vec<u8>>; 3]) {
        let mut on: HashMap<u32, End> = HashMap::new();
        for (link, frames) in sent.iter().enumerate() {
            for frame in frames.iter().filter(|frame| frame[12..14] != [8, 6]) {
                let (number, end) = seen(link, frame);
                let about = number.and_then(|number| self.of(number));
                let Some((verdict, sent)) = about else {
                    self.check_own(link, &frame[14..], end);
                    continue;
                };
                let number = sent.facts.number;
                let told = read(&frame[14..]);
                let itself = matches!(end, End::Sealed { .. })
                    && read(&inner(&frame[14..])).is(&sent.facts)
                    || told.is(&sent.facts);
                // What is too large comes in pieces, or not.
                let cut = Some(End::Punt(PuntCause::IpMtuExceeded));
                if itself && Some(verdict.end) != cut && verdict.then != cut {
                    on.insert(number, end);
                }
                if let End::Clear { .. } = end {
                    // The packet's own sender hears of it wherever it says that it is: who forges that
                    // could as well have sent the same there.
                    let reply =
                        sent.by.is_none() && told.is_error() && told.0.dst == sent.facts.src;
                    if verdict.secret[link] && !reply {
                        self.fail(&format!("leaks on link {link} {frame:02x?}"), Some(number));
                    }
                    if !itself {
                        if sent.by.is_some() && told.is_error() {
                            self.fail(&format!("quoted in the clear {frame:02x?}"), Some(number));
                        }
                        self.check_own(link, &frame[14..], end);
                    }
                }
            }
        }
        for (verdict, sent) in self.vector {
            let number = sent.facts.number;
            let wanted =
                verdict.then.filter(|end| matches!(end, End::Clear { .. } | End::Sealed { .. }));
            let found = on.remove(&number);
            if found != wanted {
                self.fail(&format!("goes on as {found:?}, not as {wanted:?}"), Some(number));
            }
        }
    }

    /// The router's own packets meet the policy of the link like all others.
    fn check_own(&self, link: usize, packet: &[u8], end: End) {
        let facts = read(packet);
        if matches!(end, End::Clear { .. })
            && !self.scene.links[link].spd.is_empty()
            && policy(self.scene, link, &facts.0, true) != Says::Pass
        {
            self.fail(&format!("an own packet in the clear {packet:02x?}"), None);
        }
    }
}

fn inner(packet: &[u8]) -> Vec<u8> {
    open(&packet[20..]).1
}

/// A packet that the router has sent, read back.
struct Told(Facts);

impl Told {
    fn is(&self, facts: &Facts) -> bool {
        (self.0.src, self.0.dst, self.0.protocol) == (facts.src, facts.dst, facts.protocol)
    }

    fn is_error(&self) -> bool {
        let v6 = self.0.dst.is_ipv6();
        match self.0.icmp {
            Some(kind) if v6 => self.0.protocol == 58 && kind < 128,
            Some(kind) => self.0.protocol == 1 && matches!(kind, 3 | 5 | 11 | 12),
            None => false,
        }
    }
}

fn read(packet: &[u8]) -> Told {
    let v4 = |at: usize| std::net::IpAddr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap());
    let v6 =
        |at: usize| std::net::IpAddr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
    let mut later = false;
    let (src, dst, ttl, protocol, upper) = if packet[0] >> 4 == 4 {
        later = u16::from_be_bytes([packet[6], packet[7]]) & 0x1fff != 0;
        (v4(12), v4(16), packet[8], packet[9], usize::from(packet[0] & 15) * 4)
    } else {
        let (mut next, mut at) = (packet[6], 40);
        while matches!(next, 0 | 43 | 44 | 60) {
            later |= next == 44 && u16::from_be_bytes([packet[at + 2], packet[at + 3]]) >> 3 != 0;
            let len = if next == 44 { 8 } else { 8 + 8 * usize::from(packet[at + 1]) };
            (next, at) = (packet[at], at + len);
        }
        (v6(8), v6(24), packet[7], next, at)
    };
    let upper = &packet[upper..];
    let word = |at: usize| u16::from_be_bytes([upper[at], upper[at + 1]]);
    let ports = (matches!(protocol, 6 | 17) && !later).then(|| (word(0), word(2)));
    let icmp = (matches!(protocol, 1 | 58) && !later).then(|| upper[0]);
    Told(Facts {
        number: 0,
        arp: false,
        src,
        dst,
        protocol,
        ports,
        icmp,
        later,
        ttl,
        dscp: 0,
        attention: false,
        hopeless: false,
        group_frame: false,
        wrong: None,
        tiny: None,
        len: packet.len(),
    })
}
