//! How much the slow path does: token buckets and bounds, all in the time of the packets.

use pal::clock::Nanos;

use super::counters::IcmpKind;

/// A rate of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rate {
    /// Packets a second in the long run; 0 lets nothing through.
    pub per_second: u32,
    /// Packets at once after a quiet time; 0 counts as 1.
    pub burst: u32,
}

/// How a budget is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Share {
    /// What each input interface has even when all together have used up the budget.
    pub interface: Rate,
    /// One source, a /24 of IPv4 or a /56 of IPv6, that has had as much has none of what its
    /// interface is owed then.
    pub source: Rate,
}

/// What bounds the work and the memory of the slow path.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// ICMP errors, each kind on its own (RFC 1812 4.3.2.8, RFC 4443 2.4 f).
    pub icmp: [Rate; IcmpKind::COUNT],
    /// How each kind is shared.
    pub icmp_share: Share,
    /// Packets for neighbours that are known already, which the fast path has not heard of yet,
    /// and injected packets that it punts again.
    pub resend: Rate,
    /// How that is shared.
    pub resend_share: Share,
    /// What the places of sources in shared budgets depend on: to be one that nobody can guess.
    pub seed: u64,
    /// Packets held for one neighbour; the oldest makes room.
    pub held_per_neighbour: usize,
    /// Packets held for neighbours of one interface; its oldest makes room.
    pub held_per_interface: usize,
    /// Packets held in all; the oldest of the interface with most makes room.
    pub held_total: usize,
    /// Known neighbours in all, but for static ones: those that packets were for. No more than the
    /// fast path has adjacencies for.
    pub neighbours: usize,
    /// Of these, on one interface.
    pub neighbours_per_interface: usize,
    /// Neighbours of one interface that packets were for and that are not known, half of them such
    /// that several packets were for; the oldest makes room.
    pub unresolved_per_interface: usize,
    /// Of these, in all; the oldest of the interface with most makes room.
    pub unresolved: usize,
    /// Neighbours of one interface that have spoken to the router and that no packet was for; the
    /// oldest makes room. The fast path does not learn of them.
    pub unsolicited_per_interface: usize,
    /// Of these, in all; the oldest of the interface with most makes room.
    pub unsolicited: usize,
    /// Requests on one interface for neighbours that are not known.
    pub requests_rate: Rate,
    /// Requests on one interface to neighbours that are known.
    pub refresh_rate: Rate,
    /// Requests sent before a neighbour counts as absent.
    pub requests: u8,
    /// From one request to the next, nanoseconds.
    pub retransmit_ns: u64,
    /// How long an absent neighbour is not asked for again, nanoseconds.
    pub negative_ns: u64,
    /// How long an answer is believed before the neighbour is asked again, nanoseconds.
    pub reachable_ns: u64,
    /// From hearing of a neighbour in passing to asking it, nanoseconds (RFC 4861 10).
    pub delay_ns: u64,
    /// Datagrams for the router itself of which fragments are missing; the oldest makes room.
    pub reassemblies: usize,
    /// Of these, from one source: a /24 of IPv4 or a /56 of IPv6 on one interface.
    pub reassemblies_per_source: usize,
    /// Bytes that all these fragments take.
    pub reassembly_bytes: usize,
    /// Of these, from one source. What is below the largest datagram twice over leaves no room for
    /// such ones.
    pub reassembly_bytes_per_source: usize,
    /// Whether packets into a Null0 route are reported to their source.
    pub null0_unreachables: bool,
    /// Whether the router writes its address and the time into packets in transit that ask for it
    /// (record route and timestamp options). Otherwise these pass as they are.
    pub record_route: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            icmp: [Rate { per_second: 100, burst: 10 }; IcmpKind::COUNT],
            icmp_share: Share {
                interface: Rate { per_second: 10, burst: 10 },
                source: Rate { per_second: 20, burst: 10 },
            },
            resend: Rate { per_second: 10_000, burst: 1024 },
            resend_share: Share {
                interface: Rate { per_second: 1000, burst: 128 },
                source: Rate { per_second: 2000, burst: 512 },
            },
            seed: 0,
            held_per_neighbour: 4,
            held_per_interface: 512,
            held_total: 4096,
            neighbours: 65_536,
            neighbours_per_interface: 49_152,
            unresolved_per_interface: 32_768,
            unresolved: 65_536,
            unsolicited_per_interface: 1024,
            unsolicited: 16_384,
            // A scan of 20 000 packets a second must send 8 to an address to be worth as much as an
            // honest sender after most of a second: that many addresses can still be asked for.
            requests_rate: Rate { per_second: 2500, burst: 500 },
            refresh_rate: Rate { per_second: 1000, burst: 200 },
            requests: 3,
            retransmit_ns: Nanos::PER_SECOND,
            negative_ns: 3 * Nanos::PER_SECOND,
            reachable_ns: 240 * Nanos::PER_SECOND,
            delay_ns: 5 * Nanos::PER_SECOND,
            reassemblies: 1024,
            reassemblies_per_source: 64,
            reassembly_bytes: 4 << 20,
            reassembly_bytes_per_source: 512 << 10,
            null0_unreachables: true,
            record_route: true,
        }
    }
}

