use std::ops::BitOr;

/// TCP flags that an ace can name, with the bits of the header. RFC 9293 §3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// A connection begins.
    pub const SYN: Self = Self(0x02);
    /// The connection is gone.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);

    /// The words for each flag, as they are printed.
    pub(super) const NAMES: &'static [(&'static str, Self)] = &[
        ("ack", Self::ACK),
        ("fin", Self::FIN),
        ("psh", Self::PSH),
        ("rst", Self::RST),
        ("syn", Self::SYN),
        ("urg", Self::URG),
    ];

    /// The byte of the TCP header that has just these flags.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether one of the flags is among these.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Which flags a TCP segment must have and lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpMatch {
    /// Every flag of `set`, and none of `clear`.
    All {
        /// Flags that must be there.
        set: TcpFlags,
        /// Flags that must not.
        clear: TcpFlags,
    },
    /// One flag of `set` at least, or one of `clear` missing at least.
    Any {
        /// Flags of which one is enough.
        set: TcpFlags,
        /// Flags of which one missing is enough.
        clear: TcpFlags,
    },
}

impl TcpMatch {
    /// ACK or RST: every segment but the first of a connection.
    pub const ESTABLISHED: Self =
        Self::Any { set: TcpFlags(TcpFlags::ACK.0 | TcpFlags::RST.0), clear: TcpFlags::NONE };

    /// The same as ternary matches of the flags byte: (value, mask) pairs, one of which must be
    /// equal to the byte under the mask.
    #[must_use]
    pub fn ternaries(self) -> Vec<(u8, u8)> {
        match self {
            Self::All { set, clear } => vec![(set.0, set.0 | clear.0)],
            Self::Any { set, clear } => {
                let each = |flags: TcpFlags| {
                    (0..8).map(|bit| 1 << bit).filter(move |bit| flags.0 & bit != 0)
                };
                each(set).map(|bit| (bit, bit)).chain(each(clear).map(|bit| (0, bit))).collect()
            }
        }
    }
}
