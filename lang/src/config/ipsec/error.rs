use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use qfp_core::crypto::Algorithm;

use crate::config::Place;
use crate::ipsec::{Direction, SaProblem, SecretError};

/// What can be wrong with IPsec in a configuration. No message repeats anything of a key.
#[derive(Debug, thiserror::Error)]
pub enum IpsecProblem {
    /// No direction.
    #[error("\"direction\" is \"in\" or \"out\", not {0:?}")]
    BadDirection(String),
    /// No mode.
    #[error("\"mode\" is \"tunnel\" or \"transport\", not {0:?}")]
    BadMode(String),
    /// No algorithm.
    #[error("there is no algorithm {:?}: there are {}", .0, algorithms())]
    BadAlgorithm(String),
    /// No DSCP.
    #[error("\"dscp\" is \"copy\" or 0 to 63, not {0:?}")]
    BadDscp(String),
    /// Nothing to do with DF.
    #[error("\"df\" is \"copy\", \"set\" or \"clear\", not {0:?}")]
    BadDf(String),
    /// No two ports.
    #[error("\"udp\" is a list of the local and the remote port, 1 to 65535 each")]
    BadUdp,
    /// No action.
    #[error("\"action\" is \"protect\", \"bypass\" or \"discard\", not {0:?}")]
    BadAction(String),
    /// No protocol.
    #[error("there is no protocol {0:?}: give its number, 1 to 255, or a name such as \"udp\"")]
    BadProtocol(String),
    /// No ports.
    #[error("{0:?} is neither a port nor a range of ports, such as \"1-100\"")]
    BadPorts(String),
    /// A key from nowhere, or from two places.
    #[error("[[sa]] needs either \"key_file\" or \"key_env\"; a key never stands here itself")]
    KeySource,
    /// A folder that depends on where the configuration lies.
    #[error("\"state_dir\" is one for the machine, from / on, not {0:?}")]
    StateDir(String),
    /// A key's file.
    #[error("{path:?} cannot be read: {error}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file that is no key's.
    #[error("{path:?} is longer than any key: more than {limit} bytes")]
    KeyFileTooLong {
        /// The file.
        path: PathBuf,
        /// Most that it may have.
        limit: usize,
    },
    /// A key's variable.
    #[error("there is no variable {0:?} in the environment")]
    KeyEnv(String),
    /// What a file or variable holds.
    #[error("{source_name:?}: {error}")]
    Key {
        /// The file or variable.
        source_name: String,
        /// What is wrong.
        error: SecretError,
    },
    /// A name that cannot be told from other words.
    #[error("{0:?} is no name: it must not be empty or have spaces or control characters")]
    BadName(String),
    /// An SA that cannot be.
    #[error("SA {sa}: {problem}")]
    Sa {
        /// The SA.
        sa: String,
        /// Why not.
        problem: SaProblem,
    },
    /// Two SAs of one name.
    #[error("there is already an SA {name:?}{}", seen(.first))]
    DuplicateSa {
        /// The name.
        name: String,
        /// The first one's place.
        first: Place,
    },
    /// Two SAs that the same packets would be for.
    #[error("SPI {spi:#x} to {local} is already that of SA {other}")]
    DuplicateSpi {
        /// The SPI.
        spi: u32,
        /// Destination of the packets.
        local: IpAddr,
        /// The first.
        other: String,
    },
    /// Two SAs with one key.
    #[error("SA {sa} has the key of SA {other}: each needs one of its own, in each direction")]
    SameKey {
        /// The second.
        sa: String,
        /// The first.
        other: String,
    },
    /// An SA for packets to somebody else.
    #[error("SA {sa} is for packets to {local}, which is no address of this router")]
    NotOurs {
        /// The SA.
        sa: String,
        /// Its address.
        local: IpAddr,
    },
    /// An outer packet in a table that no interface uses.
    #[error("no interface is in VRF {0:?}")]
    UnknownVrf(String),
    /// An SA that does not exist.
    #[error("there is no SA {0:?}")]
    UnknownSa(String),
    /// An SA of the other direction.
    #[error("SA {sa} is for packets {}, and this needs one for packets {}", .has.name(), .wants.name())]
    Direction {
        /// The SA.
        sa: String,
        /// Its direction.
        has: Direction,
        /// The one that is needed.
        wants: Direction,
    },
    /// An SA that two use.
    #[error("SA {sa} is already that of {other}")]
    UsedTwice {
        /// The SA.
        sa: String,
        /// The first.
        other: String,
    },
    /// Transport mode through a tunnel.
    #[error("SA {0} is of transport mode, which only entries of [[spd]] can have")]
    TransportTunnel(String),
    /// Tunnel and transport mode for the same packets.
    #[error("SA {sa} is of another mode than SA {other}: all of an entry's are of one")]
    MixedModes {
        /// The second.
        sa: String,
        /// The first.
        other: String,
    },
    /// A policy of an interface that does not exist, or cannot have one.
    #[error("there is no port or VLAN {0:?} for this entry")]
    UnknownInterface(String),
    /// A name that stands for a rule of its own.
    #[error("\"nd\" is the rule that lets neighbour discovery pass: the entry needs another name")]
    ReservedEntry,
    /// Two entries of one name.
    #[error("{interface} already has an entry {name:?}{}", seen(.first))]
    DuplicateEntry {
        /// The interface.
        interface: String,
        /// The name.
        name: String,
        /// The first one's place.
        first: Place,
    },
    /// Networks of two families.
    #[error("\"local\" and \"remote\" of an entry are of one address family")]
    Families,
    /// Ports of something that has none.
    #[error("an entry with ports needs a protocol that has them: tcp, udp, dccp, sctp or udplite")]
    PortsWithoutProtocol,
    /// SAs of an entry that protects nothing.
    #[error("only an entry that protects has SAs")]
    SaWithoutProtect,
    /// A neighbour at the other end of a tunnel.
    #[error("{0} is a tunnel: there is no MAC address at its other end")]
    TunnelNeighbour(String),
}

fn algorithms() -> String {
    Algorithm::ALL.map(Algorithm::name).join(", ")
}

/// `, on line 7` where the line is known.
fn seen(place: &Place) -> String {
    if place.line == 0 { String::new() } else { format!(", on line {}", place.line) }
}
