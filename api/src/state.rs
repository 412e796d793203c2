//! What a router tells about itself.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::application::Wanted;

/// A configuration that is or was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Counted from 1, over restarts.
    pub number: u64,
    /// When it was committed, seconds since 1970 (UTC).
    pub time: u64,
    /// Who has committed it.
    pub uid: u32,
    /// What it was read from, or which version came back.
    pub from: String,
    /// It goes at this time, seconds since 1970, unless it is confirmed before.
    pub until: Option<u64>,
}

/// A configuration as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigText {
    /// Which.
    pub version: Version,
    /// TOML in one piece, with the lists and policies that come from other files. Of keys it says
    /// where they come from.
    pub text: String,
}

/// A process of the router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// What it belongs to: `control` or `data`.
    pub domain: String,
    /// Its number.
    pub pid: u32,
    /// `running`, or what else it does.
    pub state: String,
    /// How often it was started again.
    pub restarts: u64,
    /// Since its last start.
    pub uptime_s: u64,
    /// Why it ended the last time.
    pub last_exit: Option<String>,
}

/// A program that gets packets of the slow path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationState {
    /// Its name.
    pub name: String,
    /// What it wants.
    pub wanted: Wanted,
    /// Packets that it got.
    pub delivered: u64,
    /// Packets that it was too slow for.
    pub lost: u64,
}

/// An interface of the kernel's that is a port by `[discover]`, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedInterface {
    /// Name of the port, which stays the interface's.
    pub port: String,
    /// The kernel's name, the last one.
    pub kernel: String,
    /// Where it sits, if on PCI.
    pub pci: Option<String>,
    /// Its MAC address, as long as it is there.
    pub mac: Option<String>,
    /// Bytes of its largest IP packet, likewise.
    pub mtu: Option<u32>,
    /// `up`, `down` or `absent`.
    pub state: String,
}

/// A stage of the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Its name.
    pub stage: String,
    /// When it began, milliseconds after the process.
    pub began_ms: u64,
    /// How long it took.
    pub took_ms: u64,
}

/// What a resource manager gives out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// What: `adjacencies`, `tcam lines`.
    pub name: String,
    /// The agents that take of it.
    pub users: Vec<String>,
    /// How many are given out, those that lcores are still leaving included.
    pub in_use: u64,
    /// How many there are.
    pub limit: u64,
    /// The most that were given out at once.
    pub peak: u64,
}

/// An object that an execution agent keeps in the tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The agent: `classification`, `fib`.
    pub agent: String,
    /// The object: `IPv4 access list EDGE`.
    pub object: String,
    /// Entries that it has: rules, routes.
    pub entries: u64,
    /// Places that use it: interfaces and directions.
    pub bindings: u64,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uidb: u16,
    /// Whether the configuration has it up.
    pub up: bool,
    /// The VRF that its packets are routed in; none is the global table.
    pub vrf: Option<String>,
    /// Own addresses.
    pub addresses: Vec<IpNet>,
}

/// A neighbour whose MAC address is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// On which link.
    pub interface: String,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC address, as `02:00:00:00:00:01`.
    pub mac: String,
}

/// Which routes are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteQuery {
    /// All of all tables: by table, IPv4 first, by prefix.
    All,
    /// Those of one prefix, in every table.
    Exact(IpNet),
    /// Those of the longest prefix that has the address and leads anywhere, in every table.
    Longest(IpAddr),
}

/// One source's route to a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its table; none is the global one.
    pub vrf: Option<String>,
    /// Destinations.
    pub prefix: IpNet,
    /// Who says so: `connected`, `static`, `api`, `fpm`, `neighbour`.
    pub source: String,
    /// Of the routes of one prefix, the one with the lowest number that leads anywhere counts.
    pub preference: u8,
    /// Whether it is the one that counts.
    pub selected: bool,
    /// Its paths.
    pub paths: Vec<Path>,
}

/// One path of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// Where it leads.
    pub hop: Hop,
    /// Its share of the traffic, relative to the other paths.
    pub weight: u8,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// To a router.
    Via {
        /// Its address.
        address: IpAddr,
        /// Its link, if the route names one.
        interface: Option<String>,
    },
    /// To the destination itself, on this link.
    OnLink(String),
    /// Nowhere.
    Drop,
    /// To the router itself.
    Receive,
}
