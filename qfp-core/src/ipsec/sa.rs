//! Security associations: what the client says, and the rows that lcores read.

use std::net::IpAddr;

use super::header::{self, HEADER_ROOM};
use super::replay::{WindowError, replay_words};
use super::selector::Selector;
use crate::crypto::Algorithm;
use crate::uidb::{TableId, UidbIndex};

/// Bytes of SPI and sequence number.
pub(super) const ESP: usize = 8;
/// SPIs up to this one are reserved (RFC 4303 §2.1).
const RESERVED_SPIS: u32 = 255;

pal::plain_struct! {
    /// When a lifetime ends: at the first of these. All ones is never.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Limit {
        /// Bytes of inner packets.
        pub bytes: u64,
        /// Packets.
        pub packets: u64,
        /// Nanoseconds of the vectors' clock.
        pub until: u64,
    }

    /// An SA that protects. Two cache lines.
    #[derive(Clone, Copy, Debug)]
    #[repr(align(64))]
    pub struct OutboundSa {
        /// SPI, host byte order.
        pub(super) spi: u32,
        /// Row of the keys.
        pub(super) key: u32,
        /// Row of the states.
        pub(super) state: u32,
        /// [`SaFlags`].
        pub(super) flags: u32,
        pub(super) soft: Limit,
        pub(super) hard: Limit,
        pub(super) sizes: Sizes,
        /// Bytes of the header in use: IP, and UDP where there is one.
        pub(super) header_len: u8,
        /// DSCP of the outer header, shifted to its place; [`COPY_DSCP`] for the inner one.
        pub(super) dscp: u8,
        /// Routing table of the outer packet.
        pub(super) table: u16,
        /// Outer header. An IPv4 checksum field holds the sum of the constant words.
        pub(super) header: [u8; HEADER_ROOM],
    }

    /// Bytes that an algorithm adds.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Sizes {
        pub(super) iv: u8,
        pub(super) icv: u8,
        /// What payload with trailer is a multiple of; a power of two.
        pub(super) align: u8,
        reserved: u8,
    }

    /// An SA that opens. Three cache lines.
    #[derive(Clone, Copy, Debug)]
    #[repr(align(64))]
    pub struct InboundSa {
        pub(super) spi: u32,
        pub(super) key: u32,
        pub(super) state: u32,
        /// [`SaFlags`].
        pub(super) flags: u32,
        pub(super) soft: Limit,
        pub(super) hard: Limit,
        /// Outer destination; an IPv4 address in the first bytes.
        pub(super) local: [u8; 16],
        /// Outer source that is expected, without being demanded.
        pub(super) remote: [u8; 16],
        pub(super) sizes: Sizes,
        /// Source port that is expected, with UDP encapsulation.
        pub(super) remote_port: u16,
        /// The tunnel interface that the inner packet comes in through.
        pub(super) interface: u16,
        /// First word and size of the replay window; size 0 for none.
        pub(super) replay: u32,
        pub(super) window: u32,
        pub(super) selector: Selector,
    }
}

const _: () = assert!(size_of::<OutboundSa>() == 128 && size_of::<InboundSa>() == 192);

/// Outer DSCP is the inner one.
pub(super) const COPY_DSCP: u8 = 1;

impl Limit {
    /// A lifetime that never ends.
    pub const NONE: Self = Self { bytes: u64::MAX, packets: u64::MAX, until: u64::MAX };

    /// Whether it is over after so many packets and bytes.
    #[inline]
    pub(super) const fn is_over(&self, packets: u64, bytes: u64, now: u64) -> bool {
        packets >= self.packets || bytes >= self.bytes || now >= self.until
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::NONE
    }
}

/// What an SA is and does, bit by bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaFlags(pub(super) u32);

