//! A random router: what it is told, and what the oracle knows of it.

use std::net::IpAddr;

use ipnet::IpNet;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Links by port number.
pub(super) const NAMES: [&str; 3] = ["lan", "wan", "side"];
pub(super) const WAN: usize = 1;
/// DSCP of the class that a policer drops all of.
pub(super) const POLICED: u8 = 46;

pub(super) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What an entry of a security policy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Bypass,
    Discard,
    /// With SAs, or in want of them.
    Protect(bool),
}

/// An entry as it is written, and as the oracle reads it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) act: Act,
    pub(super) local: Option<IpNet>,
    pub(super) remote: Option<IpNet>,
    pub(super) protocol: Option<u8>,
    pub(super) local_ports: Option<(u16, u16)>,
    pub(super) remote_ports: Option<(u16, u16)>,
}

/// A line of an access list, without ports.
#[derive(Clone, Debug)]
pub(super) struct Ace {
    pub(super) permit: bool,
    pub(super) protocol: Option<u8>,
    pub(super) src: Option<IpNet>,
    pub(super) dst: Option<IpNet>,
}

/// How sources are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rpf {
    Strict,
    Loose,
}

/// What an entry of a route map does with what its list permits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Set {
    Null0,
    NextHop([IpAddr; 2]),
}

/// Lists of both families: IPv4, IPv6.
pub(super) type Lists = [Option<Vec<Ace>>; 2];

/// An interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    pub(super) acl_in: Lists,
    pub(super) acl_out: Lists,
    pub(super) rpf: Option<Rpf>,
    pub(super) policer: bool,
    /// An entry of a route map: of which lists, and what it does.
    pub(super) route_map: Option<(Lists, Set)>,
    pub(super) spd: Vec<Entry>,
}

/// A router.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) links: [Link; 3],
    /// First three octets of the WAN: below or above the others', which says what address the router
    /// would choose first.
    pub(super) wan: &'static str,
}

impl Scene {
    pub(super) fn random(seed: u64) -> Self {
        let mut source = Source(StdRng::seed_from_u64(seed));
        let wan = *["5.0.113", "203.0.113"].choose(&mut source.0).unwrap();
        let mut links = [Link::default(), Link::default(), Link::default()];
        for (n, link) in links.iter_mut().enumerate() {
            link.acl_in = source.lists(25);
            link.acl_out = source.lists(20);
            if source.often(25) {
                link.rpf = Some(if source.often(50) { Rpf::Strict } else { Rpf::Loose });
            }
            link.policer = source.often(25);
            if source.often(30) {
                let lists = [Some(source.aces(0)), Some(source.aces(1))];
                let hop = if source.often(50) {
                    ["10.3.0.2", "2001:db8:3::2"]
                } else {
                    ["10.3.0.60", "2001:db8:3::60"]
                };
                let set = if source.often(35) { Set::Null0 } else { Set::NextHop(hop.map(ip)) };
                link.route_map = Some((lists, set));
            }
            if n == WAN && source.often(90) || n == 2 && source.often(25) {
                link.spd = source.entries(n == WAN);
            }
        }
        Self { links, wan }
    }

    /// The configuration, but for the keys.
    pub(super) fn toml(&self) -> String {
        let mut text = String::new();
        let mut lists = String::new();
        let mut maps = String::new();
        let mut spd = String::new();
        for (n, (link, name)) in self.links.iter().zip(NAMES).enumerate() {
            let address = ["10.1.0.1/24", &format!("{}.1/24", self.wan), "10.3.0.1/24"];
            let six = ["2001:db8:1::1/64", "2001:db8:ff::1/64", "2001:db8:3::1/64"];
            text += &format!(
                "[[port]]\nname = \"{name}\"\ndevice = \"sink\"\nmac = \"02:00:00:00:0{n}:01\"\n\
                 mtu = 1500\naddress = [\"{}\", \"{}\"]\n",
                address[n], six[n]
            );
            for (key, both) in [("in", &link.acl_in), ("out", &link.acl_out)] {
                let names: Vec<String> = named(both, &format!("{name}-{key}"), &mut lists);
                if !names.is_empty() {
                    text += &format!("acl_{key} = [{}]\n", names.join(", "));
                }
            }
            if let Some(rpf) = link.rpf {
                text += &format!(
                    "urpf = \"{}\"\n",
                    if rpf == Rpf::Strict { "strict" } else { "loose" }
                );
            }
            if link.policer {
                text += "service_policy_in = \"P\"\n";
            }
            if let Some((both, set)) = &link.route_map {
                text += &format!("policy_route = \"M-{name}\"\n");
                named(both, &format!("{name}-map"), &mut lists);
                let set = match set {
                    Set::Null0 => " set interface Null0\n".to_owned(),
                    Set::NextHop([v4, v6]) => {
                        format!(" set ip next-hop {v4}\n set ipv6 next-hop {v6}\n")
                    }
                };
                maps += &format!(
                    "route-map M-{name} permit 10\n match ip address {name}-map-v4\n \
                     match ipv6 address {name}-map-v6\n{set}"
                );
            }
            for (entry, e) in link.spd.iter().enumerate() {
                spd += &self.entry(n, entry, e);
            }
        }
        text += &self.routes();
        if !lists.is_empty() {
            text += &format!("[[acl]]\ntext = '''\n{lists}'''\n");
        }
        if !maps.is_empty() {
            text += &format!("[[route_map]]\ntext = '''\n{maps}'''\n");
        }
        text += &format!(
            "[qos]\ntext = '''\nclass-map match-any DROP\n match dscp {POLICED}\npolicy-map P\n \
             class DROP\n  police 8000 bc 20000 conform-action drop exceed-action drop\n'''\n"
        );
        text + &spd
    }

