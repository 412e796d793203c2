//! Service policies on captures: exact policers, what classes match, marks, and trust.

mod again;
mod lcores;
mod levels;
mod marking;
mod matching;
mod order;
mod program;
mod rates;
mod refused;
mod three_colours;
mod trust;

use qfp::client::config::Config;
use qfp::client::ea::Direction;
use qfp::report::{ClassReport, Count};

use crate::capture::Timed;
use crate::packets::{Mac, Tag, frame, mac, payload, udp};
use crate::router::Run;

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MILLISECOND: u64 = 1_000_000;

/// Interfaces of the router here, and the numbers of their links: a port with an interface for each
/// number of tags, twice.
pub(crate) const LINKS: [(&str, u8); 6] = [
    ("west", 1),
    ("west.100", 11),
    ("west.200.7", 12),
    ("east", 2),
    ("east.30", 21),
    ("east.40.50", 22),
];

/// The numbers of the east's links, by how many tags they have.
pub(crate) const EAST: [u8; 3] = [2, 21, 22];

/// A router between [`LINKS`], each with one known station, with more keys for some interfaces and
/// with the policies `text`.
pub(crate) fn router(keys: &[(&str, &str)], text: &str) -> String {
    router_with(keys, "", text)
}

/// As [`router`], with more keys for `[qos]`.
pub(crate) fn router_with(keys: &[(&str, &str)], qos: &str, text: &str) -> String {
    let mut config = String::new();
    for (name, link) in LINKS {
        config += &match name.split('.').collect::<Vec<_>>()[..] {
            [port] => format!("[[port]]\nname = \"{port}\"\nmac = \"02:00:00:00:{link:02x}:01\"\n"),
            [_, id] => format!("[[port.vlan]]\nid = {id}\n"),
            _ => {
                let tags: Vec<&str> = name.split('.').skip(1).collect();
                format!("[[port.vlan]]\nid = {}\ninner = {}\n", tags[0], tags[1])
            }
        };
        config += &format!("address = [\"10.{link}.0.1/16\", \"2001:db8:{link}::1/64\"]\n");
        for (_, keys) in keys.iter().filter(|(of, _)| *of == name) {
            config += &format!("{keys}\n");
        }
    }
    for (_, link) in LINKS {
        for address in [format!("10.{link}.0.2"), format!("2001:db8:{link}::2")] {
            config += &format!(
                "[[neighbor]]\naddress = \"{address}\"\nmac = \"02:00:00:00:{link:02x}:02\"\n"
            );
        }
    }
    config + &format!("[qos]\n{qos}\ntext = '''\n{text}\n'''\n")
}

/// The configuration for ports that go nowhere.
pub(crate) fn sinks(text: &str) -> Config {
    let mut config = Config::parse(text, "sinks.toml").unwrap();
    config.ports.iter_mut().for_each(|port| port.device = Some("sink".to_owned()));
    config
}

/// The station of a link.
pub(crate) fn station(link: u8, v6: bool) -> String {
    if v6 { format!("2001:db8:{link}::2") } else { format!("10.{link}.0.2") }
}

/// An IP packet of `len` bytes from the west's station to that of `link`.
pub(crate) fn ip(link: u8, v6: bool, len: usize) -> Vec<u8> {
    let headers = if v6 { 48 } else { 28 };
    udp(&station(1, v6), &station(link, v6), 64, (9, 53), &payload(len - headers))
}

/// The packet with another byte of DSCP and ECN, and the checksum that belongs to it.
pub(crate) fn with_class(mut ip: Vec<u8>, class: u8) -> Vec<u8> {
    if ip[0] >> 4 == 6 {
        ip[0] = 0x60 | class >> 4;
        ip[1] = class << 4 | ip[1] & 0xf;
        return ip;
    }
    ip[1] = class;
    let (mut header, rest) = etherparse::Ipv4Header::from_slice(&ip).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], rest].concat()
}

/// The byte of DSCP and ECN of a packet, whose header must be right and one hop on.
pub(crate) fn class_of(ip: &[u8]) -> u8 {
    if ip[0] >> 4 == 6 {
        assert_eq!(ip[7], 63);
        return ip[0] << 4 | ip[1] >> 4;
    }
    let header = etherparse::Ipv4Header::from_slice(ip).unwrap().0;
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    assert_eq!(header.time_to_live, 63);
    ip[1]
}

/// From the west's station to the router.
pub(crate) fn from_west(tags: &[Tag], ip: &[u8]) -> Vec<u8> {
    frame(WEST.0, WEST.1, tags, ip)
}

/// The router's MAC address in the west, and a station's.
const WEST: (Mac, Mac) = (mac(1, 1), mac(1, 2));

/// The packets at once, untagged from the west.
pub(crate) fn at_once(packets: &[Vec<u8>]) -> Vec<Timed> {
    packets.iter().map(|ip| (0, from_west(&[], ip))).collect()
}

/// `count` frames, one every `every` nanoseconds from 0 on.
pub(crate) fn paced(frame: &[u8], every: u64, count: u64) -> Vec<Timed> {
    (0..count).map(|n| (n * every, frame.to_vec())).collect()
}

/// The class with this path of names where its policy is bound.
pub(crate) fn class<'r>(
    run: &'r Run,
    interface: &str,
    direction: Direction,
    path: &str,
) -> &'r ClassReport {
    let is = |class: &&ClassReport| {
        let names: Vec<&str> = class.class.path.iter().map(|(_, name)| name.as_str()).collect();
        (class.class.interface.as_str(), class.class.direction) == (interface, direction)
            && names.join("/") == path
    };
    run.report.classes.iter().find(is).unwrap_or_else(|| panic!("{:?}", run.report.classes))
}

/// Packets of a class: matched, conforming, exceeding, violating, dropped.
pub(crate) fn packets(class: &ClassReport) -> [u64; 5] {
    [class.matched, class.conform, class.exceed, class.violate, class.dropped]
        .map(|count| count.packets)
}

/// Counts of packets of one length.
pub(crate) const fn each(packets: u64, bytes: u64) -> Count {
    Count { packets, bytes: packets * bytes }
}

/// One rate and two colours in whole numbers: tokens are bits times nanoseconds a second.
pub(crate) struct OneRate {
    rate: u128,
    full: u128,
    tokens: u128,
    last: u64,
}

impl OneRate {
    pub(crate) fn new(rate: u64, burst: u64) -> Self {
        let full = Self::tokens(burst);
        Self { rate: rate.into(), full, tokens: full, last: 0 }
    }

    fn tokens(bytes: u64) -> u128 {
        u128::from(bytes) * 8 * u128::from(SECOND)
    }

    pub(crate) fn conforms(&mut self, now: u64, bytes: u64) -> bool {
        let fed = self.tokens + self.rate * u128::from(now - self.last);
        self.last = now;
        let (full, need) = (self.full, Self::tokens(bytes));
        let conforms = fed.min(full) >= need;
        self.tokens = fed.min(full) - if conforms { need } else { 0 };
        conforms
    }
}
