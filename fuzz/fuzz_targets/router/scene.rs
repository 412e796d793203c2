//! The routers: three ports, LAN, WAN and one more with a VLAN in a VRF.

use std::path::Path;

use client::config::Config;

pub(crate) const SCENES: usize = 4;
pub(crate) const LAN: usize = 0;
pub(crate) const WAN: usize = 1;
pub(crate) const PORTS: usize = 3;

/// What all have: the names of features are replaced by keys.
const PORTS_OF_ALL: &str = r#"
[[port]]
name = "lan"
device = "sink"
mac = "02:00:00:00:00:01"
address = ["10.1.0.1/24", "2001:db8:1::1/64"]
#LAN
[[port]]
name = "wan"
device = "sink"
mac = "02:00:00:00:01:01"
address = ["192.0.2.1/24", "2001:db8:ff::1/64"]
#WAN
[[port]]
name = "more"
device = "sink"
mac = "02:00:00:00:02:01"
mtu = 1280
mac_filter = true
address = ["10.3.0.1/24", "2001:db8:3::1/64"]
#MORE
[[port.vlan]]
id = 5
name = "blue5"
vrf = "blue"
address = ["10.5.0.1/24", "2001:db8:5::1/64"]
[[neighbor]]
address = "10.1.0.2"
mac = "02:00:00:00:00:02"
[[neighbor]]
address = "2001:db8:1::2"
mac = "02:00:00:00:00:02"
[[neighbor]]
address = "192.0.2.2"
mac = "02:00:00:00:01:02"
[[neighbor]]
address = "2001:db8:ff::2"
mac = "02:00:00:00:01:02"
[[neighbor]]
dev = "blue5"
address = "10.5.0.2"
mac = "02:00:00:00:02:05"
[[route]]
prefix = "10.4.0.0/16"
via = "10.3.0.2"
[[route]]
prefix = "10.4.0.0/16"
via = "10.1.0.2"
[[route]]
prefix = "10.8.0.0/16"
drop = true
[[route]]
prefix = "2001:db8:4::/48"
via = "2001:db8:3::2"
[[route]]
prefix = "0.0.0.0/0"
via = "10.5.0.2"
vrf = "blue"
"#;

/// The other side's networks by the WAN.
const BY_WAN: &str = r#"
[[route]]
prefix = "10.2.0.0/16"
via = "192.0.2.2"
[[route]]
prefix = "2001:db8:2::/48"
via = "2001:db8:ff::2"
"#;

const FEATURES: &str = r#"
[[acl]]
text = '''
ip access-list extended IN
 deny udp any any eq 99
 permit tcp any any established
 deny ip any 10.4.7.0 0.0.0.255 dscp ef
 permit ip any any
ipv6 access-list IN6
 deny udp any any eq 99
 permit ipv6 any any
ip access-list extended OUT
 deny tcp any any eq 23
 deny udp any any fragments
 permit ip any any
ip access-list extended AWAY
 permit udp any any eq 53
 permit icmp any any echo
'''
[[route_map]]
text = '''
route-map P permit 10
 match ip address AWAY
 set ip next-hop 10.3.0.9
route-map P permit 20
 set ip dscp af11
route-map V permit 10
 set vrf blue
'''
[qos]
text = '''
class-map match-any VOICE
 match dscp ef
 match access-group name AWAY
policy-map Q
 class VOICE
  police 64000 bc 20000 conform-action transmit exceed-action drop
 class class-default
  police cir 800000 bc 20000 pir 1600000 be 40000 conform-action set-dscp-transmit af21 exceed-action set-dscp-transmit af22 violate-action drop
'''
"#;

/// Entries between both sides, in tunnel mode, and nothing else but IKE.
const TUNNEL_POLICY: &str = r#"
[[spd]]
interface = "wan"
name = "ike"
action = "bypass"
protocol = "udp"
local_port = 500
remote_port = 500
[[spd]]
interface = "wan"
name = "four"
action = "protect"
local = "10.1.0.0/16"
remote = "10.2.0.0/16"
sa_out = "out0"
sa_in = "in0"
[[spd]]
interface = "wan"
name = "six"
action = "protect"
local = "2001:db8:1::/48"
remote = "2001:db8:2::/48"
sa_out = "out1"
sa_in = "in1"
[[spd]]
interface = "wan"
name = "none"
action = "discard"
"#;

