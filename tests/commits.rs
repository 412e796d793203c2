//! Commits one after the other, refused ones in between: in the end packets go where a fresh start
//! sends them, and what no commit has touched keeps its counts.
//!
//! `QFP_COMMITS` is the number of sequences; 10 000 of them are in `make nightly`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use channel::Channel;
use packets::{frame, mac, udp};
use qfp::client::config::{Config, RouteTable};
use qfp::{Forwarder, Running};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

#[path = "../examples/own_port/channel.rs"]
mod channel;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "support/packets.rs"]
mod packets;

const PATIENCE: Duration = Duration::from_secs(60);
/// A port that no list denies, of the packets that say that all before them have been seen.
const LAST: u16 = 7777;

/// What may differ between configurations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Choice {
    default: Hop,
    special: Option<Hop>,
    denied: [bool; 2],
    /// Last bytes of the right neighbour's MAC address and of the left port's address.
    numbers: [u8; 2],
    is_strict: bool,
    marks: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Hop {
    Left,
    Right,
    Drop,
}

impl Hop {
    fn random(random: &mut SmallRng) -> Self {
        [Self::Left, Self::Right, Self::Drop][random.random_range(0..3)]
    }

    fn text(self) -> &'static str {
        match self {
            Self::Left => "via = \"10.2.0.200\"",
            Self::Right => "via = \"10.3.0.200\"",
            Self::Drop => "drop = true",
        }
    }
}

impl Choice {
    const BASE: Self = Self {
        default: Hop::Left,
        special: None,
        denied: [false; 2],
        numbers: [1; 2],
        is_strict: false,
        marks: false,
    };

    fn random(random: &mut SmallRng) -> Self {
        Self {
            default: Hop::random(random),
            special: random.random_bool(0.5).then(|| Hop::random(random)),
            denied: [random.random_bool(0.5), random.random_bool(0.5)],
            numbers: [random.random_range(1..3), random.random_range(1..3)],
            is_strict: random.random_bool(0.3),
            marks: random.random_bool(0.3),
        }
    }

    fn text(&self) -> String {
        let [right, left] = self.numbers;
        let route =
            |prefix: &str, hop: Hop| format!("[[route]]\nprefix = \"{prefix}\"\n{}\n", hop.text());
        let mut filter = String::from("ip access-list extended FILTER\n");
        for (denied, port) in self.denied.into_iter().zip([9, 10]) {
            if denied {
                filter += &format!(" deny udp any any eq {port}\n");
            }
        }
        let urpf = if self.is_strict { "urpf = \"strict\"\n" } else { "" };
        let service = if self.marks { "service_policy_in = \"MARK\"\n" } else { "" };
        format!(
            "[[port]]\nname = \"in\"\nmac = \"02:00:00:00:01:01\"\naddress = [\"10.1.0.1/24\"]\n\
             acl_in = \"FILTER\"\n{urpf}{service}\
             [[port]]\nname = \"left\"\nmac = \"02:00:00:00:02:01\"\naddress = [\"10.2.0.{left}/24\"]\n\
             acl_out = \"KEEP\"\n\
             [[port]]\nname = \"right\"\nmac = \"02:00:00:00:03:01\"\naddress = [\"10.3.0.1/24\"]\n\
             [[acl]]\ntext = '''\n{filter} permit ip any any\nip access-list extended KEEP\n \
             permit udp any any\n'''\n\
             [qos]\ntext = '''\npolicy-map MARK\n class class-default\n  set ip dscp ef\n'''\n\
             [[neighbor]]\naddress = \"10.2.0.200\"\nmac = \"02:00:00:00:02:02\"\n\
             [[neighbor]]\naddress = \"10.3.0.200\"\nmac = \"02:00:00:00:03:0{right}\"\n\
             {}{}{}{}",
            route("50.0.0.0/8", Hop::Left),
            route("51.0.0.0/8", Hop::Right),
            route("0.0.0.0/0", self.default),
            self.special.map_or_else(String::new, |hop| route("20.1.0.0/16", hop)),
        )
    }

    fn config(&self) -> Config {
        Config::parse(&self.text(), "random.toml").unwrap()
    }
}

/// A configuration that is refused, by who reads it, by who checks it or by who puts it in force.
fn refused(random: &mut SmallRng) -> Config {
    let text = Choice::random(random).text();
    let wrong = [
        ("10.2.0.200\"\nmac", "10.9.0.200\"\nmac"),
        ("acl_in = \"FILTER\"", "acl_in = \"OTHER\""),
        ("name = \"right\"\n", "name = \"right\"\nmtu = 1400\n"),
        ("name = \"left\"\n", "name = \"west\"\n"),
    ];
    let (old, new) = wrong[random.random_range(0..wrong.len())];
    Config::parse(&text.replacen(old, new, 1), "refused.toml").unwrap()
}

