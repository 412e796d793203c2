//! All meters of the lcores that share them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pal::clock::Nanos;

use super::share::{Meter, Share};
use super::{FlowType, Lpts, LptsRates};
use crate::punt::{Acquaintance, Rate};
use crate::uidb::UidbIndex;

/// A packet that asks to be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Its type.
    pub flow: FlowType,
    /// The interface it came in through.
    pub input: UidbIndex,
    /// Its sender ([`LptsGroup::sender`]), where senders have shares.
    pub sender: Option<u32>,
}

/// What becomes of a packet for the slow path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Admission {
    /// It goes on.
    Accepted,
    /// Its type has had its rate, and its interface its share of it.
    FlowLimit,
    /// All types together have.
    TotalLimit,
}

/// The policers of a group of lcores, which meter together, and what they know types by.
#[derive(Debug)]
pub struct LptsGroup {
    sessions: Lpts,
    acquaintance: Arc<Acquaintance>,
    /// By type, and all together.
    meters: Vec<Meter>,
    limited: bool,
    /// Interface by interface, each type and all together; the last row is of numbers beyond.
    shares: Vec<Share>,
    hasher: ahash::RandomState,
    /// Its place in the line of groups that take each other's place, and the number of the last one.
    number: u64,
    last: Arc<AtomicU64>,
    line: Weak<Mutex<Line>>,
}

/// The group that lcores are to have, and those before it, as long as an lcore has one: none of them
/// is freed there.
#[derive(Debug)]
struct Line {
    now: Arc<LptsGroup>,
    before: Vec<Arc<LptsGroup>>,
}

/// The policers of the lcores over time: one group after the other. For who replaces them.
#[derive(Debug)]
pub struct LptsSuccession(Arc<Mutex<Line>>);

impl LptsSuccession {
    /// A succession that begins with `group`.
    #[must_use]
    pub fn new(group: LptsGroup) -> Self {
        let line = |line: &Weak<Mutex<Line>>| {
            let now = Arc::new(LptsGroup { line: Weak::clone(line), ..group });
            Mutex::new(Line { now, before: Vec::new() })
        };
        Self(Arc::new_cyclic(line))
    }

    /// The group that lcores are to have.
    #[must_use]
    pub fn group(&self) -> Arc<LptsGroup> {
        Arc::clone(&self.line().now)
    }

    /// Has lcores police by other rates and sessions, each from its next vector with packets for the
    /// slow path on. All buckets are full then.
    pub fn replace(&mut self, rates: &LptsRates, sessions: Lpts) {
        let old = self.group();
        let interfaces = old.shares.len() / ROW - 1;
        let new = LptsGroup::new(rates, sessions, Arc::clone(&old.acquaintance), interfaces);
        let (number, last) = (old.number + 1, Arc::clone(&old.last));
        let (hasher, line) = (old.hasher.clone(), Weak::clone(&old.line));
        let mut groups = self.line();
        groups.now = Arc::new(LptsGroup { hasher, number, last, line, ..new });
        groups.before.push(old);
        // One that nobody else has is nobody's from now on.
        groups.before.retain(|group| Arc::strong_count(group) > 1);
        groups.now.last.store(number, Ordering::Release);
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same for the same seed.
fn hasher(seed: u64) -> ahash::RandomState {
    ahash::RandomState::with_seeds(seed, !seed, 1, 2)
}

/// Meters of an interface.
const ROW: usize = FlowType::COUNT + 1;

impl Default for LptsGroup {
    /// A group with the published rates, no session and no neighbour, for a few interfaces.
    fn default() -> Self {
        let acquaintance = Arc::new(Acquaintance::new(1));
        Self::new(&LptsRates::default(), Lpts::default(), acquaintance, 64)
    }
}

impl LptsGroup {
    /// A group with full buckets, for uIDBs below `interfaces`. 16 bytes for each type and each
    /// interface.
    #[must_use]
    pub fn new(
        rates: &LptsRates,
        sessions: Lpts,
        acquaintance: Arc<Acquaintance>,
        interfaces: usize,
    ) -> Self {
        let meter = |flow: &FlowType| Meter::new(rates.of(*flow), rates.floor(), flow.by_sender());
        let total = rates.total().unwrap_or(Rate { per_second: u32::MAX, burst: 1 });
        let meters = FlowType::ALL.iter().map(meter);
        let meters = meters.chain([Meter::new(total, rates.floor(), false)]).collect();
        let shares = std::iter::repeat_with(Share::default).take((interfaces + 1) * ROW).collect();
        let limited = rates.total().is_some();
        let (hasher, last, line) = (hasher(0), Arc::default(), Weak::new());
        Self { sessions, acquaintance, meters, limited, shares, hasher, number: 0, last, line }
    }

    /// For an lcore that has this group: the one that has taken its place, if one has; one load
    /// otherwise. Does not wait: what is being put there is found the next time.
    #[inline]
    #[must_use]
    pub fn successor(&self) -> Option<Arc<Self>> {
        if self.last.load(Ordering::Acquire) == self.number {
            return None;
        }
        Some(Arc::clone(&self.line.upgrade()?.try_lock().ok()?.now))
    }

    /// The same, with senders hashed by another seed: one that nobody can guess, where senders are
    /// not known beforehand.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { hasher: hasher(seed), ..self }
    }

    /// Sessions, peers and listeners.
    #[must_use]
    pub fn sessions(&self) -> &Lpts {
        &self.sessions
    }

    /// The neighbours that the router knows or asks for.
    #[must_use]
    pub fn acquaintance(&self) -> &Acquaintance {
        &self.acquaintance
    }

    /// The number of a sender, by its address: hosts of IPv4, /64s of IPv6.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "some bits of a hash")]
    pub fn sender(&self, address: &[u8]) -> u32 {
        self.hasher.hash_one(address.get(..8).unwrap_or(address)) as u32
    }

    /// Whether one more packet passes now. Its type comes first; what that lets through meets the
    /// rate of all. No allocation, one to four atomic words changed.
    #[must_use]
    pub fn admit(&self, offered: Offered, now: Nanos) -> Admission {
        let interfaces = self.shares.len() / ROW - 1;
        let row = usize::from(offered.input.0).min(interfaces) * ROW;
        let passes =
            |meter: usize, sender| match (self.meters.get(meter), self.shares.get(row + meter)) {
                (Some(meter), Some(share)) => meter.admit(share, sender, now),
                _ => false,
            };
        if !passes(offered.flow as usize, offered.sender) {
            Admission::FlowLimit
        } else if self.limited && !passes(FlowType::COUNT, None) {
            Admission::TotalLimit
        } else {
            Admission::Accepted
        }
    }
}