/// This router and its peer, in transport mode.
const TRANSPORT_POLICY: &str = r#"
[[spd]]
interface = "wan"
name = "four"
action = "protect"
local = "192.0.2.1"
remote = "192.0.2.2"
sa_out = "out0"
sa_in = "in0"
[[spd]]
interface = "wan"
name = "six"
action = "protect"
local = "2001:db8:ff::1"
remote = "2001:db8:ff::2"
sa_out = "out1"
sa_in = "in1"
[[spd]]
interface = "wan"
name = "none"
action = "discard"
"#;

const TUNNELS: &str = r#"
[[tunnel]]
name = "tunnel0"
address = ["10.255.0.1/30"]
sa_out = "out0"
sa_in = "in0"
urpf = "strict"
acl_in = ["IN", "IN6"]
[[tunnel]]
name = "tunnel1"
vrf = "blue"
sa_out = "out1"
sa_in = "in1"
[[route]]
prefix = "10.2.0.0/16"
dev = "tunnel0"
[[route]]
prefix = "2001:db8:2::/48"
dev = "tunnel0"
[[route]]
prefix = "10.6.0.0/16"
dev = "tunnel1"
vrf = "blue"
"#;

/// The key of an SPI, in hexadecimal digits.
pub(crate) fn key(spi: u32) -> String {
    (0..20)
        .map(|n| format!("{:02x}", ((spi % 251) as u8).wrapping_mul(31) ^ (n * 11 + 1)))
        .collect()
}

/// SPIs of what comes in and of what leaves; with other keys they are others.
pub(crate) const fn spi(incoming: bool, sa: usize, keys: u32) -> u32 {
    0x1000 + if incoming { 0x100 } else { 0 } + sa as u32 + 16 * keys
}

fn sas(more: &str, keys: u32) -> String {
    let mut text = String::new();
    for (sa, ends) in
        [["192.0.2.1", "192.0.2.2"], ["2001:db8:ff::1", "2001:db8:ff::2"]].iter().enumerate()
    {
        for (direction, incoming) in [("out", false), ("in", true)] {
            let spi = spi(incoming, sa, keys);
            text += &format!(
                "[[sa]]\nname = \"{direction}{sa}\"\ndirection = \"{direction}\"\nspi = {spi}\n\
                 local = \"{}\"\nremote = \"{}\"\nalgorithm = \"aes-128-gcm\"\nkey_file = \"{spi}\"\n{more}",
                ends[0], ends[1]
            );
        }
    }
    text
}

/// Whether nothing leaves the WAN in the clear, whatever it is.
pub(crate) const fn is_closed(scene: usize) -> bool {
    scene == 1 || scene == 2
}

/// Whether the SAs carry whole packets.
pub(crate) const fn is_tunnel_mode(scene: usize) -> bool {
    scene != 2
}

/// The configuration of a scene; `other` has more on its interfaces, `keys` are those of its SAs.
pub(crate) fn config(scene: usize, other: bool, keys: u32) -> Config {
    let lan = "acl_in = [\"IN\", \"IN6\"]\npolicy_route = \"P\"\nservice_policy_in = \"Q\"\nurpf = \"strict\"\n";
    let wan = "acl_in = [\"IN\", \"IN6\"]\nacl_out = \"OUT\"\nservice_policy_in = \"Q\"\n\
               service_policy_out = \"Q\"\nurpf = \"loose\"\nurpf_allow_default = true\n";
    let more = "policy_route = \"V\"\nservice_policy_out = \"Q\"\n";
    let on = scene != 1 || other;
    let mut text = PORTS_OF_ALL.to_owned();
    if on {
        text = text.replace("#LAN\n", lan).replace("#MORE\n", more);
    }
    if on && !(scene == 0 && other) {
        text = text.replace("#WAN\n", wan);
    }
    text += FEATURES;
    text += match scene {
        0 => "[[route]]\nprefix = \"0.0.0.0/0\"\nvia = \"192.0.2.2\"\n",
        1 => TUNNEL_POLICY,
        2 => TRANSPORT_POLICY,
        _ => TUNNELS,
    };
    if scene != 3 {
        text += BY_WAN;
    }
    if scene != 0 {
        text += &sas(if is_tunnel_mode(scene) { "" } else { "mode = \"transport\"\n" }, keys);
    }
    let load = |path: &Path| {
        let spi =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        Ok(key(spi.unwrap_or_default()).into_bytes())
    };
    Config::parse_with(&text, "router.toml", load).expect("a good configuration")
}
