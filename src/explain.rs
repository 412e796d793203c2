//! What would become of a packet: the rules that it matches, the rows that it goes through, and how
//! that ends. Nothing is received and nothing is sent.
//!
//! ```
//! use qfp::Forwarder;
//! use qfp::client::config::Config;
//! use qfp::explain::Probe;
//!
//! let config = Config::parse(r#"
//!     [[acl]]
//!     text = "access-list 101 deny tcp any any eq 22\naccess-list 101 permit ip any any"
//!     [[port]]
//!     device = "sink"
//!     address = ["192.0.2.1/24"]
//!     acl_in = "101"
//! "#, "example.toml")?;
//! let probe: Probe = "in=port0 src=192.0.2.2 dst=203.0.113.1 proto=tcp dport=22".parse()?;
//! let explanation = Forwarder::new(config).explain(&probe)?;
//! assert_eq!(explanation.walks[0].matches[0].to_string(), "acl_in 101: 10 deny tcp any any eq 22");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod frame;
mod probe;
mod walk;

use std::fmt;
use std::net::IpAddr;

use client::CommitError;
use client::config::ConfigError;
use qfp_core::fia::FiaError;
use qfp_core::packet::{DropReason, PuntCause};

pub(crate) use self::walk::explain;
pub use probe::{FragmentKind, Probe, ProbeError};

/// Why a packet cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The configuration, or the tables have no room for it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// No interface has the name that the packet comes in by.
    #[error("in={0}: there is no such interface")]
    NoInterface(String),
    /// What comes in through a tunnel came in through a port before.
    #[error("in={0}: is a tunnel; packets come in through ports and VLANs")]
    NoPort(String),
    /// The order of operations has no place to look at what is matched.
    #[error(transparent)]
    Fia(#[from] FiaError),
    /// The packet is longer than any buffer.
    #[error("a packet of {0} bytes fits no buffer")]
    TooLong(usize),
}

impl From<ConfigError> for ExplainError {
    fn from(error: ConfigError) -> Self {
        Self::Commit(CommitError::Config(error))
    }
}

impl ExplainError {
    /// True when the user's words are at fault rather than the machine: exit status 2.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NoInterface(_) | Self::NoPort(_) | Self::TooLong(_) => true,
            Self::Commit(error) => error.is_usage(),
            _ => false,
        }
    }
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The frame as it comes in.
    pub frame: Vec<u8>,
    /// Its walk, and those of what tunnels have made of it, one after the other.
    pub walks: Vec<Walk>,
    /// How the last walk ends.
    pub fate: Fate,
}

/// One walk through the order of operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Lists, route maps and policies that look at the packet, in the order in which they do.
    pub matches: Vec<Matched>,
    /// Rows that it goes through, in order.
    pub rows: Vec<Row>,
    /// What protects it, if something does. In tunnel mode another walk follows.
    pub protected: Option<Protected>,
}

/// What protects a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// The tunnel, or the entry of a security policy as `INTERFACE/ENTRY`.
    pub interface: String,
    /// The SA.
    pub sa: String,
    /// Its SPI.
    pub spi: u32,
}

/// What one list, route map or policy says about a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// How the configuration calls the use of it: `acl_in`, `policy_route`, `service_policy_in`,
    /// `acl_out`, `service_policy_out`, `spd`.
    pub feature: &'static str,
    /// Name of the list, route map or policy-map; of the interface whose security policy it is.
    pub name: String,
    /// The rule that matches, with its sequence number or as the implicit one it is, or the class
    /// and those below it, or the entry; none when nothing matches.
    pub says: Option<String>,
}

/// A row that a packet goes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a few words; empty for a row of a user's own.
    pub does: &'static str,
}

/// How a packet's walk ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is sent.
    Sent {
        /// Out of this interface.
        interface: String,
        /// To this neighbour.
        next_hop: Option<IpAddr>,
        /// The frame that is sent.
        frame: Vec<u8>,
    },
    /// It is dropped.
    Dropped(DropReason),
    /// It goes to the slow path.
    Punted {
        /// Why.
        cause: PuntCause,
        /// The interface that it would leave by, if one was found.
        interface: Option<String>,
        /// The neighbour whose MAC address is to be found, if that is why.
        next_hop: Option<IpAddr>,
    },
    /// A step has taken it over.
    Consumed,
}

impl fmt::Display for Explanation {
    /// Several lines: for each walk what matches, each row, and what protects; and how it ends.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (walk, number) in self.walks.iter().zip(1..) {
            walk.matches.iter().try_for_each(|matched| writeln!(f, "{matched}"))?;
            for (row, place) in walk.rows.iter().zip(1..) {
                let is_last = (number, place) == (self.walks.len(), walk.rows.len());
                match if is_last { self.fate.in_row() } else { None } {
                    Some(end) => writeln!(f, "  {:18} {}: {end}", row.name, row.does)?,
                    None => writeln!(f, "  {:18} {}", row.name, row.does)?,
                }
            }
            walk.protected.iter().try_for_each(|protected| writeln!(f, "{protected}"))?;
        }
        writeln!(f, "{}", self.fate)
    }
}

impl fmt::Display for Protected {
    /// One line: `protected by SA east-out (SPI 0x1001) of tunnel0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "protected by SA {} (SPI {:#x}) of {}", self.sa, self.spi, self.interface)
    }
}

impl fmt::Display for Matched {
    /// One line: `acl_in EDGE: 20 deny tcp any any eq 22`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.feature, self.name)?;
        f.write_str(self.says.as_deref().unwrap_or("nothing matches"))
    }
}

impl Fate {
    /// What the last row says, when it ends the walk.
    fn in_row(&self) -> Option<&'static str> {
        match self {
            Self::Dropped(reason) => Some(reason.label()),
            Self::Punted { cause, .. } => Some(cause.name()),
            Self::Sent { .. } | Self::Consumed => None,
        }
    }
}

impl fmt::Display for Fate {
    /// One line: `sent via east to next hop 192.0.2.2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { interface, next_hop: Some(next_hop), .. } => {
                write!(f, "sent via {interface} to next hop {next_hop}")
            }
            Self::Sent { interface, next_hop: None, .. } => write!(f, "sent via {interface}"),
            Self::Dropped(reason) => write!(f, "dropped: {}", reason.label()),
            Self::Punted { cause, interface, next_hop } => {
                write!(f, "punted: {}", cause.name())?;
                if let Some(next_hop) = next_hop {
                    write!(f, ", next hop {next_hop}")?;
                }
                interface.iter().try_for_each(|interface| write!(f, " via {interface}"))
            }
            Self::Consumed => f.write_str("consumed by the last step"),
        }
    }
}
