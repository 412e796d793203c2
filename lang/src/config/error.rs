use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::{Definition, IpsecProblem, LptsProblem, MAX_PATHS, MIN_MTU_IPV6, MacAddr, Place};
use crate::acl::{GroupError, Name, ResolveError};
use crate::ios::What;

/// What is wrong with the configuration, and where. Prints as one line.
#[derive(Debug, thiserror::Error)]
#[error("{place}{problem}")]
pub struct ConfigError {
    /// File and line.
    pub place: Place,
    /// What is wrong there.
    pub problem: Problem,
}

impl Problem {
    /// The problem as an error at `place`.
    #[must_use]
    pub fn at(self, place: Place) -> ConfigError {
        ConfigError { place, problem: self }
    }
}

/// What can be wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// The text is not TOML.
    #[error("{}", .0.message().trim().replace('\n', ", "))]
    Syntax(Box<toml::de::Error>),
    /// A key that means nothing here.
    #[error("unknown key {key:?} in {table}, which may have {}", .known.join(", "))]
    UnknownKey {
        /// Where it was found.
        table: &'static str,
        /// The key.
        key: String,
        /// The keys that mean something here.
        known: &'static [&'static str],
    },
    /// A key that must be there.
    #[error("{table} has no {key:?}")]
    MissingKey {
        /// Where it belongs.
        table: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A value of another type.
    #[error("{key:?} must be {wants}, not {found}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// The type it needs.
        wants: &'static str,
        /// The type it has.
        found: &'static str,
    },
    /// A number out of bounds.
    #[error("{key:?} must be between {min} and {max}, not {value}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// The number, as written.
        value: String,
        /// Least allowed.
        min: u64,
        /// Most allowed.
        max: u64,
    },
    /// A name for ports without a place for their number.
    #[error("{0:?} must have {{}} once, where the number of a port stands")]
    BadTemplate(String),
    /// Not an IP address.
    #[error("{0:?} is not an IP address")]
    BadAddress(String),
    /// Not an address with a prefix length.
    #[error("{0:?} is not an address with a prefix length, such as 192.0.2.1/24")]
    BadPrefix(String),
    /// Not a MAC address.
    #[error("{0:?} is not a MAC address, such as 02:00:5e:00:53:01")]
    BadMac(String),
    /// Not a type of VLAN tag.
    #[error("tpid {0:?} is neither \"dot1q\" nor \"dot1ad\"")]
    BadTpid(String),
    /// No way of checking sources.
    #[error("urpf {0:?} is neither \"strict\" nor \"loose\"")]
    BadUrpf(String),
    /// A choice for a check that is not switched on.
    #[error("\"urpf_allow_default\" means nothing without \"urpf\"")]
    UrpfMissing,
    /// A name that could not be told from other words.
    #[error(
        "{0:?} is no interface name: it must not be empty or have spaces or control characters"
    )]
    BadName(String),

    /// Nothing to forward between.
    #[error("there is no port: give --port SPEC, or [[port]] in a configuration file")]
    NoPorts,
    /// Two interfaces of one name.
    #[error("there is already an interface {name:?}{}", seen(.first))]
    DuplicateName {
        /// The name.
        name: String,
        /// The first one's place.
        first: Place,
    },
    /// Two sub-interfaces for the same frames.
    #[error("VLAN {} of {port} is already {other}", tags(*.id, *.inner))]
    DuplicateVlan {
        /// Their port.
        port: String,
        /// The outer tag.
        id: u16,
        /// The inner tag.
        inner: Option<u16>,
        /// Name of the first one.
        other: String,
    },
    /// A group or zero address where a station's is needed.
    #[error("MAC address {0} is not the address of one station")]
    MacNotStation(MacAddr),
    /// An IPv6 address on an interface with too small an MTU.
    #[error(
        "mtu {mtu} of {interface} is too small for its IPv6 address: {MIN_MTU_IPV6} is the least"
    )]
    MtuTooSmallForIpv6 {
        /// The interface.
        interface: String,
        /// Its MTU.
        mtu: u16,
    },
    /// A sub-interface that would send more than its port can.
    #[error("mtu {mtu} is more than the {port_mtu} of its port")]
    MtuAbovePort {
        /// The sub-interface's.
        mtu: u16,
        /// The port's.
        port_mtu: u16,
    },
    /// An interface's address that no host can have.
    #[error("{0} is not the address of one host")]
    NotHostAddress(IpNet),
    /// An address given twice.
    #[error("address {address} is already that of {interface}")]
    DuplicateAddress {
        /// The address.
        address: IpAddr,
        /// Who has it.
        interface: String,
    },
    /// Networks of two interfaces that have addresses in common.
    #[error("network {network} overlaps {other} of {interface}")]
    Overlap {
        /// The later network.
        network: IpNet,
        /// The earlier one.
        other: IpNet,
        /// The earlier one's interface.
        interface: String,
    },

    /// A route or neighbour at an interface that does not exist.
    #[error("there is no port, VLAN or tunnel {0:?}")]
    UnknownInterface(String),
    /// A destination with bits behind its prefix.
    #[error("{} has host bits set: it should be {}", .0, .0.trunc())]
    HostBits(IpNet),
    /// A route to nowhere known.
    #[error("route {0} needs \"via\", \"dev\" or drop = true")]
    NoTarget(IpNet),
    /// A discarding route with a path.
    #[error("route {0} discards, so it takes no \"via\", \"dev\" or \"weight\"")]
    DropWithPath(IpNet),
    /// A prefix that is both discarded and forwarded.
    #[error("{0} both has paths and is dropped")]
    DropAmongPaths(IpNet),
    /// The same path of the same prefix.
    #[error("this path of {0} is given twice; \"weight\" gives a path more traffic")]
    DuplicatePath(IpNet),
    /// More paths than a prefix may have.
    #[error("{0} has more than {MAX_PATHS} paths")]
    TooManyPaths(IpNet),
    /// An IPv4 route over an IPv6 router, or the reverse.
    #[error("next hop {via} is not of the same family as {prefix}")]
    FamilyMismatch {
        /// The destinations.
        prefix: IpNet,
        /// The next hop.
        via: IpAddr,
    },
    /// A next hop or neighbour that is no single host.
    #[error("{0} is not the address of one neighbour")]
    NotNeighbourAddress(IpAddr),
    /// A next hop or neighbour that is ourselves.
    #[error("{address} is our own address, on {interface}")]
    OwnAddress {
        /// The address.
        address: IpAddr,
        /// Who has it.
        interface: String,
    },
    /// A link-local address that could be on any link.
    #[error("link-local {0} needs \"dev\"")]
    LinkLocalNeedsDev(IpAddr),
    /// A VRF's name that could not be told from other words.
    #[error("{0:?} is no name of a VRF: it must not be empty or have spaces or control characters")]
    BadVrfName(String),
    /// A route in a table that no interface uses.
    #[error("no interface is in VRF {0:?}")]
    UnknownVrf(String),
    /// A route out of an interface of another table.
    #[error("{interface} is not in {}, where the route is", table(.vrf))]
    OtherVrf {
        /// The interface.
        interface: String,
        /// The route's VRF.
        vrf: Option<String>,
    },
    /// A next hop out of reach.
    #[error("next hop {0} is on no connected network, and no other route leads to it")]
    NextHopUnreachable(IpAddr),
    /// A neighbour out of reach.
    #[error("neighbour {0} is on no connected network, so it needs \"dev\"")]
    NeighbourNotConnected(IpAddr),
    /// Two MAC addresses for one neighbour.
    #[error("neighbour {address} already has MAC address {first}")]
    NeighbourConflict {
        /// The neighbour.
        address: IpAddr,
        /// Its first MAC address.
        first: MacAddr,
    },

    /// Access lists or route maps from nowhere, or from two places.
    #[error("{table} needs either \"file\" or \"text\"")]
    FileOrText {
        /// Which it is.
        table: &'static str,
    },
    /// A name that would not fit into one line of a message.
    #[error("{0:?} is no file name: it must not have control characters")]
    BadFileName(String),
    /// A file that is named here and cannot be opened or read.
    #[error("{path:?} cannot be read: {error}")]
    TextUnreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file that is named here and has no end, or nearly so.
    #[error("{path:?} is longer than {limit} bytes")]
    TextTooLong {
        /// The file.
        path: PathBuf,
        /// Most that it may have.
        limit: usize,
    },
    /// A word of an access list, object-group or route map.
    #[error("{0}")]
    Text(What),
    /// A group that cannot be.
    #[error("{0}")]
    BadGroup(GroupError),
    /// A name that stands for nothing.
    #[error("there is no access list {0:?} in what this defines")]
    NameNotDefined(String),
    /// A list, group or route map in two texts.
    #[error("{what} is already defined{}", seen(.first))]
    DefinedTwice {
        /// Which it is.
        what: Definition,
        /// Where the first text was said.
        first: Place,
    },
    /// An access list that names groups it cannot have.
    #[error("{list}: {error}")]
    BadAccessList {
        /// The list.
        list: Definition,
        /// Why not.
        error: ResolveError,
    },
    /// A route map that matches a list that does not exist.
    #[error("route map {map}: entry {sequence} needs {list}, which is not defined")]
    RouteMapList {
        /// The route map.
        map: Name,
        /// Its entry.
        sequence: u16,
        /// The list.
        list: Definition,
    },
    /// A route map that sends packets to a table that no interface uses.
    #[error("route map {map}: entry {sequence} sets VRF {vrf}, and no interface is in it")]
    RouteMapVrf {
        /// The route map.
        map: Name,
        /// Its entry.
        sequence: u16,
        /// The VRF.
        vrf: Name,
    },
    /// An interface with an access list that does not exist.
    #[error("there is no access list {0:?}")]
    UnknownAccessList(String),
    /// An interface with two access lists of a family and direction.
    #[error("{name:?} is of the same address family as {first:?}: there can be one of each")]
    SecondAccessList {
        /// The second.
        name: String,
        /// The first.
        first: String,
    },
    /// An interface with a route map that does not exist.
    #[error("there is no route map {0:?}")]
    UnknownRouteMap(String),
    /// An interface with a service policy that does not exist.
    #[error("there is no policy-map {0:?}")]
    UnknownPolicy(String),
    /// No accounting.
    #[error("\"accounting\" is asr9000, iosxe or user-defined N with N from -63 to 63, not {0:?}")]
    BadAccounting(String),
    /// No granularity.
    #[error("\"granularity\" is native, typhoon or trident, not {0:?}")]
    BadGranularity(String),
    /// No rate of a link.
    #[error("\"speed\" is bits a second, such as 10g, at most 800g, not {0:?}")]
    BadSpeed(String),
    /// Something about what the slow path takes.
    #[error(transparent)]
    Lpts(LptsProblem),
    /// IPsec.
    #[error(transparent)]
    Ipsec(IpsecProblem),
    /// An interface with a route map that says nothing.
    #[error("route map {0:?} has no entry")]
    EmptyRouteMap(String),

    /// A line of a route file that says nothing known.
    #[error(
        "expected `PREFIX via ADDRESS [dev NAME]`, `PREFIX dev NAME` or `PREFIX drop`, found {0:?}"
    )]
    NotRouteLine(String),
    /// A line of a route file that is longer than any route.
    #[error("the line is longer than {0} bytes: this is no list of routes")]
    LineTooLong(usize),
    /// A route file that has no end, or nearly so.
    #[error("there are more than {0} lines")]
    TooManyLines(u32),
}

/// `5` or `5.7`.
fn tags(id: u16, inner: Option<u16>) -> String {
    inner.map_or_else(|| id.to_string(), |inner| format!("{id}.{inner}"))
}

/// `, on line 7` where the line is known.
fn seen(place: &Place) -> String {
    if place.line == 0 { String::new() } else { format!(", on line {}", place.line) }
}

/// `VRF "red"` or `the global table`.
fn table(vrf: &Option<String>) -> String {
    vrf.as_ref().map_or_else(|| "the global table".to_owned(), |vrf| format!("VRF {vrf:?}"))
}
