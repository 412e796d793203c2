//! `[ipsec]`, `[[sa]]`, `[[tunnel]]` and `[[spd]]`.

use std::io;
use std::path::{Path, PathBuf};

use qfp_core::crypto::Algorithm;
use qfp_core::ipsec::{DontFragment, Dscp, Mode};

use super::*;
use crate::ipsec::{Direction, Lifetime, Secret};

/// A tunnel with an SA each way, and a policy with another pair.
const TUNNEL: &str = r#"
[[port]]
name = "wan"
device = "sink"
address = ["203.0.113.1/24"]

[ipsec]
state_dir = "/var/lib/wan"

[[sa]]
name = "east-out"
direction = "out"
spi = 0x1001
local = "203.0.113.1"
remote = "203.0.113.2"
algorithm = "aes-128-gcm"
key_file = "1.key"
dscp = 46
df = "set"
ecn = false
ttl = 9
soft = { bytes = 1000, seconds = 3600 }
hard = { packets = 9 }

[[sa]]
name = "east-in"
direction = "in"
spi = 0x2001
local = "203.0.113.1"
remote = "203.0.113.2"
algorithm = "aes-128-gcm"
key_file = "2.key"
udp = [4500, 4501]
esn = true
replay_window = 1024

[[tunnel]]
name = "tunnel0"
address = ["10.255.0.1/30"]
sa_out = "east-out"
sa_in = "east-in"

[[sa]]
name = "host-out"
direction = "out"
spi = 300
mode = "transport"
local = "203.0.113.1"
remote = "203.0.113.9"
algorithm = "aes-256-cbc-sha256"
key_file = "3.key"

[[spd]]
interface = "wan"
name = "dns"
action = "bypass"
protocol = "udp"
remote_port = 53

[[spd]]
interface = "wan"
name = "to-host"
action = "protect"
local = "203.0.113.1"
remote = "203.0.113.9"
protocol = 6
local_port = "1-100"
sa_out = "host-out"

[[route]]
prefix = "10.2.0.0/16"
dev = "tunnel0"
"#;

/// Bytes of the keys in the files `1.key`, `2.key` and so on, which are all different.
fn key(path: &Path) -> io::Result<Vec<u8>> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let number: u8 = name.trim_end_matches(".key").parse().map_err(io::Error::other)?;
    let len = match number {
        3 => 32 + 32,
        4 => 19,
        _ => 20,
    };
    Ok(format!("{number:02x}").repeat(len).into_bytes())
}

fn checked(text: &str) -> Result<Config, ConfigError> {
    let config = Config::parse_with(text, "dir/c.toml", key)?;
    config.validate()?;
    Ok(config)
}

#[test]
fn everything_about_ipsec_is_read_and_bound_to_who_uses_it() {
    let config = checked(TUNNEL).unwrap();
    assert_eq!(config.state_dir(), Some(PathBuf::from("/var/lib/wan")));
    let bound = config.ipsec.bound();
    let [out, within, host] = &bound[..] else { panic!("{bound:?}") };
    assert_eq!((&*out.name, out.direction, out.spi), ("east-out", Direction::Out, 0x1001));
    assert_eq!((out.mode, out.algorithm, out.ttl), (Mode::Tunnel, Algorithm::Aes128Gcm, 9));
    assert_eq!((out.dscp, out.df, out.ecn), (Dscp::Set(46), DontFragment::Set, false));
    let soft = Lifetime { bytes: Some(1000), packets: None, seconds: Some(3600) };
    assert_eq!((out.soft, out.hard.packets, out.esn), (soft, Some(9), false));
    assert_eq!((&out.key, out.lasting), (&Secret::new(&[1; 20]), true));
    assert_eq!(out.interface.as_deref(), Some("tunnel0"));
    assert_eq!((within.udp, within.esn, within.replay_window), (Some((4500, 4501)), true, 1024));
    assert_eq!((within.interface.as_deref(), within.selector), (Some("tunnel0"), None));
    assert_eq!((host.mode, host.interface.as_deref()), (Mode::Transport, Some("wan/to-host")));
    // What fits 1500 bytes: 20 IP, 8 ESP, 8 IV, 16 ICV, 2 trailer, 4-byte alignment.
    let interfaces = Interfaces::new(&config);
    let tunnel = interfaces.get(interfaces.named("tunnel0").unwrap());
    assert_eq!((tunnel.mtu(), tunnel.is_point_to_point()), (1446, true));
    assert!(interfaces.get(interfaces.named("wan/to-host").unwrap()).is_hidden());
    let [dns, host] = &config.ipsec.spd[..] else { panic!() };
    assert_eq!((dns.protocol, &dns.remote_ports), (Some(17), &(53..=53)));
    assert_eq!((host.protocol, &host.local_ports), (Some(6), &(1..=100)));
    let host_net = "203.0.113.9/32".parse().unwrap();
    assert_eq!(host.networks().map(|nets| nets.1), Some(host_net));
}