/// A router whose ports are ours.
struct Router {
    running: Running,
    input: Sender<Vec<u8>>,
    left: Receiver<Vec<u8>>,
    right: Receiver<Vec<u8>>,
    _idle: [Sender<Vec<u8>>; 2],
    _answers: Receiver<Vec<u8>>,
    /// What has left by the left port.
    sent_left: usize,
}

/// Frames that left by the left port and by the right one, in order.
type Outcome = [Vec<Vec<u8>>; 2];

impl Router {
    fn start(choice: &Choice) -> Self {
        let (port0, input, answers) = Channel::new();
        let (port1, idle1, left) = Channel::new();
        let (port2, idle2, right) = Channel::new();
        let forwarder = Forwarder::new(choice.config()).port("in", port0);
        let running = forwarder.port("left", port1).port("right", port2).start().unwrap();
        let (idle, answers) = ([idle1, idle2], answers);
        Self { running, input, left, right, _idle: idle, _answers: answers, sent_left: 0 }
    }

    /// Where packets go, from two sources to six destinations and three ports.
    fn probe(&mut self) -> Outcome {
        let send = |src: &str, dst: &str, port| {
            let ip = udp(src, dst, 64, (4000, port), b"probe");
            self.input.send(frame(mac(1, 1), mac(1, 2), &[], &ip)).unwrap();
        };
        for src in ["10.1.0.2", "20.9.0.2"] {
            for dst in ["20.0.0.1", "20.1.0.1", "20.1.255.9", "99.0.0.1", "50.0.0.1", "51.0.0.1"] {
                for port in [8, 9, 10] {
                    send(src, dst, port);
                }
            }
        }
        send("10.1.0.2", "50.0.0.9", LAST);
        send("10.1.0.2", "51.0.0.9", LAST);
        let seen = [&self.left, &self.right].map(|port| {
            let mut frames = Vec::new();
            loop {
                let next = port.recv_timeout(PATIENCE).unwrap();
                // What the slow path says of its own is no probe.
                if next[12..14] != [8, 0] || next[23] != 17 {
                    continue;
                }
                let is_last = next[36..38] == LAST.to_be_bytes();
                frames.push(next);
                if is_last {
                    return frames;
                }
            }
        });
        self.sent_left += seen[0].len();
        seen
    }

    /// Packets that the list has counted that all configurations have.
    fn kept(&self) -> u64 {
        let lists = self.running.report().access_lists;
        lists.iter().find(|list| list.name == "KEEP").unwrap().rules[0].packets
    }

    /// What is in use of everything that is given out.
    fn in_use(&self) -> Vec<(&'static str, u32)> {
        let (pools, _) = self.running.resources();
        pools.into_iter().map(|(_, pool)| (pool.what, pool.in_use)).collect()
    }
}

// rows: ARC-13
#[test]
fn after_any_commits_packets_go_where_a_fresh_start_sends_them() {
    let sequences = std::env::var("QFP_COMMITS").map_or(200, |count| count.parse().unwrap());
    // A fresh start takes longer than all the rest, so there are fewer configurations than commits.
    let mut random = SmallRng::seed_from_u64(sequences);
    let choices: Vec<_> = (0..30 + sequences / 100).map(|_| Choice::random(&mut random)).collect();
    let mut fresh: HashMap<&Choice, Outcome> = HashMap::new();
    let mut router = Router::start(&Choice::BASE);
    let baseline = router.in_use();
    for seed in 0..sequences {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut last = None;
        while last.is_none() || random.random_bool(0.6) {
            if random.random_bool(0.3) {
                let config = refused(&mut random);
                assert!(
                    router.running.commit(config, RouteTable::default()).is_err(),
                    "seed {seed}"
                );
            }
            let choice = &choices[random.random_range(0..choices.len())];
            router.running.commit(choice.config(), RouteTable::default()).unwrap();
            last = Some(choice);
        }
        if random.random_bool(0.5) {
            let config = refused(&mut random);
            assert!(router.running.commit(config, RouteTable::default()).is_err(), "seed {seed}");
        }
        let choice = last.unwrap();
        let outcome = router.probe();
        let wanted = fresh.entry(choice).or_insert_with_key(|choice| {
            let mut fresh = Router::start(choice);
            let outcome = fresh.probe();
            assert_eq!(fresh.running.stop().unwrap().conserved, Some(true));
            outcome
        });
        assert_eq!(outcome, *wanted, "seed {seed}");
        assert_eq!(router.kept(), router.sent_left as u64, "seed {seed}");
    }
    let deadline = Instant::now() + PATIENCE;
    // Lcores leave what was before while packets flow; counters of rules wait for the next commit.
    loop {
        router.running.commit(Choice::BASE.config(), RouteTable::default()).unwrap();
        router.probe();
        if router.in_use() == baseline {
            break;
        }
        assert!(Instant::now() < deadline, "{:?} {baseline:?}", router.in_use());
    }
    assert_eq!(router.running.stop().unwrap().conserved, Some(true));
}