impl SaFlags {
    /// The row is in use.
    pub(super) const VALID: u32 = 1 << 0;
    /// Transport mode.
    pub(super) const TRANSPORT: u32 = 1 << 1;
    /// The outer header is IPv6.
    pub(super) const V6: u32 = 1 << 2;
    /// Encapsulated in UDP (RFC 3948).
    pub(super) const UDP: u32 = 1 << 3;
    /// Extended sequence numbers.
    pub(super) const ESN: u32 = 1 << 4;
    /// DF of the outer header is the inner one's.
    pub(super) const COPY_DF: u32 = 1 << 5;
    /// ECN is not copied to the outer header (RFC 6040, compatibility mode).
    pub(super) const NO_ECN: u32 = 1 << 6;
    /// The IV must not be foretold.
    pub(super) const RANDOM_IV: u32 = 1 << 7;
    /// The selector applies.
    pub(super) const SELECT: u32 = 1 << 8;

    const fn when(flag: u32, on: bool) -> u32 {
        if on { flag } else { 0 }
    }
}

/// What of a packet is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// All of it, inside a new IP packet.
    #[default]
    Tunnel,
    /// What follows its IP header.
    Transport,
}

/// DSCP of the outer header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dscp {
    /// That of the inner packet.
    #[default]
    Copy,
    /// This one, 0 to 63.
    Set(u8),
}

/// DF of an outer IPv4 header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DontFragment {
    /// As in the inner packet; set around IPv6.
    #[default]
    Copy,
    /// Set.
    Set,
    /// Clear: the outer packet may be fragmented.
    Clear,
}

/// The ends of an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Our address.
    pub local: IpAddr,
    /// The peer's.
    pub remote: IpAddr,
}

/// An SA that protects, as the client says it.
#[derive(Clone, Copy, Debug)]
pub struct OutboundConfig {
    /// SPI, chosen by the peer; above 255.
    pub spi: u32,
    /// What is protected.
    pub mode: Mode,
    /// Addresses of the outer header; not looked at in transport mode.
    pub endpoints: Endpoints,
    /// What the key is for.
    pub algorithm: Algorithm,
    /// Row of the keys. Its key has never been used with a state that began elsewhere.
    pub key: u32,
    /// Row of the states, which is this SA's alone.
    pub state: u32,
    /// Source and destination port of UDP encapsulation, if any.
    pub udp: Option<(u16, u16)>,
    /// Extended sequence numbers.
    pub esn: bool,
    /// TTL or hop limit of the outer header, not 0.
    pub ttl: u8,
    /// DSCP of the outer header.
    pub dscp: Dscp,
    /// DF of the outer header.
    pub df: DontFragment,
    /// Whether ECN is copied to the outer header: yes, unless the peer does not know RFC 6040.
    pub ecn: bool,
    /// The table that the outer packet is routed in.
    pub table: TableId,
    /// When a new SA should be made.
    pub soft: Limit,
    /// When this one stops.
    pub hard: Limit,
}

/// An SA that opens, as the client says it.
#[derive(Clone, Copy, Debug)]
pub struct InboundConfig {
    /// SPI, chosen by us; above 255.
    pub spi: u32,
    /// What is protected.
    pub mode: Mode,
    /// The packets' destination, and the source that is expected.
    pub endpoints: Endpoints,
    /// What the key is for.
    pub algorithm: Algorithm,
    /// Row of the keys.
    pub key: u32,
    /// Row of the states, which is this SA's alone.
    pub state: u32,
    /// The peer's port, where packets are encapsulated in UDP.
    pub udp: Option<u16>,
    /// Extended sequence numbers; they need a replay window.
    pub esn: bool,
    /// First word and size of the replay window. Without one, anybody may repeat packets.
    pub replay: Option<(u32, u32)>,
    /// The tunnel interface: inner packets come in through it.
    pub interface: UidbIndex,
    /// What inner packets must be; none for a tunnel that routes decide about.
    pub selector: Option<Selector>,
    /// When a new SA should be made.
    pub soft: Limit,
    /// When this one stops.
    pub hard: Limit,
}

