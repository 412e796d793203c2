//! What differs between IPv4 and IPv6: texts, vectors of keys, uniform addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use qfp::core::fib::{Address, LANES};
use rand::Rng;
use rand::rngs::StdRng;

/// An address family.
pub(crate) trait Family: Address + Sync {
    /// 64 keys as the pipeline has them.
    type Vector: Send + Sync + 'static;
    /// 64 keys in network byte order, where peers want them so.
    type Bytes: 'static;
    /// How cases of this family begin.
    const NAME: &'static str;

    /// Reads an address.
    fn parse(text: &str) -> Option<Self>;
    /// Any address.
    fn random(rng: &mut StdRng) -> Self;
    /// A uniform address of pattern U.
    fn uniform(rng: &mut StdRng) -> Self;
    /// Lays out 64 keys.
    fn vector(keys: &[Self; LANES]) -> Self::Vector;
    /// Lays out 64 keys for peers.
    fn bytes(keys: &[Self; LANES]) -> Self::Bytes;
}

/// IPv4 keys in host byte order, aligned as the pipeline's vector is.
#[repr(align(64))]
pub(crate) struct Vector4 {
    pub(crate) keys: [u32; LANES],
}

/// IPv6 keys as halves in host byte order.
#[repr(align(64))]
pub(crate) struct Vector6 {
    pub(crate) hi: [u64; LANES],
    pub(crate) lo: [u64; LANES],
}

/// IPv6 keys in network byte order.
#[repr(align(64))]
pub(crate) struct Bytes6(
    #[cfg_attr(not(feature = "dpdk"), expect(dead_code, reason = "only peers take bytes"))]
    pub(crate) [[u8; 16]; LANES],
);

impl Family for u32 {
    type Vector = Vector4;
    type Bytes = ();
    const NAME: &'static str = "v4";

    fn parse(text: &str) -> Option<Self> {
        text.parse::<Ipv4Addr>().ok().map(Self::from)
    }

    fn random(rng: &mut StdRng) -> Self {
        rng.random()
    }

    fn uniform(rng: &mut StdRng) -> Self {
        rng.random()
    }

    fn vector(keys: &[Self; LANES]) -> Vector4 {
        Vector4 { keys: *keys }
    }

    fn bytes(_: &[Self; LANES]) {}
}

impl Family for u128 {
    type Vector = Vector6;
    type Bytes = Bytes6;
    const NAME: &'static str = "v6";

    fn parse(text: &str) -> Option<Self> {
        text.parse::<Ipv6Addr>().ok().map(Self::from)
    }

    fn random(rng: &mut StdRng) -> Self {
        rng.random()
    }

    fn uniform(rng: &mut StdRng) -> Self {
        // 2000::/3, the global unicast addresses.
        1 << 125 | Self::random(rng) >> 3
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    fn vector(keys: &[Self; LANES]) -> Vector6 {
        Vector6 { hi: keys.map(|key| (key >> 64) as u64), lo: keys.map(|key| key as u64) }
    }

    fn bytes(keys: &[Self; LANES]) -> Bytes6 {
        Bytes6(keys.map(Self::to_be_bytes))
    }
}