/// A token bucket over virtual time, exact to the nanosecond.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    rate: Rate,
    /// Credit in billionths of a packet.
    credit: u64,
    last: Option<Nanos>,
}

impl TokenBucket {
    /// A packet in billionths.
    const PACKET: u64 = Nanos::PER_SECOND;

    /// A bucket with one token, so that the first second passes no more than any other; the rest
    /// of the burst has to be earned by a quiet time.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let credit = if rate.per_second == 0 { 0 } else { Self::PACKET };
        Self { rate, credit, last: None }
    }

    /// A bucket that starts with its whole burst.
    #[must_use]
    pub fn full(rate: Rate) -> Self {
        let depth = u64::from(rate.burst.max(1)) * Self::PACKET;
        Self { rate, credit: if rate.per_second == 0 { 0 } else { depth }, last: None }
    }

    /// Credits the time up to `now`.
    pub fn advance(&mut self, now: Nanos) {
        let elapsed = self.last.map_or(0, |last| now.saturating_since(last));
        self.last = self.last.max(Some(now));
        let earned = elapsed.saturating_mul(u64::from(self.rate.per_second));
        let depth = u64::from(self.rate.burst.max(1)) * Self::PACKET;
        self.credit = self.credit.saturating_add(earned).min(depth);
    }

    /// Takes a token; false when there is none.
    pub fn take(&mut self, now: Nanos) -> bool {
        self.take_above(now, 0)
    }

    /// Takes a token if as many as `reserve` are left then; false when not.
    pub fn take_above(&mut self, now: Nanos, reserve: u32) -> bool {
        self.advance(now);
        let left = self.credit.checked_sub(Self::PACKET);
        let left = left.filter(|left| *left >= u64::from(reserve) * Self::PACKET);
        self.credit = left.unwrap_or(self.credit);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(bucket: &mut TokenBucket, from: Nanos, per_second: u64) -> usize {
        let step = Nanos::PER_SECOND / per_second;
        (0..per_second).filter(|n| bucket.take(from.saturating_add(n * step))).count()
    }

    #[test]
    fn every_second_of_overload_passes_the_rate() {
        let mut bucket = TokenBucket::new(Rate { per_second: 100, burst: 10 });
        for second in 0..5 {
            let passed = passed(&mut bucket, Nanos::from_secs(1_700_000_000 + second), 10_000);
            assert!((99..=101).contains(&passed), "{passed} in second {second}");
        }
    }

    #[test]
    fn a_quiet_time_earns_the_burst_and_no_more() {
        let mut bucket = TokenBucket::new(Rate { per_second: 100, burst: 10 });
        assert!(bucket.take(Nanos::ZERO));
        let later = Nanos::from_secs(30 * 86_400);
        assert_eq!((0..100).filter(|_| bucket.take(later)).count(), 10);
    }

    #[test]
    fn a_rate_of_zero_passes_nothing_and_time_may_stand_still() {
        let mut none = TokenBucket::new(Rate { per_second: 0, burst: 10 });
        assert_eq!(passed(&mut none, Nanos::ZERO, 1000), 0);
        let mut bucket = TokenBucket::new(Rate { per_second: u32::MAX, burst: 0 });
        assert!(bucket.take(Nanos::MAX) && !bucket.take(Nanos::MAX) && !bucket.take(Nanos::ZERO));
    }
}
