use std::fmt;
use std::net::IpAddr;

/// What becomes of an SA, told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaEvent {
    /// Packets want to leave through an interface that has no SA to protect them.
    Acquire {
        /// The tunnel, or the policy's entry as `INTERFACE/ENTRY`.
        interface: String,
    },
    /// A soft lifetime is over: a new SA should take its place.
    SoftExpired {
        /// The SA.
        sa: String,
    },
    /// A hard lifetime is over: the SA is deleted.
    HardExpired {
        /// The SA.
        sa: String,
    },
    /// There are no sequence numbers left: the SA sends nothing any more.
    SequenceOverflow {
        /// The SA.
        sa: String,
    },
    /// Packets of the peer, encapsulated in UDP, come from elsewhere than the SA says: a NAT in
    /// between has another mapping (RFC 7296 §2.23). [`Sa::endpoints`](super::Sa::endpoints) stay what
    /// they are until somebody updates them.
    PeerMoved {
        /// The inbound SA.
        sa: String,
        /// Where they come from.
        address: IpAddr,
        /// From which port.
        port: u16,
    },
    /// Sequence numbers could not be reserved: the file of marks cannot be written. SAs stop when
    /// those that they have are used.
    MarksNotKept {
        /// Why not.
        error: String,
    },
}

impl fmt::Display for SaEvent {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire { interface } => {
                write!(f, "{interface} has packets to send and no SA")
            }
            Self::SoftExpired { sa } => write!(f, "SA {sa}: the soft lifetime is over"),
            Self::HardExpired { sa } => {
                write!(f, "SA {sa}: the hard lifetime is over, it is deleted")
            }
            Self::SequenceOverflow { sa } => {
                write!(f, "SA {sa}: no sequence numbers are left, it sends nothing any more")
            }
            Self::PeerMoved { sa, address, port } => {
                write!(f, "SA {sa}: the peer's packets come from {address} port {port}")
            }
            Self::MarksNotKept { error } => {
                write!(f, "sequence numbers cannot be reserved: {error}")
            }
        }
    }
}
