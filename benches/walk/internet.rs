//! The cases with a full Internet table.

use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;

use qfp::client::config::RouteTable;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{Case, Traffic, ipv4};

/// Next hops of the table: numbers from 1 on.
const NEXT_HOPS: u8 = 192;

/// Destinations: how many, and whether they are uniform over all addresses instead of hosts of
/// routes.
const CASES: [(&str, usize, bool); 3] =
    [("full-4k", 4096, false), ("full-256k", 1 << 18, false), ("full-uniform", 1 << 18, true)];

pub(super) fn cases() -> Vec<Case> {
    if !path().exists() {
        eprintln!("skipped: full-*: no routing table at QFP_RIB_V4");
        return Vec::new();
    }
    let case = |(name, count, uniform)| Case {
        name,
        sizes: vec![64],
        make: Box::new(move || traffic(count, uniform)),
    };
    CASES.map(case).into()
}

fn traffic(count: usize, uniform: bool) -> Traffic {
    let lines = table().unwrap_or_else(|| panic!("the routing table cannot be read"));
    let prefixes: Vec<(u32, u8)> = lines.lines().filter_map(prefix).collect();
    Traffic::new(&config(), &routes(&lines), frames(&prefixes, count, uniform))
}

/// Configuration and routes of a full table, and `count` hosts of its routes.
pub(super) fn tables(count: usize) -> Option<(String, RouteTable, Vec<u32>)> {
    let lines = table()?;
    let prefixes: Vec<(u32, u8)> = lines.lines().filter_map(prefix).collect();
    Some((config(), routes(&lines), destinations(&prefixes, count, false)))
}

/// Where the routing table is.
fn path() -> PathBuf {
    let default =
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/rib/rib-v4.txt.zst");
    std::env::var_os("QFP_RIB_V4").map_or_else(default, PathBuf::from)
}

/// The routing table as text.
fn table() -> Option<String> {
    let path = path();
    let mut text = String::new();
    let file = std::fs::File::open(&path).ok()?;
    if path.extension().is_some_and(|extension| extension == "zst") {
        zstd::Decoder::new(file).ok()?.read_to_string(&mut text).ok()?;
    } else {
        std::io::BufReader::new(file).read_to_string(&mut text).ok()?;
    }
    Some(text)
}

fn prefix(line: &str) -> Option<(u32, u8)> {
    let (address, length) = line.split_whitespace().next()?.split_once('/')?;
    Some((address.parse::<std::net::Ipv4Addr>().ok()?.to_bits(), length.parse().ok()?))
}

/// Two ports, half of the next hops on each.
fn config() -> String {
    let mut config = String::new();
    for port in 0..2 {
        let _ = writeln!(
            config,
            "[[port]]\ndevice = \"sink\"\nmac = \"02:00:00:00:00:0{}\"\naddress = [\"10.200.{port}.254/24\"]",
            port + 1
        );
    }
    for number in 1..=NEXT_HOPS {
        let _ = writeln!(
            config,
            "[[neighbor]]\naddress = \"{}\"\nmac = \"02:00:00:00:01:{number:02x}\"",
            next_hop(number)
        );
    }
    config
}

fn next_hop(number: u8) -> String {
    format!("10.200.{}.{number}", number % 2)
}

fn routes(lines: &str) -> RouteTable {
    let mut text = String::with_capacity(lines.len() * 2);
    for line in lines.lines() {
        let mut words = line.split_whitespace();
        if let (Some(prefix), Some(number)) = (words.next(), words.next()) {
            let number: u8 = number.parse().unwrap_or(1);
            let _ = writeln!(text, "{prefix} via {}", next_hop(number.clamp(1, NEXT_HOPS)));
        }
    }
    RouteTable::read(text.as_bytes(), "routes").unwrap_or_else(|error| panic!("{error}"))
}

fn frames(prefixes: &[(u32, u8)], count: usize, uniform: bool) -> Vec<Vec<u8>> {
    let destinations = destinations(prefixes, count, uniform);
    (0..).zip(destinations).map(|(n, dst)| ipv4(n, dst.to_be_bytes(), &[])).collect()
}

fn destinations(prefixes: &[(u32, u8)], count: usize, uniform: bool) -> Vec<u32> {
    let mut random = SmallRng::seed_from_u64(42);
    let mut destinations = Vec::with_capacity(count);
    while destinations.len() < count {
        let any: u32 = random.random();
        let dst = if uniform {
            any
        } else {
            let (first, length) = prefixes[random.random_range(0..prefixes.len())];
            first | (any & u32::MAX.checked_shr(length.into()).unwrap_or(0))
        };
        // What may not be a destination on a wire would be dropped early, and flatter the figure.
        if (1..224).contains(&(dst >> 24)) && dst >> 24 != 127 && dst >> 16 != 0x0ac8 {
            destinations.push(dst);
        }
    }
    destinations
}