#[test]
fn what_is_written_names_the_places_of_keys_and_never_says_them() {
    let config = checked(TUNNEL).unwrap();
    let text = config.to_string();
    assert!(!text.contains("0101") && text.contains("dir/1.key"), "{text}");
    let again = Config::parse_with(&text, "written", key).unwrap();
    assert_eq!(again, config);
    for debug in [format!("{config:?}"), format!("{:?}", config.ipsec.bound())] {
        assert!(!debug.contains("1, 1, 1") && !debug.contains("0101"), "{debug}");
    }
}

#[test]
fn marks_are_in_one_place_for_the_machine_unless_the_configuration_says_where() {
    let text = TUNNEL.replace("state_dir", "# state_dir");
    let dirs = ["a/c.toml", "/elsewhere/copy.toml"].map(|file| {
        let config = Config::parse_with(&text, file, key).unwrap();
        config.state_dir().unwrap()
    });
    assert!(dirs[0].is_absolute(), "{dirs:?}");
    assert_eq!(dirs[0], dirs[1], "wherever it is read from");
    assert_eq!(check(GOOD).unwrap().state_dir(), None, "nothing to be kept");
}

#[test]
fn mistakes_about_ipsec_are_one_line_at_the_key_that_is_wrong() {
    let mut wrong = Vec::new();
    // What is changed into what, the key whose line the error has, and the error.
    for (from, to, key, wants) in [
        ("spi = 0x1001", "spi = 255", "spi = 255", "SA east-out: SPI 255 is reserved"),
        (
            "spi = 0x1001",
            "spi = 0x1_0000_0000",
            "spi = 0x1",
            "\"spi\" must be between 0 and 4294967295",
        ),
        (
            "direction = \"out\"",
            "direction = \"both\"",
            "direction = \"both\"",
            "\"in\" or \"out\"",
        ),
        ("remote = \"203.0.113.2\"", "remote = \"2001:db8::2\"", "remote = \"2001", "families"),
        ("\"1.key\"", "\"4.key\"", "key_file = \"4", "aes-128-gcm takes a key of 20 bytes, not 19"),
        ("\"1.key\"", "\"x.key\"", "key_file = \"x", "cannot be read"),
        ("\"1.key\"", "\"0.key\"", "key_file = \"0", "a key of zeroes alone protects nothing"),
        ("\"/var/lib/wan\"", "\"wan\"", "state_dir = \"wan", "from / on, not \"wan\""),
        (
            "\"1.key\"",
            "\"2.key\"",
            "key_file = \"2.key\"\nudp",
            "SA east-in has the key of SA east-out",
        ),
        ("key_file = \"1.key\"", "key_env = \"QFP_NO_SUCH_KEY\"", "key_env", "no variable"),
        ("aes-128-gcm", "aes-129-gcm", "algorithm = \"aes-129", "there are aes-128-gcm, "),
        (
            "name = \"east-in\"",
            "name = \"east-out\"",
            "name = \"east-out\"\ndirection = \"in",
            "already an SA",
        ),
        ("name = \"east-in\"", "name = \"east in\"", "name = \"east in\"", "is no name"),
        ("udp = [4500, 4501]", "udp = [4500, 0]", "udp", "1 to 65535 each"),
        ("udp = [4500, 4501]", "udp = [4500]", "udp", "1 to 65535 each"),
        ("replay_window = 1024", "replay_window = 100", "replay_window", "100"),
        ("replay_window = 1024", "replay_window = 0", "esn = true", "need a replay window"),
        ("ttl = 9", "replay_window = 64", "replay_window = 64", "packets that come in"),
        ("ttl = 9", "ttl = 0", "ttl", "between 1 and 255"),
        ("dscp = 46", "dscp = 64", "dscp", "\"copy\" or 0 to 63, not \"64\""),
        ("df = \"set\"", "df = \"no\"", "df", "not \"no\""),
        ("ecn = false", "vrf = \"red\"", "vrf", "no interface is in VRF \"red\""),
        ("hard = { packets = 9 }", "hard = { bytes = 999 }", "soft", "soft lifetime of 1000 bytes"),
        ("hard = { packets = 9 }", "hard = { bytes = 0 }", "hard", "\"bytes\""),
        ("hard = { packets = 9 }", "hard = { hours = 1 }", "hard", "hours"),
        (
            "local = \"203.0.113.1\"\nremote = \"203.0.113.2\"\nalgorithm = \"aes-128-gcm\"\nkey_file = \"2",
            "local = \"203.0.113.7\"\nremote = \"203.0.113.2\"\nalgorithm = \"aes-128-gcm\"\nkey_file = \"2",
            "local = \"203.0.113.7",
            "no address of this router",
        ),
        (
            "sa_out = \"east-out\"",
            "sa_out = \"west\"",
            "sa_out = \"west",
            "there is no SA \"west\"",
        ),
        ("sa_out = \"east-out\"", "sa_out = \"east-in\"", "sa_out = \"east-in", "for packets in"),
        ("sa_in = \"east-in\"", "sa_in = [\"east-in\", \"east-out\"]", "sa_in", "for packets out"),
        (
            "sa_out = \"host-out\"",
            "sa_out = \"east-out\"",
            "sa_out = \"east-out\"\n\n[[route",
            "already that of tunnel0",
        ),
        (
            "sa_out = \"east-out\"",
            "sa_out = \"host-out\"",
            "sa_out = \"host-out\"\nsa_in",
            "transport mode",
        ),
        ("name = \"tunnel0\"", "name = \"wan\"", "name = \"wan\"\naddress = [\"10", "wan"),
        (
            "interface = \"wan\"\nname = \"to-host\"",
            "interface = \"lan\"\nname = \"to-host\"",
            "interface = \"lan",
            "no port or VLAN",
        ),
        (
            "interface = \"wan\"\nname = \"to-host\"",
            "interface = \"tunnel0\"\nname = \"to-host\"",
            "interface = \"tunnel0",
            "no port or VLAN",
        ),
        (
            "name = \"to-host\"",
            "name = \"dns\"",
            "name = \"dns\"\naction = \"protect",
            "already has an entry \"dns\"",
        ),
        ("action = \"bypass\"", "action = \"allow\"", "action", "\"discard\", not \"allow\""),
        (
            "action = \"bypass\"",
            "action = \"bypass\"\nsa_out = \"east-out\"",
            "action = \"bypass",
            "only an entry that protects",
        ),
        ("protocol = 6", "protocol = \"icmp\"", "local_port", "a protocol that has them"),
        ("protocol = 6", "protocol = 0", "protocol = 0", "no protocol \"0\""),
        ("remote_port = 53", "remote_port = \"9-3\"", "remote_port", "neither a port nor a range"),
        (
            "local = \"203.0.113.1\"\nremote = \"203.0.113.9\"\nprotocol",
            "local = \"::/0\"\nremote = \"203.0.113.9\"\nprotocol",
            "remote = \"203.0.113.9\"\nprotocol",
            "one address family",
        ),
        (
            "[[route]]",
            "[[neighbor]]\naddress = \"10.255.0.2\"\nmac = \"02:00:00:00:00:03\"\ndev = \"tunnel0\"\n[[route]]",
            "dev = \"tunnel0\"\n[[route",
            "is a tunnel",
        ),
        (
            "name = \"tunnel0\"",
            "name = \"tunnel0\"\ndevice = \"sink\"",
            "device = \"sink\"\naddress = [\"10",
            "device",
        ),
    ] {
        assert!(TUNNEL.contains(from), "{from}");
        let text = TUNNEL.replacen(from, to, 1);
        let error = match checked(&text) {
            Ok(_) => panic!("{to:?} passed"),
            Err(error) => error.to_string(),
        };
        let line = text.find(key).map(|at| text[..at].lines().count() + 1);
        let line = line.unwrap_or_else(|| panic!("{key:?}"));
        let placed = error.starts_with(&format!("dir/c.toml:{line}: "));
        if !placed || !error.contains(wants) || error.contains('\n') {
            wrong.push(format!("{to:?} at {line}, {wants:?}: {error}"));
        }
        assert!(!error.contains("0101") && !error.contains("0202"), "a key in {error:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