/// Why there is no such SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaError {
    /// The SPI is one of the reserved ones.
    #[error("SPI {0} is reserved: SPIs are above {RESERVED_SPIS}")]
    Spi(u32),
    /// The ends are of different families.
    #[error("an SA from {} to {}: addresses of different families", .0.local, .0.remote)]
    Families(Endpoints),
    /// A TTL of 0 goes nowhere.
    #[error("a TTL of 0 in the outer header")]
    Ttl,
    /// A DSCP has 6 bits.
    #[error("DSCP {0}: there are 0 to 63")]
    Dscp(u8),
    /// A port of UDP encapsulation is 0.
    #[error("UDP port 0 for encapsulation")]
    Port,
    /// The replay window has no such size.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// Extended numbers are inferred from the window.
    #[error("extended sequence numbers need a replay window")]
    EsnWithoutWindow,
}

fn check(spi: u32, endpoints: Endpoints) -> Result<(), SaError> {
    if spi <= RESERVED_SPIS {
        return Err(SaError::Spi(spi));
    }
    if endpoints.local.is_ipv4() != endpoints.remote.is_ipv4() {
        return Err(SaError::Families(endpoints));
    }
    Ok(())
}

impl Sizes {
    const fn of(algorithm: Algorithm) -> Self {
        let align = if algorithm.block() > 4 { algorithm.block() } else { 4 };
        Self {
            iv: algorithm.iv_len().to_le_bytes()[0],
            icv: algorithm.tag_len().to_le_bytes()[0],
            align: align.to_le_bytes()[0],
            reserved: 0,
        }
    }

    /// Bytes of `len` bytes with their trailer.
    #[inline]
    pub(super) fn padded(self, len: usize) -> usize {
        let align = usize::from(self.align);
        (len + 2 + align - 1) & !(align - 1)
    }
}

fn mode_flags(mode: Mode, endpoints: Endpoints, udp: bool, esn: bool) -> u32 {
    SaFlags::VALID
        | SaFlags::when(SaFlags::TRANSPORT, mode == Mode::Transport)
        | SaFlags::when(SaFlags::V6, endpoints.local.is_ipv6())
        | SaFlags::when(SaFlags::UDP, udp)
        | SaFlags::when(SaFlags::ESN, esn)
}

impl OutboundSa {
    /// The row of an SA.
    ///
    /// # Errors
    /// See [`SaError`].
    pub fn new(config: &OutboundConfig) -> Result<Self, SaError> {
        check(config.spi, config.endpoints)?;
        if config.ttl == 0 {
            return Err(SaError::Ttl);
        }
        let dscp = match config.dscp {
            Dscp::Copy => COPY_DSCP,
            Dscp::Set(dscp @ 0..64) => dscp << 2,
            Dscp::Set(dscp) => return Err(SaError::Dscp(dscp)),
        };
        if let Some((0, _) | (_, 0)) = config.udp {
            return Err(SaError::Port);
        }
        let flags = mode_flags(config.mode, config.endpoints, config.udp.is_some(), config.esn)
            | SaFlags::when(SaFlags::COPY_DF, config.df == DontFragment::Copy)
            | SaFlags::when(SaFlags::NO_ECN, !config.ecn)
            | SaFlags::when(SaFlags::RANDOM_IV, config.algorithm.iv_len() == 16);
        let df = config.df == DontFragment::Set;
        let (header, header_len) = match config.mode {
            Mode::Tunnel => header::template(config.endpoints, config.ttl, df, config.udp),
            Mode::Transport => header::udp_template(config.udp),
        };
        Ok(Self {
            spi: config.spi,
            key: config.key,
            state: config.state,
            flags,
            soft: config.soft,
            hard: config.hard,
            sizes: Sizes::of(config.algorithm),
            header_len,
            dscp,
            table: config.table.0,
            header,
        })
    }

