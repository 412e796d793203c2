//! What a class map or a policy cannot be.

use std::fmt::{Display, Formatter};

use qfp_core::qos::police::PolicerSpec;

use super::CLASS_DEFAULT;
use crate::acl::Name;

/// What a fault was found in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PolicyPlace {
    /// All of them together.
    All,
    /// A class map.
    ClassMap(Name),
    /// A policy map.
    PolicyMap(Name),
    /// A class of a policy map: the policy's name and the class's.
    Class(Name, String),
}

impl Display for PolicyPlace {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("policies"),
            Self::ClassMap(name) => write!(f, "class-map {name}"),
            Self::PolicyMap(name) => write!(f, "policy-map {name}"),
            Self::Class(policy, class) => write!(f, "policy-map {policy}, class {class}"),
        }
    }
}

/// Why there cannot be such policies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct PolicyError {
    /// Where.
    pub place: PolicyPlace,
    /// What is wrong there.
    pub fault: Fault,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More than the platform takes.
    #[error("more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// Most that there can be.
        max: usize,
    },
    /// A longer name than the platform takes.
    #[error("a name of {length} bytes; it can have {max}")]
    NameTooLong {
        /// Its length.
        length: usize,
        /// Most that it can have.
        max: usize,
    },
    /// Two levels below a policy that divides packets.
    #[error("with two levels of policies below, {CLASS_DEFAULT} must be the only class")]
    GrandparentDivides,
    /// More levels than the platform takes.
    #[error("more than {0} levels of policies")]
    TooDeep(usize),
    /// A policy that is below itself.
    #[error("policy-map {0} is below itself")]
    PolicyCycle(Name),
    /// Class maps that name each other without end.
    #[error("class-map {0} matches itself")]
    ClassCycle(Name),
    /// Class maps that name each other too often.
    #[error("class maps that name each other go more than {0} deep")]
    NestedTooDeep(usize),
    /// The name of what has no class map.
    #[error("{CLASS_DEFAULT} has no class-map")]
    Reserved,
    /// A class without a class map.
    #[error("there is no such class-map")]
    NoSuchClass,
    /// A class map that is not there.
    #[error("there is no class-map {0}")]
    NoClassMap(Name),
    /// A policy that is not there.
    #[error("there is no policy-map {0}")]
    NoPolicyMap(Name),
    /// A class that the policy has already.
    #[error("the class is there twice")]
    Twice,
    /// A match that the class map has already.
    #[error("a match is there twice")]
    MatchTwice,
    /// A match of no value.
    #[error("no value of {0} matches")]
    NoValue(&'static str),
    /// A value that a field cannot have.
    #[error("{field} goes from {min} to {max}, so it cannot be {value}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The value.
        value: u64,
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// Two marks of the same bits.
    #[error("{0} is set beside {1}")]
    MarkedTwice(&'static str, &'static str),
    /// Packets of one colour both dropped and transmitted.
    #[error("packets cannot be both dropped and transmitted")]
    DroppedAndTransmitted,
    /// Rates of one policer in packets and in bits.
    #[error("one rate is in bits, the other in packets")]
    MixedUnits,
    /// A burst of a policer in another unit than its rate.
    #[error("a burst in {0} beside a rate in {1}")]
    BurstUnit(&'static str, &'static str),
    /// A burst that no bucket has.
    #[error("a burst of {0} is not from 1 to {max}", max = PolicerSpec::BURST_MAX)]
    Burst(u64),
    /// A peak rate below the committed rate.
    #[error("the peak rate {pir} is below the committed rate {cir}")]
    PeakBelowCommitted {
        /// Committed rate: bits or packets a second, or percent.
        cir: u64,
        /// Peak rate.
        pir: u64,
    },
    /// Awareness of policers below, of which there are none.
    #[error("child-conform-aware needs a child policy")]
    NoChild,
    /// Two actions that exclude each other.
    #[error("{0} and {1} exclude each other")]
    Exclusive(&'static str, &'static str),
    /// The first priority level limits by policing alone (POL-10).
    #[error("priority level 1 cannot be shaped")]
    ShapedPriority,
    /// An action on a queue of a class that has none.
    #[error("{0} needs priority, bandwidth, shape or fair-queue in the class")]
    NoQueue(&'static str),
    /// Thresholds or limits in no unit of a queue.
    #[error("{0} cannot be in this unit")]
    Unit(&'static str),
    /// An excess burst alone.
    #[error("a shaper with an excess burst needs a committed one")]
    ExcessAlone,
    /// Thresholds the wrong way round.
    #[error("thresholds of random-detect are in two units, or the least is the greater")]
    Thresholds,
    /// Thresholds for another field than the one that tells packets apart.
    #[error("random-detect goes by one field")]
    Selector,
    /// More than everything.
    #[error("{what} adds up to {sum} percent")]
    Percentages {
        /// Of which action.
        what: &'static str,
        /// The sum.
        sum: u32,
    },
}
