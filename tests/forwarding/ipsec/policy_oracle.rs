//! Random policies and random packets through the router, against a plain reading of the entries.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::gateways::{Pair, run};
use crate::packets::{payload, tcp, udp, with_fragment_field};

/// An entry as it is written, and as a packet meets it.
#[derive(Clone, Debug)]
struct Entry {
    action: &'static str,
    /// Third octet of networks 10.1.x.0/24 and 10.2.x.0/24; none for any address.
    local: Option<u8>,
    remote: Option<u8>,
    protocol: Option<u8>,
    local_ports: Option<(u16, u16)>,
    remote_ports: Option<(u16, u16)>,
}

/// A packet between the two networks, as seen from here.
#[derive(Clone, Copy, Debug)]
struct Flow {
    local: u8,
    remote: u8,
    protocol: u8,
    ports: (u16, u16),
    later: bool,
}

impl Entry {
    fn random(rng: &mut StdRng) -> Self {
        let net = |rng: &mut StdRng| rng.random_bool(0.5).then(|| rng.random_range(0..2));
        let protocol = rng.random_bool(0.7).then(|| *[6, 17].choose(rng).unwrap());
        let range = |rng: &mut StdRng| {
            let wanted = protocol.is_some() && rng.random_bool(0.4);
            wanted.then(|| (rng.random_range(1..4), rng.random_range(4..7)))
        };
        Self {
            action: ["protect", "bypass", "discard"].choose(rng).unwrap(),
            local: net(rng),
            remote: net(rng),
            protocol,
            local_ports: range(rng),
            remote_ports: range(rng),
        }
    }

    fn text(&self, n: usize) -> String {
        let mut text = format!("name = \"{n}\"\naction = \"{}\"\n", self.action);
        let net = |side: u8, net: Option<u8>| net.map(|net| format!("10.{side}.{net}.0/24"));
        for (key, net) in [("local", net(1, self.local)), ("remote", net(2, self.remote))] {
            text += &net.map_or(String::new(), |net| format!("{key} = \"{net}\"\n"));
        }
        if let Some(protocol) = self.protocol {
            text += &format!("protocol = {protocol}\n");
        }
        for (key, ports) in [("local_port", self.local_ports), ("remote_port", self.remote_ports)] {
            text += &ports.map_or(String::new(), |(a, b)| format!("{key} = \"{a}-{b}\"\n"));
        }
        text
    }

    fn has_ports(&self) -> bool {
        self.local_ports.is_some() || self.remote_ports.is_some()
    }

    /// Whether addresses and protocol are the entry's.
    fn between(&self, flow: Flow) -> bool {
        self.local.is_none_or(|net| net == flow.local)
            && self.remote.is_none_or(|net| net == flow.remote)
            && self.protocol.is_none_or(|protocol| protocol == flow.protocol)
    }

    fn takes(&self, flow: Flow) -> bool {
        let inside = |ports: Option<(u16, u16)>, port| {
            ports.is_none_or(|(low, high)| (low..=high).contains(&port))
        };
        let ports =
            inside(self.local_ports, flow.ports.0) && inside(self.remote_ports, flow.ports.1);
        self.between(flow) && if flow.later { !self.has_ports() } else { ports }
    }
}

/// The entry whose rule matches, and whether that is its rule for later fragments.
fn decides(entries: &[Entry], flow: Flow) -> Option<(usize, bool)> {
    let decided = entries.iter().position(|entry| entry.takes(flow));
    let in_the_clear = decided.is_none_or(|n| entries[n].action == "bypass");
    let before = &entries[..decided.unwrap_or(entries.len())];
    let doubtful = before.iter().position(|entry| {
        flow.later && entry.has_ports() && entry.between(flow) && entry.action != "bypass"
    });
    match doubtful.filter(|_| in_the_clear) {
        Some(n) => Some((n, true)),
        None => decided.map(|n| (n, false)),
    }
}

impl Flow {
    fn random(rng: &mut StdRng) -> Self {
        Self {
            local: rng.random_range(0..3),
            remote: rng.random_range(0..3),
            protocol: *[6, 17].choose(rng).unwrap(),
            ports: (rng.random_range(0..8), rng.random_range(0..8)),
            later: rng.random_bool(0.2),
        }
    }

    /// The packet, as it leaves or as it comes in.
    fn packet(self, out: bool) -> Vec<u8> {
        let (ours, theirs) = (format!("10.1.{}.2", self.local), format!("10.2.{}.2", self.remote));
        let (src, dst) = if out { (ours, theirs) } else { (theirs, ours) };
        let ports = if out { self.ports } else { (self.ports.1, self.ports.0) };
        let ip = match self.protocol {
            6 => tcp(&src, &dst, 64, ports, 2, &payload(20)),
            _ => udp(&src, &dst, 64, ports, &payload(20)),
        };
        if self.later { with_fragment_field(ip, 9) } else { ip }
    }
}

/// Names of rules, and how many packets each matched.
type Matched = BTreeMap<(String, &'static str, bool), u64>;

#[test]
fn random_packets_meet_the_entry_that_a_plain_reading_says() {
    let more = "[[route]]\nprefix = \"10.1.0.0/16\"\nvia = \"10.1.0.2\"\n".to_owned();
    let pair = Pair { more, ..Pair::default() };
    for seed in 0..25 {
        let mut rng = StdRng::seed_from_u64(seed);
        let count = rng.random_range(1..7);
        let entries: Vec<Entry> = (0..count).map(|_| Entry::random(&mut rng)).collect();
        let texts: Vec<String> = entries.iter().enumerate().map(|(n, e)| e.text(n)).collect();
        let config = pair.policy(1, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        let flows: Vec<Flow> = (0..120).map(|_| Flow::random(&mut rng)).collect();
        let timed = |out| flows.iter().map(|flow| (0, flow.packet(out))).collect::<Vec<_>>();
        let run = run(&config, 1, &timed(true), &timed(false));
        let mut wanted = Matched::new();
        let mut passed = 0;
        for flow in &flows {
            let decided = decides(&entries, *flow);
            passed += u64::from(decided.is_none_or(|(n, f)| entries[n].action == "bypass" && !f));
            for direction in ["in", "out"] {
                if let Some((n, fragments)) = decided {
                    *wanted.entry((format!("wan/{n}"), direction, fragments)).or_default() += 1;
                }
            }
        }
        let seen = run.report.security.iter().filter(|one| one.count.packets > 0);
        let seen: Matched = seen
            .map(|one| {
                let rule = &one.rule;
                let name = (rule.entry.clone(), rule.direction.name(), rule.fragments);
                (name, one.count.packets)
            })
            .collect();
        assert_eq!(seen, wanted, "seed {seed}: {texts:#?}");
        // What passes goes to a host that is known, or has to be asked for.
        let gone = run.report.dropped();
        assert_eq!(gone, 2 * (flows.len() as u64 - passed), "seed {seed}: {:?}", run.report.drops);
    }
}