    /// A row without an SA.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            spi: 0,
            key: 0,
            state: 0,
            flags: 0,
            soft: Limit::NONE,
            hard: Limit::NONE,
            sizes: Sizes { iv: 0, icv: 0, align: 0, reserved: 0 },
            header_len: 0,
            dscp: 0,
            table: 0,
            header: [0; HEADER_ROOM],
        }
    }

    /// The largest inner packet whose outer one has at most `mtu` bytes: what the MTU of the tunnel
    /// interface is; 0 when nothing fits.
    #[must_use]
    pub fn inner_mtu(&self, mtu: u16) -> u16 {
        let around = usize::from(self.header_len) + ESP;
        let around = around + usize::from(self.sizes.iv) + usize::from(self.sizes.icv);
        // In transport mode the packet's own header stays in front.
        let own = match (self.is(SaFlags::TRANSPORT), self.is(SaFlags::V6)) {
            (false, _) => 0,
            (true, false) => 20,
            (true, true) => 40,
        };
        let room = usize::from(mtu).saturating_sub(around + own);
        let sealed = room & !(usize::from(self.sizes.align).wrapping_sub(1));
        let inner = sealed.checked_sub(2).map_or(0, |payload| own + payload);
        u16::try_from(inner).unwrap_or(u16::MAX)
    }

    #[inline]
    pub(super) const fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// The highest sequence number.
    #[inline]
    pub(super) const fn last_number(&self) -> u64 {
        if self.is(SaFlags::ESN) { u64::MAX - 1 } else { u32::MAX as u64 }
    }
}

impl InboundSa {
    /// The row of an SA.
    ///
    /// # Errors
    /// See [`SaError`].
    pub fn new(config: &InboundConfig) -> Result<Self, SaError> {
        check(config.spi, config.endpoints)?;
        let (replay, window) = match config.replay {
            Some((first, size)) => {
                replay_words(size)?;
                (first, size)
            }
            None if config.esn => return Err(SaError::EsnWithoutWindow),
            None => (0, 0),
        };
        if config.udp == Some(0) {
            return Err(SaError::Port);
        }
        let flags = mode_flags(config.mode, config.endpoints, config.udp.is_some(), config.esn)
            | SaFlags::when(SaFlags::SELECT, config.selector.is_some());
        Ok(Self {
            spi: config.spi,
            key: config.key,
            state: config.state,
            flags,
            soft: config.soft,
            hard: config.hard,
            local: header::octets(config.endpoints.local),
            remote: header::octets(config.endpoints.remote),
            sizes: Sizes::of(config.algorithm),
            remote_port: config.udp.unwrap_or(0),
            interface: config.interface.0,
            replay,
            window,
            selector: config.selector.unwrap_or_default(),
        })
    }

    /// A row without an SA.
    #[must_use]
    pub fn none() -> Self {
        Self {
            spi: 0,
            key: 0,
            state: 0,
            flags: 0,
            soft: Limit::NONE,
            hard: Limit::NONE,
            local: [0; 16],
            remote: [0; 16],
            sizes: Sizes::default(),
            remote_port: 0,
            interface: UidbIndex::NONE.0,
            replay: 0,
            window: 0,
            selector: Selector::default(),
        }
    }

    /// Whether packets with this SPI and destination, which is IPv6 or not, are this SA's.
    #[inline]
    pub(super) fn is_for(&self, spi: u32, destination: &[u8], v6: bool) -> bool {
        self.spi == spi
            && self.is(SaFlags::VALID)
            && self.is(SaFlags::V6) == v6
            && match (destination.first_chunk::<4>(), destination.first_chunk::<16>()) {
                (_, Some(destination)) => self.local == *destination,
                (Some(destination), None) => self.local.first_chunk() == Some(destination),
                (None, None) => false,
            }
    }

    #[inline]
    pub(super) const fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}
