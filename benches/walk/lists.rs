//! The cases with a full Internet table, and an access list or a service policy on the input port.
//!
//! The lists are `acl1_1k`, `fw1_1k` and `ipc1_1k` of the folder `QFP_ACL_DIR` (ClassBench rules as permits,
//! and all else permitted, too). Destinations are 65,536 hosts of routes for one half of the frames
//! and those of the set's trace for the other; all else is the trace's.

use std::fmt::Write as _;
use std::io::Read;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::{Case, Traffic, internet, ipv4};

/// Frames: as many destinations, half of them hosts of routes.
const FRAMES: usize = 1 << 17;

/// What is bound to the input port: sets of rules as its access list, and as the list of the one
/// class of its service policy.
struct Bound {
    name: &'static str,
    list: Option<&'static str>,
    class: Option<&'static str>,
}

static CASES: [Bound; 5] = [
    Bound { name: "full-acl1", list: Some("acl1_1k"), class: None },
    Bound { name: "full-fw1", list: Some("fw1_1k"), class: None },
    // Traffic is the access list's: the four differ in nothing but what is bound.
    Bound { name: "bound-none", list: None, class: None },
    Bound { name: "bound-qos", list: None, class: Some("ipc1_1k") },
    Bound { name: "bound-acl-qos", list: Some("acl1_1k"), class: Some("ipc1_1k") },
];

pub(super) fn cases() -> Vec<Case> {
    if !folder().exists() {
        eprintln!("skipped: full-acl1, full-fw1, bound-*: no sets at QFP_ACL_DIR");
        return Vec::new();
    }
    let case = |bound: &'static Bound| Case {
        name: bound.name,
        sizes: vec![64],
        make: Box::new(|| {
            traffic(bound).unwrap_or_else(|| panic!("{}: no table, or not the sets", bound.name))
        }),
    };
    CASES.iter().map(case).collect()
}

fn traffic(bound: &Bound) -> Option<Traffic> {
    let trace = read(&format!("trace/{}.trace.zst", bound.list.unwrap_or("acl1_1k")))?;
    let (mut config, routes, hosts) = internet::tables(FRAMES / 2)?;
    if let Some(set) = bound.list {
        config = config.replacen("[[port]]", "[[port]]\nacl_in = \"list\"", 1);
        config.push_str(&access_list("list", set)?);
    }
    if let Some(set) = bound.class {
        config = config.replacen("[[port]]", "[[port]]\nservice_policy_in = \"policy\"", 1);
        config.push_str(&access_list("class", set)?);
        config.push_str(
            "[qos]\ntext = '''\nclass-map match-any some\n match access-group name class\n\
             policy-map policy\n class some\n  set qos-group 1\n'''\n",
        );
    }
    let headers: Vec<[u32; 5]> = trace.lines().filter_map(header).collect();
    let mut hosts = hosts.into_iter();
    let frames = (0..FRAMES).zip(headers.iter().cycle()).map(|(n, header)| {
        let [source, destination, source_port, destination_port, protocol] = *header;
        let host = if n.is_multiple_of(2) { hosts.next() } else { None };
        let mut frame = ipv4(n, host.unwrap_or(destination).to_be_bytes(), &[]);
        frame[23] = protocol as u8;
        frame[26..30].copy_from_slice(&source.to_be_bytes());
        frame[34..36].copy_from_slice(&(source_port as u16).to_be_bytes());
        frame[36..38].copy_from_slice(&(destination_port as u16).to_be_bytes());
        frame[24..26].fill(0);
        let words = frame[14..34].as_chunks::<2>().0;
        let sum: u32 = words.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame
    });
    Some(Traffic::new(&config, &routes, frames.collect()))
}

/// An access list of a set's rules, which permits all else.
fn access_list(name: &str, set: &str) -> Option<String> {
    let rules = read(&format!("v4/{set}.rules.zst"))?;
    let mut text = format!("[[acl]]\ntext = '''\nip access-list extended {name}\n");
    for rule in rules.lines().filter_map(ace) {
        let _ = writeln!(text, " {rule}");
    }
    let _ = writeln!(text, " permit ip any any\n'''");
    Some(text)
}

fn folder() -> PathBuf {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/acl");
    std::env::var_os("QFP_ACL_DIR").map_or_else(default, PathBuf::from)
}

fn read(file: &str) -> Option<String> {
    let mut text = String::new();
    let file = std::fs::File::open(folder().join(file)).ok()?;
    zstd::Decoder::new(file).ok()?.read_to_string(&mut text).ok()?;
    Some(text)
}

/// A rule of ClassBench (`@src/len dst/len lo : hi lo : hi proto/mask`) as an ace.
fn ace(line: &str) -> Option<String> {
    let mut fields = line.strip_prefix('@')?.split('\t');
    let (source, destination) = (fields.next()?, fields.next()?);
    let mut ports = || {
        let (low, high) = fields.next()?.split_once(':')?;
        Some((low.trim().parse::<u16>().ok()?, high.trim().parse::<u16>().ok()?))
    };
    let (source_ports, destination_ports) = (ports()?, ports()?);
    let (protocol, mask) = fields.next()?.split_once('/')?;
    let number = u8::from_str_radix(protocol.trim_start_matches("0x"), 16).ok()?;
    let any = mask.trim_end() == "0x00";
    let has_ports = !any && matches!(number, 6 | 17 | 132);
    let range = |(low, high): (u16, u16)| {
        let all = (low, high) == (0, u16::MAX) || !has_ports;
        if all { String::new() } else { format!(" range {low} {high}") }
    };
    let protocol = if any { "ip".to_owned() } else { number.to_string() };
    let protocol = protocol.replace("132", "sctp");
    let (from, to) = (range(source_ports), range(destination_ports));
    Some(format!("permit {protocol} {source}{from} {destination}{to}"))
}

/// Source, destination, ports and protocol of a trace's line.
fn header(line: &str) -> Option<[u32; 5]> {
    let numbers: Vec<u32> =
        line.split_whitespace().take(5).filter_map(|n| n.parse().ok()).collect();
    let header: [u32; 5] = numbers.try_into().ok()?;
    // What a router drops in any case says nothing about lists.
    let routed = |address: u32| {
        let address = Ipv4Addr::from(address);
        !(address.is_multicast() || address.is_loopback() || address.octets()[0] == 0)
            && address.octets()[0] < 224
    };
    (routed(header[0]) && routed(header[1])).then_some(header)
}
