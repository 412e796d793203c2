//! `synth:` a generator of UDP traffic at full speed.
//!
//! Every flow's headers are computed at start, checksums included, and lie in one cache line each;
//! receiving copies a line and zeroes the payload behind it.

mod destinations;
mod port;
mod random;
mod template;

use std::fmt;
use std::path::PathBuf;

use ipnet::IpNet;

pub use port::SynthPort;

use crate::spec::{DisplayMac, items, once, unicast_mac, value};

/// Bytes of the Ethernet checksum, which sizes of a SPEC count and frames do not hold.
const FCS: u16 = 4;

/// `synth:size=64,flows=4096,...`: what the generator makes.
#[derive(Clone, Debug, PartialEq)]
pub struct SynthSpec {
    /// Frame sizes.
    pub size: Size,
    /// Number of flows (addresses and UDP ports), 1 to 4 194 304.
    pub flows: u32,
    /// File of prefixes to send to, one a line, plain or zstd. Default: 198.18.0.0/15 or
    /// 2001:2::/48, the ranges for benchmarks (RFC 2544, RFC 5180).
    pub dst: Option<PathBuf>,
    /// Exponent of the flows' popularity; without it all flows are equally frequent.
    pub zipf: Option<f64>,
    /// Seed: equal seeds give equal traffic.
    pub seed: u64,
    /// Packets to make before the port ends; endless without it.
    pub count: Option<u64>,
    /// Range of source addresses. Default: 10.0.0.0/8 or fd00::/8.
    pub src: Option<IpNet>,
    /// Destination MAC address. Default: the port's own.
    pub dmac: Option<[u8; 6]>,
    /// IPv6 only. Frames of IPv6 are at least 66 bytes long, the smallest that hold UDP.
    pub ipv6: bool,
}

/// Frame sizes in bytes, the FCS included: `size=64` is the 64-byte frame of every data sheet, and
/// 60 bytes in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// All frames alike, 64 to 9018 bytes.
    Fixed(u16),
    /// 7 : 4 : 1 of 64, 594 and 1518 bytes.
    Imix,
}

impl Size {
    /// The lengths that occur, bytes without FCS, ascending.
    pub(crate) fn lengths(self) -> Vec<u16> {
        match self {
            Self::Fixed(size) => vec![size - FCS],
            Self::Imix => [64, 594, 1518].map(|size| size - FCS).to_vec(),
        }
    }

    /// In which order they occur, over and over, as indices into [`Size::lengths`].
    pub(crate) const fn cycle(self) -> &'static [u8] {
        match self {
            Self::Fixed(_) => &[0],
            Self::Imix => &[0, 0, 1, 0, 1, 0, 2, 0, 1, 0, 1, 0],
        }
    }
}

impl SynthSpec {
    /// Reads the part of the SPEC behind `synth:`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (mut size, mut flows, mut dst, mut zipf) = (None, None, None, None);
        let (mut seed, mut count, mut src, mut dmac, mut ipv6) = (None, None, None, None, None);
        for item in items(text) {
            match item {
                ("imix", None) if size.is_some() => return Err("imix and size exclude each other"),
                ("imix", None) => size = Some(Size::Imix),
                ("ipv6", None) => once(&mut ipv6, true)?,
                ("imix" | "ipv6", Some(_)) => return Err("imix and ipv6 take no value"),
                ("size", Some(_)) if size == Some(Size::Imix) => {
                    return Err("imix and size exclude each other");
                }
                ("size", Some(text)) => {
                    let reason = "size is 64 to 9018 bytes, FCS included";
                    match value(text, reason)? {
                        bytes @ 64..=9018 => once(&mut size, Size::Fixed(bytes))?,
                        _ => return Err(reason),
                    }
                }
                ("flows", Some(text)) => {
                    let reason = "flows is a number from 1 to 4194304";
                    match value(text, reason)? {
                        number @ 1..=0x40_0000 => once(&mut flows, number)?,
                        _ => return Err(reason),
                    }
                }
                ("dst", Some(file)) if !file.is_empty() => once(&mut dst, PathBuf::from(file))?,
                ("zipf", Some(text)) => {
                    let reason = "zipf is an exponent from 0 to 10";
                    match value(text, reason)? {
                        exponent if (0.0..=10.0).contains(&exponent) => once(&mut zipf, exponent)?,
                        _ => return Err(reason),
                    }
                }
                ("seed", Some(text)) => once(&mut seed, value(text, "seed is a number")?)?,
                ("count", Some(text)) => once(&mut count, value(text, "count is a number")?)?,
                ("src", Some(text)) => once(&mut src, value(text, "src is a prefix")?)?,
                ("dmac", Some(text)) => {
                    let mac = unicast_mac(text).ok_or("dmac is a unicast MAC address")?;
                    once(&mut dmac, mac)?;
                }
                (
                    "size" | "flows" | "dst" | "zipf" | "seed" | "count" | "src" | "dmac",
                    None | Some(_),
                ) => return Err("a value is missing"),
                _ => {
                    return Err(
                        "unknown option (known: size, flows, dst, imix, zipf, seed, count, \
                                src, dmac, ipv6)",
                    );
                }
            }
        }
        let ipv6 = ipv6.is_some();
        match src {
            Some(IpNet::V4(_)) if ipv6 => return Err("src is IPv4, but ipv6 is asked for"),
            Some(IpNet::V6(_)) if !ipv6 && dst.is_none() => {
                return Err("src is IPv6, but no IPv6 is generated");
            }
            _ => {}
        }
        Ok(Self {
            size: size.unwrap_or(Size::Fixed(64)),
            flows: flows.unwrap_or(4096),
            dst,
            zipf,
            seed: seed.unwrap_or(1),
            count,
            src,
            dmac,
            ipv6,
        })
    }
}

impl fmt::Display for SynthSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size {
            Size::Fixed(bytes) => write!(f, "synth:size={bytes}")?,
            Size::Imix => f.write_str("synth:imix")?,
        }
        write!(f, ",flows={}", self.flows)?;
        if let Some(dst) = &self.dst {
            write!(f, ",dst={}", dst.display())?;
        }
        if let Some(zipf) = self.zipf {
            write!(f, ",zipf={zipf}")?;
        }
        write!(f, ",seed={}", self.seed)?;
        if let Some(count) = self.count {
            write!(f, ",count={count}")?;
        }
        if let Some(src) = self.src {
            write!(f, ",src={src}")?;
        }
        if let Some(dmac) = self.dmac {
            write!(f, ",dmac={}", DisplayMac(dmac))?;
        }
        if self.ipv6 { f.write_str(",ipv6") } else { Ok(()) }
    }
}