    fn routes(&self) -> String {
        let mut text = String::new();
        for (prefix, via) in self.routed() {
            let to = via.map_or("drop = true".to_owned(), |via| format!("via = \"{via}\""));
            text += &format!("[[route]]\nprefix = \"{prefix}\"\n{to}\n");
        }
        for (link, address) in self.known() {
            text += &format!(
                "[[neighbor]]\naddress = \"{address}\"\nmac = \"02:00:00:00:0{link}:02\"\n"
            );
        }
        text
    }

    /// Routes beside those of connected networks: prefix, and next hop or discard.
    pub(super) fn routed(&self) -> Vec<(IpNet, Option<IpAddr>)> {
        let wan = |host| Some(ip(&format!("{}.{host}", self.wan)));
        vec![
            (net("10.2.0.0/16"), wan(2)),
            (net("10.9.0.0/16"), wan(77)),
            (net("10.8.0.0/16"), None),
            (net("10.4.0.0/16"), Some(ip("10.3.0.2"))),
            (net("2001:db8:2::/48"), Some(ip("2001:db8:ff::2"))),
            (net("2001:db8:9::/48"), Some(ip("2001:db8:ff::77"))),
            (net("2001:db8:8::/48"), None),
            (net("2001:db8:4::/48"), Some(ip("2001:db8:3::2"))),
        ]
    }

    /// Networks of links with the router's own address in them.
    pub(super) fn connected(&self) -> Vec<(usize, IpNet)> {
        let wan = format!("{}.1/24", self.wan);
        let all = [
            "10.1.0.1/24",
            &wan,
            "10.3.0.1/24",
            "2001:db8:1::1/64",
            "2001:db8:ff::1/64",
            "2001:db8:3::1/64",
        ];
        all.iter().enumerate().map(|(n, text)| (n % 3, net(text))).collect()
    }

    /// Neighbours that are known: host 2 of each network.
    pub(super) fn known(&self) -> Vec<(usize, IpAddr)> {
        let host = |address: IpAddr| match address {
            IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() + 1).into()),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() + 1).into()),
        };
        self.connected().into_iter().map(|(link, net)| (link, host(net.addr()))).collect()
    }

    fn entry(&self, link: usize, n: usize, entry: &Entry) -> String {
        let name = NAMES[link];
        let action = match entry.act {
            Act::Bypass => "bypass",
            Act::Discard => "discard",
            Act::Protect(_) => "protect",
        };
        let mut text =
            format!("[[spd]]\ninterface = \"{name}\"\nname = \"{n}\"\naction = \"{action}\"\n");
        for (key, net) in [("local", entry.local), ("remote", entry.remote)] {
            text += &net.map_or(String::new(), |net| format!("{key} = \"{net}\"\n"));
        }
        if let Some(protocol) = entry.protocol {
            text += &format!("protocol = {protocol}\n");
        }
        for (key, ports) in [("local_port", entry.local_ports), ("remote_port", entry.remote_ports)]
        {
            text += &ports.map_or(String::new(), |(a, b)| format!("{key} = \"{a}-{b}\"\n"));
        }
        if entry.act != Act::Protect(true) {
            return text;
        }
        text += &format!("sa_out = \"out{n}\"\nsa_in = \"in{n}\"\n");
        for (direction, spi) in [("out", spi_out(n)), ("in", spi_in(n))] {
            text += &format!(
                "[[sa]]\nname = \"{direction}{n}\"\ndirection = \"{direction}\"\nspi = {spi}\n\
                 local = \"{wan}.1\"\nremote = \"{wan}.2\"\nalgorithm = \"aes-128-gcm\"\n\
                 key_file = \"{spi}\"\n",
                wan = self.wan
            );
        }
        text
    }
}

