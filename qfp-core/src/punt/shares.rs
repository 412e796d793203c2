//! A budget that senders share: what all of them may have, and what each interface has whatever the
//! others do, for those of its sources that have not had their share. What nobody else wants is lent.
//!
//! Sources are prefixes, /24 of IPv4 and /56 of IPv6: as much as one sender can be expected to
//! speak from. Each interface has its own fixed table of them, by a keyed hash: those that fall
//! into one place share, but nobody on another interface gets there.

use std::collections::HashMap;
use std::net::IpAddr;

use ahash::RandomState;
use pal::clock::Nanos;

use super::limit::{Rate, Share, TokenBucket};
use crate::uidb::UidbIndex;

/// Places for sources on each interface: a byte of the hash says which.
const SOURCES: usize = 256;

/// Why there is nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// Its source has had as much as one may have.
    Source,
    /// All together have, and its interface has had what it is owed.
    All,
}

/// What is left of a budget.
#[derive(Debug)]
pub(super) struct Shares {
    all: TokenBucket,
    share: Share,
    interfaces: HashMap<UidbIndex, Interface>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Interface {
    owed: TokenBucket,
    /// When each source may go on, if it keeps to its rate (GCRA).
    sources: Box<[Nanos; SOURCES]>,
}

impl Shares {
    /// A budget of `all`; a rate of 0 lets nothing through.
    pub(super) fn new(all: Rate, share: Share, seed: u64) -> Self {
        let at_most = |rate: Rate| Rate {
            per_second: rate.per_second.min(all.per_second),
            burst: rate.burst.min(all.burst),
        };
        Self {
            all: TokenBucket::new(all),
            share: Share { interface: at_most(share.interface), source: at_most(share.source) },
            interfaces: HashMap::new(),
            hasher: hasher(seed),
        }
    }

    /// Credits the time up to `now`.
    pub(super) fn advance(&mut self, now: Nanos) {
        self.all.advance(now);
    }

    /// Takes one for a packet of `source` that came in by `input`.
    pub(super) fn take(
        &mut self,
        now: Nanos,
        input: UidbIndex,
        source: IpAddr,
    ) -> Result<(), Spent> {
        let Share { interface: owed, source: share } = self.share;
        let interface = self.interfaces.entry(input).or_insert_with(|| Interface {
            owed: TokenBucket::full(owed),
            sources: Box::new([Nanos::ZERO; SOURCES]),
        });
        let place = usize::from(self.hasher.hash_one(prefix(source)).to_le_bytes()[0]);
        // A rate of 0 never comes round.
        let apart = Nanos::PER_SECOND.checked_div(share.per_second.into()).unwrap_or(u64::MAX);
        let next = &mut interface.sources[place];
        let ahead = u64::from(share.burst.max(1) - 1).saturating_mul(apart);
        let within = next.saturating_since(now) <= ahead;
        // What nobody else wants is anybody's; what an interface is owed is for those of its sources
        // that have not had their share.
        if !self.all.take(now) {
            if !within {
                return Err(Spent::Source);
            }
            if !interface.owed.take(now) {
                return Err(Spent::All);
            }
        }
        *next = (*next).max(now).saturating_add(apart);
        Ok(())
    }

    /// Forgets the interfaces for which `keep` is false.
    pub(super) fn retain(&mut self, keep: impl Fn(UidbIndex) -> bool) {
        self.interfaces.retain(|input, _| keep(*input));
    }
}

/// Hashes that differ with the seed.
fn hasher(seed: u64) -> RandomState {
    RandomState::with_seeds(seed, seed.rotate_left(16), seed.rotate_left(32), !seed)
}

/// The prefix that counts as one source.
pub(super) fn prefix(source: IpAddr) -> u128 {
    match source.to_canonical() {
        // Apart from all of IPv6: its prefixes leave the low bits zero.
        IpAddr::V4(source) => u128::from(source.to_bits() >> 8 << 8 | 1),
        IpAddr::V6(source) => source.to_bits() >> 72 << 72,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::punt::Limits;

    const LAN: UidbIndex = UidbIndex(3);
    const WAN: UidbIndex = UidbIndex(4);

    fn shares() -> Shares {
        let share = Share {
            interface: Rate { per_second: 10, burst: 10 },
            source: Rate { per_second: 20, burst: 10 },
        };
        Shares::new(Rate { per_second: 100, burst: 10 }, share, 7)
    }

    fn host(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + n).into()
    }

    /// How many of 10 000 a second, from the sources that `source` says, pass in ten seconds.
    fn passed(shares: &mut Shares, input: UidbIndex, source: impl Fn(u32) -> IpAddr) -> usize {
        let packets = 0..100_000_u32;
        let at = |n| Nanos(Nanos::from_secs(100).0 + u64::from(n) * 100_000);
        packets.filter(|&n| shares.take(at(n), input, source(n)).is_ok()).count()
    }

    #[test]
    fn one_source_has_what_nobody_else_wants() {
        // The whole prefix is one.
        let passed = passed(&mut shares(), LAN, |n| host(n % 256));
        assert!((1000..=1020).contains(&passed), "{passed}");
    }

    #[test]
    fn all_sources_have_what_all_may_have_and_what_their_interface_is_owed() {
        let passed = passed(&mut shares(), LAN, |n| host(n * 256));
        assert!((1000..=1120).contains(&passed), "{passed}");
    }

    #[test]
    fn a_flood_of_sources_on_one_interface_leaves_the_others_theirs() {
        let mut shares = shares();
        let (mut flood, mut honest) = (0, 0);
        for n in 0..100_000_u32 {
            let now = Nanos(Nanos::from_secs(100).0 + u64::from(n) * 100_000);
            flood += u32::from(shares.take(now, LAN, host(n * 256)).is_ok());
            if n % 1000 == 0 {
                honest += u32::from(shares.take(now, WAN, host(7)).is_ok());
            }
        }
        assert!(flood <= 1120, "{flood}");
        assert_eq!(honest, 100);
    }

    #[test]
    fn one_source_leaves_the_others_theirs() {
        let mut shares = shares();
        let mut honest = 0;
        for n in 0..100_000_u32 {
            let now = Nanos(Nanos::from_secs(100).0 + u64::from(n) * 100_000);
            let _ = shares.take(now, LAN, host(7));
            if n % 1000 == 0 {
                honest += u32::from(shares.take(now, LAN, host(256)).is_ok());
            }
        }
        assert_eq!(honest, 100);
    }

    #[test]
    fn prefixes_are_24_bits_of_ipv4_and_56_of_ipv6() {
        let of = |address: &str| prefix(address.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("192.0.2.254"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:0:aa::1"), of("2001:db8:0:bb:ffff::"));
        assert_ne!(of("2001:db8:0:aa::1"), of("2001:db8:0:1aa::1"));
        assert_ne!(of("::"), of("0.0.0.0"));
    }

    #[test]
    fn a_rate_of_zero_passes_nothing() {
        let mut none =
            Shares::new(Rate { per_second: 0, burst: 9 }, Limits::default().icmp_share, 7);
        assert_eq!(passed(&mut none, LAN, host), 0);
    }
}
