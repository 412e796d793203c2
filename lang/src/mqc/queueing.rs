//! Queueing actions of a class, for a traffic manager to carry out.

use qfp_core::qos::police::{BitsPerSecond, Percent};

use super::Numbers;

/// An amount of packets, in the unit in which it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// Bits.
    Bits(u64),
    /// Bytes.
    Bytes(u64),
    /// Packets.
    Packets(u64),
    /// What passes in a number of milliseconds.
    Milliseconds(u32),
    /// What passes in a number of microseconds.
    Microseconds(u32),
}

impl Size {
    /// The number, whatever its unit.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Bits(number) | Self::Bytes(number) | Self::Packets(number) => number,
            Self::Milliseconds(number) | Self::Microseconds(number) => number.into(),
        }
    }
}

/// A share of a link or of the parent's rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// Bits a second.
    Bits(BitsPerSecond),
    /// Percent.
    Percent(Percent),
}

/// Served before all classes of lower priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Priority {
    /// 1, the first, to 3.
    pub level: u8,
    /// What it is limited to when the link is full.
    pub limit: Option<Share>,
    /// Burst of the limit, bytes.
    pub burst: Option<u32>,
}

/// How what is left is divided among the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remaining {
    /// By weight, 1 to 1000.
    Ratio(u16),
    /// By percentage.
    Percent(Percent),
}

/// Which rate a shaper keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShapeKind {
    /// The rate.
    Average,
    /// The rate and the excess burst: `rate * (1 + be / bc)`.
    Peak,
}

/// A shaper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Which rate it keeps to.
    pub kind: ShapeKind,
    /// The rate.
    pub rate: Share,
    /// Committed burst.
    pub bc: Option<Size>,
    /// Excess burst; only beside a committed one.
    pub be: Option<Size>,
}

/// The field that tells the packets of a queue apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// DSCP.
    Dscp,
    /// Precedence.
    Precedence,
    /// Class of service of the outer tag.
    Cos,
    /// EXP of the topmost label.
    Exp,
    /// Discard class.
    DiscardClass,
}

impl Selector {
    /// Greatest value of the field.
    #[must_use]
    pub const fn max(self) -> u16 {
        match self {
            Self::Dscp => 63,
            _ => 7,
        }
    }
}

/// How long a queue may grow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueueLimit {
    /// For these packets; for all that have no limit of their own if none are said.
    pub of: Option<(Selector, Numbers)>,
    /// How long.
    pub size: Size,
}

/// Thresholds of early detection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Curve {
    /// For these values of the selector; none where all packets are alike.
    pub of: Option<Numbers>,
    /// Average queue from which packets are dropped.
    pub min: Size,
    /// Average queue from which all packets are dropped.
    pub max: Size,
    /// One of how many packets is dropped just below `max`.
    pub denominator: Option<u16>,
}

/// Random early detection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RandomDetect {
    /// What tells packets apart; none where all are alike.
    pub by: Option<Selector>,
    /// Thresholds that differ from the default ones.
    pub curves: Vec<Curve>,
    /// Weight of the average is 2 to the minus this, 1 to 16.
    pub weight: Option<u8>,
    /// Marks packets that can tell of congestion, instead of dropping them.
    pub ecn: bool,
}

/// Flows that are queued apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FairQueue {
    /// How many queues, 16 to 4096.
    pub queues: Option<u16>,
}

/// What a class asks of the traffic manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queueing {
    /// Served before others.
    pub priority: Option<Priority>,
    /// At least this much.
    pub bandwidth: Option<Share>,
    /// Its part of what is left.
    pub remaining: Option<Remaining>,
    /// At most this much, later.
    pub shape: Option<Shape>,
    /// How long queues may grow.
    pub queue_limits: Vec<QueueLimit>,
    /// Drops before the queue is full.
    pub random_detect: Option<RandomDetect>,
    /// Flows apart.
    pub fair_queue: Option<FairQueue>,
}

impl Queueing {
    /// The first action that is asked for, as its command begins; none if nothing is.
    #[must_use]
    pub fn first(&self) -> Option<&'static str> {
        let asked = [
            (self.priority.is_some(), "priority"),
            (self.bandwidth.is_some(), "bandwidth"),
            (self.remaining.is_some(), "bandwidth remaining"),
            (self.shape.is_some(), "shape"),
            (!self.queue_limits.is_empty(), "queue-limit"),
            (self.random_detect.is_some(), "random-detect"),
            (self.fair_queue.is_some(), "fair-queue"),
        ];
        asked.into_iter().find(|(asked, _)| *asked).map(|(_, name)| name)
    }

    /// Whether the class has a queue of its own.
    pub(super) fn has_queue(&self) -> bool {
        self.priority.is_some()
            || self.bandwidth.is_some()
            || self.remaining.is_some()
            || self.shape.is_some()
            || self.fair_queue.is_some()
    }
}