/// SPIs of the WAN's entry `n`.
pub(super) fn spi_out(n: usize) -> u32 {
    0x1000 + u32::try_from(n).unwrap()
}
pub(super) fn spi_in(n: usize) -> u32 {
    0x2000 + u32::try_from(n).unwrap()
}

/// The key and salt that an SPI stands for.
pub(super) fn key(spi: u32) -> [u8; 20] {
    let [_, _, high, low] = spi.to_be_bytes();
    std::array::from_fn(|n| [high, low][n % 2] ^ [3, 7, 31, 127, 85][n % 5])
}

/// Writes the lists and says their quoted names.
fn named(lists: &Lists, name: &str, text: &mut String) -> Vec<String> {
    let mut names = Vec::new();
    for (list, family) in lists.iter().zip(["v4", "v6"]) {
        let Some(list) = list else { continue };
        let kind = if family == "v4" { "ip access-list extended" } else { "ipv6 access-list" };
        *text += &format!("{kind} {name}-{family}\n");
        for ace in list {
            let action = if ace.permit { "permit" } else { "deny" };
            let any = if family == "v4" { "ip" } else { "ipv6" };
            let protocol = ace.protocol.map_or(any.to_owned(), |number| number.to_string());
            let end = |net: Option<IpNet>| match net {
                None => "any".to_owned(),
                Some(IpNet::V4(net)) => format!("{} {}", net.network(), net.hostmask()),
                Some(IpNet::V6(net)) => net.to_string(),
            };
            *text += &format!(" {action} {protocol} {} {}\n", end(ace.src), end(ace.dst));
        }
        names.push(format!("\"{name}-{family}\""));
    }
    names
}

/// Words that go together.
struct Source(StdRng);

impl Source {
    fn often(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    fn net(&mut self, family: usize) -> IpNet {
        let four = [
            "10.1.0.0/24",
            "10.1.0.2/32",
            "10.2.0.0/16",
            "10.2.1.0/24",
            "10.3.0.0/24",
            "10.4.0.0/16",
            "224.0.0.0/4",
            "10.0.0.0/8",
        ];
        let six = [
            "2001:db8:1::/64",
            "2001:db8:1::2/128",
            "2001:db8:2::/48",
            "2001:db8:2:1::/64",
            "2001:db8:3::/64",
            "2001:db8:4::/48",
            "fe80::/10",
            "2001:db8::/32",
        ];
        net([four, six][family].choose(&mut self.0).unwrap())
    }

    fn protocol(&mut self, family: usize) -> Option<u8> {
        let icmp = [1, 58][family];
        self.often(50).then(|| *[6, 17, icmp, 47].choose(&mut self.0).unwrap())
    }

    /// Most lists end by letting all pass: else there would be nothing left for the rows behind.
    fn aces(&mut self, family: usize) -> Vec<Ace> {
        let mut aces: Vec<Ace> = (0..self.0.random_range(1..4))
            .map(|_| Ace {
                permit: self.often(35),
                protocol: self.protocol(family),
                src: self.often(60).then(|| self.net(family)),
                dst: self.often(60).then(|| self.net(family)),
            })
            .collect();
        if self.often(75) {
            aces.push(Ace { permit: true, protocol: None, src: None, dst: None });
        }
        aces
    }

    fn lists(&mut self, percent: u32) -> Lists {
        [0, 1].map(|family| self.often(percent).then(|| self.aces(family)))
    }

    fn entries(&mut self, keyed: bool) -> Vec<Entry> {
        (0..self.0.random_range(1..6))
            .map(|_| {
                let family = usize::from(self.often(50));
                let protocol = if self.often(50) { self.protocol(family) } else { None };
                let ranged = |source: &mut Self| {
                    let wanted = matches!(protocol, Some(6 | 17)) && source.often(40);
                    wanted.then(|| (source.0.random_range(1..4), source.0.random_range(4..7)))
                };
                let act = match self.0.random_range(0..6) {
                    0 => Act::Discard,
                    1 => Act::Bypass,
                    n => Act::Protect(keyed && n != 2),
                };
                Entry {
                    act,
                    local: self.often(50).then(|| self.net(family)),
                    remote: self.often(60).then(|| self.net(family)),
                    protocol,
                    local_ports: ranged(self),
                    remote_ports: ranged(self),
                }
            })
            .collect()
    }
}
